//! What a setting is: its path, type, range, default and meaning.

use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::ops::RangeBounds;

use super::layers::Variant;
use super::meaning::When;
use Kind::{
    Bool, Choice, ChoiceList, ClassWeights, Columns, Float, Initializer, Int, IntList, Layers, Path,
    PathList, Steps, Text, TextList,
};

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The dotted path, as `train.batch_size`; inside a layer or a column, the bare name.
    pub path: &'static str,
    /// The type and range of its value.
    pub kind: Kind,
    /// The default as a TOML literal; none where a value must be given, or where being unset has a
    /// meaning of its own, as for a column.
    pub default: Option<&'static str>,
    /// Meaning and unit, in one sentence.
    pub help: &'static str,
    /// What must hold for it to have an effect; within a layer, of the layer's other settings.
    pub when: &'static [When],
    /// Whether a value has to be given; where one has not and there is no default, being unset says something.
    pub required: bool,
}

impl Key {
    /// The same with an effect only where all of these hold; one that is idle is refused, or set aside and told.
    pub(super) const fn when(self, when: &'static [When]) -> Self {
        Self { when, ..self }
    }

    /// The section, empty for a setting outside all sections.
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// The name within the section.
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }
}

/// The type and range of a setting's value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A whole number within bounds that are both allowed.
    Int {
        /// The smallest value allowed.
        min: i64,
        /// The largest value allowed.
        max: i64,
    },
    /// A finite number within bounds.
    Float {
        /// The lower bound.
        low: Bound<f64>,
        /// The upper bound.
        high: Bound<f64>,
    },
    /// Any text.
    Text,
    /// A file or folder; in a configuration file, relative to that file's folder.
    Path,
    /// A list of files or folders, each as [`Kind::Path`].
    PathList,
    /// One of these names.
    Choice(&'static [&'static str]),
    /// A list of some of these names.
    ChoiceList(&'static [&'static str]),
    /// A list of texts.
    TextList,
    /// A list of whole numbers, each within bounds.
    IntList {
        /// The smallest value allowed.
        min: i64,
        /// The largest value allowed.
        max: i64,
    },
    /// An initialiser: its name, or a table of its name and settings.
    Initializer(&'static [Variant]),
    /// A list of layers, each a table told apart by its `type`.
    Layers,
    /// A list of steps, each its name, or a table of its name and settings.
    Steps(&'static [Variant]),
    /// A table of tables: a column's name, then its settings out of [`super::data::COLUMN_KEYS`].
    Columns,
    /// One of these names, or a table of weights by the name of a class.
    ClassWeights(&'static [&'static str]),
}

impl Kind {
    /// What is expected, as the end of "expected ...".
    pub fn expected(&self) -> String {
        match self {
            Bool => "true or false".into(),
            Int { min, max } => format!("a whole number from {min} to {max}"),
            Float { low, high } => format!("a number{}", range_words(*low, *high)),
            Text => "a text in quotes".into(),
            Path => "a path in quotes".into(),
            Choice(names) => format!("one of {}", names.join(", ")),
            ChoiceList(names) => format!("a list out of {}", names.join(", ")),
            TextList => "a list of texts in quotes".into(),
            PathList => "a list of paths in quotes".into(),
            IntList { min, max } => format!("a list of whole numbers from {min} to {max}"),
            Initializer(kinds) => {
                let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
                format!("one of {}", names.join(", "))
            }
            Layers => "a list of layers".into(),
            Steps(kinds) => {
                let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
                format!("a list of steps out of {}", names.join(", "))
            }
            Columns => "a table for each column's name".into(),
            ClassWeights(names) => {
                format!("{}, or a table of weights of at least 0 as {{ yes = 5 }}", names.join(", "))
            }
        }
    }

    /// Whether a number lies within the range of a [`Kind::Float`]; infinities and NaN never do.
    pub(super) fn holds_float(low: Bound<f64>, high: Bound<f64>, x: f64) -> bool {
        x.is_finite() && (low, high).contains(&x)
    }
}

fn range_words(low: Bound<f64>, high: Bound<f64>) -> String {
    match (low, high) {
        (Included(a), Included(b)) => format!(" from {a} to {b}"),
        (Included(a), Excluded(b)) => format!(" of at least {a} and below {b}"),
        (Excluded(a), Included(b)) => format!(" above {a} and at most {b}"),
        (Excluded(a), Excluded(b)) => format!(" above {a} and below {b}"),
        (Included(a), Unbounded) => format!(" of at least {a}"),
        (Excluded(a), Unbounded) => format!(" above {a}"),
        (Unbounded, Included(b)) => format!(" of at most {b}"),
        (Unbounded, Excluded(b)) => format!(" below {b}"),
        (Unbounded, Unbounded) => String::new(),
    }
}

/// Any number above zero.
pub(super) const POSITIVE: Kind = Float { low: Excluded(0.0), high: Unbounded };
/// Zero or any number above.
pub(super) const NOT_NEGATIVE: Kind = Float { low: Included(0.0), high: Unbounded };
/// A share that leaves something over.
pub(super) const BELOW_ONE: Kind = Float { low: Included(0.0), high: Excluded(1.0) };
/// A share.
pub(super) const UNIT: Kind = Float { low: Included(0.0), high: Included(1.0) };
/// Any finite number.
pub(super) const ANY: Kind = Float { low: Unbounded, high: Unbounded };
/// A row whose default is the TOML literal `default`.
pub(super) const fn key(path: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
    Key { path, kind, default: Some(default), help, required: false, when: &[] }
}

/// A row whose value must be given.
pub(super) const fn bare(path: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { path, kind, default: None, help, required: true, when: &[] }
}

/// A row that may be left unset, which says that something else decides.
pub(super) const fn unset(path: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { path, kind, default: None, help, required: false, when: &[] }
}
