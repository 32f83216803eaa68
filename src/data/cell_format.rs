//! Cells that are written in a way of their own: numbers in a dress, many spellings of yes and no, days before months.

pub use crate::config::CellFormat;

use super::cell::{Numeric, days_from_slashes, decimal_number, finite_decimal, has_short_year};

/// The signs of currencies that are read.
const CURRENCIES: [char; 6] = ['$', '€', '£', '¥', '₹', '₽'];
/// Words that say yes, and such that say no.
const YES: [&str; 6] = ["yes", "y", "true", "t", "on", "1"];
const NO: [&str; 6] = ["no", "n", "false", "f", "off", "0"];

impl CellFormat {
    /// Whether cells of this format are numbers.
    pub(super) fn is_of_numbers(self) -> bool {
        matches!(self, Self::DecimalPoint | Self::DecimalComma)
    }

    /// Whether a comma stands before decimals, if the format is one of numbers.
    pub(crate) fn decimal_comma(self) -> Option<bool> {
        self.is_of_numbers().then_some(self == Self::DecimalComma)
    }

    /// The number that a cell holds, in a dress or plain, if the format is one of numbers and the cell holds one.
    pub fn number(self, cell: &str) -> Option<f64> {
        let comma = self.decimal_comma()?;
        finite_decimal(cell, comma).or_else(|| undress(cell, comma).map(|(number, _)| number))
    }

    /// The days since 1970-01-01 that a cell holds, if the format is one of dates.
    pub(crate) fn days(self, cell: &str) -> Option<f64> {
        match self {
            Self::DayFirst => days_from_slashes(cell, true),
            Self::MonthFirst => days_from_slashes(cell, false),
            Self::DecimalPoint | Self::DecimalComma | Self::YesNo => None,
        }
    }

    /// Whether a cell is a number or a date of this format.
    pub(super) fn reads(self, cell: &str) -> bool {
        self.number(cell).is_some() || self.days(cell).is_some()
    }

    /// The format of numbers or dates in which most of these cells are written, if any is; of two that read as many, that
    /// with the decimal mark of the table, and that with the day first.
    pub(crate) fn nearest<'c>(
        cells: &(impl Iterator<Item = &'c str> + Clone),
        decimal_comma: bool,
    ) -> Option<Self> {
        let [own, other] = if decimal_comma {
            [Self::DecimalComma, Self::DecimalPoint]
        } else {
            [Self::DecimalPoint, Self::DecimalComma]
        };
        // The last of equals is taken.
        let formats = [Self::MonthFirst, Self::DayFirst, other, own];
        let read = formats.map(|format| (cells.clone().filter(|cell| format.reads(cell)).count(), format));
        read.into_iter().max_by_key(|(n, _)| *n).filter(|(n, _)| *n > 0).map(|(_, format)| format)
    }

    /// What a cell says as a level.
    pub(super) fn level(self, cell: &str) -> &str {
        match self {
            Self::YesNo => yes_or_no(cell).map_or(cell, |yes| if yes { "yes" } else { "no" }),
            _ => cell,
        }
    }
}

/// The number that a cell holds: by the format of its column, else by the decimal mark of its table.
pub(super) fn number_in(cell: &str, format: Option<CellFormat>, decimal_comma: bool) -> Option<f64> {
    match format.filter(|format| format.is_of_numbers()) {
        Some(format) => format.number(cell),
        None => finite_decimal(cell, decimal_comma).or_else(|| with_both_marks(cell, decimal_comma)),
    }
}

/// The number that a cell with both marks holds, which can be meant in one way only: `1,234.50` where points stand before
/// decimals.
fn with_both_marks(cell: &str, decimal_comma: bool) -> Option<f64> {
    let plain = Signs { grouped: true, ..Signs::default() };
    let has_both = cell.contains('.') && cell.contains(',');
    undress(cell, decimal_comma).filter(|(_, signs)| has_both && *signs == plain).map(|(number, _)| number)
}

/// The number that a cell holds if the other decimal mark is meant, where its own makes none of it.
pub(super) fn by_other_mark(cell: &str, format: Option<CellFormat>, decimal_comma: bool) -> Option<f64> {
    let comma = format.and_then(CellFormat::decimal_comma).unwrap_or(decimal_comma);
    let has_mark = cell.contains(['.', ',']);
    number_in(cell, None, !comma).filter(|_| has_mark && number_in(cell, format, comma).is_none())
}

/// Whether a word says yes or no.
pub(super) fn yes_or_no(word: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    if is(&YES) { Some(true) } else { is(&NO).then_some(false) }
}

/// What stands around the digits of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Signs {
    percent: bool,
    currency: Option<char>,
    grouped: bool,
    brackets: bool,
}

/// A cell without signs, white space and currencies before or behind it.
pub(super) fn bare(cell: &str) -> &str {
    cell.trim_matches(|c: char| c.is_whitespace() || CURRENCIES.contains(&c) || "-−+%".contains(c))
}

/// A number with the sign of a currency or per cent, or with its thousands set apart.
fn undress(cell: &str, decimal_comma: bool) -> Option<(f64, Signs)> {
    let (mark, group) = if decimal_comma { (',', '.') } else { ('.', ',') };
    let is_space = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{202f}');
    let mut text = cell.trim();
    let mut signs = Signs::default();
    // As accountants write what is below 0.
    if let Some(inside) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        (signs.brackets, text) = (true, inside.trim());
    }
    let mut negative = signs.brackets;
    // The sign of a currency stands before or behind, and a minus before or behind that.
    for _ in 0..2 {
        if let Some(rest) = text.strip_prefix(['-', '−']).filter(|_| !negative) {
            (negative, text) = (true, rest.trim_start_matches(is_space));
        }
        if let Some(sign) = text.chars().next().filter(|c| CURRENCIES.contains(c)) {
            (signs.currency, text) = (Some(sign), text[sign.len_utf8()..].trim_start_matches(is_space));
        }
    }
    if let Some(rest) = text.strip_suffix('%') {
        (signs.percent, text) = (true, rest.trim_end_matches(is_space));
    } else if let Some(sign) = text.chars().next_back().filter(|c| CURRENCIES.contains(c)) {
        (signs.currency, text) =
            (Some(sign), text[..text.len() - sign.len_utf8()].trim_end_matches(is_space));
    }
    let (whole, decimals) = text.split_once(mark).unwrap_or((text, ""));
    let mut groups = whole.split(|c| c == group || c == '\'' || is_space(c));
    let first = groups.next()?;
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mut digits = String::from(if negative { "-" } else { "" });
    digits.push_str(first);
    for next in groups {
        if next.len() != 3 || !is_digits(next) || first.len() > 3 || first.starts_with('0') {
            return None;
        }
        signs.grouped = true;
        digits.push_str(next);
    }
    let bare_decimals = first.is_empty() && !signs.grouped && !decimals.is_empty();
    if !is_digits(first) && !bare_decimals {
        return None;
    }
    if !decimals.is_empty() {
        // An exponent goes with a number that is dressed in nothing.
        let is_dressed = signs.grouped || signs.percent || signs.brackets || signs.currency.is_some();
        if !is_digits(decimals) && is_dressed {
            return None;
        }
        digits.push('.');
        digits.push_str(decimals);
    }
    match decimal_number(&digits, false) {
        Numeric::Finite(x) => Some((x, signs)),
        Numeric::NotFinite | Numeric::Not => None,
    }
}

/// What the cells of a column would be as numbers in a dress, with a point before decimals or with a comma.
#[derive(Debug, Default)]
pub(super) struct Dress {
    point: Hypothesis,
    comma: Hypothesis,
    day_first: Dates,
    month_first: Dates,
    /// Whether the year of a cell that may be a date has two digits.
    short_years: bool,
    any_plain: bool,
}

#[derive(Debug, Default)]
struct Hypothesis {
    refuted: bool,
    /// Whether cells are in per cent: all of them or none.
    percent: Option<bool>,
    /// What stands around some of the cells.
    seen: Signs,
    /// Whether decimals stand behind the mark.
    decimal: bool,
}

#[derive(Debug, Default)]
struct Dates {
    refuted: bool,
    any: bool,
}

impl Dress {
    /// That some cells are plain numbers of the table's decimal mark.
    pub(super) fn any_plain(&mut self) {
        self.any_plain = true;
        self.point.in_percent(false);
        self.comma.in_percent(false);
    }

    /// A plain number of the table's decimal mark as one of the other mark: `5.157` may be thousands. False where it is
    /// none, and the first such cell of a column.
    pub(super) fn plain(&mut self, text: &str, decimal_comma: bool) -> bool {
        let other = self.other(decimal_comma);
        let was_refuted = other.refuted;
        if memchr::memchr2(b'.', b',', text.as_bytes()).is_some() {
            other.number(text, !decimal_comma);
        }
        was_refuted || !other.refuted
    }

    /// That some numbers have decimals of which no text says where they begin.
    pub(super) fn typed_decimals(&mut self, decimal_comma: bool) {
        self.other(decimal_comma).refuted = true;
    }

    /// Whether the cells may be numbers of the other decimal mark than the table's.
    pub(super) fn may_be_other(&self, decimal_comma: bool) -> bool {
        let other = if decimal_comma { &self.point } else { &self.comma };
        !other.refuted
    }

    /// Whether some would be another number then: `5.157` or `1,234`.
    pub(super) fn is_ambiguous(&self, decimal_comma: bool) -> bool {
        let other = if decimal_comma { &self.point } else { &self.comma };
        !other.refuted && other.seen.grouped
    }

    fn other(&mut self, decimal_comma: bool) -> &mut Hypothesis {
        if decimal_comma { &mut self.point } else { &mut self.comma }
    }

    /// A cell that is none.
    pub(super) fn word(&mut self, text: &str) {
        self.point.number(text, false);
        self.comma.number(text, true);
        self.short_years |= has_short_year(text);
        for (dates, day_first) in [(&mut self.day_first, true), (&mut self.month_first, false)] {
            if !dates.refuted {
                dates.any = true;
                dates.refuted = days_from_slashes(text, day_first).is_none();
            }
        }
    }

    /// The format that all cells fit, with what to say of it; where they fit both decimal marks, that of the table's.
    pub(super) fn format(&self, decimal_comma: bool) -> Option<(CellFormat, String)> {
        let words = |comma: bool| {
            let (hypothesis, format, decimal) = if comma {
                (&self.comma, CellFormat::DecimalComma, " with a decimal comma")
            } else {
                (&self.point, CellFormat::DecimalPoint, " with a decimal point")
            };
            Some((format, hypothesis.words(if comma == decimal_comma { "" } else { decimal })?))
        };
        if let Some(found) = words(decimal_comma).or_else(|| words(!decimal_comma)) {
            return Some(found);
        }
        match (self.day_first.fits(self.any_plain), self.month_first.fits(self.any_plain)) {
            _ if self.short_years => None,
            (true, false) => Some((CellFormat::DayFirst, "dates, the day before the month".to_owned())),
            (false, true) => Some((CellFormat::MonthFirst, "dates, the month before the day".to_owned())),
            _ => None,
        }
    }

    /// Whether the cells are dates of which nobody can say whether the day or the month stands first: where the year has
    /// two digits it might be the first of the three, as in `24/12/31`.
    pub(super) fn is_unclear_date(&self) -> bool {
        let [day, month] = [&self.day_first, &self.month_first].map(|dates| dates.fits(self.any_plain));
        day && month || self.short_years && (day || month)
    }
}

impl Dates {
    fn fits(&self, any_plain: bool) -> bool {
        self.any && !self.refuted && !any_plain
    }
}

impl Hypothesis {
    /// 12 % beside 0.12 may mean the same or not.
    fn in_percent(&mut self, percent: bool) {
        self.refuted |= *self.percent.get_or_insert(percent) != percent;
    }

    fn number(&mut self, text: &str, decimal_comma: bool) {
        if self.refuted {
            return;
        }
        let Some((_, signs)) = undress(text, decimal_comma) else {
            self.refuted = true;
            return;
        };
        self.in_percent(signs.percent);
        self.seen.grouped |= signs.grouped;
        self.seen.brackets |= signs.brackets;
        self.decimal |= text.contains(if decimal_comma { ',' } else { '.' });
        if let Some(sign) = signs.currency {
            self.refuted |= self.seen.currency.is_some_and(|known| known != sign);
            self.seen.currency = Some(sign);
        }
    }

    /// What the dress is, if it is one and the same for all.
    fn words(&self, decimal: &str) -> Option<String> {
        if self.refuted {
            return None;
        }
        let mut words = vec!["numbers".to_owned()];
        if self.percent == Some(true) {
            words.push(" in per cent, 12 % read as 12".to_owned());
        }
        words.extend(self.seen.currency.map(|sign| format!(" with the sign {sign}")));
        if self.seen.grouped {
            words.push(" with thousands set apart".to_owned());
        }
        if self.seen.brackets {
            words.push(", those below 0 in brackets".to_owned());
        }
        if self.decimal && !decimal.is_empty() {
            words.push(decimal.to_owned());
        }
        (words.len() > 1).then(|| words.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_in(cells: &[&str], decimal_comma: bool) -> Option<CellFormat> {
        let mut dress = Dress::default();
        for cell in cells {
            match decimal_number(cell, decimal_comma) {
                Numeric::Finite(_) => {
                    dress.any_plain();
                    dress.plain(cell, decimal_comma);
                }
                _ => dress.word(cell),
            }
        }
        dress.format(decimal_comma).map(|(format, _)| format)
    }

    fn format(cells: &[&str]) -> Option<CellFormat> {
        format_in(cells, false)
    }

    /// `5.157` is thousands in a column with decimal commas, and what fits both marks is of the table's.
    #[test]
    fn the_decimal_mark_of_the_table_and_the_thousands_of_a_column_are_heeded() {
        use CellFormat::{DecimalComma, DecimalPoint};
        assert_eq!(format(&["5.157", "1.234,5", "3"]), Some(DecimalComma));
        assert_eq!(format(&["5.157", "12.480", "1.034.000"]), Some(DecimalComma));
        assert_eq!(format(&["5.15", "1.234,5"]), None);
        assert_eq!(format(&["0.157", "1.234,5"]), None, "no thousands start with 0");
        assert_eq!(format(&["0,157", "5,234"]), Some(DecimalComma));
        assert_eq!(format_in(&["1,234 €", "5"], true), Some(DecimalComma));
        assert_eq!(format_in(&["$1,234.50", "1,234"], true), Some(DecimalPoint));
        assert_eq!(format_in(&["3.25", "7"], true), Some(DecimalPoint));
        assert_eq!(DecimalComma.number("5.157"), Some(5157.0));
        assert_eq!(
            (number_in("5.157", None, true), number_in("5.157", None, false)),
            (Some(5157.0), Some(5.157))
        );
        assert_eq!(number_in("5.157", Some(DecimalPoint), true), Some(5.157));
    }

    #[test]
    fn numbers_are_read_out_of_their_dress() {
        use CellFormat::{DecimalComma, DecimalPoint};
        for (cell, format, number) in [
            ("$1,234.50", DecimalPoint, 1234.5),
            ("-$5", DecimalPoint, -5.0),
            ("$-5", DecimalPoint, -5.0),
            ("12 %", DecimalPoint, 12.0),
            ("1'000'000", DecimalPoint, 1e6),
            ("1 234,5 €", DecimalComma, 1234.5),
            ("1.234.567", DecimalComma, 1_234_567.0),
            (",5", DecimalComma, 0.5),
            ("7", DecimalComma, 7.0),
            ("(1,234.50)", DecimalPoint, -1234.5),
            ("($5)", DecimalPoint, -5.0),
            ("(1.234,5)", DecimalComma, -1234.5),
        ] {
            assert_eq!(format.number(cell), Some(number), "{cell}");
        }
        for cell in [
            "1,23",
            "12,34,567",
            "$",
            "%",
            "1,2345",
            "abc",
            "5 kg",
            "$5%%",
            "192.168.1.1",
            "--5",
            "(-5)",
            "(5",
            "()",
        ] {
            assert_eq!(DecimalPoint.number(cell), None, "{cell}");
        }
    }

    #[test]
    fn one_dress_goes_for_all_cells_of_a_column() {
        use CellFormat::{DayFirst, DecimalComma, DecimalPoint, MonthFirst};
        assert_eq!(format(&["$5", "1,000", "7.5"]), Some(DecimalPoint));
        assert_eq!(format(&["3,5", "4,25", "1.000,5"]), Some(DecimalComma));
        assert_eq!(format(&["1,234", "5,678"]), Some(DecimalPoint), "thousands, where it may be either");
        assert_eq!(format(&["12%", "3 %"]), Some(DecimalPoint));
        assert_eq!(format(&["(12)", "3.5"]), Some(DecimalPoint));
        for cells in [&["12%", "0.3"][..], &["$5", "€5"], &["3,5", "4.5"], &["a", "$5"], &["5", "6"], &[]] {
            assert_eq!(format(cells), None, "{cells:?}");
        }
        assert_eq!(format(&["31/12/2024", "1/2/2024"]), Some(DayFirst));
        assert_eq!(format(&["12/31/2024", "1/2/2024 10:30"]), Some(MonthFirst));
        assert_eq!(format(&["1/2/2024", "3/4/2024"]), None);
    }

    #[test]
    fn words_for_yes_and_no_are_known() {
        for (word, yes) in [("Yes", true), ("TRUE", true), ("off", false), ("n", false)] {
            assert_eq!(yes_or_no(word), Some(yes));
        }
        assert_eq!(yes_or_no("maybe"), None);
        assert_eq!(CellFormat::YesNo.level("Y"), "yes");
    }
}
