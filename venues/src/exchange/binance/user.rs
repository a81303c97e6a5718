//! The WS-API, as far as the user stream needs it: time, log-on, subscriptions, and the account's events.
use super::rest::{Refusal, cancel_id, check_time};
use super::{Face, VENUE, balances, commission, eight, order_type, side, status, time_in_force};
use crate::exchange::{Published, Socket, VenueFill, VenueOrder, What};
use axum::extract::ws::{Message, WebSocket};
use axum::extract::{State, WebSocketUpgrade};
use axum::response::Response;
use futures_util::StreamExt;
use onetape_engine::event::Liquidity;
use onetape_engine::order::OrderState;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The id of a connection's subscription.
const SUBSCRIPTION: u64 = 0;

pub(super) async fn upgrade(State(face): State<Arc<Face>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| serve(face, socket))
}

#[derive(Deserialize)]
struct Call {
    id: Value,
    method: String,
    #[serde(default)]
    params: Map<String, Value>,
}

#[derive(Default)]
struct Session {
    is_logged_on: bool,
    is_subscribed: bool,
}

/// The signature over the parameters sorted by name, without itself.
fn authorized(face: &Face, params: &Map<String, Value>) -> Result<(), Refusal> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if params.get("apiKey").map(text).as_deref() != Some(face.keys.signer.api_key()) {
        return Err(Refusal(
            401,
            -2015,
            "Invalid API-key, IP, or permissions for action.",
        ));
    }
    let mut names: Vec<&String> = params.keys().filter(|name| *name != "signature").collect();
    names.sort();
    let pairs = names
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", text(params.get(name)?))));
    let payload = pairs.collect::<Vec<_>>().join("&");
    let signature = params.get("signature").map(text);
    if signature != Some(face.keys.signer.sign(&payload)) {
        return Err(Refusal(
            400,
            -1022,
            "Signature for this request is not valid.",
        ));
    }
    check_time(face, |name| params.get(name).and_then(Value::as_u64))
}

fn answer(face: &Face, session: &mut Session, call: &Call) -> Result<Value, Refusal> {
    match call.method.as_str() {
        "ping" => Ok(json!({})),
        "time" => Ok(json!({"serverTime": face.now_ms()})),
        "session.logon" => {
            if !face.keys.signer.can_log_on() {
                return Err(Refusal(400, -4056, "HMAC_SHA256 API key is not supported."));
            }
            authorized(face, &call.params)?;
            session.is_logged_on = true;
            Ok(json!({"apiKey": face.keys.signer.api_key(), "serverTime": face.now_ms()}))
        }
        "userDataStream.subscribe.signature" => {
            authorized(face, &call.params)?;
            session.is_subscribed = true;
            Ok(json!({"subscriptionId": SUBSCRIPTION}))
        }
        "userDataStream.subscribe" if session.is_logged_on => {
            session.is_subscribed = true;
            Ok(json!({"subscriptionId": SUBSCRIPTION}))
        }
        "userDataStream.subscribe" => Err(Refusal(401, -2015, "Unauthorized session.")),
        "session.subscriptions" if session.is_subscribed => {
            Ok(json!([{"subscriptionId": SUBSCRIPTION}]))
        }
        "session.subscriptions" => Ok(json!([])),
        _ => Err(Refusal(400, -1020, "This operation is not supported.")),
    }
}

/// What is told of one thing that happened; a fill is told with the order's state that follows it.
fn events(face: &Face, pending: &mut Option<VenueFill>, published: &Published) -> Vec<Value> {
    let order = match &published.what {
        What::Fill(fill) => {
            *pending = Some(fill.clone());
            return Vec::new();
        }
        What::Order(order) => order,
        What::Market(..) | What::Reversed(_) => return Vec::new(),
    };
    let fill = pending.take().filter(|fill| fill.order == order.id);
    face.exchange.with(|truth| {
        let Ok(one) = truth.market().instrument(order.new.instrument) else {
            return Vec::new();
        };
        let definition = &one.definition;
        if definition.venue != VENUE {
            return Vec::new();
        }
        let at = face.stamp_ms(published.at);
        let mut told = vec![execution(face, order, fill.as_ref(), one, at)];
        let of = [definition.base.clone(), definition.quote.clone()];
        let changed: Vec<Value> = balances(truth, &of)
            .into_iter()
            .map(|(asset, free, locked)| json!({"a": asset, "f": eight(free), "l": eight(locked)}))
            .collect();
        told.push(json!({"e": "outboundAccountPosition", "E": at, "u": at, "B": changed}));
        told
    })
}

fn execution(
    face: &Face,
    order: &VenueOrder,
    fill: Option<&VenueFill>,
    one: &onetape_engine::market::Instrument,
    at: u64,
) -> Value {
    let d = one.decimals();
    let kind = match (fill, order.state) {
        (Some(_), _) => "TRADE",
        (None, OrderState::Cancelled) => "CANCELED",
        (None, OrderState::Expired) => "EXPIRED",
        _ => "NEW",
    };
    // On a cancel `c` is the cancel's own id and the order's moves to `C`.
    let (id, original) = if kind == "CANCELED" {
        (cancel_id(order), order.new.client_id.clone())
    } else {
        (order.new.client_id.clone(), String::new())
    };
    let (fee, asset) = match fill {
        Some(fill) => {
            let (amount, asset) = commission(fill, one);
            (amount.to_string(), json!(asset))
        }
        None => ("0".to_owned(), Value::Null),
    };
    let last = |of: fn(&VenueFill, onetape_engine::number::Decimals) -> Decimal| {
        eight(fill.map_or(Decimal::ZERO, |fill| of(fill, d)))
    };
    let mut event = json!({
        "e": "executionReport", "E": at, "s": one.definition.symbol, "c": id, "S": side(order.new.side),
        "o": order_type(order), "f": time_in_force(order), "q": eight(d.qty_decimal(order.new.qty)),
        "p": eight(d.price_decimal(order.new.price)), "P": "0.00000000", "F": "0.00000000", "g": -1, "C": original,
        "x": kind, "X": status(order.state), "r": "NONE", "i": order.id,
        "l": last(|fill, d| d.qty_decimal(fill.qty)), "z": eight(d.qty_decimal(order.filled)),
        "L": last(|fill, d| d.price_decimal(fill.price)), "n": fee, "N": asset, "T": at,
        "t": fill.map_or(json!(-1), |fill| json!(fill.id)), "I": order.id, "w": order.is_open(),
        "m": fill.is_some_and(|fill| fill.liquidity == Liquidity::Maker), "M": false,
        "O": face.stamp_ms(order.placed_at), "Z": eight(order.filled_notional.to_decimal().unwrap_or_default()),
        "Y": "0.00000000", "Q": "0.00000000", "W": face.stamp_ms(order.placed_at), "V": "NONE",
    });
    if kind == "EXPIRED" {
        event["eR"] = json!("ORDER_EXPIRED");
    }
    event
}

async fn serve(face: Arc<Face>, socket: WebSocket) {
    let mut published = face.exchange.subscribe();
    let (mut socket, mut client) = Socket::new(Arc::clone(&face.exchange), VENUE, socket);
    let mut session = Session::default();
    let mut pending = None;
    loop {
        tokio::select! {
            message = client.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let reply = match serde_json::from_str::<Call>(&text) {
                        Ok(call) => match answer(&face, &mut session, &call) {
                            Ok(result) => json!({"id": call.id, "status": 200, "result": result, "rateLimits": []}),
                            Err(Refusal(status, code, msg)) => {
                                json!({"id": call.id, "status": status, "error": {"code": code, "msg": msg}, "rateLimits": []})
                            }
                        },
                        Err(_) => json!({"id": null, "status": 400, "error": {"code": -1135, "msg": "Invalid JSON Request"}}),
                    };
                    if socket.control(Message::Text(reply.to_string().into())).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            // One that fell behind is cut off, as a slow client is.
            next = published.recv() => {
                let Ok(next) = next else { return };
                for event in events(&face, &mut pending, &next) {
                    let text = json!({"subscriptionId": SUBSCRIPTION, "event": event}).to_string();
                    if session.is_subscribed && socket.text(text).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
