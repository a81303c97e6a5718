//! All multi-leg orders of one strategy.
use super::{Parent, ParentState, Plan, Role, plan};
use crate::error::EngineError;
use crate::event::{Event, ParentChanged};
use crate::id::{OrderId, Sequence};
use crate::market::Market;
use crate::strategy::{View, Wishes};
use crate::time::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many closed parents are remembered for late fills.
const REMEMBERED_CLOSED: usize = 64;

/// The multi-leg orders of one strategy, part of its state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Parents {
    opened: u64,
    /// Those where something is to be done, and those that are hedged.
    open: Vec<Parent>,
    /// Closed ones, oldest first.
    closed: VecDeque<Parent>,
    /// How many of the open ones are not at rest: on most ticks none is.
    restless: usize,
}

impl Parents {
    /// The number of the parent that is opened next.
    pub const fn next_number(&self) -> u64 {
        self.opened + 1
    }

    /// Opens a multi-leg order: its first leg goes out as soon as the plan stands on the tape. At most one at a time
    /// may be opened while an event is decided on.
    pub fn open(&self, plan: Plan, wishes: &mut Wishes) {
        let opened = Parent::new(self.next_number(), plan);
        wishes.parent(ParentChanged {
            plan: Some(plan),
            ..opened.change(ParentState::None)
        });
    }

    /// Closes a hedged one: both legs were traded back or settled.
    pub fn close(&self, number: u64, wishes: &mut Wishes) {
        if let Some(parent) = self.get(number)
            && parent.state() == ParentState::Hedged
        {
            wishes.parent(parent.change(ParentState::Closed));
        }
    }

    /// One of them, closed ones included as long as they are remembered.
    pub fn get(&self, number: u64) -> Option<&Parent> {
        let is = |parent: &&Parent| parent.number() == number;
        self.open
            .iter()
            .find(is)
            .or_else(|| self.closed.iter().rev().find(is))
    }

    /// Those that are not closed, oldest first.
    pub fn open_ones(&self) -> impl Iterator<Item = &Parent> {
        self.open.iter()
    }

    /// How many are neither hedged nor closed.
    pub const fn restless(&self) -> usize {
        self.restless
    }

    /// Whose order it is, and what for; late reports of closed ones included.
    pub fn role_of(&self, order: OrderId) -> Option<(u64, Role)> {
        let all = self.open.iter().chain(self.closed.iter().rev());
        all.filter_map(|parent| Some((parent.number(), parent.role_of(order)?)))
            .next()
    }

    /// Folds an event; market data is none of its business.
    ///
    /// # Errors
    /// [`EngineError`] when a number does not fit or the market does not know a leg's instrument.
    #[inline]
    pub fn evolve(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        match event {
            Event::OrderDecided(decided) => {
                if let Some((number, role)) = Role::of_tag(decided.tag)
                    && let Some(parent) = self.get_mut(number)
                {
                    parent.sent(role, OrderId(sequence.0), now);
                }
            }
            Event::OrderDenied(denied) => {
                if let Some((number, role)) = Role::of_tag(denied.tag)
                    && let Some(parent) = self.get_mut(number)
                {
                    parent.denied(role, now);
                }
            }
            Event::ExecutionReport(report) => {
                if let Some((number, role)) = self.role_of(report.order)
                    && let Some(parent) = self.get_mut(number)
                {
                    parent.report(role, report, market.instrument(report.instrument)?)?;
                    if parent.is_restless() {
                        self.reopen(number);
                    }
                }
            }
            Event::ParentChanged(change) => self.changed(change, now),
            Event::Resolution(resolution) => {
                for parent in &mut self.open {
                    parent.settled(resolution.instrument);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn changed(&mut self, change: &ParentChanged, now: Nanos) {
        if let Some(plan) = change.plan {
            self.opened = self.opened.max(change.parent);
            self.open.push(Parent::new(change.parent, plan));
        }
        let is = |parent: &Parent| parent.number() == change.parent;
        if let Some(place) = self.open.iter().position(is) {
            self.open[place].changed(change.state, now);
            if change.state == ParentState::Closed {
                if self.closed.len() == REMEMBERED_CLOSED {
                    self.closed.pop_front();
                }
                self.closed.push_back(self.open.remove(place));
            }
        }
        self.count();
    }

    /// A fill came after everything seemed to be over.
    fn reopen(&mut self, number: u64) {
        let place = self.closed.iter().position(|p| p.number() == number);
        if let Some(parent) = place.and_then(|place| self.closed.remove(place)) {
            self.open.push(parent);
        }
        self.count();
    }

    fn count(&mut self) {
        self.restless = self.open.iter().filter(|p| p.is_restless()).count();
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Parent> {
        let is = |parent: &&mut Parent| parent.number() == number;
        match self.open.iter_mut().find(is) {
            Some(parent) => Some(parent),
            None => self
                .closed
                .iter_mut()
                .rev()
                .find(|parent| parent.number() == number),
        }
    }

    /// Says what to do next for those that the event concerns.
    #[inline]
    pub fn decide(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        let number = match event {
            Event::Quote(_) | Event::BookDelta(_) | Event::BookSnapshot(_) => {
                if self.restless > 0 {
                    self.decide_moved(event, view, wishes);
                }
                return;
            }
            Event::MarketStatus(_)
            | Event::Resolution(_)
            | Event::TradingRules(_)
            | Event::FeeSchedule(_)
            | Event::FeedState(_) => return self.decide_moved(event, view, wishes),
            Event::OrderDecided(decided) => Role::of_tag(decided.tag).map(|(number, _)| number),
            Event::OrderDenied(denied) => Role::of_tag(denied.tag).map(|(number, _)| number),
            Event::ExecutionReport(report) => self.role_of(report.order).map(|(number, _)| number),
            Event::TimerFired(fired) => plan::parent_of_token(fired.token),
            Event::ParentChanged(change) => Some(change.parent),
            _ => None,
        };
        if let Some(parent) = number.and_then(|number| self.get(number)) {
            parent.decide(view, wishes);
        }
    }

    /// What a leg's market has to do with those that wait for it.
    #[cold]
    fn decide_moved(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        let instrument = event.instrument();
        let concerned = |parent: &&Parent| {
            let mut legs = parent.plan().legs.iter();
            legs.any(|leg| Some(leg.instrument) == instrument)
        };
        for parent in self.open.iter().filter(concerned) {
            parent.decide(view, wishes);
        }
    }
}
