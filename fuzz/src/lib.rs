//! What the targets share: a core with instruments of every venue, which has to take whatever a codec makes of any bytes.
#![forbid(unsafe_code)]

use onetape_engine::event::{Event, InstrumentDefined, InstrumentType, SessionStart, TradingRules};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::sequencer::{NullSink, Sequencer};
use onetape_engine::session::SessionConfig;
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_engine::{ENGINE_VERSION, LOGIC_HASH};
use onetape_venues::gateway::{Instruments, Listed, Outbox};

/// Where the targets' clock begins: 2026-11-21.
pub const START: Nanos = Nanos(1_795_219_200 * SECOND_NS);

/// Venue, symbol, currencies and decimals of each instrument, by its number.
const INSTRUMENTS: [(&str, &str, &str, &str, Decimals); 9] = [
    (
        "binance",
        "BTCUSDT",
        "BTC",
        "USDT",
        Decimals { price: 2, qty: 5 },
    ),
    (
        "binance",
        "ETHBTC",
        "ETH",
        "BTC",
        Decimals { price: 6, qty: 4 },
    ),
    ("kalshi", "M", "YES", "USD", Decimals { price: 4, qty: 2 }),
    (
        "kalshi",
        "KXHIGHNY-26NOV21-B38.5",
        "YES",
        "USD",
        Decimals { price: 4, qty: 2 },
    ),
    (
        "upbit",
        "KRW-BTC",
        "BTC",
        "KRW",
        Decimals { price: 8, qty: 8 },
    ),
    (
        "polymarket",
        "1",
        "YES",
        "USDC",
        Decimals { price: 4, qty: 6 },
    ),
    (
        "polymarket",
        "2",
        "NO",
        "USDC",
        Decimals { price: 4, qty: 6 },
    ),
    ("ib", "AAPL", "AAPL", "USD", Decimals { price: 4, qty: 2 }),
    ("fx", "USDKRW", "USD", "KRW", Decimals { price: 8, qty: 8 }),
];

/// Their definitions.
pub fn definitions() -> Vec<InstrumentDefined> {
    let number = (0..).map(InstrumentId);
    let all = number.zip(INSTRUMENTS);
    let define =
        all.map(
            |(instrument, (venue, symbol, base, quote, decimals))| InstrumentDefined {
                instrument,
                venue: venue.to_owned(),
                symbol: symbol.to_owned(),
                instrument_type: match venue {
                    "kalshi" | "polymarket" => InstrumentType::Binary,
                    "ib" => InstrumentType::Equity,
                    _ => InstrumentType::Spot,
                },
                base: base.to_owned(),
                quote: quote.to_owned(),
                decimals,
            },
        );
    define.collect()
}

/// A venue's instruments.
pub fn listed(venue: &str) -> Instruments {
    let own = definitions().into_iter().filter(|one| one.venue == venue);
    Instruments::new(own.map(|one| Listed {
        instrument: one.instrument,
        symbol: one.symbol,
        decimals: one.decimals,
    }))
}

/// The smallest steps that an instrument's decimals hold.
pub fn rules(of: &InstrumentDefined) -> TradingRules {
    let one = 10i64.pow(of.decimals.price.into());
    let max_price = match of.instrument_type {
        InstrumentType::Binary => one - 1,
        _ => i64::MAX,
    };
    TradingRules {
        instrument: of.instrument,
        effective_from: Nanos(0),
        tick_size: Price(1),
        lot_size: Qty(1),
        min_qty: Qty(1),
        min_notional: Money::ZERO,
        min_price: Price(1),
        max_price: Price(max_price),
        bands: Vec::new(),
        allows_short: true,
    }
}

/// A core in a session, made when something comes for it. What it can't take ends a daemon.
#[derive(Default)]
pub struct Core(Option<Sequencer<NullSink>>);

impl Core {
    /// One that knows every instrument.
    fn new() -> Self {
        let mut core = Self(Some(Sequencer::new(NullSink)));
        core.input(
            START,
            &Event::SessionStart(Box::new(SessionStart {
                engine_version: ENGINE_VERSION.to_owned(),
                logic_hash: LOGIC_HASH.to_owned(),
                config: SessionConfig::default(),
            })),
        );
        for definition in definitions() {
            let rules = rules(&definition);
            core.input(START, &Event::InstrumentDefined(Box::new(definition)));
            core.input(START, &Event::TradingRules(rules));
        }
        core
    }

    fn input(&mut self, at: Nanos, event: &Event<'_>) {
        let mut payload = Vec::new();
        event.encode(&mut payload);
        self.step(at, event.kind().number(), &payload);
    }

    fn step(&mut self, at: Nanos, kind: u16, payload: &[u8]) {
        let core = self.0.as_mut().expect("it was made");
        if let Err(error) = core.step(at, kind, payload) {
            let event = Event::decode(kind, payload);
            panic!("a codec's event ends the core: {error}: {event:?}");
        }
    }

    /// Takes what a codec has for the tape, and empties it.
    pub fn take(&mut self, at: Nanos, out: &mut Outbox) {
        for (kind, payload) in out.events() {
            if self.0.is_none() {
                *self = Self::new();
            }
            self.step(at, kind.number(), payload);
        }
        out.clear();
    }
}
