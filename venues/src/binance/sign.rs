//! Signatures of requests and WS-API messages ("Request security" in the venue's rest-api.md and web-socket-api.md).
//!
//! REST: the signature covers query and body exactly as sent, so what needs percent-encoding is encoded before signing.
//! WS-API: it covers the parameters sorted by name as `name=value&...` in raw UTF-8, the api key included.
use super::error::malformed;
use crate::gateway::{WireError, hex};
use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::{hmac, signature::KeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use std::fmt;
use std::fmt::Write;
use std::sync::Arc;

/// The header that names the api key.
pub const API_KEY_HEADER: &str = "X-MBX-APIKEY";

#[derive(Clone)]
enum Key {
    Hmac(Arc<hmac::Key>),
    Ed25519(Arc<Ed25519KeyPair>),
}

/// An api key and what signs for it.
#[derive(Clone)]
pub struct Signer {
    api_key: SecretString,
    key: Key,
}

impl Signer {
    /// With an HMAC-SHA256 secret.
    pub fn hmac(api_key: SecretString, secret: &SecretString) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        Self {
            api_key,
            key: Key::Hmac(Arc::new(key)),
        }
    }

    /// With an Ed25519 private key in PKCS#8 PEM.
    ///
    /// # Errors
    /// [`WireError::Malformed`] when it is none; the key itself is not in the error.
    pub fn ed25519(api_key: SecretString, pem: &SecretString) -> Result<Self, WireError> {
        let bad = |why: &str| malformed("the Ed25519 private key", why);
        let base64: String = pem
            .expose_secret()
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("-----"))
            .collect();
        let der = STANDARD
            .decode(base64)
            .map_err(|_| bad("expected PEM with base64"))?;
        let der = SecretSlice::from(der);
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.expose_secret())
            .map_err(|_| bad("expected PKCS#8 of an Ed25519 key"))?;
        Ok(Self {
            api_key,
            key: Key::Ed25519(Arc::new(pair)),
        })
    }

    /// The api key, which goes into a header or a parameter.
    pub fn api_key(&self) -> &str {
        self.api_key.expose_secret()
    }

    /// Whether the WS-API takes a `session.logon` with this key: it takes Ed25519 keys only.
    pub const fn can_log_on(&self) -> bool {
        matches!(self.key, Key::Ed25519(_))
    }

    /// The signature of a payload as the venue prints it: hex for HMAC, base64 for Ed25519.
    pub fn sign(&self, payload: &str) -> String {
        match &self.key {
            Key::Hmac(key) => hex(hmac::sign(key, payload.as_bytes()).as_ref()),
            Key::Ed25519(pair) => STANDARD.encode(pair.sign(payload.as_bytes())),
        }
    }

    /// A query or form with its signature; what is signed is what is sent.
    pub fn signed(&self, form: Form) -> String {
        let signature = self.sign(form.text());
        form.with("signature", signature).0
    }

    /// The JSON of a WS-API call's parameters, with api key and signature.
    pub fn signed_params(&self, params: &[(&str, Value<'_>)]) -> String {
        let mut all = vec![("apiKey", Value::Text(self.api_key()))];
        all.extend_from_slice(params);
        all.sort_unstable_by_key(|(name, _)| *name);
        let signature = self.sign(&ws_payload(&all));
        all.push(("signature", Value::Text(&signature)));
        let json = all.iter().map(|(name, value)| match value {
            Value::Text(text) => format!("\"{name}\":{}", serde_json::Value::from(*text)),
            Value::Integer(number) => format!("\"{name}\":{number}"),
        });
        format!("{{{}}}", json.collect::<Vec<_>>().join(","))
    }
}

/// Which kind of key, never the key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Key::Hmac(_) => f.write_str("Signer(hmac)"),
            Key::Ed25519(pair) => write!(f, "Signer(ed25519 {})", hex(pair.public_key().as_ref())),
        }
    }
}

/// A value in a WS-API call.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A JSON string.
    Text(&'a str),
    /// A JSON number.
    Integer(u64),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Integer(number) => number.fmt(f),
        }
    }
}

/// What is signed of a WS-API call whose parameters are sorted by name already.
fn ws_payload(sorted: &[(&str, Value<'_>)]) -> String {
    let pairs = sorted.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

/// `name=value&...`, each value percent-encoded as it is added.
#[derive(Clone, Debug, Default)]
pub struct Form(String);

impl Form {
    /// Adds a pair.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        // Writing to a string does not fail.
        let _ = write!(Encoded(&mut self.0), "{value}");
        self
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Appends all but the unreserved characters of RFC 3986 as `%XX` of their UTF-8.
struct Encoded<'a>(&'a mut String);

impl fmt::Write for Encoded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    self.0.push(char::from(byte));
                }
                _ => write!(self.0, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> Signer {
        // Keys of the examples in the venue's rest-api.md.
        Signer::hmac(
            "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A".into(),
            &"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j".into(),
        )
    }

    /// rest-api.md, "Signed Endpoint Examples": the same order, once with a symbol outside ASCII.
    #[test]
    fn a_form_is_encoded_before_it_is_signed() {
        let order = |symbol: &str| {
            Form::default()
                .with("symbol", symbol)
                .with("side", "BUY")
                .with("type", "LIMIT")
                .with("timeInForce", "GTC")
                .with("quantity", 1)
                .with("price", "0.1")
                .with("recvWindow", 5000)
                .with("timestamp", 1_499_827_319_559u64)
        };
        assert!(published().signed(order("LTCBTC")).ends_with(
            "&signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
        ));
        let wide = published().signed(order("１２３４５６"));
        assert!(wide.starts_with("symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&"));
        assert!(
            wide.ends_with("e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),
            "{wide}"
        );
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let signer = published();
        assert_eq!(format!("{signer:?}"), "Signer(hmac)");
        let refused = Signer::ed25519("key".into(), &"-----BEGIN\nc2VjcmV0\n-----END".into());
        let text = refused.unwrap_err().to_string();
        assert!(
            !text.contains("c2VjcmV0") && text.contains("PKCS#8"),
            "{text}"
        );
    }

    #[test]
    fn ws_parameters_are_sorted_and_quoted() {
        let json = published().signed_params(&[
            ("timestamp", Value::Integer(7)),
            ("symbol", Value::Text("a\"b")),
        ]);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["symbol"], "a\"b");
        assert_eq!(value["timestamp"], 7);
        let payload = format!("apiKey={}&symbol=a\"b&timestamp=7", published().api_key());
        assert_eq!(value["signature"], published().sign(&payload).as_str());
    }
}
