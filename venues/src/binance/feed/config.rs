//! What a market feed judges by, and where it goes.
use crate::binance::Product;
use crate::gateway::{Bucket, Request};
use onetape_engine::time::SECOND_NS;
use std::borrow::Cow;

/// Limits of a [`MarketFeed`](super::MarketFeed); the defaults are those of busy markets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedConfig {
    /// Spot or futures.
    pub product: Product,
    /// A book without a diff for this long is stale and its snapshot is fetched: 60 s.
    pub book_silence_ns: u64,
    /// Best prices unchanged for this long are stale: 60 s.
    pub quote_silence_ns: u64,
    /// No trade for this long is a mark on the tape: 10 minutes.
    pub trade_silence_ns: u64,
    /// No content of any symbol for this long: a new connection. 20 s.
    pub reconnect_after_ns: u64,
    /// A connection is left at this age; the venue cuts it at 24 h: 23 h 50 min.
    pub life_ns: u64,
    /// How long a symbol may be without a diff before its first snapshot is asked for anyway: 2 s.
    pub first_diff_ns: u64,
    /// Wait before a snapshot is asked for again; doubled at each failure up to 32 times: 1 s.
    pub snapshot_retry_ns: u64,
    /// A snapshot that did not come within this is asked for again: 30 s.
    pub snapshot_timeout_ns: u64,
    /// A snapshot is taken anew at this age: 30 minutes.
    pub refresh_ns: u64,
    /// A snapshot is taken anew when the price has walked this part of the way to its last level: 50 %.
    pub refresh_at_percent: u8,
}

impl FeedConfig {
    /// The defaults.
    pub const fn new(product: Product) -> Self {
        Self {
            product,
            book_silence_ns: 60 * SECOND_NS,
            quote_silence_ns: 60 * SECOND_NS,
            trade_silence_ns: 600 * SECOND_NS,
            reconnect_after_ns: 20 * SECOND_NS,
            life_ns: (23 * 3600 + 50 * 60) * SECOND_NS,
            first_diff_ns: 2 * SECOND_NS,
            snapshot_retry_ns: SECOND_NS,
            snapshot_timeout_ns: 30 * SECOND_NS,
            refresh_ns: 1800 * SECOND_NS,
            refresh_at_percent: 50,
        }
    }

    pub(super) const fn stream_base(&self) -> &'static str {
        match self.product {
            Product::Spot => "stream",
            Product::UsdMargined => "futures_stream",
        }
    }

    /// The snapshot request of a symbol and the number of levels a side that it asks for.
    pub(super) fn snapshot_request(&self, symbol: &str) -> Request {
        let limit = self.snapshot_levels();
        let (base, path, weight) = match self.product {
            Product::Spot => ("rest", "/api/v3/depth", 250),
            Product::UsdMargined => ("futures_rest", "/fapi/v1/depth", 20),
        };
        let symbol = encoded(symbol);
        Request {
            weight,
            ..Request::get(
                base,
                format!("{path}?symbol={symbol}&limit={limit}"),
                Bucket::Public,
            )
        }
    }

    pub(super) const fn snapshot_levels(&self) -> usize {
        match self.product {
            Product::Spot => 5000,
            Product::UsdMargined => 1000,
        }
    }
}

/// Symbols outside ASCII exist; in a target they are percent-encoded.
fn encoded(symbol: &str) -> Cow<'_, str> {
    if symbol.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Cow::Borrowed(symbol);
    }
    symbol.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
