//! What somebody should know at once: read off the tape, said to a chat. The core knows nothing of it.
use crate::telegram::Chat;
use crossbeam_channel::{Receiver, Sender, bounded};
use onetape_backtest::describe::Names;
use onetape_engine::event::{Alarm, AlarmRaised, Event, HaltChanged, Kind, OperatorAction};
use onetape_engine::id::Sequence;
use onetape_engine::market::Market;
use onetape_engine::risk::HaltReason;
use onetape_journal::Reader;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Alarms of the daemon's own parts that wait for the thread at the most; more are lost, and nobody waits.
const WAITING_MAX: usize = 64;
/// A venue may be unreconciled for so long before somebody is called: a restart or a lost connection takes seconds.
const UNRECONCILED_FOR: Duration = Duration::from_secs(60);
/// Frames between two looks at whether to stop.
const FRAMES_AT_ONCE: usize = 4_096;
const REST: Duration = Duration::from_millis(20);
/// How long the last words may take once the daemon ends.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Something to say. Alarms of one key are the same one again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) key: String,
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            text: text.into(),
        }
    }
}

/// For parts of the daemon with something to say that no frame does. Without a chat it says nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller(Option<Sender<Said>>);

impl Caller {
    /// One, and where what it says comes out.
    pub(crate) fn heard() -> (Self, Receiver<Said>) {
        let (sender, said) = bounded(WAITING_MAX);
        (Self(Some(sender)), said)
    }

    /// Says it, or loses it: nobody waits for an alarm.
    pub(crate) fn say(&self, key: &str, text: impl Into<String>) {
        if let Some(sender) = &self.0 {
            let _ = sender.try_send(Said::new(key, text));
        }
    }
}

/// The thread's parts.
pub(crate) struct Alarms {
    /// The tape.
    journal: PathBuf,
    /// The first frame to look at.
    from: u64,
    /// What to call things.
    watch: Watch,
    /// Who is called.
    chat: Chat,
    said: Receiver<Said>,
}

impl Alarms {
    pub(crate) fn new(journal: PathBuf, from: u64, watch: Watch, chat: Chat) -> (Self, Caller) {
        let (caller, said) = Caller::heard();
        let alarms = Self {
            journal,
            from,
            watch,
            chat,
            said,
        };
        (alarms, caller)
    }

    /// Says which halts stand from before.
    pub(crate) fn standing(&mut self, halts: impl IntoIterator<Item = HaltReason>) {
        for reason in halts {
            let changed = HaltChanged {
                cause: Sequence(0),
                reason,
                active: true,
            };
            if let Some(said) = self.watch.halt(&changed) {
                self.chat.say(said, Instant::now());
            }
        }
    }

    /// Reads and says until `stop`, and to the tape's end then.
    ///
    /// # Errors
    /// A text: the journal does not read. A chat that is not there is no error.
    pub(crate) fn run(mut self, stop: &AtomicBool) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let mut reader = Reader::open(&self.journal).map_err(|e| e.to_string())?;
        reader.seek(self.from).map_err(|e| e.to_string())?;
        loop {
            // Read before the tape is: what was written before `stop` is said.
            let stopping = stop.load(Ordering::Acquire);
            let mut at_end = false;
            for _ in 0..FRAMES_AT_ONCE {
                let Some(frame) = reader.next().map_err(|e| e.to_string())? else {
                    at_end = true;
                    break;
                };
                if let Some(said) = self.watch.see(frame.tag.kind(), frame.payload) {
                    self.chat.say(said, Instant::now());
                }
            }
            let now = Instant::now();
            let overdue = self.watch.overdue(now);
            for said in overdue.into_iter().chain(self.said.try_iter()) {
                self.chat.say(said, now);
            }
            if stopping && at_end {
                runtime.block_on(self.chat.finish(LAST_WORDS));
                return Ok(());
            }
            runtime.block_on(self.chat.send_for(REST));
        }
    }
}

/// Which frames somebody should know of, and in which words.
pub(crate) struct Watch {
    names: Names,
    venues: Vec<String>,
    /// The last word of an operator.
    note: String,
    /// Venues that are not reconciled: since when, and whether somebody was called.
    unreconciled: BTreeMap<usize, (Instant, bool)>,
}

impl Watch {
    pub(crate) fn new(names: Names, market: &Market) -> Self {
        let mut watch = Self {
            names,
            venues: Vec::new(),
            note: "before this start".to_owned(),
            unreconciled: BTreeMap::new(),
        };
        for instrument in market.instruments() {
            watch.learn_venue(&instrument.definition.venue);
        }
        watch
    }

    /// Venues have numbers in the order of their first instruments.
    fn learn_venue(&mut self, venue: &str) {
        if !self.venues.iter().any(|known| known == venue) {
            self.venues.push(venue.to_owned());
        }
    }

    fn venue(&self, place: usize) -> &str {
        self.venues.get(place).map_or("a venue", String::as_str)
    }

    /// What a frame has to say.
    pub(crate) fn see(&mut self, kind: u16, payload: &[u8]) -> Option<Said> {
        const KINDS: [Kind; 5] = [
            Kind::InstrumentDefined,
            Kind::SessionStart,
            Kind::OperatorCommand,
            Kind::HaltChanged,
            Kind::AlarmRaised,
        ];
        if !KINDS.iter().any(|known| known.number() == kind) {
            return None;
        }
        let event = Event::decode(kind, payload).ok()?;
        self.names.learn(&event);
        match event {
            Event::InstrumentDefined(definition) => {
                self.learn_venue(&definition.venue);
                None
            }
            Event::OperatorCommand(command) => {
                self.note = command.note;
                match command.action {
                    OperatorAction::Stop { cancel: true } => {
                        Some(Said::new("end", "stopping: orders at work are taken back"))
                    }
                    OperatorAction::Stop { cancel: false } => {
                        Some(Said::new("end", "stopping: orders at work stay"))
                    }
                    _ => None,
                }
            }
            Event::HaltChanged(changed) => self.halt(&changed),
            Event::AlarmRaised(alarm) => Some(self.alarm(&alarm)),
            _ => None,
        }
    }

    fn halt(&mut self, changed: &HaltChanged) -> Option<Said> {
        let why = match changed.reason {
            // Every start and every lost connection is one: it is said when it lasts.
            HaltReason::Unreconciled { venue } => {
                let place = venue.index();
                if changed.active {
                    let since = (Instant::now(), false);
                    self.unreconciled.entry(place).or_insert(since);
                    return None;
                }
                let (_, called) = self.unreconciled.remove(&place)?;
                let key = format!("reconciled {place}");
                return called
                    .then(|| Said::new(key, format!("{} is reconciled", self.venue(place))));
            }
            // It is said where the daemon ends.
            HaltReason::Stopping => return None,
            HaltReason::Operator => format!("an operator said so ({})", self.note),
            HaltReason::ClockDrift => "our clock is off".to_owned(),
            HaltReason::DailyLoss { strategy } => {
                let name = self.names.strategy(strategy.0).unwrap_or("a strategy");
                format!("{name} lost too much today")
            }
            HaltReason::IllegalMove { order } => {
                format!("a venue told a move of order {} that can't be", order.0)
            }
            HaltReason::HoldingsDiffer { venue } => {
                let venue = self.venue(venue.index());
                format!("{venue} says that we hold something else than our fills add up to")
            }
            HaltReason::Backlog => "inputs wait too long".to_owned(),
            HaltReason::Disk => format!("the journal's disk is nearly full ({})", self.note),
            HaltReason::Verification => format!("a decision came out otherwise ({})", self.note),
        };
        let (key, begins) = if changed.active {
            ("halted", "HALTED")
        } else {
            ("halt ended", "halt ended")
        };
        Some(Said::new(
            format!("{key} {:?}", changed.reason),
            format!("{begins}: {why}"),
        ))
    }

    fn alarm(&self, raised: &AlarmRaised) -> Said {
        let what = match raised.alarm {
            Alarm::SingleLeg => "one leg is filled and the other is not",
            Alarm::Reconcile => "an order of two legs does not add up: reconcile it",
            Alarm::Diverged => "two venues of a pair paid differently",
            Alarm::RulesChanged => "a pair's rule text is not the approved one: it is suspended",
            Alarm::AbnormalSpread => "a spread is too wide to be true",
            Alarm::BothEntriesFilled => "both entries of a pair filled",
            Alarm::Unprotected => "a position has no stop at its venue",
            Alarm::LossStreak => "too many losses in a row",
            Alarm::EmergencyLoss => "a day lost so much that what is open is closed",
        };
        let strategy = self.names.strategy(raised.strategy.0).unwrap_or("?");
        let instrument = self.names.instrument(raised.instrument.0).unwrap_or("?");
        Said::new(
            format!("{:?} {strategy} {instrument}", raised.alarm),
            format!("ALARM: {what}: {strategy}, {instrument}, {}", raised.value),
        )
    }

    /// Venues that have been unreconciled for too long, each once.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<Said> {
        let mut places = Vec::new();
        for (place, (since, called)) in &mut self.unreconciled {
            if !*called && now.duration_since(*since) >= UNRECONCILED_FOR {
                *called = true;
                places.push(*place);
            }
        }
        let say = |place| {
            let text = format!(
                "ALARM: {} has been unreconciled for a minute: nothing is sent there",
                self.venue(place)
            );
            Said::new(format!("unreconciled {place}"), text)
        };
        places.into_iter().map(say).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetape_engine::event::{InstrumentDefined, InstrumentType, OperatorCommand};
    use onetape_engine::id::{InstrumentId, StrategyId, VenueId};
    use onetape_engine::number::Decimals;

    fn see(watch: &mut Watch, event: &Event<'_>) -> Option<String> {
        let mut payload = Vec::new();
        event.encode(&mut payload);
        let said = watch.see(event.kind().number(), &payload);
        said.map(|said| said.text)
    }

    fn watch() -> Watch {
        let mut watch = Watch::new(Names::default(), &Market::default());
        for (number, venue) in ["kalshi", "kalshi", "upbit"].into_iter().enumerate() {
            let definition = InstrumentDefined {
                instrument: InstrumentId(number as u32),
                venue: venue.to_owned(),
                symbol: format!("X{number}"),
                instrument_type: InstrumentType::Binary,
                base: "YES".to_owned(),
                quote: "USD".to_owned(),
                decimals: Decimals::new(4, 2).unwrap(),
            };
            let defined = Event::InstrumentDefined(Box::new(definition));
            assert_eq!(see(&mut watch, &defined), None);
        }
        watch
    }

    fn halt(reason: HaltReason, active: bool) -> Event<'static> {
        Event::HaltChanged(HaltChanged {
            cause: Sequence(1),
            reason,
            active,
        })
    }

    #[test]
    fn a_halt_is_said_with_its_reason_and_so_is_its_end() {
        let mut watch = watch();
        let command = OperatorCommand {
            action: OperatorAction::Halt,
            note: "news".to_owned(),
        };
        let command = Event::OperatorCommand(Box::new(command));
        assert_eq!(see(&mut watch, &command), None);
        let mut said = |reason, active| see(&mut watch, &halt(reason, active)).unwrap();
        assert_eq!(
            said(HaltReason::Operator, true),
            "HALTED: an operator said so (news)"
        );
        assert_eq!(
            said(HaltReason::ClockDrift, false),
            "halt ended: our clock is off"
        );
        let differ = HaltReason::HoldingsDiffer { venue: VenueId(1) };
        assert!(said(differ, true).contains("upbit says"));
        assert_eq!(see(&mut watch, &halt(HaltReason::Stopping, true)), None);
    }

    #[test]
    fn a_venue_that_is_not_reconciled_is_said_after_a_minute_and_once() {
        let mut watch = watch();
        let lost = |venue| HaltReason::Unreconciled { venue };
        assert_eq!(see(&mut watch, &halt(lost(VenueId(0)), true)), None);
        assert_eq!(see(&mut watch, &halt(lost(VenueId(1)), true)), None);
        let now = Instant::now();
        assert_eq!(watch.overdue(now + Duration::from_secs(50)), []);
        assert_eq!(see(&mut watch, &halt(lost(VenueId(1)), false)), None);
        let late = watch.overdue(now + Duration::from_secs(70));
        assert_eq!(late.len(), 1);
        assert!(late[0].text.contains("kalshi has been unreconciled"));
        assert_eq!(watch.overdue(now + Duration::from_secs(90)), []);
        assert_eq!(
            see(&mut watch, &halt(lost(VenueId(0)), false)).unwrap(),
            "kalshi is reconciled"
        );
    }

    #[test]
    fn an_alarm_names_whose_it_is() {
        let mut watch = watch();
        let alarm = Event::AlarmRaised(Box::new(AlarmRaised {
            cause: Sequence(1),
            strategy: StrategyId(0),
            instrument: InstrumentId(2),
            alarm: Alarm::SingleLeg,
            value: rust_decimal::Decimal::TEN,
        }));
        let text = see(&mut watch, &alarm).unwrap();
        assert_eq!(
            text,
            "ALARM: one leg is filled and the other is not: ?, upbit:X2, 10"
        );
    }
}
