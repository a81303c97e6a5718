//! What a strategy may look at, and how it says what it wants.
use super::gates::{Candidate, Figure, GateRow, Gates, LastGates, Stopped};
use crate::desk::{Decision, Desk, Position};
use crate::error::EngineError;
use crate::event::{Alarm, IntentChanged, ParentChanged, SignalRaised};
use crate::id::{CurrencyId, InstrumentId, OrderId, Sequence, StrategyId, VenueId};
use crate::market::Market;
use crate::number::{Money, Qty};
use crate::order::Order;
use crate::risk::Proposal;
use crate::time::Nanos;

/// The market and the strategy's own side of the desk, read-only.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub(crate) strategy: StrategyId,
    /// The frame that is being decided on.
    pub sequence: Sequence,
    /// Its stamp: the only time there is.
    pub now: Nanos,
    /// The market.
    pub market: &'a Market,
    pub(crate) desk: &'a Desk,
}

impl<'a> View<'a> {
    /// What the strategy holds, signed.
    #[inline]
    pub fn position(&self, instrument: InstrumentId) -> Qty {
        self.position_in(instrument)
            .map_or(Qty(0), |position| position.qty)
    }

    /// The strategy's position with its cost and fees, once it has traded there.
    #[inline]
    pub fn position_in(&self, instrument: InstrumentId) -> Option<&'a Position> {
        self.desk.ledger().position(self.strategy, instrument)
    }

    /// Every position that the strategy ever had.
    pub fn positions(&self) -> impl Iterator<Item = &'a Position> + use<'a> {
        let strategy = self.strategy;
        self.desk
            .ledger()
            .positions()
            .iter()
            .filter(move |position| position.strategy == strategy)
    }

    /// The strategy's orders at work, oldest first.
    pub fn orders(&self) -> impl Iterator<Item = &'a Order> + use<'a> {
        let strategy = self.strategy;
        self.desk
            .orders()
            .iter()
            .filter(move |order| order.strategy == strategy)
    }

    /// One of the strategy's orders, while it works.
    pub fn order(&self, id: OrderId) -> Option<&'a Order> {
        let order = self.desk.orders().get(id)?;
        (order.strategy == self.strategy).then_some(order)
    }

    /// The strategy's profit so far in a currency, open positions at the price that one would hit.
    ///
    /// # Errors
    /// [`EngineError`] when a number does not fit.
    pub fn profit(&self, currency: CurrencyId) -> Result<Money, EngineError> {
        self.desk
            .ledger()
            .equity(self.strategy, currency, self.market)
    }

    /// The same since UTC midnight.
    ///
    /// # Errors
    /// [`EngineError`] when a number does not fit.
    pub fn day_profit(&self, currency: CurrencyId) -> Result<Money, EngineError> {
        self.day_profit_of(self.positions(), currency)
    }

    /// What some positions gained since UTC midnight, those paid in a currency.
    ///
    /// # Errors
    /// [`EngineError`] when a number does not fit.
    pub fn day_profit_of(
        &self,
        positions: impl Iterator<Item = &'a Position>,
        currency: CurrencyId,
    ) -> Result<Money, EngineError> {
        let mut gain = Money::ZERO;
        for position in positions {
            let instrument = self.market.instrument(position.instrument)?;
            if instrument.quote_currency == currency {
                let risk = self.desk.risk();
                let start = risk.day_start(position.strategy, position.instrument);
                gain = gain.add(position.profit(instrument)?.sub(start)?)?;
            }
        }
        Ok(gain)
    }

    /// Whether a position is the strategy's own.
    pub fn is_own(&self, position: &Position) -> bool {
        position.strategy == self.strategy
    }

    /// Whether a strategy of the session is an instance of the same kind as this one, or itself.
    pub fn is_same_kind(&self, other: StrategyId) -> bool {
        let strategies = &self.desk.config().strategies;
        let kind = |id: StrategyId| strategies.get(id.index()).map(|s| s.params.name());
        kind(other) == kind(self.strategy)
    }

    /// Every position that any strategy ever had.
    pub fn everybodys_positions(&self) -> impl Iterator<Item = &'a Position> + use<'a> {
        self.desk.ledger().positions().iter()
    }

    /// Orders of all strategies to a venue that were decided within the last second.
    pub fn orders_in_last_second(&self, venue: VenueId) -> usize {
        let recent = self.desk.risk().recent_orders(self.now);
        let there = recent.filter(|(_, id)| {
            let instrument = self.market.instrument(*id);
            instrument.is_ok_and(|instrument| instrument.venue == venue)
        });
        there.count()
    }

    /// Whether a halt stops new risk of the strategy.
    pub fn is_halted(&self) -> bool {
        let mut halts = self.desk.risk().halts.iter();
        halts.any(|reason| reason.stops(self.strategy))
    }
}

/// How much of one of its own limits a strategy uses up.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnLimit {
    /// The parameter's name.
    pub limit: &'static str,
    /// Whose limit it is, where there are several.
    pub of: Option<String>,
    /// What is used up with the order that is asked for.
    pub value: Figure,
    /// What the limit allows.
    pub most: Figure,
}

/// What a strategy wants, in order.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Whose.
    strategy: StrategyId,
    wishes: Vec<Decision>,
    explained: Option<Vec<GateRow>>,
}

/// Every gate that was asked for one event, and the orders that would follow.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// The gates in the order in which they were asked.
    pub rows: Vec<GateRow>,
    /// The orders.
    pub proposals: Vec<Proposal>,
}

impl Wishes {
    /// An order. The risk gate has the last word.
    pub fn order(&mut self, proposal: Proposal) {
        self.wishes.push(Decision::Order(self.strategy, proposal));
    }

    /// A cancel of one of the strategy's orders.
    pub fn cancel(&mut self, order: OrderId) {
        self.wishes.push(Decision::Cancel(self.strategy, order));
    }

    /// A timer; `token` comes back with it.
    pub fn timer(&mut self, due: Nanos, token: u64) {
        self.wishes.push(Decision::Timer(self.strategy, due, token));
    }

    /// Starts to ask a candidate's gates.
    #[inline]
    pub const fn gates(&mut self, candidate: Candidate) -> Gates<'_> {
        Gates::new(self, candidate)
    }

    /// Calls somebody.
    pub fn alarm(&mut self, instrument: InstrumentId, alarm: Alarm, value: impl Into<Figure>) {
        let value = value.into().to_decimal();
        self.wishes
            .push(Decision::Alarm(self.strategy, instrument, alarm, value));
    }

    /// Notes a parent's new state on the tape. `cause` and `strategy` are filled in.
    pub fn parent(&mut self, change: ParentChanged) {
        let strategy = self.strategy;
        let change = ParentChanged { strategy, ..change };
        self.wishes.push(Decision::Parent(change.into()));
    }

    /// Notes a signal on the tape. `cause` and `strategy` are filled in.
    pub fn signal(&mut self, signal: SignalRaised) {
        let strategy = self.strategy;
        let signal = SignalRaised { strategy, ..signal };
        self.wishes.push(Decision::Signal(signal.into()));
    }

    /// Notes an intent's new state on the tape. `cause` and `strategy` are filled in.
    pub fn intent(&mut self, change: IntentChanged) {
        let strategy = self.strategy;
        let change = IntentChanged { strategy, ..change };
        self.wishes.push(Decision::Intent(change.into()));
    }

    /// Wishes that note every gate.
    pub fn explaining() -> Self {
        Self {
            explained: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// What was noted.
    pub fn into_explanation(self) -> Explanation {
        let proposals = self.wishes.into_iter().filter_map(|wish| match wish {
            Decision::Order(_, proposal) => Some(proposal),
            _ => None,
        });
        Explanation {
            rows: self.explained.unwrap_or_default(),
            proposals: proposals.collect(),
        }
    }

    /// Whether somebody wants every gate, also of what needs no second look.
    #[inline]
    pub(super) const fn is_explaining(&self) -> bool {
        self.explained.is_some()
    }

    /// Notes a gate if somebody wants them all; returns whether somebody does.
    #[inline]
    pub(super) fn note(&mut self, row: impl FnOnce() -> GateRow) -> bool {
        match &mut self.explained {
            Some(rows) => {
                rows.push(row());
                true
            }
            None => false,
        }
    }

    /// Notes limits of the strategy's own that are nearly used up.
    pub(super) fn near(&mut self, near: Vec<OwnLimit>) {
        let of_ours = |near| Decision::Near(self.strategy, Box::new(near));
        self.wishes.extend(near.into_iter().map(of_ours));
    }

    #[inline]
    pub(super) fn gate(&mut self, candidate: Candidate, stopped: Stopped) {
        self.wishes
            .push(Decision::Gate(self.strategy, candidate, stopped));
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.wishes.is_empty()
    }

    /// Starts to take the wishes of a strategy.
    #[inline]
    pub(crate) const fn begin(&mut self, strategy: StrategyId) {
        self.strategy = strategy;
    }

    #[inline]
    pub(crate) fn drain(&mut self, last: &LastGates) -> impl Iterator<Item = Decision> + '_ {
        // On nearly every tick a candidate is stopped where it was before, and nothing follows.
        self.wishes.retain(|wish| match wish {
            Decision::Gate(_, candidate, stopped) => {
                last.differs(candidate.number, stopped.map(|(gate, _, _)| gate))
            }
            _ => true,
        });
        self.wishes.drain(..)
    }
}
