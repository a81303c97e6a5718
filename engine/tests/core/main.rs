//! The core from outside, in one binary: each of them would cost a minute to compile and link.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]
#[path = "../common/mod.rs"]
mod common;

mod bars;
mod conservation;
mod copy_trading;
mod cross_exchange;
mod encoding;
mod fees;
mod halts;
mod market_data;
mod order_states;
mod paper_venue;
mod parents;
mod prediction_arb;
mod real_venue;
mod replay;
mod risk_gates;
mod session_change;
mod signals;
mod weather;
