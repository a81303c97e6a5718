//! What an order path sends and asks, whatever carries it: requests over HTTP, or a broker's own connection.
use crate::budget::Budget;
use crate::http_client::{Answer, HttpClient};
use crate::inputs::Inputs;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use onetape_venues::gateway::{
    AccountFact, CancelAnswer, KnownOrder, NewOrder, OrderWire, PlaceAnswer, Query, Refusal,
    Request, Response,
};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Pages of one query at the most.
const PAGES_MAX: usize = 1_000;
/// A page that failed is asked for again: one of hundreds would fail them all, and with them every reconciliation.
const PAGE_TRIES: u32 = 4;
const PAGE_AGAIN: Duration = Duration::from_millis(100);

/// Something that goes out once its answer is waited for. Dropped before, it was never sent.
pub struct Sending<T> {
    /// What it takes of the venue's allowance.
    pub weight: u32,
    /// What comes of it.
    pub answer: LocalBoxFuture<'static, T>,
}

/// What a look-up came out as.
#[derive(Debug, Default)]
pub struct Found {
    /// Facts about the order.
    pub facts: Vec<AccountFact>,
    /// False where the venue has proved that it never had the order; `None` where the look-up failed.
    pub known: Option<bool>,
}

/// What an order goes out with. A venue that knows neither takes the order alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Linked<'a> {
    /// The name of the group of which one order cancels the others, where the venue does that.
    pub group: Option<&'a str>,
    /// Exits that work once the order fills.
    pub exits: &'a [NewOrder<'a>],
    /// The name of the exits' own group.
    pub exits_group: Option<&'a str>,
}

/// A venue's order interface, with what carries it.
pub trait Transport {
    /// Places an order.
    ///
    /// # Errors
    /// [`Refusal`] when the venue has no such order; nothing is sent.
    fn place(
        &mut self,
        order: &NewOrder<'_>,
        linked: &Linked<'_>,
        now: Nanos,
    ) -> Result<Sending<PlaceAnswer>, Refusal>;

    /// Cancels an order.
    ///
    /// # Errors
    /// [`Refusal`] when the order can't be named to the venue yet.
    fn cancel(
        &mut self,
        order: &KnownOrder<'_>,
        now: Nanos,
    ) -> Result<Sending<CancelAnswer>, Refusal>;

    /// Finds out what became of an order.
    fn look_up(&mut self, order: &KnownOrder<'_>, now: Nanos) -> Sending<Found>;

    /// Asks about the account, all pages, within the allowance; an error's text says what was asked and what came.
    fn ask(&mut self, query: Query) -> LocalBoxFuture<'static, Result<Vec<AccountFact>, String>>;

    /// A sign of life that keeps our orders alive, whether the venue took it, and how often it is due in ms; none where the
    /// venue has no such thing.
    fn keep_alive(&mut self, now: Nanos) -> Option<(LocalBoxFuture<'static, bool>, u64)> {
        let _ = now;
        None
    }
}

/// An order that outlives the tracker's hold on it while its answer is under way.
#[derive(Clone, Debug)]
pub struct Kept {
    order: OrderId,
    client_id: String,
    venue_id: Option<String>,
    instrument: InstrumentId,
    side: Side,
    order_type: OrderType,
    time_in_force: TimeInForce,
    price: Price,
    worst_price: Price,
    qty: Qty,
    decided_at: Nanos,
}

impl Kept {
    /// A copy.
    pub fn new(order: &NewOrder<'_>, venue_id: Option<&str>) -> Self {
        Self {
            order: order.order,
            client_id: order.client_id.to_owned(),
            venue_id: venue_id.map(str::to_owned),
            instrument: order.instrument,
            side: order.side,
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            price: order.price,
            worst_price: order.worst_price,
            qty: order.qty,
            decided_at: order.decided_at,
        }
    }

    /// The order as codecs take it.
    pub fn known(&self) -> KnownOrder<'_> {
        let order = NewOrder {
            order: self.order,
            client_id: &self.client_id,
            instrument: self.instrument,
            side: self.side,
            order_type: self.order_type,
            time_in_force: self.time_in_force,
            price: self.price,
            worst_price: self.worst_price,
            qty: self.qty,
            decided_at: self.decided_at,
        };
        KnownOrder {
            order,
            venue_id: self.venue_id.as_deref(),
        }
    }
}

/// A venue over HTTP.
#[derive(Clone)]
pub struct HttpTransport {
    wire: Rc<RefCell<Box<dyn OrderWire>>>,
    http: HttpClient,
    budget: Rc<RefCell<Budget>>,
    inputs: Inputs,
}

impl HttpTransport {
    /// Of a codec; the allowance is shared with whoever sends.
    pub fn new(
        wire: Box<dyn OrderWire>,
        http: HttpClient,
        budget: Rc<RefCell<Budget>>,
        inputs: Inputs,
    ) -> Self {
        Self {
            wire: Rc::new(RefCell::new(wire)),
            http,
            budget,
            inputs,
        }
    }

    /// Sends, and heeds what the venue says of its own count.
    async fn send(&self, request: Request) -> Option<Answer> {
        let answer = self.http.send(request).await?;
        let wire = self.wire.borrow();
        if let Some(for_ms) = wire.pause_ms(&answer.response(), self.inputs.now()) {
            tracing::warn!(
                venue = wire.venue(),
                for_ms,
                "the venue counts us full: cancels only"
            );
            self.budget.borrow_mut().pause(for_ms, Instant::now());
        }
        Some(answer)
    }

    /// One page of a query, within the allowance; where the next one is.
    async fn page(
        &self,
        query: &Query,
        cursor: Option<&str>,
        facts: &mut Vec<AccountFact>,
    ) -> Result<Option<String>, String> {
        let request = self.wire.borrow_mut().ask(query, cursor, self.inputs.now());
        loop {
            let (bucket, weight) = (request.bucket, request.weight);
            let now = Instant::now();
            let taken = self.budget.borrow_mut().take(bucket, weight, now);
            match taken {
                Ok(()) => break,
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
        let named = format!("{request:?}");
        let answer = self.send(request).await;
        let answer = answer.ok_or_else(|| format!("{named}: no answer"))?;
        let read = self
            .wire
            .borrow_mut()
            .answer(query, &answer.response(), facts);
        read.map_err(|e| format!("{named}: {e}"))
    }
}

impl Transport for HttpTransport {
    fn place(
        &mut self,
        order: &NewOrder<'_>,
        _: &Linked<'_>,
        now: Nanos,
    ) -> Result<Sending<PlaceAnswer>, Refusal> {
        let request = self.wire.borrow_mut().place(order, now)?;
        let weight = request.weight;
        let (venue, kept) = (self.clone(), Kept::new(order, None));
        let answer = async move {
            let answer = venue.send(request).await;
            let response = answer.as_ref().map(Answer::response);
            let mut wire = venue.wire.borrow_mut();
            wire.placed(&kept.known().order, response.as_ref())
        };
        Ok(Sending {
            weight,
            answer: answer.boxed_local(),
        })
    }

    fn cancel(
        &mut self,
        order: &KnownOrder<'_>,
        now: Nanos,
    ) -> Result<Sending<CancelAnswer>, Refusal> {
        let request = self.wire.borrow_mut().cancel(order, now)?;
        let weight = request.weight;
        let kept = Kept::new(&order.order, order.venue_id);
        let venue = self.clone();
        let answer = async move {
            let answer = venue.send(request).await;
            let response = answer.as_ref().map(Answer::response);
            let mut wire = venue.wire.borrow_mut();
            wire.cancelled(&kept.known(), response.as_ref())
        };
        Ok(Sending {
            weight,
            answer: answer.boxed_local(),
        })
    }

    fn look_up(&mut self, order: &KnownOrder<'_>, now: Nanos) -> Sending<Found> {
        let requests = self.wire.borrow_mut().lookup(order, now);
        let weight = requests.iter().map(|request| request.weight).sum();
        let kept = Kept::new(&order.order, order.venue_id);
        let venue = self.clone();
        let answer = async move {
            let mut answers = Vec::with_capacity(requests.len());
            for request in requests {
                match venue.send(request).await {
                    Some(answer) => answers.push(answer),
                    None => return Found::default(),
                }
            }
            let responses: Vec<Response<'_>> = answers.iter().map(Answer::response).collect();
            let (mut wire, mut facts) = (venue.wire.borrow_mut(), Vec::new());
            let read = wire.looked_up(&kept.known(), &responses, &mut facts);
            let order = kept.order.0;
            let failed =
                |error| tracing::warn!(venue = wire.venue(), order, %error, "look-up failed");
            let known = read.map_err(failed).ok();
            Found { facts, known }
        };
        Sending {
            weight,
            answer: answer.boxed_local(),
        }
    }

    fn ask(&mut self, query: Query) -> LocalBoxFuture<'static, Result<Vec<AccountFact>, String>> {
        let venue = self.clone();
        let answer = async move {
            let mut facts = Vec::new();
            let mut cursor: Option<String> = None;
            for _ in 0..PAGES_MAX {
                let before = facts.len();
                let mut tries = PAGE_TRIES;
                let next = loop {
                    match venue.page(&query, cursor.as_deref(), &mut facts).await {
                        Ok(next) => break next,
                        Err(why) => {
                            facts.truncate(before);
                            tries -= 1;
                            if tries == 0 {
                                return Err(why);
                            }
                        }
                    }
                    tokio::time::sleep(PAGE_AGAIN).await;
                };
                match next {
                    Some(next) if cursor.as_deref() != Some(next.as_str()) => cursor = Some(next),
                    _ => return Ok(facts),
                }
            }
            Err(format!("{query:?}: more than {PAGES_MAX} pages"))
        };
        answer.boxed_local()
    }

    fn keep_alive(&mut self, now: Nanos) -> Option<(LocalBoxFuture<'static, bool>, u64)> {
        let (request, every_ms) = self.wire.borrow_mut().keep_alive(now)?;
        let (wire, http) = (self.wire.clone(), self.http.clone());
        let answer = async move {
            let answer = http.send(request).await;
            let response = answer.as_ref().map(Answer::response);
            wire.borrow_mut().kept_alive(response.as_ref());
            response.is_some_and(|response| response.status < 400)
        };
        Some((answer.boxed_local(), every_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Allowance;
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use onetape_venues::binance::{Orders, OrdersConfig, Pairs, Signer};
    use onetape_venues::exchange::{ExchangeClock, wall_now};
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// What a list of orders comes to at a venue that fails so many requests first, and how many it was asked.
    async fn asked(failing: u32) -> (Result<Vec<AccountFact>, String>, u32) {
        let count = Arc::new(AtomicU32::new(0));
        let seen = count.clone();
        let answer = move || async move {
            match seen.fetch_add(1, Ordering::SeqCst) {
                place if place < failing => (StatusCode::BAD_GATEWAY, ""),
                _ => (StatusCode::OK, "[]"),
            }
        };
        let router = Router::new().route("/api/v3/openOrders", get(answer));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0));
        let listener = listener.await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let clock = ExchangeClock {
            wall_origin: wall_now(),
            origin: wall_now(),
            speed: 1,
        };
        let signer = Signer::hmac("a key".to_owned().into(), &"a secret".to_owned().into());
        let wire = Orders::new(OrdersConfig::default(), signer, Pairs::default());
        let http = HttpClient::new(BTreeMap::from([("rest".to_owned(), address)]), clock);
        let allowance = Allowance {
            write_per_s: 1_000,
            read_per_s: 1_000,
        };
        let budget = Rc::new(RefCell::new(Budget::new(allowance, Instant::now())));
        let (inputs, _queue) = Inputs::new(clock);
        let mut venue = HttpTransport::new(Box::new(wire), http.unwrap(), budget, inputs);
        let answer = venue.ask(Query::OpenOrders).await;
        (answer, count.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn a_page_that_fails_is_asked_for_again_and_not_for_ever() {
        assert_eq!(asked(PAGE_TRIES - 1).await, (Ok(Vec::new()), PAGE_TRIES));
        let (answer, count) = asked(PAGE_TRIES).await;
        assert!(answer.is_err_and(|why| why.contains("openOrders")));
        assert_eq!(count, PAGE_TRIES);
    }
}
