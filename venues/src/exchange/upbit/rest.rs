//! REST: the quotation API's books and grids, the exchange API's orders and accounts.
use super::wire::{
    amounts, balances, fill_uuid, fills, kst, number, order_id, order_type, order_uuid, state,
    time_in_force,
};
use super::{Face, Refusal, VENUE};
use crate::exchange::{ClientIds, NewVenueOrder, PlaceError, Truth, VenueOrder};
use crate::upbit::{currencies, minimum_total};
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use onetape_engine::event::{Level, Liquidity, TradingStatus};
use onetape_engine::market::Instrument;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::sync::Arc;

type Shared = State<Arc<Face>>;

/// Levels a side of a book.
pub(super) const LEVELS: usize = 30;

/// An answer and the budget that is left.
pub(super) struct Answer(u16, &'static str, String);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = axum::http::StatusCode::from_u16(self.0).unwrap_or_default();
        let left = format!("group={}; min=1800; sec=29", self.1);
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("remaining-req", left),
        ];
        (status, headers, self.2).into_response()
    }
}

type Answered = Result<Answer, Refusal>;

/// The values of a parameter, `name[]` included; values need no decoding.
fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let named = move |key: &str| key.strip_suffix("[]").unwrap_or(key) == name;
    pairs
        .filter(move |(key, _)| named(key))
        .map(|(_, value)| value)
}

fn value<'a>(query: &'a str, name: &'a str) -> Option<&'a str> {
    values(query, name).next()
}

pub(super) async fn accounts(State(face): Shared, headers: HeaderMap) -> Answered {
    face.authorize(&headers, "")?;
    let now = face.exchange.now();
    let rows: Vec<Value> = face.exchange.with(|truth| {
        let rows = balances(truth, &[], now).into_iter();
        rows.map(|(currency, free, locked)| {
            json!({
                "currency": currency, "balance": free.normalize().to_string(),
                "locked": locked.normalize().to_string(), "avg_buy_price": "0",
                "avg_buy_price_modified": false, "unit_currency": "KRW",
            })
        })
        .collect()
    });
    Ok(Answer(200, "default", Value::from(rows).to_string()))
}

/// An order as REST tells it.
fn order_json(truth: &Truth, order: &VenueOrder, with_trades: bool, now: Nanos) -> Option<Value> {
    let one = truth.market().instrument(order.new.instrument).ok()?;
    let d = one.decimals();
    let amounts = amounts(order, one, now);
    let text = |value: Decimal| value.normalize().to_string();
    let side = |side: Side| match side {
        Side::Buy => "bid",
        Side::Sell => "ask",
    };
    let all: Vec<Value> = fills(truth, order)
        .map(|fill| {
            let (price, volume) = (d.price_decimal(fill.price), d.qty_decimal(fill.qty));
            json!({
                "market": one.definition.symbol, "uuid": fill_uuid(fill.id), "price": text(price),
                "volume": text(volume), "funds": text(price * volume), "side": side(fill.side),
                "created_at": kst(fill.at),
            })
        })
        .collect();
    let mut json = json!({
        "uuid": order_uuid(order.id), "side": side(order.new.side), "ord_type": order_type(order),
        "price": amounts.price.map(text), "state": state(order), "market": one.definition.symbol,
        "created_at": kst(order.placed_at), "volume": amounts.volume.map(text),
        "remaining_volume": amounts.remaining.map(text), "prevented_volume": "0",
        "reserved_fee": text(amounts.reserved_fee), "remaining_fee": text(amounts.reserved_fee),
        "paid_fee": text(amounts.paid_fee), "locked": text(amounts.locked), "prevented_locked": "0",
        "executed_volume": text(amounts.executed), "trades_count": all.len(),
        "identifier": order.new.client_id, "time_in_force": time_in_force(order),
    });
    if with_trades {
        json["trades"] = Value::from(all);
    }
    Some(json)
}

impl From<PlaceError> for Refusal {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Duplicate(_) => Refusal(400, "duplicated_identifier"),
            PlaceError::UnknownInstrument => Refusal(404, "market_does_not_exist"),
            PlaceError::MarketNotOpen => Refusal(400, "market_offline"),
            PlaceError::Rules("quantity is off the lot") => Refusal(400, "invalid_volume"),
            PlaceError::Rules(_) => Refusal(400, "invalid_price"),
            PlaceError::TooSmall => Refusal(400, "under_min_total_bid"),
            PlaceError::InsufficientBalance => Refusal(400, "insufficient_funds_bid"),
            PlaceError::WouldTake => Refusal(400, "invalid_post_only"),
            PlaceError::OutOfRange => Refusal(400, "validation_error"),
        }
    }
}

/// How many units an amount of money buys from the book as it stands.
fn units_for(one: &Instrument, money: Decimal) -> Option<Qty> {
    let d = one.decimals();
    let (mut left, mut units) = (money, Decimal::ZERO);
    for level in levels(one, Side::Sell) {
        let (price, there) = (d.price_decimal(level.price), d.qty_decimal(level.qty));
        let bought = there.min(left.checked_div(price)?);
        units += bought;
        left -= bought * price;
    }
    d.qty_from(units.trunc_with_scale(d.qty.into())).ok()
}

pub(super) async fn place(State(face): Shared, headers: HeaderMap, body: String) -> Answered {
    const BAD: Refusal = Refusal(400, "validation_error");
    // The query that is hashed: the body's fields in their order.
    let fields: Fields = serde_json::from_str(&body).map_err(|_| BAD)?;
    let query = fields
        .0
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    face.authorize(&headers, &query.collect::<Vec<_>>().join("&"))?;
    let text = |name: &str| {
        let mut named = fields.0.iter().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.as_str())
    };
    let now = face.exchange.now();
    let body = face.exchange.with(|truth| {
        let one = truth.symbol(VENUE, text("market").ok_or(BAD)?);
        let one = one.ok_or(Refusal(404, "market_does_not_exist"))?.clone();
        let d = one.decimals();
        let side = match text("side") {
            Some("bid") => Side::Buy,
            Some("ask") => Side::Sell,
            _ => return Err(BAD),
        };
        let volume = || {
            let read = d.parse_qty(text("volume").ok_or(BAD)?);
            read.map_err(|_| Refusal(400, "invalid_volume"))
        };
        let price = || {
            let read = d.parse_price(text("price").ok_or(BAD)?);
            read.map_err(|_| Refusal(400, "invalid_price"))
        };
        let for_money = || {
            let money = Decimal::from_str_exact(text("price").ok_or(BAD)?).map_err(|_| BAD)?;
            units_for(&one, money).ok_or(BAD)
        };
        let best = || {
            let far = one.top().and_then(|top| top.side(side.opposite()));
            far.map(|level| level.price)
                .ok_or(Refusal(400, "market_offline"))
        };
        let now_or_never = TimeInForce::ImmediateOrCancel;
        let (order_type, time_in_force, price, qty) =
            match (text("ord_type"), text("time_in_force"), side) {
                (Some("limit"), None, _) => (
                    OrderType::Limit,
                    TimeInForce::GoodTillCancel,
                    price()?,
                    volume()?,
                ),
                (Some("limit"), Some("ioc"), _) => {
                    (OrderType::Limit, now_or_never, price()?, volume()?)
                }
                (Some("limit"), Some("post_only"), _) => {
                    (OrderType::Limit, TimeInForce::PostOnly, price()?, volume()?)
                }
                (Some("price"), None, Side::Buy) => {
                    (OrderType::Market, now_or_never, Price(0), for_money()?)
                }
                (Some("market"), None, Side::Sell) => {
                    (OrderType::Market, now_or_never, Price(0), volume()?)
                }
                (Some("best"), Some("ioc"), Side::Buy) => {
                    (OrderType::Limit, now_or_never, best()?, for_money()?)
                }
                (Some("best"), Some("ioc"), Side::Sell) => {
                    (OrderType::Limit, now_or_never, best()?, volume()?)
                }
                _ => return Err(BAD),
            };
        let new = NewVenueOrder {
            client_id: text("identifier").ok_or(BAD)?.to_owned(),
            instrument: one.id(),
            side,
            order_type,
            time_in_force,
            price,
            qty,
        };
        let order = truth
            .place(VENUE, new, ClientIds::UsedOnce, now)
            .map_err(|error| match (error, side) {
                (PlaceError::InsufficientBalance, Side::Sell) => {
                    Refusal(400, "insufficient_funds_ask")
                }
                (PlaceError::TooSmall, Side::Sell) => Refusal(400, "under_min_total_ask"),
                (error, _) => error.into(),
            })?;
        // The answer is the order as it came in; what became of it is asked for or told on the socket.
        let mut json = order_json(truth, &order, false, now).ok_or(BAD)?;
        json["trades"] = json!([]);
        Ok(json.to_string())
    })?;
    Ok(Answer(201, "order", body))
}

/// The fields of a flat JSON object in their order.
struct Fields(Vec<(String, String)>);

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Fields;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

fn named<'a>(truth: &'a Truth, query: &str) -> Option<&'a VenueOrder> {
    let order = match value(query, "uuid") {
        Some(uuid) => truth.order(order_id(uuid)?),
        None => truth.client_order(VENUE, value(query, "identifier")?),
    };
    let is_ours = |order: &&VenueOrder| {
        let one = truth.market().instrument(order.new.instrument);
        one.is_ok_and(|one| one.definition.venue == VENUE)
    };
    order.filter(is_ours)
}

const NOT_FOUND: Refusal = Refusal(404, "order_not_found");

pub(super) async fn order(
    State(face): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answered {
    let query = query.unwrap_or_default();
    face.authorize(&headers, &query)?;
    let now = face.exchange.now();
    let json = face.exchange.with(|truth| {
        let order = named(truth, &query)?;
        order_json(truth, order, true, now)
    });
    Ok(Answer(200, "default", json.ok_or(NOT_FOUND)?.to_string()))
}

pub(super) async fn cancel(
    State(face): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answered {
    let query = query.unwrap_or_default();
    face.authorize(&headers, &query)?;
    let now = face.exchange.now();
    let json = face.exchange.with(|truth| {
        let before = named(truth, &query)
            .filter(|order| order.is_open())?
            .clone();
        // As it was: the end is told on the socket.
        let json = order_json(truth, &before, false, now);
        truth.cancel(before.id, now);
        json
    });
    Ok(Answer(200, "default", json.ok_or(NOT_FOUND)?.to_string()))
}

pub(super) async fn open_orders(
    State(face): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answered {
    let query = query.unwrap_or_default();
    face.authorize(&headers, &query)?;
    let number = |name: &str| value(&query, name).and_then(|text| text.parse::<usize>().ok());
    let limit = number("limit").unwrap_or(100).clamp(1, 100);
    let skip = (number("page").unwrap_or(1).max(1) - 1).saturating_mul(limit);
    let now = face.exchange.now();
    let rows: Vec<Value> = face.exchange.with(|truth| {
        let orders = truth.open_orders(VENUE).skip(skip).take(limit);
        orders
            .filter_map(|order| order_json(truth, order, false, now))
            .collect()
    });
    Ok(Answer(200, "default", Value::from(rows).to_string()))
}

pub(super) async fn closed_orders(
    State(face): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answered {
    const NS_PER_MS: u64 = 1_000_000;
    let query = query.unwrap_or_default();
    face.authorize(&headers, &query)?;
    let number = |name: &str| value(&query, name).and_then(|text| text.parse::<u64>().ok());
    let from = number("start_time").unwrap_or(0);
    let to = number("end_time").unwrap_or(u64::MAX);
    let limit = number("limit").unwrap_or(100).clamp(1, 1000);
    let states: Vec<&str> = values(&query, "states").collect();
    let now = face.exchange.now();
    let rows: Vec<Value> = face.exchange.with(|truth| {
        let wanted = |order: &&VenueOrder| {
            let at = order.placed_at.0 / NS_PER_MS;
            !order.is_open() && (from..=to).contains(&at) && states.contains(&state(order))
        };
        let orders = truth.orders(VENUE).filter(wanted).take(limit as usize);
        orders
            .filter_map(|order| order_json(truth, order, false, now))
            .collect()
    });
    Ok(Answer(200, "default", Value::from(rows).to_string()))
}

pub(super) async fn chance(
    State(face): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answered {
    let query = query.unwrap_or_default();
    face.authorize(&headers, &query)?;
    let now = face.exchange.now();
    let json = face.exchange.with(|truth| {
        let one = truth.symbol(VENUE, value(&query, "market")?)?;
        let definition = &one.definition;
        let rate = |liquidity| {
            let fees = one.fees_at(now);
            let rate = fees.map_or(Decimal::ZERO, |fees| fees.formula(liquidity).rate());
            rate.normalize().to_string()
        };
        let (maker, taker) = (rate(Liquidity::Maker), rate(Liquidity::Taker));
        let minimum = one
            .rules_at(now)
            .and_then(|rules| rules.min_notional.to_decimal().ok())
            .map(|money| money.normalize().to_string())
            .or_else(|| minimum_total(&definition.quote).map(str::to_owned));
        let state = match one.status {
            TradingStatus::Open => "active",
            TradingStatus::Halted => "preview",
            TradingStatus::Closed => "delisted",
        };
        Some(json!({
            "bid_fee": taker, "ask_fee": taker, "maker_bid_fee": maker, "maker_ask_fee": maker,
            "market": {
                "id": definition.symbol, "name": definition.symbol, "order_types": ["limit"],
                "order_sides": ["ask", "bid"], "bid": {"currency": definition.quote, "min_total": minimum},
                "ask": {"currency": definition.base, "min_total": minimum}, "max_total": "1000000000", "state": state,
            },
        }))
    });
    let json = json.ok_or(Refusal(404, "market_does_not_exist"))?;
    Ok(Answer(200, "default", json.to_string()))
}

/// The levels of a side: the book's while it is live, otherwise the best of the quotes.
pub(super) fn levels(one: &Instrument, side: Side) -> Vec<Level> {
    match one.book() {
        Some(book) => book.side(side).levels().take(LEVELS).collect(),
        None => {
            let best = one.quote().and_then(|top| top.side(side));
            best.into_iter().collect()
        }
    }
}

/// What REST and the socket have in common of a book: everything from the timestamp on.
pub(super) fn book_json(one: &Instrument, at: Nanos) -> String {
    let d = one.decimals();
    let (bids, asks) = (levels(one, Side::Buy), levels(one, Side::Sell));
    let total = |side: &[Level]| number(side.iter().map(|level| d.qty_decimal(level.qty)).sum());
    let price = |level: Option<&Level>| match level {
        Some(level) => number(d.price_decimal(level.price)),
        None => "0".to_owned(),
    };
    let size = |level: Option<&Level>| match level {
        Some(level) => number(d.qty_decimal(level.qty)),
        None => "0.0".to_owned(),
    };
    let units: Vec<String> = (0..bids.len().max(asks.len()))
        .map(|place| {
            let (bid, ask) = (bids.get(place), asks.get(place));
            format!(
                r#"{{"ask_price":{},"bid_price":{},"ask_size":{},"bid_size":{}}}"#,
                price(ask),
                price(bid),
                size(ask),
                size(bid)
            )
        })
        .collect();
    format!(
        r#""timestamp":{},"total_ask_size":{},"total_bid_size":{},"orderbook_units":[{}],"level":0"#,
        at.0 / 1_000_000,
        total(&asks),
        total(&bids),
        units.join(",")
    )
}

fn markets<'a>(truth: &'a Truth, query: &str) -> Vec<&'a Instrument> {
    let codes = value(query, "markets").unwrap_or_default().split(',');
    codes.filter_map(|code| truth.symbol(VENUE, code)).collect()
}

pub(super) async fn orderbook(State(face): Shared, RawQuery(query): RawQuery) -> Answered {
    let query = query.unwrap_or_default();
    let now = face.exchange.now();
    let books = face.exchange.with(|truth| {
        let books = markets(truth, &query).into_iter().map(|one| {
            let at = one.top_received_at().max(Nanos(1));
            let symbol = &one.definition.symbol;
            format!(r#"{{"market":"{symbol}",{}}}"#, book_json(one, at.min(now)))
        });
        books.collect::<Vec<_>>().join(",")
    });
    Ok(Answer(200, "orderbook", format!("[{books}]")))
}

pub(super) async fn instruments(State(face): Shared, RawQuery(query): RawQuery) -> Answered {
    let query = query.unwrap_or_default();
    let now = face.exchange.now();
    let rows: Vec<Value> = face.exchange.with(|truth| {
        let rows = markets(truth, &query).into_iter().map(|one| {
            let symbol = &one.definition.symbol;
            let quote = currencies(symbol).map_or("", |(_, quote)| quote);
            let best = one.top().and_then(|top| top.side(Side::Buy));
            let tick = one.rules_at(now).map(|rules| {
                let at = best.map_or(rules.min_price, |level| level.price);
                one.decimals().price_decimal(rules.tick_at(at)).normalize()
            });
            let tick = tick.unwrap_or_default().to_string();
            json!({"market": symbol, "quote_currency": quote, "tick_size": tick, "supported_levels": ["0"]})
        });
        rows.collect()
    });
    Ok(Answer(200, "orderbook", Value::from(rows).to_string()))
}
