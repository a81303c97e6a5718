//! Errors of this venue, and the readers of numbers that make them.
use super::VENUE;
use crate::gateway::{Listed, Response, WireError, shortened};
use onetape_engine::number::{Price, Qty};
use onetape_engine::time::{Nanos, SECOND_NS};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) const NS_PER_MS: u64 = 1_000_000;

pub(super) fn malformed(message: &str, why: impl ToString) -> WireError {
    WireError::Malformed {
        venue: VENUE,
        message: message.to_owned(),
        why: shortened(&why.to_string()),
    }
}

pub(super) fn bad(
    message: &str,
    field: &'static str,
    value: &str,
    expected: &'static str,
) -> WireError {
    WireError::BadField {
        venue: VENUE,
        message: message.to_owned(),
        field,
        value: shortened(value),
        expected,
    }
}

pub(super) fn refused(code: impl ToString, message: &str) -> WireError {
    WireError::Refused {
        venue: VENUE,
        code: code.to_string(),
        message: shortened(message),
    }
}

/// Reads a JSON answer of status 200.
pub(super) fn answer<'a, T: Deserialize<'a>>(
    message: &str,
    response: &Response<'a>,
) -> Result<T, WireError> {
    if response.status != 200 {
        return Err(refused(response.status, &shortened_body(response)));
    }
    json(message, response.body)
}

/// Reads JSON.
pub(super) fn json<'a, T: Deserialize<'a>>(message: &str, body: &'a [u8]) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|why| malformed(message, why))
}

/// A price of a token, as text.
pub(super) fn price(listed: &Listed, field: &'static str, text: &str) -> Result<Price, WireError> {
    let number = listed.decimals.parse_price(text);
    number.map_err(|why| WireError::Number {
        venue: VENUE,
        symbol: listed.symbol.clone(),
        field,
        value: shortened(text),
        why,
    })
}

/// A number of shares, as text.
pub(super) fn qty(listed: &Listed, field: &'static str, text: &str) -> Result<Qty, WireError> {
    let number = listed.decimals.parse_qty(text);
    number.map_err(|why| WireError::Number {
        venue: VENUE,
        symbol: listed.symbol.clone(),
        field,
        value: shortened(text),
        why,
    })
}

/// The text of a number that the venue writes as a number here and as a string there.
pub(super) fn number_text(raw: &RawValue) -> &str {
    raw.get().trim_matches('"')
}

/// A decimal of either form, exponents included.
pub(super) fn decimal(
    message: &str,
    field: &'static str,
    raw: &RawValue,
) -> Result<Decimal, WireError> {
    let text = number_text(raw);
    let number = text.parse().or_else(|_| Decimal::from_scientific(text));
    number.map_err(|_| bad(message, field, text, "a decimal number"))
}

/// A time in ms as the market channel has it.
pub(super) fn millis(message: &str, field: &'static str, text: &str) -> Result<u64, WireError> {
    let ms: Option<u64> = text.parse().ok();
    ms.and_then(|ms| ms.checked_mul(NS_PER_MS))
        .ok_or_else(|| bad(message, field, text, "a time in ms"))
}

/// A time in seconds or ms: the user channel has both. What could be a second of this age up to the year 5138 is one.
pub(super) fn seconds_or_millis(
    message: &str,
    field: &'static str,
    text: &str,
) -> Result<Nanos, WireError> {
    const SECONDS_BELOW: u64 = 100_000_000_000;
    let number: Option<u64> = text.parse().ok();
    number
        .and_then(|number| {
            number.checked_mul(if number < SECONDS_BELOW {
                SECOND_NS
            } else {
                NS_PER_MS
            })
        })
        .map(Nanos)
        .ok_or_else(|| bad(message, field, text, "a time in seconds or ms"))
}

/// An answer's body, shortened.
pub(super) fn shortened_body(response: &Response<'_>) -> String {
    let start = response.body.get(..200).unwrap_or(response.body);
    shortened(&String::from_utf8_lossy(start))
}
