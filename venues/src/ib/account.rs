//! What the gateway tells of orders, as facts. Pure: reports and a stamp go in, facts come out.
//!
//! - A status that says nothing new is none. `Filled` may be left out: executions that add up to the order say it as well.
//! - A fill waits a moment for its fee, which comes apart and is named by the execution's id. A fee that comes later still
//!   repeats the fill with it; one that does not come leaves it out.
//! - An execution whose id differs from an earlier one only behind the last dot corrects it: the earlier fill is reversed.
//! - A rejection is only what can be nothing else; any other error about an order leads to a look-up.
use super::VENUE;
use super::broker::{BrokerEvent, Contracts};
use crate::gateway::fields::{Reading, decimal_from_text, nanos};
use crate::gateway::{
    AccountFact, FillFact, Holding, NewOrder, OrderFact, OrderKey, WireError, shortened,
};
use onetape_engine::event::Liquidity;
use onetape_engine::id::InstrumentId;
use onetape_engine::number::Qty;
use onetape_engine::order::{OrderState, Side};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Orders remembered: those placed last.
const ORDERS_MAX: usize = 10_000;
/// Executions remembered, to tell repeated ones: those that came last.
const EXECUTIONS_MAX: usize = 50_000;
/// Fees that came before their executions.
const EARLY_FEES_MAX: usize = 256;
/// How long a fill waits for its fee.
const FEE_WAIT_NS: u64 = 2_000_000_000;

/// Codes that mean that an order was not taken: price, time in force, security, margin, size (message codes of the API).
const REJECTIONS: [i32; 11] = [109, 110, 111, 113, 116, 200, 201, 203, 321, 387, 388];
/// The order is cancelled, and why.
const CANCELLED: i32 = 202;
/// "Order message": a warning.
const ORDER_MESSAGE: i32 = 399;
/// A cancel came too late: the order is not in a state to be cancelled, is not found, can't be cancelled. Every cancel is
/// looked up, and one of two alternatives is gone as soon as the other fills.
const CANCELLED_TOO_LATE: [i32; 3] = [161, 10_147, 10_148];
/// The gateway lost the broker.
const LOST: i32 = 1_100;
/// The same, told to whoever connects while it lasts.
const STILL_LOST: i32 = 2_110;
/// The broker is back; market data must be subscribed anew.
const BACK_WITHOUT_DATA: i32 = 1_101;
/// The broker is back with everything.
const BACK_WITH_DATA: i32 = 1_102;

/// Where an order stands, as the gateway says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its id.
    pub order_id: i32,
    /// "Submitted", "Filled", ...
    pub status: String,
    /// Filled so far.
    pub filled: Decimal,
}

/// An order at work, as the gateway lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOrder {
    /// Its id.
    pub order_id: i32,
    /// Our name for it.
    pub order_ref: String,
    /// The broker's symbol.
    pub symbol: String,
    /// The contract's currency.
    pub currency: String,
    /// Ordered.
    pub qty: Decimal,
    /// "Submitted", ...
    pub status: String,
    /// Why it was rejected, where it was.
    pub why: String,
}

/// An execution, as the gateway says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// The order's id.
    pub order_id: i32,
    /// Our name for the order.
    pub order_ref: String,
    /// The execution's id.
    pub exec_id: String,
    /// The broker's symbol.
    pub symbol: String,
    /// The contract's currency.
    pub currency: String,
    /// Bought or sold.
    pub side: Side,
    /// Price.
    pub price: Decimal,
    /// Quantity.
    pub qty: Decimal,
    /// Filled of the order so far.
    pub cumulative: Decimal,
    /// 1: added liquidity, otherwise took it.
    pub liquidity: i32,
    /// "20261121 09:30:00 US/Eastern".
    pub time: String,
}

/// An execution's fee, as the gateway says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commission {
    /// The execution's id.
    pub exec_id: String,
    /// The fee; none where the gateway says that it does not know.
    pub fee: Option<Decimal>,
    /// Its currency.
    pub currency: String,
}

#[derive(Clone, Debug)]
struct Known {
    order_ref: String,
    instrument: InstrumentId,
    qty: Option<Qty>,
    /// What was said last of its state.
    said: Option<(OrderState, Option<Qty>)>,
}

#[derive(Clone, Debug)]
struct Held {
    fill: FillFact,
    currency: String,
    since: Nanos,
}

/// Our orders and fills, as far as telling news from repetitions needs them.
#[derive(Debug)]
pub struct Account {
    contracts: Contracts,
    orders: BTreeMap<i32, Known>,
    /// Execution ids without their last part, and in full.
    executions: HashMap<String, String>,
    executions_in_turn: VecDeque<String>,
    held: Vec<Held>,
    /// Fills told without a fee, in case it comes yet; those told last.
    without_fee: VecDeque<Held>,
    early_fees: VecDeque<Commission>,
}

impl Account {
    /// Of an account that trades these.
    pub fn new(contracts: Contracts) -> Self {
        Self {
            contracts,
            orders: BTreeMap::new(),
            executions: HashMap::new(),
            executions_in_turn: VecDeque::new(),
            held: Vec::new(),
            without_fee: VecDeque::new(),
            early_fees: VecDeque::new(),
        }
    }

    /// The stocks that may be traded.
    pub const fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// An order is about to be sent under an id.
    pub fn placing(&mut self, order_id: i32, order: &NewOrder<'_>) {
        let known = Known {
            order_ref: order.client_id.to_owned(),
            instrument: order.instrument,
            qty: Some(order.qty),
            said: None,
        };
        self.remember(order_id, known);
    }

    fn remember(&mut self, order_id: i32, known: Known) {
        self.orders.insert(order_id, known);
        while self.orders.len() > ORDERS_MAX {
            self.orders.pop_first();
        }
    }

    /// The id under which an order was sent.
    pub fn order_id(&self, order_ref: &str) -> Option<i32> {
        let mut newest_first = self.orders.iter().rev();
        let found = newest_first.find(|(_, known)| known.order_ref == order_ref);
        found.map(|(order_id, _)| *order_id)
    }

    fn say(
        &mut self,
        order_id: i32,
        state: OrderState,
        filled: Option<Qty>,
        why: &str,
        out: &mut Vec<AccountFact>,
    ) {
        let Some(known) = self.orders.get_mut(&order_id) else {
            return;
        };
        let is_over = known.said.is_some_and(|(said, _)| said.is_final());
        // A list that says nothing of fills and a status that says none say the same.
        let sum = |filled: Option<Qty>| filled.unwrap_or(Qty(0));
        let is_known = |(said, told): (OrderState, _)| said == state && sum(told) == sum(filled);
        if is_over || known.said.is_some_and(is_known) {
            return;
        }
        known.said = Some((state, filled));
        out.push(AccountFact::Order(OrderFact {
            key: key(order_id, &known.order_ref),
            instrument: known.instrument,
            state,
            filled,
            why: shortened(why),
        }));
    }

    /// A refusal's state: what the broker once took can't be rejected any more, only ended.
    fn refused(&self, order_id: i32) -> OrderState {
        let said = self.orders.get(&order_id).and_then(|known| known.said);
        if said.is_some() {
            OrderState::Cancelled
        } else {
            OrderState::Rejected
        }
    }

    /// The state that a status means; none for what is still on its way or unknown.
    fn state(&self, order_id: i32, status: &str, filled: Qty) -> Option<OrderState> {
        Some(match status {
            "PreSubmitted" | "Submitted" | "PendingCancel" if filled.0 > 0 => {
                OrderState::PartiallyFilled
            }
            "PreSubmitted" | "Submitted" => OrderState::Acked,
            "Filled" => OrderState::Filled,
            "Cancelled" | "ApiCancelled" => OrderState::Cancelled,
            "Inactive" => self.refused(order_id),
            // ApiPending, PendingSubmit: nobody took it yet. PendingCancel: at work until it is cancelled.
            _ => return None,
        })
    }

    /// Takes a status.
    pub fn status(&mut self, status: &Status, out: &mut Vec<AccountFact>) {
        let Some(known) = self.orders.get(&status.order_id) else {
            return;
        };
        let filled = self.qty(known.instrument, status.filled);
        let state = self.state(status.order_id, &status.status, filled.unwrap_or(Qty(0)));
        if let Some(state) = state {
            self.say(status.order_id, state, filled, "", out);
        }
    }

    fn qty(&self, instrument: InstrumentId, qty: Decimal) -> Option<Qty> {
        let contract = self.contracts.id(instrument)?;
        contract.listed.decimals.qty_from(qty).ok()
    }

    /// Takes an order at work, told on its own or as an answer. An order of ours that this process did not place (it ran
    /// before) is known from here on.
    pub fn open_order(&mut self, order: &OpenOrder, out: &mut Vec<AccountFact>) {
        let Some(contract) = self.contracts.symbol(&order.symbol, &order.currency) else {
            return;
        };
        if order.order_ref.is_empty() {
            return;
        }
        let qty = contract.listed.decimals.qty_from(order.qty).ok();
        let instrument = contract.listed.instrument;
        if !self.orders.contains_key(&order.order_id) {
            let known = Known {
                order_ref: order.order_ref.clone(),
                instrument,
                qty,
                said: None,
            };
            self.remember(order.order_id, known);
        }
        let said = self
            .orders
            .get(&order.order_id)
            .and_then(|known| known.said);
        // The list says nothing of fills: what is known of them stands.
        let filled = said.and_then(|(_, filled)| filled);
        if let Some(state) = self.state(order.order_id, &order.status, filled.unwrap_or(Qty(0))) {
            self.say(order.order_id, state, filled, &order.why, out);
        }
    }

    /// The orders at work as an answer lists them: told whether or not they were told before.
    pub fn open_orders(&mut self, orders: &[OpenOrder], out: &mut Vec<AccountFact>) {
        for order in orders {
            if let Some(known) = self.orders.get_mut(&order.order_id)
                && known.said.is_some_and(|(said, _)| !said.is_final())
            {
                known.said = known.said.map(|(_, filled)| (OrderState::Unknown, filled));
            }
            let told = out.len();
            self.open_order(order, out);
            if out.len() == told {
                self.on_its_way(order, out);
            }
        }
    }

    /// Listed, and nobody took it yet (PendingSubmit): it is there all the same.
    fn on_its_way(&self, order: &OpenOrder, out: &mut Vec<AccountFact>) {
        let Some(known) = self.orders.get(&order.order_id) else {
            return;
        };
        if known.said.is_none_or(|(said, _)| !said.is_final()) {
            out.push(AccountFact::Order(OrderFact {
                key: key(order.order_id, &known.order_ref),
                instrument: known.instrument,
                state: OrderState::Sent,
                filled: None,
                why: String::new(),
            }));
        }
    }

    /// Takes an execution; one in a stock that is not traded here is none of ours.
    ///
    /// # Errors
    /// [`WireError::Number`] for a fill that the instrument's decimals can't hold: what is held can't be known then.
    pub fn execution(
        &mut self,
        execution: &Execution,
        now: Nanos,
        out: &mut Vec<AccountFact>,
    ) -> Result<(), WireError> {
        let Some(fill) = self.fill(execution, now)? else {
            return Ok(());
        };
        let base = base(&execution.exec_id);
        let known = self
            .executions
            .insert(base.to_owned(), execution.exec_id.clone());
        match known {
            Some(known) if known == execution.exec_id => return Ok(()),
            Some(corrected) => {
                self.held.retain(|held| held.fill.fill_id != corrected);
                self.without_fee
                    .retain(|held| held.fill.fill_id != corrected);
                out.push(AccountFact::FillReversed {
                    instrument: fill.instrument,
                    fill_id: corrected,
                });
            }
            None => {
                self.executions_in_turn.push_back(base.to_owned());
                while self.executions_in_turn.len() > EXECUTIONS_MAX {
                    if let Some(oldest) = self.executions_in_turn.pop_front() {
                        self.executions.remove(&oldest);
                    }
                }
            }
        }
        self.held.push(Held {
            fill,
            currency: execution.currency.clone(),
            since: now,
        });
        let early = |fee: &Commission| fee.exec_id == execution.exec_id;
        if let Some(place) = self.early_fees.iter().position(early)
            && let Some(fee) = self.early_fees.remove(place)
        {
            self.commission(&fee, out);
        }
        self.filled_by(execution, out);
        Ok(())
    }

    /// Executions that add up to the order fill it, whether or not a status says so.
    fn filled_by(&mut self, execution: &Execution, out: &mut Vec<AccountFact>) {
        let Some(known) = self.orders.get(&execution.order_id) else {
            return;
        };
        let cumulative = self.qty(known.instrument, execution.cumulative);
        if let (Some(filled), Some(qty)) = (cumulative, known.qty)
            && filled >= qty
        {
            self.say(
                execution.order_id,
                OrderState::Filled,
                Some(filled),
                "",
                out,
            );
        }
    }

    fn fill(&self, execution: &Execution, now: Nanos) -> Result<Option<FillFact>, WireError> {
        let found = self
            .contracts
            .symbol(&execution.symbol, &execution.currency);
        let Some(contract) = found else {
            return Ok(None);
        };
        let listed = &contract.listed;
        let reading = Reading {
            venue: VENUE,
            message: "execution",
        };
        let (price, qty) = (execution.price, execution.qty);
        Ok(Some(FillFact {
            key: key(execution.order_id, &execution.order_ref),
            instrument: listed.instrument,
            fill_id: execution.exec_id.clone(),
            side: execution.side,
            price: reading.fits(
                "price",
                &price.to_string(),
                listed,
                listed.decimals.price_from(price),
            )?,
            qty: reading.fits(
                "shares",
                &qty.to_string(),
                listed,
                listed.decimals.qty_from(qty),
            )?,
            fee: None,
            liquidity: if execution.liquidity == 1 {
                Liquidity::Maker
            } else {
                Liquidity::Taker
            },
            at: execution_time(&execution.time).unwrap_or(now),
            is_final: true,
        }))
    }

    /// Takes an execution's fee.
    pub fn commission(&mut self, commission: &Commission, out: &mut Vec<AccountFact>) {
        let is_its = |held: &Held| held.fill.fill_id == commission.exec_id;
        let held = match self.held.iter().position(is_its) {
            Some(place) => Some(self.held.remove(place)),
            None => {
                let place = self.without_fee.iter().position(is_its);
                place.and_then(|place| self.without_fee.remove(place))
            }
        };
        match held {
            Some(held) => out.push(AccountFact::Fill(with_fee(held, commission))),
            None if !self.executions.values().any(|id| *id == commission.exec_id) => {
                self.early_fees.push_back(commission.clone());
                if self.early_fees.len() > EARLY_FEES_MAX {
                    self.early_fees.pop_front();
                }
            }
            None => {}
        }
    }

    /// An answer that lists executions and fees: told whether or not they were told before.
    ///
    /// # Errors
    /// As [`execution`](Self::execution).
    pub fn fills(
        &mut self,
        executions: &[Execution],
        commissions: &[Commission],
        now: Nanos,
        out: &mut Vec<AccountFact>,
    ) -> Result<(), WireError> {
        for execution in executions {
            let mut news = Vec::new();
            self.execution(execution, now, &mut news)?;
            // A correction is news; the fill itself is told below, with its fee where it has one.
            out.extend(
                news.into_iter()
                    .filter(|fact| !matches!(fact, AccountFact::Fill(_))),
            );
            self.held
                .retain(|held| held.fill.fill_id != execution.exec_id);
            let Some(fill) = self.fill(execution, now)? else {
                continue;
            };
            let held = Held {
                fill,
                currency: execution.currency.clone(),
                since: now,
            };
            let fee = commissions
                .iter()
                .find(|fee| fee.exec_id == execution.exec_id);
            match fee {
                Some(fee) => out.push(AccountFact::Fill(with_fee(held, fee))),
                None => self.tell_without_fee(held, out),
            }
        }
        Ok(())
    }

    fn tell_without_fee(&mut self, held: Held, out: &mut Vec<AccountFact>) {
        out.push(AccountFact::Fill(held.fill.clone()));
        self.without_fee.push_back(held);
        if self.without_fee.len() > EARLY_FEES_MAX {
            self.without_fee.pop_front();
        }
    }

    /// Time passed: fills whose fee did not come are told without it.
    pub fn tick(&mut self, now: Nanos, out: &mut Vec<AccountFact>) {
        let late = |held: &Held| now.since(held.since) >= FEE_WAIT_NS;
        while let Some(place) = self.held.iter().position(late) {
            let held = self.held.remove(place);
            self.tell_without_fee(held, out);
        }
    }

    /// When the next fill is told without its fee.
    pub fn due(&self) -> Option<Nanos> {
        let waiting = self.held.iter().map(|held| held.since.after(FEE_WAIT_NS));
        waiting.min()
    }

    /// Takes an error or notice; `order_id` where it is about an order.
    pub fn notice(
        &mut self,
        order_id: Option<i32>,
        code: i32,
        message: &str,
        out: &mut Vec<BrokerEvent>,
    ) {
        let is_notice = matches!(code, 2_100..=2_199 | 10_089..=10_091 | 10_167 | 10_182);
        let resync = BrokerEvent::Fact(AccountFact::Resync);
        match (order_id.filter(|id| self.orders.contains_key(id)), code) {
            (_, LOST | STILL_LOST) => out.push(BrokerEvent::Lost {
                why: shortened(message),
            }),
            (_, BACK_WITHOUT_DATA | BACK_WITH_DATA) => {
                let keeps_data = code == BACK_WITH_DATA;
                out.extend([BrokerEvent::Restored { keeps_data }, resync]);
            }
            (Some(id), CANCELLED) => self.end(id, OrderState::Cancelled, code, message, out),
            (Some(id), _) if REJECTIONS.contains(&code) => {
                let state = self.refused(id);
                self.end(id, state, code, message, out);
            }
            (Some(_), _)
                if code != ORDER_MESSAGE && !CANCELLED_TOO_LATE.contains(&code) && !is_notice =>
            {
                out.extend([notice(code, message), resync]);
            }
            _ => out.push(notice(code, message)),
        }
    }

    fn end(
        &mut self,
        order_id: i32,
        state: OrderState,
        code: i32,
        message: &str,
        out: &mut Vec<BrokerEvent>,
    ) {
        let filled = self.orders.get(&order_id).and_then(|known| known.said?.1);
        let mut facts = Vec::new();
        self.say(
            order_id,
            state,
            filled,
            &format!("{code} {message}"),
            &mut facts,
        );
        out.extend(facts.into_iter().map(BrokerEvent::Fact));
    }

    /// Positions in our instruments; those that are not listed are zero.
    ///
    /// # Errors
    /// [`WireError::Number`] for one that the instrument's decimals can't hold.
    pub fn positions(
        &self,
        found: &[(String, String, Decimal)],
        out: &mut Vec<AccountFact>,
    ) -> Result<(), WireError> {
        let reading = Reading {
            venue: VENUE,
            message: "position",
        };
        for contract in self.contracts.iter() {
            let is_it = |(symbol, currency, _): &&(String, String, Decimal)| {
                *symbol == contract.symbol && *currency == contract.currency
            };
            let held: Decimal = found.iter().filter(is_it).map(|(_, _, qty)| *qty).sum();
            let listed = &contract.listed;
            let qty = listed.decimals.qty_from(held);
            out.push(AccountFact::Holding(Holding {
                instrument: listed.instrument,
                qty: reading.fits("position", &held.to_string(), listed, qty)?,
            }));
        }
        Ok(())
    }
}

fn notice(code: i32, message: &str) -> BrokerEvent {
    BrokerEvent::Notice {
        code,
        message: shortened(message),
    }
}

fn key(order_id: i32, order_ref: &str) -> OrderKey {
    OrderKey {
        client_id: (!order_ref.is_empty()).then(|| order_ref.to_owned()),
        venue_id: Some(order_id.to_string()),
    }
}

/// A fee in another currency is none that could be booked.
fn with_fee(held: Held, commission: &Commission) -> FillFact {
    FillFact {
        fee: commission
            .fee
            .filter(|_| commission.currency == held.currency),
        ..held.fill
    }
}

/// An execution's id up to its last dot; what follows counts its corrections.
fn base(exec_id: &str) -> &str {
    exec_id.rsplit_once('.').map_or(exec_id, |(base, _)| base)
}

/// The number that a double of the wire stands for: the shortest text that reads as it. None for the largest double, which
/// means "unset", and for what is no number.
pub(crate) fn decimal(value: f64) -> Option<Decimal> {
    if value.is_finite() && value.abs() < 1e18 {
        decimal_from_text(&value.to_string())
    } else {
        None
    }
}

/// "20261121 09:30:00 US/Eastern", or "20261121-14:30:00" in UTC. None without a known zone: then the receipt counts.
fn execution_time(text: &str) -> Option<Nanos> {
    let (date, rest) = text.split_at_checked(8)?;
    let (is_utc, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest.trim_start()),
    };
    let (time, zone) = rest.split_once(' ').unwrap_or((rest, ""));
    let local =
        jiff::civil::DateTime::strptime("%Y%m%d %H:%M:%S", format!("{date} {time}")).ok()?;
    let zone = if is_utc {
        jiff::tz::TimeZone::UTC
    } else {
        jiff::tz::TimeZoneDatabase::bundled()
            .get(zone.trim())
            .ok()?
    };
    nanos(local.to_zoned(zone).ok()?.timestamp())
}

#[cfg(test)]
mod tests;
