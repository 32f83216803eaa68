//! A text of settings as the TOML documents that it stands for.
//!
//! TOML closes a table that dotted keys have begun: `data.null = ["x"]` before a later `[data]` is an error. Lines that
//! profiles and messages give are such keys, and are to work in any file. So where keys before the first section and a
//! section of theirs are all that is wrong, the two are read apart and put together; the same key in both is refused. And
//! as two warnings may give the same line, a line that stands there twice, letter by letter, counts once.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::fault::key_segment;

/// The text where it is TOML, or has another fault; else what stands before its first section, without repeated lines, and
/// the rest with spaces in the place of that, so that positions in either are positions in the text.
pub(super) fn documents(text: &str) -> Vec<Cow<'_, str>> {
    let has_twice =
        |text: &str| DeTable::parse(text).err().is_some_and(|e| e.message().contains("duplicate key"));
    if !has_twice(text) {
        return vec![Cow::Borrowed(text)];
    }
    let Some(Head { end, repeated }) = head(text) else { return vec![Cow::Borrowed(text)] };
    let mut once = text.as_bytes().to_vec();
    repeated.into_iter().for_each(|line| once[line].fill(b' '));
    // Spaces take the place of whole lines.
    let once = String::from_utf8(once).unwrap_or_default();
    if end == 0 || end == text.len() || !has_twice(&once) {
        return vec![Cow::Owned(once)];
    }
    let blank: String = text[..end]
        .bytes()
        .map(|byte| if matches!(byte, b'\n' | b'\r') { byte as char } else { ' ' })
        .collect();
    vec![Cow::Owned(once[..end].to_owned()), Cow::Owned(blank + &text[end..])]
}

/// What stands before the first section.
struct Head {
    /// Where it ends.
    end: usize,
    /// The lines in it that are there before, without the ends of lines.
    repeated: Vec<Range<usize>>,
}

/// What stands before the first section; none where a statement in it is never complete, or longer than any should be.
fn head(text: &str) -> Option<Head> {
    /// Each line is read once more for every one behind it in its statement.
    const MOST_LINES: usize = 1_000;
    let mut head = Head { end: 0, repeated: Vec::new() };
    let (mut seen, mut n_lines, mut end) = (HashSet::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        // Within a list or a text of several lines, a bracket begins no section.
        if n_lines == 0 && line.trim_start().starts_with('[') {
            break;
        }
        (n_lines, end) = (n_lines + 1, end + line.len());
        let statement = &text[head.end..end];
        if DeTable::parse(statement).is_ok() {
            if n_lines == 1 && !seen.insert(line.trim()) {
                head.repeated.push(head.end..head.end + line.trim_end().len());
            }
            (head.end, n_lines) = (end, 0);
        } else if n_lines == MOST_LINES {
            return None;
        }
    }
    (n_lines == 0).then_some(head)
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
