//! For scale: the model alone, and Kafka alone.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tests::wait::until;
use tests::{Broker, Process, Setting, digits, python};

use crate::load::Load;
use crate::note;
use crate::pass_through::{self, Passed};
use crate::placement::Placement;
use crate::plan::Plan;
use crate::throughput::Round;

const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ceilings {
    /// ONNX Runtime from Python on tensors that are ready, 64 at a time, with one thread.
    pub(crate) model: Round,
    /// A worker that passes records on as they are.
    pub(crate) pass_through: Round,
}

/// What `ceiling.py` says.
#[derive(Deserialize)]
struct ModelRun {
    images: f64,
    seconds: f64,
    cpu_seconds: f64,
}

pub(crate) async fn measure(broker: &Broker, plan: &Plan, placement: &Placement) -> Result<Ceilings> {
    let setting = Setting::new(broker, "bench-ceilings").await?;
    note("ONNX Runtime alone");
    let model = model(&setting, plan, placement).await?;
    note("Kafka alone");
    let pass_through = pass_through(&setting, plan, placement).await?;
    Ok(Ceilings { model, pass_through })
}

async fn model(setting: &Setting, plan: &Plan, placement: &Placement) -> Result<Round> {
    let (model, seconds) = (digits().display().to_string(), plan.model_seconds.to_string());
    let arguments = ["--model", &model, "--seconds", &seconds];
    let mut run = placement.on_workers_core(|| python::start(setting.folder(), "ceiling.py", &arguments))?;
    let ModelRun { images, seconds, cpu_seconds } = serde_json::from_str(&run.finish(PATIENCE).await?)?;
    Ok(Round { jobs_per_second: images / seconds, cpu_seconds_per_1000: cpu_seconds * 1000.0 / images })
}

async fn pass_through(setting: &Setting, plan: &Plan, placement: &Placement) -> Result<Round> {
    Load::new(setting)?.submit(plan.backlog).await?;
    let mut command = Command::new(std::env::current_exe()?);
    let (from, to) = (setting.topic("preprocess"), setting.topic("results"));
    command.args([pass_through::COMMAND, setting.brokers(), &from, &to, &plan.backlog.to_string()]);
    let mut process =
        placement.on_workers_core(|| Process::start("pass-through", setting.folder(), &mut command))?;
    let passed = until("every record is passed on", PATIENCE, async || {
        anyhow::ensure!(process.is_running()?, "it ended");
        Ok(serde_json::from_str::<Passed>(&process.stdout()?).ok())
    });
    let Passed { seconds } = passed.await.with_context(|| process.stderr().unwrap_or_default())?;
    let (jobs, used) = (plan.backlog as f64, process.processor_time()?.as_secs_f64());
    Ok(Round { jobs_per_second: jobs / seconds, cpu_seconds_per_1000: used * 1000.0 / jobs })
}
