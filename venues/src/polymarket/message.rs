//! Messages of the market channel and the answer of `/book`, read in place: numbers stay text until the token's decimals
//! are known.
//!
//! Source: the venue's pages on the market channel and the order book. A frame is one message or a list of them. Prices can
//! lack their zero (`.48`), levels come in any order, an empty side's best price is 0 or 1. Quantities of a `price_change`
//! are new totals.
use super::error::{bad, malformed, millis, number_text, price, qty};
use crate::gateway::{Listed, WireError};
use onetape_engine::event::{Aggressor, Level, Trade};
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::Side;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A message of the market channel.
#[derive(Clone, Debug, PartialEq)]
pub enum MarketMessage<'a> {
    /// `book`: all of a token's book.
    Book(Book<'a>),
    /// `price_change`: new totals of levels, of both tokens of a market.
    PriceChange(PriceChange<'a>),
    /// `last_trade_price`: a trade.
    LastTrade(LastTrade<'a>),
    /// `tick_size_change`.
    TickSizeChange(TickSizeChange<'a>),
    /// `best_bid_ask`: best prices without quantities.
    BestBidAsk(BestBidAsk<'a>),
    /// `market_resolved`.
    Resolved(Resolved<'a>),
    /// `new_market`: of no token that was asked for.
    NewMarket,
    /// The answer to a text `PING`.
    Pong,
}

/// A whole book.
#[derive(Clone, Debug, PartialEq)]
pub struct Book<'a> {
    /// The token.
    pub asset_id: &'a str,
    /// The market's condition id.
    pub market: &'a str,
    /// The time as it is written, in ms.
    pub timestamp: &'a str,
    /// The same, UTC ns.
    pub venue_time_ns: u64,
    /// The venue's hash of it, empty where there is none.
    pub hash: &'a str,
    /// Price and size, in any order.
    pub bids: Vec<(&'a str, &'a str)>,
    /// Price and size, in any order.
    pub asks: Vec<(&'a str, &'a str)>,
    /// What only `/book` tells, and its hash needs.
    pub details: Option<BookDetails<'a>>,
}

/// What `/book` tells besides the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookDetails<'a> {
    /// Smallest order, in shares.
    pub min_order_size: &'a str,
    /// Tick.
    pub tick_size: &'a str,
    /// Whether the market settles at the neg-risk exchange.
    pub neg_risk: bool,
    /// Price of the last trade.
    pub last_trade_price: &'a str,
}

/// New totals.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceChange<'a> {
    /// UTC ns.
    pub venue_time_ns: u64,
    /// In the order in which they came about.
    pub changes: Vec<Change<'a>>,
}

/// One level's new total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The token.
    pub asset_id: &'a str,
    /// Which side of its book.
    pub side: Side,
    /// Price.
    pub price: &'a str,
    /// New total; 0 removes the level. The venue can leave it out, and the book is lost then.
    pub size: Option<&'a str>,
    /// Best prices afterwards, where the venue tells them.
    pub best: Option<(&'a str, &'a str)>,
}

/// A trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastTrade<'a> {
    /// The token.
    pub asset_id: &'a str,
    /// UTC ns.
    pub venue_time_ns: u64,
    /// Price.
    pub price: &'a str,
    /// Shares.
    pub size: &'a str,
    /// The taker's side.
    pub side: Side,
}

/// Another tick from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickSizeChange<'a> {
    /// The token.
    pub asset_id: &'a str,
    /// Until now.
    pub old: &'a str,
    /// From now on.
    pub new: &'a str,
}

/// Best prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestBidAsk<'a> {
    /// The token.
    pub asset_id: &'a str,
    /// UTC ns.
    pub venue_time_ns: u64,
    /// Best bid and best ask.
    pub best: (&'a str, &'a str),
}

/// How a market ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// Its tokens.
    pub assets_ids: Vec<&'a str>,
    /// The one that pays 1.
    pub winner: &'a str,
}

type Raw<'a> = Option<&'a RawValue>;

/// Every field of every message. The values stay raw, so that an error can name field and value.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    event_type: Raw<'a>,
    #[serde(borrow)]
    asset_id: Raw<'a>,
    #[serde(borrow)]
    assets_ids: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    market: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
    #[serde(borrow)]
    hash: Raw<'a>,
    #[serde(borrow)]
    bids: Option<Vec<RawLevel<'a>>>,
    #[serde(borrow)]
    asks: Option<Vec<RawLevel<'a>>>,
    #[serde(borrow)]
    price_changes: Option<Vec<RawChange<'a>>>,
    #[serde(borrow)]
    price: Raw<'a>,
    #[serde(borrow)]
    size: Raw<'a>,
    #[serde(borrow)]
    side: Raw<'a>,
    #[serde(borrow)]
    old_tick_size: Raw<'a>,
    #[serde(borrow)]
    new_tick_size: Raw<'a>,
    #[serde(borrow)]
    best_bid: Raw<'a>,
    #[serde(borrow)]
    best_ask: Raw<'a>,
    #[serde(borrow)]
    winning_asset_id: Raw<'a>,
    #[serde(borrow)]
    min_order_size: Raw<'a>,
    #[serde(borrow)]
    tick_size: Raw<'a>,
    neg_risk: Option<bool>,
    #[serde(borrow)]
    last_trade_price: Raw<'a>,
}

#[derive(Deserialize)]
struct RawLevel<'a> {
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    size: &'a RawValue,
}

#[derive(Deserialize)]
struct RawChange<'a> {
    #[serde(borrow)]
    asset_id: &'a RawValue,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    size: Raw<'a>,
    #[serde(borrow)]
    side: &'a RawValue,
    #[serde(borrow)]
    best_bid: Raw<'a>,
    #[serde(borrow)]
    best_ask: Raw<'a>,
}

/// Reads one frame of the market channel.
///
/// # Errors
/// [`WireError`]; never a panic, whatever the bytes.
pub fn decode(bytes: &[u8]) -> Result<Vec<MarketMessage<'_>>, WireError> {
    let text = text("market message", bytes)?;
    match text.as_bytes().first() {
        Some(b'{') => Ok(vec![message(&fields("market message", text)?)?]),
        Some(b'[') => {
            let all: Vec<Fields<'_>> =
                serde_json::from_str(text).map_err(|why| malformed("market message", why))?;
            all.iter().map(message).collect()
        }
        _ if text == "PONG" => Ok(vec![MarketMessage::Pong]),
        _ => Err(bad(
            "market message",
            "frame",
            text,
            "an object, a list or PONG",
        )),
    }
}

/// Reads the answer of `/book`.
///
/// # Errors
/// [`WireError`].
pub fn rest_book(bytes: &[u8]) -> Result<Book<'_>, WireError> {
    book(&fields("/book", text("/book", bytes)?)?)
}

pub(super) fn text<'a>(message: &str, bytes: &'a [u8]) -> Result<&'a str, WireError> {
    let text = std::str::from_utf8(bytes).map_err(|why| malformed(message, why))?;
    Ok(text.trim())
}

fn fields<'a>(message: &str, text: &'a str) -> Result<Fields<'a>, WireError> {
    // A list of values would deserialise as well, by position.
    if !text.starts_with('{') {
        return Err(malformed(message, "not an object"));
    }
    serde_json::from_str(text).map_err(|why| malformed(message, why))
}

fn message<'a>(f: &Fields<'a>) -> Result<MarketMessage<'a>, WireError> {
    let event = need("market message", "event_type", f.event_type)?;
    Ok(match event {
        "book" => MarketMessage::Book(book(f)?),
        "price_change" => MarketMessage::PriceChange(price_change(f)?),
        "last_trade_price" => MarketMessage::LastTrade(LastTrade {
            asset_id: need(event, "asset_id", f.asset_id)?,
            venue_time_ns: time(event, f)?,
            price: need(event, "price", f.price)?,
            size: need(event, "size", f.size)?,
            side: side(event, need(event, "side", f.side)?)?,
        }),
        "tick_size_change" => MarketMessage::TickSizeChange(TickSizeChange {
            asset_id: need(event, "asset_id", f.asset_id)?,
            old: need(event, "old_tick_size", f.old_tick_size)?,
            new: need(event, "new_tick_size", f.new_tick_size)?,
        }),
        "best_bid_ask" => MarketMessage::BestBidAsk(BestBidAsk {
            asset_id: need(event, "asset_id", f.asset_id)?,
            venue_time_ns: time(event, f)?,
            best: (
                need(event, "best_bid", f.best_bid)?,
                need(event, "best_ask", f.best_ask)?,
            ),
        }),
        "market_resolved" => MarketMessage::Resolved(resolved(f)?),
        "new_market" => MarketMessage::NewMarket,
        other => {
            return Err(bad(
                "market message",
                "event_type",
                other,
                "a kind of message that the channel has",
            ));
        }
    })
}

fn book<'a>(f: &Fields<'a>) -> Result<Book<'a>, WireError> {
    const NAME: &str = "book";
    let levels = |levels: &Option<Vec<RawLevel<'a>>>| {
        let levels = levels.as_deref().unwrap_or_default().iter();
        levels
            .map(|level| (number_text(level.price), number_text(level.size)))
            .collect()
    };
    let optional = |raw: Raw<'a>| raw.map(number_text);
    let details = match (f.min_order_size, f.tick_size, f.neg_risk) {
        (Some(min), Some(tick), Some(neg_risk)) => Some(BookDetails {
            min_order_size: number_text(min),
            tick_size: number_text(tick),
            neg_risk,
            last_trade_price: optional(f.last_trade_price).unwrap_or_default(),
        }),
        _ => None,
    };
    Ok(Book {
        asset_id: need(NAME, "asset_id", f.asset_id)?,
        market: optional(f.market).unwrap_or_default(),
        timestamp: need(NAME, "timestamp", f.timestamp)?,
        venue_time_ns: time(NAME, f)?,
        hash: optional(f.hash).unwrap_or_default(),
        bids: levels(&f.bids),
        asks: levels(&f.asks),
        details,
    })
}

fn price_change<'a>(f: &Fields<'a>) -> Result<PriceChange<'a>, WireError> {
    const NAME: &str = "price_change";
    let Some(raw) = &f.price_changes else {
        return Err(bad(NAME, "price_changes", "missing", "a list"));
    };
    let change = |raw: &RawChange<'a>| {
        Ok(Change {
            asset_id: number_text(raw.asset_id),
            side: side(NAME, number_text(raw.side))?,
            price: number_text(raw.price),
            size: raw.size.map(number_text).filter(|size| !size.is_empty()),
            best: raw
                .best_bid
                .map(number_text)
                .zip(raw.best_ask.map(number_text)),
        })
    };
    Ok(PriceChange {
        venue_time_ns: time(NAME, f)?,
        changes: raw.iter().map(change).collect::<Result<_, WireError>>()?,
    })
}

fn resolved<'a>(f: &Fields<'a>) -> Result<Resolved<'a>, WireError> {
    const NAME: &str = "market_resolved";
    let assets = f.assets_ids.as_deref().unwrap_or_default();
    let assets_ids: Vec<&str> = assets.iter().map(|raw| number_text(raw)).collect();
    let winner = need(NAME, "winning_asset_id", f.winning_asset_id)?;
    if !assets_ids.contains(&winner) {
        return Err(bad(
            NAME,
            "winning_asset_id",
            winner,
            "one of the market's tokens",
        ));
    }
    Ok(Resolved { assets_ids, winner })
}

pub(super) fn need<'a>(
    message: &str,
    field: &'static str,
    raw: Option<&'a RawValue>,
) -> Result<&'a str, WireError> {
    raw.map(number_text)
        .ok_or_else(|| bad(message, field, "missing", "a value"))
}

fn time(message: &str, f: &Fields<'_>) -> Result<u64, WireError> {
    millis(
        message,
        "timestamp",
        need(message, "timestamp", f.timestamp)?,
    )
}

/// BUY or SELL; some answers write them in lower case.
pub(super) fn side(message: &str, text: &str) -> Result<Side, WireError> {
    if text.eq_ignore_ascii_case("BUY") {
        return Ok(Side::Buy);
    }
    if text.eq_ignore_ascii_case("SELL") {
        return Ok(Side::Sell);
    }
    Err(bad(message, "side", text, "BUY or SELL"))
}

/// A level of a token's book: a price between 0 and 1, and a quantity that is not negative.
pub(super) fn level(listed: &Listed, price_text: &str, size: &str) -> Result<Level, WireError> {
    let (price, qty) = (
        price(listed, "price", price_text)?,
        qty(listed, "size", size)?,
    );
    if price.0 <= 0 || price >= one(listed) {
        return Err(bad("book", "price", price_text, "a price between 0 and 1"));
    }
    if qty.0 < 0 {
        return Err(bad("book", "size", size, "a size that is not negative"));
    }
    Ok(Level { price, qty })
}

/// The price of certainty.
pub(super) fn one(listed: &Listed) -> Price {
    Price(10i64.saturating_pow(listed.decimals.price.into()))
}

/// A best price; `None` where the side is empty, which the venue writes as 0, as 1 or not at all.
pub(super) fn best_price(
    listed: &Listed,
    field: &'static str,
    text: &str,
) -> Result<Option<Price>, WireError> {
    if text.is_empty() {
        return Ok(None);
    }
    let price = price(listed, field, text)?;
    Ok((price.0 > 0 && price < one(listed)).then_some(price))
}

impl Book<'_> {
    /// Bids and asks in mantissas; levels of nothing are left out.
    ///
    /// # Errors
    /// [`WireError`] for a level that is none.
    pub fn levels(&self, listed: &Listed) -> Result<(Vec<Level>, Vec<Level>), WireError> {
        let side = |levels: &[(&str, &str)]| {
            let mut read = Vec::with_capacity(levels.len());
            for (price, size) in levels {
                let level = level(listed, price, size)?;
                if level.qty != Qty(0) {
                    read.push(level);
                }
            }
            Ok::<_, WireError>(read)
        };
        Ok((side(&self.bids)?, side(&self.asks)?))
    }
}

impl LastTrade<'_> {
    /// The trade in mantissas.
    ///
    /// # Errors
    /// [`WireError`] for numbers that don't fit.
    pub fn trade(&self, listed: &Listed) -> Result<Trade, WireError> {
        let aggressor = match self.side {
            Side::Buy => Aggressor::Buyer,
            Side::Sell => Aggressor::Seller,
        };
        Ok(Trade {
            instrument: listed.instrument,
            aggressor: aggressor.byte(),
            reserved: [0; 3],
            venue_time_ns: self.venue_time_ns,
            trade_id: 0,
            price: price(listed, "price", self.price)?,
            qty: qty(listed, "size", self.size)?,
        })
    }
}
