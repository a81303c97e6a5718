//! Events that are rare: MessagePack with named fields.
use super::Kind;
use crate::error::DecodeError;
use crate::fees::{FeeFormula, Rounding};
use crate::id::{InstrumentId, OrderId, Sequence, StrategyId};
use crate::number::{Decimals, Money, Price, Qty};
use crate::order::{OrderState, OrderType, Side, TimeInForce};
use crate::risk::{Gate, HaltReason};
use crate::session::SessionConfig;
use crate::time::Nanos;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Who decides, with what. First frame of every session; secrets never stand here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionStart {
    /// Version of the engine that wrote the session.
    pub engine_version: String,
    /// Hash of the engine's sources, the same for debug and release builds.
    pub logic_hash: String,
    /// Strategies, limits, paper venue, seed.
    pub config: SessionConfig,
}

/// The inputs are complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// How many inputs the session had before this one, its own start excepted.
    pub inputs: u64,
}

/// Where inputs come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSource {
    /// File name without its folder, or the generator's scenario.
    pub name: String,
    /// "binance", "csv", "tardis", "barter" or "generated".
    pub format: String,
    /// BLAKE3 of the file, or the generator's seed.
    pub identity: String,
    /// True for data that no market ever showed.
    pub generated: bool,
}

/// What kind of thing trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstrumentType {
    /// Currency pair, delivered at once.
    Spot,
    /// Linear perpetual future, settled in the quote currency.
    Perpetual,
    /// Pays 1 or 0 of the quote currency.
    Binary,
    /// Stock.
    Equity,
}

/// An instrument and the decimals of its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstrumentDefined {
    /// Its index: the number of instruments defined before it.
    pub instrument: InstrumentId,
    /// Venue, lower case: "binance", "kalshi".
    pub venue: String,
    /// The venue's own symbol.
    pub symbol: String,
    /// What it is.
    pub instrument_type: InstrumentType,
    /// What is bought.
    pub base: String,
    /// What it is paid in.
    pub quote: String,
    /// Decimals of its price and quantity mantissas; fixed for the instrument's life.
    pub decimals: Decimals,
}

/// Tick, lot and bounds in force from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradingRules {
    /// Whose.
    pub instrument: InstrumentId,
    /// In force from here on.
    pub effective_from: Nanos,
    /// Prices are multiples of this; positive.
    pub tick_size: Price,
    /// Quantities are multiples of this; positive.
    pub lot_size: Qty,
    /// Smallest order.
    pub min_qty: Qty,
    /// Smallest price times quantity; zero where there is none.
    pub min_notional: Money,
    /// Lowest price.
    pub min_price: Price,
    /// Highest price.
    pub max_price: Price,
}

/// Fees in force from a time on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeSchedule {
    /// Whose.
    pub instrument: InstrumentId,
    /// In force from here on.
    pub effective_from: Nanos,
    /// For liquidity provided.
    pub maker: FeeFormula,
    /// For liquidity taken.
    pub taker: FeeFormula,
    /// How a fill's fee is rounded.
    pub rounding: Rounding,
    /// Where the rates come from: "venue", "assumed", ...
    pub source: String,
}

/// Which content of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feed {
    /// The L2 book.
    Book,
    /// Best bid and ask.
    Quotes,
    /// Public trades: nothing is kept of them that could go stale, so this marks the gap on the tape only.
    Trades,
}

/// Why a feed's content can't be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaleReason {
    /// Update ids do not follow each other.
    Gap {
        /// The id that the next update had to build on.
        expected: u64,
        /// The id that it builds on.
        found: u64,
    },
    /// Best bid at or above best ask after an update.
    Crossed,
    /// A level with a negative quantity or a price that is not positive.
    BadLevel,
    /// The connection broke.
    Disconnected,
    /// Nothing came for too long.
    Silent,
}

/// A feed's new state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedCondition {
    /// Updates come; the snapshot that they build on does not stand yet.
    Snapshotting,
    /// Not to be used until the next snapshot (book) or message (quotes).
    Stale(StaleReason),
}

/// A feed's content can or can't be trusted any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedState {
    /// Whose.
    pub instrument: InstrumentId,
    /// Which content.
    pub feed: Feed,
    /// From now on.
    pub condition: FeedCondition,
}

/// Whether a market takes orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TradingStatus {
    /// Orders are taken.
    #[default]
    Open,
    /// For now no orders.
    Halted,
    /// No orders any more.
    Closed,
}

/// A market opens, halts or closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketStatus {
    /// Whose.
    pub instrument: InstrumentId,
    /// From now on.
    pub status: TradingStatus,
}

/// What a contract finally pays; positions are paid out at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// Whose.
    pub instrument: InstrumentId,
    /// Paid for each unit of a long position.
    pub settlement_price: Price,
}

/// Time passed and nothing else happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {}

/// What an operator can ask of the core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorAction {
    /// Stop taking new risk.
    Halt,
    /// Take back the operator's own halt.
    Resume,
}

/// Somebody at the controls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCommand {
    /// What to do.
    pub action: OperatorAction,
    /// Why, in the operator's words.
    pub note: String,
}

/// Whether a fill provided or took liquidity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liquidity {
    /// Rested first.
    Maker,
    /// Took what rested.
    Taker,
}

/// One fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The venue's id of the fill; a repeated one changes nothing.
    pub fill_id: u64,
    /// Price.
    pub price: Price,
    /// Quantity; positive.
    pub qty: Qty,
    /// Fee in the instrument's quote currency; never negative.
    pub fee: Money,
    /// Maker or taker.
    pub liquidity: Liquidity,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionReport {
    /// What led to it: the deciding frame, or the market event that filled it. Zero for a venue's own report.
    pub cause: Sequence,
    /// Which order.
    pub order: OrderId,
    /// The order's instrument.
    pub instrument: InstrumentId,
    /// The order's state from here on.
    pub state: OrderState,
    /// The fill, in reports of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<Fill>,
    /// Why the venue rejected, expired or cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<VenueReason>,
}

/// Why a venue ended an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VenueReason {
    /// We asked for it.
    Requested,
    /// Immediate-or-cancel: the rest found no liquidity.
    NoLiquidity,
    /// Post-only, and it would have taken.
    WouldTake,
    /// The market is not open.
    MarketNotOpen,
    /// The paper venue's seeded reject.
    Seeded,
    /// It never reached the venue, as turned out after its outcome was unknown for a while.
    Lost,
    /// Price or quantity off the grid in force on arrival.
    Rules,
    /// The contract was resolved.
    Resolved,
    /// The venue's own reason, see its report.
    Other,
}

/// A timer that a strategy asked for is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerFired {
    /// The frame that set it.
    pub cause: Sequence,
    /// Whose.
    pub strategy: StrategyId,
    /// What the strategy called it.
    pub token: u64,
}

/// The wish for a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerSet {
    /// What led to it.
    pub cause: Sequence,
    /// Whose.
    pub strategy: StrategyId,
    /// When it is due.
    pub due: Nanos,
    /// What the strategy calls it.
    pub token: u64,
}

/// Open, high, low, close of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarClosed {
    /// The first tick of the bar.
    pub cause: Sequence,
    /// Whose.
    pub instrument: InstrumentId,
    /// Length of the interval in ns.
    pub interval_ns: u64,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Traded quantity.
    pub volume: Qty,
}

/// An order that passed the risk gate. Its id is its frame's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDecided {
    /// What led to it.
    pub cause: Sequence,
    /// Whose.
    pub strategy: StrategyId,
    /// In what.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Limit or market.
    pub order_type: OrderType,
    /// How long it stays.
    pub time_in_force: TimeInForce,
    /// Limit price; zero for a market order.
    pub price: Price,
    /// Quantity; positive.
    pub qty: Qty,
    /// What the strategy calls it; comes back with its frames.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tag: u64,
}

/// The wish to cancel an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelDecided {
    /// What led to it.
    pub cause: Sequence,
    /// Whose.
    pub strategy: StrategyId,
    /// The order's instrument.
    pub instrument: InstrumentId,
    /// Which.
    pub order: OrderId,
}

/// An order that the risk gate stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDenied {
    /// What led to it.
    pub cause: Sequence,
    /// Whose.
    pub strategy: StrategyId,
    /// In what.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Limit price asked for; zero for a market order.
    pub price: Price,
    /// Quantity asked for.
    pub qty: Qty,
    /// Which gate stopped it.
    pub gate: Gate,
    /// What the gate saw.
    pub value: Decimal,
    /// What it allows.
    pub limit: Decimal,
    /// What the strategy calls it; comes back with its frames.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tag: u64,
}

/// A reason to halt came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltChanged {
    /// What led to it.
    pub cause: Sequence,
    /// The reason.
    pub reason: HaltReason,
    /// True when it came, false when it went.
    pub active: bool,
}

/// The hash of the whole state after the frame before this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateHash {
    /// The input after which it was taken.
    pub cause: Sequence,
    /// Inputs so far in the session.
    pub inputs: u64,
    /// BLAKE3 of the state's snapshot encoding, 64 hex digits.
    pub hash: String,
}

/// A step that a crash cut short and that this build would decide otherwise: what was decided stands, the rest is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepClosed {
    /// The first frame of the step.
    pub cause: Sequence,
    /// The logic hash of the build that closed it.
    pub logic_hash: String,
}

/// A tag that no strategy gave is left out of frames.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(tag: &u64) -> bool {
    *tag == 0
}

pub(super) fn read<T: DeserializeOwned>(kind: Kind, payload: &[u8]) -> Result<T, DecodeError> {
    rmp_serde::from_slice(payload).map_err(|e| DecodeError::Malformed {
        kind: kind.name(),
        why: e.to_string(),
    })
}

pub(super) fn write<T: Serialize>(out: &mut Vec<u8>, event: &T) {
    // Writing plain data into memory fails only for maps of unknown length and the like, which no event has; a payload
    // cut short would be refused by every reader, so the error is checked where it can first appear: in tests.
    let written = rmp_serde::encode::write_named(out, event);
    debug_assert!(written.is_ok(), "invariant: events are plain data");
}
