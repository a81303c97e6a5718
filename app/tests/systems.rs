//! All five systems in one session, through the real binary: they trade, verify, decide the same again, and every example
//! configuration loads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod common;
use common::{arg, example, fails, frames, generate, json, ok};
use serde_json::Value;
use std::path::Path;

fn run(day: &Path, out: &Path) {
    ok(&[
        "backtest",
        arg(day),
        "--config",
        arg(&example("systems")),
        "--journal",
        arg(out),
    ]);
}

fn tail(journal: &Path, kind: &str) -> Vec<Value> {
    let text = ok(&["tail", arg(journal), "--all", "--kind", kind, "--json"]);
    let read = |line: &str| serde_json::from_str(line).expect("a line is a frame");
    text.lines().map(read).collect()
}

#[test]
fn all_systems_trade_on_one_tape_verify_and_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 7, 150_000, "systems");
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    run(&day, &one);
    run(&day, &two);
    assert!(frames(&one) == frames(&two), "the same day, decided twice");
    let verified = json(&["verify", arg(&one)]);
    assert_eq!(verified["identical"], true);

    let orders = tail(&one, "order_decided");
    for strategy in ["pairs", "weather", "premium", "intents", "leaders"] {
        let mine = |order: &&Value| order["strategy"] == strategy;
        assert!(orders.iter().any(|o| mine(&o)), "{strategy} never traded");
    }
    assert!(!tail(&one, "parent_changed").is_empty());
    assert!(!tail(&one, "intent_changed").is_empty());
    let gates = tail(&one, "gate_changed");
    let inside_bars =
        |gate: &Value| gate["strategy"] == "intents" && gate["gate"] == "warm_up_bars";
    assert!(
        !gates.iter().any(inside_bars),
        "an intents instance detects nothing"
    );

    // A trade: its strategy's gates let it pass, and so do the risk gates.
    let order = orders[0]["sequence"].as_u64().unwrap().to_string();
    let why = json(&["why", arg(&one), "--order", &order]);
    assert_eq!(why["wanted"].as_array().unwrap().len(), 1);
    let passes = |gate: &Value| gate["passes"] == true;
    assert!(
        why["wanted"][0]["gates"]
            .as_array()
            .unwrap()
            .iter()
            .all(passes)
    );
    assert!(!why["outcome"].as_array().unwrap().is_empty());

    // Every gate on the tape is the first that stops its candidate when everything is asked again.
    let stopped: Vec<&Value> = gates
        .iter()
        .filter(|gate| !gate["gate"].is_null())
        .collect();
    for gate in stopped.iter().step_by(stopped.len() / 40 + 1) {
        let sequence = gate["sequence"].as_u64().unwrap().to_string();
        let why = json(&["why", arg(&one), "--seq", &sequence]);
        let candidates = why["candidates"].as_array().unwrap();
        let of = |candidate: &&Value| candidate["number"] == gate["candidate"];
        let candidate = candidates
            .iter()
            .find(of)
            .expect("the candidate is explained");
        let gates = candidate["gates"].as_array().unwrap();
        let first = gates
            .iter()
            .find(|gate| !passes(gate))
            .expect("something stops it");
        assert_eq!(
            (&first["gate"], &first["value"]),
            (&gate["gate"], &gate["value"]),
            "{gate}"
        );
    }

    // A denial: the risk gate that the tape names.
    let denied = tail(&one, "order_denied");
    assert!(!denied.is_empty(), "somebody was denied");
    for denial in denied.iter().step_by(denied.len() / 20 + 1) {
        let sequence = denial["sequence"].as_u64().unwrap().to_string();
        let why = json(&["why", arg(&one), "--seq", &sequence]);
        let gates = why["wanted"][0]["gates"].as_array().unwrap();
        let first = gates
            .iter()
            .find(|gate| !passes(gate))
            .expect("it was denied");
        let (found, recorded) = (&first["gate"], &denial["gate"]);
        let is_same = found
            .as_str()
            .unwrap()
            .starts_with(recorded.as_str().unwrap());
        assert!(is_same && first["value"] == denial["value"], "{denial}");
    }

    fails(&["why", arg(&one), "--order", "1"], 4);
    fails(&["why", arg(&one), "--order", "999999999"], 4);
    fails(
        &[
            "why",
            arg(&one),
            "--instrument",
            "nowhere:X",
            "--at",
            "2026-01-05T12:00:00Z",
        ],
        4,
    );
}

/// A stop order may lie through the book, and what the frame of a denial does not carry (its type, what it hedges, which of
/// several alternatives it is) the answer knows all the same: 100 shares where 50 are allowed, and no price collar.
#[test]
fn a_denied_stop_order_is_explained_as_one() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/intents-day");
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(fixture.join(name)).unwrap();
    let facts = read("facts.toml")
        .replace(
            "order_type = \"limit\"\nprice = 50.00",
            "order_type = \"stop\"\nprice = 52.00",
        )
        .replace("target = 51.00", "target = 53.00");
    let session = format!(
        "{}\n[risk.total]\nmax_order_qty = 50\n",
        read("session.toml")
    );
    let (facts_file, session_file) = (
        dir.path().join("facts.toml"),
        dir.path().join("session.toml"),
    );
    std::fs::write(&facts_file, facts).unwrap();
    std::fs::write(&session_file, session).unwrap();
    let (day, run) = (dir.path().join("day"), dir.path().join("run"));
    let market = fixture.join("market.csv");
    ok(&[
        "import",
        "--journal",
        arg(&day),
        arg(&facts_file),
        arg(&market),
    ]);
    ok(&[
        "backtest",
        arg(&day),
        "--config",
        arg(&session_file),
        "--journal",
        arg(&run),
    ]);
    let denied = tail(&run, "order_denied");
    assert_eq!(denied[0]["gate"], "order_qty");
    let sequence = denied[0]["sequence"].as_u64().unwrap().to_string();
    for question in [["--seq", &sequence], ["--order", &sequence]] {
        let why = json(&["why", arg(&run), question[0], question[1]]);
        let wanted = &why["wanted"][0];
        assert_eq!(wanted["order"], "buy 100 ib:HOOD stop 52.00");
        let gates = wanted["gates"].as_array().unwrap();
        let stopping: Vec<&Value> = gates
            .iter()
            .filter(|gate| gate["passes"] == false)
            .collect();
        assert_eq!(stopping.len(), 1, "{stopping:?}");
        assert_eq!(stopping[0]["gate"], "order_qty (total)");
        assert!(gates.iter().all(|gate| gate["gate"] != "price_collar"));
    }
}

#[test]
fn every_example_configuration_loads() {
    let dir = tempfile::tempdir().unwrap();
    let day = generate(dir.path(), 3, 2_000, "systems");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut loaded = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        ok(&["backtest", arg(&day), "--config", arg(&path)]);
        loaded += 1;
    }
    assert!(loaded >= 7);
}
