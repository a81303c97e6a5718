//! A second copy of the state, folded from the journal: for snapshots and for everybody who asks. The core never stops
//! for either.
use onetape_backtest::recover;
use onetape_engine::sequencer::{NullSink, Sequencer};
use onetape_journal::{Reader, snapshot};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often what is shown is made anew.
const SHOWN_EVERY: Duration = Duration::from_millis(200);
/// How long it waits at the end of the tape.
const REST: Duration = Duration::from_millis(2);

/// What is shown of the state.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shown {
    /// The last frame that it contains.
    pub sequence: u64,
    /// That frame's stamp, UTC ns.
    pub timestamp_ns: u64,
    /// Reasons to halt, as texts.
    pub halts: Vec<String>,
    /// Orders at work.
    pub open_orders: usize,
    /// Orders whose outcome is unknown.
    pub unknown_orders: usize,
    /// By strategy and instrument, what is held.
    pub positions: BTreeMap<String, String>,
    /// By instrument: when its market was last heard of, UTC ns; 0 where it is not trusted now.
    pub feeds: BTreeMap<String, u64>,
    /// By venue: what becomes of its orders.
    pub mode: BTreeMap<String, &'static str>,
    /// Order intents by key: where they stand.
    pub intents: BTreeMap<String, String>,
    /// The last snapshot's sequence.
    pub last_snapshot: u64,
}

/// What everybody may look at.
#[derive(Clone, Debug, Default)]
pub struct Window(Arc<Mutex<Shown>>);

impl Window {
    /// What there is to see now.
    pub fn look(&self) -> Shown {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn show(&self, shown: Shown) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }
}

/// The replica's thread.
pub struct Replica {
    journal: PathBuf,
    window: Window,
    snapshot_every: Option<Duration>,
    snapshots_kept: usize,
    /// The frames before a snapshot may be removed: it must stand without them.
    is_bounded: bool,
}

impl Replica {
    /// Of a journal. Snapshots are written this often and that many are kept; where the journal is bounded, their frames
    /// are on disk before they are.
    pub fn new(
        journal: &Path,
        window: Window,
        snapshot_every: Option<Duration>,
        snapshots_kept: usize,
        is_bounded: bool,
    ) -> Self {
        Self {
            journal: journal.to_owned(),
            window,
            snapshot_every,
            snapshots_kept,
            is_bounded,
        }
    }

    /// Folds until `stop`, and to the tape's end then.
    ///
    /// # Errors
    /// A text: the journal does not read, or its frames can't follow each other.
    pub fn run(self, stop: &AtomicBool) -> Result<(), String> {
        let base = recover::recover(&self.journal).map_err(|e| e.to_string())?;
        let mut sequencer = base.sequencer;
        let mut reader = Reader::open(&self.journal).map_err(|e| e.to_string())?;
        reader
            .seek(sequencer.next_sequence().0)
            .map_err(|e| e.to_string())?;
        let (mut shown_at, mut saved_at) = (None::<Instant>, Instant::now());
        let mut last_snapshot = 0;
        let mut whole_step = true;
        loop {
            // Read before the journal is: what was published before `stop` is folded.
            let stopping = stop.load(Ordering::Acquire);
            let frame = reader.next().map_err(|e| e.to_string())?;
            let ended = frame.is_none();
            if let Some(frame) = frame {
                sequencer.fold(&frame).map_err(|e| e.to_string())?;
                whole_step = frame.tag.ends_step();
            }
            if shown_at.is_none_or(|at| at.elapsed() >= SHOWN_EVERY) {
                shown_at = Some(Instant::now());
                self.window.show(shown(&sequencer, last_snapshot));
            }
            let due = self
                .snapshot_every
                .is_some_and(|every| saved_at.elapsed() >= every);
            if whole_step && due {
                saved_at = Instant::now();
                last_snapshot = self.save(&sequencer, last_snapshot)?;
            }
            if ended {
                if stopping {
                    // The next daemon begins here.
                    if whole_step {
                        last_snapshot = self.save(&sequencer, last_snapshot)?;
                    }
                    self.window.show(shown(&sequencer, last_snapshot));
                    return Ok(());
                }
                std::thread::sleep(REST);
            }
        }
    }

    fn save(&self, sequencer: &Sequencer<NullSink>, last: u64) -> Result<u64, String> {
        let body = sequencer.snapshot().map_err(|e| e.to_string())?;
        let sequence = sequencer.next_sequence().0.saturating_sub(1);
        let synced = if self.is_bounded {
            snapshot::sync_frames(&self.journal, last, sequence)
        } else {
            Ok(())
        };
        let saved = synced
            .and_then(|()| snapshot::write(&self.journal, sequence, &body))
            .and_then(|_| snapshot::retain(&self.journal, self.snapshots_kept));
        // A full disk is the journal's matter; without a snapshot recovery takes longer, and that is all.
        if let Err(error) = saved {
            tracing::warn!(%error, "no snapshot");
            return Ok(last);
        }
        Ok(sequence)
    }
}

fn shown(sequencer: &Sequencer<NullSink>, last_snapshot: u64) -> Shown {
    use onetape_engine::market::{Instrument, Trust};
    use onetape_engine::order::OrderState;
    let (market, desk) = (sequencer.market(), sequencer.desk());
    let mut shown = Shown {
        sequence: sequencer.next_sequence().0.saturating_sub(1),
        timestamp_ns: sequencer.last_stamp().0,
        open_orders: desk.orders().len(),
        unknown_orders: desk
            .orders()
            .iter()
            .filter(|order| order.state == OrderState::Unknown)
            .count(),
        last_snapshot,
        ..Shown::default()
    };
    // What has no trading rules is a rate: it has no market that could be missing.
    let is_traded =
        |instrument: &&Instrument| instrument.rules_at(sequencer.last_stamp()).is_some();
    for instrument in market.instruments().iter().filter(is_traded) {
        let live =
            *instrument.book_trust() == Trust::Live || *instrument.quote_trust() == Trust::Live;
        let heard = if live {
            instrument.top_received_at().0
        } else {
            0
        };
        shown.feeds.insert(instrument.name.clone(), heard);
    }
    if !desk.has_session() {
        return shown;
    }
    let config = desk.config();
    for halt in &desk.risk().halts {
        shown.halts.push(format!("{halt:?}"));
    }
    for position in desk.ledger().positions().iter().filter(|p| p.qty.0 != 0) {
        let strategy = config.strategies.get(position.strategy.index());
        let instrument = market.instrument(position.instrument);
        if let (Some(strategy), Ok(instrument)) = (strategy, instrument) {
            let qty = instrument.decimals().qty_decimal(position.qty);
            let key = format!("{} {}", strategy.id, instrument.name);
            shown.positions.insert(key, qty.normalize().to_string());
        }
    }
    for instrument in market.instruments() {
        let venue = &instrument.definition.venue;
        shown
            .mode
            .entry(venue.clone())
            .or_insert_with(|| config.mode(venue).name());
    }
    shown
}
