//! How long a training step takes: random rows, shuffled every epoch, whole batches only.

use std::time::{Duration, Instant};

use statera::config::Config;
use statera::nn::buffer::Buffer;
use statera::nn::{CpuLevel, Loss, Network, Targets};
use statera::random::{Purpose, Stream};
use statera::train::{optimizer::Optimizer, rows::gather_inputs, step::Stepper};
use statera_kernels::Scalar;

/// Multiply–adds a second in registers alone: the best of a few short tries.
pub fn peak<T: Scalar>(level: CpuLevel) -> f64 {
    let rate = |_| {
        let begin = Instant::now();
        let (n, _) = <T as Scalar>::peak(level, 500_000);
        n as f64 / begin.elapsed().as_secs_f64()
    };
    (0..10).map(rate).fold(0.0, f64::max)
}

/// Seconds a step over a table of `n_rows`, over epochs of at least `length` in all. Shuffling and gathering count.
///
/// # Panics
/// When the loss does not fall.
pub fn measure<T: Scalar>(
    network: &Network,
    config: &Config,
    level: CpuLevel,
    [n_rows, batch_size]: [usize; 2],
    length: Duration,
) -> f64 {
    let features = network.n_inputs();
    let mut stream = Stream::new(0, Purpose::Init, 1000);
    let all_x: Vec<T> = (0..n_rows * features).map(|_| T::from_f64(stream.normal())).collect();
    let all_t: Vec<T> = (0..n_rows).map(|_| T::from_f64(stream.normal())).collect();
    let mut params = Buffer::of(&network.init::<T>(0), 0);
    let mut optimizer = Optimizer::new(&config.optimizer, network.views());
    let mut stepper = Stepper::new(network, Loss::Mse, level, 0, batch_size, config.train.shard_rows);
    let mut order: Vec<u32> = (0..n_rows as u32).collect();
    let mut x = vec![T::ZERO; batch_size * features];
    let mut t = vec![T::ZERO; batch_size];
    let mut steps = 0_u32;
    let mut losses = Vec::new();
    let mut epoch = |number: u32, steps: &mut u32| {
        Stream::new(0, Purpose::Shuffle, number).shuffle(&mut order);
        let mut loss_sum = 0.0;
        for rows in order.chunks_exact(batch_size) {
            gather_inputs(&all_x, rows, features, &mut x);
            for (t, &row) in t.iter_mut().zip(rows) {
                *t = all_t[row as usize];
            }
            loss_sum += stepper.step(*steps, 1e-3, &mut params, &mut optimizer, &x, Targets::Values(&t));
            *steps += 1;
        }
        losses.push(loss_sum);
    };
    epoch(0, &mut steps);
    let (warm, begin) = (steps, Instant::now());
    let mut number = 1;
    while number < 3 || begin.elapsed() < length {
        epoch(number, &mut steps);
        number += 1;
    }
    let seconds = begin.elapsed().as_secs_f64() / f64::from(steps - warm);
    assert!(losses.last() < losses.first(), "the network does not learn");
    seconds
}
