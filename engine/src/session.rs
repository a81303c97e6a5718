//! What a session is configured with. It stands in the session's first frame, so a journal needs nothing beside it.
use crate::risk::RiskConfig;
use crate::strategy::StrategyParams;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that decisions depend on beside the inputs. Secrets never stand here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// Seed of the paper venue's rejects and unknown outcomes.
    pub seed: u64,
    /// A state hash stands on the tape after each this many inputs; 0 for none but the last.
    pub state_hash_every: u64,
    /// What becomes of orders, by venue; on paper where none is named.
    pub modes: BTreeMap<String, VenueMode>,
    /// The paper venue.
    pub paper: PaperConfig,
    /// Limits.
    pub risk: RiskConfig,
    /// The strategies, in the order in which they decide.
    #[serde(rename = "strategy")]
    pub strategies: Vec<StrategyConfig>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            state_hash_every: 131_072,
            modes: BTreeMap::new(),
            paper: PaperConfig::default(),
            risk: RiskConfig::default(),
            strategies: Vec::new(),
        }
    }
}

/// The venue that takes an entry together with its exits and lets them work once it fills.
const HOLDS_EXITS: &str = "ib";

/// What becomes of a venue's orders (requirements, five systems, 1.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VenueMode {
    /// None is sent: the gates' answers are all there is.
    Shadow,
    /// The paper venue fills them.
    #[default]
    Paper,
    /// They go to the venue's own test environment.
    Demo,
    /// They go to the venue, with real money.
    Live,
}

impl VenueMode {
    /// Whether orders leave the process.
    pub const fn is_real(self) -> bool {
        matches!(self, VenueMode::Demo | VenueMode::Live)
    }

    /// The name in configurations and reports.
    pub const fn name(self) -> &'static str {
        match self {
            VenueMode::Shadow => "shadow",
            VenueMode::Paper => "paper",
            VenueMode::Demo => "demo",
            VenueMode::Live => "live",
        }
    }
}

impl SessionConfig {
    /// What becomes of a venue's orders.
    pub fn mode(&self, venue: &str) -> VenueMode {
        self.modes.get(venue).copied().unwrap_or_default()
    }

    /// Where a venue's orders go.
    pub(crate) fn route(&self, venue: &str) -> Route {
        Route {
            mode: self.mode(venue),
            holds_exits: self.mode(venue).is_real() && venue == HOLDS_EXITS,
            paper: self.paper.for_venue(venue),
        }
    }
}

/// Where the orders of an instrument go, looked up by its venue's name once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) mode: VenueMode,
    /// Whether an entry goes there with its exits.
    pub(crate) holds_exits: bool,
    pub(crate) paper: PaperVenueConfig,
}

/// One strategy of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StrategyConfig {
    /// Its name in reports and in its own limits; unique in the session.
    pub id: String,
    /// Which strategy, and its parameters.
    #[serde(flatten)]
    pub params: StrategyParams,
}

/// How the paper venue behaves, for all venues or for one.
///
/// What a configuration leaves out is filled in when it is read, so a recorded session states everything: an entry of
/// `venues` takes what it does not state from `default`, and a latency that neither states is the venue's own: 150 ms
/// for kalshi, 800 ms for polymarket (requirements, five systems, 7.5), 1 ms for every other. So `default`, where it
/// states a latency, holds for all venues without a latency of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StatedPaper")]
pub struct PaperConfig {
    /// Where `venues` names none.
    pub default: PaperVenueConfig,
    /// By venue name.
    pub venues: BTreeMap<String, PaperVenueConfig>,
}

/// How one paper venue behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PaperVenueConfig {
    /// From decision to report, both ways together, in microseconds of event time. Our book is as old as the feed is
    /// slow, so matching against *our* book after the round trip is matching against the venue's on arrival.
    pub latency_us: u64,
    /// How a resting order's place in the queue at its price is estimated.
    pub queue: QueueModel,
    /// The exponent of [`QueueModel::PowerProbability`], 1 to 3.
    pub queue_exponent: u8,
    /// Orders rejected at random, seeded, per million.
    pub reject_per_million: u32,
    /// Orders whose outcome is unknown on arrival, seeded, per million.
    pub unknown_per_million: u32,
    /// How long an outcome is unknown, in milliseconds of event time.
    pub unknown_ms: u64,
}

/// How a resting order's place in the queue at its price is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueModel {
    /// Whoever cancels stood behind us, as long as there is somebody behind us.
    RiskAverse,
    /// Cancels come from before and from behind us, in the proportion of the powers of what stands there.
    PowerProbability,
}

impl QueueModel {
    /// The name in configurations and reports.
    pub const fn name(self) -> &'static str {
        match self {
            QueueModel::RiskAverse => "risk_averse",
            QueueModel::PowerProbability => "power_probability",
        }
    }
}

impl PaperVenueConfig {
    /// From decision to report, in event time.
    pub(crate) const fn latency_ns(&self) -> u64 {
        self.latency_us.saturating_mul(1_000)
    }
}

impl Default for PaperVenueConfig {
    fn default() -> Self {
        Self {
            latency_us: 1_000,
            queue: QueueModel::RiskAverse,
            // 1 is cancels spread evenly over the queue; the higher, the fewer of those near its front, which are worth
            // most to their owners. Between that and the 3 of hftbacktest's examples, until somebody has measured.
            queue_exponent: 2,
            reject_per_million: 0,
            unknown_per_million: 0,
            unknown_ms: 5_000,
        }
    }
}

impl Default for PaperConfig {
    fn default() -> Self {
        StatedPaper::default().filled_in()
    }
}

impl PaperConfig {
    /// The behaviour of the venue of that name.
    pub fn for_venue(&self, venue: &str) -> PaperVenueConfig {
        self.venues.get(venue).copied().unwrap_or(self.default)
    }
}

/// Latencies of venues that are known to be slow.
const KNOWN_LATENCIES_US: [(&str, u64); 2] = [("kalshi", 150_000), ("polymarket", 800_000)];

/// A paper venue's configuration as somebody wrote it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StatedPaper {
    default: StatedVenue,
    venues: BTreeMap<String, StatedVenue>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StatedVenue {
    latency_us: Option<u64>,
    queue: Option<QueueModel>,
    queue_exponent: Option<u8>,
    reject_per_million: Option<u32>,
    unknown_per_million: Option<u32>,
    unknown_ms: Option<u64>,
}

impl StatedVenue {
    fn over(&self, base: PaperVenueConfig) -> PaperVenueConfig {
        PaperVenueConfig {
            latency_us: self.latency_us.unwrap_or(base.latency_us),
            queue: self.queue.unwrap_or(base.queue),
            queue_exponent: self.queue_exponent.unwrap_or(base.queue_exponent),
            reject_per_million: self.reject_per_million.unwrap_or(base.reject_per_million),
            unknown_per_million: self.unknown_per_million.unwrap_or(base.unknown_per_million),
            unknown_ms: self.unknown_ms.unwrap_or(base.unknown_ms),
        }
    }
}

impl StatedPaper {
    fn filled_in(&self) -> PaperConfig {
        let default = self.default.over(PaperVenueConfig::default());
        let mut venues = BTreeMap::new();
        if self.default.latency_us.is_none() {
            for (venue, latency_us) in KNOWN_LATENCIES_US {
                let known = PaperVenueConfig {
                    latency_us,
                    ..default
                };
                venues.insert(venue.to_owned(), known);
            }
        }
        for (venue, stated) in &self.venues {
            let base = venues.get(venue).copied().unwrap_or(default);
            venues.insert(venue.clone(), stated.over(base));
        }
        PaperConfig { default, venues }
    }
}

impl TryFrom<StatedPaper> for PaperConfig {
    type Error = String;

    fn try_from(stated: StatedPaper) -> Result<Self, String> {
        let config = stated.filled_in();
        for venue in config.venues.values().chain([&config.default]) {
            if !(1..=3).contains(&venue.queue_exponent) {
                let found = venue.queue_exponent;
                return Err(format!("queue_exponent is {found}; it must be 1, 2 or 3"));
            }
            for (name, rate) in [
                ("reject_per_million", venue.reject_per_million),
                ("unknown_per_million", venue.unknown_per_million),
            ] {
                if rate > 1_000_000 {
                    return Err(format!("{name} is {rate}; it must be at most 1000000"));
                }
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<PaperConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    fn latencies(json: &str) -> [u64; 3] {
        let config = read(json).unwrap();
        ["kalshi", "polymarket", "binance"].map(|venue| config.for_venue(venue).latency_us)
    }

    #[test]
    fn a_latency_is_the_venues_then_the_stated_default_then_the_known_one() {
        assert_eq!(latencies("{}"), [150_000, 800_000, 1_000]);
        assert_eq!(
            latencies(r#"{"default": {"reject_per_million": 5}}"#),
            [150_000, 800_000, 1_000]
        );
        assert_eq!(latencies(r#"{"default": {"latency_us": 7}}"#), [7, 7, 7]);
        assert_eq!(
            latencies(r#"{"venues": {"kalshi": {"latency_us": 9}, "binance": {}}}"#),
            [9, 800_000, 1_000]
        );
        assert_eq!(
            latencies(r#"{"default": {"latency_us": 7}, "venues": {"kalshi": {"unknown_ms": 1}}}"#),
            [7, 7, 7]
        );
    }

    #[test]
    fn a_venue_takes_what_it_does_not_state_from_the_default() {
        let config = read(
            r#"{"default": {"queue": "power_probability", "unknown_per_million": 4},
                "venues": {"kalshi": {"queue_exponent": 3}}}"#,
        );
        let kalshi = config.unwrap().for_venue("kalshi");
        let expected = PaperVenueConfig {
            latency_us: 150_000,
            queue: QueueModel::PowerProbability,
            queue_exponent: 3,
            unknown_per_million: 4,
            ..PaperVenueConfig::default()
        };
        assert_eq!(kalshi, expected);
    }

    #[test]
    fn what_was_written_reads_back_the_same() {
        for json in [
            "{}",
            r#"{"default": {"latency_us": 7, "queue": "power_probability"}}"#,
            r#"{"venues": {"kalshi": {"latency_us": 9}, "x": {"unknown_per_million": 10}}}"#,
        ] {
            let config = read(json).unwrap();
            let written = serde_json::to_string(&config).unwrap();
            assert_eq!(read(&written).unwrap(), config);
            let packed = rmp_serde::to_vec(&config).unwrap();
            assert_eq!(
                rmp_serde::from_slice::<PaperConfig>(&packed).unwrap(),
                config
            );
        }
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        let why = |json| read(json).unwrap_err().to_string();
        assert!(why(r#"{"default": {"queue_exponent": 4}}"#).contains("queue_exponent is 4"));
        assert!(
            why(r#"{"venues": {"x": {"unknown_per_million": 1000001}}}"#)
                .contains("unknown_per_million is 1000001")
        );
        assert!(why(r#"{"default": {"quue": "risk_averse"}}"#).contains("unknown field `quue`"));
    }
}
