//! A market as its venue lists it, in the decimals that its instrument has on the tape. Those stand for ever; where a codec
//! takes them from the venue's own steps (Binance), another step is another number of decimals.
use onetape_engine::event::{TickBand, TradingRules, TradingStatus};
use onetape_engine::number::{Decimals, Price, Qty};
use onetape_venues::gateway::Listing;

/// The listing in other decimals. A grid that they can't hold halts the market, under the rules that it had last: what its
/// prices and quantities are can't be said on this tape any more.
///
/// # Errors
/// A text, for such a grid where there were no rules.
pub(crate) fn fit(
    mut listing: Listing,
    decimals: Decimals,
    last: Option<&TradingRules>,
) -> Result<Listing, String> {
    let from = listing.definition.decimals;
    listing.definition.decimals = decimals;
    if let Some(rules) = rescaled(&listing.rules, from, decimals) {
        listing.rules = rules;
        return Ok(listing);
    }
    let why = format!(
        "'{}' has a grid of {} and {} decimals now, the tape has {} and {}: it trades again on a new tape only",
        listing.definition.symbol, from.price, from.qty, decimals.price, decimals.qty
    );
    let Some(last) = last else { return Err(why) };
    tracing::error!(venue = listing.definition.venue, why, "halted");
    listing.rules = last.clone();
    listing.status.status = TradingStatus::Halted;
    Ok(listing)
}

/// Ticks and lots exactly; bounds to the next value within them.
fn rescaled(rules: &TradingRules, from: Decimals, to: Decimals) -> Option<TradingRules> {
    if from == to {
        return Some(rules.clone());
    }
    let price = |value: Price| Some(Price(exact(value.0, from.price, to.price)?));
    let bands = rules.bands.iter().map(|band| {
        Some(TickBand {
            from: price(band.from)?,
            tick: price(band.tick)?,
        })
    });
    Some(TradingRules {
        tick_size: price(rules.tick_size)?,
        lot_size: Qty(exact(rules.lot_size.0, from.qty, to.qty)?),
        min_qty: Qty(at_least(rules.min_qty.0, from.qty, to.qty)),
        min_price: Price(at_least(rules.min_price.0, from.price, to.price)),
        max_price: Price(at_most(rules.max_price.0, from.price, to.price)),
        bands: bands.collect::<Option<Vec<_>>>()?,
        ..rules.clone()
    })
}

fn unit(more: u8, less: u8) -> i64 {
    10i64.saturating_pow(more.saturating_sub(less).into())
}

fn exact(value: i64, from: u8, to: u8) -> Option<i64> {
    let fewer = unit(from, to);
    let whole = (value % fewer == 0).then_some(value / fewer)?;
    whole.checked_mul(unit(to, from))
}

/// No bound (the largest number) stays none.
fn at_most(value: i64, from: u8, to: u8) -> i64 {
    match value {
        i64::MAX => value,
        _ => (value / unit(from, to)).saturating_mul(unit(to, from)),
    }
}

fn at_least(value: i64, from: u8, to: u8) -> i64 {
    let fewer = unit(from, to);
    let whole = value / fewer + i64::from(value % fewer > 0);
    whole.saturating_mul(unit(to, from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetape_engine::event::{InstrumentDefined, InstrumentType, MarketStatus};
    use onetape_engine::id::InstrumentId;
    use onetape_engine::number::Money;
    use onetape_engine::time::Nanos;

    /// A tick of `tick` and a lot of `lot`, in these decimals.
    fn listing(decimals: Decimals, tick: i64, lot: i64) -> Listing {
        let instrument = InstrumentId(0);
        Listing {
            definition: InstrumentDefined {
                instrument,
                venue: "binance".to_owned(),
                symbol: "BTCUSDT".to_owned(),
                instrument_type: InstrumentType::Spot,
                base: "BTC".to_owned(),
                quote: "USDT".to_owned(),
                decimals,
            },
            rules: TradingRules {
                instrument,
                effective_from: Nanos(7),
                tick_size: Price(tick),
                lot_size: Qty(lot),
                min_qty: Qty(lot),
                min_notional: Money(5),
                min_price: Price(tick),
                max_price: Price(i64::MAX),
                bands: vec![TickBand {
                    from: Price(100 * tick),
                    tick: Price(10 * tick),
                }],
                allows_short: false,
            },
            fees: None,
            status: MarketStatus {
                instrument,
                status: TradingStatus::Open,
            },
            terms: None,
            rules_text: None,
        }
    }

    const ON_TAPE: Decimals = Decimals { price: 2, qty: 5 };

    #[test]
    fn a_coarser_grid_keeps_its_value_in_the_decimals_of_the_tape() {
        // 0.1 and 0.001, as a codec reads them.
        let coarser = listing(Decimals { price: 1, qty: 3 }, 1, 1);
        let fitted = fit(coarser, ON_TAPE, None).unwrap();
        assert_eq!(fitted.definition.decimals, ON_TAPE);
        let rules = &fitted.rules;
        assert_eq!((rules.tick_size, rules.lot_size), (Price(10), Qty(100)));
        assert_eq!((rules.min_price, rules.min_qty), (Price(10), Qty(100)));
        assert_eq!(rules.max_price, Price(i64::MAX));
        assert_eq!(
            (rules.bands[0].from, rules.bands[0].tick),
            (Price(1_000), Price(100))
        );
        assert_eq!(fitted.status.status, TradingStatus::Open);
    }

    #[test]
    fn more_decimals_for_the_same_steps_are_as_good() {
        let mut same = listing(Decimals { price: 4, qty: 8 }, 100, 1_000);
        same.rules.min_qty = Qty(1_001);
        same.rules.max_price = Price(99_999);
        let rules = fit(same, ON_TAPE, None).unwrap().rules;
        assert_eq!((rules.tick_size, rules.lot_size), (Price(1), Qty(1)));
        assert_eq!((rules.min_qty, rules.max_price), (Qty(2), Price(999)));
    }

    #[test]
    fn a_grid_that_the_tape_can_not_hold_halts_the_market_under_its_last_rules() {
        let last = listing(ON_TAPE, 1, 1);
        for finer in [Decimals { price: 3, qty: 5 }, Decimals { price: 2, qty: 6 }] {
            let found = fit(listing(finer, 1, 1), ON_TAPE, Some(&last.rules)).unwrap();
            assert_eq!(found.rules, last.rules);
            assert_eq!(found.status.status, TradingStatus::Halted);
            assert!(fit(listing(finer, 1, 1), ON_TAPE, None).is_err());
        }
    }
}
