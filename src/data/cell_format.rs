//! Cells that are written in a way of their own: numbers in a dress, many spellings of yes and no, days before months.

pub use crate::config::CellFormat;

use super::cell::{Numeric, days_from_slashes, decimal_number};

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

    /// The number that a cell holds, if the format is one of numbers and the cell holds one.
    pub(super) fn number(self, cell: &str) -> Option<f64> {
        let undressed = match self {
            Self::DecimalPoint => undress(cell, false),
            Self::DecimalComma => undress(cell, true),
            Self::YesNo | Self::DayFirst | Self::MonthFirst => None,
        };
        undressed.map(|(number, _)| number)
    }

    /// The days since 1970-01-01 that a cell holds, if the format is one of dates.
    pub(super) fn days(self, cell: &str) -> Option<f64> {
        match self {
            Self::DayFirst => days_from_slashes(cell, true),
            Self::MonthFirst => days_from_slashes(cell, false),
            Self::DecimalPoint | Self::DecimalComma | Self::YesNo => None,
        }
    }

    /// What a cell says as a level.
    pub(super) fn level(self, cell: &str) -> &str {
        match self {
            Self::YesNo => yes_or_no(cell).map_or(cell, |yes| if yes { "yes" } else { "no" }),
            _ => cell,
        }
    }
}

/// Whether a word says yes or no.
pub(super) fn yes_or_no(word: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    if is(&YES) { Some(true) } else { is(&NO).then_some(false) }
}

/// What stands around the digits of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signs {
    percent: bool,
    currency: Option<char>,
    grouped: bool,
}

/// A number with the sign of a currency or per cent, or with its thousands set apart.
fn undress(cell: &str, decimal_comma: bool) -> Option<(f64, Signs)> {
    let (mark, group) = if decimal_comma { (',', '.') } else { ('.', ',') };
    let is_space = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{202f}');
    let mut text = cell.trim();
    let mut signs = Signs { percent: false, currency: None, grouped: false };
    let mut negative = false;
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
        if next.len() != 3 || !is_digits(next) || first.len() > 3 {
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
        if !is_digits(decimals) && (signs.grouped || signs.percent || signs.currency.is_some()) {
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
    any_plain: bool,
}

#[derive(Debug, Default)]
struct Hypothesis {
    refuted: bool,
    /// Whether cells are in per cent: all of them or none.
    percent: Option<bool>,
    currency: Option<char>,
    grouped: bool,
    /// A comma (or a point) before other than three digits, which can be no thousands.
    decimal: bool,
}

#[derive(Debug, Default)]
struct Dates {
    refuted: bool,
    any: bool,
}

impl Dress {
    /// A cell that is a plain number.
    pub(super) fn plain(&mut self, whole: bool) {
        self.any_plain = true;
        self.point.in_percent(false);
        self.comma.in_percent(false);
        // A point before decimals leaves no room for a comma there.
        self.comma.refuted |= !whole;
    }

    /// A cell that is none.
    pub(super) fn word(&mut self, text: &str) {
        self.point.word(text, false);
        self.comma.word(text, true);
        for (dates, day_first) in [(&mut self.day_first, true), (&mut self.month_first, false)] {
            if !dates.refuted {
                dates.any = true;
                dates.refuted = days_from_slashes(text, day_first).is_none();
            }
        }
    }

    /// The format that all cells fit, with what to say of it.
    pub(super) fn format(&self) -> Option<(CellFormat, String)> {
        if let Some(words) = self.point.words("") {
            return Some((CellFormat::DecimalPoint, words));
        }
        if let Some(words) = self.comma.words(" with a decimal comma") {
            return Some((CellFormat::DecimalComma, words));
        }
        match (self.day_first.fits(self.any_plain), self.month_first.fits(self.any_plain)) {
            (true, false) => Some((CellFormat::DayFirst, "dates, the day before the month".to_owned())),
            (false, true) => Some((CellFormat::MonthFirst, "dates, the month before the day".to_owned())),
            _ => None,
        }
    }

    /// Whether the cells are dates of which nobody can say whether the day or the month stands first.
    pub(super) fn is_unclear_date(&self) -> bool {
        self.day_first.fits(self.any_plain) && self.month_first.fits(self.any_plain)
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

    fn word(&mut self, text: &str, decimal_comma: bool) {
        if self.refuted {
            return;
        }
        let Some((_, signs)) = undress(text, decimal_comma) else {
            self.refuted = true;
            return;
        };
        self.in_percent(signs.percent);
        self.grouped |= signs.grouped;
        self.decimal |= decimal_comma && text.contains(',');
        if let Some(sign) = signs.currency {
            self.refuted |= self.currency.is_some_and(|known| known != sign);
            self.currency = Some(sign);
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
        words.extend(self.currency.map(|sign| format!(" with the sign {sign}")));
        if self.grouped {
            words.push(" with thousands set apart".to_owned());
        }
        if self.decimal {
            words.push(decimal.to_owned());
        }
        (words.len() > 1).then(|| words.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(cells: &[&str]) -> Option<CellFormat> {
        let mut dress = Dress::default();
        for cell in cells {
            match decimal_number(cell, false) {
                Numeric::Finite(x) => dress.plain(x.fract() == 0.0),
                _ => dress.word(cell),
            }
        }
        dress.format().map(|(format, _)| format)
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
        ] {
            assert_eq!(format.number(cell), Some(number), "{cell}");
        }
        for cell in ["1,23", "12,34,567", "$", "%", "1,2345", "abc", "5 kg", "$5%%", "192.168.1.1", "--5"] {
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
