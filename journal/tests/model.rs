//! Random sequences of everything a journal can do, against a list in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says so by failing

mod common;
use common::{Kept, Numbers, SMALL, read_all, scratch};
use onetape_journal::{Options, Reader, Writer, archive, snapshot};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Append { longest: u64, count: u8 },
    StagePublish { longest: u64, ends: bool },
    Unstage,
    Sync,
    Close,
    Drop,
    Archive,
    Snapshot,
    Follow,
    Seek(u16),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (prop_oneof![Just(1u64), Just(100), Just(3000), Just(20_000)], 1..30u8)
            .prop_map(|(longest, count)| Op::Append { longest, count }),
        3 => (1..2000u64, any::<bool>()).prop_map(|(longest, ends)| Op::StagePublish { longest, ends }),
        1 => Just(Op::Unstage),
        1 => Just(Op::Sync),
        1 => Just(Op::Close),
        1 => Just(Op::Drop),
        1 => Just(Op::Archive),
        1 => Just(Op::Snapshot),
        4 => Just(Op::Follow),
        1 => any::<u16>().prop_map(Op::Seek),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_operations_keeps_every_frame(
        ops in prop::collection::vec(op(), 1..40),
        segment in prop_oneof![Just(8192u64), Just(20_000), Just(1 << 20)],
        seed in any::<u64>(),
    ) {
        let dir = scratch();
        let dir = dir.path();
        let options = Options { segment_bytes: segment, ..SMALL };
        let mut numbers = Numbers(seed);
        let mut writer = Writer::create(dir, options).unwrap();
        let mut follower = Reader::open(dir).unwrap();
        let mut model: Vec<Kept> = Vec::new();
        let mut snapshots = std::collections::BTreeMap::new();
        let mut position = 0usize;
        for op in ops {
            match op {
                Op::Append { longest, count } => {
                    for _ in 0..count {
                        model.push(common::append(&mut writer, &mut numbers, longest));
                    }
                }
                Op::StagePublish { longest, ends } => {
                    let (tag, timestamp_ns, payload) = common::frame(&mut numbers, longest);
                    let sequence = writer.stage(tag, timestamp_ns, &payload).unwrap();
                    writer.publish(ends);
                    model.push(Kept { sequence, timestamp_ns, tag: tag.with_step_end(ends), payload });
                }
                Op::Unstage => {
                    let (tag, timestamp_ns, payload) = common::frame(&mut numbers, 500);
                    writer.stage(tag, timestamp_ns, &payload).unwrap();
                    writer.unstage();
                }
                Op::Sync => prop_assert_eq!(writer.sync().unwrap(), model.len() as u64),
                Op::Close => {
                    prop_assert_eq!(writer.close().unwrap(), model.len() as u64);
                    let (next, recovery) = Writer::open(dir, options).unwrap();
                    prop_assert!(recovery.was_clean);
                    prop_assert_eq!(recovery.frames, model.len() as u64);
                    writer = next;
                }
                Op::Drop => {
                    drop(writer);
                    let (next, recovery) = Writer::open(dir, options).unwrap();
                    prop_assert!(!recovery.was_clean);
                    prop_assert_eq!(recovery.last_sequence, model.len() as u64);
                    prop_assert_eq!((recovery.dropped_bytes, recovery.dropped_frames_beyond), (0, 0));
                    writer = next;
                }
                Op::Archive => { archive::compress_sealed(dir, 1).unwrap(); }
                Op::Snapshot => {
                    let body = numbers.bytes(300);
                    snapshot::write(dir, model.len() as u64, &body).unwrap();
                    snapshots.insert(model.len() as u64, body);
                }
                Op::Follow => {
                    while let Some(f) = follower.next().unwrap() {
                        let kept = &model[position];
                        prop_assert_eq!((f.sequence, f.timestamp_ns, f.tag), (kept.sequence, kept.timestamp_ns, kept.tag));
                        prop_assert_eq!(f.payload, &kept.payload[..]);
                        position += 1;
                    }
                    prop_assert_eq!(position, model.len());
                }
                Op::Seek(at) => {
                    let sequence = u64::from(at) % (model.len() as u64 + 1) + 1;
                    follower.seek(sequence).unwrap();
                    position = sequence as usize - 1;
                }
            }
            prop_assert_eq!(writer.next_sequence(), model.len() as u64 + 1);
        }
        drop(writer);
        let (found, end) = read_all(dir);
        prop_assert!(end.is_ok());
        prop_assert!(found == model);
        prop_assert_eq!(snapshot::list(dir).unwrap(), snapshots.keys().copied().collect::<Vec<_>>());
        for (sequence, body) in snapshots {
            prop_assert_eq!(snapshot::read(dir, sequence).unwrap(), body);
        }
    }
}
