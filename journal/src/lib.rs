//! The journal: a memory-mapped, append-only file format with one writer and any number of readers, in
//! threads and in processes. It knows bytes in order and nothing of trading.
//!
//! - [`Writer`] appends frames (`writer.rs`; `frame.rs` fills one, `prepare.rs` makes segments ready,
//!   `flusher.rs` makes them durable, `lock.rs` keeps other writers out).
//! - [`Reader`] follows them (`reader.rs`; `walk.rs` decides what a frame is).
//! - Opening for writing recovers (`recovery.rs`, with the durable record of `control.rs`).
//! - [`snapshot`], [`archive`], [`retention`], [`root_hash()`] and [`describe`] are what a journal is kept and checked with.
//! - `layout.rs` names every offset, `commit.rs` holds all that is shared without a lock.
//!
//! Visible and durable are two things: a published frame is visible at once, to every process, and durable
//! when [`Durable`] says so; see [`Durability`].
//!
//! # Hazards
//! A mapped file ends a process with SIGBUS if somebody else truncates it: never truncate, `punch` or
//! rewrite segments, and copy a live journal with a tool that does not share extents. Network file systems
//! are refused; on btrfs segments are asked not to be copied on write.

pub mod archive;
mod beginning;
mod checksum;
#[doc(hidden)]
pub mod commit;
mod control;
mod directory;
mod error;
mod flusher;
mod frame;
mod inspect;
#[doc(hidden)]
pub mod layout;
mod lock;
mod prepare;
mod reader;
mod recovery;
pub mod retention;
mod root_hash;
mod segment;
pub mod snapshot;
mod tag;
mod walk;
mod writer;

pub use blake3::Hash;
pub use error::{Damage, Error};
pub use flusher::Durable;
pub use inspect::{Description, SegmentInfo, SegmentState, describe};
pub use layout::PAYLOAD_MAX;
pub use reader::{Forensic, Reader, Tail};
pub use recovery::Recovery;
pub use root_hash::{RootHash, RootHasher, root_hash, root_hash_of};
pub use tag::{Frame, Tag};
pub use writer::{Durability, Options, Writer};
