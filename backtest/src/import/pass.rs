//! The two passes over the files, and the journal between them.
use super::decoder::Decoder;
use super::error::{Fault, ImportError, Reject};
use super::facts::{FactsFile, Known, KnownInstrument};
use super::feed::{Lane, OpenFrame, Place, Routed, Stop};
use super::lines::Lines;
use super::options::{ImportOptions, Progress};
use super::report::{FileReport, ImportReport, RejectReport};
use super::row::Content;
use super::survey::{Survey, anonymous_fault, read};
use super::tape::{Existing, Tape};
use onetape_engine::event::{DataSource, Event, InstrumentDefined, InstrumentType, Kind};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Instrument;
use onetape_engine::time::Nanos;
use std::path::PathBuf;

const PROGRESS_EVERY_LINES: u64 = 4096;
const REJECTS_SHOWN: usize = 3;

/// Imports files into a journal, see [`ImportOptions`].
///
/// # Errors
/// [`ImportError`]; the journal is as it was before, but for [`ImportError::Changed`] and a full disk while an existing
/// journal goes on.
pub fn run(
    options: &ImportOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<ImportReport, ImportError> {
    if options.files.is_empty() {
        return Err(ImportError::NoFiles);
    }
    let existing = Existing::read(&options.journal)?;
    let (facts, data): (Vec<_>, Vec<_>) = options
        .files
        .iter()
        .cloned()
        .partition(|path| FactsFile::is_one(path));
    let facts: Vec<FactsFile> = facts
        .iter()
        .map(|path| FactsFile::read(path))
        .collect::<Result<_, _>>()?;
    let mut done = Progress {
        bytes_total: bytes_of(&data).saturating_mul(2),
        ..Progress::default()
    };
    let reference = Reference::read(&facts, &existing)?;
    let survey = survey(
        options,
        &data,
        &reference.known,
        &existing,
        &mut done,
        progress,
    )?;
    let mut import = Import::begin(options, &data, &facts, reference, existing, &survey)?;
    import.data(options, &mut done, progress)?;
    import.finish()
}

fn bytes_of(files: &[PathBuf]) -> u64 {
    files
        .iter()
        .filter_map(|path| std::fs::metadata(path).ok())
        .map(|meta| meta.len())
        .sum()
}

fn known(definition: &InstrumentDefined) -> KnownInstrument {
    KnownInstrument {
        id: definition.instrument,
        decimals: definition.decimals,
        is_binary: definition.instrument_type == InstrumentType::Binary,
    }
}

/// What the facts files define before any data are read.
struct Reference {
    known: Known,
    definitions: Vec<InstrumentDefined>,
}

impl Reference {
    fn read(facts: &[FactsFile], existing: &Existing) -> Result<Self, ImportError> {
        let mut reference = Self {
            known: existing
                .market
                .instruments()
                .iter()
                .map(|i| (i.name.clone(), known(&i.definition)))
                .collect(),
            definitions: Vec::new(),
        };
        for file in facts {
            if existing.sources.contains(&file.identity) {
                return Err(ImportError::AlreadyImported {
                    path: file.path.clone(),
                    identity: file.identity.clone(),
                });
            }
            if let Some(first_ns) = file.first_ns().filter(|first| *first < existing.last_ns) {
                return Err(ImportError::BeforeJournalEnd {
                    path: file.path.clone(),
                    first_ns,
                    journal_ns: existing.last_ns,
                });
            }
            let before = existing.market.instruments().len() + reference.definitions.len();
            for definition in file.definitions(before as u32, &reference.known)? {
                let name = Instrument::full_name(&definition);
                reference.known.insert(name, known(&definition));
                reference.definitions.push(definition);
            }
        }
        Ok(reference)
    }
}

fn survey(
    options: &ImportOptions,
    data: &[PathBuf],
    known: &Known,
    existing: &Existing,
    done: &mut Progress,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Survey, ImportError> {
    let mut survey = Survey::default();
    for path in data {
        let before = done.bytes_done;
        survey.file(options, path, known, &mut |lines| {
            lines.name().clone_into(&mut done.file);
            done.bytes_done = before + lines.bytes();
            progress(done);
        })?;
        let Some((file, others)) = survey.files.split_last() else {
            continue;
        };
        let twice = others.iter().any(|other| other.identity == file.identity);
        if twice || existing.sources.contains(&file.identity) {
            return Err(ImportError::AlreadyImported {
                path: path.clone(),
                identity: file.identity.clone(),
            });
        }
        if file.first_ns < existing.last_ns && !options.lenient {
            let (first_ns, journal_ns) = (file.first_ns, existing.last_ns);
            return Err(ImportError::BeforeJournalEnd {
                path: path.clone(),
                first_ns,
                journal_ns,
            });
        }
    }
    Ok(survey)
}

/// A file under way in the second pass.
struct Source {
    lines: Lines,
    decoder: Decoder,
    /// The time of the line at which `lines` stands; `None` at the end.
    next_ns: Option<u64>,
    identity: String,
    only: Option<usize>,
}

impl Source {
    /// Goes to the next line with something on it. A line whose time can't be told goes right after the one before.
    fn advance(&mut self) -> Result<(), ImportError> {
        while self.lines.advance()? {
            match self.lines.text() {
                Some(text) if text.trim().is_empty() => {}
                text => {
                    let before = self.next_ns.unwrap_or(0);
                    let stamp = text
                        .and_then(|text| self.decoder.stamp(text))
                        .unwrap_or(before);
                    self.next_ns = Some(stamp.max(before));
                    return Ok(());
                }
            }
        }
        self.next_ns = None;
        if self.lines.identity() != self.identity {
            return Err(ImportError::Changed {
                path: self.lines.path().to_path_buf(),
            });
        }
        Ok(())
    }
}

/// Counts a line that is left out, or refuses the import for it.
fn reject(
    report: &mut FileReport,
    line: u64,
    fault: Fault,
    lenient: bool,
) -> Result<(), ImportError> {
    let reason = format!("field '{}': {}", fault.field, fault.why);
    let reject: Reject = fault.at(&report.name, line);
    if !lenient {
        return Err(ImportError::Reject(reject));
    }
    let example = format!("line {line}: '{}'", reject.value);
    match report
        .rejects
        .iter_mut()
        .find(|known| known.reason == reason)
    {
        Some(known) => {
            known.count += 1;
            if known.examples.len() < REJECTS_SHOWN {
                known.examples.push(example);
            }
        }
        None => report.rejects.push(RejectReport {
            reason,
            count: 1,
            examples: vec![example],
        }),
    }
    Ok(())
}

struct Import<'a> {
    survey: &'a Survey,
    sources: Vec<Source>,
    reports: Vec<FileReport>,
    lanes: Vec<Lane>,
    ids: Vec<InstrumentId>,
    tape: Tape,
    open: OpenFrame,
    first_ns: u64,
    /// What was known from a time on, the latest first.
    facts: Vec<(u64, usize, Event<'static>)>,
}

impl<'a> Import<'a> {
    /// Begins the journal: where the data come from, then each instrument that is new.
    fn begin(
        options: &ImportOptions,
        data: &[PathBuf],
        facts: &[FactsFile],
        reference: Reference,
        existing: Existing,
        survey: &'a Survey,
    ) -> Result<Self, ImportError> {
        // Everything that can be refused is refused before the journal is touched.
        let decimals = survey
            .listings
            .iter()
            .map(|listing| listing.decimals())
            .collect::<Result<Vec<_>, _>>()?;
        let (mut sources, mut reports) = (Vec::new(), Vec::new());
        for (path, surveyed) in data.iter().zip(&survey.files) {
            let mut lines = Lines::open(path)?;
            let changed = || ImportError::Changed { path: path.clone() };
            loop {
                if !lines.advance()? {
                    return Err(changed());
                }
                if lines.text().is_none_or(|text| !text.trim().is_empty()) {
                    break;
                }
            }
            let (decoder, has_header) = Decoder::open(options, &lines)?;
            reports.push(FileReport {
                name: lines.name().to_owned(),
                format: decoder.format().name().to_owned(),
                identity: surveyed.identity.clone(),
                ..FileReport::default()
            });
            let stamp = lines
                .text()
                .and_then(|text| decoder.stamp(text))
                .unwrap_or(0);
            let (identity, only) = (surveyed.identity.clone(), surveyed.only);
            let mut source = Source {
                lines,
                decoder,
                next_ns: Some(stamp),
                identity,
                only,
            };
            if has_header {
                source.advance()?;
            }
            sources.push(source);
        }

        let first_ns = survey
            .files
            .iter()
            .map(|file| file.first_ns)
            .chain(facts.iter().filter_map(FactsFile::first_ns))
            .min()
            .unwrap_or(0)
            .max(existing.last_ns);
        let mut known = reference.known;
        let mut next = existing.market.instruments().len() + reference.definitions.len();
        for (listing, decimals) in survey.listings.iter().zip(&decimals) {
            known.entry(listing.name()).or_insert_with(|| {
                next += 1;
                KnownInstrument {
                    id: InstrumentId(next as u32 - 1),
                    decimals: *decimals,
                    is_binary: false,
                }
            });
        }
        let mut timed = Vec::new();
        for (place, file) in facts.iter().enumerate() {
            for fact in file.resolve(&known)? {
                timed.push((
                    fact.at_ns.unwrap_or(first_ns),
                    data.len() + place,
                    fact.event,
                ));
            }
            reports.push(FileReport {
                name: file.name.clone(),
                format: "facts".to_owned(),
                identity: file.identity.clone(),
                lines: file.lines,
                ..FileReport::default()
            });
        }
        // Stable: facts of one time stay in the order of the files.
        timed.sort_by_key(|(at, _, _)| *at);
        timed.reverse();
        let tape = Tape::open(&options.journal, existing)?;
        let (lanes, ids) = (Vec::new(), Vec::new());
        let mut import = Self {
            survey,
            sources,
            reports,
            lanes,
            ids,
            tape,
            open: OpenFrame::default(),
            first_ns,
            facts: timed,
        };
        for report in &mut import.reports {
            let source = DataSource {
                name: report.name.clone(),
                format: report.format.clone(),
                identity: report.identity.clone(),
                generated: false,
            };
            import
                .tape
                .push(first_ns, &Event::DataSource(Box::new(source)))?;
            report.frames.insert(Kind::DataSource.name(), 1);
        }
        let declared = reference.definitions.len();
        let before = import.tape.market.instruments().len();
        for definition in reference.definitions {
            import
                .tape
                .push(first_ns, &Event::InstrumentDefined(Box::new(definition)))?;
        }
        for (listing, decimals) in survey.listings.iter().zip(decimals) {
            let known = import.tape.market.find(&listing.name());
            let id = known.map_or(
                InstrumentId(import.tape.market.instruments().len() as u32),
                |known| known.id(),
            );
            let rules_known = known.and_then(|known| known.rules_at(Nanos(first_ns)).cloned());
            let from = Nanos(if known.is_some() { first_ns } else { 0 });
            if known.is_none() {
                let definition = listing.definition(id, decimals);
                import
                    .tape
                    .push(first_ns, &Event::InstrumentDefined(Box::new(definition)))?;
            }
            import.ids.push(id);
            // An instrument that the facts define has the rules and fees that they give, or none.
            if id.index() >= before && id.index() < before + declared {
                continue;
            }
            if let Some(rules) = listing.rules(id, decimals, rules_known.as_ref(), from) {
                import.tape.push(first_ns, &Event::TradingRules(rules))?;
            }
            if import.instrument(id)?.fees_at(Nanos(first_ns)).is_none()
                && let Some(fees) = listing.fees(id, options)
            {
                import
                    .tape
                    .push(first_ns, &Event::FeeSchedule(Box::new(fees)))?;
            }
        }
        import.facts_until(first_ns)?;
        for (listing, id) in survey.listings.iter().zip(import.ids.clone()) {
            let defined = import.instrument(id)?.clone();
            let (tick, lot) = defined
                .rules_at(Nanos(first_ns))
                .map_or_else(Default::default, |r| (r.tick_size, r.lot_size));
            import
                .lanes
                .push(Lane::new(&defined, listing.product, tick, lot));
        }
        Ok(import)
    }

    fn instrument(&self, id: InstrumentId) -> Result<&Instrument, ImportError> {
        let sequence = self.tape.last_sequence;
        self.tape
            .market
            .instrument(id)
            .map_err(|source| ImportError::Engine { sequence, source })
    }

    /// Puts the facts that were known at a time on the tape: before the data of the same time.
    fn facts_until(&mut self, now_ns: u64) -> Result<(), ImportError> {
        while self.facts.last().is_some_and(|(at, _, _)| *at <= now_ns) {
            let Some((at, file, event)) = self.facts.pop() else {
                break;
            };
            // Level rows before it are a frame of their own.
            self.close_open()?;
            let kind = self.tape.push(at, &event)?;
            if let Some(report) = self.reports.get_mut(file) {
                *report.frames.entry(kind.name()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn close_open(&mut self) -> Result<(), ImportError> {
        let Self {
            reports,
            lanes,
            tape,
            open,
            ..
        } = self;
        open.file().map_or(Ok(()), |owner| {
            close_frame(open, owner, reports, lanes, tape)
        })
    }

    /// The data of all files, merged by time; files with the same time come in the order given.
    fn data(
        &mut self,
        options: &ImportOptions,
        done: &mut Progress,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<(), ImportError> {
        let (before, mut lines) = (done.bytes_done, 0u64);
        loop {
            let next = self
                .sources
                .iter()
                .enumerate()
                .filter_map(|(file, s)| Some((s.next_ns?, file)))
                .min();
            let Some((at, file)) = next else { break };
            self.facts_until(at)?;
            self.line(options.lenient, file)?;
            lines += 1;
            let at_end = match self.sources.get_mut(file) {
                Some(source) => {
                    source.advance()?;
                    source.next_ns.is_none()
                }
                None => false,
            };
            if at_end || lines.is_multiple_of(PROGRESS_EVERY_LINES) {
                if let Some(source) = self.sources.get(file) {
                    source.lines.name().clone_into(&mut done.file);
                }
                done.bytes_done =
                    before + self.sources.iter().map(|s| s.lines.bytes()).sum::<u64>();
                done.frames = self.tape.frames;
                progress(done);
            }
        }
        self.close_open()?;
        self.facts_until(u64::MAX)
    }

    fn line(&mut self, lenient: bool, file: usize) -> Result<(), ImportError> {
        let Self {
            survey,
            sources,
            reports,
            lanes,
            tape,
            open,
            ..
        } = self;
        let (Some(source), Some(report)) = (sources.get(file), reports.get_mut(file)) else {
            return Ok(());
        };
        let line = source.lines.number();
        let checked = read(&source.decoder, &source.lines).and_then(|row| {
            // A strict import has checked them all in the first pass.
            if lenient {
                row.content.numbers(&mut |_, _, _| Ok(()))?;
            }
            Ok(row)
        });
        let row = match checked {
            Ok(row) => row,
            Err(fault) => return reject(report, line, fault, lenient),
        };
        if let Content::Ignored(why) = row.content {
            *report.ignored.entry(why).or_default() += 1;
            return Ok(());
        }
        let lane = match row.symbol {
            Some(symbol) => survey.find(row.venue, symbol),
            None => source.only,
        };
        let Some(lane) = lane else {
            return reject(report, line, anonymous_fault(0), lenient);
        };
        let routed = Routed {
            row: &row,
            lane,
            file,
        };
        if let Some(owner) = open.closes_before(&routed) {
            close_frame(open, owner, reports, lanes, tape)?;
        }
        let Some(report) = reports.get_mut(file) else {
            return Ok(());
        };
        let place = Place {
            file: source.lines.name(),
            line,
            stamp_ns: row.stamp_ns,
        };
        match open.take(&routed, &place, lanes, tape, &mut report.frames) {
            Ok(()) => Ok(()),
            Err(Stop::Import(error)) => Err(error),
            Err(Stop::Row(fault)) => reject(report, line, fault, lenient),
        }
    }

    /// Seals the journal and reports.
    fn finish(mut self) -> Result<ImportReport, ImportError> {
        self.tape.close()?;
        let (tape, mut instruments) = (self.tape, Vec::new());
        for (lane, id) in self.lanes.into_iter().zip(self.ids) {
            let sequence = tape.last_sequence;
            let instrument = tape
                .market
                .instrument(id)
                .map_err(|source| ImportError::Engine { sequence, source })?;
            instruments.push(lane.finish(instrument));
        }
        for (report, source) in self.reports.iter_mut().zip(&self.sources) {
            report.lines = source.lines.number();
        }
        Ok(ImportReport {
            files: self.reports,
            instruments,
            frames: tape.frames,
            last_sequence: tape.last_sequence,
            first_ns: self.first_ns,
            last_ns: tape.last_ns,
            clamped_stamps: tape.clamped,
        })
    }
}

/// Puts the frame that `owner`'s level rows make on the tape.
fn close_frame(
    open: &mut OpenFrame,
    owner: usize,
    reports: &mut [FileReport],
    lanes: &mut [Lane],
    tape: &mut Tape,
) -> Result<(), ImportError> {
    let Some(report) = reports.get_mut(owner) else {
        return Ok(());
    };
    match open.close(&report.name, lanes, tape, &mut report.frames) {
        Ok(()) => Ok(()),
        Err(Stop::Import(error)) => Err(error),
        Err(Stop::Row(fault)) => reject(report, 0, fault, false),
    }
}
