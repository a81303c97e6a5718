//! Processes that die and processes that read: this test binary starts itself again as the other side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says so by failing

mod common;
use common::Numbers;
use onetape_journal::{Durability, Error, Options, Reader, Tag, Tail, Writer};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ROLE: &str = "ONETAPE_JOURNAL_TEST_ROLE";
const DIR: &str = "ONETAPE_JOURNAL_TEST_DIR";
const COUNT: &str = "ONETAPE_JOURNAL_TEST_COUNT";
const SEGMENT: u64 = 64 << 10;

/// A payload that only its sequence can give.
fn payload(sequence: u64, out: &mut Vec<u8>) {
    out.clear();
    let mut numbers = Numbers(sequence);
    let words = numbers.below(12);
    for _ in 0..words {
        out.extend_from_slice(&numbers.next().to_le_bytes());
    }
    out.truncate(out.len().saturating_sub(sequence as usize % 8));
}

fn tag(sequence: u64) -> Tag {
    Tag::derived(1 + (sequence % 900) as u16).with_step_end(sequence.is_multiple_of(3))
}

fn start(role: &str, dir: &Path, count: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "the_other_process",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, role)
        .env(DIR, dir)
        .env(COUNT, count.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// What the started processes do; nothing when run as a test.
#[test]
fn the_other_process() {
    let (Ok(role), Ok(dir), Ok(count)) = (
        std::env::var(ROLE),
        std::env::var(DIR),
        std::env::var(COUNT),
    ) else {
        return;
    };
    let count: u64 = count.parse().unwrap();
    match role.as_str() {
        "writer" => write(Path::new(&dir), count),
        "reader" => follow(Path::new(&dir), count),
        other => panic!("no such role: {other}"),
    }
}

fn write(dir: &Path, count: u64) {
    let durability = match count % 3 {
        0 => Durability::Process,
        1 => Durability::Group,
        _ => Durability::Interval(Duration::from_millis(1)),
    };
    let options = Options {
        segment_bytes: SEGMENT,
        durability,
        ..Options::default()
    };
    let mut writer = match Writer::open(dir, options) {
        Err(Error::NotFound { .. }) => Writer::create(dir, options).unwrap(),
        other => other.unwrap().0,
    };
    let mut out = std::io::stdout().lock();
    let mut bytes = Vec::new();
    let mut numbers = Numbers(count);
    loop {
        let sequence = writer.next_sequence();
        payload(sequence, &mut bytes);
        if numbers.below(2) == 0 {
            writer.append(tag(sequence), sequence * 10, &bytes).unwrap();
        } else {
            writer.stage(tag(sequence), sequence * 10, &bytes).unwrap();
            writer.publish(tag(sequence).ends_step());
        }
        // The acknowledgement goes to another process only when the frame is published.
        writeln!(out, "ack {sequence}").unwrap();
        out.flush().unwrap();
    }
}

fn follow(dir: &Path, count: u64) {
    let mut reader = loop {
        match Reader::open(dir) {
            Ok(reader) => break reader,
            Err(Error::NotFound { .. }) => std::thread::yield_now(),
            Err(e) => panic!("{e}"),
        }
    };
    let mut bytes = Vec::new();
    let mut expected = 1;
    while expected <= count {
        match reader.next().unwrap() {
            Some(frame) => {
                payload(expected, &mut bytes);
                assert_eq!(frame.sequence, expected);
                assert_eq!(frame.timestamp_ns, expected * 10);
                assert_eq!(frame.tag, tag(expected));
                assert!(
                    frame.payload == bytes,
                    "frame {expected} is not what was written"
                );
                expected += 1;
            }
            None => std::thread::yield_now(),
        }
    }
    println!("followed {count}");
}

#[test]
fn every_acknowledged_frame_survives_sigkill() {
    let dir = tempfile::tempdir().unwrap();
    let mut numbers = Numbers(41);
    let mut total = 0;
    for kill in 0..45 {
        let mut child = start("writer", dir.path(), kill);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // Kill it at some moment after some acknowledgements, or at once, within recovery.
        let wanted = if kill % 9 == 8 {
            0
        } else {
            1 + numbers.below(400)
        };
        let mut acknowledged = 0;
        let mut line = String::new();
        let mut note = |line: &str| {
            if let Some(n) = line.split("ack ").nth(1).and_then(|n| n.strip_suffix('\n')) {
                acknowledged = n.parse().unwrap();
            }
        };
        for _ in 0..wanted {
            line.clear();
            assert!(
                lines.read_line(&mut line).unwrap() > 0,
                "the writer ended by itself"
            );
            note(&line);
        }
        std::thread::sleep(Duration::from_micros(numbers.below(3000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        rest.split_inclusive('\n').for_each(note);
        if acknowledged == 0 {
            acknowledged = total;
        }

        let Ok(mut reader) = Reader::open(dir.path()) else {
            assert_eq!(acknowledged, 0, "kill {kill}");
            continue;
        };
        let mut bytes = Vec::new();
        let mut last = 0;
        while let Some(frame) = reader.next().unwrap() {
            payload(frame.sequence, &mut bytes);
            assert!(
                frame.sequence == last + 1 && frame.payload == bytes,
                "kill {kill}"
            );
            last = frame.sequence;
        }
        assert!(
            last >= acknowledged,
            "kill {kill}: {acknowledged} acknowledged, {last} there"
        );
        assert!(
            last <= acknowledged + 1,
            "kill {kill}: {acknowledged} acknowledged, {last} there"
        );
        let (writer, recovery) = Writer::open(
            dir.path(),
            Options {
                segment_bytes: SEGMENT,
                ..Options::default()
            },
        )
        .unwrap();
        assert_eq!(recovery.last_sequence, last, "kill {kill}: {recovery}");
        assert_eq!(recovery.dropped_frames_beyond, 0, "kill {kill}: {recovery}");
        if kill % 5 == 0 {
            writer.close().unwrap();
        }
        total = last;
    }
    assert!(total > 1000, "{total}");
}

#[test]
fn readers_in_other_processes_and_threads_see_every_frame_whole_and_in_order() {
    const FRAMES: u64 = 2_000_000;
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        segment_bytes: 4 << 20,
        ..Options::default()
    };
    let mut writer = Writer::create(dir.path(), options).unwrap();
    let mut other = start("reader", dir.path(), FRAMES);
    let path = dir.path().to_path_buf();
    let thread = std::thread::spawn(move || follow(&path, FRAMES));
    let mut bytes = Vec::new();
    for sequence in 1..=FRAMES {
        payload(sequence, &mut bytes);
        if sequence.is_multiple_of(2) {
            writer.append(tag(sequence), sequence * 10, &bytes).unwrap();
        } else {
            writer.stage(tag(sequence), sequence * 10, &bytes).unwrap();
            writer.publish(tag(sequence).ends_step());
        }
    }
    thread.join().unwrap();
    assert!(other.wait().unwrap().success());
    let mut said = String::new();
    other
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(said.contains("followed"), "{said}");
    writer.close().unwrap();
    let mut reader = Reader::open(dir.path()).unwrap();
    reader.seek(FRAMES).unwrap();
    assert!(reader.next().unwrap().is_some());
    assert_eq!(reader.next().unwrap(), None);
    assert_eq!(reader.tail(), Tail::Closed);
}

#[test]
fn a_writer_in_another_process_keeps_this_one_out_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = start("writer", dir.path(), 0);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("ack 1") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0);
    }
    let refusal = Writer::open(dir.path(), Options::default()).unwrap_err();
    assert!(
        matches!(refusal, Error::Locked { pid: Some(pid), .. } if pid == child.id()),
        "{refusal}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        Writer::open(dir.path(), Options::default())
            .unwrap()
            .1
            .last_sequence
            > 0
    );
}
