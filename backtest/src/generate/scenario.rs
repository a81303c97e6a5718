//! The kinds of day there are.
use super::rng::Rng;
use super::systems;
use super::venue_market::{Out, Spec, VenueMarket, rate};
use onetape_engine::event::{Event, InstrumentType, Quote, TradingStatus};
use onetape_engine::fees::{FeeFormula, RoundingMode};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Price, Qty};
use onetape_engine::time::DAY_NS;

/// 2026-01-05T00:00:00Z, a Monday.
pub(super) const START_NS: u64 = 1_767_571_200 * 1_000_000_000;

/// A kind of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Four venues with everything that happens.
    Mixed,
    /// The same four venues, crossing more often, without breaks.
    Arbitrage,
    /// The markets and facts of all five systems.
    Systems,
    /// Best bid and ask of one instrument.
    Quotes,
    /// The worst case for a book: one level an event.
    Depth,
}

impl Scenario {
    /// Every scenario.
    pub const ALL: [Scenario; 5] = [
        Scenario::Mixed,
        Scenario::Arbitrage,
        Scenario::Systems,
        Scenario::Quotes,
        Scenario::Depth,
    ];

    /// The name that commands take.
    pub const fn name(self) -> &'static str {
        match self {
            Scenario::Mixed => "mixed",
            Scenario::Arbitrage => "arbitrage",
            Scenario::Systems => "systems",
            Scenario::Quotes => "quotes",
            Scenario::Depth => "depth",
        }
    }

    /// What the day is like, in a line.
    pub const fn about(self) -> &'static str {
        match self {
            Scenario::Mixed => {
                "Binance, Upbit, Kalshi and Polymarket: drift, crossed markets, gaps, halts, resolution"
            }
            Scenario::Arbitrage => "the same venues, crossing often, without gaps or halts",
            Scenario::Systems => {
                "ten markets with pairs, forecasts, leaders, a calendar and intents: all five systems"
            }
            Scenario::Quotes => "best bid and ask of one instrument, a random walk",
            Scenario::Depth => {
                "one instrument, one book level or trade an event: the worst case for a book"
            }
        }
    }

    /// The scenario of that name.
    pub fn from_name(name: &str) -> Option<Scenario> {
        Self::ALL
            .into_iter()
            .find(|scenario| scenario.name() == name)
    }

    pub(super) fn play<E>(self, seed: u64, events: u64, out: Out<'_, E>) -> Result<(), E> {
        let mut rng = Rng::new(seed);
        match self {
            Scenario::Mixed => venues(&mut rng, events, true, out),
            Scenario::Arbitrage => venues(&mut rng, events, false, out),
            Scenario::Systems => systems::play(&mut rng, events, out),
            Scenario::Quotes => quotes(&mut rng, events, out),
            Scenario::Depth => depth(&mut rng, events, out),
        }
    }
}

const NO_FEE: FeeFormula = FeeFormula::Notional { rate: rate(0, 0) };

pub(super) const SINGLE: Spec = Spec {
    venue: "generated",
    symbol: "WALK",
    instrument_type: InstrumentType::Spot,
    base: "WALK",
    quote: "USD",
    decimals: (2, 3),
    tick: 1,
    step: 1,
    lot: 1,
    start: 6_000_000,
    bounds: (1, i64::MAX / 4),
    largest: 100_000,
    levels: 0,
    fee: FeeFormula::Notional { rate: rate(5, 4) },
    maker_fee: FeeFormula::Notional { rate: rate(2, 4) },
    rounding: (8, RoundingMode::Up),
    quotes: true,
};

pub(super) const BINANCE_BTC: Spec = Spec {
    venue: "binance",
    symbol: "BTCUSDT",
    base: "BTC",
    quote: "USDT",
    decimals: (2, 5),
    step: 100,
    lot: 10,
    start: 9_000_000,
    largest: 20_000,
    levels: 40,
    fee: FeeFormula::Notional { rate: rate(1, 3) },
    maker_fee: FeeFormula::Notional { rate: rate(1, 3) },
    ..SINGLE
};

pub(super) const UPBIT_BTC: Spec = Spec {
    venue: "upbit",
    symbol: "KRW-BTC",
    base: "BTC",
    quote: "KRW",
    decimals: (0, 8),
    tick: 1_000,
    step: 1_000,
    lot: 10_000,
    start: 124_200_000,
    largest: 20_000,
    levels: 15,
    fee: FeeFormula::Notional { rate: rate(5, 4) },
    maker_fee: FeeFormula::Notional { rate: rate(5, 4) },
    rounding: (8, RoundingMode::Up),
    quotes: false,
    ..BINANCE_BTC
};

pub(super) const UPBIT_USDT: Spec = Spec {
    symbol: "KRW-USDT",
    base: "USDT",
    decimals: (1, 8),
    tick: 10,
    step: 10,
    lot: 1_000_000,
    start: 13_800,
    largest: 5_000_000,
    ..UPBIT_BTC
};

pub(super) const KALSHI: Spec = Spec {
    venue: "kalshi",
    symbol: "KXBTCD-26JAN0517-T90000",
    instrument_type: InstrumentType::Binary,
    base: "YES",
    quote: "USD",
    decimals: (4, 2),
    tick: 100,
    step: 100,
    lot: 100,
    start: 5_000,
    bounds: (100, 9_900),
    largest: 2_000,
    levels: 20,
    fee: FeeFormula::probability(rate(7, 2)),
    maker_fee: NO_FEE,
    rounding: (4, RoundingMode::Up),
    quotes: false,
};

pub(super) const POLYMARKET: Spec = Spec {
    venue: "polymarket",
    symbol: "btc-above-90k-jan-5-yes",
    quote: "USDC",
    decimals: (4, 2),
    tick: 10,
    step: 100,
    fee: FeeFormula::probability(rate(4, 2)),
    rounding: (5, RoundingMode::Nearest),
    ..KALSHI
};

/// A clock that spreads `events` over a day, unevenly as markets are.
pub(super) struct Clock {
    now_ns: u64,
    mean_ns: u64,
}

impl Clock {
    pub(super) fn new(events: u64) -> Self {
        // An hour is left at the end for what closes the day.
        Self {
            now_ns: START_NS,
            mean_ns: (DAY_NS - DAY_NS / 24) / events.max(1),
        }
    }

    pub(super) fn tick(&mut self, rng: &mut Rng) -> u64 {
        // Bursts: three of four events come within a tenth of the mean, the fourth makes up for them.
        let spread = if rng.once_in(4) {
            self.mean_ns * 37 / 5
        } else {
            self.mean_ns / 5
        };
        self.now_ns += 1 + rng.below(spread.max(1));
        self.now_ns
    }
}

fn quotes<E>(rng: &mut Rng, events: u64, out: Out<'_, E>) -> Result<(), E> {
    let (mut clock, mut price) = (Clock::new(events), SINGLE.start);
    VenueMarket::new(0, SINGLE, rng).open(START_NS, out)?;
    for update_id in 1..=events {
        let at_ns = clock.tick(rng);
        price = (price + rng.between(-2, 2)).max(1_000);
        let quote = Quote {
            instrument: InstrumentId(0),
            flags: 0,
            venue_time_ns: at_ns,
            update_id,
            bid_price: Price(price),
            bid_qty: Qty(rng.between(10, 100_000)),
            ask_price: Price(price + 1),
            ask_qty: Qty(rng.between(10, 100_000)),
        };
        out(at_ns, &Event::Quote(&quote))?;
    }
    Ok(())
}

fn depth<E>(rng: &mut Rng, events: u64, out: Out<'_, E>) -> Result<(), E> {
    let spec = Spec {
        symbol: "DEPTH",
        levels: 500,
        quotes: false,
        largest: 1_000,
        ..SINGLE
    };
    let mut market = VenueMarket::new(0, spec, rng);
    market.open(START_NS, out)?;
    let (mut clock, mut target, mut done) = (Clock::new(events), spec.start, 0);
    while done < events {
        if rng.once_in(20) {
            target = (target + rng.between(-2, 2)).clamp(spec.start - 3_000, spec.start + 3_000);
        }
        let at_ns = clock.tick(rng);
        done += market.tick(rng, at_ns, target, out)?;
    }
    Ok(())
}

/// The venues' markets, in the order of their instruments' numbers.
const BINANCE: usize = 0;
const UPBIT: usize = 1;
const FX: usize = 2;
const KALSHI_YES: usize = 3;
const POLYMARKET_YES: usize = 4;

fn venues<E>(rng: &mut Rng, events: u64, everything: bool, out: Out<'_, E>) -> Result<(), E> {
    let specs = [BINANCE_BTC, UPBIT_BTC, UPBIT_USDT, KALSHI, POLYMARKET];
    let mut markets: Vec<VenueMarket> = specs
        .iter()
        .enumerate()
        .map(|(id, spec)| VenueMarket::new(id as u32, *spec, rng))
        .collect();
    for market in &mut markets {
        market.open(START_NS, out)?;
    }
    // A trade is two events or three, so ticks are fewer than events.
    let mut clock = Clock::new(events * 4 / 5);
    // Fair values: BTC in cents, KRW for a USDT in tenths, the chance of YES in 1/10,000.
    let (mut btc, mut fx, mut chance) = (
        specs[BINANCE].start,
        specs[FX].start,
        specs[KALSHI_YES].start,
    );
    // What Upbit asks above the fair price, in basis points, and Polymarket above Kalshi, in 1/10,000.
    let (mut premium_bps, mut divergence) = (0i64, 0i64);
    let (break_every, cross_every) = if everything {
        (6_000, 3_000)
    } else {
        (u64::MAX, 600)
    };
    let mut done = 0;
    while done < events {
        let at_ns = clock.tick(rng);
        if rng.once_in(4) {
            btc = (btc + rng.between(-150, 150)).clamp(8_700_000, 9_300_000);
        }
        if rng.once_in(300) {
            fx = (fx + rng.between(-10, 10)).clamp(13_000, 14_600);
        }
        if rng.once_in(150) {
            chance = (chance + rng.between(-100, 100)).clamp(800, 9_200);
        }
        if rng.once_in(cross_every) {
            premium_bps = rng.between(-60, 60);
            divergence = rng.between(-8, 8) * 100;
        } else if rng.once_in(200) {
            premium_bps -= premium_bps.signum() * 5;
            divergence -= divergence.signum() * 100;
        }
        let upbit = btc * fx / 1_000 * (10_000 + premium_bps) / 10_000;
        let targets = [
            btc,
            upbit,
            fx,
            chance,
            (chance + divergence).clamp(300, 9_700),
        ];
        let place = match rng.below(100) {
            0..45 => BINANCE,
            45..65 => UPBIT,
            65..70 => FX,
            70..85 => KALSHI_YES,
            _ => POLYMARKET_YES,
        };
        let market = &mut markets[place];
        if rng.once_in(break_every) {
            let length = 20 + rng.below(200);
            done += market.break_feed(rng, at_ns, length, out)?;
        } else if everything
            && place == KALSHI_YES
            && rng.once_in(if market.is_halted() { 100 } else { 8_000 })
        {
            let status = if market.is_halted() {
                TradingStatus::Open
            } else {
                TradingStatus::Halted
            };
            done += market.set_status(at_ns, status, out)?;
        } else {
            done += market.tick(rng, at_ns, targets[place], out)?;
        }
    }
    let yes_wins = markets[KALSHI_YES].mid() > 5_000;
    let pays = if yes_wins { 10_000 } else { 0 };
    for place in [KALSHI_YES, POLYMARKET_YES] {
        markets[place].resolve(clock.tick(rng), pays, out)?;
    }
    Ok(())
}
