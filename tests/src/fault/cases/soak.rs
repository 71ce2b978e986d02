//! Long, and everything that can break does, in an order that the seed draws.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use tokio::task::block_in_place;

use crate::fault::dice::Dice;
use crate::fault::fleet::{SLOTS, STAGES};
use crate::fault::plan::{Case, Plan};
use crate::fault::say;
use crate::fault::scene::Scene;
use crate::process::Signal;
use crate::proxy::{Direction, Weather, api};

/// Faults of a soak of a million jobs, at least; fewer jobs have as many fewer.
const FAULTS: usize = 55;
const JOBS: usize = 1_000_000;
/// How far the memory at the end may be from that at the beginning.
const MEMORY_TOLERANCE: f64 = 0.10;

/// Who is killed and stopped, and who lives through it all, so that there is a memory to be compared.
const VICTIM: &str = SLOTS[0];
const SURVIVOR: &str = SLOTS[1];

/// What breaks next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Kill,
    Stop,
    Pause,
    Broker,
    Weather(Weather),
    Lose(i16),
}

const KINDS: [Next; 11] = [
    // The more ordinary, the more often.
    Next::Kill,
    Next::Kill,
    Next::Kill,
    Next::Stop,
    Next::Stop,
    Next::Pause,
    Next::Broker,
    Next::Weather(Weather::Cut),
    Next::Weather(Weather::Hole(Direction::ToClient)),
    Next::Weather(Weather::Slow(Duration::from_millis(100))),
    Next::Lose(api::END_TXN),
];

/// Faults one after the other, evenly over all jobs.
pub(super) async fn soak(scene: &mut Scene<'_>, plan: &Plan, case: &Case) -> Result<()> {
    let faults = (FAULTS * plan.jobs).div_ceil(JOBS);
    // The last jobs come in while nothing breaks.
    let every = plan.duration(case).mul_f64(0.97 / faults as f64);
    let (begin, mut memory) = (SystemTime::now(), Vec::new());
    for number in 0..faults {
        let next = draw(&mut scene.dice, number);
        say(&format!("  fault {} of {faults}: {next:?}, after {} jobs", number + 1, scene.done()?));
        one(scene, next).await?;
        let due = every * (number as u32 + 1);
        let early = due.saturating_sub(begin.elapsed()?);
        scene.lasts(early).await?;
        memory.push(scene.fleet.resident_mib(SURVIVOR) as f64);
    }
    scene.notes.push(format!("{faults} faults"));
    judge_memory(scene, &memory);
    Ok(())
}

/// Each kind once, and then by chance.
fn draw(dice: &mut Dice, number: usize) -> Next {
    KINDS.get(number).copied().unwrap_or_else(|| *dice.pick(&KINDS))
}

async fn one(scene: &mut Scene<'_>, next: Next) -> Result<()> {
    let stage = *scene.dice.pick(&STAGES);
    let slot = match next {
        Next::Kill | Next::Stop => VICTIM,
        _ => *scene.dice.pick(&SLOTS),
    };
    // What is committed before it takes hold is no recovery.
    let mut since = SystemTime::now();
    let what = format!("{next:?} {stage}/{slot}");
    let mut is_outage = false;
    match next {
        Next::Kill => {
            scene.fleet.kill(stage, slot).await?;
            since = SystemTime::now();
        }
        Next::Stop => {
            scene.fleet.stop(stage, slot).await?;
            scene.fleet.add(stage, slot, &[])?;
        }
        Next::Pause => {
            let time = scene.dice.milliseconds(1_000..=15_000);
            scene.fleet.signal(stage, slot, Signal::STOP)?;
            let lasted = scene.lasts(time).await;
            scene.fleet.signal(stage, slot, Signal::CONT)?;
            lasted?;
        }
        Next::Broker => {
            let node = 1 + scene.dice.below(3) as u32;
            block_in_place(|| scene.broker.kill(node))?;
            since = SystemTime::now();
            let time = scene.dice.milliseconds(1_000..=8_000);
            scene.lasts(time).await?;
            block_in_place(|| scene.broker.restart(node))?;
        }
        Next::Weather(weather) => {
            is_outage = !matches!(weather, Weather::Slow(_));
            // One broker of three, or all.
            let all = scene.dice.below(2) == 0;
            let node = scene.dice.below(3);
            let time = scene.dice.milliseconds(1_000..=8_000);
            for (_, proxy) in scene.broker.proxies().iter().enumerate().filter(|(at, _)| all || *at == node) {
                proxy.weather(weather);
            }
            let lasted = scene.lasts(time).await;
            for proxy in scene.broker.proxies() {
                proxy.weather(Weather::Clear);
            }
            lasted?;
        }
        Next::Lose(api_key) => {
            let node = scene.dice.below(3);
            scene.broker.proxies()[node].lose_response_to(api_key);
            scene.lasts(Duration::from_secs(3)).await?;
            scene.broker.proxies()[node].lose_nothing();
        }
    }
    scene.recovers(&what, since, is_outage).await
}

/// What the workers that live on have resident, on average of the first quarter and of the last.
fn judge_memory(scene: &mut Scene<'_>, memory: &[f64]) {
    let quarter = memory.len().div_ceil(4);
    let Some((first, last)) = memory.get(..quarter).zip(memory.get(memory.len() - quarter..)) else { return };
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let (first, last) = (mean(first), mean(last));
    let text = format!("three workers had {first:.0} MiB in the first quarter and {last:.0} MiB in the last");
    if last > first * (1.0 + MEMORY_TOLERANCE) {
        scene.faults.push(text);
    } else {
        scene.notes.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_and_the_same_seed_draws_the_same() {
        let drawn = |seed: u64| {
            let mut dice = Dice::of(seed, &["soak"]);
            (0..FAULTS).map(|number| draw(&mut dice, number)).collect::<Vec<_>>()
        };
        assert_eq!(drawn(3), drawn(3));
        assert_ne!(drawn(3), drawn(4));
        assert!(KINDS.iter().all(|kind| drawn(3).contains(kind)));
    }
}
