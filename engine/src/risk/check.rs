//! The gates themselves: one function asks them in order and names the first that stops an order.
use super::{Gate, HaltReason, LimitUnits, Scope};
use crate::desk::Desk;
use crate::error::EngineError;
use crate::event::{InstrumentType, TradingStatus};
use crate::id::{InstrumentId, StrategyId};
use crate::market::{Instrument, Market};
use crate::number::{MONEY_DECIMALS, Money, NumberError, Price, Qty, pow10};
use crate::order::{OneOf, OrderState, OrderType, Protect, Side, TimeInForce};
use crate::session::VenueMode;
use crate::strategy::{GateRow, Relation};
use crate::time::Nanos;
use rust_decimal::Decimal;

/// An order as a strategy wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// In what.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Limit or market.
    pub order_type: OrderType,
    /// How long it stays.
    pub time_in_force: TimeInForce,
    /// Limit price; zero for a market order.
    pub price: Price,
    /// Quantity; positive.
    pub qty: Qty,
    /// What the strategy calls it; comes back with the order's frames. 0 for nothing.
    pub tag: u64,
    /// The instrument with the position whose counterpart this order is: an order that hedges what is held already
    /// reduces risk, so halts, the day's loss and the order rate do not stop it.
    pub hedges: Option<InstrumentId>,
    /// Which of several alternatives the order is. Of those that reduce a position only the largest counts.
    pub one_of: Option<OneOf>,
    /// Exits for the venue to hold until the order fills. Venues that hold none take the order alone.
    pub protect: Option<Protect>,
}

impl Proposal {
    /// Whether the venue may hold it for later.
    fn can_rest(&self) -> bool {
        self.order_type != OrderType::Market && self.time_in_force != TimeInForce::ImmediateOrCancel
    }
}

/// Which gate stopped an order, what it saw and what it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The gate.
    pub gate: Gate,
    /// What it saw.
    pub value: Decimal,
    /// What it allows.
    pub limit: Decimal,
}

/// A limit is nearly used up from 4 of 5 parts on (requirements, five systems, 2.3: warn at 80 % of any limit).
const NEAR_NUMERATOR: u64 = 4;
const NEAR_DENOMINATOR: u64 = 5;

/// A money amount for a report: exact where a `Decimal` can hold it, otherwise without its last digits.
fn shown(money: Money) -> Decimal {
    money.to_decimal().unwrap_or_else(|_| {
        let shorter = (money.0 / 1_000_000_000_000).clamp(-(1 << 90), 1 << 90);
        Decimal::from_i128_with_scale(shorter, MONEY_DECIMALS - 12)
    })
}

/// A limit that is nearly used up: at 80 % or more, and not above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near {
    /// In which scope.
    pub scope: Scope,
    /// Which limit.
    pub gate: Gate,
    /// What the gate saw.
    pub value: Decimal,
    /// What it allows.
    pub limit: Decimal,
}

/// What is made of the gates' answers.
trait Gauge {
    /// Takes an answer; `figures` are value and limit. Returns whether to go on.
    fn ask(
        &mut self,
        gate: Gate,
        scope: Option<Scope>,
        relation: Relation,
        passes: bool,
        figures: impl FnOnce() -> (Decimal, Decimal),
    ) -> bool;

    /// Takes a limit that is nearly used up.
    fn near(&mut self, near: impl FnOnce() -> Near);
}

/// Ends with the first gate that stops the order.
struct First<'n> {
    denial: Option<Denial>,
    near: &'n mut Vec<Near>,
}

impl First<'_> {
    /// Apart, so that a gate which lets an order pass is a comparison.
    #[cold]
    #[inline(never)]
    fn deny(&mut self, gate: Gate, figures: impl FnOnce() -> (Decimal, Decimal)) {
        let (value, limit) = figures();
        self.denial = Some(Denial { gate, value, limit });
    }
}

impl Gauge for First<'_> {
    #[inline(always)]
    fn ask(
        &mut self,
        gate: Gate,
        _: Option<Scope>,
        _: Relation,
        passes: bool,
        figures: impl FnOnce() -> (Decimal, Decimal),
    ) -> bool {
        if !passes {
            self.deny(gate, figures);
        }
        passes
    }

    #[inline]
    fn near(&mut self, near: impl FnOnce() -> Near) {
        self.near.push(near());
    }
}

/// Notes every gate.
#[derive(Default)]
struct All {
    rows: Vec<GateRow>,
}

impl Gauge for All {
    fn ask(
        &mut self,
        gate: Gate,
        scope: Option<Scope>,
        relation: Relation,
        passes: bool,
        figures: impl FnOnce() -> (Decimal, Decimal),
    ) -> bool {
        let (value, limit) = figures();
        let name = match scope {
            None => gate.name().into(),
            Some(scope) => format!("{} ({})", gate.name(), scope.name()).into(),
        };
        self.rows.push(GateRow {
            candidate: None,
            gate: name,
            value: value.normalize(),
            relation,
            limit: limit.normalize(),
            passes,
        });
        true
    }

    fn near(&mut self, _: impl FnOnce() -> Near) {}
}

/// Asks every gate in order. Limits that are nearly used up go to `near`.
///
/// # Errors
/// The outer error when the market or a number is broken, the inner one when a gate stops the order.
pub fn check(
    desk: &Desk,
    market: &Market,
    now: Nanos,
    strategy: StrategyId,
    order: &Proposal,
    near: &mut Vec<Near>,
) -> Result<Result<(), Denial>, EngineError> {
    let subject = Subject::new(desk, market, now, strategy, order)?;
    let mut gauge = First { denial: None, near };
    subject.ask(&mut gauge)?;
    Ok(gauge.denial.map_or(Ok(()), Err))
}

/// Every gate that an order meets, with its answer. A gate that needs what an earlier one missed is left out.
///
/// # Errors
/// [`EngineError`] when the market or a number is broken.
pub fn explain(
    desk: &Desk,
    market: &Market,
    now: Nanos,
    strategy: StrategyId,
    order: &Proposal,
) -> Result<Vec<GateRow>, EngineError> {
    let subject = Subject::new(desk, market, now, strategy, order)?;
    let mut gauge = All::default();
    subject.ask(&mut gauge)?;
    Ok(gauge.rows)
}

/// The worst price at which a market order to a real venue may trade: as far through our own book as a limit may lie.
pub fn worst_price(desk: &Desk, market: &Market, order: &Proposal) -> Option<Price> {
    if order.order_type != OrderType::Market || !desk.route(order.instrument).ok()?.mode.is_real() {
        return None;
    }
    let instrument = market.instrument(order.instrument).ok()?;
    let best = instrument.top()?.side(order.side.opposite())?.price;
    let rules = instrument.rules_at(instrument.top_received_at())?;
    let distance = i128::from(best.0) * i128::from(desk.config().risk.price_collar_bps) / 10_000;
    let worst = i128::from(best.0) + distance * i128::from(order.side.sign());
    let bounded = worst.clamp(rules.min_price.0.into(), rules.max_price.0.into());
    let worst = Price(i64::try_from(bounded).ok()?);
    Some(match order.side {
        Side::Buy => rules.floor_price(worst),
        Side::Sell => rules.ceil_price(worst),
    })
}

struct Subject<'a> {
    desk: &'a Desk,
    market: &'a Market,
    now: Nanos,
    strategy: StrategyId,
    order: &'a Proposal,
    instrument: &'a Instrument,
    mode: VenueMode,
}

impl<'a> Subject<'a> {
    fn new(
        desk: &'a Desk,
        market: &'a Market,
        now: Nanos,
        strategy: StrategyId,
        order: &'a Proposal,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            desk,
            market,
            now,
            strategy,
            order,
            instrument: market.instrument(order.instrument)?,
            mode: desk.route(order.instrument)?.mode,
        })
    }

    fn ask(&self, gauge: &mut impl Gauge) -> Result<(), EngineError> {
        // It went to the venue with its entry, through the gates then: whatever holds now, it is there. A session that ends
        // has nobody to look after it, and leaves.
        let is_there = || self.desk.orders().attached_to(self.strategy, self.order);
        let ends = self.desk.risk().halts.contains(&HaltReason::Stopping);
        if !ends && is_there().is_some() {
            return Ok(());
        }
        match self.venue_gates(gauge) {
            // All that follows guards new risk, so an exit passes.
            Some(at_risk) if !self.is_exit() => self.our_gates(at_risk, gauge),
            _ => Ok(()),
        }
    }

    /// What the venue would refuse, and what we do not know well enough. Returns what the order puts at risk if it is no
    /// exit; `None` where a gate stopped it or the rest can't be asked.
    fn venue_gates(&self, gauge: &mut impl Gauge) -> Option<Money> {
        use Relation::{AtLeast, AtMost};
        let (order, now) = (self.order, self.now);
        let d = self.instrument.decimals();
        let holds = |holds: bool| move || (Decimal::from(u8::from(holds)), Decimal::ONE);
        let (rules, fees) = (self.instrument.rules_at(now), self.instrument.fees_at(now));
        let scheduled = rules.is_some() && fees.is_some();
        if !gauge.ask(Gate::Schedule, None, AtLeast, scheduled, holds(scheduled)) {
            return None;
        }
        let venue = self.instrument.venue;
        let mode = self.mode;
        let sends = mode != VenueMode::Shadow;
        if !gauge.ask(Gate::Shadow, None, AtLeast, sends, holds(sends)) {
            return None;
        }
        if mode.is_real() {
            let halts = &self.desk.risk().halts;
            let known = !halts.contains(&HaltReason::Unreconciled { venue });
            let agrees = !halts.contains(&HaltReason::HoldingsDiffer { venue });
            let trusted = known && (agrees || self.is_exit());
            if !gauge.ask(Gate::Reconciled, None, AtLeast, trusted, holds(trusted)) {
                return None;
            }
        }
        // What rests would outlive us with nobody to look after it, exits included.
        if order.can_rest() && self.desk.risk().halts.contains(&HaltReason::Stopping) {
            let figures = || (Decimal::ONE, Decimal::ZERO);
            gauge.ask(Gate::Halted, None, AtMost, false, figures);
            return None;
        }
        let open = self.instrument.status == TradingStatus::Open;
        if !gauge.ask(Gate::MarketOpen, None, AtLeast, open, holds(open)) {
            return None;
        }
        let top = self.instrument.top();
        let opposite = top.and_then(|top| top.side(order.side.opposite()).or(top.side(order.side)));
        let (Some(rules), Some(top), Some(opposite)) = (rules, top, opposite) else {
            // Without a market there is nothing to measure the rest against.
            gauge.ask(Gate::FreshData, None, AtLeast, false, holds(false));
            return None;
        };
        let max_age_ms = self.desk.config().risk.max_data_age_ms;
        let age_ms = now.since(self.instrument.top_received_at()) / 1_000_000;
        let fresh = age_ms <= max_age_ms || self.is_exit();
        let ages = || (age_ms.into(), max_age_ms.into());
        if !gauge.ask(Gate::FreshData, None, AtMost, fresh, ages) {
            return None;
        }
        let price = match order.order_type {
            OrderType::Limit | OrderType::Stop => {
                let price = order.price;
                let shown = |limit: Price| (d.price_decimal(price), d.price_decimal(limit));
                let on_grid = rules.is_on_grid(price);
                let step = || shown(rules.tick_at(price));
                if !gauge.ask(Gate::PriceGrid, None, AtLeast, on_grid, step) {
                    return None;
                }
                let (low, high) = (rules.min_price, rules.max_price);
                if !gauge.ask(Gate::PriceGrid, None, AtLeast, price >= low, || shown(low))
                    || !gauge.ask(Gate::PriceGrid, None, AtMost, price <= high, || shown(high))
                {
                    return None;
                }
                price
            }
            OrderType::Market => opposite.price,
        };
        let qty = |limit: Qty| (d.qty_decimal(order.qty), d.qty_decimal(limit));
        let (lot, least) = (rules.lot_size, rules.min_qty);
        let in_lots = order.qty.0 > 0 && order.qty.0 % lot.0 == 0;
        if !gauge.ask(Gate::QtyGrid, None, AtLeast, in_lots, || qty(lot))
            || !gauge.ask(Gate::QtyGrid, None, AtLeast, order.qty >= least, || {
                qty(least)
            })
        {
            return None;
        }
        let Ok(notional) = d.notional(price, order.qty) else {
            let figures = || (Decimal::MAX, Decimal::ZERO);
            gauge.ask(Gate::OrderNotional, None, AtMost, false, figures);
            return None;
        };
        let enough = notional >= rules.min_notional;
        let figures = || (shown(notional), shown(rules.min_notional));
        if !gauge.ask(Gate::MinNotional, None, AtLeast, enough, figures) {
            return None;
        }
        if order.side == Side::Sell && !rules.allows_short {
            let free = self.held(self.strategy, order.instrument)
                - self.working(self.strategy, order.instrument, Side::Sell);
            let free = Qty(i64::try_from(free.max(0)).unwrap_or(i64::MAX));
            if !gauge.ask(Gate::Inventory, None, AtMost, order.qty <= free, || {
                qty(free)
            }) {
                return None;
            }
        }
        // A stop lies through the other side's best price by nature, and what it then pays no price of ours bounds.
        if let (OrderType::Limit, Some(reference)) =
            (order.order_type, top.side(order.side.opposite()))
        {
            let collar_bps = self.desk.config().risk.price_collar_bps;
            let distance = i128::from(price.0) - i128::from(reference.price.0);
            let through = distance * i128::from(order.side.sign());
            let within = through * 10_000 <= i128::from(reference.price.0) * i128::from(collar_bps);
            let figures = || {
                let bps = through * 10_000 / i128::from(reference.price.0.max(1));
                (Decimal::from_i128_with_scale(bps, 0), collar_bps.into())
            };
            if !gauge.ask(Gate::PriceCollar, None, AtMost, within, figures) {
                return None;
            }
        }
        match order.side {
            Side::Buy => Some(notional),
            Side::Sell => {
                let risk = risk_of_short(self.instrument, notional, order.qty.0.into());
                if risk.is_err() {
                    let figures = || (Decimal::MAX, Decimal::ZERO);
                    gauge.ask(Gate::OrderNotional, None, AtMost, false, figures);
                }
                risk.ok()
            }
        }
    }

    /// What we allow ourselves.
    fn our_gates(&self, at_risk: Money, gauge: &mut impl Gauge) -> Result<(), EngineError> {
        use Relation::{AtLeast, AtMost};
        let (desk, order, now) = (self.desk, self.order, self.now);
        let risk = desk.risk();
        let window_ms = desk.config().risk.duplicate_window_ms;
        if window_ms > 0 {
            let same = risk.last_orders.iter().find(|last| {
                (last.strategy, last.instrument, last.side)
                    == (self.strategy, order.instrument, order.side)
                    && (last.price, last.qty) == (order.price, order.qty)
            });
            if let Some(last) = same {
                let age_ms = now.since(last.at) / 1_000_000;
                let figures = || (age_ms.into(), window_ms.into());
                if !gauge.ask(Gate::Duplicate, None, AtLeast, age_ms >= window_ms, figures) {
                    return Ok(());
                }
            }
        }
        let unknown = |o: &&crate::order::Order| {
            o.instrument == order.instrument && o.state == OrderState::Unknown
        };
        let unknowns = desk.orders().iter().filter(unknown).count();
        let figures = || (unknowns.into(), Decimal::ZERO);
        if !gauge.ask(Gate::UnknownOutcome, None, AtMost, unknowns == 0, figures) {
            return Ok(());
        }
        let stops = |reason: &&super::HaltReason| reason.stops(self.strategy);
        let halts = risk.halts.iter().filter(stops).count();
        let figures = || (halts.into(), Decimal::ZERO);
        let passes = halts == 0 || self.is_hedge();
        if !gauge.ask(Gate::Halted, None, AtMost, passes, figures) {
            return Ok(());
        }
        for scope in [
            Scope::Total,
            Scope::Venue,
            Scope::Strategy,
            Scope::Instrument,
        ] {
            let set = self.limits(scope).filter(|limits| !limits.is_unlimited());
            if let Some(limits) = set
                && !self.scope_gates(scope, limits, at_risk, gauge)?
            {
                return Ok(());
            }
        }
        Ok(())
    }

    fn limits(&self, scope: Scope) -> Option<&LimitUnits> {
        match scope {
            Scope::Total => Some(&self.desk.limits().total),
            Scope::Venue => self.desk.limits().venue(self.instrument.venue),
            Scope::Strategy => self.desk.limits().strategy(self.strategy),
            Scope::Instrument => self.desk.limits().instrument(self.order.instrument),
        }
    }

    fn in_scope(&self, scope: Scope, strategy: StrategyId, instrument: InstrumentId) -> bool {
        match scope {
            Scope::Total => true,
            Scope::Venue => self
                .market
                .instrument(instrument)
                .is_ok_and(|i| i.venue == self.instrument.venue),
            Scope::Strategy => strategy == self.strategy,
            Scope::Instrument => instrument == self.order.instrument,
        }
    }

    /// Whether the order can only reduce what is held, all working orders of its side included.
    fn is_exit(&self) -> bool {
        let order = self.order;
        let asked = (order.one_of, order.qty);
        self.only_reduces(self.strategy, order.instrument, order.side, asked)
    }

    /// Whether the order is the counterpart of a position that the strategy really holds: with all that works on its side
    /// filled, it is no larger than the position that it hedges.
    fn is_hedge(&self) -> bool {
        let Some(hedged) = self.order.hedges else {
            return false;
        };
        let shares = |qty: i128, id| {
            let decimals = self.market.instrument(id).ok()?.decimals().qty;
            pow10(MONEY_DECIMALS.saturating_sub(decimals.into()))?.checked_mul(qty.abs())
        };
        let held = shares(self.held(self.strategy, hedged), hedged);
        let after = shares(self.worst_position(Scope::Strategy), self.order.instrument);
        matches!((after, held), (Some(after), Some(held)) if after <= held)
    }

    /// Whether all working orders of the side and `qty` more can only reduce what is held.
    fn only_reduces(
        &self,
        strategy: StrategyId,
        instrument: InstrumentId,
        side: Side,
        asked: (Option<OneOf>, Qty),
    ) -> bool {
        let held = self.held(strategy, instrument);
        if held == 0 || held.signum() == i128::from(side.sign()) {
            return false;
        }
        self.comes_to(strategy, instrument, side, asked) <= held.abs()
    }

    /// The most that a strategy's orders of a side and one that is asked for can fill. Of alternatives the largest counts:
    /// the owner cancels the others when one fills. One of the asked order's own group that is being taken back makes room
    /// for it: a stop-loss must not wait until the other entry's cancel has arrived.
    fn comes_to(
        &self,
        strategy: StrategyId,
        instrument: InstrumentId,
        side: Side,
        (one_of, qty): (Option<OneOf>, Qty),
    ) -> i128 {
        let mut alone = 0;
        let mut alternatives: Vec<(OneOf, i128)> = Vec::new();
        let mut add = |one_of: Option<OneOf>, qty: Qty| {
            let Some(one_of) = one_of else {
                alone += i128::from(qty.0);
                return;
            };
            match alternatives.iter_mut().find(|(known, _)| *known == one_of) {
                Some((_, sum)) => *sum += i128::from(qty.0),
                None => alternatives.push((one_of, qty.0.into())),
            }
        };
        add(one_of, qty);
        let group = |one_of: Option<OneOf>| one_of.map(|one_of| one_of.group);
        for order in self.desk.orders().iter() {
            let replaced =
                order.cancelling && one_of.is_some() && group(order.one_of) == group(one_of);
            if (order.strategy, order.instrument, order.side) == (strategy, instrument, side)
                && !replaced
            {
                add(order.one_of, order.remaining());
            }
        }
        alternatives.sort_unstable_by_key(|(one_of, sum)| (one_of.group, *sum));
        let groups = alternatives.chunk_by(|(a, _), (b, _)| a.group == b.group);
        let largest = groups.filter_map(|group| group.last().map(|(_, sum)| sum));
        alone + largest.sum::<i128>()
    }

    /// What a strategy holds, signed.
    fn held(&self, strategy: StrategyId, instrument: InstrumentId) -> i128 {
        let position = self.desk.ledger().position(strategy, instrument);
        position.map_or(0, |p| p.qty.0.into())
    }

    /// What a strategy's working orders of a side may still fill.
    fn working(&self, strategy: StrategyId, instrument: InstrumentId, side: Side) -> i128 {
        let working = self
            .desk
            .orders()
            .iter()
            .filter(|o| (o.strategy, o.instrument, o.side) == (strategy, instrument, side));
        working.map(|o| i128::from(o.remaining().0)).sum()
    }

    /// The limits of one scope; returns whether to go on.
    fn scope_gates(
        &self,
        scope: Scope,
        limits: &LimitUnits,
        at_risk: Money,
        gauge: &mut impl Gauge,
    ) -> Result<bool, EngineError> {
        let (desk, order) = (self.desk, self.order);
        let d = self.instrument.decimals();
        if let Some(limit) = limits.order_qty {
            let value = qty_units(order.qty.0.into(), d.qty);
            if !amount(gauge, Gate::OrderQty, scope, value, limit) {
                return Ok(false);
            }
        }
        if let Some(limit) = limits.order_notional
            && !amount(gauge, Gate::OrderNotional, scope, at_risk, limit)
        {
            return Ok(false);
        }
        if let Some(limit) = limits.open_orders {
            let working = desk
                .orders()
                .iter()
                .filter(|o| self.in_scope(scope, o.strategy, o.instrument));
            if !count(gauge, Gate::OpenOrders, scope, working.count() + 1, limit) {
                return Ok(false);
            }
        }
        let hedges = self.is_hedge();
        if let Some(limit) = limits.orders_per_second.filter(|_| !hedges) {
            let recent = desk.risk().recent_orders(self.now);
            let recent = recent.filter(|(s, i)| self.in_scope(scope, *s, *i));
            if !count(gauge, Gate::OrderRate, scope, recent.count() + 1, limit) {
                return Ok(false);
            }
        }
        if let Some(limit) = limits.position {
            let value = qty_units(self.worst_position(scope), d.qty);
            if !amount(gauge, Gate::Position, scope, value, limit) {
                return Ok(false);
            }
        }
        if let Some(limit) = limits.open_positions {
            let used = self.instruments_in_use(scope);
            let is_new = used.binary_search(&order.instrument).is_err();
            if is_new && !count(gauge, Gate::OpenPositions, scope, used.len() + 1, limit) {
                return Ok(false);
            }
        }
        if let Some(limit) = limits.gross_notional {
            let gross = self.gross_notional(scope)?.add(at_risk)?;
            if !amount(gauge, Gate::GrossNotional, scope, gross, limit) {
                return Ok(false);
            }
        }
        if let Some(limit) = limits.daily_loss.filter(|_| !hedges) {
            let loss = self.daily_loss(scope)?;
            if !amount(gauge, Gate::DailyLoss, scope, loss, limit) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The instruments with a position or with an order that may become one, sorted.
    fn instruments_in_use(&self, scope: Scope) -> Vec<InstrumentId> {
        let held = self.desk.ledger().positions().iter();
        let held = held
            .filter(|p| p.qty.0 != 0)
            .map(|p| (p.strategy, p.instrument));
        let working = self
            .desk
            .orders()
            .iter()
            .map(|o| (o.strategy, o.instrument));
        let mut used: Vec<_> = held
            .chain(working)
            .filter(|(strategy, instrument)| self.in_scope(scope, *strategy, *instrument))
            .map(|(_, instrument)| instrument)
            .collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// The position in the order's instrument if the order and all that work on its side were filled, unsigned.
    fn worst_position(&self, scope: Scope) -> i128 {
        let order = self.order;
        let ours = |strategy| scope != Scope::Strategy || strategy == self.strategy;
        let held: i128 = self
            .desk
            .ledger()
            .positions()
            .iter()
            .filter(|p| p.instrument == order.instrument && ours(p.strategy))
            .map(|p| i128::from(p.qty.0))
            .sum();
        let working: i128 = self
            .desk
            .orders()
            .iter()
            .filter(|o| {
                o.instrument == order.instrument && o.side == order.side && ours(o.strategy)
            })
            .map(|o| i128::from(o.remaining().0))
            .sum();
        (held + i128::from(order.side.sign()) * (working + i128::from(order.qty.0))).abs()
    }

    /// Positions at the mark and working orders at their price, in the order's quote currency; what is or comes to be
    /// short in a contract that pays 0 or 1, at what it may lose.
    fn gross_notional(&self, scope: Scope) -> Result<Money, EngineError> {
        let currency = self.instrument.quote_currency;
        let mut gross = Money::ZERO;
        for position in self.desk.ledger().positions() {
            let instrument = self.market.instrument(position.instrument)?;
            if instrument.quote_currency == currency
                && self.in_scope(scope, position.strategy, position.instrument)
            {
                let value = Money(position.value(instrument)?.0.saturating_abs());
                gross = gross.add(match position.qty.0 {
                    qty @ ..0 => risk_of_short(instrument, value, -i128::from(qty))?,
                    0.. => value,
                })?;
            }
        }
        for working in self.desk.orders().iter() {
            let instrument = self.market.instrument(working.instrument)?;
            if instrument.quote_currency == currency
                && self.in_scope(scope, working.strategy, working.instrument)
            {
                let price = match working.order_type {
                    OrderType::Limit | OrderType::Stop => working.price,
                    OrderType::Market => instrument.mark(working.side).unwrap_or_default(),
                };
                let (qty, side) = (working.remaining(), working.side);
                let notional = instrument.decimals().notional(price, qty)?;
                let opens_short = side == Side::Sell
                    && instrument.definition.instrument_type == InstrumentType::Binary
                    && !self.only_reduces(
                        working.strategy,
                        working.instrument,
                        side,
                        (None, Qty(0)),
                    );
                gross = gross.add(if opens_short {
                    risk_of_short(instrument, notional, qty.0.into())?
                } else {
                    notional
                })?;
            }
        }
        Ok(gross)
    }

    /// Today's loss in the order's quote currency as a positive amount; negative when there is a gain.
    fn daily_loss(&self, scope: Scope) -> Result<Money, EngineError> {
        let mut gain = Money::ZERO;
        for position in self.desk.ledger().positions() {
            let instrument = self.market.instrument(position.instrument)?;
            if instrument.quote_currency == self.instrument.quote_currency
                && self.in_scope(scope, position.strategy, position.instrument)
            {
                let start = self
                    .desk
                    .risk()
                    .day_start(position.strategy, position.instrument);
                gain = gain.add(position.profit(instrument)?.sub(start)?)?;
            }
        }
        Ok(gain.negated())
    }
}

/// An amount against its limit; returns whether to go on.
fn amount(gauge: &mut impl Gauge, gate: Gate, scope: Scope, value: Money, limit: Money) -> bool {
    let figures = || (shown(value), shown(limit));
    let is_near = value <= limit
        && value.0.saturating_mul(NEAR_DENOMINATOR.into())
            >= limit.0.saturating_mul(NEAR_NUMERATOR.into());
    if is_near {
        gauge.near(|| near(scope, gate, figures()));
    }
    gauge.ask(gate, Some(scope), Relation::AtMost, value <= limit, figures)
}

/// A count, the order included, against its limit; returns whether to go on.
fn count(gauge: &mut impl Gauge, gate: Gate, scope: Scope, value: usize, limit: u32) -> bool {
    let figures = || (value.into(), limit.into());
    let (value_now, limit_now) = (value as u64, u64::from(limit));
    let passes = value_now <= limit_now;
    if passes && value_now * NEAR_DENOMINATOR >= limit_now * NEAR_NUMERATOR {
        gauge.near(|| near(scope, gate, figures()));
    }
    gauge.ask(gate, Some(scope), Relation::AtMost, passes, figures)
}

const fn near(scope: Scope, gate: Gate, (value, limit): (Decimal, Decimal)) -> Near {
    Near {
        scope,
        gate,
        value,
        limit,
    }
}

/// What a short position or a sale that opens one puts at risk: its notional, but for a contract that pays 0 or 1 what it
/// pays at most less the notional.
fn risk_of_short(
    instrument: &Instrument,
    notional: Money,
    qty: i128,
) -> Result<Money, NumberError> {
    if instrument.definition.instrument_type != InstrumentType::Binary {
        return Ok(notional);
    }
    const OVERFLOW: NumberError = NumberError::Overflow { what: "notional" };
    let unit = pow10(MONEY_DECIMALS.saturating_sub(instrument.decimals().qty.into()));
    let payout = unit
        .and_then(|unit| qty.checked_mul(unit))
        .ok_or(OVERFLOW)?;
    Ok(Money(payout).sub(notional)?.max(Money::ZERO))
}

/// A quantity mantissa in units of 1e-18, for comparison with a limit; what does not fit is above every limit.
fn qty_units(qty: i128, decimals: u8) -> Money {
    let unit = pow10(MONEY_DECIMALS.saturating_sub(decimals.into())).unwrap_or(1);
    Money(qty.saturating_mul(unit))
}
