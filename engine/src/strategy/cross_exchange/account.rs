//! Profit in one numeraire: both legs' own fills, each at the FX of its moment, and what FX did to the foreign cash apart
//! (requirements, five systems, 4.3.8).
//!
//! A round trip is the sum of its fills. Of each fill: the cash that it moved, its fee included, in the numeraire at the
//! FX of that moment. At the end, all foreign cash again at the FX of the end: the difference is the FX profit. So
//! `total = trading + FX` to the last digit, whatever was filled when.
use super::inventory::{FxRate, Units};
use super::params::Numeraire;
use super::spread::{FeeRates, ONE, Route, Tops};
use crate::event::Fill;
use crate::number::{Money, NumberError, Qty};
use crate::order::Side;
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

const OVERFLOW: NumberError = NumberError::Overflow { what: "round trip" };

/// Why a round trip is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// All instances together lost too much today.
    EmergencyLoss,
    /// A venue is down.
    VenueUnhealthy,
    /// It lost too much before fees.
    StopLoss,
    /// It gained enough net of all fees.
    TakeProfit,
    /// The premium went to the other side of its mean.
    Reversal,
    /// It took too long.
    TooLong,
}

/// One leg of a round trip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flows {
    /// Change of the coin there, in the instrument's units.
    pub(super) qty: Qty,
    /// Change of the cash there, fees included, in the venue's currency.
    pub(super) cash: Money,
    /// Fees in it.
    pub(super) fees: Money,
    pub(super) fills: u32,
}

/// A round trip under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trip {
    pub(super) route: Route,
    /// The parent that opened it.
    pub(super) opening: u64,
    pub(super) opened_at: Nanos,
    /// On the won venue, on the dollar venue.
    pub(super) legs: [Flows; 2],
    /// All cash moved, in the numeraire, each fill at its own FX.
    at_fill: Money,
    /// Of it what is not cash of the numeraire's own currency.
    foreign_at_fill: Money,
    /// Fees in it.
    fees: Money,
    /// Largest value bought or sold on the won venue to open, in the numeraire.
    opened: Money,
    /// Why it is to be closed, once it is.
    pub(super) due: Option<ExitReason>,
}

/// What a round trip has come to if it were closed now, in parts per billion of what was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gain {
    /// Before fees.
    pub(super) gross: i64,
    /// After the fees paid and those of closing.
    pub(super) net: i64,
}

/// How money of both venues becomes money of the numeraire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Teller {
    pub(super) numeraire: Numeraire,
    pub(super) fx: FxRate,
}

impl Teller {
    /// Won in the numeraire.
    pub(super) fn won(&self, krw: Money) -> Result<Money, NumberError> {
        match self.numeraire {
            Numeraire::Krw => Ok(krw),
            Numeraire::Usdt => self.fx.usdt(krw).ok_or(OVERFLOW),
        }
    }

    /// Dollars in the numeraire.
    pub(super) fn dollars(&self, usdt: Money) -> Result<Money, NumberError> {
        match self.numeraire {
            Numeraire::Usdt => Ok(usdt),
            Numeraire::Krw => self.fx.krw(usdt).ok_or(OVERFLOW),
        }
    }

    /// Money of a venue (0 is the won venue) in the numeraire.
    fn of(&self, place: usize, money: Money) -> Result<Money, NumberError> {
        if place == 0 {
            self.won(money)
        } else {
            self.dollars(money)
        }
    }

    /// The venue whose currency is not the numeraire.
    const fn foreign(&self) -> usize {
        match self.numeraire {
            Numeraire::Usdt => 0,
            Numeraire::Krw => 1,
        }
    }
}

impl Trip {
    pub(super) const fn new(route: Route, opening: u64, opened_at: Nanos) -> Self {
        const NONE: Flows = Flows {
            qty: Qty(0),
            cash: Money::ZERO,
            fees: Money::ZERO,
            fills: 0,
        };
        Self {
            route,
            opening,
            opened_at,
            legs: [NONE; 2],
            at_fill: Money::ZERO,
            foreign_at_fill: Money::ZERO,
            fees: Money::ZERO,
            opened: Money::ZERO,
            due: None,
        }
    }

    /// Whether anything was ever filled.
    pub(super) const fn is_filled(&self) -> bool {
        self.legs[0].fills > 0 || self.legs[1].fills > 0
    }

    /// Books a fill on a venue (0 is the won venue) of an order of `side`.
    pub(super) fn fill(
        &mut self,
        place: usize,
        side: Side,
        fill: &Fill,
        units: &Units,
        teller: &Teller,
    ) -> Result<(), NumberError> {
        let d = if place == 0 {
            units.upbit
        } else {
            units.binance
        };
        let notional = d.notional(fill.price, fill.qty)?;
        let cash = Money(-i128::from(side.sign()) * notional.0).sub(fill.fee)?;
        let leg = &mut self.legs[place];
        let change = side.sign().checked_mul(fill.qty.0).ok_or(OVERFLOW)?;
        leg.qty = Qty(leg.qty.0.checked_add(change).ok_or(OVERFLOW)?);
        leg.cash = leg.cash.add(cash)?;
        leg.fees = leg.fees.add(fill.fee)?;
        leg.fills = leg.fills.saturating_add(1);
        let told = teller.of(place, cash)?;
        self.at_fill = self.at_fill.add(told)?;
        self.fees = self.fees.add(teller.of(place, fill.fee)?)?;
        if place == teller.foreign() {
            self.foreign_at_fill = self.foreign_at_fill.add(told)?;
        }
        if place == 0 && side == self.route.upbit_side() {
            self.opened = self.opened.add(teller.won(notional)?)?;
        }
        Ok(())
    }

    /// What turning all coin of the round trip back now would bring, in the numeraire, and its fees.
    fn turned_back(
        &self,
        units: &Units,
        tops: &Tops,
        fees: &FeeRates,
        teller: &Teller,
    ) -> Result<(Money, Money), NumberError> {
        let (mut value, mut fee) = (Money::ZERO, Money::ZERO);
        for (place, d, top, rate) in [
            (0, units.upbit, &tops.upbit, fees.upbit),
            (1, units.binance, &tops.binance, fees.binance),
        ] {
            let qty = self.legs[place].qty;
            let price = if qty.0 < 0 {
                top.ask.price
            } else {
                top.bid.price
            };
            let worth = teller.of(place, d.notional(price, qty)?)?;
            value = value.add(worth)?;
            let size = worth.0.unsigned_abs() as i128;
            let part = size.checked_mul(rate.into()).ok_or(OVERFLOW)? / ONE;
            fee = fee.add(Money(part))?;
        }
        Ok((value, fee))
    }

    /// What it has come to if it were closed now at the sides that one would hit; `None` before anything was opened.
    pub(super) fn gain(
        &self,
        units: &Units,
        tops: &Tops,
        fees: &FeeRates,
        teller: &Teller,
    ) -> Option<Gain> {
        let (back, closing) = self.turned_back(units, tops, fees, teller).ok()?;
        let net = self.at_fill.add(back).ok()?.sub(closing).ok()?;
        let gross = net.add(self.fees).ok()?.add(closing).ok()?;
        let share = |money: Money| {
            let ratio = money
                .0
                .checked_mul(ONE)?
                .checked_div_euclid(self.opened.0)?;
            i64::try_from(ratio).ok()
        };
        Some(Gain {
            gross: share(gross)?,
            net: share(net)?,
        })
    }

    /// What it came to. Coin that is too little to trade back stays where it is and counts at the price that one would hit.
    pub(super) fn close(
        &self,
        units: &Units,
        tops: &Tops,
        teller: &Teller,
    ) -> Result<Outcome, NumberError> {
        let (rest, _) = self.turned_back(units, tops, &FeeRates::default(), teller)?;
        let trading = self.at_fill.add(rest)?;
        let foreign = teller.foreign();
        let now = teller.of(foreign, self.legs[foreign].cash)?;
        let fx = now.sub(self.foreign_at_fill)?;
        Ok(Outcome {
            trading,
            fx,
            fees: self.fees,
            fees_krw: self.legs[0].fees,
            fees_usdt: self.legs[1].fees,
        })
    }
}

/// What a closed round trip came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) trading: Money,
    pub(super) fx: Money,
    pub(super) fees: Money,
    pub(super) fees_krw: Money,
    pub(super) fees_usdt: Money,
}

/// What all closed round trips came to. Money is in the numeraire unless its name says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The currency that profit is counted in.
    pub numeraire: Numeraire,
    /// Round trips closed in which anything was filled.
    pub closed: u64,
    /// Of them, those that did not lose.
    pub won: u64,
    /// By route: [sell, buy] on the won venue.
    pub by_route: [u64; 2],
    /// Profit of trading: every fill, fees included, at the FX of its moment.
    pub trading: Money,
    /// What FX did to foreign cash between its fill and the end of its round trip.
    pub fx: Money,
    /// Fees, contained in `trading`.
    pub fees: Money,
    /// The won venue's fees in won.
    pub fees_krw: Money,
    /// The dollar venue's fees in dollars.
    pub fees_usdt: Money,
    /// Why the last one was closed; none when it never became whole.
    pub last_exit: Option<ExitReason>,
}

impl Report {
    pub(super) const fn new(numeraire: Numeraire) -> Self {
        Self {
            numeraire,
            closed: 0,
            won: 0,
            by_route: [0; 2],
            trading: Money::ZERO,
            fx: Money::ZERO,
            fees: Money::ZERO,
            fees_krw: Money::ZERO,
            fees_usdt: Money::ZERO,
            last_exit: None,
        }
    }

    /// Trading and FX together.
    ///
    /// # Errors
    /// [`NumberError::Overflow`].
    pub fn total(&self) -> Result<Money, NumberError> {
        self.trading.add(self.fx)
    }

    /// Counts a closed round trip; returns its profit, FX included.
    pub(super) fn add(&mut self, trip: &Trip, outcome: &Outcome) -> Result<Money, NumberError> {
        let profit = outcome.trading.add(outcome.fx)?;
        self.closed += 1;
        self.won += u64::from(profit >= Money::ZERO);
        self.by_route[trip.route.index()] += 1;
        self.trading = self.trading.add(outcome.trading)?;
        self.fx = self.fx.add(outcome.fx)?;
        self.fees = self.fees.add(outcome.fees)?;
        self.fees_krw = self.fees_krw.add(outcome.fees_krw)?;
        self.fees_usdt = self.fees_usdt.add(outcome.fees_usdt)?;
        self.last_exit = trip.due;
        Ok(profit)
    }
}

#[cfg(test)]
mod tests {
    use super::super::inventory::tests::{UNITS, golden, top};
    use super::*;
    use crate::event::Liquidity;
    use crate::number::Price;
    use proptest::prelude::*;

    const COIN: i64 = 100_000_000;

    fn fill(price: i64, qty: i64, fee: i128) -> Fill {
        Fill {
            fill_id: 1,
            price: Price(price),
            qty: Qty(qty),
            fee: Money(fee),
            liquidity: Liquidity::Taker,
        }
    }

    const fn teller(numeraire: Numeraire, twice_mid: i64) -> Teller {
        Teller {
            numeraire,
            fx: FxRate {
                twice_mid,
                decimals: 1,
            },
        }
    }

    fn units(whole: i64) -> i128 {
        i128::from(whole) * 10i128.pow(18)
    }

    /// One coin. Sold at 143,000,000 won (fee 71,500) and bought at 99,000 dollars (fee 99) at 1430 won a dollar; turned back
    /// at 144,300,000 won (fee 72,150) and 100,000 dollars (fee 100) at 1443 won a dollar.
    fn trip(numeraire: Numeraire) -> Trip {
        let mut trip = Trip::new(Route::SellUpbit, 1, Nanos(0));
        let open = teller(numeraire, 28_600);
        let close = teller(numeraire, 28_860);
        for (place, side, fill, teller) in [
            (0, Side::Sell, fill(143_000_000, COIN, units(71_500)), open),
            (1, Side::Buy, fill(9_900_000, 100_000, units(99)), open),
            (0, Side::Buy, fill(144_300_000, COIN, units(72_150)), close),
            (1, Side::Sell, fill(10_000_000, 100_000, units(100)), close),
        ] {
            trip.fill(place, side, &fill, &UNITS, &teller).unwrap();
        }
        trip
    }

    /// By hand, in dollars: (143,000,000 - 71,500) / 1430 = 99,950; less 99,000 and 99; less (144,300,000 + 72,150) / 1443,
    /// which is 100,050; 100,000 less 100 comes in: trading is 701. Won in hand over the time: 142,928,500 were 99,950 dollars
    /// and are 142,928,500 / 1443 = 99,049.5495... now: FX is -900.4504... The won left, -1,443,650, are -1000.4504... dollars.
    #[test]
    fn trading_and_fx_stand_apart_to_the_last_digit() {
        let outcome = trip(Numeraire::Usdt)
            .close(&UNITS, &golden(), &teller(Numeraire::Usdt, 28_860))
            .unwrap();
        assert_eq!(outcome.trading.to_string(), "701");
        assert_eq!(outcome.fx.to_string(), "-900.450450450450450451");
        // 50 + 99 + 50 + 100.
        assert_eq!(outcome.fees.to_string(), "299");
        assert_eq!(outcome.fees_krw.to_string(), "143650");
        assert_eq!(outcome.fees_usdt.to_string(), "199");
    }

    /// The same in won: 142,928,500 - 99,099 x 1430 = 1,216,930; - 144,372,150 + 99,900 x 1443 = - 216,450: trading is
    /// 1,000,480. Dollars in hand over the time: -99,099 x (1443 - 1430) = -1,288,287.
    #[test]
    fn the_other_numeraire_tells_the_same_fills_in_won() {
        let outcome = trip(Numeraire::Krw)
            .close(&UNITS, &golden(), &teller(Numeraire::Krw, 28_860))
            .unwrap();
        assert_eq!(outcome.trading.to_string(), "1000480");
        assert_eq!(outcome.fx.to_string(), "-1288287");
    }

    /// Opened at the golden prices and marked there: what lies between the sides is lost, and fees on top.
    #[test]
    fn a_gain_is_what_closing_now_would_bring() {
        let mut trip = Trip::new(Route::SellUpbit, 1, Nanos(0));
        let fx = teller(Numeraire::Usdt, 28_610);
        let sold = fill(143_100_000, COIN, units(71_550));
        let bought = fill(9_951_000, 100_000, units(99));
        trip.fill(0, Side::Sell, &sold, &UNITS, &fx).unwrap();
        trip.fill(1, Side::Buy, &bought, &UNITS, &fx).unwrap();
        let fees = FeeRates {
            upbit: 500_000,
            binance: 1_000_000,
            fx: 0,
        };
        let gain = trip.gain(&UNITS, &golden(), &fees, &fx).unwrap();
        // -(50,000 / 1430.5 + 10) / 100,034.95 = -4.49... bps.
        assert_eq!(gain.gross / 1_000, -450 + 1);
        // Four fees: 5 + 9.9 to open, 5.0 + 9.9 to close.
        assert!((-3_450_000..-3_400_000).contains(&gain.net), "{gain:?}");
        assert_eq!(
            Trip::new(Route::SellUpbit, 1, Nanos(0)).gain(&UNITS, &golden(), &fees, &fx),
            None
        );
    }

    proptest! {
        /// Trading and FX together are the foreign cash at the last FX and the own cash: no digit is lost between them but
        /// the one that each conversion rounds down.
        #[test]
        fn the_total_is_all_cash_at_the_last_fx(
            fills in prop::collection::vec((any::<bool>(), any::<bool>(), 1i64..200_000_000, 1i64..COIN, 13_000i64..15_000), 1..20),
            last in 26_000i64..30_000,
        ) {
            let mut trip = Trip::new(Route::SellUpbit, 1, Nanos(0));
            for (binance, buy, price, qty, fx) in &fills {
                let side = if *buy { Side::Buy } else { Side::Sell };
                let at = teller(Numeraire::Usdt, fx * 2);
                trip.fill(usize::from(*binance), side, &fill(*price, *qty, 1_000), &UNITS, &at).unwrap();
            }
            let end = teller(Numeraire::Usdt, last);
            let tops = Tops { upbit: top(1, 2), binance: top(1, 2), fx: golden().fx };
            let outcome = trip.close(&UNITS, &tops, &end).unwrap();
            let (rest, _) = trip.turned_back(&UNITS, &tops, &FeeRates::default(), &end).unwrap();
            let cash = end.won(trip.legs[0].cash).unwrap().add(trip.legs[1].cash).unwrap();
            prop_assert_eq!(outcome.trading.add(outcome.fx).unwrap(), cash.add(rest).unwrap());
        }
    }
}
