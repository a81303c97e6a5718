//! The daemon: what `onetape run` and `onetape record` are.
use crate::alarms::{Alarms, Caller, Watch};
use crate::budget::{Allowance, Budget};
use crate::config::{DaemonConfig, DurabilityMode, LiveConfig, OnStop, VenueConfig};
use crate::control::{self, Asked, Control};
use crate::core::{self, CoreError, CoreOptions, CoreStatus};
use crate::disk::{DiskStatus, DiskWatch};
use crate::env_file::{EnvError, Environment};
use crate::gateway::{Gateway, Poller};
use crate::http::Api;
use crate::http_client::HttpClient;
use crate::ib;
use crate::inputs::Inputs;
use crate::keeper::Keeper;
use crate::lease::{Lease, LeaseError, state_folder};
use crate::order_path::{OrderPath, OrderPathOptions, OrderPathStart, OrderPathStatus};
use crate::probe::{self, Drifts, Probe};
use crate::relist::{self, Known, Relist, VenueMarkets};
use crate::replica::{Replica, Window};
use crate::sources::{self, ChainBalances, ChainWatch};
use crate::telegram::Chat;
use crate::transport::{HttpTransport, Transport};
use crate::venues::{self, Venue};
use crate::verifier::Verifier;
use onetape_backtest::describe::Names;
use onetape_backtest::{JournalSink, recover, unmatched};
use onetape_engine::event::{
    AccountLost, Event, InstrumentDefined, InstrumentType, Kind, OperatorAction, OperatorCommand,
    SessionStart,
};
use onetape_engine::id::{InstrumentId, Sequence};
use onetape_engine::market::Market;
use onetape_engine::number::Decimals;
use onetape_engine::order::Order;
use onetape_engine::risk::HaltReason;
use onetape_engine::sequencer::{Sequencer, Sink, StepError};
use onetape_engine::session::{SessionConfig, VenueMode};
use onetape_engine::time::{DAY_NS, Nanos};
use onetape_engine::{ENGINE_VERSION, LOGIC_HASH};
use onetape_journal::{Durability, Options, Writer};
use onetape_venues::exchange::ExchangeClock;
use onetape_venues::gateway::{AccountFact, Instruments, Listed, Listing, Query};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How long the daemon waits for venues to confirm that orders are taken back.
const CANCEL_WITHIN: Duration = Duration::from_secs(30);
/// How long a daemon that takes over waits for the one before.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(60);
/// What the bot's token is called.
const TELEGRAM_TOKEN: [&str; 1] = ["TELEGRAM_BOT_TOKEN"];
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
    let venues = open_venues(options, &environment)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("gateways")
        .enable_all()
        .build()
        .map_err(|source| DaemonError::System {
            what: "could not start the gateways' threads".to_owned(),
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
    let (gateways, markets) = runtime.block_on(list(options, &venues, &mut sequencer, said))?;
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
        gateways,
        markets,
    };
    Running::start(options, &environment, opened, sequencer, said)?.until_stopped(signals, said)
}

/// Everything that can be wrong before anything is opened.
fn check(options: &RunOptions) -> Result<Environment, DaemonError> {
    let config = |why: String| Err(DaemonError::Config(why));
    let (live, modes) = (&options.live.live, &options.session.modes);
    for venue in options.live.venues.keys() {
        if !venues::NAMES.contains(&venue.as_str()) {
            let known = venues::NAMES.join(", ");
            return config(format!(
                "venue '{venue}' is not known: it must be one of {known}"
            ));
        }
    }
    for (venue, of) in &options.live.venues {
        if !of.series.is_empty() && venue != "kalshi" {
            return config(format!("venues.{venue}.series: only kalshi has series"));
        }
        let can_wait = matches!(venue.as_str(), "kalshi" | "polymarket" | "upbit");
        if !of.awaited.is_empty() && !can_wait {
            return config(format!(
                "venues.{venue}.awaited: only kalshi, polymarket and upbit can be waited for; name it in symbols once it is there"
            ));
        }
    }
    for (venue, mode) in modes {
        if mode.is_real() && !options.live.venues.contains_key(venue) {
            return config(format!(
                "modes.{venue} is {} and there is no [venues.{venue}] section",
                mode.name()
            ));
        }
    }
    let real_money = modes.values().any(|mode| *mode == VenueMode::Live);
    let demo = modes.values().any(|mode| *mode == VenueMode::Demo);
    if real_money && demo {
        return config("venues in mode live and in mode demo can't share one session".to_owned());
    }
    if real_money {
        let second = std::env::var("ONETAPE_LIVE").is_ok_and(|value| value == "yes");
        if !live.allow_live || !second {
            return config(
                "mode live needs two switches: allow_live = true in [live], and ONETAPE_LIVE=yes in the environment"
                    .to_owned(),
            );
        }
    }
    let strict = real_money || demo;
    let environment = Environment::read(live.env_file.as_deref(), strict)?;
    if live.telegram.chat_id != 0 {
        environment.need("live.telegram", &TELEGRAM_TOKEN)?;
        let address = &live.telegram.address;
        if let Err(why) = venues::check_address(address) {
            return config(format!("live.telegram.address is '{address}': {why}"));
        }
    }
    let token = environment.get(&["ONETAPE_API_TOKEN", "AT_BEARER_TOKEN"]);
    if !live.http.ip().is_loopback() && (token.is_none() || !live.http_behind_tls_proxy) {
        return config(format!(
            "http = \"{}\" can be reached from other machines: it needs ONETAPE_API_TOKEN and http_behind_tls_proxy = true",
            live.http
        ));
    }
    if !(1..=1_024).contains(&live.segment_mib) {
        return config(format!(
            "segment_mib is {}: it must be 1 to 1024",
            live.segment_mib
        ));
    }
    check_bound(live).map_err(DaemonError::Config)?;
    Ok(environment)
}

/// What a bounded journal needs: snapshots to begin with once its first frames are gone, and room to work in.
fn check_bound(live: &DaemonConfig) -> Result<(), String> {
    const SEGMENTS: u64 = 8;
    let (max, least) = (live.journal_max_mib, SEGMENTS * live.segment_mib);
    if max == 0 {
        return Ok(());
    }
    if max < least {
        return Err(format!(
            "journal_max_mib is {max}: it must be 0 for no bound, or at least {least}, {SEGMENTS} segments of segment_mib"
        ));
    }
    if live.snapshot_every_s == 0 || live.snapshots_kept < 2 {
        return Err(
            "journal_max_mib needs snapshots, from which a journal without its first frames is recovered: \
             snapshot_every_s above 0, and snapshots_kept of at least 2"
                .to_owned(),
        );
    }
    Ok(())
}

/// The venues of the configuration, with their addresses and keys.
fn open_venues(options: &RunOptions, environment: &Environment) -> Result<Vec<Venue>, DaemonError> {
    let open = |(name, config): (&String, &VenueConfig)| {
        let mode = options.session.mode(name);
        let mode = if options.record_only {
            VenueMode::Shadow
        } else {
            mode
        };
        Venue::open(
            name,
            config,
            mode,
            options.live.live.lost_after_ms,
            environment,
        )
    };
    options.live.venues.iter().map(open).collect()
}

/// One daemon an account.
fn leases(options: &RunOptions, venues: &[Venue]) -> Result<Vec<Lease>, DaemonError> {
    let real = venues
        .iter()
        .filter(|v| options.session.mode(v.name()).is_real());
    let take = |venue: &Venue| {
        Ok(Lease::take(
            &state_folder(),
            venue.name(),
            &venue.account_name(),
        )?)
    };
    real.map(take).collect()
}

/// Leases and journal from a daemon that is at work: it is asked to end and to leave its orders where they are, unless its
/// tape does not take our configuration.
fn taken_over(
    options: &RunOptions,
    venues: &[Venue],
    said: &mut dyn FnMut(&str),
) -> Result<(Vec<Lease>, Sequencer<JournalSink>), DaemonError> {
    check_tape(options)?;
    match control::ask(&options.journal, &control::Command::HandOver) {
        Ok(_) => said("the daemon before was asked to hand over"),
        Err(_) => said("no daemon has the journal"),
    }
    let began = Instant::now();
    loop {
        let taken = leases(options, venues).and_then(|held| Ok((held, open_tape(options, said)?)));
        match taken {
            Err(
                DaemonError::Lease(LeaseError::Taken { .. })
                | DaemonError::Journal(onetape_journal::Error::Locked { .. }),
            ) if began.elapsed() < HANDED_OVER_WITHIN => std::thread::sleep(LOOK_EVERY),
            other => return other,
        }
    }
}

/// The journal and the state that it leads to; a new one gets its session.
fn open_tape(
    options: &RunOptions,
    said: &mut dyn FnMut(&str),
) -> Result<Sequencer<JournalSink>, DaemonError> {
    let live = &options.live.live;
    let journal_options = Options {
        segment_bytes: live.segment_mib << 20,
        roll_every_ns: DAY_NS,
        durability: match live.durability {
            DurabilityMode::Process => Durability::Process,
            DurabilityMode::Power => Durability::Group,
        },
        ..Options::default()
    };
    let journal = &options.journal;
    if is_new(journal) {
        let writer = Writer::create(journal, journal_options)?;
        let mut sequencer = Sequencer::new(JournalSink::new(writer));
        begin_session(options, &mut sequencer)?;
        said(&format!("a new tape at {}", journal.display()));
        return Ok(sequencer);
    }
    let (writer, recovery) = Writer::open(journal, journal_options)?;
    tracing::info!(?recovery, "journal opened");
    let recovered = recover::recover(journal)?;
    if recovered.ended() {
        return Err(DaemonError::Config(format!(
            "the session on {} has ended: name a new directory",
            journal.display()
        )));
    }
    let folded = recovered.folded;
    let mut sequencer = recover::finish_cut_step(recovered, writer, journal)?;
    if !sequencer.desk().has_session() {
        // Facts were imported before: instruments, pairs, leaders, calendars.
        begin_session(options, &mut sequencer)?;
    } else if *sequencer.desk().config() != session(options) {
        check_change(options, &sequencer)?;
        said("the configuration changes from here on");
        begin_session(options, &mut sequencer)?;
    }
    for (kind, payload) in untold(journal)? {
        sequencer.step(options.clock.now(), kind, &payload)?;
    }
    said(&format!(
        "{} recovered: {} frames, {folded} of them folded, {} orders at work",
        journal.display(),
        sequencer.next_sequence().0.saturating_sub(1),
        sequencer.desk().orders().len()
    ));
    Ok(sequencer)
}

/// Whether a directory has no journal yet: nothing at all, or what a start that failed and 'onetape halt' leave.
fn is_new(journal: &Path) -> bool {
    let Ok(entries) = journal.read_dir() else {
        return true;
    };
    let mut names = entries.flatten().map(|entry| entry.file_name());
    names.all(|name| name == "LOCK" || name == "HALT")
}

/// Strategies begin with the session and see nothing of what came before, so the facts that stand before it are told again
/// right behind it: those that were not, since a process may die on the way.
fn untold(journal: &Path) -> Result<VecDeque<(u16, Vec<u8>)>, DaemonError> {
    const FOR_STRATEGIES: [Kind; 12] = [
        Kind::ContractTerms,
        Kind::RulesText,
        Kind::PairApproved,
        Kind::PairWithdrawn,
        Kind::Forecast,
        Kind::Observation,
        Kind::LeaderListed,
        Kind::LeaderTrade,
        Kind::LeaderPortfolio,
        Kind::TradingDay,
        Kind::DailyBar,
        Kind::VenueHealth,
    ];
    let mut reader = onetape_journal::Reader::open(journal)?;
    if reader.first_sequence() > 1 {
        // They stood before the session, and were told before anything was removed.
        return Ok(VecDeque::new());
    }
    let (mut facts, mut has_begun) = (VecDeque::<(u16, Vec<u8>)>::new(), false);
    while let Some(frame) = reader.next()? {
        let kind = frame.tag.kind();
        if frame.tag.is_derived() {
            continue;
        }
        if kind == Kind::SessionStart.number() {
            has_begun = true;
        } else if !has_begun {
            if FOR_STRATEGIES.iter().any(|known| known.number() == kind) {
                facts.push_back((kind, frame.payload.to_vec()));
            }
        } else if facts
            .front()
            .is_some_and(|(next, payload)| (*next, payload.as_slice()) == (kind, frame.payload))
        {
            facts.pop_front();
        } else {
            break;
        }
    }
    Ok(facts)
}

/// Whether a tape that another process writes would take our configuration.
fn check_tape(options: &RunOptions) -> Result<(), DaemonError> {
    let recovered = recover::recover(&options.journal)?.sequencer;
    check_change(options, &recovered)
}

fn check_change<S: Sink>(
    options: &RunOptions,
    sequencer: &Sequencer<S>,
) -> Result<(), DaemonError> {
    let (desk, market) = (sequencer.desk(), sequencer.market());
    desk.check_change(&session(options), market).map_err(|why| {
        DaemonError::Config(format!(
            "{} was begun with another configuration: {why}",
            options.journal.display()
        ))
    })
}

fn session(options: &RunOptions) -> SessionConfig {
    if options.record_only {
        SessionConfig {
            strategies: Vec::new(),
            modes: BTreeMap::new(),
            ..options.session.clone()
        }
    } else {
        options.session.clone()
    }
}

fn begin_session(
    options: &RunOptions,
    sequencer: &mut Sequencer<JournalSink>,
) -> Result<(), DaemonError> {
    let start = SessionStart {
        engine_version: ENGINE_VERSION.to_owned(),
        logic_hash: LOGIC_HASH.to_owned(),
        config: session(options),
    };
    step(
        sequencer,
        options.clock,
        &Event::SessionStart(Box::new(start)),
    )
}

fn step(
    sequencer: &mut Sequencer<JournalSink>,
    clock: ExchangeClock,
    event: &Event<'_>,
) -> Result<(), DaemonError> {
    let mut payload = Vec::new();
    event.encode(&mut payload);
    Ok(sequencer.step(clock.now(), event.kind().number(), &payload)?)
}

/// Brokers' connections by venue.
type Gateways = BTreeMap<String, ib::Connection>;

/// The listener of the daemon's own HTTP: had before anything is asked of a venue.
fn listen(address: SocketAddr) -> Result<TcpListener, DaemonError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| not_listening(address, source))
}

fn not_listening(address: SocketAddr, source: std::io::Error) -> DaemonError {
    DaemonError::System {
        what: format!("http = \"{address}\" in [live]: could not listen there"),
        source,
    }
}

/// Refuses to trade with a clock that is off by the core's limit or more.
fn check_clock(options: &RunOptions, drift_ms: Option<i64>) -> Result<(), DaemonError> {
    let limit_ms = options.session.risk.max_clock_drift_ms;
    match drift_ms {
        Some(drift_ms) if drift_ms.unsigned_abs() >= limit_ms => {
            Err(DaemonError::Clock { drift_ms, limit_ms })
        }
        _ => Ok(()),
    }
}

/// Asks each venue that gets orders about our account: a key that it refuses, and a clock that is off, are found before
/// anything is opened. No answer, or a venue in trouble, is no word on the key.
async fn check_keys(options: &RunOptions, venues: &[Venue]) -> Result<(), DaemonError> {
    let mut drifts = BTreeMap::new();
    for venue in venues {
        let mode = options.session.mode(venue.name());
        if !mode.is_real() || options.record_only || venue.gateway().is_some() {
            continue;
        }
        let mut wire = venue.orders(&Instruments::default(), &[])?;
        let http = http_client(venue, options.clock)?;
        let request = wire.ask(&Query::Balances, None, options.clock.now());
        let Some(answer) = http.send(request).await else {
            continue;
        };
        if let Some(drift_ms) = http.drift_ms() {
            drifts.insert(venue.name().to_owned(), drift_ms);
        }
        let response = answer.response();
        if !(400..=403).contains(&response.status) {
            continue;
        }
        // What is signed with a wrong time is refused, too.
        check_clock(options, http.drift_ms())?;
        let read = wire.answer(&Query::Balances, &response, &mut Vec::new());
        let said = read
            .err()
            .map_or(String::new(), |error| format!(": {error}"));
        return Err(DaemonError::Venue {
            venue: venue.name().to_owned(),
            why: format!(
                "it refuses our key (HTTP {}{said}); is it the key of the venue's {} side, may it trade, and from this address?",
                response.status,
                mode.name()
            ),
        });
    }
    check_clock(options, probe::drift_ms(&drifts))
}

/// Markets by venue and symbol, as they were listed.
type Markets = BTreeMap<String, BTreeMap<String, (InstrumentId, Known)>>;

/// Puts the configured symbols onto the tape as their venues list them, and what changed about those that are there.
/// Returns the connections that were opened for it, and what was listed.
async fn list(
    options: &RunOptions,
    venues: &[Venue],
    sequencer: &mut Sequencer<JournalSink>,
    said: &mut dyn FnMut(&str),
) -> Result<(Gateways, Markets), DaemonError> {
    let (mut gateways, mut drifts) = (Gateways::new(), BTreeMap::new());
    let mut markets = Markets::new();
    for venue in venues {
        let http = http_client(venue, options.clock)?;
        let failed = |why| DaemonError::Venue {
            venue: venue.name().to_owned(),
            why,
        };
        let mut listings = venue.listings();
        let mut gateway = match venue.gateway() {
            Some(config) => Some(ib::Connection::open(config).await.map_err(failed)?),
            None if listings.is_none() => continue,
            None => None,
        };
        if options.session.mode(venue.name()).is_real() && !options.record_only {
            venue.ask_version(&http).await.map_err(failed)?;
        }
        // Those that must be there, and those that may be.
        let mut symbols: Vec<(String, bool)> = Vec::new();
        symbols.extend(venue.symbols().iter().map(|symbol| (symbol.clone(), true)));
        if let Some(listings) = &mut listings {
            for series in venue.series() {
                let open = relist::open_markets(&mut **listings, &http, series).await;
                let open = open.map_err(failed)?;
                symbols.extend(open.into_iter().map(|symbol| (symbol, false)));
            }
        }
        let awaited = venue.awaited().iter();
        symbols.extend(awaited.map(|symbol| (symbol.clone(), false)));
        let listed = markets.entry(venue.name().to_owned()).or_default();
        for (symbol, must_be_there) in symbols {
            if listed.contains_key(&symbol) {
                continue;
            }
            let known = find(sequencer.market(), venue.name(), &symbol);
            let id = known.unwrap_or(InstrumentId(sequencer.market().instruments().len() as u32));
            let listing = match (&mut gateway, &mut listings) {
                (Some(gateway), _) => gateway.list(&symbol, id, options.clock.now()).await,
                (None, Some(listings)) => {
                    read_listing(&mut **listings, &http, &symbol, id, options.clock).await
                }
                (None, None) => continue,
            };
            if let Err(why) = &listing
                && !must_be_there
            {
                said(&format!("{}: not there yet: {why}", venue.name()));
                continue;
            }
            if listing.is_err() {
                check_clock(options, http.drift_ms())?;
            }
            let mut listing = listing.map_err(failed)?;
            listing.rules.allows_short |= venue.sells_inventory();
            let instrument = known.and_then(|id| sequencer.market().instrument(id).ok());
            let known = instrument.map(|i| Known::on_tape(i, options.clock.now()));
            for event in relist::news(known.as_ref(), &listing) {
                step(sequencer, options.clock, &event)?;
            }
            listed.insert(symbol, (id, Known::of(&listing)));
        }
        said(&format!("{}: {} symbols", venue.name(), listed.len()));
        if let Some(drift_ms) = http.drift_ms() {
            drifts.insert(venue.name().to_owned(), drift_ms);
        }
        if let Some(gateway) = gateway {
            gateways.insert(venue.name().to_owned(), gateway);
        }
    }
    check_clock(options, probe::drift_ms(&drifts))?;
    Ok((gateways, markets))
}

/// The market with what is awaited in it, for names that the configuration may use already.
fn with_awaited(venues: &[Venue], market: &Market) -> Market {
    let mut market = market.clone();
    for venue in venues {
        for symbol in venue.awaited() {
            let definition = InstrumentDefined {
                instrument: InstrumentId(market.instruments().len() as u32),
                venue: venue.name().to_owned(),
                symbol: symbol.clone(),
                instrument_type: InstrumentType::Binary,
                base: String::new(),
                quote: String::new(),
                decimals: Decimals { price: 0, qty: 0 },
            };
            let event = Event::InstrumentDefined(Box::new(definition));
            // One that is there already is refused, and that is as well.
            let _ = market.evolve(Sequence(0), Nanos(0), &event);
        }
    }
    market
}

/// A symbol as its venue lists it. Where a first answer only tells what to ask for, it is asked a second time.
pub(crate) async fn read_listing(
    listings: &mut dyn onetape_venues::gateway::Listings,
    http: &HttpClient,
    symbol: &str,
    id: InstrumentId,
    clock: ExchangeClock,
) -> Result<Listing, String> {
    let mut last = String::new();
    for _ in 0..2 {
        let mut answers = Vec::new();
        for request in listings.requests(symbol, clock.now()) {
            let answer = http.send(request).await;
            answers.push(answer.ok_or_else(|| {
                format!("no answer about '{symbol}': is the address right, and the venue up?")
            })?);
        }
        let responses: Vec<_> = answers.iter().map(|answer| answer.response()).collect();
        match listings.read(symbol, id, &responses, clock.now()) {
            Ok(listing) => return Ok(listing),
            Err(error) => last = format!("'{symbol}': {error}"),
        }
    }
    Err(last)
}

fn find(market: &Market, venue: &str, symbol: &str) -> Option<InstrumentId> {
    let mut instruments = market.instruments().iter();
    let found = instruments.find(|i| i.definition.venue == venue && i.definition.symbol == symbol);
    found.map(|instrument| instrument.id())
}

fn http_client(venue: &Venue, clock: ExchangeClock) -> Result<HttpClient, DaemonError> {
    HttpClient::new(venue.addresses().clone(), clock).map_err(|why| DaemonError::Venue {
        venue: venue.name().to_owned(),
        why,
    })
}

type Thread = (&'static str, JoinHandle<Result<(), String>>);

/// What was opened before the core begins.
struct Opened {
    runtime: tokio::runtime::Runtime,
    listener: TcpListener,
    venues: Vec<Venue>,
    gateways: Gateways,
    markets: Markets,
}

/// A daemon at work.
struct Running {
    runtime: tokio::runtime::Runtime,
    core: JoinHandle<Result<Sequencer<JournalSink>, CoreError>>,
    threads: Vec<Thread>,
    inputs: Inputs,
    window: Window,
    /// Threads that only read the tape: they end after the core.
    readers: Vec<Thread>,
    /// Ends the order paths.
    stop: Arc<AtomicBool>,
    /// Ends the core, when nobody has an input any more.
    stop_core: Arc<AtomicBool>,
    /// Ends the readers, when nothing is written any more.
    stop_readers: Arc<AtomicBool>,
    asked: Arc<Asked>,
    on_stop: OnStop,
    caller: Caller,
}

impl Running {
    fn start(
        options: &RunOptions,
        environment: &Environment,
        opened: Opened,
        sequencer: Sequencer<JournalSink>,
        said: &mut dyn FnMut(&str),
    ) -> Result<Self, DaemonError> {
        let Opened {
            runtime,
            listener,
            venues,
            mut gateways,
            mut markets,
        } = opened;
        let live = &options.live.live;
        let (inputs, queue) = Inputs::new(options.clock);
        let flag = || Arc::new(AtomicBool::new(false));
        let (stop, stop_core, stop_readers) = (flag(), flag(), flag());
        let asked = Arc::new(Asked::default());
        let core_status = Arc::new(CoreStatus::default());
        let window = Window::default();
        let (mut threads, mut readers) = (Vec::new(), Vec::new());
        let definitions: Vec<InstrumentDefined> = sequencer
            .market()
            .instruments()
            .iter()
            .map(|instrument| instrument.definition.clone())
            .collect();
        let before = Before {
            market: sequencer.market().clone(),
            orders: sequencer.desk().orders().iter().copied().collect(),
            first_own: sequencer.next_sequence().0,
        };
        core_status
            .next_sequence
            .store(before.first_own, Ordering::Release);
        let disk = Arc::new(DiskStatus::default());
        let is_low = sequencer.desk().risk().halts.contains(&HaltReason::Disk);
        let mut watch = DiskWatch::new(
            &options.journal,
            live.min_free_mib.saturating_mul(1 << 20),
            is_low,
            inputs.clone(),
            disk.clone(),
        );
        // Before anything that could lead to an order is in the queue.
        watch.look();
        threads.push(spawn("the watch on the disk", {
            let stop = stop.clone();
            move || {
                watch.run(&stop);
                Ok(())
            }
        })?);

        sources::tell_hours(&venues, &options.journal)?;
        let caller = match alarms(options, environment, &sequencer, &before)? {
            Some((alarms, caller)) => {
                let stop = stop_readers.clone();
                readers.push(spawn("the alarms", move || alarms.run(&stop))?);
                caller
            }
            None => Caller::default(),
        };

        let now = options.clock.now();
        let rules: Vec<_> = before
            .market
            .instruments()
            .iter()
            .filter_map(|instrument| instrument.rules_at(now).cloned())
            .collect();
        let mut paths: BTreeMap<String, Arc<OrderPathStatus>> = BTreeMap::new();
        let (mut feeds, mut pollers, mut probes) = (Vec::new(), Vec::new(), Vec::new());
        let drifts = Drifts::default();
        let (chain, mut chains) = (ChainBalances::default(), Vec::new());
        let mut relisted = Vec::new();
        for venue in venues {
            let instruments = instruments_of(&definitions, venue.instruments_of());
            let mut account = None;
            if options.session.mode(venue.name()).is_real() && !options.record_only {
                let (facts, told) = mpsc::unbounded_channel();
                let status = Arc::new(OrderPathStatus::default());
                paths.insert(venue.name().to_owned(), status.clone());
                let path = OrderPathThread {
                    journal: options.journal.clone(),
                    inputs: inputs.clone(),
                    stop: stop.clone(),
                    options: order_path_options(options),
                    allowance: venue.allowance(),
                };
                let transport: MakeTransport = match gateways.remove(venue.name()) {
                    Some(gateway) => {
                        let transport = gateway.trade(facts.clone(), inputs.clone());
                        Box::new(|_| Box::new(transport))
                    }
                    None => {
                        let wire = venue.orders(&instruments, &definitions)?;
                        let (http, inputs) = (http_client(&venue, options.clock)?, inputs.clone());
                        Box::new(|budget| Box::new(HttpTransport::new(wire, http, budget, inputs)))
                    }
                };
                threads.push(path.spawn(venue.name(), transport, told, status, &before)?);
                account = Some(facts);
                if let Some(wallet) = venue.chain_wallet() {
                    chains.push(ChainWatch {
                        venue: venue.name().to_owned(),
                        wallet,
                        wire: venue.orders(&instruments, &definitions)?,
                        http: http_client(&venue, options.clock)?,
                        inputs: inputs.clone(),
                        balances: chain.clone(),
                        caller: caller.clone(),
                    });
                }
            }
            if let Some(request) = venue.probe() {
                probes.push(Probe {
                    venue: venue.name().to_owned(),
                    request,
                    http: http_client(&venue, options.clock)?,
                    inputs: inputs.clone(),
                    drifts: drifts.clone(),
                });
            }
            for poll in venue.polls() {
                pollers.push(Poller {
                    poll,
                    http: http_client(&venue, options.clock)?,
                    inputs: inputs.clone(),
                });
            }
            for feed in venue.feeds(&instruments, &definitions, &rules, account.is_some())? {
                feeds.push(Gateway {
                    venue: venue.name().to_owned(),
                    feed,
                    sockets: venue.addresses().clone(),
                    http: http_client(&venue, options.clock)?,
                    inputs: inputs.clone(),
                    account: account.clone(),
                });
            }
            if let Some(listings) = venue.listings() {
                relisted.push(VenueMarkets {
                    http: http_client(&venue, options.clock)?,
                    listings,
                    instruments,
                    known: markets.remove(venue.name()).unwrap_or_default(),
                    unread: BTreeSet::new(),
                    venue,
                });
            }
        }

        let snapshot_every =
            (live.snapshot_every_s > 0).then(|| Duration::from_secs(live.snapshot_every_s));
        let replica = Replica::new(
            &options.journal,
            window.clone(),
            snapshot_every,
            live.snapshots_kept,
            live.journal_max_mib > 0,
        );
        readers.push(spawn("the replica", {
            let stop = stop_readers.clone();
            move || replica.run(&stop)
        })?);
        let verified = live.verify.then(|| Arc::new(AtomicU64::new(0)));
        if let Some(verified) = verified.clone() {
            let verifier = Verifier {
                journal: options.journal.clone(),
                inputs: inputs.clone(),
                verified,
            };
            let stop = stop_readers.clone();
            readers.push(spawn("the verifier", move || {
                verifier.run(&stop);
                Ok(())
            })?);
        }
        let keeper = Keeper {
            journal: options.journal.clone(),
            archive: live.archive,
            max_bytes: (live.journal_max_mib > 0)
                .then_some(live.journal_max_mib.saturating_mul(1 << 20)),
            segment_bytes: live.segment_mib << 20,
            core: core_status.clone(),
            verified: verified.clone(),
            status: disk.clone(),
            sound: BTreeSet::new(),
        };
        readers.push(spawn("the keeper of the journal", {
            let stop = stop_readers.clone();
            move || {
                keeper.run(&stop);
                Ok(())
            }
        })?);
        let halt_file = live.halt_file.as_deref();
        let control = Control::new(
            &options.journal,
            halt_file,
            inputs.clone(),
            window.clone(),
            asked.clone(),
        );
        let control = control.map_err(|source| DaemonError::System {
            what: "could not open the control socket".to_owned(),
            source,
        })?;
        if control.is_halted_by_file() {
            said("halted: the halt file is there");
        }
        threads.push(spawn("control", move || {
            control.run();
            Ok(())
        })?);

        let core = std::thread::Builder::new().name("core".to_owned()).spawn({
            let core_options = CoreOptions {
                clock: options.clock,
                wait: live.wait,
                pin_to_cpu: live.pin_core_to_cpu,
                decided: paths.values().map(|path| path.decided.clone()).collect(),
            };
            let (stop, status) = (stop_core.clone(), core_status.clone());
            move || core::run(sequencer, &queue, &core_options, &stop, &status)
        });
        let core = core.map_err(|source| DaemonError::System {
            what: "could not start the core's thread".to_owned(),
            source,
        })?;

        let token = environment.get(&["ONETAPE_API_TOKEN", "AT_BEARER_TOKEN"]);
        let api = Api::new(
            core_status,
            window.clone(),
            verified,
            paths,
            disk,
            inputs.clone(),
            token.cloned(),
            &definitions,
            intent_keys(&options.journal)?,
            chain,
            onetape_journal::Reader::open(&options.journal)?.journal_id(),
        );
        let _context = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener);
        let listener = listener.map_err(|source| not_listening(live.http, source))?;
        let address = listener.local_addr().unwrap_or(live.http);
        runtime.spawn(async move {
            if let Err(error) = axum::serve(listener, api.router()).await {
                tracing::error!(%error, "http ended");
            }
        });
        for gateway in feeds {
            runtime.spawn(gateway.run());
        }
        for poller in pollers {
            runtime.spawn(poller.run());
        }
        for probe in probes {
            runtime.spawn(probe.run());
        }
        for chain in chains {
            runtime.spawn(chain.run());
        }
        if live.relist_every_s > 0 {
            let relist = Relist {
                every_s: live.relist_every_s,
                clock: options.clock,
                inputs: inputs.clone(),
                session: session(options),
                venues: relisted,
                next: InstrumentId(definitions.len() as u32),
            };
            runtime.spawn(relist.run());
        }
        said(&format!("http://{address} (healthz, readyz, metrics)"));
        said("ready");
        caller.say("begin", format!("started at frame {}", before.first_own));
        Ok(Self {
            runtime,
            core,
            threads,
            readers,
            inputs,
            window,
            stop,
            stop_core,
            stop_readers,
            asked,
            on_stop: live.on_stop,
            caller,
        })
    }

    fn until_stopped(
        self,
        signals: Signals,
        said: &mut dyn FnMut(&str),
    ) -> Result<Ended, DaemonError> {
        self.runtime.spawn(signals.ask(self.asked.clone()));
        let part = loop {
            if self.asked.to_end.load(Ordering::Acquire) {
                break None;
            }
            if self.core.is_finished() {
                break Some(("the core", String::new()));
            }
            let mut threads = self.threads.iter().chain(&self.readers);
            if let Some((name, _)) = threads.find(|(_, thread)| thread.is_finished()) {
                break Some((*name, String::new()));
            }
            std::thread::sleep(LOOK_EVERY);
        };
        if let Some((name, _)) = part {
            let text = format!("ALARM: {name} ended by itself, and so does the daemon");
            self.caller.say("part", text);
        }
        if part.is_none() {
            said("stopping");
            self.take_orders_back();
        }
        self.asked.to_end.store(true, Ordering::Release);
        self.stop.store(true, Ordering::Release);
        let mut failed = None;
        // The gateways end first: nothing new comes in; then the order paths, which still report; then the core.
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        for (name, thread) in self.threads {
            if let Some(why) = join(thread) {
                failed.get_or_insert(DaemonError::Part(name, why));
            }
        }
        drop(self.inputs);
        self.stop_core.store(true, Ordering::Release);
        let core = self.core.join();
        // However it ended: the alarms say so.
        self.stop_readers.store(true, Ordering::Release);
        for (name, thread) in self.readers {
            if let Some(why) = join(thread) {
                failed.get_or_insert(DaemonError::Part(name, why));
            }
        }
        let sequencer = match core {
            Ok(ended) => ended?,
            Err(_) => return Err(DaemonError::Part("the core", "it panicked".to_owned())),
        };
        let open_orders = sequencer.desk().orders().len();
        let last_sequence = sequencer.into_sink().close()?;
        match failed {
            Some(error) => Err(error),
            None => Ok(Ended {
                last_sequence,
                open_orders,
            }),
        }
    }

    /// Halts new risk, and takes resting orders back where that is asked for.
    fn take_orders_back(&self) {
        let handed_over = self.asked.to_hand_over.load(Ordering::Acquire);
        let cancel = self.on_stop == OnStop::Cancel && !handed_over;
        let stop = OperatorCommand {
            action: OperatorAction::Stop { cancel },
            note: "the daemon ends".to_owned(),
        };
        self.inputs.event(&Event::OperatorCommand(Box::new(stop)));
        // Only from that frame on nothing new is decided: before it, no order at work may mean that the first is under way.
        let stopping = format!("{:?}", HaltReason::Stopping);
        let began = Instant::now();
        while cancel && began.elapsed() < CANCEL_WITHIN {
            std::thread::sleep(LOOK_EVERY);
            let shown = self.window.look();
            if shown.halts.contains(&stopping) && shown.open_orders == 0 {
                return;
            }
        }
    }
}

/// The operating system's ways to ask for an end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on the process is asked instead of ended.
    fn heard(runtime: &tokio::runtime::Runtime) -> Result<Self, DaemonError> {
        let _context = runtime.enter();
        let hear = |kind| {
            signal(kind).map_err(|source| DaemonError::System {
                what: "could not listen for signals".to_owned(),
                source,
            })
        };
        Ok(Self {
            terminate: hear(SignalKind::terminate())?,
            interrupt: hear(SignalKind::interrupt())?,
        })
    }

    async fn ask(mut self, asked: Arc<Asked>) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        asked.to_end.store(true, Ordering::Release);
    }
}

/// The state that the journal had led to when the daemon started.
struct Before {
    market: Market,
    orders: Vec<Order>,
    first_own: u64,
}

/// Those who call somebody, where a chat is configured.
fn alarms(
    options: &RunOptions,
    environment: &Environment,
    sequencer: &Sequencer<JournalSink>,
    before: &Before,
) -> Result<Option<(Alarms, Caller)>, DaemonError> {
    let config = &options.live.live.telegram;
    if config.chat_id == 0 {
        return Ok(None);
    }
    let token = environment.need("live.telegram", &TELEGRAM_TOKEN)?.clone();
    let journal = options.journal.file_name().unwrap_or_default();
    let title = format!("onetape {}", journal.to_string_lossy());
    let chat = Chat::new(config, token, title, options.clock);
    let chat = chat.map_err(|why| DaemonError::Config(format!("live.telegram: {why}")))?;
    let watch = Watch::new(Names::of(&before.market, sequencer.desk()), &before.market);
    let journal = options.journal.clone();
    let (mut alarms, caller) = Alarms::new(journal, before.first_own, watch, chat);
    alarms.standing(sequencer.desk().risk().halts.iter().copied());
    Ok(Some((alarms, caller)))
}

/// What an order path's thread is made of.
struct OrderPathThread {
    journal: PathBuf,
    inputs: Inputs,
    stop: Arc<AtomicBool>,
    options: OrderPathOptions,
    allowance: Allowance,
}

/// Makes the transport on the order path's own thread, which it does not leave.
type MakeTransport = Box<dyn FnOnce(Rc<RefCell<Budget>>) -> Box<dyn Transport> + Send>;

impl OrderPathThread {
    fn spawn(
        self,
        venue: &str,
        transport: MakeTransport,
        told: mpsc::UnboundedReceiver<AccountFact>,
        status: Arc<OrderPathStatus>,
        before: &Before,
    ) -> Result<Thread, DaemonError> {
        let (venue, market, orders) = (
            venue.to_owned(),
            before.market.clone(),
            before.orders.clone(),
        );
        let first_own = before.first_own;
        spawn("an order path", move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| e.to_string())?;
            let start = OrderPathStart {
                venue: &venue,
                journal: &self.journal,
                market: &market,
                orders: &orders,
                first_own,
            };
            let budget = Budget::new(self.allowance, Instant::now());
            let budget = Rc::new(RefCell::new(budget));
            let path = OrderPath::new(
                &start,
                transport(budget.clone()),
                budget,
                self.inputs,
                told,
                self.options,
                status,
            );
            let path = path.map_err(|e| e.to_string())?;
            let local = tokio::task::LocalSet::new();
            let ran = runtime.block_on(local.run_until(path.run(&self.stop)));
            ran.map_err(|e| e.to_string())
        })
    }
}

fn order_path_options(options: &RunOptions) -> OrderPathOptions {
    let live = &options.live.live;
    OrderPathOptions {
        lost_after: Duration::from_millis(live.lost_after_ms),
        reconcile_every: Duration::from_secs(live.reconcile_every_s.max(1)),
        only_durable: live.durability == DurabilityMode::Power,
        eager: live.wait != core::Wait::Park,
    }
}

fn spawn(
    name: &'static str,
    run: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Result<Thread, DaemonError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    let thread = thread.map_err(|source| DaemonError::System {
        what: format!("could not start the thread of {name}"),
        source,
    })?;
    Ok((name, thread))
}

/// Why a thread ended, where it did not end well.
fn join(thread: JoinHandle<Result<(), String>>) -> Option<String> {
    match thread.join() {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why),
        Err(_) => Some("it panicked".to_owned()),
    }
}

fn instruments_of(definitions: &[InstrumentDefined], venue: &str) -> Instruments {
    let of = definitions
        .iter()
        .filter(|definition| definition.venue == venue);
    Instruments::new(of.map(|definition| Listed {
        instrument: definition.instrument,
        symbol: definition.symbol.clone(),
        decimals: definition.decimals,
    }))
}

/// The keys of all intents on a tape: none of them is ever taken again.
fn intent_keys(journal: &Path) -> Result<BTreeSet<String>, DaemonError> {
    let mut reader = onetape_journal::Reader::open(journal)?;
    let mut keys = BTreeSet::new();
    let mut see = |kind: u16, payload: &[u8]| {
        if kind == Kind::IntentReceived.number()
            && let Ok(Event::IntentReceived(intent)) = Event::decode(kind, payload)
        {
            keys.insert(intent.key.clone());
        }
    };
    for frame in onetape_journal::retention::carried(journal)? {
        see(frame.tag.kind(), &frame.payload);
    }
    while let Some(frame) = reader.next()? {
        see(frame.tag.kind(), frame.payload);
    }
    Ok(keys)
}
