//! `onetape tail`.
use crate::cli::Tail as Args;
use crate::failure::{Exit, Failure};
use crate::output;
use onetape_backtest::describe::Names;
use onetape_engine::event::{Event, Kind};
use onetape_engine::id::Sequence;
use onetape_journal::{Frame, Reader, Tail};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long to wait before looking again when nothing new is there.
const POLL: Duration = Duration::from_millis(5);

pub(crate) fn run(args: &Args, json: bool) -> Result<Exit, Failure> {
    let filter = Filter::new(args)?;
    let mut reader = Reader::open(&args.dir)?;
    let mut names = Names::carried(&args.dir)?;
    let mut last: VecDeque<String> = VecDeque::new();
    let keep_last = !args.all && args.from.is_none();
    let (mut shown, mut caught_up, mut last_new) = (0, false, Instant::now());
    loop {
        match reader.next()? {
            Some(frame) => {
                last_new = Instant::now();
                let Some(text) = filter.show(&frame, &mut names, json)? else {
                    continue;
                };
                if keep_last && !caught_up {
                    if last.len() == args.lines {
                        last.pop_front();
                    }
                    if args.lines > 0 {
                        last.push_back(text);
                    }
                    continue;
                }
                output::line(text)?;
                shown += 1;
            }
            None => {
                if !caught_up {
                    caught_up = true;
                    for text in last.drain(..) {
                        output::line(text)?;
                        shown += 1;
                    }
                    filter.check_names(&names)?;
                }
                if !args.follow || reader.tail() == Tail::Closed {
                    return Ok(Exit::Ok);
                }
                if args
                    .timeout
                    .is_some_and(|seconds| last_new.elapsed() >= Duration::from_secs(seconds))
                {
                    let waited = args.timeout.unwrap_or_default();
                    return Err(
                        Failure::new(Exit::Timeout, format!("no new frame in {waited} s")).help(
                            "is the writer still at work? 'onetape info' shows how the tape ends",
                        ),
                    );
                }
                std::thread::sleep(POLL);
            }
        }
        if args.limit.is_some_and(|limit| shown >= limit) {
            return Ok(Exit::Ok);
        }
    }
}

struct Filter<'a> {
    args: &'a Args,
    kinds: Vec<u16>,
}

impl<'a> Filter<'a> {
    fn new(args: &'a Args) -> Result<Self, Failure> {
        let kinds = args
            .kind
            .iter()
            .map(|name| kind_named(name).map(Kind::number))
            .collect::<Result<_, _>>()?;
        Ok(Self { args, kinds })
    }

    /// The frame as text, if it fits.
    fn show(
        &self,
        frame: &Frame<'_>,
        names: &mut Names,
        json: bool,
    ) -> Result<Option<String>, Failure> {
        let number = frame.tag.kind();
        let event = Event::decode(number, frame.payload)
            .map_err(|e| Failure::new(Exit::Data, format!("sequence {}: {e}", frame.sequence)))?;
        names.learn(&event);
        let fits = (self.kinds.is_empty() || self.kinds.contains(&number))
            && self.args.from.is_none_or(|from| frame.sequence >= from)
            && self.args.order.is_none_or(|order| {
                event
                    .order(Sequence(frame.sequence))
                    .is_some_and(|of| of.0 == order)
            })
            && self.args.instrument.as_ref().is_none_or(|wanted| {
                event.instrument().and_then(|id| names.instrument(id.0)) == Some(wanted)
            });
        if !fits {
            return Ok(None);
        }
        let (sequence, at, kind) = (frame.sequence, frame.timestamp_ns, event.kind());
        if json {
            let value = names.frame_json(
                sequence,
                at,
                kind,
                frame.tag.is_derived(),
                frame.tag.ends_step(),
                &event,
            );
            return Ok(Some(value.to_string()));
        }
        let mark = if frame.tag.is_derived() { '>' } else { ' ' };
        let end = if frame.tag.ends_step() { '.' } else { ' ' };
        let fields = match names.event_json(&event) {
            serde_json::Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| short(key, value))
                .collect::<Vec<_>>()
                .join(" "),
            other => other.to_string(),
        };
        Ok(Some(format!(
            "{sequence:>10}{end} {} {mark} {:<16} {fields}",
            output::time(at),
            kind.name()
        )))
    }

    /// An instrument that the tape never names is a wrong name, not an empty answer.
    fn check_names(&self, names: &Names) -> Result<(), Failure> {
        let Some(wanted) = &self.args.instrument else {
            return Ok(());
        };
        if names.find_instrument(wanted).is_some() || self.args.follow {
            return Ok(());
        }
        let known: Vec<&str> = names.instruments().collect();
        let failure = Failure::new(
            Exit::Usage,
            format!("no instrument '{wanted}' on this tape"),
        );
        Err(failure.help(format!(
            "it has {}",
            if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            }
        )))
    }
}

/// A kind by the name that people type.
pub(crate) fn kind_named(name: &str) -> Result<Kind, Failure> {
    Kind::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        Failure::new(Exit::Usage, format!("no frame kind '{name}'"))
            .help(format!("kinds: {}", names.join(", ")))
    })
}

fn short(key: &str, value: &serde_json::Value) -> String {
    const LONGEST: usize = 120;
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let cut = text
        .char_indices()
        .nth(LONGEST)
        .map_or_else(|| text.clone(), |(end, _)| format!("{}...", &text[..end]));
    format!("{key}={cut}")
}
