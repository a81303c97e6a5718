//! The user channel: our orders and trades as they happen.
//!
//! What happened while there was no connection is not told again, so every connection begins with
//! [`AccountFact::Resync`]. An account can be quiet for days: only unanswered pings end a connection, and its age.
use super::auth::Credentials;
use super::error::malformed;
use super::trades::{Owner, UserMessage, decode_user, fill_facts, order_fact};
use crate::gateway::{AccountFact, Feed, Handshake, Instruments, Outbox, Response, WireError};
use crate::polygon::Address;
use onetape_engine::time::{Nanos, SECOND_NS};
use secrecy::ExposeSecret;
use serde_json::json;

/// When the user channel is asked and left, in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserFeedConfig {
    /// A `PING` goes out this often: 10 s, as the venue asks for.
    pub ping_ns: u64,
    /// No `PONG` for so long ends the connection: 25 s.
    pub pong_limit_ns: u64,
    /// A connection is made anew after: 4 h.
    pub max_age_ns: u64,
}

impl Default for UserFeedConfig {
    fn default() -> Self {
        Self {
            ping_ns: 10 * SECOND_NS,
            pong_limit_ns: 25 * SECOND_NS,
            max_age_ns: 4 * 3_600 * SECOND_NS,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    opened_at: Nanos,
    pinged_at: Nanos,
    answered_at: Nanos,
}

/// The user channel's protocol.
#[derive(Debug)]
pub struct UserFeed {
    config: UserFeedConfig,
    instruments: Instruments,
    credentials: Credentials,
    owner: Owner,
    connection: Option<Connection>,
}

impl UserFeed {
    /// Of an account; `funder` is the wallet that its money is in.
    pub fn new(
        config: UserFeedConfig,
        instruments: Instruments,
        credentials: Credentials,
        funder: Address,
    ) -> Self {
        let owner = Owner {
            api_key: credentials.key.clone(),
            funder,
        };
        Self {
            config,
            instruments,
            credentials,
            owner,
            connection: None,
        }
    }

    fn take(
        &mut self,
        message: &UserMessage<'_>,
        now: Nanos,
        facts: &mut Vec<AccountFact>,
    ) -> Result<(), WireError> {
        match message {
            UserMessage::Order(order) => {
                let fact = order_fact(order, &self.instruments)?;
                facts.extend(fact.map(AccountFact::Order));
            }
            UserMessage::Trade(trade) => fill_facts(trade, &self.instruments, &self.owner, facts)?,
            UserMessage::Pong => {
                if let Some(connection) = &mut self.connection {
                    connection.answered_at = now;
                }
            }
        }
        Ok(())
    }
}

impl Feed for UserFeed {
    fn name(&self) -> &str {
        "polymarket user"
    }

    fn handshake(&self, _now: Nanos) -> Result<Handshake, WireError> {
        Ok(Handshake {
            base: "stream",
            target: "/ws/user".to_owned(),
            headers: Vec::new(),
        })
    }

    fn opened(&mut self, now: Nanos, out: &mut Outbox) {
        self.connection = Some(Connection {
            opened_at: now,
            pinged_at: now,
            answered_at: now,
        });
        let subscription = json!({
            "auth": {
                "apiKey": self.credentials.key,
                "secret": self.credentials.secret.expose_secret(),
                "passphrase": self.credentials.passphrase.expose_secret(),
            },
            "type": "user",
            "markets": [],
        });
        out.send(subscription.to_string());
        out.account(AccountFact::Resync);
    }

    fn message(&mut self, bytes: &[u8], now: Nanos, out: &mut Outbox) -> Result<(), WireError> {
        let mut facts = Vec::new();
        let read = decode_user(bytes).and_then(|messages| {
            let mut result = Ok(());
            for message in &messages {
                if let Err(why) = self.take(message, now, &mut facts) {
                    result = Err(why);
                }
            }
            result
        });
        for fact in facts {
            out.account(fact);
        }
        if read.is_err() {
            // What it told is unknown: it has to be asked for.
            out.account(AccountFact::Resync);
        }
        read
    }

    fn response(
        &mut self,
        tag: u32,
        _response: Option<&Response<'_>>,
        _now: Nanos,
        _out: &mut Outbox,
    ) -> Result<(), WireError> {
        Err(malformed(
            "answer",
            format!("nothing was asked for ({tag})"),
        ))
    }

    fn tick(&mut self, now: Nanos, out: &mut Outbox) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        if now.since(connection.pinged_at) >= self.config.ping_ns {
            connection.pinged_at = now;
            out.send("PING");
        }
        if now.since(connection.answered_at) >= self.config.pong_limit_ns {
            out.reconnect("pings are not answered");
        }
        if now.since(connection.opened_at) >= self.config.max_age_ns {
            out.reconnect("the connection is old");
        }
    }

    fn closed(&mut self, _now: Nanos, _out: &mut Outbox) {
        self.connection = None;
    }
}
