//! The verbs, one file each.
mod archive;
mod backtest;
mod control;
mod demo;
mod exchange;
mod export;
mod generate;
mod import;
mod info;
mod match_markets;
mod recover;
mod run;
mod tail;
mod verify;
mod why;

use crate::cli::{Cli, Verb};
use crate::failure::{Exit, Failure};
use clap::CommandFactory;

/// Runs what the command line asks for.
pub(crate) fn run(cli: Cli) -> Result<Exit, Failure> {
    let json = cli.json;
    match cli.verb {
        Verb::Demo(args) => demo::run(&args, json),
        Verb::Import(args) => import::run(&args, json),
        Verb::Generate(args) => generate::run(&args, json),
        Verb::Backtest(args) => backtest::run(&args, json),
        Verb::Verify(args) => verify::run(&args, json),
        Verb::Recover(args) => recover::run(&args.dir, json),
        Verb::Why(args) => why::run(&args, json),
        Verb::Info(args) => info::run(&args.dir, json),
        Verb::Tail(args) => tail::run(&args, json),
        Verb::Export(args) => export::run(&args, json),
        Verb::Archive(args) => archive::run(&args, json),
        Verb::Run(args) => run::run(&args, json),
        Verb::Record(args) => run::record(&args, json),
        Verb::Exchange(args) => exchange::run(&args, json),
        Verb::Halt(args) => control::halt(&args, json),
        Verb::Resume(args) => control::resume(&args, json),
        Verb::Accept(args) => control::accept(&args, json),
        Verb::Status(args) => control::status(&args),
        Verb::Match(args) => match_markets::run(&args, json),
        Verb::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "onetape",
                &mut std::io::stdout(),
            );
            Ok(Exit::Ok)
        }
    }
}
