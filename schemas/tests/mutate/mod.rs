//! Ways in which bytes go wrong.

/// Changes the bytes in one way, now and then with a piece of another record.
pub(crate) fn mutate(bytes: &mut Vec<u8>, random: &mut Random, donor: &[u8]) {
    let at = random.below(bytes.len() + 1);
    match random.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = *random.pick(&INTERESTING),
        2 => bytes.insert(at, *random.pick(&INTERESTING)),
        3 if at < bytes.len() => {
            let end = (at + 1 + random.below(8)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 if !donor.is_empty() => {
            let from = random.below(donor.len());
            let to = (from + 1 + random.below(24)).min(donor.len());
            let end = (at + random.below(24)).min(bytes.len());
            bytes.splice(at..end, donor[from..to].iter().copied());
        }
        5 => edit_length(bytes, random),
        _ => bytes.truncate(at),
    }
}

/// Overwrites what follows a marker that a length or a number follows.
fn edit_length(bytes: &mut [u8], random: &mut Random) {
    let markers: Vec<usize> =
        (0..bytes.len()).filter(|&at| matches!(bytes[at], 0xc4..=0xc9 | 0xcc..=0xd3 | 0xd9..=0xdf)).collect();
    if markers.is_empty() {
        return;
    }
    let at = *random.pick(&markers);
    let value = *random.pick(&[0, 1, 2, 0x7f, 0x80, 0xff]);
    for byte in bytes[at + 1..].iter_mut().take(1 + random.below(8)) {
        *byte = value;
    }
}

/// Markers of MessagePack, the syntax of JSON, and ends of ranges.
const INTERESTING: [u8; 36] = [
    0x00, 0x01, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x91, 0x9f, 0xa0, 0xa1, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc9,
    0xca, 0xcb, 0xcf, 0xd3, 0xd6, 0xdb, 0xdd, 0xdf, 0xff, b'"', b'\\', b'{', b'}', b'[', b']', b',', b':',
    b'-', b'0',
];

/// SplitMix64: the same numbers in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
