//! Rules that a fact from outside must meet before it goes onto the tape, whatever the market is.
use super::{ContractTerms, Event, LeaderTrade, PairApproved, Strike, TradingDay};
use crate::order::OrderType;
use rust_decimal::Decimal;

/// A field of a fact that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field '{field}' is '{value}': {rule}")]
pub struct BadFact {
    /// The field's name on the tape.
    pub field: &'static str,
    /// What it holds.
    pub value: String,
    /// What it must be.
    pub rule: &'static str,
}

fn require(
    holds: bool,
    field: &'static str,
    value: impl ToString,
    rule: &'static str,
) -> Result<(), BadFact> {
    if holds {
        Ok(())
    } else {
        let value = value.to_string();
        Err(BadFact { field, value, rule })
    }
}

fn named(field: &'static str, value: &str) -> Result<(), BadFact> {
    require(!value.trim().is_empty(), field, value, "must not be empty")
}

/// The coldest and hottest that stations have ever shown, with room: degrees Fahrenheit.
fn temperature(field: &'static str, value: Decimal) -> Result<(), BadFact> {
    let (low, high) = (Decimal::from(-150), Decimal::from(150));
    require(
        low <= value && value <= high,
        field,
        value,
        "must be from -150 to 150 degrees Fahrenheit",
    )
}

fn wallet(value: &str) -> Result<(), BadFact> {
    let hex = value.strip_prefix("0x").unwrap_or_default();
    let plain = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    require(
        hex.len() == 40 && hex.chars().all(plain),
        "wallet",
        value,
        "must be 0x and 40 lower-case hex digits",
    )
}

impl Event<'_> {
    /// Checks an input's own fields. Whether it fits the state is for the market and the desk to say.
    ///
    /// # Errors
    /// [`BadFact`] names the first field that breaks a rule.
    pub fn check(&self) -> Result<(), BadFact> {
        match self {
            Event::ContractTerms(terms) => check_terms(terms),
            Event::RulesText(text) => named("rules_hash", &text.rules_hash),
            Event::PairApproved(pair) => check_pair(pair),
            Event::PairWithdrawn(withdrawn) => named("pair", &withdrawn.pair),
            Event::Forecast(forecast) => {
                named("station", &forecast.station)?;
                named("source", &forecast.source)?;
                temperature("high_f", forecast.high_f)
            }
            Event::Observation(observation) => {
                named("station", &observation.station)?;
                temperature("temperature_f", observation.temperature_f)
            }
            Event::LeaderListed(leader) => {
                wallet(&leader.wallet)?;
                require(
                    leader.winning_trades <= leader.sample_trades,
                    "winning_trades",
                    leader.winning_trades,
                    "must not be more than sample_trades",
                )?;
                require(
                    leader.typical_usd > Decimal::ZERO,
                    "typical_usd",
                    leader.typical_usd,
                    "must be more than zero: his trades are measured against it",
                )
            }
            Event::LeaderTrade(trade) => check_leader_trade(trade),
            Event::LeaderPortfolio(portfolio) => {
                wallet(&portfolio.wallet)?;
                require(
                    portfolio.value_usd > Decimal::ZERO,
                    "value_usd",
                    portfolio.value_usd,
                    "must be more than zero: his trades are shares of it",
                )?;
                for (place, holding) in portfolio.holdings.iter().enumerate() {
                    let again = portfolio.holdings[..place]
                        .iter()
                        .any(|other| other.instrument == holding.instrument);
                    require(
                        !again,
                        "holdings",
                        holding.instrument.0,
                        "must not name an instrument twice",
                    )?;
                    require(
                        holding.qty.0 >= 0,
                        "holdings",
                        holding.qty.0,
                        "must not be negative",
                    )?;
                }
                Ok(())
            }
            Event::TradingDay(day) => check_day(day),
            Event::DailyBar(bar) => {
                let inside = |price| bar.low <= price && price <= bar.high;
                require(
                    bar.low.0 > 0 && inside(bar.open) && inside(bar.close),
                    "low",
                    bar.low.0,
                    "must be positive, and open and close must lie between low and high",
                )?;
                require(
                    bar.volume.0 >= 0,
                    "volume",
                    bar.volume.0,
                    "must not be negative",
                )
            }
            Event::IntentReceived(intent) => {
                named("key", &intent.key)?;
                require(
                    intent.qty.0 > 0,
                    "qty",
                    intent.qty.0,
                    "must be more than zero",
                )?;
                require(
                    intent.price.0 > 0 || intent.order_type == OrderType::Market,
                    "price",
                    intent.price.0,
                    "a limit or stop needs a price",
                )?;
                require(
                    intent.replaces.as_ref() != Some(&intent.key),
                    "replaces",
                    &intent.key,
                    "an intent can't replace itself",
                )
            }
            Event::IntentPromoted(promoted) => {
                named("key", &promoted.key)?;
                named("operator", &promoted.operator)
            }
            Event::VenueHealth(health) => {
                named("venue", &health.venue)?;
                require(
                    health.errors_per_million <= 1_000_000,
                    "errors_per_million",
                    health.errors_per_million,
                    "must be at most 1000000",
                )
            }
            _ => Ok(()),
        }
    }
}

fn check_terms(terms: &ContractTerms) -> Result<(), BadFact> {
    named("event", &terms.event)?;
    named("cluster", &terms.cluster)?;
    named("rules_hash", &terms.rules_hash)?;
    require(
        terms.closes_at <= terms.settles_at,
        "closes_at",
        terms.closes_at.0,
        "must not be after settles_at",
    )?;
    let Some(temperature) = &terms.temperature else {
        return Ok(());
    };
    named("station", &temperature.station)?;
    match temperature.strike {
        Strike::Between { floor, cap } => require(
            floor <= cap,
            "strike",
            format!("between {floor} and {cap}"),
            "the floor must not be above the cap",
        ),
        Strike::Greater { .. } | Strike::Less { .. } => Ok(()),
    }
}

fn check_pair(pair: &PairApproved) -> Result<(), BadFact> {
    named("pair", &pair.pair)?;
    named("approver", &pair.approver)?;
    named("cluster", &pair.cluster)?;
    named("single_book_rules", &pair.single_book_rules)?;
    named("token_rules", &pair.token_rules)?;
    require(
        (1..=100).contains(&pair.confidence_pct),
        "confidence_pct",
        pair.confidence_pct,
        "must be from 1 to 100",
    )?;
    let distinct = pair.yes_token != pair.no_token
        && pair.single_book != pair.yes_token
        && pair.single_book != pair.no_token;
    require(
        distinct,
        "single_book",
        &pair.pair,
        "the contract and the two tokens must be three different instruments",
    )?;
    let first = pair.single_book_settles_at.min(pair.token_settles_at);
    require(
        pair.cut_off <= first,
        "cut_off",
        pair.cut_off.0,
        "must not be after the first settlement",
    )?;
    require(
        pair.approved_at <= pair.cut_off,
        "approved_at",
        pair.approved_at.0,
        "must not be after the cut-off",
    )
}

fn check_leader_trade(trade: &LeaderTrade) -> Result<(), BadFact> {
    wallet(&trade.wallet)?;
    named("transaction", &trade.transaction)?;
    require(
        trade.price.0 > 0,
        "price",
        trade.price.0,
        "must be more than zero",
    )?;
    require(
        trade.qty.0 > 0,
        "qty",
        trade.qty.0,
        "must be more than zero",
    )
}

fn check_day(day: &TradingDay) -> Result<(), BadFact> {
    named("calendar", &day.calendar)?;
    require(
        day.opens_at < day.closes_at,
        "opens_at",
        day.opens_at.0,
        "must be before closes_at",
    )?;
    require(
        day.utc_offset_s.unsigned_abs() <= 14 * 3_600,
        "utc_offset_s",
        day.utc_offset_s,
        "must be within 14 hours",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Forecast, LeaderListed};
    use crate::time::Nanos;

    #[test]
    fn a_fact_that_breaks_a_rule_is_named_with_field_value_and_rule() {
        let forecast = |station: &str, high: i64| {
            Event::Forecast(Box::new(Forecast {
                station: station.into(),
                day: 20_000,
                high_f: high.into(),
                issued_at: Nanos(1),
                source: "nws".into(),
            }))
        };
        assert_eq!(forecast("NYC", 85).check(), Ok(()));
        let bad = forecast("NYC", 850).check().unwrap_err();
        assert_eq!((bad.field, bad.value.as_str()), ("high_f", "850"));
        assert_eq!(forecast(" ", 85).check().unwrap_err().field, "station");
        let leader = |wallet: &str, wins| {
            Event::LeaderListed(Box::new(LeaderListed {
                wallet: wallet.into(),
                active: true,
                sample_trades: 10,
                winning_trades: wins,
                profit_usd: Decimal::ZERO,
                typical_usd: Decimal::TEN,
            }))
        };
        let address = "0x00000000000000000000000000000000000000ab";
        assert_eq!(leader(address, 10).check(), Ok(()));
        assert_eq!(
            leader(address, 11).check().unwrap_err().field,
            "winning_trades"
        );
        assert_eq!(leader("0xAB", 1).check().unwrap_err().field, "wallet");
    }
}
