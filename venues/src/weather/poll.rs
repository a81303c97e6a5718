//! The services asked on schedule.
use super::climate::ClimateReport;
use super::hours::Hours;
use super::nws::{self, Product, Reading};
use super::open_meteo::open_meteo;
use super::station::Station;
use super::{NWS, OPEN_METEO};
use crate::gateway::fields;
use crate::gateway::{Bucket, Outbox, Pace, Poll, Request, Response, WireError};
use onetape_engine::event::{Event, Forecast, Observation};
use onetape_engine::time::Nanos;
use std::collections::VecDeque;

/// Products read of one list at the most: two days of a place that reports twice a day.
const PRODUCTS_MAX: usize = 4;
const MINUTE_MS: u64 = 60_000;

/// Who asks: the National Weather Service wants a way to reach whoever overloads it, and refuses who gives none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent(String);

impl Agent {
    /// With an address to write to: "someone@example.org".
    pub fn new(contact: &str) -> Self {
        let is_plain = |c: &char| c.is_ascii_graphic() && !"()\\\"".contains(*c);
        let contact: String = contact.chars().filter(is_plain).collect();
        Self(format!("onetape ({contact})"))
    }

    fn get(&self, base: &'static str, target: String, accept: &str) -> Request {
        let mut request = Request::get(base, target, Bucket::Public);
        request.headers.push(("user-agent", self.0.clone()));
        request.headers.push(("accept", accept.to_owned()));
        request
    }

    fn nws(&self, target: String, accept: &str) -> Request {
        self.get(NWS, target, accept)
    }
}

const GEO: &str = "application/geo+json";
const LD: &str = "application/ld+json";

fn body<'a>(
    venue: &'static str,
    message: &'static str,
    response: Option<&Response<'a>>,
) -> Result<&'a [u8], WireError> {
    let reading = fields::Reading { venue, message };
    let response = response.ok_or_else(|| reading.malformed("no answer"))?;
    if response.status == 200 {
        return Ok(response.body);
    }
    let words = String::from_utf8_lossy(response.body);
    Err(reading.refused(response.status, &words))
}

/// Highs of today and later; the hours of days that are over are kept only to make today whole.
fn emit(forecasts: Vec<Forecast>, today: i32, out: &mut Outbox) {
    for forecast in forecasts.into_iter().filter(|one| one.day >= today) {
        out.event(&Event::Forecast(Box::new(forecast)));
    }
}

/// The National Weather Service's hourly forecast, as each day's high.
///
/// Every answer repeats the highs: that keeps them fresh on the tape.
pub struct ForecastPoll {
    name: String,
    station: Station,
    agent: Agent,
    pace: Pace,
    /// Where the point's forecast is; asked for again when it is not there any more.
    path: Option<String>,
    hours: Hours,
}

impl ForecastPoll {
    /// Every ten minutes, an hour at the longest.
    pub fn new(station: Station, agent: Agent) -> Self {
        Self {
            name: format!("nws forecast {}", station.name),
            station,
            agent,
            pace: Pace::new(10 * MINUTE_MS, 60 * MINUTE_MS),
            path: None,
            hours: Hours::default(),
        }
    }
}

impl Poll for ForecastPoll {
    fn name(&self) -> &str {
        &self.name
    }

    fn next_due(&self) -> Nanos {
        self.pace.due()
    }

    fn request(&mut self, _: Nanos) -> Request {
        let target = self.path.clone().unwrap_or_else(|| {
            format!(
                "/points/{},{}",
                self.station.latitude, self.station.longitude
            )
        });
        self.agent.nws(target, GEO)
    }

    fn read(
        &mut self,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let was_points = self.path.is_none();
        let done = body(NWS, "forecast", response).and_then(|body| {
            if was_points {
                self.path = Some(nws::points(body)?);
                return Ok(());
            }
            let forecast = nws::hourly_forecast(body)?;
            self.hours.take(forecast.issued_at, &forecast.hours);
            let today = self.station.day_of(now);
            emit(self.hours.highs(&self.station, NWS), today, out);
            Ok(())
        });
        match (&done, response) {
            (Ok(()), _) if was_points => self.pace.go_on(now),
            (Ok(()), Some(response)) => self.pace.answered(now, response),
            (_, response) => {
                if response.is_some_and(|response| matches!(response.status, 301 | 404 | 410)) {
                    self.path = None;
                }
                self.pace.failed(now, response);
            }
        }
        done
    }
}

/// A station's latest observation, each once.
pub struct ObservationPoll {
    name: String,
    station: Station,
    agent: Agent,
    pace: Pace,
    last: Option<Observation>,
}

impl ObservationPoll {
    /// Every minute, ten at the longest.
    pub fn new(station: Station, agent: Agent) -> Self {
        Self {
            name: format!("nws observation {}", station.observations),
            station,
            agent,
            pace: Pace::new(MINUTE_MS, 10 * MINUTE_MS),
            last: None,
        }
    }
}

impl Poll for ObservationPoll {
    fn name(&self) -> &str {
        &self.name
    }

    fn next_due(&self) -> Nanos {
        self.pace.due()
    }

    fn request(&mut self, _: Nanos) -> Request {
        let target = format!(
            "/stations/{}/observations/latest",
            self.station.observations
        );
        self.agent.nws(target, GEO)
    }

    fn read(
        &mut self,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let read = body(NWS, "observation", response)
            .and_then(|body| nws::observation(&self.station, body));
        match (&read, response) {
            (Ok(_), Some(response)) => self.pace.answered(now, response),
            (_, response) => self.pace.failed(now, response),
        }
        if let Reading::Seen(seen) = read?
            && self.last.as_ref() != Some(&seen)
        {
            out.event(&Event::Observation(Box::new(seen.clone())));
            self.last = Some(seen);
        }
        Ok(())
    }
}

/// A station's final climate reports: the list of them, then each that is new.
pub struct ReportPoll {
    name: String,
    station: Station,
    agent: Agent,
    pace: Pace,
    /// Still to be read, oldest first.
    waiting: VecDeque<Product>,
    /// The newest that was read.
    read_until: Nanos,
}

impl ReportPoll {
    /// Every five minutes, half an hour at the longest.
    pub fn new(station: Station, agent: Agent) -> Self {
        Self {
            name: format!("nws climate report {}", station.reports),
            station,
            agent,
            pace: Pace::new(5 * MINUTE_MS, 30 * MINUTE_MS),
            waiting: VecDeque::new(),
            read_until: Nanos(0),
        }
    }

    fn list(&mut self, body: &[u8]) -> Result<(), WireError> {
        let mut new = nws::products(body)?;
        new.retain(|product| product.issued_at > self.read_until);
        new.sort();
        let old = new.len().saturating_sub(PRODUCTS_MAX);
        self.waiting = new.into_iter().skip(old).collect();
        Ok(())
    }

    /// What does not read once, or is gone, never will: the next is read in its turn.
    fn go_on_after(&mut self, product: &Product) {
        self.read_until = product.issued_at;
        self.waiting.pop_front();
    }

    fn product(
        &mut self,
        product: &Product,
        body: &[u8],
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        self.go_on_after(product);
        let report = ClimateReport::read(&self.station, body)?;
        if let Some(seen) = report.observation(&self.station) {
            out.event(&Event::Observation(Box::new(seen)));
        }
        Ok(())
    }
}

impl Poll for ReportPoll {
    fn name(&self) -> &str {
        &self.name
    }

    fn next_due(&self) -> Nanos {
        self.pace.due()
    }

    fn request(&mut self, _: Nanos) -> Request {
        let target = match self.waiting.front() {
            Some(product) => format!("/products/{}", product.id),
            None => format!("/products/types/CLI/locations/{}", self.station.reports),
        };
        self.agent.nws(target, LD)
    }

    fn read(
        &mut self,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let product = self.waiting.front().cloned();
        let body = body(NWS, "climate report", response);
        let came = body.is_ok();
        if let Some(product) = &product
            && response.is_some_and(|response| matches!(response.status, 404 | 410))
        {
            self.go_on_after(product);
        }
        let done = body.and_then(|body| match &product {
            Some(product) => self.product(product, body, out),
            None => self.list(body),
        });
        match response {
            Some(_) if came && !self.waiting.is_empty() => self.pace.go_on(now),
            Some(response) if done.is_ok() => self.pace.answered(now, response),
            response => self.pace.failed(now, response),
        }
        done
    }
}

/// Open-Meteo's forecast, as each day's high. It does not say when it was issued: that is when it came.
pub struct OpenMeteoPoll {
    name: String,
    station: Station,
    agent: Agent,
    pace: Pace,
    hours: Hours,
}

impl OpenMeteoPoll {
    /// Every quarter of an hour, an hour at the longest.
    pub fn new(station: Station, agent: Agent) -> Self {
        Self {
            name: format!("open-meteo {}", station.name),
            station,
            agent,
            pace: Pace::new(15 * MINUTE_MS, 60 * MINUTE_MS),
            hours: Hours::default(),
        }
    }
}

impl Poll for OpenMeteoPoll {
    fn name(&self) -> &str {
        &self.name
    }

    fn next_due(&self) -> Nanos {
        self.pace.due()
    }

    fn request(&mut self, _: Nanos) -> Request {
        // In UTC no hour is left out or doubled when the clocks change; the day before makes today whole west of it.
        let target = format!(
            "/v1/forecast?latitude={}&longitude={}&hourly=temperature_2m&temperature_unit=fahrenheit&timezone=GMT&past_days=1&forecast_days=7",
            self.station.latitude, self.station.longitude
        );
        self.agent.get(OPEN_METEO, target, "application/json")
    }

    fn read(
        &mut self,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let done = match response {
            // The reason for a refusal stands in the body.
            Some(response) if response.status == 400 => open_meteo(response.body),
            response => body(OPEN_METEO, "forecast", response).and_then(open_meteo),
        };
        match (&done, response) {
            (Ok(_), Some(response)) => self.pace.answered(now, response),
            (_, response) => self.pace.failed(now, response),
        }
        self.hours.take(now, &done?);
        let today = self.station.day_of(now);
        emit(self.hours.highs(&self.station, OPEN_METEO), today, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::station::new_york;
    use onetape_engine::event::Kind;

    const MINUTE_NS: u64 = MINUTE_MS * 1_000_000;

    fn at(text: &str) -> Nanos {
        fields::nanos(text.parse().unwrap()).unwrap()
    }

    fn agent() -> Agent {
        Agent::new("ops@example.org\r\nX-Evil: 1")
    }

    /// The answer's frames, and whether it was read.
    fn read(poll: &mut dyn Poll, status: u16, body: &str, now: Nanos) -> (Vec<String>, bool) {
        let headers = [(
            "cache-control".to_owned(),
            "public, max-age=1200".to_owned(),
        )];
        let response = Response {
            status,
            headers: &headers,
            body: body.as_bytes(),
        };
        let mut out = Outbox::default();
        let done = poll.read(Some(&response), now, &mut out).is_ok();
        let frame = |(kind, payload): (Kind, &[u8])| match Event::decode(kind.number(), payload) {
            Ok(Event::Forecast(it)) => {
                format!("{} {} {} {}", it.station, it.day, it.high_f, it.source)
            }
            Ok(Event::Observation(it)) => {
                format!(
                    "{} {} {} {:?}",
                    it.station, it.observed_at.0, it.temperature_f, it.quality
                )
            }
            other => format!("{other:?}"),
        };
        (out.events().map(frame).collect(), done)
    }

    fn hourly(from: Nanos, degrees: &[i64]) -> String {
        let period = |(hour, degrees): (u64, &i64)| {
            let start =
                jiff::Timestamp::from_nanosecond(i128::from(from.after(hour * 60 * MINUTE_NS).0));
            serde_json::json!({
                "startTime": start.unwrap().to_string(), "temperature": degrees, "temperatureUnit": "F",
                "dewpoint": {"unitCode": "wmoUnit:degC", "value": 99},
            })
        };
        let periods: Vec<_> = (0..).zip(degrees).map(period).collect();
        serde_json::json!({"properties": {"updateTime": "2026-11-21T10:00:00Z", "periods": periods}})
            .to_string()
    }

    #[test]
    fn a_forecast_is_found_by_its_point_and_followed_when_it_moves() {
        let station = new_york();
        let now = at("2026-11-21T12:00:00Z");
        let day = station.day_of(now);
        let mut poll = ForecastPoll::new(station.clone(), agent());
        let request = poll.request(now);
        assert_eq!(
            (request.base, request.target.as_str()),
            ("nws", "/points/40.7829,-73.9654")
        );
        let agent = request
            .headers
            .iter()
            .find(|(name, _)| *name == "user-agent");
        assert_eq!(agent.unwrap().1, "onetape (ops@example.orgX-Evil:1)");
        let points = r#"{"properties":{"forecastHourly":"https://elsewhere.example/gridpoints/OKX/34,38/forecast/hourly"}}"#;
        assert_eq!(read(&mut poll, 200, points, now), (vec![], true));
        assert_eq!(poll.next_due(), now);
        assert_eq!(
            poll.request(now).target,
            "/gridpoints/OKX/34,38/forecast/hourly"
        );
        let mut degrees = [41; 48];
        (degrees[14], degrees[38]) = (55, 60);
        let body = hourly(station.day_start(day), &degrees);
        let (frames, _) = read(&mut poll, 200, &body, now);
        assert_eq!(
            frames,
            [
                format!("NYC {day} 55 nws"),
                format!("NYC {} 60 nws", day + 1)
            ]
        );
        // As long as the answer says that it is fresh: 20 minutes.
        assert_eq!(poll.next_due(), now.after(20 * MINUTE_NS));
        assert_eq!(read(&mut poll, 200, &body, now).0.len(), 2);
        // Yesterday's high is no forecast.
        let tomorrow = now.after(24 * 60 * MINUTE_NS);
        assert_eq!(
            read(&mut poll, 200, &body, tomorrow).0,
            [format!("NYC {} 60 nws", day + 1)]
        );
        assert_eq!(read(&mut poll, 500, "oops", now), (vec![], false));
        assert_eq!(
            poll.request(now).target,
            "/gridpoints/OKX/34,38/forecast/hourly"
        );
        assert_eq!(read(&mut poll, 404, "moved", now), (vec![], false));
        assert_eq!(poll.request(now).target, "/points/40.7829,-73.9654");
    }

    #[test]
    fn points_that_lead_elsewhere_are_not_followed() {
        let mut poll = ForecastPoll::new(new_york(), agent());
        for bad in [
            "https://api.weather.gov/users",
            "/gridpoints/OKX",
            "https://x/gridpoints/a?b=c",
            "https://x",
        ] {
            let points = format!(r#"{{"properties":{{"forecastHourly":"{bad}"}}}}"#);
            assert_eq!(
                read(&mut poll, 200, &points, Nanos(0)),
                (vec![], false),
                "{bad}"
            );
            assert_eq!(poll.request(Nanos(0)).target, "/points/40.7829,-73.9654");
        }
    }

    #[test]
    fn an_observation_is_told_once() {
        let mut poll = ObservationPoll::new(new_york(), agent());
        let now = at("2026-11-21T12:00:00Z");
        assert_eq!(
            poll.request(now).target,
            "/stations/KNYC/observations/latest"
        );
        let seen = |time: &str| {
            format!(
                r#"{{"properties":{{"stationId":"KNYC","timestamp":"{time}","temperature":{{"value":10,"unitCode":"wmoUnit:degC","qualityControl":"V"}}}}}}"#
            )
        };
        let first = seen("2026-11-21T11:51:00+00:00");
        assert_eq!(
            read(&mut poll, 200, &first, now).0,
            [format!("NYC {} 50 Soft", at("2026-11-21T11:51:00Z").0)]
        );
        assert_eq!(read(&mut poll, 200, &first, now), (vec![], true));
        assert_eq!(
            read(&mut poll, 200, &seen("2026-11-21T11:56:00+00:00"), now)
                .0
                .len(),
            1
        );
        assert_eq!(poll.next_due(), now.after(10 * MINUTE_NS));
        let mut out = Outbox::default();
        assert!(poll.read(None, now, &mut out).is_err());
        assert_eq!(poll.next_due(), now.after(MINUTE_NS));
    }

    fn report(issued: &str, date: &str, maximum: &str, extra: &str) -> String {
        let text = format!(
            "...THE CENTRAL PARK NY CLIMATE SUMMARY FOR {date}...\n{extra}\nTEMPERATURE (F)\n TODAY\n  MAXIMUM {maximum}\n  MINIMUM 40 MM\n"
        );
        serde_json::json!({"productCode": "CLI", "issuanceTime": issued, "productText": text})
            .to_string()
    }

    fn list(products: &[(&str, &str)]) -> String {
        let one =
            |(id, issued): &(&str, &str)| serde_json::json!({"id": id, "issuanceTime": issued});
        let graph: Vec<_> = products.iter().map(one).collect();
        serde_json::json!({"@graph": graph}).to_string()
    }

    #[test]
    fn only_final_reports_become_observations_each_once_and_in_order() {
        let mut poll = ReportPoll::new(new_york(), agent());
        let now = at("2026-11-22T12:00:00Z");
        assert_eq!(
            poll.request(now).target,
            "/products/types/CLI/locations/NYC"
        );
        let (noon, night) = ("2026-11-21T21:30:00+00:00", "2026-11-22T06:17:00+00:00");
        let both = list(&[("b-2", night), ("a-1", noon)]);
        assert_eq!(read(&mut poll, 200, &both, now), (vec![], true));
        assert_eq!(
            (poll.next_due(), poll.request(now).target.as_str()),
            (now, "/products/a-1")
        );
        let afternoon = report(
            noon,
            "NOVEMBER 21 2026",
            "55 200 PM",
            "VALID TODAY AS OF 0400 PM LOCAL TIME.",
        );
        assert_eq!(read(&mut poll, 200, &afternoon, now), (vec![], true));
        assert_eq!(poll.request(now).target, "/products/b-2");
        let done = report(night, "NOVEMBER 21 2026", "56R 226 PM", "");
        let seen = at("2026-11-21T14:26:00-05:00").0;
        assert_eq!(
            read(&mut poll, 200, &done, now).0,
            [format!("NYC {seen} 56 Official")]
        );
        assert_eq!(
            poll.request(now).target,
            "/products/types/CLI/locations/NYC"
        );
        assert_eq!(read(&mut poll, 200, &both, now), (vec![], true));
        assert_eq!(
            poll.request(now).target,
            "/products/types/CLI/locations/NYC"
        );
        assert_eq!(poll.next_due(), now.after(20 * MINUTE_NS));
    }

    #[test]
    fn a_report_that_is_gone_or_does_not_read_does_not_hold_up_the_next() {
        let mut poll = ReportPoll::new(new_york(), agent());
        let now = at("2026-11-22T12:00:00Z");
        let many: Vec<(String, String)> = (1..=9)
            .map(|n| {
                (
                    format!("p-{n}"),
                    format!("2026-11-2{n}T06:00:00Z").replace("-29T", "-19T"),
                )
            })
            .collect();
        let many: Vec<(&str, &str)> = many
            .iter()
            .map(|(id, at)| (id.as_str(), at.as_str()))
            .collect();
        read(&mut poll, 200, &list(&many), now);
        // The four newest, oldest of them first.
        assert_eq!(poll.request(now).target, "/products/p-5");
        assert_eq!(read(&mut poll, 404, "gone", now), (vec![], false));
        assert_eq!(poll.request(now).target, "/products/p-6");
        assert_eq!(read(&mut poll, 200, "{}", now), (vec![], false));
        assert_eq!(poll.request(now).target, "/products/p-7");
        assert_eq!(read(&mut poll, 503, "later", now), (vec![], false));
        assert_eq!(poll.request(now).target, "/products/p-7");
        assert_eq!(
            read(
                &mut poll,
                200,
                &list(&[("../x", "2026-11-22T06:17:00Z")]),
                now
            ),
            (vec![], false)
        );
    }

    #[test]
    fn open_meteo_says_each_days_high_and_why_it_refuses() {
        let station = new_york();
        let now = at("2026-11-21T12:00:00Z");
        let mut poll = OpenMeteoPoll::new(station.clone(), agent());
        let request = poll.request(now);
        assert_eq!(request.base, "open-meteo");
        assert!(
            request.target.starts_with(
                "/v1/forecast?latitude=40.7829&longitude=-73.9654&hourly=temperature_2m"
            )
        );
        let start = at("2026-11-20T00:00:00Z");
        let hour = |n: u64| {
            let at =
                jiff::Timestamp::from_nanosecond(i128::from(start.after(n * 60 * MINUTE_NS).0))
                    .unwrap();
            at.strftime("%Y-%m-%dT%H:%M").to_string()
        };
        let times: Vec<String> = (0..72).map(hour).collect();
        let mut degrees: Vec<Option<f64>> = vec![Some(40.5); 72];
        degrees[40] = Some(61.3);
        degrees[71] = None;
        let body = serde_json::json!({
            "utc_offset_seconds": 0, "hourly_units": {"temperature_2m": "°F"},
            "hourly": {"time": times, "temperature_2m": degrees},
        });
        let day = station.day_of(now);
        let (frames, _) = read(&mut poll, 200, &body.to_string(), now);
        assert_eq!(frames, [format!("NYC {day} 61.3 open-meteo")]);
        let refusal = r#"{"error":true,"reason":"Parameter out of range"}"#;
        let response = Response {
            status: 400,
            headers: &[],
            body: refusal.as_bytes(),
        };
        let refused = poll
            .read(Some(&response), now, &mut Outbox::default())
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "open-meteo refused: error: \"Parameter out of range\""
        );
    }
}
