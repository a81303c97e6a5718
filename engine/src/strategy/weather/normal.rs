//! The normal distribution's upper tail: the engine's one use of floats.
//!
//! One implementation everywhere: `libm` is pure Rust, a port of FreeBSD's `s_erf.c` (error below one unit in the last
//! place) that only adds, multiplies, divides and looks at bits, so every platform computes the same double; the standard
//! library's functions would be whatever the platform has. What leaves this module is a whole number of millionths, and
//! only that is ever compared.
#![expect(
    clippy::float_arithmetic,
    reason = "the normal distribution has no exact integer form; results leave as whole millionths"
)]
use core::f64::consts::FRAC_1_SQRT_2;

/// One, in millionths.
pub(super) const ONE_PPM: u32 = 1_000_000;

/// `P(X > x | X > given)` in millionths, rounded to the nearest, for X normal around zero with deviation `sigma`.
///
/// Distances are in any one unit; `sigma` is positive. Without `given` it is `P(X > x)`.
pub(super) fn tail_ppm(x: i64, given: Option<i64>, sigma: i64) -> u32 {
    if given.is_some_and(|given| x <= given) {
        return ONE_PPM;
    }
    let whole = given.map_or(1.0, |given| tail(given, sigma));
    let part = tail(x, sigma);
    // 38 deviations out nothing is left of a double: then all that remains lies right above `given`.
    let share = if whole > 0.0 { part / whole } else { 0.0 };
    (libm::round(share * f64::from(ONE_PPM)) as u32).min(ONE_PPM)
}

/// `P(X > x)`. Distances are thousandths of degrees, far below 2^53: they convert exactly.
fn tail(x: i64, sigma: i64) -> f64 {
    let deviations = x as f64 / sigma as f64;
    0.5 * libm::erfc(deviations * FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Abramowitz and Stegun, tables 26.1 and 26.2.
    #[test]
    fn the_tail_is_the_tabulated_one() {
        for (thousandths, expected) in [
            (0, 500_000),
            (500, 308_538),
            (1_000, 158_655),
            (1_960, 24_998),
            (2_000, 22_750),
            (3_000, 1_350),
            (4_000, 32),
            (6_000, 0),
            (-1_000, 841_345),
            (-3_000, 998_650),
            (-9_000, 1_000_000),
        ] {
            assert_eq!(
                tail_ppm(thousandths, None, 1_000),
                expected,
                "{thousandths}"
            );
        }
    }

    /// Before any rounding: Q(1) to Q(5) with all digits of the tables, errors below 1e-9 of one.
    #[test]
    fn the_tail_is_exact_beyond_what_is_kept() {
        for (x, expected) in [
            (1, 0.158_655_253_931_457_05),
            (2, 0.022_750_131_948_179_2),
            (3, 0.001_349_898_031_630_09),
            (5, 2.866_515_718_791_94e-7),
        ] {
            assert!((tail(x, 1) - expected).abs() < 1e-15, "{x}");
        }
        assert!((tail(1, 6) - 0.433_816_167_389_096).abs() < 1e-12);
    }

    /// Q(4) / Q(3) = 3.167124183e-5 / 1.349898032e-3 = .0234620.
    #[test]
    fn a_known_lower_bound_renormalises_what_is_above() {
        assert_eq!(tail_ppm(4_000, Some(3_000), 1_000), 23_462);
        assert_eq!(tail_ppm(3_000, Some(3_000), 1_000), ONE_PPM);
        assert_eq!(tail_ppm(2_000, Some(3_000), 1_000), ONE_PPM);
    }

    #[test]
    fn far_outside_all_that_remains_lies_at_the_bound() {
        assert_eq!(tail_ppm(51_000, Some(50_000), 1_000), 0);
    }

    proptest! {
        #[test]
        fn a_tail_never_grows_with_its_bound(
            x in -60_000i64..60_000, step in 0i64..5_000, given in prop::option::of(-60_000i64..60_000), sigma in 1i64..30_000,
        ) {
            prop_assert!(tail_ppm(x + step, given, sigma) <= tail_ppm(x, given, sigma));
        }
    }
}
