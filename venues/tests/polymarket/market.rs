//! The market channel: books that can be trusted or say that they can't.
use super::{answer, events, instruments, ok};
use onetape_engine::event::TradingRules;
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Money, Price, Qty};
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_venues::gateway::{Feed, Outbox};
use onetape_venues::polymarket::{ASSETS_MAX, MarketFeed, MarketFeedConfig, Tokens};

pub(crate) fn rules(id: u32) -> TradingRules {
    TradingRules {
        instrument: InstrumentId(id),
        effective_from: Nanos(0),
        tick_size: Price(100),
        lot_size: Qty(10_000),
        min_qty: Qty(5_000_000),
        min_notional: Money::ZERO,
        min_price: Price(100),
        max_price: Price(9_900),
        bands: Vec::new(),
        allows_short: false,
    }
}

pub(crate) fn feed(symbols: &[&str], config: MarketFeedConfig) -> MarketFeed {
    let rules: Vec<TradingRules> = (0..symbols.len()).map(|id| rules(id as u32)).collect();
    MarketFeed::new(config, &instruments(symbols), &rules, Tokens::default()).unwrap()
}

/// A feed of the tokens "1" and "2", connected at second 1.
struct Rig {
    feed: MarketFeed,
    out: Outbox,
    now: Nanos,
}

impl Rig {
    fn new() -> Self {
        let mut rig = Self {
            feed: feed(&["1", "2"], MarketFeedConfig::default()),
            out: Outbox::default(),
            now: Nanos(SECOND_NS),
        };
        rig.feed.opened(rig.now, &mut rig.out);
        assert_eq!(events(&rig.out), ["0 Snapshotting", "1 Snapshotting"]);
        rig.out.clear();
        rig
    }

    /// With books of both at 1000 ms of the venue's time: token 1 is 48x30 50x15 | 52x25 54x10.
    fn live() -> Self {
        let mut rig = Self::new();
        let books = format!("[{},{}]", book("1", 1_000), book("2", 1_000));
        let both = rig.says(&books);
        assert_eq!(both.len(), 2);
        assert_eq!(both[0], "0 book 5000x15 4800x30 | 5200x25 5400x10");
        rig
    }

    fn says(&mut self, message: &str) -> Vec<String> {
        self.out.clear();
        self.feed
            .message(message.as_bytes(), self.now, &mut self.out)
            .unwrap();
        events(&self.out)
    }

    fn answers(&mut self, tag: u32, body: &str) -> Vec<String> {
        self.out.clear();
        self.feed
            .response(tag, Some(&ok(body)), self.now, &mut self.out)
            .unwrap();
        events(&self.out)
    }

    fn after(&mut self, ms: u64) -> Vec<String> {
        self.out.clear();
        self.now = self.now.after(ms * 1_000_000);
        self.feed.tick(self.now, &mut self.out);
        events(&self.out)
    }

    /// Time passes with pings answered and token 2 alive.
    fn keep(&mut self, seconds: u64) {
        for _ in 0..seconds * 4 {
            self.says("PONG");
            let same = change(
                "2",
                self.now.0 / 1_000_000 + 1_000,
                "BUY",
                "0.48",
                "30",
                Some(("0.5", "0.52")),
            );
            self.says(&same);
            self.after(250);
        }
    }

    fn asked(&self) -> Vec<u32> {
        self.out.requests().iter().map(|(tag, _)| *tag).collect()
    }
}

fn book(token: &str, ms: u64) -> String {
    format!(
        r#"{{"event_type":"book","asset_id":"{token}","market":"0x1","timestamp":"{ms}","hash":"h","bids":[{{"price":".48","size":"30"}},{{"price":".50","size":"15"}}],"asks":[{{"price":".54","size":"10"}},{{"price":".52","size":"25"}}]}}"#
    )
}

fn change(
    token: &str,
    ms: u64,
    side: &str,
    price: &str,
    size: &str,
    best: Option<(&str, &str)>,
) -> String {
    let best = best.map_or(String::new(), |(bid, ask)| {
        format!(r#","best_bid":"{bid}","best_ask":"{ask}""#)
    });
    format!(
        r#"{{"event_type":"price_change","market":"0x1","timestamp":"{ms}","price_changes":[{{"asset_id":"{token}","price":"{price}","size":"{size}","side":"{side}","hash":"h"{best}}}]}}"#
    )
}

fn best(token: &str, ms: u64, bid: &str, ask: &str) -> String {
    format!(
        r#"{{"event_type":"best_bid_ask","market":"0x1","asset_id":"{token}","best_bid":"{bid}","best_ask":"{ask}","spread":"0","timestamp":"{ms}"}}"#
    )
}

const LOST: &str = "0 Stale(Gap { expected: 0, found: 0 })";

#[test]
fn a_change_with_other_best_prices_makes_the_book_stale_and_asks_for_it_once() {
    let mut rig = Rig::live();
    let lost = rig.says(&change(
        "1",
        1_100,
        "BUY",
        "0.48",
        "31",
        Some(("0.51", "0.52")),
    ));
    assert_eq!((lost, rig.asked()), (vec![LOST.to_owned()], vec![0]));
    // What comes meanwhile waits, and nothing is asked for twice.
    assert!(
        rig.says(&change(
            "1",
            1_200,
            "BUY",
            "0.51",
            "7",
            Some(("0.51", "0.52"))
        ))
        .is_empty()
    );
    assert!(rig.after(250).is_empty());
    assert!(rig.asked().is_empty());
    // The answer is from before one of the changes that wait and after the other one.
    let taken = rig.answers(0, &book("1", 1_150));
    assert_eq!(taken, ["0 book 5100x7 5000x15 4800x30 | 5200x25 5400x10"]);
    // A late change from before the answer is in it.
    assert!(
        rig.says(&change("1", 1_140, "BUY", "0.51", "1", None))
            .is_empty()
    );
    let next = rig.says(&change(
        "1",
        1_300,
        "SELL",
        "0.52",
        "0",
        Some(("0.51", "0.54")),
    ));
    assert_eq!(next, ["0 delta  | 5200x0"]);
}

#[test]
fn both_tokens_of_one_message_are_two_frames() {
    let mut rig = Rig::live();
    let both = r#"{"event_type":"price_change","market":"0x1","timestamp":"1100","price_changes":[
        {"asset_id":"1","price":"0.51","size":"7","side":"BUY","best_bid":"0.51","best_ask":"0.52"},
        {"asset_id":"2","price":"0.49","size":"7","side":"SELL","best_bid":"0.5","best_ask":"0.49"},
        {"asset_id":"1","price":"0.53","size":"1","side":"SELL","best_bid":"0.51","best_ask":"0.52"},
        {"asset_id":"9","price":"0.53","size":"1","side":"SELL"}]}"#;
    assert_eq!(
        rig.says(both),
        ["0 delta 5100x7 | 5300x1", "1 Stale(Crossed)"]
    );
}

#[test]
fn a_change_without_a_size_loses_the_book() {
    let mut rig = Rig::live();
    let nothing = r#"{"event_type":"price_change","market":"0x1","timestamp":"1100","price_changes":[{"asset_id":"1","price":"0.51","side":"BUY"}]}"#;
    assert_eq!(rig.says(nothing), [LOST]);
}

#[test]
fn a_number_that_is_none_makes_the_book_stale_and_is_named() {
    for (price, size) in [
        ("1.5", "1"),
        ("0", "1"),
        ("0.5", "-1"),
        ("x", "1"),
        ("0.50001", "1"),
    ] {
        let mut rig = Rig::live();
        let message = change("1", 1_100, "BUY", price, size, None);
        rig.out.clear();
        let error = rig.feed.message(message.as_bytes(), rig.now, &mut rig.out);
        assert!(error.unwrap_err().to_string().contains("polymarket"));
        assert_eq!(events(&rig.out), ["0 Stale(BadLevel)"]);
        assert_eq!(rig.asked(), [0]);
    }
}

#[test]
fn a_book_that_does_not_come_is_asked_for_and_asked_for_again() {
    let mut rig = Rig::new();
    assert!(rig.after(4_900).is_empty() && rig.asked().is_empty());
    rig.after(200);
    assert_eq!(rig.asked(), [0, 1]);
    rig.out.clear();
    // No answer, a refusal, another token's book.
    assert!(rig.feed.response(0, None, rig.now, &mut rig.out).is_err());
    assert!(
        rig.feed
            .response(0, Some(&answer(404, "{}")), rig.now, &mut rig.out)
            .is_err()
    );
    assert!(
        rig.feed
            .response(0, Some(&ok(&book("2", 1))), rig.now, &mut rig.out)
            .is_err()
    );
    assert!(events(&rig.out).is_empty());
    rig.after(5_000);
    assert_eq!(rig.asked(), [0, 1]);
    assert_eq!(rig.answers(1, &book("2", 1_000)).len(), 1);
}

#[test]
fn best_prices_that_are_only_ahead_are_confirmed_by_the_change_that_follows() {
    let mut rig = Rig::live();
    assert!(rig.says(&best("1", 1_100, "0.51", "0.52")).is_empty());
    assert!(rig.after(4_000).is_empty());
    let follows = rig.says(&change(
        "1",
        1_100,
        "BUY",
        "0.51",
        "7",
        Some(("0.51", "0.52")),
    ));
    assert_eq!(follows, ["0 delta 5100x7 | "]);
    assert!(rig.after(2_000).is_empty());
}

#[test]
fn best_prices_that_nothing_confirms_lose_the_book() {
    let mut rig = Rig::live();
    assert!(rig.says(&best("1", 1_100, "0.51", "0.52")).is_empty());
    assert!(rig.after(4_900).is_empty());
    assert_eq!(
        (rig.after(200), rig.asked()),
        (vec![LOST.to_owned()], vec![0])
    );
}

#[test]
fn best_prices_from_before_the_book_say_nothing() {
    let mut rig = Rig::live();
    assert!(rig.says(&best("1", 900, "0.4", "0.6")).is_empty());
    assert!(rig.after(6_000).is_empty());
}

/// py-clob-client 292: the socket is open, pings are answered, and no book event comes for hours.
#[test]
fn silence_with_answered_pings_ends_the_connection() {
    let mut rig = Rig::live();
    let mut pings = 0;
    for _ in 0..4 * 119 {
        assert!(rig.after(250).is_empty(), "{:?}", rig.now);
        pings += rig.out.messages().iter().filter(|m| *m == "PING").count();
        rig.says("PONG");
    }
    assert_eq!(pings, 11);
    let stale = rig.after(1_500);
    assert_eq!(stale, ["0 Stale(Silent)", "1 Stale(Silent)"]);
    assert!(rig.out.wants_reconnect().unwrap().contains("no content"));
    assert!(rig.asked().is_empty());
}

#[test]
fn content_of_one_token_keeps_the_connection_and_each_book_is_checked_in_turn() {
    let mut rig = Rig::live();
    rig.keep(130);
    assert_eq!(rig.out.wants_reconnect(), None);
    // By now each was asked for about seven times; another top is doubted, and lost when nothing confirms it.
    let frozen = book("1", 200_000).replace(".50", ".45");
    assert!(rig.answers(0, &frozen).is_empty());
    rig.says("PONG");
    assert_eq!(rig.after(5_000), [LOST]);
}

#[test]
fn unanswered_pings_and_old_age_end_the_connection() {
    let mut rig = Rig::live();
    for _ in 0..24 {
        rig.after(1_000);
        assert_eq!(rig.out.wants_reconnect(), None);
    }
    rig.after(1_000);
    assert!(rig.out.wants_reconnect().unwrap().contains("pings"));
    let mut rig = Rig::live();
    rig.keep(30);
    rig.now = rig.now.after(4 * 3_600 * SECOND_NS);
    rig.says("PONG");
    rig.says(&best("2", 1, "0.5", "0.52"));
    rig.after(0);
    assert!(rig.out.wants_reconnect().unwrap().contains("old"));
}

#[test]
fn a_lost_connection_is_a_frame_and_the_next_one_subscribes_with_the_flag() {
    let mut rig = Rig::live();
    rig.out.clear();
    rig.feed.closed(rig.now, &mut rig.out);
    assert_eq!(
        events(&rig.out),
        ["0 Stale(Disconnected)", "1 Stale(Disconnected)"]
    );
    assert!(rig.asked().is_empty());
    rig.out.clear();
    rig.feed.opened(rig.now, &mut rig.out);
    assert_eq!(
        rig.out.messages(),
        [r#"{"assets_ids":["1","2"],"custom_feature_enabled":true,"type":"market"}"#]
    );
    // An answer to a request of the connection before can't be older than what the new one says.
    let taken = rig.says(&book("1", 5_000));
    assert_eq!(taken.len(), 1);
    assert!(rig.answers(0, &book("1", 4_000)).is_empty());
}

/// py-clob-client 180: `/book` stands still at 0.01 and 0.99.
#[test]
fn a_frozen_book_endpoint_is_given_up_for_a_new_connection() {
    let mut rig = Rig::live();
    let frozen = r#"{"asset_id":"1","market":"0x1","timestamp":"900","hash":"","bids":[{"price":"0.01","size":"1"}],"asks":[{"price":"0.99","size":"1"}]}"#;
    let mut at = 1_000;
    for round in 0..4 {
        at += 10_000;
        let lost = rig.says(&change(
            "1",
            at,
            "BUY",
            "0.48",
            "31",
            Some(("0.51", "0.52")),
        ));
        assert_eq!(lost, [LOST]);
        if round == 3 {
            break;
        }
        assert_eq!(rig.asked(), [0], "round {round}");
        assert_eq!(rig.answers(0, frozen).len(), 1);
        rig.now = rig.now.after(6 * SECOND_NS);
        rig.says("PONG");
    }
    assert!(rig.out.wants_reconnect().unwrap().contains("/book"));
    assert!(rig.asked().is_empty());
}

#[test]
fn changes_that_found_no_room_need_a_newer_book() {
    let config = MarketFeedConfig {
        waiting_max: 2,
        ..MarketFeedConfig::default()
    };
    let mut rig = Rig::new();
    rig.feed = feed(&["1"], config);
    rig.feed.opened(rig.now, &mut rig.out);
    for ms in [1_100, 1_200, 1_300] {
        assert!(
            rig.says(&change("1", ms, "BUY", "0.51", "7", None))
                .is_empty()
        );
    }
    assert!(rig.answers(0, &book("1", 1_100)).is_empty());
    assert_eq!(rig.answers(0, &book("1", 1_150)).len(), 1);
}

#[test]
fn a_resolved_market_is_over() {
    let mut rig = Rig::live();
    let resolved = r#"{"event_type":"market_resolved","id":"1","market":"0x1","assets_ids":["1","2"],"winning_asset_id":"2","winning_outcome":"No","timestamp":"2000"}"#;
    assert_eq!(rig.says(resolved), ["0 pays 0", "1 pays 10000"]);
    assert!(rig.says(resolved).is_empty());
    assert!(rig.says(&book("1", 3_000)).is_empty());
    rig.now = rig.now.after(600 * SECOND_NS);
    rig.says("PONG");
    assert!(rig.after(0).is_empty());
    assert_eq!(rig.out.wants_reconnect(), None);
    rig.out.clear();
    rig.feed.closed(rig.now, &mut rig.out);
    assert!(events(&rig.out).is_empty());
    // Without a winner nothing is guessed.
    let open = resolved.replace(r#""winning_asset_id":"2""#, r#""winning_asset_id":"""#);
    let mut rig = Rig::live();
    assert!(
        rig.feed
            .message(open.as_bytes(), rig.now, &mut rig.out)
            .is_err()
    );
}

#[test]
fn another_tick_is_rules_and_a_new_book() {
    let mut rig = Rig::live();
    let tick = r#"{"event_type":"tick_size_change","asset_id":"1","market":"0x1","old_tick_size":"0.01","new_tick_size":"0.001","timestamp":"2000"}"#;
    assert_eq!(rig.says(tick), ["0 tick 10", "0 Stale(OffGrid)"]);
    assert_eq!(rig.asked(), [0]);
    assert_eq!(rig.says(&book("1", 2_000)).len(), 1);
}

#[test]
fn no_more_tokens_than_a_connection_takes() {
    let names: Vec<String> = (0..=ASSETS_MAX).map(|n| n.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rules: Vec<TradingRules> = (0..names.len()).map(|id| rules(id as u32)).collect();
    let of = |names: &[&str]| {
        let config = MarketFeedConfig::default();
        MarketFeed::new(config, &instruments(names), &rules, Tokens::default())
    };
    assert!(of(&names).is_err());
    assert!(of(&names[1..]).is_ok());
}
