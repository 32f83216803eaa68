//! Ranges as they stand in a text of settings: found, checked against the setting's type, and taken out of it.

mod advice;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Parameter;
use super::check::{Origin, canonical, key_path, value_of};
use super::data::COLUMN_KEYS;
use super::documents::documents;
use super::domain::{Domain, literal_of};
use super::fault::{describe, dotted, example, key_segment, line_column, quote, quoted_key};
use super::keys::{Key, Kind, find};
use crate::error::{Error, Result};
pub(super) use advice::unreadable_range;
use advice::{Parts, choices, in_place_of, is_single, meant_value, number, of_choices};

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
            let segment = key_segment(name.get_ref());
            let path = if prefix.is_empty() { segment } else { format!("{prefix}.{segment}") };
            match (find(&path).or_else(|| column_key(&path)), value.get_ref()) {
                (Some(key), DeValue::Table(inner)) if is_range(&key.kind, inner) => {
                    let at = name.span().start;
                    let line = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
                    let place = self.place(at);
                    if opens_within(&self.text[line..at]) {
                        return Err(Error::setting(
                            format!("{place}`{path}`: a range stands on a line of its own"),
                            format!("{path} = {{ … }} on a line of its own"),
                        ));
                    }
                    let parameter = self.parameter(&place, &path, key, inner)?;
                    self.parameters.push(parameter);
                    self.spans.push((line, value.span().end));
                }
                (Some(key), DeValue::Array(_)) if no_range(&path).is_none() => {
                    self.list(&self.place(name.span().start), &path, key, value)?;
                }
                (Some(Key { kind: Kind::Columns, .. }) | None, DeValue::Table(inner)) => {
                    self.section(&path, inner)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Refuses a list of values to choose from that does not stand in `choices`, and ranges within a list.
    fn list(&self, place: &str, path: &str, key: &Key, list: &Spanned<DeValue<'_>>) -> Result<()> {
        let items = list.get_ref().as_array().map_or(&[][..], |items| &items[..]);
        if let Some((whole, range)) = range_within(list) {
            // The list with either end of the range, or with either of its first choices.
            let Parts { low, high, choices, .. } = Parts::within(range, self.text);
            let ends = match &choices[..] {
                [first, second, ..] => Some([first.clone(), second.clone()]),
                _ => low.zip(high).map(|(low, high)| [low.1, high.1]),
            };
            let with = |end: String| {
                let (list, whole) = (list.span(), whole.span());
                format!("{}{end}{}", &self.text[list.start..whole.start], &self.text[whole.end..list.end])
            };
            let fits = |literal: &String| value_of(&key.kind, literal).is_some();
            let lists: Vec<String> =
                ends.into_iter().flatten().map(with).filter(fits).map(|l| canonical(&key.kind, &l)).collect();
            return self.refuse(
                place,
                path,
                "a range stands for the whole value, not for a part of a list",
                &if lists.len() == 2 { of_choices(path, key, &lists) } else { in_place_of(path, key) },
            );
        }
        if items.is_empty() || value_of(&key.kind, &self.text[list.span()]).is_some() {
            return Ok(());
        }
        let single = is_single(&key.kind);
        let is_one = |item: &Spanned<DeValue<'_>>| {
            value_of(&key.kind, &self.text[item.span()]).is_some()
                || single && meant_value(&key.kind, item.get_ref()).is_some()
        };
        if !items.iter().all(is_one) {
            return Ok(());
        }
        self.refuse(
            place,
            path,
            &format!(
                "expected {}, got a list: values to choose from stand in `choices`",
                key.kind.expected()
            ),
            &of_choices(path, key, &choices(&key.kind, list)),
        )
    }

    /// The error that says what is wrong, and what to type.
    fn refuse<T>(&self, place: &str, path: &str, what: &str, remedy: &str) -> Result<T> {
        let remedy = match self.origin {
            // As it is typed, where quotes can stand around it.
            Origin::Set(_) if remedy.starts_with(&format!("{path} = ")) && !remedy.contains(['\'', '`']) => {
                format!("--set '{remedy}'").replacen(" = ", "=", 1)
            }
            _ => remedy.to_owned(),
        };
        Err(Error::setting(format!("{place}`{path}`: {what}"), remedy))
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
        // Texts in one kind of quotes.
        value.get_ref().as_str().map_or(text, quote)
    }

    fn parameter(&self, place: &str, path: &str, key: &Key, range: &DeTable<'_>) -> Result<Parameter> {
        let fail = |what: String, remedy: String| self.refuse(place, path, &what, &remedy);
        if let Some(why) = no_range(path) {
            return fail(why.to_owned(), instead_of_range(path, key));
        }
        let better = || Parts::of(key, range, self.text).range(path, key);
        for name in range.keys() {
            if !RANGE_KEYS.contains(&name.get_ref().as_ref()) {
                let what = format!("a range has no `{}`, expected {}", name.get_ref(), RANGE_KEYS.join(", "));
                return fail(what, better());
            }
        }
        let get = |name: &str| range.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value);
        let domain = match get("choices") {
            Some(choices) => {
                let DeValue::Array(items) = choices.get_ref() else {
                    let what = format!("`choices` is {}, expected a list", describe(choices.get_ref()));
                    return fail(what, in_place_of(path, key));
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
                    if value_of(&key.kind, &literal).is_none() {
                        let what = format!("choice {literal}: expected {}", key.kind.expected());
                        return fail(what, of_choices(path, key, &advice::choices(&key.kind, choices)));
                    }
                    // Values in one way of writing, so that 1 and 1.0 are one choice.
                    let literal = canonical(&key.kind, &literal);
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
                    return fail(what, in_place_of(path, key));
                }
                Domain::Choices(values)
            }
            None => self.numbers(place, path, key, range)?,
        };
        let only_if = get("if").map(|value| self.condition(place, path, value)).transpose()?;
        let place = if matches!(self.origin, Origin::Text) { String::new() } else { place.to_owned() };
        Ok(Parameter { key: path.to_owned(), domain, only_if, place })
    }

    /// The setting that an `if` names, and the values of it that it asks for.
    fn condition(
        &self,
        place: &str,
        path: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(String, Vec<String>)> {
        let conditions = value.get_ref().as_table().filter(|conditions| conditions.len() == 1);
        let Some((other, wanted)) = conditions.and_then(|conditions| conditions.iter().next()) else {
            let found = match value.get_ref() {
                DeValue::Table(conditions) => format!("a table of {} keys", conditions.len()),
                found => describe(found),
            };
            let what = format!("`if` is {found}, expected one other key and its value");
            return self.refuse(place, path, &what, "if = { \"optimizer.name\" = \"sgd\" }");
        };
        // However its name is quoted, as it is written elsewhere.
        let other = key_path(other.get_ref()).map_or_else(|| other.get_ref().to_string(), |p| dotted(&p));
        let known = find(&other).or_else(|| column_key(&other));
        let literal = |value| {
            let literal = self.literal(value);
            known.map_or_else(|| literal.clone(), |known| canonical(&known.kind, &literal))
        };
        let is_value = known.is_some_and(|known| value_of(&known.kind, &self.literal(wanted)).is_some());
        let values: Vec<String> = match wanted.get_ref() {
            // Where the other setting is a list, a list is its value.
            DeValue::Array(items) if !is_value => items.iter().map(literal).collect(),
            _ => vec![literal(wanted)],
        };
        if values.is_empty() {
            let value = known.map_or_else(|| "\"value\"".to_owned(), |known| example(&known.kind));
            return self.refuse(
                place,
                path,
                &format!("its `if` asks for no value of `{other}`, so that it is searched in no trial"),
                &format!("if = {{ {} = {value} }}, or leave the `if` out", quoted_key(&other)),
            );
        }
        Ok((other, values))
    }

    fn numbers(&self, place: &str, path: &str, key: &Key, range: &DeTable<'_>) -> Result<Domain> {
        let fail = |what: String, remedy: String| self.refuse(place, path, &what, &remedy);
        let get = |name: &str| range.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value);
        let better = || Parts::of(key, range, self.text).range(path, key);
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
                return fail(format!("`{name}` is missing"), better());
            };
            let literal = self.literal(value);
            let Some(number) = number(&key.kind, &literal) else {
                let what = format!("`{name}` = {literal}: expected {}", key.kind.expected());
                return fail(what, better());
            };
            *end = number;
        }
        let flag = get("log").map(Spanned::get_ref);
        let log = match flag {
            None | Some(DeValue::Boolean(false)) => false,
            Some(DeValue::Boolean(true)) => true,
            Some(other) => {
                return fail(format!("`log` is {}, expected true or false", describe(other)), better());
            }
        };
        let [low, high] = ends;
        if low == high {
            let value = literal_of(low, integer);
            return fail(
                format!("`low` and `high` are both {value}: there is nothing to search"),
                format!("{path} = {value}"),
            );
        }
        if low > high {
            let [low, high] = [low, high].map(|x| literal_of(x, integer));
            return fail(format!("`low` = {low} is above `high` = {high}"), better());
        }
        if log && low <= 0.0 {
            let what = format!("`log` needs a `low` above 0, got {}", literal_of(low, integer));
            return fail(what, better() + ", or leave `log` out");
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

/// Whether a table or list is open at the end of a line's beginning; what stands in quotes opens none.
fn opens_within(begin: &str) -> bool {
    let mut quote = None;
    let mut chars = begin.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('"'), '\\') => {
                chars.next();
            }
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '{' | '[') => return true,
            _ => {}
        }
    }
    false
}

/// The first range in a list, however deep: the table with its place, and its parts.
fn range_within<'v, 'i>(
    value: &'v Spanned<DeValue<'i>>,
) -> Option<(&'v Spanned<DeValue<'i>>, &'v DeTable<'i>)> {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().find_map(range_within),
        DeValue::Table(table) => {
            let has = |names: [&str; 3]| table.keys().any(|name| names.contains(&name.get_ref().as_ref()));
            // A table that says what it is may have settings of these names.
            if has(["choices", "low", "high"]) && !has(["type", "step", "name"]) {
                return Some((value, table));
            }
            table.iter().find_map(|(_, value)| range_within(value))
        }
        _ => None,
    }
}

/// The literal of this kind that was probably meant by another one.
pub(super) fn meant_literal(kind: &Kind, literal: &str) -> Option<String> {
    meant_value(kind, DeValue::parse(literal).ok()?.get_ref())
}

/// What to do about a setting that carries no range.
fn instead_of_range(path: &str, key: &Key) -> String {
    match (path, key.default) {
        ("seed", _) => {
            "seed = 0, and `--confirm 5`, which trains the best settings with other seeds".to_owned()
        }
        ("train.max_seconds", _) => {
            "train.epochs = { choices = [50, 100] }, and `--max-seconds 60` for the study".to_owned()
        }
        ("data.target", _) => "--target COLUMN".to_owned(),
        ("data.path", _) => "one table behind `statera tune`".to_owned(),
        (_, Some(default)) if !matches!(default, "''" | "[]") => format!("{path} = {default}"),
        _ => format!("leave `{path}` out, or give it one value"),
    }
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
                "from 1 to 1000000\n  try: train.epochs = { low = 8, high = 16 }",
            ),
            ("train.batch_size = { low = 0, high = 16 }", "try: train.batch_size = { low = 4, high = 16 }"),
            (
                "train.batch_size = { low = 8 }",
                "`high` is missing\n  try: train.batch_size = { low = 8, high = 64 }",
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

    /// A range or list that is refused, and what is to be typed.
    const REPAIRED: &[[&str; 2]] = &[
        [
            "optimizer.learning_rate = { low = 1e-1, high = 1e-4, log = true }",
            "optimizer.learning_rate = { low = 1e-4, high = 1e-1, log = true }",
        ],
        [
            "optimizer.learning_rate = { min = 1e-4, max = 1e-1 }",
            "optimizer.learning_rate = { low = 1e-4, high = 1e-1 }",
        ],
        ["optimizer.learning_rate = { low = 1e-4 }", "optimizer.learning_rate = { low = 1e-4, high = 0.1 }"],
        [
            "optimizer.learning_rate = { high = 0.1, log = true }",
            "optimizer.learning_rate = { low = 0.0001, high = 0.1, log = true }",
        ],
        [
            "optimizer.learning_rate = { low = 1e-4, hihg = 1e-1, stpes = 3 }",
            "optimizer.learning_rate = { low = 1e-4, high = 1e-1, steps = 3 }",
        ],
        [
            "optimizer.learning_rate = { low = 1e-4, high = 0.1, log = 'yes' }",
            "optimizer.learning_rate = { low = 1e-4, high = 0.1, log = true }",
        ],
        [
            "optimizer.weight_decay = { low = 0, high = 0.1, log = true }",
            "optimizer.weight_decay = { low = 0.0001, high = 0.1, log = true }, or leave `log` out",
        ],
        [
            "train.epochs = { low = 9, high = 3, if = { \"optimizer.name\" = 'sgd' } }",
            "train.epochs = { low = 3, high = 9, if = { \"optimizer.name\" = 'sgd' } }",
        ],
        ["train.epochs = { values = [3, 9] }", "train.epochs = { choices = [3, 9] }"],
        ["train.batch_size = { choices = ['16', '32'] }", "train.batch_size = { choices = [16, 32] }"],
        ["train.batch_size = { choices = [16.0, 32] }", "train.batch_size = { choices = [16, 32] }"],
        ["train.batch_size = { choices = [[16], [32]] }", "train.batch_size = { choices = [16, 32] }"],
        [
            "optimizer.name = { choices = ['adamm', 'sgd'] }",
            "optimizer.name = { choices = [\"adamw\", \"sgd\"] }",
        ],
        [
            "data.columns.a.scale = { choices = ['robst', 'standard'] }",
            "data.columns.a.scale = { choices = [\"robust\", \"standard\"] }",
        ],
        [
            "prepare.categories = { choices = ['targt', ['one_hot']] }",
            "prepare.categories = { choices = [[\"target\"], [\"one_hot\"]] }",
        ],
        [
            "network.initializer = { choices = ['he_norml', 'lecun_normal'] }",
            "network.initializer = { choices = [\"he_normal\", \"lecun_normal\"] }",
        ],
        ["optimizer.learning_rate = { low = 0.1, high = 0.1 }", "optimizer.learning_rate = 0.1"],
        ["optimizer.learning_rate = [1e-4, 1e-3]", "optimizer.learning_rate = { choices = [1e-4, 1e-3] }"],
        ["optimizer.name = ['sgd', 'adamm']", "optimizer.name = { choices = [\"sgd\", \"adamw\"] }"],
        ["network.hidden = [[16], [64, 32]]", "network.hidden = { choices = [[16], [64, 32]] }"],
        [
            "network.hidden = [{ low = 16, high = 64 }, 32]",
            "network.hidden = { choices = [[16, 32], [64, 32]] }",
        ],
        ["network.hidden = [{ low = 16 }, 32]", "network.hidden = { choices = [[16], [64, 32]] }"],
        [
            "network.layers = [{ type = 'dense', units = { choices = [8, 16] } }]",
            "network.layers = { choices = [[{ type = \"dense\", units = 8 }], [{ type = \"dense\", units = 16 }]] }",
        ],
        ["data.target = { choices = ['a', 'b'] }", "--target COLUMN"],
    ];

    #[test]
    fn advice_keeps_what_was_right() {
        for [text, advice] in REPAIRED {
            let message = refusal(text);
            assert!(message.ends_with(&format!("\n  try: {advice}")), "{message}\n  not {advice}");
            // What is advised works.
            let advice = advice.split(", or ").next().unwrap();
            if advice.starts_with("--") || advice.contains(" if ") {
                continue;
            }
            Space::from_toml_str(advice).unwrap_or_else(|e| panic!("{advice}: {e}"));
        }
        for (text, words) in [
            ("network.hidden = [{ low = 16, high = 64 }, 32]", "a range stands for the whole value"),
            (
                "optimizer.learning_rate = [1e-4, 1e-3]",
                "got a list: values to choose from stand in `choices`",
            ),
            ("network.dropout = { choices = [0, 0.0] }", "choice 0.0 stands there twice"),
            ("network.hidden = { choices = [[8,8], [8, 8]] }", "choice [8, 8] stands there twice"),
            ("train.epochs = { choices = [8, 0x8] }", "choice 8 stands there twice"),
        ] {
            let message = refusal(text);
            assert!(message.contains(words), "{message}\n  lacks {words}");
        }
    }

    #[test]
    fn ranges_that_a_shell_took_apart_are_known() {
        let refused = |set: &str| Space::load(None, &[set.to_owned()]).unwrap_err().to_string();
        for (set, advice) in [
            ("optimizer.learning_rate=low=1e-4", "optimizer.learning_rate={ low = 1e-4, high = 0.1 }"),
            ("optimizer.learning_rate=high=1e-1", "optimizer.learning_rate={ low = 0.025, high = 1e-1 }"),
            ("optimizer.learning_rate={low=1e-4", "optimizer.learning_rate={ low = 1e-4, high = 0.1 }"),
            ("train.batch_size={low", "train.batch_size={ low = 32, high = 64 }"),
            ("train.batch_size={", "train.batch_size={ low = 32, high = 64 }"),
            ("optimizer.name=choices=[sgd", "optimizer.name={ choices = [\"sgd\", \"adam\"] }"),
        ] {
            let message = refused(set);
            assert!(message.contains("without quotes a shell takes it apart"), "{message}");
            assert!(message.ends_with(&format!("\n  try: --set '{advice}'")), "{message}");
            Space::load(None, &[advice.to_owned()]).unwrap();
        }
        let message = refused("network.activation=[relu, tanh]");
        let advice = "network.activation={ choices = [\"relu\", \"tanh\"] }";
        assert!(message.ends_with(&format!("stand in `choices`\n  try: --set '{advice}'")), "{message}");
        let message = refused("optimizer.learning_rate=[1e-4, 1e-3]");
        assert!(
            message.ends_with("\n  try: --set 'optimizer.learning_rate={ choices = [1e-4, 1e-3] }'"),
            "{message}"
        );
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
