//! The same coin on a won venue and a dollar venue, with dollars for won (requirements, five systems, chapter 4).
//!
//! When the coin's premium on the won venue leaves its own slow mean by more than a whole round trip costs, coin is sold where
//! it is dear and bought where it is cheap, out of what lies on both venues; when the premium is back, the other way round.
//! Nothing is sold short and nothing is transferred.
//!
//! | module | its job |
//! |---|---|
//! | [`params`] | parameters, their defaults and what is refused |
//! | [`spread`] | both routes' spreads at the sides one would hit, the premium, what opening and a round trip cost |
//! | [`mean`] | the premium's slow mean |
//! | [`inventory`] | what lies where and how much may move |
//! | [`sizing`] | both books walked together; lots and limits |
//! | [`health`] | the venues' tiers |
//! | [`guards`] | a route's score, and what all strategies together hold, lost and send |
//! | [`streaks`] | losses in a row, the day's result, pauses |
//! | [`account`] | what round trips came to, FX apart |
//! | [`entry`], [`exit`] | the gates, and the plans that go to the parent's state machine |
mod account;
mod entry;
mod exit;
mod guards;
mod health;
mod inventory;
mod mean;
mod params;
mod sizing;
mod spread;
mod streaks;

pub(super) use params::Params;

use super::{Strategy, View, Wishes};
use crate::error::EngineError;
use crate::event::{Alarm, Event, ExecutionReport, Level, ParentChanged};
use crate::fees::FeeFormula;
use crate::id::{InstrumentId, Sequence};
use crate::market::{Instrument, Market, Top};
use crate::number::{Decimals, Money, NumberError, Price, Qty, pow10};
use crate::order::Side;
use crate::parent::{ParentState, Parents, Role};
use crate::strategy::Figure;
use crate::time::Nanos;
use account::{ExitReason, Report, Teller, Trip};
use health::Word;
use inventory::{FxRate, Units};
use mean::SlowMean;
use params::{Limits, Numeraire};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use spread::{BPS_SCALE, FeeRates, Route, Scale, Spreads, Tops};
use streaks::Streaks;

/// The won venue's coin, the dollar venue's coin and FX, in arrays of three.
const UPBIT: usize = 0;
const BINANCE: usize = 1;
const FX: usize = 2;

/// A known instrument, until all three are.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    id: InstrumentId,
    base: String,
    quote: String,
    decimals: Decimals,
}

/// What follows from the three instruments.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Bound {
    ids: [InstrumentId; 3],
    units: Units,
    scale: Scale,
    /// Starting coin on both venues in common units.
    start: [i128; 2],
}

impl Bound {
    #[inline]
    fn slot(&self, id: InstrumentId) -> Option<usize> {
        self.ids.iter().position(|known| *known == id)
    }
}

/// The best prices of a market as last seen live, and since when they are what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    is_live: bool,
    bid: (Price, Qty),
    ask: (Price, Qty),
    changed_at: Nanos,
}

impl Seen {
    const fn top(&self) -> Top {
        const fn level((price, qty): (Price, Qty)) -> Level {
            Level { price, qty }
        }
        Top {
            bid: level(self.bid),
            ask: level(self.ask),
        }
    }
}

/// State.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    params: Params,
    limits: Limits,
    known: [Option<Known>; 3],
    bound: Option<Bound>,
    seen: [Seen; 3],
    /// What the best prices come to; none unless all three markets are live with both sides.
    spreads: Option<Spreads>,
    /// By route: the spread now minus the one expected at exit.
    edges: [i64; 2],
    is_abnormal: bool,
    mean: SlowMean,
    /// The last FX seen live.
    fx: Option<FxRate>,
    /// The two venues' words on their health.
    words: [Word; 2],
    parents: Parents,
    trip: Option<Trip>,
    /// Nothing goes out before this.
    quiet_until: Nanos,
    streaks: Streaks,
    /// Streaks of losses that somebody was called for.
    called_streaks: u32,
    /// Whether somebody was called for the abnormal spread of now.
    called_abnormal: bool,
    report: Report,
    /// The highest that its total was.
    peak: Money,
}

impl State {
    pub(super) fn new(params: &Params) -> Result<Self, String> {
        Ok(Self {
            limits: params.check()?,
            known: [None, None, None],
            bound: None,
            seen: [Seen::default(); 3],
            spreads: None,
            edges: [0; 2],
            is_abnormal: false,
            mean: SlowMean::new(params.mean_s),
            fx: None,
            words: [Word::default(); 2],
            parents: Parents::default(),
            trip: None,
            quiet_until: Nanos(0),
            streaks: Streaks::default(),
            called_streaks: 0,
            called_abnormal: false,
            report: Report::new(params.numeraire),
            peak: Money::ZERO,
            params: params.clone(),
        })
    }

    /// What all closed round trips came to, FX apart.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    fn name(&self, slot: usize) -> &str {
        [&self.params.upbit, &self.params.binance, &self.params.fx][slot]
    }

    /// Once all three are known: that they belong together.
    fn join(&self) -> Result<Option<Bound>, String> {
        let [Some(upbit), Some(binance), Some(fx)] = &self.known else {
            return Ok(None);
        };
        let must = |holds: bool, rule: &str| {
            if holds {
                return Ok(());
            }
            Err(format!(
                "{rule}: {} is {}/{}, {} is {}/{}, {} is {}/{}",
                self.params.upbit,
                upbit.base,
                upbit.quote,
                self.params.binance,
                binance.base,
                binance.quote,
                self.params.fx,
                fx.base,
                fx.quote
            ))
        };
        must(
            fx.base != upbit.base,
            "fx must not be of the coin itself (circular)",
        )?;
        must(
            upbit.base == binance.base,
            "upbit and binance must be the same coin",
        )?;
        must(
            fx.quote == upbit.quote && fx.base == binance.quote,
            "fx must pay upbit's currency for binance's",
        )?;
        let units = Units {
            upbit: upbit.decimals,
            binance: binance.decimals,
            fx: fx.decimals,
        };
        let scale = Scale::new(units.upbit, units.binance, units.fx)
            .ok_or("the three instruments' price decimals are too far apart")?;
        let start = |name, coin, decimals, step: i128| {
            Params::coin(name, coin, decimals).map(|qty| i128::from(qty.0) * step)
        };
        Ok(Some(Bound {
            ids: [upbit.id, binance.id, fx.id],
            units,
            scale,
            start: [
                start(
                    "coin_upbit",
                    self.params.coin_upbit,
                    units.upbit,
                    units.upbit_step(),
                )?,
                start(
                    "coin_binance",
                    self.params.coin_binance,
                    units.binance,
                    units.binance_step(),
                )?,
            ],
        }))
    }

    /// The best prices, while all three markets are live.
    #[inline]
    fn tops(&self) -> Option<Tops> {
        self.seen
            .iter()
            .all(|seen| seen.is_live)
            .then(|| self.last_tops())
    }

    const fn last_tops(&self) -> Tops {
        Tops {
            upbit: self.seen[UPBIT].top(),
            binance: self.seen[BINANCE].top(),
            fx: self.seen[FX].top(),
        }
    }

    /// Sees a market's best prices.
    #[inline]
    fn see(&mut self, id: InstrumentId, now: Nanos, market: &Market) -> Result<(), EngineError> {
        let Some(bound) = self.bound else {
            return Ok(());
        };
        let Some(slot) = bound.slot(id) else {
            return Ok(());
        };
        let top = market.instrument(id)?.top();
        let before = self.seen[slot];
        let seen = &mut self.seen[slot];
        match top.filter(|top| top.twice_mid().is_some()) {
            Some(top) => {
                let (bid, ask) = ((top.bid.price, top.bid.qty), (top.ask.price, top.ask.qty));
                if !seen.is_live || (seen.bid, seen.ask) != (bid, ask) {
                    *seen = Seen {
                        is_live: true,
                        bid,
                        ask,
                        changed_at: now,
                    };
                }
            }
            // The last prices stay for the books; nothing is decided on them.
            None => seen.is_live = false,
        }
        let prices = |seen: &Seen| (seen.is_live, seen.bid.0, seen.ask.0);
        let is_due = self.mean.is_due(now);
        if prices(&before) != prices(&self.seen[slot]) {
            self.price(&bound);
        } else if !is_due {
            return Ok(());
        }
        if is_due {
            self.sample(&bound, now, market)?;
        }
        self.weigh();
        self.judge(&bound, now, market)
    }

    /// Spreads of the best prices as they are now.
    fn price(&mut self, bound: &Bound) {
        let tops = self.tops();
        self.spreads = tops.and_then(|tops| bound.scale.spreads(&tops));
        if self.seen[FX].is_live {
            let twice_mid = self.seen[FX].bid.0.0.saturating_add(self.seen[FX].ask.0.0);
            self.fx = Some(FxRate {
                twice_mid,
                decimals: bound.units.fx.price,
            });
        }
        self.is_abnormal = self
            .spreads
            .is_some_and(|spreads| spreads.widest() > self.limits.abnormal);
        self.called_abnormal &= self.is_abnormal;
    }

    /// The premium of this second for its mean: from three live, fresh markets without an abnormal spread, or not at all.
    fn sample(&mut self, bound: &Bound, now: Nanos, market: &Market) -> Result<(), EngineError> {
        let mut is_fresh = !self.is_abnormal;
        for (slot, most) in [
            (UPBIT, self.params.down_age_ms),
            (BINANCE, self.params.down_age_ms),
            (FX, self.params.fx_max_age_ms),
        ] {
            is_fresh &= self.age_ms(bound, slot, now, market)? <= most;
        }
        let premium = self.tops().and_then(|tops| bound.scale.premium(&tops));
        match premium.filter(|_| is_fresh) {
            Some(premium) => self.mean.add(now, premium),
            None => self.mean.skip(now),
        }
        Ok(())
    }

    fn age_ms(
        &self,
        bound: &Bound,
        slot: usize,
        now: Nanos,
        market: &Market,
    ) -> Result<u64, EngineError> {
        let received_at = market.instrument(bound.ids[slot])?.top_received_at();
        Ok(now.since(received_at) / 1_000_000)
    }

    /// How far each route is from the mean.
    fn weigh(&mut self) {
        if let Some(spreads) = &self.spreads {
            let mean = self.mean.value();
            self.edges = Route::ALL.map(|route| spreads.edge(route, mean));
        }
    }

    /// Taker fees in force; `None` where a schedule is missing or is no share of the notional.
    fn fee_rates(&self, bound: &Bound, now: Nanos, market: &Market) -> Option<FeeRates> {
        let rate = |slot: usize| {
            let instrument = market.instrument(bound.ids[slot]).ok()?;
            taker_rate(instrument, now)
        };
        Some(FeeRates {
            upbit: rate(UPBIT)?,
            binance: rate(BINANCE)?,
            fx: if self.params.fx_converted {
                rate(FX)?
            } else {
                0
            },
        })
    }

    const fn teller(&self, fx: FxRate) -> Teller {
        Teller {
            numeraire: self.params.numeraire,
            fx,
        }
    }

    /// The day's loss in won; zero on a day that gained. `None` while FX was never seen.
    fn day_loss_krw(&self, now: Nanos) -> Option<Money> {
        let loss = self.streaks.day_profit(now).negated();
        let krw = match self.params.numeraire {
            Numeraire::Krw => loss,
            Numeraire::Usdt => self.fx?.krw(loss)?,
        };
        Some(krw.max(Money::ZERO))
    }

    /// Follows the parents' fills and states.
    fn follow(
        &mut self,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        let Some(bound) = self.bound else {
            return Ok(());
        };
        match event {
            Event::ParentChanged(change) => self.planned(change, now),
            Event::ExecutionReport(report) => self.filled(report, &bound, now)?,
            Event::OrderDenied(_) => self.rest(now),
            _ => return Ok(()),
        }
        if self.trip.is_some() && self.parents.restless() == 0 {
            self.end_if_over(&bound, now, market)?;
        }
        Ok(())
    }

    fn rest(&mut self, now: Nanos) {
        let pause = self.params.retry_ms.saturating_mul(1_000_000);
        self.quiet_until = self.quiet_until.max(now.after(pause));
    }

    /// A round trip begins with the plan of its first parent.
    fn planned(&mut self, change: &ParentChanged, now: Nanos) {
        if let Some(plan) = &change.plan
            && self.trip.is_none()
        {
            let route = route_of(plan.legs[UPBIT].side);
            self.trip = Some(Trip::new(route, change.parent, now));
        }
        if change.state.is_at_rest() {
            self.rest(now);
        }
    }

    fn filled(
        &mut self,
        report: &ExecutionReport,
        bound: &Bound,
        now: Nanos,
    ) -> Result<(), EngineError> {
        let Some(fill) = &report.fill else {
            return Ok(());
        };
        let Some((number, role)) = self.parents.role_of(report.order) else {
            return Ok(());
        };
        let Some(plan) = self.parents.get(number).map(|parent| *parent.plan()) else {
            return Ok(());
        };
        let side = side_of(role, plan.legs[role.leg().index()].side);
        let no_fx = NumberError::Overflow { what: "FX" };
        let teller = self.teller(self.fx.ok_or(no_fx)?);
        // A fill that comes after everything seemed to be over is a round trip of its own.
        let trip = self
            .trip
            .get_or_insert_with(|| Trip::new(route_of(plan.legs[UPBIT].side), number, now));
        trip.fill(role.leg().index(), side, fill, &bound.units, &teller)?;
        Ok(())
    }

    /// Ends a round trip of which nothing is left that could be traded.
    fn end_if_over(
        &mut self,
        bound: &Bound,
        now: Nanos,
        market: &Market,
    ) -> Result<(), EngineError> {
        let Some(trip) = &self.trip else {
            return Ok(());
        };
        if self.tradable(trip, bound, now, market)? > 0 {
            return Ok(());
        }
        if !trip.is_filled() {
            self.trip = None;
            return Ok(());
        }
        let no_fx = NumberError::Overflow { what: "FX" };
        let teller = self.teller(self.fx.ok_or(no_fx)?);
        let outcome = trip.close(&bound.units, &self.last_tops(), &teller)?;
        let profit = self.report.add(trip, &outcome)?;
        self.peak = self.peak.max(self.report.total()?);
        self.streaks.closed(now, trip.route, profit, &self.params)?;
        self.trip = None;
        if self
            .day_loss_krw(now)
            .is_none_or(|loss| loss > self.limits.max_day_loss)
        {
            self.streaks.day_lost(now, &self.params);
        }
        Ok(())
    }

    /// Closes parents whose coin was traded back, one at a time: all but the one that opened what is still open.
    fn release(&self, wishes: &mut Wishes) {
        let opening = self.trip.as_ref().map(|trip| trip.opening);
        let over = self.parents.open_ones().find(|parent| {
            parent.state() == ParentState::Hedged && Some(parent.number()) != opening
        });
        if let Some(parent) = over {
            self.parents.close(parent.number(), wishes);
        }
    }

    /// Calls somebody, once for each abnormal spread, each streak, and each round trip that a lost day closes.
    fn call(&self, bound: &Bound, view: &View<'_>, wishes: &mut Wishes) {
        let upbit = bound.ids[UPBIT];
        if self.is_abnormal && !self.called_abnormal {
            let widest = self.spreads.map_or(0, |spreads| spreads.widest());
            wishes.alarm(upbit, Alarm::AbnormalSpread, in_bps(widest));
        }
        if self.streaks.streaks > self.called_streaks {
            wishes.alarm(upbit, Alarm::LossStreak, self.params.loss_streak);
        }
        let is_open = self.trip.as_ref().is_some_and(|trip| trip.due.is_none());
        if is_open && let Some(loss) = self.emergency(bound, view) {
            wishes.alarm(upbit, Alarm::EmergencyLoss, loss);
        }
    }
}

/// Which way a plan opens, by its first leg: the won venue's.
const fn route_of(upbit_side: Side) -> Route {
    match upbit_side {
        Side::Sell => Route::SellUpbit,
        Side::Buy => Route::BuyUpbit,
    }
}

/// The side of a role's orders, where its leg's is `leg`.
const fn side_of(role: Role, leg: Side) -> Side {
    if role.is_unwinding() {
        leg.opposite()
    } else {
        leg
    }
}

/// A share in parts per billion as percent.
const fn in_pct(ppb: i64) -> Figure {
    Figure::new(ppb as i128, BPS_SCALE + 2)
}

/// A ratio in parts per billion as basis points.
const fn in_bps(ppb: i64) -> Figure {
    Figure::new(ppb as i128, BPS_SCALE)
}

/// The taker's fee in parts per billion of the notional, rounded up; `None` without a schedule in force, or where the fee is
/// no share of the notional.
fn taker_rate(instrument: &Instrument, now: Nanos) -> Option<i64> {
    let FeeFormula::Notional { rate } = instrument.fees_at(now)?.taker else {
        return None;
    };
    let unit = pow10(rate.scale())?;
    let scaled = rate.mantissa().checked_mul(spread::ONE)?;
    i64::try_from((scaled + unit - 1).div_euclid(unit)).ok()
}

impl Strategy for State {
    fn figures(&self) -> Vec<(&'static str, Decimal)> {
        let report = self.report();
        let names = match report.numeraire {
            Numeraire::Usdt => ["trading USDT", "FX USDT", "fees USDT"],
            Numeraire::Krw => ["trading KRW", "FX KRW", "fees KRW"],
        };
        let amounts = [report.trading, report.fx, report.fees];
        let mut figures = vec![
            ("round trips", report.closed.into()),
            ("of them won", report.won.into()),
        ];
        figures.extend(
            names
                .into_iter()
                .zip(amounts.map(|amount| Figure::from(amount).to_decimal())),
        );
        figures
    }

    fn bind(&mut self, instrument: &Instrument) -> Result<bool, String> {
        let Some(slot) = (0..3).find(|slot| self.name(*slot) == instrument.name) else {
            return Ok(false);
        };
        self.known[slot] = Some(Known {
            id: instrument.id(),
            base: instrument.definition.base.clone(),
            quote: instrument.definition.quote.clone(),
            decimals: instrument.decimals(),
        });
        self.bound = self.join()?;
        Ok(true)
    }

    #[inline]
    fn evolve(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        match event {
            Event::Quote(quote) => self.see(quote.instrument, now, market),
            Event::BookDelta(update) | Event::BookSnapshot(update) => {
                self.see(update.header.instrument, now, market)
            }
            Event::Trade(_) => Ok(()),
            Event::FeedState(state) => self.see(state.instrument, now, market),
            Event::VenueHealth(health) => {
                for slot in [UPBIT, BINANCE] {
                    if self.name(slot).split(':').next() == Some(&health.venue) {
                        self.words[slot] = Word::of(health, now);
                    }
                }
                match self.bound {
                    Some(bound) => self.judge(&bound, now, market),
                    None => Ok(()),
                }
            }
            Event::AlarmRaised(raised) => {
                match raised.alarm {
                    Alarm::AbnormalSpread => self.called_abnormal = self.is_abnormal,
                    Alarm::LossStreak => self.called_streaks = self.streaks.streaks,
                    Alarm::EmergencyLoss => {
                        if let Some(trip) = &mut self.trip {
                            trip.due.get_or_insert(ExitReason::EmergencyLoss);
                        }
                    }
                    _ => {}
                }
                Ok(())
            }
            _ => {
                self.parents.evolve(sequence, now, event, market)?;
                self.follow(now, event, market)
            }
        }
    }

    #[inline(never)]
    fn decide(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        let Some(bound) = &self.bound else { return };
        if matches!(event, Event::Trade(_)) {
            return;
        }
        self.parents.decide(event, view, wishes);
        match event {
            Event::ParentChanged(_) => self.release(wishes),
            // New round trips and exits begin on market events alone: of those there is one a step, so nothing is asked for
            // twice before its frame stands.
            Event::Quote(_)
            | Event::BookDelta(_)
            | Event::BookSnapshot(_)
            | Event::FeedState(_)
            | Event::VenueHealth(_) => {
                self.call(bound, view, wishes);
                for route in Route::ALL {
                    self.try_open(route, bound, view, wishes);
                }
                if let Some(trip) = &self.trip {
                    self.try_close(trip, bound, view, wishes);
                }
            }
            _ => {}
        }
    }
}
