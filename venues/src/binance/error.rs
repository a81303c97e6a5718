//! What can be wrong with a message.
use super::VENUE;
use crate::gateway::{WireError, shortened};
use onetape_engine::number::NumberError;

/// "Invalid symbol.": the venue lists no such pair, or not any more (errors.md, -1121 BAD_SYMBOL).
pub(super) const NO_SUCH_SYMBOL: i64 = -1121;

/// A message that can't be used, and why. The texts name the field as the venue spells it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or not an object.
    #[error("not a json object: {0}")]
    NotJson(String),
    /// JSON, but of no kind that this codec reads.
    #[error(
        "'{0}' is not a message that is read: expected depthUpdate, bookTicker, trade or a depth snapshot"
    )]
    UnknownMessage(String),
    /// A field that the kind of message must have.
    #[error("a {message} without field '{field}'")]
    Missing {
        /// The kind of message.
        message: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A field of another form.
    #[error("field '{field}' is {value}: expected {expected}")]
    BadField {
        /// The field.
        field: &'static str,
        /// Its value, shortened.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A price or quantity that the instrument's decimals can't hold.
    #[error("field '{field}' is {value}: {why}")]
    Number {
        /// The field.
        field: &'static str,
        /// Its value, shortened.
        value: String,
        /// What is wrong with it.
        why: NumberError,
    },
}

impl DecodeError {
    /// The field that is wrong, as the venue spells it; "message" where it is the whole.
    pub const fn field(&self) -> &'static str {
        match self {
            DecodeError::NotJson(_) | DecodeError::UnknownMessage(_) => "message",
            DecodeError::Missing { field, .. }
            | DecodeError::BadField { field, .. }
            | DecodeError::Number { field, .. } => field,
        }
    }

    /// The value that is wrong, shortened; empty where there is none.
    pub fn value(&self) -> &str {
        match self {
            DecodeError::NotJson(_) | DecodeError::Missing { .. } => "",
            DecodeError::UnknownMessage(value)
            | DecodeError::BadField { value, .. }
            | DecodeError::Number { value, .. } => value,
        }
    }

    pub(super) fn bad(field: &'static str, value: &str, expected: &'static str) -> Self {
        DecodeError::BadField {
            field,
            value: short(value),
            expected,
        }
    }

    pub(super) fn number(field: &'static str, value: &str, why: NumberError) -> Self {
        DecodeError::Number {
            field,
            value: short(value),
            why,
        }
    }
}

/// The error of a market message as the gateway reports it; `symbol` where it is known.
pub(super) fn wire(error: DecodeError, symbol: &str) -> WireError {
    match error {
        DecodeError::BadField {
            field,
            value,
            expected,
        } => WireError::BadField {
            venue: VENUE,
            message: format!("market message {symbol}"),
            field,
            value,
            expected,
        },
        DecodeError::Number { field, value, why } => WireError::Number {
            venue: VENUE,
            symbol: symbol.to_owned(),
            field,
            value,
            why,
        },
        other => malformed("market message", &other.to_string()),
    }
}

/// Bytes that are not what `message` has to be.
pub(super) fn malformed(message: &str, why: &str) -> WireError {
    WireError::Malformed {
        venue: VENUE,
        message: message.to_owned(),
        why: shortened(why),
    }
}

/// A field out of its range.
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

/// At most 60 characters of a text from outside.
pub(super) fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
