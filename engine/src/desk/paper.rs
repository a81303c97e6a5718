//! The paper venue: a deterministic exchange over the market that we see.
//!
//! - An order arrives after the venue's latency in event time and walks the opposite side's depth. What it took is not
//!   there a second time until the venue shows that level anew.
//! - The rest of a limit order rests behind everything displayed at its price (the risk-averse queue: only trades at
//!   the price, or the level shrinking below what is ahead, move it forward). It fills when trades exceed the queue
//!   ahead, in full when trades go through its price, and in full when the other side comes to its price.
//! - Ticks, lots, bounds, market status and the fee in force are checked on arrival.
//!
//! Like everything on the desk it decides from `&self` and changes only in `evolve` of the reports that it made.
use super::Desk;
use crate::error::EngineError;
use crate::event::{
    Aggressor, BookUpdate, Event, ExecutionReport, Fill, Level, Liquidity, Trade, TradingStatus,
    VenueReason,
};
use crate::id::{InstrumentId, OrderId, Sequence};
use crate::market::{Instrument, Market, Top};
use crate::number::{Price, Qty};
use crate::order::{Order, OrderState, OrderType, Side, TimeInForce};
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// Nothing is known of the queue: the order rests deeper than the quotes show.
const QUEUE_UNKNOWN: i64 = i64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Resting {
    order: OrderId,
    instrument: InstrumentId,
    side: Side,
    price: Price,
    remaining: Qty,
    /// Displayed before us at our price.
    ahead: i64,
    /// What trades have filled of it and no report has said yet.
    fillable: i64,
}

/// Liquidity that we took from a level as it was displayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    instrument: InstrumentId,
    side: Side,
    price: Price,
    displayed: Qty,
    qty: Qty,
}

/// What the paper venue keeps beside the market.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paper {
    /// In the order of arrival.
    resting: Vec<Resting>,
    taken: Vec<Taken>,
    fills: u64,
}

impl Paper {
    /// Whether no market event can matter.
    #[inline]
    pub(super) const fn is_idle(&self) -> bool {
        self.resting.is_empty() && self.taken.is_empty()
    }

    /// Folds a market event that the market has folded already.
    #[inline]
    pub(super) fn see_market(&mut self, event: &Event<'_>, market: &Market) {
        match event {
            Event::Trade(trade) => self.see_trade(trade),
            Event::BookDelta(update) => self.see_delta(update, market),
            Event::BookSnapshot(update) => {
                let instrument = update.header.instrument;
                self.taken.retain(|taken| taken.instrument != instrument);
                self.see_levels(instrument, market);
            }
            // Beside a live book, quotes show nothing anew.
            Event::Quote(quote) if !has_book(market, quote.instrument) => {
                self.taken.retain(|taken| {
                    taken.instrument != quote.instrument
                        || (taken.price, taken.displayed)
                            == match taken.side {
                                Side::Buy => (quote.bid_price, quote.bid_qty),
                                Side::Sell => (quote.ask_price, quote.ask_qty),
                            }
                });
                self.see_levels(quote.instrument, market);
            }
            _ => {}
        }
    }

    fn see_trade(&mut self, trade: &Trade) {
        if !trade.is_sane() {
            return;
        }
        let mut ours = 0;
        for rest in self
            .resting
            .iter_mut()
            .filter(|rest| rest.instrument == trade.instrument)
        {
            let hits = match trade.aggressor() {
                Aggressor::Buyer => rest.side == Side::Sell,
                Aggressor::Seller => rest.side == Side::Buy,
                Aggressor::Unknown => true,
            };
            if !hits || !rest.side.opposite().crosses(trade.price, rest.price) {
                continue;
            }
            if trade.price == rest.price {
                let reached = trade.qty.0.saturating_sub(rest.ahead).saturating_sub(ours);
                let left = rest.remaining.0 - rest.fillable;
                let take = reached.clamp(0, left);
                rest.fillable += take;
                ours += take;
                rest.ahead = rest.ahead.saturating_sub(trade.qty.0).max(0);
            } else {
                rest.fillable = rest.remaining.0;
            }
        }
    }

    fn see_delta(&mut self, update: &BookUpdate<'_>, market: &Market) {
        let instrument = update.header.instrument;
        if !has_book(market, instrument) {
            return;
        }
        for (side, levels) in [(Side::Buy, update.bids), (Side::Sell, update.asks)] {
            if levels.is_empty() {
                continue;
            }
            if !self.taken.is_empty() {
                self.taken.retain(|taken| {
                    (taken.instrument, taken.side) != (instrument, side)
                        || levels.iter().all(|level| level.price != taken.price)
                });
            }
            for rest in self
                .resting
                .iter_mut()
                .filter(|rest| (rest.instrument, rest.side) == (instrument, side))
            {
                if let Some(level) = levels.iter().find(|level| level.price == rest.price) {
                    rest.ahead = rest.ahead.min(level.qty.0);
                }
            }
        }
    }

    /// Moves the queues to what the whole book or the quotes show now.
    fn see_levels(&mut self, instrument: InstrumentId, market: &Market) {
        let Ok(instrument) = market.instrument(instrument) else {
            return;
        };
        for rest in self
            .resting
            .iter_mut()
            .filter(|rest| rest.instrument == instrument.id())
        {
            if let Some(displayed) = displayed_at(instrument, rest.side, rest.price) {
                rest.ahead = rest.ahead.min(displayed);
            }
        }
    }

    /// Folds one of our own reports.
    pub(super) fn see_report(
        &mut self,
        report: &ExecutionReport,
        order: &Order,
        instrument: &Instrument,
    ) {
        let rests = |rest: &Resting| rest.order == order.id;
        // A venue may acknowledge again what was unknown for a while.
        if report.state == OrderState::Acked && order.rests() && !self.resting.iter().any(rests) {
            let ahead = displayed_at(instrument, order.side, order.price).unwrap_or(QUEUE_UNKNOWN);
            self.resting.push(Resting {
                order: order.id,
                instrument: order.instrument,
                side: order.side,
                price: order.price,
                remaining: order.remaining(),
                ahead,
                fillable: 0,
            });
        }
        if let Some(fill) = &report.fill {
            self.fills += 1;
            match fill.liquidity {
                Liquidity::Taker => self.take(order, fill.price, fill.qty.0, instrument),
                Liquidity::Maker => self.take_what_met(order, fill.qty.0, instrument),
            }
        }
        if let Some(place) = self.resting.iter().position(rests) {
            if order.state.is_final() {
                self.resting.remove(place);
            } else if let Some(fill) = &report.fill {
                let rest = &mut self.resting[place];
                rest.remaining = order.remaining();
                rest.fillable = (rest.fillable - fill.qty.0).max(0);
            }
        }
    }

    fn take(&mut self, order: &Order, price: Price, qty: i64, instrument: &Instrument) {
        let side = order.side.opposite();
        let same =
            |t: &&mut Taken| (t.instrument, t.side, t.price) == (order.instrument, side, price);
        match self.taken.iter_mut().find(same) {
            Some(taken) => taken.qty = Qty(taken.qty.0.saturating_add(qty)),
            None => self.taken.push(Taken {
                instrument: order.instrument,
                side,
                price,
                displayed: Qty(displayed_at(instrument, side, price).unwrap_or(0)),
                qty: Qty(qty),
            }),
        }
    }

    /// What came to a resting order's price and filled it is not there for the next order.
    fn take_what_met(&mut self, order: &Order, qty: i64, instrument: &Instrument) {
        let side = order.side.opposite();
        let mut left = qty;
        for level in displayed(instrument, side) {
            if left == 0 || !order.side.crosses(order.price, level.price) {
                break;
            }
            let part = left.min(self.left_at(order.instrument, side, level));
            if part > 0 {
                self.take(order, level.price, part, instrument);
                left -= part;
            }
        }
    }

    /// Whether the other side has come to the resting order's price with more than what we took from it already: then
    /// all that stood there is gone, and ours is filled.
    #[inline]
    fn is_met(&self, rest: &Resting, instrument: &Instrument, top: Option<Top>) -> bool {
        let side = rest.side.opposite();
        let comes = |level: &Level| rest.side.crosses(rest.price, level.price);
        if !top
            .and_then(|top| top.side(side))
            .is_some_and(|best| comes(&best))
        {
            return false;
        }
        let has_left = |level| self.left_at(rest.instrument, side, level) > 0;
        displayed(instrument, side).take_while(comes).any(has_left)
    }

    /// Whether a market event may fill or end an order that rests: nearly none does, so this is asked first.
    #[inline]
    pub(super) fn may_report(&self, instrument: &Instrument) -> bool {
        let top = instrument.top().unwrap_or_default();
        let bid = top.side(Side::Buy).map_or(i64::MIN, |bid| bid.price.0);
        let ask = top.side(Side::Sell).map_or(i64::MAX, |ask| ask.price.0);
        let closed = instrument.status == TradingStatus::Closed;
        self.resting.iter().any(|rest| {
            let met = match rest.side {
                Side::Buy => ask <= rest.price.0,
                Side::Sell => bid >= rest.price.0,
            };
            rest.instrument == instrument.id() && (met || rest.fillable > 0 || closed)
        })
    }

    fn left_at(&self, instrument: InstrumentId, side: Side, level: Level) -> i64 {
        let same = |t: &&Taken| (t.instrument, t.side, t.price) == (instrument, side, level.price);
        let taken = self.taken.iter().find(same).map_or(0, |t| t.qty.0);
        (level.qty.0 - taken).max(0)
    }
}

#[inline]
fn has_book(market: &Market, instrument: InstrumentId) -> bool {
    market
        .instrument(instrument)
        .is_ok_and(|instrument| instrument.book().is_some())
}

/// The levels of a side that an order would meet, best first: the book's while it is live, the quote otherwise.
fn displayed(instrument: &Instrument, side: Side) -> impl Iterator<Item = Level> + '_ {
    let book = instrument.book();
    let quote = match book {
        Some(_) => None,
        None => instrument.quote().and_then(|top| top.side(side)),
    };
    let levels = book
        .into_iter()
        .flat_map(move |book| book.side(side).levels());
    levels.chain(quote)
}

/// What is displayed at a price on a side; `None` where the feed does not reach that far.
fn displayed_at(instrument: &Instrument, side: Side, price: Price) -> Option<i64> {
    if let Some(book) = instrument.book() {
        return Some(book.side(side).qty_at(price).0);
    }
    let Some(best) = instrument.quote()?.side(side) else {
        return Some(0);
    };
    if price == best.price {
        Some(best.qty.0)
    } else if side.crosses(price, best.price) {
        Some(0)
    } else {
        None
    }
}

/// The paper venue's decisions: reports that follow from the desk and the market as they are.
impl Desk {
    /// Reports on an order that arrives now.
    pub(super) fn paper_order_arrives(
        &self,
        market: &Market,
        now: Nanos,
        cause: Sequence,
        id: OrderId,
        out: &mut Vec<ExecutionReport>,
    ) -> Result<(), EngineError> {
        let Some(order) = self.orders().get(id) else {
            return Ok(());
        };
        let instrument = market.instrument(order.instrument)?;
        let mut reports = Reports {
            desk: self,
            instrument,
            now,
            cause,
            order: *order,
            filled: 0,
            out,
        };
        if instrument.status != TradingStatus::Open {
            return reports.end(OrderState::Rejected, VenueReason::MarketNotOpen);
        }
        if !meets_rules(order, instrument, now) {
            return reports.end(OrderState::Rejected, VenueReason::Rules);
        }
        let venue = self.config().paper.for_venue(&instrument.definition.venue);
        if draw_per_million(self.config().seed, id) < venue.reject_per_million {
            return reports.end(OrderState::Rejected, VenueReason::Seeded);
        }
        let limit = match order.order_type {
            OrderType::Limit => Some(order.price),
            OrderType::Market | OrderType::Stop => None,
        };
        let rests = order.rests();
        if order.time_in_force == TimeInForce::PostOnly {
            let best = instrument
                .top()
                .and_then(|top| top.side(order.side.opposite()));
            if best.is_some_and(|best| order.side.crosses(order.price, best.price)) {
                return reports.end(OrderState::Expired, VenueReason::WouldTake);
            }
        }
        if rests {
            reports.push(OrderState::Acked, None, None);
        }
        reports.walk(limit)?;
        if !rests && reports.left() > 0 {
            reports.end(OrderState::Expired, VenueReason::NoLiquidity)?;
        }
        Ok(())
    }

    /// Reports on a cancel that arrives now.
    pub(super) fn paper_cancel_arrives(
        &self,
        cause: Sequence,
        id: OrderId,
        out: &mut Vec<ExecutionReport>,
    ) {
        if let Some(order) = self.orders().get(id) {
            out.push(report(
                cause,
                order,
                OrderState::Cancelled,
                None,
                Some(VenueReason::Requested),
            ));
        }
    }

    /// Reports that a market event brings for resting orders.
    #[inline]
    pub(super) fn paper_market_moved(
        &self,
        market: &Market,
        now: Nanos,
        cause: Sequence,
        instrument: InstrumentId,
        out: &mut Vec<ExecutionReport>,
    ) -> Result<(), EngineError> {
        let resting = &self.paper().resting;
        if resting.is_empty() || !resting.iter().any(|rest| rest.instrument == instrument) {
            return Ok(());
        }
        let instrument = market.instrument(instrument)?;
        if instrument.status == TradingStatus::Halted {
            return Ok(());
        }
        let top = instrument.top();
        let mut filled = 0;
        for rest in resting
            .iter()
            .filter(|rest| rest.instrument == instrument.id())
        {
            let Some(order) = self.orders().get(rest.order) else {
                continue;
            };
            if instrument.status == TradingStatus::Closed {
                let state = if instrument.settled_at.is_some() {
                    VenueReason::Resolved
                } else {
                    VenueReason::MarketNotOpen
                };
                out.push(report(
                    cause,
                    order,
                    OrderState::Cancelled,
                    None,
                    Some(state),
                ));
                continue;
            }
            let qty = if self.paper().is_met(rest, instrument, top) {
                rest.remaining.0
            } else {
                rest.fillable
            };
            if qty > 0 {
                let mut reports = Reports {
                    desk: self,
                    instrument,
                    now,
                    cause,
                    order: *order,
                    filled,
                    out,
                };
                reports.fill(rest.price, Qty(qty), Liquidity::Maker)?;
                filled = reports.filled;
            }
        }
        Ok(())
    }
}

fn meets_rules(order: &Order, instrument: &Instrument, now: Nanos) -> bool {
    let (Some(rules), Some(_)) = (instrument.rules_at(now), instrument.fees_at(now)) else {
        return false;
    };
    let price_fits = order.order_type == OrderType::Market
        || (rules.is_on_grid(order.price)
            && rules.min_price <= order.price
            && order.price <= rules.max_price);
    // What a market order is worth depends on what it finds; venues check its minimum against their own average.
    let worth = instrument.decimals().notional(order.price, order.qty);
    let is_worth_it = order.order_type == OrderType::Market
        || worth.is_ok_and(|notional| notional >= rules.min_notional);
    price_fits && is_worth_it && order.qty.0 % rules.lot_size.0 == 0 && order.qty >= rules.min_qty
}

/// A number below a million that depends on the seed and the order alone (SplitMix64's mixer, Steele et al. 2014).
const fn draw_per_million(seed: u64, order: OrderId) -> u32 {
    let mut z = seed.wrapping_add(order.0.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) % 1_000_000) as u32
}

fn report(
    cause: Sequence,
    order: &Order,
    state: OrderState,
    fill: Option<Fill>,
    reason: Option<VenueReason>,
) -> ExecutionReport {
    ExecutionReport {
        cause,
        order: order.id,
        instrument: order.instrument,
        state,
        fill,
        reason,
    }
}

/// Builds the reports on one order.
struct Reports<'a> {
    desk: &'a Desk,
    instrument: &'a Instrument,
    now: Nanos,
    cause: Sequence,
    /// As it will be after the reports so far.
    order: Order,
    /// Fills in this step so far: their ids follow the venue's count.
    filled: u64,
    out: &'a mut Vec<ExecutionReport>,
}

impl Reports<'_> {
    const fn left(&self) -> i64 {
        self.order.remaining().0
    }

    fn push(&mut self, state: OrderState, fill: Option<Fill>, reason: Option<VenueReason>) {
        self.order.state = state;
        self.out
            .push(report(self.cause, &self.order, state, fill, reason));
    }

    fn end(&mut self, state: OrderState, reason: VenueReason) -> Result<(), EngineError> {
        self.push(state, None, Some(reason));
        Ok(())
    }

    fn fill(&mut self, price: Price, qty: Qty, liquidity: Liquidity) -> Result<(), EngineError> {
        // An order that met the rules has fees in force; without any there is no fill.
        let Some(fees) = self.instrument.fees_at(self.now) else {
            return Ok(());
        };
        let (d, order) = (self.instrument.decimals(), &mut self.order);
        let fee;
        (fee, order.fees) = fees.charge(&order.fees, d, order.side, liquidity, price, qty)?;
        self.filled += 1;
        let fill_id = self.desk.paper().fills + self.filled;
        self.order.filled = Qty(self.order.filled.0 + qty.0);
        let state = if self.left() == 0 {
            OrderState::Filled
        } else {
            OrderState::PartiallyFilled
        };
        self.push(
            state,
            Some(Fill {
                fill_id,
                price,
                qty,
                fee,
                liquidity,
            }),
            None,
        );
        Ok(())
    }

    /// Takes from the opposite side, best price first, up to the limit.
    fn walk(&mut self, limit: Option<Price>) -> Result<(), EngineError> {
        let side = self.order.side.opposite();
        for level in displayed(self.instrument, side) {
            let within = limit.is_none_or(|limit| self.order.side.crosses(limit, level.price));
            if self.left() == 0 || !within {
                break;
            }
            let there = self
                .desk
                .paper()
                .left_at(self.order.instrument, side, level);
            let qty = self.left().min(there);
            if qty > 0 {
                self.fill(level.price, Qty(qty), Liquidity::Taker)?;
            }
        }
        Ok(())
    }
}
