//! One table's file while it is being written.
use crate::batch::{Batch, Stamp};
use crate::error::{Context, Error, RowError};
use crate::names::Names;
use crate::schema::Table;
use crate::tables;
use onetape_engine::event::{Event, Kind};
use polars::error::PolarsError;
use polars::prelude::{BatchedWriter, ParquetCompression, ParquetWriter};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Batches go to the file in pieces of this size.
const WRITE_BYTES: usize = 256 << 10;

/// A table's file, its rows that are not written yet, and how many there were.
pub(crate) struct TableFile {
    batch: Batch,
    writer: BatchedWriter<Output>,
    failure: Failure,
    file: File,
    path: PathBuf,
    rows: u64,
}

impl TableFile {
    /// Begins the table of `kind` in `dir`.
    pub(crate) fn create(dir: &Path, kind: Kind) -> Result<Self, Error> {
        let table = Table::of(kind);
        let path = dir.join(table.file_name());
        let file = File::create_new(&path).at("create", &path)?;
        let failure = Failure::default();
        let output = Output {
            file: BufWriter::with_capacity(WRITE_BYTES, file.try_clone().at("open", &path)?),
            failure: failure.clone(),
        };
        let writer = ParquetWriter::new(output)
            .with_compression(ParquetCompression::Zstd(None))
            .batched(&table.polars_schema())
            .map_err(|e| failure.explain(&path, e))?;
        Ok(Self {
            batch: Batch::new(table, 0),
            writer,
            failure,
            file,
            path,
            rows: 0,
        })
    }

    /// Adds a frame's rows, and writes them when there are `batch_rows`.
    pub(crate) fn add(
        &mut self,
        event: &Event<'_>,
        names: &Names,
        stamp: &Stamp,
        batch_rows: usize,
    ) -> Result<(), AddError> {
        tables::add(event, names, stamp, &mut self.batch)?;
        if self.batch.is_full(batch_rows) {
            self.write_batch()?;
        }
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), Error> {
        self.rows += self.batch.rows() as u64;
        let written = self
            .batch
            .take()
            .and_then(|rows| self.writer.write_batch(&rows));
        written.map_err(|e| self.failure.explain(&self.path, e))
    }

    /// Writes what is left and the footer, and waits for the disk. Returns rows and bytes.
    pub(crate) fn finish(mut self) -> Result<(u64, u64), Error> {
        if self.batch.rows() > 0 {
            self.write_batch()?;
        }
        self.writer
            .finish()
            .map_err(|e| self.failure.explain(&self.path, e))?;
        self.file.sync_all().at("write", &self.path)?;
        let bytes = self.file.metadata().at("look at", &self.path)?.len();
        Ok((self.rows, bytes))
    }
}

/// Why a frame could not be added.
pub(crate) enum AddError {
    Row(RowError),
    File(Error),
}

impl From<RowError> for AddError {
    fn from(e: RowError) -> Self {
        AddError::Row(e)
    }
}

impl From<Error> for AddError {
    fn from(e: Error) -> Self {
        AddError::File(e)
    }
}

/// What the system said when a write failed. The encoder turns such an error into text of its own ("out of spec"), so the
/// error itself is kept here, beside it.
#[derive(Clone, Default)]
struct Failure(Arc<Mutex<Option<std::io::Error>>>);

impl Failure {
    fn explain(&self, path: &Path, error: PolarsError) -> Error {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(source) => Error::Io {
                action: "write",
                path: path.to_path_buf(),
                source,
            },
            None => Error::Encode {
                path: path.to_path_buf(),
                source: error,
            },
        }
    }

    fn keep<T>(&self, result: std::io::Result<T>) -> std::io::Result<T> {
        result.map_err(|e| {
            let shown = std::io::Error::new(e.kind(), e.to_string());
            // `Interrupted` is tried again by `write_all` and is no failure.
            if e.kind() != std::io::ErrorKind::Interrupted {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
            }
            shown
        })
    }
}

struct Output {
    file: BufWriter<File>,
    failure: Failure,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes);
        self.failure.keep(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let flushed = self.file.flush();
        self.failure.keep(flushed)
    }
}
