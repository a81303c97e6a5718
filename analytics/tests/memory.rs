//! Memory is bounded by the batch, not by the journal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod common;

use common::record_day;
use onetape_analytics::{ExportOptions, export};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const JOURNAL: &str = "ONETAPE_TEST_EXPORT_JOURNAL";

/// Not a test of its own: the process whose memory is measured.
#[test]
fn child_exports_and_says_its_peak_memory() {
    let Ok(journal) = std::env::var(JOURNAL).map(PathBuf::from) else {
        return;
    };
    let out = journal.with_extension("out");
    let report = export(
        &ExportOptions {
            batch_rows: 16_384,
            ..ExportOptions::new(&journal, &out)
        },
        &mut |_| {},
    )
    .unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap()
        .trim()
        .trim_end_matches(" kB");
    println!("frames={} peak_kb={peak}.", report.frames);
}

/// Frames and peak memory in KiB of an export in a process of its own.
fn measured(journal: &Path) -> (u64, u64) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_exports_and_says_its_peak_memory",
            "--nocapture",
        ])
        .env(JOURNAL, journal)
        // One thread each time: what the pool's threads keep for themselves depends on the machine, not on the journal.
        .env("POLARS_MAX_THREADS", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let number = |name: &str| -> u64 {
        let digits = text.split_once(name).unwrap().1;
        digits
            .chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .unwrap()
    };
    (number("frames="), number("peak_kb="))
}

#[test]
fn a_journal_ten_times_as_long_takes_no_more_memory() {
    if !Path::new("/proc/self/status").exists() {
        println!("skipped: peak memory is read from /proc");
        return;
    }
    let dir = TempDir::new().unwrap();
    let (short, long) = (dir.path().join("short"), dir.path().join("long"));
    record_day(&short, 40_000, 1_000_000);
    record_day(&long, 400_000, 1_000_000);
    let ((short_frames, short_kb), (long_frames, long_kb)) = (measured(&short), measured(&long));
    println!("{short_frames} frames: {short_kb} KiB, {long_frames} frames: {long_kb} KiB");
    assert!(long_frames > 9 * short_frames);
    assert!(
        2 * long_kb < 3 * short_kb,
        "{short_kb} KiB grew to {long_kb} KiB"
    );
}
