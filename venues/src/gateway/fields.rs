//! Fields of a JSON message, read in place: numbers from their text, with errors that name field and value.
use super::{Listed, WireError, shortened};
use onetape_engine::number::{NumberError, Price, Qty};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A value that is still text, where the message has it.
pub(crate) type Raw<'a> = Option<&'a RawValue>;

/// Whose message is read, for errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) venue: &'static str,
    pub(crate) message: &'static str,
}

impl Reading {
    /// Reads a JSON object, whose fields borrow their text.
    pub(crate) fn object<'a, T: Deserialize<'a>>(self, bytes: &'a [u8]) -> Result<T, WireError> {
        // A list of values would deserialise as well, by position.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(self.malformed("not a json object"));
        }
        serde_json::from_slice(bytes).map_err(|e| self.malformed(&e.to_string()))
    }

    /// Reads a JSON list; what each of its items is stands to be read.
    pub(crate) fn list(self, bytes: &[u8]) -> Result<Vec<&RawValue>, WireError> {
        serde_json::from_slice(bytes).map_err(|e| self.malformed(&e.to_string()))
    }

    pub(crate) fn malformed(self, why: &str) -> WireError {
        WireError::Malformed {
            venue: self.venue,
            message: self.message.to_owned(),
            why: shortened(why),
        }
    }

    pub(crate) fn bad(self, field: &'static str, value: &str, expected: &'static str) -> WireError {
        WireError::BadField {
            venue: self.venue,
            message: self.message.to_owned(),
            field,
            value: shortened(value),
            expected,
        }
    }

    pub(crate) fn refused(self, code: impl ToString, message: &str) -> WireError {
        WireError::Refused {
            venue: self.venue,
            code: code.to_string(),
            message: shortened(message),
        }
    }

    /// A field that must be there and not null.
    pub(crate) fn need<'a>(
        self,
        field: &'static str,
        raw: Raw<'a>,
    ) -> Result<&'a RawValue, WireError> {
        present(raw).ok_or_else(|| self.bad(field, "missing", "a value"))
    }

    /// A string without escapes, so that it can be borrowed.
    pub(crate) fn text<'a>(
        self,
        field: &'static str,
        raw: &'a RawValue,
    ) -> Result<&'a str, WireError> {
        unquoted(raw.get()).ok_or_else(|| self.bad(field, raw.get(), "a string without escapes"))
    }

    /// The text of a number, which may stand in quotes.
    pub(crate) fn digits<'a>(
        self,
        field: &'static str,
        raw: &'a RawValue,
    ) -> Result<&'a str, WireError> {
        let text = unquoted(raw.get()).unwrap_or(raw.get());
        if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.')) {
            Ok(text)
        } else {
            Err(self.bad(field, raw.get(), "a number"))
        }
    }

    pub(crate) fn decimal(self, field: &'static str, raw: &RawValue) -> Result<Decimal, WireError> {
        let text = self.digits(field, raw)?;
        decimal_from_text(text)
            .ok_or_else(|| self.bad(field, text, "a number of at most 28 digits"))
    }

    pub(crate) fn integer(self, field: &'static str, raw: &RawValue) -> Result<u64, WireError> {
        let text = self.digits(field, raw)?;
        text.parse()
            .map_err(|_| self.bad(field, text, "a whole number that is not negative"))
    }

    /// Milliseconds since 1970.
    pub(crate) fn time_ms(self, field: &'static str, raw: &RawValue) -> Result<Nanos, WireError> {
        self.time(
            field,
            raw,
            1_000_000,
            "milliseconds since 1970 that fit in nanoseconds",
        )
    }

    /// Seconds since 1970.
    pub(crate) fn time_s(self, field: &'static str, raw: &RawValue) -> Result<Nanos, WireError> {
        self.time(
            field,
            raw,
            1_000_000_000,
            "seconds since 1970 that fit in nanoseconds",
        )
    }

    fn time(
        self,
        field: &'static str,
        raw: &RawValue,
        unit_ns: u64,
        expected: &'static str,
    ) -> Result<Nanos, WireError> {
        let ns = self.integer(field, raw)?.checked_mul(unit_ns);
        ns.map(Nanos)
            .ok_or_else(|| self.bad(field, raw.get(), expected))
    }

    /// A moment with its offset: "2026-06-30T06:17:00+00:00".
    pub(crate) fn moment(self, field: &'static str, raw: &RawValue) -> Result<Nanos, WireError> {
        let moment = self.text(field, raw)?.parse::<jiff::Timestamp>();
        moment.ok().and_then(nanos).ok_or_else(|| {
            self.bad(
                field,
                raw.get(),
                "a date and time with its offset, since 1970",
            )
        })
    }

    pub(crate) fn price(
        self,
        field: &'static str,
        raw: &RawValue,
        listed: &Listed,
    ) -> Result<Price, WireError> {
        let text = self.digits(field, raw)?;
        self.fits(field, text, listed, listed.decimals.parse_price(text))
    }

    pub(crate) fn qty(
        self,
        field: &'static str,
        raw: &RawValue,
        listed: &Listed,
    ) -> Result<Qty, WireError> {
        let text = self.digits(field, raw)?;
        self.fits(field, text, listed, listed.decimals.parse_qty(text))
    }

    /// A number in the instrument's decimals, or the error that names both.
    pub(crate) fn fits<T>(
        self,
        field: &'static str,
        value: &str,
        listed: &Listed,
        number: Result<T, NumberError>,
    ) -> Result<T, WireError> {
        number.map_err(|why| WireError::Number {
            venue: self.venue,
            symbol: listed.symbol.clone(),
            field,
            value: shortened(value),
            why,
        })
    }
}

/// The value, where it is not null.
pub(crate) fn present(raw: Raw<'_>) -> Raw<'_> {
    raw.filter(|raw| raw.get() != "null")
}

/// A moment as the tape stamps it; none before 1970.
pub(crate) fn nanos(moment: jiff::Timestamp) -> Option<Nanos> {
    u64::try_from(moment.as_nanosecond()).ok().map(Nanos)
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|text| !text.contains('\\'))
}

/// A decimal number, exact, with or without an exponent; `None` where it is none or has more than 28 digits.
pub(crate) fn decimal_from_text(text: &str) -> Option<Decimal> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let number = Decimal::from_str_exact(digits).ok()?;
    let scale = i32::try_from(number.scale()).ok()?.checked_sub(exponent)?;
    match u32::try_from(scale) {
        Ok(scale) => Decimal::try_from_i128_with_scale(number.mantissa(), scale).ok(),
        Err(_) => {
            let unit = onetape_engine::number::pow10(scale.unsigned_abs())?;
            let mantissa = number.mantissa().checked_mul(unit)?;
            Decimal::try_from_i128_with_scale(mantissa, 0).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_with_an_exponent_are_exact() {
        for (text, exact) in [
            ("1.16539E8", "116539000"),
            ("8.428e-05", "0.00008428"),
            ("-4E+1", "-40"),
            ("22.2", "22.2"),
            ("1e28", "10000000000000000000000000000"),
        ] {
            let expected = Decimal::from_str_exact(exact).unwrap();
            assert_eq!(decimal_from_text(text), Some(expected), "{text}");
        }
        for bad in [
            "",
            "e5",
            "1e",
            "1e99",
            "1e-40",
            "NA",
            "1e2147483648",
            "0.1e-2147483648",
        ] {
            assert_eq!(decimal_from_text(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_exponent_form_of_a_number_is_the_number(mantissa in any::<i64>(), scale in 0u32..=9, shift in -9i32..=9) {
            let number = Decimal::new(mantissa, scale);
            let shifted = format!("{mantissa}e{}", -i64::from(scale));
            prop_assert_eq!(decimal_from_text(&shifted), Some(number));
            let back = format!("{}e{}", decimal_from_text(&format!("{mantissa}e{shift}")).unwrap(), -shift);
            prop_assert_eq!(decimal_from_text(&back), Some(Decimal::from(mantissa)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = decimal_from_text(&text);
        }
    }
}
