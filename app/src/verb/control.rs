//! `onetape halt`, `resume`, `status` and `accept`: words with a running daemon.
use crate::cli::{Accept, Control, Journal};
use crate::failure::{Exit, Failure};
use crate::output;
use onetape_live::control::{self, Command};

pub(crate) fn halt(args: &Control, json: bool) -> Result<Exit, Failure> {
    let note = args.note.clone();
    match control::ask(&args.dir, &Command::Halt { note }) {
        Ok(answer) => done(&answer, json),
        Err(why) => {
            // The file works when the socket does not: the daemon looks at it, and so does the next one.
            let file = control::halt_file_path(&args.dir);
            std::fs::write(&file, format!("{}\n", args.note))?;
            let said = format!(
                "{why}; the halt file {} is written instead: remove it, or run 'onetape resume', to trade again",
                file.display()
            );
            output::line(said)?;
            Ok(Exit::Ok)
        }
    }
}

pub(crate) fn resume(args: &Control, json: bool) -> Result<Exit, Failure> {
    let file = control::halt_file_path(&args.dir);
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        Ok(()) => output::line(format!("the halt file {} is gone", file.display()))?,
        Err(_) => {}
    }
    let note = args.note.clone();
    let answer = asked(&args.dir, &Command::Resume { note })?;
    done(&answer, json)
}

pub(crate) fn accept(args: &Accept, json: bool) -> Result<Exit, Failure> {
    let command = Command::Accept {
        venue: args.venue.clone(),
        note: args.note.clone(),
    };
    let answer = asked(&args.dir, &command)?;
    done(&answer, json)
}

pub(crate) fn status(args: &Journal) -> Result<Exit, Failure> {
    let answer = asked(&args.dir, &Command::Status)?;
    output::json(&answer)?;
    Ok(Exit::Ok)
}

fn asked(dir: &std::path::Path, command: &Command) -> Result<serde_json::Value, Failure> {
    control::ask(dir, command).map_err(|why| {
        Failure::new(Exit::Failure, why).help("is 'onetape run' at work with this journal?")
    })
}

fn done(answer: &serde_json::Value, json: bool) -> Result<Exit, Failure> {
    if json {
        output::json(answer)?;
    } else if let Some(error) = answer.get("error").and_then(|e| e.as_str()) {
        return Err(Failure::new(Exit::Failure, error));
    } else {
        output::line("done")?;
    }
    Ok(Exit::Ok)
}
