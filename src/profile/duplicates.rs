//! Rows that occur more than once.

use rayon::prelude::*;

use super::source::Values;

/// The rows that repeat an earlier one in all of these columns, missing cells being alike; in their order.
///
/// Rows are compared by two 64-bit hashes of their cells: among a million different rows the chance of one false
/// alarm is about 10⁻²⁷. O(rows·columns + rows·log rows).
pub fn duplicates(columns: &[&Values<'_>], n_rows: usize) -> Vec<usize> {
    let mut hashes: Vec<(u128, u32)> =
        (0..n_rows).into_par_iter().map(|row| (hash(cells(columns, row)), row as u32)).collect();
    hashes.par_sort_unstable();
    let mut rows: Vec<usize> = hashes
        .chunk_by(|a, b| a.0 == b.0)
        .flat_map(|alike| &alike[1..])
        .map(|(_, row)| *row as usize)
        .collect();
    rows.sort_unstable();
    rows
}

/// The cells of a row as bits, equal where they are equal.
fn cells(columns: &[&Values<'_>], row: usize) -> impl Iterator<Item = u64> {
    columns.iter().map(move |column| match column {
        Values::Numbers(x) if x[row].is_nan() => f64::NAN.to_bits(),
        // One zero, whatever its sign.
        Values::Numbers(x) => (x[row] + 0.0).to_bits(),
        Values::Codes { codes, .. } => u64::from(codes[row]),
    })
}

/// Two 64-bit hashes of some words.
pub(super) fn hash(words: impl Iterator<Item = u64>) -> u128 {
    let (mut a, mut b) = (0x9e37_79b9_7f4a_7c15_u64, 0xd1b5_4a32_d192_ed03_u64);
    for bits in words {
        a = mixed(a ^ bits);
        b = mixed(b.wrapping_add(bits).wrapping_mul(0xff51_afd7_ed55_8ccd));
    }
    u128::from(a) << 64 | u128::from(b)
}

/// The finaliser of SplitMix64 (Steele, Lea & Flood 2014), a bijection that spreads every bit.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::table::MISSING;

    #[test]
    fn later_rows_that_repeat_an_earlier_one_are_told() {
        let x = Values::Numbers(vec![1.0, 1.0, f64::NAN, 1.0, f64::NAN, 0.0, -0.0].into());
        let c =
            Values::Codes { codes: vec![0, 1, MISSING, 0, MISSING, 2, 2].into(), levels: Vec::new().into() };
        assert_eq!(duplicates(&[&x, &c], 7), [3, 4, 6]);
        assert_eq!(duplicates(&[&x], 7), [1, 3, 4, 6]);
    }
}
