//! `onetape run` and `onetape record`.
use crate::cli::{Record, Run};
use crate::config;
use crate::failure::{Exit, Failure};
use crate::{log, output};
use onetape_engine::sequencer::StepError;
use onetape_engine::session::SessionConfig;
use onetape_engine::time::Nanos;
use onetape_live::core::CoreError;
use onetape_live::daemon::{self, DaemonError, RunOptions};
use onetape_venues::exchange::ExchangeClock;

pub(crate) fn run(args: &Run, json: bool) -> Result<Exit, Failure> {
    let (session, live) = config::for_daemon(&args.config)?;
    daemon_runs(
        &RunOptions {
            journal: args.journal.clone(),
            session,
            live,
            clock: clock(args.clock.as_deref())?,
            record_only: false,
            take_over: args.take_over,
        },
        json,
    )
}

pub(crate) fn record(args: &Record, json: bool) -> Result<Exit, Failure> {
    let (_, live) = config::for_daemon(&args.config)?;
    daemon_runs(
        &RunOptions {
            journal: args.journal.clone(),
            session: SessionConfig::default(),
            live,
            clock: clock(args.clock.as_deref())?,
            record_only: true,
            take_over: false,
        },
        json,
    )
}

fn daemon_runs(options: &RunOptions, json: bool) -> Result<Exit, Failure> {
    log::of_daemon(&options.live.live, json)?;
    let said = &mut |line: &str| {
        // Nobody reads it any more: the daemon goes on.
        let _ = output::line(line);
    };
    let ended = daemon::run(options, said).inspect_err(|error| {
        // Standard error has it anyway.
        if options.live.live.log_file.is_some() {
            tracing::error!("{error}");
        }
    })?;
    output::line(format!(
        "ended in order at sequence {}, {} at work",
        output::count(ended.last_sequence),
        output::plural(ended.open_orders as u64, "order")
    ))?;
    Ok(Exit::Ok)
}

/// WALL,ORIGIN,SPEED as `onetape exchange` prints it, or the wall's clock.
fn clock(text: Option<&str>) -> Result<ExchangeClock, Failure> {
    let Some(text) = text else {
        return Ok(ExchangeClock {
            wall_origin: Nanos(0),
            origin: Nanos(0),
            speed: 1,
        });
    };
    let parts: Vec<u64> = text
        .split(',')
        .filter_map(|part| part.parse().ok())
        .collect();
    match parts.as_slice() {
        [wall, origin, speed] if (1..=1_000_000).contains(speed) => Ok(ExchangeClock {
            wall_origin: Nanos(*wall),
            origin: Nanos(*origin),
            speed: *speed as u32,
        }),
        _ => Err(Failure::new(
            Exit::Usage,
            format!("--clock {text}: expected WALL,ORIGIN,SPEED as 'onetape exchange' prints it"),
        )),
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        let exit = match &error {
            DaemonError::Config(_) | DaemonError::Env(_) => Exit::Config,
            DaemonError::Venue { .. } | DaemonError::Clock { .. } => Exit::Venue,
            DaemonError::Lease(_) | DaemonError::System { .. } | DaemonError::Part(..) => {
                Exit::Failure
            }
            DaemonError::Core(_) | DaemonError::Step(_) => Exit::Failure,
            DaemonError::Journal(_) | DaemonError::Tape(_) => Exit::Data,
        };
        match error {
            DaemonError::Journal(error) | DaemonError::Step(StepError::Sink(error)) => error.into(),
            DaemonError::Tape(error) => error.into(),
            DaemonError::Core(CoreError::Step(StepError::Sink(error))) => Failure::from(error)
                .after("the daemon has ended, and orders at work stay at their venues"),
            other => Failure::new(exit, other),
        }
    }
}
