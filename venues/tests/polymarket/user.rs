//! The user channel: provisional and final fills, and whose they are.
use super::{credentials, events, instruments};
use onetape_engine::event::Liquidity;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{OrderState, Side};
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_venues::gateway::{AccountFact, Feed, FillFact, Outbox};
use onetape_venues::polygon::Address;
use onetape_venues::polymarket::{UserFeed, UserFeedConfig};
use serde_json::{Value, json};

fn feed() -> UserFeed {
    let all = instruments(&["1", "2"]);
    UserFeed::new(
        UserFeedConfig::default(),
        all,
        credentials(),
        Address([9; 20]),
    )
}

fn told(message: &Value) -> Vec<AccountFact> {
    let mut out = Outbox::default();
    feed()
        .message(message.to_string().as_bytes(), Nanos(0), &mut out)
        .unwrap();
    assert!(events(&out).is_empty());
    out.account_facts().to_vec()
}

/// We rested a buy of token 2; somebody bought token 1.
fn trade(status: &str) -> Value {
    json!({
        "event_type": "trade", "id": "t-1", "status": status, "asset_id": "1", "side": "BUY", "size": "12",
        "price": "0.6", "taker_order_id": "0xtaker", "owner": "another-key", "match_time": "1672290701500",
        "maker_orders": [
            {"order_id": "0xa", "owner": "our-key", "asset_id": "2", "matched_amount": "7.5", "price": "0.4"},
            {"order_id": "0xb", "owner": "a-third-key", "asset_id": "1", "matched_amount": "4.5", "price": "0.6"},
        ],
    })
}

fn fill(facts: &[AccountFact]) -> &FillFact {
    match facts {
        [AccountFact::Fill(fill)] => fill,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_makers_fill_is_its_entry_and_never_the_outer_fields() {
    let facts = told(&trade("MATCHED"));
    let fill = fill(&facts);
    assert_eq!(fill.key.venue_id.as_deref(), Some("0xa"));
    assert_eq!((fill.instrument.0, fill.side), (1, Side::Buy));
    assert_eq!((fill.price, fill.qty), (Price(4_000), Qty(7_500_000)));
    assert_eq!((fill.liquidity, fill.is_final), (Liquidity::Maker, false));
    assert_eq!(fill.at, Nanos(1_672_290_701_500_000_000));
}

#[test]
fn a_trade_is_provisional_until_it_is_confirmed_and_taken_back_where_it_fails() {
    let mut ids = Vec::new();
    for (status, is_final) in [
        ("MATCHED", false),
        ("MINED", false),
        ("RETRYING", false),
        ("MATCHED_NOT_BROADCASTED", false),
        ("CONFIRMED", true),
        ("TRADE_STATUS_CONFIRMED", true),
    ] {
        let facts = told(&trade(status));
        assert_eq!(fill(&facts).is_final, is_final, "{status}");
        ids.push(fill(&facts).fill_id.clone());
    }
    ids.dedup();
    assert_eq!(ids, ["t-1:0xa"]);
    let [
        AccountFact::FillReversed {
            instrument,
            fill_id,
        },
    ] = &told(&trade("FAILED"))[..]
    else {
        panic!("not reversed")
    };
    assert_eq!((instrument.0, fill_id), (1, &ids[0]));
}

#[test]
fn what_we_took_is_in_the_outer_fields() {
    let mut took = trade("MATCHED");
    took["maker_orders"][0]["owner"] = json!("another-key");
    took["owner"] = json!("our-key");
    let facts = told(&took);
    let taken = fill(&facts);
    assert_eq!(taken.key.venue_id.as_deref(), Some("0xtaker"));
    assert_eq!(
        (taken.side, taken.price, taken.qty),
        (Side::Buy, Price(6_000), Qty(12_000_000))
    );
    assert_eq!(
        (taken.fill_id.as_str(), taken.liquidity),
        ("t-1", Liquidity::Taker)
    );
    // Where the message says which side is told, that counts.
    let mut said = trade("MATCHED");
    said["trader_side"] = json!("TAKER");
    said["owner"] = json!("our-key");
    assert_eq!(fill(&told(&said)).liquidity, Liquidity::Taker);
}

#[test]
fn a_trade_of_nobody_we_know_is_an_error_and_asks_for_a_look() {
    let mut other = trade("MATCHED");
    other["maker_orders"][0]["owner"] = json!("another-key");
    let mut out = Outbox::default();
    let result = feed().message(other.to_string().as_bytes(), Nanos(0), &mut out);
    assert!(result.is_err());
    assert_eq!(out.account_facts(), [AccountFact::Resync]);
}

fn order(event: &str, status: &str, matched: &str) -> Vec<AccountFact> {
    told(&json!({
        "event_type": "order", "type": event, "status": status, "id": "0xa", "asset_id": "1", "side": "SELL",
        "original_size": "10", "size_matched": matched, "price": "0.57", "associate_trades": null,
    }))
}

#[test]
fn matched_is_filled_only_where_all_of_it_is() {
    for (event, status, matched, state) in [
        ("PLACEMENT", "LIVE", "0", OrderState::Acked),
        ("UPDATE", "LIVE", "3", OrderState::PartiallyFilled),
        ("UPDATE", "MATCHED", "3", OrderState::PartiallyFilled),
        ("UPDATE", "MATCHED", "10", OrderState::Filled),
        // Less than a hundredth of a share is dust.
        ("UPDATE", "MATCHED", "9.995", OrderState::Filled),
        ("UPDATE", "MATCHED", "9.99", OrderState::PartiallyFilled),
        ("CANCELLATION", "CANCELED", "3", OrderState::Cancelled),
        ("CANCELLATION", "LIVE", "0", OrderState::Cancelled),
        (
            "UPDATE",
            "CANCELED_MARKET_RESOLVED",
            "0",
            OrderState::Cancelled,
        ),
        ("PLACEMENT", "INVALID", "0", OrderState::Rejected),
    ] {
        let [AccountFact::Order(fact)] = &order(event, status, matched)[..] else {
            panic!("{status}")
        };
        assert_eq!(fact.state, state, "{event} {status} {matched}");
    }
}

#[test]
fn tokens_that_are_not_on_the_tape_are_left_out() {
    let mut out = Outbox::default();
    let all = instruments(&["7"]);
    let mut feed = UserFeed::new(
        UserFeedConfig::default(),
        all,
        credentials(),
        Address([9; 20]),
    );
    feed.message(trade("MATCHED").to_string().as_bytes(), Nanos(0), &mut out)
        .unwrap();
    assert!(out.account_facts().is_empty());
}

#[test]
fn every_connection_begins_with_a_look_at_what_was_missed() {
    let mut feed = feed();
    for _ in 0..2 {
        let mut out = Outbox::default();
        feed.opened(Nanos(SECOND_NS), &mut out);
        assert_eq!(out.account_facts(), [AccountFact::Resync]);
        feed.closed(Nanos(2 * SECOND_NS), &mut out);
    }
    let mut out = Outbox::default();
    feed.opened(Nanos(SECOND_NS), &mut out);
    feed.tick(Nanos(11 * SECOND_NS), &mut out);
    assert_eq!(out.messages()[1], "PING");
    feed.tick(Nanos(26 * SECOND_NS), &mut out);
    assert!(out.wants_reconnect().is_some());
}
