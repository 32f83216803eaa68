//! Counter-based random numbers: (seed, purpose, index) → number, whatever the order of calls.
//!
//! Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3").
//! A stream is named by the seed, a [`Purpose`] and two free counters (epoch and step, say);
//! within a stream, block `i` yields four 32-bit words.

use statera_kernels::random::philox;
use statera_kernels::{CpuLevel, Kernels};

/// What a stream of random numbers is for; streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Drawing the split of rows.
    Split = 1,
    /// Drawing initial weights of dense layers.
    Init = 2,
    /// Shuffling the training rows of an epoch.
    Shuffle = 3,
    /// Dropout masks.
    Dropout = 4,
    /// Bootstrap intervals.
    Bootstrap = 5,
    /// Gaussian noise.
    Noise = 6,
    /// Masks of DropConnect.
    DropConnect = 7,
    /// Drawing folds.
    Folds = 8,
    /// Drawing initial factors.
    InitScale = 9,
    /// Drawing initial embeddings.
    InitEmbedding = 10,
    /// Drawing the training rows that initial parameters are fitted on, and those that biases are put at.
    InitRows = 16,
    /// Noise on numeric inputs.
    Jitter = 24,
    /// Shares and partners of mixup.
    Mixup = 25,
    /// Training rows that are made or left out.
    Resample = 29,
    /// Wrong labels.
    LabelNoise = 26,
    /// Noise on weights.
    WeightNoise = 27,
    /// Noise on gradients.
    GradientNoise = 28,
    /// Shuffling groups of neighbouring rows where rows are mixed window by window.
    ShuffleGroups = 32,
    /// Folds of target encoding.
    TargetFolds = 80,
    /// Drawing the training rows that lend missing numbers to their neighbours.
    Neighbors = 81,
    /// Drawing the settings of a trial.
    Search = 64,
    /// Permuting the digits of evenly spread settings.
    SearchDigits = 65,
    /// Drawing the rows that stand for all of a table in its profile.
    Profile = 48,
    /// Folds and resamples of the classifier that tells two tables apart.
    Adversary = 49,
}

/// Blocks that are computed side by side once a stream has turned out to be longer than its first.
const BLOCKS: usize = 16;

/// A stream of random numbers, read in order or by position.
#[derive(Debug, Clone)]
pub struct Stream {
    key: [u32; 2],
    purpose: u32,
    counter: u32,
    block: u64,
    words: [u32; BLOCKS * 4],
    /// How many of the words are drawn, and how many of these are used.
    drawn: usize,
    used: usize,
}

impl Stream {
    /// The stream of `seed` for `purpose`, at the free counter `counter` (an epoch, a layer index …).
    pub fn new(seed: u64, purpose: Purpose, counter: u32) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            purpose: purpose as u32,
            counter,
            block: 0,
            words: [0; BLOCKS * 4],
            drawn: 0,
            used: 0,
        }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == self.drawn {
            self.draw();
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// Draws the next block; many at once where the first was not enough.
    fn draw(&mut self) {
        let first = self.block as u32;
        let stream = [(self.block >> 32) as u32, self.counter, self.purpose];
        let n_blocks = if self.block == 0 || first > u32::MAX - BLOCKS as u32 { 1 } else { BLOCKS };
        if n_blocks == 1 {
            let block = philox([first, stream[0], stream[1], stream[2]], self.key);
            self.words[..4].copy_from_slice(&block);
        } else {
            f32::fill_words(CpuLevel::detect(), &mut self.words, self.key, stream, first);
        }
        self.block += n_blocks as u64;
        (self.drawn, self.used) = (4 * n_blocks, 0);
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) << 32 | u64::from(self.next_u32())
    }

    /// Uniform in [0, 1), with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in 0..n without bias (Lemire 2019, "Fast random integer generation in an interval").
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "a range without numbers has no random number");
        let n = n as u64;
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        // The division is needed only where the low half could be biased at all, once in 2⁶⁴ / n draws.
        if (product as u64) < n {
            let threshold = n.wrapping_neg() % n;
            while (product as u64) < threshold {
                product = u128::from(self.next_u64()) * u128::from(n);
            }
        }
        (product >> 64) as usize
    }

    /// Standard normal (Box & Muller 1958); uses two uniforms and keeps one of the pair.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// The logarithm of a draw from the gamma distribution of this shape and scale 1, finite for any shape above 0.
    ///
    /// Marsaglia & Tsang 2000, "A simple method for generating gamma variables"; below a shape of 1 a draw of
    /// shape + 1 times U^(1/shape), as they have it.
    fn ln_gamma(&mut self, shape: f64) -> f64 {
        let boost = if shape < 1.0 { (1.0 - self.uniform()).ln() / shape } else { 0.0 };
        let d = if shape < 1.0 { shape + 1.0 } else { shape } - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            let u = 1.0 - self.uniform();
            if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return (d * v).ln() + boost;
            }
        }
    }

    /// From 0 to 1 by the symmetric beta distribution Beta(`shape`, `shape`), for a shape above 0: the share of one of
    /// two gamma draws in their sum.
    pub fn beta(&mut self, shape: f64) -> f64 {
        let (one, other) = (self.ln_gamma(shape), self.ln_gamma(shape));
        1.0 / (1.0 + (other - one).exp())
    }

    /// Shuffles in place (Fisher & Yates), every order equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_counter() {
        let first = |seed, purpose, counter| Stream::new(seed, purpose, counter).next_u64();
        let base = first(1, Purpose::Split, 0);
        assert_eq!(base, first(1, Purpose::Split, 0));
        assert_ne!(base, first(2, Purpose::Split, 0));
        assert_ne!(base, first(1 << 32, Purpose::Split, 0));
        assert_ne!(base, first(1, Purpose::Init, 0));
        assert_ne!(base, first(1, Purpose::Split, 1));
    }

    #[test]
    fn words_are_those_of_the_blocks_one_by_one() {
        for begin in [0, u64::from(u32::MAX) - 20] {
            let mut stream = Stream::new(u64::MAX / 3, Purpose::Shuffle, 9);
            stream.block = begin;
            for block in begin..begin + 60 {
                let counter = [block as u32, (block >> 32) as u32, 9, Purpose::Shuffle as u32];
                let expected = philox(counter, stream.key);
                assert_eq!(expected, std::array::from_fn(|_| stream.next_u32()), "block {block}");
            }
        }
    }

    #[test]
    fn below_is_even() {
        let mut stream = Stream::new(7, Purpose::Split, 0);
        let mut counts = [0usize; 5];
        for _ in 0..50_000 {
            counts[stream.below(5)] += 1;
        }
        // 10,000 expected each, standard deviation 89: five of them on either side.
        assert!(counts.iter().all(|&c| c.abs_diff(10_000) < 450), "{counts:?}");
    }

    #[test]
    fn beta_has_the_moments_of_beta() {
        for shape in [1e-3, 0.2, 1.0, 4.0, 1e6] {
            let mut stream = Stream::new(5, Purpose::Mixup, 0);
            let n = 100_000;
            let draws: Vec<f64> = (0..n).map(|_| stream.beta(shape)).collect();
            assert!(draws.iter().all(|d| (0.0..=1.0).contains(d)), "{shape}");
            let mean = draws.iter().sum::<f64>() / f64::from(n);
            let variance = draws.iter().map(|d| (d - 0.5).powi(2)).sum::<f64>() / f64::from(n);
            let expected = 0.25 / (2.0 * shape + 1.0);
            // The mean has the standard error √(variance/n); squares of deviations spread by no more than 1.5 times
            // their mean.
            assert!((mean - 0.5).abs() < 5.0 * (expected / f64::from(n)).sqrt(), "{shape}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.025, "{shape}: {variance}, not {expected}");
        }
    }

    #[test]
    fn normal_has_the_moments_of_a_normal() {
        let mut stream = Stream::new(3, Purpose::Init, 0);
        let n = 200_000;
        let draws: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let moment = |p| draws.iter().map(|d| (d - mean).powi(p)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.012, "{mean}");
        assert!((moment(2) - 1.0).abs() < 0.017, "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.12, "{}", moment(4));
    }
}
