//! Every table, one line for each column: name, type, value and meaning.
use crate::batch::{Batch, Stamp};
use crate::error::RowError;
use crate::names::{self, Names};
use crate::schema::{Column, ColumnType};
use crate::words;
use onetape_engine::event::{BookUpdate, Event, Fill, Kind, Level, TickBand, TradingRules};
use onetape_engine::fees::FeeFormula;
use onetape_engine::id::{InstrumentId, OrderId, StrategyId, VenueId};
use onetape_engine::number::{Money, Price};
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
        bands: text or null = bands(names, e)?.as_deref(), "other ticks, each from a price on: `0.1:0.01,0.9:0.001`; null where `tick_size` holds for every price";
        allows_short: bool = e.allows_short, "whether one may sell what one does not hold";
    }
    FeeSchedule(e), "fees of an instrument from a time on" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        effective_from: time or null = names::time(e.effective_from), "in force from here on; null beyond 2262-04-11";
        maker_formula: text = words::fee_formula(&e.maker), "for liquidity provided: `notional` (rate x price x qty), `probability` (rate x qty x (price x (1 - price))^exponent) or `per_unit` (rate x qty, bounded)";
        maker_rate: decimal or null = names::decimal(e.maker.rate()), "its rate; null if it has more than 18 decimals";
        maker_rate_text: text = &*e.maker.rate().to_string(), "its rate, always exact";
        taker_formula: text = words::fee_formula(&e.taker), "for liquidity taken";
        taker_rate: decimal or null = names::decimal(e.taker.rate()), "its rate; null if it has more than 18 decimals";
        taker_rate_text: text = &*e.taker.rate().to_string(), "its rate, always exact";
        rounding_decimals: u32 = u32::from(e.rounding.decimals), "decimals that a fill's fee is rounded to";
        rounding_mode: text = words::rounding_mode(e.rounding.mode), "`up`, `down` or `nearest`";
        source: text = &*e.source, "where the rates come from";
        accrual: text = words::fee_accrual(e.accrual), "how fees build up over an order's fills: `per_fill`, `per_order` or `kalshi_rebate`";
        maker_exponent: u32 or null = exponent(&e.maker), "the exponent of a `probability` formula; null for others";
        maker_minimum: text or null = minimum(&e.maker).as_deref(), "the least fee of a `per_unit` formula, always exact; null for others";
        maker_maximum: text or null = maximum(&e.maker).as_deref(), "the most as a fraction of the notional, always exact; null but for `per_unit`";
        taker_exponent: u32 or null = exponent(&e.taker), "as `maker_exponent`";
        taker_minimum: text or null = minimum(&e.taker).as_deref(), "as `maker_minimum`";
        taker_maximum: text or null = maximum(&e.taker).as_deref(), "as `maker_maximum`";
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
        stale_reason: text or null = words::stale_reason(&e.condition), "`gap`, `crossed`, `bad_level`, `disconnected`, `silent`, `off_grid` or `out_of_bounds`; null unless stale";
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
        action: text = words::operator_action(&e.action), "`halt`, `resume`, `stop`, `start`, `accept_holdings`, `backlog`, `verification_failed` or `disk_space`";
        details: text = &*words::json(&e.action)?, "the whole command, as JSON";
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
        order_type: text = words::order_type(e.order_type), "`limit`, `market` or `stop`";
        time_in_force: text = words::time_in_force(e.time_in_force), "`good_till_cancel`, `immediate_or_cancel` or `post_only`";
        price: decimal or null = limit_price(e.order_type, e.price, names, e.instrument)?, "limit or trigger price; null for a market order";
        qty: decimal = names.qty(e.instrument, e.qty)?, "ordered quantity; positive";
        tag: u64 = e.tag, "what the strategy calls it; 0 for nothing";
        one_of: u64 or null = e.one_of.map(|one_of| one_of.group), "the strategy's number of the group of alternatives that it belongs to: one that fills cancels the others";
        alternative: u32 or null = e.one_of.map(|one_of| u32::from(one_of.alternative)), "which alternative of the group it is part of";
        stop_loss: decimal or null = e.protect.and_then(|it| it.stop).map(|price| names.price(e.instrument, price)).transpose()?, "trigger of the stop-loss that goes to the venue with it; null where none does";
        target: decimal or null = e.protect.and_then(|it| it.target).map(|price| names.price(e.instrument, price)).transpose()?, "limit of the target that goes to the venue with it; null where none does";
        attached_to: u64 or null = e.attached_to.map(|entry| entry.0), "the entry with which it went to the venue; null for an order that is sent itself";
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
        reason: text = words::halt_reason(e.reason), "`operator`, `clock_drift`, `daily_loss`, `illegal_move`, `unreconciled`, `holdings_differ`, `stopping`, `backlog`, `verification` or `disk`";
        venue: u64 or null = trusted(e.reason).map(|venue| u64::from(venue.0)), "the number of the venue that is not trusted, in the order of their first instruments; null for other reasons";
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
    ContractTerms(e), "what a contract pays on, and when" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        event: text = &*e.event, "contracts of one event exclude each other";
        cluster: text = &*e.cluster, "what moves together with it";
        closes_at: time or null = names::time(e.closes_at), "no orders from here on; null beyond 2262-04-11";
        settles_at: time or null = names::time(e.settles_at), "when it is expected to pay; null beyond 2262-04-11";
        rules_hash: text = &*e.rules_hash, "hash of the rule text";
        temperature: text or null = e.temperature.as_ref().map(words::json).transpose()?.as_deref(), "station, day and strike of a temperature contract, as JSON; null for others";
    }
    RulesText(e), "a market's rule text as it stands now" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        rules_hash: text = &*e.rules_hash, "hash of the rule text";
    }
    PairApproved(e), "two contracts that somebody approved as the same question" {
        pair: text = &*e.pair, "its name";
        single_book: text = names.instrument(e.single_book)?, "the contract of the venue with one book a market";
        yes_token: text = names.instrument(e.yes_token)?, "the other venue's YES token";
        no_token: text = names.instrument(e.no_token)?, "the other venue's NO token";
        inverted: bool = e.inverted, "true where the token venue asks the opposite";
        single_book_rules: text = &*e.single_book_rules, "hash of the rule text that was read";
        token_rules: text = &*e.token_rules, "hash of the other rule text that was read";
        void_rule: text = &*words::of(&e.void_rule)?, "`both_refund`, `both_no` or `differs`";
        cut_off: time or null = names::time(e.cut_off), "no entries from here on; null beyond 2262-04-11";
        single_book_settles_at: time or null = names::time(e.single_book_settles_at), "when the single-book venue is expected to pay; null beyond 2262-04-11";
        token_settles_at: time or null = names::time(e.token_settles_at), "when the token venue is expected to pay; null beyond 2262-04-11";
        cluster: text = &*e.cluster, "what moves together with it";
        confidence_pct: u32 = u32::from(e.confidence_pct), "how sure the approver is, in percent";
        approver: text = &*e.approver, "who approved";
        approved_at: time or null = names::time(e.approved_at), "when; null beyond 2262-04-11";
        question: text = &*e.question, "what both venues ask, as the approver read it; empty where it was not written down";
    }
    PairWithdrawn(e), "an approval taken back" {
        pair: text = &*e.pair, "which";
        reason: text = &*e.reason, "why";
    }
    Forecast(e), "a forecast of a day's highest temperature" {
        station: text = &*e.station, "for which station";
        day: decimal = names::whole(e.day), "days since 1970-01-01 in the station's local standard time";
        high_f: decimal or null = names::decimal(e.high_f), "degrees Fahrenheit";
        issued_at: time or null = names::time(e.issued_at), "when it was issued; null beyond 2262-04-11";
        source: text = &*e.source, "by whom";
    }
    Observation(e), "a temperature seen" {
        station: text = &*e.station, "at which station";
        observed_at: time or null = names::time(e.observed_at), "when it was taken; null beyond 2262-04-11";
        temperature_f: decimal or null = names::decimal(e.temperature_f), "degrees Fahrenheit";
        quality: text = &*words::of(&e.quality)?, "`soft` or `official`";
    }
    LeaderListed(e), "a wallet to copy, or not any more" {
        wallet: text = &*e.wallet, "the proxy wallet";
        active: bool = e.active, "false drops it";
        sample_trades: u32 = e.sample_trades, "resolved trades behind the figures";
        winning_trades: u32 = e.winning_trades, "of them, those that gained";
        profit_usd: decimal or null = names::decimal(e.profit_usd), "their profit";
        typical_usd: decimal or null = names::decimal(e.typical_usd), "typical size of a buy";
    }
    LeaderTrade(e), "a row of a leader's trades" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        wallet: text = &*e.wallet, "the leader's proxy wallet";
        side: text = words::side(e.side), "`buy` or `sell`";
        price: decimal = names.price(e.instrument, e.price)?, "price of a share";
        qty: decimal = names.qty(e.instrument, e.qty)?, "shares";
        transaction: text = &*e.transaction, "transaction hash";
        liquidity: text = words::liquidity(e.liquidity), "`maker` or `taker`";
        traded_at: time or null = names::time(e.traded_at), "the trade's own time; null beyond 2262-04-11";
        occurrence: u32 = e.occurrence, "which of otherwise equal rows, from 0";
    }
    LeaderPortfolio(e), "what a leader holds" {
        wallet: text = &*e.wallet, "the leader's proxy wallet";
        value_usd: decimal or null = names::decimal(e.value_usd), "cash and positions";
        holdings: text = &*words::json(&e.holdings)?, "instruments' numbers and quantity mantissas, as JSON";
        taken_at: time or null = names::time(e.taken_at), "when the snapshot was taken; null beyond 2262-04-11";
    }
    TradingDay(e), "one day of an exchange's calendar" {
        calendar: text = &*e.calendar, "the calendar";
        day: decimal = names::whole(e.day), "the local date, in days since 1970-01-01";
        utc_offset_s: decimal = names::whole(e.utc_offset_s), "local time minus UTC, in seconds";
        opens_at: time or null = names::time(e.opens_at), "first instant of regular trading; null beyond 2262-04-11";
        closes_at: time or null = names::time(e.closes_at), "first instant after it; null beyond 2262-04-11";
    }
    DailyBar(e), "a day's bar from a data provider" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        day: decimal = names::whole(e.day), "the local date, in days since 1970-01-01";
        open: decimal = names.price(e.instrument, e.open)?, "first price";
        high: decimal = names.price(e.instrument, e.high)?, "highest price";
        low: decimal = names.price(e.instrument, e.low)?, "lowest price";
        close: decimal = names.price(e.instrument, e.close)?, "last price";
        volume: decimal = names.qty(e.instrument, e.volume)?, "traded quantity";
    }
    IntentReceived(e), "an order intent from outside" {
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        key: text = &*e.key, "the sender's idempotency key";
        side: text = words::side(e.side), "`buy` or `sell`";
        order_type: text = words::order_type(e.order_type), "`limit`, `market` or `stop`";
        price: decimal = names.price(e.instrument, e.price)?, "limit or trigger price; 0 for a market order";
        qty: decimal = names.qty(e.instrument, e.qty)?, "quantity";
        stop_loss: decimal or null = e.stop_loss.map(|p| names.price(e.instrument, p)).transpose()?, "stop-loss of the bracket";
        target: decimal or null = e.target.map(|p| names.price(e.instrument, p)).transpose()?, "target of the bracket";
        replaces: text or null = e.replaces.as_deref(), "key of the intent that this one corrects";
        client_tag: text = &*e.client_tag, "what the sender calls it";
    }
    IntentPromoted(e), "an intent's release for sending" {
        key: text = &*e.key, "which";
        operator: text = &*e.operator, "by whom";
    }
    VenueHealth(e), "how a venue's connection does" {
        venue: text = &*e.venue, "the venue";
        latency_ms: u32 = e.latency_ms, "round trip, 95th percentile";
        errors_per_million: u32 = e.errors_per_million, "failed requests per million";
    }
    ClockDrift(e), "how far our clock is off" {
        drift_ms: decimal = names::whole(e.drift_ms), "our clock minus the reference";
    }
    AccountLost(e), "we no longer know what a venue knows of our account" {
        venue: text = &*e.venue, "the venue";
        why: text = &*e.why, "why";
    }
    AccountReport(e), "what a venue says that we hold" {
        venue: text = &*e.venue, "the venue";
        holdings: text = &*words::json(&e.holdings)?, "instruments' numbers and signed quantity mantissas, as JSON";
        cash: text = &*words::json(&e.cash)?, "currencies and totals, as JSON";
    }
    ConnectionChanged(e), "a connection to a venue came or went" {
        venue: text = &*e.venue, "the venue";
        connection: text = &*e.connection, "which of its connections";
        up: bool = e.up, "whether it is there";
        why: text = &*e.why, "why it went; empty when it came";
    }
    FillReversed(e), "a fill that the venue took back" {
        order: u64 = e.order.0, "the order";
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        fill_id: u64 = e.fill_id, "the fill's id";
        side: text = words::side(e.side), "the fill's side";
        price: decimal = names.price(e.instrument, e.price)?, "the fill's price";
        qty: decimal = names.qty(e.instrument, e.qty)?, "the fill's quantity";
        fee: decimal = names::money("fee", e.fee)?, "the fee that comes back";
    }
    GateChanged(e), "another gate stops a candidate now, or none does any more" {
        strategy: text = names.strategy(e.strategy)?, "the strategy's id";
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        candidate: u32 = e.candidate, "the strategy's number of the candidate";
        gate: text or null = e.gate.as_deref(), "the first gate that stops it; null when it passes them all";
        value: decimal or null = names::decimal(e.value), "what the gate saw; null if that needs more than 20 digits before or 18 after the point";
        value_text: text = &*e.value.to_string(), "what the gate saw, always exact";
        limit: decimal or null = names::decimal(e.limit), "what the gate allows; null as `value`";
        limit_text: text = &*e.limit.to_string(), "what the gate allows, always exact";
    }
    ParentChanged(e), "a multi-leg order's state changed" {
        strategy: text = names.strategy(e.strategy)?, "the strategy's id";
        parent: u64 = e.parent, "its number";
        state: text = &*words::of(&e.state)?, "`leg1_sent`, `leg1_filled`, `leg2_sent`, `hedged`, `single_leg`, `unwinding`, `closed`, `reconcile`";
        first_order: u64 or null = e.first_order.map(|order| order.0), "first leg's order";
        second_order: u64 or null = e.second_order.map(|order| order.0), "second leg's order";
        first_filled: decimal = names::whole(e.first_filled.0), "filled of the first leg, in units of its last decimal";
        second_filled: decimal = names::whole(e.second_filled.0), "filled of the second leg, in units of its last decimal";
    }
    AlarmRaised(e), "somebody should look" {
        strategy: text = names.strategy(e.strategy)?, "the strategy's id";
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        alarm: text = &*words::of(&e.alarm)?, "`single_leg`, `reconcile`, `diverged`, `rules_changed`, `abnormal_spread`, ...";
        value: decimal or null = names::decimal(e.value), "how much is at stake or off, in the alarm's own measure";
    }
    LimitWarned(e), "a limit is nearly used up" {
        strategy: text = names.strategy(e.strategy)?, "the strategy's id";
        scope: text = &*words::of(&e.scope)?, "`total`, `venue`, `strategy` or `instrument`";
        whose: u32 = e.whose, "the number of the venue, strategy or instrument; 0 for all";
        gate: text = &*e.gate, "which limit: a risk gate, or the name of a strategy's own parameter";
        of: text or null = e.of.as_deref(), "whose limit of a strategy's own it is, where there are several: a cluster, a station, a wallet";
        value: decimal or null = names::decimal(e.value), "what the gate saw; null if that needs more than 20 digits before or 18 after the point";
        value_text: text = &*e.value.to_string(), "what the gate saw, always exact";
        limit: decimal or null = names::decimal(e.limit), "what the gate allows; null as `value`";
        limit_text: text = &*e.limit.to_string(), "what the gate allows, always exact";
    }
    DayRolled(e), "a UTC day began" {
        day: u32 = e.day, "days since 1970-01-01";
    }
    SignalRaised(e), "a trading signal" {
        strategy: text = names.strategy(e.strategy)?, "the strategy's id";
        instrument_id: u32 = e.instrument.0, "the instrument's number";
        instrument: text = names.instrument(e.instrument)?, "the instrument's name";
        detector: text = &*e.detector, "the detector with its version";
        side: text = words::side(e.side), "`buy` or `sell`";
        entry: decimal = names.price(e.instrument, e.entry)?, "entry price";
        stop_loss: decimal = names.price(e.instrument, e.stop_loss)?, "stop-loss; 0 where there is none";
        target: decimal = names.price(e.instrument, e.target)?, "target; 0 where there is none";
        qty: decimal = names.qty(e.instrument, e.qty)?, "quantity";
    }
    IntentChanged(e), "an order intent's state changed" {
        strategy: text = names.strategy(e.strategy)?, "the strategy's id";
        key: text = &*e.key, "its key";
        state: text = &*words::of(&e.state)?, "`pending`, `planned`, `ready`, `sent`, `duplicate`, `refused` or `replaced`";
        order: u64 or null = e.order.map(|order| order.0), "its order, once one went out";
        reason: text or null = e.reason.as_deref(), "why it was refused";
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

/// The ticks of rules with more than one, in one text.
fn bands(names: &Names, rules: &TradingRules) -> Result<Option<String>, RowError> {
    let text = |band: &TickBand| {
        let from = Money(names.price(rules.instrument, band.from)?);
        let tick = Money(names.price(rules.instrument, band.tick)?);
        Ok(format!("{from}:{tick}"))
    };
    let bands: Result<Vec<String>, RowError> = rules.bands.iter().map(text).collect();
    let bands = bands?.join(",");
    Ok((!bands.is_empty()).then_some(bands))
}

fn exponent(formula: &FeeFormula) -> Option<u32> {
    match formula {
        FeeFormula::Probability { exponent, .. } => Some((*exponent).into()),
        FeeFormula::Notional { .. } | FeeFormula::PerUnit { .. } => None,
    }
}

fn minimum(formula: &FeeFormula) -> Option<String> {
    match formula {
        FeeFormula::PerUnit { minimum, .. } => Some(minimum.to_string()),
        FeeFormula::Notional { .. } | FeeFormula::Probability { .. } => None,
    }
}

fn maximum(formula: &FeeFormula) -> Option<String> {
    match formula {
        FeeFormula::PerUnit { maximum, .. } => Some(maximum.to_string()),
        FeeFormula::Notional { .. } | FeeFormula::Probability { .. } => None,
    }
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
        _ => None,
    }
}

const fn trusted(reason: HaltReason) -> Option<VenueId> {
    match reason {
        HaltReason::Unreconciled { venue } | HaltReason::HoldingsDiffer { venue } => Some(venue),
        _ => None,
    }
}

const fn moved(reason: HaltReason) -> Option<OrderId> {
    match reason {
        HaltReason::IllegalMove { order } => Some(order),
        _ => None,
    }
}
