//! How a command ends: exit codes by kind, and one message that says what, where, why and what to do.
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use std::fmt;
use std::io::ErrorKind;

/// Exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Ok = 0,
    Failure = 1,
    Usage = 2,
    Config = 3,
    Data = 4,
    Venue = 5,
    VerifyMismatch = 8,
    Timeout = 9,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
    help: Option<String>,
    source: Option<Box<Place>>,
}

/// A text with the part of it that is wrong.
#[derive(Debug)]
struct Place {
    text: NamedSource<String>,
    span: Option<std::ops::Range<usize>>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
            help: None,
            source: None,
        }
    }

    pub(crate) fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }

    /// Says first what the failure has led to.
    pub(crate) fn after(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Shows the place in a text that is wrong.
    pub(crate) fn at(
        mut self,
        name: &str,
        text: &str,
        span: Option<std::ops::Range<usize>>,
    ) -> Self {
        self.source = Some(Box::new(Place {
            text: NamedSource::new(name, text.to_owned()),
            span,
        }));
        self
    }

    pub(crate) fn print(&self, json: bool) {
        if json {
            let error = serde_json::json!({
                "error": { "exit_code": self.exit as u8, "message": self.message, "help": self.help }
            });
            eprintln!("{error}");
        } else {
            let mut text = String::new();
            let drawn = miette::GraphicalReportHandler::new()
                .with_links(false)
                .render_report(&mut text, self);
            match drawn {
                Ok(()) => eprint!("{text}"),
                Err(_) => eprintln!("error: {}", self.message),
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Diagnostic for Failure {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source
            .as_ref()
            .map(|place| &place.text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.source.as_ref()?.span.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::new(
            Some("here".to_owned()),
            span.start,
            span.len().max(1),
        ))))
    }
}

impl From<onetape_journal::Error> for Failure {
    fn from(error: onetape_journal::Error) -> Self {
        use onetape_journal::Error as E;
        let exit = match error {
            E::Io { .. }
            | E::Locked { .. }
            | E::Full { .. }
            | E::Poisoned { .. }
            | E::AlreadyExists { .. } => Exit::Failure,
            _ => Exit::Data,
        };
        let help = match &error {
            E::Full { .. } => Some(
                "make room ('df -h' shows where there is none, 'onetape archive' compresses a journal), then run the same \
                 command again: it goes on where the tape ends",
            ),
            E::Io { source, .. } => match source.kind() {
                ErrorKind::ReadOnlyFilesystem => {
                    Some("mount it for writing, or name a directory on another disk")
                }
                ErrorKind::PermissionDenied => {
                    Some("give this user the right to it, or name another directory")
                }
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    Some("make room there, then run the same command again")
                }
                _ => None,
            },
            _ => None,
        };
        let failure = Failure::new(exit, error);
        match help {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

impl From<onetape_backtest::Error> for Failure {
    fn from(error: onetape_backtest::Error) -> Self {
        use onetape_backtest::Error as E;
        match error {
            E::Journal(journal) => journal.into(),
            E::Config(why) => Failure::new(Exit::Config, why),
            E::SameJournal { .. } => Failure::new(Exit::Usage, error),
            E::Core { .. }
            | E::NoInputs { .. }
            | E::OtherRun { .. }
            | E::NoAnswer { .. }
            | E::NoSnapshot { .. } => Failure::new(Exit::Data, error),
        }
    }
}

impl From<onetape_backtest::import::ImportError> for Failure {
    fn from(error: onetape_backtest::import::ImportError) -> Self {
        use onetape_backtest::import::ImportError as E;
        match error {
            E::NoFiles => Failure::new(Exit::Usage, error),
            E::Journal(journal) => journal.into(),
            _ => Failure::new(Exit::Data, error),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::new(Exit::Failure, error)
    }
}
