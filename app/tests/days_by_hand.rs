//! One small day for each of the five systems, in `fixtures/`: every figure of its run is worked out by hand here, to the last
//! digit, and the run verifies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod common;
use common::{arg, json, ok};
use serde_json::Value;
use std::path::Path;

/// Fills as (instrument, price, quantity, fee), in order.
type Fills = Vec<[String; 4]>;

struct Day {
    summary: Value,
    fills: Fills,
}

fn day(name: &str) -> Day {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures")
        .join(name);
    let dir = tempfile::tempdir().unwrap();
    let (day, run) = (dir.path().join("day"), dir.path().join("run"));
    let (facts, market) = (fixture.join("facts.toml"), fixture.join("market.csv"));
    let session = fixture.join("session.toml");
    ok(&["import", "--journal", arg(&day), arg(&facts), arg(&market)]);
    let summary = json(&[
        "backtest",
        arg(&day),
        "--config",
        arg(&session),
        "--journal",
        arg(&run),
    ]);
    assert_eq!(json(&["verify", arg(&run)])["identical"], true);
    let reports = ok(&[
        "tail",
        arg(&run),
        "--all",
        "--kind",
        "execution_report",
        "--json",
    ]);
    let fills = reports
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|report| report["fill"].is_object())
        .map(|report| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let fill = &report["fill"];
            [
                text(&report["instrument"]),
                text(&fill["price"]),
                text(&fill["qty"]),
                text(&fill["fee"]),
            ]
        })
        .collect();
    Day { summary, fills }
}

impl Day {
    /// Realised, fees and net in a currency.
    fn result(&self, currency: &str) -> [String; 3] {
        let results = self.summary["results"].as_array().unwrap();
        let result = results.iter().find(|r| r["currency"] == currency).unwrap();
        ["realised", "fees", "net"].map(|field| result[field].as_str().unwrap().to_owned())
    }
}

fn fills(expected: &[[&str; 4]]) -> Fills {
    expected
        .iter()
        .map(|fill| fill.map(str::to_owned))
        .collect()
}

/// A share of each costs .45 + .50 = .95, and the fees .07 x .45 x .55 = .017325 and .04 x .50 x .50 = .01. A budget of 3 % of
/// 10,000 buys 300 / .977325 = 306.96, so 306. Kalshi: 306 x .017325 = 5.30145, up to the cent 5.31. Polymarket: 3.06 exactly.
/// With the same depth on both, Polymarket goes first. YES pays 306 - 137.70 = 168.30 on Kalshi,
/// NO loses 153: 168.30 - 5.31 - 153 - 3.06 = 6.93.
#[test]
fn a_pair_held_to_settlement() {
    let day = day("pairs-day");
    assert_eq!(
        day.fills,
        fills(&[
            ["polymarket:rate-cut-no", "0.5000", "306.00", "3.06"],
            ["kalshi:RATE-CUT", "0.4500", "306.00", "5.31"],
        ])
    );
    assert_eq!(day.result("USD"), ["168.3", "5.31", "162.99"]);
    assert_eq!(day.result("USDC"), ["-153", "3.06", "-156.06"]);
}

/// Between 84 and 85 with mean 85 and deviation 3: .257646. At .20 and a fee of .0112 a share the stake is a quarter of
/// (.257646 - .2112) / (1 - .2112) = .0589 of 992.10: 14.61, which buys 68 (.7616 up to .77: 68 x .20 + .77 = 14.37) and
/// not 69 (.7728 up to .78, where the stake falls to 14.56: 69 x .20 + .78 = 14.58). It was 84: 68 - 13.60 - .77 = 53.63.
#[test]
fn a_bracket_bought_below_its_chance() {
    let day = day("weather-day");
    let contract = "kalshi:KXHIGHNY-26JUL04-B84.5";
    assert_eq!(day.fills, fills(&[[contract, "0.2000", "68.00", "0.77"]]));
    assert_eq!(day.result("USD"), ["54.4", "0.77", "53.63"]);
}

/// 143,100,000 / (99,510 x 1431) - 1 = 49.24 bps. A thousand dollars buy 1000 / 99,510 = .01004 coins. Upbit: sold for
/// 1,436,724, bought back for .01004 x 142,367,000 = 1,429,364.68, fees of 5 bps 718.362 and 714.68234. Binance: bought for
/// 999.0804, sold for 998.98, fees of 10 bps .9990804 and .99898.
#[test]
fn a_premium_opened_and_closed() {
    let day = day("premium-day");
    let (won, dollar) = ("upbit:KRW-BTC", "binance:BTCUSDT");
    assert_eq!(
        day.fills,
        fills(&[
            [won, "143100000", "0.01004000", "718.362"],
            [dollar, "99510.00", "0.01004", "0.9990804"],
            [won, "142367000", "0.01004000", "714.68234"],
            [dollar, "99500.00", "0.01004", "0.99898"],
        ])
    );
    assert_eq!(day.result("KRW"), ["7359.32", "1433.04434", "5926.27566"]);
    assert_eq!(day.result("USDT"), ["-0.1004", "1.9980604", "-2.0984604"]);
    // Won per dollar did not move, so all of the profit is trading's.
    let figure = |name: &str| {
        let figures = day.summary["figures"].as_array().unwrap();
        let found = figures.iter().find(|figure| figure[1] == name).unwrap();
        found[2].as_str().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(figure("round trips"), 1.0);
    assert!(
        figure("FX USDT").abs() < 1e-15,
        "divisions are rounded at 1e-18"
    );
    assert!((figure("trading USDT") - (5926.27566 / 1431.0 - 2.0984604)).abs() < 0.01);
}

/// 100 shares from 50.00 to the target of 51.00: 100.00 less twice the least commission of 1.00 (100 x .005 is .50). The stop at
/// 49.50 is taken back, and the key that came twice is a duplicate.
#[test]
fn an_intent_with_its_bracket() {
    let day = day("intents-day");
    assert_eq!(
        day.fills,
        fills(&[
            ["ib:HOOD", "50.00", "100", "1"],
            ["ib:HOOD", "51.00", "100", "1"],
        ])
    );
    assert_eq!(day.summary["cancelled"], 1);
    assert_eq!(day.result("USD"), ["100", "2", "98"]);
}

/// 80 of 10,000 is .008, which of 1,000 is 8: 8 / .405 = 19.753, so 19.75 at .405, slippage 1.25 %. Fee .04 x .405 x .595 x
/// 19.75 = .19037025, cut to .19037. The leader sells 50 of 200: 19.75 / 4 = 4.9375, so 4.93 at .41, fee .04 x .41 x .59 x 4.93
/// = .04770268, cut to .04770. The rest pays 14.82: 14.82 + 2.0213 - 7.99875 = 8.84255, less fees 8.60448.
#[test]
fn a_leader_followed_in_and_out() {
    let day = day("leaders-day");
    let token = "polymarket:launch-yes";
    assert_eq!(
        day.fills,
        fills(&[
            [token, "0.4050", "19.75", "0.19037"],
            [token, "0.4100", "4.93", "0.0477"],
        ])
    );
    assert_eq!(day.result("USDC"), ["8.84255", "0.23807", "8.60448"]);
}
