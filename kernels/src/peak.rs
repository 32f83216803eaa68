//! The multiply–add rate that a CPU can reach at best, for comparing real work with.

use crate::vector::Vector;

/// Chains of multiply–adds that run side by side: enough to hide their latency, few enough for the registers.
const CHAINS: usize = 12;

/// Runs `rounds` rounds of independent multiply–adds in registers alone; returns how many that were and their
/// sum, which keeps the compiler from leaving them out.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
pub(crate) unsafe fn run<V: Vector>(
    rounds: usize,
    factor: V::Element,
    zero: V::Element,
) -> (usize, V::Element) {
    unsafe {
        let factor = V::splat(std::hint::black_box(factor));
        let addend = factor;
        let mut chains = [addend; CHAINS];
        for _ in 0..rounds {
            for chain in &mut chains {
                *chain = chain.mul_add(factor, addend);
            }
        }
        let mut total = V::splat(zero);
        for chain in chains {
            total = chain.mul_add(factor, total);
        }
        let mut first = [zero; 1];
        total.store_partial(first.as_mut_ptr(), 1);
        (rounds * CHAINS * V::LANES, first[0])
    }
}
