//! `onetape`: the one binary. Each verb is a file in `verb/`.
#![forbid(unsafe_code)]

mod cli;
mod config;
mod failure;
mod log;
mod output;
mod progress;
mod verb;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version are answers, everything else is a usage error; clap numbers those 2, as we do.
            let code = u8::try_from(usage.exit_code()).unwrap_or(failure::Exit::Usage as u8);
            let _ = usage.print();
            return ExitCode::from(code);
        }
    };
    let json = cli.json;
    match verb::run(cli) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(failure) => {
            failure.print(json);
            ExitCode::from(failure.exit as u8)
        }
    }
}
