//! What venues and connections say of our own account. All of them inputs; orders' own reports are
//! [`ExecutionReport`](super::ExecutionReport)s.
use super::Holding;
use crate::id::{InstrumentId, OrderId};
use crate::number::{Money, Price, Qty};
use crate::order::Side;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// From here on nobody knows what happened to our account at a venue: nothing new goes there before the next
/// [`AccountReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLost {
    /// The venue.
    pub venue: String,
    /// Why: "started", "disconnected", ...
    pub why: String,
}

/// Cash at a venue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashHeld {
    /// Currency, upper case.
    pub currency: String,
    /// All of it, what orders hold back included.
    pub total: Decimal,
}

/// What a venue says that we hold, when every order that we sent is accounted for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountReport {
    /// The venue.
    pub venue: String,
    /// Signed quantities; an instrument of the venue that is not named is held at 0.
    pub holdings: Vec<Holding>,
    /// Cash: for the record, deposits and fees in other currencies move it as well.
    pub cash: Vec<CashHeld>,
}

/// A connection to a venue came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionChanged {
    /// The venue.
    pub venue: String,
    /// Which of its connections: "market", "user", ...
    pub connection: String,
    /// Whether it is there.
    pub up: bool,
    /// Why it went, empty when it came.
    pub why: String,
}

/// A fill that the venue took back: a trade that failed on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillReversed {
    /// Which order's.
    pub order: OrderId,
    /// The order's instrument.
    pub instrument: InstrumentId,
    /// The fill's id.
    pub fill_id: u64,
    /// The fill's side.
    pub side: Side,
    /// Its price.
    pub price: Price,
    /// Its quantity.
    pub qty: Qty,
    /// Its fee, which comes back too.
    pub fee: Money,
}
