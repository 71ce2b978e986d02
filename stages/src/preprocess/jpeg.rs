//! Whether a JPEG file is whole. The decoder fills what is missing of a file with grey and calls it an image; a
//! model would then answer with confidence about half a picture.

const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// More scans than any encoder writes. Each scan of a progressive file passes over the whole image, so that a small file
/// of many empty scans keeps a decoder busy for minutes.
const MAX_SCANS: usize = 100;

/// What the markers of a JPEG file say before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Structure {
    /// They lead to the end marker. What follows that is nobody's business: cameras append videos.
    Complete,
    /// They do not.
    EndsEarly,
    /// The image is sent in more passes than can be meant well.
    TooManyScans,
}

/// Walks over the markers of a JPEG file.
pub(super) fn structure(file: &[u8]) -> Structure {
    let mut scans = 0;
    let mut rest = file;
    while let Some((marker, after)) = next_marker(rest) {
        rest = match marker {
            END_OF_IMAGE => return Structure::Complete,
            // These stand alone: the start, restarts, and one for private use.
            START_OF_IMAGE | 0xd0..=0xd7 | 0x01 => after,
            _ => {
                let length = after.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes)));
                let Some(after) = length.and_then(|length| after.get(length.max(2)..)) else {
                    return Structure::EndsEarly;
                };
                if marker == START_OF_SCAN {
                    scans += 1;
                    after_scan(after)
                } else {
                    after
                }
            }
        };
        if scans > MAX_SCANS {
            return Structure::TooManyScans;
        }
    }
    Structure::EndsEarly
}

/// The next marker, and what follows it. Bytes between segments that belong to none are passed over, as decoders do.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut at = memchr::memchr(0xff, bytes)?;
    loop {
        match *bytes.get(at + 1)? {
            // Any number of 0xff may stand before a marker.
            0xff => at += 1,
            0x00 => at += 2 + memchr::memchr(0xff, &bytes[at + 2..])?,
            marker => return Some((marker, &bytes[at + 2..])),
        }
    }
}

/// What follows the compressed data of a scan, in which 0xff is escaped by a zero and restarts are markers.
fn after_scan(mut bytes: &[u8]) -> &[u8] {
    loop {
        let Some(at) = memchr::memchr(0xff, bytes) else { return &[] };
        match bytes.get(at + 1) {
            Some(0x00 | 0xd0..=0xd7) => bytes = &bytes[at + 2..],
            _ => return &bytes[at..],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
    }

    #[test]
    fn a_file_is_complete_with_its_last_marker_only() {
        for name in ["full.jpg", "halved.jpg", "progressive.jpg", "grey.jpg"] {
            let file = fixture(name);
            assert_eq!(structure(&file), Structure::Complete, "{name}");
            for length in 0..file.len() {
                assert_eq!(
                    structure(&file[..length]),
                    Structure::EndsEarly,
                    "{name}, the first {length} bytes"
                );
            }
        }
    }

    #[test]
    fn what_follows_the_end_does_not_matter() {
        let file = [&fixture("full.jpg")[..], b"\xff\xda\xff\xd8 and a video"].concat();
        assert_eq!(structure(&file), Structure::Complete);
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end() {
        let (file, thumbnail) = (fixture("full.jpg"), fixture("grey.jpg"));
        let length = (thumbnail.len() as u16 + 2).to_be_bytes();
        let with = [&file[..2], b"\xff\xe1", &length, &thumbnail, &file[2..]].concat();
        assert_eq!(structure(&with), Structure::Complete);
        assert_eq!(structure(&with[..with.len() - 100]), Structure::EndsEarly);
    }

    #[test]
    fn many_scans_are_too_many() {
        let scans = |count: usize| {
            [b"\xff\xd8".to_vec(), b"\xff\xda\x00\x02".repeat(count), b"\xff\xd9".to_vec()].concat()
        };
        assert_eq!(structure(&scans(MAX_SCANS)), Structure::Complete);
        assert_eq!(structure(&scans(MAX_SCANS + 1)), Structure::TooManyScans);
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in prop::collection::vec(prop_oneof![Just(0xff), any::<u8>()], 0..200)) {
            structure(&bytes);
        }
    }
}
