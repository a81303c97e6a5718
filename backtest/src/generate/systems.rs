//! A day for all five systems at once: their venues' markets and the facts that they decide on.
//!
//! Prices follow hidden true values with a lag, and facts (forecasts, leaders) are noisy views of the same values, so that
//! every system finds something to do and is wrong some of the time.
use super::rng::Rng;
use super::scenario::{
    BINANCE_BTC, Clock, KALSHI, POLYMARKET, SINGLE, START_NS, UPBIT_BTC, UPBIT_USDT,
};
use super::venue_market::{Out, Spec, VenueMarket, rate};
use onetape_engine::event::{
    ContractTerms, Event, Forecast, Holding, InstrumentType, IntentReceived, LeaderListed,
    LeaderPortfolio, LeaderTrade, Liquidity, Observation, ObservationQuality, PairApproved, Strike,
    TemperatureTerms, TradingDay, VenueHealth, VoidRule,
};
use onetape_engine::fees::{FeeFormula, RoundingMode};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{OrderType, Side};
use onetape_engine::time::{DAY_NS, Nanos, SECOND_NS};
use rust_decimal::Decimal;

const HOUR_NS: u64 = 3_600 * SECOND_NS;
/// Between two words on a venue's health.
const HEALTH_NS: u64 = 20 * SECOND_NS;
/// Days from 1970-01-01 to the generated day.
const DAY: i32 = (START_NS / DAY_NS) as i32;
/// New York's standard time: five hours behind UTC, and in January in force.
const NEW_YORK_OFFSET_S: i32 = -5 * 3_600;
/// A stock day in UTC: 09:30 to 16:00 in New York.
const STOCKS_OPEN_NS: u64 = START_NS + 14 * HOUR_NS + HOUR_NS / 2;
const STOCKS_CLOSE_NS: u64 = START_NS + 21 * HOUR_NS;

const POLYMARKET_YES: Spec = POLYMARKET;
const POLYMARKET_NO: Spec = Spec {
    symbol: "btc-above-90k-jan-5-no",
    base: "NO",
    ..POLYMARKET
};

const COLD: Spec = Spec {
    symbol: "KXHIGHNY-26JAN05-T38",
    start: 3_300,
    ..KALSHI
};
const MIDDLE: Spec = Spec {
    symbol: "KXHIGHNY-26JAN05-B38.5",
    start: 3_200,
    ..KALSHI
};
const WARM: Spec = Spec {
    symbol: "KXHIGHNY-26JAN05-T39",
    start: 3_500,
    ..KALSHI
};

const STOCK: Spec = Spec {
    venue: "ib",
    symbol: "HOOD",
    instrument_type: InstrumentType::Equity,
    base: "HOOD",
    quote: "USD",
    decimals: (2, 0),
    tick: 1,
    step: 1,
    lot: 1,
    start: 10_000,
    largest: 400,
    levels: 10,
    fee: FeeFormula::Notional { rate: rate(1, 4) },
    maker_fee: FeeFormula::Notional { rate: rate(1, 4) },
    rounding: (2, RoundingMode::Up),
    quotes: false,
    ..SINGLE
};

/// In steps of 0.04 %, so that its price follows a premium within minutes.
const UPBIT_COIN: Spec = Spec {
    step: 50_000,
    ..UPBIT_BTC
};

/// The markets, in the order of their instruments' numbers.
const SPECS: [Spec; 10] = [
    BINANCE_BTC,
    UPBIT_COIN,
    UPBIT_USDT,
    KALSHI,
    POLYMARKET_YES,
    POLYMARKET_NO,
    COLD,
    MIDDLE,
    WARM,
    STOCK,
];
const BINANCE: usize = 0;
const UPBIT: usize = 1;
const FX: usize = 2;
const KALSHI_BTC: usize = 3;
const YES: usize = 4;
const NO: usize = 5;
const FIRST_BRACKET: usize = 6;
const HOOD: usize = 9;

/// What is true and only seen through prices and facts.
struct Truth {
    /// BTC in cents.
    btc: i64,
    /// KRW for a USDT in tenths.
    fx: i64,
    /// What Upbit asks above that, in basis points.
    premium_bps: i64,
    /// The chance of YES in 1/10,000, and how far Polymarket is from it.
    chance: i64,
    divergence: i64,
    /// The day's high in tenths of a degree Fahrenheit, and what the market still believes.
    high: i64,
    believed: i64,
    /// The stock in cents.
    stock: i64,
}

impl Truth {
    fn walk(&mut self, rng: &mut Rng) {
        if rng.once_in(4) {
            self.btc = (self.btc + rng.between(-150, 150)).clamp(8_700_000, 9_300_000);
        }
        if rng.once_in(300) {
            self.fx = (self.fx + rng.between(-10, 10)).clamp(13_000, 14_600);
        }
        if rng.once_in(2_500) {
            self.premium_bps = rng.between(-120, 120);
        } else if rng.once_in(150) {
            self.premium_bps -= self.premium_bps.signum() * 5;
        }
        if rng.once_in(150) {
            self.chance = (self.chance + rng.between(-100, 100)).clamp(1_500, 8_500);
        }
        if rng.once_in(1_000) {
            self.divergence = rng.between(-10, 10) * 100;
        } else if rng.once_in(250) {
            self.divergence -= self.divergence.signum() * 100;
        }
        if rng.once_in(400) {
            self.high = (self.high + rng.between(-4, 4)).clamp(350, 420);
        }
        if rng.once_in(40) {
            self.believed += (self.high - self.believed).signum();
        }
        if rng.once_in(6) {
            self.stock = (self.stock + rng.between(-3, 3)).clamp(9_000, 11_000);
        }
    }

    /// Where a market's price is drawn to.
    fn target(&self, place: usize) -> i64 {
        match place {
            BINANCE => self.btc,
            UPBIT => self.btc * self.fx / 1_000 * (10_000 + self.premium_bps) / 10_000,
            FX => self.fx,
            KALSHI_BTC => self.chance,
            YES => (self.chance + self.divergence).clamp(300, 9_700),
            NO => (10_000 - self.chance - self.divergence).clamp(300, 9_700),
            HOOD => self.stock,
            bracket => {
                let below_38 = chance_below(375 - self.believed);
                let below_40 = chance_below(395 - self.believed);
                let chance = match bracket - FIRST_BRACKET {
                    0 => below_38,
                    1 => below_40 - below_38,
                    _ => 10_000 - below_40,
                };
                chance.clamp(200, 9_800)
            }
        }
    }
}

/// The chance in 1/10,000 that a triangular error of up to 6 degrees is below `x` tenths.
const fn chance_below(x: i64) -> i64 {
    const WIDTH: i64 = 60;
    if x <= -WIDTH {
        0
    } else if x >= WIDTH {
        10_000
    } else if x < 0 {
        10_000 * (WIDTH + x) * (WIDTH + x) / (2 * WIDTH * WIDTH)
    } else {
        10_000 - 10_000 * (WIDTH - x) * (WIDTH - x) / (2 * WIDTH * WIDTH)
    }
}

/// A wallet that others copy.
struct Leader {
    wallet: String,
    /// Shares of YES and NO, in hundredths.
    held: [i64; 2],
    trades: u64,
}

/// Plays the day.
pub(super) fn play<E>(rng: &mut Rng, events: u64, out: Out<'_, E>) -> Result<(), E> {
    let mut markets: Vec<VenueMarket> = SPECS
        .iter()
        .enumerate()
        .map(|(id, spec)| VenueMarket::new(id as u32, *spec, rng))
        .collect();
    for market in &mut markets {
        market.open(START_NS, out)?;
    }
    reference(out)?;
    let mut leaders = [1u8, 2].map(|number| Leader {
        wallet: format!("0x{number:040x}"),
        held: [0, 0],
        trades: 0,
    });
    for leader in &leaders {
        list(leader, out)?;
    }
    let mut truth = Truth {
        btc: BINANCE_BTC.start,
        fx: UPBIT_USDT.start,
        premium_bps: 0,
        chance: KALSHI.start,
        divergence: 0,
        high: 385,
        believed: 385,
        stock: STOCK.start,
    };
    let mut clock = Clock::new(events * 4 / 5);
    let (mut done, mut next_hour, mut next_health, mut intents) = (0, START_NS, START_NS, 0u64);
    while done < events {
        let at_ns = clock.tick(rng);
        while at_ns >= next_hour {
            hourly(rng, next_hour, &truth, &leaders, out)?;
            next_hour += HOUR_NS;
        }
        while at_ns >= next_health {
            health(rng, next_health.max(next_hour - HOUR_NS), out)?;
            next_health += HEALTH_NS;
        }
        truth.walk(rng);
        let stocks = (STOCKS_OPEN_NS..STOCKS_CLOSE_NS).contains(&at_ns);
        let place = match rng.below(100) {
            0..34 => BINANCE,
            34..50 => UPBIT,
            50..54 => FX,
            54..62 => KALSHI_BTC,
            62..70 => YES,
            70..78 => NO,
            78..88 => FIRST_BRACKET + rng.below(3) as usize,
            _ if stocks => HOOD,
            _ => BINANCE,
        };
        if rng.once_in(40_000) {
            done += markets[place].break_feed(rng, at_ns, 20, out)?;
        } else {
            done += markets[place].tick(rng, at_ns, truth.target(place), out)?;
        }
        if rng.once_in(1_500) {
            let leader = &mut leaders[rng.below(2) as usize];
            let token = rng.below(2) as usize;
            trade(rng, at_ns, leader, token, markets[YES + token].mid(), out)?;
        }
        if stocks && rng.once_in(4_000) {
            intents += 1;
            let price = truth.stock / 100 * 100 - 50;
            intent(rng, at_ns, intents, price, out)?;
        }
    }
    let closing = clock.tick(rng).max(START_NS + DAY_NS);
    settle(&mut markets, &truth, closing, out)
}

/// What stands from the start.
fn reference<E>(out: Out<'_, E>) -> Result<(), E> {
    let (closes_at, settles_at) = (
        Nanos(START_NS + DAY_NS),
        Nanos(START_NS + DAY_NS + 10 * HOUR_NS),
    );
    let brackets = [
        Strike::Less { cap: 38 },
        Strike::Between { floor: 38, cap: 39 },
        Strike::Greater { floor: 39 },
    ];
    for (place, strike) in brackets.into_iter().enumerate() {
        let temperature = Some(TemperatureTerms {
            station: "NYC".to_owned(),
            day: DAY,
            strike,
        });
        let terms = ContractTerms {
            instrument: InstrumentId((FIRST_BRACKET + place) as u32),
            event: "KXHIGHNY-26JAN05".to_owned(),
            cluster: "northeast".to_owned(),
            closes_at,
            settles_at,
            rules_hash: "weather-1".to_owned(),
            temperature,
        };
        out(START_NS, &Event::ContractTerms(Box::new(terms)))?;
    }
    for (place, rules) in [
        (KALSHI_BTC, "kalshi-1"),
        (YES, "polymarket-1"),
        (NO, "polymarket-1"),
    ] {
        let terms = ContractTerms {
            instrument: InstrumentId(place as u32),
            event: "BTC-90K".to_owned(),
            cluster: "crypto".to_owned(),
            closes_at,
            settles_at,
            rules_hash: rules.to_owned(),
            temperature: None,
        };
        out(START_NS, &Event::ContractTerms(Box::new(terms)))?;
    }
    let pair = PairApproved {
        pair: "btc-90k".to_owned(),
        single_book: InstrumentId(KALSHI_BTC as u32),
        yes_token: InstrumentId(YES as u32),
        no_token: InstrumentId(NO as u32),
        inverted: false,
        single_book_rules: "kalshi-1".to_owned(),
        token_rules: "polymarket-1".to_owned(),
        void_rule: VoidRule::BothRefund,
        cut_off: Nanos(START_NS + 20 * HOUR_NS),
        single_book_settles_at: settles_at,
        token_settles_at: Nanos(settles_at.0 + 2 * HOUR_NS),
        cluster: "crypto".to_owned(),
        confidence_pct: 100,
        approver: "generator".to_owned(),
        approved_at: Nanos(START_NS),
        question: String::new(),
    };
    out(START_NS, &Event::PairApproved(Box::new(pair)))?;
    let day = TradingDay {
        calendar: "XNYS".to_owned(),
        day: DAY,
        utc_offset_s: NEW_YORK_OFFSET_S,
        opens_at: Nanos(STOCKS_OPEN_NS),
        closes_at: Nanos(STOCKS_CLOSE_NS),
    };
    out(START_NS, &Event::TradingDay(Box::new(day)))
}

fn list<E>(leader: &Leader, out: Out<'_, E>) -> Result<(), E> {
    let listed = LeaderListed {
        wallet: leader.wallet.clone(),
        active: true,
        sample_trades: 400,
        winning_trades: 260,
        profit_usd: Decimal::from(25_000),
        typical_usd: Decimal::from(120),
    };
    out(START_NS, &Event::LeaderListed(Box::new(listed)))
}

/// Forecast, observation and portfolios, as polls bring them.
fn hourly<E>(
    rng: &mut Rng,
    at_ns: u64,
    truth: &Truth,
    leaders: &[Leader],
    out: Out<'_, E>,
) -> Result<(), E> {
    let forecast = Forecast {
        station: "NYC".to_owned(),
        day: DAY,
        high_f: Decimal::new(truth.high + rng.between(-10, 10), 1),
        issued_at: Nanos(at_ns),
        source: "nws".to_owned(),
    };
    out(at_ns, &Event::Forecast(Box::new(forecast)))?;
    let hour = (at_ns - START_NS) / HOUR_NS;
    // Coldest at 11:00 UTC, warmest at 19:00.
    let rise = if hour < 11 {
        0
    } else {
        (hour.min(19) - 11) as i64
    };
    let observation = Observation {
        station: "NYC".to_owned(),
        observed_at: Nanos(at_ns),
        temperature_f: Decimal::from((truth.high - (8 - rise) * 15) / 10),
        quality: ObservationQuality::Official,
    };
    out(at_ns, &Event::Observation(Box::new(observation)))?;
    for leader in leaders {
        let holding = |token: usize| Holding {
            instrument: InstrumentId((YES + token) as u32),
            qty: Qty(leader.held[token]),
        };
        let portfolio = LeaderPortfolio {
            wallet: leader.wallet.clone(),
            value_usd: Decimal::from(10_000),
            holdings: vec![holding(0), holding(1)],
            taken_at: Nanos(at_ns),
        };
        out(at_ns, &Event::LeaderPortfolio(Box::new(portfolio)))?;
    }
    Ok(())
}

/// How every venue's connection does.
fn health<E>(rng: &mut Rng, at_ns: u64, out: Out<'_, E>) -> Result<(), E> {
    for venue in ["binance", "upbit", "kalshi", "polymarket", "ib"] {
        let health = VenueHealth {
            venue: venue.to_owned(),
            latency_ms: 20 + rng.below(40) as u32,
            errors_per_million: rng.below(500) as u32,
        };
        out(at_ns, &Event::VenueHealth(Box::new(health)))?;
    }
    Ok(())
}

/// A leader buys, or sells a part of what there is.
fn trade<E>(
    rng: &mut Rng,
    at_ns: u64,
    leader: &mut Leader,
    token: usize,
    mid: i64,
    out: Out<'_, E>,
) -> Result<(), E> {
    let held = leader.held[token];
    let sells = held > 20_000 && rng.once_in(2);
    let qty = if sells {
        held / rng.between(1, 4)
    } else {
        rng.between(200, 900) * 100
    };
    leader.held[token] += if sells { -qty } else { qty };
    leader.trades += 1;
    let row = LeaderTrade {
        wallet: leader.wallet.clone(),
        instrument: InstrumentId((YES + token) as u32),
        side: if sells { Side::Sell } else { Side::Buy },
        price: Price(mid / 100 * 100),
        qty: Qty(qty),
        transaction: format!("0x{:064x}", leader.trades),
        liquidity: Liquidity::Taker,
        traded_at: Nanos(at_ns - 12 * SECOND_NS),
        occurrence: 0,
    };
    out(at_ns, &Event::LeaderTrade(Box::new(row)))
}

fn intent<E>(rng: &mut Rng, at_ns: u64, number: u64, price: i64, out: Out<'_, E>) -> Result<(), E> {
    let intent = IntentReceived {
        key: format!("intent-{number}"),
        instrument: InstrumentId(HOOD as u32),
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Price(price),
        qty: Qty(rng.between(1, 20)),
        stop_loss: None,
        target: None,
        replaces: None,
        client_tag: "generated".to_owned(),
    };
    out(at_ns, &Event::IntentReceived(Box::new(intent)))
}

/// Every contract pays what the truth turned out to be.
fn settle<E>(
    markets: &mut [VenueMarket],
    truth: &Truth,
    at_ns: u64,
    out: Out<'_, E>,
) -> Result<(), E> {
    let yes = if truth.chance > 5_000 { 10_000 } else { 0 };
    let high = (truth.high + 5) / 10;
    let pays = |holds: bool| if holds { 10_000 } else { 0 };
    let payouts = [
        (KALSHI_BTC, yes),
        (YES, yes),
        (NO, 10_000 - yes),
        (FIRST_BRACKET, pays(high < 38)),
        (FIRST_BRACKET + 1, pays((38..=39).contains(&high))),
        (FIRST_BRACKET + 2, pays(high > 39)),
    ];
    for (place, payout) in payouts {
        if let Some(market) = markets.get_mut(place) {
            market.resolve(at_ns, payout, out)?;
        }
    }
    Ok(())
}
