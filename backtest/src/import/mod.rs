//! Recorded market data into a journal: files in, input frames out.
//!
//! [`run`] reads every file twice. The first pass ([`survey`](self)) checks each line and finds the decimals, tick and
//! lot of each instrument; the second merges the files by time and appends. So a file with a bad line leaves the
//! journal as it was. Each format is one module that turns a line into a row; books, quotes and trades are made of the
//! rows in one place, and the engine's own market is folded beside them to report what a strategy would see.
mod agreement;
mod barter;
mod binance;
mod columns;
mod decoder;
mod error;
mod facts;
mod feed;
mod grid;
mod lines;
mod listing;
mod options;
mod own_csv;
mod pass;
mod report;
mod row;
mod survey;
mod tape;
mod tardis;

pub use error::{ImportError, Reject};
pub use lines::LINE_BYTES_MAX;
pub use options::{Format, ImportOptions, Progress};
pub use pass::run;
pub use report::{
    AgreementReport, Disagreement, FileReport, GapReport, ImportReport, InstrumentReport,
    RejectReport,
};
