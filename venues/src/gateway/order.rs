//! Orders to the wire and answers from it.
use super::{AccountFact, Request, Response, WireError};
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An order to place. Everything that its bytes depend on follows from the tape, so a replay signs the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder<'a> {
    /// Its id on the tape.
    pub order: OrderId,
    /// Our id at the venue: letters, digits and '-', at most 36 characters, never used twice.
    pub client_id: &'a str,
    /// In what.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Limit, market or stop.
    pub order_type: OrderType,
    /// How long it stays.
    pub time_in_force: TimeInForce,
    /// Limit price or trigger; zero for a market order.
    pub price: Price,
    /// For a market order, the worst price that it may trade at, from our own book; venues without market orders use it.
    pub worst_price: Price,
    /// Quantity.
    pub qty: Qty,
    /// When it was decided.
    pub decided_at: Nanos,
}

/// An order that the venue may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownOrder<'a> {
    /// As it was sent; venues whose ids follow from the order compute them from it.
    pub order: NewOrder<'a>,
    /// The venue's id, once known.
    pub venue_id: Option<&'a str>,
}

/// An order that this venue can't express; nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{venue} can't take the order: {why}")]
pub struct Refusal {
    /// The venue.
    pub venue: &'static str,
    /// Why.
    pub why: String,
}

/// What became of a request to place an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceAnswer {
    /// The venue has it.
    Accepted {
        /// The venue's id.
        venue_id: String,
        /// What the answer itself says of it: fills where it has their ids, a state otherwise.
        facts: Vec<AccountFact>,
    },
    /// The venue has an order of this id already: ours, sent before. It is looked up.
    Duplicate,
    /// The venue did not take it, and won't.
    Rejected {
        /// The venue's code and words.
        why: String,
    },
    /// Nobody knows: a time-out, a 5xx, an answer that does not read. It is looked up.
    Unknown {
        /// What was seen.
        why: String,
    },
    /// Not taken for now: too many requests, or the venue restarts. Not an order; it is not sent again.
    Busy {
        /// How long the venue wants quiet, in ms.
        retry_after_ms: u64,
        /// The venue's words.
        why: String,
    },
}

/// What became of a request to cancel an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    /// It is cancelled; facts as the answer gives them.
    Cancelled(Vec<AccountFact>),
    /// The venue took the request; what became of it follows on the account's stream or a look-up.
    Accepted,
    /// It is no longer at work (filled, cancelled, unknown there): it is looked up.
    Gone,
    /// Nobody knows.
    Unknown {
        /// What was seen.
        why: String,
    },
    /// Not now.
    Busy {
        /// How long the venue wants quiet, in ms.
        retry_after_ms: u64,
        /// The venue's words.
        why: String,
    },
}

/// What is known of an order of ours when its fills are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilledSoFar {
    /// When it was decided.
    pub decided_at: Nanos,
    /// How much of it is filled.
    pub filled: Qty,
}

/// What is asked about the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// All orders at work.
    OpenOrders,
    /// Fills since a time.
    Fills {
        /// From here on.
        since: Nanos,
        /// Our orders whose fills may matter, by client id. A venue that tells fills order by order is asked for those that
        /// have more than is known, and for no others.
        of: Arc<BTreeMap<String, FilledSoFar>>,
    },
    /// Positions, or the balances that are positions.
    Holdings,
    /// Cash.
    Balances,
}

/// A venue's order interface over HTTP, pure.
///
/// Keys and addresses are given when it is built. `now` is the moment of signing, corrected by the venue's clock offset.
pub trait OrderWire: Send {
    /// The venue: "kalshi".
    fn venue(&self) -> &'static str;

    /// How long the venue's own count of our requests, in an answer's headers, leaves room for nothing but cancels, in ms;
    /// none where there is room, or where the venue does not say.
    fn pause_ms(&self, response: &Response<'_>, now: Nanos) -> Option<u64> {
        let _ = (response, now);
        None
    }

    /// The request that places an order.
    ///
    /// # Errors
    /// [`Refusal`] when the venue has no such order; it becomes a rejection on the tape.
    fn place(&mut self, order: &NewOrder<'_>, now: Nanos) -> Result<Request, Refusal>;

    /// Reads the answer; `None` where none came.
    fn placed(&mut self, order: &NewOrder<'_>, response: Option<&Response<'_>>) -> PlaceAnswer;

    /// The request that cancels an order.
    ///
    /// # Errors
    /// [`Refusal`] when the order can't be named to the venue yet.
    fn cancel(&mut self, order: &KnownOrder<'_>, now: Nanos) -> Result<Request, Refusal>;

    /// Reads the answer; `None` where none came.
    fn cancelled(
        &mut self,
        order: &KnownOrder<'_>,
        response: Option<&Response<'_>>,
    ) -> CancelAnswer;

    /// The requests that find out what became of one order, in turn: order, then its fills.
    fn lookup(&mut self, order: &KnownOrder<'_>, now: Nanos) -> Vec<Request>;

    /// Reads their answers. `Ok(false)` is the venue's proof that it never had the order: only then is it lost.
    ///
    /// # Errors
    /// [`WireError`]: asked again later.
    fn looked_up(
        &mut self,
        order: &KnownOrder<'_>,
        responses: &[Response<'_>],
        out: &mut Vec<AccountFact>,
    ) -> Result<bool, WireError>;

    /// The request for a page of an account query; `cursor` is what the page before returned.
    fn ask(&mut self, query: &Query, cursor: Option<&str>, now: Nanos) -> Request;

    /// Reads a page; returns the next page's cursor where there is one.
    ///
    /// # Errors
    /// [`WireError`]: the query as a whole failed and is asked again later.
    fn answer(
        &mut self,
        query: &Query,
        response: &Response<'_>,
        out: &mut Vec<AccountFact>,
    ) -> Result<Option<String>, WireError>;

    /// The request for the venue's clock, where it has one.
    fn ask_time(&mut self, now: Nanos) -> Option<Request> {
        let _ = now;
        None
    }

    /// Reads the venue's clock.
    ///
    /// # Errors
    /// [`WireError`].
    fn time(&mut self, response: &Response<'_>) -> Result<Nanos, WireError> {
        let _ = response;
        Err(WireError::Refused {
            venue: self.venue(),
            code: "no clock".to_owned(),
            message: "this venue tells no time".to_owned(),
        })
    }

    /// A request that keeps our orders alive (dead man's switch), and how often it is due in ms, where the venue has one.
    fn keep_alive(&mut self, now: Nanos) -> Option<(Request, u64)> {
        let _ = now;
        None
    }

    /// Reads the answer to it, for venues whose next such request builds on the last one; `None` where none came.
    fn kept_alive(&mut self, response: Option<&Response<'_>>) {
        let _ = response;
    }
}
