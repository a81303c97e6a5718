//! The desk: what we did about the market. Strategies' own state, orders, positions, cash, risk, the paper venue's
//! overlay and what is due.
//!
//! `evolve(&mut self, event)` folds a frame; `decide(&self, event)` only looks and says what should happen. What a
//! decision changes comes back through `evolve` of its own frame.
mod accounts;
mod decide;
mod ledger;
mod orders;
mod paper;
mod performance;
mod schedule;
mod stats;

pub use accounts::Accounts;
pub use decide::{Decision, Scratch};
pub use ledger::{Cash, Ledger, Position};
pub use orders::{Orders, Outcome};
pub use paper::Paper;
pub use performance::{Equity, Performance};
pub use schedule::{Due, Schedule, Task};
pub use stats::Stats;

use crate::error::EngineError;
use crate::event::{
    CancelDecided, Event, ExecutionReport, Fill, FillReversed, HaltChanged, Liquidity,
    OperatorAction, OrderDecided, SessionStart,
};
use crate::id::{InstrumentId, Sequence, StrategyId, VenueId};
use crate::market::{Instrument, Market};
use crate::order::{Order, OrderState};
use crate::risk::{DayStart, HaltReason, LimitUnits, RiskState};
use crate::session::{PaperVenueConfig, Route, SessionConfig, StrategyConfig};
use crate::strategy::{AnyStrategy, Candidate, LastGates, Strategy};
use crate::time::{DAY_NS, Nanos};
use serde::{Deserialize, Serialize};

/// A strategy at its desk.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Seat {
    strategy: AnyStrategy,
    /// By instrument: whether the strategy sees its market data.
    watches: Vec<bool>,
    /// What last stopped each of its candidates.
    gates: LastGates,
}

/// The limits of every scope, resolved once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ScopedLimits {
    pub(crate) total: LimitUnits,
    strategies: Vec<LimitUnits>,
    venues: Vec<LimitUnits>,
    instruments: Vec<LimitUnits>,
}

impl ScopedLimits {
    pub(crate) fn strategy(&self, id: StrategyId) -> Option<&LimitUnits> {
        self.strategies.get(id.index())
    }

    pub(crate) fn venue(&self, id: VenueId) -> Option<&LimitUnits> {
        self.venues.get(id.index())
    }

    pub(crate) fn instrument(&self, id: InstrumentId) -> Option<&LimitUnits> {
        self.instruments.get(id.index())
    }
}

/// Everything that follows from what we decided.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Desk {
    config: Option<Box<SessionConfig>>,
    seats: Vec<Seat>,
    limits: ScopedLimits,
    orders: Orders,
    ledger: Ledger,
    risk: RiskState,
    paper: Paper,
    accounts: Accounts,
    schedule: Schedule,
    stats: Stats,
    performance: Performance,
    /// The last frame with a report that said nothing new: nobody is asked what to make of it.
    repeated_report: Sequence,
    /// By instrument; follows from the configuration and the market, so it is no state of its own.
    #[serde(skip)]
    routes: Vec<Route>,
}

impl Desk {
    /// Folds a frame that the market has folded already.
    ///
    /// # Errors
    /// [`EngineError`] when the frame can't follow those before it.
    #[inline(always)]
    pub fn evolve(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        if self.config.is_none() {
            // No session: the desk is empty until one starts.
            if let Event::SessionStart(session) = event {
                self.open_session(sequence, now, session, market)?;
            }
            return Ok(());
        }
        if now >= self.performance.next_sample() {
            self.turn_second(now, market)?;
        }
        match event {
            Event::Quote(_) | Event::Trade(_) | Event::BookDelta(_) | Event::BookSnapshot(_) => {
                if !self.paper.is_idle() {
                    self.paper.see_market(event, market);
                }
                self.show_tick(sequence, now, event, market)
            }
            other => self.evolve_rare(sequence, now, other, market),
        }
    }

    /// Shows an event to the strategies that watch its instrument.
    #[inline(never)]
    fn show_watchers(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        self.show_tick(sequence, now, event, market)
    }

    /// The same, as a part of a tick's way.
    #[inline(always)]
    fn show_tick(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        if let Some(instrument) = event.instrument() {
            for seat in &mut self.seats {
                if seat.watches.get(instrument.index()) == Some(&true) {
                    seat.strategy.evolve(sequence, now, event, market)?;
                }
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn evolve_rare(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        match event {
            Event::SessionStart(next) => self.change_session(&next.config, market)?,
            Event::InstrumentDefined(definition) => {
                self.bind(definition.instrument, market)?;
            }
            Event::Resolution(resolution) => {
                self.ledger.settle(
                    market.instrument(resolution.instrument)?,
                    resolution.settlement_price,
                )?;
                self.show_watchers(sequence, now, event, market)?;
            }
            Event::OrderDecided(decided) => {
                self.order_decided(sequence, now, event, decided, market)?
            }
            Event::CancelDecided(decided) => {
                self.cancel_decided(sequence, now, decided)?;
                self.show_owner(decided.strategy, sequence, now, event, market)?;
            }
            Event::ExecutionReport(report) => self.report(sequence, now, event, report, market)?,
            Event::FillReversed(reversed) => {
                self.fill_reversed(sequence, now, event, reversed, market)?;
            }
            Event::AccountReport(report) => {
                self.accounts.reported(report, &self.ledger, market);
            }
            Event::OperatorCommand(command) => {
                if let OperatorAction::AcceptHoldings { venue } = &command.action
                    && let Some(venue) = accounts::venue_of(market, venue)
                {
                    self.accounts.accept_next(venue);
                }
            }
            Event::OrderDenied(denied) => {
                self.stats.denied(denied.gate);
                self.show_owner(denied.strategy, sequence, now, event, market)?;
            }
            Event::TimerSet(set) => {
                let task = Task::Timer {
                    strategy: set.strategy,
                    token: set.token,
                };
                self.schedule.add(Due {
                    at: set.due.max(now),
                    cause: sequence,
                    task,
                });
            }
            Event::TimerFired(fired) => {
                if !self.schedule.remove(Task::Timer {
                    strategy: fired.strategy,
                    token: fired.token,
                }) {
                    return Err(EngineError::Unscheduled("timer_fired"));
                }
                self.show_owner(fired.strategy, sequence, now, event, market)?;
            }
            Event::HaltChanged(change) => {
                self.halt_changed(sequence, change);
                self.show_everybody(sequence, now, event, market)?;
            }
            Event::DayRolled(_) => {
                if !self.schedule.remove(Task::DayRoll) {
                    return Err(EngineError::Unscheduled("day_rolled"));
                }
                self.roll_day(sequence, now, market)?;
                self.show_everybody(sequence, now, event, market)?;
            }
            Event::BarClosed(_) => self.show_watchers(sequence, now, event, market)?,
            Event::MarketStatus(_) => {
                self.paper.see_market(event, market);
                self.show_watchers(sequence, now, event, market)?;
            }
            Event::GateChanged(change) => {
                if let Some(seat) = self.seats.get_mut(change.strategy.index()) {
                    seat.gates.set(change.candidate, change.gate.clone());
                }
            }
            Event::LimitWarned(warned) => {
                self.risk.warned(warned);
            }
            Event::ParentChanged(change) => {
                self.show_owner(change.strategy, sequence, now, event, market)?;
            }
            Event::IntentChanged(change) => {
                self.show_owner(change.strategy, sequence, now, event, market)?;
            }
            Event::SignalRaised(signal) => {
                self.show_owner(signal.strategy, sequence, now, event, market)?;
            }
            Event::AlarmRaised(alarm) => {
                self.show_owner(alarm.strategy, sequence, now, event, market)?;
            }
            Event::StateHash(_) | Event::StepClosed(_) => {}
            fact if fact.is_for_everybody() => {
                self.show_everybody(sequence, now, event, market)?;
            }
            // The rest are inputs about the market.
            _ => {
                self.show_watchers(sequence, now, event, market)?;
            }
        }
        Ok(())
    }

    fn open_session(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        session: &SessionStart,
        market: &Market,
    ) -> Result<(), EngineError> {
        let config = &session.config;
        if config.strategies.len() > usize::from(u16::MAX) {
            return Err(EngineError::TooMany { what: "strategies" });
        }
        for strategy in &config.strategies {
            self.seat(strategy, config)?;
        }
        self.limits.total = LimitUnits::new(&config.risk.total)?;
        self.roll_day(sequence, now, market)?;
        self.config = Some(Box::new(config.clone()));
        for instrument in market.instruments() {
            self.bind(instrument.id(), market)?;
        }
        Ok(())
    }

    /// Seats a strategy that has no state yet.
    fn seat(
        &mut self,
        strategy: &StrategyConfig,
        config: &SessionConfig,
    ) -> Result<(), EngineError> {
        let bad = |why| EngineError::BadParameters {
            strategy: strategy.id.clone(),
            why,
        };
        let same_id = |other: &&StrategyConfig| other.id == strategy.id;
        if config.strategies.iter().filter(same_id).count() > 1 {
            return Err(bad("two strategies have this id".to_owned()));
        }
        self.seats.push(Seat {
            strategy: AnyStrategy::new(&strategy.params).map_err(bad)?,
            watches: Vec::new(),
            gates: LastGates::default(),
        });
        let own = config.risk.strategies.get(&strategy.id);
        let limits = LimitUnits::new(own.unwrap_or(&config.risk.each_strategy))?;
        self.limits.strategies.push(limits);
        Ok(())
    }

    /// Whether another configuration can take over in mid-tape: limits, the paper venue and modes may change, and
    /// strategies may be added behind those that there are. These stay: their state and positions belong to their
    /// parameters.
    ///
    /// # Errors
    /// [`EngineError`] with the first thing that can't change.
    pub fn check_change(&self, next: &SessionConfig, market: &Market) -> Result<(), EngineError> {
        let Some(config) = &self.config else {
            return Ok(());
        };
        for (place, known) in config.strategies.iter().enumerate() {
            if next.strategies.get(place) != Some(known) {
                return Err(EngineError::BadParameters {
                    strategy: known.id.clone(),
                    why: "it is at work on this tape: strategies keep their order, ids and parameters. \
                          Add a new one behind the others, or begin a new journal"
                        .to_owned(),
                });
            }
        }
        for instrument in market.instruments() {
            let venue = &instrument.definition.venue;
            let (before, after) = (config.mode(venue), next.mode(venue));
            if before == after || !(before.is_real() || after.is_real()) {
                continue;
            }
            let id = instrument.id();
            let holds = self
                .ledger
                .positions()
                .iter()
                .any(|p| p.instrument == id && p.qty.0 != 0);
            let works = self.orders.iter().any(|order| order.instrument == id);
            if before.is_real() || holds || works {
                return Err(EngineError::ModeChange {
                    venue: venue.clone(),
                    before: before.name(),
                    after: after.name(),
                });
            }
        }
        Ok(())
    }

    fn change_session(&mut self, next: &SessionConfig, market: &Market) -> Result<(), EngineError> {
        self.check_change(next, market)?;
        let seated = self.seats.len();
        self.limits = ScopedLimits::default();
        self.routes.clear();
        for (place, strategy) in next.strategies.iter().enumerate() {
            if place >= seated {
                self.seat(strategy, next)?;
            } else {
                let own = next.risk.strategies.get(&strategy.id);
                let limits = LimitUnits::new(own.unwrap_or(&next.risk.each_strategy))?;
                self.limits.strategies.push(limits);
            }
        }
        self.limits.total = LimitUnits::new(&next.risk.total)?;
        self.config = Some(Box::new(next.clone()));
        for instrument in market.instruments() {
            self.find_limits_and_route(instrument)?;
            self.show_instrument(instrument, seated)?;
        }
        Ok(())
    }

    /// Shows a new instrument to the strategies and finds its limits.
    fn bind(&mut self, id: InstrumentId, market: &Market) -> Result<(), EngineError> {
        let instrument = market.instrument(id)?;
        self.show_instrument(instrument, 0)?;
        self.find_limits_and_route(instrument)
    }

    /// Shows an instrument to the strategies from a place on.
    fn show_instrument(&mut self, instrument: &Instrument, from: usize) -> Result<(), EngineError> {
        let Some(config) = &self.config else {
            return Ok(());
        };
        for (seat, named) in self.seats.iter_mut().zip(&config.strategies).skip(from) {
            let bad = |why| EngineError::BadParameters {
                strategy: named.id.clone(),
                why,
            };
            seat.watches
                .push(seat.strategy.bind(instrument).map_err(bad)?);
        }
        Ok(())
    }

    /// Finds what the configuration says about the next instrument: its limits, those of its venue where it is the venue's
    /// first, and where its orders go.
    fn find_limits_and_route(&mut self, instrument: &Instrument) -> Result<(), EngineError> {
        let Some(config) = &self.config else {
            return Ok(());
        };
        let of = |limits: Option<&crate::risk::Limits>| limits.map(LimitUnits::new).transpose();
        self.limits
            .instruments
            .push(of(config.risk.instruments.get(&instrument.name))?.unwrap_or_default());
        if self.limits.venues.len() <= instrument.venue.index() {
            let limits = of(config.risk.venues.get(&instrument.definition.venue))?;
            self.limits.venues.push(limits.unwrap_or_default());
        }
        self.routes.push(config.route(&instrument.definition.venue));
        Ok(())
    }

    /// Finds again what follows from the rest of the state, after a restoration.
    pub(crate) fn restored(&mut self, market: &Market) {
        self.paper.find_reaches();
        self.schedule.find_first();
        if let Some(config) = &self.config {
            let of = |instrument: &Instrument| config.route(&instrument.definition.venue);
            self.routes = market.instruments().iter().map(of).collect();
        }
    }

    /// The first frame of a second: equity is sampled.
    #[cold]
    fn turn_second(&mut self, now: Nanos, market: &Market) -> Result<(), EngineError> {
        self.performance.sample(now, &self.ledger, market)
    }

    /// The day's profit starts anew, and the next midnight is due.
    fn roll_day(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        market: &Market,
    ) -> Result<(), EngineError> {
        let profit = |position: &Position| {
            let profit = position.profit(market.instrument(position.instrument)?)?;
            let (strategy, instrument) = (position.strategy, position.instrument);
            Ok(DayStart {
                strategy,
                instrument,
                profit,
            })
        };
        let profits: Result<_, EngineError> = self.ledger.positions().iter().map(profit).collect();
        self.risk.roll_day(next_midnight(now), profits?);
        self.schedule.add(Due {
            at: self.risk.next_day(),
            cause: sequence,
            task: Task::DayRoll,
        });
        Ok(())
    }

    fn order_decided(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        decided: &OrderDecided,
        market: &Market,
    ) -> Result<(), EngineError> {
        self.stats.orders += 1;
        self.risk.order_decided(now, decided);
        self.orders.decided(sequence, now, decided);
        let route = self.route(decided.instrument)?;
        if route.mode.is_real() {
            // The gateway reports what becomes of it.
            return self.show_owner(decided.strategy, sequence, now, event, market);
        }
        let at = now.after(route.paper.latency_ns());
        let id = crate::id::OrderId(sequence.0);
        self.schedule.add(Due {
            at,
            cause: sequence,
            task: Task::OrderArrives(id),
        });
        self.show_owner(decided.strategy, sequence, now, event, market)
    }

    fn cancel_decided(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        decided: &CancelDecided,
    ) -> Result<(), EngineError> {
        self.stats.cancels += 1;
        if !self.orders.cancelling(decided.order) {
            return Ok(());
        }
        let route = self.route(decided.instrument)?;
        if !route.mode.is_real() {
            let at = now.after(route.paper.latency_ns());
            // An order whose outcome is unknown can't be cancelled before the venue knows it.
            let known_at = self.schedule.due_at(Task::OrderArrives(decided.order));
            self.schedule.add(Due {
                at: known_at.map_or(at, |known_at| at.max(known_at)),
                cause: sequence,
                task: Task::CancelArrives(decided.order),
            });
        }
        Ok(())
    }

    /// Whether an entry in an instrument goes to the venue together with its exits.
    pub(crate) fn holds_exits(&self, instrument: InstrumentId) -> bool {
        self.route(instrument).is_ok_and(|route| route.holds_exits)
    }

    /// Where orders of the instrument go.
    pub(crate) fn route(&self, instrument: InstrumentId) -> Result<&Route, EngineError> {
        route_of(&self.routes, instrument)
    }

    fn report(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        report: &ExecutionReport,
        market: &Market,
    ) -> Result<(), EngineError> {
        // Looked at where it stands: an order is large.
        let (order, is_late) = match self.orders.report(report) {
            Outcome::Moved { order } => (order, false),
            Outcome::LateFill { order } => (order, true),
            Outcome::Repeated => {
                self.repeated_report = sequence;
                return Ok(());
            }
            Outcome::Illegal => {
                self.risk.illegal_move = Some((sequence, report.order));
                return Ok(());
            }
        };
        let (strategy, side) = (order.strategy, order.side);
        let instrument = market.instrument(order.instrument)?;
        let route = route_of(&self.routes, order.instrument)?;
        if !route.mode.is_real() {
            let venue = &route.paper;
            let next = &mut self.schedule;
            paper_reported(next, &mut self.paper, now, report, order, instrument, venue);
        }
        if let Some(fill) = &report.fill {
            if let Some(schedule) = instrument.fees_at(now)
                && !schedule.accrual.is_per_fill()
            {
                let fees = schedule.booked(&order.fees, instrument.decimals(), side, fill)?;
                self.orders.charged(report.order, fees);
            }
            self.ledger.fill(strategy, instrument, side, fill)?;
            self.performance.sample(now, &self.ledger, market)?;
        }
        self.stats.reported(report, is_late);
        self.show_owner(strategy, sequence, now, event, market)
    }

    /// A fill that the venue took back: what it moved goes back at its own price, and the order does not come to life.
    fn fill_reversed(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        reversed: &FillReversed,
        market: &Market,
    ) -> Result<(), EngineError> {
        let owner = self.orders.owner(reversed.order);
        let Some(strategy) = owner.filter(|_| self.orders.reversed(reversed)) else {
            return Ok(());
        };
        let back = Fill {
            fill_id: reversed.fill_id,
            price: reversed.price,
            qty: reversed.qty,
            fee: reversed.fee.negated(),
            liquidity: Liquidity::Taker,
        };
        let instrument = market.instrument(reversed.instrument)?;
        let side = reversed.side.opposite();
        self.ledger.fill(strategy, instrument, side, &back)?;
        self.performance.sample(now, &self.ledger, market)?;
        self.show_owner(strategy, sequence, now, event, market)
    }

    fn halt_changed(&mut self, sequence: Sequence, change: &HaltChanged) {
        if change.active {
            self.risk.halts.insert(change.reason);
            if matches!(change.reason, HaltReason::DailyLoss { .. }) {
                let due = Due {
                    at: self.risk.next_day(),
                    cause: sequence,
                    task: Task::HaltEnds(change.reason),
                };
                self.schedule.add(due);
            }
        } else {
            self.risk.halts.remove(&change.reason);
            self.schedule.remove(Task::HaltEnds(change.reason));
        }
    }

    fn show_owner(
        &mut self,
        strategy: StrategyId,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        let seat = self
            .seats
            .get_mut(strategy.index())
            .ok_or_else(|| EngineError::UnknownStrategy(strategy.0))?;
        seat.strategy.evolve(sequence, now, event, market)
    }

    /// Whether a candidate's gate is another one than the tape says.
    #[inline]
    pub(crate) fn gate_differs(
        &self,
        strategy: StrategyId,
        candidate: Candidate,
        gate: Option<&str>,
    ) -> bool {
        let seat = self.seats.get(strategy.index());
        seat.is_some_and(|seat| seat.gates.differs(candidate.number, gate))
    }

    fn show_everybody(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        for seat in &mut self.seats {
            seat.strategy.evolve(sequence, now, event, market)?;
        }
        Ok(())
    }

    /// Counts an input of the session.
    #[inline]
    pub(crate) const fn count_input(&mut self) {
        if self.config.is_some() {
            self.stats.inputs += 1;
        }
    }

    /// Whether a session has started.
    pub const fn has_session(&self) -> bool {
        self.config.is_some()
    }

    /// The session's configuration; the defaults before one starts.
    pub fn config(&self) -> &SessionConfig {
        static NONE: std::sync::LazyLock<SessionConfig> =
            std::sync::LazyLock::new(SessionConfig::default);
        match &self.config {
            Some(config) => config,
            None => &NONE,
        }
    }

    pub(crate) const fn limits(&self) -> &ScopedLimits {
        &self.limits
    }

    /// The orders at work.
    pub const fn orders(&self) -> &Orders {
        &self.orders
    }

    /// What venues say that we hold.
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Positions and cash.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Halts and what the gates remember.
    pub const fn risk(&self) -> &RiskState {
        &self.risk
    }

    pub(crate) const fn paper(&self) -> &Paper {
        &self.paper
    }

    /// What is due.
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Equity and drawdown.
    pub const fn performance(&self) -> &Performance {
        &self.performance
    }

    /// Counts of what happened.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// A strategy's figures of its own.
    pub fn figures(&self, strategy: StrategyId) -> Vec<(&'static str, rust_decimal::Decimal)> {
        let seat = self.seats.get(strategy.index());
        seat.map_or_else(Vec::new, |seat| seat.strategy.figures())
    }

    /// The session's strategies.
    pub fn strategy_ids(&self) -> impl Iterator<Item = StrategyId> + use<> {
        (0..self.seats.len() as u16).map(StrategyId)
    }

    /// Orders whose outcome no venue has told.
    pub fn unknown_orders(&self) -> impl Iterator<Item = &Order> {
        self.orders
            .iter()
            .filter(|order| order.state == OrderState::Unknown)
    }
}

fn route_of(routes: &[Route], instrument: InstrumentId) -> Result<&Route, EngineError> {
    let route = routes.get(instrument.index());
    route.ok_or_else(|| EngineError::UnknownInstrument(instrument))
}

/// What the paper venue does next about an order of its own.
fn paper_reported(
    schedule: &mut Schedule,
    paper: &mut Paper,
    now: Nanos,
    report: &ExecutionReport,
    order: &Order,
    instrument: &Instrument,
    venue: &PaperVenueConfig,
) {
    schedule.remove(Task::OrderArrives(order.id));
    if order.state.is_final() {
        schedule.remove(Task::CancelArrives(order.id));
    }
    // The paper venue tells what became of it later; a venue's own report, which no frame of ours led to, does not.
    if order.state == OrderState::Unknown && report.cause != Sequence(0) {
        let at = now.after(venue.unknown_ms.saturating_mul(1_000_000));
        schedule.add(Due {
            at,
            cause: report.cause,
            task: Task::OrderArrives(order.id),
        });
        schedule.postpone(Task::CancelArrives(order.id), at);
    }
    paper.see_report(report, order, instrument, venue);
}

const fn next_midnight(now: Nanos) -> Nanos {
    now.next_multiple(DAY_NS)
}
