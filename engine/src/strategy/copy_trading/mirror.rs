//! One leader's one token: what he just did there, what we hold because of it, and what of that is to be sold.
use super::params::{PPM, Rules};
use super::sizing::{floor_lot, unit};
use crate::id::{InstrumentId, OrderId};
use crate::number::{Decimals, Money, NumberError, Price, Qty};
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// Shares and what was paid for them, both as products of mantissas: their quotient is the volume-weighted price, exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum {
    /// Shares.
    pub(super) qty: i64,
    /// Price mantissa times quantity mantissa.
    pub(super) notional: i128,
}

impl Sum {
    /// One price.
    pub(super) const fn of(price: Price, qty: Qty) -> Self {
        Self {
            qty: qty.0,
            notional: price.0 as i128 * qty.0 as i128,
        }
    }

    /// Adds another one.
    pub(super) const fn add(&mut self, other: Self) {
        self.qty = self.qty.saturating_add(other.qty);
        self.notional = self.notional.saturating_add(other.notional);
    }

    /// As money.
    pub(super) fn usd(&self, d: Decimals) -> Option<Money> {
        Some(Money(self.notional.checked_mul(unit(d)?)?))
    }
}

/// Rows of one side within the window: one decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Group {
    /// All of them.
    pub(super) sum: Sum,
    /// The oldest row's time.
    pub(super) oldest: Nanos,
    /// When the window ends.
    pub(super) ends_at: Nanos,
    /// What the leader held before the first row.
    pub(super) held_before: i64,
}

/// Why shares are to be sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    /// The leader sold.
    Leader,
    /// The bid came down to the stop.
    Stop,
    /// The bid came up to the target.
    Target,
    /// Held long enough.
    Age,
}

/// How an exit order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitEnded {
    /// All of it sold.
    Filled,
    /// Some of it sold.
    InPart,
    /// Nobody bought.
    Missed,
    /// The gates or the venue did not take it.
    Refused,
}

/// One leader's one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mirror {
    /// Whose trades.
    pub(super) leader: u32,
    /// In what.
    pub(super) token: InstrumentId,
    /// His buys of the current window.
    pub(super) buying: Option<Group>,
    /// His sells of the current window.
    pub(super) selling: Option<Group>,
    /// The oldest row of the buys that were decided on last.
    pub(super) signal_at: Nanos,
    /// The oldest row of the buys that what we hold began with; his sells before that are no news for us.
    pub(super) followed_from: Nanos,
    /// Shares held.
    pub(super) held: Qty,
    /// What they cost, fees apart.
    pub(super) cost: Money,
    /// Shares that are to be sold.
    pub(super) owed: Qty,
    /// Why.
    pub(super) reason: Option<Reason>,
    /// First fill of what is held.
    pub(super) opened_at: Nanos,
    /// A bid down here sells everything.
    pub(super) stop: Price,
    /// A bid up here sells everything.
    pub(super) target: Price,
    /// The entry at work.
    pub(super) entry: Option<OrderId>,
    /// The exit at work.
    pub(super) exit: Option<OrderId>,
    /// No exit before this.
    pub(super) exit_from: Nanos,
    /// Exits refused since the last that filled.
    pub(super) exit_failures: u32,
    /// Exits that found nothing since the last that filled.
    pub(super) exit_misses: u32,
    /// The book that exits found nothing in shows nothing new: no exit before this, unless it does.
    pub(super) exit_missed_until: Nanos,
}

const OVERFLOW: NumberError = NumberError::Overflow {
    what: "copied position",
};

impl Mirror {
    pub(super) const fn new(leader: u32, token: InstrumentId) -> Self {
        Self {
            leader,
            token,
            buying: None,
            selling: None,
            signal_at: Nanos(0),
            followed_from: Nanos(0),
            held: Qty(0),
            cost: Money::ZERO,
            owed: Qty(0),
            reason: None,
            opened_at: Nanos(0),
            stop: Price(0),
            target: Price(i64::MAX),
            entry: None,
            exit: None,
            exit_from: Nanos(0),
            exit_failures: 0,
            exit_misses: 0,
            exit_missed_until: Nanos(0),
        }
    }

    /// Whether anything is held or may be soon.
    pub(super) const fn is_open(&self) -> bool {
        self.held.0 > 0 || self.entry.is_some()
    }

    /// Books a fill of an entry. `keep_ppm` of it is kept; the rest is to be sold again, because the leader sold meanwhile
    /// or an exit of everything is under way. Returns whether this opened the position.
    pub(super) fn bought(
        &mut self,
        rules: &Rules,
        d: Decimals,
        now: Nanos,
        price: Price,
        qty: Qty,
        keep_ppm: i64,
    ) -> Result<bool, NumberError> {
        let opens = self.held.0 == 0;
        if opens {
            self.opened_at = now;
        }
        self.held = Qty(self.held.0.checked_add(qty.0).ok_or(OVERFLOW)?);
        self.cost = self.cost.add(d.notional(price, qty)?)?;
        let kept = i128::from(qty.0) * i128::from(keep_ppm) / i128::from(PPM);
        self.owed = Qty(self.owed.0 + (qty.0 - kept as i64));
        let one = unit(d)
            .and_then(|unit| unit.checked_mul(self.held.0.into()))
            .and_then(|held| held.checked_mul(PPM.into()))
            .ok_or(OVERFLOW)?;
        let at = |ppm: i64| self.cost.0.checked_mul(ppm.into()).ok_or(OVERFLOW);
        let stop = at(PPM - rules.stop_ppm)?.div_euclid(one);
        let target = at(PPM + rules.target_ppm)?;
        let target = target.div_euclid(one) + i128::from(target.rem_euclid(one) > 0);
        self.stop = Price(i64::try_from(stop).map_err(|_| OVERFLOW)?);
        self.target = Price(i64::try_from(target).unwrap_or(i64::MAX));
        Ok(opens)
    }

    /// Books a fill of an exit.
    pub(super) fn sold(&mut self, qty: Qty) {
        (self.exit_failures, self.exit_misses) = (0, 0);
        if qty.0 >= self.held.0 {
            self.flat();
            return;
        }
        // As the ledger does: what is sold takes its share of the cost with it.
        let (held, part) = (i128::from(self.held.0), i128::from(qty.0));
        let removed = match self.cost.0.checked_mul(part) {
            Some(product) => product / held,
            None => self.cost.0 / held * part,
        };
        self.cost = Money(self.cost.0 - removed);
        self.held = Qty(self.held.0 - qty.0);
        self.owed = Qty((self.owed.0 - qty.0).max(0));
        if self.owed.0 == 0 {
            self.reason = None;
        }
    }

    /// Nothing is held any more: all sold, or paid out.
    pub(super) fn flat(&mut self) {
        (self.held, self.owed, self.cost) = (Qty(0), Qty(0), Money::ZERO);
        (self.stop, self.target) = (Price(0), Price(i64::MAX));
        self.reason = None;
    }

    /// An exit ended and something is left to be sold: when the next one may be tried. Refusals in a row double the wait up
    /// to 64 times, and so do exits that found nothing until the market shows something new.
    pub(super) fn exit_ended(&mut self, retry_ns: u64, now: Nanos, ended: ExitEnded) {
        let after = |times: u32| now.after(retry_ns.saturating_mul(1 << times.min(6)));
        match ended {
            ExitEnded::Filled => self.exit_from = now,
            ExitEnded::InPart => self.exit_from = after(0),
            ExitEnded::Missed => {
                self.exit_misses = self.exit_misses.saturating_add(1);
                self.exit_from = after(0);
                self.exit_missed_until = after(self.exit_misses);
            }
            ExitEnded::Refused => {
                self.exit_failures = self.exit_failures.saturating_add(1);
                self.exit_from = after(self.exit_failures);
            }
        }
    }

    /// The next exit's earliest time.
    pub(super) fn exit_due(&self) -> Nanos {
        self.exit_from.max(self.exit_missed_until)
    }

    /// The leader sold `sold` of `before`: the same part of what we hold, what is to be sold already apart, is to be sold,
    /// in whole lots rounded down; all of it when he sold all. Returns the part that is kept, in millionths rounded down.
    pub(super) fn leader_sold(&mut self, sold: i64, before: i64, lot: Qty) -> i64 {
        let free = self.held.0 - self.owed.0;
        if before <= 0 || sold >= before {
            self.leave(Reason::Leader);
            return 0;
        }
        let part = i128::from(free) * i128::from(sold) / i128::from(before);
        let part = floor_lot(lot, Qty(part as i64));
        self.owed = Qty(self.owed.0 + part.0);
        if self.owed.0 > 0 && self.reason.is_none() {
            self.reason = Some(Reason::Leader);
        }
        (i128::from(PPM) * i128::from(before - sold) / i128::from(before)) as i64
    }

    /// Everything is to be sold.
    pub(super) fn leave(&mut self, reason: Reason) {
        self.owed = self.held;
        if self.owed.0 > 0 {
            self.reason = Some(reason);
        }
    }

    /// Whether the best bid is a reason to sell everything, and everything is not to be sold already.
    #[inline]
    pub(super) fn trigger(&self, bid: Price) -> Option<Reason> {
        if self.owed >= self.held {
            None
        } else if bid <= self.stop {
            Some(Reason::Stop)
        } else if bid >= self.target {
            Some(Reason::Target)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::Params;
    use super::*;
    use proptest::prelude::*;

    const D: Decimals = Decimals { price: 3, qty: 2 };

    fn rules() -> Rules {
        Params::default().rules().unwrap()
    }

    fn holding(price: i64, qty: i64) -> Mirror {
        let mut mirror = Mirror::new(0, InstrumentId(0));
        let opens = mirror.bought(&rules(), D, Nanos(1), Price(price), Qty(qty), PPM);
        assert!(opens.unwrap());
        mirror
    }

    /// The golden number of the requirements, five systems, 6.3: he sells 50 of 200, we sell 4.93 of 19.75.
    #[test]
    fn a_quarter_of_19_75_is_4_93_rounded_down() {
        let mut mirror = holding(405, 1_975);
        assert_eq!(mirror.leader_sold(50, 200, Qty(1)), 750_000);
        assert_eq!(mirror.owed, Qty(493));
        mirror.sold(Qty(493));
        assert_eq!((mirror.held, mirror.owed), (Qty(1_482), Qty(0)));
        // Of the 7.99875 that it cost, 493/1975 go: 6.0021 are left.
        assert_eq!(mirror.cost.to_string(), "6.0021");
        mirror.leader_sold(150, 150, Qty(1));
        assert_eq!(mirror.owed, Qty(1_482), "a full exit sells everything");
    }

    #[test]
    fn what_the_leader_was_not_known_to_hold_counts_as_all_of_it() {
        let mut mirror = holding(405, 1_975);
        assert_eq!(mirror.leader_sold(50, 0, Qty(1)), 0);
        assert_eq!(mirror.owed, Qty(1_975));
    }

    /// Average .405: the stop at .34425 is reached at a bid of .344, not at .345; the target at .50625 at .507, not .506.
    #[test]
    fn stop_and_target_are_exact() {
        let mirror = holding(405, 1_975);
        assert_eq!(mirror.trigger(Price(345)), None);
        assert_eq!(mirror.trigger(Price(344)), Some(Reason::Stop));
        assert_eq!(mirror.trigger(Price(506)), None);
        assert_eq!(mirror.trigger(Price(507)), Some(Reason::Target));
    }

    /// Refusals wait 2, 4, ... 64 s; misses too, but for a market that shows something new; a fill starts anew.
    #[test]
    fn exits_in_vain_are_tried_less_and_less_often() {
        const S: u64 = 1_000_000_000;
        let mut mirror = holding(405, 1_975);
        let due = |mirror: &mut Mirror, ended| {
            mirror.exit_ended(S, Nanos(0), ended);
            (mirror.exit_from.0 / S, mirror.exit_due().0 / S)
        };
        let refused: Vec<_> = (0..8)
            .map(|_| due(&mut mirror, ExitEnded::Refused).1)
            .collect();
        assert_eq!(refused, [2, 4, 8, 16, 32, 64, 64, 64]);
        mirror.sold(Qty(1));
        assert_eq!(due(&mut mirror, ExitEnded::Missed), (1, 2));
        assert_eq!(due(&mut mirror, ExitEnded::Missed), (1, 4));
        mirror.sold(Qty(1));
        assert_eq!(due(&mut mirror, ExitEnded::Missed), (1, 2));
    }

    /// The leader sold half while our entry was still filling: half of what fills later is sold again.
    #[test]
    fn a_late_fill_is_cut_like_the_rest() {
        let mut mirror = Mirror::new(0, InstrumentId(0));
        let keep = mirror.leader_sold(100, 200, Qty(1));
        mirror
            .bought(&rules(), D, Nanos(1), Price(400), Qty(1_001), keep)
            .unwrap();
        assert_eq!((mirror.held, mirror.owed), (Qty(1_001), Qty(501)));
    }

    proptest! {
        /// Whatever fills and sells come in whatever order, no more is ever owed than is held.
        #[test]
        fn no_more_is_owed_than_is_held(
            steps in prop::collection::vec((0u8..4, 1i64..5_000, 1i64..5_000), 1..60), lot in 1i64..50,
        ) {
            let mut mirror = Mirror::new(0, InstrumentId(0));
            let mut keep = PPM;
            for (what, a, b) in steps {
                match what {
                    0 => { mirror.bought(&rules(), D, Nanos(1), Price(a.min(999)), Qty(b), keep).unwrap(); }
                    1 => keep = mirror.leader_sold(a, b, Qty(lot)),
                    2 => mirror.sold(Qty(a.min(mirror.owed.0.max(1)))),
                    _ => mirror.leave(Reason::Stop),
                }
                prop_assert!(mirror.owed.0 >= 0 && mirror.owed <= mirror.held);
                prop_assert!(mirror.cost >= Money::ZERO);
                prop_assert_eq!(mirror.held.0 == 0, mirror.cost == Money::ZERO);
            }
        }
    }
}
