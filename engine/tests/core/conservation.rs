//! Whatever happens on the tape, nothing comes from nowhere: positions are the sum of fills, cash is what they cost, and
//! orders move as the table of legal moves allows.
use crate::common::decoded;
use crate::common::world::{World, world};
use onetape_engine::event::{Event, OrderDecided};
use onetape_engine::id::{InstrumentId, OrderId, StrategyId};
use onetape_engine::number::{Decimals, Money, Qty};
use onetape_engine::order::OrderState;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const DECIMALS: Decimals = Decimals { price: 2, qty: 3 };

#[derive(Default)]
struct Books {
    held: BTreeMap<(StrategyId, InstrumentId), i64>,
    cash: BTreeMap<(StrategyId, InstrumentId), Money>,
    orders: BTreeMap<OrderId, (OrderDecided, OrderState, i64)>,
    fill_ids: BTreeSet<u64>,
}

fn kept_by_hand(world: &World) -> Result<(), TestCaseError> {
    let run = world.run();
    let mut books = Books::default();
    for kept in &run.sink().frames {
        match decoded(kept) {
            Event::OrderDecided(order) => {
                prop_assert!(order.qty.0 > 0);
                books
                    .orders
                    .insert(OrderId(kept.0.0), (order, OrderState::Decided, 0));
            }
            Event::ExecutionReport(report) => {
                let known = books.orders.get_mut(&report.order);
                let (order, state, filled) =
                    known.expect("a report is on an order that was decided");
                prop_assert!(
                    state.can_become(report.state),
                    "{state:?} -> {:?}",
                    report.state
                );
                prop_assert_eq!(report.instrument, order.instrument);
                *state = report.state;
                let Some(fill) = report.fill else { continue };
                prop_assert!(fill.qty.0 > 0 && fill.fee >= Money::ZERO);
                prop_assert!(books.fill_ids.insert(fill.fill_id));
                *filled += fill.qty.0;
                prop_assert!(*filled <= order.qty.0);
                prop_assert_eq!(*filled == order.qty.0, report.state == OrderState::Filled);
                if order.price.0 != 0 {
                    prop_assert!(
                        order.side.crosses(order.price, fill.price),
                        "worse than its limit"
                    );
                }
                let key = (order.strategy, order.instrument);
                *books.held.entry(key).or_default() += order.side.sign() * fill.qty.0;
                let notional = DECIMALS.notional(fill.price, fill.qty).unwrap();
                let flow = Money(-i128::from(order.side.sign()) * notional.0 - fill.fee.0);
                let cash = books.cash.entry(key).or_default();
                *cash = cash.add(flow).unwrap();
            }
            Event::Resolution(resolution) => {
                for (key, held) in &mut books.held {
                    if key.1 == resolution.instrument {
                        let paid = DECIMALS
                            .notional(resolution.settlement_price, Qty(*held))
                            .unwrap();
                        let cash = books.cash.entry(*key).or_default();
                        *cash = cash.add(paid).unwrap();
                        *held = 0;
                    }
                }
            }
            _ => {}
        }
    }
    let desk = run.desk();
    let held: BTreeMap<_, _> = desk
        .ledger()
        .positions()
        .iter()
        .map(|p| ((p.strategy, p.instrument), p.qty.0))
        .collect();
    prop_assert_eq!(held, books.held);
    // The worlds have one instrument for each venue and currency.
    let cash: Vec<Money> = desk
        .ledger()
        .cash()
        .iter()
        .map(|cash| cash.balance)
        .collect();
    prop_assert_eq!(cash, books.cash.into_values().collect::<Vec<_>>());
    for position in desk.ledger().positions() {
        let cash = desk.ledger().cash().iter().find(|cash| {
            let venue = run.market().instrument(position.instrument).unwrap().venue;
            (cash.strategy, cash.venue) == (position.strategy, venue)
        });
        let booked = position
            .realised
            .sub(position.fees)
            .unwrap()
            .sub(position.cost)
            .unwrap();
        prop_assert_eq!(cash.unwrap().balance, booked);
        prop_assert!(position.qty.0 != 0 || position.cost == Money::ZERO);
    }
    let open: BTreeSet<OrderId> = desk.orders().iter().map(|order| order.id).collect();
    let not_final = books
        .orders
        .iter()
        .filter(|(_, (_, state, _))| !state.is_final());
    prop_assert_eq!(open, not_final.map(|(id, _)| *id).collect::<BTreeSet<_>>());

    // The counts say what the tape says.
    let stats = desk.stats();
    prop_assert_eq!(stats.orders, books.orders.len() as u64);
    prop_assert_eq!(stats.fills, books.fill_ids.len() as u64);
    let ended = |state| {
        books
            .orders
            .values()
            .filter(|order| order.1 == state)
            .count() as u64
    };
    prop_assert_eq!(stats.filled, ended(OrderState::Filled));
    prop_assert_eq!(stats.cancelled, ended(OrderState::Cancelled));
    prop_assert_eq!(stats.rejected, ended(OrderState::Rejected));
    prop_assert_eq!(stats.expired, ended(OrderState::Expired));

    // Nothing that was due is left over, and stamps never run back.
    let end = run.last_stamp();
    prop_assert!(desk.schedule().next().is_none_or(|due| due.at > end));
    prop_assert!(run.market().next_bar().is_none_or(|(at, _)| at > end));
    prop_assert!(run.sink().frames.is_sorted_by_key(|kept| kept.1));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn positions_are_the_sum_of_fills_and_cash_is_what_they_cost(world in world(false)) {
        kept_by_hand(&world)?;
    }
}
