//! What every venue's wire has in common: what a feed, an order interface and a market listing are, all of them pure.
//!
//! A venue folder implements these traits without a socket and without a clock: bytes and a stamp go in, events, account
//! facts, messages and requests come out. So one driver connects every venue, the local exchange proves every codec, and
//! the same bytes give the same frames whether they come from a socket or a recording.
mod account;
mod error;
mod feed;
#[cfg(feature = "live")]
pub(crate) mod fields;
#[cfg(feature = "live")]
mod hex;
mod http;
mod instruments;
mod listing;
mod order;
mod outbox;
#[cfg(feature = "live")]
mod poll;

pub use account::{AccountFact, Balance, FillFact, Holding, OrderFact, OrderKey};
pub use error::{WireError, shortened};
pub use feed::{Feed, Handshake};
#[cfg(feature = "live")]
pub(crate) use hex::hex;
pub use http::{Bucket, Method, Request, Response};
pub use instruments::{Growing, Instruments, Listed};
pub use listing::{Listing, Listings};
pub use order::{
    CancelAnswer, FilledSoFar, KnownOrder, NewOrder, OrderWire, PlaceAnswer, Query, Refusal,
};
pub use outbox::Outbox;
#[cfg(feature = "live")]
pub use poll::{Pace, Poll};
