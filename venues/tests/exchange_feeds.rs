//! The local exchange's faces of EODHD, the weather services and an IB gateway, over real sockets on this machine, driven by
//! the codecs that production uses.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // helpers of tests fail as tests do
use futures_util::{SinkExt, StreamExt};
use onetape_engine::event::{
    Aggressor, Event, FeeSchedule, Forecast, InstrumentDefined, InstrumentType, Kind, Observation,
    ObservationQuality, Quote, Trade, TradingRules,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::time::Nanos;
use onetape_venues::exchange::{self, Cash, Exchange, ExchangeClock, FaultPlan, wall_now};
use onetape_venues::gateway::{Feed, Instruments, Listed, Outbox, Poll, Request, Response};
use onetape_venues::{eodhd, fx, weather};
use rust_decimal::Decimal;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

const STOCK: InstrumentId = InstrumentId(0);
const PAIR: InstrumentId = InstrumentId(1);

fn at(text: &str) -> Nanos {
    let moment: jiff::Timestamp = text.parse().unwrap();
    Nanos(moment.as_nanosecond().try_into().unwrap())
}

/// An exchange that opens at a time with "ib:AAPL" (cents, whole shares, 1 cent fee a share taken) and "fx:USDKRW".
fn exchange_at(time: &str) -> Arc<Exchange> {
    let clock = ExchangeClock {
        wall_origin: wall_now(),
        origin: at(time),
        speed: 1,
    };
    let cash = Cash::from([(("ib".to_owned(), "USD".to_owned()), Decimal::from(100_000))]);
    let exchange = Exchange::new(clock, cash, FaultPlan::default());
    define(
        &exchange,
        STOCK,
        "ib",
        "AAPL",
        InstrumentType::Equity,
        "USD",
        0,
    );
    define(
        &exchange,
        PAIR,
        "fx",
        "USDKRW",
        InstrumentType::Spot,
        "KRW",
        2,
    );
    exchange
}

fn define(
    exchange: &Exchange,
    instrument: InstrumentId,
    venue: &str,
    symbol: &str,
    instrument_type: InstrumentType,
    quote: &str,
    qty_decimals: u8,
) {
    let lot = 10i64.pow(qty_decimals.into());
    let definition = InstrumentDefined {
        instrument,
        venue: venue.to_owned(),
        symbol: symbol.to_owned(),
        instrument_type,
        base: symbol.trim_end_matches("KRW").to_owned(),
        quote: quote.to_owned(),
        decimals: Decimals::new(2, qty_decimals).unwrap(),
    };
    let rules = TradingRules {
        instrument,
        effective_from: Nanos(0),
        tick_size: Price(1),
        lot_size: Qty(lot),
        min_qty: Qty(lot),
        min_notional: Money(0),
        min_price: Price(1),
        max_price: Price(100_000_000),
        bands: Vec::new(),
        allows_short: true,
    };
    let fees = FeeSchedule {
        instrument,
        effective_from: Nanos(0),
        maker: FeeFormula::notional(Decimal::ZERO),
        taker: FeeFormula::notional(Decimal::new(1, 3)),
        rounding: Rounding {
            mode: RoundingMode::Up,
            decimals: 2,
        },
        source: "test".to_owned(),
        accrual: FeeAccrual::PerFill,
    };
    play(exchange, &Event::InstrumentDefined(Box::new(definition)));
    play(exchange, &Event::TradingRules(rules));
    play(exchange, &Event::FeeSchedule(Box::new(fees)));
}

fn play(exchange: &Exchange, event: &Event<'_>) {
    let now = exchange.now();
    exchange.with(|truth| truth.evolve(now, event)).unwrap();
}

fn quote(exchange: &Exchange, instrument: InstrumentId, bid: i64, ask: i64) -> Quote {
    let quote = Quote {
        instrument,
        venue_time_ns: 1_795_253_400_123_000_000,
        bid_price: Price(bid),
        bid_qty: Qty(100),
        ask_price: Price(ask),
        ask_qty: Qty(200),
        ..Quote::default()
    };
    play(exchange, &Event::Quote(&quote));
    quote
}

fn trade(exchange: &Exchange, instrument: InstrumentId, price: i64, qty: i64) -> Trade {
    let trade = Trade {
        instrument,
        aggressor: Aggressor::Unknown.byte(),
        venue_time_ns: 1_795_253_400_124_000_000,
        price: Price(price),
        qty: Qty(qty),
        ..Trade::default()
    };
    play(exchange, &Event::Trade(&trade));
    trade
}

async fn listen(router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn listed(instrument: InstrumentId, symbol: &str, qty: u8) -> Listed {
    Listed {
        instrument,
        symbol: symbol.to_owned(),
        decimals: Decimals::new(2, qty).unwrap(),
    }
}

/// Asks a poll's source once; the frames that it led to.
async fn ask(
    address: SocketAddr,
    poll: &mut dyn Poll,
    now: Nanos,
) -> Result<Vec<(Kind, Vec<u8>)>, String> {
    let request: Request = poll.request(now);
    let mut call = reqwest::Client::new().get(format!("http://{address}{}", request.target));
    for (name, value) in &request.headers {
        call = call.header(*name, value);
    }
    let answer = call.send().await.unwrap();
    let status = answer.status().as_u16();
    let headers: Vec<(String, String)> = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
        .collect();
    let body = answer.bytes().await.unwrap();
    let response = Response {
        status,
        headers: &headers,
        body: &body,
    };
    let mut out = Outbox::default();
    poll.read(Some(&response), now, &mut out)
        .map_err(|e| e.to_string())?;
    Ok(out
        .events()
        .map(|(kind, payload)| (kind, payload.to_vec()))
        .collect())
}

/// A provider's stream and the socket that it talks through.
struct Connected {
    stream: eodhd::Stream,
    socket: tokio_tungstenite::WebSocketStream<
        tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>,
    >,
}

impl Connected {
    async fn open(address: SocketAddr, content: eodhd::Content, listed: Vec<Listed>) -> Self {
        let config = eodhd::Config::new(content, Vec::new());
        let token = SecretString::from("TOKEN");
        let stream = eodhd::Stream::new(config, token, &Instruments::new(listed)).unwrap();
        let target = stream.handshake(wall_now()).unwrap().target;
        let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}{target}"))
            .await
            .unwrap();
        let mut connected = Self { stream, socket };
        let mut out = Outbox::default();
        connected.stream.opened(wall_now(), &mut out);
        // The authorization leads to the subscription.
        assert!(connected.next().await.is_ok());
        connected
    }

    /// Takes the next message; the frames that it led to.
    async fn next(&mut self) -> Result<Vec<(Kind, Vec<u8>)>, String> {
        let next = tokio::time::timeout(Duration::from_secs(5), self.socket.next());
        let Message::Text(text) = next.await.unwrap().unwrap().unwrap() else {
            panic!("not a text")
        };
        let mut out = Outbox::default();
        let done = self.stream.message(text.as_bytes(), wall_now(), &mut out);
        done.map_err(|e| e.to_string())?;
        for message in out.messages() {
            self.socket
                .send(Message::Text(message.clone().into()))
                .await
                .unwrap();
        }
        Ok(out
            .events()
            .map(|(kind, payload)| (kind, payload.to_vec()))
            .collect())
    }
}

/// Gives the face the time to take a subscription.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn encoded(event: &Event<'_>) -> (Kind, Vec<u8>) {
    let mut payload = Vec::new();
    event.encode(&mut payload);
    (event.kind(), payload)
}

#[tokio::test]
async fn a_providers_streams_bring_the_journals_market_to_the_tape_again() {
    let exchange = exchange_at("2026-11-20T15:00:00Z");
    let token = SecretString::from("TOKEN");
    let keys = exchange::eodhd::Keys { token };
    let address = listen(exchange::eodhd::router(Arc::clone(&exchange), keys)).await;
    let stock = || vec![listed(STOCK, "AAPL", 0)];
    let mut trades = Connected::open(address, eodhd::Content::UsTrades, stock()).await;
    let mut quotes = Connected::open(address, eodhd::Content::UsQuotes, stock()).await;
    let pair = vec![listed(PAIR, "USDKRW", 2)];
    let mut rates = Connected::open(address, eodhd::Content::Forex, pair).await;
    settle().await;
    let played = quote(&exchange, STOCK, 22_730, 22_733);
    assert_eq!(
        quotes.next().await,
        Ok(vec![encoded(&Event::Quote(&played))])
    );
    let played = trade(&exchange, STOCK, 22_731, 100);
    assert_eq!(
        trades.next().await,
        Ok(vec![encoded(&Event::Trade(&played))])
    );
    let played = quote(&exchange, PAIR, 145_800, 145_810);
    // The wire has no sizes: 1.00 on each side.
    let told = Quote {
        bid_qty: Qty(100),
        ask_qty: Qty(100),
        ..played
    };
    assert_eq!(rates.next().await, Ok(vec![encoded(&Event::Quote(&told))]));
    // A symbol that stands for more than one connection takes is refused in words.
    let many = (0..50)
        .map(|n| listed(InstrumentId(n), &format!("S{n}"), 0))
        .collect();
    let mut full = Connected::open(address, eodhd::Content::UsQuotes, many).await;
    full.socket
        .send(Message::Text(
            r#"{"action":"subscribe","symbols":"AAPL"}"#.into(),
        ))
        .await
        .unwrap();
    settle().await;
    // None of the fifty is known, so one more still fits: the limit counts what is subscribed.
    let more: Vec<String> = (0..51).map(|n| format!("T{n}")).collect();
    let more = serde_json::json!({"action": "subscribe", "symbols": more.join(",")}).to_string();
    full.socket.send(Message::Text(more.into())).await.unwrap();
    let refused = full.next().await.unwrap_err();
    assert_eq!(refused, "eodhd refused: 422: Symbols limit reached");
    // A wrong token is no websocket.
    let wrong = tokio_tungstenite::connect_async(format!("ws://{address}/ws/us?api_token=x")).await;
    assert!(wrong.unwrap_err().to_string().contains("401"));
}

#[tokio::test]
async fn every_source_of_rates_says_what_was_traded_last_and_when() {
    let exchange = exchange_at("2026-11-20T15:00:00Z");
    let token = SecretString::from("TOKEN");
    let keys = exchange::fx::Keys {
        token: token.clone(),
    };
    let address = listen(exchange::fx::router(Arc::clone(&exchange), keys)).await;
    let sources = |token: &str| {
        [
            fx::Source::Dunamu("FRX.KRWUSD".into()),
            fx::Source::OpenEr,
            fx::Source::Eodhd("USDKRW.FOREX".into(), SecretString::from(token)),
            fx::Source::Upbit("KRW-USDT".into()),
        ]
    };
    let poll = |source: fx::Source| {
        let config = fx::Config::of(&source);
        fx::RatePoll::new(source, listed(PAIR, "USDKRW", 2), config)
    };
    let now = exchange.now();
    for (source, said) in
        sources("TOKEN")
            .into_iter()
            .zip(["'code'", "unsupported-code", "NA", "'market'"])
    {
        let none = ask(address, &mut poll(source), now).await.unwrap_err();
        assert!(none.contains(said), "{none}");
    }
    let token_pair = InstrumentId(2);
    define(
        &exchange,
        token_pair,
        "fx",
        "USDTKRW",
        InstrumentType::Spot,
        "KRW",
        2,
    );
    trade(&exchange, PAIR, 145_805, 1);
    trade(&exchange, token_pair, 146_600, 12_050);
    for (place, source) in sources("TOKEN").into_iter().enumerate() {
        let name = source.name();
        let mut poll = poll(source);
        // What was traded is heard of a moment later.
        let frames = loop {
            if let Ok(frames) = ask(address, &mut poll, now).await {
                break frames;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let Ok(Event::Trade(seen)) = Event::decode(frames[0].0.number(), &frames[0].1) else {
            panic!("not a trade")
        };
        let (price, qty) = match place {
            3 => (146_600, 12_050),
            _ => (145_805, 100),
        };
        assert_eq!((seen.price, seen.qty), (Price(price), Qty(qty)), "{name}");
        let whole = if matches!(place, 1 | 2) {
            1_000_000_000
        } else {
            1_000_000
        };
        let made = 1_795_253_400_124_000_000;
        assert_eq!(seen.venue_time_ns, made / whole * whole, "{name}");
    }
    let [.., refused, _] = sources("wrong");
    let refused = ask(address, &mut poll(refused), now).await.unwrap_err();
    assert!(refused.contains("401"), "{refused}");
    // Each says once what it is told to say.
    let text = "<html>busy</html>".to_owned();
    let source = "dunamu".to_owned();
    exchange
        .faults()
        .command(exchange::Fault::Answer { source, text });
    let [first, ..] = sources("TOKEN");
    let mut first = poll(first);
    assert!(ask(address, &mut first, now).await.is_err());
    assert_eq!(ask(address, &mut first, now).await.unwrap().len(), 1);
}

fn new_york() -> weather::Station {
    weather::Station {
        name: "NYC".into(),
        observations: "KNYC".into(),
        reports: "NYC".into(),
        place: "CENTRAL PARK".into(),
        latitude: "40.7829".into(),
        longitude: "-73.9654".into(),
        standard_offset_min: -300,
    }
}

fn forecast(source: &str, day: i32, high_f: Decimal, issued_at: Nanos) -> Forecast {
    Forecast {
        station: "NYC".into(),
        day,
        high_f,
        issued_at,
        source: source.into(),
    }
}

fn observed(at: Nanos, temperature_f: &str, quality: ObservationQuality) -> Observation {
    Observation {
        station: "NYC".into(),
        observed_at: at,
        temperature_f: temperature_f.parse().unwrap(),
        quality,
    }
}

async fn weather_face(exchange: &Arc<Exchange>) -> SocketAddr {
    let stations = vec![new_york()];
    listen(exchange::weather::router(
        Arc::clone(exchange),
        exchange::weather::Keys { stations },
    ))
    .await
}

fn forecasts(frames: &[(Kind, Vec<u8>)]) -> Vec<Forecast> {
    let one = |(kind, payload): &(Kind, Vec<u8>)| match Event::decode(kind.number(), payload) {
        Ok(Event::Forecast(forecast)) => *forecast,
        other => panic!("{other:?}"),
    };
    frames.iter().map(one).collect()
}

#[tokio::test]
async fn the_journals_forecasts_come_back_from_both_services() {
    let exchange = exchange_at("2026-11-21T15:30:00Z");
    let address = weather_face(&exchange).await;
    let now = exchange.now();
    let today = new_york().day_of(now);
    let issued = at("2026-11-21T11:00:00Z");
    for (source, day, high) in [
        ("nws", today, 55),
        ("nws", today + 1, 60),
        ("open-meteo", today, 57),
    ] {
        let forecast = forecast(source, day, high.into(), issued);
        play(&exchange, &Event::Forecast(Box::new(forecast)));
    }
    settle().await;
    let agent = || weather::Agent::new("test@example.org");
    let mut nws = weather::ForecastPoll::new(new_york(), agent());
    assert_eq!(ask(address, &mut nws, now).await, Ok(vec![]));
    // Today is half over, so its high is not known from what is ahead; tomorrow is whole.
    let seen = forecasts(&ask(address, &mut nws, now).await.unwrap());
    assert_eq!(seen, [forecast("nws", today + 1, 60.into(), issued)]);
    let mut other = weather::OpenMeteoPoll::new(new_york(), agent());
    let seen = forecasts(&ask(address, &mut other, now).await.unwrap());
    // Where the second forecaster said nothing, the first one's day stands.
    let expected = [(today, 57), (today + 1, 60)];
    assert_eq!(
        seen.iter()
            .map(|it| (it.day, it.high_f))
            .collect::<Vec<_>>(),
        expected.map(|(day, high)| (day, high.into()))
    );
    // Who does not say who asks is turned away.
    let status = reqwest::get(format!("http://{address}/points/40.7829,-73.9654"))
        .await
        .unwrap()
        .status();
    assert_eq!(status.as_u16(), 403);
}

#[tokio::test]
async fn the_journals_observations_come_back_exactly() {
    let exchange = exchange_at("2026-11-21T20:00:00Z");
    let address = weather_face(&exchange).await;
    let mut poll =
        weather::ObservationPoll::new(new_york(), weather::Agent::new("test@example.org"));
    let now = exchange.now();
    assert!(
        ask(address, &mut poll, now)
            .await
            .unwrap_err()
            .contains("404")
    );
    for (minute, temperature, quality) in [
        (0, "71.96", ObservationQuality::Official),
        (1, "72", ObservationQuality::Official),
        (2, "71.6", ObservationQuality::Soft),
    ] {
        let seen = observed(
            at("2026-11-21T19:00:00Z").after(minute * 60_000_000_000),
            temperature,
            quality,
        );
        play(&exchange, &Event::Observation(Box::new(seen.clone())));
        settle().await;
        let frames = ask(address, &mut poll, now).await.unwrap();
        assert_eq!(frames, [encoded(&Event::Observation(Box::new(seen)))]);
        assert_eq!(ask(address, &mut poll, now).await, Ok(vec![]));
    }
}

#[tokio::test]
async fn a_day_settles_on_the_report_of_the_morning_after() {
    let peak = at("2026-11-21T19:26:00Z");
    let readings = [
        observed(
            at("2026-11-21T10:00:00Z"),
            "41",
            ObservationQuality::Official,
        ),
        observed(peak, "56", ObservationQuality::Official),
        observed(at("2026-11-21T20:00:00Z"), "60", ObservationQuality::Soft),
    ];
    for (time, finals) in [("2026-11-21T22:00:00Z", 0), ("2026-11-22T06:17:00Z", 1)] {
        let exchange = exchange_at(time);
        let address = weather_face(&exchange).await;
        for seen in &readings {
            play(&exchange, &Event::Observation(Box::new(seen.clone())));
        }
        settle().await;
        let mut poll =
            weather::ReportPoll::new(new_york(), weather::Agent::new("test@example.org"));
        let now = exchange.now();
        assert_eq!(ask(address, &mut poll, now).await, Ok(vec![]));
        // The afternoon's says nothing that settles.
        assert_eq!(ask(address, &mut poll, now).await, Ok(vec![]));
        let after = ask(address, &mut poll, now).await.unwrap();
        let settled = encoded(&Event::Observation(Box::new(observed(
            peak,
            "56",
            ObservationQuality::Official,
        ))));
        assert_eq!(after, vec![settled; finals]);
    }
}

#[cfg(feature = "ib")]
mod gateway {
    use super::*;
    use onetape_engine::id::OrderId;
    use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
    use onetape_venues::exchange::{Fault, RequestFault, SocketFault};
    use onetape_venues::gateway::{AccountFact, FillFact, KnownOrder, NewOrder};
    use onetape_venues::ib::{
        Broker, BrokerError, BrokerEvent, Config, Contract, Contracts, Gateway, Mode, Oca,
    };

    struct StandIn {
        exchange: Arc<Exchange>,
        config: Config,
    }

    impl StandIn {
        async fn open() -> Self {
            let exchange = exchange_at("2026-11-20T15:00:00Z");
            quote(&exchange, STOCK, 22_730, 22_733);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let keys = exchange::ib::Keys {
                account: "DU1234567".into(),
            };
            tokio::spawn(exchange::ib::serve(Arc::clone(&exchange), keys, listener));
            let config = Config {
                port,
                mode: Mode::StandIn,
                attempts: 1,
                retry_ms: 200,
                answer_ms: 5_000,
                ..Config::paper("DU1234567", 100)
            };
            Self { exchange, config }
        }

        async fn connect(&self) -> Gateway {
            let mut gateway = Gateway::connect(self.config.clone(), contracts())
                .await
                .unwrap();
            connected(&mut gateway).await;
            gateway
        }

        fn quote(&self, bid: i64, ask: i64) {
            quote(&self.exchange, STOCK, bid, ask);
        }

        fn fault(&self, fault: Fault) {
            self.exchange.faults().command(fault);
        }
    }

    fn contracts() -> Contracts {
        Contracts::new([Contract {
            listed: listed(STOCK, "AAPL", 0),
            symbol: "AAPL".into(),
            currency: "USD".into(),
            exchange: "SMART".into(),
            primary_exchange: "NASDAQ".into(),
        }])
    }

    fn order(
        client_id: &str,
        side: Side,
        order_type: OrderType,
        price: i64,
        qty: i64,
    ) -> NewOrder<'_> {
        NewOrder {
            order: OrderId(1),
            client_id,
            instrument: STOCK,
            side,
            order_type,
            time_in_force: TimeInForce::GoodTillCancel,
            price: Price(price),
            worst_price: Price(0),
            qty: Qty(qty),
            decided_at: Nanos(0),
        }
    }

    fn known(order: NewOrder<'_>) -> KnownOrder<'_> {
        KnownOrder {
            order,
            venue_id: None,
        }
    }

    async fn event(gateway: &mut Gateway) -> BrokerEvent {
        let next = tokio::time::timeout(Duration::from_secs(20), gateway.next_event());
        next.await.expect("nothing came")
    }

    /// Everything up to a new connection, and what is to be looked up after it.
    async fn connected(gateway: &mut Gateway) -> i32 {
        loop {
            if let BrokerEvent::Connected { next_order_id } = event(gateway).await {
                let next = event(gateway).await;
                assert_eq!(next, BrokerEvent::Fact(AccountFact::Resync));
                return next_order_id;
            }
        }
    }

    fn short(fact: &AccountFact) -> String {
        match fact {
            AccountFact::Order(it) => {
                format!(
                    "{} {}",
                    it.key.client_id.as_deref().unwrap_or("?"),
                    it.state.name()
                )
            }
            AccountFact::Fill(it) => {
                let fee = it
                    .fee
                    .map_or("?".to_owned(), |fee| fee.normalize().to_string());
                format!(
                    "fill {} {:?} {}@{} fee {fee}",
                    it.key.client_id.as_deref().unwrap_or("?"),
                    it.side,
                    it.qty.0,
                    it.price.0
                )
            }
            other => format!("{other:?}"),
        }
    }

    /// The next facts, sorted: some come in any order.
    async fn facts(gateway: &mut Gateway, count: usize) -> Vec<String> {
        let mut seen = Vec::new();
        while seen.len() < count {
            if let BrokerEvent::Fact(fact) = event(gateway).await {
                seen.push(short(&fact));
            }
        }
        seen.sort();
        seen
    }

    /// That nothing more is told for a while.
    async fn quiet(gateway: &mut Gateway) {
        let more = tokio::time::timeout(Duration::from_millis(700), async {
            loop {
                if let BrokerEvent::Fact(fact) = gateway.next_event().await {
                    return fact;
                }
            }
        });
        assert_eq!(more.await.ok(), None);
    }

    fn shorts(facts: Result<Vec<AccountFact>, BrokerError>) -> Vec<String> {
        facts.unwrap().iter().map(short).collect()
    }

    #[tokio::test]
    async fn an_order_is_acknowledged_filled_with_its_fee_and_held() {
        let stand_in = StandIn::open().await;
        let mut gateway = stand_in.connect().await;
        // 10 at 227.33 and 0.1 % of it.
        let ids = gateway
            .place(
                &[order("s-1", Side::Buy, OrderType::Limit, 22_733, 10)],
                Oca::default(),
            )
            .await
            .unwrap();
        assert_eq!(
            facts(&mut gateway, 2).await,
            ["fill s-1 Buy 10@22733 fee 2.28", "s-1 filled"]
        );
        let rests = order("s-2", Side::Buy, OrderType::Limit, 22_000, 5);
        let next = gateway
            .place(core::slice::from_ref(&rests), Oca::default())
            .await
            .unwrap();
        assert_eq!(next, [ids[0] + 1]);
        assert_eq!(facts(&mut gateway, 1).await, ["s-2 acked"]);
        assert_eq!(shorts(gateway.open_orders().await), ["s-2 acked"]);
        assert_eq!(
            shorts(gateway.executions(Nanos(0)).await),
            ["fill s-1 Buy 10@22733 fee 2.28"]
        );
        assert_eq!(
            shorts(
                gateway
                    .executions(stand_in.exchange.now().after(1_000_000_000))
                    .await
            ),
            [""; 0]
        );
        let held = gateway.positions().await.unwrap();
        assert!(matches!(&held[..], [AccountFact::Holding(it)] if it.qty == Qty(10)));
        gateway.cancel(&known(rests)).await.unwrap();
        assert_eq!(facts(&mut gateway, 1).await, ["s-2 cancelled"]);
        assert_eq!(shorts(gateway.open_orders().await), [""; 0]);
        assert_eq!(gateway.next_order_id().await, Ok(next[0] + 1));
        quiet(&mut gateway).await;
        gateway.disconnect().await;
    }

    #[tokio::test]
    async fn a_brackets_children_wait_for_its_parent_and_cancel_each_other() {
        let stand_in = StandIn::open().await;
        let mut gateway = stand_in.connect().await;
        let bracket = [
            order("b-1", Side::Buy, OrderType::Limit, 22_000, 10),
            order("b-2", Side::Sell, OrderType::Limit, 24_000, 10),
            order("b-3", Side::Sell, OrderType::Stop, 21_000, 10),
        ];
        gateway.place(&bracket, Oca::default()).await.unwrap();
        // Nothing was placed before the last: all three at once.
        assert_eq!(
            facts(&mut gateway, 3).await,
            ["b-1 acked", "b-2 acked", "b-3 acked"]
        );
        let mut open = shorts(gateway.open_orders().await);
        open.sort();
        assert_eq!(open, ["b-1 acked", "b-2 acked", "b-3 acked"]);
        assert_eq!(
            stand_in
                .exchange
                .with(|truth| truth.open_orders("ib").count()),
            1
        );
        stand_in.quote(21_990, 21_999);
        assert_eq!(
            facts(&mut gateway, 2).await,
            ["b-1 filled", "fill b-1 Buy 10@22000 fee 0"]
        );
        settle().await;
        assert_eq!(
            stand_in
                .exchange
                .with(|truth| truth.open_orders("ib").count()),
            2
        );
        // The stop is reached: it takes the bid, and the target is taken back.
        stand_in.quote(20_900, 20_910);
        assert_eq!(
            facts(&mut gateway, 3).await,
            [
                "b-2 cancelled",
                "b-3 filled",
                "fill b-3 Sell 10@20900 fee 2.09"
            ]
        );
        let held = gateway.positions().await.unwrap();
        assert!(matches!(&held[..], [AccountFact::Holding(it)] if it.qty == Qty(0)));
        quiet(&mut gateway).await;
    }

    #[tokio::test]
    async fn what_fills_of_one_order_in_a_group_is_taken_from_the_other() {
        let stand_in = StandIn::open().await;
        let mut gateway = stand_in.connect().await;
        let entry = [order("g-0", Side::Buy, OrderType::Market, 0, 10)];
        gateway.place(&entry, Oca::default()).await.unwrap();
        facts(&mut gateway, 2).await;
        let group = Oca {
            own: Some("g-1-g"),
            children: None,
        };
        let stop = [order("g-1", Side::Sell, OrderType::Stop, 21_000, 10)];
        let target = [order("g-2", Side::Sell, OrderType::Limit, 24_000, 10)];
        gateway.place(&stop, group).await.unwrap();
        gateway.place(&target, group).await.unwrap();
        assert_eq!(facts(&mut gateway, 2).await, ["g-1 acked", "g-2 acked"]);
        trade(&stand_in.exchange, STOCK, 24_001, 4);
        assert_eq!(
            facts(&mut gateway, 2).await,
            ["fill g-2 Sell 4@24000 fee 0", "g-2 partially_filled"]
        );
        settle().await;
        let left = stand_in.exchange.with(|truth| {
            let open = truth.open_orders("ib");
            open.map(|it| it.remaining().0).collect::<Vec<_>>()
        });
        assert_eq!(left, [6, 6]);
        stand_in.quote(20_900, 20_910);
        assert_eq!(
            facts(&mut gateway, 3).await,
            [
                "fill g-1 Sell 6@20900 fee 1.26",
                "g-1 filled",
                "g-2 cancelled"
            ]
        );
        // A group in which something has filled takes nothing in.
        let late = [order("g-3", Side::Sell, OrderType::Stop, 20_000, 1)];
        gateway.place(&late, group).await.unwrap();
        assert_eq!(facts(&mut gateway, 1).await, ["g-3 rejected"]);
        quiet(&mut gateway).await;
    }

    #[tokio::test]
    async fn a_parent_that_ends_with_a_part_of_it_filled_has_children_for_that_part() {
        let stand_in = StandIn::open().await;
        let mut gateway = stand_in.connect().await;
        let bracket = [
            order("p-1", Side::Buy, OrderType::Limit, 22_000, 10),
            order("p-2", Side::Sell, OrderType::Stop, 21_000, 10),
        ];
        gateway.place(&bracket, Oca::default()).await.unwrap();
        facts(&mut gateway, 2).await;
        trade(&stand_in.exchange, STOCK, 21_999, 4);
        facts(&mut gateway, 2).await;
        let [parent, _] = bracket;
        gateway.cancel(&known(parent)).await.unwrap();
        assert_eq!(facts(&mut gateway, 1).await, ["p-1 cancelled"]);
        settle().await;
        let left = stand_in.exchange.with(|truth| {
            let open = truth.open_orders("ib");
            open.map(|it| (it.new.client_id.clone(), it.remaining().0))
                .collect::<Vec<_>>()
        });
        assert_eq!(left, [("p-2".to_owned(), 4)]);
        assert_eq!(shorts(gateway.open_orders().await), ["p-2 acked"]);
    }

    #[tokio::test]
    async fn a_brackets_children_end_with_its_parent() {
        let stand_in = StandIn::open().await;
        let mut gateway = stand_in.connect().await;
        let parent = order("e-1", Side::Buy, OrderType::Limit, 22_000, 10);
        let stop = order("e-2", Side::Sell, OrderType::Stop, 21_000, 10);
        gateway
            .place(&[parent.clone(), stop.clone()], Oca::default())
            .await
            .unwrap();
        assert_eq!(facts(&mut gateway, 2).await, ["e-1 acked", "e-2 acked"]);
        gateway.cancel(&known(parent.clone())).await.unwrap();
        assert_eq!(
            facts(&mut gateway, 2).await,
            ["e-1 cancelled", "e-2 cancelled"]
        );
        // A parent that is refused takes its children with it.
        let dear = NewOrder {
            client_id: "e-3",
            qty: Qty(1_000_000),
            ..parent
        };
        let stop = NewOrder {
            client_id: "e-4",
            qty: Qty(1_000_000),
            ..stop
        };
        gateway.place(&[dear, stop], Oca::default()).await.unwrap();
        assert_eq!(
            facts(&mut gateway, 2).await,
            ["e-3 rejected", "e-4 cancelled"]
        );
        assert_eq!(
            stand_in
                .exchange
                .with(|truth| truth.open_orders("ib").count()),
            0
        );
        quiet(&mut gateway).await;
    }

    #[tokio::test]
    async fn what_the_broker_refuses_is_a_rejection_with_its_words() {
        let stand_in = StandIn::open().await;
        let mut gateway = stand_in.connect().await;
        gateway
            .place(
                &[order("r-1", Side::Buy, OrderType::Limit, 22_733, 1_000_000)],
                Oca::default(),
            )
            .await
            .unwrap();
        let refused = loop {
            match event(&mut gateway).await {
                BrokerEvent::Fact(AccountFact::Order(refused)) => break refused,
                BrokerEvent::Notice { .. } => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            (refused.state, refused.key.client_id.as_deref()),
            (OrderState::Rejected, Some("r-1"))
        );
        assert_eq!(
            refused.why,
            "201 Order rejected - reason:Insufficient funds"
        );
        // What can't be expressed never leaves.
        let post_only = NewOrder {
            time_in_force: TimeInForce::PostOnly,
            ..order("r-2", Side::Buy, OrderType::Limit, 22_000, 1)
        };
        assert!(matches!(
            gateway.place(&[post_only], Oca::default()).await,
            Err(BrokerError::Refused(_))
        ));
        // A cancel of what is over changes nothing: whoever cancels looks the order up.
        let filled = order("r-3", Side::Buy, OrderType::Limit, 22_733, 1);
        gateway
            .place(core::slice::from_ref(&filled), Oca::default())
            .await
            .unwrap();
        facts(&mut gateway, 2).await;
        gateway.cancel(&known(filled)).await.unwrap();
        quiet(&mut gateway).await;
        assert_eq!(
            stand_in.exchange.with(|truth| truth.orders("ib").count()),
            1
        );
    }

    #[tokio::test]
    async fn a_client_id_in_use_is_asked_for_again_with_the_same_id() {
        let stand_in = StandIn::open().await;
        let first = stand_in.connect().await;
        let refused = Gateway::connect(stand_in.config.clone(), contracts()).await;
        let Err(in_use @ BrokerError::ClientIdInUse { client_id: 100, .. }) = refused else {
            panic!("let in twice")
        };
        assert!(in_use.to_string().contains("client id 100 is in use"));
        let patient = Config {
            attempts: 50,
            ..stand_in.config.clone()
        };
        let waiting = tokio::spawn(Gateway::connect(patient, contracts()));
        tokio::time::sleep(Duration::from_millis(300)).await;
        first.disconnect().await;
        drop(first);
        assert!(waiting.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_login_with_another_account_is_left_at_once() {
        let stand_in = StandIn::open().await;
        let config = Config {
            account: "DU9".into(),
            ..stand_in.config.clone()
        };
        let refused = Gateway::connect(config, contracts()).await;
        assert!(matches!(refused, Err(BrokerError::WrongAccount { .. })));
        let paper = Config {
            mode: Mode::Paper,
            ..stand_in.config.clone()
        };
        assert!(matches!(
            Gateway::connect(paper, contracts()).await,
            Err(BrokerError::Config(_))
        ));
    }

    #[tokio::test]
    async fn the_brokers_own_outage_is_told_and_looked_up_and_notices_end_nothing() {
        let stand_in = StandIn::open().await;
        let mut gateway = stand_in.connect().await;
        for code in [2_103, 2_105, 10_182, 1_100, 1_101, 1_102] {
            stand_in.fault(Fault::Gateway { code });
        }
        let mut seen = Vec::new();
        while seen.len() < 8 {
            match event(&mut gateway).await {
                BrokerEvent::Notice { code, .. } if code != 2_104 => seen.push(code.to_string()),
                BrokerEvent::Notice { .. } => {}
                BrokerEvent::Lost { .. } => seen.push("lost".to_owned()),
                BrokerEvent::Restored { keeps_data } => seen.push(format!("restored {keeps_data}")),
                BrokerEvent::Fact(AccountFact::Resync) => seen.push("resync".to_owned()),
                other => panic!("{other:?}"),
            }
        }
        let expected = [
            "2103",
            "2105",
            "10182",
            "lost",
            "restored false",
            "resync",
            "restored true",
            "resync",
        ];
        assert_eq!(seen, expected);
        gateway
            .place(
                &[order("n-1", Side::Buy, OrderType::Limit, 22_733, 1)],
                Oca::default(),
            )
            .await
            .unwrap();
        assert_eq!(facts(&mut gateway, 2).await.len(), 2);
    }

    #[tokio::test]
    async fn a_connection_that_is_cut_comes_back_with_the_same_id_and_misses_nothing() {
        let stand_in = StandIn::open().await;
        let mut gateway = stand_in.connect().await;
        let ids = gateway
            .place(
                &[order("c-1", Side::Buy, OrderType::Limit, 22_000, 10)],
                Oca::default(),
            )
            .await
            .unwrap();
        assert_eq!(facts(&mut gateway, 1).await, ["c-1 acked"]);
        // The nightly restart: the session is cut, and its id lingers.
        stand_in.fault(Fault::Gateway { code: 326 });
        loop {
            if matches!(event(&mut gateway).await, BrokerEvent::Lost { .. }) {
                break;
            }
        }
        stand_in.quote(21_990, 21_999);
        let next = connected(&mut gateway).await;
        assert_eq!(next, ids[0] + 1);
        // What happened meanwhile is found by asking.
        assert_eq!(shorts(gateway.open_orders().await), [""; 0]);
        let mut found = shorts(gateway.executions(Nanos(0)).await);
        found.sort();
        assert_eq!(found, ["c-1 filled", "fill c-1 Buy 10@22000 fee 0"]);
        gateway
            .place(
                &[order("c-2", Side::Buy, OrderType::Limit, 21_000, 1)],
                Oca::default(),
            )
            .await
            .unwrap();
        assert_eq!(facts(&mut gateway, 1).await, ["c-2 acked"]);
    }

    #[tokio::test]
    async fn an_order_without_an_answer_is_found_once_by_our_name_for_it() {
        let stand_in = StandIn::open().await;
        let mut gateway = stand_in.connect().await;
        stand_in.fault(Fault::Request {
            venue: "ib".into(),
            kind: RequestFault::AcceptedUnanswered,
        });
        let lost = order("u-1", Side::Buy, OrderType::Limit, 22_000, 10);
        gateway.place(&[lost], Oca::default()).await.unwrap();
        connected(&mut gateway).await;
        assert_eq!(shorts(gateway.open_orders().await), ["u-1 acked"]);
        assert_eq!(
            stand_in.exchange.with(|truth| truth.orders("ib").count()),
            1
        );
        // And one that never arrived is not there.
        stand_in.fault(Fault::Request {
            venue: "ib".into(),
            kind: RequestFault::LostUnanswered,
        });
        gateway
            .place(
                &[order("u-2", Side::Buy, OrderType::Limit, 22_000, 10)],
                Oca::default(),
            )
            .await
            .unwrap();
        quiet(&mut gateway).await;
        assert_eq!(shorts(gateway.open_orders().await), ["u-1 acked"]);
    }

    #[tokio::test]
    async fn messages_that_come_twice_or_not_at_all_change_no_position() {
        let stand_in = StandIn::open().await;
        let mut gateway = stand_in.connect().await;
        for kind in [SocketFault::Twice; 6] {
            stand_in.fault(Fault::Socket {
                venue: "ib".into(),
                kind,
            });
        }
        gateway
            .place(
                &[order("t-1", Side::Buy, OrderType::Limit, 22_733, 10)],
                Oca::default(),
            )
            .await
            .unwrap();
        assert_eq!(
            facts(&mut gateway, 2).await,
            ["fill t-1 Buy 10@22733 fee 2.28", "t-1 filled"]
        );
        quiet(&mut gateway).await;
        // The statuses are lost, the execution is not: open order, status, then the fill's own messages.
        for _ in 0..2 {
            stand_in.fault(Fault::Socket {
                venue: "ib".into(),
                kind: SocketFault::Lost,
            });
        }
        gateway
            .place(
                &[order("t-2", Side::Sell, OrderType::Limit, 22_730, 10)],
                Oca::default(),
            )
            .await
            .unwrap();
        assert_eq!(
            facts(&mut gateway, 3).await,
            ["fill t-2 Sell 10@22730 fee 2.28", "t-2 acked", "t-2 filled"]
        );
        let fills = gateway.executions(Nanos(0)).await.unwrap();
        let held: i64 = fills
            .iter()
            .filter_map(|fact| match fact {
                AccountFact::Fill(FillFact { side, qty, .. }) => Some(side.sign() * qty.0),
                _ => None,
            })
            .sum();
        assert_eq!(held, 0);
    }
}
