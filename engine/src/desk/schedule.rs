//! What is due later, in the order (due time, order of scheduling).
use crate::id::{OrderId, Sequence, StrategyId};
use crate::risk::HaltReason;
use crate::time::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// An order reaches the paper venue.
    OrderArrives(OrderId),
    /// A cancel reaches the paper venue.
    CancelArrives(OrderId),
    /// A strategy's timer.
    Timer {
        /// Whose.
        strategy: StrategyId,
        /// What the strategy calls it.
        token: u64,
    },
    /// A UTC day begins.
    DayRoll,
    /// A halt that ends with the day.
    HaltEnds(HaltReason),
}

/// A task with its due time and the frame that scheduled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// When.
    pub at: Nanos,
    /// What led to it.
    pub cause: Sequence,
    /// What.
    pub task: Task,
}

/// All tasks that are not done yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    tasks: VecDeque<Due>,
}

impl Schedule {
    /// Adds a task behind those due at the same time. Latencies differ little, so the place is found from the back.
    pub(super) fn add(&mut self, due: Due) {
        let place = self
            .tasks
            .iter()
            .rposition(|known| known.at <= due.at)
            .map_or(0, |before| before + 1);
        if place == self.tasks.len() {
            self.tasks.push_back(due);
        } else {
            self.tasks.insert(place, due);
        }
    }

    /// Takes a task out; false when there is no such one.
    pub(super) fn remove(&mut self, task: Task) -> bool {
        // A task is done when it is first in line.
        if self.tasks.front().is_some_and(|first| first.task == task) {
            self.tasks.pop_front();
            return true;
        }
        let place = self.tasks.iter().position(|known| known.task == task);
        place.is_some_and(|place| self.tasks.remove(place).is_some())
    }

    /// The task that is due first.
    #[inline]
    pub fn next(&self) -> Option<&Due> {
        self.tasks.front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_come_by_due_time_and_then_in_the_order_of_scheduling() {
        let mut schedule = Schedule::default();
        for (at, order) in [(5, 1), (3, 2), (5, 3), (4, 4), (3, 5)] {
            schedule.add(Due {
                at: Nanos(at),
                cause: Sequence(0),
                task: Task::OrderArrives(OrderId(order)),
            });
        }
        let mut seen = Vec::new();
        while let Some(due) = schedule.next().copied() {
            assert!(schedule.remove(due.task));
            if let Task::OrderArrives(order) = due.task {
                seen.push(order.0);
            }
        }
        assert_eq!(seen, [2, 5, 4, 1, 3]);
    }
}
