//! Our own orders, fills and positions, in the form that the websocket and the REST answers share.
//!
//! The direction comes from `book_side` and `outcome_side` alone: in V2 every order says `side: yes`, and `side`,
//! `action`, `is_yes` and `purchased_side` are on their way out (Kalshi docs, order direction).
use super::fields::{Raw, Reader, fields};
use super::stamps;
use crate::gateway::{FillFact, Holding, Instruments, OrderFact, OrderKey, WireError};
use onetape_engine::event::Liquidity;
use onetape_engine::number::Qty;
use onetape_engine::order::{OrderState, Side};
use onetape_engine::time::{Nanos, SECOND_NS};
use serde_json::value::RawValue;
use std::borrow::Cow;

fields!(OrderFields {
    order_id,
    client_order_id,
    ticker,
    market_ticker,
    status,
    fill_count_fp,
    initial_count_fp,
    last_update_reason,
});
fields!(FillFields {
    trade_id,
    fill_id,
    order_id,
    client_order_id,
    ticker,
    market_ticker,
    book_side,
    outcome_side,
    yes_price_dollars,
    count_fp,
    is_taker,
    fee_cost,
    ts_ms,
    created_time,
    ts,
});
fields!(PositionFields {
    ticker,
    market_ticker,
    position_fp
});

/// The market's name: REST says `ticker`, most of the websocket `market_ticker`.
fn market<'a>(reader: Reader, first: Raw<'a>, second: Raw<'a>) -> Result<Cow<'a, str>, WireError> {
    reader.text("ticker", first.or(second))
}

/// An order of ours: `user_order`, GET /portfolio/orders.
#[derive(Clone, Debug)]
pub struct OrderText<'a> {
    /// The market.
    pub market: Cow<'a, str>,
    /// The venue's id.
    pub order_id: Cow<'a, str>,
    /// Our id, where it has one.
    pub client_id: Option<Cow<'a, str>>,
    reader: Reader,
    status: Cow<'a, str>,
    why: Option<Cow<'a, str>>,
    filled: Raw<'a>,
    initial: Raw<'a>,
}

impl<'a> OrderText<'a> {
    pub(super) fn read(message: &'static str, text: &'a str) -> Result<Self, WireError> {
        let reader = Reader(message);
        let f: OrderFields<'a> = reader.object(text)?;
        Ok(Self {
            market: market(reader, f.ticker, f.market_ticker)?,
            order_id: reader.text("order_id", f.order_id)?,
            client_id: reader.optional_text("client_order_id", f.client_order_id)?,
            reader,
            status: reader.text("status", f.status)?,
            why: reader.optional_text("last_update_reason", f.last_update_reason)?,
            filled: f.fill_count_fp,
            initial: f.initial_count_fp,
        })
    }

    /// How the order stands; `None` where its market is not on the tape.
    ///
    /// # Errors
    /// [`WireError`] for a status or a count that the protocol does not have.
    pub fn fact(&self, instruments: &Instruments) -> Result<Option<OrderFact>, WireError> {
        let Some(listed) = instruments.symbol(&self.market) else {
            return Ok(None);
        };
        let filled = self.reader.qty("fill_count_fp", self.filled, listed)?;
        let initial = match self.initial {
            Some(_) => Some(self.reader.qty("initial_count_fp", self.initial, listed)?),
            None => None,
        };
        let all = initial.is_none_or(|initial| filled >= initial);
        let state = match self.status.as_ref() {
            "resting" if filled.0 > 0 => OrderState::PartiallyFilled,
            "resting" => OrderState::Acked,
            // An order that took what it could and whose rest was taken back is "executed" as well.
            "executed" if all => OrderState::Filled,
            "executed" | "canceled" => OrderState::Cancelled,
            other => {
                let expected = "resting, canceled or executed";
                return Err(self.reader.bad("status", other, expected));
            }
        };
        Ok(Some(OrderFact {
            key: key(self.client_id.as_deref(), &self.order_id),
            instrument: listed.instrument,
            state,
            filled: Some(filled),
            why: self.why.as_deref().unwrap_or_default().to_owned(),
        }))
    }
}

/// A fill of ours: `fill`, GET /portfolio/fills.
#[derive(Clone, Debug)]
pub struct FillText<'a> {
    /// The market.
    pub market: Cow<'a, str>,
    /// The venue's id of the order.
    pub order_id: Cow<'a, str>,
    reader: Reader,
    client_id: Option<Cow<'a, str>>,
    fill_id: Cow<'a, str>,
    book_side: Option<Cow<'a, str>>,
    outcome_side: Option<Cow<'a, str>>,
    price: Raw<'a>,
    count: Raw<'a>,
    is_taker: Raw<'a>,
    fee: Raw<'a>,
    at: Nanos,
}

impl<'a> FillText<'a> {
    pub(super) fn read(message: &'static str, text: &'a str) -> Result<Self, WireError> {
        let reader = Reader(message);
        let f: FillFields<'a> = reader.object(text)?;
        let at = if f.ts_ms.is_some() {
            reader.milliseconds("ts_ms", f.ts_ms)?
        } else if f.created_time.is_some() {
            time(reader, "created_time", f.created_time)?
        } else {
            let seconds = reader.optional_integer("ts", f.ts)?.unwrap_or(0);
            Nanos(seconds.saturating_mul(SECOND_NS))
        };
        Ok(Self {
            market: market(reader, f.ticker, f.market_ticker)?,
            order_id: reader.text("order_id", f.order_id)?,
            reader,
            client_id: reader.optional_text("client_order_id", f.client_order_id)?,
            // The websocket knows the trade's id only; where both stand they are equal.
            fill_id: reader.text("trade_id", f.trade_id.or(f.fill_id))?,
            book_side: reader.optional_text("book_side", f.book_side)?,
            outcome_side: reader.optional_text("outcome_side", f.outcome_side)?,
            price: f.yes_price_dollars,
            count: f.count_fp,
            is_taker: f.is_taker,
            fee: f.fee_cost,
            at,
        })
    }

    /// The fill; `None` where its market is not on the tape.
    ///
    /// # Errors
    /// [`WireError`] for numbers that don't fit, and for a fill that does not say its direction.
    pub fn fact(&self, instruments: &Instruments) -> Result<Option<FillFact>, WireError> {
        let Some(listed) = instruments.symbol(&self.market) else {
            return Ok(None);
        };
        let reader = self.reader;
        let qty = reader.qty("count_fp", self.count, listed)?;
        if qty.0 <= 0 {
            return Err(reader.bad("count_fp", &qty.0.to_string(), "a count above zero"));
        }
        let fee = match self.fee {
            Some(_) => Some(reader.decimal("fee_cost", self.fee)?),
            None => None,
        };
        if let Some(fee) = fee.filter(|fee| fee.is_sign_negative() && !fee.is_zero()) {
            let expected = "a fee that is not negative";
            return Err(reader.bad("fee_cost", &fee.to_string(), expected));
        }
        reader.need("is_taker", self.is_taker)?;
        let liquidity = match reader.flag("is_taker", self.is_taker)? {
            true => Liquidity::Taker,
            false => Liquidity::Maker,
        };
        Ok(Some(FillFact {
            key: key(self.client_id.as_deref(), &self.order_id),
            instrument: listed.instrument,
            fill_id: self.fill_id.clone().into_owned(),
            side: self.side()?,
            price: reader.price("yes_price_dollars", self.price, listed)?,
            qty,
            fee,
            liquidity,
            at: self.at,
            is_final: true,
        }))
    }

    fn side(&self) -> Result<Side, WireError> {
        let reader = self.reader;
        let by_book = match self.book_side.as_deref() {
            None => None,
            Some("bid") => Some(Side::Buy),
            Some("ask") => Some(Side::Sell),
            Some(other) => return Err(reader.bad("book_side", other, "bid or ask")),
        };
        let by_outcome = match self.outcome_side.as_deref() {
            None => None,
            Some("yes") => Some(Side::Buy),
            Some("no") => Some(Side::Sell),
            Some(other) => return Err(reader.bad("outcome_side", other, "yes or no")),
        };
        match (by_book, by_outcome) {
            (Some(book), Some(outcome)) if book != outcome => {
                let value = self.outcome_side.as_deref().unwrap_or_default();
                Err(reader.bad("outcome_side", value, "the direction that book_side says"))
            }
            (Some(side), _) | (None, Some(side)) => Ok(side),
            (None, None) => Err(reader.bad("book_side", "missing", "bid or ask")),
        }
    }
}

/// A position of ours: `market_position`, GET /portfolio/positions.
#[derive(Clone, Debug)]
pub struct PositionText<'a> {
    /// The market.
    pub market: Cow<'a, str>,
    reader: Reader,
    position: Raw<'a>,
}

impl<'a> PositionText<'a> {
    pub(super) fn read(message: &'static str, text: &'a str) -> Result<Self, WireError> {
        let reader = Reader(message);
        let f: PositionFields<'a> = reader.object(text)?;
        Ok(Self {
            market: market(reader, f.ticker, f.market_ticker)?,
            reader,
            position: f.position_fp,
        })
    }

    /// The position in YES contracts: NO contracts are negative. `None` where its market is not on the tape.
    ///
    /// # Errors
    /// [`WireError`] for a count that does not fit.
    pub fn fact(&self, instruments: &Instruments) -> Result<Option<Holding>, WireError> {
        let Some(listed) = instruments.symbol(&self.market) else {
            return Ok(None);
        };
        let qty: Qty = self.reader.qty("position_fp", self.position, listed)?;
        Ok(Some(Holding {
            instrument: listed.instrument,
            qty,
        }))
    }
}

fn key(client_id: Option<&str>, venue_id: &str) -> OrderKey {
    OrderKey {
        client_id: client_id.map(str::to_owned),
        venue_id: Some(venue_id.to_owned()),
    }
}

/// A time in RFC 3339.
pub(super) fn time(
    reader: Reader,
    field: &'static str,
    raw: Option<&RawValue>,
) -> Result<Nanos, WireError> {
    let text = reader.text(field, raw)?;
    stamps::rfc3339(&text).ok_or_else(|| reader.bad(field, &text, "a time in RFC 3339"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Listed;
    use onetape_engine::id::InstrumentId;
    use onetape_engine::number::{Decimals, Price};

    fn instruments() -> Instruments {
        Instruments::new([Listed {
            instrument: InstrumentId(3),
            symbol: "M".to_owned(),
            decimals: Decimals::new(4, 2).unwrap(),
        }])
    }

    fn order(status: &str, filled: &str) -> Result<Option<OrderFact>, WireError> {
        let text = format!(
            r#"{{"order_id":"o","client_order_id":"c","ticker":"M","status":"{status}","side":"yes","fill_count_fp":"{filled}","initial_count_fp":"10.00"}}"#
        );
        OrderText::read("order", &text)?.fact(&instruments())
    }

    #[test]
    fn a_status_and_its_counts_make_a_state() {
        for (status, filled, state) in [
            ("resting", "0.00", OrderState::Acked),
            ("resting", "0.01", OrderState::PartiallyFilled),
            ("executed", "10.00", OrderState::Filled),
            ("executed", "4.00", OrderState::Cancelled),
            ("canceled", "4.00", OrderState::Cancelled),
        ] {
            let fact = order(status, filled).unwrap().unwrap();
            assert_eq!(fact.state, state, "{status} {filled}");
        }
        assert_eq!(
            order("pending", "0").unwrap_err().to_string(),
            "kalshi: field 'status' of order is pending: expected resting, canceled or executed"
        );
    }

    #[test]
    fn a_fills_direction_is_never_taken_from_the_old_fields() {
        let fill = |fields: &str| {
            let text = format!(
                r#"{{"trade_id":"t","order_id":"o","market_ticker":"M","is_taker":false,"side":"yes","action":"buy","purchased_side":"yes","yes_price_dollars":"0.56","count_fp":"2.00","ts_ms":5{fields}}}"#
            );
            let read = FillText::read("fill", &text)?;
            read.fact(&instruments()).map(Option::unwrap)
        };
        let sold = fill(r#","book_side":"ask","outcome_side":"no","fee_cost":"0.0100""#).unwrap();
        assert_eq!((sold.side, sold.price), (Side::Sell, Price(5_600)));
        assert_eq!(sold.fee.map(|fee| fee.to_string()), Some("0.0100".into()));
        assert_eq!(fill(r#","outcome_side":"yes""#).unwrap().side, Side::Buy);
        assert!(fill("").is_err());
        assert!(fill(r#","book_side":"bid","outcome_side":"no""#).is_err());
        assert!(fill(r#","book_side":"bid","fee_cost":"-0.01""#).is_err());
    }

    #[test]
    fn a_market_that_is_not_on_the_tape_gives_no_fact() {
        let position = PositionText::read("p", r#"{"ticker":"X","position_fp":"-5.00"}"#).unwrap();
        assert_eq!(position.fact(&instruments()).unwrap(), None);
        let position = PositionText::read("p", r#"{"ticker":"M","position_fp":"-5.00"}"#).unwrap();
        assert_eq!(
            position.fact(&instruments()).unwrap(),
            Some(Holding {
                instrument: InstrumentId(3),
                qty: Qty(-500)
            })
        );
    }
}
