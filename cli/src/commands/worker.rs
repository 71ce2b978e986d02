//! `millstream worker`: one stage, or several fused, until told to stop.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use transport::Kafka;
use workers::health::Health;
use workers::metrics::Metrics;
use workers::{admin, start};

use crate::args::WorkerArgs;
use crate::config_file::ConfigFile;
use crate::exit::{Exit, ExitWith, Failure, Outcome};
use crate::signals;

pub(crate) async fn run(args: WorkerArgs, mut file: ConfigFile) -> Outcome {
    let config = &mut file.config;
    config.worker.slot = args.slot.or(config.worker.slot.take());
    let config = &*config;
    let stop = signals::stop_token();
    let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::new()));

    // Health and metrics are served from the first moment, so that a slow model load is seen as "not ready".
    let admin_stop = CancellationToken::new();
    let _stop_admin = admin_stop.clone().drop_guard();
    let address = args.http.unwrap_or(config.worker.http);
    let bound = admin::serve(address, Arc::clone(&health), Arc::clone(&metrics), admin_stop).await.map_err(
        |error| {
            let advice = format!(
                "cannot serve health and metrics on {address}; choose another with --http or worker.http"
            );
            Failure::new(Exit::Config, anyhow::Error::new(error).context(advice))
        },
    )?;
    tracing::info!(address = %bound, "serving /healthz, /readyz and /metrics");

    let pipeline =
        start::load_pipeline(config, &args.pipeline, &args.stages).await.exit_with(Exit::Config)?;
    let transport = Kafka::new(config.kafka_for_worker()).exit_with(Exit::Config)?;
    let worker = start::join(&transport, config, &args.pipeline, &args.stages, pipeline, health, metrics)
        .await
        .exit_with(Exit::Unavailable)?;
    worker.run(stop).await.map_err(|error| {
        let exit = if error.is_of_kafka() { Exit::Unavailable } else { Exit::Failed };
        Failure::new(exit, error)
    })?;
    Ok(Exit::Done)
}
