//! What to look out for in a table, each with the line of configuration that deals with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::against;
use super::column::ColumnProfile;
use super::duplicates::hash;
use super::met::is_met;
use super::source::{Column, Role, Source, Values};
use super::splits;
use super::{Profile, short};
use crate::data::ColumnKind;
use crate::data::cell::EXACT;
use crate::data::schema::named_like_an_identifier;
use crate::data::table::MISSING;
use crate::data::words::{counted, listed, shown, thousands};

/// A column that alone predicts at least this well is suspected to give the target away.
pub const LEAK: f64 = 0.98;
/// Columns of numbers make up the target where they leave at most this share of its variance.
pub const MADE_UP: f64 = 1e-4;
/// Fewer rows than this say nothing about leaks and identifiers.
pub const FEWEST_ROWS: usize = 20;
/// A column in which one value has at least this share of the cells hardly varies.
pub const NEARLY_ALL: f64 = 0.99;
/// A column with at least this share of missing cells is nearly empty.
pub const MOSTLY_MISSING: f64 = 0.8;
/// Of classes the largest is at most so many times the smallest, or they are imbalanced.
pub const IMBALANCE: f64 = 10.0;
/// Columns of more different values than this are not compared with each other.
const MOST_ALIKE: usize = 1_000;
/// Beyond [`EXACT`], the whole numbers of which a 64-bit integer holds every digit and a 64-bit float does not.
const MOST_INTEGER: f64 = 18_446_744_073_709_551_616.0;
/// An extreme so many times farther out than the middle half is wide governs the scale.
pub const FAR_OUT: f64 = 20.0;

/// What a warning is about, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Concern {
    /// A column gives the target away.
    Leak,
    /// Rows of one patient, customer or the like are drawn to both sides of the split.
    Entities,
    /// Cells that do not fit their column.
    Unreadable,
    /// Cells that can be read in two ways.
    Unclear,
    /// The other table lacks a column.
    OtherColumns,
    /// A column of the other table is of another kind.
    OtherKind,
    /// Rows of the two tables can be told apart.
    ToldApart,
    /// A column is distributed otherwise in the other table.
    Shift,
    /// A column only names the rows.
    Identifier,
    /// Rows occur more than once.
    Duplicates,
    /// A class is rare.
    Imbalance,
    /// A column whose cells are of a type that is not read.
    NotRead,
    /// A column says nothing.
    Constant,
    /// A column says hardly anything.
    NearlyConstant,
    /// A column is nearly empty.
    MostlyMissing,
    /// Other columns make a column up.
    Collinear,
    /// Two columns say the same in other words.
    SameTwice,
    /// Whole numbers have more digits than are kept.
    Rounded,
    /// Far extremes govern a column's scale.
    FarOutliers,
    /// Rows have a time, and are not split by it.
    InTime,
}

impl Concern {
    /// Its name as a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Leak => "suspected target leak",
            Self::Unreadable => "unreadable cells",
            Self::Unclear => "unclear cells",
            Self::OtherColumns => "not in the other table",
            Self::OtherKind => "another kind of column",
            Self::ToldApart => "tables told apart",
            Self::Shift => "shifted column",
            Self::Identifier => "suspected identifier",
            Self::Duplicates => "duplicate rows",
            Self::Imbalance => "imbalanced classes",
            Self::NotRead => "column that is not read",
            Self::Constant => "constant column",
            Self::NearlyConstant => "nearly constant column",
            Self::MostlyMissing => "mostly missing",
            Self::Collinear => "collinear columns",
            Self::SameTwice => "the same twice",
            Self::Rounded => "rounded integers",
            Self::FarOutliers => "far outliers",
            Self::Entities => "rows of one group",
            Self::InTime => "rows in time",
        }
    }
}

/// Something to look out for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// What it is about.
    pub concern: Concern,
    /// The columns that it is about.
    pub columns: Vec<String>,
    /// What was found, as a sentence.
    pub text: String,
    /// The line of a configuration that deals with it; before any `[section]`, or in quotes after `--set`.
    pub line: String,
}

/// Whether a column seems only to name the rows.
pub(super) fn names_rows(column: &ColumnProfile, n_rows: usize) -> bool {
    if column.role != Role::Input {
        return false;
    }
    let present = column.present(n_rows);
    // Repeated rows repeat their numbers too.
    let once = present >= FEWEST_ROWS && column.distinct * 20 >= present * 19;
    let named = || named_like_an_identifier(&column.name);
    match column.kind {
        ColumnKind::Identifier => true,
        ColumnKind::Number => once && column.numbers.as_ref().is_some_and(|x| x.dense || x.whole && named()),
        ColumnKind::Category | ColumnKind::Text => once && named(),
        ColumnKind::Date => false,
    }
}

/// What to look out for in a table that has been looked at.
pub(super) fn warnings(profile: &Profile, source: &Source<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    for (column, Column { doubt, .. }) in profile.columns.iter().zip(&source.columns) {
        match doubt {
            Some(doubt) if column.dropped.as_deref() != Some("as set") => {
                found.push(doubt.warning(&column.name, column.role));
            }
            _ => found.extend(of_column(column, profile)),
        }
    }
    found.extend(summands(profile));
    let odd = odd_columns(profile, source);
    // One list for both tables: the second line would be no TOML beside the first.
    let words = odd
        .iter()
        .filter(|column| are_few(&column.unreadable_texts))
        .flat_map(|column| &column.unreadable_texts);
    let words = words.chain(against::odd_words(profile).filter(|texts| are_few(texts)).flatten());
    let missing = null_line(&source.config.data.null, words);
    found.extend(unreadable(&odd, &missing));
    found.extend(against::warnings(profile, &missing));
    found.extend(duplicates(profile));
    found.extend(imbalance(profile, source));
    found.extend(collinear(profile));
    found.extend(same_twice(profile, source));
    found.retain(|warning| !is_met(warning, source.config));
    if let Some(hint) = splits::hint(profile, source.config) {
        if hint.concern == Concern::Entities {
            cured_by(&hint, &mut found);
        }
        found.push(hint);
    }
    found.sort_by_key(|warning| warning.concern);
    found
}

/// What groups the rows is no input, and settings of it are refused: a leak by it is told with the line of the hint at the
/// groups, which cures it, and nothing else of it is.
fn cured_by(hint: &Warning, found: &mut Vec<Warning>) {
    let of_column = setting(&hint.columns[0], "", "");
    let of_column = of_column.trim_end_matches(" = ");
    let sets = |warning: &Warning| warning.line.starts_with(of_column);
    found.retain(|warning| warning.concern == Concern::Leak || !sets(warning));
    found.iter_mut().filter(|warning| sets(warning)).for_each(|leak| leak.line.clone_from(&hint.line));
}

/// The lines of all warnings, fit to be pasted together: none twice, and nothing else of a column that is dropped.
pub fn lines(warnings: &[Warning]) -> Vec<String> {
    let dropped: BTreeSet<&str> =
        warnings.iter().filter_map(|w| w.line.strip_suffix("drop = true")).collect();
    let mut keys = BTreeSet::new();
    let mut lines = Vec::new();
    for Warning { line, .. } in warnings {
        let key = line.split(" = ").next().unwrap_or(line);
        let moot = dropped.iter().any(|of| key.starts_with(of) && !line.ends_with("drop = true"));
        if !moot && keys.insert(key) {
            lines.push(line.clone());
        }
    }
    lines
}

pub(super) fn warning(concern: Concern, columns: &[&str], text: String, line: String) -> Warning {
    Warning { concern, columns: columns.iter().map(|name| (*name).to_owned()).collect(), text, line }
}

/// The line that sets something about a column.
pub(super) fn setting(column: &str, key: &str, value: &str) -> String {
    let bare = column.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let name = if bare { column.to_owned() } else { quoted(column) };
    format!("data.columns.{name}.{key} = {value}")
}

/// A text as TOML has it on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out += &format!("\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out + "\""
}

/// What the column alone gives rise to, but for its cells that do not fit.
fn of_column(column: &ColumnProfile, profile: &Profile) -> Vec<Warning> {
    let name = column.name.as_str();
    let present = column.present(profile.n_rows);
    let mut found = Vec::new();
    let numbers = column.numbers.as_ref();
    let rounded = numbers.filter(|x| x.whole && (EXACT..=MOST_INTEGER).contains(&x.max.max(-x.min)));
    if rounded.is_some() {
        found.push(warning(
            Concern::Rounded,
            &[name],
            format!(
                "{}: whole numbers beyond 2^53, of which a 64-bit float keeps 16 digits: different ones may have \
                 become equal. If they are names, they are told apart as such",
                shown(name)
            ),
            setting(name, "kind", "\"category\""),
        ));
    }
    let far = column.numbers.as_ref().filter(|_| column.kind == ColumnKind::Number).map(|x| &x.outliers);
    if let Some(far) = far.filter(|far| far.farthest >= FAR_OUT) {
        let text = format!(
            "{}: {} beyond the outer fences, the farthest {} times as far out as the middle half is wide",
            shown(name),
            counted(far.low + far.high, "number"),
            short(far.farthest)
        );
        if column.role == Role::Input && column.dropped.is_none() {
            let line = setting(name, "scale", "\"robust\"");
            found.push(warning(
                Concern::FarOutliers,
                &[name],
                format!("{text}; standard scaling would squeeze the rest"),
                line,
            ));
        } else if column.role == Role::Target {
            let text = format!("{text}; squared errors would be governed by them");
            found.push(warning(Concern::FarOutliers, &[name], text, "loss.name = \"huber\"".into()));
        }
    }
    if column.role != Role::Input || column.dropped.as_deref() == Some("as set") {
        return found;
    }
    let drop = setting(name, "drop", "true");
    let already = match column.dropped {
        Some(_) => ". It is left out as it stands; the line makes that certain",
        None => "",
    };
    if let Some(what) = column.not_read {
        let text = format!(
            "{}: nothing can be learned of cells of this type ({what}), but of what is in them, in columns of its own{already}",
            shown(name)
        );
        found.push(warning(Concern::NotRead, &[name], text, drop));
        return found;
    }
    let constant = column.distinct <= 1 && (column.missing == 0 || column.distinct == 0);
    if constant {
        let what = match column.top.first() {
            _ if column.distinct == 0 => "every cell is missing".to_owned(),
            Some(only) if rounded.is_some() => format!(
                "every cell is {} to the 16 digits that a 64-bit number holds; numbers beyond 2^53 that differ only after \
                 them are taken as one",
                shown(&only.value)
            ),
            Some(only) => format!("every cell is {}", shown(&only.value)),
            None => "it has a single cell".to_owned(),
        };
        if profile.n_rows > 1 {
            found.push(warning(
                Concern::Constant,
                &[name],
                format!("{}: {what}{already}", shown(name)),
                drop,
            ));
        }
        return found;
    }
    let alone = column.target.as_ref().and_then(|relation| relation.alone).unwrap_or(0.0);
    if alone >= LEAK && profile.n_rows >= FEWEST_ROWS {
        found.push(leak(column, profile, alone, already));
        return found;
    }
    let given = column.target.as_ref().and_then(|relation| relation.given).unwrap_or(0.0);
    if given >= LEAK && profile.n_rows >= FEWEST_ROWS {
        let target = profile.target().map_or("", |target| target.name.as_str());
        let text = format!(
            "{} seems to be a function of {}, which alone predicts it almost perfectly ({given:.4}): is it known when {} is to be \
             predicted?{}",
            shown(name),
            shown(target),
            shown(target),
            already.trim_start_matches('.')
        );
        found.push(warning(Concern::Leak, &[name, target], text, drop));
        return found;
    }
    if names_rows(column, profile.n_rows) {
        let why = match &column.numbers {
            Some(x) if x.dense => "whole numbers with few gaps, each once".to_owned(),
            _ => {
                format!("{} among {}", counted(column.distinct, "different value"), counted(present, "cell"))
            }
        };
        let text = format!("{}: {why}; it seems only to name the rows{already}", shown(name));
        found.push(warning(Concern::Identifier, &[name], text, drop));
        return found;
    }
    if column.dropped.is_some() {
        return found;
    }
    let most = column.top.first().filter(|most| most.count as f64 >= NEARLY_ALL * present as f64);
    if let Some(most) = most.filter(|_| present >= FEWEST_ROWS) {
        let text = match present - most.count {
            0 => format!(
                "{}: every cell that is not missing is {} ({} % are missing); keep it as an indicator of that, or drop it",
                shown(name),
                shown(&most.value),
                short(100.0 * column.missing as f64 / profile.n_rows as f64)
            ),
            others => {
                format!("{}: all but {} are {}", shown(name), counted(others, "cell"), shown(&most.value))
            }
        };
        found.push(warning(Concern::NearlyConstant, &[name], text, drop));
    } else if column.missing as f64 >= MOSTLY_MISSING * profile.n_rows as f64 && profile.n_rows >= FEWEST_ROWS
    {
        let text = format!(
            "{}: only {} of {} are there",
            shown(name),
            thousands(present),
            counted(profile.n_rows, "cell")
        );
        found.push(warning(Concern::MostlyMissing, &[name], text, drop));
    }
    found
}

fn leak(column: &ColumnProfile, profile: &Profile, alone: f64, already: &str) -> Warning {
    let name = column.name.as_str();
    let target = profile.target().map_or("", |target| target.name.as_str());
    let straight = column.target.as_ref().and_then(|relation| relation.value).filter(|r| r.abs() > 0.9999);
    let numeric = profile.target().is_some_and(|target| target.numbers.is_some());
    let how = match straight {
        Some(r) if numeric && column.numbers.is_some() => format!("correlation {r:.6}"),
        _ if numeric => format!("R² {alone:.4}"),
        _ if alone >= 1.0 => "no row is mistaken".to_owned(),
        _ => format!("balanced accuracy, chance taken off: {alone:.4}"),
    };
    let text = format!(
        "{} alone predicts {} almost perfectly ({how}): is it known when {} is to be predicted?{}",
        shown(name),
        shown(target),
        shown(target),
        already.trim_start_matches('.')
    );
    warning(Concern::Leak, &[name, target], text, setting(name, "drop", "true"))
}

/// Columns of numbers that together make up the target, as its parts or its balance would.
fn summands(profile: &Profile) -> Vec<Warning> {
    const MOST: usize = 6;
    let (Some(inflation), Some(target)) = (&profile.collinearity, profile.target()) else {
        return Vec::new();
    };
    let Some(made) = inflation.found.target.as_ref().filter(|made| made.left <= MADE_UP) else {
        return Vec::new();
    };
    let names: Vec<&str> =
        made.by.iter().map(|&i| profile.columns[inflation.columns[i]].name.as_str()).collect();
    if profile.n_rows < FEWEST_ROWS || names.len() > MOST {
        return Vec::new();
    }
    let told = names.iter().map(|name| {
        let others = names.iter().copied().filter(|other| other != name);
        let with = if names.len() == 1 { String::new() } else { format!(" with {}", listed(others)) };
        let text = format!(
            "{}{with} makes up {} (R² {:.6}): is it known when {} is to be predicted?",
            shown(name),
            shown(&target.name),
            1.0 - made.left,
            shown(&target.name)
        );
        warning(Concern::Leak, &[name, &target.name], text, setting(name, "drop", "true"))
    });
    told.collect()
}

/// The columns with cells that do not fit, and are not merely unclear.
fn odd_columns<'p>(profile: &'p Profile, source: &Source<'_>) -> Vec<&'p ColumnProfile> {
    let columns = profile.columns.iter().zip(&source.columns);
    let odd = columns.filter(|(c, Column { doubt, .. })| {
        c.unreadable > 0 && doubt.is_none() && c.dropped.as_deref() != Some("as set")
    });
    odd.map(|(column, _)| column).collect()
}

/// Whether odd texts are few enough to be listed as words for missing cells.
pub(super) fn are_few(texts: &[String]) -> bool {
    const MOST_WORDS: usize = 20;
    texts.len() < MOST_WORDS
}

/// Cells that do not fit: those of all columns make one list of words for missing cells, the line `missing`.
fn unreadable(odd: &[&ColumnProfile], missing: &str) -> Vec<Warning> {
    let (few, many): (Vec<&ColumnProfile>, Vec<&ColumnProfile>) =
        odd.iter().partition(|c| are_few(&c.unreadable_texts));
    let told = |c: &ColumnProfile| {
        let verb = if c.unreadable == 1 { "is" } else { "are" };
        format!("{} that {verb} no {}", counted(c.unreadable, "cell"), c.kind)
    };
    let mut found = Vec::new();
    for column in many.into_iter().filter(|column| column.role == Role::Input) {
        let text = format!(
            "{}: {}, as {}",
            shown(&column.name),
            told(column),
            listed(column.unreadable_texts.iter().take(3).map(String::as_str))
        );
        found.push(warning(
            Concern::Unreadable,
            &[&column.name],
            text,
            setting(&column.name, "drop", "true"),
        ));
    }
    if few.is_empty() {
        return found;
    }
    let mut all = Vec::new();
    for column in &few {
        all.push(format!(
            "{} has {} ({})",
            shown(&column.name),
            told(column),
            listed(column.unreadable_texts.iter().take(3).map(String::as_str))
        ));
    }
    let more = if all.len() > 5 { format!("; and {} more columns", all.len() - 5) } else { String::new() };
    all.truncate(5);
    let names: Vec<&str> = few.iter().map(|column| column.name.as_str()).collect();
    let they = if few.len() == 1 && few[0].unreadable == 1 {
        "it unless it counts"
    } else {
        "them unless they count"
    };
    let text = format!("{}{more}; training refuses {they} as missing", all.join("; "));
    found.push(warning(Concern::Unreadable, &names, text, missing.to_owned()));
    found
}

/// The line that makes further words count as missing.
fn null_line<'a>(null: &[String], words: impl Iterator<Item = &'a String>) -> String {
    let mut all: Vec<&String> = null.iter().collect();
    for word in words {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    let quoted: Vec<String> = all.into_iter().map(|word| quoted(word)).collect();
    format!("data.null = [{}]", quoted.join(", "))
}

fn duplicates(profile: &Profile) -> Option<Warning> {
    let repeated = &profile.duplicates;
    if repeated.count == 0 {
        return None;
    }
    let first =
        repeated.first.first().map_or(String::new(), |row| format!(", the first in row {}", thousands(*row)));
    let apart = match &repeated.apart_from[..] {
        [] => String::new(),
        names => format!(" in all but {}", listed(names.iter().map(String::as_str))),
    };
    let verb = if repeated.count == 1 { "repeats" } else { "repeat" };
    let drawn = if profile.drawn_from.is_some() { " looked at" } else { "" };
    let text = format!(
        "{} of {}{drawn} {verb} an earlier one{apart}{first}; a row that is both learned from and tested on flatters the test",
        counted(repeated.count, "row"),
        thousands(profile.n_rows)
    );
    Some(warning(Concern::Duplicates, &[], text, "data.drop_duplicates = true".into()))
}

fn imbalance(profile: &Profile, source: &Source<'_>) -> Option<Warning> {
    let column = &source.columns[source.target()?];
    let Values::Codes { codes, levels } = &column.values else { return None };
    let mut counts = vec![0_usize; levels.len()];
    codes.iter().filter(|code| **code != MISSING).for_each(|code| counts[*code as usize] += 1);
    let classes = || counts.iter().zip(levels.iter()).filter(|(count, _)| **count > 0);
    let (fewest, rare) = classes().min_by_key(|(count, _)| **count)?;
    let (most, frequent) = classes().max_by_key(|(count, _)| **count)?;
    let ratio = *most as f64 / *fewest as f64;
    if ratio < IMBALANCE {
        return None;
    }
    let text = format!(
        "{}: class {} has {} of {} ({} %), {} {} times as many",
        shown(column.name),
        shown(rare),
        thousands(*fewest),
        counted(profile.n_rows, "row"),
        short(100.0 * *fewest as f64 / profile.n_rows as f64),
        shown(frequent),
        short(ratio)
    );
    Some(warning(Concern::Imbalance, &[column.name], text, "loss.class_weights = \"balanced\"".into()))
}

fn collinear(profile: &Profile) -> Vec<Warning> {
    let Some(inflation) = &profile.collinearity else { return Vec::new() };
    let name = |i: usize| profile.columns[inflation.columns[i]].name.as_str();
    let told = inflation.found.redundant.iter().map(|redundant| {
        let of = name(redundant.column);
        let by: Vec<&str> = redundant.by.iter().map(|&i| name(i)).collect();
        let by_words = listed(by.iter().take(6).copied()) + if by.len() > 6 { " and others" } else { "" };
        let text = match redundant.vif {
            None => format!("{} is a linear combination of {by_words}: it adds nothing to them", shown(of)),
            Some(vif) => format!(
                "{} is nearly a linear combination of {by_words} (variance inflation {})",
                shown(of),
                short(vif)
            ),
        };
        let names: Vec<&str> = std::iter::once(of).chain(by.iter().copied()).collect();
        warning(Concern::Collinear, &names, text, setting(of, "drop", "true"))
    });
    told.collect()
}

/// Columns that part the rows as an earlier one does, one of the two at least of categories; the later is to go.
fn same_twice(profile: &Profile, source: &Source<'_>) -> Vec<Warning> {
    let mut by_shape: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (i, column) in profile.columns.iter().enumerate() {
        let kept = column.role == Role::Input && column.dropped.is_none() && column.distinct > 1;
        if kept && column.distinct <= MOST_ALIKE {
            by_shape.entry((column.distinct, column.missing)).or_default().push(i);
        }
    }
    let of_categories = |i: usize| matches!(source.columns[i].values, Values::Codes { .. });
    let mut found = Vec::new();
    for similar in by_shape.into_values().filter(|similar| similar.len() > 1) {
        if !similar.iter().any(|&i| of_categories(i)) {
            continue;
        }
        let prints: Vec<u128> = similar.par_iter().map(|&i| partition(&source.columns[i].values)).collect();
        let mut first_of: BTreeMap<u128, usize> = BTreeMap::new();
        for (second, print) in similar.into_iter().zip(prints) {
            let first = *first_of.entry(print).or_insert(second);
            if first != second && (of_categories(first) || of_categories(second)) {
                let names = [first, second].map(|i| profile.columns[i].name.as_str());
                let text = format!("{} says the same as {} in other words", shown(names[1]), shown(names[0]));
                let line = setting(names[1], "drop", "true");
                found.push(warning(Concern::SameTwice, &[names[1], names[0]], text, line));
            }
        }
    }
    found
}

/// A hash of how a column parts the rows, whatever its values are called: that of its values counted in the order of
/// their first rows.
fn partition(values: &Values<'_>) -> u128 {
    let mut seen: HashMap<u64, u64> = HashMap::new();
    let mut place = |key: u64| {
        let next = seen.len() as u64;
        *seen.entry(key).or_insert(next)
    };
    let missing = u64::MAX;
    match values {
        Values::Numbers(x) => {
            // One zero, whatever its sign.
            hash(x.iter().map(|x| if x.is_nan() { missing } else { place((x + 0.0).to_bits()) }))
        }
        Values::Codes { codes, .. } => {
            hash(codes.iter().map(|&c| if c == MISSING { missing } else { place(u64::from(c)) }))
        }
    }
}
