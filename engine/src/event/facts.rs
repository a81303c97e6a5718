//! Facts that models decide on: contracts and their pairs, weather, leaders, calendars, intents. All of them inputs.
use crate::id::InstrumentId;
use crate::number::{Price, Qty};
use crate::order::{OrderType, Side};
use crate::time::Nanos;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Which whole degrees a temperature contract pays on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strike {
    /// Pays strictly above the floor: at `floor + 1` and more.
    Greater {
        /// Degrees Fahrenheit.
        floor: i32,
    },
    /// Pays strictly below the cap: at `cap - 1` and less.
    Less {
        /// Degrees Fahrenheit.
        cap: i32,
    },
    /// Pays from floor to cap, both included.
    Between {
        /// Degrees Fahrenheit.
        floor: i32,
        /// Degrees Fahrenheit, not below the floor.
        cap: i32,
    },
}

/// What a daily-high contract measures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemperatureTerms {
    /// The station whose climate report settles it: "NYC".
    pub station: String,
    /// Days since 1970-01-01, counted in the station's local standard time.
    pub day: i32,
    /// Which outcomes pay.
    pub strike: Strike,
}

/// What a contract pays on, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractTerms {
    /// Whose.
    pub instrument: InstrumentId,
    /// Contracts of one event exclude each other.
    pub event: String,
    /// What moves together with it, for limits: a region, a topic.
    pub cluster: String,
    /// No orders from here on.
    pub closes_at: Nanos,
    /// When it is expected to pay.
    pub settles_at: Nanos,
    /// Hash of the rule text.
    pub rules_hash: String,
    /// For contracts on a day's highest temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<TemperatureTerms>,
}

/// A market's rule text as it stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesText {
    /// Whose.
    pub instrument: InstrumentId,
    /// Hash of the text.
    pub rules_hash: String,
}

/// What becomes of a pair when one venue voids its market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoidRule {
    /// Both venues pay the stake back.
    BothRefund,
    /// Both resolve to NO.
    BothNo,
    /// The venues differ; only pairs whose approver accepted that trade.
    Differs,
}

/// Two contracts that somebody approved as the same question. Only such pairs trade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairApproved {
    /// Its name, unique.
    pub pair: String,
    /// The contract of the venue with one book a market, where selling YES is buying NO (Kalshi).
    pub single_book: InstrumentId,
    /// The YES token of the venue with one book a token, where a sale needs inventory (Polymarket).
    pub yes_token: InstrumentId,
    /// Its NO token.
    pub no_token: InstrumentId,
    /// The token venue asks the opposite: its YES pays when the other's NO does.
    pub inverted: bool,
    /// Hash of the single-book venue's rule text that was read.
    pub single_book_rules: String,
    /// Hash of the token venue's rule text that was read.
    pub token_rules: String,
    /// What happens when one side is voided.
    pub void_rule: VoidRule,
    /// No entries from here on.
    pub cut_off: Nanos,
    /// When the single-book venue is expected to pay.
    pub single_book_settles_at: Nanos,
    /// When the token venue is expected to pay, oracle delay included.
    pub token_settles_at: Nanos,
    /// What moves together with it, for limits.
    pub cluster: String,
    /// How sure the approver is, in percent, 1 to 100.
    pub confidence_pct: u8,
    /// Who approved.
    pub approver: String,
    /// When.
    pub approved_at: Nanos,
    /// What both venues ask, as the approver read it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub question: String,
}

/// An approval taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairWithdrawn {
    /// Which.
    pub pair: String,
    /// Why.
    pub reason: String,
}

/// A forecast of a day's highest temperature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// For which station.
    pub station: String,
    /// Days since 1970-01-01 in the station's local standard time.
    pub day: i32,
    /// Degrees Fahrenheit.
    pub high_f: Decimal,
    /// When it was issued.
    pub issued_at: Nanos,
    /// By whom: "nws", "open-meteo".
    pub source: String,
}

/// How much an observation can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObservationQuality {
    /// Five-minute station data: rounded to whole degrees Celsius on its way, 1 to 2 F off.
    Soft,
    /// Hourly reports and the climate report: whole degrees Fahrenheit as settled.
    Official,
}

/// A temperature seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// At which station.
    pub station: String,
    /// When it was taken.
    pub observed_at: Nanos,
    /// Degrees Fahrenheit.
    pub temperature_f: Decimal,
    /// How much it can be relied on.
    pub quality: ObservationQuality,
}

/// A wallet to copy, with the facts that its confidence is computed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderListed {
    /// The proxy wallet, lower-case hex.
    pub wallet: String,
    /// False drops it from here on.
    pub active: bool,
    /// Resolved trades that the facts below are taken from.
    pub sample_trades: u32,
    /// Of them, those that gained.
    pub winning_trades: u32,
    /// Their profit in USD.
    pub profit_usd: Decimal,
    /// Typical size of a buy in USD.
    pub typical_usd: Decimal,
}

/// A row of a leader's trades, as the data API tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderTrade {
    /// The leader's proxy wallet.
    pub wallet: String,
    /// The token.
    pub instrument: InstrumentId,
    /// Bought or sold.
    pub side: Side,
    /// Price of a share.
    pub price: Price,
    /// Shares.
    pub qty: Qty,
    /// Transaction hash.
    pub transaction: String,
    /// Whether the leader rested or took.
    pub liquidity: super::Liquidity,
    /// The trade's own time.
    pub traded_at: Nanos,
    /// Which occurrence of an otherwise equal row within one page this is, from 0.
    pub occurrence: u32,
}

/// Shares of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The token.
    pub instrument: InstrumentId,
    /// Shares.
    pub qty: Qty,
}

/// What a leader holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderPortfolio {
    /// The leader's proxy wallet.
    pub wallet: String,
    /// Cash and positions in USD.
    pub value_usd: Decimal,
    /// Positions.
    pub holdings: Vec<Holding>,
    /// When the snapshot was taken.
    pub taken_at: Nanos,
}

/// One day of an exchange's calendar, computed outside the core from its time zone, holidays and half days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradingDay {
    /// The calendar: "XNYS".
    pub calendar: String,
    /// The local date, in days since 1970-01-01.
    pub day: i32,
    /// Local time minus UTC on that day, in seconds.
    pub utc_offset_s: i32,
    /// First instant of regular trading.
    pub opens_at: Nanos,
    /// First instant after regular trading.
    pub closes_at: Nanos,
}

/// A day's bar from a data provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyBar {
    /// Whose.
    pub instrument: InstrumentId,
    /// The local date, in days since 1970-01-01.
    pub day: i32,
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

/// An order intent from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentReceived {
    /// The sender's idempotency key.
    pub key: String,
    /// In what.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Limit, market or stop.
    pub order_type: OrderType,
    /// Limit or trigger price; zero for a market order.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
    /// Stop-loss of the bracket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_loss: Option<Price>,
    /// Target of the bracket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Price>,
    /// The key of the intent that this one corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// What the sender calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_tag: String,
}

/// An intent's release for sending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentPromoted {
    /// Which.
    pub key: String,
    /// By whom.
    pub operator: String,
}

/// How a venue's connection does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VenueHealth {
    /// The venue.
    pub venue: String,
    /// Round trip in milliseconds, 95th percentile.
    pub latency_ms: u32,
    /// Failed requests per million.
    pub errors_per_million: u32,
}

/// How far our clock is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockDrift {
    /// Our clock minus the reference, in milliseconds.
    pub drift_ms: i64,
}
