//! Settings that carry a range in place of a value: what a study searches.
//!
//! Any setting may be written as `{ choices = [a, b] }` or `{ low = a, high = b }`, the latter with `log = true` and
//! `steps = n`. With `if = { "other.key" = "value" }` it is searched only beside that value; where a setting has an
//! effect beside certain others only, that follows by itself.

use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

use super::check::{Origin, key_path, read, value_of};
use super::data::COLUMN_KEYS;
use super::documents::documents;
use super::domain::{Domain, literal_of, shortened};
use super::fault::{describe, key_segment, line_column, plain, quote};
use super::keys::{Key, Kind, find};
use super::meaning::idle;
use super::{Config, Source};
use crate::error::{Error, Result, nearest};

/// What a range may hold.
const RANGE_KEYS: [&str; 6] = ["choices", "low", "high", "log", "steps", "if"];

/// What a study searches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Space {
    /// The searched settings, in the order of the file.
    pub parameters: Vec<Parameter>,
}

/// A searched setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its dotted path.
    pub key: String,
    /// The values it may take.
    pub domain: Domain,
    /// The setting that must have one of these values, as TOML literals, for this one to be searched.
    pub only_if: Option<(String, Vec<String>)>,
}

impl Space {
    /// Reads a file of settings of which some carry ranges; the settings without ranges are laid over the defaults,
    /// and those of the command line over both.
    ///
    /// Refuses a range that is empty, inverted, or not of its setting's type.
    pub fn load(file: Option<&Path>, sets: &[String]) -> Result<(Self, Config)> {
        let mut space = Self::default();
        let mut sources = Vec::new();
        if let Some(file) = file {
            let text = super::read_file(file)?;
            let (parameters, rest) = taken_out(&text, Origin::File(file))?;
            space.parameters = parameters;
            let given = read(&rest, Origin::File(file))?;
            sources.push(Source { label: format!("{}: ", file.display()), is_file: true, given });
        }
        for set in sets {
            let (parameters, rest) = taken_out(set, Origin::Set(set))?;
            if parameters.is_empty() || !rest.trim().is_empty() {
                sources.push(Source::of_set(set)?);
                // What the command line sets is searched no more.
                let key = set.split('=').next().unwrap_or_default().trim();
                space.parameters.retain(|parameter| parameter.key != key);
                continue;
            }
            for parameter in parameters {
                space.parameters.retain(|before| before.key != parameter.key);
                space.parameters.push(parameter);
            }
        }
        let (config, _) = Config::lay(super::check::defaults(), sources)?;
        space.check_conditions(&config)?;
        Ok((space, config))
    }

    /// Reads a text of ranges alone.
    pub fn from_toml_str(text: &str) -> Result<Self> {
        let (parameters, rest) = taken_out(text, Origin::Text)?;
        read(&rest, Origin::Text)?;
        Ok(Self { parameters })
    }

    /// The ranges as a text that [`Space::from_toml_str`] reads.
    pub fn to_toml(&self) -> String {
        self.parameters.iter().map(|parameter| format!("{}\n", parameter.to_toml())).collect()
    }

    fn check_conditions(&self, config: &Config) -> Result<()> {
        for parameter in &self.parameters {
            let Some((other, values)) = &parameter.only_if else { continue };
            let key = &parameter.key;
            let known = find(other).or_else(|| column_key(other));
            let Some(known) = known else {
                let near = nearest(other, super::keys::KEYS.iter().map(|key| key.path));
                return Err(Error::setting(
                    format!("{key}: its `if` names `{other}`, which is no setting"),
                    near.map_or_else(|| super::fault::ALL_KEYS.to_owned(), |near| format!("`{near}`")),
                ));
            };
            if let Some(value) = values.iter().find(|value| value_of(&known.kind, value).is_none()) {
                return Err(Error::setting(
                    format!(
                        "{key}: its `if` asks for `{other}` = {value}, expected {}",
                        known.kind.expected()
                    ),
                    format!("if = {{ {} = {} }}", quote(other), known.default.unwrap_or("\"value\"")),
                ));
            }
            // A chain of conditions must come to an end.
            let mut at = other;
            let mut length = 0;
            while let Some((next, _)) =
                self.parameters.iter().find(|p| p.key == *at).and_then(|p| p.only_if.as_ref())
            {
                length += 1;
                if length > self.parameters.len() {
                    return Err(Error::setting(
                        format!("{key}: the conditions of this and of `{other}` go round in a circle"),
                        format!("leave the `if` of {key} out"),
                    ));
                }
                at = next;
            }
            let searched = self.parameters.iter().any(|p| p.key == *other);
            if !searched && !values.contains(&config.literal(other).unwrap_or_default()) {
                return Err(Error::setting(
                    format!(
                        "{key} is searched only where `{other}` = {}, but that is {} in every trial",
                        values.join(" or "),
                        config.literal(other).unwrap_or_else(|| "not set".into())
                    ),
                    format!("leave {key} out, or set {other} = {}", values[0]),
                ));
            }
        }
        Ok(())
    }

    /// Of a value for every parameter, in their order, those that are searched beside the others; given that the
    /// settings that are not searched are those of `config`.
    pub fn active(&self, values: &[String], config: &Config) -> Vec<bool> {
        let mut active: Vec<Option<bool>> = vec![None; values.len()];
        for i in 0..values.len() {
            self.settle(i, values, config, &mut active);
        }
        active.into_iter().map(|active| active != Some(false)).collect()
    }

    fn settle(&self, i: usize, values: &[String], config: &Config, active: &mut [Option<bool>]) -> bool {
        if let Some(known) = active[i] {
            return known;
        }
        let holds = match &self.parameters[i].only_if {
            None => true,
            Some((other, wanted)) => match self.parameters.iter().position(|p| p.key == *other) {
                Some(at) => self.settle(at, values, config, active) && wanted.contains(&values[at]),
                None => wanted.contains(&config.literal(other).unwrap_or_default()),
            },
        };
        active[i] = Some(holds);
        holds
    }
}

impl Parameter {
    /// The parameter as a line of a file of settings.
    pub fn to_toml(&self) -> String {
        let mut parts = match &self.domain {
            Domain::Choices(values) => vec![format!("choices = [{}]", values.join(", "))],
            Domain::Range { low, high, log, integer, steps } => {
                let mut parts = vec![
                    format!("low = {}", literal_of(*low, *integer)),
                    format!("high = {}", literal_of(*high, *integer)),
                ];
                parts.extend(log.then(|| "log = true".to_owned()));
                parts.extend(steps.map(|steps| format!("steps = {steps}")));
                parts
            }
        };
        if let Some((other, values)) = &self.only_if {
            parts.push(format!("if = {{ {} = [{}] }}", quote(other), values.join(", ")));
        }
        format!("{} = {{ {} }}", self.key, parts.join(", "))
    }
}

/// A setting of a single column, by its whole path.
fn column_key(path: &str) -> Option<&'static Key> {
    let name = path.strip_prefix("data.columns.")?.rsplit_once('.')?.1;
    COLUMN_KEYS.iter().find(|key| key.path == name)
}

/// The ranges in a text, and the text with spaces in their place, so that what is left keeps its lines.
fn taken_out(text: &str, origin: Origin<'_>) -> Result<(Vec<Parameter>, String)> {
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
        if decides_the_judgement(path) {
            return fail(
                "it decides on which rows, or how, trials are judged, so that trials with different values cannot be \
                 compared"
                    .to_owned(),
                match path {
                    "seed" => "seed = 0, and `--confirm 5`, which trains the best settings with other seeds".to_owned(),
                    _ => format!("{path} = {}", key.default.unwrap_or("…")),
                },
            );
        }
        for name in range.keys() {
            if !RANGE_KEYS.contains(&name.get_ref().as_ref()) {
                let what = format!("a range has no `{}`, expected {}", name.get_ref(), RANGE_KEYS.join(", "));
                return fail(
                    what,
                    nearest(name.get_ref(), RANGE_KEYS).unwrap_or("low = 0.1, high = 0.5").to_owned(),
                );
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
                        return fail(what, format!("leave {literal} out"));
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
                return fail(what, format!("{path} = {{ choices = [{}] }}", key.default.unwrap_or("\"…\"")));
            }
        };
        let mut ends = [0.0; 2];
        for (end, name) in ends.iter_mut().zip(["low", "high"]) {
            let Some(value) = get(name) else {
                return fail(format!("`{name}` is missing"), format!("{path} = {{ low = 1, high = 2 }}"));
            };
            let literal = self.literal(value);
            let Some(number) = value_of(&key.kind, &literal) else {
                let what = format!("`{name}` = {literal}: expected {}", key.kind.expected());
                return fail(what, format!("{name} = {}", key.default.unwrap_or("1")));
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

/// Whether a setting decides which rows trials learn from and are judged on, or how they are judged.
fn decides_the_judgement(path: &str) -> bool {
    let of = |section: &str| path.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
    ["seed", "task", "threads"].contains(&path)
        || of("split")
        || of("evaluate")
        || (of("data") && !of("data.columns"))
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

impl Config {
    /// What stands at a dotted path, as a TOML literal; none where nothing does.
    pub fn literal(&self, path: &str) -> Option<String> {
        let segments = key_path(path)?;
        let mut value = &Value::Table(self.to_table());
        for segment in &segments {
            value = value.get(segment)?;
        }
        Some(plain(value))
    }

    /// Which of these settings, a key and a TOML literal each, have an effect when all of them are laid over this
    /// configuration.
    pub fn effective(&self, sets: &[(String, String)]) -> Result<Vec<bool>> {
        let mut table = self.to_table();
        for (key, literal) in sets {
            for (path, value) in read(&format!("{key} = {literal}"), Origin::Text)? {
                super::check::insert(&mut table, path.iter().map(String::as_str), value);
            }
        }
        Ok(sets.iter().map(|(key, _)| find(key).is_none_or(|key| idle(key, &table).is_none())).collect())
    }
}

#[cfg(test)]
mod tests {
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
    fn values_lie_in_their_range() {
        let found = space(
            "train.batch_size = { low = 8, high = 10 }\noptimizer.learning_rate = { low = 1e-4, high = 1e-1, log = true }\n\
             network.dropout = { low = 0.0, high = 0.4, steps = 5 }\nnetwork.hidden = { choices = [[8], [16, 16]] }\n",
        );
        let [batch, rate, dropout, hidden] = [0, 1, 2, 3].map(|i| &found.parameters[i].domain);
        assert_eq!(batch.values().unwrap(), ["8", "9", "10"]);
        assert_eq!(dropout.values().unwrap(), ["0.0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(hidden.values().unwrap(), ["[8]", "[16, 16]"]);
        assert_eq!(rate.values(), None);
        let thirds: Vec<String> = [0.0, 0.34, 0.67, 0.999].map(|u| batch.literal(u)).into();
        assert_eq!(thirds, ["8", "9", "10", "10"], "ends are as likely as the middle");
        assert_eq!(rate.literal(0.5), "0.00316228");
        assert!((rate.place("0.00316228").unwrap() - 0.5).abs() < 1e-6);
        assert_eq!(rate.place("0.2"), None);
        for domain in [batch, rate, dropout] {
            for u in [0.0, 0.1, 0.5, 0.77, 0.999_999] {
                let value = domain.literal(u);
                assert_eq!(domain.at_place(domain.place(&value).unwrap()), value, "{domain:?} at {u}");
            }
        }
    }

    #[test]
    fn ranges_that_search_nothing_are_refused_with_a_value_that_works() {
        for (text, words) in [
            ("optimizer.learning_rate = { low = 0.1, high = 0.01 }", "`low` = 0.1 is above `high` = 0.01"),
            ("train.epochs = { low = 5, high = 5 }", "there is nothing to search\n  try: train.epochs = 5"),
            ("train.epochs = { low = 1.5, high = 5 }", "`low` = 1.5: expected a whole number"),
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
            ("data.null = { choices = [['a'], ['b']] }", "on which rows, or how, trials are judged"),
        ] {
            let message = refusal(text);
            assert!(message.contains(words) && message.contains("line 1: "), "{message}\n  lacks {words}");
        }
    }

    #[test]
    fn what_is_not_searched_is_checked_as_any_setting() {
        assert!(
            refusal("train.epohcs = 4\n").contains("did you mean")
                || refusal("train.epohcs = 4\n").contains("train.epochs")
        );
    }

    #[test]
    fn conditions_and_settings_without_effect_leave_parameters_out() {
        let (_, config) = Space::load(None, &[]).unwrap();
        let found = space(
            "optimizer.name = { choices = ['sgd', 'adamw'] }\n\
             train.batch_size = { low = 8, high = 64, if = { \"optimizer.name\" = 'sgd' } }\n",
        );
        let active = |name: &str| found.active(&[name.to_owned(), "16".into()], &config);
        assert_eq!(active("\"sgd\""), [true, true]);
        assert_eq!(active("\"adamw\""), [true, false]);
        let sets = |name: &str| {
            [("optimizer.name", name), ("optimizer.momentum", "0.5")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
        };
        assert_eq!(config.effective(&sets("\"sgd\"")).unwrap(), [true, true]);
        assert_eq!(config.effective(&sets("\"adam\"")).unwrap(), [true, false]);
    }
}
