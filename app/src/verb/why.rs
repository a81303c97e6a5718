//! `onetape why`.
use crate::cli::Why;
use crate::failure::{Exit, Failure};
use crate::output;
use jiff::Timestamp;
use onetape_backtest::why::{Answer, Gate, Question, why};
use onetape_engine::strategy::Relation;
use serde_json::Value;

pub(crate) fn run(args: &Why, json: bool) -> Result<Exit, Failure> {
    let question = match (args.order, args.seq, &args.instrument, &args.at) {
        (Some(order), ..) => Question::Order(order),
        (_, Some(sequence), ..) => Question::Sequence(sequence),
        (_, _, Some(instrument), Some(at)) => Question::At {
            instrument: instrument.clone(),
            at_ns: time(at)?,
        },
        _ => Question::LastSkipped,
    };
    let answer = why(&args.dir, &question)?;
    if json {
        output::json(&answer)?;
    } else {
        output::line(text(&answer))?;
    }
    Ok(Exit::Ok)
}

/// A time as people write it, or UTC ns.
fn time(text: &str) -> Result<u64, Failure> {
    if let Ok(ns) = text.parse::<u64>() {
        return Ok(ns);
    }
    let parsed: Result<Timestamp, _> = text.parse();
    let ns = parsed
        .ok()
        .and_then(|at| u64::try_from(at.as_nanosecond()).ok());
    ns.ok_or_else(|| {
        let what = format!("--at {text}: expected a time like 2026-01-05T14:30:00Z, or UTC ns");
        Failure::new(Exit::Usage, what)
    })
}

fn text(answer: &Answer) -> String {
    let mut lines = vec![shown(&answer.frame)];
    if !answer.chain.is_empty() {
        lines.push("because of".to_owned());
        lines.extend(
            answer
                .chain
                .iter()
                .map(|frame| format!("  {}", shown(frame))),
        );
    }
    for candidate in &answer.candidates {
        let verdict = match candidate.gates.iter().find(|gate| !gate.passes) {
            Some(gate) => format!("stopped by {}", gate.gate),
            None => "passes every gate".to_owned(),
        };
        lines.push(format!(
            "\n{} considered {} (candidate {}): {verdict}",
            candidate.strategy, candidate.instrument, candidate.number
        ));
        lines.push(gates(&candidate.gates));
    }
    if answer.candidates.is_empty() && answer.wanted.is_empty() {
        lines.push("\nno strategy considered anything here".to_owned());
    }
    for wanted in &answer.wanted {
        let verdict = match wanted.gates.iter().find(|gate| !gate.passes) {
            Some(gate) => format!("denied by {}", gate.gate),
            None => "approved".to_owned(),
        };
        lines.push(format!(
            "\n{} wanted to {}: {verdict}",
            wanted.strategy, wanted.order
        ));
        lines.push(gates(&wanted.gates));
    }
    if !answer.outcome.is_empty() {
        lines.push("\nwhat became of it".to_owned());
        lines.extend(
            answer
                .outcome
                .iter()
                .map(|frame| format!("  {}", shown(frame))),
        );
    }
    lines.join("\n")
}

fn gates(gates: &[Gate]) -> String {
    let rows = gates.iter().map(|gate| {
        let sign = match gate.relation {
            Relation::AtLeast => ">=",
            Relation::AtMost => "<=",
        };
        vec![
            if gate.passes { "pass" } else { "STOP" }.to_owned(),
            gate.gate.clone(),
            gate.value.to_string(),
            format!("{sign} {}", gate.limit),
            gate.distance.to_string(),
        ]
    });
    let head = ["", "gate", "value", "limit", "distance"];
    output::table(&head, 2, rows.collect())
}

/// A frame on one line: sequence, time, kind and its own fields.
fn shown(frame: &Value) -> String {
    const COMMON: [&str; 5] = ["sequence", "at_ns", "kind", "derived", "ends_step"];
    let number = |field: &str| frame.get(field).and_then(Value::as_u64).unwrap_or(0);
    let kind = frame.get("kind").and_then(Value::as_str).unwrap_or("?");
    let mut line = format!(
        "#{} {} {kind}",
        number("sequence"),
        output::time(number("at_ns"))
    );
    let Value::Object(fields) = frame else {
        return line;
    };
    let own = fields
        .iter()
        .filter(|(name, value)| !COMMON.contains(&name.as_str()) && !value.is_null());
    for (name, value) in own {
        let value = match value {
            Value::String(text) => text.clone(),
            // Books are long; the frame itself can be seen with `tail --from`.
            Value::Array(items) if items.len() > 4 => format!("[{} items]", items.len()),
            other => other.to_string(),
        };
        line.push_str(&format!(" {name}={value}"));
    }
    line
}
