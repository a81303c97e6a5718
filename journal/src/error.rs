//! What can go wrong, with everything a person needs to act on it.

use std::path::PathBuf;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A journal is already there.
    #[error("{} already holds a journal; open it, or choose an empty directory", path.display())]
    AlreadyExists {
        /// The directory.
        path: PathBuf,
    },
    /// No journal there.
    #[error("no journal in {}: expected at least one file like 0000000000000000.seg", path.display())]
    NotFound {
        /// The directory.
        path: PathBuf,
    },
    /// Another writer has the journal.
    #[error("{} is locked by another writer{}; a journal has one writer, stop that one first", path.display(),
        pid.map(|p| format!(" (process {p})")).unwrap_or_default())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that said it holds the lock, if it did.
        pid: Option<u32>,
    },
    /// Mapped files need a local file system.
    #[error("{} is on a network file system ({kind}), where mapped files and locks can't be relied on; use a local disk", path.display())]
    NetworkFileSystem {
        /// The directory.
        path: PathBuf,
        /// Its file system.
        kind: &'static str,
    },
    /// No room for another segment.
    #[error("no room for a segment of {needed} bytes in {}; nothing published is lost: free space and append again", path.display())]
    Full {
        /// The directory.
        path: PathBuf,
        /// Bytes that were asked for.
        needed: u64,
    },
    /// An earlier sync failed.
    #[error(
        "the journal stopped at a failed sync ({reason}); frames after sequence {durable} may not be on disk: close, check the disk, open again"
    )]
    Poisoned {
        /// What the sync said.
        reason: String,
        /// Everything up to here is on disk.
        durable: u64,
    },
    /// A payload does not fit into a frame.
    #[error("a payload of {length} bytes is too long: at most {limit}; split it")]
    PayloadTooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A frame is staged and waits for `publish`.
    #[error("frame {sequence} is staged: publish it before the next one")]
    StillStaged {
        /// The staged frame's sequence.
        sequence: u64,
    },
    /// An option out of its range.
    #[error("{option} is {found}: expected {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// The value given.
        found: u64,
        /// What is allowed.
        expected: String,
    },
    /// A header that can't be what the writer wrote.
    #[error("{}: {what}; restore the file from a backup", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A file of another format version.
    #[error("{} has format version {found}, expected {expected}: read it with the version that wrote it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version of this crate.
        expected: u32,
    },
    /// Retention has taken frames that are asked for.
    #[error("{}: the frames before sequence {first} were removed to keep the journal within its bound (journal_max_mib), and this needs them; 'recover', 'info', 'tail' and 'export' read what is left, a backup has the rest", path.display())]
    Removed {
        /// The directory.
        path: PathBuf,
        /// The first sequence that is left.
        first: u64,
    },
    /// A segment is missing from the chain.
    #[error("{} is missing: segment {segment} is needed at the beginning, between others or after a sealed one; restore it from a backup", path.display())]
    MissingSegment {
        /// The file that should be there.
        path: PathBuf,
        /// Its id.
        segment: u64,
    },
    /// Bytes where the next frame belongs, but they are not the next frame.
    #[error("segment {segment} is damaged at offset {offset} ({}): expected frame {sequence}, found {what}; restore the file from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its segment id.
        segment: u64,
        /// Byte offset in the segment.
        offset: u64,
        /// The sequence that belongs there.
        sequence: u64,
        /// What is there instead.
        what: Damage,
    },
    /// Frames that were on disk are gone.
    #[error("frames up to {durable} were recorded as being on disk, but the journal in {} ends at {found}; restore it from a backup, or remove CONTROL to accept the loss of {} frame(s)",
        path.display(), durable.saturating_sub(*found))]
    Corrupt {
        /// The directory.
        path: PathBuf,
        /// The durable record.
        durable: u64,
        /// The last sequence found.
        found: u64,
    },
    /// CONTROL is there and neither of its slots is valid.
    #[error("{}: neither durable record is valid, expected at least one; restore it, or remove it to open without that check", path.display())]
    Control {
        /// The file.
        path: PathBuf,
    },
    /// An archived segment that does not match its hash or header.
    #[error("archive {}: {what}; restore the file from a backup", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A snapshot that does not match its hash or header.
    #[error("snapshot {}: {what}; use an older snapshot or replay from the start", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A helper thread could not be started or has gone.
    #[error("the journal's {thread} thread is not running: {reason}")]
    Thread {
        /// Which one.
        thread: &'static str,
        /// Why.
        reason: String,
    },
}

/// What stands where a frame belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The checksum is another.
    #[error("checksum {found:#010x} over bytes that give {computed:#010x}")]
    Checksum {
        /// In the file.
        found: u32,
        /// Of the bytes there.
        computed: u32,
    },
    /// A whole frame with another sequence.
    #[error("a whole frame with sequence {found}")]
    Sequence {
        /// In the file.
        found: u64,
    },
    /// A length that leads beyond the segment.
    #[error("a payload length of {length} bytes, which leads beyond the segment's end at {end}")]
    Length {
        /// In the file.
        length: u64,
        /// End of the segment.
        end: u64,
    },
    /// A kind that this version does not know.
    #[error("a frame of kind {kind:#x}, which this version doesn't know")]
    Kind {
        /// In the file.
        kind: u16,
    },
    /// A segment that is followed by another has no seal.
    #[error("no seal, though segment {next} follows and starts at sequence {base}")]
    Unsealed {
        /// The segment after it.
        next: u64,
        /// Its base sequence.
        base: u64,
    },
    /// The segment ends without a seal.
    #[error("the segment's end without a seal")]
    Overrun,
    /// The file is shorter than its header says.
    #[error("a file of {found} bytes that should have {expected}")]
    Cut {
        /// Length of the file.
        found: u64,
        /// Length in the header.
        expected: u64,
    },
}

/// Adds what was tried, and on what, to a system error.
pub(crate) trait Context<T> {
    /// As described above.
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T, Error>;
}

impl<T, E: Into<std::io::Error>> Context<T> for Result<T, E> {
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T, Error> {
        self.map_err(|e| Error::Io {
            action,
            path: path.to_path_buf(),
            source: e.into(),
        })
    }
}
