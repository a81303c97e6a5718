//! The market: instruments, their rules in force, quotes, books and bars. A function of inputs alone (and of the clock
//! that closes bars): no order of ours changes it.
mod bars;
mod book;
mod instrument;

pub use bars::BarRequest;
pub(crate) use bars::is_late;
pub use book::{Book, BookSide};
pub use instrument::{Instrument, QuoteFeed, Top, Trust};

use crate::error::EngineError;
use crate::event::{BarClosed, Event, InstrumentDefined, Trade};
use crate::id::{CurrencyId, InstrumentId, Sequence, VenueId};
use crate::time::Nanos;
use bars::BarSeries;
use serde::{Deserialize, Serialize};

/// Everything that venues told us, folded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Market {
    instruments: Vec<Instrument>,
    venues: Vec<String>,
    currencies: Vec<String>,
    bars: Vec<BarSeries>,
}

impl Market {
    /// Folds a frame into the market. Events that are not about the market change nothing.
    ///
    /// # Errors
    /// [`EngineError`] when the frame can't follow those before it.
    #[inline(always)]
    pub fn evolve(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
    ) -> Result<(), EngineError> {
        match event {
            Event::Quote(quote) => {
                self.instrument_mut(quote.instrument)?
                    .take_quote(now, quote);
            }
            Event::Trade(trade) => {
                let instrument = self.instrument_mut(trade.instrument)?;
                if trade.is_sane() {
                    instrument.last_trade = Some(trade.price);
                    self.tick_bars(sequence, now, trade);
                }
            }
            Event::BookDelta(update) => self
                .instrument_mut(update.header.instrument)?
                .take_delta(now, update),
            Event::BookSnapshot(update) => self
                .instrument_mut(update.header.instrument)?
                .take_snapshot(now, update),
            // What we do changes no market.
            Event::OrderDecided(_) | Event::CancelDecided(_) | Event::ExecutionReport(_) => {}
            other => self.evolve_rare(other)?,
        }
        Ok(())
    }

    #[cold]
    fn evolve_rare(&mut self, event: &Event<'_>) -> Result<(), EngineError> {
        match event {
            Event::SessionStart(session) => {
                for strategy in &session.config.strategies {
                    for request in strategy.params.bars() {
                        if !self.bars.iter().any(|series| series.request == request) {
                            let instrument = self.find(&request.instrument).map(Instrument::id);
                            self.bars.push(BarSeries::new(request, instrument));
                        }
                    }
                }
            }
            Event::InstrumentDefined(definition) => self.define(definition)?,
            Event::TradingRules(rules) => self
                .instrument_mut(rules.instrument)?
                .add_rules(rules.clone())?,
            Event::FeeSchedule(fees) => self
                .instrument_mut(fees.instrument)?
                .add_fees((**fees).clone())?,
            Event::FeedState(state) => self
                .instrument_mut(state.instrument)?
                .take_feed_state(state),
            Event::MarketStatus(status) => self
                .instrument_mut(status.instrument)?
                .take_status(status.status),
            Event::Resolution(resolution) => self
                .instrument_mut(resolution.instrument)?
                .resolve(resolution),
            Event::BarClosed(bar) => {
                let same = |series: &&mut BarSeries| {
                    series.instrument == Some(bar.instrument)
                        && series.request.interval_ns == bar.interval_ns
                };
                if !self
                    .bars
                    .iter_mut()
                    .filter(same)
                    .any(|series| series.close(bar))
                {
                    return Err(EngineError::Unscheduled("bar_closed"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn define(&mut self, definition: &InstrumentDefined) -> Result<(), EngineError> {
        let expected = self.instruments.len() as u32;
        if definition.instrument.0 != expected {
            return Err(EngineError::InstrumentOutOfTurn {
                expected,
                found: definition.instrument,
            });
        }
        let name = Instrument::full_name(definition);
        if self.find(&name).is_some() {
            return Err(EngineError::InstrumentTwice(name));
        }
        // Checked again: the decimals come from outside.
        crate::number::Decimals::new(definition.decimals.price, definition.decimals.qty)?;
        let venue = VenueId(intern(&mut self.venues, &definition.venue, "venues")?);
        let currency = CurrencyId(intern(
            &mut self.currencies,
            &definition.quote,
            "currencies",
        )?);
        for series in self
            .bars
            .iter_mut()
            .filter(|series| series.request.instrument == name)
        {
            series.instrument = Some(definition.instrument);
        }
        self.instruments
            .push(Instrument::new(definition.clone(), name, venue, currency));
        Ok(())
    }

    #[inline]
    fn tick_bars(&mut self, sequence: Sequence, now: Nanos, trade: &Trade) {
        for series in &mut self.bars {
            if series.instrument == Some(trade.instrument) {
                series.tick(sequence, now, trade);
            }
        }
    }

    /// The bar that is due next, and when.
    #[inline]
    pub fn next_bar(&self) -> Option<(Nanos, BarClosed)> {
        self.bars
            .iter()
            .filter_map(BarSeries::due)
            .min_by_key(|(due, _)| *due)
    }

    /// # Errors
    /// [`EngineError::UnknownInstrument`].
    #[inline]
    pub fn instrument(&self, id: InstrumentId) -> Result<&Instrument, EngineError> {
        self.instruments
            .get(id.index())
            .ok_or_else(|| EngineError::UnknownInstrument(id))
    }

    #[inline]
    fn instrument_mut(&mut self, id: InstrumentId) -> Result<&mut Instrument, EngineError> {
        self.instruments
            .get_mut(id.index())
            .ok_or_else(|| EngineError::UnknownInstrument(id))
    }

    /// The instrument called "venue:symbol".
    pub fn find(&self, name: &str) -> Option<&Instrument> {
        self.instruments
            .iter()
            .find(|instrument| instrument.name == name)
    }

    /// All instruments, by id.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// A venue's name.
    pub fn venue(&self, id: VenueId) -> &str {
        self.venues.get(id.index()).map_or("?", String::as_str)
    }

    /// A currency's name.
    pub fn currency(&self, id: CurrencyId) -> &str {
        self.currencies.get(id.index()).map_or("?", String::as_str)
    }
}

fn intern(names: &mut Vec<String>, name: &str, what: &'static str) -> Result<u16, EngineError> {
    let known = names.iter().position(|known| known == name);
    let place = known.unwrap_or(names.len());
    let id = u16::try_from(place).map_err(|_| EngineError::TooMany { what })?;
    if known.is_none() {
        names.push(name.to_owned());
    }
    Ok(id)
}
