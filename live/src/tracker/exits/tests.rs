use super::*;
use crate::client_id::ClientIdScheme;
use onetape_engine::event::{Event, Liquidity};
use onetape_engine::fees::OrderFees;
use onetape_engine::number::Price;
use onetape_engine::order::{OneOf, Order};
use onetape_venues::gateway::{AccountFact, FillFact, OrderFact, OrderKey, PlaceAnswer};
use std::time::Duration;

use OrderState::{Acked, Cancelled, Filled, PartiallyFilled, Sent, Unknown};

const X: InstrumentId = InstrumentId(0);
const ENTRY: OrderId = OrderId(7);
const STOP: OrderId = OrderId(8);
const TARGET: OrderId = OrderId(9);
const EXITS: Protect = Protect {
    stop: Some(Price(90)),
    target: Some(Price(120)),
};

struct Rig {
    tracker: Tracker,
    now: Instant,
}

fn decided(side: Side, order_type: OrderType, price: i64, qty: i64) -> OrderDecided {
    OrderDecided {
        cause: onetape_engine::id::Sequence(1),
        strategy: StrategyId(0),
        instrument: X,
        side,
        order_type,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(price),
        qty: Qty(qty),
        tag: 0,
        worst_price: None,
        one_of: Some(OneOf {
            group: 1,
            alternative: order_type as u8,
        }),
        protect: None,
        attached_to: None,
    }
}

/// The exits that the tape decides, as they went out with the entry or not.
fn exits(qty: i64, attached_to: Option<OrderId>) -> [(OrderId, OrderDecided, Nanos); 2] {
    let exit = |id, order_type, price| {
        let exit = decided(Side::Sell, order_type, price, qty);
        (
            id,
            OrderDecided {
                attached_to,
                ..exit
            },
            Nanos(0),
        )
    };
    [
        exit(STOP, OrderType::Stop, 90),
        exit(TARGET, OrderType::Limit, 120),
    ]
}

impl Rig {
    fn new() -> Self {
        let ids = ClientIdScheme::new(1 << 96);
        Self {
            tracker: Tracker::new(ids, Duration::from_secs(6)),
            now: Instant::now(),
        }
    }

    /// With an entry of 10 at work, and its exits on their way.
    fn sent() -> Self {
        let mut rig = Self::new();
        let entry = OrderDecided {
            protect: Some(EXITS),
            ..decided(Side::Buy, OrderType::Limit, 100, 10)
        };
        rig.tracker.decided(ENTRY, &entry, Nanos(0), rig.now);
        let out = rig.tracker.exits(ENTRY);
        let out: Vec<_> = out
            .iter()
            .map(|it| (it.client_id, it.side, it.order_type, it.price.0, it.qty.0))
            .collect();
        assert_eq!(
            out,
            [
                ("ot00000001-7-s", Side::Sell, OrderType::Stop, 90, 10),
                ("ot00000001-7-t", Side::Sell, OrderType::Limit, 120, 10)
            ]
        );
        rig.tracker.sent(ENTRY, rig.now);
        let accepted = PlaceAnswer::Accepted {
            venue_id: "v7".to_owned(),
            facts: Vec::new(),
        };
        rig.tracker.answered(ENTRY, accepted, rig.now);
        rig
    }

    /// With an entry of 10 and its exits at work.
    fn with_an_entry() -> Self {
        let mut rig = Self::sent();
        rig.order("ot00000001-7-s", Acked);
        rig.order("ot00000001-7-t", Acked);
        rig.look_up();
        assert!(rig.tracker.is_clear());
        assert_eq!(rig.states(), [(7, Sent, 0), (7, Acked, 0)]);
        rig
    }

    fn key(name: &str) -> OrderKey {
        OrderKey {
            client_id: Some(name.to_owned()),
            venue_id: Some(format!("v-{name}")),
        }
    }

    fn order(&mut self, name: &str, state: OrderState) {
        let fact = OrderFact {
            key: Self::key(name),
            instrument: X,
            state,
            filled: None,
            why: String::new(),
        };
        self.tracker.fact(AccountFact::Order(fact), self.now);
    }

    fn fill(&mut self, name: &str, qty: i64) {
        let fact = FillFact {
            key: Self::key(name),
            instrument: X,
            fill_id: format!("{name}-{qty}"),
            side: Side::Buy,
            price: Price(100),
            qty: Qty(qty),
            fee: None,
            liquidity: Liquidity::Taker,
            at: Nanos(0),
            is_final: true,
        };
        self.tracker.fact(AccountFact::Fill(fact), self.now);
    }

    /// What is due is looked up: the venue knows everything, and has told it.
    fn look_up(&mut self) -> usize {
        self.now += Duration::from_secs(1);
        let due = self.tracker.to_look_up(self.now);
        for id in &due {
            self.tracker.looked_up(*id, Some(true), self.now);
        }
        due.len()
    }

    fn settle(&mut self) {
        self.tracker.settle_exits(self.now);
    }

    fn states(&mut self) -> Vec<(u64, OrderState, i64)> {
        let shown = |event| match event {
            Event::ExecutionReport(it) => {
                (it.order.0, it.state, it.fill.map_or(0, |fill| fill.qty.0))
            }
            other => panic!("{other:?}"),
        };
        self.tracker.take_reports().into_iter().map(shown).collect()
    }

    /// The tape decides other exits than those that went out.
    fn replace(&mut self, qty: i64) {
        for (id, exit, at) in exits(qty, None) {
            self.tracker.decided(id, &exit, at, self.now);
            assert_eq!(self.tracker.instead_of(&exit), Some(ENTRY));
            self.tracker.replace(ENTRY, id);
        }
    }

    fn cancelled(&self) -> Vec<String> {
        let name = |id| self.tracker.known(id).unwrap().order.client_id.to_owned();
        self.tracker.to_cancel().into_iter().map(name).collect()
    }

    fn is_orphan(&self, name: &str) -> bool {
        self.tracker.is_orphan(&Self::key(name))
    }
}

#[test]
fn exits_are_taken_over_with_what_they_filled_before_the_tape_knew_of_them() {
    let mut rig = Rig::with_an_entry();
    // The stop ends before the fill that ended it is told; and nothing of both belongs on the tape yet.
    rig.order("ot00000001-7-s", Cancelled);
    rig.fill("ot00000001-7-t", 4);
    rig.fill("ot00000001-7-t", 6);
    rig.look_up();
    assert_eq!(rig.states(), []);
    rig.fill("ot00000001-7", 10);
    assert_eq!(rig.states(), [(7, Filled, 10)]);
    rig.tracker.take_over(&exits(10, Some(ENTRY)), rig.now);
    assert_eq!(
        rig.states(),
        [
            (8, Sent, 0),
            (9, Sent, 0),
            (9, PartiallyFilled, 4),
            (9, Filled, 6),
            (8, Cancelled, 0)
        ]
    );
    assert!(rig.tracker.is_clear() && rig.tracker.to_cancel().is_empty());
}

#[test]
fn exits_that_were_taken_over_are_managed_under_the_names_that_they_went_out_with() {
    let mut rig = Rig::with_an_entry();
    rig.fill("ot00000001-7", 10);
    rig.tracker.take_over(&exits(10, Some(ENTRY)), rig.now);
    rig.settle();
    assert_eq!(
        rig.states(),
        [
            (7, Filled, 10),
            (8, Sent, 0),
            (9, Sent, 0),
            (8, Acked, 0),
            (9, Acked, 0)
        ]
    );
    assert!(rig.tracker.is_clear());
    assert!(rig.tracker.to_cancel().is_empty() && !rig.is_orphan("ot00000001-7-s"));
    assert!(rig.tracker.wants_cancel(STOP));
    assert_eq!(rig.cancelled(), ["ot00000001-7-s"]);
    rig.fill("ot00000001-7-t", 10);
    rig.order("ot00000001-7-s", Cancelled);
    rig.look_up();
    assert_eq!(rig.states(), [(9, Filled, 10), (8, Cancelled, 0)]);
    // Exits that this process never saw are looked up, and are not there: they had been.
    let mut rig = Rig::new();
    rig.tracker.take_over(&exits(10, Some(ENTRY)), rig.now);
    for _ in 0..2 {
        rig.now += Duration::from_secs(7);
        assert_eq!(rig.tracker.to_look_up(rig.now), [STOP, TARGET]);
        rig.tracker.looked_up(STOP, Some(false), rig.now);
        rig.tracker.looked_up(TARGET, Some(false), rig.now);
    }
    assert_eq!(rig.states()[2..], [(8, Cancelled, 0), (9, Cancelled, 0)]);
}

#[test]
fn other_exits_wait_until_those_that_went_out_are_over() {
    let mut rig = Rig::with_an_entry();
    rig.fill("ot00000001-7", 6);
    rig.order("ot00000001-7", Cancelled);
    rig.look_up();
    rig.states();
    rig.replace(6);
    rig.settle();
    assert_eq!(rig.cancelled(), ["ot00000001-7-s", "ot00000001-7-t"]);
    assert_eq!(rig.tracker.instead(ENTRY), Instead::Waits);
    for (name, becomes) in [
        ("ot00000001-7-s", Instead::Waits),
        ("ot00000001-7-t", Instead::Goes),
    ] {
        rig.order(name, Cancelled);
        rig.look_up();
        rig.settle();
        assert_eq!(rig.tracker.instead(ENTRY), becomes);
    }
    rig.tracker.decided_instead(ENTRY, &[]);
    assert_eq!(rig.states(), []);
    // Nobody is in the way of what is decided next, and an exit that turns up all the same goes.
    let next = decided(Side::Sell, OrderType::Market, 0, 6);
    assert_eq!(rig.tracker.instead_of(&next), None);
    assert!(rig.is_orphan("ot00000001-7-s"));
}

#[test]
fn an_exit_that_fills_before_its_cancel_fills_what_was_decided_instead_and_nothing_is_sent() {
    let mut rig = Rig::with_an_entry();
    rig.fill("ot00000001-7", 6);
    rig.order("ot00000001-7", Cancelled);
    rig.look_up();
    rig.states();
    rig.replace(6);
    rig.fill("ot00000001-7-t", 6);
    rig.order("ot00000001-7-s", Cancelled);
    rig.settle();
    assert_eq!(rig.tracker.instead(ENTRY), Instead::Waits);
    rig.order("ot00000001-7-t", Cancelled);
    rig.look_up();
    rig.settle();
    assert_eq!(rig.tracker.instead(ENTRY), Instead::IsOff);
    rig.tracker.decided_instead(ENTRY, &[STOP, TARGET]);
    assert_eq!(rig.states(), [(9, Filled, 6), (8, Cancelled, 0)]);
    assert!(rig.tracker.is_clear());
}

#[test]
fn an_entry_that_ends_unfilled_takes_its_exits_with_it() {
    let mut rig = Rig::with_an_entry();
    assert!(rig.tracker.wants_cancel(ENTRY));
    rig.order("ot00000001-7", Cancelled);
    rig.look_up();
    rig.settle();
    assert_eq!(rig.cancelled(), [""; 0], "the venue does it");
    assert!(!rig.tracker.is_clear(), "and is asked");
    // One that is there all the same is cancelled.
    rig.order("ot00000001-7-s", Cancelled);
    rig.order("ot00000001-7-t", Acked);
    rig.settle();
    assert_eq!(rig.cancelled(), ["ot00000001-7-t"]);
    rig.order("ot00000001-7-t", Cancelled);
    rig.look_up();
    rig.settle();
    assert!(rig.tracker.is_clear() && rig.is_orphan("ot00000001-7-t"));
    assert_eq!(rig.states(), [(7, Cancelled, 0)]);
}

#[test]
fn an_entry_without_one_of_its_exits_is_taken_back() {
    for (mut rig, state) in [
        (Rig::sent(), OrderState::Rejected),
        (Rig::with_an_entry(), Cancelled),
    ] {
        rig.settle();
        assert_eq!(rig.cancelled(), [""; 0]);
        rig.order("ot00000001-7-s", state);
        rig.look_up();
        rig.settle();
        assert_eq!(rig.cancelled(), ["ot00000001-7"], "{state:?}");
    }
    // What fills of an exit closes what filled of the entry: the rest would open it again.
    let mut rig = Rig::with_an_entry();
    rig.fill("ot00000001-7-s", 3);
    rig.settle();
    assert_eq!(rig.cancelled(), ["ot00000001-7"]);
}

#[test]
fn the_other_of_two_entries_is_no_exit_of_the_first() {
    let rig = Rig::with_an_entry();
    let other = OrderDecided {
        protect: Some(EXITS),
        ..decided(Side::Sell, OrderType::Stop, 90, 10)
    };
    assert_eq!(rig.tracker.instead_of(&other), None);
}

/// An order as the tape has it when a process begins.
fn on_the_tape(id: OrderId, decided: &OrderDecided, state: OrderState, filled: i64) -> Order {
    Order {
        id,
        strategy: decided.strategy,
        instrument: decided.instrument,
        side: decided.side,
        order_type: decided.order_type,
        time_in_force: decided.time_in_force,
        price: decided.price,
        qty: decided.qty,
        filled: Qty(filled),
        state,
        decided_at: Nanos(0),
        cancelling: false,
        tag: 0,
        one_of: decided.one_of,
        protect: decided.protect,
        exits_replaced: false,
        attached_to: decided.attached_to,
        fees: OrderFees::default(),
    }
}

#[test]
fn a_process_that_begins_knows_the_exits_of_those_before_it() {
    let entry = OrderDecided {
        protect: Some(EXITS),
        ..decided(Side::Buy, OrderType::Limit, 100, 10)
    };
    // The entry at work: its exits are looked up, and are no orphans.
    let mut rig = Rig::new();
    let working = on_the_tape(ENTRY, &entry, Acked, 0);
    rig.tracker.adopt(&working, rig.now);
    assert_eq!(rig.tracker.to_look_up(rig.now).len(), 3);
    assert!(!rig.is_orphan("ot00000001-7-s") && rig.is_orphan("ot00000001-6-s"));
    rig.order("ot00000001-7-t", Acked);
    assert_eq!(rig.states(), [(7, Unknown, 0)]);

    // An exit that was taken over: it has its name.
    let mut rig = Rig::new();
    let [(_, stop, _), _] = exits(10, Some(ENTRY));
    rig.tracker
        .adopt(&on_the_tape(STOP, &stop, Acked, 0), rig.now);
    rig.fill("ot00000001-7-s", 10);
    assert_eq!(rig.states(), [(8, Unknown, 0), (8, Filled, 10)]);

    // The entry filled, and its exits may be at work: no orphans either, and the entry is not told again.
    let mut rig = Rig::new();
    let over = on_the_tape(ENTRY, &entry, Filled, 10);
    rig.tracker.adopt(&over, rig.now);
    rig.settle();
    assert!(!rig.is_orphan("ot00000001-7-s") && rig.states().is_empty());
    rig.order("ot00000001-7-s", Acked);
    rig.settle();
    assert!(rig.cancelled().is_empty());

    // Others were decided instead, and that process ended before it could send them: the exits go, and what they fill is
    // theirs.
    let mut rig = Rig::new();
    for (id, exit, _) in exits(6, None) {
        let waiting = on_the_tape(id, &exit, OrderState::Decided, 0);
        rig.tracker.adopt(&waiting, rig.now);
    }
    let replaced = Order {
        exits_replaced: true,
        ..on_the_tape(ENTRY, &entry, Cancelled, 6)
    };
    rig.tracker.adopt(&replaced, rig.now);
    rig.order("ot00000001-7-s", Acked);
    rig.fill("ot00000001-7-t", 6);
    rig.settle();
    assert_eq!(rig.cancelled(), ["ot00000001-7-s", "ot00000001-7-t"]);
    assert_eq!(
        rig.states(),
        [(8, Unknown, 0), (9, Unknown, 0), (9, Filled, 6)]
    );
}

#[test]
fn a_fill_that_is_taken_back_before_it_was_told_is_none() {
    let mut rig = Rig::with_an_entry();
    rig.fill("ot00000001-7-t", 10);
    let reversed = AccountFact::FillReversed {
        instrument: X,
        fill_id: "ot00000001-7-t-10".to_owned(),
    };
    rig.tracker.fact(reversed, rig.now);
    rig.fill("ot00000001-7", 10);
    rig.tracker.take_over(&exits(10, Some(ENTRY)), rig.now);
    assert_eq!(
        rig.states(),
        [(7, Filled, 10), (8, Sent, 0), (9, Sent, 0), (8, Acked, 0)]
    );
    assert_eq!(rig.tracker.to_look_up(rig.now), [TARGET]);
}
