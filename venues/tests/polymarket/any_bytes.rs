//! No bytes make a reader panic: random ones, and good ones with a few changed.
use super::{answer, credentials, instruments, market, orders};
use onetape_engine::id::InstrumentId;
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_venues::gateway::{Feed, KnownOrder, Listings, OrderWire, Outbox, Query, Response};
use onetape_venues::polygon::Address;
use onetape_venues::polymarket::{
    LeaderFeed, LeaderFeedConfig, ListingConfig, MarketFeedConfig, Markets, Role, Tokens, UserFeed,
    UserFeedConfig, book_hash, decode, decode_user, rest_book, trade_rows,
};
use proptest::prelude::*;
use std::sync::Arc;

const GOOD: [&str; 12] = [
    r#"[{"event_type":"book","asset_id":"1","market":"0x1","timestamp":"1000","hash":"h","bids":[{"price":".48","size":"30"}],"asks":[{"price":"0.52","size":"25"}],"min_order_size":"5","tick_size":"0.01","neg_risk":false}]"#,
    r#"{"event_type":"price_change","market":"0x1","timestamp":"1100","price_changes":[{"asset_id":"1","price":"0.5","size":"200","side":"BUY","hash":"h","best_bid":"0.5","best_ask":"1"}]}"#,
    r#"{"event_type":"last_trade_price","asset_id":"1","price":"0.456","side":"BUY","size":"219.217767","timestamp":"1750428146322"}"#,
    r#"{"event_type":"tick_size_change","asset_id":"1","old_tick_size":"0.01","new_tick_size":"0.001","timestamp":"100"}"#,
    r#"{"event_type":"best_bid_ask","asset_id":"1","best_bid":"0.73","best_ask":"0.77","timestamp":"1766789469958"}"#,
    r#"{"event_type":"market_resolved","assets_ids":["1","2"],"winning_asset_id":"1"}"#,
    r#"{"event_type":"order","id":"0xa","asset_id":"1","status":"LIVE","type":"UPDATE","original_size":"10","size_matched":"3"}"#,
    r#"{"event_type":"trade","id":"t","asset_id":"1","side":"BUY","size":"10","price":"0.57","status":"MATCHED","taker_order_id":"0xb","match_time":"1672290701","maker_orders":[{"order_id":"0xa","owner":"our-key","asset_id":"1","matched_amount":"10","price":"0.57"}]}"#,
    r#"{"data":[{"id":"0xa","asset_id":"1234","status":"LIVE","original_size":"10","size_matched":"3"}],"next_cursor":"LTE="}"#,
    r#"{"t":[{"t":"1","o":"Yes"}],"mos":5,"mts":0.01,"fd":{"r":0.07,"e":1,"to":true}}"#,
    r#"[{"conditionId":"0xc","description":"d","endDate":"2026-03-12T09:25:00Z","outcomes":"[\"Yes\"]","clobTokenIds":"[\"1\"]","active":true}]"#,
    r#"[{"proxyWallet":"0xabababababababababababababababababababab","side":"BUY","asset":"1","size":1.5,"price":0.5,"timestamp":1795253400,"transactionHash":"0xa","currentValue":1}]"#,
];

/// A good message with some bytes changed, cut short or doubled; or any bytes at all.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let mutated = (
        0..GOOD.len(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        any::<prop::sample::Index>(),
        0u8..4,
    )
        .prop_map(|(which, changes, place, how)| {
            let mut bytes = GOOD[which].as_bytes().to_vec();
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let place = place.index(bytes.len());
            match how {
                0 => bytes.truncate(place),
                1 => {
                    let tail = bytes[place..].to_vec();
                    bytes.extend(tail);
                }
                _ => {}
            }
            bytes
        });
    prop_oneof![mutated, prop::collection::vec(any::<u8>(), 0..300)]
}

/// Numbers of all sizes where numbers stand.
fn numbers() -> impl Strategy<Value = Vec<u8>> {
    (
        0..GOOD.len(),
        "-?[0-9]{0,45}\\.?[0-9]{0,45}(e-?[0-9]{1,9})?",
    )
        .prop_map(|(which, number)| {
            let text = GOOD[which]
                .replace("0.5", &number)
                .replace("10", &number)
                .replace("0.01", &number);
            text.into_bytes()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_a_reader_panic(body in prop_oneof![bytes(), numbers()], status in prop_oneof![Just(200u16), any::<u16>()]) {
        let _ = (decode(&body), decode_user(&body));
        if let Ok(book) = rest_book(&body) {
            let _ = book_hash(&book);
        }
        let response = Response { status, headers: &[], body: &body };
        let now = Nanos(5 * SECOND_NS);
        let mut out = Outbox::default();
        let mut feed = market::feed(&["1", "2"], MarketFeedConfig::default());
        feed.opened(Nanos(SECOND_NS), &mut out);
        let _ = feed.message(GOOD[0].as_bytes(), now, &mut out);
        let _ = (feed.message(&body, now, &mut out), feed.response(0, Some(&response), now, &mut out));
        feed.tick(now.after(6 * SECOND_NS), &mut out);
        let all = instruments(&["1", "1234"]);
        let mut user = UserFeed::new(UserFeedConfig::default(), all.clone(), credentials(), Address([9; 20]));
        let _ = user.message(&body, now, &mut out);
        let mut leaders = LeaderFeed::new(LeaderFeedConfig::default(), all.clone(), &[Address([0xab; 20])]);
        let _ = leaders.message(&body, now, &mut out);
        for tag in 0..5 {
            let _ = leaders.response(tag, Some(&response), now, &mut out);
        }
        let _ = trade_rows(&response, Role::Both, &all);
        let mut orders = orders::orders();
        let known = KnownOrder { order: orders::buy(), venue_id: None };
        let mut facts = Vec::new();
        let _ = (orders.placed(&orders::buy(), Some(&response)), orders.cancelled(&known, Some(&response)));
        let _ = (orders.time(&response), orders.kept_alive(Some(&response)));
        let empty = answer(404, "");
        let _ = orders.looked_up(&known, &[response, response], &mut facts);
        let _ = orders.looked_up(&known, &[empty, response], &mut facts);
        for query in [Query::OpenOrders, Query::Fills { since: now, of: Arc::default() }, Query::Holdings, Query::Balances] {
            let _ = orders.answer(&query, &response, &mut facts);
        }
        let conditions = [("1".to_owned(), "0xc".to_owned())];
        let mut markets = Markets::new(ListingConfig::default(), conditions, Tokens::default());
        let good = |place: usize| answer(200, GOOD[place]);
        for pair in [[response, good(10)], [good(9), response]] {
            let _ = markets.read("1", InstrumentId(0), &pair, now);
        }
        let _ = markets.read("1", InstrumentId(0), &[response], now);
    }

    /// Deep nesting and long lists of nothing end in an error or in nothing.
    #[test]
    fn no_depth_makes_a_reader_panic(depth in 1usize..5_000, open in prop_oneof![Just("["), Just("{\"a\":")]) {
        let body = open.repeat(depth);
        let _ = (decode(body.as_bytes()), decode_user(body.as_bytes()), rest_book(body.as_bytes()));
    }
}
