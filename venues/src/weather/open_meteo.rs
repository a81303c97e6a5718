//! Open-Meteo's forecast: two lists of equal length, times in the local time of the answer's own offset, nulls at the end.
use super::OPEN_METEO;
use super::temperature::{fahrenheit, is_possible};
use crate::gateway::WireError;
use crate::gateway::fields::{Raw, Reading, nanos, present};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

const READING: Reading = Reading {
    venue: OPEN_METEO,
    message: "forecast",
};

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    error: Raw<'a>,
    #[serde(borrow)]
    reason: Raw<'a>,
    #[serde(borrow)]
    utc_offset_seconds: Raw<'a>,
    #[serde(borrow)]
    hourly_units: Raw<'a>,
    #[serde(borrow)]
    hourly: Raw<'a>,
}

#[derive(Deserialize)]
struct Hourly<'a> {
    #[serde(borrow)]
    time: Raw<'a>,
    #[serde(borrow)]
    temperature_2m: Raw<'a>,
}

/// Reads a forecast: from when on, and degrees Fahrenheit, for each hour that has a value.
///
/// # Errors
/// [`WireError`]: refused (`{"error":true,"reason":...}`), lists of different lengths, another unit.
pub fn open_meteo(body: &[u8]) -> Result<Vec<(Nanos, Decimal)>, WireError> {
    let f: Fields<'_> = READING.object(body)?;
    if present(f.error).is_some_and(|raw| raw.get() == "true") {
        return Err(READING.refused("error", present(f.reason).map_or("", RawValue::get)));
    }
    let offset = READING.need("utc_offset_seconds", f.utc_offset_seconds)?;
    let offset_s: i64 = offset
        .get()
        .parse()
        .ok()
        .filter(|offset: &i64| offset.abs() <= 14 * 3_600)
        .ok_or_else(|| READING.bad("utc_offset_seconds", offset.get(), "within 14 hours"))?;
    let units = READING.need("hourly_units", f.hourly_units)?;
    let units: Hourly<'_> = READING.object(units.get().as_bytes())?;
    let unit = READING.need("temperature_2m", units.temperature_2m)?;
    let is_celsius = match READING.text("temperature_2m", unit)? {
        "°F" => false,
        "°C" => true,
        other => return Err(READING.bad("temperature_2m", other, "°F or °C")),
    };
    let hourly = READING.need("hourly", f.hourly)?;
    let hourly: Hourly<'_> = READING.object(hourly.get().as_bytes())?;
    let times = READING.list(READING.need("time", hourly.time)?.get().as_bytes())?;
    let degrees = READING.need("temperature_2m", hourly.temperature_2m)?;
    let degrees = READING.list(degrees.get().as_bytes())?;
    if times.len() != degrees.len() {
        let count = degrees.len().to_string();
        return Err(READING.bad(
            "temperature_2m",
            &count,
            "as many values as there are times",
        ));
    }
    let mut hours = Vec::new();
    for (time, degrees) in times.into_iter().zip(degrees) {
        let Some(raw) = present(Some(degrees)) else {
            continue;
        };
        let degrees = READING.decimal("temperature_2m", raw)?;
        let degrees = if is_celsius {
            fahrenheit(degrees)
        } else {
            Some(degrees)
        };
        let degrees = degrees.filter(|degrees| is_possible(*degrees));
        let impossible = || {
            READING.bad(
                "temperature_2m",
                raw.get(),
                "from -150 to 150 degrees Fahrenheit",
            )
        };
        hours.push((instant(time, offset_s)?, degrees.ok_or_else(impossible)?));
    }
    Ok(hours)
}

/// The instant of a local time without an offset: "2026-11-21T00:00".
fn instant(raw: &RawValue, offset_s: i64) -> Result<Nanos, WireError> {
    let bad = || READING.bad("time", raw.get(), "a local date and time, since 1970");
    let local: jiff::civil::DateTime = READING.text("time", raw)?.parse().map_err(|_| bad())?;
    let utc = local.to_zoned(jiff::tz::TimeZone::UTC).and_then(|zoned| {
        zoned
            .timestamp()
            .checked_sub(jiff::SignedDuration::from_secs(offset_s))
    });
    utc.ok().and_then(nanos).ok_or_else(bad)
}
