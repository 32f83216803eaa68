//! The learning-rate range test (Smith 2015, "Cyclical learning rates for training neural networks", section 3.3):
//! a short training whose learning rate rises from step to step, to see where the loss falls and where it blows up.
//!
//! Here the rate rises exponentially, so that every order of magnitude gets as many steps.

use serde::Serialize;
use statera_kernels::{CpuLevel, Scalar};

use super::fit::{Rows, bound_batches};
use super::optimizer::Optimizer;
use super::source::Source;
use super::start::start;
use super::step::Stepper;
use crate::config::{Config, OptimizerName};
use crate::error::{Error, Result};
use crate::nn::{Loss, Network};
use crate::random::{Purpose, Stream};

/// From which rate to which, in how many steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ramp {
    /// The rate of the first step.
    pub from: f64,
    /// The rate of the last one.
    pub to: f64,
    /// How many steps there are.
    pub steps: usize,
}

/// What a test is without more being said: from rates that hardly move anything to some at which every optimiser fails.
pub const USUAL: Ramp = Ramp { from: 1e-6, to: 10.0, steps: 200 };

/// The fewest steps whose losses can be told from their noise.
const FEWEST_STEPS: usize = 20;

/// The most steps of a test, which are all kept and drawn.
const MOST_STEPS: usize = 100_000;

impl Ramp {
    /// Refuses ramps that do not rise, or show nothing.
    pub fn check(&self) -> Result<()> {
        let rises = self.from > 0.0 && self.from < self.to && self.to.is_finite();
        if !rises {
            return Err(Error::setting(
                format!(
                    "a range from {} to {}: expected two rates above 0, the first the smaller",
                    self.from, self.to
                ),
                "--from 1e-6 --to 10",
            ));
        }
        if self.steps < FEWEST_STEPS {
            return Err(Error::setting(
                format!(
                    "{} steps: with fewer than {FEWEST_STEPS} no curve can be told from noise",
                    self.steps
                ),
                "--steps 200",
            ));
        }
        if self.steps > MOST_STEPS {
            return Err(Error::setting(
                format!("{} steps: more than {MOST_STEPS}, each of them a point of the figure", self.steps),
                "--steps 200",
            ));
        }
        Ok(())
    }

    /// The rate of step `step`, counted from 0.
    fn rate(&self, step: usize) -> f64 {
        self.from * (self.to / self.from).powf(step as f64 / (self.steps - 1) as f64)
    }
}

/// A step of the test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The learning rate.
    pub rate: f64,
    /// The loss of the batch, before the step is made.
    pub loss: f64,
    /// The mean of the losses around it, a twentieth of all steps to either side.
    pub smoothed: f64,
}

/// What a test came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RangeTest {
    /// The ramp that was asked for.
    pub ramp: Ramp,
    /// The rate to train with; none if the loss fell no further than the losses of batches differ.
    pub suggestion: Option<f64>,
    /// Which rule gave it, in words.
    pub rule: String,
    /// The rate at which the smoothed loss falls fastest over the logarithm of the rate.
    pub steepest: Option<f64>,
    /// The rate of the lowest smoothed loss.
    pub lowest: f64,
    /// The rate at which the loss blew up, which ended the test; none if it did not.
    pub blow_up: Option<f64>,
    /// Every step whose loss was finite.
    pub points: Vec<Point>,
}

/// How many standard deviations of the difference of two windows' means the loss has to fall by; of some ten windows the
/// lowest is looked at.
const SURE: f64 = 4.0;
/// What a running mean of losses keeps at each step, to tell that the loss blows up.
const KEEP: f64 = 0.8;

/// Runs the test on `train`, with the optimiser, batches, clipping and seed of the settings, from the initial
/// parameters; schedules, averages of weights and cuts of the rate are left out, and so are augmentation, noise on labels
/// and curricula.
///
/// It ends early when the loss is not finite, or its running mean has risen above the lowest by more than twice the
/// size of the first: |first|, or how far the loss has fallen if that is more. The suggestion is the rate at which
/// the smoothed loss falls fastest, but at most a tenth of the one at which it blew up; there is none where the loss falls by
/// less than four standard deviations of the difference of two smoothed losses. Nothing but training rows is
/// looked at. Fails when the first loss is not finite.
pub fn range_test<T: Scalar>(
    network: &Network,
    loss: Loss,
    level: CpuLevel,
    config: &Config,
    train: &Rows<T>,
    ramp: Ramp,
) -> Result<RangeTest> {
    ramp.check()?;
    if config.optimizer.name == OptimizerName::Lbfgs {
        return Err(Error::setting(
            "`optimizer.name` = \"lbfgs\" has no learning rate to be found: a line search finds the length of each step",
            "--set optimizer.name=adamw",
        ));
    }
    let (n_train, n_inputs, seed) = (train.len(), network.n_inputs(), config.seed);
    // A step of accumulated batches is one of a batch as large as all of them.
    let batch_size = config.train.batch_size.saturating_mul(config.train.accumulate).min(n_train);
    let mut settings = config.train.clone();
    settings.accumulate = 1;
    let mut bounds = Vec::new();
    bound_batches(n_train, batch_size, &mut bounds);
    let mut params = start(network, level, seed, train)?;
    let mut optimizer = Optimizer::new(&config.optimizer, network.views());
    let max_rows = batch_size + 1;
    let mut stepper = Stepper::new(network, loss, level, seed, max_rows, config.train.shard_rows)
        .with_settings(&settings)
        .with_noise(&config.noise);
    let mut order: Vec<u32> = (0..n_train as u32).collect();
    let mut losses: Vec<f64> = Vec::new();
    let mut blow_up = None;
    let mut watch = BlowUp::default();
    for step in 0..ramp.steps {
        let (epoch, batch) = (step / bounds.len(), step % bounds.len());
        if batch == 0 && config.train.shuffle {
            order.iter_mut().enumerate().for_each(|(i, row)| *row = i as u32);
            Stream::new(seed, Purpose::Shuffle, epoch as u32 + 1).shuffle(&mut order);
        }
        let first = if batch == 0 { 0 } else { bounds[batch - 1] };
        let rows = train.picked(&order[first..bounds[batch]], n_inputs);
        let rate = ramp.rate(step);
        let mean = stepper.step(step as u32, rate, &mut params, &mut optimizer, &rows.x, rows.targets.view());
        if mean.is_finite() {
            losses.push(mean);
        }
        if watch.sees(mean) {
            blow_up = Some(rate);
            break;
        }
    }
    if losses.is_empty() {
        return Err(Error::training(
            "the loss is not finite in the very first step, before any learning rate has a say",
            "statera profile your table for values that are out of all proportion, or --set prepare.scale=robust",
        ));
    }
    Ok(judged(ramp, &losses, watch.limit(), blow_up))
}

/// Tells from one loss after the other whether they blow up.
#[derive(Debug, Clone, Default)]
struct BlowUp {
    first: Option<f64>,
    lowest: f64,
    mean: f64,
}

impl BlowUp {
    fn sees(&mut self, loss: f64) -> bool {
        if !loss.is_finite() {
            return true;
        }
        if self.first.is_none() {
            (self.first, self.lowest, self.mean) = (Some(loss), loss, loss);
        }
        self.mean = KEEP * self.mean + (1.0 - KEEP) * loss;
        self.lowest = self.lowest.min(self.mean);
        self.mean > self.limit()
    }

    fn limit(&self) -> f64 {
        let first = self.first.unwrap_or(0.0);
        self.lowest + 2.0 * first.abs().max(first - self.lowest)
    }
}

/// The findings of a curve of losses, those above `limit` counted as that much.
fn judged(ramp: Ramp, losses: &[f64], limit: f64, blow_up: Option<f64>) -> RangeTest {
    let reach = (ramp.steps / 20).max(1);
    let around = |i: usize| i.saturating_sub(reach)..(i + reach + 1).min(losses.len());
    let smooth = |i: usize| {
        let part = &losses[around(i)];
        part.iter().map(|l| l.min(limit)).sum::<f64>() / part.len() as f64
    };
    let smoothed: Vec<f64> = (0..losses.len()).map(smooth).collect();
    let lowest = (0..losses.len()).fold(0, |best, i| if smoothed[i] < smoothed[best] { i } else { best });
    // The steps of a rate that is left and right of i by `reach` are equally far in the logarithm of the rate.
    let fall = |i: usize| smoothed[around(i).end - 1] - smoothed[around(i).start];
    let steepest = (reach..lowest.min(losses.len().saturating_sub(reach)))
        .fold(None, |best: Option<usize>, i| match best {
            Some(best) if fall(best) <= fall(i) => Some(best),
            _ => Some(i),
        })
        .filter(|&i| fall(i) < 0.0)
        .map(|i| ramp.rate(i));
    // Losses of single batches differ: what falls no further than two means of a window do by chance has not fallen.
    let window = (2 * reach + 1) as f64;
    let residuals = (0..=lowest).map(|i| (losses[i].min(limit) - smoothed[i]).powi(2));
    let deviation = (residuals.sum::<f64>() / (lowest + 1) as f64).sqrt();
    let fallen = smoothed[reach.min(lowest)] - smoothed[lowest];
    let steepest = steepest.filter(|_| fallen > SURE * deviation * (2.0 / window).sqrt());
    let tenth = blow_up.map(|rate| rate / 10.0);
    let (suggestion, rule) = match (steepest, tenth) {
        (Some(steepest), Some(tenth)) if tenth < steepest => (
            Some(tenth),
            "a tenth of the rate at which the loss blew up, which is less than where it falls fastest",
        ),
        (Some(steepest), _) => (Some(steepest), "the rate at which the smoothed loss falls fastest"),
        (None, _) => (None, "none: the smoothed loss falls no further than the losses of batches differ"),
    };
    RangeTest {
        ramp,
        suggestion: suggestion.map(two_digits),
        rule: rule.to_owned(),
        steepest,
        lowest: ramp.rate(lowest),
        blow_up,
        points: losses
            .iter()
            .zip(&smoothed)
            .enumerate()
            .map(|(i, (&loss, &smoothed))| Point { rate: ramp.rate(i), loss, smoothed })
            .collect(),
    }
}

/// To the digits that people write.
fn two_digits(x: f64) -> f64 {
    format!("{x:.1e}").parse().unwrap_or(x)
}

/// A learning rate for a training that went astray at `rate`: what a short test below it suggests, at most a tenth;
/// none if the loss falls at none of the rates that are tried.
pub fn instead_of<T: Scalar>(
    rate: f64,
    network: &Network,
    loss: Loss,
    level: CpuLevel,
    config: &Config,
    train: Source<T>,
) -> Option<f64> {
    /// Rows that the test may go through, so that a table of many is not trained on once more.
    const ROWS: usize = 1 << 21;
    /// Of a file, rows that it is given, evenly spread.
    const FROM_FILE: usize = 1 << 16;
    /// Losses of smaller batches differ too much for so short a test.
    const LEAST_BATCH: usize = 32;
    let mut config = config.clone();
    config.train.batch_size = config.train.batch_size.max(LEAST_BATCH);
    let steps = (ROWS / config.train.batch_size.clamp(1, train.len().max(1))).clamp(FEWEST_STEPS, 100);
    // A rate that is far too high leaves the sound ones few steps of a ramp up to it, or none: then the usual one is
    // tried, and one of rates below it.
    let below = |[from, to]: [f64; 2]| Ramp { from: rate * from, to: rate * to, steps };
    let usual = Ramp { to: USUAL.to.min(rate), steps: (2 * steps).min(USUAL.steps), ..USUAL };
    let ramps = [below([1e-6, 1.0]), usual, below([1e-12, 1e-6])];
    let some;
    let rows = match train {
        Source::Memory(rows) => rows,
        Source::File(file) => {
            let every = file.len().div_ceil(FROM_FILE).max(1);
            let spread: Vec<u32> = (0..file.len() as u32).step_by(every).collect();
            some = file.picked(&spread).ok()?;
            &some
        }
    };
    let test = |ramp| range_test(network, loss, level, &config, rows, ramp).ok();
    let found = ramps.into_iter().find_map(|ramp| test(ramp)?.suggestion)?;
    Some(found.min(two_digits(rate / 10.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAMP: Ramp = Ramp { from: 1e-6, to: 10.0, steps: 141 };

    /// Twenty steps a factor of ten; a fall from 1 towards 0.2 about `middle`, and a rise beyond `end`.
    fn curve(middle: f64, end: f64) -> Vec<f64> {
        let loss = |rate: f64| {
            let fallen = 1.0 / (1.0 + (-(4.0 * (rate / middle).log10())).exp());
            let risen = if rate > end { 3.0 * (rate / end).log10() } else { 0.0 };
            1.0 - 0.8 * fallen + risen
        };
        (0..RAMP.steps).map(|i| loss(RAMP.rate(i))).collect()
    }

    #[test]
    fn the_steepest_descent_of_a_smooth_curve_is_found() {
        assert_eq!((RAMP.rate(0), RAMP.rate(20).log10().round()), (1e-6, -5.0));
        let test = judged(RAMP, &curve(1e-3, 5.0), 100.0, None);
        let steepest = test.steepest.unwrap();
        // To half of the distance of two steps, a factor of 1.06.
        assert!((steepest.log10() + 3.0).abs() < 0.026, "{steepest}");
        assert_eq!(test.suggestion, Some(1e-3));
        assert!(test.rule.contains("falls fastest"));
        assert_eq!(test.points.len(), RAMP.steps);
    }

    #[test]
    fn a_tenth_of_the_blow_up_is_the_most_that_is_suggested() {
        let test = judged(RAMP, &curve(1e-3, 5e-3), 100.0, Some(8e-3));
        assert_eq!(test.suggestion, Some(8e-4));
        assert!(test.rule.contains("a tenth"), "{}", test.rule);
        assert!(test.lowest < 1e-2, "{}", test.lowest);
    }

    #[test]
    fn a_loss_that_falls_nowhere_suggests_nothing() {
        let rising: Vec<f64> = (0..141).map(f64::from).collect();
        let test = judged(RAMP, &rising, 1e9, None);
        assert_eq!((test.suggestion, test.steepest), (None, None));
    }

    #[test]
    fn noise_alone_suggests_nothing_and_hides_no_fall() {
        for seed in 0..20 {
            let mut stream = Stream::new(seed, Purpose::Init, 0);
            let mut noisy = |level: f64| level + 0.3 * stream.normal();
            let flat: Vec<f64> = (0..141).map(|_| noisy(1.0)).collect();
            assert_eq!(judged(RAMP, &flat, 100.0, None).suggestion, None, "seed {seed}");
            let falling: Vec<f64> = curve(1e-3, 5.0).into_iter().map(noisy).collect();
            let found = judged(RAMP, &falling, 100.0, None).suggestion.unwrap();
            assert!((1e-4..1e-2).contains(&found), "seed {seed}: {found}");
        }
    }

    #[test]
    fn a_loss_blows_up_beyond_the_size_it_began_with() {
        let first_beyond = |losses: &[f64]| {
            let mut watch = BlowUp::default();
            losses.iter().position(|&loss| watch.sees(loss))
        };
        assert_eq!(first_beyond(&[1.0, 0.9, 1.1, 1.5, 0.9, 1.2]), None);
        assert_eq!(first_beyond(&[1.0, 0.5, 0.4, 30.0, 1.0]), Some(3));
        assert_eq!(first_beyond(&[1.0, 0.5, f64::NAN]), Some(2));
        // A loss below zero, as that of counts can be.
        assert_eq!(first_beyond(&[-2.0, -3.0, -3.5, -2.0, 0.0, 1.0, 2.0]), None);
        assert_eq!(first_beyond(&[-2.0, -3.0, -3.5, 40.0]), Some(3));
    }

    #[test]
    fn ramps_that_show_nothing_are_refused() {
        for (from, to, steps) in [
            (1.0, 0.1, 100),
            (0.0, 1.0, 100),
            (-1.0, 1.0, 100),
            (1e-3, f64::NAN, 100),
            (0.1, 1.0, 5),
            (0.1, 1.0, 100_001),
        ] {
            assert!(Ramp { from, to, steps }.check().is_err());
        }
        assert!(RAMP.check().is_ok());
    }
}
