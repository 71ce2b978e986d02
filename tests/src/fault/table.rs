//! `docs/fault-tests.md`: a row for each case in each mode, and the command that reproduces it. A run of some cases
//! changes only their rows; `fault-tests.json` keeps what the table is made from.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::cases;

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What `CASE=` calls it.
    pub case: String,
    /// The delivery mode.
    pub mode: String,
    /// What happened.
    pub what: String,
    /// Nodes of the Kafka.
    pub nodes: usize,
    /// Jobs that were submitted.
    pub jobs: usize,
    /// Those without a result.
    pub lost: usize,
    /// Results beyond one for each job, as a reader sees them who reads committed records only.
    pub repeated: usize,
    /// Those that `millstream results` still shows.
    pub repeated_after_deduplication: usize,
    /// The longest from a fault until every partition of every stage went on.
    pub seconds_from_fault: Option<f64>,
    /// The longest from the end of a fault until then.
    pub seconds_from_end: Option<f64>,
    /// The most memory that a worker had resident.
    pub peak_mib: u64,
    /// Whether everything held.
    pub passed: bool,
    /// What did not, and what else there is to say.
    pub notes: Vec<String>,
    /// Where the chance came from.
    pub seed: u64,
    /// What does it again.
    pub command: String,
    /// The last commit that changed more than documents; with `+` if something was not committed.
    #[serde(default)]
    pub commit: String,
    /// How long it took, in seconds.
    pub took: f64,
}

/// All rows, in the order of the cases.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Reads what is kept in the folder; nothing is kept in a new one.
    ///
    /// # Errors
    /// When what is kept is not as expected.
    pub fn read(folder: &Path) -> Result<Self> {
        match fs::read(folder.join("fault-tests.json")) {
            Ok(text) => serde_json::from_slice(&text).context("fault-tests.json is not as expected"),
            Err(_) => Ok(Self::default()),
        }
    }

    /// Puts a row in its place, instead of an older one.
    pub fn put(&mut self, row: Row) {
        self.rows.retain(|old| (&old.case, &old.mode) != (&row.case, &row.mode));
        self.rows.push(row);
        let place = |row: &Row| cases::ALL.iter().position(|case| case.name == row.case);
        self.rows.sort_by_key(|row| (place(row).unwrap_or(usize::MAX), row.mode.clone()));
    }

    /// Keeps it in the folder, for people and for programs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path, machine: &str) -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("fault-tests.json"), serde_json::to_string_pretty(self)? + "\n")?;
        fs::write(folder.join("fault-tests.md"), self.page(machine)).context("the table cannot be written")
    }

    fn page(&self, machine: &str) -> String {
        let mut page = format!("{}\n\nOn {machine}.\n\n", HEAD.trim());
        let head = [
            "case",
            "mode",
            "nodes",
            "jobs",
            "lost",
            "repeated",
            "shown twice",
            "s from fault",
            "s from its end",
            "result",
        ];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(self.rows.iter().map(cells));
        let width =
            |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths: [usize; 10] = std::array::from_fn(width);
        for (number, line) in lines.iter().enumerate() {
            let padded: Vec<String> =
                line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(page, "| {} |", padded.join(" | ")).expect("a text takes everything");
            if number == 0 {
                let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
                writeln!(page, "|{}|", rule.join("|")).expect("a text takes everything");
            }
        }
        page.push_str("\n## What each case does, and how to have it again\n\n");
        for row in &self.rows {
            let Row { case, mode, what, command, commit, took, peak_mib, notes, .. } = row;
            write!(
                page,
                "- **{case}**, {mode}: {what}. `{command}` at {commit}: {took:.0} s, a worker had up to {peak_mib} MiB"
            )
            .expect("a text takes everything");
            for note in notes {
                write!(page, "; {note}").expect("a text takes everything");
            }
            page.push_str(".\n");
        }
        page
    }
}

fn cells(row: &Row) -> [String; 10] {
    let seconds = |seconds: Option<f64>| seconds.map_or("–".to_owned(), |seconds| format!("{seconds:.1}"));
    [
        row.case.clone(),
        row.mode.clone(),
        row.nodes.to_string(),
        row.jobs.to_string(),
        row.lost.to_string(),
        row.repeated.to_string(),
        row.repeated_after_deduplication.to_string(),
        seconds(row.seconds_from_fault),
        seconds(row.seconds_from_end),
        if row.passed { "ok" } else { "FAILED" }.to_owned(),
    ]
}

const HEAD: &str = "
# Fault tests

`make fault` breaks workers, brokers and the network between them while jobs come in, and looks at what became of every
job. Three stages run apart, two workers each, on a real Apache Kafka; topics have 6 partitions; the load goes on until the
fault is over and everything moves again.

* **lost**: jobs that the brokers had acknowledged and that have no terminal record on `results`.
* **repeated**: terminal records beyond one for each job record, read with `read_committed`.
* **shown twice**: those that are left when `millstream results` has dropped repeats by id.
* **s from fault**, **s from its end**: the longest time until every partition of every stage had committed something new,
  seen four times a second. Where nothing can go on during the fault (no broker, no network), only the second says
  something about the workers. The limit is the session timeout and 15 s; the tests set `session.timeout.ms` to 6000 on
  one node and to 10000 on three, so it is 21 s and 25 s.
* The contents of every result are compared with what ONNX Runtime says by itself, and the order of results of a key with
  the order of its jobs (not where partitions are added). Jobs, journal and verdict are made by clients that share no code
  with millstream; `millstream reconcile` must agree.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, mode: &str, jobs: usize) -> Row {
        Row {
            case: case.into(),
            mode: mode.into(),
            what: "nothing".into(),
            nodes: 1,
            jobs,
            lost: 0,
            repeated: 3,
            repeated_after_deduplication: 0,
            seconds_from_fault: Some(1.25),
            seconds_from_end: None,
            peak_mib: 60,
            passed: true,
            notes: vec!["a note".into()],
            seed: 1,
            command: "make fault".into(),
            commit: "abc".into(),
            took: 30.0,
        }
    }

    #[test]
    fn a_new_row_takes_the_place_of_an_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut table = Table::read(folder.path()).unwrap();
        for row in [
            row("pause", "exactly-once", 1),
            row("control", "exactly-once", 2),
            row("pause", "at-least-once", 3),
        ] {
            table.put(row);
        }
        table.write(folder.path(), "a machine").unwrap();
        let mut again = Table::read(folder.path()).unwrap();
        assert_eq!(again, table);
        again.put(row("pause", "exactly-once", 4));
        let jobs: Vec<usize> = again.rows.iter().map(|row| row.jobs).collect();
        assert_eq!(jobs, [2, 3, 4], "in the order of the cases, then of the modes");
    }

    #[test]
    fn a_line_says_it_all() {
        let mut table = Table::default();
        table.put(row("control", "at-least-once", 20_000));
        let page = table.page("a machine");
        let line = page.lines().find(|line| line.starts_with("| control")).unwrap();
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells, ["control", "at-least-once", "1", "20000", "0", "3", "0", "1.2", "–", "ok"]);
        assert!(page.contains("`make fault` at abc: 30 s"), "{page}");
        assert!(page.contains("a note"), "{page}");
    }
}
