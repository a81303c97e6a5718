//! The truth: what the market is, what was ordered, what was filled, who holds what.
use super::fault::{Faults, OrderFault};
use super::matching::{self, Take};
use onetape_engine::error::EngineError;
use onetape_engine::event::{Event, InstrumentType, Kind, Liquidity, Resolution, TradingStatus};
use onetape_engine::fees::OrderFees;
use onetape_engine::id::{InstrumentId, Sequence};
use onetape_engine::market::{Instrument, Market};
use onetape_engine::number::{Money, Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Cash to begin with, by venue and currency, in the currency's units.
pub type Cash = BTreeMap<(String, String), Decimal>;

/// What a venue does with a client id that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientIds {
    /// Never taken again (Kalshi, Upbit, Polymarket).
    UsedOnce,
    /// Free again once the first order is closed (Binance).
    UniqueWhileOpen,
}

/// An order from the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVenueOrder {
    /// The client's id.
    pub client_id: String,
    /// In what.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Limit, market or stop.
    pub order_type: OrderType,
    /// How long it stays.
    pub time_in_force: TimeInForce,
    /// Limit or trigger.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
}

/// An order as the exchange has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueOrder {
    /// The exchange's number of it, from 1.
    pub id: u64,
    /// As it came.
    pub new: NewVenueOrder,
    /// Filled so far.
    pub filled: Qty,
    /// Price times quantity of its fills.
    pub filled_notional: Money,
    /// Fees of its fills.
    pub fees: Money,
    /// Where it stands: `Acked`, `PartiallyFilled`, `Filled`, `Cancelled`, `Expired`.
    pub state: OrderState,
    /// When it came, exchange time.
    pub placed_at: Nanos,
    /// When it last changed.
    pub updated_at: Nanos,
    /// Displayed quantity before it in the queue.
    pub(super) queue_ahead: i64,
    pub(super) order_fees: OrderFees,
    /// A stop that the market has reached.
    pub(super) triggered: bool,
}

impl VenueOrder {
    /// What is not filled.
    pub const fn remaining(&self) -> Qty {
        Qty(self.new.qty.0 - self.filled.0)
    }

    /// Whether it is at work.
    pub const fn is_open(&self) -> bool {
        !self.state.is_final()
    }
}

/// A fill as the exchange has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueFill {
    /// The exchange's number of it, from 1.
    pub id: u64,
    /// Of which order.
    pub order: u64,
    /// The order's client id.
    pub client_id: String,
    /// In what.
    pub instrument: InstrumentId,
    /// Bought or sold.
    pub side: Side,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
    /// Fee in the quote currency.
    pub fee: Money,
    /// Maker or taker.
    pub liquidity: Liquidity,
    /// When, exchange time.
    pub at: Nanos,
    /// Taken back by the venue.
    pub reversed: bool,
}

/// What happened, with its number.
#[derive(Clone, Debug)]
pub struct Published {
    /// 1, 2, 3, ...
    pub number: u64,
    /// When, exchange time.
    pub at: Nanos,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// A market event of the journal: its kind and payload, as [`Event::decode`] reads them.
    Market(Kind, Vec<u8>),
    /// An order is new or changed.
    Order(VenueOrder),
    /// A fill; its order's new state follows.
    Fill(VenueFill),
    /// A fill was taken back.
    Reversed(VenueFill),
}

/// Why an order was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The client id is known: the order that has it.
    #[error("order {0} has this client id")]
    Duplicate(u64),
    /// No such instrument.
    #[error("no such instrument")]
    UnknownInstrument,
    /// The market takes no orders.
    #[error("the market is not open")]
    MarketNotOpen,
    /// Price or quantity off the grid or out of bounds.
    #[error("{0}")]
    Rules(&'static str),
    /// Price times quantity or the quantity below the minimum.
    #[error("below the minimum")]
    TooSmall,
    /// Not enough cash or holdings.
    #[error("insufficient balance")]
    InsufficientBalance,
    /// Post-only, and it would have taken.
    #[error("post-only order would take")]
    WouldTake,
    /// Numbers that do not fit.
    #[error("numbers out of range")]
    OutOfRange,
}

/// What is reported at the end, to be held against a journal.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Orders taken.
    pub orders: u64,
    /// Fills.
    pub fills: u64,
    /// Client ids that led to more than one order: must be none.
    pub repeated_client_ids: Vec<String>,
    /// Orders at work.
    pub open_orders: u64,
    /// By instrument name: what orders have changed about what is held.
    pub holdings: BTreeMap<String, String>,
    /// By instrument name: the largest absolute change of it that there ever was.
    pub largest_holdings: BTreeMap<String, String>,
    /// By venue and currency: cash gained or lost since the start.
    pub cash_changes: BTreeMap<String, String>,
    /// The largest number of orders at work at once.
    pub most_open_orders: u64,
}

/// The market and everybody's orders in it (everybody is one account a venue).
#[derive(Debug)]
pub struct Truth {
    market: Market,
    next_sequence: u64,
    orders: Vec<VenueOrder>,
    open: Vec<u64>,
    by_client_id: BTreeMap<(String, String), Vec<u64>>,
    fills: Vec<VenueFill>,
    /// What lay there before the first order, by coin.
    inventory: BTreeMap<InstrumentId, i64>,
    /// What orders have changed about it.
    holdings: BTreeMap<InstrumentId, i64>,
    largest: BTreeMap<InstrumentId, i64>,
    most_open: u64,
    initial_cash: Cash,
    cash: Cash,
    taken: matching::Taken,
    published: Vec<Published>,
    numbered: u64,
    faults: Arc<Faults>,
    /// Nobody is there yet: quotes, trades and books are not published.
    is_quiet: bool,
}

impl Truth {
    pub(super) fn new(cash: Cash, faults: Arc<Faults>) -> Self {
        Self {
            market: Market::default(),
            next_sequence: 1,
            orders: Vec::new(),
            open: Vec::new(),
            by_client_id: BTreeMap::new(),
            fills: Vec::new(),
            inventory: BTreeMap::new(),
            holdings: BTreeMap::new(),
            largest: BTreeMap::new(),
            most_open: 0,
            initial_cash: cash.clone(),
            cash,
            taken: matching::Taken::default(),
            published: Vec::new(),
            numbered: 0,
            faults,
            is_quiet: false,
        }
    }

    /// Whether quotes, trades and books go unpublished: before the first client only what is told once matters.
    pub const fn set_quiet(&mut self, is_quiet: bool) {
        self.is_quiet = is_quiet;
    }

    /// Gives every venue so much cash in each currency that its instruments are paid in, and 1,000 of each coin.
    pub fn endow(&mut self, cash: Decimal) {
        for instrument in self.market.instruments() {
            let definition = &instrument.definition;
            if definition.instrument_type == InstrumentType::Spot {
                let coins = instrument.decimals().qty_from(Decimal::ONE_THOUSAND);
                let coins = coins.map_or(0, |coins| coins.0);
                self.inventory.insert(instrument.id(), coins);
            }
            let key = (definition.venue.clone(), definition.quote.clone());
            self.initial_cash.insert(key.clone(), cash);
            self.cash.insert(key, cash);
        }
    }

    /// The market: instruments, books, quotes, rules, fees.
    pub const fn market(&self) -> &Market {
        &self.market
    }

    /// An instrument of a venue by the venue's symbol.
    pub fn symbol(&self, venue: &str, symbol: &str) -> Option<&Instrument> {
        let is = |instrument: &&Instrument| {
            instrument.definition.venue == venue && instrument.definition.symbol == symbol
        };
        self.market.instruments().iter().find(is)
    }

    /// A venue's instruments.
    pub fn instruments<'a>(&'a self, venue: &'a str) -> impl Iterator<Item = &'a Instrument> {
        let is = move |instrument: &&Instrument| instrument.definition.venue == venue;
        self.market.instruments().iter().filter(is)
    }

    /// The number of the last thing published.
    pub const fn published(&self) -> u64 {
        self.numbered
    }

    /// Takes a market event of the journal; orders of ours that it reaches are filled.
    ///
    /// # Errors
    /// [`EngineError`] when the event can't follow those before it.
    pub fn evolve(&mut self, now: Nanos, event: &Event<'_>) -> Result<(), EngineError> {
        let sequence = Sequence(self.next_sequence);
        self.market.evolve(sequence, now, event)?;
        self.next_sequence += 1;
        self.taken.see(event);
        let is_data = matches!(
            event,
            Event::Quote(_) | Event::Trade(_) | Event::BookDelta(_) | Event::BookSnapshot(_)
        );
        if !(self.is_quiet && is_data) {
            let mut payload = Vec::new();
            event.encode(&mut payload);
            self.publish(now, What::Market(event.kind(), payload));
        }
        match event {
            Event::Trade(trade) => self.match_resting(now, trade.instrument, Some(event)),
            Event::Quote(quote) => self.match_resting(now, quote.instrument, None),
            Event::BookDelta(update) | Event::BookSnapshot(update) => {
                self.match_resting(now, update.header.instrument, None)
            }
            Event::MarketStatus(status) if status.status == TradingStatus::Closed => {
                self.end_all(now, status.instrument)
            }
            Event::Resolution(resolution) => self.settle(now, resolution)?,
            _ => {}
        }
        Ok(())
    }

    /// Takes an order from the wire.
    ///
    /// # Errors
    /// [`PlaceError`]; nothing changed then.
    pub fn place(
        &mut self,
        venue: &str,
        new: NewVenueOrder,
        ids: ClientIds,
        now: Nanos,
    ) -> Result<VenueOrder, PlaceError> {
        let key = (venue.to_owned(), new.client_id.clone());
        for id in self.by_client_id.get(&key).into_iter().flatten() {
            let open = self.order(*id).is_some_and(VenueOrder::is_open);
            if open || ids == ClientIds::UsedOnce {
                return Err(PlaceError::Duplicate(*id));
            }
        }
        let instrument = self.market.instrument(new.instrument);
        let instrument = instrument.map_err(|_| PlaceError::UnknownInstrument)?;
        if instrument.definition.venue != venue {
            return Err(PlaceError::UnknownInstrument);
        }
        matching::check(instrument, &new, now)?;
        self.check_funds(instrument, &new, now)?;
        let mut takes = matching::takes(instrument, &self.taken, &new);
        if new.time_in_force == TimeInForce::PostOnly && !takes.is_empty() {
            return Err(PlaceError::WouldTake);
        }
        match self.faults.order(venue) {
            Some(OrderFault::Rejected) => return Err(PlaceError::InsufficientBalance),
            Some(OrderFault::TakesAtMost(most)) => {
                let mut left = instrument.decimals().qty_from(most).map_or(0, |qty| qty.0);
                for take in &mut takes {
                    take.qty = take.qty.min(left);
                    left -= take.qty;
                }
                takes.retain(|take| take.qty > 0);
            }
            None => {}
        }
        let queue_ahead = matching::displayed(instrument, new.side, new.price);
        let id = self.orders.len() as u64 + 1;
        let waits = new.order_type == OrderType::Stop;
        let rests = new.order_type == OrderType::Limit
            && new.time_in_force != TimeInForce::ImmediateOrCancel;
        self.by_client_id.entry(key).or_default().push(id);
        self.orders.push(VenueOrder {
            id,
            new,
            filled: Qty(0),
            filled_notional: Money(0),
            fees: Money(0),
            state: OrderState::Acked,
            placed_at: now,
            updated_at: now,
            queue_ahead,
            order_fees: OrderFees::default(),
            triggered: false,
        });
        self.open.push(id);
        self.most_open = self.most_open.max(self.open.len() as u64);
        self.publish_order(now, id);
        if !waits {
            self.take(now, id, takes);
            if !rests {
                self.end(now, id, OrderState::Expired);
            }
        }
        self.order(id).cloned().ok_or(PlaceError::OutOfRange)
    }

    /// Takes an order back; returns it as it stands afterwards, `None` where there is no such order. An order that is
    /// closed stays as it is.
    pub fn cancel(&mut self, id: u64, now: Nanos) -> Option<VenueOrder> {
        self.end(now, id, OrderState::Cancelled);
        self.order(id).cloned()
    }

    /// Gives an order at work a smaller quantity, as a broker does when another of its group fills; one that has filled as
    /// much by then is cancelled.
    pub fn reduce(&mut self, id: u64, qty: Qty, now: Nanos) {
        let place = id.checked_sub(1).and_then(|n| usize::try_from(n).ok());
        let Some(order) = place.and_then(|place| self.orders.get_mut(place)) else {
            return;
        };
        if !order.is_open() || qty >= order.new.qty {
            return;
        }
        if qty <= order.filled {
            self.end(now, id, OrderState::Cancelled);
            return;
        }
        (order.new.qty, order.updated_at) = (qty, now);
        self.publish_order(now, id);
    }

    /// An order by the exchange's number.
    pub fn order(&self, id: u64) -> Option<&VenueOrder> {
        self.orders.get(usize::try_from(id.checked_sub(1)?).ok()?)
    }

    /// The last order of a client id.
    pub fn client_order(&self, venue: &str, client_id: &str) -> Option<&VenueOrder> {
        let key = (venue.to_owned(), client_id.to_owned());
        self.order(*self.by_client_id.get(&key)?.last()?)
    }

    /// A venue's orders, oldest first.
    pub fn orders<'a>(&'a self, venue: &'a str) -> impl Iterator<Item = &'a VenueOrder> {
        let of = move |order: &&VenueOrder| self.is_of(order.new.instrument, venue);
        self.orders.iter().filter(of)
    }

    /// A venue's orders at work, oldest first.
    pub fn open_orders<'a>(&'a self, venue: &'a str) -> impl Iterator<Item = &'a VenueOrder> {
        let orders = self.open.iter().filter_map(|id| self.order(*id));
        orders.filter(move |order| self.is_of(order.new.instrument, venue))
    }

    /// A venue's fills, oldest first.
    pub fn fills<'a>(&'a self, venue: &'a str) -> impl DoubleEndedIterator<Item = &'a VenueFill> {
        let of = move |fill: &&VenueFill| self.is_of(fill.instrument, venue);
        self.fills.iter().filter(of)
    }

    /// What is held of an instrument.
    pub fn holding(&self, instrument: InstrumentId) -> Qty {
        let of = |table: &BTreeMap<InstrumentId, i64>| table.get(&instrument).copied().unwrap_or(0);
        Qty(of(&self.inventory) + of(&self.holdings))
    }

    /// A venue's cash by currency: all of it, and what orders at work hold back.
    pub fn cash(&self, venue: &str) -> Vec<(String, Decimal, Decimal)> {
        let of = self.cash.iter().filter(|((at, _), _)| at == venue);
        let held = |currency: &str| {
            let orders = self.open_orders(venue).filter(|o| o.new.side == Side::Buy);
            let costs = orders.filter_map(|order| {
                let instrument = self.market.instrument(order.new.instrument).ok()?;
                if instrument.definition.quote != currency {
                    return None;
                }
                let d = instrument.decimals();
                Some(d.price_decimal(order.new.price) * d.qty_decimal(order.remaining()))
            });
            costs.sum::<Decimal>()
        };
        of.map(|((_, currency), cash)| (currency.clone(), *cash, held(currency)))
            .collect()
    }

    /// The venue takes a fill back (a trade that failed on chain); false where there is none or it was taken back before.
    pub fn reverse(&mut self, fill_id: u64, now: Nanos) -> bool {
        let place = fill_id.checked_sub(1).and_then(|n| usize::try_from(n).ok());
        let Some(fill) = place.and_then(|place| self.fills.get_mut(place)) else {
            return false;
        };
        if fill.reversed {
            return false;
        }
        fill.reversed = true;
        let fill = fill.clone();
        self.book_fill(&fill, -1);
        self.publish(now, What::Reversed(fill));
        true
    }

    /// What is held against a journal at the end.
    pub fn report(&self) -> Report {
        let name = |id: &InstrumentId| {
            let instrument = self.market.instrument(*id);
            instrument.map_or_else(|_| format!("{}", id.0), |i| i.name.clone())
        };
        let text = |id: &InstrumentId, qty: &i64| {
            let instrument = self.market.instrument(*id);
            instrument.map_or_else(
                |_| qty.to_string(),
                |i| i.decimals().qty_decimal(Qty(*qty)).normalize().to_string(),
            )
        };
        let table = |of: &BTreeMap<InstrumentId, i64>| {
            of.iter()
                .map(|(id, qty)| (name(id), text(id, qty)))
                .collect()
        };
        let twice = self.by_client_id.iter().filter(|(_, ids)| {
            // An id is used twice with effect when two of its orders were filled or are at work.
            let effects = ids.iter().filter_map(|id| self.order(*id));
            effects.filter(|o| o.filled.0 > 0 || o.is_open()).count() > 1
        });
        Report {
            orders: self.orders.len() as u64,
            fills: self.fills.len() as u64,
            repeated_client_ids: twice.map(|((_, id), _)| id.clone()).collect(),
            open_orders: self.open.len() as u64,
            holdings: table(&self.holdings),
            largest_holdings: table(&self.largest),
            cash_changes: self
                .cash
                .iter()
                .map(|(key, now)| {
                    let before = self.initial_cash.get(key).copied().unwrap_or_default();
                    (
                        format!("{}:{}", key.0, key.1),
                        (*now - before).normalize().to_string(),
                    )
                })
                .collect(),
            most_open_orders: self.most_open,
        }
    }

    pub(super) fn take_published(&mut self) -> Vec<Published> {
        core::mem::take(&mut self.published)
    }

    fn is_of(&self, instrument: InstrumentId, venue: &str) -> bool {
        let instrument = self.market.instrument(instrument);
        instrument.is_ok_and(|instrument| instrument.definition.venue == venue)
    }

    fn publish(&mut self, at: Nanos, what: What) {
        self.numbered += 1;
        self.published.push(Published {
            number: self.numbered,
            at,
            what,
        });
    }

    fn publish_order(&mut self, at: Nanos, id: u64) {
        if let Some(order) = self.order(id).cloned() {
            self.publish(at, What::Order(order));
        }
    }

    fn check_funds(
        &self,
        instrument: &Instrument,
        new: &NewVenueOrder,
        now: Nanos,
    ) -> Result<(), PlaceError> {
        let d = instrument.decimals();
        let venue = &instrument.definition.venue;
        if new.side == Side::Sell {
            let may_short = instrument.rules_at(now).is_none_or(|r| r.allows_short);
            let selling: i64 = self
                .open_orders(venue)
                .filter(|o| o.new.instrument == new.instrument && o.new.side == Side::Sell)
                .map(|order| order.remaining().0)
                .sum();
            let short = self.holding(new.instrument).0 - selling < new.qty.0;
            if short && !may_short {
                return Err(PlaceError::InsufficientBalance);
            }
            return Ok(());
        }
        let key = (venue.clone(), instrument.definition.quote.clone());
        let cash = self.cash.get(&key).copied().unwrap_or_default();
        let held: Decimal = self
            .cash(venue)
            .into_iter()
            .filter(|(currency, _, _)| *currency == key.1)
            .map(|(_, _, held)| held)
            .sum();
        let price = if new.price.0 == 0 {
            instrument
                .top()
                .and_then(|top| top.side(Side::Sell))
                .map_or(Price(0), |l| l.price)
        } else {
            new.price
        };
        let cost = d.price_decimal(price).checked_mul(d.qty_decimal(new.qty));
        if cost.ok_or(PlaceError::OutOfRange)? > cash - held {
            return Err(PlaceError::InsufficientBalance);
        }
        Ok(())
    }

    /// Fills an order against what it takes.
    fn take(&mut self, now: Nanos, id: u64, takes: Vec<Take>) {
        for take in takes {
            let Some(order) = self.order(id) else { return };
            let qty = take.qty.min(order.remaining().0);
            if qty <= 0 || !order.is_open() {
                return;
            }
            let (instrument, side) = (order.new.instrument, order.new.side);
            self.taken.add(instrument, side.opposite(), take.price, qty);
            self.fill(now, id, take.price, Qty(qty), Liquidity::Taker);
        }
    }

    fn fill(&mut self, now: Nanos, id: u64, price: Price, qty: Qty, liquidity: Liquidity) {
        let fill_id = self.fills.len() as u64 + 1;
        let Some(place) = id.checked_sub(1).and_then(|n| usize::try_from(n).ok()) else {
            return;
        };
        let Some(order) = self.orders.get_mut(place) else {
            return;
        };
        let Ok(instrument) = self.market.instrument(order.new.instrument) else {
            return;
        };
        let d = instrument.decimals();
        let charged = instrument.fees_at(now).map(|schedule| {
            schedule.charge(&order.order_fees, d, order.new.side, liquidity, price, qty)
        });
        let (fee, fees) = match charged {
            Some(Ok(charged)) => charged,
            _ => (Money(0), order.order_fees),
        };
        order.order_fees = fees;
        order.filled = Qty(order.filled.0 + qty.0);
        order.fees = Money(order.fees.0 + fee.0);
        order.filled_notional =
            Money(order.filled_notional.0 + d.notional(price, qty).map_or(0, |money| money.0));
        order.updated_at = now;
        order.state = if order.remaining().0 == 0 {
            OrderState::Filled
        } else {
            OrderState::PartiallyFilled
        };
        let fill = VenueFill {
            id: fill_id,
            order: id,
            client_id: order.new.client_id.clone(),
            instrument: order.new.instrument,
            side: order.new.side,
            price,
            qty,
            fee,
            liquidity,
            at: now,
            reversed: false,
        };
        if order.state == OrderState::Filled {
            self.open.retain(|open| *open != id);
        }
        self.book_fill(&fill, 1);
        self.fills.push(fill.clone());
        self.publish(now, What::Fill(fill));
        self.publish_order(now, id);
    }

    /// Holdings and cash after a fill (`sign` 1) or after it was taken back (-1).
    fn book_fill(&mut self, fill: &VenueFill, sign: i64) {
        let Ok(instrument) = self.market.instrument(fill.instrument) else {
            return;
        };
        let d = instrument.decimals();
        let key = (
            instrument.definition.venue.clone(),
            instrument.definition.quote.clone(),
        );
        let held = self.holdings.entry(fill.instrument).or_default();
        *held += sign * fill.side.sign() * fill.qty.0;
        let largest = self.largest.entry(fill.instrument).or_default();
        if held.abs() > largest.abs() {
            *largest = *held;
        }
        let notional = d.price_decimal(fill.price) * d.qty_decimal(fill.qty);
        let fee = fill.fee.to_decimal().unwrap_or_default();
        let paid = notional * Decimal::from(fill.side.sign()) + fee;
        *self.cash.entry(key).or_default() -= paid * Decimal::from(sign);
    }

    /// Ends an order that is at work.
    fn end(&mut self, now: Nanos, id: u64, state: OrderState) {
        let place = id.checked_sub(1).and_then(|n| usize::try_from(n).ok());
        let Some(order) = place.and_then(|place| self.orders.get_mut(place)) else {
            return;
        };
        if !order.is_open() {
            return;
        }
        order.state = state;
        order.updated_at = now;
        self.open.retain(|open| *open != id);
        self.publish_order(now, id);
    }

    fn end_all(&mut self, now: Nanos, instrument: InstrumentId) {
        let of = |id: &&u64| {
            self.order(**id)
                .is_some_and(|order| order.new.instrument == instrument)
        };
        let ids: Vec<u64> = self.open.iter().filter(of).copied().collect();
        for id in ids {
            self.end(now, id, OrderState::Cancelled);
        }
    }

    fn settle(&mut self, now: Nanos, resolution: &Resolution) -> Result<(), EngineError> {
        self.end_all(now, resolution.instrument);
        let instrument = self.market.instrument(resolution.instrument)?;
        let d = instrument.decimals();
        let key = (
            instrument.definition.venue.clone(),
            instrument.definition.quote.clone(),
        );
        let held = self.holdings.remove(&resolution.instrument).unwrap_or(0);
        let paid = d.price_decimal(resolution.settlement_price) * d.qty_decimal(Qty(held));
        *self.cash.entry(key).or_default() += paid;
        Ok(())
    }

    /// Fills resting orders that the market has reached, and lets stops go.
    fn match_resting(&mut self, now: Nanos, id: InstrumentId, trade: Option<&Event<'_>>) {
        if self.open.is_empty() {
            return;
        }
        let of = |open: &&u64| self.order(**open).is_some_and(|o| o.new.instrument == id);
        let ids: Vec<u64> = self.open.iter().filter(of).copied().collect();
        for order_id in ids {
            let Some(place) = order_id
                .checked_sub(1)
                .and_then(|n| usize::try_from(n).ok())
            else {
                continue;
            };
            let (Some(order), Ok(instrument)) =
                (self.orders.get_mut(place), self.market.instrument(id))
            else {
                continue;
            };
            if order.new.order_type == OrderType::Stop && !order.triggered {
                if matching::triggers(instrument, order, trade) {
                    order.triggered = true;
                    let market = NewVenueOrder {
                        order_type: OrderType::Market,
                        ..order.new.clone()
                    };
                    let takes = matching::takes(instrument, &self.taken, &market);
                    self.take(now, order_id, takes);
                    self.end(now, order_id, OrderState::Expired);
                }
                continue;
            }
            let (price, qty) = matching::reached(instrument, &self.taken, order, trade);
            if qty > 0 {
                if trade.is_none() {
                    let side = order.new.side.opposite();
                    self.taken.add(id, side, price, qty);
                }
                let price = order.new.price;
                self.fill(now, order_id, price, Qty(qty), Liquidity::Maker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::{Fault, FaultPlan};
    use super::*;
    use onetape_engine::event::{
        FeeSchedule, InstrumentDefined, InstrumentType, Quote, Trade, TradingRules,
    };
    use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
    use onetape_engine::number::Decimals;

    const NOW: Nanos = Nanos(1_000_000_000);
    const X: InstrumentId = InstrumentId(0);

    fn rounding() -> Rounding {
        Rounding {
            mode: RoundingMode::Up,
            decimals: 4,
        }
    }

    /// 10.00 bid, 10.02 asked, 5.0 each; 0.1 % taker, nothing for makers.
    fn truth() -> Truth {
        let cash = Cash::from([(("v".to_owned(), "USD".to_owned()), Decimal::from(1_000))]);
        let faults = Arc::new(Faults::new(FaultPlan::default()));
        let mut truth = Truth::new(cash, faults);
        let definition = InstrumentDefined {
            instrument: X,
            venue: "v".to_owned(),
            symbol: "X".to_owned(),
            instrument_type: InstrumentType::Spot,
            base: "X".to_owned(),
            quote: "USD".to_owned(),
            decimals: Decimals::new(2, 1).unwrap(),
        };
        let rules = TradingRules {
            instrument: X,
            effective_from: Nanos(0),
            tick_size: Price(1),
            lot_size: Qty(1),
            min_qty: Qty(1),
            min_notional: Money(0),
            min_price: Price(1),
            max_price: Price(100_000),
            bands: Vec::new(),
            allows_short: false,
        };
        let fees = FeeSchedule {
            instrument: X,
            effective_from: Nanos(0),
            maker: FeeFormula::notional(Decimal::ZERO),
            taker: FeeFormula::notional(Decimal::new(1, 3)),
            rounding: rounding(),
            source: "test".to_owned(),
            accrual: FeeAccrual::PerFill,
        };
        for event in [
            Event::InstrumentDefined(Box::new(definition)),
            Event::TradingRules(rules),
            Event::FeeSchedule(Box::new(fees)),
        ] {
            truth.evolve(NOW, &event).unwrap();
        }
        quote(&mut truth, 1_000, 1_002);
        truth
    }

    fn quote(truth: &mut Truth, bid: i64, ask: i64) {
        let quote = Quote {
            instrument: X,
            flags: 0,
            venue_time_ns: 0,
            update_id: 0,
            bid_price: Price(bid),
            bid_qty: Qty(50),
            ask_price: Price(ask),
            ask_qty: Qty(50),
        };
        truth.evolve(NOW, &Event::Quote(&quote)).unwrap();
    }

    fn trade(truth: &mut Truth, price: i64, qty: i64) {
        let trade = Trade {
            instrument: X,
            aggressor: onetape_engine::event::Aggressor::Seller.byte(),
            reserved: [0; 3],
            venue_time_ns: 0,
            trade_id: 0,
            price: Price(price),
            qty: Qty(qty),
        };
        truth.evolve(NOW, &Event::Trade(&trade)).unwrap();
    }

    fn order(id: &str, side: Side, price: i64, qty: i64, tif: TimeInForce) -> NewVenueOrder {
        NewVenueOrder {
            client_id: id.to_owned(),
            instrument: X,
            side,
            order_type: OrderType::Limit,
            time_in_force: tif,
            price: Price(price),
            qty: Qty(qty),
        }
    }

    fn place(truth: &mut Truth, new: NewVenueOrder) -> Result<VenueOrder, PlaceError> {
        truth.place("v", new, ClientIds::UsedOnce, NOW)
    }

    #[test]
    fn an_order_takes_what_is_there_once_and_pays_for_it() {
        let mut truth = truth();
        let ioc = TimeInForce::ImmediateOrCancel;
        let first = place(&mut truth, order("a", Side::Buy, 1_002, 30, ioc)).unwrap();
        assert_eq!((first.state, first.filled), (OrderState::Filled, Qty(30)));
        // 50 were shown, 30 are gone until the market says otherwise.
        let second = place(&mut truth, order("b", Side::Buy, 1_002, 30, ioc)).unwrap();
        assert_eq!(
            (second.state, second.filled),
            (OrderState::Expired, Qty(20))
        );
        quote(&mut truth, 1_000, 1_002);
        let third = place(&mut truth, order("c", Side::Buy, 1_002, 30, ioc)).unwrap();
        assert_eq!(third.state, OrderState::Filled);
        assert_eq!(truth.holding(X), Qty(80));
        // 8.0 at 10.02 and 0.1 % of each of 3.0, 2.0 and 3.0, rounded up to 0.0001.
        let report = truth.report();
        assert_eq!(report.cash_changes["v:USD"], "-80.2403");
        assert_eq!(report.holdings["v:X"], "8");
        assert!(report.repeated_client_ids.is_empty());
    }

    #[test]
    fn the_next_order_is_refused_or_filled_in_part_on_command() {
        let mut truth = truth();
        let ioc = TimeInForce::ImmediateOrCancel;
        for (venue, kind) in [
            ("other", OrderFault::Rejected),
            ("v", OrderFault::Rejected),
            ("v", OrderFault::TakesAtMost(Decimal::new(12, 1))),
        ] {
            let venue = venue.to_owned();
            truth.faults.command(Fault::Order { venue, kind });
        }
        let refused = place(&mut truth, order("a", Side::Buy, 1_002, 30, ioc));
        assert_eq!(refused, Err(PlaceError::InsufficientBalance));
        let part = place(&mut truth, order("b", Side::Buy, 1_002, 30, ioc)).unwrap();
        assert_eq!((part.state, part.filled), (OrderState::Expired, Qty(12)));
        let whole = place(&mut truth, order("c", Side::Buy, 1_002, 30, ioc)).unwrap();
        assert_eq!(whole.state, OrderState::Filled);
    }

    #[test]
    fn a_resting_order_waits_for_the_queue_before_it() {
        let mut truth = truth();
        let rest = order("a", Side::Buy, 1_000, 10, TimeInForce::GoodTillCancel);
        let placed = place(&mut truth, rest).unwrap();
        assert_eq!(placed.state, OrderState::Acked);
        trade(&mut truth, 1_000, 45);
        assert_eq!(truth.holding(X), Qty(0));
        trade(&mut truth, 1_000, 9);
        assert_eq!(truth.holding(X), Qty(4));
        trade(&mut truth, 999, 100);
        assert_eq!(truth.holding(X), Qty(10));
        assert_eq!(truth.order(placed.id).unwrap().state, OrderState::Filled);
        assert_eq!(truth.open_orders("v").count(), 0);
    }

    #[test]
    fn what_the_venue_refuses_changes_nothing() {
        let mut truth = truth();
        let gtc = TimeInForce::GoodTillCancel;
        let before = truth.published();
        let refused = [
            (
                order("a", Side::Sell, 1_002, 1, gtc),
                PlaceError::InsufficientBalance,
            ),
            (
                order("a", Side::Buy, 1_000, 1_001, gtc),
                PlaceError::InsufficientBalance,
            ),
            (
                order("a", Side::Buy, 1_002, 1, TimeInForce::PostOnly),
                PlaceError::WouldTake,
            ),
            (
                order("a", Side::Buy, 1_000, 0, gtc),
                PlaceError::Rules("quantity is off the lot"),
            ),
        ];
        for (new, why) in refused {
            assert_eq!(place(&mut truth, new), Err(why));
        }
        assert_eq!(truth.published(), before);
        let taken = place(&mut truth, order("a", Side::Buy, 1_000, 1, gtc)).unwrap();
        let again = place(&mut truth, order("a", Side::Buy, 1_000, 1, gtc));
        assert_eq!(again, Err(PlaceError::Duplicate(taken.id)));
    }

    #[test]
    fn a_client_id_is_free_again_where_the_venue_says_so() {
        let mut truth = truth();
        let new = || order("a", Side::Buy, 1_000, 1, TimeInForce::GoodTillCancel);
        let ids = ClientIds::UniqueWhileOpen;
        let first = truth.place("v", new(), ids, NOW).unwrap();
        assert_eq!(
            truth.place("v", new(), ids, NOW),
            Err(PlaceError::Duplicate(first.id))
        );
        truth.cancel(first.id, NOW);
        assert!(truth.place("v", new(), ids, NOW).is_ok());
    }

    #[test]
    fn a_fill_that_failed_is_taken_back_once() {
        let mut truth = truth();
        let ioc = TimeInForce::ImmediateOrCancel;
        place(&mut truth, order("a", Side::Buy, 1_002, 10, ioc)).unwrap();
        assert!(truth.reverse(1, NOW));
        assert!(!truth.reverse(1, NOW));
        assert_eq!(truth.holding(X), Qty(0));
        assert_eq!(truth.report().cash_changes["v:USD"], "0");
    }
}
