//! When a setting has an effect. One that has none beside the others is refused, or set aside and told, but never
//! silently ignored.

use toml::{Table, Value};

use super::check::default_of;
use super::fault::{example, plain, quote};
use super::keys::{Key, Kind, find};

/// What must hold for a setting to have an effect; the paths are those of settings, within a layer of its own.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// The choice at this path is one of these.
    Is(&'static str, &'static [&'static str]),
    /// The choice at this path is none of these.
    Not(&'static str, &'static [&'static str]),
    /// The choice at the path is one of these, or one of them stands at the setting of this name of a single column or layer.
    IsOr(&'static str, &'static [&'static str], &'static str),
    /// What stands at this path is not false, 0, none or empty.
    On(&'static str),
    /// The same of at least one of these paths.
    AnyOn(&'static [&'static str]),
    /// Nothing stands at this path: it is false, 0, none or empty.
    Off(&'static str),
}

use When::{AnyOn, Is, IsOr, Not, Off, On};

impl When {
    /// The setting that decides, the first of several.
    pub fn path(&self) -> &'static str {
        match *self {
            Is(path, _) | Not(path, _) | IsOr(path, ..) | On(path) | Off(path) => path,
            AnyOn(paths) => paths[0],
        }
    }

    /// Whether it holds for these settings.
    pub(super) fn holds(&self, table: &Table) -> bool {
        let Some(found) = lookup(table, self.path()) else { return true };
        let is_one = |value: &Value, names: &[&str]| value.as_str().is_some_and(|name| names.contains(&name));
        match *self {
            Is(_, names) => is_one(found, names),
            Not(_, names) => !is_one(found, names),
            IsOr(_, names, also) => {
                let inside = |path| {
                    lookup(table, path).is_some_and(|v| any(v, &|key, v| key == also && is_one(v, names)))
                };
                // Steps say by their name what the short form `encode` says.
                let among_steps = |path| {
                    lookup(table, path).is_some_and(|v| any(v, &|key, v| key == "step" && is_one(v, names)))
                };
                is_one(found, names)
                    || inside("data.columns")
                    || inside("network.layers")
                    || among_steps("data.columns")
                    || among_steps("prepare.categories")
            }
            On(_) => !is_off(found),
            AnyOn(paths) => paths.iter().filter_map(|path| lookup(table, path)).any(|found| !is_off(found)),
            Off(_) => is_off(found),
        }
    }

    /// The condition in words, as the end of "Has an effect where ...".
    pub fn words(&self) -> String {
        match *self {
            Is(path, names) => format!("{path} is {}", either(names)),
            Not(path, names) => format!("{path} is not {}", either(names)),
            IsOr(path, names, also) => {
                // What a column is encoded by, or what a layer's weights are.
                let whose = if also == "encode" { "column" } else { "layer" };
                format!("{path}, or the {also} of a {whose}, is {}", either(names))
            }
            On(path) => format!("{path} is neither off nor empty"),
            AnyOn(paths) => format!("{} is not off", either(paths)),
            Off(path) => format!("{path} is not set"),
        }
    }
}

/// A setting without effect: which it is, beside what, and what to do.
pub(super) struct Idle {
    /// The setting that decides.
    pub(super) because: &'static str,
    /// What was given, beside what it has no effect.
    pub(super) what: String,
    /// What would give it one.
    pub(super) remedy: String,
}

/// Whether the setting `key` of `table` has no effect there although it differs from its default.
///
/// What switches off or is none (false, 0, empty) asks for nothing that could be missed, but where another setting
/// takes the place of this one.
pub(super) fn idle(key: &Key, table: &Table) -> Option<Idle> {
    let value = lookup(table, key.path)?;
    if default_of(key).as_ref() == Some(value) {
        return None;
    }
    let missed = |when: &&When| !when.holds(table) && (matches!(when, Off(_)) || !is_off(value));
    let when = key.when.iter().find(missed)?;
    let because = when.path();
    let beside = lookup(table, because).map(plain).unwrap_or_default();
    let what = format!("`{}` = {} has no effect with `{because}` = {beside}", key.path, short(&plain(value)));
    let leave = format!("leave `{}` out", key.path);
    let (what, remedy) = match *when {
        Is(path, names) | IsOr(path, names, _) => (
            format!("{what}: it is a setting of {}", either(names)),
            format!("{leave}, or set {path} = \"{}\"", names[0]),
        ),
        Not(path, _) => (what, format!("{leave}, or set another {path}")),
        On(_) | AnyOn(_) => (what, format!("{leave}, or set {because} = {}", switched_on(because))),
        Off(path) => (format!("{what}, which takes its place"), format!("{leave}, or leave `{path}` out")),
    };
    Some(Idle { because, what, remedy })
}

/// A value of the setting at this path that is not off.
fn switched_on(path: &str) -> String {
    match find(path).map(|key| key.kind) {
        Some(Kind::Choice(names)) => {
            names.iter().find(|name| **name != "none").map_or_else(String::new, |n| quote(n))
        }
        Some(Kind::IntList { .. }) if path == "schedule.cuts" => "[30, 60]".to_owned(),
        Some(Kind::IntList { .. }) => "[64, 64]".to_owned(),
        Some(Kind::Int { .. }) if path == "split.folds" => "5".to_owned(),
        Some(kind) => example(&kind),
        None => "true".to_owned(),
    }
}

/// The value at a dotted path.
pub(super) fn lookup<'t>(table: &'t Table, path: &str) -> Option<&'t Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let value = table.get(first)?;
    if rest.is_empty() { Some(value) } else { lookup(value.as_table()?, rest) }
}

/// Whether `is` holds for an entry of a value's tables, however deep.
fn any(value: &Value, is: &dyn Fn(&str, &Value) -> bool) -> bool {
    match value {
        Value::Table(table) => table.iter().any(|(key, value)| is(key, value) || any(value, is)),
        Value::Array(items) => items.iter().any(|item| any(item, is)),
        _ => false,
    }
}

/// Whether a value says no, none or nothing.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Boolean(b) => !b,
        Value::Integer(i) => *i == 0,
        Value::Float(x) => *x == 0.0,
        Value::String(text) => text.is_empty() || text == "none",
        Value::Array(items) => items.is_empty(),
        Value::Table(table) => table.is_empty() || table.get("name").is_some_and(is_off),
        Value::Datetime(_) => false,
    }
}

/// Names as an enumeration: `a`, `a or b`, `a, b or c`.
fn either(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

/// A value that does not flood the message.
fn short(literal: &str) -> String {
    const LONGEST: usize = 60;
    if literal.chars().count() <= LONGEST {
        return literal.to_owned();
    }
    literal.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::{KEYS, Kind, find};
    use crate::config::layers::LAYER_KEYS;
    use crate::config::{Config, OptimizerName};
    use crate::error::Error;

    fn refused(result: crate::Result<Config>) -> String {
        match result {
            Err(error @ Error::Setting(_)) => error.to_string(),
            other => panic!("expected an error of settings, got {other:?}"),
        }
    }

    /// A condition that names what does not exist would refuse everything.
    #[test]
    fn conditions_name_settings_and_choices_that_exist() {
        for key in KEYS {
            for when in key.when {
                let decides = find(when.path()).unwrap_or_else(|| panic!("{}: {}", key.path, when.path()));
                check_names(key, when, decides);
            }
        }
        for variant in LAYER_KEYS {
            for key in variant.keys {
                for when in key.when {
                    let decides = variant.keys.iter().find(|k| k.path == when.path());
                    check_names(
                        key,
                        when,
                        decides.unwrap_or_else(|| panic!("{}: {}", key.path, when.path())),
                    );
                }
            }
        }
    }

    fn check_names(key: &Key, when: &When, decides: &Key) {
        assert!(key.default.is_some(), "{}: what differs from its default needs one", key.path);
        if let Is(_, names) | Not(_, names) | IsOr(_, names, _) = when {
            let Kind::Choice(known) = decides.kind else { panic!("{} is no choice", decides.path) };
            assert!(
                !names.is_empty() && names.iter().all(|name| known.contains(name)),
                "{}: {names:?}",
                key.path
            );
            assert!(names.len() < known.len(), "{}: it always has an effect", key.path);
        }
    }

    /// Another value than the default, and not one that switches off.
    fn other_value(key: &Key) -> Option<String> {
        let default = default_of(key);
        match key.kind {
            Kind::Bool => (default == Some(Value::Boolean(false))).then(|| "true".into()),
            Kind::Int { max, .. } => Some(7.min(max).to_string()),
            Kind::Float { low, high } => {
                let fits = |x: &f64| Kind::holds_float(low, high, *x) && default != Some(Value::Float(*x));
                [0.4, 1.5].into_iter().find(fits).map(|x| x.to_string())
            }
            Kind::Choice(names) => {
                let other = |name: &&&str| **name != "none" && default != Some(Value::from(**name));
                names.iter().find(other).map(|name| (*name).to_owned())
            }
            Kind::Initializer(_) => Some("ones".into()),
            Kind::Text => Some("part".into()),
            Kind::IntList { .. } => Some("[3]".into()),
            other => panic!("{}: {other:?}", key.path),
        }
    }

    #[test]
    fn every_setting_with_a_condition_is_refused_where_it_does_not_hold_and_taken_where_it_does() {
        let mut n = 0;
        // Dropout goes with every optimiser but lbfgs, and no floor is above the learning rate.
        let base = ["network.dropout=0", "optimizer.learning_rate=0.5"].map(str::to_owned);
        let base = Config::default().with(&base).unwrap();
        for key in KEYS.iter().filter(|key| !key.when.is_empty()) {
            let Some(value) = other_value(key) else { continue };
            let given = format!("{}={value}", key.path);
            // What makes all conditions hold, and what breaks each of them.
            let hold: Vec<String> = key.when.iter().map(met).collect();
            let all = [&hold[..], std::slice::from_ref(&given)].concat();
            base.with(&all).unwrap_or_else(|error| panic!("{all:?}: {error}"));
            for (i, when) in key.when.iter().enumerate() {
                let mut sets = hold.clone();
                sets[i] = broken(when);
                sets.push(given.clone());
                let words = refused(base.with(&sets));
                assert!(words.contains("has no effect with `") && words.contains(when.path()), "{words}");
                // Where conditions hang on each other, another setting may be the first without effect.
                if key.when.len() == 1 {
                    assert!(words.starts_with(&format!("--set {given}: `{}` = ", key.path)), "{words}");
                    assert!(words.contains(&format!("try: leave `{}` out, or ", key.path)), "{words}");
                }
                n += 1;
            }
        }
        assert!(n > 40, "{n}");
    }

    fn met(when: &When) -> String {
        match *when {
            Is(path, names) | IsOr(path, names, _) => format!("{path}={}", names[0]),
            On(path) => {
                let decides = find(path).unwrap();
                match decides.kind {
                    _ if default_of(decides).is_some_and(|value| !is_off(&value)) => {
                        format!("{path}={}", decides.default.unwrap())
                    }
                    Kind::Choice(names) => format!("{path}={}", names[names.len() - 1]),
                    Kind::IntList { .. } => format!("{path}=[2]"),
                    _ => format!("{path}=2"),
                }
            }
            AnyOn(paths) => met(&On(paths[0])),
            Not(path, names) => {
                let Kind::Choice(known) = find(path).unwrap().kind else { panic!("{path} is no choice") };
                format!("{path}={}", known.iter().find(|name| !names.contains(name)).unwrap())
            }
            Off(path) => match find(path).unwrap().kind {
                Kind::Steps(_) | Kind::IntList { .. } => format!("{path}=[]"),
                _ => format!("{path}="),
            },
        }
    }

    fn broken(when: &When) -> String {
        let path = when.path();
        match (when, find(path).unwrap().kind) {
            (Is(_, names) | IsOr(_, names, _), Kind::Choice(known)) => {
                format!("{path}={}", known.iter().find(|name| !names.contains(name)).unwrap())
            }
            (Not(_, names), _) => format!("{path}={}", names[0]),
            (Off(_), Kind::Steps(_)) => format!("{path}=['ordinal']"),
            (Off(_), Kind::IntList { .. }) => format!("{path}=[2]"),
            (Off(_), _) => format!("{path}=part"),
            (_, Kind::Bool) => format!("{path}=false"),
            (_, Kind::Choice(_)) => format!("{path}=none"),
            (_, Kind::IntList { .. }) => format!("{path}=[]"),
            _ => format!("{path}=0"),
        }
    }

    #[test]
    fn what_the_command_line_takes_the_effect_from_is_told_and_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("base.toml");
        std::fs::write(&file, "[optimizer]\nbeta1 = 0.8\n[loss]\nname = 'huber'\ndelta = 2.0\n").unwrap();
        let load = |sets: &[&str]| {
            Config::load_and_tell(Some(&file), &sets.iter().map(|set| (*set).to_owned()).collect::<Vec<_>>())
        };
        assert!(load(&[]).unwrap().1.is_empty());
        let (config, told) = load(&["optimizer.name=sgd", "loss.name=mae"]).unwrap();
        assert_eq!(
            config,
            Config::load(None, &["optimizer.name=sgd".into(), "loss.name=mae".into()]).unwrap()
        );
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[1].ends_with(
                "base.toml: `optimizer.beta1` = 0.8 has no effect with `optimizer.name` = \"sgd\": it \
            is a setting of adam, adamw, amsgrad, nadam, lion, muon or schedule_free_adamw; it is left out"
            ),
            "{told:?}"
        );
        // What is left is read again without a word: a run's own settings are.
        std::fs::write(&file, config.to_toml()).unwrap();
        assert_eq!(load(&[]).unwrap(), (config, Vec::new()));
        // But what the same place contradicts is a slip.
        std::fs::write(&file, "[optimizer]\nname = 'sgd'\nbeta1 = 0.8\n").unwrap();
        assert!(refused(load(&[]).map(|l| l.0)).contains("base.toml: `optimizer.beta1` = 0.8 has no effect"));
        assert!(load(&["optimizer.name=adam"]).unwrap().1.is_empty());
        assert!(
            refused(load(&["optimizer.beta1=0.7"]).map(|l| l.0)).starts_with("--set optimizer.beta1=0.7: ")
        );
    }

    #[test]
    fn what_is_off_or_at_its_default_or_was_there_before_is_let_be() {
        let with = |config: &Config, sets: &[&str]| {
            config.with(&sets.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
        };
        let ours = Config::default();
        with(&ours, &["optimizer.name=sgd", "optimizer.weight_decay=0", "optimizer.beta2=0.999"]).unwrap();
        with(&ours, &["network.hidden=[]", "network.dropout=0", "network.norm=none"]).unwrap();
        // No test rows were asked for, and the column may have some.
        assert!(
            refused(with(&ours, &["split.column=part", "split.test=0"])).contains("which takes its place")
        );
        let decayed = with(&ours, &["optimizer.weight_decay=0.1"]).unwrap();
        let sgd = with(&decayed, &["optimizer.name=sgd"]).unwrap();
        assert_eq!((sgd.optimizer.name, sgd.optimizer.weight_decay), (OptimizerName::Sgd, 0.1));
    }

    #[test]
    fn a_column_of_its_own_gives_settings_of_embeddings_an_effect() {
        let with = |sets: [&str; 2]| Config::default().with(&sets.map(str::to_owned));
        with(["data.columns.x.encode=plr", "embedding.sigma=0.3"]).unwrap();
        assert!(refused(with(["data.columns.x.encode=ple", "embedding.sigma=0.3"])).contains("plr or pbld"));
    }

    #[test]
    fn within_a_layer_too() {
        let layer = |text: &str| Config::from_toml_str(&format!("network.layers = [{{ {text} }}]"));
        layer("type = 'dense', units = 3, activation = 'leaky_relu', slope = 0.2").unwrap();
        layer("type = 'dense', units = 3, activation = 'relu', slope = 0.01").unwrap();
        let words = refused(layer("type = 'dense', units = 3, activation = 'relu', slope = 0.2"));
        assert!(words.contains("layer 1 (dense): `slope` = 0.2 has no effect with `activation` = \"relu\": it is a setting of leaky_relu"), "{words}");
        assert!(words.contains("leave `slope` out, or set activation = \"leaky_relu\""), "{words}");
        let words = refused(layer("type = 'activation', function = 'tanh', slope = 0.2"));
        assert!(words.contains("with `function` = \"tanh\""), "{words}");
        let words = refused(layer("type = 'dense', units = 3, bias = false, bias_initializer = 'ones'"));
        assert!(words.contains("with `bias` = false"), "{words}");
    }
}
