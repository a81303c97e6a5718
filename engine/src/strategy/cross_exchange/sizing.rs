//! How much to trade: both books walked together in coin units, as long as the next unit still pays (requirements, five
//! systems, 4.3.7).
use super::inventory::Units;
use super::spread::{Route, Scale};
use crate::event::{Level, TradingRules};
use crate::market::Instrument;
use crate::number::Price;
use crate::order::Side;

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walked {
    /// Common coin units.
    pub(super) coins: i128,
    /// Worst price on the won venue.
    pub(super) upbit: Price,
    /// Worst price on the dollar venue.
    pub(super) binance: Price,
}

/// The levels that an order of `side` would meet, best first: the book's while it is live, the quote otherwise.
pub(super) fn met_by(instrument: &Instrument, side: Side) -> impl Iterator<Item = Level> + '_ {
    let opposite = side.opposite();
    let book = instrument.book();
    let quote = match book {
        Some(_) => None,
        None => instrument.quote().and_then(|top| top.side(opposite)),
    };
    let levels = book
        .into_iter()
        .flat_map(move |book| book.side(opposite).levels());
    levels.chain(quote)
}

/// Walks both books while the spread at the margin is at least `least` (parts per billion) and `room` (common units) is
/// left.
#[expect(
    clippy::too_many_arguments,
    reason = "two books and what bounds the walk, taken apart nowhere else"
)]
pub(super) fn walk(
    route: Route,
    scale: Scale,
    units: &Units,
    fx: Price,
    mut upbit: impl Iterator<Item = Level>,
    mut binance: impl Iterator<Item = Level>,
    least: i64,
    room: i128,
) -> Walked {
    let mut walked = Walked {
        coins: 0,
        upbit: Price(0),
        binance: Price(0),
    };
    let common = |level: Option<Level>, step: i128| {
        level.map(|level| (level.price, i128::from(level.qty.0) * step))
    };
    let mut here = common(upbit.next(), units.upbit_step());
    let mut there = common(binance.next(), units.binance_step());
    while let (Some((u, u_left)), Some((b, b_left))) = (here, there) {
        let earned = scale.earned(route, u.0, b.0, fx.0);
        if walked.coins >= room || earned.is_none_or(|earned| earned < least) {
            break;
        }
        let part = u_left.min(b_left).min(room - walked.coins);
        walked.coins += part;
        (walked.upbit, walked.binance) = (u, b);
        here = match u_left - part {
            0 => common(upbit.next(), units.upbit_step()),
            left => Some((u, left)),
        };
        there = match b_left - part {
            0 => common(binance.next(), units.binance_step()),
            left => Some((b, left)),
        };
    }
    walked
}

/// The least quantity that is whole lots on both venues, in common units: for lots of powers of ten the coarser lot.
pub(super) fn common_lot(
    units: &Units,
    upbit: &TradingRules,
    binance: &TradingRules,
) -> Option<i128> {
    let a = i128::from(upbit.lot_size.0).checked_mul(units.upbit_step())?;
    let b = i128::from(binance.lot_size.0).checked_mul(units.binance_step())?;
    let (mut x, mut y) = (a.max(1), b.max(1));
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a.max(1) / x).checked_mul(b.max(1))
}

/// A limit `slip` parts per billion through a price, on the tick, never inside the price itself.
pub(super) fn through(price: Price, side: Side, slip: i64, rules: &TradingRules) -> Price {
    let room = i128::from(price.0) * i128::from(slip) / super::spread::ONE;
    let limit = i128::from(price.0) + i128::from(side.sign()) * room;
    let bounded = limit.clamp(rules.min_price.0.into(), rules.max_price.0.into());
    let limit = Price(i64::try_from(bounded).unwrap_or(price.0));
    match side {
        Side::Buy => rules.floor_price(limit).max(price),
        Side::Sell => rules.ceil_price(limit).min(price),
    }
}

#[cfg(test)]
mod tests {
    use super::super::inventory::tests::UNITS;
    use super::*;
    use crate::id::InstrumentId;
    use crate::number::{Money, Qty};
    use crate::time::Nanos;
    use proptest::prelude::*;

    fn levels(levels: &[(i64, i64)]) -> impl Iterator<Item = Level> + '_ {
        levels.iter().map(|(price, qty)| Level {
            price: Price(*price),
            qty: Qty(*qty),
        })
    }

    fn scale() -> Scale {
        Scale::new(UNITS.upbit, UNITS.binance, UNITS.fx).unwrap()
    }

    fn rules(lot: i64) -> TradingRules {
        TradingRules {
            instrument: InstrumentId(0),
            effective_from: Nanos(0),
            tick_size: Price(10),
            lot_size: Qty(lot),
            min_qty: Qty(lot),
            min_notional: Money::ZERO,
            min_price: Price(1),
            max_price: Price(i64::MAX),
            bands: Vec::new(),
            allows_short: true,
        }
    }

    /// By hand at X.ask 1431: 143,100,000 over 99,510 is +49.2 bps, over 99,600 +40.1; 143,000,000 over 99,600 is +33.1.
    /// At least 40 bps: all of the first pair (.2), then what is left of the first bid (.1) with the second ask.
    #[test]
    fn it_goes_on_while_the_margin_pays() {
        let bids = [(143_100_000, 30_000_000), (143_000_000, 100_000_000)];
        let asks = [(9_951_000, 20_000), (9_960_000, 100_000)];
        let walk = |least, room| {
            walk(
                Route::SellUpbit,
                scale(),
                &UNITS,
                Price(14_310),
                levels(&bids),
                levels(&asks),
                least,
                room,
            )
        };
        let walked = walk(4_000_000, i128::MAX);
        assert_eq!(walked.coins, 30_000_000);
        assert_eq!(
            (walked.upbit, walked.binance),
            (Price(143_100_000), Price(9_960_000))
        );
        assert_eq!(walk(4_500_000, i128::MAX).coins, 20_000_000);
        assert_eq!(walk(4_000_000, 5_000).coins, 5_000);
        assert_eq!(walk(5_000_000, i128::MAX).coins, 0);
    }

    #[test]
    fn lots_of_both_venues_are_kept() {
        assert_eq!(common_lot(&UNITS, &rules(1), &rules(1)), Some(1_000));
        assert_eq!(common_lot(&UNITS, &rules(10_000), &rules(1)), Some(10_000));
        assert_eq!(common_lot(&UNITS, &rules(1_500), &rules(1)), Some(3_000));
    }

    #[test]
    fn a_limit_goes_through_the_price_and_stays_on_the_tick() {
        let buy = through(Price(9_951_000), Side::Buy, 500_000, &rules(1));
        assert_eq!(
            buy,
            Price(9_955_970),
            "5 bps are 4,975.5, down to a tick of 10"
        );
        let sell = through(Price(9_951_000), Side::Sell, 500_000, &rules(1));
        assert_eq!(sell, Price(9_946_030));
    }

    proptest! {
        #[test]
        fn a_walk_never_takes_more_than_there_is_or_may_be(
            bids in prop::collection::vec((143_000_000i64..144_000_000, 1i64..100_000_000), 0..8),
            asks in prop::collection::vec((9_900_000i64..9_960_000, 1i64..100_000), 0..8),
            room in 0i128..500_000_000,
        ) {
            let walked = walk(Route::SellUpbit, scale(), &UNITS, Price(14_310), levels(&bids), levels(&asks), 0, room);
            let shown: i128 = bids.iter().map(|(_, qty)| i128::from(*qty)).sum();
            let asked: i128 = asks.iter().map(|(_, qty)| i128::from(*qty) * 1_000).sum();
            prop_assert!(walked.coins <= shown && walked.coins <= asked && walked.coins <= room);
        }
    }
}
