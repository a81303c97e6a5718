//! What a codec wants done: it says so, the driver does it.
use super::{AccountFact, Request};
use onetape_engine::event::{Event, Kind};

/// Collects what a call led to. The driver empties it after every call and keeps its memory.
#[derive(Debug, Default)]
pub struct Outbox {
    payloads: Vec<u8>,
    events: Vec<(Kind, usize)>,
    account: Vec<AccountFact>,
    messages: Vec<String>,
    requests: Vec<(u32, Request)>,
    reconnect: Option<String>,
}

impl Outbox {
    /// An input for the tape.
    pub fn event(&mut self, event: &Event<'_>) {
        event.encode(&mut self.payloads);
        self.events.push((event.kind(), self.payloads.len()));
    }

    /// A fact about our own account.
    pub fn account(&mut self, fact: AccountFact) {
        self.account.push(fact);
    }

    /// A text message for the same connection.
    pub fn send(&mut self, message: impl Into<String>) {
        self.messages.push(message.into());
    }

    /// A request beside the connection; `tag` comes back with its answer.
    pub fn request(&mut self, tag: u32, request: Request) {
        self.requests.push((tag, request));
    }

    /// The connection can't be trusted any more: close it and open another one.
    pub fn reconnect(&mut self, why: impl Into<String>) {
        self.reconnect.get_or_insert_with(|| why.into());
    }

    /// The inputs, encoded, in order.
    pub fn events(&self) -> impl Iterator<Item = (Kind, &[u8])> {
        let mut start = 0;
        self.events.iter().map(move |(kind, end)| {
            let payload = &self.payloads[start..*end];
            start = *end;
            (*kind, payload)
        })
    }

    /// The facts about our account.
    pub fn account_facts(&self) -> &[AccountFact] {
        &self.account
    }

    /// The messages to send, in order.
    pub fn messages(&self) -> &[String] {
        &self.messages
    }

    /// The requests to make.
    pub fn requests(&self) -> &[(u32, Request)] {
        &self.requests
    }

    /// Why the connection should be made anew, if it should.
    pub fn wants_reconnect(&self) -> Option<&str> {
        self.reconnect.as_deref()
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.payloads.clear();
        self.events.clear();
        self.account.clear();
        self.messages.clear();
        self.requests.clear();
        self.reconnect = None;
    }
}
