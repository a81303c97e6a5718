//! A server's side of a websocket, where messages get lost, repeated, delayed and cut.
use super::{Exchange, SocketFault};
use axum::extract::ws::{Message, WebSocket};
use futures_util::SinkExt;
use futures_util::stream::{SplitSink, SplitStream, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages held back at the most while a socket is frozen; the oldest go first, as in a venue's full buffer.
const HELD_MAX: usize = 4_096;

/// A client's connection.
pub struct Socket {
    exchange: Arc<Exchange>,
    venue: &'static str,
    sink: SplitSink<WebSocket, Message>,
    frozen_until: Option<Instant>,
    late: VecDeque<(Instant, Message)>,
}

/// The connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct Gone;

impl Socket {
    /// Takes a connection over; messages of the client come from the stream that is returned.
    pub fn new(
        exchange: Arc<Exchange>,
        venue: &'static str,
        socket: WebSocket,
    ) -> (Self, SplitStream<WebSocket>) {
        let (sink, stream) = socket.split();
        let socket = Self {
            exchange,
            venue,
            sink,
            frozen_until: None,
            late: VecDeque::new(),
        };
        (socket, stream)
    }

    /// Sends a text, unless something goes wrong.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn text(&mut self, text: String) -> Result<(), Gone> {
        self.message(Message::Text(text.into())).await
    }

    /// Sends a binary frame, unless something goes wrong.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn binary(&mut self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.message(Message::Binary(bytes.into())).await
    }

    /// Sends what no fault may touch: pongs, acknowledgements of subscriptions.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn control(&mut self, message: Message) -> Result<(), Gone> {
        self.sink.send(message).await.map_err(|_| Gone)
    }

    async fn message(&mut self, message: Message) -> Result<(), Gone> {
        if let Some(until) = self.frozen_until {
            if Instant::now() < until {
                // A silent freeze: what would have been said is never said.
                return Ok(());
            }
            self.frozen_until = None;
        }
        match self.exchange.faults().socket(self.venue) {
            None => self.control(message).await?,
            Some(SocketFault::Lost) => {}
            Some(SocketFault::Twice) => {
                self.control(message.clone()).await?;
                self.control(message).await?;
            }
            Some(SocketFault::Late(ms)) => {
                let due = Instant::now() + Duration::from_millis(ms.into());
                if self.late.len() == HELD_MAX {
                    self.late.pop_front();
                }
                self.late.push_back((due, message));
            }
            Some(SocketFault::Freeze(ms)) => {
                self.frozen_until = Some(Instant::now() + Duration::from_millis(ms.into()));
            }
            Some(SocketFault::CutOff) => {
                let half = match message {
                    Message::Text(text) => {
                        let half: String = text.chars().take(text.chars().count() / 2).collect();
                        Message::Text(half.into())
                    }
                    other => other,
                };
                self.control(half).await?;
                let _ = self.sink.close().await;
                return Err(Gone);
            }
            Some(SocketFault::Closed) => {
                let _ = self.sink.close().await;
                return Err(Gone);
            }
        }
        while self
            .late
            .front()
            .is_some_and(|(due, _)| *due <= Instant::now())
        {
            if let Some((_, message)) = self.late.pop_front() {
                self.control(message).await?;
            }
        }
        Ok(())
    }
}
