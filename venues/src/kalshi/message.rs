//! One websocket message, read in place: numbers stay text until the market's decimals are known.
//!
//! Sources: Kalshi docs, websockets (AsyncAPI). The envelope is `{"type","sid","seq","msg"}`; its `type` is not always the
//! channel's name: `user_orders` sends `user_order`, `market_positions` sends `market_position`, and `market_lifecycle_v2`
//! also sends `event_lifecycle` and `event_fee_update`.
use super::account::{FillText, OrderText, PositionText};
use super::fields::{Raw, Reader, fields, one_dollar, price, qty};
use crate::gateway::{Listed, WireError, shortened};
use onetape_engine::event::{Aggressor, Quote, Trade};
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::Side;
use onetape_engine::time::Nanos;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What a message says of itself.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    /// `type`.
    pub kind: Cow<'a, str>,
    /// The command that it answers.
    pub id: Option<u64>,
    /// Its subscription.
    pub sid: Option<u64>,
    /// Its place in the subscription's sequence, where the channel counts.
    pub seq: Option<u64>,
    body: Raw<'a>,
}

/// A message of the venue.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// A channel is subscribed.
    Subscribed {
        /// The channel's name.
        channel: Cow<'a, str>,
        /// Its subscription.
        sid: u64,
    },
    /// A command is done: `ok`, `unsubscribed`.
    Done,
    /// A command failed, or the venue gave a subscription up.
    Error(VenueError<'a>),
    /// A whole book.
    Snapshot(BookSnapshot<'a>),
    /// A change of one level.
    Delta(BookDelta<'a>),
    /// Best bid and ask.
    Ticker(Ticker<'a>),
    /// A public trade.
    Trade(PublicTrade<'a>),
    /// A fill of ours.
    Fill(FillText<'a>),
    /// The state of an order of ours.
    Order(OrderText<'a>),
    /// A position of ours.
    Position(PositionText<'a>),
    /// A market came, paused, closed, was decided or paid out.
    Lifecycle(Lifecycle<'a>),
    /// An event's fees differ from its series', or do no more.
    EventFees(EventFees<'a>),
    /// Known, and without meaning for the tape.
    Ignored(&'static str),
    /// Of a type that this codec does not know.
    Unknown(String),
}

/// `error`.
#[derive(Clone, Debug)]
pub struct VenueError<'a> {
    /// The venue's code, 1 to 28 as of the documents.
    pub code: u64,
    /// Its words.
    pub words: Cow<'a, str>,
    /// The market that it is about, where it is about one.
    pub market: Option<Cow<'a, str>>,
}

/// `orderbook_snapshot`.
#[derive(Clone, Debug)]
pub struct BookSnapshot<'a> {
    /// `market_ticker`.
    pub market: Cow<'a, str>,
    yes: Raw<'a>,
    no: Raw<'a>,
}

/// `orderbook_delta`.
#[derive(Clone, Debug)]
pub struct BookDelta<'a> {
    /// `market_ticker`.
    pub market: Cow<'a, str>,
    /// When the book changed; zero where it does not say.
    pub venue_time: Nanos,
    outcome: Outcome,
    price: &'a str,
    delta: &'a str,
}

/// `ticker`.
#[derive(Clone, Debug)]
pub struct Ticker<'a> {
    /// `market_ticker`.
    pub market: Cow<'a, str>,
    /// When; zero where it does not say.
    pub venue_time: Nanos,
    bid: (&'a str, &'a str),
    ask: (&'a str, &'a str),
}

/// `trade`.
#[derive(Clone, Debug)]
pub struct PublicTrade<'a> {
    /// `market_ticker`.
    pub market: Cow<'a, str>,
    /// When; zero where it does not say.
    pub venue_time: Nanos,
    /// `trade_id`, a UUID.
    pub trade_id: Cow<'a, str>,
    /// Who took.
    pub aggressor: Aggressor,
    price: &'a str,
    count: &'a str,
}

/// `market_lifecycle_v2`.
#[derive(Clone, Debug)]
pub struct Lifecycle<'a> {
    /// `market_ticker`.
    pub market: Cow<'a, str>,
    /// What happened.
    pub step: LifecycleStep<'a>,
}

/// What happened to a market (Kalshi docs, market lifecycle).
#[derive(Clone, Debug)]
pub enum LifecycleStep<'a> {
    /// Listed; opens when its time comes, without a message.
    Created,
    /// Trades again after a pause or a reopening; its resting orders were cancelled.
    Activated,
    /// Paused.
    Deactivated,
    /// Closes at another time.
    CloseDateUpdated,
    /// Decided, and maybe disputed until it is settled.
    Determined {
        /// What a YES will pay, where the message says so.
        value: Option<&'a str>,
    },
    /// Paid out.
    Settled,
    /// Other ticks.
    PriceLevelsUpdated,
    /// Other words.
    MetadataUpdated,
    /// A step that the documents did not have.
    Unknown(String),
}

/// `event_fee_update`.
#[derive(Clone, Debug)]
pub struct EventFees<'a> {
    /// `event_ticker`.
    pub event: Cow<'a, str>,
    /// `fee_type_override`; `None` where the series' type holds.
    pub fee_type: Option<Cow<'a, str>>,
    /// `fee_multiplier_override`; `None` where the series' multiplier holds.
    pub multiplier: Option<&'a str>,
}

/// Which leg of a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Yes,
    No,
}

/// In which leg's price the NO side of a book stands: the subscription's `use_yes_price`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSide {
    /// NO bids at NO prices: a NO bid at p is a YES ask at 1 - p.
    NoPrice,
    /// NO bids at the YES prices that they are asks at.
    YesPrice,
}

fields!(EnvelopeFields { kind = "type", id, sid, seq, msg });
fields!(SubscribedFields { channel, sid });
fields!(ErrorFields {
    code,
    msg,
    market_ticker
});
fields!(SnapshotFields {
    market_ticker,
    yes = "yes_dollars_fp",
    no = "no_dollars_fp",
});
fields!(DeltaFields {
    market_ticker,
    price_dollars,
    delta_fp,
    side,
    ts_ms
});
fields!(TickerFields {
    market_ticker,
    yes_bid_dollars,
    yes_bid_size_fp,
    yes_ask_dollars,
    yes_ask_size_fp,
    ts_ms,
});
fields!(TradeFields {
    market_ticker,
    trade_id,
    yes_price_dollars,
    count_fp,
    taker_book_side,
    taker_outcome_side,
    taker_side,
    is_block_trade,
    ts_ms,
});
fields!(LifecycleFields {
    market_ticker,
    event_type,
    result,
    settlement_value
});
fields!(EventFeeFields {
    event_ticker,
    fee_type_override,
    fee_multiplier_override
});

/// Reads one message.
///
/// # Errors
/// [`WireError`] naming field and value; never a panic, whatever the bytes.
pub fn decode(bytes: &[u8]) -> Result<(Envelope<'_>, Message<'_>), WireError> {
    let envelope = Envelope::read(bytes)?;
    let message = envelope.message()?;
    Ok((envelope, message))
}

impl<'a> Envelope<'a> {
    /// Reads what a message says of itself.
    ///
    /// # Errors
    /// [`WireError`] when it is no message.
    pub fn read(bytes: &'a [u8]) -> Result<Self, WireError> {
        let reader = Reader("message");
        let f: EnvelopeFields<'a> = reader.object(reader.utf8(bytes)?)?;
        Ok(Self {
            kind: reader.text("type", f.kind)?,
            id: reader.optional_integer("id", f.id)?,
            sid: reader.optional_integer("sid", f.sid)?,
            seq: reader.optional_integer("seq", f.seq)?,
            body: f.msg,
        })
    }

    /// Reads what it is about.
    ///
    /// # Errors
    /// [`WireError`] naming field and value.
    pub fn message(&self) -> Result<Message<'a>, WireError> {
        let body =
            |name| -> Result<&'a str, WireError> { Ok(Reader(name).need("msg", self.body)?.get()) };
        Ok(match self.kind.as_ref() {
            "orderbook_delta" => Message::Delta(BookDelta::read(body("orderbook_delta")?)?),
            "orderbook_snapshot" => {
                Message::Snapshot(BookSnapshot::read(body("orderbook_snapshot")?)?)
            }
            "ticker" => Message::Ticker(Ticker::read(body("ticker")?)?),
            "trade" => trade(body("trade")?)?,
            "fill" => Message::Fill(FillText::read("fill", body("fill")?)?),
            "user_order" => Message::Order(OrderText::read("user_order", body("user_order")?)?),
            "market_position" => {
                let body = body("market_position")?;
                Message::Position(PositionText::read("market_position", body)?)
            }
            "market_lifecycle_v2" => {
                Message::Lifecycle(Lifecycle::read(body("market_lifecycle_v2")?)?)
            }
            "event_fee_update" => Message::EventFees(EventFees::read(body("event_fee_update")?)?),
            "subscribed" => subscribed(body("subscribed")?)?,
            "ok" | "unsubscribed" => Message::Done,
            "error" => Message::Error(VenueError::read(body("error")?)?),
            "event_lifecycle" => Message::Ignored("an event, not a market"),
            "multivariate_market_lifecycle" => Message::Ignored("combinations are not traded"),
            "order_group_updates" => Message::Ignored("order groups are not used"),
            "cfbenchmarks_value" | "pyth_value" => Message::Ignored("an index, not a market"),
            "rfq_created" | "rfq_deleted" | "quote_created" | "quote_accepted"
            | "quote_executed" => Message::Ignored("requests for quotes are not used"),
            other => Message::Unknown(shortened(other)),
        })
    }
}

fn subscribed(body: &str) -> Result<Message<'_>, WireError> {
    let reader = Reader("subscribed");
    let f: SubscribedFields<'_> = reader.object(body)?;
    Ok(Message::Subscribed {
        channel: reader.text("channel", f.channel)?,
        sid: reader.integer("sid", f.sid)?,
    })
}

impl<'a> VenueError<'a> {
    fn read(body: &'a str) -> Result<Self, WireError> {
        let reader = Reader("error");
        let f: ErrorFields<'a> = reader.object(body)?;
        Ok(Self {
            code: reader.integer("code", f.code)?,
            words: reader.optional_text("msg", f.msg)?.unwrap_or_default(),
            market: reader.optional_text("market_ticker", f.market_ticker)?,
        })
    }
}

impl<'a> BookSnapshot<'a> {
    fn read(body: &'a str) -> Result<Self, WireError> {
        let reader = Reader("orderbook_snapshot");
        let f: SnapshotFields<'a> = reader.object(body)?;
        Ok(Self {
            market: reader.text("market_ticker", f.market_ticker)?,
            yes: f.yes,
            no: f.no,
        })
    }

    /// Calls `each` with side, YES price and count of every level. A side that the venue leaves out is empty.
    ///
    /// # Errors
    /// [`WireError`] for a level that is none; `each` may have been called before.
    pub fn levels(
        &self,
        listed: &Listed,
        no_side: NoSide,
        mut each: impl FnMut(Side, Price, Qty),
    ) -> Result<(), WireError> {
        let reader = Reader("orderbook_snapshot");
        for (field, raw, outcome) in [
            ("yes_dollars_fp", self.yes, Outcome::Yes),
            ("no_dollars_fp", self.no, Outcome::No),
        ] {
            if raw.is_none() {
                continue;
            }
            let levels: Vec<[&RawValue; 2]> = reader.list(field, raw)?;
            for [price_text, count] in levels {
                let (side, price) = yes_price(
                    outcome,
                    no_side,
                    reader.number(field, Some(price_text))?,
                    listed,
                )?;
                let qty = reader.qty(field, Some(count), listed)?;
                if qty.0 <= 0 {
                    return Err(reader.bad(field, count.get(), "a count above zero"));
                }
                each(side, price, qty);
            }
        }
        Ok(())
    }
}

impl<'a> BookDelta<'a> {
    fn read(body: &'a str) -> Result<Self, WireError> {
        let reader = Reader("orderbook_delta");
        let f: DeltaFields<'a> = reader.object(body)?;
        Ok(Self {
            market: reader.text("market_ticker", f.market_ticker)?,
            venue_time: reader.milliseconds("ts_ms", f.ts_ms)?,
            outcome: outcome(reader, "side", f.side)?,
            price: reader.number("price_dollars", f.price_dollars)?,
            delta: reader.number("delta_fp", f.delta_fp)?,
        })
    }

    /// Side and YES price of the level, and by how much its count changes.
    ///
    /// # Errors
    /// [`WireError`] for numbers that the market's decimals can't hold.
    pub fn change(
        &self,
        listed: &Listed,
        no_side: NoSide,
    ) -> Result<(Side, Price, Qty), WireError> {
        let (side, price) = yes_price(self.outcome, no_side, self.price, listed)?;
        Ok((side, price, qty("delta_fp", self.delta, listed)?))
    }
}

impl<'a> Ticker<'a> {
    fn read(body: &'a str) -> Result<Self, WireError> {
        let reader = Reader("ticker");
        let f: TickerFields<'a> = reader.object(body)?;
        Ok(Self {
            market: reader.text("market_ticker", f.market_ticker)?,
            venue_time: reader.milliseconds("ts_ms", f.ts_ms)?,
            bid: (
                reader.number("yes_bid_dollars", f.yes_bid_dollars)?,
                reader.number("yes_bid_size_fp", f.yes_bid_size_fp)?,
            ),
            ask: (
                reader.number("yes_ask_dollars", f.yes_ask_dollars)?,
                reader.number("yes_ask_size_fp", f.yes_ask_size_fp)?,
            ),
        })
    }

    /// Best bid and ask. A side at 0 or 1 dollar is an empty one: no order can stand there.
    ///
    /// # Errors
    /// [`WireError::Number`].
    pub fn quote(&self, listed: &Listed) -> Result<Quote, WireError> {
        let one = one_dollar(listed);
        let level = |names: (&'static str, &'static str), text: (&str, &str)| {
            let (price, qty) = (
                price(names.0, text.0, listed)?,
                qty(names.1, text.1, listed)?,
            );
            let stands = price.0 > 0 && price.0 < one && qty.0 != 0;
            Ok::<_, WireError>(if stands {
                (price, qty)
            } else {
                (Price(0), Qty(0))
            })
        };
        let (bid_price, bid_qty) = level(("yes_bid_dollars", "yes_bid_size_fp"), self.bid)?;
        let (ask_price, ask_qty) = level(("yes_ask_dollars", "yes_ask_size_fp"), self.ask)?;
        Ok(Quote {
            instrument: listed.instrument,
            flags: 0,
            venue_time_ns: self.venue_time.0,
            update_id: 0,
            bid_price,
            bid_qty,
            ask_price,
            ask_qty,
        })
    }
}

fn trade(body: &str) -> Result<Message<'_>, WireError> {
    let reader = Reader("trade");
    let f: TradeFields<'_> = reader.object(body)?;
    if reader.flag("is_block_trade", f.is_block_trade)? {
        return Ok(Message::Ignored("a block trade, outside the book"));
    }
    // The taker who gains on YES bought; `taker_side` is the field's old name.
    let aggressor = if f.taker_book_side.is_some() {
        match reader.text("taker_book_side", f.taker_book_side)?.as_ref() {
            "bid" => Aggressor::Buyer,
            "ask" => Aggressor::Seller,
            other => return Err(reader.bad("taker_book_side", other, "bid or ask")),
        }
    } else if f.taker_outcome_side.is_some() {
        outcome(reader, "taker_outcome_side", f.taker_outcome_side)?.aggressor()
    } else if f.taker_side.is_some() {
        outcome(reader, "taker_side", f.taker_side)?.aggressor()
    } else {
        Aggressor::Unknown
    };
    Ok(Message::Trade(PublicTrade {
        market: reader.text("market_ticker", f.market_ticker)?,
        venue_time: reader.milliseconds("ts_ms", f.ts_ms)?,
        trade_id: reader.text("trade_id", f.trade_id)?,
        aggressor,
        price: reader.number("yes_price_dollars", f.yes_price_dollars)?,
        count: reader.number("count_fp", f.count_fp)?,
    }))
}

impl PublicTrade<'_> {
    /// The trade in YES prices.
    ///
    /// # Errors
    /// [`WireError::Number`].
    pub fn trade(&self, listed: &Listed) -> Result<Trade, WireError> {
        Ok(Trade {
            instrument: listed.instrument,
            aggressor: self.aggressor.byte(),
            reserved: [0; 3],
            venue_time_ns: self.venue_time.0,
            trade_id: short_id(&self.trade_id),
            price: price("yes_price_dollars", self.price, listed)?,
            qty: qty("count_fp", self.count, listed)?,
        })
    }
}

/// The first 16 hex digits of a UUID: the tape's ids have 64 bits. Zero for another form.
fn short_id(uuid: &str) -> u64 {
    let digits = uuid.chars().filter(|c| *c != '-').take(16);
    digits
        .map(|c| c.to_digit(16).map(u64::from))
        .try_fold(0, |id, digit| Some(id << 4 | digit?))
        .unwrap_or(0)
}

impl<'a> Lifecycle<'a> {
    fn read(body: &'a str) -> Result<Self, WireError> {
        let reader = Reader("market_lifecycle_v2");
        let f: LifecycleFields<'a> = reader.object(body)?;
        let step = match reader.text("event_type", f.event_type)?.as_ref() {
            "created" => LifecycleStep::Created,
            "activated" => LifecycleStep::Activated,
            "deactivated" => LifecycleStep::Deactivated,
            "close_date_updated" => LifecycleStep::CloseDateUpdated,
            "determined" => LifecycleStep::Determined {
                value: match f.settlement_value {
                    Some(_) => Some(reader.number("settlement_value", f.settlement_value)?),
                    None => result_value(reader, f.result)?,
                },
            },
            "settled" => LifecycleStep::Settled,
            "price_level_structure_updated" => LifecycleStep::PriceLevelsUpdated,
            "metadata_updated" => LifecycleStep::MetadataUpdated,
            other => LifecycleStep::Unknown(shortened(other)),
        };
        Ok(Self {
            market: reader.text("market_ticker", f.market_ticker)?,
            step,
        })
    }
}

/// What a YES pays by the result's name; a scalar result has a value of its own.
pub(super) fn result_value(
    reader: Reader,
    result: Raw<'_>,
) -> Result<Option<&'static str>, WireError> {
    Ok(match reader.optional_text("result", result)?.as_deref() {
        Some("yes") => Some("1"),
        Some("no") => Some("0"),
        None | Some("scalar") => None,
        Some(other) => return Err(reader.bad("result", other, "yes, no or scalar")),
    })
}

impl<'a> EventFees<'a> {
    fn read(body: &'a str) -> Result<Self, WireError> {
        let reader = Reader("event_fee_update");
        let f: EventFeeFields<'a> = reader.object(body)?;
        let multiplier = f.fee_multiplier_override;
        Ok(Self {
            event: reader.text("event_ticker", f.event_ticker)?,
            fee_type: reader.optional_text("fee_type_override", f.fee_type_override)?,
            multiplier: multiplier
                .map(|_| reader.number("fee_multiplier_override", multiplier))
                .transpose()?,
        })
    }
}

impl Outcome {
    const fn aggressor(self) -> Aggressor {
        match self {
            Outcome::Yes => Aggressor::Buyer,
            Outcome::No => Aggressor::Seller,
        }
    }
}

fn outcome(reader: Reader, field: &'static str, raw: Raw<'_>) -> Result<Outcome, WireError> {
    match reader.text(field, raw)?.as_ref() {
        "yes" => Ok(Outcome::Yes),
        "no" => Ok(Outcome::No),
        other => Err(reader.bad(field, other, "yes or no")),
    }
}

/// A level of one leg on the book of YES prices: a NO bid at p is a YES ask at 1 - p.
fn yes_price(
    outcome: Outcome,
    no_side: NoSide,
    text: &str,
    listed: &Listed,
) -> Result<(Side, Price), WireError> {
    let leg = price("price_dollars", text, listed)?;
    let one = one_dollar(listed);
    if leg.0 <= 0 || leg.0 >= one {
        let expected = "a price above 0 and below 1 dollar";
        return Err(Reader("order book").bad("price_dollars", text, expected));
    }
    Ok(match (outcome, no_side) {
        (Outcome::Yes, _) => (Side::Buy, leg),
        (Outcome::No, NoSide::YesPrice) => (Side::Sell, leg),
        (Outcome::No, NoSide::NoPrice) => (Side::Sell, Price(one - leg.0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetape_engine::id::InstrumentId;
    use onetape_engine::number::Decimals;
    use proptest::prelude::*;

    fn listed() -> Listed {
        Listed {
            instrument: InstrumentId(3),
            symbol: "M".to_owned(),
            decimals: Decimals::new(4, 2).unwrap(),
        }
    }

    fn read(text: &str) -> Message<'_> {
        decode(text.as_bytes()).unwrap().1
    }

    #[test]
    fn a_no_bid_is_a_yes_ask_unless_the_venue_has_turned_it_already() {
        let text = r#"{"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker":"M","price_dollars":"0.56","delta_fp":"-1.50","side":"no","ts_ms":7}}"#;
        let Message::Delta(delta) = read(text) else {
            panic!("not a delta")
        };
        let change = |no_side| delta.change(&listed(), no_side).unwrap();
        assert_eq!(
            change(NoSide::NoPrice),
            (Side::Sell, Price(4_400), Qty(-150))
        );
        assert_eq!(
            change(NoSide::YesPrice),
            (Side::Sell, Price(5_600), Qty(-150))
        );
        assert_eq!(delta.venue_time, Nanos(7_000_000));
    }

    #[test]
    fn a_ticker_without_a_side_is_a_quote_without_it() {
        let text = r#"{"type":"ticker","sid":1,"msg":{"market_ticker":"M","yes_bid_dollars":"0.0000","yes_bid_size_fp":"0.00","yes_ask_dollars":"0.530","yes_ask_size_fp":"150.00","ts_ms":1}}"#;
        let Message::Ticker(ticker) = read(text) else {
            panic!("not a ticker")
        };
        let quote = ticker.quote(&listed()).unwrap();
        assert_eq!((quote.bid_price, quote.bid_qty), (Price(0), Qty(0)));
        assert_eq!(
            (quote.ask_price, quote.ask_qty),
            (Price(5_300), Qty(15_000))
        );
    }

    #[test]
    fn the_takers_direction_is_read_from_the_new_fields_first() {
        let trade = |fields: &str| {
            let text = format!(
                r#"{{"type":"trade","sid":1,"msg":{{"market_ticker":"M","trade_id":"d91bc706-ee49-470d-82d8-11418bda6fed","yes_price_dollars":"0.36","count_fp":"2.00"{fields}}}}}"#
            );
            match read(&text) {
                Message::Trade(trade) => trade.trade(&listed()).unwrap(),
                other => panic!("{other:?}"),
            }
        };
        let who = |fields| trade(fields).aggressor();
        assert_eq!(who(r#","taker_side":"no""#), Aggressor::Seller);
        assert_eq!(
            who(r#","taker_side":"no","taker_book_side":"bid""#),
            Aggressor::Buyer
        );
        assert_eq!(
            who(r#","taker_side":"yes","taker_outcome_side":"no""#),
            Aggressor::Seller
        );
        assert_eq!(who(""), Aggressor::Unknown);
        assert_eq!(trade("").trade_id, 0xd91b_c706_ee49_470d);
    }

    #[test]
    fn block_trades_and_foreign_channels_are_named() {
        let block = r#"{"type":"trade","sid":1,"msg":{"is_block_trade":true}}"#;
        assert!(matches!(read(block), Message::Ignored(_)));
        assert!(matches!(
            read(r#"{"type":"pyth_value","msg":{}}"#),
            Message::Ignored(_)
        ));
        let Message::Unknown(name) = read(r#"{"type":"brand_new"}"#) else {
            panic!("known")
        };
        assert_eq!(name, "brand_new");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, error) in [
            (
                r#"{"type":"orderbook_delta","msg":{"market_ticker":"M","price_dollars":"0.5","delta_fp":"1","side":"maybe"}}"#,
                "kalshi: field 'side' of orderbook_delta is maybe: expected yes or no",
            ),
            (
                r#"{"type":"ticker","sid":-1}"#,
                "kalshi: field 'sid' of message is -1: expected a whole number that is not negative",
            ),
            (
                r#"{"type":"error"}"#,
                "kalshi: field 'msg' of error is missing: expected a value",
            ),
        ] {
            assert_eq!(decode(text.as_bytes()).unwrap_err().to_string(), error);
        }
        let text = r#"{"type":"orderbook_delta","msg":{"market_ticker":"M","price_dollars":"1.00","delta_fp":"1","side":"yes"}}"#;
        let Message::Delta(delta) = read(text) else {
            panic!("not a delta")
        };
        assert!(delta.change(&listed(), NoSide::NoPrice).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }

        #[test]
        fn both_ways_to_quote_no_give_the_same_book(price in 1i64..10_000, count in 1i64..1_000_000) {
            let number = |mantissa, decimals| rust_decimal::Decimal::new(mantissa, decimals);
            let delta = |price: i64| format!(
                r#"{{"type":"orderbook_delta","sid":1,"seq":1,"msg":{{"market_ticker":"M","price_dollars":"{}","delta_fp":"{}","side":"no"}}}}"#,
                number(price, 4), number(count, 2),
            );
            let change = |text: &str, no_side| match read(text) {
                Message::Delta(delta) => delta.change(&listed(), no_side).unwrap(),
                other => panic!("{other:?}"),
            };
            let in_no = change(&delta(price), NoSide::NoPrice);
            let in_yes = change(&delta(10_000 - price), NoSide::YesPrice);
            prop_assert_eq!(in_no, in_yes);
            prop_assert_eq!(in_no, (Side::Sell, Price(10_000 - price), Qty(count)));
        }
    }
}
