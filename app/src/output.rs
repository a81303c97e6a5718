//! Text for people: tables, numbers, times. A reader that stops reading ends the program quietly.
use crate::failure::Failure;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// Prints a line; a closed pipe (`| head`) ends the program without a complaint.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.as_ref()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// Prints a value as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| {
        Failure::new(
            crate::failure::Exit::Failure,
            format!("could not write JSON: {e}"),
        )
    })?;
    line(text)
}

/// A table with a head and right-aligned columns after the first `left` ones.
pub(crate) fn table(head: &[&str], left: usize, rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if place == 0 { 2 } else { 1 }, 1));
        if place >= left {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// 1234567 as 1,234,567.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest unit that leaves at least one.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let unit = (0..UNITS.len() - 1)
        .rev()
        .find(|unit| number >> (10 * (unit + 1)) > 0)
        .map_or(0, |unit| unit + 1);
    let tenths = (u128::from(number) * 10) >> (10 * unit);
    if unit == 0 {
        format!("{number} B")
    } else {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

/// UTC nanoseconds as RFC 3339.
pub(crate) fn time(at_ns: u64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at_ns))
        .map_or_else(|_| format!("{at_ns} ns"), |at| format!("{at:.9}"))
}

/// Money with at most eight decimals for the eye; JSON and exports have every digit.
pub(crate) fn money(amount: onetape_engine::number::Money) -> String {
    amount.to_decimal().map_or_else(
        |_| amount.to_string(),
        |amount| amount.round_dp(8).normalize().to_string(),
    )
}

/// "1 frame", "2 frames".
pub(crate) fn plural(number: u64, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        count(number),
        if number == 1 { "" } else { "s" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            (count(0), count(999), count(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!(
            (bytes(512), bytes(1_536), bytes(64 << 20)),
            ("512 B".into(), "1.5 KiB".into(), "64.0 MiB".into())
        );
        assert_eq!(
            time(1_723_161_253_937_085_768),
            "2024-08-08T23:54:13.937085768Z"
        );
    }
}
