//! Weather for contracts on a day's highest temperature: forecasts and observations as facts of the tape.
//!
//! Source: venues.md, chapter 9; api.weather.gov and open-meteo.com. A contract pays on the station's climate report, whose
//! days run in local *standard* time all year round ([`Station::day_of`]).
//!
//! - [`points`], [`hourly_forecast`], [`observation`], [`products`]: the National Weather Service's answers.
//! - [`ClimateReport`]: the report that settles, the final one told from the afternoon's.
//! - [`open_meteo`]: a second forecaster.
//! - [`Hours`]: a day's high out of hourly forecasts, once all of the day's hours are known.
//! - [`ForecastPoll`], [`ObservationPoll`], [`ReportPoll`], [`OpenMeteoPoll`]: the same, asked on schedule.
mod climate;
mod hours;
mod nws;
mod open_meteo;
mod poll;
mod station;
mod temperature;

pub use climate::ClimateReport;
pub use hours::Hours;
pub use nws::{
    HourlyForecast, Product, Reading, hourly_forecast, observation, points, product_text, products,
};
pub use open_meteo::open_meteo;
pub use poll::{Agent, ForecastPoll, ObservationPoll, OpenMeteoPoll, ReportPoll};
pub use station::Station;
pub use temperature::fahrenheit;

/// Where the services are, by the names of base addresses.
pub const BASES: [(&str, &str); 2] = [
    ("nws", "https://api.weather.gov"),
    ("open-meteo", "https://api.open-meteo.com"),
];

const NWS: &str = "nws";
const OPEN_METEO: &str = "open-meteo";
