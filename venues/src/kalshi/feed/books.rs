//! The books of a subscription: snapshots, signed changes, what makes them stale, and how they come back.
use super::super::fields::Reader;
use super::super::message::{BookDelta, BookSnapshot};
use super::channels::{self, Channel};
use super::market::Trust;
use super::{KalshiFeed, NS_PER_MS};
use crate::gateway::{Outbox, WireError};
use onetape_engine::event::{FeedCondition, StaleReason};
use onetape_engine::time::Nanos;

impl KalshiFeed {
    /// Asks for the books of some markets.
    pub(super) fn ask_snapshots(&mut self, places: &[usize], out: &mut Outbox) {
        let Some(sid) = self.sid(Channel::Book) else {
            return;
        };
        if places.is_empty() {
            return;
        }
        let id = self.id();
        let symbol = |place: &usize| self.markets[*place].listed.symbol.as_str();
        let markets: Vec<&str> = places.iter().map(symbol).collect();
        out.send(channels::update(id, sid, "get_snapshot", &markets));
    }

    /// Books are not to be used, and those that the venue keeps are asked for. One that waits already is not asked for
    /// again at once: the answer to that would be the next gap.
    pub(super) fn lose(
        &mut self,
        places: &[usize],
        reason: &StaleReason,
        now: Nanos,
        out: &mut Outbox,
    ) {
        let mut asked = Vec::new();
        for &place in places {
            let market = &mut self.markets[place];
            if matches!(market.trust, Trust::Waiting { .. }) {
                market.new_book();
                continue;
            }
            market.lose(FeedCondition::Stale(reason.clone()), out);
            if market.is_kept() {
                market.await_snapshot(now);
                asked.push(place);
            }
        }
        self.ask_snapshots(&asked, out);
    }

    /// A market that was not judged for silence is from now on: what it waits for is asked for.
    pub(super) fn judge(&mut self, place: usize, now: Nanos, out: &mut Outbox) {
        let market = &mut self.markets[place];
        if let Trust::Live { heard, probed, .. } = &mut market.trust {
            (*heard, *probed) = (now, false);
        } else {
            market.await_snapshot(now);
            self.ask_snapshots(&[place], out);
        }
    }

    pub(super) fn snapshot(
        &mut self,
        seq: u64,
        snapshot: &BookSnapshot<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let Some(&place) = self.places.get(snapshot.market.as_ref()) else {
            return Ok(());
        };
        let market = &mut self.markets[place];
        let listed = market.listed.clone();
        let book = market.new_book();
        let read = snapshot.levels(&listed, self.config.no_side, |side, price, qty| {
            book.add(side, price, qty);
        });
        match read {
            Ok(()) => {
                market.restore(seq, now, &mut self.levels, out);
                Ok(())
            }
            Err(error) => {
                self.lose(&[place], &StaleReason::BadLevel, now, out);
                Err(error)
            }
        }
    }

    pub(super) fn delta(
        &mut self,
        seq: u64,
        delta: &BookDelta<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let Some(&place) = self.places.get(delta.market.as_ref()) else {
            return Ok(());
        };
        let market = &mut self.markets[place];
        let change = match delta.change(&market.listed, self.config.no_side) {
            Ok(change) => change,
            Err(error) => {
                self.lose(&[place], &StaleReason::BadLevel, now, out);
                return Err(error);
            }
        };
        match market.change(change, seq, delta.venue_time, now, out) {
            Ok(()) => Ok(()),
            // The grid changed and nobody said so: the market tells it, then the book is asked for.
            Err(StaleReason::OffGrid) => {
                market.lose(FeedCondition::Stale(StaleReason::OffGrid), out);
                market.list_at = now;
                Ok(())
            }
            Err(reason) => {
                self.lose(&[place], &reason, now, out);
                Ok(())
            }
        }
    }

    /// A message of the books without a number: nobody can tell whether one before it is missing.
    pub(super) fn uncounted(&mut self, now: Nanos, out: &mut Outbox) -> Result<(), WireError> {
        self.gap(Channel::Book, &StaleReason::BadLevel, now, out);
        Err(Reader("order book").bad("seq", "missing", "a sequence number"))
    }

    pub(super) fn tick_books(&mut self, now: Nanos, out: &mut Outbox) {
        if self.sid(Channel::Book).is_none() {
            return;
        }
        let limit = |ms: u64| ms * NS_PER_MS;
        let mut quiet = Vec::new();
        for (place, market) in self.markets.iter_mut().enumerate() {
            if !market.is_judged() {
                continue;
            }
            match &mut market.trust {
                Trust::Lost => {}
                Trust::Waiting { since, asked } => {
                    if now.since(*since) >= limit(self.config.answer_within_ms) {
                        out.reconnect(format!("no snapshot of {}", market.listed.symbol));
                    } else if now.since(*asked) >= limit(self.config.retry_after_ms) {
                        *asked = now;
                        quiet.push(place);
                    }
                }
                Trust::Live { heard, probed, .. } => {
                    let age = now.since(*heard);
                    if age >= limit(self.config.silent_after_ms) {
                        let silent = FeedCondition::Stale(StaleReason::Silent);
                        market.lose(silent, out);
                        out.reconnect(format!("{} is silent", market.listed.symbol));
                    } else if age >= limit(self.config.probe_after_ms) && !*probed {
                        *probed = true;
                        quiet.push(place);
                    }
                }
            }
        }
        self.ask_snapshots(&quiet, out);
    }

    /// Markets that were not found are asked for again on the subscriptions that stand.
    pub(super) fn tick_missing(&mut self, now: Nanos, out: &mut Outbox) {
        let mut back = Vec::new();
        for (place, market) in self.markets.iter_mut().enumerate() {
            if market.missing_until.is_some_and(|until| until <= now) {
                market.missing_until = None;
                market.await_snapshot(now);
                market.list_at = now;
                back.push(place);
            }
        }
        if back.is_empty() {
            return;
        }
        for channel in [Channel::Book, Channel::Trades, Channel::Ticker] {
            if let Some(sid) = self.sid(channel) {
                let id = self.id();
                let symbol = |place: &usize| self.markets[*place].listed.symbol.as_str();
                let markets: Vec<&str> = back.iter().map(symbol).collect();
                out.send(channels::update(id, sid, "add_markets", &markets));
            }
        }
    }
}
