//! What the gateway tells of orders, as facts. Pure: reports and a stamp go in, facts come out.
//!
//! - A status that says nothing new is none. `Filled` may be left out: executions that add up to the order say it as well.
//! - A fill waits a moment for its fee, which comes apart and is named by the execution's id. A fee that comes later still
//!   repeats the fill with it; one that does not come leaves it out.
//! - An execution whose id differs from an earlier one only behind the last dot corrects it: the earlier fill is reversed.
//! - A rejection is only what can be nothing else; any other error about an order leads to a look-up.
use super::broker::{BrokerEvent, Contracts};
#[cfg(feature = "ib")]
use crate::gateway::fields::decimal_from_text;
use crate::gateway::fields::nanos;
use crate::gateway::{AccountFact, FillFact, Holding, NewOrder, OrderFact, OrderKey, shortened};
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
/// The gateway lost the broker.
const LOST: i32 = 1_100;
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
            self.open_order(order, out);
        }
    }

    /// Takes an execution.
    pub fn execution(&mut self, execution: &Execution, now: Nanos, out: &mut Vec<AccountFact>) {
        let Some(fill) = self.fill(execution, now) else {
            return;
        };
        let base = base(&execution.exec_id);
        let known = self
            .executions
            .insert(base.to_owned(), execution.exec_id.clone());
        match known {
            Some(known) if known == execution.exec_id => return,
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

    fn fill(&self, execution: &Execution, now: Nanos) -> Option<FillFact> {
        let contract = self
            .contracts
            .symbol(&execution.symbol, &execution.currency)?;
        let decimals = contract.listed.decimals;
        Some(FillFact {
            key: key(execution.order_id, &execution.order_ref),
            instrument: contract.listed.instrument,
            fill_id: execution.exec_id.clone(),
            side: execution.side,
            price: decimals.price_from(execution.price).ok()?,
            qty: decimals.qty_from(execution.qty).ok()?,
            fee: None,
            liquidity: if execution.liquidity == 1 {
                Liquidity::Maker
            } else {
                Liquidity::Taker
            },
            at: execution_time(&execution.time).unwrap_or(now),
            is_final: true,
        })
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
    pub fn fills(
        &mut self,
        executions: &[Execution],
        commissions: &[Commission],
        now: Nanos,
        out: &mut Vec<AccountFact>,
    ) {
        for execution in executions {
            let mut news = Vec::new();
            self.execution(execution, now, &mut news);
            // A correction is news; the fill itself is told below, with its fee where it has one.
            out.extend(
                news.into_iter()
                    .filter(|fact| !matches!(fact, AccountFact::Fill(_))),
            );
            self.held
                .retain(|held| held.fill.fill_id != execution.exec_id);
            let Some(fill) = self.fill(execution, now) else {
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
            (_, LOST) => out.push(BrokerEvent::Lost {
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
            (Some(_), _) if code != ORDER_MESSAGE && !is_notice => {
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
    pub fn positions(&self, found: &[(String, String, Decimal)], out: &mut Vec<AccountFact>) {
        for contract in self.contracts.iter() {
            let is_it = |(symbol, currency, _): &&(String, String, Decimal)| {
                *symbol == contract.symbol && *currency == contract.currency
            };
            let qty = found.iter().filter(is_it).map(|(_, _, qty)| *qty).sum();
            if let Ok(qty) = contract.listed.decimals.qty_from(qty) {
                out.push(AccountFact::Holding(Holding {
                    instrument: contract.listed.instrument,
                    qty,
                }));
            }
        }
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
#[cfg(feature = "ib")]
pub(super) fn decimal(value: f64) -> Option<Decimal> {
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
mod tests {
    use super::*;
    use crate::gateway::Listed;
    use crate::ib::Contract;
    use onetape_engine::id::OrderId;
    use onetape_engine::number::{Decimals, Price};
    use onetape_engine::order::{OrderType, TimeInForce};

    const S: u64 = 1_000_000_000;

    fn account() -> Account {
        Account::new(Contracts::new([Contract {
            listed: Listed {
                instrument: InstrumentId(3),
                symbol: "AAPL".into(),
                decimals: Decimals::new(4, 2).unwrap(),
            },
            symbol: "AAPL".into(),
            currency: "USD".into(),
            exchange: "SMART".into(),
            primary_exchange: "NASDAQ".into(),
        }]))
    }

    fn with_order() -> Account {
        let mut account = account();
        let order = NewOrder {
            order: OrderId(1),
            client_id: "s-1",
            instrument: InstrumentId(3),
            side: Side::Buy,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::GoodTillCancel,
            price: Price(2_273_100),
            worst_price: Price(0),
            qty: Qty(1_000),
            decided_at: Nanos(0),
        };
        account.placing(91, &order);
        account
    }

    fn short(fact: &AccountFact) -> String {
        match fact {
            AccountFact::Order(it) => {
                let filled = it.filled.map_or(-1, |qty| qty.0);
                format!(
                    "{} {} {filled} {}",
                    it.key.client_id.as_deref().unwrap_or("?"),
                    it.state.name(),
                    it.why
                )
                .trim()
                .to_owned()
            }
            AccountFact::Fill(it) => {
                let fee = it.fee.map_or("?".to_owned(), |fee| fee.to_string());
                format!("fill {} {}@{} fee {fee}", it.fill_id, it.qty.0, it.price.0)
            }
            AccountFact::FillReversed { fill_id, .. } => format!("reversed {fill_id}"),
            other => format!("{other:?}"),
        }
    }

    fn told(
        account: &mut Account,
        tell: impl FnOnce(&mut Account, &mut Vec<AccountFact>),
    ) -> Vec<String> {
        let mut facts = Vec::new();
        tell(account, &mut facts);
        facts.iter().map(short).collect()
    }

    fn status(account: &mut Account, status: &str, filled: i64) -> Vec<String> {
        let status = Status {
            order_id: 91,
            status: status.into(),
            filled: filled.into(),
        };
        told(account, |account, out| account.status(&status, out))
    }

    fn execution(exec_id: &str, qty: i64, cumulative: i64) -> Execution {
        Execution {
            order_id: 91,
            order_ref: "s-1".into(),
            exec_id: exec_id.into(),
            symbol: "AAPL".into(),
            currency: "USD".into(),
            side: Side::Buy,
            price: Decimal::new(22_730, 2),
            qty: qty.into(),
            cumulative: cumulative.into(),
            liquidity: 2,
            time: "20261121 09:30:00 US/Eastern".into(),
        }
    }

    fn execute(
        account: &mut Account,
        exec_id: &str,
        qty: i64,
        cumulative: i64,
        now: Nanos,
    ) -> Vec<String> {
        let execution = execution(exec_id, qty, cumulative);
        told(account, |account, out| {
            account.execution(&execution, now, out)
        })
    }

    fn fee(account: &mut Account, exec_id: &str, fee: &str, currency: &str) -> Vec<String> {
        let commission = Commission {
            exec_id: exec_id.into(),
            fee: fee.parse().ok(),
            currency: currency.into(),
        };
        told(account, |account, out| account.commission(&commission, out))
    }

    fn notices(account: &mut Account, order_id: Option<i32>, code: i32) -> Vec<String> {
        let mut events = Vec::new();
        account.notice(order_id, code, "words", &mut events);
        let short = |event: &BrokerEvent| match event {
            BrokerEvent::Fact(fact) => short(fact),
            other => format!("{other:?}"),
        };
        events.iter().map(short).collect()
    }

    #[test]
    fn a_repeated_status_says_nothing_and_a_skipped_one_is_not_missed() {
        let mut account = with_order();
        assert!(status(&mut account, "PendingSubmit", 0).is_empty());
        assert_eq!(status(&mut account, "PreSubmitted", 0), ["s-1 acked 0"]);
        assert!(status(&mut account, "Submitted", 0).is_empty());
        assert_eq!(
            status(&mut account, "Submitted", 4),
            ["s-1 partially_filled 400"]
        );
        assert!(status(&mut account, "Submitted", 4).is_empty());
        assert!(status(&mut account, "PendingCancel", 4).is_empty());
        // No status says "Filled": the executions do.
        let mut account = with_order();
        assert!(execute(&mut account, "e1.01", 4, 4, Nanos(0)).is_empty());
        assert_eq!(
            execute(&mut account, "e2.01", 6, 10, Nanos(0)),
            ["s-1 filled 1000"]
        );
        assert!(status(&mut account, "Filled", 10).is_empty());
        assert!(status(&mut account, "Submitted", 4).is_empty());
    }

    #[test]
    fn a_fill_is_told_with_its_fee_once_however_often_it_is_repeated() {
        let mut account = with_order();
        assert!(execute(&mut account, "e1.01", 4, 4, Nanos(0)).is_empty());
        assert!(execute(&mut account, "e1.01", 4, 4, Nanos(0)).is_empty());
        assert_eq!(
            fee(&mut account, "e1.01", "1.05", "USD"),
            ["fill e1.01 400@2273000 fee 1.05"]
        );
        assert!(execute(&mut account, "e1.01", 4, 4, Nanos(0)).is_empty());
        assert!(fee(&mut account, "e1.01", "1.05", "USD").is_empty());
        assert!(told(&mut account, |account, out| account.tick(Nanos(9 * S), out)).is_empty());
        // The fee first; a fee in another currency.
        assert!(fee(&mut account, "e2.01", "2", "USD").is_empty());
        assert_eq!(
            execute(&mut account, "e2.01", 1, 5, Nanos(0)),
            ["fill e2.01 100@2273000 fee 2"]
        );
        execute(&mut account, "e3.01", 1, 6, Nanos(0));
        assert_eq!(
            fee(&mut account, "e3.01", "2", "EUR"),
            ["fill e3.01 100@2273000 fee ?"]
        );
    }

    #[test]
    fn a_fee_that_does_not_come_holds_nothing_up_and_repeats_the_fill_when_it_does() {
        let mut account = with_order();
        execute(&mut account, "e1.01", 4, 4, Nanos(S));
        assert_eq!(account.due(), Some(Nanos(3 * S)));
        assert!(
            told(&mut account, |account, out| account
                .tick(Nanos(3 * S - 1), out))
            .is_empty()
        );
        let late = told(&mut account, |account, out| account.tick(Nanos(3 * S), out));
        assert_eq!(late, ["fill e1.01 400@2273000 fee ?"]);
        assert_eq!(account.due(), None);
        assert_eq!(
            fee(&mut account, "e1.01", "1", "USD"),
            ["fill e1.01 400@2273000 fee 1"]
        );
    }

    #[test]
    fn a_correction_reverses_what_it_corrects() {
        let mut account = with_order();
        execute(&mut account, "0001f4e8.6.01", 4, 4, Nanos(0));
        fee(&mut account, "0001f4e8.6.01", "1", "USD");
        assert_eq!(
            execute(&mut account, "0001f4e8.6.02", 3, 3, Nanos(0)),
            ["reversed 0001f4e8.6.01"]
        );
        assert_eq!(
            fee(&mut account, "0001f4e8.6.02", "1", "USD"),
            ["fill 0001f4e8.6.02 300@2273000 fee 1"]
        );
    }

    #[test]
    fn only_what_can_be_nothing_else_is_a_rejection() {
        let mut account = with_order();
        assert_eq!(
            notices(&mut account, Some(91), 201),
            ["s-1 rejected -1 201 words"]
        );
        assert!(status(&mut account, "Inactive", 0).is_empty());
        // What was taken once can only be ended.
        let mut account = with_order();
        status(&mut account, "PreSubmitted", 0);
        assert_eq!(
            notices(&mut account, Some(91), 201),
            ["s-1 cancelled 0 201 words"]
        );
        let mut account = with_order();
        assert_eq!(status(&mut account, "Inactive", 0), ["s-1 rejected 0"]);
        let mut account = with_order();
        status(&mut account, "Submitted", 4);
        assert_eq!(
            notices(&mut account, Some(91), 202),
            ["s-1 cancelled 400 202 words"]
        );
        assert!(status(&mut account, "Cancelled", 4).is_empty());
        // A fill that was on its way is a fact all the same.
        execute(&mut account, "e1.01", 1, 5, Nanos(0));
        assert_eq!(fee(&mut account, "e1.01", "1", "USD").len(), 1);
        let mut account = with_order();
        for code in [103, 161, 10_147, 10_148, 404] {
            let seen = notices(&mut account, Some(91), code);
            assert_eq!((seen.len(), seen[1].as_str()), (2, "Resync"), "{code}");
        }
    }

    #[test]
    fn notices_end_nothing_and_a_way_back_is_looked_up() {
        let mut account = with_order();
        for code in [2_103, 2_104, 2_105, 2_158, 10_182, 399] {
            for id in [None, Some(91)] {
                let seen = notices(&mut account, id, code);
                assert_eq!(
                    seen,
                    [format!("Notice {{ code: {code}, message: \"words\" }}")]
                );
            }
        }
        assert_eq!(
            notices(&mut account, None, 1_100),
            ["Lost { why: \"words\" }"]
        );
        assert_eq!(
            notices(&mut account, None, 1_101),
            ["Restored { keeps_data: false }", "Resync"]
        );
        assert_eq!(
            notices(&mut account, None, 1_102),
            ["Restored { keeps_data: true }", "Resync"]
        );
    }

    #[test]
    fn orders_of_an_earlier_run_are_known_by_our_name_for_them() {
        let mut account = account();
        let open = |status: &str, order_ref: &str| OpenOrder {
            order_id: 88,
            order_ref: order_ref.into(),
            symbol: "AAPL".into(),
            currency: "USD".into(),
            qty: 10.into(),
            status: status.into(),
            why: String::new(),
        };
        let tell = |account: &mut Account, order: OpenOrder| {
            told(account, |account, out| account.open_orders(&[order], out))
        };
        assert!(tell(&mut account, open("Submitted", "")).is_empty());
        assert_eq!(
            tell(&mut account, open("Submitted", "s-0")),
            ["s-0 acked -1"]
        );
        // An answer says it again; told on its own it would be no news.
        assert_eq!(
            tell(&mut account, open("Submitted", "s-0")),
            ["s-0 acked -1"]
        );
        assert!(
            told(&mut account, |account, out| account
                .open_order(&open("Submitted", "s-0"), out))
            .is_empty()
        );
        assert_eq!(account.order_id("s-0"), Some(88));
        let foreign = OpenOrder {
            symbol: "TSLA".into(),
            order_id: 89,
            ..open("Submitted", "x")
        };
        assert!(tell(&mut account, foreign).is_empty());
    }

    #[test]
    fn an_answer_tells_every_fill_with_the_fee_that_came_with_it() {
        let mut account = with_order();
        execute(&mut account, "e1.01", 4, 4, Nanos(0));
        let executions = [execution("e1.01", 4, 4), execution("e2.01", 6, 10)];
        let fees = [Commission {
            exec_id: "e2.01".into(),
            fee: Some(Decimal::ONE),
            currency: "USD".into(),
        }];
        for news in [&["s-1 filled 1000"][..], &[]] {
            let mut expected = vec!["fill e1.01 400@2273000 fee ?"];
            expected.extend(news);
            expected.push("fill e2.01 600@2273000 fee 1");
            let seen = told(&mut account, |account, out| {
                account.fills(&executions, &fees, Nanos(0), out)
            });
            assert_eq!(seen, expected);
        }
        assert!(
            told(&mut account, |account, out| account
                .tick(Nanos(99 * S), out))
            .is_empty()
        );
        assert_eq!(
            fee(&mut account, "e1.01", "3", "USD"),
            ["fill e1.01 400@2273000 fee 3"]
        );
    }

    #[test]
    fn a_position_that_is_not_listed_is_none() {
        let mut account = account();
        let seen = told(&mut account, |account, out| account.positions(&[], out));
        assert_eq!(
            seen,
            ["Holding(Holding { instrument: InstrumentId(3), qty: Qty(0) })"]
        );
        let own = ("AAPL".to_owned(), "USD".to_owned(), Decimal::from(-5));
        let foreign = ("TSLA".to_owned(), "USD".to_owned(), Decimal::from(7));
        let seen = told(&mut account, |account, out| {
            account.positions(&[own, foreign], out)
        });
        assert_eq!(
            seen,
            ["Holding(Holding { instrument: InstrumentId(3), qty: Qty(-500) })"]
        );
    }

    #[test]
    fn times_have_a_zone_or_are_none() {
        let at = |text: &str| execution_time(text).map(|at| at.0 / S);
        let expected = Some(1_795_271_400);
        assert_eq!(at("20261121 09:30:00 US/Eastern"), expected);
        assert_eq!(at("20261121  09:30:00 America/New_York"), expected);
        assert_eq!(at("20261121-14:30:00"), expected);
        for bad in [
            "",
            "20261121 09:30:00",
            "20261121 09:30:00 Moon/Base",
            "2026112é 09:30:00 UTC",
            "20261321-09:30:00",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[cfg(feature = "ib")]
    #[test]
    fn a_double_is_the_number_that_it_was_written_for() {
        for text in ["227.31", "0.0001", "182.345", "-1.5", "0"] {
            assert_eq!(decimal(text.parse().unwrap()), text.parse().ok(), "{text}");
        }
        for unset in [f64::MAX, f64::NAN, f64::INFINITY] {
            assert_eq!(decimal(unset), None);
        }
    }
}
