//! Dates: which parts of a moment become inputs, and how.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

use super::super::cell::Moment;
use super::super::split::TrainRows;
use super::column::{fit_numbers, marks};
use super::number::{self, NumberStep, apply_all};
use super::older;
use super::options::PipelineOptions;
use super::pipeline::Known;
use crate::Result;
use crate::config::DatePart;

/// How a column of dates becomes features: its parts, and whether it was missing.
///
/// A missing date stands at the centre of every circle; what stands in for its other parts the steps say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "older::Date")]
pub struct FittedDate {
    /// The column.
    pub column: String,
    /// What it becomes, in the order of [`DatePart`].
    pub parts: Vec<FittedPart>,
    /// Whether a last feature says where cells are missing.
    pub indicator: bool,
}

/// A part of a date, fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedPart {
    /// Which.
    pub part: DatePart,
    /// What becomes of it as a number, one step after another; none for a point on a circle, which has no scale.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<NumberStep>,
}

impl DatePart {
    /// Whether it is a point on a circle, which is two features.
    pub(super) fn is_cycle(self) -> bool {
        matches!(self, Self::MonthCycle | Self::DayCycle | Self::WeekdayCycle | Self::HourCycle)
    }

    /// The number that it is of a count of days since 1970-01-01; of a cycle the place on it, from 0 on.
    pub(super) fn of(self, days: f64) -> f64 {
        if days.is_nan() || self == Self::Days {
            return days;
        }
        let moment = Moment::of(days);
        match self {
            Self::Days => days,
            Self::Year => moment.year as f64,
            Self::Month => moment.month as f64,
            Self::MonthCycle => (moment.month - 1) as f64,
            Self::Day => moment.day as f64,
            Self::DayCycle => (moment.day - 1) as f64,
            Self::Weekday | Self::WeekdayCycle => moment.weekday as f64,
            Self::Hour | Self::HourCycle => moment.hours,
        }
    }

    /// Sine and cosine of the angle of a moment on the circle of this part.
    fn angle(self, days: f64) -> (f64, f64) {
        let length = match self {
            Self::MonthCycle => 12.0,
            Self::DayCycle => Moment::of(days).days_in_month as f64,
            Self::HourCycle => 24.0,
            _ => 7.0,
        };
        (TAU * self.of(days) / length).sin_cos()
    }
}

impl FittedPart {
    /// The ends of the names of its features.
    fn ends(&self) -> &'static [&'static str] {
        match self.part {
            DatePart::Days => &["days"],
            DatePart::Year => &["year"],
            DatePart::Month => &["month"],
            DatePart::Day => &["day"],
            DatePart::Weekday => &["weekday"],
            DatePart::Hour => &["hour"],
            DatePart::MonthCycle => &["month_sin", "month_cos"],
            DatePart::DayCycle => &["day_sin", "day_cos"],
            DatePart::WeekdayCycle => &["weekday_sin", "weekday_cos"],
            DatePart::HourCycle => &["hour_sin", "hour_cos"],
        }
    }

    /// Fills its features, from `at` on, in the rows of a block of the matrix; see [`FittedDate::fill`].
    fn fill(&self, days: &[f64], numbers: &mut Vec<f64>, block: &mut [f64], n_features: usize, at: usize) {
        let rows = block.chunks_exact_mut(n_features);
        if self.part.is_cycle() {
            for (&days, out) in days.iter().zip(rows).filter(|(days, _)| !days.is_nan()) {
                (out[at], out[at + 1]) = self.part.angle(days);
            }
            return;
        }
        // Days are the first part, and come with missing cells filled in by neighbours where that is asked for.
        if self.part != DatePart::Days {
            numbers.clear();
            numbers.extend(days.iter().map(|&days| self.part.of(days)));
        }
        apply_all(&self.steps, numbers);
        rows.zip(numbers).for_each(|(out, &mut number)| out[at] = number);
    }
}

impl FittedDate {
    /// Fits to the days of the training rows. A part that they all share is left out, but for the days themselves.
    pub(super) fn fit(
        name: &str,
        days: &[f64],
        train: &TrainRows,
        options: &PipelineOptions,
        known: &Known,
    ) -> Result<Self> {
        let indicator = marks(options.steps_of(name, false).0) && days.iter().any(|days| days.is_nan());
        let mut parts = Vec::new();
        for &part in DatePart::ALL.iter().filter(|part| options.dates.contains(part)) {
            let values: Vec<f64> = days.iter().map(|&days| part.of(days)).collect();
            let mut present = values.iter().filter(|value| !value.is_nan());
            let first = present.next();
            if part != DatePart::Days && present.all(|value| Some(value) == first) {
                continue;
            }
            let steps = match part {
                DatePart::Days => fit_numbers(name, values, train, options, known)?.0,
                _ if part.is_cycle() => Vec::new(),
                // Neighbours know days, and no parts of them: the mean stands in.
                _ => {
                    let (steps, ..) = fit_numbers(name, values, train, options, &Known::default())?;
                    steps.into_iter().map(NumberStep::without_neighbors).collect()
                }
            };
            parts.push(FittedPart { part, steps });
        }
        Ok(Self { column: name.to_owned(), parts, indicator })
    }

    /// How many features it has.
    pub(super) fn n_features(&self) -> usize {
        self.parts.iter().map(|part| part.ends().len()).sum::<usize>() + usize::from(self.indicator)
    }

    /// The ends of the names of its parts' features.
    pub(super) fn ends(&self) -> impl Iterator<Item = &'static str> {
        self.parts.iter().flat_map(FittedPart::ends).copied()
    }

    /// The steps of the days since 1970, if they are a part.
    pub(super) fn steps_of_days(&self) -> Option<&[NumberStep]> {
        self.parts.iter().find(|part| part.part == DatePart::Days).map(|part| part.steps.as_slice())
    }

    /// What would keep it from computing.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.parts.windows(2).any(|pair| pair[0].part >= pair[1].part) {
            return Some("the parts of the date are not in order, or one of them stands there twice");
        }
        let has_scale = |part: &FittedPart| part.part.is_cycle() && !part.steps.is_empty();
        self.parts.iter().any(has_scale).then_some("a point on a circle has no steps").or_else(|| {
            let numbers = self.parts.iter().filter(|part| !part.part.is_cycle());
            numbers.map(|part| &part.steps).find_map(|steps| number::fault(steps))
        })
    }

    /// Fills the features of its parts, from `at` on, in the rows of a block of the matrix. `days` are the cells of these
    /// rows; `numbers` the same, missing ones perhaps filled in by neighbours, and is left as scratch.
    pub(super) fn fill(
        &self,
        days: &[f64],
        numbers: &mut Vec<f64>,
        block: &mut [f64],
        n_features: usize,
        at: usize,
    ) {
        let mut next = at;
        for part in &self.parts {
            part.fill(days, numbers, block, n_features, next);
            next += part.ends().len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cell::parse_date;
    use super::super::super::table::{Column, ColumnData, Table};
    use super::super::pipeline::Pipeline;
    use super::*;
    use crate::config::Config;

    #[derive(Deserialize)]
    struct Golden {
        cell: String,
        year: f64,
        month: f64,
        day: f64,
        weekday: f64,
        hour: f64,
        days_in_month: f64,
    }

    fn golden() -> Vec<Golden> {
        serde_json::from_str(include_str!("../../../tests/golden/dates.json")).unwrap()
    }

    fn fitted(days: &[f64], sets: &[&str]) -> (Pipeline, Vec<Vec<f64>>) {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let options = PipelineOptions::of(&Config::default().with(&sets).unwrap());
        let column = Column { name: "d".into(), data: ColumnData::Date(days.to_vec()) };
        let table = Table::of_columns(days.len(), vec![column]);
        let rows: Vec<u32> = (0..days.len() as u32).collect();
        let pipeline = Pipeline::fit(&table, &TrainRows::for_test(rows.clone()), &options).unwrap();
        let (matrix, _) = pipeline.transform(&table, &rows).unwrap();
        let width = pipeline.features().len();
        (pipeline, matrix.chunks(width).map(<[f64]>::to_vec).collect())
    }

    fn names(pipeline: &Pipeline) -> Vec<&str> {
        pipeline.features().iter().map(|feature| feature.name.as_str()).collect()
    }

    #[test]
    fn parts_are_those_of_pandas() {
        let golden = golden();
        assert!(golden.len() > 60);
        let days: Vec<f64> = golden.iter().map(|row| parse_date(&row.cell).unwrap()).collect();
        let all = format!("prepare.dates={:?}", DatePart::NAMES);
        let (pipeline, rows) = fitted(&days, &[&all, "prepare.scale=none"]);
        assert_eq!(
            names(&pipeline)[..6],
            ["d.days", "d.year", "d.month", "d.day", "d.weekday", "d.hour"].map(String::from)
        );
        for ((row, found), days) in golden.iter().zip(rows).zip(days) {
            let angles = [
                (row.month - 1.0) / 12.0,
                (row.day - 1.0) / row.days_in_month,
                row.weekday / 7.0,
                row.hour / 24.0,
            ];
            let cycles = angles.iter().flat_map(|turn| [(TAU * turn).sin(), (TAU * turn).cos()]);
            let numbers = [days, row.year, row.month, row.day, row.weekday, row.hour];
            let expected: Vec<f64> = numbers.into_iter().chain(cycles).collect();
            // A day is a fraction of one: an hour is known to some 1e-10.
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
            assert!(found.iter().zip(&expected).all(near), "{}: {found:?} {expected:?}", row.cell);
        }
    }

    #[test]
    fn what_all_training_rows_share_is_left_out_but_days() {
        let days = |texts: &[&str]| texts.iter().map(|text| parse_date(text).unwrap()).collect::<Vec<_>>();
        let (pipeline, _) = fitted(&days(&["2024-01-05", "2024-01-06"]), &[]);
        assert_eq!(names(&pipeline), ["d.days", "d.weekday_sin", "d.weekday_cos"]);
        let (pipeline, _) = fitted(&days(&["2024-01-05T10:00", "2024-01-05T11:00"]), &[]);
        assert_eq!(names(&pipeline), ["d.days", "d.hour_sin", "d.hour_cos"]);
        let (pipeline, _) = fitted(&days(&["2024-01-05", "2024-01-05"]), &[]);
        assert_eq!(names(&pipeline), ["d.days"]);
    }

    #[test]
    fn a_missing_date_stands_at_the_centres_and_at_the_figure_of_the_training_rows() {
        let days = [0.0, 400.0, f64::NAN];
        let sets =
            ["prepare.dates=['days', 'year', 'month_cycle']", "prepare.scale=none", "prepare.impute=knn"];
        let (pipeline, rows) = fitted(&days, &sets);
        let all = ["d.days", "d.year", "d.month_sin", "d.month_cos", "d=missing"];
        assert_eq!(names(&pipeline), all);
        assert_eq!(rows[2], [200.0, 1970.5, 0.0, 0.0, 1.0]);
        let saved = serde_json::to_string(&pipeline).unwrap();
        let again: Pipeline = serde_json::from_str(&saved).unwrap();
        assert_eq!(again.columns(), pipeline.columns());
    }

    #[test]
    fn damaged_parts_are_refused() {
        let part = |part: &str, steps: &str| format!(r#"{{"part":"{part}","steps":[{steps}]}}"#);
        let read = |parts: &[String]| {
            let parts = parts.join(",");
            let date = format!(r#"{{"type":"date","column":"d","parts":[{parts}],"indicator":false}}"#);
            serde_json::from_str::<Pipeline>(&format!(r#"{{"columns":[{date}]}}"#)).map_err(|e| e.to_string())
        };
        let filled = r#"{"step":"impute","with":0}"#;
        read(&[part("days", filled), part("year", filled), part("day_cycle", "")]).unwrap();
        for (parts, words) in [
            (vec![part("year", filled), part("days", filled)], "not in order"),
            (vec![part("year", filled), part("year", filled)], "stands there twice"),
            (vec![part("year", "")], "no step fills in"),
            (vec![part("day_cycle", filled)], "has no steps"),
            (vec![part("century", filled)], "unknown variant"),
            (vec![], "no features"),
        ] {
            let message = read(&parts).unwrap_err();
            assert!(message.contains(words), "{message}");
        }
    }
}
