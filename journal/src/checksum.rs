//! CRC32C, seeded with the epoch, in two implementations that agree bit for bit.
//!
//! The intrinsics inline only into functions that carry the CPU feature themselves; anything else is a
//! call for each eight bytes. So the hot loops (staging in `frame.rs`, walking in `walk.rs`) are generic
//! over [`Crc`], and each has one entry with `#[target_feature]` and one without.
//!
//! A *state* is the register of the CRC, the complement of the finished value.

/// One way to advance the register.
pub(crate) trait Crc: Copy {
    /// Adds eight bytes.
    ///
    /// # Safety
    /// The CPU has the implementation's feature.
    unsafe fn word(state: u32, word: u64) -> u32;

    /// Adds four bytes.
    ///
    /// # Safety
    /// The CPU has the implementation's feature.
    unsafe fn half(state: u32, half: u32) -> u32;

    /// Hints that the line at `address` will be read soon. The address need not be mapped.
    ///
    /// # Safety
    /// The CPU has the implementation's feature.
    unsafe fn prefetch(address: *const u8);
}

/// From here on the crate's interleaved kernels beat one chain of instructions, payload bytes.
pub(crate) const BULK: usize = 1024;

/// The `crc32c` crate, for every CPU.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Crc for Portable {
    #[inline(always)]
    unsafe fn word(state: u32, word: u64) -> u32 {
        bulk(state, &word.to_le_bytes())
    }
    #[inline(always)]
    unsafe fn half(state: u32, half: u32) -> u32 {
        bulk(state, &half.to_le_bytes())
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}
}

/// SSE4.2, the feature of every x86-64 CPU since 2008.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Sse42;

#[cfg(target_arch = "x86_64")]
impl Crc for Sse42 {
    #[inline(always)]
    unsafe fn word(state: u32, word: u64) -> u32 {
        // SAFETY: the caller vouches for SSE4.2.
        unsafe { core::arch::x86_64::_mm_crc32_u64(u64::from(state), word) as u32 }
    }
    #[inline(always)]
    unsafe fn half(state: u32, half: u32) -> u32 {
        // SAFETY: the caller vouches for SSE4.2.
        unsafe { core::arch::x86_64::_mm_crc32_u32(state, half) }
    }
    #[inline(always)]
    unsafe fn prefetch(address: *const u8) {
        // SAFETY: a prefetch never faults, whatever the address; SSE is part of x86-64.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address.cast())
        }
    }
}

/// Whether the hot loops may use SSE4.2. The standard library caches the answer.
pub(crate) fn hardware() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("sse4.2")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Adds any bytes.
#[inline]
pub(crate) fn bulk(state: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!state, bytes)
}

/// Adds the bytes of a long payload. Few are long: said to be cold, it costs the walk over the others no registers.
#[cold]
pub(crate) fn long(state: u32, bytes: &[u8]) -> u32 {
    bulk(state, bytes)
}

/// The register before the first byte of a frame of this epoch: as if a checksum equal to the folded
/// epoch had come before.
#[inline]
pub(crate) fn seed(epoch: u64) -> u32 {
    !((epoch ^ (epoch >> 32)) as u32)
}

/// Finished CRC32C of a header.
pub(crate) fn of(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_standard_comes_out() {
        assert_eq!(of(b"123456789"), 0xE306_9283);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn hardware_and_portable_agree_on_words_halves_and_bulk() {
        #[target_feature(enable = "sse4.2")]
        fn chain(state: u32, words: &[u64], half: u32) -> u32 {
            // SAFETY: this function has the feature.
            unsafe { Sse42::half(words.iter().fold(state, |s, w| Sse42::word(s, *w)), half) }
        }
        if !hardware() {
            return;
        }
        let mut x = 0x9E37_79B9_7F4A_7C15_u64;
        for n in 0..200 {
            let words: Vec<u64> = (0..n)
                .map(|_| {
                    x = x
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    x
                })
                .collect();
            let state = seed(x ^ n);
            // SAFETY: checked above.
            let hard = unsafe { chain(state, &words, x as u32) };
            // SAFETY: the portable implementation needs no feature.
            let soft = unsafe {
                Portable::half(
                    words.iter().fold(state, |s, w| Portable::word(s, *w)),
                    x as u32,
                )
            };
            let bytes: Vec<u8> = words
                .iter()
                .flat_map(|w| w.to_le_bytes())
                .chain((x as u32).to_le_bytes())
                .collect();
            assert_eq!(hard, soft);
            assert_eq!(hard, bulk(state, &bytes));
        }
    }
}
