//! A market as `GET /markets/{ticker}` gives it: its grid, its state, its times, what it pays on.
use super::account::time;
use super::fields::{Raw, Reader, fields, one_dollar, price, qty};
use super::message::result_value;
use super::stamps::ticker_day;
use crate::gateway::{Listed, WireError};
use onetape_engine::event::{
    ContractTerms, Strike, TemperatureTerms, TickBand, TradingRules, TradingStatus,
};
use onetape_engine::number::{Decimals, Money, Price};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::borrow::Cow;

/// Decimals of every market: prices have up to four, counts two (Kalshi docs, fixed point migration).
pub const DECIMALS: Decimals = Decimals { price: 4, qty: 2 };
/// The smallest count of contracts, and its step.
const LOT: &str = "0.01";

/// Daily-high series, the station whose climate report settles them, and its region. A series that is not here is listed
/// without temperature terms, so no weather model touches it.
const STATIONS: [(&str, &str, &str); 10] = [
    ("KXHIGHNY", "NYC", "northeast"),
    ("KXHIGHCHI", "MDW", "midwest"),
    ("KXHIGHLAX", "LAX", "west"),
    ("KXHIGHMIA", "MIA", "southeast"),
    ("KXHIGHAUS", "AUS", "southeast"),
    ("KXHIGHDEN", "DEN", "mountain"),
    ("KXHIGHPHIL", "PHL", "northeast"),
    ("KXHIGHTBOS", "BOS", "northeast"),
    ("KXHIGHTSEA", "SEA", "west"),
    ("KXHIGHTSFO", "SFO", "west"),
];

fields!(AnswerFields { market });
fields!(MarketFields {
    ticker,
    event_ticker,
    market_type,
    status,
    result,
    settlement_value_dollars,
    open_time,
    close_time,
    expected_expiration_time,
    strike_type,
    floor_strike,
    cap_strike,
    rules_primary,
    rules_secondary,
    price_ranges,
    exchange_index,
});
fields!(RangeFields { start, end, step });

/// A market, its numbers still text.
pub struct Market<'a> {
    /// Its ticker.
    pub ticker: Cow<'a, str>,
    /// The event that it belongs to.
    pub event: Cow<'a, str>,
    /// Which shard of the exchange holds its book and its collateral.
    pub exchange_index: u64,
    /// Whether it takes orders.
    pub status: TradingStatus,
    /// Whether it was paid out.
    pub is_final: bool,
    /// When it opens; no message tells that it did.
    pub opens_at: Option<Nanos>,
    /// No orders from here on.
    pub closes_at: Nanos,
    f: MarketFields<'a>,
}

const READER: Reader = Reader("market");

impl<'a> Market<'a> {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`WireError`] naming field and value.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let answer: AnswerFields<'a> = READER.object(READER.utf8(body)?)?;
        let f: MarketFields<'a> = READER.object(READER.need("market", answer.market)?.get())?;
        if let Some("scalar") = READER
            .optional_text("market_type", f.market_type)?
            .as_deref()
        {
            return Err(READER.bad("market_type", "scalar", "binary"));
        }
        let (status, is_final) = match READER.text("status", f.status)?.as_ref() {
            "active" => (TradingStatus::Open, false),
            "initialized" | "inactive" => (TradingStatus::Halted, false),
            "closed" | "determined" | "disputed" | "amended" => (TradingStatus::Closed, false),
            "finalized" => (TradingStatus::Closed, true),
            other => {
                let expected = "initialized, active, inactive, closed, determined, disputed, amended or finalized";
                return Err(READER.bad("status", other, expected));
            }
        };
        let opens_at = match f.open_time {
            Some(_) => Some(time(READER, "open_time", f.open_time)?),
            None => None,
        };
        Ok(Self {
            ticker: READER.text("ticker", f.ticker)?,
            event: READER.text("event_ticker", f.event_ticker)?,
            exchange_index: READER
                .optional_integer("exchange_index", f.exchange_index)?
                .unwrap_or(0),
            status,
            is_final,
            opens_at,
            closes_at: time(READER, "close_time", f.close_time)?,
            f,
        })
    }

    /// The grid in force from `from` on. `price_ranges` is its only source; the structure's name is a label.
    ///
    /// # Errors
    /// [`WireError`] when the ranges make no grid.
    pub fn trading_rules(&self, listed: &Listed, from: Nanos) -> Result<TradingRules, WireError> {
        let lot = qty("lot", LOT, listed)?;
        let (tick_size, bands, min_price, max_price) = self.grid(listed)?;
        Ok(TradingRules {
            instrument: listed.instrument,
            effective_from: from,
            tick_size,
            lot_size: lot,
            min_qty: lot,
            min_notional: Money::ZERO,
            min_price,
            max_price,
            bands,
            allows_short: true,
        })
    }

    fn grid(&self, listed: &Listed) -> Result<(Price, Vec<TickBand>, Price, Price), WireError> {
        let one = one_dollar(listed);
        let ranges: Vec<RangeFields<'a>> = READER.list("price_ranges", self.f.price_ranges)?;
        let bad = |value: i64, expected| {
            let value = listed.decimals.price_decimal(Price(value)).to_string();
            READER.bad("price_ranges", &value, expected)
        };
        let mut bands: Vec<TickBand> = Vec::with_capacity(ranges.len().min(64));
        let (mut tick_size, mut min_price, mut end) = (Price(0), Price(0), 0);
        for range in &ranges {
            let number = |name, raw| price(name, READER.number(name, raw)?, listed);
            let start = number("start", range.start)?.0;
            let (stop, step) = (number("end", range.end)?.0, number("step", range.step)?.0);
            if step <= 0 {
                return Err(bad(step, "a step above zero"));
            }
            if stop <= start || start < 0 || stop > one {
                return Err(bad(stop, "an end above its start, both from 0 to 1 dollar"));
            }
            if start % step != 0 {
                return Err(bad(start, "a start on a multiple of its own step"));
            }
            if tick_size.0 == 0 {
                tick_size = Price(step);
                min_price = Price(start.max(step));
            } else if start != end {
                return Err(bad(start, "ranges that join"));
            } else {
                bands.push(TickBand {
                    from: Price(start),
                    tick: Price(step),
                });
            }
            end = stop;
        }
        if tick_size.0 == 0 {
            return Err(bad(0, "a range at least"));
        }
        let last_tick = bands.last().map_or(tick_size, |band| band.tick).0;
        // No order stands at a dollar: the price below it is the highest.
        let below = (end.min(one - 1)).div_euclid(last_tick) * last_tick;
        Ok((tick_size, bands, min_price, Price(below)))
    }

    /// What it pays on. `topic` is what moves together with it, where no station says it better.
    ///
    /// # Errors
    /// [`WireError`] for a time or a strike that does not read.
    pub fn terms(&self, listed: &Listed, topic: &str) -> Result<ContractTerms, WireError> {
        let f = &self.f;
        let expected = match f.expected_expiration_time {
            Some(_) => time(
                READER,
                "expected_expiration_time",
                f.expected_expiration_time,
            )?,
            None => self.closes_at,
        };
        let station = STATIONS.iter().find(|(name, ..)| *name == self.series());
        Ok(ContractTerms {
            instrument: listed.instrument,
            event: self.event.clone().into_owned(),
            cluster: station.map_or(topic, |(.., region)| region).to_owned(),
            closes_at: self.closes_at,
            // An event may be decided before its market would close.
            settles_at: expected.max(self.closes_at),
            rules_hash: self.rules_hash()?,
            temperature: match station {
                Some((_, station, _)) => self.temperature(station)?,
                None => None,
            },
        })
    }

    /// The series' ticker: the event's up to its first '-'.
    pub fn series(&self) -> &str {
        self.event.split('-').next().unwrap_or_default()
    }

    fn temperature(&self, station: &str) -> Result<Option<TemperatureTerms>, WireError> {
        let day = self.event.split('-').nth(1).and_then(ticker_day);
        let day = day.ok_or_else(|| {
            let expected = "a ticker with its day as in KXHIGHNY-26NOV21";
            READER.bad("event_ticker", &self.event, expected)
        })?;
        Ok(self.strike()?.map(|strike| TemperatureTerms {
            station: station.to_owned(),
            day,
            strike,
        }))
    }

    /// The strike in whole degrees, which is what climate reports have.
    fn strike(&self) -> Result<Option<Strike>, WireError> {
        let f = &self.f;
        let degrees = |field, raw, round: fn(&Decimal) -> Decimal, add: i32| {
            let value = READER.decimal(field, raw)?;
            let whole = round(&value).to_i32().filter(|whole| whole.abs() < 1_000);
            whole.map(|whole| whole + add).ok_or_else(|| {
                let value = value.to_string();
                READER.bad(field, &value, "a temperature in degrees Fahrenheit")
            })
        };
        let floor = |round, add| degrees("floor_strike", f.floor_strike, round, add);
        let cap = |round, add| degrees("cap_strike", f.cap_strike, round, add);
        let strike_type = READER.optional_text("strike_type", f.strike_type)?;
        Ok(Some(match strike_type.as_deref() {
            Some("greater") => Strike::Greater {
                floor: floor(Decimal::floor, 0)?,
            },
            Some("greater_or_equal") => Strike::Greater {
                floor: floor(Decimal::ceil, -1)?,
            },
            Some("less") => Strike::Less {
                cap: cap(Decimal::ceil, 0)?,
            },
            Some("less_or_equal") => Strike::Less {
                cap: cap(Decimal::floor, 1)?,
            },
            Some("between") => Strike::Between {
                floor: floor(Decimal::ceil, 0)?,
                cap: cap(Decimal::floor, 0)?,
            },
            _ => return Ok(None),
        }))
    }

    /// BLAKE3 of the primary rules, a line feed and the secondary rules, 64 hex digits.
    ///
    /// # Errors
    /// [`WireError`] where the primary rules are missing.
    pub fn rules_hash(&self) -> Result<String, WireError> {
        let primary = READER.text("rules_primary", self.f.rules_primary)?;
        let secondary = READER.optional_text("rules_secondary", self.f.rules_secondary)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(primary.as_bytes());
        hasher.update(b"\n");
        hasher.update(secondary.unwrap_or_default().as_bytes());
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// What a YES pays; `None` before it is decided.
    ///
    /// # Errors
    /// [`WireError`] for a value outside 0 to 1 dollar.
    pub fn settlement(&self, listed: &Listed) -> Result<Option<Price>, WireError> {
        let raw: Raw<'_> = self.f.settlement_value_dollars;
        let text = match raw {
            Some(_) => Some(READER.number("settlement_value_dollars", raw)?),
            None => result_value(READER, self.f.result)?,
        };
        text.map(|text| settlement_price(text, listed)).transpose()
    }
}

/// What a YES pays: from 0 to 1 dollar.
pub(super) fn settlement_price(text: &str, listed: &Listed) -> Result<Price, WireError> {
    let value = price("settlement_value", text, listed)?;
    if (0..=one_dollar(listed)).contains(&value.0) {
        Ok(value)
    } else {
        Err(READER.bad("settlement_value", text, "a value from 0 to 1 dollar"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetape_engine::id::InstrumentId;
    use proptest::prelude::*;

    fn listed() -> Listed {
        Listed {
            instrument: InstrumentId(3),
            symbol: "M".to_owned(),
            decimals: DECIMALS,
        }
    }

    fn body(event: &str, fields: &str) -> String {
        format!(
            r#"{{"market":{{"ticker":"{event}-X","event_ticker":"{event}","status":"active","close_time":"2026-11-22T04:59:00Z","expected_expiration_time":"2026-11-22T15:00:00Z","rules_primary":"a","rules_secondary":"b"{fields}}}}}"#
        )
    }

    fn strike(fields: &str) -> Option<Strike> {
        let body = body("KXHIGHNY-26NOV21", fields);
        let terms = Market::read(body.as_bytes()).unwrap().terms(&listed(), "x");
        terms.unwrap().temperature.map(|terms| terms.strike)
    }

    #[test]
    fn strikes_are_in_whole_degrees_whatever_way_the_venue_says_them() {
        for (fields, expected) in [
            (
                r#","strike_type":"greater","floor_strike":55"#,
                Strike::Greater { floor: 55 },
            ),
            (
                r#","strike_type":"greater","floor_strike":55.5"#,
                Strike::Greater { floor: 55 },
            ),
            (
                r#","strike_type":"greater_or_equal","floor_strike":55"#,
                Strike::Greater { floor: 54 },
            ),
            (
                r#","strike_type":"greater_or_equal","floor_strike":54.5"#,
                Strike::Greater { floor: 54 },
            ),
            (
                r#","strike_type":"less","cap_strike":48"#,
                Strike::Less { cap: 48 },
            ),
            (
                r#","strike_type":"less_or_equal","cap_strike":48"#,
                Strike::Less { cap: 49 },
            ),
            (
                r#","strike_type":"between","floor_strike":-2,"cap_strike":-1.0"#,
                Strike::Between { floor: -2, cap: -1 },
            ),
        ] {
            assert_eq!(strike(fields), Some(expected), "{fields}");
        }
        assert_eq!(strike(r#","strike_type":"custom""#), None);
    }

    #[test]
    fn a_day_or_a_strike_that_does_not_read_is_named() {
        let error = |event: &str, fields: &str| {
            let body = body(event, fields);
            let market = Market::read(body.as_bytes()).unwrap();
            market.terms(&listed(), "x").unwrap_err().to_string()
        };
        assert_eq!(
            error("KXHIGHNY-26NOV", ""),
            "kalshi: field 'event_ticker' of market is KXHIGHNY-26NOV: expected a ticker with its day as in KXHIGHNY-26NOV21"
        );
        assert_eq!(
            error(
                "KXHIGHNY-26NOV21",
                r#","strike_type":"less","cap_strike":99999"#
            ),
            "kalshi: field 'cap_strike' of market is 99999: expected a temperature in degrees Fahrenheit"
        );
    }

    #[test]
    fn ranges_that_make_no_grid_are_refused() {
        for ranges in [
            "[]",
            r#"[{"start":"0","end":"1","step":"0"}]"#,
            r#"[{"start":"0.5","end":"0.5","step":"0.01"}]"#,
            r#"[{"start":"0","end":"2","step":"0.01"}]"#,
            r#"[{"start":"0.005","end":"1","step":"0.01"}]"#,
            r#"[{"start":"0","end":"0.1","step":"0.01"},{"start":"0.2","end":"1","step":"0.01"}]"#,
            r#"[{"start":"0","end":"1"}]"#,
            r#"{"start":"0"}"#,
            r#"[{"start":"0","end":"1","step":"0.00001"}]"#,
        ] {
            let body = body("E", &format!(r#","price_ranges":{ranges}"#));
            let market = Market::read(body.as_bytes()).unwrap();
            assert!(
                market.trading_rules(&listed(), Nanos(0)).is_err(),
                "{ranges}"
            );
        }
    }

    #[test]
    fn the_rules_hash_covers_both_texts_and_tells_where_the_first_ends() {
        let hash = |fields: &str| {
            let body = format!(
                r#"{{"market":{{"ticker":"T","event_ticker":"E","status":"closed","close_time":"2026-11-22T04:59:00Z"{fields}}}}}"#
            );
            Market::read(body.as_bytes()).unwrap().rules_hash()
        };
        let expected = blake3::hash(b"a \"q\"\nb").to_hex().to_string();
        assert_eq!(
            hash(r#","rules_primary":"a \"q\"","rules_secondary":"b""#),
            Ok(expected)
        );
        assert_ne!(
            hash(r#","rules_primary":"ab""#),
            hash(r#","rules_primary":"a","rules_secondary":"b""#)
        );
        assert!(hash("").is_err());
    }

    #[test]
    fn what_a_yes_pays_is_known_once_decided() {
        let value = |fields: &str| {
            let body = body("E", fields);
            let market = Market::read(body.as_bytes()).unwrap();
            market.settlement(&listed())
        };
        assert_eq!(value(r#","result":"""#), Ok(None));
        assert_eq!(value(r#","result":"yes""#), Ok(Some(Price(10_000))));
        assert_eq!(value(r#","result":"no""#), Ok(Some(Price(0))));
        let scalar = r#","result":"scalar","settlement_value_dollars":"0.3500""#;
        assert_eq!(value(scalar), Ok(Some(Price(3_500))));
        assert_eq!(value(r#","result":"scalar""#), Ok(None));
        assert!(value(r#","result":"yes","settlement_value_dollars":"1.5""#).is_err());
        assert!(value(r#","result":"void""#).is_err());
    }

    proptest! {
        /// Every grid that is taken holds its own bounds, and the engine takes it.
        #[test]
        fn a_grids_bounds_are_on_it(steps in prop::collection::vec((1i64..50, 1i64..40), 1..5)) {
            let (mut start, mut ranges) = (0i64, Vec::new());
            for (step, count) in steps {
                let from = start.div_euclid(step) * step;
                if from != start { continue; }
                let end = (start + step * count).min(10_000);
                if end <= start { break; }
                let number = |mantissa| Decimal::new(mantissa, 4);
                ranges.push(format!(
                    r#"{{"start":"{}","end":"{}","step":"{}"}}"#, number(start), number(end), number(step)
                ));
                start = end;
            }
            let body = body("E", &format!(r#","price_ranges":[{}]"#, ranges.join(",")));
            let market = Market::read(body.as_bytes()).unwrap();
            let rules = market.trading_rules(&listed(), Nanos(0)).unwrap();
            prop_assert!(rules.min_price.0 > 0 && rules.max_price.0 < 10_000);
            prop_assert!(rules.is_on_grid(rules.min_price) || rules.min_price > rules.max_price);
            prop_assert!(rules.is_on_grid(rules.max_price));
        }
    }
}
