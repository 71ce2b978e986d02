//! One table, for people and as JSON.

use std::fmt;
use std::fs;

use anyhow::{Context, Result};
use schemas::Timestamp;
use serde::Serialize;
use tests::repository;

use crate::ceilings::Ceilings;
use crate::latency::{AtRate, Percentiles};
use crate::machine::Machine;
use crate::placement::Placement;
use crate::plan::Plan;
use crate::start::ColdStarts;
use crate::throughput::{Backlogs, Round};

/// Where the table of this page lies in `docs/delivery.md`.
const MARKS: [&str; 2] = ["<!-- written by make bench -->\n", "<!-- end of what make bench writes -->\n"];

/// What was measured of one way to run the pipeline.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) start: ColdStarts,
    /// Before the first job, process by process.
    pub(crate) idle_mib: Vec<u64>,
    pub(crate) backlog: Backlogs,
    /// The most during the backlogs, process by process.
    pub(crate) peak_mib: Vec<u64>,
    /// At a rate that is far below what the workers can do.
    pub(crate) low_load: AtRate,
    /// At half the rate that the backlogs showed.
    pub(crate) half_load: AtRate,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    date: String,
    machine: Machine,
    placement: String,
    command: String,
    plan: Plan,
    ceilings: Ceilings,
    /// The table's columns: fused, then three stages; at-least-once, then exactly-once.
    columns: Vec<Measured>,
    /// Percent of a core, process by process, column by column.
    idle_percent: Vec<Vec<f64>>,
}

/// A line of a table: what, and a cell for each column.
type Row = Vec<String>;

impl Report {
    pub(crate) fn new(
        plan: &Plan,
        placement: &Placement,
        ceilings: Ceilings,
        columns: Vec<Measured>,
        idle_percent: Vec<Vec<f64>>,
    ) -> Self {
        let date = Timestamp::now().as_str().split('T').next().unwrap_or_default().to_owned();
        Self {
            date,
            machine: Machine::this(),
            placement: placement.describe(),
            command: if plan.is_quick { "MILLSTREAM_BENCH_QUICK=1 make bench" } else { "make bench" }
                .to_owned(),
            plan: plan.clone(),
            ceilings,
            columns,
            idle_percent,
        }
    }

    /// Keeps it as `docs/bench.md` and `docs/bench.json`, and its part of `docs/delivery.md`; a quick run proves nothing,
    /// so it goes to `target/bench`.
    pub(crate) fn save(&self, is_quick: bool) -> Result<()> {
        let folder = repository().join(if is_quick { "target/bench" } else { "docs" });
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("bench.md"), self.to_string())?;
        fs::write(folder.join("bench.json"), serde_json::to_string_pretty(self)? + "\n")?;
        let delivery = fs::read_to_string(repository().join("docs/delivery.md"))?;
        fs::write(folder.join("delivery.md"), self.with_cost(&delivery)?)?;
        Ok(())
    }

    /// The page with what exactly-once costs.
    fn with_cost(&self, page: &str) -> Result<String> {
        let [begin, end] = MARKS;
        let (before, rest) =
            page.split_once(begin).context("docs/delivery.md has no place for the figures")?;
        let (_, after) = rest.split_once(end).context("docs/delivery.md has no end of the figures")?;
        Ok(format!("{before}{begin}{}{end}{after}", table(&self.head(), &self.cost_rows())))
    }

    fn cost_rows(&self) -> Vec<Row> {
        vec![
            self.row("jobs/s on one core", |m| format!("{:.0}", m.backlog.jobs_per_second())),
            self.row("CPU-seconds per 1,000 jobs", |m| format!("{:.4}", m.backlog.cpu_seconds_per_1000())),
            self.row("latency at 100 jobs/s, p50 / p99 ms", |m| both(&m.low_load.latency_ms)),
            self.row("latency at half load, p50 / p99 ms", |m| both(&m.half_load.latency_ms)),
        ]
    }

    fn head(&self) -> Row {
        self.row("", |m| m.name.clone())
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = self.backlog_rows();
        rows.extend(self.latency_rows());
        rows.push(self.row("start to model warm, ms", |m| format!("{:.0}", m.start.warm_ms())));
        rows.push(self.row("start to ready (group joined), ms", |m| format!("{:.0}", m.start.ready_ms())));
        rows.push(self.row("resident memory before the first job, MiB", |m| joined(&m.idle_mib)));
        rows.push(self.row("most resident memory during the backlogs, MiB", |m| joined(&m.peak_mib)));
        let idle = |percents: &[f64]| {
            percents.iter().map(|percent| format!("{percent:.2}")).collect::<Vec<_>>().join(" + ")
        };
        let what = format!("idle for {} s, % of a core", self.plan.idle_seconds);
        rows.push(
            [what].into_iter().chain(self.idle_percent.iter().map(|percents| idle(percents))).collect(),
        );
        rows
    }

    fn backlog_rows(&self) -> Vec<Row> {
        let Ceilings { model, pass_through } = &self.ceilings;
        let share = |ceiling: &Round, backlog: &Backlogs| {
            format!("{:.0} %", 100.0 * ceiling.cpu_seconds_per_1000 / backlog.cpu_seconds_per_1000())
        };
        let range = |backlog: &Backlogs| {
            let rates = || backlog.rounds.iter().map(|round| round.jobs_per_second);
            let (least, most) = (rates().fold(f64::MAX, f64::min), rates().fold(0.0, f64::max));
            format!("{least:.0}–{most:.0}")
        };
        vec![
            self.row("jobs/s on one core", |m| format!("{:.0}", m.backlog.jobs_per_second())),
            self.row("the same, slowest and fastest backlog", |m| range(&m.backlog)),
            self.row("CPU-seconds per 1,000 jobs", |m| format!("{:.4}", m.backlog.cpu_seconds_per_1000())),
            self.row("of these, what Kafka alone takes", |m| share(pass_through, &m.backlog)),
            self.row("of these, what ONNX Runtime alone takes", |m| share(model, &m.backlog)),
        ]
    }

    fn latency_rows(&self) -> Vec<Row> {
        let sheet = |measured: &Measured, entry: usize| both(&measured.half_load.sheet_ms[entry].1);
        let mut rows = vec![
            self.row("latency at 100 jobs/s, p50 / p99 ms", |m| both(&m.low_load.latency_ms)),
            self.row("half load, jobs/s", |m| format!("{:.0}", m.half_load.jobs_per_second)),
            self.row("half load: busy cores (workers, everything else), %", |m| {
                m.half_load
                    .busy_percent
                    .iter()
                    .map(|busy| format!("{busy:.0}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            }),
            self.row("latency at half load, p50 / p99 ms", |m| both(&m.half_load.latency_ms)),
        ];
        for (entry, (name, _)) in self.columns[0].half_load.sheet_ms.iter().enumerate() {
            rows.push(self.row(&format!("half load, time sheet: {name}, p50 / p99 ms"), |m| sheet(m, entry)));
        }
        rows.push(self.row("half load, time sheet: batch size, p50 / p99", |m| {
            format!("{:.0} / {:.0}", m.half_load.batch_size.p50, m.half_load.batch_size.p99)
        }));
        rows
    }

    fn row(&self, what: &str, cell: impl Fn(&Measured) -> String) -> Row {
        [what.to_owned()].into_iter().chain(self.columns.iter().map(cell)).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, machine, placement, command, plan, ceilings, .. } = self;
        writeln!(f, "# What it costs\n")?;
        writeln!(f, "`{command}`, {date}: {}; {placement}.\n", machine.describe())?;
        writeln!(f, "{}", table(&self.head(), &self.rows()))?;
        writeln!(f, "For scale, on the workers' core:\n")?;
        let scale = [
            scale(
                "Kafka alone: a worker that passes records on through the same transport",
                &ceilings.pass_through,
            ),
            scale(
                "ONNX Runtime alone: from Python, ready tensors, batches of 64, one thread",
                &ceilings.model,
            ),
        ];
        f.write_str(&table(&["", "jobs/s", "CPU-seconds per 1,000"].map(str::to_owned), &scale))?;
        write!(f, "{}", notes(plan))
    }
}

fn scale(what: &str, round: &Round) -> Row {
    let Round { jobs_per_second, cpu_seconds_per_1000 } = round;
    vec![what.to_owned(), format!("{jobs_per_second:.0}"), format!("{cpu_seconds_per_1000:.4}")]
}

/// How to read the table.
fn notes(plan: &Plan) -> String {
    let Plan { warm_up, backlog, rounds, latency_seconds, latency_warm_up_seconds, starts, .. } = plan;
    format!(
        "
* A job is an 8×8 PNG of a digit as a raw payload, 4 partitions, one broker, `acks=all`. Every job ends as a result with the
  best three labels.
* Throughput: the median of {rounds} backlogs of {backlog} jobs, after {warm_up} jobs to warm up. The workers are suspended
  while a backlog is submitted, so they share their core with nobody; both modes take turns. CPU is user and system time of all worker processes.
* Latency: an open loop of {latency_seconds} s, of which the first {latency_warm_up_seconds} s do not count; from the moment
  at which a job was due to be submitted to the arrival of its result at a reader, so a late submission counts as latency.
  The load generator and the reader share the broker's core, and their timer wakes once a millisecond: where that core is
  nearly full, the latency is its queue and not the workers'. The time sheet is
  the worker's own account, from the moment at which the job was really submitted.
* Start: the median of {starts}. Numbers joined by + are the processes of preprocess, inference and postprocess.
* What Kafka alone takes is for reading and writing each job once; three stages do so three times.
* On a shared machine only the ratios within this table mean much.
"
    )
}

fn joined(values: &[u64]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + ")
}

fn both(percentiles: &Percentiles) -> String {
    format!("{:.1} / {:.1}", percentiles.p50, percentiles.p99)
}

/// Markdown with columns of even width, the first to the left.
fn table(head: &[String], rows: &[Row]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &row[column]).chain([&head[column]]);
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 => format!("| {cell:width$} |"),
            _ => format!(" {cell:>width$} |"),
        });
        cells.collect::<String>() + "\n"
    };
    let rule = widths.iter().enumerate().map(|(column, width)| match column {
        0 => format!("|{:-<width$}--|", ""),
        _ => format!("-{:->width$}:|", ""),
    });
    let rule = rule.collect::<String>() + "\n";
    line(head) + &rule + &rows.iter().map(|row| line(row)).collect::<String>()
}
