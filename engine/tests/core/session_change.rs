//! Another configuration takes over in mid-tape: limits, modes and added strategies change, positions and states stay.
use crate::common::{MS, NOON, Rig, Taken, X, decoded, ema, frame, quiet_session, silent};
use onetape_engine::event::{Event, SessionStart};
use onetape_engine::id::StrategyId;
use onetape_engine::risk::Gate;
use onetape_engine::sequencer::{NullSink, Sequencer};
use onetape_engine::session::{SessionConfig, StrategyConfig, VenueMode};
use rust_decimal::Decimal;

const TRADER: &str = r#"{"fast": 1, "slow": 2, "qty": "1", "retry_ms": 0}"#;

fn one(strategies: Vec<StrategyConfig>) -> SessionConfig {
    SessionConfig {
        strategies,
        ..SessionConfig::default()
    }
}

fn take_over(rig: &mut Rig, at: u64, config: SessionConfig) -> Taken {
    let start = SessionStart {
        engine_version: "next".into(),
        logic_hash: "next".into(),
        config,
    };
    rig.try_input(at, &Event::SessionStart(Box::new(start)))
}

/// So many quotes, up and down, so that averages of one and two cross at each.
fn turns(rig: &mut Rig, from: u64, count: u64) {
    for n in 0..count {
        let bid = 10_000 + 100 * (n as i64 % 2);
        rig.quote(from + 10 * n * MS, (bid, 5_000), (bid + 1, 5_000));
    }
}

/// Orders by strategy since a frame.
fn orders(rig: &Rig, from: usize) -> [usize; 2] {
    let mut orders = [0, 0];
    for kept in &rig.frames()[from..] {
        if let Event::OrderDecided(order) = decoded(kept) {
            orders[order.strategy.index()] += 1;
        }
    }
    orders
}

#[test]
fn a_strategy_is_added_and_the_one_before_keeps_its_position() {
    let mut rig = Rig::new(one(vec![ema("a", TRADER)]));
    turns(&mut rig, NOON + MS, 9);
    let held = |rig: &Rig| {
        rig.sequencer
            .desk()
            .ledger()
            .position(StrategyId(0), X)
            .copied()
    };
    // What is under way arrives first.
    rig.heartbeat(NOON + 150 * MS);
    let before = held(&rig);
    assert!(before.is_some_and(|position| position.qty.0 != 0));
    let from = rig.frames().len();
    take_over(
        &mut rig,
        NOON + 200 * MS,
        one(vec![ema("a", TRADER), ema("b", TRADER)]),
    )
    .unwrap();
    assert_eq!(held(&rig), before);
    turns(&mut rig, NOON + 300 * MS, 9);
    let [a, b] = orders(&rig, from);
    assert!(a > 0 && b > 0, "{a} {b}");
}

#[test]
fn a_limit_that_changes_holds_from_there_on() {
    let mut rig = Rig::new(one(vec![ema("a", TRADER)]));
    turns(&mut rig, NOON + MS, 9);
    let from = rig.frames().len();
    let mut next = one(vec![ema("a", TRADER)]);
    next.risk.total.max_order_qty = Some(Decimal::new(5, 1));
    next.risk
        .instruments
        .insert("paper:X".into(), next.risk.total.clone());
    take_over(&mut rig, NOON + 200 * MS, next).unwrap();
    turns(&mut rig, NOON + 300 * MS, 9);
    assert_eq!(orders(&rig, from), [0, 0]);
    let denied = rig.frames()[from..].iter().any(
        |kept| matches!(decoded(kept), Event::OrderDenied(denied) if denied.gate == Gate::OrderQty),
    );
    assert!(denied);
}

#[test]
fn what_can_not_change_is_refused_and_changes_nothing() {
    let mut rig = Rig::new(one(vec![ema("a", TRADER)]));
    turns(&mut rig, NOON + MS, 8);
    let hash = rig.sequencer.state_hash().unwrap();
    let at = NOON + 200 * MS;
    let desk_of = |rig: &Rig, next: &SessionConfig| {
        let (desk, market) = (rig.sequencer.desk(), rig.sequencer.market());
        desk.check_change(next, market).unwrap_err().to_string()
    };
    let other = r#"{"fast": 1, "slow": 3, "qty": "1"}"#;
    let gone = desk_of(&rig, &one(vec![]));
    assert!(
        gone.contains("strategy 'a'") || gone.contains('a'),
        "{gone}"
    );
    for next in [
        one(vec![]),
        one(vec![ema("a", other)]),
        one(vec![silent("z"), ema("a", TRADER)]),
    ] {
        assert!(desk_of(&rig, &next).contains("at work on this tape"));
    }
    let mut real = one(vec![ema("a", TRADER)]);
    real.modes.insert("paper".into(), VenueMode::Live);
    let why = desk_of(&rig, &real);
    assert!(
        why.contains("modes.paper is paper") && why.contains("close them first"),
        "{why}"
    );
    assert_eq!(rig.sequencer.state_hash().unwrap(), hash);
    assert!(take_over(&mut rig, at, real).is_err());
}

#[test]
fn a_flat_venue_may_become_real_and_then_awaits_its_account() {
    let mut rig = Rig::new(quiet_session());
    let mut real = quiet_session();
    real.modes.insert("paper".into(), VenueMode::Demo);
    take_over(&mut rig, NOON + MS, real.clone()).unwrap();
    assert!(!rig.sequencer.desk().risk().halts.is_empty());
    let (desk, market) = (rig.sequencer.desk(), rig.sequencer.market());
    let back = desk.check_change(&quiet_session(), market).unwrap_err();
    assert!(back.to_string().contains("modes.paper is demo"), "{back}");
}

#[test]
fn the_same_tape_folds_and_decides_to_the_same_state() {
    let mut rig = Rig::new(one(vec![ema("a", TRADER)]));
    turns(&mut rig, NOON + MS, 9);
    let mut next = one(vec![ema("a", TRADER), ema("b", TRADER)]);
    next.risk.total.max_open_orders = Some(7);
    take_over(&mut rig, NOON + 200 * MS, next).unwrap();
    turns(&mut rig, NOON + 300 * MS, 9);
    let mut folded = Sequencer::new(NullSink);
    for kept in rig.frames() {
        folded.fold(&frame(kept)).unwrap();
    }
    assert_eq!(
        folded.state_hash().unwrap(),
        rig.sequencer.state_hash().unwrap()
    );
}
