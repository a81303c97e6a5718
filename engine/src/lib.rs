//! The deterministic core of Onetape: events and their encoding, numbers, instruments, books, orders, positions,
//! accounts, risk, strategies, the paper venue and the sequencer that drives them.
//!
//! It has no clock, no I/O, no thread, no async and no randomness: every derived frame is a pure function of the inputs
//! before it. [`sequencer::Sequencer`] is the one loop; what differs between a live run, a backtest, a verification and a
//! recovery is only where inputs come from and where frames go.
#![forbid(unsafe_code)]
// A float rounds differently from build to build; money and prices are integers.
#![deny(clippy::float_arithmetic, clippy::float_cmp)]
#![allow(
    clippy::unnecessary_lazy_evaluations,
    reason = "an error that is built eagerly is built and dropped on every tick"
)]

pub mod compliance;
pub mod desk;
pub mod error;
pub mod event;
pub mod fees;
pub mod id;
pub mod market;
pub mod number;
pub mod order;
pub mod parent;
pub mod risk;
pub mod sequencer;
pub mod session;
pub mod strategy;
pub mod time;

/// Version of the engine, as sessions record it.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");
/// Hash of the engine's sources, the same for debug and release builds.
pub const LOGIC_HASH: &str = env!("ONETAPE_LOGIC_HASH");
