//! `onetape import`.
use crate::cli::{Format as FormatArg, Import};
use crate::failure::{Exit, Failure};
use crate::{output, progress};
use onetape_backtest::import::{self, Format, ImportOptions, ImportReport, InstrumentReport};

pub(crate) fn run(args: &Import, json: bool) -> Result<Exit, Failure> {
    let format = match args.format {
        FormatArg::Auto => Format::Auto,
        FormatArg::Binance => Format::Binance,
        FormatArg::Csv => Format::Csv,
        FormatArg::Tardis => Format::Tardis,
        FormatArg::Barter => Format::Barter,
    };
    let options = ImportOptions {
        journal: args.journal.clone(),
        files: args.files.clone(),
        format,
        lenient: args.lenient,
        maker: args.maker_fee,
        taker: args.taker_fee,
        venue: args.venue.clone(),
        instruments: args.instruments.clone(),
    };
    let bar = progress::bar(0, "bytes");
    let report = import::run(&options, &mut |at| {
        bar.set_length(at.bytes_total);
        bar.set_position(at.bytes_done);
        bar.set_message(at.file.clone());
    })?;
    bar.finish_and_clear();
    if json {
        output::json(&report)?;
    } else {
        output::line(text(&report))?;
        output::line(format!(
            "\n  next: onetape backtest {} --strategy market_maker --journal OUT",
            args.journal.display()
        ))?;
    }
    Ok(Exit::Ok)
}

fn text(report: &ImportReport) -> String {
    use output::{count, plural, time};
    let mut lines = Vec::new();
    for file in &report.files {
        let frames: Vec<String> = file
            .frames
            .iter()
            .map(|(kind, number)| format!("{} {kind}", count(*number)))
            .collect();
        lines.push(format!(
            "{} ({}): {}, {}",
            file.name,
            file.format,
            plural(file.lines, "line"),
            frames.join(", ")
        ));
        for (reason, number) in &file.ignored {
            lines.push(format!(
                "  {} without meaning for the market: {reason}",
                count(*number)
            ));
        }
        for reject in &file.rejects {
            lines.push(format!(
                "  left out {}: {}",
                plural(reject.count, "line"),
                reject.reason
            ));
            lines.extend(
                reject
                    .examples
                    .iter()
                    .map(|example| format!("    {example}")),
            );
        }
    }
    for instrument in &report.instruments {
        lines.push(instrument_text(instrument));
    }
    lines.push(format!(
        "\n  {} appended, the last is sequence {}, {} to {}",
        plural(report.frames, "frame"),
        count(report.last_sequence),
        time(report.first_ns),
        time(report.last_ns)
    ));
    if report.clamped_stamps > 0 {
        lines.push(format!(
            "  {} came earlier than the frame before and share its stamp",
            plural(report.clamped_stamps, "frame")
        ));
    }
    lines.join("\n")
}

fn instrument_text(i: &InstrumentReport) -> String {
    use output::{count, plural};
    let mut lines = vec![format!(
        "\n  {}  tick {} lot {}\n    book {} with {} bids and {} asks at id {}; {}, {}, {}",
        i.name,
        i.tick_size,
        i.lot_size,
        i.book,
        count(i.book_levels.0 as u64),
        count(i.book_levels.1 as u64),
        i.book_last_id,
        plural(i.updates, "update"),
        plural(i.snapshots, "snapshot"),
        plural(i.gaps, "gap")
    )];
    lines.extend(
        i.first_gaps
            .iter()
            .map(|gap| format!("    gap: {} line {}: {}", gap.file, gap.line, gap.reason)),
    );
    let a = &i.agreement;
    if a.compared > 0 {
        lines.push(format!(
            "    best bid and ask of the book against the recorded ones: {} of {} agree ({}); at the same id {} of {}",
            count(a.agreed), count(a.compared), a.share, count(a.exact_agreed), count(a.exact)
        ));
        for difference in &a.first_differences {
            lines.push(format!(
                "      book {} {:?}, recorded {} {:?}",
                difference.book_id, difference.book, difference.ticker_id, difference.ticker
            ));
        }
    }
    lines.extend(i.notes.iter().map(|note| format!("    note: {note}")));
    lines.join("\n")
}
