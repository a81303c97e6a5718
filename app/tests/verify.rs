//! Verification names the first frame that is not what the inputs lead to, with both values.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod common;
use common::{arg, demo_config, fails, frames, generate, json, ok, run};
use onetape_engine::event::{Event, Kind};
use onetape_journal::{Options, Tag, Writer};
use std::path::{Path, PathBuf};

fn traded(dir: &Path) -> PathBuf {
    let day = generate(dir, 31, 12_000, "mixed");
    let journal = dir.join("run");
    ok(&[
        "backtest",
        arg(&day),
        "--config",
        arg(&demo_config()),
        "--journal",
        arg(&journal),
    ]);
    journal
}

/// A decision altered with a checksum that fits, as a careful forger would.
#[test]
fn a_forged_decision_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, forged) = (traded(dir.path()), dir.path().join("forged"));
    let mut writer = Writer::create(&forged, Options::default()).unwrap();
    let (mut altered, mut price) = (None, String::new());
    for (sequence, at, bits, mut payload) in frames(&journal) {
        let tag = Tag::from_bits(bits).unwrap();
        if tag.kind() == Kind::OrderDecided.number() && altered.is_none() && sequence > 3_000 {
            let Event::OrderDecided(mut order) = Event::decode(tag.kind(), &payload).unwrap()
            else {
                unreachable!()
            };
            order.qty.0 += 1;
            price = order.price.0.to_string();
            payload.clear();
            Event::OrderDecided(order).encode(&mut payload);
            altered = Some(sequence);
        }
        writer.append(tag, at, &payload).unwrap();
    }
    writer.close().unwrap();
    let output = run(&["verify", arg(&forged), "--json"]);
    assert_eq!(output.status.code(), Some(8));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let difference = &found["difference"];
    assert_eq!(difference["sequence"].as_u64(), altered);
    assert_eq!(difference["fields"][0]["field"], "qty");
    assert_ne!(
        difference["fields"][0]["recorded"],
        difference["fields"][0]["computed"]
    );
    assert!(!price.is_empty());
}

/// One byte of one recorded decision changed in the file: the checksum fails, and verification still names the frame and
/// both values.
#[test]
fn a_flipped_byte_in_a_decision_is_found_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let journal = traded(dir.path());
    let decided = |kept: &&common::Kept| {
        Tag::from_bits(kept.2).unwrap().kind() == Kind::OrderDecided.number()
    };
    let all = frames(&journal);
    let victim = all.iter().filter(decided).nth(5).unwrap();
    let (segment, at) = std::fs::read_dir(&journal)
        .unwrap()
        .filter_map(|entry| {
            Some(entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "seg"))
        })
        .find_map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            bytes
                .windows(victim.3.len())
                .position(|window| window == victim.3)
                .map(|at| (path, at))
        })
        .unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let last = at + victim.3.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let output = run(&["verify", arg(&journal), "--json"]);
    assert_eq!(
        output.status.code(),
        Some(8),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["difference"]["sequence"].as_u64(), Some(victim.0));
    assert!(
        found["difference"]["what"]
            .as_str()
            .unwrap()
            .contains("checksum")
    );
    // Reading on past it is refused as damaged data; recovery may begin at a snapshot behind it.
    assert_eq!(run(&["info", arg(&journal)]).status.code(), Some(4));
    for entry in std::fs::read_dir(&journal).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "snap") {
            std::fs::remove_file(path).unwrap();
        }
    }
    fails(&["recover", arg(&journal)], 4);
}

#[test]
fn another_parameter_is_found_at_its_first_decision() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 32, 5_000, "quotes");
    let journal = dir.path().join("run");
    ok(&[
        "backtest",
        arg(&day),
        "--strategy",
        "ema_cross",
        "--journal",
        arg(&journal),
    ]);
    let output = run(&["verify", arg(&journal), "--set", "slow=21", "--json"]);
    assert_eq!(
        output.status.code(),
        Some(8),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["difference"]["strategy"], "ema_cross");
    assert!(ok(&["verify", arg(&journal), "--set", "slow=20"]).starts_with("verified: identical"));
}

#[test]
fn a_tape_of_inputs_alone_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 33, 1_000, "depth");
    let result = json(&["verify", arg(&day)]);
    assert_eq!(
        (result["identical"].as_bool(), result["derived"].as_u64()),
        (Some(true), Some(0))
    );
}
