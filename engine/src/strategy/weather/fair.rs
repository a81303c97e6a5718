//! What a temperature contract is worth (requirements, five systems, 3.3).
//!
//! The day's highest temperature settles as a whole degree, so a degree `k` stands for everything between `k - 0.5` and
//! `k + 0.5` (continuity correction). Every probability is a difference of two rounded tails, so the brackets of a complete
//! event add up to exactly one whatever the rounding did.
use super::normal::{ONE_PPM, tail_ppm};
use crate::event::Strike;
use serde::{Deserialize, Serialize};

/// Thousandths of a degree Fahrenheit in a degree.
pub(super) const DEGREE: i64 = 1_000;

/// How a day's highest temperature is distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcomes {
    /// Expected maximum, in thousandths of a degree Fahrenheit.
    pub(super) mean: i64,
    /// Deviation, in thousandths of a degree; positive.
    pub(super) sigma: i64,
    /// Whole degrees that were reached already: nothing below can come out any more.
    pub(super) reached: Option<i32>,
}

impl Outcomes {
    /// Probability that the maximum is above `degrees`, in millionths.
    fn above(&self, degrees: i64) -> u32 {
        let distance = |degrees: i64| degrees * DEGREE + DEGREE / 2 - self.mean;
        let reached = self.reached.map(|reached| distance(i64::from(reached) - 1));
        tail_ppm(distance(degrees), reached, self.sigma)
    }

    /// Probability that a contract pays, in millionths.
    pub(super) fn pays_ppm(&self, strike: Strike) -> u32 {
        match strike {
            Strike::Greater { floor } => self.above(floor.into()),
            Strike::Less { cap } => ONE_PPM - self.above(i64::from(cap) - 1),
            Strike::Between { floor, cap } => self
                .above(i64::from(floor) - 1)
                .saturating_sub(self.above(cap.into())),
        }
    }
}

/// Whether a contract pays at a maximum of `degrees`.
pub(super) fn pays(strike: Strike, degrees: i64) -> bool {
    match strike {
        Strike::Greater { floor } => degrees > i64::from(floor),
        Strike::Less { cap } => degrees < i64::from(cap),
        Strike::Between { floor, cap } => (i64::from(floor)..=i64::from(cap)).contains(&degrees),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Outcomes = Outcomes {
        mean: 85 * DEGREE,
        sigma: 3 * DEGREE,
        reached: None,
    };

    /// Golden numbers: requirements, five systems, 3.3 (mean 85, deviation 3).
    #[test]
    fn brackets_are_worth_what_the_requirement_says() {
        let less = DAY.pays_ppm(Strike::Less { cap: 84 });
        let between = DAY.pays_ppm(Strike::Between { floor: 84, cap: 85 });
        let greater = DAY.pays_ppm(Strike::Greater { floor: 85 });
        // .30854, .25765 and .43382 to five digits.
        assert_eq!((less, between, greater), (308_538, 257_646, 433_816));
        assert_eq!(less + between + greater, ONE_PPM);
    }

    /// Without the half degree, as the original had it, "86 and above" was 1 - Phi(1/3) = .36944: 6 cents too little.
    #[test]
    fn the_half_degree_is_not_forgotten() {
        let without = tail_ppm(DEGREE, None, 3 * DEGREE);
        assert_eq!(without, 369_441);
        let ours = DAY.pays_ppm(Strike::Greater { floor: 85 });
        assert_eq!(ours - without, 64_375);
    }

    /// By hand: with 85 reached nothing below counts, P(T >= 85) = Q(-1/6) = .5661838, so
    /// "85" alone is (.5661838 - .4338162) / .5661838 = .2337891 and the rest .7662109.
    #[test]
    fn what_was_reached_can_not_be_undercut() {
        let day = Outcomes {
            reached: Some(85),
            ..DAY
        };
        assert_eq!(day.pays_ppm(Strike::Less { cap: 84 }), 0);
        assert_eq!(day.pays_ppm(Strike::Less { cap: 85 }), 0);
        assert_eq!(day.pays_ppm(Strike::Greater { floor: 84 }), ONE_PPM);
        assert_eq!(
            day.pays_ppm(Strike::Between { floor: 84, cap: 85 }),
            233_789
        );
        assert_eq!(day.pays_ppm(Strike::Greater { floor: 85 }), 766_211);
    }

    proptest! {
        /// Any complete event: below `first`, brackets of `width` degrees, above the last; conditioned or not.
        #[test]
        fn the_brackets_of_an_event_add_up_to_one(
            mean in 20_000i64..110_000, sigma in 1i64..15_000, first in 10i32..120, width in 1i32..4, count in 0i32..8,
            reached in prop::option::of(0i32..130),
        ) {
            let day = Outcomes { mean, sigma, reached };
            let mut strikes = vec![Strike::Less { cap: first }];
            strikes.extend((0..count).map(|n| Strike::Between {
                floor: first + n * width,
                cap: first + (n + 1) * width - 1,
            }));
            let top = first + count * width - 1;
            strikes.push(Strike::Greater { floor: top });
            let sum: u32 = strikes.iter().map(|strike| day.pays_ppm(*strike)).sum();
            prop_assert_eq!(sum, ONE_PPM);
            for degrees in i64::from(first) - 3..=i64::from(top) + 3 {
                prop_assert_eq!(strikes.iter().filter(|strike| pays(**strike, degrees)).count(), 1);
            }
            if let Some(reached) = reached {
                for strike in strikes {
                    let can = (i64::from(reached)..=200).any(|degrees| pays(strike, degrees));
                    prop_assert!(can || day.pays_ppm(strike) == 0);
                }
            }
        }
    }
}
