//! W3C trace context: the trace a job belongs to, carried in `traceparent` and renewed on every hop.
//!
//! A `traceparent` that cannot be read is not a fault of the job: as the standard says, the trace starts anew.

use std::fmt;

use uuid::Uuid;

/// One span's place in a trace.
///
/// ```
/// use schemas::TraceContext;
///
/// let parent = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("valid");
/// let child = parent.child();
/// assert_eq!(child.trace_id(), parent.trace_id());
/// assert_ne!(child.span_id(), parent.span_id());
/// assert!(child.to_string().ends_with("-01"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
}

impl TraceContext {
    /// The first span of a new trace, marked as sampled.
    pub fn root() -> Self {
        Self { trace_id: Uuid::new_v4().into_bytes(), span_id: random_span_id(), flags: 1 }
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

    /// A new span of the same trace, with the same flags.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: random_span_id(), ..*self }
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
        let (trace_id, span_id) = (u128::from_be_bytes(self.trace_id), u64::from_be_bytes(self.span_id));
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{:02x}", self.flags)
    }
}

fn random_span_id() -> [u8; 8] {
    // The bits that a UUIDv4 fixes lie in different places of its halves, so their difference is random throughout.
    let (high, low) = Uuid::new_v4().as_u64_pair();
    (high ^ low).max(1).to_be_bytes()
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
        let root = TraceContext::root();
        assert_eq!(TraceContext::parse(&root.to_string()), Some(root));
        assert_ne!(root.trace_id(), TraceContext::root().trace_id());
    }
}
