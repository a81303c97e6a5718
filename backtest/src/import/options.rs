//! What to import, how, and how far it is.
use rust_decimal::Decimal;
use std::path::PathBuf;

/// The form of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Found from the file's first line.
    #[default]
    Auto,
    /// Receive time in ns, a space, the venue's own JSON.
    Binance,
    /// This project's own CSV, see docs/import.md.
    Csv,
    /// Tardis CSV: `incremental_book_L2`, `quotes` or `trades`.
    Tardis,
    /// JSON lines of the `barter` data crate.
    Barter,
}

impl Format {
    /// The name that commands take and journals record.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Auto => "auto",
            Format::Binance => "binance",
            Format::Csv => "csv",
            Format::Tardis => "tardis",
            Format::Barter => "barter",
        }
    }
}

/// What to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The journal's directory: a new one is made, an existing one goes on.
    pub journal: PathBuf,
    /// The files, plain or gzip. They are merged by time.
    pub files: Vec<PathBuf>,
    /// Their form.
    pub format: Format,
    /// Leaves lines out that can't be read, and counts them, instead of refusing the import.
    pub lenient: bool,
    /// Maker rate of new instruments; 0.001 is 10 bps.
    pub maker: Option<Decimal>,
    /// Taker rate of new instruments.
    pub taker: Option<Decimal>,
    /// Venue name, instead of the one that file name or content gives.
    pub venue: Option<String>,
    /// Symbols by number, for formats that number them (`barter`). Empty for the format's default.
    pub instruments: Vec<String>,
}

/// How far an import is. Bytes count both passes over all files, as they are on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The file being read, without its folder.
    pub file: String,
    /// Bytes read so far.
    pub bytes_done: u64,
    /// Bytes to read in all.
    pub bytes_total: u64,
    /// Frames appended so far.
    pub frames: u64,
}
