//! The state machine on events fed by hand. Levels are the golden ones: buy 10.50 / 10.10 / 11.30, sell 10.00 / 10.40 / 9.20.
use super::*;
use crate::event::{Fill, Liquidity};
use crate::id::Sequence;
use crate::number::Money;
use proptest::prelude::*;

const NOW: Nanos = Nanos(1_000);
const EXPIRES: Nanos = Nanos(5_000);
const LEAVES: Nanos = Nanos(9_000);

/// A bracket, and a venue that takes note of what it is asked for.
struct Bench {
    bracket: Bracket,
    out: Vec<Action>,
    now: Nanos,
    next_id: u64,
    fills: u64,
    /// Role, type, price, quantity left.
    working: Vec<(OrderId, Role, OrderType, i64, i64)>,
    cancels: Vec<OrderId>,
    alarms: Vec<(Alarm, i64)>,
    refuse: Option<Role>,
    /// The venue holds an entry's exits.
    holds_exits: bool,
}

impl Bench {
    fn new() -> Self {
        Self::at_a_venue(false)
    }

    fn at_a_venue(holds_exits: bool) -> Self {
        let mut out = Vec::new();
        let times = Times {
            expires_at: EXPIRES,
            leaves_at: LEAVES,
        };
        let mut bracket = Bracket::new(7, InstrumentId(0), NOW, times, &mut out);
        let entry = |side, price, stop, target| {
            let level = |price| Some(Price(price));
            Entry::new(
                side,
                OrderType::Stop,
                Price(price),
                Qty(250),
                level(stop),
                level(target),
            )
        };
        bracket.add_entry(entry(Side::Buy, 1050, 1010, 1130));
        bracket.add_entry(entry(Side::Sell, 1000, 1040, 920));
        let mut bench = Self {
            bracket,
            out,
            now: NOW,
            next_id: 100,
            fills: 0,
            working: Vec::new(),
            cancels: Vec::new(),
            alarms: Vec::new(),
            refuse: None,
            holds_exits,
        };
        bench.settle();
        bench
    }

    /// Takes what the bracket asks for as the core does, until it asks for nothing.
    fn settle(&mut self) {
        self.bracket.settle(self.now, &mut self.out);
        while !self.out.is_empty() {
            for action in core::mem::take(&mut self.out) {
                match action {
                    Action::Order {
                        side,
                        order_type,
                        price,
                        qty,
                        tag,
                        ..
                    } => {
                        assert!(qty.0 > 0);
                        let (number, role) = Role::of_tag(tag).unwrap();
                        assert_eq!(number, 7);
                        if self.refuse == Some(role) {
                            self.bracket
                                .denied(self.now.after(100), role, &mut self.out);
                        } else {
                            self.next_id += 1;
                            let id = OrderId(self.next_id);
                            let protected = self.holds_exits && role.is_entry();
                            self.bracket.decided(id, role, (side, qty), protected);
                            self.working.push((id, role, order_type, price.0, qty.0));
                        }
                        self.bracket.settle(self.now, &mut self.out);
                    }
                    Action::Cancel(id) => {
                        self.bracket.cancel_decided(id);
                        self.cancels.push(id);
                    }
                    Action::Alarm(_, alarm, qty) => self.alarms.push((alarm, qty.0)),
                    Action::Timer(..) | Action::Intent(..) => {}
                }
            }
        }
    }

    fn report(&mut self, id: OrderId, state: OrderState, fill: Option<(i64, i64)>) {
        self.fills += u64::from(fill.is_some());
        let fill = fill.map(|(price, qty)| Fill {
            fill_id: self.fills,
            price: Price(price),
            qty: Qty(qty),
            fee: Money::ZERO,
            liquidity: Liquidity::Taker,
        });
        let instrument = InstrumentId(0);
        let report = ExecutionReport {
            cause: Sequence(1),
            order: id,
            instrument,
            state,
            fill,
            reason: None,
        };
        self.bracket
            .reported(self.now.after(100), &report, &mut self.out);
        if state.is_final() {
            self.working.retain(|(known, ..)| *known != id);
            self.cancels.retain(|known| *known != id);
        }
        self.settle();
    }

    fn id(&self, role: Role) -> OrderId {
        self.working
            .iter()
            .rev()
            .find(|(_, r, ..)| *r == role)
            .unwrap()
            .0
    }

    fn fill(&mut self, role: Role, price: i64, qty: i64) {
        let id = self.id(role);
        let left = {
            let order = self
                .working
                .iter_mut()
                .find(|(known, ..)| *known == id)
                .unwrap();
            order.4 -= qty;
            order.4
        };
        let state = if left == 0 {
            OrderState::Filled
        } else {
            OrderState::PartiallyFilled
        };
        self.report(id, state, Some((price, qty)));
    }

    fn end(&mut self, role: Role, state: OrderState) {
        let id = self.id(role);
        self.report(id, state, None);
    }

    /// The venue confirms every cancel.
    fn confirm(&mut self) {
        while let Some(id) = self.cancels.first().copied() {
            self.report(id, OrderState::Cancelled, None);
        }
    }

    fn at(&mut self, now: u64) {
        self.now = Nanos(now);
        self.settle();
    }

    fn shown(&self) -> Vec<(Role, i64, i64)> {
        self.working
            .iter()
            .map(|(_, role, _, price, left)| (*role, *price, *left))
            .collect()
    }
}

#[test]
fn the_first_fill_cancels_the_other_entry_and_sets_stop_and_target() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.shown(),
        [(Role::BuyEntry, 1050, 250), (Role::SellEntry, 1000, 250)]
    );
    assert!(
        bench
            .working
            .iter()
            .all(|(_, _, order_type, ..)| *order_type == OrderType::Stop)
    );
    bench.fill(Role::BuyEntry, 1050, 250);
    let sell = bench.id(Role::SellEntry);
    assert_eq!(bench.cancels, [sell]);
    bench.confirm();
    assert_eq!(
        bench.shown(),
        [(Role::Stop, 1010, 250), (Role::Target, 1130, 250)]
    );
    assert_eq!(bench.working[0].2, OrderType::Stop);
    assert_eq!(bench.working[1].2, OrderType::Limit);
    bench.fill(Role::Target, 1130, 250);
    let stop = bench.id(Role::Stop);
    assert_eq!(bench.cancels, [stop]);
    bench.confirm();
    assert!(bench.bracket.is_done() && bench.alarms.is_empty());
}

#[test]
fn quantities_follow_partial_fills_both_ways() {
    let mut bench = Bench::new();
    bench.fill(Role::SellEntry, 1000, 100);
    bench.confirm();
    bench.fill(Role::SellEntry, 1000, 150);
    assert_eq!(
        bench.shown(),
        [
            (Role::Stop, 1040, 100),
            (Role::Target, 920, 100),
            (Role::Stop, 1040, 150),
            (Role::Target, 920, 150)
        ]
    );
    // 60 bought back at the target: 190 are left to protect, and the stops stand for 250.
    bench.fill(Role::Target, 920, 60);
    let stop = bench.id(Role::Stop);
    assert_eq!(bench.cancels, [stop], "the newer stop of 150");
    bench.confirm();
    let left = |bench: &Bench, role| {
        bench
            .shown()
            .iter()
            .filter(|o| o.0 == role)
            .map(|o| o.2)
            .sum::<i64>()
    };
    assert_eq!(
        (left(&bench, Role::Stop), left(&bench, Role::Target)),
        (190, 190)
    );
    assert_eq!(bench.bracket.net, -190);
}

#[test]
fn both_entries_filled_is_called_and_everything_is_left() {
    let mut bench = Bench::new();
    bench.fill(Role::BuyEntry, 1050, 250);
    // The cancel of the sell entry loses the race.
    bench.fill(Role::SellEntry, 1000, 250);
    assert_eq!(bench.alarms, [(Alarm::BothEntriesFilled, 250)]);
    bench.confirm();
    assert!(bench.bracket.is_done());
    assert_eq!(bench.bracket.net, 0);
}

#[test]
fn what_a_second_entry_leaves_over_is_closed_at_the_market() {
    let mut bench = Bench::new();
    bench.fill(Role::BuyEntry, 1050, 100);
    bench.fill(Role::SellEntry, 1000, 250);
    assert_eq!(bench.bracket.net, -150);
    assert!(
        bench.shown().iter().all(|order| order.0 != Role::Exit),
        "not before the cancels are sure"
    );
    bench.confirm();
    assert_eq!(bench.shown(), [(Role::Exit, 0, 150)]);
    bench.fill(Role::Exit, 1001, 150);
    assert!(bench.bracket.is_done());
}

#[test]
fn a_stop_loss_that_does_not_stand_is_called_and_the_position_is_left() {
    for refusal in ["denied", "rejected", "expired", "cancelled"] {
        let mut bench = Bench::new();
        bench.refuse = (refusal == "denied").then_some(Role::Stop);
        bench.fill(Role::BuyEntry, 1050, 250);
        match refusal {
            "rejected" => bench.end(Role::Stop, OrderState::Rejected),
            "expired" => bench.end(Role::Stop, OrderState::Expired),
            "cancelled" => bench.end(Role::Stop, OrderState::Cancelled),
            _ => {}
        }
        assert_eq!(bench.alarms, [(Alarm::Unprotected, 250)], "{refusal}");
        bench.confirm();
        assert_eq!(bench.shown(), [(Role::Exit, 0, 250)], "{refusal}");
        // The market gives 200 only; the rest is tried again after the pause.
        bench.fill(Role::Exit, 1049, 200);
        bench.end(Role::Exit, OrderState::Expired);
        assert!(bench.shown().is_empty());
        bench.at(NOW.0 + 99);
        assert!(bench.shown().is_empty());
        bench.at(NOW.0 + 100);
        assert_eq!(bench.shown(), [(Role::Exit, 0, 50)]);
        bench.fill(Role::Exit, 1049, 50);
        assert!(bench.bracket.is_done());
    }
}

#[test]
fn an_unknown_stop_is_called_and_never_guessed() {
    let mut bench = Bench::new();
    bench.fill(Role::BuyEntry, 1050, 250);
    bench.confirm();
    bench.end(Role::Stop, OrderState::Unknown);
    assert_eq!(bench.alarms, [(Alarm::Unprotected, 250)]);
    assert_eq!(bench.shown().len(), 2, "no second stop, no exit");
}

#[test]
fn a_refused_target_leaves_the_stop_in_place() {
    let mut bench = Bench::new();
    bench.refuse = Some(Role::Target);
    bench.fill(Role::BuyEntry, 1050, 250);
    bench.confirm();
    assert_eq!(bench.shown(), [(Role::Stop, 1010, 250)]);
    assert!(bench.alarms.is_empty());
}

#[test]
fn entries_expire_and_the_session_ends_a_position() {
    let mut bench = Bench::new();
    bench.at(EXPIRES.0);
    assert_eq!(bench.cancels.len(), 2);
    bench.confirm();
    assert!(bench.bracket.is_done());

    let mut bench = Bench::new();
    bench.fill(Role::BuyEntry, 1050, 250);
    bench.confirm();
    bench.at(EXPIRES.0);
    assert_eq!(bench.shown().len(), 2, "the position outlives its entries");
    bench.at(LEAVES.0);
    bench.confirm();
    assert_eq!(bench.shown(), [(Role::Exit, 0, 250)]);
    bench.fill(Role::Exit, 1070, 250);
    assert!(bench.bracket.is_done() && bench.alarms.is_empty());
}

#[test]
fn stop_and_target_that_both_fill_are_called_and_turned_back() {
    let mut bench = Bench::new();
    bench.fill(Role::BuyEntry, 1050, 250);
    bench.confirm();
    bench.fill(Role::Stop, 1009, 250);
    bench.fill(Role::Target, 1130, 250);
    assert_eq!(bench.alarms, [(Alarm::Reconcile, 250)]);
    assert_eq!(bench.bracket.net, -250);
    assert_eq!(bench.shown(), [(Role::Exit, 0, 250)]);
    bench.fill(Role::Exit, 1131, 250);
    assert!(bench.bracket.is_done());
}

#[test]
fn a_fill_after_the_end_is_closed() {
    let mut bench = Bench::new();
    let sell = bench.id(Role::SellEntry);
    bench.at(EXPIRES.0);
    bench.confirm();
    assert!(bench.bracket.is_done());
    bench.report(sell, OrderState::Cancelled, Some((1000, 40)));
    assert_eq!(bench.shown(), [(Role::Exit, 0, 40)]);
}

#[test]
fn entries_taken_back_leave_a_position_its_protection() {
    let mut bench = Bench::new();
    bench.fill(Role::BuyEntry, 1050, 100);
    bench.bracket.withdraw();
    bench.settle();
    bench.confirm();
    assert_eq!(
        bench.shown(),
        [(Role::Stop, 1010, 100), (Role::Target, 1130, 100)]
    );
}

#[test]
fn exits_that_the_venue_holds_are_decided_once_the_entry_is_over() {
    let mut bench = Bench::at_a_venue(true);
    bench.fill(Role::BuyEntry, 1050, 100);
    bench.confirm();
    assert_eq!(bench.shown(), [(Role::BuyEntry, 1050, 150)]);
    bench.fill(Role::BuyEntry, 1050, 150);
    assert_eq!(
        bench.shown(),
        [(Role::Stop, 1010, 250), (Role::Target, 1130, 250)]
    );
    // An entry that ends with a part of it filled leaves exits for that part.
    let mut bench = Bench::at_a_venue(true);
    bench.fill(Role::SellEntry, 1000, 60);
    bench.confirm();
    bench.end(Role::SellEntry, OrderState::Cancelled);
    assert_eq!(
        bench.shown(),
        [(Role::Stop, 1040, 60), (Role::Target, 920, 60)]
    );
    assert!(bench.alarms.is_empty());
}

proptest! {
    /// Whatever fills, ends or is confirmed in whatever order: when nothing works any more the bracket is done and flat,
    /// and while it is open and quiet the stop stands for exactly what is held.
    #[test]
    fn it_always_ends_flat(steps in prop::collection::vec((0u8..8, any::<prop::sample::Index>(), 1i64..300), 1..60)) {
        let mut bench = Bench::new();
        for (what, which, qty) in steps {
            if !bench.working.is_empty() {
                let (id, role, _, price, left) = *which.get(&bench.working);
                match what {
                    0..=3 => {
                        let qty = qty.min(left);
                        let order = bench.working.iter_mut().find(|(known, ..)| *known == id).unwrap();
                        order.4 -= qty;
                        let state = if qty == left { OrderState::Filled } else { OrderState::PartiallyFilled };
                        bench.report(id, state, Some((price.max(1), qty)));
                    }
                    4 if role == Role::Target || role == Role::Exit => bench.report(id, OrderState::Expired, None),
                    5 => bench.at(bench.now.0 + 150),
                    _ => bench.confirm(),
                }
            }
            bench.confirm();
            if bench.bracket.stage == Stage::Open {
                let stops = bench.shown().iter().filter(|order| order.0 == Role::Stop).map(|order| order.2).sum::<i64>();
                prop_assert_eq!(stops, bench.bracket.net.abs());
            }
        }
        bench.at(LEAVES.0);
        for _ in 0..50 {
            bench.confirm();
            if bench.shown().iter().any(|order| order.0 == Role::Exit) {
                let left = bench.shown()[0].2;
                bench.fill(Role::Exit, 1000, left);
            }
            bench.at(bench.now.0 + 150);
        }
        prop_assert!(bench.bracket.is_done());
        prop_assert_eq!(bench.bracket.net, 0);
    }
}
