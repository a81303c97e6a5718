//! Orders and account queries over REST ("Order" and "Asset" of the exchange API).
//!
//! An identifier is good for one order, even one that was refused. The venue has no market order to buy a quantity: it
//! buys for an amount of money (`price`), so a market order is a limit order at the worst price by default.
use super::account::{AccountRow, OrderAnswer};
use super::auth::{Nonces, Signer};
use super::error::{ApiError, Remaining, bad_field};
use super::{VENUE, currencies};
use crate::gateway::{
    AccountFact, Bucket, CancelAnswer, FillFact, FilledSoFar, Instruments, KnownOrder, Listed,
    Method, NewOrder, OrderWire, PlaceAnswer, Query, Refusal, Request, Response, WireError,
    shortened,
};
use onetape_engine::id::OrderId;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::{DAY_NS, Nanos, SECOND_NS};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Orders on a full page of /v1/orders/open and /v1/orders/closed.
const OPEN_MAX: usize = 100;
const CLOSED_MAX: usize = 1000;
/// The longest time that /v1/orders/closed covers at once: 7 days.
const CLOSED_SPAN_NS: u64 = 7 * DAY_NS;
/// Times on the tape and the venue's lie no further apart: with a clock that is off by a minute nothing is traded.
const CLOCKS_APART_NS: u64 = 60 * SECOND_NS;
/// Look-ups under way that are remembered.
const LOOKUPS_MAX: usize = 4096;
const NS_PER_MS: u64 = 1_000_000;

/// How a market order is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarketOrders {
    /// As a limit order at the worst price, with `ioc`: never more than the quantity, never worse than the price.
    WorstPrice,
    /// As the venue's market orders: `market` sells the quantity, `price` buys for the money that the quantity costs at the
    /// worst price, which is more units where the market is better.
    AtMarket,
    /// As its best orders: `best` with `ioc`, at the best opposite price only, otherwise as `AtMarket`.
    Best,
}

/// Limits of [`Orders`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrdersConfig {
    /// How a market order is sent: at the worst price.
    pub market_orders: MarketOrders,
    /// How long after its decision an order that is not found may still be under way: 30 s. Before that, "not found"
    /// proves nothing.
    pub lost_after_ns: u64,
    /// Orders can rest for long before they fill: fills are looked for in orders placed since the oldest one of ours that
    /// is asked about, and at most this long before: 7 days. An older order that is still open is found as such.
    pub lookback_ns: u64,
}

impl Default for OrdersConfig {
    fn default() -> Self {
        Self {
            market_orders: MarketOrders::WorstPrice,
            lost_after_ns: 30 * SECOND_NS,
            lookback_ns: 7 * DAY_NS,
        }
    }
}

/// What the last page of fills was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Closed { end: Nanos, now: Nanos },
    Open { page: u32 },
    Order,
}

/// The way through an account's fills: closed orders, open orders, and the trades of each that has any.
#[derive(Debug)]
struct Walk {
    page: Page,
    uuids: VecDeque<String>,
    /// Where it goes on when these are done.
    then: Option<String>,
}

/// The order interface.
#[derive(Debug)]
pub struct Orders {
    config: OrdersConfig,
    signer: Signer,
    nonces: Nonces,
    instruments: Instruments,
    /// When look-ups under way were asked.
    looked_up_at: HashMap<OrderId, Nanos>,
    walk: Walk,
    /// Which page of open orders was asked for last.
    open_page: u32,
}

/// What an answer amounts to.
enum Judged<'a> {
    Done(&'a [u8]),
    Refused(ApiError),
    Busy { retry_after_ms: u64, why: String },
    Unknown(String),
}

fn judged<'a>(response: Option<&Response<'a>>) -> Judged<'a> {
    let Some(response) = response else {
        return Judged::Unknown("no answer".to_owned());
    };
    let error = ApiError::read(response.body);
    let words = |error: &Option<ApiError>| match error {
        Some(error) => shortened(&error.to_string()),
        None => format!("http {}", response.status),
    };
    let busy = |default_s: u64| {
        let asked = response.header("retry-after");
        let seconds = asked.and_then(|text| text.parse().ok());
        let left = response.header("remaining-req").and_then(Remaining::read);
        let group = left.map_or_else(String::new, |left| format!(" (group {})", left.group));
        Judged::Busy {
            retry_after_ms: seconds.unwrap_or(default_s).saturating_mul(1000),
            why: words(&error) + &group,
        }
    };
    match response.status {
        200..=299 => Judged::Done(response.body),
        // The budget is by the second; who goes on is banned, longer each time.
        429 => busy(1),
        418 => busy(60),
        500.. => Judged::Unknown(words(&error)),
        _ => match error {
            Some(error) if error.name.is("server_error") => Judged::Unknown(words(&Some(error))),
            Some(error) => Judged::Refused(error),
            None => Judged::Unknown(words(&None)),
        },
    }
}

fn body<'a>(response: &Response<'a>) -> Result<&'a [u8], WireError> {
    match judged(Some(response)) {
        Judged::Done(body) => Ok(body),
        Judged::Refused(error) => Err(error.refused()),
        Judged::Busy { why, .. } | Judged::Unknown(why) => Err(WireError::Refused {
            venue: VENUE,
            code: response.status.to_string(),
            message: why,
        }),
    }
}

fn refusal(why: &str) -> Refusal {
    Refusal {
        venue: VENUE,
        why: why.to_owned(),
    }
}

/// Pairs as a query, in their order. No value needs encoding.
fn query_of(pairs: &[(&str, String)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

impl Orders {
    /// For orders in these instruments.
    pub fn new(
        config: OrdersConfig,
        signer: Signer,
        nonces: Nonces,
        instruments: Instruments,
    ) -> Self {
        Self {
            config,
            signer,
            nonces,
            instruments,
            looked_up_at: HashMap::new(),
            walk: Walk {
                page: Page::Order,
                uuids: VecDeque::new(),
                then: None,
            },
            open_page: 1,
        }
    }

    fn signed(&mut self, method: Method, path: &str, query: &str, now: Nanos) -> Request {
        let nonce = self.nonces.next(now);
        let bucket = match method {
            Method::Get => Bucket::Read,
            Method::Post => Bucket::Write,
            Method::Delete => Bucket::Cancel,
        };
        let separator = if query.is_empty() { "" } else { "?" };
        Request {
            method,
            base: "rest",
            target: format!("{path}{separator}{query}"),
            headers: vec![("Authorization", self.signer.bearer(query, &nonce))],
            body: String::new(),
            bucket,
            weight: 1,
        }
    }

    fn listed(&self, order: &NewOrder<'_>) -> Result<&Listed, Refusal> {
        let listed = self.instruments.id(order.instrument);
        listed.ok_or_else(|| refusal("the instrument is not one of this venue's"))
    }

    /// `ord_type` and what goes with it.
    fn terms(
        &self,
        order: &NewOrder<'_>,
        listed: &Listed,
    ) -> Result<Vec<(&'static str, String)>, Refusal> {
        let decimals = listed.decimals;
        let volume = || {
            let volume = decimals.qty_decimal(order.qty).normalize();
            ("volume", volume.to_string())
        };
        let at = |price: Price| {
            let text = decimals.price_decimal(price).normalize().to_string();
            if price > Price(0) {
                Ok(("price", text))
            } else {
                Err(refusal("the price is not positive"))
            }
        };
        let kind = |kind: &str| ("ord_type", kind.to_owned());
        let lasts = |time_in_force: &str| ("time_in_force", time_in_force.to_owned());
        // For how much money: whole won, eight decimals of other currencies.
        let money = || {
            let won = currencies(&listed.symbol).is_some_and(|(_, quote)| quote == "KRW");
            let worst = decimals.price_decimal(order.worst_price);
            let total = worst.checked_mul(decimals.qty_decimal(order.qty));
            let total = total.map(|total| total.trunc_with_scale(if won { 0 } else { 8 }));
            match total {
                Some(total) if !total.is_zero() && order.worst_price > Price(0) => {
                    Ok(("price", total.normalize().to_string()))
                }
                _ => Err(refusal("the order's money is not positive")),
            }
        };
        Ok(match (order.order_type, order.time_in_force) {
            (OrderType::Limit, TimeInForce::GoodTillCancel) => {
                vec![volume(), at(order.price)?, kind("limit")]
            }
            (OrderType::Limit, TimeInForce::ImmediateOrCancel) => {
                vec![volume(), at(order.price)?, kind("limit"), lasts("ioc")]
            }
            (OrderType::Limit, TimeInForce::PostOnly) => {
                vec![
                    volume(),
                    at(order.price)?,
                    kind("limit"),
                    lasts("post_only"),
                ]
            }
            (OrderType::Market, TimeInForce::PostOnly) => {
                return Err(refusal("only a limit order can be post-only"));
            }
            (OrderType::Market, _) => match (self.config.market_orders, order.side) {
                (MarketOrders::WorstPrice, _) => {
                    let price = at(order.worst_price)?;
                    vec![volume(), price, kind("limit"), lasts("ioc")]
                }
                (MarketOrders::AtMarket, Side::Buy) => vec![money()?, kind("price")],
                (MarketOrders::AtMarket, Side::Sell) => vec![volume(), kind("market")],
                (MarketOrders::Best, Side::Buy) => vec![money()?, kind("best"), lasts("ioc")],
                (MarketOrders::Best, Side::Sell) => vec![volume(), kind("best"), lasts("ioc")],
            },
            (OrderType::Stop, _) => return Err(refusal("the venue has no stop orders")),
        })
    }

    fn open_query(page: u32) -> String {
        format!("states[]=wait&states[]=watch&page={page}&limit={OPEN_MAX}&order_by=asc")
    }

    fn ask_fills(
        &mut self,
        since: Nanos,
        of: &BTreeMap<String, FilledSoFar>,
        cursor: Option<&str>,
        now: Nanos,
    ) -> Request {
        let oldest = of.values().map(|order| order.decided_at).min();
        let oldest = oldest.map_or(since, |at| Nanos(at.0.saturating_sub(CLOCKS_APART_NS)));
        let start = oldest.max(Nanos(since.0.saturating_sub(self.config.lookback_ns)));
        let (kind, value) = cursor
            .and_then(|cursor| cursor.split_once(':'))
            .unwrap_or(("closed", ""));
        if cursor.is_none() {
            self.walk.uuids.clear();
        }
        match kind {
            "order" => {
                self.walk.page = Page::Order;
                self.signed(Method::Get, "/v1/order", &format!("uuid={value}"), now)
            }
            "open" => {
                let page = value.parse().unwrap_or(1);
                self.walk.page = Page::Open { page };
                self.signed(Method::Get, "/v1/orders/open", &Self::open_query(page), now)
            }
            _ => {
                let start = value.parse().map_or(start, Nanos);
                let end = start.after(CLOSED_SPAN_NS).min(now);
                self.walk.page = Page::Closed { end, now };
                let query = format!(
                    "states[]=done&states[]=cancel&start_time={}&end_time={}&limit={CLOSED_MAX}&order_by=asc",
                    start.0 / NS_PER_MS,
                    end.0.div_ceil(NS_PER_MS),
                );
                self.signed(Method::Get, "/v1/orders/closed", &query, now)
            }
        }
    }

    fn fills_page(
        &mut self,
        since: Nanos,
        of: &BTreeMap<String, FilledSoFar>,
        response: &Response<'_>,
        out: &mut Vec<AccountFact>,
    ) -> Result<Option<String>, WireError> {
        let body = body(response)?;
        if self.walk.page == Page::Order {
            let order = OrderAnswer::read(body)?;
            if let Some(listed) = self.instruments.symbol(&order.market) {
                let fills = order.fills(listed)?.into_iter();
                // The venue's times are cut to the second.
                let recent = |fill: &FillFact| fill.at.after(SECOND_NS) > since;
                out.extend(fills.filter(recent).map(AccountFact::Fill));
            }
        } else {
            let rows = OrderAnswer::list(body)?;
            for row in &rows {
                // Each is a request of its own, and an account can have thousands.
                let known = match row.identifier.as_deref() {
                    Some(client_id) => of.get(client_id).map(|order| order.filled),
                    None => Some(Qty(0)),
                };
                if let Some(listed) = self.instruments.symbol(&row.market)
                    && let Some(known) = known
                    && row.executed(listed)? > known
                {
                    self.walk.uuids.push_back(row.uuid.as_ref().to_owned());
                }
            }
            self.walk.then = match (self.walk.page, rows.last()) {
                // The rest of this span: from the last one's second on, or the next where that is all one second.
                (Page::Closed { .. }, Some(last)) if rows.len() >= CLOSED_MAX => {
                    let first = rows.first().unwrap_or(last).created_at()?;
                    let mut next = last.created_at()?;
                    if next == first {
                        next = next.after(SECOND_NS);
                    }
                    Some(format!("closed:{}", next.0))
                }
                (Page::Closed { end, now }, _) if end < now => Some(format!("closed:{}", end.0)),
                (Page::Closed { .. }, _) => Some("open:1".to_owned()),
                (Page::Open { page }, _) if rows.len() >= OPEN_MAX => {
                    Some(format!("open:{}", page.saturating_add(1)))
                }
                _ => None,
            };
        }
        let next = self.walk.uuids.pop_front();
        Ok(next
            .map(|uuid| format!("order:{uuid}"))
            .or_else(|| self.walk.then.take()))
    }
}

impl OrderWire for Orders {
    fn venue(&self) -> &'static str {
        VENUE
    }

    fn pause_ms(&self, response: &Response<'_>, now: Nanos) -> Option<u64> {
        let left = response.header("remaining-req").and_then(Remaining::read)?;
        // One is kept for a cancel; the count begins anew with the second.
        (left.this_second <= 1).then(|| 1_000 - now.0 / 1_000_000 % 1_000)
    }

    fn place(&mut self, order: &NewOrder<'_>, now: Nanos) -> Result<Request, Refusal> {
        let listed = self.listed(order)?;
        if order.qty <= Qty(0) {
            return Err(refusal("the quantity is not positive"));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if order.client_id.is_empty() || !order.client_id.bytes().all(allowed) {
            return Err(refusal(
                "the client id has other than letters, digits and '-'",
            ));
        }
        let side = match order.side {
            Side::Buy => "bid",
            Side::Sell => "ask",
        };
        let mut pairs = vec![("market", listed.symbol.clone()), ("side", side.to_owned())];
        pairs.extend(self.terms(order, listed)?);
        pairs.push(("identifier", order.client_id.to_owned()));
        let request = self.signed(Method::Post, "/v1/orders", &query_of(&pairs), now);
        let fields = pairs
            .iter()
            .map(|(name, value)| format!("\"{name}\":{}", serde_json::Value::from(value.as_str())));
        let body = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
        let mut headers = request.headers;
        headers.push(("content-type", "application/json".to_owned()));
        Ok(Request {
            target: "/v1/orders".to_owned(),
            body,
            headers,
            ..request
        })
    }

    fn placed(&mut self, order: &NewOrder<'_>, response: Option<&Response<'_>>) -> PlaceAnswer {
        let unknown = |why: String| PlaceAnswer::Unknown { why };
        match judged(response) {
            Judged::Unknown(why) => unknown(why),
            Judged::Busy {
                retry_after_ms,
                why,
            } => PlaceAnswer::Busy {
                retry_after_ms,
                why,
            },
            Judged::Refused(error) if error.name.is("duplicated_identifier") => {
                PlaceAnswer::Duplicate
            }
            Judged::Refused(error) => PlaceAnswer::Rejected {
                why: shortened(&error.to_string()),
            },
            Judged::Done(body) => {
                let read = || {
                    let answer = OrderAnswer::read(body)?;
                    let listed = self.instruments.id(order.instrument);
                    let ours = answer
                        .identifier
                        .as_deref()
                        .is_none_or(|id| id == order.client_id);
                    let listed = listed.filter(|listed| ours && listed.symbol == answer.market);
                    let id = answer.identifier.as_deref().unwrap_or_default();
                    let listed =
                        listed.ok_or_else(|| bad_field("order", "identifier", id, "our order"))?;
                    let mut state = answer.state(listed)?;
                    state.key.client_id = Some(order.client_id.to_owned());
                    Ok::<_, WireError>((answer.uuid.into_owned(), state))
                };
                match read() {
                    Ok((venue_id, state)) => PlaceAnswer::Accepted {
                        venue_id,
                        facts: vec![AccountFact::Order(state)],
                    },
                    Err(error) => unknown(error.to_string()),
                }
            }
        }
    }

    fn cancel(&mut self, order: &KnownOrder<'_>, now: Nanos) -> Result<Request, Refusal> {
        self.listed(&order.order)?;
        let query = format!("identifier={}", order.order.client_id);
        Ok(self.signed(Method::Delete, "/v1/order", &query, now))
    }

    fn cancelled(
        &mut self,
        order: &KnownOrder<'_>,
        response: Option<&Response<'_>>,
    ) -> CancelAnswer {
        match judged(response) {
            Judged::Unknown(why) => CancelAnswer::Unknown { why },
            Judged::Busy {
                retry_after_ms,
                why,
            } => CancelAnswer::Busy {
                retry_after_ms,
                why,
            },
            Judged::Refused(error) if error.name.is("order_not_found") => CancelAnswer::Gone,
            Judged::Refused(error) => CancelAnswer::Unknown {
                why: shortened(&error.to_string()),
            },
            Judged::Done(body) => {
                let state = OrderAnswer::read(body).and_then(|answer| {
                    let listed = self.instruments.symbol(&answer.market);
                    let listed = listed.ok_or_else(|| {
                        bad_field("order", "market", &answer.market, "a market on the tape")
                    })?;
                    answer.state(listed)
                });
                match state {
                    // The answer is the order as it was; that it ended comes on the socket.
                    Ok(mut state) if state.state == OrderState::Cancelled => {
                        state.key.client_id = Some(order.order.client_id.to_owned());
                        CancelAnswer::Cancelled(vec![AccountFact::Order(state)])
                    }
                    Ok(state) if state.state.is_final() => CancelAnswer::Gone,
                    Ok(_) => CancelAnswer::Accepted,
                    Err(error) => CancelAnswer::Unknown {
                        why: error.to_string(),
                    },
                }
            }
        }
    }

    fn lookup(&mut self, order: &KnownOrder<'_>, now: Nanos) -> Vec<Request> {
        if self.looked_up_at.len() >= LOOKUPS_MAX {
            self.looked_up_at.clear();
        }
        self.looked_up_at.insert(order.order.order, now);
        let query = format!("identifier={}", order.order.client_id);
        vec![self.signed(Method::Get, "/v1/order", &query, now)]
    }

    fn looked_up(
        &mut self,
        order: &KnownOrder<'_>,
        responses: &[Response<'_>],
        out: &mut Vec<AccountFact>,
    ) -> Result<bool, WireError> {
        let asked_at = self.looked_up_at.remove(&order.order.order);
        let waited = asked_at.map_or(0, |at| at.since(order.order.decided_at));
        let response = responses
            .first()
            .ok_or_else(|| bad_field("order query", "answers", "", "an order"))?;
        if let Judged::Refused(error) = judged(Some(response))
            && error.name.is("order_not_found")
            && waited > self.config.lost_after_ns
        {
            return Ok(false);
        }
        let answer = OrderAnswer::read(body(response)?)?;
        let listed = self
            .instruments
            .symbol(&answer.market)
            .ok_or_else(|| bad_field("order", "market", &answer.market, "a market on the tape"))?;
        let client_id = || Some(order.order.client_id.to_owned());
        let mut state = answer.state(listed)?;
        state.key.client_id = client_id();
        for mut fill in answer.fills(listed)? {
            fill.key.client_id = client_id();
            out.push(AccountFact::Fill(fill));
        }
        out.push(AccountFact::Order(state));
        Ok(true)
    }

    fn ask(&mut self, query: &Query, cursor: Option<&str>, now: Nanos) -> Request {
        match query {
            Query::OpenOrders => {
                self.open_page = cursor.and_then(|page| page.parse().ok()).unwrap_or(1);
                let query = Self::open_query(self.open_page);
                self.signed(Method::Get, "/v1/orders/open", &query, now)
            }
            Query::Fills { since, of } => self.ask_fills(*since, of, cursor, now),
            Query::Holdings | Query::Balances => self.signed(Method::Get, "/v1/accounts", "", now),
        }
    }

    fn answer(
        &mut self,
        query: &Query,
        response: &Response<'_>,
        out: &mut Vec<AccountFact>,
    ) -> Result<Option<String>, WireError> {
        match query {
            Query::OpenOrders => {
                let rows = OrderAnswer::list(body(response)?)?;
                for row in &rows {
                    // Somebody else's orders on the same account are none of ours.
                    if let Some(listed) = self.instruments.symbol(&row.market) {
                        out.push(AccountFact::Order(row.state(listed)?));
                    }
                }
                let next = self.open_page.saturating_add(1);
                Ok((rows.len() >= OPEN_MAX).then(|| next.to_string()))
            }
            Query::Fills { since, of } => self.fills_page(*since, of, response, out),
            Query::Holdings => {
                for row in AccountRow::list(body(response)?)? {
                    out.extend(row.holding(&self.instruments)?.map(AccountFact::Holding));
                }
                Ok(None)
            }
            Query::Balances => {
                for row in AccountRow::list(body(response)?)? {
                    out.push(AccountFact::Balance(row.balance()?));
                }
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
