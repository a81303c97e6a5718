//! One multi-leg order's state machine.
//!
//! Facts (what orders came to) are folded as they happen; its state moves only by frames. `decide` holds the two against
//! each other and asks for one move at a time, so that asking again after a crash asks for the same.
use super::leg::{Fills, share};
use super::{Leg, LegSide, ParentState, Plan, Remedy, Role, depth, plan};
use crate::error::EngineError;
use crate::event::{Alarm, ExecutionReport, ParentChanged};
use crate::id::{InstrumentId, OrderId, Sequence, StrategyId};
use crate::market::{Instrument, Market};
use crate::number::{Money, NumberError, Price, Qty, pow10};
use crate::order::{OrderType, Side, TimeInForce};
use crate::risk::Proposal;
use crate::strategy::{Figure, View, Wishes};
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// Nobody is called and nothing is tried again more often than this, whatever the plan says.
const SHORTEST_NS: u64 = 1_000_000;

/// A multi-leg order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    number: u64,
    plan: Plan,
    state: ParentState,
    /// By role.
    fills: [Fills; 4],
    /// By leg: its contract was resolved, nothing of it is left.
    settled: [bool; 2],
    /// When an order was last asked for.
    tried_at: Nanos,
    /// What for, where the risk gate stopped it.
    denied: Option<Role>,
    /// A fill came while it was at rest.
    is_stirred: bool,
    /// Since when shares have no counterpart.
    single_since: Nanos,
    /// When somebody was last called.
    called_at: Nanos,
    /// Two orders at once, or a number that does not fit.
    is_broken: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    Become(ParentState),
    /// Become it, or say again that it is so, and call somebody.
    Call(ParentState),
    Send(Role, Leg),
}

/// How the legs compare, in the finer of the two quantities' decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Balance {
    /// What is left of each leg after unwinding.
    net: [i128; 2],
    /// How many of these units one mantissa step of a leg is.
    unit: [i128; 2],
}

impl Balance {
    /// The leg that has more than the other, and by how much; the first where they are equal.
    const fn excess(&self) -> (LegSide, i128) {
        let difference = self.net[0] - self.net[1];
        if difference >= 0 {
            (LegSide::First, difference)
        } else {
            (LegSide::Second, -difference)
        }
    }
}

impl Parent {
    /// One that is planned.
    pub fn new(number: u64, plan: Plan) -> Self {
        Self {
            number,
            plan,
            state: ParentState::None,
            fills: core::array::from_fn(|_| Fills::default()),
            settled: [false; 2],
            tried_at: Nanos(0),
            denied: None,
            is_stirred: false,
            single_since: Nanos(0),
            called_at: Nanos(0),
            is_broken: false,
        }
    }

    /// Its number, unique for the strategy.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// What it is to do.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where it stands.
    pub const fn state(&self) -> ParentState {
        self.state
    }

    /// Shares that a role's orders have filled, in the instrument's own decimals.
    pub const fn filled(&self, role: Role) -> Qty {
        self.fills[role.index()].qty
    }

    /// Price times quantity of a role's fills, in the leg's quote currency.
    pub const fn notional(&self, role: Role) -> Money {
        self.fills[role.index()].notional
    }

    /// Fees of a role's fills, in the leg's quote currency.
    pub const fn fees(&self, role: Role) -> Money {
        self.fills[role.index()].fees
    }

    /// What is left of a leg after unwinding, in the instrument's own decimals.
    pub const fn held(&self, leg: LegSide) -> Qty {
        let unwound = self.filled(Role::unwinding(leg)).0;
        Qty(self.filled(Role::of(leg)).0.saturating_sub(unwound))
    }

    pub(super) fn role_of(&self, order: OrderId) -> Option<Role> {
        let roles = [
            Role::First,
            Role::Second,
            Role::UnwindFirst,
            Role::UnwindSecond,
        ];
        let has = |role: &Role| self.fills[role.index()].orders.contains(&order);
        roles.into_iter().find(has)
    }

    /// The record of a state.
    pub(super) fn change(&self, state: ParentState) -> ParentChanged {
        let last = |role: Role| self.fills[role.index()].orders.last().copied();
        ParentChanged {
            // Filled in on its way to the tape.
            cause: Sequence(0),
            strategy: StrategyId(0),
            parent: self.number,
            state,
            first_order: last(Role::First),
            second_order: last(Role::Second),
            first_filled: self.filled(Role::First),
            second_filled: self.filled(Role::Second),
            plan: None,
        }
    }

    // Folding.

    pub(super) fn sent(&mut self, role: Role, order: OrderId, now: Nanos) {
        self.is_broken |= self.working().is_some();
        self.fills[role.index()].sent(order, now);
        (self.tried_at, self.denied) = (now, None);
    }

    pub(super) const fn denied(&mut self, role: Role, now: Nanos) {
        self.fills[role.index()].denied();
        self.tried_at = now;
        self.denied = Some(role);
    }

    pub(super) fn report(
        &mut self,
        role: Role,
        report: &ExecutionReport,
        instrument: &Instrument,
    ) -> Result<(), EngineError> {
        self.is_stirred |= report.fill.is_some() && self.state.is_at_rest();
        self.fills[role.index()].report(report, instrument)
    }

    pub(super) fn settled(&mut self, instrument: InstrumentId) {
        for (leg, settled) in self.plan.legs.iter().zip(&mut self.settled) {
            *settled |= leg.instrument == instrument;
        }
    }

    pub(super) fn changed(&mut self, state: ParentState, now: Nanos) {
        use ParentState::{Reconcile, SingleLeg, Unwinding};
        if state == SingleLeg && !matches!(self.state, SingleLeg | Unwinding) {
            self.single_since = now;
        }
        // An attempt that begins or ends is no call.
        let is_attempt = matches!(
            (self.state, state),
            (SingleLeg, Unwinding) | (Unwinding, SingleLeg)
        );
        if matches!(state, SingleLeg | Unwinding | Reconcile) && !is_attempt {
            self.called_at = now;
        }
        self.state = state;
        self.is_stirred = false;
    }

    /// Whether there may be something to do.
    pub(super) const fn is_restless(&self) -> bool {
        !self.state.is_at_rest() || self.is_stirred
    }

    // Deciding.

    /// The order that is not final yet, its role and its fills so far.
    fn working(&self) -> Option<(OrderId, &Fills)> {
        let mut fills = self.fills.iter();
        fills.find_map(|fills| Some((fills.working?, fills)))
    }

    pub(super) fn decide(&self, view: &View<'_>, wishes: &mut Wishes) {
        // A number that does not fit is an outcome that nobody can vouch for.
        let next =
            self.next(view.market, view.now)
                .unwrap_or(if self.state == ParentState::Reconcile {
                    Next::Nothing
                } else {
                    Next::Call(ParentState::Reconcile)
                });
        match next {
            Next::Nothing => {}
            Next::Become(state) => {
                wishes.parent(self.change(state));
                if matches!(state, ParentState::Leg1Sent | ParentState::Leg2Sent) {
                    let due = view.now.after(self.plan.deadline_ns);
                    wishes.timer(due, plan::token_of(self.number));
                }
            }
            Next::Call(state) => self.call(state, view, wishes),
            Next::Send(role, leg) => wishes.order(Proposal {
                instrument: leg.instrument,
                side: leg.side,
                order_type: OrderType::Limit,
                time_in_force: TimeInForce::ImmediateOrCancel,
                price: leg.limit,
                qty: leg.qty,
                tag: role.tag(self.number),
                one_of: None,
                protect: None,
                hedges: match role {
                    Role::Second => Some(self.plan.legs[0].instrument),
                    Role::First if !self.fills[Role::Second.index()].orders.is_empty() => {
                        Some(self.plan.legs[1].instrument)
                    }
                    _ => None,
                },
            }),
        }
    }

    fn call(&self, state: ParentState, view: &View<'_>, wishes: &mut Wishes) {
        let first = state != self.state;
        wishes.parent(self.change(state));
        let alarm = match state {
            ParentState::Reconcile => Alarm::Reconcile,
            _ => Alarm::SingleLeg,
        };
        let (leg, value) = self.unmatched(view.market);
        let instrument = self.plan.legs[leg.index()].instrument;
        wishes.alarm(instrument, alarm, value);
        if let Some((order, fills)) = self.working()
            && !fills.is_unknown
            && view.now.since(fills.sent_at) >= self.plan.deadline_ns
        {
            wishes.cancel(order);
        }
        let token = plan::token_of(self.number);
        if first && self.plan.unwind.on && state == ParentState::SingleLeg {
            wishes.timer(view.now.after(self.plan.unwind.after_ns), token);
        }
        wishes.timer(view.now.after(self.alarm_every_ns()), token);
    }

    /// The leg with shares that have no counterpart, and how many.
    fn unmatched(&self, market: &Market) -> (LegSide, Figure) {
        let decimals = self.plan.legs.map(|leg| {
            let instrument = market.instrument(leg.instrument);
            instrument.map_or(0, |instrument| instrument.decimals().qty)
        });
        let (leg, excess) = self
            .balance(market)
            .map_or((LegSide::First, 0), |balance| balance.excess());
        let scale = decimals[0].max(decimals[1]);
        (leg, Figure::new(excess, scale.into()))
    }

    fn alarm_every_ns(&self) -> u64 {
        self.plan.alarm_every_ns.max(SHORTEST_NS)
    }

    fn is_call_due(&self, now: Nanos) -> bool {
        now.since(self.called_at) >= self.alarm_every_ns()
    }

    /// Says again where it stands when it is time to, and nothing otherwise.
    fn wait(&self, now: Nanos) -> Next {
        let calls = matches!(
            self.state,
            ParentState::SingleLeg | ParentState::Unwinding | ParentState::Reconcile
        );
        if calls && self.is_call_due(now) {
            Next::Call(self.state)
        } else {
            Next::Nothing
        }
    }

    fn next(&self, market: &Market, now: Nanos) -> Result<Next, EngineError> {
        use ParentState::{Closed, Hedged, Leg1Filled, Leg1Sent, Leg2Sent, Reconcile, SingleLeg};
        if self.is_broken {
            return Ok(if self.state == Reconcile {
                self.wait(now)
            } else {
                Next::Call(Reconcile)
            });
        }
        if let Some((_, fills)) = self.working() {
            return Ok(self.next_while_working(fills, now));
        }
        let balance = self.balance(market)?;
        let (long, excess) = balance.excess();
        let tried = |role: Role| self.fills[role.index()].attempts > 0;
        if !tried(Role::First) {
            return Ok(Next::Send(Role::First, self.plan.legs[0]));
        }
        if self.settled == [true; 2] || (excess > 0 && self.settled[long.index()]) {
            return Ok(self.rest_in(Closed));
        }
        if balance.net == [0; 2] {
            return Ok(self.rest_in(Closed));
        }
        if excess == 0
            || (balance.net[1 - long.index()] > 0 && self.is_dust(market, now, &balance)?)
        {
            return Ok(self.rest_in(Hedged));
        }
        Ok(match self.state {
            ParentState::None | Leg1Sent | Reconcile if !tried(Role::Second) => {
                Next::Become(Leg1Filled)
            }
            Leg1Filled if !tried(Role::Second) => {
                match self.counterpart(market, now, long, excess, &balance)? {
                    Some(leg) => Next::Send(Role::Second, leg),
                    None => Next::Call(SingleLeg),
                }
            }
            Leg1Filled | Leg2Sent | Hedged | Closed | Reconcile => Next::Call(SingleLeg),
            ParentState::Unwinding => Next::Become(SingleLeg),
            _ => match self.mend(market, now, long, excess, &balance)? {
                Some((role, leg)) => Next::Send(role, leg),
                None => self.wait(now),
            },
        })
    }

    /// A state in which nothing is to be done; a closed one stays closed whatever its legs were.
    fn rest_in(&self, state: ParentState) -> Next {
        let state = if self.state == ParentState::Closed {
            ParentState::Closed
        } else {
            state
        };
        if self.state == state && !self.is_stirred {
            Next::Nothing
        } else {
            Next::Become(state)
        }
    }

    /// Nothing new goes out while an order's outcome is open.
    fn next_while_working(&self, fills: &Fills, now: Nanos) -> Next {
        use ParentState::{Leg1Filled, Leg1Sent, Leg2Sent, Reconcile, SingleLeg, Unwinding};
        let late = now.since(fills.sent_at) >= self.plan.deadline_ns;
        match self.state {
            ParentState::None => Next::Become(Leg1Sent),
            Leg1Filled => Next::Become(Leg2Sent),
            Leg1Sent if late => Next::Call(Reconcile),
            Leg2Sent if late => Next::Call(SingleLeg),
            SingleLeg if self.is_mending() => Next::Become(Unwinding),
            _ => self.wait(now),
        }
    }

    /// Whether the order at work is one of the last resort.
    fn is_mending(&self) -> bool {
        match self.plan.unwind.remedy {
            Remedy::Unwind => self.fills[2..].iter().any(|f| f.working.is_some()),
            Remedy::Complete => self.fills.iter().any(|f| f.sent_at > self.single_since),
        }
    }

    fn balance(&self, market: &Market) -> Result<Balance, EngineError> {
        let mut decimals = [0; 2];
        for (place, leg) in self.plan.legs.iter().enumerate() {
            decimals[place] = u32::from(market.instrument(leg.instrument)?.decimals().qty);
        }
        let finest = decimals[0].max(decimals[1]);
        let overflow = NumberError::Overflow { what: "shares" };
        let mut unit = [1; 2];
        let mut net = [0; 2];
        for leg in [LegSide::First, LegSide::Second] {
            let place = leg.index();
            unit[place] = pow10(finest - decimals[place]).ok_or(overflow.clone())?;
            let held = i128::from(self.filled(Role::of(leg)).0)
                - i128::from(self.filled(Role::unwinding(leg)).0);
            net[place] = held.checked_mul(unit[place]).ok_or(overflow.clone())?;
        }
        Ok(Balance { net, unit })
    }

    /// How many mantissa steps of `leg` cover `shares`, in whole lots.
    fn in_lots(
        &self,
        market: &Market,
        now: Nanos,
        leg: LegSide,
        shares: i128,
        balance: &Balance,
    ) -> Result<Qty, EngineError> {
        let instrument = market.instrument(self.plan.legs[leg.index()].instrument)?;
        let lot = instrument
            .rules_at(now)
            .map_or(1, |rules| rules.lot_size.0.max(1));
        let steps = shares / balance.unit[leg.index()];
        let lots = steps - steps % i128::from(lot);
        let overflow = NumberError::Overflow { what: "shares" };
        Ok(Qty(i64::try_from(lots).map_err(|_| overflow)?))
    }

    /// Whether the other leg's lot is too coarse for what is left without a counterpart.
    fn is_dust(&self, market: &Market, now: Nanos, balance: &Balance) -> Result<bool, EngineError> {
        let (long, excess) = balance.excess();
        let lots = self.in_lots(market, now, long.other(), excess, balance)?;
        Ok(lots.0 == 0)
    }

    /// The order that would give the unmatched shares their counterpart within its leg's limit; never for more shares.
    fn counterpart(
        &self,
        market: &Market,
        now: Nanos,
        long: LegSide,
        excess: i128,
        balance: &Balance,
    ) -> Result<Option<Leg>, EngineError> {
        let short = long.other();
        let qty = self.in_lots(market, now, short, excess, balance)?;
        let leg = self.plan.legs[short.index()];
        Ok((qty.0 > 0).then_some(Leg { qty, ..leg }))
    }

    /// What can be done about shares without a counterpart: the second leg again, or the last resort.
    fn mend(
        &self,
        market: &Market,
        now: Nanos,
        long: LegSide,
        excess: i128,
        balance: &Balance,
    ) -> Result<Option<(Role, Leg)>, EngineError> {
        // What the risk gate stopped it would stop again at once.
        let may_try = |role: Role| {
            let gap_ns = if self.denied == Some(role) {
                self.alarm_every_ns()
            } else {
                self.plan.retry_gap_ns.max(SHORTEST_NS)
            };
            now.since(self.tried_at) >= gap_ns
        };
        let second = &self.fills[Role::Second.index()];
        if long == LegSide::First
            && may_try(Role::Second)
            && second.attempts.saturating_sub(1) < self.plan.retries
            && let Some(leg) = self.counterpart(market, now, long, excess, balance)?
            && is_within(market.instrument(leg.instrument)?, leg.side, leg.limit)
        {
            return Ok(Some((Role::Second, leg)));
        }
        let rule = &self.plan.unwind;
        if !rule.on || now.since(self.single_since) < rule.after_ns {
            return Ok(None);
        }
        let (role, side) = match rule.remedy {
            Remedy::Unwind => {
                let side = self.plan.legs[long.index()].side.opposite();
                (Role::unwinding(long), side)
            }
            Remedy::Complete => {
                let short = long.other();
                (Role::of(short), self.plan.legs[short.index()].side)
            }
        };
        if !may_try(role) {
            return Ok(None);
        }
        let place = role.leg().index();
        let instrument = market.instrument(self.plan.legs[place].instrument)?;
        let qty = self.in_lots(market, now, role.leg(), excess, balance)?;
        let Some(found) = depth::find(instrument, now, side, qty)? else {
            return Ok(None);
        };
        let loss = self.loss(role, &found, instrument)?;
        Ok((loss <= rule.loss_caps[place]).then_some((
            role,
            Leg {
                instrument: instrument.id(),
                side,
                limit: found.worst,
                qty: found.qty,
            },
        )))
    }

    /// What the last resort would have cost in all, after trading what was found.
    fn loss(
        &self,
        role: Role,
        found: &depth::Found,
        instrument: &Instrument,
    ) -> Result<Money, EngineError> {
        let overflow = NumberError::Overflow { what: "loss" };
        let leg = &self.plan.legs[role.leg().index()];
        let sign = |side: Side, amount: Money| Money(i128::from(side.sign()) * amount.0);
        if !role.is_unwinding() {
            let wanted = instrument.decimals().notional(leg.limit, found.qty)?;
            return Ok(sign(leg.side, found.notional.sub(wanted)?));
        }
        let opened = &self.fills[Role::of(role.leg()).index()];
        let back = &self.fills[role.index()];
        let qty = back.qty.0.saturating_add(found.qty.0);
        let of = |amount| share(amount, qty, opened.qty.0).ok_or(overflow.clone());
        let given = of(opened.notional)?;
        let got = back.notional.add(found.notional)?;
        let fees = of(opened.fees)?.add(back.fees)?.add(found.fees)?;
        Ok(sign(leg.side, given.sub(got)?).add(fees)?)
    }
}

/// Whether an order at that limit would find something now.
fn is_within(instrument: &Instrument, side: Side, limit: Price) -> bool {
    let best = instrument.top().and_then(|top| top.side(side.opposite()));
    best.is_some_and(|best| side.crosses(limit, best.price))
}
