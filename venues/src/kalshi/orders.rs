//! Orders over HTTP, V2 only: one book a market, quoted in YES. A buy is a bid, a sale an ask (Kalshi docs, create order
//! V2); whoever wants NO at p sells YES at 1 - p. There are no market orders: such an order takes at once what stands at
//! its worst price or better, and the rest is taken back.
use super::REST;
use super::account::{FillText, OrderText, PositionText};
use super::auth::Signer;
use super::fields::{Raw, Reader, VENUE, fields, one_dollar};
use super::listing::{Shards, encoded};
use super::refusal::{CALL_WEIGHT, Refused, refusal, retry_after_ms, seen};
use crate::gateway::{
    AccountFact, Balance, Bucket, CancelAnswer, Instruments, KnownOrder, Listed, Method, NewOrder,
    OrderFact, OrderKey, OrderWire, PlaceAnswer, Query, Refusal, Request, Response, WireError,
};
use onetape_engine::number::Qty;
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::{Nanos, SECOND_NS};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;

const ORDERS: &str = "/trade-api/v2/portfolio/events/orders";
const KNOWN_ORDERS: &str = "/trade-api/v2/portfolio/orders";
const FILLS: &str = "/trade-api/v2/portfolio/fills";
const POSITIONS: &str = "/trade-api/v2/portfolio/positions";
const BALANCE: &str = "/trade-api/v2/portfolio/balance";
/// Entries of a page: the most that the venue gives.
const PAGE: u32 = 1_000;
/// A look-up begins this long before the order was decided: the venue's clock is not ours.
const LOOKUP_MARGIN_NS: u64 = 300 * SECOND_NS;

/// What becomes of an order that would meet one of our own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfTradePrevention {
    /// The taker's rest is cancelled.
    #[default]
    TakerAtCross,
    /// The maker is cancelled.
    Maker,
}

/// How orders are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderConfig {
    /// Against trades with ourselves.
    pub self_trade_prevention: SelfTradePrevention,
    /// Whether resting orders are cancelled when trading pauses. True by default: nobody wants to find out what an old
    /// price is worth when a halt ends.
    pub cancel_order_on_pause: bool,
    /// The sub-account; zero is the primary one.
    pub subaccount: u32,
}

impl Default for OrderConfig {
    fn default() -> Self {
        Self {
            self_trade_prevention: SelfTradePrevention::default(),
            cancel_order_on_pause: true,
            subaccount: 0,
        }
    }
}

/// The order interface.
#[derive(Debug)]
pub struct KalshiOrders {
    signer: Signer,
    instruments: Instruments,
    shards: Shards,
    config: OrderConfig,
}

/// Body of an order.
#[derive(Serialize)]
struct Body<'a> {
    ticker: &'a str,
    client_order_id: &'a str,
    side: &'static str,
    count: String,
    price: String,
    time_in_force: &'static str,
    self_trade_prevention_type: SelfTradePrevention,
    post_only: bool,
    cancel_order_on_pause: bool,
    reduce_only: bool,
    subaccount: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange_index: Option<u64>,
}

fields!(PlacedFields {
    order_id,
    client_order_id,
    fill_count,
    remaining_count
});
fields!(CancelledFields {
    order_id,
    reduced_by
});
fields!(PageFields {
    order,
    orders,
    fills,
    market_positions,
    cursor,
    balance,
    balance_dollars,
});

impl KalshiOrders {
    /// For an account's key and the markets of the tape. `shards` is what the listings wrote into.
    pub const fn new(
        signer: Signer,
        instruments: Instruments,
        shards: Shards,
        config: OrderConfig,
    ) -> Self {
        Self {
            signer,
            instruments,
            shards,
            config,
        }
    }

    fn listed(&self, order: &NewOrder<'_>) -> Result<&Listed, Refusal> {
        let listed = self.instruments.id(order.instrument);
        listed.ok_or_else(|| refuse("its market is not listed"))
    }

    fn request(
        &self,
        method: Method,
        target: String,
        bucket: Bucket,
        now: Nanos,
    ) -> Result<Request, WireError> {
        Ok(Request {
            method,
            base: REST,
            headers: self.signer.headers(method, &target, now)?,
            target,
            body: String::new(),
            bucket,
            weight: CALL_WEIGHT,
        })
    }

    /// A read that could not be signed goes out unsigned: the venue refuses it and it is asked again.
    fn read_request(&self, target: String, now: Nanos) -> Request {
        let signed = self.request(Method::Get, target.clone(), Bucket::Read, now);
        signed.unwrap_or_else(|_| Request {
            weight: CALL_WEIGHT,
            ..Request::get(REST, target, Bucket::Read)
        })
    }

    fn body<'a>(&self, order: &NewOrder<'a>, listed: &'a Listed) -> Result<Body<'a>, Refusal> {
        let price = match order.order_type {
            OrderType::Limit => order.price,
            OrderType::Market => order.worst_price,
            OrderType::Stop => return Err(refuse("the venue has no stop orders")),
        };
        if price.0 <= 0 || price.0 >= one_dollar(listed) {
            return Err(refuse("its price is not above 0 and below 1 dollar"));
        }
        if order.qty.0 <= 0 {
            return Err(refuse("its quantity is not above zero"));
        }
        let takes = order.order_type == OrderType::Market
            || order.time_in_force == TimeInForce::ImmediateOrCancel;
        Ok(Body {
            ticker: &listed.symbol,
            client_order_id: order.client_id,
            side: match order.side {
                Side::Buy => "bid",
                Side::Sell => "ask",
            },
            count: wire_number(listed.decimals.qty_decimal(order.qty), 2)?,
            price: wire_number(listed.decimals.price_decimal(price), 4)?,
            time_in_force: match takes {
                true => "immediate_or_cancel",
                false => "good_till_canceled",
            },
            self_trade_prevention_type: self.config.self_trade_prevention,
            post_only: !takes && order.time_in_force == TimeInForce::PostOnly,
            cancel_order_on_pause: self.config.cancel_order_on_pause,
            reduce_only: false,
            subaccount: self.config.subaccount,
            exchange_index: self.shards.of(&listed.symbol),
        })
    }

    /// Reads the answer to an order that was taken.
    fn accepted(&self, order: &NewOrder<'_>, body: &[u8]) -> Result<PlaceAnswer, WireError> {
        let reader = Reader("order answer");
        let f: PlacedFields<'_> = reader.object(reader.utf8(body)?)?;
        let venue_id = reader.text("order_id", f.order_id)?;
        if let Some(client_id) = reader.optional_text("client_order_id", f.client_order_id)?
            && client_id != order.client_id
        {
            return Err(reader.bad("client_order_id", &client_id, "the id that was sent"));
        }
        let Some(listed) = self.instruments.id(order.instrument) else {
            return Err(reader.bad("ticker", "unlisted", "a listed market"));
        };
        let filled = reader.qty("fill_count", f.fill_count, listed)?;
        let remaining = reader.qty("remaining_count", f.remaining_count, listed)?;
        if filled.0 < 0 || remaining.0 < 0 || filled.0.saturating_add(remaining.0) > order.qty.0 {
            let value = listed.decimals.qty_decimal(filled).to_string();
            return Err(reader.bad("fill_count", &value, "counts that fit the order"));
        }
        let state = match (filled, remaining) {
            (filled, _) if filled == order.qty => OrderState::Filled,
            (_, Qty(0)) => ended(order),
            (Qty(0), _) => OrderState::Acked,
            _ => OrderState::PartiallyFilled,
        };
        Ok(PlaceAnswer::Accepted {
            facts: vec![fact(order, &venue_id, state, filled)],
            venue_id: venue_id.into_owned(),
        })
    }

    /// Reads the answer to a cancel that was done.
    fn taken_back(&self, order: &KnownOrder<'_>, body: &[u8]) -> Result<CancelAnswer, WireError> {
        let reader = Reader("cancel answer");
        let f: CancelledFields<'_> = reader.object(reader.utf8(body)?)?;
        let venue_id = reader.text("order_id", f.order_id)?;
        if order.venue_id.is_some_and(|asked| asked != venue_id) {
            return Err(reader.bad("order_id", &venue_id, "the order that was cancelled"));
        }
        let Some(listed) = self.instruments.id(order.order.instrument) else {
            return Err(reader.bad("ticker", "unlisted", "a listed market"));
        };
        let reduced = reader.qty("reduced_by", f.reduced_by, listed)?;
        let filled = Qty(order.order.qty.0.saturating_sub(reduced.0));
        if reduced.0 < 0 || filled.0 < 0 {
            let value = listed.decimals.qty_decimal(reduced).to_string();
            return Err(reader.bad("reduced_by", &value, "a count that fits the order"));
        }
        // Nothing was left to take back: how it ended is for the look-up to say.
        if reduced.0 == 0 {
            return Ok(CancelAnswer::Gone);
        }
        let cancelled = fact(&order.order, &venue_id, OrderState::Cancelled, filled);
        Ok(CancelAnswer::Cancelled(vec![cancelled]))
    }

    /// Facts of a look-up; `None` when the venue has no such order.
    fn find(
        &self,
        order: &KnownOrder<'_>,
        responses: &[Response<'_>],
    ) -> Result<Option<Vec<AccountFact>>, WireError> {
        let reader = Reader("look-up");
        let [orders, fills] = responses else {
            let count = responses.len().to_string();
            return Err(reader.bad("responses", &count, "the order and its fills"));
        };
        let orders = page(orders)?;
        let candidates: Vec<&RawValue> = match orders.order {
            Some(order) => vec![order],
            None => reader.list("orders", orders.orders)?,
        };
        let mut found = None;
        for candidate in candidates {
            let text = OrderText::read("order", candidate.get())?;
            if text.client_id.as_deref() == Some(order.order.client_id) {
                found = Some(text);
            }
        }
        let Some(found) = found else {
            // A page that is not the last proves nothing, and neither does another order under the id that was asked.
            if order.venue_id.is_some() || next_page(reader, orders.cursor)?.is_some() {
                return Err(reader.bad("client_order_id", "missing", "our order among the orders"));
            }
            return Ok(None);
        };
        let Some(mut fact) = found.fact(&self.instruments)? else {
            return Err(reader.bad("ticker", &found.market, "a listed market"));
        };
        // An order that had to be done at once expired; its taker did not take it back.
        if fact.state == OrderState::Cancelled {
            fact.state = ended(&order.order);
        }
        let fills_page = page(fills)?;
        let mut facts = Vec::new();
        let mut sum = Qty(0);
        for raw in reader.list::<&RawValue>("fills", fills_page.fills)? {
            let fill = FillText::read("fill", raw.get())?;
            if fill.order_id != found.order_id {
                continue;
            }
            if let Some(fill) = fill.fact(&self.instruments)? {
                sum.0 = sum.0.saturating_add(fill.qty.0);
                facts.push(AccountFact::Fill(fill));
            }
        }
        // Orders and fills are read one after the other: only fills that add up to the order's count are all of them.
        if fact.filled != Some(sum) {
            let expected = "fills that add up to the order's fill_count_fp";
            return Err(reader.bad("fills", &sum.0.to_string(), expected));
        }
        facts.push(AccountFact::Order(fact));
        Ok(Some(facts))
    }
}

impl OrderWire for KalshiOrders {
    fn venue(&self) -> &'static str {
        VENUE
    }

    fn place(&mut self, order: &NewOrder<'_>, now: Nanos) -> Result<Request, Refusal> {
        let listed = self.listed(order)?;
        let body = self.body(order, listed)?;
        let body = serde_json::to_string(&body).map_err(|e| refuse(&e.to_string()))?;
        let target = ORDERS.to_owned();
        let mut request = self
            .request(Method::Post, target, Bucket::Write, now)
            .map_err(|e| refuse(&e.to_string()))?;
        request
            .headers
            .push(("Content-Type", "application/json".to_owned()));
        request.body = body;
        Ok(request)
    }

    fn placed(&mut self, order: &NewOrder<'_>, response: Option<&Response<'_>>) -> PlaceAnswer {
        let unknown = |why: String| PlaceAnswer::Unknown { why };
        let Some(response) = response else {
            return unknown("no answer".to_owned());
        };
        match response.status {
            200..=299 => match self.accepted(order, response.body) {
                Ok(answer) => answer,
                Err(error) => unknown(error.to_string()),
            },
            // The text of a 409 is not documented; whatever it conflicts with, the look-up tells whether it is there.
            409 => PlaceAnswer::Duplicate,
            429 => PlaceAnswer::Busy {
                retry_after_ms: retry_after_ms(response),
                why: seen(response),
            },
            408 => unknown(seen(response)),
            400..=499 => match Refused::read(response.body) {
                Some(refused) => PlaceAnswer::Rejected {
                    why: format!("{}: {}", response.status, refused.why),
                },
                // Not the venue's words: a proxy's, who may know nothing of what happened behind it.
                None => unknown(seen(response)),
            },
            _ => unknown(seen(response)),
        }
    }

    fn cancel(&mut self, order: &KnownOrder<'_>, now: Nanos) -> Result<Request, Refusal> {
        let Some(venue_id) = order.venue_id else {
            return Err(refuse("the venue's id of the order is not known yet"));
        };
        let mut target = format!("{ORDERS}/{}", encoded(venue_id));
        let mut parameters = Vec::new();
        if self.config.subaccount != 0 {
            parameters.push(format!("subaccount={}", self.config.subaccount));
        }
        let listed = self.listed(&order.order)?;
        if let Some(index) = self.shards.of(&listed.symbol).filter(|index| *index != 0) {
            parameters.push(format!("exchange_index={index}"));
        }
        if !parameters.is_empty() {
            target = format!("{target}?{}", parameters.join("&"));
        }
        self.request(Method::Delete, target, Bucket::Cancel, now)
            .map_err(|e| refuse(&e.to_string()))
    }

    fn cancelled(
        &mut self,
        order: &KnownOrder<'_>,
        response: Option<&Response<'_>>,
    ) -> CancelAnswer {
        let unknown = |why: String| CancelAnswer::Unknown { why };
        let Some(response) = response else {
            return unknown("no answer".to_owned());
        };
        match response.status {
            200..=299 => match self.taken_back(order, response.body) {
                Ok(answer) => answer,
                Err(error) => unknown(error.to_string()),
            },
            404 => CancelAnswer::Gone,
            429 => CancelAnswer::Busy {
                retry_after_ms: retry_after_ms(response),
                why: seen(response),
            },
            400..=499 => match Refused::read(response.body) {
                Some(refused) if refused.is_market_inactive() => CancelAnswer::Gone,
                _ => unknown(seen(response)),
            },
            _ => unknown(seen(response)),
        }
    }

    fn lookup(&mut self, order: &KnownOrder<'_>, now: Nanos) -> Vec<Request> {
        let (orders, fills) = match order.venue_id {
            Some(id) => {
                let id = encoded(id);
                (
                    format!("{KNOWN_ORDERS}/{id}"),
                    format!("{FILLS}?order_id={id}&limit={PAGE}"),
                )
            }
            None => {
                let symbol = match self.listed(&order.order) {
                    Ok(listed) => encoded(&listed.symbol),
                    Err(_) => return Vec::new(),
                };
                let decided_at = order.order.decided_at.0;
                let from = decided_at.saturating_sub(LOOKUP_MARGIN_NS) / SECOND_NS;
                let query = format!("ticker={symbol}&min_ts={from}&limit={PAGE}");
                (
                    format!("{KNOWN_ORDERS}?{query}"),
                    format!("{FILLS}?{query}"),
                )
            }
        };
        vec![
            self.read_request(orders, now),
            self.read_request(fills, now),
        ]
    }

    fn looked_up(
        &mut self,
        order: &KnownOrder<'_>,
        responses: &[Response<'_>],
        out: &mut Vec<AccountFact>,
    ) -> Result<bool, WireError> {
        let found = self.find(order, responses)?;
        Ok(found.map(|facts| out.extend(facts)).is_some())
    }

    fn ask(&mut self, query: &Query, cursor: Option<&str>, now: Nanos) -> Request {
        let mut target = match query {
            Query::OpenOrders => format!("{KNOWN_ORDERS}?status=resting&limit={PAGE}"),
            Query::Fills { since, .. } => {
                format!("{FILLS}?min_ts={}&limit={PAGE}", since.0 / SECOND_NS)
            }
            Query::Holdings => format!("{POSITIONS}?count_filter=position&limit={PAGE}"),
            Query::Balances => BALANCE.to_owned(),
        };
        if let Some(cursor) = cursor {
            target = format!("{target}&cursor={}", encoded(cursor));
        }
        self.read_request(target, now)
    }

    fn answer(
        &mut self,
        query: &Query,
        response: &Response<'_>,
        out: &mut Vec<AccountFact>,
    ) -> Result<Option<String>, WireError> {
        let reader = Reader("account page");
        let page = page(response)?;
        let mut facts = Vec::new();
        match query {
            Query::OpenOrders => {
                for raw in reader.list::<&RawValue>("orders", page.orders)? {
                    let order = OrderText::read("order", raw.get())?;
                    facts.extend(order.fact(&self.instruments)?.map(AccountFact::Order));
                }
            }
            Query::Fills { .. } => {
                for raw in reader.list::<&RawValue>("fills", page.fills)? {
                    let fill = FillText::read("fill", raw.get())?;
                    facts.extend(fill.fact(&self.instruments)?.map(AccountFact::Fill));
                }
            }
            Query::Holdings => {
                for raw in reader.list::<&RawValue>("market_positions", page.market_positions)? {
                    let position = PositionText::read("position", raw.get())?;
                    facts.extend(position.fact(&self.instruments)?.map(AccountFact::Holding));
                }
            }
            Query::Balances => {
                facts.push(AccountFact::Balance(balance(&page)?));
                out.append(&mut facts);
                return Ok(None);
            }
        }
        let next = next_page(reader, page.cursor)?;
        out.append(&mut facts);
        Ok(next)
    }
}

fn refuse(why: &str) -> Refusal {
    Refusal {
        venue: VENUE,
        why: why.to_owned(),
    }
}

/// A number with exactly so many decimals.
fn wire_number(value: Decimal, decimals: u32) -> Result<String, Refusal> {
    let mut value = value.normalize();
    if value.scale() > decimals {
        return Err(refuse(&format!(
            "{value} has more than the {decimals} decimals that the venue takes"
        )));
    }
    value.rescale(decimals);
    Ok(value.to_string())
}

/// How an order ended whose rest found nothing: one that takes at once expired, one that rests was taken back.
fn ended(order: &NewOrder<'_>) -> OrderState {
    let takes = order.order_type == OrderType::Market
        || order.time_in_force == TimeInForce::ImmediateOrCancel;
    if takes {
        OrderState::Expired
    } else {
        OrderState::Cancelled
    }
}

fn fact(order: &NewOrder<'_>, venue_id: &str, state: OrderState, filled: Qty) -> AccountFact {
    AccountFact::Order(OrderFact {
        key: OrderKey {
            client_id: Some(order.client_id.to_owned()),
            venue_id: Some(venue_id.to_owned()),
        },
        instrument: order.instrument,
        state,
        filled: Some(filled),
        why: String::new(),
    })
}

/// The fields of an answer to a question.
fn page<'a>(response: &Response<'a>) -> Result<PageFields<'a>, WireError> {
    if response.status != 200 {
        return Err(refusal(response));
    }
    let reader = Reader("account page");
    reader.object(reader.utf8(response.body)?)
}

/// The next page; an empty cursor ends them.
fn next_page(reader: Reader, cursor: Raw<'_>) -> Result<Option<String>, WireError> {
    let cursor = reader.optional_text("cursor", cursor)?;
    Ok(cursor.map(|cursor| cursor.into_owned()))
}

/// Cash over all shards. What open orders hold back is not part of it, and the venue does not tell it here.
fn balance(page: &PageFields<'_>) -> Result<Balance, WireError> {
    let reader = Reader("balance");
    let free = match page.balance_dollars {
        Some(_) => reader.decimal("balance_dollars", page.balance_dollars)?,
        // Integer cents: all that older answers have.
        None => reader
            .decimal("balance", page.balance)?
            .checked_mul(Decimal::new(1, 2))
            .ok_or_else(|| reader.bad("balance", "too large", "an amount in cents"))?,
    };
    Ok(Balance {
        currency: "USD".to_owned(),
        free,
        locked: Decimal::ZERO,
    })
}
