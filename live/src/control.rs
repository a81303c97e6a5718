//! Halt and resume from the same machine: a Unix socket beside the journal, and a file that works when everything else is
//! gone.
use crate::inputs::Inputs;
use crate::replica::Window;
use onetape_engine::event::{Event, OperatorAction, OperatorCommand};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A command is one line of JSON of at most this many bytes.
const LINE_MAX: u64 = 64 << 10;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What can be asked of a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command", deny_unknown_fields)]
pub enum Command {
    /// No new risk.
    Halt {
        /// Why.
        note: String,
    },
    /// The operator's halt ends.
    Resume {
        /// Why.
        note: String,
    },
    /// What a venue says next that we hold is right.
    Accept {
        /// Which venue.
        venue: String,
        /// Why.
        note: String,
    },
    /// What there is to see.
    Status,
    /// The daemon ends as it does on SIGTERM.
    Stop,
    /// The daemon ends and leaves its orders where they are: the one that asks goes on with them.
    HandOver,
}

/// Whether, and how, the daemon was asked to end.
#[derive(Debug, Default)]
pub struct Asked {
    /// It was.
    pub to_end: AtomicBool,
    /// Somebody takes over: orders at work stay, whatever the configuration says.
    pub to_hand_over: AtomicBool,
}

/// Where a journal's daemon listens.
pub fn socket_path(journal: &Path) -> PathBuf {
    journal.join("control.sock")
}

/// Where its halt file is, where none is named.
pub fn halt_file_path(journal: &Path) -> PathBuf {
    journal.join("HALT")
}

/// The daemon's end.
pub struct Control {
    listener: UnixListener,
    socket: PathBuf,
    halt_file: PathBuf,
    /// The core was told that the file is there.
    halted_by_file: bool,
    inputs: Inputs,
    window: Window,
    asked: Arc<Asked>,
}

impl Control {
    /// Listens beside a journal. The journal's lock says that nobody else does.
    ///
    /// # Errors
    /// Those of binding the socket.
    pub fn new(
        journal: &Path,
        halt_file: Option<&Path>,
        inputs: Inputs,
        window: Window,
        asked: Arc<Asked>,
    ) -> std::io::Result<Self> {
        let socket = socket_path(journal);
        // What a daemon that was killed left behind.
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&socket)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            socket,
            halt_file: halt_file.map_or_else(|| halt_file_path(journal), Path::to_owned),
            halted_by_file: false,
            inputs,
            window,
            asked,
        })
    }

    /// Looks whether the halt file is there, and tells the core where that is new; whether it is.
    pub fn look(&mut self) -> bool {
        let there = self.is_halted_by_file();
        if there != self.halted_by_file {
            self.halted_by_file = there;
            let (action, is) = match there {
                true => (OperatorAction::Halt, "is there"),
                false => (OperatorAction::Resume, "is gone"),
            };
            self.operator(action, format!("the halt file {is}"));
        }
        there
    }

    fn is_halted_by_file(&self) -> bool {
        self.halt_file.exists()
    }

    /// Answers until the daemon stops.
    pub fn run(mut self) {
        while !self.asked.to_end.load(Ordering::Acquire) {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Err(error) = self.answer(stream) {
                        tracing::warn!(%error, "control connection");
                    }
                }
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
            self.look();
        }
        let _ = std::fs::remove_file(&self.socket);
    }

    fn operator(&self, action: OperatorAction, note: String) -> bool {
        let command = OperatorCommand { action, note };
        self.inputs
            .event(&Event::OperatorCommand(Box::new(command)))
    }

    fn answer(&self, stream: UnixStream) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        let mut line = String::new();
        BufReader::new((&stream).take(LINE_MAX)).read_line(&mut line)?;
        let answer = match serde_json::from_str(&line) {
            Err(error) => serde_json::json!({"ok": false, "error": error.to_string()}),
            Ok(command) => match command {
                Command::Halt { note } => self.done(OperatorAction::Halt, note),
                Command::Resume { .. } if self.is_halted_by_file() => {
                    let why = format!(
                        "the halt file {} is there: remove it to resume",
                        self.halt_file.display()
                    );
                    serde_json::json!({"ok": false, "error": why})
                }
                Command::Resume { note } => self.done(OperatorAction::Resume, note),
                Command::Accept { venue, note } => {
                    self.done(OperatorAction::AcceptHoldings { venue }, note)
                }
                Command::Status => {
                    serde_json::json!({"ok": true, "status": self.window.look()})
                }
                Command::Stop => self.end(),
                Command::HandOver => {
                    self.asked.to_hand_over.store(true, Ordering::Release);
                    self.end()
                }
            },
        };
        writeln!(&stream, "{answer}")
    }

    fn end(&self) -> serde_json::Value {
        self.asked.to_end.store(true, Ordering::Release);
        serde_json::json!({"ok": true})
    }

    fn done(&self, action: OperatorAction, note: String) -> serde_json::Value {
        serde_json::json!({"ok": self.operator(action, note)})
    }
}

/// Asks a journal's daemon; its answer.
///
/// # Errors
/// A text: nobody listens there, or the answer does not read.
pub fn ask(journal: &Path, command: &Command) -> Result<serde_json::Value, String> {
    let socket = socket_path(journal);
    let stream = UnixStream::connect(&socket)
        .map_err(|e| format!("no daemon listens at {}: {e}", socket.display()))?;
    let talk = || -> std::io::Result<String> {
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let line = serde_json::to_string(command)?;
        writeln!(&stream, "{line}")?;
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer)?;
        Ok(answer)
    };
    let answer = talk().map_err(|e| format!("the daemon at {}: {e}", socket.display()))?;
    serde_json::from_str(&answer).map_err(|e| format!("the daemon's answer: {e}"))
}
