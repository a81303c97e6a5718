//! Stocks in the real sequencer with the real paper venue: days worked out by hand, and the traps.
use crate::common;
use crate::common::{MS, Rig, X, decoded, fees, frame, rules};
use onetape_engine::event::{
    Aggressor, Alarm, DailyBar, Event, ExecutionReport, FeeSchedule, Feed, FeedCondition,
    FeedState, InstrumentDefined, InstrumentType, IntentPromoted, IntentReceived, IntentState,
    MarketStatus, OperatorAction, OperatorCommand, SignalRaised, StaleReason, Trade, TradingDay,
    TradingStatus,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula};
use onetape_engine::id::{CurrencyId, InstrumentId, OrderId, Sequence, StrategyId};
use onetape_engine::number::{Decimals, Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side};
use onetape_engine::sequencer::{MemorySink, Sequencer};
use onetape_engine::session::{SessionConfig, StrategyConfig};
use onetape_engine::strategy::StrategyParams;
use onetape_engine::time::{DAY_NS, Nanos};
use proptest::prelude::*;
use rust_decimal::Decimal;

const SECOND: u64 = 1_000 * MS;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// The first trading day, which only warms up, and the one that trades.
const WARM_UP: i32 = 20_001;
const DAY: i32 = 20_002;

fn signals(params: &str) -> SessionConfig {
    let mut json = serde_json::Deserializer::from_str(params);
    let params = StrategyParams::read("signals", &mut json).unwrap().unwrap();
    SessionConfig {
        strategies: vec![StrategyConfig {
            id: "stocks".into(),
            params,
        }],
        ..SessionConfig::default()
    }
}

fn inside_bars(more: &str) -> SessionConfig {
    signals(&format!(
        r#"{{"symbols": ["paper:X"], "max_qty": 1000{more}}}"#
    ))
}

/// An instant of a day at local time, New York's offset in hours.
fn local(day: i32, offset_h: i64, hour: u64, minute: u64) -> u64 {
    let utc = day as i64 * DAY_NS as i64 - offset_h * HOUR as i64;
    utc as u64 + hour * HOUR + minute * MINUTE
}

fn at(hour: u64, minute: u64) -> u64 {
    local(DAY, -5, hour, minute)
}

fn trading_day(day: i32, offset_h: i64, closes: (u64, u64)) -> Event<'static> {
    Event::TradingDay(Box::new(TradingDay {
        calendar: "XNYS".into(),
        day,
        utc_offset_s: offset_h as i32 * 3_600,
        opens_at: Nanos(local(day, offset_h, 9, 30)),
        closes_at: Nanos(local(day, offset_h, closes.0, closes.1)),
    }))
}

fn stock(id: u32, symbol: &str) -> Event<'static> {
    Event::InstrumentDefined(Box::new(InstrumentDefined {
        instrument: InstrumentId(id),
        venue: "paper".into(),
        symbol: symbol.into(),
        instrument_type: InstrumentType::Equity,
        base: symbol.into(),
        quote: "USD".into(),
        decimals: Decimals { price: 2, qty: 0 },
    }))
}

/// A session with stock X, tick .01, whole shares, maker 5 bps and taker 10 bps, and the given days.
fn stocks(config: SessionConfig, days: &[Event<'_>]) -> Rig {
    let start = common::NOON;
    let mut rig = Rig::bare(config);
    rig.input(start, &stock(0, "X"));
    rig.input(start, &Event::TradingRules(rules(0)));
    rig.input(start, &Event::FeeSchedule(Box::new(fees(0, 500, 1_000))));
    for day in days {
        rig.input(start, day);
    }
    rig
}

fn quote(rig: &mut Rig, at: u64, bid: i64, ask: i64) {
    rig.quote(at, (bid, 5_000), (ask, 5_000));
}

/// Five minutes of trades, one a minute, and fresh quotes below and above every one.
fn bar(rig: &mut Rig, starts_at: u64, [open, high, low, close]: [i64; 4]) {
    for (minute, price) in [open, high, low, close, close].into_iter().enumerate() {
        let last = if minute == 4 { 57 } else { 1 };
        let at = starts_at + minute as u64 * MINUTE + last * SECOND;
        quote(rig, at, price - 1, price + 1);
        rig.trade(at, Aggressor::Buyer, price, 10);
    }
}

const CALM: [i64; 4] = [1030, 1040, 1020, 1030];
const MOTHER: [i64; 4] = [1010, 1049, 1001, 1040];
const INSIDE: [i64; 4] = [1025, 1040, 1020, 1035];

/// The warm-up day, 78 calm bars.
fn warm_up(rig: &mut Rig, offset_h: i64) {
    for place in 0..78 {
        bar(
            rig,
            local(WARM_UP, offset_h, 9, 30) + place * 5 * MINUTE,
            CALM,
        );
    }
}

/// The golden mother of 10.50 and 10.00 from 09:40 on: two calm bars, the mother, the inside bar that closes at 09:50.
/// Her extremes trade between quotes that do not reach them.
fn pattern(rig: &mut Rig, opens_at: u64) {
    bar(rig, opens_at, CALM);
    bar(rig, opens_at + 5 * MINUTE, CALM);
    let mother = opens_at + 10 * MINUTE;
    bar(rig, mother, MOTHER);
    rig.trade(mother + 298 * SECOND, Aggressor::Buyer, 1050, 10);
    rig.trade(mother + 298 * SECOND, Aggressor::Seller, 1000, 10);
    rig.trade(mother + 298 * SECOND, Aggressor::Seller, 1040, 10);
    bar(rig, opens_at + 15 * MINUTE, INSIDE);
    // Closes the inside bar.
    rig.heartbeat(opens_at + 20 * MINUTE);
}

fn two_days() -> [Event<'static>; 2] {
    [
        trading_day(WARM_UP, -5, (16, 0)),
        trading_day(DAY, -5, (16, 0)),
    ]
}

/// A day that has seen the pattern; its entries are on their way at 09:50.
fn with_pattern(config: SessionConfig) -> Rig {
    let mut rig = stocks(config, &two_days());
    warm_up(&mut rig, -5);
    pattern(&mut rig, at(9, 30));
    rig
}

fn raised(rig: &Rig) -> Vec<(u64, SignalRaised)> {
    let signal = |(at, event): (u64, Event<'_>)| match event {
        Event::SignalRaised(signal) => Some((at, *signal)),
        _ => None,
    };
    rig.events().into_iter().filter_map(signal).collect()
}

fn alarms(rig: &Rig) -> Vec<Alarm> {
    let alarm = |(_, event): (u64, Event<'_>)| match event {
        Event::AlarmRaised(alarm) => Some(alarm.alarm),
        _ => None,
    };
    rig.events().into_iter().filter_map(alarm).collect()
}

/// What stopped candidates, in order, since a time.
fn stopped(rig: &Rig, since: u64) -> Vec<(String, String, String)> {
    let gate = |(at, event): (u64, Event<'_>)| match event {
        Event::GateChanged(gate) if at >= since => {
            let name = gate.gate.clone()?;
            Some((
                name.into_owned(),
                gate.value.to_string(),
                gate.limit.to_string(),
            ))
        }
        _ => None,
    };
    rig.events().into_iter().filter_map(gate).collect()
}

/// Time, side, type, price and quantity of every order.
fn orders(rig: &Rig) -> Vec<(OrderId, u64, Side, OrderType, i64, i64)> {
    let frames = rig.frames().iter();
    let order = |kept: &common::Kept| match decoded(kept) {
        Event::OrderDecided(o) => Some((
            OrderId(kept.0.0),
            kept.1.0,
            o.side,
            o.order_type,
            o.price.0,
            o.qty.0,
        )),
        _ => None,
    };
    frames.filter_map(order).collect()
}

fn fills(rig: &Rig) -> Vec<(i64, i64)> {
    rig.fills()
        .iter()
        .map(|fill| (fill.price.0, fill.qty.0))
        .collect()
}

fn held(rig: &Rig) -> i64 {
    let position = rig.sequencer.desk().ledger().position(StrategyId(0), X);
    position.map_or(0, |position| position.qty.0)
}

fn profit(rig: &Rig) -> String {
    let ledger = rig.sequencer.desk().ledger();
    let equity = ledger.equity(StrategyId(0), CurrencyId(0), rig.sequencer.market());
    equity.unwrap().to_string()
}

fn working(rig: &Rig) -> usize {
    rig.sequencer.desk().orders().iter().count()
}

/// The inputs again give every frame again, and a run that goes on from a snapshot gives the rest of them.
fn decides_the_same_again(mut rig: Rig) {
    let hash = rig.sequencer.state_hash().unwrap();
    let frames = rig.frames().to_vec();
    let mut again = Sequencer::new(MemorySink::default());
    let mut folded = Sequencer::new(MemorySink::default());
    let begun = frames.len() - frames.len().min(60) / 2;
    let cut = frames[..begun].iter().rposition(|kept| kept.2.ends_step());
    let cut = cut.unwrap() + 1;
    for kept in frames.iter().filter(|kept| !kept.2.is_derived()) {
        again.step(kept.1, kept.2.kind(), &kept.3).unwrap();
    }
    assert!(again.sink().frames == frames, "the inputs decide otherwise");
    assert_eq!(again.state_hash().unwrap(), hash);
    for kept in &frames[..cut] {
        folded.fold(&frame(kept)).unwrap();
    }
    let snapshot = folded.snapshot().unwrap();
    let mut restored = Sequencer::restore(&snapshot, MemorySink::default()).unwrap();
    for kept in frames[cut..].iter().filter(|kept| !kept.2.is_derived()) {
        restored.step(kept.1, kept.2.kind(), &kept.3).unwrap();
    }
    assert!(
        restored.sink().frames == frames[cut..],
        "the snapshot decides otherwise"
    );
    assert_eq!(restored.state_hash().unwrap(), hash);
}

/// The golden trade. Equity 10,000 at 1 % risks 100; 10.50 to 10.10 is .40 a share: 250 shares either way. Bought at
/// 10.50 (fee 2,625.00 x 10 bps = 2.625), sold at the target 11.30 (fee 2,825.00 x 5 bps = 1.4125, for it rested):
/// 250 x .80 - 2.625 - 1.4125 = 195.9625.
#[test]
fn a_day_by_hand() {
    let mut rig = with_pattern(inside_bars(""));
    let signals = raised(&rig);
    assert_eq!(signals.len(), 2);
    let said: Vec<_> = signals
        .iter()
        .map(|(at, s)| {
            (
                *at,
                s.side,
                s.entry.0,
                s.stop_loss.0,
                s.target.0,
                s.qty.0,
                s.detector.as_str(),
            )
        })
        .collect();
    let (when, name) = (at(9, 50), "inside_bar 1.0.1");
    assert_eq!(said[0], (when, Side::Buy, 1050, 1010, 1130, 250, name));
    assert_eq!(said[1], (when, Side::Sell, 1000, 1040, 920, 250, name));
    let entries: Vec<_> = orders(&rig)
        .iter()
        .map(|o| (o.1, o.2, o.3, o.4, o.5))
        .collect();
    assert_eq!(
        entries,
        [
            (when, Side::Buy, OrderType::Stop, 1050, 250),
            (when, Side::Sell, OrderType::Stop, 1000, 250)
        ]
    );

    quote(&mut rig, at(9, 51), 1049, 1050);
    rig.heartbeat(at(9, 52));
    assert_eq!(held(&rig), 250);
    let protection: Vec<_> = orders(&rig)[2..]
        .iter()
        .map(|o| (o.2, o.3, o.4, o.5))
        .collect();
    assert_eq!(
        protection,
        [
            (Side::Sell, OrderType::Stop, 1010, 250),
            (Side::Sell, OrderType::Limit, 1130, 250)
        ]
    );
    assert_eq!(working(&rig), 2, "the sell entry is cancelled");

    quote(&mut rig, at(10, 5), 1130, 1131);
    rig.heartbeat(at(10, 6));
    assert_eq!(fills(&rig), [(1050, 250), (1130, 250)]);
    assert_eq!((held(&rig), working(&rig)), (0, 0));
    assert_eq!(profit(&rig), "195.9625");
    assert!(alarms(&rig).is_empty());
    rig.heartbeat(at(16, 30));
    assert_eq!((held(&rig), working(&rig), orders(&rig).len()), (0, 0, 4));
    decides_the_same_again(rig);
}

/// The golden trade at Interactive Brokers' fixed prices: .005 a share, at least 1.00 an order, at most 1 % of it. 250 shares
/// cost 1.25 each way: 200 - 2.50. The 100 that are the default's most cost the minimum: 100 x .80 - 2 x 1.00.
#[test]
fn a_day_by_hand_with_commissions_a_share() {
    for (more, left) in [("", "197.5"), (r#", "max_position_pct": 10.5"#, "78")] {
        let mut rig = stocks(inside_bars(more), &two_days());
        let formula = FeeFormula::PerUnit {
            rate: Decimal::new(5, 3),
            minimum: Decimal::ONE,
            maximum: Decimal::new(1, 2),
        };
        let schedule = FeeSchedule {
            effective_from: Nanos(common::NOON),
            maker: formula,
            taker: formula,
            accrual: FeeAccrual::PerOrder,
            ..fees(0, 0, 0)
        };
        rig.input(common::NOON, &Event::FeeSchedule(Box::new(schedule)));
        warm_up(&mut rig, -5);
        pattern(&mut rig, at(9, 30));
        quote(&mut rig, at(9, 51), 1049, 1050);
        rig.heartbeat(at(9, 52));
        quote(&mut rig, at(10, 5), 1130, 1131);
        rig.heartbeat(at(10, 6));
        assert_eq!((held(&rig), working(&rig)), (0, 0));
        assert_eq!(profit(&rig), left);
    }
}

/// Stopped out: bought at 10.50, the stop at 10.10 is reached and takes the bid of 10.09: 250 x -.41 = -102.5, fees
/// 2.625 and 250 x 10.09 x 10 bps = 2.5225.
#[test]
fn a_stop_loss_fills_at_what_the_market_gives() {
    let mut rig = with_pattern(inside_bars(""));
    quote(&mut rig, at(9, 51), 1049, 1050);
    quote(&mut rig, at(9, 55), 1009, 1012);
    rig.heartbeat(at(9, 56));
    assert_eq!(fills(&rig), [(1050, 250), (1009, 250)]);
    assert_eq!((held(&rig), working(&rig)), (0, 0));
    assert_eq!(profit(&rig), "-107.6475");
    assert!(alarms(&rig).is_empty());
}

#[test]
fn a_gap_through_the_level_fills_at_the_open() {
    let mut rig = with_pattern(inside_bars(""));
    quote(&mut rig, at(9, 51), 1062, 1063);
    rig.heartbeat(at(9, 52));
    assert_eq!(fills(&rig), [(1063, 250)]);
    let protection: Vec<_> = orders(&rig)[2..].iter().map(|o| (o.3, o.4)).collect();
    assert_eq!(
        protection,
        [(OrderType::Stop, 1010), (OrderType::Limit, 1130)],
        "as signalled"
    );
}

#[test]
fn entries_end_with_the_patterns_age_and_a_position_with_the_session() {
    // 12 bars after 09:50 is 10:50.
    let mut rig = with_pattern(inside_bars(""));
    rig.heartbeat(at(10, 49));
    assert_eq!(working(&rig), 2);
    rig.heartbeat(at(10, 51));
    assert_eq!((working(&rig), held(&rig)), (0, 0));

    let mut rig = with_pattern(inside_bars(""));
    quote(&mut rig, at(9, 51), 1049, 1050);
    quote(&mut rig, at(10, 59) + 59 * SECOND, 1070, 1072);
    rig.heartbeat(at(10, 59) + 59_900 * MS);
    assert_eq!(held(&rig), 250);
    rig.heartbeat(at(11, 1));
    assert_eq!(fills(&rig), [(1050, 250), (1070, 250)]);
    let exit = *orders(&rig).last().unwrap();
    assert_eq!(
        (exit.1, exit.3),
        (at(11, 0) + MS, OrderType::Market),
        "when the cancels are sure"
    );
    assert_eq!((held(&rig), working(&rig)), (0, 0));
    decides_the_same_again(rig);
}

/// The market is halted when the session ends: the exit is denied and tried again every second until it opens.
#[test]
fn an_exit_that_is_denied_is_tried_until_it_is_through() {
    let mut rig = with_pattern(inside_bars(""));
    quote(&mut rig, at(9, 51), 1049, 1050);
    let status = |status| {
        Event::MarketStatus(MarketStatus {
            instrument: X,
            status,
        })
    };
    rig.input(at(10, 59), &status(TradingStatus::Halted));
    rig.heartbeat(at(11, 0) + 3_500 * MS);
    assert_eq!(held(&rig), 250);
    let denied = |rig: &Rig| {
        let events = rig.events();
        let denied = events
            .iter()
            .filter(|(_, e)| matches!(e, Event::OrderDenied(_)));
        denied.map(|(at, _)| *at).collect::<Vec<_>>()
    };
    let sure = at(11, 0) + MS;
    assert_eq!(
        denied(&rig),
        (0..4).map(|s| sure + s * SECOND).collect::<Vec<_>>()
    );
    rig.input(at(11, 0) + 3_550 * MS, &status(TradingStatus::Open));
    quote(&mut rig, at(11, 0) + 3_600 * MS, 1060, 1061);
    rig.heartbeat(at(11, 1));
    assert_eq!(fills(&rig), [(1050, 250), (1060, 250)]);
    assert_eq!((held(&rig), working(&rig)), (0, 0));
}

#[test]
fn one_trade_a_session() {
    let mut rig = with_pattern(inside_bars(""));
    rig.heartbeat(at(10, 0));
    pattern(&mut rig, at(10, 0));
    assert_eq!(raised(&rig).len(), 2);
    assert!(
        stopped(&rig, at(10, 20)).is_empty(),
        "the gate is the one that stands since 09:55"
    );
    let earlier = stopped(&rig, at(9, 51));
    assert_eq!(
        earlier.first().map(|gate| gate.0.as_str()),
        Some("first_pattern")
    );
}

#[test]
fn both_entries_filled_ends_flat_and_is_called() {
    let mut rig = with_pattern(inside_bars(""));
    let then = at(9, 51);
    quote(&mut rig, then, 1049, 1050);
    // Half a millisecond later, before the cancel of the sell entry arrives.
    quote(&mut rig, then + MS / 2, 995, 996);
    assert_eq!(alarms(&rig), [Alarm::BothEntriesFilled]);
    for later in 1..10 {
        quote(&mut rig, then + later * SECOND, 995, 996);
    }
    assert_eq!((held(&rig), working(&rig)), (0, 0));
    let sum: i64 = rig.fills().len() as i64;
    assert!(sum >= 2);
    decides_the_same_again(rig);
}

#[test]
fn a_stop_that_the_gateway_rejects_leaves_at_the_market() {
    let mut rig = with_pattern(inside_bars(""));
    let then = at(9, 51);
    quote(&mut rig, then, 1049, 1050);
    let stop = orders(&rig)[2];
    assert_eq!(stop.3, OrderType::Stop);
    let rejected = ExecutionReport {
        cause: Sequence(0),
        order: stop.0,
        instrument: X,
        state: OrderState::Rejected,
        fill: None,
        reason: None,
    };
    rig.input(then + MS / 2, &Event::ExecutionReport(rejected));
    assert_eq!(alarms(&rig), [Alarm::Unprotected]);
    rig.heartbeat(then + SECOND);
    assert_eq!(fills(&rig), [(1050, 250), (1049, 250)]);
    assert_eq!((held(&rig), working(&rig)), (0, 0));
}

#[test]
fn a_halt_takes_entries_back_and_leaves_protection() {
    let halt = || {
        Event::OperatorCommand(Box::new(OperatorCommand {
            action: OperatorAction::Halt,
            note: "test".into(),
        }))
    };
    let mut rig = with_pattern(inside_bars(""));
    rig.heartbeat(at(9, 50) + SECOND);
    rig.input(at(9, 50) + 2 * SECOND, &halt());
    quote(&mut rig, at(9, 50) + 3 * SECOND, 1030, 1031);
    rig.heartbeat(at(9, 51));
    assert_eq!(working(&rig), 0);

    let mut rig = with_pattern(inside_bars(""));
    quote(&mut rig, at(9, 51), 1049, 1050);
    rig.heartbeat(at(9, 52));
    rig.input(at(9, 52) + SECOND, &halt());
    quote(&mut rig, at(9, 53), 1049, 1050);
    assert_eq!(working(&rig), 2, "stop-loss and target");
    quote(&mut rig, at(10, 59) + 59 * SECOND, 1060, 1062);
    rig.heartbeat(at(11, 1));
    assert_eq!(held(&rig), 0, "no halt keeps a position from being left");
}

/// The halt comes while the buy entry fills, before its cancel arrives: stop-loss and target stand both although their sum,
/// and the sell entry that is being taken back, are three times what is held. Then one fills and the other is cancelled.
#[test]
fn halted_stop_and_target_stand_both_and_sell_no_more_than_is_held() {
    for (last, price) in [((1130, 1131), 1130), ((1009, 1010), 1009)] {
        let mut rig = with_pattern(inside_bars(""));
        let then = at(9, 51);
        rig.heartbeat(then - SECOND);
        let halt = OperatorCommand {
            action: OperatorAction::Halt,
            note: "test".into(),
        };
        rig.input(then, &Event::OperatorCommand(Box::new(halt)));
        quote(&mut rig, then + MS / 2, 1049, 1050);
        assert_eq!(held(&rig), 250, "the fill beats the halt's cancel");
        rig.heartbeat(then + SECOND);
        let protection: Vec<_> = orders(&rig)[2..]
            .iter()
            .map(|o| (o.2, o.3, o.4, o.5))
            .collect();
        let stop = (Side::Sell, OrderType::Stop, 1010, 250);
        let target = (Side::Sell, OrderType::Limit, 1130, 250);
        assert_eq!(protection, [stop, target]);
        assert_eq!(working(&rig), 2);
        quote(&mut rig, then + MINUTE, last.0, last.1);
        rig.heartbeat(then + 2 * MINUTE);
        assert_eq!(fills(&rig), [(1050, 250), (price, 250)]);
        assert_eq!((held(&rig), working(&rig), orders(&rig).len()), (0, 0, 4));
        let denials = rig.events();
        let mut denials = denials.iter().map(|(_, event)| event);
        assert!(!denials.any(|event| matches!(event, Event::OrderDenied(_))));
        assert!(alarms(&rig).is_empty());
        decides_the_same_again(rig);
    }
}

/// A trade at 10.60 that happened in the mother bar comes while the inside bar is under way: the mother keeps the high
/// that was closed, no bar takes the price, and a pattern of a mother in doubt does not trade.
#[test]
fn a_late_trade_changes_no_bar_and_its_bar_no_mother() {
    for (late, trades) in [(true, false), (false, true)] {
        let mut rig = stocks(inside_bars(""), &two_days());
        warm_up(&mut rig, -5);
        let mother = at(9, 40);
        bar(&mut rig, at(9, 30), CALM);
        bar(&mut rig, at(9, 35), CALM);
        bar(&mut rig, mother, [1010, 1050, 1000, 1040]);
        let print = Trade {
            instrument: X,
            price: Price(if late { 1060 } else { 1045 }),
            qty: Qty(10),
            venue_time_ns: mother + 299 * SECOND,
            ..Trade::default()
        };
        rig.input(at(9, 45) + MS, &Event::Trade(&print));
        bar(&mut rig, at(9, 45), INSIDE);
        rig.heartbeat(at(9, 50));
        let closed: Vec<_> = rig
            .events()
            .iter()
            .filter_map(|(_, event)| match event {
                Event::BarClosed(bar) => Some((bar.high.0, bar.low.0)),
                _ => None,
            })
            .collect();
        assert_eq!(closed[closed.len() - 2..], [(1050, 1000), (1040, 1020)]);
        assert_eq!(raised(&rig).len(), if trades { 2 } else { 0 });
        if late {
            let gates = stopped(&rig, at(9, 50));
            assert_eq!(gates, [("late_trades".into(), "1".into(), "0".into())]);
        }
    }
}

/// New York has changed its clock (UTC-4) and Europe has not: the session begins at 13:30 UTC.
#[test]
fn the_week_between_two_clock_changes_trades_at_the_exchanges_hours() {
    let days = [
        trading_day(WARM_UP, -5, (16, 0)),
        trading_day(DAY, -4, (16, 0)),
    ];
    let mut rig = stocks(inside_bars(""), &days);
    warm_up(&mut rig, -5);
    let opens_at = local(DAY, -4, 9, 30);
    assert_eq!(opens_at % DAY_NS, 13 * HOUR + 30 * MINUTE);
    pattern(&mut rig, opens_at);
    assert_eq!(raised(&rig).len(), 2);
    assert_eq!(raised(&rig)[0].0 % DAY_NS, 13 * HOUR + 50 * MINUTE);
    // 11:00 in New York is 15:00 UTC, an hour before what it was.
    let mut rig = stocks(inside_bars(""), &days);
    warm_up(&mut rig, -5);
    for place in 0..18 {
        bar(&mut rig, opens_at + place * 5 * MINUTE, CALM);
    }
    pattern(&mut rig, local(DAY, -4, 11, 0));
    assert!(raised(&rig).is_empty());
    let outside = stopped(&rig, local(WARM_UP, -5, 11, 0));
    assert_eq!(outside[0].0, "session", "and that stands until the end:");
    assert!(stopped(&rig, local(DAY, -4, 11, 1)).is_empty());
}

/// A half day closes at 13:00: no afternoon, and a version whose window is the whole day leaves five seconds before.
#[test]
fn a_half_day_ends_at_one() {
    let days = [
        trading_day(WARM_UP, -5, (16, 0)),
        trading_day(DAY, -5, (13, 0)),
    ];
    let mut rig = stocks(inside_bars(r#", "version": "2.0.0""#), &days);
    warm_up(&mut rig, -5);
    // In 2.0.0 the inside bar lies within the mother's body: 10.02 to 10.48.
    bar(&mut rig, at(12, 40), CALM);
    assert_eq!(stopped(&rig, at(12, 44)).len(), 0);
    rig.heartbeat(at(12, 45));
    let missing = stopped(&rig, at(12, 45));
    assert_eq!(missing[0].0, "missing_bars", "the morning was not there");

    let mut rig = stocks(inside_bars(r#", "version": "2.0.0""#), &days);
    warm_up(&mut rig, -5);
    for place in 0..38 {
        bar(&mut rig, at(9, 30) + place * 5 * MINUTE, CALM);
    }
    bar(&mut rig, at(12, 40), [1002, 1050, 1000, 1048]);
    bar(&mut rig, at(12, 45), INSIDE);
    rig.heartbeat(at(12, 50));
    assert_eq!(raised(&rig).len(), 2);
    quote(&mut rig, at(12, 51), 1049, 1050);
    quote(&mut rig, at(12, 59) + 54 * SECOND, 1055, 1056);
    rig.heartbeat(at(13, 0));
    let exit = *orders(&rig).last().unwrap();
    assert_eq!(
        (exit.1, exit.3),
        (at(12, 59) + 55 * SECOND + MS, OrderType::Market)
    );
    assert_eq!(held(&rig), 0);

    let mut rig = stocks(inside_bars(""), &days);
    warm_up(&mut rig, -5);
    pattern(&mut rig, at(14, 0));
    assert!(raised(&rig).is_empty());
    assert_eq!(stopped(&rig, at(14, 0))[0].0, "trading_day");
}

#[test]
fn a_missing_minute_and_a_broken_feed_are_fatal_for_detection() {
    let run = |spoil: &dyn Fn(&mut Rig)| {
        let mut rig = stocks(inside_bars(""), &two_days());
        warm_up(&mut rig, -5);
        spoil(&mut rig);
        bar(&mut rig, at(9, 50), CALM);
        bar(&mut rig, at(9, 55), CALM);
        bar(&mut rig, at(10, 0), MOTHER);
        bar(&mut rig, at(10, 5), INSIDE);
        rig.heartbeat(at(10, 10));
        let gates = stopped(&rig, common::NOON);
        (raised(&rig).len(), gates.last().unwrap().0.clone())
    };
    let whole = |rig: &mut Rig| {
        for place in 0..4 {
            bar(rig, at(9, 30) + place * 5 * MINUTE, CALM);
        }
    };
    assert_eq!(run(&whole).0, 2);
    let minute = |rig: &mut Rig| {
        for place in [0, 1, 2] {
            bar(rig, at(9, 30) + place * 5 * MINUTE, CALM);
        }
        for minute in [45, 46, 47, 49] {
            rig.trade(at(9, minute) + SECOND, Aggressor::Buyer, 1030, 1);
        }
    };
    assert_eq!(run(&minute), (0, "missing_minutes".to_owned()));
    let interval = |rig: &mut Rig| {
        for place in [0, 1, 3] {
            bar(rig, at(9, 30) + place * 5 * MINUTE, CALM);
        }
    };
    assert_eq!(run(&interval), (0, "missing_bars".to_owned()));
    let feed = |rig: &mut Rig| {
        bar(rig, at(9, 30), CALM);
        let condition = FeedCondition::Stale(StaleReason::Disconnected);
        let broken = FeedState {
            instrument: X,
            feed: Feed::Trades,
            condition,
        };
        rig.input(at(9, 35), &Event::FeedState(Box::new(broken)));
        for place in 1..4 {
            bar(rig, at(9, 30) + place * 5 * MINUTE, CALM);
        }
    };
    assert_eq!(run(&feed), (0, "broken_feed".to_owned()));
}

#[test]
fn a_bar_that_touches_both_entries_is_flagged_where_bars_were_taken_apart() {
    for (data, flagged) in [("bars", true), ("ticks", false)] {
        let mut rig = with_pattern(inside_bars(&format!(r#", "data": "{data}""#)));
        let name = raised(&rig)[0].1.detector.clone();
        assert_eq!(name.ends_with(" by bars"), flagged);
        // The bar's path is made up: up first, then down. The worse way: bought, then stopped out.
        bar(&mut rig, at(9, 50), [1030, 1055, 995, 1000]);
        rig.heartbeat(at(9, 55));
        let gates = stopped(&rig, at(9, 55));
        assert_eq!(gates.iter().any(|gate| gate.0 == "ambiguous_bar"), flagged);
        assert_eq!(held(&rig), 0);
        assert!(profit(&rig).starts_with('-'));
    }
}

/// The account's guards stop a pattern, and say what they saw.
#[test]
fn guards_and_caps_stop_or_shrink_an_entry() {
    let rig = with_pattern(signals(r#"{"symbols": ["paper:X"]}"#));
    assert!(
        raised(&rig).iter().all(|(_, s)| s.qty.0 == 100),
        "100 shares a symbol by default"
    );
    let rig = with_pattern(inside_bars(r#", "max_gross_usd": 1000"#));
    let sizes: Vec<_> = raised(&rig).iter().map(|(_, s)| s.qty.0).collect();
    assert_eq!(
        sizes,
        [95, 100],
        "1,000 at the real prices of 10.50 and 10.00"
    );
    let rig = with_pattern(inside_bars(r#", "max_gross_usd": 5"#));
    assert!(raised(&rig).is_empty());
    assert_eq!(
        stopped(&rig, at(9, 50)),
        [("max_gross_usd".into(), "0".into(), "1".into())]
    );
    let days = [trading_day(WARM_UP, -5, (16, 0))];
    let mut rig = stocks(inside_bars(""), &days);
    warm_up(&mut rig, -5);
    pattern(&mut rig, at(9, 30));
    assert_eq!(
        stopped(&rig, at(9, 31))[0].0,
        "trading_day",
        "a day that nobody told of"
    );
}

/// By hand: 250 shares at 10.50 are 2,625 of 3,000; 100 at risk of the 1.2 % that are 120.
#[test]
fn caps_that_are_nearly_used_up_are_warned_of() {
    let more = r#", "max_gross_usd": 3000, "max_position_loss_pct": 1.2"#;
    let rig = with_pattern(inside_bars(more));
    assert_eq!(raised(&rig).len(), 2);
    let warned = |gate: &str, of: Option<&str>, value: &str, limit: &str| {
        let of = of.map(str::to_owned);
        (gate.to_owned(), of, value.to_owned(), limit.to_owned())
    };
    assert_eq!(
        rig.warned(),
        [
            warned("max_gross_usd", None, "2625", "3000"),
            warned("max_position_loss_pct", Some("paper:X"), "100", "120"),
        ]
    );
    assert!(with_pattern(inside_bars("")).warned().is_empty());
}

fn intents(more: &str) -> Rig {
    let config = signals(&format!(
        r#"{{"detector": "intents", "symbols": ["paper:X"]{more}}}"#
    ));
    stocks(config, &two_days())
}

const SENDS: &str = r#", "mode": "paper_send", "allow_send": true"#;

/// Buys 40 at a limit of 10.20, stop-loss 10.00, target 11.00.
fn intent(key: &str) -> IntentReceived {
    IntentReceived {
        key: key.into(),
        instrument: X,
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Price(1020),
        qty: Qty(40),
        stop_loss: Some(Price(1000)),
        target: Some(Price(1100)),
        replaces: None,
        client_tag: "test".into(),
    }
}

fn send(rig: &mut Rig, at: u64, intent: &IntentReceived) {
    quote(rig, at, 1030, 1031);
    rig.input(at, &Event::IntentReceived(Box::new(intent.clone())));
}

fn promote(rig: &mut Rig, at: u64, key: &str) {
    quote(rig, at, 1030, 1031);
    let promoted = IntentPromoted {
        key: key.into(),
        operator: "somebody".into(),
    };
    rig.input(at, &Event::IntentPromoted(Box::new(promoted)));
}

fn states(rig: &Rig) -> Vec<(String, IntentState, Option<String>)> {
    let change = |(_, event): (u64, Event<'_>)| match event {
        Event::IntentChanged(c) => Some((c.key.clone(), c.state, c.reason.clone().map(Into::into))),
        _ => None,
    };
    rig.events().into_iter().filter_map(change).collect()
}

fn state(key: &str, state: IntentState) -> (String, IntentState, Option<String>) {
    (key.into(), state, None)
}

fn refused(key: &str, reason: &str) -> (String, IntentState, Option<String>) {
    (key.into(), IntentState::Refused, Some(reason.into()))
}

#[test]
fn a_key_is_one_content() {
    let mut rig = intents("");
    let first = intent("a");
    send(&mut rig, at(10, 0), &first);
    send(&mut rig, at(10, 1), &first);
    send(
        &mut rig,
        at(10, 2),
        &IntentReceived {
            price: Price(1021),
            ..first
        },
    );
    use IntentState::{Duplicate, Pending, Planned};
    assert_eq!(
        states(&rig),
        [
            state("a", Pending),
            state("a", Planned),
            state("a", Duplicate),
            refused("a", "key_reused")
        ]
    );
    // The key stands for what it stood for, and plan-only sends nothing, released or not.
    promote(&mut rig, at(10, 3), "a");
    rig.heartbeat(at(10, 4));
    assert!(orders(&rig).is_empty());
    assert_eq!(states(&rig).len(), 4);
    assert_eq!(stopped(&rig, at(10, 0))[0].0, "mode");
}

#[test]
fn sending_needs_the_permission_and_a_release() {
    let run = |more: &str, release: bool| {
        let mut rig = intents(more);
        send(&mut rig, at(10, 0), &intent("a"));
        if release {
            promote(&mut rig, at(10, 1), "a");
        }
        let gate = stopped(&rig, at(10, 0)).last().map(|gate| gate.0.clone());
        (orders(&rig).len(), gate)
    };
    let stops = |gate: &str| (0, Some(gate.to_owned()));
    assert_eq!(
        run(r#", "mode": "paper_send", "auto_promote": true"#, true),
        stops("allow_send")
    );
    assert_eq!(
        run(r#", "allow_send": true, "auto_promote": true"#, true),
        stops("mode")
    );
    assert_eq!(run(SENDS, false), stops("released"));
    assert_eq!(run(SENDS, true).0, 1);
    assert_eq!(
        run(&format!(r#"{SENDS}, "auto_promote": true"#), false).0,
        1
    );
}

/// Bought at 10.20 resting (fee 408.00 x 5 bps = .204), sold at the target 11.00 (440.00 x 5 bps = .22):
/// 40 x .80 - .204 - .22 = 31.576.
#[test]
fn a_sent_intent_is_a_bracket() {
    let mut rig = intents(SENDS);
    send(&mut rig, at(10, 0), &intent("a"));
    promote(&mut rig, at(10, 1), "a");
    use IntentState::{Pending, Planned, Ready, Sent};
    assert_eq!(
        states(&rig),
        [
            state("a", Pending),
            state("a", Planned),
            state("a", Ready),
            state("a", Sent)
        ]
    );
    rig.heartbeat(at(10, 2));
    quote(&mut rig, at(10, 3), 1019, 1020);
    rig.heartbeat(at(10, 4));
    assert_eq!(held(&rig), 40);
    let protection: Vec<_> = orders(&rig)[1..]
        .iter()
        .map(|o| (o.2, o.3, o.4, o.5))
        .collect();
    assert_eq!(
        protection,
        [
            (Side::Sell, OrderType::Stop, 1000, 40),
            (Side::Sell, OrderType::Limit, 1100, 40)
        ]
    );
    quote(&mut rig, at(10, 5), 1100, 1101);
    rig.heartbeat(at(10, 6));
    assert_eq!((held(&rig), working(&rig)), (0, 0));
    assert_eq!(profit(&rig), "31.576");
    decides_the_same_again(rig);
}

#[test]
fn a_corrected_intent_is_sent_when_the_old_one_is_gone() {
    let mut rig = intents(&format!(r#"{SENDS}, "auto_promote": true"#));
    send(&mut rig, at(10, 0), &intent("a"));
    rig.heartbeat(at(10, 1));
    let corrected = IntentReceived {
        price: Price(1015),
        replaces: Some("a".into()),
        ..intent("b")
    };
    send(&mut rig, at(10, 2), &corrected);
    let sent: Vec<_> = orders(&rig).iter().map(|o| o.4).collect();
    assert_eq!(sent, [1020], "the cancel is under way");
    rig.heartbeat(at(10, 3));
    let sent: Vec<_> = orders(&rig).iter().map(|o| (o.1, o.4)).collect();
    assert_eq!(sent, [(at(10, 0), 1020), (at(10, 2) + MS, 1015)]);
    assert_eq!(working(&rig), 1);
    let replaced = states(&rig)
        .iter()
        .any(|s| *s == state("a", IntentState::Replaced));
    assert!(replaced);
    // Corrected a second time, or after a fill: refused.
    let again = IntentReceived {
        replaces: Some("a".into()),
        ..intent("c")
    };
    send(&mut rig, at(10, 4), &again);
    assert_eq!(states(&rig).last(), Some(&refused("c", "replaces_open")));
    quote(&mut rig, at(10, 5), 1014, 1015);
    rig.heartbeat(at(10, 6));
    let late = IntentReceived {
        replaces: Some("b".into()),
        ..intent("d")
    };
    send(&mut rig, at(10, 7), &late);
    assert_eq!(
        states(&rig).last(),
        Some(&refused("d", "replaces_unfilled"))
    );
    let unknown = IntentReceived {
        replaces: Some("z".into()),
        ..intent("e")
    };
    send(&mut rig, at(10, 8), &unknown);
    assert_eq!(states(&rig).last(), Some(&refused("e", "replaces_known")));
}

#[test]
fn what_can_not_be_an_order_is_refused_with_its_reason() {
    let mut rig = intents(&format!(r#"{SENDS}, "auto_promote": true"#));
    let cases = [
        (
            IntentReceived {
                price: Price(0),
                ..intent("a")
            },
            "price",
        ),
        (
            IntentReceived {
                qty: Qty(0),
                ..intent("b")
            },
            "qty",
        ),
        (
            IntentReceived {
                qty: Qty(101),
                ..intent("c")
            },
            "max_qty",
        ),
        (
            IntentReceived {
                stop_loss: Some(Price(1020)),
                ..intent("d")
            },
            "stop_loss_side",
        ),
        (
            IntentReceived {
                target: Some(Price(1010)),
                ..intent("e")
            },
            "target_side",
        ),
        (
            IntentReceived {
                side: Side::Sell,
                ..intent("f")
            },
            "stop_loss_side",
        ),
        (
            IntentReceived {
                order_type: OrderType::Stop,
                price: Price(0),
                ..intent("g")
            },
            "price",
        ),
    ];
    for (place, (intent, reason)) in cases.into_iter().enumerate() {
        send(&mut rig, at(10, place as u64), &intent);
        assert_eq!(states(&rig).last(), Some(&refused(&intent.key, reason)));
    }
    assert!(orders(&rig).is_empty());
}

#[test]
fn an_intent_of_the_night_is_sent_when_there_are_quotes() {
    let mut rig = intents(&format!(r#"{SENDS}, "auto_promote": true"#));
    send(&mut rig, local(WARM_UP, -5, 20, 0), &intent("a"));
    let gates = stopped(&rig, local(WARM_UP, -5, 20, 0));
    assert_eq!(
        gates.last().map(|gate| gate.0.as_str()),
        Some("market_hours")
    );
    quote(&mut rig, at(9, 30) + SECOND, 1030, 1031);
    rig.heartbeat(at(9, 31));
    assert_eq!(
        orders(&rig).iter().map(|o| o.1).collect::<Vec<_>>(),
        [at(9, 30) + 5 * SECOND]
    );
    // Unfilled at the close it is taken back: no order outlives its day.
    rig.heartbeat(at(16, 0));
    assert_eq!(working(&rig), 0);
}

fn days_of(rig: &mut Rig, id: u32, half_range: i64, last: [i64; 4]) {
    for place in 0..210 {
        let close = 5_800 + place * 20;
        let [open, high, low, close] = if place == 209 {
            last
        } else {
            [close - 5, close + half_range, close - half_range, close]
        };
        let bar = DailyBar {
            instrument: InstrumentId(id),
            day: WARM_UP - 209 + place as i32,
            open: Price(open),
            high: Price(high),
            low: Price(low),
            close: Price(close),
            volume: Qty(2_000_000),
        };
        rig.input(common::NOON, &Event::DailyBar(Box::new(bar)));
    }
}

/// X climbs, and on its last day falls from 104.00 to 100.00 (3.85 %): a buy limit at 96.50. Y climbs and jumps to 100.00
/// in a range of 1.2 %: a sell limit at 105.00. 10 % of 10,000 buys 10 at 96.50 and sells 9 at 105.00. X comes to 96.50
/// (965.00 x 5 bps = .4825) and leaves at the bid of 98.00 before the close (980.00 x 10 bps = .98):
/// 15.00 - .4825 - .98 = 13.5375.
#[test]
fn a_market_on_close_day_by_hand() {
    let config = signals(
        r#"{"detector": "rudometkin_moc", "symbols": ["paper:X", "paper:Y"], "sizing": "equity_pct"}"#,
    );
    let mut rig = stocks(config, &[]);
    rig.input(common::NOON, &stock(1, "Y"));
    rig.input(common::NOON, &Event::TradingRules(rules(1)));
    rig.input(
        common::NOON,
        &Event::FeeSchedule(Box::new(fees(1, 500, 1_000))),
    );
    days_of(&mut rig, 0, 10, [10_400, 10_450, 9_950, 10_000]);
    days_of(&mut rig, 1, 60, [9_970, 10_060, 9_960, 10_000]);
    for day in two_days() {
        rig.input(common::NOON + SECOND, &day);
    }
    quote(&mut rig, at(9, 30) + SECOND, 9_800, 9_802);
    rig.quote_of(at(9, 30) + SECOND, 1, (10_100, 100), (10_102, 100));
    rig.heartbeat(at(9, 31));
    let said: Vec<_> = raised(&rig)
        .iter()
        .map(|(at, s)| {
            (
                *at,
                s.instrument.0,
                s.side,
                s.entry.0,
                s.qty.0,
                s.detector.clone(),
            )
        })
        .collect();
    let (when, name) = (at(9, 30) + 5 * SECOND, "rudometkin_moc 1.0.0".to_owned());
    assert_eq!(
        said,
        [
            (when, 0, Side::Buy, 9_650, 10, name.clone()),
            (when, 1, Side::Sell, 10_500, 9, name)
        ]
    );
    assert!(orders(&rig).iter().all(|o| o.3 == OrderType::Limit));
    quote(&mut rig, at(10, 0), 9_649, 9_650);
    quote(&mut rig, at(15, 59) + 50 * SECOND, 9_800, 9_802);
    rig.heartbeat(at(15, 59) + 54 * SECOND);
    assert_eq!((held(&rig), working(&rig)), (10, 1));
    rig.heartbeat(at(16, 0));
    assert_eq!((held(&rig), working(&rig)), (0, 0));
    assert_eq!(fills(&rig), [(9_650, 10), (9_800, 10)]);
    assert_eq!(profit(&rig), "13.5375");
    assert!(alarms(&rig).is_empty());
    decides_the_same_again(rig);
}

#[test]
fn no_daily_bar_of_the_day_before_no_trade() {
    let config = signals(
        r#"{"detector": "rudometkin_moc", "symbols": ["paper:X"], "sizing": "equity_pct"}"#,
    );
    let mut rig = stocks(config, &[]);
    days_of(&mut rig, 0, 10, [10_400, 10_450, 9_950, 10_000]);
    for day in [WARM_UP, WARM_UP + 1, WARM_UP + 2] {
        rig.input(common::NOON + SECOND, &trading_day(day, -5, (16, 0)));
    }
    let second = local(WARM_UP + 2, -5, 9, 30);
    quote(&mut rig, second + SECOND, 9_800, 9_802);
    rig.heartbeat(second + MINUTE);
    assert!(raised(&rig).iter().all(|(at, _)| *at < second));
    let gates = stopped(&rig, second);
    assert_eq!(
        gates[0],
        (
            "daily_bar".to_owned(),
            "20001".to_owned(),
            "20002".to_owned()
        )
    );
}

/// Wide bars and narrow ones that often lie within them.
fn random_bar() -> impl Strategy<Value = [i64; 4]> {
    let shape = prop_oneof![
        (1_000i64..1_020, 20i64..40, 0i64..8),
        (1_010i64..1_030, 6i64..12, 0i64..6),
    ];
    (shape, any::<bool>()).prop_map(|((low, body, tails), up)| {
        let (bottom, top) = (low + tails, low + tails + body);
        let (open, close) = if up { (bottom, top) } else { (top, bottom) };
        [open, top + tails, low, close]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any day: one pair of signals in a window at the most, sizes within every cap, stop-loss and target on their sides,
    /// and nothing held or working when the exchange has closed.
    #[test]
    fn any_day_keeps_its_bounds(
        bars in prop::collection::vec(random_bar(), 78),
        version in prop::sample::select(vec!["1.0.0", "1.0.1", "1.0.2", "2.0.0"]),
        max_qty in 1i64..400,
        max_gross in 1_000i64..6_000,
    ) {
        let config = signals(&format!(
            r#"{{"symbols": ["paper:X"], "version": "{version}", "max_qty": {max_qty}, "max_gross_usd": {max_gross}}}"#
        ));
        let mut rig = stocks(config, &two_days());
        warm_up(&mut rig, -5);
        for (place, prices) in bars.into_iter().enumerate() {
            bar(&mut rig, at(9, 30) + place as u64 * 5 * MINUTE, prices);
        }
        rig.heartbeat(at(17, 0));
        prop_assert_eq!((held(&rig), working(&rig)), (0, 0));
        let afternoon = at(13, 0);
        let signals = raised(&rig);
        for side in [Side::Buy, Side::Sell] {
            let times = signals.iter().filter(|(_, s)| s.side == side).map(|(at, _)| *at);
            let windows: Vec<_> = times.map(|at| version != "2.0.0" && at > afternoon).collect();
            prop_assert!(windows.len() <= 2 && windows.windows(2).all(|pair| pair[0] != pair[1]));
        }
        for (_, s) in &signals {
            let sign = s.side.sign();
            prop_assert!((s.entry.0 - s.stop_loss.0) * sign > 0 && (s.target.0 - s.entry.0) * sign > 0);
            prop_assert!(s.qty.0 > 0 && s.qty.0 <= max_qty);
            prop_assert!(s.qty.0 * s.entry.0 <= max_gross * 100);
            // 1 % of the equity, which may have grown by an earlier trade of the day.
            prop_assert!(s.qty.0 * (s.entry.0 - s.stop_loss.0).abs() <= 12_000);
        }
    }
}

/// What the property above is worth: such days do have trades.
#[test]
fn random_days_are_eventful() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut pairs, mut filled) = (0, 0);
    for _ in 0..40 {
        let bars = prop::collection::vec(random_bar(), 78)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let mut rig = stocks(inside_bars(""), &two_days());
        warm_up(&mut rig, -5);
        for (place, prices) in bars.into_iter().enumerate() {
            bar(&mut rig, at(9, 30) + place as u64 * 5 * MINUTE, prices);
        }
        pairs += raised(&rig).len() / 2;
        filled += usize::from(!rig.fills().is_empty());
    }
    assert!(pairs > 15 && filled > 10, "{pairs} {filled}");
}
