//! Multi-leg orders in the real sequencer with the paper venue: whatever becomes of the legs, they end hedged, unwound
//! or with somebody being called, and a crash at any frame ends no other way.
//!
//! Buy X at 0.45 or better on "paper" (1 ms away), then Y at 0.50 or better on "other" (1 ms away). Prices have 2
//! decimals, quantities 3; fees are 10 bps on X and nothing on Y.
use crate::common::{Kept, MS, NOON, Rig, decoded, fees, frame, instrument, rules};
use onetape_engine::event::{
    Alarm, Event, ExecutionReport, Fill, Kind, Liquidity, OperatorAction, OperatorCommand,
    Resolution, TradingRules, TradingStatus,
};
use onetape_engine::id::{InstrumentId, OrderId, Sequence, StrategyId};
use onetape_engine::number::{Money, Price, Qty};
use onetape_engine::order::{OrderState, Side};
use onetape_engine::parent::{ParentState, Role};
use onetape_engine::risk::Gate;
use onetape_engine::sequencer::{MemorySink, Sequencer};
use onetape_engine::session::{SessionConfig, StrategyConfig};
use onetape_engine::strategy::StrategyParams;
use onetape_engine::time::Nanos;

const S: u64 = 1_000 * MS;
const Y: u32 = 1;

fn params(edit: &str) -> String {
    format!(
        r#"{{"first": {{"instrument": "paper:X", "side": "buy", "limit": "0.45"}},
            "second": {{"instrument": "other:Y", "side": "buy", "limit": "0.50"}},
            "qty": "10"{edit}}}"#
    )
}

fn config(edit: &str) -> SessionConfig {
    let params = params(edit);
    let mut json = serde_json::Deserializer::from_str(&params);
    let mut config = SessionConfig {
        strategies: vec![StrategyConfig {
            id: "legs".into(),
            params: StrategyParams::read("two_legs", &mut json)
                .unwrap()
                .unwrap(),
        }],
        ..SessionConfig::default()
    };
    config.risk.price_collar_bps = 10_000;
    config.risk.max_data_age_ms = 1_000_000;
    config
}

fn with(config: SessionConfig) -> Rig {
    let mut rig = Rig::new(config);
    rig.input(NOON, &instrument(Y, "other", "Y"));
    rig.input(NOON, &Event::TradingRules(rules(Y)));
    rig.input(NOON, &Event::FeeSchedule(Box::new(fees(Y, 0, 0))));
    rig
}

/// Both markets appear: X shows `x` at its ask and bids 0.40 for 100, Y shows `y` at its ask and bids 0.48 for 100. The
/// legs go out at `NOON`.
fn opened(edit: &str, x: (i64, i64), y: (i64, i64)) -> Rig {
    let mut rig = with(config(edit));
    rig.quote_of(NOON, 0, (40, 100_000), x);
    rig.quote_of(NOON, Y, (48, 100_000), y);
    rig
}

const UNWINDS: &str = r#", "unwind": true, "unwind_loss_cap": "1", "unwind_after_ms": 2000"#;

fn states(rig: &Rig) -> Vec<ParentState> {
    states_of(rig.frames())
}

fn states_of(frames: &[Kept]) -> Vec<ParentState> {
    let state = |kept: &Kept| match decoded(kept) {
        Event::ParentChanged(change) => Some(change.state),
        _ => None,
    };
    frames.iter().filter_map(state).collect()
}

fn alarms(rig: &Rig) -> Vec<(u64, Alarm, String)> {
    let alarm = |(at, event): (u64, Event<'_>)| match event {
        Event::AlarmRaised(alarm) => Some((at, alarm.alarm, alarm.value.to_string())),
        _ => None,
    };
    rig.events().into_iter().filter_map(alarm).collect()
}

fn held(rig: &Rig, id: u32) -> i64 {
    held_by(&rig.sequencer, id)
}

fn held_by(sequencer: &Sequencer<MemorySink>, id: u32) -> i64 {
    let ledger = sequencer.desk().ledger();
    let position = ledger.position(StrategyId(0), InstrumentId(id));
    position.map_or(0, |position| position.qty.0)
}

/// The last order of a role.
fn order(rig: &Rig, role: Role) -> OrderId {
    let decided = |kept: &Kept| match decoded(kept) {
        Event::OrderDecided(order) if Role::of_tag(order.tag) == Some((1, role)) => {
            Some(OrderId(kept.0.0))
        }
        _ => None,
    };
    rig.frames().iter().filter_map(decided).next_back().unwrap()
}

fn report(rig: &mut Rig, at: u64, id: u32, order: OrderId, state: OrderState) {
    told(rig, at, id, order, state, None);
}

fn told(
    rig: &mut Rig,
    at: u64,
    id: u32,
    order: OrderId,
    state: OrderState,
    fill: Option<(u64, i64, i64)>,
) {
    let fill = fill.map(|(fill_id, price, qty)| Fill {
        fill_id,
        price: Price(price),
        qty: Qty(qty),
        fee: Money::ZERO,
        liquidity: Liquidity::Taker,
    });
    let report = ExecutionReport {
        cause: Sequence(0),
        order,
        instrument: InstrumentId(id),
        state,
        fill,
        reason: None,
    };
    rig.input(at, &Event::ExecutionReport(report));
}

use ParentState::{
    Closed, Hedged, Leg1Filled, Leg1Sent, Leg2Sent, None as Planned, Reconcile, SingleLeg,
    Unwinding,
};

const UP_TO_LEG_2: [ParentState; 4] = [Planned, Leg1Sent, Leg1Filled, Leg2Sent];

fn went(rest: &[ParentState]) -> Vec<ParentState> {
    [&UP_TO_LEG_2, rest].concat()
}

fn both_fill() -> Rig {
    let mut rig = opened("", (44, 50_000), (49, 50_000));
    rig.heartbeat(NOON + 10 * S);
    rig
}

#[test]
fn two_legs_that_fill_are_hedged_and_nobody_is_called() {
    let rig = both_fill();
    assert_eq!(states(&rig), went(&[Hedged]));
    assert_eq!((held(&rig, 0), held(&rig, Y)), (10_000, 10_000));
    assert!(alarms(&rig).is_empty());
}

fn first_partial() -> Rig {
    let mut rig = opened("", (44, 4_000), (49, 50_000));
    rig.heartbeat(NOON + 10 * S);
    rig
}

#[test]
fn the_second_leg_goes_for_exactly_what_the_first_one_filled() {
    let rig = first_partial();
    assert_eq!(states(&rig), went(&[Hedged]));
    assert_eq!((held(&rig, 0), held(&rig, Y)), (4_000, 4_000));
}

fn first_nothing() -> Rig {
    let mut rig = opened("", (46, 50_000), (49, 50_000));
    rig.heartbeat(NOON + 10 * S);
    rig
}

#[test]
fn a_first_leg_that_finds_nothing_ends_it() {
    let rig = first_nothing();
    assert_eq!(states(&rig), [Planned, Leg1Sent, Closed]);
    assert_eq!(rig.sequencer.desk().stats().orders, 1);
}

/// X: 10 at 0.44 costs 4.40 and 0.0044 of fees; sold at 0.40 it brings 4.00 less 0.004. The loss is 0.4084.
fn second_nothing(edit: &str) -> Rig {
    let mut rig = opened(edit, (44, 50_000), (51, 50_000));
    for second in 1..=130 {
        rig.heartbeat(NOON + second * S);
    }
    rig
}

#[test]
fn a_second_leg_that_finds_nothing_is_unwound_after_the_wait_within_the_cap() {
    let cap = r#", "unwind": true, "unwind_loss_cap": "0.4084", "unwind_after_ms": 2000"#;
    let rig = second_nothing(cap);
    assert_eq!(states(&rig), went(&[SingleLeg, Unwinding, Closed]));
    assert_eq!((held(&rig, 0), held(&rig, Y)), (0, 0));
    let single = NOON + 2 * MS;
    assert_eq!(alarms(&rig), [(single, Alarm::SingleLeg, "10".to_owned())]);
    let sold = rig.reports().last().unwrap().clone();
    assert_eq!(sold.0, single + 2 * S + MS);
    let cash = rig.sequencer.desk().ledger().cash()[0].balance;
    assert_eq!(cash.to_string(), "-0.4084");
}

#[test]
fn an_unwinding_that_costs_more_than_the_cap_waits_and_somebody_is_called_every_minute() {
    let cap = r#", "unwind": true, "unwind_loss_cap": "0.4083", "unwind_after_ms": 2000"#;
    let rig = second_nothing(cap);
    assert_eq!(states(&rig), went(&[SingleLeg; 3]));
    let at: Vec<u64> = alarms(&rig).iter().map(|alarm| alarm.0).collect();
    let single = NOON + 2 * MS;
    assert_eq!(at, [single, single + 60 * S, single + 120 * S]);
    // The bid comes up: now it is cheap enough.
    let mut rig = rig;
    rig.quote_of(NOON + 131 * S, 0, (41, 100_000), (45, 1));
    rig.heartbeat(NOON + 132 * S);
    assert_eq!(states(&rig)[7..], [Unwinding, Closed]);
    assert_eq!(held(&rig, 0), 0);
}

#[test]
fn without_an_unwind_rule_somebody_is_called_until_the_legs_match() {
    let rig = second_nothing("");
    assert_eq!(states(&rig), went(&[SingleLeg; 3]));
    assert_eq!(alarms(&rig).len(), 3);
}

fn second_partial() -> Rig {
    let mut rig = opened(UNWINDS, (44, 50_000), (49, 6_000));
    rig.heartbeat(NOON + 10 * S);
    rig
}

#[test]
fn what_the_second_leg_left_over_is_unwound_and_the_rest_is_hedged() {
    let rig = second_partial();
    assert_eq!(states(&rig), went(&[SingleLeg, Unwinding, Hedged]));
    assert_eq!((held(&rig, 0), held(&rig, Y)), (6_000, 6_000));
    assert_eq!(alarms(&rig)[0].2, "4");
}

fn retried() -> Rig {
    let edit = r#", "retries": 2, "unwind": true, "unwind_loss_cap": "1", "unwind_after_ms": 2000"#;
    let mut rig = opened(edit, (44, 50_000), (49, 6_000));
    rig.quote_of(NOON + S, Y, (48, 100_000), (51, 9_000));
    rig.quote_of(NOON + S + 500 * MS, Y, (48, 100_000), (50, 3_000));
    rig.heartbeat(NOON + 10 * S);
    rig
}

#[test]
fn the_second_leg_is_sent_again_only_within_its_limit() {
    let rig = retried();
    assert_eq!((held(&rig, 0), held(&rig, Y)), (9_000, 9_000));
    assert_eq!(states(&rig), went(&[SingleLeg, Unwinding, Hedged]));
    assert!(rig.fills().iter().all(|fill| fill.price.0 <= 50));
}

/// The shorter leg is filled at what its book gives: 10 at 0.51 instead of 0.50 are 0.10.
#[test]
fn closing_legs_are_completed_at_what_the_book_gives_within_the_cap() {
    let complete = |cap: &str| {
        let edit = format!(
            r#", "unwind": true, "remedy": "complete", "unwind_loss_cap": "{cap}", "unwind_after_ms": 2000"#
        );
        second_nothing(&edit)
    };
    let rig = complete("0.1");
    assert_eq!(states(&rig), went(&[SingleLeg, Unwinding, Hedged]));
    assert_eq!((held(&rig, 0), held(&rig, Y)), (10_000, 10_000));
    assert_eq!(states(&complete("0.09")), went(&[SingleLeg; 3]));
}

#[test]
fn a_second_leg_that_the_risk_gate_stops_counts_as_not_filled() {
    let mut config = config(UNWINDS);
    let limits = onetape_engine::risk::Limits {
        max_order_qty: Some(5.into()),
        ..Default::default()
    };
    config.risk.instruments.insert("other:Y".into(), limits);
    let mut rig = with(config);
    rig.quote_of(NOON, 0, (40, 100_000), (44, 50_000));
    rig.quote_of(NOON, Y, (48, 100_000), (49, 50_000));
    rig.heartbeat(NOON + 10 * S);
    let expected = [Planned, Leg1Sent, Leg1Filled, SingleLeg, Unwinding, Closed];
    assert_eq!(states(&rig), expected);
    assert_eq!(held(&rig, 0), 0);
}

fn halt(rig: &mut Rig, at: u64) {
    let command = OperatorCommand {
        action: OperatorAction::Halt,
        note: "test".into(),
    };
    rig.input(at, &Event::OperatorCommand(Box::new(command)));
}

#[test]
fn a_halt_between_the_legs_stops_neither_the_hedge_nor_the_unwinding() {
    let mut rig = opened("", (44, 50_000), (49, 50_000));
    halt(&mut rig, NOON);
    rig.heartbeat(NOON + 10 * S);
    assert_eq!(states(&rig), went(&[Hedged]));
    let mut rig = opened(UNWINDS, (44, 50_000), (51, 50_000));
    halt(&mut rig, NOON);
    rig.heartbeat(NOON + 10 * S);
    assert_eq!(states(&rig), went(&[SingleLeg, Unwinding, Closed]));
}

#[test]
fn a_halt_before_the_first_leg_stops_everything() {
    let mut rig = with(config(""));
    rig.quote_of(NOON, 0, (40, 100_000), (44, 50_000));
    halt(&mut rig, NOON);
    rig.quote_of(NOON, Y, (48, 100_000), (49, 50_000));
    rig.heartbeat(NOON + 10 * S);
    assert_eq!(states(&rig), [Planned, Closed]);
    let denied = rig.sequencer.desk().stats().gates().next();
    assert_eq!(denied, Some((Gate::Halted, 1)));
}

/// An order that says it hedges must have something to hedge: the flag alone passes no halt.
#[test]
fn a_hedge_of_nothing_is_an_entry() {
    let mut rig = both_fill();
    halt(&mut rig, NOON + 10 * S);
    let desk = rig.sequencer.desk();
    let mut proposal = onetape_engine::risk::Proposal {
        instrument: InstrumentId(Y),
        side: Side::Buy,
        order_type: onetape_engine::order::OrderType::Limit,
        time_in_force: onetape_engine::order::TimeInForce::ImmediateOrCancel,
        price: Price(49),
        qty: Qty(1),
        tag: 0,
        hedges: Some(InstrumentId(0)),
        one_of: None,
        protect: None,
    };
    let check = |proposal: &_| {
        let now = Nanos(NOON + 10 * S);
        let market = rig.sequencer.market();
        let near = &mut Vec::new();
        onetape_engine::risk::check(desk, market, now, StrategyId(0), proposal, near)
            .unwrap()
            .map_err(|denial| denial.gate)
    };
    assert_eq!(check(&proposal), Err(Gate::Halted));
    proposal.side = Side::Sell;
    assert_eq!(check(&proposal), Ok(()));
}

fn second_unknown() -> Rig {
    let mut rig = opened(UNWINDS, (44, 50_000), (49, 50_000));
    rig.heartbeat(NOON + MS);
    let second = order(&rig, Role::Second);
    report(&mut rig, NOON + MS, Y, second, OrderState::Unknown);
    for second in 1..=70 {
        rig.quote_of(NOON + second * S, 0, (40, 100_000), (44, 50_000));
    }
    rig
}

#[test]
fn while_the_second_legs_outcome_is_unknown_nothing_goes_out_and_somebody_is_called() {
    let mut rig = second_unknown();
    assert_eq!(states(&rig), went(&[SingleLeg, SingleLeg]));
    assert_eq!(rig.sequencer.desk().stats().orders, 2);
    assert_eq!(rig.sequencer.desk().unknown_orders().count(), 1);
    let second = order(&rig, Role::Second);
    told(
        &mut rig,
        NOON + 71 * S,
        Y,
        second,
        OrderState::Filled,
        Some((9, 49, 10_000)),
    );
    assert_eq!(states(&rig).last(), Some(&Hedged));
}

#[test]
fn an_unknown_second_leg_that_was_never_there_is_unwound_once_that_is_known() {
    let mut rig = second_unknown();
    let second = order(&rig, Role::Second);
    report(&mut rig, NOON + 71 * S, Y, second, OrderState::Rejected);
    rig.quote_of(NOON + 71 * S, 0, (40, 100_000), (44, 50_000));
    rig.heartbeat(NOON + 72 * S);
    assert_eq!(states(&rig)[6..], [Unwinding, Closed]);
    assert_eq!((held(&rig, 0), held(&rig, Y)), (0, 0));
}

fn first_unknown() -> Rig {
    let mut rig = opened(UNWINDS, (44, 50_000), (49, 50_000));
    let first = order(&rig, Role::First);
    report(&mut rig, NOON, 0, first, OrderState::Unknown);
    for second in 1..=8 {
        rig.quote_of(NOON + second * S, Y, (48, 100_000), (49, 50_000));
    }
    rig
}

#[test]
fn a_first_leg_whose_outcome_stays_unknown_has_to_be_reconciled() {
    let rig = first_unknown();
    assert_eq!(states(&rig), [Planned, Leg1Sent, Reconcile]);
    assert_eq!(alarms(&rig)[0].1, Alarm::Reconcile);
    assert_eq!(alarms(&rig)[0].0, NOON + 5 * S);
    let first = order(&rig, Role::First);
    // It was filled in part after all: the second leg follows.
    let mut filled = first_unknown();
    told(
        &mut filled,
        NOON + 9 * S,
        0,
        first,
        OrderState::Filled,
        Some((9, 44, 10_000)),
    );
    filled.heartbeat(NOON + 10 * S);
    assert_eq!(states(&filled)[3..], [Leg1Filled, Leg2Sent, Hedged]);
    // It never was there.
    let mut rig = rig;
    report(&mut rig, NOON + 9 * S, 0, first, OrderState::Rejected);
    assert_eq!(states(&rig)[3..], [Closed]);
}

/// Leg 2 ended, leg 1 was unwound, and then the venue says that leg 2 filled 4: those are sold too.
fn late_fill() -> Rig {
    let mut rig = second_nothing(UNWINDS);
    let second = order(&rig, Role::Second);
    let at = NOON + 131 * S;
    told(
        &mut rig,
        at,
        Y,
        second,
        OrderState::PartiallyFilled,
        Some((9, 49, 4_000)),
    );
    for second in 132..=140 {
        rig.heartbeat(NOON + second * S);
    }
    rig
}

#[test]
fn a_late_fill_of_the_second_leg_is_unwound_too() {
    let rig = late_fill();
    assert_eq!(states(&rig)[7..], [SingleLeg, Unwinding, Closed]);
    assert_eq!((held(&rig, 0), held(&rig, Y)), (0, 0));
    assert_eq!(alarms(&rig).last().unwrap().2, "4");
}

/// X's lot is 0.001, Y's 1: leg 1 fills 4.4, leg 2 goes for 4, and 0.4 are too little for Y to hedge.
#[test]
fn what_the_second_venues_lot_can_not_express_stays_and_is_on_the_tape() {
    let mut rig = with(config(UNWINDS));
    let coarse = TradingRules {
        lot_size: Qty(1_000),
        effective_from: Nanos(NOON),
        ..rules(Y)
    };
    rig.input(NOON, &Event::TradingRules(coarse));
    rig.quote_of(NOON, 0, (40, 100_000), (44, 4_400));
    rig.quote_of(NOON, Y, (48, 100_000), (49, 50_000));
    rig.heartbeat(NOON + 10 * S);
    assert_eq!(states(&rig), went(&[Hedged]));
    assert_eq!((held(&rig, 0), held(&rig, Y)), (4_400, 4_000));
}

#[test]
fn a_single_leg_ends_when_its_contract_pays() {
    let mut rig = second_nothing("");
    let resolution = Resolution {
        instrument: InstrumentId(0),
        settlement_price: Price(100),
    };
    rig.input(NOON + 131 * S, &Event::Resolution(resolution));
    assert_eq!(states(&rig).last(), Some(&Closed));
    assert_eq!(
        rig.sequencer.market().instruments()[0].status,
        TradingStatus::Closed
    );
}

/// Continues a run from its frames up to `cut` with the inputs that are left.
fn go_on(frames: &[Kept], cut: usize, by_snapshot: bool) -> Sequencer<MemorySink> {
    let mut recovered = Sequencer::new(MemorySink::default());
    for kept in &frames[..cut] {
        recovered.fold(&frame(kept)).unwrap();
    }
    if by_snapshot {
        let snapshot = recovered.snapshot().unwrap();
        recovered = Sequencer::restore(&snapshot, MemorySink::default()).unwrap();
    }
    feed(&mut recovered, &frames[cut..]);
    recovered
}

fn feed(sequencer: &mut Sequencer<MemorySink>, frames: &[Kept]) {
    for (_, at, tag, payload) in frames.iter().filter(|kept| !kept.2.is_derived()) {
        sequencer.step(*at, tag.kind(), payload).unwrap();
    }
}

type Case = (&'static str, fn() -> Rig);

const CASES: [Case; 9] = [
    ("both fill", both_fill),
    ("first partial", first_partial),
    ("first nothing", first_nothing),
    ("unwound", || second_nothing(UNWINDS)),
    ("above the cap", || {
        second_nothing(r#", "unwind": true, "unwind_loss_cap": "0.1""#)
    }),
    ("second partial", second_partial),
    ("retried", retried),
    ("unknown", second_unknown),
    ("late fill", late_fill),
];

/// After whole steps a crash changes nothing at all; recovery decides a step that was cut short again, which is the same
/// as a crash before it.
#[test]
fn a_crash_between_any_two_steps_ends_as_the_uninterrupted_run() {
    for (name, case) in CASES {
        let mut run = case().sequencer;
        let hash = run.state_hash().unwrap();
        let frames = run.sink().frames.clone();
        let mut steps = 0;
        for cut in (0..frames.len()).filter(|cut| *cut == 0 || frames[cut - 1].2.ends_step()) {
            steps += 1;
            for by_snapshot in [false, true] {
                let mut again = go_on(&frames, cut, by_snapshot);
                assert!(again.sink().frames == frames[cut..], "{name}, frame {cut}");
                assert_eq!(again.state_hash().unwrap(), hash, "{name}, frame {cut}");
            }
        }
        assert!(steps > 10);
    }
}

/// A step that a crash cut short and that the next build would decide otherwise is closed where it stands: what was to
/// follow is lost. The legs still end hedged, unwound or with somebody being called.
#[test]
fn a_step_closed_after_any_frame_ends_hedged_unwound_or_flagged() {
    for (name, case) in CASES {
        let frames = case().sequencer.sink().frames.clone();
        for cut in 1..frames.len() {
            if frames[cut - 1].2.ends_step()
                || frames[cut - 1].2.kind() == Kind::SessionStart.number()
            {
                continue;
            }
            let mut recovered = Sequencer::new(MemorySink::default());
            for kept in &frames[..cut] {
                recovered.fold(&frame(kept)).unwrap();
            }
            recovered.close_step(Sequence(1)).unwrap();
            feed(&mut recovered, &frames[cut..]);
            let mut rig = Rig {
                sequencer: recovered,
            };
            let end = NOON + 200 * S;
            for step in 0..4 {
                rig.quote_of(end + step * 70 * S, 0, (40, 100_000), (46, 100_000));
                rig.quote_of(end + step * 70 * S, Y, (48, 100_000), (51, 100_000));
                rig.heartbeat(end + step * 70 * S + S);
            }
            let mut all = frames[..cut].to_vec();
            all.extend(rig.frames().iter().cloned());
            let last = states_of(&all).last().copied();
            let flagged = alarms(&rig).iter().any(|alarm| alarm.0 > end);
            let (x, y) = (held(&rig, 0), held(&rig, Y));
            match last {
                None | Some(Closed) => assert_eq!((x, y), (0, 0), "{name}, frame {cut}"),
                Some(Hedged) => assert!(x == y && x > 0, "{name}, frame {cut}"),
                Some(SingleLeg | Reconcile) => assert!(flagged, "{name}, frame {cut}"),
                other => panic!("{name}, frame {cut}: ended in {other:?}"),
            }
        }
    }
}
