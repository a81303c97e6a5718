//! The order interface: what is sent, and what every answer means.
use super::{answer, credentials, instruments, ok};
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_venues::gateway::{
    AccountFact, CancelAnswer, KnownOrder, NewOrder, OrderWire, PlaceAnswer, Query,
};
use onetape_venues::polygon::hex;
use onetape_venues::polymarket::eip712::Signer;
use onetape_venues::polymarket::{
    ExchangeVersion, OrderConfig, Orders, Token, Tokens, Wallet, WalletKind, read_version, salt,
};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::Arc;

/// The development key that every chain simulator publishes as its first.
pub(crate) const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const DECIDED: u64 = 1_780_449_126_930_000_000;

pub(crate) fn orders() -> Orders {
    of(OrderConfig::default(), false)
}

fn of(config: OrderConfig, neg_risk: bool) -> Orders {
    let signer = Signer::new(&SecretString::from(KEY)).unwrap();
    let wallet = Wallet::new(signer, WalletKind::Key, None).unwrap();
    let tokens = Tokens::default();
    let token = Token {
        condition_id: "0xc".to_owned(),
        tick: "0.01".parse().unwrap(),
        neg_risk,
    };
    tokens.insert("1234", token);
    Orders::new(
        config,
        instruments(&["1234", "77"]),
        tokens,
        wallet,
        credentials(),
    )
}

pub(crate) fn buy() -> NewOrder<'static> {
    NewOrder {
        order: OrderId(7),
        client_id: "s1-7",
        instrument: InstrumentId(0),
        side: Side::Buy,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(5_600),
        worst_price: Price(0),
        qty: Qty(21_040_000),
        decided_at: Nanos(DECIDED),
    }
}

fn body(order: &NewOrder<'_>) -> Value {
    let request = orders().place(order, Nanos(DECIDED)).unwrap();
    serde_json::from_str(&request.body).unwrap()
}

#[test]
fn each_kind_of_order_has_its_word() {
    let kind = |order: &NewOrder<'_>| {
        let body = body(order);
        (
            body["orderType"].as_str().unwrap().to_owned(),
            body["postOnly"].as_bool().unwrap(),
            body["order"]["makerAmount"].as_str().unwrap().to_owned(),
            body["order"]["takerAmount"].as_str().unwrap().to_owned(),
        )
    };
    let is = |word: &str, post_only, maker: &str, taker: &str| {
        (
            word.to_owned(),
            post_only,
            maker.to_owned(),
            taker.to_owned(),
        )
    };
    assert_eq!(kind(&buy()), is("GTC", false, "11782400", "21040000"));
    let post_only = NewOrder {
        time_in_force: TimeInForce::PostOnly,
        ..buy()
    };
    assert_eq!(kind(&post_only), is("GTC", true, "11782400", "21040000"));
    let at_once = NewOrder {
        time_in_force: TimeInForce::ImmediateOrCancel,
        ..buy()
    };
    assert_eq!(kind(&at_once), is("FAK", false, "11780000", "21035700"));
    let market = NewOrder {
        order_type: OrderType::Market,
        price: Price(0),
        worst_price: Price(5_000),
        side: Side::Sell,
        ..buy()
    };
    assert_eq!(kind(&market), is("FAK", false, "21040000", "10520000"));
}

#[test]
fn what_the_venue_has_not_is_refused_before_it_is_sent() {
    let refused = |order: NewOrder<'_>| orders().place(&order, Nanos(DECIDED)).unwrap_err().why;
    let stop = NewOrder {
        order_type: OrderType::Stop,
        ..buy()
    };
    assert!(refused(stop).contains("stop"));
    let unlisted = NewOrder {
        instrument: InstrumentId(1),
        ..buy()
    };
    assert!(refused(unlisted).contains("not listed"));
    let other_venue = NewOrder {
        instrument: InstrumentId(5),
        ..buy()
    };
    assert!(refused(other_venue).contains("none of this venue"));
    let off_grid = NewOrder {
        price: Price(5_650),
        ..buy()
    };
    assert!(refused(off_grid).contains("multiple of the tick"));
    let no_price = NewOrder {
        order_type: OrderType::Market,
        ..buy()
    };
    assert!(refused(no_price).contains("price"));
    let small = NewOrder {
        time_in_force: TimeInForce::ImmediateOrCancel,
        price: Price(100),
        ..buy()
    };
    assert!(refused(small).contains("1 USD"));
    // No neg-risk exchange of version 3 is known.
    let config = OrderConfig {
        version: ExchangeVersion::V3,
        ..OrderConfig::default()
    };
    assert!(of(config, true).place(&buy(), Nanos(0)).is_err());
    assert!(of(config, false).place(&buy(), Nanos(0)).is_ok());
}

#[test]
fn the_bytes_of_an_order_follow_from_the_tape_alone() {
    let mut orders = orders();
    let first = orders.place(&buy(), Nanos(DECIDED)).unwrap();
    let again = orders
        .place(&buy(), Nanos(DECIDED + 3 * SECOND_NS))
        .unwrap();
    assert_eq!(first.body, again.body);
    // The request's own signature is another one: it is made when it is sent.
    assert_ne!(first.headers, again.headers);
    assert_eq!((first.target.as_str(), first.base), ("/order", "rest"));
    let headers: Vec<&str> = first.headers.iter().map(|(name, _)| *name).collect();
    assert!(headers.contains(&"POLY_SIGNATURE") && headers.contains(&"POLY_PASSPHRASE"));
    // Another id, time or exchange is another order.
    let id = |order: NewOrder<'_>| orders.venue_id(&order).unwrap();
    let other_id = NewOrder {
        client_id: "s1-8",
        ..buy()
    };
    let later = NewOrder {
        decided_at: Nanos(DECIDED + 1_000_000),
        ..buy()
    };
    assert_eq!(id(buy()), id(buy()));
    assert!(id(buy()) != id(other_id) && id(buy()) != id(later));
    assert_ne!(
        of(OrderConfig::default(), true).venue_id(&buy()),
        Ok(id(buy()))
    );
    // A change of the tick leaves the id of a market buy as it was.
    assert!(salt("s1-7") < 1 << 53 && salt("s1-7") != salt("s1-8"));
}

fn placed(order: &NewOrder<'_>, status: u16, body: &str) -> PlaceAnswer {
    orders().placed(order, Some(&answer(status, body)))
}

#[test]
fn a_fak_order_is_over_with_its_answer_unless_it_is_delayed() {
    let fak = NewOrder {
        time_in_force: TimeInForce::ImmediateOrCancel,
        ..buy()
    };
    let id = hex(&orders().venue_id(&fak).unwrap());
    let state = |status: &str, taking: &str| {
        let body = json!({
            "success": true, "orderID": id, "status": status, "makingAmount": "", "takingAmount": taking,
        });
        match placed(&fak, 200, &body.to_string()) {
            PlaceAnswer::Accepted { facts, .. } => match &facts[..] {
                [AccountFact::Order(fact)] => (fact.state, fact.filled.unwrap().0),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        state("matched", "10.5"),
        (OrderState::Cancelled, 10_500_000)
    );
    // What its dollars bought of the 21.04 asked for.
    assert_eq!(
        state("matched", "21.0357"),
        (OrderState::Filled, 21_035_700)
    );
    // A better price than the limit brings more.
    assert_eq!(state("matched", "22.5"), (OrderState::Filled, 22_500_000));
    assert_eq!(state("delayed", ""), (OrderState::Acked, 0));
    let nobody = json!({"error": "no orders found to match with FAK order. FAK orders are partially filled or killed."});
    let PlaceAnswer::Accepted { facts, .. } = placed(&fak, 400, &nobody.to_string()) else {
        panic!("not accepted")
    };
    assert!(matches!(&facts[..], [AccountFact::Order(fact)] if fact.state == OrderState::Expired));
}

#[test]
fn no_answer_is_unknown_and_a_secret_is_in_none_of_the_texts() {
    let mut orders = orders();
    assert!(matches!(
        orders.placed(&buy(), None),
        PlaceAnswer::Unknown { .. }
    ));
    let request = orders.place(&buy(), Nanos(DECIDED)).unwrap();
    assert_eq!(format!("{request:?}"), "POST rest:/order");
    let shown = format!("{orders:?}");
    assert!(!shown.contains("AAAAAAAA") && !shown.contains("ac0974"));
}

fn known() -> KnownOrder<'static> {
    KnownOrder {
        order: buy(),
        venue_id: None,
    }
}

/// A look-up made so many seconds after the decision.
fn looked_up(
    seconds: u64,
    order: (u16, &str),
    trades: &Value,
) -> (Result<bool, String>, Vec<AccountFact>) {
    let mut orders = orders();
    let requests = orders.lookup(&known(), Nanos(DECIDED + seconds * SECOND_NS));
    let id = hex(&orders.venue_id(&buy()).unwrap());
    assert_eq!(requests[0].target, format!("/data/order/{id}"));
    assert_eq!(
        requests[1].target,
        "/data/trades?market=0xc&after=1780449066"
    );
    let mut facts = Vec::new();
    let trades = trades.to_string().replace("$ID", &id);
    let found = orders.looked_up(
        &known(),
        &[answer(order.0, &order.1.replace("$ID", &id)), ok(&trades)],
        &mut facts,
    );
    (found.map_err(|why| why.to_string()), facts)
}

fn no_trades() -> Value {
    json!({"data": [], "next_cursor": "LTE=", "limit": 100, "count": 0})
}

fn one_trade(size: &str) -> Value {
    json!({"data": [{
        "id": "t-1", "status": "CONFIRMED", "asset_id": "1234", "side": "BUY", "size": size, "price": "0.55",
        "taker_order_id": "$ID", "owner": "our-key", "trader_side": "TAKER", "match_time": "1780449127",
        "maker_orders": [],
    }], "next_cursor": "LTE="})
}

#[test]
fn only_time_and_two_empty_answers_prove_that_an_order_never_was() {
    for none in [(404, "{}"), (200, "null"), (200, ""), (200, " \n")] {
        assert_eq!(looked_up(61, none, &no_trades()).0, Ok(false));
        assert!(
            looked_up(59, none, &no_trades())
                .0
                .unwrap_err()
                .contains("not yet")
        );
    }
    // An answer that failed proves nothing.
    for failed in [(500, "{}"), (425, ""), (401, "{}"), (200, "[]")] {
        assert!(looked_up(61, failed, &no_trades()).0.is_err(), "{failed:?}");
    }
    let page = json!({"data": [], "next_cursor": "MTAw"});
    assert!(
        looked_up(61, (404, ""), &page)
            .0
            .unwrap_err()
            .contains("more pages")
    );
}

#[test]
fn an_order_that_is_not_at_work_is_known_by_its_trades() {
    for (size, state, filled) in [
        ("21.04", OrderState::Filled, 21_040_000),
        ("5", OrderState::Cancelled, 5_000_000),
    ] {
        let (found, facts) = looked_up(1, (404, ""), &one_trade(size));
        assert_eq!(found, Ok(true));
        let [AccountFact::Fill(fill), AccountFact::Order(order)] = &facts[..] else {
            panic!("{facts:?}")
        };
        assert_eq!(
            (fill.price, fill.qty, fill.is_final),
            (Price(5_500), Qty(filled), true)
        );
        assert_eq!((order.state, order.filled), (state, Some(Qty(filled))));
    }
    // A trade that failed is none; one of another order is none of ours.
    let mut failed = one_trade("5");
    failed["data"][0]["status"] = json!("FAILED");
    let (found, facts) = looked_up(61, (404, ""), &failed);
    assert_eq!(found, Ok(false));
    assert!(matches!(&facts[..], [AccountFact::FillReversed { .. }]));
    let mut other = one_trade("5");
    other["data"][0]["taker_order_id"] = json!("0xdd");
    assert_eq!(looked_up(61, (404, ""), &other), (Ok(false), Vec::new()));
}

#[test]
fn an_order_at_work_is_told_with_its_fills_first() {
    let at_work = r#"{"id":"$ID","status":"LIVE","asset_id":"1234","original_size":"21.04","size_matched":"5"}"#;
    let (found, facts) = looked_up(1, (200, at_work), &one_trade("5"));
    assert_eq!(found, Ok(true));
    assert!(
        matches!(&facts[..], [AccountFact::Fill(_), AccountFact::Order(o)] if o.state == OrderState::PartiallyFilled)
    );
    let other = at_work.replace("$ID", "0xee");
    assert!(looked_up(1, (200, &other), &no_trades()).0.is_err());
}

#[test]
fn a_cancel_names_the_hash_whether_or_not_the_venue_told_it() {
    let mut orders = orders();
    let id = hex(&orders.venue_id(&buy()).unwrap());
    let request = orders.cancel(&known(), Nanos(DECIDED)).unwrap();
    assert_eq!(request.body, format!(r#"{{"orderID":"{id}"}}"#));
    let body = format!(r#"{{"canceled":["{id}"]}}"#);
    let CancelAnswer::Cancelled(facts) = orders.cancelled(&known(), Some(&ok(&body))) else {
        panic!("not cancelled")
    };
    assert!(
        matches!(&facts[..], [AccountFact::Order(f)] if f.key.client_id.as_deref() == Some("s1-7"))
    );
}

#[test]
fn pages_follow_their_cursors_to_the_end() {
    let mut orders = orders();
    let mut facts = Vec::new();
    let page = |next: &str| json!({"data": [], "next_cursor": next}).to_string();
    let next = orders
        .answer(&Query::OpenOrders, &ok(&page("MTA+")), &mut facts)
        .unwrap();
    let request = orders.ask(&Query::OpenOrders, next.as_deref(), Nanos(0));
    assert_eq!(request.target, "/data/orders?next_cursor=MTA%2B");
    for last in ["LTE=", ""] {
        let next = orders
            .answer(&Query::OpenOrders, &ok(&page(last)), &mut facts)
            .unwrap();
        assert_eq!(next, None);
    }
    let fills = Query::Fills {
        since: Nanos(DECIDED),
        of: Arc::default(),
    };
    let request = orders.ask(&fills, Some("MTA="), Nanos(0));
    assert_eq!(
        request.target,
        "/data/trades?after=1780449126&next_cursor=MTA%3D"
    );
    // Positions are paged by their number.
    let position = json!({"asset": "1234", "size": 0.1});
    let full = Value::Array(vec![position; 500]).to_string();
    orders.ask(&Query::Holdings, None, Nanos(0));
    let next = orders
        .answer(&Query::Holdings, &ok(&full), &mut facts)
        .unwrap();
    assert_eq!(next.as_deref(), Some("500"));
    let request = orders.ask(&Query::Holdings, next.as_deref(), Nanos(0));
    assert!(
        request.target.ends_with("&offset=500"),
        "{}",
        request.target
    );
    let next = orders
        .answer(&Query::Holdings, &ok(&full), &mut facts)
        .unwrap();
    assert_eq!(next.as_deref(), Some("1000"));
}

#[test]
fn heartbeats_are_a_chain() {
    let mut orders = orders();
    let beat = |orders: &mut Orders| orders.keep_alive(Nanos(DECIDED)).unwrap();
    let (first, every_ms) = beat(&mut orders);
    assert_eq!((first.target.as_str(), every_ms), ("/v1/heartbeats", 5_000));
    assert_eq!(first.body, r#"{"heartbeat_id":null}"#);
    orders.kept_alive(Some(&ok(r#"{"heartbeat_id":"h1"}"#)));
    assert_eq!(beat(&mut orders).0.body, r#"{"heartbeat_id":"h1"}"#);
    // A refusal names the right one; no answer changes nothing.
    orders.kept_alive(Some(&answer(
        400,
        r#"{"error":"Invalid Heartbeat ID","heartbeat_id":"h7"}"#,
    )));
    orders.kept_alive(None);
    assert_eq!(beat(&mut orders).0.body, r#"{"heartbeat_id":"h7"}"#);
    orders.kept_alive(Some(&ok(r#"{"status":"ok"}"#)));
    assert_eq!(beat(&mut orders).0.body, r#"{"heartbeat_id":null}"#);
    let off = OrderConfig {
        heartbeats: false,
        ..OrderConfig::default()
    };
    assert!(of(off, false).keep_alive(Nanos(0)).is_none());
}

#[test]
fn the_venues_clock_and_version_are_read() {
    let mut orders = orders();
    assert_eq!(orders.ask_time(Nanos(0)).unwrap().target, "/time");
    assert_eq!(
        orders.time(&ok("1795253400")),
        Ok(Nanos(1_795_253_400 * SECOND_NS))
    );
    assert_eq!(
        orders.time(&ok(r#""1795253400""#)),
        Ok(Nanos(1_795_253_400 * SECOND_NS))
    );
    assert!(orders.time(&ok("-1")).is_err());
    assert_eq!(
        read_version(&ok(r#"{"version":2}"#)),
        Ok(ExchangeVersion::V2)
    );
    assert_eq!(
        read_version(&ok(r#"{"version":3}"#)),
        Ok(ExchangeVersion::V3)
    );
    assert!(read_version(&ok(r#"{"version":1}"#)).is_err());
}

proptest! {
    /// Every order that can be placed is one whose signature proves it, and its id is the hash that the venue will find.
    #[test]
    fn orders_sign_what_they_say(ticks in 1i64..100, qty in 500i64..100_000_000, kind in 0usize..3, sell: bool) {
        let order = NewOrder {
            side: if sell { Side::Sell } else { Side::Buy },
            time_in_force: [TimeInForce::GoodTillCancel, TimeInForce::PostOnly, TimeInForce::ImmediateOrCancel][kind],
            price: Price(ticks * 100),
            qty: Qty(qty * 10_000),
            ..buy()
        };
        let mut orders = orders();
        let Ok(request) = orders.place(&order, Nanos(DECIDED)) else {
            // Only at the ends of the grid, or below a dollar.
            prop_assert!(ticks == 100 || ticks * qty < 10_000 + 100);
            return Ok(());
        };
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let (signed, exchange, _) = orders.order(&order).unwrap();
        let signature = body["order"]["signature"].as_str().unwrap();
        prop_assert_eq!(signed.signed_by(&exchange, signature), Some(signed.signer));
        prop_assert_eq!(signed.hash(&exchange), orders.venue_id(&order).unwrap());
        prop_assert_eq!(body["order"]["salt"].as_u64(), Some(signed.salt));
    }
}
