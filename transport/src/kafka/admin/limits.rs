//! How large a record may be, as the brokers tell it.

use std::collections::BTreeMap;

use rdkafka::admin::{OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::error::RDKafkaErrorCode;

use super::{TopicAdmin, options, reason};
use crate::error::TransportError;

/// The topic's setting that limits its record batches.
const SETTING: &str = "max.message.bytes";

impl TopicAdmin {
    /// The largest record batch, in bytes, of each of these topics. One that is missing, or whose settings the brokers
    /// do not tell this user, is not in the answer.
    pub(crate) async fn max_batch_bytes(
        &self,
        topics: &[String],
    ) -> Result<BTreeMap<String, usize>, TransportError> {
        if topics.is_empty() || self.is_embedded().await {
            return Ok(BTreeMap::new());
        }
        let resources: Vec<ResourceSpecifier<'_>> =
            topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let described = match self.client.describe_configs(&resources, &options()).await {
            Ok(described) => described,
            Err(error) if error.rdkafka_error_code().is_some_and(is_refusal) => return Ok(BTreeMap::new()),
            Err(error) => {
                return Err(TransportError::Unavailable {
                    what: "cannot ask how large records may be".into(),
                    reason: reason(&error),
                });
            }
        };
        let limits = described.into_iter().filter_map(|resource| {
            let resource = resource
                .inspect_err(
                    |code| tracing::debug!(%code, "the brokers do not tell how large records may be"),
                )
                .ok()?;
            let OwnedResourceSpecifier::Topic(topic) = resource.specifier else { return None };
            let limit = resource.entries.into_iter().find(|entry| entry.name == SETTING)?.value?;
            Some((topic, limit.parse().ok()?))
        });
        Ok(limits.collect())
    }
}

fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::UnsupportedFeature
            | RDKafkaErrorCode::UnsupportedVersion
    )
}
