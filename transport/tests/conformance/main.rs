//! The same tests on every transport: in memory, on the embedded broker, and on a real Kafka where there is one
//! (`MILLSTREAM_TEST_BROKERS=host:port`), there with both group protocols.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backend;
mod groups;
mod members;
mod notes;
mod outage;
mod pausing;
mod reading;
mod records;
mod transactions;

use crate::backend::{Dev, InMemory, Real};

/// Runs each test on each backend, as tests of their own.
macro_rules! on_every_backend {
    ($($module:ident :: $test:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $test() { crate::$module::$test(&crate::InMemory::default()).await; })*
        }
        mod dev {
            $(#[tokio::test] async fn $test() { crate::$module::$test(&crate::Dev::start()).await; })*
        }
        mod kafka_classic {
            $(#[tokio::test] async fn $test() {
                if let Some(kafka) = crate::Real::classic() { crate::$module::$test(&kafka).await; }
            })*
        }
        mod kafka_consumer {
            $(#[tokio::test] async fn $test() {
                if let Some(kafka) = crate::Real::consumer() { crate::$module::$test(&kafka).await; }
            })*
        }
    };
}

on_every_backend!(
    records::keep_their_order_within_a_partition,
    records::go_where_java_puts_them,
    records::keep_headers_keys_and_nulls,
    records::may_be_big,
    records::that_are_too_large_fail_alone,
    records::of_an_unknown_topic_fail,
    records::more_than_fit_into_memory_wait_their_turn,
    reading::knows_the_end,
    reading::starts_where_it_is_told,
    reading::of_an_unknown_topic_fails,
    groups::that_start_late_read_everything,
    groups::resume_where_they_have_committed,
    groups::read_slowly_without_loss,
    groups::know_their_lag,
    members::hand_over_without_loss_or_repeats,
    members::hold_partitions_until_they_are_released,
    members::that_hang_lose_their_partitions,
    members::learn_of_revocations_without_reading,
    notes::come_back_with_offsets_and_ends,
    pausing::stops_one_partition_only,
    pausing::stops_everything,
    pausing::loses_and_doubles_nothing_under_load,
    pausing::ends_with_the_assignment,
);

/// Likewise, but not on the embedded broker, which has no transactions.
macro_rules! on_transactional_backends {
    ($($module:ident :: $test:ident),* $(,)?) => {
        mod memory_transactions {
            $(#[tokio::test] async fn $test() { crate::$module::$test(&crate::InMemory::default()).await; })*
        }
        mod kafka_classic_transactions {
            $(#[tokio::test] async fn $test() {
                if let Some(kafka) = crate::Real::classic() { crate::$module::$test(&kafka).await; }
            })*
        }
        mod kafka_consumer_transactions {
            $(#[tokio::test] async fn $test() {
                if let Some(kafka) = crate::Real::consumer() { crate::$module::$test(&kafka).await; }
            })*
        }
    };
}

on_transactional_backends!(
    transactions::are_seen_whole,
    transactions::may_lack_records_or_progress,
    transactions::with_a_record_that_is_too_large_are_undone,
    transactions::to_a_missing_topic_are_fatal,
    transactions::of_partitions_that_are_gone_are_refused,
    transactions::of_the_older_of_two_are_fenced,
    transactions::survive_rebalances,
    transactions::take_their_time,
);

mod interruptions {
    #[tokio::test]
    async fn memory() {
        crate::outage::is_survived(&crate::InMemory::default()).await;
    }

    #[tokio::test]
    async fn dev() {
        crate::outage::is_survived(&crate::Dev::start()).await;
    }
}
