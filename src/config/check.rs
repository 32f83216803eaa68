//! Reads TOML against the tables of settings: every value is checked, completed and put into one shape.

use std::path::{Component, Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::data::COLUMN_KEYS;
use super::documents::{documents, given_twice};
use super::fault::{
    ALL_KEYS, Checked, Fault, describe, example, key_segment, line_column, meant as meant_name, plain, quote,
    quote_short, section_remedy, tidy, unknown, unknown_within,
};
use super::keys::{KEYS, Key, Kind, NOT_NEGATIVE, find, sections};
use super::layers::{LAYER_KEYS, Variant};
use super::meaning::idle;
use crate::error::{Error, Result};

/// Where a text of settings comes from: how errors name it, and what its paths are relative to.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// A configuration file.
    File(&'a Path),
    /// A text without a name.
    Text,
    /// One setting of the command line, as typed.
    Set(&'a str),
}

/// A setting that was given: its path, segment by segment, and its checked value.
pub(super) type Given = (Vec<String>, Value);

/// Reads a text of settings. Of several faults, the first in the text is the error.
pub(super) fn read(text: &str, origin: Origin<'_>) -> Result<Vec<Given>> {
    let reader = Reader { origin, advises: true };
    let documents = documents(text);
    let parsed = documents.iter().map(|document| DeTable::parse(document));
    let tables: Vec<_> =
        parsed.collect::<std::result::Result<_, _>>().map_err(|e| reader.syntax_error(text, &e))?;
    let (mut given, mut faults) = (Vec::new(), Vec::new());
    for table in &tables {
        reader.section("", table.get_ref(), &mut given, &mut faults);
    }
    if let [before, sections] = &tables[..]
        && let Some((key, [first, second])) = given_twice(before.get_ref(), sections.get_ref(), "")
    {
        let again = line_column(text, second.start).0;
        faults.push(Fault {
            at: first.start,
            what: format!("`{key}` is given twice, again in line {again}"),
            remedy: "leave one of the two lines out".into(),
        });
    }
    match faults.into_iter().min_by_key(|fault| fault.at) {
        None => Ok(given),
        Some(fault) => {
            Err(Error::setting(format!("{}{}", reader.position(text, fault.at), fault.what), fault.remedy))
        }
    }
}

/// Reads `key=value` as typed on a command line.
///
/// The value is TOML; where it is not, or where the setting is a text, it is taken as it stands, so
/// that names need no quotes.
pub(super) fn read_set(set: &str) -> Result<Vec<Given>> {
    // A quoted column name may hold an equals sign, so the first one that leaves a key before it counts.
    let split = set
        .match_indices('=')
        .map(|(at, _)| (set[..at].trim(), set[at + 1..].trim()))
        .find_map(|(key, value)| Some((key, key_path(key)?, value)));
    let Some((key, path, value)) = split else {
        let remedy =
            "--set train.epochs=100, or for a column --set 'data.columns.\"number of rooms\".drop=true'";
        return Err(Error::setting(format!("--set `{set}`: expected key=value"), remedy));
    };
    let is_text = matches!(find(&path.join(".")).map(|key| key.kind), Some(Kind::Text | Kind::Path));
    let literal = match DeValue::parse(value) {
        Ok(parsed) if !is_text || parsed.get_ref().is_str() => value.to_owned(),
        _ => quote(value),
    };
    read(&format!("{key} = {literal}"), Origin::Set(set))
}

/// The segments of a dotted key, none if this is not exactly one key.
pub(super) fn key_path(key: &str) -> Option<Vec<String>> {
    // On a line of its own, a section's head could stand before the key.
    if key.contains(['\n', '\r']) {
        return None;
    }
    let document = format!("{key} = 0");
    let mut table = &DeTable::parse(&document).ok()?.into_inner();
    let mut path = Vec::new();
    loop {
        let (segment, value) = table.iter().next()?;
        path.push(segment.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::Integer(_) => return Some(path),
            _ => return None,
        }
    }
}

/// The defaults of all settings.
pub(super) fn defaults() -> Table {
    let mut table = Table::new();
    for key in KEYS {
        if let Some(value) = default_of(key) {
            insert(&mut table, key.path.split('.'), value);
        }
    }
    table
}

/// Puts a value at its path, making the tables on the way.
pub(super) fn insert<'a>(table: &mut Table, path: impl IntoIterator<Item = &'a str>, value: Value) {
    let mut segments = path.into_iter().peekable();
    let mut table = table;
    while let Some(segment) = segments.next() {
        if segments.peek().is_none() {
            table.insert(segment.to_owned(), value);
            return;
        }
        let inner = table.entry(segment).or_insert_with(|| Value::Table(Table::new()));
        // A table of weights takes the place of the name of a rule.
        if !inner.is_table() {
            *inner = Value::Table(Table::new());
        }
        match inner {
            Value::Table(inner) => table = inner,
            _ => return,
        }
    }
}

/// A tagged table with the defaults of its kind filled in; fails with the setting that must be given and is not.
pub(super) fn complete(variant: &Variant, given: &mut Table) -> std::result::Result<(), &'static Key> {
    for key in variant.keys {
        if !given.contains_key(key.name()) {
            match default_of(key) {
                Some(default) => given.insert(key.name().to_owned(), default),
                None if key.required => return Err(key),
                None => None,
            };
        }
    }
    Ok(())
}

/// The default in the shape that checking gives every value; none where there is none.
pub(super) fn default_of(key: &Key) -> Option<Value> {
    value_of(&key.kind, key.default?)
}

/// The value of a TOML literal, if it is one of this kind and in range.
pub(super) fn value_of(kind: &Kind, literal: &str) -> Option<Value> {
    let parsed = DeValue::parse(literal).ok()?;
    let spot = Spot { name: String::new(), key: "", default: None, is_item: false };
    Reader { origin: Origin::Text, advises: false }.value(kind, &spot, &parsed).ok()
}

/// The one way in which a literal of this kind is written where literals are compared: 0 as 0.0 where numbers have
/// decimals, texts in one kind of quotes.
pub(super) fn canonical(kind: &Kind, literal: &str) -> String {
    match kind {
        // Checking fills in what these leave out.
        Kind::Layers | Kind::Steps(_) | Kind::Initializer(_) | Kind::ClassWeights(_) | Kind::Columns => {
            tidy(literal)
        }
        _ => value_of(kind, literal).map_or_else(|| literal.to_owned(), |value| plain(&value)),
    }
}

/// A setting within the text, as messages name it.
struct Spot {
    /// As in "`network.layers`, layer 2 (dropout): `rate`".
    name: String,
    /// The key that a remedy assigns to.
    key: &'static str,
    /// The default's literal.
    default: Option<&'static str>,
    /// Whether this is one item of the list that the key stands for.
    is_item: bool,
}

impl Spot {
    fn of(key: &Key, within: &str) -> Self {
        Self { name: format!("{within}`{}`", key.path), key: key.path, default: key.default, is_item: false }
    }
}

struct Reader<'a> {
    origin: Origin<'a>,
    /// Whether faults carry a remedy: finding one tries values, whose own faults need none.
    advises: bool,
}

impl Reader<'_> {
    /// Checks a section and all below it; what is right goes to `given`, what is wrong to `faults`.
    fn section(&self, prefix: &str, table: &DeTable<'_>, given: &mut Vec<Given>, faults: &mut Vec<Fault>) {
        for (name, value) in table {
            let path = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{name}", name = name.get_ref())
            };
            let checked = match (find(&path), value.get_ref()) {
                (Some(Key { kind: Kind::Columns, .. }), DeValue::Table(columns)) => {
                    for (column, settings) in columns {
                        match self.column(column.get_ref(), settings) {
                            Ok(settings) => given.extend(settings.into_iter().map(|(setting, value)| {
                                let column = column.get_ref().to_string();
                                (vec!["data".to_owned(), "columns".to_owned(), column, setting], value)
                            })),
                            Err(fault) => faults.push(fault),
                        }
                    }
                    continue;
                }
                // Weights are laid one by one over those of a file, or over the name of a rule.
                (Some(key), DeValue::Table(weights)) if matches!(key.kind, Kind::ClassWeights(_)) => {
                    for (class, weight) in weights {
                        let within = format!("`{path}`, class `{}`: ", class.get_ref());
                        let spot = Spot { name: within + "its weight", is_item: true, ..Spot::of(key, "") };
                        match self.value(&NOT_NEGATIVE, &spot, weight) {
                            Ok(weight) => {
                                let segments = path.split('.').chain([class.get_ref().as_ref()]);
                                given.push((segments.map(str::to_owned).collect(), weight));
                            }
                            Err(fault) => faults.push(fault),
                        }
                    }
                    continue;
                }
                (Some(key), _) => self.value(&key.kind, &Spot::of(key, ""), value),
                (None, DeValue::Table(inner)) if sections().contains(&path.as_str()) => {
                    self.section(&path, inner, given, faults);
                    continue;
                }
                (None, found) if sections().contains(&path.as_str()) => Err(Fault {
                    at: value.span().start,
                    what: format!("`{path}` is a section, not a key; got {}", describe(found)),
                    remedy: section_remedy(&path),
                }),
                (None, found) => Err(unknown(&path, found.is_table(), name.span().start)),
            };
            match checked {
                Ok(value) => given.push((path.split('.').map(str::to_owned).collect(), value)),
                Err(fault) => faults.push(fault),
            }
        }
    }

    fn column(&self, column: &str, settings: &Spanned<DeValue<'_>>) -> Checked<Table> {
        let within = format!("`data.columns`, column `{column}`: ");
        let DeValue::Table(table) = settings.get_ref() else {
            return Err(Fault {
                at: settings.span().start,
                what: format!("{within}expected a table, got {}", describe(settings.get_ref())),
                remedy: format!("data.columns.{}.kind = \"number\"", key_segment(column)),
            });
        };
        let mut checked = Table::new();
        for (name, value) in table {
            let Some(key) = COLUMN_KEYS.iter().find(|key| key.path == name.get_ref()) else {
                return Err(unknown_within(&within, name, COLUMN_KEYS.iter().map(|key| key.path)));
            };
            checked.insert(key.path.to_owned(), self.value(&key.kind, &Spot::of(key, &within), value)?);
        }
        Ok(checked)
    }

    /// Checks one value and brings it into its kind's one shape.
    fn value(&self, kind: &Kind, spot: &Spot, value: &Spanned<DeValue<'_>>) -> Checked<Value> {
        let wrong = || self.wrong(kind, spot, value);
        match (kind, value.get_ref()) {
            (Kind::Bool, DeValue::Boolean(b)) => Ok(Value::Boolean(*b)),
            (Kind::Int { min, max }, DeValue::Integer(_)) => {
                integer(value).filter(|i| (min..=max).contains(&i)).map(Value::Integer).ok_or_else(wrong)
            }
            (Kind::Float { low, high }, DeValue::Integer(_) | DeValue::Float(_)) => float(value)
                .filter(|x| Kind::holds_float(*low, *high, *x))
                .map(Value::Float)
                .ok_or_else(wrong),
            (Kind::Text, DeValue::String(text)) => Ok(Value::String(text.to_string())),
            (Kind::Path, DeValue::String(text)) => self.path(spot, text, value.span().start),
            (Kind::Choice(names) | Kind::ClassWeights(names), DeValue::String(text))
                if names.contains(&text.as_ref()) =>
            {
                Ok(Value::String(text.to_string()))
            }
            (Kind::PathList, DeValue::Array(items)) => self.list(&Kind::Path, spot, items.iter()),
            (Kind::ChoiceList(names), DeValue::Array(items)) => {
                self.list(&Kind::Choice(names), spot, items.iter())
            }
            (Kind::TextList, DeValue::Array(items)) => self.list(&Kind::Text, spot, items.iter()),
            (Kind::IntList { min, max }, DeValue::Array(items)) => {
                self.list(&Kind::Int { min: *min, max: *max }, spot, items.iter())
            }
            (Kind::Initializer(kinds), DeValue::String(name)) => {
                let within = format!("{}: ", spot.name);
                self.tagged("name", spot.key, kinds, &within, name, &DeTable::new(), value.span().start)
            }
            (Kind::Initializer(kinds), DeValue::Table(table)) => {
                let within = format!("{}: ", spot.name);
                let name = tag("name", kinds, &within, table, value.span().start)?;
                self.tagged("name", "name", kinds, &within, name.get_ref(), table, name.span().start)
            }
            (Kind::Layers, DeValue::Array(layers)) => {
                let layers = layers.iter().enumerate().map(|(i, layer)| self.layer(spot, i + 1, layer));
                layers.collect::<Checked<_>>().map(Value::Array)
            }
            (Kind::Steps(kinds), DeValue::Array(steps)) => {
                let steps = steps.iter().enumerate().map(|(i, step)| self.step(kinds, spot, i + 1, step));
                steps.collect::<Checked<_>>().map(Value::Array)
            }
            // The columns themselves are checked one by one; here only their default passes.
            (Kind::Columns, DeValue::Table(table)) if table.is_empty() => Ok(Value::Table(Table::new())),
            _ => Err(wrong()),
        }
    }

    fn list<'v, 'i: 'v>(
        &self,
        kind: &Kind,
        spot: &Spot,
        items: impl Iterator<Item = &'v Spanned<DeValue<'i>>>,
    ) -> Checked<Value> {
        let items = items.enumerate().map(|(i, item)| {
            let name = format!("{}, item {}", spot.name, i + 1);
            self.value(kind, &Spot { name, key: spot.key, default: spot.default, is_item: true }, item)
        });
        items.collect::<Checked<_>>().map(Value::Array)
    }

    fn layer(&self, spot: &Spot, number: usize, layer: &Spanned<DeValue<'_>>) -> Checked<Value> {
        let within = format!("{}, layer {number}: ", spot.name);
        let DeValue::Table(table) = layer.get_ref() else {
            return Err(Fault {
                at: layer.span().start,
                what: format!("{within}expected a table, got {}", describe(layer.get_ref())),
                remedy: "{ type = \"dense\", units = 64 }".into(),
            });
        };
        let kind = tag("type", LAYER_KEYS, &within, table, layer.span().start)?;
        // Only a name that stands for a kind helps to tell the layers apart.
        let within = match LAYER_KEYS.iter().find(|known| known.is_called(kind.get_ref())) {
            Some(known) => format!("{}, layer {number} ({}): ", spot.name, known.name),
            None => within,
        };
        self.tagged("type", "type", LAYER_KEYS, &within, kind.get_ref(), table, kind.span().start)
    }

    fn step(
        &self,
        kinds: &'static [Variant],
        spot: &Spot,
        number: usize,
        step: &Spanned<DeValue<'_>>,
    ) -> Checked<Value> {
        let within = format!("{}, step {number}: ", spot.name);
        let at = step.span().start;
        match step.get_ref() {
            DeValue::String(name) => self.tagged("step", "step", kinds, &within, name, &DeTable::new(), at),
            DeValue::Table(table) => {
                let name = tag("step", kinds, &within, table, at)?;
                let within = match kinds.iter().find(|known| known.is_called(name.get_ref())) {
                    Some(known) => format!("{}, step {number} ({}): ", spot.name, known.name),
                    None => within,
                };
                self.tagged("step", "step", kinds, &within, name.get_ref(), table, name.span().start)
            }
            found => Err(Fault {
                at,
                what: format!("{within}expected a step's name or a table, got {}", describe(found)),
                remedy: format!("\"{0}\" or {{ step = \"{0}\" }}", kinds[0].name),
            }),
        }
    }

    /// Checks a table whose `tag` says which of `kinds` it is, and fills in the defaults of that kind.
    ///
    /// `assigned` is the key that holds the kind's name in the text: the tag, unless the name stands for
    /// the whole table.
    fn tagged(
        &self,
        tag: &str,
        assigned: &str,
        kinds: &'static [Variant],
        within: &str,
        name: &str,
        table: &DeTable<'_>,
        at: usize,
    ) -> Checked<Value> {
        let Some(variant) = kinds.iter().find(|kind| kind.is_called(name)) else {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
            let known = kinds.iter().flat_map(|kind| [kind.name, kind.alias]).filter(|name| !name.is_empty());
            return Err(Fault {
                at,
                what: format!(
                    "{within}unknown {tag} {}, expected one of {}",
                    quote_short(name),
                    names.join(", ")
                ),
                remedy: match meant_name(name, known) {
                    Some(near) => format!("{assigned} = \"{near}\""),
                    // A kind of layer that follows from the table.
                    None if name == "embedding" => {
                        "leave it out of the list, and --set embedding.numeric=plr or embedding.categories=embedding"
                            .to_owned()
                    }
                    None => ALL_KEYS.to_owned(),
                },
            });
        };
        let mut checked = Table::new();
        checked.insert(tag.to_owned(), Value::String(variant.name.to_owned()));
        for (key_name, value) in table {
            if key_name.get_ref() == tag {
                continue;
            }
            let Some(key) = variant.keys.iter().find(|key| key.path == key_name.get_ref()) else {
                return Err(unknown_within(within, key_name, variant.keys.iter().map(|key| key.path)));
            };
            checked.insert(key.path.to_owned(), self.value(&key.kind, &Spot::of(key, within), value)?);
        }
        complete(variant, &mut checked).map_err(|key| {
            let example = example(&key.kind);
            Fault {
                at,
                what: format!("{within}`{}` is missing, expected {}", key.path, key.kind.expected()),
                remedy: format!("{{ {tag} = \"{}\", {} = {example} }}", variant.name, key.path),
            }
        })?;
        let given = |key: &&Key| table.iter().any(|(name, _)| name.get_ref() == key.path);
        if let Some(idle) = variant.keys.iter().filter(given).find_map(|key| idle(key, &checked)) {
            return Err(Fault { at, what: format!("{within}{}", idle.what), remedy: idle.remedy });
        }
        if let (Some(low), Some(high)) = (number(&checked, "low"), number(&checked, "high"))
            && low >= high
        {
            let default = |name| variant.keys.iter().find(|key| key.path == name).and_then(|key| key.default);
            let [a, b] = ["low", "high"].map(|name| default(name).unwrap_or_default());
            return Err(Fault {
                at,
                what: format!("{within}`low` = {low} is not below `high` = {high}"),
                remedy: format!("{{ {tag} = \"{}\", low = {a}, high = {b} }}", variant.name),
            });
        }
        Ok(Value::Table(checked))
    }

    /// A path, relative to the file that names it.
    fn path(&self, spot: &Spot, text: &str, at: usize) -> Checked<Value> {
        let folder = match self.origin {
            Origin::File(file) => file.parent(),
            Origin::Text | Origin::Set(_) => None,
        };
        let resolved = match folder {
            // A dash is standard input, whatever the folder.
            Some(folder) if !text.is_empty() && text != "-" => seen_from(folder, text),
            _ => text.into(),
        };
        resolved.into_os_string().into_string().map(Value::String).map_err(|path| Fault {
            at,
            what: format!("{}: the path {} is not valid Unicode", spot.name, path.display()),
            remedy: "rename the folder of the configuration file".into(),
        })
    }

    /// A value of the wrong type, or out of range.
    fn wrong(&self, kind: &Kind, spot: &Spot, value: &Spanned<DeValue<'_>>) -> Fault {
        let found = value.get_ref();
        let worse = match kind {
            Kind::Int { .. } if found.is_integer() => "out of range: ",
            Kind::Float { .. } if found.is_integer() || found.is_float() => "out of range: ",
            _ => "",
        };
        let is_range = found.as_table().is_some_and(|table| {
            table.keys().any(|key| ["choices", "low", "high"].contains(&key.get_ref().as_ref()))
        });
        let searched = if is_range { " (ranges are for `statera tune`)" } else { "" };
        Fault {
            at: value.span().start,
            what: format!(
                "{}: {worse}expected {}, got {}{searched}",
                spot.name,
                kind.expected(),
                describe(found)
            ),
            remedy: if self.advises { self.assignment(kind, spot, found) } else { String::new() },
        }
    }

    /// An assignment that works: what was probably meant, or else the default.
    fn assignment(&self, kind: &Kind, spot: &Spot, found: &DeValue<'_>) -> String {
        // For an item, the assignment has to show a whole list, and only the default is one.
        let meant = if spot.is_item { None } else { meant(kind, found) };
        let literal = meant.or_else(|| spot.default.map(tidy)).unwrap_or_else(|| example(kind));
        match self.origin {
            Origin::Set(_) if find(spot.key).is_some() => {
                // Quotes are left off where the shell would take them off anyway.
                let bare = literal.trim_matches('"');
                let plain = bare.chars().all(|c| c.is_ascii_alphanumeric() || "_.+-".contains(c));
                if plain {
                    format!("--set {}={bare}", spot.key)
                } else {
                    format!("--set '{}={literal}'", spot.key)
                }
            }
            _ => format!("{} = {literal}", spot.key),
        }
    }

    fn syntax_error(&self, text: &str, error: &toml::de::Error) -> Error {
        let message = error.message().replace('\n', ", ");
        let place = match (error.span(), self.origin) {
            (Some(span), Origin::File(_) | Origin::Text) => {
                let (line, column) = line_column(text, span.start);
                format!("{}line {line}, column {column}: ", self.label())
            }
            _ => self.label(),
        };
        Error::setting(
            format!("{place}not valid TOML: {message}"),
            "write settings as `name = value` under their `[section]`, and texts in double quotes",
        )
    }

    fn position(&self, text: &str, at: usize) -> String {
        match self.origin {
            Origin::Set(_) => self.label(),
            Origin::File(_) | Origin::Text => {
                format!("{}line {}: ", self.label(), line_column(text, at).0)
            }
        }
    }

    fn label(&self) -> String {
        match self.origin {
            Origin::File(path) => format!("{}, ", path.display()),
            Origin::Text => String::new(),
            Origin::Set(set) => format!("--set {set}: "),
        }
    }
}

/// The text that says which of `kinds` a table is.
fn tag<'t>(
    tag: &str,
    kinds: &[Variant],
    within: &str,
    table: &'t DeTable<'_>,
    at: usize,
) -> Checked<Spanned<&'t str>> {
    let example = format!("{tag} = \"{}\"", kinds[0].name);
    let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    let expected = format!("expected one of {}", names.join(", "));
    let Some((_, value)) = table.iter().find(|(name, _)| name.get_ref() == tag) else {
        return Err(Fault { at, what: format!("{within}`{tag}` is missing, {expected}"), remedy: example });
    };
    match value.get_ref() {
        DeValue::String(text) => Ok(Spanned::new(value.span(), text.as_ref())),
        found => Err(Fault {
            at: value.span().start,
            what: format!("{within}`{tag}`: {expected}, got {}", describe(found)),
            remedy: example,
        }),
    }
}

/// A literal of the right kind made from what was found, if there is one.
pub(super) fn meant(kind: &Kind, found: &DeValue<'_>) -> Option<String> {
    let raw = match found {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(i) => i.to_string(),
        DeValue::Float(x) => match x.as_str().parse::<f64>() {
            Ok(x) if x.fract() == 0.0 && x.abs() < 1e15 && matches!(kind, Kind::Int { .. }) => {
                format!("{x:.0}")
            }
            _ => x.to_string(),
        },
        DeValue::Boolean(b) => b.to_string(),
        _ => return None,
    };
    if let Kind::Choice(names) | Kind::ClassWeights(names) = kind {
        return meant_name(&raw, names.iter().copied()).map(quote);
    }
    let candidates = [raw.clone(), quote(&raw), format!("[{raw}]"), format!("[{}]", quote(&raw))];
    candidates.into_iter().find(|literal| value_of(kind, literal).is_some())
}

fn integer(value: &Spanned<DeValue<'_>>) -> Option<i64> {
    let i = value.get_ref().as_integer()?;
    i64::from_str_radix(i.as_str(), i.radix()).ok()
}

fn float(value: &Spanned<DeValue<'_>>) -> Option<f64> {
    match value.get_ref() {
        DeValue::Float(x) => x.as_str().parse().ok(),
        _ => integer(value).map(|i| i as f64),
    }
}

fn number(table: &Table, name: &str) -> Option<f64> {
    table.get(name).and_then(Value::as_float)
}

/// A path as seen from a folder: `../data` from `recipes` is `data`. Where the folder is a link, `..` leads elsewhere and stays.
fn seen_from(folder: &Path, text: &str) -> PathBuf {
    let (mut folder, mut rest) = (folder, Path::new(text));
    while let (Ok(further), Some(Component::Normal(_)), Some(above)) =
        (rest.strip_prefix(".."), folder.components().next_back(), folder.parent())
    {
        if !folder.symlink_metadata().is_ok_and(|there| there.is_dir()) {
            break;
        }
        (folder, rest) = (above, further);
    }
    folder.join(rest)
}
