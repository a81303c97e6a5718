//! JSON lines of the `barter` data crate: `{"Item":{...,"kind":{"OrderBookL1"|"Trade":{...}}}}`.
//!
//! Instruments are numbers there. Prices in trades are JSON numbers, which are taken from their text.
use super::columns::timestamp;
use super::error::Fault;
use super::row::{Content, Row};
use onetape_engine::event::Aggressor;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Symbols of the numbers 0, 1, 2 in the crate's published recording of `binance_spot`.
pub(super) const DEFAULT_INSTRUMENTS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "Item")]
    item: Item<'a>,
}

#[derive(Deserialize)]
struct Item<'a> {
    time_exchange: &'a str,
    time_received: &'a str,
    exchange: &'a str,
    instrument: u64,
    #[serde(borrow)]
    kind: Kind<'a>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "OrderBookL1")]
    top: Option<Top<'a>>,
    #[serde(borrow, rename = "Trade")]
    trade: Option<Trade<'a>>,
}

#[derive(Deserialize)]
struct Top<'a> {
    #[serde(borrow)]
    best_bid: Option<Level<'a>>,
    #[serde(borrow)]
    best_ask: Option<Level<'a>>,
}

#[derive(Deserialize)]
struct Level<'a> {
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    amount: &'a RawValue,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    amount: &'a RawValue,
    side: &'a str,
}

/// A number in quotes or not, as text.
fn text(raw: &RawValue) -> &str {
    raw.get().trim_matches('"')
}

fn parse(line: &str) -> Result<Item<'_>, Fault> {
    let parsed: Result<Line<'_>, _> = serde_json::from_str(line);
    parsed.map(|line| line.item).map_err(|e| {
        let why = e.to_string();
        Fault::new(
            "line",
            line,
            format!(
                "not an item of the format: {}",
                why.split(" at line ").next().unwrap_or(&why)
            ),
        )
    })
}

pub(super) fn stamp(line: &str) -> Option<u64> {
    timestamp("time_received", parse(line).ok()?.time_received).ok()
}

pub(super) fn row<'a>(
    instruments: &'a [String],
    venue: Option<&'a str>,
    line: &'a str,
) -> Result<Row<'a>, Fault> {
    let item = parse(line)?;
    let symbol = usize::try_from(item.instrument)
        .ok()
        .and_then(|index| instruments.get(index));
    let symbol = symbol.ok_or_else(|| {
        let known = instruments.len();
        let why = format!("only {known} instruments are named: name more with --instruments a,b,c");
        Fault::new("instrument", &item.instrument.to_string(), why)
    })?;
    let venue_time_ns = timestamp("time_exchange", item.time_exchange)?;
    let content = match (item.kind.top, item.kind.trade) {
        (Some(top), None) => {
            let side = |level: Option<Level<'a>>| {
                level.map_or(("", ""), |l| (text(l.price), text(l.amount)))
            };
            Content::Quote {
                venue_time_ns,
                update_id: 0,
                bid: side(top.best_bid),
                ask: side(top.best_ask),
            }
        }
        (None, Some(trade)) => Content::Trade {
            venue_time_ns,
            // Ids of some venues are no numbers; nothing hangs on them.
            trade_id: text(trade.id).parse().unwrap_or(0),
            price: text(trade.price),
            qty: text(trade.amount),
            aggressor: match trade.side {
                "Buy" => Aggressor::Buyer,
                "Sell" => Aggressor::Seller,
                other => return Err(Fault::new("side", other, "expected Buy or Sell")),
            },
        },
        _ => return Err(Fault::new("kind", line, "expected OrderBookL1 or Trade")),
    };
    let exchange = if item.exchange == "binance_spot" {
        super::binance::SPOT
    } else {
        item.exchange
    };
    Ok(Row {
        stamp_ns: timestamp("time_received", item.time_received)?,
        venue: venue.unwrap_or(exchange),
        symbol: Some(symbol),
        content,
    })
}
