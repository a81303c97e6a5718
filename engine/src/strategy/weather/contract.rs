//! One bracket: its terms, what it is worth, and what is at work there.
use super::calendar::{instant, local_day, year_and_month};
use super::fair::{DEGREE, Outcomes};
use super::normal::ONE_PPM;
use super::params::Settings;
use super::sizing::{USD, usd};
use super::station::{Day, Expected};
use crate::event::{ContractTerms, Strike};
use crate::id::{InstrumentId, OrderId, Sequence};
use crate::market::Top;
use crate::number::{Decimals, Money, Price, Qty};
use crate::order::Side;
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// What a bracket pays on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Terms {
    /// Place in the table of stations; none when it is not in it.
    pub(super) station: Option<u32>,
    /// Local standard day.
    pub(super) day: i32,
    pub(super) strike: Strike,
    pub(super) closes_at: Nanos,
}

impl Terms {
    /// None for contracts that are not on a temperature, or on an impossible one.
    pub(super) fn new(terms: &ContractTerms, settings: &Settings) -> Option<Self> {
        let temperature = terms.temperature.as_ref()?;
        if let Strike::Between { floor, cap } = temperature.strike
            && floor > cap
        {
            return None;
        }
        Some(Self {
            station: settings.station(&temperature.station),
            day: temperature.day,
            strike: temperature.strike,
            closes_at: terms.closes_at,
        })
    }

    /// Brackets of one station and day exclude each other, whatever the venue calls the event.
    pub(super) const fn event(&self) -> (Option<u32>, i32) {
        (self.station, self.day)
    }
}

/// A bracket's probabilities and what they were computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Odds {
    /// By official evidence alone.
    hard: Outcomes,
    /// With five-minute readings, less their error, as well.
    soft: Outcomes,
    /// Pairs that the forecast error was measured from.
    pub(super) samples: u32,
    /// Whether the usual peak hour has passed.
    pub(super) after_peak: bool,
    /// Probability, in millionths, that a buyer counts on: the lower one.
    pub(super) buy_ppm: u32,
    /// Probability, in millionths, that a seller counts on: the higher one.
    pub(super) sell_ppm: u32,
}

impl Odds {
    fn new(
        terms: &Terms,
        expected: &Expected,
        day: &Day,
        settings: &Settings,
        now: Nanos,
    ) -> Option<Self> {
        let place = terms.station?;
        let station = settings.station_at(place)?;
        let issued_on = local_day(expected.issued_at, station.standard_offset_min);
        let (_, month) = year_and_month(terms.day.into());
        let error = settings.error(place, terms.day.checked_sub(issued_on)?, month)?;
        let peak = instant(terms.day, station.peak_hour, station.standard_offset_min);
        let after_peak = now >= peak;
        // Only what was officially seen after the peak makes the rest of the day surer.
        let sigma = if after_peak && day.official.is_some() {
            let ppm = i64::from(settings.after_peak_sigma);
            (error.sigma * ppm / i64::from(ONE_PPM)).max(1)
        } else {
            error.sigma
        };
        let hard = Outcomes {
            mean: expected.high + error.bias,
            sigma,
            reached: day.official,
        };
        let soft = Outcomes {
            reached: day.official.max(day.soft),
            ..hard
        };
        let (by_hard, by_soft) = (hard.pays_ppm(terms.strike), soft.pays_ppm(terms.strike));
        Some(Self {
            hard,
            soft,
            samples: error.samples,
            after_peak,
            buy_ppm: by_hard.min(by_soft).min(settings.certainty),
            sell_ppm: by_hard.max(by_soft).max(ONE_PPM - settings.certainty),
        })
    }

    /// How far the expected maximum is above the official one so far, in thousandths of a degree; none before there is one.
    pub(super) fn gap(&self) -> Option<i64> {
        let reached = self.hard.reached?;
        Some(self.hard.mean - i64::from(reached) * DEGREE)
    }

    /// The probability that a bet of that side counts on.
    pub(super) const fn ppm(&self, side: Side) -> u32 {
        match side {
            Side::Buy => self.buy_ppm,
            Side::Sell => self.sell_ppm,
        }
    }
}

/// An order at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Working {
    pub(super) order: OrderId,
    pub(super) side: Side,
    pub(super) price: Price,
    pub(super) remaining: Qty,
    /// Closes a position.
    pub(super) exit: bool,
    pub(super) cancelling: bool,
}

/// Bid price and quantity, ask price and quantity.
type Seen = (i64, i64, i64, i64);

/// One bracket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Contract {
    pub(super) instrument: InstrumentId,
    decimals: Decimals,
    pub(super) terms: Option<Terms>,
    pub(super) expected: Option<Expected>,
    pub(super) odds: Option<Odds>,
    /// The frame that changed the odds last.
    pub(super) changed_at: Sequence,
    /// When the odds change by time alone; the end of time when they do not.
    refresh_at: Nanos,
    /// Highest price at which buying, and lowest at which selling, has the least edge before the fee.
    bargains: Option<(Price, Price)>,
    /// Signed.
    pub(super) held: Qty,
    pub(super) working: Option<Working>,
    /// Side and price of the first order since the odds changed.
    pub(super) chase: Option<(Side, Price)>,
    /// When the last order to open was decided since the odds changed.
    pub(super) placed_at: Option<Nanos>,
    /// No opening before, after a refusal.
    pub(super) quiet_until: Nanos,
    /// No closing before, after an attempt.
    pub(super) exit_quiet_until: Nanos,
    seen: Option<Seen>,
    looked_at: Nanos,
    /// Whether the last tick may lead to something else than the one before.
    pub(super) look: bool,
}

/// Without a change of bid and ask a tick is looked at again after this time.
const LOOK_AGAIN_NS: u64 = crate::time::SECOND_NS;

impl Contract {
    pub(super) const fn new(instrument: InstrumentId, decimals: Decimals) -> Self {
        Self {
            instrument,
            decimals,
            terms: None,
            expected: None,
            odds: None,
            changed_at: Sequence(0),
            refresh_at: Nanos(u64::MAX),
            bargains: None,
            held: Qty(0),
            working: None,
            chase: None,
            placed_at: None,
            quiet_until: Nanos(0),
            exit_quiet_until: Nanos(0),
            seen: None,
            looked_at: Nanos(0),
            look: true,
        }
    }

    /// Sees bid and ask. Where nothing changed, or nothing can be gained and nothing is ours, once a second is enough.
    #[inline]
    pub(super) fn tick(&mut self, now: Nanos, top: Option<Top>) {
        let seen = top.map(|top| {
            (
                top.bid.price.0,
                top.bid.qty.0,
                top.ask.price.0,
                top.ask.qty.0,
            )
        });
        let is_dull = || match (self.bargains, top) {
            (Some((buy, sell)), Some(top)) => {
                top.bid.qty.0 > 0
                    && top.ask.qty.0 > 0
                    && top.ask.price > buy
                    && top.bid.price < sell
                    && self.working.is_none()
                    && self.held.0 == 0
            }
            _ => false,
        };
        self.look = now.since(self.looked_at) >= LOOK_AGAIN_NS || (seen != self.seen && !is_dull());
        if self.look {
            self.seen = seen;
            self.looked_at = now;
        }
    }

    /// Whether time alone has changed the odds.
    #[inline]
    pub(super) const fn is_due(&self, now: Nanos) -> bool {
        now.0 >= self.refresh_at.0
    }

    /// Computes the odds anew. New odds begin a new chase.
    pub(super) fn refresh(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        settings: &Settings,
        day: Option<&Day>,
    ) {
        self.expected = day.and_then(|day| day.expected);
        let odds = self.terms.zip(day).and_then(|(terms, day)| {
            let expected = day.expected?;
            Odds::new(&terms, &expected, day, settings, now)
        });
        self.refresh_at = Nanos(u64::MAX);
        if let Some((terms, odds)) = self.terms.zip(odds)
            && !odds.after_peak
            && let Some(station) = terms.station.and_then(|place| settings.station_at(place))
        {
            self.refresh_at = instant(terms.day, station.peak_hour, station.standard_offset_min);
        }
        if odds != self.odds {
            self.odds = odds;
            self.bargains = odds.and_then(|odds| self.bargains(&odds, settings.min_edge));
            self.changed_at = sequence;
            self.chase = None;
            self.placed_at = None;
            self.look = true;
        }
    }

    fn bargains(&self, odds: &Odds, min_edge: Money) -> Option<(Price, Price)> {
        let tick = usd(Price(1), self.decimals)?;
        let worth = |side| i128::from(odds.ppm(side)) * (USD / i128::from(ONE_PPM));
        let price = |value: i128| i64::try_from(value).ok().map(Price);
        let buy = (worth(Side::Buy) - min_edge.0).div_euclid(tick);
        let sell = -(-worth(Side::Sell) - min_edge.0).div_euclid(tick);
        price(buy).zip(price(sell))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Forecast, Observation, ObservationQuality};
    use crate::strategy::weather::params::{ForecastError, Params};
    use crate::strategy::weather::station::Days;
    use crate::time::SECOND_NS;
    use rust_decimal::Decimal;

    const HOUR: u64 = 3_600 * SECOND_NS;
    /// 2024-10-04 00:00 in New York's standard time.
    const MIDNIGHT: u64 = 20_000 * 24 * HOUR + 5 * HOUR;

    fn settings() -> Settings {
        let error = ForecastError {
            station: "NYC".into(),
            lead_days: 0,
            month: 10,
            bias_f: Decimal::ZERO,
            sigma_f: Decimal::from(3),
            samples: 100,
        };
        Settings::new(&Params {
            errors: vec![error],
            ..Params::default()
        })
        .unwrap()
    }

    fn odds(strike: Strike, hour: u64, seen: &[(u64, i64, ObservationQuality)]) -> Odds {
        let settings = settings();
        let now = Nanos(MIDNIGHT + hour * HOUR);
        let mut days = Days::default();
        let forecast = Forecast {
            station: "NYC".into(),
            day: 20_000,
            high_f: Decimal::from(85),
            issued_at: Nanos(MIDNIGHT + HOUR),
            source: "nws".into(),
        };
        days.forecast(&forecast, Nanos(MIDNIGHT + 2 * HOUR), -300);
        for (hour, temperature, quality) in seen {
            let observation = Observation {
                station: "NYC".into(),
                observed_at: Nanos(MIDNIGHT + hour * HOUR),
                temperature_f: Decimal::from(*temperature),
                quality: *quality,
            };
            days.observe(&observation, now, -300, 2);
        }
        let terms = Terms {
            station: Some(0),
            day: 20_000,
            strike,
            closes_at: Nanos(MIDNIGHT + 24 * HOUR),
        };
        let mut contract = Contract::new(InstrumentId(0), Decimals { price: 2, qty: 0 });
        contract.terms = Some(terms);
        contract.refresh(Sequence(7), now, &settings, days.get(20_000));
        contract.odds.unwrap()
    }

    const BETWEEN: Strike = Strike::Between { floor: 84, cap: 85 };

    #[test]
    fn official_readings_condition_and_soft_ones_only_hold_back() {
        use ObservationQuality::{Official, Soft};
        let plain = odds(BETWEEN, 12, &[]);
        assert_eq!((plain.buy_ppm, plain.sell_ppm), (257_646, 257_646));
        let official = odds(BETWEEN, 12, &[(11, 85, Official)]);
        assert_eq!((official.buy_ppm, official.sell_ppm), (233_789, 233_789));
        // 87 less the 2 degrees that it may be off is 85: the buyer counts on the lower value, the seller on the higher.
        let soft = odds(BETWEEN, 12, &[(11, 87, Soft)]);
        assert_eq!((soft.buy_ppm, soft.sell_ppm), (233_789, 257_646));
        // 86 was reached, the bracket is dead; but nothing is taken to be surer than 99 %.
        let dead = odds(BETWEEN, 12, &[(11, 86, Official)]);
        assert_eq!((dead.buy_ppm, dead.sell_ppm), (0, 10_000));
    }

    #[test]
    fn after_the_peak_the_deviation_shrinks_if_something_official_was_seen() {
        use ObservationQuality::{Official, Soft};
        assert!(!odds(BETWEEN, 16, &[]).after_peak);
        let unseen = odds(BETWEEN, 17, &[(16, 84, Soft)]);
        assert_eq!((unseen.after_peak, unseen.hard.sigma), (true, 3_000));
        assert_eq!(unseen.gap(), None);
        let seen = odds(BETWEEN, 17, &[(16, 84, Official)]);
        assert_eq!((seen.hard.sigma, seen.gap()), (1_500, Some(1_000)));
    }

    /// By hand: worth .257646, so with three cents bought up to .22 (.227646) and sold from .29 (.287646) on.
    #[test]
    fn a_tick_without_a_bargain_is_dull_for_a_second() {
        use crate::event::Level;
        let mut contract = Contract::new(InstrumentId(0), Decimals { price: 2, qty: 0 });
        let plain = odds(BETWEEN, 12, &[]);
        contract.bargains = contract.bargains(&plain, settings().min_edge);
        assert_eq!(contract.bargains, Some((Price(22), Price(29))));
        let mut looks = |at_ms: u64, bid: i64, ask: i64| {
            let level = |price| Level {
                price: Price(price),
                qty: Qty(100),
            };
            let top = Top {
                bid: level(bid),
                ask: level(ask),
            };
            contract.tick(Nanos(SECOND_NS + at_ms * 1_000_000), Some(top));
            contract.look
        };
        assert!(looks(0, 23, 26));
        assert!(!looks(1, 24, 26));
        assert!(looks(2, 20, 22));
        assert!(looks(3, 29, 31));
        assert!(!looks(4, 28, 31));
        assert!(!looks(5, 29, 31), "as it was when last looked at");
        assert!(looks(1_003, 28, 31));
    }

    #[test]
    fn readings_of_another_day_or_out_of_this_world_change_nothing() {
        use ObservationQuality::Official;
        let settings = settings();
        let mut days = Days::default();
        let mut see = |at: u64, temperature: i64| {
            let observation = Observation {
                station: "NYC".into(),
                observed_at: Nanos(at),
                temperature_f: Decimal::from(temperature),
                quality: Official,
            };
            days.observe(&observation, Nanos(MIDNIGHT + 2 * HOUR), -300, 2)
        };
        assert_eq!(see(MIDNIGHT - 1, 90), Some(19_999));
        assert_eq!(see(MIDNIGHT + 3 * HOUR, 90), None);
        assert_eq!(see(MIDNIGHT, 999), None);
        assert_eq!(see(0, 90), None);
        assert_eq!(days.get(20_000), None);
        assert!(settings.error(0, 0, 10).is_some());
    }

    #[test]
    fn an_older_forecast_does_not_replace_a_newer_one() {
        let mut days = Days::default();
        let mut take = |issued: u64, high: i64| {
            let forecast = Forecast {
                station: "NYC".into(),
                day: 20_000,
                high_f: Decimal::from(high),
                issued_at: Nanos(issued),
                source: "nws".into(),
            };
            days.forecast(&forecast, Nanos(MIDNIGHT + 2 * HOUR), -300);
            days.get(20_000).unwrap().expected.unwrap().high
        };
        assert_eq!(take(MIDNIGHT + HOUR, 85), 85_000);
        assert_eq!(take(MIDNIGHT, 80), 85_000);
        assert_eq!(take(MIDNIGHT + HOUR, 86), 86_000);
    }
}
