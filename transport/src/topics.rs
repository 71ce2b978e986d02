//! What a topic should be, what it is, and what differs: pure, so that a plan can be shown before it is carried out.

use std::fmt;
use std::time::Duration;

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Partitions: the most workers that can share it.
    pub partitions: i32,
    /// Copies of each record.
    pub replication: i32,
    /// Copies that must exist before a record counts as written; below `replication` by the brokers that may be away.
    pub min_insync_replicas: i32,
    /// How long records are kept.
    pub retention: Duration,
    /// The largest record batch, in bytes.
    pub max_message_bytes: usize,
}

impl TopicSpec {
    /// A topic of one copy, kept for a week, for records up to 4 MiB: right for one broker on one machine.
    pub fn new(name: impl Into<String>, partitions: i32) -> Self {
        Self {
            name: name.into(),
            partitions,
            replication: 1,
            min_insync_replicas: 1,
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            max_message_bytes: 4 * 1024 * 1024,
        }
    }

    // The topic's configuration, in Kafka's names.
    pub(crate) fn configuration(&self) -> [(&'static str, String); 3] {
        [
            ("min.insync.replicas", self.min_insync_replicas.to_string()),
            ("retention.ms", self.retention.as_millis().to_string()),
            ("max.message.bytes", self.max_message_bytes.to_string()),
        ]
    }
}

/// A topic as it is. A setting that the broker does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicFound {
    /// Partitions.
    pub partitions: i32,
    /// Copies of each record (of the partition with the fewest).
    pub replication: i32,
    /// The topic's configuration, in Kafka's names, as far as the broker tells it.
    pub configuration: Vec<(String, String)>,
}

/// What has to happen to one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// As it should be.
    pub spec: TopicSpec,
    /// What is to be done.
    pub action: TopicAction,
}

/// What has to happen to one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicAction {
    /// It is missing.
    Create,
    /// It is as it should be.
    Keep,
    /// It differs.
    Change(Vec<Difference>),
}

/// One way in which a topic differs from what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs, in Kafka's names (`partitions`, `replication.factor`, `retention.ms`, …).
    pub setting: &'static str,
    /// As it should be.
    pub wanted: String,
    /// As it is.
    pub found: String,
    /// What to do about it.
    pub remedy: Remedy,
}

/// What to do about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// A setting that can be changed at any time.
    Alter,
    /// Partitions can be added, but keyed records then go to other partitions than before.
    AddPartitions,
    /// Nothing that this program can do: the user has to.
    ByHand(&'static str),
}

impl TopicPlan {
    /// Compares a topic as it should be with the topic as it is; `None` when it is missing.
    pub fn compare(spec: TopicSpec, found: Option<&TopicFound>) -> Self {
        let Some(found) = found else {
            return Self { spec, action: TopicAction::Create };
        };
        let mut differences = Vec::new();
        if found.partitions != spec.partitions {
            differences.push(Difference {
                setting: "partitions",
                wanted: spec.partitions.to_string(),
                found: found.partitions.to_string(),
                remedy: if found.partitions < spec.partitions {
                    Remedy::AddPartitions
                } else {
                    Remedy::ByHand(
                        "partitions cannot be removed; ask for as many as there are, or use a new topic",
                    )
                },
            });
        }
        if found.replication != spec.replication {
            differences.push(Difference {
                setting: "replication.factor",
                wanted: spec.replication.to_string(),
                found: found.replication.to_string(),
                remedy: Remedy::ByHand("move the replicas with `kafka-reassign-partitions.sh`"),
            });
        }
        for (setting, wanted) in spec.configuration() {
            let found = found.configuration.iter().find(|(name, _)| name == setting).map(|(_, value)| value);
            if let Some(found) = found.filter(|found| **found != wanted) {
                differences.push(Difference { setting, wanted, found: found.clone(), remedy: Remedy::Alter });
            }
        }
        let action =
            if differences.is_empty() { TopicAction::Keep } else { TopicAction::Change(differences) };
        Self { spec, action }
    }

    /// Whether applying the plan changes anything.
    pub fn is_change(&self) -> bool {
        match &self.action {
            TopicAction::Create => true,
            TopicAction::Keep => false,
            TopicAction::Change(differences) => {
                differences.iter().any(|difference| !matches!(difference.remedy, Remedy::ByHand(_)))
            }
        }
    }
}

impl fmt::Display for TopicPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.spec;
        match &self.action {
            TopicAction::Create => {
                write!(
                    f,
                    "create {}: {} partitions, {} copies ({} in sync)",
                    spec.name, spec.partitions, spec.replication, spec.min_insync_replicas
                )
            }
            TopicAction::Keep => write!(f, "keep {}", spec.name),
            TopicAction::Change(differences) => {
                write!(f, "change {}: ", spec.name)?;
                for (at, difference) in differences.iter().enumerate() {
                    if at > 0 {
                        f.write_str("; ")?;
                    }
                    difference.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, wanted {}", self.setting, self.found, self.wanted)?;
        match self.remedy {
            Remedy::Alter => Ok(()),
            Remedy::AddPartitions => f.write_str(" (keyed records change their partition)"),
            Remedy::ByHand(how) => write!(f, " (not done: {how})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> TopicSpec {
        TopicSpec { min_insync_replicas: 2, replication: 3, ..TopicSpec::new("jobs", 4) }
    }

    fn found() -> TopicFound {
        let configuration =
            spec().configuration().map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        TopicFound { partitions: 4, replication: 3, configuration }
    }

    fn check(change: impl FnOnce(&mut TopicFound), expect: &str, is_change: bool) {
        let mut found = found();
        change(&mut found);
        let plan = TopicPlan::compare(spec(), Some(&found));
        assert_eq!(plan.to_string(), expect);
        assert_eq!(plan.is_change(), is_change);
    }

    #[test]
    fn a_missing_topic_is_created() {
        let plan = TopicPlan::compare(spec(), None);
        assert_eq!(plan.to_string(), "create jobs: 4 partitions, 3 copies (2 in sync)");
        assert!(plan.is_change());
    }

    #[test]
    fn a_topic_that_fits_is_kept() {
        check(|_| {}, "keep jobs", false);
        // A broker that does not tell a setting is believed.
        check(|found| found.configuration.clear(), "keep jobs", false);
    }

    #[test]
    fn differences_are_named() {
        check(
            |found| found.partitions = 2,
            "change jobs: partitions is 2, wanted 4 (keyed records change their partition)",
            true,
        );
        check(
            |found| found.configuration[1].1 = "1000".into(),
            "change jobs: retention.ms is 1000, wanted 604800000",
            true,
        );
        check(
            |found| {
                found.partitions = 8;
                found.replication = 1;
            },
            "change jobs: partitions is 8, wanted 4 (not done: partitions cannot be removed; ask for as many as there \
             are, or use a new topic); replication.factor is 1, wanted 3 (not done: move the replicas with \
             `kafka-reassign-partitions.sh`)",
            false,
        );
    }
}
