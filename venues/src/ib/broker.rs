//! What the engine needs of a broker, without the crate that talks to it.
use super::VENUE;
use super::proto;
use crate::gateway::{AccountFact, KnownOrder, Listed, Listing, NewOrder, Refusal};
use onetape_engine::id::InstrumentId;
use onetape_engine::order::{OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use std::collections::HashMap;
use std::future::Future;

/// With whose money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A paper account: only the ports where gateways trade on paper, only accounts that are called like paper accounts.
    Paper,
    /// Real money.
    Live,
    /// A stand-in on this machine: any port but a gateway's own.
    StandIn,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The gateway's host; it lets only addresses in that it trusts, usually this machine.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Ours, the same after every restart: another id sees none of the orders that this one placed.
    pub client_id: i32,
    /// The account that orders are for.
    pub account: String,
    /// With whose money.
    pub mode: Mode,
    /// How often a connection is tried before it fails; the old session keeps the client id for a while (error 326).
    pub attempts: u32,
    /// Longest wait between two attempts, in ms; the first waits a second, or this where it is less.
    pub retry_ms: u64,
    /// How long an answer may take, in ms.
    pub answer_ms: u64,
}

impl Config {
    /// A paper account of a gateway on this machine: 20 attempts, at most 30 s apart, answers within 10 s.
    pub fn paper(account: &str, client_id: i32) -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 4002,
            client_id,
            account: account.to_owned(),
            mode: Mode::Paper,
            attempts: 20,
            retry_ms: 30_000,
            answer_ms: 10_000,
        }
    }

    /// Whether the port goes with the mode.
    ///
    /// # Errors
    /// [`RefusedConfig`].
    pub fn check(&self) -> Result<(), RefusedConfig> {
        let is_gateways = super::PORTS.iter().any(|(_, port)| *port == self.port);
        let is_local = self.host == "localhost"
            || self
                .host
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        let rule = match self.mode {
            Mode::Paper if !matches!(self.port, 4002 | 7497) => "paper trades on port 4002 or 7497",
            Mode::Live if matches!(self.port, 4002 | 7497) => "ports 4002 and 7497 trade on paper",
            Mode::StandIn if is_gateways => "a stand-in listens on no port of a gateway",
            Mode::StandIn if !is_local => "a stand-in runs on this machine",
            _ => return Ok(()),
        };
        Err(RefusedConfig {
            host: self.host.clone(),
            port: self.port,
            rule,
        })
    }

    /// Whether the login's accounts go with the mode and hold ours: paper accounts begin with D.
    ///
    /// # Errors
    /// [`BrokerError::WrongAccount`].
    pub fn check_accounts(&self, accounts: &[String]) -> Result<(), BrokerError> {
        let is_paper = |account: &String| account.starts_with('D');
        let rule = if !accounts.contains(&self.account) {
            "the configured account is not one of the login's"
        } else if self.mode != Mode::Live && !accounts.iter().all(is_paper) {
            "a login with a real account is not for paper"
        } else {
            return Ok(());
        };
        Err(BrokerError::WrongAccount { rule })
    }

    /// How long to wait before an attempt, in ms: doubling from a second.
    pub fn wait_ms(&self, attempt: u32) -> u64 {
        let doubled = 1_000u64.saturating_mul(1 << attempt.min(20));
        doubled.min(self.retry_ms)
    }
}

/// A configuration that is not tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host}:{port} is refused: {rule}")]
pub struct RefusedConfig {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The rule that it breaks.
    pub rule: &'static str,
}

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// The configuration is refused; nothing was tried.
    #[error(transparent)]
    Config(#[from] RefusedConfig),
    /// The login is not the one that was meant; the connection was closed.
    #[error("the gateway's login is refused: {rule}")]
    WrongAccount {
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Another connection has our client id, after the last attempt (326).
    #[error(
        "client id {client_id} is in use at {host}:{port}: end the other program, or wait until the gateway has noticed that it is gone; another id would not see the orders of this one"
    )]
    ClientIdInUse {
        /// The gateway's host.
        host: String,
        /// Its port.
        port: u16,
        /// The client id.
        client_id: i32,
    },
    /// The order can't be expressed; nothing was sent.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody knows whether it was sent: it is looked up.
    #[error("what became of it is unknown: {why}")]
    Unknown {
        /// What was seen.
        why: String,
    },
    /// The gateway can't be reached or does not answer; asked again later.
    #[error("the gateway is not there: {why}")]
    Unavailable {
        /// What was seen.
        why: String,
    },
}

/// What a broker tells on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerEvent {
    /// A fact about our account.
    Fact(AccountFact),
    /// A connection stands; order ids go on from here. [`AccountFact::Resync`] follows.
    Connected {
        /// The lowest order id that was not used yet.
        next_order_id: i32,
    },
    /// The way to the broker is lost (1100, or the socket): orders at work may fill unseen.
    Lost {
        /// The gateway's words.
        why: String,
    },
    /// The way is back. [`AccountFact::Resync`] follows.
    Restored {
        /// False where market data must be subscribed anew (1101).
        keeps_data: bool,
    },
    /// A fill that can't be read, or that the instrument's decimals can't hold: what is held is not known, trading halts.
    Unreadable {
        /// What was seen.
        why: String,
    },
    /// Something to log, which ends nothing.
    Notice {
        /// The gateway's code.
        code: i32,
        /// Its words, shortened.
        message: String,
    },
}

/// A broker's order interface: the seam behind which a crate or a stand-in talks to it.
pub trait Broker: Send {
    /// What the broker says of a stock, and how it names it.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`]: no answer, or no such stock.
    fn list(
        &mut self,
        symbol: &str,
        instrument: InstrumentId,
        now: Nanos,
    ) -> impl Future<Output = Result<(Listing, Contract), BrokerError>> + Send;

    /// These are traded from here on; everything known of orders is forgotten.
    fn trade(&mut self, contracts: Contracts);

    /// Places an order, or a bracket: a parent and the orders that wait for its fill, on the other side. They are transmitted
    /// together with the last, so never a parent without its stop. Returns the broker's ids, in order.
    ///
    /// # Errors
    /// [`BrokerError::Refused`]: nothing was sent. [`BrokerError::Unknown`]: some of it may have been.
    fn place(
        &mut self,
        group: &[NewOrder<'_>],
        oca: Oca<'_>,
    ) -> impl Future<Output = Result<Vec<i32>, BrokerError>> + Send;

    /// Asks to cancel an order; what became of it follows as facts.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] for an order that can't be named; [`BrokerError::Unknown`].
    fn cancel(
        &mut self,
        order: &KnownOrder<'_>,
    ) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Our orders at work.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn open_orders(&mut self)
    -> impl Future<Output = Result<Vec<AccountFact>, BrokerError>> + Send;

    /// Our executions since a time, at most a week back, with their fees where they are known.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`], also for one that can't be read: a list with a hole is none.
    fn executions(
        &mut self,
        since: Nanos,
    ) -> impl Future<Output = Result<Vec<AccountFact>, BrokerError>> + Send;

    /// Positions in our instruments, one for each.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn positions(&mut self) -> impl Future<Output = Result<Vec<AccountFact>, BrokerError>> + Send;

    /// Cash by currency.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn cash(&mut self) -> impl Future<Output = Result<Vec<AccountFact>, BrokerError>> + Send;

    /// The lowest order id that was not used yet, as the broker says now.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`].
    fn next_order_id(&mut self) -> impl Future<Output = Result<i32, BrokerError>> + Send;

    /// Waits for the next event; may be dropped and called again.
    fn next_event(&mut self) -> impl Future<Output = BrokerEvent> + Send;
}

/// A stock as the broker names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Which instrument, and its decimals.
    pub listed: Listed,
    /// The broker's symbol: "BRK B" where others say "BRK.B".
    pub symbol: String,
    /// The currency that it is paid in.
    pub currency: String,
    /// Where orders go: "SMART".
    pub exchange: String,
    /// Where it is listed: "NASDAQ"; tells apart what has the same symbol.
    pub primary_exchange: String,
}

/// The stocks that may be traded.
#[derive(Clone, Debug, Default)]
pub struct Contracts {
    by_id: HashMap<InstrumentId, Contract>,
    by_symbol: HashMap<(String, String), InstrumentId>,
}

impl Contracts {
    /// Of these.
    pub fn new(contracts: impl IntoIterator<Item = Contract>) -> Self {
        let mut all = Self::default();
        for contract in contracts {
            let key = (contract.symbol.clone(), contract.currency.clone());
            all.by_symbol.insert(key, contract.listed.instrument);
            all.by_id.insert(contract.listed.instrument, contract);
        }
        all
    }

    /// By the tape's id.
    pub fn id(&self, id: InstrumentId) -> Option<&Contract> {
        self.by_id.get(&id)
    }

    /// By the broker's symbol and currency.
    pub fn symbol(&self, symbol: &str, currency: &str) -> Option<&Contract> {
        let key = (symbol.to_owned(), currency.to_owned());
        self.by_symbol.get(&key).and_then(|id| self.by_id.get(id))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Contract> {
        self.by_id.values()
    }
}

fn refused(why: &str) -> Refusal {
    Refusal {
        venue: VENUE,
        why: why.to_owned(),
    }
}

/// The one-cancels-all groups of what is placed together. A name is used for one group only, ever: the broker takes no order
/// into a group in which something has filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oca<'a> {
    /// The group that the first order shares with orders placed apart.
    pub own: Option<&'a str>,
    /// The group of the orders that wait for its fill.
    pub children: Option<&'a str>,
}

/// What fills of an order in a group takes from the others, in part or in full, and only one is routed at a time: both can't
/// fill, and what is left of a position after a part of its target has filled keeps a stop of that size.
const REDUCE_WITH_BLOCK: i32 = 2;

/// The requests that place an order or a bracket, numbered from `first_id`. Only a parent's children are held for a later
/// order: of a group without a parent each is transmitted by itself, as the broker would hold the others for ever.
///
/// # Errors
/// [`Refusal`] for what the broker does not have.
pub fn orders(
    group: &[NewOrder<'_>],
    oca: Oca<'_>,
    contracts: &Contracts,
    account: &str,
    first_id: i32,
) -> Result<Vec<proto::PlaceOrderRequest>, Refusal> {
    let Some(parent) = group.first() else {
        return Err(refused("no order"));
    };
    let contract = contracts
        .id(parent.instrument)
        .ok_or_else(|| refused("the instrument is not one of the broker's"))?;
    let mut requests = Vec::with_capacity(group.len());
    for (place, order) in (0..).zip(group) {
        if order.instrument != parent.instrument {
            return Err(refused("a bracket is of one instrument"));
        }
        if place > 0 && order.side != parent.side.opposite() {
            return Err(refused("a bracket's children close what its parent opens"));
        }
        let order_id = first_id
            .checked_add(place)
            .ok_or_else(|| refused("no order id is left"))?;
        let oca_group = if place > 0 { oca.children } else { oca.own };
        let wire = proto::Order {
            oca_group: oca_group.map(str::to_owned),
            oca_type: oca_group.map(|_| REDUCE_WITH_BLOCK),
            parent_id: (place > 0).then_some(first_id),
            account: Some(account.to_owned()),
            transmit: Some(requests.len() + 1 == group.len()),
            ..wire_order(order, contract)?
        };
        requests.push(proto::PlaceOrderRequest {
            order_id: Some(order_id),
            contract: Some(proto::Contract {
                symbol: Some(contract.symbol.clone()),
                sec_type: Some("STK".to_owned()),
                exchange: Some(contract.exchange.clone()),
                primary_exch: Some(contract.primary_exchange.clone()),
                currency: Some(contract.currency.clone()),
                ..proto::Contract::default()
            }),
            order: Some(wire),
        });
    }
    Ok(requests)
}

fn wire_order(order: &NewOrder<'_>, contract: &Contract) -> Result<proto::Order, Refusal> {
    let decimals = contract.listed.decimals;
    if order.qty.0 <= 0 {
        return Err(refused("a quantity must be above zero"));
    }
    // The wire has doubles: the one that is nearest to the price reads as the price again.
    let price = || {
        let text = decimals.price_decimal(order.price).normalize().to_string();
        let price: Option<f64> = text.parse().ok();
        price
            .filter(|_| order.price.0 > 0)
            .ok_or_else(|| refused("a limit or stop needs a price above zero"))
    };
    let tif = match (order.time_in_force, order.order_type) {
        (TimeInForce::PostOnly, _) => return Err(refused("stocks have no post-only orders here")),
        (TimeInForce::ImmediateOrCancel, OrderType::Stop) => {
            return Err(refused("a stop can't be immediate-or-cancel"));
        }
        (TimeInForce::ImmediateOrCancel, _) => "IOC",
        (TimeInForce::GoodTillCancel, _) => "GTC",
    };
    let (order_type, lmt_price, aux_price) = match order.order_type {
        OrderType::Limit => ("LMT", Some(price()?), None),
        OrderType::Market => ("MKT", None, None),
        OrderType::Stop => ("STP", None, Some(price()?)),
    };
    Ok(proto::Order {
        action: Some(match order.side {
            Side::Buy => "BUY".to_owned(),
            Side::Sell => "SELL".to_owned(),
        }),
        total_quantity: Some(decimals.qty_decimal(order.qty).normalize().to_string()),
        order_type: Some(order_type.to_owned()),
        lmt_price,
        aux_price,
        tif: Some(tif.to_owned()),
        order_ref: Some(order.client_id.to_owned()),
        ..proto::Order::default()
    })
}

#[cfg(test)]
mod tests;
