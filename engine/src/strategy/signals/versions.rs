//! The inside bar's parameters, pinned by version. A version never changes; another set of numbers is another version.
use super::calendar::Window;
use serde::{Deserialize, Serialize};

/// What has to lie inside what (requirements, five systems, 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InsideMode {
    /// High at most the mother's high, close within the mother's range.
    CloseInRange,
    /// High and low within the mother's body.
    RangeInBody,
    /// Body within the mother's body.
    BodyInBody,
    /// High and low within the mother's range.
    RangeInRange,
}

/// An exact fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ratio {
    pub numerator: i128,
    pub denominator: i128,
}

const fn hundredths(numerator: i128) -> Ratio {
    Ratio {
        numerator,
        denominator: 100,
    }
}

/// One set of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// Its name.
    pub name: &'static str,
    /// How "inside" is meant.
    pub mode: InsideMode,
    /// Whether touching the bound is not inside any more.
    pub strict: bool,
    /// True ranges in the average.
    pub atr_bars: usize,
    /// Target distance as a multiple of the capped risk.
    pub reward: Ratio,
    /// Smallest range of the mother bar in ATRs.
    pub mother_min_atr: Ratio,
    /// Smallest part of the mother bar's range that is body.
    pub mother_min_body: Ratio,
    /// Smallest part of the inside bar's range that is body.
    pub inside_min_body: Ratio,
    /// Largest distance from entry to stop-loss, in ticks.
    pub risk_cap_ticks: i64,
    /// Bars of which none may be missing.
    pub look_back_bars: usize,
    /// Entries are cancelled this many bars after the signal.
    pub max_age_bars: u64,
    /// Largest distance from the inside bar's close to an entry, in ATRs.
    pub max_deviation_atr: Ratio,
    /// Bars needed before the first pattern.
    pub warm_up_bars: u64,
    /// The windows of the day, New York time.
    pub windows: &'static [Window],
}

const TWO_WINDOWS: &[Window] = &[Window::new((9, 30), (11, 0)), Window::new((14, 0), (15, 0))];

const V1_0_1: Version = Version {
    name: "1.0.1",
    mode: InsideMode::CloseInRange,
    strict: false,
    atr_bars: 8,
    reward: hundredths(200),
    mother_min_atr: hundredths(50),
    mother_min_body: hundredths(55),
    inside_min_body: hundredths(40),
    risk_cap_ticks: 40,
    look_back_bars: 50,
    max_age_bars: 12,
    max_deviation_atr: hundredths(300),
    warm_up_bars: 40,
    windows: TWO_WINDOWS,
};

/// Every version. What the requirements do not state of one is as in 1.0.1; the window of 2.0.0 is the whole regular day.
const ALL: [Version; 4] = [
    Version {
        name: "1.0.0",
        atr_bars: 15,
        max_deviation_atr: hundredths(400),
        ..V1_0_1
    },
    V1_0_1,
    Version {
        name: "1.0.2",
        atr_bars: 12,
        reward: hundredths(150),
        mother_min_atr: hundredths(90),
        risk_cap_ticks: 90,
        windows: &[Window::new((9, 30), (12, 0)), Window::new((14, 0), (15, 0))],
        ..V1_0_1
    },
    Version {
        name: "2.0.0",
        mode: InsideMode::RangeInBody,
        atr_bars: 20,
        windows: &[Window::new((9, 30), (16, 0))],
        ..V1_0_1
    },
];

impl Version {
    /// The version of that name.
    ///
    /// # Errors
    /// When there is none, with those that there are.
    pub(super) fn named(name: &str) -> Result<&'static Version, String> {
        ALL.iter()
            .find(|version| version.name == name)
            .ok_or_else(|| {
                let names: Vec<_> = ALL.iter().map(|version| version.name).collect();
                format!(
                    "version must be one of {}, found \"{name}\"",
                    names.join(", ")
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_pinned_by_its_name() {
        assert_eq!(Version::named("1.0.1"), Ok(&V1_0_1));
        for unknown in ["latest", "", "1.0", "1.0.3"] {
            let why = Version::named(unknown).unwrap_err();
            assert!(why.contains("1.0.0, 1.0.1, 1.0.2, 2.0.0"), "{why}");
        }
    }
}
