//! What to type in the place of a range that is refused: with the numbers and names of the user where they can stay.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::check::{canonical, key_path, meant, value_of};
use super::super::domain::{literal_of, shortened};
use super::super::fault::{dotted, key_segment, meant as meant_name, quote};
use super::super::keys::{Key, Kind, find};
use super::{RANGE_KEYS, column_key};
use crate::error::{Error, Result, nearest};

/// What the parts of a range are called elsewhere.
const ELSEWHERE: [(&str, &str); 14] = [
    ("min", "low"),
    ("minimum", "low"),
    ("lower", "low"),
    ("from", "low"),
    ("start", "low"),
    ("max", "high"),
    ("maximum", "high"),
    ("upper", "high"),
    ("to", "high"),
    ("end", "high"),
    ("stop", "high"),
    ("values", "choices"),
    ("options", "choices"),
    ("num", "steps"),
];

/// What of a range can stay as it was typed.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) low: Option<(f64, String)>,
    pub(super) high: Option<(f64, String)>,
    pub(super) choices: Vec<String>,
    log: bool,
    steps: Option<String>,
    only_if: Option<String>,
}

impl Parts {
    /// The parts of a range in a text, those under the names of other programmes and misspelt ones among them.
    pub(super) fn of(key: &Key, range: &DeTable<'_>, text: &str) -> Self {
        let mut parts = Self::default();
        for (name, value) in range {
            parts.take(key, name.get_ref(), value, &text[value.span()]);
        }
        parts
    }

    /// The parts of a range that stands for a part of a value, of whatever kind.
    pub(super) fn within(range: &DeTable<'_>, text: &str) -> Self {
        let mut parts = Self::default();
        for (name, value) in range {
            let literal = text[value.span()].to_owned();
            match name.get_ref().as_ref() {
                "low" => parts.low = Some((0.0, literal)),
                "high" => parts.high = Some((0.0, literal)),
                "choices" => {
                    let items = value.get_ref().as_array().into_iter().flatten();
                    parts.choices = items.map(|item| text[item.span()].to_owned()).collect();
                }
                _ => {}
            }
        }
        parts
    }

    /// The parts of what is left of a range that a shell has taken apart: `{low=1e-4`.
    fn of_pieces(key: &Key, text: &str) -> Self {
        let mut parts = Self::default();
        for (name, literal) in text.trim_matches(['{', '}', ' ']).split(',').filter_map(|p| p.split_once('='))
        {
            if let Ok(value) = DeValue::parse(literal.trim()) {
                parts.take(key, name.trim(), &value, literal.trim());
            }
        }
        parts
    }

    fn take(&mut self, key: &Key, name: &str, value: &Spanned<DeValue<'_>>, literal: &str) {
        let same = ELSEWHERE.iter().find(|(other, _)| *other == name).map(|(_, own)| *own);
        let end = || {
            let literal = match value_of(&key.kind, literal) {
                Some(_) => literal.to_owned(),
                None => meant(&key.kind, value.get_ref())?,
            };
            Some((number(&key.kind, &literal)?, literal))
        };
        match same.or_else(|| nearest(name, RANGE_KEYS)) {
            Some("low") => self.low = end(),
            Some("high") => self.high = end(),
            Some("choices") => self.choices = choices(&key.kind, value),
            Some("log") => self.log = value.get_ref().as_bool() != Some(false),
            Some("steps") => {
                self.steps =
                    literal.parse().is_ok_and(|n| (2..=10_000).contains(&n)).then(|| literal.to_owned());
            }
            Some("if") if value.get_ref().is_table() => self.only_if = Some(literal.to_owned()),
            _ => {}
        }
    }

    /// A range that works, with what of this one can stay.
    pub(super) fn range(self, path: &str, key: &Key) -> String {
        let Self { low, high, choices, log, steps, only_if } = self;
        if low.is_none() && high.is_none() && !choices.is_empty() {
            return of_choices(path, key, &choices);
        }
        let positive = |end: &(f64, String)| !log || end.0 > 0.0;
        let (mut low, mut high) = (low.filter(positive), high.filter(positive));
        if matches!((&low, &high), (Some(low), Some(high)) if low.0 > high.0) {
            std::mem::swap(&mut low, &mut high);
        }
        let fits = |x: f64| literal_in(&key.kind, x);
        let (low, high) = match (low, high) {
            (Some(low), Some(high)) if low.0 < high.0 => (low.1, high.1),
            (Some(low), Some(_)) => return format!("{path} = {}", low.1),
            (Some((x, low)), None) => {
                let high = match key.kind {
                    Kind::Int { .. } => [8.0, 4.0, 2.0].map(|times| x * times).to_vec(),
                    _ if log || x < 0.01 => [1e3, 100.0, 10.0, 2.0].map(|times| x * times).to_vec(),
                    _ => [4.0, 2.0].map(|times| x * times).to_vec(),
                };
                let example = ends(key).and_then(|(_, high)| number(&key.kind, &high));
                let beyond = high.into_iter().chain(example).chain([x + 1.0]);
                let Some(high) = beyond.filter(|high| *high > x).find_map(fits) else {
                    return in_place_of(path, key);
                };
                (low, high)
            }
            (None, Some((x, high))) => {
                let shares = if log { [1e-3, 0.01, 0.1, 0.5] } else { [0.25, 0.5, 0.1, 0.0] };
                let Some(low) =
                    shares.into_iter().map(|share| x * share).filter(|low| *low < x).find_map(fits)
                else {
                    return in_place_of(path, key);
                };
                (low, high)
            }
            (None, None) => match ends(key) {
                Some(ends) => ends,
                None => return in_place_of(path, key),
            },
        };
        let mut range = format!("low = {low}, high = {high}");
        if log && number(&key.kind, &low).is_some_and(|low| low > 0.0) {
            range += ", log = true";
        }
        for (name, part) in [("steps", steps), ("if", only_if)] {
            range += &part.map_or_else(String::new, |part| format!(", {name} = {part}"));
        }
        format!("{path} = {{ {range} }}")
    }
}

/// The number of a literal of this kind.
pub(super) fn number(kind: &Kind, literal: &str) -> Option<f64> {
    let value = value_of(kind, literal)?;
    value.as_float().or(value.as_integer().map(|i| i as f64))
}

/// A number as a literal of this kind, where it is in its range.
fn literal_in(kind: &Kind, x: f64) -> Option<String> {
    let integer = matches!(kind, Kind::Int { .. });
    let literal = literal_of(if integer { x.round() } else { shortened(x) }, integer);
    value_of(kind, &literal).map(|_| literal)
}

/// Ends that a range of numbers could have.
fn ends(key: &Key) -> Option<(String, String)> {
    match key.kind {
        Kind::Int { min, max } => {
            let at = key.default.and_then(|default| default.parse().ok()).unwrap_or(min).clamp(min, max);
            let high = at.saturating_mul(2).clamp(min.saturating_add(1), max);
            Some((if at < high { at } else { min }.to_string(), high.to_string()))
        }
        Kind::Float { .. } => {
            let at =
                key.default.and_then(|default| default.parse().ok()).filter(|at| *at > 0.0).unwrap_or(0.1);
            let high = if literal_in(&key.kind, 2.0 * at).is_some() { shortened(2.0 * at) } else { at };
            Some((literal_of(shortened(high / 4.0), false), literal_of(high, false)))
        }
        _ => None,
    }
}

/// A range that a setting could have.
pub(super) fn in_place_of(path: &str, key: &Key) -> String {
    if let Some((low, high)) = ends(key) {
        return format!("{path} = {{ low = {low}, high = {high} }}");
    }
    match key.kind {
        Kind::Choice(names) => {
            let names: Vec<String> = names.iter().take(2).map(|name| quote(name)).collect();
            format!("{path} = {{ choices = [{}] }}", names.join(", "))
        }
        Kind::Bool => format!("{path} = {{ choices = [true, false] }}"),
        Kind::IntList { .. } => format!("{path} = {{ choices = [[16], [64, 32]] }}"),
        _ => format!("{path} = {{ choices = [{}] }}", key.default.unwrap_or("…")),
    }
}

/// A list of choices as a range; where but one is left, it is the value.
pub(super) fn of_choices(path: &str, key: &Key, choices: &[String]) -> String {
    match choices {
        [] => in_place_of(path, key),
        [one] => format!("{path} = {one}"),
        _ => format!("{path} = {{ choices = [{}] }}", choices.join(", ")),
    }
}

/// The items of a list as values of this kind, or what was probably meant by them, each once.
pub(super) fn choices(kind: &Kind, list: &Spanned<DeValue<'_>>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for item in list.get_ref().as_array().into_iter().flatten() {
        let Some(value) = meant_value(kind, item.get_ref()) else { continue };
        if all.iter().all(|known| canonical(kind, known) != canonical(kind, &value)) {
            all.push(value);
        }
    }
    all
}

/// The literal of this kind that a value is, or that was probably meant by it.
pub(super) fn meant_value(kind: &Kind, found: &DeValue<'_>) -> Option<String> {
    let literal = literal(found);
    if value_of(kind, &literal).is_some() {
        return Some(literal);
    }
    let names: Vec<&str> = match kind {
        Kind::Initializer(kinds) | Kind::Steps(kinds) => kinds.iter().map(|kind| kind.name).collect(),
        Kind::ChoiceList(names) => names.to_vec(),
        _ => Vec::new(),
    };
    let name = |item: &DeValue<'_>| meant_name(item.as_str()?, names.iter().copied()).map(quote);
    let found = match found {
        // A list of one where a single value is expected, and a list of names of which some are misspelt.
        DeValue::Array(items) => match &items[..] {
            [one] if is_single(kind) => return meant_value(kind, one.get_ref()),
            items => {
                let items: Option<Vec<String>> = items.iter().map(|item| name(item.get_ref())).collect();
                items.map(|items| format!("[{}]", items.join(", ")))
            }
        },
        DeValue::String(_) if matches!(kind, Kind::Initializer(_)) => name(found),
        DeValue::String(_) if !names.is_empty() => name(found).map(|name| format!("[{name}]")),
        found => meant(kind, found),
    };
    found.filter(|literal| value_of(kind, literal).is_some())
}

/// Whether a value of this kind is no list.
pub(super) fn is_single(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::PathList
            | Kind::ChoiceList(_)
            | Kind::TextList
            | Kind::IntList { .. }
            | Kind::Layers
            | Kind::Steps(_)
            | Kind::Columns
    )
}

/// A value of a text as a literal.
fn literal(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quote(text),
        // Numbers as they were typed; other bases and signs as TOML knows them.
        DeValue::Integer(i) => match i.radix() {
            16 => format!("0x{}", i.as_str()),
            8 => format!("0o{}", i.as_str()),
            2 => format!("0b{}", i.as_str()),
            _ => i.as_str().to_owned(),
        },
        DeValue::Float(x) => x.as_str().to_owned(),
        DeValue::Boolean(b) => b.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| literal(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(table) => {
            let entry = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| -> String {
                let name: &std::borrow::Cow<'_, str> = name.get_ref();
                format!("{} = {}", key_segment(name), literal(value.get_ref()))
            };
            let entries: Vec<String> = table.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// What an assignment assigns.
pub(super) fn assigned<'t>(path: &str, assignment: &'t str) -> &'t str {
    assignment.strip_prefix(path).and_then(|rest| rest.strip_prefix(" = ")).unwrap_or(assignment)
}

/// Refuses what is meant as a range behind `--set`, but is no TOML: as a value it would be taken for a text.
pub(in crate::config) fn unreadable_range(set: &str) -> Result<()> {
    let Some((typed, value)) = set.split_once('=') else { return Ok(()) };
    let (typed, value) = (typed.trim(), value.trim());
    let Err(error) = DeValue::parse(value) else { return Ok(()) };
    let path = key_path(typed).map(|path| dotted(&path)).unwrap_or_default();
    let Some(key) = find(&path).or_else(|| column_key(&path)) else { return Ok(()) };
    let refuse = |why: &str, range: &str| {
        let range = assigned(&path, range);
        Err(Error::setting(
            format!("--set {set}: the range cannot be read: {why}"),
            format!("--set '{typed}={range}'"),
        ))
    };
    let has_end = value.starts_with('{') && value.ends_with('}');
    let opened = value.trim_start_matches(['{', ' ']);
    let begins = RANGE_KEYS.iter().any(|name| {
        let rest = opened.strip_prefix(name).map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with('=') || rest.is_empty() && value.starts_with('{'))
    });
    if !has_end && (begins || value == "{") {
        let range = Parts::of_pieces(key, value).range(&path, key);
        return refuse("without quotes a shell takes it apart, and only a part of it came", &range);
    }
    let texts = |inside: &str| -> Vec<String> {
        let one = |word: &str| if DeValue::parse(word).is_ok() { word.to_owned() } else { quote(word) };
        inside.split(',').map(str::trim).map(one).collect()
    };
    // A list of names without quotes in the place of a range.
    let list = value.strip_prefix('[').and_then(|value| value.strip_suffix(']'));
    if let Some(items) = list.filter(|_| is_single(&key.kind)).map(texts)
        && items.iter().all(|item| value_of(&key.kind, item).is_some())
    {
        return refuse("values to choose from stand in `choices`", &of_choices(&path, key, &items));
    }
    if !value.starts_with('{') || !["choices", "low", "high"].iter().any(|name| value.contains(name)) {
        return Ok(());
    }
    // Names without quotes, which a shell takes away.
    let quoted = value.split_once('[').zip(value.rsplit_once(']')).map(|((before, _), (_, after))| {
        let items = texts(&value[before.len() + 1..value.len() - after.len() - 1]);
        format!("{before}[{}]{after}", items.join(", "))
    });
    if let Some(range) = quoted.filter(|range| DeValue::parse(range).is_ok()) {
        return refuse("texts stand in quotes", &range);
    }
    let range = Parts::of_pieces(key, value).range(&path, key);
    refuse(&error.message().trim().replace('\n', "; "), &range)
}
