//! Connects a feed: socket, backoff, requests beside it. What it means is the feed's matter.
use crate::http_client::{Answer, HttpClient};
use crate::inputs::Inputs;
use futures_util::{SinkExt, StreamExt};
use onetape_engine::event::{ConnectionChanged, Event};
use onetape_engine::time::Nanos;
use onetape_venues::gateway::{AccountFact, Feed, Outbox, Poll, Response, shortened};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_SLOWEST: Duration = Duration::from_secs(30);
/// How often a feed looks at its limits, at the clock's own speed; a faster clock's limits are nearer, up to this often.
const TICK: Duration = Duration::from_millis(250);
const TICK_FASTER_MAX: u32 = 20;
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A message larger than this ends the connection.
const MESSAGE_MAX: usize = 64 << 20;

/// Where a feed's facts go.
pub struct Gateway {
    /// The venue's name.
    pub venue: String,
    /// The protocol.
    pub feed: Box<dyn Feed>,
    /// Base addresses of sockets by name.
    pub sockets: BTreeMap<String, String>,
    /// For requests beside the socket.
    pub http: HttpClient,
    /// Inputs of the core.
    pub inputs: Inputs,
    /// Facts about our account, for the venue's order path where there is one.
    pub account: Option<mpsc::UnboundedSender<AccountFact>>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Why(String),
    #[error("the core has ended")]
    CoreGone,
}

/// What a connection waited for.
enum Happened {
    Message(Option<tungstenite::Result<Message>>),
    Answered(Result<(u32, Option<Answer>), JoinError>),
    Tick,
}

impl From<tokio_tungstenite::tungstenite::Error> for Ended {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        Ended::Why(shortened(&error.to_string()))
    }
}

impl Gateway {
    /// Keeps the feed connected until the core is gone.
    pub async fn run(mut self) {
        let mut backoff = BACKOFF_FIRST;
        let mut out = Outbox::default();
        loop {
            let mut was_up = false;
            let ended = self.connected(&mut out, &mut was_up).await;
            let Err(Ended::Why(why)) = ended else {
                return;
            };
            out.clear();
            let now = self.inputs.now();
            self.feed.closed(now, &mut out);
            if was_up {
                backoff = BACKOFF_FIRST;
                tracing::warn!(feed = self.feed.name(), why, "connection lost");
                self.say(false, &why);
            } else {
                tracing::warn!(feed = self.feed.name(), why, "no connection");
            }
            if !self.deliver(now, &mut out) {
                return;
            }
            // Between half and all of it, so that many clients do not come back together.
            let half = backoff / 2;
            let jitter = half.mul_f64(f64::from(self.inputs.now().0 as u32 % 1_000) / 1_000.0);
            tokio::time::sleep(half + jitter).await;
            backoff = (backoff * 2).min(BACKOFF_SLOWEST);
        }
    }

    async fn connected(&mut self, out: &mut Outbox, was_up: &mut bool) -> Result<(), Ended> {
        let handshake = self.feed.handshake(self.inputs.now());
        let handshake = handshake.map_err(|e| Ended::Why(e.to_string()))?;
        let Some(base) = self.sockets.get(handshake.base) else {
            return Err(Ended::Why(format!(
                "no address is configured for '{}'",
                handshake.base
            )));
        };
        let mut request = format!("{base}{}", handshake.target).into_client_request()?;
        for (name, value) in &handshake.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_str(value);
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(Ended::Why("a header can't be sent".to_owned()));
            };
            request.headers_mut().insert(name, value);
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        let connecting = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
        let connecting = tokio::time::timeout(CONNECT_WITHIN, connecting).await;
        let (socket, _) =
            connecting.map_err(|_| Ended::Why("the venue does not answer".to_owned()))??;
        *was_up = true;
        tracing::info!(feed = self.feed.name(), "connected");
        self.say(true, "");
        let (mut sink, mut stream) = socket.split();
        let mut requests = JoinSet::new();
        let mut tick = tokio::time::interval(TICK / self.inputs.speed().clamp(1, TICK_FASTER_MAX));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        out.clear();
        let mut came = self.inputs.now();
        self.feed.opened(came, out);
        loop {
            for message in out.messages() {
                sink.send(Message::text(message.clone())).await?;
            }
            for (tag, request) in out.requests().iter().cloned() {
                let http = self.http.clone();
                requests.spawn(async move { (tag, http.send(request).await) });
            }
            let reconnect = out.wants_reconnect().map(str::to_owned);
            if !self.deliver(came, out) {
                return Err(Ended::CoreGone);
            }
            if let Some(why) = reconnect {
                return Err(Ended::Why(why));
            }
            let happened = tokio::select! {
                message = stream.next() => Happened::Message(message),
                Some(answered) = requests.join_next() => Happened::Answered(answered),
                _ = tick.tick() => Happened::Tick,
            };
            came = self.inputs.now();
            let read = match happened {
                Happened::Message(None) => {
                    return Err(Ended::Why("closed by the venue".to_owned()));
                }
                Happened::Message(Some(message)) => match message? {
                    Message::Text(text) => self.feed.message(text.as_bytes(), came, out),
                    Message::Binary(bytes) => self.feed.message(&bytes, came, out),
                    Message::Close(frame) => {
                        let why = frame.map_or(String::new(), |f| format!(": {}", f.reason));
                        return Err(Ended::Why(format!(
                            "closed by the venue{}",
                            shortened(&why)
                        )));
                    }
                    _ => Ok(()),
                },
                Happened::Answered(Ok((tag, answer))) => {
                    let answer = answer.as_ref().map(Answer::response);
                    let response: Option<&Response<'_>> = answer.as_ref();
                    self.feed.response(tag, response, came, out)
                }
                Happened::Answered(Err(_)) => Ok(()),
                Happened::Tick => {
                    self.feed.tick(came, out);
                    Ok(())
                }
            };
            if let Err(error) = read {
                tracing::warn!(feed = self.feed.name(), %error, "not understood");
            }
        }
    }

    /// Hands on what the feed had of what came then; false when the core is gone.
    fn deliver(&self, came: Nanos, out: &mut Outbox) -> bool {
        let alive = self.inputs.outbox(came, out);
        if let Some(account) = &self.account {
            for fact in out.account_facts() {
                // The order path ends with the daemon only.
                let _ = account.send(fact.clone());
            }
        }
        out.clear();
        alive
    }

    fn say(&self, up: bool, why: &str) {
        let changed = ConnectionChanged {
            venue: self.venue.clone(),
            connection: self.feed.name().to_owned(),
            up,
            why: why.to_owned(),
        };
        self.inputs
            .event(&Event::ConnectionChanged(Box::new(changed)));
    }
}

/// A source that is asked again and again.
pub struct Poller {
    /// The protocol.
    pub poll: Box<dyn Poll>,
    /// Its requests.
    pub http: HttpClient,
    /// Inputs of the core.
    pub inputs: Inputs,
}

impl Poller {
    /// Asks until the core is gone.
    pub async fn run(mut self) {
        let mut out = Outbox::default();
        loop {
            let (now, due) = (self.inputs.now(), self.poll.next_due());
            if due > now {
                // Looked at again every second: the daemon's clock may run faster than the wall's.
                let wait = Duration::from_nanos(due.since(now)).min(Duration::from_secs(1));
                tokio::time::sleep(wait).await;
                continue;
            }
            let answer = self.http.send(self.poll.request(now)).await;
            let response = answer.as_ref().map(Answer::response);
            let now = self.inputs.now();
            if let Err(error) = self.poll.read(response.as_ref(), now, &mut out) {
                tracing::warn!(source = self.poll.name(), %error, "not understood");
            }
            if !self.inputs.outbox(now, &out) {
                return;
            }
            out.clear();
            // A protocol that is due at once again and again asks ten times a second at the most.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
