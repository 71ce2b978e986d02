//! What is run: which cases, in which modes, with how many jobs, from which seed.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::cases;

/// How outcomes and offsets belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Outcomes first, then offsets.
    AtLeastOnce,
    /// Both in one transaction.
    ExactlyOnce,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::AtLeastOnce, Self::ExactlyOnce];

    /// As the configuration calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at-least-once",
            Self::ExactlyOnce => "exactly-once",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the jobs are, and what their model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Images of digits.
    Digits,
    /// Whole numbers to divide by: a 0 kills the process.
    Divide,
    /// Numbers that come back, some of them after a long time.
    Slow,
}

/// A way to break things. [`cases::ALL`] lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// What `CASE=` calls it.
    pub name: &'static str,
    /// What happens, for the table.
    pub what: &'static str,
    /// How it is done.
    pub fault: cases::Fault,
    /// Nodes of the Kafka.
    pub nodes: usize,
    /// The only mode in which it can be done, if it is one.
    pub only: Option<Mode>,
    /// Whether everybody who ends does so in good order: then nothing is repeated at-least-once either.
    pub is_orderly: bool,
    /// Whether it is part of `make test`, in this mode.
    pub short: Option<Mode>,
    /// What the jobs are.
    pub form: Form,
}

/// Jobs of a case; with fewer, a run proves nothing and is not kept in `docs/`.
pub const JOBS: usize = 20_000;
/// Jobs of a case in the short set.
const FEW_JOBS: usize = 4_000;
/// Jobs a second beside one broker, and beside three. With 800 beside three, two cores are busy before anything breaks, and
/// a recovery is measured by how long its backlog takes.
const RATES: (u32, u32) = (800, 400);
/// Jobs of the soak.
const SOAK_JOBS: usize = 1_000_000;

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What is done, in this order.
    pub rounds: Vec<(&'static Case, Mode)>,
    /// Where all chance comes from.
    pub seed: u64,
    /// Jobs of each case, at least.
    pub jobs: usize,
    /// Jobs a second; if it is not said, it depends on the case.
    rate: Option<u32>,
    /// Whether the rows go to `docs/fault-tests.md`.
    pub is_kept: bool,
}

impl Plan {
    /// Reads `--case NAME[,NAME]|all|short`, `--mode`, `--seed`, `--jobs`, `--rate`. Without a case, all but the soak.
    ///
    /// # Errors
    /// When there is no such case or mode, or a number is none.
    pub fn from_arguments(arguments: &[String], chance: u64) -> Result<Self> {
        let (mut case, mut mode) = ("all", None);
        let (mut seed, mut jobs, mut rate) = (chance, None, None);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let value = words.next().with_context(|| format!("{word} wants a value"))?;
            match word.as_str() {
                "--case" => case = value,
                "--mode" => mode = Some(value.as_str()).filter(|mode| *mode != "both"),
                "--seed" => seed = value.parse().context("--seed is not a number")?,
                "--jobs" => jobs = Some(value.parse().context("--jobs is not a number")?),
                "--rate" => rate = Some(value.parse().context("--rate is not a number")?),
                _ => bail!("{word}: there are --case, --mode, --seed, --jobs and --rate"),
            }
        }
        let rounds = rounds(case, mode)?;
        ensure!(!rounds.is_empty(), "{case} cannot be done {}", mode.unwrap_or_default());
        let usual = match case {
            "short" => FEW_JOBS,
            "soak" => SOAK_JOBS,
            _ => JOBS,
        };
        let jobs = jobs.unwrap_or(usual);
        ensure!(jobs > 0 && rate != Some(0), "without jobs there is nothing to lose");
        let least = if case == "soak" { SOAK_JOBS } else { JOBS };
        Ok(Self { rounds, seed, jobs, rate, is_kept: jobs >= least })
    }

    /// Jobs a second of this case.
    pub fn rate(&self, case: &Case) -> u32 {
        self.rate.unwrap_or(if case.nodes == 1 { RATES.0 } else { RATES.1 })
    }

    /// How long it takes to submit the jobs of this case.
    pub fn duration(&self, case: &Case) -> Duration {
        Duration::from_secs_f64(self.jobs as f64 / f64::from(self.rate(case)))
    }
}

fn rounds(case: &str, mode: Option<&str>) -> Result<Vec<(&'static Case, Mode)>> {
    let mode_named = |name: &str| Mode::ALL.into_iter().find(|mode| mode.as_str() == name);
    let wanted = match mode {
        Some(name) => vec![mode_named(name).with_context(|| format!("there is no mode {name}"))?],
        None => Mode::ALL.to_vec(),
    };
    let of = |case: &'static Case| {
        wanted
            .iter()
            .filter(|mode| case.only.is_none_or(|only| only == **mode))
            .map(move |mode| (case, *mode))
    };
    let listed = || cases::ALL.iter().filter(|case| case.name != "soak");
    Ok(match case {
        "all" => listed().flat_map(of).collect(),
        "short" => listed().filter_map(|case| Some((case, case.short?))).collect(),
        names => {
            let mut rounds = Vec::new();
            for name in names.split(',') {
                let found = cases::ALL.iter().find(|case| case.name == name);
                rounds.extend(of(found.with_context(|| {
                    let names: Vec<&str> = cases::ALL.iter().map(|case| case.name).collect();
                    format!("there is no case {name}; there are all, short, {}", names.join(", "))
                })?));
            }
            rounds
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &str) -> Result<Plan> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Plan::from_arguments(&words, 9)
    }

    #[test]
    fn names_cases_and_modes() {
        let check = |words: &str, expect: &[(&str, Mode)]| {
            let rounds = plan(words).unwrap().rounds;
            let named: Vec<_> = rounds.iter().map(|(case, mode)| (case.name, *mode)).collect();
            assert_eq!(named, expect, "{words}");
        };
        use Mode::{AtLeastOnce, ExactlyOnce};
        check("--case control", &[("control", AtLeastOnce), ("control", ExactlyOnce)]);
        check("--case control --mode exactly-once", &[("control", ExactlyOnce)]);
        check("--case before-commit", &[("before-commit", ExactlyOnce)]);
        check(
            "--case control,pause --mode at-least-once",
            &[("control", AtLeastOnce), ("pause", AtLeastOnce)],
        );
    }

    #[test]
    fn says_what_it_does_not_know() {
        let check = |words: &str, expect: &str| {
            let said = plan(words).unwrap_err().to_string();
            assert!(said.contains(expect), "{words}: {said}");
        };
        check("--case lunch", "there is no case lunch");
        check("--mode twice", "there is no mode twice");
        check("--seed", "wants a value");
        check("--jobs many", "--jobs is not a number");
        check("--colour red", "--colour");
        check("--jobs 0", "nothing to lose");
        check("--case before-commit --mode at-least-once", "cannot be done at-least-once");
    }

    #[test]
    fn a_run_that_proves_something_is_kept() {
        let check = |words: &str, jobs: usize, is_kept: bool| {
            let plan = plan(words).unwrap();
            assert_eq!((plan.jobs, plan.is_kept), (jobs, is_kept), "{words}");
        };
        check("", JOBS, true);
        check("--case pause", JOBS, true);
        check("--case pause --jobs 500", 500, false);
        check("--case short", FEW_JOBS, false);
        check("--case soak", SOAK_JOBS, true);
        check("--case soak --jobs 50000", 50_000, false);
        assert_eq!(plan("--seed 4").unwrap().seed, 4);
        assert_eq!(plan("").unwrap().seed, 9);
    }

    #[test]
    fn three_nodes_get_fewer_jobs_a_second_unless_it_is_said_how_many() {
        let check = |words: &str, expect: [u32; 2]| {
            let plan = plan(words).unwrap();
            let rate = |nodes| plan.rate(cases::ALL.iter().find(|case| case.nodes == nodes).unwrap());
            assert_eq!([rate(1), rate(3)], expect, "{words}");
        };
        check("", [800, 400]);
        check("--rate 50", [50, 50]);
        assert_eq!(plan("--rate 50").unwrap().duration(&cases::ALL[0]).as_secs(), 400);
    }

    #[test]
    fn names_are_unique_and_the_control_comes_first() {
        let mut names: Vec<&str> = cases::ALL.iter().map(|case| case.name).collect();
        assert_eq!(names[0], "control");
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
