//! How sure a copy is: a pure function of journalled facts, in millionths.
use super::params::PPM;
use crate::number::Money;

/// What the confidence is computed from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Resolved trades of the leader.
    pub(super) sample: u32,
    /// Of them, those that gained.
    pub(super) wins: u32,
    /// Their profit in USD.
    pub(super) profit: Money,
    /// The leader's typical buy in USD.
    pub(super) typical: Money,
    /// This buy of his in USD.
    pub(super) trade: Money,
    /// Depth within the slippage in USD.
    pub(super) depth: Money,
    /// Depth that counts as fully liquid.
    pub(super) liquid: Money,
    /// Until the contract is expected to pay; none when its terms are not known.
    pub(super) to_resolution_ms: Option<u64>,
}

const HOUR_MS: i64 = 3_600_000;
const ONE: i128 = PPM as i128;

fn clamped(value: i128) -> i128 {
    value.clamp(0, ONE)
}

/// `a / b` in millionths, rounded towards zero; none when that says nothing.
fn ratio(a: Money, b: Money) -> Option<i128> {
    (b.0 > 0).then(|| match a.0.checked_mul(ONE) {
        Some(scaled) => scaled / b.0,
        // Beyond 1e14 USD the last digits are of no account.
        None => a.0 / (b.0 / ONE).max(1),
    })
}

/// Six parts between 0 and 1 with weights that add up to 100:
///
/// | part | weight | 0 at | 1 at |
/// |---|---|---|---|
/// | sample: `n / 50` | 15 | 0 trades | 50 |
/// | hit rate: `(wins + 1) / (n + 2)` | 30 | .40 | .60 |
/// | profit per trade and typical size: `profit / (n x typical)` | 20 | 0 | 10 % |
/// | size: `trade / typical`, r | 15 | 0, and 10 or more | 1 to 4 |
/// | liquidity: `depth / liquid` | 10 | 0 | 1 |
/// | time to resolution | 10 | 1 h or not known | 24 h |
///
/// Each part is linear between its ends and rounded towards zero, and so is the sum. The one added to the wins and the
/// two added to the sample keep three lucky trades from looking like a record (Laplace's rule of succession).
pub(super) fn confidence_ppm(facts: &Facts) -> i64 {
    let sample = i128::from(facts.sample);
    let wins = i128::from(facts.wins.min(facts.sample));
    let experience = clamped(sample * ONE / 50);
    let hits = clamped(((wins + 1) * ONE / (sample + 2) - 400_000) * 5);
    let staked = Money(facts.typical.0.saturating_mul(sample));
    let profit = clamped(ratio(facts.profit, staked).unwrap_or(0).saturating_mul(10));
    let size = match ratio(facts.trade, facts.typical) {
        Some(r) if r <= 4 * ONE => clamped(r),
        Some(r) => clamped(ONE - (r - 4 * ONE) / 6),
        None => 0,
    };
    let liquidity = clamped(ratio(facts.depth, facts.liquid).unwrap_or(0));
    let time = facts.to_resolution_ms.map_or(0, |ms| {
        let ms = i128::from(ms) - i128::from(HOUR_MS);
        clamped(ms * ONE / i128::from(23 * HOUR_MS))
    });
    let sum = 15 * experience + 30 * hits + 20 * profit + 15 * size + 10 * liquidity + 10 * time;
    (sum / 100) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usd(amount: i64) -> Money {
        Money(i128::from(amount) * 1_000_000_000_000_000_000)
    }

    fn good() -> Facts {
        Facts {
            sample: 120,
            wins: 78,
            profit: usd(14_400),
            typical: usd(100),
            trade: usd(80),
            depth: usd(405),
            liquid: usd(500),
            to_resolution_ms: Some(48 * 3_600_000),
        }
    }

    /// By hand: 15 x 1 + 30 x 1 (79/122 = .647) + 20 x 1 (1.2 a trade) + 15 x .8 + 10 x .81 + 10 x 1 = 95.1 %.
    #[test]
    fn a_good_leader_of_a_liquid_market_is_believed() {
        assert_eq!(confidence_ppm(&good()), 951_000);
    }

    /// By hand: 15 x .2 + 30 x .25 (6/12 = .5 is half of the way: 500_000 - 400_000 = .1 x 5 = .5) ...: 3 + 15 + 0 (no
    /// profit) + 12 + 8.1 + 10 = 48.1 %.
    #[test]
    fn ten_trades_that_earned_nothing_are_not() {
        let facts = Facts {
            sample: 10,
            wins: 5,
            profit: Money::ZERO,
            ..good()
        };
        assert_eq!(confidence_ppm(&facts), 481_000);
    }

    /// By hand: ten times the typical size costs its 12 %, an hour to go its 10 %, and unknown terms the same.
    #[test]
    fn a_bait_sized_trade_and_a_market_about_to_resolve_cost_their_parts() {
        assert_eq!(
            confidence_ppm(&Facts {
                trade: usd(1_000),
                ..good()
            }),
            831_000
        );
        assert_eq!(
            confidence_ppm(&Facts {
                to_resolution_ms: Some(3_600_000),
                ..good()
            }),
            851_000
        );
        assert_eq!(
            confidence_ppm(&Facts {
                to_resolution_ms: None,
                ..good()
            }),
            851_000
        );
    }

    #[test]
    fn nothing_known_is_no_confidence_but_for_the_prior() {
        let facts = Facts {
            sample: 0,
            wins: 0,
            profit: Money::ZERO,
            typical: Money::ZERO,
            trade: usd(5),
            depth: Money::ZERO,
            liquid: usd(500),
            to_resolution_ms: None,
        };
        // One of two: half of the hit rate's 30 %.
        assert_eq!(confidence_ppm(&facts), 150_000);
    }

    proptest! {
        #[test]
        fn it_stays_between_0_and_1_for_anything_and_grows_with_every_win(
            sample in any::<u32>(), wins in any::<u32>(), profit in any::<i128>(), typical in any::<i128>(),
            trade in any::<i128>(), depth in any::<i128>(), ms in prop::option::of(any::<u64>()),
        ) {
            let facts = Facts {
                sample, wins, profit: Money(profit), typical: Money(typical), trade: Money(trade), depth: Money(depth),
                liquid: usd(500), to_resolution_ms: ms,
            };
            let confidence = confidence_ppm(&facts);
            prop_assert!((0..=PPM).contains(&confidence));
            let better = Facts { wins: wins.saturating_add(1), ..facts };
            prop_assert!(confidence_ppm(&better) >= confidence);
        }
    }
}
