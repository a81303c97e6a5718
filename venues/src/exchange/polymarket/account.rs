//! The account: orders at work, trades, balances, heartbeats.
use super::lifecycle::Stage;
use super::requests::{Asked, Shared, answer, authorised, page, stranger};
use super::{Face, condition_id, token_id, wire};
use crate::exchange::{Truth, VenueOrder};
use crate::polygon::{CHAIN_ID, Word};
use crate::polymarket::{Exchange, ExchangeVersion, VENUE};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use onetape_engine::time::SECOND_NS;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::json;
use std::time::Instant;

pub(super) async fn order(
    State(face): Shared,
    Path(id): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if !authorised(&face, &method, &uri, &headers, "") {
        return stranger();
    }
    // Orders at work only; of any other one nothing is known here.
    let found = face.exchange.with(|truth| {
        let order = truth
            .client_order(VENUE, &id)
            .filter(|order| order.is_open())?;
        let instrument = truth.market().instrument(order.new.instrument).ok()?;
        Some(wire::order(&face, instrument, order))
    });
    answer(found.unwrap_or_default())
}

pub(super) async fn orders(
    State(face): Shared,
    Query(asked): Asked,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if !authorised(&face, &method, &uri, &headers, "") {
        return stranger();
    }
    let rows = face.exchange.with(|truth| {
        let row = |order: &VenueOrder| {
            let instrument = truth.market().instrument(order.new.instrument).ok()?;
            Some(wire::order(&face, instrument, order))
        };
        truth.open_orders(VENUE).filter_map(row).collect()
    });
    page(rows, &asked)
}

pub(super) async fn trades(
    State(face): Shared,
    Query(asked): Asked,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if !authorised(&face, &method, &uri, &headers, "") {
        return stranger();
    }
    let stages = face.kept().stages.clone();
    let after: u64 = asked.get("after").and_then(|s| s.parse().ok()).unwrap_or(0);
    let is = |name: &str, value: String| asked.get(name).is_none_or(|asked| *asked == value);
    let rows = face.exchange.with(|truth| {
        let rows = truth.fills(VENUE).rev().filter_map(|fill| {
            let instrument = truth.market().instrument(fill.instrument).ok()?;
            let token = token_id(&instrument.definition.symbol);
            let meant = fill.at.0 / SECOND_NS >= after
                && is("market", condition_id(&token))
                && is("asset_id", token);
            let stage = stages.get(&fill.id).copied().unwrap_or(Stage::Matched);
            let stage = if fill.reversed { Stage::Failed } else { stage };
            meant.then(|| wire::trade(&face, instrument, fill, stage))
        });
        rows.collect()
    });
    page(rows, &asked)
}

/// What the account has in units of 1e-6: of collateral, or of a token.
pub(super) async fn balance(
    State(face): Shared,
    Query(asked): Asked,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if !authorised(&face, &method, &uri, &headers, "") {
        return stranger();
    }
    let amount = face.exchange.with(|truth| match asked.get("token_id") {
        Some(token) => Face::token(truth, token).map_or(Decimal::ZERO, |instrument| {
            let held = truth.holding(instrument.id());
            instrument.decimals().qty_decimal(held)
        }),
        None => cash(truth),
    });
    let exchange = Exchange::of(CHAIN_ID, ExchangeVersion::V2, false);
    let spender = exchange.map(|exchange| exchange.contract.to_string());
    let most = Word([255; 32]).to_string();
    answer(json!({
        "balance": units(amount).to_string(),
        "allowances": { spender.unwrap_or_default(): most },
    }))
}

pub(super) fn cash(truth: &Truth) -> Decimal {
    truth.cash(VENUE).into_iter().map(|(_, all, _)| all).sum()
}

pub(super) fn units(amount: Decimal) -> u128 {
    let units = amount.max(Decimal::ZERO) * Decimal::from(1_000_000);
    units.trunc().mantissa().unsigned_abs()
}

/// A heartbeat names the one before; the first, and one that begins anew, names none.
pub(super) async fn heartbeat(
    State(face): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    #[derive(Deserialize)]
    struct Beat {
        heartbeat_id: Option<String>,
    }
    if !authorised(&face, &method, &uri, &headers, &body) {
        return stranger();
    }
    let named = serde_json::from_str::<Beat>(&body).ok();
    let named = named
        .and_then(|beat| beat.heartbeat_id)
        .filter(|id| !id.is_empty());
    let mut kept = face.kept();
    let current = kept.heartbeat.as_ref().map(|(id, _)| id.clone());
    if named.is_some() && named != current {
        let body = json!({ "error": "Invalid Heartbeat ID", "heartbeat_id": current });
        return (StatusCode::BAD_REQUEST, axum::Json(body)).into_response();
    }
    kept.heartbeats += 1;
    let id = format!("heartbeat-{}", kept.heartbeats);
    kept.heartbeat = Some((id.clone(), Instant::now()));
    answer(json!({ "heartbeat_id": id }))
}
