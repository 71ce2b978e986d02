//! The images of the demo with what they show, and three inputs that cannot work.

use std::path::Path;

use anyhow::{Context, ensure};
use bytes::Bytes;
use producer::Submission;

/// One input of the demo.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// Its file name, or what it is.
    pub(crate) name: String,
    /// What it shows; `None` for an input that cannot work.
    pub(crate) label: Option<String>,
    body: Bytes,
}

/// Reads `labels.csv` (columns `file`, `label`) and the images that it names.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<Image>> {
    let list = folder.join("labels.csv");
    let text = std::fs::read_to_string(&list)
        .with_context(|| format!("cannot read {}; name a folder of images with --images", list.display()))?;
    let mut images = Vec::new();
    for (index, line) in text.lines().enumerate().skip(1) {
        let (name, label) = line
            .split_once(',')
            .with_context(|| format!("{}:{}: expected `file,label`", list.display(), index + 1))?;
        let path = folder.join(name);
        let body = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        images.push(Image { name: name.to_owned(), label: Some(label.trim().to_owned()), body: body.into() });
    }
    ensure!(!images.is_empty(), "{} names no image", list.display());
    Ok(images)
}

/// `count` jobs, going round the images, with three broken inputs among them.
pub(crate) fn jobs(images: &[Image], count: usize) -> Vec<(Submission, Image)> {
    let mut jobs: Vec<_> = images.iter().cycle().take(count).map(|image| job(image.clone())).collect();
    for broken in broken_inputs(&images[0]) {
        let middle = jobs.len() / 2;
        jobs.insert(middle, job(broken));
    }
    jobs
}

fn job(image: Image) -> (Submission, Image) {
    (Submission::raw("image/png", image.body.clone()), image)
}

/// What a pipeline meets in the field: a file that is no image, one that was cut off, and one that claims to be huge.
fn broken_inputs(good: &Image) -> [Image; 3] {
    const WIDTH_AND_HEIGHT: std::ops::Range<usize> = 16..24;
    let image = |name: &str, body: Bytes| Image { name: name.to_owned(), label: None, body };
    let mut huge = good.body.to_vec();
    huge[WIDTH_AND_HEIGHT].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    // The checksum of the header chunk (type and 13 bytes) follows it; without the right one no decoder looks further.
    let checksum = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&checksum.to_be_bytes());
    [
        image("a text file", Bytes::from_static(b"this is not an image")),
        image("a PNG cut off after 40 bytes", good.body.slice(..40.min(good.body.len()))),
        image("a PNG that claims 60000x60000 pixels", huge.into()),
    ]
}

/// CRC-32 as PNG uses it (ISO 3309, PNG specification annex D).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_specification() {
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn goes_round_the_images_and_adds_the_broken_ones() {
        let image =
            |name: &str| Image { name: name.into(), label: Some("7".into()), body: vec![0; 64].into() };
        let jobs = jobs(&[image("a"), image("b")], 5);
        assert_eq!(jobs.len(), 8);
        assert_eq!(jobs.iter().filter(|(_, image)| image.label.is_none()).count(), 3);
        assert_eq!(jobs.iter().filter(|(_, image)| image.name == "a").count(), 3);
    }
}
