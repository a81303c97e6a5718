//! What can stand on the tape: every event, its kind number and its encoding.
//!
//! Market data that arrives on every tick ([`Quote`], [`Trade`], [`BookUpdate`]) is a fixed little-endian layout, read
//! in place from the mapping. Everything else is MessagePack with named fields, so an optional field that a later
//! version adds leaves old journals readable.
mod cold;
mod hot;
mod kind;

pub use cold::*;
pub use hot::*;
pub use kind::Kind;

use crate::error::DecodeError;
use crate::id::{InstrumentId, OrderId, Sequence};

/// One decoded frame's content. Hot events borrow the frame's bytes.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A session begins: who decides, with which parameters and limits.
    SessionStart(Box<SessionStart>),
    /// A session's inputs are complete.
    SessionEnd(SessionEnd),
    /// Where the inputs that follow come from.
    DataSource(Box<DataSource>),
    /// An instrument and the decimals of its numbers.
    InstrumentDefined(Box<InstrumentDefined>),
    /// Tick, lot and bounds of an instrument from a time on.
    TradingRules(TradingRules),
    /// Fees of an instrument from a time on.
    FeeSchedule(Box<FeeSchedule>),
    /// Best bid and ask.
    Quote(&'a Quote),
    /// A public trade.
    Trade(&'a Trade),
    /// A whole book: what was there before is gone.
    BookSnapshot(BookUpdate<'a>),
    /// New quantities of some levels.
    BookDelta(BookUpdate<'a>),
    /// A feed's content can or can't be trusted any more.
    FeedState(Box<FeedState>),
    /// A market opens, halts or closes.
    MarketStatus(MarketStatus),
    /// What a market's contract finally pays.
    Resolution(Resolution),
    /// Time passed and nothing else happened.
    Heartbeat(Heartbeat),
    /// Somebody at the controls.
    OperatorCommand(Box<OperatorCommand>),
    /// What became of an order: from a venue (input) or from the paper venue (derived).
    ExecutionReport(ExecutionReport),
    /// A timer that a strategy asked for is due.
    TimerFired(TimerFired),
    /// A bar's interval is over.
    BarClosed(BarClosed),
    /// An order that passed the risk gate.
    OrderDecided(OrderDecided),
    /// The wish to cancel an order.
    CancelDecided(CancelDecided),
    /// An order that the risk gate stopped.
    OrderDenied(OrderDenied),
    /// The wish for a timer.
    TimerSet(TimerSet),
    /// A reason to halt came or went.
    HaltChanged(HaltChanged),
    /// The hash of the whole state here.
    StateHash(StateHash),
    /// A step that a crash cut short, closed by recovery without deciding it again.
    StepClosed(StepClosed),
}

impl<'a> Event<'a> {
    /// Reads a frame's payload.
    ///
    /// # Errors
    /// [`DecodeError`] when the kind is unknown or the payload is not of its form.
    #[inline]
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

    #[cold]
    fn decode_cold(kind: Kind, payload: &[u8]) -> Result<Event<'static>, DecodeError> {
        Ok(match kind {
            Kind::SessionStart => Event::SessionStart(Box::new(cold::read(kind, payload)?)),
            Kind::SessionEnd => Event::SessionEnd(cold::read(kind, payload)?),
            Kind::DataSource => Event::DataSource(Box::new(cold::read(kind, payload)?)),
            Kind::InstrumentDefined => {
                Event::InstrumentDefined(Box::new(cold::read(kind, payload)?))
            }
            Kind::TradingRules => Event::TradingRules(cold::read(kind, payload)?),
            Kind::FeeSchedule => Event::FeeSchedule(Box::new(cold::read(kind, payload)?)),
            Kind::FeedState => Event::FeedState(Box::new(cold::read(kind, payload)?)),
            Kind::MarketStatus => Event::MarketStatus(cold::read(kind, payload)?),
            Kind::Resolution => Event::Resolution(cold::read(kind, payload)?),
            Kind::Heartbeat => Event::Heartbeat(cold::read(kind, payload)?),
            Kind::OperatorCommand => Event::OperatorCommand(Box::new(cold::read(kind, payload)?)),
            Kind::ExecutionReport => Event::ExecutionReport(cold::read(kind, payload)?),
            Kind::TimerFired => Event::TimerFired(cold::read(kind, payload)?),
            Kind::BarClosed => Event::BarClosed(cold::read(kind, payload)?),
            Kind::OrderDecided => Event::OrderDecided(cold::read(kind, payload)?),
            Kind::CancelDecided => Event::CancelDecided(cold::read(kind, payload)?),
            Kind::OrderDenied => Event::OrderDenied(cold::read(kind, payload)?),
            Kind::TimerSet => Event::TimerSet(cold::read(kind, payload)?),
            Kind::HaltChanged => Event::HaltChanged(cold::read(kind, payload)?),
            Kind::StateHash => Event::StateHash(cold::read(kind, payload)?),
            Kind::StepClosed => Event::StepClosed(cold::read(kind, payload)?),
            Kind::Quote | Kind::Trade | Kind::BookSnapshot | Kind::BookDelta => {
                return Err(DecodeError::UnknownKind {
                    kind: kind.number(),
                });
            }
        })
    }

    /// The event's kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Event::SessionStart(_) => Kind::SessionStart,
            Event::SessionEnd(_) => Kind::SessionEnd,
            Event::DataSource(_) => Kind::DataSource,
            Event::InstrumentDefined(_) => Kind::InstrumentDefined,
            Event::TradingRules(_) => Kind::TradingRules,
            Event::FeeSchedule(_) => Kind::FeeSchedule,
            Event::Quote(_) => Kind::Quote,
            Event::Trade(_) => Kind::Trade,
            Event::BookSnapshot(_) => Kind::BookSnapshot,
            Event::BookDelta(_) => Kind::BookDelta,
            Event::FeedState(_) => Kind::FeedState,
            Event::MarketStatus(_) => Kind::MarketStatus,
            Event::Resolution(_) => Kind::Resolution,
            Event::Heartbeat(_) => Kind::Heartbeat,
            Event::OperatorCommand(_) => Kind::OperatorCommand,
            Event::ExecutionReport(_) => Kind::ExecutionReport,
            Event::TimerFired(_) => Kind::TimerFired,
            Event::BarClosed(_) => Kind::BarClosed,
            Event::OrderDecided(_) => Kind::OrderDecided,
            Event::CancelDecided(_) => Kind::CancelDecided,
            Event::OrderDenied(_) => Kind::OrderDenied,
            Event::TimerSet(_) => Kind::TimerSet,
            Event::HaltChanged(_) => Kind::HaltChanged,
            Event::StateHash(_) => Kind::StateHash,
            Event::StepClosed(_) => Kind::StepClosed,
        }
    }

    /// Appends the event's payload to `out`. Hot events are a copy, the rest MessagePack.
    pub fn encode(&self, out: &mut Vec<u8>) {
        use zerocopy::IntoBytes;
        match self {
            Event::Quote(quote) => out.extend_from_slice(quote.as_bytes()),
            Event::Trade(trade) => out.extend_from_slice(trade.as_bytes()),
            Event::BookSnapshot(update) | Event::BookDelta(update) => update.write(out),
            Event::SessionStart(e) => cold::write(out, e),
            Event::SessionEnd(e) => cold::write(out, e),
            Event::DataSource(e) => cold::write(out, e),
            Event::InstrumentDefined(e) => cold::write(out, e),
            Event::TradingRules(e) => cold::write(out, e),
            Event::FeeSchedule(e) => cold::write(out, e),
            Event::FeedState(e) => cold::write(out, e),
            Event::MarketStatus(e) => cold::write(out, e),
            Event::Resolution(e) => cold::write(out, e),
            Event::Heartbeat(e) => cold::write(out, e),
            Event::OperatorCommand(e) => cold::write(out, e),
            Event::ExecutionReport(e) => cold::write(out, e),
            Event::TimerFired(e) => cold::write(out, e),
            Event::BarClosed(e) => cold::write(out, e),
            Event::OrderDecided(e) => cold::write(out, e),
            Event::CancelDecided(e) => cold::write(out, e),
            Event::OrderDenied(e) => cold::write(out, e),
            Event::TimerSet(e) => cold::write(out, e),
            Event::HaltChanged(e) => cold::write(out, e),
            Event::StateHash(e) => cold::write(out, e),
            Event::StepClosed(e) => cold::write(out, e),
        }
    }

    /// The instrument that the event is about, where it is about one.
    #[inline]
    pub fn instrument(&self) -> Option<InstrumentId> {
        Some(match self {
            Event::InstrumentDefined(e) => e.instrument,
            Event::TradingRules(e) => e.instrument,
            Event::FeeSchedule(e) => e.instrument,
            Event::Quote(e) => e.instrument,
            Event::Trade(e) => e.instrument,
            Event::BookSnapshot(e) | Event::BookDelta(e) => e.header.instrument,
            Event::FeedState(e) => e.instrument,
            Event::MarketStatus(e) => e.instrument,
            Event::Resolution(e) => e.instrument,
            Event::BarClosed(e) => e.instrument,
            Event::OrderDecided(e) => e.instrument,
            Event::OrderDenied(e) => e.instrument,
            Event::ExecutionReport(e) => e.instrument,
            Event::CancelDecided(e) => e.instrument,
            _ => return None,
        })
    }

    /// The order that the event is about; `sequence` is its frame's, which names a decided order.
    pub fn order(&self, sequence: Sequence) -> Option<OrderId> {
        match self {
            Event::OrderDecided(_) => Some(OrderId(sequence.0)),
            Event::CancelDecided(e) => Some(e.order),
            Event::ExecutionReport(e) => Some(e.order),
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
            _ => return None,
        })
    }
}
