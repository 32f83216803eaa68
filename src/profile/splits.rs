//! Hints at how rows should be split, where nobody has said: by whom they are of, or in the order of time.

use super::Profile;
use super::column::ColumnProfile;
use super::source::Role;
use super::warnings::{Concern, FEWEST_ROWS, Warning, quoted, warning};
use crate::config::Config;
use crate::data::ColumnKind;
use crate::data::schema::words_of_name;
use crate::data::words::{counted, shown};

/// Fewer different values than this are no entities that rows are of, but kinds of them.
const FEWEST_VALUES: usize = 10;

/// What rows may be of, several of them each.
const ENTITIES: [&str; 34] = [
    "account",
    "animal",
    "author",
    "client",
    "company",
    "customer",
    "device",
    "doctor",
    "driver",
    "employee",
    "family",
    "firm",
    "group",
    "hospital",
    "household",
    "machine",
    "member",
    "merchant",
    "participant",
    "patient",
    "person",
    "player",
    "school",
    "seller",
    "sensor",
    "session",
    "shop",
    "speaker",
    "station",
    "store",
    "student",
    "subject",
    "user",
    "vehicle",
];
/// What names such a one.
const NAMES: [&str; 10] = ["id", "ids", "uid", "uuid", "guid", "key", "code", "name", "no", "number"];
/// What an identifier may be of besides: kinds, which rows of every part are of.
const KINDS: [&str; 17] = [
    "category", "city", "class", "color", "colour", "country", "county", "currency", "district", "kind",
    "language", "level", "month", "region", "state", "status", "type",
];

/// Whether a column is named like what rows are of: `patient`, `customer_id`, `UserID`; and not like a kind: `type_id`.
pub(super) fn named_like_an_entity(name: &str) -> bool {
    let words = words_of_name(name);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [only] => {
            let singular = only.strip_suffix('s').unwrap_or(only);
            let joined = only.strip_suffix("id").is_some_and(|of| ENTITIES.contains(&of));
            joined || ["id", "uid", "uuid", "guid"].contains(&only) || ENTITIES.contains(&singular)
        }
        [.., of, last] if NAMES.contains(&last) => {
            ENTITIES.contains(&of) || last.ends_with("id") && !KINDS.contains(&of)
        }
        [..] => false,
    }
}

/// Whether the figures of a column are such as those of what rows are of: many different values, each of several rows.
fn repeats(present: usize, distinct: usize) -> bool {
    present >= FEWEST_ROWS && distinct >= FEWEST_VALUES && present >= 2 * distinct
}

/// Whether nobody has said how rows are split.
fn is_open(config: &Config) -> bool {
    let s = &config.split;
    [&s.column, &s.group, &s.time].iter().all(|column| column.is_empty())
}

/// The hint at a column of which so many cells are there, with so many different values, if it is one of entities.
pub(super) fn entity(config: &Config, name: &str, present: usize, distinct: usize) -> Option<Warning> {
    if !is_open(config) || !named_like_an_entity(name) || !repeats(present, distinct) {
        return None;
    }
    let text = format!(
        "{}: {} in {}, and rows are drawn at random: rows of one stand on both sides of the split, so that the figures are of \
         those that are known, not of new ones",
        shown(name),
        counted(distinct, "different value"),
        counted(present, "row")
    );
    Some(warning(Concern::Entities, &[name], text, format!("split.group = {}", quoted(name))))
}

/// The hint at a split, if one seems to be asked for: by the column of entities that has most values, or else by the first of
/// dates.
pub(super) fn hint(profile: &Profile, config: &Config) -> Option<Warning> {
    let is_asked = |c: &&ColumnProfile| {
        c.role == Role::Input && c.not_read.is_none() && c.dropped.as_deref() != Some("as set")
    };
    let columns = || profile.columns.iter().filter(is_asked);
    let is_name = |c: &&ColumnProfile| match c.kind {
        ColumnKind::Number => c.numbers.as_ref().is_some_and(|x| x.whole),
        ColumnKind::Date => false,
        ColumnKind::Category | ColumnKind::Text | ColumnKind::Identifier => true,
    };
    let entities = columns()
        .filter(is_name)
        .filter_map(|c| Some((c.distinct, entity(config, &c.name, c.present(profile.n_rows), c.distinct)?)));
    // The first of those with as many.
    let most = entities.reduce(|most, next| if next.0 > most.0 { next } else { most });
    most.map(|(_, hint)| hint).or_else(|| in_time(columns(), profile, config))
}

/// The hint at the first column of dates that every row has, and that is no birthday.
fn in_time<'p>(
    mut columns: impl Iterator<Item = &'p ColumnProfile>,
    profile: &Profile,
    config: &Config,
) -> Option<Warning> {
    const BIRTH: [&str; 6] = ["birth", "birthday", "birthdate", "born", "dob", "bday"];
    let is_time = |c: &&ColumnProfile| {
        let birth = words_of_name(&c.name).iter().any(|word| BIRTH.contains(&word.as_str()));
        c.kind == ColumnKind::Date && c.missing == 0 && c.distinct >= FEWEST_VALUES && !birth
    };
    if !is_open(config) || profile.n_rows < FEWEST_ROWS {
        return None;
    }
    let column = columns.find(is_time)?;
    let numbers = column.numbers.as_ref()?;
    let text = format!(
        "{}: dates from {} to {}, and rows are drawn at random: if the model is to tell of later rows, train on earlier ones",
        shown(&column.name),
        column.shown(numbers.min),
        column.shown(numbers.max)
    );
    Some(warning(Concern::InTime, &[&column.name], text, format!("split.time = {}", quoted(&column.name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_entities_are_told_from_those_of_kinds_and_measures() {
        for name in [
            "patient",
            "Patients",
            "customer_id",
            "UserID",
            "user id",
            "userId",
            "id",
            "group",
            "subject_no",
            "order_id",
        ] {
            assert!(named_like_an_entity(name), "{name}");
        }
        for name in [
            "",
            "age",
            "age_group",
            "blood group",
            "type_id",
            "country_id",
            "paid",
            "solid",
            "bid",
            "members_count",
            "x1",
            "zip_code",
            "store_area",
            "number",
        ] {
            assert!(!named_like_an_entity(name), "{name}");
        }
    }

    #[test]
    fn several_rows_of_many_are_asked_for() {
        let mut config = Config::default();
        assert!(entity(&config, "patient", 200, 100).is_some());
        // Each once, about; few kinds; few rows; another name.
        for (name, present, distinct) in
            [("patient", 199, 100), ("patient", 400, 9), ("patient", 18, 9), ("dose", 200, 50)]
        {
            assert_eq!(entity(&config, name, present, distinct), None, "{name} {present} {distinct}");
        }
        config.split.time = "day".into();
        assert_eq!(entity(&config, "patient", 200, 100), None);
    }
}
