//! Brokers that die.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use tokio::task::block_in_place;

use crate::fault::say;
use crate::fault::scene::Scene;

/// How long the only broker is away.
const AWAY: Duration = Duration::from_secs(5);
/// How long two of three are.
const LONG_AWAY: Duration = Duration::from_secs(30);

/// Which broker dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The only one.
    Only,
    /// The leader of a partition of `results`.
    LeaderOfResults,
    /// The coordinator of the group of inference.
    CoordinatorOfGroup,
    /// The coordinator of the transactions of a worker of inference.
    CoordinatorOfTransactions,
}

/// A broker dies, and comes back.
pub(super) async fn kill(scene: &mut Scene<'_>, victim: Victim) -> Result<()> {
    let node = find(scene, victim).await?;
    block_in_place(|| scene.broker.kill(node))?;
    let since = SystemTime::now();
    let is_outage = victim == Victim::Only;
    if is_outage {
        scene.lasts(AWAY).await?;
        block_in_place(|| scene.broker.restart(node))?;
    }
    scene.recovers(&format!("node {node} was killed"), since, is_outage).await?;
    if !is_outage {
        block_in_place(|| scene.broker.restart(node))?;
        scene.recovers(&format!("node {node} came back"), SystemTime::now(), false).await?;
    }
    Ok(())
}

async fn find(scene: &mut Scene<'_>, victim: Victim) -> Result<u32> {
    let inference = scene.setting.topic("inference");
    let told = match victim {
        Victim::Only => return Ok(1),
        Victim::LeaderOfResults => {
            let (topic, partition) = (scene.setting.topic("results"), scene.dice.below(6).to_string());
            scene.admin(&["leader", &topic, &partition]).await?
        }
        Victim::CoordinatorOfGroup => scene.admin(&["coordinator", "group", &inference]).await?,
        Victim::CoordinatorOfTransactions => {
            scene.admin(&["coordinator", "transaction", &format!("{inference}.a")]).await?
        }
    };
    Ok(told.parse()?)
}

/// Two of three die at once: with a minimum of two copies, nobody can write until one is back.
pub(super) async fn two_of_three(scene: &mut Scene<'_>) -> Result<()> {
    let spared = 1 + scene.dice.below(3) as u32;
    let victims: Vec<u32> = (1..=3).filter(|node| *node != spared).collect();
    block_in_place(|| victims.iter().try_for_each(|node| scene.broker.kill(*node)))?;
    let since = SystemTime::now();
    scene.lasts(LONG_AWAY).await?;
    block_in_place(|| victims.iter().try_for_each(|node| scene.broker.restart(*node)))?;
    say(&format!("  nodes {victims:?} were away for {:.0} s", since.elapsed()?.as_secs_f64()));
    scene.recovers("two nodes were killed", since, true).await
}
