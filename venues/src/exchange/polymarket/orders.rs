//! Orders and cancels.
use super::lifecycle::cancel_all;
use super::requests::{Shared, answer, authorised, bad, stranger};
use super::{Face, wire};
use crate::exchange::{ClientIds, NewVenueOrder, PlaceError, Truth, VenueOrder};
use crate::polygon::{Address, CHAIN_ID, Word, hex};
use crate::polymarket::eip712::Order;
use crate::polymarket::{Exchange, ExchangeVersion, OrderKind, VENUE, WalletKind};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use onetape_engine::market::Instrument;
use onetape_engine::number::{Price, Qty, pow10};
use onetape_engine::order::{OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

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
    let lot = instrument.rules_at(Nanos(u64::MAX));
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
