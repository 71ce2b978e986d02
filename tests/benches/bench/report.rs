//! One table, for people and as JSON.

use std::fmt;
use std::fs;

use anyhow::Result;
use schemas::Timestamp;
use serde::Serialize;
use tests::repository;

use crate::ceilings::Ceilings;
use crate::latency::{HalfLoad, Percentiles};
use crate::machine::Machine;
use crate::placement::Placement;
use crate::plan::Plan;
use crate::start::ColdStarts;
use crate::throughput::{Backlogs, Round};

/// What was measured of one way to spread the stages over processes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) start: ColdStarts,
    /// Before the first job, process by process.
    pub(crate) idle_mib: Vec<u64>,
    pub(crate) backlog: Backlogs,
    /// The most during the backlogs, process by process.
    pub(crate) peak_mib: Vec<u64>,
    pub(crate) half_load: HalfLoad,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    date: String,
    machine: Machine,
    placement: String,
    command: String,
    plan: Plan,
    ceilings: Ceilings,
    fused: Measured,
    three_stages: Measured,
    /// Percent of a core, process by process: fused, then the three stages.
    idle_percent: [Vec<f64>; 2],
}

/// A line of the table: what, fused, three stages.
type Row = [String; 3];

impl Report {
    pub(crate) fn new(
        plan: &Plan,
        placement: &Placement,
        ceilings: Ceilings,
        [fused, three_stages]: [Measured; 2],
        idle_percent: [Vec<f64>; 2],
    ) -> Result<Self> {
        let date = Timestamp::now().as_str().split('T').next().unwrap_or_default().to_owned();
        Ok(Self {
            date,
            machine: Machine::this(),
            placement: placement.describe(),
            command: if plan.is_quick { "MILLSTREAM_BENCH_QUICK=1 make bench" } else { "make bench" }
                .to_owned(),
            plan: plan.clone(),
            ceilings,
            fused,
            three_stages,
            idle_percent,
        })
    }

    /// Keeps it as `docs/bench.md` and `docs/bench.json`; a quick run proves nothing, so it goes to `target/bench`.
    pub(crate) fn save(&self, is_quick: bool) -> Result<()> {
        let folder = repository().join(if is_quick { "target/bench" } else { "docs" });
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("bench.md"), self.to_string())?;
        fs::write(folder.join("bench.json"), serde_json::to_string_pretty(self)? + "\n")?;
        Ok(())
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = self.backlog_rows();
        rows.extend(self.half_load_rows());
        rows.push(self.row("start to model warm, ms", |m| format!("{:.0}", m.start.warm_ms())));
        rows.push(self.row("start to ready (group joined), ms", |m| format!("{:.0}", m.start.ready_ms())));
        rows.push(self.row("resident memory before the first job, MiB", |m| joined(&m.idle_mib)));
        rows.push(self.row("most resident memory during the backlogs, MiB", |m| joined(&m.peak_mib)));
        let idle = |percents: &[f64]| {
            percents.iter().map(|percent| format!("{percent:.2}")).collect::<Vec<_>>().join(" + ")
        };
        let what = format!("idle for {} s, % of a core", self.plan.idle_seconds);
        rows.push([what, idle(&self.idle_percent[0]), idle(&self.idle_percent[1])]);
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

    fn half_load_rows(&self) -> Vec<Row> {
        let both = |percentiles: &Percentiles| format!("{:.1} / {:.1}", percentiles.p50, percentiles.p99);
        let sheet = |measured: &Measured, entry: usize| both(&measured.half_load.sheet_ms[entry].1);
        let mut rows = vec![
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
        for (entry, (name, _)) in self.fused.half_load.sheet_ms.iter().enumerate() {
            rows.push(self.row(&format!("time sheet: {name}, p50 / p99 ms"), |m| sheet(m, entry)));
        }
        rows.push(self.row("time sheet: batch size, p50 / p99", |m| {
            format!("{:.0} / {:.0}", m.half_load.batch_size.p50, m.half_load.batch_size.p99)
        }));
        rows
    }

    fn row(&self, what: &str, cell: impl Fn(&Measured) -> String) -> Row {
        [what.to_owned(), cell(&self.fused), cell(&self.three_stages)]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, machine, placement, command, plan, ceilings, .. } = self;
        writeln!(f, "# What it costs\n")?;
        writeln!(f, "`{command}`, {date}: {}; {placement}.\n", machine.describe())?;
        write_table(f, &self.rows())?;
        writeln!(f)?;
        writeln!(f, "For scale, on the workers' core:\n")?;
        write_table_of(
            f,
            ["", "jobs/s", "CPU-seconds per 1,000"],
            &[
                scale(
                    "Kafka alone: a worker that passes records on through the same transport",
                    &ceilings.pass_through,
                ),
                scale(
                    "ONNX Runtime alone: from Python, ready tensors, batches of 64, one thread",
                    &ceilings.model,
                ),
            ],
        )?;
        write!(f, "{}", notes(plan))
    }
}

fn scale(what: &str, round: &Round) -> Row {
    let Round { jobs_per_second, cpu_seconds_per_1000 } = round;
    [what.to_owned(), format!("{jobs_per_second:.0}"), format!("{cpu_seconds_per_1000:.4}")]
}

/// How to read the table.
fn notes(plan: &Plan) -> String {
    let Plan { warm_up, backlog, rounds, latency_seconds, latency_warm_up_seconds, starts, .. } = plan;
    format!(
        "
* A job is an 8×8 PNG of a digit as a raw payload, 4 partitions, one broker, `acks=all`. Every job ends as a result with the
  best three labels.
* Throughput: the median of {rounds} backlogs of {backlog} jobs, after {warm_up} jobs to warm up. The workers are suspended
  while a backlog is submitted, so they share their core with nobody. CPU is user and system time of all worker processes.
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

fn write_table(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    write_table_of(f, ["", "fused", "three stages"], rows)
}

fn write_table_of(f: &mut fmt::Formatter<'_>, head: [&str; 3], rows: &[Row]) -> fmt::Result {
    let head = head.map(str::to_owned);
    let width = |column: usize| {
        rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let [what, left, right] = [width(0), width(1), width(2)];
    writeln!(f, "| {:what$} | {:>left$} | {:>right$} |", head[0], head[1], head[2])?;
    writeln!(f, "|{:-<what$}--|-{:->left$}:|-{:->right$}:|", "", "", "")?;
    for [name, first, second] in rows {
        writeln!(f, "| {name:what$} | {first:>left$} | {second:>right$} |")?;
    }
    Ok(())
}
