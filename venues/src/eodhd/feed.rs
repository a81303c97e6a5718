//! One connection: wait for the authorization, subscribe, and notice when content stops coming.
//!
//! The server keeps no subscriptions, so every connection subscribes anew. There are no sequence numbers: what a lost
//! connection or a silence left out is known only as a gap on the tape.
use super::VENUE;
use super::message::{Message, Status, decode};
use crate::gateway::fields::Reading;
use crate::gateway::{Feed, Handshake, Instruments, Listed, Outbox, Response, WireError};
use onetape_engine::event::{self, Event, FeedCondition, FeedState, StaleReason};
use onetape_engine::time::Nanos;
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashMap;
use std::ops::Range;

/// Which of the venue's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Prints of US stocks.
    UsTrades,
    /// Best bid and ask of US stocks.
    UsQuotes,
    /// Bid and ask of currency pairs.
    Forex,
}

impl Content {
    const fn path(self) -> &'static str {
        match self {
            Content::UsTrades => "us",
            Content::UsQuotes => "us-quote",
            Content::Forex => "forex",
        }
    }

    const fn feed(self) -> event::Feed {
        match self {
            Content::UsTrades => event::Feed::Trades,
            Content::UsQuotes | Content::Forex => event::Feed::Quotes,
        }
    }
}

/// What a connection is and how patient.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which stream.
    pub content: Content,
    /// Symbols that the subscription allows on one connection; 50 unless more were bought.
    pub symbols_max: usize,
    /// When the market is open, ascending; silence counts only then. Nothing here: it never counts.
    pub hours: Vec<Range<Nanos>>,
    /// One instrument's content is stale after this long without any, in ms.
    pub silence_ms: u64,
    /// The connection is made anew after this long without any instrument's content, in ms.
    pub reconnect_ms: u64,
    /// The connection is made anew when it is not authorized after this long, in ms.
    pub authorization_ms: u64,
    /// Whether dark pools' prints go onto the tape. Nobody resting in a book could have had them, so by default they don't.
    pub dark_pools: bool,
}

impl Config {
    /// 50 symbols; stale after a minute (trades: two), anew after two minutes of silence or 10 s without authorization.
    pub fn new(content: Content, hours: Vec<Range<Nanos>>) -> Self {
        Self {
            content,
            symbols_max: 50,
            hours,
            silence_ms: match content {
                Content::UsTrades => 120_000,
                Content::UsQuotes | Content::Forex => 60_000,
            },
            reconnect_ms: 120_000,
            authorization_ms: 10_000,
            dark_pools: false,
        }
    }
}

/// More symbols than one connection takes: the rest would be silent for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} symbols on one connection: eodhd takes {max}")]
pub struct TooManySymbols {
    /// How many there are.
    pub found: usize,
    /// How many it takes.
    pub max: usize,
}

/// How one instrument's content does.
#[derive(Clone, Debug)]
struct Watched {
    listed: Listed,
    /// When its content came last, or when there could first have been some.
    heard: Nanos,
    /// The tape knows that it is stale.
    is_stale: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Opened(Nanos),
    Subscribed,
    /// The venue refused the subscription: another connection would change nothing.
    Refused,
}

/// One connection's protocol.
pub struct Stream {
    name: String,
    config: Config,
    token: SecretString,
    watched: Vec<Watched>,
    /// By symbol: the place in `watched`.
    places: HashMap<String, usize>,
    state: State,
    /// When any content came last.
    heard: Nanos,
    ignored: u64,
}

impl Stream {
    /// # Errors
    /// [`TooManySymbols`].
    pub fn new(
        config: Config,
        token: SecretString,
        instruments: &Instruments,
    ) -> Result<Self, TooManySymbols> {
        let found = instruments.len();
        if found > config.symbols_max {
            let max = config.symbols_max;
            return Err(TooManySymbols { found, max });
        }
        let watched = instruments.iter().map(|listed| Watched {
            listed: listed.clone(),
            heard: Nanos(0),
            is_stale: false,
        });
        Ok(Self {
            name: format!("{VENUE} {}", config.content.path()),
            places: instruments
                .iter()
                .enumerate()
                .map(|(place, listed)| (listed.symbol.clone(), place))
                .collect(),
            watched: watched.collect(),
            config,
            token,
            state: State::Closed,
            heard: Nanos(0),
            ignored: 0,
        })
    }

    /// Sets when the market is open, for the days to come.
    pub fn set_hours(&mut self, hours: Vec<Range<Nanos>>) {
        self.config.hours = hours;
    }

    /// Prints that did not go onto the tape because they may not move the last price or the volume, or came from a dark
    /// pool.
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    fn subscription(&self) -> String {
        let symbols = self.watched.iter().map(|one| one.listed.symbol.as_str());
        let symbols = symbols.collect::<Vec<_>>().join(",");
        serde_json::json!({"action": "subscribe", "symbols": symbols}).to_string()
    }

    fn status(
        &mut self,
        status: Status<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        match status.code {
            200 => {
                if matches!(self.state, State::Opened(_)) && !self.watched.is_empty() {
                    out.send(self.subscription());
                    self.state = State::Subscribed;
                    self.heard = now;
                }
                Ok(())
            }
            code => {
                // Symbols limit, bad token: a person must act, silence tells the tape, and a new connection ends alike.
                self.state = State::Refused;
                Err(WireError::Refused {
                    venue: VENUE,
                    code: code.to_string(),
                    message: crate::gateway::shortened(status.message),
                })
            }
        }
    }

    fn place(&self, symbol: &str) -> Result<usize, WireError> {
        let frame = Reading {
            venue: VENUE,
            message: "frame",
        };
        let place = self.places.get(symbol).copied();
        place.ok_or_else(|| frame.bad("s", symbol, "a symbol that was subscribed"))
    }

    /// Content came that can be used.
    fn hear(&mut self, place: usize, now: Nanos) {
        self.heard = now;
        self.watched[place].heard = now;
        self.watched[place].is_stale = false;
    }

    fn stale(&mut self, reason: &StaleReason, which: impl Fn(&Watched) -> bool, out: &mut Outbox) {
        let feed = self.config.content.feed();
        for watched in self.watched.iter_mut().filter(|one| !one.is_stale) {
            if which(watched) {
                watched.is_stale = true;
                out.event(&Event::FeedState(Box::new(FeedState {
                    instrument: watched.listed.instrument,
                    feed,
                    condition: FeedCondition::Stale(reason.clone()),
                })));
            }
        }
    }
}

impl Feed for Stream {
    fn name(&self) -> &str {
        &self.name
    }

    fn handshake(&self, _: Nanos) -> Result<Handshake, WireError> {
        let path = self.config.content.path();
        Ok(Handshake {
            base: "stream",
            target: format!("/ws/{path}?api_token={}", self.token.expose_secret()),
            headers: Vec::new(),
        })
    }

    fn opened(&mut self, now: Nanos, _: &mut Outbox) {
        self.state = State::Opened(now);
        self.heard = now;
        for watched in &mut self.watched {
            watched.heard = now;
        }
    }

    fn message(&mut self, bytes: &[u8], now: Nanos, out: &mut Outbox) -> Result<(), WireError> {
        match decode(bytes)? {
            Message::Status(status) => self.status(status, now, out)?,
            Message::Trade(trade) => {
                let place = self.place(trade.symbol)?;
                if trade.moves_the_market() && (self.config.dark_pools || !trade.is_dark) {
                    out.event(&Event::Trade(&trade.trade(&self.watched[place].listed)?));
                } else {
                    self.ignored += 1;
                }
                self.hear(place, now);
            }
            Message::Quote(quote) => {
                let place = self.place(quote.symbol)?;
                out.event(&Event::Quote(&quote.quote(&self.watched[place].listed)?));
                self.hear(place, now);
            }
            Message::Forex(forex) => {
                let place = self.place(forex.symbol)?;
                out.event(&Event::Quote(&forex.quote(&self.watched[place].listed)?));
                self.hear(place, now);
            }
        }
        Ok(())
    }

    fn response(
        &mut self,
        _: u32,
        _: Option<&Response<'_>>,
        _: Nanos,
        _: &mut Outbox,
    ) -> Result<(), WireError> {
        Ok(())
    }

    fn tick(&mut self, now: Nanos, out: &mut Outbox) {
        if let State::Opened(since) = self.state
            && now.since(since) > ms(self.config.authorization_ms)
        {
            out.reconnect("no authorization");
            return;
        }
        let Some(open) = self.config.hours.iter().find(|hours| hours.contains(&now)) else {
            return;
        };
        let opened = open.start;
        let limit = ms(self.config.silence_ms);
        self.stale(
            &StaleReason::Silent,
            |one| now.since(one.heard.max(opened)) > limit,
            out,
        );
        if self.state == State::Subscribed
            && now.since(self.heard.max(opened)) > ms(self.config.reconnect_ms)
        {
            out.reconnect("no content of any symbol");
        }
    }

    fn closed(&mut self, _: Nanos, out: &mut Outbox) {
        self.state = State::Closed;
        self.stale(&StaleReason::Disconnected, |_| true, out);
    }
}

const fn ms(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests;
