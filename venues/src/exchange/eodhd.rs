//! EODHD's wire: streams of prints and quotes. Its delayed rate is with the other rates, in [`super::fx`].
//!
//! Stocks are the journal's instruments of venue "ib" or "eodhd", currency pairs those of "fx" or "eodhd"; the provider's
//! symbol is the journal's.
use super::{Exchange, Published, Socket, What};
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::StreamExt;
use onetape_engine::event::{Event, Quote, Trade};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Top;
use onetape_engine::number::Decimals;
use onetape_engine::order::Side;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

const VENUE: &str = "eodhd";
const STOCKS: [&str; 2] = ["ib", "eodhd"];
const PAIRS: [&str; 2] = ["fx", "eodhd"];
/// Symbols of one connection.
const SYMBOLS_MAX: usize = 50;

/// Whom the face lets in.
#[derive(Clone)]
pub struct Keys {
    /// The token of every address.
    pub token: SecretString,
}

#[derive(Clone)]
struct Face {
    exchange: Arc<Exchange>,
    keys: Keys,
}

impl Face {
    fn lets_in(&self, token: &Token) -> bool {
        token.api_token == self.keys.token.expose_secret()
    }
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    api_token: String,
}

/// The face.
pub fn router(exchange: Arc<Exchange>, keys: Keys) -> Router {
    Router::new()
        .route("/ws/{stream}", get(stream))
        .with_state(Face { exchange, keys })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Trades,
    Quotes,
    Forex,
}

async fn stream(
    State(face): State<Face>,
    Path(name): Path<String>,
    Query(token): Query<Token>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let content = match name.as_str() {
        "us" => Content::Trades,
        "us-quote" => Content::Quotes,
        "forex" => Content::Forex,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    if !face.lets_in(&token) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    upgrade.on_upgrade(move |socket| serve(face.exchange, content, socket))
}

#[derive(Deserialize)]
struct Command {
    action: String,
    symbols: String,
}

async fn serve(exchange: Arc<Exchange>, content: Content, socket: WebSocket) {
    let mut published = exchange.subscribe();
    let (mut socket, mut client) = Socket::new(Arc::clone(&exchange), VENUE, socket);
    let mut symbols = BTreeMap::new();
    if socket.control(status(200, "Authorized")).await.is_err() {
        return;
    }
    loop {
        let sent = tokio::select! {
            said = client.next() => match said {
                Some(Ok(Message::Text(text))) => match commanded(&exchange, content, &text, &mut symbols) {
                    Some(answer) => socket.control(answer).await,
                    None => Ok(()),
                },
                Some(Ok(Message::Ping(bytes))) => socket.control(Message::Pong(bytes)).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => Ok(()),
            },
            news = published.recv() => match news {
                Ok(news) => match frame(&exchange, content, &news, &mut symbols) {
                    Some(frame) => socket.text(frame.to_string()).await,
                    None => Ok(()),
                },
                // Behind, or the exchange is gone: the connection ends, as a provider ends a slow one.
                Err(RecvError::Lagged(_) | RecvError::Closed) => return,
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

fn status(code: u16, message: &str) -> Message {
    let text = json!({"status_code": code, "message": message}).to_string();
    Message::Text(text.into())
}

/// By instrument.
type Symbols = BTreeMap<InstrumentId, Subscribed>;

/// What a client listens to.
struct Subscribed {
    symbol: String,
    decimals: Decimals,
    /// The best bid and ask that it was told last.
    shown: Top,
}

fn commanded(
    exchange: &Exchange,
    content: Content,
    text: &str,
    symbols: &mut Symbols,
) -> Option<Message> {
    let Ok(command) = serde_json::from_str::<Command>(text) else {
        return Some(status(422, "Malformed command"));
    };
    let venues = match content {
        Content::Trades | Content::Quotes => STOCKS,
        Content::Forex => PAIRS,
    };
    let wanted: Vec<&str> = command.symbols.split(',').map(str::trim).collect();
    let known = exchange.with(|truth| {
        let find = |symbol: &&str| {
            let found = venues.iter().find_map(|venue| truth.symbol(venue, symbol));
            found.map(|it| {
                let subscribed = Subscribed {
                    symbol: (*symbol).to_owned(),
                    decimals: it.decimals(),
                    shown: Top::default(),
                };
                (it.id(), subscribed)
            })
        };
        wanted.iter().filter_map(find).collect::<Symbols>()
    });
    match command.action.as_str() {
        "subscribe" if symbols.len() + wanted.len() > SYMBOLS_MAX => {
            return Some(status(422, "Symbols limit reached"));
        }
        "subscribe" => symbols.extend(known),
        "unsubscribe" => symbols.retain(|id, _| !known.contains_key(id)),
        _ => return Some(status(422, "Unknown action")),
    }
    None
}

fn frame(
    exchange: &Exchange,
    content: Content,
    news: &Published,
    symbols: &mut Symbols,
) -> Option<Value> {
    let What::Market(kind, payload) = &news.what else {
        return None;
    };
    let event = Event::decode(kind.number(), payload).ok()?;
    let id = event.instrument()?;
    let Subscribed {
        symbol,
        decimals,
        shown,
    } = symbols.get_mut(&id)?;
    let price = |price| raw(decimals.price_decimal(price).normalize());
    let qty = |qty| raw(decimals.qty_decimal(qty).normalize());
    let ms = |venue_time_ns: u64| match venue_time_ns {
        0 => news.at.0 / 1_000_000,
        own => own / 1_000_000,
    };
    match (content, event) {
        (
            Content::Trades,
            Event::Trade(Trade {
                venue_time_ns,
                price: p,
                qty: v,
                ..
            }),
        ) => Some(json!({
            "s": symbol, "p": price(*p), "v": qty(*v), "c": 0, "dp": false, "ms": "open",
            "t": ms(*venue_time_ns),
        })),
        (Content::Quotes, Event::Quote(quote)) => Some(json!({
            "s": symbol, "ap": price(quote.ask_price), "as": qty(quote.ask_qty),
            "bp": price(quote.bid_price), "bs": qty(quote.bid_qty), "t": ms(quote.venue_time_ns),
        })),
        // Where the journal has a book and no quotes, the best of it is the quote.
        (Content::Quotes, Event::BookDelta(_) | Event::BookSnapshot(_)) => {
            let top = exchange.with(|truth| {
                let instrument = truth.market().instrument(id).ok();
                instrument.filter(|i| i.quote().is_none())?.top()
            })?;
            let (bid, ask) = (top.side(Side::Buy)?, top.side(Side::Sell)?);
            if core::mem::replace(shown, top) == top {
                return None;
            }
            Some(json!({
                "s": symbol, "ap": price(ask.price), "as": qty(ask.qty), "bp": price(bid.price), "bs": qty(bid.qty),
                "t": news.at.0 / 1_000_000,
            }))
        }
        (
            Content::Forex,
            Event::Quote(Quote {
                venue_time_ns,
                bid_price,
                ask_price,
                ..
            }),
        ) => Some(json!({
            "s": symbol, "a": decimals.price_decimal(*ask_price).normalize().to_string(),
            "b": decimals.price_decimal(*bid_price).normalize().to_string(),
            "dc": "0.0", "dd": "0.0", "ppms": false, "t": ms(*venue_time_ns),
        })),
        _ => None,
    }
}

/// A number as JSON has it: exact up to 15 digits.
pub(super) fn raw(number: rust_decimal::Decimal) -> Value {
    serde_json::from_str(&number.normalize().to_string()).unwrap_or(Value::Null)
}
