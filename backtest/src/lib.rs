//! Drives the core from recorded journals: importing and generating days, replaying them, verifying and recovering.
#![forbid(unsafe_code)]

pub mod describe;
mod error;
pub mod generate;
pub mod import;
mod journal_sink;
pub mod matching;
pub mod recover;
mod replay;
mod summary;
mod unmatched;
mod verify;
pub mod why;

pub use error::Error;
pub use journal_sink::JournalSink;
pub use replay::{BacktestOptions, Progress, backtest};
pub use summary::{GateCount, PaperVenue, PositionResult, StrategyResult, Summary};
pub use unmatched::unmatched;
pub use verify::{Difference, FieldDifference, Followed, Follower, Verification, verify};
