//! What came out of the demo, as a table or as JSON.

use std::fmt;

use producer::JobOutcome;
use schemas::{JobResult, Outcome, TimeSheet};
use serde::Serialize;

use super::images::Image;
use crate::output;

/// Counts, times and failures.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    jobs: usize,
    labelled: usize,
    labelled_right: usize,
    failures: Vec<BrokenInput>,
    /// Jobs that ended other than they should have.
    surprises: Vec<String>,
    pub(crate) seconds: f64,
    #[serde(serialize_with = "serialize_times")]
    sheets: Vec<TimeSheet>,
}

#[derive(Debug, Serialize)]
struct BrokenInput {
    input: String,
    code: String,
    message: String,
}

/// One row of the time table: a name, and where it stands in a sheet.
type Row = (&'static str, fn(&TimeSheet) -> u64);

const ROWS: [Row; 6] = [
    ("queue", |sheet| sheet.queue_us),
    ("preprocess", |sheet| sheet.preprocess_us),
    ("batch wait", |sheet| sheet.batch_wait_us),
    ("inference", |sheet| sheet.inference_us),
    ("postprocess", |sheet| sheet.postprocess_us),
    ("total", |sheet| sheet.total_us),
];

impl Report {
    /// Takes in the outcome of one image.
    pub(crate) fn add(&mut self, image: &Image, outcome: &JobOutcome) {
        self.jobs += 1;
        match (&outcome.outcome, &image.label) {
            (Outcome::Result(result), Some(label)) => {
                self.labelled += 1;
                self.labelled_right += usize::from(first_label(result).as_deref() == Some(label.as_bytes()));
                self.sheets.push(TimeSheet::read(&result.parameters));
            }
            (Outcome::Failure(failure), None) => self.failures.push(BrokenInput {
                input: image.name.clone(),
                code: failure.code.to_string(),
                message: failure.message.clone(),
            }),
            (Outcome::Result(_), None) => self.surprises.push(format!("{} was given a result", image.name)),
            (Outcome::Failure(failure), Some(_)) => {
                self.surprises.push(format!("{} failed: {}: {}", image.name, failure.code, failure.message));
            }
        }
    }

    /// Good inputs have results and broken ones have failures.
    pub(crate) fn is_as_expected(&self) -> bool {
        self.surprises.is_empty()
    }

    fn accuracy(&self) -> f64 {
        self.labelled_right as f64 / self.labelled.max(1) as f64
    }
}

fn first_label(result: &JobResult) -> Option<Vec<u8>> {
    let tensor = result.outputs.iter().find(|tensor| tensor.name() == "label")?;
    tensor.byte_strings().ok()?.next().map(<[u8]>::to_vec)
}

/// The value below which a share of the values lies; the values are sorted.
fn percentile(sorted: &[u64], share: f64) -> u64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// Name, p50 and p99 in milliseconds of each row.
fn times(sheets: &[TimeSheet]) -> Vec<(&'static str, f64, f64)> {
    let row = |(name, of): Row| {
        let mut values: Vec<u64> = sheets.iter().map(of).collect();
        values.sort_unstable();
        let millis = |share| percentile(&values, share) as f64 / 1000.0;
        (name, millis(0.5), millis(0.99))
    };
    ROWS.into_iter().map(row).collect()
}

fn serialize_times<S: serde::Serializer>(sheets: &[TimeSheet], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        times(sheets)
            .into_iter()
            .map(|(name, p50, p99)| (name, serde_json::json!({"p50_ms": p50, "p99_ms": p99}))),
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let throughput = self.jobs as f64 / self.seconds.max(f64::EPSILON);
        writeln!(f)?;
        writeln!(f, "jobs         {}", self.jobs)?;
        let (right, labelled) = (self.labelled_right, self.labelled);
        writeln!(f, "accuracy     {:.1} %  ({right} of {labelled} labels right)", self.accuracy() * 100.0)?;
        writeln!(f, "failures     {}  (the broken inputs below)", self.failures.len())?;
        writeln!(f, "throughput   {throughput:.0} jobs/s  ({:.2} s)", self.seconds)?;
        writeln!(f)?;
        let cells =
            |(name, p50, p99): (&str, f64, f64)| vec![name.into(), format!("{p50:.2}"), format!("{p99:.2}")];
        let rows: Vec<_> = times(&self.sheets).into_iter().map(cells).collect();
        writeln!(f, "{}", output::table(&["TIME OF A JOB", "P50 MS", "P99 MS"], &rows, 1))?;
        writeln!(f)?;
        let cells =
            |broken: &BrokenInput| vec![broken.input.clone(), broken.code.clone(), broken.message.clone()];
        let rows: Vec<_> = self.failures.iter().map(cells).collect();
        write!(f, "{}", output::table(&["BROKEN INPUT", "CODE", "MESSAGE"], &rows, usize::MAX))?;
        for surprise in &self.surprises {
            write!(f, "\nUNEXPECTED: {surprise}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_nearest_rank() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&values, 0.5), 50);
        assert_eq!(percentile(&values, 0.99), 99);
        assert_eq!(percentile(&[7], 0.99), 7);
        assert_eq!(percentile(&[], 0.5), 0);
    }
}
