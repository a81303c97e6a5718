//! Fields of a JSON object, read in place: a value stays text until its unit is known, and an error names field and value.
use crate::gateway::{Listed, WireError, shortened};
use onetape_engine::number::{NumberError, Price, Qty};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The venue's name in errors.
pub(super) const VENUE: &str = "kalshi";

/// A field that may be missing; `null` counts as missing.
pub(super) type Raw<'a> = Option<&'a RawValue>;

/// Defines a struct of raw fields, all optional: what must be there is said where it is read.
macro_rules! fields {
    ($name:ident { $($field:ident $(= $wire:literal)?),* $(,)? }) => {
        #[derive(serde::Deserialize)]
        struct $name<'a> {
            $(#[serde(borrow)] $(#[serde(rename = $wire)])? $field: $crate::kalshi::fields::Raw<'a>,)*
        }
    };
}
pub(super) use fields;

/// Reads the fields of one kind of message or answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader(
    /// What is read, for errors.
    pub(super) &'static str,
);

impl Reader {
    /// Text of an answer or a frame.
    pub(super) fn utf8(self, bytes: &[u8]) -> Result<&str, WireError> {
        std::str::from_utf8(bytes).map_err(|e| self.malformed(&e.to_string()))
    }

    /// The fields of an object.
    pub(super) fn object<'a, T: Deserialize<'a>>(self, text: &'a str) -> Result<T, WireError> {
        // A list of values would deserialise as well, by position.
        if !text.trim_start().starts_with('{') {
            return Err(self.malformed("not a json object"));
        }
        serde_json::from_str(text).map_err(|e| self.malformed(&e.to_string()))
    }

    /// The elements of a list.
    pub(super) fn list<'a, T: Deserialize<'a>>(
        self,
        field: &'static str,
        raw: Raw<'a>,
    ) -> Result<Vec<T>, WireError> {
        let text = self.need(field, raw)?.get();
        serde_json::from_str(text).map_err(|_| self.bad(field, text, "a list of its form"))
    }

    pub(super) fn malformed(self, why: &str) -> WireError {
        WireError::Malformed {
            venue: VENUE,
            message: self.0.to_owned(),
            why: shortened(why),
        }
    }

    pub(super) fn bad(self, field: &'static str, value: &str, expected: &'static str) -> WireError {
        WireError::BadField {
            venue: VENUE,
            message: self.0.to_owned(),
            field,
            value: shortened(value),
            expected,
        }
    }

    /// The value of a field that must be there.
    pub(super) fn need<'a>(
        self,
        field: &'static str,
        raw: Raw<'a>,
    ) -> Result<&'a RawValue, WireError> {
        raw.ok_or_else(|| self.bad(field, "missing", "a value"))
    }

    /// A string.
    pub(super) fn text<'a>(
        self,
        field: &'static str,
        raw: Raw<'a>,
    ) -> Result<Cow<'a, str>, WireError> {
        let raw = self.need(field, raw)?.get();
        match unquoted(raw) {
            Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
            Some(_) => serde_json::from_str(raw)
                .map(Cow::Owned)
                .map_err(|_| self.bad(field, raw, "a string")),
            None => Err(self.bad(field, raw, "a string")),
        }
    }

    /// A string; `None` where it is missing or empty.
    pub(super) fn optional_text<'a>(
        self,
        field: &'static str,
        raw: Raw<'a>,
    ) -> Result<Option<Cow<'a, str>>, WireError> {
        match raw {
            None => Ok(None),
            Some(_) => Ok(Some(self.text(field, raw)?).filter(|text| !text.is_empty())),
        }
    }

    /// A number as text, whether it stands in quotes or not.
    pub(super) fn number<'a>(
        self,
        field: &'static str,
        raw: Raw<'a>,
    ) -> Result<&'a str, WireError> {
        let text = self.need(field, raw)?.get();
        let number = unquoted(text).unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        if number.is_empty() || !number.bytes().all(plain) {
            return Err(self.bad(field, text, "a plain decimal number"));
        }
        Ok(number)
    }

    /// A whole number that is not negative.
    pub(super) fn integer(self, field: &'static str, raw: Raw<'_>) -> Result<u64, WireError> {
        let text = self.number(field, raw)?;
        text.parse()
            .map_err(|_| self.bad(field, text, "a whole number that is not negative"))
    }

    /// A whole number that is not negative, where there is one.
    pub(super) fn optional_integer(
        self,
        field: &'static str,
        raw: Raw<'_>,
    ) -> Result<Option<u64>, WireError> {
        raw.map(|_| self.integer(field, raw)).transpose()
    }

    /// `true` or `false`; false where it is missing.
    pub(super) fn flag(self, field: &'static str, raw: Raw<'_>) -> Result<bool, WireError> {
        match raw.map(RawValue::get) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(self.bad(field, other, "true or false")),
        }
    }

    /// A decimal of any scale.
    pub(super) fn decimal(self, field: &'static str, raw: Raw<'_>) -> Result<Decimal, WireError> {
        let text = self.number(field, raw)?;
        Decimal::from_str_exact(text).map_err(|_| self.bad(field, text, "a decimal number"))
    }

    /// A price in dollars, in the market's mantissa.
    pub(super) fn price(
        self,
        field: &'static str,
        raw: Raw<'_>,
        listed: &Listed,
    ) -> Result<Price, WireError> {
        let text = self.number(field, raw)?;
        price(field, text, listed)
    }

    /// A count of contracts, in the market's mantissa.
    pub(super) fn qty(
        self,
        field: &'static str,
        raw: Raw<'_>,
        listed: &Listed,
    ) -> Result<Qty, WireError> {
        let text = self.number(field, raw)?;
        qty(field, text, listed)
    }

    /// Milliseconds since the epoch; zero where they are missing.
    pub(super) fn milliseconds(
        self,
        field: &'static str,
        raw: Raw<'_>,
    ) -> Result<Nanos, WireError> {
        const NS_PER_MS: u64 = 1_000_000;
        let Some(ms) = self.optional_integer(field, raw)? else {
            return Ok(Nanos(0));
        };
        ms.checked_mul(NS_PER_MS)
            .map(Nanos)
            .ok_or_else(|| self.bad(field, &ms.to_string(), "a time in milliseconds"))
    }
}

/// A price text in the market's mantissa.
pub(super) fn price(field: &'static str, text: &str, listed: &Listed) -> Result<Price, WireError> {
    let read = listed.decimals.parse_price(text);
    read.map_err(|why| number_error(field, text, listed, why))
}

/// A count text in the market's mantissa.
pub(super) fn qty(field: &'static str, text: &str, listed: &Listed) -> Result<Qty, WireError> {
    let read = listed.decimals.parse_qty(text);
    read.map_err(|why| number_error(field, text, listed, why))
}

fn number_error(field: &'static str, text: &str, listed: &Listed, why: NumberError) -> WireError {
    WireError::Number {
        venue: VENUE,
        symbol: listed.symbol.clone(),
        field,
        value: shortened(text),
        why,
    }
}

/// What stands between the quotes of a JSON string.
pub(super) fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// The mantissa of one dollar, which is what a YES and a NO cost together.
pub(super) fn one_dollar(listed: &Listed) -> i64 {
    10i64.saturating_pow(listed.decimals.price.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fields!(Sample { a, b = "B" });

    #[test]
    fn a_field_is_text_number_or_missing_and_errors_name_it() {
        let reader = Reader("sample");
        let sample: Sample<'_> = reader
            .object(r#"{"a":"x\"y","B":"0.960","c":[1]}"#)
            .unwrap();
        assert_eq!(reader.text("a", sample.a).unwrap(), "x\"y");
        assert_eq!(reader.number("B", sample.b).unwrap(), "0.960");
        let sample: Sample<'_> = reader.object(r#"{"a":null,"B":1e5}"#).unwrap();
        assert_eq!(
            reader.text("a", sample.a).unwrap_err().to_string(),
            "kalshi: field 'a' of sample is missing: expected a value"
        );
        assert_eq!(
            reader.number("B", sample.b).unwrap_err().to_string(),
            "kalshi: field 'B' of sample is 1e5: expected a plain decimal number"
        );
        assert!(reader.object::<Sample<'_>>("[1,2]").is_err());
    }
}
