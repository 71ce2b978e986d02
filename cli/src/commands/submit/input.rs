//! What is submitted: files, and standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use producer::Payload;

/// What stands for standard input among the files.
const STANDARD_INPUT: &str = "-";
const UNKNOWN: &str = "application/octet-stream";

/// The content type that a file name stands for.
fn content_type_of(path: &Path) -> &'static str {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("json") => "application/json",
        Some("msgpack") => "application/vnd.msgpack",
        Some("txt") => "text/plain",
        _ => UNKNOWN,
    }
}

/// One job's input: a file that is read when its turn comes, or standard input, which was read at the start.
#[derive(Debug)]
pub(super) struct Input {
    name: String,
    content_type: String,
    source: Source,
    max_bytes: usize,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Read(Bytes),
}

/// The inputs that these paths name.
pub(super) async fn open(
    paths: &[PathBuf],
    content_type: Option<&str>,
    max_bytes: usize,
) -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::with_capacity(paths.len());
    for path in paths {
        let source = if path.as_os_str() == STANDARD_INPUT {
            // Before Kafka is looked at: how long somebody types is not a matter of its timeouts.
            Source::Read(read_standard_input(max_bytes).await?)
        } else {
            Source::File(path.clone())
        };
        inputs.push(Input {
            name: name_of(path),
            content_type: content_type.unwrap_or_else(|| content_type_of(path)).to_owned(),
            source,
            max_bytes,
        });
    }
    Ok(inputs)
}

fn name_of(path: &Path) -> String {
    if path.as_os_str() == STANDARD_INPUT { "standard input".to_owned() } else { path.display().to_string() }
}

async fn read_standard_input(max_bytes: usize) -> anyhow::Result<Bytes> {
    let read = move || {
        let mut bytes = Vec::new();
        // One byte more than fits, so that what is too long is seen to be.
        std::io::stdin().lock().take(max_bytes as u64 + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = tokio::task::spawn_blocking(read).await?.context("cannot read standard input")?;
    Ok(bytes.into())
}

impl Input {
    /// The path as it was typed, or `standard input`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The payload of its job. What no record can hold is not read.
    pub(super) async fn read(self) -> anyhow::Result<Payload> {
        let Self { name, content_type, source, max_bytes } = self;
        let body = match source {
            Source::Read(bytes) => bytes,
            Source::File(path) => {
                let context = || format!("cannot read {name}");
                let found = tokio::fs::metadata(&path).await.with_context(context)?;
                if found.is_dir() {
                    bail!("{name} is a folder; name the files in it");
                }
                check_size(&name, found.len(), max_bytes)?;
                tokio::fs::read(&path).await.with_context(context)?.into()
            }
        };
        check_size(&name, body.len() as u64, max_bytes)?;
        Ok(Payload::Raw { content_type: Some(content_type), body })
    }
}

fn check_size(name: &str, bytes: u64, max_bytes: usize) -> anyhow::Result<()> {
    if bytes > max_bytes as u64 {
        bail!(
            "{name} has more bytes than limits.max_record_bytes = {max_bytes}; send less, or raise the limit"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expect: &str) {
        assert_eq!(content_type_of(Path::new(path)), expect, "{path}");
    }

    #[test]
    fn content_types_follow_from_names() {
        check("a/b.png", "image/png");
        check("b.JPG", "image/jpeg");
        check("b.jpeg", "image/jpeg");
        check("b.webp", "image/webp");
        check("b.json", "application/json");
        check("b.msgpack", "application/vnd.msgpack");
        check("b.txt", "text/plain");
        check("b.tar.gz", UNKNOWN);
        check("png", UNKNOWN);
        check("-", UNKNOWN);
    }

    async fn read(path: PathBuf, max_bytes: usize) -> Result<Payload, String> {
        let input = open(&[path], None, max_bytes).await.unwrap().pop().unwrap();
        input.read().await.map_err(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn files_are_read_within_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note.txt");
        std::fs::write(&path, "seven").unwrap();
        let expect = Payload::Raw { content_type: Some("text/plain".to_owned()), body: "seven".into() };
        assert_eq!(read(path.clone(), 5).await, Ok(expect));
        assert!(read(path, 4).await.unwrap_err().contains("limits.max_record_bytes = 4"));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.png");
        assert!(
            read(missing.clone(), 9)
                .await
                .unwrap_err()
                .starts_with(&format!("cannot read {}", missing.display()))
        );
        assert!(read(folder.path().to_owned(), 9).await.unwrap_err().contains("is a folder"));
    }
}
