//! Markets: books, grids and fees from the CLOB, rule text and dates from Gamma.
use super::requests::{Asked, Shared, answer, error};
use super::{Face, condition_id, other_token, rules_text, token_id, wire};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use onetape_engine::event::TradingStatus;
use onetape_engine::time::SECOND_NS;
use serde_json::{Value, json};

pub(super) async fn book(State(face): Shared, Query(asked): Asked) -> Response {
    let token = asked.get("token_id").map_or("", String::as_str);
    let now = face.exchange.now();
    let found = face.exchange.with(|truth| {
        let instrument = Face::token(truth, token)?;
        Some(wire::rest_book(instrument, instrument.rules_at(now)?))
    });
    match found {
        Some(book) => answer(book),
        None => error(
            StatusCode::NOT_FOUND,
            "No orderbook exists for the requested token id",
        ),
    }
}

pub(super) async fn clob_market(State(face): Shared, Path(condition): Path<String>) -> Response {
    let now = face.exchange.now();
    let found = face.exchange.with(|truth| {
        let instrument = Face::condition(truth, &condition)?;
        let rules = instrument.rules_at(now)?;
        Some(wire::clob_market(
            instrument,
            rules,
            instrument.fees_at(now),
        ))
    });
    found.map_or_else(|| error(StatusCode::NOT_FOUND, "market not found"), answer)
}

pub(super) async fn market_by_token(State(face): Shared, Path(token): Path<String>) -> Response {
    let known = face
        .exchange
        .with(|truth| Face::token(truth, &token).is_some());
    if !known {
        return error(StatusCode::NOT_FOUND, "market not found");
    }
    answer(json!({
        "condition_id": condition_id(&token), "primary_token_id": token, "secondary_token_id": other_token(&token),
    }))
}

pub(super) async fn version() -> Response {
    answer(json!({ "version": 2 }))
}

pub(super) async fn time(State(face): Shared) -> Response {
    answer(json!(face.now().0 / SECOND_NS))
}

pub(super) async fn gamma(State(face): Shared, Query(asked): Asked) -> Response {
    let condition = asked.get("condition_ids").map_or("", String::as_str);
    let terms = face.kept().terms.clone();
    let found = face.exchange.with(|truth| {
        let instrument = Face::condition(truth, condition)?;
        let symbol = &instrument.definition.symbol;
        let token = token_id(symbol);
        let open = instrument.status == TradingStatus::Open && instrument.settled_at.is_none();
        let list = |items: [&str; 2]| json!(items).to_string();
        let terms = terms.get(&instrument.id());
        let rules = rules_text(terms.map_or("unknown", |terms| &terms.rules_hash));
        Some(json!({
            "conditionId": condition, "slug": symbol, "question": symbol, "description": rules,
            "endDate": terms.map(|terms| wire::iso(terms.closes_at)),
            "events": terms.map_or(json!([]), |terms| json!([{ "slug": terms.cluster }])),
            "active": true, "closed": instrument.settled_at.is_some(), "acceptingOrders": open, "negRisk": false,
            "outcomes": list(["Yes", "No"]), "clobTokenIds": list([&token, &other_token(&token)]),
        }))
    });
    answer(Value::Array(found.into_iter().collect()))
}
