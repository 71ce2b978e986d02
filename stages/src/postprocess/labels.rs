//! The names of a model's classes.

use std::path::Path;

use crate::error::LoadError;

/// One label per class, in the order of the classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    labels: Vec<String>,
}

impl Labels {
    /// Reads a text file with one label per line. Spaces around a label are dropped; an empty line would shift the
    /// labels after it, so it is an error, except at the end.
    pub fn read(model: &str, path: &Path) -> Result<Self, LoadError> {
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read {
            model: model.to_owned(),
            path: path.to_owned(),
            source,
        })?;
        let wrong =
            |message: String| LoadError::Labels { model: model.to_owned(), path: path.to_owned(), message };
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            wrong(format!("line {line} is not UTF-8"))
        })?;
        Self::parse(&text).map_err(wrong)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let labels: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_owned()).collect();
        if labels.is_empty() {
            return Err("holds no label; write one per line".to_owned());
        }
        match labels.iter().position(String::is_empty) {
            Some(line) => Err(format!("line {} is empty; every line is the label of one class", line + 1)),
            None => Ok(Self { labels }),
        }
    }

    /// How many labels there are.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// The label of a class.
    pub fn of(&self, class: usize) -> Option<&str> {
        self.labels.get(class).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label_per_line() {
        let check = |text: &str, expect: Result<&[&str], &str>| {
            let labels = Labels::parse(text).map(|labels| labels.labels);
            assert_eq!(
                labels.as_deref().map_err(String::as_str),
                expect
                    .map(|expect| { expect.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>() })
                    .as_deref()
                    .map_err(|error| *error)
            );
        };
        check("cat\ndog\n", Ok(&["cat", "dog"]));
        check("\u{feff}cat\r\ndog", Ok(&["cat", "dog"]));
        check("  sea lion \nelk\n\n\n", Ok(&["sea lion", "elk"]));
        check("", Err("holds no label; write one per line"));
        check("\n \n", Err("holds no label; write one per line"));
        check("cat\n\ndog", Err("line 2 is empty; every line is the label of one class"));
    }

    #[test]
    fn a_file_that_is_not_text_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.txt");
        std::fs::write(&path, b"cat\n\xff\xfe\n").unwrap();
        let error = Labels::read("pets", &path).unwrap_err().to_string();
        assert_eq!(error, format!("model `pets`: labels {}: line 2 is not UTF-8", path.display()));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Labels::read("pets", Path::new("/nowhere/labels.txt")).unwrap_err().to_string();
        assert!(error.starts_with("model `pets`: cannot read /nowhere/labels.txt: "), "{error}");
    }
}
