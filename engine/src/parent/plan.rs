//! What a multi-leg order is to do, and how its orders are recognised.
use crate::id::InstrumentId;
use crate::number::{Money, Price, Qty};
use crate::order::Side;
use serde::{Deserialize, Serialize};

/// One leg: an immediate-or-cancel limit order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// In what.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// The worst price that the plan still wants.
    pub limit: Price,
    /// How much, in the instrument's own decimals. The second leg goes for what the first one filled, never for more.
    pub qty: Qty,
}

/// Which leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegSide {
    /// The one that goes first: the one that is harder to fill.
    First,
    /// The one that follows.
    Second,
}

impl LegSide {
    /// The leg's place in arrays of two.
    pub const fn index(self) -> usize {
        match self {
            LegSide::First => 0,
            LegSide::Second => 1,
        }
    }

    /// The other leg.
    pub const fn other(self) -> LegSide {
        match self {
            LegSide::First => LegSide::Second,
            LegSide::Second => LegSide::First,
        }
    }
}

/// What becomes of shares without a counterpart when waiting has not helped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The leg that is too long is traded back: for legs that open a position.
    Unwind,
    /// The leg that is short is filled at what its book gives: for legs that close one.
    Complete,
}

/// The last resort for shares without a counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnwindRule {
    /// Whether there is one; without it somebody is called until the legs match.
    pub on: bool,
    /// What it does.
    pub remedy: Remedy,
    /// How long the shares stay without a counterpart first, in nanoseconds.
    pub after_ns: u64,
    /// The largest loss that it may cost by the book of the moment, fees and earlier attempts included; by leg, in the
    /// leg's quote currency.
    pub loss_caps: [Money; 2],
}

/// A multi-leg order as it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// First and second leg: the same number of shares.
    pub legs: [Leg; 2],
    /// How long a leg may be under way, in nanoseconds.
    pub deadline_ns: u64,
    /// How often the second leg is sent again within its limit while shares have no counterpart.
    pub retries: u32,
    /// The least time between two attempts of any kind, in nanoseconds.
    pub retry_gap_ns: u64,
    /// The last resort.
    pub unwind: UnwindRule,
    /// How often somebody is called while the legs do not match, in nanoseconds; at least one millisecond counts.
    pub alarm_every_ns: u64,
}

/// What an order of a parent is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The first leg.
    First,
    /// The second leg.
    Second,
    /// Trades shares of the first leg back.
    UnwindFirst,
    /// Trades shares of the second leg back.
    UnwindSecond,
}

const ROLE_BITS: u32 = 3;
const CLOCK: u64 = 7;

impl Role {
    const ALL: [Role; 4] = [
        Role::First,
        Role::Second,
        Role::UnwindFirst,
        Role::UnwindSecond,
    ];

    /// The leg that it fills.
    pub const fn of(leg: LegSide) -> Role {
        match leg {
            LegSide::First => Role::First,
            LegSide::Second => Role::Second,
        }
    }

    /// What trades a leg back.
    pub const fn unwinding(leg: LegSide) -> Role {
        match leg {
            LegSide::First => Role::UnwindFirst,
            LegSide::Second => Role::UnwindSecond,
        }
    }

    /// In whose instrument it trades.
    pub const fn leg(self) -> LegSide {
        match self {
            Role::First | Role::UnwindFirst => LegSide::First,
            Role::Second | Role::UnwindSecond => LegSide::Second,
        }
    }

    /// Whether it trades shares back.
    pub const fn is_unwinding(self) -> bool {
        matches!(self, Role::UnwindFirst | Role::UnwindSecond)
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// The tag of an order of this role: the parent's number and the role in the low three bits. Tags and timer tokens
    /// whose low three bits are zero are left to the strategy.
    pub const fn tag(self, parent: u64) -> u64 {
        (parent << ROLE_BITS) | (self as u64 + 1)
    }

    /// Whose order a tag is, and what for; `None` where it is no parent's.
    pub fn of_tag(tag: u64) -> Option<(u64, Role)> {
        let role = Self::ALL
            .into_iter()
            .find(|role| role.tag(0) == tag & CLOCK)?;
        Some((tag >> ROLE_BITS, role))
    }
}

/// The token of a parent's timers.
pub(super) const fn token_of(parent: u64) -> u64 {
    (parent << ROLE_BITS) | CLOCK
}

/// Whose timer a token is; `None` where it is no parent's.
pub(super) fn parent_of_token(token: u64) -> Option<u64> {
    (token & CLOCK == CLOCK).then_some(token >> ROLE_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn tags_and_tokens_name_their_parent_and_never_each_other() {
        let mut seen = BTreeSet::new();
        for parent in [0, 1, 7, 8, u64::from(u32::MAX)] {
            for role in Role::ALL {
                assert!(seen.insert(role.tag(parent)));
                assert_eq!(Role::of_tag(role.tag(parent)), Some((parent, role)));
                assert_eq!(parent_of_token(role.tag(parent)), None);
            }
            assert!(seen.insert(token_of(parent)));
            assert_eq!(parent_of_token(token_of(parent)), Some(parent));
            assert_eq!(Role::of_tag(token_of(parent)), None);
            assert_eq!(Role::of_tag(parent << ROLE_BITS), None);
        }
    }
}
