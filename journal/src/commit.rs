//! The commit protocol: how a frame, a segment and a sync become visible to others.
//!
//! Everything that is shared between threads or processes without a lock goes through the few functions
//! of this file, generic over the cell they store to, so that the model checker runs the very code that
//! the mapped file runs (`tests/loom_commit.rs`).
//!
//! The rules:
//! 1. A frame's bytes are written first; its word is stored last, with release ordering. Zero means
//!    "nothing here yet". A reader that loads a word with acquire ordering sees the whole frame.
//! 2. The header of the next segment is complete before the seal of the old one is published.
//! 3. The writer tells the flusher its tail as (end offset, sequence), end first. The flusher reads the
//!    sequence first, so that the bytes it syncs always cover the sequence it then calls durable.

use crate::layout::{PAYLOAD_MAX, TAG_MASK, WORD_CRC_SHIFT, WORD_TAG_SHIFT};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// Ordering of every publishing store.
pub const PUBLISH: Ordering = Ordering::Release;
/// Ordering of every observing load.
pub const OBSERVE: Ordering = Ordering::Acquire;

/// A 64-bit cell of shared memory: an atomic in the mapped file, or the model checker's.
pub trait CommitCell {
    /// Loads the value.
    fn load(&self, ordering: Ordering) -> u64;
    /// Stores the value.
    fn store(&self, value: u64, ordering: Ordering);
}

impl CommitCell for AtomicU64 {
    #[inline(always)]
    fn load(&self, ordering: Ordering) -> u64 {
        AtomicU64::load(self, ordering)
    }
    #[inline(always)]
    fn store(&self, value: u64, ordering: Ordering) {
        AtomicU64::store(self, value, ordering);
    }
}

/// A frame's first word: payload length, tag and checksum, which become visible together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct CommitWord(NonZeroU64);

impl CommitWord {
    /// The low half: what the checksum covers last.
    #[inline(always)]
    #[must_use]
    pub const fn low(length: usize, tag_bits: u16) -> u32 {
        (length & PAYLOAD_MAX) as u32 | ((tag_bits & TAG_MASK) as u32) << WORD_TAG_SHIFT
    }

    /// Joins the halves. `None` for zero, which no legal tag gives (kind 0 is never used).
    #[inline(always)]
    #[must_use]
    pub const fn new(low: u32, crc: u32) -> Option<CommitWord> {
        Self::from_raw(low as u64 | (crc as u64) << WORD_CRC_SHIFT)
    }

    /// The word as it lies in the file; `None` for "nothing here yet".
    #[inline(always)]
    #[must_use]
    pub const fn from_raw(raw: u64) -> Option<CommitWord> {
        match NonZeroU64::new(raw) {
            Some(word) => Some(CommitWord(word)),
            None => None,
        }
    }

    /// The word as it lies in the file.
    #[inline(always)]
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0.get()
    }

    /// Payload length in bytes.
    #[inline(always)]
    #[must_use]
    pub const fn length(self) -> usize {
        self.raw() as usize & PAYLOAD_MAX
    }

    /// The twelve tag bits.
    #[inline(always)]
    #[must_use]
    pub const fn tag_bits(self) -> u16 {
        (self.raw() >> WORD_TAG_SHIFT) as u16 & TAG_MASK
    }

    /// The checksum.
    #[inline(always)]
    #[must_use]
    pub const fn crc(self) -> u32 {
        (self.raw() >> WORD_CRC_SHIFT) as u32
    }
}

/// Makes the frame whose bytes are already in place visible.
#[inline(always)]
pub fn publish<C: CommitCell>(cell: &C, word: CommitWord) {
    cell.store(word.raw(), PUBLISH);
}

/// The word of a frame, if it is there; then all of the frame's bytes are.
#[inline(always)]
pub fn observe<C: CommitCell>(cell: &C) -> Option<CommitWord> {
    CommitWord::from_raw(cell.load(OBSERVE))
}

/// Ends a segment: `begin_next` completes the next segment's header, then the seal becomes visible, so
/// that a reader that sees the seal finds the next segment ready.
#[inline]
pub fn hand_over<C: CommitCell>(begin_next: impl FnOnce(), seal_cell: &C, seal: CommitWord) {
    begin_next();
    publish(seal_cell, seal);
}

/// The writer's side of the tail: what has been published so far.
#[inline(always)]
pub fn advance_tail<C: CommitCell>(end: &C, sequence: &C, new_end: u64, new_sequence: u64) {
    end.store(new_end, PUBLISH);
    sequence.store(new_sequence, PUBLISH);
}

/// The flusher's side of the tail: (end, sequence), where the bytes before `end` hold every frame up to
/// `sequence` (and maybe more).
#[inline(always)]
pub fn observe_tail<C: CommitCell>(end: &C, sequence: &C) -> (u64, u64) {
    let sequence = sequence.load(OBSERVE);
    (end.load(OBSERVE), sequence)
}
