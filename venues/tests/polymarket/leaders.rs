//! Wallets to copy: rows of two views and of the stream, and what they hold.
use super::{events, instruments, ok};
use onetape_engine::event::{Event, LeaderPortfolio, LeaderTrade, Liquidity};
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_venues::gateway::{Feed, Outbox};
use onetape_venues::polygon::{Address, hex};
use onetape_venues::polymarket::{LeaderFeed, LeaderFeedConfig, Role, trade_rows};
use serde_json::{Value, json};

const WALLET: Address = Address([0xab; 20]);

fn row(asset: &str, price: f64, size: f64, transaction: &str) -> Value {
    json!({
        "proxyWallet": WALLET.to_string(), "side": "BUY", "asset": asset, "conditionId": "0x1", "size": size,
        "price": price, "timestamp": 1_795_253_400u64, "transactionHash": transaction, "title": "It's \"quoted\"",
    })
}

fn feed() -> LeaderFeed {
    LeaderFeed::new(
        LeaderFeedConfig::default(),
        instruments(&["1", "2"]),
        &[WALLET],
    )
}

fn trades(out: &Outbox) -> Vec<LeaderTrade> {
    let read = |(kind, payload): (onetape_engine::event::Kind, &[u8])| match Event::decode(
        kind.number(),
        payload,
    )
    .unwrap()
    {
        Event::LeaderTrade(trade) => *trade,
        other => panic!("{other:?}"),
    };
    out.events().map(read).collect()
}

#[test]
fn equal_rows_of_a_page_are_counted_and_others_are_not() {
    let page = json!([
        row("1", 0.5, 10.0, "0xa"),
        row("1", 0.5, 10.0, "0xa"),
        row("1", 0.5, 10.0, "0xb"),
        row("9", 0.5, 10.0, "0xa"),
        row("1", 0.5, 10.5, "0xa"),
        row("1", 0.5, 10.0, "0xA"),
    ]);
    let rows = trade_rows(&ok(&page.to_string()), Role::Both, &instruments(&["1"])).unwrap();
    let places: Vec<u32> = rows.iter().map(|row| row.occurrence).collect();
    assert_eq!(places, [0, 1, 0, 0, 2]);
    assert!(rows.iter().all(|row| row.liquidity == Liquidity::Maker));
}

#[test]
fn quotients_are_rounded_to_the_tokens_decimals() {
    let page = json!([row("1", 0.549_999_967_213_114_8, 12.345_678_9, "0xa")]).to_string();
    let rows = trade_rows(&ok(&page), Role::Taker, &instruments(&["1"])).unwrap();
    assert_eq!((rows[0].price.0, rows[0].qty.0), (5_500, 12_345_679));
    assert_eq!(
        (rows[0].wallet.as_str(), rows[0].liquidity),
        (hex(&[0xab; 20]).as_str(), Liquidity::Taker)
    );
    for bad in [
        row("1", 0.0, 1.0, "0xa"),
        row("1", 0.5, -1.0, "0xa"),
        row("1", 0.5, 1.0, ""),
    ] {
        let page = json!([bad]).to_string();
        assert!(trade_rows(&ok(&page), Role::Taker, &instruments(&["1"])).is_err());
    }
}

#[test]
fn the_stream_tells_of_listed_wallets_and_tokens_alone() {
    let mut feed = feed();
    let mut out = Outbox::default();
    feed.opened(Nanos(SECOND_NS), &mut out);
    let mut say = |payload: Value| {
        out.clear();
        let message = json!({"topic": "activity", "type": "orders_matched", "payload": payload});
        feed.message(message.to_string().as_bytes(), Nanos(SECOND_NS), &mut out)
            .unwrap();
        trades(&out)
    };
    let heard = say(row("1", 0.5, 10.0, "0xa"));
    assert_eq!(
        (heard.len(), heard[0].liquidity, heard[0].occurrence),
        (1, Liquidity::Maker, 0)
    );
    let mut stranger = row("1", 0.5, 10.0, "0xa");
    stranger["proxyWallet"] = json!(Address([1; 20]).to_string());
    assert!(say(stranger).is_empty());
    assert!(say(row("9", 0.5, 10.0, "0xa")).is_empty());
    for nothing in ["", "pong", "PONG"] {
        assert!(feed.message(nothing.as_bytes(), Nanos(0), &mut out).is_ok());
    }
}

#[test]
fn wallets_are_asked_for_on_schedule_and_a_silent_stream_is_left() {
    let mut feed = feed();
    let mut out = Outbox::default();
    feed.tick(Nanos(SECOND_NS), &mut out);
    assert!(out.requests().is_empty());
    feed.opened(Nanos(SECOND_NS), &mut out);
    feed.tick(Nanos(SECOND_NS), &mut out);
    let user = hex(&[0xab; 20]);
    let asked: Vec<(u32, String)> = out
        .requests()
        .iter()
        .map(|(tag, r)| (*tag, r.target.clone()))
        .collect();
    assert_eq!(
        asked,
        [
            (0, format!("/trades?user={user}&limit=500&takerOnly=true")),
            (1, format!("/trades?user={user}&limit=500&takerOnly=false")),
            (
                2,
                format!("/positions?user={user}&sizeThreshold=0&limit=500&offset=0")
            ),
        ]
    );
    // The newest row comes first and goes onto the tape last.
    out.clear();
    let page = json!([row("1", 0.6, 1.0, "0xb"), row("1", 0.5, 1.0, "0xa")]).to_string();
    feed.response(0, Some(&ok(&page)), Nanos(SECOND_NS), &mut out)
        .unwrap();
    let told: Vec<i64> = trades(&out).iter().map(|row| row.price.0).collect();
    assert_eq!(told, [5_000, 6_000]);
    out.clear();
    for second in 2..60 {
        feed.tick(Nanos(second * SECOND_NS), &mut out);
    }
    assert_eq!(out.requests().len(), 10);
    assert_eq!(out.wants_reconnect(), None);
    feed.tick(Nanos(61 * SECOND_NS), &mut out);
    assert!(out.wants_reconnect().is_some());
}

#[test]
fn a_portfolio_is_positions_and_cash_together() {
    let mut feed = feed();
    let mut out = Outbox::default();
    let positions = json!([
        {"proxyWallet": WALLET.to_string(), "asset": "2", "size": 10.25, "currentValue": 5.125},
        {"proxyWallet": WALLET.to_string(), "asset": "9", "size": 1, "currentValue": 0.5},
    ]);
    feed.response(
        2,
        Some(&ok(&positions.to_string())),
        Nanos(SECOND_NS),
        &mut out,
    )
    .unwrap();
    assert!(events(&out).is_empty());
    let (tag, request) = &out.requests()[0];
    assert_eq!((*tag, request.base), (3, "rpc"));
    let cash =
        json!({"jsonrpc": "2.0", "id": 3, "result": format!("0x{:064x}", 100_000_000)}).to_string();
    out.clear();
    // Without the cash there is no value.
    assert!(
        feed.response(
            3,
            Some(&ok(r#"{"id":3,"result":"0x"}"#)),
            Nanos(0),
            &mut out
        )
        .is_err()
    );
    feed.response(3, Some(&ok(&cash)), Nanos(9 * SECOND_NS), &mut out)
        .unwrap();
    let (kind, payload) = out.events().next().unwrap();
    let Event::LeaderPortfolio(found) = Event::decode(kind.number(), payload).unwrap() else {
        panic!("no portfolio")
    };
    let LeaderPortfolio {
        value_usd,
        holdings,
        taken_at,
        ..
    } = *found;
    assert_eq!(value_usd.to_string(), "105.625");
    assert_eq!((holdings.len(), holdings[0].qty.0), (1, 10_250_000));
    assert_eq!(taken_at, Nanos(SECOND_NS));
    // Another wallet's positions are refused.
    let other = positions
        .to_string()
        .replace("aB", "aC")
        .replace("ab", "ac")
        .replace("AB", "AC")
        .replace("Ab", "Ac");
    assert!(
        feed.response(2, Some(&ok(&other)), Nanos(0), &mut out)
            .is_err()
    );
}
