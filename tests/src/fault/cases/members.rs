//! Workers that stand still, come and go, or meet one of their own name; and topics that grow under them.

use std::time::{Duration, SystemTime};

use anyhow::Result;

use crate::fault::fleet::{SLOTS, STAGES};
use crate::fault::scene::Scene;
use crate::process::Signal;

const ROUNDS: usize = 3;
const STORM: usize = 20;
/// The places that come and go in a storm.
const GUESTS: [&str; 2] = ["c", "d"];
const SIDE_BY_SIDE: Duration = Duration::from_secs(15);
const MORE_PARTITIONS: usize = 10;

/// One worker of each stage is suspended for longer than its session, and then goes on where it was.
pub(super) async fn pause(scene: &mut Scene<'_>, time: Duration) -> Result<()> {
    let slot = *scene.dice.pick(&SLOTS);
    for stage in STAGES {
        scene.fleet.signal(stage, slot, Signal::STOP)?;
    }
    let since = SystemTime::now();
    // The others take over in the meantime, if they can.
    let early = scene.lasts(time).await;
    for stage in STAGES {
        scene.fleet.signal(stage, slot, Signal::CONT)?;
    }
    early?;
    scene.recovers("a worker of each stage stood still", since, false).await?;
    scene.recovers("they went on", SystemTime::now(), false).await
}

/// All workers are stopped and started, one after the other, again and again.
pub(super) async fn rolling(scene: &mut Scene<'_>) -> Result<()> {
    for round in 1..=ROUNDS {
        let since = SystemTime::now();
        for stage in STAGES {
            for slot in SLOTS {
                scene.fleet.stop(stage, slot).await?;
                scene.fleet.add(stage, slot, &[])?;
                scene.fleet.member(stage, slot)?.worker.ready().await?;
            }
        }
        scene.notes.push(format!("round {round} took {:.0} s", since.elapsed()?.as_secs_f64()));
        scene.recovers("a rolling restart", SystemTime::now(), false).await?;
    }
    Ok(())
}

/// A second worker of each stage gets the place, and with it the transactional id, of one that runs.
pub(super) async fn twins(scene: &mut Scene<'_>) -> Result<()> {
    let since = SystemTime::now();
    for stage in STAGES {
        scene.fleet.add(stage, "a", &[])?;
    }
    scene.lasts(SIDE_BY_SIDE).await?;
    for stage in STAGES {
        // The last one that was started in that place: the twin.
        scene.fleet.take(stage, "a")?.worker.kill().await?;
    }
    // While they fence each other off, nobody promises progress.
    scene.recovers("two workers in one place", since, true).await
}

/// Workers join and leave, in good order but faster than a group likes.
pub(super) async fn storm(scene: &mut Scene<'_>) -> Result<()> {
    let since = SystemTime::now();
    let mut guests: Vec<(&'static str, &'static str)> = Vec::new();
    for _ in 0..STORM {
        let guest = (*scene.dice.pick(&STAGES), *scene.dice.pick(&GUESTS));
        match guests.iter().position(|present| *present == guest) {
            Some(at) => {
                guests.remove(at);
                // It must have come before it can be asked to go in good order.
                scene.fleet.member(guest.0, guest.1)?.worker.ready().await?;
                scene.fleet.stop(guest.0, guest.1).await?;
            }
            None => {
                scene.fleet.add(guest.0, guest.1, &[])?;
                guests.push(guest);
            }
        }
        let pause = scene.dice.milliseconds(500..=2_000);
        scene.lasts(pause).await?;
    }
    scene.fleet.ready().await?;
    for (stage, slot) in guests {
        scene.fleet.stop(stage, slot).await?;
    }
    scene.notes.push(format!("the storm took {:.0} s", since.elapsed()?.as_secs_f64()));
    scene.recovers("the storm", SystemTime::now(), false).await
}

/// Topics get more partitions, which somebody must find and read from their beginning.
pub(super) async fn more_partitions(scene: &mut Scene<'_>) -> Result<()> {
    let since = SystemTime::now();
    // From the end to the beginning: nobody writes where nobody could write on.
    for topic in ["dead-letters", "results", "postprocess", "inference", "preprocess"] {
        let topic = scene.setting.topic(topic);
        scene.admin(&["partitions", &topic, &MORE_PARTITIONS.to_string()]).await?;
    }
    scene.uses(MORE_PARTITIONS, since).await
}
