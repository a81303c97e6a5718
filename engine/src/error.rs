//! What can go wrong in the core. Nothing here is guessed away: the driver stops and says where.
use crate::id::InstrumentId;
use crate::number::NumberError;
use crate::time::Nanos;

/// A frame's payload that is not of its kind's form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No such kind; the journal may come from a newer version.
    #[error("frame kind {kind} is unknown to this version")]
    UnknownKind {
        /// The number found.
        kind: u16,
    },
    /// A fixed layout of another size.
    #[error("a {kind} frame can't have {found} bytes")]
    WrongSize {
        /// The kind's name.
        kind: &'static str,
        /// Payload bytes found.
        found: usize,
    },
    /// MessagePack that does not read as the kind.
    #[error("a {kind} frame does not read as one: {why}")]
    Malformed {
        /// The kind's name.
        kind: &'static str,
        /// What the decoder said.
        why: String,
    },
}

/// A frame that the state can't take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// See [`DecodeError`].
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// See [`NumberError`].
    #[error(transparent)]
    Number(#[from] NumberError),
    /// An event about an instrument that no earlier frame defines.
    #[error("instrument {} is not defined by any earlier frame", .0.0)]
    UnknownInstrument(InstrumentId),
    /// A definition out of order or a second one.
    #[error("instrument {} is defined out of turn: {expected} is next", found.0)]
    InstrumentOutOfTurn {
        /// The index that is next.
        expected: u32,
        /// The index found.
        found: InstrumentId,
    },
    /// Two instruments of one name.
    #[error("instrument {0} is defined twice")]
    InstrumentTwice(String),
    /// Rules that no order could meet, or a fee below zero.
    #[error("{what} of instrument {} can't be used: {why}", instrument.0)]
    BadRules {
        /// "trading rules" or "fee schedule".
        what: &'static str,
        /// Whose.
        instrument: InstrumentId,
        /// What is wrong.
        why: &'static str,
    },
    /// More names than their index can count.
    #[error("more than 65536 {what}")]
    TooMany {
        /// "venues", "currencies" or "strategies".
        what: &'static str,
    },
    /// A decision that names a strategy which the session does not have.
    #[error("strategy {0} is not part of the session")]
    UnknownStrategy(u16),
    /// A scheduled event on the tape that the state does not expect.
    #[error("a derived {0} frame that nothing scheduled")]
    Unscheduled(&'static str),
    /// A venue's mode can't change in mid-tape: what is held there belongs to the mode before.
    #[error("modes.{venue} is {before} on this tape and can't become {after}: {}", if *before == "demo" || *before == "live" {
        "its account's orders and holdings stand there; begin a new journal"
    } else {
        "paper positions or orders are open there; close them first, or begin a new journal"
    })]
    ModeChange {
        /// The venue.
        venue: String,
        /// Its mode so far.
        before: &'static str,
        /// Its mode in the configuration that was to take over.
        after: &'static str,
    },
    /// A decision before the first session.
    #[error("{0}")]
    Session(&'static str),
    /// An input of a kind that only the core derives, or the other way round: it would pass the risk gate by.
    #[error("{kind} frames are {}", if *derived { "inputs, never derived" } else { "derived, never inputs" })]
    WrongOrigin {
        /// The kind's name.
        kind: &'static str,
        /// What the frame claims to be.
        derived: bool,
    },
    /// A stamp before the one of the frame before it.
    #[error("time runs back: the frame before is at {} ns", last.0)]
    TimeRunsBack {
        /// The stamp of the frame before.
        last: Nanos,
    },
    /// One input or one instant led to too many derived frames.
    #[error(
        "more than {limit} derived frames at once: a strategy answers its own events without end"
    )]
    RunawayStep {
        /// The most that a step may have.
        limit: u32,
    },
    /// A snapshot that does not read as this build's state.
    #[error("the snapshot does not read as this build's state: {0}")]
    BadSnapshot(String),
    /// A strategy's parameters that can't work.
    #[error("strategy {strategy}: {why}")]
    BadParameters {
        /// The strategy's id.
        strategy: String,
        /// What is wrong.
        why: String,
    },
}
