//! What is wrong with a text of settings, in words.

use std::borrow::Cow;

use toml::de::DeValue;
use toml::{Spanned, Table, Value};

use super::keys::{KEYS, Key, Kind, sections};
use crate::error::nearest;

/// Where to look when nothing is near to what was written.
pub(super) const ALL_KEYS: &str = "`statera config --defaults` lists every key";

/// What is wrong at one position of the text.
pub(super) struct Fault {
    /// The byte of the text.
    pub(super) at: usize,
    /// What was found, and what was expected.
    pub(super) what: String,
    /// What to write in its place.
    pub(super) remedy: String,
}

/// What checking comes to.
pub(super) type Checked<T> = std::result::Result<T, Fault>;

/// Names that people know from elsewhere, and what they are here.
const SYNONYMS: &[(&str, &str)] = &[
    ("lr", "learning_rate"),
    ("swish", "silu"),
    ("mean_squared_error", "mse"),
    ("mean_absolute_error", "mae"),
    ("log_loss", "auto"),
    ("he", "he_normal"),
    ("kaiming", "he_normal"),
    ("xavier", "xavier_normal"),
    ("glorot", "xavier_normal"),
    ("lecun", "lecun_normal"),
    // Of figures that are not taken after every epoch, the one that every task has.
    ("val_auc", "val_loss"),
    ("val_roc_auc", "val_loss"),
    ("val_f1", "val_loss"),
    ("val_log_loss", "val_loss"),
    ("val_r2", "val_loss"),
    ("val_mse", "val_rmse"),
    ("val_acc", "val_accuracy"),
];

/// What was probably meant by a name among those that there are: the same under another name, or the nearest.
pub(super) fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    let folded = name.to_lowercase();
    let same = SYNONYMS.iter().find(|(other, _)| *other == folded).map(|(_, own)| *own);
    let found = same.and_then(|own| known.iter().find(|known| **known == own));
    found.copied().or_else(|| nearest(name, known))
}

/// A key or section that does not exist, with what was probably meant.
pub(super) fn unknown(path: &str, is_table: bool, at: usize) -> Fault {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    if section.is_empty() && is_table {
        let remedy = nearest(name, sections()).map_or_else(
            || format!("one of the sections {}; {ALL_KEYS}", sections().join(", ")),
            |near| format!("`{near}`"),
        );
        return Fault { at, what: format!("unknown section `{path}`"), remedy };
    }
    if is_table && sections().contains(&name) {
        let remedy = format!(
            "put the line before the first [section], or its last part under [{name}]: what follows [{section}] is of `{section}`"
        );
        return Fault { at, what: format!("unknown key `{path}`"), remedy };
    }
    // The right name in the wrong section comes before a similar name in the right one.
    let elsewhere: Vec<_> =
        KEYS.iter().filter(|key| key.name() == name).map(|key| format!("`{}`", key.path)).collect();
    let remedy = if elsewhere.is_empty() {
        meant(name, KEYS.iter().filter(|key| key.section() == section).map(Key::name))
            .and_then(|near| KEYS.iter().find(|key| key.section() == section && key.name() == near))
            .or_else(|| {
                meant(name, KEYS.iter().map(Key::name))
                    .and_then(|near| KEYS.iter().find(|key| key.name() == near))
            })
            .map_or_else(|| ALL_KEYS.to_owned(), |key| format!("`{}`", key.path))
    } else {
        elsewhere.join(" or ")
    };
    Fault { at, what: format!("unknown key `{path}`"), remedy }
}

/// A key that does not exist within a layer, an initialiser or a column.
pub(super) fn unknown_within<'k>(
    within: &str,
    name: &Spanned<Cow<'_, str>>,
    known: impl Iterator<Item = &'k str>,
) -> Fault {
    let known: Vec<_> = known.collect();
    let all = if known.is_empty() {
        "it has no settings".to_owned()
    } else {
        format!("expected one of {}", known.join(", "))
    };
    let remedy = match nearest(name.get_ref(), known.iter().copied()) {
        Some(near) => format!("`{near}`"),
        None => format!("leave `{}` out", name.get_ref()),
    };
    Fault { at: name.span().start, what: format!("{within}unknown key `{}`, {all}", name.get_ref()), remedy }
}

pub(super) fn section_remedy(section: &str) -> String {
    KEYS.iter()
        .find(|key| key.section() == section)
        .map_or_else(|| ALL_KEYS.to_owned(), |key| format!("`{}`", key.path))
}

/// A value of this kind, for where there is no default to show.
pub(super) fn example(kind: &Kind) -> String {
    match kind {
        Kind::Int { max, .. } => 64.min(*max).to_string(),
        Kind::Float { .. } => "0.1".into(),
        Kind::Choice(names) => quote(names[names.len() / 2]),
        Kind::Bool => "true".into(),
        Kind::Text | Kind::Path => "\"text\"".into(),
        Kind::ChoiceList(names) => format!("[{}]", quote(names[0])),
        Kind::TextList | Kind::PathList | Kind::IntList { .. } => "[]".into(),
        Kind::Layers => "[{ type = \"dense\", units = 64 }]".into(),
        Kind::Initializer(kinds) => quote(kinds[0].name),
        Kind::Columns => "{}".into(),
        Kind::Steps(_) => "[\"median\", \"standard\"]".into(),
        Kind::ClassWeights(names) => quote(names[0]),
    }
}

/// A value as a TOML literal, tiny numbers with an exponent.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Float(x) if *x != 0.0 && x.abs() < 1e-4 => format!("{x:e}"),
        _ => value.to_string(),
    }
}

/// A literal in the one style that messages and listings use.
pub(super) fn tidy(literal: &str) -> String {
    format!("value = {literal}")
        .parse::<Table>()
        .ok()
        .and_then(|table| table.get("value").map(plain))
        .unwrap_or_else(|| literal.to_owned())
}

/// A name as it stands between the dots of a key.
pub(super) fn key_segment(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_owned() } else { quoted_key(name) }
}

/// A name in quotes as a key: on one line, as only a text may have several.
pub(super) fn quoted_key(name: &str) -> String {
    let mut quoted = String::from('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            c if c.is_control() => quoted += &format!("\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A path as one dotted key.
pub(super) fn dotted(path: &[String]) -> String {
    path.iter().map(|name| key_segment(name)).collect::<Vec<_>>().join(".")
}

/// A TOML string literal.
pub(super) fn quote(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", quote_short(text)),
        DeValue::Integer(i) => i.to_string(),
        DeValue::Float(x) => x.to_string(),
        DeValue::Boolean(b) => b.to_string(),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// A text in quotes, cut where it would flood the message.
pub(super) fn quote_short(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return quote(text);
    }
    quote(&text.chars().take(LONGEST).chain(['…']).collect::<String>())
}

/// Line and column of a byte, both counted from one.
pub(super) fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
