//! EODHD: US trades and quotes, and exchange rates, from a data provider that takes no orders.
//!
//! Source: venues.md, chapter 6. The token stands in the address of every request and connection, so no target of this
//! module is ever printed.
//!
//! - [`decode`]: one frame of a stream; [`updates_last`], [`updates_volume`]: which prints may move a price or a volume.
//! - [`Stream`] is one connection's protocol: subscription, silence in market hours, lost connections.
//! - [`real_time_rate`]: the REST answer that stands in for a stream of exchange rates.
mod condition;
mod feed;
mod message;
mod rest;

pub use condition::{Session, updates_last, updates_volume};
pub use feed::{Config, Content, Stream, TooManySymbols};
pub(crate) use message::one_unit;
pub use message::{ForexQuote, Message, Status, UsQuote, UsTrade, decode};
pub use rest::{real_time_rate, real_time_request};

/// Where the venue is, by the names of base addresses. Its rates over REST are in [`crate::fx::PRODUCTION`].
pub const PRODUCTION: [(&str, &str); 1] = [("stream", "wss://ws.eodhistoricaldata.com")];

const VENUE: &str = "eodhd";
