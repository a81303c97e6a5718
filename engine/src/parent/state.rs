//! Where a multi-leg order stands.
use serde::{Deserialize, Serialize};

/// Where a multi-leg order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParentState {
    /// Planned; nothing went out.
    None,
    /// The first leg is under way.
    Leg1Sent,
    /// The first leg is filled as far as it will be; the second may go.
    Leg1Filled,
    /// The second leg is under way.
    Leg2Sent,
    /// Both legs are filled alike.
    Hedged,
    /// One leg is filled and the other is not, past its deadline: somebody is called again and again.
    SingleLeg,
    /// What has no counterpart is being sold back.
    Unwinding,
    /// Nothing is left to do: never filled, unwound, closed or settled.
    Closed,
    /// What the venues said does not add up: somebody has to reconcile it.
    Reconcile,
}

impl ParentState {
    /// Whether nothing is to be done unless something late comes in.
    pub const fn is_at_rest(self) -> bool {
        matches!(self, ParentState::Hedged | ParentState::Closed)
    }
}
