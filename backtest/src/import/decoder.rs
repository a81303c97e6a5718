//! The decoder of one file: found from its first line, then a row a line.
use super::error::{Fault, ImportError};
use super::lines::Lines;
use super::options::{Format, ImportOptions};
use super::row::Row;
use super::{barter, binance, own_csv, tardis};
use onetape_venues::binance::Product;

enum Kind {
    Binance { product: Product, venue: String },
    Csv(Box<own_csv::Columns>),
    Tardis(tardis::Dataset),
    Barter { instruments: Vec<String> },
}

pub(super) struct Decoder {
    kind: Kind,
    venue: Option<String>,
}

/// The format of a file with this first line.
fn detect(line: &str) -> Option<Format> {
    if tardis::dataset(line).is_some() {
        return Some(Format::Tardis);
    }
    if own_csv::is_header(line) {
        return Some(Format::Csv);
    }
    if line.starts_with('{') && line.contains("\"Item\"") {
        return Some(Format::Barter);
    }
    let (stamp, rest) = line.split_once(' ')?;
    (stamp.parse::<u64>().is_ok() && rest.starts_with('{')).then_some(Format::Binance)
}

impl Decoder {
    /// Looks at the first line, at which `lines` stands. True where that line is a header, and so no record.
    pub(super) fn open(
        options: &ImportOptions,
        lines: &Lines,
    ) -> Result<(Self, bool), ImportError> {
        let unrecognised = || ImportError::Unrecognised {
            path: lines.path().to_path_buf(),
            first: lines.shown(),
        };
        let line = lines.text().ok_or_else(unrecognised)?;
        let format = match options.format {
            Format::Auto => detect(line).ok_or_else(unrecognised)?,
            named => named,
        };
        let (kind, has_header) = match format {
            Format::Binance | Format::Auto => {
                let product = binance::product(lines.name(), line);
                let venue = options
                    .venue
                    .clone()
                    .unwrap_or_else(|| binance::venue(product).to_owned());
                (Kind::Binance { product, venue }, false)
            }
            Format::Csv => {
                let header = |(column, why)| ImportError::Header {
                    path: lines.path().to_path_buf(),
                    column,
                    why,
                };
                (
                    Kind::Csv(Box::new(own_csv::read_header(line).map_err(header)?)),
                    true,
                )
            }
            Format::Tardis => (
                Kind::Tardis(tardis::dataset(line).ok_or_else(unrecognised)?),
                true,
            ),
            Format::Barter => {
                let mut instruments = options.instruments.clone();
                if instruments.is_empty() {
                    instruments.extend(barter::DEFAULT_INSTRUMENTS.map(str::to_owned));
                }
                (Kind::Barter { instruments }, false)
            }
        };
        Ok((
            Self {
                kind,
                venue: options.venue.clone(),
            },
            has_header,
        ))
    }

    pub(super) const fn format(&self) -> Format {
        match self.kind {
            Kind::Binance { .. } => Format::Binance,
            Kind::Csv(_) => Format::Csv,
            Kind::Tardis(_) => Format::Tardis,
            Kind::Barter { .. } => Format::Barter,
        }
    }

    /// The rules of depth diffs, where the format has any.
    pub(super) const fn product(&self) -> Product {
        match self.kind {
            Kind::Binance { product, .. } => product,
            _ => Product::Spot,
        }
    }

    /// When the line's record was received, as far as it can be told without reading all of it.
    pub(super) fn stamp(&self, line: &str) -> Option<u64> {
        match &self.kind {
            Kind::Binance { .. } => binance::stamp(line),
            Kind::Csv(columns) => columns.stamp(line),
            Kind::Tardis(_) => tardis::stamp(line),
            Kind::Barter { .. } => barter::stamp(line),
        }
    }

    /// Reads a record.
    pub(super) fn row<'a>(&'a self, line: &'a str) -> Result<Row<'a>, Fault> {
        let venue = self.venue.as_deref();
        let row = match &self.kind {
            Kind::Binance { venue, .. } => binance::row(venue, line),
            Kind::Csv(columns) => columns.row(venue, line),
            Kind::Tardis(dataset) => tardis::row(*dataset, venue, line),
            Kind::Barter { instruments } => barter::row(instruments, venue, line),
        }?;
        check_name("venue", row.venue)?;
        row.symbol
            .map_or(Ok(()), |symbol| check_name("symbol", symbol))?;
        Ok(row)
    }
}

/// Names of venues and symbols become part of "venue:symbol" and of commands.
fn check_name(field: &'static str, name: &str) -> Result<(), Fault> {
    let fine = !name.is_empty()
        && name.len() <= 64
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':');
    if fine {
        Ok(())
    } else {
        Err(Fault::new(
            field,
            name,
            "expected 1 to 64 bytes without blanks and colons",
        ))
    }
}
