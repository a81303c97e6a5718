//! What lies where, and how much of the coin a trade may move (requirements, five systems, 4.3.6).
//!
//! Nothing is ever sold short: the starting inventory is a parameter, and the ledger's positions are the changes since.
use super::params::Limits;
use super::spread::{ONE, Route, Tops};
use crate::desk::Position;
use crate::number::{Decimals, MONEY_DECIMALS, Money, NumberError, Price, pow10};
use serde::{Deserialize, Serialize};

const OVERFLOW: NumberError = NumberError::Overflow { what: "inventory" };

/// Decimals of the coin on both venues and in common: the finer of the two.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Units {
    pub(super) upbit: Decimals,
    pub(super) binance: Decimals,
    pub(super) fx: Decimals,
}

impl Units {
    /// Decimals of a common coin unit.
    pub(super) fn coin_decimals(&self) -> u32 {
        self.upbit.qty.max(self.binance.qty).into()
    }

    /// Common units in one mantissa step of a quantity on the won venue.
    pub(super) fn upbit_step(&self) -> i128 {
        pow10(self.coin_decimals() - u32::from(self.upbit.qty)).unwrap_or(1)
    }

    /// The same of the dollar venue.
    pub(super) fn binance_step(&self) -> i128 {
        pow10(self.coin_decimals() - u32::from(self.binance.qty)).unwrap_or(1)
    }

    /// What `coins` common units are worth at a price.
    pub(super) fn value(
        &self,
        d: Decimals,
        price: Price,
        coins: i128,
    ) -> Result<Money, NumberError> {
        let decimals = u32::from(d.price) + self.coin_decimals();
        let product = coins.checked_mul(price.0.into()).ok_or(OVERFLOW)?;
        let scaled = match MONEY_DECIMALS.checked_sub(decimals) {
            Some(missing) => pow10(missing).and_then(|unit| product.checked_mul(unit)),
            None => pow10(decimals - MONEY_DECIMALS).map(|unit| product.div_euclid(unit)),
        };
        scaled.map(Money).ok_or(OVERFLOW)
    }

    /// How many common units a sum of money buys at a price, rounded down; none for less than nothing.
    pub(super) fn coins(
        &self,
        d: Decimals,
        price: Price,
        money: Money,
    ) -> Result<i128, NumberError> {
        if money.0 <= 0 || price.0 <= 0 {
            return Ok(0);
        }
        let decimals = u32::from(d.price) + self.coin_decimals();
        let coins = match MONEY_DECIMALS.checked_sub(decimals) {
            Some(missing) => pow10(missing).map(|unit| money.0 / unit / i128::from(price.0)),
            None => pow10(decimals - MONEY_DECIMALS)
                .and_then(|unit| money.0.checked_mul(unit))
                .map(|scaled| scaled / i128::from(price.0)),
        };
        coins.ok_or(OVERFLOW)
    }

    /// Won in dollars at the middle of the FX book, rounded down.
    pub(super) fn dollars(&self, krw: Money, twice_fx: i64) -> Option<Money> {
        FxRate {
            twice_mid: twice_fx,
            decimals: self.fx.price,
        }
        .usdt(krw)
    }
}

/// Won per dollar: the middle of the FX book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FxRate {
    /// Best bid plus best ask.
    pub(super) twice_mid: i64,
    /// Decimals of its price.
    pub(super) decimals: u8,
}

impl FxRate {
    fn twice_unit(self) -> Option<i128> {
        pow10(self.decimals.into())?.checked_mul(2)
    }

    /// Won in dollars, rounded down at 1e-18.
    pub(super) fn usdt(self, krw: Money) -> Option<Money> {
        let scaled = krw.0.checked_mul(self.twice_unit()?)?;
        scaled.checked_div_euclid(self.twice_mid.into()).map(Money)
    }

    /// Dollars in won, rounded down at 1e-18.
    pub(super) fn krw(self, usdt: Money) -> Option<Money> {
        let scaled = usdt.0.checked_mul(self.twice_mid.into())?;
        scaled.checked_div_euclid(self.twice_unit()?).map(Money)
    }
}

/// Coin and cash on both venues; coin in common units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inventory {
    pub(super) coin_upbit: i128,
    pub(super) coin_binance: i128,
    pub(super) krw: Money,
    pub(super) usdt: Money,
}

/// Cash that a position's fills have brought or cost, fees included.
fn cash(position: &Position) -> Result<Money, NumberError> {
    position.realised.sub(position.fees)?.sub(position.cost)
}

impl Inventory {
    /// The starting inventory (coin in common units) and what the ledger's positions changed.
    pub(super) fn now(
        units: &Units,
        start: [i128; 2],
        limits: &Limits,
        upbit: Option<&Position>,
        binance: Option<&Position>,
    ) -> Result<Self, NumberError> {
        let coin = |start: i128, position: Option<&Position>, step: i128| {
            let change = position.map_or(0, |position| i128::from(position.qty.0));
            change
                .checked_mul(step)
                .and_then(|change| start.checked_add(change))
                .ok_or(OVERFLOW)
        };
        let money = |start: Money, position: Option<&Position>| match position {
            Some(position) => start.add(cash(position)?),
            None => Ok(start),
        };
        Ok(Self {
            coin_upbit: coin(start[0], upbit, units.upbit_step())?,
            coin_binance: coin(start[1], binance, units.binance_step())?,
            krw: money(limits.krw, upbit)?,
            usdt: money(limits.usdt, binance)?,
        })
    }

    /// What each venue's coin and cash are worth in dollars, coin at its bid.
    pub(super) fn values(&self, units: &Units, tops: &Tops) -> Result<[Money; 2], NumberError> {
        let won = units
            .value(units.upbit, tops.upbit.bid.price, self.coin_upbit)?
            .add(self.krw)?;
        let twice_fx = tops.fx.twice_mid().ok_or(OVERFLOW)?;
        let upbit = units.dollars(won, twice_fx).ok_or(OVERFLOW)?;
        let binance = units
            .value(units.binance, tops.binance.bid.price, self.coin_binance)?
            .add(self.usdt)?;
        Ok([upbit, binance])
    }

    /// How much of the coin may move on a route, by each bound, in common units.
    pub(super) fn rooms(
        &self,
        route: Route,
        units: &Units,
        limits: &Limits,
        tops: &Tops,
        fees: [i64; 2],
    ) -> Result<Rooms, NumberError> {
        let total = self
            .coin_upbit
            .checked_add(self.coin_binance)
            .ok_or(OVERFLOW)?;
        let (sellable, receiving, payer, price, cash, fee) = match route {
            Route::SellUpbit => (
                self.coin_upbit,
                self.coin_binance,
                units.binance,
                tops.binance.ask.price,
                self.usdt,
                fees[1],
            ),
            Route::BuyUpbit => (
                self.coin_binance,
                self.coin_upbit,
                units.upbit,
                tops.upbit.ask.price,
                self.krw,
                fees[0],
            ),
        };
        // The fee and the room that the limit leaves are paid from the same cash.
        let reserve = ONE + i128::from(fee) + i128::from(limits.leg2_slip);
        let spendable = cash.0.max(0).checked_mul(ONE).ok_or(OVERFLOW)? / reserve;
        let capped = total
            .checked_mul(limits.skew_cap.into())
            .ok_or(OVERFLOW)?
            .div_euclid(ONE);
        let [upbit, binance] = self.values(units, tops)?;
        let all = upbit.add(binance)?;
        let exposed = all
            .0
            .checked_mul(limits.max_exposure.into())
            .ok_or(OVERFLOW)?
            / ONE;
        let dollars = |money| units.coins(units.binance, tops.binance.ask.price, money);
        Ok(Rooms {
            sellable: sellable.max(0),
            buyable: units.coins(payer, price, Money(spendable))?,
            skew: (capped - receiving).max(0),
            exposure: dollars(Money(exposed))?,
            position: dollars(limits.max_position)?,
        })
    }
}

/// The difference between two values as a share of both, in parts per billion; all of it where there is nothing.
pub(super) fn imbalance([a, b]: [Money; 2]) -> Option<i64> {
    let (difference, both) = (a.0.checked_sub(b.0)?.checked_abs()?, a.0.checked_add(b.0)?);
    if both <= 0 {
        return Some(ONE as i64);
    }
    i64::try_from(difference.checked_mul(ONE)? / both).ok()
}

/// How much of the coin may move, by each bound, in common units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rooms {
    /// Coin where it is sold.
    pub(super) sellable: i128,
    /// Cash where it is bought, at its price, fee and slippage included.
    pub(super) buyable: i128,
    /// Until too large a share lies on one venue.
    pub(super) skew: i128,
    /// Until the round trip is too large a share of everything.
    pub(super) exposure: i128,
    /// Until the round trip is too large.
    pub(super) position: i128,
}

impl Rooms {
    /// The tightest.
    pub(super) fn least(&self) -> i128 {
        self.sellable
            .min(self.buyable)
            .min(self.skew)
            .min(self.exposure)
            .min(self.position)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::Level;
    use crate::market::Top;
    use crate::number::Qty;
    use crate::strategy::cross_exchange::params::Params;

    pub(in crate::strategy::cross_exchange) const UNITS: Units = Units {
        upbit: Decimals { price: 0, qty: 8 },
        binance: Decimals { price: 2, qty: 5 },
        fx: Decimals { price: 1, qty: 8 },
    };

    pub(in crate::strategy::cross_exchange) fn top(bid: i64, ask: i64) -> Top {
        let level = |price| Level {
            price: Price(price),
            qty: Qty(1_000_000),
        };
        Top {
            bid: level(bid),
            ask: level(ask),
        }
    }

    pub(in crate::strategy::cross_exchange) fn golden() -> Tops {
        Tops {
            upbit: top(143_100_000, 143_150_000),
            binance: top(9_950_000, 9_951_000),
            fx: top(14_300, 14_310),
        }
    }

    const COIN: i128 = 100_000_000;

    /// .5 coin on each venue, 70,000,000 won, 50,000 dollars, by hand at the golden prices.
    #[test]
    fn bounds_follow_from_what_lies_where() {
        let limits = Params::default().check().unwrap();
        let start = [COIN / 2, COIN / 2];
        let inventory = Inventory::now(&UNITS, start, &limits, None, None).unwrap();
        let fees = [500_000, 1_000_000];
        let rooms = inventory
            .rooms(Route::SellUpbit, &UNITS, &limits, &golden(), fees)
            .unwrap();
        assert_eq!(rooms.sellable, COIN / 2);
        // 50,000 / 1.0015 / 99,510 = .50170949...
        assert_eq!(rooms.buyable, 50_170_949);
        // 70 % of 1 coin less the .5 that is there.
        assert_eq!(rooms.skew, COIN / 5);
        // 1000 / 99,510.
        assert_eq!(rooms.position, 1_004_924);
        assert_eq!(rooms.least(), 1_004_924);
        // Won venue: (71,550,000 + 70,000,000) / 1430.5 = 98,951.4...; dollar venue: 49,750 + 50,000.
        let values = inventory.values(&UNITS, &golden()).unwrap();
        assert_eq!(values[1].to_string(), "99750");
        assert_eq!(values[0].0 / 10i128.pow(18), 98_951);
        assert_eq!(imbalance(values).unwrap() / 100_000, 40, "40 bps apart");
        let back = inventory
            .rooms(Route::BuyUpbit, &UNITS, &limits, &golden(), fees)
            .unwrap();
        // 70,000,000 / 1.001 / 143,150,000 = .48850904...
        assert_eq!(back.buyable, 48_850_904);
    }

    #[test]
    fn fx_turns_money_both_ways_and_rounds_down() {
        let fx = FxRate {
            twice_mid: 28_610,
            decimals: 1,
        };
        let krw = Money(143_050 * 10i128.pow(18));
        assert_eq!(fx.usdt(krw).unwrap().to_string(), "100");
        assert_eq!(fx.krw(Money(100 * 10i128.pow(18))), Some(krw));
        assert_eq!(
            fx.usdt(Money(-1)),
            Some(Money(-1)),
            "down, not towards zero"
        );
        assert_eq!(
            FxRate {
                twice_mid: 0,
                decimals: 1
            }
            .usdt(krw),
            None
        );
    }

    #[test]
    fn nothing_held_is_out_of_balance() {
        assert_eq!(imbalance([Money(0); 2]), Some(1_000_000_000));
        assert_eq!(imbalance([Money(3), Money(1)]), Some(500_000_000));
    }
}
