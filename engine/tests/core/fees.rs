//! Fees that build up over an order, price grids with bands, and market data that breaks its instrument's own rules: in
//! the real sequencer with the real paper venue, against numbers worked out by hand.
use crate::common::{
    MS, NOON, Rig, X, ended, fees, market_maker, quiet_session, rules, said, silent,
};
use onetape_engine::event::{
    Aggressor, Event, FeeSchedule, InstrumentDefined, InstrumentType, StaleReason, TickBand,
    TradingRules, VenueReason,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::market::Trust;
use onetape_engine::number::{Decimals, Price};
use onetape_engine::order::{OrderState, Side, TimeInForce};
use onetape_engine::sequencer::{MemorySink, Sequencer};
use onetape_engine::session::SessionConfig;
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;

const GTC: TimeInForce = TimeInForce::GoodTillCancel;

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn defined(kind: InstrumentType, decimals: Decimals) -> Event<'static> {
    Event::InstrumentDefined(Box::new(InstrumentDefined {
        instrument: X,
        venue: "paper".into(),
        symbol: "X".into(),
        instrument_type: kind,
        base: "X".into(),
        quote: "USD".into(),
        decimals,
    }))
}

/// Kalshi's `tapered_deci_cent`: 0.001 below 0.10 and from 0.90 on, 0.01 between.
fn tapered() -> TradingRules {
    let band = |from, tick| TickBand {
        from: Price(from),
        tick: Price(tick),
    };
    TradingRules {
        tick_size: Price(10),
        min_price: Price(10),
        max_price: Price(9_990),
        bands: vec![band(1_000, 100), band(9_000, 10)],
        ..rules(0)
    }
}

fn kalshi(rate: &str, decimals: u8, accrual: FeeAccrual) -> FeeSchedule {
    let formula = FeeFormula::probability(number(rate));
    FeeSchedule {
        maker: formula,
        taker: formula,
        rounding: Rounding {
            decimals,
            mode: RoundingMode::Up,
        },
        accrual,
        ..fees(0, 0, 0)
    }
}

fn rig(
    config: SessionConfig,
    kind: InstrumentType,
    decimals: Decimals,
    rules: TradingRules,
    fees: FeeSchedule,
) -> Rig {
    let mut rig = Rig::bare(config);
    rig.input(NOON, &defined(kind, decimals));
    rig.input(NOON, &Event::TradingRules(rules));
    rig.input(NOON, &Event::FeeSchedule(Box::new(fees)));
    rig
}

/// A contract in Kalshi's units: prices with 4 decimals, counts with 2.
fn contract(config: SessionConfig, fees: FeeSchedule) -> Rig {
    let decimals = Decimals { price: 4, qty: 2 };
    rig(config, InstrumentType::Binary, decimals, tapered(), fees)
}

fn paid(rig: &Rig) -> Vec<String> {
    rig.fills()
        .iter()
        .map(|fill| fill.fee.to_string())
        .collect()
}

/// Kalshi's documented example: three fills of one contract at 0.055, trade fee 0.0085 each. The rate is made for it:
/// 0.1635 x 0.055 x 0.945 = 0.0084979... The balance goes down by 0.07, 0.06 and 0.07.
#[test]
fn kalshis_rebate_comes_with_a_later_fill_of_the_order() {
    let mut rig = contract(
        quiet_session(),
        kalshi("0.1635", 4, FeeAccrual::KalshiRebate),
    );
    rig.book(NOON, &[(540, 100)], &[(600, 100)]);
    rig.limit(NOON, Side::Buy, GTC, 550, 300);
    for at in 2..5 {
        rig.trade(NOON + at * MS, Aggressor::Seller, 550, 100);
    }
    assert_eq!(paid(&rig), ["0.015", "0.005", "0.015"]);
    let cash = rig.sequencer.desk().ledger().cash()[0].balance;
    assert_eq!(cash.to_string(), "-0.2");
    // The next order has an accumulator of its own.
    rig.limit(NOON + 4 * MS, Side::Buy, GTC, 550, 100);
    rig.trade(NOON + 6 * MS, Aggressor::Seller, 550, 100);
    assert_eq!(paid(&rig)[3], "0.015");
}

/// Ten contracts each at 0.45, 0.46, 0.47 on arrival, ten more at 0.47 later. Before rounding they cost 0.17325, 0.17388,
/// 0.17437 and 0.17437; together 0.17325, 0.34713, 0.5215 and 0.69587, up to the cent 0.18, 0.35, 0.53 and 0.70.
fn walk(rig: &mut Rig) {
    rig.book(
        NOON,
        &[(4_400, 1_000)],
        &[
            (4_500, 1_000),
            (4_600, 1_000),
            (4_700, 1_000),
            (4_800, 1_000),
        ],
    );
    rig.limit(NOON, Side::Buy, GTC, 4_700, 4_000);
    rig.heartbeat(NOON + MS);
}

#[test]
fn cents_for_each_order_count_over_levels_and_over_events() {
    let per_order = kalshi("0.07", 2, FeeAccrual::PerOrder);
    let mut rig = contract(quiet_session(), per_order);
    walk(&mut rig);
    assert_eq!(paid(&rig), ["0.18", "0.17", "0.18"]);
    rig.trade(NOON + 2 * MS, Aggressor::Seller, 4_700, 1_000);
    assert_eq!(paid(&rig)[3], "0.17");
    // 4.5 + 4.6 + 4.7 + 4.7 + 0.70.
    let cash = rig.sequencer.desk().ledger().cash()[0].balance;
    assert_eq!(cash.to_string(), "-19.2");

    // Rounded fill by fill the same order pays two cents more.
    let per_fill = kalshi("0.07", 2, FeeAccrual::PerFill);
    let mut rig = contract(quiet_session(), per_fill);
    walk(&mut rig);
    rig.trade(NOON + 2 * MS, Aggressor::Seller, 4_700, 1_000);
    assert_eq!(paid(&rig), ["0.18", "0.18", "0.18", "0.18"]);
}

/// What an order has paid is part of the state, and so are rules with and without bands and short positions.
#[test]
fn a_restored_core_charges_the_rest_of_the_order_alike() {
    for allows_short in [true, false] {
        for bands in [tapered().bands, Vec::new()] {
            let decimals = Decimals { price: 4, qty: 2 };
            let rules = TradingRules {
                allows_short,
                bands,
                ..tapered()
            };
            let fees = kalshi("0.07", 2, FeeAccrual::PerOrder);
            let kind = InstrumentType::Binary;
            let mut rig = rig(quiet_session(), kind, decimals, rules.clone(), fees);
            walk(&mut rig);
            let snapshot = rig.sequencer.snapshot().unwrap();
            let sequencer = Sequencer::restore(&snapshot, MemorySink::default()).unwrap();
            let mut again = Rig { sequencer };
            let restored = &again.sequencer.market().instruments()[0];
            assert_eq!(restored.rules_at(Nanos(NOON)), Some(&rules));
            for rig in [&mut rig, &mut again] {
                rig.trade(NOON + 2 * MS, Aggressor::Seller, 4_700, 1_000);
            }
            assert_eq!(paid(&again), ["0.17"]);
            assert_eq!(paid(&rig)[3..], ["0.17"]);
            let hashes = [&mut rig, &mut again].map(|rig| rig.sequencer.state_hash().unwrap());
            assert_eq!(hashes[0], hashes[1]);
        }
    }
}

/// Interactive Brokers, fixed: 0.005 a share, at least 1.00 an order. 30 shares pay the minimum, 70 more nothing, the
/// order of 1,000 pays 5.00 in all.
#[test]
fn a_minimum_is_paid_once_for_an_order() {
    let formula = FeeFormula::PerUnit {
        rate: number("0.005"),
        minimum: number("1.00"),
        maximum: number("0.01"),
    };
    let fees = FeeSchedule {
        maker: formula,
        taker: formula,
        rounding: Rounding {
            decimals: 2,
            mode: RoundingMode::Nearest,
        },
        accrual: FeeAccrual::PerOrder,
        ..fees(0, 0, 0)
    };
    let decimals = Decimals { price: 2, qty: 0 };
    let kind = InstrumentType::Equity;
    let mut rig = rig(quiet_session(), kind, decimals, rules(0), fees);
    rig.book(
        NOON,
        &[(4_999, 10)],
        &[(5_000, 30), (5_001, 70), (5_002, 2_000)],
    );
    rig.market(NOON, Side::Buy, 1_000);
    rig.market(NOON + MS, Side::Buy, 1_000);
    rig.heartbeat(NOON + 2 * MS);
    assert_eq!(paid(&rig), ["1", "0", "4", "5"]);
}

#[test]
fn the_paper_venue_takes_prices_on_the_grid_of_their_band() {
    let mut rig = contract(quiet_session(), kalshi("0.07", 4, FeeAccrual::PerFill));
    rig.book(NOON, &[(980, 100)], &[(1_300, 100)]);
    let post = TimeInForce::PostOnly;
    let [low, off, on] = [990, 1_050, 1_100].map(|p| rig.limit(NOON, Side::Buy, post, p, 100));
    rig.heartbeat(NOON + MS);
    assert_eq!(rig.said(low), [said(OrderState::Acked)]);
    let refused = ended(OrderState::Rejected, VenueReason::Rules);
    assert_eq!(rig.said(off), [refused]);
    assert_eq!(rig.said(on), [said(OrderState::Acked)]);
}

/// Mid 0.1035, half spread 1 bp: 0.10348965 and 0.10351035. Below 0.1035 the next price is 0.10, above it 0.11.
#[test]
fn the_market_maker_rounds_to_the_grid_of_its_band() {
    let config = SessionConfig {
        strategies: vec![market_maker(
            "m",
            r#"{"qty": "1", "half_spread_cbps": 100}"#,
        )],
        ..SessionConfig::default()
    };
    let mut rig = contract(config, kalshi("0.07", 4, FeeAccrual::PerFill));
    rig.book(NOON, &[(970, 500)], &[(1_100, 500)]);
    let asked: Vec<(Side, i64)> = rig
        .events()
        .into_iter()
        .filter_map(|(_, event)| match event {
            Event::OrderDecided(order) => Some((order.side, order.price.0)),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [(Side::Buy, 1_000), (Side::Sell, 1_100)]);
}

/// Trust of quotes and book, and whether a strategy sees a best price.
fn trust(rig: &Rig) -> (&Trust, &Trust, bool) {
    let x = &rig.sequencer.market().instruments()[0];
    (x.quote_trust(), x.book_trust(), x.top().is_some())
}

const OFF_GRID: Trust = Trust::Stale(StaleReason::OffGrid);
const OUT: Trust = Trust::Stale(StaleReason::OutOfBounds);

#[test]
fn a_quote_that_breaks_the_contracts_own_rules_reaches_nobody() {
    let mut rig = contract(quiet_session(), kalshi("0.07", 4, FeeAccrual::PerFill));
    for (bid, ask, expected) in [
        ((4_500, 100), (4_600, 100), Trust::Live),
        ((4_550, 100), (4_600, 100), OFF_GRID),
        ((4_500, 100), (4_605, 100), OFF_GRID),
        ((985, 100), (1_000, 100), OFF_GRID),
        ((990, 100), (1_000, 100), Trust::Live),
        ((4_500, 100), (10_000, 100), OUT),
        ((5, 100), (1_000, 100), OUT),
        // A side without anything has no price.
        ((0, 0), (1_000, 100), Trust::Live),
        ((9_990, 100), (10_000, 0), Trust::Live),
        (
            (4_500, -1),
            (4_600, 100),
            Trust::Stale(StaleReason::BadLevel),
        ),
        (
            (4_700, 100),
            (4_600, 100),
            Trust::Stale(StaleReason::Crossed),
        ),
    ] {
        rig.quote(NOON, bid, ask);
        let live = expected == Trust::Live;
        assert_eq!(
            trust(&rig),
            (&expected, &Trust::Empty, live),
            "{bid:?} {ask:?}"
        );
    }
}

#[test]
fn a_level_that_breaks_the_contracts_own_rules_makes_the_book_stale_until_it_is_whole() {
    for (update, expected) in [((4_550, 100), OFF_GRID), ((10_000, 100), OUT)] {
        let mut rig = contract(quiet_session(), kalshi("0.07", 4, FeeAccrual::PerFill));
        rig.book(NOON, &[(4_400, 100)], &[(4_600, 100)]);
        // What takes a level away is no price that somebody asks for.
        rig.delta(NOON, &[], &[(4_650, 0), (10_000, 0)]);
        assert_eq!(trust(&rig).1, &Trust::Live);
        rig.delta(NOON, &[], &[update]);
        assert_eq!(trust(&rig), (&Trust::Empty, &expected, false));
        rig.delta(NOON, &[], &[(4_700, 100)]);
        assert_eq!(trust(&rig).1, &expected);
        rig.book(NOON, &[(4_400, 100)], &[(4_600, 100)]);
        assert_eq!(trust(&rig), (&Trust::Empty, &Trust::Live, true));
        rig.book(NOON, &[(4_400, 100)], &[update]);
        assert_eq!(trust(&rig), (&Trust::Empty, &expected, false));
    }
}

/// Recorded books of crypto venues hold levels from before a change of tick, far from the best prices; quotes do not.
#[test]
fn elsewhere_only_quotes_are_held_against_the_tick() {
    let mut coarse = rules(0);
    coarse.tick_size = Price(10);
    coarse.max_price = Price(9_000);
    coarse.effective_from = Nanos(NOON + MS);
    let mut rig = Rig::new(quiet_session());
    rig.input(NOON, &Event::TradingRules(coarse));
    rig.quote(NOON + MS - 1, (9_999, 100), (10_001, 100));
    assert_eq!(trust(&rig), (&Trust::Live, &Trust::Empty, true));
    rig.quote(NOON + MS, (9_999, 100), (10_010, 100));
    assert_eq!(trust(&rig), (&OFF_GRID, &Trust::Empty, false));
    // Bounds are the venue's limits for orders there, not for prices.
    rig.quote(NOON + MS, (9_990, 100), (10_010, 100));
    assert_eq!(trust(&rig), (&Trust::Live, &Trust::Empty, true));
    rig.book(NOON + MS, &[(9_999, 100)], &[(10_001, 100)]);
    rig.delta(NOON + MS, &[(9_998, 100)], &[]);
    assert_eq!(trust(&rig), (&Trust::Live, &Trust::Live, true));
}

/// The same inputs lead to the same frames and the same state, fees that build up and rebates included.
#[test]
fn the_same_day_twice_is_the_same_tape() {
    let run = || {
        let config = SessionConfig {
            strategies: vec![
                silent("s"),
                market_maker("m", r#"{"qty": "3", "half_spread_cbps": 50000}"#),
            ],
            ..SessionConfig::default()
        };
        let mut rig = contract(config, kalshi("0.07", 4, FeeAccrual::KalshiRebate));
        rig.book(NOON, &[(4_400, 5_000)], &[(4_600, 5_000)]);
        for step in 1..40 {
            let at = NOON + step * MS;
            let price = 4_000 + 100 * i64::try_from(step * 7 % 11).unwrap();
            rig.trade(at, Aggressor::Unknown, price, 33);
            rig.delta(at, &[(4_300, i64::try_from(step).unwrap())], &[]);
        }
        assert!(rig.fills().len() > 3);
        assert_eq!(rig.sequencer.desk().ledger().cash().len(), 1);
        let hash = rig.sequencer.state_hash().unwrap();
        (rig.frames().to_vec(), hash)
    };
    assert_eq!(run(), run());
}

#[test]
fn rules_and_fees_that_cannot_be_used_are_refused_with_the_reason() {
    let mut rig = Rig::new(quiet_session());
    let mut descending = tapered();
    descending.bands.reverse();
    let refused = rig.try_input(NOON, &Event::TradingRules(descending));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("price bands must ascend")
    );
    let mut rig = Rig::new(quiet_session());
    let mut negative = kalshi("0.07", 4, FeeAccrual::PerFill);
    negative.maker = FeeFormula::notional(number("-0.001"));
    let refused = rig.try_input(NOON, &Event::FeeSchedule(Box::new(negative)));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("a rate is negative")
    );
}
