//! Exchange calendars: time zone, hours, holidays and half days into one fact a trading day, so that the core needs no
//! time zone. Offsets come from the IANA database that is built in.
use super::document::{Document, Row};
use crate::import::error::ImportError;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use onetape_engine::event::Kind;
use serde_json::Map;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest calendar, days.
const DAYS_MAX: i32 = 20 * 366;

/// Days from 1970-01-01 to a date.
pub(super) fn day_number(date: Date) -> i32 {
    let epoch = Date::constant(1970, 1, 1);
    epoch.until(date).map_or(0, |span| span.get_days())
}

/// One exchange's calendar as written.
struct Calendar {
    name: String,
    zone: TimeZone,
    open: Time,
    close: Time,
    half_close: Option<Time>,
    from: Date,
    to: Date,
    holidays: Vec<Date>,
    half_days: Vec<Date>,
}

/// The days of every `[calendar.NAME]`.
pub(super) fn days(
    document: &Document<'_>,
    value: Spanned<DeValue<'_>>,
) -> Result<Vec<Row>, ImportError> {
    let span = value.span();
    let DeValue::Table(calendars) = value.into_inner() else {
        return Err(document.reject(&span, "calendar", "", "written as [calendar.NAME]"));
    };
    let mut rows = Vec::new();
    for (key, value) in calendars {
        let (span, name) = (key.span(), key.into_inner().into_owned());
        let DeValue::Table(table) = value.into_inner() else {
            return Err(document.reject(&span, "calendar", &name, "written as [calendar.NAME]"));
        };
        let calendar = read(document, &span, name, table)?;
        calendar.rows(document, &span, &mut rows)?;
    }
    Ok(rows)
}

fn read(
    document: &Document<'_>,
    span: &Range<usize>,
    name: String,
    mut table: DeTable<'_>,
) -> Result<Calendar, ImportError> {
    let mut take = |field: &str| table.remove(field);
    let missing = |field: &str| document.reject(span, field, "", "the field is missing");
    let text = |field: &str, value: Option<Spanned<DeValue<'_>>>| match value {
        None => Err(missing(field)),
        Some(value) => {
            let (at, value) = (value.span(), value.into_inner());
            let shown = match &value {
                DeValue::String(text) => text.to_string(),
                DeValue::Datetime(at) => at.to_string(),
                _ => {
                    return Err(document.reject(&at, field, "", "expected text, a time or a date"));
                }
            };
            Ok((at, shown))
        }
    };
    let zone = text("zone", take("zone"))?;
    let zone = TimeZone::get(&zone.1).map_err(|_| {
        document.reject(
            &zone.0,
            "zone",
            &zone.1,
            "expected an IANA time zone like America/New_York",
        )
    })?;
    let time = |field: &str, value| {
        let (at, shown) = text(field, value)?;
        let parsed: Result<Time, _> = shown.parse();
        parsed.map_err(|_| document.reject(&at, field, &shown, "expected a time like 09:30:00"))
    };
    let date = |field: &str, at: &Range<usize>, shown: &str| {
        let parsed: Result<Date, _> = shown.parse();
        parsed.map_err(|_| document.reject(at, field, shown, "expected a date like 2026-01-05"))
    };
    let dates = |field: &str, value: Option<Spanned<DeValue<'_>>>| {
        let Some(value) = value else {
            return Ok(Vec::new());
        };
        let at = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            return Err(document.reject(&at, field, "", "expected a list of dates"));
        };
        let mut dates: Vec<Date> = Vec::new();
        for item in items {
            let at = item.span();
            let (_, shown) = text(field, Some(item))?;
            let day = date(field, &at, &shown)?;
            if dates.contains(&day) {
                return Err(document.reject(&at, field, &shown, "named twice"));
            }
            dates.push(day);
        }
        Ok(dates)
    };
    let (open, close) = (time("open", take("open"))?, time("close", take("close"))?);
    let half_close = take("half_close")
        .map(|value| time("half_close", Some(value)))
        .transpose()?;
    let (from, to) = (text("from", take("from"))?, text("to", take("to"))?);
    let (first, last) = (date("from", &from.0, &from.1)?, date("to", &to.0, &to.1)?);
    if last < first || day_number(last) - day_number(first) > DAYS_MAX {
        return Err(document.reject(&to.0, "to", &to.1, "must be from `from` to 20 years later"));
    }
    let holidays = dates("holidays", take("holidays"))?;
    let half_days = dates("half_days", take("half_days"))?;
    if let Some(both) = half_days.iter().find(|day| holidays.contains(day)) {
        let why = "a day can't be both a holiday and a half day";
        return Err(document.reject(span, "half_days", &both.to_string(), why));
    }
    let ends = [Some(close), half_close];
    if ends.iter().flatten().any(|end| *end <= open) {
        return Err(document.reject(span, "close", &close.to_string(), "must be after open"));
    }
    if let Some(half) = half_close.filter(|half| *half > close) {
        let why = "must not be after close";
        return Err(document.reject(span, "half_close", &half.to_string(), why));
    }
    let rests = |day: &&Date| {
        let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        weekend || **day < first || last < **day
    };
    if let Some(day) = half_days.iter().find(rests) {
        let why = "must be a weekday from `from` to `to`";
        return Err(document.reject(span, "half_days", &day.to_string(), why));
    }
    if half_close.is_none() && !half_days.is_empty() {
        return Err(missing("half_close"));
    }
    if let Some((key, _)) = table.into_iter().next() {
        let why =
            "unknown field; known are zone, open, close, half_close, from, to, holidays, half_days";
        return Err(document.reject(&key.span(), key.get_ref(), "", why));
    }
    Ok(Calendar {
        name,
        zone,
        open,
        close,
        half_close,
        from: first,
        to: last,
        holidays,
        half_days,
    })
}

impl Calendar {
    /// Its trading days as rows.
    fn rows(
        &self,
        document: &Document<'_>,
        span: &Range<usize>,
        rows: &mut Vec<Row>,
    ) -> Result<(), ImportError> {
        let mut day = self.from;
        while day <= self.to {
            let rests = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
            if !rests && !self.holidays.contains(&day) {
                let close = match self.half_close {
                    Some(half) if self.half_days.contains(&day) => half,
                    _ => self.close,
                };
                let bad = |e: jiff::Error| {
                    document.reject(span, "calendar", &day.to_string(), &e.to_string())
                };
                let opens = day
                    .to_datetime(self.open)
                    .to_zoned(self.zone.clone())
                    .map_err(bad)?;
                let closes = day
                    .to_datetime(close)
                    .to_zoned(self.zone.clone())
                    .map_err(bad)?;
                let ns =
                    |at: &jiff::Zoned| u64::try_from(at.timestamp().as_nanosecond()).unwrap_or(0);
                let mut fields = Map::new();
                fields.insert("calendar".into(), self.name.clone().into());
                fields.insert("day".into(), day_number(day).into());
                fields.insert("utc_offset_s".into(), opens.offset().seconds().into());
                fields.insert("opens_at".into(), ns(&opens).into());
                fields.insert("closes_at".into(), ns(&closes).into());
                rows.push(document.derived_row(Kind::TradingDay, span, fields));
            }
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        Ok(())
    }
}
