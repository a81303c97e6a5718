//! Each gate blocks where it should, with the value and the limit that the tape will show, and exits pass the gates that
//! guard new risk. One order is the yardstick: buy 1 of X at 100.01, which every gate lets through.
use crate::common::{MS, NOON, Rig, X, ema, fees, instrument, quiet_session, rules, silent};
use onetape_engine::event::{
    Event, ExecutionReport, HaltChanged, InstrumentType, MarketStatus, OrderDecided, TickBand,
    TradingRules, TradingStatus,
};
use onetape_engine::id::{InstrumentId, OrderId, Sequence, StrategyId};
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::{OneOf, OrderState, OrderType, Side, TimeInForce};
use onetape_engine::risk::{Denial, Gate, HaltReason, Limits, Proposal, check, explain};
use onetape_engine::session::SessionConfig;
use onetape_engine::time::Nanos;
use proptest::prelude::*;
use rust_decimal::Decimal;

const NOW: u64 = NOON + 5 * MS;
const ME: StrategyId = StrategyId(0);
const OTHER: StrategyId = StrategyId(1);

fn limit(instrument: InstrumentId, side: Side, price: i64, qty: i64) -> Proposal {
    Proposal {
        instrument,
        side,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(price),
        qty: Qty(qty),
        tag: 0,
        hedges: None,
        one_of: None,
        protect: None,
    }
}

fn market(side: Side, qty: i64) -> Proposal {
    Proposal {
        order_type: OrderType::Market,
        time_in_force: TimeInForce::ImmediateOrCancel,
        ..limit(X, side, 0, qty)
    }
}

/// Buy 1 of X at 100.01.
fn yardstick() -> Proposal {
    limit(X, Side::Buy, 10_001, 1_000)
}

/// Sell 1 of X at 99.99.
fn exit() -> Proposal {
    limit(X, Side::Sell, 9_999, 1_000)
}

/// Two strategies, instruments paper:X, paper:Y and other:Z, all quoted 99.99 x 10 to 100.01 x 10.
fn desk(edit: impl FnOnce(&mut SessionConfig)) -> Rig {
    let mut config = quiet_session();
    config.strategies.push(silent("t"));
    edit(&mut config);
    let mut rig = Rig::new(config);
    for (id, venue, symbol) in [(1, "paper", "Y"), (2, "other", "Z")] {
        rig.input(NOON, &instrument(id, venue, symbol));
        rig.input(NOON, &Event::TradingRules(rules(id)));
        rig.input(NOON, &Event::FeeSchedule(Box::new(fees(id, 0, 0))));
    }
    for id in 0..3 {
        rig.quote_of(NOON, id, (9_999, 10_000), (10_001, 10_000));
    }
    rig
}

fn limited(edit: impl FnOnce(&mut Limits)) -> Rig {
    let mut limits = Limits::default();
    edit(&mut limits);
    desk(|config| config.risk.each_strategy = limits)
}

fn asked(rig: &Rig, strategy: StrategyId, order: &Proposal, at: u64) -> Result<(), Denial> {
    let (desk, market) = (rig.sequencer.desk(), rig.sequencer.market());
    check(desk, market, Nanos(at), strategy, order, &mut Vec::new()).unwrap()
}

fn ask(rig: &Rig, order: &Proposal) -> Result<(), Denial> {
    asked(rig, ME, order, NOW)
}

fn denied(gate: Gate, value: &str, limit: &str) -> Result<(), Denial> {
    let number = |text: &str| text.parse::<Decimal>().unwrap();
    Err(Denial {
        gate,
        value: number(value),
        limit: number(limit),
    })
}

/// Puts an order at work that nothing fills before a heartbeat.
fn work(rig: &mut Rig, at: u64, strategy: StrategyId, order: &Proposal) -> OrderId {
    let decided = OrderDecided {
        cause: Sequence(1),
        strategy,
        instrument: order.instrument,
        side: order.side,
        order_type: order.order_type,
        time_in_force: order.time_in_force,
        price: order.price,
        qty: order.qty,
        tag: 0,
        worst_price: None,
        one_of: order.one_of,
        protect: order.protect,
        attached_to: None,
    };
    OrderId(rig.derive(at, &Event::OrderDecided(decided)).0)
}

/// Lets a strategy hold `qty` thousandths, bought or sold at the quote.
fn hold(rig: &mut Rig, strategy: StrategyId, instrument: InstrumentId, qty: i64) {
    let price = if qty > 0 { 10_001 } else { 9_999 };
    take(rig, strategy, instrument, qty, price);
}

fn take(rig: &mut Rig, strategy: StrategyId, instrument: InstrumentId, qty: i64, price: i64) {
    let at = rig.sequencer.last_stamp().0;
    let side = if qty > 0 { Side::Buy } else { Side::Sell };
    work(
        rig,
        at,
        strategy,
        &limit(instrument, side, price, qty.abs()),
    );
    rig.heartbeat(at + MS);
    let position = rig.sequencer.desk().ledger().position(strategy, instrument);
    assert_eq!(position.unwrap().qty, Qty(qty));
}

fn halt(rig: &mut Rig, reason: HaltReason, active: bool) {
    let at = rig.sequencer.last_stamp().0;
    let cause = Sequence(1);
    rig.derive(
        at,
        &Event::HaltChanged(HaltChanged {
            cause,
            reason,
            active,
        }),
    );
}

#[test]
fn the_yardstick_passes_every_gate() {
    assert_eq!(ask(&desk(|_| {}), &yardstick()), Ok(()));
}

#[test]
fn schedule_no_rules_or_no_fees_in_force_means_no_trading() {
    let schedule = denied(Gate::Schedule, "0", "1");
    let mut rig = desk(|_| {});
    for id in 3..5 {
        rig.input(NOON, &instrument(id, "paper", &format!("W{id}")));
        rig.quote_of(NOON, id, (9_999, 10_000), (10_001, 10_000));
    }
    rig.input(NOON, &Event::TradingRules(rules(3)));
    rig.input(NOON, &Event::FeeSchedule(Box::new(fees(4, 0, 0))));
    for id in 3..5 {
        assert_eq!(
            ask(&rig, &limit(InstrumentId(id), Side::Buy, 10_001, 1)),
            schedule
        );
    }
    // A schedule that is known but not yet in force is none.
    let mut later = fees(3, 0, 0);
    later.effective_from = Nanos(NOW + 1);
    rig.input(NOON, &Event::FeeSchedule(Box::new(later)));
    let order = limit(InstrumentId(3), Side::Buy, 10_001, 1);
    assert_eq!(ask(&rig, &order), schedule);
    assert_eq!(asked(&rig, ME, &order, NOW + 1), Ok(()));
}

#[test]
fn market_open_a_halted_market_takes_no_order() {
    let mut rig = desk(|_| {});
    let status = MarketStatus {
        instrument: X,
        status: TradingStatus::Halted,
    };
    rig.input(NOON, &Event::MarketStatus(status));
    assert_eq!(ask(&rig, &yardstick()), denied(Gate::MarketOpen, "0", "1"));
}

#[test]
fn fresh_data_neither_old_nor_crossed_data_trades() {
    let mut rig = desk(|config| config.risk.max_data_age_ms = 5);
    assert_eq!(ask(&rig, &yardstick()), Ok(()));
    let late = asked(&rig, ME, &yardstick(), NOW + MS);
    assert_eq!(late, denied(Gate::FreshData, "6", "5"));
    // An exit can't wait for the next quote; without any live data it has no price to be held against.
    hold(&mut rig, ME, X, 1_000);
    let late = |order: &Proposal| asked(&rig, ME, order, NOON + 100 * MS);
    assert_eq!(late(&exit()), Ok(()));
    let more = limit(X, Side::Sell, 9_999, 1_001);
    assert_eq!(late(&more), denied(Gate::FreshData, "100", "5"));
    let far = limit(X, Side::Sell, 9_000, 1_000);
    assert_eq!(late(&far).unwrap_err().gate, Gate::PriceCollar);
    rig.quote(NOON + MS, (10_001, 1), (10_001, 1));
    assert_eq!(ask(&rig, &yardstick()), denied(Gate::FreshData, "0", "1"));
    assert_eq!(ask(&rig, &exit()), denied(Gate::FreshData, "0", "1"));
}

fn with_rules(edit: impl FnOnce(&mut TradingRules)) -> Rig {
    let mut rig = desk(|config| config.risk.price_collar_bps = 1_000_000);
    let mut changed = rules(0);
    edit(&mut changed);
    rig.input(NOON, &Event::TradingRules(changed));
    rig
}

#[test]
fn price_grid_prices_lie_on_the_tick_and_within_bounds() {
    let rig = with_rules(|rules| {
        (rules.tick_size, rules.min_price, rules.max_price) =
            (Price(5), Price(9_000), Price(11_000));
    });
    let at = |price| ask(&rig, &limit(X, Side::Buy, price, 1_000));
    assert_eq!(at(10_000), Ok(()));
    assert_eq!(at(10_001), denied(Gate::PriceGrid, "100.01", "0.05"));
    assert_eq!(at(8_995), denied(Gate::PriceGrid, "89.95", "90.00"));
    assert_eq!(at(11_005), denied(Gate::PriceGrid, "110.05", "110.00"));
    assert_eq!(ask(&rig, &market(Side::Buy, 1_000)), Ok(()));
}

/// 0.05 below 100, 0.1 from there on: the limit is the tick of the price's own band.
#[test]
fn price_grid_the_tick_is_that_of_the_band() {
    let rig = with_rules(|rules| {
        rules.tick_size = Price(5);
        rules.bands = vec![TickBand {
            from: Price(10_000),
            tick: Price(10),
        }];
    });
    let at = |price| ask(&rig, &limit(X, Side::Buy, price, 1_000));
    assert_eq!(
        (at(9_995), at(10_000), at(10_010)),
        (Ok(()), Ok(()), Ok(()))
    );
    assert_eq!(at(9_996), denied(Gate::PriceGrid, "99.96", "0.05"));
    assert_eq!(at(10_005), denied(Gate::PriceGrid, "100.05", "0.10"));
}

#[test]
fn qty_grid_quantities_are_whole_lots_above_the_minimum() {
    let rig = with_rules(|rules| (rules.lot_size, rules.min_qty) = (Qty(100), Qty(500)));
    let of = |qty| ask(&rig, &limit(X, Side::Buy, 10_001, qty));
    assert_eq!(of(500), Ok(()));
    assert_eq!(of(550), denied(Gate::QtyGrid, "0.550", "0.100"));
    assert_eq!(of(400), denied(Gate::QtyGrid, "0.400", "0.500"));
    assert_eq!(of(0), denied(Gate::QtyGrid, "0", "0.1"));
    assert_eq!(of(-500), denied(Gate::QtyGrid, "-0.5", "0.1"));
}

#[test]
fn min_notional_price_times_quantity_has_a_minimum() {
    let rig = with_rules(|rules| rules.min_notional = Money(50_000_000_000_000_000_000));
    assert_eq!(ask(&rig, &limit(X, Side::Buy, 10_000, 500)), Ok(()));
    let small = ask(&rig, &limit(X, Side::Buy, 10_000, 499));
    assert_eq!(small, denied(Gate::MinNotional, "49.9", "50"));
    // A market order is worth what it would hit: 0.499 x 100.01.
    let small = ask(&rig, &market(Side::Buy, 499));
    assert_eq!(small, denied(Gate::MinNotional, "49.90499", "50"));
}

/// Where there are no short positions, a sale needs what is held and not yet promised: 2 held, 1.5 on sale, 0.5 free.
#[test]
fn inventory_what_is_not_held_is_not_sold_where_it_has_to_be() {
    let mut rig = with_rules(|rules| rules.allows_short = false);
    let sell = |qty| limit(X, Side::Sell, 9_999, qty);
    assert_eq!(ask(&rig, &sell(1)), denied(Gate::Inventory, "0.001", "0"));
    assert_eq!(ask(&rig, &yardstick()), Ok(()));
    hold(&mut rig, ME, X, 2_000);
    assert_eq!(ask(&rig, &sell(2_000)), Ok(()));
    assert_eq!(
        ask(&rig, &sell(2_001)),
        denied(Gate::Inventory, "2.001", "2")
    );
    let on_sale = limit(X, Side::Sell, 11_000, 1_500);
    let order = work(&mut rig, NOON + MS, ME, &on_sale);
    assert_eq!(ask(&rig, &sell(500)), Ok(()));
    assert_eq!(
        ask(&rig, &sell(501)),
        denied(Gate::Inventory, "0.501", "0.5")
    );
    // What another strategy holds is not ours to sell, and a cancel that is under way may still be filled.
    let other = asked(&rig, OTHER, &sell(1), NOW);
    assert_eq!(other, denied(Gate::Inventory, "0.001", "0"));
    rig.cancel(NOON + MS, order);
    assert_eq!(
        ask(&rig, &sell(501)),
        denied(Gate::Inventory, "0.501", "0.5")
    );
    rig.heartbeat(NOON + 3 * MS);
    assert_eq!(ask(&rig, &sell(2_000)), Ok(()));
    // Where one may be short, so may this order.
    let elsewhere = limit(InstrumentId(1), Side::Sell, 9_999, 1);
    assert_eq!(ask(&rig, &elsewhere), Ok(()));
}

/// 102.02 is 201 bps through an ask of 100.01, and 97.98 is 201 bps through a bid of 99.99, rounded down both.
#[test]
fn price_collar_a_limit_price_is_not_far_through_the_book() {
    let rig = desk(|config| config.risk.price_collar_bps = 200);
    assert_eq!(ask(&rig, &limit(X, Side::Buy, 10_201, 1_000)), Ok(()));
    let buy = ask(&rig, &limit(X, Side::Buy, 10_203, 1_000));
    assert_eq!(buy, denied(Gate::PriceCollar, "201", "200"));
    let sell = ask(&rig, &limit(X, Side::Sell, 9_798, 1_000));
    assert_eq!(sell, denied(Gate::PriceCollar, "201", "200"));
    assert_eq!(ask(&rig, &limit(X, Side::Buy, 1, 1_000)), Ok(()));
}

#[test]
fn duplicate_the_same_order_does_not_go_out_again_within_the_window() {
    let mut rig = desk(|config| config.risk.duplicate_window_ms = 100);
    work(&mut rig, NOON, ME, &yardstick());
    assert_eq!(ask(&rig, &yardstick()), denied(Gate::Duplicate, "5", "100"));
    let other_price = limit(X, Side::Buy, 10_000, 1_000);
    assert_eq!(ask(&rig, &other_price), Ok(()));
    assert_eq!(ask(&rig, &exit()), Ok(()));
    assert_eq!(asked(&rig, OTHER, &yardstick(), NOW), Ok(()));
    assert_eq!(asked(&rig, ME, &yardstick(), NOON + 100 * MS), Ok(()));
    // An exit may be sent again: what works counts against what is held, so no further one sells too much.
    rig.heartbeat(NOON + MS);
    let at = rig.sequencer.last_stamp().0;
    work(&mut rig, at, ME, &limit(X, Side::Sell, 11_000, 400));
    let again = limit(X, Side::Sell, 11_000, 400);
    assert_eq!(asked(&rig, ME, &again, at), Ok(()));
    work(&mut rig, at, ME, &again);
    let third = asked(&rig, ME, &again, at);
    assert_eq!(third, denied(Gate::Duplicate, "0", "100"));
}

#[test]
fn unknown_outcome_blocks_new_risk_in_its_instrument_until_the_venue_proves_it() {
    let mut rig = desk(|_| {});
    hold(&mut rig, ME, X, 2_000);
    let order = work(&mut rig, NOON + MS, ME, &limit(X, Side::Buy, 9_000, 1_000));
    let report = |state| {
        Event::ExecutionReport(ExecutionReport {
            cause: Sequence(0),
            order,
            instrument: X,
            state,
            fill: None,
            reason: None,
        })
    };
    rig.input(NOON + MS, &report(OrderState::Unknown));
    let unknown = denied(Gate::UnknownOutcome, "1", "0");
    assert_eq!(ask(&rig, &yardstick()), unknown);
    assert_eq!(asked(&rig, OTHER, &yardstick(), NOW), unknown);
    assert_eq!(ask(&rig, &exit()), Ok(()));
    let elsewhere = limit(InstrumentId(1), Side::Buy, 10_001, 1_000);
    assert_eq!(ask(&rig, &elsewhere), Ok(()));
    rig.input(NOON + MS, &report(OrderState::Acked));
    assert_eq!(ask(&rig, &yardstick()), Ok(()));
}

#[test]
fn halted_reasons_are_a_set_and_each_stops_those_it_is_about() {
    let mut rig = desk(|_| {});
    hold(&mut rig, ME, X, 2_000);
    let mine = HaltReason::DailyLoss { strategy: ME };
    let halted = |count| denied(Gate::Halted, count, "0");
    halt(&mut rig, HaltReason::Operator, true);
    halt(&mut rig, mine, true);
    halt(&mut rig, HaltReason::DailyLoss { strategy: OTHER }, true);
    halt(&mut rig, HaltReason::Operator, true);
    assert_eq!(ask(&rig, &yardstick()), halted("2"));
    assert_eq!(ask(&rig, &exit()), Ok(()));
    halt(&mut rig, HaltReason::Operator, false);
    assert_eq!(ask(&rig, &yardstick()), halted("1"));
    halt(&mut rig, mine, false);
    assert_eq!(ask(&rig, &yardstick()), Ok(()));
    assert_eq!(asked(&rig, OTHER, &yardstick(), NOW), halted("1"));
    halt(
        &mut rig,
        HaltReason::IllegalMove { order: OrderId(9) },
        true,
    );
    assert_eq!(ask(&rig, &yardstick()), halted("1"));
}

#[test]
fn order_qty_is_limited() {
    let rig = limited(|limits| limits.max_order_qty = Some(Decimal::new(15, 1)));
    assert_eq!(ask(&rig, &limit(X, Side::Buy, 10_001, 1_500)), Ok(()));
    let large = ask(&rig, &limit(X, Side::Buy, 10_001, 1_501));
    assert_eq!(large, denied(Gate::OrderQty, "1.501", "1.5"));
}

#[test]
fn order_notional_is_limited() {
    let rig = limited(|limits| limits.max_order_notional = Some(Decimal::new(10_001, 2)));
    assert_eq!(ask(&rig, &yardstick()), Ok(()));
    let large = ask(&rig, &limit(X, Side::Buy, 10_001, 1_001));
    assert_eq!(large, denied(Gate::OrderNotional, "100.11001", "100.01"));
    // What can't be multiplied is too large as well.
    let absurd = check(
        rig.sequencer.desk(),
        rig.sequencer.market(),
        Nanos(NOW),
        ME,
        &market(Side::Buy, i64::MAX),
        &mut Vec::new(),
    );
    assert_eq!(absurd.unwrap().unwrap_err().gate, Gate::OrderNotional);
}

#[test]
fn open_orders_are_counted_in_each_scope() {
    let two = Limits {
        max_open_orders: Some(2),
        ..Limits::default()
    };
    let deep = |id, price| limit(InstrumentId(id), Side::Buy, price, 1_000);
    // Two orders of the other strategy in Y, and none of ours.
    let denied = denied(Gate::OpenOrders, "3", "2");
    let in_y = deep(1, 9_500);
    for (scope, x_passes, y_passes, z_passes) in [
        ("total", false, false, false),
        ("venue", false, false, true),
        ("strategy", true, true, true),
        ("instrument", true, false, true),
    ] {
        let mut rig = desk(|config| match scope {
            "total" => config.risk.total = two.clone(),
            "venue" => drop(config.risk.venues.insert("paper".into(), two.clone())),
            "strategy" => config.risk.each_strategy = two.clone(),
            _ => drop(
                config
                    .risk
                    .instruments
                    .insert("paper:Y".into(), two.clone()),
            ),
        });
        work(&mut rig, NOON, OTHER, &in_y);
        work(&mut rig, NOON, OTHER, &in_y);
        for (order, passes) in [
            (yardstick(), x_passes),
            (in_y, y_passes),
            (deep(2, 9_500), z_passes),
        ] {
            let expected = if passes { Ok(()) } else { denied };
            assert_eq!(ask(&rig, &order), expected, "{scope} {order:?}");
        }
        let mine_too = asked(&rig, OTHER, &in_y, NOW).is_ok();
        assert!(!mine_too, "{scope}");
    }
}

#[test]
fn order_rate_counts_the_last_second_in_its_scope() {
    let two = Limits {
        max_orders_per_second: Some(2),
        ..Limits::default()
    };
    let mut rig = desk(|config| {
        config.risk.each_strategy = two.clone();
        config
            .risk
            .instruments
            .insert("paper:Y".into(), two.clone());
    });
    work(&mut rig, NOON, ME, &limit(X, Side::Buy, 9_500, 1_000));
    work(&mut rig, NOON + MS, ME, &limit(X, Side::Buy, 9_500, 1_000));
    let fast = denied(Gate::OrderRate, "3", "2");
    assert_eq!(ask(&rig, &yardstick()), fast);
    // Those were in X and ours: neither Y's limit nor the other strategy's is reached.
    let in_y = limit(InstrumentId(1), Side::Buy, 10_001, 1_000);
    assert_eq!(asked(&rig, OTHER, &in_y, NOW), Ok(()));
    assert_eq!(asked(&rig, ME, &yardstick(), NOON + 1_000 * MS - 1), fast);
    assert_eq!(asked(&rig, ME, &yardstick(), NOON + 1_000 * MS), Ok(()));
}

#[test]
fn position_counts_what_is_held_and_all_that_works_on_the_side() {
    let mut rig = limited(|limits| limits.max_position = Some(Decimal::new(4, 0)));
    hold(&mut rig, ME, X, 2_000);
    assert_eq!(ask(&rig, &limit(X, Side::Buy, 10_001, 2_000)), Ok(()));
    work(&mut rig, NOON + MS, ME, &limit(X, Side::Buy, 9_500, 1_500));
    let large = ask(&rig, &limit(X, Side::Buy, 10_001, 501));
    assert_eq!(large, denied(Gate::Position, "4.001", "4"));
    assert_eq!(ask(&rig, &limit(X, Side::Buy, 10_001, 500)), Ok(()));
    // Selling 6.001 would turn a long of 2 into a short of 4.001.
    let flip = ask(&rig, &limit(X, Side::Sell, 9_999, 6_001));
    assert_eq!(flip, denied(Gate::Position, "4.001", "4"));
    assert_eq!(
        asked(&rig, OTHER, &limit(X, Side::Buy, 10_001, 4_000), NOW),
        Ok(())
    );
}

#[test]
fn open_positions_are_instruments_that_are_held_or_may_come_to_be() {
    let two = Limits {
        max_open_positions: Some(2),
        ..Limits::default()
    };
    let mut rig = desk(|config| config.risk.total = two);
    hold(&mut rig, ME, X, 1_000);
    // The other strategy's position in the same instrument is no further one.
    hold(&mut rig, OTHER, X, 1_000);
    let in_y = limit(InstrumentId(1), Side::Buy, 10_001, 1_000);
    let in_z = limit(InstrumentId(2), Side::Buy, 10_001, 1_000);
    assert_eq!(ask(&rig, &in_y), Ok(()));
    work(
        &mut rig,
        NOON + 2 * MS,
        ME,
        &limit(InstrumentId(1), Side::Buy, 9_500, 1_000),
    );
    assert_eq!(ask(&rig, &in_z), denied(Gate::OpenPositions, "3", "2"));
    assert_eq!(ask(&rig, &in_y), Ok(()));
    assert_eq!(ask(&rig, &yardstick()), Ok(()));
}

/// Held 2 at the bid: 199.98. A market buy of 1 at work: 100.01. The yardstick: 100.01. Together 400.
#[test]
fn gross_notional_counts_positions_and_working_orders_at_the_mark() {
    for (limit, expected) in [
        (Decimal::new(400, 0), Ok(())),
        (
            Decimal::new(39_999, 2),
            denied(Gate::GrossNotional, "400", "399.99"),
        ),
    ] {
        let mut rig = limited(|limits| limits.max_gross_notional = Some(limit));
        hold(&mut rig, ME, X, 2_000);
        work(&mut rig, NOON + MS, ME, &market(Side::Buy, 1_000));
        assert_eq!(ask(&rig, &yardstick()), expected);
    }
}

/// Instrument 3: a contract with cents and whole counts, quoted 0.89 to 0.91.
fn contract(edit: impl FnOnce(&mut Limits)) -> (Rig, InstrumentId) {
    let mut rig = limited(edit);
    let Event::InstrumentDefined(mut definition) = instrument(3, "paper", "C") else {
        unreachable!()
    };
    definition.instrument_type = InstrumentType::Binary;
    definition.decimals = Decimals { price: 2, qty: 0 };
    rig.input(NOON, &Event::InstrumentDefined(definition));
    let rules = TradingRules {
        max_price: Price(99),
        ..rules(3)
    };
    rig.input(NOON, &Event::TradingRules(rules));
    rig.input(NOON, &Event::FeeSchedule(Box::new(fees(3, 0, 0))));
    rig.quote_of(NOON, 3, (89, 1_000), (91, 1_000));
    (rig, InstrumentId(3))
}

/// Selling 100 contracts at 0.90 can lose 10, buying them 90: the limit of 10 holds for both.
#[test]
fn order_notional_of_a_contract_sold_is_what_it_can_lose() {
    let (mut rig, c) = contract(|limits| limits.max_order_notional = Some(Decimal::TEN));
    assert_eq!(ask(&rig, &limit(c, Side::Sell, 90, 100)), Ok(()));
    let large = ask(&rig, &limit(c, Side::Sell, 90, 101));
    assert_eq!(large, denied(Gate::OrderNotional, "10.1", "10"));
    let buy = ask(&rig, &limit(c, Side::Buy, 90, 100));
    assert_eq!(buy, denied(Gate::OrderNotional, "90", "10"));
    // At the bid of 0.89 a market order can lose 0.11 each.
    let market = Proposal {
        instrument: c,
        ..market(Side::Sell, 91)
    };
    assert_eq!(
        ask(&rig, &market),
        denied(Gate::OrderNotional, "10.01", "10")
    );
    // An exit loses nothing.
    take(&mut rig, ME, c, 1_000, 91);
    assert_eq!(ask(&rig, &limit(c, Side::Sell, 90, 1_000)), Ok(()));
}

/// 100 sold at 0.89, to buy back at 0.91: at risk 9. A sale of 100 at 0.95 at work: 5. A buy of 10 at 0.80 at work: 8. The
/// sale of 20 at 0.90 that is asked for: 2. Together 24.
#[test]
fn gross_notional_of_a_contract_counts_what_can_be_lost() {
    for (most, expected) in [
        (Decimal::new(24, 0), Ok(())),
        (
            Decimal::new(2_399, 2),
            denied(Gate::GrossNotional, "24", "23.99"),
        ),
    ] {
        let (mut rig, c) = contract(|limits| limits.max_gross_notional = Some(most));
        take(&mut rig, ME, c, -100, 89);
        let at = rig.sequencer.last_stamp().0;
        work(&mut rig, at, ME, &limit(c, Side::Sell, 95, 100));
        work(&mut rig, at, ME, &limit(c, Side::Buy, 80, 10));
        assert_eq!(ask(&rig, &limit(c, Side::Sell, 90, 20)), expected);
    }
    // 100 held at a bid of 0.89 are worth 89. A working sale of 40 of them opens nothing and counts at its price: 38. The
    // buy of 10 at 0.90 that is asked for: 9.
    let (mut rig, c) = contract(|limits| limits.max_gross_notional = Some(Decimal::ONE_HUNDRED));
    take(&mut rig, ME, c, 100, 91);
    let at = rig.sequencer.last_stamp().0;
    work(&mut rig, at, ME, &limit(c, Side::Sell, 95, 40));
    let buy = limit(c, Side::Buy, 90, 10);
    assert_eq!(ask(&rig, &buy), denied(Gate::GrossNotional, "136", "100"));
}

/// Bought 2 at 100.01 for a fee of 0.20002; at a bid of 99.49 the loss is 1.04 + 0.20002 = 1.24002.
#[test]
fn daily_loss_is_realised_and_open_loss_with_fees_in_its_scope() {
    let one = Limits {
        max_daily_loss: Some(Decimal::ONE),
        ..Limits::default()
    };
    let denied = denied(Gate::DailyLoss, "1.24002", "1");
    let in_z = limit(InstrumentId(2), Side::Buy, 10_001, 1_000);
    for (scope, mine_in_z, other_in_x) in [
        ("total", denied, denied),
        ("venue", Ok(()), denied),
        ("strategy", denied, Ok(())),
        ("instrument", Ok(()), denied),
    ] {
        let mut rig = desk(|config| match scope {
            "total" => config.risk.total = one.clone(),
            "venue" => drop(config.risk.venues.insert("paper".into(), one.clone())),
            "strategy" => config.risk.each_strategy = one.clone(),
            _ => drop(
                config
                    .risk
                    .instruments
                    .insert("paper:X".into(), one.clone()),
            ),
        });
        hold(&mut rig, ME, X, 2_000);
        rig.quote(NOON + 2 * MS, (9_949, 1_000), (9_951, 1_000));
        let order = limit(X, Side::Buy, 9_951, 1_000);
        assert_eq!(ask(&rig, &order), denied, "{scope}");
        assert_eq!(ask(&rig, &in_z), mine_in_z, "{scope}");
        assert_eq!(asked(&rig, OTHER, &order, NOW), other_in_x, "{scope}");
        // An exit is not blocked, an order that would turn the position round is.
        assert_eq!(
            ask(&rig, &limit(X, Side::Sell, 9_949, 2_000)),
            Ok(()),
            "{scope}"
        );
        assert_eq!(
            ask(&rig, &limit(X, Side::Sell, 9_949, 2_001)),
            denied,
            "{scope}"
        );
    }
}

#[test]
fn every_entry_breaker_lets_an_exit_pass() {
    let nothing = Limits {
        max_order_qty: Some(Decimal::ZERO),
        max_order_notional: Some(Decimal::ZERO),
        max_open_orders: Some(0),
        max_orders_per_second: Some(0),
        max_position: Some(Decimal::ZERO),
        max_open_positions: Some(0),
        max_gross_notional: Some(Decimal::ZERO),
        max_daily_loss: Some(Decimal::ZERO),
    };
    let mut rig = desk(|config| {
        config.risk.total = nothing.clone();
        config.risk.each_strategy = nothing;
    });
    hold(&mut rig, ME, X, 2_000);
    halt(&mut rig, HaltReason::Operator, true);
    assert_eq!(ask(&rig, &exit()), Ok(()));
    assert_eq!(ask(&rig, &market(Side::Sell, 2_000)), Ok(()));
    // With one exit at work, a second one may only take the rest.
    work(
        &mut rig,
        NOON + MS,
        ME,
        &limit(X, Side::Sell, 11_000, 1_500),
    );
    assert_eq!(ask(&rig, &limit(X, Side::Sell, 9_999, 500)), Ok(()));
    assert_eq!(
        ask(&rig, &limit(X, Side::Sell, 9_999, 501))
            .unwrap_err()
            .gate,
        Gate::Halted
    );
}

/// `order` as one of the alternatives of a group.
fn one_of(group: u64, alternative: u8, order: Proposal) -> Proposal {
    Proposal {
        one_of: Some(OneOf { group, alternative }),
        ..order
    }
}

/// Halted, 2 held. A stop-loss over 2 and a target over 2 are 2, because a fill of one cancels the other; a third order of
/// another group, or a second part of one of them, is more than is held.
#[test]
fn of_alternatives_that_reduce_a_position_the_largest_counts() {
    let mut rig = desk(|_| {});
    hold(&mut rig, ME, X, 2_000);
    halt(&mut rig, HaltReason::Operator, true);
    let halted = || denied(Gate::Halted, "1", "0");
    let target = |qty| limit(X, Side::Sell, 11_000, qty);
    let stop = |qty| Proposal {
        order_type: OrderType::Stop,
        ..limit(X, Side::Sell, 9_500, qty)
    };
    work(&mut rig, NOON + MS, ME, &one_of(7, 0, stop(2_000)));
    assert_eq!(
        ask(&rig, &target(1)),
        halted(),
        "no alternative of anything"
    );
    assert_eq!(
        ask(&rig, &one_of(8, 1, target(1))),
        halted(),
        "another group"
    );
    assert_eq!(
        ask(&rig, &one_of(7, 0, stop(1))),
        halted(),
        "the same alternative"
    );
    assert_eq!(ask(&rig, &one_of(7, 1, target(2_001))), halted());
    assert_eq!(ask(&rig, &one_of(7, 1, target(2_000))), Ok(()));
    let target = work(&mut rig, NOON + MS, ME, &one_of(7, 1, target(2_000)));
    assert_eq!(
        ask(&rig, &exit()),
        halted(),
        "all that is held is on its way out"
    );
    // A cancel that is under way may still be beaten by a fill; only what replaces the order in its group need not wait.
    rig.cancel(NOON + MS, target);
    assert_eq!(ask(&rig, &one_of(8, 0, exit())), halted());
    let other_target = one_of(7, 1, limit(X, Side::Sell, 10_900, 2_000));
    assert_eq!(ask(&rig, &other_target), Ok(()));
    let elsewhere = asked(&rig, OTHER, &one_of(7, 1, exit()), NOW);
    assert_eq!(
        elsewhere,
        halted(),
        "who holds nothing has nothing to leave"
    );
}

/// The stop-loss of a long position goes out while the sell entry's cancel is under way: that entry is no second sale.
#[test]
fn an_entry_that_is_taken_back_does_not_block_the_stop_loss() {
    let mut rig = desk(|_| {});
    let entry = Proposal {
        order_type: OrderType::Stop,
        ..limit(X, Side::Sell, 9_000, 2_000)
    };
    let entry = work(&mut rig, NOON, ME, &one_of(3, 1, entry));
    hold(&mut rig, ME, X, 500);
    halt(&mut rig, HaltReason::Operator, true);
    let stop = one_of(3, 2, limit(X, Side::Sell, 11_000, 500));
    assert_eq!(ask(&rig, &stop), denied(Gate::Halted, "1", "0"));
    rig.cancel(NOON + MS, entry);
    assert_eq!(ask(&rig, &stop), Ok(()));
    assert_eq!(
        ask(
            &rig,
            &Proposal {
                one_of: None,
                ..stop
            }
        ),
        denied(Gate::Halted, "1", "0")
    );
}

proptest! {
    /// Whatever works and whatever is held: an order that passes a halt never makes all orders of its side, each group of
    /// alternatives counted once, more than is held; and one that keeps within that always passes.
    #[test]
    fn no_exit_is_blocked_by_an_entry_breaker_and_no_more_passes_than_is_held(
        held in -4i64..=4,
        others in prop::collection::vec((1i64..3, any::<bool>(), prop::option::of((0u64..3, 0u8..2))), 0..5),
        (qty, buys, group) in (1i64..5, any::<bool>(), prop::option::of((0u64..3, 0u8..2))),
    ) {
        let nothing = Limits {
            max_order_qty: Some(Decimal::ZERO),
            max_order_notional: Some(Decimal::ZERO),
            max_open_orders: Some(0),
            max_orders_per_second: Some(0),
            max_position: Some(Decimal::ZERO),
            max_open_positions: Some(0),
            max_gross_notional: Some(Decimal::ZERO),
            max_daily_loss: Some(Decimal::ZERO),
        };
        let mut rig = desk(|config| {
            config.risk.total = nothing.clone();
            config.risk.each_strategy = nothing;
        });
        if held != 0 {
            hold(&mut rig, ME, X, held * 1_000);
        }
        halt(&mut rig, HaltReason::Operator, true);
        let order = |qty: i64, buys: bool, group: Option<(u64, u8)>| Proposal {
            one_of: group.map(|(group, alternative)| OneOf { group, alternative }),
            ..if buys {
                limit(X, Side::Buy, 9_900, qty * 1_000)
            } else {
                limit(X, Side::Sell, 10_100, qty * 1_000)
            }
        };
        let at = rig.sequencer.last_stamp().0;
        for (qty, buys, group) in &others {
            work(&mut rig, at, ME, &order(*qty, *buys, *group));
        }
        // The long way round: by group the larger of its two alternatives, the rest as they are.
        let all: Vec<_> = others.iter().copied().chain([(qty, buys, group)]).filter(|o| o.1 == buys).collect();
        let alone: i64 = all.iter().filter(|o| o.2.is_none()).map(|o| o.0).sum();
        let grouped: i64 = (0..3u64).map(|number| {
            let part = |which: u8| -> i64 {
                all.iter().filter(|o| o.2 == Some((number, which))).map(|o| o.0).sum()
            };
            part(0).max(part(1))
        }).sum();
        let reduces = held != 0 && (held < 0) == buys && alone + grouped <= held.abs();
        prop_assert_eq!(ask(&rig, &order(qty, buys, group)).is_ok(), reduces);
    }
}

/// The gates that `explain` lists are those that `check` asks, with the same verdict.
#[test]
fn an_explanation_has_every_gate_and_the_same_first_stop() {
    let mut config = quiet_session();
    config.risk.each_strategy.max_position = Some(Decimal::from(5));
    config.risk.total.max_order_notional = Some(Decimal::from(1_000));
    let mut rig = Rig::new(config);
    rig.quote(NOW, (9_990, 10_000), (10_010, 10_000));
    let (desk, market) = (rig.sequencer.desk(), rig.sequencer.market());
    for qty in [1_000, 6_000, 20_000, 0] {
        let order = limit(X, Side::Buy, 10_010, qty);
        let rows = explain(desk, market, Nanos(NOW), ME, &order).unwrap();
        let stop = rows.iter().find(|row| !row.passes);
        let checked = check(desk, market, Nanos(NOW), ME, &order, &mut Vec::new()).unwrap();
        match (checked, stop) {
            (Ok(()), None) => assert!(rows.iter().any(|row| row.gate == "position (strategy)")),
            (Err(denial), Some(row)) => {
                assert_eq!(row.gate.split(' ').next(), Some(denial.gate.name()));
                assert_eq!((row.value, row.limit), (denial.value, denial.limit));
                assert!(
                    rows.len() > 10,
                    "the gates after the first stop are there too"
                );
            }
            other => panic!("{qty}: {other:?}"),
        }
    }
}

/// 80 % of a limit is a warning on the tape, once a day.
#[test]
fn a_limit_that_is_nearly_used_up_is_warned_of_once_a_day() {
    let mut config = SessionConfig {
        strategies: vec![ema(
            "e",
            r#"{"fast": 1, "slow": 2, "qty": "4", "short": false, "retry_ms": 0}"#,
        )],
        ..SessionConfig::default()
    };
    config.risk.each_strategy.max_position = Some(Decimal::from(5));
    let mut rig = Rig::new(config);
    for step in 0..12 {
        let price = if step % 2 == 0 { 10_000 } else { 9_990 };
        rig.quote(NOW + step * 10 * MS, (price, 10_000), (price + 1, 10_000));
    }
    let warned: Vec<_> = rig
        .events()
        .into_iter()
        .filter_map(|(_, event)| match event {
            Event::LimitWarned(warned) => Some((warned.gate.clone(), warned.value, warned.limit)),
            _ => None,
        })
        .collect();
    assert!(rig.sequencer.desk().stats().orders > 2);
    let (four, five) = (Decimal::from(4), Decimal::from(5));
    assert_eq!(warned, [("position".into(), four, five)]);
}
