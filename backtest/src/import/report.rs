//! What an import did and what the data are worth, for people and for scripts.
use serde::Serialize;
use std::collections::BTreeMap;

/// The result of an import.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ImportReport {
    /// The files, in the order given.
    pub files: Vec<FileReport>,
    /// The instruments that the files are about.
    pub instruments: Vec<InstrumentReport>,
    /// Frames appended.
    pub frames: u64,
    /// Sequence of the journal's last frame.
    pub last_sequence: u64,
    /// Stamp of the first data frame, UTC ns.
    pub first_ns: u64,
    /// Stamp of the last frame, UTC ns.
    pub last_ns: u64,
    /// Frames whose own time lay before the frame before them; they have that one's stamp.
    pub clamped_stamps: u64,
}

/// One file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FileReport {
    /// Name without its folder.
    pub name: String,
    /// "binance", "csv", "tardis" or "barter".
    pub format: String,
    /// BLAKE3 of the file as it is on disk.
    pub identity: String,
    /// Lines, blank ones and a header included.
    pub lines: u64,
    /// Frames that came from it, by kind.
    pub frames: BTreeMap<&'static str, u64>,
    /// Well-formed records without meaning for the market, by reason.
    pub ignored: BTreeMap<&'static str, u64>,
    /// Lines left out, by field and reason.
    pub rejects: Vec<RejectReport>,
}

/// Lines left out for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct RejectReport {
    /// The field and what is wrong with it.
    pub reason: String,
    /// How many lines.
    pub count: u64,
    /// The first few, with line and value.
    pub examples: Vec<String>,
}

/// One instrument.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InstrumentReport {
    /// "venue:symbol".
    pub name: String,
    /// Decimals of its prices.
    pub price_decimals: u8,
    /// Decimals of its quantities.
    pub qty_decimals: u8,
    /// Tick size as found in the data.
    pub tick_size: String,
    /// Lot size as found in the data.
    pub lot_size: String,
    /// The book's trust at the end, by the engine's own market: "live", "empty", "snapshotting" or "stale (why)".
    pub book: String,
    /// The venue's id of the book at the end; 0 where there is none.
    pub book_last_id: u64,
    /// Levels a side of the book at the end.
    pub book_levels: (usize, usize),
    /// Snapshots taken into the book.
    pub snapshots: u64,
    /// Snapshots not taken: older than the book, or not connected to the updates that wait.
    pub snapshots_refused: u64,
    /// Book updates in the files.
    pub updates: u64,
    /// Of these, updates older than the snapshot.
    pub updates_dropped: u64,
    /// Of these, updates that still wait for a snapshot at the end.
    pub updates_waiting: u64,
    /// States of the book whose best bid or ask lay beyond the last level of the snapshot: a venue's snapshot is cut, and
    /// levels there that have not changed since are not known.
    pub states_beyond_snapshot: u64,
    /// How often the book was lost.
    pub gaps: u64,
    /// The first few of them.
    pub first_gaps: Vec<GapReport>,
    /// The book's best prices against the recorded best bid and ask.
    pub agreement: AgreementReport,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// One loss of a book.
#[derive(Clone, Debug, Serialize)]
pub struct GapReport {
    /// File name.
    pub file: String,
    /// Line number from 1.
    pub line: u64,
    /// Why, with the ids.
    pub reason: String,
}

/// How often the best bid and ask of the L2 book equal the recorded ones: all four of prices and quantities.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AgreementReport {
    /// Book states for which a recorded best bid and ask is known for certain.
    pub compared: u64,
    /// Of these, how many agree.
    pub agreed: u64,
    /// `agreed/compared`, exact.
    pub fraction: String,
    /// The share in decimals, cut to six; empty where nothing could be compared.
    pub share: String,
    /// Of the compared, those whose ticker has the id of the book.
    pub exact: u64,
    /// Of the exact, how many agree.
    pub exact_agreed: u64,
    /// Of the compared, those that lie between two tickers.
    pub bracketed: u64,
    /// Of the bracketed, how many agree.
    pub bracketed_agreed: u64,
    /// Compared states whose prices agree, whatever the quantities.
    pub prices_agreed: u64,
    /// Book states before the first ticker or after the last.
    pub not_comparable: u64,
    /// The first few that differ.
    pub first_differences: Vec<Disagreement>,
}

/// A book state that differs from the ticker.
#[derive(Clone, Debug, Serialize)]
pub struct Disagreement {
    /// The book's id.
    pub book_id: u64,
    /// The ticker's id.
    pub ticker_id: u64,
    /// Bid price, bid quantity, ask price, ask quantity of the book.
    pub book: [String; 4],
    /// The same of the ticker.
    pub ticker: [String; 4],
}
