//! The subscriptions of one socket and the commands that make them.
//!
//! Each channel is asked for by a command of its own, so that an answer names one channel. Its messages come under the
//! `sid` that the acknowledgement gives; those of an older `sid` belong to a subscription that was given up.
use onetape_engine::time::Nanos;
use serde_json::{Value, json};

/// A channel of the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Book,
    Trades,
    Ticker,
    Lifecycle,
    Orders,
    Fills,
    Positions,
}

impl Channel {
    /// Channels of the market.
    pub(super) const PUBLIC: [Channel; 4] = [
        Channel::Book,
        Channel::Trades,
        Channel::Ticker,
        Channel::Lifecycle,
    ];
    /// Channels of our account.
    pub(super) const ACCOUNT: [Channel; 3] = [Channel::Orders, Channel::Fills, Channel::Positions];

    /// The channel's name in commands.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Channel::Book => "orderbook_delta",
            Channel::Trades => "trade",
            Channel::Ticker => "ticker",
            Channel::Lifecycle => "market_lifecycle_v2",
            Channel::Orders => "user_orders",
            Channel::Fills => "fill",
            Channel::Positions => "market_positions",
        }
    }

    /// Whether it is subscribed for named markets: the lifecycle takes no filter, and of our account everything counts.
    pub(super) const fn is_of_markets(self) -> bool {
        matches!(self, Channel::Book | Channel::Trades | Channel::Ticker)
    }

    pub(super) const fn is_of_account(self) -> bool {
        matches!(self, Channel::Orders | Channel::Fills | Channel::Positions)
    }
}

/// How a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// To be asked for from then on.
    Due { from: Nanos },
    /// Asked for; not acknowledged yet.
    Asked { id: u64, at: Nanos },
    /// Acknowledged.
    Live { sid: u64, last_seq: Option<u64> },
    /// The venue will not give it.
    Refused,
}

/// What a sequence number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next one, or one of a channel that does not count.
    Next,
    /// Seen before.
    Old,
    /// Something is missing: the number that was built on and the one that is built on now.
    Gap { expected: u64, found: u64 },
}

/// One channel's subscription.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscription {
    pub(super) channel: Channel,
    pub(super) state: State,
}

impl Subscription {
    pub(super) const fn new(channel: Channel) -> Self {
        Self {
            channel,
            state: State::Due { from: Nanos(0) },
        }
    }

    /// Its `sid`, while it is live.
    pub(super) const fn sid(&self) -> Option<u64> {
        match self.state {
            State::Live { sid, .. } => Some(sid),
            _ => None,
        }
    }

    /// Takes a message's sequence number. Several markets share the count, so a gap concerns all of them.
    pub(super) const fn advance(&mut self, seq: Option<u64>) -> Step {
        let (State::Live { last_seq, .. }, Some(seq)) = (&mut self.state, seq) else {
            return Step::Next;
        };
        let step = match *last_seq {
            Some(last) if seq <= last => return Step::Old,
            Some(last) if seq - 1 != last => Step::Gap {
                expected: last,
                found: seq - 1,
            },
            _ => Step::Next,
        };
        *last_seq = Some(seq);
        step
    }
}

/// The command that subscribes a channel. `use_yes_price` is always said: the venue's default will change.
pub(super) fn subscribe(
    id: u64,
    channel: Channel,
    markets: &[&str],
    use_yes_price: bool,
) -> String {
    let mut params = json!({ "channels": [channel.name()] });
    if let Value::Object(params) = &mut params {
        if channel.is_of_markets() {
            params.insert("market_tickers".to_owned(), json!(markets));
        }
        if channel == Channel::Book {
            params.insert("use_yes_price".to_owned(), json!(use_yes_price));
        }
    }
    json!({ "id": id, "cmd": "subscribe", "params": params }).to_string()
}

/// The command that ends subscriptions.
pub(super) fn unsubscribe(id: u64, sid: u64) -> String {
    json!({ "id": id, "cmd": "unsubscribe", "params": { "sids": [sid] } }).to_string()
}

/// The command that changes a subscription: "get_snapshot", "add_markets".
pub(super) fn update(id: u64, sid: u64, action: &str, markets: &[&str]) -> String {
    json!({
        "id": id,
        "cmd": "update_subscription",
        "params": { "sids": [sid], "market_tickers": markets, "action": action },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_each_other_repeat_or_leave_a_gap() {
        let mut book = Subscription::new(Channel::Book);
        assert_eq!(book.advance(Some(9)), Step::Next);
        book.state = State::Live {
            sid: 1,
            last_seq: None,
        };
        for (seq, step) in [
            (Some(2), Step::Next),
            (Some(3), Step::Next),
            (None, Step::Next),
            (Some(3), Step::Old),
            (
                Some(7),
                Step::Gap {
                    expected: 3,
                    found: 6,
                },
            ),
            (Some(8), Step::Next),
            (Some(0), Step::Old),
        ] {
            assert_eq!(book.advance(seq), step, "{seq:?}");
        }
    }

    #[test]
    fn a_book_is_subscribed_with_the_flag_and_an_account_without_markets() {
        let book: Value =
            serde_json::from_str(&subscribe(2, Channel::Book, &["A", "B"], false)).unwrap();
        assert_eq!(
            book,
            json!({"id":2,"cmd":"subscribe","params":{"channels":["orderbook_delta"],"market_tickers":["A","B"],"use_yes_price":false}})
        );
        let fills: Value =
            serde_json::from_str(&subscribe(3, Channel::Fills, &["A"], true)).unwrap();
        assert_eq!(
            fills,
            json!({"id":3,"cmd":"subscribe","params":{"channels":["fill"]}})
        );
    }
}
