//! A derived won venue over a recorded day: the coin for won and dollars for won on Upbit, from the recorded dollar prices.
//!
//! The recorded inputs stay as they are. Every 200 ms of event time, in integers, with one random stream:
//!
//! ```text
//! fx      += (1380 won - fx) / 18,000 + uniform(-0.02, 0.02) won           (pull of an hour)
//! premium += (15 bps - premium) / 300 + uniform(-1, 1) bps                 (pull of a minute)
//!            and once in 600 steps (two minutes) +/- uniform(60, 120) bps
//! won price = recorded mid x fx x (1 + premium)
//! ```
//!
//! with divisions towards zero, `fx` in 1/1000 won and `premium` in parts per billion. So the premium is mean-reverting with
//! jumps, and its mean is not zero. The coin's book is a snapshot a step: 15 levels a side, one tick apart, 1 to 5 ticks from
//! the won price, each of 1 to 60 million won. The FX book is a snapshot a second: 15 levels a side around `fx`, each of
//! 1,000 to 50,000 dollars. Every 10 s both venues say how they do. No market ever showed any of it: it is for trying a
//! strategy's machinery, never for judging its profit.
use super::GenerateReport;
use super::rng::Rng;
use crate::error::Error;
use crate::replay::is_market_input;
use onetape_engine::event::{
    BookHeader, BookUpdate, DataSource, Event, FeeSchedule, InstrumentDefined, InstrumentType,
    Level, TickBand, TradingRules, VenueHealth,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::{InstrumentId, Sequence};
use onetape_engine::market::Market;
use onetape_engine::number::{Decimals, MONEY_DECIMALS, Money, Price, Qty, pow10};
use onetape_engine::time::Nanos;
use onetape_journal::{Options, Reader, Tag, Writer};
use rust_decimal::Decimal;
use std::path::{Path, PathBuf};

/// The name that commands take.
pub const NAME: &str = "upbit-premium";
/// What it is like, in a line.
pub const ABOUT: &str = "over a recorded day (--over): the same coin for won on Upbit with a premium, and dollars for won";

/// The derived venue.
const VENUE: &str = "upbit";
const STEP_NS: u64 = 200_000_000;
/// FX in 1/1000 won.
const FX_MEAN: i64 = 1_380_000;
const FX_PULL: i64 = 18_000;
const FX_NOISE: i64 = 20;
/// The premium in parts per billion.
const PREMIUM_MEAN: i64 = 1_500_000;
const PREMIUM_PULL: i64 = 300;
const PREMIUM_NOISE: i64 = 100_000;
const JUMP_ONCE_IN: u64 = 600;
const JUMP: (i64, i64) = (6_000_000, 12_000_000);
/// Levels a side.
const LEVELS: i64 = 15;
/// Steps between two FX books and between two words on health.
const FX_EVERY: u64 = 5;
const HEALTH_EVERY: u64 = 50;
/// The tick of KRW-USDT, .5 won, in its price's units (tenths).
const FX_TICK: i64 = 5;

/// Ticks of the KRW market by price, dearest first: from this price in won up, this tick (docs.upbit.com, KRW market, as of
/// 2024-08). Below 100 won ticks are fractions.
const TICKS: [(i64, i64); 8] = [
    (1_000_000, 1_000),
    (500_000, 500),
    (100_000, 100),
    (50_000, 50),
    (10_000, 10),
    (5_000, 5),
    (1_000, 1),
    (100, 1),
];

/// What to generate.
#[derive(Clone, Debug)]
pub struct PremiumOptions {
    /// The journal whose inputs stay.
    pub source: PathBuf,
    /// The journal to write; it must be new.
    pub journal: PathBuf,
    /// The same seed over the same inputs gives the same bytes.
    pub seed: u64,
}

/// The recorded instrument that everything is derived from.
struct Base {
    id: InstrumentId,
    venue: String,
    coin: String,
    decimals: Decimals,
    /// How many instruments the recording defines.
    instruments: u32,
}

/// Writes the recorded day with the derived won venue into a new journal.
///
/// # Errors
/// [`Error`]: no spot instrument paid in USDT, an Upbit market already, a coin below 100 won, or a journal that can't be read or written.
pub fn run(
    options: &PremiumOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<GenerateReport, Error> {
    let base = find_base(&options.source)?;
    let mut source = Reader::open(&options.source)?;
    let mut tape = Tape {
        writer: Writer::create(&options.journal, Options::default())?,
        payload: Vec::new(),
        frames: 0,
    };
    let mut venue = WonVenue::new(options.seed, &base);
    let (mut market, mut defined) = (Market::default(), 0);
    let mut next_step: Option<u64> = None;
    while let Some(frame) = source.next()? {
        if !is_market_input(&frame) {
            continue;
        }
        let at = frame.timestamp_ns;
        if next_step.is_none() {
            let name = DataSource {
                name: NAME.to_owned(),
                format: "generated".to_owned(),
                identity: identity(options.seed, &base),
                generated: true,
            };
            tape.push(at, &Event::DataSource(Box::new(name)))?;
        }
        let mut step = next_step.unwrap_or_else(|| Nanos(at).next_multiple(STEP_NS).0);
        while step <= at {
            if defined == base.instruments {
                venue.step(step, &market, &mut tape)?;
            }
            step += STEP_NS;
        }
        next_step = Some(step);
        let event = Event::decode(frame.tag.kind(), frame.payload)
            .map_err(|e| Error::decode(&options.source, frame.sequence, &e))?;
        market
            .evolve(Sequence(frame.sequence), Nanos(at), &event)
            .map_err(|e| Error::Config(format!("sequence {}: {e}", frame.sequence)))?;
        tape.push(at, &event)?;
        if matches!(event, Event::InstrumentDefined(_)) {
            defined += 1;
            if defined == base.instruments {
                venue.open(at, &mut tape)?;
            }
        }
        if tape.frames.is_multiple_of(1 << 16) {
            progress(tape.frames);
        }
    }
    tape.writer.close()?;
    Ok(GenerateReport {
        frames: tape.frames,
        scenario: NAME,
        seed: options.seed,
    })
}

fn identity(seed: u64, base: &Base) -> String {
    format!(
        "seed {seed}, over {}:{}USDT; fx mean {FX_MEAN}/1000 won pull {FX_PULL} noise {FX_NOISE}; premium mean {PREMIUM_MEAN} ppb \
         pull {PREMIUM_PULL} noise {PREMIUM_NOISE} jump {}..{} once in {JUMP_ONCE_IN}; step {STEP_NS} ns",
        base.venue, base.coin, JUMP.0, JUMP.1
    )
}

/// The first spot instrument that is paid in USDT.
fn find_base(source: &Path) -> Result<Base, Error> {
    let mut reader = Reader::open_whole(source)?;
    let (mut base, mut instruments): (Option<Base>, u32) = (None, 0);
    while let Some(frame) = reader.next()? {
        if frame.tag.kind() != onetape_engine::event::Kind::InstrumentDefined.number() {
            continue;
        }
        let event = Event::decode(frame.tag.kind(), frame.payload)
            .map_err(|e| Error::decode(source, frame.sequence, &e))?;
        if let Event::InstrumentDefined(definition) = event {
            instruments += 1;
            let d = *definition;
            if d.venue == VENUE {
                return Err(Error::Config(format!(
                    "{} has markets of {VENUE} already",
                    source.display()
                )));
            }
            if base.is_none() && d.quote == "USDT" && d.instrument_type == InstrumentType::Spot {
                base = Some(Base {
                    id: d.instrument,
                    venue: d.venue,
                    coin: d.base,
                    decimals: d.decimals,
                    instruments: 0,
                });
            }
        }
    }
    let base = base.ok_or_else(|| {
        Error::Config(format!(
            "{} has no spot instrument that is paid in USDT; {NAME} is derived from one",
            source.display()
        ))
    })?;
    Ok(Base {
        instruments,
        ..base
    })
}

/// The journal under way.
struct Tape {
    writer: Writer,
    payload: Vec<u8>,
    frames: u64,
}

impl Tape {
    fn push(&mut self, at: u64, event: &Event<'_>) -> Result<(), Error> {
        self.payload.clear();
        event.encode(&mut self.payload);
        let tag = Tag::input(event.kind().number()).with_step_end(true);
        self.writer.append(tag, at, &self.payload)?;
        self.frames += 1;
        Ok(())
    }
}

/// The derived venue.
struct WonVenue<'a> {
    rng: Rng,
    base: &'a Base,
    fx: i64,
    premium: i64,
    steps: u64,
}

impl<'a> WonVenue<'a> {
    const fn new(seed: u64, base: &'a Base) -> Self {
        Self {
            rng: Rng::new(seed),
            base,
            fx: FX_MEAN,
            premium: PREMIUM_MEAN,
            steps: 0,
        }
    }

    const fn coin(&self) -> InstrumentId {
        InstrumentId(self.base.instruments)
    }

    const fn dollar(&self) -> InstrumentId {
        InstrumentId(self.base.instruments + 1)
    }

    /// Both instruments with their fees and rules.
    fn open(&self, at: u64, tape: &mut Tape) -> Result<(), Error> {
        for (id, coin, price) in [
            (self.coin(), self.base.coin.as_str(), 0),
            (self.dollar(), "USDT", 1),
        ] {
            let defined = InstrumentDefined {
                instrument: id,
                venue: VENUE.to_owned(),
                symbol: format!("KRW-{coin}"),
                instrument_type: InstrumentType::Spot,
                base: coin.to_owned(),
                quote: "KRW".to_owned(),
                decimals: Decimals { price, qty: 8 },
            };
            tape.push(at, &Event::InstrumentDefined(Box::new(defined)))?;
            let formula = FeeFormula::Notional {
                rate: Decimal::new(5, 4),
            };
            let fees = FeeSchedule {
                instrument: id,
                effective_from: Nanos(0),
                maker: formula,
                taker: formula,
                rounding: Rounding {
                    decimals: 8,
                    mode: RoundingMode::Up,
                },
                source: "assumed".to_owned(),
                accrual: FeeAccrual::default(),
            };
            tape.push(at, &Event::FeeSchedule(Box::new(fees)))?;
        }
        tape.push(at, &Event::TradingRules(coin_rules(self.coin())))?;
        tape.push(at, &Event::TradingRules(rules(self.dollar(), FX_TICK)))
    }

    /// A step of everything.
    fn step(&mut self, at: u64, market: &Market, tape: &mut Tape) -> Result<(), Error> {
        let rng = &mut self.rng;
        self.fx += (FX_MEAN - self.fx) / FX_PULL + rng.between(-FX_NOISE, FX_NOISE);
        self.premium += (PREMIUM_MEAN - self.premium) / PREMIUM_PULL
            + rng.between(-PREMIUM_NOISE, PREMIUM_NOISE);
        if rng.once_in(JUMP_ONCE_IN) {
            let size = rng.between(JUMP.0, JUMP.1);
            self.premium += if rng.once_in(2) { size } else { -size };
        }
        if self.steps.is_multiple_of(HEALTH_EVERY) {
            for venue in [VENUE, self.base.venue.as_str()] {
                let health = VenueHealth {
                    venue: venue.to_owned(),
                    latency_ms: rng.between(10, 60) as u32,
                    errors_per_million: rng.between(0, 2_000) as u32,
                };
                tape.push(at, &Event::VenueHealth(Box::new(health)))?;
            }
        }
        if self.steps.is_multiple_of(FX_EVERY) {
            let bid = self.fx / 100 / FX_TICK * FX_TICK;
            let mut dollars = |_: i64| self.rng.between(1_000, 50_000) * 100_000_000;
            let (bids, asks) = (
                side(bid, -FX_TICK, &mut dollars),
                side(bid + FX_TICK, FX_TICK, &mut dollars),
            );
            tape.push_book(at, self.dollar(), self.steps, &bids, &asks)?;
        }
        self.steps += 1;
        let top = market
            .instrument(self.base.id)
            .ok()
            .and_then(|instrument| instrument.top());
        match top.and_then(|top| top.twice_mid()) {
            Some(twice_mid) => self.show_coin(at, twice_mid, tape),
            None => Ok(()),
        }
    }

    fn show_coin(&mut self, at: u64, twice_mid: i64, tape: &mut Tape) -> Result<(), Error> {
        let overflow = || Error::Config(format!("{NAME}: a price does not fit"));
        let unit = pow10(self.base.decimals.price.into()).ok_or_else(overflow)?;
        // Recorded mid x FX x (1 + premium): halves, 1/1000 won and parts per billion.
        let won = i128::from(twice_mid)
            .checked_mul(i128::from(self.fx) * i128::from(1_000_000_000 + self.premium))
            .map(|product| product / (2 * unit * 1_000 * 1_000_000_000))
            .and_then(|won| i64::try_from(won).ok())
            .ok_or_else(overflow)?;
        let (_, tick) = *TICKS.iter().find(|(from, _)| won >= *from).ok_or_else(|| {
            Error::Config(format!(
                "{NAME}: a coin at {won} won has ticks of fractions"
            ))
        })?;
        let bid = (won / tick - self.rng.between(0, 4)) * tick;
        let ask = (won / tick + self.rng.between(1, 5)) * tick;
        let mut coins = |price: i64| self.rng.between(1_000_000, 60_000_000) * 100_000_000 / price;
        let (mut bids, mut asks) = (side(bid, -tick, &mut coins), side(ask, tick, &mut coins));
        // Where the levels reach into a row with a larger tick, only its prices are there.
        let is_on_grid = |level: &Level| {
            let row = TICKS.iter().find(|(from, _)| level.price.0 >= *from);
            row.is_some_and(|(_, tick)| level.price.0 % tick == 0)
        };
        bids.retain(is_on_grid);
        asks.retain(is_on_grid);
        tape.push_book(at, self.coin(), self.steps, &bids, &asks)
    }
}

impl Tape {
    fn push_book(
        &mut self,
        at: u64,
        instrument: InstrumentId,
        id: u64,
        bids: &[Level],
        asks: &[Level],
    ) -> Result<(), Error> {
        let header = BookHeader {
            instrument,
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            venue_time_ns: at,
            first_id: id + 1,
            last_id: id + 1,
            ..BookHeader::default()
        };
        self.push(
            at,
            &Event::BookSnapshot(BookUpdate {
                header: &header,
                bids,
                asks,
            }),
        )
    }
}

/// Levels from `best` on in steps of `step`; `qty` by price.
fn side(best: i64, step: i64, qty: &mut dyn FnMut(i64) -> i64) -> Vec<Level> {
    (0..LEVELS)
        .map(|place| best + place * step)
        .filter(|price| *price > 0)
        .map(|price| Level {
            price: Price(price),
            qty: Qty(qty(price).max(1)),
        })
        .collect()
}

/// The KRW market's rules with one tick: at least 5,000 won an order. Sales may come out of an inventory that no ledger knows.
fn rules(instrument: InstrumentId, tick: i64) -> TradingRules {
    TradingRules {
        instrument,
        effective_from: Nanos(0),
        tick_size: Price(tick),
        lot_size: Qty(1),
        min_qty: Qty(1),
        min_notional: Money(5_000 * pow10(MONEY_DECIMALS).unwrap_or(0)),
        min_price: Price(tick),
        max_price: Price(i64::MAX / 4),
        bands: Vec::new(),
        allows_short: true,
    }
}

/// The same with the table of ticks.
fn coin_rules(instrument: InstrumentId) -> TradingRules {
    let band = |(from, tick): (i64, i64)| TickBand {
        from: Price(from),
        tick: Price(tick),
    };
    // The cheapest row is the tick below the first band.
    TradingRules {
        bands: TICKS.iter().rev().skip(2).copied().map(band).collect(),
        ..rules(instrument, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::{BacktestOptions, backtest};
    use onetape_engine::event::Quote;
    use onetape_engine::session::{SessionConfig, StrategyConfig};
    use onetape_engine::strategy::StrategyParams;

    const START: u64 = 1_767_571_200_000_000_000;

    fn push(writer: &mut Writer, at: u64, event: &Event<'_>) {
        let mut payload = Vec::new();
        event.encode(&mut payload);
        let tag = Tag::input(event.kind().number()).with_step_end(true);
        writer.append(tag, at, &payload).unwrap();
    }

    /// Ten minutes of quotes around 60,000 dollars, ten a second.
    fn recording(dir: &Path, venue: &str, quote: &str) {
        let mut writer = Writer::create(dir, Options::default()).unwrap();
        let defined = InstrumentDefined {
            instrument: InstrumentId(0),
            venue: venue.to_owned(),
            symbol: format!("BTC{quote}"),
            instrument_type: InstrumentType::Spot,
            base: "BTC".to_owned(),
            quote: quote.to_owned(),
            decimals: Decimals { price: 2, qty: 5 },
        };
        push(
            &mut writer,
            START,
            &Event::InstrumentDefined(Box::new(defined)),
        );
        let rules = TradingRules {
            min_notional: Money::ZERO,
            ..rules(InstrumentId(0), 1)
        };
        push(&mut writer, START, &Event::TradingRules(rules));
        let formula = FeeFormula::Notional {
            rate: Decimal::new(1, 3),
        };
        let fees = FeeSchedule {
            instrument: InstrumentId(0),
            effective_from: Nanos(0),
            maker: formula,
            taker: formula,
            rounding: Rounding {
                decimals: 8,
                mode: RoundingMode::Up,
            },
            source: "assumed".to_owned(),
            accrual: FeeAccrual::default(),
        };
        push(&mut writer, START, &Event::FeeSchedule(Box::new(fees)));
        let mut rng = Rng::new(1);
        for tick in 1..6_000 {
            let price = 6_000_000 + rng.between(-500, 500);
            let quote = Quote {
                instrument: InstrumentId(0),
                bid_price: Price(price),
                bid_qty: Qty(rng.between(10_000, 100_000)),
                ask_price: Price(price + 1),
                ask_qty: Qty(rng.between(10_000, 100_000)),
                ..Quote::default()
            };
            push(
                &mut writer,
                START + tick * 100_000_000 + 1,
                &Event::Quote(&quote),
            );
        }
        writer.close().unwrap();
    }

    fn derived(source: &Path, journal: &Path, seed: u64) -> Result<GenerateReport, Error> {
        let options = PremiumOptions {
            source: source.to_path_buf(),
            journal: journal.to_path_buf(),
            seed,
        };
        run(&options, &mut |_| {})
    }

    fn frames(dir: &Path) -> Vec<(u64, u16, Vec<u8>)> {
        let (mut reader, mut frames) = (Reader::open(dir).unwrap(), Vec::new());
        while let Some(frame) = reader.next().unwrap() {
            frames.push((frame.timestamp_ns, frame.tag.kind(), frame.payload.to_vec()));
        }
        frames
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_over_inputs_that_stay() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        recording(&at("day"), "binance", "USDT");
        for (name, seed) in [("a", 7), ("b", 7), ("c", 8)] {
            derived(&at("day"), &at(name), seed).unwrap();
        }
        let (day, a) = (frames(&at("day")), frames(&at("a")));
        assert_eq!(a, frames(&at("b")));
        assert_ne!(a, frames(&at("c")));
        // Marked as generated before anything else; stamps never go back; every recorded input is there, in its order.
        let Ok(Event::DataSource(first)) = Event::decode(a[0].1, &a[0].2) else {
            panic!("{:?}", a[0]);
        };
        assert!(first.generated && first.identity.contains("seed 7"));
        assert!(a.is_sorted_by_key(|frame| frame.0));
        let mut kept = a.iter();
        assert!(day.iter().all(|frame| kept.any(|other| other == frame)));
        // The engine's own market takes all of it: books live, uncrossed, on their ticks.
        let mut market = Market::default();
        let mut shown = 0;
        for (place, (stamp, kind, payload)) in a.iter().enumerate() {
            let event = Event::decode(*kind, payload).unwrap();
            market
                .evolve(Sequence(place as u64 + 1), Nanos(*stamp), &event)
                .unwrap();
            if let Event::BookSnapshot(update) = event {
                shown += 1;
                let instrument = market.instrument(update.header.instrument).unwrap();
                assert!(instrument.book().is_some());
                let rules = instrument.rules_at(Nanos(*stamp)).unwrap();
                let mut levels = update.bids.iter().chain(update.asks);
                assert!(levels.all(|level| rules.is_on_grid(level.price) && level.qty.0 > 0));
            }
        }
        assert!(
            shown > 3_000,
            "five of the coin and one of FX a second: {shown}"
        );
    }

    #[test]
    fn cross_exchange_trades_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        recording(&at("day"), "binance", "USDT");
        derived(&at("day"), &at("with"), 7).unwrap();
        let config = SessionConfig {
            strategies: vec![StrategyConfig {
                id: "cross".to_owned(),
                params: StrategyParams::named("cross_exchange").unwrap(),
            }],
            ..SessionConfig::default()
        };
        let options = BacktestOptions::new(&at("with"), config);
        let summary = backtest(&options, &mut |_, _| {}).unwrap();
        assert!(summary.orders > 0 && summary.fills > 0, "{summary:?}");
    }

    #[test]
    fn recordings_that_it_can_not_be_derived_from_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        recording(&at("eur"), "binance", "EUR");
        recording(&at("won"), "upbit", "USDT");
        let refused = |name: &str| derived(&at(name), &at("out"), 1).unwrap_err().to_string();
        assert!(refused("eur").contains("no spot instrument that is paid in USDT"));
        assert!(refused("won").contains("markets of upbit already"));
        assert!(!at("out").exists());
    }
}
