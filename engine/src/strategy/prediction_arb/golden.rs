//! Golden numbers and properties of the edge (requirements, five systems, 2.4).
use super::edge::{self, Bounds, Direction, ONE, Shares, Walk};
use super::exit::decayed;
use crate::event::{
    BookHeader, BookUpdate, Event, FeeSchedule, InstrumentDefined, InstrumentType, Level,
    TradingRules,
};
use crate::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use crate::id::{InstrumentId, Sequence};
use crate::market::{Instrument, Market};
use crate::number::{Decimals, Money, Price, Qty};
use crate::time::{DAY_NS, Nanos};
use proptest::prelude::*;
use rust_decimal::Decimal;

const CENT: i128 = ONE / 100;
type Levels<'a> = &'a [(i64, i64)];

/// Prices and quantities with two decimals; `lot` in hundredths of a share.
fn instrument(
    number: u32,
    rate: Decimal,
    rounding: (u8, RoundingMode),
    lot: i64,
    bids: Levels<'_>,
    asks: Levels<'_>,
) -> Instrument {
    let mut market = Market::default();
    let mut take = |event: Event<'_>| market.evolve(Sequence(1), Nanos(0), &event).unwrap();
    for id in 0..=number {
        take(Event::InstrumentDefined(Box::new(InstrumentDefined {
            instrument: InstrumentId(id),
            venue: "v".into(),
            symbol: id.to_string(),
            instrument_type: InstrumentType::Binary,
            base: "X".into(),
            quote: "USD".into(),
            decimals: Decimals { price: 2, qty: 2 },
        })));
    }
    let instrument = InstrumentId(number);
    take(Event::TradingRules(TradingRules {
        instrument,
        effective_from: Nanos(0),
        tick_size: Price(1),
        lot_size: Qty(lot),
        min_qty: Qty(lot),
        min_notional: Money::ZERO,
        min_price: Price(1),
        max_price: Price(99),
        bands: Vec::new(),
        allows_short: true,
    }));
    take(Event::FeeSchedule(Box::new(FeeSchedule {
        instrument,
        effective_from: Nanos(0),
        maker: FeeFormula::probability(Decimal::ZERO),
        taker: FeeFormula::probability(rate),
        rounding: Rounding {
            decimals: rounding.0,
            mode: rounding.1,
        },
        source: "test".into(),
        accrual: FeeAccrual::PerOrder,
    })));
    let levels = |side: Levels<'_>| -> Vec<Level> {
        let level = |(price, qty): &(i64, i64)| Level {
            price: Price(*price),
            qty: Qty(*qty),
        };
        side.iter().map(level).collect()
    };
    let (bids, asks) = (levels(bids), levels(asks));
    let header = BookHeader {
        instrument,
        bids: bids.len() as u32,
        asks: asks.len() as u32,
        ..BookHeader::default()
    };
    take(Event::BookSnapshot(BookUpdate {
        header: &header,
        bids: &bids,
        asks: &asks,
    }));
    market.instruments()[number as usize].clone()
}

/// Kalshi's rate, rounded up to `decimals`.
fn kalshi(decimals: u8, lot: i64, bids: Levels<'_>, asks: Levels<'_>) -> Instrument {
    let rounding = (decimals, RoundingMode::Up);
    instrument(0, Decimal::new(7, 2), rounding, lot, bids, asks)
}

/// Polymarket at a rate of 0.04, cut to 5 decimals.
fn token(lot: i64, bids: Levels<'_>, asks: Levels<'_>) -> Instrument {
    let rounding = (5, RoundingMode::Down);
    instrument(1, Decimal::new(4, 2), rounding, lot, bids, asks)
}

const UNBOUND: Bounds = Bounds {
    threshold: Money(8 * ONE / 1_000),
    budget: Money(1_000_000 * ONE),
    leg: Money(1_000_000 * ONE),
};

fn walked(
    single: &Instrument,
    token: &Instrument,
    direction: Direction,
    bounds: &Bounds,
) -> Option<(Walk, Shares)> {
    let shares = Shares::new(single, token, Nanos(0)).unwrap();
    let walk = edge::walk(single, token, Nanos(0), direction, &shares, bounds).unwrap();
    walk.map(|walk| (walk, shares))
}

fn each(walk: &Walk, shares: &Shares, amount: Money) -> String {
    shares.each(amount, walk.shares).unwrap().to_string()
}

/// A asks YES at 0.45 (Kalshi), B bids YES at 0.50, so its NO is asked at 0.50. Large Q: g 0.05, fees 0.017325 + 0.01,
/// n 0.022675, c 0.95; over 30 days 29.0 % a year on capital, 27.6 % by the original's formula.
#[test]
fn the_golden_pair_at_a_large_size() {
    let a = kalshi(4, 1, &[(44, 1)], &[(45, 1_000_000)]);
    let b = token(1, &[(49, 1)], &[(50, 1_000_000)]);
    let gross = edge::gross(&a, &b, Direction::BuySingle).unwrap();
    assert_eq!(gross.to_string(), "0.05");
    let (walk, shares) = walked(&a, &b, Direction::BuySingle, &UNBOUND).unwrap();
    assert_eq!(walk.shares, 1_000_000);
    assert_eq!(each(&walk, &shares, walk.cost().unwrap()), "0.95");
    assert_eq!(each(&walk, &shares, walk.legs[0].fees), "0.017325");
    assert_eq!(each(&walk, &shares, walk.legs[1].fees), "0.01");
    let net = edge::net(&walk, &shares, Money::ZERO).unwrap();
    assert_eq!(net.to_string(), "0.022675");
    let a_year = |cost| {
        edge::annual_return(net, Money(cost), 30 * DAY_NS)
            .unwrap()
            .0
            * 1_000
            / ONE
    };
    assert_eq!((a_year(95 * CENT), a_year(ONE)), (290, 275));
    // 27.588 %, which the table rounds up.
    let by_original = edge::annual_return(net, Money(ONE), 30 * DAY_NS).unwrap();
    assert_eq!(by_original.to_string(), "0.275879166");
}

/// The same for ten shares with the cent rule: fees 0.18 and 0.10.
#[test]
fn the_golden_pair_at_ten_shares_with_the_cent_rule() {
    let a = kalshi(2, 100, &[], &[(45, 1_000)]);
    let b = token(1, &[], &[(50, 1_000)]);
    let (walk, shares) = walked(&a, &b, Direction::BuySingle, &UNBOUND).unwrap();
    assert_eq!(walk.shares, 1_000);
    assert_eq!(walk.legs[0].fees.to_string(), "0.18");
    assert_eq!(walk.legs[1].fees.to_string(), "0.1");
    assert_eq!(
        edge::net(&walk, &shares, Money::ZERO).unwrap().to_string(),
        "0.022"
    );
    // A fixed cost of 0.10 takes 0.01 a share.
    let fixed = Money(10 * CENT);
    assert_eq!(
        edge::net(&walk, &shares, fixed).unwrap().to_string(),
        "0.012"
    );
}

/// The fee table of 2.4, as legs: cent rule and centicent rule.
#[test]
fn the_golden_fees() {
    for (count, price, cent, centicent) in [
        (100, 50, "1.75", "1.75"),
        (1, 50, "0.02", "0.0175"),
        (10, 12, "0.08", "0.074"),
        (10, 45, "0.18", "0.1733"),
        (15, 34, "0.24", "0.2357"),
    ] {
        for (decimals, expected) in [(2, cent), (4, centicent)] {
            let b = token(1, &[], &[(1, 1_000_000)]);
            let buys = kalshi(decimals, 1, &[], &[(price, count * 100)]);
            // The same number whether it is YES at P or NO at 1 - P.
            let sells = kalshi(decimals, 1, &[(100 - price, count * 100)], &[]);
            for (a, direction) in [(buys, Direction::BuySingle), (sells, Direction::SellSingle)] {
                let (walk, _) = walked(&a, &b, direction, &UNBOUND).unwrap();
                assert_eq!(
                    walk.legs[0].fees.to_string(),
                    expected,
                    "{count} at {price}"
                );
                assert_eq!(walk.legs[0].qty, Qty(count * 100));
            }
        }
    }
}

/// Second direction: YES bid at 0.50 on A is NO at 0.50, YES asked at 0.45 on B. The short leg binds 1 - 0.50.
#[test]
fn selling_yes_is_buying_no() {
    let a = kalshi(4, 1, &[(50, 10_000)], &[(52, 1)]);
    let b = token(1, &[(44, 1)], &[(45, 10_000)]);
    assert_eq!(
        edge::gross(&a, &b, Direction::SellSingle),
        Some(Money(5 * CENT))
    );
    assert_eq!(
        edge::gross(&a, &b, Direction::BuySingle),
        Some(Money(3 * CENT))
    );
    let (walk, _) = walked(&a, &b, Direction::SellSingle, &UNBOUND).unwrap();
    assert_eq!(walk.legs[0].cost.to_string(), "50");
    assert_eq!(walk.legs[1].cost.to_string(), "45");
}

/// Depth at 0.45, 0.46, 0.48 against 0.50 and 0.51. At 0.46 and 0.50: 0.04 less 0.017388 and 0.01 is 0.012612, enough;
/// at 0.46 and 0.51: 0.03 less 0.017388 and 0.009996 is 0.002616, not enough: there the walk ends.
#[test]
fn the_walk_ends_where_the_marginal_edge_does() {
    let a = kalshi(4, 1, &[], &[(45, 5_000), (46, 9_000), (48, 9_000)]);
    let b = token(1, &[], &[(50, 8_000), (51, 50_000)]);
    let (walk, _) = walked(&a, &b, Direction::BuySingle, &UNBOUND).unwrap();
    assert_eq!(walk.shares, 8_000);
    assert_eq!(
        (walk.legs[0].limit, walk.legs[1].limit),
        (Price(46), Price(50))
    );
    // 50 at 0.45 and 30 at 0.46.
    assert_eq!(walk.legs[0].cost.to_string(), "36.3");
    // What stands at the limits or better: 140 and 80.
    assert_eq!((walk.legs[0].depth, walk.legs[1].depth), (14_000, 8_000));
}

/// A lot of 1 on A, 0.01 on B: whole shares on both.
#[test]
fn both_venues_lots_are_kept() {
    let a = kalshi(4, 100, &[], &[(45, 5_000)]);
    let b = token(1, &[], &[(50, 3_777)]);
    let (walk, _) = walked(&a, &b, Direction::BuySingle, &UNBOUND).unwrap();
    assert_eq!(walk.shares, 3_700);
}

/// T = min(0.008 x (1 + 10 / 100), 0.05) x m.
#[test]
fn thin_books_and_slow_venues_raise_the_threshold() {
    let t = |depth: i128, m: i128| {
        let least = Money(8 * ONE / 1_000);
        let of = edge::threshold(
            least,
            Money(10 * ONE),
            Money(depth * ONE),
            Money(5 * CENT),
            Money(m),
        );
        of.map(|t| t.to_string())
    };
    assert_eq!(t(100, ONE).as_deref(), Some("0.0088"));
    assert_eq!(t(100, 3 * ONE / 2).as_deref(), Some("0.0132"));
    assert_eq!(t(1, ONE).as_deref(), Some("0.05"));
    assert_eq!(t(0, ONE), None);
}

/// ((168 - h) / 168)^2 >= 0.8 from 17.7 hours on: 168 x (1 - sqrt(0.8)).
#[test]
fn time_decays_with_the_square() {
    const HOUR: u64 = 3_600_000_000_000;
    let limit = Money(8 * ONE / 10);
    assert!(decayed(18 * HOUR, 168) < limit && decayed(17 * HOUR, 168) >= limit);
    assert_eq!(decayed(168 * HOUR, 168), Money::ZERO);
    assert_eq!(decayed(0, 168), Money(ONE));
    assert_eq!(decayed(84 * HOUR, 168), Money(ONE / 4));
}

fn ladder(from: i64) -> impl Strategy<Value = Vec<(i64, i64)>> {
    prop::collection::vec((0i64..4, 1i64..20_000), 1..6).prop_map(move |steps| {
        let mut price = from;
        let level = |(step, qty): (i64, i64)| {
            price += step + 1;
            (price, qty)
        };
        steps.into_iter().map(level).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Uncrossed books on both venues, the NO token's book being the YES token's seen from the other side.
    #[test]
    fn at_most_one_direction_is_positive(
        bid_a in 1i64..98, spread_a in 1i64..20, bid_b in 1i64..98, spread_b in 1i64..20,
    ) {
        let (ask_a, ask_b) = ((bid_a + spread_a).min(99), (bid_b + spread_b).min(99));
        let a = kalshi(4, 1, &[(bid_a, 100)], &[(ask_a, 100)]);
        let yes = token(1, &[(bid_b, 100)], &[(ask_b, 100)]);
        let no = token(1, &[(100 - ask_b, 100)], &[(100 - bid_b, 100)]);
        let buy = edge::gross(&a, &no, Direction::BuySingle).unwrap();
        let sell = edge::gross(&a, &yes, Direction::SellSingle).unwrap();
        prop_assert_eq!(buy, Money(i128::from(bid_b - ask_a) * CENT));
        prop_assert_eq!(sell, Money(i128::from(bid_a - ask_b) * CENT));
        prop_assert!(buy.0 <= 0 || sell.0 <= 0);
    }

    /// Equal shares in whole lots, no cap passed, no more than is displayed, no negative fee, never below the threshold.
    #[test]
    fn a_walk_keeps_every_bound(
        a in ladder(20), b in ladder(30), buys: bool, lots in (1i64..200, 1i64..200),
        budget in 1i128..50_000, leg in 1i128..50_000, threshold in 0i128..100, decimals in 2u8..=4,
    ) {
        let direction = if buys { Direction::BuySingle } else { Direction::SellSingle };
        let mirrored: Vec<(i64, i64)> = a.iter().map(|(price, qty)| (100 - price, *qty)).collect();
        let (bids, asks): (Levels<'_>, Levels<'_>) = if buys { (&[], &a) } else { (&mirrored, &[]) };
        let single = kalshi(decimals, lots.0, bids, asks);
        let other = token(lots.1, &[], &b);
        let bounds = Bounds {
            threshold: Money(threshold * ONE / 1_000),
            budget: Money(budget * CENT),
            leg: Money(leg * CENT),
        };
        if let Some((walk, shares)) = walked(&single, &other, direction, &bounds) {
            let [x, y] = walk.legs;
            prop_assert_eq!(x.qty, y.qty);
            prop_assert_eq!(i128::from(x.qty.0), walk.shares);
            prop_assert!(x.qty.0 % lots.0 == 0 && y.qty.0 % lots.1 == 0);
            prop_assert!(x.fees.0 >= 0 && y.fees.0 >= 0);
            prop_assert!(x.cost <= bounds.leg && y.cost <= bounds.leg);
            let spent = walk.cost().unwrap().add(walk.fees().unwrap()).unwrap();
            prop_assert!(spent <= bounds.budget);
            prop_assert!(walk.shares <= x.depth && walk.shares <= y.depth);
            prop_assert!(edge::net(&walk, &shares, Money::ZERO).unwrap() >= bounds.threshold);
        }
    }
}
