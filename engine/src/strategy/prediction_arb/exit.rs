//! When and how an open pair is closed (requirements, five systems, 2.3: fixed and model exits). No entry gate is asked
//! here.
use super::edge::{self, Shares, times};
use super::params::ExitMode;
use super::state::State;
use super::trade::{Trade, TradeLeg};
use crate::event::{SignalRaised, TradingStatus};
use crate::id::{Sequence, StrategyId};
use crate::market::{Instrument, Market};
use crate::number::{Money, Price, Qty, pow10};
use crate::order::Side;
use crate::parent::{Leg, ParentState, Plan, Remedy, depth};
use crate::strategy::{View, Wishes};
use crate::time::{Nanos, SECOND_NS};

const HOUR_NS: u64 = 3_600 * SECOND_NS;

/// Why a pair is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitRule {
    Stop,
    Target,
    Time,
    MakeRoom,
    EdgeGone,
    ThinExit,
    Confidence,
    Decay,
    Captured,
}

impl ExitRule {
    pub(super) const ALL: [ExitRule; 9] = [
        ExitRule::Stop,
        ExitRule::Target,
        ExitRule::Time,
        ExitRule::MakeRoom,
        ExitRule::EdgeGone,
        ExitRule::ThinExit,
        ExitRule::Confidence,
        ExitRule::Decay,
        ExitRule::Captured,
    ];

    /// Its name as a detector of signals.
    pub(super) const fn name(self) -> &'static str {
        match self {
            ExitRule::Stop => "exit stop",
            ExitRule::Target => "exit target",
            ExitRule::Time => "exit time",
            ExitRule::MakeRoom => "exit make_room",
            ExitRule::EdgeGone => "exit edge_gone",
            ExitRule::ThinExit => "exit thin_exit",
            ExitRule::Confidence => "exit confidence",
            ExitRule::Decay => "exit decay",
            ExitRule::Captured => "exit captured",
        }
    }

    pub(super) const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl State {
    /// Asks the exit rules of a trade; returns whether it is being closed now.
    pub(super) fn consider_exit(
        &self,
        trade: &Trade,
        view: &View<'_>,
        wishes: &mut Wishes,
    ) -> bool {
        let is_hedged = self
            .parents
            .get(trade.entry)
            .is_some_and(|parent| parent.state() == ParentState::Hedged);
        let is_open = |leg: &TradeLeg| {
            let instrument = view.market.instrument(leg.instrument);
            instrument.is_ok_and(|i| i.status == TradingStatus::Open)
        };
        let is_paying = trade
            .legs
            .iter()
            .any(|leg| leg.paid.is_some() || !is_open(leg));
        if !is_hedged || is_paying || trade.exit.is_some() || view.now < trade.quiet_until {
            return false;
        }
        let mut acts = None;
        for rules in [ExitMode::Fixed, ExitMode::Model] {
            if self.params.exit_mode != rules && self.params.exit_mode != ExitMode::Shadow {
                continue;
            }
            let rule = match rules {
                ExitMode::Fixed => self.fixed_rule(trade, view.market, view.now),
                _ => self.model_rule(trade, view.market, view.now),
            };
            if let Some(rule) = rule {
                self.say(rule, trade, view, wishes);
                acts = acts.or(Some(rule));
            }
        }
        if self.params.exit_mode == ExitMode::Shadow || acts.is_none() {
            return false;
        }
        let Some(plan) = self.exit_plan(trade, view.market, view.now) else {
            return false;
        };
        self.parents.open(plan, wishes);
        true
    }

    /// Once for each rule and trade.
    fn say(&self, rule: ExitRule, trade: &Trade, view: &View<'_>, wishes: &mut Wishes) {
        if trade.said & rule.bit() != 0 {
            return;
        }
        let leg = &trade.legs[0];
        let side = trade.direction.side().opposite();
        let price = view
            .market
            .instrument(leg.instrument)
            .ok()
            .and_then(|i| i.mark(side));
        wishes.signal(SignalRaised {
            // Filled in on its way to the tape.
            cause: Sequence(0),
            strategy: StrategyId(0),
            instrument: leg.instrument,
            detector: rule.name().to_owned(),
            side,
            entry: price.unwrap_or_default(),
            stop_loss: Price(0),
            target: Price(0),
            qty: leg.held.abs(),
        });
    }

    /// Stop at `B - 2EQ`, target at `B + 0.8(EQ - B)` or at `max(0, 0.8EQ)` where that is not positive, time.
    pub(super) fn fixed_rule(
        &self,
        trade: &Trade,
        market: &Market,
        now: Nanos,
    ) -> Option<ExitRule> {
        let opened = trade.opened?;
        let profit = trade.profit(market, now).ok()?;
        let stop = opened
            .first_mark
            .sub(trade.expected_times(self.amounts.stop_edges)?)
            .ok()?;
        if profit <= stop {
            return Some(ExitRule::Stop);
        }
        let way = opened.expected.sub(opened.first_mark).ok()?;
        let part = times(way, self.amounts.target_fraction).ok()?;
        let mut target = opened.first_mark.add(part).ok()?;
        if target.0 <= 0 {
            target = trade
                .expected_times(self.amounts.target_fraction)?
                .max(Money::ZERO);
        }
        if profit >= target {
            return Some(ExitRule::Target);
        }
        let before_ns = self.time_exit_ns();
        let left = self.time_left(trade, now)?;
        (before_ns > 0 && left <= before_ns).then_some(ExitRule::Time)
    }

    /// The first of six rules that holds, by priority.
    pub(super) fn model_rule(
        &self,
        trade: &Trade,
        market: &Market,
        now: Nanos,
    ) -> Option<ExitRule> {
        let opened = trade.opened?;
        let amounts = &self.amounts;
        let edge_now = self.edge_now(trade, market, now);
        if self.capital_in(None) >= amounts.budget_exit
            && let Some(edge_now) = edge_now
            && self
                .trades
                .iter()
                .filter_map(|other| self.edge_now(other, market, now))
                .all(|other| edge_now <= other)
        {
            return Some(ExitRule::MakeRoom);
        }
        if edge_now.is_some_and(|edge| edge <= opened.edge.negated()) {
            return Some(ExitRule::EdgeGone);
        }
        if self.exit_depth(trade, market)? < amounts.min_exit_depth {
            return Some(ExitRule::ThinExit);
        }
        let pair = self.pairs.get(trade.pair as usize)?;
        let kept = i128::from(trade.confidence_pct).checked_mul(amounts.confidence_left.0)?;
        if i128::from(pair.confidence_pct()) * edge::ONE <= kept {
            return Some(ExitRule::Confidence);
        }
        let left = self.time_left(trade, now)?;
        if decayed(left, self.params.decay_h) >= amounts.decay_limit {
            return Some(ExitRule::Decay);
        }
        let captured = trade.expected_times(amounts.captured_fraction)?;
        (trade.profit(market, now).ok()? >= captured && opened.expected.0 > 0)
            .then_some(ExitRule::Captured)
    }

    /// How long before the earlier settlement a pair is closed by time; 0 for never.
    pub(super) const fn time_exit_ns(&self) -> u64 {
        (self.params.time_exit_h as u64).saturating_mul(HOUR_NS)
    }

    fn time_left(&self, trade: &Trade, now: Nanos) -> Option<u64> {
        let pair = self.pairs.get(trade.pair as usize)?;
        Some(pair.first_settlement().since(now))
    }

    /// What opening it now would earn a share: gross at the best prices, less the fees of as many shares as are held.
    fn edge_now(&self, trade: &Trade, market: &Market, now: Nanos) -> Option<Money> {
        let single = market.instrument(trade.legs[0].instrument).ok()?;
        let token = market.instrument(trade.legs[1].instrument).ok()?;
        let gross = edge::gross(single, token, trade.direction)?;
        let shares = Shares::new(single, token, now)?;
        let held = trade.shares(market).filter(|held| *held > 0)?;
        let mut fees = Money::ZERO;
        for (instrument, side, leg) in [
            (single, trade.direction.side(), &trade.legs[0]),
            (token, Side::Buy, &trade.legs[1]),
        ] {
            let best = instrument.top()?.side(side.opposite())?;
            let schedule = instrument.fees_at(now)?;
            let fee = schedule.estimate(
                crate::event::Liquidity::Taker,
                instrument.decimals(),
                best.price,
                leg.held.abs(),
            );
            fees = fees.add(fee.ok()?).ok()?;
        }
        gross.sub(shares.each(fees, held).ok()?).ok()
    }

    /// Shares displayed where the thinner leg would leave, in units of 1e-18.
    fn exit_depth(&self, trade: &Trade, market: &Market) -> Option<Money> {
        let mut least = None;
        for leg in &trade.legs {
            let instrument = market.instrument(leg.instrument).ok()?;
            let depth = displayed(instrument, closing_side(leg.held))?;
            least = Some(least.map_or(depth, |least: Money| least.min(depth)));
        }
        least
    }

    /// Both legs traded back: as much as both books take now, equal shares, the thinner leg first.
    fn exit_plan(&self, trade: &Trade, market: &Market, now: Nanos) -> Option<Plan> {
        let [a, b] = &trade.legs;
        let single = market.instrument(a.instrument).ok()?;
        let token = market.instrument(b.instrument).ok()?;
        let sides = [closing_side(a.held), closing_side(b.held)];
        let shares = Shares::new(single, token, now)?;
        let held = trade.shares(market)?;
        let wanted = |place| shares.whole_lots(place, held);
        let first = depth::find(single, now, sides[0], wanted(0)?).ok()??;
        let second = depth::find(token, now, sides[1], wanted(1)?).ok()??;
        let both = shares.of(0, first.qty)?.min(shares.of(1, second.qty)?);
        let leg = |place: usize, instrument: &Instrument, found: &depth::Found| {
            let qty = shares.whole_lots(place, both).filter(|qty| qty.0 > 0)?;
            // Less than a venue takes stays until there is more, or until settlement.
            (qty >= instrument.rules_at(now)?.min_qty).then_some(Leg {
                instrument: instrument.id(),
                side: sides[place],
                limit: found.worst,
                qty,
            })
        };
        let mut legs = [leg(0, single, &first)?, leg(1, token, &second)?];
        let mut loss_caps = [
            self.loss_cap(first.notional),
            self.loss_cap(second.notional),
        ];
        if displayed(token, sides[1])? <= displayed(single, sides[0])? {
            legs.swap(0, 1);
            loss_caps.swap(0, 1);
        }
        Some(self.plan_of(legs, loss_caps, Remedy::Complete))
    }
}

const fn closing_side(held: Qty) -> Side {
    if held.0 > 0 { Side::Sell } else { Side::Buy }
}

/// Shares displayed for an order of `side`, in units of 1e-18.
fn displayed(instrument: &Instrument, side: Side) -> Option<Money> {
    let sum = depth::met_by(instrument, side).map(|level| i128::from(level.qty.0));
    let unit = pow10(18u32.checked_sub(instrument.decimals().qty.into())?)?;
    sum.sum::<i128>().checked_mul(unit).map(Money)
}

/// `((H - h) / H)^2` with `h` the time left; 0 while more than H is left.
pub(super) fn decayed(left_ns: u64, hours: u32) -> Money {
    let all = u128::from(hours) * u128::from(HOUR_NS);
    let gone = all.saturating_sub(left_ns.into());
    // In units of 1e-9 each, so that the square is one of 1e-18.
    let part = gone * 1_000_000_000 / all.max(1);
    Money(i128::try_from(part * part).unwrap_or(edge::ONE))
}
