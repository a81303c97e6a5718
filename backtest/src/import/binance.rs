//! Binance recordings: "<receive time ns> <venue JSON>" a line.
use super::columns::TimeUnit;
use super::error::Fault;
use super::row::{Content, Row};
use onetape_venues::binance::{Message, Product, decode};

/// Venue names by product.
pub(super) const SPOT: &str = "binance";
pub(super) const FUTURES: &str = "binance-futures";

/// The product of a file: by its name, else by what only the futures' messages have.
pub(super) fn product(file_name: &str, first_line: &str) -> Product {
    let futures_only = ["\"pu\":", "\"X\":", "\"e\":\"bookTicker\""];
    if file_name.starts_with("usdm_")
        || (!file_name.starts_with("spot_")
            && futures_only.iter().any(|mark| first_line.contains(mark)))
    {
        Product::UsdMargined
    } else {
        Product::Spot
    }
}

pub(super) const fn venue(product: Product) -> &'static str {
    match product {
        Product::Spot => SPOT,
        Product::UsdMargined => FUTURES,
    }
}

pub(super) fn stamp(line: &str) -> Option<u64> {
    line.split(' ').next()?.parse().ok()
}

pub(super) fn row<'a>(venue: &'a str, line: &'a str) -> Result<Row<'a>, Fault> {
    let (stamp, message) = line
        .split_once(' ')
        .ok_or_else(|| Fault::new("line", line, "expected a time in ns, a space and json"))?;
    let stamp_ns = TimeUnit::Nanoseconds.read("receive time", stamp)?;
    let (symbol, content) = match decode(message)? {
        Message::Depth(depth) => (Some(depth.symbol), Content::Diff(depth)),
        Message::Snapshot(snapshot) => (None, Content::Snapshot(snapshot)),
        Message::Ticker(ticker) => {
            let content = Content::Quote {
                venue_time_ns: ticker.venue_time_ns,
                update_id: ticker.update_id,
                bid: ticker.bid,
                ask: ticker.ask,
            };
            (Some(ticker.symbol), content)
        }
        Message::Trade(trade) => {
            let content = Content::Trade {
                venue_time_ns: trade.venue_time_ns,
                trade_id: trade.trade_id,
                price: trade.price,
                qty: trade.qty,
                aggressor: trade.aggressor,
            };
            (Some(trade.symbol), content)
        }
        Message::Ignored(why) => (None, Content::Ignored(why.name())),
    };
    Ok(Row {
        stamp_ns,
        venue,
        symbol,
        content,
    })
}
