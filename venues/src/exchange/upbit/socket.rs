//! The public and the private socket.
use super::rest::book_json;
use super::wire::{
    amounts, balances, fill_uuid, number, order_type, order_uuid, side, state, time_in_force,
};
use super::{Face, VENUE};
use crate::exchange::{Published, Socket, VenueFill, What};
use axum::extract::ws::{Message, WebSocket};
use axum::extract::{State, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use onetape_engine::event::{Aggressor, Event, Liquidity, Trade, TradingStatus};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Instrument;
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const NS_PER_MS: u64 = 1_000_000;
const REFUSED: &str = r#"{"error":{"name":"WRONG_FORMAT","message":"wrong format"}}"#;
const NO_TICKET: &str = r#"{"error":{"name":"NO_TICKET","message":"no ticket"}}"#;

pub(super) async fn public(State(face): State<Arc<Face>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| serve(face, socket, false))
}

pub(super) async fn private(
    State(face): State<Arc<Face>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    match face.authorize(&headers, "") {
        Ok(()) => upgrade.on_upgrade(move |socket| serve(face, socket, true)),
        Err(refusal) => refusal.into_response(),
    }
}

/// What a client subscribed to. A new subscription replaces all of it.
#[derive(Default)]
struct Subscription {
    books: BTreeMap<InstrumentId, IsDirty>,
    trades: Vec<InstrumentId>,
    tickers: Vec<InstrumentId>,
    orders: bool,
    assets: bool,
}

type IsDirty = bool;

/// Reads a subscription: an array with a ticket, types with their codes, and a format. Unknown codes are ignored.
fn subscribe(face: &Face, text: &str, is_private: bool) -> Result<Subscription, &'static str> {
    let parts: Vec<Value> = serde_json::from_str(text).map_err(|_| REFUSED)?;
    if !parts.iter().any(|part| part["ticket"].is_string()) {
        return Err(NO_TICKET);
    }
    let mut all = Subscription::default();
    for part in parts {
        let codes = part["codes"].as_array().cloned().unwrap_or_default();
        let ids: Vec<InstrumentId> = face.exchange.with(|truth| {
            let codes = codes.iter().filter_map(Value::as_str);
            codes
                .filter_map(|code| truth.symbol(VENUE, code))
                .map(Instrument::id)
                .collect()
        });
        match (part["type"].as_str(), is_private) {
            (Some("orderbook"), false) => {
                all.books = ids.into_iter().map(|id| (id, true)).collect()
            }
            (Some("trade"), false) => all.trades = ids,
            (Some("ticker"), false) => all.tickers = ids,
            (Some("myOrder"), true) => all.orders = true,
            (Some("myAsset"), true) if codes.is_empty() => all.assets = true,
            (Some(_), _) => return Err(REFUSED),
            (None, _) => {}
        }
    }
    Ok(all)
}

fn book(face: &Face, id: InstrumentId, kind: &str) -> Option<String> {
    let now = face.exchange.now();
    face.exchange.with(|truth| {
        let one = truth.market().instrument(id).ok()?;
        let at = match kind {
            "SNAPSHOT" => one.top_received_at().min(now),
            _ => now,
        };
        Some(format!(
            r#"{{"type":"orderbook","code":"{}",{},"stream_type":"{kind}"}}"#,
            one.definition.symbol,
            book_json(one, at)
        ))
    })
}

fn ticker(face: &Face, id: InstrumentId, kind: &str) -> Option<String> {
    let now = face.exchange.now();
    face.exchange.with(|truth| {
        let one = truth.market().instrument(id).ok()?;
        let last = one.last_trade.unwrap_or_default();
        let (market, suspended) = match one.status {
            TradingStatus::Open => ("ACTIVE", false),
            TradingStatus::Halted => ("ACTIVE", true),
            TradingStatus::Closed => ("DELISTED", true),
        };
        Some(format!(
            r#"{{"type":"ticker","code":"{}","trade_price":{},"trade_timestamp":{ms},"timestamp":{ms},"market_state":"{market}","is_trading_suspended":{suspended},"delisting_date":null,"stream_type":"{kind}"}}"#,
            one.definition.symbol,
            number(one.decimals().price_decimal(last)),
            ms = now.0 / NS_PER_MS
        ))
    })
}

fn trade(face: &Face, published: &Published, trade: &Trade) -> Option<String> {
    face.exchange.with(|truth| {
        let one = truth.market().instrument(trade.instrument).ok()?;
        let d = one.decimals();
        let taker = match trade.aggressor() {
            Aggressor::Seller => "ASK",
            Aggressor::Buyer | Aggressor::Unknown => "BID",
        };
        let id = match trade.trade_id {
            0 => published.number,
            id => id,
        };
        Some(format!(
            r#"{{"type":"trade","code":"{}","timestamp":{ms},"trade_timestamp":{ms},"trade_price":{},"trade_volume":{},"ask_bid":"{taker}","sequential_id":{id},"stream_type":"REALTIME"}}"#,
            one.definition.symbol,
            number(d.price_decimal(trade.price)),
            number(d.qty_decimal(trade.qty)),
            ms = published.at.0 / NS_PER_MS
        ))
    })
}

/// What something published leads to at once; books follow with the timer.
fn on_market(face: &Face, all: &mut Subscription, published: &Published) -> Vec<String> {
    let What::Market(kind, payload) = &published.what else {
        return Vec::new();
    };
    // A copy of its own is aligned.
    let payload = payload.clone();
    let mut frames = Vec::new();
    let changed = match Event::decode(kind.number(), &payload) {
        Ok(Event::Trade(public)) => {
            if all.trades.contains(&public.instrument) {
                frames.extend(trade(face, published, public));
            }
            if all.tickers.contains(&public.instrument) {
                frames.extend(ticker(face, public.instrument, "REALTIME"));
            }
            return frames;
        }
        Ok(Event::MarketStatus(market)) => {
            if all.tickers.contains(&market.instrument) {
                frames.extend(ticker(face, market.instrument, "REALTIME"));
            }
            return frames;
        }
        Ok(Event::Quote(quote)) => quote.instrument,
        Ok(Event::BookDelta(book) | Event::BookSnapshot(book)) => book.header.instrument,
        Ok(Event::FeedState(state)) => state.instrument,
        _ => return frames,
    };
    if let Some(is_dirty) = all.books.get_mut(&changed) {
        *is_dirty = true;
    }
    frames
}

/// A number or null.
fn or_null(value: Option<Decimal>) -> String {
    value.map_or_else(|| "null".to_owned(), number)
}

/// The frames of an order of ours; a fill is told with the order's state that follows it, then once more how it ended.
fn on_account(
    face: &Face,
    all: &Subscription,
    pending: &mut Option<VenueFill>,
    published: &Published,
) -> Vec<String> {
    let order = match &published.what {
        What::Fill(fill) => {
            *pending = Some(fill.clone());
            return Vec::new();
        }
        What::Order(order) => order,
        What::Market(..) | What::Reversed(_) => return Vec::new(),
    };
    let fill = pending.take().filter(|fill| fill.order == order.id);
    let now = face.exchange.now();
    face.exchange.with(|truth| {
        let mut frames = Vec::new();
        let Ok(one) = truth.market().instrument(order.new.instrument) else {
            return frames;
        };
        if one.definition.venue != VENUE {
            return frames;
        }
        let d = one.decimals();
        let amounts = amounts(order, one, now);
        let frame = |fill: Option<&VenueFill>| {
            let (price, volume) = match fill {
                Some(fill) => (Some(d.price_decimal(fill.price)), Some(d.qty_decimal(fill.qty))),
                None => (amounts.price, amounts.volume),
            };
            let quoted = |text: Option<String>| {
                text.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""))
            };
            let stamp = |at: Option<Nanos>| {
                at.map_or_else(|| "null".to_owned(), |at| (at.0 / NS_PER_MS).to_string())
            };
            let fee = fill.and_then(|fill| fill.fee.to_decimal().ok());
            format!(
                r#"{{"type":"myOrder","code":"{}","uuid":"{}","ask_bid":"{}","order_type":"{}","state":"{}","trade_uuid":{},"price":{},"avg_price":0,"volume":{},"remaining_volume":{},"executed_volume":{},"trades_count":0,"reserved_fee":{},"remaining_fee":{},"paid_fee":{},"locked":{},"executed_funds":{},"time_in_force":{},"trade_fee":{},"is_maker":{},"identifier":"{}","trade_timestamp":{},"order_timestamp":{},"timestamp":{},"stream_type":"REALTIME"}}"#,
                one.definition.symbol,
                order_uuid(order.id),
                side(order.new.side),
                order_type(order),
                if fill.is_some() { "trade" } else { state(order) },
                quoted(fill.map(|fill| fill_uuid(fill.id))),
                or_null(price),
                or_null(volume),
                or_null(amounts.remaining),
                number(amounts.executed),
                number(amounts.reserved_fee),
                number(amounts.reserved_fee),
                number(amounts.paid_fee),
                number(amounts.locked),
                number(amounts.funds),
                quoted(time_in_force(order).map(str::to_owned)),
                or_null(fee),
                fill.map_or_else(
                    || "null".to_owned(),
                    |fill| (fill.liquidity == Liquidity::Maker).to_string()
                ),
                order.new.client_id,
                stamp(fill.map(|fill| fill.at)),
                stamp(Some(order.placed_at)),
                stamp(Some(published.at)),
            )
        };
        if all.orders {
            frames.extend(fill.as_ref().map(|fill| frame(Some(fill))));
            if fill.is_none() || !order.is_open() {
                frames.push(frame(None));
            }
        }
        if all.assets {
            let of = [one.definition.base.as_str(), one.definition.quote.as_str()];
            let rows = balances(truth, &of, now).into_iter().map(|(currency, free, locked)| {
                format!(
                    r#"{{"currency":"{currency}","balance":{},"locked":{}}}"#,
                    number(free),
                    number(locked)
                )
            });
            frames.push(format!(
                r#"{{"type":"myAsset","asset_uuid":"1","assets":[{}],"asset_timestamp":{ms},"timestamp":{ms},"stream_type":"REALTIME"}}"#,
                rows.collect::<Vec<_>>().join(","),
                ms = published.at.0 / NS_PER_MS
            ));
        }
        frames
    })
}

async fn serve(face: Arc<Face>, socket: WebSocket, is_private: bool) {
    let mut published = face.exchange.subscribe();
    let (mut socket, mut client) = Socket::new(Arc::clone(&face.exchange), VENUE, socket);
    let mut all = Subscription::default();
    let mut pending = None;
    let pace = Duration::from_millis(100) / face.exchange.clock().speed.clamp(1, 20);
    let mut timer = tokio::time::interval(pace);
    loop {
        let mut frames = Vec::new();
        tokio::select! {
            message = client.next() => {
                let text = match message {
                    Some(Ok(Message::Text(text))) => text.to_string(),
                    Some(Ok(Message::Binary(bytes))) => String::from_utf8_lossy(&bytes).into_owned(),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => continue,
                };
                let answer = if text == "PING" {
                    r#"{"status":"UP"}"#
                } else {
                    match subscribe(&face, &text, is_private) {
                        Ok(new) => {
                            all = new;
                            for (id, is_dirty) in &mut all.books {
                                *is_dirty = false;
                                frames.extend(book(&face, *id, "SNAPSHOT"));
                            }
                            for id in &all.tickers {
                                frames.extend(ticker(&face, *id, "SNAPSHOT"));
                            }
                            ""
                        }
                        Err(refused) => refused,
                    }
                };
                if !answer.is_empty() {
                    let answer = Message::Binary(answer.as_bytes().to_vec().into());
                    if socket.control(answer).await.is_err() {
                        return;
                    }
                }
                if answer == REFUSED || answer == NO_TICKET {
                    return;
                }
            }
            // One that fell behind is cut off, as a slow client is.
            next = published.recv() => {
                let Ok(next) = next else { return };
                frames = if is_private {
                    on_account(&face, &all, &mut pending, &next)
                } else {
                    on_market(&face, &mut all, &next)
                };
            }
            _ = timer.tick() => {
                for (id, is_dirty) in all.books.iter_mut().filter(|(_, is_dirty)| **is_dirty) {
                    *is_dirty = false;
                    frames.extend(book(&face, *id, "REALTIME"));
                }
            }
        }
        for frame in frames {
            if socket.binary(frame.into_bytes()).await.is_err() {
                return;
            }
        }
    }
}
