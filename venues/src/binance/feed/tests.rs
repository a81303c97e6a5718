use super::*;
use crate::gateway::Instruments;
use onetape_engine::id::InstrumentId;
use onetape_engine::number::Decimals;
use proptest::prelude::*;

const MS: u64 = SECOND_NS / 1000;

fn feed(product: Product) -> MarketFeed {
    let listed = |(place, symbol): (u32, &str)| Listed {
        instrument: InstrumentId(place),
        symbol: symbol.to_owned(),
        decimals: Decimals { price: 2, qty: 3 },
    };
    let instruments = Instruments::new([(0, "BTCUSDT"), (1, "ETHUSDT")].map(listed));
    MarketFeed::new(FeedConfig::new(product), &instruments).unwrap()
}

/// What a call led to, in words.
fn said(out: &mut Outbox) -> Vec<String> {
    let mut all = Vec::new();
    for (kind, payload) in out.events() {
        // A record is read where it is aligned, and in an outbox they lie back to back: a copy of its own is.
        let copy = payload.to_vec();
        all.push(match Event::decode(kind.number(), &copy) {
            Ok(Event::FeedState(state)) => {
                format!(
                    "{}:{:?}:{:?}",
                    state.instrument.0, state.feed, state.condition
                )
            }
            Ok(Event::BookSnapshot(book)) => {
                format!(
                    "{}:snapshot {}",
                    book.header.instrument.0, book.header.last_id
                )
            }
            Ok(Event::BookDelta(book)) => {
                format!("{}:delta {}", book.header.instrument.0, book.header.last_id)
            }
            Ok(Event::Quote(quote)) => {
                format!("{}:quote {}", quote.instrument.0, quote.update_id)
            }
            Ok(Event::Trade(trade)) => {
                format!("{}:trade {}", trade.instrument.0, trade.trade_id)
            }
            other => format!("{other:?}"),
        });
    }
    for (tag, request) in out.requests() {
        all.push(format!("request {tag} {}", request.target));
    }
    if let Some(why) = out.wants_reconnect() {
        all.push(format!("reconnect: {why}"));
    }
    out.clear();
    all
}

fn depth(symbol: &str, first: u64, last: u64) -> String {
    format!(
        r#"{{"stream":"x","data":{{"e":"depthUpdate","E":1700000000123,"s":"{symbol}","U":{first},"u":{last},"b":[["100.00","1"]],"a":[["101.00","1"]]}}}}"#
    )
}

fn quote(id: u64, bid: &str, ask: &str) -> String {
    format!(r#"{{"u":{id},"s":"BTCUSDT","b":"{bid}","B":"1","a":"{ask}","A":"1"}}"#)
}

fn trade(id: u64) -> String {
    format!(
        r#"{{"e":"trade","E":1,"s":"BTCUSDT","t":{id},"p":"100.00","q":"1","T":1,"m":true,"M":true}}"#
    )
}

fn snapshot(last_id: u64, levels: usize) -> String {
    let side = |sign: i64, from: i64| {
        let level = |n| format!(r#"["{}.00","1"]"#, from + sign * n);
        (0..levels as i64).map(level).collect::<Vec<_>>().join(",")
    };
    let (bids, asks) = (side(-1, 100_000), side(1, 100_001));
    format!(r#"{{"lastUpdateId":{last_id},"bids":[{bids}],"asks":[{asks}]}}"#)
}

struct Run {
    feed: MarketFeed,
    out: Outbox,
    now: Nanos,
}

impl Run {
    fn new(product: Product) -> Self {
        let mut run = Self {
            feed: feed(product),
            out: Outbox::default(),
            now: Nanos(1_000 * SECOND_NS),
        };
        run.feed.opened(run.now, &mut run.out);
        run
    }

    fn says(&mut self, text: &str) -> Vec<String> {
        self.now = self.now.after(MS);
        let read = self.feed.message(text.as_bytes(), self.now, &mut self.out);
        assert_eq!(read, Ok(()));
        said(&mut self.out)
    }

    fn after_ms(&mut self, ms: u64) -> Vec<String> {
        self.now = self.now.after(ms * MS);
        self.feed.tick(self.now, &mut self.out);
        said(&mut self.out)
    }

    fn answers(&mut self, tag: u32, status: u16, body: &str) -> Vec<String> {
        let headers = [("retry-after".to_owned(), "12".to_owned())];
        let response = Response {
            status,
            headers: &headers,
            body: body.as_bytes(),
        };
        // An error is one more attempt.
        let _ = self
            .feed
            .response(tag, Some(&response), self.now, &mut self.out);
        said(&mut self.out)
    }

    /// Both books live at 10, after request tags 0 and 1.
    fn live(product: Product) -> Self {
        let mut run = Self::new(product);
        said(&mut run.out);
        assert_eq!(run.after_ms(2_001).len(), 2);
        for tag in [0, 1] {
            assert_eq!(
                run.answers(tag, 200, &snapshot(10, 2)),
                [format!("{tag}:snapshot 10")]
            );
        }
        run
    }
}

#[test]
fn it_subscribes_to_three_streams_a_symbol() {
    let run = Run::new(Product::Spot);
    assert_eq!(
        run.out.messages(),
        [
            r#"{"id":1,"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@bookTicker","btcusdt@trade","ethusdt@depth@100ms","ethusdt@bookTicker","ethusdt@trade"]}"#
        ]
    );
    let handshake = run.feed.handshake(run.now).unwrap();
    assert_eq!(
        (handshake.base, handshake.target.as_str()),
        ("stream", "/stream")
    );
}

#[test]
fn many_subscriptions_are_spread_over_the_ticks() {
    let listed = (0..120).map(|n| Listed {
        instrument: InstrumentId(n),
        symbol: format!("C{n}USDT"),
        decimals: Decimals { price: 2, qty: 3 },
    });
    let config = FeedConfig::new(Product::Spot);
    let mut feed = MarketFeed::new(config.clone(), &Instruments::new(listed)).unwrap();
    let mut out = Outbox::default();
    feed.opened(Nanos(0), &mut out);
    for messages in [1, 2, 3, 4, 4] {
        assert_eq!(out.messages().len(), messages);
        feed.tick(Nanos(1), &mut out);
    }
    assert!(out.messages().iter().all(|message| message.len() < 4_000));
    let too_many = (0..342).map(|n| Listed {
        instrument: InstrumentId(n),
        symbol: n.to_string(),
        decimals: Decimals { price: 2, qty: 3 },
    });
    assert!(MarketFeed::new(config, &Instruments::new(too_many)).is_err());
}

#[test]
fn diffs_wait_for_the_snapshot_and_follow_it() {
    let mut run = Run::new(Product::Spot);
    assert_eq!(run.says(&depth("BTCUSDT", 9, 11)), ["0:Book:Snapshotting"]);
    assert!(run.says(&depth("BTCUSDT", 12, 13)).is_empty());
    assert_eq!(
        run.after_ms(250),
        ["request 0 /api/v3/depth?symbol=BTCUSDT&limit=5000"],
        "only the symbol that said something, before the other's two seconds"
    );
    assert_eq!(
        run.answers(0, 200, &snapshot(10, 1)),
        ["0:snapshot 10", "0:delta 11", "0:delta 13"]
    );
    assert!(run.says(&depth("BTCUSDT", 12, 13)).is_empty(), "said twice");
    assert_eq!(run.says(&depth("BTCUSDT", 14, 14)), ["0:delta 14"]);
    assert_eq!(
        run.after_ms(2_000),
        ["request 1 /api/v3/depth?symbol=ETHUSDT&limit=5000"],
        "a quiet symbol gets its book as well"
    );
}

#[test]
fn a_snapshot_that_does_not_reach_the_diffs_is_asked_for_again_later() {
    let mut run = Run::new(Product::Spot);
    run.says(&depth("BTCUSDT", 20, 21));
    run.after_ms(250);
    assert!(run.answers(0, 200, &snapshot(10, 1)).is_empty());
    assert!(run.after_ms(500).is_empty(), "not at once");
    assert_eq!(
        run.after_ms(600),
        ["request 1 /api/v3/depth?symbol=BTCUSDT&limit=5000"]
    );
    assert_eq!(run.answers(1, 200, &snapshot(21, 1)), ["0:snapshot 21"]);
}

#[test]
fn failures_wait_longer_and_longer_and_as_long_as_the_venue_says() {
    let mut run = Run::new(Product::Spot);
    run.says(&depth("BTCUSDT", 20, 21));
    run.after_ms(250);
    let mut tag = 0;
    for wait_s in [1, 2, 4, 8] {
        let read = run.feed.response(tag, None, run.now, &mut run.out);
        assert_eq!(read, Ok(()));
        run.says(&depth("BTCUSDT", 22, 23));
        let asked = |said: Vec<String>| {
            said.iter()
                .any(|what| what.ends_with("symbol=BTCUSDT&limit=5000"))
        };
        assert!(!asked(run.after_ms(wait_s * 1000 - 100)));
        run.answers(tag + 1, 200, &snapshot(30, 1));
        run.feed.content_seen = run.now;
        let said = run.after_ms(200);
        let next = said.iter().find(|what| what.contains("BTCUSDT")).unwrap();
        tag = next.split(' ').nth(1).unwrap().parse().unwrap();
    }
    run.answers(tag, 429, "{}");
    run.feed.content_seen = run.now.after(60 * SECOND_NS);
    assert!(
        run.after_ms(15_900).is_empty(),
        "16 s by now, more than the venue's 12"
    );
    assert_eq!(run.after_ms(200).len(), 1);
}

#[test]
fn a_gap_stales_the_book_and_a_new_snapshot_heals_it() {
    let mut run = Run::live(Product::Spot);
    assert_eq!(run.says(&depth("BTCUSDT", 11, 12)), ["0:delta 12"]);
    assert_eq!(
        run.says(&depth("BTCUSDT", 14, 15)),
        ["0:Book:Stale(Gap { expected: 12, found: 13 })"]
    );
    assert_eq!(run.says(&depth("ETHUSDT", 11, 11)), ["1:delta 11"]);
    assert_eq!(
        run.after_ms(1_000),
        ["request 2 /api/v3/depth?symbol=BTCUSDT&limit=5000"]
    );
    assert_eq!(
        run.answers(2, 200, &snapshot(14, 1)),
        ["0:snapshot 14", "0:delta 15"]
    );
}

#[test]
fn the_futures_follow_their_own_chain() {
    let mut run = Run::new(Product::UsdMargined);
    let diff = |first: u64, last: u64, previous: u64| {
        depth("BTCUSDT", first, last).replace("\"b\":", &format!("\"pu\":{previous},\"b\":"))
    };
    assert_eq!(run.feed.handshake(run.now).unwrap().base, "futures_stream");
    run.says(&diff(8, 11, 5));
    assert_eq!(
        run.after_ms(250),
        ["request 0 /fapi/v1/depth?symbol=BTCUSDT&limit=1000"]
    );
    assert_eq!(
        run.answers(0, 200, &snapshot(10, 1)),
        ["0:snapshot 10", "0:delta 11"]
    );
    assert_eq!(run.says(&diff(50, 60, 11)), ["0:delta 60"]);
    assert_eq!(
        run.says(&diff(61, 62, 59)),
        ["0:Book:Stale(Gap { expected: 60, found: 59 })"]
    );
}

#[test]
fn a_diff_that_is_no_number_costs_the_book_and_nothing_else() {
    let mut run = Run::live(Product::Spot);
    let bad = depth("BTCUSDT", 11, 11).replace("\"100.00\"", "\"100.001\"");
    let read = run.feed.message(bad.as_bytes(), run.now, &mut run.out);
    assert!(read.unwrap_err().to_string().contains("100.001"));
    assert_eq!(said(&mut run.out), ["0:Book:Stale(BadLevel)"]);
    assert_eq!(run.says(&depth("ETHUSDT", 11, 11)), ["1:delta 11"]);
}

#[test]
fn late_and_repeated_quotes_and_trades_are_dropped_and_missing_trades_are_marked() {
    let mut run = Run::live(Product::Spot);
    assert_eq!(run.says(&quote(7, "100.00", "101.00")), ["0:quote 7"]);
    assert!(run.says(&quote(7, "100.00", "101.00")).is_empty());
    assert!(run.says(&quote(6, "100.00", "101.00")).is_empty());
    assert_eq!(run.says(&trade(100)), ["0:trade 100"]);
    assert!(run.says(&trade(100)).is_empty());
    assert_eq!(run.says(&trade(101)), ["0:trade 101"]);
    assert_eq!(
        run.says(&trade(104)),
        [
            "0:Trades:Stale(Gap { expected: 102, found: 104 })",
            "0:trade 104"
        ]
    );
    assert!(run.says(&trade(102)).is_empty(), "late");
}

#[test]
fn the_snapshot_is_refreshed_when_the_price_walks_and_when_it_is_old() {
    let mut run = Run::new(Product::Spot);
    run.after_ms(2_001);
    run.answers(0, 200, &snapshot(10, 5_000));
    run.answers(1, 200, &snapshot(10, 2));
    assert_eq!(
        run.says(&quote(1, "97600.00", "97601.00")),
        ["0:quote 1"],
        "2400 of 4999 on the way down"
    );
    assert!(run.after_ms(250).is_empty());
    run.says(&quote(2, "97400.00", "97401.00"));
    assert_eq!(
        run.after_ms(1_000),
        ["request 2 /api/v3/depth?symbol=BTCUSDT&limit=5000"]
    );
    // The live book is newer than the answer.
    run.says(&depth("BTCUSDT", 11, 12));
    assert!(run.answers(2, 200, &snapshot(11, 5_000)).is_empty());
    assert_eq!(
        run.after_ms(1_001),
        ["request 3 /api/v3/depth?symbol=BTCUSDT&limit=5000"]
    );
    assert_eq!(run.answers(3, 200, &snapshot(12, 5_000)), ["0:snapshot 12"]);
    // A book that is there as a whole has no edge, but it grows old.
    run.now = run.now.after(1_790 * SECOND_NS);
    for (symbol, id) in [("BTCUSDT", 13), ("ETHUSDT", 11)] {
        run.says(&depth(symbol, id, id));
    }
    let asked = run.after_ms(12_000);
    assert_eq!(
        asked.iter().filter(|what| what.contains("request")).count(),
        2
    );
}

#[test]
fn a_crossed_snapshot_is_not_taken() {
    let mut run = Run::new(Product::Spot);
    run.after_ms(2_001);
    let crossed = r#"{"lastUpdateId":1,"bids":[["5","1"]],"asks":[["5","1"]]}"#;
    let response = Response {
        status: 200,
        headers: &[],
        body: crossed.as_bytes(),
    };
    let read = run.feed.response(0, Some(&response), run.now, &mut run.out);
    assert!(read.is_err());
    assert!(said(&mut run.out).is_empty());
}

#[test]
fn silence_is_judged_by_content_and_heals_by_a_snapshot() {
    let mut run = Run::live(Product::Spot);
    run.says(&quote(7, "100.00", "101.00"));
    run.says(&trade(1));
    // The other symbol keeps the connection alive.
    for id in 11..=17 {
        run.now = run.now.after(9 * SECOND_NS);
        run.says(&depth("ETHUSDT", id, id));
    }
    assert_eq!(
        run.after_ms(1),
        [
            "0:Book:Stale(Silent)",
            "0:Quotes:Stale(Silent)",
            "1:Quotes:Stale(Silent)",
            "request 2 /api/v3/depth?symbol=BTCUSDT&limit=5000"
        ]
    );
    assert!(run.after_ms(250).is_empty(), "said once");
    assert_eq!(run.answers(2, 200, &snapshot(10, 1)), ["0:snapshot 10"]);
    assert_eq!(run.says(&depth("BTCUSDT", 11, 11)), ["0:delta 11"]);
    assert_eq!(run.says(&quote(8, "100.00", "101.00")), ["0:quote 8"]);
    // An acknowledgement is no content.
    run.says(r#"{"result":null,"id":1}"#);
    assert_eq!(
        run.after_ms(20_001),
        ["reconnect: no market data of any symbol"]
    );
}

#[test]
fn a_lost_connection_stales_everything_and_late_answers_to_it_are_dropped() {
    let mut run = Run::live(Product::Spot);
    run.says(&depth("BTCUSDT", 14, 15));
    run.after_ms(1_000);
    run.feed.closed(run.now, &mut run.out);
    assert_eq!(
        said(&mut run.out),
        [
            "0:Book:Stale(Disconnected)",
            "0:Quotes:Stale(Disconnected)",
            "0:Trades:Stale(Disconnected)",
            "1:Book:Stale(Disconnected)",
            "1:Quotes:Stale(Disconnected)",
            "1:Trades:Stale(Disconnected)"
        ]
    );
    assert!(
        run.after_ms(60_000).is_empty(),
        "nothing happens while closed"
    );
    run.feed.opened(run.now, &mut run.out);
    run.out.clear();
    assert!(run.answers(2, 200, &snapshot(99, 1)).is_empty());
    assert!(run.says(&depth("BTCUSDT", 100, 101)).is_empty());
    assert_eq!(
        run.after_ms(250),
        ["request 3 /api/v3/depth?symbol=BTCUSDT&limit=5000"]
    );
}

#[test]
fn a_connection_is_left_before_the_venue_cuts_it() {
    let mut run = Run::live(Product::Spot);
    assert_eq!(
        run.says(r#"{"e":"serverShutdown","E":1770123456789}"#),
        ["reconnect: the server announced its shutdown"]
    );
    assert_eq!(
        run.says(r#"{"stream":"x","data":{"e":"serverShutdown","E":1}}"#)
            .len(),
        1
    );
    run.now = run.now.after((23 * 3600 + 50 * 60) * SECOND_NS);
    run.says(&depth("BTCUSDT", 11, 11));
    let left = run.after_ms(0);
    assert!(left.contains(&"reconnect: the connection is nearly 24 hours old".to_owned()));
}

#[test]
fn refusals_and_strangers_are_named() {
    let mut run = Run::live(Product::Spot);
    let mut refused = |text: &str| {
        run.feed
            .message(text.as_bytes(), run.now, &mut run.out)
            .unwrap_err()
            .to_string()
    };
    assert!(
        refused(r#"{"error":{"code":2,"msg":"Invalid request"},"id":1}"#).contains("2: Invalid")
    );
    assert!(refused(r#"{"code":3,"msg":"Invalid JSON","id":1}"#).contains("3: Invalid JSON"));
    assert!(refused(&depth("XRPUSDT", 1, 1)).contains("XRPUSDT"));
    assert!(refused(r#"{"e":"kline"}"#).contains("kline"));
    assert!(refused("[]").contains("not"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        cut in 0usize..400, at: prop::sample::Index, byte: u8,
    ) {
        let mut run = Run::live(Product::Spot);
        for bytes in &messages {
            let _ = run.feed.message(bytes, run.now, &mut run.out);
        }
        for text in [depth("BTCUSDT", 11, 12), quote(9, "1", "2"), trade(5), snapshot(11, 3)] {
            let mut bytes = text.into_bytes();
            let place = at.index(bytes.len());
            bytes[place] = byte;
            bytes.truncate(cut);
            let _ = run.feed.message(&bytes, run.now, &mut run.out);
            run.after_ms(2_000);
            let response = Response { status: 200, headers: &[], body: &bytes };
            for tag in 0..4 {
                let _ = run.feed.response(tag, Some(&response), run.now, &mut run.out);
            }
        }
    }
}
