//! Archived segments and snapshots: read as if nothing had happened, refused when damaged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says so by failing

mod common;
use common::{Numbers, SMALL, append, read_all, scratch};
use onetape_journal::{
    Error, Options, Reader, Tag, Writer, archive, describe, root_hash, snapshot,
};

#[test]
fn an_archived_journal_reads_seeks_hashes_and_reopens_as_before() {
    let dir = scratch();
    let mut numbers = Numbers(31);
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    let mut kept: Vec<_> = (0..400)
        .map(|_| append(&mut writer, &mut numbers, 150))
        .collect();
    let before = root_hash(dir.path()).unwrap();

    // Beside a live writer: all but the segment being written.
    let done = archive::compress_sealed(dir.path(), 3).unwrap();
    assert!(done.len() > 3);
    let left = describe(dir.path()).unwrap().segments;
    assert_eq!(left.iter().filter(|s| s.archived).count(), done.len());
    assert!(left.iter().filter(|s| s.archived).all(|s| s.sealed()));
    assert_eq!(root_hash(dir.path()).unwrap(), before);
    kept.extend((0..100).map(|_| append(&mut writer, &mut numbers, 150)));
    writer.close().unwrap();

    // A closed journal: all of it.
    archive::compress_sealed(dir.path(), 3).unwrap();
    let all = describe(dir.path()).unwrap();
    assert!(all.segments.iter().all(|s| s.archived));
    assert_eq!(all.segments.iter().map(|s| s.frames).sum::<u64>(), 500);
    assert_eq!(read_all(dir.path()).0, kept);
    let mut reader = Reader::open(dir.path()).unwrap();
    for sequence in [500, 1, 250, 77] {
        reader.seek(sequence).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().sequence, sequence);
    }

    let (mut writer, recovery) = Writer::open(dir.path(), SMALL).unwrap();
    assert!(
        recovery.was_clean && recovery.last_sequence == 500,
        "{recovery}"
    );
    kept.push(append(&mut writer, &mut numbers, 150));
    let (found, end) = read_all(dir.path());
    end.unwrap();
    assert_eq!(found, kept);
}

#[test]
fn a_reader_on_a_segment_that_is_archived_meanwhile_goes_on() {
    let dir = scratch();
    let mut numbers = Numbers(32);
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    for _ in 0..300 {
        append(&mut writer, &mut numbers, 150);
    }
    let mut reader = Reader::open(dir.path()).unwrap();
    for _ in 0..10 {
        reader.next().unwrap().unwrap();
    }
    archive::compress_sealed(dir.path(), 1).unwrap();
    let mut count = 10;
    while reader.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 300);
}

#[test]
fn a_damaged_archive_is_refused_whichever_bit_it_is() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), Options::default()).unwrap();
    for i in 0..30 {
        writer.append(Tag::input(2), i, &[3; 20]).unwrap();
    }
    writer.close().unwrap();
    archive::compress_sealed(dir.path(), 19).unwrap();
    let path = dir.path().join("0000000000000000.seg.zst");
    let good = std::fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bad).unwrap();
        let outcome = read_all(dir.path());
        // zstd has bits that change nothing (a reserved flag); the hash of the content decides.
        if outcome.1.is_ok() {
            assert_eq!(outcome.0.len(), 30, "bit {bit}");
        } else {
            assert!(outcome.0.is_empty(), "bit {bit}");
            assert!(Writer::open(dir.path(), SMALL).is_err(), "bit {bit}");
        }
    }
    for length in 0..good.len() {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(
            matches!(Reader::open(dir.path()), Err(Error::Archive { .. })),
            "cut at {length}"
        );
    }
}

#[test]
fn a_damaged_archive_beyond_the_durable_record_is_refused_too() {
    // Nothing was ever synced, but an archive was on disk before it had its name.
    let dir = scratch();
    let mut numbers = Numbers(33);
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    for _ in 0..300 {
        append(&mut writer, &mut numbers, 150);
    }
    archive::compress_sealed(dir.path(), 1).unwrap();
    drop(writer);
    let path = dir.path().join("0000000000000002.seg.zst");
    let good = std::fs::read(&path).unwrap();
    for at in [20, 600] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let (found, end) = read_all(dir.path());
        assert!(!found.is_empty() && matches!(end, Err(Error::Archive { .. })));
        let refusal = Writer::open(dir.path(), SMALL).unwrap_err();
        assert!(matches!(refusal, Error::Archive { .. }), "{refusal}");
    }
    std::fs::write(&path, &good).unwrap();
    let (_, recovery) = Writer::open(dir.path(), SMALL).unwrap();
    assert_eq!(recovery.last_sequence, 300);
}

#[test]
fn a_damaged_segment_is_not_archived() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    for i in 0..200 {
        writer.append(Tag::input(2), i, &[3; 60]).unwrap();
    }
    writer.close().unwrap();
    let path = dir.path().join("0000000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(
        archive::compress_sealed(dir.path(), 3),
        Err(Error::Damaged { segment: 0, .. })
    ));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn snapshots_are_whole_or_refused() {
    let dir = scratch();
    assert!(matches!(
        snapshot::write(dir.path(), 1, b"x"),
        Err(Error::NotFound { .. })
    ));
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    writer.append(Tag::input(2), 1, b"frame").unwrap();
    for sequence in [5, 100, 30] {
        snapshot::write(
            dir.path(),
            sequence,
            format!("state at {sequence}").as_bytes(),
        )
        .unwrap();
    }
    assert_eq!(snapshot::list(dir.path()).unwrap(), [5, 30, 100]);
    assert_eq!(snapshot::read(dir.path(), 30).unwrap(), b"state at 30");
    assert!(matches!(
        snapshot::read(dir.path(), 31),
        Err(Error::Io { .. })
    ));
    assert_eq!(snapshot::retain(dir.path(), 2).unwrap(), [5]);
    assert_eq!(snapshot::list(dir.path()).unwrap(), [30, 100]);

    let path = snapshot::write(dir.path(), 7, b"0123456789").unwrap();
    let good = std::fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bad).unwrap();
        assert!(snapshot::read(dir.path(), 7).is_err(), "bit {bit}");
    }
    for length in 0..good.len() {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(snapshot::read(dir.path(), 7).is_err(), "cut at {length}");
    }
    std::fs::write(&path, &good).unwrap();
    let renamed = dir.path().join("snap-00000000000000000008.snap");
    std::fs::rename(&path, renamed).unwrap();
    assert!(matches!(
        snapshot::read(dir.path(), 8),
        Err(Error::Snapshot { .. })
    ));

    let other = scratch();
    Writer::create(other.path(), SMALL).unwrap();
    std::fs::copy(
        dir.path().join("snap-00000000000000000030.snap"),
        other.path().join("snap-00000000000000000030.snap"),
    )
    .unwrap();
    assert!(matches!(
        snapshot::read(other.path(), 30),
        Err(Error::Snapshot { .. })
    ));
}
