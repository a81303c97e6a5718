//! Our client against the local exchange's Binance face, over real sockets on the loopback.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do
mod loopback;

use loopback::{Connection, ago, exchange, send, serve};
use onetape_engine::event::{
    Aggressor, BookHeader, BookUpdate, Event, FeeSchedule, InstrumentDefined, InstrumentType,
    Level, Liquidity, Trade, TradingRules, TradingStatus,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use onetape_venues::binance::{
    FeedConfig, MarketFeed, Markets, Orders, OrdersConfig, Pairs, Product, Signer, UserConfig,
    UserFeed,
};
use onetape_venues::exchange::{
    Cash, Exchange, Fault, RequestFault, SocketFault, binance, wall_now,
};
use onetape_venues::gateway::{
    AccountFact, CancelAnswer, FillFact, Instruments, KnownOrder, Listed, Listings, NewOrder,
    OrderWire, PlaceAnswer, Query, Request, Response,
};
use rust_decimal::Decimal;
use std::net::SocketAddr;
use std::sync::Arc;

const BTC: InstrumentId = InstrumentId(0);
const DECIMALS: Decimals = Decimals { price: 2, qty: 5 };
/// RFC 8410, section 10.3.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----";

fn definition() -> InstrumentDefined {
    InstrumentDefined {
        instrument: BTC,
        venue: "binance".into(),
        symbol: "BTCUSDT".into(),
        instrument_type: InstrumentType::Spot,
        base: "BTC".into(),
        quote: "USDT".into(),
        decimals: DECIMALS,
    }
}

fn rules() -> TradingRules {
    TradingRules {
        instrument: BTC,
        effective_from: Nanos(0),
        tick_size: Price(1),
        lot_size: Qty(1),
        min_qty: Qty(1),
        min_notional: Money::from_decimal(Decimal::from(5)).unwrap(),
        min_price: Price(1),
        max_price: Price(100_000_000),
        bands: Vec::new(),
        allows_short: false,
    }
}

fn fees() -> FeeSchedule {
    FeeSchedule {
        instrument: BTC,
        effective_from: Nanos(0),
        maker: FeeFormula::notional(Decimal::new(1, 3)),
        taker: FeeFormula::notional(Decimal::new(1, 3)),
        rounding: Rounding {
            decimals: 8,
            mode: RoundingMode::Up,
        },
        source: "test".into(),
        accrual: FeeAccrual::PerFill,
    }
}

fn level(price: i64, qty: i64) -> Level {
    Level {
        price: Price(price),
        qty: Qty(qty),
    }
}

fn evolve(exchange: &Exchange, event: &Event<'_>) {
    exchange.with(|truth| truth.evolve(wall_now(), event).unwrap());
}

fn book(exchange: &Exchange, is_snapshot: bool, bids: &[Level], asks: &[Level]) {
    let header = BookHeader {
        instrument: BTC,
        bids: bids.len() as u32,
        asks: asks.len() as u32,
        ..BookHeader::default()
    };
    let update = BookUpdate {
        header: &header,
        bids,
        asks,
    };
    let event = if is_snapshot {
        Event::BookSnapshot(update)
    } else {
        Event::BookDelta(update)
    };
    evolve(exchange, &event);
}

fn trade(exchange: &Exchange, id: u64, price: i64, qty: i64) {
    let trade = Trade {
        instrument: BTC,
        aggressor: Aggressor::Seller.byte(),
        trade_id: id,
        price: Price(price),
        qty: Qty(qty),
        ..Trade::default()
    };
    evolve(exchange, &Event::Trade(&trade));
}

fn hmac() -> Signer {
    Signer::hmac("key".into(), &"secret".into())
}

/// 35000.00 bid for 1 BTC, 35001.00 asked for 0.5; 100 000 USDT.
async fn start(signer: Signer) -> (Arc<Exchange>, SocketAddr) {
    let cash = Cash::from([(
        ("binance".to_owned(), "USDT".to_owned()),
        Decimal::from(100_000),
    )]);
    let exchange = exchange(cash);
    for event in [
        Event::InstrumentDefined(Box::new(definition())),
        Event::TradingRules(rules()),
        Event::FeeSchedule(Box::new(fees())),
    ] {
        evolve(&exchange, &event);
    }
    let bids = [level(3_500_000, 100_000), level(3_499_000, 200_000)];
    let asks = [level(3_500_100, 50_000), level(3_500_200, 300_000)];
    book(&exchange, true, &bids, &asks);
    let face = binance::router(Arc::clone(&exchange), binance::Keys::new(signer));
    let address = serve(face).await;
    (exchange, address)
}

fn market_feed(address: SocketAddr) -> Connection<MarketFeed> {
    let listed = Listed {
        instrument: BTC,
        symbol: "BTCUSDT".into(),
        decimals: DECIMALS,
    };
    let mut config = FeedConfig::new(Product::Spot);
    config.first_diff_ns = 50_000_000;
    config.snapshot_retry_ns = 50_000_000;
    let feed = MarketFeed::new(config, &Instruments::new([listed])).unwrap();
    Connection::new(feed, address, &[(definition(), rules())])
}

fn pairs() -> Pairs {
    Pairs::new(&[definition()])
}

fn user_feed(address: SocketAddr, signer: Signer) -> Connection<UserFeed> {
    let feed = UserFeed::new(UserConfig::default(), signer, pairs());
    Connection::new(feed, address, &[(definition(), rules())])
}

fn orders() -> Orders {
    Orders::new(OrdersConfig::default(), hmac(), pairs())
}

fn limit(client_id: &str, side: Side, price: i64, qty: i64) -> NewOrder<'_> {
    NewOrder {
        order: OrderId(1),
        client_id,
        instrument: BTC,
        side,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(price),
        worst_price: Price(price),
        qty: Qty(qty),
        decided_at: wall_now(),
    }
}

fn known<'a>(order: &NewOrder<'a>) -> KnownOrder<'a> {
    KnownOrder {
        order: order.clone(),
        venue_id: None,
    }
}

async fn place(wire: &mut Orders, address: SocketAddr, order: &NewOrder<'_>) -> PlaceAnswer {
    let request = wire.place(order, wall_now()).unwrap();
    let answer = send(address, &request).await;
    let response = answer.as_ref().map(|answer| answer.response());
    wire.placed(order, response.as_ref())
}

async fn cancel(wire: &mut Orders, address: SocketAddr, order: &NewOrder<'_>) -> CancelAnswer {
    let request = wire.cancel(&known(order), wall_now()).unwrap();
    let answer = send(address, &request).await;
    let response = answer.as_ref().map(|answer| answer.response());
    wire.cancelled(&known(order), response.as_ref())
}

async fn look_up(
    wire: &mut Orders,
    address: SocketAddr,
    order: &NewOrder<'_>,
) -> (bool, Vec<AccountFact>) {
    let requests = wire.lookup(&known(order), wall_now());
    let mut answers = Vec::new();
    for request in &requests {
        answers.push(send(address, request).await.unwrap());
    }
    let responses: Vec<Response<'_>> = answers.iter().map(|answer| answer.response()).collect();
    let mut facts = Vec::new();
    let found = wire.looked_up(&known(order), &responses, &mut facts);
    (found.unwrap(), facts)
}

async fn ask(wire: &mut Orders, address: SocketAddr, query: &Query) -> Vec<AccountFact> {
    let (mut facts, mut cursor) = (Vec::new(), None);
    loop {
        let request = wire.ask(query, cursor.as_deref(), wall_now());
        let answer = send(address, &request).await.unwrap();
        cursor = wire.answer(query, &answer.response(), &mut facts).unwrap();
        if cursor.is_none() {
            return facts;
        }
    }
}

fn fills(facts: &[AccountFact]) -> Vec<FillFact> {
    let of = |fact: &AccountFact| match fact {
        AccountFact::Fill(fill) => Some(fill.clone()),
        _ => None,
    };
    facts.iter().filter_map(of).collect()
}

/// States of an order, in the order told.
fn states(facts: &[AccountFact], client_id: &str) -> Vec<OrderState> {
    let of = |fact: &AccountFact| match fact {
        AccountFact::Order(order) if order.key.client_id.as_deref() == Some(client_id) => {
            Some(order.state)
        }
        _ => None,
    };
    facts.iter().filter_map(of).collect()
}

#[tokio::test]
async fn the_feed_has_the_exchanges_book_through_losses_repeats_and_cuts() {
    let (exchange, address) = start(hmac()).await;
    let mut client = market_feed(address);
    client
        .until("the book", |client| {
            client.has_book_of(&exchange, BTC, 5000)
        })
        .await;
    book(
        &exchange,
        false,
        &[level(3_500_000, 0)],
        &[level(3_500_050, 7)],
    );
    client
        .until("a diff", |client| client.has_book_of(&exchange, BTC, 5000))
        .await;
    trade(&exchange, 100, 3_500_050, 5);
    client
        .until("a trade", |client| {
            let one = client.market.instrument(BTC).unwrap();
            one.last_trade == Some(Price(3_500_050)) && one.quote().is_some()
        })
        .await;
    assert!(client.states.is_empty(), "{:?}", client.states);

    for (n, kind) in [
        SocketFault::Lost,
        SocketFault::Twice,
        SocketFault::Late(50),
        SocketFault::CutOff,
        SocketFault::Closed,
    ]
    .into_iter()
    .enumerate()
    {
        exchange.faults().command(Fault::Socket {
            venue: "binance".into(),
            kind,
        });
        // Two diffs at least, of which the first message meets the fault.
        for step in 0..3 {
            let qty = 1_000 + 10 * n as i64 + step;
            book(&exchange, false, &[level(3_498_000 - step, qty)], &[]);
            for _ in 0..8 {
                client.step().await;
            }
        }
        client
            .until("the book again", |client| {
                client.has_book_of(&exchange, BTC, 5000)
            })
            .await;
    }
    // The book as a whole goes and comes back.
    book(
        &exchange,
        true,
        &[level(3_400_000, 5)],
        &[level(3_400_100, 6)],
    );
    client
        .until("another book", |client| {
            client.has_book_of(&exchange, BTC, 5000)
        })
        .await;
    let said = client.states.join(" ");
    assert!(
        said.contains("Gap") && said.contains("Disconnected"),
        "{said}"
    );
    assert_eq!(client.connections, 3);
}

#[tokio::test]
async fn orders_stream_and_look_ups_tell_the_same() {
    let (exchange, address) = start(hmac()).await;
    let mut user = user_feed(address, hmac());
    user.until("the subscription", |user| {
        user.facts == [AccountFact::Resync]
    })
    .await;
    let mut wire = orders();

    // 0.5 at 35001 and 0.25 at 35002.
    let taker = limit("a-1", Side::Buy, 3_500_200, 75_000);
    let PlaceAnswer::Accepted { facts, venue_id } = place(&mut wire, address, &taker).await else {
        panic!("not accepted")
    };
    let placed = fills(&facts);
    assert_eq!(placed.len(), 2);
    // A thousandth of what was bought, in BTC, at the fill's price.
    assert_eq!(placed[0].fee, Some(Decimal::new(175_005, 4)));
    assert_eq!(states(&facts, "a-1"), [OrderState::Filled]);
    user.until("the fills", |user| {
        states(&user.facts, "a-1").last() == Some(&OrderState::Filled)
    })
    .await;
    assert_eq!(
        states(&user.facts, "a-1"),
        [
            OrderState::Acked,
            OrderState::PartiallyFilled,
            OrderState::Filled
        ]
    );
    let strip = |fills: Vec<FillFact>| -> Vec<(String, Price, Qty, Option<Decimal>)> {
        let of = |fill: FillFact| (fill.fill_id, fill.price, fill.qty, fill.fee);
        fills.into_iter().map(of).collect()
    };
    let told = strip(fills(&user.facts));
    assert_eq!(told, strip(placed));
    let (found, facts) = look_up(&mut wire, address, &taker).await;
    assert!(found);
    assert_eq!(strip(fills(&facts)), told);
    let since = Query::Fills {
        since: ago(60),
        of: Arc::default(),
    };
    assert_eq!(strip(fills(&ask(&mut wire, address, &since).await)), told);
    let by_id = KnownOrder {
        order: taker.clone(),
        venue_id: Some(&venue_id),
    };
    assert!(
        wire.lookup(&by_id, wall_now())[1]
            .target
            .contains("orderId=1")
    );

    // A sale that rests, is reached by a trade in part, and is taken back.
    let maker = limit("a-2", Side::Sell, 3_500_150, 20_000);
    assert!(matches!(
        place(&mut wire, address, &maker).await,
        PlaceAnswer::Accepted { .. }
    ));
    let open = ask(&mut wire, address, &Query::OpenOrders).await;
    assert_eq!(states(&open, "a-2"), [OrderState::Acked]);
    let buyer = Trade {
        instrument: BTC,
        aggressor: Aggressor::Buyer.byte(),
        trade_id: 9,
        price: Price(3_500_150),
        qty: Qty(5_000),
        ..Trade::default()
    };
    evolve(&exchange, &Event::Trade(&buyer));
    user.until("the maker's fill", |user| {
        states(&user.facts, "a-2").last() == Some(&OrderState::PartiallyFilled)
    })
    .await;
    let last = fills(&user.facts).pop().unwrap();
    assert_eq!(
        (last.liquidity, last.qty, last.side),
        (Liquidity::Maker, Qty(5_000), Side::Sell)
    );
    // 1750.075 USDT, a thousandth of it.
    assert_eq!(last.fee, Some(Decimal::new(1_750_075, 6)));
    let CancelAnswer::Cancelled(facts) = cancel(&mut wire, address, &maker).await else {
        panic!("not cancelled")
    };
    assert_eq!(states(&facts, "a-2"), [OrderState::Cancelled]);
    assert_eq!(cancel(&mut wire, address, &maker).await, CancelAnswer::Gone);
    user.until("the cancel by our id", |user| {
        states(&user.facts, "a-2").last() == Some(&OrderState::Cancelled)
    })
    .await;

    // What is held, by the exchange, the account and the stream.
    let held = exchange.with(|truth| truth.holding(BTC));
    assert_eq!(held, Qty(70_000));
    let holdings = ask(&mut wire, address, &Query::Holdings).await;
    assert!(matches!(&holdings[..], [AccountFact::Holding(one)] if one.qty == held));
    let balances = ask(&mut wire, address, &Query::Balances).await;
    assert_eq!(balances.len(), 2);
    user.until("the same balances", |user| {
        balances.iter().all(|balance| user.facts.contains(balance))
    })
    .await;
    assert!(user.errors.is_empty(), "{:?}", user.errors);
}

#[tokio::test]
async fn what_the_venue_refuses_is_named() {
    let (_, address) = start(hmac()).await;
    let mut wire = orders();
    let why = |answer: PlaceAnswer| match answer {
        PlaceAnswer::Rejected { why } => why,
        other => panic!("{other:?}"),
    };
    let small = limit("b-1", Side::Buy, 3_400_000, 1);
    assert!(why(place(&mut wire, address, &small).await).contains("NOTIONAL"));
    let large = limit("b-2", Side::Buy, 3_400_000, 1_000_000);
    assert!(why(place(&mut wire, address, &large).await).contains("insufficient balance"));
    let short = limit("b-3", Side::Sell, 3_600_000, 1_000);
    assert!(why(place(&mut wire, address, &short).await).contains("insufficient balance"));
    let mut maker = limit("b-4", Side::Buy, 3_500_100, 1_000);
    maker.time_in_force = TimeInForce::PostOnly;
    assert!(why(place(&mut wire, address, &maker).await).contains("immediately match"));
    let mut ioc = limit("b-5", Side::Buy, 3_500_000, 1_000);
    ioc.time_in_force = TimeInForce::ImmediateOrCancel;
    let PlaceAnswer::Accepted { facts, .. } = place(&mut wire, address, &ioc).await else {
        panic!("not accepted")
    };
    assert_eq!(states(&facts, "b-5"), [OrderState::Expired]);
    // An id is in use while its order is open, and only then.
    let open = limit("b-6", Side::Buy, 3_400_000, 1_000);
    place(&mut wire, address, &open).await;
    assert_eq!(
        place(&mut wire, address, &open).await,
        PlaceAnswer::Duplicate
    );
    cancel(&mut wire, address, &open).await;
    assert!(matches!(
        place(&mut wire, address, &open).await,
        PlaceAnswer::Accepted { .. }
    ));
    // A key that is not the account's, and a signature over something else.
    let mut stranger = Orders::new(
        OrdersConfig::default(),
        Signer::hmac("other".into(), &"secret".into()),
        pairs(),
    );
    assert!(why(place(&mut stranger, address, &open).await).starts_with("-2015"));
    let mut forged: Request = wire.place(&open, wall_now()).unwrap();
    forged.body = forged.body.replace("BUY", "SELL");
    let answer = send(address, &forged).await.unwrap();
    assert!(String::from_utf8_lossy(&answer.body).contains("-1022"));
}

#[tokio::test]
async fn an_outcome_that_nobody_told_is_looked_up() {
    let (exchange, address) = start(hmac()).await;
    let fault = |kind| {
        exchange.faults().command(Fault::Request {
            venue: "binance".into(),
            kind,
        })
    };
    let mut wire = orders();
    fault(RequestFault::AcceptedUnanswered);
    let order = limit("c-1", Side::Buy, 3_500_100, 10_000);
    let answer = place(&mut wire, address, &order).await;
    assert!(matches!(answer, PlaceAnswer::Unknown { .. }), "{answer:?}");
    let (found, facts) = look_up(&mut wire, address, &order).await;
    assert!(found);
    assert_eq!(fills(&facts).len(), 1);
    assert_eq!(states(&facts, "c-1"), [OrderState::Filled]);

    fault(RequestFault::LostUnanswered);
    let mut lost = limit("c-2", Side::Buy, 3_500_100, 10_000);
    assert!(matches!(
        place(&mut wire, address, &lost).await,
        PlaceAnswer::Unknown { .. }
    ));
    // Just now it may still be under way; half a minute later it can't.
    let requests = wire.lookup(&known(&lost), wall_now());
    let answer = send(address, &requests[0]).await.unwrap();
    let responses = [answer.response(), answer.response()];
    let mut facts = Vec::new();
    assert!(
        wire.looked_up(&known(&lost), &responses, &mut facts)
            .is_err()
    );
    lost.decided_at = ago(31);
    assert_eq!(look_up(&mut wire, address, &lost).await, (false, vec![]));

    fault(RequestFault::Status(503));
    let order = limit("c-3", Side::Buy, 3_400_000, 10_000);
    assert!(matches!(
        place(&mut wire, address, &order).await,
        PlaceAnswer::Unknown { .. }
    ));
    fault(RequestFault::Status(429));
    assert!(matches!(
        place(&mut wire, address, &order).await,
        PlaceAnswer::Busy {
            retry_after_ms: 1000,
            ..
        }
    ));
    let report = exchange.with(|truth| truth.report());
    assert_eq!((report.orders, report.repeated_client_ids.len()), (1, 0));
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_and_corrected() {
    let (exchange, address) = start(hmac()).await;
    exchange.faults().command(Fault::Clock {
        venue: "binance".into(),
        skew_ms: 20_000,
    });
    let mut wire = orders();
    let order = limit("d-1", Side::Buy, 3_400_000, 10_000);
    let PlaceAnswer::Rejected { why } = place(&mut wire, address, &order).await else {
        panic!("not rejected")
    };
    assert!(why.starts_with("-1021"), "{why}");
    let request = wire.ask_time(wall_now()).unwrap();
    let answer = send(address, &request).await.unwrap();
    let time = wire.time(&answer.response()).unwrap();
    let corrected = wire.place(&order, time).unwrap();
    let answer = send(address, &corrected).await.unwrap();
    assert!(matches!(
        wire.placed(&order, Some(&answer.response())),
        PlaceAnswer::Accepted { .. }
    ));
    // The user stream asks the venue's clock by itself.
    let mut user = user_feed(address, hmac());
    user.until("the subscription", |user| {
        user.facts == [AccountFact::Resync]
    })
    .await;
    assert!(user.errors.is_empty());
}

#[tokio::test]
async fn an_ed25519_key_logs_on() {
    let signer = Signer::ed25519("key".into(), &ED25519.into()).unwrap();
    let (exchange, address) = start(signer.clone()).await;
    let mut user = user_feed(address, signer.clone());
    user.until("the subscription", |user| {
        user.facts == [AccountFact::Resync]
    })
    .await;
    let mut wire = Orders::new(OrdersConfig::default(), signer, pairs());
    let order = limit("e-1", Side::Buy, 3_400_000, 10_000);
    assert!(matches!(
        place(&mut wire, address, &order).await,
        PlaceAnswer::Accepted { .. }
    ));
    user.until("the order", |user| {
        states(&user.facts, "e-1") == [OrderState::Acked]
    })
    .await;
    // A lost connection is made anew, and what happened meanwhile has to be asked for.
    exchange.faults().command(Fault::Socket {
        venue: "binance".into(),
        kind: SocketFault::Closed,
    });
    cancel(&mut wire, address, &order).await;
    user.until("another connection", |user| {
        let resyncs = user
            .facts
            .iter()
            .filter(|fact| **fact == AccountFact::Resync);
        resyncs.count() == 2
    })
    .await;
    assert_eq!(user.connections, 2);
    let mut stranger = user_feed(address, hmac());
    for _ in 0..10 {
        stranger.step().await;
    }
    assert!(
        stranger.errors[0].to_string().contains("-2015")
            || stranger.errors[0].to_string().contains("-1022")
    );
    assert!(stranger.facts.is_empty());
}

#[tokio::test]
async fn a_listing_is_the_exchanges_own_rules() {
    let (exchange, address) = start(hmac()).await;
    let mut markets = Markets::new(Some(hmac()), 5000);
    let mut answers = Vec::new();
    for request in markets.requests("BTCUSDT", wall_now()) {
        answers.push(send(address, &request).await.unwrap());
    }
    let responses: Vec<Response<'_>> = answers.iter().map(|answer| answer.response()).collect();
    let listing = markets.read("BTCUSDT", BTC, &responses, Nanos(0)).unwrap();
    assert_eq!(listing.definition, definition());
    assert_eq!(listing.rules, rules());
    let listed = listing.fees.unwrap();
    assert_eq!((listed.maker, listed.taker), (fees().maker, fees().taker));
    assert_eq!(listing.status.status, TradingStatus::Open);
    assert!(exchange.with(|truth| truth.published()) > 0);
}
