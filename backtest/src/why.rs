//! Why something happened, or did not: the journal is folded to the moment before, and every gate is asked again.
//!
//! Nothing is decided anew for the record: strategies and the risk gate are asked on the recorded state, with every gate
//! noted instead of the first that stops. So the answer is what the run saw, whatever this build would do.
use crate::describe::Names;
use crate::error::Error;
use crate::recover;
use onetape_engine::event::{Event, Kind};
use onetape_engine::id::{InstrumentId, OrderId, Sequence, StrategyId};
use onetape_engine::order::{OrderType, TimeInForce};
use onetape_engine::risk::{self, Proposal};
use onetape_engine::sequencer::{NullSink, Sequencer};
use onetape_engine::strategy::{GateRow, Relation};
use onetape_engine::time::Nanos;
use onetape_journal::{Frame, Reader};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// What is asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// An order, by the sequence of the frame that decided or denied it.
    Order(u64),
    /// Any frame.
    Sequence(u64),
    /// An instrument ("venue:symbol") at a time, UTC ns: what every strategy made of its last event.
    At {
        /// The instrument.
        instrument: String,
        /// The time.
        at_ns: u64,
    },
    /// The last candidate that a gate stopped.
    LastSkipped,
}

/// One gate as it was asked.
#[derive(Clone, Debug, Serialize)]
pub struct Gate {
    /// Its name.
    pub gate: String,
    /// What it saw.
    pub value: Decimal,
    /// How it compares.
    pub relation: Relation,
    /// What it allows.
    pub limit: Decimal,
    /// Whether it lets pass.
    pub passes: bool,
    /// How much the value would have to change for the gate to turn; positive towards passing.
    pub distance: Decimal,
}

/// One candidate of a strategy with all of its gates.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    /// The strategy's id.
    pub strategy: String,
    /// The instrument that it is about first.
    pub instrument: String,
    /// The strategy's number for it.
    pub number: u32,
    /// Its gates in the order in which they are asked.
    pub gates: Vec<Gate>,
}

/// An order that was wanted, with the risk gates that it met.
#[derive(Clone, Debug, Serialize)]
pub struct Wanted {
    /// The strategy's id.
    pub strategy: String,
    /// In what, which way, at what price and quantity.
    pub order: String,
    /// The risk gates in the order in which they are asked.
    pub gates: Vec<Gate>,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The frame that was asked about.
    pub frame: Value,
    /// What led to it: its cause, that one's cause, and so on to an input.
    pub chain: Vec<Value>,
    /// What strategies considered at the frame that they were asked on.
    pub candidates: Vec<Candidate>,
    /// Orders that followed or would have followed.
    pub wanted: Vec<Wanted>,
    /// What became of the order, for questions about one.
    pub outcome: Vec<Value>,
}

/// Answers a question about a journal.
///
/// # Errors
/// [`Error::NoAnswer`] when the journal has no such frame; [`Error`] when it does not read.
pub fn why(journal: &Path, question: &Question) -> Result<Answer, Error> {
    let found = find(journal, question)?;
    let mut answer = Answer {
        frame: found.shown.clone(),
        chain: found.chain,
        candidates: Vec::new(),
        wanted: Vec::new(),
        outcome: Vec::new(),
    };
    let first = found.asked_at.first().copied().unwrap_or(found.sequence);
    let base = recover::base(journal, first.saturating_sub(1))?;
    let (mut reader, mut sequencer) = (base.reader, base.sequencer);
    let instrument = found.instrument;
    let last = found.asked_at.last().copied().unwrap_or(found.sequence);
    let mut asked = Vec::new();
    while sequencer.next_sequence().0 <= last
        && let Some(frame) = reader.next()?
    {
        sequencer.fold(&frame).map_err(|e| Error::at(journal, e))?;
        if found.asked_at.binary_search(&frame.sequence).is_ok() {
            asked.extend(
                explain(&sequencer, &frame, &found.strategy, instrument, &mut answer)
                    .map_err(|why| no_answer(journal, &why))?,
            );
        }
    }
    if let Some((at, recorded, strategy)) = found.proposal {
        // What it hedges, its alternatives and, of a denied one, its type stand in the strategy's wish alone.
        let is_same = |p: &&Proposal| {
            (p.instrument, p.side, p.price, p.qty, p.tag)
                == (
                    recorded.instrument,
                    recorded.side,
                    recorded.price,
                    recorded.qty,
                    recorded.tag,
                )
        };
        let proposal = asked.iter().rfind(is_same).copied().unwrap_or(recorded);
        // The gates saw what the step had done before this order.
        while sequencer.next_sequence().0 < found.sequence {
            let Some(frame) = reader.next()? else { break };
            sequencer.fold(&frame).map_err(|e| Error::at(journal, e))?;
        }
        answer.wanted.clear();
        wanted(&sequencer, at, strategy, &proposal, &mut answer)
            .map_err(|why| no_answer(journal, &why))?;
        answer.outcome = outcome(journal, found.sequence)?;
    }
    Ok(answer)
}

fn no_answer(journal: &Path, why: &str) -> Error {
    Error::NoAnswer {
        journal: journal.to_path_buf(),
        why: why.to_owned(),
    }
}

/// The frame that is asked about, and when its strategy was asked.
struct Found {
    sequence: u64,
    shown: Value,
    chain: Vec<Value>,
    /// The frames that the strategies were asked on, ascending: the last one on which they considered something counts.
    asked_at: Vec<u64>,
    /// One strategy, or all of them.
    strategy: Option<StrategyId>,
    /// Candidates about this instrument only.
    instrument: Option<InstrumentId>,
    proposal: Option<(Nanos, Proposal, StrategyId)>,
}

fn find(journal: &Path, question: &Question) -> Result<Found, Error> {
    let mut reader = Reader::open(journal)?;
    let mut names = Names::carried(journal)?;
    let begins_at = reader.first_sequence();
    let mut wanted = None;
    let mut found = None;
    while let Some(frame) = reader.next()? {
        let event = decode(journal, &frame)?;
        names.learn(&event);
        let fits = match question {
            Question::Order(order) | Question::Sequence(order) => frame.sequence == *order,
            Question::At { instrument, at_ns } => {
                if frame.timestamp_ns > *at_ns {
                    break;
                }
                if wanted.is_none() {
                    wanted = names.find_instrument(instrument).map(InstrumentId);
                }
                // Strategies are asked on inputs, bars and timers; the rest are answers.
                let asked = !frame.tag.is_derived() || event.kind() == Kind::BarClosed;
                asked && wanted.is_some() && event.instrument() == wanted
            }
            Question::LastSkipped => match &event {
                Event::GateChanged(change) => change.gate.is_some(),
                Event::OrderDenied(_) => true,
                _ => false,
            },
        };
        if fits {
            found = Some(frame.sequence);
        }
        if matches!(question, Question::Order(_) | Question::Sequence(_)) && found.is_some() {
            break;
        }
    }
    let Some(sequence) = found else {
        let why = match question {
            Question::Order(order) | Question::Sequence(order) if *order < begins_at => format!(
                "frame {order} was removed (journal_max_mib): the tape begins at sequence {begins_at}"
            ),
            Question::Order(order) => format!("there is no order {order}"),
            Question::Sequence(sequence) => format!("there is no frame {sequence}"),
            Question::At { instrument, .. } if wanted.is_none() => {
                let known: Vec<&str> = names.instruments().collect();
                format!(
                    "there is no instrument '{instrument}' by then; known are {}",
                    known.join(", ")
                )
            }
            Question::At { instrument, .. } => format!("{instrument} had no event by then"),
            Question::LastSkipped => "no candidate was stopped and no order denied".to_owned(),
        };
        return Err(no_answer(journal, &why));
    };
    let (shown, event_of) = frame_at(journal, &names, sequence)?;
    let mut chain = Vec::new();
    let mut cause = event_of.cause;
    // A cause that retention has taken ends the chain.
    while cause >= begins_at {
        let (shown, next) = frame_at(journal, &names, cause)?;
        chain.push(shown);
        // A frame's cause stands before it.
        cause = if next.cause < cause { next.cause } else { 0 };
    }
    if matches!(question, Question::Order(_)) && event_of.proposal.is_none() {
        let why = format!("frame {sequence} is no order; ask with --seq {sequence}");
        return Err(no_answer(journal, &why));
    }
    let causes = chain.iter().rev();
    let mut asked_at: Vec<u64> = causes
        .filter_map(|frame| frame.get("sequence").and_then(Value::as_u64))
        .collect();
    if matches!(question, Question::At { .. }) || asked_at.is_empty() {
        asked_at = vec![sequence];
    }
    Ok(Found {
        sequence,
        shown,
        chain,
        asked_at,
        strategy: event_of.strategy,
        instrument: match question {
            Question::At { .. } => wanted,
            _ => event_of.instrument.filter(|_| event_of.is_gate),
        },
        proposal: event_of.proposal,
    })
}

/// What of a frame the question needs.
struct Facts {
    cause: u64,
    strategy: Option<StrategyId>,
    instrument: Option<InstrumentId>,
    is_gate: bool,
    proposal: Option<(Nanos, Proposal, StrategyId)>,
}

fn frame_at(journal: &Path, names: &Names, sequence: u64) -> Result<(Value, Facts), Error> {
    let mut reader = Reader::open(journal)?;
    reader.seek(sequence)?;
    let Some(frame) = reader.next()? else {
        return Err(no_answer(journal, &format!("there is no frame {sequence}")));
    };
    let event = decode(journal, &frame)?;
    let at = Nanos(frame.timestamp_ns);
    let (strategy, proposal) = match &event {
        Event::OrderDecided(e) => (
            Some(e.strategy),
            Some(Proposal {
                instrument: e.instrument,
                side: e.side,
                order_type: e.order_type,
                time_in_force: e.time_in_force,
                price: e.price,
                qty: e.qty,
                tag: e.tag,
                hedges: None,
                one_of: e.one_of,
                protect: e.protect,
            }),
        ),
        Event::OrderDenied(e) => (
            Some(e.strategy),
            Some(Proposal {
                instrument: e.instrument,
                side: e.side,
                order_type: if e.price.0 == 0 {
                    OrderType::Market
                } else {
                    OrderType::Limit
                },
                time_in_force: TimeInForce::GoodTillCancel,
                price: e.price,
                qty: e.qty,
                tag: e.tag,
                hedges: None,
                one_of: None,
                protect: None,
            }),
        ),
        Event::GateChanged(e) => (Some(e.strategy), None),
        Event::CancelDecided(e) => (Some(e.strategy), None),
        Event::ParentChanged(e) => (Some(e.strategy), None),
        Event::AlarmRaised(e) => (Some(e.strategy), None),
        Event::SignalRaised(e) => (Some(e.strategy), None),
        Event::IntentChanged(e) => (Some(e.strategy), None),
        _ => (None, None),
    };
    let shown = names.frame_json(
        frame.sequence,
        frame.timestamp_ns,
        event.kind(),
        frame.tag.is_derived(),
        frame.tag.ends_step(),
        &event,
    );
    let facts = Facts {
        cause: event.cause().map_or(0, |cause| cause.0),
        strategy,
        instrument: event.instrument(),
        is_gate: matches!(event, Event::GateChanged(_)),
        proposal: proposal
            .zip(strategy)
            .map(|(proposal, strategy)| (at, proposal, strategy)),
    };
    Ok((shown, facts))
}

fn decode<'a>(journal: &Path, frame: &Frame<'a>) -> Result<Event<'a>, Error> {
    Event::decode(frame.tag.kind(), frame.payload)
        .map_err(|e| Error::decode(journal, frame.sequence, &e))
}

/// Asks the strategies on a frame that was folded just now. Returns the orders that they want.
fn explain(
    sequencer: &Sequencer<NullSink>,
    frame: &Frame<'_>,
    strategy: &Option<StrategyId>,
    instrument: Option<InstrumentId>,
    answer: &mut Answer,
) -> Result<Vec<Proposal>, String> {
    let event = Event::decode(frame.tag.kind(), frame.payload).map_err(|e| e.to_string())?;
    let (desk, market) = (sequencer.desk(), sequencer.market());
    let (sequence, now) = (Sequence(frame.sequence), Nanos(frame.timestamp_ns));
    let (mut considered, mut proposals) = (Vec::new(), Vec::new());
    let all: Vec<StrategyId> = match strategy {
        Some(one) => vec![*one],
        None => desk.strategy_ids().collect(),
    };
    for id in all {
        let explained = desk.explain(id, sequence, now, &event, market);
        let mut candidates: Vec<Candidate> = Vec::new();
        for row in explained.rows {
            let Some(of) = row.candidate else { continue };
            if instrument.is_some_and(|wanted| wanted != of.instrument) {
                continue;
            }
            let place = candidates
                .iter()
                .position(|known| known.number == of.number);
            let place = place.unwrap_or_else(|| {
                candidates.push(Candidate {
                    strategy: strategy_name(sequencer, id),
                    instrument: instrument_name(sequencer, of.instrument),
                    number: of.number,
                    gates: Vec::new(),
                });
                candidates.len() - 1
            });
            if let Some(candidate) = candidates.get_mut(place) {
                candidate.gates.push(gate(row));
            }
        }
        considered.extend(candidates);
        for proposal in explained.proposals {
            wanted(sequencer, now, id, &proposal, answer)?;
            proposals.push(proposal);
        }
    }
    if !considered.is_empty() {
        answer.candidates = considered;
    }
    Ok(proposals)
}

fn wanted(
    sequencer: &Sequencer<NullSink>,
    now: Nanos,
    strategy: StrategyId,
    proposal: &Proposal,
    answer: &mut Answer,
) -> Result<(), String> {
    let (desk, market) = (sequencer.desk(), sequencer.market());
    let rows = risk::explain(desk, market, now, strategy, proposal).map_err(|e| e.to_string())?;
    let instrument = market
        .instrument(proposal.instrument)
        .map_err(|e| e.to_string())?;
    let d = instrument.decimals();
    let price = match proposal.order_type {
        OrderType::Market => "at the market".to_owned(),
        OrderType::Limit => format!("at {}", d.price_decimal(proposal.price)),
        OrderType::Stop => format!("stop {}", d.price_decimal(proposal.price)),
    };
    answer.wanted.push(Wanted {
        strategy: strategy_name(sequencer, strategy),
        order: format!(
            "{} {} {} {price}",
            if proposal.side.sign() > 0 {
                "buy"
            } else {
                "sell"
            },
            d.qty_decimal(proposal.qty).normalize(),
            instrument.name
        ),
        gates: rows.into_iter().map(gate).collect(),
    });
    Ok(())
}

fn gate(row: GateRow) -> Gate {
    let towards = match row.relation {
        Relation::AtLeast => row.value.checked_sub(row.limit),
        Relation::AtMost => row.limit.checked_sub(row.value),
    };
    Gate {
        gate: row.gate.into_owned(),
        value: row.value,
        relation: row.relation,
        limit: row.limit,
        passes: row.passes,
        distance: towards.unwrap_or(Decimal::MAX),
    }
}

fn strategy_name(sequencer: &Sequencer<NullSink>, id: StrategyId) -> String {
    let strategies = &sequencer.desk().config().strategies;
    strategies
        .get(id.index())
        .map_or_else(|| id.0.to_string(), |s| s.id.clone())
}

fn instrument_name(sequencer: &Sequencer<NullSink>, id: InstrumentId) -> String {
    let instrument = sequencer.market().instrument(id);
    instrument.map_or_else(|_| id.0.to_string(), |i| i.name.clone())
}

/// Every later frame about an order.
fn outcome(journal: &Path, order: u64) -> Result<Vec<Value>, Error> {
    let mut reader = Reader::open(journal)?;
    let (mut names, mut frames) = (Names::carried(journal)?, Vec::new());
    while let Some(frame) = reader.next()? {
        let event = decode(journal, &frame)?;
        names.learn(&event);
        let about = event.order(Sequence(frame.sequence)) == Some(OrderId(order));
        if about && frame.sequence != order {
            frames.push(names.frame_json(
                frame.sequence,
                frame.timestamp_ns,
                event.kind(),
                frame.tag.is_derived(),
                frame.tag.ends_step(),
                &event,
            ));
            if let Event::ExecutionReport(report) = &event
                && report.state.is_final()
            {
                break;
            }
        }
    }
    Ok(frames)
}
