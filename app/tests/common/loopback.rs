//! Helpers of the tests that run a daemon against the local exchange.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test binary uses some of them, and helpers of tests fail like tests"
)]

use crate::common::{arg, json};
use onetape_venues::exchange::polymarket::token_id;
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A process of ours, ended with the test whatever happens.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Asks it to end, and waits.
    pub fn terminate(&mut self) -> Option<i32> {
        let id = self.0.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(asked.success());
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

/// What the daemon holds, by instrument, as its journal recovers it.
pub fn holdings(journal: &Path) -> BTreeMap<String, String> {
    let recovered = json(&["recover", arg(journal)]);
    let mut holdings: BTreeMap<String, Decimal> = BTreeMap::new();
    for row in recovered["summary"]["positions"].as_array().unwrap() {
        let instrument = row["instrument"].as_str().unwrap().to_owned();
        let qty: Decimal = row["qty"].as_str().unwrap().parse().unwrap();
        *holdings.entry(instrument).or_default() += qty;
    }
    let text = |(name, qty): (String, Decimal)| (name, qty.normalize().to_string());
    holdings.into_iter().map(text).collect()
}

/// Cash by venue and currency, as the journal recovers it.
pub fn cash(journal: &Path) -> BTreeMap<String, String> {
    let recovered = recover(journal);
    let (market, ledger) = (recovered.market(), recovered.desk().ledger());
    let mut cash: BTreeMap<String, Decimal> = BTreeMap::new();
    for row in ledger.cash() {
        let key = format!(
            "{}:{}",
            market.venue(row.venue),
            market.currency(row.currency)
        );
        *cash.entry(key).or_default() += row.balance.to_decimal().unwrap();
    }
    let text = |(name, cash): (String, Decimal)| (name, cash.normalize().to_string());
    cash.into_iter().map(text).collect()
}

pub fn recover(
    journal: &Path,
) -> onetape_engine::sequencer::Sequencer<onetape_engine::sequencer::NullSink> {
    onetape_backtest::recover::recover(journal)
        .unwrap()
        .sequencer
}

/// The truth's names as the daemon's tape has them, without what is zero.
pub fn nonzero(table: &Value) -> BTreeMap<String, String> {
    let table = table.as_object().unwrap().iter();
    let named = |name: &String| match name.strip_prefix("polymarket:") {
        Some("USDC") => "polymarket:USD".to_owned(),
        Some(symbol) if symbol.starts_with("btc") => format!("polymarket:{}", token_id(symbol)),
        _ => name.clone(),
    };
    let text = table.map(|(name, value)| (named(name), value.as_str().unwrap().to_owned()));
    text.filter(|(_, value)| value != "0").collect()
}
