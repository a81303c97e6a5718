//! Bars of trades in event time: open, high, low, close of an interval, closed by a scheduled event on its end.
use crate::event::BarClosed;
use crate::id::{InstrumentId, Sequence};
use crate::number::{Price, Qty};
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

    pub(super) fn tick(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        instrument: InstrumentId,
        price: Price,
        qty: Qty,
    ) {
        match &mut self.open {
            Some(OpenBar { bar, .. }) => {
                bar.high = bar.high.max(price);
                bar.low = bar.low.min(price);
                bar.close = price;
                bar.volume = Qty(bar.volume.0.saturating_add(qty.0));
            }
            none => {
                let interval_ns = self.request.interval_ns;
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
