//! The heart of it: a tape's inputs lead to the same derived frames again, and a tape's frames to the same state, from
//! the beginning or from any step on.
use crate::common::world::{World, world};
use crate::common::{Kept, decoded, frame};
use onetape_engine::event::{Event, Kind};
use onetape_engine::sequencer::{MemorySink, Sequencer};
use proptest::prelude::*;

/// Feeds the inputs among the frames.
fn decide_again(sequencer: &mut Sequencer<MemorySink>, frames: &[Kept]) {
    for (_, at, tag, payload) in frames.iter().filter(|(_, _, tag, _)| !tag.is_derived()) {
        sequencer.step(*at, tag.kind(), payload).unwrap();
    }
}

fn first_difference(recorded: &[Kept], again: &[Kept]) -> Option<String> {
    let place = recorded.iter().zip(again).position(|(a, b)| a != b);
    let place =
        place.or((recorded.len() != again.len()).then(|| recorded.len().min(again.len())))?;
    let show = |frames: &[Kept]| {
        frames
            .get(place)
            .map(|kept| format!("{:?} {:?}", kept.2, decoded(kept)))
    };
    Some(format!(
        "frame {place}: {:?} became {:?}",
        show(recorded),
        show(again)
    ))
}

fn holds(world: &World, cuts: &[prop::sample::Index]) -> Result<(), TestCaseError> {
    let mut run = world.run();
    let hash = run.state_hash().unwrap();
    let frames = run.sink().frames.clone();

    // Verification: the inputs alone lead to every frame, byte for byte.
    let mut verified = Sequencer::new(MemorySink::default());
    decide_again(&mut verified, &frames);
    prop_assert_eq!(first_difference(&frames, &verified.sink().frames), None);
    prop_assert_eq!(verified.state_hash().unwrap(), hash);

    // Recovery: the frames alone lead to the state, past every hash on the tape.
    let cuts = cuts_of(&frames, cuts);
    let mut recovered = Sequencer::new(MemorySink::default());
    let mut snapshots = Vec::new();
    for (place, kept) in frames.iter().enumerate() {
        if cuts.contains(&place) {
            snapshots.push((place, recovered.snapshot().unwrap()));
        }
        if let Event::StateHash(recorded) = decoded(kept) {
            let hash = recovered.state_hash().unwrap().to_hex();
            prop_assert_eq!(recorded.hash, hash.to_string());
        }
        recovered.fold(&frame(kept)).unwrap();
    }
    prop_assert_eq!(recovered.state_hash().unwrap(), hash);
    prop_assert_eq!(recovered.last_stamp(), run.last_stamp());
    prop_assert_eq!(recovered.next_sequence(), run.next_sequence());

    // Going on from any step: by the frames before it, and by a snapshot.
    for (cut, snapshot) in snapshots {
        let restored = Sequencer::restore(&snapshot, MemorySink::default()).unwrap();
        prop_assert!(restored.snapshot().unwrap() == snapshot);
        let mut refolded = Sequencer::new(MemorySink::default());
        for kept in &frames[..cut] {
            refolded.fold(&frame(kept)).unwrap();
        }
        for mut going_on in [restored, refolded] {
            decide_again(&mut going_on, &frames[cut..]);
            let again = &going_on.sink().frames;
            prop_assert_eq!(first_difference(&frames[cut..], again), None);
            prop_assert_eq!(going_on.state_hash().unwrap(), hash);
        }
    }
    Ok(())
}

/// The places of frames that begin a step; every other one right after a step with a report, where most is under way.
fn cuts_of(frames: &[Kept], cuts: &[prop::sample::Index]) -> Vec<usize> {
    let mut begins = vec![0];
    let mut after_reports = Vec::new();
    let mut has_report = false;
    for (place, kept) in frames.iter().enumerate() {
        has_report |= kept.2.kind() == Kind::ExecutionReport.number();
        if kept.2.ends_step() && place + 1 < frames.len() {
            begins.push(place + 1);
            if has_report {
                after_reports.push(place + 1);
            }
            has_report = false;
        }
    }
    let pick = |(nth, cut): (usize, &prop::sample::Index)| {
        let after_report = nth.is_multiple_of(2) && !after_reports.is_empty();
        *cut.get(if after_report {
            &after_reports
        } else {
            &begins
        })
    };
    cuts.iter().enumerate().map(pick).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tape_decides_the_same_again_and_recovers_to_the_same_state_from_any_step(
        world in prop_oneof![world(true), world(false)],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 4),
    ) {
        holds(&world, &cuts)?;
    }
}

/// What the property above is worth: the random worlds reach orders, fills of both kinds, denials and halts.
#[test]
fn random_worlds_are_eventful() {
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;
    use std::collections::BTreeSet;
    let mut runner = TestRunner::deterministic();
    let mut kinds = BTreeSet::new();
    let (mut orders, mut taken, mut made, mut gates) = (0, 0, 0, BTreeSet::new());
    for _ in 0..200 {
        let run = world(false).new_tree(&mut runner).unwrap().current().run();
        kinds.extend(
            run.sink()
                .frames
                .iter()
                .map(|kept| decoded(kept).kind().name()),
        );
        let stats = run.desk().stats();
        orders += stats.orders;
        made += stats.maker_fills;
        taken += stats.fills - stats.maker_fills;
        gates.extend(stats.gates().map(|(gate, _)| gate.name()));
    }
    println!("{orders} orders, {taken} taken, {made} made\n{kinds:?}\n{gates:?}");
    assert!(orders > 1_500 && taken > 400 && made > 200);
    for kind in [
        "bar_closed",
        "cancel_decided",
        "order_denied",
        "halt_changed",
        "state_hash",
    ] {
        assert!(kinds.contains(kind), "{kind}");
    }
    assert!(gates.len() >= 10);
}
