//! The exchange's Upbit face: REST and both sockets, written from the venue's documents.
//!
//! Numbers of sockets are JSON numbers in the form that the venue prints (1.16539E8), frames come with the binary opcode,
//! books come whole, thin ones padded with zeros, and a filled market buy ends in `cancel`.
mod rest;
mod socket;
mod wire;

use super::{Exchange, with_clock, with_faults};
use crate::gateway::hex;
use aws_lc_rs::{digest, hmac};
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

const VENUE: &str = crate::upbit::VENUE;
/// Nonces that are remembered; then they are forgotten all at once.
const NONCES_MAX: usize = 1 << 20;

/// The account's key, made for the run.
#[derive(Clone)]
pub struct Keys {
    access_key: SecretString,
    key: hmac::Key,
}

impl Keys {
    /// The access key and the secret that the client signs with.
    pub fn new(access_key: SecretString, secret: &SecretString) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA512, secret.expose_secret().as_bytes());
        Self { access_key, key }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

/// What every handler shares.
#[derive(Debug)]
struct Face {
    exchange: Arc<Exchange>,
    keys: Keys,
    nonces: Mutex<HashSet<String>>,
}

/// REST and sockets on one address.
pub fn router(exchange: Arc<Exchange>, keys: Keys) -> Router {
    let faults = from_fn_with_state((Arc::clone(&exchange), VENUE), with_faults);
    let clock = from_fn_with_state((Arc::clone(&exchange), VENUE), with_clock);
    let face = Arc::new(Face {
        exchange,
        keys,
        nonces: Mutex::default(),
    });
    Router::new()
        .route("/v1/accounts", get(rest::accounts))
        .route("/v1/orders", post(rest::place))
        .route("/v1/order", get(rest::order).delete(rest::cancel))
        .route("/v1/orders/open", get(rest::open_orders))
        .route("/v1/orders/closed", get(rest::closed_orders))
        .route("/v1/orders/chance", get(rest::chance))
        .route("/v1/orderbook", get(rest::orderbook))
        .route("/v1/orderbook/instruments", get(rest::instruments))
        .layer(faults)
        .route("/websocket/v1", get(socket::public))
        .route("/websocket/v1/private", get(socket::private))
        .layer(clock)
        .with_state(face)
}

/// An error of the exchange API: HTTP status and name.
#[derive(Clone, Copy, Debug)]
struct Refusal(u16, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0).unwrap_or(StatusCode::BAD_REQUEST);
        let body = format!(r#"{{"error":{{"name":"{0}","message":"{0}"}}}}"#, self.1);
        let headers = [("content-type", "application/json")];
        (status, headers, body).into_response()
    }
}

#[derive(Deserialize)]
struct Claims {
    access_key: String,
    nonce: String,
    query_hash: Option<String>,
    query_hash_alg: Option<String>,
}

impl Face {
    /// Checks a token: signature, key, a nonce that was not there before, and the hash of the parameters.
    fn authorize(&self, headers: &HeaderMap, query: &str) -> Result<(), Refusal> {
        const BAD: Refusal = Refusal(401, "jwt_verification");
        let header = headers.get("authorization").and_then(|h| h.to_str().ok());
        let token = header.and_then(|text| text.strip_prefix("Bearer "));
        let (signed, signature) = token.and_then(|token| token.rsplit_once('.')).ok_or(BAD)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| BAD)?;
        hmac::verify(&self.keys.key, signed.as_bytes(), &signature).map_err(|_| BAD)?;
        let claims = signed.split_once('.').ok_or(BAD)?.1;
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| BAD)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| BAD)?;
        if claims.access_key != self.keys.access_key.expose_secret() {
            return Err(Refusal(401, "invalid_access_key"));
        }
        let hash = digest::digest(&digest::SHA512, query.as_bytes());
        let hash = hex(hash.as_ref());
        let is_hashed = claims.query_hash.as_deref() == Some(hash.as_str())
            && claims.query_hash_alg.as_deref() == Some("SHA512");
        let has_nothing_to_hash = query.is_empty() && claims.query_hash.is_none();
        if !is_hashed && !has_nothing_to_hash {
            return Err(Refusal(401, "invalid_query_payload"));
        }
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.len() >= NONCES_MAX {
            nonces.clear();
        }
        if !nonces.insert(claims.nonce) {
            return Err(Refusal(401, "nonce_used"));
        }
        Ok(())
    }
}
