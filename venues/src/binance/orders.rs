//! Orders and account queries of the spot over REST (rest-api.md, "Trading endpoints" and "Account endpoints").
use super::answer::{
    Account, Judged, OrderAnswer, ServerTime, TradeRow, body, from_ms, judged, pair_of, read, to_ms,
};
use super::error::{NO_SUCH_SYMBOL, bad_field};
use super::pairs::{Pair, Pairs};
use super::sign::{API_KEY_HEADER, Form, Signer};
use super::{ApiError, VENUE};
use crate::gateway::{
    AccountFact, Bucket, CancelAnswer, Holding, KnownOrder, Method, NewOrder, OrderFact, OrderKey,
    OrderWire, PlaceAnswer, Query, Refusal, Request, Response, WireError,
};
use onetape_engine::id::OrderId;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::{Nanos, SECOND_NS};
use rust_decimal::Decimal;
use std::collections::{HashMap, HashSet};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
/// Rows on a full page of myTrades.
const TRADES_MAX: usize = 1000;
/// Look-ups under way that are remembered.
const LOOKUPS_MAX: usize = 4096;

/// Limits of [`Orders`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrdersConfig {
    /// `recvWindow`, how long a signed request is good; the venue advises 5000 ms or less: 5000 ms.
    pub recv_window_ms: u64,
    /// How long after its decision an order that is not found may still be under way: 30 s. Before that, "does not
    /// exist" proves nothing.
    pub lost_after_ns: u64,
}

impl Default for OrdersConfig {
    fn default() -> Self {
        Self {
            recv_window_ms: 5000,
            lost_after_ns: 30 * SECOND_NS,
        }
    }
}

/// The order interface. One of our client ids is never sent twice: the venue refuses it only while the first is open.
#[derive(Debug)]
pub struct Orders {
    config: OrdersConfig,
    signer: Signer,
    pairs: Pairs,
    /// When look-ups under way were asked.
    looked_up_at: HashMap<OrderId, Nanos>,
    /// Which pair's fills were asked for last.
    fills_of: usize,
}

impl Orders {
    /// For orders in these instruments.
    pub fn new(config: OrdersConfig, signer: Signer, pairs: Pairs) -> Self {
        Self {
            config,
            signer,
            pairs,
            looked_up_at: HashMap::new(),
            fills_of: 0,
        }
    }

    fn signed(&self, method: Method, path: &str, form: Form, now: Nanos) -> Request {
        let form = form
            .with("recvWindow", self.config.recv_window_ms)
            .with("timestamp", to_ms(now));
        let signed = self.signer.signed(form);
        let mut headers = vec![(API_KEY_HEADER, self.signer.api_key().to_owned())];
        let (target, body) = if method == Method::Post {
            headers.push((FORM.0, FORM.1.to_owned()));
            (path.to_owned(), signed)
        } else {
            (format!("{path}?{signed}"), String::new())
        };
        let bucket = match method {
            Method::Get => Bucket::Read,
            Method::Post => Bucket::Write,
            Method::Delete => Bucket::Cancel,
        };
        Request {
            method,
            base: "rest",
            target,
            headers,
            body,
            bucket,
            weight: 1,
        }
    }

    fn query(&self, path: &str, form: Form, weight: u32, now: Nanos) -> Request {
        Request {
            weight,
            ..self.signed(Method::Get, path, form, now)
        }
    }

    fn pair_to_trade(&self, order: &NewOrder<'_>) -> Result<&Pair, Refusal> {
        let pair = self.pairs.id(order.instrument);
        pair.ok_or_else(|| refusal("the instrument is not one of this venue's"))
    }

    /// Balances; with `positions` also what the first pair of each base currency holds.
    fn account(
        &self,
        response: &Response<'_>,
        positions: bool,
        out: &mut Vec<AccountFact>,
    ) -> Result<(), WireError> {
        let account: Account<'_> = read("account", body(response)?)?;
        let known: HashSet<&str> = self
            .pairs
            .iter()
            .flat_map(|pair| [pair.base.as_str(), pair.quote.as_str()])
            .collect();
        for row in &account.balances {
            let balance = row.balance()?;
            let total = balance.free + balance.locked;
            if positions {
                let of = |pair: &&Pair| pair.base == balance.currency;
                if let Some(pair) = self.pairs.iter().find(of) {
                    out.push(AccountFact::Holding(Holding {
                        instrument: pair.listed.instrument,
                        qty: whole_lots(pair, total)?,
                    }));
                }
            } else if !total.is_zero() || known.contains(balance.currency.as_str()) {
                // The venue lists every asset there is; zeros count where we trade.
                out.push(AccountFact::Balance(balance));
            }
        }
        Ok(())
    }
}

/// A balance as a position. Commissions leave dust below the instrument's decimals that can't be traded.
fn whole_lots(pair: &Pair, total: Decimal) -> Result<Qty, WireError> {
    let decimals = pair.listed.decimals;
    let traded = total.trunc_with_scale(decimals.qty.into());
    decimals.qty_from(traded).map_err(|why| WireError::Number {
        venue: VENUE,
        symbol: pair.listed.symbol.clone(),
        field: "free",
        value: total.to_string(),
        why,
    })
}

fn refusal(why: &str) -> Refusal {
    Refusal {
        venue: VENUE,
        why: why.to_owned(),
    }
}

/// "newClientOrderId", filter on ids: `^[a-zA-Z0-9-_]{1,36}$`.
fn is_client_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=36).contains(&id.len()) && id.bytes().all(allowed)
}

/// Counts that the venue keeps of us: header, how much of its limit leaves nothing but cancels (nine tenths of 6,000 weight
/// a minute and of 50 orders in 10 s), and its window in ms.
const COUNTS: [(&str, u64, u64); 2] = [
    ("x-mbx-used-weight-1m", 5_400, 60_000),
    ("x-mbx-order-count-10s", 45, 10_000),
];

impl OrderWire for Orders {
    fn venue(&self) -> &'static str {
        VENUE
    }

    fn pause_ms(&self, response: &Response<'_>, now: Nanos) -> Option<u64> {
        let pause = |(header, limit, window_ms): (&str, u64, u64)| {
            let used: u64 = response.header(header)?.parse().ok()?;
            // Windows begin with whole minutes and whole tens of seconds.
            (used >= limit).then(|| window_ms - now.0 / 1_000_000 % window_ms)
        };
        COUNTS.into_iter().filter_map(pause).max()
    }

    fn place(&mut self, order: &NewOrder<'_>, now: Nanos) -> Result<Request, Refusal> {
        let pair = self.pair_to_trade(order)?;
        let decimals = pair.listed.decimals;
        if order.qty <= Qty(0) {
            return Err(refusal("the quantity is not positive"));
        }
        if order.order_type != OrderType::Market && order.price <= Price(0) {
            return Err(refusal("the price is not positive"));
        }
        if !is_client_id(order.client_id) {
            return Err(refusal(
                "the client id has other than 36 letters, digits, '-' and '_'",
            ));
        }
        let price = decimals.price_decimal(order.price).normalize();
        let (kind, extra): (&str, &[(&str, String)]) = match (order.order_type, order.time_in_force)
        {
            (OrderType::Limit, TimeInForce::GoodTillCancel) => (
                "LIMIT",
                &[
                    ("timeInForce", "GTC".to_owned()),
                    ("price", price.to_string()),
                ],
            ),
            (OrderType::Limit, TimeInForce::ImmediateOrCancel) => (
                "LIMIT",
                &[
                    ("timeInForce", "IOC".to_owned()),
                    ("price", price.to_string()),
                ],
            ),
            (OrderType::Limit, TimeInForce::PostOnly) => {
                ("LIMIT_MAKER", &[("price", price.to_string())])
            }
            (OrderType::Market | OrderType::Stop, TimeInForce::PostOnly) => {
                return Err(refusal("only a limit order can be post-only"));
            }
            (OrderType::Market, _) => ("MARKET", &[]),
            (OrderType::Stop, _) => ("STOP_LOSS", &[("stopPrice", price.to_string())]),
        };
        let side = match order.side {
            Side::Buy => "BUY",
            Side::Sell => "SELL",
        };
        let mut form = Form::default()
            .with("symbol", &pair.listed.symbol)
            .with("side", side)
            .with("type", kind);
        for (name, value) in extra {
            form = form.with(name, value);
        }
        let form = form
            .with("quantity", decimals.qty_decimal(order.qty).normalize())
            .with("newClientOrderId", order.client_id)
            .with("newOrderRespType", "FULL");
        Ok(self.signed(Method::Post, "/api/v3/order", form, now))
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
            // -2010 is every refusal of the matching engine; only this text says that the id is in use.
            Judged::Refused(ApiError { code: -2010, msg }) if msg.contains("Duplicate order") => {
                PlaceAnswer::Duplicate
            }
            Judged::Refused(error) => PlaceAnswer::Rejected { why: error.words() },
            Judged::Done(body) => {
                let answer: OrderAnswer<'_> = match read("order", body) {
                    Ok(answer) => answer,
                    Err(error) => return unknown(error.to_string()),
                };
                let pair = self.pairs.id(order.instrument);
                let Some(pair) = pair.filter(|_| answer.client_id() == order.client_id) else {
                    return unknown("the answer is about another order".to_owned());
                };
                let mut facts = Vec::new();
                match answer.facts(pair, &mut facts) {
                    Ok(()) => PlaceAnswer::Accepted {
                        venue_id: answer.order_id.to_string(),
                        facts,
                    },
                    Err(error) => unknown(error.to_string()),
                }
            }
        }
    }

    fn cancel(&mut self, order: &KnownOrder<'_>, now: Nanos) -> Result<Request, Refusal> {
        let pair = self.pair_to_trade(&order.order)?;
        let form = Form::default()
            .with("symbol", &pair.listed.symbol)
            .with("origClientOrderId", order.order.client_id);
        Ok(self.signed(Method::Delete, "/api/v3/order", form, now))
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
            Judged::Refused(ApiError { code: -2011, .. }) => CancelAnswer::Gone,
            // Our clock: the same request is good once that is set.
            Judged::Refused(error) if error.code == -1021 => CancelAnswer::Busy {
                retry_after_ms: 1000,
                why: error.words(),
            },
            Judged::Refused(error) => CancelAnswer::Unknown { why: error.words() },
            Judged::Done(body) => {
                let facts = || {
                    let answer: OrderAnswer<'_> = read("cancel", body)?;
                    let pair = pair_of(&self.pairs, "cancel", &answer.symbol)?;
                    if answer.client_id() != order.order.client_id {
                        let id = answer.client_id();
                        return Err(bad_field("cancel", "origClientOrderId", id, "our order"));
                    }
                    let mut facts = Vec::new();
                    answer.facts(pair, &mut facts).map(|()| facts)
                };
                match facts() {
                    Ok(facts) => CancelAnswer::Cancelled(facts),
                    Err(error) => CancelAnswer::Unknown {
                        why: error.to_string(),
                    },
                }
            }
        }
    }

    fn lookup(&mut self, order: &KnownOrder<'_>, now: Nanos) -> Vec<Request> {
        let Some(pair) = self.pairs.id(order.order.instrument) else {
            return Vec::new();
        };
        if self.looked_up_at.len() >= LOOKUPS_MAX {
            self.looked_up_at.clear();
        }
        self.looked_up_at.insert(order.order.order, now);
        let symbol = || Form::default().with("symbol", &pair.listed.symbol);
        let one = symbol().with("origClientOrderId", order.order.client_id);
        let (fills, weight) = match order.venue_id {
            Some(id) => (symbol().with("orderId", id), 5),
            // A minute for clocks that differ.
            None => {
                let since = Nanos(order.order.decided_at.0.saturating_sub(60 * SECOND_NS));
                (symbol().with("startTime", to_ms(since)), 20)
            }
        };
        vec![
            self.query("/api/v3/order", one, 4, now),
            self.query(
                "/api/v3/myTrades",
                fills.with("limit", TRADES_MAX),
                weight,
                now,
            ),
        ]
    }

    fn looked_up(
        &mut self,
        order: &KnownOrder<'_>,
        responses: &[Response<'_>],
        out: &mut Vec<AccountFact>,
    ) -> Result<bool, WireError> {
        const NAME: &str = "order query";
        let asked_at = self.looked_up_at.remove(&order.order.order);
        let first = responses.first();
        if let Judged::Refused(error) = judged(first) {
            let waited = asked_at.map_or(0, |at| at.since(order.order.decided_at));
            match error.code {
                // "Order does not exist.", or its pair does not any more.
                -2013 | NO_SUCH_SYMBOL if waited > self.config.lost_after_ns => return Ok(false),
                // "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
                -2026 => {
                    out.push(AccountFact::Order(OrderFact {
                        key: OrderKey {
                            client_id: Some(order.order.client_id.to_owned()),
                            venue_id: order.venue_id.map(str::to_owned),
                        },
                        instrument: order.order.instrument,
                        state: OrderState::Cancelled,
                        filled: Some(Qty(0)),
                        why: error.words(),
                    }));
                    return Ok(true);
                }
                _ => {}
            }
        }
        let (Some(first), Some(second)) = (first, responses.get(1)) else {
            return Err(bad_field(NAME, "answers", "", "an order and its fills"));
        };
        let answer: OrderAnswer<'_> = read(NAME, body(first)?)?;
        let rows: Vec<TradeRow<'_>> = read("myTrades", body(second)?)?;
        let pair = pair_of(&self.pairs, NAME, &answer.symbol)?;
        let mut facts = Vec::new();
        let mut filled = Qty(0);
        for row in rows.iter().filter(|row| row.order_id == answer.order_id) {
            let fill = row.fill(pair, Some(order.order.client_id))?;
            filled = Qty(filled.0.saturating_add(fill.qty.0));
            facts.push(AccountFact::Fill(fill));
        }
        let executed = answer.executed_qty.as_deref().unwrap_or("0");
        if pair.qty("executedQty", executed)? != filled {
            // The venue's trades lag behind its orders, or a fill came between the two answers.
            return Err(bad_field(
                NAME,
                "executedQty",
                executed,
                "the sum of the order's trades",
            ));
        }
        answer.facts(pair, &mut facts)?;
        out.append(&mut facts);
        Ok(true)
    }

    fn ask(&mut self, query: &Query, cursor: Option<&str>, now: Nanos) -> Request {
        match query {
            Query::OpenOrders => self.query("/api/v3/openOrders", Form::default(), 80, now),
            Query::Holdings | Query::Balances => {
                self.query("/api/v3/account", Form::default(), 20, now)
            }
            Query::Fills { since, .. } => {
                // "pair" or "pair:from trade".
                let cursor = cursor.unwrap_or("0");
                let (place, from) = cursor.split_once(':').unwrap_or((cursor, ""));
                self.fills_of = place.parse().unwrap_or(0);
                let symbol = self.pairs.iter().nth(self.fills_of);
                let form =
                    Form::default().with("symbol", symbol.map_or("", |pair| &pair.listed.symbol));
                let form = if from.is_empty() {
                    form.with("startTime", to_ms(*since))
                } else {
                    form.with("fromId", from)
                };
                self.query("/api/v3/myTrades", form.with("limit", TRADES_MAX), 20, now)
            }
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
                let rows: Vec<OrderAnswer<'_>> = read("openOrders", body(response)?)?;
                for row in rows {
                    // Somebody else's orders on the same account are none of ours.
                    if let Some(pair) = self.pairs.symbol(&row.symbol) {
                        row.facts(pair, out)?;
                    }
                }
                Ok(None)
            }
            Query::Holdings => self.account(response, true, out).map(|()| None),
            Query::Balances => self.account(response, false, out).map(|()| None),
            Query::Fills { .. } => {
                let rows: Vec<TradeRow<'_>> = match judged(Some(response)) {
                    // A pair that was taken off tells of no trades, and those of the others count.
                    Judged::Refused(error) if error.code == NO_SUCH_SYMBOL => Vec::new(),
                    _ => read("myTrades", body(response)?)?,
                };
                for row in &rows {
                    let pair = pair_of(&self.pairs, "myTrades", &row.symbol)?;
                    out.push(AccountFact::Fill(row.fill(pair, None)?));
                }
                let last = rows.last().filter(|_| rows.len() >= TRADES_MAX);
                let next_pair = self.fills_of.saturating_add(1);
                Ok(match last {
                    Some(last) => Some(format!("{}:{}", self.fills_of, last.id.saturating_add(1))),
                    None if self.pairs.iter().nth(next_pair).is_some() => {
                        Some(next_pair.to_string())
                    }
                    None => None,
                })
            }
        }
    }

    fn ask_time(&mut self, _: Nanos) -> Option<Request> {
        Some(Request::get("rest", "/api/v3/time", Bucket::Public))
    }

    fn time(&mut self, response: &Response<'_>) -> Result<Nanos, WireError> {
        let time: ServerTime = read("time", body(response)?)?;
        Ok(from_ms(time.server_time))
    }
}

#[cfg(test)]
mod tests;
