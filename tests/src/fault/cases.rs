//! Every way to break things. A case is a line here, and what it does stands in a file beside this one.

mod brokers;
mod crashes;
mod dead_letters;
mod jobs;
mod members;
mod network;
mod soak;

use std::time::Duration;

use anyhow::Result;

use super::dice::Dice;
use super::plan::{Case, Form, Mode, Plan};
use super::scene::Scene;
use crate::journal::HostileRecord;
use crate::proxy::{Direction, Weather, api};

/// The largest record where hostile ones are sent, so that larger ones are cheap.
const MAX_RECORD_BYTES: usize = 256 * 1024;

/// What breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Nothing,
    /// A worker of each stage in turn dies at a named place.
    Crash(&'static str),
    /// Workers are killed at random.
    Kills,
    /// A worker of each stage stands still for a time.
    Pause(Duration),
    /// All workers are stopped and started, one after the other.
    Rolling,
    /// A second worker starts in a place that is taken.
    Twins,
    /// Workers come and go.
    Storm,
    /// Topics get more partitions.
    MorePartitions,
    /// A broker is killed and comes back.
    Broker(brokers::Victim),
    /// Two nodes of three are killed at once.
    TwoOfThree,
    /// The network between workers and brokers is bad for a time.
    Network(Weather, Duration),
    /// A response is lost, again and again.
    LostResponse(i16),
    /// The model takes very long for some jobs.
    SlowStage,
    /// Hostile records among the jobs.
    Hostile,
    /// Some jobs kill the process that runs them.
    NativeCrash,
    /// There is no topic for dead letters.
    DeadLettersMissing,
    /// The topic for dead letters takes none.
    DeadLettersRefused,
    /// Ids are submitted a second time.
    Duplicates,
    /// Everything, for long.
    Soak,
}

const EXACTLY_ONCE: Option<Mode> = Some(Mode::ExactlyOnce);

const fn case(name: &'static str, fault: Fault, what: &'static str) -> Case {
    Case { name, what, fault, nodes: 1, only: None, is_orderly: false, short: None, form: Form::Digits }
}

const fn crash(name: &'static str) -> Case {
    case(name, Fault::Crash(name), "a worker of each stage in turn dies at this place, and is started again")
}

const fn network(name: &'static str, weather: Weather, seconds: u64, what: &'static str) -> Case {
    case(name, Fault::Network(weather, Duration::from_secs(seconds)), what)
}

const fn orderly(case: Case) -> Case {
    Case { is_orderly: true, ..case }
}

const fn exactly_once(case: Case) -> Case {
    Case { only: EXACTLY_ONCE, ..case }
}

/// Part of `make test`, exactly-once.
const fn short(case: Case) -> Case {
    Case { short: EXACTLY_ONCE, ..case }
}

const fn on_three(name: &'static str, fault: Fault, what: &'static str) -> Case {
    Case { nodes: 3, ..case(name, fault, what) }
}

const SLOW: Weather = Weather::Slow(Duration::from_millis(300));

/// All of them, the healthy one first; those on one node, then those on three.
pub const ALL: &[Case] = &[
    orderly(case("control", Fault::Nothing, "nothing breaks")),
    crash("after-fetch"),
    short(crash("after-run")),
    short(crash("after-produce")),
    crash("before-offsets"),
    crash("after-offsets"),
    short(exactly_once(crash("before-commit"))),
    exactly_once(crash("after-commit")),
    crash("in-revoke"),
    case("kills", Fault::Kills, "eight SIGKILLs at workers drawn at random, 0.5 to 4 s apart"),
    short(case(
        "pause",
        Fault::Pause(Duration::from_secs(20)),
        "a worker of each stage is stopped (SIGSTOP) for 20 s, and goes on as if nothing had been",
    )),
    orderly(case(
        "rolling",
        Fault::Rolling,
        "every worker is stopped (SIGTERM) and started again, three times",
    )),
    case(
        "twins",
        Fault::Twins,
        "for 15 s a second worker of each stage has the place, and the transactional id, of the first",
    ),
    orderly(case("storm", Fault::Storm, "workers join and leave, 20 times within half a minute")),
    orderly(case("more-partitions", Fault::MorePartitions, "every topic gets 10 partitions in place of 6")),
    case(
        "broker",
        Fault::Broker(brokers::Victim::Only),
        "the only broker is killed (SIGKILL) and comes back after 5 s",
    ),
    network("cut", Weather::Cut, 10, "for 10 s workers and brokers have no connection, and get none"),
    network(
        "deaf-brokers",
        Weather::Hole(Direction::ToBroker),
        10,
        "for 10 s nothing that workers send arrives",
    ),
    network(
        "deaf-workers",
        Weather::Hole(Direction::ToClient),
        10,
        "for 10 s nothing that brokers answer arrives",
    ),
    network("slow-network", SLOW, 20, "for 20 s every message takes 300 ms each way"),
    short(exactly_once(case(
        "lost-commit",
        Fault::LostResponse(api::END_TXN),
        "three times the response to the end of a transaction (EndTxn) is lost, with its connection",
    ))),
    exactly_once(case(
        "lost-offsets",
        Fault::LostResponse(api::TXN_OFFSET_COMMIT),
        "three times the response to the offsets of a transaction (TxnOffsetCommit) is lost, with its connection",
    )),
    case(
        "lost-produce",
        Fault::LostResponse(api::PRODUCE),
        "three times the response to written records (Produce) is lost, with its connection",
    ),
    Case {
        form: Form::Slow,
        is_orderly: true,
        ..case(
            "slow-stage",
            Fault::SlowStage,
            "300 jobs that take the model 0.14 s each, in batches that take longer than `max.poll.interval.ms`",
        )
    },
    case("poison", Fault::Hostile, "1 % hostile records of some 60 kinds, sent to all three stages"),
    short(Case {
        form: Form::Divide,
        ..case(
            "native-crash",
            Fault::NativeCrash,
            "three jobs divide by 0 in native code, which kills the process",
        )
    }),
    case(
        "dead-letters-missing",
        Fault::DeadLettersMissing,
        "for 10 s there is no topic for dead letters, while 50 jobs fail",
    ),
    case(
        "dead-letters-refused",
        Fault::DeadLettersRefused,
        "for 10 s the topic for dead letters takes no record, while 50 jobs fail",
    ),
    short(orderly(case(
        "duplicates",
        Fault::Duplicates,
        "1.5 % of the ids are submitted a second time: at once, under way, and long after their result",
    ))),
    on_three(
        "partition-leader",
        Fault::Broker(brokers::Victim::LeaderOfResults),
        "the leader of a partition of `results` is killed, and comes back later",
    ),
    short(on_three(
        "group-coordinator",
        Fault::Broker(brokers::Victim::CoordinatorOfGroup),
        "the coordinator of the group of inference is killed, and comes back later",
    )),
    exactly_once(on_three(
        "transaction-coordinator",
        Fault::Broker(brokers::Victim::CoordinatorOfTransactions),
        "the coordinator of the transactions of a worker of inference is killed, and comes back later",
    )),
    on_three(
        "two-of-three",
        Fault::TwoOfThree,
        "two nodes of three are killed at once, and come back after 30 s",
    ),
    exactly_once(on_three("soak", Fault::Soak, "more than 50 faults drawn at random, one after the other")),
];

/// Breaks things, and waits until everything goes on.
///
/// # Errors
/// When something could not be broken, or nothing goes on.
pub async fn play(scene: &mut Scene<'_>, case: &Case, plan: &Plan) -> Result<()> {
    match case.fault {
        Fault::Nothing | Fault::Duplicates => Ok(()),
        Fault::Crash(place) => crashes::at(scene, place).await,
        Fault::Kills => crashes::kills(scene).await,
        Fault::Pause(time) => members::pause(scene, time).await,
        Fault::Rolling => members::rolling(scene).await,
        Fault::Twins => members::twins(scene).await,
        Fault::Storm => members::storm(scene).await,
        Fault::MorePartitions => members::more_partitions(scene).await,
        Fault::Broker(victim) => brokers::kill(scene, victim).await,
        Fault::TwoOfThree => brokers::two_of_three(scene).await,
        Fault::Network(weather, time) => network::bad(scene, weather, time).await,
        Fault::LostResponse(api_key) => network::lose(scene, api_key).await,
        Fault::SlowStage => jobs::slow(scene).await,
        Fault::Hostile => jobs::hostile(scene, plan, case).await,
        Fault::NativeCrash => jobs::native_crash(scene).await,
        Fault::DeadLettersMissing => dead_letters::missing(scene).await,
        Fault::DeadLettersRefused => dead_letters::refused(scene).await,
        Fault::Soak => soak::soak(scene, plan, case).await,
    }
}

/// What the configuration says beside the pipeline. It follows `[kafka.consumer]`.
pub fn tables(fault: Fault) -> String {
    let worker = "[worker]\ndrain_timeout_ms = 4000\n";
    let limits = format!("[limits]\nmax_record_bytes = {MAX_RECORD_BYTES}\n");
    match fault {
        // They look for new partitions every five minutes otherwise.
        Fault::MorePartitions => {
            let often = "\"topic.metadata.refresh.interval.ms\" = 3000\n";
            format!("{often}[kafka.producer]\n{often}{worker}")
        }
        // A batch of 64 slow jobs takes 9 s.
        Fault::SlowStage => format!("\"max.poll.interval.ms\" = 7000\n{worker}"),
        Fault::Hostile | Fault::DeadLettersMissing | Fault::DeadLettersRefused => format!("{worker}{limits}"),
        _ => worker.to_owned(),
    }
}

/// Whether the results of a key come in the order of its jobs: not if the key's partition changes on the way.
pub fn keeps_order(fault: Fault) -> bool {
    fault != Fault::MorePartitions
}

/// The numbers of the jobs that divide by 0, or are slow.
pub fn special(fault: Fault, jobs: usize, dice: &mut Dice) -> Vec<usize> {
    match fault {
        Fault::NativeCrash => (1..=3).map(|quarter| quarter * jobs / 4 - dice.below(jobs / 8)).collect(),
        Fault::SlowStage => (jobs / 10..jobs / 10 + 300).collect(),
        _ => Vec::new(),
    }
}

/// What must become of a job that divides by 0.
pub fn poisoned(number: usize) -> HostileRecord {
    HostileRecord {
        kind: "division by 0".to_owned(),
        codes: vec!["model_error".to_owned()],
        image: None,
        id: format!("job-{number:07}"),
        stage: "preprocess".to_owned(),
        key: None,
        original: String::new(),
        topic: String::new(),
        partition: 0,
        offset: 0,
    }
}
