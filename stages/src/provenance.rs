//! What computed a result.

use sha2::{Digest, Sha256};

use crate::config::PipelineConfig;

/// What results are stamped with, so that anyone can tell later what computed them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The model's name in the configuration.
    pub model_name: String,
    /// The model's version in the configuration.
    pub model_version: String,
    /// The sha-256 of the model's file, in hexadecimal, as it was read; only where inference is among the stages.
    pub model_digest: Option<String>,
    /// The sha-256 of the pipeline's declaration, in hexadecimal.
    pub pipeline_digest: String,
}

/// The sha-256 of a file's bytes, in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of a declaration: of its JSON form with every default filled in, so that it does not change with the
/// layout of the file or with a default that is written out.
pub(crate) fn pipeline_digest(config: &PipelineConfig) -> String {
    let declaration = serde_json::to_vec(config).expect("a declaration has only string keys");
    digest(&declaration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(toml: &str) -> String {
        pipeline_digest(&toml::from_str(toml).unwrap())
    }

    #[test]
    fn digest_of_known_bytes() {
        assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_default_that_is_written_out_changes_nothing() {
        let short = r#"
            model = "digits"
            preprocess = [{ op = "resize", width = 8, height = 8 }]"#;
        let long = r#"
            preprocess = [{ height = 8, width = 8, op = "resize", filter = "bilinear" }]
            postprocess = []
            model = "digits""#;
        assert_eq!(digest_of(short), digest_of(long));
    }

    #[test]
    fn a_changed_parameter_changes_the_digest() {
        let with = |width: u32| {
            digest_of(&format!(
                "model = \"m\"\npreprocess = [{{ op = \"resize\", width = {width}, height = 8 }}]"
            ))
        };
        assert_ne!(with(8), with(9));
    }
}
