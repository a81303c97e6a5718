//! Bars of trades, in event time.
use crate::common;
use crate::common::{MS, NOON, Rig, X, ema};
use onetape_engine::event::{Aggressor, BarClosed, Event};
use onetape_engine::id::{InstrumentId, Sequence};
use onetape_engine::number::{Price, Qty};
use onetape_engine::sequencer::Sequencer;
use onetape_engine::session::SessionConfig;

const SECOND: u64 = 1_000 * MS;

fn with_bars(seconds: &[u64]) -> Rig {
    let strategy = |seconds: &u64| {
        let params = format!(
            r#"{{"source": "bars", "instrument": "paper:X", "bar_s": {seconds}, "slow": 1000}}"#
        );
        ema(&format!("every {seconds} s"), &params)
    };
    let strategies = seconds.iter().map(strategy).collect();
    Rig::new(SessionConfig {
        strategies,
        ..SessionConfig::default()
    })
}

fn bars(rig: &Rig) -> Vec<(u64, BarClosed)> {
    let bar = |(at, event): (u64, Event<'_>)| match event {
        Event::BarClosed(bar) => Some((at - NOON, bar)),
        _ => None,
    };
    rig.events().into_iter().filter_map(bar).collect()
}

fn trade(rig: &mut Rig, at: u64, price: i64, qty: i64) {
    rig.trade(NOON + at, Aggressor::Buyer, price, qty);
}

#[test]
fn a_bar_closes_at_the_end_of_its_interval_and_before_the_input_that_passed_it() {
    let mut rig = with_bars(&[1]);
    for (at, price) in [(10, 100), (20, 103), (30, 98), (999, 101)] {
        trade(&mut rig, at * MS, price, 5);
    }
    let first = Sequence(rig.sequencer.next_sequence().0 - 4);
    trade(&mut rig, 1_500 * MS, 200, 1);
    let bar = BarClosed {
        cause: first,
        instrument: InstrumentId(0),
        interval_ns: SECOND,
        open: Price(100),
        high: Price(103),
        low: Price(98),
        close: Price(101),
        volume: Qty(20),
    };
    assert_eq!(bars(&rig), [(SECOND, bar)]);
    let order: Vec<_> = rig
        .events()
        .iter()
        .rev()
        .take(2)
        .map(|(_, e)| e.kind().name())
        .collect();
    assert_eq!(order, ["trade", "bar_closed"]);
}

#[test]
fn an_interval_without_a_trade_has_no_bar() {
    let mut rig = with_bars(&[1]);
    trade(&mut rig, 100 * MS, 100, 1);
    trade(&mut rig, 7_200 * MS, 110, 1);
    rig.heartbeat(NOON + 60 * SECOND);
    let closed: Vec<_> = bars(&rig)
        .iter()
        .map(|(at, bar)| (*at, bar.close.0))
        .collect();
    assert_eq!(closed, [(SECOND, 100), (8 * SECOND, 110)]);
}

#[test]
fn a_trade_on_the_boundary_belongs_to_the_next_bar() {
    let mut rig = with_bars(&[1]);
    trade(&mut rig, SECOND - 1, 100, 1);
    trade(&mut rig, SECOND, 110, 1);
    rig.heartbeat(NOON + 2 * SECOND);
    let closed: Vec<_> = bars(&rig)
        .iter()
        .map(|(at, bar)| (*at, bar.open.0))
        .collect();
    assert_eq!(closed, [(SECOND, 100), (2 * SECOND, 110)]);
}

#[test]
fn two_lengths_close_in_the_order_of_their_ends_and_one_length_is_built_once() {
    let mut rig = with_bars(&[2, 3]);
    trade(&mut rig, 100 * MS, 100, 1);
    trade(&mut rig, 2_100 * MS, 101, 1);
    rig.heartbeat(NOON + 10 * SECOND);
    let closed: Vec<_> = bars(&rig)
        .iter()
        .map(|(at, bar)| (at / SECOND, bar.interval_ns / SECOND))
        .collect();
    assert_eq!(closed, [(2, 2), (3, 3), (4, 2)]);

    let strategies = ["one", "two"].map(|id| {
        ema(
            id,
            r#"{"source": "bars", "instrument": "paper:X", "bar_s": 1, "slow": 1000}"#,
        )
    });
    let mut rig = Rig::new(SessionConfig {
        strategies: strategies.into(),
        ..SessionConfig::default()
    });
    trade(&mut rig, 100 * MS, 100, 1);
    rig.heartbeat(NOON + SECOND);
    assert_eq!(bars(&rig).len(), 1);
}

#[test]
fn quotes_and_impossible_trades_are_not_in_a_bar() {
    let mut rig = with_bars(&[1]);
    rig.quote(NOON, (90, 1), (110, 1));
    trade(&mut rig, MS, 0, 5);
    trade(&mut rig, MS, 100, -5);
    rig.heartbeat(NOON + SECOND);
    assert!(bars(&rig).is_empty());
}

/// An instrument may be known before the session that wants its bars.
#[test]
fn bars_of_an_instrument_that_was_defined_before_the_session_are_built() {
    let mut rig = Rig {
        sequencer: Sequencer::new(Default::default()),
    };
    rig.input(NOON, &common::instrument(0, "paper", "X"));
    let strategy = ema(
        "e",
        r#"{"source": "bars", "instrument": "paper:X", "bar_s": 1}"#,
    );
    rig.start(SessionConfig {
        strategies: vec![strategy],
        ..SessionConfig::default()
    });
    trade(&mut rig, MS, 100, 1);
    rig.heartbeat(NOON + SECOND);
    assert_eq!(bars(&rig)[0].1.instrument, X);
}

#[test]
fn a_bar_that_nothing_scheduled_is_refused() {
    let mut rig = with_bars(&[1]);
    trade(&mut rig, MS, 100, 1);
    rig.heartbeat(NOON + SECOND);
    let (_, bar) = bars(&rig)[0];
    let sequence = rig.sequencer.next_sequence().0;
    let frame = onetape_journal::Frame {
        sequence,
        timestamp_ns: NOON + SECOND,
        tag: onetape_journal::Tag::derived(Event::BarClosed(bar).kind().number()),
        payload: &common::encoded(&Event::BarClosed(bar)),
    };
    let refused = rig.sequencer.fold(&frame).unwrap_err().to_string();
    assert!(refused.contains("nothing scheduled"), "{refused}");
}

/// A trade whose own time lies in a closed interval is left out of every bar, for each length on its own.
#[test]
fn a_late_trade_is_in_no_bar_that_is_closed_and_in_none_that_began_after_it() {
    use onetape_engine::event::Trade;
    let mut rig = with_bars(&[1, 4]);
    let mut print = |at: u64, happened: u64, price: i64| {
        let trade = Trade {
            instrument: X,
            price: Price(price),
            qty: Qty(1),
            venue_time_ns: NOON + happened,
            ..Trade::default()
        };
        rig.input(NOON + at, &Event::Trade(&trade));
    };
    print(500 * MS, 490 * MS, 100);
    print(SECOND + 40 * MS, 990 * MS, 500);
    print(SECOND + 50 * MS, SECOND, 101);
    // A venue's clock may be ahead of ours: the receipt counts.
    print(SECOND + 60 * MS, 2 * SECOND, 102);
    rig.heartbeat(NOON + 10 * SECOND);
    let closed: Vec<_> = bars(&rig)
        .iter()
        .map(|(at, bar)| (at / SECOND, bar.high.0, bar.volume.0))
        .collect();
    assert_eq!(closed, [(1, 100, 1), (2, 102, 2), (4, 500, 4)]);
}

/// New York opens at 09:30, UTC-5 or UTC-4: its own bars of 1, 5, 15 and 30 minutes begin where those from the epoch do.
#[test]
fn session_bars_of_whole_and_half_hours_are_cut_at_the_epochs_intervals() {
    use onetape_engine::time::Nanos;
    for offset_h in [4, 5] {
        let opens = 20_001 * 86_400 * SECOND + (9 + offset_h) * 3_600 * SECOND + 1_800 * SECOND;
        for minutes in [1u64, 5, 15, 30] {
            let interval = minutes * 60 * SECOND;
            assert_eq!(
                Nanos(opens).next_multiple(interval),
                Nanos(opens + interval)
            );
        }
    }
}
