//! Exits that went to the venue with an entry, from before any order on the tape is one of them.
//!
//! Each is tracked under a number of its own, which no frame has, and nothing is reported of it. Then the tape decides:
//! - the same exit: the order takes it over, with its name, what filled of it and how it stands;
//! - something else instead: it is cancelled, and the orders decided instead wait until it is over. What it filled by then
//!   is theirs, and none of them is sent any more;
//! - nothing, as the entry ended unfilled: it goes with the entry, which is looked at.
//!
//! An entry of which an exit filled or is gone is taken back: it must not fill without one.
use super::{Tracked, Tracker};
use onetape_engine::event::{Fill, OrderDecided, VenueReason};
use onetape_engine::id::{InstrumentId, OrderId, StrategyId};
use onetape_engine::number::Qty;
use onetape_engine::order::{OrderState, OrderType, Protect, Side, TimeInForce};
use onetape_engine::time::Nanos;
use onetape_venues::gateway::NewOrder;
use std::time::Instant;

/// Above every frame's number: exits that no frame has decided.
const UNDECIDED: u64 = 1 << 63;

/// The exits of one entry.
#[derive(Debug)]
pub(super) struct Exits {
    strategy: StrategyId,
    instrument: InstrumentId,
    side: Side,
    group: Option<u64>,
    /// Those that no order on the tape has taken over.
    left: Vec<OrderId>,
    /// They are not wanted any more.
    given_up: bool,
    /// Orders that the tape decided instead, in order.
    instead: Vec<OrderId>,
}

/// What an exit filled and how it ended, as far as nobody was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Untold {
    fills: Vec<Fill>,
    reason: Option<VenueReason>,
}

/// What becomes of orders that were decided instead of an entry's exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// The exits may still fill.
    Waits,
    /// They are over and filled nothing.
    Goes,
    /// They filled: what was decided without knowing is not sent.
    IsOff,
}

impl Untold {
    /// Forgets a fill that the venue took back.
    pub(super) fn forget(&mut self, fill_id: u64) {
        self.fills.retain(|fill| fill.fill_id != fill_id);
    }

    /// Keeps what there is to say of an exit.
    pub(super) fn keep(&mut self, fill: Option<Fill>, reason: Option<VenueReason>) {
        self.fills.extend(fill);
        self.reason = reason.or(self.reason);
    }
}

impl Tracker {
    /// The exits of an entry, as they go to the venue with it.
    pub fn exits(&self, entry: OrderId) -> Vec<NewOrder<'_>> {
        let left = self.exits.get(&entry).map_or(&[][..], |it| &it.left);
        let new = |id: &OrderId| Some(self.orders.get(id)?.new_order(*id));
        left.iter().filter_map(new).collect()
    }

    /// Tracks the exits that go to the venue with an entry, or that went there before this process.
    pub(super) fn attach(
        &mut self,
        entry: OrderId,
        decided: &OrderDecided,
        protect: Protect,
        at: Nanos,
        now: Instant,
    ) {
        let mut left = Vec::new();
        for (place, order_type) in (0..).zip([OrderType::Stop, OrderType::Limit]) {
            let Some(price) = protect.price(order_type) else {
                continue;
            };
            let id = OrderId(UNDECIDED | entry.0 << 1 | place);
            let exit = OrderDecided {
                side: decided.side.opposite(),
                order_type,
                time_in_force: TimeInForce::GoodTillCancel,
                price,
                worst_price: None,
                protect: None,
                attached_to: Some(entry),
                ..*decided
            };
            self.add(id, &exit, at, now);
            if let Some(tracked) = self.orders.get_mut(&id) {
                tracked.untold = Some(Untold::default());
            }
            left.push(id);
        }
        let exits = Exits {
            strategy: decided.strategy,
            instrument: decided.instrument,
            side: decided.side.opposite(),
            group: decided.one_of.map(|one_of| one_of.group),
            left,
            given_up: false,
            instead: Vec::new(),
        };
        self.exits.insert(entry, exits);
    }

    /// An entry from before this process: nobody knows what became of its exits. Orders that were decided instead of them and
    /// that nobody has sent are known by now.
    pub(super) fn adopt_exits(
        &mut self,
        entry: OrderId,
        decided: &OrderDecided,
        (protect, replaced): (Protect, bool),
        at: Nanos,
        now: Instant,
    ) {
        self.attach(entry, decided, protect, at, now);
        self.exits_are(entry, OrderState::Unknown, Some(now));
        if replaced {
            let is_instead = |id: &OrderId| {
                let order = self.orders.get(id).map(|it| &it.decided);
                order.is_some_and(|it| {
                    it.attached_to.is_none() && self.instead_of(it) == Some(entry)
                })
            };
            let instead: Vec<OrderId> = self.at_work.iter().copied().filter(is_instead).collect();
            for order in instead {
                self.replace(entry, order);
            }
        }
    }

    /// The exits of an entry were sent, or may have been.
    pub(super) fn exits_are(
        &mut self,
        entry: OrderId,
        state: OrderState,
        look_up: Option<Instant>,
    ) {
        let left = self.exits.get(&entry).map(|it| it.left.clone());
        for id in left.unwrap_or_default() {
            self.report(id, state, None, None);
            if let Some(tracked) = self.orders.get_mut(&id) {
                tracked.lookup_at = look_up;
            }
        }
    }

    /// Orders of one step that are at the venue already, since they went there with their entry.
    pub fn take_over(&mut self, orders: &[(OrderId, OrderDecided, Nanos)], now: Instant) {
        let mut untold: Vec<(OrderId, OrderState, Untold)> = Vec::new();
        for (id, decided, at) in orders {
            let Some(entry) = decided.attached_to else {
                continue;
            };
            let name = self.ids.exit(entry, decided.order_type);
            let known = self.exit_names.get(&name).copied();
            let tracked = known.and_then(|known| {
                self.at_work.remove(&known);
                self.orders.remove(&known)
            });
            if let Some(exits) = self.exits.get_mut(&entry) {
                exits.left.retain(|left| Some(*left) != known);
            }
            self.add(*id, decided, *at, now);
            let Some(new) = self.orders.get_mut(id) else {
                continue;
            };
            if let Some(mut tracked) = tracked {
                if let Some(told) = tracked.untold.take() {
                    untold.push((*id, tracked.state, told));
                }
                *new = Tracked {
                    decided: *decided,
                    decided_at: *at,
                    state: OrderState::Decided,
                    filled: Qty(0),
                    wants_cancel: false,
                    ..tracked
                };
            }
            if let Some(venue_id) = new.venue_id.clone() {
                self.by_venue_id.insert(venue_id, *id);
            }
            self.report(*id, OrderState::Sent, None, None);
        }
        for (id, was, _) in &untold {
            if *was == OrderState::Acked {
                self.report(*id, OrderState::Acked, None, None);
            }
        }
        for (id, _, told) in &mut untold {
            for fill in core::mem::take(&mut told.fills) {
                self.tell_fill(*id, fill);
            }
        }
        // What one of two alternatives filled is told before the other's end.
        for (id, was, told) in untold {
            if was.is_final() && was != OrderState::Filled {
                self.report(id, was, None, told.reason);
            }
        }
        for (id, ..) in orders {
            if let Some(tracked) = self.orders.get_mut(id)
                && (tracked.state == OrderState::Sent
                    || tracked.ending.is_some()
                    || tracked.lookup_at.is_some())
                && !tracked.state.is_final()
            {
                tracked.lookup_at = Some(now);
            }
        }
        self.prune();
    }

    /// Tells a fill of an exit as one of an order on the tape.
    fn tell_fill(&mut self, id: OrderId, fill: Fill) {
        let Some(tracked) = self.orders.get_mut(&id) else {
            return;
        };
        tracked.filled.0 = tracked.filled.0.saturating_add(fill.qty.0);
        let is_all = tracked.filled >= tracked.decided.qty;
        if let Some(booked) = self.fills.get_mut(&(tracked.instrument, fill.fill_id)) {
            booked.order = id;
        }
        let state = if is_all {
            OrderState::Filled
        } else {
            OrderState::PartiallyFilled
        };
        self.report(id, state, Some(fill), None);
    }

    /// The entry whose exits an order is decided instead of, while they may still fill.
    pub fn instead_of(&self, order: &OrderDecided) -> Option<OrderId> {
        // The other of two entries is no exit of the first.
        let group = order.one_of.filter(|_| order.protect.is_none())?.group;
        let is_its = |exits: &Exits| {
            (exits.strategy, exits.instrument, exits.side)
                == (order.strategy, order.instrument, order.side)
                && exits.group == Some(group)
        };
        let mut entries = self.exits.iter().filter(|(_, exits)| is_its(exits));
        entries.next().map(|(entry, _)| *entry)
    }

    /// An order is decided instead of an entry's exits: they are cancelled, and it waits.
    pub fn replace(&mut self, entry: OrderId, order: OrderId) {
        if let Some(exits) = self.exits.get_mut(&entry) {
            exits.instead.push(order);
        }
        self.give_up(entry);
    }

    fn give_up(&mut self, entry: OrderId) {
        let Some(exits) = self.exits.get_mut(&entry) else {
            return;
        };
        exits.given_up = true;
        for id in &exits.left {
            if let Some(tracked) = self.orders.get_mut(id) {
                tracked.wants_cancel = true;
            }
        }
    }

    /// What becomes of orders that wait for an entry's exits to be over.
    pub fn instead(&self, entry: OrderId) -> Instead {
        let Some(exits) = self.exits.get(&entry) else {
            return Instead::Goes;
        };
        let mut left = exits.left.iter().filter_map(|id| self.orders.get(id));
        if left.clone().any(|exit| !exit.state.is_final()) {
            Instead::Waits
        } else if left.any(|exit| exit.filled > Qty(0)) {
            Instead::IsOff
        } else {
            Instead::Goes
        }
    }

    /// Orders that waited for an entry's exits went out, or are off: those that are off end here.
    pub fn decided_instead(&mut self, entry: OrderId, off: &[OrderId]) {
        for id in off {
            if self.state(*id).is_some_and(|state| !state.is_final()) {
                self.report(*id, OrderState::Cancelled, None, Some(VenueReason::Other));
            }
        }
        if let Some(exits) = self.exits.get_mut(&entry) {
            exits.instead.clear();
        }
        self.prune();
    }

    /// Keeps entries and their exits together; asked at every turn.
    pub fn settle_exits(&mut self, now: Instant) {
        let entries: Vec<OrderId> = self.exits.keys().copied().collect();
        for entry in entries {
            self.settle_exits_of(entry, now);
        }
        self.prune();
    }

    fn settle_exits_of(&mut self, entry: OrderId, now: Instant) {
        let Some(exits) = self.exits.get(&entry) else {
            return;
        };
        let is_spent = |id: &OrderId| {
            let exit = self.orders.get(id);
            exit.is_some_and(|exit| exit.state.is_final() || exit.filled > Qty(0))
        };
        let any_spent = exits.left.iter().any(is_spent);
        let given_up = exits.given_up;
        let known = self.orders.get_mut(&entry);
        let (is_over, filled) = known
            .as_ref()
            .map_or((true, true), |it| (it.state.is_final(), it.filled > Qty(0)));
        if let Some(known) = known
            && any_spent
            && !is_over
        {
            known.wants_cancel = true;
        }
        if is_over && !filled && !given_up {
            // The venue ends them with their entry; one that is still there is cancelled.
            self.give_up(entry);
            self.exits_are(entry, OrderState::Unknown, Some(now));
        }
        if given_up {
            self.book_given_up(entry);
        }
    }

    /// What exits filled that were given up belongs to what was decided instead: to the same kind of order first.
    fn book_given_up(&mut self, entry: OrderId) {
        let Some(exits) = self.exits.get(&entry) else {
            return;
        };
        let (left, instead) = (exits.left.clone(), exits.instead.clone());
        for exit in left {
            let Some(tracked) = self.orders.get_mut(&exit) else {
                continue;
            };
            let order_type = tracked.decided.order_type;
            let Some(untold) = &mut tracked.untold else {
                continue;
            };
            let fills = core::mem::take(&mut untold.fills);
            let mut kept = Vec::new();
            for fill in fills {
                let has_room = |id: &&OrderId| {
                    self.orders.get(id).is_some_and(|order| {
                        order.decided.qty.0.saturating_sub(order.filled.0) >= fill.qty.0
                    })
                };
                let is_alike = |id: &&OrderId| {
                    self.orders
                        .get(id)
                        .is_some_and(|order| order.decided.order_type == order_type)
                };
                let mut roomy = instead.iter().filter(has_room);
                let owner = roomy.clone().find(is_alike).or(roomy.next()).copied();
                let Some(owner) = owner else {
                    kept.push(fill);
                    continue;
                };
                self.tell_fill(owner, fill);
            }
            if let Some(untold) = self.orders.get_mut(&exit).and_then(|it| it.untold.as_mut()) {
                untold.fills = kept;
            }
        }
    }

    /// Forgets exits that are over and that nobody waits for.
    fn prune(&mut self) {
        let orders = &self.orders;
        let is_over = |id: &OrderId| orders.get(id).is_none_or(|it| it.state.is_final());
        let is_spent = |_: &OrderId, exits: &mut Exits| {
            let is_settled = exits.left.is_empty() || exits.given_up;
            is_settled && exits.instead.iter().all(is_over) && exits.left.iter().all(is_over)
        };
        let spent: Vec<Exits> = self
            .exits
            .extract_if(.., is_spent)
            .map(|(_, it)| it)
            .collect();
        for id in spent.into_iter().flat_map(|exits| exits.left) {
            if let Some(tracked) = self.orders.remove(&id) {
                self.exit_names.remove(&tracked.client_id);
                if let Some(venue_id) = tracked.venue_id {
                    self.by_venue_id.remove(&venue_id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
