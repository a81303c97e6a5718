//! The journal as a daemon takes it over: continued, begun, or handed over by the one before.
use super::checks::leases;
use super::{DaemonError, LOOK_EVERY, RunOptions};
use crate::config::DurabilityMode;
use crate::control;
use crate::lease::{Lease, LeaseError};
use crate::venues::Venue;
use onetape_backtest::{JournalSink, recover};
use onetape_engine::event::{Event, Kind, SessionStart};
use onetape_engine::sequencer::{Sequencer, Sink};
use onetape_engine::session::SessionConfig;
use onetape_engine::time::DAY_NS;
use onetape_engine::{ENGINE_VERSION, LOGIC_HASH};
use onetape_journal::{Durability, Options, Writer};
use onetape_venues::exchange::ExchangeClock;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a daemon that takes over waits for the one before.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(60);

/// Leases and journal from a daemon that is at work: it is asked to end and to leave its orders where they are, unless its
/// tape does not take our configuration.
pub(super) fn taken_over(
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
pub(super) fn open_tape(
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
pub(super) fn is_new(journal: &Path) -> bool {
    let Ok(entries) = journal.read_dir() else {
        return true;
    };
    let mut names = entries.flatten().map(|entry| entry.file_name());
    names.all(|name| name == "LOCK" || name == "HALT")
}

/// Strategies begin with the session and see nothing of what came before, so the facts that stand before it are told again
/// right behind it: those that were not, since a process may die on the way.
pub(super) fn untold(journal: &Path) -> Result<VecDeque<(u16, Vec<u8>)>, DaemonError> {
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
pub(super) fn check_tape(options: &RunOptions) -> Result<(), DaemonError> {
    let recovered = recover::recover(&options.journal)?.sequencer;
    check_change(options, &recovered)
}

pub(super) fn check_change<S: Sink>(
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

pub(super) fn session(options: &RunOptions) -> SessionConfig {
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

pub(super) fn begin_session(
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

pub(super) fn step(
    sequencer: &mut Sequencer<JournalSink>,
    clock: ExchangeClock,
    event: &Event<'_>,
) -> Result<(), DaemonError> {
    let mut payload = Vec::new();
    event.encode(&mut payload);
    Ok(sequencer.step(clock.now(), event.kind().number(), &payload)?)
}

/// The keys of all intents on a tape: none of them is ever taken again.
pub(super) fn intent_keys(journal: &Path) -> Result<BTreeSet<String>, DaemonError> {
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
