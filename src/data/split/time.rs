//! Rows in the order of time: the oldest to train on, the newest to test on.

use super::super::cell::{has_short_year, parse_date};
use super::super::read::RawTable;
use super::super::table::RowIdx;
use super::super::words::{column_setting, counted, instead, shown};
use super::{MIN_HELD_OUT, MIN_TRAIN, Split, check_shares, is_too_small, part_sizes};
use crate::config::CellFormat;
use crate::{Error, Result};

/// How the cells of a column say when rows were: as all of those that were met can be read.
#[derive(Debug)]
pub(crate) struct Spelling {
    set: Option<CellFormat>,
    numbers: bool,
    dates: bool,
    /// With slashes and the day first; with the month first.
    slashes: [bool; 2],
}

impl Spelling {
    /// Of cells that are written in a format, if one is set; before any was met.
    pub(crate) fn of(set: Option<CellFormat>) -> Self {
        Self { set, numbers: true, dates: true, slashes: [true; 2] }
    }

    /// A cell, and the number that it is by the decimal mark of its table.
    pub(crate) fn add(&mut self, cell: &str, number: Option<f64>) {
        self.numbers &= number.is_some();
        self.dates = self.dates && parse_date(cell).is_some();
        // A year of two digits might be the first of the three.
        for (fits, format) in self.slashes.iter_mut().zip([CellFormat::DayFirst, CellFormat::MonthFirst]) {
            *fits = *fits && format.days(cell).is_some() && !has_short_year(cell);
        }
    }

    /// Cells that are numbers by their type.
    pub(crate) fn add_numbers(&mut self) {
        (self.dates, self.slashes) = (false, [false; 2]);
    }

    /// Cells that are dates by their type.
    pub(crate) fn add_days(&mut self) {
        (self.numbers, self.slashes) = (false, [false; 2]);
    }

    /// Whether all cells are numbers.
    pub(crate) fn are_numbers(&self) -> bool {
        self.set.map_or(self.numbers, |set| set.decimal_comma().is_some())
    }

    /// Whether all cells are dates of one kind, as far as anybody has not set what they are.
    pub(crate) fn are_dates(&self) -> bool {
        self.set.map_or(self.dates || self.slashes != [false; 2], |set| set.decimal_comma().is_none())
    }

    /// Refuses dates of which nobody can say whether the day or the month stands first.
    pub(crate) fn check(&self, column: &str) -> Result<()> {
        let is_told = self.set.is_some() || self.numbers || self.dates;
        if is_told || self.slashes != [true; 2] {
            return Ok(());
        }
        Err(Error::data(
            format!("split.time: the dates of column {} may have the day or the month first", shown(column)),
            format!("say which: --set {}, or month_first", column_setting(column, "format", "day_first")),
        ))
    }

    /// When a cell says that its row was, beside the number that it is.
    pub(crate) fn time(&self, cell: &str, number: Option<f64>) -> Option<f64> {
        match self.set {
            Some(set) => set.days(cell).or_else(|| set.number(cell)),
            None if self.numbers => number,
            None if self.dates => parse_date(cell),
            None if self.slashes[0] => CellFormat::DayFirst.days(cell),
            None if self.slashes[1] => CellFormat::MonthFirst.days(cell),
            None => parse_date(cell),
        }
    }
}

/// When each row was.
#[derive(Debug, Clone, PartialEq)]
pub struct Times {
    /// The column that says it.
    pub column: String,
    /// Days, or whatever the column counts in, of each row of the table; NaN for rows that were not asked for.
    pub of_row: Vec<f64>,
}

impl Times {
    /// Reads the times of `rows`: numbers that grow with time, or dates, written as `format` says if it is set. A row without
    /// one is an error that names it.
    pub fn read(raw: &RawTable, column: &str, format: Option<CellFormat>, rows: &[RowIdx]) -> Result<Self> {
        let index = raw.column_index(column).ok_or_else(|| {
            Error::setting(
                format!("split.time: there is no column {} in {}", shown(column), raw.source.display()),
                instead(column, raw.names()),
            )
        })?;
        let typed =
            raw.numbers_of(index, format.and_then(CellFormat::decimal_comma)).or_else(|| raw.days(index));
        let mut spelling = Spelling::of(format);
        if typed.is_none() {
            // Not of typed cells, which would be printed: of a long table that would take more than all else.
            let cells = rows.iter().filter_map(|&row| raw.value(row as usize, index));
            cells.for_each(|cell| spelling.add(cell, raw.number(cell)));
            spelling.check(column)?;
        }
        let time = |row: usize| match typed {
            Some(times) => Some(times[row]).filter(|time| time.is_finite()),
            None => raw.value(row, index).and_then(|cell| spelling.time(cell, raw.number(cell))),
        };
        let mut of_row = vec![f64::NAN; raw.n_rows()];
        for &row in rows {
            of_row[row as usize] = time(row as usize).ok_or_else(|| {
                let cell = raw.value_alone(row as usize, index);
                let found = cell.map_or_else(|| "a missing cell".to_owned(), |cell| shown(&cell));
                Error::data(
                    format!(
                        "{}: split.time expects dates as 2024-03-31, or numbers that grow with time, in every row; \
                         found {found}",
                        raw.place(row as usize, index)
                    ),
                    "correct the cell, or split at random: --set split.time=''",
                )
            })?;
        }
        Ok(Self { column: column.to_owned(), of_row })
    }

    /// The oldest and the newest of `rows`, unless there are none.
    pub fn span(&self, rows: &[RowIdx]) -> Option<[RowIdx; 2]> {
        let by_time = |a: &&RowIdx, b: &&RowIdx| {
            self.of_row[**a as usize].total_cmp(&self.of_row[**b as usize]).then(a.cmp(b))
        };
        Some([*rows.iter().min_by(by_time)?, *rows.iter().max_by(by_time)?])
    }

    /// `rows` from the oldest to the newest, and where a new time begins among them, the first left out.
    fn ordered(&self, rows: &[RowIdx]) -> (Vec<RowIdx>, Vec<RowIdx>) {
        let mut order = rows.to_vec();
        order.sort_unstable_by(|&a, &b| {
            self.of_row[a as usize].total_cmp(&self.of_row[b as usize]).then(a.cmp(&b))
        });
        order.dedup();
        let time = |i: RowIdx| self.of_row[order[i as usize] as usize];
        let edges = (1..order.len() as RowIdx).filter(|&i| time(i - 1) != time(i)).collect();
        (order, edges)
    }

    /// Cuts `rows` in the order of time: the oldest to train on, then those to watch training with, the newest to test
    /// on. Rows of one time stay together, so that the parts are as near to their shares as times allow.
    pub(super) fn cut(&self, rows: &[RowIdx], [val, test]: [f64; 2]) -> Result<Split> {
        check_shares(val, test)?;
        let (order, edges) = self.ordered(rows);
        let [n_train, n_val, _] = part_sizes(order.len(), val, test);
        let mut cuts = Vec::new();
        if val > 0.0 {
            cuts.push(n_train);
        }
        if test > 0.0 {
            cuts.push(n_train + n_val);
        }
        let cuts = nearest_edges(&cuts, &edges)
            .ok_or_else(|| self.too_few_times(edges.len() + 1, cuts.len() + 1))?;
        let end_of_train = if val > 0.0 { cuts[0] } else { cuts.last().copied().unwrap_or(order.len()) };
        let end_of_val = if test > 0.0 { cuts[cuts.len() - 1] } else { order.len() };
        let (rest, newest) = order.split_at(end_of_val);
        let (oldest, middle) = rest.split_at(end_of_train);
        if oldest.len() < MIN_TRAIN || is_too_small(middle.len(), val) || is_too_small(newest.len(), test) {
            return Err(Error::data(
                format!(
                    "split.time: cut where column {} changes, {} make {} to train on, {} for validation and {} for the \
                     test; the least are {MIN_TRAIN}, and {MIN_HELD_OUT} for each share above 0",
                    shown(&self.column),
                    counted(order.len(), "row"),
                    oldest.len(),
                    middle.len(),
                    newest.len()
                ),
                "add rows, other shares, or a column with finer times",
            ));
        }
        Ok(Split::of([oldest.to_vec(), middle.to_vec(), newest.to_vec()]))
    }

    /// Forward chaining: the rows that come before each of `n_folds` windows, and the window. The windows are the newest
    /// rows in parts of n/(`n_folds` + 1), as scikit-learn's `TimeSeriesSplit` has them, moved to where the time changes.
    pub(super) fn windows(&self, rows: &[RowIdx], n_folds: usize) -> Result<Vec<[Vec<RowIdx>; 2]>> {
        let (order, edges) = self.ordered(rows);
        let length = order.len() / (n_folds + 1);
        let cuts: Vec<usize> = (0..n_folds).map(|i| order.len() - (n_folds - i) * length).collect();
        let mut cuts =
            nearest_edges(&cuts, &edges).ok_or_else(|| self.too_few_times(edges.len() + 1, n_folds + 1))?;
        cuts.push(order.len());
        Ok(cuts
            .windows(2)
            .map(|ends| [order[..ends[0]].to_vec(), order[ends[0]..ends[1]].to_vec()])
            .collect())
    }

    fn too_few_times(&self, n_times: usize, n_parts: usize) -> Error {
        Error::data(
            format!(
                "split.time: column {} has {}, which make no {n_parts} parts: rows of one time stay together",
                shown(&self.column),
                counted(n_times, "different time")
            ),
            "a column with finer times, fewer folds, or split at random: --set split.time=''",
        )
    }
}

/// The edges nearest to these cuts, rising as they do, one edge a cut; none if there are fewer.
fn nearest_edges(cuts: &[usize], edges: &[RowIdx]) -> Option<Vec<usize>> {
    let mut next = 0;
    let mut found = Vec::with_capacity(cuts.len());
    for (i, &cut) in cuts.iter().enumerate() {
        // Each cut that follows needs an edge of its own.
        let open = edges.get(next..(edges.len() + 1 + i).checked_sub(cuts.len())?)?;
        let nearest = (0..open.len()).min_by_key(|&edge| (open[edge] as usize).abs_diff(cut))?;
        found.push(open[nearest] as usize);
        next += nearest + 1;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::super::read::{ReadOptions, parse_csv};
    use super::super::Rule;
    use super::super::tests::{all_rows, sizes};
    use super::*;

    fn read(cells: &[&str]) -> Result<Times> {
        let text = format!("day,x\n{},1\n", cells.join(",1\n"));
        let raw = parse_csv(text.as_bytes(), Path::new("t.csv"), &ReadOptions::default())?;
        Times::read(&raw, "day", None, &(0..cells.len() as RowIdx).collect::<Vec<_>>())
    }

    #[test]
    fn times_are_dates_or_numbers() {
        assert_eq!(read(&["1970-01-02", "02.01.1970", "1970-01-01 12:00"]).unwrap().of_row, [1.0, 1.0, 0.5]);
        assert_eq!(read(&["2019", "2018.5"]).unwrap().of_row, [2019.0, 2018.5]);
        assert_eq!(read(&["13/1/1970", "2/1/1970"]).unwrap().of_row, [12.0, 1.0]);
        assert_eq!(read(&["1/13/1970", "1/2/1970 12:00"]).unwrap().of_row, [12.0, 1.5]);
        let message = read(&["1/2/1970", "2/1/1970"]).unwrap_err().to_string();
        assert!(message.contains("may have the day or the month first"), "{message}");
        let raw = parse_csv(b"day\n1/2/70\n2/1/70\n", Path::new("t.csv"), &ReadOptions::default()).unwrap();
        for (format, times) in [(CellFormat::DayFirst, [31.0, 1.0]), (CellFormat::MonthFirst, [1.0, 31.0])] {
            assert_eq!(Times::read(&raw, "day", Some(format), &[0, 1]).unwrap().of_row, times);
        }
        for (cells, found) in [
            (&["2019", "", "2018"][..], "row 2 (line 3), column `day`: split.time expects dates"),
            (&["1970-01-02", "NA"], "found a missing cell"),
            (&["1970-01-02", "soon"], "found `soon`"),
            (&["1970-01-02", "1971"], "found `1971`"),
        ] {
            let message = read(cells).unwrap_err().to_string();
            assert!(message.contains(found) && message.contains("--set split.time=''"), "{message}");
        }
    }

    #[test]
    fn the_newest_rows_are_the_test() {
        let of_row: Vec<f64> = (0..100).map(|row| f64::from(row * 37 % 100)).collect();
        let times = Times { column: "day".into(), of_row };
        let rows: Vec<RowIdx> = (0..100).collect();
        let split = Rule::Time(&times).split(&rows, 0.15, 0.15, 0).unwrap();
        assert_eq!(sizes(&split), [70, 15, 15]);
        let at = |row: &RowIdx| times.of_row[*row as usize];
        assert!(split.train.rows().iter().all(|row| at(row) < 70.0));
        assert!(split.val.iter().all(|row| (70.0..85.0).contains(&at(row))));
        assert_eq!(
            times.span(&split.test).map(|rows| rows.map(|row| times.of_row[row as usize])),
            Some([85.0, 99.0])
        );
        assert_eq!(times.span(&[]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn rows_of_one_time_stay_together_and_the_future_is_never_trained_on(
            days in prop::collection::vec(0u8..40, 20..200),
            val in 0.05..0.4f64,
            test in 0.0..0.4f64,
            n_folds in 2usize..6,
        ) {
            let times = Times { column: "day".into(), of_row: days.iter().map(|&day| f64::from(day)).collect() };
            let rows: Vec<RowIdx> = (0..days.len() as RowIdx).collect();
            let rule = Rule::Time(&times);
            let mut splits = rule.folds(&rows, n_folds, 1, val, 0).unwrap_or_default();
            let ends: Vec<_> = splits.iter().map(|fold| times.span(&fold.test)).collect();
            for pair in ends.windows(2) {
                prop_assert!(days[pair[0].unwrap()[1] as usize] < days[pair[1].unwrap()[0] as usize]);
            }
            if let Ok(split) = rule.split(&rows, val, test, 0) {
                prop_assert_eq!(all_rows(&split), rows);
                splits.push(split);
            }
            for split in splits {
                let spans = [split.train.rows(), &split.val, &split.test].map(|rows| times.span(rows));
                let spans: Vec<[u8; 2]> = spans.into_iter().flatten().map(|span| span.map(|row| days[row as usize])).collect();
                prop_assert!(spans.windows(2).all(|pair| pair[0][1] < pair[1][0]), "{:?}", spans);
            }
        }
    }

    #[test]
    fn edges_are_taken_in_their_order() {
        assert_eq!(nearest_edges(&[70, 85], &[10, 60, 84, 99]), Some(vec![60, 84]));
        assert_eq!(nearest_edges(&[70, 85], &[10, 99]), Some(vec![10, 99]));
        assert_eq!(nearest_edges(&[90, 95], &[10, 94, 99]), Some(vec![94, 99]));
        assert_eq!(nearest_edges(&[5, 6], &[50]), None);
        assert_eq!(nearest_edges(&[], &[50]), Some(Vec::new()));
        let times = Times { column: "year".into(), of_row: (0..60).map(|row| f64::from(row / 30)).collect() };
        let rows: Vec<RowIdx> = (0..60).collect();
        let message = Rule::Time(&times).split(&rows, 0.2, 0.2, 0).unwrap_err().to_string();
        assert!(message.contains("column `year` has 2 different times, which make no 3 parts"), "{message}");
    }
}
