//! The producer of a fault test, and its journal: a line before each job is sent, another when it is acknowledged.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::plan::Form;
use crate::journal::{Job, Journal};
use crate::{Process, Setting, digits, python};

const JOURNAL: &str = "journal.lines";
/// The file whose being there ends the load, once it has submitted all of its jobs.
const RELEASED: &str = "released";

/// What the producer submits.
#[derive(Debug, Clone, Default)]
pub struct Submitted {
    /// At least so many.
    pub jobs: usize,
    /// So many a second.
    pub rate: u32,
    /// The numbers of the jobs that divide by 0, or are slow.
    pub special: Vec<usize>,
    /// Whether some ids come a second time.
    pub again: bool,
}

/// A producer that goes on until it is released.
pub struct Load {
    producer: Process,
}

impl Load {
    /// Starts to submit.
    ///
    /// # Errors
    /// When the producer does not start.
    pub fn start(setting: &Setting, form: Form, submitted: &Submitted) -> Result<Self> {
        let form = match form {
            Form::Digits => "png",
            Form::Divide => "divide",
            Form::Slow => "slow",
        };
        let special: Vec<String> = submitted.special.iter().map(ToString::to_string).collect();
        let named = [
            ("--brokers", setting.direct().to_owned()),
            ("--topic", setting.topic("preprocess")),
            ("--jobs", submitted.jobs.to_string()),
            ("--rate", submitted.rate.to_string()),
            ("--until-exists", setting.file(RELEASED)),
            ("--journal", setting.file(JOURNAL)),
            ("--run", "job".to_owned()),
            ("--form", form.to_owned()),
            ("--images", digits().join("images").display().to_string()),
            ("--special", special.join(",")),
        ];
        let mut arguments: Vec<String> =
            named.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        if submitted.again {
            arguments.push("--again".to_owned());
        }
        Ok(Self { producer: python::start(setting.folder(), "load.py", &arguments)? })
    }

    /// Lets it come to its end.
    ///
    /// # Errors
    /// When the file that says so cannot be written.
    pub fn release(&self, setting: &Setting) -> Result<()> {
        fs::write(setting.file(RELEASED), "").context("the load cannot be released")
    }

    /// Whether it has come to its end.
    ///
    /// # Errors
    /// When it failed.
    pub fn has_ended(&mut self) -> Result<bool> {
        if self.producer.is_running()? {
            return Ok(false);
        }
        let said = self.producer.stderr()?;
        ensure!(self.producer.stdout()?.contains("submitted"), "the producer failed: {}", said.trim());
        Ok(true)
    }
}

/// What a producer submitted.
///
/// # Errors
/// When there is no such file, or a line of it is not understood.
pub fn journal(setting: &Setting) -> Result<Journal> {
    read(Path::new(&setting.file(JOURNAL)))
}

fn read(path: &Path) -> Result<Journal> {
    let file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut jobs = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line?;
        entry(&line, &mut jobs).with_context(|| format!("in the journal: {line}"))?;
    }
    Ok(Journal { jobs, seconds: 0.0, state: String::new() })
}

/// Takes in one line of the journal; `tests/python/load.py` says what they are.
fn entry(line: &str, jobs: &mut Vec<Job>) -> Result<()> {
    let fields: Vec<&str> = line.split('\t').collect();
    match fields[..] {
        [">", number, id, key, sequence, what] => {
            ensure!(number.parse::<usize>()? == jobs.len(), "a line is missing before it");
            jobs.push(Job {
                id: id.to_owned(),
                key: (key != "-").then(|| key.to_owned()),
                sequence: sequence.parse()?,
                image: what.to_owned(),
                partition: -1,
                time: String::new(),
                traceparent: String::new(),
                acknowledged: false,
            });
        }
        ["<", number, partition, _offset] => {
            let job = jobs.get_mut(number.parse::<usize>()?).context("acknowledged before it was sent")?;
            (job.partition, job.acknowledged) = (partition.parse()?, true);
        }
        ["?", number, ..] => {
            let job = jobs.get(number.parse::<usize>()?).context("refused before it was sent")?;
            ensure!(!job.acknowledged, "refused and acknowledged");
        }
        _ => anyhow::bail!("not understood"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal_of(text: &str) -> Result<Journal> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn reads_what_was_sent_and_what_was_heard_of_it() {
        let text = ">\t0\tjob-0\tkey-1\t0\t0.png\n>\t1\tjob-1\t-\t0\tx=7\n<\t1\t3\t12\n?\t0\tno broker\n";
        let jobs = journal_of(text).unwrap().jobs;
        assert_eq!((jobs[0].key.as_deref(), jobs[0].acknowledged), (Some("key-1"), false));
        assert_eq!((jobs[1].key.as_deref(), jobs[1].acknowledged, jobs[1].partition), (None, true, 3));
        assert_eq!(jobs[1].image, "x=7");
    }

    #[test]
    fn a_journal_that_is_not_whole_is_an_error() {
        for text in [">\t1\tjob-1\t-\t0\tx\n", "<\t0\t3\t12\n", "what\n", "?\t0\tnever sent\n"] {
            assert!(journal_of(text).is_err(), "{text}");
        }
    }
}
