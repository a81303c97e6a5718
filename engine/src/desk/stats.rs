//! Counts for reports. Part of the state, so that a recovered run reports what an uninterrupted one does.
use crate::event::{ExecutionReport, Liquidity};
use crate::order::OrderState;
use crate::risk::Gate;
use serde::{Deserialize, Serialize};

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Inputs, the session's start excepted.
    pub inputs: u64,
    /// Orders that passed the gates.
    pub orders: u64,
    /// Cancels asked for.
    pub cancels: u64,
    /// Fills.
    pub fills: u64,
    /// Fills that provided liquidity.
    pub maker_fills: u64,
    /// Orders by how they ended.
    pub filled: u64,
    /// Taken back.
    pub cancelled: u64,
    /// Refused by the venue.
    pub rejected: u64,
    /// Ended by their time in force.
    pub expired: u64,
    /// Orders that a gate stopped, by [`Gate::ALL`]'s order.
    pub denied: Vec<u64>,
}

impl Stats {
    pub(super) fn denied(&mut self, gate: Gate) {
        if self.denied.is_empty() {
            self.denied = vec![0; Gate::ALL.len()];
        }
        if let Some(count) = self.denied.get_mut(gate as usize) {
            *count += 1;
        }
    }

    /// Counts a report; a late fill does not end its order a second time.
    pub(super) fn reported(&mut self, report: &ExecutionReport, is_late: bool) {
        if let Some(fill) = &report.fill {
            self.fills += 1;
            self.maker_fills += u64::from(fill.liquidity == Liquidity::Maker);
        }
        if is_late {
            return;
        }
        match report.state {
            OrderState::Filled => self.filled += 1,
            OrderState::Cancelled => self.cancelled += 1,
            OrderState::Rejected => self.rejected += 1,
            OrderState::Expired => self.expired += 1,
            _ => {}
        }
    }

    /// Gates that stopped orders, and how often.
    pub fn gates(&self) -> impl Iterator<Item = (Gate, u64)> + '_ {
        Gate::ALL
            .iter()
            .copied()
            .zip(self.denied.iter().copied())
            .filter(|(_, count)| *count > 0)
    }
}
