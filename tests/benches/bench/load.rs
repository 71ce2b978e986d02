//! The load generator: PNG images of digits as raw payloads, as many as wanted or so many a second.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use producer::{Client, ClientOptions, ReadFrom, ResultFilter, Results, Submission};
use schemas::{JobId, TopicNames};
use tests::setting::PIPELINE;
use tests::{Setting, digits};
use tokio::time::{Duration, Instant, sleep_until};
use transport::{Kafka, KafkaConfig, KafkaReader};

/// A client of one setting's pipeline, and the images that it submits in turn.
pub(crate) struct Load {
    client: Client<Kafka>,
    images: Arc<[Bytes]>,
    /// How many were submitted before: no id is used twice.
    submitted: AtomicUsize,
}

impl Load {
    pub(crate) fn new(setting: &Setting) -> Result<Self> {
        let transport = Kafka::new(KafkaConfig::new(setting.brokers()))?;
        let topics = setting.topics();
        let prefix = topics.strip_suffix(&format!(".{PIPELINE}")).context("topics end with the pipeline")?;
        let options =
            ClientOptions { topics: TopicNames::new(prefix, PIPELINE), ..ClientOptions::new(PIPELINE) };
        Ok(Self { client: Client::new(transport, options), images: images()?, submitted: 0.into() })
    }

    /// Submits so many jobs as fast as it goes; returns when all are acknowledged.
    pub(crate) async fn submit(&self, jobs: usize) -> Result<()> {
        let start = Instant::now();
        self.send(jobs, move |_| start).await?.1.await
    }

    /// Starts to submit jobs, each at its time, whatever becomes of those before it.
    pub(crate) async fn submit_paced(
        &self,
        schedule: Schedule,
    ) -> Result<(FirstId, impl Future<Output = Result<()>> + Send + 'static)> {
        self.send(schedule.jobs, move |index| schedule.due(index)).await
    }

    async fn send(
        &self,
        jobs: usize,
        due: impl Fn(usize) -> Instant + Send + Copy + 'static,
    ) -> Result<(FirstId, impl Future<Output = Result<()>> + Send + 'static)> {
        let first = self.submitted.fetch_add(jobs, Ordering::Relaxed);
        let mut submitted = self.client.submit_all(submissions(Arc::clone(&self.images), first, jobs, due));
        let all = async move {
            while let Some(id) = submitted.next().await {
                id?;
            }
            Ok(())
        };
        Ok((FirstId(first), all))
    }

    /// Reads results that come from now on.
    pub(crate) async fn results(&self) -> Result<Results<KafkaReader>> {
        Ok(self.client.results(ReadFrom::End, ResultFilter::all()).await?)
    }
}

/// When each of a number of jobs is due: evenly, at a fixed rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) start: Instant,
    pub(crate) rate: f64,
    pub(crate) jobs: usize,
}

impl Schedule {
    pub(crate) fn due(&self, index: usize) -> Instant {
        self.start + Duration::from_secs_f64(index as f64 / self.rate)
    }
}

/// The number in the id of the first of a run of jobs.
pub(crate) struct FirstId(usize);

impl FirstId {
    /// Which job of the run this is; none of it if it was submitted before.
    pub(crate) fn index_of(&self, id: &JobId) -> Option<usize> {
        id.as_str().rsplit_once('-')?.1.parse::<usize>().ok()?.checked_sub(self.0)
    }
}

fn submissions(
    images: Arc<[Bytes]>,
    first: usize,
    jobs: usize,
    due: impl Fn(usize) -> Instant + Send + Copy + 'static,
) -> impl Stream<Item = Submission> + Send {
    stream::unfold(0, move |index| {
        let images = Arc::clone(&images);
        async move {
            if index == jobs {
                return None;
            }
            if Instant::now() < due(index) {
                sleep_until(due(index)).await;
            }
            // As long as a UUID.
            let id =
                JobId::new(format!("bench-{:030}", first + index)).expect("text without control characters");
            let image = images[index % images.len()].clone();
            Some((Submission::raw("image/png", image).with_id(id), index + 1))
        }
    })
}

fn images() -> Result<Arc<[Bytes]>> {
    let entries = fs::read_dir(digits().join("images"))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    paths.sort();
    paths.iter().map(|path| Ok(fs::read(path)?.into())).collect()
}
