//! A worker dies in the middle of its work: what its successors repeat, and what they never run again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemas::{FailureCode, MessageKind};
use transport::memory::CommitFault;

use super::bench::{AT_LEAST, Bench, EXACTLY, GROUP, RESULTS, numbers};

/// The job that kills whoever runs it.
const POISON: f32 = 6.0;

/// Starts workers one after the other, each of which dies as it runs the poison, until so many jobs are answered. How
/// many died.
async fn deaths(bench: &Bench, jobs: usize) -> u32 {
    for deaths in 0..20 {
        bench.gate.close_for([POISON]);
        let worker = bench.start().await;
        let answered = || bench.ids().into_iter().collect::<BTreeSet<_>>().len() == jobs;
        bench.until("a death, or all answers", || bench.gate.waiting() == 1 || answered()).await;
        if bench.gate.waiting() == 0 {
            worker.stop().await.unwrap();
            return deaths;
        }
        worker.crash().await;
        bury(bench).await;
    }
    panic!("the guilty one is not found");
}

/// Lets the thread of a worker that has died come to its end; nobody hears of it.
async fn bury(bench: &Bench) {
    bench.gate.open();
    bench.until("the run of the dead ends", || bench.gate.waiting() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_workers_is_found_and_its_neighbours_succeed() {
    async fn check(mode: &str, jobs: u16, max_crashes: u32, expect: std::ops::RangeInclusive<u32>) {
        let bench = Bench::new(&format!("batch = {{ max_size = 4 }}\n{mode}\nmax_crashes = {max_crashes}"));
        bench.submit("k", numbers(1..jobs + 1)).await;
        bench.submit("elsewhere", numbers(100..110)).await;
        let all = usize::from(jobs) + 10;
        let died = deaths(&bench, all).await;
        assert!(
            expect.contains(&died),
            "{mode}: {died} workers died of one of {jobs} jobs, expected {expect:?}"
        );

        // Each has one kind of answer, and only the guilty one a failure.
        let kinds: BTreeSet<(String, MessageKind)> = bench.terminals().into_iter().collect();
        let failed: Vec<_> = kinds.iter().filter(|(_, kind)| *kind == MessageKind::Failure).collect();
        assert_eq!((kinds.len(), failed.len(), &*failed[0].0), (all, 1, "6"), "{mode}");
        let (_, failure) = bench.failures().remove(0);
        assert_eq!((failure.code, failure.retriable), (FailureCode::ModelError, false));
        assert!(failure.message.contains(&format!("died {max_crashes} times")), "{}", failure.message);
        let letters = bench.dead_letters();
        assert_eq!((letters.len(), &*letters[0].0, letters[0].1.code), (1, "6", FailureCode::ModelError));
        if mode == EXACTLY {
            assert_eq!(bench.ids().len(), all, "none is answered twice");
        }
        assert_eq!(bench.committed().values().sum::<i64>(), all as i64, "{mode}");

        // Whoever comes next suspects nobody.
        let suspects = bench.metric("millstream_batches_total", "suspects");
        assert!(suspects > 0.0, "there is such a metric");
        bench.gate.open();
        bench.submit("k", numbers(200..220)).await;
        let worker = bench.start().await;
        bench.until("the next jobs", || bench.ids().contains(&"219".into())).await;
        worker.stop().await.unwrap();
        assert_eq!(bench.metric("millstream_batches_total", "suspects"), suspects, "{mode}");
    }
    for mode in [AT_LEAST, EXACTLY] {
        // Two die of ordinary work, and the rest of this job alone.
        check(mode, 10, 1, 3..=3).await;
        check(mode, 10, 3, 5..=5).await;
    }
    // Of more than sixteen, one more dies of a few of them, unless enough was committed before.
    check(AT_LEAST, 60, 2, 5..=5).await;
    check(EXACTLY, 60, 2, 3..=5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_the_search_is_no_death() {
    let bench = Bench::new("batch = { max_size = 4 }\n[worker]\nmax_crashes = 2\ndrain_timeout_ms = 200");
    bench.submit("k", numbers(1..11)).await;
    for is_death in [true, false, true, false, false, true, false] {
        bench.gate.close_for([POISON]);
        let worker = bench.start().await;
        bench.until("the poison runs", || bench.gate.waiting() == 1).await;
        if is_death {
            worker.crash().await;
        } else {
            worker.stop().await.unwrap();
        }
        bury(&bench).await;
    }
    assert_eq!(deaths(&bench, 10).await, 1, "two have died of this job alone then");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_repeated_than_may_be_uncommitted() {
    async fn check(limit: usize, batch: usize) {
        let bench = Bench::new(&format!(
            "batch = {{ max_size = {batch} }}\n[worker]\nmax_uncommitted_records = {limit}\nmax_running_batches = 2"
        ));
        // In the middle of each partition, so that work is under way and its note is committed.
        bench.gate.close_for([40.0, 140.0]);
        bench.submit("k", numbers(1..100)).await;
        bench.submit("elsewhere", numbers(101..200)).await;
        let worker = bench.start().await;
        bench.until("work under way", || bench.gate.waiting() > 0).await;
        // From here on outcomes come, and commits do not, until work may not run ahead any further.
        bench.memory.fail_commits(CommitFault::Unavailable, 20);
        bench.gate.open();
        let ahead = || -> BTreeMap<i32, i64> {
            let committed = bench.committed();
            let mut ahead = BTreeMap::new();
            for outcome in bench.memory.records(RESULTS) {
                *ahead.entry(outcome.position.partition.index).or_insert(0) += 1;
            }
            ahead.iter_mut().for_each(|(index, count)| *count -= committed.get(index).copied().unwrap_or(0));
            ahead
        };
        let limit = limit as i64;
        bench
            .until("both at the limit", || ahead().into_values().collect::<Vec<_>>() == [limit, limit])
            .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(ahead().into_values().collect::<Vec<_>>(), [limit, limit], "batches of {batch}");
        worker.crash().await;

        let successor = bench.start().await;
        let distinct = || bench.ids().into_iter().collect::<BTreeSet<_>>().len();
        let committed = || bench.memory.committed(GROUP).iter().map(|(_, next)| next.get()).sum::<i64>();
        bench.until("the rest", || distinct() == 198 && committed() == 198).await;
        successor.stop().await.unwrap();
        let mut repeats = BTreeMap::new();
        bench.ids().into_iter().for_each(|id| *repeats.entry(id).or_insert(0_i64) += 1);
        let of = |from: f32| {
            let of_partition = move |id: &&String| (from..from + 100.0).contains(&id.parse::<f32>().unwrap());
            repeats.keys().filter(of_partition).map(|id| repeats[id] - 1).sum::<i64>()
        };
        assert_eq!([of(1.0), of(101.0)], [limit, limit], "limit {limit}, batches of {batch}");
    }
    tokio::join!(check(1, 4), check(2, 1), check(5, 4), check(16, 3), check(30, 8));
}
