//! `onetape exchange`: venues' wire on this machine.
use crate::cli::Exchange as Args;
use crate::failure::{Exit, Failure};
use crate::output;
use onetape_engine::time::Nanos;
use onetape_live::exchange_host::{self, HostOptions};
use onetape_venues::exchange::FaultPlan;

pub(crate) fn run(args: &Args, json: bool) -> Result<Exit, Failure> {
    crate::log::to_stderr(json);
    let faults = match &args.faults {
        None => FaultPlan::default(),
        Some(path) => {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|e| Failure::new(Exit::Config, format!("could not read {shown}: {e}")))?;
            toml::from_str(&text)
                .map_err(|e| Failure::new(Exit::Config, format!("{shown}: {e}")))?
        }
    };
    let options = HostOptions {
        journal: args.dir.clone(),
        out: args.out.clone(),
        from: args.from.map(|from| {
            let ns = u64::try_from(from.as_nanosecond());
            Nanos(ns.unwrap_or(0))
        }),
        speed: args.speed.max(1),
        faults,
        cash: args.cash,
    };
    let report = exchange_host::run(&options, &mut |line| {
        let _ = output::line(line);
    })
    .map_err(|why| Failure::new(Exit::Failure, why))?;
    output::json(&report)?;
    Ok(Exit::Ok)
}
