//! What is due later, in the order (due time, order of scheduling).
use crate::id::{OrderId, Sequence, StrategyId};
use crate::risk::HaltReason;
use crate::time::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// An order reaches the paper venue; one whose outcome was unknown on arrival, a second time when it is told.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    tasks: VecDeque<Due>,
    /// When the first task is due: asked before every input, and nearly always later.
    #[serde(skip)]
    first_at: Nanos,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            tasks: VecDeque::new(),
            first_at: NEVER,
        }
    }
}

const NEVER: Nanos = Nanos(u64::MAX);

impl Schedule {
    /// Finds the first task's time, after a change and after a restoration.
    pub(super) fn find_first(&mut self) {
        self.first_at = self.tasks.front().map_or(NEVER, |due| due.at);
    }

    /// Adds a task behind those due at the same time. Latencies differ little, so the place is found from the back.
    pub(super) fn add(&mut self, due: Due) {
        let mut place = self.tasks.len();
        self.tasks.push_back(due);
        while place > 0 && self.tasks[place - 1].at > due.at {
            self.tasks.swap(place - 1, place);
            place -= 1;
        }
        self.find_first();
    }

    /// Takes a task out; false when there is no such one.
    pub(super) fn remove(&mut self, task: Task) -> bool {
        // A task is done when it is first in line.
        if self.tasks.front().is_some_and(|first| first.task == task) {
            self.tasks.pop_front();
            self.find_first();
            return true;
        }
        let place = self.tasks.iter().position(|known| known.task == task);
        place.is_some_and(|place| self.tasks.remove(place).is_some())
    }

    /// When a task is due; `None` when there is no such one.
    pub(super) fn due_at(&self, task: Task) -> Option<Nanos> {
        let due = self.tasks.iter().find(|known| known.task == task);
        due.map(|due| due.at)
    }

    /// Moves a task that is due earlier to `at`, behind all that is due then.
    pub(super) fn postpone(&mut self, task: Task, at: Nanos) {
        let place = self
            .tasks
            .iter()
            .position(|known| known.task == task && known.at <= at);
        if let Some(due) = place.and_then(|place| self.tasks.remove(place)) {
            self.add(Due { at, ..due });
        }
    }

    /// The task that is due first.
    pub fn next(&self) -> Option<&Due> {
        self.tasks.front()
    }

    /// The first task, if it is due at or before `now`.
    #[inline]
    pub(crate) fn due_by(&self, now: Nanos) -> Option<&Due> {
        if self.first_at <= now {
            self.tasks.front()
        } else {
            None
        }
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

    #[test]
    fn a_postponed_task_comes_behind_what_is_due_then_and_never_earlier() {
        let mut schedule = Schedule::default();
        let task = |order| Task::OrderArrives(OrderId(order));
        for (at, order) in [(5, 1), (3, 2), (9, 3)] {
            schedule.add(Due {
                at: Nanos(at),
                cause: Sequence(order),
                task: task(order),
            });
        }
        schedule.postpone(task(2), Nanos(5));
        schedule.postpone(task(3), Nanos(5));
        schedule.postpone(task(4), Nanos(5));
        let tasks: Vec<_> = schedule
            .tasks
            .iter()
            .map(|due| (due.at.0, due.cause.0))
            .collect();
        assert_eq!(tasks, [(5, 1), (5, 2), (9, 3)]);
        assert_eq!(schedule.due_at(task(3)), Some(Nanos(9)));
        assert_eq!(schedule.due_at(task(4)), None);
    }
}
