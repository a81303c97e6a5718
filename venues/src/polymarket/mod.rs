//! Polymarket: the CLOB's orders, books and account, its market facts, and the trades of wallets to copy.
//!
//! One instrument a token; its symbol is the token's id in decimal. Prices are dollars a share with four decimals at the
//! most, shares and dollars have six on the wire.
//!
//! [`MarketFeed`] keeps the books, [`UserFeed`] tells of our orders and fills, [`Orders`] places and finds orders,
//! [`Markets`] lists tokens, [`LeaderFeed`] follows wallets. What they sign is in [`eip712`] (orders) and [`auth`]
//! (requests). Orders are written for versions 2 and 3 of the exchange; version 1 is history.
mod account;
pub mod amounts;
mod answers;
pub mod auth;
mod book_hash;
pub mod eip712;
mod error;
mod feed;
mod leaders;
mod listing;
mod message;
mod orders;
mod token_book;
mod token_state;
mod tokens;
mod trades;
mod user;
mod wallet;

pub use answers::{PostAnswer, PostStatus};
pub use book_hash::book_hash;
pub use feed::{ASSETS_MAX, MarketFeed, MarketFeedConfig};
pub use leaders::{LeaderFeed, LeaderFeedConfig, Role, portfolio, trade_rows};
pub use listing::{ListingConfig, Markets};
pub use message::{
    BestBidAsk, Book, BookDetails, Change, LastTrade, MarketMessage, PriceChange, Resolved,
    TickSizeChange, decode, rest_book,
};
pub use orders::{OrderConfig, OrderKind, Orders, read_version, salt, version_request};
pub use tokens::{Token, Tokens};
pub use trades::{MakerOrder, OwnOrder, OwnTrade, TradeStatus, UserMessage, decode_user};
pub use user::{UserFeed, UserFeedConfig};
pub use wallet::{
    Exchange, ExchangeVersion, PROXY_FACTORY, PROXY_INIT_CODE_HASH, SAFE_FACTORY,
    SAFE_INIT_CODE_HASH, Wallet, WalletKind, proxy_wallet, safe_wallet,
};

/// The venue's name on the tape.
pub const VENUE: &str = "polymarket";
/// What prices and balances count as. The collateral is pUSD, which the venue redeems at one dollar.
pub const CURRENCY: &str = "USD";
/// The collateral's contract on Polygon.
pub const COLLATERAL: &str = "0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB";
/// The contract of the outcome tokens on Polygon (ERC-1155).
pub const CONDITIONAL_TOKENS: &str = "0x4D97DCd97eC945f40cF65F87097ACe5EA0476045";
/// Decimals of collateral and tokens in signed amounts.
pub const AMOUNT_DECIMALS: u32 = 6;
/// Base addresses of production; the venue has no demo of its own. "stream" serves both websockets, "rpc" is any Polygon
/// provider.
pub const PRODUCTION: [(&str, &str); 6] = [
    ("rest", "https://clob.polymarket.com"),
    ("stream", "wss://ws-subscriptions-clob.polymarket.com"),
    ("gamma", "https://gamma-api.polymarket.com"),
    ("data", "https://data-api.polymarket.com"),
    ("rtds", "wss://ws-live-data.polymarket.com"),
    ("rpc", "https://polygon-rpc.com"),
];
