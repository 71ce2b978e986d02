//! W3C trace context: the trace a job belongs to, carried in `traceparent` and renewed on every hop.
//!
//! A `traceparent` that cannot be read is not a fault of the job: as the standard says, the trace starts anew.
//!
//! Spans are derived and not drawn at random, so that a hop which is repeated after a crash writes the same bytes again.

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::JobId;

/// One span's place in a trace.
///
/// ```
/// use schemas::TraceContext;
///
/// let parent = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("valid");
/// let child = parent.child("/millstream/digits/inference");
/// assert_eq!(child.trace_id(), parent.trace_id());
/// assert_ne!(child.span_id(), parent.span_id());
/// assert!(child.to_string().ends_with("-01"));
/// assert_eq!(child, parent.child("/millstream/digits/inference"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
}

impl TraceContext {
    /// The first span of a new trace that nothing is known about, marked as sampled.
    pub fn random() -> Self {
        let trace_id = Uuid::new_v4().into_bytes();
        Self { trace_id, span_id: span_below(&trace_id, &[0; 8], ""), flags: 1 }
    }

    /// The first span of a job's trace, in this hop, marked as sampled: the trace is known by the job's id, so it is the
    /// same each time the job is seen without one.
    pub fn of_job(id: &JobId, hop: &str) -> Self {
        let digest = Sha256::digest(id.as_str().as_bytes());
        let mut trace_id = [0; 16];
        trace_id.copy_from_slice(&digest[..16]);
        if trace_id == [0; 16] {
            // No text is known that comes to this, and it is not an id.
            trace_id[15] = 1;
        }
        Self { trace_id, span_id: span_below(&trace_id, &[0; 8], hop), flags: 1 }
    }

    /// The place that a `traceparent` names, or `None` if it is not one.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let bytes = traceparent.as_bytes();
        let [version] = hex(bytes.get(0..2)?)?;
        let dashes = [2, 35, 52].iter().all(|&index| bytes.get(index) == Some(&b'-'));
        // Versions to come may append fields; version 00 has none, and ff is not a version.
        let ends_well = match version {
            0x00 => bytes.len() == 55,
            0xff => false,
            _ => bytes.len() == 55 || bytes.get(55) == Some(&b'-'),
        };
        if !dashes || !ends_well {
            return None;
        }
        let trace_id: [u8; 16] = hex(bytes.get(3..35)?)?;
        let span_id: [u8; 8] = hex(bytes.get(36..52)?)?;
        let [flags] = hex(bytes.get(53..55)?)?;
        (trace_id != [0; 16] && span_id != [0; 8]).then_some(Self { trace_id, span_id, flags })
    }

    /// The span of this hop below this one: the same trace and flags. A hop is known by its `ce_source`, and has the same
    /// span each time it is asked for.
    #[must_use]
    pub fn child(&self, hop: &str) -> Self {
        Self { span_id: span_below(&self.trace_id, &self.span_id, hop), ..*self }
    }

    /// The trace's id, the same on every hop.
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The span's id.
    pub fn span_id(&self) -> [u8; 8] {
        self.span_id
    }

    /// Whether whoever started the trace records it.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

/// Writes a `traceparent` of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Digit by digit: this runs for every job on every hop, and formatting numbers costs as much as the hash.
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        put_hex(&mut text[3..35], &self.trace_id);
        put_hex(&mut text[36..52], &self.span_id);
        put_hex(&mut text[53..55], &[self.flags]);
        f.pad(std::str::from_utf8(&text).expect("digits and dashes"))
    }
}

/// Writes bytes as lower-case hexadecimal digits, into twice as many places.
fn put_hex(places: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (place, byte) in places.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *place = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
}

/// The first 8 bytes of the SHA-256 of trace, parent (zeros for none) and hop.
fn span_below(trace_id: &[u8; 16], parent: &[u8; 8], hop: &str) -> [u8; 8] {
    let digest = Sha256::new().chain_update(trace_id).chain_update(parent).chain_update(hop).finalize();
    let mut span_id = [0; 8];
    span_id.copy_from_slice(&digest[..8]);
    // Zeros mean that there is no span.
    if span_id == [0; 8] { [0, 0, 0, 0, 0, 0, 0, 1] } else { span_id }
}

/// Lower-case hexadecimal digits of exactly `N` bytes.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    fn value(digit: u8) -> Option<u8> {
        match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        }
    }
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = value(high)? << 4 | value(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(traceparent: &str, expect: bool) {
        assert_eq!(TraceContext::parse(traceparent).is_some(), expect, "{traceparent}");
    }

    #[test]
    fn traceparents() {
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false);
        check("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", true);
        check("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x", false);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false);
        check("00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("", false);
        check("é", false);
    }

    #[test]
    fn written_as_read() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let context = TraceContext::parse(text).unwrap();
        assert_eq!(context.to_string(), text);
        assert!(!context.is_sampled());
        let root = TraceContext::random();
        assert_eq!(TraceContext::parse(&root.to_string()), Some(root));
        assert_ne!(root.trace_id(), TraceContext::random().trace_id());
    }

    #[test]
    fn spans_are_those_of_the_contract() {
        // Computed with Python's hashlib. They never change, or a repeat by a newer version would be other bytes.
        let root = TraceContext::of_job(&JobId::new("a-17").unwrap(), "/millstream/producer/cli");
        assert_eq!(root.to_string(), "00-065b558c8e3cc79c16c282a8655cc9e5-6912d892677de088-01");
        assert_eq!(
            root.child("/millstream/digits/preprocess").to_string(),
            "00-065b558c8e3cc79c16c282a8655cc9e5-e6d594773e61877a-01"
        );
    }

    #[test]
    fn spans_differ_by_job_parent_and_hop() {
        let of = |id: &str, hop| TraceContext::of_job(&JobId::new(id).unwrap(), hop);
        assert_eq!(of("a", "x"), of("a", "x"));
        assert_ne!(of("a", "x").trace_id(), of("b", "x").trace_id());
        assert_ne!(of("a", "x").span_id(), of("a", "y").span_id());
        assert_ne!(of("a", "x").child("z"), of("a", "x").child("y"));
        assert_ne!(of("a", "x").child("z").span_id(), of("a", "y").child("z").span_id());
        assert_ne!(of("a", "x").child("x"), of("a", "x").child("x").child("x"));
    }
}
