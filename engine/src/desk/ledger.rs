//! Positions, cash and profit: exact, per strategy, venue and currency.
//!
//! Cash counts every notional in full, for futures as for spot: equity is cash plus what closing the positions would
//! bring, and that is right for both. At every moment, to the last digit:
//! `cash = realised - fees - cost of what is held`, and a position is the sum of its fills.
use crate::error::EngineError;
use crate::event::Fill;
use crate::id::{CurrencyId, InstrumentId, StrategyId, VenueId};
use crate::market::{Instrument, Market};
use crate::number::{Money, NumberError, Price, Qty};
use crate::order::Side;
use serde::{Deserialize, Serialize};

/// What a strategy holds in an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Whose.
    pub strategy: StrategyId,
    /// In what.
    pub instrument: InstrumentId,
    /// Signed quantity: the sum of the fills.
    pub qty: Qty,
    /// What the open quantity cost, signed like the quantity, fees apart.
    pub cost: Money,
    /// Profit of what was closed, fees apart.
    pub realised: Money,
    /// Fees paid.
    pub fees: Money,
    /// Notional of all fills.
    pub turnover: Money,
    /// Number of fills.
    pub fills: u64,
}

impl Position {
    const fn new(strategy: StrategyId, instrument: InstrumentId) -> Self {
        Self {
            strategy,
            instrument,
            qty: Qty(0),
            cost: Money::ZERO,
            realised: Money::ZERO,
            fees: Money::ZERO,
            turnover: Money::ZERO,
            fills: 0,
        }
    }

    /// Changes the quantity at a price; returns the notional.
    ///
    /// What is closed takes its share of the cost with it; the division is rounded towards zero at 1e-18 and what it
    /// drops stays in the cost, so nothing is lost between realised and open profit.
    fn trade(
        &mut self,
        instrument: &Instrument,
        side: Side,
        price: Price,
        qty: Qty,
    ) -> Result<Money, EngineError> {
        const OVERFLOW: NumberError = NumberError::Overflow { what: "position" };
        let d = instrument.decimals();
        let notional = d.notional(price, qty)?;
        let sign = i128::from(side.sign());
        let held = i128::from(self.qty.0);
        let closing = if held.signum() == -sign {
            held.abs().min(qty.0.into())
        } else {
            0
        };
        let closing_qty = Qty(i64::try_from(closing).map_err(|_| OVERFLOW)?);
        let closing_notional = d.notional(price, closing_qty)?;
        if closing > 0 {
            let removed = if closing == held.abs() {
                self.cost
            } else {
                share(self.cost, closing, held.abs()).ok_or(OVERFLOW)?
            };
            self.realised = self
                .realised
                .add(Money(-sign * closing_notional.0))?
                .sub(removed)?;
            self.cost = self.cost.sub(removed)?;
        }
        let opening_notional = notional.sub(closing_notional)?;
        self.cost = self.cost.add(Money(sign * opening_notional.0))?;
        let change = side.sign().checked_mul(qty.0).ok_or(OVERFLOW)?;
        self.qty = Qty(self.qty.0.checked_add(change).ok_or(OVERFLOW)?);
        Ok(notional)
    }

    /// What closing the position now would bring, at the price that one would hit: bids for what is held long, asks for
    /// what is short; without a live market at the last trade, and without one at its cost. Signed like the quantity.
    ///
    /// # Errors
    /// [`NumberError::Overflow`].
    pub fn value(&self, instrument: &Instrument) -> Result<Money, EngineError> {
        if self.qty.0 == 0 {
            return Ok(Money::ZERO);
        }
        let closing = if self.qty.0 > 0 {
            Side::Sell
        } else {
            Side::Buy
        };
        match instrument.settled_at.or(instrument.mark(closing)) {
            Some(price) => Ok(instrument.decimals().notional(price, self.qty)?),
            None => Ok(self.cost),
        }
    }

    /// What the position gained or lost in all: fees, what was closed and what closing the rest would bring.
    ///
    /// # Errors
    /// [`NumberError::Overflow`].
    pub fn profit(&self, instrument: &Instrument) -> Result<Money, EngineError> {
        let open = self.value(instrument)?.sub(self.cost)?;
        Ok(self.realised.sub(self.fees)?.add(open)?)
    }
}

/// `cost x part / whole`, rounded towards zero, without overflow for any cost that can arise.
fn share(cost: Money, part: i128, whole: i128) -> Option<Money> {
    match cost.0.checked_mul(part) {
        Some(product) => Some(Money(product / whole)),
        // part <= whole < 2^63: split the cost so that neither product overflows.
        None => {
            let (quotient, rest) = (cost.0 / whole, cost.0 % whole);
            Some(Money(
                quotient
                    .checked_mul(part)?
                    .checked_add(rest.checked_mul(part)? / whole)?,
            ))
        }
    }
}

/// Cash of a strategy at a venue in a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cash {
    /// Whose.
    pub strategy: StrategyId,
    /// Where.
    pub venue: VenueId,
    /// Of what.
    pub currency: CurrencyId,
    /// How much, from zero at the session's start.
    pub balance: Money,
}

/// All positions and all cash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    positions: Vec<Position>,
    cash: Vec<Cash>,
}

impl Ledger {
    /// Books a fill.
    ///
    /// # Errors
    /// [`NumberError::Overflow`].
    pub fn fill(
        &mut self,
        strategy: StrategyId,
        instrument: &Instrument,
        side: Side,
        fill: &Fill,
    ) -> Result<(), EngineError> {
        let position = self.position_mut(strategy, instrument.id());
        let notional = position.trade(instrument, side, fill.price, fill.qty)?;
        position.fees = position.fees.add(fill.fee)?;
        position.turnover = position.turnover.add(notional)?;
        position.fills += 1;
        let flow = Money(-i128::from(side.sign()) * notional.0).sub(fill.fee)?;
        self.pay(strategy, instrument, flow)
    }

    /// Pays every position in a resolved contract out; there is no fee on that.
    ///
    /// # Errors
    /// [`NumberError::Overflow`].
    pub fn settle(&mut self, instrument: &Instrument, price: Price) -> Result<(), EngineError> {
        for place in 0..self.positions.len() {
            let position = &mut self.positions[place];
            if position.instrument != instrument.id() || position.qty.0 == 0 {
                continue;
            }
            let (strategy, side) = (
                position.strategy,
                if position.qty.0 > 0 {
                    Side::Sell
                } else {
                    Side::Buy
                },
            );
            let qty = position.qty.abs();
            let notional = position.trade(instrument, side, price, qty)?;
            self.pay(
                strategy,
                instrument,
                Money(-i128::from(side.sign()) * notional.0),
            )?;
        }
        Ok(())
    }

    fn pay(
        &mut self,
        strategy: StrategyId,
        instrument: &Instrument,
        flow: Money,
    ) -> Result<(), EngineError> {
        let key = (strategy, instrument.venue, instrument.quote_currency);
        let place = match self
            .cash
            .binary_search_by_key(&key, |c| (c.strategy, c.venue, c.currency))
        {
            Ok(place) => place,
            Err(place) => {
                let (strategy, venue, currency) = key;
                self.cash.insert(
                    place,
                    Cash {
                        strategy,
                        venue,
                        currency,
                        balance: Money::ZERO,
                    },
                );
                place
            }
        };
        let cash = &mut self.cash[place];
        cash.balance = cash.balance.add(flow)?;
        Ok(())
    }

    fn position_mut(&mut self, strategy: StrategyId, instrument: InstrumentId) -> &mut Position {
        let key = (strategy, instrument);
        let place = match self
            .positions
            .binary_search_by_key(&key, |p| (p.strategy, p.instrument))
        {
            Ok(place) => place,
            Err(place) => {
                self.positions
                    .insert(place, Position::new(strategy, instrument));
                place
            }
        };
        &mut self.positions[place]
    }

    /// A strategy's position in an instrument, once it has traded there.
    #[inline]
    pub fn position(&self, strategy: StrategyId, instrument: InstrumentId) -> Option<&Position> {
        let found = self
            .positions
            .binary_search_by_key(&(strategy, instrument), |p| (p.strategy, p.instrument));
        found.ok().map(|place| &self.positions[place])
    }

    /// All positions that ever were, by strategy and instrument.
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// All cash, by strategy, venue and currency.
    pub fn cash(&self) -> &[Cash] {
        &self.cash
    }

    /// Cash plus what closing every position would bring, in one currency; the profit so far, since cash starts at zero.
    ///
    /// # Errors
    /// [`NumberError::Overflow`].
    pub fn equity(
        &self,
        strategy: StrategyId,
        currency: CurrencyId,
        market: &Market,
    ) -> Result<Money, EngineError> {
        let mut equity = Money::ZERO;
        for cash in self
            .cash
            .iter()
            .filter(|c| (c.strategy, c.currency) == (strategy, currency))
        {
            equity = equity.add(cash.balance)?;
        }
        for position in self
            .positions
            .iter()
            .filter(|p| p.strategy == strategy && p.qty.0 != 0)
        {
            let instrument = market.instrument(position.instrument)?;
            if instrument.quote_currency == currency {
                equity = equity.add(position.value(instrument)?)?;
            }
        }
        Ok(equity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, InstrumentDefined, InstrumentType, Liquidity};
    use crate::id::Sequence;
    use crate::number::Decimals;
    use crate::time::Nanos;
    use proptest::prelude::*;

    fn instrument() -> Instrument {
        let definition = InstrumentDefined {
            instrument: InstrumentId(0),
            venue: "paper".into(),
            symbol: "X".into(),
            instrument_type: InstrumentType::Spot,
            base: "X".into(),
            quote: "USD".into(),
            decimals: Decimals { price: 2, qty: 3 },
        };
        let mut market = Market::default();
        let defined = Event::InstrumentDefined(Box::new(definition));
        market.evolve(Sequence(1), Nanos(0), &defined).unwrap();
        market.instruments()[0].clone()
    }

    fn fill(price: i64, qty: i64, fee: i128) -> Fill {
        Fill {
            fill_id: 1,
            price: Price(price),
            qty: Qty(qty),
            fee: Money(fee),
            liquidity: Liquidity::Taker,
        }
    }

    /// By hand: buy 2 at 100.00, sell 3 at 110.00 (2 close for +20, 1 opens short), buy 1 at 105.00 (closes for +5).
    #[test]
    fn a_position_that_flips_realises_only_what_it_closes() {
        let (x, s) = (instrument(), StrategyId(0));
        let mut ledger = Ledger::default();
        ledger
            .fill(s, &x, Side::Buy, &fill(10_000, 2_000, 0))
            .unwrap();
        ledger
            .fill(s, &x, Side::Sell, &fill(11_000, 3_000, 0))
            .unwrap();
        let position = ledger.position(s, x.id()).unwrap();
        assert_eq!(
            (position.realised.to_string(), position.cost.to_string()),
            ("20".into(), "-110".into())
        );
        ledger
            .fill(s, &x, Side::Buy, &fill(10_500, 1_000, 0))
            .unwrap();
        let position = ledger.position(s, x.id()).unwrap();
        assert_eq!((position.qty, position.cost), (Qty(0), Money::ZERO));
        assert_eq!(position.realised.to_string(), "25");
        assert_eq!(ledger.cash()[0].balance.to_string(), "25");
    }

    #[test]
    fn a_resolved_contract_pays_long_and_short() {
        let x = instrument();
        let mut ledger = Ledger::default();
        ledger
            .fill(StrategyId(0), &x, Side::Buy, &fill(40, 10_000, 0))
            .unwrap();
        ledger
            .fill(StrategyId(1), &x, Side::Sell, &fill(45, 10_000, 0))
            .unwrap();
        ledger.settle(&x, Price(100)).unwrap();
        let realised: Vec<String> = ledger
            .positions()
            .iter()
            .map(|p| p.realised.to_string())
            .collect();
        assert_eq!(realised, ["6", "-5.5"]);
    }

    proptest! {
        #[test]
        fn positions_are_the_sum_of_fills_and_cash_is_conserved(
            fills in prop::collection::vec((any::<bool>(), 1i64..10_000_000, 1i64..10_000_000, 0i128..1_000_000), 1..60),
        ) {
            let (x, s) = (instrument(), StrategyId(0));
            let mut ledger = Ledger::default();
            let (mut held, mut paid) = (0i64, Money::ZERO);
            for (buy, price, qty, fee) in fills {
                let side = if buy { Side::Buy } else { Side::Sell };
                ledger.fill(s, &x, side, &fill(price, qty, fee)).unwrap();
                held += side.sign() * qty;
                let notional = x.decimals().notional(Price(price), Qty(qty)).unwrap();
                paid = paid.add(Money(i128::from(side.sign()) * notional.0)).unwrap().add(Money(fee)).unwrap();
                let p = ledger.position(s, x.id()).unwrap();
                prop_assert_eq!(p.qty, Qty(held));
                prop_assert_eq!(ledger.cash()[0].balance, paid.negated());
                prop_assert_eq!(p.realised.sub(p.fees).unwrap().sub(p.cost).unwrap(), paid.negated());
                if held == 0 { prop_assert_eq!(p.cost, Money::ZERO); }
            }
        }
    }
}
