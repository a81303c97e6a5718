//! What a run came to: exact figures, from the core's own numbers.
use crate::error::Error;
use crate::unmatched::unmatched;
use onetape_engine::number::Money;
use onetape_engine::sequencer::{Sequencer, Sink};
use onetape_engine::session::PaperVenueConfig;
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::BTreeSet;

/// Figures of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Frames on the tape.
    pub frames: u64,
    /// Inputs since the session's start, its end included.
    pub inputs: u64,
    /// Stamp of the last frame, UTC ns.
    pub last_stamp_ns: u64,
    /// Orders that passed the gates.
    pub orders: u64,
    /// Cancels asked for.
    pub cancels: u64,
    /// Fills, and how many of them provided liquidity.
    pub fills: u64,
    /// Fills that provided liquidity.
    pub maker_fills: u64,
    /// Orders that ended filled.
    pub filled: u64,
    /// Orders that ended cancelled.
    pub cancelled: u64,
    /// Orders that the venue refused.
    pub rejected: u64,
    /// Orders that ended by their time in force.
    pub expired: u64,
    /// Orders still at work at the end.
    pub open_orders: usize,
    /// Gates that stopped orders, and how often.
    pub gates: Vec<GateCount>,
    /// Reasons to halt that are in force at the end.
    pub halts: Vec<String>,
    /// By strategy and currency.
    pub results: Vec<StrategyResult>,
    /// By strategy and instrument.
    pub positions: Vec<PositionResult>,
    /// Strategies' figures of their own: strategy, name with unit, value.
    pub figures: Vec<(String, &'static str, Decimal)>,
    /// What a reader should know: names of the configuration that the tape does not have.
    pub warnings: Vec<String>,
    /// How the paper venue behaved, for each venue on the tape.
    pub paper: Vec<PaperVenue>,
    /// BLAKE3 of market and desk at the end.
    pub state_hash: String,
}

/// How the paper venue behaved for one venue.
#[derive(Clone, Debug, Serialize)]
pub struct PaperVenue {
    /// The venue.
    pub venue: String,
    /// Its latency, queue model and rates.
    #[serde(flatten)]
    pub config: PaperVenueConfig,
}

/// How often a gate stopped an order.
#[derive(Clone, Debug, Serialize)]
pub struct GateCount {
    /// The gate.
    pub gate: &'static str,
    /// How often.
    pub denied: u64,
}

/// A strategy's result in one currency. Net profit is realised plus open profit minus fees.
#[derive(Clone, Debug, Serialize)]
pub struct StrategyResult {
    /// The strategy's id.
    pub strategy: String,
    /// The currency.
    pub currency: String,
    /// Profit of what was closed, fees apart.
    pub realised: Money,
    /// Profit that closing what is open would bring at the prices one would hit, fees apart.
    pub unrealised: Money,
    /// Fees paid.
    pub fees: Money,
    /// Realised plus unrealised minus fees.
    pub net: Money,
    /// Notional of all fills.
    pub turnover: Money,
    /// Largest fall of net profit from its highest, sampled at each fill and once a second of event time.
    pub max_drawdown: Money,
}

/// A position at the end.
#[derive(Clone, Debug, Serialize)]
pub struct PositionResult {
    /// The strategy's id.
    pub strategy: String,
    /// "venue:symbol".
    pub instrument: String,
    /// Signed quantity.
    pub qty: Decimal,
    /// What the open quantity cost, signed.
    pub cost: Money,
    /// Profit of what was closed, fees apart.
    pub realised: Money,
    /// Fees paid.
    pub fees: Money,
    /// Number of fills.
    pub fills: u64,
}

impl Summary {
    /// The figures of a sequencer's state.
    ///
    /// # Errors
    /// [`Error::Config`] when a sum overflows.
    pub fn of<S: Sink>(sequencer: &mut Sequencer<S>) -> Result<Self, Error> {
        let overflow = |e: onetape_engine::error::EngineError| Error::Config(e.to_string());
        let state_hash = sequencer
            .state_hash()
            .map_err(overflow)?
            .to_hex()
            .to_string();
        let (market, desk) = (sequencer.market(), sequencer.desk());
        let id = |strategy: onetape_engine::id::StrategyId| {
            desk.config()
                .strategies
                .get(strategy.index())
                .map_or_else(|| "?".to_owned(), |s| s.id.clone())
        };
        let (mut results, mut positions): (Vec<StrategyResult>, Vec<PositionResult>) =
            (Vec::new(), Vec::new());
        for position in desk.ledger().positions() {
            let instrument = market.instrument(position.instrument).map_err(overflow)?;
            let (strategy, currency) = (
                id(position.strategy),
                market.currency(instrument.quote_currency),
            );
            positions.push(PositionResult {
                strategy: strategy.clone(),
                instrument: instrument.name.clone(),
                qty: instrument.decimals().qty_decimal(position.qty),
                cost: position.cost,
                realised: position.realised,
                fees: position.fees,
                fills: position.fills,
            });
            let place = results
                .iter()
                .position(|r| r.strategy == strategy && r.currency == currency);
            let place = place.unwrap_or_else(|| {
                let key = (position.strategy, instrument.quote_currency);
                let curve = desk
                    .performance()
                    .equity()
                    .iter()
                    .find(|e| (e.strategy, e.currency) == key);
                results.push(StrategyResult {
                    strategy,
                    currency: currency.to_owned(),
                    realised: Money::ZERO,
                    unrealised: Money::ZERO,
                    fees: Money::ZERO,
                    net: Money::ZERO,
                    turnover: Money::ZERO,
                    max_drawdown: curve.map_or(Money::ZERO, |e| e.max_drawdown),
                });
                results.len() - 1
            });
            let Some(result) = results.get_mut(place) else {
                continue;
            };
            let value = position.value(instrument).map_err(overflow)?;
            let sum = |a: Money, b: Money| a.add(b).map_err(|e| overflow(e.into()));
            result.realised = sum(result.realised, position.realised)?;
            result.unrealised = sum(result.unrealised, sum(value, position.cost.negated())?)?;
            result.fees = sum(result.fees, position.fees)?;
            result.turnover = sum(result.turnover, position.turnover)?;
            result.net = sum(
                sum(result.realised, result.unrealised)?,
                result.fees.negated(),
            )?;
        }
        let named = desk.strategy_ids().zip(&desk.config().strategies);
        let figures = named.flat_map(|(id, strategy)| {
            let of = move |(name, value)| (strategy.id.clone(), name, value);
            desk.figures(id).into_iter().map(of)
        });
        let figures = figures.collect();
        let venues: BTreeSet<&str> = market
            .instruments()
            .iter()
            .map(|i| i.definition.venue.as_str())
            .collect();
        let stats = desk.stats();
        Ok(Self {
            figures,
            warnings: unmatched(desk.config(), market),
            frames: sequencer.next_sequence().0 - 1,
            inputs: stats.inputs,
            last_stamp_ns: sequencer.last_stamp().0,
            orders: stats.orders,
            cancels: stats.cancels,
            fills: stats.fills,
            maker_fills: stats.maker_fills,
            filled: stats.filled,
            cancelled: stats.cancelled,
            rejected: stats.rejected,
            expired: stats.expired,
            open_orders: desk.orders().len(),
            gates: stats
                .gates()
                .map(|(gate, denied)| GateCount {
                    gate: gate.name(),
                    denied,
                })
                .collect(),
            halts: desk
                .risk()
                .halts
                .iter()
                .map(|reason| format!("{reason:?}"))
                .collect(),
            results,
            positions,
            paper: venues
                .into_iter()
                .map(|venue| PaperVenue {
                    venue: venue.to_owned(),
                    config: desk.config().paper.for_venue(venue),
                })
                .collect(),
            state_hash,
        })
    }
}
