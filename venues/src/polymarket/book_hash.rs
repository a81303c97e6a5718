//! The venue's hash of a book: SHA-1 over its compact JSON with an empty hash (the venue's Python client, its own test).
use super::message::Book;
use aws_lc_rs::digest;
use serde::Serialize;

#[derive(Serialize)]
struct Canonical<'a> {
    market: &'a str,
    asset_id: &'a str,
    timestamp: &'a str,
    hash: &'a str,
    bids: Vec<Level<'a>>,
    asks: Vec<Level<'a>>,
    min_order_size: &'a str,
    tick_size: &'a str,
    neg_risk: bool,
    last_trade_price: &'a str,
}

#[derive(Serialize)]
struct Level<'a> {
    price: &'a str,
    size: &'a str,
}

/// The hash of an answer of `/book`, 40 hex digits; `None` for a book of the market channel, which lacks some of what is
/// hashed.
pub fn book_hash(book: &Book<'_>) -> Option<String> {
    let json = serde_json::to_string(&canonical(book)?).ok()?;
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, json.as_bytes());
    let text = crate::polygon::hex(hash.as_ref());
    text.strip_prefix("0x").map(str::to_owned)
}

fn canonical<'a>(book: &Book<'a>) -> Option<Canonical<'a>> {
    let details = book.details?;
    let levels = |levels: &[(&'a str, &'a str)]| {
        let level = |(price, size): &(&'a str, &'a str)| Level { price, size };
        levels.iter().map(level).collect()
    };
    Some(Canonical {
        market: book.market,
        asset_id: book.asset_id,
        timestamp: book.timestamp,
        hash: "",
        bids: levels(&book.bids),
        asks: levels(&book.asks),
        min_order_size: details.min_order_size,
        tick_size: details.tick_size,
        neg_risk: details.neg_risk,
        last_trade_price: details.last_trade_price,
    })
}
