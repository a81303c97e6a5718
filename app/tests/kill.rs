//! SIGKILL at random moments: whatever is killed and started again ends exactly as the run that nobody disturbed.
//!
//! `ONETAPE_KILLS` sets how many kills (20 without it), `ONETAPE_KILL_SEED` repeats a failing run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod common;
use common::{arg, example, generate, json, ok, onetape};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn a_killed_run_ends_like_an_undisturbed_one() {
    kill_again_and_again("mixed", &example("demo"));
}

/// The five systems, with multi-leg orders, brackets and timers under way.
#[test]
fn a_killed_run_of_all_systems_ends_like_an_undisturbed_one() {
    kill_again_and_again("systems", &example("systems"));
}

fn kill_again_and_again(scenario: &str, config: &Path) {
    let kills = from_env("ONETAPE_KILLS", 20);
    let mut random = from_env("ONETAPE_KILL_SEED", u64::from(std::process::id()));
    println!("{scenario}: kills {kills}, seed {random}");
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 21, 60_000, scenario);
    let whole = dir.path().join("whole");
    let started = Instant::now();
    ok(&[
        "backtest",
        arg(&day),
        "--config",
        arg(config),
        "--journal",
        arg(&whole),
        "--snapshot-every",
        "7000",
    ]);
    let span_us = u64::try_from(started.elapsed().as_micros())
        .unwrap()
        .max(1_000);
    let expected = json(&["info", arg(&whole)]);
    let expected_state = json(&["recover", arg(&whole)])["summary"].clone();

    let (mut killed, mut runs, mut in_the_middle) = (0, 0, 0);
    while killed < kills {
        let journal = dir.path().join(format!("run-{runs}"));
        runs += 1;
        // Up to four kills on the way to one finish.
        for _ in 0..4 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let after = Duration::from_micros((random >> 20) % span_us);
            let args = [
                "backtest",
                arg(&day),
                "--config",
                arg(config),
                "--journal",
                arg(&journal),
                "--snapshot-every",
                "7000",
            ];
            let mut child = onetape(&args)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(after);
            let alive = child.try_wait().unwrap().is_none();
            child.kill().unwrap();
            let status = child.wait().unwrap();
            killed += u64::from(alive && status.code().is_none());
            if let Ok(mut reader) = onetape_journal::Reader::open(&journal) {
                let mut last = 0;
                while let Some(frame) = reader.next().expect("a killed run leaves a valid prefix") {
                    last = frame.sequence;
                }
                in_the_middle +=
                    u64::from(last > 0 && last < expected["last_sequence"].as_u64().unwrap());
            }
        }
        ok(&[
            "backtest",
            arg(&day),
            "--config",
            arg(config),
            "--journal",
            arg(&journal),
            "--snapshot-every",
            "7000",
        ]);
        let found = json(&["info", arg(&journal)]);
        for key in ["root_hash", "state_hash", "frames", "kinds"] {
            assert_eq!(
                found[key], expected[key],
                "{key} after {killed} kills, run {runs}"
            );
        }
        let state = json(&["recover", arg(&journal)])["summary"].clone();
        assert_eq!(state, expected_state, "after {killed} kills, run {runs}");
        std::fs::remove_dir_all(&journal).unwrap();
    }
    println!(
        "{killed} kills, {in_the_middle} of them in the middle of the tape, {runs} runs finished identical"
    );
    assert!(
        in_the_middle * 4 >= killed,
        "most kills missed the run: {in_the_middle} of {killed}"
    );
}
