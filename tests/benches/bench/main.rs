//! What it costs: `make bench` measures the release binary on a real Apache Kafka and saves one table.
//!
//! The workers have one core and everything else (broker, load, readers) has another, where the machine has two. A shared
//! machine is noisy, so read the ratios within one table rather than single numbers.
//!
//! `MILLSTREAM_BENCH_QUICK=1` tries everything in under two minutes; `MILLSTREAM_BENCH_IDLE_SECONDS` says how long idle
//! workers are watched.

mod busy;
mod ceilings;
mod idle;
mod latency;
mod load;
mod machine;
mod memory;
mod pass_through;
mod placement;
mod plan;
mod report;
mod start;
mod statistics;
mod throughput;

use anyhow::{Context, Result, ensure};
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages};

use crate::load::Load;
use crate::placement::Placement;
use crate::plan::Plan;
use crate::report::{Measured, Report};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The bench starts itself a second time, as a worker that only passes records on.
    if arguments.first().is_some_and(|first| first == pass_through::COMMAND) {
        return runtime()?.block_on(pass_through::run(&arguments[1..]));
    }
    ensure!(
        std::env::var_os("MILLSTREAM_BIN").is_some(),
        "MILLSTREAM_BIN does not name the release binary: run `make bench`"
    );
    let placement = Placement::of_this_machine()?;
    // Before there are threads, so that all of them are where the broker is.
    placement.stay_with_the_broker()?;
    runtime()?.block_on(measure(&Plan::from_environment()?, &placement))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no runtime for the bench")
}

async fn measure(plan: &Plan, placement: &Placement) -> Result<()> {
    note("starting Apache Kafka");
    let broker = Broker::single()?;
    let ceilings = ceilings::measure(&broker, plan, placement).await?;
    let fused = measure_stages(&broker, Stages::Fused, plan, placement).await?;
    let apart = measure_stages(&broker, Stages::Apart, plan, placement).await?;
    let idle = idle::watch(&broker, plan, placement).await?;
    let report = Report::new(plan, placement, ceilings, [fused, apart], idle)?;
    report.save(plan.is_quick)?;
    print(&report.to_string());
    Ok(())
}

async fn measure_stages(
    broker: &Broker,
    stages: Stages,
    plan: &Plan,
    placement: &Placement,
) -> Result<Measured> {
    let name = if stages == Stages::Fused { "fused" } else { "apart" };
    let setting = Setting::with(broker, &format!("bench-{name}"), throughput::SETTINGS).await?;
    note(&format!("{name}: {} cold starts", plan.starts));
    let start = start::cold(&setting, stages, plan.starts, placement).await?;

    let load = Load::new(&setting)?;
    let mut workers = placement.workers(&setting, stages).await?;
    let idle_mib = memory::resident_mib(&workers)?;
    note(&format!("{name}: {} backlogs of {} jobs", plan.rounds, plan.backlog));
    let backlog = throughput::backlogs(&load, &mut workers, plan).await?;
    let peak_mib = memory::peak_mib(&workers)?;
    let rate = backlog.jobs_per_second() / 2.0;
    note(&format!("{name}: {rate:.0} jobs/s for {} s", plan.latency_seconds));
    let half_load = latency::at_rate(&load, rate, plan, placement).await?;
    stop_all(workers).await?;
    Ok(Measured { start, idle_mib, backlog, peak_mib, half_load })
}

/// What goes on, for whoever waits.
#[expect(clippy::print_stderr, reason = "a bench that runs for a quarter of an hour says where it is")]
fn note(text: &str) {
    eprintln!("bench: {text}");
}

#[expect(clippy::print_stdout, reason = "the table is what was asked for")]
fn print(text: &str) {
    println!("{text}");
}
