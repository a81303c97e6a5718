//! The wire of the sources of won rates: what the journal's instruments of venue "fx" traded at last, and when, as Dunamu,
//! open.er-api, EODHD and Upbit say it.
//!
//! A source tells the instrument of its base (dollars, or the dollar token). One without a rate yet answers as its service
//! does for what it does not have; [`Fault::Answer`](super::Fault) makes it say anything.
use super::Exchange;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use onetape_engine::event::Event;
use onetape_engine::id::InstrumentId;
use onetape_engine::time::{Nanos, SECOND_NS};
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

const VENUE: &str = "fx";
const MS: u64 = 1_000_000;

/// Whom the face lets in.
#[derive(Clone)]
pub struct Keys {
    /// EODHD's token; the other sources are open to everybody.
    pub token: SecretString,
}

struct Face {
    exchange: Arc<Exchange>,
    keys: Keys,
    seen: Mutex<BTreeMap<InstrumentId, Seen>>,
}

/// The last trade of an instrument.
#[derive(Clone, Copy)]
struct Seen {
    price: Decimal,
    qty: Decimal,
    at: Nanos,
}

/// The face. Made before the journal is played: what was played before is unknown to it. Called inside a tokio runtime.
pub fn router(exchange: Arc<Exchange>, keys: Keys) -> Router {
    let face = Arc::new(Face {
        exchange,
        keys,
        seen: Mutex::default(),
    });
    let known = Arc::downgrade(&face);
    face.exchange.show_market(move |at, event| {
        let face = known.upgrade();
        face.inspect(|face| face.see(at, &event)).is_some()
    });
    Router::new()
        .route("/v1/forex/recent", get(dunamu))
        .route("/v6/latest/{base}", get(open_er))
        .route("/api/real-time/{code}", get(eodhd))
        .route("/v1/ticker", get(upbit))
        .with_state(face)
}

impl Face {
    fn see(&self, at: Nanos, event: &Event<'_>) {
        let Event::Trade(trade) = event else { return };
        let decimals = self.exchange.with(|truth| {
            let instrument = truth.market().instrument(trade.instrument).ok()?;
            (instrument.definition.venue == VENUE).then(|| instrument.decimals())
        });
        let Some(decimals) = decimals else { return };
        let seen = Seen {
            price: decimals.price_decimal(trade.price),
            qty: decimals.qty_decimal(trade.qty),
            at: match trade.venue_time_ns {
                0 => at,
                own => Nanos(own),
            },
        };
        self.seen().insert(trade.instrument, seen);
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, BTreeMap<InstrumentId, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a currency cost last.
    fn rate(&self, base: &str) -> Option<Seen> {
        let id = self.exchange.with(|truth| {
            let mut of = truth.instruments(VENUE);
            of.find(|i| i.definition.base == base).map(|i| i.id())
        })?;
        self.seen().get(&id).copied()
    }

    fn answer(&self, source: &str, body: &Value) -> Response {
        let text = self.exchange.faults().answer(source);
        let text = text.unwrap_or_else(|| body.to_string());
        ([(header::CONTENT_TYPE, "application/json")], text).into_response()
    }
}

/// A number as the sources write it.
fn raw(number: Decimal) -> Value {
    super::eodhd::raw(number)
}

#[derive(Deserialize)]
struct Codes {
    codes: String,
}

async fn dunamu(State(face): State<Arc<Face>>, Query(asked): Query<Codes>) -> Response {
    let rate = face.rate("USD").filter(|_| asked.codes == "FRX.KRWUSD");
    let rates: Vec<Value> = rate
        .iter()
        .map(|rate| {
            json!({
                "code": "FRX.KRWUSD", "currencyCode": "USD", "basePrice": raw(rate.price), "currencyUnit": 1,
                "provider": "하나은행", "timestamp": rate.at.0 / MS,
            })
        })
        .collect();
    face.answer("dunamu", &rates.into())
}

async fn open_er(State(face): State<Arc<Face>>, Path(base): Path<String>) -> Response {
    let body = match face.rate(&base) {
        Some(rate) => json!({
            "result": "success", "time_last_update_unix": rate.at.0 / SECOND_NS, "base_code": base,
            "rates": {"USD": 1, "KRW": raw(rate.price)},
        }),
        None => json!({"result": "error", "error-type": "unsupported-code"}),
    };
    face.answer("open-er-api", &body)
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    api_token: String,
}

async fn eodhd(
    State(face): State<Arc<Face>>,
    Path(code): Path<String>,
    Query(token): Query<Token>,
) -> Response {
    if token.api_token != face.keys.token.expose_secret() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let rate = face.rate("USD").filter(|_| code == "USDKRW.FOREX");
    let body = match rate {
        Some(rate) => json!({
            "code": code, "timestamp": rate.at.0 / SECOND_NS, "gmtoffset": 0, "close": raw(rate.price), "volume": 0,
        }),
        None => {
            json!({"code": code, "timestamp": "NA", "gmtoffset": 0, "close": "NA", "volume": "NA"})
        }
    };
    face.answer("eodhd", &body)
}

#[derive(Deserialize)]
struct Markets {
    markets: String,
}

async fn upbit(State(face): State<Arc<Face>>, Query(asked): Query<Markets>) -> Response {
    let rate = face.rate("USDT").filter(|_| asked.markets == "KRW-USDT");
    let tickers: Vec<Value> = rate
        .iter()
        .map(|rate| {
            json!({
                "market": "KRW-USDT", "trade_price": raw(rate.price), "trade_volume": raw(rate.qty),
                "trade_timestamp": rate.at.0 / MS,
            })
        })
        .collect();
    face.answer("upbit", &tickers.into())
}
