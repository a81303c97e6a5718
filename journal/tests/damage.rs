//! Every cut, every flipped bit, lost sectors and pages, old images, garbage: what is opened is an exact
//! prefix that holds everything durable, or it is refused; never a wrong frame, never a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says so by failing

mod common;
use common::{Kept, Numbers, SMALL, append, image, is_prefix, read_all, restore, scratch};
use onetape_journal::layout::{KIND_SEAL, SEGMENT_HEADER, TAG_KIND_MASK, read_u64};
use onetape_journal::{Error, Forensic, Options, Reader, Tag, Tail, Writer, describe};
use std::path::{Path, PathBuf};

/// A journal of several small segments; closed, or as a killed process leaves it.
fn journal(dir: &Path, frames: usize, longest: u64, seed: u64, close: bool) -> Vec<Kept> {
    let mut numbers = Numbers(seed);
    let mut writer = Writer::create(dir, SMALL).unwrap();
    let kept = (0..frames)
        .map(|_| append(&mut writer, &mut numbers, longest))
        .collect();
    if close {
        writer.close().unwrap();
    }
    kept
}

fn last_segment(files: &[(PathBuf, Vec<u8>)]) -> usize {
    files
        .iter()
        .rposition(|(p, b)| p.extension().is_some_and(|e| e == "seg") && b[0] != 0)
        .unwrap()
}

fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b != 0).unwrap() + 1
}

/// How many frames from the first on are as they were written, told from the bytes alone: the longest
/// prefix there is. A seal may be missing where the next segment's header is whole.
fn intact(written: &[(PathBuf, Vec<u8>)], found: &[(PathBuf, Vec<u8>)]) -> u64 {
    let mut count = 0;
    for (path, bytes) in written {
        if path.extension().is_none_or(|e| e != "seg") || bytes[0] == 0 {
            continue;
        }
        let Some((_, now)) = found.iter().find(|(p, _)| p == path) else {
            return count;
        };
        let same = |from: usize, to: usize| now.get(from..to) == Some(&bytes[from..to]);
        if !same(0, SEGMENT_HEADER) {
            return count;
        }
        let mut at = SEGMENT_HEADER;
        loop {
            let word = read_u64(bytes, at);
            let size = 24 + (word as usize & 0xF_FFFF).next_multiple_of(8);
            if word == 0 || (word >> 20) as u16 & TAG_KIND_MASK == KIND_SEAL {
                break;
            }
            if !same(at, at + size) {
                return count;
            }
            count += 1;
            at += size;
        }
    }
    count
}

/// Opens for writing and checks the promise; gives the number of frames, or `None` if refused.
fn open_for_writing(dir: &Path, all: &[Kept], durable: u64, case: &str) -> Option<u64> {
    let before = image(dir);
    match Writer::open(dir, SMALL) {
        Ok((mut writer, recovery)) => {
            assert!(recovery.last_sequence >= durable, "{case}: {recovery}");
            let mut expected = all[..recovery.last_sequence as usize].to_vec();
            expected.push(append(&mut writer, &mut Numbers(99), 40));
            drop(writer);
            let (found, end) = read_all(dir);
            assert!(end.is_ok(), "{case}: {end:?}");
            assert!(
                found == expected,
                "{case}: not the prefix that recovery promised"
            );
            Some(recovery.last_sequence)
        }
        Err(e) => {
            assert!(!e.to_string().is_empty());
            for (path, bytes) in before {
                let is_data = path.extension().is_some_and(|e| e == "seg" || e == "zst");
                assert!(
                    !is_data || std::fs::read(&path).unwrap() == bytes,
                    "{case}: refused and changed"
                );
            }
            None
        }
    }
}

fn open_for_reading(dir: &Path, all: &[Kept], durable: u64, case: &str) -> usize {
    let (found, end) = read_all(dir);
    assert!(is_prefix(&found, all), "{case}: wrong frames");
    assert!(
        end.is_err() || found.len() as u64 >= durable,
        "{case}: durable frames are missing and nothing said so"
    );
    let _ = describe(dir);
    found.len()
}

#[test]
fn a_file_cut_at_every_byte_gives_the_frames_before_the_cut() {
    let dir = scratch();
    let all = journal(dir.path(), 110, 60, 11, false);
    let files = image(dir.path());
    let last = last_segment(&files);
    let (path, bytes) = &files[last];
    let mut seen = std::collections::BTreeSet::new();
    for length in 0..=used(bytes).next_multiple_of(8) {
        restore(dir.path(), &files);
        std::fs::write(path, &bytes[..length]).unwrap();
        let case = format!("cut at {length}");
        let read = open_for_reading(dir.path(), &all, 0, &case);
        if length > 4096 && length < bytes.len() {
            let reader = Reader::open(dir.path()).map(|mut r| {
                while let Ok(Some(_)) = r.next() {}
                r.tail()
            });
            assert!(matches!(reader, Ok(Tail::Cut { .. })), "{case}: {reader:?}");
        }
        let written = open_for_writing(dir.path(), &all, 0, &case);
        assert_eq!(written, Some(read as u64), "{case}");
        seen.insert(read);
    }
    assert_eq!(seen.last(), Some(&110));
    assert!(seen.len() > 10);
}

#[test]
fn a_cut_file_of_a_closed_journal_is_refused() {
    let dir = scratch();
    let all = journal(dir.path(), 60, 60, 12, true);
    let files = image(dir.path());
    let last = last_segment(&files);
    let (path, bytes) = &files[last];
    let end = used(bytes);
    for length in (0..end - 32).step_by(7) {
        restore(dir.path(), &files);
        std::fs::write(path, &bytes[..length]).unwrap();
        let case = format!("cut at {length}");
        open_for_reading(dir.path(), &all, 60, &case);
        assert_eq!(
            open_for_writing(dir.path(), &all, 60, &case),
            None,
            "{case}"
        );
    }
}

#[test]
fn every_flipped_bit_of_an_unclosed_journal_gives_a_prefix_or_a_refusal() {
    flip_every_bit(false);
}

#[test]
fn every_flipped_bit_of_a_closed_journal_changes_nothing_or_is_refused() {
    flip_every_bit(true);
}

/// Reading meets every single bit. So does opening a closed journal for writing, which mostly refuses; an
/// unclosed one opens and changes its files, so there it is one bit of each byte. In bytes that are zero by
/// definition (the rest of a header's page, of a CONTROL slot) some bits will do for both.
fn flip_every_bit(close: bool) {
    let dir = scratch();
    let all = journal(dir.path(), 85, 56, 13, close);
    let durable = if close { all.len() as u64 } else { 0 };
    let files = image(dir.path());
    let (mut refused, mut cut, mut whole) = (0, 0, 0);
    for (path, bytes) in &files {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == "LOCK" || bytes.iter().all(|b| *b == 0) {
            continue;
        }
        let is_segment = name.ends_with(".seg");
        for bit in 0..used(bytes).min(bytes.len()) * 8 {
            let byte = bit / 8;
            let mut bad = bytes.clone();
            bad[byte] ^= 1 << (bit % 8);
            std::fs::write(path, &bad).unwrap();
            let case = format!("{name}: bit {bit}");
            let padding = if is_segment {
                (96..4092).contains(&byte)
            } else {
                byte % 4096 >= 64
            };
            let expected = {
                let mut found = files.clone();
                found.iter_mut().find(|(p, _)| p == path).unwrap().1 = bad;
                intact(&files, &found)
            };
            let (read, end) = read_all(dir.path());
            assert!(is_prefix(&read, &all), "{case}: wrong frames");
            assert!(read.len() as u64 <= expected, "{case}");
            assert!(
                end.is_err() || read.len() as u64 == expected.max(durable),
                "{case}: {} frames",
                read.len()
            );
            let chosen = close || bit % 8 == byte * 5 % 8;
            if (!padding && chosen) || bit % 251 == 0 {
                match open_for_writing(dir.path(), &all, durable, &case) {
                    Some(n) if close => {
                        assert_eq!(n, durable, "{case}");
                        whole += 1;
                    }
                    Some(n) => {
                        assert_eq!(n, expected, "{case}");
                        cut += 1;
                    }
                    // Nothing was durable: only the first header has no prefix before it.
                    None => {
                        let first = name == "0000000000000000.seg" && byte < SEGMENT_HEADER;
                        assert!(close || first, "{case}: refused");
                        refused += 1;
                    }
                }
                restore(dir.path(), &files);
            } else {
                std::fs::write(path, bytes).unwrap();
            }
        }
    }
    assert!(
        refused > 100 && cut + whole > 100,
        "{refused} refused, {cut} cut, {whole} whole"
    );
}

#[test]
fn a_damaged_frame_in_a_sealed_segment_is_named_by_reader_and_writer() {
    let dir = scratch();
    journal(dir.path(), 200, 60, 14, true);
    let path = dir.path().join("0000000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 + 10] ^= 4; // the first frame's sequence
    std::fs::write(&path, &bytes).unwrap();
    let (found, end) = read_all(dir.path());
    assert!(found.is_empty());
    match end.unwrap_err() {
        Error::Damaged {
            segment: 0,
            offset: 4096,
            sequence: 1,
            ..
        } => {}
        other => panic!("{other}"),
    }
    let refusal = Writer::open(dir.path(), SMALL).unwrap_err();
    assert!(
        matches!(
            refusal,
            Error::Damaged { segment: 0, .. } | Error::Corrupt { durable: 200, .. }
        ),
        "{refusal}"
    );
}

#[test]
fn a_damaged_frame_between_whole_ones_can_be_looked_at_and_passed() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), Options::default()).unwrap();
    for i in 0..10u8 {
        writer.append(Tag::input(1), 100, &[i; 16]).unwrap();
    }
    writer.close().unwrap();
    let path = dir.path().join("0000000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 + 40 * 4 + 24] = 0xEE;
    std::fs::write(&path, &bytes).unwrap();
    let mut reader = Reader::open(dir.path()).unwrap();
    let mut whole = Vec::new();
    let mut damaged = Vec::new();
    while let Some(item) = reader.next_or_damaged().unwrap() {
        match item {
            Forensic::Frame(f) => whole.push(f.sequence),
            Forensic::Damaged {
                sequence, payload, ..
            } => damaged.push((sequence, payload.to_vec())),
        }
    }
    assert_eq!(whole, [1, 2, 3, 4, 6, 7, 8, 9, 10]);
    assert_eq!(damaged.len(), 1);
    assert_eq!(
        (damaged[0].0, damaged[0].1[0], damaged[0].1[1]),
        (5, 0xEE, 4)
    );
}

#[test]
fn a_power_loss_leaves_the_longest_prefix_and_never_a_refusal() {
    let dir = scratch();
    let mut numbers = Numbers(15);
    let (mut cut, mut whole, mut dropped) = (0, 0, 0);
    for round in 0..60 {
        std::fs::read_dir(dir.path())
            .unwrap()
            .for_each(|e| std::fs::remove_file(e.unwrap().path()).unwrap());
        let mut writer = Writer::create(dir.path(), SMALL).unwrap();
        let before = numbers.below(150);
        let mut all: Vec<Kept> = (0..before)
            .map(|_| append(&mut writer, &mut numbers, 90))
            .collect();
        let durable = writer.sync().unwrap();
        assert_eq!(durable, before);
        let synced = image(dir.path());
        all.extend((0..1 + numbers.below(250)).map(|_| append(&mut writer, &mut numbers, 90)));
        drop(writer);
        let current = image(dir.path());
        for turn in 0..16 {
            restore(dir.path(), &current);
            let unit = if numbers.below(2) == 0 { 512 } else { 4096 };
            let (loss, garbage) = (1 + numbers.below(4), numbers.below(3));
            for (path, bytes) in &current {
                if path.extension().is_none_or(|e| e != "seg") {
                    continue;
                }
                // A unit that was not synced is on the disk as it was at the sync, or as it is now, or, where
                // nothing durable shares it, as anything.
                let known = synced.iter().find(|(p, _)| p == path);
                let old = known.map_or(vec![0; bytes.len()], |(_, b)| b.clone());
                let mut mixed = bytes.clone();
                for at in (0..bytes.len()).step_by(unit) {
                    let end = (at + unit).min(bytes.len());
                    if numbers.below(8) < loss {
                        mixed[at..end].copy_from_slice(&old[at..end]);
                    } else if numbers.below(16) < garbage
                        && old[at..end].iter().all(|b| *b == 0)
                        && (known.is_none() || bytes[at..end] != old[at..end])
                    {
                        mixed[at..end].copy_from_slice(&numbers.bytes(end - at));
                    }
                }
                if known.is_none() && numbers.below(12) == 0 {
                    std::fs::remove_file(path).unwrap();
                } else {
                    std::fs::write(path, &mixed).unwrap();
                }
            }
            let expected = intact(&current, &image(dir.path()));
            assert!(expected >= durable);
            let case = format!(
                "round {round}, turn {turn}: {durable} durable of {}",
                all.len()
            );
            let (read, end) = read_all(dir.path());
            assert!(end.is_ok(), "{case}: {end:?}");
            assert!(read == all[..expected as usize], "{case}: {}", read.len());
            let _ = describe(dir.path());
            let opened = open_for_writing(dir.path(), &all, durable, &case);
            assert_eq!(opened, Some(expected), "{case}");
            match all.len() as u64 - expected {
                0 => whole += 1,
                n => (cut, dropped) = (cut + 1, dropped + n),
            }
        }
    }
    assert!(
        cut > 500 && whole > 20 && dropped > 10_000,
        "{cut} cut, {whole} whole, {dropped} dropped"
    );
}

#[test]
fn frames_beyond_a_hole_are_counted_and_never_come_back() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), Options::default()).unwrap();
    for i in 0..50u64 {
        writer.append(Tag::input(1), i, &[1; 40]).unwrap();
    }
    drop(writer);
    let path = dir.path().join("0000000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 + 64 * 20..4096 + 64 * 21].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let (found, _) = read_all(dir.path());
    assert_eq!(found.len(), 20);
    let (writer, recovery) = Writer::open(dir.path(), Options::default()).unwrap();
    assert_eq!(
        (recovery.last_sequence, recovery.dropped_frames_beyond),
        (20, 29)
    );
    assert_eq!(recovery.dropped_bytes, 30 * 64);
    assert!(
        recovery
            .to_string()
            .contains("29 whole frames beyond a hole"),
        "{recovery}"
    );
    drop(writer);
    let (writer, recovery) = Writer::open(dir.path(), Options::default()).unwrap();
    assert_eq!(
        (recovery.last_sequence, recovery.dropped_frames_beyond),
        (20, 0)
    );
    drop(writer);
    assert_eq!(read_all(dir.path()).0.len(), 20);
}

#[test]
fn frames_in_segments_beyond_a_hole_are_counted_even_without_their_header() {
    let dir = scratch();
    let all = journal(dir.path(), 300, 60, 21, false);
    let files = image(dir.path());
    let whole = describe(dir.path()).unwrap().segments;
    assert!(whole.len() > 4);
    let (kept, lost) = (whole[0].frames, whole[1].frames);
    // The header of the second segment never reached the disk.
    let path = &whole[1].path;
    let mut bytes = std::fs::read(path).unwrap();
    for torn in [0, 512] {
        restore(dir.path(), &files);
        bytes[torn..4096].fill(0);
        std::fs::write(path, &bytes).unwrap();
        let (found, end) = read_all(dir.path());
        end.unwrap();
        assert_eq!(found, all[..kept as usize]);
        let (writer, recovery) = Writer::open(dir.path(), SMALL).unwrap();
        drop(writer);
        assert_eq!(recovery.last_sequence, kept);
        assert_eq!(recovery.dropped_frames_beyond, 300 - kept);
        assert!(recovery.dropped_bytes > 24 * (300 - kept));
        assert!(lost > 0 && !recovery.was_clean);
        assert_eq!(read_all(dir.path()).0, all[..kept as usize]);
    }
}

#[test]
fn damage_up_to_the_durable_record_is_refused_wherever_later_segments_are() {
    let dir = scratch();
    let mut numbers = Numbers(22);
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    let mut all: Vec<Kept> = (0..150)
        .map(|_| append(&mut writer, &mut numbers, 90))
        .collect();
    let durable = writer.sync().unwrap();
    all.extend((0..150).map(|_| append(&mut writer, &mut numbers, 90)));
    drop(writer);
    let files = image(dir.path());
    let mut refused = 0;
    for _ in 0..1200 {
        restore(dir.path(), &files);
        let (path, bytes) = &files[numbers.below(files.len() as u64) as usize];
        if path.extension().is_none_or(|e| e != "seg") || bytes[0] == 0 {
            continue;
        }
        let mut bad = bytes.clone();
        let at = numbers.below(used(bytes) as u64) as usize;
        let end = (at + 1 + numbers.below(700) as usize).min(bad.len());
        bad[at..end].fill(0);
        std::fs::write(path, &bad).unwrap();
        let expected = intact(&files, &image(dir.path()));
        let case = format!("{} {at}..{end}: {expected} of {durable}", path.display());
        open_for_reading(dir.path(), &all, durable, &case);
        let opened = open_for_writing(dir.path(), &all, durable, &case);
        if expected < durable {
            assert_eq!(opened, None, "{case}");
            refused += 1;
        } else {
            assert_eq!(opened, Some(expected), "{case}");
        }
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn frames_of_another_epoch_do_not_verify() {
    let (dir, other) = (scratch(), scratch());
    journal(other.path(), 40, 50, 16, false);
    let all = journal(dir.path(), 40, 50, 16, false);
    let name = "0000000000000000.seg";
    let stale = std::fs::read(other.path().join(name)).unwrap();
    let mine = std::fs::read(dir.path().join(name)).unwrap();
    let boundary = 4096 + 24 + all[0].payload.len().next_multiple_of(8);
    // The same frames at the same places, from another life: all but the first are stale.
    let mut mixed = mine.clone();
    mixed[boundary..].copy_from_slice(&stale[boundary..]);
    std::fs::write(dir.path().join(name), &mixed).unwrap();
    assert_eq!(read_all(dir.path()).0, all[..1]);
    let (_, recovery) = Writer::open(dir.path(), SMALL).unwrap();
    assert_eq!(
        (recovery.last_sequence, recovery.dropped_frames_beyond),
        (1, 0)
    );
}

#[test]
fn a_segment_of_another_journal_or_a_missing_one_is_refused() {
    let (dir, other) = (scratch(), scratch());
    journal(dir.path(), 200, 60, 17, true);
    journal(other.path(), 200, 60, 17, true);
    let files = image(dir.path());
    let name = "0000000000000001.seg";
    std::fs::copy(other.path().join(name), dir.path().join(name)).unwrap();
    assert!(matches!(read_all(dir.path()).1, Err(Error::Header { .. })));
    assert!(Writer::open(dir.path(), SMALL).is_err());
    restore(dir.path(), &files);
    std::fs::remove_file(dir.path().join(name)).unwrap();
    assert!(matches!(
        Reader::open(dir.path()),
        Err(Error::MissingSegment { segment: 1, .. })
    ));
    assert!(matches!(
        Writer::open(dir.path(), SMALL),
        Err(Error::MissingSegment { segment: 1, .. })
    ));
    restore(dir.path(), &files);
    std::fs::remove_file(&files[last_segment(&files)].0).unwrap();
    assert!(read_all(dir.path()).1.is_err());
    assert!(Writer::open(dir.path(), SMALL).is_err());
}

#[test]
fn fewer_frames_than_the_durable_record_says_is_refused_by_both_sides() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), Options::default()).unwrap();
    for i in 0..10 {
        writer.append(Tag::input(1), i, &[1; 40]).unwrap();
    }
    writer.sync().unwrap();
    drop(writer);
    let path = dir.path().join("0000000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 + 64 * 7..].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let (found, end) = read_all(dir.path());
    assert_eq!(found.len(), 7);
    assert!(
        matches!(
            end,
            Err(Error::Corrupt {
                durable: 10,
                found: 7,
                ..
            })
        ),
        "{end:?}"
    );
    let refusal = Writer::open(dir.path(), SMALL).unwrap_err();
    assert!(
        matches!(
            refusal,
            Error::Corrupt {
                durable: 10,
                found: 7,
                ..
            }
        ),
        "{refusal}"
    );
    // The explicit way to accept the loss.
    std::fs::remove_file(dir.path().join("CONTROL")).unwrap();
    assert_eq!(Writer::open(dir.path(), SMALL).unwrap().1.last_sequence, 7);
}

#[test]
fn a_crash_between_the_steps_of_rolling_recovers() {
    let dir = scratch();
    let all = journal(dir.path(), 100, 90, 18, false);
    let files = image(dir.path());
    let last = last_segment(&files);
    let header_only = files[last].1[..4096].to_vec();
    let first_of_last = u64::from_le_bytes(header_only[48..56].try_into().unwrap());
    // The next segment has its header, the old one not yet its seal.
    restore(dir.path(), &files);
    let mut begun = header_only.clone();
    begun.resize(files[last].1.len(), 0);
    std::fs::write(&files[last].0, &begun).unwrap();
    let mut unsealed = files[last - 1].1.clone();
    let end = used(&unsealed);
    let seal = (end.next_multiple_of(8) - 32..end.next_multiple_of(8) + 8)
        .step_by(8)
        .find(|at| unsealed[*at..*at + 4] == [8, 0, 0xF0, 0x3F]);
    let seal = seal.unwrap();
    unsealed[seal..seal + 32].fill(0);
    std::fs::write(&files[last - 1].0, &unsealed).unwrap();
    for id in files[last + 1..]
        .iter()
        .filter(|(p, _)| p.extension().is_some_and(|e| e == "seg"))
    {
        std::fs::remove_file(&id.0).unwrap();
    }
    let (found, finish) = read_all(dir.path());
    assert_eq!(found.len() as u64, first_of_last - 1);
    finish.unwrap();
    assert_eq!(
        open_for_writing(dir.path(), &all, 0, "no seal"),
        Some(first_of_last - 1)
    );
    // The next segment was prepared, but not begun; and its header was torn.
    for torn in [0, 100, 512] {
        restore(dir.path(), &files);
        let mut bytes = vec![0; files[last].1.len()];
        bytes[..torn].copy_from_slice(&header_only[..torn]);
        std::fs::write(&files[last].0, &bytes).unwrap();
        let (found, finish) = read_all(dir.path());
        assert_eq!(found.len() as u64, first_of_last - 1);
        finish.unwrap();
        assert_eq!(
            open_for_writing(dir.path(), &all, 0, "torn header"),
            Some(first_of_last - 1)
        );
    }
    // Half made files are removed.
    restore(dir.path(), &files);
    let half = dir.path().join("0000000000000099.seg.tmp");
    std::fs::write(&half, b"half").unwrap();
    assert_eq!(open_for_writing(dir.path(), &all, 0, "tmp"), Some(100));
    assert!(!half.exists());
}

#[test]
fn random_bytes_as_a_journal_never_panic() {
    let dir = scratch();
    let all = journal(dir.path(), 90, 90, 19, true);
    let files = image(dir.path());
    let mut numbers = Numbers(20);
    for round in 0..1500 {
        restore(dir.path(), &files);
        for (path, bytes) in &files {
            let mut bad = bytes.clone();
            match numbers.below(6) {
                0 => {
                    let n = numbers.below(9000) as usize;
                    bad = numbers.bytes(n);
                }
                1 => {
                    for _ in 0..1 + numbers.below(20) {
                        let at = numbers.below(bad.len() as u64) as usize;
                        bad[at] = numbers.next() as u8;
                    }
                }
                2 if bad.len() > 4096 => {
                    let from = 4096 + numbers.below(bad.len() as u64 - 4096) as usize;
                    let n = (numbers.below(600) as usize).min(bad.len() - from);
                    bad[from..from + n].copy_from_slice(&numbers.bytes(n));
                }
                _ => continue,
            }
            std::fs::write(path, &bad).unwrap();
        }
        let (found, _) = read_all(dir.path());
        assert!(is_prefix(&found, &all), "round {round}");
        let _ = describe(dir.path());
        if let Ok(mut reader) = Reader::open(dir.path()) {
            let _ = reader.seek(numbers.below(200));
            for _ in 0..200 {
                if !matches!(reader.next_or_damaged(), Ok(Some(_))) {
                    break;
                }
            }
            let _ = reader.tail();
        }
        let _ = Writer::open(dir.path(), SMALL);
    }
}
