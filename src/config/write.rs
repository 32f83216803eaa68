//! Writes settings: all values of a configuration, and the commented listing of defaults.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::data::COLUMN_KEYS;
use super::fault::{key_segment, plain, tidy};
use super::keys::{KEYS, Key, Kind, sections};
use super::layers::{BIAS_INITIALIZERS, INITIALIZERS, LAYER_KEYS, Variant};
use super::meaning::When;

/// The columns that a comment may fill.
const WIDTH: usize = 100;

/// All values in the order of the tables, less those that `skip` names.
pub(super) fn settings(values: &Table, skip: &[&str]) -> String {
    let mut out = String::new();
    for section in std::iter::once("").chain(sections()) {
        if !section.is_empty() {
            let _ = writeln!(out, "\n[{section}]");
        }
        for key in KEYS.iter().filter(|key| key.section() == section && !skip.contains(&key.path)) {
            if let Some(value) = lookup(values, key) {
                setting(&mut out, key, value);
            }
        }
    }
    out
}

/// The value at a key's path; no path goes deeper than one section.
fn lookup<'v>(values: &'v Table, key: &Key) -> Option<&'v Value> {
    if key.section().is_empty() {
        return values.get(key.name());
    }
    values.get(key.section())?.get(key.name())
}

fn setting(out: &mut String, key: &Key, value: &Value) {
    let name = key.name();
    match (key.kind, value) {
        (Kind::Columns, Value::Table(columns)) => {
            for (column, settings) in columns {
                let _ = writeln!(out, "{name}.{} = {}", key_segment(column), short(settings));
            }
        }
        // A class may be called `name`, which is nothing to shorten.
        (Kind::ClassWeights(_), Value::Table(_)) => {
            let _ = writeln!(out, "{name} = {value}");
        }
        (Kind::Layers, Value::Array(layers)) if !layers.is_empty() => {
            let _ = writeln!(out, "{name} = {}", list(layers, ""));
        }
        _ => {
            let _ = writeln!(out, "{name} = {}", plain(&short(value)));
        }
    }
}

/// Layers, one a line; those of a block stand further in, which TOML allows between brackets alone.
fn list(layers: &[Value], indent: &str) -> String {
    let inner = format!("{indent}  ");
    let line = |layer: &Value| match layer.get("layers").and_then(Value::as_array) {
        Some(block) => {
            let kind = layer.get("type").map_or_else(String::new, Value::to_string);
            format!("{inner}{{ type = {kind}, layers = {} }},\n", list(block, &inner))
        }
        None => format!("{inner}{},\n", short(layer)),
    };
    format!("[\n{}{indent}]", layers.iter().map(line).collect::<String>())
}

/// The same value with every initialiser and step that has no settings written as its bare name.
fn short(value: &Value) -> Value {
    match value {
        Value::Table(table) => match table.get("name").or_else(|| table.get("step")) {
            Some(name) if table.len() == 1 => name.clone(),
            _ => Value::Table(table.iter().map(|(name, value)| (name.clone(), short(value))).collect()),
        },
        Value::Array(items) => Value::Array(items.iter().map(short).collect()),
        _ => value.clone(),
    }
}

/// Every setting with its default, range and meaning, as TOML with comments.
pub(super) fn defaults_listing() -> String {
    let mut out = String::new();
    comment(
        &mut out,
        "",
        "Every setting with its meaning, range and default. Any of them can stand in a file (--config FILE) \
         or on the command line (--set section.name=value).",
    );
    out.push('\n');
    for section in std::iter::once("").chain(sections()) {
        if !section.is_empty() {
            let _ = writeln!(out, "[{section}]");
        }
        for key in KEYS.iter().filter(|key| key.section() == section) {
            explain(&mut out, key);
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// One setting with its comments.
fn explain(out: &mut String, key: &Key) {
    comment(out, "", key.help);
    match key.kind {
        Kind::Columns => {
            for column_key in COLUMN_KEYS {
                comment(out, "  ", &format!("{}.<name>.{}", key.name(), described(column_key)));
            }
            return;
        }
        Kind::Layers => {
            comment(out, "", "Each layer is a table as { type = \"dense\", units = 64 }. The types:");
            variants(out, LAYER_KEYS);
        }
        Kind::Initializer(kinds) => {
            comment(out, "", "The names, with the settings that some of them have:");
            variants(out, kinds);
        }
        // The names of all steps stand once, at the first list of them.
        Kind::Steps(kinds) if key.path == "prepare.numbers" => {
            comment(
                out,
                "",
                "Each step is its name, or a table as { step = \"winsorize\", low = 0.05 }. The steps:",
            );
            variants(out, kinds);
        }
        Kind::Steps(_) => comment(out, "", "Expected: a list of steps, as prepare.numbers."),
        Kind::Text | Kind::Path | Kind::PathList | Kind::TextList => {}
        _ => comment(out, "", &format!("Expected: {}.", key.kind.expected())),
    }
    if let Some(conditions) = conditions(key) {
        comment(out, "", &format!("Has an effect where {conditions}."));
    }
    if let Some(default) = key.default {
        let _ = writeln!(out, "{} = {}", key.name(), tidy(default));
    }
}

fn variants(out: &mut String, kinds: &[Variant]) {
    for kind in kinds {
        let alias = if kind.alias.is_empty() { String::new() } else { format!(" (or {})", kind.alias) };
        comment(out, "  ", &format!("{}{alias}: {}", kind.name, kind.help));
        for key in kind.keys {
            comment(out, "    ", &described(key));
        }
    }
}

/// A setting of a layer, an initialiser or a column in one line.
fn described(key: &Key) -> String {
    let expected = match key.kind {
        // These lists of names stand once, at the keys of the short form.
        Kind::Initializer(kinds) if kinds.as_ptr() == INITIALIZERS.as_ptr() => {
            "as network.initializer".to_owned()
        }
        Kind::Initializer(kinds) if kinds.as_ptr() == BIAS_INITIALIZERS.as_ptr() => {
            "as network.bias_initializer".to_owned()
        }
        Kind::Steps(_) => "a list of steps, as prepare.numbers".to_owned(),
        _ => key.kind.expected(),
    };
    let default = key.default.map_or_else(String::new, |default| format!("; by default {}", tidy(default)));
    let when = conditions(key).map_or_else(String::new, |conditions| format!("; where {conditions}"));
    format!("{}: {} ({expected}{default}{when})", key.path, key.help.trim_end_matches('.'))
}

/// What must hold for a setting to have an effect; none where it always has one.
fn conditions(key: &Key) -> Option<String> {
    let conditions: Vec<_> = key.when.iter().map(When::words).collect();
    (!conditions.is_empty()).then(|| conditions.join(", and "))
}

/// A comment, broken into lines between words.
fn comment(out: &mut String, indent: &str, text: &str) {
    let mut line = format!("# {indent}");
    let start = line.len();
    for word in text.split_whitespace() {
        if line.len() > start && line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(out, "{line}");
            // Continued lines stand a little further in, so that the next item is told apart.
            line = format!("# {indent}{}", if indent.is_empty() { "" } else { "  " });
            line.push_str(word);
        } else {
            if line.len() > start {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    let _ = writeln!(out, "{line}");
}
