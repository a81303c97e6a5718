//! What reaches beyond one round trip (requirements, five systems, 4.2: four tiers, cross venue): a route's score, what all
//! strategies hold and lost in the two currencies, which way they lean, and how many orders a venue took of late.
use super::health::Word;
use super::params::{Limits, Numeraire, Params};
use super::spread::{ONE, Route, Tops};
use super::{BINANCE, Bound, State, UPBIT, in_pct};
use crate::desk::Position;
use crate::number::Money;
use crate::strategy::{Gates, View};

/// What some positions paid in won or dollars come to, in dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    /// What they are worth, long or short.
    exposure: Money,
    /// What they lost since UTC midnight, open ones at the price that one would hit.
    day_loss: Money,
}

/// Everybody's positions that are paid in won or dollars, in dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Totals {
    /// What all strategies' are worth, long or short.
    pub(super) exposure: Money,
    /// What they lost since UTC midnight.
    day_loss: Money,
    /// The same of the venue that lost more.
    venue_day_loss: Money,
    /// What those of all instances of this strategy are worth.
    pub(super) coins_exposure: Money,
    /// Of it in this coin.
    pub(super) coin_exposure: Money,
    /// What all instances lost since UTC midnight.
    coins_day_loss: Money,
    /// Other instances with a position.
    others_open: usize,
}

/// What a route's score is made of. Ratios are parts per billion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Merits {
    /// What opening brings net, the expected spread at exit taken off.
    pub(super) net: i64,
    /// The deviation that opens: as much net is the full mark.
    pub(super) entry: i64,
    /// The edge, costs not taken off.
    pub(super) edge: i64,
    /// The costs of a round trip.
    pub(super) costs: i64,
    /// See [`health`].
    pub(super) health: i64,
    /// The difference between the venues' values and the largest allowed.
    pub(super) imbalance: [i64; 2],
}

/// `part / whole`, from 0 to 1 in parts per billion.
fn ratio(part: i64, whole: i64) -> i64 {
    let ratio = i128::from(part.max(0)) * ONE / i128::from(whole.max(1));
    ratio.min(ONE) as i64
}

/// What is left of a limit, from 0 to 1.
fn left(used: i64, limit: i64) -> i64 {
    ONE as i64 - if used <= 0 { 0 } else { ratio(used, limit) }
}

impl Merits {
    /// `.4 spread + .3 health + .2 fee + .1 inventory`, each from 0 to 1: the net gain against the deviation that opens, the
    /// venues' health, the part of the edge that costs leave, and what is left of the largest imbalance. The original took
    /// the gross spread for the net one.
    pub(super) fn score(&self) -> i64 {
        let spread = ratio(self.net, self.entry);
        let fee = left(self.costs, self.edge);
        let inventory = left(self.imbalance[0], self.imbalance[1]);
        (4 * spread + 3 * self.health + 2 * fee + inventory) / 10
    }
}

/// How far the worse of two venues is from degraded, by round trips and by failed requests: 0 at the bound.
pub(super) fn health(words: &[Word; 2], params: &Params, limits: &Limits) -> i64 {
    let of = |word: &Word| {
        let slow = left(word.latency_ms.into(), params.degraded_latency_ms.into());
        slow.min(left(word.errors_per_million.into(), limits.degraded_errors))
    };
    of(&words[UPBIT]).min(of(&words[BINANCE]))
}

impl State {
    /// Gates of what everybody does. Returns what everybody holds.
    pub(super) fn stays_within(
        &self,
        route: Route,
        bound: &Bound,
        tops: &Tops,
        view: &View<'_>,
        gates: &mut Gates<'_>,
    ) -> Option<Totals> {
        let limits = &self.limits;
        for (slot, gate, name) in [
            (UPBIT, "upbit_order_rate", "upbit_orders_per_s"),
            (BINANCE, "binance_order_rate", "binance_orders_per_s"),
        ] {
            let venue = view.market.instrument(bound.ids[slot]).ok()?.venue;
            let orders = view.orders_in_last_second(venue) + 1;
            if !gates.at_most(gate, orders, limits.orders_per_s[slot]) {
                return None;
            }
            gates.uses(name, None, orders, limits.orders_per_s[slot]);
        }
        let leaning = self.leaning(route, bound, view);
        if !gates.at_most("bias_pct", in_pct(leaning), in_pct(limits.max_bias)) {
            return None;
        }
        let totals = self.totals(bound, tops, view);
        if !gates.holds("totals_known", totals.is_some()) {
            return None;
        }
        let totals = totals?;
        for (gate, name, loss, most) in [
            (
                "day_loss_usdt",
                "max_day_loss_usdt",
                totals.coins_day_loss,
                limits.max_coins_day_loss,
            ),
            (
                "venue_day_loss_usdt",
                "max_venue_day_loss_usdt",
                totals.venue_day_loss,
                limits.max_venue_day_loss,
            ),
            (
                "total_day_loss_usdt",
                "max_total_day_loss_usdt",
                totals.day_loss,
                limits.max_total_day_loss,
            ),
        ] {
            if !gates.at_most(gate, loss, most) {
                return None;
            }
            gates.uses(name, None, loss, most);
        }
        let (open, most) = (totals.others_open + 1, self.params.max_open_positions);
        if !gates.at_most("open_positions", open, most) {
            return None;
        }
        gates.uses("max_open_positions", None, open, most);
        Some(totals)
    }

    /// The share of one direction among all positions on the won venue, this one included; nothing while they are few.
    fn leaning(&self, route: Route, bound: &Bound, view: &View<'_>) -> i64 {
        let ours = bound.ids[UPBIT];
        let venue = |id| view.market.instrument(id).ok().map(|i| i.venue);
        let others = view.everybodys_positions().filter(|position| {
            position.qty.0 != 0
                && position.instrument != ours
                && venue(position.instrument) == venue(ours)
        });
        let (mut all, mut alike) = (1, 1);
        for position in others {
            all += 1;
            alike += i64::from(position.qty.0.signum() == route.upbit_side().sign());
        }
        if all < i64::from(self.params.bias_positions) {
            return 0;
        }
        ratio(alike, all)
    }

    fn totals(&self, bound: &Bound, tops: &Tops, view: &View<'_>) -> Option<Totals> {
        let venue = |id| view.market.instrument(id).ok().map(|i| i.venue);
        let on = |slot: usize| {
            let wanted = venue(bound.ids[slot]);
            let lost = self.sum(bound, tops, view, &|p| venue(p.instrument) == wanted);
            lost.map(|sum| sum.day_loss)
        };
        let all = self.sum(bound, tops, view, &|_| true)?;
        let coins = self.all_coins(bound, tops, view)?;
        let of_coin =
            |p: &Position| view.is_same_kind(p.strategy) && bound.slot(p.instrument).is_some();
        let coin = self.sum(bound, tops, view, &of_coin)?;
        // A strategy's positions stand side by side.
        let (mut others_open, mut last) = (0, None);
        for position in view.everybodys_positions() {
            let id = Some(position.strategy);
            let counts = position.qty.0 != 0 && !view.is_own(position) && id != last;
            if counts && view.is_same_kind(position.strategy) {
                (others_open, last) = (others_open + 1, id);
            }
        }
        Some(Totals {
            exposure: all.exposure,
            day_loss: all.day_loss,
            venue_day_loss: on(UPBIT)?.max(on(BINANCE)?),
            coins_exposure: coins.exposure,
            coin_exposure: coin.exposure,
            coins_day_loss: coins.day_loss,
            others_open,
        })
    }

    /// The positions of all instances of this strategy.
    fn all_coins(&self, bound: &Bound, tops: &Tops, view: &View<'_>) -> Option<Sum> {
        self.sum(bound, tops, view, &|p| view.is_same_kind(p.strategy))
    }

    /// What all instances lost since UTC midnight, if it is so much that what is open is to be closed.
    pub(super) fn emergency(&self, bound: &Bound, view: &View<'_>) -> Option<Money> {
        let loss = self.all_coins(bound, &self.last_tops(), view)?.day_loss;
        (loss > self.limits.emergency_loss).then_some(loss)
    }

    fn sum(
        &self,
        bound: &Bound,
        tops: &Tops,
        view: &View<'_>,
        counts: &dyn Fn(&Position) -> bool,
    ) -> Option<Sum> {
        let twice_fx = tops.fx.twice_mid()?;
        let won = |krw| bound.units.dollars(krw, twice_fx);
        let [krw, usdt] = [UPBIT, BINANCE].map(|slot| {
            let instrument = view.market.instrument(bound.ids[slot]).ok()?;
            Some(instrument.quote_currency)
        });
        let (krw, usdt) = (krw?, usdt?);
        let positions = || view.everybodys_positions().filter(|p| counts(p));
        let mut exposure = Money::ZERO;
        for position in positions() {
            let instrument = view.market.instrument(position.instrument).ok()?;
            let worth = Money(position.value(instrument).ok()?.0.checked_abs()?);
            if instrument.quote_currency == krw {
                exposure = exposure.add(won(worth)?).ok()?;
            } else if instrument.quote_currency == usdt {
                exposure = exposure.add(worth).ok()?;
            }
        }
        let gained = |currency| view.day_profit_of(positions(), currency).ok();
        let gain = won(gained(krw)?)?.add(gained(usdt)?).ok()?;
        Some(Sum {
            exposure,
            day_loss: gain.negated(),
        })
    }

    /// How far the profit of all round trips is below its highest, as a share of `all` dollars.
    pub(super) fn drawdown(&self, bound: &Bound, tops: &Tops, all: Money) -> Option<i64> {
        let below = self.peak.sub(self.report.total().ok()?).ok()?;
        let below = match self.params.numeraire {
            Numeraire::Usdt => below,
            Numeraire::Krw => bound.units.dollars(below, tops.fx.twice_mid()?)?,
        };
        if all.0 <= 0 {
            return Some(if below.0 > 0 { ONE as i64 } else { 0 });
        }
        i64::try_from(below.0.max(0).checked_mul(ONE)? / all.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Nanos;
    use proptest::prelude::*;

    const BPS: i64 = 100_000;

    /// By hand: 30 of 50 bps net are .6, health .8, 50 bps less costs of 42 leave .16, and no imbalance of .5:
    /// .4 x .6 + .3 x .8 + .2 x .16 + .1 x 1 = .612.
    fn good() -> Merits {
        Merits {
            net: 30 * BPS,
            entry: 50 * BPS,
            edge: 50 * BPS,
            costs: 42 * BPS,
            health: 800_000_000,
            imbalance: [0, 500_000_000],
        }
    }

    #[test]
    fn a_score_by_hand() {
        assert_eq!(good().score(), 612_000_000);
        // A gross edge of 50 that nets nothing keeps .24 + .032 + .1 only.
        let gross = Merits { net: 0, ..good() };
        assert_eq!(gross.score(), 372_000_000);
        let lost = Merits {
            net: -1,
            health: 0,
            costs: 51 * BPS,
            imbalance: [600_000_000, 500_000_000],
            ..good()
        };
        assert_eq!(lost.score(), 0);
    }

    #[test]
    fn health_is_what_the_worse_venue_leaves_of_its_bounds() {
        let params = Params::default();
        let limits = params.check().unwrap();
        let word = |latency_ms, errors_per_million| Word {
            latency_ms,
            errors_per_million,
            at: Some(Nanos(0)),
        };
        let of = |a, b| health(&[a, b], &params, &limits);
        assert_eq!(of(word(0, 0), word(0, 0)), 1_000_000_000);
        assert_eq!(of(word(20, 0), word(0, 2_500)), 750_000_000);
        assert_eq!(of(word(0, 0), word(100, 0)), 0);
    }

    proptest! {
        #[test]
        fn a_score_is_from_0_to_1_and_rises_with_the_net_gain(
            net in any::<i64>(), more in 0i64..i64::MAX, entry in 1i64..1_000_000_000, edge in any::<i64>(),
            costs in 0i64..1_000_000_000, health in 0i64..=1_000_000_000, apart in 0i64..2_000_000_000,
        ) {
            let merits = Merits { net, entry, edge, costs, health, imbalance: [apart, 500_000_000] };
            let better = Merits { net: net.saturating_add(more), ..merits };
            prop_assert!((0..=1_000_000_000).contains(&merits.score()));
            prop_assert!(better.score() >= merits.score());
        }
    }
}
