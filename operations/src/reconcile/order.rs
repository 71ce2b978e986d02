//! Records of one key keep their order: the first result of each job against those before it.

use schemas::TopicNames;

use super::identity::of_key;
use super::names::{Names, hash};
use super::report::{Fault, FaultKind, Report};
use super::sighting::{Kind, Sighting};

/// Where the jobs of each key lie, and where their results.
#[derive(Debug, Default)]
pub(super) struct Order(Vec<Item>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    // Key, partition of the job, partition of the result, and the topics that it went over: one that skips some of them
    // may overtake.
    lane: u64,
    submitted_at: i64,
    result_at: i64,
    // The result's place among all sightings.
    result: usize,
}

impl Order {
    /// Takes in a job that was submitted once and never retried, if it has a key and a result. Failures may overtake results,
    /// since they do not pass the stages after the one that failed.
    pub(super) fn add(&mut self, group: &[Sighting], begin: usize) {
        let Some(job) = group.iter().find(|sighting| sighting.kind() == Kind::Outside) else { return };
        if job.key() == of_key(None) {
            return;
        }
        let results = group.iter().enumerate().filter(|(_, sighting)| sighting.kind() == Kind::Result);
        let Some((place, result)) = results.min_by_key(|(_, sighting)| sighting.offset()) else { return };
        let jobs = group.iter().filter(|sighting| matches!(sighting.kind(), Kind::Outside | Kind::Forwarded));
        let way = jobs.filter_map(Sighting::stage).fold(0_u8, |way, stage| way | 1 << stage);
        self.0.push(Item {
            lane: hash(&(job.key(), way, job.partition(), result.partition())),
            submitted_at: job.offset(),
            result_at: result.offset(),
            result: begin + place,
        });
    }

    pub(super) fn judge(
        mut self,
        topics: &TopicNames,
        sightings: &[Sighting],
        names: &Names,
        report: &mut Report,
    ) {
        self.0.sort_unstable();
        for pair in self.0.windows(2) {
            let [earlier, later] = pair else { continue };
            if earlier.lane == later.lane && later.result_at < earlier.result_at {
                let (result, before) = (&sightings[later.result], &sightings[earlier.result]);
                report.add(Fault {
                    kind: FaultKind::OutOfOrder,
                    id: names.text(result.id()),
                    r#where: result.place(topics),
                    why: format!(
                        "it lies before the result of {}, which has the same key and was submitted earlier",
                        names.text(before.id())
                    ),
                });
            }
        }
    }
}
