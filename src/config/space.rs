//! Settings that carry a range in place of a value: what a study searches.
//!
//! Any setting may be written as `{ choices = [a, b] }` or `{ low = a, high = b }`, the latter with `log = true` and
//! `steps = n`. With `if = { "other.key" = "value" }` it is searched only beside that value; where a setting has an
//! effect beside certain others only, that follows by itself.

use std::path::Path;

use toml::Value;

use super::check::{Origin, key_path, read, value_of};
use super::domain::{Domain, literal_of};
use super::fault::{plain, quote};
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
            space.fixed.extend(given.iter().map(|(path, _)| path.join(".")));
            sources.push(Source { label: format!("{}: ", file.display()), is_file: true, given });
        }
        for set in sets {
            let (parameters, rest) = taken_out(set, Origin::Set(set))?;
            if parameters.is_empty() || !rest.trim().is_empty() {
                unreadable_range(set)?;
                sources.push(Source::of_set(set)?);
                // What the command line sets is searched no more.
                let key = set.split('=').next().unwrap_or_default().trim();
                space.parameters.retain(|parameter| parameter.key != key);
                space.fixed.push(key.to_owned());
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

    /// How many combinations of values there are, where they can be counted; conditions leave some of them out.
    pub fn combinations(&self) -> Option<u64> {
        self.parameters
            .iter()
            .try_fold(1_u64, |n, p| p.domain.values().map(|values| n.saturating_mul(values.len() as u64)))
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
        // Every parameter at both ends of its range, or at each choice, by itself.
        let mut tables = vec![base.clone()];
        for parameter in &self.parameters {
            let values = match &parameter.domain {
                Domain::Choices(values) => values.clone(),
                range @ Domain::Range { .. } => vec![range.literal(0.0), range.literal(1.0 - f64::EPSILON)],
            };
            for value in values {
                let Ok(given) = read(&format!("{} = {value}", parameter.key), Origin::Text) else { continue };
                let mut table = base.clone();
                for (path, value) in given {
                    super::check::insert(&mut table, path.iter().map(String::as_str), value);
                }
                tables.push(table);
            }
        }
        let never = |when: &&'static When| !tables.iter().any(|table| when.holds(table));
        let why = |p: &Parameter| find(&p.key).and_then(|key| key.when.iter().find(never));
        self.parameters.iter().filter_map(|p| Some((p.key.as_str(), why(p)?))).collect()
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
        let beside = config.literal(decides).unwrap_or_default();
        Err(Error::setting(
            format!("{key} has an effect where {}, but `{decides}` is {beside} in every trial", when.words()),
            format!("leave {key} out, or set or search {decides}"),
        ))
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
