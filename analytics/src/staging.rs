//! Files that are not complete stay in a directory of their own inside OUT, and get their names when all are.
//!
//! The directory is locked while an export is at work. One that is there without a lock was left by an export that was
//! killed; the next one clears it.
use crate::error::{Context, Error};
use crate::schema;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// Inside OUT, so that giving a file its name is a rename on one file system.
const DIRECTORY: &str = ".onetape-export";
const LOCK: &str = "lock";

/// An output directory with an export under way. Dropped without [`Staging::publish`], it takes back all that it made.
pub(crate) struct Staging {
    out: PathBuf,
    /// Directories that were not there before, outermost first.
    made: Vec<PathBuf>,
    lock: Option<File>,
    published: bool,
}

impl Staging {
    /// Prepares OUT. Something in it that is not an abandoned export is refused unless `overwrite`.
    pub(crate) fn prepare(out: &Path, overwrite: bool) -> Result<Self, Error> {
        let missing: Vec<PathBuf> = out
            .ancestors()
            .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
            .map(Path::to_path_buf)
            .collect();
        let made = missing.into_iter().rev().collect();
        // From here on the drop takes back what was made.
        let mut staging = Self {
            out: out.to_path_buf(),
            made,
            lock: None,
            published: false,
        };
        fs::create_dir_all(out).at("create", out)?;
        if !overwrite && let Some(found) = staging.foreign_entry()? {
            return Err(Error::NotEmpty {
                out: out.to_path_buf(),
                found,
            });
        }
        staging.lock()?;
        Ok(staging)
    }

    /// Where the files are written.
    pub(crate) fn dir(&self) -> PathBuf {
        self.out.join(DIRECTORY)
    }

    /// An entry of OUT that no export under way put there.
    fn foreign_entry(&self) -> Result<Option<String>, Error> {
        for entry in fs::read_dir(&self.out).at("list", &self.out)? {
            let name = entry.at("list", &self.out)?.file_name();
            if name != OsStr::new(DIRECTORY) {
                return Ok(Some(name.to_string_lossy().into_owned()));
            }
        }
        Ok(None)
    }

    fn lock(&mut self) -> Result<(), Error> {
        let dir = self.dir();
        fs::create_dir_all(&dir).at("create", &dir)?;
        let path = dir.join(LOCK);
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .at("create", &path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Busy {
                    out: self.out.clone(),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(Error::Io {
                    action: "lock",
                    path,
                    source,
                });
            }
        }
        self.lock = Some(file);
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let entry = entry.at("list", &dir)?;
            if entry.file_name() != OsStr::new(LOCK) {
                fs::remove_file(entry.path()).at("remove", &entry.path())?;
            }
        }
        Ok(())
    }

    /// Gives the finished `files` their names. Tables of an earlier export that are not among them go: what OUT holds
    /// afterwards comes from one journal.
    pub(crate) fn publish(mut self, files: &[String]) -> Result<(), Error> {
        let dir = self.dir();
        for file in files {
            let path = self.out.join(file);
            fs::rename(dir.join(file), &path).at("give a name to", &path)?;
        }
        for table in schema() {
            let path = self.out.join(table.file_name());
            if !files.contains(&table.file_name()) && path.exists() {
                fs::remove_file(&path).at("remove", &path)?;
            }
        }
        self.published = true;
        self.clear();
        // The renames themselves reach the disk with their directory.
        File::open(&self.out)
            .and_then(|out| out.sync_all())
            .at("sync", &self.out)
    }

    /// Removes the staging directory, if it is ours. Errors are not worth another message than the one under way.
    fn clear(&mut self) {
        if self.lock.take().is_some() {
            let _ = fs::remove_dir_all(self.dir());
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.clear();
        if !self.published {
            // Only empty ones go, so nothing that somebody else put there is lost.
            for dir in self.made.iter().rev() {
                let _ = fs::remove_dir(dir);
            }
        }
    }
}
