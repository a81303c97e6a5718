//! Who may ask: the three headers, verified with the account's public key (Kalshi docs, API keys).
use super::rest::Refused;
use super::{Face, VENUE};
use crate::exchange::wall_now;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use axum::extract::{OriginalUri, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use std::fmt;

/// How far a signature's time may be from the venue's.
const TOLERANCE_MS: u64 = 30_000;

/// The account's key: throwaway, made for the run.
pub struct Keys {
    id: String,
    pair: RsaKeyPair,
}

/// Nothing of the key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// A new key.
    ///
    /// # Errors
    /// [`Unspecified`] when the system has no randomness.
    pub fn generate() -> Result<Self, Unspecified> {
        Ok(Self {
            id: "00000000-0000-4000-8000-00000000c0de".to_owned(),
            pair: RsaKeyPair::generate(KeySize::Rsa2048)?,
        })
    }

    /// The key's id, as a client sends it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The private key for the client, PKCS#8 in PEM.
    ///
    /// # Errors
    /// [`Unspecified`] when the key can't be written.
    pub fn private_pem(&self) -> Result<SecretString, Unspecified> {
        let der = STANDARD.encode(self.pair.as_der()?.as_ref());
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in der.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(pem.into())
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let public = self.pair.public_key().as_ref();
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, public)
            .verify(text.as_bytes(), signature)
            .is_ok()
    }
}

/// Middleware: lets signed requests pass.
pub(super) async fn authenticated(
    State(face): State<Face>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Response {
    match verify(&face, uri.path(), &request) {
        Ok(()) => next.run(request).await,
        Err(why) => {
            Refused::new(StatusCode::UNAUTHORIZED, "authentication_error", why).into_response()
        }
    }
}

fn verify(face: &Face, path: &str, request: &Request) -> Result<(), &'static str> {
    let header = |name| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    let key = header("KALSHI-ACCESS-KEY").ok_or("no key")?;
    let timestamp = header("KALSHI-ACCESS-TIMESTAMP").ok_or("no timestamp")?;
    let signature = header("KALSHI-ACCESS-SIGNATURE").ok_or("no signature")?;
    if key != face.keys.id() {
        return Err("unknown key");
    }
    let timestamp_ms: u64 = timestamp.parse().map_err(|_| "bad timestamp")?;
    if !is_now(face, timestamp_ms) {
        return Err("timestamp is not now");
    }
    let signature = STANDARD.decode(signature).map_err(|_| "bad signature")?;
    let text = format!("{timestamp}{}{path}", request.method());
    match face.keys.verifies(&text, &signature) {
        true => Ok(()),
        false => Err("wrong signature"),
    }
}

/// Whether a client's time is the venue's: the journal's time at its speed, or the wall's.
fn is_now(face: &Face, timestamp_ms: u64) -> bool {
    let clock = face.exchange.clock();
    let skew = face.exchange.faults().clock_skew_ms(VENUE);
    let near = |now_ns: u64, tolerance: u64| {
        let venue = (now_ns / 1_000_000).saturating_add_signed(skew);
        venue.abs_diff(timestamp_ms) <= tolerance
    };
    near(face.exchange.now().0, TOLERANCE_MS * u64::from(clock.speed))
        || near(wall_now().0, TOLERANCE_MS)
}
