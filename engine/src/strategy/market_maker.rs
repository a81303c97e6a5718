//! Two-sided quotes around the mid, looked at again on every book event (or quote).
//!
//! Each side rests one post-only order at `mid -/+ half_spread_bps`, moved against the inventory by `skew_bps` for a full
//! position and rounded away from the mid to the tick. A quote that has drifted by `requote_bps` is cancelled and, once
//! the venue says it is gone, replaced; so exposure never counts twice.
use super::sizing::{bind_qty, size_at_first_sight};
use super::{Strategy, View, Wishes};
use crate::error::EngineError;
use crate::event::Event;
use crate::id::{InstrumentId, OrderId, Sequence};
use crate::market::{BarRequest, Book, Instrument, Market};
use crate::number::{Price, Qty};
use crate::order::{OrderType, Side, TimeInForce};
use crate::risk::Proposal;
use crate::time::Nanos;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// What makes it look at its quotes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Every book event.
    Book,
    /// Every best-bid-and-ask quote.
    Quotes,
}

/// Parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// "venue:symbol"; without it the first instrument defined.
    pub instrument: Option<String>,
    /// What makes it look at its quotes again.
    pub source: Source,
    /// Distance of each quote from the mid, in hundredths of a basis point of the mid.
    pub half_spread_cbps: u32,
    /// How far a quote may drift from where it should be, in hundredths of a basis point of the mid.
    pub requote_cbps: u32,
    /// How far both quotes move against a full position, in hundredths of a basis point of the mid.
    pub skew_cbps: u32,
    /// Quantity of each quote; without it about 100 of the quote currency.
    pub qty: Option<Decimal>,
    /// Largest position, as a multiple of the quantity.
    pub max_position: u32,
    /// How long a side stays quiet after a refusal, in milliseconds.
    pub retry_ms: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            instrument: None,
            source: Source::Book,
            half_spread_cbps: 50,
            requote_cbps: 20,
            skew_cbps: 50,
            qty: None,
            max_position: 5,
            retry_ms: 1_000,
        }
    }
}

impl Params {
    pub(super) fn instruments(&self) -> Vec<&str> {
        self.instrument.as_deref().into_iter().collect()
    }

    pub(super) const fn bars(&self) -> Vec<BarRequest> {
        Vec::new()
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Quote {
    order: OrderId,
    price: Price,
    cancelling: bool,
}

/// One side's quote and when it may be placed again.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct SideState {
    quote: Option<Quote>,
    quiet_until: Nanos,
}

/// State.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    params: Params,
    bound: Option<InstrumentId>,
    qty: Option<Qty>,
    bid: SideState,
    ask: SideState,
    /// The mid at the last tick, doubled; none while the market can't be seen.
    twice_mid: Option<i64>,
    /// What we hold, or something else that quotes depend on, may have changed since the last tick.
    stirred: bool,
    /// The last tick may ask for something else than the one before.
    look: bool,
}

impl State {
    pub(super) fn new(params: &Params) -> Result<Self, String> {
        if params.max_position == 0 {
            return Err("max_position must be at least 1".to_owned());
        }
        if params.half_spread_cbps >= 1_000_000 || params.skew_cbps >= 1_000_000 {
            return Err(
                "half_spread_cbps and skew_cbps must stay below the whole price (1000000)"
                    .to_owned(),
            );
        }
        let side = SideState::default();
        Ok(Self {
            params: params.clone(),
            bound: None,
            qty: None,
            bid: side,
            ask: side,
            twice_mid: None,
            stirred: true,
            look: true,
        })
    }

    const fn side(&self, side: Side) -> &SideState {
        match side {
            Side::Buy => &self.bid,
            Side::Sell => &self.ask,
        }
    }

    const fn side_mut(&mut self, side: Side) -> &mut SideState {
        match side {
            Side::Buy => &mut self.bid,
            Side::Sell => &mut self.ask,
        }
    }

    fn quote_of(&mut self, order: OrderId) -> Option<&mut SideState> {
        let is = |side: &SideState| side.quote.is_some_and(|quote| quote.order == order);
        if is(&self.bid) {
            Some(&mut self.bid)
        } else if is(&self.ask) {
            Some(&mut self.ask)
        } else {
            None
        }
    }

    const fn is_tick(&self, event: &Event<'_>) -> bool {
        matches!(
            (self.params.source, event),
            (Source::Book, Event::BookDelta(_) | Event::BookSnapshot(_))
                | (Source::Quotes, Event::Quote(_))
                | (_, Event::FeedState(_))
        )
    }

    /// Sees where the mid is. With the same mid, the same orders and nothing to try again the answer is the one before.
    #[inline]
    fn tick(&mut self, now: Nanos, market: &Market) {
        let instrument = self.bound.and_then(|id| market.instrument(id).ok());
        let live = instrument.and_then(|instrument| match self.params.source {
            Source::Book => instrument.book().map(Book::top),
            Source::Quotes => instrument.quote(),
        });
        let twice_mid = live.and_then(|top| top.twice_mid());
        let lacks = |side: &SideState| side.quote.is_none() && now >= side.quiet_until;
        let again = lacks(&self.bid) || lacks(&self.ask);
        self.look = self.stirred || again || twice_mid != self.twice_mid;
        self.stirred = false;
        self.twice_mid = twice_mid;
    }

    /// How far what is held moves both quotes down.
    #[inline]
    fn skew(&self, held: i64, size: i64) -> i64 {
        if held == 0 {
            return 0;
        }
        // Beyond a full position quotes move no further, so the shift stays below the whole price.
        let full = i128::from(size) * i128::from(self.params.max_position);
        let held = i128::from(held).clamp(-full, full);
        divided(i128::from(self.params.skew_cbps) * held, full) as i64
    }

    /// Where a side's quote should stand: on the tick, away from the mid.
    #[inline]
    fn target(&self, side: Side, twice_mid: i64, skew: i64, tick: i64) -> i64 {
        // Neither quote passes the mid: a post-only order beyond it would only expire.
        let half_spread = i64::from(self.params.half_spread_cbps);
        let shift = match side {
            Side::Buy => (-half_spread - skew).min(0),
            Side::Sell => (half_spread - skew).max(0),
        };
        // Twice the mid in millionths of a price unit, so that hundredths of a basis point are whole.
        let wanted = i128::from(twice_mid) * i128::from(1_000_000 + shift);
        let step = i128::from(tick) * 2_000_000;
        let ticks = match side {
            Side::Buy => rounded_down(wanted, step),
            Side::Sell => -rounded_down(-wanted, step),
        };
        i64::try_from(ticks).unwrap_or(0).saturating_mul(tick)
    }

    /// Takes back what stands wrong and places what is missing.
    fn quote(&self, view: &View<'_>, wishes: &mut Wishes) {
        let Some(id) = self.bound else { return };
        let Some(twice_mid) = self.twice_mid else {
            // Blind: nothing of ours should stand in a market that we can't see.
            for side in [&self.bid, &self.ask] {
                if let Some(quote) = side.quote.filter(|quote| !quote.cancelling) {
                    wishes.cancel(quote.order);
                }
            }
            return;
        };
        let Ok(instrument) = view.market.instrument(id) else {
            return;
        };
        let Some(rules) = instrument.rules_at(view.now) else {
            return;
        };
        // Where the tick changes with the price, the price comes first: to the unit, then to the grid.
        let tick = if rules.bands.is_empty() {
            rules.tick_size.0
        } else {
            1
        };
        let held = view.position(id).0;
        let Some(Qty(size)) = self.qty else { return };
        let skew = self.skew(held, size);
        let drift = i128::from(twice_mid) * i128::from(self.params.requote_cbps);
        // On the tick, or on the grid where the tick changes with the price.
        let price_of = |side| {
            let price = Price(self.target(side, twice_mid, skew, tick));
            match side {
                _ if rules.bands.is_empty() => price,
                Side::Buy => rules.floor_price(price),
                Side::Sell => rules.ceil_price(price),
            }
        };
        for side in [Side::Buy, Side::Sell] {
            let state = self.side(side);
            match state.quote {
                Some(quote) if quote.cancelling => {}
                Some(quote) => {
                    let off = quote.price.0.abs_diff(price_of(side).0);
                    if i128::from(off) * 2_000_000 > drift {
                        wishes.cancel(quote.order);
                    }
                }
                None if view.now >= state.quiet_until && self.has_room(side, held, size) => {
                    let price = price_of(side);
                    if price.0 > 0 {
                        wishes.order(Proposal {
                            instrument: id,
                            side,
                            order_type: OrderType::Limit,
                            time_in_force: TimeInForce::PostOnly,
                            price,
                            qty: Qty(size),
                            tag: 0,
                            hedges: None,
                            one_of: None,
                            protect: None,
                        });
                    }
                }
                None => {}
            }
        }
    }

    /// Whether another quote of a side may fill: it reduces the position, or leaves it within the largest one.
    #[inline]
    fn has_room(&self, side: Side, held: i64, size: i64) -> bool {
        let after = (i128::from(held) + i128::from(side.sign() * size)).abs();
        let full = i128::from(size) * i128::from(self.params.max_position);
        held.signum() == -side.sign() || after <= full
    }
}

/// `n / d` for a positive `d`. Nearly always both fit a machine word, where dividing costs a tenth.
#[inline]
fn divided(n: i128, d: i128) -> i128 {
    match (i64::try_from(n), i64::try_from(d)) {
        (Ok(n), Ok(d)) => i128::from(n / d),
        _ => n / d,
    }
}

/// `n / d` for a positive `d`, rounded down.
#[inline]
fn rounded_down(n: i128, d: i128) -> i128 {
    match (i64::try_from(n), i64::try_from(d)) {
        (Ok(n), Ok(d)) => i128::from(n / d - i64::from(n % d < 0)),
        _ => n / d - i128::from(n % d < 0),
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
        if self.is_tick(event) {
            self.tick(now, market);
            return Ok(());
        }
        let retry_ns = self.params.retry_ms.saturating_mul(1_000_000);
        match event {
            // What is no tick moves no mid.
            Event::Quote(_) | Event::Trade(_) | Event::BookDelta(_) | Event::BookSnapshot(_) => {}
            // Our own orders change nothing that quotes depend on before they are filled; a side that has none is looked
            // at on every tick.
            Event::OrderDecided(order) => {
                let quote = Quote {
                    order: OrderId(sequence.0),
                    price: order.price,
                    cancelling: false,
                };
                self.side_mut(order.side).quote = Some(quote);
            }
            Event::CancelDecided(cancel) => {
                if let Some(quote) = self
                    .quote_of(cancel.order)
                    .and_then(|side| side.quote.as_mut())
                {
                    quote.cancelling = true;
                }
            }
            Event::OrderDenied(denied) => {
                self.side_mut(denied.side).quiet_until = now.after(retry_ns);
            }
            Event::ExecutionReport(report) => {
                self.stirred |= report.fill.is_some();
                if report.state.is_final()
                    && let Some(side) = self.quote_of(report.order)
                {
                    side.quote = None;
                    if report.state == crate::order::OrderState::Rejected {
                        side.quiet_until = now.after(retry_ns);
                    }
                }
            }
            _ => self.stirred = true,
        }
        Ok(())
    }

    #[inline]
    fn decide(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        if self.look && self.is_tick(event) {
            self.quote(view, wishes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: mid 100.005, half spread 1 bp = 0.0100005, so 99.9949995 and 100.0150005, rounded away from the mid.
    #[test]
    fn quotes_stand_on_the_tick_away_from_the_mid() {
        let params = Params {
            half_spread_cbps: 100,
            ..Params::default()
        };
        let state = State::new(&params).unwrap();
        assert_eq!(state.target(Side::Buy, 20_001, 0, 1), 9_999);
        assert_eq!(state.target(Side::Sell, 20_001, 0, 1), 10_002);
    }

    /// By hand: half spread 10, skew 50 against a full short position would put the bid 40 above the mid of 100.00.
    #[test]
    fn no_quote_passes_the_mid() {
        let params = Params {
            half_spread_cbps: 10_000,
            skew_cbps: 50_000,
            max_position: 1,
            ..Params::default()
        };
        let state = State::new(&params).unwrap();
        assert_eq!(
            state.target(Side::Buy, 20_000, state.skew(-1, 1), 1),
            10_000
        );
        assert_eq!(
            state.target(Side::Sell, 20_000, state.skew(1, 1), 1),
            10_000
        );
    }

    #[test]
    fn a_long_position_moves_both_quotes_down() {
        let params = Params {
            half_spread_cbps: 100,
            skew_cbps: 100,
            max_position: 1,
            ..Params::default()
        };
        let state = State::new(&params).unwrap();
        assert!(
            state.target(Side::Buy, 2_000_000, state.skew(1, 1), 1)
                < state.target(Side::Buy, 2_000_000, 0, 1)
        );
        assert!(
            state.target(Side::Sell, 2_000_000, state.skew(1, 1), 1)
                < state.target(Side::Sell, 2_000_000, 0, 1)
        );
    }
}
