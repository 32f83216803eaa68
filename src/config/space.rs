//! Settings that carry a range in place of a value: what a study searches.
//!
//! Any setting may be written as `{ choices = [a, b] }` or `{ low = a, high = b }`, the latter with `log = true` and
//! `steps = n`. With `if = { "other.key" = "value" }` it is searched only beside that value; where a setting has an
//! effect beside certain others only, that follows by itself.

use std::path::Path;

use toml::Value;

use super::check::{Origin, key_path, read, value_of};
use super::domain::{Domain, literal_of};
use super::fault::{dotted, plain, quoted_key};
use super::keys::{Key, find};
use super::meaning::When;
use super::ranges::{column_key, taken_out, unreadable_range};
use super::{Config, Source};
use crate::error::{Error, Result, nearest};

/// What a study searches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Space {
    /// The searched settings, in the order of the file.
    pub parameters: Vec<Parameter>,
    /// The settings that were given a value of their own, which no other space is to take from them.
    pub fixed: Vec<String>,
}

/// A searched setting.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its dotted path.
    pub key: String,
    /// The values it may take.
    pub domain: Domain,
    /// The setting that must have one of these values, as TOML literals, for this one to be searched.
    pub only_if: Option<(String, Vec<String>)>,
    /// Where its range stands, as the beginning of a message; empty in a text without a name.
    pub(super) place: String,
}

/// Two are equal that are searched alike, wherever they stand.
impl PartialEq for Parameter {
    fn eq(&self, other: &Self) -> bool {
        (&self.key, &self.domain, &self.only_if) == (&other.key, &other.domain, &other.only_if)
    }
}

impl Space {
    /// Reads a file of settings of which some carry ranges; the settings without ranges are laid over the defaults,
    /// and those of the command line over both.
    ///
    /// Refuses a range that is empty, inverted, or not of its setting's type.
    pub fn load(file: Option<&Path>, sets: &[String]) -> Result<(Self, Config)> {
        Self::load_over(None, file, sets)
    }

    /// The same laid over the settings of the file `base`, which carries no ranges, in place of the defaults.
    pub fn load_over(base: Option<&Path>, file: Option<&Path>, sets: &[String]) -> Result<(Self, Config)> {
        let mut space = Self::default();
        let mut sources = Vec::new();
        if let Some(base) = base {
            let given = read(&super::read_file(base)?, Origin::File(base))?;
            sources.push(Source { label: format!("{}: ", base.display()), is_file: true, given });
        }
        if let Some(file) = file {
            let text = super::read_file(file)?;
            let (parameters, rest) = taken_out(&text, Origin::File(file))?;
            space.parameters = parameters;
            let given = read(&rest, Origin::File(file))?;
            space.fixed.extend(given.iter().map(|(path, _)| dotted(path)));
            sources.push(Source { label: format!("{}: ", file.display()), is_file: true, given });
        }
        for set in sets {
            let (parameters, rest) = taken_out(set, Origin::Set(set))?;
            if parameters.is_empty() || !rest.trim().is_empty() {
                unreadable_range(set)?;
                let source = Source::of_set(set)?;
                // What the command line sets is searched no more.
                for key in source.given.iter().map(|(path, _)| dotted(path)) {
                    space.parameters.retain(|parameter| parameter.key != key);
                    space.fixed.push(key);
                }
                sources.push(source);
                continue;
            }
            for parameter in parameters {
                space.parameters.retain(|before| before.key != parameter.key);
                space.parameters.push(parameter);
            }
        }
        let (config, _) = Config::lay(super::check::defaults(), sources)?;
        space.check(&config)?;
        Ok((space, config))
    }

    /// Reads a text of ranges alone.
    pub fn from_toml_str(text: &str) -> Result<Self> {
        let (parameters, rest) = taken_out(text, Origin::Text)?;
        read(&rest, Origin::Text)?;
        Ok(Self { parameters, fixed: Vec::new() })
    }

    /// This space with the ranges of another laid over it, and without the settings to which the other gives a value.
    pub fn with(mut self, other: Self) -> Self {
        self.parameters.retain(|own| !other.fixed.contains(&own.key));
        for parameter in other.parameters {
            match self.parameters.iter_mut().find(|own| own.key == parameter.key) {
                Some(own) => *own = parameter,
                None => self.parameters.push(parameter),
            }
        }
        self.fixed.extend(other.fixed);
        self
    }

    /// The columns of which single settings are searched.
    pub fn columns(&self) -> Vec<String> {
        let of_column = |p: &Parameter| match &key_path(&p.key)?[..] {
            [data, columns, name, ..] if data == "data" && columns == "columns" => Some(name.clone()),
            _ => None,
        };
        self.parameters.iter().filter_map(of_column).collect()
    }

    /// The parameters that have no effect in any trial, the other settings being those of `config`, and why.
    pub fn idle(&self, config: &Config) -> Vec<(&str, &'static When)> {
        let base = config.to_table();
        let with = |key: &str, value: &str| {
            let mut table = base.clone();
            for (path, value) in read(&format!("{key} = {value}"), Origin::Text).unwrap_or_default() {
                super::check::insert(&mut table, path.iter().map(String::as_str), value);
            }
            table
        };
        // Every parameter at both ends of its range, or at each choice, by itself.
        let mut tables = vec![base.clone()];
        for parameter in &self.parameters {
            let values = match &parameter.domain {
                Domain::Choices(values) => values.clone(),
                range @ Domain::Range { .. } => vec![range.literal(0.0), range.literal(1.0 - f64::EPSILON)],
            };
            tables.extend(values.iter().map(|value| with(&parameter.key, value)));
        }
        let never = |p: &Parameter, when: &When| match self.asked(p, when.path()) {
            // Of what its conditions fix, that alone.
            Some(values) => !values.iter().any(|value| when.holds(&with(when.path(), value))),
            None => !tables.iter().any(|table| when.holds(table)),
        };
        let why = |p: &Parameter| find(&p.key).and_then(|key| key.when.iter().find(|when| never(p, when)));
        self.parameters.iter().filter_map(|p| Some((p.key.as_str(), why(p)?))).collect()
    }

    /// The values of the setting `path` beside which a parameter is searched, if its conditions say.
    fn asked<'a>(&'a self, parameter: &'a Parameter, path: &str) -> Option<&'a [String]> {
        let mut at = Some(parameter);
        // As many steps as there are parameters: a chain may go round.
        for _ in 0..=self.parameters.len() {
            let (other, values) = parameter_condition(at?)?;
            if other == path {
                return Some(values);
            }
            at = self.parameter(other);
        }
        None
    }

    fn parameter(&self, key: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.key == key)
    }

    /// The ranges as a text that [`Space::from_toml_str`] reads.
    pub fn to_toml(&self) -> String {
        self.parameters.iter().map(|parameter| format!("{}\n", parameter.to_toml())).collect()
    }

    /// Refuses conditions that make no sense and ranges without effect in any trial, the other settings being those of
    /// `config`.
    pub fn check(&self, config: &Config) -> Result<()> {
        self.check_conditions(config)?;
        let idle = self.idle(config);
        let Some((key, when)) = idle.first() else { return Ok(()) };
        let decides = when.path();
        let parameter = self.parameter(key);
        let place = parameter.map_or("", |parameter| &parameter.place);
        let asked = parameter.and_then(|parameter| self.asked(parameter, decides));
        let (but, remedy) = if let Some(values) = asked {
            (
                format!("its `if` asks for `{decides}` = {}", values.join(" or ")),
                format!("leave {key} out, or ask for another {decides}"),
            )
        } else {
            let beside = config.literal(decides).unwrap_or_default();
            (
                format!("`{decides}` is {beside} in every trial"),
                format!("leave {key} out, or set or search {decides}"),
            )
        };
        Err(Error::setting(format!("{place}{key} has an effect where {}, but {but}", when.words()), remedy))
    }

    fn check_conditions(&self, config: &Config) -> Result<()> {
        for parameter in &self.parameters {
            let Some((other, values)) = parameter_condition(parameter) else { continue };
            let key = format!("{}{}", parameter.place, parameter.key);
            let Some(known) = known(other) else {
                let near = nearest(other, super::keys::KEYS.iter().map(|key| key.path));
                return Err(Error::setting(
                    format!("{key}: its `if` names `{other}`, which is no setting"),
                    near.map_or_else(|| super::fault::ALL_KEYS.to_owned(), |near| format!("`{near}`")),
                ));
            };
            let asking = |value: &str| format!("if = {{ {} = {value} }}", quoted_key(other));
            if let Some(value) = values.iter().find(|value| value_of(&known.kind, value).is_none()) {
                let meant = super::ranges::meant_literal(&known.kind, value);
                return Err(Error::setting(
                    format!(
                        "{key}: its `if` asks for `{other}` = {value}, expected {}",
                        known.kind.expected()
                    ),
                    asking(&meant.unwrap_or_else(|| super::fault::example(&known.kind))),
                ));
            }
            self.check_chain(parameter, &key, other)?;
            let wanted = values.join(" or ");
            if let Some(searched) = self.parameter(other) {
                if values.iter().any(|value| searched.domain.holds(value)) {
                    continue;
                }
                let domain = &searched.domain;
                let remedy = if let Some(value) = domain.first_near(&values[0]) {
                    asking(&value)
                } else {
                    let mut choices = vec![domain.literal(0.0), values[0].clone(), domain.literal(1.0)];
                    choices.dedup();
                    format!("{other} = {{ choices = [{}] }}, or leave the `if` out", choices.join(", "))
                };
                return Err(Error::setting(
                    format!(
                        "{key} is searched only where `{other}` = {wanted}, which no trial has: `{other}` is searched over {}",
                        searched.domain.words()
                    ),
                    remedy,
                ));
            }
            if !self.holds(other, values, config) {
                return Err(Error::setting(
                    format!(
                        "{key} is searched only where `{other}` = {wanted}, but that is {} in every trial",
                        config.literal(other).unwrap_or_else(|| "not set".into())
                    ),
                    format!("leave {} out, or set {other} = {}", parameter.key, values[0]),
                ));
            }
        }
        Ok(())
    }

    /// Refuses a chain of conditions that comes to no end.
    fn check_chain(&self, parameter: &Parameter, key: &str, other: &str) -> Result<()> {
        let (mut at, mut length) = (other, 0);
        while let Some((next, _)) = self.parameter(at).and_then(parameter_condition) {
            length += 1;
            if length > self.parameters.len() {
                return Err(Error::setting(
                    format!("{key}: the conditions of this and of `{other}` go round in a circle"),
                    format!("leave the `if` of {} out", parameter.key),
                ));
            }
            at = next;
        }
        Ok(())
    }

    /// Whether a setting that is not searched has one of these values, as values of its type.
    pub fn holds(&self, other: &str, values: &[String], config: &Config) -> bool {
        let (Some(known), Some(own)) = (known(other), config.literal(other)) else { return false };
        values.iter().any(|value| value_of(&known.kind, value).is_some_and(|value| plain(&value) == own))
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
                None => self.holds(other, wanted, config),
            },
        };
        active[i] = Some(holds);
        holds
    }
}

/// The setting of this dotted path, or of a single column.
fn known(path: &str) -> Option<&'static Key> {
    find(path).or_else(|| column_key(path))
}

fn parameter_condition(parameter: &Parameter) -> Option<(&str, &[String])> {
    parameter.only_if.as_ref().map(|(other, values)| (other.as_str(), &values[..]))
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
            parts.push(format!("if = {{ {} = [{}] }}", quoted_key(other), values.join(", ")));
        }
        format!("{} = {{ {} }}", self.key, parts.join(", "))
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
        // Whatever its value: one that is the default has as little effect as any other.
        let holds = |key: &Key| key.when.iter().all(|when| when.holds(&table));
        Ok(sets.iter().map(|(key, _)| find(key).is_none_or(holds)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(text: &str) -> Space {
        Space::from_toml_str(text).unwrap()
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
    fn a_range_without_effect_in_any_trial_is_refused() {
        let load = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
            Space::load(None, &sets)
        };
        let momentum = "optimizer.momentum={ low = 0.1, high = 0.9 }";
        let message = load(&[momentum]).unwrap_err().to_string();
        for words in
            ["optimizer.momentum has an effect where optimizer.name is sgd", "is \"adamw\" in every trial"]
        {
            assert!(message.contains(words), "{message}");
        }
        load(&[momentum, "optimizer.name=sgd"]).unwrap();
        load(&[momentum, "optimizer.name={ choices = ['adam', 'sgd'] }"]).unwrap();
        let (space, config) = load(&["network.hidden=[8]"]).unwrap();
        assert_eq!((space.fixed, config.network.hidden), (vec!["network.hidden".to_owned()], vec![8]));
    }

    #[test]
    fn conditions_that_never_hold_are_refused_with_what_can_be() {
        let load = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
            Space::load(None, &sets)
        };
        let batch =
            |condition: &str| format!("train.batch_size={{ low = 8, high = 64, if = {{ {condition} }} }}");
        let acts = "network.activation={ choices = ['relu', 'silu'] }";
        let dropout = "network.dropout={ choices = [0, 0.2] }";
        let chain = "network.dropout={ choices = [0, 0.2], if = { \"network.activation\" = 'tanh' } }";
        for (sets, words) in [
            (
                &[acts][..],
                "\"network.activation\" = 'tanh' | = \"tanh\", which no trial has: `network.activation` is searched over relu, silu\n  try: if = { \"network.activation\" = \"relu\" }",
            ),
            (
                &[dropout],
                "\"network.dropout\" = 0.1 | is searched over 0.0, 0.2\n  try: if = { \"network.dropout\" = 0.0 }",
            ),
            (
                &["network.dropout={ low = 0, high = 0.5 }"],
                "\"network.dropout\" = 0.1 | 0.0 to 0.5\n  try: network.dropout = { choices = [0.0, 0.1, 0.5] }",
            ),
            (
                &["train.epochs={ low = 8, high = 16 }"],
                "\"train.epochs\" = [4, 32] | = 4 or 32, which no trial has: `train.epochs` is searched over 8 to 16\n  try: if = { \"train.epochs\" = 8 }",
            ),
            (
                &["train.epochs={ low = 8, high = 99999, log = true }"],
                "\"train.epochs\" = 4 | try: if = { \"train.epochs\" = 8 }",
            ),
            (
                &["train.epochs={ low = 10, high = 20, steps = 3 }"],
                "\"train.epochs\" = 16 | try: if = { \"train.epochs\" = 15 }",
            ),
            (
                &[acts, chain],
                "\"network.dropout\" = 0.2 | network.dropout is searched only where `network.activation` = \"tanh\"",
            ),
            (&[], "\"optimizer.name\" = 'sgdd' | try: if = { \"optimizer.name\" = \"sgd\" }"),
            (&[], "\"optimizer.name\" = [] | its `if` asks for no value of `optimizer.name`"),
            (
                &["optimizer.name={ choices = ['sgd', 'adam'] }"],
                "\"optimizer.name\" = [] | or leave the `if` out",
            ),
            (&[], "\"optimizer.name\" = 'sgd' | but that is \"adamw\" in every trial"),
        ] {
            let (condition, words) = words.split_once(" | ").unwrap();
            let batch = batch(condition);
            let message = load(&[sets, &[&batch]].concat()).unwrap_err().to_string();
            assert!(message.contains(words), "{message}\n  lacks {words}");
            assert!(message.starts_with("--set "), "{message}");
        }
        let momentum = "optimizer.momentum={ choices = [0.5, 0.9], if = { \"optimizer.name\" = 'adam' } }";
        let message =
            load(&["optimizer.name={ choices = ['sgd', 'adam'] }", momentum]).unwrap_err().to_string();
        assert!(
            message
                .contains("where optimizer.name is sgd, but its `if` asks for `optimizer.name` = \"adam\""),
            "{message}"
        );
        // What holds for one of them is let be.
        for (sets, condition) in [
            (&[acts][..], "\"network.activation\" = ['tanh', 'relu']"),
            (&["train.epochs={ low = 8, high = 99999, log = true }"], "\"train.epochs\" = 77"),
            (&["network.hidden={ choices = [[64,32], [8]] }"], "\"network.hidden\" = [64, 32]"),
            (&["network.hidden=[64,32]"], "\"network.hidden\" = [[64,32], [8]]"),
            (&["network.dropout=0"], "\"network.dropout\" = 0"),
            (&["optimizer.learning_rate=1e-3"], "\"optimizer.learning_rate\" = 0.001"),
        ] {
            load(&[sets, &[&batch(condition)]].concat()).unwrap_or_else(|e| panic!("{condition}: {e}"));
        }
    }

    #[test]
    fn values_are_compared_as_values_of_their_type() {
        let (_, config) = Space::load(None, &[]).unwrap();
        for (key, choices, asked, other) in [
            ("network.dropout", "[0, 0.2]", "0", "0.2"),
            ("network.dropout", "[0.0, 0.2]", "0", "0.2"),
            ("optimizer.learning_rate", "[1e-3, 0.1]", "0.001", "0.1"),
            ("optimizer.name", "['sgd', \"adam\"]", "\"sgd\"", "\"adam\""),
            ("train.epochs", "[1_0, 20]", "0xA", "20"),
            ("network.hidden", "[[8,8], [4]]", "[[8, 8]]", "[4]"),
        ] {
            let found = space(&format!(
                "{key} = {{ choices = {choices} }}\ntrain.batch_size = {{ low = 8, high = 9, if = {{ \"{key}\" = {asked} }} }}\n"
            ));
            found.check(&config).unwrap();
            let Domain::Choices(values) = &found.parameters[0].domain else { panic!("{key}") };
            let active = |value: &str| found.active(&[value.to_owned(), "8".into()], &config);
            assert_eq!(active(&values[0]), [true, true], "{key}: {values:?}");
            assert_eq!(active(other), [true, false], "{key}");
        }
    }

    #[test]
    fn errors_of_conditions_and_effects_name_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("space.toml");
        for range in [
            "dropout = { choices = [0, 0.2], if = { \"optimizer.name\" = 'sgdd' } }",
            "dropout = { choices = [0, 0.2], if = { \"optimizer.nmae\" = 'sgd' } }",
            "dropout = { choices = [0, 0.2], if = { \"optimizer.name\" = 'lion' } }",
            "dropout = { choices = [0, 0.2], if = { \"optimizer.name\" = [] } }",
            "leaky_slope = 1\n[optimizer]\nmomentum = { low = 0.1, high = 0.9 }",
        ] {
            let range = range.replace("leaky_slope = 1\n", "\n");
            std::fs::write(&file, format!("seed = 3\n[network]\n{range}\n")).unwrap();
            let message = Space::load(Some(&file), &[]).unwrap_err().to_string();
            let line = if range.contains("momentum") { 5 } else { 3 };
            assert!(message.starts_with(&format!("{}, line {line}: ", file.display())), "{message}");
        }
    }

    #[test]
    fn a_setting_of_a_column_is_fixed_however_its_name_is_quoted() {
        let sets = [
            "data.columns.\"bmi\".scale={ choices = ['robust', 'standard'] }",
            "data.columns.'bmi'.scale=robust",
        ];
        let (found, _) = Space::load(None, &sets.map(str::to_owned)).unwrap();
        assert!(found.parameters.is_empty(), "{found:?}");
        assert_eq!(found.fixed, ["data.columns.bmi.scale"]);
    }

    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// What is written is read back, whatever columns are called.
        #[test]
        fn ranges_of_odd_columns_are_read_back(names in prop::collection::hash_set("([a-c\\[\\]{}=#.,'\"\\\\ \n\r\té中\u{7f}]|\\PC){0,6}", 1..4)) {
            let mut written = Space::default();
            for name in names {
                let before = written.parameters.last().map(|p: &Parameter| p.key.clone());
                written.parameters.push(Parameter {
                    key: dotted(&["data".to_owned(), "columns".to_owned(), name.clone(), "scale".to_owned()]),
                    domain: Domain::Choices(vec!["\"robust\"".into(), "\"standard\"".into()]),
                    only_if: before.map(|before| (before, vec!["\"robust\"".into()])),
                    place: String::new(),
                });
                prop_assert_eq!(written.columns().pop(), Some(name));
            }
            let text = written.to_toml();
            let read = Space::from_toml_str(&text);
            prop_assert_eq!(read.map_err(|e| format!("{e}\n{text}")), Ok(written));
        }

        /// Nor does it matter which texts are chosen from.
        #[test]
        fn odd_texts_are_read_back(texts in prop::collection::hash_set("[a-c{}=#.,'\"\\\\ \né]{0,5}", 2..4)) {
            let texts = texts.iter().map(|text| super::super::fault::quote(text)).collect();
            let written = Space {
                parameters: vec![Parameter {
                    key: "curriculum.column".to_owned(),
                    domain: Domain::Choices(texts),
                    only_if: None,
                    place: String::new(),
                }],
                fixed: Vec::new(),
            };
            let read = Space::from_toml_str(&written.to_toml());
            prop_assert_eq!(read.map_err(|e| e.to_string()), Ok(written));
        }
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
        // Nor has the default an effect there, nor zero.
        for value in ["0.9", "0.0"] {
            let sets = [("optimizer.name", "\"adam\""), ("optimizer.momentum", value)];
            let sets = sets.map(|(k, v)| (k.to_owned(), v.to_owned()));
            assert_eq!(config.effective(&sets).unwrap(), [true, false], "{value}");
        }
    }
}
