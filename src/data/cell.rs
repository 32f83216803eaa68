//! What the text of one cell can mean: nothing, a number, a date.

/// The words that count as missing when nothing else is set.
pub const DEFAULT_NULL_WORDS: [&str; 12] =
    ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?", "-", "missing"];

/// The largest whole number up to which every one is a 64-bit float: 2⁵³.
pub(crate) const EXACT: f64 = 9_007_199_254_740_992.0;

/// The words that count as missing, made to be asked once a cell.
#[derive(Debug, Clone)]
pub(super) struct NullWords {
    words: Vec<String>,
    longest: usize,
    /// Whether any word starts with this byte: most cells need no further look.
    starts: [bool; 256],
    empty: bool,
}

impl NullWords {
    pub(super) fn new(words: &[String]) -> Self {
        let words: Vec<String> = words.iter().map(|word| word.trim().to_owned()).collect();
        let mut starts = [false; 256];
        let first_bytes = words.iter().filter_map(|word| word.bytes().next());
        first_bytes.for_each(|byte| starts[usize::from(byte)] = true);
        let empty = words.iter().any(String::is_empty);
        let longest = words.iter().map(String::len).max().unwrap_or_default();
        Self { words, longest, starts, empty }
    }

    pub(super) fn contains(&self, trimmed: &str) -> bool {
        match trimmed.bytes().next() {
            None => self.empty,
            Some(byte) => {
                self.starts[usize::from(byte)]
                    && trimmed.len() <= self.longest
                    && self.words.iter().any(|word| word == trimmed)
            }
        }
    }
}

/// What a cell is worth as a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Numeric {
    /// A number to compute with.
    Finite(f64),
    /// `inf`, or digits beyond the range of a 64-bit float.
    NotFinite,
    /// Something else than a number.
    Not,
}

/// Reads a number as written in most languages: sign, digits, point, exponent; `-0` becomes 0.
#[inline]
pub(super) fn parse_number(trimmed: &str) -> Numeric {
    if let Some(x) = short_decimal(trimmed.as_bytes(), b'.') {
        return Numeric::Finite(x);
    }
    match trimmed.parse::<f64>() {
        Ok(x) if x.is_finite() => Numeric::Finite(x + 0.0),
        Ok(x) if x.is_nan() => Numeric::Not,
        Ok(_) => Numeric::NotFinite,
        Err(_) => Numeric::Not,
    }
}

/// [`parse_number`], or with a comma in the place of the point, and points between thousands: `1.034,5`, `5.157`.
#[inline]
pub(super) fn decimal_number(trimmed: &str, decimal_comma: bool) -> Numeric {
    if !decimal_comma {
        return parse_number(trimmed);
    }
    if let Some(x) = short_decimal(trimmed.as_bytes(), b',') {
        return Numeric::Finite(x);
    }
    if !trimmed.contains('.') {
        return parse_number(&trimmed.replacen(',', ".", 1));
    }
    match without_thousands(trimmed) {
        Some(text) => parse_number(&text.replacen(',', ".", 1)),
        None => Numeric::Not,
    }
}

/// A number with points between its thousands, and perhaps decimals behind a comma, without the points.
fn without_thousands(text: &str) -> Option<String> {
    let (whole, _) = text.split_once(',').unwrap_or((text, ""));
    let mut groups = whole.strip_prefix(['-', '+']).unwrap_or(whole).split('.');
    let is_digits = |group: &str| group.bytes().all(|b| b.is_ascii_digit());
    let first = groups.next()?;
    let starts = (1..=3).contains(&first.len()) && is_digits(first) && !first.starts_with('0');
    let fits = starts && groups.all(|group| group.len() == 3 && is_digits(group));
    fits.then(|| whole.replace('.', "") + &text[whole.len()..])
}

/// A number of so few digits that an integer below 2⁵³ divided by a power of ten up to 10²² is it, both exact, so that
/// the quotient is rounded once (Clinger 1990); nothing for any other.
#[inline]
fn short_decimal(text: &[u8], mark: u8) -> Option<f64> {
    const POWERS: [f64; 19] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
        1e18,
    ];
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    // Of more digits hardly any are below 2⁵³: they need not be looked at.
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut whole = 0u64;
    let mut decimals = None;
    let mut n = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            whole = whole.wrapping_mul(10).wrapping_add(u64::from(digit));
            n += 1;
        } else if byte == mark && decimals.is_none() {
            decimals = Some(n);
        } else {
            return None;
        }
    }
    if n == 0 || whole > 1 << 53 {
        return None;
    }
    let x = whole as f64 / POWERS[n - decimals.unwrap_or(n)];
    Some(if negative { 0.0 - x } else { x })
}

/// The number that a cell holds, if it is a finite one.
pub(crate) fn finite(trimmed: &str) -> Option<f64> {
    finite_decimal(trimmed, false)
}

/// [`finite`], with the decimal mark of the table.
pub(super) fn finite_decimal(trimmed: &str, decimal_comma: bool) -> Option<f64> {
    match decimal_number(trimmed, decimal_comma) {
        Numeric::Finite(x) => Some(x),
        Numeric::NotFinite | Numeric::Not => None,
    }
}

/// Days since 1970-01-01, with the time as a fraction (UTC when the cell names a zone).
///
/// Takes `YYYY-MM-DD`, `YYYY/MM/DD`, `DD.MM.YYYY`, `12 Jan 2023` and `Jan 12, 2023`, each with an optional time
/// `HH:MM[:SS[.fff]]`, perhaps with `AM` or `PM`, after a space or `T`, and an optional zone `Z`, `±HH:MM`, `±HHMM` or `±HH`;
/// and `YYYY-MM`, the first day of the month.
pub(crate) fn parse_date(trimmed: &str) -> Option<f64> {
    days_of_numbers(trimmed).or_else(|| days_of_names(trimmed))
}

fn days_of_numbers(trimmed: &str) -> Option<f64> {
    let bytes = trimmed.as_bytes();
    if let [_, _, _, _, b'-', _, _] = bytes {
        let (year, month) = (digits(&bytes[..4])?, digits(&bytes[5..])?);
        return (year >= 1_000 && (1..=12).contains(&month)).then(|| days_from_civil(year, month, 1) as f64);
    }
    let date = bytes.get(..10)?;
    let (year, month, day) = match (date[2], date[4], date[5], date[7]) {
        (_, b'-', _, b'-') | (_, b'/', _, b'/') => (&date[..4], &date[5..7], &date[8..]),
        (b'.', _, b'.', _) => (&date[6..], &date[3..5], &date[..2]),
        _ => return None,
    };
    let (year, month, day) = (digits(year)?, digits(month)?, digits(day)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let days = days_from_civil(year, month, day) as f64;
    match bytes[10..].split_first() {
        None => Some(days),
        Some((b'T' | b't' | b' ', time)) => Some(days + parse_time(time)? / 86_400.0),
        Some(_) => None,
    }
}

/// A date with the English name of its month, whole or its first three letters: `12 Jan 2023`, `January 12, 2023`,
/// `12-Jan-2023`.
fn days_of_names(trimmed: &str) -> Option<f64> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let month = |name: &str| {
        let name = name.to_ascii_lowercase();
        let is = |month: &&str| **month == name || (name.len() == 3 && month.starts_with(&name));
        MONTHS.iter().position(is).map(|at| at + 1)
    };
    let end = trimmed.find(':').and_then(|colon| trimmed[..colon].rfind(' ')).unwrap_or(trimmed.len());
    let (date, time) = trimmed.split_at(end);
    if !date.is_ascii() || date.len() > 20 {
        return None;
    }
    let mut parts = date.split([' ', '-', ',']).filter(|part| !part.is_empty());
    let (first, second, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let (day, month) = match month(second) {
        Some(month) => (first, month),
        None => (second, month(first)?),
    };
    days_of_numbers(&format!("{year}-{month:02}-{day:0>2}{time}"))
}

/// [`parse_date`] for `31/12/2024` or `31-12-2024`, or with the month before the day; days and months of one digit or two.
///
/// Of years of two digits, behind a slash alone, 69 to 99 are of the 20th century and 00 to 68 of the 21st, as POSIX has it.
pub(super) fn days_from_slashes(trimmed: &str, day_first: bool) -> Option<f64> {
    let end = trimmed.find([' ', 'T']).unwrap_or(trimmed.len());
    let (date, time) = trimmed.split_at(end);
    let mut parts = date.split(['/', '-']);
    let (first, second, year) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = (1..=2).contains(&first.len()) && (1..=2).contains(&second.len());
    if !fits || parts.next().is_some() {
        return None;
    }
    let year = match (year.len(), two_digits(year.as_bytes(), 99)) {
        (4, _) => year.to_owned(),
        (2, Some(year)) if !date.contains('-') => (year + if year < 69 { 2000 } else { 1900 }).to_string(),
        _ => return None,
    };
    let (day, month) = if day_first { (first, second) } else { (second, first) };
    let zero = |part: &str| if part.len() == 1 { "0" } else { "" }.to_owned() + part;
    days_of_numbers(&format!("{year}-{}-{}{time}", zero(month), zero(day)))
}

/// Whether the year of such a date has two digits.
pub(crate) fn has_short_year(trimmed: &str) -> bool {
    let date = trimmed.split([' ', 'T']).next().unwrap_or_default();
    date.rsplit('/').next().is_some_and(|year| year.len() == 2)
}

/// Seconds since midnight UTC; below 0 or over a day where the zone says so.
fn parse_time(time: &[u8]) -> Option<f64> {
    let end = time.iter().position(|b| matches!(b, b'Z' | b'z' | b'+' | b'-')).unwrap_or(time.len());
    let (clock, zone) = time.split_at(end);
    let clock = clock.trim_ascii_end();
    let (clock, half) = match clock.split_at(clock.len().saturating_sub(2)) {
        (clock, half) if half.eq_ignore_ascii_case(b"AM") => (clock.trim_ascii_end(), Some(0)),
        (clock, half) if half.eq_ignore_ascii_case(b"PM") => (clock.trim_ascii_end(), Some(12)),
        _ => (clock, None),
    };
    let mut parts = clock.splitn(3, |&b| b == b':');
    let hours = parts.next()?;
    let hours = match half {
        None => two_digits(hours, 23)?,
        // From 12 to 11, as on the face of a clock.
        Some(half) => digits(hours).filter(|n| hours.len() <= 2 && (1..=12).contains(n))? % 12 + half,
    };
    let minutes = two_digits(parts.next()?, 59)?;
    let seconds = match parts.next() {
        None => 0.0,
        Some(text) => {
            let (whole, fraction) = text.split_at_checked(2)?;
            // A leap second is written as second 60.
            let whole = two_digits(whole, 60)? as f64;
            match fraction.split_first() {
                None => whole,
                Some((b'.' | b',', fraction)) if fraction.len() <= 9 => {
                    whole + digits(fraction)? as f64 / 10f64.powi(fraction.len() as i32)
                }
                Some(_) => return None,
            }
        }
    };
    Some((hours * 3600 + minutes * 60) as f64 + seconds - parse_zone(zone)?)
}

/// Seconds that a zone is ahead of UTC.
fn parse_zone(zone: &[u8]) -> Option<f64> {
    let (sign, offset) = match zone.split_first() {
        None | Some((b'Z' | b'z', [])) => return Some(0.0),
        Some((b'+', offset)) => (1.0, offset),
        Some((b'-', offset)) => (-1.0, offset),
        Some(_) => return None,
    };
    let (hours, minutes) = offset.split_at_checked(2)?;
    let minutes = match minutes.strip_prefix(b":").unwrap_or(minutes) {
        [] => 0,
        minutes => two_digits(minutes, 59)?,
    };
    Some(sign * (two_digits(hours, 23)? * 3600 + minutes * 60) as f64)
}

fn two_digits(text: &[u8], most: i64) -> Option<i64> {
    if text.len() == 2 { digits(text).filter(|&n| n <= most) } else { None }
}

/// The number that these digits, and nothing but digits, write.
fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, by eras of 400 years that start in March
/// (Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A count of days since 1970-01-01 as it is written: `2024-02-29`, or `2024-02-29T12:30:00.5` where it has a time.
pub(super) fn civil_text(days: f64) -> String {
    let micros = ((days - days.floor()) * 86_400e6).round() as u64;
    let (year, month, day) = civil_from_days(days.floor().clamp(-1e9, 1e9) as i64);
    let date = format!("{year:04}-{month:02}-{day:02}");
    if micros == 0 {
        return date;
    }
    let seconds = micros / 1_000_000;
    let fraction = format!(".{:06}", micros % 1_000_000);
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{date}T{:02}:{:02}:{:02}{fraction}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// The year, month and day (from 1) of a count of days since 1970-01-01; Hinnant again.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + shifted.div_euclid(146_097) * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * month_from_march + 2) / 5 + 1)
}

/// What a calendar and a clock say of a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moment {
    pub(super) year: i64,
    /// From 1 on.
    pub(super) month: i64,
    /// Of the month, from 1 on.
    pub(super) day: i64,
    pub(super) days_in_month: i64,
    /// 0 for Monday.
    pub(super) weekday: i64,
    /// Since midnight, with a fraction.
    pub(super) hours: f64,
}

impl Moment {
    /// The moment of a count of days since 1970-01-01.
    pub(super) fn of(days: f64) -> Self {
        let hours = (days - days.floor()) * 24.0;
        // Ten million days are some 27,000 years: cells hold years of four digits.
        let days = days.floor().clamp(-1e7, 1e7) as i64;
        let (year, month, day) = civil_from_days(days);
        // 1970-01-01 was a Thursday.
        let weekday = (days + 3).rem_euclid(7);
        Self { year, month, day, days_in_month: days_in_month(year, month), weekday, hours }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, number) in [("1", 1.0), ("+1.5", 1.5), ("-2e3", -2000.0), (".5", 0.5), ("7.", 7.0)] {
            assert_eq!(parse_number(text), Numeric::Finite(number), "{text}");
        }
        for text in ["inf", "-Infinity", "1e400"] {
            assert_eq!(parse_number(text), Numeric::NotFinite, "{text}");
        }
        for text in ["NAN", "1,5", "0x10", "1_000", "12 %", "", "१"] {
            assert_eq!(parse_number(text), Numeric::Not, "{text}");
        }
        assert!(finite("-0").is_some_and(f64::is_sign_positive));
        for (text, number) in [
            ("1,5", 1.5),
            ("5.157", 5157.0),
            ("-1.034.000,25", -1_034_000.25),
            ("1234,5", 1234.5),
            ("2e3", 2000.0),
        ] {
            assert_eq!(decimal_number(text, true), Numeric::Finite(number), "{text}");
        }
        for text in [
            "1.5",
            "0.123",
            "1.2345",
            "1234.567",
            "1.234.56",
            "1,234.5",
            "29.02.2024",
            ".5",
            "1.,5",
            "1.234e5",
        ] {
            assert_eq!(decimal_number(text, true), Numeric::Not, "{text}");
        }
    }

    #[test]
    fn dates_are_days_since_1970() {
        for (text, days) in [
            ("1970-01-01", 0.0),
            ("1969/12/31", -1.0),
            ("29.02.2024", 19_782.0),
            ("2000-03-01", 11_017.0),
            ("0000-03-01", -719_468.0),
            ("1970-01-02T12:00", 1.5),
            ("1970-01-01 06:00:00.0", 0.25),
            ("1970-01-01T00:00:00+06:00", -0.25),
            ("1970-01-01T18:00:00 -0600", 1.0),
            ("1970-01-01T12:00:00Z", 0.5),
            ("1970-01-01 06:30 PM", 18.5 / 24.0),
            ("1970-01-01 12:00 am", 0.0),
            ("2 Jan 1970", 1.0),
            ("Jan 2, 1970", 1.0),
            ("january 02, 1970 6:00 AM", 1.25),
            ("29-Feb-2024", 19_782.0),
            ("2000-03", 11_017.0),
        ] {
            assert_eq!(parse_date(text), Some(days), "{text}");
        }
        assert_eq!(days_from_slashes("1/2/1970 06:00 PM", false), Some(1.75));
        for (cell, same) in
            [("31/12/69", "31/12/1969"), ("1/2/68 10:30", "1/2/2068 10:30"), ("1/1/00", "1/1/2000")]
        {
            assert_eq!(days_from_slashes(cell, true), days_from_slashes(same, true), "{cell}");
            assert!(days_from_slashes(cell, true).is_some() && has_short_year(cell) && !has_short_year(same));
        }
        for cell in ["31-12-69", "1/2/3", "1/2/123", "99/12/31", "1/2/x9"] {
            assert_eq!(days_from_slashes(cell, true), None, "{cell}");
        }
        for text in [
            "2023-13",
            "0999-01",
            "2023/02",
            "1 Jan",
            "Jan 2023",
            "30 Feb 2023",
            "12 Jan 23",
            "Jan Jan 2023",
            "x Jan 2023",
            "1 Ja 2023",
            "2023-01-01 13:00 PM",
            "2023-01-01 0:30 AM",
            "12 Jan 2023 PM",
            "é Jan 2023",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
        for text in [
            "2023-02-29",
            "2023-13-01",
            "2023-00-10",
            "2023-1-1",
            "2023-01/01",
            "20230101",
            "2023-01-01x",
            "2023-01-01T",
            "2023-01-01T24:00",
            "2023-01-01T1:00",
            "é023-01-01",
            "2023-01-01T10:00:00é",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn moments_invert_the_day_count() {
        let mut weekday = 0;
        for year in [1600, 1899, 1900, 1970, 2000, 2023, 2024] {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    let days = days_from_civil(year, month, day) as f64;
                    let found = Moment::of(days + 0.75);
                    assert_eq!((found.year, found.month, found.day), (year, month, day));
                    assert_eq!((found.hours, found.days_in_month), (18.0, days_in_month(year, month)));
                    if day > 1 {
                        assert_eq!(found.weekday, (weekday + 1) % 7);
                    }
                    weekday = found.weekday;
                }
            }
        }
        assert_eq!(Moment::of(19_782.0).weekday, 3, "29 February 2024 was a Thursday");
        Moment::of(f64::INFINITY);
        Moment::of(f64::NAN);
    }

    #[test]
    fn null_words_match_whole_cells() {
        let words = DEFAULT_NULL_WORDS.map(str::to_owned);
        let nulls = NullWords::new(&words);
        assert!(words.iter().all(|word| nulls.contains(word)));
        assert!(["-1", "NAs", "0", "na", "–"].iter().all(|word| !nulls.contains(word)));
        assert!(!NullWords::new(&[]).contains(""));
    }
}
