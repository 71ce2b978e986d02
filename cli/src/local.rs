//! The embedded broker with workers in this process: what `dev` and `demo` run on.

use std::sync::Arc;

use schemas::Stage;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transport::{DevBroker, Kafka};
use workers::health::Health;
use workers::metrics::Metrics;
use workers::{Config, WorkerError, start};

use crate::exit::{Exit, ExitWith, Failure};

/// An embedded broker, and one worker per stage of some pipelines.
pub(crate) struct Local {
    // Fields drop in order: the workers' tasks end before the broker that they talk to.
    workers: JoinSet<Result<(), WorkerError>>,
    stop: CancellationToken,
    pub(crate) broker: DevBroker,
    /// The configuration with the broker's address in it.
    pub(crate) config: Config,
}

impl Local {
    /// Starts a broker with the topics of `config`, and a worker for every stage of the named pipelines.
    pub(crate) async fn start(mut config: Config, pipelines: &[String]) -> Result<Self, Failure> {
        let broker = DevBroker::start(&config.topic_specs()).exit_with(Exit::Unavailable)?;
        config.kafka = broker.config();
        let transport = Kafka::new(config.kafka_for_worker()).exit_with(Exit::Config)?;
        let (stop, mut workers) = (CancellationToken::new(), JoinSet::new());
        for name in pipelines {
            for stage in Stage::ALL {
                let pipeline = start::load_pipeline(&config, name, &[stage]).await.exit_with(Exit::Config)?;
                let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::new()));
                let worker = start::join(&transport, &config, name, &[stage], pipeline, health, metrics)
                    .await
                    .exit_with(Exit::Unavailable)?;
                workers.spawn(worker.run(stop.clone()));
            }
        }
        Ok(Self { workers, stop, broker, config })
    }

    /// Resolves when a worker ends by itself, which none does without an error.
    pub(crate) async fn worker_ended(&mut self) -> Failure {
        match self.workers.join_next().await {
            Some(Ok(Err(error))) => Failure::new(Exit::Failed, error),
            Some(Err(error)) => Failure::new(Exit::Failed, error),
            Some(Ok(Ok(()))) | None => {
                Failure::new(Exit::Failed, anyhow::anyhow!("a worker ended without being asked to"))
            }
        }
    }

    /// Drains the workers; the broker goes when this returns.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        self.stop.cancel();
        while let Some(ended) = self.workers.join_next().await {
            ended??;
        }
        Ok(())
    }
}
