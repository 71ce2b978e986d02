//! A record becomes a sighting, and what can be said against it alone becomes faults.

use schemas::{
    DeadLetterReason, DecodeError, Encoding, FailureCode, Headers, JobId, Limits, MessageKind, Outcome,
    Parameter, Parameters, Retry, Stage, TimeSheet, Timestamp,
};
use transport::{Position, Received, partition_of_key};

use super::identity::{UNKNOWN, fold, has_own_parameters, of_headers, of_key, of_parameters, of_value};
use super::names::hash;
use super::options::{Options, Role};
use super::report::{Fault, FaultKind};
use super::sighting::{Details, Kind, Sighting};

/// Kafka timestamps before 2001-09-09 (10¹² ms) are not clocks: the development broker stamps 1234.
const EARLIEST_PLAUSIBLE_MS: i64 = 1_000_000_000_000;

/// How far a time sheet may end after its record was written: clocks are set now and then.
const CLOCK_SLACK_MICROS: i64 = 1_000_000;

/// What a record comes to. No sighting: it belongs to another pipeline, or nobody can say whose it is.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) sighting: Option<(JobId, Sighting)>,
    pub(super) faults: Vec<Fault>,
}

/// Looks at one record of the topic with this role.
pub(super) fn observe(options: &Options, role: Role, received: &Received) -> Seen {
    let pairs = || received.record.headers.iter().map(|header| (&*header.name, header.value.as_deref()));
    let (headers, header_fault) = Headers::read(pairs());
    let mut look = Look { options, received, headers, faults: Vec::new() };
    let seen = match role {
        Role::Stage(stage) => look.job(stage, header_fault),
        Role::Retry(_) => look.retry(Retry::read(pairs())),
        Role::Results => look.terminal(header_fault),
        Role::DeadLetters => look.dead_letter(DeadLetterReason::read(pairs()), Retry::read(pairs()).ok()),
    };
    let sighting = seen.map(|(id, kind, stage, details)| {
        let sighting = Sighting::new(id.as_str(), role, kind, stage, details);
        (id, sighting)
    });
    Seen { sighting, faults: look.faults }
}

type Found = Option<(JobId, Kind, Option<Stage>, Details)>;

struct Look<'a> {
    options: &'a Options,
    received: &'a Received,
    headers: Headers,
    faults: Vec<Fault>,
}

impl Look<'_> {
    fn job(&mut self, stage: Stage, header_fault: Option<DecodeError>) -> Found {
        if !self.options.is_ours(stage, &self.headers) {
            return None;
        }
        let id = self.id_or(&self.received.position);
        let by_stage = stage != Stage::Preprocess && self.writer().is_some();
        let mut details = self.details();
        let parameters = self.parameters(by_stage);
        if by_stage {
            let fault = header_fault.or_else(|| self.unlike_a_stage());
            match fault.map_or(parameters, Err) {
                Ok(parameters) => {
                    details.carried = of_parameters(&parameters);
                    self.check_clock(&id, &parameters);
                }
                Err(error) => self.undecodable(id.as_str(), &error),
            }
            self.check_partition(&id);
        } else if let Ok(parameters) = parameters {
            details.carried = of_parameters(&parameters);
        }
        details.content = of_value(self.received.record.value.as_ref());
        let kind = if by_stage { Kind::Forwarded } else { Kind::Outside };
        Some((id, kind, Some(stage), details))
    }

    fn retry(&mut self, retry: Result<Retry, DecodeError>) -> Found {
        let id = self.id_or(&self.received.position);
        let stage = match retry {
            Ok(retry) => self.options.stage_of(&retry.topic),
            Err(error) => {
                self.undecodable(id.as_str(), &error);
                return None;
            }
        };
        if stage.is_none() {
            let why = "ms_retry_topic names a topic that is not one of this pipeline's stages".to_owned();
            self.fault(FaultKind::Mismatched, id.as_str(), why);
            return None;
        }
        self.check_partition(&id);
        let mut details = self.details();
        details.content = of_value(self.received.record.value.as_ref());
        Some((id, Kind::Retry, stage, details))
    }

    fn terminal(&mut self, header_fault: Option<DecodeError>) -> Found {
        if self.headers.subject.as_ref().is_some_and(|subject| *subject != self.options.pipeline) {
            return None;
        }
        let Some(id) = self.headers.id.clone() else {
            let missing = || invalid("headers.ce_id", "is missing");
            self.undecodable("", &header_fault.unwrap_or_else(missing));
            return None;
        };
        if self.writer().is_none() {
            let why = "ce_source names no stage of this pipeline, so no worker of it wrote this".to_owned();
            self.fault(FaultKind::Mismatched, id.as_str(), why);
        }
        self.check_partition(&id);
        let mut details = self.details();
        let outcome = header_fault.map_or_else(|| self.outcome(), Err);
        let kind = match outcome {
            Ok(Outcome::Result(result)) => {
                let defaulted = result.parameters.contains_key("defaulted");
                // The parameters of a job that could not be read are not known to its default either.
                if !defaulted || has_own_parameters(&result.parameters) {
                    details.carried = of_parameters(&result.parameters);
                }
                let outputs: Vec<_> = result
                    .outputs
                    .iter()
                    .map(|t| (t.name(), t.datatype().to_string(), t.shape(), t.data()))
                    .collect();
                let model = (&result.model_name, &result.model_version);
                details.content = fold(hash(&(model, outputs, details.carried)));
                self.check_clock(&id, &result.parameters);
                if defaulted { Kind::Defaulted } else { Kind::Result }
            }
            Ok(Outcome::Failure(failure)) => {
                details.content = fold(hash(&(&failure.stage, failure.code.as_str())));
                if self.received.record.key.is_none() && self.headers.time.is_none() {
                    // One that did not fit with what the producer wrote has the id alone.
                    (details.key, details.identity) = (0, UNKNOWN);
                }
                // What a producer asked for has one, whatever is declared for failures.
                let asked_for = matches!(failure.code, FailureCode::Expired | FailureCode::Cancelled);
                let is_without = |stage: Stage| self.options.without_dead_letters.contains(&stage);
                let alone = !asked_for && failure.stage.parse().is_ok_and(is_without);
                if alone { Kind::FailureAlone } else { Kind::Failure }
            }
            Err(error) => {
                self.undecodable(id.as_str(), &error);
                // It counts as the answer that it was to be: one fault is enough for it.
                let is_failure = self.headers.kind == Some(MessageKind::Failure);
                if is_failure { Kind::FailureAlone } else { Kind::Result }
            }
        };
        Some((id, kind, None, details))
    }

    fn dead_letter(
        &mut self,
        reason: Result<Option<DeadLetterReason>, DecodeError>,
        retry: Option<Retry>,
    ) -> Found {
        let reason = match reason {
            Ok(Some(reason)) => reason,
            Ok(None) => {
                let id = self.headers.id.as_ref().map_or_else(String::new, ToString::to_string);
                self.undecodable(&id, &invalid("headers.ms_error_code", "is missing"));
                return None;
            }
            Err(error) => {
                let id = self.headers.id.as_ref().map_or_else(String::new, ToString::to_string);
                self.undecodable(&id, &error);
                return None;
            }
        };
        let of_retries = self.options.topics.retries.contains(&reason.topic);
        let topic = retry.filter(|_| of_retries).map_or_else(|| reason.topic.clone(), |retry| retry.topic);
        let stage = self.options.stage_of(&topic);
        let ours = match stage {
            Some(stage) => self.options.is_ours(stage, &self.headers),
            None => of_retries,
        };
        if !ours {
            return None;
        }
        let id = self.headers.id.clone();
        let id = id.unwrap_or_else(|| JobId::from_position(&reason.topic, reason.partition, reason.offset));
        self.check_partition(&id);
        let mut details = self.details();
        if self.headers.time.is_none() {
            // A record that came without a time has that of its original place, which is not told here.
            details.identity = UNKNOWN;
        }
        match &self.received.record.value {
            Some(value) => details.content = of_value(Some(value)),
            // Left out because it was too large, and then the key may be, too.
            None if self.received.record.key.is_none() => details.key = 0,
            None => {}
        }
        Some((id, Kind::DeadLetter, stage, details))
    }

    /// What all records have. A record without a time was submitted when it was written.
    fn details(&self) -> Details {
        let Received { record, position, timestamp_ms } = self.received;
        let written = timestamp_ms.filter(|millis| *millis >= EARLIEST_PLAUSIBLE_MS);
        let time = self.headers.time.clone().or_else(|| written.map(Timestamp::from_unix_millis));
        Details {
            attempt: self.headers.attempt.unwrap_or(1).max(1),
            partition: position.partition.index,
            offset: position.offset.get(),
            key: of_key(record.key.as_ref()),
            identity: time.as_ref().map_or(UNKNOWN, |time| of_headers(&self.headers, time)),
            carried: UNKNOWN,
            content: UNKNOWN,
            submitted_micros: time.as_ref().map_or(0, Timestamp::unix_micros),
        }
    }

    fn id_or(&self, position: &Position) -> JobId {
        let at = |position: &Position| {
            JobId::from_position(&position.partition.topic, position.partition.index, position.offset.get())
        };
        self.headers.id.clone().unwrap_or_else(|| at(position))
    }

    fn writer(&self) -> Option<Stage> {
        self.options.writer(self.headers.source.as_deref())
    }

    /// The parameters of a job; those of a raw payload without copying it.
    fn parameters(&self, by_stage: bool) -> Result<Parameters, DecodeError> {
        let content_type = self.headers.content_type.as_deref();
        let Some(value) = &self.received.record.value else { return Err(invalid("body", "is missing")) };
        if Encoding::of_content_type(content_type).is_none() {
            let named = content_type
                .map(|named| (schemas::CONTENT_TYPE_PARAMETER.to_owned(), Parameter::Str(named.to_owned())));
            return Ok(named.into_iter().collect());
        }
        let limits = if by_stage { self.options.limits.of_hops() } else { self.options.limits.clone() };
        schemas::decode_job(content_type, value, &limits).map(|job| job.parameters)
    }

    fn outcome(&self) -> Result<Outcome, DecodeError> {
        let limits: Limits = self.options.limits.of_hops();
        let kind = self.headers.kind.ok_or_else(|| invalid("headers.ce_type", "is missing"))?;
        let value = self.received.record.value.as_ref();
        let value = value.ok_or_else(|| invalid("body", "is missing (a tombstone)"))?;
        schemas::decode_outcome(kind, self.headers.content_type.as_deref(), value, &limits)
    }

    /// What every job that a stage writes has and this one lacks.
    fn unlike_a_stage(&self) -> Option<DecodeError> {
        let Headers { id, kind, subject, content_type, .. } = &self.headers;
        let checks = [
            (id.is_some(), "headers.ce_id", "is missing"),
            (*kind == Some(MessageKind::Job), "headers.ce_type", "is not that of a job"),
            (subject.as_ref() == Some(&self.options.pipeline), "headers.ce_subject", "is not the pipeline"),
            (
                Encoding::of_content_type(content_type.as_deref()).is_some(),
                "headers.content-type",
                "is none that a stage writes",
            ),
        ];
        checks.into_iter().find(|(is_so, ..)| !is_so).map(|(_, path, message)| invalid(path, message))
    }

    /// Records of this project go where Java's producer would put them.
    fn check_partition(&mut self, id: &JobId) {
        let Some(key) = &self.received.record.key else { return };
        let partition = &self.received.position.partition;
        let Some(count) = self.options.partitions.get(&*partition.topic) else { return };
        let mut counts = self.options.partitions_were.iter().chain([count]);
        if counts.any(|count| *count > 0 && partition_of_key(key, *count) == partition.index) {
            return;
        }
        let right = partition_of_key(key, (*count).max(1));
        let why = format!("its key belongs into partition {right} of {count}");
        self.fault(FaultKind::Mismatched, id.as_str(), why);
    }

    /// Nothing is written before it is done: a sheet that ends later is that of another job.
    fn check_clock(&mut self, id: &JobId, parameters: &Parameters) {
        let total = TimeSheet::read(parameters).total_us;
        let (Some(submitted), Some(written), Ok(total @ 1..)) =
            (&self.headers.time, self.received.timestamp_ms, i64::try_from(total))
        else {
            return;
        };
        if written < EARLIEST_PLAUSIBLE_MS {
            return;
        }
        let ends = submitted.unix_micros().saturating_add(total);
        let late = ends.saturating_sub(written.saturating_mul(1000));
        if late > CLOCK_SLACK_MICROS {
            let why = format!(
                "its time sheet ends {} ms after the record was written: the body is that of another job, or clocks differ",
                late / 1000
            );
            self.fault(FaultKind::Mismatched, id.as_str(), why);
        }
    }

    fn undecodable(&mut self, id: &str, error: &DecodeError) {
        self.fault(FaultKind::Undecodable, id, error.to_string());
    }

    fn fault(&mut self, kind: FaultKind, id: &str, why: String) {
        let place = self.received.position.to_string();
        self.faults.push(Fault { kind, id: id.to_owned(), r#where: place, why });
    }
}

fn invalid(path: &str, message: &str) -> DecodeError {
    DecodeError { code: FailureCode::InvalidInput, path: path.to_owned(), message: message.to_owned() }
}
