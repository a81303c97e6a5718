//! The local order book of one instrument, kept by the venue's rules.
//!
//! Spot ("How to manage a local order book correctly"): buffer the diffs, take a snapshot, drop what is not newer
//! (`u <= lastUpdateId`), and apply a diff if `U <= id + 1`, where `id` is the book's; anything else is a gap.
//! USD-M futures (same title): drop `u < lastUpdateId`, the first diff applied has `U <= lastUpdateId <= u`, each later
//! one has `pu` equal to the `u` before. Quantities are absolute, so a diff that overlaps the snapshot is harmless.
//!
//! Frames come out in the order in which the book can take them: while there is no snapshot nothing but the feed's
//! state; then the snapshot, the diffs that waited for it, and each further diff. `previous_id` of a delta is always
//! the id of the book that it is applied to, so the tape's own check of the chain holds.
use onetape_engine::event::{
    BookHeader, BookUpdate, Event, Feed, FeedCondition, FeedState, Level, StaleReason,
};
use onetape_engine::id::InstrumentId;
use std::collections::VecDeque;

/// Diffs that wait for a snapshot at the most: over a quarter of an hour of a 100 ms stream.
pub const BUFFERED_DIFFS_MAX: usize = 10_000;
/// Levels in the waiting diffs at the most: 16 MiB.
pub const BUFFERED_LEVELS_MAX: usize = 1 << 20;

/// Which of the venue's rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Spot: diffs follow each other by `U` and `u`.
    Spot,
    /// USD-M futures: diffs follow each other by `pu`.
    UsdMargined,
}

/// A depth diff in mantissas.
#[derive(Clone, Copy, Debug)]
pub struct DepthDiff<'a> {
    /// The venue's time, UTC ns.
    pub venue_time_ns: u64,
    /// `U`.
    pub first_id: u64,
    /// `u`.
    pub last_id: u64,
    /// `pu`; not looked at for spot.
    pub previous_id: u64,
    /// New bid quantities.
    pub bids: &'a [Level],
    /// New ask quantities.
    pub asks: &'a [Level],
}

/// What became of a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiffVerdict {
    /// The book has it.
    Applied,
    /// The book was already past it.
    Dropped,
    /// It waits for a snapshot.
    Buffered,
    /// It does not follow: the book is gone and this diff waits for a snapshot.
    Gap {
        /// The id that it had to build on.
        expected: u64,
        /// The id that it builds on.
        found: u64,
    },
}

/// What became of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotVerdict {
    /// It is the book, and what waited for it is applied as far as it follows.
    Taken,
    /// The live book is newer; nothing changed.
    Older {
        /// The live book's id.
        live_id: u64,
    },
    /// Diffs between it and the first that waits are missing: fetch another one.
    DoesNotBridge {
        /// `U` of the first diff that waits and is newer.
        first_waiting_id: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// No book. `announced` once the tape knows that diffs come in vain.
    Waiting { announced: bool },
    /// A book at `last_id`; `bridged` once a diff was applied to its snapshot.
    Live { last_id: u64, bridged: bool },
}

enum Link {
    Old,
    Follows,
    Gap { found: u64 },
}

#[derive(Debug)]
struct Waiting {
    header: BookHeader,
    levels: Box<[Level]>,
}

impl Waiting {
    fn diff(&self) -> DepthDiff<'_> {
        let (bids, asks) = self
            .levels
            .split_at((self.header.bids as usize).min(self.levels.len()));
        DepthDiff {
            venue_time_ns: self.header.venue_time_ns,
            first_id: self.header.first_id,
            last_id: self.header.last_id,
            previous_id: self.header.previous_id,
            bids,
            asks,
        }
    }
}

/// The state machine of one instrument's depth feed. Pure: it emits what belongs on the tape.
#[derive(Debug)]
pub struct DepthSync {
    product: Product,
    instrument: InstrumentId,
    state: State,
    waiting: VecDeque<Waiting>,
    waiting_levels: usize,
    overflowed: u64,
}

impl DepthSync {
    /// Without a book.
    pub fn new(product: Product, instrument: InstrumentId) -> Self {
        Self {
            product,
            instrument,
            state: State::Waiting { announced: false },
            waiting: VecDeque::new(),
            waiting_levels: 0,
            overflowed: 0,
        }
    }

    /// With the book at `last_id` that a journal already holds.
    pub fn live(product: Product, instrument: InstrumentId, last_id: u64) -> Self {
        Self {
            state: State::Live {
                last_id,
                bridged: true,
            },
            ..Self::new(product, instrument)
        }
    }

    /// The id of the book, while there is one.
    pub const fn live_id(&self) -> Option<u64> {
        match self.state {
            State::Live { last_id, .. } => Some(last_id),
            State::Waiting { .. } => None,
        }
    }

    /// How many diffs wait for a snapshot.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many diffs left the buffer because newer ones needed the room.
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Takes a diff.
    ///
    /// # Errors
    /// What `sink` returns.
    pub fn on_diff<E>(
        &mut self,
        diff: &DepthDiff<'_>,
        sink: &mut impl FnMut(&Event<'_>) -> Result<(), E>,
    ) -> Result<DiffVerdict, E> {
        let State::Live { last_id, bridged } = self.state else {
            if !self.announce() {
                sink(&self.feed_state(FeedCondition::Snapshotting))?;
            }
            self.keep(diff);
            return Ok(DiffVerdict::Buffered);
        };
        match link(self.product, last_id, bridged, diff) {
            Link::Old => Ok(DiffVerdict::Dropped),
            Link::Follows => {
                let header = self.header(diff, last_id);
                sink(&Event::BookDelta(BookUpdate {
                    header: &header,
                    bids: diff.bids,
                    asks: diff.asks,
                }))?;
                self.state = State::Live {
                    last_id: diff.last_id,
                    bridged: true,
                };
                Ok(DiffVerdict::Applied)
            }
            Link::Gap { found } => {
                let gap = StaleReason::Gap {
                    expected: last_id,
                    found,
                };
                self.state = State::Waiting { announced: true };
                self.keep(diff);
                sink(&self.feed_state(FeedCondition::Stale(gap)))?;
                Ok(DiffVerdict::Gap {
                    expected: last_id,
                    found,
                })
            }
        }
    }

    /// Takes a snapshot: levels best first or not, each price once.
    ///
    /// # Errors
    /// What `sink` returns.
    pub fn on_snapshot<E>(
        &mut self,
        last_id: u64,
        venue_time_ns: u64,
        bids: &[Level],
        asks: &[Level],
        sink: &mut impl FnMut(&Event<'_>) -> Result<(), E>,
    ) -> Result<SnapshotVerdict, E> {
        if let State::Live {
            last_id: live_id, ..
        } = self.state
            && last_id < live_id
        {
            return Ok(SnapshotVerdict::Older { live_id });
        }
        for waiting in &self.waiting {
            match link(self.product, last_id, false, &waiting.diff()) {
                Link::Old => {}
                Link::Follows => break,
                Link::Gap { .. } => {
                    return Ok(SnapshotVerdict::DoesNotBridge {
                        first_waiting_id: waiting.header.first_id,
                    });
                }
            }
        }
        let header = BookHeader {
            instrument: self.instrument,
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            flags: 0,
            venue_time_ns,
            first_id: 0,
            last_id,
            previous_id: 0,
        };
        sink(&Event::BookSnapshot(BookUpdate {
            header: &header,
            bids,
            asks,
        }))?;
        self.state = State::Live {
            last_id,
            bridged: false,
        };
        self.waiting_levels = 0;
        // A gap among them makes the rest wait again, in the same order.
        for waiting in std::mem::take(&mut self.waiting) {
            self.on_diff(&waiting.diff(), sink)?;
        }
        Ok(SnapshotVerdict::Taken)
    }

    /// The feed broke: what comes next has no connection to what was before.
    ///
    /// # Errors
    /// What `sink` returns.
    pub fn lose<E>(
        &mut self,
        reason: StaleReason,
        sink: &mut impl FnMut(&Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.waiting.clear();
        self.waiting_levels = 0;
        self.state = State::Waiting { announced: true };
        sink(&self.feed_state(FeedCondition::Stale(reason)))
    }

    /// Whether the tape already knew that there is no book; it does now.
    const fn announce(&mut self) -> bool {
        let State::Waiting { announced } = &mut self.state else {
            return true;
        };
        std::mem::replace(announced, true)
    }

    fn feed_state(&self, condition: FeedCondition) -> Event<'static> {
        Event::FeedState(Box::new(FeedState {
            instrument: self.instrument,
            feed: Feed::Book,
            condition,
        }))
    }

    fn header(&self, diff: &DepthDiff<'_>, previous_id: u64) -> BookHeader {
        BookHeader {
            instrument: self.instrument,
            bids: diff.bids.len() as u32,
            asks: diff.asks.len() as u32,
            flags: 0,
            venue_time_ns: diff.venue_time_ns,
            first_id: diff.first_id,
            last_id: diff.last_id,
            previous_id,
        }
    }

    /// Makes a diff wait. Where there is no room the oldest go: a snapshot that needed them does not bridge any more,
    /// a newer one does.
    fn keep(&mut self, diff: &DepthDiff<'_>) {
        let levels = [diff.bids, diff.asks].concat().into_boxed_slice();
        self.waiting_levels += levels.len();
        self.waiting.push_back(Waiting {
            header: self.header(diff, diff.previous_id),
            levels,
        });
        while self.waiting.len() > BUFFERED_DIFFS_MAX || self.waiting_levels > BUFFERED_LEVELS_MAX {
            let Some(oldest) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_levels -= oldest.levels.len();
            self.overflowed += 1;
        }
    }
}

fn link(product: Product, book_id: u64, bridged: bool, diff: &DepthDiff<'_>) -> Link {
    match product {
        Product::Spot if diff.last_id <= book_id => Link::Old,
        Product::Spot if diff.first_id <= book_id.saturating_add(1) => Link::Follows,
        Product::Spot => Link::Gap {
            found: diff.first_id - 1,
        },
        Product::UsdMargined if diff.last_id < book_id || (bridged && diff.last_id == book_id) => {
            Link::Old
        }
        Product::UsdMargined if diff.previous_id == book_id => Link::Follows,
        Product::UsdMargined if !bridged && diff.first_id <= book_id => Link::Follows,
        Product::UsdMargined => Link::Gap {
            found: diff.previous_id,
        },
    }
}
