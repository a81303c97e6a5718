//! Halts on the tape: how they come and how they go.
use crate::common::{MS, NOON, Rig, X, ema, quiet_session};
use onetape_engine::event::{Event, ExecutionReport, HaltChanged, OperatorAction, OperatorCommand};
use onetape_engine::id::{OrderId, Sequence, StrategyId};
use onetape_engine::order::{OrderState, Side, TimeInForce};
use onetape_engine::risk::{Gate, HaltReason, Limits};
use onetape_engine::session::SessionConfig;
use onetape_engine::time::{DAY_NS, Nanos};
use rust_decimal::Decimal;

fn halts(rig: &Rig) -> Vec<(u64, HaltReason, bool)> {
    let halt = |(at, event): (u64, Event<'_>)| match event {
        Event::HaltChanged(HaltChanged { reason, active, .. }) => Some((at, reason, active)),
        _ => None,
    };
    rig.events().into_iter().filter_map(halt).collect()
}

fn command(rig: &mut Rig, action: OperatorAction) {
    let note = "test".to_owned();
    let command = OperatorCommand { action, note };
    rig.input(NOON, &Event::OperatorCommand(Box::new(command)));
}

#[test]
fn an_operators_halt_comes_once_and_goes_once() {
    let mut rig = Rig::new(quiet_session());
    for action in [
        OperatorAction::Resume,
        OperatorAction::Halt,
        OperatorAction::Halt,
        OperatorAction::Resume,
        OperatorAction::Resume,
    ] {
        command(&mut rig, action);
    }
    let operator = HaltReason::Operator;
    assert_eq!(
        halts(&rig),
        [(NOON, operator, true), (NOON, operator, false)]
    );
}

/// A strategy that turns round on every quote pays 10 bps each time: after two turns it has lost too much, is halted
/// at its next wish, and trades again from UTC midnight on.
#[test]
fn a_daily_loss_halts_its_strategy_until_utc_midnight() {
    let day_loss = Limits {
        max_daily_loss: Some(Decimal::new(25, 2)),
        ..Limits::default()
    };
    let mut config = SessionConfig {
        strategies: vec![ema(
            "e",
            r#"{"fast": 1, "slow": 2, "qty": "1", "retry_ms": 0}"#,
        )],
        ..SessionConfig::default()
    };
    config.risk.each_strategy = day_loss;
    let mut rig = Rig::new(config);
    let turn = |rig: &mut Rig, from: u64, count: u64| {
        for step in 0..count {
            let price = if step % 2 == 0 { 10_000 } else { 9_990 };
            rig.quote(from + step * 10 * MS, (price, 10_000), (price + 1, 10_000));
        }
    };
    turn(&mut rig, NOON, 10);
    let reason = HaltReason::DailyLoss {
        strategy: StrategyId(0),
    };
    let came = halts(&rig);
    assert_eq!(came.len(), 1);
    assert_eq!((came[0].1, came[0].2), (reason, true));
    let orders = rig.sequencer.desk().stats().orders;
    let gates: Vec<_> = rig
        .sequencer
        .desk()
        .stats()
        .gates()
        .map(|(gate, _)| gate)
        .collect();
    assert_eq!(gates, [Gate::Halted, Gate::DailyLoss]);

    let midnight = NOON + DAY_NS / 2;
    turn(&mut rig, midnight - 30 * MS, 3);
    assert_eq!(rig.sequencer.desk().stats().orders, orders);
    rig.heartbeat(midnight);
    assert_eq!(halts(&rig)[1..], [(midnight, reason, false)]);
    turn(&mut rig, midnight + MS, 2);
    assert!(rig.sequencer.desk().stats().orders > orders);
    assert!(
        rig.sequencer
            .desk()
            .schedule()
            .next()
            .is_none_or(|due| due.at > Nanos(midnight))
    );
}

fn report(order: OrderId, state: OrderState) -> Event<'static> {
    Event::ExecutionReport(ExecutionReport {
        cause: Sequence(0),
        order,
        instrument: X,
        state,
        fill: None,
        reason: None,
    })
}

#[test]
fn an_illegal_move_halts_and_changes_nothing_else() {
    let mut rig = Rig::new(quiet_session());
    rig.book(NOON, &[(9_999, 1_000)], &[(10_001, 1_000)]);
    let order = rig.limit(NOON, Side::Buy, TimeInForce::PostOnly, 9_999, 1_000);
    rig.heartbeat(NOON + MS);
    rig.input(NOON + MS, &report(order, OrderState::Rejected));
    let reason = HaltReason::IllegalMove { order };
    assert_eq!(halts(&rig), [(NOON + MS, reason, true)]);
    let state = rig
        .sequencer
        .desk()
        .orders()
        .get(order)
        .map(|order| order.state);
    assert_eq!(state, Some(OrderState::Acked));
    rig.input(NOON + MS, &report(OrderId(1_000), OrderState::Acked));
    let foreign = HaltReason::IllegalMove {
        order: OrderId(1_000),
    };
    assert_eq!(halts(&rig)[1..], [(NOON + MS, foreign, true)]);
}

#[test]
fn a_repeated_report_changes_nothing_and_halts_nothing() {
    let mut rig = Rig::new(quiet_session());
    rig.book(NOON, &[(9_999, 1_000)], &[(10_001, 1_000)]);
    let order = rig.limit(NOON, Side::Buy, TimeInForce::PostOnly, 9_999, 1_000);
    rig.heartbeat(NOON + MS);
    rig.input(NOON + MS, &report(order, OrderState::Acked));
    rig.cancel(NOON + MS, order);
    rig.heartbeat(NOON + 2 * MS);
    rig.input(NOON + 2 * MS, &report(order, OrderState::Cancelled));
    assert!(halts(&rig).is_empty());
    assert_eq!(rig.sequencer.desk().stats().cancelled, 1);
}

/// A venue that acknowledges again after a time-out has the order once, so the paper venue fills it once.
#[test]
fn an_order_that_was_unknown_for_a_while_rests_once() {
    let mut rig = Rig::new(quiet_session());
    rig.book(NOON, &[(9_999, 1_000)], &[(10_001, 1_000)]);
    let order = rig.limit(NOON, Side::Buy, TimeInForce::PostOnly, 9_998, 1_000);
    rig.heartbeat(NOON + MS);
    rig.input(NOON + MS, &report(order, OrderState::Unknown));
    assert_eq!(rig.sequencer.desk().unknown_orders().count(), 1);
    rig.input(NOON + MS, &report(order, OrderState::Acked));
    rig.delta(NOON + 2 * MS, &[(9_999, 0)], &[(9_998, 1)]);
    assert_eq!(rig.fills().len(), 1);
    assert!(halts(&rig).is_empty());
}

/// A halt takes back the quotes that could add risk; what reduces a position stays, and is placed again only after.
#[test]
fn a_halt_takes_back_entries_and_leaves_exits() {
    let mut rig = Rig::new(quiet_session());
    rig.quote(NOON, (9_990, 10_000), (10_010, 10_000));
    let rests = TimeInForce::GoodTillCancel;
    let bought = rig.limit(NOON, Side::Buy, rests, 10_010, 1_000);
    rig.heartbeat(NOON + 2 * MS);
    let entry = rig.limit(NOON + 3 * MS, Side::Buy, rests, 9_900, 1_000);
    let exit = rig.limit(NOON + 3 * MS, Side::Sell, rests, 10_100, 1_000);
    rig.heartbeat(NOON + 5 * MS);
    let note = "test".to_owned();
    let action = OperatorAction::Halt;
    rig.input(
        NOON + 6 * MS,
        &Event::OperatorCommand(Box::new(OperatorCommand { action, note })),
    );
    rig.heartbeat(NOON + 8 * MS);
    let working: Vec<OrderId> = rig.sequencer.desk().orders().iter().map(|o| o.id).collect();
    assert_eq!(working, [exit]);
    assert!(bought < entry);
}

#[test]
fn a_clock_that_is_off_halts_until_it_is_right() {
    let mut rig = Rig::new(quiet_session());
    for (step, drift_ms) in [900, -1_000, 2_000, 999, 0].into_iter().enumerate() {
        rig.input(
            NOON + step as u64 * MS,
            &Event::ClockDrift(onetape_engine::event::ClockDrift { drift_ms }),
        );
    }
    let reason = HaltReason::ClockDrift;
    assert_eq!(
        halts(&rig),
        [(NOON + MS, reason, true), (NOON + 3 * MS, reason, false)]
    );
}

/// Days turn by a timer on the tape, also when nothing happens for days.
#[test]
fn every_utc_midnight_is_a_frame() {
    let mut rig = Rig::new(quiet_session());
    rig.heartbeat(NOON + 2 * DAY_NS);
    let days: Vec<(u64, u32)> = rig
        .events()
        .into_iter()
        .filter_map(|(at, event)| match event {
            Event::DayRolled(rolled) => Some((at, rolled.day)),
            _ => None,
        })
        .collect();
    let midnight = NOON + DAY_NS / 2;
    assert_eq!(days, [(midnight, 20_001), (midnight + DAY_NS, 20_002)]);
}
