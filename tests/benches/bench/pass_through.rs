//! A worker that does nothing: records in, the same records out, through the same transport. What it costs is what
//! Kafka's client and the transport cost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use transport::{
    Consumer, ConsumerOptions, Event, Kafka, KafkaConfig, Progress, Publisher, Received, Record, Transport,
};

/// What the bench is told as its first argument to be one.
pub(crate) const COMMAND: &str = "pass-through";

/// Publications on their way at most.
const WINDOW: usize = 16;

/// As often as a worker.
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);

/// What it says when it is done.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Passed {
    /// From the first record read to the last one committed.
    pub(crate) seconds: f64,
}

/// Passes so many records on, says how long that took, and waits to be ended.
pub(crate) async fn run(arguments: &[String]) -> Result<()> {
    let [brokers, from, to, jobs] = arguments else { anyhow::bail!("BROKERS FROM TO JOBS") };
    let jobs: usize = jobs.parse()?;
    let transport = Kafka::new(KafkaConfig::new(brokers))?;
    let publisher = transport.publisher().await?;
    let mut consumer =
        transport.consumer(COMMAND, std::slice::from_ref(from), ConsumerOptions::default()).await?;
    let mut on_the_way = VecDeque::new();
    let (mut settled, mut committed) = (Progress::new(), Instant::now());
    let (mut start, mut passed, mut acknowledged) = (None, 0, 0);
    while acknowledged < jobs {
        if passed < jobs && on_the_way.len() < WINDOW {
            match consumer.next().await.context("the consumer ended")? {
                Event::Records(received) => {
                    start.get_or_insert_with(Instant::now);
                    passed += received.len();
                    let (progress, records) = onward(received, to);
                    on_the_way.push_back((records.len(), progress, Box::pin(publisher.publish(records))));
                }
                Event::Error(error) => return Err(error.into()),
                Event::Assigned(_) | Event::Revoked(_) => {}
            }
            continue;
        }
        let (records, progress, publication) =
            on_the_way.pop_front().context("not all records were there")?;
        publication.await?;
        acknowledged += records;
        settled.merge(progress);
        if committed.elapsed() >= COMMIT_INTERVAL || acknowledged >= jobs {
            consumer.commit(std::mem::take(&mut settled), "").await?;
            committed = Instant::now();
        }
    }
    let seconds = start.context("nothing was passed on")?.elapsed().as_secs_f64();
    say(&serde_json::to_string(&Passed { seconds })?);
    std::future::pending().await
}

fn onward(received: Vec<Received>, to: &str) -> (Progress, Vec<Record>) {
    let mut progress = Progress::new();
    let topic = Arc::<str>::from(to);
    let pass = |Received { record, position, .. }| {
        progress.record(&position);
        Record { topic: Arc::clone(&topic), ..record }
    };
    let records = received.into_iter().map(pass).collect();
    (progress, records)
}

#[expect(clippy::print_stdout, reason = "what it measured goes to whoever started it")]
fn say(text: &str) {
    println!("{text}");
}
