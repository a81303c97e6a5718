//! What can be wrong with what a venue says.
use onetape_engine::number::NumberError;

/// Bytes of a venue that can't be used: what, where, why. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not of the form that the protocol has.
    #[error("{venue}: {message} is not readable: {why}")]
    Malformed {
        /// The venue.
        venue: &'static str,
        /// Which message or answer.
        message: String,
        /// Why, with the parser's own words.
        why: String,
    },
    /// A field that is missing or has a value out of its range.
    #[error("{venue}: field '{field}' of {message} is {value}: expected {expected}")]
    BadField {
        /// The venue.
        venue: &'static str,
        /// Which message or answer.
        message: String,
        /// The field as the venue spells it.
        field: &'static str,
        /// Its value, shortened.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A price or quantity that the instrument's decimals can't hold.
    #[error("{venue}: field '{field}' of {symbol} is {value}: {why}")]
    Number {
        /// The venue.
        venue: &'static str,
        /// Whose.
        symbol: String,
        /// The field as the venue spells it.
        field: &'static str,
        /// Its value, shortened.
        value: String,
        /// What is wrong with it.
        why: NumberError,
    },
    /// A well-formed answer that refuses: the venue's own code and words.
    #[error("{venue} refused: {code}: {message}")]
    Refused {
        /// The venue.
        venue: &'static str,
        /// HTTP status or the protocol's own code.
        code: String,
        /// The venue's words, shortened.
        message: String,
    },
}

/// At most 120 characters of a text from outside, control characters replaced.
pub fn shortened(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(120).map(clean).collect()
}
