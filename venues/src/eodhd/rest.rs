//! The REST answer that tells an exchange rate: `/api/real-time/USDKRW.FOREX`.
use super::VENUE;
use crate::gateway::fields::{Raw, Reading};
use crate::gateway::{Bucket, Request, Response, WireError};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

const READING: Reading = Reading {
    venue: VENUE,
    message: "real-time rate",
};

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    code: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
    #[serde(borrow)]
    close: Raw<'a>,
}

/// The request for a rate; `code` as the venue has it: "USDKRW.FOREX".
pub fn real_time_request(code: &str, token: &SecretString) -> Request {
    let token = token.expose_secret();
    let target = format!("/api/real-time/{code}?api_token={token}&fmt=json");
    Request::get("eodhd", target, Bucket::Public)
}

/// Reads the answer: the last rate and when it was. The venue says "NA" where it has none.
///
/// # Errors
/// [`WireError`]: refused (401, 403, 402, 429), not the code that was asked for, or without a rate.
pub fn real_time_rate(code: &str, response: &Response<'_>) -> Result<(Decimal, Nanos), WireError> {
    if response.status != 200 {
        let words = String::from_utf8_lossy(response.body);
        return Err(READING.refused(response.status, &words));
    }
    let f: Fields<'_> = READING.object(response.body)?;
    let found = READING.text("code", READING.need("code", f.code)?)?;
    if found != code {
        return Err(READING.bad("code", found, "the code that was asked for"));
    }
    let close = READING.need("close", f.close)?;
    let rate = READING.decimal("close", close)?;
    if rate <= Decimal::ZERO {
        return Err(READING.bad("close", close.get(), "a rate above zero"));
    }
    let at = READING.time_s("timestamp", READING.need("timestamp", f.timestamp)?)?;
    Ok((rate, at))
}
