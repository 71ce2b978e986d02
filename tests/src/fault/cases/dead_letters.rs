//! Dead letters that nobody takes: jobs that fail wait, they are not lost, and go on when somebody does.

use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::jobs::submit_hostile;
use crate::fault::scene::Scene;

const FAILING: usize = 50;
const AWAY: Duration = Duration::from_secs(10);

/// The topic is gone, and comes back.
pub(super) async fn missing(scene: &mut Scene<'_>) -> Result<()> {
    let topic = scene.setting.topic("dead-letters");
    scene.admin(&["delete", &topic]).await?;
    let since = SystemTime::now();
    submit_hostile(scene, FAILING, 0.0).await?;
    scene.lasts(AWAY).await?;
    scene.admin(&["create", &topic, "6", "1"]).await?;
    scene.recovers("dead letters had no topic", since, true).await
}

/// The topic takes no dead letter, however small, until it does. It takes the 78 bytes that a transaction ends with: brokers
/// that cannot write those never end it.
pub(super) async fn refused(scene: &mut Scene<'_>) -> Result<()> {
    let topic = scene.setting.topic("dead-letters");
    scene.admin(&["set", &topic, "max.message.bytes=100"]).await?;
    let since = SystemTime::now();
    submit_hostile(scene, FAILING, 0.0).await?;
    scene.lasts(AWAY).await?;
    scene.admin(&["set", &topic, "max.message.bytes=8000000"]).await?;
    scene.recovers("dead letters were refused", since, true).await
}
