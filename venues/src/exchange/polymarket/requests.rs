//! Requests: orders, account, markets, and the data API.
use super::lifecycle::{Stage, cancel_all};
use super::{Face, condition_id, other_token, same_hex, token_id, wire};
use crate::exchange::{ClientIds, NewVenueOrder, PlaceError, Truth, VenueOrder};
use crate::polygon::{Address, CHAIN_ID, Word, hex};
use crate::polymarket::auth::level2_signature;
use crate::polymarket::eip712::Order;
use crate::polymarket::{Exchange, ExchangeVersion, OrderKind, VENUE, WalletKind};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use onetape_engine::event::{LeaderTrade, Liquidity, TradingStatus};
use onetape_engine::market::Instrument;
use onetape_engine::number::{Price, Qty, pow10};
use onetape_engine::order::{OrderType, Side, TimeInForce};
use onetape_engine::time::SECOND_NS;
use rust_decimal::Decimal;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

type Shared = State<Arc<Face>>;
type Asked = Query<BTreeMap<String, String>>;

/// Rows of a page.
const PAGE: usize = 100;
/// The cursor after the last page.
const LAST_CURSOR: &str = "LTE=";

fn answer(value: Value) -> Response {
    axum::Json(value).into_response()
}

fn error(status: StatusCode, why: &str) -> Response {
    (status, axum::Json(json!({ "error": why }))).into_response()
}

fn bad(why: &str) -> Response {
    error(StatusCode::BAD_REQUEST, why)
}

/// Whether a request is of the account: all five headers, and the signature over what came.
fn authorised(face: &Face, method: &Method, uri: &Uri, headers: &HeaderMap, body: &str) -> bool {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
    };
    let credentials = &face.keys.credentials;
    let timestamp = header("POLY_TIMESTAMP");
    let expected = level2_signature(
        &credentials.secret,
        timestamp,
        method.as_str(),
        uri.path(),
        body,
    );
    let signed = expected.is_some_and(|expected| expected == header("POLY_SIGNATURE"));
    signed
        && !timestamp.is_empty()
        && same_hex(
            header("POLY_ADDRESS"),
            &face.keys.wallet.signer.address().to_string(),
        )
        && header("POLY_API_KEY") == credentials.key
        && header("POLY_PASSPHRASE") == credentials.passphrase.expose_secret()
}

fn stranger() -> Response {
    error(StatusCode::UNAUTHORIZED, "Unauthorized/Invalid api key")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostBody {
    order: PostOrder,
    owner: String,
    order_type: OrderKind,
    #[serde(default)]
    post_only: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostOrder {
    salt: u64,
    maker: String,
    signer: String,
    token_id: String,
    maker_amount: String,
    taker_amount: String,
    side: String,
    signature_type: u8,
    timestamp: String,
    metadata: String,
    builder: String,
    signature: String,
}

impl PostOrder {
    /// The order that was signed; `None` where a field is none of its.
    fn signed(&self) -> Option<Order> {
        let word = |text: &str| (text.len() == 66).then(|| Word::from_hex(text)).flatten();
        Some(Order {
            salt: self.salt,
            maker: Address::parse(&self.maker)?,
            signer: Address::parse(&self.signer)?,
            token_id: Word::parse(&self.token_id)?,
            maker_amount: self.maker_amount.parse().ok()?,
            taker_amount: self.taker_amount.parse().ok()?,
            side: match self.side.as_str() {
                "BUY" => Side::Buy,
                "SELL" => Side::Sell,
                _ => return None,
            },
            wallet: WalletKind::from_number(self.signature_type)?,
            timestamp_ms: self.timestamp.parse().ok()?,
            metadata: word(&self.metadata)?,
            builder: word(&self.builder)?,
        })
    }
}

pub(super) async fn place(
    State(face): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    if !authorised(&face, &method, &uri, &headers, &body) {
        return stranger();
    }
    let Ok(posted) = serde_json::from_str::<PostBody>(&body) else {
        return bad("Invalid order payload");
    };
    match placed(&face, &posted) {
        Ok(value) => answer(value),
        Err(why) => bad(&why),
    }
}

/// Takes an order; otherwise the venue's words.
fn placed(face: &Face, posted: &PostBody) -> Result<Value, String> {
    let keys = &face.keys;
    if posted.owner != keys.credentials.key {
        return Err("the order owner has to be the owner of the API KEY".to_owned());
    }
    if posted.order.salt >= 1 << 53 {
        return Err("Invalid order payload".to_owned());
    }
    let order = posted.order.signed().ok_or("Invalid order payload")?;
    let exchange = Exchange::of(CHAIN_ID, ExchangeVersion::V2, false).ok_or("no exchange")?;
    let by = order.signed_by(&exchange, &posted.order.signature);
    let genuine = by == Some(keys.wallet.signer.address())
        && order.wallet == keys.wallet.kind
        && order.maker == keys.wallet.funder
        && order.signer == keys.wallet.order_signer();
    if !genuine {
        return Err("invalid signature".to_owned());
    }
    let fak = match posted.order_type {
        OrderKind::GoodTillCancelled => false,
        OrderKind::FillAndKill if !posted.post_only => true,
        OrderKind::FillAndKill => return Err("invalid post-only order: FAK takes".to_owned()),
        _ => return Err("only GTC and FAK orders are served here".to_owned()),
    };
    let id = hex(&order.hash(&exchange));
    let now = face.now();
    face.exchange.with(|truth| {
        let instrument = Face::token(truth, &posted.order.token_id)
            .ok_or("the orderbook does not exist")?;
        let (price, qty) = terms(instrument, &order, fak)?;
        let new = NewVenueOrder {
            client_id: id.clone(),
            instrument: instrument.id(),
            side: order.side,
            order_type: OrderType::Limit,
            time_in_force: if fak {
                TimeInForce::ImmediateOrCancel
            } else if posted.post_only {
                TimeInForce::PostOnly
            } else {
                TimeInForce::GoodTillCancel
            },
            price,
            qty,
        };
        let taken = truth
            .place(VENUE, new, ClientIds::UsedOnce, now)
            .map_err(|why| words(&why, &id))?;
        if fak && taken.filled == Qty(0) {
            return Err(
                "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found."
                    .to_owned(),
            );
        }
        Ok(success(truth, &taken))
    })
}

/// Price and shares of the two amounts. What is signed need not divide without rest: the price is the nearest one, the
/// shares are cut to the lot.
fn terms(instrument: &Instrument, order: &Order, fak: bool) -> Result<(Price, Qty), String> {
    let (usd, shares) = match order.side {
        Side::Buy => (order.maker_amount, order.taker_amount),
        Side::Sell => (order.taker_amount, order.maker_amount),
    };
    if usd == 0 || shares == 0 {
        return Err("invalid amounts".to_owned());
    }
    let fine = |units: u64, decimals: u32| units.is_multiple_of(10u64.pow(6 - decimals));
    if fak && order.side == Side::Buy {
        if usd < 1_000_000 {
            let dollars = Decimal::new(usd.cast_signed(), 6).normalize();
            return Err(format!(
                "invalid amount for a marketable BUY order (${dollars}), min size: $1"
            ));
        }
        if !fine(usd, 2) || !fine(shares, 5) {
            return Err("invalid amounts, the market buy orders maker amount supports a max accuracy of 2 decimals, taker amount a max of 5 decimals".to_owned());
        }
    } else if !fine(shares, 2) {
        return Err("invalid amounts, a size supports a max accuracy of 2 decimals".to_owned());
    }
    let d = instrument.decimals();
    let too_large = || "invalid amounts".to_owned();
    let unit = pow10(d.price.into()).ok_or_else(too_large)?;
    let (usd, shares) = (i128::from(usd), i128::from(shares));
    let price = (2 * usd * unit + shares) / (2 * shares);
    let scale = pow10(d.qty.into()).ok_or_else(too_large)?;
    let qty = shares * scale / 1_000_000;
    let lot = instrument.rules_at(onetape_engine::time::Nanos(u64::MAX));
    let lot = lot.map_or(1, |rules| i128::from(rules.lot_size.0.max(1)));
    let fit = |value: i128| i64::try_from(value).map_err(|_| too_large());
    Ok((Price(fit(price)?), Qty(fit(qty - qty % lot)?)))
}

fn words(why: &PlaceError, id: &str) -> String {
    match why {
        PlaceError::Duplicate(_) => format!("order {id} is invalid. Duplicated."),
        PlaceError::UnknownInstrument => "the orderbook does not exist".to_owned(),
        PlaceError::MarketNotOpen => "the market is not accepting orders".to_owned(),
        PlaceError::Rules(rule) => {
            format!("order {id} is invalid. Price or size breaks minimum tick size rule: {rule}")
        }
        PlaceError::TooSmall => format!("order {id} is invalid. Size lower than the minimum"),
        PlaceError::InsufficientBalance => "not enough balance / allowance".to_owned(),
        PlaceError::WouldTake => "invalid post-only order: order crosses book".to_owned(),
        PlaceError::OutOfRange => "invalid amounts".to_owned(),
    }
}

fn success(truth: &Truth, order: &VenueOrder) -> Value {
    let fills = truth.fills(VENUE).filter(|fill| fill.order == order.id);
    let trades: Vec<String> = fills.map(|fill| format!("trade-{}", fill.id)).collect();
    let (mut making, mut taking) = (String::new(), String::new());
    if let Ok(instrument) = truth.market().instrument(order.new.instrument)
        && order.filled != Qty(0)
    {
        let shares = wire::qty_text(instrument, order.filled);
        let usd = order.filled_notional.to_string();
        (making, taking) = match order.new.side {
            Side::Buy => (usd, shares),
            Side::Sell => (shares, usd),
        };
    }
    json!({
        "success": true, "errorMsg": "", "orderID": order.new.client_id,
        "status": if trades.is_empty() { "live" } else { "matched" },
        "makingAmount": making, "takingAmount": taking, "tradeIDs": trades, "transactionsHashes": [],
    })
}

/// Cancels orders by their hashes.
fn cancel_named(face: &Face, ids: &[String]) -> Value {
    let now = face.now();
    let (mut canceled, mut not_canceled) = (Vec::new(), serde_json::Map::new());
    face.exchange.with(|truth| {
        for id in ids {
            let found = truth.client_order(VENUE, id).map(|o| (o.id, o.is_open()));
            match found {
                Some((number, true)) => {
                    truth.cancel(number, now);
                    canceled.push(id.clone());
                }
                Some((_, false)) => {
                    let why = "the order is already canceled or matched";
                    not_canceled.insert(id.clone(), why.into());
                }
                None => {
                    not_canceled.insert(id.clone(), "order not found".into());
                }
            }
        }
    });
    json!({ "canceled": canceled, "not_canceled": not_canceled })
}

pub(super) async fn cancel(
    State(face): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "orderID")]
        order_id: String,
    }
    if !authorised(&face, &method, &uri, &headers, &body) {
        return stranger();
    }
    match serde_json::from_str::<Named>(&body) {
        Ok(named) => answer(cancel_named(&face, &[named.order_id])),
        Err(_) => bad("Invalid order payload"),
    }
}

pub(super) async fn cancel_many(
    State(face): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    if !authorised(&face, &method, &uri, &headers, &body) {
        return stranger();
    }
    match serde_json::from_str::<Vec<String>>(&body) {
        Ok(ids) => answer(cancel_named(&face, &ids)),
        Err(_) => bad("Invalid order payload"),
    }
}

pub(super) async fn cancel_everything(
    State(face): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    if !authorised(&face, &method, &uri, &headers, &body) {
        return stranger();
    }
    let canceled = cancel_all(&face, |_| true);
    answer(json!({ "canceled": canceled, "not_canceled": {} }))
}

pub(super) async fn cancel_market(
    State(face): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    #[derive(Deserialize)]
    struct Which {
        market: Option<String>,
        asset_id: Option<String>,
    }
    if !authorised(&face, &method, &uri, &headers, &body) {
        return stranger();
    }
    let Ok(which) = serde_json::from_str::<Which>(&body) else {
        return bad("Invalid order payload");
    };
    let meant = face.exchange.with(|truth| {
        let by_token = which.asset_id.and_then(|token| Face::token(truth, &token));
        let of_market = |market: String| Face::condition(truth, &market);
        let found = by_token.or_else(|| which.market.and_then(of_market));
        found.map(Instrument::id)
    });
    let canceled = match meant {
        Some(id) => cancel_all(&face, |order| order.new.instrument == id),
        None => Vec::new(),
    };
    answer(json!({ "canceled": canceled, "not_canceled": {} }))
}

// ---- the account

pub(super) async fn order(
    State(face): Shared,
    Path(id): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if !authorised(&face, &method, &uri, &headers, "") {
        return stranger();
    }
    // Orders at work only; of any other one nothing is known here.
    let found = face.exchange.with(|truth| {
        let order = truth
            .client_order(VENUE, &id)
            .filter(|order| order.is_open())?;
        let instrument = truth.market().instrument(order.new.instrument).ok()?;
        Some(wire::order(&face, instrument, order))
    });
    answer(found.unwrap_or_default())
}

/// A page of rows, and the cursor after it.
fn page(rows: Vec<Value>, asked: &BTreeMap<String, String>) -> Response {
    let from = asked
        .get("next_cursor")
        .and_then(|cursor| STANDARD.decode(cursor).ok())
        .and_then(|text| String::from_utf8(text).ok()?.parse().ok())
        .unwrap_or(0usize);
    let end = from.saturating_add(PAGE);
    let next = if end < rows.len() {
        STANDARD.encode(end.to_string())
    } else {
        LAST_CURSOR.to_owned()
    };
    let data: Vec<Value> = rows.into_iter().skip(from).take(PAGE).collect();
    answer(json!({ "limit": PAGE, "count": data.len(), "next_cursor": next, "data": data }))
}

pub(super) async fn orders(
    State(face): Shared,
    Query(asked): Asked,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if !authorised(&face, &method, &uri, &headers, "") {
        return stranger();
    }
    let rows = face.exchange.with(|truth| {
        let row = |order: &VenueOrder| {
            let instrument = truth.market().instrument(order.new.instrument).ok()?;
            Some(wire::order(&face, instrument, order))
        };
        truth.open_orders(VENUE).filter_map(row).collect()
    });
    page(rows, &asked)
}

pub(super) async fn trades(
    State(face): Shared,
    Query(asked): Asked,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if !authorised(&face, &method, &uri, &headers, "") {
        return stranger();
    }
    let stages = face.kept().stages.clone();
    let after: u64 = asked.get("after").and_then(|s| s.parse().ok()).unwrap_or(0);
    let is = |name: &str, value: String| asked.get(name).is_none_or(|asked| *asked == value);
    let rows = face.exchange.with(|truth| {
        let rows = truth.fills(VENUE).rev().filter_map(|fill| {
            let instrument = truth.market().instrument(fill.instrument).ok()?;
            let token = token_id(&instrument.definition.symbol);
            let meant = fill.at.0 / SECOND_NS >= after
                && is("market", condition_id(&token))
                && is("asset_id", token);
            let stage = stages.get(&fill.id).copied().unwrap_or(Stage::Matched);
            let stage = if fill.reversed { Stage::Failed } else { stage };
            meant.then(|| wire::trade(&face, instrument, fill, stage))
        });
        rows.collect()
    });
    page(rows, &asked)
}

/// What the account has in units of 1e-6: of collateral, or of a token.
pub(super) async fn balance(
    State(face): Shared,
    Query(asked): Asked,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if !authorised(&face, &method, &uri, &headers, "") {
        return stranger();
    }
    let amount = face.exchange.with(|truth| match asked.get("token_id") {
        Some(token) => Face::token(truth, token).map_or(Decimal::ZERO, |instrument| {
            let held = truth.holding(instrument.id());
            instrument.decimals().qty_decimal(held)
        }),
        None => cash(truth),
    });
    let exchange = Exchange::of(CHAIN_ID, ExchangeVersion::V2, false);
    let spender = exchange.map(|exchange| exchange.contract.to_string());
    let most = Word([255; 32]).to_string();
    answer(json!({
        "balance": units(amount).to_string(),
        "allowances": { spender.unwrap_or_default(): most },
    }))
}

fn cash(truth: &Truth) -> Decimal {
    truth.cash(VENUE).into_iter().map(|(_, all, _)| all).sum()
}

fn units(amount: Decimal) -> u128 {
    let units = amount.max(Decimal::ZERO) * Decimal::from(1_000_000);
    units.trunc().mantissa().unsigned_abs()
}

/// A heartbeat names the one before; the first, and one that begins anew, names none.
pub(super) async fn heartbeat(
    State(face): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    #[derive(Deserialize)]
    struct Beat {
        heartbeat_id: Option<String>,
    }
    if !authorised(&face, &method, &uri, &headers, &body) {
        return stranger();
    }
    let named = serde_json::from_str::<Beat>(&body).ok();
    let named = named
        .and_then(|beat| beat.heartbeat_id)
        .filter(|id| !id.is_empty());
    let mut kept = face.kept();
    let current = kept.heartbeat.as_ref().map(|(id, _)| id.clone());
    if named.is_some() && named != current {
        let body = json!({ "error": "Invalid Heartbeat ID", "heartbeat_id": current });
        return (StatusCode::BAD_REQUEST, axum::Json(body)).into_response();
    }
    kept.heartbeats += 1;
    let id = format!("heartbeat-{}", kept.heartbeats);
    kept.heartbeat = Some((id.clone(), Instant::now()));
    answer(json!({ "heartbeat_id": id }))
}

// ---- markets

pub(super) async fn book(State(face): Shared, Query(asked): Asked) -> Response {
    let token = asked.get("token_id").map_or("", String::as_str);
    let now = face.exchange.now();
    let found = face.exchange.with(|truth| {
        let instrument = Face::token(truth, token)?;
        Some(wire::rest_book(instrument, instrument.rules_at(now)?))
    });
    match found {
        Some(book) => answer(book),
        None => error(
            StatusCode::NOT_FOUND,
            "No orderbook exists for the requested token id",
        ),
    }
}

pub(super) async fn clob_market(State(face): Shared, Path(condition): Path<String>) -> Response {
    let now = face.exchange.now();
    let found = face.exchange.with(|truth| {
        let instrument = Face::condition(truth, &condition)?;
        let rules = instrument.rules_at(now)?;
        Some(wire::clob_market(
            instrument,
            rules,
            instrument.fees_at(now),
        ))
    });
    found.map_or_else(|| error(StatusCode::NOT_FOUND, "market not found"), answer)
}

pub(super) async fn market_by_token(State(face): Shared, Path(token): Path<String>) -> Response {
    let known = face
        .exchange
        .with(|truth| Face::token(truth, &token).is_some());
    if !known {
        return error(StatusCode::NOT_FOUND, "market not found");
    }
    answer(json!({
        "condition_id": condition_id(&token), "primary_token_id": token, "secondary_token_id": other_token(&token),
    }))
}

pub(super) async fn version() -> Response {
    answer(json!({ "version": 2 }))
}

pub(super) async fn time(State(face): Shared) -> Response {
    answer(json!(face.now().0 / SECOND_NS))
}

pub(super) async fn gamma_markets(State(face): Shared, Query(asked): Asked) -> Response {
    let condition = asked.get("condition_ids").map_or("", String::as_str);
    let terms = face.kept().terms.clone();
    let found = face.exchange.with(|truth| {
        let instrument = Face::condition(truth, condition)?;
        let symbol = &instrument.definition.symbol;
        let token = token_id(symbol);
        let open = instrument.status == TradingStatus::Open && instrument.settled_at.is_none();
        let list = |items: [&str; 2]| json!(items).to_string();
        let terms = terms.get(&instrument.id());
        Some(json!({
            "conditionId": condition, "slug": symbol, "question": symbol, "description": super::rules_text(symbol),
            "endDate": terms.map(|terms| wire::iso(terms.closes_at)),
            "events": terms.map_or(json!([]), |terms| json!([{ "slug": terms.cluster }])),
            "active": true, "closed": instrument.settled_at.is_some(), "acceptingOrders": open, "negRisk": false,
            "outcomes": list(["Yes", "No"]), "clobTokenIds": list([&token, &other_token(&token)]),
        }))
    });
    answer(Value::Array(found.into_iter().collect()))
}

// ---- the data API

/// A row of `/trades` and of the stream.
pub(super) fn leader_row(truth: &Truth, trade: &LeaderTrade) -> Option<Value> {
    let instrument = truth.market().instrument(trade.instrument).ok()?;
    if instrument.definition.venue != VENUE {
        return None;
    }
    let token = token_id(&instrument.definition.symbol);
    Some(json!({
        "proxyWallet": trade.wallet, "side": wire::side_word(trade.side), "asset": token,
        "conditionId": condition_id(&token), "size": wire::number(wire::qty_text(instrument, trade.qty)),
        "price": wire::number(wire::price_text(instrument, trade.price)), "timestamp": trade.traded_at.0 / SECOND_NS,
        "title": instrument.definition.symbol, "outcome": "Yes", "outcomeIndex": 0, "transactionHash": trade.transaction,
    }))
}

pub(super) async fn data_trades(State(face): Shared, Query(asked): Asked) -> Response {
    let user = asked.get("user").map(|user| user.to_ascii_lowercase());
    let user = user.unwrap_or_default();
    let taker_only = asked.get("takerOnly").is_none_or(|only| only != "false");
    let limit = asked
        .get("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(PAGE);
    let of_user: Vec<LeaderTrade> = {
        let kept = face.kept();
        let of = |trade: &&LeaderTrade| trade.wallet == user;
        kept.leader_trades
            .iter()
            .rev()
            .filter(of)
            .cloned()
            .collect()
    };
    // A journal with both views of a match has its shares twice; all of a wallet's trades have them once.
    let both_views = |row: &LeaderTrade| {
        row.liquidity == Liquidity::Taker
            && of_user.iter().any(|other| {
                other.liquidity == Liquidity::Maker
                    && other.transaction == row.transaction
                    && (other.instrument, other.side) == (row.instrument, row.side)
            })
    };
    let meant = |row: &&LeaderTrade| {
        if taker_only {
            row.liquidity == Liquidity::Taker
        } else {
            !both_views(row)
        }
    };
    let rows = face.exchange.with(|truth| {
        let rows = of_user.iter().filter(meant).take(limit);
        rows.filter_map(|row| leader_row(truth, row)).collect()
    });
    answer(Value::Array(rows))
}

/// What a wallet holds: ours by the truth, a leader's by the journal.
fn held(face: &Face, truth: &Truth, user: &str) -> Vec<(Decimal, Value)> {
    let holdings: Vec<_> = if user == face.keys.wallet.funder.lower() {
        let of = truth
            .instruments(VENUE)
            .map(|i| (i.id(), truth.holding(i.id())));
        of.collect()
    } else {
        let kept = face.kept();
        let of = kept
            .portfolios
            .get(user)
            .into_iter()
            .flat_map(|p| &p.holdings);
        of.map(|holding| (holding.instrument, holding.qty))
            .collect()
    };
    let row = |(id, qty): (onetape_engine::id::InstrumentId, Qty)| {
        let instrument = truth.market().instrument(id).ok()?;
        let d = instrument.decimals();
        let price = instrument.mark(Side::Sell).unwrap_or_default();
        let value = d.price_decimal(price) * d.qty_decimal(qty);
        let token = token_id(&instrument.definition.symbol);
        let row = json!({
            "proxyWallet": user, "asset": token, "conditionId": condition_id(&token),
            "size": wire::number(wire::qty_text(instrument, qty)),
            "curPrice": wire::number(wire::price_text(instrument, price)),
            "currentValue": wire::number(value.normalize().to_string()),
        });
        (qty.0 > 0).then_some((value, row))
    };
    holdings.into_iter().filter_map(row).collect()
}

pub(super) async fn data_positions(State(face): Shared, Query(asked): Asked) -> Response {
    let user = asked.get("user").map(|user| user.to_ascii_lowercase());
    let user = user.unwrap_or_default();
    let number = |name: &str| asked.get(name).and_then(|n| n.parse::<usize>().ok());
    let (offset, limit) = (
        number("offset").unwrap_or(0),
        number("limit").unwrap_or(PAGE),
    );
    let rows = face.exchange.with(|truth| held(&face, truth, &user));
    let rows = rows
        .into_iter()
        .skip(offset)
        .take(limit)
        .map(|(_, row)| row);
    answer(Value::Array(rows.collect()))
}

/// The chain: which one it is, and how much collateral a wallet has.
pub(super) async fn rpc(State(face): Shared, body: String) -> Response {
    #[derive(Deserialize)]
    struct Call {
        id: u64,
        method: String,
        params: Value,
    }
    let Ok(call) = serde_json::from_str::<Call>(&body) else {
        return bad("parse error");
    };
    let data = call.params[0]["data"].as_str().unwrap_or_default();
    let result = match call.method.as_str() {
        "eth_chainId" => format!("0x{CHAIN_ID:x}"),
        "eth_getBalance" => format!("0x{:x}", 10u128.pow(19)),
        "eth_call" if data.starts_with("0x70a08231") && data.len() == 74 => {
            let user = format!("0x{}", data.get(34..).unwrap_or_default());
            format!("0x{:064x}", units(collateral(&face, &user)))
        }
        _ => "0x".to_owned(),
    };
    answer(json!({ "jsonrpc": "2.0", "id": call.id, "result": result }))
}

fn collateral(face: &Face, user: &str) -> Decimal {
    let worth = face.kept().portfolios.get(user).map(|p| p.value_usd);
    face.exchange.with(|truth| match worth {
        Some(worth) => {
            let held: Decimal = held(face, truth, user).into_iter().map(|(v, _)| v).sum();
            worth - held
        }
        None if user == face.keys.wallet.funder.lower() => cash(truth),
        None => Decimal::ZERO,
    })
}
