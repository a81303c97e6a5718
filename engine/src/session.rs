//! What a session is configured with. It stands in the session's first frame, so a journal needs nothing beside it.
use crate::risk::RiskConfig;
use crate::strategy::StrategyParams;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that decisions depend on beside the inputs. Secrets never stand here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// Seed of the paper venue's rejects.
    pub seed: u64,
    /// A state hash stands on the tape after each this many inputs; 0 for none but the last.
    pub state_hash_every: u64,
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
            paper: PaperConfig::default(),
            risk: RiskConfig::default(),
            strategies: Vec::new(),
        }
    }
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
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaperConfig {
    /// Where `venues` names none.
    pub default: PaperVenueConfig,
    /// By venue name.
    pub venues: BTreeMap<String, PaperVenueConfig>,
}

/// How one paper venue behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaperVenueConfig {
    /// From decision to report, both ways together, in microseconds of event time. Our book is as old as the feed is
    /// slow, so matching against *our* book after the round trip is matching against the venue's on arrival.
    pub latency_us: u64,
    /// Orders rejected at random, seeded, per million.
    pub reject_per_million: u32,
}

impl Default for PaperVenueConfig {
    fn default() -> Self {
        Self {
            latency_us: 1_000,
            reject_per_million: 0,
        }
    }
}

impl PaperConfig {
    /// The behaviour of the venue of that name.
    pub fn for_venue(&self, venue: &str) -> PaperVenueConfig {
        self.venues.get(venue).copied().unwrap_or(self.default)
    }
}
