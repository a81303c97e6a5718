//! Why an import stops, in words that say where and what to do.
use onetape_engine::error::{DecodeError, EngineError};
use onetape_engine::number::NumberError;
use std::fmt;
use std::path::PathBuf;

/// A line that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// File name without its folder.
    pub file: String,
    /// Line number from 1.
    pub line: u64,
    /// The field, as the format spells it.
    pub field: String,
    /// Its value, shortened.
    pub value: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} line {}: field '{}' is '{}': {}",
            self.file, self.line, self.field, self.value, self.why
        )
    }
}

/// Every failure of an import. Unless it says otherwise the journal is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// No file was named.
    #[error("no file to import: name at least one")]
    NoFiles,
    /// A file that can't be opened or read.
    #[error("{}: can't be read: {source}; check that it is a readable file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A gzip file that is cut or damaged.
    #[error("{}: the gzip data is cut short or damaged after {bytes} bytes ({why}); fetch the file again", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// How many bytes of it were read.
        bytes: u64,
        /// What the decoder said.
        why: String,
    },
    /// A file without a line.
    #[error("{}: the file is empty: expected at least one line of data", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file of no known form.
    #[error("{}: no known format: the first line is '{first}'; name the format with --format, see docs/import.md for what each looks like", path.display())]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// Its first line, shortened.
        first: String,
    },
    /// A header that the format can't have.
    #[error("{}: the header's column '{column}' {why}; see docs/import.md for the columns", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A line beyond any sense.
    #[error("{}: line {line} is longer than {limit} bytes: this is no file of one record a line", path.display())]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Line number from 1.
        line: u64,
        /// The limit.
        limit: usize,
    },
    /// A line that can't be used.
    #[error("{0}; correct the line, or leave such lines out with --lenient")]
    Reject(Reject),
    /// A fact that can't be used.
    #[error("{0}; nothing was imported")]
    Fact(Reject),
    /// Nothing in a file could be used.
    #[error("{}: none of its {lines} lines could be used; the first: {first}", path.display())]
    NothingUsable {
        /// The file.
        path: PathBuf,
        /// How many lines it has.
        lines: u64,
        /// The first reject.
        first: String,
    },
    /// An instrument whose numbers don't fit together.
    #[error(
        "{instrument}: its numbers need {price} price and {qty} quantity decimals, and {why}; leave the finest numbers out"
    )]
    Decimals {
        /// "venue:symbol".
        instrument: String,
        /// Decimals that its prices need.
        price: u32,
        /// Decimals that its quantities need.
        qty: u32,
        /// What does not fit.
        why: NumberError,
    },
    /// A file that the journal holds already.
    #[error("{}: the journal holds this file already (blake3 {identity}); leave it out", path.display())]
    AlreadyImported {
        /// The file.
        path: PathBuf,
        /// Its hash.
        identity: String,
    },
    /// A file whose data begin before the journal ends.
    #[error("{}: begins at {first_ns} ns, before the journal's end at {journal_ns} ns; import files of one period together, in one command, and later periods after earlier ones", path.display())]
    BeforeJournalEnd {
        /// The file.
        path: PathBuf,
        /// Stamp of its first line.
        first_ns: u64,
        /// Stamp of the journal's last frame.
        journal_ns: u64,
    },
    /// The journal is one of a session, not of inputs.
    #[error("{}: holds a session (frame {sequence}): import into a journal of its own", journal.display())]
    SessionInJournal {
        /// The journal.
        journal: PathBuf,
        /// The session's first frame.
        sequence: u64,
    },
    /// A file that changed between the two passes; what was appended before that is kept in an existing journal.
    #[error("{}: changed while it was imported; import it into a new journal", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The journal could not be read or written.
    #[error(transparent)]
    Journal(#[from] onetape_journal::Error),
    /// A frame of the journal that does not read.
    #[error("sequence {sequence}: {source}")]
    Frame {
        /// The frame.
        sequence: u64,
        /// What is wrong.
        source: DecodeError,
    },
    /// The engine's market could not take a frame.
    #[error("sequence {sequence}: {source}")]
    Engine {
        /// The frame.
        sequence: u64,
        /// What is wrong.
        source: EngineError,
    },
}

/// What is wrong with a line, before it is known which one it is. `why` never holds the value, so that rejects can be
/// counted by it.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) field: &'static str,
    pub(super) value: String,
    pub(super) why: String,
}

impl Fault {
    pub(super) fn new(field: &'static str, value: &str, why: impl Into<String>) -> Self {
        Self {
            field,
            value: value.chars().take(60).collect(),
            why: why.into(),
        }
    }

    pub(super) fn number(field: &'static str, value: &str, why: &NumberError) -> Self {
        let why = match why {
            NumberError::NotANumber(_) => "expected a plain decimal number".into(),
            NumberError::Inexact { decimals, .. } => format!("more than {decimals} decimals"),
            NumberError::Overflow { .. } => "too large for its integer".into(),
            other @ NumberError::TooManyDecimals { .. } => other.to_string(),
        };
        Self::new(field, value, why)
    }

    pub(super) fn at(self, file: &str, line: u64) -> Reject {
        Reject {
            file: file.to_owned(),
            line,
            field: self.field.to_owned(),
            value: self.value,
            why: self.why,
        }
    }
}

impl From<onetape_venues::binance::DecodeError> for Fault {
    fn from(error: onetape_venues::binance::DecodeError) -> Self {
        use onetape_venues::binance::DecodeError as E;
        match &error {
            E::NotJson(why) => {
                let why = why.split(" at line ").next().unwrap_or(why);
                Fault::new("message", "", format!("not a json object: {why}"))
            }
            E::UnknownMessage(value) => Fault::new(
                "message",
                value,
                "expected depthUpdate, bookTicker, trade or a depth snapshot",
            ),
            E::Missing { field, .. } => Fault::new(field, "", "the field is missing"),
            E::BadField {
                field,
                value,
                expected,
            } => Fault::new(field, value, format!("expected {expected}")),
            E::Number { field, value, why } => Fault::number(field, value, why),
        }
    }
}
