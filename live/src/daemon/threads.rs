//! Threads with a name, and why they ended.
use super::DaemonError;
use std::thread::JoinHandle;

/// A thread and what it is called.
pub(super) type Thread = (&'static str, JoinHandle<Result<(), String>>);

pub(super) fn spawn(
    name: &'static str,
    run: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Result<Thread, DaemonError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    let thread = thread.map_err(|source| DaemonError::System {
        what: format!("could not start the thread of {name}"),
        source,
    })?;
    Ok((name, thread))
}

/// Why a thread ended, where it did not end well.
pub(super) fn join(thread: JoinHandle<Result<(), String>>) -> Option<String> {
    match thread.join() {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why),
        Err(_) => Some("it panicked".to_owned()),
    }
}
