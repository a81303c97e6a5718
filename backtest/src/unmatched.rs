//! Names in a configuration that stand for nothing on the tape: a limit that limits nothing, a strategy without its market.
use onetape_engine::market::Market;
use onetape_engine::session::SessionConfig;
use std::collections::BTreeSet;

/// One line for each name that the tape does not have: strategies' instruments, and venues and instruments with limits or
/// modes. The paper venue's are left out, because some stand there by default.
pub fn unmatched(config: &SessionConfig, market: &Market) -> Vec<String> {
    let instruments: Vec<&str> = market
        .instruments()
        .iter()
        .map(|i| i.name.as_str())
        .collect();
    let venues: BTreeSet<&str> = market
        .instruments()
        .iter()
        .map(|i| i.definition.venue.as_str())
        .collect();
    let venues: Vec<&str> = venues.into_iter().collect();
    let mut lines = Vec::new();
    for strategy in &config.strategies {
        let wanted = strategy.params.instruments();
        if let Some(wanted) = wanted.into_iter().find(|name| !instruments.contains(name)) {
            lines.push(format!(
                "strategy '{}' names {wanted}, which the tape does not have; it has {}",
                strategy.id,
                instruments.join(", ")
            ));
        }
    }
    let mut check = |table: &str, what: &str, names: Vec<&String>, known: &[&str]| {
        for name in names.into_iter().filter(|n| !known.contains(&n.as_str())) {
            lines.push(format!(
                "{table} names '{name}', and the tape has no such {what}, so it holds for nothing; it has {}",
                known.join(", ")
            ));
        }
    };
    let risk = &config.risk;
    check("modes", "venue", config.modes.keys().collect(), &venues);
    check(
        "risk.venues",
        "venue",
        risk.venues.keys().collect(),
        &venues,
    );
    let limited = risk.instruments.keys().collect();
    check("risk.instruments", "instrument", limited, &instruments);
    lines
}
