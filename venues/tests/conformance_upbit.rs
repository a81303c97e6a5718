//! Every file of the venue's folder of payloads and vectors: what it holds must decode to what it says, to the last digit.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do
use onetape_engine::event::{Aggressor, Level, Liquidity, TradingStatus};
use onetape_engine::fees::FeeFormula;
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use onetape_venues::gateway::{
    AccountFact, Balance, Feed, FillFact, Instruments, KnownOrder, Listed, Listings, NewOrder,
    OrderFact, OrderKey, OrderWire, Outbox, PlaceAnswer, Query, Response,
};
use onetape_venues::upbit::{
    ApiError, DECIMALS, FeedConfig, KRW_TICKS, MarketFeed, Markets, Message, MyOrder, Nonces,
    Orders, OrdersConfig, Remaining, Signer, UserConfig, UserFeed, bid_lock, decode, krw_tick,
};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::Value;
use std::path::PathBuf;
use std::str::FromStr;

const WON: i64 = 100_000_000;

fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/venues/upbit");
    if !folder.exists() {
        println!("skipped: no {}", folder.display());
        return None;
    }
    Some(folder)
}

fn file(name: &str) -> String {
    std::fs::read_to_string(folder().unwrap().join(name)).unwrap()
}

#[test]
fn every_file_is_understood() {
    let Some(folder) = folder() else { return };
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        println!("{name}");
        check(name, &text, &json);
        seen += 1;
    }
    assert!(seen >= 18, "{seen} files");
}

fn check(name: &str, text: &str, json: &Value) {
    match name {
        "vec_jwt.json" => jwt(json),
        "vec_krw_tick.json" => ticks(json),
        "vec_fee_lock.json" => fee_lock(json),
        "rest_accounts.json" => accounts(text),
        "rest_errors.json" => errors(json),
        "rest_instruments.json" => instruments(text),
        "rest_orderbook.json" => rest_orderbook(text),
        "rest_order_limit_wait.json" => order_waits(text),
        "rest_order_trade_done.json" => order_done(text),
        "ws_subscribe.json" => subscribe(json),
        "ws_subscribe_private.json" => subscribe_private(json),
        "ws_orderbook_snapshot.json" => ws_orderbook(text, 8_120_946, 1_790_134_742_106),
        "ws_orderbook_realtime.json" => ws_orderbook(text, 6_612_366, 1_790_134_743_006),
        "ws_trade.json" => trade(text),
        "ws_ticker.json" => ticker(text),
        "ws_my_order.json" => my_order(text),
        "ws_status.json" => assert!(matches!(decode(text.as_bytes()), Ok(Message::Status))),
        "ws_error.json" => ws_error(text),
        other => panic!("no test knows {other}"),
    }
}

fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json[field].as_str().unwrap()
}

fn dec(text: &str) -> Decimal {
    Decimal::from_str(text).unwrap()
}

fn listed(place: u32, symbol: &str) -> Listed {
    Listed {
        instrument: InstrumentId(place),
        symbol: symbol.into(),
        decimals: DECIMALS,
    }
}

fn markets() -> Instruments {
    Instruments::new([listed(0, "KRW-BTC"), listed(1, "KRW-ETH")])
}

fn signer() -> Signer {
    Signer::new("access".into(), &"secret".into())
}

fn orders() -> Orders {
    Orders::new(
        OrdersConfig::default(),
        signer(),
        Nonces::new([1; 16]),
        markets(),
    )
}

fn order(client_id: &str) -> NewOrder<'_> {
    NewOrder {
        order: OrderId(1),
        client_id,
        instrument: InstrumentId(0),
        side: Side::Buy,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(1),
        worst_price: Price(1),
        qty: Qty(1),
        decided_at: Nanos(0),
    }
}

fn response(status: u16, body: &str) -> Response<'_> {
    Response {
        status,
        headers: &[],
        body: body.as_bytes(),
    }
}

fn jwt(json: &Value) {
    let signer = Signer::new(
        text(json, "access_key").into(),
        &text(json, "secret_key").into(),
    );
    let cases = json["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let token = signer.token(text(case, "query_string_hashed"), text(json, "nonce"));
        // Claims in the vector's own order: the same bytes.
        assert_eq!(token, text(&case["jwt_for_nonce"], "token"));
    }
}

fn ticks(json: &Value) {
    let table: Vec<(String, String)> =
        serde_json::from_value(json["table_from_price_ge"].clone()).unwrap();
    let ours = KRW_TICKS.iter().rev();
    let ours: Vec<(String, String)> = ours
        .map(|(from, tick)| ((*from).to_owned(), (*tick).to_owned()))
        .collect();
    assert_eq!(ours, table);
    // The same through the rules that go onto the tape.
    let rules = listing(&file("rest_instruments.json")).rules;
    for case in json["cases"].as_array().unwrap() {
        let price = |field: &str| DECIMALS.parse_price(text(case, field)).unwrap();
        assert_eq!(krw_tick(text(case, "price")), Some(text(case, "tick")));
        assert_eq!(rules.tick_at(price("price")), price("tick"));
        assert_eq!(rules.floor_price(price("price")), price("rounded_down"));
    }
}

fn fee_lock(json: &Value) {
    for case in json.as_array().unwrap() {
        let number = |field: &str| dec(text(case, field));
        let lock = bid_lock(number("price"), number("volume"), number("fee_rate")).unwrap();
        assert_eq!(lock.notional, number("notional"));
        assert_eq!(lock.fee, number("reserved_fee"));
        assert_eq!(lock.locked, number("locked"));
    }
}

fn accounts(body: &str) {
    let mut facts = Vec::new();
    let next = orders().answer(&Query::Balances, &response(200, body), &mut facts);
    assert_eq!(next, Ok(None));
    let balance = |currency: &str, free: &str, locked: &str| {
        AccountFact::Balance(Balance {
            currency: currency.into(),
            free: dec(free),
            locked: dec(locked),
        })
    };
    assert_eq!(
        facts,
        [
            balance("KRW", "1000000", "10005.308304075"),
            balance("BTC", "0.00000104", "0")
        ]
    );
    // The same rows, as the socket's frame has them.
    let frame = format!(
        r#"{{"type":"myAsset","asset_uuid":"a","assets":{body},"asset_timestamp":1,"timestamp":2,"stream_type":"REALTIME"}}"#
    );
    assert_eq!(user_facts(&frame), facts);
}

fn errors(json: &Value) {
    for case in json.as_array().unwrap() {
        let body = match &case["body"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let headers: Vec<(String, String)> = case["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().to_owned()))
            .collect();
        let response = Response {
            status: u16::try_from(case["http"].as_u64().unwrap()).unwrap(),
            headers: &headers,
            body: body.as_bytes(),
        };
        let placed = orders().placed(&order("ours"), Some(&response));
        let Some(error) = ApiError::read(body.as_bytes()) else {
            let left = Remaining::read(response.header("remaining-req").unwrap()).unwrap();
            assert_eq!((left.group.as_str(), left.this_second), ("order", 0));
            assert_eq!(
                placed,
                PlaceAnswer::Busy {
                    retry_after_ms: 1000,
                    why: "http 429 (group order)".into()
                }
            );
            continue;
        };
        match error.name.to_string().as_str() {
            "duplicated_identifier" => assert_eq!(placed, PlaceAnswer::Duplicate),
            "insufficient_funds_bid" | "under_min_total_bid" | "jwt_verification" => {
                let why = error.to_string();
                assert_eq!(placed, PlaceAnswer::Rejected { why });
            }
            other => panic!("no test knows {other}"),
        }
    }
}

/// KRW-BTC by its instruments and the book of the folder, without a key.
fn listing(body: &str) -> onetape_venues::gateway::Listing {
    let book = file("rest_orderbook.json");
    let answers = [response(200, body), response(200, &book)];
    Markets::new(None)
        .read("KRW-BTC", InstrumentId(0), &answers, Nanos(5))
        .unwrap()
}

fn instruments(body: &str) {
    let listing = listing(body);
    assert_eq!(
        (
            listing.definition.base.as_str(),
            listing.definition.quote.as_str()
        ),
        ("BTC", "KRW")
    );
    assert_eq!(listing.definition.decimals, Decimals::new(8, 8).unwrap());
    let rules = &listing.rules;
    assert_eq!(
        rules.tick_at(Price(148_490_000 * WON)),
        Price(1_000 * WON),
        "as the venue says"
    );
    assert_eq!(
        rules.min_notional,
        Money::from_decimal(dec("5000")).unwrap()
    );
    assert_eq!((rules.tick_size, rules.bands.len()), (Price(1), 15));
    let fees = listing.fees.unwrap();
    assert_eq!(
        (fees.taker, fees.source.as_str()),
        (FeeFormula::notional(dec("0.0005")), "assumed")
    );
    // A market with a tick of its own: the venue's word counts where the price is.
    let own = body.replace("\"tick_size\": 1000", "\"tick_size\": 500");
    let own_rules = self::listing(&own).rules;
    assert_eq!(
        own_rules.tick_at(Price(148_490_000 * WON)),
        Price(500 * WON)
    );
    assert_eq!(own_rules.tick_at(Price(999_000 * WON)), Price(500 * WON));
    // With a key fees, least total and state are the account's.
    let chance = r#"{"bid_fee":"0.0005","ask_fee":"0.0005","maker_bid_fee":"0.0004","maker_ask_fee":"0.0003",
        "market":{"id":"KRW-BTC","name":"BTC/KRW","order_types":["limit"],"order_sides":["ask","bid"],
        "bid":{"currency":"KRW","min_total":"5000"},"ask":{"currency":"BTC","min_total":"5000"},"max_total":"1000000000","state":"active"},
        "bid_account":{},"ask_account":{}}"#;
    let mut keyed = Markets::new(Some((signer(), Nonces::new([2; 16]))));
    let requests = keyed.requests("KRW-BTC", Nanos(0));
    let targets: Vec<&str> = requests.iter().map(|r| r.target.as_str()).collect();
    assert_eq!(
        targets,
        [
            "/v1/orderbook/instruments?markets=KRW-BTC",
            "/v1/orderbook?markets=KRW-BTC",
            "/v1/orders/chance?market=KRW-BTC"
        ]
    );
    let book = file("rest_orderbook.json");
    let answers = [
        response(200, body),
        response(200, &book),
        response(200, chance),
    ];
    let listing = keyed
        .read("KRW-BTC", InstrumentId(0), &answers, Nanos(5))
        .unwrap();
    let fees = listing.fees.unwrap();
    assert_eq!(
        (fees.maker, fees.taker, fees.source.as_str()),
        (
            FeeFormula::notional(dec("0.0004")),
            FeeFormula::notional(dec("0.0005")),
            "venue"
        )
    );
    assert_eq!(listing.status.status, TradingStatus::Open);
    let other = Markets::new(None).read("KRW-DOGE", InstrumentId(0), &answers, Nanos(5));
    assert!(other.unwrap_err().to_string().contains("KRW-DOGE"));
}

fn rest_orderbook(body: &str) {
    let books = onetape_venues::upbit::OrderBook::list(body.as_bytes()).unwrap();
    let mut levels = Vec::new();
    let (bids, asks) = books[0].sides(&listed(0, "KRW-BTC"), &mut levels).unwrap();
    assert_eq!((books.len(), books[0].code.as_ref()), (1, "KRW-BTC"));
    assert_eq!(books[0].venue_time_ns(), 1_751_606_867_762_000_000);
    let level = |won: i64, qty: i64| Level {
        price: Price(won * WON),
        qty: Qty(qty),
    };
    assert_eq!(
        bids,
        [level(148_490_000, 4_296_774), level(148_480_000, 336_561)]
    );
    assert_eq!(
        asks,
        [level(148_520_000, 1_346_620), level(148_590_000, 75_646)]
    );
}

fn order_waits(body: &str) {
    let placed = orders().placed(&order("ours"), Some(&response(201, body)));
    let fact = OrderFact {
        key: OrderKey {
            client_id: Some("ours".into()),
            venue_id: Some("cad93adb-6e05-4426-ba28-b1418b7f7809".into()),
        },
        instrument: InstrumentId(0),
        state: OrderState::Acked,
        filled: Some(Qty(0)),
        why: String::new(),
    };
    assert_eq!(
        placed,
        PlaceAnswer::Accepted {
            venue_id: "cad93adb-6e05-4426-ba28-b1418b7f7809".into(),
            facts: vec![AccountFact::Order(fact)]
        }
    );
}

fn order_done(body: &str) {
    let mut facts = Vec::new();
    let known = KnownOrder {
        order: order("eng-1"),
        venue_id: None,
    };
    let found = orders().looked_up(&known, &[response(200, body)], &mut facts);
    assert_eq!(found, Ok(true));
    let key = OrderKey {
        client_id: Some("eng-1".into()),
        venue_id: Some("9ca023a5-851b-4fec-9f0a-48cd83c2eaae".into()),
    };
    assert_eq!(
        facts,
        [
            AccountFact::Fill(FillFact {
                key: key.clone(),
                instrument: InstrumentId(0),
                fill_id: "9e8f8eba-7050-4837-8969-cfc272cbe083".into(),
                side: Side::Sell,
                price: Price(4_280_000 * WON),
                qty: Qty(WON),
                fee: Some(dec("2140")),
                liquidity: Liquidity::Taker,
                at: Nanos(1_546_577_289_000_000_000),
                is_final: true,
            }),
            AccountFact::Order(OrderFact {
                key,
                instrument: InstrumentId(0),
                state: OrderState::Filled,
                filled: Some(Qty(WON)),
                why: String::new(),
            })
        ]
    );
}

/// The shape of a subscription: its types, whether they name codes, and its format.
fn shape(json: &Value) -> Vec<(String, bool)> {
    let parts = json.as_array().unwrap().iter();
    parts
        .map(|part| {
            let part = part.as_object().unwrap();
            let kind = part.get("type").or(part.get("format"));
            let name = kind.map_or("ticket", |kind| kind.as_str().unwrap());
            (name.to_owned(), part.contains_key("codes"))
        })
        .collect()
}

fn subscribe(json: &Value) {
    let mut feed = MarketFeed::new(FeedConfig::default(), &markets());
    let mut out = Outbox::default();
    feed.opened(Nanos(7), &mut out);
    let sent: Value = serde_json::from_str(&out.messages()[0]).unwrap();
    assert_eq!(shape(&sent), shape(json));
    assert_eq!(sent[1]["codes"], serde_json::json!(["KRW-BTC", "KRW-ETH"]));
}

fn user_feed() -> UserFeed {
    let nonces = Nonces::new([3; 16]);
    UserFeed::new(UserConfig::default(), signer(), nonces, markets())
}

fn subscribe_private(json: &Value) {
    let mut feed = user_feed();
    let mut out = Outbox::default();
    let handshake = feed.handshake(Nanos(7)).unwrap();
    assert_eq!(
        (handshake.base, handshake.target.as_str()),
        ("stream", "/websocket/v1/private")
    );
    assert!(handshake.headers[0].1.starts_with("Bearer eyJ"));
    feed.opened(Nanos(7), &mut out);
    let sent: Value = serde_json::from_str(&out.messages()[0]).unwrap();
    assert_eq!(shape(&sent), shape(json));
    assert_eq!(out.messages()[1], "PING");
    assert!(out.account_facts().is_empty(), "not before it stands");
    out.clear();
    for _ in 0..2 {
        feed.message(br#"{"status":"UP"}"#, Nanos(8), &mut out)
            .unwrap();
    }
    assert_eq!(out.account_facts(), [AccountFact::Resync]);
    let next = feed.handshake(Nanos(7)).unwrap();
    assert_ne!(handshake.headers, next.headers, "a nonce is good once");
}

fn user_facts(frame: &str) -> Vec<AccountFact> {
    let mut out = Outbox::default();
    user_feed()
        .message(frame.as_bytes(), Nanos(1), &mut out)
        .unwrap();
    out.account_facts().to_vec()
}

fn ws_orderbook(frame: &str, best_bid_qty: i64, time_ms: u64) {
    let Message::Book(book) = decode(frame.as_bytes()).unwrap() else {
        panic!("not a book")
    };
    assert_eq!(book.code, "KRW-BTC");
    assert_eq!(book.venue_time_ns(), time_ms * 1_000_000);
    assert_eq!(book.is_snapshot(), frame.contains("SNAPSHOT"));
    let mut levels = Vec::new();
    let (bids, asks) = book.sides(&listed(0, "KRW-BTC"), &mut levels).unwrap();
    let level = |won: i64, qty: i64| Level {
        price: Price(won * WON),
        qty: Qty(qty),
    };
    assert_eq!(
        bids,
        [
            level(116_538_000, best_bid_qty),
            level(116_537_000, 1_129_382)
        ]
    );
    assert_eq!(
        asks,
        [level(116_539_000, 2_054_761), level(116_542_000, 77_720)]
    );
}

fn trade(frame: &str) {
    let Message::Trade(public) = decode(frame.as_bytes()).unwrap() else {
        panic!("not a trade")
    };
    assert!(public.is_snapshot());
    let trade = public.trade(&listed(1, "KRW-ETH")).unwrap();
    assert_eq!(
        (trade.price, trade.qty, trade.aggressor()),
        (Price(37_625 * WON), Qty(8_428), Aggressor::Seller)
    );
    assert_eq!(
        (trade.trade_id, trade.venue_time_ns),
        (1_696_585_056_846_000, 1_696_585_056_846_000_000)
    );
}

fn ticker(frame: &str) {
    let Message::Ticker(ticker) = decode(frame.as_bytes()).unwrap() else {
        panic!("not a ticker")
    };
    assert_eq!(ticker.code, "KRW-ETH");
    assert_eq!(ticker.status(), TradingStatus::Open);
    assert_eq!(
        ticker.last_price(&listed(1, "KRW-ETH")),
        Ok(Price(36_929 * WON))
    );
    assert_eq!(ticker.last_trade_ns(), 1_693_383_665_811_000_000);
}

fn my_order(frame: &str) {
    let key = OrderKey {
        client_id: Some("test-1".into()),
        venue_id: Some("ac2dc2a3-fce9-40a2-a4f6-5987c25c438f".into()),
    };
    assert_eq!(
        user_facts(frame),
        [
            AccountFact::Fill(FillFact {
                key: key.clone(),
                instrument: InstrumentId(0),
                fill_id: "68315169-fba4-4175-ade3-aff14a616657".into(),
                side: Side::Buy,
                price: Price(145_300),
                qty: Qty(3_092_589_129_839_369),
                fee: Some(dec("22.467660028283017")),
                liquidity: Liquidity::Maker,
                at: Nanos(1_710_751_590_421_000_000),
                is_final: true,
            }),
            AccountFact::Order(OrderFact {
                key,
                instrument: InstrumentId(0),
                state: OrderState::PartiallyFilled,
                filled: Some(Qty(3_092_589_129_839_369)),
                why: String::new(),
            })
        ]
    );
    let last = frame.replace("29968038.09235948", "0");
    assert!(matches!(
        &user_facts(&last)[1],
        AccountFact::Order(fact) if fact.state == OrderState::Filled
    ));
    // An order for money ends in cancel when it is filled; one that only waited is cancelled.
    let ended = |kind: &str, executed: &str| {
        let frame = frame
            .replace("\"trade\"", "\"cancel\"")
            .replace("\"limit\"", kind)
            .replace(
                "\"executed_volume\": 30925891.29839369",
                &format!("\"executed_volume\": {executed}"),
            );
        match &user_facts(&frame)[..] {
            [AccountFact::Order(fact)] => fact.state,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ended("\"price\"", "30925891.29839369"), OrderState::Filled);
    assert_eq!(
        ended("\"limit\"", "30925891.29839369"),
        OrderState::Cancelled
    );
    assert_eq!(ended("\"limit\"", "0"), OrderState::Cancelled);
    let other = frame.replace("KRW-BTC", "KRW-DOGE");
    let Ok(Message::MyOrder(order)) = decode(other.as_bytes()) else {
        panic!("not an order")
    };
    let mut facts = Vec::new();
    let order: Box<MyOrder<'_>> = order;
    assert_eq!(order.facts(&markets(), &mut facts), Ok(()));
    assert!(facts.is_empty(), "not on the tape");
}

fn ws_error(frame: &str) {
    let mut feed = user_feed();
    let mut out = Outbox::default();
    let error = feed
        .message(frame.as_bytes(), Nanos(1), &mut out)
        .unwrap_err();
    assert!(error.to_string().starts_with("upbit refused: NO_TICKET: "));
    assert!(out.wants_reconnect().is_some());
}

#[test]
fn a_private_socket_that_does_not_answer_is_left() {
    let mut feed = user_feed();
    let mut out = Outbox::default();
    let second = |s: u64| Nanos(s * 1_000_000_000);
    feed.opened(second(0), &mut out);
    out.clear();
    feed.tick(second(9), &mut out);
    assert_eq!(out.wants_reconnect(), None);
    feed.message(br#"{"status":"UP"}"#, second(9), &mut out)
        .unwrap();
    feed.tick(second(15), &mut out);
    assert!(out.messages().is_empty() && out.wants_reconnect().is_none());
    feed.tick(second(20), &mut out);
    assert_eq!(out.messages(), ["PING"]);
    feed.tick(second(31), &mut out);
    assert_eq!(out.wants_reconnect(), Some("no answer to PING"));
    // What can't be read has to be asked for.
    let (mut feed, mut out) = (user_feed(), Outbox::default());
    let broken = br#"{"type":"myOrder"}"#;
    assert!(feed.message(broken, second(1), &mut out).is_err());
    assert_eq!(out.account_facts(), [AccountFact::Resync]);
}

const MY_ORDER: &str = r#"{"type":"myOrder","code":"KRW-BTC","uuid":"u","ask_bid":"BID","order_type":"limit","state":"trade","trade_uuid":"t","price":1.5E3,"volume":8.428e-05,"remaining_volume":0,"executed_volume":8.428e-05,"time_in_force":null,"trade_fee":1e-9,"is_maker":null,"identifier":"i","trade_timestamp":1}"#;

proptest! {
    #[test]
    fn no_bytes_make_the_private_socket_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, byte: u8, cut in 0usize..400,
    ) {
        let mut feed = user_feed();
        let mut out = Outbox::default();
        let mut mutated = MY_ORDER.as_bytes().to_vec();
        let place = at.index(mutated.len());
        mutated[place] = byte;
        mutated.truncate(cut);
        for frame in [&bytes, &mutated] {
            let _ = feed.message(frame, Nanos(1), &mut out);
            let answer = Response { status: 200, headers: &[], body: frame };
            let mut listings = Markets::new(None);
            let _ = listings.read("KRW-BTC", InstrumentId(0), &[answer, answer], Nanos(1));
        }
        prop_assert_eq!(user_facts(MY_ORDER).len(), 2);
    }
}
