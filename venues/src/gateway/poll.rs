//! Sources that are asked again and again over HTTP, and how often.
use super::{Outbox, Request, Response, WireError};
use onetape_engine::time::{Nanos, SECOND_NS};

/// A polled source's protocol, without the socket.
///
/// The driver waits until `next_due`, makes `request`, and gives its answer to `read` before it asks again. Like a
/// [`Feed`](super::Feed) it answers with what belongs on the tape, its own `FeedState` frames included.
pub trait Poll: Send {
    /// What the source is called in logs: "nws forecast NYC".
    fn name(&self) -> &str;

    /// When the next request is due.
    fn next_due(&self) -> Nanos;

    /// The request that is due.
    fn request(&mut self, now: Nanos) -> Request;

    /// Reads the answer; `None` where none came.
    ///
    /// # Errors
    /// [`WireError`] for an answer that the protocol does not have; the next request is due later then.
    fn read(
        &mut self,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError>;
}

/// When to ask: every period, later where the venue says that its answer stays fresh, and ever later while it fails.
#[derive(Clone, Debug)]
pub struct Pace {
    period_ns: u64,
    longest_ns: u64,
    due: Nanos,
    failures: u32,
}

impl Pace {
    /// `period_ms` between answers that promise nothing; `longest_ms` is the longest that a promise or failures delay it.
    pub const fn new(period_ms: u64, longest_ms: u64) -> Self {
        Self {
            period_ns: period_ms.saturating_mul(1_000_000),
            longest_ns: longest_ms.saturating_mul(1_000_000),
            due: Nanos(0),
            failures: 0,
        }
    }

    /// When the next request is due.
    pub const fn due(&self) -> Nanos {
        self.due
    }

    /// One request leads to another, at once.
    pub const fn go_on(&mut self, now: Nanos) {
        self.due = now;
        self.failures = 0;
    }

    /// An answer came: not before it stops being fresh (`Cache-Control`, `Expires`).
    pub fn answered(&mut self, now: Nanos, response: &Response<'_>) {
        let fresh_ns = fresh_s(response).unwrap_or(0).saturating_mul(SECOND_NS);
        self.failures = 0;
        self.due = now.after(self.period_ns.max(fresh_ns.min(self.longest_ns)));
    }

    /// No answer, or none that can be used: twice the time with every failure, and as `Retry-After` says.
    pub fn failed(&mut self, now: Nanos, response: Option<&Response<'_>>) {
        let doubled = self.period_ns.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let asked: Option<u64> = response
            .and_then(|response| response.header("retry-after"))
            .and_then(|seconds| seconds.trim().parse().ok());
        let asked_ns = asked.unwrap_or(0).saturating_mul(SECOND_NS);
        let longest = self.longest_ns.max(self.period_ns);
        self.due = now.after(doubled.max(asked_ns).min(longest));
    }
}

/// For how many seconds an answer stays fresh, by its own word (RFC 9111, 5.2.2 and 5.3).
fn fresh_s(response: &Response<'_>) -> Option<u64> {
    if let Some(control) = response.header("cache-control") {
        let directive = |name: &str| {
            control.split(',').find_map(|one| {
                let (found, value) = one.trim().split_once('=')?;
                found.eq_ignore_ascii_case(name).then_some(value)
            })
        };
        let age = directive("s-maxage").or_else(|| directive("max-age"));
        if let Some(seconds) = age.and_then(|age| age.trim_matches('"').parse::<u64>().ok()) {
            let already = response.header("age").and_then(|age| age.parse().ok());
            return Some(seconds.saturating_sub(already.unwrap_or(0)));
        }
    }
    let date = |name| {
        let text = response.header(name)?;
        jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(text)
            .ok()
    };
    let left = date("expires")?.as_second() - date("date")?.as_second();
    u64::try_from(left).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Nanos = Nanos(1_000 * SECOND_NS);

    fn due_after_s(headers: &[(&str, &str)]) -> u64 {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let headers: Vec<_> = headers.iter().map(own).collect();
        let response = Response {
            status: 200,
            headers: &headers,
            body: b"",
        };
        let mut pace = Pace::new(60_000, 3_600_000);
        pace.answered(NOW, &response);
        pace.due().since(NOW) / SECOND_NS
    }

    #[test]
    fn an_answer_is_asked_for_again_when_it_stops_being_fresh_and_not_before_the_period() {
        assert_eq!(due_after_s(&[]), 60);
        assert_eq!(
            due_after_s(&[("cache-control", "public, max-age=300")]),
            300
        );
        assert_eq!(
            due_after_s(&[
                ("cache-control", "public, max-age=30, s-maxage=120"),
                ("age", "20")
            ]),
            100
        );
        assert_eq!(due_after_s(&[("cache-control", "max-age=5")]), 60);
        assert_eq!(due_after_s(&[("cache-control", "max-age=86400")]), 3_600);
        assert_eq!(
            due_after_s(&[
                ("date", "Sat, 21 Nov 2026 10:00:00 GMT"),
                ("expires", "Sat, 21 Nov 2026 10:10:00 GMT"),
            ]),
            600
        );
        assert_eq!(
            due_after_s(&[("date", "Sat, 21 Nov 2026 10:00:00 GMT"), ("expires", "0")]),
            60
        );
    }

    #[test]
    fn failures_are_asked_again_ever_later_and_as_the_venue_says() {
        let mut pace = Pace::new(60_000, 600_000);
        let mut seen = Vec::new();
        for _ in 0..6 {
            pace.failed(NOW, None);
            seen.push(pace.due().since(NOW) / SECOND_NS);
        }
        assert_eq!(seen, [60, 120, 240, 480, 600, 600]);
        let headers = [("retry-after".to_owned(), "500".to_owned())];
        let busy = Response {
            status: 429,
            headers: &headers,
            body: b"",
        };
        let mut pace = Pace::new(60_000, 600_000);
        pace.failed(NOW, Some(&busy));
        assert_eq!(pace.due().since(NOW) / SECOND_NS, 500);
        pace.go_on(NOW);
        pace.failed(NOW, None);
        assert_eq!(pace.due().since(NOW) / SECOND_NS, 60);
    }
}
