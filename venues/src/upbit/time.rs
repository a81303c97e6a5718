//! Times of REST answers: "2019-01-04T13:48:09+09:00".
use onetape_engine::time::{DAY_NS, Nanos, SECOND_NS};

/// Reads a time of RFC 3339 with whole seconds or a fraction, and an offset or `Z`.
pub fn parse_rfc3339(text: &str) -> Option<Nanos> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let part = |from: usize, to: usize| text.get(from..to).and_then(number);
    let separators = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if separators
        .iter()
        .any(|(at, sign)| text.get(*at..at + 1) != Some(sign))
    {
        return None;
    }
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (fraction, zone) = rest.split_at(zone_at);
    let fraction_ns = match fraction.strip_prefix('.') {
        Some(digits) if digits.len() <= 9 => {
            number(digits)?.checked_mul(10u64.pow(9 - u32::try_from(digits.len()).ok()?))?
        }
        None if fraction.is_empty() => 0,
        _ => return None,
    };
    let offset_s = match zone.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let seconds =
                i64::try_from(number(hours)?.min(24) * 3600 + number(minutes)?.min(60) * 60);
            let seconds = seconds.ok()?;
            if sign == "-" { -seconds } else { seconds }
        }
    };
    let seconds = i64::try_from((hour * 60 + minute) * 60 + second).ok()? - offset_s;
    let day_ns = days_since_1970(year, month, day).checked_mul(DAY_NS)?;
    let offset_ns = seconds.checked_mul(i64::try_from(SECOND_NS).ok()?)?;
    let whole = day_ns.checked_add_signed(offset_ns)?;
    whole.checked_add(fraction_ns).map(Nanos)
}

/// Days from 1970-01-01 in the Gregorian calendar; years are counted from March, so that leap days come last.
const fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_offset() {
        let seconds = |text: &str| parse_rfc3339(text).map(|time| time.0 / SECOND_NS);
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("1970-01-01T09:00:00+09:00"), Some(0));
        assert_eq!(seconds("2019-01-04T13:48:09+09:00"), Some(1_546_577_289));
        assert_eq!(seconds("2024-02-29T00:00:00Z"), Some(1_709_164_800));
        assert_eq!(seconds("2000-03-01T00:00:00-00:30"), Some(951_870_600));
        assert_eq!(
            parse_rfc3339("1970-01-01T00:00:00.25Z"),
            Some(Nanos(250_000_000))
        );
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2019-01-04",
            "2019-01-04T13:48:09",
            "2019-13-04T13:48:09Z",
            "2019-01-04T24:48:09Z",
            "2019-01-04 13:48:09Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+09:00",
            "2019-01-04T13:48:09.Z",
            "2019-01-04T13:48:09.0000000001Z",
            "2019-01-04T13:48:09+9",
            "２０１９-01-04T13:48:09Z",
            "9999-99-99T99:99:99+99:99",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
