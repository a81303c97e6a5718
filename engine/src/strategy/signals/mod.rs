//! Stocks: signals from inside bars or daily bars, and order intents from outside, traded as brackets.
//!
//! One instance runs one detector over its symbols. Whatever proposes a trade, a [`Bracket`] carries it out: entries of
//! which one cancels the other, a stop-loss and a target of which one cancels the other, and an end by the calendar.
mod account;
mod bracket;
mod calendar;
mod history;
mod indicators;
mod inside_bar;
mod intents;
mod params;
mod rudometkin;
mod sizing;
mod versions;

pub(super) use params::Params;

use super::{Candidate, Gates, Strategy, View, Wishes};
use crate::error::EngineError;
use crate::event::{
    BarClosed, Event, ExecutionReport, Feed, FeedCondition, IntentChanged, SignalRaised, Trade,
};
use crate::id::{CurrencyId, InstrumentId, OrderId, Sequence, StrategyId};
use crate::market::{Instrument, Market, is_late};
use crate::number::{Decimals, Money, Price};
use crate::order::{OneOf, OrderType, Side};
use crate::risk::Proposal;
use crate::time::{Nanos, SECOND_NS};
use bracket::{Action, Bracket, Entry, Role, Times};
use calendar::{Calendar, Day, Session};
use history::{Bar, History};
use indicators::Daily;
use inside_bar::{Check, Levels, levels};
use intents::Intents;
use params::{Data, Detector};
use serde::{Deserialize, Serialize};
use sizing::least;
use versions::InsideMode;

/// Between two tries to leave while no trading day is known.
const UNTOLD_RETRY_NS: u64 = 60 * SECOND_NS;
/// The token of the day's own timer; a bracket's is its number.
const DAY_TOKEN: u64 = DAY_NUMBER as u64;
/// The number that no bracket has.
const DAY_NUMBER: u32 = 0;
/// A symbol's candidates are numbered from its place in the parameters times this.
const CANDIDATES: u32 = 8;
/// The candidate of a symbol outside every window.
const NO_WINDOW: u32 = 7;
/// The candidate that says how far a symbol's bars can be trusted.
const FIDELITY: u32 = 6;

/// A symbol of the parameters, once it is defined.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Symbol {
    id: InstrumentId,
    decimals: Decimals,
    /// Its place in the parameters.
    place: u32,
    /// The sum of its fills.
    held: i64,
    history: History,
    daily: Daily,
    /// The last session that had a pattern, and the frame of its bar.
    pattern: Option<(Session, Sequence)>,
    /// The frame of the last bar that touched both entries of a bracket, where bars were taken apart.
    ambiguous: Option<Sequence>,
}

impl Symbol {
    const fn candidate(&self, number: u32) -> Candidate {
        Candidate {
            number: self.place * CANDIDATES + number,
            instrument: self.id,
        }
    }
}

/// State.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    params: Params,
    calendar: Calendar,
    symbols: Vec<Symbol>,
    /// By instrument: its place in `symbols`.
    places: Vec<Option<u32>>,
    currency: Option<CurrencyId>,
    brackets: Vec<Bracket>,
    last_bracket: u32,
    intents: Intents,
    /// When the day's decision is due, for `rudometkin_moc`.
    wakes_at: Option<Nanos>,
    /// The frame of the last one.
    day_begins: Option<Sequence>,
    /// What the fills brought and cost.
    cash: Money,
    /// The highest that `cash` was while nothing was held.
    peak: Money,
    /// What the last frame with consequences asks for, and that frame.
    actions: Vec<Action>,
    acted_at: Sequence,
    /// Whether any entry works: only then a halt has something to take back.
    entries_work: bool,
}

/// A bar looked at as the inside bar of a pattern.
struct Look {
    session: Option<Session>,
    checks: Vec<Check>,
    mother: Option<Bar>,
}

impl State {
    pub(super) fn new(params: &Params) -> Result<Self, String> {
        params.check()?;
        Ok(Self {
            params: params.clone(),
            calendar: Calendar::default(),
            symbols: Vec::new(),
            places: Vec::new(),
            currency: None,
            brackets: Vec::new(),
            last_bracket: 0,
            intents: Intents::default(),
            wakes_at: None,
            day_begins: None,
            cash: Money::ZERO,
            peak: Money::ZERO,
            actions: Vec::new(),
            acted_at: Sequence(0),
            entries_work: false,
        })
    }

    #[inline]
    fn place(&self, id: InstrumentId) -> Option<usize> {
        self.places
            .get(id.index())
            .copied()
            .flatten()
            .map(|place| place as usize)
    }

    #[inline]
    fn symbol(&self, id: InstrumentId) -> Option<&Symbol> {
        self.symbols.get(self.place(id)?)
    }

    #[inline]
    fn see_trade(&mut self, now: Nanos, trade: &Trade) {
        let interval_ns = self.params.interval_ns();
        let Some(place) = self.place(trade.instrument) else {
            return;
        };
        let history = &mut self.symbols[place].history;
        if is_late(trade, now, interval_ns) {
            history.late_trade(Nanos(trade.venue_time_ns), trade.price, interval_ns);
        } else {
            history.trade(now, interval_ns);
        }
    }

    /// Whether a bar is one that this instance asked for; another one's bars of the symbol come here too.
    fn watches_bar(&self, bar: &BarClosed) -> bool {
        self.params.detector == Detector::InsideBar && bar.interval_ns == self.params.interval_ns()
    }

    fn take_bar(&mut self, sequence: Sequence, now: Nanos, bar: &BarClosed) {
        let Some(place) = self.place(bar.instrument) else {
            return;
        };
        self.symbols[place].history.take(now, bar, &self.calendar);
        if self.params.data == Data::Bars && self.touches_both(now, bar) {
            self.symbols[place].ambiguous = Some(sequence);
        }
        let look = self.look(&self.symbols[place], sequence, now);
        if let Some(session) = look.session
            && look.checks.iter().all(Check::passes)
        {
            self.symbols[place].pattern = Some((session, sequence));
        }
    }

    /// Whether a bar reached both entries of a bracket that worked when it began.
    fn touches_both(&self, now: Nanos, bar: &BarClosed) -> bool {
        let began = Nanos(now.0.saturating_sub(bar.interval_ns));
        let touched = |bracket: &Bracket| {
            let within = bracket.made_at <= began && began < bracket.times.expires_at;
            let price = |side| bracket.entry(side).map(|entry| entry.price);
            within
                && price(Side::Buy).is_some_and(|price| bar.high >= price)
                && price(Side::Sell).is_some_and(|price| bar.low <= price)
        };
        let mut of_symbol = self
            .brackets
            .iter()
            .filter(|b| b.instrument == bar.instrument);
        of_symbol.any(touched)
    }

    /// Looks at the bar that closed last as an inside bar. Depends on the state alone, so that folding the bar and
    /// deciding on it see the same.
    fn look(&self, symbol: &Symbol, sequence: Sequence, now: Nanos) -> Look {
        let mut look = Look {
            session: None,
            checks: Vec::new(),
            mother: None,
        };
        let Ok(version) = self.params.pinned() else {
            return look;
        };
        let began = Nanos(now.0.saturating_sub(self.params.interval_ns()));
        let checks = &mut look.checks;
        let is_day = self.calendar.open_at(began).is_some();
        checks.push(Check::at_least("trading_day", u8::from(is_day), 1u8));
        look.session = self.calendar.session(version.windows, began);
        checks.push(Check::at_least(
            "session",
            u8::from(look.session.is_some()),
            1u8,
        ));
        let Some(session) = look.session else {
            return look;
        };
        let earlier = symbol
            .pattern
            .is_some_and(|(of, at)| of == session && at != sequence);
        let history = &symbol.history;
        let bars = version.look_back_bars;
        checks.extend([
            Check::at_most("first_pattern", u8::from(earlier), 0u8),
            Check::at_least("warm_up_bars", history.seen, version.warm_up_bars),
            Check::at_most("missing_bars", history.missing(bars), 0u8),
            Check::at_most(
                "missing_minutes",
                history.minutes_missing(bars),
                self.params.max_missing_minutes,
            ),
            Check::at_most("broken_feed", history.broken(bars), 0u8),
        ]);
        let left = self
            .times(now)
            .map_or(0, |times| times.expires_at.since(now) / 1_000_000);
        checks.push(Check::at_least("session_left_ms", left, 1u8));
        let mother = history
            .back(1)
            .filter(|bar| bar.starts_at >= session.starts_at);
        checks.push(Check::at_least("mother", u8::from(mother.is_some()), 1u8));
        let (Some(mother), Some(inside)) = (mother, history.last()) else {
            return look;
        };
        checks.push(Check::at_most(
            "late_trades",
            mother.late,
            self.params.max_late_trades,
        ));
        let decimals = symbol.decimals.price.into();
        checks.extend(inside_bar::checks(
            &version, history, mother, inside, decimals,
        ));
        look.mother = Some(*mother);
        look
    }

    /// When a trade that a bar closing now proposes ends: entries with the pattern's age, all with the session.
    fn times(&self, now: Nanos) -> Option<Times> {
        let version = self.params.pinned().ok()?;
        let interval_ns = self.params.interval_ns();
        let began = Nanos(now.0.saturating_sub(interval_ns));
        let session = self.calendar.session(version.windows, began)?;
        let leaves_at = session.ends_at.min(self.last_call(began)?);
        let expires_at = now.after(version.max_age_bars.saturating_mul(interval_ns));
        Some(Times {
            expires_at: expires_at.min(leaves_at),
            leaves_at,
        })
    }

    /// The last moment of a trading day at which orders are sent: a while before the close, so that they arrive.
    fn last_call(&self, at: Nanos) -> Option<Nanos> {
        let closes_at = self.calendar.open_at(at)?.closes_at;
        let lead_ns = self.params.close_lead_ms.saturating_mul(1_000_000);
        Some(Nanos(closes_at.0.saturating_sub(lead_ns)))
    }

    /// The first moment of a trading day at which orders are sent: a while after the opening, when there are quotes.
    const fn first_call(&self, day: &Day) -> Nanos {
        day.opens_at
            .after(self.params.open_delay_ms.saturating_mul(1_000_000))
    }

    /// When to try again to leave: after the pause, or when the exchange opens again.
    fn retry_at(&self, now: Nanos) -> Nanos {
        let soon = now.after(self.params.exit_retry_ms.saturating_mul(1_000_000));
        match (self.calendar.open_at(now), self.calendar.next_after(now)) {
            (Some(_), _) => soon,
            (None, Some(day)) => day.opens_at.max(soon),
            // Nobody has told of the next day yet.
            (None, None) => now.after(UNTOLD_RETRY_NS).max(soon),
        }
    }

    /// The detector's name as it stands on signals.
    fn detector(&self) -> String {
        let mut name = format!("inside_bar {}", self.params.version);
        if let Some(mode) = self.params.inside_mode {
            name.push_str(match mode {
                InsideMode::CloseInRange => " close_in_range",
                InsideMode::RangeInBody => " range_in_body",
                InsideMode::BodyInBody => " body_in_body",
                InsideMode::RangeInRange => " range_in_range",
            });
        }
        if self.params.data == Data::Bars {
            name.push_str(" by bars");
        }
        name
    }

    /// Makes a bracket of a signal, or gives a pair's second signal to the bracket of its first.
    fn take_signal(&mut self, now: Nanos, signal: &SignalRaised) {
        let level = |price: Price| (price.0 > 0).then_some(price);
        let order_type = match self.params.detector {
            Detector::InsideBar => OrderType::Stop,
            Detector::RudometkinMoc | Detector::Intents => OrderType::Limit,
        };
        let entry = Entry::new(
            signal.side,
            order_type,
            signal.entry,
            signal.qty,
            level(signal.stop_loss),
            level(signal.target),
        );
        let is_pair = |bracket: &&mut Bracket| {
            bracket.instrument == signal.instrument
                && bracket.made_at == now
                && order_type == OrderType::Stop
                && bracket.entry(signal.side).is_none()
        };
        let number = match self.brackets.iter_mut().find(is_pair) {
            Some(bracket) => {
                bracket.add_entry(entry);
                bracket.number
            }
            None => {
                let times = match self.params.detector {
                    Detector::InsideBar => self.times(now),
                    Detector::RudometkinMoc | Detector::Intents => {
                        self.last_call(now).map(|end| Times {
                            expires_at: end,
                            leaves_at: end,
                        })
                    }
                };
                let Some(times) = times else {
                    return;
                };
                self.make_bracket(signal.instrument, now, times, entry)
            }
        };
        self.settle(number, now);
    }

    /// Asks for the timer of the next day that has none.
    fn wake_next_day(&mut self, now: Nanos) {
        let next = self.calendar.next_after(now);
        if let Some(at) = next.map(|day| self.first_call(day))
            && self.wakes_at.is_none_or(|known| known <= now || at < known)
        {
            self.wakes_at = Some(at);
            self.actions.push(Action::Timer(at, DAY_NUMBER));
        }
    }

    fn make_bracket(
        &mut self,
        instrument: InstrumentId,
        now: Nanos,
        times: Times,
        entry: Entry,
    ) -> u32 {
        self.last_bracket += 1;
        let number = self.last_bracket;
        let mut bracket = Bracket::new(number, instrument, now, times, &mut self.actions);
        bracket.add_entry(entry);
        self.brackets.push(bracket);
        number
    }

    fn settle(&mut self, number: u32, now: Nanos) {
        let mut of_number = self.brackets.iter_mut().filter(|b| b.number == number);
        if let Some(bracket) = of_number.next() {
            bracket.settle(now, &mut self.actions);
        }
    }

    fn with_bracket(
        &mut self,
        number: u32,
        now: Nanos,
        change: impl FnOnce(&mut Bracket, &mut Vec<Action>),
    ) {
        if let Some(bracket) = self.brackets.iter_mut().find(|b| b.number == number) {
            change(bracket, &mut self.actions);
            bracket.settle(now, &mut self.actions);
        }
    }

    fn take_report(
        &mut self,
        now: Nanos,
        report: &ExecutionReport,
        market: &Market,
    ) -> Result<(), EngineError> {
        let Some(bracket) = self.brackets.iter().find(|b| b.has(report.order)) else {
            return Ok(());
        };
        let (number, side) = (bracket.number, bracket.side_of(report.order));
        if let (Some(fill), Some(side)) = (&report.fill, side) {
            let decimals = market.instrument(report.instrument)?.decimals();
            let notional = decimals.notional(fill.price, fill.qty)?;
            let flow = Money(-i128::from(side.sign()) * notional.0);
            self.cash = self.cash.add(flow)?.sub(fill.fee)?;
            if let Some(place) = self.place(report.instrument) {
                let held = &mut self.symbols[place].held;
                *held = held.saturating_add(side.sign().saturating_mul(fill.qty.0));
            }
        }
        let retry_at = self.retry_at(now);
        self.with_bracket(number, now, |bracket, out| {
            bracket.reported(retry_at, report, out)
        });
        if report.fill.is_some() {
            self.intents.filled(number);
        }
        if self.is_flat() {
            self.peak = self.peak.max(self.cash);
        }
        Ok(())
    }

    /// Whether the fills of every symbol add up to nothing.
    fn is_flat(&self) -> bool {
        self.symbols.iter().all(|symbol| symbol.held == 0)
    }

    /// Folds what is neither a tick nor a bar.
    #[cold]
    fn evolve_rare(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        self.acted_at = sequence;
        match event {
            Event::BarClosed(bar) if self.watches_bar(bar) => {
                self.take_bar(sequence, now, bar);
            }
            Event::FeedState(state)
                if state.feed == Feed::Trades
                    && matches!(state.condition, FeedCondition::Stale(_)) =>
            {
                if let Some(place) = self.place(state.instrument) {
                    self.symbols[place].history.feed_broke();
                }
            }
            Event::TradingDay(day) if day.calendar == self.params.calendar => {
                self.calendar.take(day, now);
                self.brackets.retain(|bracket| !bracket.is_done());
                if self.params.detector == Detector::RudometkinMoc {
                    self.wake_next_day(now);
                }
            }
            Event::DailyBar(bar) if self.params.detector == Detector::RudometkinMoc => {
                if let Some(place) = self.place(bar.instrument) {
                    self.symbols[place].daily.take(bar);
                }
            }
            Event::SignalRaised(signal) => self.take_signal(now, signal),
            Event::OrderDecided(decided) => {
                if let Some((number, role)) = Role::of_tag(decided.tag) {
                    let id = OrderId(sequence.0);
                    let (order, protected) =
                        ((decided.side, decided.qty), decided.protect.is_some());
                    self.with_bracket(number, now, |bracket, _| {
                        bracket.decided(id, role, order, protected);
                    });
                    if role.is_entry() {
                        self.answer_intent(number, Ok(id));
                    }
                }
            }
            Event::OrderDenied(denied) => {
                if let Some((number, role)) = Role::of_tag(denied.tag) {
                    let retry_at = self.retry_at(now);
                    self.with_bracket(number, now, |bracket, out| {
                        bracket.denied(retry_at, role, out);
                    });
                    if role.is_entry() {
                        self.answer_intent(number, Err(denied.gate.name().into()));
                    }
                }
            }
            Event::IntentReceived(received) if self.params.detector == Detector::Intents => {
                self.intents.receive(received, &mut self.actions);
            }
            Event::IntentPromoted(promoted) => self.intents.promote(&promoted.key),
            Event::IntentChanged(change) => self.take_intent_change(now, change),
            Event::CancelDecided(cancel) => {
                for bracket in &mut self.brackets {
                    bracket.cancel_decided(cancel.order);
                }
            }
            Event::ExecutionReport(report) => self.take_report(now, report, market)?,
            Event::TimerFired(fired) => {
                if let Ok(number) = u32::try_from(fired.token) {
                    self.settle(number, now);
                }
                if fired.token == DAY_TOKEN && self.params.detector == Detector::RudometkinMoc {
                    // Timers of days that were told again differently fire too, at a time that is no day's.
                    self.day_begins = (self.wakes_at == Some(now)).then_some(sequence);
                    self.wake_next_day(now);
                }
            }
            Event::DayRolled(_) => self.brackets.retain(|bracket| !bracket.is_done()),
            _ => {}
        }
        self.entries_work = self
            .brackets
            .iter()
            .any(|bracket| bracket.working_entries().next().is_some());
        Ok(())
    }

    /// Asks for what the last frame led to.
    fn act(&self, wishes: &mut Wishes) {
        for action in &self.actions {
            match action {
                Action::Order {
                    instrument,
                    side,
                    order_type,
                    time_in_force,
                    price,
                    qty,
                    tag,
                    protect,
                } => wishes.order(Proposal {
                    instrument: *instrument,
                    side: *side,
                    order_type: *order_type,
                    time_in_force: *time_in_force,
                    price: *price,
                    qty: *qty,
                    tag: *tag,
                    hedges: None,
                    // Every order of a bracket but a fill's own side is one of several of which one is meant to fill.
                    one_of: Role::of_tag(*tag).map(|(bracket, role)| OneOf {
                        group: bracket.into(),
                        alternative: role as u8,
                    }),
                    protect: *protect,
                }),
                Action::Cancel(order) => wishes.cancel(*order),
                Action::Timer(due, number) => wishes.timer(*due, (*number).into()),
                Action::Alarm(instrument, alarm, qty) => {
                    let decimals = self.symbol(*instrument).map_or(0, |s| s.decimals.qty);
                    let qty = super::Figure::new(qty.0.into(), decimals.into());
                    wishes.alarm(*instrument, *alarm, qty);
                }
                Action::Intent(key, state, order, reason) => wishes.intent(IntentChanged {
                    cause: Sequence(0),
                    strategy: StrategyId(0),
                    key: key.clone(),
                    state: *state,
                    order: *order,
                    reason: reason.clone(),
                }),
            }
        }
    }

    /// A halt takes new risk back: entries are cancelled, stop-losses and targets stay.
    fn take_back(&self, wishes: &mut Wishes) {
        for bracket in &self.brackets {
            bracket.working_entries().for_each(|id| wishes.cancel(id));
        }
    }

    /// Decides on a closed bar.
    fn consider(&self, symbol: &Symbol, view: &View<'_>, wishes: &mut Wishes) {
        if self.params.data == Data::Bars {
            let ambiguous = u8::from(symbol.ambiguous == Some(view.sequence));
            let mut gates = wishes.gates(symbol.candidate(FIDELITY));
            let _ = gates.at_most("ambiguous_bar", ambiguous, 0u8) && gates.passed();
        }
        let look = self.look(symbol, view.sequence, view.now);
        let window = look.session.map_or(NO_WINDOW, |session| session.window);
        let mut gates = wishes.gates(symbol.candidate(window));
        if !look.checks.iter().all(|check| ask(&mut gates, check)) {
            return;
        }
        let (Some(mother), Ok(version)) = (look.mother, self.params.pinned()) else {
            return;
        };
        let open = self.brackets.iter();
        let open = open.filter(|b| b.instrument == symbol.id && !b.is_done());
        if !gates.at_most("open_brackets", open.count(), 0u8)
            || !gates.at_most("held", view.position(symbol.id).0.unsigned_abs(), 0u8)
        {
            return;
        }
        let Some(account) = account::gates(
            &self.params,
            (self.cash, self.peak),
            symbol,
            view,
            &mut gates,
        ) else {
            return;
        };
        let tick = account.rules.tick_at(Price(mother.high)).0;
        let side = |side| levels(&version, side, mother.high, mother.low, tick);
        let (buy, sell) = (side(Side::Buy), side(Side::Sell));
        if !gates.holds("levels", buy.is_some() && sell.is_some()) {
            return;
        }
        let (Some(buy), Some(sell)) = (buy, sell) else {
            return;
        };
        let allowed =
            |levels: &Levels| account.allowed(&self.params, levels.entry, Some(levels.stop_loss));
        let (buys, sells) = (allowed(&buy), allowed(&sell));
        let least_order = account.qty(account.least_order());
        for ((name, buy), (_, sell)) in buys.iter().zip(&sells) {
            if !gates.at_least(name, account.qty(*buy.min(sell)), least_order) {
                return;
            }
        }
        for (levels, allowed) in [(&buy, &buys), (&sell, &sells)] {
            let (entry, stop) = (levels.entry, Some(levels.stop_loss));
            account.uses(&self.params, entry, stop, least(allowed), &mut gates);
        }
        if !gates.passed() {
            return;
        }
        for (side, levels, allowed) in [(Side::Buy, buy, buys), (Side::Sell, sell, sells)] {
            wishes.signal(SignalRaised {
                cause: view.sequence,
                strategy: StrategyId(0),
                instrument: symbol.id,
                detector: self.detector(),
                side,
                entry: levels.entry,
                stop_loss: levels.stop_loss,
                target: levels.target,
                qty: least(&allowed),
            });
        }
    }
}

/// Asks one check's gate; returns whether to go on.
fn ask(gates: &mut Gates<'_>, check: &Check) -> bool {
    if check.at_least {
        gates.at_least(check.gate, check.value, check.limit)
    } else {
        gates.at_most(check.gate, check.value, check.limit)
    }
}

impl Strategy for State {
    fn bind(&mut self, instrument: &Instrument) -> Result<bool, String> {
        let named = |symbol: &String| *symbol == instrument.name;
        let place = self.params.symbols.iter().position(named);
        self.places.push(place.map(|_| self.symbols.len() as u32));
        let Some(place) = place else {
            return Ok(false);
        };
        let currency = *self.currency.get_or_insert(instrument.quote_currency);
        if currency != instrument.quote_currency {
            return Err(format!(
                "symbols must all be paid in one currency, found {} paid in {}",
                instrument.name, instrument.definition.quote
            ));
        }
        let version = self.params.pinned()?;
        self.symbols.push(Symbol {
            id: instrument.id(),
            decimals: instrument.decimals(),
            place: place as u32,
            held: 0,
            // One more than is averaged, for the close before, and one for the inside bar.
            history: History::new(version.look_back_bars.max(version.atr_bars + 2)),
            daily: Daily::new(),
            pattern: None,
            ambiguous: None,
        });
        Ok(true)
    }

    #[inline]
    fn evolve(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        self.actions.clear();
        match event {
            Event::Quote(_) | Event::BookDelta(_) | Event::BookSnapshot(_) => Ok(()),
            Event::Trade(trade) => {
                if trade.is_sane() && self.params.detector == Detector::InsideBar {
                    self.see_trade(now, trade);
                }
                Ok(())
            }
            rare => self.evolve_rare(sequence, now, rare, market),
        }
    }

    #[inline(never)]
    fn decide(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        if self.entries_work && view.is_halted() {
            self.take_back(wishes);
        }
        match event {
            Event::Quote(_) | Event::Trade(_) | Event::BookDelta(_) | Event::BookSnapshot(_) => {
                return;
            }
            Event::BarClosed(bar) if self.watches_bar(bar) => {
                if let Some(symbol) = self.symbol(bar.instrument) {
                    self.consider(symbol, view, wishes);
                }
            }
            Event::TimerFired(_) if self.day_begins == Some(view.sequence) => {
                if let Some(day) = self.calendar.open_at(view.now) {
                    self.consider_day(day, view, wishes);
                }
            }
            other => {
                if self.params.detector == Detector::Intents {
                    self.consider_intents(other, view, wishes);
                }
            }
        }
        if self.acted_at == view.sequence {
            self.act(wishes);
        }
    }
}
