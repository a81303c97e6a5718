//! The gate in the order path that no strategy can bypass, and the reasons to halt.
//!
//! Every order passes every gate in the order of [`Gate::ALL`]; the first one that stops it is journalled with what it
//! saw and what it allows. Orders that only reduce a position are exits: gates that guard new risk let them through.
mod check;
mod limits;

pub use check::{Denial, Proposal, check};
pub use limits::{LimitUnits, Limits, RiskConfig};

use crate::id::{CurrencyId, OrderId, StrategyId};
use crate::number::{Money, Price, Qty};
use crate::order::Side;
use crate::time::{Nanos, SECOND_NS};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

macro_rules! gates {
    ($($(#[$doc:meta])* $name:ident, $text:literal;)*) => {
        /// What an order is measured against, in this order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Gate { $($(#[$doc])* $name,)* }

        impl Gate {
            /// Every gate, in the order in which they are asked.
            pub const ALL: &'static [Gate] = &[$(Gate::$name),*];

            /// The name in reports and on the tape.
            pub const fn name(self) -> &'static str {
                match self { $(Gate::$name => $text,)* }
            }
        }
    };
}

gates! {
    /// No trading rules or no fee schedule in force for the instrument.
    Schedule, "schedule";
    /// The market is not open.
    MarketOpen, "market_open";
    /// Neither book nor quotes are live, or they are too old.
    FreshData, "fresh_data";
    /// Price off the tick or out of bounds.
    PriceGrid, "price_grid";
    /// Quantity off the lot, not positive or below the minimum.
    QtyGrid, "qty_grid";
    /// Price times quantity below the venue's minimum.
    MinNotional, "min_notional";
    /// Limit price too far through our own book.
    PriceCollar, "price_collar";
    /// The same order again within the window.
    Duplicate, "duplicate";
    /// An order of the instrument has an unknown outcome.
    UnknownOutcome, "unknown_outcome";
    /// A halt is in force.
    Halted, "halted";
    /// Order quantity above a limit.
    OrderQty, "order_qty";
    /// Order notional above a limit.
    OrderNotional, "order_notional";
    /// Too many orders working.
    OpenOrders, "open_orders";
    /// Too many orders in a second.
    OrderRate, "order_rate";
    /// Position with all working orders filled above a limit.
    Position, "position";
    /// Too many positions open at once.
    OpenPositions, "open_positions";
    /// Gross notional of positions and working orders above a limit.
    GrossNotional, "gross_notional";
    /// Today's loss, realised and open, above a limit.
    DailyLoss, "daily_loss";
}

/// Why trading is halted. Reasons form a set; new risk is taken again when the set is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaltReason {
    /// An operator said so.
    Operator,
    /// A strategy lost too much today; ends with the UTC day.
    DailyLoss {
        /// Which one.
        strategy: StrategyId,
    },
    /// A venue reported a move that the table of legal moves does not have.
    IllegalMove {
        /// Of which order.
        order: OrderId,
    },
}

impl HaltReason {
    /// Whether the reason stops orders of `strategy`.
    pub fn stops(self, strategy: StrategyId) -> bool {
        match self {
            HaltReason::DailyLoss { strategy: halted } => halted == strategy,
            HaltReason::Operator | HaltReason::IllegalMove { .. } => true,
        }
    }
}

/// The last order of a strategy in an instrument on a side, to recognise one sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LastOrder {
    strategy: StrategyId,
    instrument: crate::id::InstrumentId,
    side: Side,
    price: Price,
    qty: Qty,
    at: Nanos,
}

/// What the gates remember between orders.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RiskState {
    /// Reasons to halt in force.
    pub halts: BTreeSet<HaltReason>,
    /// Decision times of the last second's orders, with their strategy.
    recent: VecDeque<(Nanos, StrategyId)>,
    last_orders: Vec<LastOrder>,
    /// The first instant of the next UTC day.
    next_day: Nanos,
    /// Equity at the start of the day.
    day_start: Vec<(StrategyId, CurrencyId, Money)>,
    /// A venue's report that was refused as an illegal move, by the frame that carried it.
    pub(crate) illegal_move: Option<(crate::id::Sequence, OrderId)>,
}

impl RiskState {
    pub(crate) fn order_decided(&mut self, now: Nanos, order: &crate::event::OrderDecided) {
        while self.recent.front().is_some_and(|(at, _)| now.since(*at) >= SECOND_NS) {
            self.recent.pop_front();
        }
        self.recent.push_back((now, order.strategy));
        let entry = LastOrder {
            strategy: order.strategy,
            instrument: order.instrument,
            side: order.side,
            price: order.price,
            qty: order.qty,
            at: now,
        };
        let same = |o: &&mut LastOrder| {
            (o.strategy, o.instrument, o.side) == (order.strategy, order.instrument, order.side)
        };
        match self.last_orders.iter_mut().find(same) {
            Some(last) => *last = entry,
            None => self.last_orders.push(entry),
        }
    }

    fn orders_in_last_second(&self, now: Nanos, strategy: Option<StrategyId>) -> usize {
        let counts = |entry: &&(Nanos, StrategyId)| {
            now.since(entry.0) < SECOND_NS && strategy.is_none_or(|s| s == entry.1)
        };
        self.recent.iter().filter(counts).count()
    }

    /// The first instant of the UTC day after the current one.
    pub const fn next_day(&self) -> Nanos {
        self.next_day
    }

    pub(crate) fn roll_day(&mut self, next_day: Nanos, equity: Vec<(StrategyId, CurrencyId, Money)>) {
        self.next_day = next_day;
        self.day_start = equity;
    }

    pub(crate) fn day_start_equity(&self, strategy: StrategyId, currency: CurrencyId) -> Money {
        let found = self.day_start.iter().find(|(s, c, _)| (*s, *c) == (strategy, currency));
        found.map_or(Money::ZERO, |(_, _, equity)| *equity)
    }
}
