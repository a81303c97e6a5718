//! Won per dollar: the bank's rate, and the dollar token's, which trades. Two different prices, kept apart, each with its age.
//!
//! Source: venues.md, chapter 11. A bank's rate stands still outside its hours; its answer keeps saying when it was made.
//! That stamp is the `venue_time_ns` of what goes onto the tape and is never replaced by ours, and a rate that is older than
//! its limit is marked there as stale.
//!
//! - [`Rate`], [`Rates`] and [`premium`]: what is compared with what, and until when.
//! - [`dunamu`], [`open_er`], [`krw_usdt`]: the answers of each source; EODHD's is in [`crate::eodhd`].
//! - [`RatePoll`]: one source asked on schedule, as the trades of one instrument ("fx:USDKRW").
mod poll;
mod rate;
mod source;

pub use poll::{Config, RatePoll};
pub use rate::{Rate, Rates, Stale, premium};
pub use source::{Source, dunamu, krw_usdt, open_er};

/// Where the sources are, by the names of base addresses.
pub const PRODUCTION: [(&str, &str); 4] = [
    ("dunamu", "https://quotation-api-cdn.dunamu.com"),
    ("eodhd", "https://eodhd.com"),
    ("open-er-api", "https://open.er-api.com"),
    ("upbit", "https://api.upbit.com"),
];

const VENUE: &str = "fx";
