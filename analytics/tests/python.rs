//! Python polars reads the tables, and comes to the engine's own figures to the last digit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod common;

use common::{expected_rows, record_day, run_day};
use onetape_analytics::{ExportOptions, export};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::process::Command;
use tempfile::TempDir;

/// `python3`, or the interpreter that ONETAPE_PYTHON names; none if polars is not installed there.
fn python() -> Option<String> {
    let python = std::env::var("ONETAPE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let imports = Command::new(&python).args(["-c", "import polars"]).output();
    if imports.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let required = std::env::var("ONETAPE_REQUIRE_PYTHON").is_ok_and(|value| value == "1");
    assert!(
        !required,
        "ONETAPE_REQUIRE_PYTHON=1, but '{python}' can't import polars: 'pip install polars'"
    );
    println!(
        "skipped: '{python}' can't import polars ('pip install polars'); ONETAPE_REQUIRE_PYTHON=1 makes this an error"
    );
    None
}

fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(Value::to_string);
    rows
}

#[test]
fn python_polars_comes_to_the_engines_figures_to_the_last_digit() {
    let Some(python) = python() else { return };
    let dir = TempDir::new().unwrap();
    let (source, journal, out) = (
        dir.path().join("source"),
        dir.path().join("journal"),
        dir.path().join("out"),
    );
    record_day(&source, 4_000, 100_000_000);
    let summary = run_day(&source, &journal);
    export(
        &ExportOptions {
            batch_rows: 1_000,
            ..ExportOptions::new(&journal, &out)
        },
        &mut |_| {},
    )
    .unwrap();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_back.py");
    let output = Command::new(python).arg(script).arg(&out).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(
        found["rows"],
        serde_json::to_value(expected_rows(&journal)).unwrap()
    );
    let results = summary
        .results
        .iter()
        .filter(|result| result.turnover.0 != 0);
    let results = results
        .map(|r| json!({ "strategy": r.strategy, "turnover": r.turnover, "fees": r.fees }))
        .collect();
    assert_eq!(
        sorted(found["results"].as_array().unwrap().clone()),
        sorted(results)
    );
    let positions = summary
        .positions
        .iter()
        .filter(|position| position.fills != 0);
    let positions = positions
        .map(|p| json!({
            "strategy": p.strategy, "instrument": p.instrument, "qty": p.qty.normalize().to_string(), "fills": p.fills,
        }))
        .collect();
    assert_eq!(
        sorted(found["positions"].as_array().unwrap().clone()),
        sorted(positions)
    );
    let gates: serde_json::Map<String, Value> = summary
        .gates
        .iter()
        .map(|gate| (gate.gate.to_owned(), gate.denied.into()))
        .collect();
    assert!(!gates.is_empty());
    assert_eq!(found["gates"], Value::Object(gates));
    assert!(
        found["fill_qty"]
            .as_str()
            .unwrap()
            .parse::<Decimal>()
            .unwrap()
            > Decimal::ZERO
    );
}
