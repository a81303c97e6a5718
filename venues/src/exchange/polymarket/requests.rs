//! What all requests have in common: who asks, how answers and pages look.
use super::{Face, same_hex};
use crate::polymarket::auth::level2_signature;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) type Shared = State<Arc<Face>>;
pub(super) type Asked = Query<BTreeMap<String, String>>;

/// Rows of a page.
pub(super) const PAGE: usize = 100;
/// The cursor after the last page.
pub(super) const LAST_CURSOR: &str = "LTE=";

pub(super) fn answer(value: Value) -> Response {
    axum::Json(value).into_response()
}

pub(super) fn error(status: StatusCode, why: &str) -> Response {
    (status, axum::Json(json!({ "error": why }))).into_response()
}

pub(super) fn bad(why: &str) -> Response {
    error(StatusCode::BAD_REQUEST, why)
}

/// Whether a request is of the account: all five headers, and the signature over what came.
pub(super) fn authorised(
    face: &Face,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &str,
) -> bool {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
    };
    let credentials = &face.keys.credentials;
    let timestamp = header("POLY_TIMESTAMP");
    let expected = level2_signature(
        &credentials.secret,
        timestamp,
        method.as_str(),
        uri.path(),
        body,
    );
    let signed = expected.is_some_and(|expected| expected == header("POLY_SIGNATURE"));
    signed
        && !timestamp.is_empty()
        && same_hex(
            header("POLY_ADDRESS"),
            &face.keys.wallet.signer.address().to_string(),
        )
        && header("POLY_API_KEY") == credentials.key
        && header("POLY_PASSPHRASE") == credentials.passphrase.expose_secret()
}

pub(super) fn stranger() -> Response {
    error(StatusCode::UNAUTHORIZED, "Unauthorized/Invalid api key")
}

/// A page of rows, and the cursor after it.
pub(super) fn page(rows: Vec<Value>, asked: &BTreeMap<String, String>) -> Response {
    let from = asked
        .get("next_cursor")
        .and_then(|cursor| STANDARD.decode(cursor).ok())
        .and_then(|text| String::from_utf8(text).ok()?.parse().ok())
        .unwrap_or(0usize);
    let end = from.saturating_add(PAGE);
    let next = if end < rows.len() {
        STANDARD.encode(end.to_string())
    } else {
        LAST_CURSOR.to_owned()
    };
    let data: Vec<Value> = rows.into_iter().skip(from).take(PAGE).collect();
    answer(json!({ "limit": PAGE, "count": data.len(), "next_cursor": next, "data": data }))
}
