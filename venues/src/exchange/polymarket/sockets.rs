//! The channels: market, user, and the stream of all trades.
use super::wire::{Shown, book, millis, price_text, qty_text, shown, side_word};
use super::{Face, condition_id, other_token, token_id};
use crate::exchange::{Published, Socket, What};
use crate::polymarket::VENUE;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::stream::{SplitStream, StreamExt};
use onetape_engine::event::{Aggressor, Event, Level};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Instrument;
use onetape_engine::number::Price;
use onetape_engine::order::Side;
use onetape_engine::time::Nanos;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::broadcast;

/// Tokens of one connection; with more the venue sends nothing.
const ASSETS_MAX: usize = 500;

pub(super) async fn market(State(face): State<Arc<Face>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| run_market(face, socket))
}

pub(super) async fn user(State(face): State<Arc<Face>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| run_user(face, socket))
}

pub(super) async fn stream(State(face): State<Arc<Face>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| run_stream(face, socket))
}

/// What a client says: `None` once it is gone, an empty text for what is no text.
async fn hear(stream: &mut SplitStream<WebSocket>) -> Option<String> {
    match stream.next().await? {
        Ok(Message::Text(text)) => Some(text.as_str().to_owned()),
        Ok(Message::Close(_)) | Err(_) => None,
        Ok(_) => Some(String::new()),
    }
}

#[derive(Deserialize)]
struct Subscription {
    #[serde(default)]
    assets_ids: Vec<String>,
    #[serde(default)]
    custom_feature_enabled: bool,
    operation: Option<String>,
}

/// A book as this client was told it.
#[derive(Default)]
struct Told {
    bids: BTreeMap<Price, i64>,
    asks: BTreeMap<Price, i64>,
    tick: Price,
}

impl Told {
    fn replace(&mut self, bids: &[Shown], asks: &[Shown]) {
        let side = |levels: &[Shown]| levels.iter().map(|(price, qty)| (*price, qty.0)).collect();
        (self.bids, self.asks) = (side(bids), side(asks));
    }

    fn change(&mut self, bids: &[Level], asks: &[Level]) {
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels {
                if level.qty.0 == 0 {
                    side.remove(&level.price);
                } else {
                    side.insert(level.price, level.qty.0);
                }
            }
        }
    }

    /// An empty side's best prices are the ends of the grid.
    fn best(&self, instrument: &Instrument) -> (String, String) {
        let text = |price: &Price| price_text(instrument, *price);
        let bid = self.bids.keys().next_back().map(text);
        let ask = self.asks.keys().next().map(text);
        (bid.unwrap_or("0".to_owned()), ask.unwrap_or("1".to_owned()))
    }
}

/// One client of the market channel.
struct Market {
    books: HashMap<InstrumentId, Told>,
    custom: bool,
    /// Everything up to this number is in the books that were sent.
    sent: u64,
}

impl Market {
    /// Adds tokens; the messages with their books.
    fn subscribe(&mut self, face: &Face, subscription: &Subscription) -> Option<String> {
        self.custom |= subscription.custom_feature_enabled;
        let now = face.exchange.now();
        let books: Vec<Value> = face.exchange.with(|truth| {
            // What is published meanwhile for tokens of before comes again and does no harm.
            self.sent = self.sent.max(truth.published());
            let wanted = subscription.assets_ids.iter();
            let found = wanted.filter_map(|token| Face::token(truth, token));
            let books = found.map(|instrument| {
                let levels = shown(instrument);
                let told = self.books.entry(instrument.id()).or_default();
                told.replace(&levels.0, &levels.1);
                told.tick = instrument
                    .rules_at(now)
                    .map_or(Price(0), |rules| rules.tick_size);
                book(instrument, &levels, instrument.top_received_at())
            });
            books.collect()
        });
        let few = self.books.len() <= ASSETS_MAX;
        few.then(|| Value::Array(books).to_string())
    }

    /// What a thing that was published means to this client.
    fn messages(&mut self, face: &Face, published: &Published) -> Vec<Value> {
        let What::Market(kind, payload) = &published.what else {
            return Vec::new();
        };
        if published.number <= self.sent {
            return Vec::new();
        }
        let Ok(event) = Event::decode(kind.number(), payload) else {
            return Vec::new();
        };
        let Some(told) = event.instrument().and_then(|id| self.books.get_mut(&id)) else {
            return Vec::new();
        };
        let custom = self.custom;
        face.exchange.with(|truth| {
            let id = event.instrument().unwrap_or_default();
            let Ok(instrument) = truth.market().instrument(id) else {
                return Vec::new();
            };
            said(told, instrument, &event, custom, published.at)
        })
    }
}

fn said(
    told: &mut Told,
    instrument: &Instrument,
    event: &Event<'_>,
    custom: bool,
    at: Nanos,
) -> Vec<Value> {
    let token = token_id(&instrument.definition.symbol);
    let levels = |levels: &[Level]| -> Vec<Shown> {
        let there = levels.iter().filter(|level| level.qty.0 > 0);
        there.map(|level| (level.price, level.qty)).collect()
    };
    match event {
        Event::BookSnapshot(update) => {
            let (mut bids, mut asks) = (levels(update.bids), levels(update.asks));
            bids.sort_unstable();
            asks.sort_unstable_by(|a, b| b.cmp(a));
            told.replace(&bids, &asks);
            vec![book(instrument, &(bids, asks), at)]
        }
        Event::BookDelta(update) => {
            let before = told.best(instrument);
            told.change(update.bids, update.asks);
            let best = told.best(instrument);
            let change = |side: Side| {
                let (token, best) = (&token, &best);
                move |level: &Level| {
                    json!({
                        "asset_id": token, "price": price_text(instrument, level.price),
                        "size": qty_text(instrument, level.qty), "side": side_word(side), "hash": "",
                        "best_bid": best.0, "best_ask": best.1,
                    })
                }
            };
            let bids = update.bids.iter().map(change(Side::Buy));
            let changes: Vec<Value> = bids
                .chain(update.asks.iter().map(change(Side::Sell)))
                .collect();
            let mut messages = vec![json!({
                "event_type": "price_change", "market": condition_id(&token), "price_changes": changes,
                "timestamp": millis(at),
            })];
            if custom && best != before {
                messages.push(json!({
                    "event_type": "best_bid_ask", "market": condition_id(&token), "asset_id": token,
                    "best_bid": best.0, "best_ask": best.1, "timestamp": millis(at),
                }));
            }
            messages
        }
        // Instruments without a book show their quote as one.
        Event::Quote(quote) if instrument.book().is_none() => {
            let side = |price, qty| levels(&[Level { price, qty }]);
            let bids = side(quote.bid_price, quote.bid_qty);
            let asks = side(quote.ask_price, quote.ask_qty);
            told.replace(&bids, &asks);
            vec![book(instrument, &(bids, asks), at)]
        }
        Event::Trade(trade) => {
            let side = match trade.aggressor() {
                Aggressor::Seller => Side::Sell,
                _ => Side::Buy,
            };
            vec![json!({
                "event_type": "last_trade_price", "market": condition_id(&token), "asset_id": token,
                "price": price_text(instrument, trade.price), "size": qty_text(instrument, trade.qty),
                "side": side_word(side), "fee_rate_bps": "0", "timestamp": millis(at),
            })]
        }
        Event::TradingRules(rules) if rules.tick_size != told.tick => {
            let old = std::mem::replace(&mut told.tick, rules.tick_size);
            vec![json!({
                "event_type": "tick_size_change", "market": condition_id(&token), "asset_id": token,
                "old_tick_size": price_text(instrument, old),
                "new_tick_size": price_text(instrument, rules.tick_size), "timestamp": millis(at),
            })]
        }
        Event::Resolution(resolution) if custom => {
            let one = 10i64.pow(u32::from(instrument.decimals().price));
            let other = other_token(&token);
            let winner = match resolution.settlement_price.0 {
                0 => &other,
                price if price == one => &token,
                // Half and half has no winner, and no message.
                _ => return Vec::new(),
            };
            vec![json!({
                "event_type": "market_resolved", "id": "1", "market": condition_id(&token),
                "assets_ids": [token, other], "winning_asset_id": winner,
                "winning_outcome": if *winner == token { "Yes" } else { "No" }, "timestamp": millis(at),
            })]
        }
        _ => Vec::new(),
    }
}

async fn run_market(face: Arc<Face>, socket: WebSocket) {
    let (mut out, mut stream) = Socket::new(Arc::clone(&face.exchange), VENUE, socket);
    let mut published = face.exchange.subscribe();
    let mut client = Market {
        books: HashMap::new(),
        custom: false,
        sent: u64::MAX,
    };
    loop {
        tokio::select! {
            heard = hear(&mut stream) => {
                let Some(text) = heard else { return };
                if text == "PING" {
                    if out.control(Message::Text("PONG".into())).await.is_err() {
                        return;
                    }
                } else if let Ok(subscription) = serde_json::from_str::<Subscription>(&text) {
                    if subscription.operation.as_deref() == Some("unsubscribe") {
                        client.forget(&face, &subscription);
                        continue;
                    }
                    if client.sent == u64::MAX {
                        client.sent = 0;
                    }
                    if let Some(books) = client.subscribe(&face, &subscription)
                        && out.text(books).await.is_err()
                    {
                        return;
                    }
                }
            }
            next = published.recv() => {
                // A client that is too slow is let go.
                let Ok(published) = next else { return };
                for message in client.messages(&face, &published) {
                    if out.text(message.to_string()).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

impl Market {
    fn forget(&mut self, face: &Face, subscription: &Subscription) {
        face.exchange.with(|truth| {
            for token in &subscription.assets_ids {
                if let Some(instrument) = Face::token(truth, token) {
                    self.books.remove(&instrument.id());
                }
            }
        });
    }
}

#[derive(Deserialize)]
struct Login {
    auth: Auth,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Auth {
    api_key: String,
    secret: String,
    passphrase: String,
}

impl Auth {
    fn is_ours(&self, face: &Face) -> bool {
        let ours = &face.keys.credentials;
        self.api_key == ours.key
            && self.secret == ours.secret.expose_secret()
            && self.passphrase == ours.passphrase.expose_secret()
    }
}

async fn run_user(face: Arc<Face>, socket: WebSocket) {
    let (mut out, mut stream) = Socket::new(Arc::clone(&face.exchange), VENUE, socket);
    let mut told: Option<broadcast::Receiver<Arc<str>>> = None;
    loop {
        tokio::select! {
            heard = hear(&mut stream) => {
                let Some(text) = heard else { return };
                if text == "PING" {
                    if out.control(Message::Text("PONG".into())).await.is_err() {
                        return;
                    }
                } else if let Ok(login) = serde_json::from_str::<Login>(&text) {
                    // The venue ends the connection of a stranger without a word.
                    if !login.auth.is_ours(&face) {
                        return;
                    }
                    told = Some(face.told.subscribe());
                }
            }
            next = next_of(&mut told) => {
                let Some(message) = next else { return };
                if out.text(message.to_string()).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn run_stream(face: Arc<Face>, socket: WebSocket) {
    let (mut out, mut stream) = Socket::new(Arc::clone(&face.exchange), VENUE, socket);
    let mut rows: Option<broadcast::Receiver<Arc<str>>> = None;
    loop {
        tokio::select! {
            heard = hear(&mut stream) => {
                let Some(text) = heard else { return };
                if text.eq_ignore_ascii_case("PING") {
                    if out.control(Message::Text("pong".into())).await.is_err() {
                        return;
                    }
                } else if text.contains("\"activity\"") {
                    rows = Some(face.rows.subscribe());
                }
            }
            next = next_of(&mut rows) => {
                let Some(message) = next else { return };
                if out.text(message.to_string()).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The next message; never while there is no subscription, `None` for a client that is too slow.
async fn next_of(receiver: &mut Option<broadcast::Receiver<Arc<str>>>) -> Option<Arc<str>> {
    match receiver {
        Some(receiver) => receiver.recv().await.ok(),
        None => std::future::pending().await,
    }
}
