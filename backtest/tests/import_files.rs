//! Small files of every format: what they become, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do
use flate2::Compression;
use flate2::write::GzEncoder;
use onetape_backtest::import::{
    Format, ImportError, ImportOptions, ImportReport, LINE_BYTES_MAX, Progress, run,
};
use onetape_engine::event::Event;
use onetape_engine::id::Sequence;
use onetape_engine::market::Market;
use onetape_engine::order::Side;
use onetape_engine::time::Nanos;
use onetape_journal::Reader;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

struct Room {
    dir: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn journal(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn options(&self, files: &[&Path]) -> ImportOptions {
        let files = files.iter().map(|path| path.to_path_buf()).collect();
        ImportOptions {
            journal: self.journal(),
            files,
            ..ImportOptions::default()
        }
    }

    fn import(&self, files: &[&Path]) -> Result<ImportReport, ImportError> {
        run(&self.options(files), &mut |_| {})
    }

    fn refused(&self, files: &[&Path]) -> String {
        let text = self.import(files).unwrap_err().to_string();
        assert_eq!(text.lines().count(), 1, "one clear line: {text}");
        text
    }

    fn market(&self) -> Market {
        let mut market = Market::default();
        let mut reader = Reader::open(&self.journal()).unwrap();
        let mut last = 0;
        while let Some(frame) = reader.next().unwrap() {
            assert!(frame.timestamp_ns >= last && frame.tag.ends_step() && !frame.tag.is_derived());
            last = frame.timestamp_ns;
            let event = Event::decode(frame.tag.kind(), frame.payload).unwrap();
            market
                .evolve(Sequence(frame.sequence), Nanos(last), &event)
                .unwrap();
        }
        market
    }
}

fn best(market: &Market, name: &str) -> (String, String) {
    let instrument = market.find(name).unwrap();
    let book = instrument.book().unwrap();
    let text = |side| {
        instrument
            .decimals()
            .price_decimal(book.side(side).best().unwrap().price)
            .normalize()
            .to_string()
    };
    (text(Side::Buy), text(Side::Sell))
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn depth(stamp: u64, first: u64, last: u64, bid: &str) -> String {
    format!(
        r#"{stamp} {{"stream":"x","data":{{"e":"depthUpdate","E":5,"s":"BTCUSDT","U":{first},"u":{last},"b":[["{bid}","1.5"]],"a":[]}}}}"#
    ) + "\n"
}

fn snapshot(stamp: u64, id: u64) -> String {
    format!(r#"{stamp} {{"lastUpdateId":{id},"bids":[["100.0","1"]],"asks":[["101.0","2"]]}}"#)
        + "\n"
}

fn ticker(stamp: u64, id: u64, bid: &str, bid_qty: &str) -> String {
    format!(r#"{stamp} {{"u":{id},"s":"BTCUSDT","b":"{bid}","B":"{bid_qty}","a":"101.0","A":"2"}}"#)
        + "\n"
}

#[test]
fn a_gap_loses_the_book_and_a_snapshot_in_mid_stream_brings_it_back() {
    let room = Room::new();
    let file = room.file(
        "spot_btcusdt.txt",
        [
            depth(10, 1, 5, "99.0"),
            snapshot(11, 7),
            depth(12, 6, 9, "100.1"),
            depth(13, 12, 14, "100.2"),
            depth(14, 15, 16, "100.3"),
            snapshot(15, 10),
            snapshot(16, 14),
            depth(17, 17, 18, "100.4"),
        ]
        .concat(),
    );
    let report = room.import(&[&file]).unwrap();
    let instrument = &report.instruments[0];
    assert_eq!(
        (
            instrument.gaps,
            instrument.first_gaps[0].line,
            instrument.book.as_str()
        ),
        (1, 4, "live")
    );
    assert!(
        instrument.first_gaps[0]
            .reason
            .contains("expected an update on 9, found one on 11")
    );
    assert_eq!(
        (
            instrument.snapshots,
            instrument.snapshots_refused,
            instrument.book_last_id
        ),
        (2, 1, 18)
    );
    assert_eq!(
        instrument.updates_dropped, 2,
        "1 to 5 is older than the first snapshot, 12 to 14 than the second"
    );
    assert_eq!(
        best(&room.market(), "binance:BTCUSDT"),
        ("100.4".into(), "101".into())
    );
}

#[test]
fn agreement_counts_equal_ids_and_those_between_two_tickers_and_shows_what_differs() {
    let room = Room::new();
    let file = room.file(
        "spot_btcusdt.txt",
        [
            ticker(9, 3, "99.0", "1.5"),
            depth(10, 1, 5, "99.0"),
            snapshot(11, 5),
            ticker(12, 8, "100.1", "1.5"),
            ticker(13, 9, "100.2", "1.5"),
            depth(14, 6, 8, "100.1"),
            depth(15, 9, 10, "100.2"),
            ticker(16, 12, "100.9", "1.5"),
            depth(17, 11, 12, "100.3"),
            depth(18, 13, 13, "100.3"),
        ]
        .concat(),
    );
    let report = room.import(&[&file]).unwrap();
    let agreement = &report.instruments[0].agreement;
    // 5 lies between 3 and 8 and differs; 8 and 12 have tickers, of which 12 differs; 10 lies between 9 and 12 and
    // agrees; after 13 no ticker came.
    assert_eq!((agreement.exact, agreement.exact_agreed), (2, 1));
    assert_eq!((agreement.bracketed, agreement.bracketed_agreed), (2, 1));
    assert_eq!(
        (
            agreement.fraction.as_str(),
            agreement.share.as_str(),
            agreement.not_comparable
        ),
        ("2/4", "0.500000", 1)
    );
    assert_eq!(agreement.first_differences[1].ticker[0], "100.9");
}

#[test]
fn own_csv_makes_one_frame_of_the_rows_of_one_update() {
    let room = Room::new();
    let file = room.file(
        "day.csv",
        "ts,type,venue,symbol,id,previous_id,side,price,qty,bid_price,bid_qty,ask_price,ask_qty\n\
         2024-08-08T23:54:13.5Z,book_snapshot,kalshi,X-1,4,,bid,0.41,10,,,,\n\
         2024-08-08T23:54:13.5Z,book_snapshot,kalshi,X-1,4,,ask,0.44,1e1,,,,\n\
         2024-08-08T23:54:14,book,kalshi,X-1,5,4,bid,0.42,3,,,,\n\
         2024-08-08T23:54:14,book,kalshi,X-1,5,4,ask,0.44,0,,,,\n\
         2024-08-08T23:54:14,book,kalshi,X-1,5,4,ask,0.45,2,,,,\n\
         2024-08-09T08:54:15+09:00,trade,kalshi,X-1,77,,buy,0.45,1,,,,\n\
         2024-08-08T23:54:16,quote,kalshi,X-2,,,,,,0.1,5,,\n",
    );
    let report = room.import(&[&file]).unwrap();
    let counted = &report.files[0].frames;
    assert_eq!(
        (
            counted["book_snapshot"],
            counted["book_delta"],
            counted["trade"],
            counted["quote"]
        ),
        (1, 1, 1, 1)
    );
    let market = room.market();
    assert_eq!(best(&market, "kalshi:X-1"), ("0.42".into(), "0.45".into()));
    assert_eq!(
        market.find("kalshi:X-1").unwrap().fees_at(Nanos(1)),
        None,
        "no fees are known: no trading"
    );
    assert_eq!(
        market
            .find("kalshi:X-2")
            .unwrap()
            .quote()
            .unwrap()
            .ask
            .qty
            .0,
        0
    );
    assert_eq!(report.last_ns, 1_723_161_256_000_000_000);
}

#[test]
fn rates_on_the_command_are_taken_over() {
    let room = Room::new();
    let file = room.file(
        "day.csv",
        "ts_ms,type,venue,symbol,price,qty\n1723161256000,trade,nyse,AAPL,200.5,10\n",
    );
    let mut options = room.options(&[&file]);
    options.taker = Some(rust_decimal::Decimal::new(3, 4));
    options.venue = Some("other".into());
    run(&options, &mut |_| {}).unwrap();
    let market = room.market();
    let fees = market
        .find("other:AAPL")
        .unwrap()
        .fees_at(Nanos(1))
        .unwrap();
    assert_eq!(
        (fees.taker.rate(), fees.maker.rate(), fees.source.as_str()),
        (options.taker.unwrap(), options.taker.unwrap(), "given")
    );
}

#[test]
fn tardis_books_quotes_and_trades_are_told_apart_and_merged() {
    let room = Room::new();
    let book = room.file(
        "book.csv.gz",
        gzip(
            b"exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n\
              binance,BTCUSDT,1000,1001,true,bid,100.5,1\nbinance,BTCUSDT,1000,1001,true,ask,100.6,1\n\
              binance,BTCUSDT,2000,2001,false,bid,100.5,0\nbinance,BTCUSDT,2000,2001,false,bid,100.4,3\n\
              binance,BTCUSDT,3000,3001,false,ask,100.6,2\n\
              binance,BTCUSDT,4000,4001,true,bid,90,1\nbinance,BTCUSDT,4000,4002,true,ask,91,1\n",
        ),
    );
    let quotes = room.file(
        "quotes.csv",
        "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n\
         binance,BTCUSDT,1500,1501,1,100.6,100.5,2\n",
    );
    let trades = room.file(
        "trades.csv",
        "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n\
         binance,BTCUSDT,2500,2501,abc,sell,100.4,1\n",
    );
    let report = room.import(&[&book, &quotes, &trades]).unwrap();
    assert_eq!(report.files[0].frames["book_snapshot"], 2);
    assert_eq!(report.files[0].frames["book_delta"], 2);
    assert_eq!(
        (
            report.clamped_stamps,
            report.instruments.len(),
            report.instruments[0].gaps
        ),
        (0, 1, 0)
    );
    let market = room.market();
    assert_eq!(best(&market, "binance:BTCUSDT"), ("90".into(), "91".into()));
    assert_eq!(
        market
            .find("binance:BTCUSDT")
            .unwrap()
            .quote()
            .unwrap()
            .bid
            .qty
            .0,
        2
    );
}

#[test]
fn barter_lines_name_their_instruments_by_number() {
    let room = Room::new();
    let line = |instrument: u32| {
        format!(
            r#"{{"Item":{{"time_exchange":"2025-03-25T23:07:00.7Z","time_received":"2025-03-25T23:07:00.8Z","exchange":"okx","instrument":{instrument},"kind":{{"Trade":{{"id":"9","price":0.1,"amount":3e-7,"side":"Buy"}}}}}}}}"#
        ) + "\n"
    };
    let file = room.file("a.jsonl", [line(0), line(1)].concat());
    let mut options = room.options(&[&file]);
    options.instruments = vec!["ADA-USDT".into()];
    let refused = run(&options, &mut |_| {}).unwrap_err().to_string();
    assert!(
        refused.contains("line 2") && refused.contains("field 'instrument' is '1'"),
        "{refused}"
    );
    options.lenient = true;
    let report = run(&options, &mut |_| {}).unwrap();
    assert_eq!(
        (
            report.files[0].rejects[0].count,
            report.instruments[0].qty_decimals
        ),
        (1, 7)
    );
    assert_eq!(report.instruments[0].name, "okx:ADA-USDT");
}

#[test]
fn a_bad_line_names_file_line_field_and_value_and_leaves_no_journal() {
    let room = Room::new();
    let good = depth(10, 1, 5, "99.0");
    for (bad, parts) in [
        (depth(11, 6, 7, "9x"), ["line 2", "field 'b'", "'9x'"]),
        (depth(11, 6, 7, "-9"), ["line 2", "field 'b'", "'-9'"]),
        (depth(11, 9, 7, "9"), ["line 2", "field 'U'", "'9'"]),
        ("x {}\n".into(), ["line 2", "field 'receive time'", "'x'"]),
        (
            "12 {\"u\":1\n".into(),
            ["line 2", "field 'message'", "not a json object"],
        ),
        (
            "12 {\"stream\":\"a@kline\",\"data\":{}}\n".into(),
            ["line 2", "field 'message'", "'a@kline'"],
        ),
    ] {
        let file = room.file("spot_x.txt", [good.as_str(), &bad].concat());
        let refused = room.refused(&[&file]);
        for part in parts.into_iter().chain(["spot_x.txt", "--lenient"]) {
            assert!(refused.contains(part), "'{part}' in {refused}");
        }
        assert!(!room.journal().exists());
    }
}

#[test]
fn lenient_counts_bad_lines_by_reason_and_shows_the_first() {
    let room = Room::new();
    let text = [
        depth(10, 1, 5, "99.0"),
        depth(11, 6, 7, "9x"),
        depth(12, 6, 7, "8x"),
        snapshot(13, 5),
        depth(14, 6, 8, "99.5"),
    ];
    let file = room.file(
        "spot_x.txt",
        [text.concat().as_bytes(), b"\xff\xfe\n"].concat(),
    );
    let mut options = room.options(&[&file]);
    options.lenient = true;
    let report = run(&options, &mut |_| {}).unwrap();
    let rejects = &report.files[0].rejects;
    assert_eq!(
        (rejects.len(), rejects[0].count, rejects[1].count),
        (2, 2, 1)
    );
    assert!(
        rejects[0].reason.contains("plain decimal")
            && rejects[0].examples[0].contains("line 2: '9x'"),
        "{rejects:?}"
    );
    assert!(rejects[1].reason.contains("utf-8"), "{rejects:?}");
    assert_eq!(report.instruments[0].book, "live");
}

#[test]
fn files_that_are_no_recording_are_refused_in_one_line() {
    let room = Room::new();
    let whole = gzip(
        [depth(10, 1, 5, "99.0"), depth(11, 6, 6, "99.0")]
            .concat()
            .as_bytes(),
    );
    let mut flipped = whole.clone();
    let middle = flipped.len() - 6;
    flipped[middle] ^= 0x10;
    let mut long = b"1 {\"u\":\"".to_vec();
    long.resize(LINE_BYTES_MAX + 2, b'1');
    for (name, content, part) in [
        ("empty.gz", gzip(b""), "is empty"),
        ("empty.txt", Vec::new(), "is empty"),
        ("blank.txt", b"\n\n  \n".to_vec(), "is empty"),
        (
            "spot_cut.gz",
            whole[..whole.len() - 9].to_vec(),
            "cut short or damaged",
        ),
        ("spot_flipped.gz", flipped, "cut short or damaged"),
        (
            "junk.bin",
            (0..4_000u32).map(|n| ((n * 7919) >> 3) as u8).collect(),
            "no known format",
        ),
        ("page.html", b"<html></html>\n".to_vec(), "no known format"),
        ("long.txt", long, "longer than 16777216 bytes"),
        ("head.csv", b"ts,type,venue,symbol\n".to_vec(), "is empty"),
        (
            "cols.csv",
            b"ts,type,venue,symbol,prize\n".to_vec(),
            "'prize' is not one of this format",
        ),
        (
            "time.csv",
            b"type,venue,symbol,price\n".to_vec(),
            "is missing",
        ),
    ] {
        let file = room.file(name, content);
        let refused = room.refused(&[&file]);
        assert!(
            refused.contains(part) && refused.contains(name),
            "{name}: {refused}"
        );
        assert!(!room.journal().exists(), "{name}");
    }
    let missing = room.dir.path().join("nowhere.gz");
    assert!(room.refused(&[&missing]).contains("nowhere.gz"));
    assert!(room.refused(&[]).contains("name at least one"));
}

#[test]
fn a_bad_second_file_appends_nothing_to_a_journal_that_is_there() {
    let room = Room::new();
    let first = room.file(
        "spot_a.txt",
        [depth(10, 1, 5, "99.0"), snapshot(11, 5)].concat(),
    );
    room.import(&[&first]).unwrap();
    let frames = |room: &Room| {
        let (mut reader, mut count) = (Reader::open(&room.journal()).unwrap(), 0);
        while reader.next().unwrap().is_some() {
            count += 1;
        }
        count
    };
    let before = frames(&room);
    let finer = room.file(
        "spot_b.txt",
        [depth(12, 6, 7, "99.0"), depth(13, 8, 9, "99.123")].concat(),
    );
    let refused = room.refused(&[&finer]);
    assert!(
        refused.contains("line 2") && refused.contains("'99.123'") && refused.contains("decimals"),
        "{refused}"
    );
    assert!(room.refused(&[&first]).contains("holds this file already"));
    assert_eq!(frames(&room), before);

    let next = room.file("spot_c.txt", depth(12, 6, 7, "99.0"));
    let report = room.import(&[&next]).unwrap();
    assert_eq!(
        (
            report.instruments[0].book.as_str(),
            report.instruments[0].book_last_id
        ),
        ("live", 7)
    );
}

#[test]
fn a_snapshot_in_a_file_of_two_instruments_is_refused() {
    let room = Room::new();
    let other = depth(11, 6, 7, "9").replace("BTCUSDT", "ETHUSDT");
    let file = room.file(
        "spot_x.txt",
        [depth(10, 1, 5, "99.0"), other, snapshot(12, 5)].concat(),
    );
    let refused = room.refused(&[&file]);
    assert!(
        refused.contains("line 3") && refused.contains("names no symbol"),
        "{refused}"
    );
}

#[test]
fn a_book_beyond_any_venues_is_refused() {
    let room = Room::new();
    let mut text = String::from("ts_ms,type,venue,symbol,side,price,qty\n");
    for price in 1..=50_001 {
        text += &format!("5,book_snapshot,a,b,bid,{price},1\n");
    }
    let file = room.file("big.csv", text);
    assert!(
        room.refused(&[&file])
            .contains("line 50002: field 'type' is '': more than 50000 levels")
    );
}

#[test]
fn stamps_never_go_back_and_what_was_moved_is_counted() {
    let room = Room::new();
    let file = room.file(
        "spot_x.txt",
        [
            ticker(20, 1, "99", "1"),
            ticker(10, 2, "99", "2"),
            ticker(30, 3, "99", "3"),
        ]
        .concat(),
    );
    let report = room.import(&[&file]).unwrap();
    assert_eq!((report.clamped_stamps, report.last_ns), (1, 30));
    room.market();
}

#[test]
fn a_named_format_is_not_guessed_and_progress_ends_at_the_whole() {
    let room = Room::new();
    let file = room.file("spot_x.txt", ticker(20, 1, "99", "1"));
    let options = ImportOptions {
        format: Format::Tardis,
        ..room.options(&[&file])
    };
    assert!(matches!(
        run(&options, &mut |_| {}),
        Err(ImportError::Unrecognised { .. })
    ));
    let mut last = Progress::default();
    run(&room.options(&[&file]), &mut |progress| {
        last = progress.clone()
    })
    .unwrap();
    assert_eq!(
        (last.bytes_done, last.file.as_str()),
        (last.bytes_total, "spot_x.txt")
    );
    assert!(last.frames > 0);
}
