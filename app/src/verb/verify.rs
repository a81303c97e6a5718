//! `onetape verify`.
use crate::cli::Verify;
use crate::failure::{Exit, Failure};
use crate::{config, output, progress};
use onetape_backtest::{Verification, recover};

pub(crate) fn run(args: &Verify, json: bool) -> Result<Exit, Failure> {
    let with = if args.set.is_empty() {
        None
    } else {
        let Some(start) = recover::session_of(&args.dir)? else {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "{} holds no session whose parameters --set could change",
                    args.dir.display()
                ),
            ));
        };
        Some(config::with_settings(&start.config, &args.set)?)
    };
    let bar = progress::counter("frames");
    let result = onetape_backtest::verify(&args.dir, with.as_ref(), &mut |frames| {
        bar.set_position(frames)
    })?;
    bar.finish_and_clear();
    let exit = if result.identical {
        Exit::Ok
    } else {
        Exit::VerifyMismatch
    };
    if json {
        output::json(&result)?;
    } else {
        output::line(text(&result))?;
    }
    Ok(exit)
}

fn text(result: &Verification) -> String {
    let mut lines = Vec::new();
    match &result.difference {
        None => lines.push(format!(
            "verified: identical, {} ({} in, {} decided again)",
            output::plural(result.frames, "frame"),
            output::plural(result.inputs, "input"),
            output::count(result.derived)
        )),
        Some(found) => {
            lines.push(format!(
                "first difference at sequence {}, {}",
                found.sequence,
                output::time(found.at_ns)
            ));
            lines.push(format!("  {}", found.what));
            for (name, value) in [("strategy", &found.strategy), ("gate", &found.gate)] {
                if let Some(value) = value {
                    lines.push(format!("  {name}: {value}"));
                }
            }
            let rows = found.fields.iter();
            let rows = rows
                .map(|f| {
                    vec![
                        f.field.clone(),
                        f.recorded.to_string(),
                        f.computed.to_string(),
                    ]
                })
                .collect::<Vec<_>>();
            if !rows.is_empty() {
                lines.push(output::table(
                    &["field", "on the tape", "decided again"],
                    3,
                    rows,
                ));
            }
            for (name, value) in [
                ("on the tape", &found.recorded),
                ("decided again", &found.computed),
            ] {
                lines.push(format!(
                    "  {name}: {}",
                    value
                        .as_ref()
                        .map_or_else(|| "nothing".to_owned(), ToString::to_string)
                ));
            }
        }
    }
    if result.cut_short {
        lines.push(
            "  the last step was cut short by a crash; it is compared as far as it goes".to_owned(),
        );
    }
    if let Some(recorded) = result
        .recorded_by
        .as_ref()
        .filter(|by| **by != result.verified_by)
    {
        lines.push(format!(
            "  recorded by logic {recorded}, verified by logic {}",
            result.verified_by
        ));
    }
    lines.join("\n")
}
