//! Order intents from outside: one key, one intent, for ever.
use onetape_engine::event::{Event, InstrumentDefined, IntentReceived};
use onetape_engine::id::Sequence;
use onetape_engine::market::Market;
use onetape_engine::number::{NumberError, Price};
use onetape_engine::order::{OrderType, Side};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde::Deserialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An intent as it comes over HTTP. Prices and quantities are texts or numbers, read exactly.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentRequest {
    /// "ib:HOOD".
    pub instrument: String,
    /// Buy or sell.
    pub side: Side,
    /// Limit, market or stop.
    pub order_type: OrderType,
    /// Limit or trigger price; not for a market order.
    #[serde(default)]
    pub price: Option<Decimal>,
    /// Quantity.
    pub qty: Decimal,
    /// Stop-loss of the bracket.
    #[serde(default)]
    pub stop_loss: Option<Decimal>,
    /// Target of the bracket.
    #[serde(default)]
    pub target: Option<Decimal>,
    /// The key of the intent that this one corrects.
    #[serde(default)]
    pub replaces: Option<String>,
    /// What the sender calls it.
    #[serde(default)]
    pub client_tag: String,
}

/// The instruments that intents may name: those on the tape, and those on their way to it. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Nameable(Arc<Mutex<Market>>);

impl Nameable {
    /// Adds one; its number is that of those before it.
    pub fn add(&self, definition: &InstrumentDefined) {
        let event = Event::InstrumentDefined(Box::new(definition.clone()));
        // The tape takes them in this order, too, so none is refused here that stands there.
        let _ = self.market().evolve(Sequence(0), Nanos(0), &event);
    }

    /// The event of a request, checked against its instrument.
    ///
    /// # Errors
    /// [`BadIntent`].
    pub fn event(&self, request: &IntentRequest, key: &str) -> Result<IntentReceived, BadIntent> {
        request.event(key, &self.market())
    }

    fn market(&self) -> MutexGuard<'_, Market> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an intent can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadIntent {
    /// No such instrument on the tape.
    #[error("instrument '{0}' is not on the tape")]
    UnknownInstrument(String),
    /// A number that the instrument's decimals can't hold.
    #[error("{field} is {value}: {why}")]
    Number {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: String,
        /// Why not.
        why: NumberError,
    },
    /// Fields that do not go together.
    #[error("{0}")]
    Rule(&'static str),
}

/// The longest key.
const KEY_MAX: usize = 128;

impl IntentRequest {
    /// The event, checked against the instrument.
    ///
    /// # Errors
    /// [`BadIntent`].
    pub fn event(&self, key: &str, market: &Market) -> Result<IntentReceived, BadIntent> {
        let plain = |c: char| c.is_ascii_graphic();
        if key.is_empty() || key.len() > KEY_MAX || !key.chars().all(plain) {
            let rule = "the Idempotency-Key must be 1 to 128 printable characters without blanks";
            return Err(BadIntent::Rule(rule));
        }
        let unknown = || BadIntent::UnknownInstrument(self.instrument.clone());
        let instrument = market.find(&self.instrument).ok_or_else(unknown)?;
        let d = instrument.decimals();
        let price_of = |field, value: Decimal| {
            let bad = |why| BadIntent::Number {
                field,
                value: value.to_string(),
                why,
            };
            d.price_from(value).map_err(bad)
        };
        let price = match (self.order_type, self.price) {
            (OrderType::Market, None) => Price(0),
            (OrderType::Market, Some(_)) => {
                return Err(BadIntent::Rule("a market order has no price"));
            }
            (_, None) => return Err(BadIntent::Rule("a limit or stop order needs a price")),
            (_, Some(price)) => price_of("price", price)?,
        };
        let qty = d.qty_from(self.qty).map_err(|why| BadIntent::Number {
            field: "qty",
            value: self.qty.to_string(),
            why,
        })?;
        if qty.0 <= 0 {
            return Err(BadIntent::Rule("qty must be positive"));
        }
        let optional =
            |field, value: Option<Decimal>| value.map(|v| price_of(field, v)).transpose();
        Ok(IntentReceived {
            key: key.to_owned(),
            instrument: instrument.id(),
            side: self.side,
            order_type: self.order_type,
            price,
            qty,
            stop_loss: optional("stop_loss", self.stop_loss)?,
            target: optional("target", self.target)?,
            replaces: self.replaces.clone(),
            client_tag: self.client_tag.clone(),
        })
    }
}
