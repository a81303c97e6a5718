//! Our account's events over the WS-API (web-socket-api.md, "User Data Stream requests").
//!
//! The venue's clock is asked first, so that the subscription is signed with its time. An HMAC key subscribes with
//! `userDataStream.subscribe.signature`; an Ed25519 key logs on and subscribes. An account may be silent for hours and well:
//! whether the subscription still stands is asked (`session.subscriptions`) instead of guessed.
use super::account::UserEvent;
use super::answer::{ApiError, ServerTime, from_ms, to_ms};
use super::error::malformed;
use super::pairs::Pairs;
use super::sign::{Signer, Value};
use crate::gateway::{AccountFact, Feed, Handshake, Outbox, Response, WireError, shortened};
use onetape_engine::time::{Nanos, SECOND_NS};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Limits of a [`UserFeed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// An answer that does not come within this ends the connection: 10 s.
    pub answer_timeout_ns: u64,
    /// How often the subscription is checked: 60 s.
    pub check_ns: u64,
    /// A connection is left at this age; the venue cuts it at 24 h: 23 h 50 min.
    pub life_ns: u64,
    /// How long a signed message is good, at most 60 000 ms: 5000 ms.
    pub recv_window_ms: u64,
}

impl Default for UserConfig {
    fn default() -> Self {
        Self {
            answer_timeout_ns: 10 * SECOND_NS,
            check_ns: 60 * SECOND_NS,
            life_ns: (23 * 3600 + 50 * 60) * SECOND_NS,
            recv_window_ms: 5000,
        }
    }
}

/// Ids of our calls.
const TIME: &str = "time";
const LOGON: &str = "logon";
const SUBSCRIBE: &str = "subscribe";
const CHECK: &str = "check";

/// The user stream's connection.
#[derive(Debug)]
pub struct UserFeed {
    config: UserConfig,
    signer: Signer,
    pairs: Pairs,
    opened_at: Option<Nanos>,
    /// The call that an answer is expected to, and since when.
    waiting: Option<(&'static str, Nanos)>,
    subscription: Option<u64>,
    checked_at: Nanos,
    facts: Vec<AccountFact>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    status: Option<u16>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<ApiError>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    subscription_id: u64,
}

impl UserFeed {
    /// For the orders in these instruments and all balances.
    pub fn new(config: UserConfig, signer: Signer, pairs: Pairs) -> Self {
        Self {
            config,
            signer,
            pairs,
            opened_at: None,
            waiting: None,
            subscription: None,
            checked_at: Nanos(0),
            facts: Vec::new(),
        }
    }

    fn call(&mut self, id: &'static str, method: &str, params: &str, now: Nanos, out: &mut Outbox) {
        self.waiting = Some((id, now));
        out.send(format!(
            r#"{{"id":"{id}","method":"{method}","params":{params}}}"#
        ));
    }

    fn signed_params(&self, server_time: Nanos) -> String {
        self.signer.signed_params(&[
            ("recvWindow", Value::Integer(self.config.recv_window_ms)),
            ("timestamp", Value::Integer(to_ms(server_time))),
        ])
    }

    fn answer(
        &mut self,
        id: &str,
        envelope: &Envelope<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        match self.waiting {
            Some((expected, _)) if expected == id => self.waiting = None,
            _ => return Err(malformed("answer", "its id is not that of a call")),
        }
        if id == CHECK {
            // An answer of any kind shows a connection; only a list without us shows a lost subscription.
            let listed: Option<Vec<Subscription>> = envelope
                .result
                .and_then(|list| serde_json::from_str(list.get()).ok());
            let ours = |one: &Subscription| Some(one.subscription_id) == self.subscription;
            if listed.is_some_and(|all| !all.iter().any(ours)) {
                out.reconnect("the user stream's subscription is gone");
            }
            return Ok(());
        }
        if envelope.status != Some(200) {
            out.reconnect(format!("{id} was refused"));
            let (code, message) = match &envelope.error {
                Some(error) => (error.code.to_string(), shortened(&error.msg)),
                None => (format!("{:?}", envelope.status), String::new()),
            };
            return Err(WireError::Refused {
                venue: super::VENUE,
                code,
                message,
            });
        }
        let result = envelope.result.map_or("null", RawValue::get);
        let bad = |e: serde_json::Error| malformed(id, &e.to_string());
        match id {
            TIME => {
                let time: ServerTime = serde_json::from_str(result).map_err(bad)?;
                let params = self.signed_params(from_ms(time.server_time));
                if self.signer.can_log_on() {
                    self.call(LOGON, "session.logon", &params, now, out);
                } else {
                    let method = "userDataStream.subscribe.signature";
                    self.call(SUBSCRIBE, method, &params, now, out);
                }
            }
            LOGON => self.call(SUBSCRIBE, "userDataStream.subscribe", "{}", now, out),
            _ => {
                let subscribed: Subscription = serde_json::from_str(result).map_err(bad)?;
                self.subscription = Some(subscribed.subscription_id);
                self.checked_at = now;
                out.account(AccountFact::Resync);
            }
        }
        Ok(())
    }

    fn event(&mut self, text: &str, out: &mut Outbox) -> Result<(), WireError> {
        self.facts.clear();
        match UserEvent::read(text)? {
            UserEvent::Execution(execution) => execution.facts(&self.pairs, &mut self.facts)?,
            UserEvent::Position(position) => position.facts(&mut self.facts)?,
            // It tells a difference; the balance itself has to be asked for.
            UserEvent::BalanceChanged => self.facts.push(AccountFact::Resync),
            UserEvent::OrderList => {}
            UserEvent::Terminated => out.reconnect("the user stream was terminated"),
            UserEvent::ServerShutdown => out.reconnect("the server announced its shutdown"),
        }
        self.facts.drain(..).for_each(|fact| out.account(fact));
        Ok(())
    }
}

impl Feed for UserFeed {
    fn name(&self) -> &str {
        "binance user"
    }

    fn handshake(&self, _: Nanos) -> Result<Handshake, WireError> {
        Ok(Handshake {
            base: "ws_api",
            target: "/ws-api/v3".to_owned(),
            headers: Vec::new(),
        })
    }

    fn opened(&mut self, now: Nanos, out: &mut Outbox) {
        self.opened_at = Some(now);
        self.subscription = None;
        self.call(TIME, "time", "{}", now, out);
    }

    fn message(&mut self, bytes: &[u8], now: Nanos, out: &mut Outbox) -> Result<(), WireError> {
        let envelope: Envelope<'_> =
            serde_json::from_slice(bytes).map_err(|e| malformed("user message", &e.to_string()))?;
        match (envelope.event, envelope.id.clone()) {
            (Some(event), _) => {
                let read = self.event(event.get(), out);
                if read.is_err() {
                    // What it said has to be asked for.
                    out.account(AccountFact::Resync);
                }
                read
            }
            (None, Some(id)) => self.answer(&id, &envelope, now, out),
            (None, None) => Err(malformed("user message", "neither an event nor an answer")),
        }
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
        let Some(opened_at) = self.opened_at else {
            return;
        };
        if now.since(opened_at) > self.config.life_ns {
            out.reconnect("the connection is nearly 24 hours old");
        }
        match self.waiting {
            Some((id, since)) if now.since(since) > self.config.answer_timeout_ns => {
                out.reconnect(format!("no answer to {id}"));
            }
            Some(_) => {}
            None if now.since(self.checked_at) >= self.config.check_ns => {
                self.checked_at = now;
                self.call(CHECK, "session.subscriptions", "{}", now, out);
            }
            None => {}
        }
    }

    fn closed(&mut self, _: Nanos, _: &mut Outbox) {
        // What happens until the next subscription is asked for then.
        self.opened_at = None;
        self.waiting = None;
        self.subscription = None;
    }
}
