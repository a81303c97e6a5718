//! Every file of the venue's folder of payloads and vectors: what it holds must decode to what it says, to the last digit.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do
use onetape_engine::event::{
    Aggressor, InstrumentDefined, InstrumentType, Liquidity, TradingStatus,
};
use onetape_engine::fees::FeeFormula;
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_venues::binance::{
    ApiError, Commission, FeedConfig, MarketFeed, Markets, Message, Orders, OrdersConfig, Pairs,
    Product, Signer, UserConfig, UserEvent, UserFeed, Value as Param, decode,
};
use onetape_venues::gateway::{
    AccountFact, Balance, CancelAnswer, Feed, FillFact, Instruments, KnownOrder, Listed, Listings,
    NewOrder, OrderFact, OrderKey, OrderWire, Outbox, PlaceAnswer, Query, Response,
};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::Value;
use std::path::PathBuf;
use std::str::FromStr;

fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/venues/binance");
    if !folder.exists() {
        println!("skipped: no {}", folder.display());
        return None;
    }
    Some(folder)
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
    assert!(seen >= 23, "{seen} files");
}

fn check(name: &str, text: &str, json: &Value) {
    match name {
        "vec_hmac.json" => hmac(json),
        "vec_ed25519.json" => ed25519(json),
        "vec_commission.json" => commission(json),
        // Its own test, against a model book: binance_depth_sync.rs.
        "vec_depth_sync.json" => assert_eq!(json["events"].as_array().unwrap().len(), 6),
        "ws_depth_update.json" => depth_update(text),
        "ws_book_ticker.json" | "ws_combined_book_ticker.json" => book_ticker(text),
        "ws_trade.json" => trade(text),
        "ws_subscribe.json" => subscribe(json),
        "wsapi_user_stream_subscribe.json" => user_subscribe(json),
        "wsapi_error_insufficient.json" => user_refused(text),
        "user_execution_report_new.json" => execution_new(text),
        "user_execution_report_partial.json" => execution_partial(text),
        "user_account_position.json" => position(text),
        "rest_order_full.json" => order_full(text),
        "rest_order_ack.json" => order_ack(text),
        "rest_cancel_order.json" => cancel(text),
        "rest_query_order.json" => query_order(text),
        "rest_account.json" => account(text),
        "rest_depth.json" => depth(text),
        "rest_exchange_info.json" => exchange_info(text),
        "rest_commission.json" => rest_commission(text),
        "rest_errors.json" => errors(json),
        other => panic!("no test knows {other}"),
    }
}

fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json[field].as_str().unwrap()
}

fn dec(text: &str) -> Decimal {
    Decimal::from_str(text).unwrap()
}

fn ok(body: &str) -> Response<'_> {
    Response {
        status: 200,
        headers: &[],
        body: body.as_bytes(),
    }
}

fn pairs() -> Pairs {
    let define = |(place, base, quote, price, qty): (u32, &str, &str, u8, u8)| InstrumentDefined {
        instrument: InstrumentId(place),
        venue: "binance".into(),
        symbol: format!("{base}{quote}"),
        instrument_type: InstrumentType::Spot,
        base: base.into(),
        quote: quote.into(),
        decimals: Decimals::new(price, qty).unwrap(),
    };
    Pairs::new(&[
        define((0, "ETH", "BTC", 8, 8)),
        define((1, "BTC", "USDT", 2, 5)),
        define((2, "LTC", "BTC", 6, 8)),
    ])
}

fn signer() -> Signer {
    Signer::hmac("key".into(), &"secret".into())
}

fn orders() -> Orders {
    Orders::new(OrdersConfig::default(), signer(), pairs())
}

fn order(instrument: u32, client_id: &str) -> NewOrder<'_> {
    NewOrder {
        order: OrderId(1),
        client_id,
        instrument: InstrumentId(instrument),
        side: Side::Buy,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(1),
        worst_price: Price(1),
        qty: Qty(1),
        decided_at: Nanos(0),
    }
}

fn hmac(json: &Value) {
    let signer = Signer::hmac(text(json, "apiKey").into(), &text(json, "secretKey").into());
    for case in json["rest"].as_array().unwrap() {
        assert_eq!(signer.sign(text(case, "payload")), text(case, "signature"));
    }
    let calls = json["ws_api"].as_array().unwrap();
    assert_eq!(calls.len(), 5);
    for case in calls {
        assert_eq!(signer.sign(text(case, "payload")), text(case, "signature"));
        // Given in another order and without the key, which the signer adds.
        let params: Vec<(&str, Param<'_>)> = case["params_without_signature"]
            .as_object()
            .unwrap()
            .iter()
            .rev()
            .filter(|(name, _)| *name != "apiKey")
            .map(|(name, value)| {
                let value = match value.as_u64() {
                    Some(number) => Param::Integer(number),
                    None => Param::Text(value.as_str().unwrap()),
                };
                (name.as_str(), value)
            })
            .collect();
        let mut wanted = case["params_without_signature"].clone();
        wanted["signature"] = case["signature"].clone();
        let written: Value = serde_json::from_str(&signer.signed_params(&params)).unwrap();
        assert_eq!(written, wanted);
    }
}

fn ed25519(json: &Value) {
    let pem = text(json, "private_key_pkcs8_pem");
    let signer = Signer::ed25519("key".into(), &pem.into()).unwrap();
    assert!(signer.can_log_on());
    let official = &json["official_fix_logon"];
    assert_eq!(
        signer.sign(text(official, "payload_soh_joined")),
        text(official, "signature_b64")
    );
    for case in json["computed"].as_array().unwrap() {
        assert_eq!(
            signer.sign(text(case, "payload")),
            text(case, "signature_b64")
        );
    }
}

/// SELL MARKET 0.49975 BTC at 35000, a BNB at 260 USDT, with the rates of rest_commission.json.
fn commission(json: &Value) {
    let input = text(json, "input");
    for figure in ["SELL", "0.49975", "35000", "260"] {
        assert!(input.contains(figure), "{input}");
    }
    let rates = folder().unwrap().join("rest_commission.json");
    let commission = Commission::read(&std::fs::read(rates).unwrap()).unwrap();
    let notional = dec("0.49975") * dec("35000");
    let of = |rate: Decimal| (rate * notional).normalize();
    let (side, role) = (Side::Sell, Liquidity::Taker);
    assert_eq!(
        of(commission.standard.of(side, role)),
        dec(text(json, "standard_usdt"))
    );
    assert_eq!(
        of(commission.special.of(side, role)),
        dec(text(json, "special_usdt"))
    );
    let tax = of(commission.tax.of(side, role));
    assert!(text(json, "tax_usdt").contains(&format!("exact {tax}")));
    assert_eq!(
        of(commission.rate(side, role)),
        dec("0.01049475") + dec("0.040229875") + dec("1049.475")
    );
    let in_bnb = |usdt: Decimal| (usdt / dec("260")).round_dp(9).normalize().to_string();
    assert_eq!(
        in_bnb(commission.standard.of(side, role) * commission.discount * notional),
        text(json, "bnb_standard_after_discount")
    );
    assert_eq!(
        in_bnb(commission.discounted_rate(side, role) * notional),
        text(json, "bnb_total")
    );
}

fn depth_update(text: &str) {
    let Message::Depth(update) = decode(text).unwrap() else {
        panic!("not a depth update")
    };
    let mut levels = Vec::new();
    let decimals = Decimals::new(4, 0).unwrap();
    let diff = update.diff(Product::Spot, decimals, &mut levels).unwrap();
    assert_eq!(
        (
            update.symbol,
            diff.first_id,
            diff.last_id,
            diff.venue_time_ns
        ),
        ("BNBBTC", 157, 160, 1_672_515_782_136_000_000)
    );
    assert_eq!((diff.bids[0].price, diff.bids[0].qty), (Price(24), Qty(10)));
    assert_eq!(
        (diff.asks[0].price, diff.asks[0].qty),
        (Price(26), Qty(100))
    );
}

fn book_ticker(text: &str) {
    let Message::Ticker(ticker) = decode(text).unwrap() else {
        panic!("not a ticker")
    };
    let quote = ticker
        .quote(InstrumentId(4), Decimals::new(4, 2).unwrap())
        .unwrap();
    assert_eq!((ticker.symbol, quote.update_id), ("BNBUSDT", 400_900_217));
    assert_eq!(
        (quote.bid_price, quote.bid_qty),
        (Price(253_519), Qty(3_121))
    );
    assert_eq!(
        (quote.ask_price, quote.ask_qty),
        (Price(253_652), Qty(4_066))
    );
    assert_eq!(quote.venue_time_ns, 0);
}

fn trade(text: &str) {
    let Message::Trade(trade) = decode(text).unwrap() else {
        panic!("not a trade")
    };
    let trade = trade
        .trade(InstrumentId(4), Decimals::new(3, 0).unwrap())
        .unwrap();
    assert_eq!(
        (trade.trade_id, trade.price, trade.qty, trade.aggressor()),
        (12345, Price(1), Qty(100), Aggressor::Seller)
    );
}

fn subscribe(json: &Value) {
    let listed = Listed {
        instrument: InstrumentId(0),
        symbol: "BTCUSDT".into(),
        decimals: Decimals::new(2, 5).unwrap(),
    };
    let config = FeedConfig::new(Product::Spot);
    let mut feed = MarketFeed::new(config, &Instruments::new([listed])).unwrap();
    let mut out = Outbox::default();
    feed.opened(Nanos(0), &mut out);
    let sent: Value = serde_json::from_str(&out.messages()[0]).unwrap();
    let sorted = |params: &Value| {
        let mut params: Vec<String> = serde_json::from_value(params.clone()).unwrap();
        params.sort();
        params
    };
    assert_eq!(sorted(&sent["params"]), sorted(&json[0]["params"]));
    assert_eq!(
        (&sent["method"], &sent["id"]),
        (&json[0]["method"], &json[0]["id"])
    );
    out.clear();
    let ack = json[1].to_string();
    assert_eq!(feed.message(ack.as_bytes(), Nanos(1), &mut out), Ok(()));
    assert_eq!((out.events().count(), out.wants_reconnect()), (0, None));
}

fn user_feed() -> UserFeed {
    UserFeed::new(UserConfig::default(), signer(), pairs())
}

fn user_subscribe(json: &Value) {
    let mut feed = user_feed();
    let mut out = Outbox::default();
    feed.opened(Nanos(0), &mut out);
    assert_eq!(
        out.messages(),
        [r#"{"id":"time","method":"time","params":{}}"#]
    );
    out.clear();
    let time = r#"{"id":"time","status":200,"result":{"serverTime":1747385641636}}"#;
    feed.message(time.as_bytes(), Nanos(1), &mut out).unwrap();
    let sent: Value = serde_json::from_str(&out.messages()[0]).unwrap();
    assert_eq!(sent["method"], json[0]["method"]);
    assert_eq!(sent["params"]["timestamp"], json[0]["params"]["timestamp"]);
    for name in json[0]["params"].as_object().unwrap().keys() {
        assert!(sent["params"].get(name).is_some(), "{name}");
    }
    out.clear();
    let mut answer = json[1].clone();
    answer["id"] = sent["id"].clone();
    feed.message(answer.to_string().as_bytes(), Nanos(2), &mut out)
        .unwrap();
    assert_eq!(out.account_facts(), [AccountFact::Resync]);
}

fn user_refused(text: &str) {
    let mut feed = user_feed();
    let mut out = Outbox::default();
    feed.opened(Nanos(0), &mut out);
    out.clear();
    let refused = text.replace("e2a85d9f-07a5-4f94-8d5f-789dc3deb097", "time");
    let error = feed
        .message(refused.as_bytes(), Nanos(1), &mut out)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "binance refused: -2010: Account has insufficient balance for requested action."
    );
    assert!(out.wants_reconnect().is_some());
}

/// What a user message leads to on a connection.
fn user_facts(text: &str) -> Vec<AccountFact> {
    let mut out = Outbox::default();
    user_feed()
        .message(text.as_bytes(), Nanos(1), &mut out)
        .unwrap();
    out.account_facts().to_vec()
}

fn execution_key() -> OrderKey {
    OrderKey {
        client_id: Some("mUvoqJxFIILMdfAW5iGSOW".into()),
        venue_id: Some("4293153".into()),
    }
}

fn execution_new(text: &str) {
    let expected = AccountFact::Order(OrderFact {
        key: execution_key(),
        instrument: InstrumentId(0),
        state: OrderState::Acked,
        filled: Some(Qty(0)),
        why: String::new(),
    });
    assert_eq!(user_facts(text), [expected]);
    // A cancel names the order in C; c is the cancel's own id.
    let cancelled = text
        .replace("\"c\": \"mUvoqJxFIILMdfAW5iGSOW\"", "\"c\": \"the-cancel\"")
        .replace("\"C\": \"\"", "\"C\": \"mUvoqJxFIILMdfAW5iGSOW\"")
        .replace("\"NEW\"", "\"CANCELED\"");
    let expected = AccountFact::Order(OrderFact {
        key: execution_key(),
        instrument: InstrumentId(0),
        state: OrderState::Cancelled,
        filled: Some(Qty(0)),
        why: String::new(),
    });
    assert_eq!(user_facts(&cancelled), [expected]);
    // The rest of an IOC order.
    let expired = text
        .replace("\"NEW\"", "\"EXPIRED\"")
        .replace("\"e\":", "\"eR\": 4, \"e\":");
    assert!(matches!(
        &user_facts(&expired)[..],
        [AccountFact::Order(fact)] if fact.state == OrderState::Expired && fact.why == "4"
    ));
}

fn execution_partial(text: &str) {
    let fill = AccountFact::Fill(FillFact {
        key: execution_key(),
        instrument: InstrumentId(0),
        fill_id: "77123".into(),
        side: Side::Buy,
        price: Price(10_264_400),
        qty: Qty(40_000_000),
        // 0.0004 ETH at 0.102644 BTC.
        fee: Some(dec("0.0000410576")),
        liquidity: Liquidity::Taker,
        at: Nanos(1_499_405_658_999_000_000),
        is_final: true,
    });
    let state = AccountFact::Order(OrderFact {
        key: execution_key(),
        instrument: InstrumentId(0),
        state: OrderState::PartiallyFilled,
        filled: Some(Qty(40_000_000)),
        why: String::new(),
    });
    assert_eq!(user_facts(text), [fill, state]);
}

fn position(text: &str) {
    let balance = AccountFact::Balance(Balance {
        currency: "ETH".into(),
        free: dec("10000"),
        locked: dec("0"),
    });
    assert_eq!(user_facts(text), [balance]);
}

fn order_full(text: &str) {
    let order = order(1, "6gCrw2kRUAF9CvJDGP16IP");
    let PlaceAnswer::Accepted { venue_id, facts } = orders().placed(&order, Some(&ok(text))) else {
        panic!("not accepted")
    };
    assert_eq!(venue_id, "28");
    let [
        AccountFact::Fill(first),
        AccountFact::Fill(second),
        AccountFact::Order(state),
    ] = &facts[..]
    else {
        panic!("{facts:?}")
    };
    assert_eq!(
        (
            first.fill_id.as_str(),
            first.price,
            first.qty,
            first.side,
            first.fee
        ),
        (
            "56",
            Price(400_000),
            Qty(100_000),
            Side::Sell,
            Some(dec("4"))
        )
    );
    assert_eq!(
        (
            second.fill_id.as_str(),
            second.price,
            second.qty,
            second.fee
        ),
        ("57", Price(399_900), Qty(500_000), Some(dec("19.995")))
    );
    assert_eq!(second.at, Nanos(1_507_725_176_595_000_000));
    assert_eq!(
        (state.state, state.filled),
        (OrderState::Filled, Some(Qty(1_000_000)))
    );
}

fn order_ack(text: &str) {
    let order = order(1, "6gCrw2kRUAF9CvJDGP16IP");
    assert_eq!(
        orders().placed(&order, Some(&ok(text))),
        PlaceAnswer::Accepted {
            venue_id: "28".into(),
            facts: vec![]
        }
    );
}

fn known(order: NewOrder<'_>) -> KnownOrder<'_> {
    KnownOrder {
        order,
        venue_id: None,
    }
}

fn cancel(text: &str) {
    let fact = OrderFact {
        key: OrderKey {
            client_id: Some("myOrder1".into()),
            venue_id: Some("4".into()),
        },
        instrument: InstrumentId(2),
        state: OrderState::Cancelled,
        filled: Some(Qty(0)),
        why: String::new(),
    };
    assert_eq!(
        orders().cancelled(&known(order(2, "myOrder1")), Some(&ok(text))),
        CancelAnswer::Cancelled(vec![AccountFact::Order(fact)])
    );
}

fn query_order(text: &str) {
    let mut facts = Vec::new();
    let known = known(order(2, "myOrder1"));
    let found = orders().looked_up(&known, &[ok(text), ok("[]")], &mut facts);
    assert_eq!(found, Ok(true));
    let fact = OrderFact {
        key: OrderKey {
            client_id: Some("myOrder1".into()),
            venue_id: Some("1".into()),
        },
        instrument: InstrumentId(2),
        state: OrderState::Acked,
        filled: Some(Qty(0)),
        why: String::new(),
    };
    assert_eq!(facts, [AccountFact::Order(fact.clone())]);
    facts.clear();
    let open = format!("[{text}]");
    assert_eq!(
        orders().answer(&Query::OpenOrders, &ok(&open), &mut facts),
        Ok(None)
    );
    assert_eq!(facts, [AccountFact::Order(fact)]);
}

fn account(text: &str) {
    let mut facts = Vec::new();
    assert_eq!(
        orders().answer(&Query::Balances, &ok(text), &mut facts),
        Ok(None)
    );
    let balance = |currency: &str, free: &str| {
        AccountFact::Balance(Balance {
            currency: currency.into(),
            free: dec(free),
            locked: Decimal::ZERO,
        })
    };
    assert_eq!(
        facts,
        [
            balance("BTC", "4723846.89208129"),
            balance("LTC", "4763368.68006011")
        ]
    );
}

fn depth(text: &str) {
    let Message::Snapshot(snapshot) = decode(text).unwrap() else {
        panic!("not a snapshot")
    };
    let mut levels = Vec::new();
    let decimals = Decimals::new(6, 0).unwrap();
    let (bids, asks) = snapshot.sides(decimals, &mut levels).unwrap();
    assert_eq!(snapshot.last_id, 1_027_024);
    assert_eq!((bids[0].price, bids[0].qty), (Price(4_000_000), Qty(431)));
    assert_eq!((asks[0].price, asks[0].qty), (Price(4_000_002), Qty(12)));
}

fn exchange_info(text: &str) {
    let mut markets = Markets::new(None, 5000);
    let requests = markets.requests("ETHBTC", Nanos(0));
    assert_eq!(requests[0].target, "/api/v3/exchangeInfo?symbol=ETHBTC");
    let now = Nanos(5);
    let listing = markets
        .read("ETHBTC", InstrumentId(3), &[ok(text)], now)
        .unwrap();
    assert_eq!(listing.definition.decimals, Decimals { price: 6, qty: 3 });
    assert_eq!(
        (
            listing.definition.base.as_str(),
            listing.definition.quote.as_str()
        ),
        ("ETH", "BTC")
    );
    let rules = &listing.rules;
    assert_eq!(
        (rules.tick_size, rules.lot_size, rules.min_qty),
        (Price(1), Qty(1), Qty(1))
    );
    assert_eq!(
        (rules.min_price, rules.max_price),
        (Price(1), Price(100_000_000_000))
    );
    assert_eq!(rules.min_notional, Money::from_decimal(dec("10")).unwrap());
    assert_eq!((rules.effective_from, rules.allows_short), (now, false));
    assert_eq!(listing.status.status, TradingStatus::Open);
    assert_eq!(listing.fees, None);
    let halted = text.replace("\"TRADING\"", "\"BREAK\"");
    let listing = markets
        .read("ETHBTC", InstrumentId(3), &[ok(&halted)], now)
        .unwrap();
    assert_eq!(listing.status.status, TradingStatus::Halted);
    let other = markets.read("XRPBTC", InstrumentId(3), &[ok(text)], now);
    let other = other.unwrap_err();
    assert!(other.to_string().contains("XRPBTC") && !markets.is_gone(&other));
    let gone = Response {
        status: 400,
        ..ok(r#"{"code":-1121,"msg":"Invalid symbol."}"#)
    };
    let gone = markets.read("XRPBTC", InstrumentId(3), &[gone], now);
    assert!(markets.is_gone(&gone.unwrap_err()));
}

fn rest_commission(text: &str) {
    let info = folder().unwrap().join("rest_exchange_info.json");
    let info = std::fs::read_to_string(info).unwrap();
    let mut markets = Markets::new(Some(signer()), 5000);
    let requests = markets.requests("ETHBTC", Nanos(1_000 * SECOND_NS));
    assert!(requests[1].target.starts_with(
        "/api/v3/account/commission?symbol=ETHBTC&recvWindow=5000&timestamp=1000000&signature="
    ));
    let fees = markets
        .read("ETHBTC", InstrumentId(3), &[ok(&info), ok(text)], Nanos(5))
        .unwrap()
        .fees
        .unwrap();
    // Selling is dearer: 0.00000050 + 0.05 + 0.00000228 as a maker, 0.00000060 + 0.06 + 0.00000230 as a taker.
    assert_eq!(fees.maker, FeeFormula::notional(dec("0.05000278")));
    assert_eq!(fees.taker, FeeFormula::notional(dec("0.0600029")));
    assert_eq!(fees.source, "venue");
}

fn errors(json: &Value) {
    let order = order(1, "ours");
    for case in json.as_array().unwrap() {
        let body = case["body"].to_string();
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
        let error = ApiError::read(body.as_bytes()).unwrap();
        let placed = orders().placed(&order, Some(&response));
        let rejected = PlaceAnswer::Rejected {
            why: error.to_string(),
        };
        match (error.code, error.msg.as_str()) {
            (-1121 | -1021 | -1013 | -2011, _) => assert_eq!(placed, rejected),
            (-2010, "Duplicate order sent.") => assert_eq!(placed, PlaceAnswer::Duplicate),
            (-2010, _) => assert_eq!(placed, rejected),
            (-1007, _) => assert!(matches!(placed, PlaceAnswer::Unknown { .. })),
            (-1003, _) => assert!(matches!(
                placed,
                PlaceAnswer::Busy {
                    retry_after_ms: 12_000,
                    ..
                }
            )),
            other => panic!("no test knows {other:?}"),
        }
        if error.code == -2011 {
            let known = known(order.clone());
            assert_eq!(
                orders().cancelled(&known, Some(&response)),
                CancelAnswer::Gone
            );
        }
    }
}

#[test]
fn an_ed25519_key_logs_on_first() {
    // RFC 8410, section 10.3.
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----";
    let signer = Signer::ed25519("key".into(), &pem.into()).unwrap();
    let mut feed = UserFeed::new(UserConfig::default(), signer, pairs());
    let mut out = Outbox::default();
    let mut step = |feed: &mut UserFeed, message: &str| {
        feed.message(message.as_bytes(), Nanos(1), &mut out)
            .unwrap();
        let sent: Vec<Value> = out
            .messages()
            .iter()
            .map(|message| serde_json::from_str(message).unwrap())
            .collect();
        out.clear();
        sent
    };
    let mut first = Outbox::default();
    feed.opened(Nanos(0), &mut first);
    let sent = step(
        &mut feed,
        r#"{"id":"time","status":200,"result":{"serverTime":7}}"#,
    );
    assert_eq!(sent[0]["method"], "session.logon");
    assert_eq!(sent[0]["params"]["timestamp"], 7);
    let sent = step(
        &mut feed,
        r#"{"id":"logon","status":200,"result":{"apiKey":"key"}}"#,
    );
    assert_eq!(
        sent[0].to_string(),
        r#"{"id":"subscribe","method":"userDataStream.subscribe","params":{}}"#
    );
}

#[test]
fn the_user_stream_is_left_when_it_is_not_there_any_more() {
    let live = || {
        let mut feed = user_feed();
        let mut out = Outbox::default();
        feed.opened(Nanos(0), &mut out);
        for answer in [
            r#"{"id":"time","status":200,"result":{"serverTime":7}}"#,
            r#"{"id":"subscribe","status":200,"result":{"subscriptionId":3}}"#,
        ] {
            feed.message(answer.as_bytes(), Nanos(1), &mut out).unwrap();
        }
        out.clear();
        (feed, out)
    };
    let (mut feed, mut out) = live();
    feed.tick(Nanos(59 * SECOND_NS), &mut out);
    assert!(out.messages().is_empty());
    feed.tick(Nanos(61 * SECOND_NS), &mut out);
    assert!(out.messages()[0].contains("session.subscriptions"));
    let now = Nanos(62 * SECOND_NS);
    let listed = r#"{"id":"check","status":200,"result":[{"subscriptionId":3}]}"#;
    feed.message(listed.as_bytes(), now, &mut out).unwrap();
    assert_eq!(out.wants_reconnect(), None);
    feed.tick(Nanos(130 * SECOND_NS), &mut out);
    let gone = r#"{"id":"check","status":200,"result":[]}"#;
    feed.message(gone.as_bytes(), now, &mut out).unwrap();
    assert!(out.wants_reconnect().unwrap().contains("subscription"));

    let (mut feed, mut out) = live();
    feed.tick(Nanos(61 * SECOND_NS), &mut out);
    feed.tick(Nanos(72 * SECOND_NS), &mut out);
    assert_eq!(out.wants_reconnect(), Some("no answer to check"));

    for (event, why) in [
        (r#"{"e":"eventStreamTerminated","E":1}"#, "terminated"),
        (r#"{"e":"serverShutdown","E":1}"#, "shutdown"),
    ] {
        let (mut feed, mut out) = live();
        let message = format!(r#"{{"subscriptionId":3,"event":{event}}}"#);
        feed.message(message.as_bytes(), now, &mut out).unwrap();
        assert!(out.wants_reconnect().unwrap().contains(why));
    }

    // What changes a balance without saying what it is now, and what can't be read, has to be asked for.
    let (mut feed, mut out) = live();
    let deposit =
        r#"{"subscriptionId":3,"event":{"e":"balanceUpdate","E":1,"a":"BTC","d":"1","T":1}}"#;
    feed.message(deposit.as_bytes(), now, &mut out).unwrap();
    assert_eq!(out.account_facts(), [AccountFact::Resync]);
    out.clear();
    let broken = r#"{"subscriptionId":3,"event":{"e":"executionReport"}}"#;
    assert!(feed.message(broken.as_bytes(), now, &mut out).is_err());
    assert_eq!(out.account_facts(), [AccountFact::Resync]);
    // An instrument that is not on the tape is not ours.
    assert!(matches!(
        UserEvent::read(r#"{"e":"listStatus"}"#),
        Ok(UserEvent::OrderList)
    ));
}

const EXECUTION: &str = r#"{"subscriptionId":0,"event":{"e":"executionReport","s":"ETHBTC","c":"a","C":"","S":"BUY","x":"TRADE","X":"FILLED","r":"NONE","i":1,"l":"1","z":"1","L":"0.1","n":"0","N":null,"T":1,"t":7,"m":false}}"#;

proptest! {
    #[test]
    fn no_bytes_make_the_user_stream_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, byte: u8, cut in 0usize..300,
    ) {
        let mut feed = user_feed();
        let mut out = Outbox::default();
        feed.opened(Nanos(0), &mut out);
        let _ = feed.message(&bytes, Nanos(1), &mut out);
        let mut mutated = EXECUTION.as_bytes().to_vec();
        let place = at.index(mutated.len());
        mutated[place] = byte;
        mutated.truncate(cut);
        let _ = feed.message(&mutated, Nanos(1), &mut out);
        prop_assert!(feed.message(EXECUTION.as_bytes(), Nanos(1), &mut out).is_ok());
        let _ = Commission::read(&bytes);
        let answer = Response { status: 200, headers: &[], body: &bytes };
        let _ = Markets::new(None, 5000).read("ETHBTC", InstrumentId(0), &[answer], Nanos(0));
    }
}
