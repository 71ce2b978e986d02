//! What the records of a batch came to, and whose each of them is: work on a partition that moved away must not be
//! committed with a transaction of its old owner.

use transport::{Partition, Record};

/// Records to publish, in the order of the entries that they answer.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    records: Vec<Record>,
    // Runs of records that answer entries of one partition; fetched records come in such runs.
    runs: Vec<(Partition, usize)>,
}

impl Answers {
    /// Room for the answers to so many entries.
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Self { records: Vec::with_capacity(entries), runs: Vec::new() }
    }

    /// The records that `write` adds answer an entry of `partition`. Gives what `write` gives.
    pub(crate) fn answer<O>(
        &mut self,
        partition: &Partition,
        write: impl FnOnce(&mut Vec<Record>) -> O,
    ) -> O {
        let before = self.records.len();
        let written = write(&mut self.records);
        self.count(partition, self.records.len() - before);
        written
    }

    /// Puts other answers behind these.
    pub(crate) fn append(&mut self, other: Self) {
        let Self { mut records, runs } = other;
        self.records.append(&mut records);
        for (partition, count) in runs {
            self.count(&partition, count);
        }
    }

    /// Drops the answers to entries of these partitions.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
        if !self.runs.iter().any(|(partition, _)| partitions.contains(partition)) {
            return;
        }
        let mut old = std::mem::take(&mut self.records).into_iter();
        for (partition, count) in std::mem::take(&mut self.runs) {
            let run = old.by_ref().take(count);
            if partitions.contains(&partition) {
                run.for_each(drop);
            } else {
                self.records.extend(run);
                self.count(&partition, count);
            }
        }
    }

    /// Bytes of all records.
    pub(crate) fn bytes(&self) -> usize {
        self.records.iter().map(Record::size).sum()
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The records alone.
    pub(crate) fn into_records(self) -> Vec<Record> {
        self.records
    }

    /// The records, and what is needed to put them [together](Self::join) again.
    pub(crate) fn split(self) -> (Vec<Record>, Vec<(Partition, usize)>) {
        (self.records, self.runs)
    }

    /// Undoes [`split`](Self::split).
    pub(crate) fn join(records: Vec<Record>, runs: Vec<(Partition, usize)>) -> Self {
        Self { records, runs }
    }

    fn count(&mut self, partition: &Partition, count: usize) {
        match self.runs.last_mut() {
            Some((last, run)) if last == partition => *run += count,
            _ if count == 0 => {}
            _ => self.runs.push((partition.clone(), count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(of: &[(i32, &str)]) -> Answers {
        let mut answers = Answers::default();
        for (index, value) in of {
            let record = Record::new("t", (*value).to_owned());
            answers.answer(&Partition::new("jobs", *index), |records| records.push(record));
        }
        answers
    }

    fn values(answers: Answers) -> Vec<String> {
        let text = |record: Record| String::from_utf8(record.value.unwrap().to_vec()).unwrap();
        answers.into_records().into_iter().map(text).collect()
    }

    #[test]
    fn forgets_the_answers_of_a_partition_and_keeps_the_order_of_the_others() {
        let check = |of: &[(i32, &str)], forget: &[i32], expect: &[&str]| {
            let mut answers = answers(of);
            let partitions: Vec<Partition> = forget.iter().map(|i| Partition::new("jobs", *i)).collect();
            answers.forget(&partitions);
            assert_eq!(values(answers), expect);
        };
        check(&[(0, "a"), (1, "b"), (0, "c"), (0, "d")], &[0], &["b"]);
        check(&[(0, "a"), (1, "b"), (0, "c"), (0, "d")], &[1], &["a", "c", "d"]);
        check(&[(0, "a")], &[2], &["a"]);
        check(&[], &[0], &[]);
    }

    #[test]
    fn an_entry_without_records_and_one_with_two_are_counted() {
        let mut all = answers(&[(0, "a")]);
        all.answer(&Partition::new("jobs", 1), |_| {});
        all.answer(&Partition::new("jobs", 2), |records| {
            records.extend([Record::new("t", "b"), Record::new("t", "c")]);
        });
        all.append(answers(&[(2, "d"), (0, "e")]));
        all.forget(&[Partition::new("jobs", 2)]);
        assert_eq!(values(all), ["a", "e"]);
    }
}
