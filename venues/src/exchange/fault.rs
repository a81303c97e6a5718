//! What goes wrong: by chance with a seed, or on command.
use super::Exchange;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Something that goes wrong with a message to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketFault {
    /// The message is lost: a gap where the venue counts.
    Lost,
    /// It comes twice.
    Twice,
    /// It comes after the ones that follow it, this many ms late.
    Late(u32),
    /// Nothing is sent for this many ms, pings are answered all the same.
    Freeze(u32),
    /// Half of it, then the connection is gone.
    CutOff,
    /// The connection is closed.
    Closed,
}

/// Something that goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestFault {
    /// This status instead of an answer; the request had no effect.
    Status(u16),
    /// It has its effect, and the answer never comes.
    AcceptedUnanswered,
    /// It is lost, and no answer comes.
    LostUnanswered,
    /// The answer comes this many ms late.
    Slow(u32),
}

/// Something that a venue does with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderFault {
    /// It is refused, for want of money.
    Rejected,
    /// On arrival it takes this much at the most.
    TakesAtMost(Decimal),
}

/// A fault on command: for the next message, request or order of a venue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what", content = "fault")]
pub enum Fault {
    /// To the next message of a venue's socket.
    Socket {
        /// Which venue.
        venue: String,
        /// What.
        kind: SocketFault,
    },
    /// To the next order that a venue would have taken.
    Order {
        /// Which venue.
        venue: String,
        /// What.
        kind: OrderFault,
    },
    /// To the next request of a venue that changes something.
    Request {
        /// Which venue.
        venue: String,
        /// What.
        kind: RequestFault,
    },
    /// The venue's clock is off by this many ms from now on.
    Clock {
        /// Which venue.
        venue: String,
        /// The venue's clock minus the exchange's.
        skew_ms: i64,
    },
    /// The next answer of a source that is asked on schedule.
    Answer {
        /// Which source: "dunamu".
        source: String,
        /// What it says instead.
        text: String,
    },
    /// A fill of the venue is taken back before it is final (Polymarket).
    FailNextTrade {
        /// Which venue.
        venue: String,
    },
    /// An Interactive Brokers gateway error, sent now: 326, 1100, 1101, ...
    Gateway {
        /// The error's code.
        code: i32,
    },
}

/// Faults by chance, in events per million; all 0 by default. Seeded: the same traffic sees the same faults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultPlan {
    /// The seed.
    pub seed: u64,
    /// Messages lost.
    pub lost: u32,
    /// Messages sent twice.
    pub twice: u32,
    /// Messages late, by 50 ms.
    pub late: u32,
    /// Freezes of 3 s.
    pub freeze: u32,
    /// Connections cut in mid-message.
    pub cut_off: u32,
    /// Requests answered 503 without effect.
    pub unavailable: u32,
    /// Requests answered 429 without effect.
    pub too_many: u32,
    /// Requests that have their effect and no answer.
    pub accepted_unanswered: u32,
    /// Requests lost without an answer.
    pub lost_unanswered: u32,
    /// Trades that fail after they matched (Polymarket).
    pub failed_trades: u32,
    /// By how much every venue's clock is off, in ms: not a matter of chance.
    pub clock_skew_ms: i64,
}

/// The faults in force.
#[derive(Debug)]
pub struct Faults {
    plan: FaultPlan,
    state: Mutex<InForce>,
}

#[derive(Debug, Default)]
struct InForce {
    random: u64,
    commanded: VecDeque<Fault>,
    skews: Vec<(String, i64)>,
}

impl Faults {
    pub(super) fn new(plan: FaultPlan) -> Self {
        let random = plan.seed ^ 0x9E37_79B9_7F4A_7C15;
        let state = Mutex::new(InForce {
            random,
            ..InForce::default()
        });
        Self { plan, state }
    }

    /// Lets something go wrong next.
    pub fn command(&self, fault: Fault) {
        self.with(|state| match fault {
            Fault::Clock { venue, skew_ms } => {
                state.skews.retain(|(of, _)| *of != venue);
                state.skews.push((venue, skew_ms));
            }
            fault => state.commanded.push_back(fault),
        });
    }

    /// How far a venue's clock is off, in ms.
    pub fn clock_skew_ms(&self, venue: &str) -> i64 {
        self.with(|state| {
            let found = state.skews.iter().find(|(of, _)| of == venue);
            found.map_or(self.plan.clock_skew_ms, |(_, skew)| *skew)
        })
    }

    /// What goes wrong with a venue's next message.
    pub fn socket(&self, venue: &str) -> Option<SocketFault> {
        let plan = &self.plan;
        self.with(|state| {
            let commanded = state.take(|fault| match fault {
                Fault::Socket { venue: of, kind } if of == venue => Some(*kind),
                _ => None,
            });
            commanded.or_else(|| {
                state.draw(&[
                    (plan.lost, SocketFault::Lost),
                    (plan.twice, SocketFault::Twice),
                    (plan.late, SocketFault::Late(50)),
                    (plan.freeze, SocketFault::Freeze(3_000)),
                    (plan.cut_off, SocketFault::CutOff),
                ])
            })
        })
    }

    /// What goes wrong with a venue's next request that changes something.
    pub fn request(&self, venue: &str) -> Option<RequestFault> {
        let plan = &self.plan;
        self.with(|state| {
            let commanded = state.take(|fault| match fault {
                Fault::Request { venue: of, kind } if of == venue => Some(*kind),
                _ => None,
            });
            commanded.or_else(|| {
                state.draw(&[
                    (plan.unavailable, RequestFault::Status(503)),
                    (plan.too_many, RequestFault::Status(429)),
                    (plan.accepted_unanswered, RequestFault::AcceptedUnanswered),
                    (plan.lost_unanswered, RequestFault::LostUnanswered),
                ])
            })
        })
    }

    /// Whether a venue's next trade fails after it matched.
    pub fn trade_fails(&self, venue: &str) -> bool {
        let rate = self.plan.failed_trades;
        self.with(|state| {
            let commanded = state.take(|fault| match fault {
                Fault::FailNextTrade { venue: of } if of == venue => Some(()),
                _ => None,
            });
            commanded.or_else(|| state.draw(&[(rate, ())])).is_some()
        })
    }

    /// What becomes of the order that a venue takes next.
    pub(super) fn order(&self, venue: &str) -> Option<OrderFault> {
        self.with(|state| {
            state.take(|fault| match fault {
                Fault::Order { venue: of, kind } if of == venue => Some(*kind),
                _ => None,
            })
        })
    }

    /// What a source says instead of its next answer.
    pub(super) fn answer(&self, source: &str) -> Option<String> {
        self.with(|state| {
            state.take(|fault| match fault {
                Fault::Answer { source: of, text } if of == source => Some(text.clone()),
                _ => None,
            })
        })
    }

    /// The gateway error that is to be sent now.
    pub fn gateway_error(&self) -> Option<i32> {
        self.with(|state| {
            state.take(|fault| match fault {
                Fault::Gateway { code } => Some(*code),
                _ => None,
            })
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut InForce) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl InForce {
    fn take<T>(&mut self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let place = self.commanded.iter().position(|f| pick(f).is_some())?;
        self.commanded.remove(place).as_ref().and_then(pick)
    }

    /// One draw decides among all: rates per million, none of them when nothing is planned.
    fn draw<T: Copy>(&mut self, rates: &[(u32, T)]) -> Option<T> {
        if rates.iter().all(|(rate, _)| *rate == 0) {
            return None;
        }
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let mut drawn = (z ^ (z >> 31)) % 1_000_000;
        for (rate, fault) in rates {
            if drawn < u64::from(*rate) {
                return Some(*fault);
            }
            drawn -= u64::from(*rate);
        }
        None
    }
}

/// How long an answer that never comes keeps its connection open: longer than any client waits.
const UNANSWERED: Duration = Duration::from_secs(30);

/// Middleware of a face: requests that change something (not GET) meet the venue's faults.
///
/// `axum::middleware::from_fn_with_state((exchange, "kalshi"), with_faults)`
pub async fn with_faults(
    State((exchange, venue)): State<(Arc<Exchange>, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() == axum::http::Method::GET {
        return next.run(request).await;
    }
    match exchange.faults().request(venue) {
        None => next.run(request).await,
        Some(RequestFault::Status(status)) => {
            let code = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let body = Body::from("{\"error\":\"injected fault\"}");
            (code, [(header::RETRY_AFTER, "1")], body).into_response()
        }
        Some(RequestFault::AcceptedUnanswered) => {
            drop(next.run(request).await);
            never().await
        }
        Some(RequestFault::LostUnanswered) => never().await,
        Some(RequestFault::Slow(ms)) => {
            let answer = next.run(request).await;
            tokio::time::sleep(Duration::from_millis(ms.into())).await;
            answer
        }
    }
}

/// Middleware of a face: its answers bear the venue's time, whatever the wall's is.
pub async fn with_clock(
    State((exchange, venue)): State<(Arc<Exchange>, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let mut answer = next.run(request).await;
    let skew_ns = exchange.faults().clock_skew_ms(venue) * 1_000_000;
    let now = exchange.now().0.saturating_add_signed(skew_ns);
    if let Some(date) = date(now) {
        answer.headers_mut().insert(header::DATE, date);
    }
    answer
}

/// A time as HTTP's `Date` has it (RFC 9110, 5.6.7).
fn date(now_ns: u64) -> Option<HeaderValue> {
    let seconds = i64::try_from(now_ns / 1_000_000_000).ok()?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    let text = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::from_str(&text).ok()
}

async fn never() -> Response {
    tokio::time::sleep(UNANSWERED).await;
    StatusCode::GATEWAY_TIMEOUT.into_response()
}
