//! The core's thread: takes inputs from the queue, and nothing else.
use crate::inputs::{Input, QUEUE_MAX};
use crate::processor::{self, PinError};
use crossbeam_channel::{Receiver, TryRecvError};
use onetape_backtest::JournalSink;
use onetape_engine::event::{Event, Heartbeat, OperatorAction, OperatorCommand};
use onetape_engine::sequencer::{Sequencer, StepError};
use onetape_venues::exchange::ExchangeClock;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What the core does while there is nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Looks again at once: the shortest latency, one processor's whole time.
    Spin,
    /// Lets others run and looks again.
    Yield,
    /// Sleeps until something comes.
    #[default]
    Park,
}

/// Without inputs time passes on the tape as often as this, so that timers fire.
const HEARTBEAT: Duration = Duration::from_millis(20);
/// Inputs that wait: above the first the core takes no new risk, below the second it does again.
const BEHIND: usize = QUEUE_MAX / 4;
const CAUGHT_UP: usize = QUEUE_MAX / 64;

/// What everybody may see of the core without asking it.
#[derive(Debug, Default)]
pub struct CoreStatus {
    /// The next frame's sequence.
    pub next_sequence: AtomicU64,
    /// The last frame's stamp, UTC ns.
    pub last_stamp_ns: AtomicU64,
    /// Times round the loop that took at least one input: it grows while the core is alive.
    pub turns: AtomicU64,
    /// Inputs that waited when it last looked.
    pub waiting: AtomicU64,
    /// True once the core has ended.
    pub ended: AtomicBool,
}

/// How the core's thread runs.
#[derive(Clone, Debug)]
pub struct CoreOptions {
    /// The daemon's clock.
    pub clock: ExchangeClock,
    /// What it does while there is nothing to do.
    pub wait: Wait,
    /// The processor that the thread stays on.
    pub pin_to_cpu: Option<usize>,
    /// Told after each step that had something to say: order paths look at the journal then.
    pub decided: Vec<Arc<Notify>>,
}

/// Why the core ended.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The thread can't be kept on its processor.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A step could not be taken, or the journal can't be written.
    #[error(transparent)]
    Step(#[from] StepError<onetape_journal::Error>),
}

/// Runs until `stop`, then gives the sequencer back.
///
/// # Errors
/// [`CoreError`]: nothing may be decided after it.
pub fn run(
    mut sequencer: Sequencer<JournalSink>,
    inputs: &Receiver<Input>,
    options: &CoreOptions,
    stop: &AtomicBool,
    status: &CoreStatus,
) -> Result<Sequencer<JournalSink>, CoreError> {
    let CoreOptions { clock, wait, .. } = *options;
    if let Some(cpu) = options.pin_to_cpu {
        processor::pin(cpu)?;
    }
    let mut payload = Vec::new();
    let mut last_turn = Instant::now();
    let mut behind = false;
    let ended = loop {
        let input = match inputs.try_recv() {
            Ok(input) => Some(input),
            Err(TryRecvError::Disconnected) => break Ok(()),
            Err(TryRecvError::Empty) => match wait {
                Wait::Park => inputs.recv_timeout(HEARTBEAT).ok(),
                Wait::Yield => {
                    std::thread::yield_now();
                    None
                }
                Wait::Spin => {
                    std::hint::spin_loop();
                    None
                }
            },
        };
        let before = sequencer.next_sequence().0;
        let taken = match &input {
            Some(input) => sequencer.step(input.at, input.kind.number(), &input.payload),
            None if stop.load(Ordering::Acquire) => break Ok(()),
            None if last_turn.elapsed() >= HEARTBEAT => {
                let heartbeat = Event::Heartbeat(Heartbeat {});
                payload.clear();
                heartbeat.encode(&mut payload);
                sequencer.step(clock.now(), heartbeat.kind().number(), &payload)
            }
            None => continue,
        };
        if let Err(error) = taken {
            break Err(error);
        }
        last_turn = Instant::now();
        let waiting = inputs.len();
        if behind != (waiting > if behind { CAUGHT_UP } else { BEHIND }) {
            behind = !behind;
            let command = Event::OperatorCommand(Box::new(OperatorCommand {
                action: OperatorAction::Backlog { behind },
                note: format!("{waiting} inputs wait"),
            }));
            payload.clear();
            command.encode(&mut payload);
            let said = sequencer.step(clock.now(), command.kind().number(), &payload);
            if let Err(error) = said {
                break Err(error);
            }
        }
        let next = sequencer.next_sequence().0;
        if next > before + 1 {
            options.decided.iter().for_each(|path| path.notify_one());
        }
        status.next_sequence.store(next, Ordering::Release);
        let stamp = sequencer.last_stamp().0;
        status.last_stamp_ns.store(stamp, Ordering::Release);
        status.waiting.store(waiting as u64, Ordering::Release);
        status.turns.fetch_add(1, Ordering::AcqRel);
    };
    status.ended.store(true, Ordering::Release);
    ended?;
    Ok(sequencer)
}
