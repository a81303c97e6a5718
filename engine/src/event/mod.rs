//! What can stand on the tape: every event, its kind number and its encoding.
//!
//! Market data that arrives on every tick ([`Quote`], [`Trade`], [`BookUpdate`]) is a fixed little-endian layout, read
//! in place from the mapping. Everything else is MessagePack with named fields, so an optional field that a later
//! version adds leaves old journals readable.
mod account;
mod check;
mod cold;
mod facts;
mod hot;
mod kind;
mod records;

pub use account::*;
pub use check::BadFact;
pub use cold::*;
pub use facts::*;
pub use hot::*;
pub use kind::Kind;
pub use records::*;

use crate::error::DecodeError;
use crate::id::{InstrumentId, OrderId, Sequence};

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident$(($box:ident))?;)*) => {
        /// One decoded frame's content. Hot events borrow the frame's bytes.
        #[derive(Clone, Debug)]
        pub enum Event<'a> {
            /// Best bid and ask.
            Quote(&'a Quote),
            /// A public trade.
            Trade(&'a Trade),
            /// A whole book: what was there before is gone.
            BookSnapshot(BookUpdate<'a>),
            /// New quantities of some levels.
            BookDelta(BookUpdate<'a>),
            $($(#[$doc])* $name(events!(@type $name $($box)?)),)*
        }

        impl<'a> Event<'a> {
            #[cold]
            fn decode_cold(kind: Kind, payload: &[u8]) -> Result<Event<'static>, DecodeError> {
                Ok(match kind {
                    $(Kind::$name => Event::$name(events!(@make cold::read(kind, payload)?, $($box)?)),)*
                    Kind::Quote | Kind::Trade | Kind::BookSnapshot | Kind::BookDelta => {
                        return Err(DecodeError::UnknownKind { kind: kind.number() });
                    }
                })
            }

            /// The event's kind.
            #[inline(always)]
            pub const fn kind(&self) -> Kind {
                match self {
                    Event::Quote(_) => Kind::Quote,
                    Event::Trade(_) => Kind::Trade,
                    Event::BookSnapshot(_) => Kind::BookSnapshot,
                    Event::BookDelta(_) => Kind::BookDelta,
                    $(Event::$name(_) => Kind::$name,)*
                }
            }

            /// Appends the event's payload to `out`. Hot events are a copy, the rest MessagePack.
            pub fn encode(&self, out: &mut Vec<u8>) {
                use zerocopy::IntoBytes;
                match self {
                    Event::Quote(quote) => out.extend_from_slice(quote.as_bytes()),
                    Event::Trade(trade) => out.extend_from_slice(trade.as_bytes()),
                    Event::BookSnapshot(update) | Event::BookDelta(update) => update.write(out),
                    $(Event::$name(e) => cold::write(out, e),)*
                }
            }
        }
    };
    (@type $name:ident) => { $name };
    (@type $name:ident Box) => { Box<$name> };
    (@make $value:expr,) => { $value };
    (@make $value:expr, Box) => { Box::new($value) };
}

events! {
    /// A session begins: who decides, with which parameters and limits.
    SessionStart(Box);
    /// A session's inputs are complete.
    SessionEnd;
    /// Where the inputs that follow come from.
    DataSource(Box);
    /// An instrument and the decimals of its numbers.
    InstrumentDefined(Box);
    /// Tick, lot and bounds of an instrument from a time on.
    TradingRules;
    /// Fees of an instrument from a time on.
    FeeSchedule(Box);
    /// A feed's content can or can't be trusted any more.
    FeedState(Box);
    /// A market opens, halts or closes.
    MarketStatus;
    /// What a market's contract finally pays.
    Resolution;
    /// Time passed and nothing else happened.
    Heartbeat;
    /// Somebody at the controls.
    OperatorCommand(Box);
    /// What became of an order: from a venue (input) or from the paper venue (derived).
    ExecutionReport;
    /// A timer that a strategy asked for is due.
    TimerFired;
    /// A bar's interval is over.
    BarClosed;
    /// An order that passed the risk gate.
    OrderDecided;
    /// The wish to cancel an order.
    CancelDecided;
    /// An order that the risk gate stopped.
    OrderDenied;
    /// The wish for a timer.
    TimerSet;
    /// A reason to halt came or went.
    HaltChanged;
    /// The hash of the whole state here.
    StateHash;
    /// A step that a crash cut short, closed by recovery without deciding it again.
    StepClosed;
    /// What a contract pays on, and when.
    ContractTerms(Box);
    /// A market's rule text, as a hash.
    RulesText(Box);
    /// Two contracts that somebody approved as the same question.
    PairApproved(Box);
    /// An approval taken back.
    PairWithdrawn(Box);
    /// A weather forecast.
    Forecast(Box);
    /// A weather observation.
    Observation(Box);
    /// A wallet to copy, or not any more.
    LeaderListed(Box);
    /// A trade of a wallet that is copied.
    LeaderTrade(Box);
    /// What such a wallet holds.
    LeaderPortfolio(Box);
    /// One day of an exchange's calendar.
    TradingDay(Box);
    /// A day's bar from a data provider.
    DailyBar(Box);
    /// An order intent from outside.
    IntentReceived(Box);
    /// An intent's release for sending.
    IntentPromoted(Box);
    /// How a venue's connection does.
    VenueHealth(Box);
    /// How far our clock is off.
    ClockDrift;
    /// We no longer know what a venue knows of our account.
    AccountLost(Box);
    /// What a venue says that we hold.
    AccountReport(Box);
    /// A connection to a venue came or went.
    ConnectionChanged(Box);
    /// A fill that the venue took back.
    FillReversed;
    /// Another gate stops a candidate now, or none does any more.
    GateChanged(Box);
    /// A multi-leg order's state changed.
    ParentChanged(Box);
    /// Somebody should look.
    AlarmRaised(Box);
    /// A limit is nearly used up.
    LimitWarned(Box);
    /// A UTC day began.
    DayRolled;
    /// A trading signal.
    SignalRaised(Box);
    /// An order intent's state changed.
    IntentChanged(Box);
}

impl<'a> Event<'a> {
    /// Reads a frame's payload.
    ///
    /// # Errors
    /// [`DecodeError`] when the kind is unknown or the payload is not of its form.
    #[inline(always)]
    pub fn decode(kind_number: u16, payload: &'a [u8]) -> Result<Event<'a>, DecodeError> {
        let kind = Kind::from_number(kind_number)
            .ok_or_else(|| DecodeError::UnknownKind { kind: kind_number })?;
        Ok(match kind {
            Kind::Quote => Event::Quote(hot::read(kind, payload)?),
            Kind::Trade => Event::Trade(hot::read(kind, payload)?),
            Kind::BookSnapshot => Event::BookSnapshot(BookUpdate::read(kind, payload)?),
            Kind::BookDelta => Event::BookDelta(BookUpdate::read(kind, payload)?),
            cold => Self::decode_cold(cold, payload)?,
        })
    }

    /// The instrument that the event is about, where it is about one.
    #[inline(always)]
    pub fn instrument(&self) -> Option<InstrumentId> {
        match self {
            Event::Quote(e) => Some(e.instrument),
            Event::Trade(e) => Some(e.instrument),
            Event::BookSnapshot(e) | Event::BookDelta(e) => Some(e.header.instrument),
            rare => rare.instrument_of_rare(),
        }
    }

    /// Apart, so that asking about market data stays small.
    fn instrument_of_rare(&self) -> Option<InstrumentId> {
        Some(match self {
            Event::InstrumentDefined(e) => e.instrument,
            Event::TradingRules(e) => e.instrument,
            Event::FeeSchedule(e) => e.instrument,
            Event::FeedState(e) => e.instrument,
            Event::MarketStatus(e) => e.instrument,
            Event::Resolution(e) => e.instrument,
            Event::FillReversed(e) => e.instrument,
            Event::BarClosed(e) => e.instrument,
            Event::OrderDecided(e) => e.instrument,
            Event::OrderDenied(e) => e.instrument,
            Event::ExecutionReport(e) => e.instrument,
            Event::CancelDecided(e) => e.instrument,
            Event::ContractTerms(e) => e.instrument,
            Event::RulesText(e) => e.instrument,
            Event::LeaderTrade(e) => e.instrument,
            Event::DailyBar(e) => e.instrument,
            Event::IntentReceived(e) => e.instrument,
            Event::GateChanged(e) => e.instrument,
            Event::AlarmRaised(e) => e.instrument,
            Event::SignalRaised(e) => e.instrument,
            _ => return None,
        })
    }

    /// Whether the event is a fact about no single market: every strategy sees it.
    pub const fn is_for_everybody(&self) -> bool {
        matches!(
            self,
            Event::PairApproved(_)
                | Event::PairWithdrawn(_)
                | Event::Forecast(_)
                | Event::Observation(_)
                | Event::LeaderListed(_)
                | Event::LeaderPortfolio(_)
                | Event::TradingDay(_)
                | Event::IntentPromoted(_)
                | Event::VenueHealth(_)
                | Event::DayRolled(_)
        )
    }

    /// The order that the event is about; `sequence` is its frame's, which names a decided order.
    pub fn order(&self, sequence: Sequence) -> Option<OrderId> {
        match self {
            Event::OrderDecided(_) => Some(OrderId(sequence.0)),
            Event::CancelDecided(e) => Some(e.order),
            Event::ExecutionReport(e) => Some(e.order),
            Event::FillReversed(e) => Some(e.order),
            _ => None,
        }
    }

    /// The sequence of what led to a derived event.
    pub fn cause(&self) -> Option<Sequence> {
        Some(match self {
            Event::ExecutionReport(e) => e.cause,
            Event::TimerFired(e) => e.cause,
            Event::BarClosed(e) => e.cause,
            Event::OrderDecided(e) => e.cause,
            Event::CancelDecided(e) => e.cause,
            Event::OrderDenied(e) => e.cause,
            Event::TimerSet(e) => e.cause,
            Event::HaltChanged(e) => e.cause,
            Event::StateHash(e) => e.cause,
            Event::StepClosed(e) => e.cause,
            Event::GateChanged(e) => e.cause,
            Event::ParentChanged(e) => e.cause,
            Event::AlarmRaised(e) => e.cause,
            Event::LimitWarned(e) => e.cause,
            Event::DayRolled(e) => e.cause,
            Event::SignalRaised(e) => e.cause,
            Event::IntentChanged(e) => e.cause,
            _ => return None,
        })
    }
}
