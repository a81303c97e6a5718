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
mod tests;
