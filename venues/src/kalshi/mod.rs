//! Kalshi: event contracts that pay 0 or 1 dollar, one book a market, quoted in YES.
//!
//! [`decode`] reads one websocket message. [`KalshiFeed`] keeps the subscriptions of one socket and the books that its
//! deltas build; [`KalshiOrders`] speaks the V2 order endpoints; [`KalshiListings`] reads markets with their grids and fees;
//! [`WeatherIndex`] reads the minute index behind hourly temperature markets. Requests are signed by [`Signer`].
mod account;
mod auth;
mod book;
mod feed;
mod fields;
mod listing;
mod market;
mod message;
mod orders;
mod refusal;
mod stamps;
mod weather_index;

pub use account::{FillText, OrderText, PositionText};
pub use auth::{KEY_HEADER, KeyError, SIGNATURE_HEADER, Signer, TIMESTAMP_HEADER};
pub use feed::{FeedConfig, KalshiFeed};
pub use listing::{KalshiListings, Membership, Shards};
pub use market::{DECIMALS, Market};
pub use message::{
    BookDelta, BookSnapshot, Envelope, EventFees, Lifecycle, LifecycleStep, Message, NoSide,
    PublicTrade, Ticker, VenueError, decode,
};
pub use orders::{KalshiOrders, OrderConfig, SelfTradePrevention};
pub use weather_index::WeatherIndex;

/// The base that requests go to.
pub const REST: &str = "rest";
/// The base that websockets go to.
pub const STREAM: &str = "stream";
/// Default addresses of the bases in production. They end before the path: what is signed begins at the host's root.
pub const PRODUCTION: [(&str, &str); 2] = [
    (REST, "https://external-api.kalshi.com"),
    (STREAM, "wss://external-api-ws.kalshi.com"),
];
/// Default addresses of the bases of the venue's demo.
pub const DEMO: [(&str, &str); 2] = [
    (REST, "https://external-api.demo.kalshi.co"),
    (STREAM, "wss://external-api-ws.demo.kalshi.co"),
];
