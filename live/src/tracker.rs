//! What became of our orders at one venue: the venue's facts, in whatever order they come, as reports for the tape.
//!
//! Fills are facts, orders' states are hints: a final state waits here until the fills that it implies have come, a fill
//! that was told twice is told once, and an order is lost only when the venue has proved, late enough, that it never had
//! it. Pure: time comes in.
mod exits;

use crate::client_id::ClientIdScheme;
use onetape_engine::event::{
    Event, ExecutionReport, FeeSchedule, Fill, FillReversed, OrderDecided, VenueReason,
};
use onetape_engine::fees::OrderFees;
use onetape_engine::id::{InstrumentId, OrderId, Sequence};
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::{Order, OrderState, Side};
use onetape_engine::time::Nanos;
use onetape_venues::gateway::{
    AccountFact, CancelAnswer, FillFact, FilledSoFar, KnownOrder, NewOrder, OrderFact, OrderKey,
    PlaceAnswer,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

pub use exits::Instead;
use exits::{Exits, Untold};

/// Facts about orders that nobody knows yet: a fill can come before the answer that names its order.
const UNMATCHED_MAX: usize = 1_024;
/// Fills whose ids are kept; the journal's own memory of fills is as long.
const FILLS_MAX: usize = 65_536;
/// Final orders that late facts can still be about.
const ENDED_MAX: usize = 4_096;
/// The first look-up after something unclear, and the longest time between two.
const LOOKUP_FIRST: Duration = Duration::from_millis(200);
const LOOKUP_SLOWEST: Duration = Duration::from_secs(10);
/// How soon it is looked whether the venue has the exits that went out with an entry.
const EXITS_LOOKUP: Duration = Duration::from_secs(1);

/// What the tracker needs to know of an instrument.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Decimals of its mantissas.
    pub decimals: Decimals,
    /// Fees for fills of which the venue does not say what they cost.
    pub fees: Option<FeeSchedule>,
}

/// An order at the venue.
#[derive(Clone, Debug)]
struct Tracked {
    instrument: InstrumentId,
    decided: OrderDecided,
    decided_at: Nanos,
    client_id: String,
    venue_id: Option<String>,
    /// As last reported.
    state: OrderState,
    /// The venue had it: by its own word, or since it had the entry with which it went there.
    was_taken: bool,
    filled: Qty,
    fees: OrderFees,
    /// A final state that the venue told, and how much was filled by then: reported once that much has come.
    ending: Option<(OrderState, Option<Qty>, Option<VenueReason>)>,
    wants_cancel: bool,
    /// Of an exit that no frame has decided: what there is to say of it.
    untold: Option<Untold>,
    /// Since when nobody can have sent it any more.
    sent_at: Instant,
    absent_since: Option<Instant>,
    lookup_at: Option<Instant>,
    lookup_after: Duration,
}

impl Tracked {
    fn new_order(&self, id: OrderId) -> NewOrder<'_> {
        NewOrder {
            order: id,
            client_id: &self.client_id,
            instrument: self.instrument,
            side: self.decided.side,
            order_type: self.decided.order_type,
            time_in_force: self.decided.time_in_force,
            price: self.decided.price,
            worst_price: self.decided.worst_price.unwrap_or(self.decided.price),
            qty: self.decided.qty,
            decided_at: self.decided_at,
        }
    }

    /// Whether it is wanted back and the venue has it.
    fn is_to_cancel(&self) -> bool {
        self.wants_cancel && self.ending.is_none() && is_taken(self.state)
    }

    fn look_up_soon(&mut self, now: Instant) {
        self.lookup_after = LOOKUP_FIRST;
        let at = now + self.lookup_after;
        self.lookup_at = Some(self.lookup_at.map_or(at, |known| known.min(at)));
    }
}

/// A fill that is on the tape.
#[derive(Clone, Copy, Debug)]
pub struct Booked {
    /// Of which order.
    pub order: OrderId,
    /// Bought or sold.
    pub side: Side,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
    /// What it cost.
    pub fee: Money,
}

/// The orders of one venue.
#[derive(Debug)]
pub struct Tracker {
    ids: ClientIdScheme,
    lost_after: Duration,
    orders: BTreeMap<OrderId, Tracked>,
    /// Those of them that are not over: everything that is asked at every turn asks these alone.
    at_work: BTreeSet<OrderId>,
    ended: VecDeque<OrderId>,
    by_venue_id: HashMap<String, OrderId>,
    /// Exits that went to the venue with entries, by the entry, and who has the names that they went under.
    exits: BTreeMap<OrderId, Exits>,
    exit_names: HashMap<String, OrderId>,
    terms: BTreeMap<InstrumentId, Terms>,
    /// By instrument and the fill's number on the tape.
    fills: HashMap<(InstrumentId, u64), Booked>,
    fill_order: VecDeque<(InstrumentId, u64)>,
    unmatched: VecDeque<AccountFact>,
    /// Counts what changed anything: two equal numbers with a question between them mean a quiet answer.
    activity: u64,
    reports: Vec<Event<'static>>,
}

impl Tracker {
    /// Without orders. An order that the venue does not know is lost after `lost_after`.
    pub fn new(ids: ClientIdScheme, lost_after: Duration) -> Self {
        Self {
            ids,
            lost_after,
            orders: BTreeMap::new(),
            at_work: BTreeSet::new(),
            ended: VecDeque::new(),
            by_venue_id: HashMap::new(),
            exits: BTreeMap::new(),
            exit_names: HashMap::new(),
            terms: BTreeMap::new(),
            fills: HashMap::new(),
            fill_order: VecDeque::new(),
            unmatched: VecDeque::new(),
            activity: 0,
            reports: Vec::new(),
        }
    }

    /// An instrument's decimals and fees from now on.
    pub fn set_terms(&mut self, instrument: InstrumentId, terms: Terms) {
        self.terms.insert(instrument, terms);
    }

    /// An instrument's fees from now on.
    pub fn set_fees(&mut self, instrument: InstrumentId, fees: FeeSchedule) {
        if let Some(terms) = self.terms.get_mut(&instrument) {
            terms.fees = Some(fees);
        }
    }

    /// Whether no report waits to be taken.
    pub const fn has_nothing_to_report(&self) -> bool {
        self.reports.is_empty()
    }

    /// Reports that belong on the tape, in order; each is given once.
    pub fn take_reports(&mut self) -> Vec<Event<'static>> {
        core::mem::take(&mut self.reports)
    }

    /// Counts what changed anything.
    pub const fn activity(&self) -> u64 {
        self.activity
    }

    /// Takes over an order that was at work when the process before this one ended: nobody knows what became of it. Of an
    /// entry that is over its exits are taken over, which the venue may still hold.
    pub fn adopt(&mut self, order: &Order, now: Instant) {
        let decided = OrderDecided {
            cause: Sequence(0),
            strategy: order.strategy,
            instrument: order.instrument,
            side: order.side,
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            price: order.price,
            qty: order.qty,
            tag: order.tag,
            worst_price: None,
            one_of: order.one_of,
            protect: order.protect,
            attached_to: order.attached_to,
        };
        let exits = order.protect.map(|exits| (exits, order.exits_replaced));
        if let Some(exits) = exits {
            self.adopt_exits(order.id, &decided, exits, order.decided_at, now);
        }
        if order.state.is_final() {
            return;
        }
        self.add(order.id, &decided, order.decided_at, now);
        if let Some(tracked) = self.orders.get_mut(&order.id) {
            (tracked.state, tracked.filled) = (order.state, order.filled);
            tracked.was_taken |= is_taken(order.state);
            (tracked.fees, tracked.wants_cancel) = (order.fees, order.cancelling);
        }
        self.report(order.id, OrderState::Unknown, None, None);
        if let Some(tracked) = self.orders.get_mut(&order.id) {
            tracked.lookup_at = Some(now);
        }
    }

    /// A fill that is on the tape already.
    pub fn knows_fill(&mut self, instrument: InstrumentId, number: u64, booked: Booked) {
        self.remember((instrument, number), booked);
    }

    /// An order was decided, which is to be sent.
    pub fn decided(&mut self, id: OrderId, decided: &OrderDecided, at: Nanos, now: Instant) {
        self.add(id, decided, at, now);
        if let Some(exits) = decided.protect {
            self.attach(id, decided, exits, at, now);
        }
    }

    fn add(&mut self, id: OrderId, decided: &OrderDecided, at: Nanos, now: Instant) {
        self.activity += 1;
        let client_id = match decided.attached_to {
            Some(entry) => {
                let name = self.ids.exit(entry, decided.order_type);
                self.exit_names.insert(name.clone(), id);
                name
            }
            None => self.ids.client_id(id),
        };
        let tracked = Tracked {
            instrument: decided.instrument,
            decided: *decided,
            decided_at: at,
            client_id,
            venue_id: None,
            state: OrderState::Decided,
            was_taken: decided.attached_to.is_some(),
            filled: Qty(0),
            fees: OrderFees::default(),
            ending: None,
            wants_cancel: false,
            untold: None,
            sent_at: now,
            absent_since: None,
            lookup_at: None,
            lookup_after: LOOKUP_FIRST,
        };
        self.orders.insert(id, tracked);
        self.at_work.insert(id);
    }

    /// The order goes to the socket now.
    pub fn sent(&mut self, id: OrderId, now: Instant) {
        if let Some(tracked) = self.orders.get_mut(&id) {
            tracked.sent_at = now;
        }
        self.report(id, OrderState::Sent, None, None);
        self.exits_are(id, OrderState::Sent, Some(now + EXITS_LOOKUP));
    }

    /// The venue has no such order: nothing was sent.
    pub fn refused(&mut self, id: OrderId) {
        self.report(id, OrderState::Rejected, None, Some(VenueReason::Rules));
    }

    /// What came of sending it.
    pub fn answered(&mut self, id: OrderId, answer: PlaceAnswer, now: Instant) {
        self.activity += 1;
        match answer {
            PlaceAnswer::Accepted { venue_id, facts } => {
                self.name(id, venue_id, now);
                let known = self.state(id);
                if matches!(
                    known,
                    Some(OrderState::Decided | OrderState::Sent | OrderState::Unknown)
                ) {
                    self.report(id, OrderState::Acked, None, None);
                }
                for fact in facts {
                    self.fact(fact, now);
                }
            }
            PlaceAnswer::Rejected { .. } => {
                self.report(id, OrderState::Rejected, None, Some(VenueReason::Other));
            }
            // The venue did not take it for now, and it is not sent again: whoever wanted it decides anew.
            PlaceAnswer::Busy { .. } => {
                self.report(id, OrderState::Rejected, None, Some(VenueReason::Other));
            }
            PlaceAnswer::Duplicate | PlaceAnswer::Unknown { .. } => {
                self.report(id, OrderState::Unknown, None, None);
                self.look_up(id, now);
            }
        }
    }

    /// The tape wants it cancelled; whether there is something to cancel at the venue by now.
    pub fn wants_cancel(&mut self, id: OrderId) -> bool {
        let Some(tracked) = self.orders.get_mut(&id) else {
            return false;
        };
        tracked.wants_cancel = true;
        tracked.is_to_cancel()
    }

    /// Whether the tape wants an order cancelled.
    pub fn is_unwanted(&self, id: OrderId) -> bool {
        self.orders
            .get(&id)
            .is_some_and(|tracked| tracked.wants_cancel)
    }

    /// Orders that the tape wants cancelled and that the venue has by now.
    pub fn to_cancel(&self) -> Vec<OrderId> {
        let due = self.working().filter(|(_, it)| it.is_to_cancel());
        due.map(|(id, _)| id).collect()
    }

    fn working(&self) -> impl Iterator<Item = (OrderId, &Tracked)> {
        let found = |id: &OrderId| Some((*id, self.orders.get(id)?));
        self.at_work.iter().filter_map(found)
    }

    /// What came of cancelling it. True where the cancel should be tried again.
    pub fn cancel_answered(&mut self, id: OrderId, answer: CancelAnswer, now: Instant) -> bool {
        self.activity += 1;
        match answer {
            CancelAnswer::Cancelled(facts) => {
                for fact in facts {
                    self.fact(fact, now);
                }
                // How much was filled before it was cancelled is for the look-up to say.
                self.look_up(id, now);
                false
            }
            CancelAnswer::Accepted | CancelAnswer::Gone => {
                self.look_up(id, now);
                false
            }
            CancelAnswer::Unknown { .. } | CancelAnswer::Busy { .. } => {
                self.look_up(id, now);
                true
            }
        }
    }

    /// Takes a fact about the account.
    pub fn fact(&mut self, fact: AccountFact, now: Instant) {
        match &fact {
            AccountFact::Order(order) => match self.find(&order.key) {
                Some(id) => {
                    let order = order.clone();
                    self.order_fact(id, &order, now);
                }
                None => self.keep_unmatched(fact),
            },
            AccountFact::Fill(fill) => match self.find(&fill.key) {
                Some(id) => {
                    let fill = fill.clone();
                    self.fill_fact(id, &fill, now);
                }
                None => self.keep_unmatched(fact),
            },
            AccountFact::FillReversed {
                instrument,
                fill_id,
            } => {
                self.reverse(*instrument, fill_number(fill_id));
            }
            AccountFact::Balance(_) | AccountFact::Holding(_) | AccountFact::Resync => {}
        }
    }

    fn order_fact(&mut self, id: OrderId, fact: &OrderFact, now: Instant) {
        self.activity += 1;
        if let Some(venue_id) = &fact.key.venue_id {
            self.name(id, venue_id.clone(), now);
        }
        let Some(tracked) = self.orders.get_mut(&id) else {
            return;
        };
        tracked.absent_since = None;
        if tracked.state.is_final() {
            return;
        }
        let behind = fact.filled.is_some_and(|filled| filled > tracked.filled);
        match fact.state {
            OrderState::Acked | OrderState::PartiallyFilled => {
                if matches!(
                    tracked.state,
                    OrderState::Decided | OrderState::Sent | OrderState::Unknown
                ) {
                    self.report(id, OrderState::Acked, None, None);
                }
            }
            OrderState::Filled => tracked.ending = Some((OrderState::Filled, None, None)),
            state @ (OrderState::Cancelled | OrderState::Expired | OrderState::Rejected) => {
                let reason = match state {
                    OrderState::Cancelled if tracked.wants_cancel => VenueReason::Requested,
                    OrderState::Expired => VenueReason::NoLiquidity,
                    _ => VenueReason::Other,
                };
                // The venue cancels an alternative when the other has filled: that fill is looked up first, so that nobody
                // takes a position for unprotected that is closed.
                let is_by_venue = tracked.decided.one_of.is_some() && reason == VenueReason::Other;
                let is_told = state != OrderState::Cancelled || !is_by_venue;
                let filled = fact.filled.filter(|_| is_told);
                tracked.ending = Some((state, filled, Some(reason)));
            }
            _ => {}
        }
        self.end_if_complete(id);
        let open = self.orders.get_mut(&id).filter(|t| !t.state.is_final());
        if let Some(tracked) = open
            && (behind || tracked.ending.is_some())
        {
            tracked.look_up_soon(now);
        }
    }

    fn fill_fact(&mut self, id: OrderId, fact: &FillFact, now: Instant) {
        let key = (fact.instrument, fill_number(&fact.fill_id));
        if self.fills.contains_key(&key) {
            return;
        }
        self.activity += 1;
        if let Some(venue_id) = &fact.key.venue_id {
            self.name(id, venue_id.clone(), now);
        }
        let fee = self.fee(id, fact);
        let Some(tracked) = self.orders.get_mut(&id) else {
            return;
        };
        tracked.absent_since = None;
        let filled = Qty(tracked.filled.0.saturating_add(fact.qty.0));
        tracked.filled = filled;
        let state = if filled >= tracked.decided.qty {
            OrderState::Filled
        } else {
            OrderState::PartiallyFilled
        };
        let booked = Booked {
            order: id,
            side: fact.side,
            price: fact.price,
            qty: fact.qty,
            fee,
        };
        self.remember(key, booked);
        let fill = Fill {
            fill_id: key.1,
            price: fact.price,
            qty: fact.qty,
            fee,
            liquidity: fact.liquidity,
        };
        self.report(id, state, Some(fill), None);
        self.end_if_complete(id);
    }

    /// What the fill cost: the venue's word, or the schedule's.
    fn fee(&mut self, id: OrderId, fact: &FillFact) -> Money {
        if let Some(fee) = fact.fee.and_then(|fee| Money::from_decimal(fee).ok()) {
            return fee;
        }
        let (Some(tracked), Some(terms)) =
            (self.orders.get_mut(&id), self.terms.get(&fact.instrument))
        else {
            return Money::ZERO;
        };
        let Some(schedule) = &terms.fees else {
            return Money::ZERO;
        };
        let (d, so_far) = (terms.decimals, &tracked.fees);
        match schedule.charge(so_far, d, fact.side, fact.liquidity, fact.price, fact.qty) {
            Ok((fee, fees)) => {
                tracked.fees = fees;
                fee
            }
            Err(_) => Money::ZERO,
        }
    }

    fn reverse(&mut self, instrument: InstrumentId, fill_id: u64) {
        let Some(booked) = self.fills.get(&(instrument, fill_id)).copied() else {
            return;
        };
        self.activity += 1;
        let order = self.orders.get_mut(&booked.order);
        if let Some(exit) = order.filter(|order| order.untold.is_some()) {
            exit.filled.0 = exit.filled.0.saturating_sub(booked.qty.0);
            exit.untold.iter_mut().for_each(|it| it.forget(fill_id));
            return;
        }
        self.reports.push(Event::FillReversed(FillReversed {
            order: booked.order,
            instrument,
            fill_id,
            side: booked.side,
            price: booked.price,
            qty: booked.qty,
            fee: booked.fee,
        }));
    }

    /// Reports a final state once the fills that it implies are here.
    fn end_if_complete(&mut self, id: OrderId) {
        let Some(tracked) = self.orders.get(&id) else {
            return;
        };
        let Some((state, filled, reason)) = tracked.ending else {
            return;
        };
        // `Filled` comes with the last fill; what the venue does not number is complete as it stands.
        let complete =
            state != OrderState::Filled && filled.is_some_and(|filled| tracked.filled >= filled);
        if complete && !tracked.state.is_final() {
            self.report(id, state, None, reason);
        }
    }

    /// What a look-up came out as: its facts were given before. `known` is false where the venue has proved that it never
    /// had the order; an error is `None`.
    pub fn looked_up(&mut self, id: OrderId, known: Option<bool>, now: Instant) {
        let lost_after = self.lost_after;
        let Some(tracked) = self.orders.get_mut(&id) else {
            return;
        };
        tracked.lookup_at = None;
        match known {
            Some(true) => {
                tracked.absent_since = None;
                // A cancelled order whose fills the look-up listed in full ends as it stands.
                if let Some((state, None, reason)) = tracked.ending
                    && state != OrderState::Filled
                {
                    tracked.ending = Some((state, Some(tracked.filled), reason));
                }
                self.end_if_complete(id);
            }
            Some(false) => {
                let since = *tracked.absent_since.get_or_insert(now);
                // Twice, and late enough that a request under way must have arrived.
                let proved = now > since && now.duration_since(tracked.sent_at) >= lost_after;
                if proved {
                    // What was acknowledged or filled is the venue's own word: only what is left of it is gone.
                    let state = if tracked.was_taken || tracked.filled != Qty(0) {
                        OrderState::Cancelled
                    } else {
                        OrderState::Rejected
                    };
                    self.report(id, state, None, Some(VenueReason::Lost));
                }
            }
            None => {}
        }
        if let Some(tracked) = self.orders.get_mut(&id)
            && (tracked.state == OrderState::Unknown
                || tracked.ending.is_some()
                || known != Some(true))
            && !tracked.state.is_final()
        {
            tracked.lookup_at = Some(now + tracked.lookup_after);
            tracked.lookup_after = (tracked.lookup_after * 2).min(LOOKUP_SLOWEST);
        }
    }

    /// Everything at work is to be looked up now: what happened meanwhile is not known.
    pub fn look_up_everything(&mut self, now: Instant) {
        for id in &self.at_work {
            if let Some(tracked) = self.orders.get_mut(id) {
                tracked.lookup_at = Some(now);
                tracked.lookup_after = LOOKUP_FIRST;
            }
        }
    }

    /// Orders whose look-up is due.
    pub fn to_look_up(&self, now: Instant) -> Vec<OrderId> {
        let due = |tracked: &Tracked| tracked.lookup_at.is_some_and(|at| at <= now);
        let due = self.working().filter(|(_, tracked)| due(tracked));
        due.map(|(id, _)| id).collect()
    }

    /// A look-up is under way: none is due before its answer, or before it must have failed.
    pub fn looking_up(&mut self, id: OrderId, now: Instant) {
        if let Some(tracked) = self.orders.get_mut(&id) {
            tracked.lookup_at = Some(now + LOOKUP_SLOWEST);
        }
    }

    /// Whether nothing is unclear: no order between sending and answer, none unknown, none that waits for its fills or a
    /// look-up.
    pub fn is_clear(&self) -> bool {
        self.working().all(|(_, tracked)| {
            is_taken(tracked.state) && tracked.ending.is_none() && tracked.lookup_at.is_none()
        })
    }

    /// An order as the venue may know it.
    pub fn known(&self, id: OrderId) -> Option<KnownOrder<'_>> {
        let tracked = self.orders.get(&id)?;
        Some(KnownOrder {
            order: tracked.new_order(id),
            venue_id: tracked.venue_id.as_deref(),
        })
    }

    /// How much of each order is filled, by its client id.
    pub fn filled_so_far(&self) -> BTreeMap<String, FilledSoFar> {
        let so_far = |order: &Tracked| FilledSoFar {
            decided_at: order.decided_at,
            filled: order.filled,
        };
        let orders = self.orders.values();
        orders
            .map(|order| (order.client_id.clone(), so_far(order)))
            .collect()
    }

    /// How an order stands.
    pub fn state(&self, id: OrderId) -> Option<OrderState> {
        self.orders.get(&id).map(|tracked| tracked.state)
    }

    /// Whether an order is ours by name and no frame of this journal explains it.
    pub fn is_orphan(&self, key: &OrderKey) -> bool {
        match self.ours(key) {
            Some(id) => self.state(id).is_none(),
            None => self.is_exit(key),
        }
    }

    /// Whether an order went to the venue as an exit of an entry.
    pub fn is_exit(&self, key: &OrderKey) -> bool {
        let name = key.client_id.as_deref();
        name.is_some_and(|name| self.ids.is_exit(name))
    }

    /// Whether an order is ours and over as far as we know: one that the venue has at work was taken for lost and came late.
    pub fn is_over(&self, key: &OrderKey) -> bool {
        let state = self.ours(key).and_then(|id| self.state(id));
        state.is_some_and(OrderState::is_final)
    }

    fn ours(&self, key: &OrderKey) -> Option<OrderId> {
        let name = key.client_id.as_deref()?;
        let exit = || self.exit_names.get(name).copied();
        self.ids.order(name).or_else(exit)
    }

    fn find(&self, key: &OrderKey) -> Option<OrderId> {
        self.ours(key)
            .filter(|id| self.orders.contains_key(id))
            .or_else(|| self.by_venue_id.get(key.venue_id.as_deref()?).copied())
    }

    /// The venue's id of an order; what waited for it is taken.
    fn name(&mut self, id: OrderId, venue_id: String, now: Instant) {
        let Some(tracked) = self.orders.get_mut(&id) else {
            return;
        };
        if tracked.venue_id.is_some() || venue_id.is_empty() {
            return;
        }
        tracked.venue_id = Some(venue_id.clone());
        self.by_venue_id.insert(venue_id.clone(), id);
        let of = |fact: &AccountFact| match fact {
            AccountFact::Order(order) => order.key.venue_id.as_deref() == Some(&venue_id),
            AccountFact::Fill(fill) => fill.key.venue_id.as_deref() == Some(&venue_id),
            _ => false,
        };
        let waiting = core::mem::take(&mut self.unmatched);
        let (ours, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(of);
        self.unmatched = others.into();
        for fact in ours {
            self.fact(fact, now);
        }
    }

    fn keep_unmatched(&mut self, fact: AccountFact) {
        if self.unmatched.len() == UNMATCHED_MAX {
            self.unmatched.pop_front();
        }
        self.unmatched.push_back(fact);
    }

    fn remember(&mut self, key: (InstrumentId, u64), booked: Booked) {
        if self.fills.insert(key, booked).is_none() {
            self.fill_order.push_back(key);
        }
        if self.fill_order.len() > FILLS_MAX
            && let Some(oldest) = self.fill_order.pop_front()
        {
            self.fills.remove(&oldest);
        }
    }

    fn look_up(&mut self, id: OrderId, now: Instant) {
        if let Some(tracked) = self.orders.get_mut(&id) {
            tracked.look_up_soon(now);
        }
    }

    /// Reports a new state where the table of legal moves has it.
    fn report(
        &mut self,
        id: OrderId,
        state: OrderState,
        fill: Option<Fill>,
        reason: Option<VenueReason>,
    ) {
        let Some(tracked) = self.orders.get_mut(&id) else {
            return;
        };
        let late_fill = tracked.state.is_final() && fill.is_some();
        if !late_fill && !tracked.state.can_become(state) {
            return;
        }
        if !late_fill {
            tracked.state = state;
            tracked.was_taken |= is_taken(state);
        }
        if let Some(untold) = &mut tracked.untold {
            untold.keep(fill, reason);
            if state.is_final() {
                tracked.lookup_at = None;
                self.at_work.remove(&id);
            }
            return;
        }
        self.reports.push(Event::ExecutionReport(ExecutionReport {
            cause: Sequence(0),
            order: id,
            instrument: tracked.instrument,
            state,
            fill,
            reason,
        }));
        if state.is_final() && !late_fill {
            tracked.lookup_at = None;
            self.at_work.remove(&id);
            self.ended.push_back(id);
            if self.ended.len() > ENDED_MAX
                && let Some(oldest) = self.ended.pop_front()
                && let Some(tracked) = self.orders.remove(&oldest)
            {
                self.exit_names.remove(&tracked.client_id);
                if let Some(venue_id) = tracked.venue_id {
                    self.by_venue_id.remove(&venue_id);
                }
            }
        }
    }
}

/// Whether the venue has an order in this state.
const fn is_taken(state: OrderState) -> bool {
    matches!(state, OrderState::Acked | OrderState::PartiallyFilled)
}

/// A number for a venue's fill id: its own where it is one, else the first 63 bits of its BLAKE3.
pub fn fill_number(fill_id: &str) -> u64 {
    match fill_id.parse::<u64>() {
        Ok(number) if !fill_id.starts_with('+') => number,
        _ => {
            let hash = blake3::hash(fill_id.as_bytes());
            let first = hash.as_bytes().first_chunk::<8>().copied();
            u64::from_le_bytes(first.unwrap_or_default()) >> 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetape_engine::event::Liquidity;
    use onetape_engine::id::StrategyId;
    use onetape_engine::order::{OneOf, OrderType, TimeInForce};
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    const X: InstrumentId = InstrumentId(0);
    const LOST_AFTER: Duration = Duration::from_secs(6);

    struct Rig {
        tracker: Tracker,
        now: Instant,
        ids: ClientIdScheme,
    }

    impl Rig {
        fn new() -> Self {
            let ids = ClientIdScheme::new(1 << 96);
            let tracker = Tracker::new(ids.clone(), LOST_AFTER);
            let now = Instant::now();
            Self { tracker, now, ids }
        }

        fn after(&mut self, ms: u64) -> Instant {
            self.now += Duration::from_millis(ms);
            self.now
        }

        fn send(&mut self, id: u64, qty: i64) -> OrderId {
            self.send_one_of(id, qty, None)
        }

        fn send_one_of(&mut self, id: u64, qty: i64, one_of: Option<OneOf>) -> OrderId {
            let decided = OrderDecided {
                cause: Sequence(1),
                strategy: StrategyId(0),
                instrument: X,
                side: Side::Buy,
                order_type: OrderType::Limit,
                time_in_force: TimeInForce::GoodTillCancel,
                price: Price(100),
                qty: Qty(qty),
                tag: 0,
                worst_price: None,
                one_of,
                protect: None,
                attached_to: None,
            };
            let id = OrderId(id);
            self.tracker.decided(id, &decided, Nanos(0), self.now);
            self.tracker.sent(id, self.now);
            id
        }

        fn key(&self, id: OrderId) -> OrderKey {
            OrderKey {
                client_id: Some(self.ids.client_id(id)),
                venue_id: Some(format!("v{}", id.0)),
            }
        }

        fn venue_key(id: OrderId) -> OrderKey {
            OrderKey {
                client_id: None,
                venue_id: Some(format!("v{}", id.0)),
            }
        }

        fn order(&mut self, key: OrderKey, state: OrderState, filled: Option<i64>) {
            let fact = OrderFact {
                key,
                instrument: X,
                state,
                filled: filled.map(Qty),
                why: String::new(),
            };
            self.tracker.fact(AccountFact::Order(fact), self.now);
        }

        fn fill(&mut self, key: OrderKey, fill_id: &str, qty: i64) {
            let fact = fill_fact(key, fill_id, qty);
            self.tracker.fact(AccountFact::Fill(fact), self.now);
        }

        fn states(&mut self) -> Vec<(OrderState, i64)> {
            let state = |event| match event {
                Event::ExecutionReport(r) => (r.state, r.fill.map_or(0, |f: Fill| f.qty.0)),
                other => panic!("{other:?}"),
            };
            self.tracker.take_reports().into_iter().map(state).collect()
        }
    }

    fn fill_fact(key: OrderKey, fill_id: &str, qty: i64) -> FillFact {
        FillFact {
            key,
            instrument: X,
            fill_id: fill_id.to_owned(),
            side: Side::Buy,
            price: Price(100),
            qty: Qty(qty),
            fee: Some(Decimal::new(5, 2)),
            liquidity: Liquidity::Taker,
            at: Nanos(0),
            is_final: true,
        }
    }

    fn accepted(id: OrderId) -> PlaceAnswer {
        PlaceAnswer::Accepted {
            venue_id: format!("v{}", id.0),
            facts: Vec::new(),
        }
    }

    use OrderState::{Acked, Cancelled, Filled, PartiallyFilled, Rejected, Sent, Unknown};

    #[test]
    fn a_fill_that_comes_before_the_answer_and_twice_counts_once() {
        let mut rig = Rig::new();
        let id = rig.send(7, 10);
        rig.fill(Rig::venue_key(id), "f1", 4);
        assert_eq!(rig.states(), [(Sent, 0)], "nobody knows the venue's id yet");
        rig.tracker.answered(id, accepted(id), rig.now);
        rig.fill(rig.key(id), "f1", 4);
        rig.fill(rig.key(id), "f2", 6);
        // The acknowledgement is overtaken by the fill that waited for the name: it says nothing new.
        assert_eq!(rig.states(), [(PartiallyFilled, 4), (Filled, 6)]);
    }

    #[test]
    fn a_cancel_that_is_told_before_its_fills_waits_for_them() {
        let mut rig = Rig::new();
        let id = rig.send(7, 10);
        rig.tracker.answered(id, accepted(id), rig.now);
        rig.order(rig.key(id), Cancelled, Some(4));
        assert_eq!(rig.states(), [(Sent, 0), (Acked, 0)]);
        assert!(!rig.tracker.is_clear());
        let now = rig.after(200);
        assert_eq!(rig.tracker.to_look_up(now), [id]);
        rig.fill(rig.key(id), "f1", 4);
        assert_eq!(rig.states(), [(PartiallyFilled, 4), (Cancelled, 0)]);
        assert!(rig.tracker.is_clear());
    }

    #[test]
    fn an_alternative_that_the_venue_cancels_is_over_once_the_others_fills_were_looked_up() {
        let mut rig = Rig::new();
        let one_of = |alternative| {
            let group = 1;
            Some(OneOf { group, alternative })
        };
        let (stop, target) = (
            rig.send_one_of(7, 10, one_of(3)),
            rig.send_one_of(8, 10, one_of(4)),
        );
        for id in [stop, target] {
            rig.tracker.answered(id, accepted(id), rig.now);
        }
        rig.states();
        rig.order(rig.key(stop), Cancelled, Some(0));
        assert_eq!(rig.states(), [], "the target's fill may be on its way");
        // What the strategy then asks for is gone already: nothing is sent.
        assert!(!rig.tracker.wants_cancel(stop));
        assert!(rig.tracker.to_cancel().is_empty());
        let now = rig.after(200);
        assert_eq!(rig.tracker.to_look_up(now), [stop]);
        rig.fill(rig.key(target), "f1", 10);
        rig.tracker.looked_up(stop, Some(true), now);
        assert_eq!(rig.states(), [(Filled, 10), (Cancelled, 0)]);
        assert!(rig.tracker.is_clear());
        // What we cancel ourselves is over at once.
        let alone = rig.send_one_of(9, 10, one_of(3));
        rig.tracker.answered(alone, accepted(alone), rig.now);
        assert!(rig.tracker.wants_cancel(alone));
        rig.order(rig.key(alone), Cancelled, Some(0));
        assert_eq!(rig.states().last(), Some(&(Cancelled, 0)));
    }

    #[test]
    fn a_time_out_that_was_accepted_ends_as_the_venue_says() {
        let mut rig = Rig::new();
        let id = rig.send(7, 10);
        let unknown = PlaceAnswer::Unknown {
            why: "time-out".to_owned(),
        };
        rig.tracker.answered(id, unknown, rig.now);
        assert_eq!(rig.states(), [(Sent, 0), (Unknown, 0)]);
        rig.fill(rig.key(id), "f1", 4);
        rig.order(rig.key(id), PartiallyFilled, Some(4));
        rig.tracker.looked_up(id, Some(true), rig.now);
        assert_eq!(rig.states(), [(PartiallyFilled, 4)]);
        assert!(rig.tracker.is_clear());
    }

    #[test]
    fn an_order_is_lost_only_when_its_absence_is_seen_twice_and_late_enough() {
        let mut rig = Rig::new();
        let id = rig.send(7, 10);
        let unknown = PlaceAnswer::Unknown {
            why: "time-out".to_owned(),
        };
        rig.tracker.answered(id, unknown, rig.now);
        rig.states();
        for ms in [200, 400, 800, 1_600] {
            let now = rig.after(ms);
            assert_eq!(rig.tracker.to_look_up(now), [id], "after {ms} ms");
            rig.tracker.looked_up(id, Some(false), now);
            assert!(rig.states().is_empty());
        }
        // A failed look-up proves nothing.
        let now = rig.after(3_200);
        rig.tracker.looked_up(id, None, now);
        assert!(rig.states().is_empty());
        let now = rig.after(6_400);
        rig.tracker.looked_up(id, Some(false), now);
        assert_eq!(rig.states(), [(Rejected, 0)]);
    }

    #[test]
    fn a_look_up_that_failed_is_made_again_before_anything_is_clear() {
        let mut rig = Rig::new();
        let id = rig.send(7, 10);
        rig.tracker.answered(id, accepted(id), rig.now);
        rig.tracker.look_up_everything(rig.now);
        rig.tracker.looked_up(id, None, rig.now);
        assert!(!rig.tracker.is_clear());
        let now = rig.after(200);
        assert_eq!(rig.tracker.to_look_up(now), [id]);
        rig.tracker.looked_up(id, Some(true), now);
        assert!(rig.tracker.is_clear());
    }

    #[test]
    fn the_rest_of_an_order_that_the_venue_no_longer_knows_is_cancelled() {
        let mut rig = Rig::new();
        let id = rig.send(7, 10);
        rig.fill(rig.key(id), "f1", 4);
        let unknown = PlaceAnswer::Unknown {
            why: "time-out".to_owned(),
        };
        rig.tracker.answered(id, unknown, rig.now);
        for _ in 0..2 {
            let now = rig.after(6_000);
            rig.tracker.looked_up(id, Some(false), now);
        }
        assert_eq!(
            rig.states(),
            [
                (Sent, 0),
                (PartiallyFilled, 4),
                (Unknown, 0),
                (Cancelled, 0)
            ]
        );
    }

    #[test]
    fn an_order_from_before_a_crash_is_looked_up_and_never_sent_again() {
        let mut rig = Rig::new();
        let order = Order {
            id: OrderId(7),
            strategy: StrategyId(0),
            instrument: X,
            side: Side::Buy,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::GoodTillCancel,
            price: Price(100),
            qty: Qty(10),
            filled: Qty(4),
            state: PartiallyFilled,
            decided_at: Nanos(0),
            cancelling: false,
            tag: 0,
            fees: OrderFees::default(),
            one_of: None,
            protect: None,
            exits_replaced: false,
            attached_to: None,
        };
        rig.tracker.adopt(&order, rig.now);
        let booked = Booked {
            order: order.id,
            side: Side::Buy,
            price: Price(100),
            qty: Qty(4),
            fee: Money(0),
        };
        rig.tracker.knows_fill(X, fill_number("f1"), booked);
        assert_eq!(rig.tracker.to_look_up(rig.now), [order.id]);
        rig.fill(rig.key(order.id), "f1", 4);
        rig.fill(rig.key(order.id), "f2", 6);
        assert_eq!(rig.states(), [(Unknown, 0), (Filled, 6)]);
        // One that the venue had and has no more is cancelled, not rejected.
        let gone = Order {
            id: OrderId(8),
            filled: Qty(0),
            state: Acked,
            ..order
        };
        rig.tracker.adopt(&gone, rig.now);
        for _ in 0..2 {
            let now = rig.after(6_000);
            rig.tracker.looked_up(gone.id, Some(false), now);
        }
        assert_eq!(rig.states(), [(Unknown, 0), (Cancelled, 0)]);
    }

    #[test]
    fn a_fill_that_is_taken_back_is_told_with_what_it_cost() {
        let mut rig = Rig::new();
        let id = rig.send(7, 10);
        rig.tracker.answered(id, accepted(id), rig.now);
        rig.fill(rig.key(id), "0xab", 10);
        rig.states();
        let reversed = AccountFact::FillReversed {
            instrument: X,
            fill_id: "0xab".to_owned(),
        };
        rig.tracker.fact(reversed, rig.now);
        let reports = rig.tracker.take_reports();
        let [Event::FillReversed(back)] = reports.as_slice() else {
            panic!("{reports:?}");
        };
        assert_eq!(
            (back.qty, back.fee),
            (Qty(10), Money(50_000_000_000_000_000))
        );
        assert_eq!(back.fill_id, fill_number("0xab"));
    }

    #[test]
    fn what_is_not_ours_is_left_alone_and_what_is_ours_without_a_frame_is_an_orphan() {
        let mut rig = Rig::new();
        let foreign = OrderKey {
            client_id: Some("web_1".to_owned()),
            venue_id: None,
        };
        rig.order(foreign.clone(), Acked, None);
        assert!(rig.states().is_empty());
        assert!(!rig.tracker.is_orphan(&foreign));
        assert!(rig.tracker.is_orphan(&rig.key(OrderId(99))));
        let lost = rig.send(7, 10);
        rig.tracker.answered(lost, accepted(lost), rig.now);
        assert!(!rig.tracker.is_over(&rig.key(lost)));
        rig.tracker.looked_up(lost, Some(false), rig.now);
        assert!(!rig.tracker.is_clear());
        for _ in 0..2 {
            let now = rig.after(6_000);
            rig.tracker.looked_up(lost, Some(false), now);
        }
        assert_eq!(rig.states().last(), Some(&(Cancelled, 0)));
        assert!(rig.tracker.is_over(&rig.key(lost)));
    }

    proptest! {
        /// Whatever the order in which facts come, and however often: the reports are legal moves, fills add up, and in
        /// the end the order stands as at the venue.
        #[test]
        fn facts_in_any_order_lead_to_the_same_end(
            order in proptest::collection::vec(0usize..6, 0..40),
            answered_at in 0usize..40,
        ) {
            let mut rig = Rig::new();
            let id = rig.send(7, 10);
            let mut state = OrderState::Decided;
            let mut sum = 0;
            let everything = [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5];
            for (n, which) in order.iter().chain(&everything).enumerate() {
                if n == answered_at.min(order.len()) {
                    rig.tracker.answered(id, accepted(id), rig.now);
                }
                match which {
                    0 => rig.fill(Rig::venue_key(id), "f1", 3),
                    1 => rig.fill(rig.key(id), "f2", 4),
                    2 => rig.order(rig.key(id), Acked, Some(0)),
                    3 => rig.order(rig.key(id), PartiallyFilled, Some(3)),
                    4 => rig.order(Rig::venue_key(id), Cancelled, Some(7)),
                    _ => rig.tracker.looked_up(id, Some(true), rig.now),
                }
                for (next, filled) in rig.states() {
                    prop_assert!(state.can_become(next), "{state:?} -> {next:?}");
                    state = next;
                    sum += filled;
                }
            }
            prop_assert_eq!((state, sum), (Cancelled, 7));
        }
    }
}
