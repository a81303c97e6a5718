//! What venues say that we hold, held against the sum of our fills.
use super::Ledger;
use crate::event::AccountReport;
use crate::id::{InstrumentId, VenueId};
use crate::market::Market;
use crate::number::Qty;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was held at each venue before our first fill there, and what the last report came out as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// By venue: what the venue held for us beyond our fills when it first reported. Somebody else's, or from before.
    before: BTreeMap<VenueId, BTreeMap<InstrumentId, i64>>,
    /// By venue: whether its last report was what our fills add up to.
    agrees: BTreeMap<VenueId, bool>,
}

impl Accounts {
    /// Takes a report: the first one of a venue says what was there before us, each later one must agree with our fills.
    pub(super) fn reported(&mut self, report: &AccountReport, ledger: &Ledger, market: &Market) {
        let of_venue = |id: &InstrumentId| {
            let instrument = market.instrument(*id).ok()?;
            (instrument.definition.venue == report.venue).then_some(instrument)
        };
        let Some(venue) = venue_of(market, &report.venue) else {
            return;
        };
        let mut beyond: BTreeMap<InstrumentId, i64> = BTreeMap::new();
        for holding in &report.holdings {
            *beyond.entry(holding.instrument).or_default() += holding.qty.0;
        }
        for position in ledger.positions() {
            if of_venue(&position.instrument).is_some() {
                *beyond.entry(position.instrument).or_default() -= position.qty.0;
            }
        }
        // A contract that was paid out is held by nobody, whenever the venue takes it off the list.
        beyond.retain(|id, qty| *qty != 0 && of_venue(id).is_some_and(|i| i.settled_at.is_none()));
        let before = self.before.entry(venue).or_insert_with(|| beyond.clone());
        before.retain(|id, _| of_venue(id).is_some_and(|i| i.settled_at.is_none()));
        self.agrees.insert(venue, *before == beyond);
    }

    /// Whether the venue's last report was what our fills add up to; `None` before the first.
    pub fn agrees(&self, venue: VenueId) -> Option<bool> {
        self.agrees.get(&venue).copied()
    }

    /// What a venue held for us before our first fill there.
    pub fn before(&self, venue: VenueId, instrument: InstrumentId) -> Qty {
        let held = self
            .before
            .get(&venue)
            .and_then(|held| held.get(&instrument));
        Qty(held.copied().unwrap_or(0))
    }

    /// The venue's next report is right whatever it says.
    pub(super) fn accept_next(&mut self, venue: VenueId) {
        self.before.remove(&venue);
        self.agrees.remove(&venue);
    }
}

/// A venue's number, once it has an instrument.
pub(super) fn venue_of(market: &Market, name: &str) -> Option<VenueId> {
    let mut instruments = market.instruments().iter();
    let first = instruments.find(|instrument| instrument.definition.venue == name);
    first.map(|instrument| instrument.venue)
}
