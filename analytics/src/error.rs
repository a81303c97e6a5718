//! What can go wrong between a journal and its tables. After every one of them OUT is as it was before.
use std::path::PathBuf;

/// Every failure of an export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] onetape_journal::Error),
    /// A frame has no exact place in its table.
    #[error(
        "{}: frame {sequence} can't be exported: {why}; nothing was written. 'onetape verify' says more about the journal",
        journal.display()
    )]
    Frame {
        /// Whose frame.
        journal: PathBuf,
        /// Its sequence.
        sequence: u64,
        /// What is wrong with it.
        why: String,
    },
    /// There is something in the output directory already.
    #[error(
        "{} is not empty (it holds '{found}'): choose an empty directory, or pass --overwrite to replace the tables in it",
        out.display()
    )]
    NotEmpty {
        /// The output directory.
        out: PathBuf,
        /// One of the entries found.
        found: String,
    },
    /// The output directory is the journal's.
    #[error("{} is the journal's own directory: choose another one for the tables", out.display())]
    SameDirectory {
        /// The directory.
        out: PathBuf,
    },
    /// Another export is at work on the same output directory.
    #[error("another export is writing into {}: wait for it, or choose another directory", out.display())]
    Busy {
        /// The output directory.
        out: PathBuf,
    },
    /// An option that no export can work with.
    #[error("{option}: expected {expected}, found {found}")]
    Option {
        /// The option.
        option: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// The operating system refused something: no space, no permission.
    #[error("could not {action} {}: {source}; no half-written table is left behind. Free space or fix permissions, and export again", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The tables' encoder refused a batch: a defect, not a matter of data or disk.
    #[error("could not encode {}: {source}; no half-written table is left behind. This is a defect, please report it", path.display())]
    Encode {
        /// The table's file.
        path: PathBuf,
        /// What the encoder said.
        source: polars::error::PolarsError,
    },
}

/// Adds what was tried, and on what, to a system error.
pub(crate) trait Context<T> {
    /// As described above.
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T, Error>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            action,
            path: path.to_path_buf(),
            source,
        })
    }
}

/// Why a frame has no exact place in its table.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    /// The payload does not read.
    #[error(transparent)]
    Decode(#[from] onetape_engine::error::DecodeError),
    /// A number that a column can't hold exactly.
    #[error("{what} {value} does not fit, expected {expected}")]
    Range {
        what: &'static str,
        value: String,
        expected: &'static str,
    },
    /// An instrument that no earlier frame defines, or one defined out of turn.
    #[error("instrument {found} is {what}")]
    Instrument { found: u32, what: &'static str },
    /// A strategy that the session does not have.
    #[error("strategy {0} is not part of the session")]
    Strategy(u16),
    /// A config that does not read as JSON.
    #[error("the session's config can't be written as json: {0}")]
    Config(#[from] serde_json::Error),
}
