//! The paper venue against numbers worked out by hand. X has prices with 2 decimals and quantities with 3, the taker
//! pays 10 bps, the maker 5 bps, rounded up to 8 decimals, and an order is 1 ms under way.
use crate::common;
use crate::common::{MS, NOON, Rig, X, ended, fees, filled, quiet_session, rules, said};
use onetape_engine::event::{
    Aggressor, Event, ExecutionReport, Liquidity, MarketStatus, OrderDecided, Resolution,
    TradingRules, TradingStatus, VenueReason,
};
use onetape_engine::id::{OrderId, Sequence, StrategyId};
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{Order, OrderState, OrderType, Side, TimeInForce};
use onetape_engine::risk::{self, Gate, Proposal};
use onetape_engine::sequencer::{MemorySink, Sequencer};
use onetape_engine::session::{QueueModel, SessionConfig};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;

const GTC: TimeInForce = TimeInForce::GoodTillCancel;
const IOC: TimeInForce = TimeInForce::ImmediateOrCancel;
const POST: TimeInForce = TimeInForce::PostOnly;

fn status(status: TradingStatus) -> Event<'static> {
    Event::MarketStatus(MarketStatus {
        instrument: X,
        status,
    })
}

/// Bids 99.99 x 1 and 99.98 x 5, asks 100.01 x 1, 100.02 x 2 and 100.05 x 4.
fn with_book() -> Rig {
    let mut rig = Rig::new(quiet_session());
    let bids = [(9_999, 1_000), (9_998, 5_000)];
    rig.book(
        NOON,
        &bids,
        &[(10_001, 1_000), (10_002, 2_000), (10_005, 4_000)],
    );
    rig
}

/// 3.5 bought: 1 at 100.01, 2 at 100.02, 0.5 at 100.05, together 350.075. At 10 bps the fees are
/// 0.10001, 0.20004 and 0.050025, together 0.350075, so cash is -350.425075.
#[test]
fn a_market_order_walks_the_levels_and_pays_fees_to_the_last_digit() {
    let mut rig = with_book();
    let order = rig.market(NOON, Side::Buy, 3_500);
    rig.heartbeat(NOON + MS);
    let fills = [
        filled(OrderState::PartiallyFilled, 10_001, 1_000),
        filled(OrderState::PartiallyFilled, 10_002, 2_000),
        filled(OrderState::Filled, 10_005, 500),
    ];
    assert_eq!(rig.said(order), fills);
    let paid: Vec<String> = rig.fills().iter().map(|f| f.fee.to_string()).collect();
    assert_eq!(paid, ["0.10001", "0.20004", "0.050025"]);
    let ids: Vec<u64> = rig.fills().iter().map(|f| f.fill_id).collect();
    assert_eq!(ids, [1, 2, 3]);
    let ledger = rig.sequencer.desk().ledger();
    assert_eq!(ledger.cash()[0].balance.to_string(), "-350.425075");
    assert_eq!(ledger.position(StrategyId(0), X).unwrap().qty, Qty(3_500));
}

/// 0.001 at 33.33 and 5 bps: 0.000016665, at 8 decimals 0.00001667.
#[test]
fn a_makers_fee_is_rounded_as_the_schedule_says() {
    let mut rig = Rig::new(quiet_session());
    rig.book(NOON, &[(3_332, 1)], &[(3_334, 1)]);
    rig.limit(NOON, Side::Buy, POST, 3_333, 1);
    rig.heartbeat(NOON + MS);
    rig.trade(NOON + 2 * MS, Aggressor::Seller, 3_333, 1);
    let fill = rig.fills()[0];
    assert_eq!(
        (fill.fee.to_string().as_str(), fill.liquidity),
        ("0.00001667", Liquidity::Maker)
    );
}

#[test]
fn the_same_liquidity_is_not_taken_twice_until_the_venue_shows_it_anew() {
    let mut rig = with_book();
    rig.market(NOON, Side::Buy, 1_000);
    let second = rig.market(NOON, Side::Buy, 1_000);
    rig.heartbeat(NOON + MS);
    assert_eq!(
        rig.said(second),
        [filled(OrderState::Filled, 10_002, 1_000)]
    );
    // Another level's news is none of this one's.
    rig.delta(NOON + 2 * MS, &[], &[(10_005, 9_000)]);
    let third = rig.market(NOON + 2 * MS, Side::Buy, 1_000);
    rig.heartbeat(NOON + 3 * MS);
    assert_eq!(rig.said(third), [filled(OrderState::Filled, 10_002, 1_000)]);
    rig.delta(NOON + 4 * MS, &[], &[(10_001, 700)]);
    let fourth = rig.market(NOON + 4 * MS, Side::Buy, 1_000);
    rig.heartbeat(NOON + 5 * MS);
    let fills = [
        filled(OrderState::PartiallyFilled, 10_001, 700),
        filled(OrderState::Filled, 10_005, 300),
    ];
    assert_eq!(rig.said(fourth), fills);
}

#[test]
fn a_quote_beside_a_live_book_brings_no_liquidity_back() {
    let mut rig = with_book();
    rig.market(NOON, Side::Buy, 1_000);
    rig.heartbeat(NOON + MS);
    rig.quote(NOON + 2 * MS, (9_999, 1), (10_001, 1));
    let second = rig.market(NOON + 2 * MS, Side::Buy, 1_000);
    rig.heartbeat(NOON + 3 * MS);
    assert_eq!(
        rig.said(second),
        [filled(OrderState::Filled, 10_002, 1_000)]
    );
}

#[test]
fn what_an_immediate_order_does_not_find_expires() {
    let mut rig = with_book();
    let limited = rig.limit(NOON, Side::Buy, IOC, 10_001, 3_000);
    let hopeless = rig.limit(NOON, Side::Sell, IOC, 10_000, 1_000);
    rig.heartbeat(NOON + MS);
    let expired = ended(OrderState::Expired, VenueReason::NoLiquidity);
    let partial = filled(OrderState::PartiallyFilled, 10_001, 1_000);
    assert_eq!(rig.said(limited), [partial, expired]);
    assert_eq!(rig.said(hopeless), [expired]);
    assert!(rig.sequencer.desk().orders().is_empty());
}

#[test]
fn a_post_only_order_that_would_take_expires() {
    let mut rig = with_book();
    let takes = rig.limit(NOON, Side::Buy, POST, 10_001, 1_000);
    let rests = rig.limit(NOON, Side::Buy, POST, 10_000, 1_000);
    rig.heartbeat(NOON + MS);
    assert_eq!(
        rig.said(takes),
        [ended(OrderState::Expired, VenueReason::WouldTake)]
    );
    assert_eq!(rig.said(rests), [said(OrderState::Acked)]);
}

#[test]
fn what_a_limit_order_does_not_take_rests_at_its_price() {
    let mut rig = with_book();
    let order = rig.limit(NOON, Side::Buy, GTC, 10_002, 4_000);
    rig.heartbeat(NOON + MS);
    let arrived = [
        said(OrderState::Acked),
        filled(OrderState::PartiallyFilled, 10_001, 1_000),
        filled(OrderState::PartiallyFilled, 10_002, 2_000),
    ];
    assert_eq!(rig.said(order), arrived);
    // What it took is gone, although the book still shows it.
    rig.delta(NOON + 2 * MS, &[(9_990, 1)], &[]);
    assert_eq!(rig.said(order).len(), 3);
    // Behind the level that is used up a new one comes to its price.
    rig.delta(NOON + 3 * MS, &[], &[(10_002, 50)]);
    assert_eq!(
        rig.said(order)[3],
        filled(OrderState::Filled, 10_002, 1_000)
    );
}

/// Queue 5 ahead of an order of 3: trades of 4, 2 and 5 leave 1 ahead, then fill 1, then the other 2.
#[test]
fn a_resting_order_fills_only_when_trades_exceed_the_queue_ahead() {
    let mut rig = with_book();
    let order = rig.limit(NOON, Side::Buy, POST, 9_998, 3_000);
    rig.heartbeat(NOON + MS);
    rig.trade(NOON + 2 * MS, Aggressor::Seller, 9_998, 4_000);
    rig.trade(NOON + 3 * MS, Aggressor::Buyer, 9_998, 90_000);
    assert_eq!(rig.said(order), [said(OrderState::Acked)]);
    rig.trade(NOON + 4 * MS, Aggressor::Seller, 9_998, 2_000);
    rig.trade(NOON + 5 * MS, Aggressor::Seller, 9_998, 5_000);
    let expected = [
        said(OrderState::Acked),
        filled(OrderState::PartiallyFilled, 9_998, 1_000),
        filled(OrderState::Filled, 9_998, 2_000),
    ];
    assert_eq!(rig.said(order), expected);
    assert!(
        rig.fills()
            .iter()
            .all(|fill| fill.liquidity == Liquidity::Maker)
    );
}

#[test]
fn a_level_that_shrinks_below_the_queue_moves_it_forward() {
    let mut rig = with_book();
    let order = rig.limit(NOON, Side::Buy, POST, 9_998, 3_000);
    rig.heartbeat(NOON + MS);
    rig.delta(NOON + 2 * MS, &[(9_998, 1_000)], &[]);
    // What is added joins behind us.
    rig.delta(NOON + 3 * MS, &[(9_998, 8_000)], &[]);
    rig.trade(NOON + 4 * MS, Aggressor::Seller, 9_998, 1_500);
    assert_eq!(
        rig.said(order)[1],
        filled(OrderState::PartiallyFilled, 9_998, 500)
    );
}

/// Two orders of ours behind the same queue of 5: a trade of 7 fills 2 of the first, none of the second.
#[test]
fn two_orders_of_ours_share_a_trade_in_the_order_of_arrival() {
    let mut rig = with_book();
    let first = rig.limit(NOON, Side::Buy, POST, 9_998, 3_000);
    let second = rig.limit(NOON, Side::Buy, POST, 9_998, 3_000);
    rig.heartbeat(NOON + MS);
    rig.trade(NOON + 2 * MS, Aggressor::Seller, 9_998, 7_000);
    assert_eq!(
        rig.said(first)[1],
        filled(OrderState::PartiallyFilled, 9_998, 2_000)
    );
    assert_eq!(rig.said(second), [said(OrderState::Acked)]);
    rig.trade(NOON + 3 * MS, Aggressor::Seller, 9_998, 1_500);
    assert_eq!(rig.said(first)[2], filled(OrderState::Filled, 9_998, 1_000));
    assert_eq!(
        rig.said(second)[1],
        filled(OrderState::PartiallyFilled, 9_998, 500)
    );
}

#[test]
fn a_trade_through_the_price_fills_everything() {
    let mut rig = with_book();
    let order = rig.limit(NOON, Side::Sell, POST, 10_005, 3_000);
    rig.heartbeat(NOON + MS);
    rig.trade(NOON + 2 * MS, Aggressor::Unknown, 10_006, 1);
    assert_eq!(
        rig.said(order)[1],
        filled(OrderState::Filled, 10_005, 3_000)
    );
}

#[test]
fn an_impossible_trade_moves_nothing() {
    let mut rig = with_book();
    let order = rig.limit(NOON, Side::Sell, POST, 10_005, 3_000);
    rig.heartbeat(NOON + MS);
    for (price, qty) in [
        (0, 5),
        (-1, 5),
        (10_006, 0),
        (10_006, -5),
        (10_006, i64::MIN),
    ] {
        rig.trade(NOON + 2 * MS, Aggressor::Unknown, price, qty);
    }
    assert_eq!(rig.said(order), [said(OrderState::Acked)]);
    let x = rig.sequencer.market().instrument(X).unwrap();
    assert_eq!(x.last_trade, None);
}

#[test]
fn the_other_side_coming_to_the_price_fills_everything_and_is_used_up() {
    let mut rig = with_book();
    let order = rig.limit(NOON, Side::Buy, POST, 9_999, 3_000);
    rig.heartbeat(NOON + MS);
    rig.delta(NOON + 2 * MS, &[(9_999, 0)], &[(9_999, 400)]);
    assert_eq!(rig.said(order)[1], filled(OrderState::Filled, 9_999, 3_000));
    // The 0.4 that came to us are not there for the next order.
    let taker = rig.market(NOON + 2 * MS, Side::Buy, 500);
    rig.heartbeat(NOON + 3 * MS);
    assert_eq!(rig.said(taker), [filled(OrderState::Filled, 10_001, 500)]);
}

/// One level and no book: an order deeper than the quote knows its queue only when the quote comes to its price.
#[test]
fn an_instrument_with_quotes_alone_fills_from_the_best_level() {
    let mut rig = Rig::new(quiet_session());
    rig.quote(NOON, (9_999, 1_000), (10_001, 1_000));
    let taker = rig.market(NOON, Side::Buy, 1_500);
    let deep = rig.limit(NOON, Side::Buy, POST, 9_998, 1_000);
    rig.heartbeat(NOON + MS);
    let taken = filled(OrderState::PartiallyFilled, 10_001, 1_000);
    assert_eq!(
        rig.said(taker),
        [taken, ended(OrderState::Expired, VenueReason::NoLiquidity)]
    );
    // The same quote again shows nothing anew; another quantity does.
    rig.quote(NOON + 2 * MS, (9_999, 1_000), (10_001, 1_000));
    let again = rig.market(NOON + 2 * MS, Side::Buy, 100);
    rig.heartbeat(NOON + 3 * MS);
    assert_eq!(
        rig.said(again),
        [ended(OrderState::Expired, VenueReason::NoLiquidity)]
    );
    rig.quote(NOON + 4 * MS, (9_999, 1_000), (10_001, 900));
    let third = rig.market(NOON + 4 * MS, Side::Buy, 100);
    rig.heartbeat(NOON + 5 * MS);
    assert_eq!(rig.said(third), [filled(OrderState::Filled, 10_001, 100)]);
    // Nothing is known of the queue at 99.98, so trades there fill nothing before a quote shows it.
    rig.trade(NOON + 6 * MS, Aggressor::Seller, 9_998, 50_000);
    assert_eq!(rig.said(deep), [said(OrderState::Acked)]);
    rig.quote(NOON + 7 * MS, (9_998, 200), (10_001, 900));
    rig.trade(NOON + 8 * MS, Aggressor::Seller, 9_998, 300);
    assert_eq!(
        rig.said(deep)[1],
        filled(OrderState::PartiallyFilled, 9_998, 100)
    );
    rig.quote(NOON + 9 * MS, (9_990, 200), (9_998, 1));
    assert_eq!(rig.said(deep)[2], filled(OrderState::Filled, 9_998, 900));
}

#[test]
fn an_order_arrives_after_its_latency_and_meets_the_book_as_of_then() {
    let mut rig = with_book();
    let order = rig.market(NOON, Side::Buy, 1_000);
    rig.delta(NOON + MS - 1, &[], &[(10_001, 0)]);
    // What comes at the very time of arrival comes after it.
    rig.delta(NOON + MS, &[], &[(10_002, 0)]);
    assert_eq!(rig.said(order), [filled(OrderState::Filled, 10_002, 1_000)]);
    assert_eq!(rig.reports()[0].0, NOON + MS);
}

#[test]
fn without_latency_an_order_arrives_before_the_next_input() {
    let mut config = quiet_session();
    config.paper.default.latency_us = 0;
    let mut rig = Rig::new(config);
    rig.book(NOON, &[(9_999, 1_000)], &[(10_001, 1_000)]);
    let order = rig.market(NOON, Side::Sell, 1_000);
    rig.delta(NOON, &[(9_999, 0)], &[]);
    assert_eq!(rig.said(order), [filled(OrderState::Filled, 9_999, 1_000)]);
}

#[test]
fn a_cancel_can_lose_the_race_against_a_fill() {
    let mut rig = with_book();
    let wins = rig.limit(NOON, Side::Buy, POST, 9_998, 3_000);
    let loses = rig.limit(NOON, Side::Buy, POST, 9_999, 3_000);
    rig.heartbeat(NOON + MS);
    rig.cancel(NOON + 2 * MS, wins);
    rig.cancel(NOON + 2 * MS, loses);
    rig.trade(NOON + 3 * MS - 1, Aggressor::Seller, 9_998, 1);
    rig.heartbeat(NOON + 10 * MS);
    let cancelled = ended(OrderState::Cancelled, VenueReason::Requested);
    assert_eq!(rig.said(wins), [said(OrderState::Acked), cancelled]);
    let full = filled(OrderState::Filled, 9_999, 3_000);
    assert_eq!(rig.said(loses), [said(OrderState::Acked), full]);
    assert!(rig.nothing_is_due());
}

#[test]
fn a_halted_market_takes_no_order_and_fills_none_until_it_opens() {
    let mut rig = with_book();
    let resting = rig.limit(NOON, Side::Buy, POST, 9_999, 1_000);
    rig.heartbeat(NOON + MS);
    rig.input(NOON + 2 * MS, &status(TradingStatus::Halted));
    let late = rig.market(NOON + 2 * MS, Side::Buy, 1_000);
    rig.delta(NOON + 4 * MS, &[(9_999, 0)], &[(9_999, 5)]);
    assert_eq!(
        rig.said(late),
        [ended(OrderState::Rejected, VenueReason::MarketNotOpen)]
    );
    assert_eq!(rig.said(resting), [said(OrderState::Acked)]);
    rig.input(NOON + 5 * MS, &status(TradingStatus::Open));
    assert_eq!(
        rig.said(resting)[1],
        filled(OrderState::Filled, 9_999, 1_000)
    );
}

#[test]
fn a_closed_market_cancels_what_rests() {
    let mut rig = with_book();
    let resting = rig.limit(NOON, Side::Buy, POST, 9_999, 1_000);
    rig.heartbeat(NOON + MS);
    rig.input(NOON + 2 * MS, &status(TradingStatus::Closed));
    let closed = ended(OrderState::Cancelled, VenueReason::MarketNotOpen);
    assert_eq!(rig.said(resting)[1], closed);
}

/// 2 bought at 99.98 cost 199.96 and 0.09998 as maker; at 100.00 they pay 200.
#[test]
fn a_resolution_pays_out_and_cancels_what_rests() {
    let mut rig = with_book();
    rig.limit(NOON, Side::Buy, POST, 9_998, 2_000);
    let rests = rig.limit(NOON, Side::Buy, POST, 9_990, 2_000);
    rig.heartbeat(NOON + MS);
    rig.trade(NOON + 2 * MS, Aggressor::Seller, 9_997, 1);
    let under_way = rig.market(NOON + 2 * MS, Side::Sell, 1_000);
    let resolution = Resolution {
        instrument: X,
        settlement_price: Price(10_000),
    };
    rig.input(NOON + 3 * MS - 1, &Event::Resolution(resolution));
    let resolved = ended(OrderState::Cancelled, VenueReason::Resolved);
    assert_eq!(rig.said(rests)[1], resolved);
    let ledger = rig.sequencer.desk().ledger();
    assert_eq!(ledger.cash()[0].balance.to_string(), "-0.05998");
    let position = ledger.position(StrategyId(0), X).unwrap();
    assert_eq!(
        (position.qty, position.realised.to_string()),
        (Qty(0), "0.04".into())
    );
    // Nothing opens a resolved contract again.
    rig.input(NOON + 3 * MS - 1, &status(TradingStatus::Open));
    rig.heartbeat(NOON + 4 * MS);
    let closed = ended(OrderState::Rejected, VenueReason::MarketNotOpen);
    assert_eq!(rig.said(under_way), [closed]);
}

#[test]
fn what_does_not_fit_the_rules_on_arrival_is_rejected() {
    let mut rig = with_book();
    let later = TradingRules {
        effective_from: Nanos(NOON + MS + 1),
        tick_size: Price(10),
        lot_size: Qty(100),
        min_qty: Qty(500),
        min_notional: onetape_engine::number::Money(60_000_000_000_000_000_000),
        min_price: Price(9_000),
        max_price: Price(11_000),
        ..rules(0)
    };
    rig.input(NOON, &Event::TradingRules(later));
    let before = rig.limit(NOON, Side::Buy, POST, 9_991, 501);
    // That one arrives a nanosecond before the new rules.
    rig.heartbeat(NOON + 1);
    let refused = [
        (9_991, 1_000),
        (9_990, 1_001),
        (9_990, 400),
        (8_990, 1_000),
        (9_990, 600),
    ]
    .map(|(price, qty)| rig.limit(NOON + 1, Side::Buy, POST, price, qty));
    let fits = rig.limit(NOON + 1, Side::Buy, POST, 9_990, 700);
    rig.heartbeat(NOON + MS + 1);
    assert_eq!(rig.said(before), [said(OrderState::Acked)]);
    for order in refused {
        assert_eq!(
            rig.said(order),
            [ended(OrderState::Rejected, VenueReason::Rules)]
        );
    }
    assert_eq!(rig.said(fits), [said(OrderState::Acked)]);
}

/// 1 at 100.01: 10 bps are 0.10001; 20 bps, in force 2 ms later, are 0.20002.
#[test]
fn a_fee_change_takes_effect_at_its_time() {
    let mut rig = with_book();
    let mut dearer = fees(0, 500, 2_000);
    dearer.effective_from = Nanos(NOON + 2 * MS);
    rig.input(NOON, &Event::FeeSchedule(Box::new(dearer)));
    rig.market(NOON + MS - 1, Side::Buy, 1_000);
    rig.market(NOON + MS, Side::Buy, 1_000);
    // Between the two arrivals the level is shown anew.
    rig.book(NOON + 2 * MS - 1, &[], &[(10_001, 1_000)]);
    rig.heartbeat(NOON + 2 * MS);
    let paid: Vec<String> = rig.fills().iter().map(|f| f.fee.to_string()).collect();
    assert_eq!(paid, ["0.10001", "0.20002"]);
}

#[test]
fn without_a_fee_schedule_an_order_is_rejected() {
    let mut rig = Rig::bare(quiet_session());
    rig.input(NOON, &common::instrument(0, "paper", "X"));
    rig.input(NOON, &Event::TradingRules(rules(0)));
    rig.book(NOON, &[(9_999, 1_000)], &[(10_001, 1_000)]);
    let order = rig.market(NOON, Side::Buy, 1_000);
    rig.heartbeat(NOON + MS);
    assert_eq!(
        rig.said(order),
        [ended(OrderState::Rejected, VenueReason::Rules)]
    );
}

#[test]
fn seeded_rejects_follow_the_seed_and_the_order_alone() {
    let rejects = |seed| -> Vec<bool> {
        let mut config = SessionConfig {
            seed,
            ..quiet_session()
        };
        config.paper.default.reject_per_million = 300_000;
        let mut rig = Rig::new(config);
        rig.book(NOON, &[(9_000, 1)], &[(11_000, 1)]);
        let orders: Vec<_> = (0..200)
            .map(|_| rig.limit(NOON, Side::Buy, POST, 8_000, 1))
            .collect();
        rig.heartbeat(NOON + MS);
        let rejected = ended(OrderState::Rejected, VenueReason::Seeded);
        orders
            .into_iter()
            .map(|order| rig.said(order)[0] == rejected)
            .collect()
    };
    let (one, again, other) = (rejects(1), rejects(1), rejects(2));
    assert_eq!(one, again);
    assert_ne!(one, other);
    // 200 draws at 30 %: 60 expected, 6.5 standard deviation.
    let count = one.into_iter().filter(|rejected| *rejected).count();
    assert!((35..=85).contains(&count), "{count}");
}

#[test]
fn a_stale_book_fills_nothing_and_its_snapshot_moves_the_queue() {
    let mut rig = with_book();
    let order = rig.limit(NOON, Side::Buy, POST, 9_998, 1_000);
    rig.heartbeat(NOON + MS);
    // Crossed: not to be believed, so it does not meet our order.
    rig.delta(NOON + 2 * MS, &[], &[(9_990, 1)]);
    assert_eq!(rig.said(order), [said(OrderState::Acked)]);
    rig.book(NOON + 3 * MS, &[(9_998, 100)], &[(10_001, 1)]);
    rig.trade(NOON + 4 * MS, Aggressor::Seller, 9_998, 150);
    assert_eq!(
        rig.said(order)[1],
        filled(OrderState::PartiallyFilled, 9_998, 50)
    );
    assert_eq!(rig.sequencer.desk().stats().maker_fills, 1);
}

// Stops.

/// A stop order of strategy 0 in X.
fn stop(rig: &mut Rig, at: u64, side: Side, trigger: i64, qty: i64) -> OrderId {
    stop_for(rig, at, side, GTC, trigger, qty)
}

fn stop_for(
    rig: &mut Rig,
    at: u64,
    side: Side,
    time_in_force: TimeInForce,
    trigger: i64,
    qty: i64,
) -> OrderId {
    let decided = OrderDecided {
        cause: Sequence(1),
        strategy: StrategyId(0),
        instrument: X,
        side,
        order_type: OrderType::Stop,
        time_in_force,
        price: Price(trigger),
        qty: Qty(qty),
        tag: 0,
        worst_price: None,
        one_of: None,
        protect: None,
        attached_to: None,
    };
    OrderId(rig.derive(at, &Event::OrderDecided(decided)).0)
}

/// A buy stop at 100.05: a print below it does nothing, one of 1 at 100.05 triggers it. By that print 100.01 and 100.02 are
/// gone and 1 of the 4 at 100.05, so 3 are taken and the last one finds nothing.
/// 3 at 100.05 are 300.15, at 10 bps 0.30015.
#[test]
fn a_print_at_the_trigger_makes_a_stop_take_what_the_print_left() {
    let mut rig = with_book();
    let order = stop(&mut rig, NOON, Side::Buy, 10_005, 4_000);
    rig.heartbeat(NOON + MS);
    rig.trade(NOON + 2 * MS, Aggressor::Buyer, 10_004, 1_000);
    assert_eq!(rig.said(order), [said(OrderState::Acked)]);
    rig.trade(NOON + 3 * MS, Aggressor::Buyer, 10_005, 1_000);
    let told = [
        said(OrderState::Acked),
        filled(OrderState::PartiallyFilled, 10_005, 3_000),
        ended(OrderState::Expired, VenueReason::NoLiquidity),
    ];
    assert_eq!(rig.said(order), told);
    let fill = rig.fills()[0];
    assert_eq!(
        (fill.fee.to_string().as_str(), fill.liquidity),
        ("0.30015", Liquidity::Taker)
    );
    assert_eq!(rig.reports()[1].0, NOON + 3 * MS);
}

/// A sell stop at 99.98: the bid of 99.99 goes, so the best bid comes to the trigger and 1 is sold there, without a print.
/// A buy stop at 100.05 sees the asks go up to it likewise.
#[test]
fn the_touch_triggers_a_stop_where_nothing_is_printed() {
    let mut rig = with_book();
    let sell = stop(&mut rig, NOON, Side::Sell, 9_998, 1_000);
    let buy = stop(&mut rig, NOON, Side::Buy, 10_005, 5_000);
    rig.heartbeat(NOON + MS);
    rig.delta(NOON + 2 * MS, &[(9_999, 0)], &[(10_001, 0)]);
    let full = filled(OrderState::Filled, 9_998, 1_000);
    assert_eq!(rig.said(sell), [said(OrderState::Acked), full]);
    assert_eq!(rig.said(buy), [said(OrderState::Acked)]);
    rig.delta(NOON + 3 * MS, &[], &[(10_002, 0), (10_009, 2_000)]);
    let fills = [
        said(OrderState::Acked),
        filled(OrderState::PartiallyFilled, 10_005, 4_000),
        filled(OrderState::Filled, 10_009, 1_000),
    ];
    assert_eq!(rig.said(buy), fills);
}

#[test]
fn quotes_alone_trigger_a_stop() {
    let mut rig = Rig::new(quiet_session());
    rig.quote(NOON, (9_999, 1_000), (10_001, 1_000));
    let order = stop(&mut rig, NOON, Side::Sell, 9_990, 1_500);
    rig.heartbeat(NOON + MS);
    rig.quote(NOON + 2 * MS, (9_991, 1_000), (10_001, 1_000));
    assert_eq!(rig.said(order), [said(OrderState::Acked)]);
    rig.quote(NOON + 3 * MS, (9_985, 1_000), (10_001, 1_000));
    let told = [
        said(OrderState::Acked),
        filled(OrderState::PartiallyFilled, 9_985, 1_000),
        ended(OrderState::Expired, VenueReason::NoLiquidity),
    ];
    assert_eq!(rig.said(order), told);
}

/// The market gaps from 100.01 to 101.00 while the order is under way: it fills there, not at its trigger.
#[test]
fn a_gap_over_the_trigger_fills_where_the_market_opens() {
    let mut rig = with_book();
    let order = stop(&mut rig, NOON, Side::Buy, 10_050, 1_000);
    rig.book(NOON + MS - 1, &[(10_090, 1_000)], &[(10_100, 5_000)]);
    rig.heartbeat(NOON + MS);
    let full = filled(OrderState::Filled, 10_100, 1_000);
    assert_eq!(rig.said(order), [said(OrderState::Acked), full]);
    assert!(rig.sequencer.desk().orders().is_empty());
}

/// Only what happens after its arrival triggers a stop: the print came before.
#[test]
fn a_print_before_arrival_triggers_nothing() {
    let mut rig = with_book();
    let order = stop(&mut rig, NOON, Side::Buy, 10_005, 1_000);
    rig.trade(NOON + MS - 1, Aggressor::Buyer, 10_005, 1_000);
    rig.heartbeat(NOON + MS);
    assert_eq!(rig.said(order), [said(OrderState::Acked)]);
}

#[test]
fn a_stop_stands_in_no_queue_and_can_be_cancelled_until_it_is_triggered() {
    let mut rig = with_book();
    let order = stop(&mut rig, NOON, Side::Sell, 9_998, 1_000);
    let resting = rig.limit(NOON, Side::Sell, POST, 10_005, 1_000);
    rig.heartbeat(NOON + MS);
    // A buyer at 100.06 goes through the resting order's price; the sell stop far below is no offer.
    rig.trade(NOON + 2 * MS, Aggressor::Buyer, 10_006, 1);
    assert_eq!(rig.said(order), [said(OrderState::Acked)]);
    assert_eq!(rig.said(resting).len(), 2);
    rig.cancel(NOON + 3 * MS, order);
    rig.heartbeat(NOON + 4 * MS);
    rig.trade(NOON + 5 * MS, Aggressor::Seller, 9_998, 1);
    let cancelled = ended(OrderState::Cancelled, VenueReason::Requested);
    assert_eq!(rig.said(order), [said(OrderState::Acked), cancelled]);
}

/// Two stops at one trigger and 1 at 100.01, 2 at 100.02 and 4 at 100.05: the second takes what the first left.
#[test]
fn stops_that_one_event_triggers_share_the_book_in_the_order_of_arrival() {
    let mut rig = Rig::new(quiet_session());
    rig.book(NOON, &[(9_999, 1_000)], &[(10_000, 1_000)]);
    let first = stop(&mut rig, NOON, Side::Buy, 10_001, 2_000);
    let second = stop(&mut rig, NOON, Side::Buy, 10_001, 2_000);
    rig.heartbeat(NOON + MS);
    let asks = [(10_001, 1_000), (10_002, 2_000), (10_005, 4_000)];
    rig.book(NOON + 2 * MS, &[(9_999, 1_000)], &asks);
    let of_first = [
        filled(OrderState::PartiallyFilled, 10_001, 1_000),
        filled(OrderState::Filled, 10_002, 1_000),
    ];
    let of_second = [
        filled(OrderState::PartiallyFilled, 10_002, 1_000),
        filled(OrderState::Filled, 10_005, 1_000),
    ];
    assert_eq!(rig.said(first)[1..], of_first);
    assert_eq!(rig.said(second)[1..], of_second);
    let ids: Vec<u64> = rig.fills().iter().map(|fill| fill.fill_id).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
}

/// There were no asks. Those that come fill the resting buy, which takes the 0.4 at 100.00, and trigger the stop of the same
/// moment, which is left with those at 100.12.
#[test]
fn what_fills_a_resting_order_is_not_there_for_a_stop_of_the_same_moment() {
    let mut rig = Rig::new(quiet_session());
    rig.book(NOON, &[(9_990, 1_000)], &[]);
    let resting = rig.limit(NOON, Side::Buy, POST, 10_005, 3_000);
    let stop = stop(&mut rig, NOON, Side::Buy, 9_995, 1_000);
    rig.heartbeat(NOON + MS);
    assert_eq!(rig.said(stop), [said(OrderState::Acked)]);
    let asks = [(10_000, 400), (10_012, 5_000)];
    rig.book(NOON + 2 * MS, &[(9_990, 1_000)], &asks);
    let full = filled(OrderState::Filled, 10_005, 3_000);
    assert_eq!(rig.said(resting)[1], full);
    let full = filled(OrderState::Filled, 10_012, 1_000);
    assert_eq!(rig.said(stop)[1], full);
}

/// The book is stale when the print comes: the order can't take what it does not see, and takes it when it does.
#[test]
fn a_triggered_stop_waits_while_there_is_nothing_to_take() {
    let mut rig = with_book();
    let order = stop(&mut rig, NOON, Side::Buy, 10_005, 2_000);
    rig.heartbeat(NOON + MS);
    rig.delta(NOON + 2 * MS, &[], &[(9_990, 1)]);
    rig.trade(NOON + 3 * MS, Aggressor::Buyer, 10_005, 1);
    assert_eq!(rig.said(order), [said(OrderState::Acked)]);
    // The market came back below the trigger, which was reached all the same.
    rig.book(NOON + 4 * MS, &[(9_999, 1_000)], &[(10_003, 1_500)]);
    let told = [
        said(OrderState::Acked),
        filled(OrderState::PartiallyFilled, 10_003, 1_500),
        ended(OrderState::Expired, VenueReason::NoLiquidity),
    ];
    assert_eq!(rig.said(order), told);
}

#[test]
fn a_halted_market_triggers_no_stop_and_a_closed_one_cancels_it() {
    let mut rig = with_book();
    let order = stop(&mut rig, NOON, Side::Sell, 9_998, 1_000);
    let other = stop(&mut rig, NOON, Side::Buy, 10_100, 1_000);
    rig.heartbeat(NOON + MS);
    rig.input(NOON + 2 * MS, &status(TradingStatus::Halted));
    rig.delta(NOON + 3 * MS, &[(9_999, 0)], &[]);
    assert_eq!(rig.said(order), [said(OrderState::Acked)]);
    rig.input(NOON + 4 * MS, &status(TradingStatus::Open));
    let full = filled(OrderState::Filled, 9_998, 1_000);
    assert_eq!(rig.said(order), [said(OrderState::Acked), full]);
    rig.input(NOON + 5 * MS, &status(TradingStatus::Closed));
    let closed = ended(OrderState::Cancelled, VenueReason::MarketNotOpen);
    assert_eq!(rig.said(other), [said(OrderState::Acked), closed]);
}

#[test]
fn a_stop_that_does_not_wait_is_refused() {
    let mut rig = with_book();
    let immediate = stop_for(&mut rig, NOON, Side::Sell, IOC, 9_998, 1_000);
    let passive = stop_for(&mut rig, NOON, Side::Sell, POST, 9_998, 1_000);
    rig.heartbeat(NOON + MS);
    for order in [immediate, passive] {
        let refused = ended(OrderState::Rejected, VenueReason::Rules);
        assert_eq!(rig.said(order), [refused]);
    }
}

/// A buy stop lies above the ask by nature: 5 % above it, the collar of 2 % does not deny it, the grid still does.
#[test]
fn the_price_collar_is_for_limits_and_not_for_triggers() {
    let rig = with_book();
    let check = |order_type, price| {
        let proposal = Proposal {
            instrument: X,
            side: Side::Buy,
            order_type,
            time_in_force: GTC,
            price: Price(price),
            qty: Qty(1_000),
            tag: 0,
            hedges: None,
            one_of: None,
            protect: None,
        };
        let (desk, market) = (rig.sequencer.desk(), rig.sequencer.market());
        let checked = risk::check(
            desk,
            market,
            Nanos(NOON),
            StrategyId(0),
            &proposal,
            &mut Vec::new(),
        );
        checked.unwrap().map_err(|denial| denial.gate)
    };
    assert_eq!(check(OrderType::Limit, 10_500), Err(Gate::PriceCollar));
    assert_eq!(check(OrderType::Stop, 10_500), Ok(()));
    assert_eq!(check(OrderType::Stop, 0), Err(Gate::PriceGrid));
}

// Queues.

fn power_session() -> SessionConfig {
    let mut config = quiet_session();
    config.paper.default.queue = QueueModel::PowerProbability;
    config
}

/// 5 ahead at 99.98, n = 2; 2 join behind. Then 3 are cancelled, 3 x 25 / (25 + 4) = 2.5862 of them ahead, in whole
/// thousandths 2.586, so 2.414 are left. A trade of 1 leaves 1.414; the level of 3 that shows it moves nothing. A trade of
/// 2 then reaches us with 0.586.
#[test]
fn in_the_probability_queue_some_of_those_who_cancel_stood_ahead() {
    let mut rig = Rig::new(power_session());
    rig.book(NOON, &[(9_999, 1_000), (9_998, 5_000)], &[(10_001, 1_000)]);
    let order = rig.limit(NOON, Side::Buy, POST, 9_998, 3_000);
    rig.heartbeat(NOON + MS);
    rig.delta(NOON + 2 * MS, &[(9_998, 7_000)], &[]);
    rig.delta(NOON + 3 * MS, &[(9_998, 4_000)], &[]);
    rig.trade(NOON + 4 * MS, Aggressor::Seller, 9_998, 1_000);
    rig.delta(NOON + 5 * MS, &[(9_998, 3_000)], &[]);
    assert_eq!(rig.said(order), [said(OrderState::Acked)]);
    rig.trade(NOON + 6 * MS, Aggressor::Seller, 9_998, 2_000);
    assert_eq!(
        rig.said(order)[1],
        filled(OrderState::PartiallyFilled, 9_998, 586)
    );
}

/// The same day in the risk-averse queue: 4 ahead after the cancels, 3 after the trade, so the trade of 2 reaches nobody.
#[test]
fn in_the_risk_averse_queue_those_who_cancel_stood_behind() {
    let mut rig = Rig::new(quiet_session());
    rig.book(NOON, &[(9_999, 1_000), (9_998, 5_000)], &[(10_001, 1_000)]);
    let order = rig.limit(NOON, Side::Buy, POST, 9_998, 3_000);
    rig.heartbeat(NOON + MS);
    rig.delta(NOON + 2 * MS, &[(9_998, 7_000)], &[]);
    rig.delta(NOON + 3 * MS, &[(9_998, 4_000)], &[]);
    rig.trade(NOON + 4 * MS, Aggressor::Seller, 9_998, 1_000);
    rig.delta(NOON + 5 * MS, &[(9_998, 3_000)], &[]);
    rig.trade(NOON + 6 * MS, Aggressor::Seller, 9_998, 2_000);
    assert_eq!(rig.said(order), [said(OrderState::Acked)]);
}

/// n = 3. The first order joins behind 50, the second behind 60, then the level is 100. Of these 50 are cancelled: 25 ahead
/// of the first, 50 x 60^3 / (60^3 + 40^3) = 38.57 ahead of the second, which would be at 21.43, before the first. It stays
/// behind it at 25: a trade of 24 fills neither, the next one of 2 fills 1 of the first.
#[test]
fn two_orders_of_ours_never_change_places() {
    let mut config = power_session();
    config.paper.default.queue_exponent = 3;
    let mut rig = Rig::new(config);
    rig.book(NOON, &[(9_998, 50_000)], &[(10_001, 1_000)]);
    let first = rig.limit(NOON, Side::Buy, POST, 9_998, 3_000);
    rig.heartbeat(NOON + MS);
    rig.delta(NOON + 2 * MS, &[(9_998, 60_000)], &[]);
    let second = rig.limit(NOON + 2 * MS, Side::Buy, POST, 9_998, 3_000);
    rig.delta(NOON + 4 * MS, &[(9_998, 100_000)], &[]);
    rig.delta(NOON + 5 * MS, &[(9_998, 50_000)], &[]);
    rig.trade(NOON + 6 * MS, Aggressor::Seller, 9_998, 24_000);
    assert_eq!(rig.said(first), [said(OrderState::Acked)]);
    assert_eq!(rig.said(second), [said(OrderState::Acked)]);
    rig.trade(NOON + 7 * MS, Aggressor::Seller, 9_998, 2_000);
    let part = filled(OrderState::PartiallyFilled, 9_998, 1_000);
    assert_eq!(rig.said(first)[1], part);
    assert_eq!(rig.said(second), [said(OrderState::Acked)]);
}

// Unknown outcomes.

/// Every outcome is unknown for 5 ms.
fn unknown_session() -> SessionConfig {
    let mut config = quiet_session();
    config.paper.default.unknown_per_million = 1_000_000;
    config.paper.default.unknown_ms = 5;
    config
}

/// The first of 64 limit orders that, as the seed has it, is lost, and the first that is not.
fn lost_and_accepted(rig: &mut Rig, side: Side, price: i64) -> (OrderId, OrderId) {
    let orders: Vec<OrderId> = (0..64)
        .map(|_| rig.limit(NOON, side, POST, price, 1_000))
        .collect();
    let mut probe = Rig::new(unknown_session());
    probe.book(NOON, &[(9_999, 1_000), (9_998, 5_000)], &[(10_001, 1_000)]);
    let probed: Vec<OrderId> = (0..64)
        .map(|_| probe.limit(NOON, side, POST, price, 1_000))
        .collect();
    assert_eq!(orders, probed);
    probe.heartbeat(NOON + 6 * MS);
    let is_lost = |order: &&OrderId| {
        probe.said(**order).last() == Some(&ended(OrderState::Rejected, VenueReason::Lost))
    };
    let lost = orders.iter().find(is_lost).unwrap();
    let accepted = orders.iter().find(|order| !is_lost(order)).unwrap();
    (*lost, *accepted)
}

fn unknown_rig() -> Rig {
    let mut rig = Rig::new(unknown_session());
    rig.book(NOON, &[(9_999, 1_000), (9_998, 5_000)], &[(10_001, 1_000)]);
    rig
}

#[test]
fn an_unknown_outcome_is_told_later_and_half_of_the_orders_are_lost() {
    let mut rig = unknown_rig();
    let orders: Vec<OrderId> = (0..200)
        .map(|_| rig.limit(NOON, Side::Buy, POST, 9_990, 1))
        .collect();
    rig.heartbeat(NOON + MS);
    assert!(
        orders
            .iter()
            .all(|order| rig.said(*order) == [said(OrderState::Unknown)])
    );
    assert_eq!(rig.sequencer.desk().unknown_orders().count(), 200);
    rig.heartbeat(NOON + 6 * MS - 1);
    assert_eq!(rig.sequencer.desk().unknown_orders().count(), 200);
    rig.heartbeat(NOON + 6 * MS);
    assert_eq!(rig.sequencer.desk().unknown_orders().count(), 0);
    let lost = ended(OrderState::Rejected, VenueReason::Lost);
    let (mut lost_ones, mut accepted) = (0, 0);
    for order in orders {
        match rig.said(order)[1] {
            told if told == lost => lost_ones += 1,
            told if told == said(OrderState::Acked) => accepted += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lost_ones + accepted, 200);
    // 200 draws at one half: 100 expected, 7.1 standard deviation.
    assert!((65..=135).contains(&lost_ones), "{lost_ones}");
    assert!(rig.nothing_is_due());
}

/// Between the order's own arrival and the truth the ask of 100.01 is gone: the order meets the book as of the truth.
#[test]
fn an_accepted_order_meets_the_book_of_the_moment_when_it_is_told() {
    let mut rig = unknown_rig();
    let orders: Vec<OrderId> = (0..16).map(|_| rig.market(NOON, Side::Buy, 10)).collect();
    rig.delta(NOON + 3 * MS, &[], &[(10_001, 0), (10_007, 9_000)]);
    rig.heartbeat(NOON + 6 * MS);
    let mut bought = 0;
    for order in orders {
        let told = rig.said(order);
        assert_eq!(told[0], said(OrderState::Unknown));
        if told[1] == filled(OrderState::Filled, 10_007, 10) {
            bought += 1;
        } else {
            assert_eq!(told[1], ended(OrderState::Rejected, VenueReason::Lost));
        }
    }
    assert!((1..16).contains(&bought), "{bought}");
}

#[test]
fn while_an_outcome_is_unknown_its_instrument_takes_no_new_risk_and_the_order_counts() {
    let mut config = unknown_session();
    config.risk.total.max_position = Some(Decimal::new(15, 1));
    let mut rig = Rig::new(config);
    rig.book(NOON, &[(9_999, 1_000)], &[(10_001, 1_000)]);
    let order = rig.limit(NOON, Side::Buy, POST, 9_990, 1_000);
    let asked = |rig: &Rig, at: u64| {
        let proposal = Proposal {
            instrument: X,
            side: Side::Buy,
            order_type: OrderType::Limit,
            time_in_force: GTC,
            price: Price(9_990),
            qty: Qty(1_000),
            tag: 0,
            hedges: None,
            one_of: None,
            protect: None,
        };
        let (desk, market) = (rig.sequencer.desk(), rig.sequencer.market());
        let checked = risk::check(
            desk,
            market,
            Nanos(at),
            StrategyId(0),
            &proposal,
            &mut Vec::new(),
        );
        checked.unwrap().map_err(|denial| denial.gate)
    };
    rig.heartbeat(NOON + MS);
    assert_eq!(asked(&rig, NOON + MS), Err(Gate::UnknownOutcome));
    rig.heartbeat(NOON + 6 * MS);
    let told = rig.said(order)[1];
    // Lost: its quantity is free again. Accepted: 1 + 1 are more than 1.5.
    let expected = if told == said(OrderState::Acked) {
        Err(Gate::Position)
    } else {
        Ok(())
    };
    assert_eq!(asked(&rig, NOON + 6 * MS), expected);
}

/// A cancel of an order that no venue knows yet: it takes effect right after the truth.
#[test]
fn a_cancel_waits_for_the_truth() {
    for cancelled_at in [NOON + 1, NOON + 2 * MS, NOON + 5 * MS + 1] {
        let mut rig = unknown_rig();
        let (lost, accepted) = lost_and_accepted(&mut rig, Side::Buy, 9_998);
        rig.heartbeat(cancelled_at - 1);
        rig.cancel(cancelled_at, lost);
        rig.cancel(cancelled_at, accepted);
        rig.heartbeat(NOON + 6 * MS - 1);
        assert_eq!(rig.said(accepted), [said(OrderState::Unknown)]);
        rig.heartbeat(NOON + 7 * MS + 1);
        let rejected = ended(OrderState::Rejected, VenueReason::Lost);
        assert_eq!(rig.said(lost), [said(OrderState::Unknown), rejected]);
        let cancelled = ended(OrderState::Cancelled, VenueReason::Requested);
        assert_eq!(
            rig.said(accepted),
            [
                said(OrderState::Unknown),
                said(OrderState::Acked),
                cancelled
            ]
        );
        let told_at: Vec<u64> = rig
            .reports()
            .iter()
            .filter(|(_, report)| report.order == accepted)
            .map(|(at, _)| *at)
            .collect();
        let expected = (cancelled_at + MS).max(NOON + 6 * MS);
        assert_eq!(told_at, [NOON + MS, NOON + 6 * MS, expected]);
        assert!(rig.nothing_is_due());
    }
}

/// What a venue says itself ends the paper venue's part: nothing is told a second time.
#[test]
fn a_venues_own_word_is_the_truth() {
    let mut rig = unknown_rig();
    let order = rig.limit(NOON, Side::Buy, POST, 9_990, 1_000);
    rig.heartbeat(NOON + MS);
    rig.input(
        NOON + 2 * MS,
        &Event::ExecutionReport(ExecutionReport {
            cause: Sequence(0),
            order,
            instrument: X,
            state: OrderState::Rejected,
            fill: None,
            reason: Some(VenueReason::Other),
        }),
    );
    rig.heartbeat(NOON + 10 * MS);
    assert_eq!(rig.said(order).len(), 2);
    assert!(rig.nothing_is_due());
}

// Replay.

/// What happens to a rig.
enum Act {
    Stop(Side, i64, i64),
    Limit(Side, TimeInForce, i64, i64),
    Market(Side, i64),
    CancelEveryOther,
    Book(i64),
    Delta([(i64, i64); 1], [(i64, i64); 1]),
    Trade(Aggressor, i64, i64),
}

fn act(rig: &mut Rig, (at, act): &(u64, Act)) {
    let at = *at;
    match act {
        Act::Stop(side, trigger, qty) => {
            stop(rig, at, *side, *trigger, *qty);
        }
        Act::Limit(side, tif, price, qty) => {
            rig.limit(at, *side, *tif, *price, *qty);
        }
        Act::Market(side, qty) => {
            rig.market(at, *side, *qty);
        }
        Act::CancelEveryOther => {
            let orders = rig.sequencer.desk().orders().iter().step_by(2);
            for order in orders.map(|order| order.id).collect::<Vec<_>>() {
                rig.cancel(at, order);
            }
        }
        Act::Book(off) => {
            let bids = [(9_999 + off, 1_000), (9_998 + off, 5_000)];
            let asks = [(10_001 + off, 1_000), (10_005 + off, 4_000)];
            rig.book(at, &bids, &asks);
        }
        Act::Delta(bids, asks) => rig.delta(at, bids, asks),
        Act::Trade(aggressor, price, qty) => rig.trade(at, *aggressor, *price, *qty),
    }
}

/// 60 rounds with every kind of order and everything that the paper venue answers to; the book jumps now and then.
fn eventful_day() -> Vec<(u64, Act)> {
    let mut acts = vec![(NOON, Act::Book(0))];
    for round in 0..60 {
        let at = NOON + round as u64 * 3 * MS;
        let mut then = |later: u64, act: Act| acts.push((at + later, act));
        then(0, Act::Stop(Side::Buy, 10_003 + round % 7, 1_500));
        then(0, Act::Stop(Side::Sell, 9_996 - round % 5, 1_500));
        then(0, Act::Limit(Side::Buy, POST, 9_998, 500));
        then(0, Act::Limit(Side::Sell, GTC, 10_001, 700));
        then(0, Act::Market(Side::Buy, 300));
        let bid = [(9_998, 6_000 - round * 37)];
        then(MS, Act::Delta(bid, [(10_005, 4_000)]));
        then(MS + 1, Act::Trade(Aggressor::Seller, 9_998, 400));
        then(
            MS + 2,
            Act::Trade(Aggressor::Buyer, 10_000 + round % 6, 300),
        );
        if round % 3 == 2 {
            then(2 * MS, Act::CancelEveryOther);
        }
        if round % 10 == 9 {
            then(2 * MS, Act::Book([12, -12, 0][round as usize / 10 % 3]));
        }
    }
    acts
}

#[test]
fn the_same_day_ends_the_same_from_the_start_and_from_any_snapshot() {
    let acts = eventful_day();
    for queue in [QueueModel::RiskAverse, QueueModel::PowerProbability] {
        let mut config = quiet_session();
        config.paper.default.queue = queue;
        config.paper.default.unknown_per_million = 400_000;
        config.paper.default.unknown_ms = 5;
        config.paper.default.reject_per_million = 100_000;
        let play = |snapshots: &mut Vec<(usize, usize, Vec<u8>)>| {
            let mut rig = Rig::new(config.clone());
            let (mut held, mut unknown) = (0, 0);
            for (place, next) in acts.iter().enumerate() {
                let frames = rig.frames().len();
                snapshots.push((place, frames, rig.sequencer.snapshot().unwrap()));
                let desk = rig.sequencer.desk();
                let is_held =
                    |o: &&Order| (o.order_type, o.state) == (OrderType::Stop, OrderState::Acked);
                held += usize::from(desk.orders().iter().any(|order| is_held(&order)));
                unknown += usize::from(desk.unknown_orders().next().is_some());
                act(&mut rig, next);
            }
            // Most snapshots fall where a stop waits and an outcome is unknown.
            assert!(held > 400 && unknown > 400, "{held} {unknown}");
            rig
        };
        let (mut snapshots, mut same) = (Vec::new(), Vec::new());
        let (mut rig, mut twin) = (play(&mut snapshots), play(&mut same));
        assert!(rig.frames() == twin.frames());
        let hash = rig.sequencer.state_hash().unwrap();
        assert_eq!(hash, twin.sequencer.state_hash().unwrap());
        for (place, frames, snapshot) in snapshots.into_iter().step_by(3) {
            let sequencer = Sequencer::restore(&snapshot, MemorySink::default()).unwrap();
            let mut restored = Rig { sequencer };
            for next in &acts[place..] {
                act(&mut restored, next);
            }
            assert!(restored.frames() == &rig.frames()[frames..], "{place}");
            assert_eq!(restored.sequencer.state_hash().unwrap(), hash);
        }
        let told: Vec<Option<VenueReason>> = rig
            .reports()
            .iter()
            .map(|(_, report)| report.reason)
            .collect();
        for reason in [
            VenueReason::Requested,
            VenueReason::NoLiquidity,
            VenueReason::WouldTake,
            VenueReason::Seeded,
            VenueReason::Lost,
        ] {
            assert!(told.contains(&Some(reason)), "{reason:?}");
        }
        assert!(
            rig.fills()
                .iter()
                .any(|fill| fill.liquidity == Liquidity::Maker)
        );
    }
}
