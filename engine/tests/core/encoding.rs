//! Every event reads back as it was written, and no bytes make the core panic.
use crate::common::world::world;
use crate::common::{MS, NOON, Rig, X, decoded, encoded, frame, quiet_session, rules, samples};
use onetape_engine::error::DecodeError;
use onetape_engine::event::{
    Event, ExecutionReport, Fill, Heartbeat, Kind, Liquidity, Resolution, StepClosed, TickBand,
    TimerFired, TimerSet, TradingRules,
};
use onetape_engine::id::{OrderId, Sequence, StrategyId};
use onetape_engine::number::{Money, Price, Qty};
use onetape_engine::order::OrderState;
use onetape_engine::sequencer::{MemorySink, Sequencer};
use onetape_engine::session::{SessionConfig, StrategyConfig};
use onetape_engine::time::Nanos;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn round_trips(event: &Event<'_>) -> Result<(), TestCaseError> {
    let bytes = encoded(event);
    let again = Event::decode(event.kind().number(), &bytes).unwrap();
    prop_assert_eq!(format!("{event:?}"), format!("{again:?}"));
    prop_assert_eq!(encoded(&again), bytes);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_of_any_tape_reads_back_as_it_was_written(world in world(true)) {
        for kept in &world.run().sink().frames {
            round_trips(&decoded(kept))?;
        }
    }

    /// A session's config survives both encodings: named on the tape, as an array in a snapshot.
    #[test]
    fn a_config_round_trips_through_both_encodings(world in world(false)) {
        let named = rmp_serde::to_vec_named(&world.config).unwrap();
        prop_assert_eq!(&rmp_serde::from_slice::<SessionConfig>(&named).unwrap(), &world.config);
        let compact = rmp_serde::to_vec(&world.config).unwrap();
        prop_assert_eq!(&rmp_serde::from_slice::<SessionConfig>(&compact).unwrap(), &world.config);
        for strategy in &world.config.strategies {
            let compact = rmp_serde::to_vec(strategy).unwrap();
            prop_assert_eq!(&rmp_serde::from_slice::<StrategyConfig>(&compact).unwrap(), strategy);
        }
    }

    /// Bytes flipped, cut and put in: each kind is refused or read, and a core that reads it goes on or refuses it.
    #[test]
    fn a_damaged_frame_is_refused_or_taken_but_never_a_panic(
        world in world(true),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..40),
    ) {
        let frames = world.run().sink().frames.clone();
        for (which, place, byte, how) in damage {
            let at = which.index(frames.len());
            let mut kept = frames[at].clone();
            let place = place.index(kept.3.len() + 1).min(kept.3.len().saturating_sub(1));
            match how {
                _ if kept.3.is_empty() => kept.3.push(byte),
                0 => kept.3.truncate(place),
                1 => kept.3.insert(place, byte),
                _ => kept.3[place] = byte,
            }
            let mut core = Sequencer::new(MemorySink::default());
            for good in &frames[at.saturating_sub(50).min(at)..at] {
                // From the middle most frames can't be folded; from the start all can.
                let _ = core.fold(&frame(good));
            }
            if at < 60 {
                let mut core = Sequencer::new(MemorySink::default());
                frames[..at].iter().for_each(|good| core.fold(&frame(good)).unwrap());
                let _ = core.fold(&frame(&kept));
                let _ = core.state_hash();
            }
            let _ = Event::decode(kept.2.kind(), &kept.3);
        }
    }

    #[test]
    fn random_bytes_of_any_kind_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for kind in Kind::ALL {
            let _ = Event::decode(kind.number(), &bytes);
        }
        let _ = Sequencer::restore(&bytes, MemorySink::default()).map(drop);
    }

    /// Inputs of any numbers at all, in front of strategies that trade: taken or refused.
    #[test]
    fn hostile_numbers_are_no_panic(
        world in world(false),
        inputs in prop::collection::vec((0u8..8, prop::collection::vec(hostile(), 6)), 1..30),
    ) {
        let mut core = Rig { sequencer: world.run() };
        let at = core.sequencer.last_stamp().0;
        for (step, (kind, n)) in inputs.into_iter().enumerate() {
            let at = at + step as u64 * MS;
            let taken = match kind {
                0 | 1 => core.try_quote(at, (n[0], n[1]), (n[2], n[3])),
                2 => core.try_trade(at, n[0], n[1]),
                3 | 4 => core.try_update(at, kind == 3, &[(n[0], n[1])], &[(n[2], n[3]), (n[4], n[5])]),
                5 => core.try_input(at, &hostile_rules(&n)),
                6 => core.try_input(at, &hostile_report(&core, &n)),
                _ => core.try_input(at, &Event::Resolution(Resolution { instrument: X, settlement_price: Price(n[0]) })),
            };
            if taken.is_err() {
                break;
            }
        }
    }
}

fn hostile_rules(n: &[i64]) -> Event<'static> {
    Event::TradingRules(TradingRules {
        tick_size: Price(n[0]),
        lot_size: Qty(n[1]),
        min_qty: Qty(n[2]),
        min_notional: Money(i128::from(n[3]) << 63),
        min_price: Price(n[4]),
        max_price: Price(n[5]),
        bands: vec![
            TickBand {
                from: Price(n[2]),
                tick: Price(n[3]),
            };
            usize::from(n[4] % 2 == 0)
        ],
        ..rules(0)
    })
}

/// A fill of an order at work, or of one that never was.
fn hostile_report(core: &Rig, n: &[i64]) -> Event<'static> {
    let first = core.sequencer.desk().orders().iter().next();
    Event::ExecutionReport(ExecutionReport {
        cause: Sequence(0),
        order: first.map_or(OrderId(n[0] as u64), |order| order.id),
        instrument: first.map_or(X, |order| order.instrument),
        state: OrderState::PartiallyFilled,
        fill: Some(Fill {
            fill_id: n[1] as u64,
            price: Price(n[2]),
            qty: Qty(n[3]),
            fee: Money(i128::from(n[4]) << 60),
            liquidity: if n[5] > 0 {
                Liquidity::Taker
            } else {
                Liquidity::Maker
            },
        }),
        reason: None,
    })
}

/// Numbers at and near every edge.
fn hostile() -> impl proptest::strategy::Strategy<Value = i64> {
    let edges = [
        i64::MIN,
        i64::MIN + 1,
        i64::MIN / 2,
        -1,
        0,
        1,
        i64::MAX / 1_000_000,
        i64::MAX / 3,
        i64::MAX / 2,
        i64::MAX - 1,
        i64::MAX,
    ];
    prop_oneof![
        3 => prop::sample::select(edges.to_vec()),
        1 => any::<i64>(),
        2 => 9_900i64..10_100,
    ]
}

#[test]
fn random_worlds_and_samples_hold_every_kind() {
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut kinds = BTreeSet::new();
    for _ in 0..100 {
        let run = world(true).new_tree(&mut runner).unwrap().current().run();
        kinds.extend(run.sink().frames.iter().map(|kept| decoded(kept).kind()));
    }
    // The strategies of random worlds set no timers and know no facts, and steps are closed by recovery alone.
    let cause = Sequence(7);
    let mut others = samples::facts();
    others.extend(samples::records());
    others.extend([
        Event::TimerSet(TimerSet {
            cause,
            strategy: StrategyId(1),
            due: Nanos(NOON),
            token: u64::MAX,
        }),
        Event::TimerFired(TimerFired {
            cause,
            strategy: StrategyId(1),
            token: u64::MAX,
        }),
        Event::StepClosed(StepClosed {
            cause,
            logic_hash: "0".repeat(16),
        }),
    ]);
    for event in others {
        assert_eq!(event.check(), Ok(()));
        round_trips(&event).unwrap();
        kinds.insert(event.kind());
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), Kind::ALL);
}

#[test]
fn a_fixed_layout_of_another_size_is_refused() {
    for kind in [
        Kind::Quote,
        Kind::Trade,
        Kind::BookSnapshot,
        Kind::BookDelta,
    ] {
        let refused = Event::decode(kind.number(), &[0; 47]).map(|event| event.kind());
        assert_eq!(
            refused,
            Err(DecodeError::WrongSize {
                kind: kind.name(),
                found: 47
            })
        );
    }
    // A header that counts more levels than there are.
    let mut payload = vec![0u8; 64];
    payload[4..12].fill(0xff);
    assert!(Event::decode(Kind::BookDelta.number(), &payload).is_err());
}

#[test]
fn a_kind_that_this_version_does_not_know_is_refused_before_it_is_on_the_tape() {
    let mut rig = Rig::new(quiet_session());
    let next = rig.sequencer.next_sequence();
    assert!(rig.sequencer.step(Nanos(NOON), 999, &[]).is_err());
    assert!(
        rig.sequencer
            .step(Nanos(NOON), Kind::Heartbeat.number(), &[0xc1])
            .is_err()
    );
    assert_eq!(rig.sequencer.next_sequence(), next);
}

#[test]
fn a_derived_frame_is_no_input_and_an_input_is_not_derived() {
    let mut rig = Rig::new(quiet_session());
    rig.book(NOON, &[(9_999, 1)], &[(10_001, 1)]);
    rig.market(NOON, onetape_engine::order::Side::Buy, 1);
    rig.heartbeat(NOON + MS);
    let next = rig.sequencer.next_sequence();
    let fired = TimerFired {
        cause: Sequence(1),
        strategy: StrategyId(0),
        token: 1,
    };
    let fired = Event::TimerFired(fired);
    let refused = rig
        .sequencer
        .step(Nanos(NOON + MS), fired.kind().number(), &encoded(&fired));
    let why = refused.unwrap_err().to_string();
    assert!(
        why.contains("timer_fired frames are derived, never inputs"),
        "{why}"
    );
    let heartbeat = Event::Heartbeat(Heartbeat {});
    let derived = onetape_journal::Frame {
        sequence: next.0,
        timestamp_ns: NOON + MS,
        tag: onetape_journal::Tag::derived(heartbeat.kind().number()),
        payload: &encoded(&heartbeat),
    };
    let why = rig.sequencer.fold(&derived).unwrap_err().to_string();
    assert!(
        why.contains("heartbeat frames are inputs, never derived"),
        "{why}"
    );
}

#[test]
fn time_that_runs_back_on_a_tape_is_refused() {
    let mut rig = Rig::new(quiet_session());
    let heartbeat = Event::Heartbeat(Heartbeat {});
    let earlier = onetape_journal::Frame {
        sequence: rig.sequencer.next_sequence().0,
        timestamp_ns: NOON - 1,
        tag: onetape_journal::Tag::input(heartbeat.kind().number()),
        payload: &encoded(&heartbeat),
    };
    let why = rig.sequencer.fold(&earlier).unwrap_err().to_string();
    assert!(why.contains("time runs back"), "{why}");
}

/// A session that names a field which a later version adds can't be read by this one: it would decide otherwise.
#[test]
fn a_config_with_an_unknown_field_is_refused() {
    let text = serde_json::json!({ "seed": 1, "leverage": 20 });
    let named = rmp_serde::to_vec_named(&serde_json::json!({
        "engine_version": "x", "logic_hash": "y", "config": text,
    }))
    .unwrap();
    let read = Event::decode(Kind::SessionStart.number(), &named);
    assert!(matches!(
        read,
        Err(DecodeError::Malformed {
            kind: "session_start",
            ..
        })
    ));
}
