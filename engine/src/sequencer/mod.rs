//! The one loop. Live, replay, verification and recovery differ in where inputs come from and where frames go.
//!
//! For each input: what is due at or before it comes first, each due event a step of its own, stamped with its due time;
//! then the input is appended, folded and decided on, and so is every frame that follows from it, until nothing is left.
//! An input or due event and all that it led to is a *step*; sinks are told where a step ends.
mod sink;

pub use sink::{MemorySink, NullSink, Sink};

use crate::desk::{Decision, Desk, Due, Scratch};
use crate::error::EngineError;
use crate::event::{
    AlarmRaised, CancelDecided, Event, GateChanged, HaltChanged, IntentChanged, Kind, LimitWarned,
    OrderDecided, OrderDenied, ParentChanged, SignalRaised, StateHash, TimerSet,
};
use crate::id::{Sequence, StrategyId};
use crate::market::Market;
use crate::risk::{self, Near, Proposal, Scope};
use crate::strategy::{Candidate, Figure, GateName, Stopped};
use crate::time::Nanos;
use onetape_journal::{Frame, Tag};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// A step with more derived frames than this is a strategy answering itself without end.
const MAX_FRAMES_PER_STEP: usize = 10_000;
/// And so are more due steps at one time than this; every instrument may close a bar at midnight.
const MAX_STEPS_AT_ONCE: u32 = 1_000_000;

/// Why a step could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum StepError<E: std::error::Error + 'static> {
    /// The state can't take a frame.
    #[error("sequence {} at {} ns ({kind}): {source}", sequence.0, at.0)]
    Engine {
        /// The frame's sequence.
        sequence: Sequence,
        /// Its stamp.
        at: Nanos,
        /// Its kind's name.
        kind: &'static str,
        /// Why.
        source: EngineError,
    },
    /// The sink can't take a frame.
    #[error(transparent)]
    Sink(E),
    /// A frame out of turn.
    #[error("sequence {} is next, found {}", expected.0, found.0)]
    OutOfTurn {
        /// Next.
        expected: Sequence,
        /// Found.
        found: Sequence,
    },
}

/// Market, desk and the place on the tape; frames go to `S`.
#[derive(Debug)]
pub struct Sequencer<S> {
    market: Market,
    desk: Desk,
    next: Sequence,
    last_stamp: Nanos,
    sink: S,
    pending: Vec<(Sequence, Decision)>,
    scratch: Scratch,
    payload: Vec<u8>,
    state: Vec<u8>,
    /// No state hash is due at fewer inputs than this: saves a division a step.
    hash_due_at: u64,
}

#[derive(Deserialize)]
struct Restored {
    next: Sequence,
    last_stamp: Nanos,
    market: Market,
    desk: Desk,
}

impl<S: Sink> Sequencer<S> {
    /// A sequencer at the start of an empty tape.
    pub fn new(sink: S) -> Self {
        Self {
            market: Market::default(),
            desk: Desk::default(),
            next: Sequence(1),
            last_stamp: Nanos(0),
            sink,
            pending: Vec::with_capacity(64),
            scratch: Scratch::default(),
            payload: Vec::with_capacity(1_024),
            state: Vec::new(),
            hash_due_at: 0,
        }
    }

    /// Takes one input: `clock` is when it came, stamped later if the tape is already further.
    ///
    /// # Errors
    /// [`StepError`]; the state must not be used afterwards.
    #[inline]
    pub fn step(
        &mut self,
        clock: Nanos,
        kind: u16,
        payload: &[u8],
    ) -> Result<(), StepError<S::Error>> {
        let now = clock.max(self.last_stamp);
        self.fire_due(now)?;
        // One look at the kind: each kind of tick has a copy of the way in which every later look at it is known.
        const QUOTE: u16 = Kind::Quote.number();
        const TRADE: u16 = Kind::Trade.number();
        const BOOK_DELTA: u16 = Kind::BookDelta.number();
        match kind {
            QUOTE => self.take_input(now, QUOTE, payload),
            TRADE => self.take_input(now, TRADE, payload),
            BOOK_DELTA => self.take_input(now, BOOK_DELTA, payload),
            other => self.take_rare_input(now, other, payload),
        }
    }

    /// Apart, so that the ways of ticks have nothing else in them.
    #[inline(never)]
    fn take_rare_input(
        &mut self,
        now: Nanos,
        kind: u16,
        payload: &[u8],
    ) -> Result<(), StepError<S::Error>> {
        self.take_input(now, kind, payload)
    }

    /// The whole step of an input once nothing is due before it.
    #[inline(always)]
    fn take_input(
        &mut self,
        now: Nanos,
        kind: u16,
        payload: &[u8],
    ) -> Result<(), StepError<S::Error>> {
        // Read first: what is no event never gets onto the tape.
        // Looked at where it was read: moving an event just written stalls the processor on every tick.
        let decoded = Event::decode(kind, payload);
        let event = match &decoded {
            Ok(event) => event,
            Err(e) => return Err(self.broken(self.next, now, kind, e.clone().into())),
        };
        if !event.kind().can_be(false) {
            let source = EngineError::WrongOrigin {
                kind: event.kind().name(),
                derived: false,
            };
            return Err(self.broken(self.next, now, kind, source));
        }
        let sequence = self.append(now, Tag::input(kind), payload)?;
        self.desk.count_input();
        self.take(sequence, now, event)?;
        if !self.pending.is_empty() {
            self.drain(now)?;
        }
        self.hash_if_due(sequence, now, event)?;
        self.sink.end_step().map_err(StepError::Sink)
    }

    /// Takes the steps of all events that are due at or before `now`.
    #[inline]
    fn fire_due(&mut self, now: Nanos) -> Result<(), StepError<S::Error>> {
        let (mut stamp, mut steps) = (self.last_stamp, 0);
        while self.fire_next_due(now)? {
            // Every step may be short and yet there may be no last one: without latency a strategy can answer at once.
            steps = if stamp == self.last_stamp {
                steps + 1
            } else {
                0
            };
            stamp = self.last_stamp;
            if steps > MAX_STEPS_AT_ONCE {
                return Err(self.runaway(stamp, MAX_STEPS_AT_ONCE));
            }
        }
        Ok(())
    }

    /// Takes the step of the first event that is due at or before `now`; false when none is.
    ///
    /// # Errors
    /// [`StepError`].
    #[inline]
    pub fn fire_next_due(&mut self, now: Nanos) -> Result<bool, StepError<S::Error>> {
        let task = self.desk.schedule().due_by(now);
        let bar = self.market.next_bar().filter(|(at, _)| *at <= now);
        match (bar, task) {
            (None, None) => return Ok(false),
            (Some((at, bar)), task) if task.is_none_or(|due| at <= due.at) => {
                let at = at.max(self.last_stamp);
                self.emit(at, &Event::BarClosed(bar))?;
                self.drain(at)?;
            }
            (_, Some(due)) => {
                let (due, at) = (*due, due.at.max(self.last_stamp));
                self.run_task(at, &due)?;
            }
            (Some(_), None) => {}
        }
        self.sink.end_step().map_err(StepError::Sink)?;
        Ok(true)
    }

    /// Apart, so that an input before which nothing is due stays small.
    #[inline(never)]
    fn run_task(&mut self, at: Nanos, due: &Due) -> Result<(), StepError<S::Error>> {
        let mut reports = core::mem::take(&mut self.scratch.reports);
        let decided = self.desk.decide_due(at, due, &self.market, &mut reports);
        match decided.map_err(|e| self.broken(self.next, at, 0, e))? {
            Some(event) => self.emit(at, &event)?,
            None if reports.is_empty() => {
                let source = EngineError::Unscheduled("task without a frame");
                return Err(self.broken(self.next, at, 0, source));
            }
            None => {}
        }
        // All reports come before what follows from any of them.
        for report in reports.drain(..) {
            self.emit(at, &Event::ExecutionReport(report))?;
        }
        self.scratch.reports = reports;
        if self.pending.is_empty() {
            return Ok(());
        }
        self.drain(at)
    }

    /// Folds a recorded frame without deciding anything: recovery.
    ///
    /// # Errors
    /// [`StepError`] when the frame can't follow those before it.
    pub fn fold(&mut self, frame: &Frame<'_>) -> Result<(), StepError<S::Error>> {
        let sequence = Sequence(frame.sequence);
        if sequence != self.next {
            return Err(StepError::OutOfTurn {
                expected: self.next,
                found: sequence,
            });
        }
        let (now, kind) = (Nanos(frame.timestamp_ns), frame.tag.kind());
        let event = Event::decode(kind, frame.payload)
            .map_err(|e| self.broken(sequence, now, kind, e.into()))?;
        if now < self.last_stamp {
            let source = EngineError::TimeRunsBack {
                last: self.last_stamp,
            };
            return Err(self.broken(sequence, now, kind, source));
        }
        let derived = frame.tag.is_derived();
        if !event.kind().can_be(derived) {
            let kind_name = event.kind().name();
            let source = EngineError::WrongOrigin {
                kind: kind_name,
                derived,
            };
            return Err(self.broken(sequence, now, kind, source));
        }
        if !derived {
            self.desk.count_input();
        }
        self.market
            .evolve(sequence, now, &event)
            .map_err(|e| self.broken(sequence, now, kind, e))?;
        self.desk
            .evolve(sequence, now, &event, &self.market)
            .map_err(|e| self.broken(sequence, now, kind, e))?;
        self.next = Sequence(sequence.0 + 1);
        self.last_stamp = now;
        Ok(())
    }

    /// Closes a step that recovery will not decide again.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn close_step(&mut self, cause: Sequence) -> Result<(), StepError<S::Error>> {
        let logic_hash = crate::LOGIC_HASH.to_owned();
        self.emit(
            self.last_stamp,
            &Event::StepClosed(crate::event::StepClosed { cause, logic_hash }),
        )?;
        self.pending.clear();
        self.sink.end_step().map_err(StepError::Sink)
    }

    #[inline]
    fn append(
        &mut self,
        now: Nanos,
        tag: Tag,
        payload: &[u8],
    ) -> Result<Sequence, StepError<S::Error>> {
        let sequence = self.next;
        self.sink
            .frame(sequence, now, tag, payload)
            .map_err(StepError::Sink)?;
        self.next = Sequence(sequence.0 + 1);
        self.last_stamp = now;
        Ok(sequence)
    }

    /// Appends a derived frame and takes it.
    fn emit(&mut self, now: Nanos, event: &Event<'_>) -> Result<(), StepError<S::Error>> {
        let tag = Tag::derived(event.kind().number());
        let appended = if S::READS_DERIVED {
            let mut payload = core::mem::take(&mut self.payload);
            payload.clear();
            event.encode(&mut payload);
            let appended = self.append(now, tag, &payload);
            self.payload = payload;
            appended
        } else {
            self.append(now, tag, &[])
        };
        self.take_derived(appended?, now, event)
    }

    /// Apart, as for rare inputs.
    #[inline(never)]
    fn take_derived(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
    ) -> Result<(), StepError<S::Error>> {
        self.take(sequence, now, event)
    }

    /// Folds a frame that was appended and gathers what follows from it.
    #[inline(always)]
    fn take(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
    ) -> Result<(), StepError<S::Error>> {
        let taken = self.fold_and_ask(sequence, now, event);
        taken.map_err(|e| self.broken(sequence, now, event.kind().number(), e))
    }

    /// One piece without closures: a compiler leaves those apart, and what is known of the event ends there.
    #[inline(always)]
    fn fold_and_ask(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
    ) -> Result<(), EngineError> {
        self.market.evolve(sequence, now, event)?;
        self.desk.evolve(sequence, now, event, &self.market)?;
        let pending = &mut self.pending;
        let out = &mut |decision| pending.push((sequence, decision));
        self.desk
            .decide(sequence, now, event, &self.market, &mut self.scratch, out)
    }

    /// Takes the frames that pending decisions become, and those that follow from them.
    fn drain(&mut self, now: Nanos) -> Result<(), StepError<S::Error>> {
        let (mut taken, mut near) = (0, Vec::new());
        // Looked at where it stands: moving a decision just written stalls the processor.
        while let Some((cause, decision)) = self.pending.get(taken) {
            taken += 1;
            if taken > MAX_FRAMES_PER_STEP {
                return Err(self.runaway(now, MAX_FRAMES_PER_STEP as u32));
            }
            let cause = *cause;
            let event = match decision {
                Decision::Order(strategy, proposal) => {
                    self.judged(now, cause, *strategy, proposal, &mut near)?
                }
                Decision::Cancel(strategy, id) => {
                    let order = self.desk.orders().get(*id);
                    match order.filter(|o| o.strategy == *strategy && !o.cancelling) {
                        Some(order) => Event::CancelDecided(CancelDecided {
                            cause,
                            strategy: *strategy,
                            instrument: order.instrument,
                            order: *id,
                        }),
                        None => continue,
                    }
                }
                Decision::Timer(strategy, due, token) => Event::TimerSet(TimerSet {
                    cause,
                    strategy: *strategy,
                    due: *due,
                    token: *token,
                }),
                Decision::Report(report) => Event::ExecutionReport(report.clone()),
                Decision::Halt(reason, active) => {
                    if self.desk.risk().halts.contains(reason) == *active {
                        continue;
                    }
                    Event::HaltChanged(HaltChanged {
                        cause,
                        reason: *reason,
                        active: *active,
                    })
                }
                record => match self.record_of(cause, record) {
                    Some(event) => event,
                    None => continue,
                },
            };
            self.emit(now, &event)?;
            if !near.is_empty() {
                self.warn(now, &event, &mut near)?;
            }
        }
        self.pending.clear();
        Ok(())
    }

    /// What the gates make of an order.
    fn judged(
        &self,
        now: Nanos,
        cause: Sequence,
        strategy: StrategyId,
        p: &Proposal,
        near: &mut Vec<Near>,
    ) -> Result<Event<'static>, StepError<S::Error>> {
        let checked = risk::check(&self.desk, &self.market, now, strategy, p, near);
        let verdict =
            checked.map_err(|e| self.broken(self.next, now, Kind::OrderDecided.number(), e))?;
        Ok(match verdict {
            Ok(()) => Event::OrderDecided(OrderDecided {
                cause,
                strategy,
                instrument: p.instrument,
                side: p.side,
                order_type: p.order_type,
                time_in_force: p.time_in_force,
                price: p.price,
                qty: p.qty,
                tag: p.tag,
                worst_price: risk::worst_price(&self.desk, &self.market, p),
                one_of: p.one_of,
                protect: p.protect.filter(|_| self.desk.holds_exits(p.instrument)),
                attached_to: self.desk.orders().attached_to(strategy, p),
            }),
            Err(risk::Denial { gate, value, limit }) => Event::OrderDenied(OrderDenied {
                cause,
                strategy,
                instrument: p.instrument,
                side: p.side,
                price: p.price,
                qty: p.qty,
                gate,
                value,
                limit,
                tag: p.tag,
            }),
        })
    }

    /// Says once a day which limits an approved order nearly uses up.
    #[cold]
    fn warn(
        &mut self,
        now: Nanos,
        event: &Event<'_>,
        near: &mut Vec<Near>,
    ) -> Result<(), StepError<S::Error>> {
        let Event::OrderDecided(order) = event else {
            near.clear();
            return Ok(());
        };
        let cause = Sequence(self.next.0 - 1);
        for near in near.drain(..) {
            let whose = match near.scope {
                Scope::Total => 0,
                Scope::Venue => self
                    .market
                    .instrument(order.instrument)
                    .map_or(0, |instrument| instrument.venue.0.into()),
                Scope::Strategy => order.strategy.0.into(),
                Scope::Instrument => order.instrument.0,
            };
            let warned = LimitWarned {
                cause,
                strategy: order.strategy,
                scope: near.scope,
                whose,
                gate: GateName::Borrowed(near.gate.name()),
                value: near.value,
                limit: near.limit,
                of: None,
            };
            if !self.desk.risk().is_warned(&warned) {
                self.emit(now, &Event::LimitWarned(Box::new(warned)))?;
            }
        }
        Ok(())
    }

    /// The frame of a decision that only says something.
    #[cold]
    fn record_of(&self, cause: Sequence, decision: &Decision) -> Option<Event<'static>> {
        Some(match decision {
            Decision::Gate(strategy, candidate, stopped) => {
                return self.gate_changed(cause, *strategy, *candidate, *stopped);
            }
            Decision::Near(strategy, near) => {
                let warned = LimitWarned {
                    cause,
                    strategy: *strategy,
                    scope: Scope::Strategy,
                    whose: strategy.0.into(),
                    gate: GateName::Borrowed(near.limit),
                    value: near.value.to_decimal(),
                    limit: near.most.to_decimal(),
                    of: near.of.clone(),
                };
                if self.desk.risk().is_warned(&warned) {
                    return None;
                }
                Event::LimitWarned(Box::new(warned))
            }
            Decision::Alarm(strategy, instrument, alarm, value) => {
                Event::AlarmRaised(Box::new(AlarmRaised {
                    cause,
                    strategy: *strategy,
                    instrument: *instrument,
                    alarm: *alarm,
                    value: *value,
                }))
            }
            Decision::Parent(change) => Event::ParentChanged(Box::new(ParentChanged {
                cause,
                ..(**change).clone()
            })),
            Decision::Signal(signal) => Event::SignalRaised(Box::new(SignalRaised {
                cause,
                ..(**signal).clone()
            })),
            Decision::Intent(change) => Event::IntentChanged(Box::new(IntentChanged {
                cause,
                ..(**change).clone()
            })),
            _ => return None,
        })
    }

    /// The record of a candidate's gate, where it is another one than the tape says.
    fn gate_changed(
        &self,
        cause: Sequence,
        strategy: StrategyId,
        candidate: Candidate,
        stopped: Stopped,
    ) -> Option<Event<'static>> {
        let gate = stopped.map(|(gate, _, _)| gate);
        if !self.desk.gate_differs(strategy, candidate, gate) {
            return None;
        }
        let figure = |figure: Figure| figure.to_decimal();
        Some(Event::GateChanged(Box::new(GateChanged {
            cause,
            strategy,
            candidate: candidate.number,
            instrument: candidate.instrument,
            gate: gate.map(GateName::Borrowed),
            value: stopped.map_or(Decimal::ZERO, |(_, value, _)| figure(value)),
            limit: stopped.map_or(Decimal::ZERO, |(_, _, limit)| figure(limit)),
        })))
    }

    #[inline(always)]
    fn hash_if_due(
        &mut self,
        cause: Sequence,
        now: Nanos,
        event: &Event<'_>,
    ) -> Result<(), StepError<S::Error>> {
        let is_end = matches!(event, Event::SessionEnd(_));
        if self.desk.has_session() && (self.desk.stats().inputs >= self.hash_due_at || is_end) {
            return self.append_state_hash(cause, now, is_end);
        }
        Ok(())
    }

    #[cold]
    fn append_state_hash(
        &mut self,
        cause: Sequence,
        now: Nanos,
        is_end: bool,
    ) -> Result<(), StepError<S::Error>> {
        let inputs = self.desk.stats().inputs;
        let every = self.desk.config().state_hash_every;
        let periodic = every != 0 && inputs.is_multiple_of(every) && inputs != 0;
        self.hash_due_at = match inputs.checked_div(every) {
            Some(passed) => passed.saturating_add(1).saturating_mul(every),
            None => u64::MAX,
        };
        if periodic || is_end {
            let hash = self
                .state_hash()
                .map_err(|e| self.broken(cause, now, Kind::StateHash.number(), e))?;
            self.emit(
                now,
                &Event::StateHash(StateHash {
                    cause,
                    inputs,
                    hash: hash.to_hex().to_string(),
                }),
            )?;
        }
        Ok(())
    }

    /// The hash of market and desk: BLAKE3 over the same encoding that snapshots hold, so it covers all that they restore.
    ///
    /// # Errors
    /// [`EngineError::BadSnapshot`] when the state does not encode.
    pub fn state_hash(&mut self) -> Result<blake3::Hash, EngineError> {
        self.state.clear();
        rmp_serde::encode::write(&mut self.state, &(&self.market, &self.desk))
            .map_err(|e| EngineError::BadSnapshot(e.to_string()))?;
        Ok(blake3::hash(&self.state))
    }

    /// The whole state, for [`Sequencer::restore`].
    ///
    /// # Errors
    /// [`EngineError::BadSnapshot`] when the state does not encode.
    pub fn snapshot(&self) -> Result<Vec<u8>, EngineError> {
        #[derive(Serialize)]
        struct Whole<'a> {
            next: Sequence,
            last_stamp: Nanos,
            market: &'a Market,
            desk: &'a Desk,
        }
        let whole = Whole {
            next: self.next,
            last_stamp: self.last_stamp,
            market: &self.market,
            desk: &self.desk,
        };
        rmp_serde::to_vec(&(crate::LOGIC_HASH, whole))
            .map_err(|e| EngineError::BadSnapshot(e.to_string()))
    }

    /// A sequencer where a snapshot was taken.
    ///
    /// # Errors
    /// [`EngineError::BadSnapshot`] when it does not read, or comes from another build's logic.
    pub fn restore(snapshot: &[u8], sink: S) -> Result<Self, EngineError> {
        let read = rmp_serde::from_slice::<(String, Restored)>(snapshot);
        let (logic_hash, state) = read.map_err(|e| EngineError::BadSnapshot(e.to_string()))?;
        if logic_hash != crate::LOGIC_HASH {
            return Err(EngineError::BadSnapshot(format!(
                "it was taken by build {logic_hash}"
            )));
        }
        let mut restored = Self::new(sink);
        (restored.market, restored.desk) = (state.market, state.desk);
        restored.desk.restored(&restored.market);
        (restored.next, restored.last_stamp) = (state.next, state.last_stamp);
        Ok(restored)
    }

    /// The same state with another sink.
    pub fn with_sink<T: Sink>(self, sink: T) -> (Sequencer<T>, S) {
        let moved = Sequencer {
            market: self.market,
            desk: self.desk,
            next: self.next,
            last_stamp: self.last_stamp,
            sink,
            pending: self.pending,
            scratch: self.scratch,
            payload: self.payload,
            state: self.state,
            hash_due_at: self.hash_due_at,
        };
        (moved, self.sink)
    }

    #[cold]
    fn runaway(&self, at: Nanos, limit: u32) -> StepError<S::Error> {
        self.broken(self.next, at, 0, EngineError::RunawayStep { limit })
    }

    #[cold]
    fn broken(
        &self,
        sequence: Sequence,
        at: Nanos,
        kind: u16,
        source: EngineError,
    ) -> StepError<S::Error> {
        let kind = Kind::from_number(kind).map_or("no frame yet", Kind::name);
        StepError::Engine {
            sequence,
            at,
            kind,
            source,
        }
    }

    /// The market.
    pub const fn market(&self) -> &Market {
        &self.market
    }

    /// The desk.
    pub const fn desk(&self) -> &Desk {
        &self.desk
    }

    /// The next frame's sequence.
    pub const fn next_sequence(&self) -> Sequence {
        self.next
    }

    /// The last frame's stamp.
    pub const fn last_stamp(&self) -> Nanos {
        self.last_stamp
    }

    /// Where frames go.
    pub const fn sink(&self) -> &S {
        &self.sink
    }

    /// Where frames go.
    pub const fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Gives the sink back.
    pub fn into_sink(self) -> S {
        self.sink
    }
}
