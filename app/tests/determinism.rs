//! The same inputs and parameters lead to the same bytes, in every process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod common;
use common::{arg, demo_config, frames, generate, json, ok};

#[test]
fn two_processes_write_identical_frames_and_hashes() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 11, 30_000, "mixed");
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let config = demo_config();
    for journal in [&a, &b] {
        ok(&[
            "backtest",
            arg(&day),
            "--config",
            arg(&config),
            "--journal",
            arg(journal),
        ]);
    }
    assert_eq!(frames(&a), frames(&b));
    let (info_a, info_b) = (json(&["info", arg(&a)]), json(&["info", arg(&b)]));
    assert_eq!(info_a["root_hash"], info_b["root_hash"]);
    assert_eq!(info_a["state_hash"], info_b["state_hash"]);
    assert!(
        info_a["kinds"]["order_decided"].as_u64().unwrap() > 100,
        "the day must be traded: {info_a}"
    );

    let memory = json(&["backtest", arg(&day), "--config", arg(&config)]);
    let recovered = json(&["recover", arg(&a)]);
    assert_eq!(memory["state_hash"], recovered["summary"]["state_hash"]);
    assert_eq!(memory["positions"], recovered["summary"]["positions"]);
    assert!(ok(&["verify", arg(&a)]).starts_with("verified: identical"));
}

#[test]
fn a_backtest_of_a_backtest_is_the_backtest() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 12, 10_000, "mixed");
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let config = demo_config();
    ok(&[
        "backtest",
        arg(&day),
        "--config",
        arg(&config),
        "--journal",
        arg(&a),
    ]);
    ok(&[
        "backtest",
        arg(&a),
        "--config",
        arg(&config),
        "--journal",
        arg(&b),
    ]);
    assert_eq!(frames(&a), frames(&b));
}

#[test]
fn an_archived_tape_reads_like_the_tape() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 13, 20_000, "mixed");
    let before = (
        frames(&day),
        json(&["info", arg(&day)])["root_hash"].clone(),
    );
    ok(&["archive", arg(&day)]);
    assert!(
        day.join("0000000000000000.seg.zst").exists() && !day.join("0000000000000000.seg").exists()
    );
    assert_eq!(
        (
            frames(&day),
            json(&["info", arg(&day)])["root_hash"].clone()
        ),
        before
    );
}

/// The shipped day is what the generator makes, so it can be made again; its root hash never changes, or old journals
/// would not read the same.
#[test]
fn the_fixture_day_is_the_generated_day() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/mixed-day");
    let day = generate(dir.path(), 7, 100_000, "mixed");
    let root = |journal| json(&["info", arg(journal)])["root_hash"].clone();
    assert_eq!(root(&fixture), root(&day));
    assert_eq!(
        root(&fixture),
        include_str!("../../fixtures/mixed-day.root").trim()
    );
}
