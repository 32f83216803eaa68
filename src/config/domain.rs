//! The values that a searched setting may take, and how they are drawn, counted up and written.

use std::cmp::Ordering;

use toml::Value;

use super::fault::plain;
use crate::error::nearest;

/// Digits that are kept of a number drawn from a range, so that a setting can be read and typed.
const DIGITS: usize = 6;

/// The values that a searched setting may take.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// These, as TOML literals.
    Choices(Vec<String>),
    /// The numbers from `low` to `high`, both among them.
    Range {
        /// The least.
        low: f64,
        /// The greatest.
        high: f64,
        /// Whether equal ratios, not equal differences, are equally likely.
        log: bool,
        /// Whether the numbers are whole.
        integer: bool,
        /// How many evenly spaced values there are; none for all.
        steps: Option<usize>,
    },
}

impl Domain {
    /// The values, where they can be counted up: choices, steps, and whole numbers without a logarithm.
    pub fn values(&self) -> Option<Vec<String>> {
        match self {
            Self::Choices(values) => Some(values.clone()),
            Self::Range { steps: Some(n), .. } => {
                let mut values: Vec<String> =
                    (0..*n).map(|i| self.literal_at(i as f64 / (n - 1) as f64)).collect();
                // Neighbouring steps of whole numbers may round to one.
                values.dedup();
                Some(values)
            }
            Self::Range { low, high, log: false, integer: true, .. } if high - low < 1e4 => {
                Some((*low as i64..=*high as i64).map(|i| i.to_string()).collect())
            }
            Self::Range { .. } => None,
        }
    }

    /// The value at `u`, from 0 to below 1: equal parts of that interval are equally likely values.
    pub fn literal(&self, u: f64) -> String {
        match self {
            Self::Choices(values) => {
                values[((u * values.len() as f64) as usize).min(values.len() - 1)].clone()
            }
            Self::Range { steps: Some(n), .. } => {
                let step = ((u * *n as f64) as usize).min(n - 1);
                self.literal_at(step as f64 / (n - 1) as f64)
            }
            Self::Range { low, high, log, integer: true, .. } => {
                // Half a step beyond either end, so that the ends are as likely as the others.
                let x = between([low - 0.5, high + 0.5].map(|x| if *log { x.max(0.5) } else { x }), *log, u);
                literal_of(x.round().clamp(*low, *high), true)
            }
            Self::Range { .. } => self.literal_at(u),
        }
    }

    /// The number a share `t` of the way from low to high.
    fn literal_at(&self, t: f64) -> String {
        match self {
            Self::Choices(_) => self.literal(t),
            Self::Range { low, high, log, integer, .. } => {
                let x = between([*low, *high], *log, t);
                let x = if *integer { x.round() } else { shortened(x) };
                literal_of(x.clamp(*low, *high), *integer)
            }
        }
    }

    /// Whether a trial may have this value, in the way of writing of the setting's type; of numbers without steps between
    /// whole ones none has.
    pub(super) fn holds(&self, literal: &str) -> bool {
        match self {
            Self::Range { low, high, integer: true, steps: None, .. } => {
                literal.parse::<f64>().is_ok_and(|x| (*low..=*high).contains(&x))
            }
            _ => self.values().is_some_and(|values| values.iter().any(|value| value == literal)),
        }
    }

    /// The value that is nearest to another one, or else the first; none of numbers without steps.
    pub(super) fn first_near(&self, literal: &str) -> Option<String> {
        if let Self::Range { low, high, integer: true, .. } = self
            && let (Ok(x), None) = (literal.parse::<f64>(), self.values())
        {
            return Some(literal_of(x.clamp(*low, *high), true));
        }
        let values = self.values()?;
        let distance =
            |value: &String| Some((value.parse::<f64>().ok()? - literal.parse::<f64>().ok()?).abs());
        let nearest_number = values
            .iter()
            .filter(|v| distance(v).is_some())
            .min_by(|a, b| distance(a).partial_cmp(&distance(b)).unwrap_or(Ordering::Equal));
        let found = nearest_number.cloned();
        found
            .or_else(|| nearest(literal, values.iter().map(String::as_str)).map(str::to_owned))
            .or_else(|| values.into_iter().next())
    }

    /// Where a value lies between low (0) and high (1), on the scale that is searched; the place of a choice.
    ///
    /// None where it is no value of this domain.
    pub fn place(&self, literal: &str) -> Option<f64> {
        match self {
            Self::Choices(values) => values.iter().position(|value| value == literal).map(|at| at as f64),
            Self::Range { low, high, log, .. } => {
                let x: f64 = literal.parse().ok()?;
                let scale = |x: f64| if *log { x.ln() } else { x };
                let place = (scale(x) - scale(*low)) / (scale(*high) - scale(*low));
                (-1e-9..=1.0 + 1e-9).contains(&place).then(|| place.clamp(0.0, 1.0))
            }
        }
    }

    /// The value nearest to a place between low (0) and high (1).
    pub fn at_place(&self, place: f64) -> String {
        match self {
            Self::Choices(values) => values[(place as usize).min(values.len() - 1)].clone(),
            Self::Range { steps: Some(n), .. } => {
                let step = (place.clamp(0.0, 1.0) * (n - 1) as f64).round();
                self.literal_at(step / (n - 1) as f64)
            }
            Self::Range { .. } => self.literal_at(place.clamp(0.0, 1.0)),
        }
    }

    /// The domain in words: `0.0001 to 0.1 (log)`, `sgd, adam`.
    pub fn words(&self) -> String {
        match self {
            Self::Choices(values) => {
                values.iter().map(|v| v.trim_matches('"')).collect::<Vec<_>>().join(", ")
            }
            Self::Range { low, high, log, integer, steps } => {
                let [low, high] = [low, high].map(|x| literal_of(*x, *integer));
                let mut words = format!("{low} to {high}");
                if *log {
                    words += " (log)";
                }
                if let Some(steps) = steps {
                    words += &format!(" in {steps} steps");
                }
                words
            }
        }
    }
}

fn between([low, high]: [f64; 2], log: bool, t: f64) -> f64 {
    if log { (low.ln() + t * (high.ln() - low.ln())).exp() } else { low + t * (high - low) }
}

pub(super) fn shortened(x: f64) -> f64 {
    format!("{x:.*e}", DIGITS - 1).parse().unwrap_or(x)
}

pub(super) fn literal_of(x: f64, integer: bool) -> String {
    if integer { format!("{x:.0}") } else { plain(&Value::Float(x)) }
}
