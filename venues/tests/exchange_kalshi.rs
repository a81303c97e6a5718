//! Kalshi's feed and orders against Kalshi's face of the local exchange, over sockets on loopback.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do
use futures_util::{SinkExt, StreamExt};
use onetape_engine::event::{
    Aggressor, BookHeader, BookUpdate, ContractTerms, Event, FeeSchedule, InstrumentDefined,
    InstrumentType, Level, Liquidity, MarketStatus, Resolution, Strike, TemperatureTerms, Trade,
    TradingRules, TradingStatus,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::{InstrumentId, OrderId, Sequence};
use onetape_engine::market::Market;
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_venues::exchange::kalshi::{Keys, router};
use onetape_venues::exchange::{
    Cash, Exchange, ExchangeClock, Fault, FaultPlan, RequestFault, SocketFault, wall_now,
};
use onetape_venues::gateway::{
    AccountFact, Bucket, CancelAnswer, Feed, Instruments, KnownOrder, Listed, Listing, Listings,
    Method, NewOrder, OrderFact, OrderWire, Outbox, PlaceAnswer, Query, Request, Response,
};
use onetape_venues::kalshi::{
    FeedConfig, KalshiFeed, KalshiListings, KalshiOrders, Membership, NoSide, OrderConfig, Shards,
    Signer,
};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const D: Decimals = Decimals { price: 4, qty: 2 };
const SYMBOLS: [&str; 2] = ["KXHIGHNY-26JAN05-T39", "KXHIGHNY-26JAN05-B38.5"];
const A: InstrumentId = InstrumentId(0);
const B: InstrumentId = InstrumentId(1);
/// 2026-01-05T12:00:00Z.
const START: Nanos = Nanos(1_767_614_400 * SECOND_NS);

fn terms(instrument: InstrumentId, strike: Strike) -> ContractTerms {
    ContractTerms {
        instrument,
        event: "KXHIGHNY-26JAN05".to_owned(),
        cluster: "northeast".to_owned(),
        closes_at: START.after(17 * 3_600 * SECOND_NS),
        settles_at: START.after(27 * 3_600 * SECOND_NS),
        rules_hash: "w1".to_owned(),
        temperature: Some(TemperatureTerms {
            station: "NYC".to_owned(),
            day: 20_458,
            strike,
        }),
    }
}

fn rules(instrument: InstrumentId, tick: i64) -> TradingRules {
    TradingRules {
        instrument,
        effective_from: Nanos(0),
        tick_size: Price(tick),
        lot_size: Qty(1),
        min_qty: Qty(1),
        min_notional: Money::ZERO,
        min_price: Price(tick),
        max_price: Price(10_000 - tick),
        bands: Vec::new(),
        allows_short: true,
    }
}

/// An exchange with two contracts, its host on loopback, and a client's parts.
struct World {
    exchange: Arc<Exchange>,
    address: String,
    signer: Signer,
    http: reqwest::Client,
    last_id: u64,
}

/// An answer that outlives its connection.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn response(&self) -> Response<'_> {
        Response {
            status: self.status,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

impl World {
    async fn new() -> Self {
        let clock = ExchangeClock {
            wall_origin: wall_now(),
            origin: START,
            speed: 1,
        };
        let cash = Cash::from([(
            ("kalshi".to_owned(), "USD".to_owned()),
            Decimal::from(1_000),
        )]);
        let exchange = Exchange::new(clock, cash, FaultPlan::default());
        let keys = Keys::generate().unwrap();
        let signer = Signer::new(keys.id(), &keys.private_pem().unwrap()).unwrap();
        let app = router(exchange.clone(), keys);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        // The face listens for terms from its first turn on.
        tokio::task::yield_now().await;
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_millis(700))
            .build()
            .unwrap();
        let mut world = Self {
            exchange,
            address,
            signer,
            http,
            last_id: 0,
        };
        world.play_market();
        tokio::time::sleep(Duration::from_millis(20)).await;
        world
    }

    fn play(&self, event: &Event<'_>) {
        let now = self.exchange.now();
        self.exchange
            .with(|truth| truth.evolve(now, event))
            .unwrap();
    }

    fn play_market(&mut self) {
        let strikes = [
            Strike::Greater { floor: 39 },
            Strike::Between { floor: 38, cap: 39 },
        ];
        for (place, strike) in strikes.into_iter().enumerate() {
            let instrument = InstrumentId(place as u32);
            self.play(&Event::InstrumentDefined(Box::new(InstrumentDefined {
                instrument,
                venue: "kalshi".to_owned(),
                symbol: SYMBOLS[place].to_owned(),
                instrument_type: InstrumentType::Binary,
                base: "YES".to_owned(),
                quote: "USD".to_owned(),
                decimals: D,
            })));
            self.play(&Event::TradingRules(rules(instrument, 100)));
            self.play(&Event::FeeSchedule(Box::new(FeeSchedule {
                instrument,
                effective_from: Nanos(0),
                maker: FeeFormula::probability(Decimal::new(175, 4)),
                taker: FeeFormula::probability(Decimal::new(35, 3)),
                rounding: Rounding {
                    decimals: 4,
                    mode: RoundingMode::Up,
                },
                source: "test".to_owned(),
                accrual: FeeAccrual::KalshiRebate,
            })));
            self.play(&Event::ContractTerms(Box::new(terms(instrument, strike))));
            self.book(
                instrument,
                &[(4_200, 30_000), (4_100, 500)],
                &[(4_400, 2_000), (4_600, 900)],
            );
        }
    }

    /// A whole book of the journal.
    fn book(&mut self, instrument: InstrumentId, bids: &[(i64, i64)], asks: &[(i64, i64)]) {
        self.last_id += 1;
        let header = BookHeader {
            instrument,
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            last_id: self.last_id,
            ..BookHeader::default()
        };
        let (bids, asks) = (levels(bids), levels(asks));
        let update = BookUpdate {
            header: &header,
            bids: &bids,
            asks: &asks,
        };
        self.play(&Event::BookSnapshot(update));
    }

    /// A change of the journal's book: new totals.
    fn change(&mut self, instrument: InstrumentId, bids: &[(i64, i64)], asks: &[(i64, i64)]) {
        let header = BookHeader {
            instrument,
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            ..BookHeader::default()
        };
        let (bids, asks) = (levels(bids), levels(asks));
        let update = BookUpdate {
            header: &header,
            bids: &bids,
            asks: &asks,
        };
        self.play(&Event::BookDelta(update));
    }

    /// What the exchange's book holds.
    fn truth(&self, instrument: InstrumentId) -> (Vec<Level>, Vec<Level>) {
        self.exchange
            .with(|truth| book(truth.market(), instrument))
            .unwrap()
    }

    async fn ask(&self, request: &Request) -> Option<Answer> {
        assert_eq!(request.base, "rest");
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let url = format!("http://{}{}", self.address, request.target);
        let mut call = self.http.request(method, url);
        for (name, value) in &request.headers {
            call = call.header(*name, value);
        }
        let answer = call.body(request.body.clone()).send().await.ok()?;
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let headers = answer.headers().iter();
        Some(Answer {
            status: answer.status().as_u16(),
            headers: headers
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: answer.bytes().await.ok()?.to_vec(),
        })
    }

    async fn listing(&self, place: u32) -> Listing {
        let mut listings = KalshiListings::new(Membership::Normal, Shards::default());
        let now = self.exchange.now();
        let symbol = SYMBOLS[place as usize];
        let mut answers = Vec::new();
        for request in listings.requests(symbol, now) {
            answers.push(self.ask(&request).await.unwrap());
        }
        let responses: Vec<Response<'_>> = answers.iter().map(Answer::response).collect();
        listings
            .read(symbol, InstrumentId(place), &responses, now)
            .unwrap()
    }

    fn orders(&self) -> KalshiOrders {
        let shards = Shards::default();
        KalshiOrders::new(
            self.signer.clone(),
            instruments(),
            shards,
            OrderConfig::default(),
        )
    }

    async fn place(&self, orders: &mut KalshiOrders, order: &NewOrder<'_>) -> PlaceAnswer {
        let request = orders.place(order, self.exchange.now()).unwrap();
        let answer = self.ask(&request).await;
        orders.placed(order, answer.as_ref().map(Answer::response).as_ref())
    }

    async fn cancel(&self, orders: &mut KalshiOrders, order: &KnownOrder<'_>) -> CancelAnswer {
        let request = orders.cancel(order, self.exchange.now()).unwrap();
        let answer = self.ask(&request).await;
        orders.cancelled(order, answer.as_ref().map(Answer::response).as_ref())
    }

    async fn look_up(
        &self,
        orders: &mut KalshiOrders,
        order: &KnownOrder<'_>,
    ) -> (bool, Vec<AccountFact>) {
        let mut answers = Vec::new();
        for request in orders.lookup(order, self.exchange.now()) {
            answers.push(self.ask(&request).await.unwrap());
        }
        let responses: Vec<Response<'_>> = answers.iter().map(Answer::response).collect();
        let mut facts = Vec::new();
        let found = orders.looked_up(order, &responses, &mut facts).unwrap();
        (found, facts)
    }

    async fn query(&self, orders: &mut KalshiOrders, query: &Query) -> Vec<AccountFact> {
        let (mut facts, mut cursor) = (Vec::new(), None);
        loop {
            let request = orders.ask(query, cursor.as_deref(), self.exchange.now());
            let answer = self.ask(&request).await.unwrap();
            cursor = orders
                .answer(query, &answer.response(), &mut facts)
                .unwrap();
            if cursor.is_none() {
                return facts;
            }
        }
    }
}

fn levels(levels: &[(i64, i64)]) -> Vec<Level> {
    let level = |(price, qty): &(i64, i64)| Level {
        price: Price(*price),
        qty: Qty(*qty),
    };
    levels.iter().map(level).collect()
}

fn book(market: &Market, instrument: InstrumentId) -> Option<(Vec<Level>, Vec<Level>)> {
    let book = market.instrument(instrument).unwrap().book()?;
    let side = |side| book.side(side).levels().collect();
    Some((side(Side::Buy), side(Side::Sell)))
}

fn instruments() -> Instruments {
    let listed = |(place, symbol): (usize, &&str)| Listed {
        instrument: InstrumentId(place as u32),
        symbol: (*symbol).to_owned(),
        decimals: D,
    };
    Instruments::new(SYMBOLS.iter().enumerate().map(listed))
}

fn order<'a>(
    client_id: &'a str,
    side: Side,
    price: i64,
    qty: i64,
    tif: TimeInForce,
) -> NewOrder<'a> {
    NewOrder {
        order: OrderId(1),
        client_id,
        instrument: A,
        side,
        order_type: OrderType::Limit,
        time_in_force: tif,
        price: Price(price),
        worst_price: Price(price),
        qty: Qty(qty),
        decided_at: START,
    }
}

/// A connected feed, and the market that its frames build.
struct Link {
    feed: KalshiFeed,
    socket: Option<WebSocketStream<MaybeTlsStream<TcpStream>>>,
    tape: Market,
    sequence: u64,
    frames: Vec<String>,
    facts: Vec<AccountFact>,
    connections: u32,
    asked_snapshots: u32,
}

impl Link {
    async fn new(world: &World, config: FeedConfig) -> Self {
        let mut feed = KalshiFeed::new(world.signer.clone(), instruments(), config);
        let mut tape = Market::default();
        for place in 0..2 {
            let listing = world.listing(place).await;
            let definition = Event::InstrumentDefined(Box::new(listing.definition.clone()));
            tape.evolve(Sequence(place.into()), START, &definition)
                .unwrap();
            let rules = Event::TradingRules(listing.rules.clone());
            tape.evolve(Sequence(place.into()), START, &rules).unwrap();
            feed.known(&listing, false);
        }
        Self {
            feed,
            socket: None,
            tape,
            sequence: 10,
            frames: Vec::new(),
            facts: Vec::new(),
            connections: 0,
            asked_snapshots: 0,
        }
    }

    /// Runs until something is so, at most ten seconds.
    async fn run(&mut self, world: &World, until: impl Fn(&Link) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while !until(self) {
            let last = self.frames.len().saturating_sub(20);
            assert!(
                tokio::time::Instant::now() < deadline,
                "{:?}",
                &self.frames[last..]
            );
            self.step(world).await;
        }
    }

    async fn step(&mut self, world: &World) {
        let mut out = Outbox::default();
        let now = || world.exchange.now();
        if self.socket.is_none() {
            self.connect(world).await;
            self.feed.opened(now(), &mut out);
            return self.deliver(world, out).await;
        }
        let socket = self.socket.as_mut().unwrap();
        match tokio::time::timeout(Duration::from_millis(50), socket.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => {
                // A message that does not read is the feed's to deal with.
                let _ = self.feed.message(text.as_bytes(), now(), &mut out);
            }
            Ok(Some(Ok(Message::Ping(body)))) => assert_eq!(body.as_ref(), b"heartbeat"),
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_)) | None) => {
                self.socket = None;
                self.feed.closed(now(), &mut out);
            }
            Err(_) => self.feed.tick(now(), &mut out),
        }
        self.deliver(world, out).await;
    }

    async fn connect(&mut self, world: &World) {
        let handshake = self.feed.handshake(world.exchange.now()).unwrap();
        assert_eq!(handshake.base, "stream");
        let url = format!("ws://{}{}", world.address, handshake.target);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in &handshake.headers {
            request
                .headers_mut()
                .insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        self.socket = Some(socket);
        self.connections += 1;
    }

    async fn deliver(&mut self, world: &World, mut out: Outbox) {
        loop {
            for (kind, payload) in out.events() {
                let payload = payload.to_vec();
                let event = Event::decode(kind.number(), &payload).unwrap();
                self.sequence += 1;
                self.tape
                    .evolve(Sequence(self.sequence), world.exchange.now(), &event)
                    .unwrap();
                self.frames.push(match &event {
                    Event::FeedState(state) => format!("{:?} {:?}", state.feed, state.condition),
                    Event::Resolution(r) => format!("pays {}", r.settlement_price.0),
                    Event::Trade(trade) => {
                        format!("trade {} {:?}", trade.price.0, trade.aggressor())
                    }
                    Event::MarketStatus(status) => format!("{:?}", status.status),
                    Event::TradingRules(rules) => format!("tick {}", rules.tick_size.0),
                    other => other.kind().name().to_owned(),
                });
            }
            self.facts.extend_from_slice(out.account_facts());
            if let Some(socket) = &mut self.socket {
                for message in out.messages() {
                    self.asked_snapshots += u32::from(message.contains("get_snapshot"));
                    let _ = socket.send(Message::text(message.clone())).await;
                }
            }
            let wants_reconnect = out.wants_reconnect().is_some();
            let requests: Vec<(u32, Request)> = out.requests().to_vec();
            out.clear();
            for (tag, request) in requests {
                let answer = world.ask(&request).await;
                let response = answer.as_ref().map(Answer::response);
                let now = world.exchange.now();
                let _ = self.feed.response(tag, response.as_ref(), now, &mut out);
            }
            if wants_reconnect && self.socket.take().is_some() {
                self.feed.closed(world.exchange.now(), &mut out);
            }
            if out.events().next().is_none() && out.messages().is_empty() {
                return;
            }
        }
    }

    fn book(&self, instrument: InstrumentId) -> Option<(Vec<Level>, Vec<Level>)> {
        book(&self.tape, instrument)
    }

    fn has(&self, frame: &str) -> bool {
        self.frames.iter().any(|known| known.contains(frame))
    }

    /// Both of the tape's books are live and the exchange's.
    async fn agree(&mut self, world: &World) {
        let truths = [A, B].map(|id| world.truth(id));
        self.run(world, |link| {
            [A, B]
                .iter()
                .zip(&truths)
                .all(|(id, truth)| link.book(*id).as_ref() == Some(truth))
        })
        .await;
    }
}

#[tokio::test]
async fn a_market_is_listed_as_the_journal_has_it() {
    let world = World::new().await;
    let listing = world.listing(0).await;
    assert_eq!(listing.definition.symbol, SYMBOLS[0]);
    let expected = TradingRules {
        effective_from: listing.rules.effective_from,
        ..rules(A, 100)
    };
    assert_eq!(listing.rules, expected);
    assert_eq!(listing.status.status, TradingStatus::Open);
    let terms = listing.terms.unwrap();
    assert_eq!(terms.closes_at, START.after(17 * 3_600 * SECOND_NS));
    assert_eq!(terms.settles_at, START.after(27 * 3_600 * SECOND_NS));
    let temperature = terms.temperature.unwrap();
    assert_eq!(
        (temperature.station.as_str(), temperature.day),
        ("NYC", 20_458)
    );
    assert_eq!(temperature.strike, Strike::Greater { floor: 39 });
    let fees = listing.fees.unwrap();
    assert_eq!(fees.taker, FeeFormula::probability(Decimal::new(35, 3)));
    // Half of the general rates, and makers pay.
    assert_eq!(fees.maker, FeeFormula::probability(Decimal::new(875, 5)));
    let between = world.listing(1).await.terms.unwrap().temperature.unwrap();
    assert_eq!(between.strike, Strike::Between { floor: 38, cap: 39 });
}

#[tokio::test]
async fn the_rest_book_has_bids_of_both_legs_with_the_best_last() {
    let world = World::new().await;
    let target = format!("/trade-api/v2/markets/{}/orderbook", SYMBOLS[0]);
    let answer = world
        .ask(&Request::get("rest", target, Bucket::Public))
        .await;
    let book: Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
    let expected = json!({"orderbook_fp": {
        "yes_dollars": [["0.4100", "5.00"], ["0.4200", "300.00"]],
        "no_dollars": [["0.5400", "9.00"], ["0.5600", "20.00"]],
    }});
    assert_eq!(book, expected);
    let nothing = Request::get("rest", "/trade-api/v2/markets/NONE", Bucket::Public);
    assert_eq!(world.ask(&nothing).await.unwrap().status, 404);
}

#[tokio::test]
async fn the_tapes_books_follow_the_exchanges_in_either_legs_prices() {
    for no_side in [NoSide::NoPrice, NoSide::YesPrice] {
        let mut world = World::new().await;
        let config = FeedConfig {
            no_side,
            ..FeedConfig::default()
        };
        let mut link = Link::new(&world, config).await;
        link.agree(&world).await;
        assert_eq!(link.book(A).unwrap().1[0], levels(&[(4_400, 2_000)])[0]);
        world.change(A, &[(4_200, 0), (4_300, 150)], &[(4_400, 1_950)]);
        world.change(B, &[], &[(4_300, 1)]);
        link.agree(&world).await;
        // The journal's book anew: the venue tells the differences, and no step in between is crossed.
        world.book(A, &[(5_000, 100)], &[(5_100, 100), (9_900, 1)]);
        link.agree(&world).await;
        world.play(&Event::Trade(&Trade {
            instrument: A,
            aggressor: Aggressor::Seller.byte(),
            reserved: [0; 3],
            venue_time_ns: 0,
            trade_id: 1,
            price: Price(5_000),
            qty: Qty(50),
        }));
        link.run(&world, |link| link.has("trade 5000 Seller")).await;
        assert!(!link.has("Stale"), "{:?}", link.frames);
        let quote = link.tape.instrument(A).unwrap().quote().unwrap();
        assert_eq!(
            (quote.bid.price, quote.ask.price),
            (Price(5_000), Price(5_100))
        );
        assert_eq!((link.connections, link.asked_snapshots), (1, 0));
    }
}

#[tokio::test]
async fn a_lost_message_is_a_gap_on_the_tape_and_a_snapshot_heals_it() {
    let mut world = World::new().await;
    let mut link = Link::new(&world, FeedConfig::default()).await;
    link.agree(&world).await;
    let socket = |kind| Fault::Socket {
        venue: "kalshi".to_owned(),
        kind,
    };
    // Frames of trades and tickers are drawn as well: only book changes that move no best price are played here.
    world.exchange.faults().command(socket(SocketFault::Lost));
    world.change(A, &[(4_000, 100)], &[]);
    world.change(A, &[(3_900, 100)], &[]);
    link.run(&world, |link| link.has("Book Stale(Gap")).await;
    link.agree(&world).await;
    assert_eq!(link.asked_snapshots, 1);
    world.exchange.faults().command(socket(SocketFault::Twice));
    world.change(B, &[(4_000, 100)], &[]);
    world.change(B, &[(4_000, 70)], &[]);
    link.agree(&world).await;
    assert_eq!(link.asked_snapshots, 1);
    world.exchange.faults().command(socket(SocketFault::CutOff));
    world.change(B, &[(4_000, 60)], &[]);
    link.run(&world, |link| link.has("Book Stale(Disconnected)"))
        .await;
    link.agree(&world).await;
    assert_eq!(link.connections, 2);
}

#[tokio::test]
async fn a_frozen_stream_is_found_out_by_its_content_and_left() {
    let mut world = World::new().await;
    let config = FeedConfig {
        probe_after_ms: 200,
        silent_after_ms: 600,
        answer_within_ms: 600,
        ..FeedConfig::default()
    };
    let mut link = Link::new(&world, config).await;
    link.agree(&world).await;
    // Quiet, but there: the books are asked for and come.
    let deadline = tokio::time::Instant::now() + Duration::from_millis(900);
    while tokio::time::Instant::now() < deadline {
        link.step(&world).await;
    }
    assert!(link.asked_snapshots > 0 && !link.has("Stale"));
    let freeze = Fault::Socket {
        venue: "kalshi".to_owned(),
        kind: SocketFault::Freeze(5_000),
    };
    world.exchange.faults().command(freeze);
    world.change(A, &[(4_000, 100)], &[]);
    link.run(&world, |link| link.connections == 2).await;
    assert!(link.has("Book Stale"));
    link.agree(&world).await;
    assert_eq!(link.connections, 2);
}

#[tokio::test]
async fn orders_are_placed_filled_cancelled_and_found_again() {
    let world = World::new().await;
    let mut orders = world.orders();
    let config = FeedConfig {
        public: false,
        account: true,
        ..FeedConfig::default()
    };
    let mut link = Link::new(&world, config).await;
    link.run(&world, |link| link.facts == [AccountFact::Resync])
        .await;
    link.facts.clear();

    let resting = order("one", Side::Buy, 4_300, 1_000, TimeInForce::GoodTillCancel);
    let PlaceAnswer::Accepted { venue_id, facts } = world.place(&mut orders, &resting).await else {
        panic!("not accepted")
    };
    assert!(matches!(
        &facts[..],
        [AccountFact::Order(OrderFact {
            state: OrderState::Acked,
            ..
        })]
    ));
    assert_eq!(
        world.place(&mut orders, &resting).await,
        PlaceAnswer::Duplicate
    );
    let known = KnownOrder {
        order: resting.clone(),
        venue_id: Some(&venue_id),
    };
    let cancelled = world.cancel(&mut orders, &known).await;
    assert!(matches!(cancelled, CancelAnswer::Cancelled(_)));
    assert_eq!(world.cancel(&mut orders, &known).await, CancelAnswer::Gone);

    // 20.00 at 0.44 and 5.00 at 0.46.
    let taking = order(
        "two",
        Side::Buy,
        4_600,
        2_500,
        TimeInForce::ImmediateOrCancel,
    );
    let PlaceAnswer::Accepted { venue_id, facts } = world.place(&mut orders, &taking).await else {
        panic!("not accepted")
    };
    let AccountFact::Order(fact) = &facts[0] else {
        panic!("no order")
    };
    assert_eq!(
        (fact.state, fact.filled),
        (OrderState::Filled, Some(Qty(2_500)))
    );
    let named = KnownOrder {
        order: taking.clone(),
        venue_id: Some(&venue_id),
    };
    let unnamed = KnownOrder {
        order: taking.clone(),
        venue_id: None,
    };
    let (found, by_name) = world.look_up(&mut orders, &named).await;
    assert!(found);
    assert_eq!(
        world.look_up(&mut orders, &unnamed).await,
        (true, by_name.clone())
    );
    let fills: Vec<(Price, Qty, Liquidity)> = by_name
        .iter()
        .filter_map(|fact| match fact {
            AccountFact::Fill(fill) => Some((fill.price, fill.qty, fill.liquidity)),
            _ => None,
        })
        .collect();
    assert_eq!(fills.len(), 2);
    assert!(fills.contains(&(Price(4_600), Qty(500), Liquidity::Taker)));
    // What is asked for and what the stream says is the same fill by the same id.
    link.run(&world, |link| {
        link.facts
            .iter()
            .filter(|fact| matches!(fact, AccountFact::Fill(_)))
            .count()
            == 2
            && link
                .facts
                .iter()
                .any(|fact| matches!(fact, AccountFact::Order(o) if o.state == OrderState::Filled))
    })
    .await;
    let id = |fact: &AccountFact| match fact {
        AccountFact::Fill(fill) => Some((
            fill.fill_id.clone(),
            fill.price,
            fill.qty,
            fill.side,
            fill.fee,
        )),
        _ => None,
    };
    let mut streamed: Vec<_> = link.facts.iter().filter_map(id).collect();
    let mut asked: Vec<_> = by_name.iter().filter_map(id).collect();
    streamed.sort();
    asked.sort();
    assert_eq!(streamed, asked);

    // A sale of 400.00 that finds 305.00: the rest expires.
    let selling = order(
        "three",
        Side::Sell,
        4_100,
        40_000,
        TimeInForce::ImmediateOrCancel,
    );
    let PlaceAnswer::Accepted { facts, .. } = world.place(&mut orders, &selling).await else {
        panic!("not accepted")
    };
    assert_eq!(facts.len(), 1);
    let holdings = world.query(&mut orders, &Query::Holdings).await;
    let AccountFact::Holding(holding) = &holdings[0] else {
        panic!("no holding")
    };
    assert_eq!(
        Some(holding.qty),
        world.exchange.with(|truth| Some(truth.holding(A)))
    );
    assert_eq!(world.query(&mut orders, &Query::OpenOrders).await, []);
    let all = world
        .query(
            &mut orders,
            &Query::Fills {
                since: START,
                of: Arc::default(),
            },
        )
        .await;
    assert_eq!(
        all.len() as u64,
        world.exchange.with(|truth| truth.report()).fills
    );
    let balance = world.query(&mut orders, &Query::Balances).await;
    let AccountFact::Balance(balance) = &balance[0] else {
        panic!("no balance")
    };
    let cash = world.exchange.with(|truth| truth.cash("kalshi"));
    assert_eq!(balance.free, cash[0].1.round_dp(4));
}

#[tokio::test]
async fn what_the_venue_refuses_is_refused_by_name() {
    let mut world = World::new().await;
    let mut orders = world.orders();
    let rejected = |answer: PlaceAnswer| match answer {
        PlaceAnswer::Rejected { why } => why,
        other => panic!("{other:?}"),
    };
    let gtc = TimeInForce::GoodTillCancel;
    let poor = order("a", Side::Buy, 4_300, 1_000_000, gtc);
    assert!(rejected(world.place(&mut orders, &poor).await).contains("insufficient_balance"));
    let off = order("b", Side::Buy, 4_350, 100, gtc);
    assert!(rejected(world.place(&mut orders, &off).await).contains("invalid_parameters"));
    let taking = order("c", Side::Buy, 4_400, 100, TimeInForce::PostOnly);
    assert!(rejected(world.place(&mut orders, &taking).await).contains("post_only"));
    let resting = order("d", Side::Buy, 4_300, 100, gtc);
    let PlaceAnswer::Accepted { venue_id, .. } = world.place(&mut orders, &resting).await else {
        panic!("not accepted")
    };
    let closed = MarketStatus {
        instrument: A,
        status: TradingStatus::Closed,
    };
    world.play(&Event::MarketStatus(closed));
    let late = order("e", Side::Buy, 4_300, 100, gtc);
    assert!(rejected(world.place(&mut orders, &late).await).contains("MARKET_INACTIVE"));
    let known = KnownOrder {
        order: resting,
        venue_id: Some(&venue_id),
    };
    assert_eq!(world.cancel(&mut orders, &known).await, CancelAnswer::Gone);
    let (_, facts) = world.look_up(&mut orders, &known).await;
    assert!(matches!(&facts[..], [AccountFact::Order(o)] if o.state == OrderState::Cancelled));
    // Another key, an old time, a V1 path, and no key at all.
    let own = world.signer.clone();
    let stranger = Keys::generate().unwrap();
    world.signer = Signer::new(stranger.id(), &stranger.private_pem().unwrap()).unwrap();
    let mut foreign = world.orders();
    let order = order("f", Side::Buy, 4_300, 100, gtc);
    let why = rejected(world.place(&mut foreign, &order).await);
    assert_eq!(why, "401: authentication_error: wrong signature");
    let old = orders
        .place(&order, Nanos(START.0 - 3_600 * SECOND_NS))
        .unwrap();
    assert_eq!(world.ask(&old).await.unwrap().status, 401);
    let now = world.exchange.now();
    let mut unsigned = orders.place(&order, now).unwrap();
    unsigned.headers.clear();
    assert_eq!(world.ask(&unsigned).await.unwrap().status, 401);
    // V1 is gone: its own envelope says so, and the codec reads it.
    let target = "/trade-api/v2/portfolio/orders";
    world.signer = own;
    let v1 = Request {
        method: Method::Post,
        target: target.to_owned(),
        headers: world.signer.headers(Method::Post, target, now).unwrap(),
        ..unsigned
    };
    let gone = world.ask(&v1).await.unwrap();
    assert_eq!(gone.status, 410);
    let why = rejected(orders.placed(&order, Some(&gone.response())));
    assert!(why.contains("deprecated_v1_order_endpoint"));
}

#[tokio::test]
async fn an_order_whose_answer_never_came_is_found_and_one_that_was_lost_is_not() {
    let world = World::new().await;
    let mut orders = world.orders();
    let fault = |kind| Fault::Request {
        venue: "kalshi".to_owned(),
        kind,
    };
    for (id, kind, is_there) in [
        ("kept", RequestFault::AcceptedUnanswered, true),
        ("lost", RequestFault::LostUnanswered, false),
        ("down", RequestFault::Status(503), false),
    ] {
        world.exchange.faults().command(fault(kind));
        let order = order(id, Side::Buy, 4_300, 100, TimeInForce::GoodTillCancel);
        let answer = world.place(&mut orders, &order).await;
        assert!(matches!(answer, PlaceAnswer::Unknown { .. }), "{answer:?}");
        let unnamed = KnownOrder {
            order,
            venue_id: None,
        };
        let (found, facts) = world.look_up(&mut orders, &unnamed).await;
        assert_eq!((found, !facts.is_empty()), (is_there, is_there), "{id}");
    }
    world
        .exchange
        .faults()
        .command(fault(RequestFault::Status(429)));
    let order = order("busy", Side::Buy, 4_300, 100, TimeInForce::GoodTillCancel);
    let answer = world.place(&mut orders, &order).await;
    assert!(matches!(
        answer,
        PlaceAnswer::Busy {
            retry_after_ms: 1_000,
            ..
        }
    ));
    assert_eq!(world.exchange.with(|truth| truth.report()).orders, 1);
}

#[tokio::test]
async fn a_market_pauses_changes_its_grid_and_pays_out() {
    let mut world = World::new().await;
    let mut link = Link::new(&world, FeedConfig::default()).await;
    link.agree(&world).await;
    let status = |status| {
        Event::MarketStatus(MarketStatus {
            instrument: A,
            status,
        })
    };
    world.play(&status(TradingStatus::Halted));
    link.run(&world, |link| link.has("Halted")).await;
    world.play(&status(TradingStatus::Open));
    link.run(&world, |link| {
        link.frames.last().is_some_and(|frame| frame == "Open")
    })
    .await;
    world.play(&Event::TradingRules(TradingRules {
        effective_from: world.exchange.now(),
        ..rules(A, 10)
    }));
    link.run(&world, |link| link.has("tick 10")).await;
    assert!(link.has("Book Stale(OffGrid)"));
    world.change(A, &[(4_210, 100)], &[]);
    link.agree(&world).await;
    let paid = Resolution {
        instrument: A,
        settlement_price: Price(10_000),
    };
    world.play(&Event::Resolution(paid));
    link.run(&world, |link| link.has("pays 10000")).await;
    assert_eq!(
        link.tape.instrument(A).unwrap().settled_at,
        Some(Price(10_000))
    );
    assert_eq!(link.connections, 1);
}
