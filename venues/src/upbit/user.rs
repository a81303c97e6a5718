//! Our account's events over the private socket ("WebSocket", myOrder and myAsset).
//!
//! The token is in the handshake. An account may be silent for hours and well, so the connection is probed with PING, and
//! a PING without its answer ends it.
use super::auth::{Nonces, Signer};
use super::error::malformed;
use super::message::{Message, decode};
use crate::gateway::{AccountFact, Feed, Handshake, Instruments, Outbox, Response, WireError};
use onetape_engine::time::{Nanos, SECOND_NS};

/// Limits of a [`UserFeed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// How often PING is sent; the venue closes an idle socket after 60 s: 20 s.
    pub ping_ns: u64,
    /// A PING that is not answered within this ends the connection: 10 s.
    pub answer_timeout_ns: u64,
}

impl Default for UserConfig {
    fn default() -> Self {
        Self {
            ping_ns: 20 * SECOND_NS,
            answer_timeout_ns: 10 * SECOND_NS,
        }
    }
}

/// The private socket.
#[derive(Debug)]
pub struct UserFeed {
    config: UserConfig,
    signer: Signer,
    nonces: Nonces,
    instruments: Instruments,
    is_open: bool,
    pinged_at: Nanos,
    is_answered: bool,
    /// Whether the subscription is known to stand.
    is_subscribed: bool,
    facts: Vec<AccountFact>,
}

impl UserFeed {
    /// For orders in these instruments and all balances.
    pub fn new(
        config: UserConfig,
        signer: Signer,
        nonces: Nonces,
        instruments: Instruments,
    ) -> Self {
        Self {
            config,
            signer,
            nonces,
            instruments,
            is_open: false,
            pinged_at: Nanos(0),
            is_answered: true,
            is_subscribed: false,
            facts: Vec::new(),
        }
    }

    fn ping(&mut self, now: Nanos, out: &mut Outbox) {
        self.pinged_at = now;
        self.is_answered = false;
        out.send("PING");
    }
}

impl Feed for UserFeed {
    fn name(&self) -> &str {
        "upbit user"
    }

    fn handshake(&self, now: Nanos) -> Result<Handshake, WireError> {
        Ok(Handshake {
            base: "stream",
            target: "/websocket/v1/private".to_owned(),
            headers: vec![(
                "Authorization",
                self.signer.bearer("", &self.nonces.peek(now)),
            )],
        })
    }

    fn opened(&mut self, now: Nanos, out: &mut Outbox) {
        self.nonces.next(now);
        self.is_open = true;
        self.is_subscribed = false;
        // myAsset must not name codes, and without codes myOrder is about all markets.
        let subscription = serde_json::json!([
            {"ticket": format!("onetape-{}", now.0)},
            {"type": "myOrder"},
            {"type": "myAsset"}
        ]);
        out.send(subscription.to_string());
        // A subscription is not acknowledged; what is sent after it is.
        self.ping(now, out);
    }

    fn message(&mut self, bytes: &[u8], _: Nanos, out: &mut Outbox) -> Result<(), WireError> {
        // Whatever comes shows that the other side is there.
        self.is_answered = true;
        self.facts.clear();
        let read = match decode(bytes) {
            Ok(Message::MyOrder(order)) => order.facts(&self.instruments, &mut self.facts),
            Ok(Message::MyAsset(assets)) => assets.facts(&mut self.facts),
            Ok(Message::Status) => {
                if !self.is_subscribed {
                    self.is_subscribed = true;
                    self.facts.push(AccountFact::Resync);
                }
                Ok(())
            }
            Ok(Message::Error(error)) => {
                out.reconnect("the venue refused the subscription");
                Err(error.refused())
            }
            Ok(Message::Book(_) | Message::Trade(_) | Message::Ticker(_)) => {
                Err(malformed("private frame", "a message of the public socket"))
            }
            Err(error) => Err(error),
        };
        if read.is_ok() {
            self.facts.drain(..).for_each(|fact| out.account(fact));
        } else {
            // What it said has to be asked for.
            out.account(AccountFact::Resync);
        }
        read
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
        if !self.is_open {
            return;
        }
        let waited = now.since(self.pinged_at);
        if !self.is_answered && waited > self.config.answer_timeout_ns {
            out.reconnect("no answer to PING");
        } else if waited >= self.config.ping_ns {
            self.ping(now, out);
        }
    }

    fn closed(&mut self, _: Nanos, _: &mut Outbox) {
        self.is_open = false;
    }
}
