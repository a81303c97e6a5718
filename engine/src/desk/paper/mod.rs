//! The paper venue: a deterministic exchange over the market that we see.
//!
//! - An order arrives after the venue's latency in event time and walks the opposite side's depth. What it took is not
//!   there a second time until the venue shows that level anew.
//! - The rest of a limit order rests behind everything displayed at its price ([`queue`] says what moves it forward). It
//!   fills when trades exceed the queue ahead, in full when trades go through its price, and in full when the other side
//!   comes to its price.
//! - A stop order is held until its trigger is reached ([`stop`]), then takes what is there like a market order.
//! - Ticks, lots, bounds, market status and the fee in force are checked on arrival.
//! - Rejects and unknown outcomes are drawn from the session's seed and the order's id.
//!
//! Like everything on the desk it decides from `&self` and changes only in `evolve` of the reports that it made.
mod consumed;
mod queue;
mod reach;
mod stop;

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
use crate::session::PaperVenueConfig;
use crate::time::Nanos;
use consumed::Consumed;
use queue::Queue;
use reach::Reach;
use serde::{Deserialize, Serialize};
use stop::Stop;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Resting {
    order: OrderId,
    instrument: InstrumentId,
    side: Side,
    price: Price,
    remaining: Qty,
    queue: Queue,
    /// What trades have filled of it and no report has said yet.
    fillable: i64,
}

/// What the paper venue keeps beside the market.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paper {
    /// In the order of arrival.
    resting: Vec<Resting>,
    /// In the order of arrival.
    stops: Vec<Stop>,
    taken: Consumed,
    fills: u64,
    /// By instrument, as far as orders have rested; follows from those that rest.
    #[serde(skip)]
    reach: Vec<Reach>,
}

impl Paper {
    /// Whether no market event can matter.
    #[inline]
    pub(super) const fn is_idle(&self) -> bool {
        self.resting.is_empty() && self.taken.is_empty() && self.stops.is_empty()
    }

    /// Folds a market event that the market has folded already.
    #[inline(always)]
    pub(super) fn see_market(&mut self, event: &Event<'_>, market: &Market) {
        match event {
            Event::Trade(trade) if self.reach(trade.instrument).is_hit(trade) => {
                self.see_trade(trade);
            }
            Event::BookDelta(update) => {
                let reach = self.reach(update.header.instrument);
                if !self.taken.is_empty() || reach.is_shown(update) {
                    self.see_delta(update, market);
                }
            }
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
        if !self.stops.is_empty() {
            self.see_stops(event, market);
        }
    }

    /// Triggers stops. What a print that triggers one took is not there for it, although the book still shows it.
    #[cold]
    fn see_stops(&mut self, event: &Event<'_>, market: &Market) {
        let Some(Ok(instrument)) = event.instrument().map(|id| market.instrument(id)) else {
            return;
        };
        let print = match event {
            Event::Trade(trade) if trade.is_sane() && instrument.status == TradingStatus::Open => {
                Some(*trade)
            }
            Event::Trade(_) => return,
            _ => None,
        };
        let (mut buys, mut sells) = (false, false);
        let held = |stop: &&mut Stop| stop.instrument == instrument.id() && !stop.triggered;
        for stop in self.stops.iter_mut().filter(held) {
            match print {
                Some(trade) => stop.see_print(trade.price),
                None => stop.see_touch(instrument),
            }
            match stop.side {
                Side::Buy => buys |= stop.triggered,
                Side::Sell => sells |= stop.triggered,
            }
        }
        for (side, triggered) in [(Side::Sell, buys), (Side::Buy, sells)] {
            if let Some(trade) = print.filter(|_| triggered) {
                self.taken.print(instrument, side, trade.price, trade.qty.0);
            }
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
                let reached = trade
                    .qty
                    .0
                    .saturating_sub(rest.queue.ahead())
                    .saturating_sub(ours);
                let left = rest.remaining.0 - rest.fillable;
                let take = reached.clamp(0, left);
                rest.fillable += take;
                ours += take;
                rest.queue.trade(trade.qty.0);
            } else {
                rest.fillable = rest.remaining.0;
            }
        }
        self.find_reach(trade.instrument);
    }

    fn see_delta(&mut self, update: &BookUpdate<'_>, market: &Market) {
        let instrument = update.header.instrument;
        if !has_book(market, instrument) {
            return;
        }
        if !self.taken.is_empty() {
            self.taken.retain(|taken| {
                let mut levels = update.side(taken.side).iter();
                taken.instrument != instrument || levels.all(|level| level.price != taken.price)
            });
        }
        let mut estimated = false;
        for rest in self
            .resting
            .iter_mut()
            .filter(|rest| rest.instrument == instrument)
        {
            let mut levels = update.side(rest.side).iter();
            if let Some(level) = levels.find(|level| level.price == rest.price) {
                estimated |= rest.queue.show(level.qty.0);
            }
        }
        if estimated {
            self.keep_turns();
        }
    }

    /// Moves the queues to what the whole book or the quotes show now.
    fn see_levels(&mut self, instrument: InstrumentId, market: &Market) {
        let Ok(instrument) = market.instrument(instrument) else {
            return;
        };
        let mut estimated = false;
        for rest in self
            .resting
            .iter_mut()
            .filter(|rest| rest.instrument == instrument.id())
        {
            if let Some(displayed) = displayed_at(instrument, rest.side, rest.price) {
                estimated |= rest.queue.show_again(displayed);
            }
        }
        if estimated {
            self.keep_turns();
        }
    }

    /// Orders of ours at one price stay in the order of their arrival.
    #[cold]
    fn keep_turns(&mut self) {
        let place = |rest: &Resting| (rest.instrument, rest.side, rest.price);
        for later in 1..self.resting.len() {
            let (earlier, later) = self.resting.split_at_mut(later);
            if let Some(rest) = later.first_mut() {
                let mut before = earlier.iter().rev();
                if let Some(before) = before.find(|before| place(before) == place(rest)) {
                    rest.queue.stay_behind(&before.queue);
                }
            }
        }
    }

    /// Folds one of our own reports.
    pub(super) fn see_report(
        &mut self,
        report: &ExecutionReport,
        order: &Order,
        instrument: &Instrument,
        venue: &PaperVenueConfig,
    ) {
        let rests = |rest: &Resting| rest.order == order.id;
        let is_held = |stop: &Stop| stop.order == order.id;
        // A venue may acknowledge again what was unknown for a while.
        if report.state == OrderState::Acked && order.rests() && !self.resting.iter().any(rests) {
            let displayed = displayed_at(instrument, order.side, order.price);
            let rest = Resting {
                order: order.id,
                instrument: order.instrument,
                side: order.side,
                price: order.price,
                remaining: order.remaining(),
                queue: Queue::join(venue, displayed),
                fillable: 0,
            };
            self.reach_mut(order.instrument).add(&rest);
            self.resting.push(rest);
        }
        let is_stop = order.order_type == OrderType::Stop;
        if is_stop && report.state == OrderState::Acked && !self.stops.iter().any(is_held) {
            self.stops.push(Stop::new(order, instrument));
        }
        if is_stop && order.state.is_final() {
            self.stops.retain(|stop| !is_held(stop));
        }
        if let Some(fill) = &report.fill {
            self.fills += 1;
            self.taken.fill(order, fill, instrument);
        }
        if let Some(place) = self.resting.iter().position(rests) {
            if order.state.is_final() {
                self.resting.remove(place);
                self.find_reach(order.instrument);
            } else if let Some(fill) = &report.fill {
                let rest = &mut self.resting[place];
                rest.remaining = order.remaining();
                rest.fillable = (rest.fillable - fill.qty.0).max(0);
                self.find_reach(order.instrument);
            }
        }
    }

    #[inline]
    fn reach(&self, instrument: InstrumentId) -> &Reach {
        self.reach
            .get(instrument.index())
            .unwrap_or(&Reach::NOTHING)
    }

    /// Sums up the orders that rest in an instrument.
    fn find_reach(&mut self, instrument: InstrumentId) {
        let mut reach = Reach::NOTHING;
        for rest in &self.resting {
            if rest.instrument == instrument {
                reach.add(rest);
            }
        }
        *self.reach_mut(instrument) = reach;
    }

    fn reach_mut(&mut self, instrument: InstrumentId) -> &mut Reach {
        let place = instrument.index();
        if self.reach.len() <= place {
            self.reach.resize(place + 1, Reach::NOTHING);
        }
        &mut self.reach[place]
    }

    /// Sums up all orders that rest, after a restoration.
    pub(super) fn find_reaches(&mut self) {
        for place in 0..self.resting.len() {
            self.find_reach(self.resting[place].instrument);
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
        let has_left = |level| self.taken.left_at(rest.instrument, side, level) > 0;
        displayed(instrument, side).take_while(comes).any(has_left)
    }

    /// Whether a market event may fill or end an order: nearly none does, so this is asked first.
    #[inline]
    pub(super) fn may_report(&self, instrument: &Instrument) -> bool {
        if self.resting.is_empty() && self.stops.is_empty() {
            return false;
        }
        self.reach(instrument.id()).may_report(instrument) || self.stops_may_report(instrument)
    }

    /// Whether a market event can matter to a stop: it is triggered, or the market closed.
    fn stops_may_report(&self, instrument: &Instrument) -> bool {
        let is_closed = instrument.status == TradingStatus::Closed;
        let ours = |stop: &Stop| stop.instrument == instrument.id();
        self.stops
            .iter()
            .any(|stop| ours(stop) && (stop.triggered || is_closed))
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
        let venue = &self.route(order.instrument)?.paper;
        let seed = self.config().seed;
        let drawn = |what, rate| rate > 0 && draw_per_million(seed, id, what) < rate;
        let mut tell = |state, reason| {
            out.push(report(cause, order, state, None, reason));
            Ok(())
        };
        match order.state {
            // The outcome is told now: half of these orders never reached the venue, the others reach it now.
            OrderState::Unknown if drawn(Draw::Lost, 500_000) => {
                return tell(OrderState::Rejected, Some(VenueReason::Lost));
            }
            OrderState::Unknown => {}
            _ if drawn(Draw::Unknown, venue.unknown_per_million) => {
                return tell(OrderState::Unknown, None);
            }
            _ => {}
        }
        if instrument.status != TradingStatus::Open {
            return tell(OrderState::Rejected, Some(VenueReason::MarketNotOpen));
        }
        if !meets_rules(order, instrument, now) {
            return tell(OrderState::Rejected, Some(VenueReason::Rules));
        }
        if drawn(Draw::Reject, venue.reject_per_million) {
            return tell(OrderState::Rejected, Some(VenueReason::Seeded));
        }
        let is_post_only = order.time_in_force == TimeInForce::PostOnly;
        if is_post_only {
            let best = instrument
                .top()
                .and_then(|top| top.side(order.side.opposite()));
            if best.is_some_and(|best| order.side.crosses(order.price, best.price)) {
                return tell(OrderState::Expired, Some(VenueReason::WouldTake));
            }
        }
        let rests = order.rests();
        let is_stop = order.order_type == OrderType::Stop;
        if rests || is_stop {
            tell(OrderState::Acked, None)?;
        }
        // A post-only order that rests was found above to have nothing to take.
        if rests && is_post_only || is_stop && !Stop::new(order, instrument).triggered {
            return Ok(());
        }
        let mut reports = Reports {
            desk: self,
            instrument,
            now,
            cause,
            order: *order,
            filled: 0,
            taken: &self.paper().taken,
            out,
        };
        match order.order_type {
            OrderType::Stop => return reports.fire(),
            OrderType::Limit => reports.walk(Some(order.price))?,
            OrderType::Market => reports.walk(None)?,
        }
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
        let (resting, stops) = (&self.paper().resting, &self.paper().stops);
        if !resting.iter().any(|rest| rest.instrument == instrument)
            && !stops.iter().any(|stop| stop.instrument == instrument)
        {
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
                out.push(closed(cause, order, instrument));
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
                    taken: &self.paper().taken,
                    out,
                };
                reports.fill(rest.price, Qty(qty), Liquidity::Maker)?;
                filled = reports.filled;
            }
        }
        if self.paper().stops_may_report(instrument) {
            self.paper_stops_fire(instrument, now, cause, filled, out)?;
        }
        Ok(())
    }

    /// Reports on triggered stops, in the order of their arrival, each with what those before it left.
    #[cold]
    fn paper_stops_fire(
        &self,
        instrument: &Instrument,
        now: Nanos,
        cause: Sequence,
        mut filled: u64,
        out: &mut Vec<ExecutionReport>,
    ) -> Result<(), EngineError> {
        let mut taken = self.paper().taken.clone();
        let mut seen = 0;
        let stops = self.paper().stops.iter();
        for stop in stops.filter(|stop| stop.instrument == instrument.id()) {
            let Some(order) = self.orders().get(stop.order) else {
                continue;
            };
            if instrument.status == TradingStatus::Closed {
                out.push(closed(cause, order, instrument));
                continue;
            }
            if !stop.triggered {
                continue;
            }
            for report in out.iter().skip(seen) {
                if let (Some(fill), Some(order)) = (&report.fill, self.orders().get(report.order)) {
                    taken.fill(order, fill, instrument);
                }
            }
            seen = out.len();
            let mut reports = Reports {
                desk: self,
                instrument,
                now,
                cause,
                order: *order,
                filled,
                taken: &taken,
                out,
            };
            reports.fire()?;
            filled = reports.filled;
        }
        Ok(())
    }
}

/// An order at work ends with its market.
fn closed(cause: Sequence, order: &Order, instrument: &Instrument) -> ExecutionReport {
    let reason = if instrument.settled_at.is_some() {
        VenueReason::Resolved
    } else {
        VenueReason::MarketNotOpen
    };
    report(cause, order, OrderState::Cancelled, None, Some(reason))
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
    // A stop waits for its trigger; nothing else would be one.
    let waits =
        order.order_type != OrderType::Stop || order.time_in_force == TimeInForce::GoodTillCancel;
    waits
        && price_fits
        && is_worth_it
        && order.qty.0 % rules.lot_size.0 == 0
        && order.qty >= rules.min_qty
}

/// What is drawn for an order; each draw has its own stream.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Draw {
    Reject = 0,
    Unknown = 0x5851_F42D_4C95_7F2D,
    Lost = 0x1405_7B7E_F767_814F,
}

/// A number below a million that depends on the seed and the order alone (SplitMix64's mixer, Steele et al. 2014).
const fn draw_per_million(seed: u64, order: OrderId, what: Draw) -> u32 {
    let mut z = (seed ^ what as u64).wrapping_add(order.0.wrapping_mul(0x9E37_79B9_7F4A_7C15));
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
    /// What is displayed and not there.
    taken: &'a Consumed,
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

    /// A triggered stop takes what there is; the rest expires. It waits while there is nothing at all: that is what we
    /// see of the market, and a venue's own book is hardly ever empty.
    fn fire(&mut self) -> Result<(), EngineError> {
        let side = self.order.side.opposite();
        if !self.taken.has_left(self.instrument, side) {
            return Ok(());
        }
        self.walk(None)?;
        if self.left() > 0 {
            self.end(OrderState::Expired, VenueReason::NoLiquidity)?;
        }
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
            let there = self.taken.left_at(self.order.instrument, side, level);
            let qty = self.left().min(there);
            if qty > 0 {
                self.fill(level.price, Qty(qty), Liquidity::Taker)?;
            }
        }
        Ok(())
    }
}
