//! Decides the tape again, seconds behind the core, and halts it on the first difference.
use crate::inputs::Inputs;
use onetape_backtest::{Followed, Follower};
use onetape_engine::event::{Event, OperatorAction, OperatorCommand};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Frames between two looks at whether to stop.
const FRAMES_AT_ONCE: usize = 4_096;
/// How long it waits at the end of the tape.
const REST: Duration = Duration::from_millis(20);

/// The verifier's thread.
pub struct Verifier {
    /// The tape.
    pub journal: PathBuf,
    /// The way to the core.
    pub inputs: Inputs,
    /// The last frame that came out the same.
    pub verified: Arc<AtomicU64>,
}

impl Verifier {
    /// Verifies what is written from here on, until `stop`, and to the tape's end then.
    pub fn run(self, stop: &AtomicBool) {
        if let Err((sequence, why)) = self.follow(stop) {
            tracing::error!(sequence, why, "verification failed");
            let command = OperatorCommand {
                action: OperatorAction::VerificationFailed { sequence },
                note: why,
            };
            self.inputs
                .event(&Event::OperatorCommand(Box::new(command)));
            // The halt is on the tape. Orders at work are still managed, so the daemon goes on.
            while !stop.load(Ordering::Acquire) {
                std::thread::sleep(REST);
            }
        }
    }

    fn follow(&self, stop: &AtomicBool) -> Result<(), (u64, String)> {
        let mut follower = Follower::begin(&self.journal).map_err(|e| (0, e.to_string()))?;
        loop {
            // Read before the tape is: what was written before `stop` is verified.
            let stopping = stop.load(Ordering::Acquire);
            let followed = follower.follow(FRAMES_AT_ONCE);
            self.verified.store(follower.verified(), Ordering::Release);
            match followed {
                Err(error) => return Err((follower.verified() + 1, error.to_string())),
                Ok(Followed::Differs(found)) => return Err((found.sequence, found.what)),
                Ok(Followed::More) => {}
                Ok(Followed::ToTheEnd) if stopping => return Ok(()),
                Ok(Followed::ToTheEnd) => std::thread::sleep(REST),
            }
        }
    }
}
