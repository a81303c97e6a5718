//! Contracts on a day's highest temperature: forecasts against prices (requirements, five systems, chapter 3).
//!
//! - [`normal`] and [`fair`]: what a bracket is worth; [`calendar`], [`station`] and [`contract`]: on which day and evidence.
//! - [`sizing`]: how much to bet and what an event could lose; [`account`]: what the week and the month lost.
//! - [`entry`] and [`exit`]: the gates, in order.
//!
//! A bracket has one order at a time. Only market data, facts, timers and the answer to an order of its own lead to a new
//! order, at most one a frame, so that each is sized with the one before it on the tape: caps can't be passed together.
mod account;
mod calendar;
mod contract;
mod entry;
mod exit;
mod fair;
mod normal;
mod params;
mod sizing;
mod station;

pub(super) use params::Params;

use super::{Candidate, Strategy, View, Wishes};
use crate::error::EngineError;
use crate::event::{Event, ExecutionReport, InstrumentType, OrderDecided, OrderDenied};
use crate::id::{CurrencyId, InstrumentId, OrderId, Sequence};
use crate::market::{Instrument, Market};
use crate::number::{Money, Qty};
use crate::order::{OrderState, Side};
use crate::time::Nanos;
use account::Account;
use contract::{Contract, Terms, Working};
use params::Settings;
use serde::{Deserialize, Serialize};
use sizing::{Stake, worst_loss};
use station::Days;
use std::collections::VecDeque;

/// Tag of orders that open.
const ENTRY: u64 = 1;
/// Tag of orders that close.
const EXIT: u64 = 2;
/// Timers with this bit look at the contract of the other bits again, timers without are about the order of that number.
const WAKE: u64 = 1 << 63;
/// How many orders that ended are remembered, for fills that come late.
const REMEMBERED_ENDED: usize = 1_024;

const MS_NS: u64 = 1_000_000;

/// What the contracts of one station and day can lose together, resting orders included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EventRisk {
    event: (u32, i32),
    loss: Money,
}

/// State.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    settings: Settings,
    /// In the order of definition.
    contracts: Vec<Contract>,
    /// By instrument: the place of its contract.
    places: Vec<Option<u32>>,
    currency: Option<CurrencyId>,
    /// By place in the table of stations.
    days: Vec<Days>,
    account: Account,
    /// By event; those without risk are left out.
    risks: Vec<EventRisk>,
    /// Order, contract and side, oldest first.
    ended: VecDeque<(OrderId, u32, Side)>,
    rejected_at: VecDeque<Nanos>,
    paused_until: Nanos,
}

impl State {
    pub(super) fn new(params: &Params) -> Result<Self, String> {
        Ok(Self {
            settings: Settings::new(params)?,
            contracts: Vec::new(),
            places: Vec::new(),
            currency: None,
            days: vec![Days::default(); params.stations.len()],
            account: Account::default(),
            risks: Vec::new(),
            ended: VecDeque::new(),
            rejected_at: VecDeque::new(),
            paused_until: Nanos(0),
        })
    }

    #[inline]
    fn place(&self, instrument: InstrumentId) -> Option<u32> {
        self.places.get(instrument.index()).copied().flatten()
    }

    #[inline]
    fn contract(&self, place: u32) -> Option<&Contract> {
        self.contracts.get(place as usize)
    }

    fn contract_mut(&mut self, instrument: InstrumentId) -> Option<(u32, &mut Contract)> {
        let place = self.place(instrument)?;
        let contract = self.contracts.get_mut(place as usize)?;
        Some((place, contract))
    }

    /// Contracts of one station and day, with their places.
    fn of_event(&self, event: (u32, i32)) -> impl Iterator<Item = (u32, &Contract)> {
        let is_of = move |terms: Terms| terms.event() == (Some(event.0), event.1);
        (0..)
            .zip(&self.contracts)
            .filter(move |(_, contract)| contract.terms.is_some_and(is_of))
    }

    #[inline]
    fn see_tick(
        &mut self,
        instrument: InstrumentId,
        sequence: Sequence,
        now: Nanos,
        market: &Market,
    ) -> Result<(), EngineError> {
        let Some((place, contract)) = self.contract_mut(instrument) else {
            return Ok(());
        };
        contract.tick(now, market.instrument(instrument)?.top());
        if contract.is_due(now) {
            self.refresh(place, sequence, now);
        }
        Ok(())
    }

    /// Computes a contract's odds anew.
    fn refresh(&mut self, place: u32, sequence: Sequence, now: Nanos) {
        let Some(contract) = self.contracts.get_mut(place as usize) else {
            return;
        };
        let day = contract.terms.and_then(|terms| {
            let days = self.days.get(terms.station? as usize)?;
            days.get(terms.day)
        });
        contract.refresh(sequence, now, &self.settings, day);
    }

    fn refresh_event(&mut self, event: (u32, i32), sequence: Sequence, now: Nanos) {
        let places: Vec<u32> = self.of_event(event).map(|(place, _)| place).collect();
        for place in places {
            self.refresh(place, sequence, now);
        }
    }

    #[cold]
    fn evolve_rare(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        match event {
            Event::ContractTerms(terms) => {
                let new = Terms::new(terms, &self.settings);
                let Some((place, contract)) = self.contract_mut(terms.instrument) else {
                    return Ok(());
                };
                let old = core::mem::replace(&mut contract.terms, new);
                contract.look = true;
                self.refresh(place, sequence, now);
                for terms in [old, new].into_iter().flatten() {
                    self.assess(terms, now, market);
                }
            }
            Event::Forecast(_) | Event::Observation(_) => {
                if let Some(event) = self.see_weather(now, event) {
                    self.refresh_event(event, sequence, now);
                }
            }
            Event::OrderDecided(decided) => self.decided(sequence, now, decided, market),
            Event::CancelDecided(decided) => {
                if let Some((_, contract)) = self.contract_mut(decided.instrument)
                    && let Some(working) = contract.working.as_mut()
                    && working.order == decided.order
                {
                    working.cancelling = true;
                }
            }
            Event::OrderDenied(denied) => self.denied(now, denied),
            Event::ExecutionReport(report) => self.reported(now, report, market)?,
            Event::Resolution(resolution) => {
                let instrument = market.instrument(resolution.instrument)?;
                self.account
                    .settle(instrument, resolution.settlement_price, market)?;
                self.assess_contract(resolution.instrument, now, market);
            }
            Event::TimerFired(fired) => {
                let place = self.timed(fired.token).map(|(place, _)| place);
                if let Some(place) = place.filter(|place| {
                    self.contract(*place)
                        .is_some_and(|contract| contract.is_due(now))
                }) {
                    self.refresh(place, sequence, now);
                }
            }
            Event::DayRolled(rolled) => {
                if let Some(currency) = self.currency {
                    self.account.roll(rolled.day, currency, market)?;
                }
            }
            other => {
                if let Some((_, contract)) = other
                    .instrument()
                    .and_then(|instrument| self.contract_mut(instrument))
                {
                    contract.look = true;
                }
            }
        }
        Ok(())
    }

    /// Takes a forecast or an observation; returns the event that it is about.
    fn see_weather(&mut self, now: Nanos, event: &Event<'_>) -> Option<(u32, i32)> {
        let place = self.weather_station(event)?;
        let offset_min = self.settings.station_at(place)?.standard_offset_min;
        let days = self.days.get_mut(place as usize)?;
        let day = match event {
            Event::Forecast(forecast) => {
                days.forecast(forecast, now, offset_min);
                forecast.day
            }
            Event::Observation(seen) => {
                let margin = self.settings.params.soft_margin_f;
                days.observe(seen, now, offset_min, margin)?
            }
            _ => return None,
        };
        Some((place, day))
    }

    /// The station of a forecast by the source that is listened to, or of an observation.
    fn weather_station(&self, event: &Event<'_>) -> Option<u32> {
        match event {
            Event::Forecast(forecast) => {
                let listened = forecast.source == self.settings.params.forecast_source;
                let station = || self.settings.station(&forecast.station);
                listened.then(station).flatten()
            }
            Event::Observation(seen) => self.settings.station(&seen.station),
            _ => None,
        }
    }

    /// The event that a forecast or an observation is about.
    fn weather_event(&self, event: &Event<'_>) -> Option<(u32, i32)> {
        let place = self.weather_station(event)?;
        let offset_min = self.settings.station_at(place)?.standard_offset_min;
        Some(match event {
            Event::Forecast(forecast) => (place, forecast.day),
            Event::Observation(seen) => (place, calendar::local_day(seen.observed_at, offset_min)),
            _ => return None,
        })
    }

    fn decided(&mut self, sequence: Sequence, now: Nanos, decided: &OrderDecided, market: &Market) {
        let Some((_, contract)) = self.contract_mut(decided.instrument) else {
            return;
        };
        let exit = decided.tag == EXIT;
        contract.working = Some(Working {
            order: OrderId(sequence.0),
            side: decided.side,
            price: decided.price,
            remaining: decided.qty,
            exit,
            cancelling: false,
        });
        if !exit {
            contract.placed_at = Some(now);
            if contract.chase.is_none_or(|(side, _)| side != decided.side) {
                contract.chase = Some((decided.side, decided.price));
            }
        }
        self.assess_contract(decided.instrument, now, market);
    }

    fn denied(&mut self, now: Nanos, denied: &OrderDenied) {
        let again = now.after(self.settings.params.retry_ms.saturating_mul(MS_NS));
        if let Some((_, contract)) = self.contract_mut(denied.instrument) {
            if denied.tag == EXIT {
                contract.exit_quiet_until = again;
            } else {
                contract.quiet_until = again;
            }
        }
    }

    fn reported(
        &mut self,
        now: Nanos,
        report: &ExecutionReport,
        market: &Market,
    ) -> Result<(), EngineError> {
        let again = now.after(self.settings.params.retry_ms.saturating_mul(MS_NS));
        let Some(place) = self.place(report.instrument) else {
            return Ok(());
        };
        let Some(contract) = self.contracts.get_mut(place as usize) else {
            return Ok(());
        };
        let working = contract
            .working
            .as_mut()
            .filter(|working| working.order == report.order);
        let side = match working {
            Some(working) => {
                let filled = report.fill.map_or(0, |fill| fill.qty.0);
                working.remaining = Qty(working.remaining.0.saturating_sub(filled));
                let (side, exit) = (working.side, working.exit);
                if report.state.is_final() {
                    contract.working = None;
                    if report.state == OrderState::Rejected {
                        contract.quiet_until = again;
                    }
                    if exit && report.state != OrderState::Filled {
                        contract.exit_quiet_until = again;
                    }
                    self.ended.push_back((report.order, place, side));
                    if self.ended.len() > REMEMBERED_ENDED {
                        self.ended.pop_front();
                    }
                }
                Some(side)
            }
            None => {
                let mut ended = self.ended.iter().rev();
                ended
                    .find(|(order, _, _)| *order == report.order)
                    .map(|(_, _, side)| *side)
            }
        };
        if report.state == OrderState::Rejected {
            self.rejected(now);
        }
        if let (Some(side), Some(fill)) = (side, &report.fill) {
            let instrument = market.instrument(report.instrument)?;
            self.account.fill(instrument, side, fill, market)?;
        }
        self.assess_contract(report.instrument, now, market);
        Ok(())
    }

    /// Rejections within the window that ends now.
    fn recent_rejects(&self, now: Nanos) -> usize {
        let window = self.settings.params.reject_window_ms.saturating_mul(MS_NS);
        let recent = |at: &&Nanos| now.since(**at) < window;
        self.rejected_at.iter().filter(recent).count()
    }

    /// Counts a venue's rejection; too many within the window pause opening for as long again.
    fn rejected(&mut self, now: Nanos) {
        let window = self.settings.params.reject_window_ms.saturating_mul(MS_NS);
        self.rejected_at.retain(|at| now.since(*at) < window);
        self.rejected_at.push_back(now);
        if self.rejected_at.len() >= self.settings.params.max_rejects as usize {
            self.rejected_at.clear();
            self.paused_until = now.after(window);
        }
    }

    /// Takes over what is held of a contract now, and what its event can lose.
    fn assess_contract(&mut self, instrument: InstrumentId, now: Nanos, market: &Market) {
        let position = self.account.position(instrument);
        let held = position.map_or(Qty(0), |position| position.qty);
        let Some((_, contract)) = self.contract_mut(instrument) else {
            return;
        };
        contract.held = held;
        if let Some(terms) = contract.terms {
            self.assess(terms, now, market);
        }
    }

    /// Works out what an event can lose now. What can't be worked out counts as more than any cap.
    fn assess(&mut self, terms: Terms, now: Nanos, market: &Market) {
        let Some(station) = terms.station else { return };
        let event = (station, terms.day);
        let stakes = self.stakes(event, now, market);
        let loss = stakes
            .and_then(|stakes| worst_loss(&stakes))
            .unwrap_or(Money(i128::MAX / 1_000_000));
        let found = self.risks.binary_search_by_key(&event, |risk| risk.event);
        match found {
            Ok(place) if loss == Money::ZERO => {
                self.risks.remove(place);
            }
            Ok(place) => {
                if let Some(risk) = self.risks.get_mut(place) {
                    risk.loss = loss;
                }
            }
            Err(_) if loss == Money::ZERO => {}
            Err(place) => self.risks.insert(place, EventRisk { event, loss }),
        }
    }

    /// What is held and what rests in an event.
    fn stakes(&self, event: (u32, i32), now: Nanos, market: &Market) -> Option<Vec<Stake>> {
        let mut stakes = Vec::new();
        for (_, contract) in self.of_event(event) {
            let strike = contract.terms?.strike;
            let position = self
                .account
                .position(contract.instrument)
                .filter(|position| position.qty.0 != 0);
            if position.is_none() && contract.working.is_none() {
                continue;
            }
            let instrument = market.instrument(contract.instrument).ok()?;
            let d = instrument.decimals();
            if let Some(held) = position {
                stakes.push(Stake::held(strike, held.qty, held.cost, held.fees, d)?);
            }
            if let Some(order) = contract.working.filter(|working| !working.exit) {
                let fees = instrument.fees_at(now)?;
                let (side, price, qty) = (order.side, order.price, order.remaining);
                stakes.push(Stake::order(strike, side, price, qty, d, fees)?);
            }
        }
        Some(stakes)
    }

    /// The contract that a timer is about, and whether it is about its order.
    fn timed(&self, token: u64) -> Option<(u32, bool)> {
        if token & WAKE != 0 {
            return Some(((token & !WAKE) as u32, false));
        }
        let is = |contract: &Contract| {
            contract
                .working
                .is_some_and(|working| working.order.0 == token)
        };
        let place = self.contracts.iter().position(is)?;
        u32::try_from(place).ok().map(|place| (place, true))
    }

    /// Looks at a contract; returns whether an order was asked for.
    fn look(&self, place: u32, view: &View<'_>, wishes: &mut Wishes) -> bool {
        let Some(contract) = self.contract(place) else {
            return false;
        };
        if let Some(working) = contract.working {
            self.tend(place, contract, &working, view, wishes, false);
            return false;
        }
        (contract.held.0 != 0 && self.exit(place, contract, view, wishes))
            || self.enter(place, contract, view, wishes)
    }

    /// Looks at the brackets of an event in which nothing is at work, up to the first order.
    fn look_at_event(&self, event: (u32, i32), view: &View<'_>, wishes: &mut Wishes) {
        for (place, contract) in self.of_event(event) {
            if contract.working.is_none() && self.look(place, view, wishes) {
                return;
            }
        }
    }

    fn look_at_siblings(&self, instrument: InstrumentId, view: &View<'_>, wishes: &mut Wishes) {
        let contract = self
            .place(instrument)
            .and_then(|place| self.contract(place));
        if let Some(terms) = contract.and_then(|contract| contract.terms)
            && let (Some(station), day) = terms.event()
        {
            self.look_at_event((station, day), view, wishes);
        }
    }

    #[cold]
    fn decide_rare(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        match event {
            Event::Forecast(_) | Event::Observation(_) => {
                let Some(event) = self.weather_event(event) else {
                    return;
                };
                // First of all what rests at the old odds: somebody else has read the news as well.
                for (_, contract) in self.of_event(event) {
                    if contract.changed_at == view.sequence
                        && let Some(working) = contract.working.filter(|w| !w.cancelling && !w.exit)
                    {
                        wishes.cancel(working.order);
                    }
                }
                self.look_at_event(event, view, wishes);
            }
            Event::TimerFired(fired) => match self.timed(fired.token) {
                Some((place, true)) => {
                    if let Some(contract) = self.contract(place)
                        && let Some(working) = contract.working
                    {
                        self.tend(place, contract, &working, view, wishes, true);
                    }
                }
                Some((place, false)) => {
                    self.look(place, view, wishes);
                }
                None => {}
            },
            Event::OrderDecided(decided) => {
                if decided.tag == ENTRY {
                    wishes.timer(self.reprice_at(view.now), view.sequence.0);
                }
                self.look_at_siblings(decided.instrument, view, wishes);
            }
            Event::OrderDenied(denied) => {
                self.look_at_siblings(denied.instrument, view, wishes);
            }
            Event::ExecutionReport(report) => {
                // Not here: another report may be waiting behind this one.
                if report.state.is_final()
                    && let Some(place) = self.place(report.instrument)
                {
                    wishes.timer(view.now, WAKE | u64::from(place));
                }
            }
            other => {
                if let Some(place) = other.instrument().and_then(|id| self.place(id)) {
                    self.look(place, view, wishes);
                }
            }
        }
    }

    fn reprice_at(&self, now: Nanos) -> Nanos {
        now.after(self.settings.params.reprice_ms.saturating_mul(MS_NS))
    }
}

/// A bracket is two candidates: opening and closing.
const fn candidate(place: u32, contract: &Contract, closing: bool) -> Candidate {
    Candidate {
        number: place * 2 + closing as u32,
        instrument: contract.instrument,
    }
}

impl Strategy for State {
    fn bind(&mut self, instrument: &Instrument) -> Result<bool, String> {
        let params = &self.settings.params;
        let definition = &instrument.definition;
        let wanted = definition.instrument_type == InstrumentType::Binary
            && definition.venue == params.venue
            && params
                .symbol_prefixes
                .iter()
                .any(|prefix| definition.symbol.starts_with(prefix.as_str()));
        let place = if wanted {
            let currency = *self.currency.get_or_insert(instrument.quote_currency);
            if currency != instrument.quote_currency {
                return Err(format!(
                    "symbol_prefixes must name contracts in one currency, found {} in {}",
                    instrument.name, definition.quote
                ));
            }
            let place = u32::try_from(self.contracts.len())
                .ok()
                .filter(|place| *place < u32::MAX / 2)
                .ok_or("too many contracts")?;
            self.contracts
                .push(Contract::new(instrument.id(), instrument.decimals()));
            Some(place)
        } else {
            None
        };
        let index = instrument.id().index();
        if self.places.len() <= index {
            self.places.resize(index + 1, None);
        }
        self.places[index] = place;
        Ok(wanted)
    }

    #[inline]
    fn evolve(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        match event {
            Event::Quote(quote) => self.see_tick(quote.instrument, sequence, now, market),
            Event::BookDelta(update) | Event::BookSnapshot(update) => {
                self.see_tick(update.header.instrument, sequence, now, market)
            }
            Event::Trade(_) => Ok(()),
            other => self.evolve_rare(sequence, now, other, market),
        }
    }

    #[inline(never)]
    fn decide(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        let instrument = match event {
            Event::Quote(quote) => quote.instrument,
            Event::BookDelta(update) | Event::BookSnapshot(update) => update.header.instrument,
            Event::Trade(_) => return,
            other => return self.decide_rare(other, view, wishes),
        };
        if let Some(place) = self.place(instrument)
            && (self.contract(place).is_some_and(|contract| contract.look)
                || wishes.is_explaining())
        {
            self.look(place, view, wishes);
        }
    }
}
