//! A reader's memory does not grow with the journal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says so by failing

mod common;
use common::scratch;
use onetape_journal::{Options, Reader, Tag, Writer};
use std::process::Command;

const DIR: &str = "ONETAPE_JOURNAL_TEST_SCAN";
const FRAMES: u64 = 8 << 10;
const PAYLOAD: usize = 64 << 10;

/// The most memory this process has ever had resident, KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What the started process does; nothing when run as a test.
#[test]
fn the_scanning_process() {
    let Ok(dir) = std::env::var(DIR) else {
        return;
    };
    let before = peak();
    let mut reader = Reader::open(dir.as_ref()).unwrap();
    let mut frames = 0;
    while let Some(frame) = reader.next().unwrap() {
        assert_eq!(frame.payload.len(), PAYLOAD);
        frames += 1;
    }
    reader.seek(FRAMES / 2).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().sequence, FRAMES / 2);
    println!("scanned {frames} grew {}", peak() - before);
}

#[test]
fn scanning_half_a_gigabyte_takes_a_few_megabytes() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), Options::default()).unwrap();
    let payload = vec![0x5A; PAYLOAD];
    for i in 0..FRAMES {
        writer.append(Tag::input(1), i, &payload).unwrap();
    }
    writer.close().unwrap();
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_scanning_process", "--nocapture"])
        .env(DIR, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    let mut words = said
        .split_once("scanned ")
        .unwrap_or_else(|| panic!("{out:?}"))
        .1
        .split_whitespace();
    assert_eq!(words.next(), Some(FRAMES.to_string().as_str()));
    let grew: u64 = words.nth(1).unwrap().parse().unwrap();
    assert!(grew < 16 << 10, "{grew} KiB");
}
