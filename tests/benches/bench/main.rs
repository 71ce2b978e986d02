//! What it costs: `make bench` measures the release binary on a real Apache Kafka and saves one table.
//!
//! The workers have one core and everything else (broker, load, readers) has another, where the machine has two. A shared
//! machine is noisy, so read the ratios within one table rather than single numbers.
//!
//! `MILLSTREAM_BENCH_QUICK=1` tries everything in under two minutes; `MILLSTREAM_BENCH_IDLE_SECONDS` says how long idle
//! workers are watched.

mod busy;
mod ceilings;
mod contender;
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
use tests::{Broker, Stages};

use crate::contender::Contender;
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
    let mut measured = Vec::new();
    for stages in [Stages::Fused, Stages::Apart] {
        measured.extend(measure_stages(&broker, stages, plan, placement).await?);
    }
    let idle = idle::watch(&broker, plan, placement).await?;
    let report = Report::new(plan, placement, ceilings, measured, idle);
    report.save(plan.is_quick)?;
    print(&report.to_string());
    Ok(())
}

/// Both modes of delivery side by side: what is compared is measured in turns, so that a noisy machine disturbs both.
async fn measure_stages(
    broker: &Broker,
    stages: Stages,
    plan: &Plan,
    placement: &Placement,
) -> Result<Vec<Measured>> {
    let mut contenders = Vec::new();
    for delivery in contender::DELIVERIES {
        contenders.push(Contender::start(broker, stages, delivery, plan, placement).await?);
    }
    for round in 1..=plan.rounds {
        for contender in &mut contenders {
            note(&format!("{}: backlog {round} of {}, {} jobs", contender.name(), plan.rounds, plan.backlog));
            contender.backlog(plan).await?;
        }
    }
    let mut measured = Vec::new();
    for contender in contenders {
        measured.push(contender.finish(plan, placement).await?);
    }
    Ok(measured)
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
