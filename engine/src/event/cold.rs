//! Events that are rare: MessagePack with named fields.
use super::Kind;
use crate::error::DecodeError;
use crate::fees::{FeeAccrual, FeeFormula, Rounding};
use crate::id::{InstrumentId, OrderId, Sequence, StrategyId};
use crate::number::{Decimals, Money, Price, Qty};
use crate::order::{OneOf, OrderState, OrderType, Protect, Side, TimeInForce};
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

/// The tick from a price on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickBand {
    /// The band's lowest price: positive and a multiple of its tick. It ends where the next band begins.
    pub from: Price,
    /// Prices in the band are multiples of this; positive.
    pub tick: Price,
}

/// Tick, lot and bounds in force from a time on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradingRules {
    /// Whose.
    pub instrument: InstrumentId,
    /// In force from here on.
    pub effective_from: Nanos,
    /// Prices are multiples of this, below the first of `bands` where there are any; positive.
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
    /// Other ticks from some prices on, ascending; most instruments have one tick and none of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bands: Vec<TickBand>,
    /// Whether one may sell what one does not hold; false where a sale needs inventory: Polymarket's tokens, spot.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub allows_short: bool,
}

impl TradingRules {
    /// The tick at a price.
    #[inline]
    pub fn tick_at(&self, price: Price) -> Price {
        let band = self.bands.iter().rev().find(|band| band.from <= price);
        band.map_or(self.tick_size, |band| band.tick)
    }

    /// Whether the price is a multiple of the tick there. Bounds are another matter.
    #[inline]
    pub fn is_on_grid(&self, price: Price) -> bool {
        price.0 % self.tick_at(price).0 == 0
    }

    /// The highest price on the grid that is not above `price`.
    pub fn floor_price(&self, price: Price) -> Price {
        // A band begins on its own tick, so the result stays in the band.
        let below = price.0.rem_euclid(self.tick_at(price).0);
        Price(price.0.saturating_sub(below))
    }

    /// The lowest price on the grid that is not below `price`; the largest number there is where none fits one.
    pub fn ceil_price(&self, price: Price) -> Price {
        let tick = self.tick_at(price).0;
        let above = match price.0.rem_euclid(tick) {
            0 => return price,
            below => price.0.saturating_add(tick - below),
        };
        // The next band begins on the grid, maybe before this band's next tick.
        let next = self.bands.iter().find(|band| band.from > price);
        Price(next.map_or(above, |band| above.min(band.from.0)))
    }

    /// What is wrong with the numbers.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        self.fault().map_or(Ok(()), |(_, why)| Err(why))
    }

    /// The first field that can't be used, and why.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        const STEPS: &str = "tick and lot size must be positive";
        const BOUNDS: &str = "bounds exclude every order";
        if self.tick_size.0 <= 0 {
            return Some(("tick_size", STEPS));
        }
        if self.lot_size.0 <= 0 {
            return Some(("lot_size", STEPS));
        }
        if self.min_price > self.max_price {
            return Some(("max_price", BOUNDS));
        }
        if self.min_qty.0 < 0 {
            return Some(("min_qty", BOUNDS));
        }
        let bad = |why| Some(("bands", why));
        let mut last = Price(0);
        for band in &self.bands {
            if band.tick.0 <= 0 {
                return bad("the tick of a price band must be positive");
            }
            if band.from.0 <= 0 {
                return bad("a price band must begin at a positive price");
            }
            if band.from <= last {
                return bad("price bands must ascend");
            }
            if band.from.0 % band.tick.0 != 0 {
                return bad("a price band must begin on a multiple of its own tick");
            }
            last = band.from;
        }
        None
    }
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
    /// How a fee is rounded.
    pub rounding: Rounding,
    /// Where the rates come from: "venue", "assumed", ...
    pub source: String,
    /// How fees build up over the fills of one order.
    #[serde(default, skip_serializing_if = "FeeAccrual::is_per_fill")]
    pub accrual: FeeAccrual,
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
    /// A price that the trading rules in force do not have.
    OffGrid,
    /// A price of a contract that pays 0 or 1 outside the bounds in force.
    OutOfBounds,
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
    /// The daemon is about to end: no new risk, and resting orders are taken back where `cancel` says so.
    Stop {
        /// Whether resting orders are taken back.
        cancel: bool,
    },
    /// The daemon has begun again.
    Start,
    /// What a venue says next that we hold is right: differences so far are somebody else's trades or transfers.
    AcceptHoldings {
        /// Which venue.
        venue: String,
    },
    /// Inputs wait too long (true), or the core has caught up (false): said by the daemon itself.
    Backlog {
        /// Whether they wait.
        behind: bool,
    },
    /// Deciding the tape again came out otherwise: said by the daemon's continuous verifier.
    VerificationFailed {
        /// The first frame that differs.
        sequence: u64,
    },
    /// The journal's disk is nearly full (true), or has room again (false): said by the daemon itself.
    DiskSpace {
        /// Whether it is nearly full.
        low: bool,
    },
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
    /// The worst price that a market order may trade at where it leaves the process: our own book's best on the other
    /// side and the price collar beyond it. Venues without market orders get it as the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_price: Option<Price>,
    /// Which of several alternatives it is.
    pub one_of: Option<OneOf>,
    /// Exits that go to the venue with it; only where the venue holds an entry's exits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protect: Option<Protect>,
    /// The entry with which this order went to the venue: it is there already and is not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached_to: Option<OrderId>,
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

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_yes(value: &bool) -> bool {
    *value
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(tick: i64, bands: &[(i64, i64)]) -> TradingRules {
        let band = |(from, tick): &(i64, i64)| TickBand {
            from: Price(*from),
            tick: Price(*tick),
        };
        TradingRules {
            instrument: InstrumentId(0),
            effective_from: Nanos(0),
            tick_size: Price(tick),
            lot_size: Qty(1),
            min_qty: Qty(1),
            min_notional: Money::ZERO,
            min_price: Price(1),
            max_price: Price(i64::MAX),
            bands: bands.iter().map(band).collect(),
            allows_short: true,
        }
    }

    /// 4 decimals: 0.001 below 0.10 and from 0.90 on, 0.01 between.
    fn tapered_deci_cent() -> TradingRules {
        rules(10, &[(1_000, 100), (9_000, 10)])
    }

    /// Kalshi, price_ranges of `tapered_deci_cent`: the cases of its documents.
    #[test]
    fn kalshis_tapered_grid() {
        let rules = tapered_deci_cent();
        assert_eq!(rules.check(), Ok(()));
        let d = Decimals { price: 4, qty: 2 };
        for (price, valid) in [
            ("0.001", true),
            ("0.0995", false),
            ("0.099", true),
            ("0.10", true),
            ("0.105", false),
            ("0.11", true),
            ("0.901", true),
            ("0.9015", false),
            ("0.999", true),
        ] {
            assert_eq!(
                rules.is_on_grid(d.parse_price(price).unwrap()),
                valid,
                "{price}"
            );
        }
        // Across the edges: up into the next band, and down within the band.
        for (price, floor, ceil) in [
            (995, 990, 1_000),
            (1_000, 1_000, 1_000),
            (1_001, 1_000, 1_100),
            (8_999, 8_900, 9_000),
            (9_001, 9_000, 9_010),
        ] {
            assert_eq!(rules.floor_price(Price(price)), Price(floor));
            assert_eq!(rules.ceil_price(Price(price)), Price(ceil));
        }
    }

    /// Upbit, KRW markets since 2025-07-31 (docs, KRW market), at 8 decimals.
    #[test]
    fn upbits_krw_ticks() {
        const WON: i64 = 100_000_000;
        let bands: Vec<(i64, i64)> = [
            (WON / 100_000, 10),
            (WON / 10_000, 100),
            (WON / 1_000, 1_000),
            (WON / 100, 10_000),
            (WON / 10, WON / 1_000),
            (WON, WON / 100),
            (10 * WON, WON / 10),
            (100 * WON, WON),
            (1_000 * WON, WON),
            (5_000 * WON, 5 * WON),
            (10_000 * WON, 10 * WON),
            (50_000 * WON, 50 * WON),
            (100_000 * WON, 100 * WON),
            (500_000 * WON, 500 * WON),
            (1_000_000 * WON, 1_000 * WON),
        ]
        .into();
        let rules = rules(1, &bands);
        assert_eq!(rules.check(), Ok(()));
        let d = Decimals { price: 8, qty: 8 };
        for (price, tick, floor) in [
            ("162211499", "1000", "162211000"),
            ("999750", "500", "999500"),
            ("123456", "100", "123400"),
            ("75025", "50", "75000"),
            ("12345", "10", "12340"),
            ("7777", "5", "7775"),
            ("1234", "1", "1234"),
            ("999.5", "1", "999"),
            ("55.55", "0.1", "55.5"),
            ("5.555", "0.01", "5.55"),
            ("0.12345", "0.001", "0.123"),
        ] {
            let [price, tick, floor] = [price, tick, floor].map(|p| d.parse_price(p).unwrap());
            assert_eq!(
                (rules.tick_at(price), rules.floor_price(price)),
                (tick, floor)
            );
        }
        // The tick that ends a band is the next band's first.
        assert_eq!(
            rules.ceil_price(Price(999_999 * WON)),
            Price(1_000_000 * WON)
        );
    }

    #[test]
    fn bands_that_make_no_grid_are_refused() {
        for (tick, bands, why) in [
            (0, vec![], "tick and lot size must be positive"),
            (
                1,
                vec![(10, 0)],
                "the tick of a price band must be positive",
            ),
            (
                1,
                vec![(0, 5)],
                "a price band must begin at a positive price",
            ),
            (1, vec![(10, 5), (10, 2)], "price bands must ascend"),
            (1, vec![(20, 5), (10, 2)], "price bands must ascend"),
            (
                1,
                vec![(12, 5)],
                "a price band must begin on a multiple of its own tick",
            ),
        ] {
            assert_eq!(rules(tick, &bands).check(), Err(why));
        }
    }

    /// Journals hold orders from before exits went out with them.
    #[test]
    fn an_order_without_exits_is_written_as_before() {
        let plain = OrderDecided {
            cause: Sequence(1),
            strategy: StrategyId(0),
            instrument: InstrumentId(0),
            side: Side::Buy,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::GoodTillCancel,
            price: Price(100),
            qty: Qty(10),
            tag: 0,
            worst_price: None,
            one_of: None,
            protect: None,
            attached_to: None,
        };
        let full = OrderDecided {
            protect: Some(Protect {
                stop: Some(Price(90)),
                target: None,
            }),
            attached_to: Some(OrderId(3)),
            ..plain
        };
        let bytes = |order: &OrderDecided| {
            let mut bytes = Vec::new();
            write(&mut bytes, order);
            assert_eq!(
                read::<OrderDecided>(Kind::OrderDecided, &bytes).unwrap(),
                *order
            );
            bytes
        };
        let names = |bytes: &[u8], name: &[u8]| bytes.windows(name.len()).any(|it| it == name);
        for name in [b"protect".as_slice(), b"attached_to"] {
            assert!(!names(&bytes(&plain), name) && names(&bytes(&full), name));
        }
    }

    /// What was written before there were bands and venues without short positions, and rules that use neither, are the
    /// same bytes.
    #[test]
    fn rules_that_use_nothing_new_are_written_as_before() {
        #[derive(Serialize)]
        struct Rules {
            instrument: InstrumentId,
            effective_from: Nanos,
            tick_size: Price,
            lot_size: Qty,
            min_qty: Qty,
            min_notional: Money,
            min_price: Price,
            max_price: Price,
        }
        let plain = rules(10, &[]);
        let before = rmp_serde::to_vec_named(&Rules {
            instrument: plain.instrument,
            effective_from: plain.effective_from,
            tick_size: plain.tick_size,
            lot_size: plain.lot_size,
            min_qty: plain.min_qty,
            min_notional: plain.min_notional,
            min_price: plain.min_price,
            max_price: plain.max_price,
        })
        .unwrap();
        assert_eq!(rmp_serde::to_vec_named(&plain).unwrap(), before);
        assert_eq!(
            rmp_serde::from_slice::<TradingRules>(&before).unwrap(),
            plain
        );
        let full = TradingRules {
            allows_short: false,
            ..tapered_deci_cent()
        };
        let bytes = rmp_serde::to_vec_named(&full).unwrap();
        assert_eq!(rmp_serde::from_slice::<TradingRules>(&bytes).unwrap(), full);
    }

    proptest! {
        /// Against the list of all prices on the grid.
        #[test]
        fn rounding_finds_the_next_prices_on_the_grid(
            tick in 1i64..8, steps in prop::collection::vec((1i64..9, 1i64..8), 0..4), price in 0i64..150,
        ) {
            let mut from = 0;
            let bands: Vec<(i64, i64)> = steps.into_iter().map(|(step, tick)| {
                from = (from / tick + step) * tick;
                (from, tick)
            }).collect();
            let rules = rules(tick, &bands);
            prop_assert_eq!(rules.check(), Ok(()));
            let on_grid = |price: &i64| {
                let band = bands.iter().rfind(|(from, _)| from <= price);
                price % band.map_or(tick, |(_, tick)| *tick) == 0
            };
            prop_assert_eq!(rules.is_on_grid(Price(price)), on_grid(&price));
            let below = (0..=price).rev().find(on_grid);
            let above = (price..).find(on_grid);
            prop_assert_eq!(Some(rules.floor_price(Price(price)).0), below);
            prop_assert_eq!(Some(rules.ceil_price(Price(price)).0), above);
        }

        #[test]
        fn no_price_makes_the_grid_panic(price: i64, tick in 1i64..=i64::MAX) {
            for rules in [rules(tick, &[]), rules(1, &[(tick, tick)])] {
                prop_assert!(rules.floor_price(Price(price)) <= Price(price));
                prop_assert!(rules.ceil_price(Price(price)) >= Price(price));
            }
        }
    }
}
