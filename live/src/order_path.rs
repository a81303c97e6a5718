//! The way of orders out of the journal to one venue, and of what became of them back.
//!
//! It reads whole steps of the journal and sends what they decided: an order goes out only as the frame that approved it,
//! once ([`Approval`]), and never in a process after the one that decided it. Whatever is unclear is looked up. Before
//! anything new goes out the venue and the journal are reconciled: every order is looked up, fills are fetched again,
//! orders of ours that are not at work on the tape are cancelled, and only when nothing is left unclear the venue's holdings
//! go onto the tape as an `AccountReport`, which the core holds against its own.
use crate::budget::Budget;
use crate::client_id::ClientIdScheme;
use crate::inputs::Inputs;
use crate::latency::Latency;
use crate::rehearsal::Rehearsal;
use crate::tracker::{Booked, Instead, Terms, Tracker};
use crate::transport::{Found, Kept, Linked, Transport};
use onetape_engine::event::{
    AccountLost, AccountReport, CashHeld, Event, ExecutionReport, Holding, InstrumentDefined, Kind,
    OrderDecided,
};
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::market::Market;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{Order, OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use onetape_journal::Reader;
use onetape_venues::gateway::{
    AccountFact, Bucket, CancelAnswer, KnownOrder, NewOrder, OrderKey, PlaceAnswer, Query,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

/// Fills are fetched again from this long before what is known.
const FILLS_OVERLAP_NS: u64 = 3_600 * 1_000_000_000;
/// Frames that are read again at the start to know the fills that are on the tape.
pub(crate) const FRAMES_READ_AGAIN: u64 = 1_000_000;
/// How long a reconciliation that failed waits before the next try.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// A cancel that failed is tried again after this.
const CANCEL_AGAIN: Duration = Duration::from_millis(500);

/// How one venue's orders are handled.
#[derive(Clone, Copy, Debug)]
pub struct OrderPathOptions {
    /// An order that the venue does not know is lost this long after it was sent.
    pub lost_after: Duration,
    /// Venue and journal are compared this often.
    pub reconcile_every: Duration,
    /// Orders leave only once their frames are durable.
    pub only_durable: bool,
    /// Whether to look at the journal without pause.
    pub eager: bool,
}

/// The right to send one order: made of its own frame in the journal, used up by sending.
#[derive(Debug)]
struct Approval {
    id: OrderId,
}

/// An order on the tape that this process may send, and when it was decided.
type Decided = (Approval, OrderDecided, Nanos);

/// What an order path shares with others.
#[derive(Debug, Default)]
pub struct OrderPathStatus {
    /// The core decided something: the journal is looked at.
    pub decided: Arc<Notify>,
    /// From the bytes that came in to the signed bytes of the order or cancel that they led to.
    pub latency: Latency,
    /// Whether the venue and the journal agree on everything that we sent.
    pub reconciled: AtomicBool,
    /// Orders sent by this process.
    pub sent: AtomicU64,
}

/// One venue's order path.
pub struct OrderPath {
    venue: String,
    journal: PathBuf,
    reader: Reader,
    transport: Box<dyn Transport>,
    budget: Rc<RefCell<Budget>>,
    inputs: Inputs,
    facts: mpsc::UnboundedReceiver<AccountFact>,
    tracker: Tracker,
    ids: ClientIdScheme,
    instruments: BTreeSet<InstrumentId>,
    options: OrderPathOptions,
    status: Arc<OrderPathStatus>,
    /// Orders of frames before this one belong to another process.
    first_own: u64,
    phase: Phase,
    cancelling: BTreeMap<OrderId, Instant>,
    /// Orders of a step that wait until an entry's exits are over, and that entry.
    waiting: Vec<(OrderId, Vec<Decided>)>,
    fills_since: Nanos,
    next_keep_alive: Option<Instant>,
    rehearsal: Rehearsal,
}

/// How far the reconciliation is.
#[derive(Debug)]
enum Phase {
    /// Orders are looked up until nothing is unclear.
    LookingUp { not_before: Instant },
    /// The account's own lists are under way; facts since then make them old.
    Gathering { activity: u64, trusted: bool },
    /// Venue and journal agree; looked at again then.
    Agreed { again_at: Instant },
}

/// What a task of the order path came back with.
enum Done {
    Placed(OrderId, PlaceAnswer),
    NotPlaced(OrderId, Duration),
    Cancelled(OrderId, CancelAnswer),
    OrphanCancelled,
    LookedUp(OrderId, Found),
    Gathered(Result<Vec<AccountFact>, String>),
    KeptAlive(bool),
}

/// What an order path begins with.
pub struct OrderPathStart<'a> {
    /// The venue's name.
    pub venue: &'a str,
    /// The journal's directory.
    pub journal: &'a Path,
    /// The state that the journal had led to when the daemon started.
    pub market: &'a Market,
    /// Orders that were at work then, and entries whose exits the venue may still hold.
    pub orders: &'a [Order],
    /// The first frame of this process.
    pub first_own: u64,
}

impl OrderPath {
    /// Takes over where the process before this one ended.
    ///
    /// # Errors
    /// Those of reading the journal.
    pub fn new(
        start: &OrderPathStart<'_>,
        transport: Box<dyn Transport>,
        budget: Rc<RefCell<Budget>>,
        inputs: Inputs,
        facts: mpsc::UnboundedReceiver<AccountFact>,
        options: OrderPathOptions,
        status: Arc<OrderPathStatus>,
    ) -> Result<Self, onetape_journal::Error> {
        let mut reader = Reader::open(start.journal)?;
        let ids = ClientIdScheme::new(reader.journal_id());
        let mut path = Self {
            venue: start.venue.to_owned(),
            journal: start.journal.to_owned(),
            tracker: Tracker::new(ids.clone(), options.lost_after),
            ids,
            transport,
            budget,
            inputs,
            facts,
            instruments: BTreeSet::new(),
            options,
            status,
            first_own: start.first_own,
            phase: Phase::LookingUp {
                not_before: Instant::now(),
            },
            cancelling: BTreeMap::new(),
            waiting: Vec::new(),
            fills_since: Nanos(0),
            next_keep_alive: Some(Instant::now()),
            rehearsal: Rehearsal::default(),
            reader: {
                reader.seek(start.first_own)?;
                reader
            },
        };
        let now = Instant::now();
        for instrument in start.market.instruments() {
            if instrument.definition.venue == start.venue {
                path.instruments.insert(instrument.id());
                let terms = Terms {
                    decimals: instrument.decimals(),
                    fees: instrument.fees_at(path.inputs.now()).cloned(),
                };
                path.tracker.set_terms(instrument.id(), terms);
            }
        }
        path.read_fills_again(start.first_own)?;
        for order in start.orders {
            if path.instruments.contains(&order.instrument) {
                path.tracker.adopt(order, now);
            }
        }
        Ok(path)
    }

    /// Fills that are on the tape already must not be told again, and one that is taken back must be known.
    fn read_fills_again(&mut self, first_own: u64) -> Result<(), onetape_journal::Error> {
        let mut reader = Reader::open(&self.journal)?;
        reader.seek(first_own.saturating_sub(FRAMES_READ_AGAIN).max(1))?;
        let mut sides = BTreeMap::new();
        let (decided, report) = (Kind::OrderDecided.number(), Kind::ExecutionReport.number());
        while let Some(frame) = reader.next()? {
            if frame.sequence >= first_own {
                break;
            }
            self.fills_since = Nanos(frame.timestamp_ns.saturating_sub(FILLS_OVERLAP_NS));
            let kind = frame.tag.kind();
            if kind != decided && kind != report {
                continue;
            }
            match Event::decode(kind, frame.payload) {
                Ok(Event::OrderDecided(order)) => {
                    sides.insert(OrderId(frame.sequence), order.side);
                }
                Ok(Event::ExecutionReport(ExecutionReport {
                    order,
                    instrument,
                    fill: Some(fill),
                    ..
                })) => {
                    if let Some(side) = sides.get(&order) {
                        let booked = Booked {
                            order,
                            side: *side,
                            price: fill.price,
                            qty: fill.qty,
                            fee: fill.fee,
                        };
                        self.tracker.knows_fill(instrument, fill.fill_id, booked);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Runs until `stop`; orders at work then are left or taken back by whoever stops.
    ///
    /// # Errors
    /// Those of reading the journal: nothing goes out after it.
    pub async fn run(mut self, stop: &AtomicBool) -> Result<(), onetape_journal::Error> {
        let mut tasks: JoinSet<Done> = JoinSet::new();
        self.tracker.look_up_everything(Instant::now());
        loop {
            // First, for an order that waits: everything below can wait for it.
            let mut idle = !self.read_journal(&mut tasks)?;
            while let Ok(fact) = self.facts.try_recv() {
                idle = false;
                self.fact(fact);
            }
            while let Some(done) = tasks.try_join_next() {
                idle = false;
                if let Ok(done) = done {
                    self.done(done, &mut tasks);
                }
            }
            self.settle_exits(&mut tasks);
            self.look_up(&mut tasks);
            self.cancel_due(&mut tasks);
            self.reconcile(&mut tasks);
            self.keep_alive(&mut tasks);
            for report in self.tracker.take_reports() {
                idle = false;
                if !self.inputs.event(&report) {
                    return Ok(());
                }
            }
            if stop.load(Ordering::Acquire) && tasks.is_empty() {
                return Ok(());
            }
            if self.options.eager || !idle {
                tokio::task::yield_now().await;
                if idle {
                    self.rehearsal.play(&mut *self.transport, self.inputs.now());
                    // Whoever has something to bring may need this processor; last, so that what it brought comes next.
                    std::thread::yield_now();
                }
            } else {
                // Durability is nobody's event, so it is looked at every millisecond.
                let rest = Duration::from_millis(if self.options.only_durable { 1 } else { 20 });
                tokio::select! {
                    () = self.status.decided.notified() => {}
                    Some(fact) = self.facts.recv() => self.fact(fact),
                    Some(Ok(done)) = tasks.join_next() => self.done(done, &mut tasks),
                    () = tokio::time::sleep(rest) => {}
                }
            }
        }
    }

    /// Reads whole steps and starts what they decided; true when there was something.
    fn read_journal(&mut self, tasks: &mut JoinSet<Done>) -> Result<bool, onetape_journal::Error> {
        const FRAMES_AT_ONCE: usize = 1_024;
        const FOR_ORDERS: [Kind; 4] = [
            Kind::OrderDecided,
            Kind::CancelDecided,
            Kind::InstrumentDefined,
            Kind::FeeSchedule,
        ];
        let mut any = false;
        let mut decided: Vec<Decided> = Vec::new();
        let mut cancels: Vec<(OrderId, Nanos)> = Vec::new();
        for _ in 0..FRAMES_AT_ONCE {
            let at = self.reader.next_sequence();
            let durable = !self.options.only_durable || self.reader.durable()? >= at;
            if !durable {
                break;
            }
            let Some(frame) = self.reader.next()? else {
                // The step's rest is not there yet: begin at its first frame again.
                if let Some((first, ..)) = decided.first() {
                    self.reader.seek(first.id.0)?;
                }
                return Ok(any);
            };
            any = true;
            let (sequence, stamp) = (frame.sequence, Nanos(frame.timestamp_ns));
            let (kind, ends_step) = (frame.tag.kind(), frame.tag.ends_step());
            let own = sequence >= self.first_own;
            // Most frames are market data, which nothing here needs.
            let event = FOR_ORDERS
                .iter()
                .any(|known| known.number() == kind)
                .then(|| Event::decode(kind, frame.payload));
            match event {
                Some(Ok(Event::OrderDecided(order)))
                    if own && self.instruments.contains(&order.instrument) =>
                {
                    let id = OrderId(sequence);
                    decided.push((Approval { id }, order, stamp));
                }
                Some(Ok(Event::CancelDecided(cancel)))
                    if own && self.instruments.contains(&cancel.instrument) =>
                {
                    cancels.push((cancel.order, stamp));
                }
                Some(Ok(Event::InstrumentDefined(definition))) => self.define(&definition),
                Some(Ok(Event::FeeSchedule(schedule))) => {
                    self.tracker.set_fees(schedule.instrument, *schedule);
                }
                _ => {}
            }
            if ends_step && !(decided.is_empty() && cancels.is_empty()) {
                self.step(core::mem::take(&mut decided), tasks);
                for (id, at) in cancels.drain(..) {
                    if self.tracker.wants_cancel(id) {
                        self.cancel(id, tasks);
                        self.status.latency.record(self.inputs.wall_since(at));
                    }
                }
            }
        }
        if let Some((first, ..)) = decided.first() {
            self.reader.seek(first.id.0)?;
        }
        Ok(any)
    }

    fn define(&mut self, definition: &InstrumentDefined) {
        if definition.venue == self.venue {
            self.instruments.insert(definition.instrument);
            let terms = Terms {
                decimals: definition.decimals,
                fees: None,
            };
            self.tracker.set_terms(definition.instrument, terms);
        }
    }

    /// Sends what a step decided: what went to the venue with its entry is there already, and what is decided instead of
    /// such exits waits until they are over.
    fn step(&mut self, decided: Vec<Decided>, tasks: &mut JoinSet<Done>) {
        let now = Instant::now();
        let (attached, others): (Vec<_>, Vec<_>) = decided
            .into_iter()
            .partition(|(_, order, _)| order.attached_to.is_some());
        let attached: Vec<_> = attached
            .into_iter()
            .map(|(approval, order, at)| (approval.id, order, at))
            .collect();
        self.tracker.take_over(&attached, now);
        let (mut to_send, mut waiting) = (Vec::with_capacity(others.len()), BTreeMap::new());
        for (approval, order, at) in others {
            let id = approval.id;
            self.tracker.decided(id, &order, at, now);
            let instead_of = self.tracker.instead_of(&order);
            if let Some(entry) = instead_of {
                self.tracker.replace(entry, id);
            }
            let orders = instead_of.map_or(&mut to_send, |entry| waiting.entry(entry).or_default());
            orders.push((approval, order, at));
        }
        self.waiting.extend(waiting);
        self.send(to_send, tasks);
    }

    /// Sends orders of one step, alternatives as one group.
    fn send(&mut self, decided: Vec<Decided>, tasks: &mut JoinSet<Done>) {
        let groups: Vec<Option<String>> = groups(&decided)
            .map(|first| Some(self.ids.group(first?)))
            .collect();
        for ((approval, _, at), group) in decided.into_iter().zip(groups) {
            self.place(approval, group.as_deref(), at, tasks);
        }
    }

    /// Looks after exits that went out with entries, and sends what waited for them to be over.
    fn settle_exits(&mut self, tasks: &mut JoinSet<Done>) {
        self.tracker.settle_exits(Instant::now());
        let waiting: Vec<_> = core::mem::take(&mut self.waiting)
            .into_iter()
            .map(|(entry, orders)| (self.tracker.instead(entry), entry, orders))
            .collect();
        for (becomes, entry, orders) in waiting {
            if becomes == Instead::Waits {
                self.waiting.push((entry, orders));
                continue;
            }
            let is_off = |id| becomes == Instead::IsOff || self.tracker.is_unwanted(id);
            let (off, to_send): (Vec<_>, Vec<_>) = orders
                .into_iter()
                .partition(|(approval, ..)| is_off(approval.id));
            let off: Vec<OrderId> = off.into_iter().map(|(approval, ..)| approval.id).collect();
            self.tracker.decided_instead(entry, &off);
            self.send(to_send, tasks);
        }
    }

    /// Sends an approved order. The approval is used up: nothing can be sent a second time.
    fn place(
        &mut self,
        approval: Approval,
        group: Option<&str>,
        at: Nanos,
        tasks: &mut JoinSet<Done>,
    ) {
        let now = Instant::now();
        let id = approval.id;
        let Some(known) = self.tracker.known(id) else {
            return;
        };
        let exits = self.tracker.exits(id);
        let exits_group = (!exits.is_empty()).then(|| self.ids.exits(id));
        let linked = Linked {
            group,
            exits: &exits,
            exits_group: exits_group.as_deref(),
        };
        let sending = match self
            .transport
            .place(&known.order, &linked, self.inputs.now())
        {
            Ok(sending) => sending,
            Err(refusal) => {
                tracing::warn!(order = id.0, %refusal, "not sent");
                self.tracker.refused(id);
                return;
            }
        };
        let taken = self
            .budget
            .borrow_mut()
            .take(Bucket::Write, sending.weight, now);
        if let Err(wait) = taken {
            tasks.spawn_local(async move { Done::NotPlaced(id, wait) });
            return;
        }
        self.status.latency.record(self.inputs.wall_since(at));
        if self.options.eager {
            self.rehearsal.sent(Kept::new(&known.order, None), now);
        }
        self.tracker.sent(id, now);
        self.status.sent.fetch_add(1, Ordering::Relaxed);
        tasks.spawn_local(async move { Done::Placed(id, sending.answer.await) });
    }

    fn cancel(&mut self, id: OrderId, tasks: &mut JoinSet<Done>) {
        let now = Instant::now();
        let Some(known) = self.tracker.known(id) else {
            return;
        };
        let sending = self.transport.cancel(&known, self.inputs.now());
        self.cancelling.insert(id, now + CANCEL_AGAIN);
        let Ok(sending) = sending else { return };
        if self
            .budget
            .borrow_mut()
            .take(Bucket::Cancel, sending.weight, now)
            .is_err()
        {
            return;
        }
        // Not again before its answer, or before that must have failed.
        self.cancelling.insert(id, now + Duration::from_secs(10));
        tasks.spawn_local(async move { Done::Cancelled(id, sending.answer.await) });
    }

    fn cancel_due(&mut self, tasks: &mut JoinSet<Done>) {
        let now = Instant::now();
        for id in self.tracker.to_cancel() {
            if self.cancelling.get(&id).is_none_or(|at| *at <= now) {
                self.cancel(id, tasks);
            }
        }
        let tracker = &self.tracker;
        let open = |id: &OrderId| tracker.state(*id).is_some_and(|state| !state.is_final());
        self.cancelling.retain(|id, _| open(id));
    }

    fn look_up(&mut self, tasks: &mut JoinSet<Done>) {
        let now = Instant::now();
        for id in self.tracker.to_look_up(now) {
            let Some(known) = self.tracker.known(id) else {
                continue;
            };
            let sending = self.transport.look_up(&known, self.inputs.now());
            if self
                .budget
                .borrow_mut()
                .take(Bucket::Read, sending.weight, now)
                .is_err()
            {
                return;
            }
            self.tracker.looking_up(id, now);
            tasks.spawn_local(async move { Done::LookedUp(id, sending.answer.await) });
        }
    }

    fn done(&mut self, done: Done, tasks: &mut JoinSet<Done>) {
        let now = Instant::now();
        match done {
            Done::Placed(id, answer) => {
                match &answer {
                    PlaceAnswer::Busy {
                        retry_after_ms,
                        why,
                    } => {
                        tracing::warn!(venue = self.venue, why, "the venue wants quiet");
                        self.budget.borrow_mut().quiet(*retry_after_ms, now);
                    }
                    PlaceAnswer::Rejected { why } => {
                        tracing::warn!(venue = self.venue, order = id.0, why, "rejected");
                    }
                    PlaceAnswer::Unknown { why } => {
                        tracing::warn!(venue = self.venue, order = id.0, why, "outcome unknown");
                    }
                    PlaceAnswer::Accepted { .. } | PlaceAnswer::Duplicate => {}
                }
                self.tracker.answered(id, answer, now);
            }
            Done::NotPlaced(id, wait) => {
                let busy = PlaceAnswer::Busy {
                    retry_after_ms: wait.as_millis() as u64,
                    why: "our own allowance is used up".to_owned(),
                };
                self.tracker.answered(id, busy, now);
            }
            Done::Cancelled(id, answer) => {
                if let CancelAnswer::Busy { retry_after_ms, .. } = &answer {
                    self.budget.borrow_mut().quiet(*retry_after_ms, now);
                }
                if self.tracker.cancel_answered(id, answer, now) {
                    self.cancelling.insert(id, now + CANCEL_AGAIN);
                }
            }
            Done::LookedUp(id, found) => {
                // What was told before the answer counts before it.
                while let Ok(fact) = self.facts.try_recv() {
                    self.fact(fact);
                }
                self.looked_up(id, found, now);
            }
            Done::Gathered(result) => self.gathered(result, tasks),
            Done::OrphanCancelled => {}
            Done::KeptAlive(true) => {}
            Done::KeptAlive(false) => {
                let venue = &self.venue;
                tracing::warn!(venue, "the venue did not take the sign of life");
            }
        }
    }

    fn looked_up(&mut self, id: OrderId, found: Found, now: Instant) {
        let Found { mut facts, known } = found;
        // Fills first: a final state waits for them.
        facts.sort_by_key(|fact| !matches!(fact, AccountFact::Fill(_)));
        for fact in facts {
            self.tracker.fact(fact, now);
        }
        self.tracker.looked_up(id, known, now);
    }

    fn fact(&mut self, fact: AccountFact) {
        if fact == AccountFact::Resync {
            self.lost("the account's connection began anew");
            self.tracker.look_up_everything(Instant::now());
            self.phase = Phase::LookingUp {
                not_before: Instant::now(),
            };
            return;
        }
        self.tracker.fact(fact, Instant::now());
    }

    fn lost(&self, why: &str) {
        self.status.reconciled.store(false, Ordering::Release);
        let lost = AccountLost {
            venue: self.venue.clone(),
            why: why.to_owned(),
        };
        self.inputs.event(&Event::AccountLost(Box::new(lost)));
    }

    fn reconcile(&mut self, tasks: &mut JoinSet<Done>) {
        let now = Instant::now();
        let trusted = match self.phase {
            Phase::LookingUp { not_before } if not_before <= now && self.tracker.is_clear() => {
                false
            }
            Phase::Agreed { again_at } if again_at <= now && self.tracker.is_clear() => true,
            _ => return,
        };
        self.phase = Phase::Gathering {
            activity: self.tracker.activity(),
            trusted,
        };
        let queries = [
            Query::Fills {
                since: self.fills_since,
                of: self.tracker.filled_so_far().into(),
            },
            Query::OpenOrders,
            Query::Holdings,
            Query::Balances,
        ];
        let asked = queries.map(|query| self.transport.ask(query));
        tasks.spawn_local(async move {
            let mut facts = Vec::new();
            for answer in asked {
                match answer.await {
                    Ok(told) => facts.extend(told),
                    Err(why) => return Done::Gathered(Err(why)),
                }
            }
            Done::Gathered(Ok(facts))
        });
    }

    fn gathered(&mut self, result: Result<Vec<AccountFact>, String>, tasks: &mut JoinSet<Done>) {
        let now = Instant::now();
        let Phase::Gathering { activity, trusted } = self.phase else {
            return;
        };
        let later = Phase::LookingUp {
            not_before: now + TRY_AGAIN,
        };
        let facts = match result {
            Ok(facts) => facts,
            Err(why) => {
                tracing::warn!(venue = self.venue, why, "could not reconcile");
                self.phase = later;
                return;
            }
        };
        let quiet = self.tracker.activity() == activity;
        let (mut holdings, mut cash, mut orphans) = (Vec::new(), Vec::new(), Vec::new());
        for fact in facts {
            match fact {
                AccountFact::Holding(held) => holdings.push(Holding {
                    instrument: held.instrument,
                    qty: held.qty,
                }),
                AccountFact::Balance(balance) => cash.push(CashHeld {
                    total: balance.free + balance.locked,
                    currency: balance.currency,
                }),
                AccountFact::Order(order)
                    if self.tracker.is_orphan(&order.key)
                        || (quiet && self.tracker.is_over(&order.key)) =>
                {
                    orphans.push((order.key, order.instrument));
                }
                // An order at work that is known tells nothing that its own reports did not: only its fills do.
                fact @ AccountFact::Fill(_) => self.tracker.fact(fact, now),
                _ => {}
            }
        }
        // An exit that nobody decided could fill beside what is decided now: agreed only once none is left.
        let no_exits = !orphans.iter().any(|(key, _)| self.tracker.is_exit(key));
        for (key, instrument) in orphans {
            self.cancel_orphan(&key, instrument, tasks);
        }
        let unchanged =
            quiet && no_exits && self.tracker.has_nothing_to_report() && self.facts.is_empty();
        if !unchanged || !self.tracker.is_clear() {
            // Something moved while the lists were read: they may be older than what is known. Again, soon.
            self.phase = if trusted {
                Phase::Agreed {
                    again_at: now + TRY_AGAIN,
                }
            } else {
                Phase::LookingUp { not_before: now }
            };
            return;
        }
        let report = AccountReport {
            venue: self.venue.clone(),
            holdings,
            cash,
        };
        self.inputs.event(&Event::AccountReport(Box::new(report)));
        self.status.reconciled.store(true, Ordering::Release);
        self.fills_since = Nanos(self.inputs.now().0.saturating_sub(FILLS_OVERLAP_NS));
        self.phase = Phase::Agreed {
            again_at: now + self.options.reconcile_every,
        };
    }

    /// An order that is ours by name and not at work on the tape: it can't be managed, so it goes.
    fn cancel_orphan(
        &mut self,
        key: &OrderKey,
        instrument: InstrumentId,
        tasks: &mut JoinSet<Done>,
    ) {
        let Some(client_id) = &key.client_id else {
            return;
        };
        let order = NewOrder {
            order: OrderId(0),
            client_id,
            instrument,
            side: Side::Buy,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::GoodTillCancel,
            price: Price(0),
            worst_price: Price(0),
            qty: Qty(0),
            decided_at: Nanos(0),
        };
        let known = KnownOrder {
            order,
            venue_id: key.venue_id.as_deref(),
        };
        let Ok(sending) = self.transport.cancel(&known, self.inputs.now()) else {
            return;
        };
        tracing::warn!(
            venue = self.venue,
            client_id,
            "an order of ours that is not at work on the tape is cancelled"
        );
        tasks.spawn_local(async move {
            sending.answer.await;
            Done::OrphanCancelled
        });
    }

    fn keep_alive(&mut self, tasks: &mut JoinSet<Done>) {
        let now = Instant::now();
        if self.next_keep_alive.is_none_or(|at| at > now) {
            return;
        }
        let Some((answer, every_ms)) = self.transport.keep_alive(self.inputs.now()) else {
            self.next_keep_alive = None;
            return;
        };
        self.next_keep_alive = Some(now + Duration::from_millis(every_ms));
        tasks.spawn_local(async move { Done::KeptAlive(answer.await) });
    }
}

/// By order of a step: the first of the alternatives that it is one of, where the step decided several.
fn groups(decided: &[Decided]) -> impl Iterator<Item = Option<OrderId>> + '_ {
    decided.iter().map(|(_, order, _)| {
        let one_of = order.one_of?;
        let of_group = |other: &&Decided| {
            let of = (other.1.strategy, other.1.instrument);
            let group = other.1.one_of.map(|other| other.group);
            of == (order.strategy, order.instrument) && group == Some(one_of.group)
        };
        let mut alternatives = decided.iter().filter(of_group).peekable();
        let first = alternatives.peek()?.0.id;
        let is_other = |it: &Decided| it.1.one_of != Some(one_of);
        alternatives.any(is_other).then_some(first)
    })
}
