//! A pair that is open: what it holds, what it was expected to bring, what it would bring now.
use super::edge::{Direction, ONE, Shares, cost_of, times};
use crate::event::Fill;
use crate::id::InstrumentId;
use crate::market::{Instrument, Market};
use crate::number::{Money, NumberError, Price, Qty, pow10};
use crate::order::Side;
use crate::parent::{Plan, depth};
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// One leg.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct TradeLeg {
    pub(super) instrument: InstrumentId,
    /// Signed.
    pub(super) held: Qty,
    /// What its contract paid, and for how much.
    pub(super) paid: Option<(Price, Qty)>,
}

/// What was known when both legs were filled.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Opened {
    /// E x Q: what the pair brings if both venues resolve alike, fees paid.
    pub(super) expected: Money,
    /// B: what closing it at once would have brought; never above zero.
    pub(super) first_mark: Money,
    /// E, of a share.
    pub(super) edge: Money,
}

/// A pair that is open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Trade {
    pub(super) pair: u32,
    pub(super) direction: Direction,
    /// The multi-leg order that opened it.
    pub(super) entry: u64,
    /// Those that closed or tried to close it, oldest first.
    pub(super) exits: Vec<u64>,
    /// The one that is closing it.
    pub(super) exit: Option<u64>,
    /// Single-book venue, token venue.
    pub(super) legs: [TradeLeg; 2],
    /// All that was paid and received, fees included.
    pub(super) cash: Money,
    /// What it binds.
    pub(super) capital: Money,
    pub(super) confidence_pct: u8,
    pub(super) opened: Option<Opened>,
    /// The exit rules that said something, as bits.
    pub(super) said: u16,
    /// No attempt to close before.
    pub(super) quiet_until: Nanos,
}

impl Trade {
    /// A trade at the moment when its plan stands on the tape.
    pub(super) fn new(
        pair: u32,
        direction: Direction,
        entry: u64,
        plan: &Plan,
        single: InstrumentId,
        confidence_pct: u8,
        market: &Market,
    ) -> Self {
        let place = usize::from(plan.legs[0].instrument != single);
        let leg = |place: usize| TradeLeg {
            instrument: plan.legs[place].instrument,
            held: Qty(0),
            paid: None,
        };
        let mut capital = Money::ZERO;
        for leg in &plan.legs {
            let cost = market
                .instrument(leg.instrument)
                .ok()
                .and_then(|i| cost_of(i, leg.side, leg.limit, leg.qty).ok());
            // What does not fit binds everything: no further entry.
            capital = Money(
                capital
                    .0
                    .saturating_add(cost.map_or(i128::MAX, |cost| cost.0)),
            );
        }
        Self {
            pair,
            direction,
            entry,
            exits: Vec::new(),
            exit: None,
            legs: [leg(place), leg(1 - place)],
            cash: Money::ZERO,
            capital,
            confidence_pct,
            opened: None,
            said: 0,
            quiet_until: Nanos(0),
        }
    }

    /// Books a fill of one of its orders.
    pub(super) fn fill(
        &mut self,
        instrument: &Instrument,
        side: Side,
        fill: &Fill,
    ) -> Result<(), NumberError> {
        let id = instrument.id();
        let Some(leg) = self.legs.iter_mut().find(|leg| leg.instrument == id) else {
            return Ok(());
        };
        let signed = side.sign().checked_mul(fill.qty.0);
        let held = signed.and_then(|signed| leg.held.0.checked_add(signed));
        leg.held = Qty(held.ok_or(NumberError::Overflow { what: "trade" })?);
        let notional = instrument.decimals().notional(fill.price, fill.qty)?;
        let paid = Money(i128::from(side.sign()) * notional.0).add(fill.fee)?;
        self.cash = self.cash.sub(paid)?;
        Ok(())
    }

    /// Books what a contract pays.
    pub(super) fn settle(
        &mut self,
        instrument: &Instrument,
        price: Price,
    ) -> Result<(), NumberError> {
        let id = instrument.id();
        let leg = self.legs.iter_mut().find(|leg| leg.instrument == id);
        if let Some(leg) = leg.filter(|leg| leg.paid.is_none()) {
            let pays = instrument.decimals().notional(price, leg.held)?;
            self.cash = self.cash.add(pays)?;
            leg.paid = Some((price, leg.held));
            leg.held = Qty(0);
        }
        Ok(())
    }

    pub(super) fn is_flat(&self) -> bool {
        self.legs.iter().all(|leg| leg.held.0 == 0)
    }

    /// The shares that have a counterpart.
    pub(super) fn shares(&self, market: &Market) -> Option<i128> {
        let decimals = |leg: &TradeLeg| {
            let instrument = market.instrument(leg.instrument).ok()?;
            Some(u32::from(instrument.decimals().qty))
        };
        let (a, b) = (decimals(&self.legs[0])?, decimals(&self.legs[1])?);
        let held = |leg: &TradeLeg, decimals| {
            let held = i128::from(leg.held.0).abs();
            held.checked_mul(pow10(a.max(b) - decimals)?)
        };
        Some(held(&self.legs[0], a)?.min(held(&self.legs[1], b)?))
    }

    /// Takes down what is expected of it, once both legs are filled.
    pub(super) fn open(&mut self, market: &Market, now: Nanos) -> Option<()> {
        let single = market.instrument(self.legs[0].instrument).ok()?;
        let token = market.instrument(self.legs[1].instrument).ok()?;
        let shares = Shares::new(single, token, now)?;
        let held = self.shares(market).filter(|held| *held > 0)?;
        let pays = match self.direction {
            Direction::BuySingle => shares.money(held).ok()?,
            // What the token pays the short leg costs.
            Direction::SellSingle => Money::ZERO,
        };
        let expected = self.cash.add(pays).ok()?;
        self.capital = shares.money(held).ok()?.sub(expected).ok()?;
        self.opened = Some(Opened {
            expected,
            first_mark: self.profit(market, now).ok()?.min(Money::ZERO),
            edge: shares.each(expected, held).ok()?,
        });
        Some(())
    }

    /// What it brings if both legs are closed now, each at the price that it would hit, less fees; never at the mid.
    pub(super) fn profit(&self, market: &Market, now: Nanos) -> Result<Money, NumberError> {
        let mut profit = self.cash;
        for leg in &self.legs {
            let Ok(instrument) = market.instrument(leg.instrument) else {
                continue;
            };
            profit = profit.add(liquidation(instrument, now, leg.held)?)?;
        }
        Ok(profit)
    }

    /// By how much a share paid more or less than the 1 that both legs should pay together; `None` before both paid.
    pub(super) fn divergence(&self, market: &Market) -> Option<Money> {
        let mut paid = match self.direction {
            Direction::BuySingle => Money(-ONE),
            // Selling YES was buying NO, which pays 1 less what YES pays.
            Direction::SellSingle => Money::ZERO,
        };
        for leg in &self.legs {
            let (price, held) = leg.paid.filter(|(_, held)| held.0 != 0)?;
            let d = market.instrument(leg.instrument).ok()?.decimals();
            let unit = pow10(d.qty.into()).and_then(|unit| i64::try_from(unit).ok())?;
            let one = d.notional(price, Qty(unit * held.0.signum())).ok()?;
            paid = paid.add(one).ok()?;
        }
        Some(paid)
    }

    /// Expected profit times a factor.
    pub(super) fn expected_times(&self, factor: Money) -> Option<Money> {
        times(self.opened?.expected, factor).ok()
    }
}

/// What closing a position would bring, fees paid. Depth that is not there is worth nothing, and a short position without
/// it costs the 1 that it may have to pay.
fn liquidation(instrument: &Instrument, now: Nanos, held: Qty) -> Result<Money, NumberError> {
    if held.0 == 0 {
        return Ok(Money::ZERO);
    }
    let side = if held.0 > 0 { Side::Sell } else { Side::Buy };
    let found = depth::find(instrument, now, side, held.abs())?;
    let (filled, notional, fees) = found.map_or((0, Money::ZERO, Money::ZERO), |found| {
        (found.qty.0, found.notional, found.fees)
    });
    if held.0 > 0 {
        return notional.sub(fees);
    }
    let missing = Qty(held.abs().0 - filled);
    let at_worst = cost_of(instrument, Side::Sell, Price(0), missing)?;
    Ok(notional.add(fees)?.add(at_worst)?.negated())
}
