//! Answers that refuse. The venue has two envelopes: `{"code","message","details"}` and `{"error":...}`, the latter with a
//! string (429) or an object of the first form (410).
use super::fields::{Reader, VENUE, fields, unquoted};
use crate::gateway::{Response, WireError, shortened};

/// Tokens that a call takes from its bucket (Kalshi docs, rate limits: the default cost).
pub(super) const CALL_WEIGHT: u32 = 10;
/// How long to wait after a 429: the venue sends no `Retry-After`, and its buckets fill by the second.
const RETRY_AFTER_MS: u64 = 1_000;

fields!(RefusalFields {
    error,
    code,
    message,
    details
});

/// What the venue says when it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Its code; empty where there is none.
    pub(super) code: String,
    /// Code and words, for people.
    pub(super) why: String,
}

impl Refused {
    /// Reads a body; `None` when it is neither envelope.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let reader = Reader("refusal");
        let f: RefusalFields<'_> = reader.object(reader.utf8(body).ok()?).ok()?;
        if let Some(error) = f.error {
            if unquoted(error.get()).is_some() {
                let words = reader.text("error", f.error).ok()?;
                return Some(Self {
                    code: String::new(),
                    why: shortened(&words),
                });
            }
            let inner: RefusalFields<'_> = reader.object(error.get()).ok()?;
            return Self::of(&inner);
        }
        Self::of(&f)
    }

    fn of(f: &RefusalFields<'_>) -> Option<Self> {
        let reader = Reader("refusal");
        let text = |field, raw| reader.optional_text(field, raw).ok().flatten();
        let code = text("code", f.code);
        let message = text("message", f.message);
        let details = text("details", f.details);
        if code.is_none() && message.is_none() {
            return None;
        }
        let parts: Vec<&str> = [&code, &message, &details]
            .into_iter()
            .filter_map(|part| part.as_deref())
            .collect();
        Some(Self {
            why: shortened(&parts.join(": ")),
            code: shortened(code.as_deref().unwrap_or_default()),
        })
    }

    /// Whether the market is past its close: every order operation is refused then, cancels included.
    pub(super) fn is_market_inactive(&self) -> bool {
        self.code.eq_ignore_ascii_case("market_inactive")
    }
}

/// An answer that is not the one hoped for, as an error.
pub(super) fn refusal(response: &Response<'_>) -> WireError {
    let words = Refused::read(response.body).map(|refused| refused.why);
    WireError::Refused {
        venue: VENUE,
        code: response.status.to_string(),
        message: words.unwrap_or_else(|| "without words that read".to_owned()),
    }
}

/// How long the venue wants quiet, in ms.
pub(super) fn retry_after_ms(response: &Response<'_>) -> u64 {
    let seconds = response.header("retry-after").and_then(|s| s.parse().ok());
    seconds.map_or(RETRY_AFTER_MS, |seconds: u64| seconds.saturating_mul(1_000))
}

/// Status and words of an answer, for people.
pub(super) fn seen(response: &Response<'_>) -> String {
    match Refused::read(response.body) {
        Some(refused) => format!("{}: {}", response.status, refused.why),
        None => format!("{} without words that read", response.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_envelopes_are_read() {
        let why = |body: &str| Refused::read(body.as_bytes()).map(|r| (r.code, r.why));
        let is = |code: &str, why: &str| Some((code.to_owned(), why.to_owned()));
        assert_eq!(
            why(r#"{"error":"too many requests"}"#),
            is("", "too many requests")
        );
        assert_eq!(
            why(r#"{"error":{"code":"gone","message":"use V2","details":"there"}}"#),
            is("gone", "gone: use V2: there")
        );
        assert_eq!(why(r#"{"code":"bad","message":""}"#), is("bad", "bad"));
        for none in [
            "",
            "{}",
            "[]",
            r#"{"error":[]}"#,
            "<html>",
            r#"{"order":{}}"#,
        ] {
            assert_eq!(why(none), None, "{none}");
        }
    }
}
