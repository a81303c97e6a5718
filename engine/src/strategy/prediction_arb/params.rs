//! Parameters, their defaults (requirements, five systems, 2.3) and what is wrong with them.
use crate::compliance::BLOCKED_WORDS;
use crate::market::BarRequest;
use crate::number::Money;
use crate::time::SECOND_NS;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Which rules close a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitMode {
    /// Stop, target and time.
    Fixed,
    /// Six rules by priority.
    Model,
    /// Both are asked, what they say is a signal on the tape, and nothing is closed.
    Shadow,
}

/// Parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The venue with one book a market.
    pub single_book_venue: String,
    /// The venue with one book a token.
    pub token_venue: String,
    /// Least net edge of a share, in USD; T0 of the dynamic threshold.
    pub min_net_edge_usd: Decimal,
    /// k of the dynamic threshold: how much thin books raise it.
    pub depth_factor: Decimal,
    /// Most that thin books may raise the threshold to.
    pub threshold_cap_usd: Decimal,
    /// What the threshold is multiplied with while a venue is degraded.
    pub degraded_multiplier: Decimal,
    /// A venue this slow is degraded.
    pub degraded_latency_ms: u32,
    /// A venue with this many failed requests is degraded.
    pub degraded_errors_per_million: u32,
    /// A venue this slow is not traded.
    pub down_latency_ms: u32,
    /// A venue with this many failed requests is not traded.
    pub down_errors_per_million: u32,
    /// Least return a year on the capital bound, as a fraction.
    pub min_annual_return: Decimal,
    /// Cost of a pair beside its fees, in USD.
    pub fixed_cost_usd: Decimal,
    /// Least size against the one that the budget would allow.
    pub min_fill_ratio: Decimal,
    /// Older books do not trade.
    pub max_book_age_ms: u64,
    /// Books whose stamps are further apart do not trade.
    pub max_stamp_gap_ms: u64,
    /// What the shares below are taken of.
    pub bankroll_usd: Decimal,
    /// Most of it for one pair, at a confidence of 100.
    pub position_pct: Decimal,
    /// Most cost of one leg.
    pub max_leg_usd: Decimal,
    /// Most pairs approved: those beyond, in the order of their first approval, do not trade.
    pub max_pairs: u32,
    /// Most pairs open at once.
    pub max_open_pairs: u32,
    /// Most pairs with legs under way at once.
    pub max_concurrent: u32,
    /// Above this share of the bankroll in a cluster, entries are half as large.
    pub cluster_soft_pct: Decimal,
    /// Most of the bankroll in one cluster.
    pub cluster_hard_pct: Decimal,
    /// Most of the bankroll in all clusters.
    pub cluster_all_pct: Decimal,
    /// Loss since UTC midnight on both venues, open pairs included, that ends entries, in percent of the bankroll.
    pub max_day_loss_pct: Decimal,
    /// A pair is left alone this long after an entry.
    pub cooldown_s: u64,
    /// What no market may be about: beginnings of words in a pair's name, question, cluster, events and symbols.
    pub blocked_words: Vec<String>,
    /// Whether pairs trade whose venues treat a voided market differently.
    pub accept_differing_voids: bool,
    /// How long a leg may be under way.
    pub leg_deadline_ms: u64,
    /// How often the second leg is sent again within its limit.
    pub leg_retries: u32,
    /// Least time between two attempts.
    pub retry_gap_ms: u64,
    /// Whether shares without a counterpart are traded away by themselves.
    pub auto_unwind: bool,
    /// How long they stay first.
    pub unwind_after_ms: u64,
    /// Most that this may cost, in percent of the leg's cost.
    pub unwind_loss_cap_pct: Decimal,
    /// How often somebody is called while the legs do not match.
    pub alarm_every_s: u64,
    /// Which rules close a pair.
    pub exit_mode: ExitMode,
    /// Stop: this many times the entry's expected profit below its first mark.
    pub stop_edges: Decimal,
    /// Target: this part of the way from the first mark to the expected profit.
    pub target_fraction: Decimal,
    /// Fixed exits: closed this long before the earlier settlement; 0 holds to settlement.
    pub time_exit_h: u32,
    /// Model exits: this share of `cluster_all_pct` in use makes room.
    pub budget_exit_fraction: Decimal,
    /// Model exits: less depth to leave through, in shares.
    pub min_exit_depth: Decimal,
    /// Model exits: the approver's confidence fell by this fraction.
    pub confidence_drop: Decimal,
    /// Model exits: hours over which time decays.
    pub decay_h: u32,
    /// Model exits: decayed this far.
    pub decay_limit: Decimal,
    /// Model exits: this part of the expected profit is there.
    pub captured_fraction: Decimal,
    /// Least time between two attempts to close a pair.
    pub exit_retry_ms: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            single_book_venue: "kalshi".to_owned(),
            token_venue: "polymarket".to_owned(),
            min_net_edge_usd: Decimal::new(8, 3),
            depth_factor: Decimal::from(10),
            threshold_cap_usd: Decimal::new(5, 2),
            degraded_multiplier: Decimal::new(15, 1),
            degraded_latency_ms: 2_000,
            degraded_errors_per_million: 50_000,
            down_latency_ms: 10_000,
            down_errors_per_million: 500_000,
            min_annual_return: Decimal::new(15, 2),
            fixed_cost_usd: Decimal::new(30, 2),
            min_fill_ratio: Decimal::new(25, 2),
            max_book_age_ms: 90_000,
            // The original looked at both books once in 30 s: what it compared was never further apart.
            max_stamp_gap_ms: 30_000,
            bankroll_usd: Decimal::from(10_000),
            position_pct: Decimal::from(3),
            max_leg_usd: Decimal::from(300),
            max_pairs: 30,
            max_open_pairs: 10,
            max_concurrent: 2,
            cluster_soft_pct: Decimal::from(12),
            cluster_hard_pct: Decimal::from(15),
            cluster_all_pct: Decimal::from(50),
            max_day_loss_pct: Decimal::from(5),
            cooldown_s: 1_800,
            blocked_words: BLOCKED_WORDS
                .iter()
                .map(|word| (*word).to_owned())
                .collect(),
            accept_differing_voids: false,
            leg_deadline_ms: 5_000,
            leg_retries: 3,
            retry_gap_ms: 200,
            auto_unwind: false,
            unwind_after_ms: 2_000,
            unwind_loss_cap_pct: Decimal::from(5),
            alarm_every_s: 60,
            exit_mode: ExitMode::Fixed,
            stop_edges: Decimal::from(2),
            target_fraction: Decimal::new(8, 1),
            time_exit_h: 48,
            budget_exit_fraction: Decimal::new(85, 2),
            min_exit_depth: Decimal::from(5),
            confidence_drop: Decimal::new(2, 1),
            decay_h: 168,
            decay_limit: Decimal::new(8, 1),
            captured_fraction: Decimal::new(5, 1),
            exit_retry_ms: 1_000,
        }
    }
}

impl Params {
    pub(in super::super) const fn instruments(&self) -> Vec<&str> {
        Vec::new()
    }

    pub(in super::super) const fn bars(&self) -> Vec<BarRequest> {
        Vec::new()
    }
}

/// The parameters as exact amounts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Amounts {
    pub(super) min_net_edge: Money,
    pub(super) depth_factor: Money,
    pub(super) threshold_cap: Money,
    pub(super) degraded_multiplier: Money,
    pub(super) min_annual_return: Money,
    pub(super) fixed_cost: Money,
    pub(super) min_fill_ratio: Money,
    /// For one pair at a confidence of 100.
    pub(super) position: Money,
    pub(super) leg: Money,
    pub(super) cluster_soft: Money,
    pub(super) cluster_hard: Money,
    pub(super) cluster_all: Money,
    pub(super) day_loss: Money,
    /// A fraction.
    pub(super) unwind_loss: Money,
    pub(super) stop_edges: Money,
    pub(super) target_fraction: Money,
    /// Capital in use from which on room is made.
    pub(super) budget_exit: Money,
    pub(super) min_exit_depth: Money,
    /// The part of the entry's confidence that must be left.
    pub(super) confidence_left: Money,
    pub(super) decay_limit: Money,
    pub(super) captured_fraction: Money,
}

impl Amounts {
    pub(super) fn new(p: &Params) -> Result<Self, String> {
        let amount = |name: &str, value: Decimal| {
            Money::from_decimal(value).map_err(|e| format!("{name}: {e}"))
        };
        let at_least = |name: &str, value: Decimal, least: Decimal| {
            if value < least {
                return Err(format!("{name} must be at least {least}, found {value}"));
            }
            amount(name, value)
        };
        let fraction = |name: &str, value: Decimal| {
            if value < Decimal::ZERO || value > Decimal::ONE {
                return Err(format!("{name} must be from 0 to 1, found {value}"));
            }
            amount(name, value)
        };
        let percent = |name: &str, value: Decimal| {
            if value <= Decimal::ZERO || value > Decimal::ONE_HUNDRED {
                return Err(format!(
                    "{name} must be above 0 and at most 100, found {value}"
                ));
            }
            Ok(value / Decimal::ONE_HUNDRED)
        };
        let of_bankroll = |name: &str, value: Decimal| {
            let part = percent(name, value)?.checked_mul(p.bankroll_usd);
            amount(
                name,
                part.ok_or_else(|| format!("{name} of bankroll_usd overflows"))?,
            )
        };
        if p.single_book_venue == p.token_venue {
            return Err(format!(
                "single_book_venue and token_venue must differ, found {:?} twice",
                p.token_venue
            ));
        }
        if p.cluster_soft_pct > p.cluster_hard_pct || p.cluster_hard_pct > p.cluster_all_pct {
            return Err(format!(
                "cluster_soft_pct, cluster_hard_pct and cluster_all_pct must ascend, found {}, {} and {}",
                p.cluster_soft_pct, p.cluster_hard_pct, p.cluster_all_pct
            ));
        }
        if p.max_stamp_gap_ms > p.max_book_age_ms {
            return Err(format!(
                "max_stamp_gap_ms above max_book_age_ms ({}) would never stop anything, found {}",
                p.max_book_age_ms, p.max_stamp_gap_ms
            ));
        }
        if p.degraded_latency_ms > p.down_latency_ms
            || p.degraded_errors_per_million > p.down_errors_per_million
        {
            return Err("a venue must be degraded before it is down: degraded_latency_ms at most \
                        down_latency_ms, degraded_errors_per_million at most down_errors_per_million"
                .to_owned());
        }
        for (name, value) in [
            ("max_open_pairs", u64::from(p.max_open_pairs)),
            ("max_concurrent", u64::from(p.max_concurrent)),
            ("leg_deadline_ms", p.leg_deadline_ms),
            ("alarm_every_s", p.alarm_every_s),
            ("decay_h", u64::from(p.decay_h)),
        ] {
            if value == 0 {
                return Err(format!("{name} must be at least 1, found 0"));
            }
        }
        if let Some(word) = p.blocked_words.iter().find(|word| {
            let has_word = word.chars().any(char::is_alphanumeric);
            !has_word
        }) {
            return Err(format!("blocked_words must be words, found {word:?}"));
        }
        let (zero, one) = (Decimal::ZERO, Decimal::ONE);
        at_least("bankroll_usd", p.bankroll_usd, zero)?;
        if p.threshold_cap_usd < p.min_net_edge_usd {
            return Err(format!(
                "threshold_cap_usd must be at least min_net_edge_usd ({}), found {}",
                p.min_net_edge_usd, p.threshold_cap_usd
            ));
        }
        let room = p.budget_exit_fraction * percent("cluster_all_pct", p.cluster_all_pct)?;
        fraction("budget_exit_fraction", p.budget_exit_fraction)?;
        Ok(Self {
            min_net_edge: fraction("min_net_edge_usd", p.min_net_edge_usd)?,
            depth_factor: at_least("depth_factor", p.depth_factor, zero)?,
            threshold_cap: fraction("threshold_cap_usd", p.threshold_cap_usd)?,
            degraded_multiplier: at_least("degraded_multiplier", p.degraded_multiplier, one)?,
            min_annual_return: at_least("min_annual_return", p.min_annual_return, zero)?,
            fixed_cost: at_least("fixed_cost_usd", p.fixed_cost_usd, zero)?,
            min_fill_ratio: fraction("min_fill_ratio", p.min_fill_ratio)?,
            position: of_bankroll("position_pct", p.position_pct)?,
            leg: at_least("max_leg_usd", p.max_leg_usd, zero)?,
            cluster_soft: of_bankroll("cluster_soft_pct", p.cluster_soft_pct)?,
            cluster_hard: of_bankroll("cluster_hard_pct", p.cluster_hard_pct)?,
            cluster_all: of_bankroll("cluster_all_pct", p.cluster_all_pct)?,
            day_loss: of_bankroll("max_day_loss_pct", p.max_day_loss_pct)?,
            unwind_loss: amount(
                "unwind_loss_cap_pct",
                percent("unwind_loss_cap_pct", p.unwind_loss_cap_pct)?,
            )?,
            stop_edges: at_least("stop_edges", p.stop_edges, zero)?,
            target_fraction: fraction("target_fraction", p.target_fraction)?,
            budget_exit: amount("budget_exit_fraction", room * p.bankroll_usd)?,
            min_exit_depth: at_least("min_exit_depth", p.min_exit_depth, zero)?,
            confidence_left: fraction("confidence_drop", p.confidence_drop)
                .and_then(|drop| amount("confidence_drop", one).map(|one| Money(one.0 - drop.0)))?,
            decay_limit: fraction("decay_limit", p.decay_limit)?,
            captured_fraction: at_least("captured_fraction", p.captured_fraction, zero)?,
        })
    }
}

/// Milliseconds as nanoseconds.
pub(super) const fn ms(ms: u64) -> u64 {
    ms.saturating_mul(SECOND_NS / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work_and_contradictions_are_refused_by_name() {
        assert!(Amounts::new(&Params::default()).is_ok());
        let refused = |edit: fn(&mut Params)| {
            let mut params = Params::default();
            edit(&mut params);
            Amounts::new(&params).unwrap_err()
        };
        assert!(refused(|p| p.cluster_soft_pct = 16.into()).contains("cluster_soft_pct"));
        assert!(refused(|p| p.max_stamp_gap_ms = 90_001).contains("max_stamp_gap_ms"));
        assert!(refused(|p| p.max_concurrent = 0).contains("max_concurrent"));
        assert!(refused(|p| p.min_fill_ratio = 2.into()).contains("min_fill_ratio"));
        assert!(refused(|p| p.token_venue = "kalshi".into()).contains("token_venue"));
        assert!(refused(|p| p.threshold_cap_usd = Decimal::ZERO).contains("threshold_cap_usd"));
        assert!(refused(|p| p.degraded_latency_ms = 20_000).contains("degraded"));
        assert!(refused(|p| p.max_day_loss_pct = Decimal::ZERO).contains("max_day_loss_pct"));
    }
}
