//! Kalshi's face of the local exchange: its REST endpoints and its websocket, as the venue's documents say them.
//!
//! Written from the documents alone and without a line of the client's codec, so that the one can't prove the other's
//! mistake. What a journal does not hold is said plainly: rule texts name the hash that the journal has, so their own hash is
//! another one; every market lives on shard 0.
mod auth;
mod rest;
mod stream;
mod told;
mod wire;

pub use auth::Keys;

use super::{Exchange, with_clock, with_faults};
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};
use onetape_engine::event::{ContractTerms, Event};
use onetape_engine::id::InstrumentId;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The venue's name in journals.
const VENUE: &str = "kalshi";

/// What every request needs.
#[derive(Clone)]
struct Face {
    exchange: Arc<Exchange>,
    keys: Arc<Keys>,
    terms: Arc<RwLock<BTreeMap<InstrumentId, ContractTerms>>>,
}

impl Face {
    /// A contract's terms, where the journal has told them.
    fn terms(&self, instrument: InstrumentId) -> Option<ContractTerms> {
        let terms = self.terms.read().unwrap_or_else(PoisonError::into_inner);
        terms.get(&instrument).cloned()
    }
}

/// The venue's host, for an account with these keys. Made before the journal is played, on a tokio runtime: it listens for
/// the contracts' terms from here on.
pub fn router(exchange: Arc<Exchange>, keys: Keys) -> Router {
    let face = Face {
        exchange: exchange.clone(),
        keys: Arc::new(keys),
        terms: Arc::default(),
    };
    // The engine's market has no use for the terms that the journal tells.
    let terms = face.terms.clone();
    exchange.show_market(move |_, event| {
        if let Event::ContractTerms(told) = event {
            let mut known = terms.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(told.instrument, *told);
        }
        true
    });
    let private = Router::new()
        .route(
            "/portfolio/events/orders",
            post(rest::place).delete(rest::cancel_all),
        )
        .route("/portfolio/events/orders/{id}", delete(rest::cancel))
        .route(
            "/portfolio/orders",
            get(rest::orders).post(rest::deprecated),
        )
        .route(
            "/portfolio/orders/{id}",
            get(rest::order).delete(rest::deprecated),
        )
        .route("/portfolio/fills", get(rest::fills))
        .route("/portfolio/positions", get(rest::positions))
        .route("/portfolio/balance", get(rest::balance))
        .layer(from_fn_with_state((exchange.clone(), VENUE), with_faults))
        .layer(from_fn_with_state(face.clone(), auth::authenticated));
    let public = Router::new()
        .route("/markets", get(rest::markets))
        .route("/markets/{ticker}", get(rest::market))
        .route("/markets/{ticker}/orderbook", get(rest::orderbook))
        .route("/series/{ticker}", get(rest::series))
        .route("/events/{ticker}", get(rest::event));
    let stream = Router::new()
        .route("/trade-api/ws/v2", get(stream::upgrade))
        .layer(from_fn_with_state(face.clone(), auth::authenticated));
    Router::new()
        .nest("/trade-api/v2", private.merge(public))
        .merge(stream)
        .fallback(rest::not_found)
        .layer(from_fn(rest::as_json))
        .layer(from_fn_with_state((exchange, VENUE), with_clock))
        .with_state(face)
}
