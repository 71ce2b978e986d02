use std::collections::HashSet;

use proptest::prelude::*;
use schemas::Headers;
use transport::{Offset, Partition, Position};

use super::*;
use crate::answers::{failed, labelled};

/// Who an outcome is: id, whether it is a result, and how often it was replayed.
type Who = (u16, bool, u32);

fn outcome((id, is_result, replays): Who) -> JobOutcome {
    let mut headers = Headers::default();
    headers.set_replay_count(replays);
    JobOutcome {
        id: format!("job-{id}").parse().unwrap(),
        outcome: if is_result { labelled("seven") } else { failed("no") },
        headers,
        key: None,
        position: Position { partition: Partition::new("results", 0), offset: Offset::new(0) },
    }
}

fn check(repeats: &mut Repeats, who: Who, is_dropped: bool) {
    assert_eq!(repeats.drops(&outcome(who)), is_dropped, "{who:?}");
}

#[test]
fn a_repeat_is_the_same_ending_of_the_same_job() {
    let mut repeats = Repeats::new(10);
    check(&mut repeats, (1, false, 0), false);
    check(&mut repeats, (1, false, 0), true);
    check(&mut repeats, (2, false, 0), false);
    check(&mut repeats, (1, false, 1), false);
    check(&mut repeats, (1, true, 1), false);
    check(&mut repeats, (1, true, 1), true);
    check(&mut repeats, (1, false, 0), true);
    assert_eq!(repeats.dropped(), 3);
}

#[test]
fn switched_off_it_drops_nothing() {
    let mut repeats = Repeats::new(0);
    for _ in 0..3 {
        check(&mut repeats, (1, true, 0), false);
    }
    assert_eq!((repeats.dropped(), repeats.newer.len()), (0, 0));
}

#[test]
fn remembering_is_not_counted() {
    let mut repeats = Repeats::new(10);
    assert!(!repeats.remember(&outcome((1, true, 0))));
    assert!(repeats.remember(&outcome((1, true, 0))));
    assert_eq!(repeats.dropped(), 0);
    check(&mut repeats, (1, true, 0), true);
}

#[test]
fn a_million_take_the_memory_that_is_promised() {
    let mut repeats = Repeats::new(crate::ClientOptions::REMEMBERED_OUTCOMES);
    for fingerprint in 0..1_000_000 {
        assert!(!repeats.insert(fingerprint));
    }
    // A table has a power of two of places, 7 of 8 of them used, with 17 bytes each.
    let places: usize = [&repeats.newer, &repeats.older].map(|set| set.capacity() / 7 * 8).iter().sum();
    assert!(places * 17 <= 18_000_000, "{} bytes", places * 17);
}

proptest! {
    #[test]
    fn no_first_is_dropped_and_no_recent_repeat_is_given(
        size in 1..20_usize,
        stream in prop::collection::vec((0..60_u16, any::<bool>(), 0..2_u32), 0..400),
    ) {
        let mut repeats = Repeats::new(size);
        let mut given = HashSet::new();
        for (index, who) in stream.iter().enumerate() {
            let dropped = repeats.drops(&outcome(*who));
            prop_assert!(!dropped || given.contains(who), "a first was dropped: {:?}", who);
            // How many others came since it was seen last.
            let since = stream[..index].iter().rev().take_while(|earlier| *earlier != who);
            let is_recent = given.contains(who) && since.collect::<HashSet<_>>().len() < size;
            prop_assert!(dropped || !is_recent, "a recent repeat was given: {:?}", who);
            given.insert(*who);
            prop_assert!(repeats.newer.len() <= size && repeats.older.len() <= size);
        }
    }
}
