//! Parameters, their checks, and the units that the strategy computes in.
use super::fair::DEGREE;
use super::normal::ONE_PPM;
use crate::market::BarRequest;
use crate::number::Money;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// A station whose climate report settles contracts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Station {
    /// Its name in contract terms, forecasts and observations: "NYC".
    pub station: String,
    /// Local standard time minus UTC, in minutes, all year round.
    pub standard_offset_min: i32,
    /// Its region: cities of one region share a limit.
    pub cluster: String,
    /// From this hour of local standard time on the day's maximum is usually behind; 0 to 23.
    pub peak_hour: u8,
}

/// How wrong forecasts were at a station, measured from pairs of forecast and outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForecastError {
    /// The station.
    pub station: String,
    /// Days between the local day on which the forecast was issued and the day that it is for.
    pub lead_days: u8,
    /// Month of the day that it is for, 1 to 12.
    pub month: u8,
    /// Mean of outcome minus forecast, in degrees Fahrenheit: added to a forecast.
    pub bias_f: Decimal,
    /// Standard deviation of the same, in degrees Fahrenheit.
    pub sigma_f: Decimal,
    /// Pairs that both were measured from; 0 for an assumption.
    pub samples: u32,
}

/// Parameters. Percentages are of the bankroll unless they say otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The venue whose binary contracts it trades.
    pub venue: String,
    /// Beginnings of their symbols.
    pub symbol_prefixes: Vec<String>,
    /// The only forecaster that is listened to: errors are measured for one.
    pub forecast_source: String,
    /// What the percentages are taken of, in USD.
    pub bankroll_usd: Decimal,
    /// Share of the Kelly stake that is bet, in percent.
    pub kelly_pct: Decimal,
    /// Most that one order can lose.
    pub max_trade_pct: Decimal,
    /// Most that one station's contracts can lose together.
    pub max_city_pct: Decimal,
    /// Most that one region's contracts can lose together.
    pub max_cluster_pct: Decimal,
    /// Most that all contracts can lose together.
    pub max_open_risk_pct: Decimal,
    /// Loss since UTC midnight from which on nothing is opened.
    pub max_day_loss_pct: Decimal,
    /// Loss since Monday from which on sizes and caps are halved until the week ends.
    pub halving_week_loss_pct: Decimal,
    /// Loss since the first of the month from which on nothing is opened until the month ends.
    pub max_month_loss_pct: Decimal,
    /// Most contracts held in one bracket.
    pub max_contracts: u32,
    /// Least edge after the fee, in USD a contract.
    pub min_edge_usd: Decimal,
    /// Least distance of an order's limit from the fair value, in USD.
    pub margin_usd: Decimal,
    /// Least gain over the fair value, after the fee, for which a position is closed, in USD a contract.
    pub exit_edge_usd: Decimal,
    /// Widest spread traded, in USD.
    pub max_spread_usd: Decimal,
    /// Fewest contracts displayed at best bid and best ask together.
    pub min_displayed: u32,
    /// Nothing is taken to be surer than this, in percent: reports are corrected.
    pub max_certainty_pct: Decimal,
    /// Time after which an order that still rests is moved to the market, in milliseconds.
    pub reprice_ms: u64,
    /// How far such moves may go from the first price, in USD.
    pub max_chase_usd: Decimal,
    /// Age of the last forecast received up to which it counts, in milliseconds.
    pub forecast_max_age_ms: u64,
    /// Time since the forecast was issued up to which it counts, in milliseconds.
    pub forecast_max_issue_age_ms: u64,
    /// Age of bid and ask up to which something is opened, in milliseconds.
    pub market_max_age_ms: u64,
    /// Time before a market's close from which on nothing rests there, in milliseconds.
    pub min_to_close_ms: u64,
    /// Rejections within the window that pause opening.
    pub max_rejects: u32,
    /// That window, and how long the pause lasts, in milliseconds.
    pub reject_window_ms: u64,
    /// Pause in one bracket after a refusal, in milliseconds.
    pub retry_ms: u64,
    /// First hour of opening, in the station's standard time.
    pub open_hour: u8,
    /// First hour without, in the station's standard time.
    pub close_hour: u8,
    /// How far five-minute readings may be off, in whole degrees Fahrenheit.
    pub soft_margin_f: u8,
    /// What is left of the deviation after the peak hour, in percent of it.
    pub after_peak_sigma_pct: Decimal,
    /// How far above the maximum seen the expected one may be after the peak hour, in degrees Fahrenheit.
    pub after_peak_gap_f: Decimal,
    /// Fewest pairs that a forecast error must be measured from.
    pub min_samples: u32,
    /// Stations.
    pub stations: Vec<Station>,
    /// Forecast errors: where none is given nothing is traded. None is built in, because none was measured.
    pub errors: Vec<ForecastError>,
}

impl Default for Params {
    fn default() -> Self {
        let station = |station: &str, hours: i32, cluster: &str| Station {
            station: station.to_owned(),
            standard_offset_min: hours * 60,
            cluster: cluster.to_owned(),
            peak_hour: 17,
        };
        Self {
            venue: "kalshi".to_owned(),
            symbol_prefixes: vec!["KXHIGH".to_owned()],
            forecast_source: "nws".to_owned(),
            bankroll_usd: Decimal::new(99_210, 2),
            kelly_pct: Decimal::from(25),
            max_trade_pct: Decimal::from(2),
            max_city_pct: Decimal::from(3),
            max_cluster_pct: Decimal::from(5),
            max_open_risk_pct: Decimal::from(10),
            max_day_loss_pct: Decimal::from(5),
            halving_week_loss_pct: Decimal::from(12),
            max_month_loss_pct: Decimal::from(20),
            max_contracts: 200,
            min_edge_usd: Decimal::new(3, 2),
            margin_usd: Decimal::new(15, 3),
            exit_edge_usd: Decimal::new(1, 2),
            max_spread_usd: Decimal::new(4, 2),
            min_displayed: 75,
            max_certainty_pct: Decimal::from(99),
            reprice_ms: 120_000,
            max_chase_usd: Decimal::new(3, 2),
            forecast_max_age_ms: 5_400_000,
            forecast_max_issue_age_ms: 43_200_000,
            market_max_age_ms: 10_000,
            min_to_close_ms: 60_000,
            max_rejects: 5,
            reject_window_ms: 900_000,
            retry_ms: 60_000,
            open_hour: 6,
            close_hour: 23,
            soft_margin_f: 2,
            after_peak_sigma_pct: Decimal::from(50),
            after_peak_gap_f: Decimal::from(3),
            min_samples: 30,
            stations: vec![
                station("NYC", -5, "northeast"),
                station("MDW", -6, "midwest"),
                station("LAX", -8, "west"),
                station("MIA", -5, "southeast"),
                station("AUS", -6, "southeast"),
                station("DEN", -7, "mountain"),
                station("PHL", -5, "northeast"),
                station("BOS", -5, "northeast"),
                station("SEA", -8, "west"),
                station("SFO", -8, "west"),
            ],
            errors: Vec::new(),
        }
    }
}

impl Params {
    /// None by name: contracts are new every day.
    pub(in crate::strategy) const fn instruments(&self) -> Vec<&str> {
        Vec::new()
    }

    pub(in crate::strategy) const fn bars(&self) -> Vec<BarRequest> {
        Vec::new()
    }
}

/// One line of the error table in the strategy's units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ErrorCell {
    /// Station (its place), lead in days, month.
    pub(super) key: (u32, i32, u8),
    /// Thousandths of a degree.
    pub(super) bias: i64,
    /// Thousandths of a degree; positive.
    pub(super) sigma: i64,
    pub(super) samples: u32,
}

/// The parameters with every amount in the unit that it is compared in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) params: Params,
    pub(super) bankroll: Money,
    /// Kelly's share, in millionths of the whole stake.
    pub(super) kelly_ppm: u32,
    pub(super) trade: Money,
    pub(super) city: Money,
    pub(super) cluster: Money,
    pub(super) open_risk: Money,
    pub(super) day_loss: Money,
    pub(super) week_loss: Money,
    pub(super) month_loss: Money,
    pub(super) min_edge: Money,
    pub(super) margin: Money,
    pub(super) exit_edge: Money,
    pub(super) max_spread: Money,
    pub(super) max_chase: Money,
    /// Millionths.
    pub(super) certainty: u32,
    /// Millionths of the deviation.
    pub(super) after_peak_sigma: u32,
    /// Thousandths of a degree.
    pub(super) after_peak_gap: i64,
    /// Sorted by key.
    errors: Vec<ErrorCell>,
}

impl Settings {
    /// # Errors
    /// The parameter, its value and the rule that it breaks.
    pub(super) fn new(params: &Params) -> Result<Self, String> {
        let bankroll = params.bankroll_usd;
        if bankroll <= Decimal::ZERO || bankroll > Decimal::from(100_000_000) {
            return Err(format!(
                "bankroll_usd must be above 0 and at most 100000000, found {bankroll}"
            ));
        }
        let share = |name, pct: Decimal| {
            percent(name, pct)?;
            money(name, bankroll * pct / Decimal::ONE_HUNDRED)
        };
        for (name, hour) in [
            ("open_hour", params.open_hour),
            ("close_hour", params.close_hour),
        ] {
            if hour > 24 {
                return Err(format!("{name} must be 0 to 24, found {hour}"));
            }
        }
        if params.open_hour >= params.close_hour {
            return Err(format!(
                "open_hour must be before close_hour, found {} and {}",
                params.open_hour, params.close_hour
            ));
        }
        for (name, value) in [
            ("reprice_ms", params.reprice_ms),
            ("retry_ms", params.retry_ms),
            ("reject_window_ms", params.reject_window_ms),
            ("max_rejects", params.max_rejects.into()),
            ("max_contracts", params.max_contracts.into()),
        ] {
            if value == 0 {
                return Err(format!("{name} must be at least 1, found 0"));
            }
        }
        if params.symbol_prefixes.is_empty() {
            return Err("symbol_prefixes must name at least one, found none".to_owned());
        }
        stations(&params.stations)?;
        let certainty = ppm_of_percent("max_certainty_pct", params.max_certainty_pct)?;
        if certainty <= ONE_PPM / 2 || certainty >= ONE_PPM {
            return Err(format!(
                "max_certainty_pct must be above 50 and below 100, found {}",
                params.max_certainty_pct
            ));
        }
        let gap = params.after_peak_gap_f;
        Ok(Self {
            bankroll: money("bankroll_usd", bankroll)?,
            kelly_ppm: ppm_of_percent("kelly_pct", params.kelly_pct)?,
            trade: share("max_trade_pct", params.max_trade_pct)?,
            city: share("max_city_pct", params.max_city_pct)?,
            cluster: share("max_cluster_pct", params.max_cluster_pct)?,
            open_risk: share("max_open_risk_pct", params.max_open_risk_pct)?,
            day_loss: share("max_day_loss_pct", params.max_day_loss_pct)?,
            week_loss: share("halving_week_loss_pct", params.halving_week_loss_pct)?,
            month_loss: share("max_month_loss_pct", params.max_month_loss_pct)?,
            min_edge: usd("min_edge_usd", params.min_edge_usd)?,
            margin: usd("margin_usd", params.margin_usd)?,
            exit_edge: usd("exit_edge_usd", params.exit_edge_usd)?,
            max_spread: usd("max_spread_usd", params.max_spread_usd)?,
            max_chase: usd("max_chase_usd", params.max_chase_usd)?,
            certainty,
            after_peak_sigma: ppm_of_percent("after_peak_sigma_pct", params.after_peak_sigma_pct)?,
            after_peak_gap: thousandths(gap)
                .filter(|gap| *gap >= 0)
                .ok_or_else(|| format!("after_peak_gap_f must be 0 to 200, found {gap}"))?,
            errors: errors(params)?,
            params: params.clone(),
        })
    }

    /// The place of a station.
    pub(super) fn station(&self, name: &str) -> Option<u32> {
        let place = self.params.stations.iter().position(|s| s.station == name);
        place.and_then(|place| u32::try_from(place).ok())
    }

    pub(super) fn station_at(&self, place: u32) -> Option<&Station> {
        self.params.stations.get(place as usize)
    }

    /// The forecast error of a station, lead and month. A cell that is missing has no neighbour to stand in for it.
    pub(super) fn error(&self, station: u32, lead_days: i32, month: u8) -> Option<&ErrorCell> {
        let key = (station, lead_days, month);
        let place = self.errors.binary_search_by_key(&key, |cell| cell.key);
        place.ok().and_then(|place| self.errors.get(place))
    }
}

fn stations(stations: &[Station]) -> Result<(), String> {
    for (place, station) in stations.iter().enumerate() {
        let name = &station.station;
        if stations[..place].iter().any(|other| other.station == *name) {
            return Err(format!("stations names {name} twice, must be once"));
        }
        let offset = station.standard_offset_min;
        if !(-720..=840).contains(&offset) {
            return Err(format!(
                "stations: standard_offset_min of {name} must be -720 to 840, found {offset}"
            ));
        }
        if station.peak_hour > 23 {
            return Err(format!(
                "stations: peak_hour of {name} must be 0 to 23, found {}",
                station.peak_hour
            ));
        }
    }
    Ok(())
}

fn errors(params: &Params) -> Result<Vec<ErrorCell>, String> {
    let mut cells = Vec::with_capacity(params.errors.len());
    for error in &params.errors {
        let place = params
            .stations
            .iter()
            .position(|station| station.station == error.station)
            .and_then(|place| u32::try_from(place).ok());
        let at = format!(
            "errors of {}, lead_days {}, month {}",
            error.station, error.lead_days, error.month
        );
        let Some(station) = place else {
            return Err(format!("{at}: the station must be one of stations"));
        };
        if !(1..=12).contains(&error.month) {
            return Err(format!("{at}: month must be 1 to 12"));
        }
        let bias = thousandths(error.bias_f)
            .filter(|bias| bias.abs() <= 30 * DEGREE)
            .ok_or_else(|| format!("{at}: bias_f must be -30 to 30, found {}", error.bias_f))?;
        let sigma = thousandths(error.sigma_f)
            .filter(|sigma| (DEGREE / 10..=30 * DEGREE).contains(sigma))
            .ok_or_else(|| format!("{at}: sigma_f must be 0.1 to 30, found {}", error.sigma_f))?;
        cells.push(ErrorCell {
            key: (station, error.lead_days.into(), error.month),
            bias,
            sigma,
            samples: error.samples,
        });
    }
    cells.sort_by_key(|cell| cell.key);
    match cells.windows(2).find(|pair| pair[0].key == pair[1].key) {
        Some([cell, ..]) => {
            let (station, lead, month) = cell.key;
            let name = &params.stations[station as usize].station;
            Err(format!(
                "errors of {name}, lead_days {lead}, month {month}: given twice, must be once"
            ))
        }
        _ => Ok(cells),
    }
}

fn percent(name: &str, pct: Decimal) -> Result<(), String> {
    if pct <= Decimal::ZERO || pct > Decimal::ONE_HUNDRED {
        return Err(format!(
            "{name} must be above 0 and at most 100, found {pct}"
        ));
    }
    Ok(())
}

fn ppm_of_percent(name: &str, pct: Decimal) -> Result<u32, String> {
    percent(name, pct)?;
    let ppm = (pct * Decimal::from(10_000)).round().mantissa();
    u32::try_from(ppm).map_err(|_| format!("{name} must be at most 100, found {pct}"))
}

/// An amount of 0 to 1 USD a contract.
fn usd(name: &str, value: Decimal) -> Result<Money, String> {
    if value.is_sign_negative() && !value.is_zero() || value > Decimal::ONE {
        return Err(format!("{name} must be 0 to 1, found {value}"));
    }
    money(name, value)
}

fn money(name: &str, value: Decimal) -> Result<Money, String> {
    Money::from_decimal(value.round_dp(18)).map_err(|e| format!("{name}: {e}"))
}

/// Degrees in thousandths, rounded to the nearest; none beyond 200 degrees either way.
pub(super) fn thousandths(degrees: Decimal) -> Option<i64> {
    if degrees.abs() > Decimal::from(200) {
        return None;
    }
    let mut kept = degrees.round_dp_with_strategy(3, RoundingStrategy::MidpointAwayFromZero);
    kept.rescale(3);
    i64::try_from(kept.mantissa()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(station: &str, month: u8, sigma_f: i64) -> ForecastError {
        ForecastError {
            station: station.into(),
            lead_days: 1,
            month,
            bias_f: Decimal::new(-5, 1),
            sigma_f: Decimal::from(sigma_f),
            samples: 90,
        }
    }

    /// Requirements, five systems, 3.2: 2, 3 and 5 % of 992.10 are 19.842, 29.763 and 49.605.
    #[test]
    fn the_caps_are_those_of_the_requirement() {
        let settings = Settings::new(&Params::default()).unwrap();
        let caps = [
            settings.trade,
            settings.city,
            settings.cluster,
            settings.day_loss,
            settings.open_risk,
            settings.week_loss,
            settings.month_loss,
        ];
        assert_eq!(
            caps.map(|cap| cap.to_string()),
            [
                "19.842", "29.763", "49.605", "49.605", "99.21", "119.052", "198.42"
            ]
        );
    }

    #[test]
    fn an_error_is_found_by_station_lead_and_month_and_by_nothing_near_it() {
        let params = Params {
            errors: vec![cell("SEA", 7, 3), cell("NYC", 7, 2)],
            ..Params::default()
        };
        let settings = Settings::new(&params).unwrap();
        let found = settings.error(0, 1, 7).unwrap();
        assert_eq!((found.bias, found.sigma, found.samples), (-500, 2_000, 90));
        for missing in [(0, 1, 8), (0, 0, 7), (1, 1, 7)] {
            assert_eq!(settings.error(missing.0, missing.1, missing.2), None);
        }
    }

    #[test]
    fn parameters_that_can_not_work_are_refused_by_name() {
        let ok = Params::default();
        let zero = Decimal::ZERO;
        for (params, expected) in [
            (
                Params {
                    bankroll_usd: zero,
                    ..ok.clone()
                },
                "bankroll_usd",
            ),
            (
                Params {
                    kelly_pct: zero,
                    ..ok.clone()
                },
                "kelly_pct",
            ),
            (
                Params {
                    max_city_pct: 101.into(),
                    ..ok.clone()
                },
                "max_city_pct",
            ),
            (
                Params {
                    min_edge_usd: (-1).into(),
                    ..ok.clone()
                },
                "min_edge_usd",
            ),
            (
                Params {
                    close_hour: 6,
                    ..ok.clone()
                },
                "open_hour",
            ),
            (
                Params {
                    max_certainty_pct: 100.into(),
                    ..ok.clone()
                },
                "max_certainty_pct",
            ),
            (
                Params {
                    max_rejects: 0,
                    ..ok.clone()
                },
                "max_rejects",
            ),
            (
                Params {
                    errors: vec![cell("XXX", 7, 3)],
                    ..ok.clone()
                },
                "one of stations",
            ),
            (
                Params {
                    errors: vec![cell("NYC", 13, 3)],
                    ..ok.clone()
                },
                "month must be",
            ),
            (
                Params {
                    errors: vec![cell("NYC", 7, 0)],
                    ..ok.clone()
                },
                "sigma_f",
            ),
            (
                Params {
                    errors: vec![cell("NYC", 7, 3), cell("NYC", 7, 4)],
                    ..ok.clone()
                },
                "given twice",
            ),
        ] {
            let error = Settings::new(&params).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn degrees_are_kept_in_thousandths() {
        assert_eq!(thousandths(Decimal::new(849_995, 4)), Some(85_000));
        assert_eq!(thousandths(Decimal::from(-40)), Some(-40_000));
        assert_eq!(thousandths(Decimal::MAX), None);
    }
}
