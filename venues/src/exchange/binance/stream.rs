//! The combined stream: depth diffs, best prices and trades of the symbols that a client subscribes to.
use super::{Face, NS_PER_MS, VENUE, eight, levels};
use crate::exchange::{Published, Socket, What};
use axum::extract::ws::{Message, WebSocket};
use axum::extract::{State, WebSocketUpgrade};
use axum::response::Response;
use futures_util::StreamExt;
use onetape_engine::event::{Aggressor, Event, Level, Trade};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Top;
use onetape_engine::number::Decimals;
use onetape_engine::order::Side;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Levels a side that a diff looks at.
const LEVELS: usize = 5000;

pub(super) async fn upgrade(State(face): State<Arc<Face>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| serve(face, socket))
}

/// Quantities by price.
type SideLevels = BTreeMap<i64, i64>;

/// A symbol of a client.
struct Subscribed {
    instrument: InstrumentId,
    symbol: String,
    decimals: Decimals,
    depth: bool,
    ticker: bool,
    trade: bool,
    /// The book as the client has it, and its id.
    sides: [SideLevels; 2],
    last_id: u64,
    top: Top,
    is_dirty: bool,
}

#[derive(Deserialize)]
struct Command {
    method: String,
    #[serde(default)]
    params: Vec<String>,
    id: Value,
}

/// What changed from one side to another, as the wire has it; 0 where a level went.
fn changes(before: &SideLevels, after: &SideLevels, d: Decimals) -> Vec<[String; 2]> {
    let gone = before.keys().filter(|price| !after.contains_key(price));
    let gone = gone.map(|price| (*price, 0));
    let new = after
        .iter()
        .filter(|(price, qty)| before.get(price) != Some(qty));
    let new = new.map(|(price, qty)| (*price, *qty));
    gone.chain(new)
        .map(|(price, qty)| {
            [
                eight(d.price_decimal(onetape_engine::number::Price(price))),
                eight(d.qty_decimal(onetape_engine::number::Qty(qty))),
            ]
        })
        .collect()
}

impl Subscribed {
    fn stream(&self, kind: &str) -> String {
        format!("{}@{kind}", self.symbol.to_lowercase())
    }

    fn wrapped(&self, kind: &str, data: Value) -> String {
        json!({"stream": self.stream(kind), "data": data}).to_string()
    }

    /// The diff from what the client has to what the book is now; `None` where nothing changed.
    fn diff(&mut self, face: &Face) -> Option<String> {
        self.is_dirty = false;
        let (sides, last_id) = face.exchange.with(|truth| {
            let one = truth.market().instrument(self.instrument).ok()?;
            let side = |side| -> SideLevels {
                let all = levels(one, side, LEVELS).into_iter();
                all.map(|level: Level| (level.price.0, level.qty.0))
                    .collect()
            };
            Some(([side(Side::Buy), side(Side::Sell)], truth.published()))
        })?;
        let bids = changes(&self.sides[0], &sides[0], self.decimals);
        let asks = changes(&self.sides[1], &sides[1], self.decimals);
        if bids.is_empty() && asks.is_empty() {
            return None;
        }
        let data = json!({
            "e": "depthUpdate", "E": face.now_ms(), "s": self.symbol,
            "U": self.last_id + 1, "u": last_id, "b": bids, "a": asks,
        });
        (self.sides, self.last_id) = (sides, last_id);
        Some(self.wrapped("depth@100ms", data))
    }

    /// The best prices, where they changed.
    fn best(&mut self, face: &Face) -> Option<String> {
        let (top, id) = face.exchange.with(|truth| {
            let one = truth.market().instrument(self.instrument).ok()?;
            Some((one.top()?, truth.published()))
        })?;
        if top == self.top {
            return None;
        }
        self.top = top;
        let d = self.decimals;
        let price = |level: Level| eight(d.price_decimal(level.price));
        let qty = |level: Level| eight(d.qty_decimal(level.qty));
        let data = json!({
            "u": id, "s": self.symbol, "b": price(top.bid), "B": qty(top.bid),
            "a": price(top.ask), "A": qty(top.ask),
        });
        Some(self.wrapped("bookTicker", data))
    }

    fn public_trade(&self, face: &Face, published: &Published, trade: &Trade) -> String {
        let at = face.stamp_ms(published.at);
        let id = match trade.trade_id {
            0 => published.number,
            id => id,
        };
        let data = json!({
            "e": "trade", "E": at, "s": self.symbol, "t": id,
            "p": eight(self.decimals.price_decimal(trade.price)),
            "q": eight(self.decimals.qty_decimal(trade.qty)),
            "T": trade.venue_time_ns.max(published.at.0) / NS_PER_MS,
            "m": trade.aggressor() == Aggressor::Seller, "M": true,
        });
        self.wrapped("trade", data)
    }
}

/// The answer to a client's command; subscriptions begin with it.
fn command(face: &Face, subscribed: &mut Vec<Subscribed>, text: &str) -> String {
    let Ok(command) = serde_json::from_str::<Command>(text) else {
        return json!({"error": {"code": 3, "msg": "Invalid JSON"}, "id": null}).to_string();
    };
    let on = match command.method.as_str() {
        "SUBSCRIBE" => true,
        "UNSUBSCRIBE" => false,
        _ => {
            return json!({"error": {"code": 2, "msg": "Invalid request"}, "id": command.id})
                .to_string();
        }
    };
    for stream in &command.params {
        let Some((name, kind)) = stream.split_once('@') else {
            continue;
        };
        let known = |one: &Subscribed| one.symbol.to_lowercase() == name;
        let place = subscribed.iter().position(known).or_else(|| {
            let one = subscribe(face, name)?;
            subscribed.push(one);
            Some(subscribed.len() - 1)
        });
        // An unknown symbol is silent, as there.
        let Some(one) = place.and_then(|place| subscribed.get_mut(place)) else {
            continue;
        };
        match kind {
            "depth" | "depth@100ms" => one.depth = on,
            "bookTicker" => one.ticker = on,
            "trade" => one.trade = on,
            _ => {}
        }
    }
    json!({"result": null, "id": command.id}).to_string()
}

fn subscribe(face: &Face, name: &str) -> Option<Subscribed> {
    face.exchange.with(|truth| {
        let mut all = truth.instruments(VENUE);
        let one = all.find(|one| one.definition.symbol.to_lowercase() == name)?;
        let side = |side| -> SideLevels {
            let all = levels(one, side, LEVELS).into_iter();
            all.map(|level| (level.price.0, level.qty.0)).collect()
        };
        Some(Subscribed {
            instrument: one.id(),
            symbol: one.definition.symbol.clone(),
            decimals: one.decimals(),
            depth: false,
            ticker: false,
            trade: false,
            sides: [side(Side::Buy), side(Side::Sell)],
            last_id: truth.published(),
            top: Top::default(),
            is_dirty: false,
        })
    })
}

/// What something published leads to at once; books follow with the timer.
fn on_published(face: &Face, subscribed: &mut [Subscribed], published: &Published) -> Vec<String> {
    let What::Market(kind, payload) = &published.what else {
        return Vec::new();
    };
    // A copy of its own is aligned.
    let payload = payload.clone();
    let (instrument, trade) = match Event::decode(kind.number(), &payload) {
        Ok(Event::Trade(trade)) => (trade.instrument, Some(*trade)),
        Ok(Event::Quote(quote)) => (quote.instrument, None),
        Ok(Event::BookDelta(book) | Event::BookSnapshot(book)) => (book.header.instrument, None),
        Ok(Event::FeedState(state)) => (state.instrument, None),
        _ => return Vec::new(),
    };
    let Some(one) = subscribed
        .iter_mut()
        .find(|one| one.instrument == instrument)
    else {
        return Vec::new();
    };
    if let Some(trade) = trade {
        let told = one.trade.then(|| one.public_trade(face, published, &trade));
        return told.into_iter().collect();
    }
    one.is_dirty = true;
    let told = one.ticker.then(|| one.best(face)).flatten();
    told.into_iter().collect()
}

async fn serve(face: Arc<Face>, socket: WebSocket) {
    let mut published = face.exchange.subscribe();
    let (mut socket, mut client) = Socket::new(Arc::clone(&face.exchange), VENUE, socket);
    let mut subscribed: Vec<Subscribed> = Vec::new();
    let pace = Duration::from_millis(100) / face.exchange.clock().speed.clamp(1, 20);
    let mut timer = tokio::time::interval(pace);
    loop {
        let mut texts = Vec::new();
        tokio::select! {
            message = client.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let answer = command(&face, &mut subscribed, &text);
                    if socket.control(Message::Text(answer.into())).await.is_err() {
                        return;
                    }
                    for one in subscribed.iter_mut().filter(|one| one.ticker) {
                        texts.extend(one.best(&face));
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            // One that fell behind is cut off, as a slow client is.
            next = published.recv() => match next {
                Ok(published) => texts = on_published(&face, &mut subscribed, &published),
                Err(_) => return,
            },
            _ = timer.tick() => {
                for one in subscribed.iter_mut().filter(|one| one.depth && one.is_dirty) {
                    texts.extend(one.diff(&face));
                }
            }
        }
        for text in texts {
            if socket.text(text).await.is_err() {
                return;
            }
        }
    }
}
