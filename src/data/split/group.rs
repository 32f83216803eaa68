//! Rows that belong together, which no cut separates.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::super::cell::finite;
use super::super::read::RawTable;
use super::super::table::{MISSING, RowIdx};
use super::super::words::{counted, instead, shown};
use super::{MIN_TRAIN, Split, check_shares, is_too_small};
use crate::random::Stream;
use crate::{Error, Result};

/// Numbers groups from 0 on as their cells are met: equal cells are one group, and so are all missing cells. Numbers of up to
/// 15 digits are compared as numbers (`7` and `7.0` are one group), longer ones and such as `1e3` as they are written: two
/// of those may be the same 64-bit float and not the same customer.
#[derive(Debug, Default)]
pub struct GroupNumbers {
    words: HashMap<String, u32>,
    numbers: HashMap<u64, u32>,
    missing: Option<u32>,
}

impl GroupNumbers {
    /// The number of the group of a cell.
    pub fn number(&mut self, cell: Option<&str>) -> u32 {
        // A table of less than 2³² rows has fewer groups than there are numbers.
        let new = self.n_groups() as u32;
        match (cell, cell.filter(|cell| is_exact(cell)).and_then(finite)) {
            (_, Some(number)) => *self.numbers.entry((number + 0.0).to_bits()).or_insert(new),
            (Some(word), None) => match self.words.get(word) {
                Some(&known) => known,
                None => *self.words.entry(word.to_owned()).or_insert(new),
            },
            (None, None) => *self.missing.get_or_insert(new),
        }
    }

    /// How many groups have been met.
    pub fn n_groups(&self) -> usize {
        self.words.len() + self.numbers.len() + usize::from(self.missing.is_some())
    }
}

/// Whether a number is written out in digits that a 64-bit float tells from all others.
fn is_exact(cell: &str) -> bool {
    cell.len() <= 17
        && cell.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+'))
        && cell.bytes().filter(u8::is_ascii_digit).count() <= 15
}

/// Which rows belong together: of one patient, customer or machine, say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// The column that says it.
    pub column: String,
    /// The group of each row of the table; [`MISSING`] for rows that were not asked for.
    pub of_row: Vec<u32>,
    /// How many groups there are.
    pub n_groups: usize,
    /// Rows whose cell is missing: as nothing tells them apart, they are one group.
    pub n_missing: usize,
}

impl Groups {
    /// Reads the groups of `rows`: rows with the same cell, where numbers are compared as numbers, are one group.
    pub fn read(raw: &RawTable, column: &str, rows: &[RowIdx]) -> Result<Self> {
        let index = raw.column_index(column).ok_or_else(|| {
            Error::setting(
                format!("split.group: there is no column {} in {}", shown(column), raw.source.display()),
                instead(column, raw.names()),
            )
        })?;
        let (mut numbering, mut n_missing) = (GroupNumbers::default(), 0);
        let mut of_row = vec![MISSING; raw.n_rows()];
        for &row in rows {
            let cell = raw.value(row as usize, index);
            n_missing += usize::from(cell.is_none());
            of_row[row as usize] = numbering.number(cell);
        }
        let n_groups = numbering.n_groups();
        if n_groups < 2 {
            return Err(Error::data(
                format!(
                    "split.group: all {} have one group in column {}, which no cut may separate",
                    counted(rows.len(), "row"),
                    shown(column)
                ),
                "name a column that tells groups apart, or split at random: --set split.group=''",
            ));
        }
        Ok(Self { column: column.to_owned(), of_row, n_groups, n_missing })
    }

    /// How many groups are among `rows`.
    pub fn count(&self, rows: &[RowIdx]) -> usize {
        rows.iter().map(|&row| self.of_row[row as usize]).collect::<HashSet<_>>().len()
    }

    /// The groups among `rows`, and how many rows of each class (of the last, of all) each has.
    fn among(&self, rows: &[RowIdx], classes: Option<&[u32]>) -> Vec<Group> {
        let mut at: HashMap<u32, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut totals: HashMap<Option<u32>, f64> = HashMap::new();
        for &row in rows {
            let place = *at.entry(self.of_row[row as usize]).or_insert_with(|| {
                groups.push(Group::default());
                groups.len() - 1
            });
            groups[place].rows.push(row);
            for key in [None, classes.map(|classes| classes[row as usize])]
                .into_iter()
                .take(1 + usize::from(classes.is_some()))
            {
                *groups[place].shares.entry(key).or_default() += 1.0;
                *totals.entry(key).or_default() += 1.0;
            }
        }
        for group in &mut groups {
            for (key, share) in &mut group.shares {
                *share /= totals[key];
            }
        }
        groups
    }

    /// Deals the groups among `rows` out to parts that are to have these shares of the rows, and of each class.
    ///
    /// Group after group goes where X² = Σ (x − s)²/s grows least, summed over parts, classes and all rows together,
    /// with s the share that a part is to have and x the one it has: the large groups first, those of about one size
    /// (by powers of two) in random order. A part that is left without a group takes the smallest of the part that has
    /// most. Linear in rows and parts.
    ///
    /// No part is empty if there are as many groups as shares above 0.
    pub(super) fn deal(
        &self,
        rows: &[RowIdx],
        classes: Option<&[u32]>,
        shares: &[f64],
        stream: &mut Stream,
    ) -> Vec<Vec<RowIdx>> {
        let groups = self.among(rows, classes);
        let mut order: Vec<usize> = (0..groups.len()).collect();
        stream.shuffle(&mut order);
        order.sort_by_key(|&group| Reverse(groups[group].rows.len().ilog2()));
        let mut parts: Vec<Part> = shares.iter().map(|&share| Part { share, ..Part::default() }).collect();
        for &group in &order {
            let growth = |part: &Part| part.growth(&groups[group]);
            let open = (0..parts.len()).filter(|&part| shares[part] > 0.0);
            let best = open.min_by(|&a, &b| growth(&parts[a]).total_cmp(&growth(&parts[b])));
            parts[best.unwrap_or(0)].take(group, &groups[group]);
        }
        let size = |group: &usize| groups[*group].rows.len();
        while let Some(empty) = parts.iter().position(|part| part.share > 0.0 && part.groups.is_empty()) {
            let Some(giver) = parts.iter_mut().max_by_key(|part| part.groups.len()) else { break };
            let smallest = (0..giver.groups.len()).min_by_key(|&i| size(&giver.groups[i]));
            let Some(smallest) = smallest.filter(|_| giver.groups.len() > 1) else { break };
            let group = giver.groups.swap_remove(smallest);
            parts[empty].groups.push(group);
        }
        let rows_of = |part: &Part| -> Vec<RowIdx> {
            part.groups.iter().flat_map(|&group| &groups[group].rows).copied().collect()
        };
        parts.iter().map(rows_of).collect()
    }

    /// A split of `rows` that separates no group, drawn from `stream`.
    pub(super) fn draw(
        &self,
        rows: &[RowIdx],
        classes: Option<&[u32]>,
        [val, test]: [f64; 2],
        stream: &mut Stream,
    ) -> Result<Split> {
        check_shares(val, test)?;
        let mut parts = self.deal(rows, classes, &[1.0 - val - test, val, test], stream).into_iter();
        let parts = [(); 3].map(|()| parts.next().unwrap_or_default());
        let [n_train, n_val, n_test] = parts.each_ref().map(Vec::len);
        if n_train < MIN_TRAIN || is_too_small(n_val, val) || is_too_small(n_test, test) {
            return Err(Error::data(
                format!(
                    "split.group: the groups of column {} make {n_train} rows to train on, {n_val} for validation and \
                     {n_test} for the test; the least are {MIN_TRAIN}, and {} for each share above 0",
                    shown(&self.column),
                    super::MIN_HELD_OUT
                ),
                "a column with more and smaller groups, other shares, or --set split.test=0",
            ));
        }
        Ok(Split::of(parts))
    }
}

/// The rows of a group, and which share of all rows, and of the rows of each class, they are.
#[derive(Debug, Default)]
struct Group {
    rows: Vec<RowIdx>,
    shares: HashMap<Option<u32>, f64>,
}

/// A part that is being filled.
#[derive(Debug, Default)]
struct Part {
    share: f64,
    groups: Vec<usize>,
    has: HashMap<Option<u32>, f64>,
}

impl Part {
    /// By how much X² grows if the part takes the group, less what is the same for every part.
    fn growth(&self, group: &Group) -> f64 {
        let has = |key| self.has.get(key).copied().unwrap_or(0.0);
        let mut terms: Vec<f64> = group.shares.iter().map(|(key, u)| u * (u + 2.0 * has(key))).collect();
        // A map has no order, and a sum of the same numbers is to have the same bits.
        terms.sort_unstable_by(f64::total_cmp);
        terms.iter().sum::<f64>() / self.share
    }

    fn take(&mut self, number: usize, group: &Group) {
        self.groups.push(number);
        for (key, u) in &group.shares {
            *self.has.entry(*key).or_default() += u;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::super::read::{ReadOptions, parse_csv};
    use super::super::tests::{all_rows, sizes};
    use super::super::{Rule, Split};
    use super::*;

    fn groups(of_row: Vec<u32>) -> Groups {
        let n_groups = of_row.iter().collect::<BTreeSet<_>>().len();
        Groups { column: "g".into(), of_row, n_groups, n_missing: 0 }
    }

    fn read(cells: &[&str]) -> Result<Groups> {
        let text = format!("g,x\n{},1\n", cells.join(",1\n"));
        let raw = parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default())?;
        Groups::read(&raw, "g", &(0..cells.len() as RowIdx).collect::<Vec<_>>())
    }

    #[test]
    fn rows_with_one_cell_are_one_group() {
        let found = read(&["a", "1", "b", "1.0", "", "NA", "a", "-0", "0"]).unwrap();
        assert_eq!(found.of_row, [0, 1, 2, 1, 3, 3, 0, 4, 4]);
        assert_eq!((found.n_groups, found.n_missing), (5, 2));
        // The same 64-bit float, and not the same customer; nor are hexadecimal names numbers.
        let long =
            ["9007199254740992001", "9007199254740992000", "1e3", "1000", "10e2", "9007199254740992001"];
        assert_eq!(read(&long).unwrap().of_row, [0, 1, 2, 3, 4, 0]);
        let message = read(&["a", "a", "a"]).unwrap_err().to_string();
        assert!(message.contains("all 3 rows have one group in column `g`"), "{message}");
        let raw = parse_csv(b"group\na\n", Path::new("t.csv"), &ReadOptions::default()).unwrap();
        let error = Groups::read(&raw, "gruop", &[0]).unwrap_err();
        assert!(error.to_string().contains("did you mean `group`?") && error.exit_code() == 2, "{error}");
    }

    fn of(groups: &Groups, rows: &[RowIdx]) -> BTreeSet<u32> {
        rows.iter().map(|&row| groups.of_row[row as usize]).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        #[test]
        fn no_group_is_on_two_sides(
            sizes in prop::collection::vec(1usize..30, 2..40),
            val in 0.0..0.4f64,
            test in 0.0..0.4f64,
            n_folds in 2usize..8,
            seed in any::<u64>(),
        ) {
            let of_row: Vec<u32> = sizes.iter().zip(0..).flat_map(|(&n, group)| vec![group; n]).collect();
            let classes: Vec<u32> = (0..of_row.len()).map(|row| (row * row % 7 % 3) as u32).collect();
            let rows: Vec<RowIdx> = (0..of_row.len() as RowIdx).collect();
            let groups = groups(of_row);
            let rule = Rule::Group { groups: &groups, classes: Some(&classes) };
            if let Ok(split) = rule.split(&rows, val, test, seed) {
                prop_assert_eq!(all_rows(&split), rows.clone());
                let sides = [split.train.rows(), &split.val, &split.test].map(|rows| of(&groups, rows));
                prop_assert!(sides.iter().map(BTreeSet::len).sum::<usize>() == groups.n_groups);
                prop_assert_eq!(rule.split(&rows, val, test, seed).unwrap(), split);
            }
            if let Ok(folds) = rule.folds(&rows, n_folds, 2, 0.2, seed) {
                for fold in &folds {
                    let sides = [fold.train.rows(), &fold.val, &fold.test].map(|rows| of(&groups, rows));
                    prop_assert!(sides.iter().map(BTreeSet::len).sum::<usize>() == groups.n_groups);
                }
            }
        }
    }

    #[test]
    fn many_groups_come_near_to_their_shares_and_classes() {
        // 200 groups of 1 to 12 rows; a rare class in every seventh of them.
        let of_row: Vec<u32> = (0..200u32).flat_map(|g| vec![g; 1 + g as usize * 5 % 12]).collect();
        let classes: Vec<u32> = of_row.iter().map(|g| u32::from(g % 7 == 0)).collect();
        let rows: Vec<RowIdx> = (0..of_row.len() as RowIdx).collect();
        let (groups, n) = (groups(of_row), rows.len() as f64);
        let rare = |rows: &[RowIdx]| rows.iter().filter(|&&row| classes[row as usize] == 1).count() as f64;
        let split =
            Rule::Group { groups: &groups, classes: Some(&classes) }.split(&rows, 0.15, 0.15, 3).unwrap();
        for (part, share) in [(split.train.rows(), 0.7), (&split.val, 0.15), (&split.test, 0.15)] {
            assert!((part.len() as f64 / n - share).abs() < 0.01, "{:?}", sizes(&split));
            assert!((rare(part) / rare(&rows) - share).abs() < 0.02, "{}", rare(part));
        }
        let other =
            Rule::Group { groups: &groups, classes: Some(&classes) }.split(&rows, 0.15, 0.15, 4).unwrap();
        assert_ne!(other, split, "another seed, another split");
    }

    #[test]
    fn three_groups_make_three_parts_and_two_do_not() {
        let rows: Vec<RowIdx> = (0..36).collect();
        let three = groups(rows.iter().map(|row| row / 12).collect());
        let rule = Rule::Group { groups: &three, classes: None };
        assert_eq!(sizes(&rule.split(&rows, 0.15, 0.15, 0).unwrap()), [12, 12, 12]);
        let two = groups(rows.iter().map(|row| u32::from(*row >= 18)).collect());
        let rule = Rule::Group { groups: &two, classes: None };
        let message = rule.split(&rows, 0.15, 0.15, 0).map(|split: Split| split).unwrap_err().to_string();
        assert!(message.contains("the groups of column `g` make 18 rows to train on"), "{message}");
        assert_eq!(sizes(&rule.split(&rows, 0.15, 0.0, 0).unwrap()), [18, 18, 0]);
        let message = rule.folds(&rows, 3, 1, 0.2, 0).unwrap_err().to_string();
        assert!(
            message.contains("the rows to fold have 2 groups in column `g`, fewer than 3 folds"),
            "{message}"
        );
    }
}
