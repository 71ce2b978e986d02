//! What a case plays in: brokers behind proxies, topics, workers, a load, and eyes on it all.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use super::dice::Dice;
use super::fleet::{Fleet, STAGES};
use super::load::{Load, Submitted};
use super::plan::{Case, Form, Mode, Plan};
use super::progress::Watch;
use super::{cases, configuration, say};
use crate::journal::HostileRecord;
use crate::{Broker, Ended, Setting, python};

/// What the tests set `session.timeout.ms` to: a member that was killed holds its partitions for so long. Where brokers
/// die, others need more than 6 s here at times until they coordinate in their place, and that should be less than the
/// session timeout, as it is by default.
pub const fn session(nodes: usize) -> Duration {
    Duration::from_secs(if nodes == 1 { 6 } else { 10 })
}

/// Everything goes on within so long, and a session timeout, after a fault.
const LIMIT: Duration = Duration::from_secs(15);
/// How long something is waited for that comes too late, so that it is said how late.
const PATIENCE: Duration = Duration::from_secs(90);
const TICK: Duration = Duration::from_millis(200);
/// What a case needs before anything may break.
const WARM: i64 = 1_000;

/// How long it took until everything went on, after one fault.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// What had broken.
    pub what: String,
    /// From its beginning.
    pub from_fault: Duration,
    /// From its end.
    pub from_end: Duration,
    /// Whether nothing could go on before its end.
    pub is_outage: bool,
}

impl Recovery {
    /// The time that has a limit.
    pub fn counts(&self) -> Duration {
        if self.is_outage { self.from_end } else { self.from_fault }
    }
}

/// A case while it goes on.
pub struct Scene<'a> {
    /// The brokers.
    pub broker: &'a Broker,
    /// Configuration and topics.
    pub setting: Arc<Setting>,
    /// How outcomes and offsets belong together.
    pub mode: Mode,
    /// The workers.
    pub fleet: Fleet,
    /// All chance.
    pub dice: Dice,
    /// Every recovery so far.
    pub recoveries: Vec<Recovery>,
    /// What did not hold.
    pub faults: Vec<String>,
    /// What else there is to say.
    pub notes: Vec<String>,
    /// What was sent beside the load and must fail, each with the codes that it may fail with.
    pub expected: Vec<HostileRecord>,
    load: Load,
    watch: Watch,
}

impl<'a> Scene<'a> {
    /// Sets the scene, and lets it run until the first jobs have come through.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn set(broker: &'a Broker, case: &Case, mode: Mode, plan: &Plan) -> Result<Self> {
        let mut dice = Dice::of(plan.seed, &[case.name, mode.as_str()]);
        let setting = Arc::new(configuration::write(broker, case, mode)?);
        let applied = setting.run(&["topics", "apply"]).await?;
        ensure!(applied.code == Some(0), "topics apply: {}{}", applied.stdout, applied.stderr);
        let mut fleet = Fleet::start(setting.clone())?;
        fleet.ready().await?;
        let watch = Watch::start(&setting, &STAGES)?;
        let special = cases::special(case.fault, plan.jobs, &mut dice);
        let again = case.fault == cases::Fault::Duplicates;
        let submitted = Submitted { jobs: plan.jobs, rate: plan.rate(case), special: special.clone(), again };
        let load = Load::start(&setting, case.form, &submitted)?;
        let mut scene = Self {
            broker,
            setting,
            mode,
            fleet,
            dice,
            recoveries: Vec::new(),
            faults: Vec::new(),
            notes: Vec::new(),
            expected: Vec::new(),
            load,
            watch,
        };
        if case.form == Form::Divide {
            scene.expected = special.into_iter().map(cases::poisoned).collect();
        }
        scene.comes_to(WARM.min(plan.jobs as i64 / 4)).await?;
        Ok(scene)
    }

    /// Waits until so many jobs have come through.
    ///
    /// # Errors
    /// When they do not.
    pub async fn comes_to(&mut self, jobs: i64) -> Result<()> {
        let what = format!("{jobs} jobs come through");
        self.wait_until(&what, PATIENCE, async |scene| Ok((scene.watch.done()? >= jobs).then_some(()))).await
    }

    /// How many jobs have come through.
    ///
    /// # Errors
    /// When nobody watches any more.
    pub fn done(&mut self) -> Result<i64> {
        self.watch.done()
    }

    /// Asks until there is an answer, and looks after the workers meanwhile.
    ///
    /// # Errors
    /// When the time is up, or the question fails.
    pub async fn wait_until<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut ask: impl AsyncFnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask(self).await? {
                return Ok(answer);
            }
            if start.elapsed() > within {
                bail!("within {} s this did not happen: {what}", within.as_secs());
            }
            self.fleet.tend()?;
            tokio::time::sleep(TICK).await;
        }
    }

    /// Lets a fault go on for a time, and looks after the workers meanwhile.
    ///
    /// # Errors
    /// When a worker cannot be started again.
    pub async fn lasts(&mut self, time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.fleet.tend()?;
            tokio::time::sleep(TICK.min(time.saturating_sub(start.elapsed()))).await;
        }
        Ok(())
    }

    /// Waits until every partition of every stage has gone on after a fault that began at `since`, and has ended now at
    /// the latest.
    ///
    /// # Errors
    /// When they do not.
    pub async fn recovers(&mut self, what: &str, since: SystemTime, is_outage: bool) -> Result<()> {
        let end = SystemTime::now();
        let begin = if is_outage { end } else { since };
        let wait = format!("everything goes on after {what}");
        let at = self.wait_until(&wait, PATIENCE, async |scene| scene.watch.went_on(begin)).await?;
        self.has_recovered(what, [since, end, at], is_outage);
        Ok(())
    }

    /// Waits until every stage has committed something of so many partitions, some of which are new.
    ///
    /// # Errors
    /// When it does not.
    pub async fn uses(&mut self, partitions: usize, since: SystemTime) -> Result<()> {
        let end = SystemTime::now();
        let wait = format!("all stages use {partitions} partitions");
        let ask = async |scene: &mut Self| {
            Ok(scene.watch.least_partitions()?.filter(|least| *least >= partitions).map(drop))
        };
        self.wait_until(&wait, PATIENCE, ask).await?;
        self.has_recovered("partitions were added", [since, end, SystemTime::now()], false);
        Ok(())
    }

    /// Takes down how long it took.
    fn has_recovered(&mut self, what: &str, [since, end, at]: [SystemTime; 3], is_outage: bool) {
        let recovery = Recovery {
            what: what.to_owned(),
            from_fault: at.duration_since(since).unwrap_or_default(),
            from_end: at.duration_since(end).unwrap_or_default(),
            is_outage,
        };
        let (from_fault, from_end) = (recovery.from_fault.as_secs_f64(), recovery.from_end.as_secs_f64());
        say(&format!(
            "  {what}: everything goes on {from_fault:.1} s after it began, {from_end:.1} s after its end"
        ));
        if recovery.counts() > session(self.broker.proxies().len()) + LIMIT {
            self.faults.push(format!("{what}: {:.1} s until it went on", recovery.counts().as_secs_f64()));
        }
        self.recoveries.push(recovery);
    }

    /// Asks the brokers, or changes topics; `tests/python/admin.py` says what there is.
    ///
    /// # Errors
    /// When they refuse.
    pub async fn admin(&self, arguments: &[&str]) -> Result<String> {
        let arguments = [&["--brokers", self.setting.direct()], arguments].concat();
        Ok(python::run(self.setting.folder(), "admin.py", &arguments).await?.trim().to_owned())
    }

    /// Ends the load, waits until everything of it has a terminal record, and stops the workers.
    ///
    /// # Errors
    /// When something of that does not happen.
    pub async fn ends(&mut self, within: Duration) -> Result<()> {
        self.load.release(&self.setting)?;
        self.wait_until("the load ends", within, async |scene| Ok(scene.load.has_ended()?.then_some(())))
            .await?;
        let journal = super::load::journal(&self.setting)?;
        let submitted = journal.jobs.iter().filter(|job| job.acknowledged).map(|job| job.id.as_str());
        let mut ids: std::collections::HashSet<&str> = submitted.collect();
        ids.extend(self.expected.iter().map(|record| record.id.as_str()));
        let (count, timeout) = (ids.len().to_string(), within.as_secs().to_string());
        let topic = self.setting.topic("results");
        let arguments =
            ["--brokers", self.setting.direct(), "--topic", &topic, "--until", &count, "--timeout", &timeout];
        let mut waiting = python::start(self.setting.folder(), "collect.py", &arguments)?;
        let what = format!("{count} ids have a terminal record");
        self.wait_until(&what, within + PATIENCE, async |_| Ok((!waiting.is_running()?).then_some(())))
            .await?;
        // Its failure is a loss, and the verdict names what is lost.
        if let Err(error) = waiting.finish(PATIENCE).await {
            self.faults.push(format!("{error:#}"));
        }
        self.settles().await?;
        self.fleet.stop_all().await
    }

    /// Waits until the offsets of everything that was done are committed.
    async fn settles(&mut self) -> Result<()> {
        let setting = self.setting.clone();
        // The other topics hold marks of transactions behind the last record, which nobody commits.
        let stages: &[&str] = if self.mode == Mode::AtLeastOnce { &STAGES } else { &STAGES[..1] };
        for stage in stages {
            let what = format!("all records of {stage} are committed");
            let ask = async |_: &mut Self| Ok((setting.uncommitted(stage).await? == 0).then_some(()));
            self.wait_until(&what, Duration::from_secs(30), ask).await?;
        }
        Ok(())
    }

    /// Runs `millstream` in this setting, for longer than usual.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn run(&self, arguments: &[&str], within: Duration) -> Result<Ended> {
        let config = self.setting.config();
        let config = config.to_str().context("temporary folders have names in UTF-8")?;
        crate::binary::millstream_within(&[&["-c", config], arguments].concat(), &[], within).await
    }
}
