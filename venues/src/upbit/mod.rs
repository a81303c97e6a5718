//! Upbit: spot markets quoted in KRW, BTC and USDT.
//!
//! [`decode`] reads one frame or REST answer about the market, its numbers from their text, scientific notation included.
//! The order book comes whole with every frame and without a sequence, so [`MarketFeed`] can't miss a part of it: only age
//! tells whether it is good. [`OrderAnswer`], [`MyOrder`] and [`MyAsset`] tell of our own account.
//!
//! With the feature `live` there is what is signed (`Signer`): `UserFeed` (the private socket), `Orders` (REST) and `Markets`
//! (rules and fees).
mod account;
mod error;
mod feed;
mod fees;
mod message;
mod number;
mod ticks;
mod time;

#[cfg(feature = "live")]
mod auth;
#[cfg(feature = "live")]
mod listing;
#[cfg(feature = "live")]
mod orders;
#[cfg(feature = "live")]
mod user;

pub use account::{AccountRow, MyAsset, MyOrder, OrderAnswer};
pub use error::{ApiError, ErrorName, Remaining};
pub use feed::{FeedConfig, MarketFeed};
pub use fees::{BidLock, bid_lock};
pub use message::{Message, OrderBook, PublicTrade, Ticker, decode};
pub use number::{Number, NumberText};
pub use ticks::{DECIMALS, KRW_TICKS, krw_tick, minimum_total};
pub use time::parse_rfc3339;

#[cfg(feature = "live")]
pub use {
    auth::{Nonces, Signer},
    listing::Markets,
    orders::{MarketOrders, Orders, OrdersConfig},
    user::{UserConfig, UserFeed},
};

/// The venue's name on the tape.
pub const VENUE: &str = "upbit";

/// Base addresses by name. The venue has no test environment.
pub const PRODUCTION: [(&str, &str); 2] = [
    ("rest", "https://api.upbit.com"),
    ("stream", "wss://api.upbit.com"),
];

/// The currencies of a symbol such as "KRW-BTC": base and quote.
pub fn currencies(symbol: &str) -> Option<(&str, &str)> {
    symbol.split_once('-').map(|(quote, base)| (base, quote))
}
