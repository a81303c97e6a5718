//! Venues whose orders leave the process: nothing is filled on paper, nothing goes out before the venue has said what we
//! hold, and what it takes back comes back.
use crate::common::{MS, NOON, Rig, X, decoded, ema, quiet_session};
use onetape_engine::event::{
    AccountLost, AccountReport, Event, ExecutionReport, Fill, FillReversed, Holding, Liquidity,
    OperatorAction, OperatorCommand,
};
use onetape_engine::id::{OrderId, Sequence, VenueId};
use onetape_engine::number::{Money, Price, Qty};
use onetape_engine::order::{OrderState, Side, TimeInForce};
use onetape_engine::risk::{Gate, HaltReason};
use onetape_engine::session::{SessionConfig, VenueMode};

const V: VenueId = VenueId(0);

fn with_mode(mode: VenueMode, mut config: SessionConfig) -> SessionConfig {
    config.modes.insert("paper".to_owned(), mode);
    config
}

/// A strategy that wants one unit, long or short, at every turn of the market.
fn trader(mode: VenueMode) -> Rig {
    let params = r#"{"fast": 1, "slow": 2, "qty": "1", "retry_ms": 0}"#;
    let config = SessionConfig {
        strategies: vec![ema("e", params)],
        ..SessionConfig::default()
    };
    Rig::new(with_mode(mode, config))
}

fn turns(rig: &mut Rig, from: u64, count: u64) {
    for n in 0..count {
        let bid = 10_000 + 100 * (n as i64 % 2);
        rig.quote(from + n * MS, (bid, 5_000), (bid + 1, 5_000));
    }
}

fn holds(rig: &mut Rig, at: u64, qty: i64) {
    let holding = Holding {
        instrument: X,
        qty: Qty(qty),
    };
    let report = AccountReport {
        venue: "paper".to_owned(),
        holdings: vec![holding],
        cash: Vec::new(),
    };
    rig.input(at, &Event::AccountReport(Box::new(report)));
}

fn told(order: OrderId, state: OrderState, fill: Option<Fill>) -> Event<'static> {
    Event::ExecutionReport(ExecutionReport {
        cause: Sequence(0),
        order,
        instrument: X,
        state,
        fill,
        reason: None,
    })
}

fn fill(fill_id: u64, qty: i64) -> Option<Fill> {
    Some(Fill {
        fill_id,
        price: Price(10_000),
        qty: Qty(qty),
        fee: Money(7),
        liquidity: Liquidity::Taker,
    })
}

fn denials(rig: &Rig) -> Vec<Gate> {
    let gate = |(_, event): (u64, Event<'_>)| match event {
        Event::OrderDenied(denied) => Some(denied.gate),
        _ => None,
    };
    rig.events().into_iter().filter_map(gate).collect()
}

fn decided(rig: &Rig) -> Vec<(OrderId, Side)> {
    let order = |kept| match decoded(kept) {
        Event::OrderDecided(order) => Some((OrderId(kept.0.0), order.side)),
        _ => None,
    };
    rig.frames().iter().filter_map(order).collect()
}

fn held(rig: &Rig) -> i64 {
    let positions = rig.sequencer.desk().ledger().positions();
    positions.iter().map(|position| position.qty.0).sum()
}

fn halts(rig: &Rig) -> Vec<HaltReason> {
    let halts = &rig.sequencer.desk().risk().halts;
    halts.iter().copied().collect()
}

#[test]
fn a_shadow_venue_gets_no_order() {
    let mut rig = trader(VenueMode::Shadow);
    turns(&mut rig, NOON, 6);
    assert!(decided(&rig).is_empty());
    let gates = denials(&rig);
    assert!(!gates.is_empty() && gates.iter().all(|gate| *gate == Gate::Shadow));
}

#[test]
fn nothing_goes_to_a_real_venue_before_it_has_said_what_we_hold() {
    let mut rig = trader(VenueMode::Demo);
    assert_eq!(halts(&rig), [HaltReason::Unreconciled { venue: V }]);
    turns(&mut rig, NOON, 6);
    assert!(decided(&rig).is_empty());
    assert!(denials(&rig).iter().all(|gate| *gate == Gate::Reconciled));
    // 5 units were there before us: they are nobody's position, and no difference later.
    holds(&mut rig, NOON + 10 * MS, 5_000);
    assert!(halts(&rig).is_empty());
    turns(&mut rig, NOON + 11 * MS, 2);
    let orders = decided(&rig);
    assert_eq!(orders.len(), 1);
    let lost = AccountLost {
        venue: "paper".to_owned(),
        why: "disconnected".to_owned(),
    };
    rig.input(NOON + 20 * MS, &Event::AccountLost(Box::new(lost)));
    assert_eq!(halts(&rig), [HaltReason::Unreconciled { venue: V }]);
}

#[test]
fn orders_of_a_real_venue_are_never_filled_on_paper() {
    let mut rig = trader(VenueMode::Live);
    holds(&mut rig, NOON, 0);
    turns(&mut rig, NOON + MS, 2);
    let (order, side) = decided(&rig)[0];
    rig.heartbeat(NOON + 10_000 * MS);
    assert_eq!(held(&rig), 0);
    rig.input(NOON + 10_001 * MS, &told(order, OrderState::Acked, None));
    let part = told(order, OrderState::PartiallyFilled, fill(1, 400));
    rig.input(NOON + 10_002 * MS, &part);
    assert_eq!(held(&rig), side.sign() * 400);
    // The venue's acknowledgement overtaken by its own fill, and the fill told twice: neither changes anything.
    rig.input(NOON + 10_003 * MS, &told(order, OrderState::Acked, None));
    rig.input(NOON + 10_004 * MS, &part);
    assert_eq!(held(&rig), side.sign() * 400);
    assert!(halts(&rig).is_empty());
    rig.input(
        NOON + 10_005 * MS,
        &told(order, OrderState::Cancelled, None),
    );
    rig.input(NOON + 10_006 * MS, &told(order, OrderState::Unknown, None));
    assert!(rig.sequencer.desk().orders().is_empty());
    assert!(halts(&rig).is_empty());
}

#[test]
fn a_difference_lets_exits_through_until_it_is_gone_or_accepted() {
    let mut rig = trader(VenueMode::Demo);
    holds(&mut rig, NOON, 0);
    turns(&mut rig, NOON + MS, 2);
    let (order, side) = decided(&rig)[0];
    rig.input(
        NOON + 5 * MS,
        &told(order, OrderState::Filled, fill(1, 1_000)),
    );
    holds(&mut rig, NOON + 6 * MS, side.sign() * 900);
    let differs = HaltReason::HoldingsDiffer { venue: V };
    assert_eq!(halts(&rig), [differs]);
    holds(&mut rig, NOON + 7 * MS, side.sign() * 1_000);
    assert!(halts(&rig).is_empty());
    holds(&mut rig, NOON + 8 * MS, side.sign() * 900);
    let accept = OperatorCommand {
        action: OperatorAction::AcceptHoldings {
            venue: "paper".to_owned(),
        },
        note: "sold 100 by hand".to_owned(),
    };
    rig.input(NOON + 9 * MS, &Event::OperatorCommand(Box::new(accept)));
    assert_eq!(halts(&rig), [differs], "it takes the venue's next word");
    holds(&mut rig, NOON + 10 * MS, side.sign() * 900);
    assert!(halts(&rig).is_empty());
    let before = rig.sequencer.desk().accounts().before(V, X);
    assert_eq!(before, Qty(side.sign() * -100));
}

#[test]
fn a_fill_that_the_venue_takes_back_leaves_no_trace_in_position_cash_and_fees() {
    let mut rig = Rig::new(with_mode(VenueMode::Demo, quiet_session()));
    holds(&mut rig, NOON, 0);
    let tif = TimeInForce::GoodTillCancel;
    let order = rig.limit(NOON + MS, Side::Buy, tif, 10_000, 1_000);
    rig.input(
        NOON + 2 * MS,
        &told(order, OrderState::Filled, fill(1, 1_000)),
    );
    assert_eq!(held(&rig), 1_000);
    let reversed = FillReversed {
        order,
        instrument: X,
        fill_id: 1,
        side: Side::Buy,
        price: Price(10_000),
        qty: Qty(1_000),
        fee: Money(7),
    };
    for _ in 0..2 {
        rig.input(NOON + 3 * MS, &Event::FillReversed(reversed));
        assert_eq!(held(&rig), 0);
        let desk = rig.sequencer.desk();
        assert!(
            desk.ledger()
                .cash()
                .iter()
                .all(|cash| cash.balance == Money(0))
        );
        let position = desk.ledger().positions()[0];
        assert_eq!((position.fees, position.realised), (Money(0), Money(0)));
    }
}

/// A market order that leaves the process carries how far it may reach: 100.01 asked and a collar of 200 bps.
#[test]
fn a_market_order_to_a_real_venue_says_its_worst_price() {
    let mut rig = trader(VenueMode::Demo);
    holds(&mut rig, NOON, 0);
    turns(&mut rig, NOON + MS, 2);
    let worst = |(_, event): (u64, Event<'_>)| match event {
        Event::OrderDecided(order) => Some((order.side, order.worst_price)),
        _ => None,
    };
    let orders: Vec<_> = rig.events().into_iter().filter_map(worst).collect();
    let collar = i64::from(rig.sequencer.desk().config().risk.price_collar_bps);
    let expected = match orders[0].0 {
        Side::Buy => 10_101 + 10_101 * collar / 10_000,
        Side::Sell => 10_100 - 10_100 * collar / 10_000,
    };
    assert_eq!(orders, [(orders[0].0, Some(Price(expected)))]);
}

#[test]
fn a_daemon_that_stops_takes_its_orders_back_and_trades_again_when_it_starts() {
    let mut rig = trader(VenueMode::Demo);
    holds(&mut rig, NOON, 0);
    turns(&mut rig, NOON + MS, 2);
    let command = |rig: &mut Rig, action| {
        let note = String::new();
        let command = OperatorCommand { action, note };
        rig.input(NOON + 5 * MS, &Event::OperatorCommand(Box::new(command)));
    };
    command(&mut rig, OperatorAction::Stop { cancel: true });
    assert_eq!(halts(&rig), [HaltReason::Stopping]);
    let cancels = |(_, event): &(u64, Event<'_>)| matches!(event, Event::CancelDecided(_));
    assert_eq!(rig.events().iter().filter(|e| cancels(e)).count(), 1);
    command(&mut rig, OperatorAction::Start);
    assert!(halts(&rig).is_empty());
}

#[test]
fn a_daemon_that_stops_leaves_no_exit_to_rest() {
    let params = r#"{"source": "quotes", "qty": "1", "half_spread_cbps": 10000, "retry_ms": 0}"#;
    let maker = crate::common::market_maker("m", params);
    let config = SessionConfig {
        strategies: vec![maker],
        ..SessionConfig::default()
    };
    let mut rig = Rig::new(with_mode(VenueMode::Demo, config));
    holds(&mut rig, NOON, 0);
    rig.quote(NOON + MS, (10_000, 5_000), (10_001, 5_000));
    let orders = decided(&rig);
    let (bought, _) = orders[0];
    for state in [OrderState::Sent, OrderState::Acked] {
        rig.input(NOON + 2 * MS, &told(bought, state, None));
    }
    rig.input(
        NOON + 3 * MS,
        &told(bought, OrderState::Filled, fill(1, 1_000)),
    );
    assert_eq!(held(&rig), 1_000);
    let command = |rig: &mut Rig, at, action| {
        let note = String::new();
        let command = OperatorCommand { action, note };
        rig.input(at, &Event::OperatorCommand(Box::new(command)));
    };
    command(
        &mut rig,
        NOON + 4 * MS,
        OperatorAction::Stop { cancel: true },
    );
    for (order, _) in decided(&rig).into_iter().filter(|(id, _)| *id != bought) {
        for state in [OrderState::Sent, OrderState::Acked, OrderState::Cancelled] {
            rig.input(NOON + 5 * MS, &told(order, state, None));
        }
    }
    let before = decided(&rig).len();
    for n in 0..4 {
        rig.quote(
            NOON + (10 + n) * MS,
            (10_000 - n as i64, 5_000),
            (10_001, 5_000),
        );
    }
    assert_eq!(
        decided(&rig).len(),
        before,
        "the sell would only reduce, and it would rest"
    );
    assert!(denials(&rig).contains(&Gate::Halted));
    command(&mut rig, NOON + 20 * MS, OperatorAction::Start);
    rig.quote(NOON + 21 * MS, (10_000, 5_000), (10_001, 5_000));
    assert!(decided(&rig).len() > before);
}
