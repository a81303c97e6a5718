//! The gate in the order path that no strategy can bypass, and the reasons to halt.
//!
//! Every order passes every gate in the order of [`Gate::ALL`], those of limits once for each scope from the widest to
//! the narrowest; the first one that stops it is journalled with what it saw and what it allows. An
//! order that only reduces a position is an exit: the venue's own rules and the collar hold for it, and it passes the age
//! of the data and every gate that guards new risk.
mod check;
mod limits;

pub use check::{Denial, Near, Proposal, check, explain, worst_price};
pub use limits::{LimitUnits, Limits, RiskConfig};

use crate::event::LimitWarned;
use crate::id::{InstrumentId, OrderId, StrategyId, VenueId};
use crate::number::{Money, Price, Qty};
use crate::order::Side;
use crate::strategy::GateName;
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
    /// The venue's mode sends no orders.
    Shadow, "shadow";
    /// We do not know what the venue knows of our account, or it says that we hold something else.
    Reconciled, "reconciled";
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
    /// A sale of more than is held, where the venue has no short positions.
    Inventory, "inventory";
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

/// How far a limit reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Over everything.
    Total,
    /// One venue.
    Venue,
    /// One strategy.
    Strategy,
    /// One instrument.
    Instrument,
}

impl Scope {
    /// The name on the tape.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Total => "total",
            Scope::Venue => "venue",
            Scope::Strategy => "strategy",
            Scope::Instrument => "instrument",
        }
    }
}

/// Why trading is halted. Reasons form a set; new risk is taken again when the set is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaltReason {
    /// An operator said so.
    Operator,
    /// Our clock is off; ends when it is right again.
    ClockDrift,
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
    /// Nobody knows what happened to our account at a venue; ends with the venue's report. Stops exits too.
    Unreconciled {
        /// Which venue.
        venue: VenueId,
    },
    /// A venue says that we hold something else than our fills add up to; ends when they agree, or when an operator
    /// accepts the venue's word. Exits go on.
    HoldingsDiffer {
        /// Which venue.
        venue: VenueId,
    },
    /// The daemon is about to end, or has; ends when it begins again. Stops exits that would rest, too: those that take
    /// what is there go on.
    Stopping,
    /// Inputs wait too long before the core takes them; ends when it has caught up.
    Backlog,
    /// The tape, decided again, came out otherwise; ends with the session.
    Verification,
    /// The journal's disk is nearly full; ends when there is room again.
    Disk,
}

impl HaltReason {
    /// Whether the reason stops orders of `strategy`.
    pub fn stops(self, strategy: StrategyId) -> bool {
        match self {
            HaltReason::DailyLoss { strategy: halted } => halted == strategy,
            HaltReason::Operator
            | HaltReason::ClockDrift
            | HaltReason::IllegalMove { .. }
            | HaltReason::Stopping
            | HaltReason::Backlog
            | HaltReason::Verification
            | HaltReason::Disk => true,
            // One venue's matter: see `Gate::Reconciled`.
            HaltReason::Unreconciled { .. } | HaltReason::HoldingsDiffer { .. } => false,
        }
    }
}

/// The last order of a strategy in an instrument on a side, to recognise one sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LastOrder {
    strategy: StrategyId,
    instrument: InstrumentId,
    side: Side,
    price: Price,
    qty: Qty,
    at: Nanos,
}

/// An order of the last second, for the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RecentOrder {
    at: Nanos,
    strategy: StrategyId,
    instrument: InstrumentId,
}

/// What a position had gained or lost in all when the day began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DayStart {
    pub(crate) strategy: StrategyId,
    pub(crate) instrument: InstrumentId,
    pub(crate) profit: Money,
}

/// What the gates remember between orders.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RiskState {
    /// Reasons to halt in force.
    pub halts: BTreeSet<HaltReason>,
    /// Limits that were warned of today: gate, scope, whose, and whose among a strategy's own.
    warned: BTreeSet<(GateName, Scope, u32, Option<String>)>,
    /// The last second's orders.
    recent: VecDeque<RecentOrder>,
    last_orders: Vec<LastOrder>,
    /// The first instant of the next UTC day.
    next_day: Nanos,
    /// By strategy and instrument.
    day_start: Vec<DayStart>,
    /// A venue's report that was refused as an illegal move, by the frame that carried it.
    pub(crate) illegal_move: Option<(crate::id::Sequence, OrderId)>,
}

/// What a limit is known by.
fn key(warned: &LimitWarned) -> (GateName, Scope, u32, Option<String>) {
    let (gate, of) = (warned.gate.clone(), warned.of.clone());
    (gate, warned.scope, warned.whose, of)
}

impl RiskState {
    pub(crate) fn order_decided(&mut self, now: Nanos, order: &crate::event::OrderDecided) {
        while self
            .recent
            .front()
            .is_some_and(|order| now.since(order.at) >= SECOND_NS)
        {
            self.recent.pop_front();
        }
        self.recent.push_back(RecentOrder {
            at: now,
            strategy: order.strategy,
            instrument: order.instrument,
        });
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

    /// Whether somebody was warned of a limit today.
    pub(crate) fn is_warned(&self, warned: &LimitWarned) -> bool {
        self.warned.contains(&key(warned))
    }

    pub(crate) fn warned(&mut self, warned: &LimitWarned) {
        self.warned.insert(key(warned));
    }

    /// Whose the orders of the last second are, and in what.
    pub(crate) fn recent_orders(
        &self,
        now: Nanos,
    ) -> impl Iterator<Item = (StrategyId, InstrumentId)> + '_ {
        let counts = move |order: &&RecentOrder| now.since(order.at) < SECOND_NS;
        let recent = self.recent.iter().filter(counts);
        recent.map(|order| (order.strategy, order.instrument))
    }

    /// The first instant of the UTC day after the current one.
    pub const fn next_day(&self) -> Nanos {
        self.next_day
    }

    pub(crate) fn roll_day(&mut self, next_day: Nanos, profits: Vec<DayStart>) {
        self.next_day = next_day;
        self.day_start = profits;
        self.warned.clear();
    }

    /// The profit of a position when the day began.
    pub(crate) fn day_start(&self, strategy: StrategyId, instrument: InstrumentId) -> Money {
        let key = |start: &DayStart| (start.strategy, start.instrument);
        let place = self
            .day_start
            .binary_search_by_key(&(strategy, instrument), key);
        place.map_or(Money::ZERO, |place| self.day_start[place].profit)
    }
}
