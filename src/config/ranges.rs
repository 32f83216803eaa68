//! Ranges as they stand in a text of settings: found, checked against the setting's type, and taken out of it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Parameter;
use super::check::{Origin, value_of};
use super::data::COLUMN_KEYS;
use super::documents::documents;
use super::domain::{Domain, literal_of, shortened};
use super::fault::{describe, key_segment, line_column, plain, quote};
use super::keys::{Key, Kind, find};
use crate::error::{Error, Result, nearest};

/// What a range may hold.
const RANGE_KEYS: [&str; 6] = ["choices", "low", "high", "log", "steps", "if"];

/// A setting of a single column, by its whole path.
pub(super) fn column_key(path: &str) -> Option<&'static Key> {
    let name = path.strip_prefix("data.columns.")?.rsplit_once('.')?.1;
    COLUMN_KEYS.iter().find(|key| key.path == name)
}

/// The ranges in a text, and the text with spaces in their place, so that what is left keeps its lines.
pub(super) fn taken_out(text: &str, origin: Origin<'_>) -> Result<(Vec<Parameter>, String)> {
    let mut found = Finder { text, origin, parameters: Vec::new(), spans: Vec::new() };
    for document in documents(text) {
        // What is no TOML is told by whoever reads the rest.
        let Ok(table) = DeTable::parse(&document) else { return Ok((Vec::new(), text.to_owned())) };
        found.section("", table.get_ref())?;
    }
    let mut rest = text.as_bytes().to_vec();
    for (start, end) in found.spans {
        rest[start..end]
            .iter_mut()
            .filter(|byte| !matches!(byte, b'\n' | b'\r'))
            .for_each(|byte| *byte = b' ');
    }
    // Spaces take the place of whole characters.
    let rest = String::from_utf8(rest).unwrap_or_default();
    Ok((found.parameters, rest))
}

struct Finder<'t> {
    text: &'t str,
    origin: Origin<'t>,
    parameters: Vec<Parameter>,
    /// Where the assignments of ranges begin and end.
    spans: Vec<(usize, usize)>,
}

impl Finder<'_> {
    fn section(&mut self, prefix: &str, table: &DeTable<'_>) -> Result<()> {
        for (name, value) in table {
            let DeValue::Table(inner) = value.get_ref() else { continue };
            let segment = key_segment(name.get_ref());
            let path = if prefix.is_empty() { segment } else { format!("{prefix}.{segment}") };
            match find(&path).or_else(|| column_key(&path)) {
                Some(key) if is_range(&key.kind, inner) => {
                    let at = name.span().start;
                    let line = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
                    let place = self.place(at);
                    if self.text[line..at].contains(['{', '[']) {
                        return Err(Error::setting(
                            format!("{place}`{path}`: a range stands on a line of its own"),
                            format!("{path} = {{ … }} on a line of its own"),
                        ));
                    }
                    let parameter = self.parameter(&place, &path, key, inner)?;
                    self.parameters.push(parameter);
                    self.spans.push((line, value.span().end));
                }
                Some(Key { kind: Kind::Columns, .. }) | None => self.section(&path, inner)?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn place(&self, at: usize) -> String {
        match self.origin {
            Origin::File(file) => format!("{}, line {}: ", file.display(), line_column(self.text, at).0),
            Origin::Text => format!("line {}: ", line_column(self.text, at).0),
            Origin::Set(set) => format!("--set {set}: "),
        }
    }

    fn literal(&self, value: &Spanned<DeValue<'_>>) -> String {
        let text = self.text[value.span()].trim().to_owned();
        // Literals are compared: texts in one kind of quotes.
        value.get_ref().as_str().map_or(text, quote)
    }

    fn parameter(&self, place: &str, path: &str, key: &Key, range: &DeTable<'_>) -> Result<Parameter> {
        let fail =
            |what: String, remedy: String| Err(Error::setting(format!("{place}`{path}`: {what}"), remedy));
        if let Some(why) = no_range(path) {
            let default = key.default.unwrap_or("…");
            let remedy = match path {
                "seed" => {
                    "seed = 0, and `--confirm 5`, which trains the best settings with other seeds".to_owned()
                }
                "train.max_seconds" => {
                    "train.epochs = { choices = [50, 100] }, and `--max-seconds 60` for the study".to_owned()
                }
                _ => format!("{path} = {default}"),
            };
            return fail(why.to_owned(), remedy);
        }
        for name in range.keys() {
            if !RANGE_KEYS.contains(&name.get_ref().as_ref()) {
                let what = format!("a range has no `{}`, expected {}", name.get_ref(), RANGE_KEYS.join(", "));
                let remedy = nearest(name.get_ref(), RANGE_KEYS).map(str::to_owned);
                return fail(what, remedy.unwrap_or_else(|| in_place_of(path, key)));
            }
        }
        let get = |name: &str| range.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value);
        let domain = match get("choices") {
            Some(choices) => {
                let DeValue::Array(items) = choices.get_ref() else {
                    let what = format!("`choices` is {}, expected a list", describe(choices.get_ref()));
                    return fail(what, format!("{path} = {{ choices = [{}] }}", key.default.unwrap_or("1")));
                };
                if let Some(other) =
                    ["low", "high", "log", "steps"].into_iter().find(|name| get(name).is_some())
                {
                    return fail(
                        format!("`choices` and `{other}` exclude each other"),
                        format!("leave `{other}` out"),
                    );
                }
                let mut values: Vec<String> = Vec::new();
                for item in items {
                    let literal = self.literal(item);
                    let Some(value) = value_of(&key.kind, &literal) else {
                        let what = format!("choice {literal}: expected {}", key.kind.expected());
                        // Numbers and names where each choice is a list of them.
                        let listed = |item| format!("[{}]", self.literal(item));
                        let remedy = if value_of(&key.kind, &listed(item)).is_some() {
                            let is_list = |item: &Spanned<DeValue<'_>>| item.get_ref().is_array();
                            let one = |item| if is_list(item) { self.literal(item) } else { listed(item) };
                            let all: Vec<String> = items.iter().map(one).collect();
                            format!("{path} = {{ choices = [{}] }}", all.join(", "))
                        } else {
                            format!("leave {literal} out")
                        };
                        return fail(what, remedy);
                    };
                    // Numbers in one way of writing, so that 1 and 1.0 are one choice.
                    let literal =
                        if matches!(key.kind, Kind::Float { .. }) { plain(&value) } else { literal };
                    if values.contains(&literal) {
                        return fail(
                            format!("choice {literal} stands there twice"),
                            format!("leave one {literal} out"),
                        );
                    }
                    values.push(literal);
                }
                if values.is_empty() {
                    let what = "`choices` is empty: no trial could take a value".to_owned();
                    return fail(what, format!("{path} = {{ choices = [{}] }}", key.default.unwrap_or("1")));
                }
                Domain::Choices(values)
            }
            None => self.numbers(place, path, key, &get)?,
        };
        let only_if = match get("if").map(|value| (value, value.get_ref())) {
            None => None,
            Some((_, DeValue::Table(conditions))) if conditions.len() == 1 => {
                let (other, value) =
                    conditions.iter().next().map(|(k, v)| (k.get_ref().to_string(), v)).unzip();
                let values = match value.map(Spanned::get_ref) {
                    Some(DeValue::Array(items)) => items.iter().map(|item| self.literal(item)).collect(),
                    _ => value.map(|value| self.literal(value)).into_iter().collect(),
                };
                other.map(|other| (other, values))
            }
            Some((value, _)) => {
                let what =
                    format!("`if` is {}, expected one other key and its value", describe(value.get_ref()));
                return fail(what, "if = { \"optimizer.name\" = \"sgd\" }".to_owned());
            }
        };
        Ok(Parameter { key: path.to_owned(), domain, only_if })
    }

    fn numbers<'v>(
        &self,
        place: &str,
        path: &str,
        key: &Key,
        get: &dyn Fn(&str) -> Option<&'v Spanned<DeValue<'v>>>,
    ) -> Result<Domain> {
        let fail =
            |what: String, remedy: String| Err(Error::setting(format!("{place}`{path}`: {what}"), remedy));
        let integer = match key.kind {
            Kind::Int { .. } => true,
            Kind::Float { .. } => false,
            _ => {
                let what = format!("it takes {}, so it has no low and high", key.kind.expected());
                return fail(what, in_place_of(path, key));
            }
        };
        let mut ends = [0.0; 2];
        for (end, name) in ends.iter_mut().zip(["low", "high"]) {
            let Some(value) = get(name) else {
                return fail(format!("`{name}` is missing"), in_place_of(path, key));
            };
            let literal = self.literal(value);
            let Some(number) = value_of(&key.kind, &literal) else {
                let what = format!("`{name}` = {literal}: expected {}", key.kind.expected());
                // A number in quotes, or beyond what the setting takes.
                let unquoted = literal.trim_matches('"').to_owned();
                let remedy = if value_of(&key.kind, &unquoted).is_some() {
                    format!("{name} = {unquoted}")
                } else {
                    in_place_of(path, key)
                };
                return fail(what, remedy);
            };
            *end = number.as_float().or(number.as_integer().map(|i| i as f64)).unwrap_or_default();
        }
        let flag = get("log").map(Spanned::get_ref);
        let log = match flag {
            None | Some(DeValue::Boolean(false)) => false,
            Some(DeValue::Boolean(true)) => true,
            Some(other) => {
                return fail(
                    format!("`log` is {}, expected true or false", describe(other)),
                    "log = true".into(),
                );
            }
        };
        let [low, high] = ends;
        if low >= high {
            let [low, high] = [low, high].map(|x| literal_of(x, integer));
            let (what, remedy) = if low == high {
                (
                    format!("`low` and `high` are both {low}: there is nothing to search"),
                    format!("{path} = {low}"),
                )
            } else {
                (
                    format!("`low` = {low} is above `high` = {high}"),
                    format!("{path} = {{ low = {high}, high = {low} }}"),
                )
            };
            return fail(what, remedy);
        }
        if log && low <= 0.0 {
            let what = format!("`log` needs a `low` above 0, got {}", literal_of(low, integer));
            return fail(
                what,
                format!("low = {}, or leave `log` out", literal_of(shortened(high / 1000.0), false)),
            );
        }
        let steps = match get("steps") {
            None => None,
            Some(value) => match self.literal(value).parse::<usize>() {
                Ok(n) if (2..=10_000).contains(&n) => Some(n),
                _ => {
                    let what =
                        format!("`steps` = {}, expected a whole number from 2 to 10000", self.literal(value));
                    return fail(what, "steps = 5".to_owned());
                }
            },
        };
        Ok(Domain::Range { low, high, log, integer, steps })
    }
}

/// A range that a setting could have.
fn in_place_of(path: &str, key: &Key) -> String {
    let range = |low: String, high: String| format!("{path} = {{ low = {low}, high = {high} }}");
    match key.kind {
        Kind::Int { min, max } => {
            let at = key.default.and_then(|default| default.parse().ok()).unwrap_or(min).clamp(min, max);
            let high = at.saturating_mul(2).clamp(min.saturating_add(1), max);
            range(if at < high { at } else { min }.to_string(), high.to_string())
        }
        Kind::Float { .. } => {
            let at =
                key.default.and_then(|default| default.parse().ok()).filter(|at| *at > 0.0).unwrap_or(0.1);
            let fits = |x: f64| value_of(&key.kind, &literal_of(x, false)).is_some();
            let high = if fits(shortened(2.0 * at)) { shortened(2.0 * at) } else { at };
            range(literal_of(shortened(high / 4.0), false), literal_of(high, false))
        }
        Kind::Choice(names) => {
            let names: Vec<String> = names.iter().take(2).map(|name| quote(name)).collect();
            format!("{path} = {{ choices = [{}] }}", names.join(", "))
        }
        Kind::Bool => format!("{path} = {{ choices = [true, false] }}"),
        _ => format!("{path} = {{ choices = [{}] }}", key.default.unwrap_or("…")),
    }
}

/// Refuses what is meant as a range behind `--set`, but is no TOML: as a value it would be taken for a text.
pub(super) fn unreadable_range(set: &str) -> Result<()> {
    let Some((key, value)) = set.split_once('=') else { return Ok(()) };
    let value = value.trim();
    let is_meant =
        value.starts_with('{') && ["choices", "low", "high"].iter().any(|name| value.contains(name));
    let Some(error) = DeValue::parse(value).err().filter(|_| is_meant) else { return Ok(()) };
    // Names without quotes, which a shell takes away.
    let quoted = value.split_once('[').zip(value.rsplit_once(']')).map(|((before, _), (_, after))| {
        let inside = value[before.len() + 1..value.len() - after.len() - 1].split(',').map(str::trim);
        let one = |word: &str| if DeValue::parse(word).is_ok() { word.to_owned() } else { quote(word) };
        let items: Vec<String> = inside.map(one).collect();
        format!("{before}[{}]{after}", items.join(", "))
    });
    let (why, range) = match quoted.filter(|range| DeValue::parse(range).is_ok()) {
        Some(range) => ("texts stand in quotes".to_owned(), range),
        None => (error.message().trim().replace('\n', "; "), "{ low = 0.1, high = 0.5 }".to_owned()),
    };
    Err(Error::setting(
        format!("--set {set}: the range cannot be read: {why}"),
        format!("--set '{}={range}'", key.trim()),
    ))
}

/// Why a setting carries no range, if it carries none.
fn no_range(path: &str) -> Option<&'static str> {
    let of = |section: &str| path.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
    if ["seed", "task"].contains(&path)
        || of("split")
        || of("evaluate")
        || (of("data") && !of("data.columns"))
    {
        return Some(
            "it decides on which rows, or how, trials are judged, so that trials with different values cannot be compared",
        );
    }
    match path {
        "train.max_seconds" => Some(
            "how far a trial came would depend on the machine and on what runs beside it, so that no trial could be repeated",
        ),
        "threads"
        | "checkpoint.every_seconds"
        | "checkpoint.resumable"
        | "checkpoint.best"
        | "checkpoint.last" => {
            Some("it changes nothing of what a trial comes to, so that there is nothing to choose by")
        }
        _ => None,
    }
}

/// Whether a table in the place of a value is a range, and not a value that is a table.
fn is_range(kind: &Kind, table: &DeTable<'_>) -> bool {
    let has = |name: &str| table.keys().any(|key| key.get_ref() == name);
    match kind {
        Kind::Columns => false,
        Kind::Initializer(_) => has("choices") && !has("name"),
        // Classes may be called anything.
        Kind::ClassWeights(_) => {
            table.iter().any(|(name, value)| name.get_ref() == "choices" && value.get_ref().is_array())
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Space;
    use super::*;

    fn space(text: &str) -> Space {
        Space::from_toml_str(text).unwrap()
    }

    fn refusal(text: &str) -> String {
        Space::from_toml_str(text).unwrap_err().to_string()
    }

    #[test]
    fn ranges_are_read_beside_plain_settings_and_written_back() {
        let text = "seed = 3\n[optimizer]\nname = { choices = ['sgd', \"adam\"] }\n\
                    learning_rate = { low = 1e-4, high = 0.1, log = true }\n\
                    momentum = { low = 0, high = 0.9, steps = 4, if = { \"optimizer.name\" = 'sgd' } }\n\
                    [train]\nbatch_size = { low = 8, high = 64 }\nepochs = 7\n\
                    [data.columns.\"a b\"]\nscale = { choices = ['standard', 'robust'] }\n";
        let found = space(text);
        let keys: Vec<&str> = found.parameters.iter().map(|p| p.key.as_str()).collect();
        let expected = [
            "optimizer.name",
            "optimizer.learning_rate",
            "optimizer.momentum",
            "train.batch_size",
            "data.columns.\"a b\".scale",
        ];
        assert_eq!(keys, expected);
        assert_eq!(found.parameters[0].domain, Domain::Choices(vec!["\"sgd\"".into(), "\"adam\"".into()]));
        let only_if = Some(("optimizer.name".to_owned(), vec!["\"sgd\"".to_owned()]));
        assert_eq!(found.parameters[2].only_if, only_if);
        assert_eq!(space(&found.to_toml()), found, "{}", found.to_toml());
    }

    #[test]
    fn ranges_that_search_nothing_are_refused_with_a_value_that_works() {
        for (text, words) in [
            ("optimizer.learning_rate = { low = 0.1, high = 0.01 }", "`low` = 0.1 is above `high` = 0.01"),
            ("train.epochs = { low = 5, high = 5 }", "there is nothing to search\n  try: train.epochs = 5"),
            ("train.epochs = { low = 1.5, high = 5 }", "`low` = 1.5: expected a whole number"),
            (
                "train.epochs = { low = '8', high = 16 }",
                "expected a whole number from 1 to 1000000\n  try: low = 8",
            ),
            ("train.batch_size = { low = 0, high = 16 }", "try: train.batch_size = { low = 32, high = 64 }"),
            (
                "train.batch_size = { low = 8 }",
                "`high` is missing\n  try: train.batch_size = { low = 32, high = 64 }",
            ),
            ("network.dropout = { low = 0.1, hgh = 2 }", "a range has no `hgh`, expected choices, low, high"),
            ("train.shuffle = { low = 1, high = 2 }", "try: train.shuffle = { choices = [true, false] }"),
            ("network.hidden = { choices = [64, 128] }", "try: network.hidden = { choices = [[64], [128]] }"),
            ("network.hidden = { choices = [[64], 128] }", "choice 128: expected a list"),
            ("optimizer.name = { low = 1, high = 2 }", "so it has no low and high"),
            ("optimizer.name = { choices = [] }", "`choices` is empty"),
            ("optimizer.name = { choices = ['sgdd'] }", "choice \"sgdd\": expected one of"),
            ("optimizer.name = { choices = ['sgd', \"sgd\"] }", "stands there twice"),
            ("network.dropout = { low = 0.0, high = 0.1, log = true }", "needs a `low` above 0"),
            ("optimizer.learning_rate = { low = 0.1, hihg = 0.2 }", "a range has no `hihg`"),
            ("optimizer.learning_rate = { low = -1.0, high = 0.2 }", "`low` = -1.0: expected a number"),
            ("train.epochs = { low = 5, high = 9, steps = 1 }", "`steps` = 1, expected"),
            ("seed = { low = 1, high = 9 }", "so that trials with different values cannot be compared"),
            ("split.val = { low = 0.1, high = 0.3 }", "compared\n  try: split.val = 0.15"),
            (
                "train.max_seconds = { low = 1.0, high = 9.0 }",
                "no trial could be repeated\n  try: train.epochs = ",
            ),
            ("checkpoint.best = { choices = ['a', 'b'] }", "nothing of what a trial comes to"),
            ("threads = { choices = [1, 2] }", "nothing of what a trial comes to"),
            ("data.null = { choices = [['a'], ['b']] }", "on which rows, or how, trials are judged"),
        ] {
            let message = refusal(text);
            assert!(message.contains(words) && message.contains("line 1: "), "{message}\n  lacks {words}");
        }
    }

    #[test]
    fn texts_without_quotes_are_told_to_want_them() {
        let refused = |set: &str| Space::load(None, &[set.to_owned()]).unwrap_err().to_string();
        let message = refused("network.norm={choices=[none, batch]}");
        assert!(message.contains("the range cannot be read: texts stand in quotes"), "{message}");
        assert!(message.contains("try: --set 'network.norm={choices=[\"none\", \"batch\"]}'"), "{message}");
    }

    #[test]
    fn what_is_not_searched_is_checked_as_any_setting() {
        assert!(
            refusal("train.epohcs = 4\n").contains("did you mean")
                || refusal("train.epohcs = 4\n").contains("train.epochs")
        );
    }
}
