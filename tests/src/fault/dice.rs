//! Chance that can be had again: every random choice of a run comes from its seed.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A small generator of random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The dice of one case in one run: other cases of the run do not change what it throws.
    pub fn of(seed: u64, words: &[&str]) -> Self {
        // FNV-1a, whose result is the same on every machine and in every year.
        let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
        let mixed = bytes.fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(mixed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from a range.
    pub fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (first, last) = range.into_inner();
        first + self.next() % (last - first + 1)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// One of several.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A time between so many milliseconds.
    pub fn milliseconds(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.between(range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same() {
        let throw = |seed: u64, case: &str| {
            let mut dice = Dice::of(seed, &[case, "exactly-once"]);
            [(); 4].map(|()| dice.between(1..=1000))
        };
        assert_eq!(throw(7, "pause"), throw(7, "pause"));
        assert_ne!(throw(7, "pause"), throw(8, "pause"));
        assert_ne!(throw(7, "pause"), throw(7, "storm"));
        // The words are kept apart.
        assert_ne!(Dice::of(1, &["ab", "c"]).0, Dice::of(1, &["a", "bc"]).0);
    }

    #[test]
    fn every_face_comes_up_and_no_other() {
        let mut dice = Dice::of(1, &[]);
        let mut seen = [0; 6];
        for _ in 0..600 {
            seen[dice.between(1..=6) as usize - 1] += 1;
        }
        assert!(seen.iter().all(|times| (50..150).contains(times)), "{seen:?}");
        assert_eq!(*dice.pick(&[5]), 5);
    }
}
