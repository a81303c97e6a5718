//! Stocks as the gateway describes them. Pure: contract details go in, what introduces an instrument comes out.
use super::VENUE;
use super::broker::Contract;
use crate::gateway::fields::Reading;
use crate::gateway::{Listed, Listing, WireError};
use onetape_engine::event::{
    FeeSchedule, InstrumentDefined, InstrumentType, MarketStatus, TradingRules, TradingStatus,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Money, Price};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;

/// Orders go in cents, fills come between them (a midpoint, a price improvement), and positions in fractions of a share.
const DECIMALS: (u8, u8) = (4, 4);

/// A stock's contract details, as far as they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The broker's symbol: "BRK B".
    pub symbol: String,
    /// What it is paid in.
    pub currency: String,
    /// Where it is listed.
    pub primary_exchange: String,
    /// The smallest step of its price; none where the gateway's number is none.
    pub min_tick: Option<Decimal>,
}

/// The broker's symbol: "BRK B" where others say "BRK.B".
pub fn broker_symbol(symbol: &str) -> String {
    symbol.replace('.', " ")
}

/// A stock for the tape and for orders. Orders are of whole shares. Fees are the published fixed ones of US stocks
/// ("assumed"): what counts is what each execution is told to have cost.
///
/// # Errors
/// [`WireError`]: not exactly one stock is meant, or its step is none that the tape can have.
pub fn list(
    symbol: &str,
    instrument: InstrumentId,
    found: &[Details],
    now: Nanos,
) -> Result<(Listing, Contract), WireError> {
    let reading = Reading {
        venue: VENUE,
        message: "contract details",
    };
    let [details] = found else {
        let count = found.len().to_string();
        return Err(reading.bad("contracts", &count, "one stock of that symbol"));
    };
    let (price, qty) = DECIMALS;
    let malformed = |_| reading.malformed("decimals");
    let decimals = Decimals::new(price, qty).map_err(malformed)?;
    let listed = Listed {
        instrument,
        symbol: symbol.to_owned(),
        decimals,
    };
    let tick = details.min_tick.unwrap_or_default();
    let tick_size = reading.fits(
        "minTick",
        &tick.to_string(),
        &listed,
        decimals.price_from(tick),
    )?;
    if tick_size <= Price(0) {
        return Err(reading.bad("minTick", &tick.to_string(), "a step above zero"));
    }
    let share = decimals.qty_from(Decimal::ONE).map_err(malformed)?;
    let formula = FeeFormula::PerUnit {
        rate: Decimal::new(5, 3),
        minimum: Decimal::ONE,
        maximum: Decimal::new(1, 2),
    };
    let listing = Listing {
        definition: InstrumentDefined {
            instrument,
            venue: VENUE.to_owned(),
            symbol: symbol.to_owned(),
            instrument_type: InstrumentType::Equity,
            base: symbol.to_owned(),
            quote: details.currency.clone(),
            decimals,
        },
        rules: TradingRules {
            instrument,
            effective_from: now,
            tick_size,
            lot_size: share,
            min_qty: share,
            min_notional: Money::ZERO,
            min_price: tick_size,
            max_price: Price(i64::MAX),
            bands: Vec::new(),
            allows_short: true,
        },
        fees: Some(FeeSchedule {
            instrument,
            effective_from: now,
            maker: formula,
            taker: formula,
            rounding: Rounding {
                decimals: 2,
                mode: RoundingMode::Nearest,
            },
            source: "assumed".to_owned(),
            accrual: FeeAccrual::PerOrder,
        }),
        status: MarketStatus {
            instrument,
            status: TradingStatus::Open,
        },
        terms: None,
        rules_text: None,
    };
    let contract = Contract {
        listed,
        symbol: details.symbol.clone(),
        currency: details.currency.clone(),
        exchange: "SMART".to_owned(),
        primary_exchange: details.primary_exchange.clone(),
    };
    Ok((listing, contract))
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetape_engine::number::Qty;

    fn details(min_tick: &str) -> Details {
        Details {
            symbol: "BRK B".to_owned(),
            currency: "USD".to_owned(),
            primary_exchange: "NYSE".to_owned(),
            min_tick: min_tick.parse().ok(),
        }
    }

    #[test]
    fn a_stock_is_listed_in_cents_and_whole_shares_and_its_fills_may_be_finer() {
        let found = [details("0.01")];
        let (listing, contract) = list("BRK.B", InstrumentId(3), &found, Nanos(7)).unwrap();
        let decimals = listing.definition.decimals;
        assert_eq!(listing.rules.tick_size, Price(100));
        assert_eq!(listing.rules.lot_size, Qty(10_000));
        assert_eq!(decimals.parse_price("50.1250"), Ok(Price(501_250)));
        assert_eq!(
            (contract.symbol.as_str(), contract.listed.symbol.as_str()),
            ("BRK B", "BRK.B")
        );
        assert_eq!(broker_symbol("BRK.B"), "BRK B");
    }

    #[test]
    fn what_is_not_one_stock_with_a_step_is_refused() {
        let now = Nanos(0);
        for found in [vec![], vec![details("0.01"); 2]] {
            let error = list("BRK.B", InstrumentId(0), &found, now).unwrap_err();
            assert!(error.to_string().contains("one stock"), "{error}");
        }
        for tick in ["0", "0.00001", "none"] {
            let error = list("BRK.B", InstrumentId(0), &[details(tick)], now).unwrap_err();
            assert!(error.to_string().contains("minTick"), "{error}");
        }
    }
}
