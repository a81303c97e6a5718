//! `onetape generate`.
use crate::cli::Generate;
use crate::failure::{Exit, Failure};
use crate::{output, progress};
use onetape_backtest::generate::{self, GenerateOptions, Scenario};

pub(crate) fn run(args: &Generate, json: bool) -> Result<Exit, Failure> {
    let list = || {
        Scenario::ALL
            .iter()
            .map(|s| vec![s.name().to_owned(), s.about().to_owned()])
            .collect()
    };
    if args.scenario == "list" {
        output::line(output::table(
            &["scenario", "what the day is like"],
            2,
            list(),
        ))?;
        return Ok(Exit::Ok);
    }
    let Some(scenario) = Scenario::from_name(&args.scenario) else {
        return Err(
            Failure::new(Exit::Usage, format!("no scenario '{}'", args.scenario)).help(format!(
                "there are\n{}",
                output::table(&["scenario", "what the day is like"], 2, list())
            )),
        );
    };
    let bar = progress::bar(args.events, "events");
    let options = GenerateOptions {
        journal: args.journal.clone(),
        seed: args.seed,
        events: args.events,
        scenario,
    };
    let report = generate::run(&options, &mut |frames| bar.set_position(frames))?;
    bar.finish_and_clear();
    if json {
        output::json(&report)?;
    } else {
        output::line(format!(
            "generated {} into {} (scenario {}, seed {})",
            output::plural(report.frames, "frame"),
            args.journal.display(),
            report.scenario,
            report.seed
        ))?;
        output::line(format!(
            "  next: onetape backtest {} --strategy market_maker --journal OUT",
            args.journal.display()
        ))?;
    }
    Ok(Exit::Ok)
}
