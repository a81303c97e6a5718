//! Keeps the journal small behind the core: compresses what lies before the newest snapshot, and removes the oldest
//! segments where a bound is set. Nothing goes that recovery or an order path may need.
use crate::core::CoreStatus;
use crate::disk::DiskStatus;
use crate::order_path::FRAMES_READ_AGAIN;
use onetape_backtest::describe::is_carried;
use onetape_journal::{Error, archive, retention, snapshot};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How soon it notices that it is to stop.
const REST: Duration = Duration::from_millis(20);
/// Zstandard's own default: fast, since it may never fall behind.
const LEVEL: i32 = 3;
/// The lowest priority that a thread can have without another scheduler.
const NICE: i32 = 19;

/// The thread that keeps a journal small.
pub struct Keeper {
    /// The journal.
    pub journal: PathBuf,
    /// Whether sealed segments are compressed.
    pub archive: bool,
    /// What the journal may take on disk, in bytes; without it everything stays.
    pub max_bytes: Option<u64>,
    /// What the writer may allocate between two looks.
    pub segment_bytes: u64,
    /// How far the tape is.
    pub core: Arc<CoreStatus>,
    /// How far the continuous verifier is, if there is one.
    pub verified: Option<Arc<AtomicU64>>,
    /// Where the journal's size is shown.
    pub status: Arc<DiskStatus>,
    /// Snapshots that read.
    pub sound: BTreeSet<u64>,
}

impl Keeper {
    /// Keeps until `stop`. What goes wrong is said and tried again: the journal only takes more room then.
    pub fn run(mut self, stop: &AtomicBool) {
        // Where it is refused the thread competes like any other.
        let _ = rustix::process::setpriority_process(None, NICE);
        let (mut looked_at, mut last_said) = (None::<Instant>, String::new());
        while !stop.load(Ordering::Acquire) {
            if looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                let said = match self.look(stop) {
                    Ok(None) => String::new(),
                    Ok(Some(over)) => over,
                    Err(error) => error.to_string(),
                };
                if said != last_said && !said.is_empty() {
                    tracing::warn!("the journal can't be kept small: {said}");
                }
                last_said = said;
                looked_at = Some(Instant::now());
            }
            std::thread::sleep(REST);
        }
    }

    /// Compresses and removes what it may; why the bound does not hold, if it does not.
    fn look(&mut self, stop: &AtomicBool) -> Result<Option<String>, Error> {
        let known: BTreeSet<u64> = snapshot::list(&self.journal)?.into_iter().collect();
        self.sound.retain(|sequence| known.contains(sequence));
        for sequence in known {
            if !self.sound.contains(&sequence) && snapshot::read(&self.journal, sequence).is_ok() {
                self.sound.insert(sequence);
            }
        }
        let archived = self.archive(stop);
        // What can't be compressed may still go.
        let over = self.keep_within()?;
        archived.map(|()| over)
    }

    /// Compresses what lies before the newest snapshot.
    fn archive(&self, stop: &AtomicBool) -> Result<(), Error> {
        let newest = self.sound.last().copied().unwrap_or(0);
        while self.archive && !stop.load(Ordering::Acquire) {
            let Some(done) = archive::compress_next(&self.journal, newest, LEVEL)? else {
                break;
            };
            tracing::info!(
                segment = done.segment,
                bytes = done.raw_bytes,
                archived_bytes = done.packed_bytes,
                "archived"
            );
        }
        Ok(())
    }

    /// Removes what the bound asks for; why the bound does not hold, if it does not.
    fn keep_within(&self) -> Result<Option<String>, Error> {
        let Some(max) = self.max_bytes else {
            self.show(
                retention::bytes(&self.journal)?,
                retention::first_sequence(&self.journal)?,
            );
            return Ok(None);
        };
        // The writer begins a segment, and has the next one made, before the next look.
        let target = max.saturating_sub(2 * self.segment_bytes);
        let kept = retention::keep_within(&self.journal, target, self.needed_from(), &mut |f| {
            is_carried(f.tag.kind())
        })?;
        self.show(kept.bytes, kept.first_sequence);
        if kept.removed > 0 {
            tracing::info!(
                segments = kept.removed,
                first_sequence = kept.first_sequence,
                "removed, to keep within journal_max_mib"
            );
        }
        Ok((kept.bytes > max).then(|| {
            format!(
                "it takes more than journal_max_mib ({} MiB), and recovery needs what is left from sequence {} on",
                max >> 20,
                self.needed_from()
            )
        }))
    }

    /// Before this sequence nothing is needed: recovery may begin with the oldest snapshot where the others are damaged,
    /// order paths read so many frames again, and the verifier is behind it.
    fn needed_from(&self) -> u64 {
        let next = self.core.next_sequence.load(Ordering::Acquire);
        let verified = self.verified.as_ref();
        let verified = verified.map_or(next, |last| last.load(Ordering::Acquire));
        let read_again = next.saturating_sub(FRAMES_READ_AGAIN).min(verified);
        match self.sound.first() {
            Some(oldest) if self.sound.len() > 1 => read_again.min(*oldest),
            _ => 0,
        }
    }

    fn show(&self, bytes: u64, first_sequence: u64) {
        self.status.journal.store(bytes, Ordering::Release);
        self.status
            .first_sequence
            .store(first_sequence, Ordering::Release);
    }
}
