//! How much stands before a resting order at its price.
//!
//! The risk-averse model lets only trades at the price, or a level smaller than what is ahead, move the order forward.
//! The probability model also spreads cancels over the queue, after Rigtorp ("Estimating order queue position", 2013) and
//! hftbacktest's `PowerProbQueueFunc`: what a level loses beyond the trades leaves behind us with the probability
//! `f(behind) / (f(behind) + f(ahead))`, `f(x) = x^n`, and ahead of us otherwise. Here the expected part leaves ahead,
//! in whole units rounded down: towards staying behind.
use crate::session::{PaperVenueConfig, QueueModel};
use serde::{Deserialize, Serialize};

/// Nothing is known of the queue: the order rests deeper than the quotes show.
const UNKNOWN: i64 = i64::MAX;

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Queue {
    ahead: i64,
    /// None in the risk-averse model.
    cancels: Option<Cancels>,
}

/// What the estimate of cancels needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cancels {
    exponent: u8,
    /// The level as it was last shown.
    displayed: i64,
    /// Traded at it since then: the next showing contains it, and the queue has moved by it already.
    traded: i64,
}

impl Queue {
    /// Behind all that is displayed; `None` where the feed does not reach that far.
    pub(super) fn join(config: &PaperVenueConfig, displayed: Option<i64>) -> Self {
        let ahead = displayed.unwrap_or(UNKNOWN);
        let cancels = match config.queue {
            QueueModel::RiskAverse => None,
            QueueModel::PowerProbability => Some(Cancels {
                exponent: config.queue_exponent.clamp(1, 3),
                displayed: ahead,
                traded: 0,
            }),
        };
        Self { ahead, cancels }
    }

    /// What stands before us.
    #[inline]
    pub(super) const fn ahead(&self) -> i64 {
        self.ahead
    }

    /// A trade at our price: it takes from the front.
    #[inline]
    pub(super) fn trade(&mut self, qty: i64) {
        self.ahead = self.ahead.saturating_sub(qty).max(0);
        if let Some(cancels) = &mut self.cancels {
            cancels.traded = cancels.traded.saturating_add(qty);
        }
    }

    /// The venue says what is at our price now. True when cancels moved us by an estimate.
    #[inline]
    pub(super) fn show(&mut self, displayed: i64) -> bool {
        let is_estimate = self.cancels.is_some() && self.estimate(displayed);
        self.ahead = self.ahead.min(displayed);
        is_estimate
    }

    /// The whole book or the best quote, which say what is at our price whether or not it changed: a level that did not
    /// change is no news of the trades that it may not contain yet.
    #[inline]
    pub(super) fn show_again(&mut self, displayed: i64) -> bool {
        let is_news = self
            .cancels
            .is_none_or(|cancels| cancels.displayed != displayed);
        is_news && self.show(displayed)
    }

    /// Moves by the cancels that must have been ahead of us.
    fn estimate(&mut self, displayed: i64) -> bool {
        let Some(cancels) = &mut self.cancels else {
            return false;
        };
        let before = cancels.displayed.saturating_sub(cancels.traded).max(0);
        let cancelled = before.saturating_sub(displayed);
        (cancels.displayed, cancels.traded) = (displayed, 0);
        if cancelled <= 0 {
            return false;
        }
        let behind = before.saturating_sub(self.ahead).max(0);
        let leaving = leaving(self.ahead, behind, cancelled, cancels.exponent.into());
        // Above an exponent of 1 the share of a long queue ahead can come to more than the queue.
        self.ahead = (self.ahead - leaving).max(0);
        true
    }

    /// An order that came later can't pass one before it, which the estimate alone would allow above an exponent of 1.
    pub(super) fn stay_behind(&mut self, earlier: &Self) {
        self.ahead = self.ahead.max(earlier.ahead);
    }
}

/// `cancelled x ahead^n / (ahead^n + behind^n)`, rounded down.
fn leaving(ahead: i64, behind: i64, cancelled: i64, exponent: u32) -> i64 {
    // So many leading bits count that a power times a quantity fits an i128; the rest is rounded towards staying behind.
    let bits = 63 / exponent;
    let length = i64::BITS - ahead.max(behind).leading_zeros();
    let excess = length.saturating_sub(bits);
    let ahead = i128::from(ahead >> excess).pow(exponent);
    let behind = (i128::from(behind) + (1 << excess) - 1) >> excess;
    let whole = ahead + behind.pow(exponent);
    if whole == 0 {
        return 0;
    }
    i64::try_from(i128::from(cancelled) * ahead / whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn power(exponent: u8) -> PaperVenueConfig {
        PaperVenueConfig {
            queue: QueueModel::PowerProbability,
            queue_exponent: exponent,
            ..PaperVenueConfig::default()
        }
    }

    /// 10 ahead, then 4 join behind, then 5 are cancelled: of these 5 x 10^n / (10^n + 4^n) left ahead,
    /// 3.57 for n = 1, 4.31 for n = 2, 4.699 for n = 3.
    #[test]
    fn cancels_are_spread_by_the_power_of_what_stands_ahead_and_behind() {
        for (exponent, ahead) in [(1, 7), (2, 6), (3, 6)] {
            let mut queue = Queue::join(&power(exponent), Some(10));
            assert!(!queue.show(14));
            assert_eq!(queue.ahead(), 10);
            assert!(queue.show(9));
            assert_eq!(queue.ahead(), ahead, "n = {exponent}");
        }
        let mut averse = Queue::join(&PaperVenueConfig::default(), Some(10));
        assert!(!averse.show(14) && !averse.show(9));
        assert_eq!(averse.ahead(), 9);
    }

    /// 6 ahead of 9. A trade of 2 leaves 4 of 7; the level shown at 7 says no more than that. Shown at 4, 3 were cancelled,
    /// of which 3 x 16 / (16 + 9) = 1.92 ahead.
    #[test]
    fn a_trade_and_the_level_that_shows_it_move_the_queue_once() {
        let mut queue = Queue::join(&power(2), Some(6));
        queue.show(9);
        queue.trade(2);
        assert_eq!(queue.ahead(), 4);
        assert!(!queue.show(7));
        assert_eq!(queue.ahead(), 4);
        assert!(queue.show(4));
        assert_eq!(queue.ahead(), 3);
    }

    /// A quote repeats the level of 9 before it shows the trade of 2: the trade still explains the 7 that come next.
    #[test]
    fn a_level_shown_unchanged_does_not_forget_a_trade() {
        let mut queue = Queue::join(&power(2), Some(6));
        queue.show(9);
        queue.trade(2);
        assert!(!queue.show_again(9));
        assert!(!queue.show_again(7));
        assert_eq!(queue.ahead(), 4);
    }

    #[test]
    fn a_queue_of_unknown_length_is_the_level_that_is_shown_first() {
        for config in [PaperVenueConfig::default(), power(1), power(2), power(3)] {
            let mut queue = Queue::join(&config, None);
            queue.trade(1_000);
            assert!(queue.ahead() > 1 << 62);
            queue.show(50);
            assert_eq!(queue.ahead(), 50);
        }
    }

    /// 90 ahead and 10 behind, 95 cancelled: 95 x 8100 / 8200 = 93.8 are more than stood ahead.
    #[test]
    fn no_more_leave_ahead_than_stood_there() {
        let mut queue = Queue::join(&power(2), Some(90));
        queue.show(100);
        queue.show(5);
        assert_eq!(queue.ahead(), 0);
    }

    #[test]
    fn a_later_order_does_not_pass_an_earlier_one() {
        // Of 100, 50 are cancelled: 50 x 50^3 / (2 x 50^3) = 25 before the first,
        // 50 x 60^3 / (60^3 + 40^3) = 38.6 before the second, which would leave 22 there.
        let (mut first, mut second) = (
            Queue::join(&power(3), Some(50)),
            Queue::join(&power(3), Some(60)),
        );
        for queue in [&mut first, &mut second] {
            queue.show(100);
            queue.show(50);
        }
        assert_eq!((first.ahead(), second.ahead()), (25, 22));
        second.stay_behind(&first);
        assert_eq!(second.ahead(), 25);
    }

    #[derive(Clone, Copy, Debug)]
    enum News {
        Trade(i64),
        Show(i64),
        ShowAgain(i64),
    }

    fn news(max: i64) -> impl Strategy<Value = News> {
        prop_oneof![
            (1..=max).prop_map(News::Trade),
            (0..=max).prop_map(News::Show),
            (0..=max).prop_map(News::ShowAgain),
        ]
    }

    proptest! {
        /// Whatever is shown and traded: never negative, never slower than the risk-averse queue, and never faster than
        /// a queue in which everybody who cancels stood ahead of us.
        #[test]
        fn the_estimate_lies_between_all_cancels_ahead_and_none(
            exponent in 1u8..=3,
            joined in prop_oneof![0i64..100, 0..i64::MAX],
            news in prop_oneof![
                prop::collection::vec(news(100), 0..40),
                prop::collection::vec(news(i64::MAX - 1), 0..40),
            ],
        ) {
            let mut queue = Queue::join(&power(exponent), Some(joined));
            let mut averse = Queue::join(&PaperVenueConfig::default(), Some(joined));
            let (mut fastest, mut level, mut traded) = (joined, joined, 0i64);
            for news in news {
                match news {
                    News::Trade(qty) => {
                        queue.trade(qty);
                        averse.trade(qty);
                        traded = traded.saturating_add(qty);
                        fastest = (fastest - qty).max(0);
                    }
                    News::Show(displayed) | News::ShowAgain(displayed) => {
                        let again = matches!(news, News::ShowAgain(_));
                        if again { queue.show_again(displayed) } else { queue.show(displayed) };
                        averse.show(displayed);
                        if !again || displayed != level {
                            let cancelled = (level.saturating_sub(traded).max(0) - displayed).max(0);
                            fastest = (fastest - cancelled).max(0).min(displayed);
                            (level, traded) = (displayed, 0);
                        }
                    }
                }
                prop_assert!(queue.ahead() >= 0);
                prop_assert!(queue.ahead() <= averse.ahead(), "{queue:?} {averse:?}");
                prop_assert!(queue.ahead() >= fastest, "{queue:?} {fastest}");
            }
        }

        /// While the powers fit it is exact.
        #[test]
        fn what_leaves_ahead_is_the_fraction_rounded_down(
            ahead in 0i64..100_000, behind in 0i64..100_000, cancelled in 0i64..1_000_000, exponent in 1u32..=3,
        ) {
            let part = leaving(ahead, behind, cancelled, exponent);
            let (a, b) = (i128::from(ahead).pow(exponent), i128::from(behind).pow(exponent));
            let (part, cancelled) = (i128::from(part), i128::from(cancelled));
            if a + b > 0 {
                prop_assert!(part * (a + b) <= cancelled * a);
                prop_assert!((part + 1) * (a + b) > cancelled * a);
            }
        }

        #[test]
        fn bits_that_do_not_fit_are_rounded_towards_staying_behind(
            ahead in 0..i64::MAX, behind in 0..i64::MAX, cancelled in 0..i64::MAX,
        ) {
            // The first power fits, so it is exact; the others are held against what must hold for any power.
            let part = i128::from(leaving(ahead, behind, cancelled, 1));
            let whole = i128::from(ahead) + i128::from(behind);
            if whole > 0 {
                prop_assert_eq!(part, i128::from(cancelled) * i128::from(ahead) / whole);
            }
            for exponent in 2..=3 {
                let part = leaving(ahead, behind, cancelled, exponent);
                prop_assert!((0..=cancelled).contains(&part));
                // Less than half of the level ahead: less than half of the cancels.
                if ahead <= behind {
                    prop_assert!(part <= cancelled / 2);
                }
            }
        }
    }
}
