//! Strategies. A new one is one file here and one line in the registry below.
//!
//! A strategy folds what it sees into its own state (`evolve`), and says what it wants (`decide`, which can't change
//! anything). It sees the market only while it is live, and never a clock.
mod copy_trading;
mod cross_exchange;
mod ema_cross;
mod gates;
mod market_maker;
mod prediction_arb;
mod signals;
mod sizing;
mod two_legs;
mod view;
mod weather;

pub use gates::{Candidate, Figure, GateName, GateRow, Gates, LastGates, Relation, Stopped};
pub use view::{Explanation, OwnLimit, View, Wishes};

use crate::error::EngineError;
use crate::event::Event;
use crate::id::Sequence;
use crate::market::{BarRequest, Instrument, Market};
use crate::time::Nanos;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// What the core asks of a strategy.
pub trait Strategy {
    /// Shows a newly defined instrument; returns whether the strategy wants to see its market data.
    ///
    /// # Errors
    /// What is wrong with the parameters for this instrument.
    fn bind(&mut self, instrument: &Instrument) -> Result<bool, String>;

    /// Folds an event that market and desk have folded: market data of bound instruments, own orders and timers, and every
    /// fact that is about no market (forecasts, pairs, leaders, calendars, intents, the turn of the day).
    ///
    /// # Errors
    /// [`EngineError`] when a number does not fit.
    fn evolve(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError>;

    /// Says what it wants after an event that it has folded.
    ///
    /// Asked on every tick, so it is small (`inline`) or stays apart (`inline(never)`): what a large one needs of the
    /// stack would be paid for by every strategy's tick.
    fn decide(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes);

    /// Figures of its own for reports, each with its name and unit: what orders and positions do not show.
    fn figures(&self) -> Vec<(&'static str, Decimal)> {
        Vec::new()
    }
}

macro_rules! registry {
    ($($(#[$doc:meta])* $variant:ident => $module:ident, $name:literal;)*) => {
        /// A strategy's name and parameters, as they stand in configs and on the tape.
        #[allow(clippy::large_enum_variant, reason = "a session has a handful, made once and never moved")]
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name", content = "params")]
        #[allow(
            clippy::large_enum_variant,
            reason = "one for each strategy of a session, made once and never moved"
        )]
        pub enum StrategyParams {
            $($(#[$doc])* #[serde(rename = $name)] $variant($module::Params),)*
        }

        /// A strategy's state.
        #[allow(clippy::large_enum_variant, reason = "a session has a handful, made once and never moved")]
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[allow(
            clippy::large_enum_variant,
            reason = "one for each strategy of a session, made once and never moved"
        )]
        // A tag of its own is one load; one that is folded into a strategy's fields is worked out twice on every tick.
        #[repr(u8)]
        pub enum AnyStrategy {
            $($(#[$doc])* $variant($module::State),)*
        }

        impl StrategyParams {
            /// The names of all strategies.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The parameters' defaults of the strategy of that name.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(StrategyParams::$variant($module::Params::default())),)*
                    _ => None,
                }
            }

            /// Reads the parameters of the strategy of that name; `None` when there is no such strategy.
            ///
            /// # Errors
            /// As the deserializer has them.
            pub fn read<'de, D: serde::Deserializer<'de>>(name: &str, params: D) -> Result<Option<Self>, D::Error> {
                Ok(match name {
                    $($name => Some(StrategyParams::$variant(Deserialize::deserialize(params)?)),)*
                    _ => None,
                })
            }

            /// The strategy's name.
            pub const fn name(&self) -> &'static str {
                match self { $(StrategyParams::$variant(_) => $name,)* }
            }

            /// The instruments that the parameters name, "venue:symbol".
            pub fn instruments(&self) -> Vec<&str> {
                match self { $(StrategyParams::$variant(params) => params.instruments(),)* }
            }

            /// The bars that the strategy wants built.
            pub fn bars(&self) -> Vec<BarRequest> {
                match self { $(StrategyParams::$variant(params) => params.bars(),)* }
            }
        }

        impl AnyStrategy {
            /// # Errors
            /// What is wrong with the parameters.
            pub fn new(params: &StrategyParams) -> Result<Self, String> {
                Ok(match params {
                    $(StrategyParams::$variant(params) => AnyStrategy::$variant($module::State::new(params)?),)*
                })
            }
        }

        impl Strategy for AnyStrategy {
            fn bind(&mut self, instrument: &Instrument) -> Result<bool, String> {
                match self { $(AnyStrategy::$variant(strategy) => strategy.bind(instrument),)* }
            }

            #[inline]
            fn evolve(
                &mut self, sequence: Sequence, now: Nanos, event: &Event<'_>, market: &Market,
            ) -> Result<(), EngineError> {
                match self { $(AnyStrategy::$variant(strategy) => strategy.evolve(sequence, now, event, market),)* }
            }

            fn figures(&self) -> Vec<(&'static str, Decimal)> {
                match self { $(AnyStrategy::$variant(strategy) => strategy.figures(),)* }
            }

            #[inline]
            fn decide(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
                match self { $(AnyStrategy::$variant(strategy) => strategy.decide(event, view, wishes),)* }
            }
        }
    };
}

registry! {
    /// Fast and slow exponential averages: long above, short below.
    EmaCross => ema_cross, "ema_cross";
    /// Two-sided quotes around the mid.
    MarketMaker => market_maker, "market_maker";
    /// One two-legged order, once.
    TwoLegs => two_legs, "two_legs";
    /// One question on two prediction venues, for less than it pays.
    PredictionArb => prediction_arb, "prediction_arb";
    /// Contracts on a day's highest temperature: forecasts against prices.
    Weather => weather, "weather";
    /// One coin on a won and a dollar venue: the deviation of its premium from the slow mean.
    CrossExchange => cross_exchange, "cross_exchange";
    /// Stocks: inside bars, Rudometkin's market-on-close, order intents.
    Signals => signals, "signals";
    /// Copies trades of chosen wallets.
    CopyTrading => copy_trading, "copy_trading";
}
