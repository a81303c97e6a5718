//! Every table, one line for each column: name, type, value and meaning.
use crate::batch::{Batch, Stamp};
use crate::error::RowError;
use crate::names::{self, Names};
use crate::schema::{Column, ColumnType};
use crate::words;
use onetape_engine::event::{BookUpdate, Event, Fill, Kind, Level};
use onetape_engine::id::{InstrumentId, OrderId, StrategyId};
use onetape_engine::number::Price;
use onetape_engine::order::{OrderType, Side};
use onetape_engine::risk::HaltReason;

/// The columns that every table begins with; [`Batch::row`] fills them.
pub(crate) const COMMON: &[Column] = &[
    column(
        "sequence",
        ColumnType::U64,
        false,
        "the frame's place on the tape, from 1",
    ),
    column(
        "at",
        ColumnType::Time,
        false,
        "the frame's stamp; never decreases",
    ),
    column(
        "derived",
        ColumnType::Bool,
        false,
        "whether the frame follows from the inputs before it; false for an input",
    ),
    column(
        "ends_step",
        ColumnType::Bool,
        false,
        "whether the frame is the last of its step (an input and all it led to)",
    ),
    column(
        "cause",
        ColumnType::U64,
        true,
        "sequence of the frame that led to a derived one; null for inputs",
    ),
];

const fn column(
    name: &'static str,
    column_type: ColumnType,
    nullable: bool,
    about: &'static str,
) -> Column {
    Column {
        name,
        column_type,
        nullable,
        about,
    }
}

macro_rules! column_type {
    (bool) => {
        ColumnType::Bool
    };
    (u32) => {
        ColumnType::U32
    };
    (u64) => {
        ColumnType::U64
    };
    (decimal) => {
        ColumnType::Decimal
    };
    (time) => {
        ColumnType::Time
    };
    (text) => {
        ColumnType::Text
    };
}

macro_rules! nullable {
    () => {
        false
    };
    (null) => {
        true
    };
}

/// `Kind(event) in rows, "what a row is" { column: type [or null] = value, "what it means"; ... }`
macro_rules! tables {
    ($names:ident; $(
        $kind:ident($event:ident) $(for $each:pat in $rows:expr)?, $table_about:literal {
            $($name:ident: $type:ident $(or $null:ident)? = $value:expr, $about:literal;)*
        }
    )*) => {
        /// What a row of the kind's table is, and its columns after the common ones.
        pub(crate) const fn columns(kind: Kind) -> (&'static str, &'static [Column]) {
            match kind {
                $(Kind::$kind => {
                    const OWN: &[Column] =
                        &[$(column(stringify!($name), column_type!($type), nullable!($($null)?), $about),)*];
                    ($table_about, OWN)
                })*
            }
        }

        /// Adds a frame's rows to its kind's batch.
        pub(crate) fn add(event: &Event<'_>, $names: &Names, stamp: &Stamp, batch: &mut Batch) -> Result<(), RowError> {
            match event {
                $(Event::$kind($event) => rows!{ ($($each, $rows)?) {
                    #[allow(unused_mut, reason = "a table may have no columns of its own")]
                    let mut row = batch.row(stamp);
                    $(row.$type($value);)*
                    row.end();
                }},)*
            }
            Ok(())
        }
    };
}

macro_rules! rows {
    (() $row:block) => { $row };
    (($each:pat, $rows:expr) $row:block) => { for $each in $rows $row };
}

tables! { names;
    SessionStart(e), "the beginning of a session: who decides, with what" {
        engine_version: text = &*e.engine_version, "version of the engine that wrote the session";
        logic_hash: text = &*e.logic_hash, "hash of the engine's sources";
        config: text = &*serde_json::to_string(&e.config)?, "strategies, limits, paper venue and seed, as JSON";
    }
    SessionEnd(e), "the end of a session's inputs" {
        inputs: u64 = e.inputs, "inputs of the session before this one, its own start excepted";
    }
    DataSource(e), "a source of inputs" {
        name: text = &*e.name, "file name without its folder, or the generator's scenario";
        format: text = &*e.format, "`binance`, `csv`, `tardis`, `barter` or `generated`";
        identity: text = &*e.identity, "BLAKE3 of the file, or the generator's seed";
        generated: bool = e.generated, "true for data that no market ever showed";
    }
    InstrumentDefined(e), "an instrument" {
        instrument_id: u32 = e.instrument.0, "its number on the tape";
        instrument: text = names.instrument(e.instrument)?, "its name, `venue:symbol`";
        venue: text = &*e.venue, "venue, lower case";
        symbol: text = &*e.symbol, "the venue's own symbol";
        instrument_type: text = words::instrument_type(e.instrument_type), "`spot`, `perpetual`, `binary` or `equity`";
        base: text = &*e.base, "what is bought";
        quote: text = &*e.quote, "what it is paid in";
        price_decimals: u32 = u32::from(e.decimals.price), "decimals of its prices on the tape";
        qty_decimals: u32 = u32::from(e.decimals.qty), "decimals of its quantities on the tape";
    }
    TradingRules(e), "tick, lot and bounds of an instrument from a time on" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        effective_from: time or null = names::time(e.effective_from), "in force from here on; null beyond 2262-04-11";
        tick_size: decimal = names.price(e.instrument, e.tick_size)?, "prices are multiples of this";
        lot_size: decimal = names.qty(e.instrument, e.lot_size)?, "quantities are multiples of this";
        min_qty: decimal = names.qty(e.instrument, e.min_qty)?, "smallest order";
        min_notional: decimal = names::money("min_notional", e.min_notional)?, "smallest price times quantity; 0 where there is none";
        min_price: decimal = names.price(e.instrument, e.min_price)?, "lowest price";
        max_price: decimal = names.price(e.instrument, e.max_price)?, "highest price";
    }
    FeeSchedule(e), "fees of an instrument from a time on" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        effective_from: time or null = names::time(e.effective_from), "in force from here on; null beyond 2262-04-11";
        maker_formula: text = words::fee_formula(&e.maker), "for liquidity provided: `notional` (rate x price x qty) or `probability` (rate x qty x price x (1 - price))";
        maker_rate: decimal or null = names::decimal(e.maker.rate()), "its rate; null if it has more than 18 decimals";
        maker_rate_text: text = &*e.maker.rate().to_string(), "its rate, always exact";
        taker_formula: text = words::fee_formula(&e.taker), "for liquidity taken";
        taker_rate: decimal or null = names::decimal(e.taker.rate()), "its rate; null if it has more than 18 decimals";
        taker_rate_text: text = &*e.taker.rate().to_string(), "its rate, always exact";
        rounding_decimals: u32 = u32::from(e.rounding.decimals), "decimals that a fill's fee is rounded to";
        rounding_mode: text = words::rounding_mode(e.rounding.mode), "`up`, `down` or `nearest`";
        source: text = &*e.source, "where the rates come from";
    }
    Quote(e), "best bid and ask" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        bid_price: decimal or null = offered(names.price(e.instrument, e.bid_price)?, e.bid_qty.0), "best bid; null without one";
        bid_qty: decimal = names.qty(e.instrument, e.bid_qty)?, "quantity at the best bid; 0 without one";
        ask_price: decimal or null = offered(names.price(e.instrument, e.ask_price)?, e.ask_qty.0), "best ask; null without one";
        ask_qty: decimal = names.qty(e.instrument, e.ask_qty)?, "quantity at the best ask; 0 without one";
        venue_time: time or null = names::venue_time(e.venue_time_ns), "the venue's own time; null where the feed has none";
        update_id: u64 or null = names::some_id(e.update_id), "the venue's update id; null where the feed has none";
    }
    Trade(e), "a public trade" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        price: decimal = names.price(e.instrument, e.price)?, "price";
        qty: decimal = names.qty(e.instrument, e.qty)?, "quantity";
        aggressor: text = words::aggressor(e.aggressor()), "who crossed the spread: `buyer`, `seller` or `unknown`";
        venue_time: time or null = names::venue_time(e.venue_time_ns), "the venue's own time; null where the feed has none";
        trade_id: u64 or null = names::some_id(e.trade_id), "the venue's trade id; null where the feed has none";
    }
    BookSnapshot(e) for (side, place, level) in levels(e), "one level of a whole book; a book without levels has no row" {
        instrument_id: u32 = e.header.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.header.instrument)?, "the instrument's name";
        side: text = words::side(side), "`buy` for a bid, `sell` for an ask";
        level: u32 = place, "the level's place among the frame's levels of its side, from 0";
        price: decimal = names.price(e.header.instrument, level.price)?, "price";
        qty: decimal = names.qty(e.header.instrument, level.qty)?, "total quantity at the price";
        venue_time: time or null = names::venue_time(e.header.venue_time_ns), "the venue's own time; null where the feed has none";
        first_id: u64 or null = names::some_id(e.header.first_id), "the venue's first update id in the frame; null where the feed has none";
        last_id: u64 or null = names::some_id(e.header.last_id), "the book's state id after the frame; null where the feed has none";
        previous_id: u64 or null = names::some_id(e.header.previous_id), "null in snapshots: they build on nothing";
    }
    BookDelta(e) for (side, place, level) in levels(e), "one level of a book that changed; an update without levels has no row" {
        instrument_id: u32 = e.header.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.header.instrument)?, "the instrument's name";
        side: text = words::side(side), "`buy` for a bid, `sell` for an ask";
        level: u32 = place, "the level's place among the frame's levels of its side, from 0";
        price: decimal = names.price(e.header.instrument, level.price)?, "price";
        qty: decimal = names.qty(e.header.instrument, level.qty)?, "new total quantity at the price; 0 removes the level";
        venue_time: time or null = names::venue_time(e.header.venue_time_ns), "the venue's own time; null where the feed has none";
        first_id: u64 or null = names::some_id(e.header.first_id), "the venue's first update id in the frame; null where the feed has none";
        last_id: u64 or null = names::some_id(e.header.last_id), "the book's state id after the frame; null where the feed has none";
        previous_id: u64 or null = names::some_id(e.header.previous_id), "the state id that the frame builds on; null where the feed has none";
    }
    FeedState(e), "a feed's content can or can't be trusted any more" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        feed: text = words::feed(e.feed), "`book`, `quotes` or `trades`";
        condition: text = words::condition(&e.condition), "`snapshotting` or `stale`";
        stale_reason: text or null = words::stale_reason(&e.condition), "`gap`, `crossed`, `bad_level`, `disconnected` or `silent`; null unless stale";
        gap_expected: u64 or null = words::gap(&e.condition).map(|(expected, _)| expected), "the id that the next update had to build on; null unless a gap";
        gap_found: u64 or null = words::gap(&e.condition).map(|(_, found)| found), "the id that it builds on; null unless a gap";
    }
    MarketStatus(e), "a market opens, halts or closes" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        status: text = words::trading_status(e.status), "`open`, `halted` or `closed`";
    }
    Resolution(e), "what a contract finally pays" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        settlement_price: decimal = names.price(e.instrument, e.settlement_price)?, "paid for each unit of a long position";
    }
    Heartbeat(_e), "time passed and nothing else happened" {}
    OperatorCommand(e), "an operator's command" {
        action: text = words::operator_action(&e.action), "`halt` or `resume`";
        note: text = &*e.note, "why, in the operator's words";
    }
    ExecutionReport(e), "what became of an order; reports of a fill have the `fill_` columns" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        order: u64 = e.order.0, "which order: `sequence` of its row in `order_decided`, which has strategy and side";
        state: text = e.state.name(), "the order's state from here on: `acked`, `partially_filled`, `filled`, `cancelled`, `rejected`, `expired`, `unknown`, ...";
        reason: text or null = e.reason.map(words::venue_reason), "why the venue ended the order; null where it did not say";
        fill_id: u64 or null = e.fill.map(|fill| fill.fill_id), "the venue's id of the fill; null without a fill, as all that follow";
        fill_price: decimal or null = fill(e.fill, |f| names.price(e.instrument, f.price))?, "price of the fill";
        fill_qty: decimal or null = fill(e.fill, |f| names.qty(e.instrument, f.qty))?, "quantity of the fill; positive for both sides";
        fill_notional: decimal or null = fill(e.fill, |f| names.notional(e.instrument, f.price, f.qty))?, "price times quantity, exact; not on the tape";
        fill_fee: decimal or null = fill(e.fill, |f| names::money("fee", f.fee))?, "fee in the quote currency; never negative";
        liquidity: text or null = e.fill.map(|fill| words::liquidity(fill.liquidity)), "`maker` or `taker`";
    }
    TimerFired(e), "a timer is due" {
        strategy: text = names.strategy(e.strategy)?, "id of the strategy that set it";
        token: u64 = e.token, "what the strategy called it";
    }
    BarClosed(e), "open, high, low and close of an interval" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        interval_ns: u64 = e.interval_ns, "length of the interval in ns";
        open: decimal = names.price(e.instrument, e.open)?, "first price";
        high: decimal = names.price(e.instrument, e.high)?, "highest price";
        low: decimal = names.price(e.instrument, e.low)?, "lowest price";
        close: decimal = names.price(e.instrument, e.close)?, "last price";
        volume: decimal = names.qty(e.instrument, e.volume)?, "traded quantity; 0 for bars of quotes";
    }
    OrderDecided(e), "an order that passed the risk gate; `sequence` is its id" {
        strategy: text = names.strategy(e.strategy)?, "the strategy's id";
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        side: text = words::side(e.side), "`buy` or `sell`";
        order_type: text = words::order_type(e.order_type), "`limit` or `market`";
        time_in_force: text = words::time_in_force(e.time_in_force), "`good_till_cancel`, `immediate_or_cancel` or `post_only`";
        price: decimal or null = limit_price(e.order_type, e.price, names, e.instrument)?, "limit price; null for a market order";
        qty: decimal = names.qty(e.instrument, e.qty)?, "ordered quantity; positive";
    }
    CancelDecided(e), "a wish to cancel an order" {
        strategy: text = names.strategy(e.strategy)?, "the strategy's id";
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        order: u64 = e.order.0, "which order: `sequence` of its row in `order_decided`";
    }
    OrderDenied(e), "an order that the risk gate stopped" {
        strategy: text = names.strategy(e.strategy)?, "the strategy's id";
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        side: text = words::side(e.side), "`buy` or `sell`";
        price: decimal = names.price(e.instrument, e.price)?, "limit price asked for; 0 for a market order";
        qty: decimal = names.qty(e.instrument, e.qty)?, "quantity asked for";
        gate: text = e.gate.name(), "which gate stopped it";
        value: decimal or null = names::decimal(e.value), "what the gate saw; null if that needs more than 20 digits before or 18 after the point";
        value_text: text = &*e.value.to_string(), "what the gate saw, always exact";
        limit: decimal or null = names::decimal(e.limit), "what the gate allows; null as `value`";
        limit_text: text = &*e.limit.to_string(), "what the gate allows, always exact";
    }
    TimerSet(e), "a wish for a timer" {
        strategy: text = names.strategy(e.strategy)?, "the strategy's id";
        due: time or null = names::time(e.due), "when it is due; null beyond 2262-04-11";
        token: u64 = e.token, "what the strategy calls it";
    }
    HaltChanged(e), "a reason to halt came or went" {
        reason: text = words::halt_reason(e.reason), "`operator`, `daily_loss` or `illegal_move`";
        strategy: text or null = halted(e.reason).map(|id| names.strategy(id)).transpose()?, "the strategy that lost too much; null for other reasons";
        order: u64 or null = moved(e.reason).map(|order| order.0), "the order that a venue moved illegally; null for other reasons";
        active: bool = e.active, "true when the reason came, false when it went";
    }
    StateHash(e), "the hash of the whole state" {
        inputs: u64 = e.inputs, "inputs so far in the session";
        hash: text = &*e.hash, "BLAKE3 of the state, 64 hex digits";
    }
    StepClosed(e), "a step that a crash cut short, closed by recovery" {
        logic_hash: text = &*e.logic_hash, "logic hash of the build that closed it";
    }
}

/// The levels of an update as they stand in the frame: bids, then asks, each with its place on its side.
fn levels<'a>(update: &BookUpdate<'a>) -> impl Iterator<Item = (Side, u32, &'a Level)> + use<'a> {
    let of = |side, levels: &'a [Level]| {
        (0u32..)
            .zip(levels)
            .map(move |(place, level)| (side, place, level))
    };
    of(Side::Buy, update.bids).chain(of(Side::Sell, update.asks))
}

/// The price of a side of a quote, if there is anything to have at it.
fn offered(price: i128, qty: i64) -> Option<i128> {
    (qty != 0).then_some(price)
}

fn fill(
    fill: Option<Fill>,
    value: impl Fn(&Fill) -> Result<i128, RowError>,
) -> Result<Option<i128>, RowError> {
    fill.as_ref().map(value).transpose()
}

fn limit_price(
    order_type: OrderType,
    price: Price,
    names: &Names,
    instrument: InstrumentId,
) -> Result<Option<i128>, RowError> {
    match order_type {
        OrderType::Limit | OrderType::Stop => names.price(instrument, price).map(Some),
        OrderType::Market => Ok(None),
    }
}

const fn halted(reason: HaltReason) -> Option<StrategyId> {
    match reason {
        HaltReason::DailyLoss { strategy } => Some(strategy),
        HaltReason::Operator | HaltReason::IllegalMove { .. } => None,
    }
}

const fn moved(reason: HaltReason) -> Option<OrderId> {
    match reason {
        HaltReason::IllegalMove { order } => Some(order),
        HaltReason::Operator | HaltReason::DailyLoss { .. } => None,
    }
}
