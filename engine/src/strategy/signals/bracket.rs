//! Orders that belong together: one or two entries of which one cancels the other, and once there is a position its
//! stop-loss and target, of which one cancels the other too.
//!
//! A state machine that is told of frames and answers with [`Action`]s. It compares what should be working with what is,
//! so that partial fills, refusals and reports in any order end in the same place:
//! - The first fill of an entry cancels the other entry. If that fills too, somebody is called and everything is left.
//! - Where the venue holds an entry's stop-loss and target they are decided once the entry is over, elsewhere from its first
//!   fill on.
//! - Stop-loss and target follow what is held: more is added, less is cancelled and, once the cancel is sure, set anew.
//! - A stop-loss that does not stand (denied, rejected, ended by the venue) calls somebody and leaves at the market.
//! - Leaving cancels all that works first and sends the market order when the cancels are sure: otherwise a stop that
//!   fills meanwhile would turn the position round.
use crate::event::{Alarm, ExecutionReport, IntentState};
use crate::id::{InstrumentId, OrderId};
use crate::number::{Price, Qty};
use crate::order::{OrderState, OrderType, Protect, Side, TimeInForce};
use crate::strategy::GateName;
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// What an order is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Role {
    /// Opens a position by buying.
    BuyEntry,
    /// Opens a position by selling.
    SellEntry,
    /// Closes it at a loss.
    Stop,
    /// Closes it at a gain.
    Target,
    /// Closes it at the market.
    Exit,
}

impl Role {
    const ALL: [Role; 5] = [
        Role::BuyEntry,
        Role::SellEntry,
        Role::Stop,
        Role::Target,
        Role::Exit,
    ];

    const fn entry(side: Side) -> Self {
        match side {
            Side::Buy => Role::BuyEntry,
            Side::Sell => Role::SellEntry,
        }
    }

    const fn entry_side(self) -> Option<Side> {
        match self {
            Role::BuyEntry => Some(Side::Buy),
            Role::SellEntry => Some(Side::Sell),
            Role::Stop | Role::Target | Role::Exit => None,
        }
    }

    /// Whether an order of the role opens a position.
    pub(super) const fn is_entry(self) -> bool {
        self.entry_side().is_some()
    }

    /// What a strategy calls the order of that role of a bracket; never 0.
    const fn tag(self, bracket: u32) -> u64 {
        (bracket as u64) << 3 | self as u64
    }

    /// The bracket and role that a tag names.
    pub(super) fn of_tag(tag: u64) -> Option<(u32, Role)> {
        let role = Role::ALL.get((tag & 7) as usize)?;
        Some((u32::try_from(tag >> 3).ok()?, *role))
    }
}

/// What the strategy should ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Action {
    /// An order.
    Order {
        instrument: InstrumentId,
        side: Side,
        order_type: OrderType,
        time_in_force: TimeInForce,
        price: Price,
        qty: Qty,
        tag: u64,
        protect: Option<Protect>,
    },
    /// A cancel.
    Cancel(OrderId),
    /// A look at the bracket of that number at that time.
    Timer(Nanos, u32),
    /// A call; the value is a quantity.
    Alarm(InstrumentId, Alarm, Qty),
    /// An intent's new state, its order and why it was refused.
    Intent(String, IntentState, Option<OrderId>, Option<GateName>),
}

/// An entry with what protects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub side: Side,
    pub order_type: OrderType,
    /// Limit or trigger; zero for a market order.
    pub price: Price,
    pub qty: Qty,
    pub stop_loss: Option<Price>,
    pub target: Option<Price>,
    /// It was asked for; an entry is asked for once.
    asked: bool,
}

impl Entry {
    pub(super) const fn new(
        side: Side,
        order_type: OrderType,
        price: Price,
        qty: Qty,
        stop_loss: Option<Price>,
        target: Option<Price>,
    ) -> Self {
        Self {
            side,
            order_type,
            price,
            qty,
            stop_loss,
            target,
            asked: false,
        }
    }
}

/// An order of the bracket. Ended ones stay, for fills that come after a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Leg {
    id: OrderId,
    role: Role,
    side: Side,
    left: i64,
    /// The venue holds its exits until it fills.
    protected: bool,
    cancelling: bool,
    ended: bool,
}

/// A wish that no frame has answered yet. Answers come within the step, so one from an earlier time was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    role: Role,
    qty: i64,
    at: Nanos,
}

/// Where a bracket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// No entry has filled.
    Entering,
    /// There is or was a position.
    Open,
    /// Everything is taken back and closed.
    Leaving,
    /// Nothing works and nothing is held.
    Done,
}

/// When a bracket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Times {
    /// Entries are cancelled.
    pub expires_at: Nanos,
    /// The position is left; the end of time for never.
    pub leaves_at: Nanos,
}

/// Entries, stop-loss and target of one trade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bracket {
    pub number: u32,
    pub instrument: InstrumentId,
    pub made_at: Nanos,
    pub times: Times,
    pub stage: Stage,
    entries: Vec<Entry>,
    legs: Vec<Leg>,
    asked: Vec<Asked>,
    /// Signed: the sum of the fills.
    pub net: i64,
    /// The side that filled first.
    pub side: Option<Side>,
    /// A stop-loss or target has filled: the position only shrinks from here on.
    exited: bool,
    /// Entries are taken back.
    withdrawn: bool,
    target_refused: bool,
    /// No try to leave before.
    exit_after: Nanos,
}

impl Bracket {
    pub(super) fn new(
        number: u32,
        instrument: InstrumentId,
        now: Nanos,
        times: Times,
        out: &mut Vec<Action>,
    ) -> Self {
        out.push(Action::Timer(times.expires_at, number));
        if times.leaves_at != times.expires_at && times.leaves_at < Nanos(u64::MAX) {
            out.push(Action::Timer(times.leaves_at, number));
        }
        Self {
            number,
            instrument,
            made_at: now,
            times,
            stage: Stage::Entering,
            entries: Vec::new(),
            legs: Vec::new(),
            asked: Vec::new(),
            net: 0,
            side: None,
            exited: false,
            withdrawn: false,
            target_refused: false,
            exit_after: Nanos(0),
        }
    }

    pub(super) fn add_entry(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// The entry of a side.
    pub(super) fn entry(&self, side: Side) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.side == side)
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// The bracket's orders that work as entries.
    pub(super) fn working_entries(&self) -> impl Iterator<Item = OrderId> + '_ {
        self.legs
            .iter()
            .filter(|leg| !leg.ended && leg.role.is_entry())
            .map(|leg| leg.id)
    }

    /// Whether an order is the bracket's.
    pub(super) fn has(&self, order: OrderId) -> bool {
        self.legs.iter().any(|leg| leg.id == order)
    }

    /// The side of one of its orders.
    pub(super) fn side_of(&self, order: OrderId) -> Option<Side> {
        self.legs
            .iter()
            .find(|leg| leg.id == order)
            .map(|leg| leg.side)
    }

    /// Takes the entries back.
    pub(super) const fn withdraw(&mut self) {
        self.withdrawn = true;
    }

    /// An order of the bracket passed the risk gate.
    pub(super) fn decided(
        &mut self,
        id: OrderId,
        role: Role,
        (side, qty): (Side, Qty),
        protected: bool,
    ) {
        self.answered(role);
        self.legs.push(Leg {
            id,
            role,
            side,
            left: qty.0,
            protected,
            cancelling: false,
            ended: false,
        });
    }

    /// An order of the bracket was denied; `retry_at` is when to try again to leave.
    pub(super) fn denied(&mut self, retry_at: Nanos, role: Role, out: &mut Vec<Action>) {
        self.answered(role);
        self.refused(retry_at, role, out);
    }

    fn answered(&mut self, role: Role) {
        if let Some(place) = self.asked.iter().position(|asked| asked.role == role) {
            self.asked.remove(place);
        }
    }

    /// Neither we nor anybody else has the order any more, and it was not we who took it back.
    fn refused(&mut self, retry_at: Nanos, role: Role, out: &mut Vec<Action>) {
        match role {
            Role::Stop if self.stage == Stage::Open && self.net != 0 => {
                self.alarm(Alarm::Unprotected, self.net, out);
                self.stage = Stage::Leaving;
            }
            Role::Target => self.target_refused = true,
            Role::Exit => {
                self.exit_after = retry_at;
                out.push(Action::Timer(self.exit_after, self.number));
            }
            Role::Stop | Role::BuyEntry | Role::SellEntry => {}
        }
    }

    fn alarm(&self, alarm: Alarm, qty: i64, out: &mut Vec<Action>) {
        let qty = Qty(qty.saturating_abs());
        out.push(Action::Alarm(self.instrument, alarm, qty));
    }

    /// The wish to cancel one of its orders is on the tape.
    pub(super) fn cancel_decided(&mut self, id: OrderId) {
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.id == id) {
            leg.cancelling = true;
        }
    }

    /// A report on one of its orders; `retry_at` is when to try again to leave.
    pub(super) fn reported(
        &mut self,
        retry_at: Nanos,
        report: &ExecutionReport,
        out: &mut Vec<Action>,
    ) {
        let Some(place) = self.legs.iter().position(|leg| leg.id == report.order) else {
            return;
        };
        if let Some(fill) = &report.fill {
            let leg = &mut self.legs[place];
            leg.left -= fill.qty.0;
            let (role, side) = (leg.role, leg.side);
            self.net = self
                .net
                .saturating_add(side.sign().saturating_mul(fill.qty.0));
            self.filled(role, fill.qty.0, out);
        }
        let leg = &mut self.legs[place];
        let (role, unasked) = (leg.role, !leg.cancelling);
        match report.state {
            OrderState::Unknown if role == Role::Stop && self.stage == Stage::Open => {
                self.alarm(Alarm::Unprotected, self.net, out);
            }
            state if state.is_final() && !leg.ended => {
                leg.ended = true;
                if leg.left > 0 && unasked {
                    self.refused(retry_at, role, out);
                }
            }
            _ => {}
        }
    }

    fn filled(&mut self, role: Role, qty: i64, out: &mut Vec<Action>) {
        match (role.entry_side(), self.side) {
            (Some(side), None) => {
                self.side = Some(side);
                if self.stage == Stage::Entering {
                    self.stage = Stage::Open;
                }
            }
            (Some(side), Some(first)) if side != first => {
                self.alarm(Alarm::BothEntriesFilled, qty, out);
                self.stage = Stage::Leaving;
            }
            (Some(_), Some(_)) => {}
            (None, _) => self.exited = true,
        }
        if self.stage == Stage::Done && self.net != 0 && !self.is_open_ended() {
            self.stage = Stage::Leaving;
        }
    }

    /// Compares what should be working with what is, and asks for the difference.
    pub(super) fn settle(&mut self, now: Nanos, out: &mut Vec<Action>) {
        self.asked.retain(|asked| asked.at == now);
        let is_over = matches!(self.stage, Stage::Leaving | Stage::Done);
        if !is_over && now >= self.times.leaves_at {
            self.stage = Stage::Leaving;
        }
        if self.stage == Stage::Open && self.side.is_some_and(|side| self.net * side.sign() < 0) {
            // Stop-loss and target both filled before one could cancel the other.
            self.alarm(Alarm::Reconcile, self.net, out);
            self.stage = Stage::Leaving;
        }
        self.take_back_entries(now, out);
        match self.stage {
            Stage::Entering => self.enter(now, out),
            Stage::Open => self.protect(now, out),
            Stage::Leaving => self.leave(now, out),
            Stage::Done => {}
        }
        let is_flat =
            self.net == 0 && self.asked.is_empty() && self.legs.iter().all(|leg| leg.ended);
        let is_spent = match self.stage {
            Stage::Entering => {
                now >= self.times.expires_at
                    || self.withdrawn
                    || self.entries.iter().all(|entry| entry.asked)
            }
            Stage::Open | Stage::Leaving => true,
            Stage::Done => false,
        };
        let is_handed_over = self.stage == Stage::Open
            && self.is_open_ended()
            && self.legs.iter().all(|leg| leg.ended);
        if (is_flat && is_spent) || is_handed_over {
            self.stage = Stage::Done;
        }
    }

    /// Whether a position stays with whoever asked for it: nothing protects it and nothing ends it.
    fn is_open_ended(&self) -> bool {
        let is_bare = |entry: &Entry| entry.stop_loss.is_none() && entry.target.is_none();
        self.times.leaves_at == Nanos(u64::MAX) && self.entries.iter().all(is_bare)
    }

    fn take_back_entries(&mut self, now: Nanos, out: &mut Vec<Action>) {
        let all = self.withdrawn
            || self.exited
            || now >= self.times.expires_at
            || matches!(self.stage, Stage::Leaving | Stage::Done);
        for leg in &mut self.legs {
            let unwanted = |side| all || self.side.is_some_and(|first| first != side);
            if leg.role.entry_side().is_some_and(unwanted) {
                cancel(leg, out);
            }
        }
    }

    fn enter(&mut self, now: Nanos, out: &mut Vec<Action>) {
        if self.withdrawn || now >= self.times.expires_at {
            return;
        }
        for place in 0..self.entries.len() {
            let entry = self.entries[place];
            if !entry.asked {
                self.entries[place].asked = true;
                let role = Role::entry(entry.side);
                self.ask(
                    now,
                    role,
                    entry.side,
                    entry.order_type,
                    entry.price,
                    entry.qty.0,
                    entry.stop_loss.map(|stop| Protect {
                        stop: Some(stop),
                        target: entry.target,
                    }),
                    out,
                );
            }
        }
    }

    fn protect(&mut self, now: Nanos, out: &mut Vec<Action>) {
        let Some(side) = self.side else { return };
        let Some(entry) = self.entry(side).copied() else {
            return;
        };
        // What went to the venue with the entry works there until all of the entry is known: taken over as one, or replaced.
        let is_protected = |leg: &Leg| leg.protected && !leg.ended && leg.role == Role::entry(side);
        if self.legs.iter().any(is_protected) {
            return;
        }
        let held = self.net.saturating_abs();
        if let Some(stop) = entry.stop_loss {
            self.follow(
                now,
                Role::Stop,
                side.opposite(),
                OrderType::Stop,
                stop,
                held,
                out,
            );
        }
        if let Some(target) = entry.target.filter(|_| !self.target_refused) {
            self.follow(
                now,
                Role::Target,
                side.opposite(),
                OrderType::Limit,
                target,
                held,
                out,
            );
        }
    }

    /// Brings the orders of a role to a quantity.
    #[expect(clippy::too_many_arguments, reason = "the attributes of one order")]
    fn follow(
        &mut self,
        now: Nanos,
        role: Role,
        side: Side,
        order_type: OrderType,
        price: Price,
        wanted: i64,
        out: &mut Vec<Action>,
    ) {
        let live = self.live(role);
        let mut surplus = live - wanted;
        let cancelling = |leg: &Leg| leg.role == role && !leg.ended && leg.cancelling;
        if self.legs.iter().any(cancelling) {
            return;
        }
        if surplus < 0 {
            self.ask(now, role, side, order_type, price, -surplus, None, out);
        }
        let working = self.legs.iter_mut().rev();
        for leg in working.filter(|leg| leg.role == role && !leg.ended) {
            if surplus <= 0 {
                break;
            }
            surplus -= leg.left;
            cancel(leg, out);
        }
    }

    fn leave(&mut self, now: Nanos, out: &mut Vec<Action>) {
        let mut is_working = !self.asked.is_empty();
        for leg in self.legs.iter_mut().filter(|leg| !leg.ended) {
            is_working = true;
            if leg.role != Role::Exit {
                cancel(leg, out);
            }
        }
        if !is_working && self.net != 0 && now >= self.exit_after {
            let side = if self.net > 0 { Side::Sell } else { Side::Buy };
            let held = self.net.saturating_abs();
            self.ask(
                now,
                Role::Exit,
                side,
                OrderType::Market,
                Price(0),
                held,
                None,
                out,
            );
        }
    }

    /// What works for a role or was asked for.
    fn live(&self, role: Role) -> i64 {
        let working = self
            .legs
            .iter()
            .filter(|leg| leg.role == role && !leg.ended);
        let asked = self.asked.iter().filter(|asked| asked.role == role);
        working.map(|leg| leg.left).sum::<i64>() + asked.map(|asked| asked.qty).sum::<i64>()
    }

    #[expect(clippy::too_many_arguments, reason = "the attributes of one order")]
    fn ask(
        &mut self,
        now: Nanos,
        role: Role,
        side: Side,
        order_type: OrderType,
        price: Price,
        qty: i64,
        protect: Option<Protect>,
        out: &mut Vec<Action>,
    ) {
        self.asked.push(Asked { role, qty, at: now });
        let time_in_force = match order_type {
            OrderType::Market => TimeInForce::ImmediateOrCancel,
            OrderType::Limit | OrderType::Stop => TimeInForce::GoodTillCancel,
        };
        out.push(Action::Order {
            instrument: self.instrument,
            side,
            order_type,
            time_in_force,
            price,
            qty: Qty(qty),
            tag: role.tag(self.number),
            protect,
        });
    }
}

fn cancel(leg: &mut Leg, out: &mut Vec<Action>) {
    if !leg.ended && !leg.cancelling {
        leg.cancelling = true;
        out.push(Action::Cancel(leg.id));
    }
}

#[cfg(test)]
mod tests;
