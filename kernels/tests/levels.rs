//! Every kernel at every CPU level that this machine has gives the bits of its plain version.

use statera_kernels::{
    Activation, AdadeltaStep, AdagradStep, AdamStep, CpuLevel, Kept, Kernels, LionStep, Matrix, MuonStep,
    NadamStep, Real, RmspropStep, Scalar, ScheduleFreeStep, SgdStep, Start, naive, product_scratch_len,
    sum_of_squares,
};

fn levels() -> impl Iterator<Item = CpuLevel> {
    CpuLevel::ALL.into_iter().filter(|level| level.is_available())
}

/// Sizes up to 67; under Miri, which is some thousand times as slow, a few about the width of a register.
fn sizes() -> impl Iterator<Item = usize> {
    (0..=67).filter(|n| !cfg!(miri) || [0, 1, 7, 19].contains(n))
}

/// Numbers without pattern, the same on every run.
fn numbers<T: Real>(n: usize, salt: u32) -> Vec<T> {
    (0..n as u32)
        .map(|i| {
            let word = statera_kernels::random::philox([i, salt, 0, 0], [1, 2])[0];
            T::from_f64(f64::from(word) / f64::from(u32::MAX) * 4.0 - 2.0)
        })
        .collect()
}

fn check_product<T: Scalar>(shape @ [m, k, n]: [usize; 3]) {
    let (a, b, bias) = (numbers::<T>(m * k, 1), numbers::<T>(k * n, 2), numbers::<T>(n, 3));
    let before = numbers::<T>(m * n, 4);
    let mut scratch = vec![T::from_f64(f64::NAN); product_scratch_len(m, k, n)];
    for a in [Matrix::rows(&a, k), Matrix::transposed(&a, m)] {
        for b in [Matrix::rows(&b, n), Matrix::transposed(&b, k)] {
            for start in [Start::Zero, Start::Bias(&bias), Start::BiasRelu(&bias), Start::Add] {
                let mut expected = before.clone();
                naive::product(shape, a, b, &mut expected, start);
                for level in levels() {
                    let mut got = before.clone();
                    T::product(level, shape, a, b, &mut got, start, &mut scratch);
                    assert!(expected == got, "{shape:?} {start:?} at {}", level.name());
                    // And with three numbers between the rows, which have to stay.
                    let (wide, kept) = (n + 3, T::from_f64(7.0));
                    let apart = |rows: &[T]| -> Vec<T> {
                        let row = |r: usize| rows[r * n..(r + 1) * n].iter().copied().chain([kept; 3]);
                        (0..m).flat_map(row).collect()
                    };
                    let mut got = apart(&before);
                    T::product_to(level, shape, a, b, &mut got, wide, start, &mut scratch);
                    assert!(apart(&expected) == got, "{shape:?} {start:?} apart at {}", level.name());
                }
            }
        }
    }
}

#[test]
fn products_of_every_size_up_to_67() {
    for n in sizes() {
        for m in [0, 1, 2, 3, 5, 6, 7, 8, 11, 13].into_iter().filter(|m| !cfg!(miri) || m % 6 == 1) {
            check_product::<f32>([m, 3, n]);
        }
        check_product::<f32>([n, 7, 19]);
        check_product::<f32>([n, 1, 19]);
        check_product::<f32>([5, n, 17]);
        check_product::<f64>([n, 5, 9]);
        check_product::<f64>([7, n, 33]);
    }
}

#[test]
fn products_whose_last_columns_fill_a_quarter_of_a_register() {
    for m in (1..=9).chain([16, 31, 45, 67]).filter(|m| !cfg!(miri) || *m == 5) {
        for k in (3..=9).chain([130]).filter(|k| !cfg!(miri) || *k == 4) {
            check_product::<f32>([m, k, 20]);
            check_product::<f32>([m, k, 100]);
        }
    }
}

#[test]
fn products_that_are_packed_and_cut() {
    let whole = [[97, 33, 70], [130, 600, 66], [17, 1030, 200], [200, 9, 1], [1, 1100, 180]];
    for shape in if cfg!(miri) { &[[17, 5, 170], [1, 130, 3]][..] } else { &whole } {
        let shape = *shape;
        check_product::<f32>(shape);
        check_product::<f64>(shape);
    }
}

fn check_transpose<T: Scalar>(rows: usize, columns: usize) {
    let from = numbers::<T>(rows * columns, 12);
    for level in levels() {
        let mut to = vec![T::ZERO; rows * columns];
        T::transpose_to(level, [rows, columns], &from, &mut to);
        for r in 0..rows {
            for c in 0..columns {
                assert!(to[c * rows + r] == from[r * columns + c], "{rows}×{columns} at {}", level.name());
            }
        }
    }
}

#[test]
fn transposes_of_every_size_up_to_67() {
    for n in sizes() {
        for m in [0, 1, 3, 4, 7, 8, 9, 31, 67].into_iter().filter(|m| !cfg!(miri) || *m < 10) {
            check_transpose::<f32>(m, n);
            check_transpose::<f64>(n, m);
        }
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_in_a_batch() {
    let (k, n, m) = if cfg!(miri) { (10, 20, 13) } else { (100, 100, 256) };
    let (a, b) = (numbers::<f32>(m * k, 1), numbers::<f32>(k * n, 2));
    let mut scratch = vec![0.0; product_scratch_len(m, k, n)];
    let level = CpuLevel::detect();
    let mut all = vec![0.0; m * n];
    f32::product(
        level,
        [m, k, n],
        Matrix::rows(&a, k),
        Matrix::rows(&b, n),
        &mut all,
        Start::Zero,
        &mut scratch,
    );
    for row in 0..m {
        let mut one = vec![0.0; n];
        let a = Matrix::rows(&a[row * k..(row + 1) * k], k);
        f32::product(level, [1, k, n], a, Matrix::rows(&b, n), &mut one, Start::Zero, &mut scratch);
        assert_eq!(one, all[row * n..(row + 1) * n]);
    }
}

/// Runs `kernel` at every level and compares all that it wrote with the portable level's.
fn same_bits<T: Scalar>(what: &str, kernel: impl Fn(CpuLevel) -> Vec<Vec<T>>) {
    let expected = kernel(CpuLevel::Portable);
    for level in levels() {
        let got = kernel(level);
        for (expected, got) in expected.iter().flatten().zip(got.iter().flatten()) {
            assert!(
                expected == got || (!expected.is_finite() && !got.is_finite()),
                "{what} at {}: {expected} is {got}",
                level.name()
            );
        }
    }
}

fn check_elementwise<T: Scalar>(rows: usize, columns: usize) {
    let n = rows * columns;
    let (x, dy, wide) = (numbers::<T>(n, 5), numbers::<T>(n, 6), numbers::<T>(n, 7));
    let (a, b, c, d) = (
        numbers::<T>(columns, 8),
        numbers::<T>(columns, 9),
        numbers::<T>(columns, 10),
        numbers::<T>(columns, 11),
    );
    let zeros = || vec![T::ZERO; columns];
    for function in [
        Activation::Linear,
        Activation::Relu,
        Activation::LeakyRelu(0.1),
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Elu,
        Activation::Selu,
        Activation::Gelu,
        Activation::Silu,
        Activation::Mish,
        Activation::Softplus,
        Activation::Softsign,
    ] {
        same_bits(&format!("{function:?}"), |level| {
            let mut y: Vec<T> = wide.iter().map(|&w| w * T::from_f64(60.0)).collect();
            let (mut kept, mut again) = (dy.clone(), y.clone());
            T::activate(level, function, &mut y);
            T::activate_keeping(level, function, &mut again, &mut kept);
            assert!(y == again);
            let y = if function.keeps_derivative() { kept } else { y };
            let mut d = dy.clone();
            T::activate_backward(level, function, &y, &mut d);
            let (mut apart, mut together, mut once) = (zeros(), zeros(), dy.clone());
            T::column_sums(level, &d, &mut apart);
            T::activate_backward_with_sums(level, function, &y, &mut once, &mut together);
            assert!(once == d && together == apart);
            vec![again, y, d]
        });
    }
    same_bits("layer_norm and its backward pass", |level| {
        let (mut y, mut moments) = (x.clone(), vec![T::ZERO; 2 * rows]);
        T::layer_norm(level, &x, &a, &b, T::from_f64(1e-3), &mut y, &mut moments);
        let (mut dgamma, mut dbeta, mut dx) = (zeros(), zeros(), dy.clone());
        T::layer_norm_backward(level, &x, &moments, &a, &mut dx, &mut dgamma, &mut dbeta, None);
        check_layer_norm(&x, [&a, &b], &dy, 1e-3, [&y, &dgamma, &dbeta, &dx]);
        let (mut sums, mut sums_apart, mut dz, mut dz_apart) = (a.clone(), a.clone(), dy.clone(), dx.clone());
        let (mut dgamma_too, mut dbeta_too) = (zeros(), zeros());
        let with_sums = Some(&mut sums[..]);
        T::layer_norm_backward(level, &x, &moments, &a, &mut dz, &mut dgamma_too, &mut dbeta_too, with_sums);
        T::activate_backward_with_sums(level, Activation::Relu, &x, &mut dz_apart, &mut sums_apart);
        assert!(dz == dz_apart && sums == sums_apart && dgamma == dgamma_too && dbeta == dbeta_too);
        vec![y, moments, dgamma, dbeta, dx, dz, sums]
    });
    same_bits("scale_columns and its backward pass", |level| {
        let (mut y, mut dx, mut dfactor) = (x.clone(), dy.clone(), zeros());
        T::scale_columns(level, &x, &a, &mut y);
        T::scale_columns_backward(level, &x, &a, &mut dx, &mut dfactor);
        vec![y, dx, dfactor]
    });
    same_bits("affine_columns and its backward pass", |level| {
        let (mut y, mut dx, mut dfactor, mut dshift) = (x.clone(), dy.clone(), zeros(), zeros());
        T::affine_columns(level, &x, &a, &b, &mut y);
        T::affine_columns_backward(level, &x, &a, &mut dx, &mut dfactor, &mut dshift);
        vec![y, dx, dfactor, dshift]
    });
    same_bits("mix_columns and its backward pass", |level| {
        let (mut y, mut dx, mut dshare) = (x.clone(), dy.clone(), zeros());
        T::mix_columns(level, &x, &dy, &a, &mut y);
        T::mix_columns_backward(level, &x, &dy, &y, &a, &mut dx, &mut dshare);
        vec![y, dx, dshare]
    });
    same_bits("waves and their backward pass", |level| {
        let (mut waves, mut all) = (vec![T::ZERO; rows * 2 * columns], Vec::new());
        for phases in [&[][..], &b] {
            T::waves(level, &x, columns, &a, phases, &mut waves);
            let mut dwaves = numbers::<T>(if phases.is_empty() { 2 * n } else { n }, 13);
            let (mut dfrequencies, mut dphases) = (c.clone(), d[..phases.len()].to_vec());
            let mut dx = vec![T::ZERO; rows];
            T::waves_backward(
                level,
                &x,
                columns,
                &a,
                &waves,
                &mut dwaves,
                &mut dfrequencies,
                &mut dphases,
                &mut dx,
            );
            all.extend([waves.clone(), dwaves, dfrequencies, dphases, dx]);
        }
        all
    });
    same_bits("steps", |level| {
        let mut steps = vec![T::ZERO; rows * 3];
        T::steps(level, &x, columns, 3, &mut steps);
        vec![steps]
    });
    same_bits("noise", |level| {
        let (mut noise, mut y) = (x.clone(), x.clone());
        T::fill_normal(level, &mut noise, [1, 2], [3, 4, 5]);
        T::add_scaled(level, &noise, T::from_f64(0.3), &mut y);
        vec![noise, y]
    });
    same_bits("column_sums", |level| {
        let mut sums = zeros();
        T::column_sums(level, &x, &mut sums);
        vec![sums]
    });
    same_bits("add_column_moments", |level| {
        let (mut mean, mut squares) = (zeros(), zeros());
        T::add_column_moments(level, &x, 0, &mut mean, &mut squares);
        for column in 0..columns {
            let values = || x.iter().skip(column).step_by(columns).map(|v| v.to_f64());
            let expected = values().sum::<f64>() / rows as f64;
            let spread = values().map(|v| (v - expected).powi(2)).sum::<f64>();
            let near =
                |got: T, expected: f64| (got.to_f64() - expected).abs() < 1e-5 * (1.0 + expected.abs());
            assert!(near(mean[column], expected) && near(squares[column], spread));
        }
        vec![mean, squares]
    });
    same_bits("normalize_factors", |level| {
        let (mut variance, mut inv_std, mut scale) = (wide[..columns].to_vec(), zeros(), zeros());
        variance.iter_mut().for_each(|v| *v = v.abs());
        let (share, epsilon) = (T::from_f64(0.3), T::from_f64(1e-3));
        T::normalize_factors(level, &mut variance, share, epsilon, &a, &mut inv_std, &mut scale);
        let (mut dgamma, mut b2, mut c2) = (b.clone(), zeros(), zeros());
        let factors = [&inv_std[..], &scale[..]];
        T::normalize_backward_factors(level, share, factors, &mut dgamma, &c, &mut b2, &mut c2);
        vec![variance, inv_std, scale, dgamma, b2, c2]
    });
    same_bits("normalize", |level| {
        let mut y = x.clone();
        T::normalize(level, &x, &a, &b, &c, &mut y, None);
        vec![y]
    });
    same_bits("normalize_backward", |level| {
        let (mut dscale, mut dshift, mut dx) = (zeros(), zeros(), dy.clone());
        T::normalize_backward_sums(level, &x, &dx, &a, &mut dscale, &mut dshift, None);
        T::normalize_backward_input(level, &x, &mut dx, &a, &b, &c, &d, None, None);
        vec![dscale, dshift, dx]
    });
    same_bits("passes of batch norm that others are part of", |level| {
        let mut flags = vec![7; n];
        T::fill_kept(level, &mut flags, [1, 2], [3, 4, 5], 20_000);
        let kept = || Some(Kept { flags: &flags, scale: T::from_f64(1.5) });
        let (mut once, mut apart) = (x.clone(), x.clone());
        T::normalize(level, &x, &a, &b, &c, &mut once, kept());
        T::normalize(level, &x, &a, &b, &c, &mut apart, None);
        T::drop_out(level, &mut apart, &flags, T::from_f64(1.5));
        assert!(once == apart);
        let (mut dscale, mut dshift, mut dx) = (a.clone(), b.clone(), dy.clone());
        T::normalize_backward_sums(level, &x, &dx, &a, &mut dscale, &mut dshift, kept());
        let (mut dscale_apart, mut dshift_apart, mut dx_apart) = (a.clone(), b.clone(), dy.clone());
        T::drop_out(level, &mut dx_apart, &flags, T::from_f64(1.5));
        T::normalize_backward_sums(level, &x, &dx_apart, &a, &mut dscale_apart, &mut dshift_apart, None);
        assert!(dscale == dscale_apart && dshift == dshift_apart);
        let (mut sums, mut sums_apart) = (zeros(), zeros());
        let mut dx_alone = dy.clone();
        T::normalize_backward_input(level, &x, &mut dx_alone, &a, &b, &c, &d, kept(), None);
        T::normalize_backward_input(level, &x, &mut dx, &a, &b, &c, &d, kept(), Some(&mut sums));
        T::normalize_backward_input(level, &x, &mut dx_apart, &a, &b, &c, &d, None, None);
        assert!(dx_alone == dx_apart);
        T::activate_backward_with_sums(level, Activation::Relu, &x, &mut dx_apart, &mut sums_apart);
        assert!(dx == dx_apart && sums == sums_apart);
        vec![once, dscale, dshift, dx, sums]
    });
    same_bits("dropout, multiply and add", |level| {
        let (mut kept, mut y, mut product) = (vec![7; n], x.clone(), x.clone());
        T::fill_kept(level, &mut kept, [1, 2], [3, 4, 5], 20_000);
        T::drop_out(level, &mut y, &kept, T::from_f64(1.5));
        T::multiply(level, &x, &wide, &mut product);
        let mut sum = dy.clone();
        T::add_to(level, &x, &mut sum);
        let kept = kept.into_iter().map(|k| T::from_f64(f64::from(k))).collect();
        vec![kept, y, product, sum]
    });
    same_bits("column_sums in parts", |level| {
        let (whole, cut) = (&x, 4.min(rows) * columns);
        let (mut once, mut twice) = (zeros(), zeros());
        T::column_sums(level, whole, &mut once);
        T::column_sums(level, &whole[..cut], &mut twice);
        T::column_sums(level, &whole[cut..], &mut twice);
        assert!(once == twice);
        vec![once]
    });
    same_bits("adam", |level| {
        let (mut p, mut m, mut v) = (x.clone(), vec![T::ZERO; n], vec![T::ZERO; n]);
        let f = T::from_f64;
        let step = AdamStep {
            rate: f(0.01),
            inv_root_correction: f(1.1),
            beta1: f(0.9),
            beta2: f(0.99),
            epsilon: f(1e-8),
            l2: f(0.01),
            keep: f(0.999),
        };
        for _ in 0..3 {
            T::adam_step(level, &step, &mut p, &dy, &mut m, &mut v);
        }
        vec![p, m, v]
    });
    for nesterov in [false, true] {
        same_bits("sgd", |level| {
            let (mut p, mut u) = (x.clone(), vec![T::ZERO; n]);
            let f = T::from_f64;
            let step = SgdStep {
                rate: f(0.01),
                momentum: f(0.9),
                share: f(0.5),
                nesterov,
                l2: f(0.01),
                keep: f(0.999),
            };
            for _ in 0..3 {
                T::sgd_step(level, &step, &mut p, &dy, &mut u);
            }
            vec![p, u]
        });
    }
    check_optimizers(&x, &dy);
}

/// y, dγ, dβ and dx of layer normalisation against their formulas in double precision.
fn check_layer_norm<T: Scalar>(x: &[T], [gamma, beta]: [&[T]; 2], dy: &[T], epsilon: f64, got: [&[T]; 4]) {
    let n = gamma.len();
    let f = |numbers: &[T]| numbers.iter().map(|v| v.to_f64()).collect::<Vec<f64>>();
    let (gamma, beta) = (f(gamma), f(beta));
    let (mut y, mut dx) = (Vec::new(), Vec::new());
    let (mut dgamma, mut dbeta) = (vec![0.0; n], vec![0.0; n]);
    for (x, dy) in x.chunks_exact(n).zip(dy.chunks_exact(n)) {
        let (x, dy) = (f(x), f(dy));
        let mean = |of: &dyn Fn(usize) -> f64| (0..n).map(of).sum::<f64>() / n as f64;
        let center = mean(&|i| x[i]);
        let inv_std = 1.0 / (mean(&|i| (x[i] - center).powi(2)) + epsilon).sqrt();
        let normalized = |i: usize| (x[i] - center) * inv_std;
        let (of_g, of_gx) = (mean(&|i| dy[i] * gamma[i]), mean(&|i| dy[i] * gamma[i] * normalized(i)));
        for i in 0..n {
            y.push(normalized(i) * gamma[i] + beta[i]);
            dx.push(inv_std * (dy[i] * gamma[i] - of_g - normalized(i) * of_gx));
            dgamma[i] += dy[i] * normalized(i);
            dbeta[i] += dy[i];
        }
    }
    // With two columns x̂ is near ±1 and dx what little is left of large numbers.
    let largest = dx.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
    for (what, got, expected) in
        [("y", got[0], y), ("dγ", got[1], dgamma), ("dβ", got[2], dbeta), ("dx", got[3], dx)]
    {
        for (got, expected) in got.iter().zip(expected) {
            let off = (got.to_f64() - expected).abs();
            assert!(
                off <= 2e-5 * largest * (1.0 + expected.abs()),
                "{what}: {got}, not {expected}, {n} columns"
            );
        }
    }
}

/// A step over parameters and three numbers of state each.
type Step<'a, T> = dyn Fn(&mut [T], &mut [T], &mut [T], &mut [T]) + 'a;
/// What a kernel writes at a level.
type AtLevel<'a, T> = Box<dyn Fn(CpuLevel) -> Vec<Vec<T>> + 'a>;

fn check_optimizers<T: Scalar>(x: &[T], dy: &[T]) {
    let f = T::from_f64;
    let state = || vec![T::ZERO; x.len()];
    let (rate, l2, epsilon, beta1, beta2) = (f(0.01), f(0.01), f(1e-8), f(0.9), f(0.99));
    let (keep, inv_root_correction) = (f(0.999), f(1.1));
    let mut runs: Vec<(&str, AtLevel<T>)> = Vec::new();
    let run = |step: &Step<T>| {
        let (mut p, mut a, mut b, mut c) = (x.to_vec(), state(), state(), state());
        (0..3).for_each(|_| step(&mut p, &mut a, &mut b, &mut c));
        vec![p, a, b, c]
    };
    let adam = AdamStep { rate, inv_root_correction, beta1, beta2, epsilon, l2, keep };
    runs.push(("amsgrad", Box::new(move |l| run(&|p, a, b, c| T::amsgrad_step(l, &adam, p, dy, a, b, c)))));
    let nadam = NadamStep {
        rate_of_gradient: rate,
        rate_of_mean: f(0.02),
        inv_root_correction,
        beta1,
        beta2,
        epsilon,
        l2,
    };
    runs.push(("nadam", Box::new(move |l| run(&|p, a, b, _| T::nadam_step(l, &nadam, p, dy, a, b)))));
    let adagrad = AdagradStep { rate, epsilon, l2 };
    runs.push(("adagrad", Box::new(move |l| run(&|p, a, _, _| T::adagrad_step(l, &adagrad, p, dy, a)))));
    for centered in [false, true] {
        let step = RmspropStep { rate, rho: beta2, epsilon, momentum: beta1, centered, l2 };
        runs.push((
            "rmsprop",
            Box::new(move |l| run(&|p, a, b, c| T::rmsprop_step(l, &step, p, dy, a, b, c))),
        ));
    }
    let adadelta = AdadeltaStep { rate, rho: beta1, epsilon, l2 };
    runs.push((
        "adadelta",
        Box::new(move |l| run(&|p, a, b, _| T::adadelta_step(l, &adadelta, p, dy, a, b))),
    ));
    let lion = LionStep { rate, beta1, beta2, l2, keep };
    runs.push(("lion", Box::new(move |l| run(&|p, a, _, _| T::lion_step(l, &lion, p, dy, a)))));
    let free =
        ScheduleFreeStep { rate, inv_root_correction, beta1, beta2, epsilon, l2, decay: l2, share: f(0.3) };
    runs.push((
        "schedule_free",
        Box::new(move |l| run(&|p, a, b, c| T::schedule_free_step(l, &free, p, dy, a, b, c))),
    ));
    for nesterov in [false, true] {
        let step = MuonStep { momentum: beta1, nesterov, l2 };
        runs.push(("muon", Box::new(move |l| run(&|p, a, b, _| T::muon_direction(l, &step, p, dy, a, b)))));
    }
    runs.push(("combine", Box::new(move |l| run(&|p, _, _, _| T::combine(l, rate, dy, keep, p)))));
    for (what, run) in runs {
        same_bits(what, run);
    }
    let expected: f64 = x.iter().map(|x| x.to_f64() * x.to_f64()).sum();
    assert!((sum_of_squares(x) - expected).abs() <= 1e-12 * expected);
}

#[test]
fn elementwise_kernels_of_every_size_up_to_67() {
    // Miri: what a width of seven does.
    for columns in sizes().skip(1).filter(|n| !cfg!(miri) || *n == 7) {
        for rows in [1, 2, 3, 4, 5, 9].into_iter().filter(|rows| !cfg!(miri) || *rows == 5) {
            check_elementwise::<f32>(rows, columns);
            check_elementwise::<f64>(rows, columns);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many numbers")]
fn a_dropout_mask_drops_its_share() {
    let mut kept = vec![7; 1 << 20];
    f32::fill_kept(CpuLevel::detect(), &mut kept, [9, 9], [0, 0, 0], 65_536 / 4);
    assert!(kept.iter().all(|&k| k <= 1));
    let dropped = kept.iter().filter(|&&k| k == 0).count() as f64;
    // A quarter of 2²⁰, standard deviation 443.
    assert!((dropped - f64::from(1 << 18)).abs() < 2200.0, "{dropped}");
}

/// The mask, written as its definition reads: a number is made of its drawn bits and compared.
#[test]
#[cfg_attr(miri, ignore = "too many numbers")]
fn a_dropout_mask_compares_random_numbers() {
    for drop_below in [1, 2, 13_107, 16_384, 32_768, 49_152, 65_535] {
        let (key, stream) = ([9, 8], [7, 6, 5]);
        let unused = u32::trailing_zeros(drop_below);
        let n_bits = 16 - unused;
        for n in [0, 1, 31, 511, 512, 513, 1500] {
            let mut kept = vec![7; n];
            f32::fill_kept(CpuLevel::detect(), &mut kept, key, stream, drop_below);
            for (i, &kept) in kept.iter().enumerate() {
                let (group, lane, bit) = (i / 512, i % 16, i % 512 / 16);
                let number: u32 = (0..n_bits)
                    .map(|b| {
                        let vector = group as u32 * n_bits + b;
                        let block = vector / 4 * 16 + lane as u32;
                        let counter = [block, stream[0], stream[1], stream[2]];
                        let word = statera_kernels::random::philox(counter, key)[vector as usize % 4];
                        (word >> bit & 1) << b
                    })
                    .sum();
                assert_eq!(kept, u8::from(number >= drop_below >> unused), "{i} of {n}, {drop_below}");
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many numbers")]
fn noise_is_normal() {
    let mut noise = vec![0.0_f64; 1 << 20];
    f64::fill_normal(CpuLevel::detect(), &mut noise, [9, 9], [0, 0, 0]);
    let moment = |p| noise.iter().map(|x| x.powi(p)).sum::<f64>() / noise.len() as f64;
    // Five standard deviations of each, which are √(1/n), √(2/n), √(15/n) and √(96/n).
    for (p, expected, bound) in [(1, 0.0, 0.005), (2, 1.0, 0.007), (3, 0.0, 0.019), (4, 3.0, 0.048)] {
        assert!((moment(p) - expected).abs() < bound, "moment {p}: {}", moment(p));
    }
}
