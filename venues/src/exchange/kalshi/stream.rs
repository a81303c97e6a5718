//! The websocket: subscriptions with a count of their own each, books told as a snapshot and signed changes.
use super::told::{
    CHANNELS, Channel, Subscription, levels, market_event, own_fill, own_order, snapshot,
};
use super::{Face, VENUE};
use crate::exchange::socket::Gone;
use crate::exchange::{Published, Socket, What};
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::StreamExt;
use onetape_engine::event::Event;
use onetape_engine::id::InstrumentId;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PING_EVERY: Duration = Duration::from_secs(10);
/// A command is no larger.
const COMMAND_MAX: usize = 1 << 20;

/// GET /trade-api/ws/v2
pub(super) async fn upgrade(State(face): State<Face>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(COMMAND_MAX)
        .on_upgrade(move |socket| async move {
            // The client is gone: nobody is left to be told.
            let _ = serve(face, socket).await;
        })
}

async fn serve(face: Face, socket: WebSocket) -> Result<(), Gone> {
    let mut published = face.exchange.subscribe();
    let (socket, mut commands) = Socket::new(face.exchange.clone(), VENUE, socket);
    let mut client = Client {
        face,
        socket,
        subscriptions: BTreeMap::new(),
        next_sid: 1,
    };
    let mut ping = tokio::time::interval(PING_EVERY);
    loop {
        tokio::select! {
            event = published.recv() => match event {
                Ok(event) => client.tell(&event).await?,
                // Behind by more than is kept: the client has lost messages and is told to begin anew.
                Err(_) => {
                    let error = json!({"type": "error", "msg": {"code": 25, "msg": "Buffer overflow"}});
                    client.socket.control(Message::Text(error.to_string().into())).await?;
                    return Err(Gone);
                }
            },
            command = commands.next() => match command {
                Some(Ok(Message::Text(text))) => client.command(&text).await?,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => {}
            },
            _ = ping.tick() => {
                client.socket.control(Message::Ping("heartbeat".into())).await?;
            }
        }
    }
}

#[derive(Deserialize)]
struct Command {
    id: u64,
    cmd: String,
    #[serde(default)]
    params: Params,
}

#[derive(Default, Deserialize)]
struct Params {
    #[serde(default)]
    channels: Vec<String>,
    market_ticker: Option<String>,
    #[serde(default)]
    market_tickers: Vec<String>,
    #[serde(default)]
    use_yes_price: bool,
    #[serde(default)]
    sids: Vec<u64>,
    #[serde(default)]
    action: String,
}

struct Client {
    face: Face,
    socket: Socket,
    subscriptions: BTreeMap<u64, Subscription>,
    next_sid: u64,
}

impl Client {
    async fn command(&mut self, text: &str) -> Result<(), Gone> {
        let Ok(command) = serde_json::from_str::<Command>(text) else {
            return self.error(0, 1, "Unable to process message", None).await;
        };
        match command.cmd.as_str() {
            "subscribe" => self.subscribe(&command).await,
            "unsubscribe" => {
                for sid in &command.params.sids {
                    let Some(mut gone) = self.subscriptions.remove(sid) else {
                        self.error(command.id, 7, "Unknown subscription ID", None)
                            .await?;
                        continue;
                    };
                    gone.seq += 1;
                    let done = json!({"id": command.id, "sid": sid, "seq": gone.seq, "type": "unsubscribed"});
                    self.control(&done).await?;
                }
                Ok(())
            }
            "update_subscription" => self.update(&command).await,
            "list_subscriptions" => {
                let named = |channel| CHANNELS.iter().find(|(_, of)| *of == channel);
                let name = |channel| named(channel).map_or("", |(name, _)| name);
                let list: Vec<Value> = self
                    .subscriptions
                    .iter()
                    .map(|(sid, of)| json!({"channel": name(of.channel), "sid": sid}))
                    .collect();
                self.control(&json!({"id": command.id, "type": "ok", "msg": list}))
                    .await
            }
            _ => self.error(command.id, 5, "Unknown command", None).await,
        }
    }

    async fn control(&mut self, message: &Value) -> Result<(), Gone> {
        let text = message.to_string();
        self.socket.control(Message::Text(text.into())).await
    }

    async fn error(
        &mut self,
        id: u64,
        code: u32,
        words: &str,
        market: Option<&str>,
    ) -> Result<(), Gone> {
        let mut msg = json!({"code": code, "msg": words});
        if let Some(market) = market {
            msg["market_ticker"] = json!(market);
        }
        self.control(&json!({"id": id, "type": "error", "msg": msg}))
            .await
    }

    /// The markets that a command names; the first that is none, otherwise.
    fn named(&self, params: &Params) -> Result<BTreeSet<InstrumentId>, String> {
        let tickers = params.market_tickers.iter().chain(&params.market_ticker);
        self.face.exchange.with(|truth| {
            tickers
                .map(|ticker| match truth.symbol(VENUE, ticker) {
                    Some(instrument) => Ok(instrument.id()),
                    None => Err(ticker.clone()),
                })
                .collect()
        })
    }

    async fn subscribe(&mut self, command: &Command) -> Result<(), Gone> {
        let markets = match self.named(&command.params) {
            Ok(markets) => markets,
            Err(unknown) => {
                return self
                    .error(command.id, 16, "Market not found", Some(&unknown))
                    .await;
            }
        };
        for name in &command.params.channels {
            let Some((_, channel)) = CHANNELS.iter().find(|(known, _)| known == name) else {
                self.error(command.id, 8, "Unknown channel name", None)
                    .await?;
                continue;
            };
            if channel.needs_markets() && markets.is_empty() {
                self.error(command.id, 14, "Market Ticker required", None)
                    .await?;
                continue;
            }
            let sid = self.next_sid;
            self.next_sid += 1;
            let from = self.face.exchange.with(|truth| truth.published());
            let subscription = Subscription {
                channel: *channel,
                markets: markets.clone(),
                use_yes_price: command.params.use_yes_price,
                seq: 0,
                from,
                books: BTreeMap::new(),
                tops: BTreeMap::new(),
            };
            self.subscriptions.insert(sid, subscription);
            let done = json!({"id": command.id, "type": "subscribed", "msg": {"channel": name, "sid": sid}});
            self.control(&done).await?;
            if *channel == Channel::Book {
                self.snapshots(sid, &markets).await?;
            }
        }
        Ok(())
    }

    async fn update(&mut self, command: &Command) -> Result<(), Gone> {
        let [sid] = command.params.sids[..] else {
            let words = "Exactly one subscription ID is required";
            return self.error(command.id, 12, words, None).await;
        };
        let markets = match self.named(&command.params) {
            Ok(markets) => markets,
            Err(unknown) => {
                return self
                    .error(command.id, 16, "Market not found", Some(&unknown))
                    .await;
            }
        };
        let Some(subscription) = self.subscriptions.get_mut(&sid) else {
            return self
                .error(command.id, 7, "Unknown subscription ID", None)
                .await;
        };
        let is_book = subscription.channel == Channel::Book;
        match command.params.action.as_str() {
            "add_markets" => subscription.markets.extend(&markets),
            "delete_markets" => {
                subscription
                    .markets
                    .retain(|market| !markets.contains(market));
                subscription
                    .books
                    .retain(|market, _| !markets.contains(market));
            }
            "get_snapshot" if is_book => {}
            _ => return self.error(command.id, 13, "Unsupported action", None).await,
        }
        let mut done = json!({"id": command.id, "sid": sid, "type": "ok"});
        if subscription.channel.counts() {
            subscription.seq += 1;
            done["seq"] = json!(subscription.seq);
        }
        self.control(&done).await?;
        if is_book && command.params.action != "delete_markets" {
            self.snapshots(sid, &markets).await?;
        }
        Ok(())
    }

    /// Tells whole books.
    async fn snapshots(&mut self, sid: u64, markets: &BTreeSet<InstrumentId>) -> Result<(), Gone> {
        let Some(subscription) = self.subscriptions.get_mut(&sid) else {
            return Ok(());
        };
        let mut texts = Vec::new();
        for market in markets {
            let told = self.face.exchange.with(|truth| {
                let instrument = truth.market().instrument(*market).ok()?;
                let levels = levels(instrument);
                let msg = snapshot(instrument, &levels, subscription.use_yes_price);
                subscription
                    .books
                    .insert(*market, (truth.published(), levels));
                Some(msg)
            });
            if let Some(msg) = told {
                texts.push(subscription.envelope(sid, "orderbook_snapshot", msg));
            }
        }
        for text in texts {
            self.socket.text(text).await?;
        }
        Ok(())
    }

    /// Tells what happened to whom it concerns.
    async fn tell(&mut self, published: &Published) -> Result<(), Gone> {
        let mut texts = Vec::new();
        let exchange = self.face.exchange.clone();
        exchange.with(|truth| {
            for (sid, subscription) in &mut self.subscriptions {
                let mut send = |subscription: &mut Subscription, kind, msg| {
                    texts.push(subscription.envelope(*sid, kind, msg));
                };
                match &published.what {
                    What::Market(kind, payload) => {
                        if let Ok(event) = Event::decode(kind.number(), payload) {
                            market_event(truth, subscription, published, &event, &mut send);
                        }
                    }
                    What::Order(order) => {
                        own_order(truth, subscription, published, order, &mut send)
                    }
                    What::Fill(fill) => own_fill(truth, subscription, published, fill, &mut send),
                    // The venue's trades are final.
                    What::Reversed(_) => {}
                }
            }
        });
        for text in texts {
            self.socket.text(text).await?;
        }
        Ok(())
    }
}
