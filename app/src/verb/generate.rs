//! `onetape generate`.
use crate::cli::Generate;
use crate::failure::{Exit, Failure};
use crate::{output, progress};
use onetape_backtest::generate::premium::{self, PremiumOptions};
use onetape_backtest::generate::{self, GenerateOptions, GenerateReport, Scenario};

pub(crate) fn run(args: &Generate, json: bool) -> Result<Exit, Failure> {
    let list = || {
        Scenario::ALL
            .iter()
            .map(|s| (s.name(), s.about()))
            .chain([(premium::NAME, premium::ABOUT)])
            .map(|(name, about)| vec![name.to_owned(), about.to_owned()])
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
    if args.scenario == premium::NAME {
        return over_a_recording(args, json);
    }
    if args.over.is_some() {
        return Err(Failure::new(
            Exit::Usage,
            format!("--over belongs to --scenario {}", premium::NAME),
        ));
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
    tell(args, &report, "market_maker", json)
}

fn over_a_recording(args: &Generate, json: bool) -> Result<Exit, Failure> {
    let Some(source) = &args.over else {
        let why = format!("--scenario {} needs a recorded journal", premium::NAME);
        return Err(Failure::new(Exit::Usage, why).help("name it with --over DIR"));
    };
    let bar = progress::counter("frames");
    let options = PremiumOptions {
        source: source.clone(),
        journal: args.journal.clone(),
        seed: args.seed,
    };
    let report = premium::run(&options, &mut |frames| bar.set_position(frames))?;
    bar.finish_and_clear();
    tell(args, &report, "cross_exchange", json)
}

fn tell(
    args: &Generate,
    report: &GenerateReport,
    strategy: &str,
    json: bool,
) -> Result<Exit, Failure> {
    if json {
        output::json(report)?;
    } else {
        output::line(format!(
            "generated {} into {} (scenario {}, seed {})",
            output::plural(report.frames, "frame"),
            args.journal.display(),
            report.scenario,
            report.seed
        ))?;
        output::line(format!(
            "  next: onetape backtest {} --strategy {strategy} --journal OUT",
            args.journal.display()
        ))?;
    }
    Ok(Exit::Ok)
}
