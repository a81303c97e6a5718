//! Binance spot and USD-M futures: public market data.
//!
//! [`decode`] reads one websocket message or REST depth answer in place. [`DepthSync`] turns the depth diffs of one
//! instrument and its snapshots into a book that is complete or says that it is not. Quotes and trades need no state:
//! [`BookTicker::quote`] and [`PublicTrade::trade`].
mod error;
mod levels;
mod message;
mod sync;

pub use error::DecodeError;
pub use levels::Levels;
pub use message::{BookTicker, DepthSnapshot, DepthUpdate, Ignored, Message, PublicTrade, decode};
pub use sync::{
    BUFFERED_DIFFS_MAX, BUFFERED_LEVELS_MAX, DepthDiff, DepthSync, DiffVerdict, Product,
    SnapshotVerdict,
};
