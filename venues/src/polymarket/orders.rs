//! Orders to the CLOB, and how it is found out what became of them.
//!
//! An order's hash is its id, and every byte that is hashed follows from the order on the tape: the salt from its client id,
//! the timestamp from its decision. So the id is known before anything is sent, a repeat is recognised by the venue, and a
//! look-up asks for exactly the order that went out.
//!
//! | engine | wire |
//! |---|---|
//! | limit, good till cancel | GTC |
//! | limit, post-only | GTC, `postOnly` |
//! | limit, immediate or cancel | FAK at the limit |
//! | market | FAK at the worst price |
//! | stop | refused |
//!
//! GTD and FOK are words of the venue that no order of the engine needs. A FAK buy is in dollars, see
//! [`amounts::market`](super::amounts::market).
//!
//! An order that `/data/order` does not have may be filled or cancelled: that answer shows orders at work only. Only where
//! no trade names it either, and it was decided `lost_after_ms` ago, it never was.
use super::VENUE;
use super::account::{HOLDINGS_PAGE, Page, balance, holdings, order_at_work, paged};
use super::amounts::{self, Amounts, BadAmounts};
use super::answers::{PostAnswer, PostStatus, cancel_answer};
use super::auth::{Credentials, Headers, level2};
use super::eip712::Order;
use super::error::{answer, bad, malformed, number_text, refused};
use super::tokens::{Token, Tokens};
use super::trades::{Owner, data_order, data_trade, dust, fill_facts, order_fact};
use super::wallet::{Exchange, ExchangeVersion, Wallet};
use crate::gateway::{
    AccountFact, Bucket, CancelAnswer, FillFact, Instruments, KnownOrder, Listed, Method, NewOrder,
    OrderFact, OrderKey, OrderWire, PlaceAnswer, Query, Refusal, Request, Response, WireError,
};
use crate::polygon::{Hash, Word, hex, keccak};
use onetape_engine::id::OrderId;
use onetape_engine::number::Qty;
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::{Nanos, SECOND_NS};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// How long an order stays, in the venue's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderKind {
    /// Until filled or cancelled.
    #[serde(rename = "GTC")]
    GoodTillCancelled,
    /// Until a time, one minute earlier as the venue has it.
    #[serde(rename = "GTD")]
    GoodTillDate,
    /// All at once or not at all.
    #[serde(rename = "FOK")]
    FillOrKill,
    /// What there is at once; the rest is cancelled.
    #[serde(rename = "FAK")]
    FillAndKill,
}

/// How orders are written and looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderConfig {
    /// The chain: 137.
    pub chain_id: u64,
    /// Of the exchange, as `GET /version` told at the start.
    pub version: ExchangeVersion,
    /// An order that nobody knows of, this old, never was: 60 s. Confirmations 40 s after an error were seen.
    pub lost_after_ms: u64,
    /// Whether heartbeats go out; once they do, their absence cancels every order of the account. On.
    pub heartbeats: bool,
    /// How often, in ms: 5 s, half of what the venue allows.
    pub heartbeat_ms: u64,
}

impl Default for OrderConfig {
    fn default() -> Self {
        Self {
            chain_id: crate::polygon::CHAIN_ID,
            version: ExchangeVersion::default(),
            lost_after_ms: 60_000,
            heartbeats: true,
            heartbeat_ms: 5_000,
        }
    }
}

/// The order interface.
#[derive(Debug)]
pub struct Orders {
    config: OrderConfig,
    instruments: Instruments,
    tokens: Tokens,
    wallet: Wallet,
    credentials: Credentials,
    owner: Owner,
    /// When each look-up under way was asked for.
    looked_up_at: BTreeMap<OrderId, Nanos>,
    /// The venue's contracts are not those that orders are signed for.
    other_version: Option<String>,
    heartbeat_id: Option<String>,
    /// Of the page of positions that is under way.
    holdings_offset: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostBody<'a> {
    defer_exec: bool,
    order: PostOrder,
    owner: &'a str,
    order_type: OrderKind,
    post_only: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostOrder {
    salt: u64,
    maker: String,
    signer: String,
    token_id: String,
    maker_amount: String,
    taker_amount: String,
    side: &'static str,
    signature_type: u8,
    timestamp: String,
    expiration: &'static str,
    metadata: String,
    builder: String,
    signature: String,
}

/// The salt of an order: 53 bits of the hash of its client id, since it travels as a JSON number.
pub fn salt(client_id: &str) -> u64 {
    let hash = keccak(&[client_id.as_bytes()]);
    let first = hash.iter().take(8);
    first.fold(0, |salt, byte| salt << 8 | u64::from(*byte)) >> 11
}

/// The request for the version of the exchange's contracts, asked before [`Orders`] is built.
pub fn version_request() -> Request {
    Request::get("rest", "/version", Bucket::Public)
}

/// Reads its answer.
///
/// # Errors
/// [`WireError`]; version 1 is refused, since its orders are not written any more.
pub fn read_version(response: &Response<'_>) -> Result<ExchangeVersion, WireError> {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    match answer::<Version>("/version", response)?.version {
        2 => Ok(ExchangeVersion::V2),
        3 => Ok(ExchangeVersion::V3),
        other => Err(bad("/version", "version", &other.to_string(), "2 or 3")),
    }
}

impl Orders {
    /// Of a wallet. Every token that is traded has to be in `tokens`, where the listing puts it.
    pub fn new(
        config: OrderConfig,
        instruments: Instruments,
        tokens: Tokens,
        wallet: Wallet,
        credentials: Credentials,
    ) -> Self {
        let owner = Owner {
            api_key: credentials.key.clone(),
            funder: wallet.funder,
        };
        Self {
            config,
            instruments,
            tokens,
            wallet,
            credentials,
            owner,
            looked_up_at: BTreeMap::new(),
            other_version: None,
            heartbeat_id: None,
            holdings_offset: 0,
        }
    }

    /// The order as it is signed, its exchange and its kind.
    ///
    /// # Errors
    /// [`Refusal`] where the venue has no such order.
    pub fn order(&self, order: &NewOrder<'_>) -> Result<(Order, Exchange, OrderKind), Refusal> {
        let (listed, token) = self.token(order)?;
        let exchange = Exchange::of(self.config.chain_id, self.config.version, token.neg_risk);
        let exchange = exchange.ok_or_else(|| {
            refusal("no exchange of that version settles neg-risk markets on that chain")
        })?;
        let (kind, price) = terms(order)?;
        let price = listed.decimals.price_decimal(price);
        let size = listed.decimals.qty_decimal(order.qty);
        let amounts = match kind {
            OrderKind::FillAndKill => amounts::market(order.side, price, size),
            _ => amounts::limit(order.side, price, size),
        };
        let Amounts { maker, taker } = amounts.map_err(|why: BadAmounts| refusal(&why))?;
        let token_id = Word::parse(&listed.symbol)
            .ok_or_else(|| refusal(&format!("'{}' is no token id", listed.symbol)))?;
        let signed = Order {
            salt: salt(order.client_id),
            maker: self.wallet.funder,
            signer: self.wallet.order_signer(),
            token_id,
            maker_amount: maker,
            taker_amount: taker,
            side: order.side,
            wallet: self.wallet.kind,
            timestamp_ms: order.decided_at.0 / 1_000_000,
            metadata: Word::default(),
            builder: Word::default(),
        };
        Ok((signed, exchange, kind))
    }

    /// The order's id at the venue.
    ///
    /// # Errors
    /// [`Refusal`] where the venue has no such order.
    pub fn venue_id(&self, order: &NewOrder<'_>) -> Result<Hash, Refusal> {
        let (signed, exchange, _) = self.order(order)?;
        Ok(signed.hash(&exchange))
    }

    fn token(&self, order: &NewOrder<'_>) -> Result<(&Listed, Token), Refusal> {
        let listed = self
            .instruments
            .id(order.instrument)
            .ok_or_else(|| refusal("the instrument is none of this venue"))?;
        let token = self.tokens.get(&listed.symbol);
        let token = token.ok_or_else(|| refusal("the token's market was not listed yet"))?;
        Ok((listed, token))
    }

    fn known_id(&self, order: &KnownOrder<'_>) -> Result<String, Refusal> {
        match order.venue_id {
            Some(id) => Ok(id.to_owned()),
            None => self.venue_id(&order.order).map(|hash| hex(&hash)),
        }
    }

    fn headers(&self, method: Method, target: &str, body: &str, now: Nanos) -> Headers {
        let address = self.wallet.signer.address();
        // A secret that is no base64 signs nothing: the venue refuses the request, by name.
        level2(&self.credentials, address, method, target, body, now).unwrap_or_default()
    }

    fn request(
        &self,
        method: Method,
        target: String,
        body: String,
        bucket: Bucket,
        now: Nanos,
    ) -> Request {
        let mut headers = self.headers(method, &target, &body, now);
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json".to_owned()));
        }
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

    fn get(&self, target: String, now: Nanos) -> Request {
        self.request(Method::Get, target, String::new(), Bucket::Read, now)
    }

    fn fact(&self, order: &NewOrder<'_>, id: &str, state: OrderState, why: &str) -> AccountFact {
        AccountFact::Order(OrderFact {
            key: OrderKey {
                client_id: Some(order.client_id.to_owned()),
                venue_id: Some(id.to_owned()),
            },
            instrument: order.instrument,
            state,
            filled: None,
            why: why.to_owned(),
        })
    }

    /// What an answer to an order says of it. Its trades come on the user channel with their own prices, so there are no
    /// fills here; what a FAK order did not take at once is gone.
    fn taken(
        &self,
        order: &NewOrder<'_>,
        id: String,
        status: PostStatus,
        shares: Decimal,
    ) -> PlaceAnswer {
        let Some(listed) = self.instruments.id(order.instrument) else {
            return PlaceAnswer::Unknown {
                why: "the instrument is none of this venue".to_owned(),
            };
        };
        let kept = shares.trunc_with_scale(listed.decimals.qty.into());
        let Ok(filled) = listed.decimals.qty_from(kept) else {
            return PlaceAnswer::Unknown {
                why: format!("{shares} shares do not fit"),
            };
        };
        let takes_only = matches!(terms(order), Ok((OrderKind::FillAndKill, _)));
        let rest = order.qty.0.saturating_sub(filled.0);
        let state = match status {
            PostStatus::Matched if rest < dust(listed) => OrderState::Filled,
            PostStatus::Matched if takes_only => OrderState::Cancelled,
            PostStatus::Matched if filled.0 > 0 => OrderState::PartiallyFilled,
            _ => OrderState::Acked,
        };
        let mut fact = self.fact(order, &id, state, "");
        if let AccountFact::Order(fact) = &mut fact {
            fact.filled = Some(filled);
        }
        PlaceAnswer::Accepted {
            venue_id: id,
            facts: vec![fact],
        }
    }
}

fn refusal(why: &(impl ToString + ?Sized)) -> Refusal {
    Refusal {
        venue: VENUE,
        why: why.to_string(),
    }
}

/// The wire's kind of an order, and the price that it is signed for.
fn terms(order: &NewOrder<'_>) -> Result<(OrderKind, onetape_engine::number::Price), Refusal> {
    match (order.order_type, order.time_in_force) {
        (OrderType::Stop, _) => Err(refusal("the venue has no stop orders")),
        (OrderType::Market, _) => Ok((OrderKind::FillAndKill, order.worst_price)),
        (OrderType::Limit, TimeInForce::ImmediateOrCancel) => {
            Ok((OrderKind::FillAndKill, order.price))
        }
        (OrderType::Limit, _) => Ok((OrderKind::GoodTillCancelled, order.price)),
    }
}

impl OrderWire for Orders {
    fn venue(&self) -> &'static str {
        VENUE
    }

    fn place(&mut self, order: &NewOrder<'_>, now: Nanos) -> Result<Request, Refusal> {
        if let Some(why) = &self.other_version {
            return Err(refusal(&format!(
                "the venue's exchange has another version since '{why}': ask for it and start anew"
            )));
        }
        let (signed, exchange, kind) = self.order(order)?;
        let (listed, token) = self.token(order)?;
        let (_, price) = terms(order)?;
        let price = listed.decimals.price_decimal(price);
        amounts::on_grid(token.tick, price).map_err(|why| refusal(&why))?;
        let body = PostBody {
            defer_exec: false,
            order: PostOrder {
                salt: signed.salt,
                maker: signed.maker.to_string(),
                signer: signed.signer.to_string(),
                token_id: signed.token_id.to_string(),
                maker_amount: signed.maker_amount.to_string(),
                taker_amount: signed.taker_amount.to_string(),
                side: match signed.side {
                    Side::Buy => "BUY",
                    Side::Sell => "SELL",
                },
                signature_type: signed.wallet.number(),
                timestamp: signed.timestamp_ms.to_string(),
                expiration: "0",
                metadata: hex(&signed.metadata.0),
                builder: hex(&signed.builder.0),
                signature: signed.sign(&exchange, &self.wallet.signer),
            },
            owner: &self.credentials.key,
            order_type: kind,
            post_only: order.time_in_force == TimeInForce::PostOnly,
        };
        let body = serde_json::to_string(&body).map_err(|why| refusal(&why))?;
        let target = "/order".to_owned();
        Ok(self.request(Method::Post, target, body, Bucket::Write, now))
    }

    fn placed(&mut self, order: &NewOrder<'_>, response: Option<&Response<'_>>) -> PlaceAnswer {
        let unknown = |why: String| PlaceAnswer::Unknown { why };
        let Some(response) = response else {
            return unknown("no answer".to_owned());
        };
        let Ok(hash) = self.venue_id(order) else {
            return unknown("the order has no hash".to_owned());
        };
        let id = hex(&hash);
        match PostAnswer::read(response) {
            PostAnswer::Taken { order_id, .. } if !order_id.eq_ignore_ascii_case(&id) => {
                unknown(format!("the answer is of order {order_id}, not of {id}"))
            }
            PostAnswer::Taken {
                status,
                making,
                taking,
                ..
            } => {
                let shares = match order.side {
                    Side::Buy => taking,
                    Side::Sell => making,
                };
                self.taken(order, id, status, shares)
            }
            // As the paper venue has it: an order that may not rest, or not take, expires on arrival.
            PostAnswer::Ended(why) => PlaceAnswer::Accepted {
                facts: vec![self.fact(order, &id, OrderState::Expired, &why)],
                venue_id: id,
            },
            PostAnswer::OtherVersion(why) => {
                self.other_version = Some(why.clone());
                PlaceAnswer::Rejected { why }
            }
            PostAnswer::Duplicate => PlaceAnswer::Duplicate,
            PostAnswer::Refused(why) => PlaceAnswer::Rejected { why },
            PostAnswer::Busy {
                retry_after_ms,
                why,
            } => PlaceAnswer::Busy {
                retry_after_ms,
                why,
            },
            PostAnswer::Unknown(why) => unknown(why),
        }
    }

    fn cancel(&mut self, order: &KnownOrder<'_>, now: Nanos) -> Result<Request, Refusal> {
        let body = serde_json::json!({ "orderID": self.known_id(order)? }).to_string();
        let target = "/order".to_owned();
        Ok(self.request(Method::Delete, target, body, Bucket::Cancel, now))
    }

    fn cancelled(
        &mut self,
        order: &KnownOrder<'_>,
        response: Option<&Response<'_>>,
    ) -> CancelAnswer {
        let Ok(id) = self.known_id(order) else {
            return CancelAnswer::Unknown {
                why: "the order has no hash".to_owned(),
            };
        };
        match cancel_answer(&id, response) {
            CancelAnswer::Cancelled(_) => {
                let fact = self.fact(&order.order, &id, OrderState::Cancelled, "");
                CancelAnswer::Cancelled(vec![fact])
            }
            other => other,
        }
    }

    /// The order, then the trades of its market since it was decided: where it rested they can be of the other token.
    fn lookup(&mut self, order: &KnownOrder<'_>, now: Nanos) -> Vec<Request> {
        let (Ok(id), Ok((_, token))) = (self.known_id(order), self.token(&order.order)) else {
            return Vec::new();
        };
        self.looked_up_at.insert(order.order.order, now);
        // Their clock may be behind ours.
        let after = (order.order.decided_at.0 / SECOND_NS).saturating_sub(60);
        let trades = format!("/data/trades?market={}&after={after}", token.condition_id);
        vec![
            self.get(format!("/data/order/{id}"), now),
            self.get(trades, now),
        ]
    }

    fn looked_up(
        &mut self,
        order: &KnownOrder<'_>,
        responses: &[Response<'_>],
        out: &mut Vec<AccountFact>,
    ) -> Result<bool, WireError> {
        let asked_at = self.looked_up_at.remove(&order.order.order);
        let [order_answer, trades_answer] = responses else {
            return Err(malformed("look-up", "two answers are needed"));
        };
        let id = self
            .known_id(order)
            .map_err(|why| malformed("look-up", why))?;
        let at_work = order_at_work(order_answer, &id, &self.instruments)?;
        let page: Page<'_> = answer("/data/trades", trades_answer)?;
        let mut all = Vec::new();
        for trade in &page.data {
            fill_facts(
                &data_trade(trade)?,
                &self.instruments,
                &self.owner,
                &mut all,
            )?;
        }
        let more = page.next().is_some();
        let of_order = |fill: &FillFact| {
            let venue_id = fill.key.venue_id.as_deref();
            venue_id.is_some_and(|of| of.eq_ignore_ascii_case(&id))
        };
        let mut filled = 0i64;
        let mut fills: Vec<AccountFact> = Vec::new();
        for fact in all {
            match &fact {
                AccountFact::Fill(fill) if of_order(fill) => {
                    filled = filled.saturating_add(fill.qty.0);
                    fills.push(fact);
                }
                // Of an order that is not named; whoever knows the fill takes it back.
                AccountFact::FillReversed { .. } => fills.push(fact),
                _ => {}
            }
        }
        if let Some(fact) = at_work {
            out.extend(fills);
            out.push(AccountFact::Order(fact));
            return Ok(true);
        }
        let dust = self.instruments.id(order.order.instrument).map_or(1, dust);
        let is_filled = order.order.qty.0.saturating_sub(filled) < dust;
        if more && !is_filled {
            // What became of it may stand on a later page.
            return Err(refused("more pages", "not all trades were seen"));
        }
        out.extend(fills);
        if filled > 0 {
            let state = if is_filled {
                OrderState::Filled
            } else {
                OrderState::Cancelled
            };
            let mut fact = self.fact(&order.order, &id, state, "not at work any more");
            if let AccountFact::Order(fact) = &mut fact {
                fact.filled = Some(Qty(filled));
            }
            out.push(fact);
            return Ok(true);
        }
        let age_ms = asked_at.map_or(0, |at| at.since(order.order.decided_at)) / 1_000_000;
        if age_ms < self.config.lost_after_ms {
            return Err(refused("not yet", "an order this young may still appear"));
        }
        Ok(false)
    }

    fn ask(&mut self, query: &Query, cursor: Option<&str>, now: Nanos) -> Request {
        match query {
            Query::OpenOrders => self.get(paged("/data/orders", cursor), now),
            Query::Fills { since, .. } => {
                let after = since.0 / SECOND_NS;
                self.get(paged(&format!("/data/trades?after={after}"), cursor), now)
            }
            Query::Holdings => {
                let offset = cursor.and_then(|cursor| cursor.parse().ok());
                let offset: u64 = offset.unwrap_or(0);
                self.holdings_offset = offset;
                let user = self.wallet.funder.lower();
                let target = format!(
                    "/positions?user={user}&sizeThreshold=0&limit={HOLDINGS_PAGE}&offset={offset}"
                );
                Request::get("data", target, Bucket::Public)
            }
            Query::Balances => {
                let kind = self.wallet.kind.number();
                let target =
                    format!("/balance-allowance?asset_type=COLLATERAL&signature_type={kind}");
                self.get(target, now)
            }
        }
    }

    fn answer(
        &mut self,
        query: &Query,
        response: &Response<'_>,
        out: &mut Vec<AccountFact>,
    ) -> Result<Option<String>, WireError> {
        let mut facts = Vec::new();
        let next = match query {
            Query::OpenOrders => {
                let page: Page<'_> = answer("/data/orders", response)?;
                for raw in &page.data {
                    let fact = order_fact(&data_order(raw)?, &self.instruments)?;
                    facts.extend(fact.map(AccountFact::Order));
                }
                page.next()
            }
            Query::Fills { .. } => {
                let page: Page<'_> = answer("/data/trades", response)?;
                for raw in &page.data {
                    let trade = data_trade(raw)?;
                    fill_facts(&trade, &self.instruments, &self.owner, &mut facts)?;
                }
                page.next()
            }
            Query::Holdings => holdings(
                response,
                &self.instruments,
                self.holdings_offset,
                &mut facts,
            )?,
            Query::Balances => {
                facts.push(AccountFact::Balance(balance(response)?));
                None
            }
        };
        out.append(&mut facts);
        Ok(next)
    }

    fn ask_time(&mut self, _now: Nanos) -> Option<Request> {
        Some(Request::get("rest", "/time", Bucket::Public))
    }

    fn time(&mut self, response: &Response<'_>) -> Result<Nanos, WireError> {
        let raw: &RawValue = answer("/time", response)?;
        let text = number_text(raw);
        let seconds: Option<u64> = text.parse().ok();
        seconds
            .and_then(|seconds| seconds.checked_mul(SECOND_NS))
            .map(Nanos)
            .ok_or_else(|| bad("/time", "time", text, "seconds since 1970"))
    }

    fn keep_alive(&mut self, now: Nanos) -> Option<(Request, u64)> {
        if !self.config.heartbeats {
            return None;
        }
        let body = serde_json::json!({ "heartbeat_id": self.heartbeat_id }).to_string();
        let target = "/v1/heartbeats".to_owned();
        let request = self.request(Method::Post, target, body, Bucket::Cancel, now);
        Some((request, self.config.heartbeat_ms))
    }

    /// Each heartbeat names the one before, as its answer did; a refusal names the right one, and without a name a new chain
    /// begins.
    fn kept_alive(&mut self, response: Option<&Response<'_>>) {
        #[derive(Deserialize)]
        struct Heartbeat {
            heartbeat_id: Option<String>,
        }
        let Some(response) = response else {
            return;
        };
        let read: Result<Heartbeat, _> = serde_json::from_slice(response.body);
        self.heartbeat_id = read.ok().and_then(|heartbeat| heartbeat.heartbeat_id);
    }
}
