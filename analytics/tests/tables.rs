//! What is in the tables is what is on the tape, to the last digit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod common;

use common::{MIDNIGHT, every_kind, expected_rows, read, record_day, run_day};
use onetape_analytics::{ExportOptions, ExportReport, Table, export, schema};
use onetape_backtest::Summary;
use onetape_engine::event::Kind;
use onetape_engine::number::Money;
use polars::prelude::{AnyValue, DataFrame, DataType, TimeUnit, TimeZone};
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;

fn exported(journal: &Path, out: &Path, batch_rows: usize) -> ExportReport {
    export(
        &ExportOptions {
            batch_rows,
            ..ExportOptions::new(journal, out)
        },
        &mut |_| {},
    )
    .unwrap()
}

/// An exact column's values in units of 1e-18.
fn units(frame: &DataFrame, column: &str) -> Vec<Option<i128>> {
    let column = frame.column(column).unwrap();
    assert_eq!(column.dtype(), &DataType::Decimal(38, 18));
    column.decimal().unwrap().physical().iter().collect()
}

fn decimals(frame: &DataFrame, column: &str) -> Vec<Option<String>> {
    units(frame, column)
        .into_iter()
        .map(|value| value.map(|units| Money(units).to_string()))
        .collect()
}

fn texts(frame: &DataFrame, column: &str) -> Vec<Option<String>> {
    frame
        .column(column)
        .unwrap()
        .str()
        .unwrap()
        .iter()
        .map(|text| text.map(str::to_owned))
        .collect()
}

fn numbers(frame: &DataFrame, column: &str) -> Vec<Option<u64>> {
    frame
        .column(column)
        .unwrap()
        .u64()
        .unwrap()
        .iter()
        .collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn every_table_has_a_row_for_each_frame_of_its_kind_and_the_schema_that_the_code_says() {
    let dir = TempDir::new().unwrap();
    let (journal, out) = (dir.path().join("journal"), dir.path().join("out"));
    every_kind(&journal);
    let report = exported(&journal, &out, ExportOptions::BATCH_ROWS);
    let expected = expected_rows(&journal);
    assert_eq!(report.tables.len(), Kind::ALL.len());
    for (table, reported) in schema().zip(&report.tables) {
        let frame = read(&out, table.name);
        assert_eq!(
            frame.height() as u64,
            expected[table.name],
            "{}",
            table.name
        );
        assert_eq!(
            (reported.file.as_str(), reported.rows),
            (table.file_name().as_str(), frame.height() as u64)
        );
        assert_eq!(
            reported.bytes,
            out.join(&reported.file).metadata().unwrap().len()
        );
        assert_eq!(**frame.schema(), table.polars_schema(), "{}", table.name);
        for column in table.all_columns().filter(|column| !column.nullable) {
            assert_eq!(
                frame.column(column.name).unwrap().null_count(),
                0,
                "{}.{}",
                table.name,
                column.name
            );
        }
    }
}

#[test]
fn values_are_those_of_the_tape() {
    let dir = TempDir::new().unwrap();
    let (journal, out) = (dir.path().join("journal"), dir.path().join("out"));
    every_kind(&journal);
    exported(&journal, &out, ExportOptions::BATCH_ROWS);

    let quote = read(&out, "quote");
    assert_eq!(decimals(&quote, "bid_price"), [None]);
    assert_eq!(decimals(&quote, "bid_qty"), some(&["0"]));
    assert_eq!(decimals(&quote, "ask_price"), some(&["0.4501"]));
    assert_eq!(decimals(&quote, "ask_qty"), some(&["2.5"]));
    assert_eq!(texts(&quote, "instrument"), some(&["kalshi:RAIN"]));
    assert_eq!(numbers(&quote, "update_id"), [None]);
    assert_eq!(numbers(&quote, "sequence"), [Some(6)]);
    assert_eq!(
        quote.column("at").unwrap().get(0).unwrap(),
        AnyValue::Datetime(
            (MIDNIGHT + 123_456_789) as i64,
            TimeUnit::Nanoseconds,
            Some(&TimeZone::UTC)
        )
    );

    assert_eq!(
        decimals(&read(&out, "trade"), "price"),
        some(&["922337203685477.5807"])
    );
    assert_eq!(texts(&read(&out, "trade"), "aggressor"), some(&["unknown"]));

    let delta = read(&out, "book_delta");
    assert_eq!(texts(&delta, "side"), some(&["buy", "sell"]));
    assert_eq!(decimals(&delta, "price"), some(&["0.0001", "0.0002"]));
    assert_eq!(decimals(&delta, "qty"), some(&["0", "0.03"]));
    assert_eq!(numbers(&delta, "previous_id"), [Some(4), Some(4)]);
    assert_eq!(read(&out, "book_snapshot").height(), 0);

    let report = read(&out, "execution_report");
    assert_eq!(numbers(&report, "cause"), [None, Some(2)]);
    assert_eq!(texts(&report, "state"), some(&["cancelled", "filled"]));
    assert_eq!(
        texts(&report, "reason"),
        [Some("requested".to_owned()), None]
    );
    assert_eq!(
        decimals(&report, "fill_notional"),
        [None, Some("1.12525".to_owned())]
    );
    assert_eq!(
        decimals(&report, "fill_fee"),
        [None, Some("0.000000000000000001".to_owned())]
    );

    let decided = read(&out, "order_decided");
    assert_eq!(decimals(&decided, "price"), [Some("0.45".to_owned()), None]);
    assert_eq!(texts(&decided, "strategy"), some(&["maker", "maker"]));

    let denied = read(&out, "order_denied");
    assert_eq!(decimals(&denied, "value"), [Some("1.5".to_owned()), None]);
    assert_eq!(
        texts(&denied, "value_text"),
        some(&["1.5", "79228162514264337593543950335"])
    );

    let fees = read(&out, "fee_schedule");
    assert_eq!(decimals(&fees, "taker_rate")[..1], [None]);
    assert_eq!(
        texts(&fees, "taker_rate_text")[..1],
        some(&["0.00000000000000000007"])
    );

    let feed = read(&out, "feed_state");
    assert_eq!(
        texts(&feed, "stale_reason"),
        [None, Some("gap".to_owned()), Some("silent".to_owned())]
    );
    assert_eq!(numbers(&feed, "gap_found"), [None, Some(9), None]);

    let halts = read(&out, "halt_changed");
    assert_eq!(
        texts(&halts, "strategy"),
        [None, Some("maker".to_owned()), None]
    );
    assert_eq!(numbers(&halts, "order"), [None, None, Some(30)]);
    assert_eq!(
        read(&out, "timer_set").column("due").unwrap().null_count(),
        1
    );

    let start = read(&out, "session_start");
    let config = texts(&start, "config").remove(0).unwrap();
    let config: onetape_engine::session::SessionConfig = serde_json::from_str(&config).unwrap();
    assert_eq!(config, common::config());
    let note = texts(&read(&out, "operator_command"), "note")
        .remove(0)
        .unwrap();
    assert_eq!(note, "a note, \"quoted\"\nover two lines — ünïcode");
}

#[test]
fn fills_add_up_to_what_the_engine_says_to_the_last_digit() {
    let dir = TempDir::new().unwrap();
    let (source, journal, out) = (
        dir.path().join("source"),
        dir.path().join("journal"),
        dir.path().join("out"),
    );
    record_day(&source, 4_000, 100_000_000);
    let summary = run_day(&source, &journal);
    assert!(
        summary.fills > 100 && summary.maker_fills > 0 && !summary.gates.is_empty(),
        "{summary:?}"
    );
    let report = exported(&journal, &out, 100);
    assert_eq!(report.frames, summary.frames);
    for (name, rows) in expected_rows(&journal) {
        assert_eq!(read(&out, name).height() as u64, rows, "{name}");
    }
    check_fills(&out, &summary);
}

fn check_fills(out: &Path, summary: &Summary) {
    let (decided, reports) = (read(out, "order_decided"), read(out, "execution_report"));
    let orders: BTreeMap<u64, (String, i128)> = numbers(&decided, "sequence")
        .into_iter()
        .zip(texts(&decided, "strategy"))
        .zip(texts(&decided, "side"))
        .map(|((id, strategy), side)| {
            (
                id.unwrap(),
                (
                    strategy.unwrap(),
                    if side.as_deref() == Some("buy") {
                        1
                    } else {
                        -1
                    },
                ),
            )
        })
        .collect();
    let (mut turnover, mut fees) = (BTreeMap::<&str, i128>::new(), BTreeMap::<&str, i128>::new());
    let mut positions = BTreeMap::<(&str, String), (i128, u64)>::new();
    let (qtys, notionals, paid) = (
        units(&reports, "fill_qty"),
        units(&reports, "fill_notional"),
        units(&reports, "fill_fee"),
    );
    let instruments = texts(&reports, "instrument");
    for (row, order) in numbers(&reports, "order").into_iter().enumerate() {
        let (Some(qty), Some(notional), Some(fee)) = (qtys[row], notionals[row], paid[row]) else {
            continue;
        };
        let (strategy, sign) = &orders[&order.unwrap()];
        *turnover.entry(strategy).or_default() += notional;
        *fees.entry(strategy).or_default() += fee;
        let position = positions
            .entry((strategy, instruments[row].clone().unwrap()))
            .or_default();
        position.0 += sign * qty;
        position.1 += 1;
    }
    assert!(!summary.results.is_empty());
    for result in &summary.results {
        assert_eq!(Money(turnover[result.strategy.as_str()]), result.turnover);
        assert_eq!(Money(fees[result.strategy.as_str()]), result.fees);
    }
    for position in &summary.positions {
        let (qty, fills) = positions[&(position.strategy.as_str(), position.instrument.clone())];
        assert_eq!(Money(qty).to_decimal().unwrap(), position.qty.normalize());
        assert_eq!(fills, position.fills);
    }
}

#[test]
fn only_the_kinds_that_were_asked_for_are_written_and_still_have_their_names() {
    let dir = TempDir::new().unwrap();
    let (journal, out) = (dir.path().join("journal"), dir.path().join("out"));
    every_kind(&journal);
    let kinds = Some(vec![Kind::OrderDenied, Kind::Quote, Kind::Quote]);
    let mut frames = 0;
    let report = export(
        &ExportOptions {
            kinds,
            ..ExportOptions::new(&journal, &out)
        },
        &mut |n| frames = n,
    )
    .unwrap();
    assert_eq!(report.frames, frames);
    let files: Vec<&str> = report
        .tables
        .iter()
        .map(|table| table.file.as_str())
        .collect();
    assert_eq!(files, ["quote.parquet", "order_denied.parquet"]);
    let mut found: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    found.sort();
    assert_eq!(found, ["order_denied.parquet", "quote.parquet"]);
    assert_eq!(
        texts(&read(&out, "order_denied"), "strategy"),
        some(&["maker", "maker"])
    );
    assert_eq!(
        texts(&read(&out, "quote"), "instrument"),
        some(&["kalshi:RAIN"])
    );
}

#[test]
fn no_table_has_two_columns_of_one_name() {
    for table in schema() {
        assert_eq!(
            table.polars_schema().len(),
            Table::common().len() + table.columns.len(),
            "{}",
            table.name
        );
    }
}
