//! What is too large for its topic becomes a failure, and a dead letter that says what it lost.

use schemas::{FailureCode, Job, MessageKind, Tensor};
use stages::ModelError;
use transport::Record;

use super::bench::{AT_LEAST, Bench, DEAD, EXACTLY, RESULTS, job};

/// A job of so many rows, all of this value.
fn large(value: f32, rows: usize) -> Record {
    let tensor = Tensor::from_elements("x", [rows as u64, 1], &vec![value; rows]).unwrap();
    Record { value: Some(schemas::encode_job(&Job::new([tensor])).unwrap()), ..job("k", value) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_too_large_to_be_written_is_a_failure() {
    for mode in [AT_LEAST, EXACTLY] {
        // As JSON, a result is larger than its job; 64 KiB more than the limit are for what stages add.
        let bench = Bench::new(&format!("results = 'json'\n{mode}\n[limits]\nmax_record_bytes = 1"));
        let original = large(1234.5678, 15_000);
        bench.publish(vec![job("k", 1.0), original.clone(), job("k", 2.0)]).await;
        let worker = bench.start().await;
        bench.until_results(3).await;
        worker.stop().await.unwrap();
        let kinds = bench.terminals().into_iter().map(|(_, kind)| kind).collect::<Vec<_>>();
        assert_eq!(kinds, [MessageKind::Result, MessageKind::Failure, MessageKind::Result], "{mode}");
        let (id, failure) = bench.failures().remove(0);
        assert_eq!((&*id, failure.code, failure.retriable), ("1234.5677", FailureCode::TooLarge, false));
        assert!(failure.message.contains("limits.max_record_bytes"), "{}", failure.message);
        let (_, reason, letter) = bench.dead_letters().remove(0);
        assert_eq!(
            (reason.code, &letter.value),
            (FailureCode::TooLarge, &original.value),
            "{mode}: it is kept whole"
        );
        assert_eq!(bench.committed().values().sum::<i64>(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_take_less_than_before_hold_nobody_up() {
    for mode in [AT_LEAST, EXACTLY] {
        let bench = Bench::new(&format!("batch = {{ max_size = 2 }}\n{mode}"));
        bench.gate.fail_for([7.0], &ModelError::permanent("this one never works"));
        let worker = bench.start().await;
        // Only after the start: a worker believes its configuration until it is refused.
        bench.memory.set_topic_max_record_bytes(DEAD, 3_000);
        bench.memory.set_topic_max_record_bytes(RESULTS, 4_000);
        // One whose dead letter is too large, one whose result is, and others between them.
        bench
            .publish(vec![job("k", 1.0), large(7.0, 5_000), job("k", 2.0), large(8.0, 5_000), job("k", 3.0)])
            .await;
        bench
            .until("all answers", || {
                ["1", "7", "2", "8", "3"].iter().all(|id| bench.ids().contains(&(*id).into()))
            })
            .await;
        worker.stop().await.unwrap();
        assert_eq!(bench.metrics.restarts.get(), 1, "{mode}: it begins anew once");
        let mut codes: Vec<_> =
            bench.failures().into_iter().map(|(id, failure)| (id, failure.code)).collect();
        if mode == AT_LEAST {
            // Of a failure, the outcome may have been taken before its dead letter was refused.
            codes.dedup();
        }
        let expect = [("7".to_owned(), FailureCode::ModelError), ("8".to_owned(), FailureCode::TooLarge)];
        assert_eq!(codes, expect, "{mode}");
        let letters = bench.dead_letters();
        assert_eq!(letters.len(), 2, "{mode}");
        for (id, reason, letter) in letters {
            assert_eq!((&letter.value, letter.key.as_deref()), (&None, Some(&b"k"[..])), "{mode}: {id}");
            let mark = "bytes left out: too large for this topic)";
            assert!(
                reason.message.starts_with("(value of 20") && reason.message.contains(mark),
                "{}",
                reason.message
            );
        }
        assert_eq!(bench.committed().values().sum::<i64>(), 5, "{mode}");
    }
}
