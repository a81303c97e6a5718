//! The strategy's state: pairs, open trades, their multi-leg orders and how the venues do.
use super::Params;
use super::edge::Direction;
use super::exit::ExitRule;
use super::pair::Pair;
use super::params::{Amounts, ms};
use super::trade::Trade;
use crate::compliance::is_blocked;
use crate::error::EngineError;
use crate::event::{
    Alarm, ContractTerms, Event, ExecutionReport, InstrumentType, PairApproved, ParentChanged,
    VenueHealth,
};
use crate::id::{InstrumentId, Sequence};
use crate::market::{Instrument, Market};
use crate::number::Money;
use crate::order::Side;
use crate::parent::{ParentState, Parents};
use crate::strategy::{Strategy, View, Wishes};
use crate::time::{Nanos, SECOND_NS};
use serde::{Deserialize, Serialize};

/// How a venue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Health {
    Up,
    Degraded,
    Down,
}

/// What is known of an instrument.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Known {
    is_bound: bool,
    /// Pairs that it is part of.
    pairs: Vec<u32>,
    /// Hash of its rule text, once one was seen.
    rules: Option<String>,
    closes_at: Option<Nanos>,
    /// Its symbol, event or cluster has a blocked word.
    is_blocked: bool,
}

/// State.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    pub(super) params: Params,
    pub(super) amounts: Amounts,
    /// By instrument.
    known: Vec<Known>,
    /// In the order of first approval: their places number the candidates.
    pub(super) pairs: Vec<Pair>,
    pub(super) trades: Vec<Trade>,
    pub(super) parents: Parents,
    /// Single-book venue, token venue.
    pub(super) health: [Health; 2],
}

impl State {
    pub(in super::super) fn new(params: &Params) -> Result<Self, String> {
        Ok(Self {
            params: params.clone(),
            amounts: Amounts::new(params)?,
            known: Vec::new(),
            pairs: Vec::new(),
            trades: Vec::new(),
            parents: Parents::default(),
            health: [Health::Up; 2],
        })
    }

    fn known_mut(&mut self, instrument: InstrumentId) -> Option<&mut Known> {
        self.known.get_mut(instrument.index())
    }

    pub(super) fn are_bound(&self, pair: &Pair) -> bool {
        let bound = |id: InstrumentId| self.known.get(id.index()).is_some_and(|k| k.is_bound);
        pair.instruments().into_iter().all(bound)
    }

    /// Whether nothing is open in a pair's instruments.
    pub(super) fn is_free(&self, place: usize) -> bool {
        let pair = &self.pairs[place];
        // A closed one that a late fill opened again has no trade any more.
        let legs = self
            .parents
            .open_ones()
            .flat_map(|parent| &parent.plan().legs);
        legs.into_iter().all(|leg| !pair.has(leg.instrument))
    }

    /// When the first of a pair's markets closes.
    pub(super) fn closes_at(&self, pair: &Pair) -> Nanos {
        let closes = pair
            .instruments()
            .into_iter()
            .filter_map(|id| self.known.get(id.index())?.closes_at);
        closes.min().unwrap_or(Nanos(u64::MAX))
    }

    /// Capital bound in a cluster, or in all.
    pub(super) fn capital_in(&self, cluster: Option<&str>) -> Money {
        let counts = |trade: &&Trade| {
            let pair = self.pairs.get(trade.pair as usize);
            cluster.is_none_or(|cluster| pair.is_some_and(|p| p.facts.cluster == cluster))
        };
        let capital = self.trades.iter().filter(counts);
        Money(capital.fold(0, |sum, trade| sum.saturating_add(trade.capital.0)))
    }

    fn approve(&mut self, facts: &PairApproved) {
        let same = |pair: &Pair| pair.facts.pair == facts.pair;
        let place = self.pairs.iter().position(same);
        let mut pair = Pair::new(facts.clone());
        if let Some(old) = place.and_then(|place| self.pairs.get(place)) {
            pair.quiet_until = old.quiet_until;
        }
        let words = [&facts.pair, &facts.question, &facts.cluster];
        let known = |id: InstrumentId| self.known.get(id.index());
        let instruments = pair.instruments();
        pair.is_blocked = words.into_iter().any(|text| self.is_blocked(text))
            || instruments
                .into_iter()
                .any(|id| known(id).is_some_and(|k| k.is_blocked));
        // A text that came before the approval is the one that stands now.
        for id in pair.instruments() {
            if let Some(hash) = self.known.get(id.index()).and_then(|k| k.rules.as_deref()) {
                pair.see_rules(id, hash);
            }
        }
        let instruments = pair.instruments();
        let place = match place {
            Some(place) => {
                self.pairs[place] = pair;
                place
            }
            None => {
                self.pairs.push(pair);
                self.pairs.len() - 1
            }
        };
        let number = place as u32;
        for known in &mut self.known {
            known.pairs.retain(|pair| *pair != number);
        }
        for id in instruments {
            if let Some(known) = self.known_mut(id)
                && !known.pairs.contains(&number)
            {
                known.pairs.push(number);
            }
        }
    }

    fn is_blocked(&self, text: &str) -> bool {
        is_blocked(text, &self.params.blocked_words)
    }

    fn see_terms(&mut self, terms: &ContractTerms) {
        let is_blocked = self.is_blocked(&terms.event) || self.is_blocked(&terms.cluster);
        if let Some(known) = self.known_mut(terms.instrument) {
            known.closes_at = Some(terms.closes_at);
            known.is_blocked |= is_blocked;
        }
        for pair in self
            .pairs
            .iter_mut()
            .filter(|pair| pair.has(terms.instrument))
        {
            pair.is_blocked |= is_blocked;
        }
        self.see_rules(terms.instrument, &terms.rules_hash);
    }

    fn see_rules(&mut self, instrument: InstrumentId, hash: &str) {
        if let Some(known) = self.known_mut(instrument) {
            known.rules = Some(hash.to_owned());
        }
        for pair in &mut self.pairs {
            if pair.has(instrument) {
                pair.see_rules(instrument, hash);
            }
        }
    }

    fn see_health(&mut self, health: &VenueHealth) {
        let params = &self.params;
        let is = |latency_ms: u32, errors: u32| {
            health.latency_ms >= latency_ms || health.errors_per_million >= errors
        };
        let state = if is(params.down_latency_ms, params.down_errors_per_million) {
            Health::Down
        } else if is(
            params.degraded_latency_ms,
            params.degraded_errors_per_million,
        ) {
            Health::Degraded
        } else {
            Health::Up
        };
        for (place, venue) in [&params.single_book_venue, &params.token_venue]
            .into_iter()
            .enumerate()
        {
            if *venue == health.venue {
                self.health[place] = state;
            }
        }
    }

    fn see_parent(&mut self, change: &ParentChanged, now: Nanos, market: &Market) {
        if let Some(plan) = &change.plan {
            // Only an entry buys a token.
            let is_token = |id| {
                self.pairs
                    .iter()
                    .any(|p| id == p.facts.yes_token || id == p.facts.no_token)
            };
            let token = plan.legs.iter().find(|leg| is_token(leg.instrument));
            match token {
                Some(leg) if leg.side == Side::Buy => self.begin(change.parent, plan, now, market),
                Some(leg) => {
                    let id = leg.instrument;
                    let has = |trade: &&mut Trade| trade.legs[1].instrument == id;
                    if let Some(trade) = self.trades.iter_mut().find(has) {
                        trade.exits.push(change.parent);
                    }
                }
                None => {}
            }
        }
        let retry_ns = ms(self.params.exit_retry_ms);
        if let Some(place) = self.trades.iter().position(|t| t.entry == change.parent) {
            if change.state == ParentState::Closed {
                self.trades.remove(place);
            } else if change.state == ParentState::Hedged && self.trades[place].opened.is_none() {
                self.trades[place].open(market, now);
            }
        } else if let Some(trade) = self
            .trades
            .iter_mut()
            .find(|trade| trade.exits.contains(&change.parent))
        {
            if change.state == ParentState::Closed {
                trade.exit = None;
                trade.quiet_until = now.after(retry_ns);
            } else {
                trade.exit = Some(change.parent);
            }
        }
    }

    fn begin(&mut self, number: u64, plan: &crate::parent::Plan, now: Nanos, market: &Market) {
        let has_leg = |id: InstrumentId| plan.legs.iter().any(|leg| leg.instrument == id);
        let is = |pair: &Pair| {
            has_leg(pair.facts.single_book)
                && (has_leg(pair.facts.yes_token) || has_leg(pair.facts.no_token))
        };
        let Some(place) = self.pairs.iter().position(is) else {
            return;
        };
        let pair = &mut self.pairs[place];
        pair.quiet_until = now.after(self.params.cooldown_s.saturating_mul(SECOND_NS));
        let single = pair.facts.single_book;
        let side = plan.legs.iter().find(|leg| leg.instrument == single);
        let direction = match side.map(|leg| leg.side) {
            Some(Side::Sell) => Direction::SellSingle,
            _ => Direction::BuySingle,
        };
        let confidence = pair.confidence_pct();
        self.trades.push(Trade::new(
            place as u32,
            direction,
            number,
            plan,
            single,
            confidence,
            market,
        ));
    }

    fn see_report(&mut self, report: &ExecutionReport, market: &Market) -> Result<(), EngineError> {
        let Some(fill) = &report.fill else {
            return Ok(());
        };
        let Some((number, role)) = self.parents.role_of(report.order) else {
            return Ok(());
        };
        let Some(parent) = self.parents.get(number) else {
            return Ok(());
        };
        let side = parent.plan().legs[role.leg().index()].side;
        let side = if role.is_unwinding() {
            side.opposite()
        } else {
            side
        };
        let is = |trade: &&mut Trade| trade.entry == number || trade.exits.contains(&number);
        if let Some(trade) = self.trades.iter_mut().find(is) {
            trade.fill(market.instrument(report.instrument)?, side, fill)?;
        }
        Ok(())
    }

    /// What follows from a book that moved.
    #[inline]
    fn decide_moved(&self, instrument: InstrumentId, view: &View<'_>, wishes: &mut Wishes) {
        let Some(known) = self.known.get(instrument.index()) else {
            return;
        };
        for trade in &self.trades {
            if trade.legs.iter().any(|leg| leg.instrument == instrument)
                && (self.finish(trade, wishes) || self.consider_exit(trade, view, wishes))
            {
                return;
            }
        }
        for &place in &known.pairs {
            for direction in Direction::BOTH {
                let pair = &self.pairs[place as usize];
                let concerned =
                    instrument == pair.facts.single_book || instrument == pair.token(direction);
                if concerned && self.consider(place as usize, direction, view, wishes) {
                    return;
                }
            }
        }
    }

    /// Whether a trade's close has come to its end: its multi-leg order is done with, and so is the trade when nothing is
    /// left of it.
    fn finish(&self, trade: &Trade, wishes: &mut Wishes) -> bool {
        let exit = trade.exit.and_then(|exit| self.parents.get(exit));
        let Some(exit) = exit.filter(|exit| exit.state() == ParentState::Hedged) else {
            return false;
        };
        self.parents.close(exit.number(), wishes);
        if trade.is_flat() {
            self.parents.close(trade.entry, wishes);
        }
        true
    }

    fn decide_resolved(&self, instrument: InstrumentId, view: &View<'_>, wishes: &mut Wishes) {
        for trade in &self.trades {
            let has = trade.legs.iter().any(|leg| leg.instrument == instrument);
            if let Some(off) = trade
                .divergence(view.market)
                .filter(|off| has && off.0 != 0)
            {
                wishes.alarm(instrument, Alarm::Diverged, off);
            }
        }
    }
}

impl Strategy for State {
    fn bind(&mut self, instrument: &Instrument) -> Result<bool, String> {
        let venue = &instrument.definition.venue;
        let is_ours = *venue == self.params.single_book_venue || *venue == self.params.token_venue;
        let is_bound = is_ours && instrument.definition.instrument_type == InstrumentType::Binary;
        let number = instrument.id();
        let pairs = (0u32..)
            .zip(&self.pairs)
            .filter(|(_, pair)| pair.has(number))
            .map(|(place, _)| place);
        self.known.push(Known {
            is_bound,
            is_blocked: self.is_blocked(&instrument.definition.symbol),
            pairs: pairs.collect(),
            ..Known::default()
        });
        Ok(is_bound)
    }

    #[inline]
    fn evolve(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        if let Event::Quote(_) | Event::Trade(_) | Event::BookDelta(_) | Event::BookSnapshot(_) =
            event
        {
            return Ok(());
        }
        self.parents.evolve(sequence, now, event, market)?;
        match event {
            Event::PairApproved(facts) => self.approve(facts),
            Event::PairWithdrawn(withdrawn) => {
                let is = |pair: &&mut Pair| pair.facts.pair == withdrawn.pair;
                if let Some(pair) = self.pairs.iter_mut().find(is) {
                    pair.is_withdrawn = true;
                }
            }
            Event::RulesText(text) => self.see_rules(text.instrument, &text.rules_hash),
            Event::ContractTerms(terms) => self.see_terms(terms),
            Event::VenueHealth(health) => self.see_health(health),
            Event::ParentChanged(change) => self.see_parent(change, now, market),
            Event::ExecutionReport(report) => self.see_report(report, market)?,
            Event::Resolution(resolution) => {
                let instrument = market.instrument(resolution.instrument)?;
                for trade in &mut self.trades {
                    trade.settle(instrument, resolution.settlement_price)?;
                }
            }
            Event::SignalRaised(signal) => {
                let rule = ExitRule::ALL
                    .into_iter()
                    .find(|rule| rule.name() == signal.detector);
                let is = |trade: &&mut Trade| trade.legs[0].instrument == signal.instrument;
                if let (Some(rule), Some(trade)) = (rule, self.trades.iter_mut().find(is)) {
                    trade.said |= rule.bit();
                }
            }
            Event::AlarmRaised(alarm) if alarm.alarm == Alarm::RulesChanged => {
                for pair in &mut self.pairs {
                    if pair.owes_alarm == Some(alarm.instrument) {
                        pair.owes_alarm = None;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    #[inline(never)]
    fn decide(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        self.parents.decide(event, view, wishes);
        match event {
            Event::Quote(_) | Event::BookDelta(_) | Event::BookSnapshot(_) => {
                if let Some(instrument) = event.instrument() {
                    self.decide_moved(instrument, view, wishes);
                }
            }
            Event::ParentChanged(change) => {
                let is = |trade: &&Trade| trade.exit == Some(change.parent);
                if let Some(trade) = self.trades.iter().find(is)
                    && change.state == ParentState::Hedged
                {
                    self.finish(trade, wishes);
                }
            }
            Event::Resolution(resolution) => {
                self.decide_resolved(resolution.instrument, view, wishes);
            }
            Event::PairApproved(_) | Event::RulesText(_) | Event::ContractTerms(_) => {
                let mut called = Vec::new();
                for instrument in self.pairs.iter().filter_map(|pair| pair.owes_alarm) {
                    if !called.contains(&instrument) {
                        called.push(instrument);
                        wishes.alarm(instrument, Alarm::RulesChanged, 1u64);
                    }
                }
            }
            _ => {}
        }
    }
}
