//! Wallets to copy: their trades and what they hold, from the data API and the live stream of all trades.
//!
//! Sources: the venue's pages on the data API and its real-time stream. Whose a row is, its `proxyWallet` says. A row does not
//! say whether the wallet rested or took; the query does: `takerOnly=true` gives what it took, `takerOnly=false` all of it. The
//! second view is told as that of the maker: the engine counts the larger of both views of a match, never both.
//!
//! The stream is known to fall silent. So the data API is asked on schedule whatever the stream does, and the stream's rows
//! are those of the second view: what both tell is counted once. Its rows are always the first of their kind
//! (`occurrence` 0): an equal row in the same transaction is told apart by a page only, and never invented.
use super::error::{answer, bad, decimal, json, refused, seconds_or_millis};
use super::message::{side, text};
use super::{AMOUNT_DECIMALS, COLLATERAL};
use crate::gateway::{
    Bucket, Feed, Handshake, Instruments, Listed, Outbox, Request, Response, WireError,
};
use crate::polygon::{Address, Call, Token};
use onetape_engine::event::{Event, Holding, LeaderPortfolio, LeaderTrade, Liquidity};
use onetape_engine::number::Qty;
use onetape_engine::time::{Nanos, SECOND_NS};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// Which view of a wallet's trades rows are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What it took.
    Taker,
    /// All of it, told as what it made.
    Both,
}

impl Role {
    const fn liquidity(self) -> Liquidity {
        match self {
            Role::Taker => Liquidity::Taker,
            Role::Both => Liquidity::Maker,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    proxy_wallet: &'a str,
    side: &'a str,
    asset: &'a str,
    #[serde(borrow)]
    size: &'a RawValue,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    timestamp: &'a RawValue,
    transaction_hash: &'a str,
}

impl Row<'_> {
    /// The trade, but for its occurrence. The data API's prices are quotients of amounts: they are rounded to the token's
    /// decimals, which can't make a row another one, since all that read it round alike.
    fn trade(&self, listed: &Listed, role: Role) -> Result<LeaderTrade, WireError> {
        const NAME: &str = "leader's trade";
        let rounded = |field, raw, decimals: u8| {
            let value = decimal(NAME, field, raw)?;
            let half_up = RoundingStrategy::MidpointAwayFromZero;
            Ok::<_, WireError>(value.round_dp_with_strategy(decimals.into(), half_up))
        };
        let price = rounded("price", self.price, listed.decimals.price)?;
        let size = rounded("size", self.size, listed.decimals.qty)?;
        let price = listed.decimals.price_from(price).ok();
        let qty = listed.decimals.qty_from(size).ok();
        let (Some(price), Some(qty)) = (price, qty) else {
            return Err(bad(NAME, "price", self.price.get(), "numbers that fit"));
        };
        if price.0 <= 0 || qty.0 <= 0 || self.transaction_hash.is_empty() {
            return Err(bad(
                NAME,
                "size",
                self.size.get(),
                "a price and a size above 0 and a transaction",
            ));
        }
        Ok(LeaderTrade {
            wallet: wallet(NAME, self.proxy_wallet)?.lower(),
            instrument: listed.instrument,
            side: side(NAME, self.side)?,
            price,
            qty,
            transaction: self.transaction_hash.to_ascii_lowercase(),
            liquidity: role.liquidity(),
            traded_at: seconds_or_millis(NAME, "timestamp", self.timestamp.get())?,
            occurrence: 0,
        })
    }
}

fn wallet(message: &str, text: &str) -> Result<Address, WireError> {
    Address::parse(text).ok_or_else(|| bad(message, "proxyWallet", text, "an address"))
}

/// Reads a page of the data API's `/trades`; rows of tokens that are not on the tape are left out.
///
/// # Errors
/// [`WireError`].
pub fn trade_rows(
    response: &Response<'_>,
    role: Role,
    instruments: &Instruments,
) -> Result<Vec<LeaderTrade>, WireError> {
    let rows: Vec<Row<'_>> = answer("/trades", response)?;
    let mut trades: Vec<LeaderTrade> = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(listed) = instruments.symbol(row.asset) else {
            continue;
        };
        let mut trade = row.trade(listed, role)?;
        let like = trades.iter().filter(|other| same_row(other, &trade));
        trade.occurrence = like.count() as u32;
        trades.push(trade);
    }
    Ok(trades)
}

/// Whether two rows are equal but for their place on the page; their page is one wallet's and one view's.
fn same_row(a: &LeaderTrade, b: &LeaderTrade) -> bool {
    let what = |row: &LeaderTrade| (row.instrument, row.side, row.price, row.qty);
    what(a) == what(b) && a.transaction == b.transaction && a.wallet == b.wallet
}

/// Reads a wallet's `/positions`: all of its worth, cash included, and what it holds of tokens on the tape.
///
/// # Errors
/// [`WireError`].
pub fn portfolio(
    wallet: Address,
    positions: &[Response<'_>],
    cash_usd: Decimal,
    instruments: &Instruments,
    taken_at: Nanos,
) -> Result<LeaderPortfolio, WireError> {
    let mut read = Positions::default();
    for page in positions {
        read.add(page, wallet, instruments)?;
    }
    Ok(read.portfolio(wallet, cash_usd, taken_at))
}

/// Positions of a page at the most.
const POSITIONS_PAGE: usize = 500;
/// The data API pages no further.
const POSITIONS_OFFSET_MAX: usize = 10_000;

#[derive(Clone, Debug, Default)]
struct Positions {
    value_usd: Decimal,
    holdings: Vec<Holding>,
    rows: usize,
}

impl Positions {
    /// Adds a page; how many rows it had.
    fn add(
        &mut self,
        page: &Response<'_>,
        owner: Address,
        instruments: &Instruments,
    ) -> Result<usize, WireError> {
        const NAME: &str = "/positions";
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Position<'a> {
            proxy_wallet: &'a str,
            asset: &'a str,
            #[serde(borrow)]
            size: &'a RawValue,
            #[serde(borrow)]
            current_value: &'a RawValue,
        }
        let rows: Vec<Position<'_>> = answer(NAME, page)?;
        for row in &rows {
            if wallet(NAME, row.proxy_wallet)? != owner {
                return Err(bad(
                    NAME,
                    "proxyWallet",
                    row.proxy_wallet,
                    "the one asked for",
                ));
            }
            let value = decimal(NAME, "currentValue", row.current_value)?;
            let sum = self.value_usd.checked_add(value.max(Decimal::ZERO));
            let raw = row.current_value.get();
            self.value_usd = sum.ok_or_else(|| bad(NAME, "currentValue", raw, "less"))?;
            let Some(listed) = instruments.symbol(row.asset) else {
                continue;
            };
            // A float's digits beyond the token's own are noise.
            let size = decimal(NAME, "size", row.size)?;
            let kept = size.trunc_with_scale(listed.decimals.qty.into());
            let qty = listed.decimals.qty_from(kept).ok();
            let qty = qty.filter(|qty| *qty >= Qty(0));
            let qty = qty.ok_or_else(|| bad(NAME, "size", row.size.get(), "shares"))?;
            let known = self
                .holdings
                .iter_mut()
                .find(|holding| holding.instrument == listed.instrument);
            match known {
                Some(holding) => holding.qty.0 = holding.qty.0.saturating_add(qty.0),
                None => self.holdings.push(Holding {
                    instrument: listed.instrument,
                    qty,
                }),
            }
        }
        self.rows += rows.len();
        Ok(rows.len())
    }

    fn portfolio(self, wallet: Address, cash_usd: Decimal, taken_at: Nanos) -> LeaderPortfolio {
        LeaderPortfolio {
            wallet: wallet.lower(),
            value_usd: self.value_usd.saturating_add(cash_usd).normalize(),
            holdings: self.holdings,
            taken_at,
        }
    }
}

/// How often leaders are asked for. All in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderFeedConfig {
    /// A `PING` goes out this often: 5 s, as the stream asks for.
    pub ping_ns: u64,
    /// Each wallet's trades are asked for this often, both views: 10 s.
    pub trades_ns: u64,
    /// Each wallet's positions and cash are asked for this often: 5 min.
    pub portfolio_ns: u64,
    /// No row of anybody for so long ends the stream's connection: 60 s, since it has the trades of all wallets.
    pub silence_ns: u64,
}

impl Default for LeaderFeedConfig {
    fn default() -> Self {
        Self {
            ping_ns: 5 * SECOND_NS,
            trades_ns: 10 * SECOND_NS,
            portfolio_ns: 300 * SECOND_NS,
            silence_ns: 60 * SECOND_NS,
        }
    }
}

/// Rows of a page at the most.
const TRADES_PAGE: usize = 500;

#[derive(Debug)]
struct Leader {
    wallet: Address,
    /// Positions whose cash is being asked for.
    positions: Positions,
    taken_at: Nanos,
    /// The last page of each view: pages overlap, and what was told is not told again.
    pages: [Vec<LeaderTrade>; 2],
}

/// Kinds of request; a tag is four times the leader's place and one of these.
const TAKEN: u32 = 0;
const ALL: u32 = 1;
const POSITIONS: u32 = 2;
const CASH: u32 = 3;

/// The stream of all trades, and the data API beside it.
#[derive(Debug)]
pub struct LeaderFeed {
    config: LeaderFeedConfig,
    instruments: Instruments,
    leaders: Vec<Leader>,
    places: HashMap<Address, usize>,
    connected: bool,
    pinged_at: Nanos,
    heard_at: Nanos,
    trades_at: Option<Nanos>,
    portfolio_at: Option<Nanos>,
}

impl LeaderFeed {
    /// Of these wallets.
    pub fn new(config: LeaderFeedConfig, instruments: Instruments, wallets: &[Address]) -> Self {
        let leader = |wallet: &Address| Leader {
            wallet: *wallet,
            positions: Positions::default(),
            taken_at: Nanos(0),
            pages: [Vec::new(), Vec::new()],
        };
        let places = wallets.iter().enumerate();
        Self {
            config,
            instruments,
            leaders: wallets.iter().map(leader).collect(),
            places: places.map(|(place, wallet)| (*wallet, place)).collect(),
            connected: false,
            pinged_at: Nanos(0),
            heard_at: Nanos(0),
            trades_at: None,
            portfolio_at: None,
        }
    }

    fn ask_trades(&self, out: &mut Outbox) {
        for (place, leader) in self.leaders.iter().enumerate() {
            let user = leader.wallet.lower();
            for (kind, taker_only) in [(TAKEN, true), (ALL, false)] {
                let target =
                    format!("/trades?user={user}&limit={TRADES_PAGE}&takerOnly={taker_only}");
                let request = Request::get("data", target, Bucket::Public);
                out.request(4 * place as u32 + kind, request);
            }
        }
    }

    fn ask_positions(&self, place: usize, offset: usize, out: &mut Outbox) {
        let user = self.leaders[place].wallet.lower();
        let target = format!(
            "/positions?user={user}&sizeThreshold=0&limit={POSITIONS_PAGE}&offset={offset}"
        );
        let request = Request::get("data", target, Bucket::Public);
        out.request(4 * place as u32 + POSITIONS, request);
    }

    fn take_positions(
        &mut self,
        place: usize,
        response: &Response<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let leader = &mut self.leaders[place];
        let rows = leader
            .positions
            .add(response, leader.wallet, &self.instruments)?;
        let offset = leader.positions.rows;
        if rows >= POSITIONS_PAGE && offset <= POSITIONS_OFFSET_MAX {
            self.ask_positions(place, offset, out);
            return Ok(());
        }
        leader.taken_at = now;
        let tag = 4 * place as u32 + CASH;
        if let Some(call) = cash_of(leader.wallet) {
            out.request(tag, call.request("rpc", tag.into()));
        }
        Ok(())
    }

    fn take_cash(
        &mut self,
        place: usize,
        tag: u32,
        response: &Response<'_>,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let leader = &mut self.leaders[place];
        let Some(call) = cash_of(leader.wallet) else {
            return Ok(());
        };
        let units = call.read(tag.into(), response)?.to_u128();
        let cash = units
            .and_then(|units| i128::try_from(units).ok())
            .and_then(|units| Decimal::try_from_i128_with_scale(units, AMOUNT_DECIMALS).ok())
            .ok_or_else(|| bad("balanceOf", "result", "too much", "a balance that fits"))?;
        let positions = std::mem::take(&mut leader.positions);
        let portfolio = positions.portfolio(leader.wallet, cash, leader.taken_at);
        out.event(&Event::LeaderPortfolio(Box::new(portfolio)));
        Ok(())
    }
}

fn cash_of(owner: Address) -> Option<Call> {
    let token = Token::Erc20(Address::parse(COLLATERAL)?);
    Some(Call::Balance { token, owner })
}

impl Feed for LeaderFeed {
    fn name(&self) -> &str {
        "polymarket leaders"
    }

    fn handshake(&self, _now: Nanos) -> Result<Handshake, WireError> {
        Ok(Handshake {
            base: "rtds",
            target: "/".to_owned(),
            headers: Vec::new(),
        })
    }

    fn opened(&mut self, now: Nanos, out: &mut Outbox) {
        self.connected = true;
        self.pinged_at = now;
        self.heard_at = now;
        // `activity/trades` is off at times; `orders_matched` has the same rows.
        let topic = |kind: &str| json!({ "topic": "activity", "type": kind });
        let subscriptions = [topic("trades"), topic("orders_matched")];
        let message = json!({ "action": "subscribe", "subscriptions": subscriptions });
        out.send(message.to_string());
    }

    fn message(&mut self, bytes: &[u8], now: Nanos, out: &mut Outbox) -> Result<(), WireError> {
        const NAME: &str = "stream message";
        #[derive(Deserialize)]
        struct Message<'a> {
            topic: Option<&'a str>,
            #[serde(rename = "type")]
            kind: Option<&'a str>,
            #[serde(borrow)]
            payload: Option<&'a RawValue>,
        }
        let text = text(NAME, bytes)?;
        if text.is_empty() || text.eq_ignore_ascii_case("pong") {
            return Ok(());
        }
        let message: Message<'_> = json(NAME, text.as_bytes())?;
        let (Some("activity"), Some("trades" | "orders_matched"), Some(payload)) =
            (message.topic, message.kind, message.payload)
        else {
            let topic = message.topic.unwrap_or_default();
            return Err(bad(NAME, "topic", topic, "trades of the topic activity"));
        };
        self.heard_at = now;
        let row: Row<'_> = json(NAME, payload.get().as_bytes())?;
        let leader = wallet(NAME, row.proxy_wallet)?;
        if !self.places.contains_key(&leader) {
            return Ok(());
        }
        if let Some(listed) = self.instruments.symbol(row.asset) {
            let trade = row.trade(listed, Role::Both)?;
            out.event(&Event::LeaderTrade(Box::new(trade)));
        }
        Ok(())
    }

    fn response(
        &mut self,
        tag: u32,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let place = (tag / 4) as usize;
        let Some(leader) = self.leaders.get_mut(place) else {
            return Err(bad("answer", "tag", &tag.to_string(), "one that was given"));
        };
        let Some(response) = response else {
            leader.positions = Positions::default();
            return Err(refused("no answer", "data API"));
        };
        match tag % 4 {
            POSITIONS => self.take_positions(place, response, now, out),
            CASH => self.take_cash(place, tag, response, out),
            kind => {
                let wallet = leader.wallet.lower();
                let role = if kind == TAKEN {
                    Role::Taker
                } else {
                    Role::Both
                };
                let mut rows = trade_rows(response, role, &self.instruments)?;
                rows.retain(|row| row.wallet == wallet);
                // The API has the newest first; the tape has them as they came about.
                rows.reverse();
                let [taken, all] = &mut leader.pages;
                let page = if kind == TAKEN { taken } else { all };
                for row in rows.iter().filter(|row| !page.contains(row)) {
                    out.event(&Event::LeaderTrade(Box::new(row.clone())));
                }
                *page = rows;
                Ok(())
            }
        }
    }

    fn tick(&mut self, now: Nanos, out: &mut Outbox) {
        if !self.connected {
            return;
        }
        if now.since(self.pinged_at) >= self.config.ping_ns {
            self.pinged_at = now;
            out.send("PING");
        }
        if now.since(self.heard_at) >= self.config.silence_ns {
            self.heard_at = now;
            out.reconnect("no trade of anybody");
        }
        let due = |at: Option<Nanos>, every| at.is_none_or(|at| now.since(at) >= every);
        if due(self.trades_at, self.config.trades_ns) {
            self.trades_at = Some(now);
            self.ask_trades(out);
        }
        if due(self.portfolio_at, self.config.portfolio_ns) {
            self.portfolio_at = Some(now);
            for place in 0..self.leaders.len() {
                self.leaders[place].positions = Positions::default();
                self.ask_positions(place, 0, out);
            }
        }
    }

    fn closed(&mut self, _now: Nanos, _out: &mut Outbox) {
        self.connected = false;
    }
}
