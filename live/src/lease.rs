//! One daemon an account: a lock file in the user's state folder, held as long as the process lives.
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// The right to trade on one account from this machine. Given back when dropped, and by the death of the process.
#[derive(Debug)]
pub struct Lease {
    _file: File,
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another daemon has it.
    #[error("another daemon trades on this {venue} account (lease {path}): stop it first")]
    Taken {
        /// Which venue.
        venue: String,
        /// The lock file.
        path: String,
    },
    /// The file can't be made.
    #[error("could not open the lease {path}: {source}")]
    Open {
        /// The lock file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Lease {
    /// Takes the lease of an account; `account` is a name for it that is no secret, such as a key's id.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub fn take(folder: &Path, venue: &str, account: &str) -> Result<Self, LeaseError> {
        let hash = blake3::hash(account.as_bytes()).to_hex();
        let path = folder.join(format!("{venue}-{}.lease", &hash.as_str()[..16]));
        let shown = path.display().to_string();
        let open = |source| LeaseError::Open {
            path: shown.clone(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(open)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.map_err(open)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(_) => Err(LeaseError::Taken {
                venue: venue.to_owned(),
                path: shown,
            }),
        }
    }
}

/// `$XDG_STATE_HOME/onetape`, or `~/.local/state/onetape`, or below the folder for temporary files.
pub fn state_folder() -> PathBuf {
    let named = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let base = named.filter(|path| path.is_absolute()).or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join("onetape")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lease_of_an_account_is_refused_until_the_first_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let take = |account| Lease::take(dir.path(), "binance", account);
        let first = take("a").unwrap();
        assert!(matches!(take("a"), Err(LeaseError::Taken { .. })));
        assert!(take("b").is_ok());
        drop(first);
        assert!(take("a").is_ok());
    }
}
