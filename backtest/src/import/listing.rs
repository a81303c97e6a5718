//! What a recording does not say of an instrument: type, currencies, and fees that are assumed.
use super::binance;
use onetape_engine::event::{FeeSchedule, InstrumentType};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::InstrumentId;
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;

/// Quote currencies that symbols without a separator end with, longer ones first.
const QUOTES: [&str; 16] = [
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD", "EUR", "GBP", "JPY", "KRW", "TRY", "BRL",
    "BTC", "ETH", "BNB", "DAI",
];

pub(super) fn instrument_type(venue: &str) -> InstrumentType {
    let has = |parts: &[&str]| parts.iter().any(|part| venue.contains(part));
    if has(&["kalshi", "polymarket"]) {
        InstrumentType::Binary
    } else if has(&["futures", "swap", "perp", "usdm"]) {
        InstrumentType::Perpetual
    } else {
        InstrumentType::Spot
    }
}

/// Base and quote currency of a symbol. Where they can't be told, the quote is one of its own, so that money of two
/// unknown currencies is never added up.
pub(super) fn currencies(venue: &str, symbol: &str) -> (String, String) {
    let upper = symbol.to_ascii_uppercase();
    if instrument_type(venue) == InstrumentType::Binary {
        return (
            upper,
            if venue.contains("polymarket") {
                "USDC"
            } else {
                "USD"
            }
            .to_owned(),
        );
    }
    if let Some((first, second)) = upper
        .split_once(['-', '/', '_'])
        .filter(|(a, b)| !a.is_empty() && !b.is_empty())
    {
        // Upbit names the quote first: KRW-BTC.
        let (base, quote) = if venue == "upbit" {
            (second, first)
        } else {
            (first, second)
        };
        return (base.to_owned(), quote.to_owned());
    }
    for quote in QUOTES {
        if let Some(base) = upper.strip_suffix(quote).filter(|base| !base.is_empty()) {
            return (base.to_owned(), quote.to_owned());
        }
    }
    let quote = format!("{upper}-QUOTE");
    (upper, quote)
}

/// The fees of a new instrument: the venue's public base tier, or what the command gives. `None` where neither is known:
/// no schedule in force means no trading.
pub(super) fn fees(
    instrument: InstrumentId,
    venue: &str,
    maker: Option<Decimal>,
    taker: Option<Decimal>,
) -> Option<FeeSchedule> {
    let rate = |mantissa| Decimal::new(mantissa, 4);
    let base = match venue {
        binance::SPOT => Some((rate(10), rate(10))),
        binance::FUTURES => Some((rate(2), rate(5))),
        "upbit" => Some((rate(5), rate(5))),
        _ => None,
    };
    let maker_rate = maker.or(base.map(|b| b.0)).or(taker)?;
    let taker_rate = taker.or(base.map(|b| b.1)).or(maker)?;
    let given = maker.is_some() || taker.is_some();
    Some(FeeSchedule {
        instrument,
        effective_from: Nanos(0),
        maker: FeeFormula::Notional { rate: maker_rate },
        taker: FeeFormula::Notional { rate: taker_rate },
        rounding: Rounding {
            decimals: 8,
            mode: RoundingMode::Up,
        },
        source: if given { "given" } else { "assumed" }.to_owned(),
        accrual: FeeAccrual::PerFill,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_told_from_the_symbol() {
        let read = |venue: &str, symbol: &str| {
            let (base, quote) = currencies(venue, symbol);
            format!("{base}/{quote}")
        };
        assert_eq!(read("binance", "BTCUSDT"), "BTC/USDT");
        assert_eq!(read("binance", "ETHBTC"), "ETH/BTC");
        assert_eq!(read("upbit", "KRW-BTC"), "BTC/KRW");
        assert_eq!(read("deribit", "BTC-USD"), "BTC/USD");
        assert_eq!(read("nyse", "AAPL"), "AAPL/AAPL-QUOTE");
    }
}
