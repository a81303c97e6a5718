//! The venue's codecs against the local exchange, over sockets on loopback.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests fail as tests do
use futures_util::{SinkExt, StreamExt};
use onetape_engine::event::{
    Aggressor, BookHeader, BookUpdate, ContractTerms, Event, FeeSchedule, Holding,
    InstrumentDefined, InstrumentType, Kind, LeaderPortfolio, LeaderTrade, Level, Liquidity,
    Resolution, Trade, TradingRules,
};
use onetape_engine::fees::{FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_venues::exchange::polymarket::{Keys, router, rules_text, token_id};
use onetape_venues::exchange::{
    Cash, Exchange, ExchangeClock, Fault, FaultPlan, RequestFault, SocketFault, wall_now,
};
use onetape_venues::gateway::{
    AccountFact, CancelAnswer, Feed, Instruments, KnownOrder, Listed, Listings, Method, NewOrder,
    OrderWire, Outbox, PlaceAnswer, Query, Request, Response,
};
use onetape_venues::polymarket::{
    LeaderFeed, LeaderFeedConfig, ListingConfig, MarketFeed, MarketFeedConfig, Markets,
    OrderConfig, Orders, Token, Tokens, UserFeed, UserFeedConfig, VENUE, WalletKind, read_version,
    version_request,
};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const X: InstrumentId = InstrumentId(0);
const SYMBOL: &str = "btc-above-90k";
const DECIMALS: Decimals = Decimals { price: 4, qty: 6 };
const SHARE: i64 = 1_000_000;

/// An exchange with one token, 48x30 50x15 | 52x25 54x10, 1000 USD of ours, and its face on a port.
struct Rig {
    exchange: Arc<Exchange>,
    keys: Keys,
    host: String,
    http: reqwest::Client,
}

impl Rig {
    async fn new(kind: WalletKind) -> Self {
        let now = wall_now();
        let clock = ExchangeClock {
            wall_origin: now,
            origin: now,
            speed: 1,
        };
        let key = (VENUE.to_owned(), "USD".to_owned());
        let cash = Cash::from([(key, Decimal::from(1_000))]);
        let exchange = Exchange::new(clock, cash, FaultPlan::default());
        let keys = Keys::generate(kind).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let face = router(Arc::clone(&exchange), keys.clone());
        tokio::spawn(async move { axum::serve(listener, face).await.unwrap() });
        let builder = reqwest::Client::builder().no_proxy();
        let http = builder.timeout(Duration::from_millis(700)).build().unwrap();
        let rig = Self {
            exchange,
            keys,
            host,
            http,
        };
        for event in definitions() {
            rig.play(&event);
        }
        rig.levels(
            true,
            &[(4_800, 30), (5_000, 15)],
            &[(5_200, 25), (5_400, 10)],
        );
        rig
    }

    fn play(&self, event: &Event<'_>) {
        let now = self.exchange.now();
        self.exchange
            .with(|truth| truth.evolve(now, event))
            .unwrap();
    }

    fn levels(&self, whole: bool, bids: &[(i64, i64)], asks: &[(i64, i64)]) {
        let side = |levels: &[(i64, i64)]| -> Vec<Level> {
            let level = |(price, shares): &(i64, i64)| Level {
                price: Price(*price),
                qty: Qty(shares * SHARE),
            };
            levels.iter().map(level).collect()
        };
        let (bids, asks) = (side(bids), side(asks));
        let header = BookHeader {
            instrument: X,
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            ..BookHeader::default()
        };
        let update = BookUpdate {
            header: &header,
            bids: &bids,
            asks: &asks,
        };
        self.play(&if whole {
            Event::BookSnapshot(update)
        } else {
            Event::BookDelta(update)
        });
    }

    fn trade(&self, price: i64, shares: i64, aggressor: Aggressor) {
        self.play(&Event::Trade(&Trade {
            instrument: X,
            aggressor: aggressor.byte(),
            price: Price(price),
            qty: Qty(shares * SHARE),
            ..Trade::default()
        }));
    }

    fn fault(&self, fault: Fault) {
        self.exchange.faults().command(fault);
    }

    fn held(&self) -> i64 {
        self.exchange.with(|truth| truth.holding(X).0)
    }

    async fn send(&self, request: &Request) -> Option<Answer> {
        let url = format!("http://{}{}", self.host, request.target);
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut sent = self.http.request(method, url).body(request.body.clone());
        for (name, value) in &request.headers {
            sent = sent.header(*name, value);
        }
        let answer = sent.send().await.ok()?;
        let status = answer.status().as_u16();
        let headers = answer.headers().iter();
        let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = headers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        let body = answer.bytes().await.ok()?.to_vec();
        Some(Answer {
            status,
            headers,
            body,
        })
    }

    async fn wire<F: Feed>(&self, feed: F) -> Wired<'_, F> {
        let target = feed.handshake(self.exchange.now()).unwrap().target;
        let (socket, _) = connect_async(format!("ws://{}{target}", self.host))
            .await
            .unwrap();
        let mut wired = Wired {
            rig: self,
            feed,
            socket,
            out: Outbox::default(),
            events: Vec::new(),
            facts: Vec::new(),
            book: TapeBook::default(),
        };
        wired.feed.opened(self.exchange.now(), &mut wired.out);
        wired.flush().await;
        wired
    }

    fn instruments(&self) -> Instruments {
        Instruments::new([Listed {
            instrument: X,
            symbol: token_id(SYMBOL),
            decimals: DECIMALS,
        }])
    }

    fn orders(&self) -> Orders {
        let tokens = Tokens::default();
        tokens.insert(
            &token_id(SYMBOL),
            Token {
                condition_id: self.condition(),
                tick: "0.01".parse().unwrap(),
                neg_risk: false,
            },
        );
        let (wallet, credentials) = (self.keys.wallet.clone(), self.keys.credentials.clone());
        Orders::new(
            OrderConfig::default(),
            self.instruments(),
            tokens,
            wallet,
            credentials,
        )
    }

    fn condition(&self) -> String {
        let token = token_id(SYMBOL);
        let hash = onetape_venues::polygon::keccak(&[b"condition", token.as_bytes()]);
        onetape_venues::polygon::hex(&hash)
    }

    fn user_feed(&self) -> UserFeed {
        let keys = &self.keys;
        let config = UserFeedConfig::default();
        UserFeed::new(
            config,
            self.instruments(),
            keys.credentials.clone(),
            keys.wallet.funder,
        )
    }

    fn market_feed(&self) -> MarketFeed {
        let config = MarketFeedConfig::default();
        MarketFeed::new(config, &self.instruments(), &[rules()], Tokens::default()).unwrap()
    }

    async fn place(&self, orders: &mut Orders, order: &NewOrder<'_>) -> PlaceAnswer {
        let request = orders.place(order, self.exchange.now()).unwrap();
        let answer = self.send(&request).await;
        orders.placed(order, answer.as_ref().map(Answer::response).as_ref())
    }

    async fn look_up(
        &self,
        orders: &mut Orders,
        order: &NewOrder<'_>,
        later_s: u64,
    ) -> (Result<bool, String>, Vec<AccountFact>) {
        let known = KnownOrder {
            order: order.clone(),
            venue_id: None,
        };
        let mut answers = Vec::new();
        for request in orders.lookup(&known, self.exchange.now().after(later_s * SECOND_NS)) {
            answers.push(self.send(&request).await.unwrap());
        }
        let responses: Vec<Response<'_>> = answers.iter().map(Answer::response).collect();
        let mut facts = Vec::new();
        let found = orders.looked_up(&known, &responses, &mut facts);
        (found.map_err(|why| why.to_string()), facts)
    }

    fn order<'a>(&self, client_id: &'a str, side: Side, price: i64, shares: i64) -> NewOrder<'a> {
        NewOrder {
            order: OrderId(client_id.len() as u64),
            client_id,
            instrument: X,
            side,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::GoodTillCancel,
            price: Price(price),
            worst_price: Price(0),
            qty: Qty(shares * SHARE),
            decided_at: self.exchange.now(),
        }
    }
}

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

fn rules() -> TradingRules {
    TradingRules {
        instrument: X,
        effective_from: Nanos(0),
        tick_size: Price(100),
        lot_size: Qty(SHARE / 100),
        min_qty: Qty(5 * SHARE),
        min_notional: Money::ZERO,
        min_price: Price(100),
        max_price: Price(9_900),
        bands: Vec::new(),
        allows_short: false,
    }
}

fn definitions() -> Vec<Event<'static>> {
    let fees = FeeSchedule {
        instrument: X,
        effective_from: Nanos(0),
        maker: FeeFormula::probability(Decimal::ZERO),
        taker: FeeFormula::probability(Decimal::new(5, 2)),
        rounding: Rounding {
            decimals: 5,
            mode: RoundingMode::Down,
        },
        source: "venue".to_owned(),
        accrual: Default::default(),
    };
    let definition = InstrumentDefined {
        instrument: X,
        venue: VENUE.to_owned(),
        symbol: SYMBOL.to_owned(),
        instrument_type: InstrumentType::Binary,
        base: "YES".to_owned(),
        quote: "USD".to_owned(),
        decimals: DECIMALS,
    };
    vec![
        Event::InstrumentDefined(Box::new(definition)),
        Event::TradingRules(rules()),
        Event::FeeSchedule(Box::new(fees)),
        Event::ContractTerms(Box::new(ContractTerms {
            instrument: X,
            event: "btc".to_owned(),
            cluster: "crypto".to_owned(),
            closes_at: Nanos(1_900_000_000 * SECOND_NS),
            settles_at: Nanos(1_900_000_000 * SECOND_NS),
            rules_hash: "r".to_owned(),
            temperature: None,
        })),
    ]
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A feed on its socket, as a driver has it.
struct Wired<'r, F> {
    rig: &'r Rig,
    feed: F,
    socket: Socket,
    out: Outbox,
    events: Vec<String>,
    facts: Vec<AccountFact>,
    book: TapeBook,
}

impl<F: Feed> Wired<'_, F> {
    async fn flush(&mut self) {
        loop {
            let out = std::mem::take(&mut self.out);
            for (kind, payload) in out.events() {
                self.book.take(kind, payload);
                self.events
                    .push(match Event::decode(kind.number(), payload).unwrap() {
                        Event::FeedState(state) => format!("{:?}", state.condition),
                        Event::Resolution(r) => format!("pays {}", r.settlement_price.0),
                        Event::TradingRules(rules) => format!("tick {}", rules.tick_size.0),
                        Event::LeaderTrade(t) => {
                            format!("leader {} {:?}", t.transaction, t.liquidity)
                        }
                        Event::LeaderPortfolio(p) => {
                            format!("worth {} {}", p.value_usd, p.holdings.len())
                        }
                        _ => kind.name().to_owned(),
                    });
            }
            self.facts.extend(out.account_facts().iter().cloned());
            for message in out.messages() {
                self.socket
                    .send(Message::text(message.as_str()))
                    .await
                    .unwrap();
            }
            if out.requests().is_empty() {
                return;
            }
            for (tag, request) in out.requests() {
                let answer = self.rig.send(request).await;
                let response = answer.as_ref().map(Answer::response);
                let now = self.rig.exchange.now();
                let taken = self
                    .feed
                    .response(*tag, response.as_ref(), now, &mut self.out);
                taken.unwrap_or_else(|why| panic!("{request:?}: {why}"));
            }
        }
    }

    /// Until what is waited for has come, 5 s at the most.
    async fn until(&mut self, what: &str, seen: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !seen(self) {
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "{what} did not come: {:?} {:?}",
                self.events,
                self.facts
            );
            let next = tokio::time::timeout(Duration::from_millis(50), self.socket.next()).await;
            let now = self.rig.exchange.now();
            if let Ok(Some(message)) = next
                && let Message::Text(text) = message.unwrap()
            {
                let taken = self.feed.message(text.as_bytes(), now, &mut self.out);
                taken.unwrap_or_else(|why| panic!("{text}: {why}"));
            }
            self.feed.tick(now, &mut self.out);
            self.flush().await;
        }
    }

    fn count(&self, event: &str) -> usize {
        self.events
            .iter()
            .filter(|seen| seen.starts_with(event))
            .count()
    }
}

/// The frames as a book takes them, to be held against the exchange's.
#[derive(Default)]
struct TapeBook {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

impl TapeBook {
    fn take(&mut self, kind: Kind, payload: &[u8]) {
        if kind != Kind::BookSnapshot && kind != Kind::BookDelta {
            return;
        }
        let (Event::BookSnapshot(update) | Event::BookDelta(update)) =
            Event::decode(kind.number(), payload).unwrap()
        else {
            panic!("no book")
        };
        if kind == Kind::BookSnapshot {
            *self = Self::default();
        }
        for (side, levels) in [(&mut self.bids, update.bids), (&mut self.asks, update.asks)] {
            for level in levels {
                side.insert(level.price.0, level.qty.0);
            }
            side.retain(|_, qty| *qty != 0);
        }
    }

    fn equals(&self, rig: &Rig) -> bool {
        rig.exchange.with(|truth| {
            let book = truth.market().instrument(X).unwrap().book().unwrap();
            let side = |side| -> BTreeMap<i64, i64> {
                book.side(side)
                    .levels()
                    .map(|l| (l.price.0, l.qty.0))
                    .collect()
            };
            side(Side::Buy) == self.bids && side(Side::Sell) == self.asks
        })
    }
}

fn fills(facts: &[AccountFact]) -> Vec<(i64, i64, bool)> {
    let fill = |fact: &AccountFact| match fact {
        AccountFact::Fill(fill) => Some((fill.price.0, fill.qty.0 / SHARE, fill.is_final)),
        _ => None,
    };
    facts.iter().filter_map(fill).collect()
}

fn states(facts: &[AccountFact]) -> Vec<OrderState> {
    let state = |fact: &AccountFact| match fact {
        AccountFact::Order(order) => Some(order.state),
        _ => None,
    };
    facts.iter().filter_map(state).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_listed_as_the_exchange_has_it() {
    let rig = Rig::new(WalletKind::Key).await;
    let version = rig.send(&version_request()).await.unwrap();
    assert!(read_version(&version.response()).is_ok());
    let (token, tokens) = (token_id(SYMBOL), Tokens::default());
    let mut markets = Markets::new(ListingConfig::default(), [], tokens.clone());
    let mut listing = Err(String::new());
    // The first round finds the market, the second one reads it.
    for round in 0..2 {
        let requests = markets.requests(&token, rig.exchange.now());
        assert_eq!(requests.len(), 1 + round);
        let mut answers = Vec::new();
        for request in &requests {
            answers.push(rig.send(request).await.unwrap());
        }
        let responses: Vec<Response<'_>> = answers.iter().map(Answer::response).collect();
        listing = markets
            .read(&token, X, &responses, Nanos(0))
            .map_err(|why| why.to_string());
    }
    let listing = listing.unwrap();
    assert_eq!(listing.rules, rules());
    let fees = listing.fees.unwrap();
    assert_eq!(fees.taker, FeeFormula::probability(Decimal::new(5, 2)));
    let terms = listing.terms.unwrap();
    assert_eq!(terms.closes_at, Nanos(1_900_000_000 * SECOND_NS));
    let hash = blake3::hash(rules_text("r").as_bytes())
        .to_hex()
        .to_string();
    assert_eq!(terms.rules_hash, hash);
    assert_eq!(tokens.get(&token).unwrap().condition_id, rig.condition());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_book_on_the_tape_is_the_exchanges_through_loss_and_repetition() {
    let rig = Rig::new(WalletKind::Key).await;
    let mut market = rig.wire(rig.market_feed()).await;
    market
        .until("the book", |m| m.count("book_snapshot") == 1)
        .await;
    assert!(market.book.equals(&rig));
    rig.levels(false, &[(5_100, 7)], &[]);
    market.until("the change", |m| m.book.equals(&rig)).await;
    // A change is lost and the next one shows it.
    rig.fault(Fault::Socket {
        venue: VENUE.to_owned(),
        kind: SocketFault::Lost,
    });
    rig.fault(Fault::Socket {
        venue: VENUE.to_owned(),
        kind: SocketFault::Lost,
    });
    rig.levels(false, &[], &[(5_200, 0)]);
    tokio::time::sleep(Duration::from_millis(20)).await;
    rig.levels(false, &[(4_800, 31)], &[]);
    market
        .until("a new book", |m| m.count("book_snapshot") == 2)
        .await;
    assert_eq!(market.count("Stale(Gap"), 1);
    market.until("the same book", |m| m.book.equals(&rig)).await;
    rig.fault(Fault::Socket {
        venue: VENUE.to_owned(),
        kind: SocketFault::Twice,
    });
    for size in 32..60 {
        rig.levels(false, &[(4_800, size)], &[(5_500, size)]);
    }
    market
        .until("the last change", |m| m.book.equals(&rig))
        .await;
    assert_eq!(market.count("Stale"), 1);
    // Trades, a tick and the result.
    rig.trade(5_400, 1, Aggressor::Buyer);
    market.until("the trade", |m| m.count("trade") == 1).await;
    let tick = TradingRules {
        tick_size: Price(10),
        effective_from: rig.exchange.now(),
        ..rules()
    };
    rig.play(&Event::TradingRules(tick));
    market
        .until("the tick's book", |m| m.count("book_snapshot") == 3)
        .await;
    assert_eq!(
        (market.count("tick 10"), market.count("Stale(OffGrid)")),
        (1, 1)
    );
    rig.play(&Event::Resolution(Resolution {
        instrument: X,
        settlement_price: Price(10_000),
    }));
    market
        .until("the result", |m| m.count("pays 10000") == 1)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_every_wallet_are_taken_and_told() {
    for kind in [
        WalletKind::Key,
        WalletKind::Proxy,
        WalletKind::Safe,
        WalletKind::Deposit,
    ] {
        let rig = Rig::new(kind).await;
        let mut orders = rig.orders();
        let mut user = rig.wire(rig.user_feed()).await;
        user.until("the look at what was missed", |u| !u.facts.is_empty())
            .await;
        user.facts.clear();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let rests = rig.order("a", Side::Buy, 5_000, 10);
        let PlaceAnswer::Accepted { venue_id, facts } = rig.place(&mut orders, &rests).await else {
            panic!("{kind:?} not accepted")
        };
        assert_eq!(states(&facts), [OrderState::Acked]);
        // The same order again is known.
        assert_eq!(rig.place(&mut orders, &rests).await, PlaceAnswer::Duplicate);
        let (found, told) = rig.look_up(&mut orders, &rests, 0).await;
        assert_eq!((found, states(&told)), (Ok(true), vec![OrderState::Acked]));
        // Fifteen stand before it; the seller reaches it.
        rig.trade(5_000, 25, Aggressor::Seller);
        user.until("the confirmed fill", |u| {
            fills(&u.facts).iter().any(|f| f.2)
        })
        .await;
        assert_eq!(
            fills(&user.facts),
            [(5_000, 10, false), (5_000, 10, false), (5_000, 10, true)]
        );
        assert_eq!(states(&user.facts), [OrderState::Acked, OrderState::Filled]);
        let AccountFact::Fill(fill) = user
            .facts
            .iter()
            .find(|f| matches!(f, AccountFact::Fill(_)))
            .unwrap()
        else {
            panic!("no fill")
        };
        assert_eq!(fill.key.venue_id.as_deref(), Some(venue_id.as_str()));
        assert_eq!((fill.side, fill.liquidity), (Side::Buy, Liquidity::Maker));
        assert_eq!(rig.held(), 10 * SHARE);
        // Not at work any more: its trades prove it.
        let (found, told) = rig.look_up(&mut orders, &rests, 0).await;
        assert_eq!((found, states(&told)), (Ok(true), vec![OrderState::Filled]));
        assert_eq!(fills(&told), [(5_000, 10, true)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_take_are_over_at_once() {
    let rig = Rig::new(WalletKind::Key).await;
    let mut orders = rig.orders();
    let at_once = |client_id, side, price, shares| NewOrder {
        time_in_force: TimeInForce::ImmediateOrCancel,
        ..rig.order(client_id, side, price, shares)
    };
    let taken = rig
        .place(&mut orders, &at_once("a", Side::Buy, 5_200, 20))
        .await;
    let PlaceAnswer::Accepted { facts, .. } = taken else {
        panic!("{taken:?}")
    };
    assert_eq!(states(&facts), [OrderState::Filled]);
    // Five are left at the limit.
    let taken = rig
        .place(&mut orders, &at_once("ab", Side::Buy, 5_200, 20))
        .await;
    let PlaceAnswer::Accepted { facts, .. } = taken else {
        panic!("{taken:?}")
    };
    assert!(
        matches!(&facts[..], [AccountFact::Order(o)] if o.state == OrderState::Cancelled && o.filled == Some(Qty(5 * SHARE)))
    );
    let nobody = rig
        .place(&mut orders, &at_once("abc", Side::Buy, 5_200, 20))
        .await;
    let PlaceAnswer::Accepted { facts, .. } = nobody else {
        panic!("{nobody:?}")
    };
    assert_eq!(states(&facts), [OrderState::Expired]);
    let sold = rig
        .place(&mut orders, &at_once("abcd", Side::Sell, 4_800, 25))
        .await;
    let PlaceAnswer::Accepted { facts, .. } = sold else {
        panic!("{sold:?}")
    };
    assert_eq!(states(&facts), [OrderState::Filled]);
    assert_eq!(rig.held(), 0);
    // What is not held is not sold; what would take may not rest.
    let short = rig
        .place(&mut orders, &rig.order("e", Side::Sell, 5_400, 5))
        .await;
    assert!(
        matches!(&short, PlaceAnswer::Rejected { why } if why.contains("balance")),
        "{short:?}"
    );
    let crossing = NewOrder {
        time_in_force: TimeInForce::PostOnly,
        ..rig.order("ef", Side::Buy, 5_400, 5)
    };
    let PlaceAnswer::Accepted { facts, .. } = rig.place(&mut orders, &crossing).await else {
        panic!("not expired")
    };
    assert_eq!(states(&facts), [OrderState::Expired]);
    // All that happened, page by page, and what is left.
    let (mut told, now) = (Vec::new(), rig.exchange.now());
    for query in [
        Query::Fills {
            since: Nanos(0),
            of: Arc::default(),
        },
        Query::OpenOrders,
        Query::Holdings,
        Query::Balances,
    ] {
        let answer = rig.send(&orders.ask(&query, None, now)).await.unwrap();
        let next = orders
            .answer(&query, &answer.response(), &mut told)
            .unwrap();
        assert_eq!(next, None);
    }
    // Two buys, and a sale into two levels.
    let shares: Vec<i64> = fills(&told).iter().map(|(_, shares, _)| *shares).collect();
    assert_eq!(shares, [10, 15, 5, 20]);
    let balance = told.iter().find_map(|fact| match fact {
        AccountFact::Balance(balance) => Some(balance.free),
        _ => None,
    });
    let cash = rig.exchange.with(|truth| truth.cash(VENUE)[0].1);
    assert_eq!(balance, Some(cash.trunc_with_scale(6)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_never_came_is_found_by_the_hash() {
    let rig = Rig::new(WalletKind::Key).await;
    let mut orders = rig.orders();
    let order = rig.order("a", Side::Buy, 5_000, 10);
    let fault = |kind| {
        rig.fault(Fault::Request {
            venue: VENUE.to_owned(),
            kind,
        });
    };
    fault(RequestFault::LostUnanswered);
    let answer = rig.place(&mut orders, &order).await;
    assert!(matches!(answer, PlaceAnswer::Unknown { .. }));
    // It never came: nobody knows it, and only time proves that.
    let (found, _) = rig.look_up(&mut orders, &order, 0).await;
    assert!(found.unwrap_err().contains("not yet"));
    assert_eq!(
        rig.look_up(&mut orders, &order, 61).await,
        (Ok(false), Vec::new())
    );
    fault(RequestFault::AcceptedUnanswered);
    let answer = rig.place(&mut orders, &order).await;
    assert!(matches!(answer, PlaceAnswer::Unknown { .. }));
    let (found, told) = rig.look_up(&mut orders, &order, 0).await;
    assert_eq!((found, states(&told)), (Ok(true), vec![OrderState::Acked]));
    for (status, is_busy) in [(429, true), (425, true), (503, false)] {
        fault(RequestFault::Status(status));
        let next = rig.order("ab", Side::Buy, 5_000, 10);
        let answer = rig.place(&mut orders, &next).await;
        assert_eq!(
            matches!(answer, PlaceAnswer::Busy { .. }),
            is_busy,
            "{answer:?}"
        );
    }
    // Cancelled once, and gone then.
    let known = KnownOrder {
        order,
        venue_id: None,
    };
    for gone in [false, true] {
        let request = orders.cancel(&known, rig.exchange.now()).unwrap();
        let answer = rig.send(&request).await.unwrap();
        let found = orders.cancelled(&known, Some(&answer.response()));
        assert_eq!(found == CancelAnswer::Gone, gone, "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trade_that_fails_on_the_chain_is_taken_back() {
    let rig = Rig::new(WalletKind::Safe).await;
    let mut orders = rig.orders();
    let mut user = rig.wire(rig.user_feed()).await;
    user.until("the look", |u| !u.facts.is_empty()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    rig.fault(Fault::FailNextTrade {
        venue: VENUE.to_owned(),
    });
    let order = NewOrder {
        time_in_force: TimeInForce::ImmediateOrCancel,
        ..rig.order("a", Side::Buy, 5_200, 20)
    };
    rig.place(&mut orders, &order).await;
    assert_eq!(rig.held(), 20 * SHARE);
    let reversed = |facts: &[AccountFact]| {
        facts.iter().find_map(|fact| match fact {
            AccountFact::FillReversed { fill_id, .. } => Some(fill_id.clone()),
            _ => None,
        })
    };
    user.until("the failure", |u| reversed(&u.facts).is_some())
        .await;
    assert_eq!(fills(&user.facts), [(5_200, 20, false), (5_200, 20, false)]);
    let AccountFact::Fill(fill) = user
        .facts
        .iter()
        .find(|f| matches!(f, AccountFact::Fill(_)))
        .unwrap()
    else {
        panic!("no fill")
    };
    assert_eq!(reversed(&user.facts), Some(fill.fill_id.clone()));
    assert_eq!(rig.held(), 0);
    let (found, told) = rig.look_up(&mut orders, &order, 61).await;
    assert_eq!(
        (found, reversed(&told)),
        (Ok(false), Some(fill.fill_id.clone()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_forgeries_are_refused() {
    let rig = Rig::new(WalletKind::Key).await;
    let other = Rig::new(WalletKind::Key).await;
    let order = rig.order("a", Side::Buy, 5_000, 10);
    // Another account's credentials.
    let answer = rig.place(&mut other.orders(), &order).await;
    assert!(
        matches!(&answer, PlaceAnswer::Rejected { why } if why.contains("401")),
        "{answer:?}"
    );
    // Our credentials over another key's order.
    let mut forged = other.orders();
    let theirs = forged.place(&order, rig.exchange.now()).unwrap();
    let swapped = theirs
        .body
        .replace(&other.keys.credentials.key, &rig.keys.credentials.key);
    let headers = onetape_venues::polymarket::auth::level2(
        &rig.keys.credentials,
        rig.keys.wallet.signer.address(),
        Method::Post,
        "/order",
        &swapped,
        rig.exchange.now(),
    );
    let request = Request {
        body: swapped,
        headers: headers.unwrap(),
        ..theirs
    };
    let answer = rig.send(&request).await.unwrap();
    assert!(String::from_utf8_lossy(&answer.body).contains("invalid signature"));
    // A body that is changed after it was signed.
    let mut changed = rig.orders().place(&order, rig.exchange.now()).unwrap();
    changed.body = changed.body.replace("\"BUY\"", "\"SELL\"");
    assert_eq!(rig.send(&changed).await.unwrap().status, 401);
    assert_eq!(rig.exchange.with(|truth| truth.report().orders), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_go_on_from_the_one_before() {
    let rig = Rig::new(WalletKind::Key).await;
    let mut orders = rig.orders();
    for _ in 0..3 {
        let (request, _) = orders.keep_alive(rig.exchange.now()).unwrap();
        let answer = rig.send(&request).await.unwrap();
        assert_eq!(answer.status, 200);
        orders.kept_alive(Some(&answer.response()));
    }
    // Another process began a chain of its own: the refusal names its heartbeat.
    let (request, _) = rig.orders().keep_alive(rig.exchange.now()).unwrap();
    assert_eq!(rig.send(&request).await.unwrap().status, 200);
    let (request, _) = orders.keep_alive(rig.exchange.now()).unwrap();
    let refused = rig.send(&request).await.unwrap();
    assert_eq!(refused.status, 400);
    orders.kept_alive(Some(&refused.response()));
    let (request, _) = orders.keep_alive(rig.exchange.now()).unwrap();
    assert_eq!(rig.send(&request).await.unwrap().status, 200);
    let time = rig.send(&orders.ask_time(Nanos(0)).unwrap()).await.unwrap();
    let told = orders.time(&time.response()).unwrap();
    assert!(rig.exchange.now().since(told) < 2 * SECOND_NS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaders_trades_and_worth_come_from_stream_and_data_api() {
    let rig = Rig::new(WalletKind::Key).await;
    let wallet = onetape_venues::polygon::Address([0xab; 20]);
    let trade = |transaction: &str| LeaderTrade {
        wallet: wallet.lower(),
        instrument: X,
        side: Side::Buy,
        price: Price(5_000),
        qty: Qty(10 * SHARE),
        transaction: transaction.to_owned(),
        liquidity: Liquidity::Taker,
        traded_at: Nanos(1_795_253_400 * SECOND_NS),
        occurrence: 0,
    };
    rig.play(&Event::LeaderTrade(Box::new(trade("0xa"))));
    rig.play(&Event::LeaderPortfolio(Box::new(LeaderPortfolio {
        wallet: wallet.lower(),
        value_usd: Decimal::from(100),
        holdings: vec![Holding {
            instrument: X,
            qty: Qty(10 * SHARE),
        }],
        taken_at: Nanos(0),
    })));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let feed = LeaderFeed::new(LeaderFeedConfig::default(), rig.instruments(), &[wallet]);
    let mut leaders = rig.wire(feed).await;
    // Both views of the trade, and all that the wallet has.
    leaders
        .until("the portfolio", |l| l.count("worth 100 1") == 1)
        .await;
    assert_eq!(
        (
            leaders.count("leader 0xa Taker"),
            leaders.count("leader 0xa Maker")
        ),
        (1, 1)
    );
    rig.play(&Event::LeaderTrade(Box::new(trade("0xb"))));
    leaders
        .until("the stream's row", |l| l.count("leader 0xb Maker") == 1)
        .await;
}
