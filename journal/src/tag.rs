//! What a frame is: its kind number, whether it was derived, whether it ends a step.

use crate::layout::{KIND_RESERVED, TAG_DERIVED, TAG_KIND_MASK, TAG_MASK, TAG_STEP_END};

/// Twelve bits beside each frame: kind number (1 to 0x3EF), derived bit, end-of-step bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct Tag(u16);

impl Tag {
    /// A fact from outside.
    ///
    /// # Panics
    /// If `kind` is 0 or above 0x3EF; kinds are constants, so this is a compile error where it matters.
    #[inline]
    #[must_use]
    pub const fn input(kind: u16) -> Tag {
        assert!(
            kind != 0 && kind < KIND_RESERVED,
            "a frame's kind is between 1 and 0x3ef"
        );
        Tag(kind)
    }

    /// Something that follows from the inputs before it.
    ///
    /// # Panics
    /// As [`Tag::input`].
    #[inline]
    #[must_use]
    pub const fn derived(kind: u16) -> Tag {
        Tag(Tag::input(kind).0 | TAG_DERIVED)
    }

    /// The kind number.
    #[inline]
    #[must_use]
    pub const fn kind(self) -> u16 {
        self.0 & TAG_KIND_MASK
    }

    /// Whether the frame follows from inputs before it.
    #[inline]
    #[must_use]
    pub const fn is_derived(self) -> bool {
        self.0 & TAG_DERIVED != 0
    }

    /// Whether the frame is the last of its step.
    #[inline]
    #[must_use]
    pub const fn ends_step(self) -> bool {
        self.0 & TAG_STEP_END != 0
    }

    /// The same tag with the end-of-step bit as given.
    #[inline]
    #[must_use]
    pub const fn with_step_end(self, ends: bool) -> Tag {
        if ends {
            Tag(self.0 | TAG_STEP_END)
        } else {
            Tag(self.0 & !TAG_STEP_END)
        }
    }

    /// All twelve bits.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The tag of these bits; `None` for kind 0, the journal's own kinds and more than twelve bits.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u16) -> Option<Tag> {
        let kind = bits & TAG_KIND_MASK;
        if bits & !TAG_MASK != 0 || kind == 0 || kind >= KIND_RESERVED {
            None
        } else {
            Some(Tag(bits))
        }
    }
}

/// One frame, read in place: the payload borrows the mapped file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame<'a> {
    /// Place in the journal; the first frame has 1, each further one 1 more.
    pub sequence: u64,
    /// The event's deterministic time, ns since 1970 UTC.
    pub timestamp_ns: u64,
    /// What the frame is.
    pub tag: Tag,
    /// The frame's content.
    pub payload: &'a [u8],
}
