//! An Interactive Brokers gateway for one machine: the TCP wire that crate `ibapi` speaks, served from the truth.
//!
//! ```text
//! client  hello, StartApi                     gateway  welcome, ManagedAccounts, NextValidId, notices
//! PlaceOrder                                  OpenOrder, OrderStatus, then Execution, Commission, OrderStatus
//! CancelOrder                                 OrderStatus, Error 202
//! OpenOrders / Executions / Positions         each of them, then the list's end
//! ```
//! [`serve`] takes connections, [`Session`] is one of them. [`Book`] is what a gateway knows beyond the exchange's truth: order
//! ids by client, and brackets: orders that wait for a parent's transmission or fill, and cancel each other.
mod book;
mod reply;
mod session;

use super::{Exchange, What};
use book::Book;
use session::Session;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const VENUE: &str = "ib";
/// How long a client id stays in use after its connection was cut by error 326.
const LINGER: Duration = Duration::from_millis(1_500);

/// Whom the gateway is logged in as.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The login's account; a paper account's name begins with D.
    pub account: String,
}

/// What all connections of a gateway share.
struct Gateway {
    exchange: Arc<Exchange>,
    keys: Keys,
    book: Mutex<Book>,
    /// Client ids in use; those of connections that are gone, until when.
    clients: Mutex<BTreeMap<i32, Option<Instant>>>,
}

impl Gateway {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<i32, Option<Instant>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client id was free; it is taken then.
    fn enter(&self, client_id: i32) -> bool {
        let mut clients = self.clients();
        let is_free = match clients.get(&client_id) {
            None => true,
            Some(Some(until)) => *until <= Instant::now(),
            Some(None) => false,
        };
        if is_free {
            clients.insert(client_id, None);
        }
        is_free
    }

    fn leave(&self, client_id: i32, lingers: bool) {
        let mut clients = self.clients();
        if lingers {
            clients.insert(client_id, Some(Instant::now() + LINGER));
        } else {
            clients.remove(&client_id);
        }
    }

    /// Follows the truth: an order that is filled or over lets its bracket go on. One task does it for all connections, so
    /// that a bracket works while nobody is connected.
    async fn follow(
        self: Arc<Self>,
        mut published: tokio::sync::broadcast::Receiver<Arc<super::Published>>,
    ) {
        use tokio::sync::broadcast::error::RecvError;
        loop {
            match published.recv().await {
                Ok(news) => {
                    if let What::Order(order) = &news.what {
                        self.book().order_changed(&self.exchange, order);
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// Serves a gateway on a listener until it fails or the future is dropped; connections end with it.
///
/// # Errors
/// What the listener says.
pub async fn serve(
    exchange: Arc<Exchange>,
    keys: Keys,
    listener: TcpListener,
) -> std::io::Result<()> {
    let published = exchange.subscribe();
    let gateway = Arc::new(Gateway {
        exchange,
        keys,
        book: Mutex::default(),
        clients: Mutex::default(),
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&gateway).follow(published));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        while tasks.try_join_next().is_some() {}
        tasks.spawn(Session::run(Arc::clone(&gateway), stream));
    }
}
