//! The weather services' wire: what the journal forecast and observed, as the National Weather Service and Open-Meteo say it.
//!
//! A forecast of the journal is a day's high; the hours that are served around it have it as their maximum. The climate
//! report is the highest official reading of a day, the final one from 01:17 in the morning after (standard time) on, one of
//! the afternoon from 16:30 on.
use super::Exchange;
use super::eodhd::raw;
use crate::weather::Station;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use onetape_engine::event::{Event, Forecast, Observation, ObservationQuality};
use onetape_engine::time::{Nanos, SECOND_NS};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const HOUR_NS: u64 = 3_600 * SECOND_NS;
/// Days of reports kept for each station.
const DAYS_MAX: usize = 8;
/// The hour of the maximum.
const WARMEST_HOUR: u64 = 14;

/// Whom the face knows: there are no secrets.
#[derive(Clone)]
pub struct Keys {
    /// The stations that the journal's facts are about.
    pub stations: Vec<Station>,
}

struct Face {
    exchange: Arc<Exchange>,
    stations: Vec<Station>,
    seen: Mutex<BTreeMap<String, Seen>>,
}

/// What the journal said of one station.
#[derive(Default)]
struct Seen {
    /// The last of each forecaster and day.
    forecasts: BTreeMap<(String, i32), Forecast>,
    last: Option<Observation>,
    /// By climate day, oldest first: the highest and lowest official reading, and when the highest was.
    days: VecDeque<(i32, Extremes)>,
}

#[derive(Clone, Copy)]
struct Extremes {
    high: Decimal,
    high_at: Nanos,
    low: Decimal,
}

/// The face. Made before the journal is played: what was played before is unknown to it. Called inside a tokio runtime.
pub fn router(exchange: Arc<Exchange>, keys: Keys) -> Router {
    let face = Arc::new(Face {
        exchange,
        stations: keys.stations,
        seen: Mutex::default(),
    });
    let known = Arc::downgrade(&face);
    face.exchange.show_market(move |_, event| {
        let face = known.upgrade();
        face.inspect(|face| face.see(event)).is_some()
    });
    Router::new()
        .route("/points/{point}", get(points))
        .route("/gridpoints/{office}/{grid}/forecast/hourly", get(hourly))
        .route("/stations/{station}/observations/latest", get(observation))
        .route("/products/types/CLI/locations/{location}", get(products))
        .route("/products/{id}", get(product))
        .route("/v1/forecast", get(open_meteo))
        .with_state(face)
}

impl Face {
    fn see(&self, event: Event<'_>) {
        match event {
            Event::Forecast(forecast) => self.forecast(*forecast),
            Event::Observation(seen) => self.observe(*seen),
            _ => {}
        }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn station(&self, is: impl Fn(&Station) -> bool) -> Option<&Station> {
        self.stations.iter().find(|station| is(station))
    }

    fn forecast(&self, forecast: Forecast) {
        if self
            .station(|station| station.name == forecast.station)
            .is_none()
        {
            return;
        }
        let mut seen = self.seen();
        let seen = seen.entry(forecast.station.clone()).or_default();
        let key = (forecast.source.clone(), forecast.day);
        seen.forecasts.insert(key, forecast);
    }

    fn observe(&self, observed: Observation) {
        let Some(station) = self.station(|station| station.name == observed.station) else {
            return;
        };
        let mut seen = self.seen();
        let seen = seen.entry(observed.station.clone()).or_default();
        if observed.quality == ObservationQuality::Official {
            let day = station.day_of(observed.observed_at);
            let degrees = observed.temperature_f;
            let new = Extremes {
                high: degrees,
                high_at: observed.observed_at,
                low: degrees,
            };
            match seen.days.iter_mut().find(|(known, _)| *known == day) {
                Some((_, extremes)) => {
                    extremes.low = extremes.low.min(degrees);
                    if degrees > extremes.high {
                        (extremes.high, extremes.high_at) = (degrees, observed.observed_at);
                    }
                }
                None => seen.days.push_back((day, new)),
            }
            while seen.days.len() > DAYS_MAX {
                seen.days.pop_front();
            }
        }
        seen.last = Some(observed);
    }

    /// The degrees forecast for each hour of the days from `first` on, by one forecaster, else by whoever forecast the day.
    fn hours(&self, station: &Station, source: &str, first: i32) -> (Nanos, Vec<(Nanos, Decimal)>) {
        let seen = self.seen();
        let mut days: BTreeMap<i32, &Forecast> = BTreeMap::new();
        for ((by, day), forecast) in seen
            .get(&station.name)
            .into_iter()
            .flat_map(|s| &s.forecasts)
        {
            if *day >= first && (by == source || !days.contains_key(day)) {
                days.insert(*day, forecast);
            }
        }
        let issued = days.values().map(|forecast| forecast.issued_at).max();
        let hours = days.into_iter().flat_map(|(day, forecast)| {
            (0..24u64).map(move |hour| {
                // A degree less for each hour from the warmest.
                let below = Decimal::from(hour.abs_diff(WARMEST_HOUR));
                (
                    station.day_start(day).after(hour * HOUR_NS),
                    forecast.high_f - below,
                )
            })
        });
        (issued.unwrap_or(Nanos(0)), hours.collect())
    }
}

/// The National Weather Service refuses who does not say who asks.
fn refuses(headers: &HeaderMap) -> bool {
    headers
        .get(header::USER_AGENT)
        .is_none_or(|agent| agent.is_empty())
}

fn answer(body: Value) -> Response {
    let kind = (header::CONTENT_TYPE, "application/geo+json");
    (
        [kind, (header::CACHE_CONTROL, "public, max-age=5")],
        body.to_string(),
    )
        .into_response()
}

fn iso(at: Nanos) -> String {
    let second = i64::try_from(at.0 / SECOND_NS).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_second(second).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

async fn points(
    State(face): State<Arc<Face>>,
    Path(point): Path<String>,
    headers: HeaderMap,
) -> Response {
    if refuses(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let is_it = |station: &Station| point == format!("{},{}", station.latitude, station.longitude);
    let Some(station) = face.station(is_it) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let grid = format!(
        "http://{}/gridpoints/{}/1,1",
        host.unwrap_or_default(),
        station.name
    );
    answer(json!({
        "id": point, "type": "Feature",
        "properties": {
            "forecastHourly": format!("{grid}/forecast/hourly"),
            "observationStations": format!("{grid}/stations"),
        },
    }))
}

async fn hourly(
    State(face): State<Arc<Face>>,
    Path((office, _)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if refuses(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(station) = face.station(|station| station.name == office) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let now = face.exchange.now();
    let (issued_at, hours) = face.hours(station, "nws", station.day_of(now));
    // From the hour that runs on: what is over is no forecast.
    let ahead = hours
        .into_iter()
        .filter(|(from, _)| from.after(HOUR_NS) > now);
    let periods: Vec<Value> = (1..)
        .zip(ahead)
        .map(|(number, (from, degrees))| {
            json!({
                "number": number, "startTime": iso(from), "endTime": iso(from.after(HOUR_NS)),
                "temperature": raw(degrees), "temperatureUnit": "F",
                "dewpoint": {"unitCode": "wmoUnit:degC", "value": 10},
            })
        })
        .collect();
    answer(json!({
        "type": "Feature",
        "properties": {
            "units": "us", "generatedAt": iso(now), "updateTime": iso(issued_at), "periods": periods,
        },
    }))
}

async fn observation(
    State(face): State<Arc<Face>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if refuses(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let station = face.station(|station| station.observations == id);
    let last = station.and_then(|station| face.seen().get(&station.name)?.last.clone());
    let Some(last) = last else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // In Celsius like the service, where that takes few digits; what is cut off would read as another temperature.
    let celsius = ((last.temperature_f - Decimal::from(32)) / Decimal::new(18, 1)).normalize();
    let (value, unit) = if celsius.scale() <= 3 {
        (celsius, "wmoUnit:degC")
    } else {
        (last.temperature_f, "wmoUnit:degF")
    };
    let report = match last.quality {
        ObservationQuality::Official => "METAR AUTO RMK AO2 T00000000",
        ObservationQuality::Soft => "",
    };
    answer(json!({
        "type": "Feature",
        "properties": {
            "stationId": id, "timestamp": iso(last.observed_at), "rawMessage": report,
            "temperature": {"value": raw(value), "unitCode": unit, "qualityControl": "V"},
        },
    }))
}

/// The reports of a station that were issued by now: id, when, and whether it is the afternoon's.
fn issued(
    station: &Station,
    days: &VecDeque<(i32, Extremes)>,
    now: Nanos,
) -> Vec<(String, Nanos, bool)> {
    let reports = days.iter().flat_map(|(day, _)| {
        let start = station.day_start(*day);
        let minutes = |minutes: u64| start.after(minutes * 60 * SECOND_NS);
        [
            (
                format!("{}-{day}-1", station.reports),
                minutes(16 * 60 + 30),
                true,
            ),
            (
                format!("{}-{day}-2", station.reports),
                minutes(25 * 60 + 17),
                false,
            ),
        ]
    });
    reports.filter(|(_, at, _)| *at <= now).collect()
}

async fn products(
    State(face): State<Arc<Face>>,
    Path(location): Path<String>,
    headers: HeaderMap,
) -> Response {
    if refuses(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(station) = face.station(|station| station.reports == location) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let seen = face.seen();
    let days = seen.get(&station.name).map(|seen| &seen.days);
    let listed = days.map(|days| issued(station, days, face.exchange.now()));
    let graph: Vec<Value> = listed
        .unwrap_or_default()
        .into_iter()
        .rev()
        .map(|(id, at, _)| json!({"id": id, "productCode": "CLI", "issuanceTime": iso(at)}))
        .collect();
    answer(json!({"@graph": graph}))
}

async fn product(
    State(face): State<Arc<Face>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if refuses(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let now = face.exchange.now();
    let seen = face.seen();
    for station in &face.stations {
        let Some(of) = seen.get(&station.name) else {
            continue;
        };
        for (day, extremes) in &of.days {
            let reports = issued(station, &VecDeque::from([(*day, *extremes)]), now);
            if let Some((_, at, is_afternoon)) = reports.into_iter().find(|(own, _, _)| *own == id)
            {
                return answer(json!({
                    "id": id, "productCode": "CLI", "issuanceTime": iso(at),
                    "productText": text(station, *day, extremes, is_afternoon),
                }));
            }
        }
    }
    StatusCode::NOT_FOUND.into_response()
}

fn text(station: &Station, day: i32, extremes: &Extremes, is_afternoon: bool) -> String {
    let date = jiff::civil::Date::constant(1970, 1, 1)
        .checked_add(jiff::Span::new().days(day))
        .unwrap_or(jiff::civil::Date::ZERO);
    let date = date.strftime("%B %-d %Y").to_string().to_uppercase();
    let minute = extremes.high_at.since(station.day_start(day)) / (60 * SECOND_NS) % 1_440;
    let (hour, half) = (minute / 60, if minute < 720 { "AM" } else { "PM" });
    let clock = (if hour % 12 == 0 { 12 } else { hour % 12 }) * 100 + minute % 60;
    let whole = |degrees: Decimal| degrees.round().to_i32().unwrap_or_default();
    let (section, extra) = if is_afternoon {
        ("TODAY", "VALID TODAY AS OF 0430 PM LOCAL TIME.\n")
    } else {
        ("YESTERDAY", "")
    };
    format!(
        "CLIMATE REPORT\n\n...THE {} CLIMATE SUMMARY FOR {date}...\n{extra}\nTEMPERATURE (F)\n {section}\n  \
         MAXIMUM       {:>4}   {clock:>4} {half}\n  MINIMUM       {:>4}     MM\n\n",
        station.place,
        whole(extremes.high),
        whole(extremes.low),
    )
}

#[derive(Deserialize)]
struct Point {
    latitude: String,
    longitude: String,
    #[serde(default)]
    timezone: String,
}

async fn open_meteo(State(face): State<Arc<Face>>, Query(point): Query<Point>) -> Response {
    let refused = |reason: &str| {
        let body = json!({"error": true, "reason": reason}).to_string();
        (StatusCode::BAD_REQUEST, body).into_response()
    };
    let is_it = |station: &Station| {
        station.latitude == point.latitude && station.longitude == point.longitude
    };
    let Some(station) = face.station(is_it) else {
        return refused("No data is available for this location");
    };
    if point.timezone != "GMT" {
        return refused("Invalid timezone");
    }
    let today = station.day_of(face.exchange.now());
    let (_, hours) = face.hours(station, "open-meteo", today - 1);
    let times = hours
        .iter()
        .map(|(from, _)| iso(*from).chars().take(16).collect::<String>());
    let degrees = hours.iter().map(|(_, degrees)| raw(*degrees));
    answer(json!({
        "utc_offset_seconds": 0, "timezone": "GMT",
        "hourly_units": {"time": "iso8601", "temperature_2m": "°F"},
        "hourly": {
            "time": times.collect::<Vec<_>>(), "temperature_2m": degrees.collect::<Vec<_>>(),
        },
    }))
}
