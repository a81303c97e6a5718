//! Kalshi against Polymarket in the real sequencer with the paper venue: days by hand, and the traps.
//!
//! K is the contract on Kalshi (150 ms away), YES and NO the tokens on Polymarket (800 ms away). Prices have 4 decimals,
//! quantities 2. Kalshi takes 0.07 x C x P x (1 - P) rounded up to 0.0001, Polymarket 0.04 x C x p x (1 - p) cut to
//! 0.00001. It resolves 30 days from the start.
use crate::common::{Kept, MS, NOON, Rig, decoded, frame};
use onetape_engine::event::*;
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::{InstrumentId, StrategyId};
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::Side;
use onetape_engine::parent::ParentState;
use onetape_engine::sequencer::{MemorySink, Sequencer};
use onetape_engine::session::{PaperVenueConfig, SessionConfig, StrategyConfig};
use onetape_engine::strategy::StrategyParams;
use onetape_engine::time::{DAY_NS, Nanos};
use rust_decimal::Decimal;

const S: u64 = 1_000 * MS;
const K: u32 = 0;
const YES: u32 = 1;
const NO: u32 = 2;
const SETTLES: u64 = NOON + 30 * DAY_NS;

fn config(params: &str) -> SessionConfig {
    let mut json = serde_json::Deserializer::from_str(params);
    let mut config = SessionConfig {
        strategies: vec![StrategyConfig {
            id: "arb".into(),
            params: StrategyParams::read("prediction_arb", &mut json)
                .unwrap()
                .unwrap(),
        }],
        ..SessionConfig::default()
    };
    for (venue, latency_us) in [("kalshi", 150_000), ("polymarket", 800_000)] {
        let latency = PaperVenueConfig {
            latency_us,
            ..PaperVenueConfig::default()
        };
        config.paper.venues.insert(venue.into(), latency);
    }
    config.risk.price_collar_bps = 10_000;
    config.risk.max_data_age_ms = 90_000;
    config
}

fn schedule(id: u32) -> FeeSchedule {
    let (rate, decimals, mode) = if id == K {
        (Decimal::new(7, 2), 4, RoundingMode::Up)
    } else {
        (Decimal::new(4, 2), 5, RoundingMode::Down)
    };
    FeeSchedule {
        instrument: InstrumentId(id),
        effective_from: Nanos(0),
        maker: FeeFormula::probability(Decimal::ZERO),
        taker: FeeFormula::probability(rate),
        rounding: Rounding { decimals, mode },
        source: "test".into(),
        accrual: FeeAccrual::PerFill,
    }
}

fn pair() -> PairApproved {
    PairApproved {
        pair: "rate cut in March".into(),
        single_book: InstrumentId(K),
        yes_token: InstrumentId(YES),
        no_token: InstrumentId(NO),
        inverted: false,
        single_book_rules: "k1".into(),
        token_rules: "p1".into(),
        void_rule: VoidRule::BothRefund,
        cut_off: Nanos(SETTLES - DAY_NS),
        single_book_settles_at: Nanos(SETTLES - DAY_NS / 2),
        token_settles_at: Nanos(SETTLES),
        cluster: "rates".into(),
        confidence_pct: 100,
        approver: "me".into(),
        approved_at: Nanos(NOON),
        question: String::new(),
    }
}

fn approve(rig: &mut Rig, at: u64, pair: PairApproved) {
    rig.input(at, &Event::PairApproved(Box::new(pair)));
}

/// The three markets without fees.
fn markets(params: &str) -> Rig {
    let mut rig = Rig::bare(config(params));
    for (id, venue, symbol) in [
        (K, "kalshi", "K"),
        (YES, "polymarket", "YES"),
        (NO, "polymarket", "NO"),
    ] {
        let instrument = InstrumentId(id);
        rig.input(
            NOON,
            &Event::InstrumentDefined(Box::new(InstrumentDefined {
                instrument,
                venue: venue.into(),
                symbol: symbol.into(),
                instrument_type: InstrumentType::Binary,
                base: symbol.into(),
                quote: if id == K { "USD" } else { "USDC" }.into(),
                decimals: Decimals { price: 4, qty: 2 },
            })),
        );
        let rules = TradingRules {
            instrument,
            effective_from: Nanos(0),
            tick_size: Price(100),
            lot_size: Qty(if id == K { 100 } else { 1 }),
            min_qty: Qty(if id == K { 100 } else { 500 }),
            min_notional: Money::ZERO,
            min_price: Price(100),
            max_price: Price(9_900),
            bands: Vec::new(),
            allows_short: id == K,
        };
        rig.input(NOON, &Event::TradingRules(rules));
    }
    rig
}

fn ready_with(params: &str, pair: PairApproved) -> Rig {
    let mut rig = markets(params);
    for id in [K, YES, NO] {
        rig.input(NOON, &Event::FeeSchedule(Box::new(schedule(id))));
    }
    approve(&mut rig, NOON, pair);
    rig
}

fn ready(params: &str) -> Rig {
    ready_with(params, pair())
}

/// Best bid and ask in cents and shares.
fn quote(rig: &mut Rig, at: u64, id: u32, bid: (i64, i64), ask: (i64, i64)) {
    let side = |(price, qty): (i64, i64)| (price * 100, qty * 100);
    rig.quote_of(at, id, side(bid), side(ask));
}

/// YES at 0.45 x 200 on Kalshi, NO at 0.50 x 100 on Polymarket: gross 0.05.
fn dislocated(rig: &mut Rig, at: u64) {
    quote(rig, at, YES, (50, 100), (52, 300));
    quote(rig, at, NO, (48, 300), (50, 100));
    quote(rig, at, K, (44, 200), (45, 200));
}

fn opened(params: &str) -> Rig {
    let mut rig = ready(params);
    dislocated(&mut rig, NOON);
    rig.heartbeat(NOON + S);
    rig
}

fn states(rig: &Rig) -> Vec<ParentState> {
    let state = |(_, event): (u64, Event<'_>)| match event {
        Event::ParentChanged(change) => Some(change.state),
        _ => None,
    };
    rig.events().into_iter().filter_map(state).collect()
}

/// The last gate of a candidate: 0 buys YES on Kalshi, 1 sells it.
fn gate(rig: &Rig, candidate: u32) -> Option<String> {
    let gate = |(_, event): (u64, Event<'_>)| match event {
        Event::GateChanged(change) if change.candidate == candidate => Some(change.gate),
        _ => None,
    };
    let last = rig.events().into_iter().filter_map(gate).next_back();
    last.unwrap().map(|gate| gate.to_string())
}

fn alarms(rig: &Rig) -> Vec<(Alarm, String)> {
    let alarm = |(_, event): (u64, Event<'_>)| match event {
        Event::AlarmRaised(alarm) => Some((alarm.alarm, alarm.value.to_string())),
        _ => None,
    };
    rig.events().into_iter().filter_map(alarm).collect()
}

fn signals(rig: &Rig) -> Vec<String> {
    let signal = |(_, event): (u64, Event<'_>)| match event {
        Event::SignalRaised(signal) => Some(signal.detector),
        _ => None,
    };
    rig.events().into_iter().filter_map(signal).collect()
}

/// Shares of K, YES and NO.
fn held(rig: &Rig) -> [i64; 3] {
    let ledger = rig.sequencer.desk().ledger();
    [K, YES, NO].map(|id| {
        let position = ledger.position(StrategyId(0), InstrumentId(id));
        position.map_or(0, |position| position.qty.0 / 100)
    })
}

fn cash(rig: &Rig) -> String {
    let cash = rig.sequencer.desk().ledger().cash().iter();
    let sum = cash.fold(Money::ZERO, |sum, cash| sum.add(cash.balance).unwrap());
    sum.to_string()
}

fn orders(rig: &Rig) -> u64 {
    rig.sequencer.desk().stats().orders
}

fn resolve(rig: &mut Rig, at: u64, id: u32, price: i64) {
    let resolution = Resolution {
        instrument: InstrumentId(id),
        settlement_price: Price(price),
    };
    rig.input(at, &Event::Resolution(resolution));
}

use ParentState::{Closed, Hedged, SingleLeg, Unwinding};

/// 100 shares: the NO token stands for no more at 0.50, and is the thinner leg, so it goes first (800 ms), then Kalshi
/// (150 ms). Paid: 50 + 0.04 x 100 x 0.25 = 1.00, and 45 + 0.07 x 100 x 0.45 x 0.55 = 1.7325. Together 97.7325, so it
/// brings 2.2675 at settlement.
#[test]
fn an_entry_to_the_last_digit() {
    let rig = opened("{}");
    assert_eq!(held(&rig), [100, 0, 100]);
    assert_eq!(cash(&rig), "-97.7325");
    let fills: Vec<(u64, u32, String)> = rig
        .reports()
        .iter()
        .map(|(at, r)| (*at, r.instrument.0, r.fill.unwrap().fee.to_string()))
        .collect();
    let expected = [
        (NOON + 800 * MS, NO, "1".to_owned()),
        (NOON + 950 * MS, K, "1.7325".to_owned()),
    ];
    assert_eq!(fills, expected);
    assert_eq!(states(&rig).last(), Some(&Hedged));
    assert_eq!(gate(&rig, 0), None);
}

/// Marked at once: 44 - 1.7248 + 48 - 0.9984 = 89.2768, so B = -8.4557 and the target is B + 0.8 x (2.2675 - B) =
/// 0.12286. At bids of 0.47 and 0.53 closing would bring 97.2599 (P&L -0.4726); at 0.47 and 0.54: 47 - 1.7437 and
/// 54 - 0.9936, so 98.2627 and a P&L of 0.5302. Kalshi's bid is the thinner one and goes first.
fn closed_at_target() -> Rig {
    let mut rig = opened("{}");
    quote(&mut rig, NOON + 10 * S, K, (47, 200), (49, 200));
    quote(&mut rig, NOON + 11 * S, NO, (53, 300), (55, 300));
    assert_eq!(orders(&rig), 2, "below the target");
    quote(&mut rig, NOON + 12 * S, NO, (54, 300), (55, 300));
    rig.heartbeat(NOON + 20 * S);
    rig
}

#[test]
fn an_exit_at_the_target_to_the_last_digit() {
    let rig = closed_at_target();
    assert_eq!(held(&rig), [0, 0, 0]);
    assert_eq!(cash(&rig), "0.5302");
    assert_eq!(signals(&rig), ["exit target"]);
    assert_eq!(orders(&rig), 4);
    let last: Vec<u32> = rig.reports()[2..]
        .iter()
        .map(|(_, r)| r.instrument.0)
        .collect();
    assert_eq!(last, [K, NO]);
    assert_eq!(
        states(&rig)
            .iter()
            .filter(|state| **state == Closed)
            .count(),
        2
    );
    assert!(alarms(&rig).is_empty());
}

/// Stop at B - 2EQ = -12.9907: at bids of 0.41 and 0.47 closing brings 41 - 1.6933 + 47 - 0.9964 = 85.3103, a P&L of
/// -12.4222; at 0.40 and 0.47: 40 - 1.68 + 47 - 0.9964 = 84.3236 and -13.4089.
#[test]
fn an_exit_at_the_stop_to_the_last_digit() {
    let mut rig = opened("{}");
    quote(&mut rig, NOON + 10 * S, NO, (47, 300), (55, 300));
    quote(&mut rig, NOON + 11 * S, K, (41, 200), (49, 200));
    assert_eq!(orders(&rig), 2);
    quote(&mut rig, NOON + 12 * S, K, (40, 200), (49, 200));
    rig.heartbeat(NOON + 20 * S);
    assert_eq!((cash(&rig).as_str(), held(&rig)), ("-13.4089", [0, 0, 0]));
    assert_eq!(signals(&rig), ["exit stop"]);
}

#[test]
fn a_time_exit_48_hours_before_the_earlier_settlement() {
    let mut rig = opened("{}");
    let first = SETTLES - DAY_NS / 2;
    for (at, orders_then) in [(first - 2 * DAY_NS - 1, 2), (first - 2 * DAY_NS, 3)] {
        quote(&mut rig, at, NO, (48, 300), (55, 300));
        quote(&mut rig, at, K, (44, 200), (49, 200));
        assert_eq!(orders(&rig), orders_then);
    }
    assert_eq!(signals(&rig), ["exit time"]);
}

/// Kalshi's contract pays 1, the NO token nothing: 100 - 97.7325 = 2.2675, each venue by its own resolution.
#[test]
fn a_pair_held_to_settlement_brings_what_was_expected() {
    for (k, no) in [(10_000, 0), (0, 10_000)] {
        let mut rig = opened(r#"{"time_exit_h": 0}"#);
        resolve(&mut rig, SETTLES - DAY_NS / 2, K, k);
        assert_ne!(states(&rig).last(), Some(&Closed));
        resolve(&mut rig, SETTLES, NO, no);
        assert_eq!(cash(&rig), "2.2675");
        assert_eq!(states(&rig).last(), Some(&Closed));
        assert!(alarms(&rig).is_empty());
    }
}

/// A void that both venues pay back alike: 0.50 each, 1 together.
#[test]
fn a_void_on_both_venues_is_a_settlement_at_a_price_between() {
    let mut rig = opened("{}");
    resolve(&mut rig, NOON + DAY_NS, K, 5_000);
    resolve(&mut rig, NOON + DAY_NS, NO, 5_000);
    assert_eq!(cash(&rig), "2.2675");
    assert!(alarms(&rig).is_empty());
}

/// Both legs lose (-97.7325), both win (+102.2675), or only one is voided (0.50 less).
#[test]
fn venues_that_pay_differently_raise_an_alarm() {
    for (k, no, balance, off) in [
        (0, 0, "-97.7325", "-1"),
        (10_000, 10_000, "102.2675", "1"),
        (5_000, 0, "-47.7325", "-0.5"),
    ] {
        let mut rig = opened("{}");
        resolve(&mut rig, NOON + DAY_NS, NO, no);
        assert!(alarms(&rig).is_empty(), "one leg says nothing yet");
        resolve(&mut rig, NOON + DAY_NS, K, k);
        assert_eq!(alarms(&rig), [(Alarm::Diverged, off.to_owned())]);
        assert_eq!(cash(&rig), balance);
    }
}

/// The other direction: YES bid at 0.50 x 100 on Kalshi, asked at 0.45 x 200 on Polymarket. Kalshi is the thinner leg:
/// sold at 0.50 for 50 - 1.75; bought for 45 + 0.99. 100 of NO at 0.50 and YES at 0.45 bring 5 - 2.74 = 2.26.
fn sold() -> Rig {
    let mut rig = ready(r#"{"time_exit_h": 0}"#);
    quote(&mut rig, NOON, YES, (44, 300), (45, 200));
    quote(&mut rig, NOON, NO, (54, 300), (56, 100));
    quote(&mut rig, NOON, K, (50, 100), (51, 200));
    rig.heartbeat(NOON + S);
    rig
}

#[test]
fn the_other_direction_sells_on_the_single_book_venue_and_buys_a_token() {
    let mut rig = sold();
    assert_eq!(held(&rig), [-100, 100, 0]);
    assert_eq!(rig.reports()[0].1.instrument.0, K);
    assert_eq!(cash(&rig), "2.26");
    resolve(&mut rig, NOON + DAY_NS, K, 10_000);
    resolve(&mut rig, NOON + DAY_NS, YES, 10_000);
    assert_eq!(cash(&rig), "2.26");
    assert!(alarms(&rig).is_empty());
    // No token is ever sold that is not held.
    let sells = rig.events().into_iter().filter(|(_, event)| {
        matches!(event, Event::OrderDecided(o) if o.side == Side::Sell && o.instrument.0 != K)
    });
    assert_eq!(sells.count(), 0);
}

/// The token venue asks the opposite question: its YES pays when Kalshi's does not, so YES is what is bought.
#[test]
fn an_inverted_pair_swaps_the_tokens() {
    let inverted = PairApproved {
        inverted: true,
        ..pair()
    };
    let mut rig = ready_with("{}", inverted.clone());
    dislocated(&mut rig, NOON);
    assert_eq!(
        orders(&rig),
        0,
        "0.45 + 0.52 of YES leave nothing after fees"
    );
    let mut rig = ready_with("{}", inverted);
    quote(&mut rig, NOON, NO, (50, 300), (52, 300));
    quote(&mut rig, NOON, YES, (48, 300), (50, 100));
    quote(&mut rig, NOON, K, (44, 200), (45, 200));
    rig.heartbeat(NOON + S);
    assert_eq!(held(&rig), [100, 100, 0]);
}

#[test]
fn only_approved_pairs_trade() {
    let mut rig = markets("{}");
    for id in [K, YES, NO] {
        rig.input(NOON, &Event::FeeSchedule(Box::new(schedule(id))));
    }
    dislocated(&mut rig, NOON);
    assert_eq!(orders(&rig), 0);
    let mut rig = ready("{}");
    let withdrawn = PairWithdrawn {
        pair: pair().pair,
        reason: "not the same question".into(),
    };
    rig.input(NOON, &Event::PairWithdrawn(Box::new(withdrawn)));
    dislocated(&mut rig, NOON);
    assert_eq!(gate(&rig, 0).as_deref(), Some("approved"));
    assert_eq!(orders(&rig), 0);
}

#[test]
fn a_pair_whose_rule_text_changes_suspends_itself_until_it_is_approved_anew() {
    let mut rig = ready("{}");
    let text = |id: u32, hash: &str| {
        Event::RulesText(Box::new(RulesText {
            instrument: InstrumentId(id),
            rules_hash: hash.to_owned(),
        }))
    };
    rig.input(NOON, &text(K, "k1"));
    assert!(alarms(&rig).is_empty());
    rig.input(NOON, &text(NO, "p2"));
    rig.input(NOON, &text(NO, "p3"));
    assert_eq!(alarms(&rig), [(Alarm::RulesChanged, "1".to_owned())]);
    dislocated(&mut rig, NOON);
    assert_eq!(gate(&rig, 0).as_deref(), Some("rules_unchanged"));
    // Approved with a text that is not the one that stands: suspended again.
    let stale = PairApproved {
        token_rules: "p2".into(),
        ..pair()
    };
    approve(&mut rig, NOON, stale);
    assert_eq!(alarms(&rig).len(), 2);
    let anew = PairApproved {
        token_rules: "p3".into(),
        ..pair()
    };
    approve(&mut rig, NOON, anew);
    dislocated(&mut rig, NOON);
    assert_eq!(orders(&rig), 1);
}

#[test]
fn pairs_that_treat_a_void_differently_trade_only_where_that_is_accepted() {
    let differs = PairApproved {
        void_rule: VoidRule::Differs,
        ..pair()
    };
    let mut rig = ready_with("{}", differs.clone());
    dislocated(&mut rig, NOON);
    assert_eq!(gate(&rig, 0).as_deref(), Some("void_rule"));
    let mut rig = ready_with(r#"{"accept_differing_voids": true}"#, differs);
    dislocated(&mut rig, NOON);
    assert_eq!(orders(&rig), 1);
}

#[test]
fn an_old_book_does_not_trade_and_neither_do_books_of_different_times() {
    let mut rig = ready("{}");
    quote(&mut rig, NOON, NO, (48, 300), (50, 100));
    quote(&mut rig, NOON + 30_001 * MS, K, (44, 200), (45, 200));
    assert_eq!(gate(&rig, 0).as_deref(), Some("stamp_gap_ms"));
    quote(&mut rig, NOON + 90_001 * MS, K, (44, 200), (45, 200));
    assert_eq!(gate(&rig, 0).as_deref(), Some("book_age_ms"));
    assert_eq!(orders(&rig), 0);
    quote(&mut rig, NOON + 100_000 * MS, NO, (48, 300), (50, 100));
    assert_eq!(orders(&rig), 1);
}

#[test]
fn without_a_fee_schedule_nothing_trades() {
    let mut rig = markets("{}");
    rig.input(NOON, &Event::FeeSchedule(Box::new(schedule(K))));
    approve(&mut rig, NOON, pair());
    dislocated(&mut rig, NOON);
    assert_eq!(gate(&rig, 0).as_deref(), Some("schedule"));
    assert_eq!(orders(&rig), 0);
}

#[test]
fn past_the_cut_off_nothing_is_opened() {
    let cut = PairApproved {
        cut_off: Nanos(NOON + S),
        ..pair()
    };
    let mut rig = ready_with("{}", cut);
    dislocated(&mut rig, NOON + S);
    assert_eq!(gate(&rig, 0).as_deref(), Some("cut_off_s"));
    let mut rig = ready("{}");
    let terms = ContractTerms {
        instrument: InstrumentId(NO),
        event: "march".into(),
        cluster: "rates".into(),
        closes_at: Nanos(NOON),
        settles_at: Nanos(SETTLES),
        rules_hash: "p1".into(),
        temperature: None,
    };
    rig.input(NOON, &Event::ContractTerms(Box::new(terms)));
    dislocated(&mut rig, NOON);
    assert_eq!(gate(&rig, 0).as_deref(), Some("cut_off_s"));
    assert_eq!(orders(&rig), 0);
}

/// What the time exit would close at once is not opened; where pairs are held to settlement it is.
#[test]
fn nothing_is_opened_that_time_would_close_at_once() {
    let soon = SETTLES - DAY_NS / 2 - 2 * DAY_NS;
    let mut rig = ready("{}");
    dislocated(&mut rig, soon);
    assert_eq!(gate(&rig, 0).as_deref(), Some("time_to_hold_s"));
    assert_eq!(orders(&rig), 0);
    let mut rig = ready(r#"{"time_exit_h": 0}"#);
    dislocated(&mut rig, soon);
    assert_eq!(orders(&rig), 1);
}

/// Both directions of an approved pair are explained gate by gate, and nothing that a stopped gate leaves open panics.
#[test]
fn every_gate_of_a_moment_can_be_explained() {
    let mut rig = ready("{}");
    quote(&mut rig, NOON, NO, (48, 300), (60, 100));
    quote(&mut rig, NOON, YES, (40, 300), (52, 100));
    quote(&mut rig, NOON, K, (44, 200), (45, 200));
    let mut quotes = rig.frames().iter();
    let kept = quotes.rfind(|kept| kept.2.kind() == Kind::Quote.number());
    let kept = kept.unwrap();
    let (desk, market) = (rig.sequencer.desk(), rig.sequencer.market());
    let event = decoded(kept);
    let explained = desk.explain(StrategyId(0), kept.0, Nanos(NOON), &event, market);
    assert!(explained.proposals.is_empty());
    for candidate in [0, 1] {
        let rows = explained.rows.iter();
        let rows = rows.filter(|row| row.candidate.is_some_and(|c| c.number == candidate));
        let rows: Vec<_> = rows.map(|row| (row.gate.as_ref(), row.passes)).collect();
        assert!(rows.contains(&("gross_edge", false)));
        assert!(rows.contains(&("all_clusters", true)));
    }
}

#[test]
fn a_venue_that_is_down_does_not_trade_and_a_slow_one_needs_more_edge() {
    let health = |latency_ms| {
        Event::VenueHealth(Box::new(VenueHealth {
            venue: "kalshi".into(),
            latency_ms,
            errors_per_million: 0,
        }))
    };
    let mut rig = ready("{}");
    rig.input(NOON, &health(10_000));
    dislocated(&mut rig, NOON);
    assert_eq!(gate(&rig, 0).as_deref(), Some("venue_up"));
    // The net edge is 0.019675. A k of 50 asks for 0.008 x 1.5 = 0.012, times 1.5 for 0.018: enough; a k of 70 asks for
    // 0.0136, times 1.5 for 0.0204.
    for (k, latency, sent) in [(50, 2_000, 1), (70, 1_999, 1), (70, 2_000, 0)] {
        let mut rig = ready(&format!(r#"{{"depth_factor": "{k}"}}"#));
        rig.input(NOON, &health(latency));
        dislocated(&mut rig, NOON);
        assert_eq!(orders(&rig), sent, "{k} {latency}");
    }
}

#[test]
fn each_cap_makes_the_entry_smaller_and_too_small_is_no_entry() {
    // 100 shares cost 97.7325 of 300: a ratio of 0.3257.
    for (params, shares, stops) in [
        (r#"{"bankroll_usd": "2000"}"#, 61, None),
        (r#"{"max_leg_usd": "20"}"#, 40, None),
        (r#"{"cluster_soft_pct": "0.5"}"#, 100, None),
        (
            r#"{"bankroll_usd": "2000", "cluster_soft_pct": "2"}"#,
            30,
            None,
        ),
        (r#"{"min_fill_ratio": "0.33"}"#, 0, Some("fill_ratio")),
        (r#"{"min_annual_return": "0.26"}"#, 0, Some("annual_return")),
        (r#"{"fixed_cost_usd": "1.5"}"#, 0, Some("net_edge")),
        (r#"{"position_pct": "0.01"}"#, 0, Some("minimum_size")),
    ] {
        let rig = opened(params);
        if let Some(stops) = stops {
            assert_eq!(gate(&rig, 0).as_deref(), Some(stops), "{params}");
            assert_eq!(held(&rig), [0, 0, 0], "{params}");
        } else {
            assert_eq!(held(&rig), [shares, 0, shares], "{params}");
        }
    }
}

/// By hand: 100 shares at 0.45 + 0.50 bind 95; of 1.1 % of 10,000 that is 86 %, of the soft 0.6 % more than all; one pair of
/// one, one under way of one.
#[test]
fn limits_that_are_nearly_used_up_are_warned_of_with_their_cluster() {
    let params = r#"{"cluster_soft_pct": 0.6, "cluster_hard_pct": 1.1, "cluster_all_pct": 50, "max_open_pairs": 1,
        "max_concurrent": 1}"#;
    let rig = opened(params);
    let warned: Vec<_> = rig.warned().into_iter().map(|w| (w.0, w.1)).collect();
    let rates = || Some("rates".to_owned());
    assert_eq!(
        warned,
        [
            ("cluster_soft_pct".to_owned(), rates()),
            ("cluster_hard_pct".to_owned(), rates()),
            ("max_open_pairs".to_owned(), None),
            ("max_concurrent".to_owned(), None),
        ]
    );
    assert_eq!(rig.warned()[1].3, "110");
    assert!(opened("{}").warned().is_empty(), "far from every limit");
}

/// The pair of [`an_exit_at_the_stop_to_the_last_digit`] lost 13.4089 on both venues, and a loss of more than 10 did not stop its
/// exit. 0.14 % of 10,000 are 14, of which 80 % are 11.20; the next day begins with nothing lost.
#[test]
fn a_lost_day_ends_entries_and_no_exit() {
    let lost = |most: &str| {
        let mut rig = opened(&format!(
            r#"{{"max_day_loss_pct": "{most}", "cooldown_s": 0}}"#
        ));
        quote(&mut rig, NOON + 11 * S, NO, (47, 300), (55, 300));
        quote(&mut rig, NOON + 12 * S, K, (40, 200), (49, 200));
        rig.heartbeat(NOON + 20 * S);
        assert_eq!((cash(&rig).as_str(), held(&rig)), ("-13.4089", [0, 0, 0]));
        dislocated(&mut rig, NOON + 30 * S);
        rig.heartbeat(NOON + 32 * S);
        rig
    };
    let mut rig = lost("0.1");
    assert_eq!(gate(&rig, 0).as_deref(), Some("day_loss_usd"));
    let row = rig
        .events()
        .into_iter()
        .rev()
        .find_map(|(_, event)| match event {
            Event::GateChanged(c) if c.candidate == 0 => {
                Some((c.value.to_string(), c.limit.to_string()))
            }
            _ => None,
        });
    assert_eq!(row, Some(("13.4089".to_owned(), "10".to_owned())));
    assert_eq!(held(&rig), [0, 0, 0]);
    rig.heartbeat(NOON + DAY_NS / 2);
    dislocated(&mut rig, NOON + DAY_NS / 2 + S);
    rig.heartbeat(NOON + DAY_NS / 2 + 3 * S);
    assert_eq!(held(&rig), [100, 0, 100], "another day");

    let rig = lost("0.14");
    assert_eq!(held(&rig), [100, 0, 100]);
    let warned = rig.warned();
    let warned = warned.last().unwrap();
    assert_eq!(
        (warned.0.as_str(), warned.2.as_str()),
        ("max_day_loss_pct", "13.4089")
    );
}

/// Two pairs where one is allowed: the one that was approved first trades.
#[test]
fn pairs_beyond_the_most_do_not_trade() {
    let mut rig = markets(r#"{"max_pairs": 1}"#);
    for id in [K, YES, NO] {
        rig.input(NOON, &Event::FeeSchedule(Box::new(schedule(id))));
    }
    let other = PairApproved {
        pair: "another".into(),
        cluster: "more".into(),
        ..pair()
    };
    approve(&mut rig, NOON, other.clone());
    approve(&mut rig, NOON, pair());
    dislocated(&mut rig, NOON);
    assert_eq!(gate(&rig, 2).as_deref(), Some("pairs"), "the second pair");
    assert_eq!(orders(&rig), 1);
    let all = rig.warned().into_iter().map(|w| (w.0, w.2, w.3));
    let full = ("max_pairs".to_owned(), "2".to_owned(), "1".to_owned());
    assert!(all.into_iter().any(|warned| warned == full));
}

/// Blocked words are asked before anything is sized: in the pair's name, its question, its cluster, an event, a symbol.
#[test]
fn what_no_market_may_be_about_does_not_trade() {
    let stopped = |rig: &mut Rig| {
        dislocated(rig, NOON);
        assert_eq!(gate(rig, 0).as_deref(), Some("compliance"));
        assert_eq!(orders(rig), 0);
    };
    for edit in [
        |pair: &mut PairApproved| pair.pair = "an assassination in March".into(),
        |pair: &mut PairApproved| pair.question = "Will there be a terrorist attack?".into(),
        |pair: &mut PairApproved| pair.cluster = "Adult content".into(),
    ] {
        let mut pair = pair();
        edit(&mut pair);
        stopped(&mut ready_with("{}", pair));
    }
    let terms = |event: &str| {
        Event::ContractTerms(Box::new(ContractTerms {
            instrument: InstrumentId(NO),
            event: event.into(),
            cluster: "rates".into(),
            closes_at: Nanos(SETTLES - DAY_NS / 2),
            settles_at: Nanos(SETTLES),
            rules_hash: "p1".into(),
            temperature: None,
        }))
    };
    // Terms count whether they come before the approval or after it.
    let mut rig = ready("{}");
    rig.input(NOON, &terms("terror-26"));
    stopped(&mut rig);
    let mut rig = ready("{}");
    rig.input(NOON, &terms("KXRATE-26"));
    dislocated(&mut rig, NOON);
    assert_eq!(orders(&rig), 1);
    stopped(&mut ready(r#"{"blocked_words": ["rate cut"]}"#));
    let mut free = ready_with(r#"{"blocked_words": []}"#, {
        PairApproved {
            question: "assassination".into(),
            ..pair()
        }
    });
    dislocated(&mut free, NOON);
    assert_eq!(orders(&free), 1, "the operator's own list counts");
}

#[test]
fn a_pair_rests_after_an_entry() {
    let mut rig = closed_at_target();
    dislocated(&mut rig, NOON + 60 * S);
    assert_eq!(gate(&rig, 0).as_deref(), Some("cooldown_s"));
    dislocated(&mut rig, NOON + 1_800 * S);
    assert_eq!(orders(&rig), 5);
}

const UNWINDS: &str = r#"{"auto_unwind": true, "unwind_loss_cap_pct": "10"}"#;

/// The token fills 100, Kalshi's ask is gone on arrival. Unwound: the bid of 0.48 brings 48 - 0.9984, so 51 - 47.0016 =
/// 3.9984 is lost, within 10 % of the 50 that the leg cost.
fn token_alone(params: &str) -> Rig {
    let mut rig = ready(params);
    dislocated(&mut rig, NOON);
    quote(&mut rig, NOON + 900 * MS, K, (44, 200), (50, 200));
    rig.heartbeat(NOON + 10 * S);
    rig
}

#[test]
fn a_token_without_its_counterpart_is_unwound_within_the_cap() {
    let rig = token_alone(UNWINDS);
    assert_eq!(states(&rig)[4..], [SingleLeg, Unwinding, Closed]);
    assert_eq!((held(&rig), cash(&rig).as_str()), ([0, 0, 0], "-3.9984"));
    assert_eq!(alarms(&rig), [(Alarm::SingleLeg, "100".to_owned())]);
}

#[test]
fn by_default_somebody_is_called_and_nothing_is_unwound() {
    let mut rig = token_alone("{}");
    rig.heartbeat(NOON + 70 * S);
    assert_eq!(states(&rig)[4..], [SingleLeg, SingleLeg]);
    assert_eq!(held(&rig), [0, 0, 100]);
    // The price comes back: the second leg is sent again within its limit.
    quote(&mut rig, NOON + 71 * S, K, (44, 200), (45, 200));
    rig.heartbeat(NOON + 72 * S);
    assert_eq!(
        (states(&rig).last(), held(&rig)),
        (Some(&Hedged), [100, 0, 100])
    );
}

/// Kalshi is sold first, the token is gone: bought back at 0.51 for 51 + 1.7493 after 50 - 1.75, a loss of 4.4993.
#[test]
fn a_kalshi_leg_without_its_counterpart_is_unwound_within_the_cap() {
    let mut rig = ready(UNWINDS);
    quote(&mut rig, NOON, YES, (44, 300), (45, 200));
    quote(&mut rig, NOON, K, (50, 100), (51, 200));
    quote(&mut rig, NOON + 500 * MS, YES, (44, 300), (55, 200));
    rig.heartbeat(NOON + 10 * S);
    assert_eq!(states(&rig)[4..], [SingleLeg, Unwinding, Closed]);
    assert_eq!((held(&rig), cash(&rig).as_str()), ([0, 0, 0], "-4.4993"));
}

#[test]
fn a_halt_while_single_legged_stops_no_unwinding_and_no_hedge_but_every_entry() {
    let halt = |rig: &mut Rig, at| {
        let command = OperatorCommand {
            action: OperatorAction::Halt,
            note: "test".into(),
        };
        rig.input(at, &Event::OperatorCommand(Box::new(command)));
    };
    let mut rig = ready(UNWINDS);
    dislocated(&mut rig, NOON);
    quote(&mut rig, NOON + 900 * MS, K, (44, 200), (50, 200));
    halt(&mut rig, NOON + S);
    rig.heartbeat(NOON + 10 * S);
    assert_eq!(
        (states(&rig).last(), held(&rig)),
        (Some(&Closed), [0, 0, 0])
    );
    dislocated(&mut rig, NOON + 2_000 * S);
    assert_eq!(gate(&rig, 0).as_deref(), Some("not_halted"));
    let mut rig = ready("{}");
    dislocated(&mut rig, NOON);
    halt(&mut rig, NOON + 500 * MS);
    rig.heartbeat(NOON + 10 * S);
    assert_eq!(
        (states(&rig).last(), held(&rig)),
        (Some(&Hedged), [100, 0, 100])
    );
    // And none of its exits.
    quote(&mut rig, NOON + 12 * S, K, (40, 200), (49, 200));
    quote(&mut rig, NOON + 12 * S, NO, (40, 300), (55, 300));
    rig.heartbeat(NOON + 20 * S);
    assert_eq!(held(&rig), [0, 0, 0]);
}

/// Only 60 of the token are left on arrival: Kalshi's leg goes for 60.
#[test]
fn a_partial_first_leg_makes_a_smaller_pair_of_equal_shares() {
    let mut rig = ready("{}");
    dislocated(&mut rig, NOON);
    quote(&mut rig, NOON + 100 * MS, NO, (48, 300), (50, 60));
    rig.heartbeat(NOON + S);
    assert_eq!(
        (states(&rig).last(), held(&rig)),
        (Some(&Hedged), [60, 0, 60])
    );
}

/// The close's first leg is said to have found nothing, and then to have been filled after all: the other leg follows.
#[test]
fn a_late_fill_of_a_close_is_completed() {
    let mut rig = opened("{}");
    quote(&mut rig, NOON + 10 * S, K, (47, 200), (49, 200));
    quote(&mut rig, NOON + 10 * S, NO, (54, 300), (55, 300));
    // It goes for Kalshi's bid, which is gone on arrival.
    quote(&mut rig, NOON + 10 * S, K, (20, 1), (49, 200));
    rig.heartbeat(NOON + 11 * S);
    assert_eq!((orders(&rig), held(&rig)), (3, [100, 0, 100]));
    let (_, ended) = rig.reports().pop().unwrap();
    let late = ExecutionReport {
        cause: onetape_engine::id::Sequence(0),
        state: onetape_engine::order::OrderState::PartiallyFilled,
        fill: Some(Fill {
            fill_id: 99,
            price: Price(4_700),
            qty: Qty(4_000),
            fee: Money::ZERO,
            liquidity: Liquidity::Taker,
        }),
        reason: None,
        ..ended
    };
    rig.input(NOON + 12 * S, &Event::ExecutionReport(late));
    assert_eq!(alarms(&rig), [(Alarm::SingleLeg, "40".to_owned())]);
    quote(&mut rig, NOON + 13 * S, NO, (54, 300), (55, 300));
    rig.heartbeat(NOON + 15 * S);
    assert_eq!(held(&rig), [60, 0, 60]);
    // The rest is closed when there is a bid again.
    quote(&mut rig, NOON + 20 * S, K, (47, 200), (49, 200));
    rig.heartbeat(NOON + 25 * S);
    assert_eq!(held(&rig), [0, 0, 0]);
    assert_eq!(gate(&rig, 0).as_deref(), Some("no_position"));
    dislocated(&mut rig, NOON + 30 * S);
    assert_ne!(gate(&rig, 0).as_deref(), Some("no_position"));
}

#[test]
fn shadow_mode_says_and_does_not_act() {
    let mut rig = opened(r#"{"exit_mode": "shadow"}"#);
    for at in [10, 11] {
        quote(&mut rig, NOON + at * S, K, (47, 200), (49, 200));
        quote(&mut rig, NOON + at * S, NO, (54, 300), (55, 300));
    }
    assert_eq!(signals(&rig), ["exit target", "exit edge_gone"]);
    assert_eq!((orders(&rig), held(&rig)), (2, [100, 0, 100]));
}

/// Each of the model's rules closes the pair that the ones before it leave alone.
#[test]
fn the_models_exits_by_priority() {
    let model = |more: &str| opened(&format!(r#"{{"exit_mode": "model"{more}}}"#));
    // 97.7325 of capital against 0.85 x 1 % of 10,000.
    let room = r#", "cluster_all_pct": "1", "cluster_hard_pct": "1", "cluster_soft_pct": "1", "min_fill_ratio": "0.1""#;
    let mut rig = model(room);
    quote(&mut rig, NOON + 10 * S, K, (44, 200), (46, 200));
    assert_eq!(signals(&rig), ["exit make_room"]);
    // Asks of 0.49 and 0.55: -0.04 less fees is below -0.022675.
    let mut rig = model("");
    quote(&mut rig, NOON + 10 * S, K, (44, 200), (46, 200));
    quote(&mut rig, NOON + 10 * S, NO, (48, 300), (52, 300));
    assert!(signals(&rig).is_empty());
    quote(&mut rig, NOON + 11 * S, NO, (48, 300), (55, 300));
    assert_eq!(signals(&rig), ["exit edge_gone"]);
    let mut rig = model("");
    quote(&mut rig, NOON + 10 * S, K, (44, 4), (46, 200));
    assert_eq!(signals(&rig), ["exit thin_exit"]);
    let mut rig = model("");
    let doubtful = PairApproved {
        confidence_pct: 80,
        ..pair()
    };
    approve(&mut rig, NOON + 10 * S, doubtful);
    quote(&mut rig, NOON + 10 * S, K, (44, 200), (46, 200));
    assert_eq!(signals(&rig), ["exit confidence"]);
    let mut rig = model("");
    let late = SETTLES - DAY_NS / 2 - 17 * 3_600 * S;
    quote(&mut rig, late, K, (44, 200), (46, 200));
    assert_eq!(signals(&rig), ["exit decay"]);
    // Half of 2.2675 is there at bids of 0.48 and 0.54: 48 - 1.7472 + 54 - 0.9936 - 97.7325 = 1.5267; asks of 0.49 and
    // 0.55 would have meant that the edge is gone, so they are wide.
    let mut rig = model(r#", "captured_fraction": "0.5""#);
    quote(&mut rig, NOON + 10 * S, K, (48, 200), (0, 0));
    quote(&mut rig, NOON + 10 * S, NO, (54, 300), (0, 0));
    assert_eq!(signals(&rig), ["exit captured"]);
}

fn decide_again(sequencer: &mut Sequencer<MemorySink>, frames: &[Kept]) {
    for (_, at, tag, payload) in frames.iter().filter(|(_, _, tag, _)| !tag.is_derived()) {
        sequencer.step(*at, tag.kind(), payload).unwrap();
    }
}

#[test]
fn a_day_is_the_same_again_and_goes_on_from_any_step() {
    for run in [closed_at_target(), token_alone(UNWINDS), sold()] {
        let mut run = run.sequencer;
        let hash = run.state_hash().unwrap();
        let frames = run.sink().frames.clone();
        for _ in 0..2 {
            let mut again = Sequencer::new(MemorySink::default());
            decide_again(&mut again, &frames);
            assert!(again.sink().frames == frames);
            assert_eq!(again.state_hash().unwrap(), hash);
        }
        for cut in (1..frames.len()).filter(|cut| frames[cut - 1].2.ends_step()) {
            let mut folded = Sequencer::new(MemorySink::default());
            for kept in &frames[..cut] {
                folded.fold(&frame(kept)).unwrap();
            }
            let snapshot = folded.snapshot().unwrap();
            let restored = Sequencer::restore(&snapshot, MemorySink::default()).unwrap();
            for mut going_on in [folded, restored] {
                decide_again(&mut going_on, &frames[cut..]);
                assert!(
                    going_on.sink().frames == frames[cut..],
                    "{:?}",
                    decoded(&frames[cut])
                );
                assert_eq!(going_on.state_hash().unwrap(), hash);
            }
        }
    }
}
