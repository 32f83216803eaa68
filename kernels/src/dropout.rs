//! Dropout multipliers from counter-based random numbers.

use crate::math::Real;

const LANES: usize = 16;

/// Fills `mask` with 0 (with the probability of dropping) or `scale`.
///
/// Element `i` depends only on the key, the stream and `i`: it is one 16-bit part of block
/// ⌊i / 128⌋·16 + i mod 16 of Philox4x32-10. A rate is therefore exact to 1/65536.
#[inline(always)]
pub(crate) fn fill_mask<T: Real>(mask: &mut [T], key: [u32; 2], stream: [u32; 3], drop_below: u32, scale: T) {
    for (chunk_idx, chunk) in mask.chunks_mut(8 * LANES).enumerate() {
        let words = blocks(chunk_idx as u32 * LANES as u32, stream, key);
        let mut part = [T::ZERO; LANES];
        for (j, to) in chunk.chunks_mut(LANES).enumerate() {
            for lane in 0..LANES {
                let bits = (words[j / 2][lane] >> (16 * (j as u32 % 2))) as u32 & 0xFFFF;
                part[lane] = if bits < drop_below { T::ZERO } else { scale };
            }
            to.copy_from_slice(&part[..to.len()]);
        }
    }
}

/// Sixteen consecutive Philox blocks, word by word: the same function as [`crate::random::philox`].
///
/// The words lie in 64-bit lanes, which is how vector units multiply 32-bit numbers to 64 bits.
#[inline(always)]
fn blocks(first: u32, stream: [u32; 3], key: [u32; 2]) -> [[u64; LANES]; 4] {
    const WORD: u64 = 0xFFFF_FFFF;
    let mut c0: [u64; LANES] = std::array::from_fn(|lane| u64::from(first + lane as u32));
    let mut c1 = [u64::from(stream[0]); LANES];
    let mut c2 = [u64::from(stream[1]); LANES];
    let mut c3 = [u64::from(stream[2]); LANES];
    let mut k = key;
    for _ in 0..10 {
        let (k0, k1) = (u64::from(k[0]), u64::from(k[1]));
        for lane in 0..LANES {
            let p0 = 0xD251_1F53 * (c0[lane] & WORD);
            let p1 = 0xCD9E_8D57 * (c2[lane] & WORD);
            c0[lane] = (p1 >> 32) ^ c1[lane] ^ k0;
            c1[lane] = p1 & WORD;
            c2[lane] = (p0 >> 32) ^ c3[lane] ^ k1;
            c3[lane] = p0 & WORD;
        }
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    [c0, c1, c2, c3]
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
