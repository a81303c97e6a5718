//! Times and days as the venue writes them.
use onetape_engine::time::{Nanos, SECOND_NS};

/// Reads an RFC 3339 time: "2026-08-20T14:00:00.123456Z". `None` when it is none, or before 1970.
pub(super) fn rfc3339(text: &str) -> Option<Nanos> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let mut date = date.split('-');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    if date.next().is_some() {
        return None;
    }
    let days = days_since_epoch(digits(year, 4)?, digits(month, 2)?, digits(day, 2)?)?;
    let (clock, offset_s) = clock_and_offset(rest)?;
    let (clock, fraction_ns) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, nanoseconds(fraction)?),
        None => (clock, 0),
    };
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    // Second 60 is a leap second.
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = i64::from(days) * 86_400 + hour * 3_600 + minute * 60 + second - offset_s;
    let seconds = u64::try_from(seconds).ok()?;
    Some(Nanos(
        seconds.checked_mul(SECOND_NS)?.checked_add(fraction_ns)?,
    ))
}

/// Reads the day in a ticker: "26NOV21" is 2026-11-21, in days since 1970-01-01.
pub(super) fn ticker_day(text: &str) -> Option<i32> {
    const MONTHS: [&str; 12] = [
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ];
    let (year, month, day) = (text.get(..2)?, text.get(2..5)?, text.get(5..)?);
    let month = MONTHS.iter().position(|name| *name == month)?;
    days_since_epoch(2_000 + digits(year, 2)?, month as i64 + 1, digits(day, 2)?)
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let plain = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn nanoseconds(fraction: &str) -> Option<u64> {
    let plain = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !plain {
        return None;
    }
    format!("{fraction:0<9}").get(..9)?.parse().ok()
}

fn clock_and_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let at = text.rfind(['+', '-'])?;
    let (clock, offset) = (text.get(..at)?, text.get(at..)?);
    let (sign, offset) = match offset.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, offset.strip_prefix('+')?),
    };
    let (hours, minutes) = offset.split_once(':')?;
    Some((
        clock,
        sign * (digits(hours, 2)? * 3_600 + digits(minutes, 2)? * 60),
    ))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn days_since_epoch(year: i64, month: i64, day: i64) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if day < 1 || day > length {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * 146_097 + day_of_era - 719_468).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_to_the_nanosecond() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-08-20T14:00:00.123456Z", 1_787_234_400_123_456_000),
            ("2026-08-20T10:00:00-04:00", 1_787_234_400_000_000_000),
            ("2026-08-20T19:30:00.5+05:30", 1_787_234_400_500_000_000),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000_000),
        ] {
            assert_eq!(rfc3339(text), Some(Nanos(ns)), "{text}");
        }
        for bad in [
            "",
            "T",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-08-20T24:00:00Z",
            "2026-08-20T14:00:00",
            "2026-08-20T14:00:00.Z",
            "1969-12-31T23:59:59Z",
            "2026-08-20",
            "é-é-éTé",
        ] {
            assert_eq!(rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_tickers_day_is_a_date() {
        assert_eq!(ticker_day("26NOV21"), Some(20_778));
        assert_eq!(ticker_day("26JUL04"), Some(20_638));
        for bad in ["", "26NOV", "26NOV31", "26XXX01", "2é6"] {
            assert_eq!(ticker_day(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = rfc3339(&text);
            let _ = ticker_day(&text);
        }

        #[test]
        fn days_ascend_by_one(day in 0i64..40_000) {
            // Each date is the day after the date before: walk one year from a random start.
            let (year, month) = (1970 + day / 366, 1 + day % 12);
            let first = days_since_epoch(year, month, 1).unwrap();
            prop_assert_eq!(days_since_epoch(year, month, 28), Some(first + 27));
            let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            let next = days_since_epoch(next_year, next_month, 1).unwrap();
            prop_assert!((28..=31).contains(&(next - first)));
            prop_assert_eq!(days_since_epoch(year, month, i64::from(next - first)), Some(next - 1));
            prop_assert_eq!(days_since_epoch(year, month, i64::from(next - first) + 1), None);
        }
    }
}
