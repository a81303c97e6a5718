//! REST: public data, orders and the account.
use super::{
    Face, NS_PER_MS, VENUE, balances, commission as fee_of, eight, levels, order_type, side,
    status, time_in_force,
};
use crate::binance::API_KEY_HEADER;
use crate::exchange::{ClientIds, NewVenueOrder, PlaceError, Truth, VenueFill, VenueOrder};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use onetape_engine::event::{Liquidity, TradingStatus};
use onetape_engine::market::Instrument;
use onetape_engine::number::Price;
use onetape_engine::order::{OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

type Shared = State<Arc<Face>>;
type Answer = Result<Json<Value>, Refusal>;
type Params = HashMap<String, String>;

/// An error of the venue: HTTP status, code, words.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) u16, pub(super) i64, pub(super) &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(json!({"code": self.1, "msg": self.2}))).into_response()
    }
}

const BAD_SYMBOL: Refusal = Refusal(400, -1121, "Invalid symbol.");
const BAD_PARAMETER: Refusal = Refusal(
    400,
    -1102,
    "A mandatory parameter was not sent, was empty/null, or malformed.",
);

impl From<PlaceError> for Refusal {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Duplicate(_) => Refusal(400, -2010, "Duplicate order sent."),
            PlaceError::UnknownInstrument => BAD_SYMBOL,
            PlaceError::MarketNotOpen => Refusal(400, -1013, "Market is closed."),
            PlaceError::Rules("quantity is off the lot") => {
                Refusal(400, -1013, "Filter failure: LOT_SIZE")
            }
            PlaceError::Rules(_) => Refusal(400, -1013, "Filter failure: PRICE_FILTER"),
            PlaceError::TooSmall => Refusal(400, -1013, "Filter failure: NOTIONAL"),
            PlaceError::InsufficientBalance => Refusal(
                400,
                -2010,
                "Account has insufficient balance for requested action.",
            ),
            PlaceError::WouldTake => Refusal(400, -2010, "Order would immediately match and take."),
            PlaceError::OutOfRange => Refusal(400, -1013, "Filter failure: MAX_POSITION"),
        }
    }
}

/// `%XX` as bytes; what is no such escape stays.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some(place) = rest.find('%') {
        let (before, escape) = rest.split_at(place);
        bytes.extend_from_slice(before.as_bytes());
        let byte = escape
            .get(1..3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(b'%'));
        let used = if byte.is_some() { 3 } else { 1 };
        rest = escape.get(used..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn params(raw: &str) -> Params {
    let pairs = raw.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect()
}

/// Parameters of a signed request: the key, the signature over exactly what came, and the time window.
fn authorized(face: &Face, headers: &HeaderMap, raw: &str) -> Result<Params, Refusal> {
    let key = headers
        .get(API_KEY_HEADER)
        .and_then(|key| key.to_str().ok());
    if key != Some(face.keys.signer.api_key()) {
        return Err(Refusal(
            401,
            -2015,
            "Invalid API-key, IP, or permissions for action.",
        ));
    }
    let (payload, signature) = raw.rsplit_once("&signature=").ok_or(BAD_PARAMETER)?;
    if decoded(signature) != face.keys.signer.sign(payload) {
        return Err(Refusal(
            400,
            -1022,
            "Signature for this request is not valid.",
        ));
    }
    let params = params(payload);
    check_time(face, |name| {
        params.get(name).and_then(|text| text.parse().ok())
    })?;
    Ok(params)
}

/// "Timing security": at most a second ahead of the venue's clock, at most recvWindow behind it.
pub(super) fn check_time(face: &Face, param: impl Fn(&str) -> Option<u64>) -> Result<(), Refusal> {
    let timestamp = param("timestamp").ok_or(BAD_PARAMETER)?;
    let window = param("recvWindow").unwrap_or(5000);
    if window > 60_000 {
        return Err(Refusal(400, -1131, "recvWindow must be less than 60000."));
    }
    let (now, speed) = (face.now_ms(), u64::from(face.exchange.clock().speed));
    if timestamp > now + 1000 * speed {
        return Err(Refusal(
            400,
            -1021,
            "Timestamp for this request was 1000ms ahead of the server's time.",
        ));
    }
    if now.saturating_sub(timestamp) > window * speed {
        return Err(Refusal(
            400,
            -1021,
            "Timestamp for this request is outside of the recvWindow.",
        ));
    }
    Ok(())
}

fn instrument<'a>(truth: &'a Truth, params: &Params) -> Result<&'a Instrument, Refusal> {
    let symbol = params.get("symbol").ok_or(BAD_PARAMETER)?;
    truth.symbol(VENUE, symbol).ok_or(BAD_SYMBOL)
}

/// One that is not delisted: of those the venue tells nothing.
fn listed<'a>(truth: &'a Truth, params: &Params) -> Result<&'a Instrument, Refusal> {
    let found = instrument(truth, params)?;
    let is_there = found.status != TradingStatus::Closed;
    is_there.then_some(found).ok_or(BAD_SYMBOL)
}

pub(super) async fn ping() -> Json<Value> {
    Json(json!({}))
}

pub(super) async fn time(State(face): Shared) -> Json<Value> {
    Json(json!({"serverTime": face.now_ms()}))
}

pub(super) async fn exchange_info(State(face): Shared, RawQuery(query): RawQuery) -> Answer {
    let params = params(&query.unwrap_or_default());
    let now = face.exchange.now();
    face.exchange.with(|truth| {
        let symbols: Vec<Value> = match params.get("symbol") {
            Some(_) => vec![symbol_info(listed(truth, &params)?, now)],
            None => truth
                .instruments(VENUE)
                .map(|one| symbol_info(one, now))
                .collect(),
        };
        Ok(Json(json!({
            "timezone": "UTC", "serverTime": face.stamp_ms(now), "rateLimits": [], "exchangeFilters": [],
            "symbols": symbols,
        })))
    })
}

fn symbol_info(one: &Instrument, now: Nanos) -> Value {
    let d = one.decimals();
    let definition = &one.definition;
    let mut filters = Vec::new();
    if let Some(rules) = one.rules_at(now) {
        // The venue's own maxima; prices up to i64 do not fit a wire of eight decimals.
        let most = d
            .price_decimal(rules.max_price)
            .min(Decimal::from(1_000_000_000));
        filters = vec![
            json!({"filterType": "PRICE_FILTER", "minPrice": eight(d.price_decimal(rules.min_price)),
                "maxPrice": eight(most), "tickSize": eight(d.price_decimal(rules.tick_size))}),
            json!({"filterType": "LOT_SIZE", "minQty": eight(d.qty_decimal(rules.min_qty)),
                "maxQty": "1000000000.00000000", "stepSize": eight(d.qty_decimal(rules.lot_size))}),
            json!({"filterType": "NOTIONAL", "minNotional": eight(rules.min_notional.to_decimal().unwrap_or_default()),
                "applyMinToMarket": true, "maxNotional": "9000000.00000000", "applyMaxToMarket": false, "avgPriceMins": 5}),
        ];
    }
    let status = match one.status {
        TradingStatus::Open => "TRADING",
        TradingStatus::Halted => "HALT",
        TradingStatus::Closed => "BREAK",
    };
    json!({
        "symbol": definition.symbol, "status": status,
        "baseAsset": definition.base, "baseAssetPrecision": 8,
        "quoteAsset": definition.quote, "quotePrecision": 8, "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS"], "isSpotTradingAllowed": true,
        "filters": filters, "permissions": [], "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE", "allowedSelfTradePreventionModes": ["NONE"],
    })
}

pub(super) async fn depth(State(face): Shared, RawQuery(query): RawQuery) -> Answer {
    let params = params(&query.unwrap_or_default());
    let limit = match params.get("limit") {
        Some(text) => text.parse().map_err(|_| BAD_PARAMETER)?,
        None => 100,
    };
    face.exchange.with(|truth| {
        let one = instrument(truth, &params)?;
        let d = one.decimals();
        let side = |side| -> Vec<[String; 2]> {
            let levels = levels(one, side, usize::min(limit, 5000)).into_iter();
            let text = |level: onetape_engine::event::Level| {
                [
                    eight(d.price_decimal(level.price)),
                    eight(d.qty_decimal(level.qty)),
                ]
            };
            levels.map(text).collect()
        };
        Ok(Json(json!({
            "lastUpdateId": truth.published(), "bids": side(Side::Buy), "asks": side(Side::Sell),
        })))
    })
}

/// An order in the form that answers to GET, DELETE and POST share.
fn order_json(face: &Face, order: &VenueOrder, one: &Instrument) -> Value {
    let d = one.decimals();
    let is_stop = order.new.order_type == OrderType::Stop;
    let price = eight(d.price_decimal(order.new.price));
    let zero = eight(Decimal::ZERO);
    let (price, stop) = if is_stop {
        (zero, price)
    } else {
        (price, zero)
    };
    json!({
        "symbol": one.definition.symbol, "orderId": order.id, "orderListId": -1,
        "clientOrderId": order.new.client_id, "price": price, "stopPrice": stop,
        "origQty": eight(d.qty_decimal(order.new.qty)), "executedQty": eight(d.qty_decimal(order.filled)),
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": eight(order.filled_notional.to_decimal().unwrap_or_default()),
        "status": status(order.state), "timeInForce": time_in_force(order), "type": order_type(order),
        "side": side(order.new.side), "time": face.stamp_ms(order.placed_at),
        "updateTime": face.stamp_ms(order.updated_at), "transactTime": face.stamp_ms(order.updated_at),
        "workingTime": face.stamp_ms(order.placed_at), "isWorking": true, "icebergQty": "0.00000000",
        "selfTradePreventionMode": "NONE",
    })
}

pub(super) async fn place(
    State(face): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: String,
) -> Answer {
    // "query string concatenated with the request body".
    let raw = query.unwrap_or_default() + &body;
    let params = authorized(&face, &headers, &raw)?;
    let now = face.exchange.now();
    face.exchange.with(|truth| {
        let one = instrument(truth, &params)?.clone();
        let d = one.decimals();
        let text = |name: &str| params.get(name).map(String::as_str);
        let qty = d.parse_qty(text("quantity").ok_or(BAD_PARAMETER)?);
        let price_of = |name: &str| match d.parse_price(text(name).ok_or(BAD_PARAMETER)?) {
            Ok(price) => Ok(price),
            Err(_) => Err(Refusal(400, -1013, "Filter failure: PRICE_FILTER")),
        };
        let (order_type, time_in_force, price) = match (text("type"), text("timeInForce")) {
            (Some("LIMIT"), Some("GTC")) => (
                OrderType::Limit,
                TimeInForce::GoodTillCancel,
                price_of("price")?,
            ),
            (Some("LIMIT"), Some("IOC")) => (
                OrderType::Limit,
                TimeInForce::ImmediateOrCancel,
                price_of("price")?,
            ),
            (Some("LIMIT_MAKER"), None) => {
                (OrderType::Limit, TimeInForce::PostOnly, price_of("price")?)
            }
            (Some("MARKET"), None) => (OrderType::Market, TimeInForce::ImmediateOrCancel, Price(0)),
            (Some("STOP_LOSS"), None) => (
                OrderType::Stop,
                TimeInForce::GoodTillCancel,
                price_of("stopPrice")?,
            ),
            _ => {
                return Err(Refusal(
                    400,
                    -1106,
                    "Parameter 'timeInForce' sent when not required, or order type not supported.",
                ));
            }
        };
        let new = NewVenueOrder {
            client_id: text("newClientOrderId").ok_or(BAD_PARAMETER)?.to_owned(),
            instrument: one.id(),
            side: match text("side") {
                Some("BUY") => Side::Buy,
                Some("SELL") => Side::Sell,
                _ => return Err(BAD_PARAMETER),
            },
            order_type,
            time_in_force,
            price,
            qty: qty.map_err(|_| Refusal(400, -1013, "Filter failure: LOT_SIZE"))?,
        };
        let order = truth.place(VENUE, new, ClientIds::UniqueWhileOpen, now)?;
        let mut answer = order_json(&face, &order, &one);
        if text("newOrderRespType") == Some("FULL") {
            let fills = truth.fills(VENUE).filter(|fill| fill.order == order.id);
            answer["fills"] = fills.map(|fill| fill_json(fill, &one)).collect();
        }
        Ok(Json(answer))
    })
}

fn fill_json(fill: &VenueFill, one: &Instrument) -> Value {
    let d = one.decimals();
    let (amount, asset) = fee_of(fill, one);
    json!({
        "price": eight(d.price_decimal(fill.price)), "qty": eight(d.qty_decimal(fill.qty)),
        "commission": amount.to_string(), "commissionAsset": asset, "tradeId": fill.id,
    })
}

/// The order that a request names, by the venue's id or ours.
fn named<'a>(truth: &'a Truth, params: &Params, one: &Instrument) -> Option<&'a VenueOrder> {
    let by_id = params.get("orderId").and_then(|id| id.parse().ok());
    let order = match by_id {
        Some(id) => truth.order(id),
        None => truth.client_order(VENUE, params.get("origClientOrderId")?),
    };
    order.filter(|order| order.new.instrument == one.id())
}

pub(super) async fn query(
    State(face): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = authorized(&face, &headers, &query.unwrap_or_default())?;
    face.exchange.with(|truth| {
        let one = instrument(truth, &params)?;
        let order = named(truth, &params, one);
        let order = order.ok_or(Refusal(400, -2013, "Order does not exist."))?;
        Ok(Json(order_json(&face, order, one)))
    })
}

pub(super) async fn cancel(
    State(face): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = authorized(&face, &headers, &query.unwrap_or_default())?;
    let now = face.exchange.now();
    face.exchange.with(|truth| {
        const UNKNOWN: Refusal = Refusal(400, -2011, "Unknown order sent.");
        let one = instrument(truth, &params)?.clone();
        let open = named(truth, &params, &one).filter(|order| order.is_open());
        let id = open.ok_or(UNKNOWN)?.id;
        let order = truth.cancel(id, now).ok_or(UNKNOWN)?;
        let mut answer = order_json(&face, &order, &one);
        answer["origClientOrderId"] = json!(order.new.client_id);
        answer["clientOrderId"] = json!(cancel_id(&order));
        Ok(Json(answer))
    })
}

/// The id that the venue gives to a cancel.
pub(super) fn cancel_id(order: &VenueOrder) -> String {
    format!("cancel-{}", order.id)
}

pub(super) async fn open_orders(
    State(face): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    authorized(&face, &headers, &query.unwrap_or_default())?;
    face.exchange.with(|truth| {
        let orders = truth.open_orders(VENUE).filter_map(|order| {
            let one = truth.market().instrument(order.new.instrument).ok()?;
            Some(order_json(&face, order, one))
        });
        Ok(Json(orders.collect()))
    })
}

pub(super) async fn my_trades(
    State(face): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = authorized(&face, &headers, &query.unwrap_or_default())?;
    let number = |name: &str| params.get(name).and_then(|text| text.parse::<u64>().ok());
    let limit = number("limit").unwrap_or(500).min(1000);
    face.exchange.with(|truth| {
        let one = listed(truth, &params)?;
        let d = one.decimals();
        let wanted = |fill: &&VenueFill| {
            fill.instrument == one.id()
                && number("orderId").is_none_or(|id| fill.order == id)
                && number("fromId").is_none_or(|id| fill.id >= id)
                && number("startTime").is_none_or(|ms| fill.at.0 / NS_PER_MS >= ms)
        };
        let rows = truth.fills(VENUE).filter(wanted).take(limit as usize);
        let row = |fill: &VenueFill| {
            let (amount, asset) = fee_of(fill, one);
            json!({
                "symbol": one.definition.symbol, "id": fill.id, "orderId": fill.order, "orderListId": -1,
                "price": eight(d.price_decimal(fill.price)), "qty": eight(d.qty_decimal(fill.qty)),
                "quoteQty": eight(d.price_decimal(fill.price) * d.qty_decimal(fill.qty)),
                "commission": amount.to_string(), "commissionAsset": asset, "time": face.stamp_ms(fill.at),
                "isBuyer": fill.side == Side::Buy, "isMaker": fill.liquidity == Liquidity::Maker, "isBestMatch": true,
            })
        };
        Ok(Json(rows.map(row).collect()))
    })
}

pub(super) async fn account(
    State(face): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    authorized(&face, &headers, &query.unwrap_or_default())?;
    face.exchange.with(|truth| {
        let balances: Vec<Value> = balances(truth, &[])
            .into_iter()
            .map(|(asset, free, locked)| {
                json!({"asset": asset, "free": eight(free), "locked": eight(locked)})
            })
            .collect();
        Ok(Json(json!({
            "canTrade": true, "canWithdraw": false, "canDeposit": false, "accountType": "SPOT",
            "updateTime": face.now_ms(), "balances": balances, "permissions": ["SPOT"], "uid": 1,
        })))
    })
}

pub(super) async fn commission(
    State(face): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    let params = authorized(&face, &headers, &query.unwrap_or_default())?;
    let now = face.exchange.now();
    face.exchange.with(|truth| {
        let one = instrument(truth, &params)?;
        let rate = |liquidity| {
            let fees = one.fees_at(now);
            let rate = fees.map_or(Decimal::ZERO, |fees| fees.formula(liquidity).rate());
            eight(rate)
        };
        let none = json!({"maker": "0.00000000", "taker": "0.00000000", "buyer": "0.00000000", "seller": "0.00000000"});
        Ok(Json(json!({
            "symbol": one.definition.symbol,
            "standardCommission": {
                "maker": rate(Liquidity::Maker), "taker": rate(Liquidity::Taker),
                "buyer": "0.00000000", "seller": "0.00000000",
            },
            "specialCommission": none, "taxCommission": none,
            "discount": {"enabledForAccount": false, "enabledForSymbol": false, "discountAsset": "BNB", "discount": "0.75000000"},
        })))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let params = params("symbol=%EF%BC%91&a=1%2B2&b=%zz&c=%");
        assert_eq!(params["symbol"], "１");
        assert_eq!(params["a"], "1+2");
        assert_eq!((params["b"].as_str(), params["c"].as_str()), ("%zz", "%"));
    }
}
