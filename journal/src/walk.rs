//! Walking frames: the one place that decides whether the bytes at an offset are the next frame.
//!
//! Readers, recovery, the archive and the inspection all walk with [`Cursor`], so they can't disagree.

use crate::checksum::{self, Crc};
use crate::commit::{self, CommitWord};
use crate::error::Damage;
use crate::layout::{
    FRAME_AT_PAYLOAD, FRAME_AT_SEQUENCE, FRAME_AT_TIMESTAMP, FRAME_HEADER, KIND_RESERVED,
    KIND_SEAL, PAYLOAD_MAX, SEAL_PAYLOAD, SEGMENT_HEADER, SEGMENT_MAX, TAG_KIND_MASK, padded,
};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// A position in one segment's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    base: NonNull<u8>,
    /// Bytes that may be read, a multiple of eight.
    pub(crate) limit: usize,
    /// Offset of the next frame, a multiple of eight.
    pub(crate) offset: usize,
    /// The sequence the next frame must have.
    pub(crate) next_sequence: u64,
    seed: u32,
    hardware: bool,
}

/// A verified frame of the journal's user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawFrame {
    pub(crate) sequence: u64,
    pub(crate) timestamp_ns: u64,
    pub(crate) payload: NonNull<u8>,
    pub(crate) length: usize,
    pub(crate) tag_bits: u16,
}

/// Why a segment was sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SealReason {
    /// The next segment follows.
    Roll,
    /// The writer closed the journal.
    Close,
    /// Recovery cut the segment here.
    Recovered,
}

impl SealReason {
    pub(crate) const fn number(self) -> u32 {
        match self {
            SealReason::Roll => 1,
            SealReason::Close => 2,
            SealReason::Recovered => 3,
        }
    }

    fn from_number(number: u32) -> Option<SealReason> {
        [SealReason::Roll, SealReason::Close, SealReason::Recovered]
            .into_iter()
            .find(|r| r.number() == number)
    }
}

/// What is at the cursor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    /// The next frame.
    Frame(RawFrame),
    /// A zero word: nothing was published here.
    Nothing,
    /// The segment's end.
    Seal(SealReason),
    /// Too few bytes left for what should be here.
    End,
    /// Something else.
    Bad(Damage),
}

impl Cursor {
    /// A cursor at the first frame.
    ///
    /// # Safety
    /// `base` is aligned to eight, and `limit` bytes from it stay readable for as long as this cursor, its
    /// copies and the frames it gives are used; bytes of published frames do not change meanwhile.
    pub(crate) unsafe fn new(
        base: NonNull<u8>,
        limit: usize,
        epoch: u64,
        base_sequence: u64,
    ) -> Cursor {
        Cursor {
            base,
            limit: limit & !7,
            offset: SEGMENT_HEADER,
            next_sequence: base_sequence,
            seed: checksum::seed(epoch),
            hardware: checksum::hardware(),
        }
    }

    /// The next frame, or `None` if [`Cursor::examine`] has to say what is there instead. Verifies length,
    /// checksum and sequence; does not move.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<RawFrame> {
        let word = self.verified()?;
        // SAFETY: the frame's extent was checked against the limit, so it lies within the segment and not at null.
        let (timestamp_ns, payload) = unsafe {
            (
                self.load(self.offset + FRAME_AT_TIMESTAMP),
                self.base.add(self.offset + FRAME_AT_PAYLOAD),
            )
        };
        Some(RawFrame {
            sequence: self.next_sequence,
            timestamp_ns,
            payload,
            length: word.length(),
            tag_bits: word.tag_bits(),
        })
    }

    /// The word of the next frame if all of it is sound. Only the word, for a register holds it: a whole [`RawFrame`]
    /// would be written to memory and read again on every frame.
    #[inline(always)]
    fn verified(&self) -> Option<CommitWord> {
        #[cfg(target_arch = "x86_64")]
        if self.hardware {
            // SAFETY: the flag is the detection of SSE4.2.
            return unsafe { self.verified_sse42() };
        }
        self.verified_portable()
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "sse4.2")]
    fn verified_sse42(&self) -> Option<CommitWord> {
        // SAFETY: this function has the feature.
        unsafe { self.verify::<checksum::Sse42>() }
    }

    fn verified_portable(&self) -> Option<CommitWord> {
        // SAFETY: the portable implementation needs no feature.
        unsafe { self.verify::<checksum::Portable>() }
    }

    /// Moves past `frame`.
    #[inline(always)]
    pub(crate) fn advance(&mut self, frame: &RawFrame) {
        self.offset += FRAME_HEADER + padded(frame.length);
        self.next_sequence = frame.sequence.wrapping_add(1);
    }

    #[inline(always)]
    fn word(&self) -> Option<CommitWord> {
        debug_assert!(self.offset.is_multiple_of(8) && self.offset + 8 <= self.limit);
        // SAFETY: eight readable bytes (checked by the callers), aligned since base and offset are; all
        // processes access a commit word through atomics only.
        let cell = unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(self.offset).cast()) };
        commit::observe(cell)
    }

    /// # Safety
    /// `at + 8 <= limit`, and the frame there is published or nobody writes.
    #[inline(always)]
    unsafe fn load(&self, at: usize) -> u64 {
        debug_assert!(at.is_multiple_of(8) && at + 8 <= self.limit);
        // SAFETY: readable by the caller's word and `new`'s contract; aligned.
        unsafe { self.base.as_ptr().add(at).cast::<u64>().read() }
    }

    /// # Safety
    /// The CPU has the feature of `C`.
    #[inline(always)]
    unsafe fn verify<C: Crc>(&self) -> Option<CommitWord> {
        if self.offset + FRAME_HEADER > self.limit {
            return None;
        }
        // Frames form a chain of dependent loads; fetching ahead more than doubles the walk.
        // SAFETY: the caller vouches for the feature; a prefetch may have any address.
        unsafe { C::prefetch(self.base.as_ptr().wrapping_add(self.offset + 1024)) };
        let word = self.word()?;
        let length = word.length();
        if padded(length) > self.limit - self.offset - FRAME_HEADER {
            return None;
        }
        // SAFETY: the word is there, so the frame is; its extent was checked against the limit.
        let (sequence, crc) = unsafe { self.checksum::<C>(word) };
        let kind = word.tag_bits() & TAG_KIND_MASK;
        // One branch instead of four: all of them hold for every frame of a sound journal.
        let sound = (crc == word.crc())
            & (sequence == self.next_sequence)
            & (kind.wrapping_sub(1) < KIND_RESERVED - 1);
        sound.then_some(word)
    }

    /// Sequence and checksum of the frame at the cursor.
    ///
    /// # Safety
    /// The CPU has the feature of `C`; the frame's extent by `word` lies within the limit.
    #[inline(always)]
    unsafe fn checksum<C: Crc>(&self, word: CommitWord) -> (u64, u32) {
        // SAFETY: the extent lies within the limit by the caller's word; so do all loads below.
        unsafe {
            let sequence = self.load(self.offset + FRAME_AT_SEQUENCE);
            let timestamp_ns = self.load(self.offset + FRAME_AT_TIMESTAMP);
            let mut state = C::word(C::word(self.seed, sequence), timestamp_ns);
            let start = self.offset + FRAME_AT_PAYLOAD;
            let bytes = padded(word.length());
            if bytes >= checksum::BULK {
                state = checksum::long(
                    state,
                    std::slice::from_raw_parts(self.base.as_ptr().add(start), bytes),
                );
            } else {
                let words = self.base.as_ptr().add(start).cast::<u64>();
                let words = std::slice::from_raw_parts(words, bytes / 8);
                let (fours, rest) = words.as_chunks::<4>();
                for four in fours {
                    for word in four {
                        state = C::word(state, *word);
                    }
                }
                for word in rest {
                    state = C::word(state, *word);
                }
            }
            (sequence, !C::half(state, word.raw() as u32))
        }
    }

    /// Says exactly what is at the cursor.
    #[cold]
    pub(crate) fn examine(&self) -> Found {
        if let Some(frame) = self.peek() {
            return Found::Frame(frame);
        }
        if self.offset + 8 > self.limit {
            return Found::End;
        }
        let Some(word) = self.word() else {
            return Found::Nothing;
        };
        if self.offset + FRAME_HEADER + padded(word.length()) > self.limit {
            return Found::Bad(Damage::Length {
                length: word.length() as u64,
                end: self.limit as u64,
            });
        }
        // SAFETY: the portable implementation needs no feature; the extent was just checked.
        let (sequence, computed) = unsafe { self.checksum::<checksum::Portable>(word) };
        if computed != word.crc() {
            return Found::Bad(Damage::Checksum {
                found: word.crc(),
                computed,
            });
        }
        if sequence != self.next_sequence {
            return Found::Bad(Damage::Sequence { found: sequence });
        }
        let kind = word.tag_bits() & TAG_KIND_MASK;
        if kind == KIND_SEAL && word.length() == SEAL_PAYLOAD {
            // SAFETY: the extent was checked, and a seal has eight bytes of payload.
            let reason = unsafe { self.load(self.offset + FRAME_AT_PAYLOAD) } as u32;
            if let Some(reason) = SealReason::from_number(reason) {
                return Found::Seal(reason);
            }
        }
        // A frame that became visible between the two looks is simply seen at the next one.
        match self.peek() {
            Some(frame) => Found::Frame(frame),
            None => Found::Bad(Damage::Kind { kind }),
        }
    }

    /// The extent of the frame that `examine` found damaged, if the frame right after it proves where it
    /// ends: it verifies and carries the sequence after the damaged one. Gives the raw frame as it lies
    /// there (its own sequence field may be what is damaged).
    pub(crate) fn damaged_but_bounded(&self) -> Option<RawFrame> {
        if self.offset + FRAME_HEADER > self.limit {
            return None;
        }
        let word = self.word()?;
        let end = self.offset + FRAME_HEADER + padded(word.length());
        if end > self.limit {
            return None;
        }
        let after = Cursor {
            offset: end,
            next_sequence: self.next_sequence.wrapping_add(1),
            ..*self
        };
        if !matches!(after.examine(), Found::Frame(_) | Found::Seal(_)) {
            return None;
        }
        // SAFETY: the extent was checked above.
        let (timestamp_ns, payload) = unsafe {
            (
                self.load(self.offset + FRAME_AT_TIMESTAMP),
                self.base.add(self.offset + FRAME_AT_PAYLOAD),
            )
        };
        Some(RawFrame {
            sequence: self.next_sequence,
            timestamp_ns,
            payload,
            length: word.length(),
            tag_bits: word.tag_bits(),
        })
    }

    /// Bytes from the cursor to the last one that is not zero, looking at most one frame's extent ahead
    /// (`whole` = false) or to the limit.
    pub(crate) fn remains(&self, whole: bool) -> u64 {
        let reach = FRAME_HEADER + padded(PAYLOAD_MAX);
        let stop = if whole {
            self.limit
        } else {
            self.limit.min(self.offset + reach)
        };
        let mut end = 0;
        let mut at = self.offset;
        while at + 8 <= stop {
            // SAFETY: within the limit. Bytes that a live writer is staging may change meanwhile: the value
            // is used only to say whether something is there.
            if unsafe { self.base.as_ptr().add(at).cast::<u64>().read_volatile() } != 0 {
                end = at + 8 - self.offset;
            }
            at += 8;
        }
        end as u64
    }

    /// How many whole frames of this epoch with later sequences lie anywhere beyond the cursor.
    pub(crate) fn frames_beyond(&self) -> u64 {
        let mut count = 0;
        let mut probe = *self;
        probe.offset += 8;
        while probe.offset + FRAME_HEADER <= probe.limit {
            // SAFETY: within the limit; recovery holds the lock, nobody writes.
            let (word, sequence) = unsafe {
                (
                    probe.load(probe.offset),
                    probe.load(probe.offset + FRAME_AT_SEQUENCE),
                )
            };
            // Cheaper than a checksum at each offset: later, and by no more than segments can hold.
            const FAR: u64 = SEGMENT_MAX / FRAME_HEADER as u64;
            let near = sequence >= self.next_sequence && sequence - self.next_sequence <= FAR;
            if word != 0 && near {
                probe.next_sequence = sequence;
                if let Some(frame) = probe.peek() {
                    count += 1;
                    probe.advance(&frame);
                    continue;
                }
            }
            probe.offset += 8;
        }
        count
    }

    /// The payload of a frame this cursor gave.
    ///
    /// # Safety
    /// The bytes the cursor was made over are still mapped, for all of `'a`.
    #[inline(always)]
    pub(crate) unsafe fn payload<'a>(frame: &RawFrame) -> &'a [u8] {
        // SAFETY: the frame was verified to lie within the mapping and never changes once published.
        unsafe { std::slice::from_raw_parts(frame.payload.as_ptr(), frame.length) }
    }
}
