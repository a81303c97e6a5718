//! The minute index behind hourly temperature markets: `GET /live_data/weather/{city}` (Kalshi docs, weather index).
use super::REST;
use super::fields::{Reader, fields};
use super::listing::encoded;
use super::refusal::{CALL_WEIGHT, refusal};
use crate::gateway::{Bucket, Request, Response, WireError};
use onetape_engine::event::{Observation, ObservationQuality};
use onetape_engine::time::Nanos;

/// A city's index as observations of a station.
#[derive(Clone, Debug)]
pub struct WeatherIndex {
    city: String,
    station: String,
    seen: Nanos,
}

fields!(IndexFields {
    city,
    units,
    timeseries
});
fields!(PointFields { t, v, status });

impl WeatherIndex {
    /// Of a city as the venue spells it ("miami"), for a station of the tape ("MIA").
    pub fn new(city: impl Into<String>, station: impl Into<String>) -> Self {
        Self {
            city: city.into(),
            station: station.into(),
            seen: Nanos(0),
        }
    }

    /// The request for its latest points.
    pub fn request(&self) -> Request {
        let target = format!("/trade-api/v2/live_data/weather/{}", encoded(&self.city));
        Request {
            weight: CALL_WEIGHT,
            ..Request::get(REST, target, Bucket::Public)
        }
    }

    /// The points after those of the answer before, oldest first. A minute that is missing, or has no value, stays missing.
    ///
    /// # Errors
    /// [`WireError`] naming field and value; nothing of such an answer is kept.
    pub fn read(&mut self, response: &Response<'_>) -> Result<Vec<Observation>, WireError> {
        let reader = Reader("weather index");
        if response.status != 200 {
            return Err(refusal(response));
        }
        let f: IndexFields<'_> = reader.object(reader.utf8(response.body)?)?;
        let city = reader.text("city", f.city)?;
        if city != self.city {
            return Err(reader.bad("city", &city, "the city that was asked for"));
        }
        let units = reader.text("units", f.units)?;
        if units != "fahrenheit" {
            return Err(reader.bad("units", &units, "fahrenheit"));
        }
        let mut points = Vec::new();
        let mut last = self.seen;
        for point in reader.list::<PointFields<'_>>("timeseries", f.timeseries)? {
            reader.need("t", point.t)?;
            let observed_at = reader.milliseconds("t", point.t)?;
            let status = reader.text("status", point.status)?;
            // An incomplete point may be completed later: it does not count as seen.
            if status == "incomplete" || observed_at <= last {
                continue;
            }
            last = observed_at;
            points.push(Observation {
                station: self.station.clone(),
                observed_at,
                temperature_f: reader.decimal("v", point.v)?,
                quality: ObservationQuality::Soft,
            });
        }
        self.seen = last;
        Ok(points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(index: &mut WeatherIndex, points: &str) -> Result<Vec<(u64, String)>, WireError> {
        let body = format!(r#"{{"city":"miami","units":"fahrenheit","timeseries":[{points}]}}"#);
        let response = Response {
            status: 200,
            headers: &[],
            body: body.as_bytes(),
        };
        let points = index.read(&response)?;
        let short = |point: Observation| (point.observed_at.0, point.temperature_f.to_string());
        Ok(points.into_iter().map(short).collect())
    }

    #[test]
    fn a_point_is_told_once_and_an_incomplete_one_when_it_is_complete() {
        let mut index = WeatherIndex::new("miami", "MIA");
        assert_eq!(
            index.request().target,
            "/trade-api/v2/live_data/weather/miami"
        );
        let first = r#"{"t":1,"v":88.34,"status":"normal"},{"t":3,"status":"incomplete"}"#;
        assert_eq!(
            read(&mut index, first),
            Ok(vec![(1_000_000, "88.34".to_owned())])
        );
        let second = r#"{"t":1,"v":88.34,"status":"normal"},{"t":3,"v":88.5,"status":"degraded"}"#;
        assert_eq!(
            read(&mut index, second),
            Ok(vec![(3_000_000, "88.5".to_owned())])
        );
        assert_eq!(read(&mut index, second), Ok(vec![]));
        assert!(read(&mut index, r#"{"t":4,"status":"normal"}"#).is_err());
        assert!(read(&mut index, r#"{"v":1,"status":"normal"}"#).is_err());
    }
}
