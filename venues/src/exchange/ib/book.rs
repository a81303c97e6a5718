//! Orders as a gateway knows them.
use super::VENUE;
use crate::exchange::{ClientIds, Exchange, NewVenueOrder, PlaceError, Truth, VenueOrder};
use crate::gateway::fields::decimal_from_text;
use crate::ib::{decimal, proto};
use onetape_engine::number::Qty;
use onetape_engine::order::{OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use std::collections::BTreeMap;

/// Who placed an order, and under which number.
pub(super) type Place = (i32, i32);

/// Where an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Held by the gateway until one of its bracket is transmitted.
    Held,
    /// Transmitted, and waits for its parent's fill.
    Waiting,
    /// At the exchange, under its number there.
    Sent(u64),
    /// Ended before it ever was at the exchange.
    Dropped,
}

/// An order as a client placed it.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) contract: proto::Contract,
    pub(super) order: proto::Order,
    pub(super) new: NewVenueOrder,
    pub(super) stage: Stage,
    /// As much of its fills as the others of its group were reduced by.
    told: Qty,
}

impl Placed {
    /// The name of its one-cancels-all group.
    fn group(&self) -> Option<&str> {
        group_of(&self.order)
    }
}

fn group_of(order: &proto::Order) -> Option<&str> {
    order.oca_group.as_deref().filter(|name| !name.is_empty())
}

/// Why an order was not taken, or not taken back.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// Which order.
    pub(super) order_id: i32,
    /// The gateway's code.
    pub(super) code: i32,
    /// Its words.
    pub(super) words: String,
}

/// A code and words, of an order that is named later.
type Words = (i32, String);

fn of(order_id: i32, (code, words): Words) -> Refusal {
    Refusal {
        order_id,
        code,
        words,
    }
}

/// Orders of all clients.
#[derive(Debug, Default)]
pub(super) struct Book {
    orders: BTreeMap<Place, Placed>,
    by_exchange_id: BTreeMap<u64, Place>,
    highest_id: i32,
}

impl Book {
    /// The lowest order id that was not used yet.
    pub(super) const fn next_id(&self) -> i32 {
        self.highest_id.saturating_add(1)
    }

    pub(super) fn get(&self, place: Place) -> Option<&Placed> {
        self.orders.get(&place)
    }

    pub(super) fn by_exchange_id(&self, id: u64) -> Option<(Place, &Placed)> {
        let place = self.by_exchange_id.get(&id)?;
        Some((*place, self.orders.get(place)?))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Place, &Placed)> {
        self.orders.iter()
    }

    /// Takes an order; one that is transmitted goes to the exchange, with what was held of its bracket. Returns the orders that
    /// are at work by that.
    pub(super) fn place(
        &mut self,
        exchange: &Exchange,
        client_id: i32,
        request: proto::PlaceOrderRequest,
        account: &str,
    ) -> Result<Vec<Place>, Refusal> {
        let id = request.order_id.unwrap_or_default();
        if id <= self.highest_id {
            return Err(of(id, (103, "Duplicate order id".to_owned())));
        }
        let contract = request.contract.unwrap_or_default();
        let order = request.order.unwrap_or_default();
        if order
            .account
            .as_deref()
            .is_some_and(|own| !own.is_empty() && own != account)
        {
            let words = "Error validating request: invalid account";
            return Err(of(id, (321, words.to_owned())));
        }
        let new = exchange.with(|truth| read(truth, id, &contract, &order));
        let new = new.map_err(|words| of(id, words))?;
        let parent = order
            .parent_id
            .filter(|parent| *parent != 0)
            .map(|parent| (client_id, parent));
        if parent.is_some_and(|parent| !self.orders.contains_key(&parent)) {
            let words = "Can't find order with id of the parent";
            return Err(of(id, (135, words.to_owned())));
        }
        let is_used = |placed: &Placed| placed.told > Qty(0) && placed.group() == group_of(&order);
        if group_of(&order).is_some() && self.orders.values().any(is_used) {
            let words = "Order rejected - reason:an order of the OCA group has filled";
            return Err(of(id, (201, words.to_owned())));
        }
        self.highest_id = id;
        // Clients leave it out where it is false.
        let is_transmitted = order.transmit.unwrap_or(false);
        let place = (client_id, id);
        let placed = Placed {
            contract,
            order,
            new,
            stage: Stage::Held,
            told: Qty(0),
        };
        self.orders.insert(place, placed);
        if !is_transmitted {
            return Ok(Vec::new());
        }
        let Some(parent) = parent else {
            self.send(exchange, place)?;
            return Ok(vec![place]);
        };
        let mut working = Vec::new();
        if self.stage(parent) == Some(Stage::Held) {
            self.send(exchange, parent)?;
            working.push(parent);
        }
        for child in self.children(parent) {
            if self.stage(child) == Some(Stage::Held) {
                self.set(child, Stage::Waiting);
                working.push(child);
            }
        }
        // The parent may have been filled on arrival.
        if let Some(Stage::Sent(id)) = self.stage(parent)
            && let Some(order) = exchange.with(|truth| truth.order(id).cloned())
        {
            self.order_changed(exchange, &order);
        }
        Ok(working)
    }

    fn stage(&self, place: Place) -> Option<Stage> {
        self.orders.get(&place).map(|placed| placed.stage)
    }

    fn set(&mut self, place: Place, stage: Stage) {
        if let Some(placed) = self.orders.get_mut(&place) {
            placed.stage = stage;
        }
    }

    /// Children of an order that ended before they ever were at the exchange.
    pub(super) fn dropped_children(&self, parent: Place) -> Vec<Place> {
        let mut children = self.children(parent);
        children.retain(|child| self.stage(*child) == Some(Stage::Dropped));
        children
    }

    fn children(&self, parent: Place) -> Vec<Place> {
        let is_child = |(place, placed): &(&Place, &Placed)| {
            place.0 == parent.0 && placed.order.parent_id == Some(parent.1)
        };
        self.orders
            .iter()
            .filter(is_child)
            .map(|(place, _)| *place)
            .collect()
    }

    fn send(&mut self, exchange: &Exchange, place: Place) -> Result<(), Refusal> {
        let Some(placed) = self.orders.get_mut(&place) else {
            return Ok(());
        };
        let now = exchange.now();
        let new = placed.new.clone();
        // A gateway does not look at our names for orders; two at work of one name are a mistake that nobody should miss.
        let taken = exchange.with(|truth| truth.place(VENUE, new, ClientIds::UniqueWhileOpen, now));
        match taken {
            Ok(order) => {
                placed.stage = Stage::Sent(order.id);
                self.by_exchange_id.insert(order.id, place);
                Ok(())
            }
            Err(error) => {
                placed.stage = Stage::Dropped;
                self.drop_children(place);
                Err(of(place.1, refusal(&error)))
            }
        }
    }

    fn drop_children(&mut self, parent: Place) {
        for child in self.children(parent) {
            if matches!(self.stage(child), Some(Stage::Held | Stage::Waiting)) {
                self.set(child, Stage::Dropped);
            }
        }
    }

    /// An order at the exchange changed: a parent that is filled sends its children, one that ended with a part of it filled
    /// sends them for that part, one that ended without drops them. What fills of a child or of an order in a group is taken
    /// from the others.
    pub(super) fn order_changed(&mut self, exchange: &Exchange, order: &VenueOrder) {
        let Some(place) = self.by_exchange_id.get(&order.id).copied() else {
            return;
        };
        self.share(exchange, place, order.filled);
        if !order.state.is_final() {
            return;
        }
        for child in self.children(place) {
            if self.stage(child) != Some(Stage::Waiting) {
                continue;
            }
            self.resize(exchange, child, order.filled);
            if order.filled > Qty(0) {
                // What the exchange refuses now is dropped, as the gateway would report it.
                let _ = self.send(exchange, child);
            }
        }
        self.drop_children(place);
    }

    /// Takes what an order has filled from the others of its group and from its siblings.
    fn share(&mut self, exchange: &Exchange, place: Place, filled: Qty) {
        let Some(placed) = self.orders.get_mut(&place) else {
            return;
        };
        let more = filled.0 - placed.told.0;
        placed.told = filled;
        if more <= 0 {
            return;
        }
        let (group, parent) = (placed.group().map(str::to_owned), placed.order.parent_id);
        let is_other = |(other, it): &(&Place, &Placed)| {
            let is_sibling = parent.is_some_and(|id| id != 0) && it.order.parent_id == parent;
            let is_of_group = group.is_some() && it.group() == group.as_deref();
            other.0 == place.0 && **other != place && (is_sibling || is_of_group)
        };
        let others = self.orders.iter().filter(is_other);
        let others: Vec<(Place, Qty)> = others
            .map(|(other, it)| (*other, Qty(it.new.qty.0.saturating_sub(more))))
            .collect();
        for (other, qty) in others {
            self.resize(exchange, other, qty);
        }
    }

    /// Gives an order that is not over another quantity; one of which nothing is left ends.
    fn resize(&mut self, exchange: &Exchange, place: Place, qty: Qty) {
        let Some(placed) = self.orders.get_mut(&place) else {
            return;
        };
        let now = exchange.now();
        let left = match placed.stage {
            Stage::Dropped => return,
            Stage::Held | Stage::Waiting => qty.0,
            Stage::Sent(id) => {
                exchange.with(|truth| truth.reduce(id, qty, now));
                i64::MAX
            }
        };
        if left <= 0 {
            placed.stage = Stage::Dropped;
            return;
        }
        placed.new.qty = qty;
        let text = exchange.with(|truth| {
            let instrument = truth.market().instrument(placed.new.instrument).ok()?;
            Some(
                instrument
                    .decimals()
                    .qty_decimal(qty)
                    .normalize()
                    .to_string(),
            )
        });
        placed.order.total_quantity = text;
    }

    /// Takes an order back.
    pub(super) fn cancel(&mut self, exchange: &Exchange, place: Place) -> Result<Stage, Refusal> {
        let gone = || {
            let words = format!(
                "OrderId {} that needs to be cancelled can not be cancelled",
                place.1
            );
            of(place.1, (10_148, words))
        };
        match self.stage(place) {
            None => {
                let words = format!(
                    "OrderId {} that needs to be cancelled is not found",
                    place.1
                );
                Err(of(place.1, (10_147, words)))
            }
            Some(Stage::Dropped) => Err(gone()),
            Some(Stage::Held | Stage::Waiting) => {
                self.set(place, Stage::Dropped);
                self.drop_children(place);
                Ok(Stage::Dropped)
            }
            Some(Stage::Sent(id)) => {
                let now = exchange.now();
                let ended = exchange.with(|truth| {
                    let was_open = truth.order(id).is_some_and(VenueOrder::is_open);
                    truth.cancel(id, now).filter(|_| was_open)
                });
                let ended = ended.ok_or_else(gone)?;
                self.order_changed(exchange, &ended);
                Ok(Stage::Sent(id))
            }
        }
    }
}

fn refusal(error: &PlaceError) -> Words {
    let rejected = |why: &str| (201, format!("Order rejected - reason:{why}"));
    match error {
        PlaceError::UnknownInstrument => (
            200,
            "No security definition has been found for the request".to_owned(),
        ),
        PlaceError::Rules("price is off the grid") => (
            110,
            "The price does not conform to the minimum price variation for this contract."
                .to_owned(),
        ),
        PlaceError::InsufficientBalance => rejected("Insufficient funds"),
        other => rejected(&other.to_string()),
    }
}

/// The order in the instrument's numbers.
fn read(
    truth: &Truth,
    id: i32,
    contract: &proto::Contract,
    order: &proto::Order,
) -> Result<NewVenueOrder, Words> {
    let symbol = contract.symbol.as_deref().unwrap_or_default();
    let unknown = || refusal(&PlaceError::UnknownInstrument);
    let is_stock = contract.sec_type.as_deref() == Some("STK");
    let instrument = truth
        .symbol(VENUE, symbol)
        .filter(|_| is_stock)
        .ok_or_else(unknown)?;
    if contract.currency.as_deref() != Some(instrument.definition.quote.as_str()) {
        return Err(unknown());
    }
    let decimals = instrument.decimals();
    let invalid = |what: &str| (321, format!("Error validating request: {what}"));
    let off_grid = || refusal(&PlaceError::Rules("price is off the grid"));
    let price = |price: Option<f64>| {
        let number = price.and_then(decimal);
        let price = number.and_then(|number| decimals.price_from(number).ok());
        price.ok_or_else(off_grid)
    };
    let (order_type, price) = match order.order_type.as_deref() {
        Some("LMT") => (OrderType::Limit, price(order.lmt_price)?),
        Some("STP") => (OrderType::Stop, price(order.aux_price)?),
        Some("MKT") => (OrderType::Market, onetape_engine::number::Price(0)),
        _ => {
            return Err((
                387,
                "Unsupported order type for this exchange and security type".to_owned(),
            ));
        }
    };
    let qty = order.total_quantity.as_deref().and_then(decimal_from_text);
    let qty = qty.and_then(|qty| decimals.qty_from(qty).ok());
    let order_ref = order.order_ref.clone().unwrap_or_default();
    Ok(NewVenueOrder {
        client_id: if order_ref.is_empty() {
            format!("#{id}")
        } else {
            order_ref
        },
        instrument: instrument.id(),
        side: match order.action.as_deref() {
            Some("BUY") => Side::Buy,
            Some("SELL") => Side::Sell,
            _ => return Err(invalid("invalid action")),
        },
        order_type,
        time_in_force: match order.tif.as_deref() {
            Some("IOC") => TimeInForce::ImmediateOrCancel,
            _ => TimeInForce::GoodTillCancel,
        },
        price,
        qty: qty.ok_or_else(|| invalid("invalid quantity"))?,
    })
}

/// The moment as a gateway writes it.
pub(super) fn clock(at: Nanos) -> String {
    let second = i64::try_from(at.0 / 1_000_000_000).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_second(second).unwrap_or_default();
    moment.strftime("%Y%m%d %H:%M:%S UTC").to_string()
}
