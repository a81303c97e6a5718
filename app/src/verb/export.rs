//! `onetape export`: built in with the `export` feature, because polars takes longer to build than all the rest.
use crate::cli::Export;
use crate::failure::{Exit, Failure};

#[cfg(not(feature = "export"))]
pub(crate) fn run(_: &Export, _: bool) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Usage, "this binary was built without 'export'")
        .help("build it in, which takes some minutes: cargo run --release --features export -- export DIR --out OUT"))
}

#[cfg(feature = "export")]
pub(crate) fn run(args: &Export, json: bool) -> Result<Exit, Failure> {
    use crate::{output, progress, verb::tail::kind_named};
    let kinds = args
        .kinds
        .iter()
        .map(|name| kind_named(name))
        .collect::<Result<Vec<_>, _>>()?;
    let options = onetape_analytics::ExportOptions {
        kinds: (!kinds.is_empty()).then_some(kinds),
        overwrite: args.overwrite,
        ..onetape_analytics::ExportOptions::new(&args.dir, &args.out)
    };
    let bar = progress::counter("frames");
    let report = onetape_analytics::export(&options, &mut |frames| bar.set_position(frames))
        .map_err(failure)?;
    bar.finish_and_clear();
    if json {
        output::json(&report)?;
    } else {
        let rows = report.tables.iter().map(|t| {
            vec![
                t.file.clone(),
                output::count(t.rows),
                output::bytes(t.bytes),
            ]
        });
        output::line(output::table(&["table", "rows", "size"], 1, rows.collect()))?;
    }
    Ok(Exit::Ok)
}

#[cfg(feature = "export")]
fn failure(error: onetape_analytics::Error) -> Failure {
    use onetape_analytics::Error as E;
    let exit = match error {
        E::Journal(journal) => return journal.into(),
        E::Frame { .. } => Exit::Data,
        E::NotEmpty { .. } | E::SameDirectory { .. } | E::Option { .. } => Exit::Usage,
        _ => Exit::Failure,
    };
    Failure::new(exit, error)
}
