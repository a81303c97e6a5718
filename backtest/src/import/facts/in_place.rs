//! Rules that a fact breaks by when it became known, by the instrument that it is about, or by what another one says.
use super::super::error::ImportError;
use super::document::Row;
use super::{Known, KnownInstrument};
use onetape_engine::event::{Event, FeeSchedule, PairApproved};
use onetape_engine::fees::FeeFormula;
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Price};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;

/// # Errors
/// The first field that breaks a rule.
pub(super) fn check(event: &Event<'_>, row: &Row, known: &Known) -> Result<(), ImportError> {
    check_time(event, row)?;
    let of = |id: InstrumentId| known.values().find(|instrument| instrument.id == id);
    let broken = match event {
        Event::TradingRules(rules) => rules.fault(),
        Event::FeeSchedule(fees) => {
            let decimals =
                of(fees.instrument).map_or(Decimals { price: 0, qty: 0 }, |i| i.decimals);
            fees.fault(decimals).or_else(|| dear(fees))
        }
        Event::LeaderTrade(trade) => out_of_payout("price", trade.price, of(trade.instrument)),
        Event::Resolution(resolution) => {
            let price = resolution.settlement_price;
            out_of_payout("settlement_price", price, of(resolution.instrument))
        }
        _ => None,
    };
    match broken {
        Some((field, why)) => Err(row.fault(field, "", why)),
        None => Ok(()),
    }
}

/// A rate above 100 % is percent written as a fraction's number.
fn dear(fees: &FeeSchedule) -> Option<(&'static str, &'static str)> {
    let is_dear = |formula: &FeeFormula| match formula {
        FeeFormula::Notional { rate } | FeeFormula::Probability { rate, .. } => {
            *rate > Decimal::ONE
        }
        FeeFormula::PerUnit { .. } => false,
    };
    let formulas = [("maker", &fees.maker), ("taker", &fees.taker)];
    let dear = formulas.into_iter().find(|(_, formula)| is_dear(formula));
    dear.map(|(field, _)| (field, "a rate must be at most 1, which is 100 %"))
}

fn out_of_payout(
    field: &'static str,
    price: Price,
    instrument: Option<&KnownInstrument>,
) -> Option<(&'static str, &'static str)> {
    let instrument = instrument.filter(|instrument| instrument.is_binary)?;
    let one = 10i64.checked_pow(instrument.decimals.price.into())?;
    let is_out = !(0..=one).contains(&price.0);
    is_out.then_some((field, "must be from 0 to 1: the contract pays 0 or 1"))
}

/// What happened can't have happened after it was known; what has a moment of its own needs one at which it was known.
fn check_time(event: &Event<'_>, row: &Row) -> Result<(), ImportError> {
    let (field, happened) = match event {
        Event::PairApproved(e) => ("approved_at", e.approved_at),
        Event::Forecast(e) => ("issued_at", e.issued_at),
        Event::Observation(e) => ("observed_at", e.observed_at),
        Event::LeaderTrade(e) => ("traded_at", e.traded_at),
        Event::LeaderPortfolio(e) => ("taken_at", e.taken_at),
        Event::PairWithdrawn(_)
        | Event::Resolution(_)
        | Event::IntentReceived(_)
        | Event::IntentPromoted(_) => ("at", Nanos(0)),
        _ => return Ok(()),
    };
    match row.at_ns {
        None => Err(row.fault("at", "", "the field is missing: when it became known")),
        Some(at_ns) if happened.0 > at_ns => {
            Err(row.fault(field, "", "must not be after `at`, when it became known"))
        }
        Some(_) => Ok(()),
    }
}

/// The pairs that are approved so far.
#[derive(Default)]
pub(super) struct Pairs(Vec<(String, [InstrumentId; 3], u64)>);

impl Pairs {
    /// # Errors
    /// When two names stand for the same three contracts: their facts could contradict each other.
    pub(super) fn see(&mut self, event: &Event<'_>, row: &Row) -> Result<(), ImportError> {
        match event {
            Event::PairApproved(pair) => {
                let contracts = contracts(pair);
                let twin = |(name, known, _): &&(String, [InstrumentId; 3], u64)| {
                    *known == contracts && *name != pair.pair
                };
                if let Some((name, _, line)) = self.0.iter().find(twin) {
                    let why = format!("line {line} approves the same contracts as '{name}'");
                    return Err(row.fault("pair", "", &why));
                }
                self.0.push((pair.pair.clone(), contracts, row.line));
            }
            Event::PairWithdrawn(withdrawn) => {
                self.0.retain(|(name, _, _)| *name != withdrawn.pair);
            }
            _ => {}
        }
        Ok(())
    }
}

/// In one order, whichever token is called YES.
fn contracts(pair: &PairApproved) -> [InstrumentId; 3] {
    let (a, b) = (pair.yes_token, pair.no_token);
    [pair.single_book, a.min(b), a.max(b)]
}
