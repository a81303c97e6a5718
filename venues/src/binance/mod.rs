//! Binance spot and USD-M futures: public market data of both, orders and account of the spot.
//!
//! [`decode`] reads one websocket message or REST depth answer in place. [`DepthSync`] turns the depth diffs of one
//! instrument and its snapshots into a book that is complete or says that it is not. Quotes and trades need no state:
//! [`BookTicker::quote`] and [`PublicTrade::trade`]. [`MarketFeed`] keeps a connection for several symbols over them.
//!
//! With the feature `live` there are the account's side, all of it signed by a `Signer`: `UserFeed` (the WS-API's user
//! stream), `Orders` (REST) and `Markets` (trading rules and commissions).
mod error;
mod feed;
mod levels;
mod message;
mod sync;

#[cfg(feature = "live")]
mod account;
#[cfg(feature = "live")]
mod answer;
#[cfg(feature = "live")]
mod commission;
#[cfg(feature = "live")]
mod listing;
#[cfg(feature = "live")]
mod orders;
#[cfg(feature = "live")]
mod pairs;
#[cfg(feature = "live")]
mod sign;
#[cfg(feature = "live")]
mod user;

pub use error::DecodeError;
pub use feed::{FeedConfig, MarketFeed, STREAMS_MAX};
pub use levels::Levels;
pub use message::{BookTicker, DepthSnapshot, DepthUpdate, Ignored, Message, PublicTrade, decode};
pub use sync::{
    BUFFERED_DIFFS_MAX, BUFFERED_LEVELS_MAX, DepthDiff, DepthSync, DiffVerdict, Product,
    SnapshotVerdict,
};

#[cfg(feature = "live")]
pub use {
    account::UserEvent,
    answer::ApiError,
    commission::{Commission, Rates},
    listing::Markets,
    orders::{Orders, OrdersConfig},
    pairs::{Pair, Pairs},
    sign::{API_KEY_HEADER, Form, Signer, Value},
    user::{UserConfig, UserFeed},
};

/// The venue's name on the tape.
pub const VENUE: &str = "binance";

/// Base addresses by name: production.
pub const PRODUCTION: [(&str, &str); 5] = [
    ("rest", "https://api.binance.com"),
    ("stream", "wss://stream.binance.com:9443"),
    ("ws_api", "wss://ws-api.binance.com:443"),
    ("futures_rest", "https://fapi.binance.com"),
    ("futures_stream", "wss://fstream.binance.com"),
];

/// Base addresses by name: the spot's test network, with money of its own that is worth nothing.
pub const TESTNET: [(&str, &str); 3] = [
    ("rest", "https://testnet.binance.vision"),
    ("stream", "wss://stream.testnet.binance.vision"),
    ("ws_api", "wss://ws-api.testnet.binance.vision"),
];
