//! Ids in 128 bits, and back: a million of them have to fit beside each other.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// An id in 128 bits: a UUID as it is, any other text as its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IdKey(u64, u64);

/// Where the dashes of a UUID are.
const DASHES: [usize; 4] = [8, 13, 18, 23];

impl IdKey {
    pub(super) fn new(id: &str) -> Self {
        uuid(id).unwrap_or_else(|| Self(hash(&(0_u8, id)), hash(&(1_u8, id))))
    }
}

/// A hash that differs for what differs, as far as 64 bits go; the same within one run.
pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The bits of a UUID that is written as [`write_uuid`] writes it.
fn uuid(text: &str) -> Option<IdKey> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut bits = 0_u128;
    for (place, byte) in bytes.iter().enumerate() {
        if DASHES.contains(&place) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        bits = bits << 4 | u128::from(digit);
    }
    let low = u64::try_from(bits & u128::from(u64::MAX)).expect("masked to 64 bits");
    let high = u64::try_from(bits >> 64).expect("shifted to 64 bits");
    Some(IdKey(high, low))
}

fn write_uuid(IdKey(high, low): IdKey) -> String {
    let digits = format!("{high:016x}{low:016x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// The texts of ids that are not UUIDs, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Names {
    begins: HashMap<u64, u32>,
    texts: Vec<u8>,
}

impl Names {
    pub(super) fn remember(&mut self, id: &str) {
        let IdKey(place, _) = IdKey::new(id);
        if uuid(id).is_some() || self.begins.contains_key(&place) {
            return;
        }
        // Beyond 4 GiB of names an id is told by its hash.
        if let (Ok(begin), Ok(length)) = (u32::try_from(self.texts.len()), u16::try_from(id.len())) {
            self.begins.insert(place, begin);
            self.texts.extend(length.to_le_bytes());
            self.texts.extend(id.as_bytes());
        }
    }

    pub(super) fn text(&self, id: IdKey) -> String {
        let told = self.begins.get(&id.0).and_then(|begin| {
            let (length, rest) = self.texts.get(*begin as usize..)?.split_first_chunk::<2>()?;
            let text = rest.get(..usize::from(u16::from_le_bytes(*length)))?;
            String::from_utf8(text.to_vec()).ok()
        });
        told.unwrap_or_else(|| write_uuid(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were() {
        let mut names = Names::default();
        let ids = [
            "019123ab-cdef-7123-8abc-0123456789ab",
            "019123AB-CDEF-7123-8ABC-0123456789AB",
            "millstream.digits.preprocess/3/14",
            "a",
            "019123ab-cdef-7123-8abc-0123456789ag",
        ];
        for id in ids {
            names.remember(id);
            names.remember(id);
        }
        for id in ids {
            assert_eq!(names.text(IdKey::new(id)), id);
        }
        assert_eq!(names.begins.len(), 4, "UUIDs need no text");
    }
}
