//! Markets: grid, fees and exchange from the CLOB, rule text and dates from Gamma.
//!
//! Sources: the venue's pages on `/clob-markets`, `/markets-by-token` and Gamma's markets. Both outcomes of a market are
//! tokens of their own, and instruments of their own. `/clob-markets` has short names; Gamma writes lists as JSON inside
//! texts. Contracts of one event exclude each other: those of a neg-risk event all do, of other events the two of a market.
use super::error::{answer, bad, decimal, malformed, number_text, refused};
use super::tokens::{Token, Tokens};
use super::{CURRENCY, VENUE};
use crate::gateway::{Bucket, Listing, Listings, Request, Response, WireError, shortened};
use onetape_engine::event::{
    ContractTerms, FeeSchedule, InstrumentDefined, InstrumentType, MarketStatus, RulesText,
    TradingRules, TradingStatus,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Money, Price};
use onetape_engine::time::{DAY_NS, Nanos, SECOND_NS};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// How tokens are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListingConfig {
    /// Decimals of prices and shares: 4, the finest tick's, and 6, the token's. Fixed for an instrument's life.
    pub decimals: Decimals,
    /// From a market's end to its payout: 2 h, the oracle's challenge period.
    pub oracle_delay_ns: u64,
}

impl Default for ListingConfig {
    fn default() -> Self {
        Self {
            decimals: Decimals { price: 4, qty: 6 },
            oracle_delay_ns: 7_200 * SECOND_NS,
        }
    }
}

/// The listing.
#[derive(Debug)]
pub struct Markets {
    config: ListingConfig,
    /// Condition ids by token.
    conditions: HashMap<String, String>,
    /// Ticks by token, as they were listed last.
    ticks: HashMap<String, Decimal>,
    tokens: Tokens,
}

impl Markets {
    /// With the condition ids that are known already, by token. What signing needs goes to `tokens`.
    pub fn new(
        config: ListingConfig,
        conditions: impl IntoIterator<Item = (String, String)>,
        tokens: Tokens,
    ) -> Self {
        Self {
            config,
            conditions: conditions.into_iter().collect(),
            ticks: HashMap::new(),
            tokens,
        }
    }

    fn learn_condition(
        &mut self,
        symbol: &str,
        response: &Response<'_>,
    ) -> Result<WireError, WireError> {
        #[derive(Deserialize)]
        struct ByToken {
            condition_id: String,
        }
        let found: ByToken = answer("/markets-by-token", response)?;
        let is_id = |c: char| c.is_ascii_alphanumeric();
        if found.condition_id.is_empty() || !found.condition_id.chars().all(is_id) {
            return Err(bad(
                "/markets-by-token",
                "condition_id",
                &found.condition_id,
                "a condition id",
            ));
        }
        self.conditions
            .insert(symbol.to_owned(), found.condition_id);
        Ok(refused("ask again", "the token's market is known now"))
    }
}

#[derive(Deserialize)]
struct ClobMarket<'a> {
    #[serde(borrow)]
    t: Vec<ClobToken<'a>>,
    #[serde(borrow)]
    mos: &'a RawValue,
    #[serde(borrow)]
    mts: &'a RawValue,
    #[serde(borrow)]
    fd: Option<FeeDetails<'a>>,
}

#[derive(Deserialize)]
struct ClobToken<'a> {
    t: &'a str,
    #[serde(default)]
    o: String,
}

#[derive(Deserialize)]
struct FeeDetails<'a> {
    #[serde(borrow)]
    r: &'a RawValue,
    #[serde(borrow)]
    e: &'a RawValue,
    /// Takers only.
    #[serde(default = "yes")]
    to: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GammaMarket {
    condition_id: String,
    #[serde(default)]
    slug: String,
    #[serde(default)]
    question: String,
    #[serde(default)]
    description: String,
    end_date: Option<String>,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    closed: bool,
    #[serde(default)]
    accepting_orders: bool,
    #[serde(default)]
    neg_risk: bool,
    #[serde(default, rename = "negRiskMarketID")]
    neg_risk_market_id: Option<String>,
    clob_token_ids: Option<String>,
    outcomes: Option<String>,
    #[serde(default)]
    events: Vec<GammaEvent>,
}

#[derive(Deserialize)]
struct GammaEvent {
    #[serde(default)]
    slug: String,
}

impl GammaMarket {
    /// The list that stands as JSON in a text.
    fn list(field: &'static str, text: Option<&str>) -> Result<Vec<String>, WireError> {
        let text = text.unwrap_or_default();
        serde_json::from_str(text).map_err(|_| bad("market", field, text, "a list inside a text"))
    }

    fn status(&self) -> TradingStatus {
        if self.closed {
            TradingStatus::Closed
        } else if self.active && self.accepting_orders {
            TradingStatus::Open
        } else {
            TradingStatus::Halted
        }
    }

    /// What its contracts exclude each other within.
    fn event(&self) -> &str {
        let neg_risk = self.neg_risk_market_id.as_deref().unwrap_or_default();
        if self.neg_risk && !neg_risk.is_empty() {
            neg_risk
        } else {
            &self.condition_id
        }
    }

    fn cluster(&self) -> &str {
        let event = self.events.first().map(|event| event.slug.as_str());
        let names = [event.unwrap_or_default(), &self.slug];
        let named = names.into_iter().find(|name| !name.is_empty());
        named.unwrap_or(&self.condition_id)
    }
}

/// The schedule that a market tells; one that tells none takes none (the venue's own clients).
fn fees(
    instrument: InstrumentId,
    details: Option<&FeeDetails<'_>>,
    now: Nanos,
) -> Result<FeeSchedule, WireError> {
    const NAME: &str = "/clob-markets";
    let free = FeeFormula::probability(Decimal::ZERO);
    let (taker, maker) = match details {
        None => (free, free),
        Some(details) => {
            let rate = decimal(NAME, "fd.r", details.r)?.normalize();
            let exponent = decimal(NAME, "fd.e", details.e)?.normalize();
            let whole = u8::try_from(exponent.mantissa()).ok();
            let exponent = match whole.filter(|_| exponent.scale() == 0) {
                Some(exponent @ 1..=3) => exponent,
                // Where the rate is zero the exponent says nothing.
                _ if rate.is_zero() => 1,
                _ => {
                    let text = number_text(details.e);
                    return Err(bad(NAME, "fd.e", text, "an exponent of 1, 2 or 3"));
                }
            };
            if rate.is_sign_negative() && !rate.is_zero() {
                return Err(bad(NAME, "fd.r", number_text(details.r), "a rate"));
            }
            let taker = FeeFormula::Probability { rate, exponent };
            (taker, if details.to { free } else { taker })
        }
    };
    Ok(FeeSchedule {
        instrument,
        effective_from: now,
        maker,
        taker,
        rounding: Rounding {
            decimals: 5,
            mode: RoundingMode::Down,
        },
        source: "venue".to_owned(),
        accrual: FeeAccrual::PerFill,
    })
}

impl Listings for Markets {
    fn venue(&self) -> &'static str {
        VENUE
    }

    /// While a token's market is not known, one request that finds it; [`Markets::read`] then says "ask again".
    fn requests(&mut self, symbol: &str, _now: Nanos) -> Vec<Request> {
        let Some(condition) = self.conditions.get(symbol) else {
            let target = format!("/markets-by-token/{symbol}");
            return vec![Request::get("rest", target, Bucket::Public)];
        };
        let clob = format!("/clob-markets/{condition}");
        let gamma = format!("/markets?condition_ids={condition}");
        vec![
            Request::get("rest", clob, Bucket::Public),
            Request::get("gamma", gamma, Bucket::Public),
        ]
    }

    fn read(
        &mut self,
        symbol: &str,
        instrument: InstrumentId,
        responses: &[Response<'_>],
        now: Nanos,
    ) -> Result<Listing, WireError> {
        const NAME: &str = "/clob-markets";
        let (clob, gamma) = match responses {
            [by_token] => return Err(self.learn_condition(symbol, by_token)?),
            [clob, gamma] => (clob, gamma),
            _ => return Err(malformed(NAME, "two answers are needed")),
        };
        let market: ClobMarket<'_> = answer(NAME, clob)?;
        let gamma = gamma_market(gamma, self.conditions.get(symbol).map_or("", |c| c))?;
        let outcome = outcome(symbol, &market, &gamma)?;
        let decimals = self.config.decimals;
        let number = |field, raw: &RawValue| {
            let value = decimal(NAME, field, raw)?;
            let kept = decimals
                .price_from(value)
                .or(Ok::<_, WireError>(Price(-1)))?;
            Ok::<_, WireError>((value, kept))
        };
        let (tick_decimal, tick) = number("mts", market.mts)?;
        let one = Price(10i64.saturating_pow(decimals.price.into()));
        if tick.0 <= 0 || tick >= one {
            return Err(bad(NAME, "mts", number_text(market.mts), "a tick below 1"));
        }
        let min_size = decimal(NAME, "mos", market.mos)?;
        let share = |value: Decimal| {
            let qty = decimals.qty_from(value).ok().filter(|qty| qty.0 > 0);
            qty.ok_or_else(|| bad(NAME, "mos", number_text(market.mos), "shares"))
        };
        let closes_at = gamma.end_date.as_deref().map(instant).transpose()?;
        let token = Token {
            condition_id: gamma.condition_id.clone(),
            tick: tick_decimal.normalize(),
            neg_risk: gamma.neg_risk,
        };
        // The market channel may be ahead of a listing: the same tick once more takes nothing back that it told.
        if self.ticks.insert(symbol.to_owned(), token.tick) != Some(token.tick) {
            self.tokens.insert(symbol, token);
        }
        let rules_hash = blake3::hash(gamma.description.as_bytes())
            .to_hex()
            .to_string();
        Ok(Listing {
            definition: InstrumentDefined {
                instrument,
                venue: VENUE.to_owned(),
                symbol: symbol.to_owned(),
                instrument_type: InstrumentType::Binary,
                base: shortened(&format!("{}: {outcome}", gamma.question)),
                quote: CURRENCY.to_owned(),
                decimals,
            },
            rules: TradingRules {
                instrument,
                effective_from: now,
                tick_size: tick,
                lot_size: share(Decimal::new(1, super::amounts::SIZE_DECIMALS))?,
                min_qty: share(min_size)?,
                // One dollar at least holds for buys that take at once only; orders are held against it when they are signed.
                min_notional: Money::ZERO,
                min_price: tick,
                max_price: Price(one.0 - tick.0),
                bands: Vec::new(),
                allows_short: false,
            },
            fees: Some(fees(instrument, market.fd.as_ref(), now)?),
            status: MarketStatus {
                instrument,
                status: gamma.status(),
            },
            terms: closes_at.map(|closes_at| ContractTerms {
                instrument,
                event: gamma.event().to_owned(),
                cluster: gamma.cluster().to_owned(),
                closes_at,
                settles_at: closes_at.after(self.config.oracle_delay_ns),
                rules_hash: rules_hash.clone(),
                temperature: None,
            }),
            rules_text: Some(RulesText {
                instrument,
                rules_hash,
            }),
        })
    }
}

/// The market out of Gamma's list, or alone.
fn gamma_market(response: &Response<'_>, condition: &str) -> Result<GammaMarket, WireError> {
    const NAME: &str = "gamma market";
    let is_list = response.body.trim_ascii_start().starts_with(b"[");
    let markets: Vec<GammaMarket> = if is_list {
        answer(NAME, response)?
    } else {
        vec![answer(NAME, response)?]
    };
    let mut markets = markets.into_iter();
    markets
        .find(|market| market.condition_id.eq_ignore_ascii_case(condition))
        .ok_or_else(|| bad(NAME, "conditionId", condition, "a market that is listed"))
}

/// The token's outcome, where both answers know it.
fn outcome(
    symbol: &str,
    market: &ClobMarket<'_>,
    gamma: &GammaMarket,
) -> Result<String, WireError> {
    let unknown = |message, field| bad(message, field, symbol, "a token of the market");
    let listed = market.t.iter().find(|token| token.t == symbol);
    let listed = listed.ok_or_else(|| unknown("/clob-markets", "t"))?;
    let ids = GammaMarket::list("clobTokenIds", gamma.clob_token_ids.as_deref())?;
    let names = GammaMarket::list("outcomes", gamma.outcomes.as_deref())?;
    let place = ids.iter().position(|id| id == symbol);
    let place = place.ok_or_else(|| unknown("gamma market", "clobTokenIds"))?;
    let name = names.get(place).cloned();
    Ok(name
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| listed.o.clone()))
}

/// A time in ISO 8601, UTC: "2026-03-12T09:25:00Z", with or without a fraction, with a space, or a date alone.
pub(super) fn instant(text: &str) -> Result<Nanos, WireError> {
    read_instant(text).ok_or_else(|| bad("market", "endDate", text, "a time in UTC"))
}

fn read_instant(text: &str) -> Option<Nanos> {
    let text = text
        .strip_suffix('Z')
        .or(text.strip_suffix("+00"))
        .unwrap_or(text);
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, time),
        None => (text, "00:00:00"),
    };
    let numbers = |text: &str, separator: char| -> Option<[u64; 3]> {
        let parts: Option<Vec<u64>> = text.split(separator).map(|p| p.parse().ok()).collect();
        parts?.try_into().ok()
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(clock, ':')?;
    let in_range = (1970..=2200).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range || fraction.len() > 9 {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    let seconds = (hour * 60 + minute) * 60 + second;
    Some(Nanos(
        days(year, month, day) * DAY_NS + seconds * SECOND_NS + fraction,
    ))
}

/// Days since 1970-01-01 (H. Hinnant, days_from_civil).
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let month = (month + 9) % 12;
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_in_every_form_that_was_seen() {
        let expected = Nanos(1_773_307_500 * SECOND_NS);
        for text in [
            "2026-03-12T09:25:00Z",
            "2026-03-12T09:25:00.000Z",
            "2026-03-12 09:25:00+00",
        ] {
            assert_eq!(instant(text), Ok(expected), "{text}");
        }
        let fine = instant("2026-03-11T09:29:01.328428Z").unwrap();
        assert_eq!(fine.0 % SECOND_NS, 328_428_000);
        assert_eq!(instant("1970-01-01"), Ok(Nanos(0)));
        assert_eq!(instant("2024-02-29").unwrap().utc_day(), 19_782);
        for bad in [
            "",
            "2026-13-01",
            "2026-03-12T09:25",
            "2026-03-12T25:00:00Z",
            "-1-1-1",
            "2026-03-12T09:25:00.é",
        ] {
            assert!(instant(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_time_makes_the_reader_panic(text in "[0-9TZ:+. -]{0,40}") {
            let _ = instant(&text);
        }
    }
}
