//! From visible to durable: syncing what was published, and telling who waits for it.

use crate::beginning;
use crate::commit;
use crate::control::Control;
use crate::error::{Context, Error};
use memmap2::MmapRaw;
use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks guard is valid after every statement, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A segment being written, as writer and flusher share it.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) map: MmapRaw,
    pub(crate) path: PathBuf,
    /// Tail, see [`commit::advance_tail`].
    pub(crate) end: AtomicU64,
    pub(crate) sequence: AtomicU64,
    /// Bytes before this are on disk; touched under the control lock only.
    synced: AtomicU64,
}

impl Active {
    /// A segment whose bytes before `synced` are on disk.
    pub(crate) fn new(map: MmapRaw, path: PathBuf, end: u64, sequence: u64, synced: u64) -> Active {
        Active {
            map,
            path,
            end: AtomicU64::new(end),
            sequence: AtomicU64::new(sequence),
            synced: AtomicU64::new(synced),
        }
    }
}

#[derive(Debug, Default)]
struct Signals {
    stop: bool,
    wanted: bool,
}

/// What writer, flusher and waiters share.
#[derive(Debug)]
pub(crate) struct Shared {
    durable: AtomicU64,
    failed: AtomicBool,
    reason: OnceLock<String>,
    /// Segments with bytes that may not be synced, oldest first; the last one is being written.
    queue: Mutex<VecDeque<Arc<Active>>>,
    /// Files that were filled and unmapped without a sync.
    unsynced: Mutex<Vec<PathBuf>>,
    control: Mutex<Control>,
    waiters: Mutex<()>,
    advanced: Condvar,
    signals: Mutex<Signals>,
    signalled: Condvar,
    #[cfg(test)]
    pub(crate) fault: Fault,
}

/// Lets a test make the disk fail.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Fault {
    pub(crate) active: AtomicBool,
    pub(crate) attempts: AtomicU64,
}

impl Shared {
    pub(crate) fn new(control: Control, durable: u64) -> Shared {
        Shared {
            durable: AtomicU64::new(durable),
            failed: AtomicBool::new(false),
            reason: OnceLock::new(),
            queue: Mutex::default(),
            unsynced: Mutex::default(),
            control: Mutex::new(control),
            waiters: Mutex::default(),
            advanced: Condvar::new(),
            signals: Mutex::default(),
            signalled: Condvar::new(),
            #[cfg(test)]
            fault: Fault::default(),
        }
    }

    #[inline(always)]
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn poisoned(&self) -> Error {
        Error::Poisoned {
            reason: self.reason.get().cloned().unwrap_or_default(),
            durable: self.durable(),
        }
    }

    /// Adds the segment that the writer goes on with.
    pub(crate) fn push(&self, active: Arc<Active>) {
        lock(&self.queue).push_back(active);
    }

    /// Takes a filled segment out of the queue, to be synced through its file when somebody asks.
    pub(crate) fn defer(&self, active: &Arc<Active>) {
        lock(&self.unsynced).push(active.path.clone());
        lock(&self.queue).retain(|a| !Arc::ptr_eq(a, active));
    }

    /// Whether something was published since the last sync.
    fn is_behind(&self) -> bool {
        lock(&self.queue)
            .back()
            .is_some_and(|a| a.sequence.load(commit::OBSERVE) > self.durable())
    }

    /// Syncs everything published so far and returns the durable sequence. After a failure nothing is
    /// tried again: the kernel marks pages clean even if writing them failed, so a second sync may
    /// "succeed" with the data gone.
    pub(crate) fn sync(&self, finally: bool) -> Result<u64, Error> {
        let mut control = lock(&self.control);
        if self.has_failed() {
            return Err(self.poisoned());
        }
        let actives: Vec<_> = lock(&self.queue).iter().cloned().collect();
        let files: Vec<_> = lock(&self.unsynced).clone();
        match self.sync_all(&mut control, &actives, &files, finally) {
            Ok(durable) => {
                // All but the one being written were final when the list was taken.
                let filled = actives.len().saturating_sub(1);
                lock(&self.queue).drain(..filled);
                lock(&self.unsynced).drain(..files.len());
                drop(control);
                self.advance(durable);
                Ok(durable)
            }
            Err(e) => {
                let _ = self.reason.set(e.to_string());
                self.failed.store(true, Ordering::Release);
                drop(control);
                self.advance(0);
                Err(e)
            }
        }
    }

    fn sync_all(
        &self,
        control: &mut Control,
        actives: &[Arc<Active>],
        files: &[PathBuf],
        finally: bool,
    ) -> Result<u64, Error> {
        #[cfg(test)]
        {
            self.fault.attempts.fetch_add(1, Ordering::Relaxed);
            if self.fault.active.load(Ordering::Relaxed) {
                return Err(rustix::io::Errno::IO).at("sync", std::path::Path::new("a test"));
            }
        }
        let mut durable = self.durable();
        for path in files {
            match File::open(path) {
                // Archived meanwhile: its content was on disk before the file went. Or nobody needs it any more.
                Err(e)
                    if e.kind() == ErrorKind::NotFound
                        && (path.with_extension("seg.zst").exists()
                            || beginning::is_before(path)) => {}
                other => other.at("open", path)?.sync_data().at("sync", path)?,
            }
        }
        for active in actives {
            let (end, sequence) = commit::observe_tail(&active.end, &active.sequence);
            let from = active.synced.load(Ordering::Relaxed);
            if end > from {
                // By range: a sync of the file would write every populated page.
                active
                    .map
                    .flush_range(from as usize, (end - from) as usize)
                    .at("sync", &active.path)?;
                active.synced.store(end, Ordering::Relaxed);
            }
            durable = durable.max(sequence);
        }
        control.record(durable, finally)?;
        Ok(durable)
    }

    fn advance(&self, durable: u64) {
        {
            let _guard = lock(&self.waiters);
            self.durable.fetch_max(durable, Ordering::Release);
        }
        // Without the lock, which whoever wakes up takes first.
        self.advanced.notify_all();
    }

    fn wait(&self, sequence: u64, timeout: Duration) -> Result<bool, Error> {
        if self.durable() >= sequence {
            return Ok(true);
        }
        lock(&self.signals).wanted = true;
        self.signalled.notify_one();
        let start = Instant::now();
        let mut guard = lock(&self.waiters);
        loop {
            if self.durable() >= sequence {
                return Ok(true);
            }
            if self.has_failed() {
                return Err(self.poisoned());
            }
            let Some(left) = timeout.checked_sub(start.elapsed()) else {
                return Ok(false);
            };
            guard = self
                .advanced
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until told to stop (`true`), until somebody wants durability (if `eager`), or `timeout`.
    fn pause(&self, timeout: Duration, eager: bool) -> bool {
        let start = Instant::now();
        let mut signals = lock(&self.signals);
        loop {
            if signals.stop {
                return true;
            }
            if eager && std::mem::take(&mut signals.wanted) {
                return false;
            }
            let Some(left) = timeout
                .checked_sub(start.elapsed())
                .filter(|l| !l.is_zero())
            else {
                return false;
            };
            signals = self
                .signalled
                .wait_timeout(signals, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// What is durable, for any thread: the write-ahead rule for side effects asks it before an order leaves.
#[derive(Clone, Debug)]
pub struct Durable {
    pub(crate) shared: Arc<Shared>,
}

impl Durable {
    /// Everything up to this sequence is on disk (0: nothing yet).
    #[must_use]
    pub fn get(&self) -> u64 {
        self.shared.durable()
    }

    /// Waits until everything up to `sequence` is on disk; `false` if that took longer than `timeout`. In
    /// [`Durability::Process`](crate::Durability) nothing syncs by itself, so only `sync` and `close` end the wait.
    ///
    /// # Errors
    /// [`Error::Poisoned`] if a sync failed.
    pub fn wait(&self, sequence: u64, timeout: Duration) -> Result<bool, Error> {
        self.shared.wait(sequence, timeout)
    }
}

/// When the flusher syncs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    Every(Duration),
    Always,
}

/// The thread that syncs.
#[derive(Debug)]
pub(crate) struct Flusher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    pub(crate) fn start(shared: Arc<Shared>, pace: Pace) -> Result<Flusher, Error> {
        let for_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("journal-flush".into())
            .spawn(move || run(&for_thread, pace))
            .map_err(|e| Error::Thread {
                thread: "flushing",
                reason: e.to_string(),
            })?;
        Ok(Flusher {
            shared,
            thread: Some(thread),
        })
    }

    pub(crate) fn stop(&mut self) {
        lock(&self.shared.signals).stop = true;
        self.shared.signalled.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, pace: Pace) {
    // An idle journal is looked at less and less often; whoever waits for durability wakes the flusher.
    const SHORTEST: Duration = Duration::from_micros(20);
    const LONGEST: Duration = Duration::from_millis(1);
    let mut idle = SHORTEST;
    loop {
        let stop = match pace {
            Pace::Every(interval) => shared.pause(interval, false),
            Pace::Always if shared.is_behind() => {
                idle = SHORTEST;
                shared.pause(Duration::ZERO, true)
            }
            Pace::Always => {
                let stop = shared.pause(idle, true);
                idle = (idle * 2).min(LONGEST);
                stop
            }
        };
        if stop || (shared.is_behind() && shared.sync(false).is_err()) {
            return;
        }
    }
}
