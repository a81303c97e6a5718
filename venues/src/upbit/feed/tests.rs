use super::*;
use onetape_engine::id::InstrumentId;
use onetape_engine::number::Decimals;
use proptest::prelude::*;

const MS: u64 = SECOND_NS / 1000;
/// 2026-09-23, in ms.
const START_MS: u64 = 1_790_134_742_106;

struct Run {
    feed: MarketFeed,
    out: Outbox,
    now: Nanos,
}

impl Run {
    fn new() -> Self {
        let listed = |(place, symbol): (u32, &str)| Listed {
            instrument: InstrumentId(place),
            symbol: symbol.to_owned(),
            decimals: Decimals { price: 8, qty: 8 },
        };
        let instruments = Instruments::new([(0, "KRW-BTC"), (1, "KRW-XRP")].map(listed));
        let mut run = Self {
            feed: MarketFeed::new(FeedConfig::default(), &instruments),
            out: Outbox::default(),
            now: Nanos(START_MS * MS),
        };
        run.feed.opened(run.now, &mut run.out);
        run
    }

    /// What the last call led to, in words.
    fn said(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for (kind, payload) in self.out.events() {
            // A record is read where it is aligned, and in an outbox they lie back to back: a copy of its own is.
            let copy = payload.to_vec();
            all.push(match Event::decode(kind.number(), &copy) {
                Ok(Event::FeedState(state)) => {
                    format!(
                        "{}:{:?}:{:?}",
                        state.instrument.0, state.feed, state.condition
                    )
                }
                Ok(Event::BookSnapshot(book)) => format!(
                    "{}:book {}+{} at {}",
                    book.header.instrument.0,
                    book.header.bids,
                    book.header.asks,
                    book.header.venue_time_ns / MS - START_MS
                ),
                Ok(Event::Trade(trade)) => {
                    format!("{}:trade {}", trade.instrument.0, trade.trade_id)
                }
                Ok(Event::MarketStatus(market)) => {
                    format!("{}:{:?}", market.instrument.0, market.status)
                }
                other => format!("{other:?}"),
            });
        }
        all.extend(self.out.messages().iter().cloned());
        for (tag, request) in self.out.requests() {
            all.push(format!("request {tag} {}", request.target));
        }
        if let Some(why) = self.out.wants_reconnect() {
            all.push(format!("reconnect: {why}"));
        }
        self.out.clear();
        all
    }

    fn says(&mut self, text: &str) -> Vec<String> {
        let read = self.feed.message(text.as_bytes(), self.now, &mut self.out);
        assert_eq!(read, Ok(()));
        self.said()
    }

    fn after_ms(&mut self, ms: u64) -> Vec<String> {
        self.now = self.now.after(ms * MS);
        self.feed.tick(self.now, &mut self.out);
        self.said()
    }

    fn now_ms(&self) -> u64 {
        self.now.0 / MS - START_MS
    }
}

fn book(code: &str, at_ms: u64, kind: &str) -> String {
    format!(
        r#"{{"type":"orderbook","code":"{code}","timestamp":{},"orderbook_units":[
        {{"ask_price":1.16539E8,"bid_price":1.16538E8,"ask_size":0.02054761,"bid_size":0.06612366}},
        {{"ask_price":0,"bid_price":1.16537E8,"ask_size":0.0,"bid_size":1e-8}}],"stream_type":"{kind}","level":0}}"#,
        START_MS + at_ms
    )
}

fn trade(id: u64, kind: &str) -> String {
    format!(
        r#"{{"type":"trade","code":"KRW-BTC","trade_timestamp":{START_MS},"trade_price":1.16539E8,"trade_volume":8.428e-05,"ask_bid":"ASK","sequential_id":{id},"stream_type":"{kind}"}}"#
    )
}

fn ticker(state: &str, suspended: bool) -> String {
    format!(
        r#"{{"type":"ticker","code":"KRW-BTC","trade_price":1,"trade_timestamp":1,"market_state":"{state}","is_trading_suspended":{suspended}}}"#
    )
}

#[test]
fn it_subscribes_once_without_an_origin() {
    let mut run = Run::new();
    assert_eq!(
        run.said(),
        [
            r#"[{"ticket":"onetape-1790134742106000000"},{"codes":["KRW-BTC","KRW-XRP"],"type":"orderbook"},{"codes":["KRW-BTC","KRW-XRP"],"type":"trade"},{"codes":["KRW-BTC","KRW-XRP"],"type":"ticker"},{"format":"DEFAULT"}]"#
        ]
    );
    let handshake = run.feed.handshake(run.now).unwrap();
    assert_eq!(handshake.target, "/websocket/v1");
    assert!(handshake.headers.is_empty());
}

#[test]
fn every_frame_is_a_whole_book_without_its_padding() {
    let mut run = Run::new();
    run.out.clear();
    assert_eq!(
        run.says(&book("KRW-BTC", 0, "SNAPSHOT")),
        ["0:book 2+1 at 0"]
    );
    assert_eq!(
        run.says(&book("KRW-BTC", 900, "REALTIME")),
        ["0:book 2+1 at 900"]
    );
    assert!(
        run.says(&book("KRW-BTC", 899, "REALTIME")).is_empty(),
        "late"
    );
    assert_eq!(
        run.says(&book("KRW-BTC", 900, "REALTIME")).len(),
        1,
        "two of one millisecond are both good"
    );
}

#[test]
fn a_book_that_was_long_under_way_is_not_used() {
    let mut run = Run::new();
    run.out.clear();
    run.says(&book("KRW-BTC", 0, "SNAPSHOT"));
    run.now = run.now.after(10_001 * MS);
    assert_eq!(
        run.says(&book("KRW-BTC", 0, "REALTIME")),
        ["0:Book:Stale(Silent)"]
    );
    assert!(
        run.says(&book("KRW-BTC", 0, "REALTIME")).is_empty(),
        "said once"
    );
    let now = run.now_ms();
    assert_eq!(run.says(&book("KRW-BTC", now, "REALTIME")).len(), 1);
    assert_eq!(
        run.says(&book("KRW-XRP", 0, "SNAPSHOT")),
        ["1:book 2+1 at 0"],
        "the first frame of a quiet market is as old as its last change"
    );
}

#[test]
fn trades_said_twice_are_dropped_and_ids_need_no_order() {
    let mut run = Run::new();
    run.out.clear();
    assert!(
        run.says(&trade(9, "SNAPSHOT")).is_empty(),
        "it was there before"
    );
    assert!(run.says(&trade(9, "REALTIME")).is_empty());
    assert_eq!(run.says(&trade(12, "REALTIME")), ["0:trade 12"]);
    assert_eq!(run.says(&trade(11, "REALTIME")), ["0:trade 11"]);
    assert!(run.says(&trade(12, "REALTIME")).is_empty());
    for id in 100..100 + TRADES_REMEMBERED as u64 {
        run.says(&trade(id, "REALTIME"));
    }
    assert_eq!(run.feed.markets[0].trades.len(), TRADES_REMEMBERED);
}

#[test]
fn a_ticker_tells_whether_the_market_trades_when_that_changes() {
    let mut run = Run::new();
    run.out.clear();
    assert_eq!(run.says(&ticker("ACTIVE", false)), ["0:Open"]);
    assert!(run.says(&ticker("ACTIVE", false)).is_empty());
    assert_eq!(run.says(&ticker("ACTIVE", true)), ["0:Halted"]);
    assert_eq!(run.says(&ticker("DELISTED", true)), ["0:Closed"]);
    assert_eq!(run.says(&ticker("PREVIEW", false)), ["0:Halted"]);
}

#[test]
fn silence_is_judged_by_content_and_asked_about_by_rest() {
    let mut run = Run::new();
    run.out.clear();
    run.says(&book("KRW-BTC", 0, "SNAPSHOT"));
    run.says(&book("KRW-XRP", 0, "SNAPSHOT"));
    run.now = run.now.after(19_000 * MS);
    run.says(&book("KRW-XRP", 19_000, "REALTIME"));
    assert_eq!(run.after_ms(1_000), ["PING"]);
    run.says(r#"{"status":"UP"}"#);
    let now = run.now_ms();
    run.says(&book("KRW-XRP", now, "REALTIME"));
    assert_eq!(
        run.after_ms(10_001),
        [
            "0:Book:Stale(Silent)",
            "request 0 /v1/orderbook?markets=KRW-BTC"
        ]
    );
    assert!(run.after_ms(1_000).is_empty());
    let answer = |run: &mut Run, tag: u32, status: u16, body: &str| {
        let response = Response {
            status,
            headers: &[],
            body: body.as_bytes(),
        };
        let read = run
            .feed
            .response(tag, Some(&response), run.now, &mut run.out);
        (read.is_ok(), run.said())
    };
    assert_eq!(answer(&mut run, 0, 429, "Too many"), (false, vec![]));
    let now = run.now_ms();
    run.says(&book("KRW-XRP", now, "REALTIME"));
    assert_eq!(
        run.after_ms(4_001),
        ["request 1 /v1/orderbook?markets=KRW-BTC"],
        "asked again, later"
    );
    let body = format!(
        "[{}]",
        book("KRW-BTC", 0, "").replace("\"code\"", "\"market\"")
    );
    assert_eq!(
        answer(&mut run, 1, 200, &body),
        (true, vec!["0:book 2+1 at 0".to_owned()])
    );
    assert_eq!(
        answer(&mut run, 1, 200, &body),
        (true, vec![]),
        "answered already"
    );
    // PING and its answer are no content.
    run.now = run.now.after(19_000 * MS);
    run.says(r#"{"status":"UP"}"#);
    let said = run.after_ms(1_001);
    assert!(
        said.contains(&"reconnect: no market data of any market".to_owned()),
        "{said:?}"
    );
}

#[test]
fn trades_that_do_not_come_are_marked_once() {
    let mut run = Run::new();
    run.out.clear();
    run.now = run.now.after(590_000 * MS);
    let now = run.now_ms();
    run.says(&book("KRW-BTC", now, "REALTIME"));
    run.says(&book("KRW-XRP", now, "REALTIME"));
    run.says(&trade(1, "REALTIME"));
    let marks = |said: Vec<String>| said.iter().filter(|what| what.contains("Trades")).count();
    assert_eq!(marks(run.after_ms(11_000)), 1);
    assert_eq!(marks(run.after_ms(1_000)), 0);
}

#[test]
fn a_lost_connection_stales_everything_and_a_refused_one_is_left() {
    let mut run = Run::new();
    run.out.clear();
    run.says(&book("KRW-BTC", 0, "SNAPSHOT"));
    let refused = r#"{"error":{"name":"NO_TICKET","message":"no ticket"}}"#;
    let read = run.feed.message(refused.as_bytes(), run.now, &mut run.out);
    assert_eq!(
        read.unwrap_err().to_string(),
        "upbit refused: NO_TICKET: no ticket"
    );
    assert_eq!(run.said().len(), 1);
    run.feed.closed(run.now, &mut run.out);
    assert_eq!(
        run.said(),
        [
            "0:Book:Stale(Disconnected)",
            "0:Trades:Stale(Disconnected)",
            "1:Book:Stale(Disconnected)",
            "1:Trades:Stale(Disconnected)"
        ]
    );
    assert!(run.after_ms(100_000).is_empty());
}

#[test]
fn what_is_wrong_is_named_and_costs_the_book_only() {
    let mut run = Run::new();
    run.out.clear();
    run.says(&book("KRW-BTC", 0, "SNAPSHOT"));
    let mut refused = |text: String| {
        let read = run.feed.message(text.as_bytes(), run.now, &mut run.out);
        (read.unwrap_err().to_string(), run.said())
    };
    let (error, said) = refused(book("KRW-BTC", 1, "REALTIME").replace("1.16538E8", "1e-9"));
    assert!(
        error.contains("bid_price") && error.contains("KRW-BTC"),
        "{error}"
    );
    assert_eq!(said, ["0:Book:Stale(BadLevel)"]);
    let (error, _) = refused(book("KRW-BTC", 1, "REALTIME").replace("1.16538E8", "-1"));
    assert!(error.contains("negative"), "{error}");
    let (error, _) =
        refused(book("KRW-BTC", 1, "REALTIME").replace("\"level\":0", "\"level\":10000"));
    assert!(error.contains("level"), "{error}");
    let (error, _) = refused(book("KRW-ETH", 1, "REALTIME"));
    assert!(error.contains("KRW-ETH"), "{error}");
    let (error, _) = refused(r#"{"type":"candle.1s"}"#.to_owned());
    assert!(error.contains("candle.1s"), "{error}");
    let (error, _) = refused(trade(1, "REALTIME").replace("ASK", "SELL"));
    assert!(error.contains("SELL"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, byte: u8, cut in 0usize..500,
    ) {
        let mut run = Run::new();
        let _ = run.feed.message(&bytes, run.now, &mut run.out);
        for text in [book("KRW-BTC", 1, "REALTIME"), trade(1, "REALTIME"), ticker("ACTIVE", false)] {
            let mut bytes = text.into_bytes();
            let place = at.index(bytes.len());
            bytes[place] = byte;
            bytes.truncate(cut);
            let _ = run.feed.message(&bytes, run.now, &mut run.out);
            run.after_ms(31_000);
            let response = Response { status: 200, headers: &[], body: &bytes };
            let _ = run.feed.response(0, Some(&response), run.now, &mut run.out);
        }
    }
}
