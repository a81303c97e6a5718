use super::*;
use crate::gateway::{FillFact, Listed};
use onetape_engine::event::{InstrumentDefined, InstrumentType, Liquidity};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::Decimals;
use proptest::prelude::*;
use std::sync::Arc;

const NOW: Nanos = Nanos(1_700_000_000_000_000_000);

fn pairs() -> Pairs {
    let define = |(place, base, quote): (u32, &str, &str)| InstrumentDefined {
        instrument: InstrumentId(place),
        venue: VENUE.to_owned(),
        symbol: format!("{base}{quote}"),
        instrument_type: InstrumentType::Spot,
        base: base.to_owned(),
        quote: quote.to_owned(),
        decimals: Decimals { price: 2, qty: 5 },
    };
    Pairs::new(&[(0, "BTC", "USDT"), (1, "ETH", "USDT")].map(define))
}

fn orders() -> Orders {
    let signer = Signer::hmac("key".into(), &"secret".into());
    Orders::new(OrdersConfig::default(), signer, pairs())
}

fn order() -> NewOrder<'static> {
    NewOrder {
        order: OrderId(77),
        client_id: "onetape-1-77",
        instrument: InstrumentId(0),
        side: Side::Buy,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(3_500_050),
        worst_price: Price(0),
        qty: Qty(150_000),
        decided_at: NOW,
    }
}

fn known(order: NewOrder<'static>) -> KnownOrder<'static> {
    KnownOrder {
        order,
        venue_id: None,
    }
}

/// The parameters of a request without the signature.
fn form(request: &Request) -> &str {
    let text = match request.method {
        Method::Post => request.body.as_str(),
        _ => request.target.split_once('?').unwrap().1,
    };
    text.split_once("&signature=").unwrap().0
}

fn place(order: &NewOrder<'_>) -> Request {
    orders().place(order, NOW).unwrap()
}

fn answer(status: u16, body: &str) -> (u16, String) {
    (status, body.to_owned())
}

fn placed((status, body): (u16, String)) -> PlaceAnswer {
    let headers = [("retry-after".to_owned(), "12".to_owned())];
    let response = Response {
        status,
        headers: &headers,
        body: body.as_bytes(),
    };
    orders().placed(&order(), Some(&response))
}

#[test]
fn orders_are_written_as_documented() {
    let request = place(&order());
    assert_eq!(
        (request.method, request.base, request.target.as_str()),
        (Method::Post, "rest", "/api/v3/order")
    );
    assert_eq!(
        form(&request),
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=35000.5&quantity=1.5\
         &newClientOrderId=onetape-1-77&newOrderRespType=FULL&recvWindow=5000&timestamp=1700000000000"
    );
    assert_eq!(request.headers[0], ("X-MBX-APIKEY", "key".to_owned()));
    let signature = request.body.split_once("&signature=").unwrap().1;
    assert_eq!(
        signature,
        Signer::hmac("key".into(), &"secret".into()).sign(form(&request))
    );
    let kind = |order_type, time_in_force| {
        let mut order = order();
        (order.order_type, order.time_in_force) = (order_type, time_in_force);
        orders()
            .place(&order, NOW)
            .map(|request| {
                form(&request)[24..]
                    .split("&quantity")
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .map_err(|refusal| refusal.why)
    };
    use OrderType::*;
    use TimeInForce::*;
    assert_eq!(
        kind(Limit, ImmediateOrCancel).unwrap(),
        "type=LIMIT&timeInForce=IOC&price=35000.5"
    );
    assert_eq!(
        kind(Limit, PostOnly).unwrap(),
        "type=LIMIT_MAKER&price=35000.5"
    );
    assert_eq!(kind(Market, ImmediateOrCancel).unwrap(), "type=MARKET");
    assert_eq!(
        kind(Stop, GoodTillCancel).unwrap(),
        "type=STOP_LOSS&stopPrice=35000.5"
    );
    assert!(kind(Stop, PostOnly).unwrap_err().contains("post-only"));
}

#[test]
fn what_the_venue_can_not_take_is_not_sent() {
    let refused = |change: fn(&mut NewOrder<'_>)| {
        let mut order = order();
        change(&mut order);
        orders().place(&order, NOW).unwrap_err().why
    };
    assert!(refused(|order| order.instrument = InstrumentId(9)).contains("instrument"));
    assert!(refused(|order| order.qty = Qty(0)).contains("quantity"));
    assert!(refused(|order| order.price = Price(0)).contains("price"));
    assert!(refused(|order| order.client_id = "a b").contains("client id"));
    assert!(
        refused(|order| order.client_id = "1234567890123456789012345678901234567")
            .contains("client id")
    );
}

#[test]
fn an_answer_with_fills_is_fills_and_a_state() {
    let body = r#"{"symbol":"BTCUSDT","orderId":28,"orderListId":-1,"clientOrderId":"onetape-1-77","transactTime":1507725176595,
        "price":"0.00000000","origQty":"1.50000000","executedQty":"1.00000000","cummulativeQuoteQty":"4.0","status":"EXPIRED",
        "timeInForce":"IOC","type":"LIMIT","side":"BUY","fills":[
        {"price":"4000.00000000","qty":"1.00000000","commission":"0.00100000","commissionAsset":"BTC","tradeId":56}]}"#;
    let PlaceAnswer::Accepted { venue_id, facts } = placed(answer(200, body)) else {
        panic!("not accepted")
    };
    let key = OrderKey {
        client_id: Some("onetape-1-77".into()),
        venue_id: Some("28".into()),
    };
    assert_eq!(venue_id, "28");
    assert_eq!(
        facts,
        [
            AccountFact::Fill(FillFact {
                key: key.clone(),
                instrument: InstrumentId(0),
                fill_id: "56".into(),
                side: Side::Buy,
                price: Price(400_000),
                qty: Qty(100_000),
                fee: Some(Decimal::new(4, 0)),
                liquidity: Liquidity::Taker,
                at: Nanos(1_507_725_176_595_000_000),
                is_final: true,
            }),
            AccountFact::Order(OrderFact {
                key,
                instrument: InstrumentId(0),
                state: OrderState::Expired,
                filled: Some(Qty(100_000)),
                why: String::new(),
            }),
        ]
    );
    let other = placed(answer(200, &body.replace("onetape-1-77", "stranger")));
    assert!(matches!(other, PlaceAnswer::Unknown { .. }), "{other:?}");
}

#[test]
fn an_outcome_is_never_guessed() {
    let code = |code: i64, msg: &str| format!(r#"{{"code":{code},"msg":"{msg}"}}"#);
    let unknown = |status: u16, body: String| {
        let answer = placed((status, body));
        assert!(matches!(answer, PlaceAnswer::Unknown { .. }), "{answer:?}");
    };
    unknown(504, code(-1007, "Timeout"));
    unknown(400, code(-1007, "Timeout"));
    unknown(400, code(-1006, "Unexpected"));
    unknown(503, code(-1013, "whatever the code is"));
    unknown(502, "<html>".into());
    unknown(400, "<html>".into());
    unknown(200, "<html>".into());
    unknown(200, r#"{"orderId":1}"#.into());
    assert!(matches!(
        orders().placed(&order(), None),
        PlaceAnswer::Unknown { .. }
    ));
    assert_eq!(
        placed((400, code(-2010, "Duplicate order sent."))),
        PlaceAnswer::Duplicate
    );
    for (number, words) in [
        (
            -2010,
            "Account has insufficient balance for requested action.",
        ),
        (-1013, "Filter failure: LOT_SIZE"),
        (
            -1021,
            "Timestamp for this request is outside of the recvWindow.",
        ),
        (-1121, "Invalid symbol."),
    ] {
        let why = format!("{number}: {words}");
        assert_eq!(
            placed((400, code(number, words))),
            PlaceAnswer::Rejected { why }
        );
    }
    for (status, body) in [
        (429, code(-1003, "Too much request weight used")),
        (418, "banned".into()),
        (400, code(-1015, "Too many new orders")),
        (403, "<html>firewall".into()),
    ] {
        let PlaceAnswer::Busy { retry_after_ms, .. } = placed((status, body)) else {
            panic!("not busy")
        };
        assert_eq!(retry_after_ms, 12_000);
    }
}

#[test]
fn a_cancel_is_told_by_our_id_and_a_gone_order_is_looked_up() {
    let mut wire = orders();
    let request = wire.cancel(&known(order()), NOW).unwrap();
    assert_eq!(
        (request.method, request.bucket),
        (Method::Delete, Bucket::Cancel)
    );
    assert_eq!(
        form(&request),
        "symbol=BTCUSDT&origClientOrderId=onetape-1-77&recvWindow=5000&timestamp=1700000000000"
    );
    let mut cancelled = |status: u16, body: &str| {
        let response = Response {
            status,
            headers: &[],
            body: body.as_bytes(),
        };
        wire.cancelled(&known(order()), Some(&response))
    };
    let body = r#"{"symbol":"BTCUSDT","origClientOrderId":"onetape-1-77","orderId":4,"clientOrderId":"the-cancel","executedQty":"0.5","status":"CANCELED"}"#;
    let CancelAnswer::Cancelled(facts) = cancelled(200, body) else {
        panic!("not cancelled")
    };
    let [AccountFact::Order(fact)] = facts.as_slice() else {
        panic!("{facts:?}")
    };
    assert_eq!(
        (fact.key.client_id.as_deref(), fact.state, fact.filled),
        (
            Some("onetape-1-77"),
            OrderState::Cancelled,
            Some(Qty(50_000))
        )
    );
    assert!(matches!(
        cancelled(200, &body.replace("onetape-1-77", "x")),
        CancelAnswer::Unknown { .. }
    ));
    assert_eq!(
        cancelled(400, r#"{"code":-2011,"msg":"Unknown order sent."}"#),
        CancelAnswer::Gone
    );
    assert!(matches!(
        cancelled(400, r#"{"code":-1021,"msg":"clock"}"#),
        CancelAnswer::Busy { .. }
    ));
    assert!(matches!(
        cancelled(400, r#"{"code":-2015,"msg":"Invalid API-key"}"#),
        CancelAnswer::Unknown { .. }
    ));
    assert!(matches!(cancelled(500, "{}"), CancelAnswer::Unknown { .. }));
}

fn look_up(waited_s: u64, answers: &[(u16, &str)]) -> (Result<bool, WireError>, Vec<AccountFact>) {
    let mut wire = orders();
    let known = known(order());
    let requests = wire.lookup(&known, NOW.after(waited_s * SECOND_NS));
    assert_eq!(requests.len(), 2);
    let responses: Vec<Response<'_>> = answers
        .iter()
        .map(|(status, body)| Response {
            status: *status,
            headers: &[],
            body: body.as_bytes(),
        })
        .collect();
    let mut facts = Vec::new();
    let found = wire.looked_up(&known, &responses, &mut facts);
    (found, facts)
}

#[test]
fn an_order_is_lost_only_when_it_can_not_be_under_way_any_more() {
    let gone = (400, r#"{"code":-2013,"msg":"Order does not exist."}"#);
    assert!(look_up(29, &[gone, gone]).0.is_err());
    assert_eq!(look_up(31, &[gone, gone]), (Ok(false), vec![]));
    let busy = (
        429,
        r#"{"code":-1003,"msg":"Too much request weight used"}"#,
    );
    assert!(look_up(31, &[busy, busy]).0.is_err());
    assert!(look_up(31, &[]).0.is_err());
    let archived = (400, r#"{"code":-2026,"msg":"Order was archived."}"#);
    let (found, facts) = look_up(31, &[archived, gone]);
    assert!(found.unwrap());
    assert!(
        matches!(&facts[..], [AccountFact::Order(fact)] if fact.state == OrderState::Cancelled)
    );
}

#[test]
fn a_look_up_waits_until_all_fills_are_there() {
    let one = |executed: &str, status: &str| {
        format!(
            r#"{{"symbol":"BTCUSDT","orderId":28,"clientOrderId":"onetape-1-77","executedQty":"{executed}","status":"{status}","side":"BUY"}}"#
        )
    };
    let trade = |id: u32, order: u32| {
        format!(
            r#"{{"symbol":"BTCUSDT","id":{id},"orderId":{order},"price":"4000.00","qty":"0.50000","commission":"0.1","commissionAsset":"BNB","time":1507725176595,"isBuyer":true,"isMaker":true}}"#
        )
    };
    let trades = format!("[{},{},{}]", trade(1, 28), trade(2, 99), trade(3, 28));
    let (found, facts) = look_up(1, &[(200, &one("1.0", "PARTIALLY_FILLED")), (200, &trades)]);
    assert!(found.unwrap());
    let [
        AccountFact::Fill(first),
        AccountFact::Fill(second),
        AccountFact::Order(state),
    ] = facts.as_slice()
    else {
        panic!("{facts:?}")
    };
    assert_eq!(
        (first.fill_id.as_str(), second.fill_id.as_str()),
        ("1", "3")
    );
    assert_eq!((first.fee, first.liquidity), (None, Liquidity::Maker));
    assert_eq!(state.state, OrderState::PartiallyFilled);
    let (found, facts) = look_up(1, &[(200, &one("1.5", "FILLED")), (200, &trades)]);
    assert!(found.unwrap_err().to_string().contains("executedQty"));
    assert!(facts.is_empty());
}

#[test]
fn fills_are_paged_by_symbol_and_by_trade() {
    let mut wire = orders();
    let query = Query::Fills {
        since: NOW,
        of: Arc::default(),
    };
    let first = wire.ask(&query, None, NOW);
    assert_eq!(
        form(&first),
        "symbol=BTCUSDT&startTime=1700000000000&limit=1000&recvWindow=5000&timestamp=1700000000000"
    );
    let row = |id: usize| {
        format!(
            r#"{{"symbol":"BTCUSDT","id":{id},"orderId":1,"price":"1","qty":"1","commission":"0","commissionAsset":"BTC","time":1,"isBuyer":false,"isMaker":false}}"#
        )
    };
    let full = format!("[{}]", (1..=1000).map(row).collect::<Vec<_>>().join(","));
    let read = |wire: &mut Orders, body: &str| {
        let mut facts = Vec::new();
        let response = Response {
            status: 200,
            headers: &[],
            body: body.as_bytes(),
        };
        (wire.answer(&query, &response, &mut facts), facts.len())
    };
    assert_eq!(
        read(&mut wire, &full),
        (Ok(Some("0:1001".to_owned())), 1000)
    );
    let second = wire.ask(&query, Some("0:1001"), NOW);
    assert!(form(&second).starts_with("symbol=BTCUSDT&fromId=1001&"));
    assert_eq!(read(&mut wire, "[]"), (Ok(Some("1".to_owned())), 0));
    let third = wire.ask(&query, Some("1"), NOW);
    assert!(form(&third).starts_with("symbol=ETHUSDT&startTime="));
    assert_eq!(read(&mut wire, "[]"), (Ok(None), 0));
}

#[test]
fn balances_that_trade_are_told_even_when_they_are_zero() {
    let body = r#"{"balances":[{"asset":"BTC","free":"1.000000009","locked":"0.5"},{"asset":"XYZ","free":"0","locked":"0"},
        {"asset":"USDT","free":"0.00","locked":"0"},{"asset":"BNB","free":"7","locked":"0"}]}"#;
    let read = |query: Query| {
        let mut facts = Vec::new();
        let response = Response {
            status: 200,
            headers: &[],
            body: body.as_bytes(),
        };
        assert_eq!(orders().answer(&query, &response, &mut facts), Ok(None));
        facts
    };
    let currencies: Vec<String> = read(Query::Balances)
        .into_iter()
        .map(|fact| match fact {
            AccountFact::Balance(balance) => balance.currency,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(currencies, ["BTC", "USDT", "BNB"]);
    assert_eq!(
        read(Query::Holdings),
        [AccountFact::Holding(Holding {
            instrument: InstrumentId(0),
            qty: Qty(150_000)
        })],
        "what is below a lot is dust"
    );
}

#[test]
fn the_venues_clock_is_read() {
    let response = Response {
        status: 200,
        headers: &[],
        body: br#"{"serverTime":1499827319559}"#,
    };
    assert_eq!(
        orders().time(&response),
        Ok(Nanos(1_499_827_319_559_000_000))
    );
    assert_eq!(orders().ask_time(NOW).unwrap().target, "/api/v3/time");
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(status in 0u16..700, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut wire = orders();
        let response = Response { status, headers: &[], body: &body };
        let known = known(order());
        wire.placed(&order(), Some(&response));
        wire.cancelled(&known, Some(&response));
        let mut facts = Vec::new();
        let _ = wire.looked_up(&known, &[response, response], &mut facts);
        for query in [Query::OpenOrders, Query::Holdings, Query::Balances, Query::Fills { since: NOW, of: Arc::default() }] {
            let _ = wire.answer(&query, &response, &mut facts);
        }
        let _ = wire.time(&response);
    }
}

#[test]
fn a_pair_that_was_taken_off_holds_up_neither_fills_nor_look_ups() {
    let body = r#"{"code":-1121,"msg":"Invalid symbol."}"#;
    let gone = Response {
        status: 400,
        headers: &[],
        body: body.as_bytes(),
    };
    let (mut wire, mut facts) = (orders(), Vec::new());
    let fills = Query::Fills {
        since: NOW,
        of: Arc::default(),
    };
    wire.ask(&fills, None, NOW);
    // The next pair's turn.
    assert_eq!(
        wire.answer(&fills, &gone, &mut facts),
        Ok(Some("1".to_owned()))
    );
    let late = NOW.after(60 * SECOND_NS);
    let order = order();
    wire.lookup(&known(order.clone()), late);
    assert_eq!(
        wire.looked_up(&known(order), &[gone, gone], &mut facts),
        Ok(false)
    );
    assert!(facts.is_empty());
}

#[test]
fn a_pair_that_comes_later_is_known_to_every_clone() {
    let pairs = pairs();
    let clone = pairs.clone();
    let later = InstrumentDefined {
        instrument: InstrumentId(9),
        venue: VENUE.to_owned(),
        symbol: "SOLUSDT".to_owned(),
        instrument_type: InstrumentType::Spot,
        base: "SOL".to_owned(),
        quote: "USDT".to_owned(),
        decimals: Decimals { price: 2, qty: 3 },
    };
    clone.add([&later]);
    assert_eq!(pairs.symbol("SOLUSDT").unwrap().base, "SOL");
    assert_eq!(pairs.id(InstrumentId(9)), clone.symbol("SOLUSDT"));
    assert_eq!(pairs.iter().count(), 3);
}

#[test]
fn a_pair_is_found_by_symbol_and_id() {
    let pairs = pairs();
    let listed: Option<&Listed> = pairs.symbol("ETHUSDT").map(|pair| &pair.listed);
    assert_eq!(listed, pairs.id(InstrumentId(1)).map(|pair| &pair.listed));
    assert!(pairs.symbol("XRPUSDT").is_none());
}

/// What a venue's answer with one header asks for, 40 s into a minute.
fn pause(name: &str, value: &str) -> Option<u64> {
    let headers = [(name.to_owned(), value.to_owned())];
    let response = Response {
        status: 200,
        headers: &headers,
        body: b"{}",
    };
    orders().pause_ms(&response, Nanos(1_700_000_020_000 * 1_000_000))
}

#[test]
fn the_venues_own_count_leaves_room_for_cancels_until_its_window_ends() {
    // 1,700,000,020 s is 40 s after a whole minute.
    assert_eq!(pause("x-mbx-used-weight-1m", "5399"), None);
    assert_eq!(pause("x-mbx-used-weight-1m", "5400"), Some(20_000));
    assert_eq!(pause("x-mbx-order-count-10s", "44"), None);
    assert_eq!(pause("x-mbx-order-count-10s", "50"), Some(10_000));
    assert_eq!(pause("x-mbx-used-weight-1m", "many"), None);
    assert_eq!(pause("retry-after", "9999"), None);
}
