//! How a body is written, as its `content-type` says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An encoding this project writes. Both are read, whatever is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// `application/vnd.msgpack`: compact, tensor data as it is in memory.
    #[default]
    #[serde(rename = "msgpack")]
    MessagePack,
    /// `application/json` as the Open Inference Protocol has it: readable anywhere, three to four times the size.
    Json,
}

impl Encoding {
    /// The value of the header `content-type` for this encoding.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::MessagePack => "application/vnd.msgpack",
            Self::Json => "application/json",
        }
    }

    /// The encoding that a `content-type` names, or `None` for a raw payload. The media type is compared without
    /// regard to case, and what follows a `;` is ignored.
    pub fn of_content_type(content_type: Option<&str>) -> Option<Self> {
        let media_type = content_type?.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name);
        if is("application/vnd.msgpack") || is("application/msgpack") || is("application/x-msgpack") {
            Some(Self::MessagePack)
        } else if is("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: &str, expect: Option<Encoding>) {
        assert_eq!(Encoding::of_content_type(Some(content_type)), expect, "{content_type}");
    }

    #[test]
    fn content_types() {
        check("application/vnd.msgpack", Some(Encoding::MessagePack));
        check("application/msgpack", Some(Encoding::MessagePack));
        check("application/x-msgpack", Some(Encoding::MessagePack));
        check("Application/JSON; charset=utf-8", Some(Encoding::Json));
        check("application/json-seq", None);
        check("text/plain", None);
        check("", None);
        assert_eq!(Encoding::of_content_type(None), None);
    }
}
