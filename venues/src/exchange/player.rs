//! A journal's inputs, played at the exchange's pace.
use super::{Exchange, Truth};
use onetape_engine::event::{Event, FeeSchedule, Kind, TradingRules};
use onetape_engine::fees::{Rounding, RoundingMode};
use onetape_engine::number::Qty;
use onetape_engine::time::Nanos;
use onetape_journal::Reader;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Why a journal can't be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayerError {
    /// It does not read.
    #[error(transparent)]
    Journal(#[from] onetape_journal::Error),
    /// A frame that the market can't take.
    #[error("sequence {sequence}: {why}")]
    Frame {
        /// Its sequence.
        sequence: u64,
        /// Why.
        why: String,
    },
    /// There is nothing in it.
    #[error("the journal has no inputs")]
    Empty,
}

/// A position in a journal.
pub struct Player {
    reader: Reader,
}

impl Player {
    /// At the journal's first frame.
    ///
    /// # Errors
    /// [`PlayerError`].
    pub fn open(journal: &Path) -> Result<Self, PlayerError> {
        let reader = Reader::open_whole(journal)?;
        Ok(Self { reader })
    }

    /// The time of a journal's first market event, where the exchange's clock begins.
    ///
    /// # Errors
    /// [`PlayerError`].
    pub fn first_time(journal: &Path) -> Result<Nanos, PlayerError> {
        let mut reader = Reader::open(journal)?;
        while let Some(frame) = reader.next()? {
            if !frame.tag.is_derived() && frame.timestamp_ns > 0 {
                return Ok(Nanos(frame.timestamp_ns));
            }
        }
        Err(PlayerError::Empty)
    }

    /// Plays what the journal has up to a time, at once; false at the journal's end.
    ///
    /// # Errors
    /// [`PlayerError`].
    pub fn play_until(&mut self, exchange: &Exchange, until: Nanos) -> Result<bool, PlayerError> {
        const BATCH: usize = 256;
        loop {
            let mut batch = 0;
            while batch < BATCH {
                // Looked at before it is taken: a frame of the future stays for the next call.
                let position = self.reader.next_sequence();
                let Some(frame) = self.reader.next()? else {
                    return Ok(false);
                };
                if frame.timestamp_ns > until.0 {
                    self.reader.seek(position)?;
                    return Ok(true);
                }
                batch += 1;
                if frame.tag.is_derived() {
                    continue;
                }
                let (sequence, at) = (frame.sequence, Nanos(frame.timestamp_ns));
                let bad = |why: String| PlayerError::Frame { sequence, why };
                let event = Event::decode(frame.tag.kind(), frame.payload)
                    .map_err(|e| bad(e.to_string()))?;
                if is_private(event.kind()) {
                    continue;
                }
                let played = exchange.with(|truth| {
                    let event = match event {
                        Event::TradingRules(rules) => Event::TradingRules(with_lot(truth, rules)),
                        Event::FeeSchedule(fees) => {
                            Event::FeeSchedule(Box::new(with_rounding(truth, *fees)))
                        }
                        event => event,
                    };
                    truth.evolve(at, &event)
                });
                played.map_err(|e| bad(e.to_string()))?;
            }
        }
    }

    /// Plays the whole journal at the exchange's pace; returns at its end.
    ///
    /// # Errors
    /// [`PlayerError`].
    pub async fn run(mut self, exchange: Arc<Exchange>) -> Result<(), PlayerError> {
        while self.play_until(&exchange, exchange.now())? {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        Ok(())
    }
}

/// Rules with the venue's own lot: where the wire tells none, a client goes by the venue's, whatever the journal has.
fn with_lot(truth: &Truth, rules: TradingRules) -> TradingRules {
    let Ok(instrument) = truth.market().instrument(rules.instrument) else {
        return rules;
    };
    let wire_decimals = match instrument.definition.venue.as_str() {
        "kalshi" | "polymarket" => 2,
        "upbit" => 8,
        _ => return rules,
    };
    let finer = instrument.decimals().qty.saturating_sub(wire_decimals);
    let lot = Qty(10i64.saturating_pow(finer.into()).min(rules.lot_size.0));
    // Polymarket tells the least quantity; at the others it is a lot.
    let told = instrument.definition.venue == "polymarket";
    TradingRules {
        lot_size: lot,
        min_qty: if told { rules.min_qty } else { lot },
        ..rules
    }
}

/// Fees rounded as the venue does where it tells nobody what it took, so that a client has to compute it.
fn with_rounding(truth: &Truth, fees: FeeSchedule) -> FeeSchedule {
    let instrument = truth.market().instrument(fees.instrument);
    if !instrument.is_ok_and(|instrument| instrument.definition.venue == "polymarket") {
        return fees;
    }
    FeeSchedule {
        rounding: Rounding {
            decimals: 5,
            mode: RoundingMode::Down,
        },
        ..fees
    }
}

/// What stands in a journal without being a thing of the market.
const fn is_private(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::SessionStart
            | Kind::SessionEnd
            | Kind::OperatorCommand
            | Kind::ExecutionReport
            | Kind::IntentReceived
            | Kind::IntentPromoted
            | Kind::PairApproved
            | Kind::PairWithdrawn
            | Kind::VenueHealth
            | Kind::ClockDrift
            | Kind::Heartbeat
    )
}
