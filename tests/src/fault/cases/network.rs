//! The network between workers and brokers; the load and whoever watches have one of their own.

use std::time::{Duration, SystemTime};

use anyhow::Result;

use crate::fault::scene::Scene;
use crate::proxy::Weather;

/// How often a response is lost.
const LOSSES: usize = 3;
/// How long until a request of the kind is made.
const NEXT_REQUEST: Duration = Duration::from_secs(30);

/// Bad weather for a time.
pub(super) async fn bad(scene: &mut Scene<'_>, weather: Weather, time: Duration) -> Result<()> {
    let since = SystemTime::now();
    set(scene, weather);
    let lasted = scene.lasts(time).await;
    set(scene, Weather::Clear);
    lasted?;
    let is_outage = !matches!(weather, Weather::Slow(_));
    scene.recovers(&format!("{weather:?}"), since, is_outage).await
}

fn set(scene: &Scene<'_>, weather: Weather) {
    for proxy in scene.broker.proxies() {
        proxy.weather(weather);
    }
}

/// The response to the next request of a kind is lost, a few times.
pub(super) async fn lose(scene: &mut Scene<'_>, api_key: i16) -> Result<()> {
    for number in 1..=LOSSES {
        let lost = |scene: &Scene<'_>| -> u32 {
            scene.broker.proxies().iter().map(crate::proxy::Proxy::lost_responses).sum()
        };
        let before = lost(scene);
        for proxy in scene.broker.proxies() {
            proxy.lose_response_to(api_key);
        }
        let what = format!("response {number} to a request of kind {api_key} is lost");
        let is_lost = async |scene: &mut Scene<'_>| Ok((lost(scene) > before).then(SystemTime::now));
        let since = scene.wait_until(&what, NEXT_REQUEST, is_lost).await;
        for proxy in scene.broker.proxies() {
            proxy.lose_nothing();
        }
        scene.recovers(&what, since?, false).await?;
    }
    Ok(())
}
