//! `onetape info`.
use crate::failure::{Exit, Failure};
use crate::output;
use crate::verb::recover::tail_text;
use onetape_backtest::describe::Names;
use onetape_engine::event::{DataSource, Event, FeedCondition, Kind, SessionStart, StaleReason};
use onetape_journal::{Reader, RootHasher, SegmentState, describe};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Serialize)]
struct Info {
    journal: String,
    journal_id: Option<String>,
    frames: u64,
    /// The first sequence that retention has left; nothing where it has taken none.
    begins_at: Option<u64>,
    first_sequence: u64,
    last_sequence: u64,
    first_at_ns: u64,
    last_at_ns: u64,
    root_hash: String,
    state_hash: Option<String>,
    state_hash_sequence: Option<u64>,
    inputs: u64,
    derived: u64,
    steps: u64,
    durable_sequence: Option<u64>,
    tail: String,
    damage: Option<String>,
    kinds: BTreeMap<&'static str, u64>,
    unknown_kinds: u64,
    instruments: Vec<String>,
    gaps: Vec<Gap>,
    gap_count: u64,
    session: Option<Session>,
    sources: Vec<Source>,
    segments: Vec<Segment>,
    snapshots: Vec<u64>,
}

#[derive(Serialize)]
struct Gap {
    sequence: u64,
    at_ns: u64,
    instrument: String,
    reason: String,
}

#[derive(Serialize)]
struct Session {
    engine_version: String,
    logic_hash: String,
    strategies: Vec<String>,
}

impl Session {
    fn of(start: SessionStart) -> Self {
        let strategies = start.config.strategies.iter();
        Self {
            strategies: strategies
                .map(|s| format!("{} ({})", s.id, s.params.name()))
                .collect(),
            engine_version: start.engine_version,
            logic_hash: start.logic_hash,
        }
    }
}

#[derive(Serialize)]
struct Source {
    name: String,
    format: String,
    generated: bool,
}

impl Source {
    fn of(source: DataSource) -> Self {
        Self {
            name: source.name,
            format: source.format,
            generated: source.generated,
        }
    }
}

#[derive(Serialize)]
struct Segment {
    id: u64,
    base_sequence: u64,
    frames: u64,
    bytes_used: u64,
    file_bytes: u64,
    archived: bool,
    state: String,
    epoch: String,
}

/// Gaps that are listed one by one; the rest are counted.
const GAPS_LISTED: usize = 20;

pub(crate) fn run(dir: &Path, json: bool) -> Result<Exit, Failure> {
    let info = gather(dir)?;
    if json {
        output::json(&info)?;
    } else {
        print(&info)?;
    }
    Ok(if info.damage.is_some() {
        Exit::Data
    } else {
        Exit::Ok
    })
}

fn gather(dir: &Path) -> Result<Info, Failure> {
    let description = describe(dir)?;
    let segments = description.segments.iter().map(|s| Segment {
        id: s.id,
        base_sequence: s.base_sequence,
        frames: s.frames,
        bytes_used: s.bytes_used,
        file_bytes: s.file_bytes,
        archived: s.archived,
        state: match &s.state {
            SegmentState::Sealed => "sealed".to_owned(),
            SegmentState::Open => "open".to_owned(),
            SegmentState::Prepared => "prepared".to_owned(),
            SegmentState::Damaged(why) => format!("damaged: {why}"),
            other => format!("{other:?}"),
        },
        epoch: format!("{:016x}", s.epoch),
    });
    let mut info = Info {
        journal: dir.display().to_string(),
        journal_id: description.journal_id.map(|id| format!("{id:032x}")),
        frames: 0,
        begins_at: description.begins_at,
        first_sequence: 0,
        last_sequence: 0,
        first_at_ns: 0,
        last_at_ns: 0,
        root_hash: String::new(),
        state_hash: None,
        state_hash_sequence: None,
        inputs: 0,
        derived: 0,
        steps: 0,
        durable_sequence: description.durable_sequence,
        tail: String::new(),
        damage: None,
        kinds: BTreeMap::new(),
        unknown_kinds: 0,
        instruments: Vec::new(),
        gaps: Vec::new(),
        gap_count: 0,
        session: None,
        sources: Vec::new(),
        segments: segments.collect(),
        snapshots: description.snapshots,
    };
    let mut hasher = RootHasher::new();
    match Reader::open(dir) {
        Ok(mut reader) => {
            let read = read_carried(dir, &mut info)
                .and_then(|names| read_frames(&mut reader, names, &mut hasher, &mut info));
            if let Err(e) = read {
                info.damage = Some(e.to_string());
            }
            info.tail = tail_text(reader.tail());
        }
        Err(e) => info.damage = Some(e.to_string()),
    }
    let root = hasher.finish();
    (info.frames, info.first_sequence, info.last_sequence) =
        (root.frames, root.first_sequence, root.last_sequence);
    info.root_hash = root.hash.to_hex().to_string();
    Ok(info)
}

/// What retention has carried over says what the rest is about.
fn read_carried(dir: &Path, info: &mut Info) -> Result<Names, onetape_journal::Error> {
    for frame in onetape_journal::retention::carried(dir)? {
        match Event::decode(frame.tag.kind(), &frame.payload) {
            Ok(Event::SessionStart(start)) => info.session = Some(Session::of(*start)),
            Ok(Event::DataSource(source)) => info.sources.push(Source::of(*source)),
            _ => {}
        }
    }
    Names::carried(dir)
}

fn read_frames(
    reader: &mut Reader,
    mut names: Names,
    hasher: &mut RootHasher,
    info: &mut Info,
) -> Result<(), onetape_journal::Error> {
    let mut counts = vec![0u64; 1 << 10];
    while let Some(frame) = reader.next()? {
        hasher.add(&frame);
        if info.inputs + info.derived == 0 {
            info.first_at_ns = frame.timestamp_ns;
        }
        info.last_at_ns = frame.timestamp_ns;
        *(if frame.tag.is_derived() {
            &mut info.derived
        } else {
            &mut info.inputs
        }) += 1;
        info.steps += u64::from(frame.tag.ends_step());
        let number = frame.tag.kind();
        if let Some(count) = counts.get_mut(usize::from(number)) {
            *count += 1;
        }
        const HOT: [u16; 4] = [
            Kind::Quote.number(),
            Kind::Trade.number(),
            Kind::BookDelta.number(),
            Kind::BookSnapshot.number(),
        ];
        if HOT.contains(&number) {
            continue;
        }
        let Ok(event) = Event::decode(number, frame.payload) else {
            continue;
        };
        names.learn(&event);
        match event {
            Event::StateHash(state) => {
                (info.state_hash, info.state_hash_sequence) =
                    (Some(state.hash), Some(frame.sequence));
            }
            Event::FeedState(state) => {
                if let FeedCondition::Stale(reason) = &state.condition {
                    info.gap_count += 1;
                    if info.gaps.len() < GAPS_LISTED {
                        info.gaps.push(Gap {
                            sequence: frame.sequence,
                            at_ns: frame.timestamp_ns,
                            instrument: names
                                .instrument(state.instrument.0)
                                .unwrap_or("?")
                                .to_owned(),
                            reason: match reason {
                                StaleReason::Gap { expected, found } => {
                                    format!(
                                        "update ids: expected to build on {expected}, found {found}"
                                    )
                                }
                                other => format!("{other:?}").to_lowercase(),
                            },
                        });
                    }
                }
            }
            Event::SessionStart(start) => info.session = Some(Session::of(*start)),
            Event::DataSource(source) => info.sources.push(Source::of(*source)),
            _ => {}
        }
    }
    info.instruments = names.instruments().map(str::to_owned).collect();
    for (number, count) in counts
        .into_iter()
        .enumerate()
        .filter(|(_, count)| *count > 0)
    {
        match u16::try_from(number).ok().and_then(Kind::from_number) {
            Some(kind) => {
                info.kinds.insert(kind.name(), count);
            }
            None => info.unknown_kinds += count,
        }
    }
    Ok(())
}

fn print(info: &Info) -> Result<(), Failure> {
    use output::{bytes, count, line, plural, table, time};
    line(format!(
        "{}  {}",
        info.journal,
        info.journal_id.as_deref().unwrap_or("")
    ))?;
    if info.frames > 0 {
        line(format!(
            "  {}: sequence {} to {}, {} to {}",
            plural(info.frames, "frame"),
            count(info.first_sequence),
            count(info.last_sequence),
            time(info.first_at_ns),
            time(info.last_at_ns)
        ))?;
        line(format!(
            "  {}, {} derived, {}",
            plural(info.inputs, "input"),
            count(info.derived),
            plural(info.steps, "step")
        ))?;
    } else {
        line("  no frames")?;
    }
    if let Some(first) = info.begins_at {
        line(format!(
            "  begins at sequence {}: what came before was removed (journal_max_mib)",
            count(first)
        ))?;
    }
    match info.durable_sequence {
        Some(sequence) => line(format!(
            "  durable up to sequence {}; the tape {}",
            count(sequence),
            info.tail
        ))?,
        None => line(format!("  no durable record; the tape {}", info.tail))?,
    }
    for source in &info.sources {
        let generated = if source.generated { ", generated" } else { "" };
        line(format!(
            "  source: {} ({}{generated})",
            source.name, source.format
        ))?;
    }
    if let Some(session) = &info.session {
        line(format!(
            "  session: engine {}, logic {}, {}",
            session.engine_version,
            session.logic_hash,
            if session.strategies.is_empty() {
                "no strategy".to_owned()
            } else {
                session.strategies.join(", ")
            }
        ))?;
    }
    line(format!(
        "  instruments: {}",
        if info.instruments.is_empty() {
            "none".to_owned()
        } else {
            info.instruments.join(", ")
        }
    ))?;
    let rows = info
        .kinds
        .iter()
        .map(|(kind, number)| vec![(*kind).to_owned(), count(*number)])
        .collect();
    line(format!("\n{}", table(&["kind", "frames"], 1, rows)))?;
    let rows = info.segments.iter().map(|s| {
        let place = if s.archived { "archived" } else { "mapped" };
        vec![
            s.id.to_string(),
            place.to_owned(),
            s.state.clone(),
            count(s.base_sequence),
            count(s.frames),
            bytes(s.bytes_used),
            bytes(s.file_bytes),
        ]
    });
    line(format!(
        "\n{}",
        table(
            &["segment", "kept", "state", "from", "frames", "used", "file"],
            3,
            rows.collect()
        )
    ))?;
    if info.gap_count > 0 {
        line(format!(
            "\n  {} in the feeds",
            plural(info.gap_count, "gap")
        ))?;
        for gap in &info.gaps {
            line(format!(
                "    sequence {} {} {}: {}",
                count(gap.sequence),
                time(gap.at_ns),
                gap.instrument,
                gap.reason
            ))?;
        }
    } else {
        line("\n  no gaps")?;
    }
    if !info.snapshots.is_empty() {
        line(format!(
            "  snapshots at {}",
            info.snapshots
                .iter()
                .map(|s| count(*s))
                .collect::<Vec<_>>()
                .join(", ")
        ))?;
    }
    match &info.damage {
        Some(damage) => line(format!("  damaged: {damage}"))?,
        None => line("  checksums: every frame verified")?,
    }
    line(format!("  root hash  {}", info.root_hash))?;
    line(format!(
        "  state hash {}",
        info.state_hash
            .as_deref()
            .unwrap_or("none on the tape (it holds no session)")
    ))
}
