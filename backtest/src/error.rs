//! What can go wrong between a journal and the core.
use onetape_engine::error::{DecodeError, EngineError};
use onetape_engine::sequencer::StepError;
use std::convert::Infallible;
use std::path::PathBuf;

/// Every failure of a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal could not be read or written.
    #[error(transparent)]
    Journal(#[from] onetape_journal::Error),
    /// The core could not take a frame.
    #[error("{}: {why}", journal.display())]
    Core {
        /// Whose frames.
        journal: PathBuf,
        /// Sequence, kind and reason.
        why: String,
    },
    /// The strategies or limits can't work.
    #[error("{0}")]
    Config(String),
    /// A question that the journal has no answer to.
    #[error("{}: {why}", journal.display())]
    NoAnswer {
        /// The journal.
        journal: PathBuf,
        /// Why not.
        why: String,
    },
    /// The state that what is left of a tape begins with is nowhere.
    #[error(
        "{}: the frames before sequence {first} were removed (journal_max_mib), so its state comes from a snapshot, and {why}; \
         go on with the build that wrote them, restore a backup, or begin in a new directory", journal.display()
    )]
    NoSnapshot {
        /// The journal.
        journal: PathBuf,
        /// The first sequence that is left.
        first: u64,
        /// Why none can be used.
        why: String,
    },
    /// There is nothing to replay.
    #[error("{} holds no inputs; fill it with 'onetape import' or 'onetape generate' first", journal.display())]
    NoInputs {
        /// The journal.
        journal: PathBuf,
    },
    /// The output journal holds another run.
    #[error("{} holds another run ({why}); choose an empty directory for --journal", journal.display())]
    OtherRun {
        /// The output journal.
        journal: PathBuf,
        /// What differs.
        why: String,
    },
    /// A journal was asked to go into the one it is read from.
    #[error("{} can't be both the input and the output of a run", journal.display())]
    SameJournal {
        /// The journal.
        journal: PathBuf,
    },
}

impl Error {
    /// A step's error with the journal that it happened on.
    pub(crate) fn at<E: std::error::Error + Into<Error> + 'static>(
        journal: &std::path::Path,
        error: StepError<E>,
    ) -> Error {
        match error {
            StepError::Sink(sink) => sink.into(),
            StepError::Engine {
                source: EngineError::BadParameters { strategy, why },
                ..
            } => Error::Config(format!("strategy '{strategy}': {why}")),
            other => Error::Core {
                journal: journal.to_path_buf(),
                why: other.to_string(),
            },
        }
    }

    pub(crate) fn decode(journal: &std::path::Path, sequence: u64, error: &DecodeError) -> Error {
        Error::Core {
            journal: journal.to_path_buf(),
            why: format!("sequence {sequence}: {error}"),
        }
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
