//! Events of the user data stream (user-data-stream.md), as facts about our account.
use super::answer::{from_ms, order_state, read_side};
use super::error::malformed;
use super::pairs::{Pairs, decimal};
use crate::gateway::{AccountFact, Balance, FillFact, OrderFact, OrderKey, WireError, shortened};
use onetape_engine::event::Liquidity;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An event of the user stream.
#[derive(Debug)]
pub enum UserEvent<'a> {
    /// `executionReport`: an order of ours changed.
    Execution(Box<Execution<'a>>),
    /// `outboundAccountPosition`: the balances that changed.
    Position(Position<'a>),
    /// `balanceUpdate`, `externalLockUpdate`: money came, went or was locked without an order; by how much, not how much
    /// there is.
    BalanceChanged,
    /// `listStatus`: order lists, which are never placed here.
    OrderList,
    /// `eventStreamTerminated`: nothing comes any more.
    Terminated,
    /// `serverShutdown`: the connection will be closed.
    ServerShutdown,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    e: Cow<'a, str>,
}

/// `executionReport`. Fields as the venue spells them.
#[derive(Debug, Deserialize)]
pub struct Execution<'a> {
    #[serde(borrow)]
    s: Cow<'a, str>,
    #[serde(borrow)]
    c: Cow<'a, str>,
    /// On a cancel the id of the order; `c` is the cancel's own id there.
    #[serde(borrow, rename = "C")]
    original: Cow<'a, str>,
    #[serde(borrow, rename = "S")]
    side: Cow<'a, str>,
    #[serde(borrow, rename = "x")]
    execution: Cow<'a, str>,
    #[serde(borrow, rename = "X")]
    status: Cow<'a, str>,
    #[serde(borrow)]
    r: Cow<'a, str>,
    #[serde(borrow, rename = "eR")]
    expiry_reason: Option<&'a RawValue>,
    i: u64,
    #[serde(borrow)]
    l: Cow<'a, str>,
    #[serde(borrow)]
    z: Cow<'a, str>,
    #[serde(borrow, rename = "L")]
    last_price: Cow<'a, str>,
    #[serde(borrow)]
    n: Cow<'a, str>,
    #[serde(borrow, rename = "N")]
    commission_asset: Option<Cow<'a, str>>,
    #[serde(rename = "T")]
    time: u64,
    t: i64,
    m: bool,
}

/// `outboundAccountPosition`.
#[derive(Debug, Deserialize)]
pub struct Position<'a> {
    #[serde(borrow, rename = "B")]
    balances: Vec<PositionBalance<'a>>,
}

#[derive(Debug, Deserialize)]
struct PositionBalance<'a> {
    #[serde(borrow)]
    a: Cow<'a, str>,
    #[serde(borrow)]
    f: Cow<'a, str>,
    #[serde(borrow)]
    l: Cow<'a, str>,
}

impl<'a> UserEvent<'a> {
    /// Reads what stands in `event` of a message.
    ///
    /// # Errors
    /// [`WireError::Malformed`] for an event that the documents don't have, or that lacks a field.
    pub fn read(text: &'a str) -> Result<Self, WireError> {
        let bad = |e: serde_json::Error| malformed("user event", &e.to_string());
        let head: Head<'_> = serde_json::from_str(text).map_err(bad)?;
        Ok(match head.e.as_ref() {
            "executionReport" => {
                UserEvent::Execution(Box::new(serde_json::from_str(text).map_err(bad)?))
            }
            "outboundAccountPosition" => {
                UserEvent::Position(serde_json::from_str(text).map_err(bad)?)
            }
            "balanceUpdate" | "externalLockUpdate" => UserEvent::BalanceChanged,
            "listStatus" => UserEvent::OrderList,
            "eventStreamTerminated" => UserEvent::Terminated,
            "serverShutdown" => UserEvent::ServerShutdown,
            other => return Err(malformed("user event", &format!("unknown event {other}"))),
        })
    }
}

impl Execution<'_> {
    /// The fill, where it is one, then the order's state. Nothing for an instrument that is not on the tape.
    ///
    /// # Errors
    /// [`WireError`] for a value out of its range.
    pub fn facts(&self, pairs: &Pairs, out: &mut Vec<AccountFact>) -> Result<(), WireError> {
        const NAME: &str = "executionReport";
        let Some(pair) = pairs.symbol(&self.s) else {
            return Ok(());
        };
        let ours = if self.original.is_empty() {
            &self.c
        } else {
            &self.original
        };
        let key = OrderKey {
            client_id: Some(ours.as_ref().to_owned()),
            venue_id: Some(self.i.to_string()),
        };
        if self.execution == "TRADE" {
            let price = pair.price("L", &self.last_price)?;
            let commission = decimal(NAME, "n", &self.n)?;
            let asset = self.commission_asset.as_deref().unwrap_or_default();
            out.push(AccountFact::Fill(FillFact {
                key: key.clone(),
                instrument: pair.listed.instrument,
                fill_id: self.t.to_string(),
                side: read_side(NAME, &self.side)?,
                price,
                qty: pair.qty("l", &self.l)?,
                fee: pair.fee_in_quote(commission, asset, price),
                liquidity: if self.m {
                    Liquidity::Maker
                } else {
                    Liquidity::Taker
                },
                at: from_ms(self.time),
                is_final: true,
            }));
        }
        let expiry = self.expiry_reason.map(|raw| raw.get().trim_matches('"'));
        let why = expiry.or(Some(self.r.as_ref()).filter(|reason| *reason != "NONE"));
        out.push(AccountFact::Order(OrderFact {
            key,
            instrument: pair.listed.instrument,
            state: order_state(NAME, &self.status)?,
            filled: Some(pair.qty("z", &self.z)?),
            why: shortened(why.unwrap_or_default()),
        }));
        Ok(())
    }
}

impl Position<'_> {
    /// The balances.
    ///
    /// # Errors
    /// [`WireError`] for an amount that is no number.
    pub fn facts(&self, out: &mut Vec<AccountFact>) -> Result<(), WireError> {
        const NAME: &str = "outboundAccountPosition";
        for one in &self.balances {
            out.push(AccountFact::Balance(Balance {
                currency: one.a.to_uppercase(),
                free: decimal(NAME, "f", &one.f)?,
                locked: decimal(NAME, "l", &one.l)?,
            }));
        }
        Ok(())
    }
}
