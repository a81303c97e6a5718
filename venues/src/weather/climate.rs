//! The climate report (product CLI): the text that contracts settle on.
//!
//! ```text
//! ...THE CENTRAL PARK NY CLIMATE SUMMARY FOR JUNE 30 2026...
//! VALID TODAY AS OF 0400 PM LOCAL TIME.          only in the afternoon's report, which is not the one that settles
//!
//! TEMPERATURE (F)
//!  YESTERDAY
//!   MAXIMUM         87   1226 PM     99    1964     84      3     90
//! ```
//! `MM` is a missing value, an `R` after one a record. Times are local standard time.
use super::NWS;
use super::nws::product_text;
use super::station::Station;
use crate::gateway::WireError;
use crate::gateway::fields::Reading;
use onetape_engine::event::{Observation, ObservationQuality};
use onetape_engine::time::{Nanos, SECOND_NS};
use rust_decimal::Decimal;

/// A day's climate report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClimateReport {
    /// When it was issued.
    pub issued_at: Nanos,
    /// The climate day that it is about, in days since 1970-01-01.
    pub day: i32,
    /// Whether it is about the whole day: not the afternoon's report, and issued after the day's end.
    pub is_final: bool,
    /// Highest temperature in whole degrees Fahrenheit; none where it is missing.
    pub maximum_f: Option<i32>,
    /// Whether that is a record.
    pub is_record: bool,
    /// When it was, in minutes since midnight, local standard time.
    pub maximum_minute: Option<u32>,
    /// Lowest temperature in whole degrees Fahrenheit; none where it is missing.
    pub minimum_f: Option<i32>,
}

const READING: Reading = Reading {
    venue: NWS,
    message: "climate report",
};
const MONTHS: [&str; 12] = [
    "JANUARY",
    "FEBRUARY",
    "MARCH",
    "APRIL",
    "MAY",
    "JUNE",
    "JULY",
    "AUGUST",
    "SEPTEMBER",
    "OCTOBER",
    "NOVEMBER",
    "DECEMBER",
];

impl ClimateReport {
    /// Reads the product that the service answers with.
    ///
    /// # Errors
    /// [`WireError`] for another place's report, or what is none.
    pub fn read(station: &Station, body: &[u8]) -> Result<Self, WireError> {
        let (issued_at, text) = product_text(body)?;
        let (title, rest) = title(&text)
            .ok_or_else(|| READING.bad("productText", &text, "... CLIMATE SUMMARY FOR a day"))?;
        let (place, date) = title;
        if !place.contains(station.place.as_str()) {
            return Err(READING.bad("productText", place, "the place that was asked for"));
        }
        let day = day(date).ok_or_else(|| READING.bad("productText", date, "a date"))?;
        let is_afternoon = text.contains("VALID TODAY AS OF") || text.contains("VALID AS OF");
        let table = temperatures(rest)
            .ok_or_else(|| READING.bad("productText", rest, "a table of temperatures"))?;
        let maximum = value(table, "MAXIMUM")?;
        let minimum = value(table, "MINIMUM")?;
        Ok(Self {
            issued_at,
            day,
            is_final: !is_afternoon && issued_at >= station.day_start(day.saturating_add(1)),
            maximum_f: maximum.degrees,
            is_record: maximum.is_record,
            maximum_minute: maximum.minute,
            minimum_f: minimum.degrees,
        })
    }

    /// The day's maximum as it settles: an official observation at the time that the report gives, at the day's last second
    /// where it gives none. Nothing from a report that is not final, or without a maximum.
    pub fn observation(&self, station: &Station) -> Option<Observation> {
        let degrees = self.maximum_f.filter(|_| self.is_final)?;
        let second = self
            .maximum_minute
            .map_or(86_399, |minute| u64::from(minute) * 60);
        Some(Observation {
            station: station.name.clone(),
            observed_at: station.day_start(self.day).after(second * SECOND_NS),
            temperature_f: Decimal::from(degrees),
            quality: ObservationQuality::Official,
        })
    }
}

/// Place and date of "...THE <place> CLIMATE SUMMARY FOR <date>...", and what follows.
fn title(text: &str) -> Option<((&str, &str), &str)> {
    const MIDDLE: &str = "CLIMATE SUMMARY FOR ";
    let at = text.find(MIDDLE)?;
    let (before, after) = (text.get(..at)?, text.get(at + MIDDLE.len()..)?);
    let place = before.rsplit("...").next()?;
    let (date, rest) = after.split_once("...")?;
    Some(((place.trim(), date.trim()), rest))
}

/// Days since 1970-01-01 of "JUNE 30 2026".
fn day(date: &str) -> Option<i32> {
    let mut words = date.split_ascii_whitespace();
    let (month, day, year) = (words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)?;
    let month = i8::try_from(month + 1).ok()?;
    let date = jiff::civil::Date::new(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    let epoch = jiff::civil::Date::constant(1970, 1, 1);
    let days = epoch.duration_until(date).as_hours() / 24;
    i32::try_from(days).ok().filter(|day| *day >= 0)
}

/// The lines of the table of temperatures: up to the first empty line.
fn temperatures(text: &str) -> Option<&str> {
    let start = text.find("TEMPERATURE (F)")?;
    let table = text.get(start..)?;
    let end = table.find("\n\n").unwrap_or(table.len());
    table.get(..end)
}

struct Line {
    degrees: Option<i32>,
    is_record: bool,
    minute: Option<u32>,
}

/// The value that a line of the table begins with.
fn value(table: &str, name: &'static str) -> Result<Line, WireError> {
    let line = table
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(name));
    let line = line.ok_or_else(|| READING.bad(name, "missing", "a line of the table"))?;
    let mut words = line.split_ascii_whitespace();
    let word = words.next().unwrap_or_default();
    if word == "MM" {
        return Ok(Line {
            degrees: None,
            is_record: false,
            minute: None,
        });
    }
    let (digits, is_record) = word
        .strip_suffix('R')
        .map_or((word, false), |rest| (rest, true));
    let degrees: Option<i32> = digits.parse().ok();
    let degrees = degrees
        .filter(|degrees| (-150..=150).contains(degrees))
        .ok_or_else(|| READING.bad(name, word, "whole degrees, MM, or an R behind them"))?;
    Ok(Line {
        degrees: Some(degrees),
        is_record,
        minute: minute(words.next(), words.next()),
    })
}

/// Minutes since midnight of "1226 PM"; none for "MM" and everything else.
fn minute(clock: Option<&str>, half: Option<&str>) -> Option<u32> {
    let clock: u32 = clock?.parse().ok()?;
    let (hour, minute) = (clock / 100, clock % 100);
    if !(1..=12).contains(&hour) || minute > 59 {
        return None;
    }
    let afternoon = match half? {
        "AM" => 0,
        "PM" => 12,
        _ => return None,
    };
    Some((hour % 12 + afternoon) * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::station::new_york;

    fn product(issued: &str, text: &str) -> Vec<u8> {
        serde_json::json!({"productCode": "CLI", "issuanceTime": issued, "productText": text})
            .to_string()
            .into_bytes()
    }

    fn report(extra: &str, maximum: &str) -> String {
        format!(
            "CLIMATE REPORT\n\n...THE CENTRAL PARK NY CLIMATE SUMMARY FOR JUNE 30 2026...\n{extra}\n\
             TEMPERATURE (F)\n YESTERDAY\n  MAXIMUM   {maximum}\n  MINIMUM   -3    522 AM\n\n\
             MAXIMUM TEMPERATURE (F)   84        99      1964\n"
        )
    }

    fn read(issued: &str, extra: &str, maximum: &str) -> ClimateReport {
        ClimateReport::read(&new_york(), &product(issued, &report(extra, maximum))).unwrap()
    }

    const MORNING: &str = "2026-07-01T06:17:00+00:00";

    #[test]
    fn a_record_is_a_value_and_what_is_missing_is_none() {
        let record = read(MORNING, "", "101R  305 PM  99  1964");
        assert_eq!((record.maximum_f, record.is_record), (Some(101), true));
        assert_eq!(
            (record.maximum_minute, record.minimum_f),
            (Some(15 * 60 + 5), Some(-3))
        );
        let missing = read(MORNING, "", "MM     MM  99  1964");
        assert_eq!(
            (missing.maximum_f, missing.observation(&new_york())),
            (None, None)
        );
        let untimed = read(MORNING, "", "87     MM  99  1964");
        let seen = untimed.observation(&new_york()).unwrap();
        assert_eq!(new_york().day_of(seen.observed_at), untimed.day);
        let midnight = read(MORNING, "", "87  1200 AM");
        assert_eq!(midnight.maximum_minute, Some(0));
    }

    #[test]
    fn the_afternoons_report_settles_nothing() {
        let afternoon = read(
            "2026-06-30T20:30:00+00:00",
            "VALID TODAY AS OF 0400 PM LOCAL TIME.",
            "87 1226 PM",
        );
        assert_eq!((afternoon.is_final, afternoon.maximum_f), (false, Some(87)));
        assert_eq!(afternoon.observation(&new_york()), None);
        // Said to be whole, yet issued before the day in standard time ended: 00:30 on the summer clock.
        let early = read("2026-07-01T04:30:00+00:00", "", "87 1226 PM");
        assert_eq!(early.observation(&new_york()), None);
        let last = read("2026-07-01T05:00:00+00:00", "", "87 1226 PM");
        assert!(last.observation(&new_york()).is_some());
    }

    #[test]
    fn another_places_report_and_what_is_none_are_refused() {
        let station = new_york();
        let text = report("", "87 1226 PM");
        for (bad, field) in [
            (text.replace("CENTRAL PARK", "LA GUARDIA"), "productText"),
            (text.replace("JUNE 30", "JUNE 31"), "productText"),
            (text.replace("JUNE 30 2026", "JUNE 30 99999"), "productText"),
            (text.replace("TEMPERATURE (F)", "RAIN"), "productText"),
            (text.replace("87 1226", "8x7 1226"), "MAXIMUM"),
            (text.replace("87 1226", "870 1226"), "MAXIMUM"),
        ] {
            let error = ClimateReport::read(&station, &product(MORNING, &bad)).unwrap_err();
            assert!(
                matches!(error, WireError::BadField { field: found, .. } if found == field),
                "{error}"
            );
        }
    }
}
