//! The recorded Binance days through the real binary: `cross_exchange` over a generated won venue and `market_maker` side by side.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod common;
use common::{arg, example, json, ok};
use serde_json::Value;
use std::path::Path;

#[test]
fn both_strategies_trade_the_recorded_days_and_verify() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/binance");
    let files = ["spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"];
    let files = files.map(|file| folder.join(file));
    if !files.iter().all(|file| file.exists()) {
        println!("skipped: no recordings in {}", folder.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [day, with, run] = ["day", "with", "run"].map(|name| dir.path().join(name));
    let import = [
        "import",
        "--maker",
        "0.001",
        "--taker",
        "0.001",
        "--journal",
    ];
    let mut import = import.to_vec();
    import.extend([arg(&day), arg(&files[0]), arg(&files[1])]);
    ok(&import);
    ok(&[
        "generate",
        "--scenario",
        "upbit-premium",
        "--over",
        arg(&day),
        "--journal",
        arg(&with),
        "--seed",
        "7",
    ]);
    let said = ok(&["info", arg(&with)]);
    assert!(
        said.contains("upbit-premium"),
        "marked as generated: {said}"
    );
    let summary = json(&[
        "backtest",
        arg(&with),
        "--config",
        arg(&example("recorded")),
        "--journal",
        arg(&run),
    ]);
    let fills = |strategy: &str, instrument: &str| {
        let positions = summary["positions"].as_array().unwrap();
        let of = |p: &&Value| p["strategy"] == strategy && p["instrument"] == instrument;
        positions
            .iter()
            .find(of)
            .map_or(0, |p| p["fills"].as_u64().unwrap())
    };
    // Every round trip is one fill a leg and way, or more.
    assert!(fills("premium", "upbit:KRW-BTC") >= 4 && fills("premium", "binance:BTCUSDT") >= 4);
    assert!(fills("quotes", "binance:BTCUSDT") > 50);
    let figures = summary["figures"].as_array().unwrap();
    let trips = figures
        .iter()
        .find(|f| f[0] == "premium" && f[1] == "round trips")
        .unwrap();
    assert!(trips[2].as_str().unwrap().parse::<u32>().unwrap() >= 2);
    assert_eq!(json(&["verify", arg(&run)])["identical"], true);
}
