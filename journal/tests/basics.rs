//! Writing, reading, rolling and closing, when nothing goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says so by failing

mod common;
use common::{Kept, Numbers, SMALL, append, read_all, scratch};
use onetape_journal::{
    Durability, Error, Options, PAYLOAD_MAX, Reader, Tag, Tail, Writer, describe, root_hash,
};
use std::time::Duration;

const KIND: Tag = Tag::input(7);

#[test]
fn what_is_appended_is_read_back_across_segments() {
    let dir = scratch();
    let mut numbers = Numbers(1);
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    let kept: Vec<Kept> = (0..2000)
        .map(|_| append(&mut writer, &mut numbers, 200))
        .collect();
    let (found, end) = read_all(dir.path());
    assert_eq!(found, kept);
    end.unwrap();
    assert_eq!(writer.close().unwrap(), 2000);
    assert_eq!(read_all(dir.path()).0, kept);
    assert!(describe(dir.path()).unwrap().segments.len() > 10);
}

#[test]
fn sequences_do_not_depend_on_where_segments_end() {
    let (small, large) = (scratch(), scratch());
    for (dir, options) in [(&small, SMALL), (&large, Options::default())] {
        let mut numbers = Numbers(2);
        let mut writer = Writer::create(dir.path(), options).unwrap();
        for i in 1..=500 {
            assert_eq!(append(&mut writer, &mut numbers, 300).sequence, i);
        }
        writer.close().unwrap();
    }
    assert_eq!(
        root_hash(small.path()).unwrap(),
        root_hash(large.path()).unwrap()
    );
}

#[test]
fn a_staged_frame_is_invisible_until_it_is_published() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), Options::default()).unwrap();
    let mut reader = Reader::open(dir.path()).unwrap();
    assert_eq!(writer.stage(KIND, 5, b"hello").unwrap(), 1);
    assert_eq!(reader.next().unwrap(), None);
    assert!(matches!(reader.tail(), Tail::Unfinished { .. }));
    assert!(matches!(
        writer.stage(KIND, 5, b"x"),
        Err(Error::StillStaged { sequence: 1 })
    ));
    assert!(matches!(
        writer.append(KIND, 5, b"x"),
        Err(Error::StillStaged { sequence: 1 })
    ));
    writer.publish(true);
    let frame = reader.next().unwrap().unwrap();
    assert_eq!(
        (frame.sequence, frame.timestamp_ns, frame.payload),
        (1, 5, &b"hello"[..])
    );
    assert!(frame.tag.ends_step());
    writer.publish(true); // nothing staged: nothing happens
    assert_eq!(writer.next_sequence(), 2);
    assert_eq!(reader.next().unwrap(), None);
    assert_eq!(reader.tail(), Tail::Open);
}

#[test]
fn publish_decides_the_end_of_step_bit_in_both_directions() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), Options::default()).unwrap();
    writer.stage(KIND.with_step_end(true), 1, &[]).unwrap();
    writer.publish(false);
    writer.stage(KIND, 1, &[1; 5000]).unwrap();
    writer.publish(true);
    let (found, end) = read_all(dir.path());
    end.unwrap();
    assert_eq!(
        found.iter().map(|f| f.tag.ends_step()).collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn an_unstaged_frame_leaves_no_trace() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), Options::default()).unwrap();
    writer.stage(KIND, 9, &[0xAA; 999]).unwrap();
    writer.unstage();
    assert_eq!(Reader::open(dir.path()).unwrap().tail(), Tail::Open);
    assert_eq!(writer.append(KIND, 10, b"next").unwrap(), 1);
    writer.stage(KIND, 11, &[0xBB; 999]).unwrap();
    assert_eq!(writer.close().unwrap(), 1); // takes the staged one back
    let (writer, recovery) = Writer::open(dir.path(), Options::default()).unwrap();
    assert!(recovery.was_clean);
    assert_eq!((recovery.last_sequence, recovery.dropped_bytes), (1, 0));
    assert_eq!(writer.next_sequence(), 2);
}

#[test]
fn every_payload_length_up_to_the_limit_fits_even_in_tiny_segments() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    let lengths: Vec<usize> = (0..70)
        .chain([
            1000,
            1023,
            1024,
            1025,
            4096,
            8192,
            65_537,
            PAYLOAD_MAX - 1,
            PAYLOAD_MAX,
            3,
        ])
        .collect();
    for (i, n) in lengths.iter().enumerate() {
        writer.append(KIND, 0, &vec![i as u8; *n]).unwrap();
    }
    let too_long = vec![0; PAYLOAD_MAX + 1];
    assert!(matches!(
        writer.append(KIND, 0, &too_long),
        Err(Error::PayloadTooLong { .. })
    ));
    assert!(matches!(
        writer.stage(KIND, 0, &too_long),
        Err(Error::PayloadTooLong { .. })
    ));
    writer.close().unwrap();
    let (found, end) = read_all(dir.path());
    end.unwrap();
    assert_eq!(found.len(), lengths.len());
    for (i, (f, n)) in found.iter().zip(lengths).enumerate() {
        assert!(f.payload.len() == n && f.payload.iter().all(|b| *b == i as u8));
    }
}

#[test]
fn seek_finds_every_sequence_and_waits_for_those_to_come() {
    let dir = scratch();
    let mut numbers = Numbers(3);
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    for _ in 0..600 {
        append(&mut writer, &mut numbers, 120);
    }
    let mut reader = Reader::open(dir.path()).unwrap();
    for sequence in (1..=600).rev() {
        reader.seek(sequence).unwrap();
        assert_eq!(reader.next_sequence(), sequence);
        assert_eq!(reader.next().unwrap().unwrap().sequence, sequence);
    }
    reader.seek(0).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().sequence, 1);
    reader.seek(650).unwrap();
    assert_eq!(
        (reader.next_sequence(), reader.next().unwrap()),
        (650, None)
    );
    for _ in 0..60 {
        append(&mut writer, &mut numbers, 120);
    }
    assert_eq!(reader.next().unwrap().unwrap().sequence, 650);
}

#[test]
fn seek_goes_anywhere_across_lives_and_archived_and_mapped_segments() {
    let dir = scratch();
    let mut numbers = Numbers(4);
    let mut kept: Vec<Kept> = Vec::new();
    for life in 0..4 {
        let mut writer = match life {
            0 => Writer::create(dir.path(), SMALL).unwrap(),
            _ => Writer::open(dir.path(), SMALL).unwrap().0,
        };
        kept.extend((0..250).map(|_| append(&mut writer, &mut numbers, 150)));
        match life {
            // Archived but for the segment being written, which its drop leaves open.
            0 | 2 => drop(onetape_journal::archive::compress_sealed(dir.path(), 1).unwrap()),
            _ => {}
        }
        if life % 2 == 1 {
            writer.close().unwrap();
        }
    }
    let segments = describe(dir.path()).unwrap().segments;
    let archived = segments.iter().filter(|s| s.archived).count();
    assert!(archived > 3 && segments.len() - archived > 3);
    let mut reader = Reader::open(dir.path()).unwrap();
    for turn in 0..3000 {
        // Near and far, before and behind; then some frames from there on.
        let sequence = match turn % 3 {
            0 => 1 + numbers.below(1000),
            1 => (reader.next_sequence() + numbers.below(20)).min(1000),
            _ => reader.next_sequence().saturating_sub(numbers.below(20)),
        };
        reader.seek(sequence).unwrap();
        let first = sequence.max(1) as usize;
        for expected in kept.iter().skip(first - 1).take(numbers.below(30) as usize) {
            let f = reader.next().unwrap().unwrap();
            assert_eq!(
                (f.sequence, f.timestamp_ns, f.tag, f.payload),
                (
                    expected.sequence,
                    expected.timestamp_ns,
                    expected.tag,
                    &expected.payload[..]
                )
            );
        }
    }
    // Within one segment nothing is unpacked or mapped again: the position comes from a walk alone.
    let big = scratch();
    let mut writer = Writer::create(big.path(), Options::default()).unwrap();
    for i in 0..10_000 {
        writer.append(KIND, i, &[1; 40]).unwrap();
    }
    writer.close().unwrap();
    onetape_journal::archive::compress_sealed(big.path(), 1).unwrap();
    let mut reader = Reader::open(big.path()).unwrap();
    reader.seek(10_000).unwrap();
    let (id, at) = reader.position();
    reader.seek(9_999).unwrap();
    assert_eq!(reader.position(), (id, at - 64));
    reader.seek(10_000).unwrap();
    assert_eq!(reader.position(), (id, at));
}

#[test]
fn a_writer_that_stops_early_leaves_nothing_half_made() {
    for frames in [0u64, 4_000, 14_000, 60_000] {
        let dir = scratch();
        for durability in [Durability::Process, Durability::Group] {
            let _ = std::fs::remove_dir_all(dir.path());
            let options = Options {
                durability,
                ..Options::default()
            };
            let mut writer = Writer::create(dir.path(), options).unwrap();
            for i in 0..frames {
                writer.append(KIND, i, &[1; 56]).unwrap();
            }
            writer.close().unwrap();
            // Neither unfinished files nor a segment that was prepared in vain.
            let names: Vec<String> = std::fs::read_dir(dir.path())
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            let segments = describe(dir.path()).unwrap().segments;
            assert!(segments.iter().all(|s| s.sealed()), "{segments:?}");
            assert_eq!(names.len(), segments.len() + 2, "{names:?}");
        }
    }
}

#[test]
fn a_sync_that_fails_is_not_tried_again() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    for i in 0..100 {
        writer.append(KIND, i, &[1; 100]).unwrap();
    }
    // A filled segment that can't be synced, because it is not there.
    let (path, aside) = (
        dir.path().join("0000000000000000.seg"),
        dir.path().join("aside"),
    );
    std::fs::rename(&path, &aside).unwrap();
    let error = writer.sync().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    std::fs::rename(&aside, &path).unwrap();
    let error = writer.sync().unwrap_err();
    assert!(
        matches!(error, Error::Poisoned { durable: 0, .. }),
        "{error}"
    );
    assert!(matches!(
        writer.append(KIND, 0, b"x"),
        Err(Error::Poisoned { .. })
    ));
    assert!(matches!(writer.close(), Err(Error::Poisoned { .. })));
    let (_, recovery) = Writer::open(dir.path(), SMALL).unwrap();
    assert_eq!(
        (recovery.last_sequence, recovery.durable_sequence),
        (100, 0)
    );
}

#[test]
fn a_second_writer_is_refused_by_name_and_allowed_after_the_first() {
    let dir = scratch();
    let writer = Writer::create(dir.path(), SMALL).unwrap();
    let refusal = Writer::open(dir.path(), SMALL).unwrap_err();
    assert!(
        matches!(refusal, Error::Locked { pid: Some(pid), .. } if pid == std::process::id()),
        "{refusal}"
    );
    assert!(refusal.to_string().contains("locked by another writer"));
    assert!(matches!(
        Writer::create(dir.path(), SMALL),
        Err(Error::Locked { .. })
    ));
    drop(writer);
    assert!(matches!(
        Writer::create(dir.path(), SMALL),
        Err(Error::AlreadyExists { .. })
    ));
    Writer::open(dir.path(), SMALL).unwrap();
}

#[test]
fn nothing_there_is_said_and_options_are_checked() {
    let dir = scratch();
    assert!(matches!(
        Reader::open(dir.path()),
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        Writer::open(dir.path(), SMALL),
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        Reader::open(&dir.path().join("none")),
        Err(Error::NotFound { .. })
    ));
    let tiny = Options {
        segment_bytes: 100,
        ..SMALL
    };
    assert!(matches!(
        Writer::create(dir.path(), tiny),
        Err(Error::Option { .. })
    ));
}

#[test]
fn a_closed_journal_says_so_and_a_reader_follows_the_next_life() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    writer.append(KIND, 1, b"one").unwrap();
    let mut reader = Reader::open(dir.path()).unwrap();
    assert!(reader.next().unwrap().is_some());
    assert_eq!(writer.close().unwrap(), 1);
    assert_eq!(reader.next().unwrap(), None);
    assert_eq!(
        (reader.tail(), reader.durable().unwrap()),
        (Tail::Closed, 1)
    );
    let (mut writer, recovery) = Writer::open(dir.path(), SMALL).unwrap();
    assert!(
        recovery.was_clean && recovery.to_string().contains("closed in order"),
        "{recovery}"
    );
    assert_eq!(reader.next().unwrap(), None);
    writer.append(KIND, 2, b"two").unwrap();
    assert_eq!(reader.next().unwrap().unwrap().payload, b"two");
}

#[test]
fn a_dropped_writer_loses_nothing_and_the_reader_passes_the_seal_recovery_wrote() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    writer.append(KIND, 7, b"one").unwrap();
    writer.stage(KIND, 8, b"never published").unwrap();
    let mut reader = Reader::open(dir.path()).unwrap();
    assert!(reader.next().unwrap().is_some());
    assert_eq!(reader.next().unwrap(), None);
    drop(writer);
    let (mut writer, recovery) = Writer::open(dir.path(), SMALL).unwrap();
    assert!(
        !recovery.was_clean && recovery.dropped_bytes > 0,
        "{recovery}"
    );
    assert_eq!(
        (
            recovery.last_sequence,
            recovery.last_timestamp_ns,
            recovery.frames
        ),
        (1, 7, 1)
    );
    assert_eq!(writer.append(KIND, 9, b"two").unwrap(), 2);
    assert_eq!(reader.next().unwrap().unwrap().payload, b"two");
}

#[test]
fn every_durability_mode_makes_frames_durable_by_its_own_rule() {
    for durability in [
        Durability::Interval(Duration::from_millis(2)),
        Durability::Group,
        Durability::Each,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(
            dir.path(),
            Options {
                durability,
                ..SMALL
            },
        )
        .unwrap();
        let durable = writer.durable();
        for i in 0..300 {
            let sequence = writer.append(KIND, i, &[i as u8; 100]).unwrap();
            if durability == Durability::Each {
                assert!(durable.get() >= sequence);
            }
        }
        assert!(durable.wait(300, Duration::from_secs(60)).unwrap());
        assert!(!durable.wait(301, Duration::from_millis(5)).unwrap());
        assert_eq!(Reader::open(dir.path()).unwrap().durable().unwrap(), 300);
        assert_eq!(writer.close().unwrap(), 300);
    }
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    for i in 0..300 {
        writer.append(KIND, i, &[0; 100]).unwrap();
    }
    assert_eq!(writer.durable().get(), 0);
    assert_eq!(writer.sync().unwrap(), 300);
    assert_eq!(writer.durable().get(), 300);
}

#[test]
fn a_tiny_journal_stays_tiny_on_disk() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    for life in 0..5 {
        let mut writer = if life == 0 {
            Writer::create(dir.path(), Options::default()).unwrap()
        } else {
            Writer::open(dir.path(), Options::default()).unwrap().0
        };
        writer.append(KIND, 0, b"x").unwrap();
        writer.close().unwrap();
    }
    let blocks: u64 = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().blocks())
        .sum();
    assert!(
        blocks * 512 <= 5 * 3 * 4096 + 3 * 4096,
        "{} bytes",
        blocks * 512
    );
}
