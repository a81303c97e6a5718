//! The second pass: rows into events, one lane an instrument.
use super::agreement::Agreement;
use super::error::{Fault, ImportError};
use super::grid::mantissa;
use super::report::{GapReport, InstrumentReport};
use super::row::{Content, FrameKey, LEVELS_MAX, Row, side_is_empty, too_many_levels};
use super::tape::Tape;
use onetape_engine::event::{
    BookHeader, BookUpdate, Event, FeedCondition, Kind, Level, Quote, StaleReason, Trade,
};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::{Instrument, Trust};
use onetape_engine::number::{Decimals, NumberError, Price, Qty};
use onetape_engine::order::Side;
use onetape_venues::binance::{DecodeError, DepthSync, DiffVerdict, Product, SnapshotVerdict};
use std::collections::BTreeMap;

const GAPS_SHOWN: usize = 5;

/// Where a record stands, for reports.
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) line: u64,
    pub(super) stamp_ns: u64,
}

/// Why a row was not taken: the row itself, or the journal.
pub(super) enum Stop {
    Row(Fault),
    Import(ImportError),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Row(fault)
    }
}

impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Self {
        Stop::Row(error.into())
    }
}

/// One instrument's way onto the tape.
pub(super) struct Lane {
    instrument: InstrumentId,
    decimals: Decimals,
    product: Product,
    sync: DepthSync,
    record: Record,
    levels: Vec<Level>,
}

/// What is counted of a lane while its frames go by.
#[derive(Default)]
struct Record {
    report: InstrumentReport,
    agreement: Agreement,
    book_lost: bool,
}

impl Lane {
    /// An instrument of the tape's market; its book goes on where the journal left it.
    pub(super) fn new(instrument: &Instrument, product: Product, tick: Price, lot: Qty) -> Self {
        let (id, decimals) = (instrument.id(), instrument.decimals());
        let sync = match instrument.book_trust() {
            Trust::Live if instrument.book_last_id() != 0 => {
                DepthSync::live(product, id, instrument.book_last_id())
            }
            _ => DepthSync::new(product, id),
        };
        let report = InstrumentReport {
            name: instrument.name.clone(),
            price_decimals: decimals.price,
            qty_decimals: decimals.qty,
            tick_size: decimals.price_decimal(tick).to_string(),
            lot_size: decimals.qty_decimal(lot).to_string(),
            ..InstrumentReport::default()
        };
        let record = Record {
            report,
            agreement: Agreement::default(),
            book_lost: false,
        };
        Self {
            instrument: id,
            decimals,
            product,
            sync,
            record,
            levels: Vec::new(),
        }
    }

    /// Takes a row of this instrument; levels come through [`OpenFrame`].
    fn take(
        &mut self,
        content: &Content<'_>,
        place: &Place<'_>,
        tape: &mut Tape,
        counts: &mut Counts,
    ) -> Result<(), Stop> {
        match content {
            Content::Quote {
                venue_time_ns,
                update_id,
                bid,
                ask,
            } => {
                let (bid, ask) = (self.side(*bid)?, self.side(*ask)?);
                let quote = Quote {
                    instrument: self.instrument,
                    flags: 0,
                    venue_time_ns: *venue_time_ns,
                    update_id: *update_id,
                    bid_price: bid.price,
                    bid_qty: bid.qty,
                    ask_price: ask.price,
                    ask_qty: ask.qty,
                };
                self.record
                    .push(&Event::Quote(&quote), place, tape, counts)?;
            }
            Content::Trade {
                venue_time_ns,
                trade_id,
                price,
                qty,
                aggressor,
            } => {
                let level = self.level(price, qty)?;
                let trade = Trade {
                    instrument: self.instrument,
                    aggressor: aggressor.byte(),
                    reserved: [0; 3],
                    venue_time_ns: *venue_time_ns,
                    trade_id: *trade_id,
                    price: level.price,
                    qty: level.qty,
                };
                self.record
                    .push(&Event::Trade(&trade), place, tape, counts)?;
            }
            Content::Diff(update) => {
                let diff = update.diff(self.product, self.decimals, &mut self.levels)?;
                self.record.report.updates += 1;
                let record = &mut self.record;
                match self
                    .sync
                    .on_diff(&diff, &mut |event| record.push(event, place, tape, counts))?
                {
                    DiffVerdict::Dropped => self.record.report.updates_dropped += 1,
                    DiffVerdict::Applied | DiffVerdict::Buffered | DiffVerdict::Gap { .. } => {}
                }
            }
            Content::Snapshot(snapshot) => {
                let (bids, asks) = snapshot.sides(self.decimals, &mut self.levels)?;
                let waiting = self.sync.waiting() as u64;
                let (record, time) = (&mut self.record, snapshot.venue_time_ns);
                let mut deltas = 0;
                let verdict =
                    self.sync
                        .on_snapshot(snapshot.last_id, time, bids, asks, &mut |event| {
                            deltas += u64::from(event.kind() == Kind::BookDelta);
                            record.push(event, place, tape, counts)
                        })?;
                match verdict {
                    SnapshotVerdict::Taken => {
                        let still = self.sync.waiting() as u64;
                        self.record.report.updates_dropped +=
                            waiting.saturating_sub(deltas + still);
                    }
                    SnapshotVerdict::Older { .. } | SnapshotVerdict::DoesNotBridge { .. } => {
                        self.record.report.snapshots_refused += 1;
                    }
                }
            }
            Content::Level { .. } | Content::Ignored(_) => {}
        }
        Ok(())
    }

    fn level(&self, price: &str, qty: &str) -> Result<Level, Fault> {
        let read = |field, text: &str, decimals| {
            mantissa(text, decimals).map_err(|why: NumberError| Fault::number(field, text, &why))
        };
        Ok(Level {
            price: Price(read("price", price, self.decimals.price)?),
            qty: Qty(read("quantity", qty, self.decimals.qty)?),
        })
    }

    fn side(&self, (price, qty): (&str, &str)) -> Result<Level, Fault> {
        if side_is_empty((price, qty))? {
            Ok(Level::default())
        } else {
            self.level(price, qty)
        }
    }

    /// The report at the end.
    pub(super) fn finish(self, instrument: &Instrument) -> InstrumentReport {
        let mut report = self.record.report;
        report.book = describe(instrument.book_trust());
        report.book_last_id = instrument.book_last_id();
        if let Some(book) = instrument.book() {
            report.book_levels = (book.side(Side::Buy).len(), book.side(Side::Sell).len());
        }
        report.updates_waiting = self.sync.waiting() as u64;
        report.agreement = self.record.agreement.report(self.decimals);
        let lost = self.sync.overflowed();
        if report.updates > 0 && report.snapshots == 0 && instrument.book().is_none() {
            report.notes.push(
                "the book was never live: no snapshot in the file: import the day before first, into the same journal"
                    .to_owned(),
            );
        }
        let beyond = report.states_beyond_snapshot;
        if beyond > 0 {
            report.notes.push(format!(
                "in {beyond} states of the book the best bid or ask lay beyond the snapshot's last level: levels there that have not changed since are not known"
            ));
        }
        if lost > 0 {
            report
                .notes
                .push(format!("{lost} updates without a snapshot were not kept"));
        }
        report
    }
}

impl Record {
    fn push(
        &mut self,
        event: &Event<'_>,
        place: &Place<'_>,
        tape: &mut Tape,
        counts: &mut Counts,
    ) -> Result<(), Stop> {
        let kind = tape.push(place.stamp_ns, event).map_err(Stop::Import)?;
        *counts.entry(kind.name()).or_default() += 1;
        match event {
            Event::Quote(quote) if quote.update_id != 0 => self.agreement.ticker(quote),
            Event::BookSnapshot(update) | Event::BookDelta(update) => {
                self.report.snapshots += u64::from(kind == Kind::BookSnapshot);
                self.look_at_book(update.header.instrument, place, tape);
            }
            Event::FeedState(state) if matches!(state.condition, FeedCondition::Stale(_)) => {
                self.look_at_book(state.instrument, place, tape);
            }
            _ => {}
        }
        Ok(())
    }

    /// What the engine makes of the book after a frame.
    fn look_at_book(&mut self, instrument: InstrumentId, place: &Place<'_>, tape: &Tape) {
        let Ok(instrument) = tape.market.instrument(instrument) else {
            return;
        };
        if instrument.book().is_some() {
            self.book_lost = false;
            if let Some(top) = instrument.top() {
                let known = tape
                    .reaches
                    .get(&instrument.id())
                    .is_none_or(|reach| reach.holds(&top));
                self.report.states_beyond_snapshot += u64::from(!known);
                self.agreement.book(instrument.book_last_id(), top);
            }
            return;
        }
        if let Trust::Stale(_) = instrument.book_trust()
            && !std::mem::replace(&mut self.book_lost, true)
        {
            self.report.gaps += 1;
            if self.report.first_gaps.len() < GAPS_SHOWN {
                let reason = describe(instrument.book_trust());
                self.report.first_gaps.push(GapReport {
                    file: place.file.to_owned(),
                    line: place.line,
                    reason,
                });
            }
        }
    }
}

fn describe(trust: &Trust) -> String {
    match trust {
        Trust::Empty => "empty".to_owned(),
        Trust::Snapshotting => "snapshotting".to_owned(),
        Trust::Live => "live".to_owned(),
        Trust::Stale(StaleReason::Gap { expected, found }) => {
            format!("stale (gap: expected an update on {expected}, found one on {found})")
        }
        Trust::Stale(reason) => format!("stale ({})", format!("{reason:?}").to_ascii_lowercase()),
    }
}

/// Frames by kind.
pub(super) type Counts = BTreeMap<&'static str, u64>;

/// Level rows that are one frame, until a row comes that is not part of it.
#[derive(Default)]
pub(super) struct OpenFrame {
    open: Option<Open>,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

struct Open {
    lane: usize,
    key: FrameKey,
    file: usize,
    stamp_ns: u64,
    line: u64,
}

/// A row and where it goes.
pub(super) struct Routed<'a> {
    pub(super) row: &'a Row<'a>,
    pub(super) lane: usize,
    pub(super) file: usize,
}

impl OpenFrame {
    /// Takes a row: a level joins the open frame or begins one; anything else goes to its lane.
    pub(super) fn take(
        &mut self,
        routed: &Routed<'_>,
        place: &Place<'_>,
        lanes: &mut [Lane],
        tape: &mut Tape,
        counts: &mut Counts,
    ) -> Result<(), Stop> {
        let Some(lane) = lanes.get_mut(routed.lane) else {
            return Ok(());
        };
        let Content::Level {
            key,
            side,
            price,
            qty,
        } = &routed.row.content
        else {
            return lane.take(&routed.row.content, place, tape, counts);
        };
        let level = lane.level(price, qty)?;
        if self.bids.len() + self.asks.len() == LEVELS_MAX {
            return Err(too_many_levels("type").into());
        }
        let open = self.open.get_or_insert(Open {
            lane: routed.lane,
            key: *key,
            file: routed.file,
            stamp_ns: place.stamp_ns,
            line: place.line,
        });
        open.stamp_ns = place.stamp_ns;
        match side {
            Side::Buy => self.bids.push(level),
            Side::Sell => self.asks.push(level),
        }
        Ok(())
    }

    /// The file whose frame is open and must be closed before this row.
    pub(super) fn closes_before(&self, routed: &Routed<'_>) -> Option<usize> {
        let open = self.open.as_ref()?;
        let joins = match &routed.row.content {
            Content::Level { key, .. } => {
                (open.lane, open.key, open.file) == (routed.lane, *key, routed.file)
            }
            _ => false,
        };
        (!joins).then_some(open.file)
    }

    /// The file whose frame is open.
    pub(super) fn file(&self) -> Option<usize> {
        self.open.as_ref().map(|open| open.file)
    }

    /// Puts the open frame on the tape.
    pub(super) fn close(
        &mut self,
        file: &str,
        lanes: &mut [Lane],
        tape: &mut Tape,
        counts: &mut Counts,
    ) -> Result<(), Stop> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let Some(lane) = lanes.get_mut(open.lane) else {
            return Ok(());
        };
        let header = BookHeader {
            instrument: lane.instrument,
            bids: self.bids.len() as u32,
            asks: self.asks.len() as u32,
            flags: 0,
            venue_time_ns: open.key.venue_time_ns,
            first_id: open.key.id,
            last_id: open.key.id,
            previous_id: if open.key.snapshot {
                0
            } else {
                open.key.previous_id
            },
        };
        let update = BookUpdate {
            header: &header,
            bids: &self.bids,
            asks: &self.asks,
        };
        let event = if open.key.snapshot {
            Event::BookSnapshot(update)
        } else {
            Event::BookDelta(update)
        };
        lane.record.report.updates += u64::from(!open.key.snapshot);
        let place = Place {
            file,
            line: open.line,
            stamp_ns: open.stamp_ns,
        };
        let pushed = lane.record.push(&event, &place, tape, counts);
        self.bids.clear();
        self.asks.clear();
        pushed
    }
}
