//! One frame of a stream, read in place. Numbers arrive as numbers or as strings, differently from field to field and
//! stream to stream, so both are read everywhere.
use super::VENUE;
use super::condition::{Session, updates_last, updates_volume};
use crate::gateway::fields::{Raw, Reading, present};
use crate::gateway::{Listed, WireError};
use onetape_engine::event::{Quote, Trade};
use onetape_engine::number::{Price, Qty, pow10};
use onetape_engine::time::Nanos;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Conditions that one print can have at the most.
const CONDITIONS_MAX: usize = 8;

/// A frame.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// What became of the connection or a subscription.
    Status(Status<'a>),
    /// A print of the consolidated tape.
    Trade(UsTrade<'a>),
    /// Best bid and ask of a stock.
    Quote(UsQuote<'a>),
    /// Bid and ask of a currency pair.
    Forex(ForexQuote<'a>),
}

/// `{"status_code":200,"message":"Authorized"}`: 422 where there are too many symbols, 401 and 403 for a bad token.
#[derive(Clone, Copy, Debug)]
pub struct Status<'a> {
    /// `status_code`.
    pub code: u64,
    /// `message`.
    pub message: &'a str,
}

/// A print of a US stock.
#[derive(Clone, Copy, Debug)]
pub struct UsTrade<'a> {
    /// `s`.
    pub symbol: &'a str,
    /// `t`.
    pub at: Nanos,
    /// `dp`: printed by a dark pool, where nobody could have traded against it.
    pub is_dark: bool,
    /// `ms`.
    pub session: Session,
    conditions: [Option<u16>; CONDITIONS_MAX],
    price: &'a RawValue,
    qty: &'a RawValue,
}

/// Best bid and ask of a US stock.
#[derive(Clone, Copy, Debug)]
pub struct UsQuote<'a> {
    /// `s`.
    pub symbol: &'a str,
    /// `t`.
    pub at: Nanos,
    bid: (Raw<'a>, Raw<'a>),
    ask: (Raw<'a>, Raw<'a>),
}

/// Bid and ask of a currency pair; the stream has no sizes.
#[derive(Clone, Copy, Debug)]
pub struct ForexQuote<'a> {
    /// `s`.
    pub symbol: &'a str,
    /// `t`.
    pub at: Nanos,
    bid: Raw<'a>,
    ask: Raw<'a>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    status_code: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow, rename = "s")]
    symbol: Raw<'a>,
    #[serde(borrow, rename = "t")]
    time: Raw<'a>,
    #[serde(borrow, rename = "p")]
    price: Raw<'a>,
    #[serde(borrow, rename = "v")]
    volume: Raw<'a>,
    #[serde(borrow, rename = "c")]
    condition: Raw<'a>,
    #[serde(borrow, rename = "dp")]
    dark_pool: Raw<'a>,
    #[serde(borrow, rename = "ms")]
    market_status: Raw<'a>,
    #[serde(borrow, rename = "ap")]
    ask_price: Raw<'a>,
    #[serde(borrow, rename = "as")]
    ask_size: Raw<'a>,
    #[serde(borrow, rename = "bp")]
    bid_price: Raw<'a>,
    #[serde(borrow, rename = "bs")]
    bid_size: Raw<'a>,
    #[serde(borrow, rename = "a")]
    ask: Raw<'a>,
    #[serde(borrow, rename = "b")]
    bid: Raw<'a>,
}

const fn reading(message: &'static str) -> Reading {
    Reading {
        venue: VENUE,
        message,
    }
}

/// Reads one frame.
///
/// # Errors
/// [`WireError`] for what no stream has.
pub fn decode(bytes: &[u8]) -> Result<Message<'_>, WireError> {
    let any = reading("frame");
    let f: Fields<'_> = any.object(bytes)?;
    if let Some(code) = f.status_code {
        let status = reading("status");
        let code = status.integer("status_code", code)?;
        let message = present(f.message).map_or(Ok(""), |raw| status.text("message", raw))?;
        return Ok(Message::Status(Status { code, message }));
    }
    let symbol = any.text("s", any.need("s", f.symbol)?)?;
    let at = any.time_ms("t", any.need("t", f.time)?)?;
    if f.price.is_some() {
        return trade(&f, symbol, at).map(Message::Trade);
    }
    if f.bid_price.is_some() || f.ask_price.is_some() {
        return Ok(Message::Quote(UsQuote {
            symbol,
            at,
            bid: (present(f.bid_price), present(f.bid_size)),
            ask: (present(f.ask_price), present(f.ask_size)),
        }));
    }
    if f.bid.is_some() || f.ask.is_some() {
        return Ok(Message::Forex(ForexQuote {
            symbol,
            at,
            bid: present(f.bid),
            ask: present(f.ask),
        }));
    }
    Err(any.malformed("neither a price, a quote nor a status"))
}

fn trade<'a>(f: &Fields<'a>, symbol: &'a str, at: Nanos) -> Result<UsTrade<'a>, WireError> {
    let trade = reading("trade");
    let is_dark = match present(f.dark_pool).map(RawValue::get) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(trade.bad("dp", other, "true or false")),
    };
    let session = match present(f.market_status).map(|raw| trade.text("ms", raw)) {
        Some(status) => match status? {
            "open" => Session::Regular,
            "extended hours" => Session::Extended,
            _ => Session::Other,
        },
        None => Session::Other,
    };
    Ok(UsTrade {
        symbol,
        at,
        is_dark,
        session,
        conditions: conditions(trade, f.condition)?,
        price: trade.need("p", f.price)?,
        qty: trade.need("v", f.volume)?,
    })
}

/// `c`: a code, a list of codes, or nothing.
fn conditions(trade: Reading, raw: Raw<'_>) -> Result<[Option<u16>; CONDITIONS_MAX], WireError> {
    let mut codes = [None; CONDITIONS_MAX];
    let Some(raw) = present(raw) else {
        return Ok(codes);
    };
    let code = |raw: &RawValue| {
        let code = trade.integer("c", raw)?;
        u16::try_from(code).map_err(|_| trade.bad("c", raw.get(), "a condition code"))
    };
    if !raw.get().starts_with('[') {
        codes[0] = Some(code(raw)?);
        return Ok(codes);
    }
    let list = trade.list(raw.get().as_bytes())?;
    if list.len() > CONDITIONS_MAX {
        return Err(trade.bad("c", raw.get(), "at most 8 condition codes"));
    }
    for (place, raw) in codes.iter_mut().zip(list) {
        *place = Some(code(raw)?);
    }
    Ok(codes)
}

impl UsTrade<'_> {
    /// The condition codes.
    pub fn conditions(&self) -> impl Iterator<Item = u16> {
        self.conditions.iter().copied().flatten()
    }

    /// Whether the print moves both the last price and the volume. A [`Trade`] on the tape does both, so what may do only
    /// one of them can't stand there.
    pub fn moves_the_market(&self) -> bool {
        self.conditions()
            .all(|code| updates_last(code, self.session) && updates_volume(code))
    }

    /// The trade, in the instrument's decimals.
    ///
    /// # Errors
    /// [`WireError`] for numbers that are none or don't fit.
    pub fn trade(&self, listed: &Listed) -> Result<Trade, WireError> {
        let trade = reading("trade");
        Ok(Trade {
            instrument: listed.instrument,
            venue_time_ns: self.at.0,
            price: trade.price("p", self.price, listed)?,
            qty: trade.qty("v", self.qty, listed)?,
            ..Trade::default()
        })
    }
}

impl UsQuote<'_> {
    /// The quote, in the instrument's decimals. A side without price or size is none.
    ///
    /// # Errors
    /// [`WireError`] for numbers that are none or don't fit.
    pub fn quote(&self, listed: &Listed) -> Result<Quote, WireError> {
        let quote = reading("quote");
        let side = |fields: [&'static str; 2], (price, qty): (Raw<'_>, Raw<'_>)| {
            let (Some(price), Some(qty)) = (price, qty) else {
                return Ok((Price(0), Qty(0)));
            };
            let price = quote.price(fields[0], price, listed)?;
            let qty = quote.qty(fields[1], qty, listed)?;
            Ok(if price.0 == 0 {
                (price, Qty(0))
            } else {
                (price, qty)
            })
        };
        let (bid_price, bid_qty) = side(["bp", "bs"], self.bid)?;
        let (ask_price, ask_qty) = side(["ap", "as"], self.ask)?;
        Ok(Quote {
            instrument: listed.instrument,
            venue_time_ns: self.at.0,
            bid_price,
            bid_qty,
            ask_price,
            ask_qty,
            ..Quote::default()
        })
    }
}

impl ForexQuote<'_> {
    /// The quote, in the instrument's decimals. The venue says no sizes: each side that has a price stands for one unit of
    /// the base currency, so that nothing larger is thought to be on offer.
    ///
    /// # Errors
    /// [`WireError`] for numbers that are none or don't fit.
    pub fn quote(&self, listed: &Listed) -> Result<Quote, WireError> {
        let unit = one_unit(listed);
        let side = |field, price: Raw<'_>| {
            let Some(price) = price else {
                return Ok((Price(0), Qty(0)));
            };
            let price = reading("forex").price(field, price, listed)?;
            Ok((price, if price.0 == 0 { Qty(0) } else { unit }))
        };
        let (bid_price, bid_qty) = side("b", self.bid)?;
        let (ask_price, ask_qty) = side("a", self.ask)?;
        Ok(Quote {
            instrument: listed.instrument,
            venue_time_ns: self.at.0,
            bid_price,
            bid_qty,
            ask_price,
            ask_qty,
            ..Quote::default()
        })
    }
}

/// One unit of an instrument's base, as a mantissa.
pub(crate) fn one_unit(listed: &Listed) -> Qty {
    let unit = pow10(listed.decimals.qty.into()).and_then(|unit| i64::try_from(unit).ok());
    Qty(unit.unwrap_or(i64::MAX))
}
