//! Frames into a journal file.
use onetape_engine::id::Sequence;
use onetape_engine::sequencer::Sink;
use onetape_engine::time::Nanos;
use onetape_journal::{Error, Tag, Writer};

/// Writes each frame when the next one or the step's end says whether it was the last of its step.
pub struct JournalSink {
    writer: Writer,
    staged: bool,
}

impl JournalSink {
    /// A sink at the writer's end.
    pub const fn new(writer: Writer) -> Self {
        Self {
            writer,
            staged: false,
        }
    }

    /// The writer.
    pub const fn writer_mut(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// Makes everything durable and closes the journal; returns the last sequence.
    ///
    /// # Errors
    /// Those of [`Writer::close`].
    pub fn close(self) -> Result<u64, Error> {
        self.writer.close()
    }
}

impl Sink for JournalSink {
    type Error = Error;

    #[inline]
    fn frame(
        &mut self,
        sequence: Sequence,
        at: Nanos,
        tag: Tag,
        payload: &[u8],
    ) -> Result<(), Error> {
        if self.staged {
            self.writer.publish(false);
            self.staged = false;
        }
        debug_assert_eq!(
            sequence.0,
            self.writer.next_sequence(),
            "invariant: sequencer and journal count alike"
        );
        self.writer.stage(tag, at.0, payload)?;
        self.staged = true;
        Ok(())
    }

    #[inline]
    fn end_step(&mut self) -> Result<(), Error> {
        if self.staged {
            self.writer.publish(true);
            self.staged = false;
        }
        Ok(())
    }
}
