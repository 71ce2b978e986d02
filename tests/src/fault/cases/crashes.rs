//! Workers that die.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::fault::configuration::PARTITIONS;
use crate::fault::fleet::{SLOTS, STAGES};
use crate::fault::scene::Scene;

/// Kills at random in one case.
const KILLS: usize = 8;
/// How long a worker may take to come to the place at which it is to die.
const ARRIVAL: Duration = Duration::from_secs(60);
/// A third worker of a stage, which takes partitions from the others.
const THIRD: &str = "c";

/// One worker of each stage in turn dies at the named place, some passes after its start.
pub(super) async fn at(scene: &mut Scene<'_>, place: &str) -> Result<()> {
    for stage in STAGES {
        let passes = if place == "in-revoke" { 1 } else { scene.dice.between(2..=20) };
        let order = format!("{place}:{passes}");
        let environment = [("MILLSTREAM_CRASH_AT", order.as_str())];
        scene.fleet.stop(stage, "a").await?;
        scene.fleet.add(stage, "a", &environment)?;
        let before = scene.fleet.restarted.len();
        if place == "in-revoke" {
            // Somebody must take partitions away, once it has its share: while it has less, it only gets more.
            let what = format!("{stage}/a has its share");
            scene.wait_until(&what, ARRIVAL, async |scene| has_its_share(scene, stage).await).await?;
            scene.fleet.add(stage, THIRD, &[])?;
        }
        let what = format!("{stage} dies {order}");
        let died =
            async |scene: &mut Scene<'_>| Ok((scene.fleet.restarted.len() > before).then(SystemTime::now));
        let since =
            scene.wait_until(&what, ARRIVAL, died).await.context("is the crash point in the code?")?;
        scene.recovers(&what, since, false).await?;
        if place == "in-revoke" {
            scene.fleet.stop(stage, THIRD).await?;
        }
        scene.fleet.ready().await?;
    }
    Ok(())
}

async fn has_its_share(scene: &mut Scene<'_>, stage: &str) -> Result<Option<()>> {
    let share = PARTITIONS / SLOTS.len();
    for slot in SLOTS {
        // One that does not answer yet has nothing.
        if scene.fleet.member(stage, slot)?.worker.partitions().await.ok() != Some(share) {
            return Ok(None);
        }
    }
    Ok(Some(()))
}

/// Workers are killed at any time, whatever they do.
pub(super) async fn kills(scene: &mut Scene<'_>) -> Result<()> {
    let mut since = SystemTime::now();
    for _ in 0..KILLS {
        let (stage, slot) = (*scene.dice.pick(&STAGES), *scene.dice.pick(&SLOTS));
        scene.fleet.kill(stage, slot).await?;
        since = SystemTime::now();
        let pause = scene.dice.milliseconds(500..=4_000);
        scene.lasts(pause).await?;
    }
    scene.recovers("the last of the kills", since, false).await
}
