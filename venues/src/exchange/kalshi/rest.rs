//! The REST endpoints.
use super::{Face, VENUE, wire};
use crate::exchange::{ClientIds, NewVenueOrder, PlaceError};
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use onetape_engine::event::{Level, TradingStatus};
use onetape_engine::market::Instrument;
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use serde::Deserialize;
use serde_json::{Value, json};

/// Entries of a page that was not told how many, and at the most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;

/// A refusal in the envelope that most of the venue's answers have.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameters", message)
    }

    fn missing(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("no such {what}"),
        )
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({"code": self.code, "message": self.message});
        (self.status, body.to_string()).into_response()
    }
}

/// A body, with status 200.
type Answer = Result<String, Refused>;

/// Middleware: what the venue says is JSON.
pub(super) async fn as_json(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Anything else.
pub(super) async fn not_found() -> Refused {
    Refused::missing("endpoint")
}

/// Writes of V1, in the other envelope.
pub(super) async fn deprecated() -> (StatusCode, String) {
    let body = json!({"error": {
        "code": "deprecated_v1_order_endpoint",
        "message": "Please switch to the V2 endpoints",
    }});
    (StatusCode::GONE, body.to_string())
}

#[derive(Deserialize)]
pub(super) struct Filter {
    ticker: Option<String>,
    tickers: Option<String>,
    series_ticker: Option<String>,
    order_id: Option<String>,
    status: Option<String>,
    min_ts: Option<u64>,
    limit: Option<usize>,
    cursor: Option<String>,
    depth: Option<usize>,
}

/// GET /markets/{ticker}
pub(super) async fn market(State(face): State<Face>, Path(ticker): Path<String>) -> Answer {
    let now = face.exchange.now();
    let market = face.exchange.with(|truth| {
        let instrument = truth.symbol(VENUE, &ticker)?;
        let terms = face.terms(instrument.id());
        Some(wire::market(instrument, terms.as_ref(), now))
    });
    let market = market.ok_or_else(|| Refused::missing("market"))?;
    Ok(json!({ "market": market }).to_string())
}

/// GET /markets
pub(super) async fn markets(State(face): State<Face>, Query(filter): Query<Filter>) -> Answer {
    let now = face.exchange.now();
    let wanted: Option<Vec<&str>> = filter.tickers.as_ref().map(|t| t.split(',').collect());
    let is_wanted = |instrument: &&Instrument| {
        let symbol = instrument.definition.symbol.as_str();
        let of_series = |series: &String| wire::series_of(symbol) == series;
        wanted
            .as_ref()
            .is_none_or(|wanted| wanted.contains(&symbol))
            && filter.series_ticker.as_ref().is_none_or(of_series)
            && (filter.status.as_deref() != Some("open")
                || instrument.status == TradingStatus::Open)
    };
    let all: Vec<Value> = face.exchange.with(|truth| {
        let each = |instrument: &Instrument| {
            let terms = face.terms(instrument.id());
            wire::market(instrument, terms.as_ref(), now)
        };
        truth
            .instruments(VENUE)
            .filter(is_wanted)
            .map(each)
            .collect()
    });
    page("markets", all, &filter)
}

/// GET /markets/{ticker}/orderbook: bids of both legs, best last.
pub(super) async fn orderbook(
    State(face): State<Face>,
    Path(ticker): Path<String>,
    Query(filter): Query<Filter>,
) -> Answer {
    let depth = filter.depth.filter(|depth| *depth > 0).unwrap_or(PAGE_MAX);
    let book = face.exchange.with(|truth| {
        let instrument = truth.symbol(VENUE, &ticker)?;
        let d = instrument.decimals();
        let side = |side, price: fn(_, _) -> String| {
            let levels = instrument.book().map(|book| book.side(side).levels());
            let level = |level: Level| json!([price(d, level.price), wire::count(d, level.qty)]);
            let mut levels: Vec<Value> = levels
                .into_iter()
                .flatten()
                .take(depth)
                .map(level)
                .collect();
            levels.reverse();
            levels
        };
        Some(json!({
            "yes_dollars": side(Side::Buy, wire::dollars),
            "no_dollars": side(Side::Sell, wire::no_dollars),
        }))
    });
    let book = book.ok_or_else(|| Refused::missing("market"))?;
    Ok(json!({ "orderbook_fp": book }).to_string())
}

/// GET /series/{ticker}
pub(super) async fn series(State(face): State<Face>, Path(ticker): Path<String>) -> Answer {
    let now = face.exchange.now();
    let series = face.exchange.with(|truth| {
        let of = |i: &&Instrument| wire::series_of(&i.definition.symbol) == ticker;
        truth
            .instruments(VENUE)
            .find(of)
            .map(|instrument| wire::series(instrument, now))
    });
    let series = series.ok_or_else(|| Refused::missing("series"))?;
    Ok(json!({ "series": series }).to_string())
}

/// GET /events/{ticker}
pub(super) async fn event(State(face): State<Face>, Path(ticker): Path<String>) -> Answer {
    let known = face.exchange.with(|truth| {
        let of = |i: &Instrument| wire::event_of(&i.definition.symbol) == ticker;
        truth.instruments(VENUE).any(of)
    });
    if !known {
        return Err(Refused::missing("event"));
    }
    let event = json!({
        "event_ticker": ticker,
        "series_ticker": wire::series_of(&ticker),
        "title": "",
        "fee_type_override": null,
        "fee_multiplier_override": null,
    });
    Ok(json!({"event": event, "markets": []}).to_string())
}

#[derive(Deserialize)]
struct OrderBody {
    ticker: String,
    client_order_id: String,
    side: String,
    count: String,
    price: String,
    time_in_force: String,
    self_trade_prevention_type: String,
    #[serde(default)]
    post_only: bool,
    #[serde(default)]
    exchange_index: u32,
}

/// POST /portfolio/events/orders
pub(super) async fn place(
    State(face): State<Face>,
    body: Bytes,
) -> Result<(StatusCode, String), Refused> {
    let body: OrderBody =
        serde_json::from_slice(&body).map_err(|e| Refused::invalid(e.to_string()))?;
    let now = face.exchange.now();
    let placed = face.exchange.with(|truth| {
        let instrument = truth.symbol(VENUE, &body.ticker);
        let instrument = instrument.ok_or_else(|| Refused::missing("market"))?;
        let d = instrument.decimals();
        let order = new_order(instrument, &body)?;
        let placed = truth.place(VENUE, order, ClientIds::UsedOnce, now);
        Ok((d, placed.map_err(refused)?))
    });
    let (d, order) = placed?;
    let rests = order.is_open();
    let mut answer = json!({
        "order_id": wire::order_id(order.id),
        "client_order_id": order.new.client_id,
        "fill_count": wire::count(d, order.filled),
        "remaining_count": match rests {
            true => wire::count(d, order.remaining()),
            false => "0.00".to_owned(),
        },
        "ts_ms": now.0 / 1_000_000,
    });
    if order.filled.0 > 0 {
        let average =
            order.filled_notional.to_decimal().unwrap_or_default() / d.qty_decimal(order.filled);
        answer["average_fill_price"] = json!(format!("{:.6}", average.round_dp(6)));
    }
    Ok((StatusCode::CREATED, answer.to_string()))
}

fn new_order(instrument: &Instrument, body: &OrderBody) -> Result<NewVenueOrder, Refused> {
    let d = instrument.decimals();
    let id_is_good = |c: char| c.is_ascii_alphanumeric() || "_-:+=/".contains(c);
    let id = &body.client_order_id;
    if id.is_empty() || id.len() > 64 || !id.chars().all(id_is_good) {
        return Err(Refused::invalid("client_order_id"));
    }
    if !matches!(
        body.self_trade_prevention_type.as_str(),
        "taker_at_cross" | "maker"
    ) {
        return Err(Refused::invalid("self_trade_prevention_type"));
    }
    if body.exchange_index != 0 {
        return Err(Refused::invalid("exchange_index: the market is on shard 0"));
    }
    Ok(NewVenueOrder {
        client_id: id.clone(),
        instrument: instrument.id(),
        side: match body.side.as_str() {
            "bid" => Side::Buy,
            "ask" => Side::Sell,
            _ => return Err(Refused::invalid("side")),
        },
        order_type: OrderType::Limit,
        time_in_force: match (body.time_in_force.as_str(), body.post_only) {
            ("good_till_canceled", false) => TimeInForce::GoodTillCancel,
            ("good_till_canceled", true) => TimeInForce::PostOnly,
            ("immediate_or_cancel", false) => TimeInForce::ImmediateOrCancel,
            ("fill_or_kill", false) => return Err(Refused::invalid("fill_or_kill: not here")),
            _ => return Err(Refused::invalid("time_in_force")),
        },
        price: d
            .parse_price(&body.price)
            .map_err(|_| Refused::invalid("invalid price"))?,
        qty: d
            .parse_qty(&body.count)
            .map_err(|_| Refused::invalid("invalid count"))?,
    })
}

fn refused(error: PlaceError) -> Refused {
    let bad = |code| Refused::new(StatusCode::BAD_REQUEST, code, error.to_string());
    match error {
        PlaceError::Duplicate(_) => Refused::new(
            StatusCode::CONFLICT,
            "order_already_exists",
            error.to_string(),
        ),
        PlaceError::UnknownInstrument => Refused::missing("market"),
        PlaceError::MarketNotOpen => bad("MARKET_INACTIVE"),
        PlaceError::InsufficientBalance => bad("insufficient_balance"),
        PlaceError::WouldTake => bad("post_only_cross"),
        PlaceError::Rules(_) | PlaceError::TooSmall | PlaceError::OutOfRange => {
            bad("invalid_parameters")
        }
    }
}

/// DELETE /portfolio/events/orders/{id}
pub(super) async fn cancel(State(face): State<Face>, Path(id): Path<String>) -> Answer {
    let number = wire::order_number(&id).ok_or_else(|| Refused::missing("order"))?;
    let now = face.exchange.now();
    face.exchange.with(|truth| {
        let order = truth
            .order(number)
            .ok_or_else(|| Refused::missing("order"))?;
        let instrument = truth.market().instrument(order.new.instrument);
        let instrument = instrument.map_err(|_| Refused::missing("order"))?;
        if instrument.definition.venue != VENUE {
            return Err(Refused::missing("order"));
        }
        // After the close nothing is taken, cancels included.
        if instrument.status == TradingStatus::Closed {
            return Err(refused(PlaceError::MarketNotOpen));
        }
        if !order.is_open() {
            return Err(Refused::missing("order"));
        }
        let reduced_by = wire::count(instrument.decimals(), order.remaining());
        let client_id = order.new.client_id.clone();
        truth.cancel(number, now);
        Ok(json!({
            "order_id": id,
            "client_order_id": client_id,
            "reduced_by": reduced_by,
            "ts_ms": now.0 / 1_000_000,
        })
        .to_string())
    })
}

/// DELETE /portfolio/events/orders
pub(super) async fn cancel_all(State(face): State<Face>) -> Answer {
    let now = face.exchange.now();
    let cancelled = face.exchange.with(|truth| {
        let open: Vec<u64> = truth.open_orders(VENUE).map(|order| order.id).collect();
        for id in &open {
            truth.cancel(*id, now);
        }
        open.into_iter().map(wire::order_id).collect::<Vec<_>>()
    });
    Ok(json!({ "order_ids": cancelled }).to_string())
}

/// GET /portfolio/orders/{id}
pub(super) async fn order(State(face): State<Face>, Path(id): Path<String>) -> Answer {
    let order = face.exchange.with(|truth| {
        let order = truth.order(wire::order_number(&id)?)?;
        let instrument = truth.market().instrument(order.new.instrument).ok()?;
        let ours = instrument.definition.venue == VENUE;
        ours.then(|| wire::order(instrument, order))
    });
    let order = order.ok_or_else(|| Refused::missing("order"))?;
    Ok(json!({ "order": order }).to_string())
}

/// GET /portfolio/orders, newest first.
pub(super) async fn orders(State(face): State<Face>, Query(filter): Query<Filter>) -> Answer {
    let mut all: Vec<Value> = face.exchange.with(|truth| {
        let mut found = Vec::new();
        for order in truth.orders(VENUE) {
            let Ok(instrument) = truth.market().instrument(order.new.instrument) else {
                continue;
            };
            let ticker = filter.ticker.as_ref();
            let after = filter.min_ts.unwrap_or(0);
            let is_wanted = ticker.is_none_or(|ticker| *ticker == instrument.definition.symbol)
                && order.placed_at.0 / 1_000_000_000 >= after
                && match filter.status.as_deref() {
                    None => true,
                    Some("resting") => order.is_open(),
                    Some("executed") => order.state == OrderState::Filled,
                    Some(_) => !order.is_open() && order.state != OrderState::Filled,
                };
            if is_wanted {
                found.push(wire::order(instrument, order));
            }
        }
        found
    });
    all.reverse();
    page("orders", all, &filter)
}

/// GET /portfolio/fills, newest first.
pub(super) async fn fills(State(face): State<Face>, Query(filter): Query<Filter>) -> Answer {
    let of_order = filter.order_id.as_deref().map(wire::order_number);
    let all: Vec<Value> = face.exchange.with(|truth| {
        let mut found = Vec::new();
        for fill in truth.fills(VENUE).rev() {
            let Ok(instrument) = truth.market().instrument(fill.instrument) else {
                continue;
            };
            let ticker = filter.ticker.as_ref();
            let is_wanted = ticker.is_none_or(|ticker| *ticker == instrument.definition.symbol)
                && of_order.is_none_or(|order| order == Some(fill.order))
                && fill.at.0 / 1_000_000_000 >= filter.min_ts.unwrap_or(0);
            if is_wanted && !fill.reversed {
                found.push(wire::fill(instrument, fill));
            }
        }
        found
    });
    page("fills", all, &filter)
}

/// GET /portfolio/positions: those that are not zero.
pub(super) async fn positions(State(face): State<Face>, Query(filter): Query<Filter>) -> Answer {
    let all: Vec<Value> = face.exchange.with(|truth| {
        let position = |instrument: &Instrument| {
            let held = truth.holding(instrument.id());
            let count = wire::count(instrument.decimals(), held);
            let ticker = &instrument.definition.symbol;
            (held.0 != 0).then(|| json!({"ticker": ticker, "position_fp": count}))
        };
        truth.instruments(VENUE).filter_map(position).collect()
    });
    page("market_positions", all, &filter)
}

/// GET /portfolio/balance: what can be spent.
pub(super) async fn balance(State(face): State<Face>) -> Answer {
    let cash = face.exchange.with(|truth| truth.cash(VENUE));
    let dollars = cash.into_iter().find(|(currency, ..)| currency == "USD");
    let free = dollars.map_or_else(Default::default, |(_, cash, held)| cash - held);
    let text = format!("{free:.4}");
    let cents = (free * rust_decimal::Decimal::ONE_HUNDRED).trunc();
    let cents: Value = serde_json::from_str(&format!("{cents:.0}")).unwrap_or_else(|_| json!(0));
    Ok(json!({
        "balance": cents,
        "balance_dollars": text,
        "portfolio_value": 0,
        "updated_ts": face.exchange.now().0 / 1_000_000_000,
        "balance_breakdown": [{"exchange_index": 0, "balance": text}],
    })
    .to_string())
}

/// A part of a list; the cursor is how many entries were told.
fn page(name: &'static str, all: Vec<Value>, filter: &Filter) -> Answer {
    let skip = match filter.cursor.as_deref() {
        None | Some("") => 0,
        Some(cursor) => cursor.parse().map_err(|_| Refused::invalid("cursor"))?,
    };
    let limit = filter.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Refused::invalid("limit"));
    }
    let total = all.len();
    let entries: Vec<Value> = all.into_iter().skip(skip).take(limit).collect();
    let told = skip.saturating_add(entries.len());
    let cursor = match told < total {
        true => told.to_string(),
        false => String::new(),
    };
    Ok(json!({name: entries, "cursor": cursor}).to_string())
}
