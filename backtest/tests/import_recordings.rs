//! The real recordings: every depth chain ends live without a gap, and the books agree with the recorded tickers.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do
use onetape_backtest::import::{ImportOptions, ImportReport, InstrumentReport, run};
use onetape_engine::event::Event;
use onetape_journal::Reader;
use std::path::{Path, PathBuf};

/// The recordings, or `None` with a line that says so.
fn recordings(files: &[&str]) -> Option<Vec<PathBuf>> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
    if paths.iter().all(|path| path.exists()) {
        return Some(paths);
    }
    println!("skipped: no recordings in {}", folder.display());
    None
}

fn import(journal: &Path, files: Vec<PathBuf>) -> ImportReport {
    let options = ImportOptions {
        journal: journal.to_path_buf(),
        files,
        ..ImportOptions::default()
    };
    run(&options, &mut |_| {}).unwrap_or_else(|e| panic!("{e}"))
}

fn frames(report: &ImportReport, file: usize, kind: &str) -> u64 {
    report.files[file].frames.get(kind).copied().unwrap_or(0)
}

/// Measured on the recordings: not one of the compared states differs, in price or in quantity.
fn assert_agrees(instrument: &InstrumentReport, compared: u64, exact: u64) {
    let agreement = &instrument.agreement;
    assert_eq!(
        (agreement.compared, agreement.exact),
        (compared, exact),
        "{}",
        instrument.name
    );
    assert_eq!(
        agreement.agreed, compared,
        "{:?}",
        agreement.first_differences
    );
    assert_eq!(
        (
            agreement.share.as_str(),
            instrument.gaps,
            instrument.book.as_str()
        ),
        ("1.000000", 0, "live")
    );
}

#[test]
fn every_recorded_book_ends_live_and_equals_the_tickers() {
    // File, lines, quotes, trades, depth updates, book states compared, of these by equal ids.
    let table = [
        (
            "spot_btcusdt_20240808",
            41_249,
            28_040,
            9_757,
            3_451,
            3_450,
            564,
        ),
        (
            "spot_ethusdt_20240808",
            33_618,
            24_077,
            6_106,
            3_434,
            3_433,
            577,
        ),
        (
            "usdm_btcusdt_20240808",
            93_954,
            66_089,
            21_313,
            6_551,
            6_547,
            629,
        ),
        (
            "usdm_ethusdt_20240808",
            74_655,
            53_992,
            14_076,
            6_586,
            6_579,
            551,
        ),
    ];
    for (file, lines, quotes, trades, updates, compared, exact) in table {
        let Some(files) = recordings(&[&format!("binance/{file}.gz")]) else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let report = import(&dir.path().join("journal"), files);
        assert_eq!(report.files[0].lines, lines);
        assert_eq!(
            (frames(&report, 0, "quote"), frames(&report, 0, "trade")),
            (quotes, trades)
        );
        let instrument = &report.instruments[0];
        let deltas = frames(&report, 0, "book_delta");
        assert_eq!(
            deltas + instrument.updates_dropped,
            updates,
            "every update is applied or older than the snapshot"
        );
        assert_eq!((instrument.updates, instrument.snapshots), (updates, 1));
        assert_agrees(instrument, compared, exact);
        assert_eq!(report.clamped_stamps, 0);
    }
}

#[test]
fn the_grid_is_the_venues() {
    let table = [
        (
            "spot_btcusdt_20240808",
            "binance:BTCUSDT",
            "0.01",
            "0.00001",
        ),
        ("spot_ethusdt_20240808", "binance:ETHUSDT", "0.01", "0.0001"),
        (
            "usdm_btcusdt_20240808",
            "binance-futures:BTCUSDT",
            "0.1",
            "0.001",
        ),
        (
            "usdm_ethusdt_20240808",
            "binance-futures:ETHUSDT",
            "0.01",
            "0.001",
        ),
    ];
    for (file, name, tick, lot) in table {
        let Some(files) = recordings(&[&format!("binance/{file}.gz")]) else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let report = import(&dir.path().join("journal"), files);
        let instrument = &report.instruments[0];
        let zeros = |text: &str| text.trim_end_matches('0').to_owned();
        assert_eq!(instrument.name, name);
        assert_eq!(
            (zeros(&instrument.tick_size), zeros(&instrument.lot_size)),
            (tick.to_owned(), lot.to_owned())
        );
    }
}

#[test]
fn the_second_day_goes_on_in_the_same_command_and_in_a_later_one() {
    let days = [
        "binance/spot_btcusdt_20240808.gz",
        "binance/spot_btcusdt_20240809.gz",
    ];
    let Some(files) = recordings(&days) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let together = import(&dir.path().join("together"), files.clone());
    assert_eq!(together.instruments[0].updates_dropped, 2);
    // On the second day the price falls below the last of the snapshot's 1,000 bids. Bids there that rested since before
    // the snapshot are not known, and twice one of them was the best.
    let instrument = &together.instruments[0];
    assert_eq!((instrument.gaps, instrument.book.as_str()), (0, "live"));
    let agreement = &instrument.agreement;
    assert_eq!(
        (agreement.compared, agreement.exact, agreement.agreed),
        (6_493, 1_072, 6_491)
    );
    assert!(instrument.states_beyond_snapshot > 0);
    for difference in &agreement.first_differences {
        let price = |text: &str| text.parse::<rust_decimal::Decimal>().unwrap();
        let last_bid_of_snapshot = price("61631.55");
        assert!(
            price(&difference.ticker[0]) < last_bid_of_snapshot,
            "{difference:?}"
        );
        assert!(
            price(&difference.book[0]) < price(&difference.ticker[0]),
            "{difference:?}"
        );
    }

    let journal = dir.path().join("one after the other");
    let first = import(&journal, vec![files[0].clone()]);
    let second = import(&journal, vec![files[1].clone()]);
    assert_eq!(
        (
            second.instruments[0].book.as_str(),
            second.instruments[0].gaps
        ),
        ("live", 0)
    );
    assert_eq!(
        second.instruments[0].updates,
        frames(&second, 0, "book_delta")
    );
    assert_eq!(
        second.instruments[0].book_last_id,
        together.instruments[0].book_last_id
    );
    assert_eq!(first.frames + second.frames, second.last_sequence);
    assert_eq!(first.frames + second.frames, together.frames);
}

#[test]
fn the_second_day_alone_says_what_is_missing() {
    let Some(files) = recordings(&["binance/spot_btcusdt_20240809.gz"]) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let report = import(&dir.path().join("journal"), files);
    let instrument = &report.instruments[0];
    assert_eq!(
        (
            instrument.book.as_str(),
            instrument.updates,
            instrument.updates_waiting
        ),
        ("snapshotting", 3_044, 3_044)
    );
    assert!(instrument.notes[0].contains("no snapshot in the file: import the day before first"));
}

#[test]
fn files_of_one_period_are_merged_by_time() {
    let Some(files) = recordings(&[
        "binance/spot_btcusdt_20240808.gz",
        "binance/usdm_ethusdt_20240808.gz",
    ]) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let report = import(&dir.path().join("journal"), files.clone());
    assert_eq!(report.clamped_stamps, 0);
    assert_agrees(&report.instruments[0], 3_450, 564);
    assert_agrees(&report.instruments[1], 6_579, 551);

    let journal = dir.path().join("apart");
    import(&journal, vec![files[0].clone()]);
    let options = ImportOptions {
        journal,
        files: vec![files[1].clone()],
        ..ImportOptions::default()
    };
    let refused = run(&options, &mut |_| {}).unwrap_err().to_string();
    assert!(
        refused.contains("before the journal's end") && refused.contains("together"),
        "{refused}"
    );
}

#[test]
fn the_barter_recording_is_read_with_prices_as_they_are_written() {
    let Some(files) = recordings(&["barter/binance_spot_20250325_l1_trades.jsonl.gz"]) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let report = import(&journal, files);
    assert_eq!(
        (report.files[0].lines, report.files[0].format.as_str()),
        (50_000, "barter")
    );
    assert_eq!(
        (frames(&report, 0, "quote"), frames(&report, 0, "trade")),
        (38_968, 11_032)
    );
    assert!(report.files[0].rejects.is_empty());

    // The numbers of the instruments are right if the prices are the coins' own.
    let mut reader = Reader::open(&journal).unwrap();
    let mut market = onetape_engine::market::Market::default();
    while let Some(frame) = reader.next().unwrap() {
        let event = Event::decode(frame.tag.kind(), frame.payload).unwrap();
        let (sequence, now) = (
            onetape_engine::id::Sequence(frame.sequence),
            onetape_engine::time::Nanos(frame.timestamp_ns),
        );
        market.evolve(sequence, now, &event).unwrap();
    }
    for (name, low, high) in [
        ("binance:BTCUSDT", 87_000, 88_000),
        ("binance:ETHUSDT", 2_000, 2_100),
        ("binance:SOLUSDT", 140, 150),
    ] {
        let instrument = market.find(name).unwrap();
        let last = instrument
            .decimals()
            .price_decimal(instrument.last_trade.unwrap());
        assert!(last > low.into() && last < high.into(), "{name} at {last}");
        assert!(instrument.quote().is_some());
    }
}
