//! Prints outcomes one by one as they come, and notices when nobody reads any more.

use std::io::{self, ErrorKind, Write};

use producer::JobOutcome;
use schemas::{Outcome, TimeSheet};

use super::json;
use super::summary::{printable, summary_of};
use crate::args::Format;

/// Rows or JSON lines. Columns have fixed widths, so that rows can be printed before the last one is known.
pub(crate) struct Printer<W> {
    out: W,
    format: Format,
    /// The width of the column with file names; no such column without one.
    file_width: Option<usize>,
    has_header: bool,
    is_open: bool,
}

const ID_WIDTH: usize = 36;
const STATUS_WIDTH: usize = 13;
const TIME_WIDTH: usize = 9;

impl<W: Write> Printer<W> {
    pub(crate) fn new(out: W, format: Format) -> Self {
        Self { out, format, file_width: None, has_header: false, is_open: true }
    }

    /// The same with a column for the names of files, wide enough for most of these.
    pub(crate) fn with_files<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        const MAX_WIDTH: usize = 40;
        let longest = names.into_iter().map(|name| name.chars().count()).max().unwrap_or_default();
        Self { file_width: Some(longest.clamp("FILE".len(), MAX_WIDTH)), ..self }
    }

    /// Whether anybody still reads: false once the reader of a pipe (`| head`) has gone.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints the outcome of one job, which was submitted from `file`.
    pub(crate) fn outcome(&mut self, outcome: &JobOutcome, file: Option<&str>) -> io::Result<()> {
        match self.format {
            Format::Json => self.line(&json::line(outcome, file)),
            Format::Table => {
                if !self.has_header {
                    self.has_header = true;
                    self.row(["ID", "FILE", "STATUS", "TOTAL MS", "OUTPUT"])?;
                }
                let (status, total, output) = cells(outcome);
                self.row([outcome.id.as_str(), file.unwrap_or_default(), status, &total, &output])
            }
        }
    }

    /// Prints a line of text.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        if !self.is_open {
            return Ok(());
        }
        match writeln!(self.out, "{text}").and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_open = false;
                Ok(())
            }
            written => written,
        }
    }

    fn row(&mut self, [id, file, status, total, output]: [&str; 5]) -> io::Result<()> {
        let file = match self.file_width {
            Some(width) => format!("{:width$}  ", printable(file)),
            None => String::new(),
        };
        let row = format!("{id:ID_WIDTH$}  {file}{status:STATUS_WIDTH$}  {total:>TIME_WIDTH$}  {output}");
        self.line(row.trim_end())
    }
}

/// One word for programs. A value that the pipeline declares for jobs that fail is not what the model said.
pub(super) fn status_of(outcome: &JobOutcome) -> &'static str {
    match &outcome.outcome {
        Outcome::Failure(_) => "failed",
        Outcome::Result(_) if outcome.headers.defaulted().is_some() => "defaulted",
        Outcome::Result(_) => "ok",
    }
}

/// Status, total time in milliseconds, and what came out.
fn cells(outcome: &JobOutcome) -> (&'static str, String, String) {
    match &outcome.outcome {
        Outcome::Result(result) => {
            let total_us = TimeSheet::read(&result.parameters).total_us;
            let total = format!("{:.1}", total_us as f64 / 1000.0);
            (status_of(outcome), total, summary_of(&result.outputs))
        }
        Outcome::Failure(failure) => {
            let message = format!("{}: {}", printable(&failure.stage), printable(&failure.message));
            (failure.code.as_str(), "-".to_owned(), message)
        }
    }
}

#[cfg(test)]
mod tests;
