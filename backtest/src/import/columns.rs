//! Comma-separated fields of one line, and times in the units that files use.
use super::error::Fault;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Most fields that a line may have.
const FIELDS_MAX: usize = 64;

/// The fields of a line. Quotes around a field are taken off; a quoted field can hold commas, but no quote and no line
/// break.
pub(super) fn split<'a>(line: &'a str, out: &mut Vec<&'a str>) -> Result<(), Fault> {
    out.clear();
    let mut left = Some(line);
    while let Some(rest) = left {
        let field;
        (field, left) = match rest.strip_prefix('"') {
            None => rest
                .split_once(',')
                .map_or((rest, None), |(field, more)| (field, Some(more))),
            Some(quoted) => {
                let Some((field, after)) = quoted.split_once('"') else {
                    return Err(Fault::new("line", line, "a quoted field does not end"));
                };
                match after.strip_prefix(',') {
                    None if after.is_empty() => (field, None),
                    None => {
                        return Err(Fault::new(
                            "line",
                            line,
                            "expected a comma after a quoted field",
                        ));
                    }
                    more => (field, more),
                }
            }
        };
        if out.len() == FIELDS_MAX {
            return Err(Fault::new(
                "line",
                line,
                format!("more than {FIELDS_MAX} fields"),
            ));
        }
        out.push(field.trim());
    }
    Ok(())
}

/// The unit of a time column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeUnit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    /// RFC 3339; UTC where no zone is given.
    Text,
}

impl TimeUnit {
    /// Reads a time as UTC ns.
    pub(super) fn read(self, field: &'static str, text: &str) -> Result<u64, Fault> {
        let scale = match self {
            TimeUnit::Nanoseconds => 1,
            TimeUnit::Microseconds => 1_000,
            TimeUnit::Milliseconds => 1_000_000,
            TimeUnit::Text => return timestamp(field, text),
        };
        let count: u64 = text
            .parse()
            .map_err(|_| Fault::new(field, text, "expected a whole number since 1970 UTC"))?;
        let ns = count
            .checked_mul(scale)
            .ok_or_else(|| Fault::new(field, text, "lies after the year 2554"))?;
        if ns == 0 {
            Err(Fault::new(field, text, "expected a time after 1970"))
        } else {
            Ok(ns)
        }
    }
}

/// RFC 3339 as UTC ns; a time without zone is UTC.
pub(super) fn timestamp(field: &'static str, text: &str) -> Result<u64, Fault> {
    let parsed: Result<Timestamp, _> = text.parse();
    let parsed = parsed.or_else(|_| {
        text.parse::<DateTime>()
            .and_then(|civil| civil.to_zoned(TimeZone::UTC))
            .map(|zoned| zoned.timestamp())
    });
    let bad = || Fault::new(field, text, "expected a time like 2024-08-08T23:54:13.937Z");
    u64::try_from(parsed.map_err(|_| bad())?.as_nanosecond())
        .ok()
        .filter(|ns| *ns > 0)
        .ok_or_else(bad)
}

/// A whole number, 0 where the field is empty.
pub(super) fn id(field: &'static str, text: &str) -> Result<u64, Fault> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse()
        .map_err(|_| Fault::new(field, text, "expected a whole number that is not negative"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_at_commas_outside_quotes() {
        let mut out = Vec::new();
        split(r#"a,"b,c",, d ,"#, &mut out).unwrap();
        assert_eq!(out, ["a", "b,c", "", "d", ""]);
        assert!(split(r#"a,"b"#, &mut out).is_err());
        assert!(split(r#""a"b"#, &mut out).is_err());
    }

    #[test]
    fn times_are_utc_unless_a_zone_is_given() {
        let read = |text| timestamp("ts", text).unwrap();
        assert_eq!(
            read("2024-08-08T23:54:13.937085768Z"),
            1_723_161_253_937_085_768
        );
        assert_eq!(read("2024-08-08T23:54:13"), read("2024-08-08T23:54:13Z"));
        assert_eq!(
            read("2024-08-09T08:54:13+09:00"),
            read("2024-08-08T23:54:13Z")
        );
        assert!(
            timestamp("ts", "yesterday").is_err()
                && timestamp("ts", "1969-01-01T00:00:00Z").is_err()
        );
        assert!(
            TimeUnit::Milliseconds
                .read("ts_ms", "99999999999999999")
                .is_err()
        );
    }
}
