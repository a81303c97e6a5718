//! Bad input gets one clear message with the exit code of its kind, and nothing is lost or half-written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod common;
use common::{arg, demo_config, fails, generate, json, ok, run};
use std::path::Path;

#[test]
fn help_and_completions_answer() {
    assert!(ok(&["--help"]).contains("onetape demo"));
    for verb in [
        "demo", "import", "generate", "backtest", "verify", "recover", "info", "tail", "export",
        "archive",
    ] {
        assert!(ok(&[verb, "--help"]).contains("Usage: onetape"), "{verb}");
    }
    assert!(ok(&["completions", "bash"]).contains("_onetape"));
}

#[test]
fn wrong_words_on_the_command_line_are_usage_errors() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 1, 100, "quotes");
    fails(&["backtset"], 2);
    fails(&["backtest", arg(&day), "--sett", "a=1"], 2);
    fails(
        &[
            "generate",
            "--journal",
            arg(&dir.path().join("x")),
            "--seed",
            "1",
            "--scenario",
            "mixd",
        ],
        2,
    );
    assert!(fails(&["tail", arg(&day), "--kind", "qoute"], 2).contains("quote"));
    assert!(
        fails(&["tail", arg(&day), "--instrument", "binance:NONE"], 2).contains("generated:WALK")
    );
    assert!(
        fails(
            &[
                "backtest",
                arg(&day),
                "--strategy",
                "ema_cross",
                "--set",
                "fast"
            ],
            2
        )
        .contains("KEY=VALUE")
    );
    fails(&["backtest", arg(&day), "--journal", arg(&day)], 2);
}

#[test]
fn a_wrong_configuration_names_file_line_column_and_the_likely_word() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 1, 100, "quotes");
    let file = dir.path().join("my.toml");
    std::fs::write(
        &file,
        "[[strategy]]\nname = \"ema_cross\"\n[strategy.params]\nslwo = 30\n",
    )
    .unwrap();
    let complaint = fails(&["backtest", arg(&day), "--config", arg(&file)], 3);
    assert!(
        complaint.contains("my.toml:4:1") && complaint.contains("did you mean 'slow'"),
        "{complaint}"
    );
    let missing = fails(&["backtest", arg(&day), "--config", "no-such.toml"], 3);
    assert!(missing.contains("no-such.toml"), "{missing}");
    let useless = fails(
        &[
            "backtest",
            arg(&day),
            "--strategy",
            "ema_cross",
            "--set",
            "fast=30",
        ],
        3,
    );
    assert!(useless.contains("below slow"), "{useless}");
    assert!(fails(&["backtest", arg(&day), "--strategy", "ema_cros"], 3).contains("ema_cross"));
}

/// One of each kind through the binary; every way to be wrong is `backtest/tests/import_facts.rs`.
#[test]
fn a_bad_fact_of_each_kind_is_named_before_anything_is_written() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    for (fixture, from, to, named) in [
        (
            "pairs-day",
            "confidence_pct = 100",
            "confidence_pct = 101",
            "field 'pair_approved.confidence_pct' is '101': must be from 1 to 100",
        ),
        (
            "pairs-day",
            "rate = \"0.07\"",
            "rate = \"-0.07\"",
            "a rate is negative",
        ),
        (
            "leaders-day",
            "typical_usd = 80",
            "typical_usd = 0",
            "field 'leader_listed.typical_usd' is '0': must be more than zero: his trades are measured against it",
        ),
        (
            "weather-day",
            "high_f = 85\n",
            "high_f = 850\n",
            "field 'forecast.high_f' is '850': must be from -150",
        ),
        (
            "intents-day",
            "close = 16:00:00",
            "close = 09:00:00",
            "field 'close' is '09:00:00': must be after open",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(fixtures.join(fixture).join("facts.toml")).unwrap();
        assert!(text.contains(from), "{fixture}: {from}");
        let (facts, day) = (dir.path().join("facts.toml"), dir.path().join("day"));
        std::fs::write(&facts, text.replacen(from, to, 1)).unwrap();
        // Drawn in a box, a message is broken into lines.
        let complaint = fails(
            &["import", "--json", "--journal", arg(&day), arg(&facts)],
            4,
        );
        assert!(
            complaint.contains("facts.toml line ") && complaint.contains(named),
            "{complaint}\n  expected: {named}"
        );
        assert!(!day.exists(), "{named}");
    }
}

/// The sample of the requirements starts, and is told of; a limit for a venue that no tape has is told of, too.
#[test]
fn what_is_likely_not_meant_is_said_and_runs() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 1, 100, "quotes");
    let file = dir.path().join("my.toml");
    let text = "[risk.venues.generatd]\nmax_position = 1\n[risk.instruments.\"generated:WALKK\"]\nmax_position = 1\n\
                [modes]\ngeneratd = \"paper\"\n[[strategy]]\nname = \"cross_exchange\"\n";
    std::fs::write(&file, text).unwrap();
    let output = run(&["backtest", arg(&day), "--config", arg(&file)]);
    let (said, warned) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{warned}");
    assert!(
        warned.contains(
            "my.toml:7:1: strategy 'cross_exchange': max_day_loss_usdt should be at least"
        ) && warned.contains("found 500 and 1000"),
        "{warned}"
    );
    for line in [
        "warning: risk.venues names 'generatd', and the tape has no such venue, so it holds for nothing; it has generated",
        "warning: risk.instruments names 'generated:WALKK', and the tape has no such instrument",
        "warning: modes names 'generatd', and the tape has no such venue",
        "warning: strategy 'cross_exchange' names upbit:KRW-BTC, which the tape does not have",
    ] {
        assert!(said.contains(line), "{said}\n  expected: {line}");
    }
}

#[test]
fn a_place_without_a_journal_is_said_to_be_one() {
    let dir = tempfile::tempdir().unwrap();
    for verb in ["verify", "recover", "info", "tail", "backtest", "archive"] {
        let complaint = fails(&[verb, arg(dir.path())], 4);
        assert!(complaint.contains("no journal in"), "{verb}: {complaint}");
    }
}

#[test]
fn a_finished_run_is_not_run_again_and_another_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (day, other) = (
        generate(dir.path(), 1, 2_000, "quotes"),
        generate(dir.path(), 2, 2_000, "quotes"),
    );
    let journal = dir.path().join("run");
    ok(&[
        "backtest",
        arg(&day),
        "--strategy",
        "ema_cross",
        "--journal",
        arg(&journal),
    ]);
    let before = json(&["info", arg(&journal)])["root_hash"].clone();
    ok(&[
        "backtest",
        arg(&day),
        "--strategy",
        "ema_cross",
        "--journal",
        arg(&journal),
    ]);
    fails(
        &[
            "backtest",
            arg(&day),
            "--strategy",
            "ema_cross",
            "--set",
            "slow=30",
            "--journal",
            arg(&journal),
        ],
        4,
    );
    fails(
        &[
            "backtest",
            arg(&other),
            "--strategy",
            "ema_cross",
            "--journal",
            arg(&journal),
        ],
        4,
    );
    assert_eq!(json(&["info", arg(&journal)])["root_hash"], before);
}

#[test]
fn a_second_writer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 1, 20_000, "quotes");
    let journal = dir.path().join("run");
    let args = [
        "backtest",
        arg(&day),
        "--strategy",
        "ema_cross",
        "--journal",
        arg(&journal),
    ];
    let mut paced = args.to_vec();
    paced.extend(["--pace", "2000"]);
    let mut first = common::onetape(&paced)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while onetape_journal::Reader::open(&journal).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let complaint = fails(&args, 1);
    assert!(complaint.contains("another writer"), "{complaint}");
    first.kill().unwrap();
    first.wait().unwrap();
    ok(&args);
    ok(&["verify", arg(&journal)]);
}

#[test]
fn a_cut_tape_reads_as_far_as_it_goes_or_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 1, 3_000, "quotes");
    let segment = day.join("0000000000000000.seg");
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..100_000]).unwrap();
    // The journal was closed in order, so its durable record knows that frames are missing.
    let complaint = fails(&["recover", arg(&day)], 4);
    assert!(
        complaint.contains("were recorded as being on disk"),
        "{complaint}"
    );
    let info = run(&["info", arg(&day), "--json"]);
    assert_eq!(info.status.code(), Some(4));
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert!(info["frames"].as_u64().unwrap() > 1_000 && info["damage"].is_string());
}

#[test]
fn examples_load_and_run() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 7, 3_000, "mixed");
    let examples = demo_config().parent().unwrap().to_path_buf();
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            ok(&["backtest", arg(&day), "--config", arg(&path)]);
            seen += 1;
        }
    }
    assert!(seen >= 1);
}

#[test]
fn export_says_how_to_get_it_where_it_is_not_built_in() {
    let dir = tempfile::tempdir().unwrap();
    if cfg!(feature = "export") {
        return;
    }
    let complaint = fails(
        &[
            "export",
            arg(dir.path()),
            "--out",
            arg(&dir.path().join("out")),
        ],
        2,
    );
    assert!(complaint.contains("--features export"), "{complaint}");
}

#[test]
fn the_demo_runs_and_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("demo");
    let said = ok(&["demo", "--dir", arg(&place)]);
    assert!(said.contains("verified: identical, root "), "{said}");
    let next: Vec<&str> = said
        .lines()
        .skip_while(|line| *line != "Next:")
        .skip(1)
        .map(str::trim)
        .collect();
    assert_eq!(next.len(), 3);
    for command in next {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(words[0], "onetape");
        let code = run(&words[1..]).status.code();
        assert!(matches!(code, Some(0 | 8)), "{command}: {code:?}");
    }
    let again = json(&["demo", "--dir", arg(&place)]);
    assert_eq!(again["verified"], true);
    std::fs::write(dir.path().join("mine"), "").unwrap();
    fails(&["demo", "--dir", arg(dir.path())], 2);
}

#[test]
fn tail_follows_a_live_tape_and_filters() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 1, 6_000, "quotes");
    let journal = dir.path().join("run");
    let mut writer = common::onetape(&[
        "backtest",
        arg(&day),
        "--strategy",
        "ema_cross",
        "--journal",
        arg(&journal),
        "--pace",
        "4000",
    ])
    .stdout(std::process::Stdio::null())
    .spawn()
    .unwrap();
    while onetape_journal::Reader::open(&journal).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let followed = ok(&[
        "tail",
        arg(&journal),
        "--follow",
        "--all",
        "--kind",
        "order_decided,session_end",
        "--json",
    ]);
    assert!(writer.wait().unwrap().success());
    let lines: Vec<serde_json::Value> = followed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.last().unwrap()["kind"], "session_end");
    let order = lines
        .iter()
        .find(|line| line["kind"] == "order_decided")
        .unwrap();
    assert_eq!(
        (&order["strategy"], &order["instrument"]),
        (&"ema_cross".into(), &"generated:WALK".into())
    );
    let id = order["sequence"].to_string();
    let of_order = ok(&["tail", arg(&journal), "--all", "--order", &id]);
    assert!(
        of_order.lines().count() >= 2 && of_order.contains("execution_report"),
        "{of_order}"
    );
    assert_eq!(ok(&["tail", arg(&journal), "-n", "3"]).lines().count(), 3);
    let waited = fails(
        &[
            "tail",
            arg(&cut_copy(&journal, dir.path())),
            "--follow",
            "--timeout",
            "1",
        ],
        9,
    );
    assert!(waited.contains("no new frame"), "{waited}");
}

/// A tape whose writer is gone without closing it.
fn cut_copy(journal: &std::path::Path, dir: &std::path::Path) -> std::path::PathBuf {
    let copy = dir.join("unclosed");
    let mut writer =
        onetape_journal::Writer::create(&copy, onetape_journal::Options::default()).unwrap();
    for (_, at, bits, payload) in common::frames(journal).into_iter().take(50) {
        writer
            .append(onetape_journal::Tag::from_bits(bits).unwrap(), at, &payload)
            .unwrap();
    }
    std::mem::forget(writer);
    copy
}
