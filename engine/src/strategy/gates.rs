//! Why a candidate trades or does not: its gates, asked in order.
//!
//! Per tick only the first gate that stops a candidate counts, and it reaches the tape when it is another one than before.
//! To explain a moment (`onetape why`) every gate is asked and noted.
use super::{OwnLimit, Wishes};
use crate::id::InstrumentId;
use crate::number::{MONEY_DECIMALS, Money, pow10};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A gate's name as it stands on the tape: "net_edge".
pub type GateName = Cow<'static, str>;

/// A number that a gate looks at, exact: `mantissa / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    mantissa: i128,
    scale: u32,
}

impl Figure {
    /// `mantissa / 10^scale`.
    pub const fn new(mantissa: i128, scale: u32) -> Self {
        Self { mantissa, scale }
    }

    /// Whether at least 80 % of a limit is used up (requirements, five systems, 2.3: warn at 80 % of any limit).
    pub(super) fn is_near(self, limit: Self) -> bool {
        let times = |figure: Self, factor| Self {
            mantissa: figure.mantissa.saturating_mul(factor),
            ..figure
        };
        limit.mantissa > 0 && times(self, 5) >= times(limit, 4)
    }

    /// As a decimal: exact where one can hold it, otherwise without the last digits.
    pub fn to_decimal(self) -> Decimal {
        let (mut mantissa, mut scale) = (self.mantissa, self.scale);
        loop {
            match Decimal::try_from_i128_with_scale(mantissa, scale) {
                Ok(decimal) => return decimal.normalize(),
                Err(_) if scale > 0 => (mantissa, scale) = (mantissa / 10, scale - 1),
                Err(_) if mantissa < 0 => return Decimal::MIN,
                Err(_) => return Decimal::MAX,
            }
        }
    }
}

impl PartialOrd for Figure {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let scale = self.scale.max(other.scale);
        let to = |figure: &Self| figure.mantissa.checked_mul(pow10(scale - figure.scale)?);
        Some(match (to(self), to(other)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => self.to_decimal().cmp(&other.to_decimal()),
        })
    }
}

impl From<Money> for Figure {
    fn from(money: Money) -> Self {
        Self::new(money.0, MONEY_DECIMALS)
    }
}

impl From<Decimal> for Figure {
    fn from(decimal: Decimal) -> Self {
        Self::new(decimal.mantissa(), decimal.scale())
    }
}

macro_rules! from_integer {
    ($($integer:ty),*) => {$(
        impl From<$integer> for Figure {
            fn from(value: $integer) -> Self {
                Self::new(value as i128, 0)
            }
        }
    )*};
}
from_integer!(u8, u32, u64, usize, i32, i64, i128);

/// Something that a strategy considers, again and again: a pair and a direction, a bracket, a leader's trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The strategy's number for it: small, dense, never given to another one.
    pub number: u32,
    /// The instrument that it is about first.
    pub instrument: InstrumentId,
}

/// The first gate that stops a candidate with what it saw and what it allows; none when it passes them all.
pub type Stopped = Option<(&'static str, Figure, Figure)>;

/// How a gate compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Passes when the value is the limit or more.
    AtLeast,
    /// Passes when the value is the limit or less.
    AtMost,
}

/// One gate of a candidate, as it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateRow {
    /// Whose; none for the risk gates of an order.
    pub candidate: Option<Candidate>,
    /// Its name.
    pub gate: GateName,
    /// What it saw.
    pub value: Decimal,
    /// How it compares.
    pub relation: Relation,
    /// What it allows.
    pub limit: Decimal,
    /// Whether it lets the candidate pass.
    pub passes: bool,
}

/// The gates of one candidate while they are asked.
#[derive(Debug)]
pub struct Gates<'w> {
    wishes: &'w mut Wishes,
    candidate: Candidate,
    blocked: bool,
    near: Vec<OwnLimit>,
}

impl<'w> Gates<'w> {
    pub(super) const fn new(wishes: &'w mut Wishes, candidate: Candidate) -> Self {
        Self {
            wishes,
            candidate,
            blocked: false,
            near: Vec::new(),
        }
    }

    /// Passes when `value` is `limit` or more. Returns whether to go on: false means that the candidate is done with.
    #[inline]
    #[must_use]
    pub fn at_least(
        &mut self,
        gate: &'static str,
        value: impl Into<Figure>,
        limit: impl Into<Figure>,
    ) -> bool {
        let (value, limit) = (value.into(), limit.into());
        self.ask(gate, value, Relation::AtLeast, limit, value >= limit)
    }

    /// Passes when `value` is `limit` or less. Returns whether to go on: false means that the candidate is done with.
    #[inline]
    #[must_use]
    pub fn at_most(
        &mut self,
        gate: &'static str,
        value: impl Into<Figure>,
        limit: impl Into<Figure>,
    ) -> bool {
        let (value, limit) = (value.into(), limit.into());
        self.ask(gate, value, Relation::AtMost, limit, value <= limit)
    }

    /// Passes when something holds: 1 at least 1. Returns whether to go on.
    #[inline]
    #[must_use]
    pub fn holds(&mut self, gate: &'static str, holds: bool) -> bool {
        let value = Figure::new(i128::from(holds), 0);
        self.ask(gate, value, Relation::AtLeast, Figure::new(1, 0), holds)
    }

    #[inline]
    fn ask(
        &mut self,
        gate: &'static str,
        value: Figure,
        relation: Relation,
        limit: Figure,
        passes: bool,
    ) -> bool {
        let explaining = self.wishes.note(|| GateRow {
            candidate: Some(self.candidate),
            gate: Cow::Borrowed(gate),
            value: value.to_decimal(),
            relation,
            limit: limit.to_decimal(),
            passes,
        });
        if !passes && !self.blocked {
            self.blocked = true;
            self.wishes.gate(self.candidate, Some((gate, value, limit)));
        }
        passes || explaining
    }

    /// How much of one of the strategy's own limits is used up with what the candidate asks for. From 80 % on it is said on
    /// the tape, once a UTC day, if the candidate passes. `limit` is the parameter's name, `of` whose limit it is where
    /// there are several.
    pub fn uses(
        &mut self,
        limit: &'static str,
        of: Option<&str>,
        value: impl Into<Figure>,
        most: impl Into<Figure>,
    ) {
        let (value, most) = (value.into(), most.into());
        if value.is_near(most) {
            self.near.push(OwnLimit {
                limit,
                of: of.map(str::to_owned),
                value,
                most,
            });
        }
    }

    /// Ends the asking: whether every gate let the candidate pass. An order may follow only then.
    #[inline]
    #[must_use]
    pub fn passed(self) -> bool {
        if !self.blocked {
            self.wishes.gate(self.candidate, None);
            if !self.near.is_empty() {
                self.wishes.near(self.near);
            }
        }
        !self.blocked
    }
}

/// What stopped a candidate when it was last asked. Three words of its own: a state is MessagePack, and there an option
/// within an option comes back as none where it was none inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum LastGate {
    #[default]
    NeverAsked,
    Passed,
    Stopped(GateName),
}

/// The first gate that stopped each candidate of one strategy when it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastGates {
    /// By candidate number.
    gates: Vec<LastGate>,
}

impl LastGates {
    /// Whether `gate` differs from what is on the tape.
    #[inline]
    pub(crate) fn differs(&self, number: u32, gate: Option<&str>) -> bool {
        match (self.gates.get(number as usize), gate) {
            (Some(LastGate::Stopped(last)), Some(gate)) => last != gate,
            (Some(LastGate::Passed), None) => false,
            _ => true,
        }
    }

    pub(crate) fn set(&mut self, number: u32, gate: Option<GateName>) {
        let place = number as usize;
        if self.gates.len() <= place {
            self.gates.resize(place + 1, LastGate::NeverAsked);
        }
        self.gates[place] = gate.map_or(LastGate::Passed, LastGate::Stopped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_different_scales_compare_by_value() {
        assert!(Figure::new(15, 1) > Figure::from(1u64));
        assert!(Figure::from(Money(2_000_000_000_000_000_000)) >= Figure::from(2i64));
        assert_eq!(
            Figure::new(150, 2).partial_cmp(&Figure::new(15, 1)),
            Some(Ordering::Equal)
        );
        assert!(Figure::new(i128::MAX, 0) > Figure::new(1, 30));
    }

    #[test]
    fn what_was_asked_last_survives_a_snapshot() {
        let mut last = LastGates::default();
        last.set(1, None);
        last.set(2, Some("edge".into()));
        let restored: LastGates =
            rmp_serde::from_slice(&rmp_serde::to_vec(&last).unwrap()).unwrap();
        assert_eq!(restored, last);
        assert!(restored.differs(0, None) && restored.differs(3, None));
        assert!(!restored.differs(1, None) && restored.differs(1, Some("edge")));
        assert!(!restored.differs(2, Some("edge")) && restored.differs(2, None));
    }

    #[test]
    fn the_first_gate_that_stops_is_the_one_that_counts() {
        let candidate = Candidate {
            number: 0,
            instrument: InstrumentId(3),
        };
        let mut wishes = Wishes::default();
        let mut gates = wishes.gates(candidate);
        assert!(gates.at_least("edge", 5, 3));
        assert!(!gates.at_most("spread", 9, 4));
        assert!(!gates.passed());
        let mut explaining = Wishes::explaining();
        let mut gates = explaining.gates(candidate);
        assert!(gates.at_most("spread", 9, 4), "goes on to explain the rest");
        assert!(gates.holds("open", true));
        assert!(!gates.passed());
        let rows = explaining.into_explanation().rows;
        assert_eq!(rows.len(), 2);
        assert!(!rows[0].passes && rows[1].passes);
    }
}
