//! One message about the market: a frame of the public socket, or an answer of the quotation API.
//!
//! Sources: "WebSocket" guide and reference, "Orderbook", "Ticker". Frames come with the binary opcode and hold UTF-8 JSON.
//! The REST answers have the same fields, but for `market` instead of `code`.
use super::account::{MyAsset, MyOrder};
use super::error::{ApiError, bad_field, malformed, number};
use super::number::NumberText;
use crate::gateway::{Listed, WireError};
use onetape_engine::event::{Aggressor, Level, Trade, TradingStatus};
use onetape_engine::number::{Price, Qty};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Levels a side that a frame may have; the venue sends 30 at the most.
const LEVELS_MAX: usize = 1_000;
pub(super) const NS_PER_MS: u64 = 1_000_000;

/// A frame of a socket, public or private.
#[derive(Debug)]
pub enum Message<'a> {
    /// `orderbook`: the whole book.
    Book(OrderBook<'a>),
    /// `trade`.
    Trade(PublicTrade<'a>),
    /// `ticker`.
    Ticker(Ticker<'a>),
    /// `myOrder`: an order of ours.
    MyOrder(Box<MyOrder<'a>>),
    /// `myAsset`: balances that changed.
    MyAsset(MyAsset<'a>),
    /// `{"status":"UP"}`: the answer to a PING.
    Status,
    /// `{"error":...}`; the venue closes the socket after it.
    Error(ApiError),
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Reads one frame.
///
/// # Errors
/// [`WireError::Malformed`] for what the documents don't have; never a panic, whatever the bytes.
pub fn decode(bytes: &[u8]) -> Result<Message<'_>, WireError> {
    let text = std::str::from_utf8(bytes).map_err(|e| malformed("frame", &e.to_string()))?;
    let head: Head<'_> = read("frame", text)?;
    match head.kind.as_deref() {
        Some("orderbook") => read("orderbook", text).map(Message::Book),
        Some("trade") => read("trade", text).map(Message::Trade),
        Some("ticker") => read("ticker", text).map(Message::Ticker),
        Some("myOrder") => read("myOrder", text).map(|order| Message::MyOrder(Box::new(order))),
        Some("myAsset") => read("myAsset", text).map(Message::MyAsset),
        Some(other) => Err(malformed("frame", &format!("unknown type {other}"))),
        None => match head.error {
            Some(error) => ApiError::from_raw(error)
                .map(Message::Error)
                .ok_or_else(|| malformed("error", error.get())),
            None if head.status.is_some() => Ok(Message::Status),
            None => Err(malformed("frame", "neither type, error nor status")),
        },
    }
}

/// Reads JSON; the error names the message.
pub(super) fn read<'a, T: Deserialize<'a>>(message: &str, text: &'a str) -> Result<T, WireError> {
    serde_json::from_str(text).map_err(|e| malformed(message, &e.to_string()))
}

/// The body of an answer as text.
pub(super) fn utf8<'a>(message: &str, body: &'a [u8]) -> Result<&'a str, WireError> {
    std::str::from_utf8(body).map_err(|e| malformed(message, &e.to_string()))
}

/// A whole order book.
#[derive(Debug, Deserialize)]
pub struct OrderBook<'a> {
    /// `code`, in REST answers `market`.
    #[serde(borrow, alias = "market")]
    pub code: Cow<'a, str>,
    /// Milliseconds; when the book was as it is.
    timestamp: u64,
    #[serde(borrow)]
    orderbook_units: Vec<Unit<'a>>,
    #[serde(borrow)]
    stream_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    level: Option<NumberText<'a>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Unit<'a> {
    #[serde(borrow)]
    ask_price: NumberText<'a>,
    #[serde(borrow)]
    bid_price: NumberText<'a>,
    #[serde(borrow)]
    ask_size: NumberText<'a>,
    #[serde(borrow)]
    bid_size: NumberText<'a>,
}

impl<'a> OrderBook<'a> {
    /// The books of a REST answer.
    ///
    /// # Errors
    /// [`WireError::Malformed`].
    pub fn list(body: &'a [u8]) -> Result<Vec<Self>, WireError> {
        read("orderbook", utf8("orderbook", body)?)
    }

    /// The venue's time in ns.
    pub const fn venue_time_ns(&self) -> u64 {
        self.timestamp.saturating_mul(NS_PER_MS)
    }

    /// Whether it is the first of a subscription, whose time may be old in a quiet market.
    pub fn is_snapshot(&self) -> bool {
        self.stream_type.as_deref() == Some("SNAPSHOT")
    }

    /// Bids and asks in mantissas, best first; `levels` is scratch space that they borrow. Thin books are padded with
    /// zeros, which are no levels.
    ///
    /// # Errors
    /// [`WireError`] for a level that is no number, is negative, or is the sum over several prices (`level`).
    pub fn sides<'b>(
        &self,
        listed: &Listed,
        levels: &'b mut Vec<Level>,
    ) -> Result<(&'b [Level], &'b [Level]), WireError> {
        const NAME: &str = "orderbook";
        if let Some(level) = self.level
            && amount_is_zero(&self.code, "level", level)? == Some(false)
        {
            return Err(bad_field(
                NAME,
                "level",
                level.text(),
                "0: prices one by one",
            ));
        }
        if self.orderbook_units.len() > LEVELS_MAX {
            let count = self.orderbook_units.len().to_string();
            return Err(bad_field(
                NAME,
                "orderbook_units",
                &count,
                "at most 30 levels",
            ));
        }
        levels.clear();
        let mut push = |fields: [&'static str; 2], at: NumberText<'_>, size: NumberText<'_>| {
            let level = Level {
                price: price(listed, fields[0], at)?,
                qty: qty(listed, fields[1], size)?,
            };
            if level.price.0 < 0 || level.qty.0 < 0 {
                return Err(bad_field(NAME, fields[1], size.text(), "nothing negative"));
            }
            if level.price.0 > 0 && level.qty.0 > 0 {
                levels.push(level);
                return Ok(1);
            }
            Ok(0)
        };
        let mut bids = 0;
        for unit in &self.orderbook_units {
            bids += push(["bid_price", "bid_size"], unit.bid_price, unit.bid_size)?;
        }
        for unit in &self.orderbook_units {
            push(["ask_price", "ask_size"], unit.ask_price, unit.ask_size)?;
        }
        Ok(levels.split_at(bids))
    }
}

fn amount_is_zero(
    symbol: &str,
    field: &'static str,
    text: NumberText<'_>,
) -> Result<Option<bool>, WireError> {
    if text.text() == "null" {
        return Ok(None);
    }
    let read = text.number().and_then(|number| number.decimal());
    read.map(|value| Some(value.is_zero()))
        .map_err(|why| number(symbol, field, text.text(), why))
}

/// A public trade.
#[derive(Debug, Deserialize)]
pub struct PublicTrade<'a> {
    /// `code`, in REST answers `market`.
    #[serde(borrow, alias = "market")]
    pub code: Cow<'a, str>,
    trade_timestamp: u64,
    #[serde(borrow)]
    trade_price: NumberText<'a>,
    #[serde(borrow)]
    trade_volume: NumberText<'a>,
    #[serde(borrow)]
    ask_bid: Cow<'a, str>,
    /// Unique in the market; not an order of time.
    pub sequential_id: u64,
    #[serde(borrow)]
    stream_type: Option<Cow<'a, str>>,
}

impl PublicTrade<'_> {
    /// Whether it is the last trade before the subscription, told once more.
    pub fn is_snapshot(&self) -> bool {
        self.stream_type.as_deref() == Some("SNAPSHOT")
    }

    /// The trade; `ask_bid` is the taker's side.
    ///
    /// # Errors
    /// [`WireError`] for a value out of its range.
    pub fn trade(&self, listed: &Listed) -> Result<Trade, WireError> {
        let aggressor = match self.ask_bid.as_ref() {
            "ASK" => Aggressor::Seller,
            "BID" => Aggressor::Buyer,
            other => return Err(bad_field("trade", "ask_bid", other, "ASK or BID")),
        };
        Ok(Trade {
            instrument: listed.instrument,
            aggressor: aggressor.byte(),
            reserved: [0; 3],
            venue_time_ns: self.trade_timestamp.saturating_mul(NS_PER_MS),
            trade_id: self.sequential_id,
            price: price(listed, "trade_price", self.trade_price)?,
            qty: qty(listed, "trade_volume", self.trade_volume)?,
        })
    }
}

/// A ticker, as far as it says what no other message does: whether the market trades.
#[derive(Debug, Deserialize)]
pub struct Ticker<'a> {
    /// `code`, in REST answers `market`.
    #[serde(borrow, alias = "market")]
    pub code: Cow<'a, str>,
    #[serde(borrow)]
    trade_price: NumberText<'a>,
    trade_timestamp: u64,
    #[serde(borrow)]
    market_state: Option<Cow<'a, str>>,
    #[serde(default)]
    is_trading_suspended: bool,
}

impl Ticker<'_> {
    /// The last trade's price.
    ///
    /// # Errors
    /// [`WireError::Number`].
    pub fn last_price(&self, listed: &Listed) -> Result<Price, WireError> {
        price(listed, "trade_price", self.trade_price)
    }

    /// The last trade's time in ns.
    pub const fn last_trade_ns(&self) -> u64 {
        self.trade_timestamp.saturating_mul(NS_PER_MS)
    }

    /// Whether the market takes orders.
    pub fn status(&self) -> TradingStatus {
        match self.market_state.as_deref() {
            Some("DELISTED") => TradingStatus::Closed,
            Some("ACTIVE") | None if !self.is_trading_suspended => TradingStatus::Open,
            _ => TradingStatus::Halted,
        }
    }
}

/// A price in the instrument's mantissas.
pub(super) fn price(
    listed: &Listed,
    field: &'static str,
    text: NumberText<'_>,
) -> Result<Price, WireError> {
    mantissa(listed, field, text, listed.decimals.price).map(Price)
}

/// A quantity in the instrument's mantissas.
pub(super) fn qty(
    listed: &Listed,
    field: &'static str,
    text: NumberText<'_>,
) -> Result<Qty, WireError> {
    mantissa(listed, field, text, listed.decimals.qty).map(Qty)
}

fn mantissa(
    listed: &Listed,
    field: &'static str,
    text: NumberText<'_>,
    decimals: u8,
) -> Result<i64, WireError> {
    text.number()
        .and_then(|number| number.mantissa(decimals.into()))
        .map_err(|why| number(&listed.symbol, field, text.text(), why))
}

/// Nothing is known of an instrument of this id.
pub(super) fn unlisted(message: &str, code: &str) -> WireError {
    bad_field(message, "code", code, "a market that was subscribed")
}
