//! `onetape backtest`.
use crate::cli::{Backtest, DurabilityName};
use crate::failure::{Exit, Failure};
use crate::{config, output, progress};
use onetape_backtest::{BacktestOptions, Summary};
use onetape_engine::session::QueueModel;
use onetape_journal::{Durability, Options};
use std::time::{Duration, Instant};

pub(crate) fn run(args: &Backtest, json: bool) -> Result<Exit, Failure> {
    let config = match &args.config {
        Some(path) => config::from_file(path)?,
        None => config::from_flags(args.strategy.as_deref(), &args.set)?,
    };
    let durability = match args.durability {
        DurabilityName::Process => Durability::Process,
        DurabilityName::Interval => Durability::Interval(Duration::from_millis(1)),
        DurabilityName::Group => Durability::Group,
        DurabilityName::Each => Durability::Each,
    };
    let options = BacktestOptions {
        journal: args.journal.clone(),
        journal_options: Options {
            durability,
            ..Options::default()
        },
        snapshot_every: args.snapshot_every,
        pace: args.pace,
        ..BacktestOptions::new(&args.dir, config)
    };
    let bar = progress::counter("inputs");
    let started = Instant::now();
    let summary = onetape_backtest::backtest(&options, &mut |inputs, at_ns| {
        bar.set_position(inputs);
        bar.set_message(output::time(at_ns));
    })?;
    bar.finish_and_clear();
    if json {
        output::json(&summary)?;
    } else {
        output::line(text(&summary))?;
        if options.config.strategies.is_empty() {
            output::line(
                "\n  no strategy: the market alone was replayed (--strategy NAME or --config FILE adds one)",
            )?;
        }
        let seconds = started.elapsed().as_secs_f64();
        let rate = (summary.inputs as f64 / seconds) as u64;
        output::line(format!(
            "\n  {seconds:.2} s, {} inputs/s",
            output::count(rate)
        ))?;
        if let Some(journal) = &args.journal {
            output::line(format!("  next: onetape verify {}", journal.display()))?;
        }
    }
    Ok(Exit::Ok)
}

/// The summary of a run on one screen.
pub(crate) fn text(summary: &Summary) -> String {
    use output::{count, money};
    let mut lines = vec![
        format!(
            "  {} in, {} on the tape, to {}",
            output::plural(summary.inputs, "input"),
            output::plural(summary.frames, "frame"),
            output::time(summary.last_stamp_ns)
        ),
        format!(
            "  orders {}   filled {}   cancelled {}   rejected {}   expired {}   open {}   fills {} (maker {})",
            count(summary.orders),
            count(summary.filled),
            count(summary.cancelled),
            count(summary.rejected),
            count(summary.expired),
            summary.open_orders,
            count(summary.fills),
            count(summary.maker_fills)
        ),
    ];
    if !summary.results.is_empty() {
        let rows = summary.results.iter().map(|r| {
            let mut row = vec![r.strategy.clone(), r.currency.clone()];
            row.extend(
                [
                    r.net,
                    r.realised,
                    r.unrealised,
                    r.fees,
                    r.max_drawdown,
                    r.turnover,
                ]
                .map(money),
            );
            row
        });
        let head = [
            "strategy",
            "in",
            "net",
            "realised",
            "open",
            "fees",
            "max drawdown",
            "turnover",
        ];
        lines.push(format!("\n{}", output::table(&head, 2, rows.collect())));
        let rows = summary.positions.iter().map(|p| {
            vec![
                p.strategy.clone(),
                p.instrument.clone(),
                p.qty.normalize().to_string(),
                money(p.cost),
                count(p.fills),
            ]
        });
        lines.push(format!(
            "\n{}",
            output::table(
                &["strategy", "instrument", "position", "cost", "fills"],
                2,
                rows.collect()
            )
        ));
    }
    if !summary.figures.is_empty() {
        let rows = summary.figures.iter().map(|(strategy, name, value)| {
            vec![
                strategy.clone(),
                (*name).to_owned(),
                value.normalize().to_string(),
            ]
        });
        lines.push(format!(
            "\n{}",
            output::table(&["strategy", "figure", "value"], 2, rows.collect())
        ));
    }
    if summary.gates.is_empty() {
        lines.push("\n  gates: none blocked an order".to_owned());
    } else {
        let rows = summary
            .gates
            .iter()
            .map(|g| vec![g.gate.to_owned(), count(g.denied)])
            .collect();
        lines.push(format!(
            "\n{}",
            output::table(&["gate", "blocked"], 1, rows)
        ));
    }
    for warning in &summary.warnings {
        lines.push(format!("  warning: {warning}"));
    }
    for halt in &summary.halts {
        lines.push(format!("  halted: {halt}"));
    }
    if !summary.paper.is_empty() {
        let rows = summary.paper.iter().map(|paper| {
            let config = paper.config;
            let queue = match config.queue {
                QueueModel::RiskAverse => config.queue.name().to_owned(),
                QueueModel::PowerProbability => {
                    format!("{} ^{}", config.queue.name(), config.queue_exponent)
                }
            };
            vec![
                paper.venue.clone(),
                queue,
                count(config.latency_us),
                count(config.reject_per_million.into()),
                count(config.unknown_per_million.into()),
                count(config.unknown_ms),
            ]
        });
        let head = [
            "paper venue",
            "queue",
            "latency us",
            "rejects per million",
            "unknown per million",
            "unknown ms",
        ];
        lines.push(format!("\n{}", output::table(&head, 2, rows.collect())));
    }
    lines.push(format!("  state hash {}", summary.state_hash));
    lines.join("\n")
}
