//! Two exponential moving averages: long while the fast one is above the slow one, short (or flat) while below.
//!
//! The averages are integers: twice the mid with 20 more binary digits, `ema += (x - ema) * 2 / (n + 1)` with the factor
//! in 32 binary digits and the result rounded down. No float is compared anywhere.
use super::sizing::{bind_qty, size_at_first_sight};
use super::{Strategy, View, Wishes};
use crate::error::EngineError;
use crate::event::{BarClosed, Event};
use crate::id::{InstrumentId, OrderId, Sequence};
use crate::market::{BarRequest, Instrument, Market};
use crate::number::{Price, Qty};
use crate::order::{OrderType, Side, TimeInForce};
use crate::risk::Proposal;
use crate::time::{Nanos, SECOND_NS};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// What the averages are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The mid of every quote.
    Quotes,
    /// The mid after every book event.
    Book,
    /// The close of every bar of trades.
    Bars,
}

/// Parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// "venue:symbol"; without it the first instrument defined.
    pub instrument: Option<String>,
    /// What the averages are taken over.
    pub source: Source,
    /// Length of a bar in seconds, for `source = "bars"`.
    pub bar_s: u64,
    /// Length of the fast average, in ticks or bars.
    pub fast: u32,
    /// Length of the slow average, in ticks or bars.
    pub slow: u32,
    /// Position held either way; without it about 100 of the quote currency.
    pub qty: Option<Decimal>,
    /// Whether to go short below the slow average, or only flat.
    pub short: bool,
    /// How long to wait after the risk gate or the venue refused an order, in milliseconds.
    pub retry_ms: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            instrument: None,
            source: Source::Quotes,
            bar_s: 60,
            fast: 10,
            slow: 20,
            qty: None,
            short: true,
            retry_ms: 1_000,
        }
    }
}

impl Params {
    pub(super) fn instruments(&self) -> Vec<&str> {
        self.instrument.as_deref().into_iter().collect()
    }

    pub(super) fn bars(&self) -> Vec<BarRequest> {
        match (&self.source, &self.instrument) {
            (Source::Bars, Some(instrument)) => vec![BarRequest {
                instrument: instrument.clone(),
                interval_ns: self.bar_s.saturating_mul(SECOND_NS),
            }],
            _ => Vec::new(),
        }
    }
}

const FRACTION_BITS: u32 = 20;
const FACTOR_BITS: u32 = 32;

/// An exponential average over `n` values.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Average {
    value: i128,
    factor: i64,
}

impl Average {
    fn new(n: u32) -> Self {
        Self {
            value: 0,
            factor: (2i64 << FACTOR_BITS) / (i64::from(n) + 1),
        }
    }

    #[inline]
    fn add(&mut self, x: i128, first: bool) {
        if first {
            self.value = x;
        } else {
            self.value += ((x - self.value) * i128::from(self.factor)) >> FACTOR_BITS;
        }
    }
}

/// State.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    params: Params,
    bound: Option<InstrumentId>,
    qty: Option<Qty>,
    fast: Average,
    slow: Average,
    seen: u32,
    working: Option<OrderId>,
    quiet_until: Nanos,
}

impl State {
    pub(super) fn new(params: &Params) -> Result<Self, String> {
        if params.fast == 0 || params.fast >= params.slow {
            return Err(format!(
                "fast must be at least 1 and below slow, found {} and {}",
                params.fast, params.slow
            ));
        }
        if params.source == Source::Bars && (params.bar_s == 0 || params.instrument.is_none()) {
            return Err("source = \"bars\" needs an instrument and bar_s of at least 1".to_owned());
        }
        Ok(Self {
            params: params.clone(),
            bound: None,
            qty: None,
            fast: Average::new(params.fast),
            slow: Average::new(params.slow),
            seen: 0,
            working: None,
            quiet_until: Nanos(0),
        })
    }

    #[inline]
    fn tick(&mut self, twice_mid: i64) {
        let x = i128::from(twice_mid) << FRACTION_BITS;
        self.fast.add(x, self.seen == 0);
        self.slow.add(x, self.seen == 0);
        self.seen = self.seen.saturating_add(1);
    }

    /// Whether the event is one that the averages are taken over.
    #[inline]
    const fn is_tick(&self, event: &Event<'_>) -> bool {
        matches!(
            (self.params.source, event),
            (Source::Quotes, Event::Quote(_))
                | (Source::Book, Event::BookDelta(_) | Event::BookSnapshot(_))
                | (Source::Bars, Event::BarClosed(_))
        )
    }

    /// Orders what the averages ask for and is not held yet.
    #[inline(never)]
    fn compare(&self, view: &View<'_>, wishes: &mut Wishes) {
        let Some(id) = self.bound else { return };
        let held = view.position(id).0;
        let above = self.fast.value > self.slow.value;
        if (above && held > 0)
            || (self.fast.value < self.slow.value
                && (held < 0 || (!self.params.short && held == 0)))
            || self.fast.value == self.slow.value
            || view.now < self.quiet_until
        {
            return;
        }
        let Some(size) = self.qty else { return };
        let target = if above {
            size.0
        } else if self.params.short {
            -size.0
        } else {
            0
        };
        let Some(change) = target.checked_sub(held) else {
            return;
        };
        let side = if change > 0 { Side::Buy } else { Side::Sell };
        wishes.order(Proposal {
            instrument: id,
            side,
            order_type: OrderType::Market,
            time_in_force: TimeInForce::ImmediateOrCancel,
            price: Price(0),
            qty: Qty(change).abs(),
            tag: 0,
            hedges: None,
            one_of: None,
            protect: None,
        });
    }
}

impl Strategy for State {
    fn bind(&mut self, instrument: &Instrument) -> Result<bool, String> {
        let wanted = self
            .params
            .instrument
            .as_ref()
            .is_none_or(|name| *name == instrument.name);
        if !wanted || self.bound.is_some() {
            return Ok(false);
        }
        self.qty = bind_qty(self.params.qty, instrument.decimals())?;
        self.bound = Some(instrument.id());
        Ok(true)
    }

    #[inline]
    fn evolve(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        if self.qty.is_none() {
            self.qty = size_at_first_sight(self.bound, now, market);
        }
        match event {
            Event::Quote(quote) => {
                if self.params.source == Source::Quotes
                    && let Some(mid) = market
                        .instrument(quote.instrument)?
                        .quote()
                        .and_then(|top| top.twice_mid())
                {
                    self.tick(mid);
                }
            }
            Event::BookDelta(update) | Event::BookSnapshot(update)
                if self.params.source == Source::Book =>
            {
                let instrument = market.instrument(update.header.instrument)?;
                let live = instrument.book().and_then(|_| instrument.top());
                if let Some(mid) = live.and_then(|top| top.twice_mid()) {
                    self.tick(mid);
                }
            }
            Event::BarClosed(BarClosed {
                close, interval_ns, ..
            }) if *interval_ns == self.params.bar_s.saturating_mul(SECOND_NS)
                && self.is_tick(event) =>
            {
                self.tick(close.0.saturating_mul(2));
            }
            Event::OrderDecided(_) => self.working = Some(OrderId(sequence.0)),
            Event::OrderDenied(_) => {
                self.quiet_until = now.after(self.params.retry_ms.saturating_mul(1_000_000))
            }
            Event::ExecutionReport(report)
                if self.working == Some(report.order) && report.state.is_final() =>
            {
                self.working = None;
                if report.state != crate::order::OrderState::Filled {
                    self.quiet_until = now.after(self.params.retry_ms.saturating_mul(1_000_000));
                }
            }
            _ => {}
        }
        Ok(())
    }

    #[inline]
    fn decide(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        if self.is_tick(event) && self.seen >= self.params.slow && self.working.is_none() {
            self.compare(view, wishes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand, n = 3: the factor is 1/2, so 8, 16, 16 give 8, 12, 14.
    #[test]
    fn the_average_follows_its_formula() {
        let mut average = Average::new(3);
        let mut values = Vec::new();
        for (place, x) in [8i128, 16, 16].into_iter().enumerate() {
            average.add(x << FRACTION_BITS, place == 0);
            values.push(average.value >> FRACTION_BITS);
        }
        assert_eq!(values, [8, 12, 14]);
    }

    #[test]
    fn parameters_that_can_not_work_are_refused() {
        assert!(
            State::new(&Params {
                fast: 20,
                ..Params::default()
            })
            .is_err()
        );
        assert!(
            State::new(&Params {
                source: Source::Bars,
                ..Params::default()
            })
            .is_err()
        );
    }
}
