//! The names in a journal's directory, and the directory itself.

use crate::beginning;
use crate::error::{Context, Error};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Name of the lock file.
pub(crate) const LOCK: &str = "LOCK";
/// Name of the durable record.
pub(crate) const CONTROL: &str = "CONTROL";

/// Name of the record of what retention has taken.
pub(crate) const BEGINNING: &str = "BEGINNING";

/// A segment's file in the directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) path: PathBuf,
    pub(crate) archived: bool,
}

pub(crate) fn segment(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:016}.seg"))
}

pub(crate) fn archive(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:016}.seg.zst"))
}

pub(crate) fn snapshot(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("snap-{sequence:020}.snap"))
}

fn number(text: &str, digits: usize) -> Option<u64> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// All file names in the directory.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::NotFound {
                path: dir.to_path_buf(),
            });
        }
        other => other.at("list", dir)?,
    };
    for entry in entries {
        if let Ok(name) = entry.at("list", dir)?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

/// The journal's segments in order of their ids. What lies before its beginning does not belong to it any more, whether
/// its files are still there or not.
pub(crate) fn segments(dir: &Path) -> Result<Vec<Entry>, Error> {
    let mut entries = all_segments(dir)?;
    // After the listing: the record comes before what it allows to go.
    let first = beginning::first_segment(dir)?;
    entries.retain(|entry| entry.id >= first);
    Ok(entries)
}

/// The segments' files in order of their ids. Where a segment and its archive are both there (a crash between
/// the archive's rename and the unlink), the segment counts.
pub(crate) fn all_segments(dir: &Path) -> Result<Vec<Entry>, Error> {
    let mut found = BTreeMap::new();
    for name in names(dir)? {
        if let Some(id) = name.strip_suffix(".seg").and_then(|n| number(n, 16)) {
            found.insert(
                id,
                Entry {
                    id,
                    path: dir.join(&name),
                    archived: false,
                },
            );
        } else if let Some(id) = name.strip_suffix(".seg.zst").and_then(|n| number(n, 16)) {
            found.entry(id).or_insert(Entry {
                id,
                path: dir.join(&name),
                archived: true,
            });
        }
    }
    Ok(found.into_values().collect())
}

/// The sequences of the snapshots, ascending.
pub(crate) fn snapshots(dir: &Path) -> Result<Vec<u64>, Error> {
    let mut found: Vec<u64> = names(dir)?
        .iter()
        .filter_map(|n| number(n.strip_prefix("snap-")?.strip_suffix(".snap")?, 20))
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// Removes what a crash left half made.
pub(crate) fn remove_unfinished(dir: &Path) -> Result<(), Error> {
    for name in names(dir)? {
        if name.ends_with(".tmp") {
            let path = dir.join(name);
            std::fs::remove_file(&path).at("remove", &path)?;
        }
    }
    Ok(())
}

/// Writes a file of these parts whole or not at all, in place of one that is there; on disk when it returns.
pub(crate) fn write_whole(dir: &Path, path: &Path, parts: &[&[u8]]) -> Result<(), Error> {
    let mut tmp = path.as_os_str().to_owned();
    tmp.push(".tmp");
    let tmp = PathBuf::from(tmp);
    let written = (|| {
        let mut file = File::create(&tmp).at("create", &tmp)?;
        for part in parts {
            file.write_all(part).at("write", &tmp)?;
        }
        file.sync_all().at("sync", &tmp)?;
        std::fs::rename(&tmp, path).at("rename", &tmp)?;
        sync(dir)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&tmp);
    }
    written
}

/// Makes created, renamed and removed names durable.
pub(crate) fn sync(dir: &Path) -> Result<(), Error> {
    File::open(dir).at("open", dir)?.sync_all().at("sync", dir)
}

/// What a file system is to a mapped journal.
pub(crate) enum FileSystem {
    Local,
    /// Copies on write: allocated space is no promise there.
    Btrfs,
}

/// Refuses network file systems.
pub(crate) fn file_system(dir: &Path) -> Result<FileSystem, Error> {
    // Magic numbers of statfs(2).
    const NETWORK: [(u64, &str); 6] = [
        (0x6969, "nfs"),
        (0x517B, "smb"),
        (0xFF53_4D42, "cifs"),
        (0xFE53_4D42, "smb2"),
        (0x00C3_6400, "ceph"),
        (0x0102_1997, "9p"),
    ];
    let stat = rustix::fs::statfs(dir).at("look at the file system of", dir)?;
    let kind = stat.f_type as u64 & 0xFFFF_FFFF;
    match NETWORK.iter().find(|(magic, _)| *magic == kind) {
        Some((_, name)) => Err(Error::NetworkFileSystem {
            path: dir.to_path_buf(),
            kind: name,
        }),
        None if kind == 0x9123_683E => Ok(FileSystem::Btrfs),
        None => Ok(FileSystem::Local),
    }
}
