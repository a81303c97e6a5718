//! One connection's protocol.
use super::{Outbox, Response, WireError};
use onetape_engine::time::Nanos;

/// Where a connection goes and how it introduces itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Handshake {
    /// Which of the venue's base addresses: "stream", "user", ...
    pub base: &'static str,
    /// Path below it with its query; may hold a token, so it is never logged.
    pub target: String,
    /// Headers; values may be secret.
    pub headers: Vec<(&'static str, String)>,
}

/// A websocket's protocol, market data or our own account's, without the socket.
///
/// The driver calls `opened`, then `message` for each text or binary frame, `response` for each answer to a request of
/// its own, `tick` four times a second while connected, and `closed` once. A feed answers with what belongs on the tape:
/// its own `FeedState` frames included, so that silence, gaps and lost connections are frames as well. Websocket-level
/// pings are the driver's matter; pings in text are the feed's.
pub trait Feed: Send {
    /// What the feed is called in logs: "kalshi market".
    fn name(&self) -> &str;

    /// The handshake, signed now.
    ///
    /// # Errors
    /// [`WireError`] when it can't be signed.
    fn handshake(&self, now: Nanos) -> Result<Handshake, WireError>;

    /// Connected: subscribe.
    fn opened(&mut self, now: Nanos, out: &mut Outbox);

    /// A frame came. An error is counted and logged, and the connection goes on; a feed that can't trust its state after
    /// it says so through `out`.
    ///
    /// # Errors
    /// [`WireError`] for bytes that the protocol does not have.
    fn message(&mut self, bytes: &[u8], now: Nanos, out: &mut Outbox) -> Result<(), WireError>;

    /// An answer to a request of this feed came; `None` where the request failed without one.
    ///
    /// # Errors
    /// [`WireError`] for an answer that the protocol does not have.
    fn response(
        &mut self,
        tag: u32,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError>;

    /// Time passed: silence, heartbeats, retries.
    fn tick(&mut self, now: Nanos, out: &mut Outbox);

    /// The connection is gone: what it kept fresh is stale.
    fn closed(&mut self, now: Nanos, out: &mut Outbox);
}
