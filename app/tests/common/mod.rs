//! Helpers of the end-to-end tests: the real binary, real journals, nothing imitated.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "each test binary uses some of them, and helpers of tests fail like tests"
)]

use onetape_journal::Reader;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The binary under test, with arguments.
pub fn onetape(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onetape"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Output {
    onetape(args).output().expect("the binary starts")
}

/// Runs the binary, which must succeed, and gives what it printed.
pub fn ok(args: &[&str]) -> String {
    let output = run(args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "onetape {args:?}: {}{}",
        text,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Runs the binary with `--json` and reads its answer.
pub fn json(args: &[&str]) -> Value {
    let mut all = args.to_vec();
    all.push("--json");
    serde_json::from_str(&ok(&all)).expect("the answer is JSON")
}

/// Runs the binary, which must fail with `code`, and gives its complaint.
pub fn fails(args: &[&str], code: i32) -> String {
    let output = run(args);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(code),
        "onetape {args:?}: {said}{complaint}"
    );
    assert!(!complaint.contains("panicked"), "{complaint}");
    complaint
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("test paths are text")
}

/// Generates a day.
pub fn generate(dir: &Path, seed: u64, events: u64, scenario: &str) -> PathBuf {
    let day = dir.join(format!("day-{scenario}-{seed}"));
    let (seed, events) = (seed.to_string(), events.to_string());
    ok(&[
        "generate",
        "--journal",
        arg(&day),
        "--seed",
        &seed,
        "--events",
        &events,
        "--scenario",
        scenario,
    ]);
    day
}

/// One of the example configurations.
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/{name}.toml"))
}

/// The demo's configuration: two strategies.
pub fn demo_config() -> PathBuf {
    example("demo")
}

/// One frame: sequence, stamp, tag, payload.
pub type Kept = (u64, u64, u16, Vec<u8>);

/// Every frame of a journal.
pub fn frames(journal: &Path) -> Vec<Kept> {
    let mut reader = Reader::open(journal).expect("the journal opens");
    let mut all = Vec::new();
    while let Some(frame) = reader.next().expect("every frame verifies") {
        all.push((
            frame.sequence,
            frame.timestamp_ns,
            frame.tag.bits(),
            frame.payload.to_vec(),
        ));
    }
    all
}
