//! The gateway's framing, pure.
//!
//! ```text
//! client  "API\0" | u32 length | "v213..226"                    once, after connecting
//! server  u32 length | "213" 0 "20261121 09:30:00 US/Eastern" 0     once: its version and its clock
//! both    u32 length | i32 id + 200 | protobuf                  from then on; integers are big-endian
//! ```
use super::VENUE;
use super::proto::{
    AccountSummary, AccountSummaryRequest, CancelOrderRequest, CommissionReport, ContractData,
    ContractDataRequest, CurrentTime, Empty, ErrorMessage, ExecutionDetails, ExecutionDetailsEnd,
    ExecutionRequest, ManagedAccounts, NextValidId, OpenOrder, OrderStatus, PlaceOrderRequest,
    Position, RequestId, StartApiRequest,
};
use crate::gateway::WireError;
use crate::gateway::fields::Reading;
use prost::Message as _;

/// The lowest server version whose messages are all protobuf; crate `ibapi` refuses lower ones.
pub const SERVER_VERSION_MIN: u32 = 213;
/// Added to a message's id where protobuf follows.
pub const PROTOBUF_OFFSET: i32 = 200;
/// A frame longer than this is none: the stream slipped.
pub const FRAME_MAX: usize = 1 << 20;
const HELLO: &[u8] = b"API\0";

/// Puts a stream's bytes together to frames.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Read already.
    start: usize,
}

impl Frames {
    /// Takes what came from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The next frame's body, once all of it came. After an error the stream can't be read any further.
    ///
    /// # Errors
    /// [`WireError::BadField`] for a length that no frame has.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, WireError> {
        let Some((length, rest)) = self.rest().split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > FRAME_MAX {
            let frame = reading("frame");
            return Err(frame.bad("length", &length.to_string(), "at most 1 MiB"));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let from = self.start + 4;
        self.start = from + length;
        Ok(self.buffer.get(from..self.start))
    }

    /// The client's first words, once all of them came: the lowest and highest server version that it knows.
    ///
    /// # Errors
    /// [`WireError`] for anything else.
    pub fn next_hello(&mut self) -> Result<Option<(u32, u32)>, WireError> {
        let hello = reading("hello");
        let known = self.rest().len().min(HELLO.len());
        if self.rest().get(..known) != HELLO.get(..known) {
            return Err(hello.malformed("does not begin with API"));
        }
        if known < HELLO.len() {
            return Ok(None);
        }
        let before = self.start;
        self.start += HELLO.len();
        let Some(body) = self.next_frame()? else {
            self.start = before;
            return Ok(None);
        };
        let text = String::from_utf8_lossy(body).into_owned();
        let range = text.strip_prefix('v').and_then(|range| {
            let (low, high) = range.split_once("..")?;
            // Connection options may follow after a blank.
            let high = high.split(' ').next()?;
            Some((low.parse().ok()?, high.parse().ok()?))
        });
        let bad = || hello.bad("versions", &text, "v<lowest>..<highest>");
        range.ok_or_else(bad).map(Some)
    }
}

const fn reading(message: &'static str) -> Reading {
    Reading {
        venue: VENUE,
        message,
    }
}

/// The client's first words.
pub fn hello(lowest: u32, highest: u32) -> Vec<u8> {
    [HELLO, &framed(format!("v{lowest}..{highest}").as_bytes())].concat()
}

/// The server's answer to them: its version and its clock, as "20261121 09:30:00 US/Eastern".
pub fn welcome(server_version: u32, clock: &str) -> Vec<u8> {
    framed(format!("{server_version}\0{clock}\0").as_bytes())
}

/// Reads the server's answer to the client's first words.
///
/// # Errors
/// [`WireError`]: not of that form, or a server whose messages are not all protobuf.
pub fn read_welcome(body: &[u8]) -> Result<(u32, String), WireError> {
    let welcome = reading("welcome");
    let text = String::from_utf8_lossy(body);
    let mut words = text.split('\0');
    let version = words.next().unwrap_or_default();
    let clock = words.next().unwrap_or_default();
    let number: Option<u32> = version.parse().ok();
    let number = number
        .filter(|version| *version >= SERVER_VERSION_MIN)
        .ok_or_else(|| welcome.bad("server version", version, "213 or higher"))?;
    Ok((number, clock.to_owned()))
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], body].concat()
}

macro_rules! messages {
    ($(#[$doc:meta])* $name:ident: $($(#[$about:meta])* $variant:ident($type:ty) = $id:literal,)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $($(#[$about])* $variant($type),)*
            /// Of no kind that is read here: its id.
            Other(i32),
        }

        impl $name {
            /// Reads a frame's body.
            ///
            /// # Errors
            /// [`WireError`] for text frames of old servers, and for what is no protobuf.
            pub fn decode(body: &[u8]) -> Result<Self, WireError> {
                let (id, payload) = split(body)?;
                Ok(match id {
                    $($id => $name::$variant(<$type>::decode(payload)
                        .map_err(|e| reading(stringify!($variant)).malformed(&e.to_string()))?),)*
                    other => $name::Other(other),
                })
            }

            /// The whole frame; nothing for a message of another kind.
            pub fn encode(&self) -> Vec<u8> {
                let (id, payload) = match self {
                    $($name::$variant(message) => ($id, message.encode_to_vec()),)*
                    $name::Other(_) => return Vec::new(),
                };
                let id: i32 = id + PROTOBUF_OFFSET;
                framed(&[&id.to_be_bytes()[..], &payload].concat())
            }
        }
    };
}

messages! {
    /// What a client says.
    #[expect(clippy::large_enum_variant, reason = "lives as long as it is looked at")]
    Request:
    /// An order, new or changed.
    PlaceOrder(PlaceOrderRequest) = 3,
    /// The wish to cancel one.
    CancelOrder(CancelOrderRequest) = 4,
    /// Orders at work of this client.
    OpenOrders(Empty) = 5,
    /// Executions of this day.
    Executions(ExecutionRequest) = 7,
    /// The next order id.
    Ids(Empty) = 8,
    /// What a contract is.
    ContractData(ContractDataRequest) = 9,
    /// Orders at work of all clients.
    AllOpenOrders(Empty) = 16,
    /// The clock.
    Clock(Empty) = 49,
    /// All positions, and their changes.
    Positions(Empty) = 61,
    /// Figures of the account, and their changes.
    AccountSummary(AccountSummaryRequest) = 62,
    /// No more changes of figures.
    CancelAccountSummary(RequestId) = 63,
    /// No more changes of positions.
    CancelPositions(Empty) = 64,
    /// Who calls.
    StartApi(StartApiRequest) = 71,
}

messages! {
    /// What the gateway says.
    Reply:
    /// Where an order stands; may be repeated or left out.
    OrderStatus(OrderStatus) = 3,
    /// An error, or a notice that is none.
    Error(ErrorMessage) = 4,
    /// An order at work.
    OpenOrder(OpenOrder) = 5,
    /// The lowest order id that was not used yet.
    NextValidId(NextValidId) = 9,
    /// What a contract is.
    ContractData(ContractData) = 10,
    /// A fill.
    Execution(ExecutionDetails) = 11,
    /// Accounts of the login.
    ManagedAccounts(ManagedAccounts) = 15,
    /// The clock.
    Clock(CurrentTime) = 49,
    /// No more contracts.
    ContractDataEnd(RequestId) = 52,
    /// No more orders at work.
    OpenOrderEnd(Empty) = 53,
    /// No more fills.
    ExecutionEnd(ExecutionDetailsEnd) = 55,
    /// A fill's fee.
    Commission(CommissionReport) = 59,
    /// A position.
    Position(Position) = 61,
    /// No more positions.
    PositionEnd(Empty) = 62,
    /// A figure of the account.
    AccountSummary(AccountSummary) = 63,
    /// No more figures.
    AccountSummaryEnd(RequestId) = 64,
}

fn split(body: &[u8]) -> Result<(i32, &[u8]), WireError> {
    let frame = reading("frame");
    let Some((id, payload)) = body.split_first_chunk::<4>() else {
        return Err(frame.malformed("shorter than its id"));
    };
    // "15\0..." : servers before 201 write ids as text.
    if id.first().is_some_and(u8::is_ascii_digit) {
        return Err(frame.malformed("text of a server before version 201"));
    }
    let id = i32::from_be_bytes(*id);
    match id.checked_sub(PROTOBUF_OFFSET).filter(|id| *id > 0) {
        Some(id) => Ok((id, payload)),
        None => Err(frame.bad("id", &id.to_string(), "above 200, where protobuf follows")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stream_in_any_pieces_gives_the_same_frames() {
        let sent = [
            hello(213, 226),
            Request::StartApi(StartApiRequest { client_id: Some(7) }).encode(),
            Request::OpenOrders(Empty {}).encode(),
        ]
        .concat();
        for size in 1..=sent.len() {
            let mut frames = Frames::default();
            let mut greeted = None;
            let mut seen = Vec::new();
            for piece in sent.chunks(size) {
                frames.push(piece);
                if greeted.is_none() {
                    greeted = frames.next_hello().unwrap();
                }
                if greeted.is_some() {
                    while let Some(body) = frames.next_frame().unwrap() {
                        seen.push(Request::decode(body).unwrap());
                    }
                }
            }
            assert_eq!(greeted, Some((213, 226)));
            let start = Request::StartApi(StartApiRequest { client_id: Some(7) });
            assert_eq!(seen, [start, Request::OpenOrders(Empty {})]);
        }
    }

    #[test]
    fn what_is_no_gateways_frame_is_refused() {
        let mut frames = Frames::default();
        frames.push(b"GET / HTTP/1.1\r\n");
        assert!(frames.next_hello().is_err());
        let mut frames = Frames::default();
        frames.push(&[0xff; 8]);
        assert!(frames.next_frame().is_err());
        assert!(Reply::decode(b"61\x003\x00ACCOUNT_ID\x00").is_err());
        assert!(Reply::decode(&[0, 0]).is_err());
        assert!(Reply::decode(&[0, 0, 0, 61]).is_err());
        assert_eq!(Reply::decode(&[0, 0, 3, 0]), Ok(Reply::Other(568)));
        assert!(read_welcome(b"176\0x\0").is_err());
        assert_eq!(
            read_welcome(b"213\x0020261121 09:30:00 US/Eastern\0"),
            Ok((213, "20261121 09:30:00 US/Eastern".into()))
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), id in 0u8..120) {
            let mut frames = Frames::default();
            frames.push(&bytes);
            let _ = frames.next_hello();
            while let Ok(Some(body)) = frames.next_frame() {
                let _ = (Request::decode(body), Reply::decode(body));
            }
            let body = [&[0, 0, 0, 200u8.saturating_add(id)][..], &bytes].concat();
            let _ = (Request::decode(&body), Reply::decode(&body), read_welcome(&bytes));
        }

        #[test]
        fn a_status_survives_its_frame(order_id in any::<i32>(), filled in "[0-9]{1,9}", price in any::<f64>().prop_filter("a number", |p| !p.is_nan())) {
            let status = Reply::OrderStatus(OrderStatus {
                order_id: Some(order_id),
                filled: Some(filled),
                avg_fill_price: Some(price),
                ..OrderStatus::default()
            });
            let mut frames = Frames::default();
            frames.push(&status.encode());
            let back = Reply::decode(frames.next_frame().unwrap().unwrap()).unwrap();
            prop_assert_eq!(back, status);
        }
    }
}
