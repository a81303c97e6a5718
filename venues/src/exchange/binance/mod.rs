//! The exchange's Binance face: the spot's REST, its combined streams, and the WS-API's user stream, written from the
//! venue's documents (rest-api.md, web-socket-streams.md, web-socket-api.md, user-data-stream.md).
//!
//! Update ids of depth are the numbers of what the exchange publishes: a snapshot's `lastUpdateId` is the last number in it,
//! and a diff reaches from the number after the last diff to the last one seen. So a lost message is a gap, as there.
//! Time is the exchange's, its windows as long in wall time as the venue's.
mod rest;
mod stream;
mod user;

use super::{Exchange, VenueFill, VenueOrder, with_clock, with_faults};
use crate::binance::Signer;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use onetape_engine::event::Level;
use onetape_engine::market::Instrument;
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use std::sync::Arc;

const VENUE: &str = crate::binance::VENUE;
const NS_PER_MS: u64 = 1_000_000;

/// The account's key, made for the run: HMAC or Ed25519.
#[derive(Clone, Debug)]
pub struct Keys {
    signer: Signer,
}

impl Keys {
    /// The key that the client signs with.
    pub const fn new(signer: Signer) -> Self {
        Self { signer }
    }
}

/// What every handler shares.
#[derive(Debug)]
struct Face {
    exchange: Arc<Exchange>,
    keys: Keys,
}

impl Face {
    /// The venue's clock in ms, off where that was commanded.
    fn now_ms(&self) -> u64 {
        self.stamp_ms(self.exchange.now())
    }

    fn stamp_ms(&self, at: Nanos) -> u64 {
        let skew = self.exchange.faults().clock_skew_ms(VENUE);
        (at.0 / NS_PER_MS).saturating_add_signed(skew)
    }
}

/// REST, streams and WS-API on one address.
pub fn router(exchange: Arc<Exchange>, keys: Keys) -> Router {
    let faults = from_fn_with_state((Arc::clone(&exchange), VENUE), with_faults);
    let clock = from_fn_with_state((Arc::clone(&exchange), VENUE), with_clock);
    let face = Arc::new(Face { exchange, keys });
    Router::new()
        .route("/api/v3/ping", get(rest::ping))
        .route("/api/v3/time", get(rest::time))
        .route("/api/v3/exchangeInfo", get(rest::exchange_info))
        .route("/api/v3/depth", get(rest::depth))
        .route(
            "/api/v3/order",
            get(rest::query).post(rest::place).delete(rest::cancel),
        )
        .route("/api/v3/openOrders", get(rest::open_orders))
        .route("/api/v3/myTrades", get(rest::my_trades))
        .route("/api/v3/account", get(rest::account))
        .route("/api/v3/account/commission", get(rest::commission))
        .layer(faults)
        .route("/stream", get(stream::upgrade))
        .route("/ws-api/v3", get(user::upgrade))
        .layer(clock)
        .with_state(face)
}

/// A number with the venue's eight decimals.
fn eight(value: Decimal) -> String {
    let mut value = value;
    value.rescale(8);
    value.to_string()
}

fn status(state: OrderState) -> &'static str {
    match state {
        OrderState::PartiallyFilled => "PARTIALLY_FILLED",
        OrderState::Filled => "FILLED",
        OrderState::Cancelled => "CANCELED",
        OrderState::Expired => "EXPIRED",
        OrderState::Rejected => "REJECTED",
        OrderState::Decided | OrderState::Sent | OrderState::Acked | OrderState::Unknown => "NEW",
    }
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

fn order_type(order: &VenueOrder) -> &'static str {
    match (order.new.order_type, order.new.time_in_force) {
        (OrderType::Limit, TimeInForce::PostOnly) => "LIMIT_MAKER",
        (OrderType::Limit, _) => "LIMIT",
        (OrderType::Market, _) => "MARKET",
        (OrderType::Stop, _) => "STOP_LOSS",
    }
}

fn time_in_force(order: &VenueOrder) -> &'static str {
    match order.new.time_in_force {
        TimeInForce::ImmediateOrCancel => "IOC",
        TimeInForce::GoodTillCancel | TimeInForce::PostOnly => "GTC",
    }
}

/// What a fill's commission is taken from: what was received. Where that is no exact amount of it, the quote currency, so
/// that the exchange's books stay exact.
fn commission(fill: &VenueFill, instrument: &Instrument) -> (Decimal, String) {
    let fee = fill.fee.to_decimal().unwrap_or_default();
    let definition = &instrument.definition;
    let price = instrument.decimals().price_decimal(fill.price);
    if fill.side == Side::Buy
        && let Some(in_base) = fee.checked_div(price)
        && in_base.normalize().scale() <= 8
        && in_base * price == fee
    {
        return (in_base.normalize(), definition.base.clone());
    }
    (fee.normalize(), definition.quote.clone())
}

/// The levels of a side as they are now: the book's while it is live, otherwise the best of the quotes.
fn levels(instrument: &Instrument, side: Side, most: usize) -> Vec<Level> {
    match instrument.book() {
        Some(book) => book.side(side).levels().take(most).collect(),
        None => {
            let best = instrument.quote().and_then(|top| top.side(side));
            best.into_iter().collect()
        }
    }
}

/// Free and locked of the currencies of an instrument.
fn balances(truth: &super::Truth, of: &[String]) -> Vec<(String, Decimal, Decimal)> {
    let mut all: Vec<(String, Decimal, Decimal)> = truth
        .cash(VENUE)
        .into_iter()
        .map(|(currency, total, held)| (currency, total - held, held))
        .collect();
    for instrument in truth.instruments(VENUE) {
        let d = instrument.decimals();
        let selling: Decimal = truth
            .open_orders(VENUE)
            .filter(|o| o.new.instrument == instrument.id() && o.new.side == Side::Sell)
            .map(|order| d.qty_decimal(order.remaining()))
            .sum();
        let held = d.qty_decimal(truth.holding(instrument.id()));
        let base = &instrument.definition.base;
        match all.iter_mut().find(|(currency, _, _)| currency == base) {
            Some((_, free, locked)) => {
                *free += held - selling;
                *locked += selling;
            }
            None => all.push((base.clone(), held - selling, selling)),
        }
    }
    all.retain(|(currency, _, _)| of.is_empty() || of.contains(currency));
    all
}
