//! What follows from an event: everything here looks at the desk and changes nothing.
use super::{Desk, Due, Seat, Task, accounts};
use crate::error::EngineError;
use crate::event::{
    Alarm, DayRolled, Event, ExecutionReport, HaltChanged, IntentChanged, OperatorAction,
    ParentChanged, SignalRaised, TimerFired,
};
use crate::id::{InstrumentId, OrderId, Sequence, StrategyId};
use crate::market::Market;
use crate::order::Order;
use crate::risk::{HaltReason, Proposal};
use crate::strategy::{
    Candidate, Explanation, LastGates, OwnLimit, Stopped, Strategy, View, Wishes,
};
use crate::time::Nanos;
use rust_decimal::Decimal;

/// Something that should stand on the tape next.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// An order, if the gates let it pass.
    Order(StrategyId, Proposal),
    /// A cancel of an order at work.
    Cancel(StrategyId, OrderId),
    /// A timer.
    Timer(StrategyId, Nanos, u64),
    /// A report of the paper venue.
    Report(ExecutionReport),
    /// A halt that comes or goes.
    Halt(HaltReason, bool),
    /// The first gate that stops a candidate, or none: for the tape where it is another one than before.
    Gate(StrategyId, Candidate, Stopped),
    /// A limit of a strategy's own that is nearly used up.
    Near(StrategyId, Box<OwnLimit>),
    /// A call for somebody.
    Alarm(StrategyId, InstrumentId, Alarm, Decimal),
    /// A parent's new state.
    Parent(Box<ParentChanged>),
    /// A signal.
    Signal(Box<SignalRaised>),
    /// An intent's new state.
    Intent(Box<IntentChanged>),
}

impl Desk {
    /// What follows from an event that market and desk have folded: the paper venue's reports first, then halts, then the
    /// strategies' wishes in the session's order. `reports` and `wishes` are scratch space.
    ///
    /// # Errors
    /// [`EngineError`] when a number does not fit.
    #[inline(always)]
    pub fn decide(
        &self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
        scratch: &mut Scratch,
        out: &mut impl FnMut(Decision),
    ) -> Result<(), EngineError> {
        if !self.has_session() {
            return Ok(());
        }
        match event {
            Event::Quote(_) | Event::Trade(_) | Event::BookDelta(_) | Event::BookSnapshot(_) => {
                if let Some(id) = event.instrument()
                    && let Ok(instrument) = market.instrument(id)
                    && self.paper.may_report(instrument)
                {
                    self.decide_fills(sequence, now, event, market, scratch, out)?;
                }
                self.ask_watchers(sequence, now, event, market, scratch, out);
            }
            other => self.decide_rare(sequence, now, other, market, scratch, out)?,
        }
        Ok(())
    }

    #[inline(never)]
    fn decide_rare(
        &self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
        scratch: &mut Scratch,
        out: &mut impl FnMut(Decision),
    ) -> Result<(), EngineError> {
        let asked = match event {
            Event::MarketStatus(_) | Event::Resolution(_) => {
                self.decide_fills(sequence, now, event, market, scratch, out)?;
                self.ask_watchers(sequence, now, event, market, scratch, out);
                None
            }
            Event::ClockDrift(drift) => {
                let limit = self.config().risk.max_clock_drift_ms;
                let (off, halted) = (
                    drift.drift_ms.unsigned_abs() >= limit,
                    self.risk.halts.contains(&HaltReason::ClockDrift),
                );
                if off != halted {
                    out(Decision::Halt(HaltReason::ClockDrift, off));
                }
                None
            }
            Event::HaltChanged(change) => {
                if change.active && self.config().risk.cancel_on_halt {
                    self.cancel_entries(change.reason, out);
                }
                self.ask_everybody(sequence, now, event, market, scratch, out);
                None
            }
            Event::OperatorCommand(command) => {
                let halted = self.risk.halts.contains(&HaltReason::Operator);
                match command.action {
                    OperatorAction::Halt if !halted => {
                        out(Decision::Halt(HaltReason::Operator, true))
                    }
                    OperatorAction::Resume if halted => {
                        out(Decision::Halt(HaltReason::Operator, false))
                    }
                    OperatorAction::Stop { cancel } => {
                        out(Decision::Halt(HaltReason::Stopping, true));
                        let resting = self.orders.iter().filter(|o| cancel && !o.cancelling);
                        for order in resting {
                            out(Decision::Cancel(order.strategy, order.id));
                        }
                    }
                    OperatorAction::Start => out(Decision::Halt(HaltReason::Stopping, false)),
                    OperatorAction::Backlog { behind } => {
                        out(Decision::Halt(HaltReason::Backlog, behind))
                    }
                    OperatorAction::VerificationFailed { .. } => {
                        out(Decision::Halt(HaltReason::Verification, true))
                    }
                    OperatorAction::DiskSpace { low } => out(Decision::Halt(HaltReason::Disk, low)),
                    _ => {}
                }
                None
            }
            Event::SessionStart(_) | Event::InstrumentDefined(_) => {
                self.distrust_new_venues(market, out);
                None
            }
            Event::AccountLost(lost) => {
                if let Some(venue) = accounts::venue_of(market, &lost.venue) {
                    out(Decision::Halt(HaltReason::Unreconciled { venue }, true));
                }
                None
            }
            Event::AccountReport(report) => {
                if let Some(venue) = accounts::venue_of(market, &report.venue) {
                    let differs = self.accounts.agrees(venue) == Some(false);
                    out(Decision::Halt(
                        HaltReason::HoldingsDiffer { venue },
                        differs,
                    ));
                    out(Decision::Halt(HaltReason::Unreconciled { venue }, false));
                }
                None
            }
            Event::FillReversed(reversed) => self.orders.owner(reversed.order),
            Event::ExecutionReport(report) => {
                if let Some((_, order)) = self.risk.illegal_move.filter(|(at, _)| *at == sequence) {
                    out(Decision::Halt(HaltReason::IllegalMove { order }, true));
                    None
                } else if self.repeated_report == sequence {
                    None
                } else {
                    self.orders.owner(report.order)
                }
            }
            Event::OrderDecided(order) => Some(order.strategy),
            Event::OrderDenied(denied) => {
                if denied.gate == crate::risk::Gate::DailyLoss {
                    out(Decision::Halt(
                        HaltReason::DailyLoss {
                            strategy: denied.strategy,
                        },
                        true,
                    ));
                }
                Some(denied.strategy)
            }
            Event::TimerFired(fired) => Some(fired.strategy),
            Event::BarClosed(_)
            | Event::FeedState(_)
            | Event::ContractTerms(_)
            | Event::RulesText(_)
            | Event::LeaderTrade(_)
            | Event::DailyBar(_)
            | Event::IntentReceived(_)
            | Event::TradingRules(_)
            | Event::FeeSchedule(_) => {
                self.ask_watchers(sequence, now, event, market, scratch, out);
                None
            }
            Event::ParentChanged(change) => Some(change.strategy),
            Event::IntentChanged(change) => Some(change.strategy),
            Event::SignalRaised(signal) => Some(signal.strategy),
            fact if fact.is_for_everybody() => {
                self.ask_everybody(sequence, now, event, market, scratch, out);
                None
            }
            _ => None,
        };
        if let Some(strategy) = asked {
            self.ask(strategy, sequence, now, event, market, scratch, out);
        }
        Ok(())
    }

    /// A venue that takes real orders gets none before it has said what we hold.
    fn distrust_new_venues(&self, market: &Market, out: &mut impl FnMut(Decision)) {
        let mut seen = None;
        for instrument in market.instruments() {
            let venue = instrument.venue;
            let is_new = seen < Some(venue) && self.accounts.agrees(venue).is_none();
            if is_new && self.config().mode(&instrument.definition.venue).is_real() {
                out(Decision::Halt(HaltReason::Unreconciled { venue }, true));
            }
            seen = seen.max(Some(venue));
        }
    }

    /// A halt takes back what could still add risk; orders that reduce a position stay.
    fn cancel_entries(&self, reason: HaltReason, out: &mut impl FnMut(Decision)) {
        let stopped = |order: &&Order| reason.stops(order.strategy) && !order.cancelling;
        for order in self.orders.iter().filter(stopped) {
            let held = self.ledger.position(order.strategy, order.instrument);
            let held = held.map_or(0, |position| position.qty.0);
            if held == 0 || held.signum() == order.side.sign() {
                out(Decision::Cancel(order.strategy, order.id));
            }
        }
    }

    fn decide_fills(
        &self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
        scratch: &mut Scratch,
        out: &mut impl FnMut(Decision),
    ) -> Result<(), EngineError> {
        if let Some(instrument) = event.instrument() {
            self.paper_market_moved(market, now, sequence, instrument, &mut scratch.reports)?;
            scratch
                .reports
                .drain(..)
                .for_each(|report| out(Decision::Report(report)));
        }
        Ok(())
    }

    fn ask_everybody(
        &self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
        scratch: &mut Scratch,
        out: &mut impl FnMut(Decision),
    ) {
        for strategy in self.strategy_ids() {
            self.ask(strategy, sequence, now, event, market, scratch, out);
        }
    }

    #[inline(always)]
    fn ask_watchers(
        &self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
        scratch: &mut Scratch,
        out: &mut impl FnMut(Decision),
    ) {
        let Some(instrument) = event.instrument() else {
            return;
        };
        for (place, seat) in self.seats.iter().enumerate() {
            if seat.watches.get(instrument.index()) == Some(&true) {
                let view = self.view(StrategyId(place as u16), sequence, now, market);
                seat.ask(&view, event, &mut scratch.wishes, out);
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the context of one question, taken apart nowhere else"
    )]
    fn ask(
        &self,
        strategy: StrategyId,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
        scratch: &mut Scratch,
        out: &mut impl FnMut(Decision),
    ) {
        if let Some(seat) = self.seats.get(strategy.index()) {
            let view = self.view(strategy, sequence, now, market);
            seat.ask(&view, event, &mut scratch.wishes, out);
        }
    }

    #[inline]
    const fn view<'a>(
        &'a self,
        strategy: StrategyId,
        sequence: Sequence,
        now: Nanos,
        market: &'a Market,
    ) -> View<'a> {
        View {
            strategy,
            sequence,
            now,
            market,
            desk: self,
        }
    }

    /// Every gate that a strategy asks on an event that it has folded, and the orders that would follow.
    pub fn explain(
        &self,
        strategy: StrategyId,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Explanation {
        let mut wishes = Wishes::explaining();
        if let Some(seat) = self.seats.get(strategy.index()) {
            let view = self.view(strategy, sequence, now, market);
            seat.strategy.decide(event, &view, &mut wishes);
        }
        wishes.into_explanation()
    }

    /// What follows from a task that is due: a frame, or the paper venue's reports in `reports`.
    ///
    /// # Errors
    /// [`EngineError`] when a number does not fit.
    pub(crate) fn decide_due(
        &self,
        now: Nanos,
        due: &Due,
        market: &Market,
        reports: &mut Vec<ExecutionReport>,
    ) -> Result<Option<Event<'static>>, EngineError> {
        let cause = due.cause;
        Ok(Some(match due.task {
            Task::OrderArrives(order) => {
                self.paper_order_arrives(market, now, cause, order, reports)?;
                return Ok(None);
            }
            Task::CancelArrives(order) => {
                self.paper_cancel_arrives(cause, order, reports);
                return Ok(None);
            }
            Task::Timer { strategy, token } => Event::TimerFired(TimerFired {
                cause,
                strategy,
                token,
            }),
            Task::DayRoll => Event::DayRolled(DayRolled {
                cause,
                day: u32::try_from(now.utc_day()).unwrap_or(u32::MAX),
            }),
            Task::HaltEnds(reason) => Event::HaltChanged(HaltChanged {
                cause,
                reason,
                active: false,
            }),
        }))
    }
}

impl Seat {
    #[inline(always)]
    fn ask(
        &self,
        view: &View<'_>,
        event: &Event<'_>,
        wishes: &mut Wishes,
        out: &mut impl FnMut(Decision),
    ) {
        wishes.begin(view.strategy);
        self.strategy.decide(event, view, wishes);
        if !wishes.is_empty() {
            pass_on(&self.gates, wishes, out);
        }
    }
}

/// Apart from the question, so that asking stays small: nearly every answer is that nothing is wanted.
#[inline(never)]
fn pass_on(gates: &LastGates, wishes: &mut Wishes, out: &mut impl FnMut(Decision)) {
    wishes.drain(gates).for_each(out);
}

/// Space that is used again for every event.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) reports: Vec<ExecutionReport>,
    wishes: Wishes,
}
