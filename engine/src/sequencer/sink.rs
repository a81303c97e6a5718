//! Where the sequencer's frames go.
use crate::id::Sequence;
use crate::time::Nanos;
use onetape_journal::Tag;
use std::convert::Infallible;

/// Takes frames in order.
pub trait Sink {
    /// Why a frame could not be taken.
    type Error: std::error::Error + 'static;

    /// Whether anybody looks at derived frames' payloads; they are not encoded, and come empty, where nobody does.
    const READS_DERIVED: bool = true;

    /// Takes a frame. It may be held back until the next one or the step's end, which says whether it was the last.
    ///
    /// # Errors
    /// As the sink has them.
    fn frame(
        &mut self,
        sequence: Sequence,
        at: Nanos,
        tag: Tag,
        payload: &[u8],
    ) -> Result<(), Self::Error>;

    /// The frame before was the last of its step.
    ///
    /// # Errors
    /// As the sink has them.
    fn end_step(&mut self) -> Result<(), Self::Error>;
}

/// Keeps nothing: a replay for its figures alone, and recovery.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullSink;

impl Sink for NullSink {
    type Error = Infallible;

    const READS_DERIVED: bool = false;

    #[inline]
    fn frame(&mut self, _: Sequence, _: Nanos, _: Tag, _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }

    #[inline]
    fn end_step(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Keeps every frame in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemorySink {
    /// Sequence, stamp, tag with its end-of-step bit, payload.
    pub frames: Vec<(Sequence, Nanos, Tag, Vec<u8>)>,
}

impl Sink for MemorySink {
    type Error = Infallible;

    fn frame(
        &mut self,
        sequence: Sequence,
        at: Nanos,
        tag: Tag,
        payload: &[u8],
    ) -> Result<(), Infallible> {
        self.frames.push((sequence, at, tag, payload.to_vec()));
        Ok(())
    }

    fn end_step(&mut self) -> Result<(), Infallible> {
        if let Some((_, _, tag, _)) = self.frames.last_mut() {
            *tag = tag.with_step_end(true);
        }
        Ok(())
    }
}
