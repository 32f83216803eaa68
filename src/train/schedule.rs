//! Learning-rate schedules: a pure function from the step to a factor on the learning rate.

use std::f64::consts::PI;

use crate::config::{ScheduleConfig, ScheduleName};

/// How the learning rate changes over the steps of training.
#[derive(Debug, Clone)]
pub struct Schedule {
    settings: ScheduleConfig,
    steps_per_epoch: f64,
    warmup_steps: usize,
    /// Steps after the warm-up, at least one.
    n_steps: usize,
}

impl Schedule {
    /// The schedule over `epochs` of `steps_per_epoch` steps of the optimiser.
    pub fn new(settings: &ScheduleConfig, epochs: usize, steps_per_epoch: usize) -> Self {
        let steps_per_epoch_f = steps_per_epoch as f64;
        let warmup_steps = (settings.warmup * steps_per_epoch_f).round() as usize;
        Self {
            settings: settings.clone(),
            steps_per_epoch: steps_per_epoch_f,
            warmup_steps,
            n_steps: epochs.saturating_mul(steps_per_epoch).saturating_sub(warmup_steps).max(1),
        }
    }

    /// What the learning rate is multiplied by in step `step`, counted from 0.
    ///
    /// The warm-up of W steps has (step + 1) / W. After it, with t from 0 to 1 over the steps that are left, e the
    /// epochs since, and E `schedule.every`:
    ///
    /// | name | factor |
    /// |---|---|
    /// | constant | 1 |
    /// | step | factor^⌊e/E⌋ |
    /// | exponential | factor^(e/E) |
    /// | inverse_time | 1 / (1 + decay·e/E) |
    /// | polynomial | end + (1 − end)·(1 − t)^power |
    /// | cosine | end + (1 − end)·½(1 + cos πt), t anew from 0 in each wave (Loshchilov & Hutter 2017) |
    /// | one_cycle | half a cosine wave from start up to 1, then one down to end (Smith & Topin 2019) |
    /// | coslog4 | ½(1 − cos(2π·log₂(1 + 15t))) (Holzmüller, Grinsztajn & Steinwart 2024) |
    /// | flat_cos | 1 until t = ½, then half a cosine wave down to end (the same) |
    ///
    /// Whatever the curve, `schedule.cut` to the power of the [`cuts`](ScheduleConfig::cuts) that lie behind.
    pub fn factor(&self, step: usize) -> f64 {
        self.curve(step) * self.cuts(step)
    }

    fn cuts(&self, step: usize) -> f64 {
        let epochs = step as f64 / self.steps_per_epoch + 1e-9;
        let behind = self.settings.cuts.iter().filter(|&&cut| cut as f64 <= epochs).count();
        self.settings.cut.powi(behind as i32)
    }

    fn curve(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / self.warmup_steps as f64;
        }
        let s = &self.settings;
        let step = step - self.warmup_steps;
        let t = (step as f64 / self.n_steps as f64).min(1.0);
        let periods = step as f64 / self.steps_per_epoch / s.every;
        let down = |t: f64| s.end + (1.0 - s.end) * 0.5 * (1.0 + (PI * t).cos());
        match s.name {
            ScheduleName::Constant => 1.0,
            // An epoch is a whole number of steps: a hair's breadth before its end is its end.
            ScheduleName::Step => s.factor.powf((periods + 1e-9).floor()),
            ScheduleName::Exponential => s.factor.powf(periods),
            ScheduleName::InverseTime => 1.0 / (1.0 + s.decay * periods),
            ScheduleName::Polynomial => s.end + (1.0 - s.end) * (1.0 - t).powf(s.power),
            ScheduleName::Cosine => down(self.part_of_wave(t)),
            ScheduleName::OneCycle if t < s.rise => {
                s.start + (1.0 - s.start) * 0.5 * (1.0 - (PI * t / s.rise).cos())
            }
            ScheduleName::OneCycle => down((t - s.rise) / (1.0 - s.rise)),
            ScheduleName::Coslog4 => 0.5 * (1.0 - (2.0 * PI * (1.0 + 15.0 * t).log2()).cos()),
            ScheduleName::FlatCos if t < 0.5 => 1.0,
            ScheduleName::FlatCos => down(2.0 * t - 1.0),
        }
    }

    /// Where in its wave the time `t` is: waves are as long as `growth` times the one before.
    fn part_of_wave(&self, t: f64) -> f64 {
        let (n_waves, growth) = (self.settings.restarts + 1, self.settings.growth);
        // Shares of the last wave, backwards: powers of a growth of 1 or more stay within range.
        let shares = (0..n_waves).map(|wave| growth.powf(wave as f64 + 1.0 - n_waves as f64));
        let all: f64 = shares.clone().sum();
        let mut begin = 0.0;
        for (wave, share) in shares.enumerate() {
            let length = share / all;
            if t < begin + length - 1e-12 || wave + 1 == n_waves {
                return ((t - begin) / length).clamp(0.0, 1.0);
            }
            begin += length;
        }
        1.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;

    fn settings(name: ScheduleName) -> ScheduleConfig {
        ScheduleConfig { name, ..Config::default().schedule }
    }

    #[track_caller]
    fn near(settings: &ScheduleConfig, epochs: usize, expected: &[(usize, f64)]) {
        let schedule = Schedule::new(settings, epochs, 10);
        for &(step, factor) in expected {
            let got = schedule.factor(step);
            assert!((got - factor).abs() < 1e-12, "{} in step {step}: {got}, not {factor}", settings.name);
        }
    }

    #[test]
    fn points_by_hand() {
        use ScheduleName as S;
        let of = settings;
        near(&of(S::Constant), 10, &[(0, 1.0), (99, 1.0), (1000, 1.0)]);
        let every = |name, every| ScheduleConfig { every, factor: 0.25, ..of(name) };
        near(&every(S::Step, 3.0), 10, &[(0, 1.0), (29, 1.0), (30, 0.25), (59, 0.25), (60, 0.0625)]);
        near(&every(S::Exponential, 2.0), 10, &[(0, 1.0), (10, 0.5), (20, 0.25), (40, 0.0625)]);
        near(&every(S::InverseTime, 2.0), 10, &[(0, 1.0), (20, 0.5), (60, 0.25)]);
        let cuts = ScheduleConfig { cuts: vec![2, 5], cut: 0.5, ..of(S::Constant) };
        near(&cuts, 10, &[(0, 1.0), (19, 1.0), (20, 0.5), (49, 0.5), (50, 0.25), (99, 0.25)]);
        let polynomial = ScheduleConfig { power: 2.0, end: 0.2, ..of(S::Polynomial) };
        near(&polynomial, 10, &[(0, 1.0), (50, 0.2 + 0.8 * 0.25), (100, 0.2), (200, 0.2)]);
        let half = 0.5_f64.sqrt();
        near(&of(S::Cosine), 10, &[(0, 1.0), (25, 0.5 + half / 2.0), (50, 0.5), (100, 0.0)]);
        let waves = ScheduleConfig { restarts: 1, growth: 3.0, ..of(S::Cosine) };
        // The first wave takes 25 steps of 100, the second 75.
        near(
            &waves,
            10,
            &[(0, 1.0), (20, 0.5 * (1.0 + (0.8 * PI).cos())), (25, 1.0), (50, 0.75), (75, 0.25)],
        );
        let one_cycle = ScheduleConfig { rise: 0.4, start: 0.2, end: 0.1, ..of(S::OneCycle) };
        near(&one_cycle, 10, &[(0, 0.2), (20, 0.6), (40, 1.0), (70, 0.55), (100, 0.1)]);
        // log₂(1 + 15t) is 0, 1, 2, 3, 4 at t = 0, 1/15, 3/15, 7/15, 1: the ends of the waves; ½ at their middle.
        near(&of(S::Coslog4), 15, &[(0, 0.0), (10, 0.0), (30, 0.0), (70, 0.0), (150, 0.0)]);
        near(&of(S::Coslog4), 16, &[(32, 0.5 * (1.0 - (2.0 * PI * 4.0_f64.log2()).cos()))]);
        near(&of(S::FlatCos), 10, &[(0, 1.0), (49, 1.0), (50, 1.0), (75, 0.5), (100, 0.0)]);
    }

    #[test]
    fn warm_up_rises_in_a_straight_line_and_the_schedule_takes_the_rest() {
        let warm = ScheduleConfig { warmup: 2.0, ..settings(ScheduleName::Cosine) };
        near(&warm, 12, &[(0, 0.05), (9, 0.5), (19, 1.0), (20, 1.0), (70, 0.5), (120, 0.0)]);
        let all = ScheduleConfig { warmup: 50.0, ..settings(ScheduleName::Cosine) };
        near(&all, 1, &[(0, 0.002), (9, 0.02)]);
    }

    proptest! {
        #[test]
        fn a_factor_is_from_0_to_1(
            which in 0..ScheduleName::NAMES.len(),
            warmup in 0.0_f64..30.0,
            end in 0.0_f64..=1.0,
            start in 0.0_f64..=1.0,
            restarts in 0_usize..5,
            growth in 1.0_f64..5.0,
            rise in 0.01_f64..0.99,
            power in 0.1_f64..5.0,
            epochs in 1_usize..40,
            per_epoch in 1_usize..20,
        ) {
            let name = ScheduleName::ALL[which];
            let s = ScheduleConfig { warmup, power, end, restarts, growth, rise, start, ..settings(name) };
            let schedule = Schedule::new(&s, epochs, per_epoch);
            for step in 0..epochs * per_epoch + 3 {
                let factor = schedule.factor(step);
                prop_assert!((0.0..=1.0 + 1e-12).contains(&factor), "{name} in step {step}: {factor}");
            }
        }
    }
}
