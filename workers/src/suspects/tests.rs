mod group;

use super::*;

fn partition(index: i32) -> Partition {
    Partition::new("t", index)
}

fn positions(pairs: &[(i32, i64)]) -> Vec<Position> {
    let position =
        |&(index, offset): &(i32, i64)| Position { partition: partition(index), offset: Offset::new(offset) };
    pairs.iter().map(position).collect()
}

/// Waiting records of partition 0.
fn waiting(offsets: impl IntoIterator<Item = i64>) -> Vec<Position> {
    positions(&offsets.into_iter().map(|offset| (0, offset)).collect::<Vec<_>>())
}

fn committed(index: i32, next: i64, note: &str, end: i64) -> Committed {
    let next = Some(Offset::new(next));
    Committed { partition: partition(index), next, note: note.to_owned(), end: Offset::new(end) }
}

fn taken_over(next: i64, note: &str, end: i64) -> Suspects {
    let mut suspects = Suspects::new(3);
    suspects.taken_over(&committed(0, next, note, end), false);
    suspects
}

fn is_in_doubt(suspects: &Suspects) -> bool {
    suspects.is_in_doubt_after(&[(partition(0), Offset::ZERO)].into_iter().collect())
}

/// A section as `from..to entries mark`.
fn shown(section: Option<&Section>) -> String {
    section.map_or("none".to_owned(), |section| {
        let Section { from, to, entries, verdict, .. } = section;
        format!("{from}..{to} {entries} {verdict:?} {}", section.mark().write())
    })
}

#[test]
fn a_good_handover_or_no_commit_at_all_leaves_nobody_suspected() {
    let check = |committed: &Committed| {
        let mut suspects = Suspects::new(3);
        suspects.taken_over(committed, false);
        assert!(!suspects.is_careful() && !is_in_doubt(&suspects), "{committed:?}");
    };
    check(&committed(0, 5, "", 100));
    check(&committed(0, 5, "a note of somebody else", 100));
    check(&Committed { next: None, ..committed(0, 5, "ms1 again 10", 100) });
    // Nothing was there that could have been run.
    check(&committed(0, 100, "ms1 running 10", 100));
    check(&committed(0, 100, "ms1 running 10", 20));
    check(&committed(0, 100, "ms1 again 10", 100));
    check(&committed(0, 100, "ms1 again 10", 20));
    check(&committed(0, 9, "ms1 section 5 9 0", 100));
    check(&committed(0, 5, "ms1 section 50 51 2", 50));
}

#[test]
fn what_one_owner_did_not_hand_over_is_run_again_in_doubt() {
    let check = |note: &str, author_lives: bool, expect: (bool, bool)| {
        let mut suspects = Suspects::new(3);
        suspects.taken_over(&committed(0, 5, note, 100), author_lives);
        assert_eq!((is_in_doubt(&suspects), suspects.is_careful()), expect, "{note} {author_lives}");
    };
    check("ms1 running 10", false, (true, false));
    check("ms1 running 10", true, (false, false));
    // The second one in a row.
    check("ms1 again 10", false, (false, true));
    // It was in doubt, and has not died.
    check("ms1 again 10", true, (true, false));
    check("ms1 section 7 9 0", false, (false, true));
}

#[test]
fn doubt_ends_when_all_of_it_is_committed() {
    let check = |note: &str, end: i64, next: i64, expect: bool| {
        let mut suspects = Suspects::new(3);
        suspects.taken_over(&committed(0, 5, note, end), false);
        let progress = |index, next| [(partition(index), Offset::new(next))].into_iter().collect();
        suspects.committed(&progress(1, 1_000));
        assert!(!suspects.is_in_doubt_after(&progress(1, 0)), "other partitions are not tainted");
        assert_eq!(
            suspects.is_in_doubt_after(&progress(0, next)),
            expect,
            "the note of the commit that ends it"
        );
        suspects.committed(&progress(0, next));
        assert_eq!(is_in_doubt(&suspects), expect, "{note} {end} {next}");
    };
    check("ms1 running 10", 100, 14, true);
    check("ms1 running 10", 100, 15, false);
    check("ms1 running 10", 9, 8, true);
    check("ms1 running 10", 9, 9, false);

    let mut suspects = taken_over(5, "ms1 running 10", 100);
    assert_eq!(
        suspects.mark_at_rest(&partition(0)).write(),
        "ms1 running 10",
        "for the next owner it is the first"
    );
    suspects.forget(&[partition(0)]);
    assert!(!is_in_doubt(&suspects));
    assert_eq!(suspects.mark_at_rest(&partition(0)), AttemptMark::Clean);
}

#[test]
fn suspects_are_divided_into_sixteen() {
    let check = |committed: (i64, &str, i64), fetched: &[Position], expect: &str| {
        let (next, note, end) = committed;
        let section = taken_over(next, note, end).next_section(fetched);
        assert_eq!(shown(section.as_ref()), expect, "{committed:?}");
    };
    check((0, "ms1 again 4096", 9_999), &waiting(0..999), "0..256 256 Run ms1 section 0 256 0");
    check((0, "ms1 again 99", 9_999), &waiting(0..999), "0..7 7 Run ms1 section 0 7 0");
    check((0, "ms1 section 0 4096 0", 9_999), &waiting(0..999), "0..256 256 Run ms1 section 0 256 0");
    check((0, "ms1 again 4096", 9_999), &waiting(0..9), "0..9 9 Run ms1 section 0 9 0");
    check((0, "ms1 again 4096", 40), &waiting(0..40), "0..3 3 Run ms1 section 0 3 0");
    check((0, "ms1 again 16", 9_999), &waiting(0..40), "0..1 1 Run ms1 section 0 1 1");
    check((0, "ms1 section 0 17 0", 9_999), &waiting(0..40), "0..2 2 Run ms1 section 0 2 0");
    check((0, "ms1 section 10 266 0", 9_999), &waiting(10..99), "10..26 16 Run ms1 section 10 26 0");
    check((0, "ms1 section 10 26 0", 9_999), &waiting(10..99), "10..11 1 Run ms1 section 10 11 1");
    // What was at risk counts from the first record that is there, and gaps make for smaller sections.
    check((0, "ms1 again 32", 9_999), &waiting([500, 502, 533]), "500..501 1 Run ms1 section 500 501 1");
    check(
        (0, "ms1 section 500 532 0", 9_999),
        &waiting([500, 501, 502]),
        "500..502 2 Run ms1 section 500 502 0",
    );
    check((0, "ms1 section 500 532 0", 9_999), &waiting([500, 502]), "500..501 1 Run ms1 section 500 501 1");
    check((0, "ms1 section 10 266 0", 9_999), &waiting([12, 20, 40]), "12..21 2 Run ms1 section 12 21 0");
    // Behind the range everybody is innocent.
    check((0, "ms1 again 32", 50), &waiting([50]), "none");
    check((0, "ms1 section 10 26 0", 99), &waiting([26]), "none");
    check((0, "ms1 again 32", 50), &[], "none");
}

#[test]
fn a_record_that_has_killed_the_limit_is_convicted() {
    let check = |max_crashes: u32, note: &str, first: i64, expect: &str| {
        let mut suspects = Suspects::new(max_crashes);
        suspects.taken_over(&committed(0, 7, note, 99), false);
        assert_eq!(
            shown(suspects.next_section(&waiting(first..20)).as_ref()),
            expect,
            "{max_crashes} {note}"
        );
    };
    check(3, "ms1 section 7 8 0", 7, "7..8 1 Run ms1 section 7 8 1");
    check(3, "ms1 section 7 8 1", 7, "7..8 1 Run ms1 section 7 8 2");
    check(3, "ms1 section 7 8 2", 7, "7..8 1 Run ms1 section 7 8 3");
    check(3, "ms1 section 7 8 3", 7, "7..8 1 Convicted ms1 section 7 8 3");
    check(1, "ms1 section 7 8 1", 7, "7..8 1 Convicted ms1 section 7 8 1");
    check(0, "ms1 section 7 8 0", 7, "7..8 1 Run ms1 section 7 8 1");
    check(3, "ms1 section 7 8 4294967295", 7, "7..8 1 Convicted ms1 section 7 8 4294967295");
    // Deaths count for one record only: not for several, and not for the one that stands where it stood.
    check(3, "ms1 section 7 9 3", 7, "7..8 1 Run ms1 section 7 8 1");
    check(3, "ms1 section 8 9 3", 7, "7..8 1 Run ms1 section 7 8 1");
    check(3, "ms1 section 7 8 3", 8, "none");
}

#[test]
fn every_record_of_the_range_is_run_once_and_then_nobody_is_suspected() {
    let mut suspects = taken_over(100, "ms1 again 40", 1_000);
    let records = waiting((100..150).filter(|offset| offset % 7 != 0));
    assert!(suspects.is_suspect(&records[0]));
    let mut run = 0;
    while let Some(section) = suspects.next_section(&records[run..]) {
        assert_eq!((section.from, section.deaths), (records[run].offset, 0));
        run += section.entries;
        assert_eq!(section.to, records[run - 1].offset.next());
        suspects.settled(&section.partition, section.to);
    }
    assert_eq!(records[run].offset, Offset::new(141), "140 is a gap, and the range ends before it");
    assert!(!suspects.is_suspect(&records[run]));
    assert!(!suspects.is_careful());
}

#[test]
fn stays_with_a_partition_and_lets_innocent_ones_wait() {
    let mut suspects = taken_over(0, "ms1 section 0 32 0", 99);
    suspects.taken_over(&committed(1, 0, "ms1 section 0 32 0", 99), false);
    let mut next = |pairs: &[(i32, i64)]| {
        suspects.next_section(&positions(pairs)).map(|section| (section.partition.index, section.entries))
    };
    assert_eq!(next(&[(2, 0), (1, 0), (0, 0), (1, 1), (0, 1), (1, 2)]), Some((1, 2)));
    assert_eq!(next(&[(2, 0), (0, 0), (0, 1), (1, 2)]), Some((1, 1)), "rather the partition of the last one");
    assert_eq!(next(&[(2, 0), (0, 0), (2, 1)]), Some((0, 1)));
    assert_eq!(next(&[(2, 0), (2, 1)]), None);
    assert_eq!(suspects.partitions().map(|partition| partition.index).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_partition_at_rest_keeps_its_suspicion_and_its_deaths() {
    let rests = |suspects: &Suspects| suspects.mark_at_rest(&partition(0)).write();
    let mut suspects = taken_over(0, "ms1 again 64", 99);
    assert_eq!(rests(&suspects), "ms1 again 64", "nothing has been fetched yet");
    let section = suspects.next_section(&waiting(3..50)).unwrap();
    assert_eq!(rests(&suspects), "ms1 section 3 67 0");
    suspects.settled(&section.partition, section.to);
    assert_eq!(rests(&suspects), "ms1 section 7 67 0");
    suspects.settled(&section.partition, Offset::new(67));
    assert_eq!(rests(&suspects), "");

    let mut suspects = taken_over(5, "ms1 section 7 8 2", 99);
    assert_eq!(suspects.next_section(&waiting(7..9)).unwrap().mark().write(), "ms1 section 7 8 3");
    assert_eq!(rests(&suspects), "ms1 section 7 8 2", "it did not die of it");
}

#[test]
fn forgets_partitions_that_moved_and_starts_over_with_those_that_come_back() {
    let mut suspects = taken_over(0, "ms1 again 64", 99);
    suspects.forget(&[partition(0), partition(9)]);
    assert!(!suspects.is_careful());
    suspects.settled(&partition(0), Offset::new(4));
    assert_eq!(suspects.mark_at_rest(&partition(0)), AttemptMark::Clean);
    suspects.taken_over(&committed(0, 4, "ms1 section 4 5 1", 99), false);
    suspects.taken_over(&committed(0, 5, "", 99), false);
    assert!(!suspects.is_careful(), "what the group knows last counts");
}
