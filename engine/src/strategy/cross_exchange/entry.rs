//! The gates of an entry, in the order in which they are asked, and the plan that follows.
use super::inventory::{Inventory, imbalance};
use super::sizing::{common_lot, met_by, through, walk};
use super::spread::{BPS_SCALE, FeeRates, Route, Spreads, Tops, net_to_open};
use super::{BINANCE, Bound, FX, State, UPBIT, in_bps};
use crate::event::{TradingRules, TradingStatus};
use crate::market::Instrument;
use crate::number::{Money, NumberError, Qty};
use crate::parent::{Leg, Plan, Remedy, UnwindRule};
use crate::strategy::{Candidate, Figure, Gates, View, Wishes};

/// A share in parts per billion as percent.
const fn in_pct(ppb: i64) -> Figure {
    Figure::new(ppb as i128, BPS_SCALE + 2)
}

/// One venue's side of an entry.
struct Venue<'a> {
    instrument: &'a Instrument,
    rules: &'a TradingRules,
}

impl State {
    /// Asks every gate of a route; opens a round trip when all let it pass.
    #[inline]
    pub(super) fn try_open(
        &self,
        route: Route,
        bound: &Bound,
        view: &View<'_>,
        wishes: &mut Wishes,
    ) {
        let candidate = Candidate {
            number: route.index() as u32,
            instrument: bound.ids[UPBIT],
        };
        let place = route.index();
        let mut gates = wishes.gates(candidate);
        let live = self.seen.iter().filter(|seen| seen.is_live).count();
        // The first four are compares of what is known already; nearly every tick ends here.
        if !gates.at_most("busy", i64::from(self.trip.is_some()), 0)
            || !gates.at_least("books_live", live, 3)
            || !gates.at_least("warm_up", self.mean.samples(), self.params.warm_up_s)
            || !gates.at_least(
                "entry",
                in_bps(self.edges[place]),
                in_bps(self.limits.entry),
            )
        {
            return;
        }
        let plan = self.consider(route, bound, view, &mut gates);
        if gates.passed()
            && let Some(plan) = plan
        {
            self.parents.open(plan, wishes);
        }
    }

    /// The gates that few ticks reach. Returns no plan as soon as there can be none.
    #[cold]
    fn consider(
        &self,
        route: Route,
        bound: &Bound,
        view: &View<'_>,
        gates: &mut Gates<'_>,
    ) -> Option<Plan> {
        let spreads = self.spreads?;
        let tops = self.last_tops();
        if !gates.at_most(
            "abnormal_spread",
            in_bps(spreads.widest()),
            in_bps(self.limits.abnormal),
        ) || !self.is_data_good(bound, view, gates)
            || !self.is_venue_good(bound, view, gates)
        {
            return None;
        }
        let fees = self.fee_rates(bound, view.now, view.market);
        if !gates.holds("fee_schedule", fees.is_some()) {
            return None;
        }
        let fees = fees?;
        if !self.pays(route, &spreads, &fees, gates) || !self.may(route, view, gates) {
            return None;
        }
        let sized = self.size(route, bound, &spreads, &tops, &fees, view, gates);
        // A number that does not fit is a doubt, and a doubt is no trade.
        if !gates.holds("numbers_fit", sized.is_ok()) {
            return None;
        }
        sized.ok()?
    }

    /// Old and frozen data.
    fn is_data_good(&self, bound: &Bound, view: &View<'_>, gates: &mut Gates<'_>) -> bool {
        let params = &self.params;
        let rows = [
            (
                UPBIT,
                ["upbit_age_ms", "upbit_frozen_ms"],
                params.degraded_age_ms,
                params.frozen_book_ms,
            ),
            (
                BINANCE,
                ["binance_age_ms", "binance_frozen_ms"],
                params.degraded_age_ms,
                params.frozen_book_ms,
            ),
            (
                FX,
                ["fx_age_ms", "fx_frozen_ms"],
                params.fx_max_age_ms,
                params.fx_frozen_ms,
            ),
        ];
        rows.into_iter().all(|(slot, names, most_age, most_still)| {
            let age = self
                .age_ms(bound, slot, view.now, view.market)
                .unwrap_or(u64::MAX);
            let still = view.now.since(self.seen[slot].changed_at) / 1_000_000;
            gates.at_most(names[0], age, most_age) && gates.at_most(names[1], still, most_still)
        })
    }

    /// The venues' own words, and whether they take orders.
    fn is_venue_good(&self, bound: &Bound, view: &View<'_>, gates: &mut Gates<'_>) -> bool {
        let params = &self.params;
        let names = [
            [
                "upbit_health_age_ms",
                "upbit_latency_ms",
                "upbit_errors_ppm",
                "upbit_open",
            ],
            [
                "binance_health_age_ms",
                "binance_latency_ms",
                "binance_errors_ppm",
                "binance_open",
            ],
        ];
        [UPBIT, BINANCE].into_iter().all(|slot| {
            let (word, names) = (&self.words[slot], names[slot]);
            let is_open = view
                .market
                .instrument(bound.ids[slot])
                .is_ok_and(|instrument| instrument.status == TradingStatus::Open);
            (!params.require_venue_health
                || gates.at_most(names[0], word.age_ms(view.now), params.health_max_age_ms))
                && gates.at_most(names[1], word.latency_ms, params.degraded_latency_ms)
                && gates.at_most(
                    names[2],
                    word.errors_per_million,
                    self.limits.degraded_errors,
                )
                && gates.holds(names[3], is_open)
        })
    }

    /// Whether it is worth it.
    fn pays(
        &self,
        route: Route,
        spreads: &Spreads,
        fees: &FeeRates,
        gates: &mut Gates<'_>,
    ) -> bool {
        let limits = &self.limits;
        // AL-12 is strict: 20 bps are not above 10 + 10.
        let both_fees = fees.upbit + fees.binance;
        if !gates.at_least(
            "min_profit_above_fees",
            in_bps(limits.min_profit),
            in_bps(both_fees + 1),
        ) {
            return false;
        }
        // Strict, too.
        let costs = fees.round_trip() + limits.slip_in + limits.slip_out + limits.fx_drift;
        if !gates.at_least(
            "round_trip",
            in_bps(self.edges[route.index()]),
            in_bps(costs + 1),
        ) {
            return false;
        }
        let earned = spreads.open[route.index()];
        let expected = spreads.expected_close(route, self.mean.value());
        let net = net_to_open(route, earned, fees, limits.slip_in)
            .map_or(i64::MIN, |net| net.saturating_sub(expected));
        gates.at_least("net_to_open", in_bps(net), in_bps(limits.min_profit))
    }

    /// Pauses, halts and the day's loss.
    fn may(&self, route: Route, view: &View<'_>, gates: &mut Gates<'_>) -> bool {
        let left_ms = |until: crate::time::Nanos| until.since(view.now).div_ceil(1_000_000);
        let until = self.streaks.route_paused_until[route.index()];
        gates.at_most("retry_pause_ms", left_ms(self.quiet_until), 0)
            && gates.at_most("loss_pause_ms", left_ms(self.streaks.paused_until), 0)
            && gates.at_most("route_pause_ms", left_ms(until), 0)
            && gates.holds("not_halted", !view.is_halted())
            && gates.at_most(
                "day_loss_krw",
                self.day_loss_krw(view.now).unwrap_or(Money(i128::MAX)),
                self.limits.max_day_loss,
            )
    }

    /// How much, by inventory and depth, in whole lots above both minimums.
    #[expect(
        clippy::too_many_arguments,
        reason = "what the gates before it have found, taken apart nowhere else"
    )]
    fn size(
        &self,
        route: Route,
        bound: &Bound,
        spreads: &Spreads,
        tops: &Tops,
        fees: &FeeRates,
        view: &View<'_>,
        gates: &mut Gates<'_>,
    ) -> Result<Option<Plan>, NumberError> {
        let (limits, units) = (&self.limits, &bound.units);
        let venue = |slot: usize| {
            let instrument = view.market.instrument(bound.ids[slot]).ok()?;
            let rules = instrument.rules_at(view.now)?;
            Some(Venue { instrument, rules })
        };
        let (upbit, binance) = (venue(UPBIT), venue(BINANCE));
        if !gates.holds("trading_rules", upbit.is_some() && binance.is_some()) {
            return Ok(None);
        }
        let (Some(upbit), Some(binance)) = (upbit, binance) else {
            return Ok(None);
        };
        // What is sold is there, but not in the ledger, which begins at nothing: the rules must not ask it.
        let seller = match route {
            Route::SellUpbit => upbit.rules,
            Route::BuyUpbit => binance.rules,
        };
        if !gates.holds("sales_from_inventory", seller.allows_short) {
            return Ok(None);
        }
        let inventory = Inventory::now(
            units,
            bound.start,
            limits,
            view.position_in(bound.ids[UPBIT]),
            view.position_in(bound.ids[BINANCE]),
        )?;
        let overflow = NumberError::Overflow { what: "imbalance" };
        let apart = imbalance(inventory.values(units, tops)?).ok_or(overflow.clone())?;
        if !gates.at_most("imbalance_pct", in_pct(apart), in_pct(limits.max_imbalance)) {
            return Ok(None);
        }
        let side = route.upbit_side();
        let mut displayed = Money::ZERO;
        for level in met_by(upbit.instrument, side) {
            displayed = displayed.add(units.upbit.notional(level.price, level.qty)?)?;
        }
        if !gates.at_least("liquidity_krw", displayed, limits.min_liquidity) {
            return Ok(None);
        }
        let rooms = inventory.rooms(route, units, limits, tops, [fees.upbit, fees.binance])?;
        let lot = common_lot(units, upbit.rules, binance.rules).ok_or(overflow)?;
        let coins = |coins: i128| Figure::new(coins, units.coin_decimals());
        for (name, room) in [
            ("sellable", rooms.sellable),
            ("buyable", rooms.buyable),
            ("skew_room", rooms.skew),
            ("exposure_room", rooms.exposure),
            ("position_room", rooms.position),
        ] {
            if !gates.at_least(name, coins(room), coins(lot)) {
                return Ok(None);
            }
        }
        let costs = fees.round_trip() + limits.slip_in + limits.slip_out + limits.fx_drift;
        let least = spreads
            .expected_close(route, self.mean.value())
            .saturating_add(limits.entry.max(costs + 1));
        let fx = match route {
            Route::SellUpbit => tops.fx.ask.price,
            Route::BuyUpbit => tops.fx.bid.price,
        };
        let walked = walk(
            route,
            bound.scale,
            units,
            fx,
            met_by(upbit.instrument, side),
            met_by(binance.instrument, side.opposite()),
            least,
            rooms.least(),
        );
        let whole = walked.coins - walked.coins % lot;
        if !gates.at_least("depth", coins(whole), coins(lot)) || whole <= 0 {
            return Ok(None);
        }
        let qty = |step: i128| i64::try_from(whole / step).map(Qty);
        let fits = NumberError::Overflow { what: "quantity" };
        let u_qty = qty(units.upbit_step()).map_err(|_| fits.clone())?;
        let b_qty = qty(units.binance_step()).map_err(|_| fits)?;
        let u_price = walked.upbit.min(
            tops.upbit
                .side(side.opposite())
                .map_or(walked.upbit, |l| l.price),
        );
        let b_price = walked
            .binance
            .min(tops.binance.side(side).map_or(walked.binance, |l| l.price));
        let minimum = |floor: Money, rules: &TradingRules| floor.max(rules.min_notional);
        let decimals =
            |qty: Qty, d: crate::number::Decimals| Figure::new(qty.0.into(), d.qty.into());
        // All of it after rounding: what is rounded down can fall below.
        let is_large_enough = gates.at_least(
            "upbit_min_qty",
            decimals(u_qty, units.upbit),
            decimals(upbit.rules.min_qty, units.upbit),
        ) && gates.at_least(
            "binance_min_qty",
            decimals(b_qty, units.binance),
            decimals(binance.rules.min_qty, units.binance),
        ) && gates.at_least(
            "min_notional_krw",
            units.upbit.notional(u_price, u_qty)?,
            minimum(limits.min_notional_krw, upbit.rules),
        ) && gates.at_least(
            "min_notional_usdt",
            units.binance.notional(b_price, b_qty)?,
            minimum(limits.min_notional_usdt, binance.rules),
        );
        if !is_large_enough {
            return Ok(None);
        }
        let legs = [
            Leg {
                instrument: bound.ids[UPBIT],
                side,
                limit: walked.upbit,
                qty: u_qty,
            },
            Leg {
                instrument: bound.ids[BINANCE],
                side: side.opposite(),
                limit: through(
                    walked.binance,
                    side.opposite(),
                    limits.leg2_slip,
                    binance.rules,
                ),
                qty: b_qty,
            },
        ];
        Ok(Some(self.plan(legs, Remedy::Unwind)?))
    }

    /// A plan of two legs, the won venue's first: its book is the thinner one.
    pub(super) fn plan(&self, legs: [Leg; 2], remedy: Remedy) -> Result<Plan, NumberError> {
        let params = &self.params;
        let ms = |ms: u64| ms.saturating_mul(1_000_000);
        let overflow = NumberError::Overflow { what: "loss cap" };
        let cap = self.limits.max_unwind_loss;
        let cap_krw = self.fx.and_then(|fx| fx.krw(cap)).ok_or(overflow)?;
        Ok(Plan {
            legs,
            deadline_ns: ms(params.leg_timeout_ms),
            retries: params.leg2_retries,
            retry_gap_ns: ms(params.retry_ms),
            unwind: UnwindRule {
                on: true,
                remedy,
                after_ns: ms(params.unwind_after_ms),
                loss_caps: [cap_krw, cap],
            },
            alarm_every_ns: params.alarm_every_s.saturating_mul(crate::time::SECOND_NS),
        })
    }
}
