//! Orders that are not final yet, and the ids of fills that are known.
//!
//! Final orders live on the tape only, so that neither memory nor the cost of an order grows with their number.
use crate::event::{ExecutionReport, FillReversed, OrderDecided};
use crate::fees::OrderFees;
use crate::id::{InstrumentId, OrderId, Sequence, StrategyId};
use crate::number::Qty;
use crate::order::{OneOf, Order, OrderState, Side, TimeInForce};
use crate::risk::Proposal;
use crate::time::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// How many orders that became final are remembered for late and repeated reports.
const REMEMBERED_FINAL: usize = 1_024;
/// How many fill ids are remembered; a fill that a venue repeats later than that would be booked twice.
const REMEMBERED_FILLS: usize = 4_096;

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It moved the order on.
    Moved {
        /// The order after the report.
        order: &'a Order,
    },
    /// A fill that came after the order was final: the fill counts, the state stays.
    LateFill {
        /// The order as it ended.
        order: &'a Order,
    },
    /// A repetition: nothing changes.
    Repeated,
    /// No order of ours, or a move that the table does not have.
    Illegal,
}

/// All orders at work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Orders {
    /// By id, which is the order of decision.
    open: Vec<Order>,
    ended: VecDeque<Order>,
    /// Venues number the fills of each instrument on their own.
    known_fills: BTreeSet<(InstrumentId, u64)>,
    fill_order: VecDeque<(InstrumentId, u64)>,
    /// Of those, the ones that were taken back.
    #[serde(default)]
    reversed_fills: BTreeSet<(InstrumentId, u64)>,
}

/// Whether a report without a fill tells of an earlier state than the one that is known: a venue's acknowledgement can
/// come after the fill that implies it, and the end of a connection after an order's own.
const fn is_overtaken(known: OrderState, told: OrderState) -> bool {
    match told {
        OrderState::Sent => !matches!(known, OrderState::Decided | OrderState::Unknown),
        OrderState::Acked => !matches!(
            known,
            OrderState::Decided | OrderState::Sent | OrderState::Unknown
        ),
        OrderState::Unknown => known.is_final(),
        _ => false,
    }
}

/// Whether the venue holds exits for an order whose exit that would be.
fn is_entry_of(
    entry: &Order,
    strategy: StrategyId,
    instrument: InstrumentId,
    exit: Side,
    one_of: OneOf,
) -> bool {
    entry.protect.is_some()
        && (entry.strategy, entry.instrument, entry.side) == (strategy, instrument, exit.opposite())
        && entry.one_of.is_some_and(|own| own.group == one_of.group)
}

impl Orders {
    pub(super) fn decided(&mut self, sequence: Sequence, now: Nanos, decided: &OrderDecided) {
        self.take_over_exits(decided);
        self.open.push(Order {
            id: OrderId(sequence.0),
            strategy: decided.strategy,
            instrument: decided.instrument,
            side: decided.side,
            order_type: decided.order_type,
            time_in_force: decided.time_in_force,
            price: decided.price,
            qty: decided.qty,
            filled: Qty(0),
            state: OrderState::Decided,
            decided_at: now,
            cancelling: false,
            tag: decided.tag,
            one_of: decided.one_of,
            protect: decided.protect,
            exits_replaced: false,
            attached_to: decided.attached_to,
            fees: OrderFees::default(),
        });
    }

    /// The entry with which an exit went to the venue: all of it filled, and no other exit decided since. Then the exit is at
    /// work there already, and deciding it takes it over.
    pub fn attached_to(&self, strategy: StrategyId, exit: &Proposal) -> Option<OrderId> {
        let one_of = exit.one_of?;
        if exit.time_in_force != TimeInForce::GoodTillCancel {
            return None;
        }
        let is_entry = |entry: &&Order| {
            let price = entry.protect.and_then(|it| it.price(exit.order_type));
            price == Some(exit.price)
                && !entry.exits_replaced
                && is_entry_of(entry, strategy, exit.instrument, exit.side, one_of)
                && (entry.state, entry.qty) == (OrderState::Filled, exit.qty)
        };
        self.ended.iter().rev().find(is_entry).map(|entry| entry.id)
    }

    /// An exit that is decided takes over the one that went with its entry, or ends what the venue holds for the entry.
    fn take_over_exits(&mut self, exit: &OrderDecided) {
        // The other of two entries is no exit of the first.
        let Some(one_of) = exit.one_of.filter(|_| exit.protect.is_none()) else {
            return;
        };
        for entry in self.open.iter_mut().chain(&mut self.ended) {
            if is_entry_of(entry, exit.strategy, exit.instrument, exit.side, one_of) {
                if exit.attached_to == Some(entry.id) {
                    let held = entry.protect;
                    entry.protect = held.and_then(|held| held.without(exit.order_type));
                } else {
                    entry.exits_replaced = true;
                }
            }
        }
    }

    /// Entries that are over and with which exits went to the venue that may still be there: no exit was decided yet, or one
    /// that was decided instead is at work.
    pub fn entries_with_exits(&self) -> impl Iterator<Item = &Order> {
        let is_replaced_by = |entry: &Order, exit: &Order| {
            let (of, side) = (exit.strategy, exit.side);
            let is_entry = |one_of| is_entry_of(entry, of, exit.instrument, side, one_of);
            exit.attached_to.is_none()
                && exit.protect.is_none()
                && exit.one_of.is_some_and(is_entry)
        };
        let may_have = move |entry: &&Order| {
            entry.protect.is_some()
                && entry.filled > Qty(0)
                && (!entry.exits_replaced
                    || self.open.iter().any(|exit| is_replaced_by(entry, exit)))
        };
        self.ended.iter().filter(may_have)
    }

    /// Notes that a cancel is under way; false when the order is not at work.
    pub(super) fn cancelling(&mut self, id: OrderId) -> bool {
        let place = self.place(id);
        place.is_ok_and(|place| {
            self.open[place].cancelling = true;
            true
        })
    }

    /// Takes a venue's or the paper venue's report.
    pub(super) fn report(&mut self, report: &ExecutionReport) -> Outcome<'_> {
        if let Some(fill) = &report.fill {
            if self
                .known_fills
                .contains(&(report.instrument, fill.fill_id))
            {
                return Outcome::Repeated;
            }
            if fill.qty.0 <= 0 || fill.price.0 < 0 || fill.fee.0 < 0 {
                return Outcome::Illegal;
            }
        }
        let Ok(place) = self.place(report.order) else {
            return self.report_on_ended(report);
        };
        let order = &mut self.open[place];
        if report.instrument != order.instrument {
            return Outcome::Illegal;
        }
        if report.fill.is_none()
            && (order.state == report.state || is_overtaken(order.state, report.state))
        {
            return Outcome::Repeated;
        }
        let filled = order
            .filled
            .0
            .saturating_add(report.fill.map_or(0, |fill| fill.qty.0));
        let is_fill = matches!(
            report.state,
            OrderState::Filled | OrderState::PartiallyFilled
        );
        let adds_up = match report.state {
            OrderState::Filled => filled == order.qty.0,
            OrderState::PartiallyFilled => filled < order.qty.0,
            _ => true,
        };
        if !order.state.can_become(report.state) || is_fill != report.fill.is_some() || !adds_up {
            return Outcome::Illegal;
        }
        order.filled = Qty(filled);
        order.state = report.state;
        self.remember_fill(report);
        if !report.state.is_final() {
            let order = &self.open[place];
            return Outcome::Moved { order };
        }
        if self.ended.len() == REMEMBERED_FINAL {
            self.ended.pop_front();
        }
        self.ended.push_back(self.open.remove(place));
        let order = &self.ended[self.ended.len() - 1];
        Outcome::Moved { order }
    }

    /// Takes what an order's fills cost after its last one; an order that is final has no next fill to charge.
    pub(super) fn charged(&mut self, id: OrderId, fees: OrderFees) {
        if let Ok(place) = self.place(id) {
            self.open[place].fees = fees;
        }
    }

    /// A cancel can lose the race against a fill: the fill is a fact, whatever the order's state was.
    fn report_on_ended(&mut self, report: &ExecutionReport) -> Outcome<'_> {
        let is = |order: &Order| (order.id, order.instrument) == (report.order, report.instrument);
        let Some(place) = self.ended.iter().position(is) else {
            return Outcome::Illegal;
        };
        let order = &mut self.ended[place];
        let Some(fill) = report.fill else {
            return if order.state == report.state || is_overtaken(order.state, report.state) {
                Outcome::Repeated
            } else {
                Outcome::Illegal
            };
        };
        if fill.qty.0 > order.remaining().0 {
            return Outcome::Illegal;
        }
        order.filled = Qty(order.filled.0 + fill.qty.0);
        self.remember_fill(report);
        let order = &self.ended[place];
        Outcome::LateFill { order }
    }

    /// Takes a fill back; false when it is none that was booked, or was taken back before.
    pub(super) fn reversed(&mut self, reversed: &FillReversed) -> bool {
        let key = (reversed.instrument, reversed.fill_id);
        // It stays known, so that the venue can't book it again.
        let booked = self.known_fills.contains(&key) && self.reversed_fills.insert(key);
        if booked {
            let of = |order: &&mut Order| order.id == reversed.order;
            let open = self.place(reversed.order).ok();
            let order = match open {
                Some(place) => self.open.get_mut(place),
                None => self.ended.iter_mut().find(of),
            };
            if let Some(order) = order {
                order.filled = Qty(order.filled.0.saturating_sub(reversed.qty.0));
            }
        }
        booked
    }

    fn remember_fill(&mut self, report: &ExecutionReport) {
        if let Some(fill) = &report.fill {
            if self.fill_order.len() == REMEMBERED_FILLS
                && let Some(oldest) = self.fill_order.pop_front()
            {
                self.known_fills.remove(&oldest);
                self.reversed_fills.remove(&oldest);
            }
            let key = (report.instrument, fill.fill_id);
            self.known_fills.insert(key);
            self.fill_order.push_back(key);
        }
    }

    fn place(&self, id: OrderId) -> Result<usize, usize> {
        self.open.binary_search_by_key(&id, |order| order.id)
    }

    /// An order at work.
    #[inline]
    pub fn get(&self, id: OrderId) -> Option<&Order> {
        self.place(id).ok().map(|place| &self.open[place])
    }

    /// Whose an order is, at work or lately ended.
    pub fn owner(&self, id: OrderId) -> Option<StrategyId> {
        let ended = || self.ended.iter().rev().find(|order| order.id == id);
        self.get(id).or_else(ended).map(|order| order.strategy)
    }

    /// All orders at work, oldest first.
    #[inline]
    pub fn iter(&self) -> core::slice::Iter<'_, Order> {
        self.open.iter()
    }

    /// How many orders are at work.
    pub const fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether no order is at work.
    pub const fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Fill, Liquidity};
    use crate::number::{Money, Price};
    use crate::order::{OrderType, Protect};
    use proptest::prelude::*;

    const DECIDED: OrderDecided = OrderDecided {
        cause: Sequence(1),
        strategy: StrategyId(0),
        instrument: InstrumentId(0),
        side: Side::Buy,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(100),
        qty: Qty(10),
        tag: 0,
        worst_price: None,
        one_of: None,
        protect: None,
        attached_to: None,
    };

    fn with_order(qty: i64) -> Orders {
        let mut orders = Orders::default();
        let decided = OrderDecided {
            qty: Qty(qty),
            ..DECIDED
        };
        orders.decided(Sequence(5), Nanos(0), &decided);
        orders
    }

    fn report(state: OrderState, fill: Option<(u64, i64)>) -> ExecutionReport {
        let fill = fill.map(|(fill_id, qty)| Fill {
            fill_id,
            price: Price(100),
            qty: Qty(qty),
            fee: Money::ZERO,
            liquidity: Liquidity::Maker,
        });
        ExecutionReport {
            cause: Sequence(0),
            order: OrderId(5),
            instrument: InstrumentId(0),
            state,
            fill,
            reason: None,
        }
    }

    #[test]
    fn a_repeated_fill_changes_nothing() {
        let mut orders = with_order(10);
        let fill = report(OrderState::PartiallyFilled, Some((7, 4)));
        assert!(matches!(orders.report(&fill), Outcome::Moved { .. }));
        assert_eq!(orders.report(&fill), Outcome::Repeated);
        assert_eq!(orders.get(OrderId(5)).unwrap().filled, Qty(4));
    }

    #[test]
    fn a_fill_that_beats_its_cancel_still_counts() {
        let mut orders = with_order(10);
        orders.report(&report(OrderState::Cancelled, None));
        assert!(orders.is_empty());
        assert!(matches!(
            orders.report(&report(OrderState::PartiallyFilled, Some((7, 4)))),
            Outcome::LateFill { .. }
        ));
        assert_eq!(
            orders.report(&report(OrderState::PartiallyFilled, Some((8, 7)))),
            Outcome::Illegal
        );
    }

    const EXITS: Protect = Protect {
        stop: Some(Price(90)),
        target: Some(Price(120)),
    };

    /// An entry of 10 that went to the venue with its exits.
    fn with_entry() -> Orders {
        let mut orders = Orders::default();
        let entry = OrderDecided {
            one_of: exit(OrderType::Limit, 0, 0).one_of,
            protect: Some(EXITS),
            ..DECIDED
        };
        orders.decided(Sequence(5), Nanos(0), &entry);
        orders
    }

    fn exit(order_type: OrderType, price: i64, qty: i64) -> Proposal {
        Proposal {
            instrument: InstrumentId(0),
            side: Side::Sell,
            order_type,
            time_in_force: TimeInForce::GoodTillCancel,
            price: Price(price),
            qty: Qty(qty),
            tag: 0,
            hedges: None,
            one_of: Some(OneOf {
                group: 7,
                alternative: order_type as u8,
            }),
            protect: None,
        }
    }

    fn decide(orders: &mut Orders, sequence: u64, asked: &Proposal) -> Option<OrderId> {
        let attached_to = orders.attached_to(StrategyId(0), asked);
        let decided = OrderDecided {
            side: asked.side,
            order_type: asked.order_type,
            price: asked.price,
            qty: asked.qty,
            one_of: asked.one_of,
            protect: asked.protect,
            attached_to,
            ..DECIDED
        };
        orders.decided(Sequence(sequence), Nanos(0), &decided);
        attached_to
    }

    #[test]
    fn an_exit_is_the_one_that_went_out_with_its_entry_once() {
        let mut orders = with_entry();
        let stop = exit(OrderType::Stop, 90, 10);
        let attached_to = |orders: &Orders, asked| orders.attached_to(StrategyId(0), &asked);
        assert_eq!(attached_to(&orders, stop), None, "nothing has filled");
        orders.report(&report(OrderState::Filled, Some((1, 10))));
        let buy = Proposal {
            side: Side::Buy,
            ..stop
        };
        let alone = Proposal {
            one_of: None,
            ..stop
        };
        for other in [
            exit(OrderType::Stop, 91, 10),
            exit(OrderType::Stop, 90, 9),
            exit(OrderType::Market, 90, 10),
            buy,
            alone,
        ] {
            assert_eq!(attached_to(&orders, other), None, "{other:?}");
        }
        assert_eq!(orders.attached_to(StrategyId(1), &stop), None);
        assert_eq!(orders.entries_with_exits().count(), 1);
        let entry = Some(OrderId(5));
        assert_eq!(decide(&mut orders, 6, &stop), entry);
        assert_eq!(
            decide(&mut orders, 7, &exit(OrderType::Limit, 120, 10)),
            entry
        );
        assert_eq!(attached_to(&orders, stop), None, "it was taken over");
        assert_eq!(orders.entries_with_exits().count(), 0);
    }

    #[test]
    fn another_exit_ends_those_that_went_out() {
        let mut orders = with_entry();
        // The other of two entries is none.
        let other = Proposal {
            protect: Some(EXITS),
            ..exit(OrderType::Stop, 90, 10)
        };
        assert_eq!(decide(&mut orders, 6, &other), None);
        orders.report(&report(OrderState::Filled, Some((1, 10))));
        let stop = exit(OrderType::Stop, 90, 10);
        assert_eq!(orders.attached_to(StrategyId(0), &stop), Some(OrderId(5)));
        assert_eq!(
            decide(&mut orders, 7, &exit(OrderType::Market, 0, 10)),
            None
        );
        assert_eq!(orders.attached_to(StrategyId(0), &stop), None);
        // They may be there as long as the order that was decided instead has not ended.
        assert_eq!(orders.entries_with_exits().count(), 1);
        let rejected = ExecutionReport {
            order: OrderId(7),
            ..report(OrderState::Rejected, None)
        };
        orders.report(&rejected);
        assert_eq!(orders.entries_with_exits().count(), 0);
    }

    proptest! {
        /// Whatever reports come: only legal moves happen, fills never exceed the order, ids count once.
        #[test]
        fn any_stream_of_reports_keeps_the_order_sound(
            reports in prop::collection::vec((0usize..9, prop::option::of((0u64..6, 0i64..6))), 0..40),
        ) {
            let mut orders = with_order(10);
            let mut counted = BTreeSet::new();
            let mut total = 0;
            for (state, fill) in reports {
                let before = orders.get(OrderId(5)).copied();
                let report = report(OrderState::ALL[state], fill);
                match orders.report(&report) {
                    Outcome::Moved { order } => {
                        prop_assert!(before.unwrap().state.can_become(order.state));
                        if let Some((id, qty)) = fill { prop_assert!(counted.insert(id)); total += qty; }
                        prop_assert_eq!(order.filled, Qty(total));
                    }
                    Outcome::LateFill { order } => {
                        let (id, qty) = fill.unwrap();
                        prop_assert!(counted.insert(id));
                        total += qty;
                        prop_assert_eq!(order.filled, Qty(total));
                        prop_assert!(before.is_none());
                    }
                    Outcome::Repeated | Outcome::Illegal => {
                        prop_assert_eq!(orders.get(OrderId(5)).copied(), before);
                    }
                }
                prop_assert!(total <= 10);
            }
        }
    }
}
