//! The same question on two prediction venues: buy YES where it is cheap and its opposite where that is cheap, for less
//! than the 1 that the two pay together (requirements, five systems, chapter 2).
//!
//! Only pairs trade that somebody approved. One venue has one book a market, where selling YES is buying NO (Kalshi);
//! the other has one book a token, where a sale needs inventory (Polymarket), so there a leg always *buys* a token.
mod edge;
mod entry;
mod exit;
#[cfg(test)]
mod golden;
mod pair;
mod params;
mod state;
mod trade;

pub(super) use params::Params;
pub(super) use state::State;
