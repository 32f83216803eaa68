//! Which rows are for what, and why.

use std::collections::HashMap;

use super::choice::Choice;
use crate::config::Config;
use crate::data::RowIdx;
use crate::data::words::{counted, null_option, shown, thousands};
use crate::data::{GroupNumbers, Groups, Labels, RawTable, Rule, Split, Target, Times};
use crate::error::{Error, Result};

/// What rows are told apart by, read from the table.
struct Basis {
    classes: Option<Vec<u32>>,
    groups: Option<Groups>,
    times: Option<Times>,
}

impl Basis {
    fn of(config: &Config, raw: &RawTable, labels: &Labels) -> Result<Self> {
        let s = &config.split;
        for (key, column) in [("split.group", &s.group), ("split.time", &s.time)] {
            if *column == labels.column {
                return Err(Error::setting(
                    format!("{key}: column {} is the one to predict, which no new row has", shown(column)),
                    "name another column, or leave the setting out",
                ));
            }
        }
        let wanted = |column: &str| !column.is_empty();
        let groups = wanted(&s.group).then(|| Groups::read(raw, &s.group, &labels.rows)).transpose()?;
        let format = config.data.columns.get(&s.time).and_then(|set| set.format);
        let times = wanted(&s.time).then(|| Times::read(raw, &s.time, format, &labels.rows)).transpose()?;
        let classes = s.stratify.then(|| labels.target.strata(&labels.rows));
        Ok(Self { classes, groups, times })
    }

    fn rule(&self) -> Rule<'_> {
        let classes = self.classes.as_deref();
        match (&self.groups, &self.times) {
            (Some(groups), _) => Rule::Group { groups, classes },
            (None, Some(times)) => Rule::Time(times),
            (None, None) => Rule::Random { classes },
        }
    }
}

/// Whether the rows may be cut into folds instead, or are already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folding {
    /// They are cut once, in memory.
    Possible,
    /// They are read from disk, where there are no folds.
    Refused,
    /// They are folded, but for the test rows.
    Done,
}

/// The split that the settings ask for, and what is told of it.
pub(super) fn split_of(
    config: &Config,
    raw: &RawTable,
    labels: &Labels,
    folding: Folding,
) -> Result<(Split, Vec<Choice>)> {
    let s = &config.split;
    let basis = Basis::of(config, raw, labels)?;
    let split = if s.column.is_empty() {
        basis.rule().split(&labels.rows, s.val, s.test, config.seed)?
    } else {
        let target = s.stratify.then_some(&labels.target);
        Split::by_column(raw, &s.column, &labels.rows, target, s.val, config.seed)?
    };
    check_classes(config, &split, raw, labels)?;
    let mut reason = match (&basis.groups, &basis.times) {
        _ if !s.column.is_empty() => by_column(config, &split, raw),
        (Some(groups), _) => by_group(config, groups, &split, &labels.target),
        (None, Some(times)) => by_time(times, &split, raw),
        (None, None) => {
            format!("drawn at random with seed {}{}", config.seed, of_one_mix(config, &labels.target))
        }
    };
    if split.test.is_empty() {
        reason.push_str("; no test rows, so there will be no test figures");
    }
    if split.val.is_empty() {
        return Err(Error::setting(
            "split.val = 0 leaves no validation rows, on which the best epoch is chosen",
            "--set split.val=0.15, or a split.column with rows of val",
        ));
    }
    let parts = [("train", split.train.rows()), ("val", &split.val), ("test", &split.test)];
    let sizes = parts.map(|(part, rows)| format!("{} {part}", thousands(rows.len())));
    // Where a column says it, the shares have no say.
    let instead = match (s.column.is_empty(), s.test == 0.2) {
        (false, _) => "",
        (true, false) => "--set split.test=0.2",
        (true, true) => "--set split.test=0.15",
    };
    let mut told = vec![Choice::of("split", sizes.join(", "), reason, instead)];
    if folding != Folding::Done {
        told.extend(few_groups(config, &basis, (raw, labels), &parts, folding));
    }
    Ok((split, told))
}

/// The group of each of some rows, where the split keeps groups together.
pub(super) fn groups_of(config: &Config, raw: &RawTable, rows: &[RowIdx]) -> Option<Vec<u32>> {
    let column = Some(&config.split.group).filter(|column| !column.is_empty());
    let index = column.and_then(|column| raw.column_index(column))?;
    let mut numbers = GroupNumbers::default();
    Some(rows.iter().map(|&row| numbers.number(raw.value(row as usize, index))).collect())
}

/// With fewer groups than this in a part, its figures hang on which they are.
const FEW: usize = 5;

/// That a part has few groups, and what has been found to help.
fn few_groups(
    config: &Config,
    basis: &Basis,
    of: (&RawTable, &Labels),
    parts: &[(&str, &[RowIdx])],
    folding: Folding,
) -> Option<Choice> {
    let groups = basis.groups.as_ref()?;
    let few: Vec<_> = parts.iter().map(|(part, rows)| (*part, groups.count(rows))).collect();
    let few: Vec<_> = few.into_iter().filter(|(_, n)| (1..FEW).contains(n)).collect();
    let last = few.last()?.0;
    let told: Vec<String> = few.iter().map(|(part, n)| format!("{n} {part}")).collect();
    let mut reason = format!(
        "fewer than {FEW} groups of `{}` in a part, so that what it says hangs on which they happen to be",
        groups.column
    );
    reason += &outsized(config, groups, of.0, parts).unwrap_or_default();
    let folds = match folding {
        _ if last != "test" => None,
        Folding::Possible => folds_help(config, basis, of)
            .then(|| "--set split.test=0 --folds 5, which holds out every group once".to_owned()),
        Folding::Done => Some("--set split.test=0: the folds hold out every group".to_owned()),
        Folding::Refused => None,
    };
    let ways: Vec<String> = folds.into_iter().chain(other_shares(config, basis, of, parts)).collect();
    if ways.is_empty() {
        reason += "; no shares from 0.1 to 0.3 help: a table of more groups is needed";
    }
    Some(Choice::of("few groups", told.join(", "), reason, &ways.join(", or ")))
}

/// Whether all rows make five folds.
fn folds_help(config: &Config, basis: &Basis, (raw, labels): (&RawTable, &Labels)) -> bool {
    let folds = basis.rule().folds(&labels.rows, 5, 1, config.split.val, config.seed);
    folds.is_ok_and(|folds| folds.iter().all(|fold| check_classes(config, fold, raw, labels).is_ok()))
}

/// The shares, as near as can be to those that are set, by which each of these parts was found to have enough groups.
fn other_shares(
    config: &Config,
    basis: &Basis,
    (raw, labels): (&RawTable, &Labels),
    parts: &[(&str, &[RowIdx])],
) -> Option<String> {
    const SHARES: [f64; 3] = [0.1, 0.2, 0.3];
    let (s, groups) = (&config.split, basis.groups.as_ref()?);
    let least = FEW * parts.iter().filter(|(_, rows)| !rows.is_empty()).count();
    if groups.n_groups < least {
        return None;
    }
    let is_part = |part: &str| parts.iter().any(|(name, _)| *name == part);
    let around = |share: f64, varies: bool| {
        let others = SHARES.into_iter().filter(move |other| varies && *other != share);
        std::iter::once(share).chain(others)
    };
    let mut shares: Vec<[f64; 2]> = around(s.val, is_part("val"))
        .flat_map(|val| around(s.test, s.test > 0.0).map(move |test| [val, test]))
        .skip(1)
        .collect();
    let distance = |[val, test]: &[f64; 2]| (val - s.val).abs() + (test - s.test).abs();
    shares.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    let helps = |[val, test]: &[f64; 2]| {
        let Ok(split) = basis.rule().split(&labels.rows, *val, *test, config.seed) else { return false };
        let cut = [("train", split.train.rows()), ("val", &split.val), ("test", &split.test)];
        let mut cut =
            cut.into_iter().filter(|(part, rows)| is_part(part) && (*part != "test" || !rows.is_empty()));
        cut.all(|(_, rows)| groups.count(rows) >= FEW) && check_classes(config, &split, raw, labels).is_ok()
    };
    let [val, test] = shares.into_iter().find(helps)?;
    let changed =
        [("val", val, s.val), ("test", test, s.test)].into_iter().filter(|(_, new, old)| new != old);
    Some(changed.map(|(part, new, _)| format!("--set split.{part}={new}")).collect::<Vec<_>>().join(" "))
}

/// The group that exceeds most what its part should have, if one does.
fn outsized(config: &Config, groups: &Groups, raw: &RawTable, parts: &[(&str, &[RowIdx])]) -> Option<String> {
    let (s, total) = (&config.split, parts.iter().map(|(_, rows)| rows.len()).sum::<usize>() as f64);
    if parts.len() < 3 || !s.column.is_empty() {
        return None;
    }
    let shares = [1.0 - s.val - s.test, s.val, s.test];
    let largest = parts.iter().zip(shares).filter_map(|((part, rows), share)| {
        let mut sizes: HashMap<u32, (usize, RowIdx)> = HashMap::new();
        rows.iter().for_each(|&row| sizes.entry(groups.of_row[row as usize]).or_insert((0, row)).0 += 1);
        let (size, row) = sizes.into_values().max()?;
        Some((size as f64 / total - share, *part, share, size, row))
    });
    let (excess, part, share, size, row) = largest.max_by(|a, b| a.0.total_cmp(&b.0))?;
    if excess <= 0.0 {
        return None;
    }
    let cell = raw.column_index(&groups.column).and_then(|column| raw.value(row as usize, column));
    let name = cell.map_or_else(|| "of the rows without one".to_owned(), shown);
    Some(format!(
        "; the group {name} alone has {} ({:.0} %), and {part} should have {:.0} %",
        counted(size, "row"),
        100.0 * size as f64 / total,
        100.0 * share
    ))
}

/// The folds that the settings ask for, the rows that stay apart for the test, and what is told of each fold.
///
/// The test rows are those of the single split; all others are folded.
pub(super) fn folds_of(
    config: &Config,
    raw: &RawTable,
    labels: &Labels,
) -> Result<(Vec<Split>, Vec<RowIdx>, Vec<Choice>)> {
    let s = &config.split;
    let (whole, _) = split_of(config, raw, labels, Folding::Done)?;
    let rows = [whole.train.rows(), &whole.val].concat();
    let mut basis = Basis::of(config, raw, labels)?;
    // Bands of the rows that are folded: the targets of the test rows have no say.
    let of_all = basis.classes.take();
    basis.classes = of_all.as_ref().map(|_| labels.target.strata(&rows));
    let folds = basis.rule().folds(&rows, s.folds, s.repeats, s.val, config.seed)?;
    for fold in &folds {
        check_classes(config, fold, raw, labels)?;
    }
    let held_out: usize = folds.iter().map(|fold| fold.test.len()).sum();
    let mut reason = match (&basis.groups, &basis.times) {
        _ if !s.column.is_empty() => format!(
            "the rows that column `{}` does not give to the test, drawn at random with seed {}{}",
            s.column,
            config.seed,
            of_one_mix(config, &labels.target)
        ),
        (Some(groups), _) => format!(
            "{} of `{}`, none of them in two folds, dealt out with seed {}",
            counted(groups.count(&rows), "group"),
            groups.column,
            config.seed
        ),
        (None, Some(times)) => format!(
            "forward in the order of `{}`: each fold's window comes after all that it is trained on",
            times.column
        ),
        (None, None) => {
            format!("drawn at random with seed {}{}", config.seed, of_one_mix(config, &labels.target))
        }
    };
    reason += &format!(
        "; held-out rows judge and choose nothing, {} of the others ({} to {} rows) choose when to stop",
        s.val,
        folds.iter().map(|fold| fold.val.len()).min().unwrap_or(0),
        folds.iter().map(|fold| fold.val.len()).max().unwrap_or(0)
    );
    if whole.test.is_empty() {
        reason.push_str("; no test rows, so the bag itself is not judged");
    }
    let mut choice = counted(folds.len() / s.repeats, "fold");
    if s.repeats > 1 {
        choice += &format!(" × {}", s.repeats);
    }
    let of = thousands(held_out / folds.len());
    choice += &format!(" of about {of}, {} test", thousands(whole.test.len()));
    let instead = if s.folds == 5 { "--folds 10" } else { "--folds 5" };
    let mut told = vec![Choice::of("folds", choice, reason, instead)];
    basis.classes = of_all;
    told.extend(few_groups(config, &basis, (raw, labels), &[("test", &whole.test)], Folding::Done));
    Ok((folds, whole.test, told))
}

fn of_one_mix(config: &Config, target: &Target) -> &'static str {
    match (target, config.split.stratify) {
        (_, false) => "",
        (Target::Classes { .. }, true) => ", each part with the same mix of classes",
        (Target::Values(_), true) => ", each part with the same spread of targets",
    }
}

fn by_column(config: &Config, split: &Split, raw: &RawTable) -> String {
    let (s, default) = (&config.split, Config::default().split);
    let cell = |&row: &RowIdx| raw.column_index(&s.column).and_then(|column| raw.value(row as usize, column));
    let drawn = split.val.first().and_then(cell).is_some_and(|c| c.eq_ignore_ascii_case("train"));
    let mut reason = format!("as column `{}` says", s.column);
    if drawn {
        reason.push_str("; it has no val, so a share of train is taken for it");
    } else if (s.val, s.stratify) != (default.val, default.stratify) {
        reason.push_str("; split.val and split.stratify have no say in it");
    }
    reason
}

fn by_group(config: &Config, groups: &Groups, split: &Split, target: &Target) -> String {
    let n = [split.train.rows(), &split.val, &split.test].map(|rows| thousands(groups.count(rows)));
    let mut reason = format!(
        "{} of `{}`, none of them in two parts ({} train, {} val, {} test), dealt out with seed {}",
        counted(groups.n_groups, "group"),
        groups.column,
        n[0],
        n[1],
        n[2],
        config.seed
    );
    reason += match (target, config.split.stratify) {
        (_, false) => "",
        (Target::Classes { .. }, true) => ", the mix of classes as near to one as groups allow",
        (Target::Values(_), true) => ", the spread of targets as near to one as groups allow",
    };
    if groups.n_missing > 0 {
        reason += &format!("; {} without one are one group", counted(groups.n_missing, "row"));
    }
    reason + "; the column is no input"
}

fn by_time(times: &Times, split: &Split, raw: &RawTable) -> String {
    let cell = |row: RowIdx| {
        let column = raw.column_index(&times.column);
        column.and_then(|column| raw.value_alone(row as usize, column)).unwrap_or_default()
    };
    let span = |part: &str, rows: &[RowIdx]| {
        let [first, last] = times.span(rows)?.map(cell);
        Some(format!(
            "{part} {}",
            if first == last { first.into_owned() } else { format!("{first} to {last}") }
        ))
    };
    let spans = [("train", split.train.rows()), ("val", &split.val), ("test", &split.test)];
    let spans: Vec<String> = spans.into_iter().filter_map(|(part, rows)| span(part, rows)).collect();
    format!("in the order of `{}`, rows of one time together: {}", times.column, spans.join(", "))
}

/// Where rows are not drawn class by class, all rows of a class may be where none is trained on.
fn check_classes(config: &Config, split: &Split, raw: &RawTable, labels: &Labels) -> Result<()> {
    let s = &config.split;
    let (why, instead) = match (s.group.as_str(), s.time.as_str()) {
        _ if !s.column.is_empty() => ("its rows are held out", "give some of them to `train`"),
        ("", "") => ("its rows were drawn for validation and test", "--set split.stratify=true"),
        ("", _) => ("its rows come after those that are trained on", "--set split.time=''"),
        _ => ("its rows are in groups that are held out", "--set split.group=''"),
    };
    let Target::Classes { codes, classes } = &labels.target else { return Ok(()) };
    let mut trained = vec![false; classes.len()];
    split.train.rows().iter().for_each(|&row| trained[codes[row as usize] as usize] = true);
    let Some(&row) = split.val.iter().chain(&split.test).find(|&&row| !trained[codes[row as usize] as usize])
    else {
        return Ok(());
    };
    let class = classes[codes[row as usize] as usize].as_str();
    Err(Error::data(
        format!(
            "{}: no training row is of the class {} of {}: {why}",
            raw.row_place(row as usize),
            shown(class),
            shown(&labels.column)
        ),
        format!("join the class with another, {} to leave its rows out, or {instead}", null_option([class])),
    ))
}
