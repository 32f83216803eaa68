//! Which settings the values of a space come to, and how many.

use std::collections::{HashMap, HashSet};

use super::sample::Grid;
use crate::config::{Config, Space};
use crate::error::Result;

/// The searched settings of a trial: key and TOML literal.
pub(super) type Settings = Vec<(String, String)>;

/// What the base has for settings, as far as somebody has asked.
pub(super) type Usual = HashMap<String, Option<String>>;

/// Of so many combinations at most it is counted one by one what they come to.
const COUNTABLE: u64 = 1000;

/// The settings that a value for every parameter comes to: those that have an effect.
pub(super) fn settings(space: &Space, base: &Config, values: &[String]) -> Result<Settings> {
    let active = space.active(values, base);
    let pairs = space.parameters.iter().zip(values).zip(active).filter(|(_, active)| *active);
    let mut settings: Settings =
        pairs.map(|((parameter, value), _)| (parameter.key.clone(), value.clone())).collect();
    // What has no effect beside the others may be what gave one to another.
    loop {
        let before = settings.len();
        let mut effective = base.effective(&settings)?.into_iter();
        settings.retain(|_| effective.next() != Some(false));
        if settings.len() == before {
            return Ok(settings);
        }
    }
}

/// What settings come to beside the base, whatever they were searched among: those that differ from it, their numbers in
/// one way of writing. Two trainings of the same are one. What the base has for a setting is looked up once: `usual`
/// keeps it.
pub(super) fn meant(base: &Config, settings: &Settings, usual: &mut Usual) -> Settings {
    let canonical = |literal: &str| {
        let number = literal.replace('_', "").parse::<f64>();
        number.map_or_else(|_| literal.to_owned(), |x| format!("{x:?}"))
    };
    let mut meant: Settings =
        settings.iter().map(|(key, literal)| (key.clone(), canonical(literal))).collect();
    meant.retain(|(key, literal)| {
        if !usual.contains_key(key) {
            usual.insert(key.clone(), base.literal(key).map(|own| canonical(&own)));
        }
        usual[key].as_ref() != Some(literal)
    });
    meant.sort_unstable();
    meant
}

/// All settings of the space, each once, in the order of a grid; the space has to have an end.
pub(super) fn all_settings(space: &Space, base: &Config) -> Result<Vec<Settings>> {
    let grid = Grid::new(space, base, true)?;
    let (mut all, mut known, mut usual) = (Vec::new(), HashSet::new(), Usual::new());
    for i in 0..grid.len() as u64 {
        let settings = settings(space, base, &grid.get(i))?;
        if known.insert(meant(base, &settings, &mut usual)) {
            all.push(settings);
        }
    }
    Ok(all)
}

/// How many combinations the space has; none where there is no end of them. Those that come to the same are one, unless
/// there are more than a thousand, which are not gone through.
pub fn combinations(space: &Space, base: &Config) -> Option<u64> {
    let n = u64::try_from(Grid::new(space, base, true).ok()?.len()).unwrap_or(u64::MAX);
    let exact = if n <= COUNTABLE { all_settings(space, base).ok() } else { None };
    Some(exact.map_or(n, |all| all.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_effect_beside_the_others_makes_no_further_combination() {
        let of = |space: &str| combinations(&Space::from_toml_str(space).unwrap(), &Config::default());
        let momentum = "optimizer.name = { choices = [\"sgd\", \"adamw\"] }
                        optimizer.momentum = { choices = [0.5, 0.9, 0.99] }
                        train.batch_size = { choices = [16, 32] }";
        assert_eq!(of(momentum), Some(8), "of sgd six, and of adamw two");
        let beyond = format!("{momentum}\ntrain.epochs = {{ low = 1, high = 200 }}");
        assert_eq!(of(&beyond), Some(2400), "not gone through");
        assert_eq!(of("optimizer.learning_rate = { low = 0.1, high = 0.2 }"), None);
    }
}
