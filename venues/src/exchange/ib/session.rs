//! One client's connection.
use super::book::{Placed, Stage, clock};
use super::{Gateway, VENUE, reply};
use crate::exchange::{Exchange, Published, RequestFault, SocketFault, What};
use crate::ib::frame::{Frames, Reply, Request, SERVER_VERSION_MIN, welcome};
use crate::ib::proto;
use onetape_engine::order::OrderState;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// How often commanded gateway errors are looked for.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes read at once.
const READ: usize = 1 << 14;

/// Why a connection ends.
enum End {
    /// The client is gone, or said what no client says.
    Gone,
    /// Cut by error 326: its id stays in use for a while.
    Cut,
}

impl<E: std::error::Error> From<E> for End {
    fn from(_: E) -> Self {
        End::Gone
    }
}

/// A connection.
pub(super) struct Session {
    gateway: Arc<Gateway>,
    client_id: i32,
    write: OwnedWriteHalf,
    frozen_until: Option<Instant>,
    late: Vec<(Instant, Vec<u8>)>,
}

impl Session {
    /// Serves a connection to its end.
    pub(super) async fn run(gateway: Arc<Gateway>, stream: TcpStream) {
        let (mut read, mut write) = stream.into_split();
        let mut frames = Frames::default();
        let Ok(client_id) = greet(&gateway, &mut read, &mut write, &mut frames).await else {
            return;
        };
        let mut session = Self {
            gateway: Arc::clone(&gateway),
            client_id,
            write,
            frozen_until: None,
            late: Vec::new(),
        };
        let end = session.talk(&mut read, &mut frames).await;
        gateway.leave(client_id, matches!(end, Err(End::Cut)));
    }

    async fn talk(&mut self, read: &mut OwnedReadHalf, frames: &mut Frames) -> Result<(), End> {
        let gateway = Arc::clone(&self.gateway);
        let mut published = gateway.exchange.subscribe();
        let next = gateway.book().next_id();
        self.plain(&Reply::ManagedAccounts(proto::ManagedAccounts {
            accounts_list: Some(gateway.keys.account.clone()),
        }))
        .await?;
        self.plain(&next_valid_id(next)).await?;
        self.error(-1, 2_104, "Market data farm connection is OK:usfarm")
            .await?;
        let mut look = tokio::time::interval(LOOK);
        let mut bytes = vec![0; READ];
        loop {
            tokio::select! {
                count = read.read(&mut bytes) => {
                    let count = count?;
                    if count == 0 {
                        return Ok(());
                    }
                    frames.push(bytes.get(..count).unwrap_or_default());
                    while let Some(body) = frames.next_frame()? {
                        let request = Request::decode(body)?;
                        self.request(request).await?;
                    }
                }
                news = published.recv() => self.news(&*news?).await?,
                _ = look.tick() => self.look().await?,
            }
        }
    }

    async fn look(&mut self) -> Result<(), End> {
        let due = |(due, _): &(Instant, Vec<u8>)| *due <= Instant::now();
        while let Some(place) = self.late.iter().position(due) {
            let (_, frame) = self.late.remove(place);
            self.write.write_all(&frame).await?;
        }
        let Some(code) = self.gateway.exchange.faults().gateway_error() else {
            return Ok(());
        };
        self.error(-1, code, reply::words(code)).await?;
        if code == 326 { Err(End::Cut) } else { Ok(()) }
    }

    async fn request(&mut self, request: Request) -> Result<(), End> {
        let gateway = Arc::clone(&self.gateway);
        match request {
            Request::PlaceOrder(request) => self.place(request).await,
            Request::CancelOrder(request) => {
                self.cancel(request.order_id.unwrap_or_default()).await
            }
            Request::OpenOrders(_) => self.open_orders(false).await,
            Request::AllOpenOrders(_) => self.open_orders(true).await,
            Request::Executions(request) => self.executions(&request).await,
            Request::Ids(_) => {
                let next = gateway.book().next_id();
                self.plain(&next_valid_id(next)).await
            }
            Request::Clock(_) => {
                let now = gateway.exchange.now().0 / 1_000_000_000;
                let current_time = i64::try_from(now).ok();
                self.plain(&Reply::Clock(proto::CurrentTime { current_time }))
                    .await
            }
            Request::Positions(_) => {
                let account = &gateway.keys.account;
                let replies = gateway
                    .exchange
                    .with(|truth| reply::positions(truth, account));
                self.all(&replies).await
            }
            Request::ContractData(request) => {
                let now = gateway.exchange.now();
                let replies = gateway
                    .exchange
                    .with(|truth| reply::contract(truth, &request, now));
                self.all(&replies).await
            }
            Request::AccountSummary(request) => {
                let account = &gateway.keys.account;
                let replies = gateway
                    .exchange
                    .with(|truth| reply::cash(truth, &request, account));
                self.all(&replies).await
            }
            Request::CancelPositions(_)
            | Request::CancelAccountSummary(_)
            | Request::StartApi(_)
            | Request::Other(_) => Ok(()),
        }
    }

    async fn place(&mut self, request: proto::PlaceOrderRequest) -> Result<(), End> {
        let gateway = Arc::clone(&self.gateway);
        let id = request.order_id.unwrap_or_default();
        let fault = gateway.exchange.faults().request(VENUE);
        match fault {
            Some(RequestFault::Status(_)) => {
                return self
                    .error(id, 100, "Max rate of messages per second has been exceeded")
                    .await;
            }
            Some(RequestFault::LostUnanswered) => return Ok(()),
            Some(RequestFault::Slow(ms)) => {
                tokio::time::sleep(Duration::from_millis(ms.into())).await
            }
            Some(RequestFault::AcceptedUnanswered) | None => {}
        }
        let account = &gateway.keys.account;
        let placed = gateway
            .book()
            .place(&gateway.exchange, self.client_id, request, account);
        if matches!(fault, Some(RequestFault::AcceptedUnanswered)) {
            // Whoever placed it learns of it only by asking again.
            return Err(End::Gone);
        }
        match placed {
            Ok(working) => {
                for place in working {
                    self.tell(place).await?;
                }
                Ok(())
            }
            Err(refused) => {
                self.error(refused.order_id, refused.code, &refused.words)
                    .await?;
                self.tell_dropped((self.client_id, refused.order_id)).await
            }
        }
    }

    /// That the children of an order ended with it.
    async fn tell_dropped(&mut self, parent: super::book::Place) -> Result<(), End> {
        let dropped = self.gateway.book().dropped_children(parent);
        for child in dropped {
            self.tell(child).await?;
        }
        Ok(())
    }

    /// How an order stands.
    async fn tell(&mut self, place: super::book::Place) -> Result<(), End> {
        let gateway = Arc::clone(&self.gateway);
        let placed = gateway.book().get(place).cloned();
        let Some(placed) = placed else { return Ok(()) };
        let replies = gateway.exchange.with(|truth| {
            let order = match placed.stage {
                Stage::Sent(id) => truth.order(id),
                _ => None,
            };
            [
                reply::open_order(place, &placed, order),
                reply::status(truth, place, &placed, order),
            ]
        });
        self.all(&replies).await
    }

    async fn cancel(&mut self, id: i32) -> Result<(), End> {
        let gateway = Arc::clone(&self.gateway);
        match gateway.exchange.faults().request(VENUE) {
            Some(RequestFault::Status(_)) => {
                return self
                    .error(id, 100, "Max rate of messages per second has been exceeded")
                    .await;
            }
            Some(RequestFault::LostUnanswered) => return Ok(()),
            Some(RequestFault::AcceptedUnanswered) => {
                let _ = gateway
                    .book()
                    .cancel(&gateway.exchange, (self.client_id, id));
                return Err(End::Gone);
            }
            Some(RequestFault::Slow(ms)) => {
                tokio::time::sleep(Duration::from_millis(ms.into())).await
            }
            None => {}
        }
        let cancelled = gateway
            .book()
            .cancel(&gateway.exchange, (self.client_id, id));
        match cancelled {
            // What the exchange ends is told when it says so.
            Ok(Stage::Sent(_)) => Ok(()),
            Ok(_) => {
                self.tell((self.client_id, id)).await?;
                self.error(id, 202, "Order Canceled - reason:").await
            }
            Err(refused) => self.error(id, refused.code, &refused.words).await,
        }
    }

    async fn open_orders(&mut self, of_all: bool) -> Result<(), End> {
        let gateway = Arc::clone(&self.gateway);
        let client_id = self.client_id;
        let orders: Vec<(super::book::Place, Placed)> = gateway
            .book()
            .iter()
            .filter(|(place, _)| of_all || place.0 == client_id)
            .map(|(place, placed)| (*place, placed.clone()))
            .collect();
        let replies = gateway.exchange.with(|truth| {
            let mut replies = Vec::new();
            for (place, placed) in &orders {
                let order = match placed.stage {
                    Stage::Sent(id) => truth.order(id).filter(|order| order.is_open()),
                    Stage::Waiting => None,
                    Stage::Held | Stage::Dropped => continue,
                };
                if order.is_none() && placed.stage != Stage::Waiting {
                    continue;
                }
                replies.push(reply::open_order(*place, placed, order));
                replies.push(reply::status(truth, *place, placed, order));
            }
            replies.push(Reply::OpenOrderEnd(proto::Empty {}));
            replies
        });
        self.all(&replies).await
    }

    async fn executions(&mut self, request: &proto::ExecutionRequest) -> Result<(), End> {
        let gateway = Arc::clone(&self.gateway);
        let id = request.req_id.unwrap_or(-1);
        let wanted = request
            .execution_filter
            .as_ref()
            .and_then(|filter| filter.client_id);
        let account = &gateway.keys.account;
        let replies = {
            let book = gateway.book();
            gateway.exchange.with(|truth| {
                let mut replies = Vec::new();
                for fill in truth.fills(VENUE) {
                    let Some((place, placed)) = book.by_exchange_id(fill.order) else {
                        continue;
                    };
                    if wanted.is_none_or(|client| client == place.0) {
                        replies.extend(reply::execution(truth, id, place, placed, fill, account));
                        replies.extend(reply::commission(truth, fill));
                    }
                }
                replies
            })
        };
        self.all(&replies).await?;
        let end = proto::ExecutionDetailsEnd { req_id: Some(id) };
        self.message(&Reply::ExecutionEnd(end)).await
    }

    /// What happened at the exchange to an order of this client.
    async fn news(&mut self, news: &Published) -> Result<(), End> {
        let gateway = Arc::clone(&self.gateway);
        let id = match &news.what {
            What::Fill(fill) => fill.order,
            What::Order(order) => order.id,
            What::Market(..) | What::Reversed(_) => return Ok(()),
        };
        let found = gateway
            .book()
            .by_exchange_id(id)
            .map(|(place, placed)| (place, placed.clone()));
        let Some((place, placed)) = found.filter(|(place, _)| place.0 == self.client_id) else {
            return Ok(());
        };
        let account = &gateway.keys.account;
        match &news.what {
            What::Fill(fill) => {
                let replies = gateway.exchange.with(|truth| {
                    let execution = reply::execution(truth, -1, place, &placed, fill, account);
                    [execution, reply::commission(truth, fill)]
                });
                let replies: Vec<Reply> = replies.into_iter().flatten().collect();
                self.all(&replies).await
            }
            What::Order(order) => {
                let status = |truth: &mut _| reply::status(truth, place, &placed, Some(order));
                let status = gateway.exchange.with(status);
                self.message(&status).await?;
                if matches!(order.state, OrderState::Cancelled | OrderState::Expired) {
                    self.error(place.1, 202, "Order Canceled - reason:").await?;
                    // Whoever hears of it first lets the bracket follow.
                    gateway.book().order_changed(&gateway.exchange, order);
                    self.tell_dropped(place).await?;
                }
                Ok(())
            }
            What::Market(..) | What::Reversed(_) => Ok(()),
        }
    }

    async fn error(&mut self, id: i32, code: i32, words: &str) -> Result<(), End> {
        let at_ms = self.gateway.exchange.now().0 / 1_000_000;
        self.plain(&reply::error(id, code, words, at_ms)).await
    }

    async fn all(&mut self, replies: &[Reply]) -> Result<(), End> {
        for reply in replies {
            self.message(reply).await?;
        }
        Ok(())
    }

    /// Sends what no fault may touch: the login, errors, numbers.
    async fn plain(&mut self, reply: &Reply) -> Result<(), End> {
        Ok(self.write.write_all(&reply.encode()).await?)
    }

    /// Sends a message, unless something goes wrong.
    async fn message(&mut self, reply: &Reply) -> Result<(), End> {
        if self
            .frozen_until
            .is_some_and(|until| Instant::now() < until)
        {
            return Ok(());
        }
        self.frozen_until = None;
        let frame = reply.encode();
        let later = |ms: u32| Instant::now() + Duration::from_millis(ms.into());
        match self.gateway.exchange.faults().socket(VENUE) {
            None => self.write.write_all(&frame).await?,
            Some(SocketFault::Lost) => {}
            Some(SocketFault::Twice) => {
                self.write
                    .write_all(&[frame.clone(), frame].concat())
                    .await?
            }
            Some(SocketFault::Late(ms)) => self.late.push((later(ms), frame)),
            Some(SocketFault::Freeze(ms)) => self.frozen_until = Some(later(ms)),
            Some(SocketFault::CutOff) => {
                let half = frame.get(..frame.len() / 2).unwrap_or_default();
                self.write.write_all(half).await?;
                return Err(End::Gone);
            }
            Some(SocketFault::Closed) => return Err(End::Gone),
        }
        Ok(())
    }
}

const fn next_valid_id(id: i32) -> Reply {
    Reply::NextValidId(proto::NextValidId { order_id: Some(id) })
}

/// The client's hello and login; its client id, once that was free.
async fn greet(
    gateway: &Gateway,
    read: &mut OwnedReadHalf,
    write: &mut OwnedWriteHalf,
    frames: &mut Frames,
) -> Result<i32, End> {
    let mut bytes = vec![0; READ];
    let mut is_greeted = false;
    loop {
        let count = read.read(&mut bytes).await?;
        if count == 0 {
            return Err(End::Gone);
        }
        frames.push(bytes.get(..count).unwrap_or_default());
        if !is_greeted {
            let Some((lowest, highest)) = frames.next_hello()? else {
                continue;
            };
            if !(lowest..=highest).contains(&SERVER_VERSION_MIN) {
                return Err(End::Gone);
            }
            let now = gateway.exchange.now();
            write
                .write_all(&welcome(SERVER_VERSION_MIN, &clock(now)))
                .await?;
            is_greeted = true;
        }
        let Some(body) = frames.next_frame()? else {
            continue;
        };
        let Request::StartApi(start) = Request::decode(body)? else {
            return Err(End::Gone);
        };
        let client_id = start.client_id.unwrap_or_default();
        if gateway.enter(client_id) {
            return Ok(client_id);
        }
        let at_ms = millis(&gateway.exchange);
        let refusal = reply::error(-1, 326, reply::words(326), at_ms);
        write.write_all(&refusal.encode()).await?;
        return Err(End::Gone);
    }
}

fn millis(exchange: &Exchange) -> u64 {
    exchange.now().0 / 1_000_000
}
