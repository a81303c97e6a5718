//! One socket of the venue: its subscriptions, the books that they build, and what it says of our account.
//!
//! Rules (Kalshi docs, websockets, market lifecycle; venue document of this project, chapter Kalshi):
//! - The book on the tape is one of YES prices: bids are YES bids, asks are NO bids turned round.
//! - A gap in a subscription's count makes every book of it stale; `get_snapshot` restores them one by one.
//! - A quiet market is asked for its snapshot before it is called silent, so that silence is the venue's and not the
//!   market's. Trades keep no state, so no trades are no silence.
//! - No message tells that a market opened or closed by its clock, so each market is asked for in turn over HTTP.
//! - A contract pays when it is settled. What was determined can be disputed; it only closes the market.
mod books;
mod channels;
mod lifecycle;
mod market;
#[cfg(test)]
mod tests;

use super::auth::Signer;
use super::listing::Membership;
use super::message::{Envelope, Message, NoSide, PublicTrade, Ticker, VenueError};
use super::{STREAM, fields::Reader, fields::VENUE};
use crate::gateway::{
    AccountFact, Feed, Handshake, Instruments, Listing, Method, Outbox, Response, WireError,
};
use channels::{Channel, State, Step, Subscription};
use market::{MarketState, Trust};
use onetape_engine::event::{Event, Feed as Content, FeedCondition, Level, StaleReason};
use onetape_engine::time::Nanos;
use std::collections::HashMap;

const NS_PER_MS: u64 = 1_000_000;
const STREAM_TARGET: &str = "/trade-api/ws/v2";

/// Which channels, and the feed's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedConfig {
    /// Books, trades, tickers and lifecycle of the markets.
    pub public: bool,
    /// Our orders, fills and positions.
    pub account: bool,
    /// In which leg's price the venue shall send the NO side. Both give the same tape; YES is what will stay when the
    /// venue drops the choice (Kalshi docs, order direction).
    pub no_side: NoSide,
    /// How the account's balance is kept: fees that change while we listen follow from it.
    pub membership: Membership,
    /// A book that was not heard of for so long is asked for, in ms.
    pub probe_after_ms: u64,
    /// A book that was not heard of for so long is silent, in ms.
    pub silent_after_ms: u64,
    /// Best bid and ask that were not heard of for so long are silent, in ms: the ticker can't be asked.
    pub quote_silent_after_ms: u64,
    /// A command without an answer for so long ends the connection, in ms.
    pub answer_within_ms: u64,
    /// Pause before a channel or a market is asked for again that the venue refused or gave up, in ms.
    pub retry_after_ms: u64,
    /// How often each market is asked for over HTTP, in ms.
    pub list_every_ms: u64,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            public: true,
            account: false,
            no_side: NoSide::YesPrice,
            membership: Membership::Normal,
            probe_after_ms: 20_000,
            silent_after_ms: 30_000,
            quote_silent_after_ms: 60_000,
            answer_within_ms: 10_000,
            retry_after_ms: 1_000,
            list_every_ms: 60_000,
        }
    }
}

/// The feed of one socket.
#[derive(Debug)]
pub struct KalshiFeed {
    name: String,
    signer: Signer,
    config: FeedConfig,
    instruments: Instruments,
    markets: Vec<MarketState>,
    places: HashMap<String, usize>,
    subscriptions: Vec<Subscription>,
    next_id: u64,
    connected: bool,
    /// The tape knows that nothing is kept fresh.
    told_down: bool,
    levels: Vec<Level>,
}

impl KalshiFeed {
    /// Of these markets.
    pub fn new(signer: Signer, instruments: Instruments, config: FeedConfig) -> Self {
        let markets: Vec<MarketState> = instruments.iter().cloned().map(MarketState::new).collect();
        let place = |(place, market): (usize, &MarketState)| (market.listed.symbol.clone(), place);
        let mut channels = Vec::new();
        if config.public {
            channels.extend(Channel::PUBLIC);
        }
        if config.account {
            channels.extend(Channel::ACCOUNT);
        }
        let parts = match (config.public, config.account) {
            (true, true) => "kalshi market and account",
            (false, true) => "kalshi account",
            _ => "kalshi market",
        };
        Self {
            name: parts.to_owned(),
            signer,
            places: markets.iter().enumerate().map(place).collect(),
            instruments,
            markets,
            subscriptions: channels.into_iter().map(Subscription::new).collect(),
            next_id: 1,
            connected: false,
            told_down: false,
            levels: Vec::new(),
            config,
        }
    }

    /// What the tape holds of a market already, and whether that it paid. Without it the venue's first answer goes onto the
    /// tape as a change, and contract terms are not watched.
    pub fn known(&mut self, listing: &Listing, is_settled: bool) {
        let symbol = &listing.definition.symbol;
        if let Some(place) = self.places.get(symbol) {
            let known = &mut self.markets[*place].known;
            known.rules = Some(listing.rules.clone());
            known.status = Some(listing.status.status);
            known.terms = listing.terms.clone();
            known.rules_hash = listing.rules_text.as_ref().map(|t| t.rules_hash.clone());
            known.is_resolved = is_settled;
        }
    }

    const fn id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    fn subscription(&mut self, channel: Channel) -> Option<&mut Subscription> {
        self.subscriptions
            .iter_mut()
            .find(|subscription| subscription.channel == channel)
    }

    fn sid(&mut self, channel: Channel) -> Option<u64> {
        self.subscription(channel)
            .and_then(|subscription| subscription.sid())
    }

    /// Asks for a channel.
    fn subscribe(&mut self, channel: Channel, now: Nanos, out: &mut Outbox) {
        let id = self.id();
        let known = self.markets.iter().filter(|m| m.missing_until.is_none());
        let markets: Vec<&str> = known.map(|m| m.listed.symbol.as_str()).collect();
        if channel.is_of_markets() && markets.is_empty() {
            let from = now.after(self.config.retry_after_ms * NS_PER_MS);
            if let Some(subscription) = self.subscription(channel) {
                subscription.state = State::Due { from };
            }
            return;
        }
        let yes = self.config.no_side == NoSide::YesPrice;
        out.send(channels::subscribe(id, channel, &markets, yes));
        if let Some(subscription) = self.subscription(channel) {
            subscription.state = State::Asked { id, at: now };
        }
    }

    /// Gives a channel up and asks for it again after a pause: what it kept fresh is stale.
    fn resubscribe(&mut self, channel: Channel, now: Nanos, out: &mut Outbox) {
        let from = now.after(self.config.retry_after_ms * NS_PER_MS);
        let Some(subscription) = self.subscription(channel) else {
            return;
        };
        let sid = subscription.sid();
        subscription.state = State::Due { from };
        if let Some(sid) = sid {
            let id = self.id();
            out.send(channels::unsubscribe(id, sid));
        }
        let content = match channel {
            Channel::Book => Content::Book,
            Channel::Trades => Content::Trades,
            Channel::Ticker => Content::Quotes,
            _ => return,
        };
        let stale = || FeedCondition::Stale(StaleReason::Disconnected);
        for market in &mut self.markets {
            match content {
                Content::Book => market.lose(stale(), out),
                Content::Quotes => {
                    market.quoted = None;
                    market.feed_state(content, stale(), out);
                }
                Content::Trades => market.feed_state(content, stale(), out),
            }
        }
    }

    /// Something of a subscription is missing.
    fn gap(&mut self, channel: Channel, reason: &StaleReason, now: Nanos, out: &mut Outbox) {
        match channel {
            Channel::Book => {
                let places: Vec<usize> = (0..self.markets.len()).collect();
                self.lose(&places, reason, now, out);
            }
            Channel::Trades => {
                for market in &self.markets {
                    let condition = FeedCondition::Stale(reason.clone());
                    market.feed_state(Content::Trades, condition, out);
                }
            }
            Channel::Ticker => {
                for market in &mut self.markets {
                    market.quoted = None;
                    let condition = FeedCondition::Stale(reason.clone());
                    market.feed_state(Content::Quotes, condition, out);
                }
            }
            Channel::Lifecycle => self.list_all(now),
            Channel::Orders | Channel::Fills | Channel::Positions => {
                out.account(AccountFact::Resync);
            }
        }
    }

    fn acknowledged(
        &mut self,
        envelope: &Envelope<'_>,
        channel: &str,
        sid: u64,
        now: Nanos,
        out: &mut Outbox,
    ) {
        let asked = self.subscriptions.iter_mut().find(|subscription| {
            let State::Asked { id, .. } = subscription.state else {
                return false;
            };
            envelope.id == Some(id) && subscription.channel.name() == channel
        });
        let Some(subscription) = asked else {
            // The answer to a command that was given up: nobody would look at its messages.
            let id = self.id();
            out.send(channels::unsubscribe(id, sid));
            return;
        };
        subscription.state = State::Live {
            sid,
            last_seq: None,
        };
        let channel = subscription.channel;
        match channel {
            // The snapshots follow unasked.
            Channel::Book => {
                for market in &mut self.markets {
                    market.lose(FeedCondition::Snapshotting, out);
                    market.await_snapshot(now);
                }
            }
            // What happened before is not told.
            Channel::Lifecycle => self.list_all(now),
            Channel::Orders | Channel::Fills | Channel::Positions => {
                let all = self
                    .subscriptions
                    .iter()
                    .filter(|subscription| subscription.channel.is_of_account())
                    .all(|subscription| {
                        subscription.sid().is_some() || subscription.state == State::Refused
                    });
                if all {
                    out.account(AccountFact::Resync);
                }
            }
            Channel::Trades | Channel::Ticker => {}
        }
    }

    /// What the venue gave up or refused (Kalshi docs, websocket error codes).
    fn failed(
        &mut self,
        envelope: &Envelope<'_>,
        error: &VenueError<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> WireError {
        const MARKET_NOT_FOUND: u64 = 16;
        const TOO_MANY_MARKETS: u64 = 26;
        // Internal errors and time-outs, and a buffer that ran over: messages are lost.
        const LOST: [u64; 4] = [10, 17, 18, 25];
        let from = now.after(self.config.retry_after_ms * NS_PER_MS);
        let asked = self.subscriptions.iter_mut().find(|subscription| {
            matches!(subscription.state, State::Asked { id, .. } if envelope.id == Some(id))
        });
        let live = |subscription: &Subscription| {
            let sid = subscription.sid();
            sid.filter(|sid| envelope.sid == Some(*sid))
                .map(|_| subscription.channel)
        };
        if let Some(subscription) = asked {
            subscription.state = match error.code {
                TOO_MANY_MARKETS => State::Refused,
                _ => State::Due { from },
            };
        } else if LOST.contains(&error.code) {
            let channels: Vec<Channel> = match self.subscriptions.iter().find_map(live) {
                Some(channel) => vec![channel],
                None => self.subscriptions.iter().map(|s| s.channel).collect(),
            };
            for channel in channels {
                self.resubscribe(channel, now, out);
            }
        } else if error.code != MARKET_NOT_FOUND {
            // A command on a live subscription failed: if books wait for a snapshot, it is not coming.
            let waits = |market: &MarketState| {
                market.is_judged() && !matches!(market.trust, Trust::Live { .. })
            };
            if self.markets.iter().any(waits) {
                self.resubscribe(Channel::Book, now, out);
            }
        }
        // Right after its creation a market is not found everywhere.
        if error.code == MARKET_NOT_FOUND
            && let Some(market) = &error.market
            && let Some(&place) = self.places.get(market.as_ref())
        {
            let until = now.after(self.config.list_every_ms * NS_PER_MS);
            self.markets[place].missing_until = Some(until);
            self.markets[place].list_at = until;
        }
        let market = error.market.as_deref().unwrap_or_default();
        WireError::Refused {
            venue: VENUE,
            code: error.code.to_string(),
            message: crate::gateway::shortened(&format!("{} {market}", error.words)),
        }
    }

    fn take(
        &mut self,
        envelope: &Envelope<'_>,
        message: &Message<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        match message {
            Message::Snapshot(snapshot) => match envelope.seq {
                Some(seq) => self.snapshot(seq, snapshot, now, out),
                None => self.uncounted(now, out),
            },
            Message::Delta(delta) => match envelope.seq {
                Some(seq) => self.delta(seq, delta, now, out),
                None => self.uncounted(now, out),
            },
            Message::Ticker(ticker) => self.ticker(ticker, now, out),
            Message::Trade(trade) => self.trade(trade, out),
            Message::Lifecycle(lifecycle) => self.lifecycle(lifecycle, now, out),
            Message::EventFees(fees) => self.event_fees(fees, out),
            Message::Order(order) => {
                let fact = order.fact(&self.instruments);
                tell(fact.map(|fact| fact.map(AccountFact::Order)), out)
            }
            Message::Fill(fill) => {
                let fact = fill.fact(&self.instruments);
                tell(fact.map(|fact| fact.map(AccountFact::Fill)), out)
            }
            Message::Position(position) => {
                let fact = position.fact(&self.instruments);
                tell(fact.map(|fact| fact.map(AccountFact::Holding)), out)
            }
            Message::Unknown(name) => {
                Err(Reader("message").bad("type", name, "a type of the documents"))
            }
            Message::Subscribed { .. }
            | Message::Done
            | Message::Error(_)
            | Message::Ignored(_) => Ok(()),
        }
    }

    fn ticker(
        &mut self,
        ticker: &Ticker<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let Some(&place) = self.places.get(ticker.market.as_ref()) else {
            return Ok(());
        };
        let market = &mut self.markets[place];
        match ticker.quote(&market.listed) {
            Ok(quote) => {
                market.quoted = Some(now);
                out.event(&Event::Quote(&quote));
                Ok(())
            }
            Err(error) => {
                market.quoted = None;
                let bad = FeedCondition::Stale(StaleReason::BadLevel);
                market.feed_state(Content::Quotes, bad, out);
                Err(error)
            }
        }
    }

    fn trade(&self, trade: &PublicTrade<'_>, out: &mut Outbox) -> Result<(), WireError> {
        let Some(&place) = self.places.get(trade.market.as_ref()) else {
            return Ok(());
        };
        let market = &self.markets[place];
        match trade.trade(&market.listed) {
            Ok(trade) => {
                out.event(&Event::Trade(&trade));
                Ok(())
            }
            Err(error) => {
                let bad = FeedCondition::Stale(StaleReason::BadLevel);
                market.feed_state(Content::Trades, bad, out);
                Err(error)
            }
        }
    }

    fn tick_subscriptions(&mut self, now: Nanos, out: &mut Outbox) {
        let within = self.config.answer_within_ms * NS_PER_MS;
        for place in 0..self.subscriptions.len() {
            let Subscription { channel, state } = self.subscriptions[place];
            match state {
                State::Due { from } if from <= now => self.subscribe(channel, now, out),
                State::Asked { at, .. } if now.since(at) >= within => {
                    out.reconnect(format!("no answer to subscribe {}", channel.name()));
                }
                _ => {}
            }
        }
    }

    fn tick_quotes(&mut self, now: Nanos, out: &mut Outbox) {
        let limit = self.config.quote_silent_after_ms * NS_PER_MS;
        for market in &mut self.markets {
            if market.quoted.is_some_and(|at| now.since(at) >= limit) {
                market.quoted = None;
                let silent = FeedCondition::Stale(StaleReason::Silent);
                market.feed_state(Content::Quotes, silent, out);
            }
        }
    }
}

impl Feed for KalshiFeed {
    fn name(&self) -> &str {
        &self.name
    }

    fn handshake(&self, now: Nanos) -> Result<Handshake, WireError> {
        Ok(Handshake {
            base: STREAM,
            target: STREAM_TARGET.to_owned(),
            headers: self.signer.headers(Method::Get, STREAM_TARGET, now)?,
        })
    }

    fn opened(&mut self, now: Nanos, out: &mut Outbox) {
        self.connected = true;
        self.told_down = false;
        for place in 0..self.subscriptions.len() {
            self.subscribe(self.subscriptions[place].channel, now, out);
        }
    }

    fn message(&mut self, bytes: &[u8], now: Nanos, out: &mut Outbox) -> Result<(), WireError> {
        let envelope = match Envelope::read(bytes) {
            Ok(envelope) => envelope,
            Err(error) => {
                // A lost message of the market shows in the next one's number; our account's channels don't count.
                if self.config.account {
                    out.account(AccountFact::Resync);
                }
                return Err(error);
            }
        };
        let message = envelope.message();
        match &message {
            Ok(Message::Subscribed { channel, sid }) => {
                self.acknowledged(&envelope, channel, *sid, now, out);
                return Ok(());
            }
            Ok(Message::Error(error)) => return Err(self.failed(&envelope, error, now, out)),
            _ => {}
        }
        let ours = |subscription: &&mut Subscription| {
            envelope.sid.is_some() && subscription.sid() == envelope.sid
        };
        let Some(subscription) = self.subscriptions.iter_mut().find(ours) else {
            return unrouted(&envelope, &message?);
        };
        let channel = subscription.channel;
        match subscription.advance(envelope.seq) {
            Step::Next => {}
            Step::Old => return Ok(()),
            Step::Gap { expected, found } => {
                self.gap(channel, &StaleReason::Gap { expected, found }, now, out);
            }
        }
        match message {
            Ok(message) => self.take(&envelope, &message, now, out),
            Err(error) => {
                // Nobody knows what it would have changed.
                self.gap(channel, &StaleReason::BadLevel, now, out);
                Err(error)
            }
        }
    }

    fn response(
        &mut self,
        tag: u32,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        self.answered(tag, response, now, out)
    }

    fn tick(&mut self, now: Nanos, out: &mut Outbox) {
        if !self.connected {
            return;
        }
        self.tick_subscriptions(now, out);
        if self.config.public {
            self.tick_missing(now, out);
            self.tick_books(now, out);
            self.tick_quotes(now, out);
            self.tick_listing(now, out);
        }
    }

    fn closed(&mut self, _now: Nanos, out: &mut Outbox) {
        self.connected = false;
        // A connection that did not come up ends as well.
        if std::mem::replace(&mut self.told_down, true) {
            return;
        }
        for subscription in &mut self.subscriptions {
            subscription.state = State::Due { from: Nanos(0) };
        }
        for market in &mut self.markets {
            market.missing_until = None;
            if self.config.public {
                market.disconnect(out);
            }
        }
    }
}

/// A fact of our account; one that does not read is asked for.
fn tell(fact: Result<Option<AccountFact>, WireError>, out: &mut Outbox) -> Result<(), WireError> {
    match fact {
        Ok(fact) => {
            fact.into_iter().for_each(|fact| out.account(fact));
            Ok(())
        }
        Err(error) => {
            out.account(AccountFact::Resync);
            Err(error)
        }
    }
}

/// A message of no subscription that stands: one that was given up, or a command's answer.
fn unrouted(envelope: &Envelope<'_>, message: &Message<'_>) -> Result<(), WireError> {
    let reader = Reader("message");
    match message {
        Message::Unknown(name) => Err(reader.bad("type", name, "a type of the documents")),
        Message::Done | Message::Ignored(_) => Ok(()),
        _ if envelope.sid.is_none() => Err(reader.bad("sid", "missing", "a subscription")),
        _ => Ok(()),
    }
}
