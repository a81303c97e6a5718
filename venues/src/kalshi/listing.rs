//! A market before it trades: `GET /markets/{ticker}` with its series and its event, which know the fees.
use super::REST;
use super::fields::{Raw, Reader, VENUE, fields};
use super::market::{DECIMALS, Market};
use super::refusal::{CALL_WEIGHT, refusal};
use crate::gateway::{Bucket, Listed, Listing, Listings, Request, Response, WireError};
use onetape_engine::event::{
    FeeSchedule, InstrumentDefined, InstrumentType, MarketStatus, RulesText,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::InstrumentId;
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Rates of the fee schedule: takers, and makers where the series has maker fees.
const TAKER_RATE: Decimal = Decimal::from_parts(7, 0, 0, false, 2);
const MAKER_RATE: Decimal = Decimal::from_parts(175, 0, 0, false, 4);
/// Markets of a page.
const PAGE: usize = 1_000;
/// A multiplier above this is no multiplier.
const MULTIPLIER_MAX: Decimal = Decimal::ONE_HUNDRED;

/// Which shard holds each market, as the markets themselves say: listings write it, orders read it.
#[derive(Clone, Debug, Default)]
pub struct Shards(Arc<RwLock<BTreeMap<String, u64>>>);

impl Shards {
    /// The shard of a market; `None` until it was listed.
    pub fn of(&self, symbol: &str) -> Option<u64> {
        let shards = self.0.read().unwrap_or_else(PoisonError::into_inner);
        shards.get(symbol).copied()
    }

    fn put(&self, symbol: &str, index: u64) {
        let mut shards = self.0.write().unwrap_or_else(PoisonError::into_inner);
        shards.insert(symbol.to_owned(), index);
    }
}

/// How the venue keeps the account's balance, which decides how fees are rounded (Kalshi docs, fee rounding).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Membership {
    /// In whole cents.
    #[default]
    Normal,
    /// In 1/10,000 of a dollar.
    Direct,
}

/// Reads markets.
#[derive(Clone, Debug, Default)]
pub struct KalshiListings {
    membership: Membership,
    shards: Shards,
}

impl KalshiListings {
    /// For an account; `shards` learns where each market lives.
    pub const fn new(membership: Membership, shards: Shards) -> Self {
        Self { membership, shards }
    }
}

impl Listings for KalshiListings {
    fn venue(&self) -> &'static str {
        VENUE
    }

    fn requests(&mut self, symbol: &str, _now: Nanos) -> Vec<Request> {
        let (event, _) = symbol.rsplit_once('-').unwrap_or((symbol, ""));
        let series = symbol.split('-').next().unwrap_or_default();
        vec![
            market_request(symbol),
            series_request(series),
            get(format!("/trade-api/v2/events/{}", encoded(event))),
        ]
    }

    fn read(
        &mut self,
        symbol: &str,
        instrument: InstrumentId,
        responses: &[Response<'_>],
        now: Nanos,
    ) -> Result<Listing, WireError> {
        let reader = Reader("listing");
        let [market, series, event] = responses else {
            let count = responses.len().to_string();
            return Err(reader.bad("responses", &count, "market, series and event"));
        };
        if market.status != 200 {
            return Err(refusal(market));
        }
        let market = Market::read(market.body)?;
        if market.ticker != symbol {
            return Err(reader.bad("ticker", &market.ticker, "the market that was asked for"));
        }
        let listed = Listed {
            instrument,
            symbol: symbol.to_owned(),
            decimals: DECIMALS,
        };
        let series = found(series)?.map(Series::read).transpose()?;
        let event = found(event)?.map(Event::read).transpose()?;
        let topic = series.as_ref().and_then(|series| series.topic.clone());
        let topic = topic.unwrap_or_else(|| market.series().to_lowercase());
        let terms = market.terms(&listed, &topic)?;
        // Fees of another series or event say nothing of this market; without fees it does not trade.
        let fees = match (&series, &event) {
            (Some(series), Some(event))
                if event.ticker == market.event && event.series == series.ticker =>
            {
                let overrides = (event.fee_type.as_deref(), event.multiplier);
                series.fees(instrument, overrides, self.membership, now)?
            }
            _ => None,
        };
        self.shards.put(symbol, market.exchange_index);
        Ok(Listing {
            definition: InstrumentDefined {
                instrument,
                venue: VENUE.to_owned(),
                symbol: symbol.to_owned(),
                instrument_type: InstrumentType::Binary,
                base: "YES".to_owned(),
                quote: "USD".to_owned(),
                decimals: DECIMALS,
            },
            rules: market.trading_rules(&listed, now)?,
            fees,
            status: MarketStatus {
                instrument,
                status: market.status,
            },
            rules_text: Some(RulesText {
                instrument,
                rules_hash: terms.rules_hash.clone(),
            }),
            terms: Some(terms),
        })
    }

    fn series_request(&self, series: &str, cursor: &str) -> Option<Request> {
        let (series, cursor) = (encoded(series), encoded(cursor));
        Some(get(format!(
            "/trade-api/v2/markets?series_ticker={series}&status=open&limit={PAGE}&cursor={cursor}"
        )))
    }

    fn read_series(&self, response: &Response<'_>) -> Result<(Vec<String>, String), WireError> {
        if response.status != 200 {
            return Err(refusal(response));
        }
        let reader = Reader("markets");
        let page: PageFields<'_> = reader.object(reader.utf8(response.body)?)?;
        let markets: Vec<RowFields<'_>> = reader.list("markets", page.markets)?;
        let ticker = |row: &RowFields<'_>| Ok(reader.text("ticker", row.ticker)?.into_owned());
        let tickers = markets
            .iter()
            .map(ticker)
            .collect::<Result<_, WireError>>()?;
        let cursor = reader.optional_text("cursor", page.cursor)?;
        Ok((tickers, cursor.unwrap_or_default().into_owned()))
    }
}

/// The body of an answer; `None` where the venue says that there is none.
fn found<'a>(response: &Response<'a>) -> Result<Option<&'a [u8]>, WireError> {
    match response.status {
        200 => Ok(Some(response.body)),
        404 => Ok(None),
        _ => Err(refusal(response)),
    }
}

/// The request for a market.
pub(super) fn market_request(symbol: &str) -> Request {
    get(format!("/trade-api/v2/markets/{}", encoded(symbol)))
}

/// The request for a series.
pub(super) fn series_request(series: &str) -> Request {
    get(format!("/trade-api/v2/series/{}", encoded(series)))
}

fn get(target: String) -> Request {
    Request {
        weight: CALL_WEIGHT,
        ..Request::get(REST, target, Bucket::Public)
    }
}

/// A ticker or an id as a part of a path or a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fields!(PageFields { markets, cursor });
fields!(RowFields { ticker });
fields!(SeriesAnswer { series });
fields!(SeriesFields {
    ticker,
    category,
    fee_type,
    fee_multiplier
});
fields!(EventAnswer { event });
fields!(EventFields {
    event_ticker,
    series_ticker,
    fee_type_override,
    fee_multiplier_override,
});

/// A series: what its markets cost.
pub(super) struct Series<'a> {
    ticker: Cow<'a, str>,
    topic: Option<String>,
    fee_type: Cow<'a, str>,
    multiplier: Decimal,
}

impl<'a> Series<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let reader = Reader("series");
        let answer: SeriesAnswer<'a> = reader.object(reader.utf8(body)?)?;
        let f: SeriesFields<'a> = reader.object(reader.need("series", answer.series)?.get())?;
        let category = reader.optional_text("category", f.category)?;
        Ok(Self {
            ticker: reader.text("ticker", f.ticker)?,
            topic: category.map(|category| category.to_lowercase()),
            fee_type: reader.text("fee_type", f.fee_type)?,
            multiplier: multiplier("fee_multiplier", f.fee_multiplier)?,
        })
    }

    /// The fees of a market of the series, where an event's overrides win. `None` for fees that are in no table here.
    pub(super) fn fees(
        &self,
        instrument: InstrumentId,
        overrides: (Option<&str>, Option<Decimal>),
        membership: Membership,
        from: Nanos,
    ) -> Result<Option<FeeSchedule>, WireError> {
        let multiplier = overrides.1.unwrap_or(self.multiplier);
        let maker_rate = match overrides.0.unwrap_or(&self.fee_type) {
            "quadratic" => Decimal::ZERO,
            "quadratic_with_maker_fees" => MAKER_RATE,
            _ => return Ok(None),
        };
        Ok(Some(FeeSchedule {
            instrument,
            effective_from: from,
            maker: FeeFormula::probability((maker_rate * multiplier).normalize()),
            taker: FeeFormula::probability((TAKER_RATE * multiplier).normalize()),
            rounding: Rounding {
                decimals: 4,
                mode: RoundingMode::Up,
            },
            source: "venue".to_owned(),
            accrual: match membership {
                Membership::Normal => FeeAccrual::KalshiRebate,
                Membership::Direct => FeeAccrual::PerFill,
            },
        }))
    }
}

struct Event<'a> {
    ticker: Cow<'a, str>,
    series: Cow<'a, str>,
    fee_type: Option<Cow<'a, str>>,
    multiplier: Option<Decimal>,
}

impl<'a> Event<'a> {
    fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let reader = Reader("event");
        let answer: EventAnswer<'a> = reader.object(reader.utf8(body)?)?;
        let f: EventFields<'a> = reader.object(reader.need("event", answer.event)?.get())?;
        Ok(Self {
            ticker: reader.text("event_ticker", f.event_ticker)?,
            series: reader.text("series_ticker", f.series_ticker)?,
            fee_type: reader.optional_text("fee_type_override", f.fee_type_override)?,
            multiplier: match f.fee_multiplier_override {
                Some(_) => Some(multiplier(
                    "fee_multiplier_override",
                    f.fee_multiplier_override,
                )?),
                None => None,
            },
        })
    }
}

/// A fee multiplier: from 0, which is a waiver.
fn multiplier(field: &'static str, raw: Raw<'_>) -> Result<Decimal, WireError> {
    let reader = Reader("fees");
    let value = reader.decimal(field, raw)?;
    check_multiplier(field, value)
}

/// A multiplier in its bounds.
pub(super) fn check_multiplier(field: &'static str, value: Decimal) -> Result<Decimal, WireError> {
    // The formulas stay exact with the rates' four decimals, six of the multiplier and ten of price and count.
    if value.is_sign_negative() || value > MULTIPLIER_MAX || value.normalize().scale() > 6 {
        let expected = "a multiplier from 0 to 100 with six decimals at the most";
        return Err(Reader("fees").bad(field, &value.to_string(), expected));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetape_engine::event::TradingStatus;

    const MARKET: &str = r#"{"market":{"ticker":"KXA-26NOV21-T1","event_ticker":"KXA-26NOV21","status":"initialized","open_time":"2026-11-20T15:00:00Z","close_time":"2026-11-22T04:59:00Z","rules_primary":"a","price_ranges":[{"start":"0.0000","end":"1.0000","step":"0.0100"}],"exchange_index":2}}"#;
    const SERIES: &str = r#"{"series":{"ticker":"KXA","category":"Climate and Weather","fee_type":"quadratic_with_maker_fees","fee_multiplier":0.5}}"#;
    const EVENT: &str = r#"{"event":{"event_ticker":"KXA-26NOV21","series_ticker":"KXA"}}"#;

    fn read(bodies: [(u16, &str); 3]) -> Result<Listing, WireError> {
        let responses = bodies.map(|(status, body)| Response {
            status,
            headers: &[],
            body: body.as_bytes(),
        });
        KalshiListings::default().read("KXA-26NOV21-T1", InstrumentId(3), &responses, Nanos(9))
    }

    fn rates(listing: &Listing) -> Option<(String, String)> {
        let fees = listing.fees.as_ref()?;
        Some((fees.maker.rate().to_string(), fees.taker.rate().to_string()))
    }

    #[test]
    fn a_symbol_is_asked_with_its_series_and_its_event() {
        let requests = KalshiListings::default().requests("KXA-26NOV21-T1", Nanos(0));
        let targets: Vec<&str> = requests.iter().map(|r| r.target.as_str()).collect();
        assert_eq!(
            targets,
            [
                "/trade-api/v2/markets/KXA-26NOV21-T1",
                "/trade-api/v2/series/KXA",
                "/trade-api/v2/events/KXA-26NOV21"
            ]
        );
        assert!(requests.iter().all(|request| request.weight == 10));
        assert_eq!(encoded("A/B é"), "A%2FB%20%C3%A9");
    }

    #[test]
    fn a_series_lists_its_open_markets_page_by_page() {
        let listings = KalshiListings::default();
        let request = listings.series_request("KXHIGHNY", "a=").unwrap();
        assert_eq!(
            request.target,
            "/trade-api/v2/markets?series_ticker=KXHIGHNY&status=open&limit=1000&cursor=a%3D"
        );
        let read = |status, body: &str| {
            listings.read_series(&Response {
                status,
                headers: &[],
                body: body.as_bytes(),
            })
        };
        let page =
            r#"{"markets":[{"ticker":"KXA-1","status":"active"},{"ticker":"KXA-2"}],"cursor":"n"}"#;
        let expected = (vec!["KXA-1".to_owned(), "KXA-2".to_owned()], "n".to_owned());
        assert_eq!(read(200, page), Ok(expected));
        assert_eq!(
            read(200, r#"{"markets":[],"cursor":""}"#),
            Ok(Default::default())
        );
        for (status, body) in [
            (503, page),
            (200, "[]"),
            (200, "{}"),
            (200, r#"{"markets":[{}]}"#),
        ] {
            assert!(read(status, body).is_err(), "{body}");
        }
    }

    #[test]
    fn fees_follow_series_and_event() {
        let listing = read([(200, MARKET), (200, SERIES), (200, EVENT)]).unwrap();
        assert_eq!(
            rates(&listing),
            Some(("0.00875".to_owned(), "0.035".to_owned()))
        );
        assert_eq!(listing.fees.unwrap().accrual, FeeAccrual::KalshiRebate);
        assert_eq!(listing.status.status, TradingStatus::Halted);
        assert_eq!(listing.terms.unwrap().cluster, "climate and weather");
        let event = r#"{"event":{"event_ticker":"KXA-26NOV21","series_ticker":"KXA","fee_type_override":"quadratic","fee_multiplier_override":2}}"#;
        let listing = read([(200, MARKET), (200, SERIES), (200, event)]).unwrap();
        assert_eq!(rates(&listing), Some(("0".to_owned(), "0.14".to_owned())));
    }

    #[test]
    fn without_fees_that_are_its_own_a_market_has_none() {
        let flat = SERIES.replace("quadratic_with_maker_fees", "flat");
        let other = EVENT.replace("KXA-26NOV21", "KXA-26NOV22");
        for answers in [
            [(200, MARKET), (404, ""), (200, EVENT)],
            [(200, MARKET), (200, SERIES), (404, "")],
            [(200, MARKET), (200, &flat), (200, EVENT)],
            [(200, MARKET), (200, SERIES), (200, &other)],
        ] {
            assert_eq!(read(answers).unwrap().fees, None);
        }
        let missing = read([
            (404, r#"{"code":"not_found"}"#),
            (200, SERIES),
            (200, EVENT),
        ]);
        assert_eq!(
            missing.unwrap_err().to_string(),
            "kalshi refused: 404: not_found"
        );
        assert!(read([(200, MARKET), (500, ""), (200, EVENT)]).is_err());
        let multiplier = SERIES.replace("0.5", "-1");
        assert!(read([(200, MARKET), (200, &multiplier), (200, EVENT)]).is_err());
    }

    #[test]
    fn a_market_tells_its_shard() {
        let shards = Shards::default();
        let mut listings = KalshiListings::new(Membership::Direct, shards.clone());
        let responses = [MARKET, SERIES, EVENT].map(|body| Response {
            status: 200,
            headers: &[],
            body: body.as_bytes(),
        });
        let symbol = "KXA-26NOV21-T1";
        let listing = listings.read(symbol, InstrumentId(0), &responses, Nanos(0));
        assert_eq!(listing.unwrap().fees.unwrap().accrual, FeeAccrual::PerFill);
        assert_eq!((shards.of(symbol), shards.of("X")), (Some(2), None));
        assert!(
            listings
                .read("KXA-OTHER", InstrumentId(0), &responses, Nanos(0))
                .is_err()
        );
    }
}
