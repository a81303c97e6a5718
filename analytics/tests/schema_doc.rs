//! docs/export-schema.md says what the code writes. `ONETAPE_UPDATE_DOCS=1` writes its tables anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

use onetape_analytics::{Column, Table, schema};
use std::fmt::Write;
use std::path::Path;

const BEGIN: &str =
    "<!-- tables: written from analytics/src/tables.rs, see analytics/tests/schema_doc.rs -->\n";

fn columns(text: &mut String, columns: &[Column]) {
    text.push_str("| column | type | null | meaning |\n|---|---|---|---|\n");
    for Column {
        name,
        column_type,
        nullable,
        about,
    } in columns
    {
        let null = if *nullable { "yes" } else { "" };
        writeln!(
            text,
            "| `{name}` | {} | {null} | {about} |",
            column_type.name()
        )
        .unwrap();
    }
}

fn tables() -> String {
    let mut text = String::from("\n## Columns of every table\n\n");
    columns(&mut text, Table::common());
    for table in schema() {
        write!(
            text,
            "\n## {}\n\nOne row: {}.\n\n",
            table.file_name(),
            table.about
        )
        .unwrap();
        if table.columns.is_empty() {
            text.push_str("No columns beside the common ones.\n");
        } else {
            columns(&mut text, table.columns);
        }
    }
    text
}

#[test]
fn the_documented_schema_is_the_one_that_is_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/export-schema.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, documented) = text
        .split_once(BEGIN)
        .expect("docs/export-schema.md has the line that begins its tables");
    let expected = tables();
    if std::env::var("ONETAPE_UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, format!("{head}{BEGIN}{expected}")).unwrap();
        return;
    }
    for (line, (found, wanted)) in documented.lines().zip(expected.lines()).enumerate() {
        assert_eq!(
            found, wanted,
            "line {line} after the begin line; ONETAPE_UPDATE_DOCS=1 writes the tables anew"
        );
    }
    assert_eq!(
        documented.lines().count(),
        expected.lines().count(),
        "tables missing or left over"
    );
}
