//! One way to run the pipeline: so many processes, and one mode of delivery.

use anyhow::Result;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, Worker};

use crate::latency::{self, AtRate};
use crate::load::Load;
use crate::memory;
use crate::note;
use crate::placement::Placement;
use crate::plan::Plan;
use crate::report::Measured;
use crate::start::{self, ColdStarts};
use crate::throughput::{self, Backlogs};

/// Modes of delivery, as the configuration names them.
pub(crate) const DELIVERIES: [&str; 2] = ["at-least-once", "exactly-once"];

/// A light load: what a transaction costs is seen where nothing else makes a job wait.
const LOW_RATE: f64 = 100.0;

/// Workers that are warm, with topics of their own.
pub(crate) struct Contender {
    stages: Stages,
    delivery: &'static str,
    load: Load,
    workers: Vec<Worker>,
    start: ColdStarts,
    idle_mib: Vec<u64>,
    settled: usize,
    backlogs: Backlogs,
    // The configuration lies in its folder.
    _setting: Setting,
}

impl Contender {
    /// Measures how they start, then starts them for good.
    pub(crate) async fn start(
        broker: &Broker,
        stages: Stages,
        delivery: &'static str,
        plan: &Plan,
        placement: &Placement,
    ) -> Result<Self> {
        let setting = setting(broker, stages, delivery).await?;
        note(&format!("{}: {} cold starts", name(stages, delivery), plan.starts));
        let start = start::cold(&setting, stages, plan.starts, placement).await?;
        let load = Load::new(&setting)?;
        let mut workers = placement.workers(&setting, stages).await?;
        let idle_mib = memory::resident_mib(&workers)?;
        load.submit(plan.warm_up).await?;
        throughput::settle(&mut workers, plan.warm_up).await?;
        Ok(Self {
            stages,
            delivery,
            load,
            workers,
            start,
            idle_mib,
            settled: plan.warm_up,
            backlogs: Backlogs::default(),
            _setting: setting,
        })
    }

    pub(crate) fn name(&self) -> String {
        name(self.stages, self.delivery)
    }

    /// Works off one backlog.
    pub(crate) async fn backlog(&mut self, plan: &Plan) -> Result<()> {
        self.settled += plan.backlog;
        let round = throughput::backlog(&self.load, &mut self.workers, plan.backlog, self.settled).await?;
        self.backlogs.rounds.push(round);
        Ok(())
    }

    /// Measures how long jobs take, and stops the workers.
    pub(crate) async fn finish(self, plan: &Plan, placement: &Placement) -> Result<Measured> {
        let peak_mib = memory::peak_mib(&self.workers)?;
        let low_load = self.at_rate(LOW_RATE, plan, placement).await?;
        let half_load = self.at_rate(self.backlogs.jobs_per_second() / 2.0, plan, placement).await?;
        let name = self.name();
        let Self { workers, start, idle_mib, backlogs: backlog, .. } = self;
        stop_all(workers).await?;
        Ok(Measured { name, start, idle_mib, backlog, peak_mib, low_load, half_load })
    }

    async fn at_rate(&self, rate: f64, plan: &Plan, placement: &Placement) -> Result<AtRate> {
        note(&format!("{}: {rate:.0} jobs/s for {} s", self.name(), plan.latency_seconds));
        latency::at_rate(&self.load, rate, plan, placement).await
    }
}

/// The pipeline's topics and configuration.
pub(crate) async fn setting(broker: &Broker, stages: Stages, delivery: &str) -> Result<Setting> {
    let name = if stages == Stages::Fused { "fused" } else { "apart" };
    let setting = Setting::with(broker, &format!("bench-{name}"), throughput::SETTINGS).await?;
    let declared = format!("model = \"digits\"\ndelivery = \"{delivery}\"\n");
    setting.edit(|config| config.replace("model = \"digits\"\n", &declared))?;
    Ok(setting)
}

fn name(stages: Stages, delivery: &str) -> String {
    let stages = if stages == Stages::Fused { "fused" } else { "three stages" };
    format!("{stages}, {delivery}")
}
