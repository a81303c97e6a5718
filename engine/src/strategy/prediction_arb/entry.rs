//! May a pair be opened: its gates, from cheap to dear, and the plan that follows.
use super::edge::{self, Bounds, Direction, ONE, Shares, Walk};
use super::pair::Pair;
use super::params::{ExitMode, ms};
use super::state::{Health, State};
use crate::event::{TradingStatus, VoidRule};
use crate::market::Instrument;
use crate::number::Money;
use crate::order::Side;
use crate::parent::{Leg, LegSide, Plan, Remedy, UnwindRule};
use crate::strategy::{Candidate, Gates, View, Wishes};
use crate::time::SECOND_NS;

/// What limits the size of an entry.
struct Room {
    /// Most for both legs, fees included.
    budget: Money,
    cluster: Money,
    all: Money,
}

impl State {
    /// Asks a pair's gates in one direction and opens it; returns whether it did.
    pub(super) fn consider(
        &self,
        place: usize,
        direction: Direction,
        view: &View<'_>,
        wishes: &mut Wishes,
    ) -> bool {
        let Some(pair) = self.pairs.get(place) else {
            return false;
        };
        let (params, amounts, now) = (&self.params, &self.amounts, view.now);
        let number = u32::try_from(2 * place).unwrap_or(u32::MAX - 1) + direction as u32;
        let mut gates = wishes.gates(Candidate {
            number,
            instrument: pair.facts.single_book,
        });
        let instruments = (
            view.market.instrument(pair.facts.single_book),
            view.market.instrument(pair.token(direction)),
        );
        let ((Ok(single), Ok(token)), true) = (instruments, self.are_bound(pair)) else {
            let _ = gates.holds("instruments", false);
            let _ = gates.passed();
            return false;
        };
        if !gates.holds("approved", !pair.is_withdrawn)
            || !gates.at_most("pairs", place + 1, params.max_pairs)
            || !gates.holds("compliance", !pair.is_blocked)
            || !gates.holds("rules_unchanged", !pair.is_suspended)
            || !gates.holds("no_position", self.is_free(place))
            || !gates.holds(
                "books",
                has_side(single, direction) && has_side(token, Direction::BuySingle),
            )
        {
            let _ = gates.passed();
            return false;
        }
        let gross = edge::gross(single, token, direction).unwrap_or(Money(-ONE));
        if !gates.at_least("gross_edge", gross, amounts.min_net_edge) {
            let _ = gates.passed();
            return false;
        }
        let differs = pair.facts.void_rule == VoidRule::Differs;
        let accepts = !differs || params.accept_differing_voids;
        let settles = pair.first_settlement();
        let closes = self.closes_at(pair).min(pair.facts.cut_off).min(settles);
        // What would be closed by time at once is not opened.
        let time_exit_ns = match params.exit_mode {
            ExitMode::Fixed => self.time_exit_ns(),
            ExitMode::Model | ExitMode::Shadow => 0,
        };
        let holds_s = settles.since(now).saturating_sub(time_exit_ns) / SECOND_NS;
        let open = |i: &Instrument| i.status == TradingStatus::Open && i.settled_at.is_none();
        let in_force = |i: &Instrument| i.rules_at(now).is_some() && i.fees_at(now).is_some();
        let age_ms = |i: &Instrument| now.since(i.top_received_at()) / 1_000_000;
        let (a, b) = (single.top_received_at(), token.top_received_at());
        let gap_ms = a.since(b).max(b.since(a)) / 1_000_000;
        let health = self.health[0].max(self.health[1]);
        let quiet_s = pair.quiet_until.since(now) / SECOND_NS;
        let used = self.capital_in(None);
        let in_cluster = self.capital_in(Some(&pair.facts.cluster));
        if !gates.holds("void_rule", accepts)
            || !gates.at_least("cut_off_s", closes.since(now) / SECOND_NS, 1u64)
            || !gates.at_least("time_to_hold_s", holds_s, 1u64)
            || !gates.holds("market_open", open(single) && open(token))
            || !gates.holds("schedule", in_force(single) && in_force(token))
            || !gates.at_most(
                "book_age_ms",
                age_ms(single).max(age_ms(token)),
                params.max_book_age_ms,
            )
            || !gates.at_most("stamp_gap_ms", gap_ms, params.max_stamp_gap_ms)
            || !gates.holds("venue_up", health < Health::Down)
            || !gates.holds("not_halted", !view.is_halted())
            || !gates.at_most("cooldown_s", quiet_s, 0u64)
            || !gates.at_most(
                "concurrent",
                self.parents.restless() + 1,
                params.max_concurrent,
            )
            || !gates.at_most("open_pairs", self.trades.len() + 1, params.max_open_pairs)
            || !gates.at_most("cluster", in_cluster, amounts.cluster_hard)
            || !gates.at_most("all_clusters", used, amounts.cluster_all)
            || !gates.at_most(
                "day_loss_usd",
                day_loss(single, token, view),
                amounts.day_loss,
            )
        {
            let _ = gates.passed();
            return false;
        }
        let room = Room {
            budget: self.budget(pair, in_cluster, used),
            cluster: in_cluster,
            all: used,
        };
        let found = self.size(single, token, direction, &room, health, view);
        let Some(found) = found.filter(|found| found.walk.shares > 0) else {
            let _ = gates.at_least("size", 0u64, 1u64);
            let _ = gates.passed();
            return false;
        };
        let days = pair.last_settlement().since(now);
        let cost = found.walk.cost().ok();
        let cost = cost.and_then(|cost| found.shares.each(cost, found.walk.shares).ok());
        let a_year = cost.and_then(|cost| edge::annual_return(found.net, cost, days.max(1)));
        let minimum = found.meets_minimum(single, token, view);
        let walk_gates = gates.holds("minimum_size", minimum)
            && gates.at_least("fill_ratio", found.fill_ratio, amounts.min_fill_ratio)
            && gates.at_least("net_edge", found.net, found.threshold)
            && gates.at_least(
                "annual_return",
                a_year.unwrap_or(Money::ZERO),
                amounts.min_annual_return,
            );
        if walk_gates {
            self.uses(pair, &found.walk, &room, &mut gates);
            let lost = day_loss(single, token, view);
            gates.uses("max_day_loss_pct", None, lost, amounts.day_loss);
        }
        if !gates.passed() || !walk_gates {
            return false;
        }
        self.parents
            .open(self.plan(single, token, direction, &found.walk), wishes);
        true
    }

    /// How much of each limit is used up with an entry.
    fn uses(&self, pair: &Pair, walk: &Walk, room: &Room, gates: &mut Gates<'_>) {
        let amounts = &self.amounts;
        let [first, second] = walk.legs.each_ref().map(|leg| leg.cost);
        let cost = Money(first.0.saturating_add(second.0));
        let fees = walk.fees().unwrap_or(Money::ZERO);
        let with = |used: Money| Money(used.0.saturating_add(cost.0));
        let cluster = Some(pair.facts.cluster.as_str());
        gates.uses("position_pct", None, with(fees), amounts.position);
        gates.uses("max_leg_usd", None, first.max(second), amounts.leg);
        let in_cluster = with(room.cluster);
        gates.uses(
            "cluster_soft_pct",
            cluster,
            in_cluster,
            amounts.cluster_soft,
        );
        gates.uses(
            "cluster_hard_pct",
            cluster,
            in_cluster,
            amounts.cluster_hard,
        );
        gates.uses("cluster_all_pct", None, with(room.all), amounts.cluster_all);
        let (open, restless) = (self.trades.len() + 1, self.parents.restless() + 1);
        gates.uses("max_pairs", None, self.pairs.len(), self.params.max_pairs);
        gates.uses("max_open_pairs", None, open, self.params.max_open_pairs);
        gates.uses("max_concurrent", None, restless, self.params.max_concurrent);
    }

    /// Bankroll share times confidence, what clusters leave of it, and half of that above the soft limit.
    fn budget(&self, pair: &Pair, in_cluster: Money, used: Money) -> Money {
        let confidence = i128::from(pair.confidence_pct().min(100));
        let mut budget = Money(self.amounts.position.0 / 100 * confidence);
        if in_cluster.0.saturating_add(budget.0) > self.amounts.cluster_soft.0 {
            budget = Money(budget.0 / 2);
        }
        let left = |limit: Money, used: Money| Money(limit.0.saturating_sub(used.0).max(0));
        budget
            .min(left(self.amounts.cluster_hard, in_cluster))
            .min(left(self.amounts.cluster_all, used))
    }

    fn size(
        &self,
        single: &Instrument,
        token: &Instrument,
        direction: Direction,
        room: &Room,
        health: Health,
        view: &View<'_>,
    ) -> Option<Found> {
        debug_assert!(room.cluster <= room.all, "a cluster is part of them all");
        let shares = Shares::new(single, token, view.now)?;
        let thin = [
            best(single, direction.side().opposite())?,
            best(token, Side::Sell)?,
        ];
        let thin = thin[0].min(thin[1]);
        let multiplier = if health == Health::Degraded {
            self.amounts.degraded_multiplier
        } else {
            Money(ONE)
        };
        let amounts = &self.amounts;
        let threshold = edge::threshold(
            amounts.min_net_edge,
            amounts.depth_factor,
            thin,
            amounts.threshold_cap,
            multiplier,
        )?;
        let bounds = Bounds {
            threshold,
            budget: room.budget,
            leg: amounts.leg,
        };
        let walk = edge::walk(single, token, view.now, direction, &shares, &bounds).ok()??;
        let spent = walk.cost().ok()?.add(walk.fees().ok()?).ok()?;
        // How much of what it may spend it does: the ideal size is what the budget buys at the same prices.
        let ideal = room.budget.min(Money(amounts.leg.0.saturating_mul(2)));
        let scaled = spent.0.checked_mul(1_000_000_000)?;
        let ratio = scaled.checked_div((ideal.0 / 1_000_000_000).max(1))?;
        Some(Found {
            net: edge::net(&walk, &shares, amounts.fixed_cost).ok()?,
            fill_ratio: Money(ratio.min(ONE)),
            threshold,
            walk,
            shares,
        })
    }

    fn plan(
        &self,
        single: &Instrument,
        token: &Instrument,
        direction: Direction,
        walk: &Walk,
    ) -> Plan {
        let leg = |instrument: &Instrument, side, fill: &edge::LegFill| Leg {
            instrument: instrument.id(),
            side,
            limit: fill.limit,
            qty: fill.qty,
        };
        let mut legs = [
            leg(single, direction.side(), &walk.legs[0]),
            leg(token, Side::Buy, &walk.legs[1]),
        ];
        let loss = |place: usize| self.loss_cap(walk.legs[place].cost);
        let mut loss_caps = [loss(0), loss(1)];
        // The less liquid leg first; where they are alike, the token venue's, which is the slower one.
        if walk.legs[1].depth <= walk.legs[0].depth {
            legs.swap(0, 1);
            loss_caps.swap(0, 1);
        }
        self.plan_of(legs, loss_caps, Remedy::Unwind)
    }

    /// The most that getting rid of a leg may cost.
    pub(super) fn loss_cap(&self, cost: Money) -> Money {
        edge::times(cost, self.amounts.unwind_loss).unwrap_or(Money::ZERO)
    }

    pub(super) fn plan_of(&self, legs: [Leg; 2], loss_caps: [Money; 2], remedy: Remedy) -> Plan {
        let params = &self.params;
        Plan {
            legs,
            deadline_ns: ms(params.leg_deadline_ms),
            retries: params.leg_retries,
            retry_gap_ns: ms(params.retry_gap_ms),
            unwind: UnwindRule {
                on: params.auto_unwind,
                remedy,
                after_ns: ms(params.unwind_after_ms),
                loss_caps,
            },
            alarm_every_ns: params.alarm_every_s.saturating_mul(SECOND_NS),
        }
    }
}

/// A size that was found.
struct Found {
    walk: Walk,
    shares: Shares,
    net: Money,
    threshold: Money,
    fill_ratio: Money,
}

impl Found {
    /// Whether both legs are at least what their venues take.
    fn meets_minimum(&self, single: &Instrument, token: &Instrument, view: &View<'_>) -> bool {
        [(single, LegSide::First), (token, LegSide::Second)]
            .into_iter()
            .all(|(instrument, leg)| {
                let fill = &self.walk.legs[leg.index()];
                let notional = instrument.decimals().notional(fill.limit, fill.qty);
                instrument.rules_at(view.now).is_some_and(|rules| {
                    fill.qty >= rules.min_qty && notional.is_ok_and(|n| n >= rules.min_notional)
                })
            })
    }
}

/// What the strategy lost since UTC midnight, a dollar of one venue as good as one of the other: a pair that moves gains on
/// one what it loses on the other. What does not fit is above every limit.
fn day_loss(single: &Instrument, token: &Instrument, view: &View<'_>) -> Money {
    let (one, other) = (single.quote_currency, token.quote_currency);
    let gain = view.day_profit(one).and_then(|gain| {
        if one == other {
            return Ok(gain);
        }
        Ok(gain.add(view.day_profit(other)?)?)
    });
    gain.map_or(Money(i128::MAX), Money::negated)
}

fn has_side(instrument: &Instrument, direction: Direction) -> bool {
    let side = direction.side().opposite();
    instrument.top().and_then(|top| top.side(side)).is_some()
}

/// Shares at the best price, in units of 1e-18.
fn best(instrument: &Instrument, side: Side) -> Option<Money> {
    let level = instrument.top()?.side(side)?;
    let unit = crate::number::pow10(18u32.checked_sub(instrument.decimals().qty.into())?)?;
    i128::from(level.qty.0).checked_mul(unit).map(Money)
}
