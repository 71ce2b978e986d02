//! A group of workers on partitions with a few deadly records: simulated, step by step, from a seed.
//!
//! Outcomes and offsets are committed as one, so that every record must be settled exactly once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::ahead::Ahead;

const MAX_CRASHES: u32 = 3;
/// Deaths that one deadly record may cost: the one of the window, one for each narrowing, and its own.
const DEATHS_OF_A_POISON: usize = 3 + MAX_CRASHES as usize;
/// Deaths that a kill from outside may add: it ends a narrowing that was on the right track.
const DEATHS_OF_A_KILL: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Result,
    Convicted,
}

/// Numbers that look random (splitmix64): a failing seed is run again as it was.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// What outlives a worker.
struct World {
    logs: Vec<BTreeSet<i64>>,
    /// The end of each log, which can lie behind its last record.
    ends: Vec<i64>,
    poison: BTreeSet<Position>,
    committed: Vec<(Option<i64>, AttemptMark)>,
    outcomes: BTreeMap<Position, Vec<Outcome>>,
    /// Kills from outside to come; fewer than convict an innocent record.
    kills: usize,
}

struct Worker {
    /// The partitions with the offset that is fetched next.
    owned: BTreeMap<i32, i64>,
    waiting: VecDeque<Position>,
    running: VecDeque<Vec<Position>>,
    ahead: Ahead,
    suspects: Suspects,
}

/// The process is gone, with everything that it had not committed.
#[derive(Debug, PartialEq, Eq)]
enum Died {
    OfARecord,
    OfAKill,
}

impl World {
    fn new(dice: &mut Dice, partitions: usize, poisons: usize) -> Self {
        let mut world = Self {
            logs: Vec::new(),
            ends: Vec::new(),
            poison: BTreeSet::new(),
            committed: vec![(None, AttemptMark::Clean); partitions],
            outcomes: BTreeMap::new(),
            kills: MAX_CRASHES as usize - 1,
        };
        for _ in 0..partitions {
            let (mut at, mut log) = (dice.below(100) as i64, BTreeSet::new());
            let gappy = dice.one_in(2);
            for _ in 0..dice.below(700) {
                log.insert(at);
                at += if gappy && dice.one_in(10) { dice.below(60) as i64 } else { 0 } + 1;
            }
            world.logs.push(log);
            world.ends.push(at + dice.below(3) as i64);
        }
        let all = world.records();
        for _ in 0..poisons.min(all.len()) {
            world.poison.insert(all[dice.below(all.len())].clone());
        }
        world
    }

    fn records(&self) -> Vec<Position> {
        let logs = (0..).zip(&self.logs);
        logs.flat_map(|(index, log)| log.iter().map(move |&offset| at(index, offset))).collect()
    }

    fn commit(&mut self, index: i32, next: i64, mark: AttemptMark) {
        let committed = &mut self.committed[index as usize];
        assert!(committed.0.is_none_or(|before| before <= next), "a commit goes back");
        *committed = (Some(next), mark);
    }

    /// Notes something beside the offset where the partition stands.
    fn mark(&mut self, index: i32, first: i64, mark: AttemptMark) {
        let next = self.committed[index as usize].0.unwrap_or(first);
        self.commit(index, next, mark);
    }

    fn settle(&mut self, records: &[Position], outcome: Outcome) {
        for position in records {
            self.outcomes.entry(position.clone()).or_default().push(outcome);
        }
    }

    fn kill(&mut self, dice: &mut Dice, chances: usize) -> Result<(), Died> {
        if self.kills == 0 || !dice.one_in(chances) {
            return Ok(());
        }
        self.kills -= 1;
        Err(Died::OfAKill)
    }

    /// A record that nobody holds goes the way of retention or compaction.
    fn lose_a_record(&mut self, dice: &mut Dice, index: i32, workers: &[Worker]) {
        let log = &self.logs[index as usize];
        let Some(&offset) = log.iter().nth(dice.below(log.len().max(1))) else { return };
        let position = at(index, offset);
        let is_held = |worker: &Worker| {
            worker.waiting.iter().chain(worker.running.iter().flatten()).any(|held| *held == position)
        };
        if !self.outcomes.contains_key(&position) && !workers.iter().any(is_held) {
            self.logs[index as usize].remove(&offset);
        }
    }

    fn is_done(&self) -> bool {
        self.outcomes.len() == self.logs.iter().map(BTreeSet::len).sum::<usize>()
    }
}

impl Worker {
    fn new(ahead: usize) -> Self {
        Self {
            owned: BTreeMap::new(),
            waiting: VecDeque::new(),
            running: VecDeque::new(),
            ahead: Ahead::new(ahead),
            suspects: Suspects::new(MAX_CRASHES),
        }
    }

    fn take_over(&mut self, index: i32, world: &World) {
        let (next, mark) = world.committed[index as usize];
        self.owned.insert(index, next.unwrap_or(0));
        let (next, end) = (next.map(Offset::new), Offset::new(world.ends[index as usize]));
        self.suspects
            .taken_over(&Committed { partition: partition(index), next, note: mark.write(), end }, false);
    }

    fn fetch(&mut self, index: i32, count: usize, world: &World) {
        let next = self.owned.get_mut(&index).unwrap();
        for &offset in world.logs[index as usize].range(*next..).take(count) {
            self.waiting.push_back(at(index, offset));
            *next = offset + 1;
        }
    }

    fn mark(&self, progress: &Progress, limit: usize) -> AttemptMark {
        AttemptMark::read(&crate::notes::running(&self.suspects, progress, limit))
    }

    /// The oldest batch has run: its outcomes and offsets are committed.
    fn finish(&mut self, limit: usize, world: &mut World) -> Result<(), Died> {
        let Some(batch) = self.running.pop_front() else { return Ok(()) };
        if batch.iter().any(|position| world.poison.contains(position)) {
            return Err(Died::OfARecord);
        }
        world.settle(&batch, Outcome::Result);
        let mut progress = Progress::new();
        batch.iter().for_each(|position| progress.record(position));
        for (partition, next) in progress.iter() {
            world.commit(partition.index, next.get(), self.mark(&progress, limit));
        }
        self.ahead.committed(&progress);
        self.suspects.committed(&progress);
        Ok(())
    }

    fn dispatch(&mut self, limit: usize, dice: &mut Dice, world: &mut World) -> Result<(), Died> {
        if let Some(section) = self.suspects.next_section(&self.waiting) {
            while !self.running.is_empty() {
                self.finish(limit, world)?;
            }
            return self.run_section(&section, dice, world);
        }
        let mut batch = Vec::new();
        let size = 1 + dice.below(20);
        while batch.len() < size
            && let Some(next) = self.waiting.front()
        {
            assert!(!self.suspects.is_suspect(next), "{next} runs with others");
            if !self.ahead.may_dispatch(next) {
                break;
            }
            self.ahead.dispatched(next);
            let (index, offset) = (next.partition.index, next.offset.get());
            let stand = world.committed[index as usize].0.unwrap_or(offset);
            let progress = [(partition(index), Offset::new(stand))].into_iter().collect();
            world.mark(index, offset, self.mark(&progress, limit));
            batch.extend(self.waiting.pop_front());
        }
        if !batch.is_empty() {
            self.running.push_back(batch);
        }
        Ok(())
    }

    fn run_section(&mut self, section: &Section, dice: &mut Dice, world: &mut World) -> Result<(), Died> {
        for &index in self.owned.keys().filter(|index| **index != section.partition.index) {
            if world.committed[index as usize].0.is_some() {
                let rest = self.suspects.mark_at_rest(&partition(index));
                world.mark(index, 0, rest);
            }
        }
        let index = section.partition.index;
        let mut records = Vec::new();
        self.waiting.retain(|position| {
            let taken = position.partition.index == index && records.len() < section.entries;
            if taken {
                records.push(position.clone());
            }
            !taken
        });
        assert_eq!((records[0].offset, records.last().unwrap().offset.next()), (section.from, section.to));
        let outcome = match section.verdict {
            Verdict::Convicted => Outcome::Convicted,
            Verdict::Run => {
                world.mark(index, section.from.get(), section.mark());
                if records.iter().any(|position| world.poison.contains(position)) {
                    return Err(Died::OfARecord);
                }
                world.kill(dice, 50)?;
                Outcome::Result
            }
        };
        world.settle(&records, outcome);
        self.suspects.settled(&section.partition, section.to);
        let rest = self.suspects.mark_at_rest(&section.partition);
        world.commit(index, section.to.get(), rest);
        Ok(())
    }

    /// Gives a partition up in good order.
    fn give_up(&mut self, index: i32, limit: usize, world: &mut World) -> Result<(), Died> {
        let moved = [partition(index)];
        self.waiting.retain(|position| position.partition.index != index);
        while !self.running.is_empty() {
            self.finish(limit, world)?;
        }
        if world.committed[index as usize].0.is_some() {
            let rest = self.suspects.mark_at_rest(&moved[0]);
            world.mark(index, 0, rest);
        }
        self.owned.remove(&index);
        self.suspects.forget(&moved);
        self.ahead.forget(&moved);
        Ok(())
    }
}

fn at(index: i32, offset: i64) -> Position {
    Position { partition: partition(index), offset: Offset::new(offset) }
}

/// Runs until every record is settled; returns how many deaths came of records, and how many of kills.
fn simulate(seed: u64, poisons: usize) -> (usize, usize) {
    let mut dice = Dice(seed);
    let (partitions, limit) = (1 + dice.below(4), [1, 5, 16, 17, 60, 300, 4_096][dice.below(7)]);
    let mut world = World::new(&mut dice, partitions, poisons);
    let mut workers: Vec<Worker> = (0..=dice.below(3)).map(|_| Worker::new(limit)).collect();
    for index in 0..partitions as i32 {
        let owner = dice.below(workers.len());
        workers[owner].take_over(index, &world);
    }
    let (mut deaths, mut kills, mut steps) = (0, 0, 0);
    while !world.is_done() {
        steps += 1;
        assert!(steps < 50_000, "seed {seed}: no end after {deaths} deaths");
        let number = dice.below(workers.len());
        let owned: Vec<i32> = workers[number].owned.keys().copied().collect();
        let Some(&index) = owned.get(dice.below(owned.len().max(1))) else { continue };
        let turn = dice.below(60);
        if turn == 59 {
            world.lose_a_record(&mut dice, index, &workers);
            continue;
        }
        let worker = &mut workers[number];
        let step = match turn {
            0 => world.kill(&mut dice, 2),
            1 => {
                let handed_over = worker.give_up(index, limit, &mut world);
                if handed_over.is_ok() {
                    let owner = dice.below(workers.len());
                    workers[owner].take_over(index, &world);
                }
                handed_over
            }
            2..=25 if worker.waiting.len() < 400 => {
                worker.fetch(index, 1 + dice.below(200), &world);
                Ok(())
            }
            26..=45 => worker.dispatch(limit, &mut dice, &mut world),
            _ => worker.finish(limit, &mut world),
        };
        if let Err(died) = step {
            *if died == Died::OfARecord { &mut deaths } else { &mut kills } += 1;
            let dead = std::mem::replace(&mut workers[number], Worker::new(limit));
            for &index in dead.owned.keys() {
                let owner = dice.below(workers.len());
                workers[owner].take_over(index, &world);
            }
        }
    }
    for (position, outcomes) in &world.outcomes {
        let expect = if world.poison.contains(position) { Outcome::Convicted } else { Outcome::Result };
        assert_eq!(outcomes, &[expect], "seed {seed}: {position}");
    }
    (deaths, kills)
}

#[test]
fn whoever_dies_the_guilty_are_convicted_and_nobody_else() {
    for poisons in 0..=2 {
        let runs: Vec<(usize, usize)> = (0..120).map(|seed| simulate(seed, poisons)).collect();
        let most = runs.iter().map(|(deaths, _)| *deaths).max();
        for (seed, (deaths, kills)) in runs.iter().enumerate() {
            let bound = poisons * DEATHS_OF_A_POISON + kills * DEATHS_OF_A_KILL * poisons.min(1);
            assert!(
                *deaths <= bound,
                "seed {seed}: {poisons} poisons took {deaths} deaths, more than {bound} ({kills} kills; most of all seeds: {most:?})"
            );
        }
    }
}
