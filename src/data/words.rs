//! How figures, cells and settings are written in messages.

use std::fmt::Write as _;

/// A count with its thousands set apart: `1,338`.
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 cell`, `1,338 cells`.
pub(crate) fn counted(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", thousands(n), if n == 1 { "" } else { "s" })
}

/// A cell between backticks, on one line and not longer than a message can bear.
pub(crate) fn shown(cell: &str) -> String {
    const LONGEST: usize = 40;
    let mut text = String::from("`");
    for (i, c) in cell.chars().enumerate() {
        if i == LONGEST {
            text.push('…');
            break;
        }
        if c.is_control() {
            let _ = write!(text, "{}", c.escape_default());
        } else {
            text.push(c);
        }
    }
    text.push('`');
    text
}

/// Names between backticks, at most ten of them.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 10;
    let mut names = names.into_iter();
    let mut text = names.by_ref().take(MOST).map(shown).collect::<Vec<_>>().join(", ");
    let more = names.count();
    if more > 0 {
        let _ = write!(text, " and {} more", thousands(more));
    }
    text
}

/// A word as a POSIX shell takes it: bare where that is safe, else between single quotes.
pub(super) fn shell(word: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-/=+:,@%".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The option that makes these words count as missing: `--null n/a. --null none`.
pub(crate) fn null_option<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("--null {}", shell(word))).collect::<Vec<_>>().join(" ")
}

/// The assignment of a column's setting, ready for `--set`: `data.columns.bmi.kind=category`.
pub(crate) fn column_setting(column: &str, setting: &str, value: &str) -> String {
    let bare =
        !column.is_empty() && column.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if bare {
        column.to_owned()
    } else {
        format!("\"{}\"", column.replace('\\', r"\\").replace('"', "\\\""))
    };
    shell(&format!("data.columns.{key}.{setting}={value}"))
}

/// What to do about a name that does not exist: the nearest one that does, or all of them.
pub(crate) fn instead<'a>(name: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    match crate::error::nearest(name, names.clone()) {
        Some(near) => format!("did you mean {}?", shown(near)),
        None => format!("the columns are {}", listed(names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_set_apart_by_thousands() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_338), "1,338");
        assert_eq!(thousands(12_345_678), "12,345,678");
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(shell("n/a."), "n/a.");
        assert_eq!(shell("it's * here"), r"'it'\''s * here'");
        assert_eq!(shell(""), "''");
        assert_eq!(column_setting("bmi", "kind", "number"), "data.columns.bmi.kind=number");
        assert_eq!(column_setting("a.b", "kind", "number"), r#"'data.columns."a.b".kind=number'"#);
    }

    #[test]
    fn long_and_hostile_cells_are_shown_on_one_line() {
        assert_eq!(shown("a\nb"), "`a\\nb`");
        assert_eq!(shown(&"x".repeat(100)).chars().count(), 43);
    }
}
