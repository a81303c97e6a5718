//! One pass over a journal, all tables written side by side.
use crate::batch::Stamp;
use crate::error::{Error, RowError};
use crate::names::{self, Names};
use crate::parquet::{AddError, TableFile};
use crate::schema::Table;
use crate::staging::Staging;
use onetape_engine::event::{Event, Kind};
use onetape_engine::time::Nanos;
use onetape_journal::{Frame, Reader};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What to export, and where to.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The journal's directory; a live one is exported up to its last frame.
    pub journal: PathBuf,
    /// Where the tables go; created if it is missing.
    pub out: PathBuf,
    /// Which tables; `None` for all.
    pub kinds: Option<Vec<Kind>>,
    /// Whether tables that are in `out` already are replaced. Other files there stay.
    pub overwrite: bool,
    /// Rows of a table held in memory before they are written as one row group.
    pub batch_rows: usize,
}

impl ExportOptions {
    /// A balance: a day with all tables busy takes some 140 MB at this, and what Parquet keeps in memory of each row group
    /// until its file ends (about 50 KB) comes to 80 MB for each hundred million rows.
    pub const BATCH_ROWS: usize = 65_536;
    /// The most that `batch_rows` may be.
    pub const BATCH_ROWS_MAX: usize = 16 << 20;

    /// Every table of `journal` into `out`, which must be empty or missing.
    pub fn new(journal: &Path, out: &Path) -> Self {
        Self {
            journal: journal.to_path_buf(),
            out: out.to_path_buf(),
            kinds: None,
            overwrite: false,
            batch_rows: Self::BATCH_ROWS,
        }
    }
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Frames read, those of kinds that were not asked for included.
    pub frames: u64,
    /// Every file written, in the order of the kinds' numbers.
    pub tables: Vec<TableReport>,
}

/// One table's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// The file's name in OUT.
    pub file: String,
    /// Its rows: frames of the kind, or levels for books.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

/// Writes a journal's frames as one Parquet file for each kind, and calls `progress` with the number of frames read now
/// and then and at the end. A kind that does not occur has an empty file with the schema. The files get their names
/// when all of them are complete; after an error `out` is as it was before.
///
/// # Errors
/// [`Error`].
pub fn export(
    options: &ExportOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<ExportReport, Error> {
    /// Frames between two looks at the progress.
    const PROGRESS_EVERY: u64 = 1 << 16;
    let kinds = checked(options)?;
    let mut reader = Reader::open(&options.journal)?;
    let staging = Staging::prepare(&options.out, options.overwrite)?;
    let mut tables = Tables::create(&staging.dir(), &kinds)?;
    let (mut names, mut frames) = (Names::default(), 0u64);
    let fail = |sequence: u64, e: &RowError| Error::Frame {
        journal: options.journal.clone(),
        sequence,
        why: e.to_string(),
    };
    for carried in onetape_journal::retention::carried(&options.journal)? {
        let learnt = Event::decode(carried.tag.kind(), &carried.payload).map_err(RowError::from);
        learnt
            .and_then(|event| names.learn(&event))
            .map_err(|e| fail(carried.sequence, &e))?;
    }
    while let Some(frame) = reader.next()? {
        tables
            .add(&frame, &mut names, options.batch_rows)
            .map_err(|e| match e {
                AddError::Row(e) => fail(frame.sequence, &e),
                AddError::File(e) => e,
            })?;
        frames += 1;
        if frames.is_multiple_of(PROGRESS_EVERY) {
            progress(frames);
        }
    }
    let reports = tables.finish()?;
    let files: Vec<String> = reports.iter().map(|report| report.file.clone()).collect();
    staging.publish(&files)?;
    progress(frames);
    Ok(ExportReport {
        frames,
        tables: reports,
    })
}

/// The kinds asked for, in order and each once.
fn checked(options: &ExportOptions) -> Result<Vec<Kind>, Error> {
    if options.batch_rows == 0 || options.batch_rows > ExportOptions::BATCH_ROWS_MAX {
        return Err(Error::Option {
            option: "batch_rows",
            expected: "1 to 16777216",
            found: options.batch_rows.to_string(),
        });
    }
    let kinds: Vec<Kind> = match &options.kinds {
        None => Kind::ALL.to_vec(),
        Some(asked) => Kind::ALL
            .iter()
            .copied()
            .filter(|kind| asked.contains(kind))
            .collect(),
    };
    if kinds.is_empty() {
        return Err(Error::Option {
            option: "kinds",
            expected: "at least one kind",
            found: "none".to_owned(),
        });
    }
    let same = |a: &Path, b: &Path| {
        a.canonicalize()
            .ok()
            .is_some_and(|a| b.canonicalize().ok() == Some(a))
    };
    if same(&options.out, &options.journal) {
        return Err(Error::SameDirectory {
            out: options.out.clone(),
        });
    }
    if options.out.exists() && !options.out.is_dir() {
        let found = format!("the file {}", options.out.display());
        return Err(Error::Option {
            option: "out",
            expected: "a directory",
            found,
        });
    }
    Ok(kinds)
}

/// The tables under way.
struct Tables {
    /// By place in [`Kind::ALL`].
    files: Vec<Option<TableFile>>,
    /// Place in [`Kind::ALL`] by kind number, so that a frame finds its table without a search.
    places: Vec<Option<usize>>,
    all: bool,
}

impl Tables {
    fn create(dir: &Path, kinds: &[Kind]) -> Result<Self, Error> {
        let mut files = Vec::with_capacity(Kind::ALL.len());
        let mut places = Vec::new();
        for (place, kind) in Kind::ALL.iter().enumerate() {
            files.push(if kinds.contains(kind) {
                Some(TableFile::create(dir, *kind)?)
            } else {
                None
            });
            let number = usize::from(kind.number());
            if places.len() <= number {
                places.resize(number + 1, None);
            }
            if let Some(known) = places.get_mut(number) {
                *known = Some(place);
            }
        }
        Ok(Self {
            files,
            places,
            all: kinds.len() == Kind::ALL.len(),
        })
    }

    fn add(
        &mut self,
        frame: &Frame<'_>,
        names: &mut Names,
        batch_rows: usize,
    ) -> Result<(), AddError> {
        const NAMING: [u16; 2] = [
            Kind::SessionStart.number(),
            Kind::InstrumentDefined.number(),
        ];
        let number = frame.tag.kind();
        let place = self.places.get(usize::from(number)).copied().flatten();
        let file = place
            .and_then(|place| self.files.get_mut(place))
            .and_then(Option::as_mut);
        // A kind that this version does not know is an error where everything was asked for.
        let unknown = place.is_none() && self.all;
        if file.is_none() && !unknown && !NAMING.contains(&number) {
            return Ok(());
        }
        let event = Event::decode(number, frame.payload).map_err(RowError::from)?;
        names.learn(&event)?;
        let Some(file) = file else { return Ok(()) };
        let at = names::time(Nanos(frame.timestamp_ns)).ok_or_else(|| RowError::Range {
            what: "stamp",
            value: frame.timestamp_ns.to_string(),
            expected: "a time before 2262-04-11",
        })?;
        let stamp = Stamp {
            sequence: frame.sequence,
            at,
            derived: frame.tag.is_derived(),
            ends_step: frame.tag.ends_step(),
            cause: event.cause(),
        };
        file.add(&event, names, &stamp, batch_rows)
    }

    fn finish(self) -> Result<Vec<TableReport>, Error> {
        let mut reports = Vec::new();
        for (kind, file) in Kind::ALL.iter().zip(self.files) {
            if let Some(file) = file {
                let (rows, bytes) = file.finish()?;
                reports.push(TableReport {
                    file: Table::of(*kind).file_name(),
                    rows,
                    bytes,
                });
            }
        }
        Ok(reports)
    }
}
