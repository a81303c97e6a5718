//! Order intents from outside: taken once by their key, checked, released, sent as brackets.
//!
//! A key names one content for ever. The same content again is a duplicate and counts as success; another content under
//! a known key is refused, because nobody can tell which of the two was meant. A changed order comes under its own key
//! and names the one that it replaces: that one is taken back first, and the new one is sent when the cancel is sure.
use super::account;
use super::bracket::{Action, Entry};
use super::inside_bar::Check;
use super::params::{IntentMode, money};
use super::{DAY_TOKEN, State, Times, ask};
use crate::event::{Event, IntentChanged, IntentReceived, IntentState};
use crate::id::{OrderId, Sequence, StrategyId};
use crate::market::Instrument;
use crate::number::Price;
use crate::order::{OrderType, Side};
use crate::strategy::{Candidate, Figure, GateName, View, Wishes};
use crate::time::Nanos;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The reason for a known key with another content.
const KEY_REUSED: &str = "key_reused";
/// The reason for a correction of what has filled.
const REPLACES_UNFILLED: &str = "replaces_unfilled";

/// An intent that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Intent {
    /// Its place in the order of arrival: the number of its candidate.
    number: u32,
    received: IntentReceived,
    state: IntentState,
    promoted: bool,
    bracket: Option<u32>,
    /// Some of it is filled.
    filled: bool,
}

/// Every intent by its key. None is forgotten: a key stays taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intents {
    known: BTreeMap<String, Intent>,
}

impl Intents {
    /// Takes an intent in, once.
    pub(super) fn receive(&mut self, received: &IntentReceived, out: &mut Vec<Action>) {
        let key = received.key.clone();
        let (state, reason) = match self.known.get(&key) {
            Some(known) if known.received == *received => (IntentState::Duplicate, None),
            Some(_) => (IntentState::Refused, Some(Cow::Borrowed(KEY_REUSED))),
            None => {
                let intent = Intent {
                    number: self.known.len() as u32,
                    received: received.clone(),
                    state: IntentState::Pending,
                    promoted: false,
                    bracket: None,
                    filled: false,
                };
                self.known.insert(key.clone(), intent);
                (IntentState::Pending, None)
            }
        };
        out.push(Action::Intent(key, state, None, reason));
    }

    /// An operator releases an intent.
    pub(super) fn promote(&mut self, key: &str) {
        if let Some(intent) = self.known.get_mut(key) {
            intent.promoted = true;
        }
    }

    /// The key of the intent that made a bracket.
    pub(super) fn of_bracket(&self, number: u32) -> Option<&str> {
        let mut known = self.known.iter();
        let of_number = known.find(|(_, intent)| intent.bracket == Some(number));
        of_number.map(|(key, _)| key.as_str())
    }

    /// Remembers that a bracket's entry filled.
    pub(super) fn filled(&mut self, number: u32) {
        let mut known = self.known.values_mut();
        if let Some(intent) = known.find(|intent| intent.bracket == Some(number)) {
            intent.filled = true;
        }
    }

    fn has_filled(&self, key: &str) -> bool {
        self.known.get(key).is_some_and(|intent| intent.filled)
    }
}

impl State {
    /// Folds an intent's new state.
    pub(super) fn take_intent_change(&mut self, now: Nanos, change: &IntentChanged) {
        let Some(intent) = self.intents.known.get_mut(&change.key) else {
            return;
        };
        match change.state {
            // Answers to a sender: the intent that the key names stays what it is.
            IntentState::Duplicate | IntentState::Pending => return,
            IntentState::Refused if change.reason.as_deref() == Some(KEY_REUSED) => return,
            IntentState::Ready if intent.state != IntentState::Planned => return,
            state => intent.state = state,
        }
        match change.state {
            IntentState::Planned => {
                if let Some(old) = intent.received.replaces.clone() {
                    self.actions
                        .push(Action::Intent(old, IntentState::Replaced, None, None));
                }
            }
            IntentState::Replaced => {
                if let Some(number) = intent.bracket {
                    self.with_bracket(number, now, |bracket, _| bracket.withdraw());
                }
            }
            IntentState::Ready => {
                let received = intent.received.clone();
                let Some(expires_at) = self.last_call(now) else {
                    return;
                };
                let times = Times {
                    expires_at,
                    leaves_at: Nanos(u64::MAX),
                };
                let entry = Entry::new(
                    received.side,
                    received.order_type,
                    received.price,
                    received.qty,
                    received.stop_loss,
                    received.target,
                );
                let number = self.make_bracket(received.instrument, now, times, entry);
                if let Some(intent) = self.intents.known.get_mut(&change.key) {
                    intent.bracket = Some(number);
                }
                self.settle(number, now);
            }
            _ => {}
        }
    }

    /// What becomes of an intent whose entry passed the risk gate or was denied.
    pub(super) fn answer_intent(&mut self, bracket: u32, answer: Result<OrderId, GateName>) {
        let Some(key) = self.intents.of_bracket(bracket).map(str::to_owned) else {
            return;
        };
        self.actions.push(match answer {
            Ok(order) => Action::Intent(key, IntentState::Sent, Some(order), None),
            Err(gate) => Action::Intent(key, IntentState::Refused, None, Some(gate)),
        });
    }

    /// Decides on intents.
    pub(super) fn consider_intents(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        match event {
            Event::IntentChanged(change) if change.state == IntentState::Pending => {
                self.plan(&change.key, view, wishes);
            }
            Event::IntentChanged(change) if change.state == IntentState::Planned => {
                self.release_next(true, view, wishes);
            }
            Event::IntentPromoted(_) | Event::TradingDay(_) => {
                self.release_next(true, view, wishes);
            }
            // Room under the caps and the end of what is replaced come with these.
            Event::TimerFired(_) | Event::OrderDecided(_) | Event::OrderDenied(_) => {
                self.release_next(false, view, wishes);
            }
            Event::ExecutionReport(report) if report.state.is_final() => {
                self.release_next(false, view, wishes);
            }
            _ => {}
        }
    }

    /// Checks an intent by itself: planned or refused.
    fn plan(&self, key: &str, view: &View<'_>, wishes: &mut Wishes) {
        let Some(intent) = self.intents.known.get(key) else {
            return;
        };
        let received = &intent.received;
        let Ok(instrument) = view.market.instrument(received.instrument) else {
            return;
        };
        let checks = self.content_checks(received, instrument, view.now);
        let mut gates = wishes.gates(intent.candidate());
        let mut failed = None;
        for check in &checks {
            if !check.passes() {
                failed = failed.or(Some(check.gate));
            }
            if !ask(&mut gates, check) {
                break;
            }
        }
        let (state, reason) = match failed {
            None => (IntentState::Planned, None),
            Some(gate) => (IntentState::Refused, Some(Cow::Borrowed(gate))),
        };
        let _ = gates.passed();
        wishes.intent(change(key, state, reason));
    }

    fn content_checks(
        &self,
        received: &IntentReceived,
        instrument: &Instrument,
        now: Nanos,
    ) -> Vec<Check> {
        let d = instrument.decimals();
        let qty = |mantissa: i64| Figure::new(mantissa.into(), d.qty.into());
        let price = |mantissa: i64| Figure::new(mantissa.into(), d.price.into());
        let rules = instrument.rules_at(now);
        let mut checks = vec![Check::at_least(
            "trading_rules",
            u8::from(rules.is_some()),
            1u8,
        )];
        let Some(rules) = rules else {
            return checks;
        };
        let lot = rules.lot_size.0.max(1);
        checks.extend([
            Check::at_least("qty", qty(received.qty.0), qty(rules.min_qty.0.max(lot))),
            Check::at_most("qty_grid", qty(received.qty.0.rem_euclid(lot)), qty(0)),
            Check::at_most("max_qty", qty(received.qty.0), self.params.max_qty),
        ]);
        let needs_price = received.order_type != OrderType::Market;
        if needs_price {
            let least = rules.min_price.0.max(1);
            checks.push(Check::at_least(
                "price",
                price(received.price.0),
                price(least),
            ));
        }
        let entry = needs_price.then_some(received.price);
        let levels = [entry, received.stop_loss, received.target];
        let off_grid = levels.into_iter().flatten();
        let off_grid = off_grid.filter(|level| !rules.is_on_grid(*level));
        checks.push(Check::at_most("price_grid", off_grid.count(), 0u8));
        // Distances that have to be there, in the direction of the trade: a market order has no level of its own.
        let sign = received.side.sign();
        let distance = |from: Option<Price>, to: Option<Price>| {
            Some((i128::from(to?.0) - i128::from(from?.0)) * i128::from(sign))
        };
        let size = |distance: i128| Figure::new(distance, d.price.into());
        let low = received.stop_loss.filter(|_| entry.is_none());
        for (gate, from, to) in [
            ("stop_loss_side", received.stop_loss, entry),
            ("target_side", entry.or(low), received.target),
        ] {
            if let Some(distance) = distance(from, to) {
                checks.push(Check::at_least(gate, size(distance), price(1)));
            }
        }
        if let Some(old) = &received.replaces {
            let old = self.intents.known.get(old);
            let is_known = old.is_some_and(|old| old.received.key != received.key);
            checks.push(Check::at_least("replaces_known", u8::from(is_known), 1u8));
            let ended =
                |old: &Intent| matches!(old.state, IntentState::Replaced | IntentState::Refused);
            checks.push(Check::at_most(
                "replaces_open",
                u8::from(old.is_some_and(ended)),
                0u8,
            ));
            let filled = received
                .replaces
                .as_deref()
                .is_some_and(|key| self.intents.has_filled(key));
            checks.push(Check::at_most(REPLACES_UNFILLED, u8::from(filled), 0u8));
        }
        checks
    }

    /// Orders of an intent that work still.
    fn entries_working(&self, key: &str) -> usize {
        let number = self
            .intents
            .known
            .get(key)
            .and_then(|intent| intent.bracket);
        if number.is_none() {
            return 0;
        }
        let of_number = self.brackets.iter().filter(|b| Some(b.number) == number);
        of_number.map(|b| b.working_entries().count()).sum()
    }

    /// Asks planned intents in the order of their arrival until one is released. The others follow when its order is on
    /// the tape, so that each sees what those before it use up.
    fn release_next(&self, wait_for_hours: bool, view: &View<'_>, wishes: &mut Wishes) {
        let mut planned: Vec<_> = self
            .intents
            .known
            .iter()
            .filter(|(_, intent)| intent.state == IntentState::Planned)
            .collect();
        planned.sort_unstable_by_key(|(_, intent)| intent.number);
        let mut waits = false;
        for (key, intent) in planned {
            match self.release(key, intent, view, wishes) {
                Release::Stopped => {}
                Release::Waits => waits = true,
                Release::Answered => break,
            }
        }
        if waits
            && wait_for_hours
            && let Some(day) = self.calendar.next_after(view.now)
        {
            wishes.timer(self.first_call(day), DAY_TOKEN);
        }
    }

    fn release(&self, key: &str, intent: &Intent, view: &View<'_>, wishes: &mut Wishes) -> Release {
        let received = &intent.received;
        let Some(symbol) = self.symbol(received.instrument) else {
            return Release::Stopped;
        };
        if let Some(old) = &received.replaces
            && self.intents.has_filled(old)
        {
            let reason = Some(Cow::Borrowed(REPLACES_UNFILLED));
            wishes.intent(change(key, IntentState::Refused, reason));
            return Release::Answered;
        }
        let mut gates = wishes.gates(intent.candidate());
        let released = self.params.auto_promote || intent.promoted;
        if !gates.holds("mode", self.params.mode == IntentMode::PaperSend)
            || !gates.holds("allow_send", self.params.allow_send)
            || !gates.holds("released", released)
        {
            return Release::Stopped;
        }
        let is_open = self.last_call(view.now).is_some_and(|last| view.now < last);
        if !gates.holds("market_hours", is_open) {
            return Release::Waits;
        }
        let replaced = received.replaces.as_deref();
        let working = replaced.map_or(0, |old| self.entries_working(old));
        if !gates.at_most("replaced_working", working, 0u8) {
            return Release::Stopped;
        }
        let Some(account) = account::gates(
            &self.params,
            (self.cash, self.peak),
            symbol,
            view,
            &mut gates,
        ) else {
            return Release::Stopped;
        };
        let reference = self.reference(received, account.instrument);
        if !gates.holds("reference_price", reference.is_some()) {
            return Release::Stopped;
        }
        let Some(reference) = reference else {
            return Release::Stopped;
        };
        let d = account.instrument.decimals();
        let value = d.notional(reference, received.qty).ok();
        let risk = received.stop_loss.map(|stop| {
            let distance = i64::try_from(reference.0.abs_diff(stop.0)).ok()?;
            d.notional(Price(distance), received.qty).ok()
        });
        let share = |pct: Decimal| {
            let units = pct.mantissa().checked_mul(account.equity.0)?;
            let scale = crate::number::pow10(pct.scale() + 2)?;
            Some(crate::number::Money(units.div_euclid(scale)))
        };
        let (Some(value), Some(position_cap), Some(loss_cap)) = (
            value,
            share(self.params.max_position_pct),
            share(self.params.max_position_loss_pct),
        ) else {
            let _ = gates.holds("value_known", false);
            return Release::Stopped;
        };
        if !gates.at_most(
            "max_qty",
            account.qty(received.qty),
            account.qty(account.qty_room),
        ) || !gates.at_most("max_gross_usd", value, account.gross_room)
            || !gates.at_most("max_position_pct", value, position_cap)
        {
            return Release::Stopped;
        }
        if let Some(risk) = risk {
            let loss = risk.unwrap_or_else(|| money(Decimal::MAX));
            if !gates.at_most("max_position_loss_pct", loss, loss_cap) {
                return Release::Stopped;
            }
        }
        account.uses(
            &self.params,
            reference,
            received.stop_loss,
            received.qty,
            &mut gates,
        );
        if !gates.passed() {
            return Release::Stopped;
        }
        wishes.intent(change(key, IntentState::Ready, None));
        Release::Answered
    }

    /// What an intent is valued at: its own price, or what a market order would hit.
    fn reference(&self, received: &IntentReceived, instrument: &Instrument) -> Option<Price> {
        match received.order_type {
            OrderType::Limit | OrderType::Stop => Some(received.price),
            OrderType::Market => {
                let top = instrument.top()?;
                let hit = match received.side {
                    Side::Buy => top.side(Side::Sell),
                    Side::Sell => top.side(Side::Buy),
                };
                hit.map(|level| level.price)
            }
        }
    }
}

/// What came of asking to release an intent.
enum Release {
    /// A gate stopped it.
    Stopped,
    /// The exchange is closed.
    Waits,
    /// Its state changes.
    Answered,
}

impl Intent {
    const fn candidate(&self) -> Candidate {
        Candidate {
            number: self.number,
            instrument: self.received.instrument,
        }
    }
}

fn change(key: &str, state: IntentState, reason: Option<GateName>) -> IntentChanged {
    IntentChanged {
        cause: Sequence(0),
        strategy: StrategyId(0),
        key: key.to_owned(),
        state,
        order: None,
        reason,
    }
}
