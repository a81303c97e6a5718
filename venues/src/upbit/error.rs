//! What the venue refuses, what is left of its limits, and errors that name its fields.
use super::VENUE;
use crate::gateway::{WireError, shortened};
use onetape_engine::number::NumberError;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fmt;

/// The name of an error: a word from the exchange API, a number from the quotation API. Programs branch on it, never on
/// the status: the same name comes with different ones.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ErrorName {
    /// "duplicated_identifier", or on a socket "NO_TICKET".
    Word(String),
    /// 404.
    Number(i64),
}

impl ErrorName {
    /// Whether it is this word.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, ErrorName::Word(name) if name == word)
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorName::Word(word) => f.write_str(word),
            ErrorName::Number(number) => number.fmt(f),
        }
    }
}

/// `{"error":{"name":...,"message":...}}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{name}: {message}")]
pub struct ApiError {
    /// What to branch on.
    pub name: ErrorName,
    /// Words for people.
    #[serde(default)]
    pub message: String,
}

#[derive(Deserialize)]
struct Envelope {
    error: ApiError,
}

impl ApiError {
    /// The error in a body; `None` where it is none.
    pub fn read(body: &[u8]) -> Option<Self> {
        let envelope: Option<Envelope> = serde_json::from_slice(body).ok();
        envelope.map(|envelope| envelope.error)
    }

    pub(super) fn from_raw(raw: &RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    pub(super) fn refused(&self) -> WireError {
        WireError::Refused {
            venue: VENUE,
            code: shortened(&self.name.to_string()),
            message: shortened(&self.message),
        }
    }
}

/// What the header `Remaining-Req` says is left: "group=default; min=1800; sec=29". `min` is obsolete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Which budget.
    pub group: String,
    /// Requests left in this second.
    pub this_second: u32,
}

impl Remaining {
    /// Reads the header's value.
    pub fn read(header: &str) -> Option<Self> {
        let field = |name: &str| {
            let pairs = header.split(';').filter_map(|pair| pair.split_once('='));
            let mut trimmed = pairs.map(|(key, value)| (key.trim(), value.trim()));
            trimmed
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        Some(Self {
            group: shortened(field("group")?),
            this_second: field("sec")?.parse().ok()?,
        })
    }
}

pub(super) fn malformed(message: &str, why: &str) -> WireError {
    WireError::Malformed {
        venue: VENUE,
        message: message.to_owned(),
        why: shortened(why),
    }
}

pub(super) fn bad_field(
    message: &str,
    field: &'static str,
    value: &str,
    expected: &'static str,
) -> WireError {
    WireError::BadField {
        venue: VENUE,
        message: message.to_owned(),
        field,
        value: shortened(value),
        expected,
    }
}

pub(super) fn number(
    symbol: &str,
    field: &'static str,
    value: &str,
    why: NumberError,
) -> WireError {
    WireError::Number {
        venue: VENUE,
        symbol: shortened(symbol),
        field,
        value: shortened(value),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_or_numbers() {
        let word = ApiError::read(br#"{"error":{"name":"jwt_verification","message":"x"}}"#);
        assert!(word.unwrap().name.is("jwt_verification"));
        let number = ApiError::read(br#"{"error":{"name":404,"message":"Code not found"}}"#);
        assert_eq!(number.unwrap().to_string(), "404: Code not found");
        assert_eq!(ApiError::read(b"Too many API requests."), None);
    }

    #[test]
    fn what_is_left_is_the_seconds_part() {
        let left = Remaining::read("group=default; min=1800; sec=29").unwrap();
        assert_eq!((left.group.as_str(), left.this_second), ("default", 29));
        assert_eq!(Remaining::read("group=order; min=1800"), None);
        assert_eq!(Remaining::read("sec=many; group=x"), None);
    }
}
