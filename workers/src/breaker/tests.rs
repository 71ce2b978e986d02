use super::*;

const TIMEOUT: FailureCode = FailureCode::Timeout;
const INTERNAL: FailureCode = FailureCode::Internal;

/// Outcomes as letters: `w`orks, `t`imeout, `i`nternal, `n`othing; a number before a letter repeats it.
fn outcomes(text: &str) -> Vec<Evidence> {
    let mut all = Vec::new();
    for word in text.split_whitespace() {
        let (count, letter) = word.split_at(word.len() - 1);
        let evidence = match letter {
            "w" => Evidence::Works,
            "t" => Evidence::Broken(TIMEOUT),
            "i" => Evidence::Broken(INTERNAL),
            "n" => Evidence::Nothing,
            other => panic!("{other}"),
        };
        all.extend(std::iter::repeat_n(evidence, if count.is_empty() { 1 } else { count.parse().unwrap() }));
    }
    all
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn opened(reason: FailureCode, pause: u64) -> Option<Turn> {
    Some(Turn::Opened { reason, pause: seconds(pause) })
}

#[test]
fn a_failure_tells_of_the_world_or_of_the_job() {
    let check =
        |code, transient, expect| assert_eq!(Evidence::of_failure(code, transient), expect, "{code:?}");
    check(TIMEOUT, false, Evidence::Broken(TIMEOUT));
    check(INTERNAL, false, Evidence::Broken(INTERNAL));
    check(FailureCode::ModelError, true, Evidence::Broken(FailureCode::ModelError));
    check(FailureCode::ModelError, false, Evidence::Nothing);
    check(FailureCode::InvalidInput, false, Evidence::Nothing);
    check(FailureCode::Cancelled, false, Evidence::Nothing);
}

#[test]
fn opens_when_most_of_the_window_fails_for_one_reason() {
    let start = Instant::now();
    let check = |batches: &[(u64, &str)], expect: Option<FailureCode>| {
        let mut breaker = Breaker::new();
        for (at, batch) in batches {
            breaker.observe(start + seconds(*at), outcomes(batch));
        }
        assert_eq!(breaker.reason(), expect, "{batches:?}");
        assert_eq!(breaker.is_open(), expect.is_some());
    };
    check(&[], None);
    check(&[(0, "64w")], None);
    check(&[(0, "19t")], None);
    check(&[(0, "20t")], Some(TIMEOUT));
    check(&[(0, "10t 10w")], None);
    check(&[(0, "11t 10w")], Some(TIMEOUT));
    check(&[(0, "11t 11i 1w")], None);
    check(&[(0, "11i 5t 5w")], Some(INTERNAL));
    // Bad jobs neither open it nor keep it closed.
    check(&[(0, "500n")], None);
    check(&[(0, "500n 11t 10w")], Some(TIMEOUT));
    // What is long ago does not count, be it good or bad.
    check(&[(0, "19t"), (31, "1t")], None);
    check(&[(0, "19t"), (30, "1t")], Some(TIMEOUT));
    check(&[(0, "200w"), (31, "20t")], Some(TIMEOUT));
    // Nor does what is many jobs ago.
    check(&[(0, "10000w"), (1, "128t")], None);
    check(&[(0, "10000w"), (1, "128t"), (2, "1t")], Some(TIMEOUT));
}

/// One step of a story: what happens, at which second, and what is so then.
enum Step {
    Observe(&'static str, Option<Turn>),
    Ask(Dispatch),
    Probe,
}

fn check_story(steps: &[(u64, Step)]) {
    let start = Instant::now();
    let mut breaker = Breaker::new();
    for (number, (at, step)) in steps.iter().enumerate() {
        let now = start + seconds(*at);
        match step {
            Step::Observe(batch, expect) => {
                assert_eq!(breaker.observe(now, outcomes(batch)), *expect, "step {number}");
            }
            Step::Ask(expect) => {
                assert_eq!(breaker.may_dispatch(now), *expect, "step {number}");
                let wakes_later = breaker.wakes_at().is_none_or(|wakes| wakes > now);
                assert!(*expect == Dispatch::OneBatch || wakes_later, "step {number}");
            }
            Step::Probe => breaker.probe_begins(),
        }
    }
}

#[test]
fn a_good_probe_closes_it() {
    check_story(&[
        (0, Step::Ask(Dispatch::Yes)),
        (0, Step::Observe("20t", opened(TIMEOUT, 5))),
        (0, Step::Ask(Dispatch::No)),
        (4, Step::Observe("64w", None)),
        (4, Step::Ask(Dispatch::No)),
        (5, Step::Ask(Dispatch::OneBatch)),
        (6, Step::Probe),
        (6, Step::Ask(Dispatch::No)),
        (7, Step::Observe("2w 2t", Some(Turn::Closed))),
        (7, Step::Ask(Dispatch::Yes)),
        // What was before is forgotten, and so is the longer pause.
        (7, Step::Observe("19t", None)),
        (7, Step::Observe("1t", opened(TIMEOUT, 5))),
    ]);
}

#[test]
fn bad_probes_make_the_pauses_longer_up_to_a_minute() {
    check_story(&[
        (0, Step::Observe("20t", opened(TIMEOUT, 5))),
        (5, Step::Probe),
        (5, Step::Observe("1t", opened(TIMEOUT, 10))),
        (14, Step::Ask(Dispatch::No)),
        (15, Step::Ask(Dispatch::OneBatch)),
        (15, Step::Probe),
        (15, Step::Observe("1w 1t 1i", opened(INTERNAL, 20))),
        (35, Step::Probe),
        (35, Step::Observe("8t", opened(TIMEOUT, 40))),
        (75, Step::Probe),
        (75, Step::Observe("8t", opened(TIMEOUT, 60))),
        (135, Step::Probe),
        (135, Step::Observe("8t", opened(TIMEOUT, 60))),
    ]);
}

#[test]
fn a_probe_that_tells_nothing_is_followed_by_another() {
    check_story(&[
        (0, Step::Observe("20t", opened(TIMEOUT, 5))),
        (5, Step::Probe),
        (6, Step::Observe("8n", None)),
        (6, Step::Ask(Dispatch::OneBatch)),
        (6, Step::Probe),
        (6, Step::Observe("", None)),
        (6, Step::Ask(Dispatch::OneBatch)),
        (6, Step::Probe),
        (6, Step::Observe("8n 1w", Some(Turn::Closed))),
    ]);
}

#[test]
fn a_probe_of_a_closed_breaker_is_just_a_batch() {
    check_story(&[(0, Step::Probe), (0, Step::Ask(Dispatch::Yes)), (0, Step::Observe("8w", None))]);
}
