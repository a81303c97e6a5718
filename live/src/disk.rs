//! Room on the journal's disk: how much there is, and a halt of new risk before there is none.
use crate::inputs::Inputs;
use onetape_engine::event::{Event, OperatorAction, OperatorCommand};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How soon it notices that it is to stop.
const REST: Duration = Duration::from_millis(20);

/// What everybody may see of the journal's disk.
#[derive(Debug, Default)]
pub struct DiskStatus {
    /// Bytes that are left for us.
    pub free: AtomicU64,
    /// Bytes that the journal takes.
    pub journal: AtomicU64,
    /// The journal's first sequence.
    pub first_sequence: AtomicU64,
}

/// Looks at the room that is left, and tells the core where it is scarce.
pub struct DiskWatch {
    journal: PathBuf,
    min_free: u64,
    inputs: Inputs,
    status: Arc<DiskStatus>,
    /// Whether the core is halted for it.
    is_low: bool,
    /// Whether the last look told something.
    is_known: bool,
}

impl DiskWatch {
    /// Over a journal; `is_low` is what its tape says of the disk. Less than `min_free` bytes halt; 0 for never.
    pub fn new(
        journal: &Path,
        min_free: u64,
        is_low: bool,
        inputs: Inputs,
        status: Arc<DiskStatus>,
    ) -> Self {
        Self {
            journal: journal.to_owned(),
            min_free,
            inputs,
            status,
            is_low,
            is_known: true,
        }
    }

    /// Looks once, and tells the core what has changed.
    pub fn look(&mut self) {
        let free = match free_bytes(&self.journal) {
            Ok(free) => free,
            Err(error) => {
                if std::mem::take(&mut self.is_known) {
                    tracing::warn!(%error, "the room on the journal's disk is not known");
                }
                return;
            }
        };
        self.is_known = true;
        self.status.free.store(free, Ordering::Release);
        let low = is_low(free, self.min_free, self.is_low);
        if low == self.is_low {
            return;
        }
        self.is_low = low;
        let (dir, mib) = (self.journal.display(), free >> 20);
        let note = format!(
            "{mib} MiB are free on the disk of {dir}, min_free_mib is {}",
            self.min_free >> 20
        );
        if low {
            tracing::error!("no new risk: {note}; make room there, and it ends by itself");
        } else {
            tracing::info!("new risk is taken again: {note}");
        }
        let action = OperatorAction::DiskSpace { low };
        let command = OperatorCommand { action, note };
        self.inputs
            .event(&Event::OperatorCommand(Box::new(command)));
    }

    /// Looks until `stop`.
    pub fn run(mut self, stop: &AtomicBool) {
        let mut looked_at = Instant::now();
        while !stop.load(Ordering::Acquire) {
            if looked_at.elapsed() >= LOOK_EVERY {
                looked_at = Instant::now();
                self.look();
            }
            std::thread::sleep(REST);
        }
    }
}

/// Whether room is scarce: from below the limit on, until there is a quarter more than that.
fn is_low(free: u64, min_free: u64, was_low: bool) -> bool {
    let enough = if was_low {
        min_free.saturating_add(min_free / 4)
    } else {
        min_free
    };
    free < enough
}

/// Bytes that are left for us on a directory's file system.
fn free_bytes(dir: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetape_engine::time::Nanos;
    use onetape_venues::exchange::ExchangeClock;

    #[test]
    fn scarce_room_halts_and_a_quarter_more_ends_it() {
        for (free, was_low, low) in [
            (100, false, false),
            (99, false, true),
            (100, true, true),
            (124, true, true),
            (125, true, false),
        ] {
            assert_eq!(is_low(free, 100, was_low), low, "{free} {was_low}");
        }
        assert!(!is_low(0, 0, false) && !is_low(0, 0, true));
    }

    #[test]
    fn the_core_is_told_once_and_again_when_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ExchangeClock {
            wall_origin: Nanos(0),
            origin: Nanos(0),
            speed: 1,
        };
        let (inputs, queue) = Inputs::new(clock);
        let status = Arc::new(DiskStatus::default());
        let mut watch = DiskWatch::new(dir.path(), u64::MAX / 2, false, inputs, status.clone());
        watch.look();
        watch.look();
        watch.min_free = 1;
        watch.look();
        watch.look();
        let told: Vec<_> = queue
            .try_iter()
            .map(
                |input| match Event::decode(input.kind.number(), &input.payload) {
                    Ok(Event::OperatorCommand(command)) => command.action,
                    other => panic!("{other:?}"),
                },
            )
            .collect();
        let space = |low| OperatorAction::DiskSpace { low };
        assert_eq!(told, [space(true), space(false)]);
        assert!(status.free.load(Ordering::Acquire) > 0);
    }
}
