//! The state, and how events change it. Nothing is wanted here: see [`super::entry`] and [`super::exit`].
use super::brakes::Brakes;
use super::leaders::Leaders;
use super::mirror::{ExitEnded, Group, Mirror, Reason, Sum};
use super::params::{PPM, Params, Rules};
use super::seen::{Row, Seen};
use crate::error::EngineError;
use crate::event::{
    ContractTerms, Event, ExecutionReport, InstrumentType, LeaderPortfolio, LeaderTrade,
    OrderDecided, OrderDenied, TradingStatus,
};
use crate::id::{CurrencyId, InstrumentId, OrderId, Sequence};
use crate::market::{Instrument, Market};
use crate::number::{Decimals, Price, Qty};
use crate::order::{OrderState, Side};
use crate::strategy::{Strategy, View, Wishes};
use crate::time::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Orders that ended are remembered for late fills; as many as the desk remembers.
const REMEMBERED_ORDERS: usize = 1_024;

/// One token of the venue.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Token {
    /// Tokens of one event are one market.
    pub(super) event: Option<String>,
    /// When it is expected to pay.
    pub(super) settles_at: Option<Nanos>,
    /// Leader and mirror, for every leader who ever traded it.
    mirrors: Vec<(u32, u32)>,
    /// Mirrors that hold something or may soon.
    open: Vec<u32>,
}

/// One of our orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) mirror: u32,
    pub(super) is_entry: bool,
    pub(super) limit: Price,
    pub(super) left: Qty,
    pub(super) decimals: Decimals,
    decided_at: Nanos,
    /// How much of a fill of an entry is kept, in millionths.
    keep_ppm: i64,
    /// An entry that is to be cancelled.
    pub(super) unwanted: bool,
    is_filled: bool,
    ended: bool,
}

/// What the last event meant, for `decide` of the same frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum News {
    /// Nothing.
    None,
    /// A window began.
    Window {
        mirror: u32,
        side: Side,
        ends_at: Nanos,
    },
    /// A buy came too late.
    Stale { mirror: u32, age_ms: u64 },
    /// The leader sold what we do not hold.
    NotHeld { mirror: u32 },
    /// A sell from before the buy that we followed.
    BeforeOurs { mirror: u32, early_ms: u64 },
    /// A window of buys ended.
    Bought { mirror: u32, group: Group },
    /// A window of sells ended, or a timer of an open position came.
    Tend { mirror: u32 },
    /// The first fill of a position.
    Opened { mirror: u32 },
}

/// What a timer is for; its token is the mirror and this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The end of a window of buys.
    Bought,
    /// The end of a window of sells.
    Sold,
    /// An entry has rested long enough.
    Rested,
    /// A position is held long enough.
    Held,
    /// An exit may be tried again.
    Retry,
}

impl Timer {
    const ALL: [Timer; 5] = [
        Timer::Bought,
        Timer::Sold,
        Timer::Rested,
        Timer::Held,
        Timer::Retry,
    ];

    pub(super) const fn token(self, mirror: u32) -> u64 {
        (mirror as u64) << 8 | self as u64
    }

    fn read(token: u64) -> Option<(Timer, u32)> {
        let timer = *Self::ALL.get((token & 0xFF) as usize)?;
        Some((timer, u32::try_from(token >> 8).ok()?))
    }
}

/// An order's tag: its mirror and whether it is an entry. Never 0.
pub(super) const fn tag(mirror: u32, is_entry: bool) -> u64 {
    (mirror as u64 + 1) << 1 | is_entry as u64
}

fn read_tag(tag: u64) -> Option<(u32, bool)> {
    let mirror = (tag >> 1).checked_sub(1)?;
    Some((u32::try_from(mirror).ok()?, tag & 1 == 1))
}

/// State.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    pub(super) rules: Rules,
    /// The one currency that copies are paid in: that of the venue's first contract.
    pub(super) currency: Option<CurrencyId>,
    /// By instrument; none where it is not the venue's.
    tokens: Vec<Option<Token>>,
    pub(super) leaders: Leaders,
    mirrors: Vec<Mirror>,
    /// Mirrors that hold something or may soon.
    pub(super) open: Vec<u32>,
    pub(super) seen: Seen,
    notes: BTreeMap<OrderId, Note>,
    pub(super) brakes: Brakes,
    news: (Sequence, News),
}

impl State {
    pub(in crate::strategy) fn new(params: &Params) -> Result<Self, String> {
        Ok(Self {
            rules: params.rules()?,
            currency: None,
            tokens: Vec::new(),
            leaders: Leaders::default(),
            mirrors: Vec::new(),
            open: Vec::new(),
            seen: Seen::default(),
            notes: BTreeMap::new(),
            brakes: Brakes::default(),
            news: (Sequence(0), News::None),
        })
    }

    #[inline]
    pub(super) fn token(&self, id: InstrumentId) -> Option<&Token> {
        self.tokens.get(id.index())?.as_ref()
    }

    pub(super) fn mirror(&self, number: u32) -> Option<&Mirror> {
        self.mirrors.get(number as usize)
    }

    pub(super) fn note(&self, order: OrderId) -> Option<&Note> {
        self.notes.get(&order)
    }

    /// The mirrors of a token that hold something or may soon.
    #[inline]
    pub(super) fn open_in(&self, token: InstrumentId) -> &[u32] {
        self.token(token).map_or(&[], |token| &token.open)
    }

    /// What the event of this frame meant.
    pub(super) fn news_at(&self, sequence: Sequence) -> News {
        if self.news.0 == sequence {
            self.news.1
        } else {
            News::None
        }
    }

    /// The bid may have reached a stop or a target.
    #[inline]
    fn watch(&mut self, token: InstrumentId, market: &Market) {
        let Some(Some(watched)) = self.tokens.get(token.index()) else {
            return;
        };
        if watched.open.is_empty() {
            return;
        }
        let top = market.instrument(token).ok().and_then(Instrument::top);
        let Some(bid) = top.and_then(|top| top.side(Side::Buy)) else {
            return;
        };
        for number in &watched.open {
            let Some(mirror) = self.mirrors.get_mut(*number as usize) else {
                continue;
            };
            mirror.exit_missed_until = Nanos(0);
            if let Some(reason) = mirror.trigger(bid.price) {
                leave(mirror, &mut self.notes, reason);
            }
        }
    }

    fn mirror_of(&mut self, leader: u32, token: InstrumentId) -> Option<u32> {
        let known = self.tokens.get_mut(token.index())?.as_mut()?;
        if let Some((_, number)) = known.mirrors.iter().find(|(of, _)| *of == leader) {
            return Some(*number);
        }
        let number = u32::try_from(self.mirrors.len()).ok()?;
        known.mirrors.push((leader, number));
        self.mirrors.push(Mirror::new(leader, token));
        Some(number)
    }

    fn leader_traded(&mut self, now: Nanos, row: &LeaderTrade) -> News {
        if self.token(row.instrument).is_none() {
            return News::None;
        }
        let leader = self.leaders.number(&row.wallet);
        let Some(number) = self.mirror_of(leader, row.instrument) else {
            return News::None;
        };
        let keep_ns = self.rules.remember_ns;
        let Row::Adds(sum) = self.seen.take(number, now, keep_ns, row) else {
            return News::None;
        };
        let (Some(leader), Some(mirror)) = (
            self.leaders.get_mut(leader),
            self.mirrors.get_mut(number as usize),
        ) else {
            return News::None;
        };
        // A snapshot that is as late as the trade has it already.
        let is_known = leader.knows(row.traded_at);
        let held = leader.held(row.instrument);
        if !is_known {
            leader.traded(row.instrument, row.side.sign() * sum.qty);
        }
        let age_ms = now.since(row.traded_at) / 1_000_000;
        let slot = match row.side {
            Side::Buy if age_ms > self.rules.max_age_ms => {
                return News::Stale {
                    mirror: number,
                    age_ms,
                };
            }
            Side::Buy => &mut mirror.buying,
            Side::Sell if !mirror.is_open() => return News::NotHeld { mirror: number },
            Side::Sell if row.traded_at < mirror.followed_from => {
                let early_ms = mirror.followed_from.since(row.traded_at) / 1_000_000;
                return News::BeforeOurs {
                    mirror: number,
                    early_ms,
                };
            }
            Side::Sell => &mut mirror.selling,
        };
        let begins = slot.is_none();
        let group = slot.get_or_insert(Group {
            sum: Sum::default(),
            oldest: row.traded_at,
            ends_at: now.after(self.rules.window_ns),
            held_before: held,
        });
        group.sum.add(sum);
        group.oldest = group.oldest.min(row.traded_at);
        if is_known && row.side == Side::Sell {
            group.held_before = group.held_before.saturating_add(sum.qty);
        }
        let ends_at = group.ends_at;
        if row.side == Side::Sell {
            unwant(&mut self.notes, mirror.entry, PPM);
        }
        if begins {
            News::Window {
                mirror: number,
                side: row.side,
                ends_at,
            }
        } else {
            News::Tend { mirror: number }
        }
    }

    /// A snapshot replaces the holdings; what was traded after it was taken is added again.
    fn portfolio(&mut self, told: &LeaderPortfolio) {
        let number = self.leaders.number(&told.wallet);
        let Some(leader) = self.leaders.get_mut(number) else {
            return;
        };
        if !leader.take_portfolio(told) {
            return;
        }
        let after = Nanos(told.taken_at.0.saturating_add(1));
        for (place, mirror) in self.mirrors.iter().enumerate() {
            if mirror.leader == number {
                let since = |side| self.seen.since(place as u32, side, after);
                let change = since(Side::Buy).saturating_sub(since(Side::Sell));
                leader.traded(mirror.token, change);
            }
        }
    }

    fn terms(&mut self, terms: &ContractTerms) {
        if let Some(Some(token)) = self.tokens.get_mut(terms.instrument.index()) {
            token.event = (!terms.event.is_empty()).then(|| terms.event.clone());
            token.settles_at = Some(terms.settles_at);
        }
    }

    fn timer_fired(&mut self, now: Nanos, token: u64, market: &Market) -> News {
        let Some((timer, number)) = Timer::read(token) else {
            return News::None;
        };
        let Some(mirror) = self.mirrors.get_mut(number as usize) else {
            return News::None;
        };
        match timer {
            Timer::Bought => {
                let Some(group) = mirror.buying.take() else {
                    return News::None;
                };
                mirror.signal_at = group.oldest;
                return News::Bought {
                    mirror: number,
                    group,
                };
            }
            Timer::Sold => {
                let Some(group) = mirror.selling.take() else {
                    return News::None;
                };
                let instrument = market.instrument(mirror.token).ok();
                let rules = instrument.and_then(|instrument| instrument.rules_at(now));
                let lot = rules.map_or(Qty(1), |rules| rules.lot_size);
                let keep = mirror.leader_sold(group.sum.qty, group.held_before, lot);
                unwant(&mut self.notes, mirror.entry, keep);
            }
            Timer::Rested => {
                let rested = |note: &&Note| now >= note.decided_at.after(self.rules.entry_rest_ns);
                let entry = mirror
                    .entry
                    .filter(|id| self.notes.get(id).as_ref().is_some_and(rested));
                unwant(&mut self.notes, entry, PPM);
            }
            Timer::Held => {
                if mirror.held.0 > 0 && now >= mirror.opened_at.after(self.rules.max_hold_ns) {
                    leave(mirror, &mut self.notes, Reason::Age);
                }
            }
            Timer::Retry => {}
        }
        News::Tend { mirror: number }
    }

    fn decided(
        &mut self,
        id: OrderId,
        now: Nanos,
        order: &OrderDecided,
        market: &Market,
    ) -> Result<(), EngineError> {
        let Some((number, is_entry)) = read_tag(order.tag) else {
            return Ok(());
        };
        let decimals = market.instrument(order.instrument)?.decimals();
        let Some(mirror) = self.mirrors.get_mut(number as usize) else {
            return Ok(());
        };
        if is_entry {
            if !mirror.is_open() {
                mirror.followed_from = mirror.signal_at;
            }
            mirror.entry = Some(id);
            self.brakes.copied(&self.rules, now);
            if let Some(leader) = self.leaders.get_mut(mirror.leader) {
                leader.copied_at = Some(now);
            }
        } else {
            mirror.exit = Some(id);
        }
        if self.notes.len() >= REMEMBERED_ORDERS {
            let ended = self.notes.iter().find(|(_, note)| note.ended);
            if let Some(oldest) = ended.map(|(id, _)| *id) {
                self.notes.remove(&oldest);
            }
        }
        self.notes.insert(
            id,
            Note {
                mirror: number,
                is_entry,
                limit: order.price,
                left: order.qty,
                decimals,
                decided_at: now,
                keep_ppm: PPM,
                unwanted: false,
                is_filled: false,
                ended: false,
            },
        );
        self.list_open(number);
        Ok(())
    }

    fn denied(&mut self, now: Nanos, denied: &OrderDenied) {
        let Some((number, is_entry)) = read_tag(denied.tag) else {
            return;
        };
        if is_entry {
            self.brakes.ended(&self.rules, now, true);
        } else if let Some(mirror) = self.mirrors.get_mut(number as usize) {
            mirror.exit_ended(self.rules.exit_retry_ns, now, ExitEnded::Refused);
        }
    }

    fn reported(
        &mut self,
        now: Nanos,
        report: &ExecutionReport,
        market: &Market,
    ) -> Result<News, EngineError> {
        let Some(note) = self.notes.get_mut(&report.order) else {
            return Ok(News::None);
        };
        let number = note.mirror;
        let Some(mirror) = self.mirrors.get_mut(number as usize) else {
            return Ok(News::None);
        };
        let mut news = News::Tend { mirror: number };
        if let Some(fill) = &report.fill {
            note.left = Qty((note.left.0 - fill.qty.0).max(0));
            note.is_filled = true;
            if note.is_entry {
                let d = note.decimals;
                if mirror.bought(&self.rules, d, now, fill.price, fill.qty, note.keep_ppm)? {
                    news = News::Opened { mirror: number };
                }
            } else {
                mirror.sold(fill.qty);
            }
        }
        if report.state.is_final() && !note.ended {
            note.ended = true;
            if note.is_entry {
                mirror.entry = None;
                // What we cancelled ourselves says nothing about the venue.
                if note.is_filled || report.state != OrderState::Cancelled {
                    self.brakes.ended(&self.rules, now, !note.is_filled);
                }
            } else {
                mirror.exit = None;
                let ended = match report.state {
                    OrderState::Filled => ExitEnded::Filled,
                    OrderState::Rejected => ExitEnded::Refused,
                    _ if note.is_filled => ExitEnded::InPart,
                    _ => ExitEnded::Missed,
                };
                mirror.exit_ended(self.rules.exit_retry_ns, now, ended);
            }
        }
        // A fill after the market was resolved is paid at once, and nothing of it can be sold.
        if market.instrument(report.instrument)?.settled_at.is_some() {
            mirror.flat();
        }
        self.list_open(number);
        Ok(news)
    }

    /// A market that takes no orders: what rests is to be cancelled, and what was resolved is paid out.
    fn closed(&mut self, token: InstrumentId, is_resolved: bool) {
        let Some(Some(known)) = self.tokens.get(token.index()) else {
            return;
        };
        let open = known.open.clone();
        for number in open {
            if let Some(mirror) = self.mirrors.get_mut(number as usize) {
                unwant(&mut self.notes, mirror.entry, PPM);
                if is_resolved {
                    mirror.flat();
                }
            }
            self.list_open(number);
        }
    }

    fn unlisted(&mut self, leader: u32) {
        for number in &self.open {
            if let Some(mirror) = self.mirrors.get(*number as usize)
                && mirror.leader == leader
            {
                unwant(&mut self.notes, mirror.entry, PPM);
            }
        }
    }

    fn list_open(&mut self, number: u32) {
        let Some(mirror) = self.mirrors.get(number as usize) else {
            return;
        };
        let is_open = mirror.is_open();
        let set = |list: &mut Vec<u32>| match (list.binary_search(&number), is_open) {
            (Err(place), true) => list.insert(place, number),
            (Ok(place), false) => {
                list.remove(place);
            }
            _ => {}
        };
        set(&mut self.open);
        if let Some(Some(token)) = self.tokens.get_mut(mirror.token.index()) {
            set(&mut token.open);
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
        let news = match event {
            Event::LeaderTrade(row) => self.leader_traded(now, row),
            Event::LeaderPortfolio(told) => {
                self.portfolio(told);
                News::None
            }
            Event::LeaderListed(listed) => {
                let leader = self.leaders.list(listed);
                if !listed.active {
                    self.unlisted(leader);
                }
                News::None
            }
            Event::ContractTerms(terms) => {
                self.terms(terms);
                News::None
            }
            Event::TimerFired(fired) => self.timer_fired(now, fired.token, market),
            Event::OrderDecided(order) => {
                self.decided(OrderId(sequence.0), now, order, market)?;
                News::None
            }
            Event::OrderDenied(denied) => {
                self.denied(now, denied);
                News::None
            }
            Event::ExecutionReport(report) => self.reported(now, report, market)?,
            Event::MarketStatus(status) if status.status != TradingStatus::Open => {
                self.closed(status.instrument, false);
                News::None
            }
            Event::Resolution(resolution) => {
                self.closed(resolution.instrument, true);
                News::None
            }
            _ => return Ok(()),
        };
        self.news = (sequence, news);
        Ok(())
    }
}

/// Everything is to be sold, and what an entry at work still fills with it.
fn leave(mirror: &mut Mirror, notes: &mut BTreeMap<OrderId, Note>, reason: Reason) {
    mirror.leave(reason);
    unwant(notes, mirror.entry, 0);
}

/// An entry is to be cancelled; of what it still fills only a part is kept.
fn unwant(notes: &mut BTreeMap<OrderId, Note>, entry: Option<OrderId>, keep_ppm: i64) {
    if let Some(note) = entry.and_then(|id| notes.get_mut(&id)) {
        note.unwanted = true;
        note.keep_ppm = note.keep_ppm * keep_ppm / PPM;
    }
}

impl Strategy for State {
    fn bind(&mut self, instrument: &Instrument) -> Result<bool, String> {
        let is_ours = instrument.definition.venue == self.rules.venue
            && instrument.definition.instrument_type == InstrumentType::Binary;
        if !is_ours {
            return Ok(false);
        }
        // Sizes and limits are in one currency: what is paid in another one is not copied.
        if *self.currency.get_or_insert(instrument.quote_currency) != instrument.quote_currency {
            return Ok(false);
        }
        let place = instrument.id().index();
        if self.tokens.len() <= place {
            self.tokens.resize(place + 1, None);
        }
        self.tokens[place] = Some(Token::default());
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
        match event {
            Event::Quote(quote) => self.watch(quote.instrument, market),
            Event::BookDelta(update) | Event::BookSnapshot(update) => {
                self.watch(update.header.instrument, market);
            }
            Event::Trade(_) => {}
            other => return self.evolve_rare(sequence, now, other, market),
        }
        Ok(())
    }

    #[inline(never)]
    fn decide(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        match event {
            Event::Quote(quote) => self.tend_token(quote.instrument, view, wishes),
            Event::BookDelta(update) | Event::BookSnapshot(update) => {
                self.tend_token(update.header.instrument, view, wishes);
            }
            Event::Trade(_) => {}
            other => self.decide_rare(other, view, wishes),
        }
    }
}
