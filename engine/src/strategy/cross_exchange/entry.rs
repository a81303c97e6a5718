//! The gates of an entry, in the order in which they are asked, and the plan that follows.
use super::guards::{Merits, Totals, health};
use super::inventory::{Inventory, imbalance};
use super::sizing::{common_lot, met_by, through, walk};
use super::spread::{FeeRates, ONE, Route, Spreads, Tops, net_to_open};
use super::{BINANCE, Bound, FX, State, UPBIT, in_bps, in_pct};
use crate::event::{TradingRules, TradingStatus};
use crate::market::Instrument;
use crate::number::{Money, NumberError, Qty};
use crate::parent::{Leg, Plan, Remedy, UnwindRule};
use crate::strategy::{Candidate, Figure, Gates, View, Wishes};

/// One venue's side of an entry.
struct Venue<'a> {
    instrument: &'a Instrument,
    rules: &'a TradingRules,
}

/// What the gates before the size found out.
struct Found<'a> {
    spreads: &'a Spreads,
    tops: &'a Tops,
    fees: &'a FeeRates,
    totals: &'a Totals,
    /// What opening brings net, the expected spread at exit taken off.
    net: i64,
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
        let net = self.pays(route, &spreads, &fees, gates)?;
        if !self.may(route, view, gates) {
            return None;
        }
        let totals = self.stays_within(route, bound, &tops, view, gates)?;
        let found = Found {
            spreads: &spreads,
            tops: &tops,
            fees: &fees,
            totals: &totals,
            net,
        };
        let sized = self.size(route, bound, &found, view, gates);
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

    /// Whether it is worth it. Returns what it brings net.
    fn pays(
        &self,
        route: Route,
        spreads: &Spreads,
        fees: &FeeRates,
        gates: &mut Gates<'_>,
    ) -> Option<i64> {
        let limits = &self.limits;
        // AL-12 is strict: 20 bps are not above 10 + 10.
        let both_fees = fees.upbit + fees.binance;
        if !gates.at_least(
            "min_profit_above_fees",
            in_bps(limits.min_profit),
            in_bps(both_fees + 1),
        ) {
            return None;
        }
        // Strict, too.
        let costs = self.costs(fees);
        if !gates.at_least(
            "round_trip",
            in_bps(self.edges[route.index()]),
            in_bps(costs + 1),
        ) {
            return None;
        }
        let earned = spreads.open[route.index()];
        let expected = spreads.expected_close(route, self.mean.value());
        let net = net_to_open(route, earned, fees, limits.slip_in)
            .map_or(i64::MIN, |net| net.saturating_sub(expected));
        let pays = gates.at_least("net_to_open", in_bps(net), in_bps(limits.min_profit));
        pays.then_some(net)
    }

    /// What a round trip costs.
    const fn costs(&self, fees: &FeeRates) -> i64 {
        let limits = &self.limits;
        fees.round_trip() + limits.slip_in + limits.slip_out + limits.fx_drift
    }

    /// Pauses, halts and the day's loss.
    fn may(&self, route: Route, view: &View<'_>, gates: &mut Gates<'_>) -> bool {
        let left_ms = |until: crate::time::Nanos| until.since(view.now).div_ceil(1_000_000);
        let day_loss = self.day_loss_krw(view.now).unwrap_or(Money(i128::MAX));
        let most = self.limits.max_day_loss;
        gates.uses("max_day_loss_krw", None, day_loss, most);
        let (losses, streak) = (self.streaks.losses(), self.params.loss_streak);
        gates.uses("loss_streak", None, losses, streak);
        let until = self.streaks.route_paused_until[route.index()];
        gates.at_most("retry_pause_ms", left_ms(self.quiet_until), 0)
            && gates.at_most("loss_pause_ms", left_ms(self.streaks.paused_until), 0)
            && gates.at_most("route_pause_ms", left_ms(until), 0)
            && gates.holds("not_halted", !view.is_halted())
            && gates.at_most("day_loss_krw", day_loss, most)
    }

    /// How much, by inventory and depth, in whole lots above both minimums.
    fn size(
        &self,
        route: Route,
        bound: &Bound,
        found: &Found<'_>,
        view: &View<'_>,
        gates: &mut Gates<'_>,
    ) -> Result<Option<Plan>, NumberError> {
        let (limits, units) = (&self.limits, &bound.units);
        let (spreads, tops, fees) = (found.spreads, found.tops, found.fees);
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
        let values = inventory.values(units, tops)?;
        let all = values[0].add(values[1])?;
        let apart = imbalance(values).ok_or(overflow.clone())?;
        let costs = self.costs(fees);
        let merits = Merits {
            net: found.net,
            entry: limits.entry,
            edge: self.edges[route.index()],
            costs,
            health: health(&self.words, &self.params, limits),
            imbalance: [apart, limits.max_imbalance],
        };
        let drawdown = self.drawdown(bound, tops, all).ok_or(overflow.clone())?;
        if !gates.at_most("imbalance_pct", in_pct(apart), in_pct(limits.max_imbalance))
            || !gates.at_least(
                "route_score",
                in_pct(merits.score()),
                in_pct(limits.min_score),
            )
            || !gates.at_most(
                "drawdown_pct",
                in_pct(drawdown),
                in_pct(limits.max_drawdown),
            )
        {
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
        // Both legs are positions.
        let left = |most: Money, used: Money| {
            let room = most.sub(used)?;
            units.coins(units.binance, tops.binance.ask.price, Money(room.0 / 2))
        };
        let totals = found.totals;
        let total = left(limits.max_total_exposure, totals.exposure)?;
        let coins_room = left(limits.max_coins_exposure, totals.coins_exposure)?;
        let coin_room = left(limits.max_coin_exposure, totals.coin_exposure)?;
        let lot = common_lot(units, upbit.rules, binance.rules).ok_or(overflow)?;
        let coins = |coins: i128| Figure::new(coins, units.coin_decimals());
        for (name, room) in [
            ("sellable", rooms.sellable),
            ("buyable", rooms.buyable),
            ("skew_room", rooms.skew),
            ("exposure_room", rooms.exposure),
            ("position_room", rooms.position),
            ("total_exposure_room", total),
            ("coins_exposure_room", coins_room),
            ("coin_exposure_room", coin_room),
        ] {
            if !gates.at_least(name, coins(room), coins(lot)) {
                return Ok(None);
            }
        }
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
            rooms.least().min(total).min(coins_room).min(coin_room),
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
        let value = units.binance.notional(tops.binance.ask.price, b_qty)?;
        let with = |used: Money| Money(value.0.saturating_mul(2)).add(used);
        let share = |part: i128, whole: i128| {
            let share = part.checked_mul(ONE)?.checked_div(whole.max(1))?;
            i64::try_from(share).ok().map(in_pct)
        };
        let receiving = match route {
            Route::SellUpbit => inventory.coin_binance,
            Route::BuyUpbit => inventory.coin_upbit,
        };
        let coin = inventory.coin_upbit.saturating_add(inventory.coin_binance);
        for (name, share, most) in [
            (
                "max_exposure_pct",
                share(value.0, all.0),
                limits.max_exposure,
            ),
            (
                "skew_cap_pct",
                share(receiving.saturating_add(whole), coin),
                limits.skew_cap,
            ),
            (
                "max_imbalance_pct",
                Some(in_pct(apart)),
                limits.max_imbalance,
            ),
            (
                "max_drawdown_pct",
                Some(in_pct(drawdown)),
                limits.max_drawdown,
            ),
        ] {
            let share = share.ok_or(NumberError::Overflow { what: "share" })?;
            gates.uses(name, None, share, in_pct(most));
        }
        gates.uses("max_position_usdt", None, value, limits.max_position);
        for (name, used, most) in [
            (
                "max_total_exposure_usdt",
                totals.exposure,
                limits.max_total_exposure,
            ),
            (
                "max_coins_exposure_usdt",
                totals.coins_exposure,
                limits.max_coins_exposure,
            ),
            (
                "max_coin_exposure_pct",
                totals.coin_exposure,
                limits.max_coin_exposure,
            ),
        ] {
            gates.uses(name, None, with(used)?, most);
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
