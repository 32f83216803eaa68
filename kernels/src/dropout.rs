//! Dropout from counter-based random numbers.

use crate::math::Real;

/// Blocks that are computed side by side.
const LANES: usize = 16;
/// Elements that they serve: eight 16-bit parts a block.
const CHUNK: usize = 8 * LANES;

/// Fills `kept` with 0 where a 16-bit random number is less than `drop_below`, with 1 elsewhere.
///
/// Element `i` depends only on the key, the stream and `i`: it is one 16-bit part of block
/// ⌊i / 128⌋·16 + i mod 16 of Philox4x32-10. A rate is therefore exact to 1/65536.
#[inline(always)]
pub(crate) fn fill_kept(kept: &mut [u8], key: [u32; 2], stream: [u32; 3], drop_below: u32) {
    let mut chunks = kept.chunks_exact_mut(CHUNK);
    let mut first = 0;
    for chunk in &mut chunks {
        let mut flags = [0; CHUNK];
        fill_chunk(&mut flags, &blocks(first, stream, key), drop_below);
        chunk.copy_from_slice(&flags);
        first += LANES as u32;
    }
    let rest = chunks.into_remainder();
    let mut flags = [0; CHUNK];
    fill_chunk(&mut flags, &blocks(first, stream, key), drop_below);
    rest.copy_from_slice(&flags[..rest.len()]);
}

#[inline(always)]
fn fill_chunk(chunk: &mut [u8; CHUNK], words: &[[u64; LANES]; 4], drop_below: u32) {
    let mut parts = chunk.chunks_exact_mut(LANES);
    for word in words {
        for shift in [0, 16] {
            if let Some(part) = parts.next() {
                for (to, lane) in part.iter_mut().zip(word) {
                    *to = u8::from(((lane >> shift) & 0xFFFF) as u32 >= drop_below);
                }
            }
        }
    }
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
    #[test]
    fn the_lanes_are_philox() {
        let words = super::blocks(32, [5, 6, 7], [8, 9]);
        for lane in 0..16 {
            let block = crate::random::philox([32 + lane as u32, 5, 6, 7], [8, 9]);
            assert_eq!(block, words.map(|word| word[lane] as u32));
        }
    }
}
