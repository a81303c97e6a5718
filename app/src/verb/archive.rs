//! `onetape archive`.
use crate::cli::Archive;
use crate::failure::{Exit, Failure};
use crate::output;
use onetape_journal::archive;

pub(crate) fn run(args: &Archive, json: bool) -> Result<Exit, Failure> {
    // Says that there is no journal where there is none.
    onetape_journal::describe(&args.dir)?;
    let archived = archive::compress_sealed(&args.dir, args.level)?;
    if json {
        let rows = archived.iter().map(|a| serde_json::json!({ "segment": a.segment, "bytes": a.raw_bytes, "archived_bytes": a.packed_bytes }));
        output::json(&rows.collect::<Vec<_>>())?;
        return Ok(Exit::Ok);
    }
    if archived.is_empty() {
        output::line("nothing to compress: no sealed segment that is not archived already")?;
    }
    for a in &archived {
        output::line(format!(
            "segment {}: {} to {}",
            a.segment,
            output::bytes(a.raw_bytes),
            output::bytes(a.packed_bytes)
        ))?;
    }
    Ok(Exit::Ok)
}
