//! Trading rules (GET exchangeInfo, filters.md) and fees (GET account/commission) of a spot symbol.
use super::VENUE;
use super::answer::{body, read, to_ms};
use super::commission::Commission;
use super::error::{NO_SUCH_SYMBOL, bad_field};
use super::sign::{API_KEY_HEADER, Form, Signer};
use crate::gateway::{Bucket, Listing, Listings, Request, Response, WireError, shortened};
use onetape_engine::event::{
    FeeSchedule, InstrumentDefined, InstrumentType, Liquidity, MarketStatus, TradingRules,
    TradingStatus,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Money, NumberError, Price, Qty};
use onetape_engine::order::Side;
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde::Deserialize;
use std::borrow::Cow;

/// Decimals of a commission.
const FEE_DECIMALS: u8 = 8;

/// How the venue's spot markets are asked for.
#[derive(Debug)]
pub struct Markets {
    signer: Option<Signer>,
    recv_window_ms: u64,
}

impl Markets {
    /// With a signer fees are those of the account; without one there are none.
    pub const fn new(signer: Option<Signer>, recv_window_ms: u64) -> Self {
        Self {
            signer,
            recv_window_ms,
        }
    }
}

impl Listings for Markets {
    fn venue(&self) -> &'static str {
        VENUE
    }

    fn requests(&mut self, symbol: &str, now: Nanos) -> Vec<Request> {
        let form = Form::default().with("symbol", symbol);
        let info = format!("/api/v3/exchangeInfo?{}", form.text());
        let mut requests = vec![Request {
            weight: 20,
            ..Request::get("rest", info, Bucket::Public)
        }];
        if let Some(signer) = &self.signer {
            let signed = signer.signed(
                form.with("recvWindow", self.recv_window_ms)
                    .with("timestamp", to_ms(now)),
            );
            let target = format!("/api/v3/account/commission?{signed}");
            requests.push(Request {
                weight: 20,
                headers: vec![(API_KEY_HEADER, signer.api_key().to_owned())],
                ..Request::get("rest", target, Bucket::Read)
            });
        }
        requests
    }

    fn is_gone(&self, error: &WireError) -> bool {
        matches!(error, WireError::Refused { code, .. } if *code == NO_SUCH_SYMBOL.to_string())
    }

    fn read(
        &mut self,
        symbol: &str,
        instrument: InstrumentId,
        responses: &[Response<'_>],
        now: Nanos,
    ) -> Result<Listing, WireError> {
        let missing = || bad_field("listing", "answers", symbol, "one answer for each request");
        let info: ExchangeInfo<'_> = read(
            "exchangeInfo",
            body(responses.first().ok_or_else(missing)?)?,
        )?;
        let one = info.symbols.iter().find(|one| one.symbol == symbol);
        let one = one
            .ok_or_else(|| bad_field("exchangeInfo", "symbols", symbol, "the symbol asked for"))?;
        let (decimals, rules) = one.rules(instrument, now)?;
        let fees = match &self.signer {
            Some(_) => {
                let answer = responses.get(1).ok_or_else(missing)?;
                let commission = Commission::read(body(answer)?)?;
                Some(schedule(&commission, instrument, now))
            }
            None => None,
        };
        let is_open = one.status == "TRADING" && one.is_spot_trading_allowed;
        Ok(Listing {
            definition: InstrumentDefined {
                instrument,
                venue: VENUE.to_owned(),
                symbol: symbol.to_owned(),
                instrument_type: InstrumentType::Spot,
                base: one.base_asset.to_uppercase(),
                quote: one.quote_asset.to_uppercase(),
                decimals,
            },
            rules,
            fees,
            status: MarketStatus {
                instrument,
                status: if is_open {
                    TradingStatus::Open
                } else {
                    TradingStatus::Halted
                },
            },
            terms: None,
            rules_text: None,
        })
    }
}

/// Without the discount, which ends when the discount asset is used up, and at the dearer of buying and selling: the fee
/// that a fill reports is what counts, this is what is reckoned with before.
fn schedule(commission: &Commission, instrument: InstrumentId, now: Nanos) -> FeeSchedule {
    let formula = |liquidity| {
        let rate = |side| commission.rate(side, liquidity);
        FeeFormula::notional(rate(Side::Buy).max(rate(Side::Sell)).normalize())
    };
    FeeSchedule {
        instrument,
        effective_from: now,
        maker: formula(Liquidity::Maker),
        taker: formula(Liquidity::Taker),
        rounding: Rounding {
            decimals: FEE_DECIMALS,
            mode: RoundingMode::Up,
        },
        source: "venue".to_owned(),
        accrual: FeeAccrual::PerFill,
    }
}

#[derive(Deserialize)]
struct ExchangeInfo<'a> {
    #[serde(borrow)]
    symbols: Vec<Symbol<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Symbol<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    base_asset: Cow<'a, str>,
    base_asset_precision: u8,
    #[serde(borrow)]
    quote_asset: Cow<'a, str>,
    quote_asset_precision: u8,
    is_spot_trading_allowed: bool,
    #[serde(borrow)]
    filters: Vec<Filter<'a>>,
}

/// The filters that bound an order by itself. Those that depend on the market or the account (PERCENT_PRICE_BY_SIDE,
/// MAX_NUM_ORDERS, ...) are the venue's to enforce.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter<'a> {
    #[serde(borrow)]
    filter_type: Cow<'a, str>,
    #[serde(borrow)]
    min_price: Option<Cow<'a, str>>,
    #[serde(borrow)]
    max_price: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tick_size: Option<Cow<'a, str>>,
    #[serde(borrow)]
    min_qty: Option<Cow<'a, str>>,
    #[serde(borrow)]
    step_size: Option<Cow<'a, str>>,
    #[serde(borrow)]
    min_notional: Option<Cow<'a, str>>,
}

/// How many decimals a step such as "0.00100000" has; `None` for a step of zero, which means that there is none.
fn decimals_of(step: &str) -> Option<u8> {
    let text = step.trim_end_matches('0');
    let significant = text.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    let decimals = text
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    significant.then_some(u8::try_from(decimals).unwrap_or(u8::MAX))
}

impl Symbol<'_> {
    fn filter(&self, names: [&str; 2]) -> Result<&Filter<'_>, WireError> {
        let found = self
            .filters
            .iter()
            .find(|filter| names.contains(&filter.filter_type.as_ref()));
        found.ok_or_else(|| {
            bad_field(
                "exchangeInfo",
                "filters",
                &self.symbol,
                "price, lot and notional filters",
            )
        })
    }

    /// Decimals from the text of tick and step, and the rules in them.
    fn rules(
        &self,
        instrument: InstrumentId,
        now: Nanos,
    ) -> Result<(Decimals, TradingRules), WireError> {
        let price = self.filter(["PRICE_FILTER"; 2])?;
        let lot = self.filter(["LOT_SIZE"; 2])?;
        let notional = self.filter(["NOTIONAL", "MIN_NOTIONAL"])?;
        let field = |field: &'static str, text: &Option<Cow<'_, str>>| {
            let present = text.as_deref().map(str::to_owned);
            present.ok_or_else(|| bad_field("exchangeInfo", field, &self.symbol, "a number"))
        };
        let tick = field("tickSize", &price.tick_size)?;
        let step = field("stepSize", &lot.step_size)?;
        let decimals = Decimals::new(
            decimals_of(&tick).unwrap_or(self.quote_asset_precision),
            decimals_of(&step).unwrap_or(self.base_asset_precision),
        )
        .map_err(|why| self.number("tickSize", &tick, why))?;
        let prices = |field: &'static str, text: &str| {
            let read = decimals.parse_price(text);
            read.map_err(|why| self.number(field, text, why))
        };
        let quantities = |field: &'static str, text: &str| {
            let read = decimals.parse_qty(text);
            read.map_err(|why| self.number(field, text, why))
        };
        let tick_size = prices("tickSize", &tick)?.max(Price(1));
        let (lowest, highest) = (
            prices("minPrice", &field("minPrice", &price.min_price)?)?,
            prices("maxPrice", &field("maxPrice", &price.max_price)?)?,
        );
        let min_notional = field("minNotional", &notional.min_notional)?;
        let min_notional = Decimal::from_str_exact(&min_notional)
            .ok()
            .and_then(|amount| Money::from_decimal(amount).ok())
            .ok_or_else(|| {
                bad_field(
                    "exchangeInfo",
                    "minNotional",
                    &min_notional,
                    "an amount of money",
                )
            })?;
        let rules = TradingRules {
            instrument,
            effective_from: now,
            tick_size,
            lot_size: quantities("stepSize", &step)?.max(Qty(1)),
            min_qty: quantities("minQty", &field("minQty", &lot.min_qty)?)?,
            min_notional,
            // Zero switches a bound off.
            min_price: lowest.max(tick_size),
            max_price: if highest == Price(0) {
                Price(i64::MAX)
            } else {
                highest
            },
            bands: Vec::new(),
            allows_short: false,
        };
        Ok((decimals, rules))
    }

    fn number(&self, field: &'static str, value: &str, why: NumberError) -> WireError {
        WireError::Number {
            venue: VENUE,
            symbol: shortened(&self.symbol),
            field,
            value: shortened(value),
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_come_from_the_text_of_a_step() {
        for (step, decimals) in [
            ("0.00100000", Some(3)),
            ("1.00000000", Some(0)),
            ("1", Some(0)),
            ("10", Some(0)),
            ("0.1", Some(1)),
            ("0.00000000", None),
            ("", None),
        ] {
            assert_eq!(decimals_of(step), decimals, "{step}");
        }
    }
}
