//! What a name may be. Names end up in topics, groups, metrics, URIs and files, so they keep to what all of these take.

/// In words, for messages.
pub(crate) const RULE: &str = "1 to 200 letters, digits, '.', '_' or '-'";

/// Whether this can be the name of a topic, pipeline, model or slot.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=200).contains(&text.len()) && text.chars().all(is_allowed)
}

/// Whether a name may hold this character.
pub(crate) fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_topics_groups_and_files_take() {
        let check = |text: &str, expect: bool| assert_eq!(is_name(text), expect, "{text}");
        check("rack-1.worker_7", true);
        check(&"a".repeat(200), true);
        check(&"a".repeat(201), false);
        check("", false);
        check("a b", false);
        check("a/b", false);
        check("é", false);
    }
}
