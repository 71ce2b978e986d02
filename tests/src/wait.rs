//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(50);

/// Asks until there is an answer; `what` completes the sentence "… did not happen".
///
/// # Errors
/// When the time is up, or the question itself fails.
pub async fn until<T>(
    what: &str,
    within: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if start.elapsed() > within {
            bail!("within {} s this did not happen: {what}", within.as_secs_f32());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
