//! What one pass over the cells of a column finds, block after block, in memory that does not grow with the rows.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::cell::{EXACT, Numeric, decimal_number, parse_date};
use super::cell_format::{CellFormat, Dress};
use super::read::{DecimalMark, RawTable};
use super::schema::MOST_LEVELS;
use super::table::MISSING;

/// Different words of a column that are kept with their counts.
const MOST_WORDS: usize = 1 << 16;
/// Different cells that are told apart to say whether all are different; beyond, those seen speak for the rest.
const MOST_DIFFERENT: usize = 1 << 22;
/// Different numbers that are told apart, which only has to settle how they compare with the words among them.
const MOST_NUMBERS: usize = 1 << 16;

/// A cell worth naming in a message.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    /// Its place: ``row 812 (line 815), column `bmi` ``.
    pub(super) place: String,
    /// What it says.
    pub(super) text: String,
}

impl Cell {
    fn of(block: &RawTable, row: usize, column: usize) -> Self {
        let text = block.value_alone(row, column).unwrap_or_default().into_owned();
        Self { place: block.place(row, column), text }
    }
}

/// A word that is no number: how often it stands there, and where first.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) count: usize,
    pub(super) first: String,
    pub(super) is_date: bool,
}

/// What is found in a column.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) n_rows: usize,
    pub(super) present: usize,
    /// Finite numbers.
    pub(super) numbers: usize,
    /// Whether they are all whole.
    pub(super) whole: bool,
    /// Whole numbers beyond 2⁵³, which floats do not tell apart.
    pub(super) rounded: usize,
    pub(super) not_finite: Option<Cell>,
    /// How many are not finite; their texts are words as well.
    n_not_finite: usize,
    first_number: Option<Cell>,
    /// Days that the file itself says are dates.
    pub(super) days: usize,
    /// The first cell.
    pub(super) first: Option<Cell>,
    /// Whether some cell differs from the first.
    pub(super) varies: bool,
    /// What the column holds if nothing can be learned from it.
    pub(super) foreign: Option<String>,
    /// Words in the order of their first appearance.
    pub(super) words: Vec<Word>,
    place_of: HashMap<String, usize>,
    pub(super) n_words: usize,
    /// Cells that are dates, written as text.
    pub(super) dates: usize,
    /// Bytes of words.
    pub(super) length: usize,
    different: HashSet<u64>,
    distinct_numbers: Numbers,
    /// Texts of numbers, as long as they could be levels.
    number_texts: Option<BTreeSet<String>>,
    pub(super) dress: Dress,
    /// The decimal mark of the table.
    pub(super) mark: DecimalMark,
    /// The first plain number that is none with the other decimal mark.
    pub(super) only_of_own_mark: Option<Cell>,
}

impl Survey {
    pub(super) fn new() -> Self {
        Self { whole: true, number_texts: Some(BTreeSet::new()), ..Self::default() }
    }

    /// Adds the cells of a block; `all_words` where numbers are to be words as well, and `all_different` where it is
    /// asked whether numbers are.
    pub(super) fn add(&mut self, block: &RawTable, column: usize, all_words: bool, all_different: bool) {
        self.n_rows += block.n_rows();
        self.mark = block.decimal_mark();
        if let Some(what) = block.foreign(column) {
            self.foreign = Some(what.to_owned());
        } else if let Some(numbers) = block.numbers(column).filter(|_| !all_words) {
            self.present += numbers.iter().filter(|x| !x.is_nan()).count();
            self.numbers(numbers, block, 0, column, all_different);
            self.contrast(numbers, block, column);
            if block.has_texts(column) {
                let large = (0..numbers.len()).filter(|&row| numbers[row].abs() >= EXACT);
                self.rounded += large.filter(|&row| block.value(row, column).is_some_and(is_integer)).count();
            }
            self.see(block, column, numbers.iter().map(|x| (!x.is_nan()).then_some(x.to_bits())));
        } else if let Some(days) = block.days(column).filter(|_| !all_words) {
            let present = days.iter().filter(|x| !x.is_nan()).count();
            (self.present, self.days) = (self.present + present, self.days + present);
            self.see(block, column, days.iter().map(|x| (!x.is_nan()).then_some(x.to_bits())));
        } else if let Some((codes, levels)) = block.codes(column) {
            let mut counts = vec![(0, 0); levels.len()];
            for (row, &code) in codes.iter().enumerate().filter(|(_, code)| **code != MISSING) {
                let (count, first) = &mut counts[code as usize];
                if *count == 0 {
                    *first = row;
                }
                *count += 1;
            }
            let mut seen: Vec<(usize, usize, usize)> =
                counts.iter().enumerate().map(|(code, (count, first))| (*first, code, *count)).collect();
            seen.retain(|(_, _, count)| *count > 0);
            seen.sort_unstable();
            for (first, code, count) in seen {
                self.text(&levels[code], count, block, first, column, all_words, all_different);
            }
            self.see(block, column, codes.iter().map(|&code| (code != MISSING).then_some(u64::from(code))));
        } else {
            for row in 0..block.n_rows() {
                if let Some(text) = block.value(row, column) {
                    self.text(text, 1, block, row, column, all_words, all_different);
                }
            }
            self.see(block, column, block.values(column).map(|text| text.map(hash)));
        }
    }

    /// Looks whether all present cells are the same; `cells` are equal where the cells of the block are.
    fn see(&mut self, block: &RawTable, column: usize, cells: impl Iterator<Item = Option<u64>>) {
        if self.varies {
            return;
        }
        let mut present = cells.enumerate().filter_map(|(row, cell)| Some((row, cell?)));
        let Some((row, first)) = present.next() else { return };
        let cell = Cell::of(block, row, column);
        self.varies = present.any(|(_, cell)| cell != first);
        match &self.first {
            None => self.first = Some(cell),
            Some(known) => self.varies |= known.text != cell.text,
        }
    }

    /// Looks whether plain numbers may be written with the other decimal mark than the table's.
    fn contrast(&mut self, numbers: &[f64], block: &RawTable, column: usize) {
        if !self.dress.may_be_other(self.mark.comma) || numbers.iter().all(|x| !x.is_finite()) {
            return;
        }
        match block.has_marks(column) {
            Some(true) => {
                for row in (0..numbers.len()).filter(|&row| numbers[row].is_finite()) {
                    let text = block.value(row, column).unwrap_or_default();
                    if !self.dress.plain(text, self.mark.comma) {
                        self.only_of_own_mark.get_or_insert_with(|| Cell::of(block, row, column));
                        return;
                    }
                }
            }
            None if numbers.iter().any(|x| x.is_finite() && x.fract() != 0.0) => {
                self.dress.typed_decimals(self.mark.comma);
            }
            Some(false) | None => {}
        }
    }

    /// Looks at numbers, NaN where missing, of which the first stands in row `row`.
    fn numbers(&mut self, numbers: &[f64], block: &RawTable, row: usize, column: usize, all_different: bool) {
        // Without a call, since every number of a table comes by.
        let (mut finite, mut infinite, mut whole) = (0, 0, true);
        for &x in numbers {
            let is_large = x.abs() >= EXACT;
            finite += usize::from(x.is_finite());
            infinite += usize::from(x.is_infinite());
            // Large numbers are whole, and those below have an integer to be compared with.
            whole &= is_large || x.is_nan() || (x as i64) as f64 == x;
        }
        let cell = |is: fn(f64) -> bool| {
            let at = numbers.iter().position(|&x| is(x)).unwrap_or_default();
            Cell::of(block, row + at, column)
        };
        if infinite > 0 {
            self.not_finite.get_or_insert_with(|| cell(f64::is_infinite));
            for at in (0..numbers.len()).filter(|&at| numbers[at].is_infinite()) {
                let text = block.value_alone(row + at, column).unwrap_or_default().into_owned();
                self.n_not_finite += 1;
                self.word(&text, 1, block, row + at, column, false);
            }
        }
        if finite == 0 {
            return;
        }
        if self.numbers == 0 {
            self.first_number = Some(cell(f64::is_finite));
        }
        self.numbers += finite;
        self.whole &= whole;
        self.dress.any_plain();
        let finite = || numbers.iter().copied().filter(|x| x.is_finite());
        for x in finite() {
            if self.distinct_numbers.len >= MOST_NUMBERS {
                break;
            }
            self.distinct_numbers.insert(x);
        }
        for x in finite().filter(|_| all_different) {
            if self.different.len() >= MOST_DIFFERENT {
                break;
            }
            self.different.insert(x.to_bits());
        }
    }

    fn text(
        &mut self,
        text: &str,
        count: usize,
        block: &RawTable,
        row: usize,
        column: usize,
        all_words: bool,
        all_different: bool,
    ) {
        self.present += count;
        match decimal_number(text, self.mark.comma) {
            Numeric::Finite(x) => {
                if !self.dress.plain(text, self.mark.comma) {
                    self.only_of_own_mark.get_or_insert_with(|| Cell::of(block, row, column));
                }
                let some = if all_words { 0 } else { count.min(2) };
                self.numbers(&[x; 2][..some], block, row, column, all_different);
                self.rounded += if x.abs() >= EXACT && is_integer(text) && !all_words { count } else { 0 };
                // Counted, and not looked at one by one.
                let more = if all_words { count } else { count.saturating_sub(2) };
                self.numbers += more;
                if all_words {
                    self.word(text, count, block, row, column, false);
                } else if let Some(texts) = &mut self.number_texts {
                    if !texts.contains(text) {
                        texts.insert(text.to_owned());
                    }
                    if texts.len() > MOST_LEVELS {
                        self.number_texts = None;
                    }
                }
            }
            Numeric::NotFinite => {
                self.not_finite.get_or_insert_with(|| Cell::of(block, row, column));
                self.n_not_finite += count;
                self.word(text, count, block, row, column, false);
            }
            Numeric::Not => {
                let is_date = parse_date(text).is_some();
                self.dates += if is_date { count } else { 0 };
                self.dress.word(text);
                self.word(text, count, block, row, column, is_date);
            }
        }
    }

    fn word(&mut self, text: &str, count: usize, block: &RawTable, row: usize, column: usize, is_date: bool) {
        self.n_words += count;
        self.length += text.len() * count;
        if self.different.len() < MOST_DIFFERENT {
            self.different.insert(hash(text));
        }
        match self.place_of.get(text) {
            Some(&place) => self.words[place].count += count,
            None if self.words.len() < MOST_WORDS => {
                self.place_of.insert(text.to_owned(), self.words.len());
                self.words.push(Word {
                    text: text.to_owned(),
                    count,
                    first: block.place(row, column),
                    is_date,
                });
            }
            None => {}
        }
    }

    /// Whether every cell that is not missing is a number, some of them finite.
    pub(super) fn is_numeric(&self) -> bool {
        self.numbers > 0 && !self.has_words()
    }

    /// Whether some cells are neither numbers nor such as are not finite.
    pub(super) fn has_words(&self) -> bool {
        self.n_words > self.n_not_finite
    }

    /// How many different numbers there are, or [`MOST_NUMBERS`] and more.
    pub(super) fn different_numbers(&self) -> usize {
        self.distinct_numbers.len
    }

    /// How many different words, as far as they are told apart.
    pub(super) fn different_words(&self) -> usize {
        if self.words.len() < MOST_WORDS { self.words.len() } else { self.different.len() }
    }

    /// Whether no cell stands there twice, among as many as are told apart.
    pub(super) fn all_different(&self) -> bool {
        self.different.len() == self.present.min(MOST_DIFFERENT)
    }

    /// The different texts, sorted, of a column that is none of numbers alone.
    pub(super) fn levels(&self) -> Vec<String> {
        let numbers = self.number_texts.iter().flatten().cloned();
        let levels: BTreeSet<String> =
            self.words.iter().map(|word| word.text.clone()).chain(numbers).collect();
        levels.into_iter().collect()
    }

    /// The format in which most words are written that are numbers or dates of some format.
    pub(super) fn nearest_format(&self) -> Option<CellFormat> {
        CellFormat::nearest(&self.words.iter().map(|word| word.text.as_str()), self.mark.comma)
    }

    /// The words that are no numbers, or no dates, in whatever format most of them are written.
    pub(super) fn odd_words(&self, of_dates: bool) -> Vec<&Word> {
        let format = self.nearest_format().filter(|format| format.is_of_numbers() != of_dates);
        let fits = |word: &Word| of_dates && word.is_date || format.is_some_and(|f| f.reads(&word.text));
        let odd: Vec<&Word> = self.words.iter().filter(|word| !fits(word)).collect();
        // Words that are all of one format, and not that of the numbers beside them, are all odd.
        if odd.is_empty() && !of_dates { self.words.iter().collect() } else { odd }
    }

    /// The cells that are no number, or no date: the first of them, how many there are, and three different texts.
    pub(super) fn odd_cells(&self, of_dates: bool) -> (Cell, usize, Vec<&str>) {
        let odd = self.odd_words(of_dates);
        let mut count: usize = odd.iter().map(|word| word.count).sum();
        let mut first = odd.first().map(|word| Cell { place: word.first.clone(), text: word.text.clone() });
        let mut texts: Vec<&str> = odd.iter().take(3).map(|word| word.text.as_str()).collect();
        if of_dates && let Some(number) = &self.first_number {
            count += self.numbers;
            texts.push(&number.text);
            first.get_or_insert_with(|| number.clone());
        }
        (first.unwrap_or_default(), count, texts)
    }

    /// Whether the cells are numbers in a dress with the other decimal mark than the table's.
    pub(super) fn has_other_mark(&self) -> bool {
        let format = self.dressed().and_then(|(format, _)| format.decimal_comma());
        format.is_some_and(|comma| comma != self.mark.comma)
    }

    /// Whether the cells are plain numbers that would be others with the other decimal mark, and nobody says which.
    pub(super) fn may_have_other_mark(&self) -> bool {
        !self.mark.is_said && self.is_numeric() && self.dress.is_ambiguous(self.mark.comma)
    }

    /// How the cells are to be read if they are numbers in a dress.
    pub(super) fn dressed(&self) -> Option<(CellFormat, String)> {
        (self.n_words > 0 && self.not_finite.is_none()).then(|| self.dress.format(self.mark.comma))?
    }
}

/// Whether a number is written as an integer, of which every digit may count.
fn is_integer(text: &str) -> bool {
    text.strip_prefix(['-', '+']).unwrap_or(text).bytes().all(|b| b.is_ascii_digit())
}

fn hash(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A set of numbers that stops growing: an open-addressed table of their bits.
#[derive(Debug, Default)]
struct Numbers {
    slots: Vec<u64>,
    len: usize,
    last: u64,
}

impl Numbers {
    /// Stands for a free slot; a number that is missing is never put in.
    const FREE: u64 = u64::MAX;

    fn insert(&mut self, x: f64) {
        let bits = x.to_bits();
        if bits == self.last && self.len > 0 || self.len >= MOST_NUMBERS {
            return;
        }
        self.last = bits;
        if self.len * 2 >= self.slots.len() {
            let larger = vec![Self::FREE; (self.slots.len() * 4).max(64)];
            for bits in std::mem::replace(&mut self.slots, larger) {
                if bits != Self::FREE {
                    let slot = self.slot(bits);
                    self.slots[slot] = bits;
                }
            }
        }
        let slot = self.slot(bits);
        if self.slots[slot] == Self::FREE {
            self.slots[slot] = bits;
            self.len += 1;
        }
    }

    /// Where these bits are, or are to be.
    fn slot(&self, bits: u64) -> usize {
        let mask = self.slots.len() - 1;
        // The last bits of most numbers are 0, and those of their product as well: only the first depend on all.
        let hash = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut slot = (hash >> (64 - self.slots.len().trailing_zeros())) as usize;
        while self.slots[slot] != Self::FREE && self.slots[slot] != bits {
            slot = (slot + 1) & mask;
        }
        slot
    }
}
