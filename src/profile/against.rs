//! Two tables compared: what columns they have, how each column differs, and whether rows can be told apart.

use rayon::prelude::*;
use serde::Serialize;

use super::adversary::{Adversary, adversary};
use super::column::ColumnProfile;
use super::shift::{ColumnShift, LEVEL, PSI_LARGE, Tested, Verdict, compare};
use super::source::{Other, Role, Source, Values};
use super::tail::holm;
use super::warnings::{Concern, Warning, are_few, names_rows, setting, warning};
use super::{DrawnFrom, Profile, strength};
use crate::data::words::{counted, listed, shown};
use crate::data::{ColumnKind, TaskKind};

/// A table compared with another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// The other file.
    pub table: String,
    /// Its rows that were looked at.
    pub n_rows: usize,
    /// Its rows, and the memory that was too little for all of them, where only some were looked at.
    pub drawn_from: Option<DrawnFrom>,
    /// The level of all tests together.
    pub level: f64,
    /// Tests that were made.
    pub n_tests: usize,
    /// Columns that the other table lacks, as indices into the profile's.
    pub lacking: Vec<usize>,
    /// Columns that only the other table has.
    pub extra: Vec<String>,
    /// Columns that are of another kind there.
    pub kinds: Vec<OtherKind>,
    /// Columns that are not compared, as indices into the profile's, and why.
    pub not_compared: Vec<(usize, &'static str)>,
    /// How each column differs, from left to right.
    pub columns: Vec<ColumnShift>,
    /// Whether rows can be told apart; none where there are too few.
    pub adversary: Option<Adversary>,
}

/// A column that the other table has as another kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherKind {
    /// The column, as an index into the profile's.
    pub column: usize,
    /// Its kind there, on its own.
    pub there: ColumnKind,
    /// Cells there that do not fit its kind here, which count as missing.
    pub unreadable: usize,
    /// Up to twenty different texts of them.
    pub texts: Vec<String>,
}

impl Against {
    /// The columns, those that differ most first.
    pub fn largest_first(&self, n_rows: usize) -> impl Iterator<Item = &ColumnShift> {
        let size = |shift: &ColumnShift| shift.size([n_rows, self.n_rows]);
        let mut order: Vec<&ColumnShift> = self.columns.iter().collect();
        order.sort_by(|a, b| {
            b.verdict.cmp(&a.verdict).then_with(|| size(b).total_cmp(&size(a))).then(a.column.cmp(&b.column))
        });
        order.into_iter()
    }
}

/// Compares a table that has been looked at with another one.
pub(super) fn against(
    source: &Source<'_>,
    columns: &[ColumnProfile],
    other: &Other,
    seed: u64,
    tell: &(dyn Fn(&str) + Sync),
) -> Against {
    tell("comparing columns");
    let there = other.loaded.source();
    let n_rows = [source.n_rows, there.n_rows];
    let place = |name: &str| there.columns.iter().position(|column| column.name == name);
    let (mut lacking, mut kinds, mut not_compared, mut pairs) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (i, column) in source.columns.iter().enumerate() {
        let Some(at) = place(column.name) else {
            lacking.push(i);
            continue;
        };
        let theirs = &there.columns[at];
        if let Some(why) = aside(&columns[i], column.dropped, n_rows[0]) {
            not_compared.push((i, why));
            continue;
        }
        let varies = (0..n_rows[1]).any(|row| !theirs.values.is_missing(row)) || theirs.unreadable.0 > 0;
        let numeric = |kind: ColumnKind| match kind {
            ColumnKind::Number => 0,
            ColumnKind::Date => 1,
            ColumnKind::Category | ColumnKind::Text | ColumnKind::Identifier => 2,
        };
        if varies && numeric(column.kind) != numeric(theirs.kind) || theirs.unreadable.0 > column.unreadable.0
        {
            kinds.push(OtherKind {
                column: i,
                there: theirs.kind,
                unreadable: theirs.unreadable.0,
                texts: theirs.unreadable.1.to_vec(),
            });
        }
        pairs.push((i, [&column.values, &theirs.values]));
    }
    let compared: Vec<_> = pairs
        .par_iter()
        .with_max_len(1)
        .map(|(i, values)| compare(*i, *values, columns[*i].numbers.as_ref().map(|x| &x.histogram)))
        .collect();
    let p: Vec<f64> = compared.iter().flat_map(|one| one.p).flatten().collect();
    let n_tests = p.len();
    let mut adjusted = holm(&p).into_iter();
    let shifts: Vec<ColumnShift> = compared
        .into_iter()
        .map(|one| {
            let tested = one.p.map(|p| Some(Tested { p: p?, adjusted: adjusted.next()? }));
            one.judged(tested, n_rows)
        })
        .collect();

    tell("telling the tables apart");
    let strength = strength(columns);
    let mut inputs: Vec<(usize, [&Values<'_>; 2])> =
        pairs.into_iter().filter(|(i, _)| source.columns[*i].role == Role::Input).collect();
    inputs.sort_by(|(a, _), (b, _)| strength[*b].total_cmp(&strength[*a]).then(a.cmp(b)));
    Against {
        table: there.name.clone(),
        n_rows: n_rows[1],
        drawn_from: DrawnFrom::of(&there),
        level: LEVEL,
        n_tests,
        lacking,
        extra: other.extra.clone(),
        kinds,
        not_compared,
        columns: shifts,
        adversary: adversary(&inputs, seed),
    }
}

/// Why a column is not compared, if that is so.
fn aside(column: &ColumnProfile, dropped: Option<&str>, n_rows: usize) -> Option<&'static str> {
    match (column.role, dropped) {
        (Role::Target, _) => None,
        (Role::Split, _) => Some("it says which rows are for what"),
        (Role::Weight, _) => Some("it says how much rows count"),
        _ if names_rows(column, n_rows) => Some("it seems only to name the rows"),
        (Role::Input, Some(_)) => Some("nothing is learned of it"),
        _ if column.kind == ColumnKind::Text => Some("it is free text"),
        (Role::Input, None) => None,
    }
}

/// The texts of the other table that do not fit the kinds here, column by column.
pub(super) fn odd_words(profile: &Profile) -> impl Iterator<Item = &Vec<String>> {
    profile.against.iter().flat_map(|of| of.kinds.iter().map(|kind| &kind.texts))
}

/// What to look out for in a comparison; the line `missing` makes the words of both tables that do not fit count as missing.
pub(super) fn warnings(profile: &Profile, missing: &str) -> Vec<Warning> {
    let Some(of) = &profile.against else { return Vec::new() };
    let name = |i: usize| profile.columns[i].name.as_str();
    let other = shown(file_name(&of.table));
    let mut found = Vec::new();
    for &i in &of.lacking {
        let column = &profile.columns[i];
        if column.role == Role::Input && column.dropped.is_none() {
            let text = format!("{} is not in {other}: its rows could not be predicted", shown(name(i)));
            found.push(warning(Concern::OtherColumns, &[name(i)], text, setting(name(i), "drop", "true")));
        }
    }
    for kind in &of.kinds {
        found.push(other_kind(kind, &profile.columns[kind.column], &other, missing));
    }
    if let Some(adversary) = of.adversary.as_ref().filter(|adversary| adversary.apart) {
        // Where each column could be done without, those that differ most.
        let inputs = |shift: &&ColumnShift| profile.columns[shift.column].role == Role::Input;
        let differ = of.largest_first(profile.n_rows).filter(inputs).map(|shift| shift.column);
        let by: Vec<&str> = match &adversary.by[..] {
            [] => differ.take(3).map(name).collect(),
            by => by.iter().map(|one| name(one.column)).collect(),
        };
        if let Some(first) = by.first() {
            let text = format!(
                "a network tells the rows of the two tables apart (area under the curve {:.3}, {:.3} to {:.3}), most of all by {}; \
                 what is measured on rows of this table says little of {other}",
                adversary.auc,
                adversary.interval[0],
                adversary.interval[1],
                listed(by.iter().take(3).copied()),
            );
            found.push(warning(Concern::ToldApart, &by, text, setting(first, "drop", "true")));
        }
    }
    let shifted = of.largest_first(profile.n_rows).filter(|shift| shift.verdict >= Verdict::Shifted);
    found.extend(shifted.filter_map(|shift| shifted_column(shift, profile, of, &other)));
    found
}

fn other_kind(kind: &OtherKind, column: &ColumnProfile, other: &str, missing: &str) -> Warning {
    let name = column.name.as_str();
    if kind.unreadable == 0 {
        let text =
            format!("{} is a {} here and by itself a {} in {other}", shown(name), column.kind, kind.there);
        let line = setting(name, "kind", &format!("\"{}\"", column.kind));
        return warning(Concern::OtherKind, &[name], text, line);
    }
    let text = format!(
        "{} is a {} here, and {} of it in {other} {}, as {}",
        shown(name),
        column.kind,
        counted(kind.unreadable, "cell"),
        if kind.unreadable == 1 { "is none and counts as missing" } else { "are none and count as missing" },
        listed(kind.texts.iter().take(3).map(String::as_str))
    );
    let line = if are_few(&kind.texts) { missing.to_owned() } else { setting(name, "drop", "true") };
    warning(Concern::OtherKind, &[name], text, line)
}

fn shifted_column(shift: &ColumnShift, profile: &Profile, of: &Against, other: &str) -> Option<Warning> {
    let column = &profile.columns[shift.column];
    let name = column.name.as_str();
    let told = differences(shift, [profile.n_rows, of.n_rows]);
    let is_target = column.role == Role::Target;
    if is_target && profile.task == Some(TaskKind::Regression) {
        // No setting makes up for another spread of numbers to predict; the table of columns tells it.
        return None;
    }
    let line =
        if is_target { "loss.class_weights = \"balanced\"".into() } else { setting(name, "drop", "true") };
    let alone = column.target.as_ref().and_then(|relation| relation.alone).filter(|alone| *alone >= 0.1);
    let worth = match (alone, profile.target()) {
        (Some(alone), Some(target)) => {
            format!(
                "; it tells much of {} (alone {alone:.2}), weigh that before the line",
                shown(&target.name)
            )
        }
        _ => String::new(),
    };
    let text = format!("{} is not distributed in {other} as here: {}{worth}", shown(name), told.join(", "));
    Some(warning(Concern::Shift, &[name], text, line))
}

/// In what a column differs, in words; nothing where it does not.
pub(super) fn differences(shift: &ColumnShift, n_rows: [usize; 2]) -> Vec<String> {
    let below = |test: Option<Tested>| test.is_some_and(|test| test.adjusted < LEVEL);
    let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    let percent = |part: usize, whole: usize| format!("{:.1} %", share(part, whole));
    let mut told = Vec::new();
    if let (true, Some(psi)) = (below(shift.values), shift.psi) {
        let much = if psi >= PSI_LARGE { ", large" } else { "" };
        told.push(format!("stability index {psi:.2}{much}"));
    }
    let present = n_rows[1] - shift.missing[1];
    if share(shift.outside, present) >= 0.1 && below(shift.values) {
        told.push(format!("{} beyond the range here", percent(shift.outside, present)));
    }
    if below(shift.missing_test) {
        let [here, there] = [0, 1].map(|i| percent(shift.missing[i], n_rows[i]));
        told.push(format!("missing {here} here and {there} there"));
    }
    if below(shift.new_test) {
        let new = listed(shift.new_levels.iter().take(2).map(|level| level.value.as_str()));
        let more = if shift.new[0] > 2 { " and others" } else { "" };
        told.push(format!("{} of new categories ({new}{more})", percent(shift.new[1], present)));
    }
    told
}

/// The last part of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}
