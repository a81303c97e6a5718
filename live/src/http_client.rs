//! A venue's requests over HTTP: no proxy, no redirect, no retry.
use crate::clock_offset::ClockOffset;
use onetape_venues::exchange::ExchangeClock;
use onetape_venues::gateway::{Method, Request, Response};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long an answer may take. After that the outcome is unknown, and is looked up.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Answers larger than this are not read.
const BODY_MAX: usize = 64 << 20;

/// An answer that was read.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// As codecs read it.
    pub fn response(&self) -> Response<'_> {
        Response {
            status: self.status,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

/// Base addresses by name, and a client of its own for each venue, so that a slow one holds up nobody else.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: reqwest::Client,
    bases: BTreeMap<String, String>,
    clock: ExchangeClock,
    offset: Arc<Mutex<ClockOffset>>,
}

impl HttpClient {
    /// For these base addresses; `clock` is the daemon's.
    ///
    /// # Errors
    /// A text when TLS can't be set up.
    pub fn new(bases: BTreeMap<String, String>, clock: ExchangeClock) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(ANSWER_WITHIN)
            .connect_timeout(CONNECT_WITHIN)
            .tcp_nodelay(true)
            .user_agent(concat!("onetape/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| e.to_string())?;
        let offset = Arc::default();
        Ok(Self {
            client,
            bases,
            clock,
            offset,
        })
    }

    /// Makes a request; `None` where no whole answer came.
    pub async fn send(&self, request: Request) -> Option<Answer> {
        let named = format!("{request:?}");
        let sent = self.try_send(request).await;
        // The address can hold a token, so errors are told without it.
        sent.map_err(|e| tracing::warn!(request = named, error = %e.without_url(), "no answer"))
            .ok()
            .flatten()
    }

    /// By how much our clock is off at the least, by the venue's answers, in ms: positive where it is ahead.
    pub fn drift_ms(&self) -> Option<i64> {
        let offset = self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        offset.drift_ms()
    }

    async fn try_send(&self, request: Request) -> reqwest::Result<Option<Answer>> {
        let Some(base) = self.bases.get(request.base) else {
            tracing::error!(base = request.base, "no such base address is configured");
            return Ok(None);
        };
        let url = format!("{base}{}", request.target);
        let mut builder = match request.method {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url),
            Method::Delete => self.client.delete(url),
        };
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if !request.body.is_empty() {
            builder = builder.body(request.body);
        }
        let asked_at = self.clock.now();
        let mut response = builder.send().await?;
        let date = response
            .headers()
            .get("date")
            .and_then(|date| date.to_str().ok());
        if let Some(date) = date {
            let mut offset = self.offset.lock().unwrap_or_else(PoisonError::into_inner);
            offset.answered(asked_at, self.clock.now(), date);
        }
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > BODY_MAX {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(Answer {
            status,
            headers,
            body,
        }))
    }
}
