//! What becomes of the markets themselves: messages of their lifecycle, and the answers to being asked for.
use super::super::fields::{Reader, VENUE};
use super::super::listing::{Membership, Series, check_multiplier, market_request, series_request};
use super::super::market::{Market, settlement_price};
use super::super::message::{EventFees, Lifecycle, LifecycleStep};
use super::super::refusal::refusal;
use super::market::{MarketState, Trust};
use super::{Channel, KalshiFeed, NS_PER_MS};
use crate::gateway::{AccountFact, Outbox, Response, WireError};
use onetape_engine::event::{Event, FeedCondition, StaleReason, TradingStatus};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;

/// Markets asked for in one tick at the most: four ticks a second stay far below the venue's 20 calls.
const LISTED_A_TICK: usize = 1;

/// What a request was for; with the market's place it makes the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Market,
    Series,
}

const fn tag(place: usize, asked: Asked) -> u32 {
    (place as u32) << 1 | asked as u32
}

impl KalshiFeed {
    /// Every market is asked for, in turn.
    pub(super) fn list_all(&mut self, now: Nanos) {
        for market in &mut self.markets {
            market.list_at = now;
        }
    }

    pub(super) fn lifecycle(
        &mut self,
        lifecycle: &Lifecycle<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        // The channel tells of every market of the venue.
        let Some(&place) = self.places.get(lifecycle.market.as_ref()) else {
            return Ok(());
        };
        let tells_account = self.config.account;
        let market = &mut self.markets[place];
        match &lifecycle.step {
            LifecycleStep::Created => {
                market.set_status(TradingStatus::Halted, out);
                market.list_at = now;
            }
            LifecycleStep::Activated => {
                let was_judged = market.is_judged();
                market.closes_at = None;
                market.set_status(TradingStatus::Open, out);
                market.list_at = now;
                // Its resting orders were cancelled.
                if tells_account {
                    out.account(AccountFact::Resync);
                }
                if !was_judged {
                    self.judge(place, now, out);
                }
            }
            LifecycleStep::Deactivated => {
                market.set_status(TradingStatus::Halted, out);
            }
            LifecycleStep::CloseDateUpdated | LifecycleStep::MetadataUpdated => {
                market.list_at = now;
            }
            LifecycleStep::Determined { value } => {
                market.set_status(TradingStatus::Closed, out);
                market.list_at = now;
                let value = value.map(|value| settlement_price(value, &market.listed));
                market.value = value.transpose()?;
            }
            LifecycleStep::Settled => {
                market.set_status(TradingStatus::Closed, out);
                match market.value {
                    Some(value) => market.resolve(value, out),
                    // It was determined while nobody listened.
                    None => market.list_at = now,
                }
            }
            LifecycleStep::PriceLevelsUpdated => {
                market.lose(FeedCondition::Stale(StaleReason::OffGrid), out);
                market.list_at = now;
            }
            LifecycleStep::Unknown(name) => {
                market.list_at = now;
                let expected = "a step of the documents";
                return Err(Reader("market_lifecycle_v2").bad("event_type", name, expected));
            }
        }
        Ok(())
    }

    /// An event's fees changed: what its overrides leave open is the series' to say.
    pub(super) fn event_fees(
        &mut self,
        fees: &EventFees<'_>,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let multiplier = match fees.multiplier {
            None => None,
            Some(text) => {
                let bad =
                    |_| Reader("event_fee_update").bad("fee_multiplier_override", text, "a number");
                let value = Decimal::from_str_exact(text).map_err(bad)?;
                Some(check_multiplier("fee_multiplier_override", value)?)
            }
        };
        for (place, market) in self.markets.iter_mut().enumerate() {
            let terms = market.known.terms.as_ref();
            let of_event = match terms {
                Some(terms) => terms.event == fees.event,
                None => market
                    .listed
                    .symbol
                    .starts_with(&format!("{}-", fees.event)),
            };
            if of_event {
                let fee_type = fees.fee_type.as_deref().map(str::to_owned);
                market.fees = Some((fee_type, multiplier));
                let series = fees.event.split('-').next().unwrap_or_default();
                out.request(tag(place, Asked::Series), series_request(series));
            }
        }
        Ok(())
    }

    /// Asks for markets that are due.
    pub(super) fn tick_listing(&mut self, now: Nanos, out: &mut Outbox) {
        let every = self.config.list_every_ms * NS_PER_MS;
        let due = |(place, market): (usize, &MarketState)| {
            (market.list_at <= now && !market.known.is_resolved).then_some(place)
        };
        let places: Vec<usize> = self
            .markets
            .iter()
            .enumerate()
            .filter_map(due)
            .take(LISTED_A_TICK)
            .collect();
        for market in &mut self.markets {
            // No message tells that its close has passed.
            let has_passed = market.closes_at.is_some_and(|at| at <= now);
            if has_passed && market.known.status == Some(TradingStatus::Open) {
                market.set_status(TradingStatus::Closed, out);
            }
        }
        for place in places {
            let market = &mut self.markets[place];
            // Should no answer come, it is asked for again then.
            market.list_at = now.after(every);
            out.request(
                tag(place, Asked::Market),
                market_request(&market.listed.symbol),
            );
        }
    }

    /// Reads an answer.
    pub(super) fn answered(
        &mut self,
        number: u32,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let place = (number >> 1) as usize;
        let Some(market) = self.markets.get_mut(place) else {
            let expected = "a tag of this feed";
            return Err(Reader("answer").bad("tag", &number.to_string(), expected));
        };
        let retry = now.after(self.config.retry_after_ms * NS_PER_MS);
        let Some(response) = response else {
            market.list_at = market.list_at.min(retry);
            return Err(WireError::Refused {
                venue: VENUE,
                code: "no answer".to_owned(),
                message: format!("asked for {}", market.listed.symbol),
            });
        };
        if number == tag(place, Asked::Series) {
            return series(market, response, self.config.membership, now, out);
        }
        // A market that is not there yet is asked for again in its turn, one that failed soon.
        if response.status != 200 {
            if response.status != 404 {
                market.list_at = market.list_at.min(retry);
            }
            return Err(refusal(response));
        }
        let read = Market::read(response.body)?;
        if read.ticker != market.listed.symbol {
            let expected = "the market that was asked for";
            return Err(Reader("market").bad("ticker", &read.ticker, expected));
        }
        let rules = read.trading_rules(&market.listed, now)?;
        let topic = market
            .known
            .terms
            .as_ref()
            .map(|terms| terms.cluster.clone());
        let terms = read.terms(&market.listed, &topic.unwrap_or_default())?;
        let value = read.settlement(&market.listed)?;
        let knew_rules = market.known.rules.is_some();
        if market.set_rules(rules, out) && knew_rules {
            // Levels from before are not on the new grid.
            market.lose(FeedCondition::Stale(StaleReason::OffGrid), out);
        }
        market.set_terms(terms, out);
        let was_judged = market.is_judged();
        market.closes_at = Some(read.closes_at);
        // The venue may be late to call it closed.
        let status = match read.closes_at <= now {
            true => TradingStatus::Closed,
            false => read.status,
        };
        market.set_status(status, out);
        market.value = value;
        if read.is_final
            && let Some(value) = value
        {
            market.resolve(value, out);
        }
        // Opening and closing are the clock's: the market is asked for when they are due.
        let ahead = |at: &Nanos| *at > now;
        let times = [read.opens_at, Some(read.closes_at)].into_iter().flatten();
        let next = times.filter(ahead).min().unwrap_or(market.list_at);
        market.list_at = market.list_at.min(next);
        // A book waited for the grid, or the market has just begun to trade.
        let waits = market.trust == Trust::Lost;
        let begins = market.is_judged() && !was_judged;
        if market.is_kept() && (waits || begins) && self.sid(Channel::Book).is_some() {
            self.judge(place, now, out);
        }
        Ok(())
    }
}

/// The series' fees with the event's overrides.
fn series(
    market: &mut MarketState,
    response: &Response<'_>,
    membership: Membership,
    now: Nanos,
    out: &mut Outbox,
) -> Result<(), WireError> {
    let Some((fee_type, multiplier)) = market.fees.take() else {
        return Ok(());
    };
    if response.status != 200 {
        return Err(refusal(response));
    }
    let series = Series::read(response.body)?;
    let overrides = (fee_type.as_deref(), multiplier);
    let fees = series.fees(market.listed.instrument, overrides, membership, now)?;
    let Some(fees) = fees else {
        return Err(Reader("series").bad("fee_type", "flat", "quadratic fees"));
    };
    out.event(&Event::FeeSchedule(Box::new(fees)));
    Ok(())
}
