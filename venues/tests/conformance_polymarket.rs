//! Every file of the venue's collected payloads and vectors, for Polymarket and for Polygon's JSON-RPC.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests fail as tests do
use onetape_engine::event::{Event, FeeSchedule, Liquidity, TradingRules};
use onetape_engine::fees::FeeFormula;
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::number::{Decimals, Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_venues::gateway::{
    AccountFact, CancelAnswer, Feed, Instruments, KnownOrder, Listed, Listings, NewOrder,
    OrderWire, Outbox, PlaceAnswer, Query, Response,
};
use onetape_venues::polygon::{self, Address, Call, Hash, Word, hex, unhex};
use onetape_venues::polymarket::auth::{Credentials, level1, level2_signature};
use onetape_venues::polymarket::eip712::{Domain, Order, Signer, digest, hash_struct, recover};
use onetape_venues::polymarket::*;
use rust_decimal::Decimal;
use secrecy::SecretString;
use serde_json::Value;
use std::path::PathBuf;

const DECIMALS: Decimals = Decimals { price: 4, qty: 6 };

fn folder(venue: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/venues");
    if !path.is_dir() {
        println!("skipped: the collected payloads are not here");
        return None;
    }
    Some(path.join(venue))
}

fn read(venue: &str, check: impl Fn(&str, &str, &Value)) -> usize {
    let Some(folder) = folder(venue) else {
        return 0;
    };
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let value = serde_json::from_str(&text).unwrap();
        println!("{venue}/{name}");
        check(&name, &text, &value);
        count += 1;
    }
    count
}

#[test]
fn every_polymarket_file_gives_what_it_must() {
    let count = read("polymarket", polymarket_file);
    assert!(count == 0 || count >= 30, "{count} files");
}

#[test]
fn every_polygon_file_gives_what_it_must() {
    let count = read("polygon", polygon_file);
    assert!(count == 0 || count >= 4, "{count} files");
}

fn polymarket_file(name: &str, text: &str, value: &Value) {
    match name {
        "vec_eip712_orders.json" => eip712_orders(value),
        "vec_auth.json" => auth(value),
        "vec_create2_safe.json" => create2_safe(value),
        "vec_amounts.json" => amount_cases(value),
        "vec_book_hash.json" => book_hashes(value),
        "vec_book_replay.json" => book_replay(value),
        "vec_fees.json" => fees(value),
        "ws_book.json" => ws_book(text),
        "ws_price_change.json" => ws_price_change(text),
        "ws_last_trade_price.json" => ws_last_trade(text),
        "ws_tick_size_change.json" => ws_tick_size_change(text),
        "ws_best_bid_ask.json" => ws_best_bid_ask(text),
        "ws_market_resolved.json" => ws_market_resolved(text),
        "ws_user_order.json" => ws_user_order(text),
        "ws_user_trade.json" => ws_user_trade(text),
        "ws_subscribe_market.json" => ws_subscribe_market(value),
        "ws_subscribe_user.json" => ws_subscribe_user(value),
        // The feeds subscribe once for all their tokens and make a new connection for others.
        "ws_subscribe_dynamic.json" => assert_eq!(value.as_array().unwrap().len(), 2),
        "rtds_subscribe_trades.json" => rtds_subscribe(value),
        "rest_book.json" => rest_book_answer(text),
        "rest_clob_market.json" => clob_market(text),
        "gamma_market.json" => gamma_market(text),
        "rest_post_order_request.json" => post_order_request(value),
        "rest_post_order_responses.json" => post_order_responses(value),
        "rest_errors.json" => errors(value),
        "rest_cancel_response.json" => cancels(value),
        "rest_data_orders.json" => data_orders(text),
        "rest_balance_allowance.json" => balance(text),
        "data_trades.json" => data_trades(text),
        "data_positions.json" => data_positions(text),
        other => panic!("{other} is not known here"),
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} of {value}"))
}

fn hash(text: &str) -> Hash {
    unhex(text).unwrap().try_into().unwrap()
}

fn address(value: &Value, field: &str) -> Address {
    Address::parse(text(value, field)).unwrap()
}

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn ok(body: &str) -> Response<'_> {
    answer(200, body)
}

fn answer(status: u16, body: &str) -> Response<'_> {
    Response {
        status,
        headers: &[],
        body: body.as_bytes(),
    }
}

fn listed(symbol: &str, id: u32) -> Listed {
    Listed {
        instrument: InstrumentId(id),
        symbol: symbol.to_owned(),
        decimals: DECIMALS,
    }
}

fn instruments(symbols: &[&str]) -> Instruments {
    let all = symbols.iter().enumerate();
    Instruments::new(all.map(|(id, symbol)| listed(symbol, id as u32)))
}

fn rules(id: u32, tick: i64) -> TradingRules {
    TradingRules {
        instrument: InstrumentId(id),
        effective_from: Nanos(0),
        tick_size: Price(tick),
        lot_size: Qty(10_000),
        min_qty: Qty(5_000_000),
        min_notional: onetape_engine::number::Money::ZERO,
        min_price: Price(tick),
        max_price: Price(10_000 - tick),
        bands: Vec::new(),
        allows_short: false,
    }
}

fn market_feed(symbols: &[&str]) -> MarketFeed {
    let rules: Vec<TradingRules> = (0..symbols.len()).map(|id| rules(id as u32, 100)).collect();
    let all = instruments(symbols);
    MarketFeed::new(MarketFeedConfig::default(), &all, &rules, Tokens::default()).unwrap()
}

/// A feed of the tokens named, after a message; what it put onto the tape.
fn fed(symbols: &[&str], messages: &[&str]) -> (MarketFeed, Vec<String>) {
    let mut feed = market_feed(symbols);
    let mut out = Outbox::default();
    feed.opened(Nanos(SECOND_NS), &mut out);
    out.clear();
    for message in messages {
        feed.message(message.as_bytes(), Nanos(2 * SECOND_NS), &mut out)
            .unwrap();
    }
    (feed, events(&out))
}

fn events(out: &Outbox) -> Vec<String> {
    let show = |(kind, payload): (onetape_engine::event::Kind, &[u8])| {
        // Hot events are read in place: the payload has to lie as the tape has it.
        let mut aligned = vec![0u64; payload.len().div_ceil(8)];
        for (word, bytes) in aligned.iter_mut().zip(payload.chunks(8)) {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(eight);
        }
        let bytes: Vec<u8> = aligned.iter().flat_map(|word| word.to_le_bytes()).collect();
        match Event::decode(kind.number(), &bytes[..payload.len()]).unwrap() {
            Event::BookSnapshot(book) => {
                format!("book {:?} {:?}", pairs(book.bids), pairs(book.asks))
            }
            Event::BookDelta(book) => {
                format!("delta {:?} {:?}", pairs(book.bids), pairs(book.asks))
            }
            Event::Trade(trade) => format!(
                "trade {} {} {:?} {}",
                trade.price.0,
                trade.qty.0,
                trade.aggressor(),
                trade.venue_time_ns
            ),
            Event::FeedState(state) => format!("{:?}", state.condition),
            Event::TradingRules(rules) => format!("tick {}", rules.tick_size.0),
            Event::Resolution(r) => format!("{} pays {}", r.instrument.0, r.settlement_price.0),
            other => format!("{other:?}"),
        }
    };
    out.events().map(show).collect()
}

fn pairs(levels: &[onetape_engine::event::Level]) -> Vec<(i64, i64)> {
    levels
        .iter()
        .map(|level| (level.price.0, level.qty.0))
        .collect()
}

// ---- signatures

fn test_signer(value: &Value) -> Signer {
    Signer::new(&SecretString::from(text(value, "private_key"))).unwrap()
}

fn eip712_orders(value: &Value) {
    let signer = test_signer(value);
    assert_eq!(signer.address().to_string(), text(value, "address"));
    assert_eq!(eip712::ORDER_TYPE, text(value, "order_type_v2_v3"));
    let type_hash = polygon::keccak(&[eip712::ORDER_TYPE.as_bytes()]);
    assert_eq!(hex(&type_hash), text(value, "order_type_hash_v2_v3"));
    let mut count = 0;
    for (name, case) in value["cases"].as_object().unwrap() {
        println!("  {name}");
        count += 1;
        if name.starts_with("v1_") {
            first_version(case, &signer);
        } else {
            order_case(case, &signer);
        }
    }
    assert_eq!(count, 5);
}

/// History: checked with the same parts, written by none of the code.
fn first_version(case: &Value, signer: &Signer) {
    const TYPE: &str = "Order(uint256 salt,address maker,address signer,address taker,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,uint256 expiration,uint256 nonce,uint256 feeRateBps,uint8 side,uint8 signatureType)";
    let order = &case["order"];
    let number = |field: &str| match &order[field] {
        Value::String(text) => Word::parse(text).unwrap(),
        number => Word::from(number.as_u64().unwrap()),
    };
    let account = |field: &str| address(order, field).word();
    let contents = hash_struct(
        TYPE,
        &[
            number("salt"),
            account("maker"),
            account("signer"),
            account("taker"),
            number("tokenId"),
            number("makerAmount"),
            number("takerAmount"),
            number("expiration"),
            number("nonce"),
            number("feeRateBps"),
            number("side"),
            number("signatureType"),
        ],
    );
    assert_eq!(hex(&contents), text(case, "struct_hash"));
    let domain = Domain {
        name: text(&case["domain"], "name"),
        version: text(&case["domain"], "version"),
        chain_id: case["domain"]["chainId"].as_u64().unwrap(),
        contract: Some(address(&case["domain"], "verifyingContract")),
    };
    assert_eq!(hex(&domain.separator()), text(case, "domain_separator"));
    let signed = digest(&domain.separator(), &contents);
    assert_eq!(hex(&signed), text(case, "order_hash"));
    assert_eq!(hex(&signer.sign(&signed)), text(case, "signature"));
}

fn order_case(case: &Value, signer: &Signer) {
    let (order, domain) = (&case["order"], &case["domain"]);
    let number = |field: &str| text(order, field).parse::<u64>().unwrap();
    let version = match text(domain, "version") {
        "2" => ExchangeVersion::V2,
        "3" => ExchangeVersion::V3,
        other => panic!("version {other}"),
    };
    let exchange = Exchange {
        version,
        chain_id: domain["chainId"].as_u64().unwrap(),
        contract: address(domain, "verifyingContract"),
    };
    // The table of contracts has it as well.
    assert_eq!(
        Exchange::of(exchange.chain_id, version, false),
        Some(exchange)
    );
    let order = Order {
        salt: number("salt"),
        maker: address(order, "maker"),
        signer: address(order, "signer"),
        token_id: Word::parse(text(order, "tokenId")).unwrap(),
        maker_amount: number("makerAmount"),
        taker_amount: number("takerAmount"),
        side: [Side::Buy, Side::Sell][order["side"].as_u64().unwrap() as usize],
        wallet: WalletKind::from_number(order["signatureType"].as_u64().unwrap() as u8).unwrap(),
        timestamp_ms: number("timestamp"),
        metadata: Word(hash(text(order, "metadata"))),
        builder: Word(hash(text(order, "builder"))),
    };
    let has = |field: &str| case.get(field).and_then(Value::as_str);
    if let Some(separator) = has("domain_separator") {
        assert_eq!(hex(&Domain::exchange(&exchange).separator()), separator);
    }
    for field in ["struct_hash", "contents_hash"] {
        if let Some(expected) = has(field) {
            assert_eq!(hex(&order.struct_hash()), expected);
        }
    }
    if let Some(expected) = has("order_hash") {
        assert_eq!(hex(&order.hash(&exchange)), expected);
    }
    if let Some(expected) = has("digest") {
        assert_eq!(hex(&order.signed_digest(&exchange)), expected);
    }
    let signature = text(case, "signature");
    assert_eq!(order.sign(&exchange, signer), signature);
    assert_eq!(
        order.signed_by(&exchange, signature),
        Some(signer.address())
    );
}

fn auth(value: &Value) {
    let signer = test_signer(value);
    for case in value["l1"].as_array().unwrap() {
        let timestamp = text(case, "timestamp");
        let chain = case["chain_id"].as_u64().unwrap();
        let nonce = case["nonce"].as_u64().unwrap();
        let now = Nanos(timestamp.parse::<u64>().unwrap() * SECOND_NS);
        let headers = level1(&signer, chain, now, nonce);
        let signature = text(case, "POLY_SIGNATURE").to_owned();
        assert_eq!(
            headers,
            [
                ("POLY_ADDRESS", signer.address().to_string()),
                ("POLY_SIGNATURE", signature.clone()),
                ("POLY_TIMESTAMP", timestamp.to_owned()),
                ("POLY_NONCE", nonce.to_string()),
            ]
        );
        let bytes = unhex(&signature).unwrap().try_into().unwrap();
        let by = recover(&hash(text(case, "digest")), &bytes);
        assert_eq!(by, Some(signer.address()));
    }
    for case in value["l2"].as_array().unwrap() {
        let signature = level2_signature(
            &SecretString::from(text(case, "secret")),
            text(case, "timestamp"),
            text(case, "method"),
            text(case, "path"),
            text(case, "body"),
        );
        assert_eq!(signature.unwrap(), text(case, "POLY_SIGNATURE"));
    }
}

fn create2_safe(value: &Value) {
    assert_eq!(text(value, "safe_factory"), SAFE_FACTORY);
    assert_eq!(text(value, "init_code_hash"), SAFE_INIT_CODE_HASH);
    let safe = safe_wallet(address(value, "eoa")).unwrap();
    assert_eq!(safe.to_string(), text(value, "safe"));
}

fn amount_cases(value: &Value) {
    let units = |case: &Value, field: &str| text(case, field).parse::<u64>().unwrap();
    for case in value["limit_cases"].as_array().unwrap() {
        let side = match text(case, "side") {
            "BUY" => Side::Buy,
            _ => Side::Sell,
        };
        let [tick, price, size] = ["tick", "price", "size"].map(|f| dec(text(case, f)));
        amounts::on_grid(tick, price).unwrap();
        let found = amounts::limit(side, price, size).unwrap();
        let expected = (units(case, "makerAmount"), units(case, "takerAmount"));
        assert_eq!((found.maker, found.taker), expected, "{case}");
    }
    let case = &value["market_buy"];
    let found = amounts::market_buy(dec(text(case, "price")), dec(text(case, "usdc"))).unwrap();
    let expected = (units(case, "makerAmount"), units(case, "takerAmount"));
    assert_eq!((found.maker, found.taker), expected);
    for case in value["rejects"].as_array().unwrap() {
        let refused = amounts::on_grid(dec(text(case, "tick")), dec(text(case, "price")));
        assert!(refused.is_err(), "{case}");
    }
}

fn book_hashes(value: &Value) {
    for case in value.as_array().unwrap() {
        let json = text(case, "canonical_json");
        let book = rest_book(json.as_bytes()).unwrap();
        assert_eq!(book_hash(&book).unwrap(), text(case, "sha1"));
    }
}

// ---- market data

fn book_replay(value: &Value) {
    let messages = value["messages"].as_array().unwrap();
    let token = text(&messages[0], "asset_id");
    let mut feed = market_feed(&[token]);
    let mut out = Outbox::default();
    let mut now = Nanos(SECOND_NS);
    feed.opened(now, &mut out);
    let mut engine = EngineBook::default();
    let expected = value["expected"].as_array().unwrap();
    for (message, expected) in messages.iter().zip(expected) {
        now = now.after(100_000_000);
        out.clear();
        feed.message(message.to_string().as_bytes(), now, &mut out)
            .unwrap();
        engine.take(&out);
        let Some(best_bid) = expected.get("best_bid") else {
            // A change was lost: the tape says so, and the book is asked for.
            let lost = "Stale(Gap { expected: 0, found: 0 })";
            assert_eq!(events(&out), [lost]);
            let (_, request) = &out.requests()[0];
            assert_eq!(request.target, format!("/book?token_id={token}"));
            continue;
        };
        assert!(out.requests().is_empty());
        let level = |pair: &Value| {
            let price = DECIMALS.parse_price(pair[0].as_str().unwrap()).unwrap();
            let qty = DECIMALS.parse_qty(pair[1].as_str().unwrap()).unwrap();
            Some((price.0, qty.0))
        };
        assert_eq!(
            engine.best(),
            (level(best_bid), level(&expected["best_ask"]))
        );
    }
}

/// Price and quantity.
type Pair = (i64, i64);

/// The frames as a book takes them.
#[derive(Default)]
struct EngineBook {
    bids: std::collections::BTreeMap<i64, i64>,
    asks: std::collections::BTreeMap<i64, i64>,
}

impl EngineBook {
    fn take(&mut self, out: &Outbox) {
        for (kind, payload) in out.events() {
            let whole = kind == onetape_engine::event::Kind::BookSnapshot;
            if !whole && kind != onetape_engine::event::Kind::BookDelta {
                continue;
            }
            if whole {
                self.bids.clear();
                self.asks.clear();
            }
            let number = |at: usize| i64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
            let bids = u32::from_le_bytes(payload[4..8].try_into().unwrap()) as usize;
            for (place, at) in (48..payload.len()).step_by(16).enumerate() {
                let side = if place < bids {
                    &mut self.bids
                } else {
                    &mut self.asks
                };
                side.insert(number(at), number(at + 8));
                side.retain(|_, qty| *qty != 0);
            }
        }
    }

    fn best(&self) -> (Option<Pair>, Option<Pair>) {
        let pair = |(price, qty): (&i64, &i64)| (*price, *qty);
        (
            self.bids.last_key_value().map(pair),
            self.asks.first_key_value().map(pair),
        )
    }
}

const YES: &str = "65818619657568813474341868652308942079804919287380422192892211131408793125422";

fn ws_book(message: &str) {
    let (_, events) = fed(&[YES], &[message]);
    assert_eq!(
        events,
        [
            "book [(5000, 15000000), (4900, 20000000), (4800, 30000000)] [(5200, 25000000), (5300, 60000000), (5400, 10000000)]"
        ]
    );
    let all = decode(message.as_bytes()).unwrap();
    let MarketMessage::Book(book) = &all[0] else {
        panic!("{all:?}")
    };
    assert_eq!(book.venue_time_ns, 123_456_789_000_000_000);
    assert_eq!(book.hash, "0x1234567890abcdef");
}

fn ws_price_change(message: &str) {
    const FIRST: &str =
        "71321045679252212594626385532706912750332728571942532289631379312455583992563";
    const SECOND: &str =
        "52114319501245915516055106046884209969926127482827954674443846427813813222426";
    let book = |token: &str, bids: &str, asks: &str| {
        format!(
            r#"{{"event_type":"book","asset_id":"{token}","market":"m","timestamp":"1757908892000","hash":"h","bids":{bids},"asks":{asks}}}"#
        )
    };
    let first = book(FIRST, "[]", "[]");
    let half = r#"[{"price":".5","size":"200"}]"#;
    let second = book(SECOND, "[]", &half.replace(".5", ".6"));
    // Both tokens change with one message; the second's best ask is .5 by the venue, and .6 is what is left of it.
    let (_, events) = fed(&[FIRST, SECOND], &[&first, &second, message]);
    assert_eq!(
        events,
        [
            "book [] []",
            "book [] [(6000, 200000000)]",
            "delta [(5000, 200000000)] []",
            "Stale(Gap { expected: 0, found: 0 })",
        ]
    );
}

fn ws_last_trade(message: &str) {
    const TOKEN: &str =
        "114122071509644379678018727908709560226618148003371446110114509806601493071694";
    let (_, events) = fed(&[TOKEN], &[message]);
    assert_eq!(events, ["trade 4560 219217767 Buyer 1750428146322000000"]);
}

fn ws_tick_size_change(message: &str) {
    let all = instruments(&[YES]);
    let tokens = Tokens::default();
    tokens.insert(
        YES,
        Token {
            condition_id: "0x1".to_owned(),
            tick: dec("0.01"),
            neg_risk: false,
        },
    );
    let config = MarketFeedConfig::default();
    let mut feed = MarketFeed::new(config, &all, &[rules(0, 100)], tokens.clone()).unwrap();
    let mut out = Outbox::default();
    feed.opened(Nanos(SECOND_NS), &mut out);
    let book = format!(
        r#"{{"event_type":"book","asset_id":"{YES}","timestamp":"1","bids":[],"asks":[]}}"#
    );
    feed.message(book.as_bytes(), Nanos(SECOND_NS), &mut out)
        .unwrap();
    out.clear();
    feed.message(message.as_bytes(), Nanos(SECOND_NS), &mut out)
        .unwrap();
    assert_eq!(events(&out), ["tick 10", "Stale(OffGrid)"]);
    assert_eq!(out.requests().len(), 1);
    assert_eq!(tokens.get(YES).unwrap().tick, dec("0.001"));
}

fn ws_best_bid_ask(message: &str) {
    let all = decode(message.as_bytes()).unwrap();
    let MarketMessage::BestBidAsk(best) = &all[0] else {
        panic!("{all:?}")
    };
    assert_eq!(best.best, ("0.73", "0.77"));
    assert_eq!(best.venue_time_ns, 1_766_789_469_958_000_000);
}

fn ws_market_resolved(message: &str) {
    let tokens = [
        "76043073756653678226373981964075571318267289248134717369284518995922789326425",
        "31690934263385727664202099278545688007799199447969475608906331829650099442770",
    ];
    let (_, events) = fed(&tokens, &[message, message]);
    assert_eq!(events, ["0 pays 10000", "1 pays 0"]);
}

fn ws_subscribe_market(value: &Value) {
    let token = value["assets_ids"][0].as_str().unwrap();
    let mut feed = market_feed(&[token]);
    for _ in 0..2 {
        let mut out = Outbox::default();
        feed.opened(Nanos(SECOND_NS), &mut out);
        let sent: Value = serde_json::from_str(&out.messages()[0]).unwrap();
        assert_eq!(&sent, value);
        feed.closed(Nanos(2 * SECOND_NS), &mut out);
    }
}

fn rest_book_answer(body: &str) {
    const TOKEN: &str =
        "15871154585880608648532107628464183779895785213830018178010423617714102767076";
    let mut feed = market_feed(&[TOKEN]);
    let mut out = Outbox::default();
    feed.opened(Nanos(SECOND_NS), &mut out);
    out.clear();
    feed.response(0, Some(&ok(body)), Nanos(2 * SECOND_NS), &mut out)
        .unwrap();
    assert_eq!(
        events(&out),
        ["book [(4000, 100000000), (3000, 100000000)] [(6000, 100000000), (7000, 100000000)]"]
    );
    let book = rest_book(body.as_bytes()).unwrap();
    assert_eq!(book.details.unwrap().tick_size, "0.01");
    assert!(book_hash(&book).is_some());
}

// ---- our account

const OUR_KEY: &str = "9180014b-33c8-9240-a14b-bdca11c0a465";

fn credentials(key: &str) -> Credentials {
    Credentials {
        key: key.to_owned(),
        secret: SecretString::from("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        passphrase: SecretString::from("a"),
    }
}

fn user_feed(symbols: &[&str]) -> UserFeed {
    let config = UserFeedConfig::default();
    UserFeed::new(
        config,
        instruments(symbols),
        credentials(OUR_KEY),
        Address([9; 20]),
    )
}

const NO: &str = "52114319501245915516055106046884209969926127482827954674443846427813813222426";

fn ws_user_order(message: &str) {
    let mut out = Outbox::default();
    user_feed(&[NO])
        .message(message.as_bytes(), Nanos(0), &mut out)
        .unwrap();
    let [AccountFact::Order(fact)] = out.account_facts() else {
        panic!("{:?}", out.account_facts())
    };
    let id = "0xff354cd7ca7539dfa9c28d90943ab5779a4eac34b9b37a757d7b32bdfb11790b";
    assert_eq!(fact.key.venue_id.as_deref(), Some(id));
    assert_eq!((fact.state, fact.filled), (OrderState::Acked, Some(Qty(0))));
}

fn ws_user_trade(message: &str) {
    let mut out = Outbox::default();
    user_feed(&[NO])
        .message(message.as_bytes(), Nanos(0), &mut out)
        .unwrap();
    let [AccountFact::Fill(fill)] = out.account_facts() else {
        panic!("{:?}", out.account_facts())
    };
    let order = "0xff354cd7ca7539dfa9c28d90943ab5779a4eac34b9b37a757d7b32bdfb11790b";
    assert_eq!(fill.key.venue_id.as_deref(), Some(order));
    assert_eq!(
        fill.fill_id,
        format!("28c4d2eb-bbea-40e7-a9f0-b2fdb56b2c2e:{order}")
    );
    // The taker bought the token that rested: what is ours was sold.
    assert_eq!((fill.side, fill.liquidity), (Side::Sell, Liquidity::Maker));
    assert_eq!((fill.price, fill.qty), (Price(5_700), Qty(10_000_000)));
    assert_eq!(fill.at, Nanos(1_672_290_701 * SECOND_NS));
    assert!(!fill.is_final);
}

fn ws_subscribe_user(value: &Value) {
    let key = value["auth"]["apiKey"].as_str().unwrap();
    let config = UserFeedConfig::default();
    let all = instruments(&[]);
    let mut feed = UserFeed::new(config, all, credentials(key), Address::default());
    let mut out = Outbox::default();
    feed.opened(Nanos(0), &mut out);
    assert_eq!(
        &serde_json::from_str::<Value>(&out.messages()[0]).unwrap(),
        value
    );
    assert_eq!(out.account_facts(), [AccountFact::Resync]);
}

const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

fn orders(symbol: &str) -> Orders {
    let signer = Signer::new(&SecretString::from(KEY)).unwrap();
    let wallet = Wallet::new(signer, WalletKind::Key, None).unwrap();
    let tokens = Tokens::default();
    tokens.insert(
        symbol,
        Token {
            condition_id: "0x01".to_owned(),
            tick: dec("0.01"),
            neg_risk: false,
        },
    );
    let key = credentials("00000000-0000-0000-0000-000000000000");
    Orders::new(
        OrderConfig::default(),
        instruments(&[symbol]),
        tokens,
        wallet,
        key,
    )
}

fn new_order() -> NewOrder<'static> {
    NewOrder {
        order: OrderId(7),
        client_id: "a-7",
        instrument: InstrumentId(0),
        side: Side::Sell,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(5_000),
        worst_price: Price(0),
        qty: Qty(100_000_000),
        decided_at: Nanos(1_780_449_126_930_000_000),
    }
}

/// The body has the fields of the sample, in their order and their types.
fn post_order_request(value: &Value) {
    let mut orders = orders("1234");
    let request = orders.place(&new_order(), Nanos(0)).unwrap();
    let body: Value = serde_json::from_str(&request.body).unwrap();
    let shape = |value: &Value| -> Vec<(String, &'static str)> {
        let kind = |value: &Value| match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        };
        let fields = value.as_object().unwrap().iter();
        fields
            .map(|(name, value)| (name.clone(), kind(value)))
            .collect()
    };
    assert_eq!(shape(&body), shape(value));
    assert_eq!(shape(&body["order"]), shape(&value["order"]));
    for field in [
        "maker",
        "signer",
        "tokenId",
        "timestamp",
        "expiration",
        "metadata",
        "builder",
        "signatureType",
    ] {
        assert_eq!(body["order"][field], value["order"][field], "{field}");
    }
    for field in ["owner", "orderType", "postOnly", "deferExec"] {
        assert_eq!(body[field], value[field], "{field}");
    }
    assert!(body["order"]["salt"].as_u64().unwrap() < 1 << 53);
    assert_eq!(body["order"]["makerAmount"], "100000000");
    assert_eq!(body["order"]["takerAmount"], "50000000");
}

fn post_order_responses(value: &Value) {
    let mut orders = orders("1234");
    let order = new_order();
    let id = hex(&orders.venue_id(&order).unwrap());
    let expected = [
        (OrderState::Acked, 0),
        // 50 of the 100 that were to be sold: MATCHED is not all of it.
        (OrderState::PartiallyFilled, 50_000_000),
        (OrderState::Acked, 0),
    ];
    for (case, (state, filled)) in value.as_array().unwrap().iter().zip(expected) {
        let body = case.to_string();
        // Another order's answer proves nothing of ours.
        let other = orders.placed(&order, Some(&ok(&body)));
        assert!(matches!(other, PlaceAnswer::Unknown { .. }));
        let body = body.replace(text(case, "orderID"), &id);
        let PlaceAnswer::Accepted { venue_id, facts } = orders.placed(&order, Some(&ok(&body)))
        else {
            panic!("{body}")
        };
        assert_eq!(venue_id, id);
        let [AccountFact::Order(fact)] = facts.as_slice() else {
            panic!("{facts:?}")
        };
        assert_eq!(
            (fact.state, fact.filled),
            (state, Some(Qty(filled))),
            "{case}"
        );
    }
}

fn errors(value: &Value) {
    let mut orders = orders("1234");
    for case in value.as_array().unwrap() {
        let status = case["status"].as_u64().unwrap() as u16;
        let body = case["body"].to_string();
        let found = orders.placed(&new_order(), Some(&answer(status, &body)));
        let words = text(&case["body"], "error");
        let as_expected = match words {
            "not enough balance / allowance" => {
                matches!(&found, PlaceAnswer::Rejected { why } if why.contains(words))
            }
            "order 0xabc is invalid. Duplicated." => found == PlaceAnswer::Duplicate,
            "order_version_mismatch" => matches!(found, PlaceAnswer::Rejected { .. }),
            "service not ready" => matches!(found, PlaceAnswer::Busy { .. }),
            "order timed out" => matches!(found, PlaceAnswer::Unknown { .. }),
            other => panic!("{other}"),
        };
        assert!(as_expected, "{case}: {found:?}");
    }
    // After the mismatch nothing more is signed for contracts that are not in force.
    assert!(orders.place(&new_order(), Nanos(0)).is_err());
}

fn cancels(value: &Value) {
    let mut orders = orders("1234");
    let ids = [
        "0xb816482a1234567890abcdef1234567890abcdef1234567890abcdef12345678",
        "1",
        "1",
    ];
    for (place, (case, id)) in value.as_array().unwrap().iter().zip(ids).enumerate() {
        let order = KnownOrder {
            order: new_order(),
            venue_id: Some(id),
        };
        let found = orders.cancelled(&order, Some(&ok(&case.to_string())));
        if place == 0 {
            let CancelAnswer::Cancelled(facts) = &found else {
                panic!("{found:?}")
            };
            assert!(
                matches!(&facts[..], [AccountFact::Order(f)] if f.state == OrderState::Cancelled)
            );
        } else {
            assert_eq!(found, CancelAnswer::Gone);
        }
    }
}

fn data_orders(body: &str) {
    const TOKEN: &str =
        "15871154585880608648532107628464183779895785213830018178010423617714102767076";
    let mut orders = orders(TOKEN);
    let mut facts = Vec::new();
    let next = orders
        .answer(&Query::OpenOrders, &ok(body), &mut facts)
        .unwrap();
    assert_eq!(next, None);
    let [AccountFact::Order(fact)] = facts.as_slice() else {
        panic!("{facts:?}")
    };
    assert_eq!(
        (fact.state, fact.filled),
        (OrderState::PartiallyFilled, Some(Qty(2_500_000)))
    );
}

fn balance(body: &str) {
    let mut facts = Vec::new();
    let next = orders("1234")
        .answer(&Query::Balances, &ok(body), &mut facts)
        .unwrap();
    assert_eq!(next, None);
    let [AccountFact::Balance(balance)] = facts.as_slice() else {
        panic!("{facts:?}")
    };
    assert_eq!(
        (balance.currency.as_str(), balance.free),
        ("USD", dec("1000"))
    );
}

// ---- markets and wallets

fn clob_market(body: &str) {
    const TOKEN: &str =
        "58932827438818170513230893392684302873716776312144361528238673171092470840229";
    const OTHER: &str =
        "40344658068671585656605708535625590803520666310734316014770600867572158300800";
    const CONDITION: &str = "0x4c27acaae6b9528e6121c226f0c7e253073c0ecdee87eed1bca5b2fe4028e6ee";
    let gamma = serde_json::json!([{
        "conditionId": CONDITION, "slug": "falcons-spirit", "question": "Who wins?", "description": "The winner.",
        "endDate": "2026-04-18T15:00:00Z", "active": true, "closed": false, "acceptingOrders": true, "negRisk": true,
        "clobTokenIds": format!("[\"{TOKEN}\", \"{OTHER}\"]"), "outcomes": "[\"Team Falcons\", \"Spirit\"]",
    }])
    .to_string();
    let tokens = Tokens::default();
    let conditions = [(TOKEN.to_owned(), CONDITION.to_owned())];
    let mut markets = Markets::new(ListingConfig::default(), conditions, tokens.clone());
    let requests = markets.requests(TOKEN, Nanos(0));
    assert_eq!(requests[0].target, format!("/clob-markets/{CONDITION}"));
    let read = markets.read(TOKEN, InstrumentId(3), &[ok(body), ok(&gamma)], Nanos(5));
    let listing = read.unwrap();
    assert_eq!(listing.definition.base, "Who wins?: Team Falcons");
    assert_eq!(
        (listing.rules.tick_size, listing.rules.min_qty),
        (Price(10), Qty(5_000_000))
    );
    assert_eq!(
        (listing.rules.min_price, listing.rules.max_price),
        (Price(10), Price(9_990))
    );
    assert!(!listing.rules.allows_short);
    let fees = listing.fees.unwrap();
    assert_eq!(fees.taker, FeeFormula::probability(dec("0.03")));
    assert_eq!(fees.maker, FeeFormula::probability(Decimal::ZERO));
    let terms = listing.terms.unwrap();
    assert_eq!(terms.event, CONDITION);
    let description = blake3::hash(b"The winner.").to_hex().to_string();
    assert_eq!(
        (terms.rules_hash, listing.rules_text.unwrap().rules_hash),
        (description.clone(), description)
    );
    let token = tokens.get(TOKEN).unwrap();
    assert!(token.neg_risk && token.tick == dec("0.001"));
}

fn gamma_market(body: &str) {
    const UP: &str =
        "104239898038807136052399800151408521467737075933964991162589336683346093173875";
    const CONDITION: &str = "0x78443f961b9a65869dcb39359de9960165c7e5cbad0904eac7f29cd77872a63b";
    let clob = format!(
        r#"{{"t":[{{"t":"{UP}","o":"Up"}}],"c":"{CONDITION}","mos":5,"mts":0.01,"fd":{{"r":0.07,"e":1,"to":true}}}}"#
    );
    let conditions = [(UP.to_owned(), CONDITION.to_owned())];
    let mut markets = Markets::new(ListingConfig::default(), conditions, Tokens::default());
    let read = markets.read(UP, InstrumentId(0), &[ok(&clob), ok(body)], Nanos(5));
    let listing = read.unwrap();
    let terms = listing.terms.unwrap();
    assert_eq!(terms.closes_at, Nanos(1_773_307_500 * SECOND_NS));
    assert_eq!(terms.settles_at, terms.closes_at.after(7_200 * SECOND_NS));
    assert_eq!(terms.cluster, "btc-updown-5m-1773307200");
    assert_eq!(
        listing.status.status,
        onetape_engine::event::TradingStatus::Open
    );
}

fn fees(value: &Value) {
    let schedule = |rate: &str| FeeSchedule {
        instrument: InstrumentId(0),
        effective_from: Nanos(0),
        maker: FeeFormula::probability(Decimal::ZERO),
        taker: FeeFormula::probability(dec(rate)),
        rounding: onetape_engine::fees::Rounding {
            decimals: 5,
            mode: onetape_engine::fees::RoundingMode::Down,
        },
        source: "venue".to_owned(),
        accrual: Default::default(),
    };
    let fee = |rate: &str, p: &str, shares: &str| {
        let price = DECIMALS.parse_price(p).unwrap();
        let qty = DECIMALS.parse_qty(shares).unwrap();
        let fee = schedule(rate).estimate(Liquidity::Taker, DECIMALS, price, qty);
        fee.unwrap().to_decimal().unwrap()
    };
    for row in value["docs_table_crypto_rate_0.07_100_shares"]
        .as_array()
        .unwrap()
    {
        // The page's table has cents.
        let found = fee("0.07", text(row, "p"), "100").round_dp(2);
        assert_eq!(found, dec(text(row, "fee")), "{row}");
    }
    for case in value["exact"].as_array().unwrap() {
        assert_eq!(case["exponent"], 1);
        let found = fee(text(case, "rate"), text(case, "p"), text(case, "shares"));
        assert_eq!(found, dec(text(case, "fee_exact")).trunc_with_scale(5));
    }
}

fn rtds_subscribe(value: &Value) {
    let config = LeaderFeedConfig::default();
    let mut feed = LeaderFeed::new(config, instruments(&[]), &[]);
    let mut out = Outbox::default();
    feed.opened(Nanos(0), &mut out);
    let sent: Value = serde_json::from_str(&out.messages()[0]).unwrap();
    assert_eq!(sent["action"], value["action"]);
    let subscriptions = sent["subscriptions"].as_array().unwrap();
    assert!(subscriptions.contains(&value["subscriptions"][0]));
}

fn data_trades(body: &str) {
    let rows = trade_rows(&ok(body), Role::Taker, &instruments(&[YES])).unwrap();
    let [row] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(row.wallet, format!("0x{}", "1".repeat(40)));
    assert_eq!((row.price, row.qty), (Price(4_700), Qty(250_500_000)));
    assert_eq!(row.transaction, format!("0x{}", "3".repeat(64)));
    assert_eq!((row.side, row.occurrence), (Side::Buy, 0));
    assert_eq!(row.traded_at, Nanos(1_795_253_400 * SECOND_NS));
    Event::LeaderTrade(Box::new(row.clone())).check().unwrap();
}

fn data_positions(body: &str) {
    let wallet = Address::parse("0x1234567890abcdef1234567890abcdef12345678").unwrap();
    let all = instruments(&["7"]);
    let portfolio = portfolio(wallet, &[ok(body)], dec("29.65"), &all, Nanos(5)).unwrap();
    assert_eq!(portfolio.value_usd, dec("100"));
    assert_eq!(portfolio.holdings[0].qty, Qty(100_500_000));
    Event::LeaderPortfolio(Box::new(portfolio)).check().unwrap();
    // Our own holdings come from the same answer.
    let mut facts = Vec::new();
    let next = orders("7")
        .answer(&Query::Holdings, &ok(body), &mut facts)
        .unwrap();
    assert_eq!(next, None);
    assert!(matches!(facts[..], [AccountFact::Holding(ref h)] if h.qty == Qty(100_500_000)));
}

// ---- Polygon

fn polygon_file(name: &str, _text: &str, value: &Value) {
    let owner = Address::parse("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266").unwrap();
    let pusd = Address::parse(COLLATERAL).unwrap();
    let exchange = |call: Call| {
        let (request, response) = (&value[0], &value[1]);
        let id = request["id"].as_u64().unwrap();
        let sent: Value = serde_json::from_str(&call.body(id)).unwrap();
        assert_eq!(&sent, request);
        call.read(id, &ok(&response.to_string())).unwrap()
    };
    match name {
        "rpc_chain_id.json" => polygon::chain_id(exchange(Call::ChainId)).unwrap(),
        "rpc_native_balance.json" => {
            let token = polygon::Token::Native;
            let wei = exchange(Call::Balance { token, owner });
            assert_eq!(wei.to_u128(), Some(10 * 10u128.pow(polygon::POL_DECIMALS)));
        }
        "rpc_erc20_balance.json" => {
            let token = polygon::Token::Erc20(pusd);
            let units = exchange(Call::Balance { token, owner });
            assert_eq!(units.to_u128(), Some(1_000_250_000));
        }
        "vec_calldata.json" => {
            let token = polygon::Token::Erc20(pusd);
            let erc20 = &value["erc20"];
            let call = Call::Balance {
                token,
                owner: address(erc20, "address"),
            };
            let (_, data) = call.calldata().unwrap();
            assert_eq!(data, text(erc20, "data"));
            assert!(data.starts_with(text(value, "balanceOf(address)")));
            for case in value["decode"].as_array().unwrap() {
                let word = Word::from_hex(text(case, "hex")).unwrap();
                assert_eq!(word.to_string(), text(case, "wei"));
            }
            // An empty answer is no contract, not zero.
            assert_eq!(Word::from_hex("0x"), None);
        }
        other => panic!("{other} is not known here"),
    }
}
