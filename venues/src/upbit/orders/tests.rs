use super::*;
use crate::gateway::{Holding, OrderFact};
use onetape_engine::event::Liquidity;
use onetape_engine::id::InstrumentId;
use onetape_engine::number::Decimals;
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::sync::Arc;

const NOW: Nanos = Nanos(1_790_134_742_106_000_000);
const WON: i64 = 100_000_000;

fn orders_with(market_orders: MarketOrders) -> Orders {
    let listed = |(place, symbol): (u32, &str)| Listed {
        instrument: InstrumentId(place),
        symbol: symbol.to_owned(),
        decimals: Decimals { price: 8, qty: 8 },
    };
    let config = OrdersConfig {
        market_orders,
        ..OrdersConfig::default()
    };
    Orders::new(
        config,
        Signer::new("access".into(), &"secret".into()),
        Nonces::new([1; 16]),
        Instruments::new([(0, "KRW-BTC"), (1, "USDT-ETH")].map(listed)),
    )
}

fn orders() -> Orders {
    orders_with(OrdersConfig::default().market_orders)
}

fn order() -> NewOrder<'static> {
    NewOrder {
        order: OrderId(77),
        client_id: "onetape-1-77",
        instrument: InstrumentId(0),
        side: Side::Buy,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(162_211_000 * WON),
        worst_price: Price(162_500_000 * WON),
        qty: Qty(6_165),
        decided_at: NOW,
    }
}

fn known() -> KnownOrder<'static> {
    KnownOrder {
        order: order(),
        venue_id: None,
    }
}

fn response(status: u16, body: &str) -> Response<'_> {
    Response {
        status,
        headers: &[],
        body: body.as_bytes(),
    }
}

fn rest_order(state: &str, kind: &str, executed: &str, remaining: &str) -> String {
    format!(
        r#"{{"uuid":"u-1","side":"bid","ord_type":"{kind}","price":"1","state":"{state}","market":"KRW-BTC","created_at":"2025-07-28T14:04:11+09:00","volume":"1","remaining_volume":{remaining},"paid_fee":"0","executed_volume":"{executed}","identifier":"onetape-1-77","trades":[]}}"#
    )
}

#[test]
fn an_order_is_signed_in_the_order_of_its_body() {
    let mut wire = orders();
    let request = wire.place(&order(), NOW).unwrap();
    assert_eq!(
        (request.method, request.base, request.target.as_str()),
        (Method::Post, "rest", "/v1/orders")
    );
    assert_eq!(
        request.body,
        r#"{"market":"KRW-BTC","side":"bid","volume":"0.00006165","price":"162211000","ord_type":"limit","identifier":"onetape-1-77"}"#
    );
    let query = "market=KRW-BTC&side=bid&volume=0.00006165&price=162211000&ord_type=limit&identifier=onetape-1-77";
    let nonce = Nonces::new([1; 16]).next(NOW);
    let signer = Signer::new("access".into(), &"secret".into());
    assert_eq!(
        request.headers[0],
        ("Authorization", signer.bearer(query, &nonce))
    );
    let again = wire.place(&order(), NOW).unwrap();
    assert_ne!(request.headers[0], again.headers[0], "a nonce is good once");
}

#[test]
fn every_order_type_is_written_as_documented() {
    let written = |how, order_type, time_in_force, side| {
        let order = NewOrder {
            order_type,
            time_in_force,
            side,
            ..order()
        };
        orders_with(how)
            .place(&order, NOW)
            .map(|request| {
                let from = request.body.find("\"side\"").unwrap();
                let to = request.body.find(",\"identifier\"").unwrap();
                request.body[from..to].replace('"', "")
            })
            .map_err(|refusal| refusal.why)
    };
    use MarketOrders::*;
    use OrderType::*;
    use TimeInForce::*;
    let ok = |text: &str| Ok(text.to_owned());
    let limit = "side:bid,volume:0.00006165,price:162211000,ord_type:limit";
    assert_eq!(
        written(WorstPrice, Limit, ImmediateOrCancel, Side::Buy),
        Ok(format!("{limit},time_in_force:ioc"))
    );
    assert_eq!(
        written(WorstPrice, Limit, PostOnly, Side::Buy),
        Ok(format!("{limit},time_in_force:post_only"))
    );
    assert_eq!(
        written(WorstPrice, Market, ImmediateOrCancel, Side::Sell),
        ok("side:ask,volume:0.00006165,price:162500000,ord_type:limit,time_in_force:ioc")
    );
    // 0.00006165 at 162 500 000 won is 10018.125.
    assert_eq!(
        written(AtMarket, Market, ImmediateOrCancel, Side::Buy),
        ok("side:bid,price:10018,ord_type:price")
    );
    assert_eq!(
        written(AtMarket, Market, GoodTillCancel, Side::Sell),
        ok("side:ask,volume:0.00006165,ord_type:market")
    );
    assert_eq!(
        written(Best, Market, ImmediateOrCancel, Side::Buy),
        ok("side:bid,price:10018,ord_type:best,time_in_force:ioc")
    );
    assert_eq!(
        written(Best, Market, ImmediateOrCancel, Side::Sell),
        ok("side:ask,volume:0.00006165,ord_type:best,time_in_force:ioc")
    );
    assert!(written(Best, Stop, GoodTillCancel, Side::Sell).is_err());
    assert!(written(Best, Market, PostOnly, Side::Sell).is_err());
    let refused = |change: fn(&mut NewOrder<'_>)| {
        let mut order = order();
        change(&mut order);
        orders().place(&order, NOW).unwrap_err().why
    };
    assert!(refused(|order| order.client_id = "a b").contains("client id"));
    assert!(refused(|order| order.qty = Qty(0)).contains("quantity"));
    assert!(refused(|order| order.price = Price(0)).contains("price"));
    assert!(refused(|order| order.instrument = InstrumentId(9)).contains("instrument"));
}

#[test]
fn an_outcome_is_never_guessed() {
    let placed = |status: u16, body: &str| orders().placed(&order(), Some(&response(status, body)));
    let error = |name: &str| format!(r#"{{"error":{{"name":"{name}","message":"words"}}}}"#);
    let unknown = |answer: PlaceAnswer| {
        assert!(matches!(answer, PlaceAnswer::Unknown { .. }), "{answer:?}");
    };
    unknown(orders().placed(&order(), None));
    unknown(placed(500, &error("server_error")));
    unknown(placed(400, &error("server_error")));
    unknown(placed(503, "<html>"));
    unknown(placed(400, "<html>"));
    unknown(placed(201, "<html>"));
    let stranger = rest_order("wait", "limit", "0", "\"1\"").replace("onetape-1-77", "other");
    unknown(placed(201, &stranger));
    assert_eq!(
        placed(400, &error("duplicated_identifier")),
        PlaceAnswer::Duplicate
    );
    for (status, name) in [
        (400, "insufficient_funds_bid"),
        (401, "jwt_verification"),
        (401, "out_of_scope"),
        (403, "out_of_scope"),
    ] {
        assert_eq!(
            placed(status, &error(name)),
            PlaceAnswer::Rejected {
                why: format!("{name}: words")
            }
        );
    }
    let busy = |status: u16, retry: Option<&str>| {
        let left = (
            "remaining-req".to_owned(),
            "group=order; min=1800; sec=0".to_owned(),
        );
        let retry = retry.map(|text| ("retry-after".to_owned(), text.to_owned()));
        let headers: Vec<(String, String)> = [left].into_iter().chain(retry).collect();
        let response = Response {
            status,
            headers: &headers,
            body: b"Too many API requests.",
        };
        match orders().placed(&order(), Some(&response)) {
            PlaceAnswer::Busy {
                retry_after_ms,
                why,
            } => (retry_after_ms, why),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        busy(429, None),
        (1_000, "http 429 (group order)".to_owned())
    );
    assert_eq!(busy(418, None).0, 60_000);
    assert_eq!(busy(418, Some("300")).0, 300_000);
}

/// The fact that an order's answer amounts to.
fn fact(body: &str) -> OrderFact {
    match orders().placed(&order(), Some(&response(201, body))) {
        PlaceAnswer::Accepted { facts, .. } => match &facts[..] {
            [AccountFact::Order(fact)] => fact.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_state_is_judged_by_what_was_executed() {
    for (state, kind, executed, remaining, expected) in [
        ("wait", "limit", "0", "\"1.0\"", OrderState::Acked),
        ("watch", "limit", "0", "\"1.0\"", OrderState::Acked),
        (
            "wait",
            "limit",
            "0.4",
            "\"0.6\"",
            OrderState::PartiallyFilled,
        ),
        ("done", "limit", "1.0", "\"0.0\"", OrderState::Filled),
        ("cancel", "limit", "0.4", "\"0.6\"", OrderState::Cancelled),
        ("cancel", "limit", "1", "\"0\"", OrderState::Filled),
        // A market buy ends so with a rest of its money that buys nothing.
        ("cancel", "price", "0.99999", "null", OrderState::Filled),
        ("cancel", "price", "0", "null", OrderState::Expired),
        ("cancel", "market", "0.4", "\"0.6\"", OrderState::Expired),
    ] {
        let fact = fact(&rest_order(state, kind, executed, remaining));
        assert_eq!(fact.state, expected, "{state} {kind} {executed}");
        assert_eq!(fact.key.client_id.as_deref(), Some("onetape-1-77"));
    }
    let ioc = rest_order("cancel", "limit", "0.4", "\"0.6\"")
        .replace("\"trades\"", "\"time_in_force\":\"ioc\",\"trades\"");
    assert_eq!(fact(&ioc).state, OrderState::Expired);
    let odd = rest_order("lost", "limit", "0", "\"1\"");
    let answer = orders().placed(&order(), Some(&response(201, &odd)));
    assert!(matches!(answer, PlaceAnswer::Unknown { .. }));
}

#[test]
fn a_cancel_is_a_request_whose_end_comes_later() {
    let mut wire = orders();
    let request = wire.cancel(&known(), NOW).unwrap();
    assert_eq!(
        (request.method, request.bucket, request.target.as_str()),
        (
            Method::Delete,
            Bucket::Cancel,
            "/v1/order?identifier=onetape-1-77"
        )
    );
    let mut cancelled =
        |status: u16, body: &str| wire.cancelled(&known(), Some(&response(status, body)));
    assert_eq!(
        cancelled(200, &rest_order("wait", "limit", "0", "\"1\"")),
        CancelAnswer::Accepted
    );
    assert!(matches!(
        cancelled(200, &rest_order("cancel", "limit", "0", "\"1\"")),
        CancelAnswer::Cancelled(_)
    ));
    assert_eq!(
        cancelled(200, &rest_order("done", "limit", "1", "\"0\"")),
        CancelAnswer::Gone
    );
    let gone = r#"{"error":{"name":"order_not_found","message":"x"}}"#;
    assert_eq!(cancelled(404, gone), CancelAnswer::Gone);
    let other = r#"{"error":{"name":"validation_error","message":"x"}}"#;
    assert!(matches!(
        cancelled(400, other),
        CancelAnswer::Unknown { .. }
    ));
    assert!(matches!(cancelled(429, ""), CancelAnswer::Busy { .. }));
}

fn look_up(waited_s: u64, status: u16, body: &str) -> (Result<bool, WireError>, Vec<AccountFact>) {
    let mut wire = orders();
    let requests = wire.lookup(&known(), NOW.after(waited_s * SECOND_NS));
    assert_eq!(requests[0].target, "/v1/order?identifier=onetape-1-77");
    let mut facts = Vec::new();
    let found = wire.looked_up(&known(), &[response(status, body)], &mut facts);
    (found, facts)
}

#[test]
fn an_order_is_lost_only_when_it_can_not_be_under_way_any_more() {
    let gone = r#"{"error":{"name":"order_not_found","message":"x"}}"#;
    assert!(look_up(29, 404, gone).0.is_err());
    assert_eq!(look_up(31, 404, gone), (Ok(false), vec![]));
    let scope = r#"{"error":{"name":"out_of_scope","message":"x"}}"#;
    assert!(look_up(31, 403, scope).0.is_err());
    assert!(look_up(31, 404, "<html>").0.is_err());
}

#[test]
fn a_look_up_tells_every_fill_with_its_part_of_the_fee() {
    let trade = |id: &str, volume: &str, funds: &str, second: u32| {
        format!(
            r#"{{"market":"KRW-BTC","uuid":"{id}","price":"10000000","volume":"{volume}","funds":"{funds}","side":"ask","created_at":"2025-07-28T14:04:{second}+09:00"}}"#
        )
    };
    let with = |trades: String| {
        rest_order("done", "limit", "1.0", "\"0.0\"")
            .replace("\"paid_fee\":\"0\"", "\"paid_fee\":\"5000.0\"")
            .replace("\"trades\":[]", &format!("\"trades\":[{trades}]"))
    };
    let (first, second) = (
        trade("t1", "0.25", "2500000.0", 11),
        trade("t2", "0.75", "7500000.0", 40),
    );
    let (found, facts) = look_up(1, 200, &with(format!("{first},{second}")));
    assert_eq!(found, Ok(true));
    let [
        AccountFact::Fill(first_fill),
        AccountFact::Fill(second_fill),
        AccountFact::Order(state),
    ] = &facts[..]
    else {
        panic!("{facts:?}")
    };
    assert_eq!(first_fill.fee, Some(Decimal::new(1250, 0)));
    assert_eq!(second_fill.fee, Some(Decimal::new(3750, 0)));
    assert_eq!(
        (first_fill.liquidity, second_fill.liquidity),
        (Liquidity::Taker, Liquidity::Maker),
        "what came later rested"
    );
    assert_eq!(state.state, OrderState::Filled);
    let (found, facts) = look_up(1, 200, &with(first));
    assert!(found.unwrap_err().to_string().contains("executed_volume"));
    assert!(facts.is_empty(), "a list that lags is not the truth yet");
}

fn fills_of(client_id: &str, decided_at: u64, filled: i64) -> Query {
    let so_far = FilledSoFar {
        decided_at: Nanos(decided_at),
        filled: Qty(filled),
    };
    Query::Fills {
        since: NOW,
        of: Arc::new(BTreeMap::from([(client_id.to_owned(), so_far)])),
    }
}

/// An account has thousands of orders, and each costs a request.
#[test]
fn only_orders_of_ours_that_have_more_fills_than_known_are_read_one_by_one() {
    let mut wire = orders();
    let row = rest_order("done", "limit", "1", "\"0\"");
    let mut next = |query: &Query, body: &str| {
        let closed = wire.ask(query, None, NOW);
        let cursor = wire.answer(query, &response(200, body), &mut Vec::new());
        (closed.target, cursor.unwrap().unwrap())
    };
    let known = |filled| fills_of("onetape-1-77", NOW.0 - SECOND_NS, filled);
    let (target, cursor) = next(&known(WON / 2), &format!("[{row}]"));
    assert!(target.contains("start_time=1790134681106&"), "{target}");
    assert_eq!(cursor, "order:u-1");
    assert_eq!(next(&known(WON), &format!("[{row}]")).1, "open:1");
    let others = fills_of("onetape-1-78", NOW.0, 0);
    assert_eq!(next(&others, &format!("[{row}]")).1, "open:1");
    let unnamed = row.replace("\"onetape-1-77\"", "null");
    assert_eq!(next(&others, &format!("[{unnamed}]")).1, "order:u-1");
    let many = vec![row.as_str(); CLOSED_MAX].join(",");
    assert!(
        next(&known(WON), &format!("[{many}]"))
            .1
            .starts_with("closed:")
    );
}

#[test]
fn fills_are_found_through_closed_and_open_orders() {
    let mut wire = orders();
    // Decided long ago: no further back than the limit.
    let query = fills_of("onetape-1-77", NOW.0 - 8 * DAY_NS, 0);
    let closed = wire.ask(&query, None, NOW.after(DAY_NS));
    assert_eq!(
        closed.target,
        "/v1/orders/closed?states[]=done&states[]=cancel&start_time=1789529942106&end_time=1790134742106&limit=1000&order_by=asc"
    );
    let row = rest_order("done", "limit", "1", "\"0\"");
    let empty = rest_order("cancel", "limit", "0", "\"1\"");
    let read = |wire: &mut Orders, body: &str| {
        let mut facts = Vec::new();
        let cursor = wire.answer(&query, &response(200, body), &mut facts);
        (cursor.unwrap(), facts.len())
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        read(&mut wire, &format!("[{row},{empty}]")),
        (text("order:u-1"), 0),
        "only orders that have fills"
    );
    let one = wire.ask(&query, Some("order:u-1"), NOW);
    assert_eq!(one.target, "/v1/order?uuid=u-1");
    let trades = r#""trades":[{"uuid":"t1","price":"1","volume":"1","funds":"1","created_at":"2026-09-23T12:39:01+09:00"}]"#;
    let detail = row.replace("\"trades\":[]", trades);
    let (next, facts) = read(&mut wire, &detail);
    assert_eq!(
        (next.as_deref(), facts),
        (Some("closed:1790134742106000000"), 0)
    );
    let closed = wire.ask(&query, next.as_deref(), NOW.after(DAY_NS));
    assert!(
        closed
            .target
            .contains("start_time=1790134742106&end_time=1790221142106")
    );
    assert_eq!(read(&mut wire, "[]"), (text("open:1"), 0));
    let open = wire.ask(&query, Some("open:1"), NOW);
    assert_eq!(
        open.target,
        "/v1/orders/open?states[]=wait&states[]=watch&page=1&limit=100&order_by=asc"
    );
    let full = vec![empty.as_str(); OPEN_MAX].join(",");
    assert_eq!(read(&mut wire, &format!("[{full}]")), (text("open:2"), 0));
    wire.ask(&query, Some("open:2"), NOW);
    assert_eq!(read(&mut wire, &format!("[{row}]")), (text("order:u-1"), 0));
    wire.ask(&query, Some("order:u-1"), NOW);
    let late = detail.replace("12:39:01", "12:39:02");
    assert_eq!(read(&mut wire, &late), (None, 1));
}

#[test]
fn open_orders_come_in_pages() {
    let mut wire = orders();
    let row = rest_order("wait", "limit", "0", "\"1\"");
    let other = row.replace("KRW-BTC", "KRW-DOGE");
    wire.ask(&Query::OpenOrders, None, NOW);
    let full = format!("[{other},{}]", vec![row.as_str(); OPEN_MAX - 1].join(","));
    let mut facts = Vec::new();
    let next = wire.answer(&Query::OpenOrders, &response(200, &full), &mut facts);
    assert_eq!((next, facts.len()), (Ok(Some("2".to_owned())), 99));
    let request = wire.ask(&Query::OpenOrders, Some("2"), NOW);
    assert!(request.target.contains("page=2"));
    let next = wire.answer(&Query::OpenOrders, &response(200, "[]"), &mut facts);
    assert_eq!(next, Ok(None));
}

#[test]
fn what_a_market_trades_is_a_holding() {
    let body = r#"[{"currency":"KRW","balance":"1000000.0","locked":"0.0"},{"currency":"BTC","balance":"0.123456789","locked":"1"}]"#;
    let mut facts = Vec::new();
    let next = orders().answer(&Query::Holdings, &response(200, body), &mut facts);
    assert_eq!(next, Ok(None));
    assert_eq!(
        facts,
        [AccountFact::Holding(Holding {
            instrument: InstrumentId(0),
            qty: Qty(112_345_678)
        })]
    );
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(
        status in 0u16..700, bytes in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, byte: u8,
    ) {
        let mut mutated = rest_order("done", "limit", "1", "\"0\"").into_bytes();
        let place = at.index(mutated.len());
        mutated[place] = byte;
        for body in [bytes, mutated] {
            let mut wire = orders();
            let response = Response { status, headers: &[], body: &body };
            wire.placed(&order(), Some(&response));
            wire.cancelled(&known(), Some(&response));
            let mut facts = Vec::new();
            let _ = wire.looked_up(&known(), &[response], &mut facts);
            for query in [Query::OpenOrders, Query::Holdings, Query::Balances, Query::Fills { since: NOW, of: Arc::default() }] {
                wire.ask(&query, None, NOW);
                let _ = wire.answer(&query, &response, &mut facts);
            }
        }
    }
}

#[test]
fn the_venues_own_count_leaves_the_last_request_of_a_second_to_a_cancel() {
    let pause = |left: &str| {
        let headers = [("remaining-req".to_owned(), left.to_owned())];
        let response = Response {
            status: 200,
            headers: &headers,
            body: b"{}",
        };
        orders().pause_ms(&response, Nanos(1_700_000_000_250 * 1_000_000))
    };
    assert_eq!(pause("group=order; min=1800; sec=2"), None);
    assert_eq!(pause("group=order; min=1800; sec=1"), Some(750));
    assert_eq!(pause("group=order; min=1800; sec=0"), Some(750));
    assert_eq!(pause("nonsense"), None);
}
