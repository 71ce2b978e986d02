//! The run: case after case, each with its row.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use super::judge::{Found, judge};
use super::plan::{Case, Mode, Plan};
use super::scene::{Recovery, Scene};
use super::table::{Row, Table};
use super::{cases, say};
use crate::{Broker, repository};

/// Counts of a run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Cases where everything held.
    pub passed: usize,
    /// The others.
    pub failed: usize,
}

/// Runs the plan; every case gets its row, whatever becomes of it.
///
/// # Errors
/// When the table cannot be kept, or somebody asks the run to end: then everything that it started ends with it.
pub async fn run(plan: &Plan) -> Result<Tally> {
    let folder = repository().join(if plan.is_kept { "docs" } else { "target/fault" });
    let mut asked = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let [interrupt, terminate] = &mut asked;
    let commit = commit().unwrap_or_else(|| "an unknown commit".to_owned());
    let mut tally = Tally::default();
    let mut broker: Option<(usize, Broker)> = None;
    for (number, (case, mode)) in plan.rounds.iter().enumerate() {
        say(&format!("\n== {}/{} {} {mode}: {}", number + 1, plan.rounds.len(), case.name, case.what));
        let start = Instant::now();
        let result = tokio::select! {
            result = tokio::time::timeout(limit(plan, case), one(&mut broker, case, *mode, plan)) => {
                result.context("it took too long").flatten()
            }
            _ = interrupt.recv() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("asked to end"),
        };
        let row = match result {
            Ok(row) => Row { took: start.elapsed().as_secs_f64(), ..row },
            Err(error) => {
                // Whatever went wrong, the next case begins with brokers that nothing has happened to.
                broker = None;
                let notes = vec![format!("{error:#}")];
                Row { notes, took: start.elapsed().as_secs_f64(), ..empty(case, *mode, plan) }
            }
        };
        let row = Row { commit: commit.clone(), ..row };
        tell(&row);
        tally.passed += usize::from(row.passed);
        tally.failed += usize::from(!row.passed);
        let mut table = Table::read(&folder)?;
        table.put(row);
        table.write(&folder, &machine())?;
    }
    Ok(tally)
}

/// Some minutes beside what the jobs take by themselves.
fn limit(plan: &Plan, case: &Case) -> Duration {
    Duration::from_secs(900) + 4 * plan.duration(case)
}

async fn one(
    broker: &mut Option<(usize, Broker)>,
    case: &'static Case,
    mode: Mode,
    plan: &Plan,
) -> Result<Row> {
    if broker.as_ref().is_none_or(|(nodes, _)| *nodes != case.nodes) {
        // The others end before these start.
        *broker = None;
        *broker = Some((case.nodes, Broker::behind_proxies(case.nodes).await?));
    }
    let (_, broker) = broker.as_ref().expect("there is one now");
    // A job that is lost is waited for until then.
    let within = Duration::from_secs(180) + 2 * plan.duration(case);
    let mut scene = Scene::set(broker, case, mode, plan).await?;
    let judged = async {
        cases::play(&mut scene, case, plan).await?;
        scene.ends(within).await?;
        judge(&mut scene, case, within).await
    };
    let judged = judged.await;
    let row = judged.map(|found| row(&scene, case, mode, plan, found));
    if !row.as_ref().is_ok_and(|row| row.passed) {
        keep_logs(&scene, case, mode).context("the logs cannot be kept")?;
    }
    row
}

fn row(scene: &Scene<'_>, case: &Case, mode: Mode, plan: &Plan, found: Found) -> Row {
    let longest = |of: fn(&Recovery) -> Duration| {
        scene.recoveries.iter().map(of).max().map(|longest| longest.as_secs_f64())
    };
    let mut notes = [scene.faults.clone(), found.faults].concat();
    let may_repeat = mode == Mode::AtLeastOnce && !case.is_orderly;
    let passed = notes.is_empty()
        && found.lost == 0
        && found.repeated_after_deduplication == 0
        && (found.repeated == 0 || may_repeat);
    if !scene.fleet.restarted.is_empty() {
        notes.push(format!("{} workers ended and were started again", scene.fleet.restarted.len()));
    }
    notes.extend(scene.notes.clone());
    Row {
        jobs: found.jobs,
        lost: found.lost,
        repeated: found.repeated,
        repeated_after_deduplication: found.repeated_after_deduplication,
        seconds_from_fault: longest(|recovery| recovery.from_fault),
        seconds_from_end: longest(|recovery| recovery.from_end),
        peak_mib: scene.fleet.peak_mib,
        passed,
        notes,
        ..empty(case, mode, plan)
    }
}

/// The row of a case that did not come to its end.
fn empty(case: &Case, mode: Mode, plan: &Plan) -> Row {
    let Plan { seed, jobs, .. } = plan;
    let few = if plan.is_kept { String::new() } else { format!(" JOBS={jobs}") };
    Row {
        case: case.name.to_owned(),
        mode: mode.to_string(),
        what: case.what.to_owned(),
        nodes: case.nodes,
        jobs: 0,
        lost: 0,
        repeated: 0,
        repeated_after_deduplication: 0,
        seconds_from_fault: None,
        seconds_from_end: None,
        peak_mib: 0,
        passed: false,
        notes: Vec::new(),
        seed: *seed,
        command: format!("make fault CASE={} MODE={mode} SEED={seed}{few}", case.name),
        commit: String::new(),
        took: 0.0,
    }
}

fn tell(row: &Row) {
    let Row { case, mode, jobs, lost, repeated, repeated_after_deduplication: shown, notes, took, .. } = row;
    // As `.ci/test.sh` counts.
    let verdict = if row.passed { "ok" } else { "FAILED" };
    say(&format!(
        "{verdict}: {case} {mode}: {jobs} jobs, {lost} lost, {repeated} repeated, {shown} shown twice, {took:.0} s"
    ));
    for note in notes {
        say(&format!("  {note}"));
    }
    if !row.passed {
        say(&format!("  again: {}", row.command));
    }
}

/// Keeps what the processes of a failed case wrote.
fn keep_logs(scene: &Scene<'_>, case: &Case, mode: Mode) -> Result<()> {
    let folder: PathBuf = repository().join(format!("target/fault/{}-{mode}", case.name));
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(scene.setting.folder())? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?;
        if path.extension().is_none_or(|extension| extension != "stdout") {
            fs::copy(&path, folder.join(name))?;
        }
    }
    say(&format!("  logs, journal and results: {}", folder.display()));
    Ok(())
}

/// The last commit that changed more than documents, and whether more has changed since; `None` outside a repository.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let beside_docs = ["--", ".", ":!docs"];
        let output = Command::new("git").args(arguments).args(beside_docs).current_dir(repository()).output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mark = if git(&["status", "--porcelain"])?.is_empty() { "" } else { "+" };
    Some(git(&["log", "-1", "--format=%h"])? + mark)
}

fn machine() -> String {
    let cores = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cores.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("an unknown processor", |(_, name)| name);
    let count = cores.lines().filter(|line| line.starts_with("processor")).count();
    format!("{count} cores of {model}, which brokers, workers, load and checkers share")
}
