//! A daemon at work: its threads and connections, and the order in which they end.
use super::checks::{TELEGRAM_TOKEN, not_listening};
use super::gateways::{Gateways, MakeTransport, OrderPathParts, order_path_options};
use super::listing::{Brokers, Markets};
use super::tape::{intent_keys, session};
use super::threads::{Thread, join, spawn};
use super::{DaemonError, Ended, LOOK_EVERY, RunOptions, http_client};
use crate::alarms::{Alarms, Caller, Watch};
use crate::config::OnStop;
use crate::control::{Asked, Control};
use crate::core::{self, CoreError, CoreOptions, CoreStatus};
use crate::disk::{DiskStatus, DiskWatch};
use crate::env_file::Environment;
use crate::gateway::{Gateway, Poller};
use crate::http::Api;
use crate::inputs::Inputs;
use crate::intents::Nameable;
use crate::keeper::Keeper;
use crate::order_path::OrderPathStatus;
use crate::probe::{Drifts, Probe};
use crate::relist::{self, Relist, VenueMarkets};
use crate::replica::{Replica, Window};
use crate::sources::{self, ChainBalances, ChainWatch};
use crate::telegram::Chat;
use crate::transport::HttpTransport;
use crate::venues::{OnTape, Venue};
use crate::verifier::Verifier;
use onetape_backtest::JournalSink;
use onetape_backtest::describe::Names;
use onetape_engine::event::{Event, InstrumentDefined, OperatorAction, OperatorCommand};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Market;
use onetape_engine::order::Order;
use onetape_engine::risk::HaltReason;
use onetape_engine::sequencer::Sequencer;
use onetape_engine::time::Nanos;
use onetape_venues::gateway::{Instruments, Listed, Listing};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How long the daemon waits for venues to confirm that orders are taken back.
const CANCEL_WITHIN: Duration = Duration::from_secs(30);

/// What was opened before the core begins.
pub(super) struct Opened {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) listener: TcpListener,
    pub(super) venues: Vec<Venue>,
    pub(super) brokers: Brokers,
    pub(super) markets: Markets,
}

/// A daemon at work.
pub(super) struct Running {
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
    pub(super) fn start(
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
            mut brokers,
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
            orders: {
                let orders = sequencer.desk().orders();
                orders
                    .iter()
                    .chain(orders.entries_with_exits())
                    .copied()
                    .collect()
            },
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
        let mut paths: BTreeMap<String, Arc<OrderPathStatus>> = BTreeMap::new();
        let (mut feeds, mut order_paths) = (Vec::new(), Vec::new());
        let (mut pollers, mut probes) = (Vec::new(), Vec::new());
        let drifts = Drifts::default();
        let (chain, mut chains) = (ChainBalances::default(), Vec::new());
        let mut relisted = Vec::new();
        for venue in venues {
            let instruments = instruments_of(&definitions, venue.instruments_of());
            venue.learn(&definitions);
            let listed = markets.remove(venue.name()).unwrap_or_default();
            let known = known(&before.market, venue.name(), &listed, now);
            let mut account = None;
            if options.session.mode(venue.name()).is_real() && !options.record_only {
                let (facts, told) = mpsc::unbounded_channel();
                let status = Arc::new(OrderPathStatus::default());
                paths.insert(venue.name().to_owned(), status.clone());
                let transport: MakeTransport = match brokers.remove(venue.name()) {
                    Some(gateway) => {
                        let transport = gateway.trade(facts.clone(), inputs.clone());
                        Box::new(|_| Box::new(transport))
                    }
                    None => {
                        let wire = venue.orders(&instruments)?;
                        let (http, inputs) = (http_client(&venue, options.clock)?, inputs.clone());
                        Box::new(|budget| Box::new(HttpTransport::new(wire, http, budget, inputs)))
                    }
                };
                order_paths.push(OrderPathParts {
                    venue: venue.name().to_owned(),
                    transport,
                    allowance: venue.allowance(),
                    facts: told,
                    status,
                });
                account = Some(facts);
                if let Some(wallet) = venue.chain_wallet() {
                    chains.push(ChainWatch {
                        venue: venue.name().to_owned(),
                        wallet,
                        wire: venue.orders(&instruments)?,
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
            for poll in venue.polls(&instruments) {
                pollers.push(Poller {
                    poll,
                    http: http_client(&venue, options.clock)?,
                    inputs: inputs.clone(),
                });
            }
            for feed in venue.feeds(&instruments, &known, account.is_some())? {
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
                    known: listed,
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
        let mut control = control.map_err(|source| DaemonError::System {
            what: "could not open the control socket".to_owned(),
            source,
        })?;
        // Nor is there anything else in the queue before it.
        if control.look() {
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

        let nameable = Nameable::default();
        for definition in &definitions {
            nameable.add(definition);
        }
        let token = environment.get(&["ONETAPE_API_TOKEN", "AT_BEARER_TOKEN"]);
        let api = Api::new(
            core_status,
            window.clone(),
            verified,
            paths,
            disk,
            inputs.clone(),
            token.cloned(),
            nameable.clone(),
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
        let first_own = before.first_own;
        let gateways = Gateways {
            feeds,
            order_paths,
            journal: options.journal.clone(),
            inputs: inputs.clone(),
            options: order_path_options(options),
            before,
        };
        threads.push(gateways.spawn(stop.clone())?);
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
                nameable,
                next: InstrumentId(definitions.len() as u32),
            };
            runtime.spawn(relist.run());
        }
        said(&format!("http://{address} (healthz, readyz, metrics)"));
        said("ready");
        caller.say("begin", format!("started at frame {first_own}"));
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

    pub(super) fn until_stopped(
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
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on the process is asked instead of ended.
    pub(super) fn heard(runtime: &tokio::runtime::Runtime) -> Result<Self, DaemonError> {
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

    pub(super) async fn ask(mut self, asked: Arc<Asked>) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        asked.to_end.store(true, Ordering::Release);
    }
}

/// The state that the journal had led to when the daemon started.
pub(super) struct Before {
    pub(super) market: Market,
    pub(super) orders: Vec<Order>,
    pub(super) first_own: u64,
}

/// Those who call somebody, where a chat is configured.
pub(super) fn alarms(
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

/// A venue's markets as they stand on the tape: as they were listed just now, or as it had them.
fn known(
    market: &Market,
    venue: &str,
    listed: &BTreeMap<String, Listing>,
    now: Nanos,
) -> Vec<OnTape> {
    let of = market.instruments().iter();
    let of = of.filter(|instrument| instrument.definition.venue == venue);
    let known = of.filter_map(|instrument| {
        let listed = listed.get(&instrument.definition.symbol).cloned();
        Some(OnTape {
            listing: listed.or_else(|| relist::on_tape(instrument, now))?,
            is_settled: instrument.settled_at.is_some(),
        })
    });
    known.collect()
}

pub(super) fn instruments_of(definitions: &[InstrumentDefined], venue: &str) -> Instruments {
    let of = definitions
        .iter()
        .filter(|definition| definition.venue == venue);
    Instruments::new(of.map(|definition| Listed {
        instrument: definition.instrument,
        symbol: definition.symbol.clone(),
        decimals: definition.decimals,
    }))
}
