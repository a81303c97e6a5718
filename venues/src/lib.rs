//! Venues: what they say on the wire, turned into the engine's events, one module a venue.
//!
//! The codecs are pure: bytes in, events out, no socket, no clock. So a live gateway and the import of a recording run
//! through the same lines.
#![forbid(unsafe_code)]

pub mod binance;
#[cfg(feature = "live")]
pub mod eodhd;
#[cfg(feature = "live")]
pub mod exchange;
#[cfg(feature = "live")]
pub mod fx;
pub mod gateway;
#[cfg(feature = "live")]
pub mod ib;
#[cfg(feature = "live")]
pub mod kalshi;
#[cfg(feature = "live")]
pub mod polygon;
#[cfg(feature = "live")]
pub mod polymarket;
#[cfg(feature = "live")]
pub mod telegram;
#[cfg(feature = "live")]
pub mod upbit;
#[cfg(feature = "live")]
pub mod weather;
