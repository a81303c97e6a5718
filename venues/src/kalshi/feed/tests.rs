//! The feed through its outbox: what goes onto the tape, what is sent, what is asked for.
use super::super::auth::tests::signer;
use super::super::market::DECIMALS;
use super::*;
use crate::gateway::{FillFact, Listed, OrderFact};
use onetape_engine::event::{FeedState, TradingStatus};
use onetape_engine::id::InstrumentId;
use onetape_engine::order::OrderState;
use proptest::prelude::*;
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;

/// A feed, a clock and an outbox that is emptied after every look.
struct Rig {
    feed: KalshiFeed,
    out: Outbox,
    now: Nanos,
}

impl Rig {
    fn new(config: FeedConfig) -> Self {
        let listed = |(place, symbol): (usize, &str)| Listed {
            instrument: InstrumentId(place as u32),
            symbol: symbol.to_owned(),
            decimals: DECIMALS,
        };
        let listed = ["A-1", "A-2"].into_iter().enumerate().map(listed);
        Self {
            feed: KalshiFeed::new(signer(), Instruments::new(listed), config),
            out: Outbox::default(),
            now: Nanos(1_000 * SECOND),
        }
    }

    /// Connected, every channel acknowledged: sids 1, 2, 3, ... in the order of the commands.
    fn open(config: FeedConfig) -> Self {
        let mut rig = Self::new(config);
        rig.feed.opened(rig.now, &mut rig.out);
        rig.acknowledge(1);
        rig
    }

    /// Answers every subscribe command that waits, with sids from `sid` on.
    fn acknowledge(&mut self, sid: u64) {
        let commands = self.commands();
        let subscribes = commands.iter().filter(|c| c["cmd"] == "subscribe");
        for (sid, command) in (sid..).zip(subscribes) {
            let channel = &command["params"]["channels"][0];
            let ack = json!({"id": command["id"], "type": "subscribed", "msg": {"channel": channel, "sid": sid}});
            self.feed
                .message(ack.to_string().as_bytes(), self.now, &mut self.out)
                .unwrap();
        }
    }

    fn commands(&self) -> Vec<Value> {
        let read = |text: &String| serde_json::from_str(text).unwrap();
        self.out.messages().iter().map(read).collect()
    }

    fn tell(&mut self, message: Value) -> Result<(), WireError> {
        let bytes = message.to_string();
        self.feed.message(bytes.as_bytes(), self.now, &mut self.out)
    }

    fn snapshot(&mut self, sid: u64, seq: u64, market: &str) {
        let message = json!({"type":"orderbook_snapshot","sid":sid,"seq":seq,"msg":{
            "market_ticker":market,"yes_dollars_fp":[["0.4200","300.00"]],"no_dollars_fp":[["0.4400","20.00"]]}});
        self.tell(message).unwrap();
    }

    fn delta(&mut self, sid: u64, seq: u64, market: &str, price: &str, delta: &str) {
        let message = json!({"type":"orderbook_delta","sid":sid,"seq":seq,"msg":{
            "market_ticker":market,"price_dollars":price,"delta_fp":delta,"side":"yes","ts_ms":7}});
        self.tell(message).unwrap();
    }

    /// Both books live at sid 1.
    fn live(config: FeedConfig) -> Self {
        let mut rig = Self::open(config);
        rig.snapshot(1, 2, "A-1");
        rig.snapshot(1, 3, "A-2");
        rig.out.clear();
        rig
    }

    fn after(&mut self, seconds: u64) {
        self.now = self.now.after(seconds * SECOND);
        self.feed.tick(self.now, &mut self.out);
    }

    /// What went onto the tape since the last look, short: "snapshot 0 @3", "Book 1 stale BadLevel".
    fn tape(&mut self) -> Vec<String> {
        let events: Vec<String> = self
            .out
            .events()
            .map(|(kind, payload)| {
                // Payloads of an outbox lie one after the other: hot ones are read in place where they are aligned.
                let payload = payload.to_vec();
                short(&Event::decode(kind.number(), &payload).unwrap())
            })
            .collect();
        self.out.clear();
        events
    }

    fn listing(&mut self, place: u32, market: &Value) {
        let body = json!({ "market": market }).to_string();
        let response = Response {
            status: 200,
            headers: &[],
            body: body.as_bytes(),
        };
        self.feed
            .response(place << 1, Some(&response), self.now, &mut self.out)
            .unwrap();
    }
}

fn short(event: &Event<'_>) -> String {
    let state = |state: &FeedState| match &state.condition {
        FeedCondition::Snapshotting => "snapshotting".to_owned(),
        FeedCondition::Stale(reason) => format!("stale {reason:?}"),
    };
    match event {
        Event::BookSnapshot(update) => {
            format!(
                "snapshot {} @{}",
                update.header.instrument.0, update.header.last_id
            )
        }
        Event::BookDelta(update) => {
            let (side, level) = match update.bids.first() {
                Some(level) => ("bid", level),
                None => ("ask", &update.asks[0]),
            };
            let h = update.header;
            format!(
                "delta {} {side} {} = {} @{}-{}",
                h.instrument.0, level.price.0, level.qty.0, h.previous_id, h.last_id
            )
        }
        Event::FeedState(of) => format!("{:?} {} {}", of.feed, of.instrument.0, state(of)),
        Event::MarketStatus(of) => format!("status {} {:?}", of.instrument.0, of.status),
        Event::Resolution(of) => format!("pays {} {}", of.instrument.0, of.settlement_price.0),
        Event::TradingRules(of) => format!("tick {} {}", of.instrument.0, of.tick_size.0),
        Event::RulesText(of) => format!("text {}", of.instrument.0),
        Event::Quote(of) => format!(
            "quote {} {} {}",
            of.instrument.0, of.bid_price.0, of.ask_price.0
        ),
        Event::Trade(of) => format!("trade {} {}", of.instrument.0, of.price.0),
        Event::FeeSchedule(of) => format!("fees {} {}", of.instrument.0, of.taker.rate()),
        other => format!("{other:?}"),
    }
}

fn market(step: &str, status: &str) -> Value {
    json!({"ticker":"A-1","event_ticker":"A","status":status,"close_time":"2026-11-22T04:59:00Z","rules_primary":"a",
        "price_ranges":[{"start":"0","end":"1","step":step}]})
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn changes_become_totals_that_build_on_the_books_own_last_message() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.delta(1, 4, "A-1", "0.4200", "-50.00");
    rig.delta(1, 5, "A-2", "0.4100", "1.50");
    rig.delta(1, 6, "A-1", "0.4200", "-250.00");
    assert_eq!(
        rig.tape(),
        strings(&[
            "delta 0 bid 4200 = 25000 @2-4",
            "delta 1 bid 4100 = 150 @3-5",
            "delta 0 bid 4200 = 0 @4-6",
        ])
    );
}

#[test]
fn a_gap_makes_every_book_of_the_subscription_stale_until_its_snapshot() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.delta(1, 5, "A-1", "0.4100", "1.00");
    let sent = rig.commands();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["cmd"], "update_subscription");
    assert_eq!(
        sent[0]["params"],
        json!({"sids":[1],"market_tickers":["A-1","A-2"],"action":"get_snapshot"})
    );
    assert_eq!(
        rig.tape(),
        strings(&[
            "Book 0 stale Gap { expected: 3, found: 4 }",
            "Book 1 stale Gap { expected: 3, found: 4 }",
        ])
    );
    // Deltas before the snapshot are in it; the other market still waits.
    rig.delta(1, 6, "A-1", "0.4100", "1.00");
    rig.snapshot(1, 7, "A-1");
    rig.delta(1, 8, "A-1", "0.4100", "2.00");
    rig.delta(1, 9, "A-2", "0.4100", "2.00");
    assert_eq!(
        rig.tape(),
        strings(&["snapshot 0 @7", "delta 0 bid 4100 = 200 @7-8"])
    );
}

#[test]
fn a_snapshot_that_was_lost_is_asked_for_again_in_a_second_and_never_in_a_storm() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.delta(1, 5, "A-1", "0.4100", "1.00");
    assert_eq!(rig.commands().len(), 1);
    rig.out.clear();
    // The command's acknowledgement comes, its snapshots don't: each is a gap of its own.
    for seq in [6, 9, 12, 15] {
        rig.tell(json!({"type":"ok","id":9,"sid":1,"seq":seq}))
            .unwrap();
    }
    assert!(rig.out.messages().is_empty());
    assert_eq!(rig.tape(), strings(&[]));
    for _ in 0..9 {
        rig.after(1);
        let asked = rig.commands();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0]["params"]["market_tickers"], json!(["A-1", "A-2"]));
        rig.out.clear();
    }
    rig.after(1);
    assert_eq!(rig.out.wants_reconnect(), Some("no snapshot of A-1"));
}

#[test]
fn acknowledgements_count_and_repeated_or_late_messages_do_nothing() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.tell(json!({"type":"ok","id":9,"sid":1,"seq":4}))
        .unwrap();
    rig.delta(1, 5, "A-1", "0.4100", "1.00");
    rig.delta(1, 5, "A-1", "0.4100", "1.00");
    rig.delta(1, 3, "A-1", "0.4100", "1.00");
    assert_eq!(rig.tape(), strings(&["delta 0 bid 4100 = 100 @2-5"]));
}

#[test]
fn a_level_below_zero_a_crossed_book_and_bad_numbers_lose_the_book_and_ask_for_it() {
    for (price, delta, reason) in [
        ("0.4300", "-1.00", "BadLevel"),
        ("0.5600", "1.00", "Crossed"),
        ("0.43001", "1.00", "BadLevel"),
        ("1.0000", "1.00", "BadLevel"),
        ("0.4300", "0.001", "BadLevel"),
    ] {
        let mut rig = Rig::live(FeedConfig::default());
        let message = json!({"type":"orderbook_delta","sid":1,"seq":4,"msg":{
            "market_ticker":"A-1","price_dollars":price,"delta_fp":delta,"side":"yes"}});
        let _ = rig.tell(message);
        assert_eq!(
            rig.commands()[0]["params"]["market_tickers"],
            json!(["A-1"])
        );
        let tape = rig.tape();
        assert_eq!(
            tape.last(),
            Some(&format!("Book 0 stale {reason}")),
            "{price}"
        );
    }
}

#[test]
fn a_message_that_does_not_read_costs_every_book_its_trust() {
    let mut rig = Rig::live(FeedConfig::default());
    let unread =
        rig.tell(json!({"type":"orderbook_delta","sid":1,"seq":4,"msg":{"market_ticker":"A-1"}}));
    assert!(unread.is_err());
    assert_eq!(
        rig.tape(),
        strings(&["Book 0 stale BadLevel", "Book 1 stale BadLevel"])
    );
    let uncounted = json!({"type":"orderbook_snapshot","sid":1,"msg":{"market_ticker":"A-1"}});
    assert_eq!(
        rig.tell(uncounted).unwrap_err().to_string(),
        "kalshi: field 'seq' of order book is missing: expected a sequence number"
    );
}

#[test]
fn messages_of_an_older_subscription_are_dropped_after_a_resubscribe() {
    let mut rig = Rig::live(FeedConfig::default());
    let error = json!({"type":"error","sid":1,"msg":{"code":25,"msg":"Buffer overflow"}});
    assert_eq!(
        rig.tell(error).unwrap_err().to_string(),
        "kalshi refused: 25: Buffer overflow "
    );
    let unsubscribe = &rig.commands()[0];
    assert_eq!(unsubscribe["cmd"], "unsubscribe");
    assert_eq!(unsubscribe["params"], json!({"sids":[1]}));
    assert_eq!(
        rig.tape(),
        strings(&["Book 0 stale Disconnected", "Book 1 stale Disconnected"])
    );
    rig.delta(1, 4, "A-1", "0.4100", "1.00");
    rig.snapshot(1, 5, "A-1");
    assert_eq!(rig.tape(), strings(&[]));
    rig.after(2);
    rig.acknowledge(11);
    rig.out.clear();
    rig.snapshot(11, 1, "A-1");
    rig.delta(1, 6, "A-1", "0.4100", "1.00");
    rig.delta(11, 2, "A-1", "0.4100", "1.00");
    assert_eq!(
        rig.tape(),
        strings(&["snapshot 0 @1", "delta 0 bid 4100 = 100 @1-2"])
    );
}

#[test]
fn an_answer_to_a_command_that_was_given_up_is_unsubscribed() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.tell(json!({"id":999,"type":"subscribed","msg":{"channel":"orderbook_delta","sid":50}}))
        .unwrap();
    assert_eq!(rig.commands()[0]["params"], json!({"sids":[50]}));
}

#[test]
fn a_lost_buffer_without_a_name_concerns_every_channel() {
    for code in [10, 17, 18, 25] {
        let mut rig = Rig::live(FeedConfig::default());
        assert!(
            rig.tell(json!({"type":"error","msg":{"code":code,"msg":""}}))
                .is_err()
        );
        rig.out.clear();
        rig.after(2);
        let subscribes: Vec<Value> = rig.commands();
        let subscribes = subscribes.iter().filter(|c| c["cmd"] == "subscribe");
        assert_eq!(subscribes.count(), 4, "{code}");
    }
}

#[test]
fn a_refused_subscription_is_asked_for_again_and_one_beyond_the_limit_is_not() {
    for (code, again) in [(27, 1), (1, 1), (26, 0)] {
        let mut rig = Rig::new(FeedConfig::default());
        rig.feed.opened(rig.now, &mut rig.out);
        let id = rig.commands()[0]["id"].clone();
        rig.out.clear();
        assert!(
            rig.tell(json!({"id":id,"type":"error","msg":{"code":code,"msg":"x"}}))
                .is_err()
        );
        rig.after(2);
        let sent = rig.commands();
        let books = sent
            .iter()
            .filter(|c| c["params"]["channels"] == json!(["orderbook_delta"]));
        assert_eq!(books.count(), again, "{code}");
    }
}

#[test]
fn a_market_that_is_not_found_is_left_out_and_added_later() {
    let mut rig = Rig::new(FeedConfig::default());
    rig.feed.opened(rig.now, &mut rig.out);
    let id = rig.commands()[0]["id"].clone();
    let error = json!({"id":id,"type":"error","msg":{"code":16,"msg":"Market not found","market_ticker":"A-2"}});
    assert!(rig.tell(error).unwrap_err().to_string().contains("A-2"));
    rig.acknowledge(1);
    rig.out.clear();
    rig.after(2);
    let book = rig.commands();
    let book = book
        .iter()
        .find(|c| c["params"]["channels"] == json!(["orderbook_delta"]));
    assert_eq!(book.unwrap()["params"]["market_tickers"], json!(["A-1"]));
    rig.acknowledge(31);
    rig.out.clear();
    rig.snapshot(31, 1, "A-1");
    rig.after(20);
    rig.snapshot(31, 2, "A-1");
    rig.after(20);
    rig.snapshot(31, 3, "A-1");
    rig.out.clear();
    rig.after(20);
    let added: Vec<Value> = rig.commands();
    let added: Vec<&Value> = added
        .iter()
        .filter(|c| c["params"]["action"] == "add_markets")
        .collect();
    assert_eq!(added.len(), 3);
    assert_eq!(added[0]["params"]["market_tickers"], json!(["A-2"]));
    assert_eq!(rig.out.wants_reconnect(), None);
}

#[test]
fn a_quiet_book_is_asked_for_and_a_silent_one_ends_the_connection() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.after(15);
    rig.delta(1, 4, "A-2", "0.4100", "1.00");
    rig.out.clear();
    rig.after(6);
    let probes = rig.commands();
    assert_eq!(probes[0]["params"]["market_tickers"], json!(["A-1"]));
    rig.out.clear();
    rig.after(1);
    assert!(rig.out.messages().is_empty());
    // The venue answers: quiet, not silent.
    rig.snapshot(1, 5, "A-1");
    rig.after(8);
    assert_eq!(rig.tape(), strings(&["snapshot 0 @5"]));
    rig.after(7);
    assert_eq!(rig.out.wants_reconnect(), None);
    rig.after(8);
    assert_eq!(rig.out.wants_reconnect(), Some("A-2 is silent"));
    assert_eq!(rig.tape(), strings(&["Book 1 stale Silent"]));
}

#[test]
fn pings_and_other_content_are_no_sign_of_life_for_a_book() {
    let mut rig = Rig::live(FeedConfig::default());
    for _ in 0..31 {
        rig.after(1);
        rig.tell(json!({"type":"trade","sid":2,"msg":{"market_ticker":"A-1","trade_id":"x","yes_price_dollars":"0.42","count_fp":"1.00"}}))
            .unwrap();
    }
    assert_eq!(rig.out.wants_reconnect(), Some("A-1 is silent"));
}

#[test]
fn a_market_that_does_not_trade_is_not_expected_to_speak() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.listing(0, &market("0.01", "inactive"));
    rig.feed.markets[1].known.status = Some(TradingStatus::Closed);
    rig.after(100);
    assert_eq!(rig.out.wants_reconnect(), None);
    // It trades again: from now on it counts.
    rig.tell(json!({"type":"market_lifecycle_v2","sid":4,"msg":{"market_ticker":"A-1","event_type":"activated"}}))
        .unwrap();
    rig.after(15);
    assert_eq!(rig.out.wants_reconnect(), None);
    rig.after(16);
    assert_eq!(rig.out.wants_reconnect(), Some("A-1 is silent"));
}

#[test]
fn commands_without_an_answer_end_the_connection() {
    let mut rig = Rig::new(FeedConfig::default());
    rig.feed.opened(rig.now, &mut rig.out);
    rig.after(11);
    assert_eq!(
        rig.out.wants_reconnect(),
        Some("no answer to subscribe orderbook_delta")
    );
    let mut rig = Rig::open(FeedConfig::default());
    rig.snapshot(1, 1, "A-1");
    rig.after(11);
    assert_eq!(rig.out.wants_reconnect(), Some("no snapshot of A-2"));
}

#[test]
fn quotes_go_stale_once_when_the_ticker_is_silent() {
    let config = FeedConfig {
        silent_after_ms: 1_000_000,
        probe_after_ms: 1_000_000,
        ..FeedConfig::default()
    };
    let mut rig = Rig::live(config);
    let ticker = |bid: &str| json!({"type":"ticker","sid":3,"msg":{"market_ticker":"A-1","yes_bid_dollars":bid,"yes_bid_size_fp":"1.00","yes_ask_dollars":"0.5","yes_ask_size_fp":"1.00"}});
    rig.tell(ticker("0.42")).unwrap();
    rig.after(59);
    rig.after(1);
    rig.after(60);
    assert_eq!(
        rig.tape(),
        strings(&["quote 0 4200 5000", "Quotes 0 stale Silent"])
    );
    rig.tell(ticker("0.43")).unwrap();
    assert!(rig.tell(ticker("0.42001")).is_err());
    assert_eq!(
        rig.tape(),
        strings(&["quote 0 4300 5000", "Quotes 0 stale BadLevel"])
    );
}

#[test]
fn a_lost_connection_makes_everything_stale_once_and_a_new_one_begins_anew() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.feed.closed(rig.now, &mut rig.out);
    let tape = rig.tape();
    assert_eq!(tape.len(), 6);
    assert_eq!(tape[0], "Book 0 stale Disconnected");
    assert_eq!(tape[1], "Quotes 0 stale Disconnected");
    // An attempt that did not come up says nothing new.
    rig.feed.closed(rig.now, &mut rig.out);
    rig.after(100);
    assert!(rig.out.messages().is_empty());
    assert_eq!(rig.tape(), strings(&[]));
    rig.feed.opened(rig.now, &mut rig.out);
    rig.acknowledge(1);
    assert_eq!(
        rig.tape(),
        strings(&["Book 0 snapshotting", "Book 1 snapshotting"])
    );
    rig.snapshot(1, 1, "A-1");
    assert_eq!(rig.tape(), strings(&["snapshot 0 @1"]));
}

#[test]
fn a_new_grid_makes_the_book_stale_until_grid_and_snapshot_have_come() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.listing(0, &market("0.01", "active"));
    assert_eq!(
        rig.tape(),
        strings(&["tick 0 100", "text 0", "status 0 Open"])
    );
    rig.tell(json!({"type":"market_lifecycle_v2","sid":4,"seq":1,"msg":{"market_ticker":"A-1","event_type":"price_level_structure_updated"}}))
        .unwrap();
    assert_eq!(rig.tape(), strings(&["Book 0 stale OffGrid"]));
    rig.after(1);
    let (number, request) = &rig.out.requests()[0];
    assert_eq!(
        (*number, request.target.as_str()),
        (0, "/trade-api/v2/markets/A-1")
    );
    rig.out.clear();
    rig.listing(0, &market("0.001", "active"));
    assert_eq!(rig.commands()[0]["params"]["action"], "get_snapshot");
    let tape = rig.tape();
    assert_eq!(tape[0], "tick 0 10");
    rig.snapshot(1, 4, "A-1");
    assert_eq!(rig.tape(), strings(&["snapshot 0 @4"]));
}

#[test]
fn a_level_off_the_grid_asks_for_the_market_before_the_book() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.listing(0, &market("0.01", "active"));
    rig.out.clear();
    rig.delta(1, 4, "A-1", "0.4150", "1.00");
    assert_eq!(rig.tape(), strings(&["Book 0 stale OffGrid"]));
    rig.after(1);
    assert_eq!(rig.out.requests().len(), 1);
    assert!(rig.out.messages().is_empty());
    rig.out.clear();
    rig.listing(0, &market("0.005", "active"));
    assert_eq!(rig.commands()[0]["params"]["action"], "get_snapshot");
}

#[test]
fn a_contract_pays_when_it_is_settled_and_not_when_it_is_determined() {
    let mut rig = Rig::live(FeedConfig::default());
    let step = |name: &str| json!({"type":"market_lifecycle_v2","sid":4,"msg":{"market_ticker":"A-1","event_type":name,"result":"yes","settlement_value":"1.0000"}});
    rig.tell(step("determined")).unwrap();
    assert_eq!(rig.tape(), strings(&["status 0 Closed"]));
    rig.tell(step("settled")).unwrap();
    rig.tell(step("settled")).unwrap();
    assert_eq!(rig.tape(), strings(&["pays 0 10000"]));
    // Without the first message the market says what it paid.
    rig.tell(json!({"type":"market_lifecycle_v2","sid":4,"msg":{"market_ticker":"A-2","event_type":"settled"}}))
        .unwrap();
    assert_eq!(rig.tape(), strings(&["status 1 Closed"]));
    let mut paid = market("0.01", "finalized");
    paid["ticker"] = json!("A-2");
    paid["result"] = json!("no");
    rig.listing(1, &paid);
    assert_eq!(rig.tape(), strings(&["tick 1 100", "text 1", "pays 1 0"]));
}

#[test]
fn a_dispute_that_turns_the_result_pays_the_new_one() {
    let mut rig = Rig::live(FeedConfig::default());
    for value in ["1.0000", "0.0000"] {
        rig.tell(json!({"type":"market_lifecycle_v2","sid":4,"msg":{"market_ticker":"A-1","event_type":"determined","settlement_value":value}}))
            .unwrap();
    }
    rig.tell(json!({"type":"market_lifecycle_v2","sid":4,"msg":{"market_ticker":"A-1","event_type":"settled"}}))
        .unwrap();
    assert_eq!(rig.tape(), strings(&["status 0 Closed", "pays 0 0"]));
}

#[test]
fn a_market_closes_by_the_clock_without_a_message() {
    let mut rig = Rig::live(FeedConfig::default());
    let mut soon = market("0.01", "active");
    soon["close_time"] = json!("1970-01-01T00:16:45Z");
    rig.after(1);
    rig.after(1);
    rig.listing(0, &soon);
    rig.out.clear();
    rig.after(2);
    assert_eq!(rig.tape(), strings(&[]));
    rig.after(1);
    assert_eq!(rig.out.requests()[0].1.target, "/trade-api/v2/markets/A-1");
    assert_eq!(rig.tape(), strings(&["status 0 Closed"]));
}

#[test]
fn every_market_is_asked_for_in_turn_and_a_failure_soon_again() {
    let mut rig = Rig::live(FeedConfig::default());
    let asked = |rig: &mut Rig| {
        rig.feed.tick(rig.now, &mut rig.out);
        let numbers: Vec<u32> = rig
            .out
            .requests()
            .iter()
            .map(|(number, _)| *number)
            .collect();
        rig.out.clear();
        numbers
    };
    assert_eq!(asked(&mut rig), [0]);
    assert_eq!(asked(&mut rig), [2]);
    assert_eq!(asked(&mut rig), [0; 0]);
    assert!(rig.feed.response(2, None, rig.now, &mut rig.out).is_err());
    rig.now = rig.now.after(SECOND);
    assert_eq!(asked(&mut rig), [2]);
    assert!(rig.feed.response(99, None, rig.now, &mut rig.out).is_err());
}

#[test]
fn an_events_fees_are_worked_out_with_its_series() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.tell(json!({"type":"event_fee_update","sid":4,"msg":{"event_ticker":"A","fee_type_override":null,"fee_multiplier_override":0.5}}))
        .unwrap();
    let targets: Vec<&str> = rig
        .out
        .requests()
        .iter()
        .map(|(_, r)| r.target.as_str())
        .collect();
    assert_eq!(
        targets,
        ["/trade-api/v2/series/A", "/trade-api/v2/series/A"]
    );
    let number = rig.out.requests()[1].0;
    rig.out.clear();
    let body = r#"{"series":{"ticker":"A","fee_type":"quadratic","fee_multiplier":1}}"#;
    let response = Response {
        status: 200,
        headers: &[],
        body: body.as_bytes(),
    };
    rig.feed
        .response(number, Some(&response), rig.now, &mut rig.out)
        .unwrap();
    assert_eq!(rig.tape(), strings(&["fees 1 0.035"]));
}

#[test]
fn a_lifecycle_step_that_nobody_knows_is_named_and_the_market_asked_for() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.after(1);
    rig.after(1);
    rig.out.clear();
    let step = json!({"type":"market_lifecycle_v2","sid":4,"msg":{"market_ticker":"A-1","event_type":"teleported"}});
    assert!(
        rig.tell(step)
            .unwrap_err()
            .to_string()
            .contains("teleported")
    );
    rig.after(1);
    assert_eq!(rig.out.requests()[0].1.target, "/trade-api/v2/markets/A-1");
    let other = json!({"type":"market_lifecycle_v2","sid":4,"msg":{"market_ticker":"OTHER","event_type":"created"}});
    rig.out.clear();
    rig.tell(other).unwrap();
    assert_eq!(rig.tape(), strings(&[]));
}

#[test]
fn what_the_tape_knows_already_is_not_told_again() {
    let mut rig = Rig::live(FeedConfig::default());
    rig.listing(0, &market("0.01", "active"));
    rig.out.clear();
    rig.now = rig.now.after(SECOND);
    rig.listing(0, &market("0.01", "active"));
    assert_eq!(rig.tape(), strings(&[]));
    let mut other = market("0.01", "inactive");
    other["rules_primary"] = json!("b");
    rig.listing(0, &other);
    assert_eq!(rig.tape(), strings(&["text 0", "status 0 Halted"]));
}

#[test]
fn the_account_is_asked_for_when_its_channels_stand_and_when_something_does_not_read() {
    let config = FeedConfig {
        public: false,
        account: true,
        ..FeedConfig::default()
    };
    let mut rig = Rig::open(config);
    assert_eq!(rig.feed.name(), "kalshi account");
    assert_eq!(rig.out.account_facts(), [AccountFact::Resync]);
    rig.out.clear();
    rig.tell(json!({"type":"user_order","sid":1,"msg":{"order_id":"o","client_order_id":"c","ticker":"A-1","status":"resting","fill_count_fp":"0.00","initial_count_fp":"1.00"}}))
        .unwrap();
    let fill = |direction: Value| {
        let mut message = json!({"type":"fill","sid":2,"msg":{"trade_id":"t","order_id":"o","market_ticker":"A-1","is_taker":true,"yes_price_dollars":"0.42","count_fp":"1.00","ts_ms":5}});
        message["msg"]["book_side"] = direction;
        message
    };
    rig.tell(fill(json!("ask"))).unwrap();
    let facts = rig.out.account_facts();
    assert!(matches!(
        &facts[0],
        AccountFact::Order(OrderFact {
            state: OrderState::Acked,
            ..
        })
    ));
    assert!(matches!(
        &facts[1],
        AccountFact::Fill(FillFact {
            side: onetape_engine::order::Side::Sell,
            ..
        })
    ));
    rig.out.clear();
    assert!(rig.tell(fill(Value::Null)).is_err());
    assert_eq!(rig.out.account_facts(), [AccountFact::Resync]);
    rig.out.clear();
    assert!(rig.feed.message(b"\xff", rig.now, &mut rig.out).is_err());
    assert_eq!(rig.out.account_facts(), [AccountFact::Resync]);
    // Its channels without a market of ours give nothing.
    rig.out.clear();
    rig.tell(
        json!({"type":"market_position","sid":3,"msg":{"market_ticker":"X","position_fp":"1.00"}}),
    )
    .unwrap();
    assert_eq!(rig.out.account_facts(), []);
    // The feed has no books: silence is nothing to it, and its end tells the tape nothing of them.
    rig.after(1_000);
    rig.feed.closed(rig.now, &mut rig.out);
    assert_eq!(rig.tape(), strings(&[]));
}

#[test]
fn a_type_that_nobody_knows_is_named_and_its_number_counts() {
    let mut rig = Rig::live(FeedConfig::default());
    let error = rig
        .tell(json!({"type":"brand_new","sid":1,"seq":4}))
        .unwrap_err();
    assert!(error.to_string().contains("brand_new"));
    rig.delta(1, 5, "A-1", "0.4100", "1.00");
    assert_eq!(rig.tape(), strings(&["delta 0 bid 4100 = 100 @2-5"]));
    let nowhere = json!({"type":"trade","msg":{"market_ticker":"A-1","trade_id":"x","yes_price_dollars":"0.42","count_fp":"1.00"}});
    assert!(rig.tell(nowhere).unwrap_err().to_string().contains("'sid'"));
}

#[test]
fn the_handshake_is_signed_for_the_streams_path() {
    let rig = Rig::new(FeedConfig::default());
    let handshake = rig.feed.handshake(rig.now).unwrap();
    assert_eq!(
        (handshake.base, handshake.target.as_str()),
        ("stream", "/trade-api/ws/v2")
    );
    assert_eq!(handshake.headers.len(), 3);
    assert!(!format!("{:?}", rig.feed).contains("PRIVATE"));
}

proptest! {
    /// Whatever the order of snapshots, deltas and losses, the tape's book is the venue's as soon as it is live.
    #[test]
    fn the_tapes_book_is_the_venues_or_not_trusted(
        steps in prop::collection::vec((0u8..10, 1i64..30, -300i64..300, any::<bool>()), 1..120),
    ) {
        use onetape_engine::event::BookUpdate;
        use std::collections::BTreeMap;
        let mut rig = Rig::live(FeedConfig::default());
        let mut venue: BTreeMap<i64, i64> = BTreeMap::from([(4_200, 30_000)]);
        let mut tape: Option<BTreeMap<i64, i64>> = Some(venue.clone());
        let mut seq = 3;
        for (kind, price, change, lost) in steps {
            seq += 1;
            if kind == 0 {
                let levels: Vec<Value> = venue.iter().map(|(price, qty)| json!([
                    rust_decimal::Decimal::new(*price, 4).to_string(), rust_decimal::Decimal::new(*qty, 2).to_string(),
                ])).collect();
                let message = json!({"type":"orderbook_snapshot","sid":1,"seq":seq,"msg":{
                    "market_ticker":"A-1","yes_dollars_fp":levels,"no_dollars_fp":[["0.4400","20.00"]]}});
                if !lost { rig.tell(message).unwrap(); }
            } else {
                let price = price * 100;
                let had = venue.get(&price).copied().unwrap_or(0);
                let change = change.max(-had);
                if change == 0 { seq -= 1; continue; }
                if had + change == 0 { venue.remove(&price); } else { venue.insert(price, had + change); }
                let (price, change) = (rust_decimal::Decimal::new(price, 4).to_string(), rust_decimal::Decimal::new(change, 2).to_string());
                // A loss is rare, so that books live for a while.
                if !(lost && kind == 1) { rig.delta(1, seq, "A-1", &price, &change); }
            }
            for (kind, payload) in rig.out.events() {
                let payload = payload.to_vec();
                match Event::decode(kind.number(), &payload).unwrap() {
                    Event::BookSnapshot(BookUpdate { header, bids, .. }) if header.instrument.0 == 0 => {
                        tape = Some(bids.iter().map(|level| (level.price.0, level.qty.0)).collect());
                    }
                    Event::BookDelta(BookUpdate { bids, .. }) => {
                        let book = tape.as_mut().expect("a delta for a book that is not trusted");
                        for level in bids {
                            if level.qty.0 == 0 { book.remove(&level.price.0); } else { book.insert(level.price.0, level.qty.0); }
                        }
                    }
                    Event::FeedState(state) if state.instrument.0 == 0 => tape = None,
                    _ => {}
                }
            }
            rig.out.clear();
            // The last message may have been the lost one: the next one tells.
            if let Some(book) = &tape && !lost {
                prop_assert_eq!(book, &venue);
            }
        }
    }

    #[test]
    fn no_bytes_and_no_shape_make_it_panic(
        bytes: Vec<u8>,
        kind in prop::sample::select(vec!["orderbook_delta", "orderbook_snapshot", "ticker", "trade", "fill", "user_order", "market_position", "market_lifecycle_v2", "event_fee_update", "subscribed", "error", "ok"]),
        sid in 0u64..9, seq: u64,
        values in prop::collection::vec(prop_oneof!["-?[0-9]{0,25}(\\.[0-9]{0,9})?", "[a-z_]{0,12}", "\\PC{0,8}"], 16),
    ) {
        let mut rig = Rig::live(FeedConfig { account: true, ..FeedConfig::default() });
        let _ = rig.feed.message(&bytes, rig.now, &mut rig.out);
        let v = |place: usize| &values[place];
        let message = json!({"type":kind,"id":seq,"sid":sid,"seq":seq,"msg":{
            "market_ticker":"A-1","ticker":"A-1","price_dollars":v(0),"delta_fp":v(1),"side":v(2),"ts_ms":v(3),
            "yes_dollars_fp":[[v(4),v(5)]],"no_dollars_fp":v(6),"yes_bid_dollars":v(0),"yes_bid_size_fp":v(1),
            "yes_ask_dollars":v(4),"yes_ask_size_fp":v(5),"trade_id":v(6),"yes_price_dollars":v(0),"count_fp":v(1),
            "taker_side":v(2),"book_side":v(7),"order_id":v(8),"status":v(9),"fill_count_fp":v(10),"position_fp":v(11),
            "event_type":v(12),"settlement_value":v(13),"event_ticker":"A","fee_multiplier_override":v(14),
            "is_taker":true,"fee_cost":v(15),"channel":v(2),"sid":sid,"code":seq,"msg":v(3),
        }});
        let _ = rig.tell(message);
        rig.after(3);
        let _ = rig.feed.response(seq as u32, Some(&Response { status: 200, headers: &[], body: &bytes }), rig.now, &mut rig.out);
        prop_assert!(rig.out.messages().len() < 64);
    }
}
