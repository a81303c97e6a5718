//! A client of the local exchange for tests: one feed over a real socket, its requests over real HTTP.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, unreachable_pub)] // helpers of tests fail as tests do; not every test uses all
use futures_util::{SinkExt, StreamExt};
use onetape_engine::event::{Event, InstrumentDefined, TradingRules};
use onetape_engine::id::{InstrumentId, Sequence};
use onetape_engine::market::Market;
use onetape_engine::order::Side;
use onetape_engine::time::Nanos;
use onetape_venues::exchange::{Cash, Exchange, ExchangeClock, FaultPlan, wall_now};
use onetape_venues::gateway::{AccountFact, Feed, Method, Outbox, Request, Response, WireError};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// An exchange at the wall's pace.
pub fn exchange(cash: Cash) -> Arc<Exchange> {
    let now = wall_now();
    let clock = ExchangeClock {
        wall_origin: now,
        origin: now,
        speed: 1,
    };
    Exchange::new(clock, cash, FaultPlan::default())
}

/// Serves a face on a port of the loopback.
pub async fn serve(router: axum::Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// An answer that was kept.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn response(&self) -> Response<'_> {
        Response {
            status: self.status,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

/// Sends a request; `None` where no answer comes within a second.
pub async fn send(address: SocketAddr, request: &Request) -> Option<Answer> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{address}{}", request.target);
    let mut building = match request.method {
        Method::Get => client.get(url),
        Method::Post => client.post(url),
        Method::Delete => client.delete(url),
    };
    for (name, value) in &request.headers {
        building = building.header(*name, value);
    }
    let sent = building.body(request.body.clone()).send();
    let response = tokio::time::timeout(Duration::from_secs(1), sent)
        .await
        .ok()?
        .unwrap();
    let headers = response.headers().iter();
    let headers = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    Some(Answer {
        status: response.status().as_u16(),
        headers,
        body: response.bytes().await.unwrap().to_vec(),
    })
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A feed on its socket, and what it led to: a market folded from its events, and facts.
pub struct Connection<F> {
    pub feed: F,
    pub market: Market,
    pub facts: Vec<AccountFact>,
    pub errors: Vec<WireError>,
    /// Frames of feed states, in words.
    pub states: Vec<String>,
    pub connections: u32,
    address: SocketAddr,
    socket: Option<Stream>,
    out: Outbox,
    sequence: u64,
}

impl<F: Feed> Connection<F> {
    /// Not connected yet; the first step connects.
    pub fn new(
        feed: F,
        address: SocketAddr,
        definitions: &[(InstrumentDefined, TradingRules)],
    ) -> Self {
        let mut connection = Self {
            feed,
            market: Market::default(),
            facts: Vec::new(),
            errors: Vec::new(),
            states: Vec::new(),
            connections: 0,
            address,
            socket: None,
            out: Outbox::default(),
            sequence: 1,
        };
        for (definition, rules) in definitions {
            let mut define = |event: &Event<'_>| connection.fold(event);
            define(&Event::InstrumentDefined(Box::new(definition.clone())));
            define(&Event::TradingRules(rules.clone()));
        }
        connection
    }

    fn fold(&mut self, event: &Event<'_>) {
        let sequence = Sequence(self.sequence);
        self.market.evolve(sequence, wall_now(), event).unwrap();
        self.sequence += 1;
    }

    async fn connect(&mut self) {
        let handshake = self.feed.handshake(wall_now()).unwrap();
        let url = format!("ws://{}{}", self.address, handshake.target);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in &handshake.headers {
            let value = value.parse().unwrap();
            request.headers_mut().insert(*name, value);
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        self.socket = Some(socket);
        self.connections += 1;
        self.feed.opened(wall_now(), &mut self.out);
        self.drain().await;
    }

    /// One message or a tick, and all that follows from it.
    pub async fn step(&mut self) {
        let Some(socket) = &mut self.socket else {
            return self.connect().await;
        };
        let next = tokio::time::timeout(Duration::from_millis(25), socket.next()).await;
        let now = wall_now();
        match next {
            Err(_) => self.feed.tick(now, &mut self.out),
            Ok(Some(Ok(Message::Text(text)))) => {
                self.errors
                    .extend(self.feed.message(text.as_bytes(), now, &mut self.out).err());
            }
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                self.errors
                    .extend(self.feed.message(&bytes, now, &mut self.out).err());
            }
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => {
                self.socket = None;
                self.feed.closed(now, &mut self.out);
            }
            Ok(Some(Ok(_))) => {}
        }
        self.drain().await;
    }

    async fn drain(&mut self) {
        loop {
            let out = std::mem::take(&mut self.out);
            for (kind, payload) in out.events() {
                // A copy of its own is aligned.
                let payload = payload.to_vec();
                let event = Event::decode(kind.number(), &payload).unwrap();
                if let Event::FeedState(state) = &event {
                    self.states.push(format!(
                        "{}:{:?}:{:?}",
                        state.instrument.0, state.feed, state.condition
                    ));
                }
                self.fold(&event);
            }
            self.facts.extend_from_slice(out.account_facts());
            for message in out.messages() {
                if let Some(socket) = &mut self.socket {
                    // A connection that is gone is noticed with the next message.
                    let _ = socket.send(Message::Text(message.clone().into())).await;
                }
            }
            if out.wants_reconnect().is_some() && self.socket.take().is_some() {
                self.feed.closed(wall_now(), &mut self.out);
            }
            if out.requests().is_empty() && out.wants_reconnect().is_none() {
                return;
            }
            for (tag, request) in out.requests() {
                let answer = send(self.address, request).await;
                let response = answer.as_ref().map(Answer::response);
                let read = self
                    .feed
                    .response(*tag, response.as_ref(), wall_now(), &mut self.out);
                self.errors.extend(read.err());
            }
        }
    }

    /// Goes on until something is true; fails after ten seconds.
    pub async fn until(&mut self, what: &str, mut is: impl FnMut(&Self) -> bool) {
        let deadline = wall_now().after(10_000_000_000);
        while !is(self) {
            assert!(
                wall_now() < deadline,
                "waited for {what} in vain: {:?} {:?} {:?}",
                self.states,
                self.errors,
                self.facts
            );
            self.step().await;
        }
    }

    /// Whether the book is live and the same as another market's.
    pub fn has_book_of(&self, exchange: &Exchange, id: InstrumentId, depth: usize) -> bool {
        let levels = |market: &Market| {
            let book = market.instrument(id).ok()?.book()?;
            let side = |side| -> Vec<_> {
                let levels = book.side(side).levels().take(depth);
                levels.map(|level| (level.price.0, level.qty.0)).collect()
            };
            Some((side(Side::Buy), side(Side::Sell)))
        };
        let truth = exchange.with(|truth| levels(truth.market()));
        truth.is_some() && levels(&self.market) == truth
    }
}

/// Some nanoseconds ago.
pub fn ago(seconds: u64) -> Nanos {
    Nanos(wall_now().0 - seconds * 1_000_000_000)
}
