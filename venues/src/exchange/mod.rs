//! A local exchange: it plays a journal's market, takes orders on the venues' own wire, matches them, keeps the truth
//! about them, and goes wrong on demand.
//!
//! [`Truth`] is venue-independent: books as the journal tells them, orders, fills, holdings and cash. It knows nothing of
//! the engine's own paper venue, so that the one can be held against the other. A *face* serves one venue's wire from it:
//! a module of that venue's name with `pub struct Keys` (throwaway, made for the run) and
//! `pub fn router(exchange: Arc<Exchange>, keys: Keys) -> axum::Router`.
//!
//! A face reads and changes the truth in [`Exchange::with`], and learns what happens from [`Exchange::subscribe`]. A
//! snapshot taken in `with` and the subscription agree: everything published has a number, and `truth.published()` is the
//! last number that the snapshot contains. A face sends through [`Socket`], which is where messages are lost, repeated,
//! delayed or cut; requests pass [`with_faults`], which is where answers get lost.
pub mod binance;
pub mod eodhd;
mod fault;
pub mod fx;
pub mod ib;
pub mod kalshi;
mod matching;
mod player;
pub mod polymarket;
mod socket;
mod truth;
pub mod upbit;
pub mod weather;

pub use fault::{
    Fault, FaultPlan, Faults, OrderFault, RequestFault, SocketFault, with_clock, with_faults,
};
pub use player::{Player, PlayerError};
pub use socket::Socket;
pub use truth::{
    Cash, ClientIds, NewVenueOrder, PlaceError, Published, Report, Truth, VenueFill, VenueOrder,
    What,
};

use onetape_engine::event::Event;
use onetape_engine::time::Nanos;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Messages that a slow face may fall behind before it is told that it lost some; the face then closes its sockets, as a
/// venue does with a slow consumer.
const BEHIND_MAX: usize = 1 << 16;

/// The exchange's clock: the journal's time, running faster than the wall's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeClock {
    /// Wall time, UTC ns, at which the exchange's time was `origin`.
    pub wall_origin: Nanos,
    /// The exchange's time there.
    pub origin: Nanos,
    /// Seconds of the exchange's time in one second, at least 1.
    pub speed: u32,
}

impl ExchangeClock {
    /// The exchange's time now.
    pub fn now(&self) -> Nanos {
        self.at(wall_now())
    }

    /// The exchange's time at a wall time.
    pub const fn at(&self, wall: Nanos) -> Nanos {
        self.origin.after(
            wall.since(self.wall_origin)
                .saturating_mul(self.speed as u64),
        )
    }
}

/// Wall time, UTC ns.
pub fn wall_now() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Nanos(since.map_or(0, |since| since.as_nanos() as u64))
}

/// The exchange, shared by its faces.
#[derive(Debug)]
pub struct Exchange {
    truth: Mutex<Truth>,
    published: broadcast::Sender<Arc<Published>>,
    faults: Arc<Faults>,
    clock: ExchangeClock,
    /// Wall time at which the clock stands at its origin.
    wall_origin: AtomicU64,
}

impl Exchange {
    /// An exchange without a market yet.
    pub fn new(clock: ExchangeClock, cash: Cash, faults: FaultPlan) -> Arc<Self> {
        let (published, _) = broadcast::channel(BEHIND_MAX);
        let faults = Arc::new(Faults::new(faults));
        Arc::new(Self {
            truth: Mutex::new(Truth::new(cash, faults.clone())),
            published,
            faults,
            clock,
            wall_origin: AtomicU64::new(clock.wall_origin.0),
        })
    }

    /// Sets the clock back to its origin: what has to be there before the first client is, and time begins.
    pub fn begin(&self) {
        self.wall_origin.store(wall_now().0, Ordering::Release);
    }

    /// What was published and some face has not heard yet; a face that is more than 65,536 behind misses the oldest.
    pub fn unheard(&self) -> usize {
        self.published.len()
    }

    /// Reads or changes the truth; what the change led to is published before the lock is given back.
    pub fn with<T>(&self, act: impl FnOnce(&mut Truth) -> T) -> T {
        let mut truth = self.lock();
        let result = act(&mut truth);
        for published in truth.take_published() {
            // Nobody listening is no error.
            let _ = self.published.send(Arc::new(published));
        }
        result
    }

    /// Everything that is published from here on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Published>> {
        self.published.subscribe()
    }

    /// Shows `see` the market's events from here on, with their stamps, until it wants no more (false) or the exchange is
    /// gone. Called inside a tokio runtime.
    fn show_market(&self, mut see: impl FnMut(Nanos, Event<'_>) -> bool + Send + 'static) {
        let mut published = self.subscribe();
        tokio::spawn(async move {
            loop {
                let news = match published.recv().await {
                    Ok(news) => news,
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return,
                };
                if let What::Market(kind, payload) = &news.what
                    && let Ok(event) = Event::decode(kind.number(), payload)
                    && !see(news.at, event)
                {
                    return;
                }
            }
        });
    }

    /// What goes wrong, and when.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The exchange's time now.
    pub fn now(&self) -> Nanos {
        self.clock().now()
    }

    /// The exchange's clock.
    pub fn clock(&self) -> ExchangeClock {
        ExchangeClock {
            wall_origin: Nanos(self.wall_origin.load(Ordering::Acquire)),
            ..self.clock
        }
    }

    fn lock(&self) -> MutexGuard<'_, Truth> {
        // A face that panicked has not left the truth half changed: every change is checked before it is made.
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
