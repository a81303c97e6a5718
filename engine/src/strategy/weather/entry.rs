//! Opening: the gates in the order in which they are asked, the order that follows, and what keeps it at work.
use super::calendar::{local_day, local_minute};
use super::contract::{Contract, Odds, Terms, Working};
use super::sizing::{Bet, Bounds, USD, capped_qty, kelly_qty, usd, worst_loss};
use super::{ENTRY, MS_NS, State, candidate};
use crate::event::{FeeSchedule, Level, TradingRules, TradingStatus};
use crate::market::{Instrument, Top};
use crate::number::{MONEY_DECIMALS, Money, Price, Qty, pow10};
use crate::order::{OrderType, Side, TimeInForce};
use crate::risk::Proposal;
use crate::strategy::{Figure, Gates, View, Wishes};

/// What the gates found out.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) instrument: &'a Instrument,
    pub(super) terms: Terms,
    pub(super) odds: &'a Odds,
    pub(super) rules: &'a TradingRules,
    pub(super) fees: &'a FeeSchedule,
    pub(super) top: Top,
}

impl<'a> Sight<'a> {
    pub(super) const fn bet(&self, side: Side, price: Price) -> Bet<'a> {
        Bet {
            strike: self.terms.strike,
            side,
            price,
            pays_ppm: self.odds.ppm(side),
            d: self.instrument.decimals(),
            fees: self.fees,
        }
    }

    /// The last price of the grid that is the margin away from the fair value.
    fn limit(&self, side: Side, margin: Money) -> Option<Price> {
        let unit = MONEY_DECIMALS
            .checked_sub(self.instrument.decimals().price.into())
            .and_then(pow10)?;
        let fair = i128::from(self.odds.ppm(side)) * (USD / 1_000_000);
        let price = |value: i128| i64::try_from(value).ok().map(Price);
        Some(match side {
            Side::Buy => self
                .rules
                .floor_price(price((fair - margin.0).div_euclid(unit))?),
            Side::Sell => self
                .rules
                .ceil_price(price(-(-fair - margin.0).div_euclid(unit))?),
        })
    }

    /// Where an order of that side goes: to the other side of the market, but not past its limit.
    fn price(&self, side: Side, touch: Level, margin: Money) -> Option<Price> {
        let limit = self.limit(side, margin)?;
        Some(match side {
            Side::Buy => touch.price.min(limit),
            Side::Sell => touch.price.max(limit),
        })
    }
}

fn market_age_ms(sight: &Sight<'_>, view: &View<'_>) -> u64 {
    view.now.since(sight.instrument.top_received_at()) / MS_NS
}

/// Goes on past a gate or returns none.
macro_rules! ask {
    ($gate:expr) => {
        if !$gate {
            return None;
        }
    };
}
pub(super) use ask;

impl State {
    /// Gates of anything that relies on the model: without them there is no fair value to act on.
    pub(super) fn model<'a>(
        &'a self,
        gates: &mut Gates<'_>,
        contract: &'a Contract,
        view: &View<'a>,
    ) -> Option<Sight<'a>> {
        let params = &self.settings.params;
        let instrument = view.market.instrument(contract.instrument).ok()?;
        ask!(gates.holds("contract_terms", contract.terms.is_some()));
        let terms = contract.terms?;
        ask!(gates.holds("station_known", terms.station.is_some()));
        let open = instrument.status == TradingStatus::Open;
        ask!(gates.holds("market_open", open));
        ask!(gates.holds("forecast", contract.expected.is_some()));
        let expected = contract.expected?;
        let age_ms = |since| view.now.since(since) / MS_NS;
        ask!(gates.at_most(
            "forecast_age_ms",
            age_ms(expected.received_at),
            params.forecast_max_age_ms
        ));
        ask!(gates.at_most(
            "forecast_issue_age_ms",
            age_ms(expected.issued_at),
            params.forecast_max_issue_age_ms
        ));
        ask!(gates.holds("forecast_error_known", contract.odds.is_some()));
        let odds = contract.odds.as_ref()?;
        ask!(gates.at_least("forecast_error_samples", odds.samples, params.min_samples));
        if odds.after_peak {
            ask!(gates.holds("official_maximum", odds.gap().is_some()));
            let degrees = |thousandths: i64| Figure::new(thousandths.into(), 3);
            ask!(gates.at_most(
                "after_peak_gap_f",
                degrees(odds.gap()?),
                degrees(self.settings.after_peak_gap)
            ));
        }
        let (rules, fees) = (instrument.rules_at(view.now), instrument.fees_at(view.now));
        ask!(gates.holds("trading_rules", rules.is_some()));
        ask!(gates.holds("fee_schedule", fees.is_some()));
        let top = instrument.top();
        ask!(gates.holds("market_live", top.is_some()));
        Some(Sight {
            instrument,
            terms,
            odds,
            rules: rules?,
            fees: fees?,
            top: top?,
        })
    }

    /// Gates of an order that opens, before and while it works. Returns bid and ask.
    fn window(
        &self,
        gates: &mut Gates<'_>,
        sight: &Sight<'_>,
        view: &View<'_>,
    ) -> Option<(Level, Level)> {
        let params = &self.settings.params;
        let station = self.settings.station_at(sight.terms.station?)?;
        let offset_min = station.standard_offset_min;
        let days_ahead = i64::from(sight.terms.day) - i64::from(local_day(view.now, offset_min));
        ask!(gates.at_least("days_ahead", days_ahead, 0));
        let left_ms = sight.terms.closes_at.since(view.now) / MS_NS;
        ask!(gates.at_least("to_close_ms", left_ms, params.min_to_close_ms));
        let minute = local_minute(view.now, offset_min);
        ask!(gates.at_least("open_minute", minute, u32::from(params.open_hour) * 60));
        let last_minute = u32::from(params.close_hour) * 60 - 1;
        ask!(gates.at_most("close_minute", minute, last_minute));
        ask!(gates.holds("no_halt", !view.is_halted()));
        let (bid, ask) = (sight.top.side(Side::Buy), sight.top.side(Side::Sell));
        ask!(gates.holds("two_sided", bid.is_some() && ask.is_some()));
        let (bid, ask) = (bid?, ask?);
        let d = sight.instrument.decimals();
        let spread = Money(usd(ask.price, d)?.checked_sub(usd(bid.price, d)?)?);
        ask!(gates.at_most("spread_usd", spread, self.settings.max_spread));
        Some((bid, ask))
    }

    /// Gates of what was lost so far. Returns how much may still be lost today, and whether sizes are halved.
    fn losses(
        &self,
        gates: &mut Gates<'_>,
        sight: &Sight<'_>,
        view: &View<'_>,
    ) -> Option<(Money, bool)> {
        let currency = sight.instrument.quote_currency;
        let equity = view.profit(currency).ok()?;
        let month = self.account.month_loss(equity).ok()?;
        let below = |cap: Money| Money(cap.0 - 1);
        ask!(gates.at_most("month_loss_usd", month, below(self.settings.month_loss)));
        let today = view.day_profit(currency).ok()?.negated();
        let week = self.account.week_loss(equity).ok()?;
        ask!(gates.at_most("day_loss_usd", today, below(self.settings.day_loss)));
        let left = self.settings.day_loss.sub(today.max(Money::ZERO)).ok()?;
        let halved = week >= self.settings.week_loss;
        gates.uses("max_day_loss_pct", None, today, self.settings.day_loss);
        gates.uses("halving_week_loss_pct", None, week, self.settings.week_loss);
        gates.uses("max_month_loss_pct", None, month, self.settings.month_loss);
        Some((left, halved))
    }

    /// Opens; returns whether an order was asked for.
    pub(super) fn enter(
        &self,
        place: u32,
        contract: &Contract,
        view: &View<'_>,
        wishes: &mut Wishes,
    ) -> bool {
        let mut gates = wishes.gates(candidate(place, contract, false));
        let Some(proposal) = self.entry(&mut gates, contract, view) else {
            // Where no gate stopped it, a figure was missing or did not fit its number.
            let _ = gates.holds("figures", false);
            return false;
        };
        let passed = gates.passed();
        if passed {
            wishes.order(proposal);
        }
        passed
    }

    fn entry(
        &self,
        gates: &mut Gates<'_>,
        contract: &Contract,
        view: &View<'_>,
    ) -> Option<Proposal> {
        let params = &self.settings.params;
        let sight = self.model(gates, contract, view)?;
        let (bid, ask) = self.window(gates, &sight, view)?;
        let wait_ms = |until: crate::time::Nanos| until.since(view.now).div_ceil(MS_NS);
        ask!(gates.at_most("reject_pause_ms", wait_ms(self.paused_until), 0));
        ask!(gates.at_most("retry_ms", wait_ms(contract.quiet_until), 0));
        let next = contract
            .placed_at
            .map_or(view.now, |at| self.reprice_at(at));
        ask!(gates.at_most("reprice_wait_ms", wait_ms(next), 0));
        ask!(gates.at_most(
            "market_age_ms",
            market_age_ms(&sight, view),
            params.market_max_age_ms
        ));

        // Of the two sides the better one, by the price that one would pay now, never by the mid.
        let buy = sight.bet(Side::Buy, ask.price);
        let sell = sight.bet(Side::Sell, bid.price);
        let (at_touch, touch) = if buy.gross_edge()? >= sell.gross_edge()? {
            (buy, ask)
        } else {
            (sell, bid)
        };
        ask!(gates.at_least(
            "gross_edge_usd",
            at_touch.gross_edge()?,
            self.settings.min_edge
        ));
        let price = sight.price(at_touch.side, touch, self.settings.margin)?;
        let bet = sight.bet(at_touch.side, price);
        let in_bounds = bet.price >= sight.rules.min_price && bet.price <= sight.rules.max_price;
        ask!(gates.holds("price_in_bounds", in_bounds));
        let displayed = i128::from(bid.qty.0) + i128::from(ask.qty.0);
        let displayed = Figure::new(displayed, bet.d.qty.into());
        ask!(gates.at_least("displayed", displayed, params.min_displayed));
        if let Some((side, first)) = contract.chase.filter(|(side, _)| *side == bet.side) {
            let away = side.sign() * bet.price.0.checked_sub(first.0)?;
            let away = Money(usd(Price(away), bet.d)?);
            ask!(gates.at_most("chase_usd", away, self.settings.max_chase));
        }
        let held = contract.held.0;
        let same_side = held == 0 || held.signum() == bet.side.sign();
        ask!(gates.holds("no_opposite_position", same_side));

        let least = sight.rules.min_qty.max(sight.rules.lot_size);
        let cost = bet.worst(least)?;
        let event = (sight.terms.station?, sight.terms.day);
        let rooms = [
            ("city_room_usd", self.settings.city, self.city_risk(event)?),
            (
                "cluster_room_usd",
                self.settings.cluster,
                self.cluster_risk(event)?,
            ),
            (
                "open_risk_room_usd",
                self.settings.open_risk,
                self.open_risk()?,
            ),
        ];
        for (gate, cap, used) in rooms {
            ask!(gates.at_least(gate, cap.sub(used).ok()?, cost));
        }
        let contracts = i128::from(params.max_contracts) * pow10(bet.d.qty.into())?;
        let contracts = i64::try_from(contracts).ok()?;
        let event_risk = self.event_risk(event);
        // After a bad week everything that sizes depend on counts half.
        let bounds = |day_left: Money, halved: bool| {
            let scaled = |cap: Money| if halved { Money(cap.0 / 2) } else { cap };
            let left = |(_, cap, used): &(&str, Money, Money)| scaled(*cap).0.checked_sub(used.0);
            let [city, cluster, open_risk] = rooms.each_ref().map(left);
            let room = city?.min(cluster?).min(open_risk?);
            Some(Bounds {
                bankroll: scaled(self.settings.bankroll),
                kelly_ppm: self.settings.kelly_ppm,
                trade: scaled(self.settings.trade).min(day_left),
                event: Money(room.checked_add(event_risk.0)?),
                contracts: Qty(if halved { contracts / 2 } else { contracts }),
                held: Qty(held).abs(),
                lot: sight.rules.lot_size,
            })
        };
        let qty_figure = |qty: Qty| Figure::new(qty.0.into(), bet.d.qty.into());
        let kelly = kelly_qty(&bet, &bounds(self.settings.day_loss, false)?)?;
        ask!(gates.at_least("kelly_qty", qty_figure(kelly), qty_figure(least)));

        // From here on it takes a look at every position.
        let (day_left, halved) = self.losses(gates, &sight, view)?;
        let bounds = bounds(day_left, halved)?;
        let most = if halved {
            kelly_qty(&bet, &bounds)?
        } else {
            kelly
        };
        let stakes = self.stakes(event, view.now, view.market)?;
        let qty = capped_qty(&bet, &bounds, most, &stakes)?;
        ask!(gates.at_least("capped_qty", qty_figure(qty), qty_figure(least)));
        let edge = bet.net_edge(qty)?;
        ask!(gates.at_least("net_edge_usd", edge, self.settings.min_edge));

        let mut with = stakes;
        with.push(bet.stake(qty)?);
        let more = worst_loss(&with)?.sub(event_risk).ok()?;
        let station = self.settings.station_at(event.0)?;
        let owners = [Some(&station.station), Some(&station.cluster), None];
        let names = ["max_city_pct", "max_cluster_pct", "max_open_risk_pct"];
        for (((_, cap, used), name), of) in rooms.into_iter().zip(names).zip(owners) {
            gates.uses(name, of.map(String::as_str), used.add(more).ok()?, cap);
        }
        gates.uses("max_trade_pct", None, bet.worst(qty)?, self.settings.trade);
        let held = Figure::new(i128::from(held.abs()) + i128::from(qty.0), bet.d.qty.into());
        let symbol = Some(sight.instrument.definition.symbol.as_str());
        gates.uses("max_contracts", symbol, held, params.max_contracts);
        let rejects = self.recent_rejects(view.now);
        gates.uses("max_rejects", None, rejects, params.max_rejects);
        Some(Proposal {
            instrument: contract.instrument,
            side: bet.side,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::GoodTillCancel,
            price: bet.price,
            qty,
            tag: ENTRY,
            hedges: None,
            one_of: None,
            protect: None,
        })
    }

    /// Looks after an order that works: cancels it when it should not stand there any more, and moves it when its time
    /// has come (`timed`).
    pub(super) fn tend(
        &self,
        place: u32,
        contract: &Contract,
        working: &Working,
        view: &View<'_>,
        wishes: &mut Wishes,
        timed: bool,
    ) {
        if working.exit || working.cancelling {
            return;
        }
        if contract.changed_at == view.sequence {
            return wishes.cancel(working.order);
        }
        let mut gates = wishes.gates(candidate(place, contract, false));
        let moves = self.keep(&mut gates, contract, working, view, timed);
        let known = gates.holds("figures", moves.is_some());
        let stays = gates.passed() && known && moves == Some(false);
        if !stays {
            wishes.cancel(working.order);
        } else if timed {
            wishes.timer(self.reprice_at(view.now), working.order.0);
        }
    }

    /// Whether an order that passes its gates should move to the market; none when a gate stops it.
    fn keep(
        &self,
        gates: &mut Gates<'_>,
        contract: &Contract,
        working: &Working,
        view: &View<'_>,
        timed: bool,
    ) -> Option<bool> {
        let sight = self.model(gates, contract, view)?;
        let (bid, ask) = self.window(gates, &sight, view)?;
        let distance = sight.bet(working.side, working.price).gross_edge()?;
        ask!(gates.at_least("margin_usd", distance, self.settings.margin));
        if !timed {
            return Some(false);
        }
        self.losses(gates, &sight, view)?;
        let touch = match working.side {
            Side::Buy => ask,
            Side::Sell => bid,
        };
        let target = sight.price(working.side, touch, self.settings.margin)?;
        let sign = working.side.sign();
        let first = contract.chase.map_or(working.price, |(_, first)| first);
        let away = Price(sign * target.0.checked_sub(first.0)?);
        let within = usd(away, sight.instrument.decimals())? <= self.settings.max_chase.0;
        // Only to where an order would be placed anew; otherwise it is better off where it stands.
        let moved = sight.bet(working.side, target);
        let pays = moved.net_edge(working.remaining)? >= self.settings.min_edge;
        let fresh = market_age_ms(&sight, view) <= self.settings.params.market_max_age_ms;
        Some(within && pays && fresh && sign * target.0 > sign * working.price.0)
    }

    fn risk_of(&self, counts: impl Fn((u32, i32)) -> bool) -> Option<Money> {
        let mut counted = self.risks.iter().filter(|risk| counts(risk.event));
        counted.try_fold(Money::ZERO, |sum, risk| sum.add(risk.loss).ok())
    }

    fn event_risk(&self, event: (u32, i32)) -> Money {
        let place = self.risks.binary_search_by_key(&event, |risk| risk.event);
        let risk = place.ok().and_then(|place| self.risks.get(place));
        risk.map_or(Money::ZERO, |risk| risk.loss)
    }

    fn city_risk(&self, event: (u32, i32)) -> Option<Money> {
        self.risk_of(|(station, _)| station == event.0)
    }

    fn cluster_risk(&self, event: (u32, i32)) -> Option<Money> {
        let cluster_of = |place| self.settings.station_at(place).map(|s| s.cluster.as_str());
        let cluster = cluster_of(event.0)?;
        self.risk_of(|(station, _)| cluster_of(station) == Some(cluster))
    }

    fn open_risk(&self) -> Option<Money> {
        self.risk_of(|_| true)
    }
}
