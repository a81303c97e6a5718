//! Keeps a path that waits for orders warm: code and keys that were used a moment ago are in the processor's caches, where
//! those of milliseconds ago are not.
use crate::transport::{Kept, Transport};
use onetape_engine::time::Nanos;
use std::time::{Duration, Instant};

/// How often it rehearses.
const EVERY: Duration = Duration::from_micros(250);
/// A rehearsal that takes longer costs more than it saves, since an order may wait for it.
const LONGEST: Duration = Duration::from_micros(50);
/// So many of those in a row, and there are no more: one alone may have been interrupted.
const SLOW_MAX: u32 = 3;

/// What an order path does while nothing is decided.
#[derive(Debug, Default)]
pub(crate) struct Rehearsal {
    last: Option<(Kept, Instant)>,
    slow: u32,
}

impl Rehearsal {
    /// An order went out.
    pub(crate) fn sent(&mut self, order: Kept, now: Instant) {
        if self.slow < SLOW_MAX {
            self.last = Some((order, now + EVERY));
        }
    }

    /// Where it is due, signs a cancel of the last order and drops it: what is dropped is never sent.
    pub(crate) fn play(&mut self, transport: &mut dyn Transport, now: Nanos) {
        let Some((order, due)) = &mut self.last else {
            return;
        };
        let began = Instant::now();
        if *due > began {
            return;
        }
        drop(transport.cancel(&order.known(), now));
        let took = began.elapsed();
        *due = began + took + EVERY;
        self.slow = if took > LONGEST { self.slow + 1 } else { 0 };
        if self.slow >= SLOW_MAX {
            self.last = None;
        }
    }
}
