//! Kind numbers: given once, never used again for anything else.

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// What a frame holds. Inputs have numbers below 64; an execution report may be either input or derived.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            /// Every kind, by number.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];

            /// The kind of a number, if there is one.
            #[inline(always)]
            pub const fn from_number(number: u16) -> Option<Kind> {
                match number {
                    $($number => Some(Kind::$name),)*
                    _ => None,
                }
            }

            /// The name that commands take and print.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Kind::$name => $text,)*
                }
            }
        }
    };
}

/// The kinds from here on are derived, those before are inputs.
const FIRST_DERIVED: u16 = 64;

kinds! {
    /// A session begins.
    SessionStart = 1, "session_start";
    /// A session's inputs are complete.
    SessionEnd = 2, "session_end";
    /// Where the inputs come from.
    DataSource = 3, "data_source";
    /// An instrument.
    InstrumentDefined = 4, "instrument";
    /// Tick, lot, bounds.
    TradingRules = 5, "trading_rules";
    /// Fees.
    FeeSchedule = 6, "fee_schedule";
    /// Best bid and ask.
    Quote = 7, "quote";
    /// A public trade.
    Trade = 8, "trade";
    /// A whole book.
    BookSnapshot = 9, "book_snapshot";
    /// New quantities of some levels.
    BookDelta = 10, "book_delta";
    /// A feed's trust changed.
    FeedState = 11, "feed_state";
    /// A market opened, halted or closed.
    MarketStatus = 12, "market_status";
    /// What a contract pays.
    Resolution = 13, "resolution";
    /// Time passed.
    Heartbeat = 14, "heartbeat";
    /// An operator's command.
    OperatorCommand = 15, "operator_command";
    /// What became of an order.
    ExecutionReport = 16, "execution_report";
    /// What a contract pays on, and when.
    ContractTerms = 17, "contract_terms";
    /// A market's rule text, as a hash.
    RulesText = 18, "rules_text";
    /// Two contracts that somebody approved as the same question.
    PairApproved = 19, "pair_approved";
    /// An approval taken back.
    PairWithdrawn = 20, "pair_withdrawn";
    /// A weather forecast.
    Forecast = 21, "forecast";
    /// A weather observation.
    Observation = 22, "observation";
    /// A wallet to copy, or not any more.
    LeaderListed = 23, "leader_listed";
    /// A trade of a wallet that is copied.
    LeaderTrade = 24, "leader_trade";
    /// What such a wallet holds.
    LeaderPortfolio = 25, "leader_portfolio";
    /// One day of an exchange's calendar.
    TradingDay = 26, "trading_day";
    /// A day's bar from a data provider.
    DailyBar = 27, "daily_bar";
    /// An order intent from outside.
    IntentReceived = 28, "intent_received";
    /// An intent's release for sending.
    IntentPromoted = 29, "intent_promoted";
    /// How a venue's connection does.
    VenueHealth = 30, "venue_health";
    /// How far our clock is off.
    ClockDrift = 31, "clock_drift";
    /// We no longer know what a venue knows of our account.
    AccountLost = 32, "account_lost";
    /// What a venue says that we hold.
    AccountReport = 33, "account_report";
    /// A connection to a venue came or went.
    ConnectionChanged = 34, "connection_changed";
    /// A fill that the venue took back.
    FillReversed = 35, "fill_reversed";
    /// A timer is due.
    TimerFired = 64, "timer_fired";
    /// A bar is complete.
    BarClosed = 65, "bar_closed";
    /// An approved order.
    OrderDecided = 66, "order_decided";
    /// A wish to cancel.
    CancelDecided = 67, "cancel_decided";
    /// An order that risk stopped.
    OrderDenied = 68, "order_denied";
    /// A wish for a timer.
    TimerSet = 69, "timer_set";
    /// A halt reason came or went.
    HaltChanged = 70, "halt_changed";
    /// The hash of the state.
    StateHash = 71, "state_hash";
    /// A cut step closed by recovery.
    StepClosed = 72, "step_closed";
    /// Another gate stops a candidate now, or none does any more.
    GateChanged = 73, "gate_changed";
    /// A multi-leg order's state changed.
    ParentChanged = 74, "parent_changed";
    /// Somebody should look.
    AlarmRaised = 75, "alarm_raised";
    /// A limit is nearly used up.
    LimitWarned = 76, "limit_warned";
    /// A UTC day began.
    DayRolled = 77, "day_rolled";
    /// A trading signal.
    SignalRaised = 78, "signal_raised";
    /// An order intent's state changed.
    IntentChanged = 79, "intent_changed";
}

impl Kind {
    /// Whether frames of the kind may be derived, or inputs.
    #[inline]
    pub const fn can_be(self, derived: bool) -> bool {
        matches!(self, Kind::ExecutionReport) || (self as u16 >= FIRST_DERIVED) == derived
    }

    /// The number in the frame.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The kind that a command's text names.
    pub fn from_name(name: &str) -> Option<Kind> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}
