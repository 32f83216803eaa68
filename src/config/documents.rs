//! A text of settings as the TOML documents that it stands for.
//!
//! TOML closes a table that dotted keys have begun: `data.null = ["x"]` before a later `[data]` is an error. Lines that
//! profiles and messages give are such keys, and are to work in any file. So where keys before the first section and a
//! section of theirs are all that is wrong, the two are read apart and put together; the same key in both is refused.

use std::borrow::Cow;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::fault::key_segment;

/// The text where it is TOML, or has another fault; else what stands before its first section, and the rest with spaces
/// in the place of that, so that positions in either are positions in the text.
pub(super) fn documents(text: &str) -> Vec<Cow<'_, str>> {
    let whole = vec![Cow::Borrowed(text)];
    // Up to a key that is there twice the text is well-formed.
    let Some(end) = DeTable::parse(text)
        .err()
        .filter(|e| e.message().contains("duplicate key"))
        .and_then(|e| Some(e.span()?.start))
    else {
        return whole;
    };
    let lines = text[..end].split_inclusive('\n').scan(0, |next, line| {
        let start = *next;
        *next += line.len();
        Some((start, line))
    });
    // Within a list or a text of several lines, what stands before is no document.
    let first_section = lines
        .filter(|(_, line)| line.trim_start().starts_with('['))
        .find(|(start, _)| DeTable::parse(&text[..*start]).is_ok());
    match first_section {
        Some((start, _)) if start > 0 => {
            let blank: String = text[..start]
                .bytes()
                .map(|byte| if matches!(byte, b'\n' | b'\r') { byte as char } else { ' ' })
                .collect();
            vec![Cow::Borrowed(&text[..start]), Cow::Owned(blank + &text[start..])]
        }
        _ => whole,
    }
}

/// A key that two documents both give, and where they do.
pub(super) fn given_twice(
    one: &DeTable<'_>,
    other: &DeTable<'_>,
    prefix: &str,
) -> Option<(String, [Range<usize>; 2])> {
    one.iter().find_map(|(name, value)| {
        let (other_name, other_value) = other.get_key_value(name)?;
        let segment = key_segment(name.get_ref());
        let path = if prefix.is_empty() { segment } else { format!("{prefix}.{segment}") };
        match (value.get_ref(), other_value.get_ref()) {
            (DeValue::Table(one), DeValue::Table(other)) => given_twice(one, other, &path),
            _ => Some((path, [name.span(), other_name.span()])),
        }
    })
}
