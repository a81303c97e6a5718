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
    let one = |(id, issued): &(&str, &str)| serde_json::json!({"id": id, "issuanceTime": issued});
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
        request
            .target
            .starts_with("/v1/forecast?latitude=40.7829&longitude=-73.9654&hourly=temperature_2m")
    );
    let start = at("2026-11-20T00:00:00Z");
    let hour = |n: u64| {
        let at = jiff::Timestamp::from_nanosecond(i128::from(start.after(n * 60 * MINUTE_NS).0))
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
