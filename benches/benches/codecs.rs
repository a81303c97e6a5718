//! Codecs on the venues' published messages, compact as on the wire, and the JSON parsers that could stand under them on
//! the same message. Reads `../shared/venues`; says so where that is not there.
#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "criterion's macros; a benchmark that can't run has no figure"
)]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use onetape_venues::{binance, eodhd, kalshi, polymarket, upbit};
use serde::Deserialize;
use std::hint::black_box;
use std::path::{Path, PathBuf};

/// A depth update as Binance's codec could have it from a parser: numbers stay texts.
#[derive(Deserialize)]
struct Depth<'a> {
    #[serde(rename = "E")]
    event_time_ms: u64,
    #[serde(rename = "U")]
    first_id: u64,
    #[serde(rename = "u")]
    last_id: u64,
    #[serde(borrow)]
    b: Vec<[&'a str; 2]>,
    a: Vec<[&'a str; 2]>,
}

impl Depth<'_> {
    fn seen(&self) -> u64 {
        let texts = self.b.iter().chain(&self.a).flatten();
        self.event_time_ms
            + self.first_id
            + self.last_id
            + texts.map(|t| t.len() as u64).sum::<u64>()
    }
}

fn payloads() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/venues");
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

/// A payload without the spaces that it is printed with.
fn compact(folder: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(folder.join(name)).expect("the payload");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    value.to_string()
}

/// A codec's decoding of one message; whether it was understood.
type Decode = fn(&[u8]) -> bool;

const MESSAGES: [&str; 13] = [
    "binance/ws_book_ticker.json",
    "binance/ws_depth_update.json",
    "binance/ws_trade.json",
    "eodhd/ws_us_quote.json",
    "eodhd/ws_us_trade.json",
    "kalshi/ws_orderbook_delta.json",
    "kalshi/ws_orderbook_snapshot.json",
    "kalshi/ws_trade.json",
    "polymarket/ws_book.json",
    "polymarket/ws_price_change.json",
    "polymarket/ws_last_trade_price.json",
    "upbit/ws_orderbook_realtime.json",
    "upbit/ws_trade.json",
];

fn decoder(name: &str) -> Decode {
    match name.split('/').next() {
        Some("eodhd") => |m| eodhd::decode(black_box(m)).is_ok(),
        Some("kalshi") => |m| kalshi::decode(black_box(m)).is_ok(),
        Some("polymarket") => |m| polymarket::decode(black_box(m)).is_ok(),
        Some("upbit") => |m| upbit::decode(black_box(m)).is_ok(),
        _ => binance_decodes,
    }
}

fn codecs(c: &mut Criterion) {
    let Some(folder) = payloads() else { return };
    let mut group = c.benchmark_group("codec");
    for name in MESSAGES {
        let decode = decoder(name);
        let message = compact(&folder, name);
        assert!(decode(message.as_bytes()), "{name}");
        group.bench_function(format!("{name}, {} bytes", message.len()), |b| {
            b.iter(|| decode(message.as_bytes()));
        });
    }
    group.finish();
}

fn binance_decodes(message: &[u8]) -> bool {
    std::str::from_utf8(message).is_ok_and(|text| binance::decode(black_box(text)).is_ok())
}

/// A depth update of so many levels a side, in the form of the published one.
fn depth_update(levels: usize) -> String {
    let side = |from: u32| {
        let level = |n: u32| format!(r#"["{}.{:08}","0.{:08}"]"#, from, n * 1_000_000, n + 17);
        (0..levels as u32).map(level).collect::<Vec<_>>().join(",")
    };
    format!(
        r#"{{"e":"depthUpdate","E":1672515782136,"s":"BNBBTC","U":157,"u":160,"b":[{}],"a":[{}]}}"#,
        side(60_000),
        side(60_001)
    )
}

fn parsers(c: &mut Criterion) {
    for levels in [1, 20] {
        let message = depth_update(levels);
        assert!(binance_decodes(message.as_bytes()));
        let mut group = c.benchmark_group(format!("depth update, {levels} levels a side"));
        group.bench_function("the codec, numbers read", |b| {
            b.iter(|| binance_decodes(message.as_bytes()));
        });
        group.bench_function("serde_json", |b| {
            b.iter(|| {
                serde_json::from_slice::<Depth<'_>>(black_box(message.as_bytes()))
                    .map(|d| d.seen())
                    .ok()
            });
        });
        group.bench_function("sonic-rs", |b| {
            b.iter(|| {
                sonic_rs::from_slice::<Depth<'_>>(black_box(message.as_bytes()))
                    .map(|d| d.seen())
                    .ok()
            });
        });
        // It writes into what it reads: a copy for each, made outside of the time.
        group.bench_function("simd-json", |b| {
            b.iter_batched_ref(
                || message.clone().into_bytes(),
                |bytes| {
                    simd_json::from_slice::<Depth<'_>>(black_box(bytes))
                        .map(|d| d.seen())
                        .ok()
                },
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, codecs, parsers);
criterion_main!(benches);
