//! A client of a pipeline, after a look at whether Kafka and the topics are there: a command that cannot work says so
//! within seconds, and says what to do.

use std::time::Duration;

use anyhow::anyhow;
use producer::{Client, ClientOptions};
use transport::Kafka;
use workers::Config;

use crate::exit::{Exit, ExitWith, Failure};

/// How long the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How this program calls itself in `ce_source`.
const NAME: &str = "cli";

/// A client of `pipeline` that has seen these topics.
pub(crate) async fn connect(
    config: &Config,
    pipeline: &str,
    topics: &[String],
) -> Result<Client<Kafka>, Failure> {
    let transport = Kafka::new(config.kafka_for_records()).exit_with(Exit::Config)?;
    look_at(config, pipeline, topics).await?;
    let options = ClientOptions {
        topics: config.topic_names(pipeline),
        limits: config.limits.clone(),
        name: NAME.to_owned(),
        ..ClientOptions::new(pipeline)
    };
    Ok(Client::new(transport, options))
}

pub(in crate::commands) async fn look_at(
    config: &Config,
    pipeline: &str,
    topics: &[String],
) -> Result<(), Failure> {
    let cluster = transport::probe(&config.kafka, topics, PATIENCE).await.map_err(|error| {
        let advice = "`millstream dev` runs a broker for development, MILLSTREAM__KAFKA__BROKERS=host:port names another, \
                      and `millstream doctor` says more";
        Failure::new(Exit::Unavailable, anyhow!("{error}\n{advice}"))
    })?;
    for topic in cluster.topics {
        if let Err(reason) = topic.partitions {
            let advice = advice(config, pipeline);
            return Err(Failure::new(Exit::Failed, anyhow!("topic {}: {reason}; {advice}", topic.name)));
        }
    }
    Ok(())
}

/// What to do about a topic that is not there.
fn advice(config: &Config, pipeline: &str) -> String {
    if config.pipelines.contains_key(pipeline) {
        return "`millstream topics apply` creates what is missing".to_owned();
    }
    let known = config.pipelines.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "none is".to_owned() } else { format!("these are: {known}") };
    format!("the pipeline `{pipeline}` is not declared under [pipelines] of the configuration ({known})")
}

#[cfg(test)]
mod tests {
    use workers::config::PipelineConfig;

    use super::*;

    #[test]
    fn advice_names_the_pipelines_that_there_are() {
        let mut config = Config::default();
        assert!(advice(&config, "digit").ends_with("(none is)"));
        let declared: PipelineConfig = serde_json::from_str(r#"{"model": "digits"}"#).unwrap();
        config.pipelines.insert("digits".to_owned(), declared);
        assert!(advice(&config, "digit").ends_with("(these are: digits)"));
        assert!(advice(&config, "digits").contains("topics apply"));
    }
}
