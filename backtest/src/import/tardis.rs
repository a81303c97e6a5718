//! Tardis CSV: `incremental_book_L2`, `quotes` and `trades`, told apart by their headers (Tardis docs, "Downloadable CSV
//! files"). Times are microseconds; `local_timestamp` is when the message was received.
use super::columns::{TimeUnit, split};
use super::error::Fault;
use super::row::{Content, FrameKey, Row};
use onetape_engine::event::Aggressor;
use onetape_engine::order::Side;

const COLUMNS: usize = 8;
const BOOK: &str = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount";
const QUOTES: &str =
    "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount";
const TRADES: &str = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount";

/// Which of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dataset {
    Book,
    Quotes,
    Trades,
}

/// The data set with this header.
pub(super) fn dataset(header: &str) -> Option<Dataset> {
    match header {
        BOOK => Some(Dataset::Book),
        QUOTES => Some(Dataset::Quotes),
        TRADES => Some(Dataset::Trades),
        _ => None,
    }
}

pub(super) fn stamp(line: &str) -> Option<u64> {
    TimeUnit::Microseconds
        .read("local_timestamp", line.split(',').nth(3)?)
        .ok()
}

pub(super) fn row<'a>(
    dataset: Dataset,
    venue: Option<&'a str>,
    line: &'a str,
) -> Result<Row<'a>, Fault> {
    let mut fields = Vec::with_capacity(COLUMNS);
    split(line, &mut fields)?;
    let &[exchange, symbol, timestamp, local_timestamp, a, b, c, d] = fields.as_slice() else {
        return Err(Fault::new(
            "line",
            line,
            format!("{} fields where the header has 8", fields.len()),
        ));
    };
    let stamp_ns = TimeUnit::Microseconds.read("local_timestamp", local_timestamp)?;
    let venue_time_ns = TimeUnit::Microseconds.read("timestamp", timestamp)?;
    let content = match dataset {
        Dataset::Book => {
            let snapshot = match a {
                "true" => true,
                "false" => false,
                other => return Err(Fault::new("is_snapshot", other, "expected true or false")),
            };
            let side = match b {
                "bid" => Side::Buy,
                "ask" => Side::Sell,
                other => return Err(Fault::new("side", other, "expected bid or ask")),
            };
            // All snapshot rows that follow each other are one snapshot; updates are one by message.
            let key = if snapshot {
                FrameKey {
                    snapshot,
                    stamp_ns: 0,
                    venue_time_ns: 0,
                    id: 0,
                    previous_id: 0,
                }
            } else {
                FrameKey {
                    snapshot,
                    stamp_ns,
                    venue_time_ns,
                    id: 0,
                    previous_id: 0,
                }
            };
            Content::Level {
                key,
                side,
                price: c,
                qty: d,
            }
        }
        Dataset::Quotes => Content::Quote {
            venue_time_ns,
            update_id: 0,
            bid: (c, d),
            ask: (b, a),
        },
        Dataset::Trades => Content::Trade {
            venue_time_ns,
            // Ids of some venues are no numbers; nothing hangs on them.
            trade_id: a.parse().unwrap_or(0),
            price: c,
            qty: d,
            aggressor: match b {
                "buy" => Aggressor::Buyer,
                "sell" => Aggressor::Seller,
                "unknown" => Aggressor::Unknown,
                other => return Err(Fault::new("side", other, "expected buy, sell or unknown")),
            },
        },
    };
    Ok(Row {
        stamp_ns,
        venue: venue.unwrap_or(exchange),
        symbol: Some(symbol),
        content,
    })
}
