//! The one place that writes to stdout, and the last word on stderr.

use std::io::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::exit::Failure;

/// Writes a line to stdout. A reader that went away (`| head`) is not an error of ours.
pub(crate) fn line(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Writes a value as JSON over several lines.
pub(crate) fn pretty_json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(&serde_json::to_string_pretty(value)?)?)
}

/// A table without lines, whose columns from `first_number` on hold numbers and are aligned to the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], first_number: usize) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= first_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The message with which a command ends.
pub(crate) fn error(failure: &Failure) {
    eprint_line(&format!("error: {failure}"));
}

/// A note beside the results, for the person at the terminal.
pub(crate) fn note(text: &str) {
    eprint_line(text);
}

#[expect(clippy::print_stderr, reason = "the one place where a command speaks to the person at the terminal")]
fn eprint_line(text: &str) {
    eprintln!("{text}");
}
