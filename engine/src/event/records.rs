//! Derived frames that say why: gates, alarms, warnings, states of parents and intents.
use crate::id::{InstrumentId, OrderId, Sequence, StrategyId};
use crate::number::{Price, Qty};
use crate::order::Side;
use crate::parent::{ParentState, Plan};
use crate::risk::Scope;
use crate::strategy::GateName;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Another gate stops a candidate now, or none does any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateChanged {
    /// What led to it.
    pub cause: Sequence,
    /// Whose candidate.
    pub strategy: StrategyId,
    /// The strategy's number of the candidate.
    pub candidate: u32,
    /// The instrument that it is about first.
    pub instrument: InstrumentId,
    /// The first gate that stops it; none when it passes them all.
    pub gate: Option<GateName>,
    /// What the gate saw.
    pub value: Decimal,
    /// What it allows.
    pub limit: Decimal,
}

/// A multi-leg order's state changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentChanged {
    /// What led to it.
    pub cause: Sequence,
    /// Whose.
    pub strategy: StrategyId,
    /// Its number, unique for the strategy.
    pub parent: u64,
    /// Its state from here on.
    pub state: ParentState,
    /// First leg's order, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_order: Option<OrderId>,
    /// Second leg's order, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_order: Option<OrderId>,
    /// Filled of the first leg.
    pub first_filled: Qty,
    /// Filled of the second leg.
    pub second_filled: Qty,
    /// What it is to do: in the first frame of a multi-leg order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
}

/// What somebody should look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// One leg of a multi-leg order is filled and the other is not; repeats until it is not so any more.
    SingleLeg,
    /// A multi-leg order's outcome does not add up: somebody has to reconcile it.
    Reconcile,
    /// The two venues of a pair paid differently.
    Diverged,
    /// A pair suspended itself: its rule text is not the one that was approved.
    RulesChanged,
    /// A spread too wide to be true.
    AbnormalSpread,
    /// Both entries of a one-cancels-other pair filled.
    BothEntriesFilled,
    /// A position has no stop at the venue.
    Unprotected,
    /// Too many losses in a row.
    LossStreak,
    /// A day lost so much that what is open is closed.
    EmergencyLoss,
}

/// Somebody should look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmRaised {
    /// What led to it.
    pub cause: Sequence,
    /// Whose.
    pub strategy: StrategyId,
    /// Where.
    pub instrument: InstrumentId,
    /// What.
    pub alarm: Alarm,
    /// How much is at stake or off, in the alarm's own measure.
    pub value: Decimal,
}

/// A limit is nearly used up (80 %): once a day for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitWarned {
    /// What led to it.
    pub cause: Sequence,
    /// Whose order came near it.
    pub strategy: StrategyId,
    /// In which scope.
    pub scope: Scope,
    /// The number of the venue, strategy or instrument that the limit is for; 0 for all of them.
    pub whose: u32,
    /// Which limit: one of the risk gates', or the name of a strategy's parameter.
    pub gate: GateName,
    /// What the gate saw.
    pub value: Decimal,
    /// What it allows.
    pub limit: Decimal,
    /// Whose limit of the strategy's own it is, where there are several: a cluster, a station, a wallet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// A UTC day began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayRolled {
    /// The frame that scheduled it.
    pub cause: Sequence,
    /// Days since 1970-01-01.
    pub day: u32,
}

/// A trading signal: what a detector saw, before anything is ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalRaised {
    /// What led to it.
    pub cause: Sequence,
    /// Whose.
    pub strategy: StrategyId,
    /// In what.
    pub instrument: InstrumentId,
    /// The detector with its version: "inside_bar 1.0.1".
    pub detector: String,
    /// Which way.
    pub side: Side,
    /// Entry price.
    pub entry: Price,
    /// Stop-loss; zero where there is none.
    pub stop_loss: Price,
    /// Target; zero where there is none.
    pub target: Price,
    /// Quantity.
    pub qty: Qty,
}

/// Where an order intent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// Taken, not looked at.
    Pending,
    /// Passed its checks; nothing is sent in plan-only mode.
    Planned,
    /// Released for sending.
    Ready,
    /// An order went out.
    Sent,
    /// Its key was there before: counts as success.
    Duplicate,
    /// A check refused it.
    Refused,
    /// A corrected intent took its place.
    Replaced,
}

/// An order intent's state changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentChanged {
    /// What led to it.
    pub cause: Sequence,
    /// Whose.
    pub strategy: StrategyId,
    /// Its key.
    pub key: String,
    /// Its state from here on.
    pub state: IntentState,
    /// Its order, once one went out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<GateName>,
}
