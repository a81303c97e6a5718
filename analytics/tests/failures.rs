//! A failed export says why in one sentence and leaves nothing behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod common;

use common::{Tape, every_kind, read, record_day};
use onetape_analytics::{Error, ExportOptions, export};
use onetape_engine::event::{Event, Heartbeat, Kind, Quote, Trade};
use onetape_engine::number::{Price, Qty};
use onetape_journal::Tag;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn fails(options: &ExportOptions) -> Error {
    export(options, &mut |_| {}).unwrap_err()
}

#[test]
fn a_directory_that_is_not_empty_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let (journal, out) = (dir.path().join("journal"), dir.path().join("out"));
    every_kind(&journal);
    fs::create_dir(&out).unwrap();
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let error = fails(&ExportOptions::new(&journal, &out));
    assert!(matches!(error, Error::NotEmpty { .. }));
    assert!(
        error.to_string().contains("notes.txt") && error.to_string().contains("--overwrite"),
        "{error}"
    );
    assert_eq!(names(&out), ["notes.txt"]);
}

#[test]
fn overwriting_replaces_every_table_of_the_earlier_export_and_no_other_file() {
    let dir = TempDir::new().unwrap();
    let (first, second, out) = (
        dir.path().join("first"),
        dir.path().join("second"),
        dir.path().join("out"),
    );
    every_kind(&first);
    record_day(&second, 10, 1);
    export(&ExportOptions::new(&first, &out), &mut |_| {}).unwrap();
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let kinds = Some(vec![Kind::Quote]);
    let options = ExportOptions {
        kinds,
        overwrite: true,
        ..ExportOptions::new(&second, &out)
    };
    export(&options, &mut |_| {}).unwrap();
    assert_eq!(names(&out), ["notes.txt", "quote.parquet"]);
    assert_eq!(read(&out, "quote").height(), 10);
}

#[test]
fn what_a_killed_export_left_is_cleared_and_what_a_running_one_has_is_not() {
    let dir = TempDir::new().unwrap();
    let (journal, out) = (dir.path().join("journal"), dir.path().join("out"));
    every_kind(&journal);
    let staging = out.join(".onetape-export");
    fs::create_dir_all(&staging).unwrap();
    fs::write(staging.join("quote.parquet"), "half").unwrap();
    let lock = fs::File::create(staging.join("lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(
        fails(&ExportOptions::new(&journal, &out)),
        Error::Busy { .. }
    ));
    assert_eq!(names(&staging), ["lock", "quote.parquet"]);
    drop(lock);
    export(&ExportOptions::new(&journal, &out), &mut |_| {}).unwrap();
    assert_eq!(names(&out).len(), Kind::ALL.len());
    assert_eq!(read(&out, "quote").height(), 1);
}

#[test]
fn a_journal_that_is_missing_or_is_the_output_is_refused() {
    let dir = TempDir::new().unwrap();
    let (journal, out) = (dir.path().join("journal"), dir.path().join("out"));
    assert!(matches!(
        fails(&ExportOptions::new(&journal, &out)),
        Error::Journal(_)
    ));
    assert!(!out.exists());
    every_kind(&journal);
    let before = names(&journal);
    let options = ExportOptions {
        overwrite: true,
        ..ExportOptions::new(&journal, &journal)
    };
    assert!(matches!(fails(&options), Error::SameDirectory { .. }));
    assert_eq!(names(&journal), before);
    let options = ExportOptions {
        kinds: Some(Vec::new()),
        ..ExportOptions::new(&journal, &out)
    };
    assert!(matches!(
        fails(&options),
        Error::Option {
            option: "kinds",
            ..
        }
    ));
    let file = journal.join("0000000000000000.seg");
    assert!(
        fails(&ExportOptions::new(&journal, &file))
            .to_string()
            .starts_with("out: expected a directory, found the file")
    );
    let options = ExportOptions {
        batch_rows: 0,
        ..ExportOptions::new(&journal, &out)
    };
    assert!(matches!(
        fails(&options),
        Error::Option {
            option: "batch_rows",
            ..
        }
    ));
}

#[test]
fn a_damaged_journal_leaves_neither_tables_nor_directories() {
    let dir = TempDir::new().unwrap();
    let (journal, out) = (dir.path().join("journal"), dir.path().join("a/b/out"));
    record_day(&journal, 2_000, 1);
    let segment = journal.join("0000000000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let error = fails(&ExportOptions::new(&journal, &out));
    assert!(
        matches!(error, Error::Journal(_)) && error.to_string().contains("damaged at offset"),
        "{error}"
    );
    assert!(!dir.path().join("a").exists());
}

#[test]
fn a_failed_export_over_an_earlier_one_keeps_the_earlier_one() {
    let dir = TempDir::new().unwrap();
    let (good, bad, out) = (
        dir.path().join("good"),
        dir.path().join("bad"),
        dir.path().join("out"),
    );
    every_kind(&good);
    export(&ExportOptions::new(&good, &out), &mut |_| {}).unwrap();
    let before: Vec<Vec<u8>> = names(&out)
        .iter()
        .map(|name| fs::read(out.join(name)).unwrap())
        .collect();
    // A quote of an instrument that nothing defines.
    let mut tape = Tape::create(&bad);
    tape.input(&Event::Heartbeat(Heartbeat {}));
    tape.input(&Event::Quote(&Quote {
        bid_price: Price(1),
        bid_qty: Qty(1),
        ..Quote::default()
    }));
    tape.close();
    let error = fails(&ExportOptions {
        overwrite: true,
        ..ExportOptions::new(&bad, &out)
    });
    assert!(matches!(error, Error::Frame { sequence: 2, .. }), "{error}");
    assert!(
        error.to_string().contains("instrument 0 is not defined"),
        "{error}"
    );
    let after: Vec<Vec<u8>> = names(&out)
        .iter()
        .map(|name| fs::read(out.join(name)).unwrap())
        .collect();
    assert!(before == after);
}

#[test]
fn frames_that_do_not_read_are_named() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("out");
    let failing = |name: &str, tag: Tag, payload: &[u8], at: u64| {
        let journal = dir.path().join(name);
        let mut tape = Tape::create(&journal);
        tape.at = at;
        tape.raw(tag, payload);
        tape.close();
        let error = fails(&ExportOptions::new(&journal, &out));
        assert!(
            matches!(error, Error::Frame { sequence: 1, .. }) && !out.exists(),
            "{error}"
        );
        error.to_string()
    };
    assert!(failing("kind", Tag::input(50), b"", 1).contains("frame kind 50 is unknown"));
    assert!(
        failing("size", Tag::input(Kind::Trade.number()), b"short", 1)
            .contains("a trade frame can't have 5 bytes")
    );
    assert!(
        failing("text", Tag::input(Kind::MarketStatus.number()), b"\xc1", 1)
            .contains("market_status")
    );
    let heartbeat = Tag::input(Kind::Heartbeat.number());
    assert!(
        failing("time", heartbeat, b"\x80", u64::MAX)
            .contains("stamp 18446744073709551615 does not fit")
    );
    let mut trade = Vec::new();
    Event::Trade(&Trade::default()).encode(&mut trade);
    assert!(
        failing("order", Tag::input(Kind::Trade.number()), &trade, 1)
            .contains("not defined by any earlier frame")
    );
}

const JOURNAL: &str = "ONETAPE_TEST_FULL_DISK_JOURNAL";

/// Not a test of its own: the process that may not write enough.
#[test]
fn child_exports_onto_a_full_disk() {
    let Ok(journal) = std::env::var(JOURNAL).map(PathBuf::from) else {
        return;
    };
    let out = journal.with_extension("out");
    let options = ExportOptions {
        batch_rows: 1_000,
        ..ExportOptions::new(&journal, &out)
    };
    println!("error=<{}>", fails(&options));
}

/// A limit on the size of a file stands in for the disk: the system refuses the write in the same way.
#[test]
fn a_full_disk_is_one_clear_error_and_nothing_is_left() {
    let dir = TempDir::new().unwrap();
    let journal = dir.path().join("journal");
    record_day(&journal, 20_000, 1);
    let this = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact child_exports_onto_a_full_disk --nocapture"])
        .arg(this)
        .env(JOURNAL, &journal)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let error = text.split_once("error=<").unwrap().1;
    assert!(
        error.contains("could not write") && error.contains(".parquet: File too large"),
        "{error}"
    );
    assert!(
        error.contains("no half-written table is left behind"),
        "{error}"
    );
    assert_eq!(names(dir.path()), ["journal"]);
}
