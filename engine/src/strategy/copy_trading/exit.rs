//! What is wanted about positions: their exits, which no brake of the entries stops, and the cancels of entries that are
//! not wanted any more.
//!
//! Exits are asked for on what comes from outside and on timers, never on the reports of our own orders: a tick can fill
//! an order and ask for an exit in one step, and a second wish in the same step would sell twice.
use super::params::PPM;
use super::sizing::floor_lot;
use super::state::{News, State, Timer, tag};
use crate::event::{Event, TradingStatus};
use crate::id::InstrumentId;
use crate::number::{Money, Price, Qty};
use crate::order::{OrderType, Side, TimeInForce};
use crate::risk::Proposal;
use crate::strategy::{Candidate, View, Wishes};

/// The number of a mirror's entry as a candidate.
pub(super) const fn entry_candidate(mirror: u32, token: InstrumentId) -> Candidate {
    Candidate {
        number: mirror.saturating_mul(2),
        instrument: token,
    }
}

/// The number of a mirror's exit as a candidate.
pub(super) const fn exit_candidate(mirror: u32, token: InstrumentId) -> Candidate {
    Candidate {
        number: mirror.saturating_mul(2).saturating_add(1),
        instrument: token,
    }
}

impl State {
    #[inline]
    pub(super) fn tend_token(&self, token: InstrumentId, view: &View<'_>, wishes: &mut Wishes) {
        for mirror in self.open_in(token) {
            self.tend(*mirror, view, wishes);
        }
    }

    #[cold]
    pub(super) fn decide_rare(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        match event {
            Event::LeaderTrade(_) | Event::TimerFired(_) => self.decide_news(view, wishes),
            Event::LeaderListed(_) => {
                for mirror in &self.open {
                    self.tend(*mirror, view, wishes);
                }
            }
            Event::OrderDecided(_) | Event::OrderDenied(_) | Event::ExecutionReport(_) => {
                self.set_timers(event, view, wishes);
            }
            Event::MarketStatus(_)
            | Event::Resolution(_)
            | Event::FeedState(_)
            | Event::TradingRules(_)
            | Event::FeeSchedule(_) => {
                if let Some(token) = event.instrument() {
                    self.tend_token(token, view, wishes);
                }
            }
            _ => {}
        }
    }

    fn decide_news(&self, view: &View<'_>, wishes: &mut Wishes) {
        match self.news_at(view.sequence) {
            News::None | News::Opened { .. } => {}
            News::Window {
                mirror,
                side,
                ends_at,
            } => {
                let timer = match side {
                    Side::Buy => Timer::Bought,
                    Side::Sell => Timer::Sold,
                };
                wishes.timer(ends_at, timer.token(mirror));
                self.tend(mirror, view, wishes);
            }
            News::Bought { mirror, group } => self.consider(mirror, &group, view, wishes),
            News::Tend { mirror } => self.tend(mirror, view, wishes),
            News::Stale { mirror, age_ms } => {
                if let Some(known) = self.mirror(mirror) {
                    let mut gates = wishes.gates(entry_candidate(mirror, known.token));
                    let _ = gates.at_most("trade_age_ms", age_ms, self.rules.max_age_ms);
                }
            }
            News::NotHeld { mirror } => {
                if let Some(known) = self.mirror(mirror) {
                    let mut gates = wishes.gates(exit_candidate(mirror, known.token));
                    let _ = gates.at_least("exit_held", known.held.0, 1);
                }
            }
            News::BeforeOurs { mirror, early_ms } => {
                if let Some(known) = self.mirror(mirror) {
                    let mut gates = wishes.gates(exit_candidate(mirror, known.token));
                    let _ = gates.at_most("exit_before_entry_ms", early_ms, 0);
                }
            }
        }
    }

    /// Timers that our own orders' frames call for; nothing else follows from them.
    fn set_timers(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        let number = match event {
            Event::OrderDecided(order) => {
                let is_entry = |number: &u32| order.tag == tag(*number, true);
                let number = self
                    .open_in(order.instrument)
                    .iter()
                    .copied()
                    .find(is_entry);
                if let Some(number) = number
                    && self.rules.entry_rest_ns > 0
                {
                    let due = view.now.after(self.rules.entry_rest_ns);
                    wishes.timer(due, Timer::Rested.token(number));
                }
                return;
            }
            Event::OrderDenied(denied) => {
                let is_exit = |number: &u32| denied.tag == tag(*number, false);
                self.open_in(denied.instrument)
                    .iter()
                    .copied()
                    .find(is_exit)
            }
            Event::ExecutionReport(report) => self.note(report.order).map(|note| note.mirror),
            _ => None,
        };
        let Some((number, mirror)) = number.and_then(|number| Some((number, self.mirror(number)?)))
        else {
            return;
        };
        if self.news_at(view.sequence) == (News::Opened { mirror: number }) {
            let due = mirror.opened_at.after(self.rules.max_hold_ns);
            wishes.timer(due, Timer::Held.token(number));
        }
        if mirror.owed.0 > 0 && mirror.exit.is_none() {
            let soon = mirror.exit_from.max(view.now);
            wishes.timer(soon, Timer::Retry.token(number));
            if mirror.exit_due() > soon {
                wishes.timer(mirror.exit_due(), Timer::Retry.token(number));
            }
        }
    }

    /// Cancels an entry that is not wanted any more, and sells what is to be sold.
    #[inline]
    pub(super) fn tend(&self, number: u32, view: &View<'_>, wishes: &mut Wishes) {
        let Some(mirror) = self.mirror(number) else {
            return;
        };
        if let Some(entry) = mirror.entry
            && self.note(entry).is_some_and(|note| note.unwanted)
        {
            wishes.cancel(entry);
        }
        if mirror.owed.0 > 0 && mirror.exit.is_none() {
            self.sell(number, view, wishes);
        }
    }

    /// One exit order: at once or not at all, no further below the best bid than the guard. What it leaves is tried again.
    fn sell(&self, number: u32, view: &View<'_>, wishes: &mut Wishes) {
        let (Some(mirror), now) = (self.mirror(number), view.now) else {
            return;
        };
        let Ok(instrument) = view.market.instrument(mirror.token) else {
            return;
        };
        let mut gates = wishes.gates(exit_candidate(number, mirror.token));
        let is_open = instrument.status == TradingStatus::Open;
        if !gates.holds("exit_market_open", is_open) {
            return;
        }
        let wait_ms = mirror.exit_due().since(now).div_ceil(1_000_000);
        if !gates.at_most("exit_retry_ms", wait_ms, 0) {
            return;
        }
        let rules = instrument.rules_at(now);
        let is_scheduled = rules.is_some() && instrument.fees_at(now).is_some();
        if !gates.holds("exit_schedule", is_scheduled) {
            return;
        }
        let bid = instrument.top().and_then(|top| top.side(Side::Buy));
        if !gates.holds("exit_bid", bid.is_some()) {
            return;
        }
        let (Some(rules), Some(bid)) = (rules, bid) else {
            return;
        };
        let qty = floor_lot(rules.lot_size, Qty(mirror.owed.0.min(mirror.held.0)));
        if !gates.at_least("exit_qty", qty.0, rules.min_qty.0.max(1)) {
            return;
        }
        let lowest = i128::from(bid.price.0) * i128::from(PPM - self.rules.exit_guard_ppm);
        let lowest = (lowest + i128::from(PPM) - 1) / i128::from(PPM);
        let lowest = Price(i64::try_from(lowest).unwrap_or(i64::MAX)).max(rules.min_price);
        // Never above the bid that it is meant for, even where that one is off the grid.
        let limit = rules.ceil_price(lowest).min(bid.price);
        let notional = instrument.decimals().notional(limit, qty);
        let notional = notional.unwrap_or(Money(i128::MAX));
        if !gates.at_least("exit_usd", notional, rules.min_notional) {
            return;
        }
        if gates.passed() {
            wishes.order(Proposal {
                instrument: mirror.token,
                side: Side::Sell,
                order_type: OrderType::Limit,
                time_in_force: TimeInForce::ImmediateOrCancel,
                price: limit,
                qty,
                tag: tag(number, false),
                hedges: None,
                one_of: None,
                protect: None,
            });
        }
    }
}
