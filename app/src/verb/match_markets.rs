//! `onetape match`: which markets of two venues may ask the same. It suggests and never approves.
use crate::cli::Match;
use crate::failure::{Exit, Failure};
use crate::output;
use onetape_backtest::matching::{self, Direction, Market, Options, Report};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// Said with every answer.
const NOTE: &str = "These are suggestions: nothing is approved. A pair trades only after a person has read both rule texts and \
                    has put an approval of their own on the tape.";

pub(crate) fn run(args: &Match, json: bool) -> Result<Exit, Failure> {
    let options = Options {
        min_score: args.min_score,
        max_days: args.days,
        most: args.most,
    };
    let (single_book, tokens) = (read(&args.single_book)?, read(&args.tokens)?);
    let report = matching::suggest(&single_book, &tokens, &options);
    if let Some(out) = &args.out {
        let draft = matching::draft(&report, &args.single_book_venue, &args.token_venue);
        write_new(out, &draft)?;
    }
    if json {
        output::json(&serde_json::json!({ "note": NOTE, "approved": 0, "report": report }))?;
    } else {
        output::line(text(&report, args))?;
    }
    Ok(Exit::Ok)
}

fn read(path: &Path) -> Result<Vec<Market>, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::new(Exit::Data, format!("could not read {name}: {e}")))?;
    matching::read(&text).map_err(|e| {
        Failure::new(Exit::Data, format!("{name}, {e}"))
            .help("expected a JSON array of markets, an answer with a 'markets' array, or a market a line")
    })
}

/// Never over a file that somebody may have filled in already.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let name = path.display();
    let failed =
        |e: std::io::Error| Failure::new(Exit::Failure, format!("could not write {name}: {e}"));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn text(report: &Report, args: &Match) -> String {
    use output::{count, plural};
    let row = |nth: usize, s: &matching::Suggestion| {
        let direction = match s.direction {
            Direction::Same => "same",
            Direction::Inverted => "INVERTED",
            Direction::Unclear => "unclear",
        };
        let figures = s.score.figures;
        vec![
            (nth + 1).to_string(),
            s.single_book.id.clone(),
            s.token_market.id.clone(),
            direction.to_owned(),
            format!("{:.4}", s.score.total),
            format!("{:.4}", s.score.terms),
            figures.map_or_else(|| "-".to_owned(), |figures| format!("{figures:.4}")),
        ]
    };
    let head = [
        "",
        "single book",
        "token market",
        "direction",
        "score",
        "terms",
        "figures",
    ];
    let rows: Vec<_> = report
        .suggestions
        .iter()
        .enumerate()
        .map(|(nth, s)| row(nth, s))
        .collect();
    let mut lines = vec![format!(
        "{} and {} markets compared, {}; {} left out for what they are about, {} closed",
        count(report.compared.0 as u64),
        count(report.compared.1 as u64),
        plural(rows.len() as u64, "suggestion"),
        report.blocked.len(),
        report.closed
    )];
    if !rows.is_empty() {
        lines.push(format!("\n{}\n", output::table(&head, 4, rows)));
    }
    for (nth, s) in report.suggestions.iter().enumerate() {
        lines.push(format!("  {}  {}", nth + 1, s.single_book.title));
        lines.push(format!("     {}", s.token_market.title));
        lines.extend(
            s.warnings
                .iter()
                .map(|warning| format!("     look: {warning}")),
        );
    }
    lines.push(format!("\n  {NOTE}"));
    if let Some(out) = &args.out {
        lines.push(format!("  draft to be filled in: {}", out.display()));
    }
    lines.join("\n")
}
