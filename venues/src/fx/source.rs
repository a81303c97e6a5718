//! The sources' answers.
use super::VENUE;
use super::rate::Rate;
use crate::eodhd::{real_time_rate, real_time_request};
use crate::gateway::fields::{Raw, Reading, present};
use crate::gateway::{Bucket, Request, Response, WireError};
use onetape_engine::event::Aggressor;
use rust_decimal::Decimal;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Where a rate comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Hana Bank's base rate as Dunamu passes it on; unofficial, may vanish. The code: "FRX.KRWUSD".
    Dunamu(String),
    /// open.er-api.com: once a day, the fallback.
    OpenEr,
    /// EODHD's delayed rate: its code, "USDKRW.FOREX", and the token.
    Eodhd(String, SecretString),
    /// Upbit's last trade of the dollar token: its market, "KRW-USDT".
    Upbit(String),
}

impl Source {
    /// The source's short name, which is that of its base address.
    pub const fn name(&self) -> &'static str {
        match self {
            Source::Dunamu(_) => "dunamu",
            Source::OpenEr => "open-er-api",
            Source::Eodhd(..) => "eodhd",
            Source::Upbit(_) => "upbit",
        }
    }

    /// What its rate is the price of, in won: dollars, or the dollar token.
    pub const fn base(&self) -> &'static str {
        match self {
            Source::Dunamu(_) | Source::OpenEr | Source::Eodhd(..) => "USD",
            Source::Upbit(_) => "USDT",
        }
    }

    pub(super) fn request(&self) -> Request {
        match self {
            Source::Dunamu(code) => {
                let target = format!("/v1/forex/recent?codes={code}");
                Request::get("dunamu", target, Bucket::Public)
            }
            Source::OpenEr => Request::get("open-er-api", "/v6/latest/USD", Bucket::Public),
            Source::Eodhd(code, token) => real_time_request(code, token),
            Source::Upbit(market) => {
                let target = format!("/v1/ticker?markets={market}");
                Request::get("upbit", target, Bucket::Public)
            }
        }
    }

    pub(super) fn read(&self, response: &Response<'_>) -> Result<Rate, WireError> {
        if let Source::Eodhd(code, _) = self {
            let (price, at) = real_time_rate(code, response)?;
            return Ok(Rate::quoted(price, at));
        }
        if response.status != 200 {
            let words = String::from_utf8_lossy(response.body);
            return Err(reading(self.name()).refused(response.status, &words));
        }
        match self {
            Source::Dunamu(code) => dunamu(code, response.body),
            Source::Upbit(market) => krw_usdt(market, response.body),
            Source::OpenEr | Source::Eodhd(..) => open_er(response.body),
        }
    }
}

const fn reading(message: &'static str) -> Reading {
    Reading {
        venue: VENUE,
        message,
    }
}

fn positive(reading: Reading, field: &'static str, raw: &RawValue) -> Result<Decimal, WireError> {
    let number = reading.decimal(field, raw)?;
    if number > Decimal::ZERO {
        Ok(number)
    } else {
        Err(reading.bad(field, raw.get(), "a number above zero"))
    }
}

#[derive(Deserialize)]
struct Dunamu<'a> {
    #[serde(borrow)]
    code: Raw<'a>,
    #[serde(borrow, rename = "basePrice")]
    base_price: Raw<'a>,
    #[serde(borrow, rename = "currencyUnit")]
    currency_unit: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
}

/// Reads Dunamu's list of rates: won for one unit of the code's currency. Some currencies are quoted for 100 (yen).
///
/// # Errors
/// [`WireError`] without exactly that code, or with numbers that are none.
pub fn dunamu(code: &str, body: &[u8]) -> Result<Rate, WireError> {
    let reading = reading("dunamu rate");
    for item in reading.list(body)? {
        let f: Dunamu<'_> = reading.object(item.get().as_bytes())?;
        if reading.text("code", reading.need("code", f.code)?)? != code {
            continue;
        }
        let price = positive(
            reading,
            "basePrice",
            reading.need("basePrice", f.base_price)?,
        )?;
        let unit_text = reading.need("currencyUnit", f.currency_unit)?;
        let unit = positive(reading, "currencyUnit", unit_text)?;
        let one = price.checked_div(unit);
        let exact = one.filter(|one| one.checked_mul(unit) == Some(price));
        let bad = || reading.bad("currencyUnit", unit_text.get(), "1 or 100");
        let at = reading.time_ms("timestamp", reading.need("timestamp", f.timestamp)?)?;
        return Ok(Rate::quoted(exact.ok_or_else(bad)?.normalize(), at));
    }
    Err(reading.bad("code", "missing", "the code that was asked for"))
}

#[derive(Deserialize)]
struct OpenEr<'a> {
    #[serde(borrow)]
    result: Raw<'a>,
    #[serde(borrow)]
    base_code: Raw<'a>,
    #[serde(borrow)]
    time_last_update_unix: Raw<'a>,
    #[serde(borrow)]
    rates: Raw<'a>,
    #[serde(borrow, rename = "error-type")]
    error_type: Raw<'a>,
}

/// Reads open.er-api.com's table: won for one dollar, made once a day.
///
/// # Errors
/// [`WireError`]: refused, another base, or without won.
pub fn open_er(body: &[u8]) -> Result<Rate, WireError> {
    let reading = reading("open.er-api table");
    let f: OpenEr<'_> = reading.object(body)?;
    let result = reading.text("result", reading.need("result", f.result)?)?;
    if result != "success" {
        let why = present(f.error_type).map_or("", RawValue::get);
        return Err(reading.refused(result, why));
    }
    let base = reading.need("base_code", f.base_code)?;
    if reading.text("base_code", base)? != "USD" {
        return Err(reading.bad("base_code", base.get(), "USD"));
    }
    let rates = reading.need("rates", f.rates)?;
    let rates: BTreeMap<&str, &RawValue> = reading.object(rates.get().as_bytes())?;
    let won = reading.need("rates.KRW", rates.get("KRW").copied())?;
    let time = reading.need("time_last_update_unix", f.time_last_update_unix)?;
    Ok(Rate::quoted(
        positive(reading, "rates.KRW", won)?,
        reading.time_s("time_last_update_unix", time)?,
    ))
}

#[derive(Deserialize)]
struct Ticker<'a> {
    /// The name in stream messages.
    #[serde(borrow)]
    code: Raw<'a>,
    /// The name in REST answers.
    #[serde(borrow)]
    market: Raw<'a>,
    #[serde(borrow)]
    trade_price: Raw<'a>,
    #[serde(borrow)]
    trade_volume: Raw<'a>,
    #[serde(borrow)]
    trade_timestamp: Raw<'a>,
    #[serde(borrow)]
    ask_bid: Raw<'a>,
}

/// Reads Upbit's ticker of the dollar token, from REST (a list) or from a stream (an object): the last trade.
///
/// # Errors
/// [`WireError`] for another market, or numbers that are none.
pub fn krw_usdt(market: &str, body: &[u8]) -> Result<Rate, WireError> {
    let reading = reading("upbit ticker");
    let items = if body.trim_ascii_start().first() == Some(&b'[') {
        reading
            .list(body)?
            .into_iter()
            .map(|item| item.get().as_bytes())
            .collect()
    } else {
        vec![body]
    };
    for item in items {
        let f: Ticker<'_> = reading.object(item)?;
        let name = present(f.code).or(present(f.market));
        if reading.text("market", reading.need("market", name)?)? != market {
            continue;
        }
        let price = reading.need("trade_price", f.trade_price)?;
        let volume = reading.need("trade_volume", f.trade_volume)?;
        let time = reading.need("trade_timestamp", f.trade_timestamp)?;
        // ask_bid is the taker's side: an ask took a bid.
        let side = present(f.ask_bid)
            .map(|raw| reading.text("ask_bid", raw))
            .transpose()?;
        return Ok(Rate {
            price: positive(reading, "trade_price", price)?,
            at: reading.time_ms("trade_timestamp", time)?,
            traded: Some(positive(reading, "trade_volume", volume)?),
            aggressor: match side {
                Some("BID") => Aggressor::Buyer,
                Some("ASK") => Aggressor::Seller,
                _ => Aggressor::Unknown,
            },
        });
    }
    Err(reading.bad("market", "missing", "the market that was asked for"))
}
