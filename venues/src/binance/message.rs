//! One message, read in place: numbers stay text until the instrument's decimals are known.
//!
//! Sources: Binance spot "Web Socket Streams" and USD-M futures "Websocket Market Streams". Both come alone or wrapped
//! as `{"stream":...,"data":...}`. The futures' `bookTicker` names itself and has times, the spot's has neither. The
//! futures' `trade` has `X`, which is `MARKET` for trades of the order book.
use super::error::{DecodeError, short};
use super::levels::Levels;
use super::sync::{DepthDiff, Product};
use onetape_engine::event::{Aggressor, Level, Quote, Trade};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, NumberError};
use serde::Deserialize;
use serde_json::value::RawValue;

const NS_PER_MS: u64 = 1_000_000;

/// A message of the venue.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// New quantities of some levels.
    Depth(DepthUpdate<'a>),
    /// The book as the REST endpoint gives it.
    Snapshot(DepthSnapshot<'a>),
    /// Best bid and ask.
    Ticker(BookTicker<'a>),
    /// A public trade.
    Trade(PublicTrade<'a>),
    /// Well formed and without meaning for the market.
    Ignored(Ignored),
}

/// Why a message is without meaning for the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// A futures trade outside the order book: insurance fund and auto-deleveraging (`X` is not `MARKET`).
    OffBookTrade,
}

impl Ignored {
    /// The reason as reports print it.
    pub const fn name(self) -> &'static str {
        match self {
            Ignored::OffBookTrade => "trade outside the order book",
        }
    }
}

/// `depthUpdate`.
#[derive(Clone, Copy, Debug)]
pub struct DepthUpdate<'a> {
    /// `s`.
    pub symbol: &'a str,
    /// `T` of the futures (when the book changed), `E` of the spot (when it was sent); UTC ns.
    pub venue_time_ns: u64,
    /// `U`.
    pub first_id: u64,
    /// `u`.
    pub last_id: u64,
    /// `pu`, futures only: `u` of the diff before.
    pub previous_id: Option<u64>,
    /// `b`.
    pub bids: Levels<'a>,
    /// `a`.
    pub asks: Levels<'a>,
}

/// The answer of the REST depth endpoint. It does not say whose it is.
#[derive(Clone, Copy, Debug)]
pub struct DepthSnapshot<'a> {
    /// `lastUpdateId`.
    pub last_id: u64,
    /// `T`, futures only; UTC ns, 0 where there is none.
    pub venue_time_ns: u64,
    /// `bids`.
    pub bids: Levels<'a>,
    /// `asks`.
    pub asks: Levels<'a>,
}

/// `bookTicker`.
#[derive(Clone, Copy, Debug)]
pub struct BookTicker<'a> {
    /// `s`.
    pub symbol: &'a str,
    /// `T`, futures only; UTC ns, 0 where there is none.
    pub venue_time_ns: u64,
    /// `u`.
    pub update_id: u64,
    /// `b`, `B`: price and quantity.
    pub bid: (&'a str, &'a str),
    /// `a`, `A`: price and quantity.
    pub ask: (&'a str, &'a str),
}

/// `trade`.
#[derive(Clone, Copy, Debug)]
pub struct PublicTrade<'a> {
    /// `s`.
    pub symbol: &'a str,
    /// `T`; UTC ns.
    pub venue_time_ns: u64,
    /// `t`.
    pub trade_id: u64,
    /// `p`.
    pub price: &'a str,
    /// `q`.
    pub qty: &'a str,
    /// From `m`: where the buyer was the maker, the seller took.
    pub aggressor: Aggressor,
}

type Raw<'a> = Option<&'a RawValue>;

/// Every field of every message. The values stay raw, so that an error can name field and value.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    stream: Raw<'a>,
    #[serde(borrow)]
    data: Raw<'a>,
    #[serde(borrow, rename = "e")]
    event: Raw<'a>,
    #[serde(borrow, rename = "E")]
    event_time: Raw<'a>,
    #[serde(borrow, rename = "T")]
    time: Raw<'a>,
    #[serde(borrow, rename = "s")]
    symbol: Raw<'a>,
    #[serde(borrow, rename = "U")]
    first_id: Raw<'a>,
    #[serde(borrow, rename = "u")]
    last_id: Raw<'a>,
    #[serde(borrow, rename = "pu")]
    previous_id: Raw<'a>,
    #[serde(borrow, rename = "b")]
    bid: Raw<'a>,
    #[serde(borrow, rename = "B")]
    bid_qty: Raw<'a>,
    #[serde(borrow, rename = "a")]
    ask: Raw<'a>,
    #[serde(borrow, rename = "A")]
    ask_qty: Raw<'a>,
    #[serde(borrow, rename = "t")]
    trade_id: Raw<'a>,
    #[serde(borrow, rename = "p")]
    price: Raw<'a>,
    #[serde(borrow, rename = "q")]
    qty: Raw<'a>,
    #[serde(borrow, rename = "X")]
    execution: Raw<'a>,
    #[serde(borrow, rename = "m")]
    buyer_is_maker: Raw<'a>,
    #[serde(borrow, rename = "lastUpdateId")]
    snapshot_id: Raw<'a>,
    #[serde(borrow)]
    bids: Raw<'a>,
    #[serde(borrow)]
    asks: Raw<'a>,
}

/// Reads one message, wrapped or not.
///
/// # Errors
/// [`DecodeError`] as named by its variants; never a panic, whatever the text.
pub fn decode(text: &str) -> Result<Message<'_>, DecodeError> {
    let outer = fields(text)?;
    match (outer.stream, outer.data) {
        (Some(stream), Some(data)) => {
            decode_plain(&fields(data.get())?, stream.get().trim_matches('"'))
        }
        (Some(_), None) => Err(DecodeError::Missing {
            message: "stream message",
            field: "data",
        }),
        (None, _) => decode_plain(&outer, text),
    }
}

fn fields(text: &str) -> Result<Fields<'_>, DecodeError> {
    // A list of values would deserialise as well, by position.
    if !text.trim_start().starts_with('{') {
        return Err(DecodeError::NotJson(short(text)));
    }
    serde_json::from_str(text).map_err(|e| DecodeError::NotJson(e.to_string()))
}

fn decode_plain<'a>(f: &Fields<'a>, name: &str) -> Result<Message<'a>, DecodeError> {
    if let Some(event) = f.event {
        return match string("e", event)? {
            "depthUpdate" => depth(f).map(Message::Depth),
            "bookTicker" => ticker(f).map(Message::Ticker),
            "trade" => trade(f),
            other => Err(DecodeError::UnknownMessage(short(other))),
        };
    }
    if f.snapshot_id.is_some() {
        return snapshot(f).map(Message::Snapshot);
    }
    if f.last_id.is_some() && f.bid_qty.is_some() && f.ask_qty.is_some() {
        return ticker(f).map(Message::Ticker);
    }
    Err(DecodeError::UnknownMessage(short(name)))
}

fn depth<'a>(f: &Fields<'a>) -> Result<DepthUpdate<'a>, DecodeError> {
    const NAME: &str = "depthUpdate";
    let update = DepthUpdate {
        symbol: symbol(NAME, f)?,
        venue_time_ns: match f.time {
            Some(time) => time_ns("T", time)?,
            None => time_ns("E", need(NAME, "E", f.event_time)?)?,
        },
        first_id: integer("U", need(NAME, "U", f.first_id)?)?,
        last_id: integer("u", need(NAME, "u", f.last_id)?)?,
        previous_id: f.previous_id.map(|raw| integer("pu", raw)).transpose()?,
        bids: Levels::new("b", need(NAME, "b", f.bid)?),
        asks: Levels::new("a", need(NAME, "a", f.ask)?),
    };
    if update.first_id > update.last_id {
        return Err(DecodeError::bad(
            "U",
            &update.first_id.to_string(),
            "an id not above the last id u",
        ));
    }
    Ok(update)
}

fn snapshot<'a>(f: &Fields<'a>) -> Result<DepthSnapshot<'a>, DecodeError> {
    const NAME: &str = "depth snapshot";
    Ok(DepthSnapshot {
        last_id: integer("lastUpdateId", need(NAME, "lastUpdateId", f.snapshot_id)?)?,
        venue_time_ns: optional_time(f)?,
        bids: Levels::new("bids", need(NAME, "bids", f.bids)?),
        asks: Levels::new("asks", need(NAME, "asks", f.asks)?),
    })
}

fn ticker<'a>(f: &Fields<'a>) -> Result<BookTicker<'a>, DecodeError> {
    const NAME: &str = "bookTicker";
    let text = |field, raw| string(field, need(NAME, field, raw)?);
    Ok(BookTicker {
        symbol: symbol(NAME, f)?,
        venue_time_ns: optional_time(f)?,
        update_id: integer("u", need(NAME, "u", f.last_id)?)?,
        bid: (text("b", f.bid)?, text("B", f.bid_qty)?),
        ask: (text("a", f.ask)?, text("A", f.ask_qty)?),
    })
}

fn trade<'a>(f: &Fields<'a>) -> Result<Message<'a>, DecodeError> {
    const NAME: &str = "trade";
    if let Some(execution) = f.execution
        && string("X", execution)? != "MARKET"
    {
        return Ok(Message::Ignored(Ignored::OffBookTrade));
    }
    let maker = need(NAME, "m", f.buyer_is_maker)?.get();
    Ok(Message::Trade(PublicTrade {
        symbol: symbol(NAME, f)?,
        venue_time_ns: time_ns("T", need(NAME, "T", f.time)?)?,
        trade_id: integer("t", need(NAME, "t", f.trade_id)?)?,
        price: string("p", need(NAME, "p", f.price)?)?,
        qty: string("q", need(NAME, "q", f.qty)?)?,
        aggressor: match maker {
            "true" => Aggressor::Seller,
            "false" => Aggressor::Buyer,
            other => return Err(DecodeError::bad("m", other, "true or false")),
        },
    }))
}

fn need<'a>(
    message: &'static str,
    field: &'static str,
    raw: Raw<'a>,
) -> Result<&'a RawValue, DecodeError> {
    raw.ok_or(DecodeError::Missing { message, field })
}

fn symbol<'a>(message: &'static str, f: &Fields<'a>) -> Result<&'a str, DecodeError> {
    let raw = need(message, "s", f.symbol)?;
    let symbol = string("s", raw)?;
    if symbol.is_empty() {
        Err(DecodeError::bad("s", raw.get(), "a symbol"))
    } else {
        Ok(symbol)
    }
}

/// A string without escapes, so that it can be borrowed: symbols, numbers and event names need none.
fn string<'a>(field: &'static str, raw: &'a RawValue) -> Result<&'a str, DecodeError> {
    raw.get()
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|text| !text.contains('\\'))
        .ok_or_else(|| DecodeError::bad(field, raw.get(), "a string without escapes"))
}

fn integer(field: &'static str, raw: &RawValue) -> Result<u64, DecodeError> {
    raw.get()
        .parse()
        .map_err(|_| DecodeError::bad(field, raw.get(), "a whole number that is not negative"))
}

fn time_ns(field: &'static str, raw: &RawValue) -> Result<u64, DecodeError> {
    integer(field, raw)?.checked_mul(NS_PER_MS).ok_or_else(|| {
        DecodeError::bad(
            field,
            raw.get(),
            "milliseconds since 1970 that fit in nanoseconds",
        )
    })
}

fn optional_time(f: &Fields<'_>) -> Result<u64, DecodeError> {
    f.time.map_or(Ok(0), |raw| time_ns("T", raw))
}

impl DepthUpdate<'_> {
    /// The diff in mantissas; `levels` is scratch space that it borrows.
    ///
    /// # Errors
    /// [`DecodeError`] for a level that is no number, or a futures diff without `pu`.
    pub fn diff<'b>(
        &self,
        product: Product,
        decimals: Decimals,
        levels: &'b mut Vec<Level>,
    ) -> Result<DepthDiff<'b>, DecodeError> {
        if product == Product::UsdMargined && self.previous_id.is_none() {
            return Err(DecodeError::Missing {
                message: "depthUpdate of the futures",
                field: "pu",
            });
        }
        let (bids, asks) = parse_sides(self.bids, self.asks, decimals, levels)?;
        Ok(DepthDiff {
            venue_time_ns: self.venue_time_ns,
            first_id: self.first_id,
            last_id: self.last_id,
            previous_id: self.previous_id.unwrap_or(0),
            bids,
            asks,
        })
    }
}

impl DepthSnapshot<'_> {
    /// Bids and asks in mantissas; `levels` is scratch space that they borrow.
    ///
    /// # Errors
    /// [`DecodeError`] for a level that is no number.
    pub fn sides<'b>(
        &self,
        decimals: Decimals,
        levels: &'b mut Vec<Level>,
    ) -> Result<(&'b [Level], &'b [Level]), DecodeError> {
        parse_sides(self.bids, self.asks, decimals, levels)
    }
}

fn parse_sides<'b>(
    bids: Levels<'_>,
    asks: Levels<'_>,
    decimals: Decimals,
    levels: &'b mut Vec<Level>,
) -> Result<(&'b [Level], &'b [Level]), DecodeError> {
    levels.clear();
    bids.parse(decimals, levels)?;
    let count = levels.len();
    asks.parse(decimals, levels)?;
    Ok(levels.split_at(count))
}

impl BookTicker<'_> {
    /// The quote of `instrument`.
    ///
    /// # Errors
    /// [`DecodeError::Number`].
    pub fn quote(
        &self,
        instrument: InstrumentId,
        decimals: Decimals,
    ) -> Result<Quote, DecodeError> {
        Ok(Quote {
            instrument,
            flags: 0,
            venue_time_ns: self.venue_time_ns,
            update_id: self.update_id,
            bid_price: number("b", self.bid.0, |text| decimals.parse_price(text))?,
            bid_qty: number("B", self.bid.1, |text| decimals.parse_qty(text))?,
            ask_price: number("a", self.ask.0, |text| decimals.parse_price(text))?,
            ask_qty: number("A", self.ask.1, |text| decimals.parse_qty(text))?,
        })
    }
}

impl PublicTrade<'_> {
    /// The trade in `instrument`.
    ///
    /// # Errors
    /// [`DecodeError::Number`].
    pub fn trade(
        &self,
        instrument: InstrumentId,
        decimals: Decimals,
    ) -> Result<Trade, DecodeError> {
        Ok(Trade {
            instrument,
            aggressor: self.aggressor.byte(),
            reserved: [0; 3],
            venue_time_ns: self.venue_time_ns,
            trade_id: self.trade_id,
            price: number("p", self.price, |text| decimals.parse_price(text))?,
            qty: number("q", self.qty, |text| decimals.parse_qty(text))?,
        })
    }
}

fn number<T>(
    field: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, NumberError>,
) -> Result<T, DecodeError> {
    parse(text).map_err(|why| DecodeError::number(field, text, why))
}
