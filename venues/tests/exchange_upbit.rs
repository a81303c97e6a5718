//! Our client against the local exchange's Upbit face, over real sockets on the loopback.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do
mod loopback;

use loopback::{Connection, ago, exchange, send, serve};
use onetape_engine::event::{
    Aggressor, BookHeader, BookUpdate, Event, FeeSchedule, InstrumentDefined, InstrumentType,
    Level, MarketStatus, Trade, TradingRules, TradingStatus,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::number::{Money, Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use onetape_venues::exchange::{Cash, Exchange, Fault, RequestFault, SocketFault, upbit, wall_now};
use onetape_venues::gateway::{
    AccountFact, Balance, CancelAnswer, FillFact, FilledSoFar, Instruments, KnownOrder, Listed,
    Listings, NewOrder, OrderWire, PlaceAnswer, Query, Response,
};
use onetape_venues::upbit::{
    DECIMALS, FeedConfig, MarketFeed, MarketOrders, Markets, Nonces, Orders, OrdersConfig, Signer,
    UserConfig, UserFeed,
};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

const BTC: InstrumentId = InstrumentId(0);
const WON: i64 = 100_000_000;

fn definition() -> InstrumentDefined {
    InstrumentDefined {
        instrument: BTC,
        venue: "upbit".into(),
        symbol: "KRW-BTC".into(),
        instrument_type: InstrumentType::Spot,
        base: "BTC".into(),
        quote: "KRW".into(),
        decimals: DECIMALS,
    }
}

fn rules() -> TradingRules {
    TradingRules {
        instrument: BTC,
        effective_from: Nanos(0),
        tick_size: Price(1_000 * WON),
        lot_size: Qty(1),
        min_qty: Qty(1),
        min_notional: Money::from_decimal(Decimal::from(5_000)).unwrap(),
        min_price: Price(1_000 * WON),
        max_price: Price(i64::MAX),
        bands: Vec::new(),
        allows_short: false,
    }
}

fn fees() -> FeeSchedule {
    FeeSchedule {
        instrument: BTC,
        effective_from: Nanos(0),
        maker: FeeFormula::notional(Decimal::new(5, 4)),
        taker: FeeFormula::notional(Decimal::new(5, 4)),
        rounding: Rounding {
            decimals: 18,
            mode: RoundingMode::Up,
        },
        source: "test".into(),
        accrual: FeeAccrual::PerFill,
    }
}

fn evolve(exchange: &Exchange, event: &Event<'_>) {
    exchange.with(|truth| truth.evolve(wall_now(), event).unwrap());
}

fn level(won: i64, qty: i64) -> Level {
    Level {
        price: Price(won * WON),
        qty: Qty(qty),
    }
}

fn book(exchange: &Exchange, bids: &[Level], asks: &[Level]) {
    let header = BookHeader {
        instrument: BTC,
        bids: bids.len() as u32,
        asks: asks.len() as u32,
        ..BookHeader::default()
    };
    evolve(
        exchange,
        &Event::BookSnapshot(BookUpdate {
            header: &header,
            bids,
            asks,
        }),
    );
}

fn trade(exchange: &Exchange, id: u64, won: i64, qty: i64) {
    let trade = Trade {
        instrument: BTC,
        aggressor: Aggressor::Buyer.byte(),
        trade_id: id,
        price: Price(won * WON),
        qty: Qty(qty),
        ..Trade::default()
    };
    evolve(exchange, &Event::Trade(&trade));
}

fn signer() -> Signer {
    Signer::new("access".into(), &"secret".into())
}

fn listed() -> Instruments {
    Instruments::new([Listed {
        instrument: BTC,
        symbol: "KRW-BTC".into(),
        decimals: DECIMALS,
    }])
}

/// 116 538 000 bid, 116 539 000 asked for 0.01 and 116 542 000 for 0.02; ten million won.
async fn start() -> (Arc<Exchange>, SocketAddr) {
    let cash = Cash::from([(
        ("upbit".to_owned(), "KRW".to_owned()),
        Decimal::from(10_000_000),
    )]);
    let exchange = exchange(cash);
    for event in [
        Event::InstrumentDefined(Box::new(definition())),
        Event::TradingRules(rules()),
        Event::FeeSchedule(Box::new(fees())),
    ] {
        evolve(&exchange, &event);
    }
    let bids = [level(116_538_000, 6_612_366), level(116_537_000, 1_129_382)];
    let asks = [level(116_539_000, 1_000_000), level(116_542_000, 2_000_000)];
    book(&exchange, &bids, &asks);
    let keys = upbit::Keys::new("access".into(), &"secret".into());
    let address = serve(upbit::router(Arc::clone(&exchange), keys)).await;
    (exchange, address)
}

fn orders(market_orders: MarketOrders) -> Orders {
    let config = OrdersConfig {
        market_orders,
        ..OrdersConfig::default()
    };
    Orders::new(config, signer(), Nonces::new([9; 16]), listed())
}

fn user_feed(address: SocketAddr) -> Connection<UserFeed> {
    let nonces = Nonces::new([8; 16]);
    let feed = UserFeed::new(UserConfig::default(), signer(), nonces, listed());
    Connection::new(feed, address, &[(definition(), rules())])
}

fn order(client_id: &str, side: Side, won: i64, qty: i64) -> NewOrder<'_> {
    NewOrder {
        order: OrderId(1),
        client_id,
        instrument: BTC,
        side,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(won * WON),
        worst_price: Price(won * WON),
        qty: Qty(qty),
        decided_at: wall_now(),
    }
}

fn market<'a>(client_id: &'a str, side: Side, won: i64, qty: i64) -> NewOrder<'a> {
    NewOrder {
        order_type: OrderType::Market,
        time_in_force: TimeInForce::ImmediateOrCancel,
        ..order(client_id, side, won, qty)
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
    let answer = send(address, &requests[0]).await.unwrap();
    let mut facts = Vec::new();
    let found = wire.looked_up(&known(order), &[answer.response()], &mut facts);
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

/// What a fill is, whoever tells it.
fn fills(facts: &[AccountFact]) -> Vec<(String, Side, Price, Qty, Option<Decimal>)> {
    let of = |fact: &AccountFact| match fact {
        AccountFact::Fill(FillFact {
            fill_id,
            side,
            price,
            qty,
            fee,
            ..
        }) => Some((
            fill_id.clone(),
            *side,
            *price,
            *qty,
            fee.map(|fee| fee.normalize()),
        )),
        _ => None,
    };
    facts.iter().filter_map(of).collect()
}

fn states(facts: &[AccountFact], client_id: &str) -> Vec<OrderState> {
    let of = |fact: &AccountFact| match fact {
        AccountFact::Order(order) if order.key.client_id.as_deref() == Some(client_id) => {
            Some(order.state)
        }
        _ => None,
    };
    facts.iter().filter_map(of).collect()
}

fn accepted(answer: PlaceAnswer) {
    assert!(matches!(answer, PlaceAnswer::Accepted { .. }), "{answer:?}");
}

#[tokio::test]
async fn the_feed_has_the_exchanges_book_through_losses_repeats_and_cuts() {
    let (exchange, address) = start().await;
    let feed = MarketFeed::new(FeedConfig::default(), &listed());
    let mut client = Connection::new(feed, address, &[(definition(), rules())]);
    client
        .until("the book", |client| client.has_book_of(&exchange, BTC, 30))
        .await;
    trade(&exchange, 100, 116_539_000, 8_428);
    client
        .until("a trade", |client| {
            let one = client.market.instrument(BTC).unwrap();
            one.last_trade == Some(Price(116_539_000 * WON))
        })
        .await;
    for (n, kind) in [
        SocketFault::Lost,
        SocketFault::Twice,
        SocketFault::Late(50),
        SocketFault::Closed,
    ]
    .into_iter()
    .enumerate()
    {
        exchange.faults().command(Fault::Socket {
            venue: "upbit".into(),
            kind,
        });
        for step in 0..2 {
            let n = n as i64;
            // Thin: one bid, no ask; the rest is padding.
            book(&exchange, &[level(116_000_000 + 1_000 * n, 10 + step)], &[]);
            for _ in 0..8 {
                client.step().await;
            }
        }
        client
            .until("the book again", |client| {
                client.has_book_of(&exchange, BTC, 30)
            })
            .await;
    }
    assert_eq!(client.connections, 2);
    evolve(
        &exchange,
        &Event::MarketStatus(MarketStatus {
            instrument: BTC,
            status: TradingStatus::Halted,
        }),
    );
    client
        .until("the halt", |client| {
            client.market.instrument(BTC).unwrap().status == TradingStatus::Halted
        })
        .await;
    assert!(client.errors.is_empty(), "{:?}", client.errors);
}

#[tokio::test]
async fn orders_socket_and_look_ups_tell_the_same() {
    let (exchange, address) = start().await;
    let mut user = user_feed(address);
    user.until("the subscription", |user| {
        user.facts == [AccountFact::Resync]
    })
    .await;
    let mut wire = orders(MarketOrders::WorstPrice);

    // All of the best ask and a half of the next.
    let taker = market("a-1", Side::Buy, 116_542_000, 2_000_000);
    accepted(place(&mut wire, address, &taker).await);
    user.until("the fills", |user| {
        states(&user.facts, "a-1").last() == Some(&OrderState::Filled)
    })
    .await;
    let told = fills(&user.facts);
    assert_eq!(told.len(), 2);
    // 0.01 at 116 539 000 won, 0.05 % of it.
    assert_eq!(told[0].4, Some(Decimal::new(582_695, 3)));
    let (found, facts) = look_up(&mut wire, address, &taker).await;
    assert!(found);
    assert_eq!(fills(&facts), told);
    let untold = FilledSoFar {
        decided_at: ago(60),
        filled: Qty(0),
    };
    let since = Query::Fills {
        since: ago(60),
        of: Arc::new(BTreeMap::from([("a-1".to_owned(), untold)])),
    };
    assert_eq!(fills(&ask(&mut wire, address, &since).await), told);

    // A sale that rests and is taken back: the answer is the order as it was, the end comes on the socket.
    let maker = order("a-2", Side::Sell, 120_000_000, 500_000);
    accepted(place(&mut wire, address, &maker).await);
    let open = ask(&mut wire, address, &Query::OpenOrders).await;
    assert_eq!(states(&open, "a-2"), [OrderState::Acked]);
    assert_eq!(
        cancel(&mut wire, address, &maker).await,
        CancelAnswer::Accepted
    );
    user.until("the cancel", |user| {
        states(&user.facts, "a-2") == [OrderState::Acked, OrderState::Cancelled]
    })
    .await;
    assert_eq!(cancel(&mut wire, address, &maker).await, CancelAnswer::Gone);

    let held = exchange.with(|truth| truth.holding(BTC));
    assert_eq!(held, Qty(2_000_000));
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
async fn a_market_buy_for_money_ends_in_cancel_and_is_filled() {
    let (exchange, address) = start().await;
    let mut user = user_feed(address);
    user.until("the subscription", |user| {
        user.facts == [AccountFact::Resync]
    })
    .await;
    let mut wire = orders(MarketOrders::AtMarket);
    // 0.01 at the worst price is 1 165 420 won, which buy a little more than 0.01.
    let buy = market("m-1", Side::Buy, 116_542_000, 1_000_000);
    accepted(place(&mut wire, address, &buy).await);
    user.until("the end", |user| {
        states(&user.facts, "m-1").last() == Some(&OrderState::Filled)
    })
    .await;
    let (found, facts) = look_up(&mut wire, address, &buy).await;
    assert!(found);
    assert_eq!(states(&facts, "m-1"), [OrderState::Filled]);
    assert_eq!(fills(&facts), fills(&user.facts));
    assert!(exchange.with(|truth| truth.holding(BTC)) > Qty(1_000_000));
    // A market sale is for units, and is done.
    let sell = market("m-2", Side::Sell, 116_000_000, 1_000_000);
    accepted(place(&mut wire, address, &sell).await);
    let (_, facts) = look_up(&mut wire, address, &sell).await;
    assert_eq!(states(&facts, "m-2"), [OrderState::Filled]);
    let mut best = orders(MarketOrders::Best);
    let order = market("m-3", Side::Buy, 116_539_000, 10_000);
    accepted(place(&mut best, address, &order).await);
}

#[tokio::test]
async fn what_the_venue_refuses_is_named() {
    let (exchange, address) = start().await;
    let mut wire = orders(MarketOrders::WorstPrice);
    let why = |answer: PlaceAnswer| match answer {
        PlaceAnswer::Rejected { why } => why,
        other => panic!("{other:?}"),
    };
    let small = order("b-1", Side::Buy, 116_000_000, 100);
    assert!(why(place(&mut wire, address, &small).await).contains("under_min_total_bid"));
    let large = order("b-2", Side::Buy, 116_000_000, 100_000_000);
    assert!(why(place(&mut wire, address, &large).await).contains("insufficient_funds_bid"));
    let short = order("b-3", Side::Sell, 117_000_000, 1_000_000);
    assert!(why(place(&mut wire, address, &short).await).contains("insufficient_funds_ask"));
    let mut off = order("b-4", Side::Buy, 116_000_000, 1_000_000);
    off.price = Price(116_000_500 * WON);
    assert!(why(place(&mut wire, address, &off).await).contains("invalid_price"));
    // An identifier is good once, even after its order ended.
    let once = order("b-5", Side::Buy, 116_000_000, 1_000_000);
    accepted(place(&mut wire, address, &once).await);
    cancel(&mut wire, address, &once).await;
    assert_eq!(
        place(&mut wire, address, &once).await,
        PlaceAnswer::Duplicate
    );
    // A token is good once, for its own parameters, and with the account's secret.
    let next = order("b-6", Side::Buy, 116_000_000, 1_000_000);
    let request = wire.place(&next, wall_now()).unwrap();
    let mut forged = request.clone();
    forged.body = forged.body.replace("bid", "ask");
    let said = |answer: Option<loopback::Answer>| String::from_utf8(answer.unwrap().body).unwrap();
    assert!(said(send(address, &forged).await).contains("invalid_query_payload"));
    assert!(said(send(address, &request).await).contains("\"uuid\""));
    assert!(said(send(address, &request).await).contains("nonce_used"));
    let stranger = Signer::new("access".into(), &"other".into());
    let mut stranger = Orders::new(
        OrdersConfig::default(),
        stranger,
        Nonces::new([7; 16]),
        listed(),
    );
    assert!(why(place(&mut stranger, address, &next).await).contains("jwt_verification"));
    assert_eq!(exchange.with(|truth| truth.report().orders), 2);
}

#[tokio::test]
async fn an_outcome_that_nobody_told_is_looked_up() {
    let (exchange, address) = start().await;
    let fault = |kind| {
        exchange.faults().command(Fault::Request {
            venue: "upbit".into(),
            kind,
        })
    };
    let mut wire = orders(MarketOrders::WorstPrice);
    fault(RequestFault::AcceptedUnanswered);
    let kept = order("c-1", Side::Buy, 116_539_000, 500_000);
    let answer = place(&mut wire, address, &kept).await;
    assert!(matches!(answer, PlaceAnswer::Unknown { .. }), "{answer:?}");
    let (found, facts) = look_up(&mut wire, address, &kept).await;
    assert!(found);
    assert_eq!(states(&facts, "c-1"), [OrderState::Filled]);
    assert_eq!(fills(&facts).len(), 1);
    fault(RequestFault::LostUnanswered);
    let mut lost = order("c-2", Side::Buy, 116_539_000, 500_000);
    place(&mut wire, address, &lost).await;
    lost.decided_at = ago(31);
    assert_eq!(look_up(&mut wire, address, &lost).await, (false, vec![]));
    fault(RequestFault::Status(429));
    let busy = order("c-3", Side::Buy, 116_539_000, 500_000);
    assert!(matches!(
        place(&mut wire, address, &busy).await,
        PlaceAnswer::Busy {
            retry_after_ms: 1000,
            ..
        }
    ));
}

#[tokio::test]
async fn what_an_order_holds_back_and_the_listing_are_the_exchanges() {
    let (_, address) = start().await;
    let mut wire = orders(MarketOrders::WorstPrice);
    // The official sample's volume, at a price of this market.
    accepted(
        place(
            &mut wire,
            address,
            &order("d-1", Side::Buy, 110_000_000, 6_165),
        )
        .await,
    );
    let balances = ask(&mut wire, address, &Query::Balances).await;
    let krw = balances.iter().find_map(|fact| match fact {
        AccountFact::Balance(Balance {
            currency,
            free,
            locked,
        }) if currency == "KRW" => Some((*free, *locked)),
        _ => None,
    });
    // 6781.5 won and 0.05 % of it.
    let locked = Decimal::new(678_489_075, 5);
    assert_eq!(krw, Some((Decimal::from(10_000_000) - locked, locked)));

    let mut markets = Markets::new(Some((signer(), Nonces::new([6; 16]))));
    let mut answers = Vec::new();
    for request in markets.requests("KRW-BTC", wall_now()) {
        answers.push(send(address, &request).await.unwrap());
    }
    let responses: Vec<Response<'_>> = answers.iter().map(|answer| answer.response()).collect();
    let listing = markets.read("KRW-BTC", BTC, &responses, Nanos(0)).unwrap();
    assert_eq!(listing.definition, definition());
    assert_eq!(
        listing.rules.tick_at(Price(116_538_000 * WON)),
        rules().tick_size
    );
    assert_eq!(listing.rules.min_notional, rules().min_notional);
    let listed = listing.fees.unwrap();
    assert_eq!(
        (listed.taker, listed.source.as_str()),
        (fees().taker, "venue")
    );
    assert_eq!(listing.status.status, TradingStatus::Open);
}
