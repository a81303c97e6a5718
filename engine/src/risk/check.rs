//! The gates themselves: one function asks them in order and names the first that stops an order.
use super::{Gate, LimitUnits, Scope};
use crate::desk::Desk;
use crate::error::EngineError;
use crate::event::TradingStatus;
use crate::id::{InstrumentId, StrategyId};
use crate::market::{Instrument, Market};
use crate::number::{MONEY_DECIMALS, Money, Price, Qty, pow10};
use crate::order::{OrderState, OrderType, Side, TimeInForce};
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

fn deny<T>(gate: Gate, value: Decimal, limit: Decimal) -> Result<T, Denial> {
    Err(Denial { gate, value, limit })
}

/// A money amount for a report: exact where a `Decimal` can hold it, otherwise without its last digits.
fn shown(money: Money) -> Decimal {
    money.to_decimal().unwrap_or_else(|_| {
        let shorter = (money.0 / 1_000_000_000_000).clamp(-(1 << 90), 1 << 90);
        Decimal::from_i128_with_scale(shorter, MONEY_DECIMALS - 12)
    })
}

/// Asks every gate in order.
///
/// # Errors
/// The outer error when the market or a number is broken, the inner one when a gate stops the order.
pub fn check(
    desk: &Desk,
    market: &Market,
    now: Nanos,
    strategy: StrategyId,
    order: &Proposal,
) -> Result<Result<(), Denial>, EngineError> {
    let instrument = market.instrument(order.instrument)?;
    let subject = Subject {
        desk,
        market,
        now,
        strategy,
        order,
        instrument,
    };
    let venue_gates = match subject.venue_gates() {
        Ok(mark) => mark,
        Err(denial) => return Ok(Err(denial)),
    };
    subject.our_gates(venue_gates)
}

struct Subject<'a> {
    desk: &'a Desk,
    market: &'a Market,
    now: Nanos,
    strategy: StrategyId,
    order: &'a Proposal,
    instrument: &'a Instrument,
}

impl Subject<'_> {
    /// What the venue would refuse, and what we do not know well enough. Returns the price that the order is valued at.
    fn venue_gates(&self) -> Result<Price, Denial> {
        let (order, now) = (self.order, self.now);
        let d = self.instrument.decimals();
        let (Some(rules), Some(_)) = (self.instrument.rules_at(now), self.instrument.fees_at(now))
        else {
            return deny(Gate::Schedule, Decimal::ZERO, Decimal::ONE);
        };
        if self.instrument.status != TradingStatus::Open {
            return deny(Gate::MarketOpen, Decimal::ZERO, Decimal::ONE);
        }
        let max_age_ms = self.desk.config().risk.max_data_age_ms;
        let Some(top) = self.instrument.top() else {
            return deny(Gate::FreshData, Decimal::ZERO, Decimal::ONE);
        };
        let age_ms = now.since(self.instrument.top_received_at()) / 1_000_000;
        if age_ms > max_age_ms {
            return deny(Gate::FreshData, age_ms.into(), max_age_ms.into());
        }
        let Some(opposite) = top.side(order.side.opposite()).or(top.side(order.side)) else {
            return deny(Gate::FreshData, Decimal::ZERO, Decimal::ONE);
        };
        let price = match order.order_type {
            OrderType::Limit | OrderType::Stop => {
                let price = order.price;
                if price.0 % rules.tick_size.0 != 0 {
                    return deny(
                        Gate::PriceGrid,
                        d.price_decimal(price),
                        d.price_decimal(rules.tick_size),
                    );
                }
                if price < rules.min_price {
                    return deny(
                        Gate::PriceGrid,
                        d.price_decimal(price),
                        d.price_decimal(rules.min_price),
                    );
                }
                if price > rules.max_price {
                    return deny(
                        Gate::PriceGrid,
                        d.price_decimal(price),
                        d.price_decimal(rules.max_price),
                    );
                }
                price
            }
            OrderType::Market => opposite.price,
        };
        if order.qty.0 <= 0 || order.qty.0 % rules.lot_size.0 != 0 {
            return deny(
                Gate::QtyGrid,
                d.qty_decimal(order.qty),
                d.qty_decimal(rules.lot_size),
            );
        }
        if order.qty < rules.min_qty {
            return deny(
                Gate::QtyGrid,
                d.qty_decimal(order.qty),
                d.qty_decimal(rules.min_qty),
            );
        }
        match d.notional(price, order.qty) {
            Ok(notional) if notional < rules.min_notional => {
                return deny(
                    Gate::MinNotional,
                    shown(notional),
                    shown(rules.min_notional),
                );
            }
            Ok(_) => {}
            Err(_) => return deny(Gate::OrderNotional, Decimal::MAX, Decimal::ZERO),
        }
        let collar_bps = self.desk.config().risk.price_collar_bps;
        if let (OrderType::Limit, Some(reference)) =
            (order.order_type, top.side(order.side.opposite()))
        {
            let distance = i128::from(price.0) - i128::from(reference.price.0);
            let through = distance * i128::from(order.side.sign());
            if through * 10_000 > i128::from(reference.price.0) * i128::from(collar_bps) {
                let bps = through * 10_000 / i128::from(reference.price.0.max(1));
                return deny(
                    Gate::PriceCollar,
                    Decimal::from_i128_with_scale(bps, 0),
                    collar_bps.into(),
                );
            }
        }
        Ok(price)
    }

    /// What we allow ourselves.
    fn our_gates(&self, price: Price) -> Result<Result<(), Denial>, EngineError> {
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
                if age_ms < window_ms {
                    return Ok(deny(Gate::Duplicate, age_ms.into(), window_ms.into()));
                }
            }
        }
        if self.is_exit() {
            return Ok(Ok(()));
        }
        let unknown = |o: &&crate::order::Order| {
            o.instrument == order.instrument && o.state == OrderState::Unknown
        };
        let unknowns = desk.orders().iter().filter(unknown).count();
        if unknowns > 0 {
            return Ok(deny(Gate::UnknownOutcome, unknowns.into(), Decimal::ZERO));
        }
        let halts = risk
            .halts
            .iter()
            .filter(|reason| reason.stops(self.strategy))
            .count();
        if halts > 0 && !self.is_hedge() {
            return Ok(deny(Gate::Halted, halts.into(), Decimal::ZERO));
        }
        for scope in [
            Scope::Total,
            Scope::Venue,
            Scope::Strategy,
            Scope::Instrument,
        ] {
            let limits = self.limits(scope);
            if !limits.is_unlimited()
                && let Err(denial) = self.scope_gates(scope, &limits, price)?
            {
                return Ok(Err(denial));
            }
        }
        Ok(Ok(()))
    }

    fn limits(&self, scope: Scope) -> LimitUnits {
        match scope {
            Scope::Total => self.desk.limits().total,
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
        let held = self
            .desk
            .ledger()
            .position(self.strategy, self.order.instrument)
            .map_or(0, |p| p.qty.0);
        if held == 0 || held.signum() == self.order.side.sign() {
            return false;
        }
        let working = self.desk.orders().iter().filter(|o| {
            (o.strategy, o.instrument, o.side)
                == (self.strategy, self.order.instrument, self.order.side)
        });
        let leaving: i128 = working.map(|o| i128::from(o.remaining().0)).sum();
        leaving + i128::from(self.order.qty.0) <= i128::from(held.unsigned_abs())
    }

    /// Whether the order is the counterpart of a position that the strategy really holds: with all that works on its side
    /// filled, it is no larger than the position that it hedges.
    fn is_hedge(&self) -> bool {
        let held_in = |id| {
            let position = self.desk.ledger().position(self.strategy, id)?;
            let decimals = self.market.instrument(id).ok()?.decimals().qty;
            qty_units(position.qty.0.into(), decimals).ok()
        };
        let held = self.order.hedges.and_then(held_in);
        let after = qty_units(
            self.worst_position(Scope::Strategy),
            self.instrument.decimals().qty,
        );
        matches!((held, after), (Some(held), Ok(after)) if after.0.unsigned_abs() <= held.0.unsigned_abs())
    }

    fn scope_gates(
        &self,
        scope: Scope,
        limits: &LimitUnits,
        price: Price,
    ) -> Result<Result<(), Denial>, EngineError> {
        let (desk, order) = (self.desk, self.order);
        let d = self.instrument.decimals();
        let above = |gate, value: Money, limit: Option<Money>| match limit {
            Some(limit) if value > limit => deny(gate, shown(value), shown(limit)),
            _ => Ok(()),
        };
        let too_many = |gate, count: usize, limit: Option<u32>| match limit {
            Some(limit) if count as u64 >= u64::from(limit) => {
                deny(gate, (count + 1).into(), limit.into())
            }
            _ => Ok(()),
        };
        let notional = d.notional(price, order.qty)?;
        let counted = || {
            above(
                Gate::OrderQty,
                qty_units(order.qty.0.into(), d.qty)?,
                limits.order_qty,
            )?;
            above(Gate::OrderNotional, notional, limits.order_notional)?;
            if limits.open_orders.is_some() {
                let working = desk
                    .orders()
                    .iter()
                    .filter(|o| self.in_scope(scope, o.strategy, o.instrument))
                    .count();
                too_many(Gate::OpenOrders, working, limits.open_orders)?;
            }
            if limits.orders_per_second.is_some() && !self.is_hedge() {
                let recent = desk.risk().recent_orders(self.now);
                let recent = recent.filter(|(s, i)| self.in_scope(scope, *s, *i)).count();
                too_many(Gate::OrderRate, recent, limits.orders_per_second)?;
            }
            if limits.position.is_some() {
                let value = qty_units(self.worst_position(scope), d.qty)?;
                above(Gate::Position, value, limits.position)?;
            }
            if limits.open_positions.is_some() {
                let used = self.instruments_in_use(scope);
                if used.binary_search(&order.instrument).is_err() {
                    too_many(Gate::OpenPositions, used.len(), limits.open_positions)?;
                }
            }
            Ok(())
        };
        if let Err(denial) = counted() {
            return Ok(Err(denial));
        }
        if limits.gross_notional.is_some() {
            let gross = self.gross_notional(scope)?.add(notional)?;
            if let Err(denial) = above(Gate::GrossNotional, gross, limits.gross_notional) {
                return Ok(Err(denial));
            }
        }
        if limits.daily_loss.is_some() && !self.is_hedge() {
            let loss = self.daily_loss(scope)?;
            if let Err(denial) = above(Gate::DailyLoss, loss, limits.daily_loss) {
                return Ok(Err(denial));
            }
        }
        Ok(Ok(()))
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

    /// Positions at the mark and working orders at their price, in the order's quote currency.
    fn gross_notional(&self, scope: Scope) -> Result<Money, EngineError> {
        let currency = self.instrument.quote_currency;
        let mut gross = Money::ZERO;
        for position in self.desk.ledger().positions() {
            let instrument = self.market.instrument(position.instrument)?;
            if instrument.quote_currency == currency
                && self.in_scope(scope, position.strategy, position.instrument)
            {
                let value = position.value(instrument)?;
                gross = gross.add(Money(value.0.saturating_abs()))?;
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
                gross = gross.add(instrument.decimals().notional(price, working.remaining())?)?;
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

/// A quantity mantissa in units of 1e-18, for comparison with a limit.
fn qty_units(qty: i128, decimals: u8) -> Result<Money, Denial> {
    let unit = pow10(MONEY_DECIMALS.saturating_sub(decimals.into())).unwrap_or(1);
    qty.checked_mul(unit).map(Money).ok_or(Denial {
        gate: Gate::OrderQty,
        value: Decimal::MAX,
        limit: Decimal::ZERO,
    })
}
