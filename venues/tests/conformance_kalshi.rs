//! Every file of Kalshi's folder: messages and answers give what the venue's documents say, vectors to the last digit.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do
use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use onetape_engine::event::{
    Aggressor, Event, FeedCondition, Liquidity, ObservationQuality, StaleReason, Strike, TickBand,
    TradingRules, TradingStatus,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, OrderFees};
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::market::Market as EngineMarket;
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use onetape_venues::gateway::{
    AccountFact, Balance, CancelAnswer, Feed, FillFact, Instruments, KnownOrder, Listed, Listings,
    Method, NewOrder, OrderFact, OrderKey, OrderWire, Outbox, PlaceAnswer, Query, Request,
    Response, WireError,
};
use onetape_venues::kalshi::{
    DECIMALS, Envelope, FeedConfig, KalshiFeed, KalshiListings, KalshiOrders, LifecycleStep,
    Membership, Message, NoSide, OrderConfig, SIGNATURE_HEADER, Shards, Signer, TIMESTAMP_HEADER,
    WeatherIndex, decode,
};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

const SERIES: &str = r#"{"series":{"ticker":"KXHIGHNY","category":"Climate and Weather","fee_type":"quadratic","fee_multiplier":1}}"#;
const EVENT: &str = r#"{"event":{"event_ticker":"KXHIGHNY-26NOV21","series_ticker":"KXHIGHNY"}}"#;

/// The documents' folder; `None` where it is not there.
fn folder() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/venues/kalshi");
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: the venues' documents are not here");
    None
}

fn text(name: &str) -> Option<String> {
    Some(std::fs::read_to_string(folder()?.join(name)).unwrap())
}

fn file(name: &str) -> Option<Value> {
    Some(serde_json::from_str(&text(name)?).unwrap())
}

fn words(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The documents' throwaway key where they are, else one of this run.
fn signer() -> Signer {
    static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
        use aws_lc_rs::encoding::AsDer;
        let pem = match file("vec_rsa_pss.json") {
            Some(vectors) => words(&vectors["private_key_pkcs1_pem"]).to_owned(),
            None => {
                let size = aws_lc_rs::rsa::KeySize::Rsa2048;
                let pair = aws_lc_rs::rsa::KeyPair::generate(size).unwrap();
                let der = STANDARD.encode(pair.as_der().unwrap().as_ref());
                format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----")
            }
        };
        Signer::new("key", &pem.into()).unwrap()
    });
    SIGNER.clone()
}

/// Every market that the files name, from 0.
const SYMBOLS: [&str; 5] = [
    "FED-23DEC-T3.00",
    "HIGHNY-22DEC23-B53.5",
    "HIGHNY-24JAN01-T60",
    "INXD-23SEP14-B4487",
    "KXHIGHNY-26NOV21-T55",
];

fn listed(place: usize) -> Listed {
    Listed {
        instrument: InstrumentId(place as u32),
        symbol: SYMBOLS[place].to_owned(),
        decimals: DECIMALS,
    }
}

fn instruments() -> Instruments {
    Instruments::new((0..SYMBOLS.len()).map(listed))
}

fn orders() -> KalshiOrders {
    let config = OrderConfig {
        cancel_order_on_pause: false,
        ..OrderConfig::default()
    };
    let shards = Shards::default();
    KalshiOrders::new(signer(), instruments(), shards, config)
}

fn order<'a>(client_id: &'a str, side: Side, price: i64, qty: i64) -> NewOrder<'a> {
    NewOrder {
        order: OrderId(1),
        client_id,
        instrument: InstrumentId(2),
        side,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(price),
        worst_price: Price(price),
        qty: Qty(qty),
        decided_at: Nanos(1_787_234_400_000_000_000),
    }
}

const CLIENT_ID: &str = "8c35ecb3-328f-4f52-8c7c-0f4b9862f8d1";
const VENUE_ID: &str = "3b23c1c7-f4ef-4f0d-8b9a-9e53c61f1a0d";

fn response<'a>(status: u16, body: &'a str) -> Response<'a> {
    Response {
        status,
        headers: &[],
        body: body.as_bytes(),
    }
}

fn key() -> OrderKey {
    OrderKey {
        client_id: Some(CLIENT_ID.to_owned()),
        venue_id: Some(VENUE_ID.to_owned()),
    }
}

fn message(text: &str) -> Message<'_> {
    decode(text.as_bytes()).unwrap().1
}

/// A file that is in the folder and in no arm here makes this fail, and so does an arm without its file.
#[test]
fn every_file_of_the_folder_is_understood() {
    let Some(folder) = folder() else { return };
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 28);
    for name in &names {
        check(name, &text(name).unwrap());
    }
}

fn check(name: &str, text: &str) {
    let value = || serde_json::from_str::<Value>(text).unwrap();
    match name {
        "ws_cmd_subscribe_book.json" => commands_of(&value(), "subscribe"),
        "ws_cmd_get_snapshot.json" => commands_of(&value(), "get_snapshot"),
        "ws_cmd_add_markets.json" => commands_of(&value(), "add_markets"),
        "ws_subscribed.json" => {
            let (envelope, message) = decode(text.as_bytes()).unwrap();
            assert_eq!(envelope.id, Some(1));
            let Message::Subscribed { channel, sid } = message else {
                panic!("{message:?}")
            };
            assert_eq!((channel.as_ref(), sid), ("orderbook_delta", 1));
        }
        "ws_error_market_not_found.json" => {
            let Message::Error(error) = message(text) else {
                panic!("no error")
            };
            assert_eq!((error.code, error.words.as_ref()), (16, "Market not found"));
            assert_eq!(error.market.as_deref(), Some("INVALID-MARKET"));
        }
        "ws_orderbook_snapshot.json" => snapshot(text),
        "ws_orderbook_delta.json" => {
            let Message::Delta(delta) = message(text) else {
                panic!("no delta")
            };
            let change = delta.change(&listed(0), NoSide::NoPrice).unwrap();
            assert_eq!(change, (Side::Buy, Price(9_600), Qty(-5_400)));
            assert_eq!(delta.venue_time, Nanos(1_669_149_841_000_000_000));
        }
        "ws_ticker.json" => {
            let Message::Ticker(ticker) = message(text) else {
                panic!("no ticker")
            };
            let quote = ticker.quote(&listed(0)).unwrap();
            assert_eq!(
                (quote.bid_price, quote.bid_qty),
                (Price(4_500), Qty(30_000))
            );
            assert_eq!(
                (quote.ask_price, quote.ask_qty),
                (Price(5_300), Qty(15_000))
            );
            assert_eq!(quote.venue_time_ns, 1_669_149_841_000_000_000);
        }
        "ws_trade.json" => {
            let Message::Trade(trade) = message(text) else {
                panic!("no trade")
            };
            let trade = trade.trade(&listed(1)).unwrap();
            assert_eq!((trade.price, trade.qty), (Price(3_600), Qty(13_600)));
            // The taker gained on NO: it sold YES.
            assert_eq!(trade.aggressor(), Aggressor::Seller);
            assert_eq!(trade.trade_id, 0xd91b_c706_ee49_470d);
        }
        "ws_fill.json" => {
            // The sample has the old direction fields alone: it is refused by name and asked for over HTTP.
            let Message::Fill(fill) = message(text) else {
                panic!("no fill")
            };
            assert_eq!(fill.order_id, "ee587a1c-8b87-4dcf-b721-9f6f790619fa");
            assert_eq!(
                fill.fact(&instruments()).unwrap_err().to_string(),
                "kalshi: field 'book_side' of fill is missing: expected bid or ask"
            );
            let with = text.replace(r#""side": "yes","#, r#""book_side": "bid","#);
            let Message::Fill(fill) = message(&with) else {
                panic!("no fill")
            };
            let fact = fill.fact(&instruments()).unwrap();
            // It is of another market than those listed above: HIGHNY-22DEC23-B53.5 is.
            let fact = fact.unwrap();
            assert_eq!(
                (fact.side, fact.price, fact.qty),
                (Side::Buy, Price(7_500), Qty(27_800))
            );
            assert_eq!(fact.fill_id, "d91bc706-ee49-470d-82d8-11418bda6fed");
            assert_eq!((fact.liquidity, fact.fee), (Liquidity::Taker, None));
            assert_eq!(fact.at, Nanos(1_671_899_397_000_000_000));
        }
        "ws_user_order.json" => {
            let Message::Order(order) = message(text) else {
                panic!("no order")
            };
            let fact = order.fact(&instruments()).unwrap().unwrap();
            let expected = OrderFact {
                key: OrderKey {
                    client_id: Some("my-order-1".to_owned()),
                    venue_id: Some("ee587a1c-8b87-4dcf-b721-9f6f790619fa".to_owned()),
                },
                instrument: InstrumentId(0),
                state: OrderState::Acked,
                filled: Some(Qty(0)),
                why: String::new(),
            };
            assert_eq!(fact, expected);
        }
        "ws_lifecycle_created.json" => {
            let Message::Lifecycle(lifecycle) = message(text) else {
                panic!("no lifecycle")
            };
            assert_eq!(lifecycle.market, "INXD-23SEP14-B4487");
            assert!(matches!(lifecycle.step, LifecycleStep::Created));
        }
        "ws_lifecycle_determined.json" => {
            let envelope = Envelope::read(text.as_bytes()).unwrap();
            assert_eq!((envelope.sid, envelope.seq), (Some(13), Some(12)));
            let Message::Lifecycle(lifecycle) = message(text) else {
                panic!("no lifecycle")
            };
            let LifecycleStep::Determined { value } = lifecycle.step else {
                panic!("not determined")
            };
            assert_eq!(value, Some("1.0000"));
        }
        "rest_create_order_v2_request.json" => {
            let mut orders = orders();
            let request = orders.place(&order(CLIENT_ID, Side::Buy, 5_600, 1_000), Nanos(0));
            let request = request.unwrap();
            let mut body: Value = serde_json::from_str(&request.body).unwrap();
            // What the market did not say is left to the venue's default, which the sample writes out.
            assert_eq!(body.get("exchange_index"), None);
            body["exchange_index"] = json!(0);
            assert_eq!(body, value());
            assert_eq!(request.target, "/trade-api/v2/portfolio/events/orders");
        }
        "rest_create_order_v2_response.json" => {
            let order = order(CLIENT_ID, Side::Buy, 5_600, 1_000);
            let answer = orders().placed(&order, Some(&response(201, text)));
            let PlaceAnswer::Accepted { venue_id, facts } = answer else {
                panic!("{answer:?}")
            };
            assert_eq!(venue_id, VENUE_ID);
            assert_eq!(facts, [order_fact(OrderState::Acked, 0)]);
        }
        "rest_cancel_order_v2_response.json" => {
            let order = known(order(CLIENT_ID, Side::Buy, 5_600, 1_000));
            let answer = orders().cancelled(&order, Some(&response(200, text)));
            let cancelled = order_fact(OrderState::Cancelled, 0);
            assert_eq!(answer, CancelAnswer::Cancelled(vec![cancelled]));
        }
        "rest_errors.json" => errors(&value()),
        "rest_get_order.json" => {
            let fills = text_of("rest_get_fills.json");
            let mut facts = Vec::new();
            let order = known(order(CLIENT_ID, Side::Buy, 5_600, 1_000));
            let answers = [response(200, text), response(200, &fills)];
            assert_eq!(orders().looked_up(&order, &answers, &mut facts), Ok(true));
            assert_eq!(
                facts,
                [
                    AccountFact::Fill(fill()),
                    order_fact(OrderState::PartiallyFilled, 200)
                ]
            );
        }
        "rest_get_fills.json" => {
            let mut facts = Vec::new();
            let query = Query::Fills {
                since: Nanos(0),
                of: Arc::default(),
            };
            let next = orders().answer(&query, &response(200, text), &mut facts);
            assert_eq!(next, Ok(None));
            let mut expected = fill();
            expected.key.client_id = None;
            assert_eq!(facts, [AccountFact::Fill(expected)]);
        }
        "rest_get_balance.json" => {
            let mut facts = Vec::new();
            let next = orders().answer(&Query::Balances, &response(200, text), &mut facts);
            assert_eq!(next, Ok(None));
            let balance = Balance {
                currency: "USD".to_owned(),
                free: Decimal::new(10_123_456, 4),
                locked: Decimal::ZERO,
            };
            assert_eq!(facts, [AccountFact::Balance(balance)]);
        }
        "rest_orderbook.json" => rest_book(&value()),
        "rest_market.json" => market(text),
        "rest_weather_index.json" => weather(text),
        "vec_book_replay.json" => replay(&value()),
        "vec_direction.json" => directions(&value()),
        "vec_fees.json" => fees(&value()),
        "vec_price_grid.json" => grids(&value()),
        "vec_rsa_pss.json" => signatures(&value()),
        unknown => panic!("{unknown} is in the folder and nobody checks it"),
    }
}

fn text_of(name: &str) -> String {
    text(name).unwrap()
}

fn known(order: NewOrder<'_>) -> KnownOrder<'_> {
    KnownOrder {
        order,
        venue_id: Some(VENUE_ID),
    }
}

fn order_fact(state: OrderState, filled: i64) -> AccountFact {
    AccountFact::Order(OrderFact {
        key: key(),
        instrument: InstrumentId(2),
        state,
        filled: Some(Qty(filled)),
        why: String::new(),
    })
}

/// The fill of the REST sample; fills of that answer don't name our id.
fn fill() -> FillFact {
    FillFact {
        key: OrderKey {
            client_id: None,
            venue_id: Some(VENUE_ID.to_owned()),
        },
        instrument: InstrumentId(2),
        fill_id: "d91bc706-ee49-470d-82d8-11418bda6fed".to_owned(),
        side: Side::Buy,
        price: Price(5_600),
        qty: Qty(200),
        fee: Some(Decimal::new(400, 4)),
        liquidity: Liquidity::Taker,
        at: Nanos(1_787_234_400_123_456_000),
        is_final: true,
    }
}

/// Our commands have the shape of the sample: the same keys, and what both fix has the same value.
fn commands_of(sample: &Value, what: &str) {
    let config = FeedConfig {
        no_side: NoSide::NoPrice,
        ..FeedConfig::default()
    };
    let mut feed = KalshiFeed::new(signer(), instruments(), config);
    let mut out = Outbox::default();
    feed.opened(Nanos(0), &mut out);
    let commands: Vec<Value> = read_all(&out);
    let book = &commands[0];
    if what == "subscribe" {
        assert_eq!(book["cmd"], sample["cmd"]);
        assert_eq!(book["params"]["channels"], json!(["orderbook_delta"]));
        assert_eq!(book["params"]["market_tickers"], json!(SYMBOLS));
        // The sample relies on the default, which will change: ours says it.
        assert_eq!(book["params"]["use_yes_price"], json!(false));
        assert_eq!(sample["params"]["channels"][0], "orderbook_delta");
        return;
    }
    let not_found = json!({"id":book["id"],"type":"error","msg":{"code":16,"msg":"","market_ticker":SYMBOLS[1]}});
    out.clear();
    for (sid, command) in (456..).zip(&commands) {
        let ack = json!({"id":command["id"],"type":"subscribed","msg":{"channel":command["params"]["channels"][0],"sid":sid}});
        feed.message(ack.to_string().as_bytes(), Nanos(0), &mut out)
            .unwrap();
    }
    let sid = match what {
        "get_snapshot" => {
            let delta = |seq| json!({"type":"orderbook_delta","sid":456,"seq":seq,"msg":{"market_ticker":"X","price_dollars":"0.5","delta_fp":"1","side":"yes"}});
            for seq in [1, 3] {
                feed.message(delta(seq).to_string().as_bytes(), Nanos(0), &mut out)
                    .unwrap();
            }
            // The books wait for their first snapshots: a second later they are asked for.
            feed.tick(Nanos(2_000_000_000), &mut out);
            456
        }
        _ => {
            assert!(
                feed.message(not_found.to_string().as_bytes(), Nanos(0), &mut out)
                    .is_err()
            );
            out.clear();
            feed.tick(Nanos(60_000_000_000), &mut out);
            456
        }
    };
    let sent = read_all(&out);
    let command = sent
        .iter()
        .find(|command| command["params"]["action"] == what)
        .unwrap();
    let mut expected = sample.clone();
    expected["id"] = command["id"].clone();
    expected["params"]["sids"] = json!([sid]);
    expected["params"]["market_tickers"] = command["params"]["market_tickers"].clone();
    assert_eq!(*command, expected);
}

fn read_all(out: &Outbox) -> Vec<Value> {
    let read = |text: &String| serde_json::from_str(text).unwrap();
    out.messages().iter().map(read).collect()
}

fn snapshot(text: &str) {
    let Message::Snapshot(snapshot) = message(text) else {
        panic!("no snapshot")
    };
    let mut levels = Vec::new();
    let add = |side, price: Price, qty: Qty| levels.push((side, price.0, qty.0));
    snapshot.levels(&listed(0), NoSide::NoPrice, add).unwrap();
    assert_eq!(
        levels,
        [
            (Side::Buy, 800, 30_000),
            (Side::Buy, 2_200, 33_300),
            (Side::Sell, 4_600, 2_000),
            (Side::Sell, 4_400, 14_600),
        ]
    );
    // A side that is absent is empty.
    let mut one_sided: Value = serde_json::from_str(text).unwrap();
    one_sided["msg"]
        .as_object_mut()
        .unwrap()
        .remove("no_dollars_fp");
    let one_sided = one_sided.to_string();
    let Message::Snapshot(snapshot) = message(&one_sided) else {
        panic!("no snapshot")
    };
    let mut sides = Vec::new();
    let add = |side, _, _| sides.push(side);
    snapshot.levels(&listed(0), NoSide::NoPrice, add).unwrap();
    assert_eq!(sides, [Side::Buy, Side::Buy]);
}

/// The REST book has the snapshot's form under other names, best last; the feed takes its books from the stream only.
fn rest_book(value: &Value) {
    let book = &value["orderbook_fp"];
    let as_snapshot = json!({"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{
        "market_ticker":SYMBOLS[0],"yes_dollars_fp":book["yes_dollars"],"no_dollars_fp":book["no_dollars"]}});
    let text = as_snapshot.to_string();
    let Message::Snapshot(snapshot) = message(&text) else {
        panic!("no snapshot")
    };
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    let add = |side, price: Price, qty: Qty| match side {
        Side::Buy => bids.push((price.0, qty.0)),
        Side::Sell => asks.push((price.0, qty.0)),
    };
    snapshot.levels(&listed(0), NoSide::NoPrice, add).unwrap();
    assert_eq!(bids.iter().max(), Some(&(4_200, 1_300)));
    assert_eq!(asks.iter().min(), Some(&(4_400, 1_700)));
}

fn listing_of(market: &str) -> Result<onetape_venues::gateway::Listing, WireError> {
    let mut listings = KalshiListings::new(Membership::Normal, Shards::default());
    let symbol = "KXHIGHNY-26NOV21-T55";
    let answers = [market, SERIES, EVENT].map(|body| response(200, body));
    listings.read(symbol, InstrumentId(4), &answers, Nanos(7))
}

fn market(text: &str) {
    let listing = listing_of(text).unwrap();
    assert_eq!(listing.definition.quote, "USD");
    assert_eq!(listing.definition.decimals, Decimals::new(4, 2).unwrap());
    let expected = TradingRules {
        instrument: InstrumentId(4),
        effective_from: Nanos(7),
        tick_size: Price(100),
        lot_size: Qty(1),
        min_qty: Qty(1),
        min_notional: Money::ZERO,
        min_price: Price(100),
        max_price: Price(9_900),
        bands: Vec::new(),
        allows_short: true,
    };
    assert_eq!(listing.rules, expected);
    assert_eq!(listing.status.status, TradingStatus::Open);
    let terms = listing.terms.unwrap();
    assert_eq!(
        (terms.event.as_str(), terms.cluster.as_str()),
        ("KXHIGHNY-26NOV21", "northeast")
    );
    // 2026-11-22T04:59:00Z and 15:00:00Z.
    assert_eq!(terms.closes_at, Nanos(1_795_323_540_000_000_000));
    assert_eq!(terms.settles_at, Nanos(1_795_359_600_000_000_000));
    let temperature = terms.temperature.clone().unwrap();
    assert_eq!(
        (temperature.station.as_str(), temperature.day),
        ("NYC", 20_778)
    );
    // "55 or above" is more than 54.
    assert_eq!(temperature.strike, Strike::Greater { floor: 54 });
    assert_eq!(
        Event::ContractTerms(Box::new(terms.clone())).check(),
        Ok(())
    );
    let hash = blake3_of("If the highest temperature recorded in Central Park ...\n");
    assert_eq!((&terms.rules_hash, terms.rules_hash.len()), (&hash, 64));
    assert_eq!(listing.rules_text.unwrap().rules_hash, hash);
    let fees = listing.fees.unwrap();
    assert_eq!(fees.taker, FeeFormula::probability(Decimal::new(7, 2)));
    assert_eq!(fees.maker, FeeFormula::probability(Decimal::ZERO));
    assert_eq!(fees.accrual, FeeAccrual::KalshiRebate);
}

fn blake3_of(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn weather(text: &str) {
    let mut index = WeatherIndex::new("miami", "MIA");
    let points = index.read(&response(200, text)).unwrap();
    let short: Vec<(u64, String)> = points
        .iter()
        .map(|point| {
            (
                point.observed_at.0 / 1_000_000,
                point.temperature_f.to_string(),
            )
        })
        .collect();
    // The minute between is missing and stays so; the last one has no value.
    assert_eq!(
        short,
        [
            (1_787_234_400_000, "88.34".to_owned()),
            (1_787_234_460_000, "88.41".to_owned())
        ]
    );
    assert!(
        points
            .iter()
            .all(|p| p.quality == ObservationQuality::Soft && p.station == "MIA")
    );
    for point in points {
        assert_eq!(Event::Observation(Box::new(point)).check(), Ok(()));
    }
}

fn errors(samples: &Value) {
    let order = order(CLIENT_ID, Side::Buy, 5_600, 1_000);
    for sample in samples.as_array().unwrap() {
        let status = sample["status"].as_u64().unwrap() as u16;
        let body = sample.get("body").map(Value::to_string).unwrap_or_default();
        let answer = orders().placed(&order, Some(&response(status, &body)));
        match status {
            429 => assert_eq!(
                answer,
                PlaceAnswer::Busy {
                    retry_after_ms: 1_000,
                    why: "429: too many requests".to_owned()
                }
            ),
            410 => {
                let PlaceAnswer::Rejected { why } = answer else {
                    panic!("{answer:?}")
                };
                let start =
                    "410: deprecated_v1_order_endpoint: Please switch to the V2 endpoints: ";
                assert!(why.starts_with(start), "{why}");
            }
            400 => assert_eq!(
                answer,
                PlaceAnswer::Rejected {
                    why: "400: invalid_parameters: invalid price".to_owned()
                }
            ),
            409 => assert_eq!(answer, PlaceAnswer::Duplicate),
            other => panic!("{other} is not known here"),
        }
    }
}

/// The engine's own market takes the feed's frames and shows what the vector expects.
fn replay(vector: &Value) {
    for (no_side, turned) in [(NoSide::NoPrice, false), (NoSide::YesPrice, true)] {
        let config = FeedConfig {
            no_side,
            ..FeedConfig::default()
        };
        let mut feed = KalshiFeed::new(signer(), instruments(), config);
        let mut out = Outbox::default();
        let mut market = EngineMarket::default();
        let mut sequence = 0;
        for (place, symbol) in SYMBOLS.iter().enumerate() {
            let definition = onetape_engine::event::InstrumentDefined {
                instrument: InstrumentId(place as u32),
                venue: "kalshi".to_owned(),
                symbol: (*symbol).to_owned(),
                instrument_type: onetape_engine::event::InstrumentType::Binary,
                base: "YES".to_owned(),
                quote: "USD".to_owned(),
                decimals: DECIMALS,
            };
            sequence += 1;
            let event = Event::InstrumentDefined(Box::new(definition));
            market
                .evolve(onetape_engine::id::Sequence(sequence), Nanos(1), &event)
                .unwrap();
        }
        feed.opened(Nanos(1), &mut out);
        let ack = json!({"id":read_all(&out)[0]["id"],"type":"subscribed","msg":{"channel":"orderbook_delta","sid":2}});
        feed.message(ack.to_string().as_bytes(), Nanos(1), &mut out)
            .unwrap();
        let expected = vector["expected"].as_array().unwrap();
        let messages = vector["messages"].as_array().unwrap();
        assert_eq!(expected.len(), messages.len());
        for (message, expected) in messages.iter().zip(expected) {
            out.clear();
            let mut message = message.clone();
            if turned {
                turn(&mut message);
            }
            feed.message(message.to_string().as_bytes(), Nanos(2), &mut out)
                .unwrap();
            for (kind, payload) in out.events() {
                sequence += 1;
                let payload = payload.to_vec();
                let event = Event::decode(kind.number(), &payload).unwrap();
                market
                    .evolve(onetape_engine::id::Sequence(sequence), Nanos(2), &event)
                    .unwrap();
            }
            let instrument = market.instrument(InstrumentId(0)).unwrap();
            if expected["action"] == "apply" {
                let top = instrument.book().unwrap().top();
                let d = DECIMALS;
                let price = |field: &str| d.parse_price(words(&expected[field])).unwrap();
                let qty = |field: &str| d.parse_qty(words(&expected[field])).unwrap();
                assert_eq!(top.bid.price, price("best_yes_bid"));
                assert_eq!(top.bid.qty, qty("best_yes_bid_size"));
                assert_eq!(top.ask.price, price("best_yes_ask"));
                assert_eq!(top.ask.qty, qty("best_yes_ask_size"));
            } else {
                assert!(words(&expected["action"]).starts_with("gap"));
                assert!(instrument.book().is_none());
                let stale = out.events().any(|(kind, payload)| {
                    let payload = payload.to_vec();
                    let gap = StaleReason::Gap { expected: 5, found: 6 };
                    let is = FeedCondition::Stale(gap);
                    matches!(Event::decode(kind.number(), &payload), Ok(Event::FeedState(s)) if s.condition == is)
                });
                assert!(stale);
                assert_eq!(read_all(&out)[0]["params"]["action"], "get_snapshot");
            }
        }
    }
}

/// What the venue would send with `use_yes_price`.
fn turn(message: &mut Value) {
    let turned = |text: &Value| {
        let price = Decimal::from_str_exact(words(text)).unwrap();
        json!((Decimal::ONE - price).to_string())
    };
    let msg = &mut message["msg"];
    if let Some(levels) = msg.get_mut("no_dollars_fp") {
        for level in levels.as_array_mut().unwrap() {
            level[0] = turned(&level[0]);
        }
    } else if msg["side"] == "no" {
        msg["price_dollars"] = turned(&msg["price_dollars"]);
    }
}

/// Orders are quoted in YES: the vector's NO rows are the sale of YES at one dollar less.
fn directions(vector: &Value) {
    for case in vector.as_array().unwrap() {
        let price = DECIMALS.parse_price(words(&case["price"])).unwrap();
        let action = match words(&case["action"]) {
            "buy" => Side::Buy,
            _ => Side::Sell,
        };
        let (side, price) = match words(&case["outcome"]) {
            "yes" => (action, price.0),
            _ => (action.opposite(), 10_000 - price.0),
        };
        let request = orders().place(&order(CLIENT_ID, side, price, 100), Nanos(0));
        let body: Value = serde_json::from_str(&request.unwrap().body).unwrap();
        assert_eq!(
            (&body["side"], &body["price"]),
            (&case["v2_side"], &case["v2_price"])
        );
    }
}

/// The schedule that a listing gives charges what the vector says.
fn fees(vector: &Value) {
    let market = text_of("rest_market.json");
    let schedule = |maker: bool| {
        let fee_type = if maker {
            "quadratic_with_maker_fees"
        } else {
            "quadratic"
        };
        let series = SERIES.replace("quadratic", fee_type);
        let mut listings = KalshiListings::new(Membership::Normal, Shards::default());
        let answers = [market.as_str(), &series, EVENT].map(|body| response(200, body));
        let listing = listings.read("KXHIGHNY-26NOV21-T55", InstrumentId(4), &answers, Nanos(0));
        listing.unwrap().fees.unwrap()
    };
    let money = |value: &Value| {
        Money::from_decimal(Decimal::from_str_exact(words(value)).unwrap()).unwrap()
    };
    for case in vector["single_fill_checks_non_direct"].as_array().unwrap() {
        let (liquidity, schedule) = match words(&case["rate"]) {
            "0.07" => (Liquidity::Taker, schedule(false)),
            "0.0175" => (Liquidity::Maker, schedule(true)),
            other => panic!("rate {other}"),
        };
        let price = DECIMALS.parse_price(words(&case["price"])).unwrap();
        let qty = DECIMALS.parse_qty(words(&case["count"])).unwrap();
        let fee = schedule.estimate(liquidity, DECIMALS, price, qty).unwrap();
        assert_eq!(fee, money(&case["net_fee"]), "{case}");
    }
    // The official examples give their trade fee, which is not the formula's: a rate that leads to it stands in.
    for example in vector["official_rounding_examples_trade_fee_given"]
        .as_array()
        .unwrap()
    {
        let mut schedule = schedule(false);
        let price = Decimal::from_str_exact(words(&example["buy_price"])).unwrap();
        let fills = example["fills"].as_array().unwrap();
        let count = Decimal::from_str_exact(words(&fills[0]["count"])).unwrap();
        let given = Decimal::from_str_exact(words(&example["params"]["tf_given"])).unwrap();
        let rate = given / (price * (Decimal::ONE - price) * count);
        schedule.taker = FeeFormula::probability(
            rate.round_dp_with_strategy(6, rust_decimal::RoundingStrategy::ToZero),
        );
        let mut so_far = OrderFees::default();
        for fill in fills {
            let (fee, next) = schedule
                .charge(
                    &so_far,
                    DECIMALS,
                    Side::Buy,
                    Liquidity::Taker,
                    DECIMALS.price_from(price).unwrap(),
                    DECIMALS.qty_from(count).unwrap(),
                )
                .unwrap();
            assert_eq!(fee, money(&fill["net_fee"]), "{fill}");
            so_far = next;
        }
    }
}

fn grids(vector: &Value) {
    let market: Value = serde_json::from_str(&text_of("rest_market.json")).unwrap();
    for (name, grid) in vector.as_object().unwrap() {
        let mut market = market.clone();
        market["market"]["price_ranges"] = grid["price_ranges"].clone();
        let rules = listing_of(&market.to_string()).unwrap().rules;
        for case in grid["cases"].as_array().unwrap() {
            let price = DECIMALS.parse_price(words(&case["price"])).unwrap();
            let valid =
                rules.is_on_grid(price) && (rules.min_price..=rules.max_price).contains(&price);
            assert_eq!(json!(valid), case["valid"], "{name} {case}");
        }
        if name == "tapered_deci_cent" {
            let band = |from, tick| TickBand {
                from: Price(from),
                tick: Price(tick),
            };
            assert_eq!(rules.bands, [band(1_000, 100), band(9_000, 10)]);
            assert_eq!(
                (rules.min_price, rules.max_price),
                (Price(10), Price(9_990))
            );
        }
    }
}

fn signatures(vector: &Value) {
    let public = public_key(words(&vector["public_key_pem"]));
    let verifies = |text: &str, signature: &str| {
        let signature = STANDARD.decode(signature).unwrap();
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &public)
            .verify(text.as_bytes(), &signature)
            .is_ok()
    };
    for field in ["private_key_pkcs1_pem", "private_key_pkcs8_pem"] {
        let signer = Signer::new("id", &words(&vector[field]).into()).unwrap();
        for case in vector["cases"].as_array().unwrap() {
            let string = words(&case["string_to_sign"]);
            // The documents' own signature of that string, and ours.
            assert!(verifies(
                string,
                words(&case["signature_b64_for_that_salt"])
            ));
            let timestamp = words(&case["timestamp_ms"]);
            let method = match words(&case["method"]) {
                "GET" => Method::Get,
                "POST" => Method::Post,
                other => panic!("{other}"),
            };
            let now = Nanos(timestamp.parse::<u64>().unwrap() * 1_000_000 + 999);
            let target = words(&case["path_and_query"]);
            let headers = signer.headers(method, target, now).unwrap();
            let header = |name: &str| {
                let found = headers.iter().find(|(header, _)| *header == name);
                found.unwrap().1.clone()
            };
            assert_eq!(header(TIMESTAMP_HEADER), timestamp);
            assert!(verifies(string, &header(SIGNATURE_HEADER)), "{target}");
            // It is salted: the same request is never signed the same way twice.
            let again = signer.headers(method, target, now).unwrap();
            assert_ne!(header(SIGNATURE_HEADER), again[2].1);
        }
        for case in vector["must_not_verify"].as_array().unwrap() {
            let string = words(&case["string_to_sign"]);
            assert!(
                !verifies(string, words(&case["signature_b64"])),
                "{}",
                case["why"]
            );
        }
        let names: Vec<&str> = vector["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(words)
            .collect();
        let headers = signer.headers(Method::Get, "/", Nanos(0)).unwrap();
        let ours: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(ours, names);
    }
}

/// The PKCS#1 part of a public key in PEM: the last bytes of its SubjectPublicKeyInfo.
fn public_key(pem: &str) -> Vec<u8> {
    let body: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = STANDARD.decode(body).unwrap();
    const HEADER: usize = 24;
    der[HEADER..].to_vec()
}

// What the documents say of orders beyond their samples.

#[test]
fn a_market_order_takes_at_its_worst_price_and_post_only_rests() {
    let body = |change: fn(&mut NewOrder<'_>)| {
        let mut order = order(CLIENT_ID, Side::Sell, 4_000, 250);
        change(&mut order);
        let request = orders()
            .place(&order, Nanos(0))
            .map_err(|refusal| refusal.why)?;
        Ok::<Value, String>(serde_json::from_str(&request.body).unwrap())
    };
    let market = body(|order| {
        order.order_type = OrderType::Market;
        order.price = Price(0);
        order.worst_price = Price(3_900);
    })
    .unwrap();
    assert_eq!(market["time_in_force"], "immediate_or_cancel");
    assert_eq!(
        (&market["price"], &market["count"]),
        (&json!("0.3900"), &json!("2.50"))
    );
    assert_eq!(
        (&market["side"], &market["post_only"]),
        (&json!("ask"), &json!(false))
    );
    let rests = body(|order| order.time_in_force = TimeInForce::PostOnly).unwrap();
    assert_eq!(rests["time_in_force"], "good_till_canceled");
    assert_eq!(rests["post_only"], json!(true));
    for (change, why) in [
        (
            (|order| order.order_type = OrderType::Stop) as fn(&mut NewOrder<'_>),
            "the venue has no stop orders",
        ),
        (
            |order| order.price = Price(10_000),
            "its price is not above 0 and below 1 dollar",
        ),
        (|order| order.qty = Qty(0), "its quantity is not above zero"),
        (
            |order| order.instrument = InstrumentId(99),
            "its market is not listed",
        ),
    ] {
        assert_eq!(body(change), Err(why.to_owned()));
    }
}

#[test]
fn an_order_goes_to_the_shard_that_its_market_named() {
    let shards = Shards::default();
    let mut listings = KalshiListings::new(Membership::Normal, shards.clone());
    let market = r#"{"market":{"ticker":"KXHIGHNY-26NOV21-T55","event_ticker":"KXHIGHNY-26NOV21","status":"active","close_time":"2026-11-22T04:59:00Z","rules_primary":"a","price_ranges":[{"start":"0","end":"1","step":"0.01"}],"strike_type":"less","cap_strike":40,"exchange_index":2}}"#;
    let answers = [market, SERIES, EVENT].map(|body| response(200, body));
    listings
        .read("KXHIGHNY-26NOV21-T55", InstrumentId(4), &answers, Nanos(0))
        .unwrap();
    let mut orders = KalshiOrders::new(signer(), instruments(), shards, OrderConfig::default());
    let order = NewOrder {
        instrument: InstrumentId(4),
        ..order(CLIENT_ID, Side::Buy, 5_000, 100)
    };
    let request = orders.place(&order, Nanos(0)).unwrap();
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["exchange_index"], json!(2));
    assert_eq!(body["cancel_order_on_pause"], json!(true));
    let cancel = orders.cancel(&known(order.clone()), Nanos(0)).unwrap();
    assert_eq!(
        cancel.target,
        format!("/trade-api/v2/portfolio/events/orders/{VENUE_ID}?exchange_index=2")
    );
    assert_eq!((cancel.method, cancel.weight), (Method::Delete, 10));
    let unnamed = KnownOrder {
        order,
        venue_id: None,
    };
    assert!(orders.cancel(&unnamed, Nanos(0)).is_err());
}

#[test]
fn an_answer_to_an_order_is_believed_only_where_it_fits_the_order() {
    let answer = |time_in_force, status, body: &str| {
        let order = NewOrder {
            time_in_force,
            ..order(CLIENT_ID, Side::Buy, 5_600, 1_000)
        };
        orders().placed(&order, Some(&response(status, body)))
    };
    let counts = |filled: &str, left: &str| {
        format!(
            r#"{{"order_id":"{VENUE_ID}","client_order_id":"{CLIENT_ID}","fill_count":"{filled}","remaining_count":"{left}"}}"#
        )
    };
    let gtc = TimeInForce::GoodTillCancel;
    let ioc = TimeInForce::ImmediateOrCancel;
    for (time_in_force, filled, left, state, count) in [
        (gtc, "0.00", "10.00", OrderState::Acked, 0),
        (gtc, "4.00", "6.00", OrderState::PartiallyFilled, 400),
        (gtc, "10.00", "0.00", OrderState::Filled, 1_000),
        (gtc, "0.00", "0.00", OrderState::Cancelled, 0),
        (ioc, "0.00", "0.00", OrderState::Expired, 0),
        (ioc, "4.00", "0.00", OrderState::Expired, 400),
        (ioc, "10.00", "0.00", OrderState::Filled, 1_000),
    ] {
        let PlaceAnswer::Accepted { facts, .. } = answer(time_in_force, 201, &counts(filled, left))
        else {
            panic!("not accepted")
        };
        assert_eq!(facts, [order_fact(state, count)]);
    }
    let other = counts("0.00", "10.00").replace(CLIENT_ID, "another");
    for body in [
        "",
        "{}",
        "<html>",
        &counts("11.00", "0.00"),
        &counts("5.00", "6.00"),
        &counts("-1.00", "0.00"),
        &counts("0.001", "0.00"),
        &other,
    ] {
        assert!(
            matches!(answer(gtc, 200, body), PlaceAnswer::Unknown { .. }),
            "{body}"
        );
    }
    for status in [302, 408, 500, 502, 503, 504] {
        let body = r#"{"code":"x","message":"y"}"#;
        assert!(
            matches!(answer(gtc, status, body), PlaceAnswer::Unknown { .. }),
            "{status}"
        );
    }
    assert!(matches!(
        answer(gtc, 403, "<html>"),
        PlaceAnswer::Unknown { .. }
    ));
    assert!(matches!(answer(gtc, 429, ""), PlaceAnswer::Busy { .. }));
    for code in ["insufficient_balance", "MARKET_INACTIVE"] {
        let body = format!(r#"{{"code":"{code}"}}"#);
        assert_eq!(
            answer(gtc, 400, &body),
            PlaceAnswer::Rejected {
                why: format!("400: {code}")
            }
        );
    }
    let order = order(CLIENT_ID, Side::Buy, 5_600, 1_000);
    assert!(matches!(
        orders().placed(&order, None),
        PlaceAnswer::Unknown { .. }
    ));
}

#[test]
fn a_cancel_that_found_nothing_is_looked_up() {
    let answer = |status, body: &str| {
        let order = known(order(CLIENT_ID, Side::Buy, 5_600, 1_000));
        orders().cancelled(&order, Some(&response(status, body)))
    };
    let body =
        |id: &str, reduced: &str| format!(r#"{{"order_id":"{id}","reduced_by":"{reduced}"}}"#);
    assert_eq!(
        answer(200, &body(VENUE_ID, "4.00")),
        CancelAnswer::Cancelled(vec![order_fact(OrderState::Cancelled, 600)])
    );
    assert_eq!(answer(200, &body(VENUE_ID, "0.00")), CancelAnswer::Gone);
    assert_eq!(answer(404, ""), CancelAnswer::Gone);
    assert_eq!(
        answer(400, r#"{"code":"MARKET_INACTIVE"}"#),
        CancelAnswer::Gone
    );
    assert_eq!(
        answer(400, r#"{"error":{"code":"market_inactive"}}"#),
        CancelAnswer::Gone
    );
    for (status, body) in [
        (200, body("other", "4.00")),
        (200, body(VENUE_ID, "11.00")),
        (200, String::new()),
        (401, r#"{"code":"unauthorized"}"#.to_owned()),
        (500, String::new()),
    ] {
        assert!(
            matches!(answer(status, &body), CancelAnswer::Unknown { .. }),
            "{status} {body}"
        );
    }
    assert!(matches!(answer(429, ""), CancelAnswer::Busy { .. }));
}

#[test]
fn an_order_is_lost_only_where_the_last_page_does_not_have_it() {
    let unnamed = KnownOrder {
        order: order(CLIENT_ID, Side::Buy, 5_600, 1_000),
        venue_id: None,
    };
    let targets: Vec<String> = orders()
        .lookup(&unnamed, Nanos(0))
        .into_iter()
        .map(|request: Request| request.target)
        .collect();
    assert_eq!(
        targets,
        [
            "/trade-api/v2/portfolio/orders?ticker=HIGHNY-24JAN01-T60&min_ts=1787234100&limit=1000",
            "/trade-api/v2/portfolio/fills?ticker=HIGHNY-24JAN01-T60&min_ts=1787234100&limit=1000",
        ]
    );
    let look = |order: &KnownOrder<'_>, first: (u16, &str), second: (u16, &str)| {
        let mut facts = Vec::new();
        let answers = [response(first.0, first.1), response(second.0, second.1)];
        let found = orders().looked_up(order, &answers, &mut facts);
        assert!(found == Ok(true) || facts.is_empty());
        found
            .map_err(|error| error.to_string())
            .map(|found| (found, facts.len()))
    };
    let none = r#"{"fills":[],"cursor":""}"#;
    let empty = r#"{"orders":[],"cursor":""}"#;
    assert_eq!(look(&unnamed, (200, empty), (200, none)), Ok((false, 0)));
    let more = r#"{"orders":[],"cursor":"next"}"#;
    assert!(look(&unnamed, (200, more), (200, none)).is_err());
    assert!(look(&unnamed, (500, ""), (200, none)).is_err());
    assert!(look(&unnamed, (404, r#"{"code":"not_found"}"#), (200, none)).is_err());
    let entry = |client: &str, status: &str, filled: &str| {
        format!(
            r#"{{"order_id":"{VENUE_ID}","client_order_id":"{client}","ticker":"HIGHNY-24JAN01-T60","status":"{status}","fill_count_fp":"{filled}","initial_count_fp":"10.00"}}"#
        )
    };
    let list = |entry: String| format!(r#"{{"orders":[{entry}],"cursor":""}}"#);
    let other = list(entry("other", "resting", "0.00"));
    assert_eq!(look(&unnamed, (200, &other), (200, none)), Ok((false, 0)));
    let ours = list(entry(CLIENT_ID, "canceled", "0.00"));
    assert_eq!(look(&unnamed, (200, &ours), (200, none)), Ok((true, 1)));
    // The fills lag behind the order: asked again, not guessed.
    let filled = list(entry(CLIENT_ID, "executed", "10.00"));
    assert!(look(&unnamed, (200, &filled), (200, none)).is_err());
    // An order that the venue named can't be proved away.
    let named = known(order(CLIENT_ID, Side::Buy, 5_600, 1_000));
    assert!(look(&named, (404, r#"{"code":"not_found"}"#), (200, none)).is_err());
    let foreign = format!(r#"{{"order":{}}}"#, entry("other", "resting", "0.00"));
    assert!(look(&named, (200, &foreign), (200, none)).is_err());
}

#[test]
fn an_order_that_takes_at_once_expires_where_one_that_rests_is_cancelled() {
    let entry = format!(
        r#"{{"order":{{"order_id":"{VENUE_ID}","client_order_id":"{CLIENT_ID}","ticker":"HIGHNY-24JAN01-T60","status":"canceled","fill_count_fp":"0.00","initial_count_fp":"10.00"}}}}"#
    );
    for (time_in_force, state) in [
        (TimeInForce::GoodTillCancel, OrderState::Cancelled),
        (TimeInForce::ImmediateOrCancel, OrderState::Expired),
    ] {
        let order = known(NewOrder {
            time_in_force,
            ..order(CLIENT_ID, Side::Buy, 5_600, 1_000)
        });
        let mut facts = Vec::new();
        let answers = [response(200, &entry), response(200, r#"{"fills":[]}"#)];
        orders().looked_up(&order, &answers, &mut facts).unwrap();
        assert_eq!(facts, [order_fact(state, 0)]);
    }
}

#[test]
fn account_pages_follow_their_cursor_and_skip_foreign_markets() {
    let mut orders = orders();
    let request = orders.ask(&Query::OpenOrders, Some("a b"), Nanos(0));
    assert_eq!(
        request.target,
        "/trade-api/v2/portfolio/orders?status=resting&limit=1000&cursor=a%20b"
    );
    assert_eq!(request.headers.len(), 3);
    let since = Query::Fills {
        since: Nanos(5_999_999_999),
        of: Arc::default(),
    };
    assert!(
        orders
            .ask(&since, None, Nanos(0))
            .target
            .ends_with("?min_ts=5&limit=1000")
    );
    assert_eq!(
        orders.ask(&Query::Balances, None, Nanos(0)).target,
        "/trade-api/v2/portfolio/balance"
    );
    let page = r#"{"market_positions":[{"ticker":"HIGHNY-24JAN01-T60","position_fp":"-3.00"},{"ticker":"ELSEWHERE","position_fp":"1.00"}],"event_positions":[],"cursor":"more"}"#;
    let mut facts = Vec::new();
    let next = orders.answer(&Query::Holdings, &response(200, page), &mut facts);
    assert_eq!(next, Ok(Some("more".to_owned())));
    let holding = onetape_venues::gateway::Holding {
        instrument: InstrumentId(2),
        qty: Qty(-300),
    };
    assert_eq!(facts, [AccountFact::Holding(holding)]);
    // A page with an entry that does not read gives nothing of it.
    let broken = page.replace("1.00", "one");
    let broken = broken.replace("ELSEWHERE", "FED-23DEC-T3.00");
    facts.clear();
    assert!(
        orders
            .answer(&Query::Holdings, &response(200, &broken), &mut facts)
            .is_err()
    );
    assert!(facts.is_empty());
    assert!(
        orders
            .answer(&Query::Balances, &response(200, "{}"), &mut facts)
            .is_err()
    );
    let cents = response(200, r#"{"balance":101234}"#);
    orders.answer(&Query::Balances, &cents, &mut facts).unwrap();
    let AccountFact::Balance(balance) = &facts[0] else {
        panic!("no balance")
    };
    assert_eq!(balance.free.to_string(), "1012.34");
}

#[test]
fn a_request_shows_neither_key_nor_signature() {
    let request = orders().place(&order(CLIENT_ID, Side::Buy, 5_600, 1_000), Nanos(0));
    let shown = format!("{:?}", request.unwrap());
    assert_eq!(shown, "POST rest:/trade-api/v2/portfolio/events/orders");
    assert_eq!(format!("{:?}", signer()), "Signer");
}

proptest! {
    /// What is sent says exactly what was decided.
    #[test]
    fn prices_and_counts_go_out_to_the_last_digit(price in 1i64..10_000, qty in 1i64..100_000_000, buy: bool) {
        let side = if buy { Side::Buy } else { Side::Sell };
        let request = orders().place(&order(CLIENT_ID, side, price, qty), Nanos(0)).unwrap();
        let body: Value = serde_json::from_str(&request.body).unwrap();
        prop_assert_eq!(DECIMALS.parse_price(words(&body["price"])), Ok(Price(price)));
        prop_assert_eq!(DECIMALS.parse_qty(words(&body["count"])), Ok(Qty(qty)));
        prop_assert_eq!(words(&body["price"]).len(), 6);
    }

    /// Bytes and damaged samples make no reader panic.
    #[test]
    fn damaged_answers_are_refused_or_read(
        bytes: Vec<u8>, status in 100u16..600, at in 0usize..4_000, with: u8, cut: bool, which in 0usize..28,
    ) {
        let mut names: Vec<PathBuf> = folder()
            .map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        names.sort();
        let mut sample = names.get(which).map_or(bytes.clone(), |path| std::fs::read(path).unwrap());
        if !sample.is_empty() {
            let at = at % sample.len();
            if cut { sample.truncate(at) } else { sample[at] = with }
        }
        for body in [&bytes, &sample] {
            let answer = Response { status, headers: &[], body };
            let _ = decode(body);
            let mut orders = orders();
            let order = known(order(CLIENT_ID, Side::Buy, 5_600, 1_000));
            let _ = orders.placed(&order.order, Some(&answer));
            let _ = orders.cancelled(&order, Some(&answer));
            let ok = Response { status: 200, ..answer };
            let mut facts = Vec::new();
            let _ = orders.looked_up(&order, &[ok, ok], &mut facts);
            for query in [Query::OpenOrders, Query::Fills { since: Nanos(0), of: Arc::default() }, Query::Holdings, Query::Balances] {
                let _ = orders.answer(&query, &ok, &mut facts);
            }
            let mut listings = KalshiListings::new(Membership::Normal, Shards::default());
            let _ = listings.read("KXHIGHNY-26NOV21-T55", InstrumentId(4), &[ok, ok, ok], Nanos(0));
            let _ = WeatherIndex::new("miami", "MIA").read(&ok);
        }
    }
}
