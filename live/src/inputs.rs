//! The way into the core: one bounded queue, many producers, one consumer.
use crossbeam_channel::{Receiver, Sender, bounded};
use onetape_engine::event::{Event, Kind};
use onetape_engine::time::Nanos;
use onetape_venues::exchange::ExchangeClock;
use onetape_venues::gateway::Outbox;
use std::time::Duration;

/// Inputs that wait for the core at the most: about three seconds of 20,000 messages a second. A producer that finds the
/// queue full waits, so its socket does, and nothing is lost.
pub const QUEUE_MAX: usize = 1 << 16;

/// One input, encoded.
#[derive(Debug)]
pub struct Input {
    /// When it came, on the daemon's clock.
    pub at: Nanos,
    /// What.
    pub kind: Kind,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A producer's end.
#[derive(Clone, Debug)]
pub struct Inputs {
    sender: Sender<Input>,
    clock: ExchangeClock,
}

impl Inputs {
    /// A queue, and the core's end of it.
    pub fn new(clock: ExchangeClock) -> (Self, Receiver<Input>) {
        let (sender, receiver) = bounded(QUEUE_MAX);
        (Self { sender, clock }, receiver)
    }

    /// The daemon's time.
    pub fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// Wall time that has passed since a time of the daemon's.
    pub fn wall_since(&self, at: Nanos) -> Duration {
        Duration::from_nanos(self.now().since(at) / u64::from(self.clock.speed))
    }

    /// Seconds of the daemon's time in one second.
    pub const fn speed(&self) -> u32 {
        self.clock.speed
    }

    /// Puts an event into the queue; false when the core is gone.
    pub fn event(&self, event: &Event<'_>) -> bool {
        let mut payload = Vec::new();
        event.encode(&mut payload);
        self.push(self.now(), event.kind(), payload)
    }

    /// Puts what a codec had for the tape into the queue, stamped with when its bytes came; false when the core is gone.
    pub fn outbox(&self, at: Nanos, outbox: &Outbox) -> bool {
        outbox
            .events()
            .all(|(kind, payload)| self.push(at, kind, payload.to_vec()))
    }

    fn push(&self, at: Nanos, kind: Kind, payload: Vec<u8>) -> bool {
        self.sender.send(Input { at, kind, payload }).is_ok()
    }
}
