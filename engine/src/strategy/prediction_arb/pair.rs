//! A pair that somebody approved.
use super::edge::Direction;
use crate::event::PairApproved;
use crate::id::InstrumentId;
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// A pair and whether it may trade.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pair {
    pub(super) facts: PairApproved,
    /// It is about something that no market may be about.
    pub(super) is_blocked: bool,
    /// The approval was taken back.
    pub(super) is_withdrawn: bool,
    /// A rule text is not the one that was approved.
    pub(super) is_suspended: bool,
    /// Whose text it is, as long as nobody was called.
    pub(super) owes_alarm: Option<InstrumentId>,
    /// No entry before.
    pub(super) quiet_until: Nanos,
}

impl Pair {
    pub(super) const fn new(facts: PairApproved) -> Self {
        Self {
            facts,
            is_blocked: false,
            is_withdrawn: false,
            is_suspended: false,
            owes_alarm: None,
            quiet_until: Nanos(0),
        }
    }

    /// The token that a direction buys: the one that pays what the single-book leg does not.
    pub(super) const fn token(&self, direction: Direction) -> InstrumentId {
        match (direction, self.facts.inverted) {
            (Direction::BuySingle, false) | (Direction::SellSingle, true) => self.facts.no_token,
            (Direction::SellSingle, false) | (Direction::BuySingle, true) => self.facts.yes_token,
        }
    }

    pub(super) const fn instruments(&self) -> [InstrumentId; 3] {
        [
            self.facts.single_book,
            self.facts.yes_token,
            self.facts.no_token,
        ]
    }

    pub(super) fn has(&self, instrument: InstrumentId) -> bool {
        self.instruments().contains(&instrument)
    }

    /// Holds a rule text against the approved one; a pair that does not fit suspends itself.
    pub(super) fn see_rules(&mut self, instrument: InstrumentId, hash: &str) {
        let approved = if instrument == self.facts.single_book {
            &self.facts.single_book_rules
        } else {
            &self.facts.token_rules
        };
        if self.has(instrument) && hash != approved && !self.is_suspended {
            self.is_suspended = true;
            self.owes_alarm = Some(instrument);
        }
    }

    /// How sure the approver is now.
    pub(super) const fn confidence_pct(&self) -> u8 {
        if self.is_withdrawn {
            0
        } else {
            self.facts.confidence_pct
        }
    }

    pub(super) fn first_settlement(&self) -> Nanos {
        let facts = &self.facts;
        facts.single_book_settles_at.min(facts.token_settles_at)
    }

    pub(super) fn last_settlement(&self) -> Nanos {
        let facts = &self.facts;
        facts.single_book_settles_at.max(facts.token_settles_at)
    }
}
