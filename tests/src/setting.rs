//! What one test plays in: a folder, a configuration, and topics that nobody else uses.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::journal::{DeadLetter, HostileRecord, Journal, Reference, Terminal};
use crate::{Broker, Ended, Process, Worker, digits, millstream, python};

/// The pipeline of every test.
pub const PIPELINE: &str = "digits";

/// The file whose being there ends a held load.
const RELEASED: &str = "released";

/// Which stages run in which processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stages {
    /// A process for each.
    Apart,
    /// All in one process.
    Fused,
}

impl Stages {
    /// What `--stage` is told, process by process.
    pub fn of_each_process(self) -> &'static [&'static str] {
        match self {
            Self::Apart => &["preprocess", "inference", "postprocess"],
            Self::Fused => &["preprocess,inference,postprocess"],
        }
    }
}

/// A folder, a configuration, and topics that nobody else uses.
pub struct Setting {
    folder: TempDir,
    /// Where the configuration finds the brokers.
    brokers: String,
    /// Where the scripts find them.
    direct: String,
    prefix: String,
}

/// How many jobs a producer submits, and how.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// How many.
    pub jobs: usize,
    /// As PNG files in raw payloads (`png`), in MessagePack (`payload`), or as the model's inputs (`tensor`).
    pub form: &'a str,
    /// Jobs a second; 0 for as fast as it goes.
    pub rate: u32,
    /// Go on after those jobs until [`Setting::release`], so that what happens meanwhile happens under load, however long
    /// it takes.
    pub held: bool,
}

impl Load<'_> {
    /// PNG files, as fast as it goes.
    pub fn of(jobs: usize) -> Self {
        Self { jobs, form: "png", rate: 0, held: false }
    }

    /// PNG files, so many a second, at least so many in all, until they are released.
    pub fn held(jobs: usize, rate: u32) -> Self {
        Self { jobs, form: "png", rate, held: true }
    }
}

impl Setting {
    /// The digits pipeline with four partitions, on these brokers.
    ///
    /// # Errors
    /// When the topics cannot be created.
    pub async fn new(broker: &Broker, name: &str) -> Result<Self> {
        Self::with(broker, name, "").await
    }

    /// The same, with tables in the configuration beside those that the harness writes by itself.
    ///
    /// # Errors
    /// When the topics cannot be created.
    pub async fn with(broker: &Broker, name: &str, tables: &str) -> Result<Self> {
        let setting = Self::without_topics(broker.bootstrap(), name, tables)?;
        setting.run(&["topics", "apply"]).await?.expect_code(0);
        Ok(setting)
    }

    /// Only the folder with the configuration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn without_topics(brokers: &str, name: &str, tables: &str) -> Result<Self> {
        Self::through(brokers, brokers, name, tables)
    }

    /// The same, where the configuration and the scripts that submit and read find the brokers by different addresses.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn through(brokers: &str, direct: &str, name: &str, tables: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::Builder::new().prefix(&format!("millstream-{name}-")).tempdir()?;
        // Brokers that were there before keep the topics of older runs.
        let run = std::time::UNIX_EPOCH.elapsed()?.as_secs();
        let prefix = format!("test-{name}-{run}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let setting = Self { folder, brokers: brokers.to_owned(), direct: direct.to_owned(), prefix };
        setting.write(tables)?;
        Ok(setting)
    }

    /// Writes the configuration.
    fn write(&self, tables: &str) -> Result<()> {
        let (brokers, prefix, digits) = (&self.brokers, &self.prefix, digits());
        let model = digits.join("digits.onnx");
        let labels = digits.join("labels.txt");
        let text = format!(
            r#"
[kafka]
brokers = "{brokers}"

[topics]
prefix = "{prefix}"
partitions = 4

[models.digits]
path = "{}"
version = "7"
labels = "{}"

[pipelines.{PIPELINE}]
model = "digits"
preprocess = [
  {{ op = "decode-image", color = "grey" }},
  {{ op = "resize", width = 8, height = 8 }},
  {{ op = "normalise", scale = 0.00392156862745098 }},
  {{ op = "layout", to = "chw" }},
]
postprocess = [{{ op = "softmax", tensor = "logits" }}, {{ op = "top-k", k = 3 }}]

[log]
format = "json"

{tables}
"#,
            model.display(),
            labels.display()
        );
        fs::write(self.config(), text).context("the configuration cannot be written")
    }

    /// Changes the text of the configuration.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn edit(&self, change: impl FnOnce(&str) -> String) -> Result<()> {
        let text = fs::read_to_string(self.config())?;
        fs::write(self.config(), change(&text)).context("the configuration cannot be written")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("millstream.toml")
    }

    /// Where everything of this test is written.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the brokers are.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Where the brokers are for whoever does not go through proxies.
    pub fn direct(&self) -> &str {
        &self.direct
    }

    /// The common part of the topics' names.
    pub fn topics(&self) -> String {
        format!("{}.{PIPELINE}", self.prefix)
    }

    /// The name of a topic.
    pub fn topic(&self, last: &str) -> String {
        format!("{}.{last}", self.topics())
    }

    /// Runs `millstream` with this configuration.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn run(&self, arguments: &[&str]) -> Result<Ended> {
        self.run_with(arguments, &[]).await
    }

    /// Runs `millstream` with this configuration and additional environment.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Ended> {
        let config = self.config();
        let config = config.to_str().context("temporary folders have names in UTF-8")?;
        millstream(&[&["-c", config], arguments].concat(), environment).await
    }

    /// Starts one worker per process of `stages`, and waits until all are ready.
    ///
    /// # Errors
    /// When one does not become ready.
    pub async fn workers(&self, stages: Stages) -> Result<Vec<Worker>> {
        let start = |stage: &&str| Worker::start(self, stage);
        let mut workers = stages.of_each_process().iter().map(start).collect::<Result<Vec<_>>>()?;
        for worker in &mut workers {
            worker.ready().await?;
        }
        Ok(workers)
    }

    /// Starts a producer, which ends when everything is acknowledged; its [`Journal`] is read with
    /// [`journal`](Self::journal).
    ///
    /// # Errors
    /// When it does not start.
    pub fn submit(&self, load: Load<'_>) -> Result<Process> {
        let Load { jobs, form, rate, held } = load;
        let stage = if form == "tensor" { "inference" } else { "preprocess" };
        let images = digits().join("images").display().to_string();
        let journal = self.file("journal.json");
        let arguments = [
            ("--brokers", self.direct.clone()),
            ("--topic", self.topic(stage)),
            ("--pipeline", PIPELINE.to_owned()),
            ("--images", images),
            ("--jobs", jobs.to_string()),
            ("--journal", journal),
            ("--form", form.to_owned()),
            ("--keys", "50".to_owned()),
            ("--rate", rate.to_string()),
        ];
        let mut arguments = flat(&arguments);
        if held {
            arguments.extend(["--until-exists".to_owned(), self.file(RELEASED)]);
        }
        python::start(self.folder(), "submit.py", &arguments)
    }

    /// Lets a producer with a [held](Load::held) load come to its end, and waits for that.
    ///
    /// # Errors
    /// When not everything is acknowledged.
    pub async fn release(&self, mut producer: Process) -> Result<Journal> {
        fs::write(self.folder.path().join(RELEASED), "")?;
        producer.finish(python::PATIENCE).await?;
        self.journal()
    }

    /// What the producer submitted.
    ///
    /// # Errors
    /// When it has not ended yet.
    pub fn journal(&self) -> Result<Journal> {
        self.read("journal.json")
    }

    /// Waits until so many different ids have a result.
    ///
    /// # Errors
    /// When the time is up.
    pub async fn results_of(&self, ids: usize, within: Duration) -> Result<()> {
        let arguments = [
            ("--brokers", self.direct.clone()),
            ("--topic", self.topic("results")),
            ("--until", ids.to_string()),
            ("--timeout", within.as_secs().to_string()),
        ];
        let mut waiting = python::start(self.folder(), "collect.py", &flat(&arguments))?;
        waiting.finish(within + Duration::from_secs(30)).await.map(drop)
    }

    /// Every record on `results`, from the first to the last as it is now.
    ///
    /// # Errors
    /// When it cannot be read or decoded.
    pub async fn results(&self) -> Result<Vec<Terminal>> {
        self.collect("results", "results.json", &[]).await?;
        self.read("results.json")
    }

    /// Hands every record on `results` to `take`, without its headers: a million of them fit no memory at once.
    ///
    /// # Errors
    /// When it cannot be read or decoded, or not in that time.
    pub async fn each_result(&self, within: Duration, mut take: impl FnMut(&Terminal)) -> Result<()> {
        let timeout = within.as_secs().to_string();
        let mut arguments = flat(&[
            ("--brokers", self.direct.clone()),
            ("--topic", self.topic("results")),
            ("--report", self.file("results.lines")),
            ("--timeout", timeout),
        ]);
        arguments.push("--lines".to_owned());
        python::start(self.folder(), "collect.py", &arguments)?.finish(within).await?;
        for line in BufReader::new(fs::File::open(self.file("results.lines"))?).lines() {
            take(&serde_json::from_str(&line?).context("a line of results.lines is not as expected")?);
        }
        Ok(())
    }

    /// Every record on `dead-letters`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        self.collect("dead-letters", "dead-letters.json", &["--dead-letters"]).await?;
        self.read("dead-letters.json")
    }

    async fn collect(&self, topic: &str, report: &str, more: &[&str]) -> Result<()> {
        let named = [
            ("--brokers", self.direct.clone()),
            ("--topic", self.topic(topic)),
            ("--report", self.file(report)),
        ];
        let mut arguments = flat(&named);
        arguments.extend(more.iter().map(ToString::to_string));
        python::run(self.folder(), "collect.py", &arguments).await.map(drop)
    }

    /// What ONNX Runtime, run by Python without anything between, makes of the images.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn reference(&self) -> Result<Reference> {
        let arguments =
            [("--model", digits().display().to_string()), ("--report", self.file("reference.json"))];
        python::run(self.folder(), "reference.py", &flat(&arguments)).await?;
        self.read("reference.json")
    }

    /// Submits hostile records among good ones; `max_bytes` is the limit of a record that the configuration sets.
    ///
    /// # Errors
    /// When they are not all acknowledged.
    pub async fn submit_hostile(
        &self,
        hostile: usize,
        good: usize,
        max_bytes: usize,
    ) -> Result<Vec<HostileRecord>> {
        let arguments = [
            ("--brokers", self.direct.clone()),
            ("--topics", self.topics()),
            ("--images", digits().join("images").display().to_string()),
            ("--hostile", hostile.to_string()),
            ("--good", good.to_string()),
            ("--max-bytes", max_bytes.to_string()),
            ("--journal", self.file("hostile.json")),
        ];
        python::run(self.folder(), "hostile.py", &flat(&arguments)).await?;
        self.read("hostile.json")
    }

    /// How many records of the stage's topic its group has not committed.
    ///
    /// # Errors
    /// When the brokers do not say.
    pub async fn uncommitted(&self, stage: &str) -> Result<i64> {
        #[derive(serde::Deserialize)]
        struct Offsets {
            committed: i64,
            end: i64,
        }
        let arguments = [
            ("--brokers", self.direct.clone()),
            ("--group", self.topic(stage)),
            ("--topic", self.topic(stage)),
        ];
        let told = python::run(self.folder(), "offsets.py", &flat(&arguments)).await?;
        let Offsets { committed, end } = serde_json::from_str(&told)?;
        Ok(end - committed)
    }

    /// The path of a file in its folder.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Reads a report of a script.
    ///
    /// # Errors
    /// When it is not there, or not as expected.
    pub fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let text = fs::read(self.folder.path().join(name)).with_context(|| format!("cannot read {name}"))?;
        serde_json::from_slice(&text).with_context(|| format!("{name} is not as expected"))
    }
}

fn flat(arguments: &[(&str, String)]) -> Vec<String> {
    arguments.iter().flat_map(|(name, value)| [(*name).to_owned(), value.clone()]).collect()
}
