//! What is answered to a request: orders, look-ups, listings, sources that are polled, a chain, a chat, a gateway's frames.
//! None panics, and the core takes what a source makes of it.
#![no_main]
use libfuzzer_sys::fuzz_target;
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{OrderType, Side, TimeInForce};
use onetape_engine::time::SECOND_NS;
use onetape_fuzz::{Core, START, definitions, listed};
use onetape_venues::exchange;
use onetape_venues::gateway::{
    KnownOrder, Listings, NewOrder, OrderWire, Outbox, Poll, Query, Response,
};
use onetape_venues::polygon::{Address, Call, Token, chain_id};
use onetape_venues::{binance, fx, ib, kalshi, polymarket, telegram, upbit, weather};
use secrecy::SecretString;
use std::sync::OnceLock;

/// Made once: an RSA key takes a while, to make and to read.
struct Keys {
    kalshi: kalshi::Signer,
    polymarket: exchange::polymarket::Keys,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let keys = exchange::kalshi::Keys::generate().expect("a key");
        let pem = keys.private_pem().expect("a key's text");
        Keys {
            kalshi: kalshi::Signer::new(keys.id(), &pem).expect("a key that reads"),
            polymarket: exchange::polymarket::Keys::generate(polymarket::WalletKind::Key)
                .expect("a wallet"),
        }
    })
}

fn secret() -> SecretString {
    SecretString::from("secret")
}

/// Each with an instrument of its own.
fn wires() -> Vec<(Box<dyn OrderWire>, InstrumentId)> {
    let keys = keys();
    let pairs = definitions()
        .into_iter()
        .filter(|one| one.venue == "binance");
    let pairs = binance::Pairs::new(&pairs.collect::<Vec<_>>());
    vec![
        (
            Box::new(binance::Orders::new(
                binance::OrdersConfig::default(),
                binance::Signer::hmac("key".into(), &secret()),
                pairs,
            )),
            InstrumentId(0),
        ),
        (
            Box::new(kalshi::KalshiOrders::new(
                keys.kalshi.clone(),
                listed("kalshi"),
                kalshi::Shards::default(),
                kalshi::OrderConfig::default(),
            )),
            InstrumentId(2),
        ),
        (
            Box::new(upbit::Orders::new(
                upbit::OrdersConfig::default(),
                upbit::Signer::new("key".into(), &secret()),
                upbit::Nonces::new([0; 16]),
                listed("upbit"),
            )),
            InstrumentId(4),
        ),
        (
            Box::new(polymarket::Orders::new(
                polymarket::OrderConfig::default(),
                listed("polymarket"),
                polymarket::Tokens::default(),
                keys.polymarket.wallet.clone(),
                keys.polymarket.credentials.clone(),
            )),
            InstrumentId(5),
        ),
    ]
}

fn listings() -> Vec<(Box<dyn Listings>, &'static str)> {
    vec![
        (Box::new(binance::Markets::new(None, 5_000)), "ETHBTC"),
        (
            Box::new(kalshi::KalshiListings::new(
                kalshi::Membership::default(),
                kalshi::Shards::default(),
            )),
            "M",
        ),
        (Box::new(upbit::Markets::new(None)), "KRW-BTC"),
        (
            Box::new(polymarket::Markets::new(
                polymarket::ListingConfig::default(),
                [("1".to_owned(), "0xc".to_owned())],
                polymarket::Tokens::default(),
            )),
            "1",
        ),
    ]
}

fn station() -> weather::Station {
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

fn polls() -> Vec<Box<dyn Poll>> {
    let agent = weather::Agent::new("nobody");
    let mut polls: Vec<Box<dyn Poll>> = vec![
        Box::new(weather::ForecastPoll::new(station(), agent.clone())),
        Box::new(weather::ObservationPoll::new(station(), agent.clone())),
        Box::new(weather::OpenMeteoPoll::new(station(), agent.clone())),
        Box::new(weather::ReportPoll::new(station(), agent)),
    ];
    let rate = listed("fx");
    let rate = rate.symbol("USDKRW").expect("it is there");
    for source in [
        fx::Source::Dunamu("FRX.KRWUSD".into()),
        fx::Source::OpenEr,
        fx::Source::Eodhd("USDKRW.FOREX".into(), secret()),
        fx::Source::Upbit("KRW-USDT".into()),
    ] {
        let config = fx::Config::of(&source);
        polls.push(Box::new(fx::RatePoll::new(source, rate.clone(), config)));
    }
    polls
}

fn orders(response: &Response<'_>) {
    for (mut wire, instrument) in wires() {
        let known = KnownOrder {
            order: NewOrder {
                order: OrderId(77),
                client_id: "onetape-1-77",
                instrument,
                side: Side::Buy,
                order_type: OrderType::Limit,
                time_in_force: TimeInForce::GoodTillCancel,
                price: Price(100),
                worst_price: Price(100),
                qty: Qty(1_000_000),
                decided_at: START,
            },
            venue_id: Some("0xa"),
        };
        let now = START.after(60 * SECOND_NS);
        let _ = wire.place(&known.order, now);
        let _ = wire.placed(&known.order, Some(response));
        let _ = wire.cancelled(&known, Some(response));
        let mut facts = Vec::new();
        let responses = vec![*response; wire.lookup(&known, now).len()];
        let _ = wire.looked_up(&known, &responses, &mut facts);
        for query in [
            Query::OpenOrders,
            Query::Holdings,
            Query::Balances,
            Query::Fills { since: START },
        ] {
            let _ = wire.ask(&query, None, now);
            if let Ok(Some(cursor)) = wire.answer(&query, response, &mut facts) {
                let _ = wire.ask(&query, Some(&cursor), now);
            }
        }
        let _ = wire.time(response);
        let _ = wire.pause_ms(response, now);
    }
}

fuzz_target!(|data: &[u8]| {
    for status in [200, 400] {
        let response = Response {
            status,
            headers: &[],
            body: data,
        };
        orders(&response);
        for (mut listings, symbol) in listings() {
            let count = listings.requests(symbol, START).len();
            let _ = listings.read(symbol, InstrumentId(0), &vec![response; count], START);
            let _ = listings.read_series(&response);
        }
        let _ = telegram::read(&response);
        let balance = Call::Balance {
            token: Token::Erc20(Address([1; 20])),
            owner: Address([2; 20]),
        };
        if let Ok(word) = balance.read(1, &response) {
            let _ = (word.to_u128(), chain_id(word));
        }
    }
    let response = Response {
        status: 200,
        headers: &[],
        body: data,
    };
    for mut poll in polls() {
        let (mut core, mut out) = (Core::default(), Outbox::default());
        for minute in 0..3 {
            let now = START.after(minute * 60 * SECOND_NS);
            poll.request(now);
            let _ = poll.read(Some(&response), now, &mut out);
            core.take(now, &mut out);
        }
    }
    let mut frames = ib::frame::Frames::default();
    frames.push(data);
    let _ = frames.next_hello();
    while let Ok(Some(body)) = frames.next_frame() {
        let _ = (
            ib::frame::Request::decode(body),
            ib::frame::Reply::decode(body),
        );
    }
});
