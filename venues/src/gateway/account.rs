//! Facts about our own account, in one form for all venues.
use onetape_engine::event::Liquidity;
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{OrderState, Side};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;

/// How a venue names an order in what it says; at least one of the two is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderKey {
    /// Our own id, as it was sent.
    pub client_id: Option<String>,
    /// The venue's id.
    pub venue_id: Option<String>,
}

/// How an order stands at the venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderFact {
    /// Which order.
    pub key: OrderKey,
    /// In what.
    pub instrument: InstrumentId,
    /// `Acked`, `PartiallyFilled`, `Filled`, `Cancelled`, `Rejected` or `Expired`; `Sent` where all that is known is that the
    /// venue lists it.
    pub state: OrderState,
    /// Filled so far, where the venue says so.
    pub filled: Option<Qty>,
    /// The venue's own words on why, empty where there are none.
    pub why: String,
}

/// A fill of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillFact {
    /// Which order.
    pub key: OrderKey,
    /// In what.
    pub instrument: InstrumentId,
    /// The venue's id of the fill, unique in the instrument.
    pub fill_id: String,
    /// Bought or sold.
    pub side: Side,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
    /// Fee in the instrument's quote currency, where the venue says so; what the venue takes in another currency is
    /// converted at the fill's price where that is the base currency, and `None` otherwise.
    pub fee: Option<Decimal>,
    /// Maker or taker.
    pub liquidity: Liquidity,
    /// The venue's time.
    pub at: Nanos,
    /// False while the venue may still take it back (Polymarket before CONFIRMED).
    pub is_final: bool,
}

/// A balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Currency, upper case.
    pub currency: String,
    /// What can be spent.
    pub free: Decimal,
    /// What open orders hold back.
    pub locked: Decimal,
}

/// A position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// In what.
    pub instrument: InstrumentId,
    /// Signed quantity.
    pub qty: Qty,
}

/// A fact about our account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountFact {
    /// An order's state.
    Order(OrderFact),
    /// A fill.
    Fill(FillFact),
    /// A fill that the venue took back (Polymarket FAILED): its id and instrument.
    FillReversed {
        /// In what.
        instrument: InstrumentId,
        /// The venue's id of the fill.
        fill_id: String,
    },
    /// A balance.
    Balance(Balance),
    /// A position.
    Holding(Holding),
    /// The connection that tells of orders began or lost its way: what happened meanwhile must be asked for.
    Resync,
}
