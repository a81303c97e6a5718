//! When a round trip is closed, and how. No entry gate is asked: what stops entries never keeps a position open.
use super::account::{ExitReason, Trip};
use super::health::Tier;
use super::inventory::Inventory;
use super::sizing::{common_lot, met_by, through, walk};
use super::spread::{Route, toward};
use super::{BINANCE, Bound, State, UPBIT};
use crate::error::EngineError;
use crate::market::Market;
use crate::number::{NumberError, Qty};
use crate::parent::{Leg, ParentState, Plan, Remedy};
use crate::strategy::{Candidate, Figure, View, Wishes};
use crate::time::{Nanos, SECOND_NS};

/// The candidate of the exit, after those of the routes.
const EXIT: u32 = 2;

impl State {
    /// Whether what was opened stands: both legs filled alike, nothing under way.
    fn stands(&self, trip: &Trip) -> bool {
        let opening = self.parents.get(trip.opening);
        self.parents.restless() == 0
            && opening.is_some_and(|parent| parent.state() == ParentState::Hedged)
    }

    /// Looks whether the round trip is to be closed. A reason stands once it was there: the way out is not haggled over.
    pub(super) fn judge(
        &mut self,
        bound: &Bound,
        now: Nanos,
        market: &Market,
    ) -> Result<(), EngineError> {
        let Some(trip) = &self.trip else {
            return Ok(());
        };
        if trip.due.is_some() || !self.stands(trip) {
            return Ok(());
        }
        let due = self.reason(trip, bound, now, market);
        if let Some(trip) = &mut self.trip {
            trip.due = due;
        }
        Ok(())
    }

    fn reason(
        &self,
        trip: &Trip,
        bound: &Bound,
        now: Nanos,
        market: &Market,
    ) -> Option<ExitReason> {
        let is_down = |slot: usize| self.words[slot].tier(&self.params, &self.limits) >= Tier::Down;
        if is_down(UPBIT) || is_down(BINANCE) {
            return Some(ExitReason::VenueUnhealthy);
        }
        let held = now.since(trip.opened_at);
        let too_long = held >= self.params.max_hold_s.saturating_mul(SECOND_NS);
        let late = too_long.then_some(ExitReason::TooLong);
        let Some(tops) = self.tops() else {
            return late;
        };
        // Without a schedule nothing can be sent anyway; gross figures need none.
        let fees = self.fee_rates(bound, now, market).unwrap_or_default();
        let teller = self.teller(self.fx?);
        if let Some(gain) = trip.gain(&bound.units, &tops, &fees, &teller) {
            if gain.gross <= -self.limits.stop_loss {
                return Some(ExitReason::StopLoss);
            }
            // A gain out of an abnormal spread is a doubt, not a gain.
            if gain.net >= self.limits.take_profit && !self.is_abnormal {
                return Some(ExitReason::TakeProfit);
            }
        }
        let premium = bound.scale.premium(&tops)?;
        let (now_at, mean) = (
            toward(trip.route, premium),
            toward(trip.route, self.mean.value()),
        );
        if now_at.saturating_sub(mean) <= -self.limits.reversal && self.mean.samples() > 0 {
            return Some(ExitReason::Reversal);
        }
        late
    }

    /// How much of a round trip can be traded back, in common units: whole lots above both venues' minimums, or nothing.
    pub(super) fn tradable(
        &self,
        trip: &Trip,
        bound: &Bound,
        now: Nanos,
        market: &Market,
    ) -> Result<i128, EngineError> {
        let units = &bound.units;
        let coins = |place: usize, step: i128| i128::from(trip.legs[place].qty.0).abs() * step;
        let least = coins(0, units.upbit_step()).min(coins(1, units.binance_step()));
        let (upbit, binance) = (
            market.instrument(bound.ids[UPBIT])?,
            market.instrument(bound.ids[BINANCE])?,
        );
        let (Some(u_rules), Some(b_rules)) = (upbit.rules_at(now), binance.rules_at(now)) else {
            // Without rules nothing can be sent now; what is held is held.
            return Ok(least);
        };
        let overflow = NumberError::Overflow { what: "lot" };
        let lot = common_lot(units, u_rules, b_rules).ok_or(overflow)?;
        let whole = least - least % lot;
        let tops = self.last_tops();
        let krw = units.value(units.upbit, tops.upbit.bid.price, whole)?;
        let usdt = units.value(units.binance, tops.binance.bid.price, whole)?;
        let is_small = krw < self.limits.min_notional_krw.max(u_rules.min_notional)
            || usdt < self.limits.min_notional_usdt.max(b_rules.min_notional);
        Ok(if is_small { 0 } else { whole })
    }

    /// Closes the round trip when there is a reason to.
    pub(super) fn try_close(
        &self,
        trip: &Trip,
        bound: &Bound,
        view: &View<'_>,
        wishes: &mut Wishes,
    ) {
        if !self.stands(trip) {
            return;
        }
        let candidate = Candidate {
            number: EXIT,
            instrument: bound.ids[UPBIT],
        };
        let mut gates = wishes.gates(candidate);
        if !gates.holds("exit_due", trip.due.is_some()) {
            return;
        }
        let live = self.seen[UPBIT..=BINANCE]
            .iter()
            .filter(|seen| seen.is_live)
            .count();
        let pause = self.quiet_until.since(view.now).div_ceil(1_000_000);
        if !gates.at_least("exit_books_live", live, 2)
            || !gates.at_most("exit_retry_pause_ms", pause, 0)
        {
            return;
        }
        for (slot, names) in [
            (UPBIT, ["exit_upbit_age_ms", "exit_upbit_latency_ms"]),
            (BINANCE, ["exit_binance_age_ms", "exit_binance_latency_ms"]),
        ] {
            let age = self
                .age_ms(bound, slot, view.now, view.market)
                .unwrap_or(u64::MAX);
            if !gates.at_most(names[0], age, self.params.down_age_ms)
                || !gates.at_most(
                    names[1],
                    self.words[slot].latency_ms,
                    self.params.frozen_latency_ms,
                )
            {
                return;
            }
        }
        let plan = self.way_out(trip, bound, view);
        let coins = plan.as_ref().map_or(0, |(coins, _)| *coins);
        let decimals = bound.units.coin_decimals();
        let sized = gates.at_least(
            "exit_size",
            Figure::new(coins, decimals),
            Figure::new(1, decimals),
        );
        if gates.passed()
            && sized
            && let Some((_, plan)) = plan
        {
            self.parents.open(plan, wishes);
        }
    }

    /// The plan that trades back what is displayed and paid for. Both limits go through what was seen: getting out counts.
    fn way_out(&self, trip: &Trip, bound: &Bound, view: &View<'_>) -> Option<(i128, Plan)> {
        let (market, units) = (view.market, &bound.units);
        let back = trip.route.opposite();
        let side = back.upbit_side();
        let (upbit, binance) = (
            market.instrument(bound.ids[UPBIT]).ok()?,
            market.instrument(bound.ids[BINANCE]).ok()?,
        );
        let (u_rules, b_rules) = (upbit.rules_at(view.now)?, binance.rules_at(view.now)?);
        let fees = self.fee_rates(bound, view.now, market)?;
        let inventory = Inventory::now(
            units,
            bound.start,
            &self.limits,
            view.position_in(bound.ids[UPBIT]),
            view.position_in(bound.ids[BINANCE]),
        )
        .ok()?;
        let tops = self.last_tops();
        let rooms = inventory
            .rooms(back, units, &self.limits, &tops, [fees.upbit, fees.binance])
            .ok()?;
        // What lies there and what it is paid with bound an exit; skew, exposure and size do not.
        let room = self
            .tradable(trip, bound, view.now, market)
            .ok()?
            .min(rooms.sellable)
            .min(rooms.buyable);
        let fx = match back {
            Route::SellUpbit => tops.fx.ask.price,
            Route::BuyUpbit => tops.fx.bid.price,
        };
        let walked = walk(
            back,
            bound.scale,
            units,
            fx,
            met_by(upbit, side),
            met_by(binance, side.opposite()),
            i64::MIN,
            room,
        );
        let lot = common_lot(units, u_rules, b_rules)?;
        let whole = walked.coins - walked.coins % lot;
        let qty = |step: i128| i64::try_from(whole / step).ok().map(Qty);
        let slip = self.limits.leg2_slip;
        let legs = [
            Leg {
                instrument: bound.ids[UPBIT],
                side,
                limit: through(walked.upbit, side, slip, u_rules),
                qty: qty(units.upbit_step())?,
            },
            Leg {
                instrument: bound.ids[BINANCE],
                side: side.opposite(),
                limit: through(walked.binance, side.opposite(), slip, b_rules),
                qty: qty(units.binance_step())?,
            },
        ];
        let plan = self.plan(legs, Remedy::Complete).ok()?;
        (whole > 0).then_some((whole, plan))
    }
}
