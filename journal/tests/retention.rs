//! Segments that roll by time, and a journal that is kept within a bound: what is gone is remembered, what is left works.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says so by failing

mod common;
use common::{Kept, SMALL, image, read_all, scratch};
use onetape_journal::{
    Error, Options, Reader, Tag, Tail, Writer, archive, describe, retention, root_hash, snapshot,
};
use std::path::Path;

const DAY_NS: u64 = 86_400_000_000_000;
/// Carried over.
const NAME: u16 = 5;

/// Frames of 100 bytes, each tenth of them a name; closed or not.
fn journal(dir: &Path, frames: u64) -> Writer {
    let mut writer = Writer::create(dir, SMALL).unwrap();
    append(&mut writer, frames);
    writer
}

fn append(writer: &mut Writer, frames: u64) {
    for _ in 0..frames {
        let sequence = writer.next_sequence();
        let kind = if sequence.is_multiple_of(10) { NAME } else { 1 };
        let payload = [sequence as u8; 100];
        writer.append(Tag::input(kind), sequence, &payload).unwrap();
    }
}

fn keep_within(dir: &Path, max_bytes: u64, before: u64) -> retention::Kept {
    retention::keep_within(dir, max_bytes, before, &mut |f| f.tag.kind() == NAME).unwrap()
}

fn sequences(frames: &[Kept]) -> (u64, u64) {
    (frames[0].sequence, frames[frames.len() - 1].sequence)
}

#[test]
fn no_segment_spans_two_days_and_the_frames_are_the_same() {
    let (rolled, plain) = (scratch(), scratch());
    let options = Options {
        roll_every_ns: DAY_NS,
        ..Options::default()
    };
    let mut by_day = Writer::create(rolled.path(), options).unwrap();
    let mut as_ever = Writer::create(plain.path(), Options::default()).unwrap();
    // Nine days, one of them without a frame; midnight itself belongs to the new one.
    let stamps = (0..72u64)
        .map(|i| i * DAY_NS / 8)
        .filter(|t| t / DAY_NS != 4);
    for at in stamps {
        for writer in [&mut by_day, &mut as_ever] {
            writer.append(Tag::input(1), at, &[7; 40]).unwrap();
            writer.stage(Tag::derived(2), at, b"after").unwrap();
            writer.publish(true);
        }
    }
    by_day.close().unwrap();
    as_ever.close().unwrap();
    assert_eq!(
        root_hash(rolled.path()).unwrap(),
        root_hash(plain.path()).unwrap()
    );
    let segments = describe(rolled.path()).unwrap().segments;
    assert_eq!(segments.len(), 8);
    assert_eq!(describe(plain.path()).unwrap().segments.len(), 1);
    let (mut reader, mut day_of_segment) = (Reader::open(rolled.path()).unwrap(), Vec::new());
    while let Some(frame) = reader.next().unwrap() {
        let day = frame.timestamp_ns / DAY_NS;
        let (segment, _) = reader.position();
        day_of_segment.push((segment, day));
    }
    day_of_segment.dedup();
    let days: Vec<u64> = day_of_segment.iter().map(|(_, day)| *day).collect();
    assert_eq!(days, [0, 1, 2, 3, 5, 6, 7, 8]);
    assert!(day_of_segment.windows(2).all(|w| w[0].0 < w[1].0));
}

#[test]
fn a_reopened_writer_rolls_by_day_too_and_by_size_within_one() {
    let dir = scratch();
    let options = Options {
        roll_every_ns: DAY_NS,
        ..SMALL
    };
    let mut writer = Writer::create(dir.path(), options).unwrap();
    let fill = |writer: &mut Writer, at: u64, frames: u64| {
        for _ in 0..frames {
            writer.append(Tag::input(1), at, &[1; 1000]).unwrap();
        }
    };
    fill(&mut writer, DAY_NS - 1, 10);
    drop(writer);
    let (mut writer, _) = Writer::open(dir.path(), options).unwrap();
    fill(&mut writer, DAY_NS - 1, 1);
    fill(&mut writer, DAY_NS, 1);
    // A frame that is larger than a segment on the first stamp of a day.
    writer
        .append(Tag::input(1), 2 * DAY_NS, &[1; 20_000])
        .unwrap();
    writer.close().unwrap();
    let frames: Vec<u64> = describe(dir.path()).unwrap().segments[..]
        .iter()
        .map(|s| s.frames)
        .collect();
    assert_eq!(frames.iter().sum::<u64>(), 13);
    assert_eq!(frames[frames.len() - 3..], [1, 1, 1], "{frames:?}");
}

#[test]
fn what_is_removed_is_remembered_and_what_is_left_works() {
    let dir = scratch();
    let dir = dir.path();
    let mut writer = journal(dir, 1_000);
    let all = read_all(dir).0;
    snapshot::write(dir, 600, b"state").unwrap();
    let before = retention::bytes(dir).unwrap();
    // As far as the bound goes, and not beyond the snapshot however small it is.
    let kept = keep_within(dir, before - 20_000, 600);
    assert!(kept.removed > 0 && kept.first_sequence < 300, "{kept:?}");
    assert!(kept.bytes <= before - 20_000);
    let kept = keep_within(dir, 0, 600);
    let first = kept.first_sequence;
    assert!(first <= 600 && first > 500, "{kept:?}");
    // The writer may make a segment ready meanwhile.
    let now = retention::bytes(dir).unwrap();
    assert!(now.abs_diff(kept.bytes) <= SMALL.segment_bytes, "{now}");
    assert_eq!(keep_within(dir, 0, 600).removed, 0);

    let reader = Reader::open(dir).unwrap();
    assert_eq!(
        (reader.first_sequence(), reader.next_sequence()),
        (first, first)
    );
    let refused = Reader::open_whole(dir).unwrap_err();
    assert!(matches!(refused, Error::Removed { first: f, .. } if f == first));
    assert!(
        refused.to_string().contains(&format!("sequence {first}")),
        "{refused}"
    );
    let (found, end) = read_all(dir);
    end.unwrap();
    assert_eq!(found, all[first as usize - 1..]);
    // A seek before the beginning comes to it; one behind it to its frame.
    for (sought, expected) in [(1, first), (first, first), (700, 700)] {
        let mut reader = Reader::open(dir).unwrap();
        reader.seek(sought).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().sequence, expected);
    }
    let carried = retention::carried(dir).unwrap();
    let expected: Vec<_> = (1..first).filter(|s| s.is_multiple_of(10)).collect();
    assert_eq!(
        carried.iter().map(|f| f.sequence).collect::<Vec<_>>(),
        expected
    );
    assert!(
        carried
            .iter()
            .all(|f| f.payload == [f.sequence as u8; 100] && f.timestamp_ns == f.sequence)
    );
    assert_eq!(describe(dir).unwrap().begins_at, Some(first));
    assert_eq!(snapshot::read(dir, 600).unwrap(), b"state");

    // The writer knows nothing of it, syncs what it has, and the next one goes on.
    append(&mut writer, 50);
    writer.sync().unwrap();
    append(&mut writer, 50);
    writer.close().unwrap();
    let (mut writer, recovery) = Writer::open(dir, SMALL).unwrap();
    assert_eq!(
        (recovery.last_sequence, recovery.frames),
        (1_100, 1_101 - first)
    );
    append(&mut writer, 1);
    writer.close().unwrap();
    assert_eq!(sequences(&read_all(dir).0), (first, 1_101));

    // With no writer that makes segments ready, what it says is what is there, to the byte.
    for max_bytes in [u64::MAX, 0] {
        let kept = keep_within(dir, max_bytes, 1_000);
        assert_eq!(kept.removed > 0, max_bytes == 0, "{kept:?}");
        assert_eq!(kept.bytes, retention::bytes(dir).unwrap());
    }
}

#[test]
fn archives_go_too_and_a_writer_that_only_closes_does_not_miss_them() {
    let dir = scratch();
    let dir = dir.path();
    let mut writer = journal(dir, 1_000);
    let mut archived = 0;
    while archive::compress_next(dir, 800, 1).unwrap().is_some() {
        archived += 1;
    }
    let segments = describe(dir).unwrap().segments;
    let sealed_before = segments
        .iter()
        .filter(|s| s.frames > 0 && s.base_sequence + s.frames <= 800)
        .count();
    assert_eq!(archived, sealed_before);
    let mut follower = Reader::open(dir).unwrap();
    for _ in 0..10 {
        follower.next().unwrap().unwrap();
    }
    let kept = keep_within(dir, 0, 900);
    assert!(kept.first_sequence > 800, "{kept:?}");
    append(&mut writer, 10);
    writer.close().unwrap();
    // A reader that was slower is told, after the segment that it holds.
    let error = loop {
        match follower.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Removed { first, .. } if first == kept.first_sequence));
    assert!(Writer::open(dir, SMALL).unwrap().1.was_clean);
}

#[test]
fn what_a_crash_leaves_of_a_removal_does_not_count_and_a_loss_does() {
    let dir = scratch();
    let dir = dir.path();
    journal(dir, 500).close().unwrap();
    let files = image(dir);
    let kept = keep_within(dir, 0, 400);
    let (removed, first) = (kept.removed as usize, kept.first_sequence);
    // One of the removed files is still there, and one between it and the rest is not.
    let (path, bytes) = files
        .iter()
        .find(|(p, _)| p.ends_with("0000000000000001.seg"))
        .unwrap();
    std::fs::write(path, bytes).unwrap();
    assert!(removed > 2);
    assert_eq!(sequences(&read_all(dir).0), (first, 500));
    assert_eq!(root_hash(dir).unwrap().first_sequence, kept.first_sequence);
    drop(Writer::open(dir, SMALL).unwrap());
    assert!(!path.exists());

    // A first segment that nobody removed on purpose.
    let gone = dir.join(format!("{removed:016}.seg"));
    let bytes = std::fs::read(&gone).unwrap();
    std::fs::remove_file(&gone).unwrap();
    for error in [
        Reader::open(dir).unwrap_err(),
        Writer::open(dir, SMALL).unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::MissingSegment { segment, .. } if segment == removed as u64),
            "{error}"
        );
    }
    std::fs::write(&gone, bytes).unwrap();

    // The record itself is damaged: refused, since nothing says any more what is gone on purpose.
    let record = dir.join("BEGINNING");
    let good = std::fs::read(&record).unwrap();
    for (at, version) in [(8, true), (40, false), (good.len() - 1, false)] {
        let mut bad = good.clone();
        bad[at] ^= 2;
        if version {
            let crc = crc32c::crc32c(&bad[..80]).to_le_bytes();
            bad[80..84].copy_from_slice(&crc);
        }
        std::fs::write(&record, &bad).unwrap();
        let error = retention::carried(dir).unwrap_err();
        match version {
            true => assert!(matches!(error, Error::Version { found: 3, .. }), "{error}"),
            false => assert!(matches!(error, Error::Header { .. }), "{error}"),
        }
    }
    for end in [0, 50, good.len() - 1] {
        std::fs::write(&record, &good[..end]).unwrap();
        assert!(retention::carried(dir).is_err());
    }
    std::fs::write(&record, &good).unwrap();
    assert_eq!(sequences(&read_all(dir).0), (first, 500));
}

#[test]
fn a_damaged_segment_is_not_removed() {
    let dir = scratch();
    let dir = dir.path();
    journal(dir, 500).close().unwrap();
    let path = dir.join("0000000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = retention::keep_within(dir, 0, 400, &mut |_| false).unwrap_err();
    assert!(matches!(error, Error::Damaged { segment: 0, .. }));
    assert!(path.exists() && !dir.join("BEGINNING").exists());
}

#[test]
fn snapshots_frames_are_synced_and_a_new_journal_forgets_the_old_beginning() {
    let dir = scratch();
    let dir = dir.path();
    let writer = journal(dir, 300);
    snapshot::sync_frames(dir, 0, 300).unwrap();
    snapshot::sync_frames(dir, 250, 300).unwrap();
    drop(writer);
    keep_within(dir, 0, 200);
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "seg") {
            std::fs::remove_file(path).unwrap();
        }
    }
    journal(dir, 10).close().unwrap();
    assert_eq!(sequences(&read_all(dir).0), (1, 10));
    assert_eq!(Reader::open_whole(dir).unwrap().tail(), Tail::Open);
}

#[test]
fn a_record_of_a_later_version_is_named_as_that() {
    let dir = scratch();
    let dir = dir.path();
    journal(dir, 10).close().unwrap();
    let control = dir.join("CONTROL");
    let mut bytes = std::fs::read(&control).unwrap();
    for slot in [0, 4096] {
        bytes[slot + 8] = 7;
    }
    std::fs::write(&control, &bytes).unwrap();
    for error in [
        Reader::open(dir).unwrap_err(),
        Writer::open(dir, SMALL).unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                Error::Version {
                    found: 7,
                    expected: 1,
                    ..
                }
            ),
            "{error}"
        );
    }
}
