//! Losses in a row and the pauses that they lead to, and the day's result (requirements, five systems, 4.2).
use super::params::Params;
use super::spread::Route;
use crate::number::{Money, NumberError};
use crate::time::{Nanos, SECOND_NS};
use serde::{Deserialize, Serialize};

/// What closed round trips have led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Streaks {
    /// Losses in a row.
    losses: u32,
    /// Of each route.
    route_losses: [u32; 2],
    /// No entry before this.
    pub(super) paused_until: Nanos,
    /// By route.
    pub(super) route_paused_until: [Nanos; 2],
    /// The UTC day of what follows, in days since 1970-01-01.
    day: u64,
    /// Everything that was closed on that day, gains and losses, in the numeraire.
    day_profit: Money,
    /// How often five in a row were lost, for the alarm.
    pub(super) streaks: u32,
}

impl Streaks {
    /// Counts a closed round trip with its profit in the numeraire.
    pub(super) fn closed(
        &mut self,
        now: Nanos,
        route: Route,
        profit: Money,
        params: &Params,
    ) -> Result<(), NumberError> {
        self.turn(now);
        self.day_profit = self.day_profit.add(profit)?;
        let place = route.index();
        if profit >= Money::ZERO {
            self.losses = 0;
            self.route_losses[place] = 0;
            return Ok(());
        }
        self.losses += 1;
        self.route_losses[place] += 1;
        let pause = |seconds: u64| now.after(seconds.saturating_mul(SECOND_NS));
        if self.losses >= params.loss_streak {
            self.losses = 0;
            self.streaks += 1;
            self.paused_until = self.paused_until.max(pause(params.loss_pause_s));
        }
        if self.route_losses[place] >= params.route_losses {
            self.route_losses[place] = 0;
            let until = &mut self.route_paused_until[place];
            *until = (*until).max(pause(params.route_pause_s));
        }
        Ok(())
    }

    /// Losses in a row so far.
    pub(super) const fn losses(&self) -> u32 {
        self.losses
    }

    /// Pauses after a day's loss.
    pub(super) fn day_lost(&mut self, now: Nanos, params: &Params) {
        let until = now.after(params.day_loss_pause_s.saturating_mul(SECOND_NS));
        self.paused_until = self.paused_until.max(until);
    }

    /// Begins a new day's result at UTC midnight.
    pub(super) const fn turn(&mut self, now: Nanos) {
        if now.utc_day() != self.day {
            self.day = now.utc_day();
            self.day_profit = Money::ZERO;
        }
    }

    /// The day's result so far in the numeraire; nothing on a day on which nothing was closed.
    pub(super) const fn day_profit(&self, now: Nanos) -> Money {
        if now.utc_day() == self.day {
            self.day_profit
        } else {
            Money::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY_NS;

    const S: u64 = SECOND_NS;

    #[test]
    fn five_losses_in_a_row_pause_everything_and_three_their_route() {
        let (params, mut streaks) = (Params::default(), Streaks::default());
        let mut lose = |second: u64, route, profit| {
            streaks
                .closed(Nanos(second * S), route, Money(profit), &params)
                .unwrap();
            streaks
        };
        lose(0, Route::SellUpbit, -1);
        lose(1, Route::SellUpbit, 1);
        lose(2, Route::SellUpbit, -1);
        let two = lose(3, Route::SellUpbit, -1);
        assert_eq!(two.route_paused_until, [Nanos(0); 2], "a gain began anew");
        let three = lose(4, Route::SellUpbit, -1);
        assert_eq!(three.route_paused_until, [Nanos(304 * S), Nanos(0)]);
        assert_eq!(three.paused_until, Nanos(0));
        lose(5, Route::BuyUpbit, -1);
        let five = lose(6, Route::BuyUpbit, -1);
        assert_eq!((five.paused_until, five.streaks), (Nanos(906 * S), 1));
        assert_eq!(five.route_paused_until[1], Nanos(0), "two on that route");
    }

    #[test]
    fn the_days_result_counts_gains_too_and_begins_anew_at_midnight() {
        let (params, mut streaks) = (Params::default(), Streaks::default());
        let at = Nanos(DAY_NS - 1);
        for profit in [-7, 3] {
            streaks
                .closed(at, Route::BuyUpbit, Money(profit), &params)
                .unwrap();
        }
        assert_eq!(streaks.day_profit(at), Money(-4));
        assert_eq!(streaks.day_profit(Nanos(DAY_NS)), Money::ZERO);
        streaks.day_lost(at, &params);
        assert_eq!(streaks.paused_until, at.after(3_600 * S), "past midnight");
    }
}
