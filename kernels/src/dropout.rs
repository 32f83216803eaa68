//! Dropout and noise from counter-based random numbers.

use crate::math::{Real, ln_normal};

/// Blocks that are computed side by side.
const LANES: usize = 16;
/// Elements that are decided together: 32 bits in each lane.
const GROUP: usize = 32 * LANES;

/// Fills `kept` with 0 where a 16-bit random number is less than `drop_below`, with 1 elsewhere.
///
/// Element `i` depends only on the key, the stream and `i`. A rate is exact to 1/65536. The numbers are compared
/// bit by bit, 512 of them at once: of a rate such as 1/2 or 1/4, the lower bits decide nothing and are not drawn.
/// The `b`-th bit, counted from the lowest drawn, of elements 512g to 512g + 511 is vector g·bits + b of the stream,
/// a vector being one word of 16 blocks of Philox4x32-10: element 512g + 16s + l is bit s of lane l.
#[inline(always)]
pub(crate) fn fill_kept(kept: &mut [u8], key: [u32; 2], stream: [u32; 3], drop_below: u32) {
    if drop_below == 0 {
        kept.fill(1);
        return;
    }
    let unused = drop_below.trailing_zeros();
    let n_bits = 16_u32.saturating_sub(unused).max(1);
    let threshold = drop_below >> unused;
    let (mut vectors, mut next, mut first) = ([[0; LANES]; 4], 4, 0);
    for group in kept.chunks_mut(GROUP) {
        // All ones: numbers that are equal so far are not less.
        let mut keeps = [u64::MAX; LANES];
        for bit in 0..n_bits {
            if next == 4 {
                vectors = blocks(first, stream, key);
                (next, first) = (0, first + LANES as u32);
            }
            let drawn = vectors[next];
            next += 1;
            if threshold >> bit & 1 == 1 {
                for lane in 0..LANES {
                    keeps[lane] &= drawn[lane];
                }
            } else {
                for lane in 0..LANES {
                    keeps[lane] |= drawn[lane];
                }
            }
        }
        let keeps: [u32; LANES] = std::array::from_fn(|lane| keeps[lane] as u32);
        let mut flags = [0; GROUP];
        for (shift, flags) in flags.chunks_exact_mut(LANES).enumerate() {
            for (flag, keeps) in flags.iter_mut().zip(keeps) {
                *flag = (keeps >> shift & 1) as u8;
            }
        }
        group.copy_from_slice(&flags[..group.len()]);
    }
}

/// The words of 16 blocks of Philox4x32-10 from block `first` on, one block after the other.
#[inline(always)]
pub(crate) fn fill_words(words: &mut [u32; 4 * LANES], key: [u32; 2], stream: [u32; 3], first: u32) {
    let drawn = blocks(first, stream, key);
    for (lane, words) in words.chunks_exact_mut(4).enumerate() {
        for (to, word) in words.iter_mut().zip(&drawn) {
            *to = word[lane] as u32;
        }
    }
}

/// Fills `to` with standard normal numbers, of single precision in any type.
///
/// Element `i` depends only on the key, the stream and `i`: it is made of word ⌊i / 16⌋ mod 4 of block
/// ⌊i / 64⌋·16 + i mod 16 of Philox4x32-10, through the inverse of the distribution function, so that no number
/// lies beyond ±5.2.
#[inline(always)]
pub(crate) fn fill_normal<T: Real>(to: &mut [T], key: [u32; 2], stream: [u32; 3]) {
    for (first, chunk) in (0..).step_by(LANES).zip(to.chunks_mut(4 * LANES)) {
        let mut normals = [0.0_f32; 4 * LANES];
        for (part, word) in normals.chunks_exact_mut(LANES).zip(&blocks(first, stream, key)) {
            for (to, &lane) in part.iter_mut().zip(word) {
                *to = normal(lane as u32);
            }
        }
        for (to, normal) in chunk.iter_mut().zip(normals) {
            *to = T::from_f64(f64::from(normal));
        }
    }
}

/// √2·erf⁻¹(x) with x = (2k + 1)/2²³ − 1, k being the upper 23 bits of a random word; Giles 2012, "Approximating the
/// erfinv function", its polynomials for single precision.
#[inline(always)]
fn normal(word: u32) -> f32 {
    // x and 1 − |x| are exact: the numbers are symmetric, and neither end is met.
    let x = ((2 * (word >> 9) + 1) as i32 - (1 << 23)) as f32 * (1.0 / 8_388_608.0);
    let w = -ln_normal((1.0 - x) * (1.0 + x));
    let near = w - 2.5;
    let mut p = 2.810_226_4e-8_f32;
    for c in [
        3.432_739_4e-7,
        -3.523_387_7e-6,
        -4.391_506_5e-6,
        2.185_808_7e-4,
        -1.253_725e-3,
        -4.177_681_6e-3,
        2.466_407_3e-1,
        1.501_409_4,
    ] {
        p = p.mul_add(near, c);
    }
    let far = w.sqrt() - 3.0;
    let mut q = -2.002_142_6e-4_f32;
    for c in [
        1.009_505_6e-4,
        1.349_343_2e-3,
        -3.673_428_4e-3,
        5.739_507_7e-3,
        -7.622_461_3e-3,
        9.438_870_5e-3,
        1.001_674,
        2.832_976_8,
    ] {
        q = q.mul_add(far, c);
    }
    std::f32::consts::SQRT_2 * x * if w < 5.0 { p } else { q }
}

/// y ← y·scale where `kept` is not 0, and 0 elsewhere.
#[inline(always)]
pub(crate) fn drop_out<T: Real>(y: &mut [T], kept: &[u8], scale: T) {
    for (y, &kept) in y.iter_mut().zip(kept) {
        *y = if kept == 0 { T::ZERO } else { *y * scale };
    }
}

/// Sixteen consecutive Philox blocks, word by word: the same function as [`crate::random::philox`].
///
/// The words lie in 64-bit lanes, which is how vector units multiply 32-bit numbers to 64 bits.
#[inline(always)]
fn blocks(first: u32, stream: [u32; 3], key: [u32; 2]) -> [[u64; LANES]; 4] {
    let mut c = [
        std::array::from_fn(|lane| u64::from(first + lane as u32)),
        [u64::from(stream[0]); LANES],
        [u64::from(stream[1]); LANES],
        [u64::from(stream[2]); LANES],
    ];
    let mut k = key;
    for _ in 0..5 {
        c = round(round(c, k), next_key(k));
        k = next_key(next_key(k));
    }
    c
}

#[inline(always)]
fn next_key(k: [u32; 2]) -> [u32; 2] {
    [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)]
}

#[inline(always)]
fn round(c: [[u64; LANES]; 4], k: [u32; 2]) -> [[u64; LANES]; 4] {
    const WORD: u64 = 0xFFFF_FFFF;
    let (k0, k1) = (u64::from(k[0]), u64::from(k[1]));
    let mut next = [[0; LANES]; 4];
    for lane in 0..LANES {
        let p0 = 0xD251_1F53 * (c[0][lane] & WORD);
        let p1 = 0xCD9E_8D57 * (c[2][lane] & WORD);
        next[0][lane] = (p1 >> 32) ^ c[1][lane] ^ k0;
        next[1][lane] = p1 & WORD;
        next[2][lane] = (p0 >> 32) ^ c[3][lane] ^ k1;
        next[3][lane] = p0 & WORD;
    }
    next
}

#[cfg(test)]
mod tests {
    /// Φ(z) by Kummer's series, whose terms are all of one sign.
    fn distribution(z: f64) -> f64 {
        let (mut term, mut sum) = (z, z);
        for n in 1..200 {
            term *= z * z / f64::from(2 * n + 1);
            sum += term;
        }
        0.5 + sum * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt()
    }

    #[test]
    fn normal_numbers_are_the_quantiles_of_their_words() {
        for word in (0..u32::MAX).step_by(65_521) {
            let k = f64::from(word >> 9);
            let expected = (2.0 * k + 1.0) / 16_777_216.0;
            let got = distribution(f64::from(super::normal(word)));
            let tail = expected.min(1.0 - expected);
            assert!((got - expected).abs() < 1e-6 * tail.max(0.1), "{word}: {got}, not {expected}");
        }
        assert_eq!(super::normal(0), -super::normal(u32::MAX));
        assert!((5.1..5.3).contains(&super::normal(u32::MAX)));
    }

    #[test]
    fn the_lanes_are_philox() {
        let words = super::blocks(32, [5, 6, 7], [8, 9]);
        for lane in 0..16 {
            let block = crate::random::philox([32 + lane as u32, 5, 6, 7], [8, 9]);
            assert_eq!(block, words.map(|word| word[lane] as u32));
        }
    }
}
