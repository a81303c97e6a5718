//! Requests and answers as a codec sees them: without a socket, a host or a retry.
use std::fmt;

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// DELETE.
    Delete,
}

impl Method {
    /// The word on the wire, which most venues sign.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }
}

/// Which budget of the venue a request draws on. The driver keeps the last tenth of `Write` for cancels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// Public data.
    Public,
    /// Own data: orders, fills, balances.
    Read,
    /// New orders.
    Write,
    /// Cancels: drawn from the same budget as `Write`, its reserve included.
    Cancel,
}

/// A request, signed, byte for byte as it goes out.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Which of the venue's base addresses it goes to: "rest" where there is one, else as the venue's module names it.
    pub base: &'static str,
    /// Path below the base with its query: "/api/v3/order?symbol=...". Percent-encoded already.
    pub target: String,
    /// Headers; values may be secret.
    pub headers: Vec<(&'static str, String)>,
    /// Body, empty where there is none.
    pub body: String,
    /// What it costs.
    pub bucket: Bucket,
    /// How much of the bucket it takes: 1 where requests are counted, the weight where they are weighed.
    pub weight: u32,
}

impl Request {
    /// A request without headers and body.
    pub fn get(base: &'static str, target: impl Into<String>, bucket: Bucket) -> Self {
        Self {
            method: Method::Get,
            base,
            target: target.into(),
            headers: Vec::new(),
            body: String::new(),
            bucket,
            weight: 1,
        }
    }
}

/// Method and path only: queries, headers and bodies can hold keys and signatures. A segment of the path with a colon is
/// left out as well: that is where a Telegram bot's token stands.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{} {}:", self.method.name(), self.base)?;
        for segment in path.split('/').skip(1) {
            f.write_str(if segment.contains(':') { "/..." } else { "/" })?;
            f.write_str(if segment.contains(':') { "" } else { segment })?;
        }
        Ok(())
    }
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: &'a [(String, String)],
    /// Body.
    pub body: &'a [u8],
}

impl Response<'_> {
    /// A header's value; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }
}
