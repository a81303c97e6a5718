//! Small numbers that name things. Each is an index, so a lookup is an array read.
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An instrument: its place in the order of definition, from 0.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[serde(transparent)]
#[repr(transparent)]
pub struct InstrumentId(pub u32);

/// A venue: its place in the order in which instruments first named it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct VenueId(pub u16);

/// A currency: its place in the order in which instruments first named it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct CurrencyId(pub u16);

/// A strategy: its place in the session's list.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StrategyId(pub u16);

/// A frame's place on the tape, from 1. Zero means "none".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Sequence(pub u64);

/// An order of ours: the sequence of the frame that decided it, so a replay has the same ids.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct OrderId(pub u64);

macro_rules! index {
    ($($name:ty),*) => {$(
        impl $name {
            /// The id as an array index.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}
index!(InstrumentId, VenueId, CurrencyId, StrategyId);
