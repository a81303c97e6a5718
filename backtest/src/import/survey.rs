//! The first pass over a file: every line is read and checked, nothing is written. It finds the instruments, the grid
//! of their numbers and the time of the first record.
use super::decoder::Decoder;
use super::error::{Fault, ImportError};
use super::facts::Known;
use super::grid::{Grid, gcd};
use super::lines::Lines;
use super::listing;
use super::options::ImportOptions;
use super::row::{Content, FrameKey, LEVELS_MAX, Row, Unit, too_many_levels};
use onetape_engine::event::{FeeSchedule, InstrumentDefined, TradingRules};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Money, NumberError, Price, Qty};
use onetape_engine::time::Nanos;
use onetape_venues::binance::Product;
use std::path::Path;

/// An instrument as the files show it.
pub(super) struct Listing {
    pub(super) venue: String,
    pub(super) symbol: String,
    pub(super) product: Product,
    /// The decimals that a journal already gave it.
    fixed: Option<Decimals>,
    grids: Grids,
}

/// What the first pass knows of all files.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) listings: Vec<Listing>,
    pub(super) files: Vec<Surveyed>,
}

/// One file.
pub(super) struct Surveyed {
    pub(super) identity: String,
    pub(super) first_ns: u64,
    /// The one symbol that the file is about; `None` where it is about several.
    pub(super) only: Option<usize>,
}

impl Survey {
    /// Reads a file. Strict: the first bad line is an error; lenient: bad lines are passed over.
    pub(super) fn file(
        &mut self,
        options: &ImportOptions,
        path: &Path,
        known: &Known,
        progress: &mut dyn FnMut(&Lines),
    ) -> Result<(), ImportError> {
        let mut lines = Lines::open(path)?;
        let mut decoder = None;
        let (mut first_ns, mut usable) = (u64::MAX, 0u64);
        let mut first_reject = None;
        // Instruments of this file, and the first record that did not say whose it is.
        let (mut mine, mut anonymous): (Vec<usize>, Option<u64>) = (Vec::new(), None);
        let mut nameless = Grids::default();
        let mut levels = LevelRun::default();
        while lines.advance()? {
            if lines.number().is_multiple_of(1024) {
                progress(&lines);
            }
            if lines.text().is_some_and(|text| text.trim().is_empty()) {
                continue;
            }
            let decoder = match &decoder {
                Some(decoder) => decoder,
                None => {
                    let (opened, has_header) = Decoder::open(options, &lines)?;
                    let opened = decoder.insert(opened);
                    if has_header {
                        continue;
                    }
                    opened
                }
            };
            let read = read(decoder, &lines).and_then(|row| {
                levels.take(&row)?;
                if options.lenient {
                    // A record that turns out bad half way must leave nothing behind.
                    row.content.numbers(&mut |_, _, _| Ok(()))?;
                }
                let place = row
                    .symbol
                    .map(|symbol| self.place(row.venue, symbol, decoder.product(), known));
                match place.and_then(|place| self.listings.get_mut(place)) {
                    Some(listing) => listing.grids.take(&row.content, listing.fixed)?,
                    None => nameless.take(&row.content, None)?,
                }
                Ok((
                    row.stamp_ns,
                    place,
                    matches!(row.content, Content::Ignored(_)),
                ))
            });
            match read {
                Ok((stamp_ns, place, ignored)) => {
                    first_ns = first_ns.min(stamp_ns);
                    usable += 1;
                    match place {
                        Some(place) if !mine.contains(&place) => mine.push(place),
                        Some(_) => {}
                        None if ignored => {}
                        None => anonymous = anonymous.or(Some(lines.number())),
                    }
                }
                Err(fault) => {
                    let reject = fault.at(lines.name(), lines.number());
                    if !options.lenient {
                        return Err(ImportError::Reject(reject));
                    }
                    first_reject.get_or_insert(reject);
                }
            }
        }
        progress(&lines);
        if lines.number() == 0 || (usable == 0 && first_reject.is_none()) {
            return Err(ImportError::Empty {
                path: path.to_path_buf(),
            });
        }
        if let (0, Some(first)) = (usable, &first_reject) {
            let (path, lines) = (path.to_path_buf(), lines.number());
            return Err(ImportError::NothingUsable {
                path,
                lines,
                first: first.to_string(),
            });
        }
        let only = if let [only] = mine.as_slice() {
            Some(*only)
        } else {
            None
        };
        if let Some(line) = anonymous {
            let reject = |fault: Fault| ImportError::Reject(fault.at(lines.name(), line));
            match only.and_then(|place| self.listings.get_mut(place)) {
                Some(listing) => listing
                    .grids
                    .merge(nameless, listing.fixed)
                    .map_err(reject)?,
                None if options.lenient => {}
                None => return Err(reject(anonymous_fault(mine.len()))),
            }
        }
        self.files.push(Surveyed {
            identity: lines.identity(),
            first_ns,
            only,
        });
        Ok(())
    }

    fn place(&mut self, venue: &str, symbol: &str, product: Product, known: &Known) -> usize {
        if let Some(place) = self.find(venue, symbol) {
            return place;
        }
        let venue = venue.to_ascii_lowercase();
        let fixed = known
            .get(&format!("{venue}:{symbol}"))
            .map(|instrument| instrument.decimals);
        self.listings.push(Listing {
            venue,
            symbol: symbol.to_owned(),
            product,
            fixed,
            grids: Grids::default(),
        });
        self.listings.len() - 1
    }

    /// The listing of a venue's symbol.
    pub(super) fn find(&self, venue: &str, symbol: &str) -> Option<usize> {
        self.listings
            .iter()
            .position(|known| known.symbol == symbol && known.venue.eq_ignore_ascii_case(venue))
    }
}

/// Reads the line at which `lines` stands.
pub(super) fn read<'a>(decoder: &'a Decoder, lines: &'a Lines) -> Result<Row<'a>, Fault> {
    let text = lines
        .text()
        .ok_or_else(|| Fault::new("line", &lines.shown(), "not utf-8 text"))?;
    decoder.row(text)
}

/// A record that does not say whose it is, in a file about `instruments` of them.
pub(super) fn anonymous_fault(instruments: usize) -> Fault {
    let why = "a depth snapshot names no symbol, so its file must be about one instrument: split the file";
    Fault::new("symbols in the file", &instruments.to_string(), why)
}

/// Level rows that follow each other and make one frame, as the second pass will see them.
#[derive(Default)]
struct LevelRun {
    key: Option<FrameKey>,
    symbol: String,
    count: usize,
}

impl LevelRun {
    fn take(&mut self, row: &Row<'_>) -> Result<(), Fault> {
        let (Content::Level { key, .. }, Some(symbol)) = (&row.content, row.symbol) else {
            self.key = None;
            return Ok(());
        };
        if self.key != Some(*key) || self.symbol != symbol {
            self.key = Some(*key);
            symbol.clone_into(&mut self.symbol);
            self.count = 0;
        }
        self.count += 1;
        if self.count > LEVELS_MAX {
            Err(too_many_levels("type"))
        } else {
            Ok(())
        }
    }
}

/// The grids of prices and of quantities: of all of them, which the decimals must hold, and of quotes and trades alone,
/// which show the tick and lot in force. Far levels of a book keep orders from before the last change of either.
#[derive(Clone, Copy, Default)]
struct Grids {
    price: Grid,
    qty: Grid,
    traded_price: Grid,
    traded_qty: Grid,
}

impl Grids {
    fn take(&mut self, content: &Content<'_>, fixed: Option<Decimals>) -> Result<(), Fault> {
        let traded = matches!(content, Content::Quote { .. } | Content::Trade { .. });
        content.numbers(&mut |unit, number, text| {
            let (all, recent, fixed) = match unit {
                Unit::Price => (
                    &mut self.price,
                    &mut self.traded_price,
                    fixed.map(|d| d.price),
                ),
                Unit::Qty => (&mut self.qty, &mut self.traded_qty, fixed.map(|d| d.qty)),
            };
            all.add(number, text, fixed)?;
            if traded {
                recent.add(number, text, fixed)
            } else {
                Ok(())
            }
        })
    }

    fn merge(&mut self, other: Grids, fixed: Option<Decimals>) -> Result<(), Fault> {
        self.price
            .merge(other.price, "bids or asks", fixed.map(|d| d.price))?;
        self.qty
            .merge(other.qty, "bids or asks", fixed.map(|d| d.qty))
    }
}

impl Listing {
    /// "venue:symbol".
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.venue, self.symbol)
    }

    /// The decimals of its mantissas: those of the journal, or the fewest that hold every number.
    pub(super) fn decimals(&self) -> Result<Decimals, ImportError> {
        if let Some(fixed) = self.fixed {
            return Ok(fixed);
        }
        let (price, qty) = (self.grids.price.decimals, self.grids.qty.decimals);
        let refused = |why| ImportError::Decimals {
            instrument: self.name(),
            price,
            qty,
            why,
        };
        if !self.grids.price.fits() || !self.grids.qty.fits() {
            return Err(refused(NumberError::Overflow {
                what: "the largest of them",
            }));
        }
        let narrow = |decimals: u32| u8::try_from(decimals).unwrap_or(u8::MAX);
        Decimals::new(narrow(price), narrow(qty)).map_err(refused)
    }

    /// Its definition.
    pub(super) fn definition(
        &self,
        instrument: InstrumentId,
        decimals: Decimals,
    ) -> InstrumentDefined {
        let (base, quote) = listing::currencies(&self.venue, &self.symbol);
        InstrumentDefined {
            instrument,
            venue: self.venue.clone(),
            symbol: self.symbol.clone(),
            instrument_type: listing::instrument_type(&self.venue),
            base,
            quote,
            decimals,
        }
    }

    /// The rules that its numbers show; steps of one unit where too few numbers show any. Where the journal has rules already, those that both meet, and `None` if that
    /// changes nothing.
    pub(super) fn rules(
        &self,
        instrument: InstrumentId,
        decimals: Decimals,
        known: Option<&TradingRules>,
        from: Nanos,
    ) -> Option<TradingRules> {
        let step = |traded: Grid, all: Grid, decimals| {
            traded.step(decimals).or_else(|| all.step(decimals))
        };
        let tick = step(self.grids.traded_price, self.grids.price, decimals.price);
        let lot = step(self.grids.traded_qty, self.grids.qty, decimals.qty);
        let (tick, lot) = match known {
            None => (tick.unwrap_or(1), lot.unwrap_or(1)),
            Some(known) => {
                let common =
                    |new: Option<i64>, known: i64| new.map_or(known, |new| common_step(new, known));
                (
                    common(tick, known.tick_size.0),
                    common(lot, known.lot_size.0),
                )
            }
        };
        if known.is_some_and(|known| (tick, lot) == (known.tick_size.0, known.lot_size.0)) {
            return None;
        }
        Some(TradingRules {
            instrument,
            effective_from: from,
            tick_size: Price(tick),
            lot_size: Qty(lot),
            min_qty: Qty(lot),
            min_notional: Money::ZERO,
            min_price: Price(tick),
            max_price: Price(i64::MAX),
            bands: known.map_or_else(Vec::new, |known| known.bands.clone()),
            allows_short: known.is_none_or(|known| known.allows_short),
        })
    }

    /// Its fees, where they are known.
    pub(super) fn fees(
        &self,
        instrument: InstrumentId,
        options: &ImportOptions,
    ) -> Option<FeeSchedule> {
        listing::fees(instrument, &self.venue, options.maker, options.taker)
    }
}

/// The step that numbers on both grids lie on.
fn common_step(new: i64, known: i64) -> i64 {
    i64::try_from(gcd(new.into(), known.into())).unwrap_or(1)
}
