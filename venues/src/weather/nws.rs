//! The National Weather Service's answers. Units stand beside each value and differ within one object, values can be null.
use super::NWS;
use super::station::Station;
use super::temperature::{fahrenheit, is_possible};
use crate::gateway::WireError;
use crate::gateway::fields::{self, Raw, present};
use onetape_engine::event::{Observation, ObservationQuality};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Periods of a forecast at the most: a week has 168 hours.
const PERIODS_MAX: usize = 1_000;

const fn reading(message: &'static str) -> fields::Reading {
    fields::Reading {
        venue: NWS,
        message,
    }
}

#[derive(Deserialize)]
struct Feature<'a> {
    #[serde(borrow)]
    properties: Raw<'a>,
}

fn properties<'a, T: Deserialize<'a>>(
    reading: fields::Reading,
    body: &'a [u8],
) -> Result<T, WireError> {
    let feature: Feature<'a> = reading.object(body)?;
    let properties = reading.need("properties", feature.properties)?;
    reading.object(properties.get().as_bytes())
}

#[derive(Deserialize)]
struct Points<'a> {
    #[serde(borrow, rename = "forecastHourly")]
    forecast_hourly: Raw<'a>,
}

/// Reads what belongs to a point: the path of its hourly forecast. The service moves points to other grids, so the path is
/// asked for, not kept; the host of the address it gives is not followed.
///
/// # Errors
/// [`WireError`] without an address of that form.
pub fn points(body: &[u8]) -> Result<String, WireError> {
    let reading = reading("points");
    let f: Points<'_> = properties(reading, body)?;
    let raw = reading.need("forecastHourly", f.forecast_hourly)?;
    let address = reading.text("forecastHourly", raw)?;
    let path = address
        .split_once("://")
        .and_then(|(_, rest)| rest.find('/').and_then(|place| rest.get(place..)));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/,-_.".contains(c);
    match path {
        Some(path) if path.starts_with("/gridpoints/") && path.chars().all(is_plain) => {
            Ok(path.to_owned())
        }
        _ => Err(reading.bad("forecastHourly", address, "an address below /gridpoints/")),
    }
}

/// An hourly forecast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourlyForecast {
    /// When its data were made.
    pub issued_at: Nanos,
    /// From when on, and degrees Fahrenheit.
    pub hours: Vec<(Nanos, Decimal)>,
}

#[derive(Deserialize)]
struct Hourly<'a> {
    #[serde(borrow, rename = "updateTime")]
    update_time: Raw<'a>,
    #[serde(borrow)]
    periods: Raw<'a>,
}

#[derive(Deserialize)]
struct Period<'a> {
    #[serde(borrow, rename = "startTime")]
    start_time: Raw<'a>,
    #[serde(borrow)]
    temperature: Raw<'a>,
    #[serde(borrow, rename = "temperatureUnit")]
    temperature_unit: Raw<'a>,
}

/// Reads an hourly forecast. Hours without a temperature are left out.
///
/// # Errors
/// [`WireError`] for what is none.
pub fn hourly_forecast(body: &[u8]) -> Result<HourlyForecast, WireError> {
    let reading = reading("hourly forecast");
    let f: Hourly<'_> = properties(reading, body)?;
    let issued = reading.need("updateTime", f.update_time)?;
    let issued_at = reading.moment("updateTime", issued)?;
    let periods = reading.need("periods", f.periods)?;
    let mut hours = Vec::new();
    for period in reading
        .list(periods.get().as_bytes())?
        .into_iter()
        .take(PERIODS_MAX)
    {
        let period: Period<'_> = reading.object(period.get().as_bytes())?;
        let Some(temperature) = present(period.temperature) else {
            continue;
        };
        let unit = reading.need("temperatureUnit", period.temperature_unit)?;
        let degrees = reading.decimal("temperature", temperature)?;
        let degrees = match reading.text("temperatureUnit", unit)? {
            "F" => Some(degrees),
            "C" => fahrenheit(degrees),
            other => return Err(reading.bad("temperatureUnit", other, "F or C")),
        };
        let start = reading.need("startTime", period.start_time)?;
        hours.push((
            reading.moment("startTime", start)?,
            possible(reading, "temperature", temperature, degrees)?,
        ));
    }
    Ok(HourlyForecast { issued_at, hours })
}

fn possible(
    reading: fields::Reading,
    field: &'static str,
    raw: &RawValue,
    degrees: Option<Decimal>,
) -> Result<Decimal, WireError> {
    degrees
        .filter(|degrees| is_possible(*degrees))
        .ok_or_else(|| reading.bad(field, raw.get(), "from -150 to 150 degrees Fahrenheit"))
}

/// What a station's latest report holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A temperature.
    Seen(Observation),
    /// None: the sensor said nothing.
    Missing,
    /// One that the service's own checks rejected or doubt: its flag.
    Doubted(String),
}

#[derive(Deserialize)]
struct Observed<'a> {
    #[serde(borrow, rename = "stationId")]
    station_id: Raw<'a>,
    #[serde(borrow)]
    station: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
    #[serde(borrow)]
    temperature: Raw<'a>,
    #[serde(borrow, rename = "rawMessage")]
    raw_message: Raw<'a>,
}

#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow)]
    value: Raw<'a>,
    #[serde(borrow, rename = "unitCode")]
    unit_code: Raw<'a>,
    #[serde(borrow, rename = "qualityControl")]
    quality_control: Raw<'a>,
}

/// Reads a station's latest observation.
///
/// It is official where the airport report that it comes from gives the temperature to a tenth of a degree (its remark
/// "T02220111") and a check passed it (V, C, S, G): that is the whole degree Fahrenheit which the station measured, so that
/// rounding down never gives more than was seen. Everything else went through whole degrees Celsius and is soft. What the
/// checks reject or doubt (X, Q, B) is no reading.
///
/// # Errors
/// [`WireError`] for another station's, or what is none.
pub fn observation(station: &Station, body: &[u8]) -> Result<Reading, WireError> {
    let reading = reading("observation");
    let f: Observed<'_> = properties(reading, body)?;
    let id = match present(f.station_id) {
        Some(id) => reading.text("stationId", id)?,
        None => {
            let address = reading.text("station", reading.need("station", f.station)?)?;
            address.rsplit('/').next().unwrap_or_default()
        }
    };
    if id != station.observations {
        return Err(reading.bad("stationId", id, "the station that was asked for"));
    }
    let observed_at = reading.moment("timestamp", reading.need("timestamp", f.timestamp)?)?;
    let Some(temperature) = present(f.temperature) else {
        return Ok(Reading::Missing);
    };
    let f_value: Value<'_> = reading.object(temperature.get().as_bytes())?;
    let Some(value) = present(f_value.value) else {
        return Ok(Reading::Missing);
    };
    let flag = present(f_value.quality_control).map(|flag| reading.text("qualityControl", flag));
    let flag = flag.transpose()?.unwrap_or("Z");
    let is_checked = match flag {
        "V" | "C" | "S" | "G" => true,
        "Z" => false,
        doubted => return Ok(Reading::Doubted(crate::gateway::shortened(doubted))),
    };
    let degrees = reading.decimal("value", value)?;
    let unit = reading.need("unitCode", f_value.unit_code)?;
    let degrees = match reading.text("unitCode", unit)? {
        "wmoUnit:degC" => fahrenheit(degrees),
        "wmoUnit:degF" => Some(degrees),
        other => return Err(reading.bad("unitCode", other, "wmoUnit:degC or wmoUnit:degF")),
    };
    let temperature_f = possible(reading, "value", value, degrees)?;
    let is_exact = present(f.raw_message).is_some_and(|raw| has_tenths(raw.get()));
    Ok(Reading::Seen(Observation {
        station: station.name.clone(),
        observed_at,
        temperature_f,
        quality: if is_exact && is_checked {
            ObservationQuality::Official
        } else {
            ObservationQuality::Soft
        },
    }))
}

/// Whether an airport report has the remark with temperature and dew point in tenths: "T" and eight digits.
fn has_tenths(report: &str) -> bool {
    let is_it = |word: &str| {
        word.strip_prefix('T')
            .is_some_and(|rest| rest.len() == 8 && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    report.trim_matches('"').split_ascii_whitespace().any(is_it)
}

/// A text product as the service lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Product {
    /// When it was issued.
    pub issued_at: Nanos,
    /// Its id: letters, digits and '-'.
    pub id: String,
}

#[derive(Deserialize)]
struct Products<'a> {
    #[serde(borrow, rename = "@graph")]
    graph: Raw<'a>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow, rename = "issuanceTime")]
    issuance_time: Raw<'a>,
}

/// Reads a list of products, at most 500 of them.
///
/// # Errors
/// [`WireError`] for what is none.
pub fn products(body: &[u8]) -> Result<Vec<Product>, WireError> {
    let reading = reading("product list");
    let f: Products<'_> = reading.object(body)?;
    let graph = reading.need("@graph", f.graph)?;
    let mut products = Vec::new();
    for item in reading.list(graph.get().as_bytes())?.into_iter().take(500) {
        let item: Listed<'_> = reading.object(item.get().as_bytes())?;
        let id = reading.text("id", reading.need("id", item.id)?)?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if id.is_empty() || id.len() > 64 || !id.chars().all(is_plain) {
            return Err(reading.bad("id", id, "letters, digits and '-'"));
        }
        let issued = reading.need("issuanceTime", item.issuance_time)?;
        products.push(Product {
            issued_at: reading.moment("issuanceTime", issued)?,
            id: id.to_owned(),
        });
    }
    Ok(products)
}

#[derive(Deserialize)]
struct ProductText<'a> {
    #[serde(borrow, rename = "productCode")]
    product_code: Raw<'a>,
    #[serde(borrow, rename = "issuanceTime")]
    issuance_time: Raw<'a>,
    #[serde(borrow, rename = "productText")]
    product_text: Raw<'a>,
}

/// Reads a climate report's text and when it was issued.
///
/// # Errors
/// [`WireError`] for another kind of product, or what is none.
pub fn product_text(body: &[u8]) -> Result<(Nanos, String), WireError> {
    let reading = reading("product");
    let f: ProductText<'_> = reading.object(body)?;
    let code = reading.text("productCode", reading.need("productCode", f.product_code)?)?;
    if code != "CLI" {
        return Err(reading.bad("productCode", code, "CLI"));
    }
    let issued = reading.need("issuanceTime", f.issuance_time)?;
    let text = reading.need("productText", f.product_text)?.get();
    let text =
        serde_json::from_str(text).map_err(|_| reading.bad("productText", text, "a string"))?;
    Ok((reading.moment("issuanceTime", issued)?, text))
}
