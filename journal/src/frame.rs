//! Writing one frame into mapped memory.
//!
//! The checksum ends with the low half of the commit word, so a frame can be filled before it is known
//! whether it ends a step.

use crate::checksum::{self, Crc};
use crate::commit::{self, CommitWord};
use crate::layout::{FRAME_AT_PAYLOAD, FRAME_AT_SEQUENCE, FRAME_AT_TIMESTAMP, padded};
use std::sync::atomic::AtomicU64;

/// Writes everything but the commit word and returns the checksum's state.
///
/// # Safety
/// `at` is aligned to eight and has room for the frame in writable memory; this thread is the only writer,
/// and no reader looks past the word at `at` while it is zero. `hardware` is the detection of SSE4.2.
#[inline(always)]
pub(crate) unsafe fn fill(
    hardware: bool,
    at: *mut u8,
    seed: u32,
    sequence: u64,
    timestamp_ns: u64,
    payload: &[u8],
) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if hardware {
        // SAFETY: the feature was detected; the rest is this function's contract.
        return unsafe { fill_sse42(at, seed, sequence, timestamp_ns, payload) };
    }
    let _ = hardware;
    // SAFETY: this function's contract; the portable implementation needs no feature.
    unsafe { fill_with::<checksum::Portable>(at, seed, sequence, timestamp_ns, payload) }
}

/// Fills and publishes in one go: one call for an append.
///
/// # Safety
/// As [`fill`].
#[inline(always)]
pub(crate) unsafe fn put(
    hardware: bool,
    at: *mut u8,
    seed: u32,
    sequence: u64,
    timestamp_ns: u64,
    tag_bits: u16,
    payload: &[u8],
) {
    #[cfg(target_arch = "x86_64")]
    if hardware {
        // SAFETY: the feature was detected; the rest is this function's contract.
        return unsafe { put_sse42(at, seed, sequence, timestamp_ns, tag_bits, payload) };
    }
    let _ = hardware;
    // SAFETY: this function's contract.
    unsafe {
        let state = fill_with::<checksum::Portable>(at, seed, sequence, timestamp_ns, payload);
        commit_with::<checksum::Portable>(at, state, CommitWord::low(payload.len(), tag_bits));
    }
}

/// Publishes a filled frame.
///
/// # Safety
/// `at` and `state` are those of a [`fill`] that nothing followed, `low` has its length.
#[inline(always)]
pub(crate) unsafe fn commit(at: *mut u8, state: u32, low: u32) {
    // Four bytes: the portable way costs as little as a call into a function with the feature.
    // SAFETY: this function's contract.
    unsafe { commit_with::<checksum::Portable>(at, state, low) };
}

/// The finished word of a frame that [`fill`] wrote.
pub(crate) fn word(state: u32, low: u32) -> Option<CommitWord> {
    CommitWord::new(low, !checksum::bulk(state, &low.to_le_bytes()))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
unsafe fn fill_sse42(
    at: *mut u8,
    seed: u32,
    sequence: u64,
    timestamp_ns: u64,
    payload: &[u8],
) -> u32 {
    // SAFETY: the caller's contract; this function has the feature.
    unsafe { fill_with::<checksum::Sse42>(at, seed, sequence, timestamp_ns, payload) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
unsafe fn put_sse42(
    at: *mut u8,
    seed: u32,
    sequence: u64,
    timestamp_ns: u64,
    tag_bits: u16,
    payload: &[u8],
) {
    // SAFETY: the caller's contract; this function has the feature.
    unsafe {
        let state = fill_with::<checksum::Sse42>(at, seed, sequence, timestamp_ns, payload);
        commit_with::<checksum::Sse42>(at, state, CommitWord::low(payload.len(), tag_bits));
    }
}

/// # Safety
/// As [`fill`], and the CPU has the feature of `C`.
#[inline(always)]
unsafe fn fill_with<C: Crc>(
    at: *mut u8,
    seed: u32,
    sequence: u64,
    timestamp_ns: u64,
    payload: &[u8],
) -> u32 {
    // SAFETY: all stores lie within the frame, whose room the caller vouches for; the loads lie within
    // `payload`. Source and target can't overlap: `payload` is a reference, the target is ours alone.
    unsafe {
        at.add(FRAME_AT_SEQUENCE).cast::<u64>().write(sequence);
        at.add(FRAME_AT_TIMESTAMP).cast::<u64>().write(timestamp_ns);
        let mut state = C::word(C::word(seed, sequence), timestamp_ns);
        let (from, to) = (payload.as_ptr(), at.add(FRAME_AT_PAYLOAD));
        let whole = payload.len() & !7;
        if whole >= checksum::BULK {
            std::ptr::copy_nonoverlapping(from, to, whole);
            state = checksum::bulk(state, &payload[..whole]);
        } else {
            // Copy and checksum in one pass, word by word: at these sizes a call to memcpy costs more.
            let mut i = 0;
            while i < whole {
                let word = from.add(i).cast::<u64>().read_unaligned();
                to.add(i).cast::<u64>().write(word);
                state = C::word(state, word);
                i += 8;
            }
        }
        if whole < payload.len() {
            let mut last = [0; 8];
            std::ptr::copy_nonoverlapping(
                from.add(whole),
                last.as_mut_ptr(),
                payload.len() - whole,
            );
            let word = u64::from_le_bytes(last);
            to.add(whole).cast::<u64>().write(word);
            state = C::word(state, word);
        }
        debug_assert!(whole <= padded(payload.len()));
        state
    }
}

/// # Safety
/// As [`commit`], and the CPU has the feature of `C`.
#[inline(always)]
unsafe fn commit_with<C: Crc>(at: *mut u8, state: u32, low: u32) {
    // SAFETY: the caller vouches for the feature.
    let crc = unsafe { !C::half(state, low) };
    if let Some(word) = CommitWord::new(low, crc) {
        // SAFETY: aligned, writable, and only ever accessed as an atomic while others look at it.
        commit::publish(unsafe { AtomicU64::from_ptr(at.cast()) }, word);
    }
}
