//! The paper venue against numbers worked out by hand. X has prices with 2 decimals and quantities with 3, the taker
//! pays 10 bps, the maker 5 bps, rounded up to 8 decimals, and an order is 1 ms under way.
mod common;
use common::{MS, NOON, Rig, X, ended, fees, filled, quiet_session, rules, said};
use onetape_engine::event::{
    Aggressor, Event, Liquidity, MarketStatus, Resolution, TradingRules, TradingStatus, VenueReason,
};
use onetape_engine::id::StrategyId;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{OrderState, Side, TimeInForce};
use onetape_engine::session::SessionConfig;
use onetape_engine::time::Nanos;

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
    let next = rig.sequencer.desk().schedule().next();
    assert!(next.is_none_or(|due| due.task == onetape_engine::desk::Task::DayRoll));
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
