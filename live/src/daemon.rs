//! The daemon: what `onetape run` and `onetape record` are.
mod checks;
mod gateways;
mod listing;
mod running;
mod tape;
mod threads;
use crate::config::LiveConfig;
use crate::core::CoreError;
use crate::env_file::EnvError;
use crate::http_client::HttpClient;
use crate::lease::LeaseError;
use crate::processor;
use crate::venues::Venue;
use checks::{check, check_keys, leases, listen, open_venues};
pub(crate) use listing::{NotListed, read_listing};
use listing::{list, with_awaited};
use onetape_backtest::unmatched;
use onetape_engine::event::{AccountLost, Event, OperatorAction, OperatorCommand};
use onetape_engine::sequencer::StepError;
use onetape_engine::session::SessionConfig;
use onetape_venues::exchange::ExchangeClock;
use running::{Opened, Running, Signals};
use std::path::PathBuf;
use std::time::Duration;
use tape::{open_tape, session, step, taken_over};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What to run.
pub struct RunOptions {
    /// The journal, new or to be continued.
    pub journal: PathBuf,
    /// Strategies, limits, modes.
    pub session: SessionConfig,
    /// Venues, and how the daemon behaves.
    pub live: LiveConfig,
    /// The daemon's clock: the wall's, or that of a local exchange.
    pub clock: ExchangeClock,
    /// Feeds only: no strategy, no key, no order.
    pub record_only: bool,
    /// Whether the daemon that has the journal is asked to hand it over.
    pub take_over: bool,
}

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration can't be run.
    #[error("{0}")]
    Config(String),
    /// Keys.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// Another daemon has an account.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] onetape_journal::Error),
    /// The journal's frames.
    #[error(transparent)]
    Tape(#[from] onetape_backtest::Error),
    /// A venue can't be used.
    #[error("{venue}: {why}")]
    Venue {
        /// Which.
        venue: String,
        /// Why.
        why: String,
    },
    /// The core stopped.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A step before the core's loop.
    #[error(transparent)]
    Step(#[from] StepError<onetape_journal::Error>),
    /// A part of the operating system.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// No order may go out with such a clock.
    #[error(
        "this machine's clock is {drift_ms} ms off by what its venues say, and max_clock_drift_ms is {limit_ms}: \
         set it right ('timedatectl set-ntp true') and start again"
    )]
    Clock {
        /// Our clock minus the venues', in ms.
        drift_ms: i64,
        /// The limit of the configuration.
        limit_ms: u64,
    },
    /// A part of the daemon died.
    #[error("{0} ended: {1}")]
    Part(&'static str, String),
}

/// How the daemon ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The last frame.
    pub last_sequence: u64,
    /// Orders that still rest at venues.
    pub open_orders: usize,
}

/// Runs until it is told to stop.
///
/// `said` is told, line by line, how far it is.
///
/// # Errors
/// [`DaemonError`].
pub fn run(options: &RunOptions, said: &mut dyn FnMut(&str)) -> Result<Ended, DaemonError> {
    let environment = check(options)?;
    // Before there is any other thread: each is where the one is that starts it.
    if let Some(cpu) = options.live.live.pin_core_to_cpu {
        processor::leave_to_core(cpu).map_err(CoreError::from)?;
    }
    let venues = open_venues(options, &environment)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("services")
        .enable_all()
        .build()
        .map_err(|source| DaemonError::System {
            what: "could not start the services' thread".to_owned(),
            source,
        })?;
    // Before a daemon that is at work is asked to hand over: it must not end for one that can't begin.
    runtime.block_on(check_keys(options, &venues))?;
    let (_leases, mut sequencer) = if options.take_over {
        taken_over(options, &venues, said)?
    } else {
        (leases(options, &venues)?, open_tape(options, said)?)
    };
    let signals = Signals::heard(&runtime)?;
    let listener = listen(options.live.live.http)?;
    let (brokers, markets) = runtime.block_on(list(options, &venues, &mut sequencer, said))?;
    // The tape now has every instrument that is there: a name that is none of them, nor awaited, would hold for nothing.
    if let Some(line) = unmatched(
        &session(options),
        &with_awaited(&venues, sequencer.market()),
    )
    .into_iter()
    .next()
        && !options.record_only
    {
        return Err(DaemonError::Config(format!(
            "{line}: correct the configuration and start again; a strategy's own parameters need a new directory"
        )));
    }
    // Before it may trade again, and whatever the tape ended with: nobody knows what became of our accounts meanwhile.
    for venue in venues.iter().map(Venue::name) {
        if options.session.mode(venue).is_real() && !options.record_only {
            let lost = AccountLost {
                venue: venue.to_owned(),
                why: "started".to_owned(),
            };
            let lost = Event::AccountLost(Box::new(lost));
            step(&mut sequencer, options.clock, &lost)?;
        }
    }
    let started = OperatorCommand {
        action: OperatorAction::Start,
        note: "the daemon begins".to_owned(),
    };
    step(
        &mut sequencer,
        options.clock,
        &Event::OperatorCommand(Box::new(started)),
    )?;
    let opened = Opened {
        runtime,
        listener,
        venues,
        brokers,
        markets,
    };
    Running::start(options, &environment, opened, sequencer, said)?.until_stopped(signals, said)
}

fn http_client(venue: &Venue, clock: ExchangeClock) -> Result<HttpClient, DaemonError> {
    HttpClient::new(venue.addresses().clone(), clock).map_err(|why| DaemonError::Venue {
        venue: venue.name().to_owned(),
        why,
    })
}
