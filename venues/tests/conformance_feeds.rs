//! Every payload and vector of EODHD, the IB gateway, the weather services, exchange rates and Telegram.
//!
//! The payloads stand beside the project; where they don't, this says so and passes. A file that nothing here knows fails.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // helpers of tests fail as tests do
use onetape_engine::event::{Aggressor, ObservationQuality};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Price, Qty};
use onetape_engine::time::Nanos;
use onetape_venues::gateway::{Listed, Method, Request, Response, WireError};
use onetape_venues::{eodhd, fx, ib, telegram, weather};
use rust_decimal::Decimal;
use secrecy::SecretString;
use serde_json::Value;
use std::path::PathBuf;

fn folder(venue: &str) -> Option<PathBuf> {
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/venues");
    let folder = shared.join(venue);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not here", folder.display());
    None
}

/// Calls `check` with every file of a venue's folder; `check` says whether it knows it.
fn each_file(venue: &str, check: impl Fn(&str, &[u8]) -> bool) {
    let Some(folder) = folder(venue) else { return };
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        assert!(check(&name, &bytes), "nothing here reads {venue}/{name}");
        fuzz(&name, &bytes);
    }
}

/// Every decoder takes every payload with a byte changed, cut off or doubled, without a panic.
fn fuzz(name: &str, bytes: &[u8]) {
    let mut seed = name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % 1_000_003).unwrap()
    };
    for _ in 0..300 {
        let mut mutated = bytes.to_vec();
        let place = random() % mutated.len();
        match random() % 4 {
            0 => mutated[place] = u8::try_from(random() % 256).unwrap(),
            1 => mutated.truncate(place),
            2 => mutated.extend_from_within(place..),
            _ => mutated[place] = b"0123456789-eE\"null{}[],:."[random() % 25],
        }
        read_everything(&mutated);
    }
}

fn read_everything(bytes: &[u8]) {
    let ok = Response {
        status: 200,
        headers: &[],
        body: bytes,
    };
    let listed = listed("AAPL", 4, 2);
    match eodhd::decode(bytes) {
        Ok(eodhd::Message::Trade(trade)) => drop(trade.trade(&listed)),
        Ok(eodhd::Message::Quote(quote)) => drop(quote.quote(&listed)),
        Ok(eodhd::Message::Forex(quote)) => drop(quote.quote(&listed)),
        Ok(eodhd::Message::Status(_)) | Err(_) => {}
    }
    drop(eodhd::real_time_rate("USDKRW.FOREX", &ok));
    drop(fx::dunamu("FRX.KRWUSD", bytes));
    drop(fx::open_er(bytes));
    drop(fx::krw_usdt("KRW-USDT", bytes));
    drop(telegram::read(&ok));
    drop(weather::points(bytes));
    drop(weather::hourly_forecast(bytes));
    drop(weather::observation(&new_york(), bytes));
    drop(weather::products(bytes));
    drop(weather::ClimateReport::read(&new_york(), bytes));
    drop(weather::open_meteo(bytes));
    let mut frames = ib::frame::Frames::default();
    frames.push(bytes);
    drop(frames.next_hello());
    while let Ok(Some(body)) = frames.next_frame() {
        drop((
            ib::frame::Request::decode(body),
            ib::frame::Reply::decode(body),
        ));
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn listed(symbol: &str, price: u8, qty: u8) -> Listed {
    Listed {
        instrument: InstrumentId(7),
        symbol: symbol.to_owned(),
        decimals: Decimals::new(price, qty).unwrap(),
    }
}

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn new_york() -> weather::Station {
    weather::Station {
        name: "NYC".into(),
        observations: "KNYC".into(),
        reports: "NYC".into(),
        place: "CENTRAL PARK".into(),
        latitude: "40.7829".into(),
        longitude: "-73.9654".into(),
        standard_offset_min: -300,
    }
}

fn at(text: &str) -> Nanos {
    let moment: jiff::Timestamp = text.parse().unwrap();
    Nanos(moment.as_nanosecond().try_into().unwrap())
}

#[test]
fn eodhd() {
    each_file("eodhd", |name, bytes| {
        match name {
            "ws_subscribe.json" => {
                // What a connection sends is compared in its own tests; here that it says the same.
                let expected = serde_json::json!({"action": "subscribe", "symbols": "AAPL,TSLA"});
                assert_eq!(json(bytes), expected);
            }
            "ws_authorized.json" => {
                let Ok(eodhd::Message::Status(status)) = eodhd::decode(bytes) else {
                    panic!("not a status")
                };
                assert_eq!((status.code, status.message), (200, "Authorized"));
            }
            "ws_us_trade.json" => {
                let Ok(eodhd::Message::Trade(trade)) = eodhd::decode(bytes) else {
                    panic!("not a trade")
                };
                assert_eq!((trade.symbol, trade.is_dark), ("AAPL", false));
                assert_eq!(trade.session, eodhd::Session::Regular);
                assert_eq!(trade.conditions().collect::<Vec<_>>(), [12]);
                // Code 12, "form T", in regular hours: no price of the market's.
                assert!(!trade.moves_the_market());
                let trade = trade.trade(&listed("AAPL", 4, 0)).unwrap();
                assert_eq!((trade.price, trade.qty), (Price(2_273_100), Qty(100)));
                assert_eq!(trade.venue_time_ns, 1_725_198_451_165_000_000);
                assert_eq!(trade.aggressor(), Aggressor::Unknown);
            }
            "ws_us_quote.json" => {
                let Ok(eodhd::Message::Quote(quote)) = eodhd::decode(bytes) else {
                    panic!("not a quote")
                };
                let quote = quote.quote(&listed("AAPL", 2, 0)).unwrap();
                assert_eq!((quote.bid_price, quote.bid_qty), (Price(22_730), Qty(100)));
                assert_eq!((quote.ask_price, quote.ask_qty), (Price(22_733), Qty(200)));
                assert_eq!(quote.venue_time_ns, 1_725_198_451_165_000_000);
            }
            "rest_real_time_fx.json" => {
                let answer = |body| Response {
                    status: 200,
                    headers: &[],
                    body,
                };
                let rate = eodhd::real_time_rate("USDKRW.FOREX", &answer(bytes)).unwrap();
                assert_eq!(rate, (number("1458.05"), Nanos(1_770_759_960_000_000_000)));
                let text = String::from_utf8_lossy(bytes);
                let none = text.replace("\"close\": 1458.05", "\"close\": \"NA\"");
                let refused = eodhd::real_time_rate("USDKRW.FOREX", &answer(none.as_bytes()));
                assert!(matches!(
                    refused,
                    Err(WireError::BadField { field: "close", .. })
                ));
                assert!(eodhd::real_time_rate("EURUSD.FOREX", &answer(bytes)).is_err());
            }
            "vec_conditions.json" => conditions(&json(bytes)),
            _ => return false,
        }
        true
    });
}

fn conditions(vector: &Value) {
    let codes = |name: &str| -> Vec<u16> {
        let codes = vector[name].as_array().unwrap().iter();
        codes
            .map(|code| code.as_u64().unwrap().try_into().unwrap())
            .collect()
    };
    let regular = codes("regular_hours_must_not_update_last");
    let extended = codes("extended_hours_must_not_update_last");
    let no_volume = codes("never_update_volume");
    for code in 0..200 {
        let last = |session| eodhd::updates_last(code, session);
        assert_eq!(
            last(eodhd::Session::Regular),
            !regular.contains(&code),
            "{code}"
        );
        assert_eq!(
            last(eodhd::Session::Other),
            !regular.contains(&code),
            "{code}"
        );
        assert_eq!(
            last(eodhd::Session::Extended),
            !extended.contains(&code),
            "{code}"
        );
        assert_eq!(
            eodhd::updates_volume(code),
            !no_volume.contains(&code),
            "{code}"
        );
    }
    for case in vector["cases"].as_array().unwrap() {
        let frame = serde_json::json!({
            "s": "AAPL", "p": 1, "v": 1, "t": 1, "c": case["c"], "ms": case["session"],
        });
        let frame = frame.to_string();
        let Ok(eodhd::Message::Trade(trade)) = eodhd::decode(frame.as_bytes()) else {
            panic!("not a trade: {frame}")
        };
        assert_eq!(
            trade.moves_the_market(),
            case["update_last"].as_bool().unwrap(),
            "{frame}"
        );
    }
}

#[test]
fn ib_gateway() {
    use ib::frame::{Reply, Request};
    each_file("ib", |name, bytes| {
        let file = json(bytes);
        if name == "legacy_text_samples.json" {
            for sample in ["managed_accounts", "position"] {
                let text = file[sample].as_str().unwrap();
                let refused = Reply::decode(text.as_bytes()).unwrap_err();
                assert!(
                    refused.to_string().contains("before version 201"),
                    "{refused}"
                );
            }
            return true;
        }
        let frames: Vec<(bool, Vec<u8>)> = file
            .as_array()
            .unwrap()
            .iter()
            .map(|frame| (frame["dir"] == "c>s", hex(frame["hex"].as_str().unwrap())))
            .collect();
        if name == "frames_handshake.json" {
            let mut stream = ib::frame::Frames::default();
            stream.push(&frames[0].1);
            assert_eq!(stream.next_hello(), Ok(Some((213, 226))));
            assert_eq!(ib::frame::hello(213, 226), frames[0].1);
            let body = &frames[1].1[4..];
            let clock = "20261121 09:30:00 US/Eastern".to_owned();
            assert_eq!(ib::frame::read_welcome(body), Ok((213, clock.clone())));
            assert_eq!(ib::frame::welcome(213, &clock), frames[1].1);
            return true;
        }
        let mut seen = Vec::new();
        for (is_request, bytes) in &frames {
            let mut stream = ib::frame::Frames::default();
            stream.push(bytes);
            let body = stream.next_frame().unwrap().unwrap();
            // Read and written again: byte for byte.
            if *is_request {
                let request = Request::decode(body).unwrap();
                assert_eq!(request.encode(), *bytes, "{request:?}");
                seen.push(format!("{request:?}"));
            } else {
                let reply = Reply::decode(body).unwrap();
                assert_eq!(reply.encode(), *bytes, "{reply:?}");
                if let Reply::Error(error) = &reply {
                    seen.push(format!(
                        "{} {}",
                        error.error_code.unwrap(),
                        error.id.unwrap()
                    ));
                } else {
                    seen.push(format!("{reply:?}"));
                }
            }
        }
        let starts: &[&str] = match name {
            "frames_start_api.json" => &[
                "StartApi(StartApiRequest { client_id: Some(100)",
                "ManagedAccounts(ManagedAccounts { accounts_list: Some(\"DU1234567\")",
                "NextValidId(NextValidId { order_id: Some(90)",
                "2104 -1",
            ],
            "frames_positions.json" => &[
                "Positions(",
                "Position(Position { account: Some(\"DU1234567\"), contract: Some(Contract { con_id: Some(265598), symbol: Some(\"AAPL\")",
                "PositionEnd(",
            ],
            "frames_errors.json" => &["326 -1", "1100 -1", "1102 -1", "201 91"],
            _ => return false,
        };
        assert_eq!(seen.len(), starts.len(), "{name}");
        for (seen, start) in seen.iter().zip(starts) {
            assert!(seen.starts_with(start), "{name}: {seen}");
        }
        if name == "frames_positions.json" {
            assert!(
                seen[1].contains("position: Some(\"100\"), avg_cost: Some(187.25)"),
                "{}",
                seen[1]
            );
        }
        true
    });
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |place: usize| u8::from_str_radix(&text[place..place + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

#[test]
fn weather_services() {
    each_file("weather", |name, bytes| {
        match name {
            "nws_points.json" => {
                let path = weather::points(bytes).unwrap();
                assert_eq!(path, "/gridpoints/OKX/34,38/forecast/hourly");
            }
            "nws_forecast_hourly.json" => {
                let forecast = weather::hourly_forecast(bytes).unwrap();
                assert_eq!(forecast.issued_at, at("2025-08-27T15:46:35Z"));
                // Fahrenheit, although the dew point beside it is Celsius.
                let hours = [
                    (at("2025-08-27T16:00:00Z"), Decimal::from(86)),
                    (at("2025-08-27T17:00:00Z"), Decimal::from(87)),
                ];
                assert_eq!(forecast.hours, hours);
                let text = String::from_utf8_lossy(bytes);
                let null = text.replace("\"temperature\": 86", "\"temperature\": null");
                let forecast = weather::hourly_forecast(null.as_bytes()).unwrap();
                assert_eq!(forecast.hours, hours[1..]);
                let celsius = text.replacen(
                    "\"temperatureUnit\": \"F\"",
                    "\"temperatureUnit\": \"C\"",
                    1,
                );
                let hot = weather::hourly_forecast(celsius.as_bytes());
                assert!(matches!(
                    hot,
                    Err(WireError::BadField {
                        field: "temperature",
                        ..
                    })
                ));
            }
            "nws_observation.json" => observation(bytes),
            "nws_cli_product.json" => {
                let report = weather::ClimateReport::read(&new_york(), bytes).unwrap();
                assert!(report.is_final && !report.is_record);
                assert_eq!((report.maximum_f, report.minimum_f), (Some(87), Some(73)));
                assert_eq!(report.maximum_minute, Some(12 * 60 + 26));
                let seen = report.observation(&new_york()).unwrap();
                assert_eq!(seen.temperature_f, Decimal::from(87));
                assert_eq!(seen.quality, ObservationQuality::Official);
                // 12:26 PM of June 30 in standard time.
                assert_eq!(seen.observed_at, at("2026-06-30T12:26:00-05:00"));
                assert_eq!(report.issued_at, at("2026-07-01T06:17:00Z"));
            }
            "open_meteo_forecast.json" => {
                let hours = weather::open_meteo(bytes).unwrap();
                assert_eq!(
                    hours,
                    [
                        (at("2026-11-21T00:00:00-05:00"), number("48.2")),
                        (at("2026-11-21T01:00:00-05:00"), number("47.6")),
                    ]
                );
                let text = String::from_utf8_lossy(bytes);
                let celsius = text.replace('F', "C");
                let hours = weather::open_meteo(celsius.as_bytes()).unwrap();
                assert_eq!(hours[0].1, number("118.76"));
                let short = text.replace("null", "null, 1");
                assert!(weather::open_meteo(short.as_bytes()).is_err());
                let refused = br#"{"error":true,"reason":"Cannot initialize"}"#;
                assert!(matches!(
                    weather::open_meteo(refused),
                    Err(WireError::Refused { .. })
                ));
            }
            "vec_units.json" => {
                let vector = json(bytes);
                for case in vector["c_to_f"].as_array().unwrap() {
                    let celsius = number(case["c"].as_str().unwrap());
                    let exact = case["f_exact"].as_str().unwrap();
                    let exact = Decimal::from_scientific(exact).unwrap_or_else(|_| number(exact));
                    assert_eq!(weather::fahrenheit(celsius), Some(exact), "{celsius}");
                }
                // A report of whole degrees pays "55 or more" from 55 on: the report's number as it stands.
                let floor = vector["strike"]["floor_strike"].as_i64().unwrap();
                for case in vector["strike"]["cases"].as_array().unwrap() {
                    let maximum = case["max_f"].as_i64().unwrap();
                    let report = climate_report(maximum);
                    let read = weather::ClimateReport::read(&new_york(), &report).unwrap();
                    let pays = i64::from(read.maximum_f.unwrap()) >= floor;
                    assert_eq!(pays, case["yes"].as_bool().unwrap());
                }
            }
            _ => return false,
        }
        true
    });
}

fn climate_report(maximum: i64) -> Vec<u8> {
    let text = format!(
        "...THE CENTRAL PARK NY CLIMATE SUMMARY FOR NOVEMBER 21 2026...\n\nTEMPERATURE (F)\n YESTERDAY\n  \
         MAXIMUM {maximum} 226 PM\n  MINIMUM 40 MM\n"
    );
    serde_json::json!({
        "productCode": "CLI", "issuanceTime": "2026-11-22T06:17:00+00:00", "productText": text,
    })
    .to_string()
    .into_bytes()
}

fn observation(bytes: &[u8]) {
    let read = |text: &str| weather::observation(&new_york(), text.as_bytes());
    let text = String::from_utf8_lossy(bytes).into_owned();
    let Ok(weather::Reading::Seen(seen)) = read(&text) else {
        panic!("nothing seen")
    };
    assert_eq!(seen.temperature_f, number("71.96"));
    assert_eq!(seen.observed_at, at("2026-09-01T10:00:00Z"));
    assert_eq!(
        (seen.station.as_str(), seen.quality),
        ("NYC", ObservationQuality::Soft)
    );
    // With the airport report that it comes from, to a tenth of a degree.
    let report = "\"stationId\": \"KNYC\", \"rawMessage\": \"KNYC 011051Z AUTO 22/11 A3002 RMK AO2 T02220111\"";
    let exact = text.replace("\"stationId\": \"KNYC\"", report);
    let Ok(weather::Reading::Seen(seen)) = read(&exact) else {
        panic!("nothing seen")
    };
    assert_eq!(seen.quality, ObservationQuality::Official);
    let unchecked = exact.replacen("\"qualityControl\": \"V\"", "\"qualityControl\": \"Z\"", 1);
    let Ok(weather::Reading::Seen(seen)) = read(&unchecked) else {
        panic!("nothing seen")
    };
    assert_eq!(seen.quality, ObservationQuality::Soft);
    for flag in ["X", "Q", "B"] {
        let doubted = text.replacen(
            "\"qualityControl\": \"V\"",
            &format!("\"qualityControl\": \"{flag}\""),
            1,
        );
        assert_eq!(read(&doubted), Ok(weather::Reading::Doubted(flag.into())));
    }
    let null = text.replace("\"value\": 22.2", "\"value\": null");
    assert_eq!(read(&null), Ok(weather::Reading::Missing));
    assert!(read(&text.replace("KNYC", "KLGA")).is_err());
    assert!(read(&text.replacen("wmoUnit:degC", "wmoUnit:K", 1)).is_err());
}

#[test]
fn exchange_rates() {
    each_file("fx", |name, bytes| {
        match name {
            "dunamu_forex.json" => {
                let rate = fx::dunamu("FRX.KRWUSD", bytes).unwrap();
                assert_eq!(
                    (rate.price, rate.at),
                    (number("1169"), Nanos(1_628_852_510_337_000_000))
                );
                assert_eq!(rate.traded, None);
                assert!(fx::dunamu("FRX.KRWJPY", bytes).is_err());
                // Yen are quoted for a hundred.
                let text = String::from_utf8_lossy(bytes);
                let yen = text
                    .replace("FRX.KRWUSD", "FRX.KRWJPY")
                    .replace("\"currencyUnit\": 1", "\"currencyUnit\": 100");
                let rate = fx::dunamu("FRX.KRWJPY", yen.as_bytes()).unwrap();
                assert_eq!(rate.price, number("11.69"));
            }
            "open_er_api.json" => {
                let rate = fx::open_er(bytes).unwrap();
                assert_eq!(
                    (rate.price, rate.at),
                    (number("1458.05"), Nanos(1_795_219_201_000_000_000))
                );
                let refused = br#"{"result":"error","error-type":"unsupported-code"}"#;
                assert!(matches!(
                    fx::open_er(refused),
                    Err(WireError::Refused { .. })
                ));
            }
            "upbit_krw_usdt_ticker.json" => {
                let rate = fx::krw_usdt("KRW-USDT", bytes).unwrap();
                assert_eq!(
                    (rate.price, rate.at),
                    (number("1466"), Nanos(1_795_253_400_123_000_000))
                );
                assert_eq!(
                    (rate.traded, rate.aggressor),
                    (Some(number("120.5")), Aggressor::Buyer)
                );
                assert!(fx::krw_usdt("KRW-BTC", bytes).is_err());
                let rest = br#"[{"market":"KRW-USDT","trade_price":1.466E3,"trade_volume":"3","trade_timestamp":1}]"#;
                assert_eq!(
                    fx::krw_usdt("KRW-USDT", rest).unwrap().price,
                    number("1466")
                );
            }
            "vec_fx.json" => {
                let vector = json(bytes);
                let value = |name: &str| number(vector[name].as_str().unwrap());
                let (bank, usdt) = (value("usd_krw_bank"), value("usdt_krw"));
                let premium = fx::premium(usdt, bank).unwrap();
                assert_eq!(premium.round_dp(8), value("usdt_premium"));
                let kimchi = fx::premium(value("btc_krw"), value("btc_usdt") * bank).unwrap();
                assert_eq!(kimchi.round_dp(8), value("kimchi_premium_vs_bank"));
                let day_ms = 86_400_000;
                let friday = Nanos(day_ms * 1_000_000);
                let mut rates = fx::Rates::default();
                rates.see_bank(fx::Rate::quoted(bank, friday));
                let sunday = friday.after(2 * day_ms * 1_000_000);
                assert!(matches!(
                    rates.bank(sunday, day_ms),
                    Err(fx::Stale::TooOld { .. })
                ));
                assert_eq!(rates.bank(friday, day_ms).unwrap().price, bank);
            }
            _ => return false,
        }
        true
    });
}

#[test]
fn telegram_bot() {
    let token = SecretString::from("123456:TEST-TOKEN");
    fn answer(body: &[u8]) -> Result<telegram::Answer, WireError> {
        telegram::read(&Response {
            status: 200,
            headers: &[],
            body,
        })
    }
    each_file("telegram", |name, bytes| {
        match name {
            "send_message_request.json" => {
                let expected = json(bytes);
                let message = telegram::Message {
                    chat_id: expected["body"]["chat_id"].as_i64().unwrap(),
                    text: expected["body"]["text"].as_str().unwrap(),
                    format: telegram::Format::Plain,
                    is_silent: false,
                };
                let request = telegram::send_message(&token, &message);
                assert_eq!(request.method, Method::Post);
                assert_eq!(request.target, expected["path"].as_str().unwrap());
                assert_eq!(json(request.body.as_bytes()), expected["body"]);
                let kind = expected["content_type"].as_str().unwrap().to_owned();
                assert_eq!(request.headers, [("content-type", kind)]);
                assert_eq!(format!("{request:?}"), "POST rest:/.../sendMessage");
                let marked = telegram::Message {
                    format: telegram::Format::MarkdownV2,
                    ..message
                };
                let body = telegram::send_message(&token, &marked).body;
                assert_eq!(json(body.as_bytes())["parse_mode"], "MarkdownV2");
            }
            "send_message_ok.json" => {
                assert_eq!(
                    answer(bytes),
                    Ok(telegram::Answer::Sent { message_id: 4_711 })
                );
            }
            "error_429.json" => {
                assert_eq!(
                    answer(bytes),
                    Ok(telegram::Answer::Wait { retry_after_s: 5 })
                );
            }
            "vec_escape_markdown_v2.json" => {
                let vector = json(bytes);
                for case in vector["cases"].as_array().unwrap() {
                    let escaped = telegram::escape_markdown_v2(case["in"].as_str().unwrap());
                    assert_eq!(escaped, case["out"].as_str().unwrap());
                }
                let all = vector["must_escape"].as_str().unwrap();
                let (signs, _) = all.split_once(" and backslash").unwrap();
                for sign in signs.chars().chain(['\\']) {
                    assert_eq!(
                        telegram::escape_markdown_v2(&sign.to_string()),
                        format!("\\{sign}")
                    );
                }
            }
            _ => return false,
        }
        true
    });
    // Shapes of the API's reference that have no file.
    let moved = br#"{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1001234567890}}"#;
    assert_eq!(
        answer(moved),
        Ok(telegram::Answer::Moved {
            chat_id: -1_001_234_567_890
        })
    );
    let markup = br#"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities: Character '.' is reserved"}"#;
    assert_eq!(answer(markup), Ok(telegram::Answer::SendPlain));
    let token = br#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#;
    let refused = telegram::Answer::Refused {
        code: 401,
        why: "Unauthorized".into(),
    };
    assert_eq!(answer(token), Ok(refused));
    assert!(answer(b"<html>502 Bad Gateway</html>").is_err());
}

#[test]
fn no_token_is_ever_printed() {
    let token = SecretString::from("123456:SECRET");
    let message = telegram::Message {
        chat_id: 1,
        text: "x",
        format: telegram::Format::Plain,
        is_silent: true,
    };
    let requests: [Request; 2] = [
        telegram::send_message(&token, &message),
        eodhd::real_time_request("USDKRW.FOREX", &token),
    ];
    for request in requests {
        assert!(request.target.contains("123456:SECRET"));
        assert!(!format!("{request:?}").contains("SECRET"), "{request:?}");
    }
    let source = fx::Source::Eodhd("USDKRW.FOREX".into(), token);
    assert!(!format!("{source:?}").contains("SECRET"));
}
