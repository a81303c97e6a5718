//! Copies the trades of chosen wallets ("leaders") on a venue whose trades are public (requirements, five systems, 6).
//!
//! - [`params`]: what can be set, checked and turned into integers.
//! - [`leaders`]: whom to follow, what they hold, what they are worth.
//! - [`seen`]: rows of their trades, each counted once, whatever pages repeat and whoever restarts.
//! - [`mirror`]: one leader's one token: what the leader just did, and what we hold because of it.
//! - [`brakes`]: how often, and how often in vain.
//! - [`confidence`] and [`sizing`]: the formulas.
//! - [`state`]: folds events; [`entry`] and [`exit`] say what is wanted, gate by gate.
mod brakes;
mod confidence;
mod entry;
mod exit;
mod leaders;
mod mirror;
mod params;
mod seen;
mod sizing;
mod state;

pub(super) use params::Params;
pub(super) use state::State;
