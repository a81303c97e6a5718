//! Bars of trades in event time: open, high, low, close of an interval, closed by a scheduled event on its end.
//!
//! A trade counts in the interval that holds its receipt. One whose own time lies in an interval that is closed already is
//! *late* and is left out: the closed bar was decided on and does not change, and its price belongs to no later one. It
//! stands on the tape like every trade, so whoever decides on bars can see it and doubt the bar that misses it.
//! Intervals start at the UTC epoch; exchanges open on whole or half hours of zones that are off by those, so that bars
//! of 1, 5, 10, 15 and 30 minutes are cut where a session's own bars are.
use crate::event::{BarClosed, Trade};
use crate::id::{InstrumentId, Sequence};
use crate::number::Qty;
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// A wish for bars, as a strategy's parameters name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarRequest {
    /// "venue:symbol".
    pub instrument: String,
    /// Length in ns, positive; intervals start at the UTC epoch.
    pub interval_ns: u64,
}

/// Whether a trade received now happened before the interval under way, by its venue's own time; never where the feed has
/// no such time.
#[inline]
pub(crate) const fn is_late(trade: &Trade, now: Nanos, interval_ns: u64) -> bool {
    trade.venue_time_ns != 0 && trade.venue_time_ns < now.0 - now.0 % interval_ns
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OpenBar {
    end: Nanos,
    bar: BarClosed,
}

/// The bars of one instrument and interval. Intervals without a tick have no bar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BarSeries {
    pub(super) request: BarRequest,
    pub(super) instrument: Option<InstrumentId>,
    open: Option<OpenBar>,
}

impl BarSeries {
    pub(super) const fn new(request: BarRequest, instrument: Option<InstrumentId>) -> Self {
        Self {
            request,
            instrument,
            open: None,
        }
    }

    /// Takes a trade into the bar that its receipt lies in, unless it is late.
    pub(super) fn tick(&mut self, sequence: Sequence, now: Nanos, trade: &Trade) {
        let interval_ns = self.request.interval_ns;
        if is_late(trade, now, interval_ns) {
            return;
        }
        let (instrument, price, qty) = (trade.instrument, trade.price, trade.qty);
        match &mut self.open {
            Some(OpenBar { bar, .. }) => {
                bar.high = bar.high.max(price);
                bar.low = bar.low.min(price);
                bar.close = price;
                bar.volume = Qty(bar.volume.0.saturating_add(qty.0));
            }
            none => {
                let (open, high, low, close) = (price, price, price, price);
                let bar = BarClosed {
                    cause: sequence,
                    instrument,
                    interval_ns,
                    open,
                    high,
                    low,
                    close,
                    volume: qty,
                };
                *none = Some(OpenBar {
                    end: now.next_multiple(interval_ns),
                    bar,
                });
            }
        }
    }

    pub(super) fn due(&self) -> Option<(Nanos, BarClosed)> {
        self.open.map(|open| (open.end, open.bar))
    }

    /// Takes the closed bar out; false when it is not the one that is open.
    pub(super) fn close(&mut self, bar: &BarClosed) -> bool {
        let matches = self.open.is_some_and(|open| open.bar == *bar);
        if matches {
            self.open = None;
        }
        matches
    }
}
