//! A pipeline that is simulated record by record, in the form in which its topics would hold it.

use bytes::Bytes;
use schemas::{
    DeadLetterReason, Encoding, Failure, FailureCode, Job, JobResult, MessageKind, Outcome, Parameters,
    Retry, RetryDelay, Stage, Tensor, TimeSheet, Timestamp, TopicNames,
};
use transport::{Header, Offset, Partition, Position, Progress, Received, Record, partition_of_key};

use super::super::{Options, Reconciler, Report, Role};

pub(super) const PIPELINE: &str = "digits";
const PARTITIONS: i32 = 4;
/// 2026-01-01.
const BEGIN_MS: i64 = 1_767_225_600_000;

/// What becomes of a job.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Course {
    /// The stage at which it fails, and how.
    pub(super) fails: Option<(Stage, FailureCode)>,
    /// The stage on whose topic it waits.
    pub(super) waits: Option<Stage>,
    /// How often inference runs it again.
    pub(super) retries: u32,
    /// Inference is fused with postprocessing.
    pub(super) fused: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Submission {
    pub(super) id: Option<String>,
    pub(super) key: Option<String>,
    pub(super) stage: Stage,
    pub(super) raw: bool,
    pub(super) course: Course,
}

impl Submission {
    pub(super) fn new(id: &str, key: Option<&str>) -> Self {
        let (id, key) = (Some(id.to_owned()), key.map(ToOwned::to_owned));
        Self { id, key, stage: Stage::Preprocess, raw: false, course: Course::default() }
    }
}

/// Everything on the topics of a pipeline, by role, with what the groups have committed.
#[derive(Debug, Clone)]
pub(super) struct History {
    pub(super) options: Options,
    pub(super) records: Vec<(Role, Received)>,
    courses: Vec<(String, Course)>,
    next: Vec<(Role, i32, i64)>,
    committed: Vec<(Role, i32, i64)>,
    worked: usize,
    clock_ms: i64,
    turn: i32,
}

impl History {
    pub(super) fn new() -> Self {
        let mut options = Options::new(PIPELINE, TopicNames::new("millstream", PIPELINE));
        for role in Role::DOWNSTREAM_FIRST {
            options.partitions.insert(role.topic(&options.topics).to_owned(), PARTITIONS);
        }
        Self {
            options,
            records: Vec::new(),
            courses: Vec::new(),
            next: Vec::new(),
            committed: Vec::new(),
            worked: 0,
            clock_ms: BEGIN_MS,
            turn: 0,
        }
    }

    /// A history in which everything occurs that is no fault.
    pub(super) fn healthy(jobs: u32, seed: u32) -> Self {
        let mut history = Self::new();
        for number in 0..jobs {
            // A small generator: histories must be the same each time.
            let draw = |modulus: u32, salt: u32| {
                let salted = (number ^ seed.rotate_left(16)).wrapping_add(salt.wrapping_mul(0x9e37_79b9));
                let mixed = (salted ^ salted >> 15).wrapping_mul(2_246_822_519);
                ((mixed ^ mixed >> 13).wrapping_mul(3_266_489_917) >> 8) % modulus
            };
            let id = match draw(4, 1) {
                0 => format!("019b0000-0000-7000-8000-{number:012x}"),
                _ => format!("job-{number}"),
            };
            let key = format!("key-{}", draw(7, 2));
            let mut submission = Submission::new(&id, (draw(5, 3) > 0).then_some(key.as_str()));
            submission.raw = draw(3, 4) == 0;
            if submission.raw && draw(2, 5) == 0 {
                submission.id = None;
            }
            submission.stage =
                if !submission.raw && draw(5, 6) == 0 { Stage::Inference } else { Stage::Preprocess };
            submission.course = match draw(12, 7) {
                0 => Course {
                    fails: Some((Stage::Preprocess, FailureCode::InvalidInput)),
                    ..Course::default()
                },
                1 => Course { fails: Some((Stage::Postprocess, FailureCode::Internal)), ..Course::default() },
                2 => Course { retries: 1, ..Course::default() },
                3 => Course {
                    retries: 3,
                    fails: Some((Stage::Inference, FailureCode::Timeout)),
                    ..Course::default()
                },
                4 if number > jobs - jobs / 5 => {
                    Course { waits: Some(Stage::Postprocess), ..Course::default() }
                }
                5 => Course { fused: true, ..Course::default() },
                _ => Course::default(),
            };
            history.submit(submission);
        }
        history.work();
        history
    }

    pub(super) fn submitted(&self) -> u64 {
        self.courses.len() as u64
    }

    pub(super) fn submit(&mut self, submission: Submission) {
        let number = self.courses.len() as i64;
        let Submission { id, key, stage, raw, course } = submission;
        self.clock_ms += 5_000;
        let mut record = if raw {
            let text = Bytes::from(format!("payload {number}"));
            Record::new("", text).with_header("content-type", "text/plain")
        } else {
            let tensor = Tensor::from_elements("x", [1], &[number]).unwrap();
            let parameters = Parameters::from([("n".into(), number.into())]);
            let body = schemas::encode_job(&Job { inputs: vec![tensor], parameters }).unwrap();
            Record::new("", body).with_header("content-type", Encoding::MessagePack.content_type())
        };
        if let Some(id) = &id {
            record = record
                .with_header("ce_id", id.clone())
                .with_header("ce_time", Timestamp::from_unix_millis(self.clock_ms).as_str().to_owned())
                .with_header("ce_batchid", "monday")
                .with_header("tenant", format!("t{}", number % 3));
        }
        record.key = key.map(Bytes::from);
        let at = self.append(Role::Stage(stage), record);
        let id = id.unwrap_or_else(|| at.to_string());
        self.courses.push((id, course));
    }

    /// Lets the stages work off everything, and commit it.
    pub(super) fn work(&mut self) {
        while self.worked < self.records.len() {
            let (role, received) = self.records[self.worked].clone();
            self.worked += 1;
            match role {
                Role::Stage(stage) => self.run(stage, &received),
                Role::Retry(_) => {
                    let retry = Retry::read(pairs(&received)).unwrap();
                    let mut record = received.record.clone();
                    record.headers.retain(|header| !header.name.starts_with("ms_retry_"));
                    let stage = self.options.stage_of(&retry.topic).unwrap();
                    self.append(Role::Stage(stage), record);
                    self.commit(role, &received.position);
                }
                Role::Results | Role::DeadLetters => {}
            }
        }
    }

    fn run(&mut self, stage: Stage, received: &Received) {
        let id = header(received, "ce_id").unwrap_or_else(|| received.position.to_string());
        let seen = self.courses.iter().rposition(|(of, _)| *of == id).unwrap();
        let course = self.courses[seen].1;
        if course.waits == Some(stage) {
            return;
        }
        let attempt: u32 = header(received, "ce_attempt").map_or(1, |text| text.parse().unwrap());
        let fails = course.fails.filter(|(at, _)| *at == stage);
        if stage == Stage::Inference && attempt <= course.retries {
            self.retry(stage, received, &id, attempt);
        } else if let Some((_, code)) = fails {
            self.fail(stage, received, &id, code);
        } else {
            let last = if stage == Stage::Inference && course.fused { Stage::Postprocess } else { stage };
            self.pass(last, received, &id);
        }
        // Waiting jobs of the partition hold up the commit of what comes after them.
        self.commit(Role::Stage(stage), &received.position);
    }

    fn retry(&mut self, stage: Stage, received: &Received, id: &str, attempt: u32) {
        let mut record = received.record.clone();
        fill_in(&mut record, received, id);
        set_header(&mut record, "ce_attempt", format!("{}", attempt + 1));
        let retry = Retry {
            topic: self.options.topics.of_stage(stage).to_owned(),
            due: Timestamp::from_unix_millis(self.clock_ms),
            code: FailureCode::Timeout,
        };
        for (name, value) in retry.write() {
            record.headers.push(Header { name, value });
        }
        self.append(Role::Retry(RetryDelay::after(attempt)), record);
    }

    fn fail(&mut self, stage: Stage, received: &Received, id: &str, code: FailureCode) {
        let position = &received.position;
        let failure =
            Failure { stage: stage.to_string(), code, message: "m".into(), attempt: 1, retriable: false };
        let body = schemas::encode_outcome(&Outcome::Failure(failure), Encoding::MessagePack).unwrap();
        let terminal = renewed(received, id, MessageKind::Failure, stage, body);
        self.append(Role::Results, terminal);
        let reason = DeadLetterReason {
            code,
            message: "m".into(),
            stage: stage.to_string(),
            topic: position.partition.topic.to_string(),
            partition: position.partition.index,
            offset: position.offset.get(),
            time: Timestamp::from_unix_millis(self.clock_ms),
        };
        let mut letter = received.record.clone();
        letter.headers.extend(reason.write().into_iter().map(|(name, value)| Header { name, value }));
        self.append(Role::DeadLetters, letter);
    }

    fn pass(&mut self, last: Stage, received: &Received, id: &str) {
        let (role, record) = match last.next() {
            Some(next) => {
                let mut job = decode(received);
                let sheet = TimeSheet { total_us: self.since_submitted(received), ..TimeSheet::default() };
                sheet.write(&mut job.parameters);
                let body = schemas::encode_job(&job).unwrap();
                (Role::Stage(next), renewed(received, id, MessageKind::Job, last, body))
            }
            None => {
                let body = result_body(received, 0, self.since_submitted(received));
                (Role::Results, renewed(received, id, MessageKind::Result, last, body))
            }
        };
        self.append(role, record);
    }

    fn since_submitted(&self, received: &Received) -> u64 {
        let written = received.timestamp_ms.unwrap() * 1000;
        let submitted = header(received, "ce_time")
            .map_or(written, |text| text.parse::<Timestamp>().unwrap().unix_micros());
        u64::try_from(self.clock_ms * 1000 - submitted).unwrap()
    }

    fn append(&mut self, role: Role, mut record: Record) -> Position {
        record.topic = role.topic(&self.options.topics).into();
        self.turn += 1;
        let index = match &record.key {
            Some(key) => partition_of_key(key, PARTITIONS),
            None => self.turn % PARTITIONS,
        };
        let offset = self.take_offset(role, index);
        let position =
            Position { partition: Partition::new(record.topic.clone(), index), offset: Offset::new(offset) };
        self.clock_ms += 10;
        let timestamp_ms = Some(self.clock_ms);
        self.records.push((role, Received { record, position: position.clone(), timestamp_ms }));
        position
    }

    fn take_offset(&mut self, role: Role, index: i32) -> i64 {
        if let Some(next) = self.next.iter_mut().find(|(r, i, _)| (*r, *i) == (role, index)) {
            next.2 += 1;
            return next.2 - 1;
        }
        self.next.push((role, index, 1));
        0
    }

    fn commit(&mut self, role: Role, position: &Position) {
        let (index, offset) = (position.partition.index, position.offset.get());
        if let Some(next) = self.committed.iter_mut().find(|(r, i, _)| (*r, *i) == (role, index)) {
            // What waits is never passed; a record after it may have led on already.
            if next.2 == offset {
                next.2 += 1;
            }
        } else if offset == 0 {
            self.committed.push((role, index, 1));
        }
    }

    pub(super) fn commit_all(&mut self) {
        self.committed.clone_from(&self.next);
    }

    pub(super) fn progress(&self) -> Progress {
        let topics = &self.options.topics;
        let partition = |role: Role, index| Partition::new(role.topic(topics), index);
        self.committed
            .iter()
            .map(|(role, index, next)| (partition(*role, *index), Offset::new(*next)))
            .collect()
    }

    pub(super) fn reconcile(&self) -> Report {
        let mut reconciler = Reconciler::new(self.options.clone());
        for (role, received) in &self.records {
            reconciler.observe(*role, received);
        }
        reconciler.finish(&self.progress())
    }

    /// The index among all records of the `number`th one with this role.
    fn find(&self, role: Role, number: usize) -> usize {
        let of_role = self.records.iter().enumerate().filter(|(_, (r, _))| *r == role);
        of_role.map(|(index, _)| index).nth(number).expect("there are so many records")
    }

    pub(super) fn place(&self, role: Role, number: usize) -> String {
        self.records[self.find(role, number)].1.position.to_string()
    }

    pub(super) fn remove(&mut self, role: Role, number: usize) {
        self.records.remove(self.find(role, number));
    }

    pub(super) fn double(&mut self, role: Role, number: usize) {
        let mut copy = self.records[self.find(role, number)].1.clone();
        let offset = self.take_offset(role, copy.position.partition.index);
        copy.position.offset = Offset::new(offset);
        self.records.push((role, copy));
    }

    pub(super) fn change(&mut self, role: Role, number: usize, change: impl FnOnce(&mut Received)) {
        let index = self.find(role, number);
        change(&mut self.records[index].1);
    }
}

fn pairs(received: &Received) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
    received.record.headers.iter().map(|header| (&*header.name, header.value.as_deref()))
}

pub(super) fn header(received: &Received, name: &str) -> Option<String> {
    let found = pairs(received).find(|(of, _)| *of == name)?.1?;
    Some(String::from_utf8(found.to_vec()).unwrap())
}

pub(super) fn set(received: &mut Received, name: &str, value: &[u8]) {
    let header = received.record.headers.iter_mut().find(|header| header.name == name);
    header.expect("the record has this header").value = Some(Bytes::copy_from_slice(value));
}

fn set_header(record: &mut Record, name: &'static str, value: String) {
    record.headers.retain(|header| header.name != name);
    record.headers.push(Header::new(name, value));
}

pub(super) fn decode(received: &Received) -> Job {
    let value = received.record.value.as_ref().unwrap();
    let content_type = header(received, "content-type");
    schemas::decode_job(content_type.as_deref(), value, &schemas::Limits::default()).unwrap()
}

/// A result with the job's own parameters.
pub(super) fn result_body(received: &Received, output: i64, total_us: u64) -> Bytes {
    let mut parameters = if header(received, "ce_type").is_some_and(|kind| kind.contains("result")) {
        let value = received.record.value.as_ref().unwrap();
        let content_type = header(received, "content-type");
        let limits = schemas::Limits::default();
        match schemas::decode_outcome(MessageKind::Result, content_type.as_deref(), value, &limits).unwrap() {
            Outcome::Result(result) => result.parameters,
            Outcome::Failure(_) => unreachable!("its type says that it is a result"),
        }
    } else {
        decode(received).parameters
    };
    TimeSheet { total_us, batch_size: 3, ..TimeSheet::default() }.write(&mut parameters);
    let outputs = vec![Tensor::from_elements("y", [1], &[output]).unwrap()];
    let result = JobResult { model_name: "m".into(), model_version: "1".into(), outputs, parameters };
    schemas::encode_outcome(&Outcome::Result(result), Encoding::MessagePack).unwrap()
}

/// Makes a terminal record a result in place of the failure.
pub(super) fn make_default(received: &mut Received, mut parameters: Parameters) {
    let record = &mut received.record;
    set_header(record, "ce_type", MessageKind::Result.as_str().to_owned());
    set_header(record, schemas::DEFAULTED_HEADER, FailureCode::Undecodable.as_str().to_owned());
    parameters.insert("defaulted".into(), true.into());
    let outputs = vec![Tensor::from_byte_strings("label", [1], ["unknown"]).unwrap()];
    let result = JobResult { model_name: "m".into(), model_version: "1".into(), outputs, parameters };
    record.value = Some(schemas::encode_outcome(&Outcome::Result(result), Encoding::MessagePack).unwrap());
}

/// Id and time, where the producer left them out.
fn fill_in(record: &mut Record, received: &Received, id: &str) {
    let has = |name: &str| received.record.headers.iter().any(|header| header.name == name);
    if !has("ce_id") {
        record.headers.push(Header::new("ce_id", id.to_owned()));
    }
    if !has("ce_time") {
        let time = Timestamp::from_unix_millis(received.timestamp_ms.unwrap());
        record.headers.push(Header::new("ce_time", time.as_str().to_owned()));
    }
}

fn renewed(received: &Received, id: &str, kind: MessageKind, last: Stage, body: Bytes) -> Record {
    let mut record = received.record.clone();
    fill_in(&mut record, received, id);
    set_header(&mut record, "ce_type", kind.as_str().to_owned());
    set_header(&mut record, "ce_source", format!("/millstream/{PIPELINE}/{last}"));
    set_header(&mut record, "ce_subject", PIPELINE.to_owned());
    let attempt = header(received, "ce_attempt").unwrap_or_else(|| "1".to_owned());
    set_header(&mut record, "ce_attempt", attempt);
    set_header(&mut record, "content-type", Encoding::MessagePack.content_type().to_owned());
    record.value = Some(body);
    record
}
