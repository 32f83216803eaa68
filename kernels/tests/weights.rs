//! The kernels of binary and sparse weights give the bits of a plain product at every CPU level that this machine has.

use statera_kernels::{
    Compressed, CpuLevel, Matrix, Real, SPARSE_ROWS, Scalar, Start, naive, pack_signs, packed_row_len,
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

/// α·sign(w) and α, by their definition, in double precision.
fn binarized<T: Real>(weight: &[T], o: usize) -> (Vec<f64>, Vec<f64>) {
    let mean = |unit: usize| {
        let own = weight.iter().skip(unit).step_by(o).map(|w| w.to_f64().abs());
        own.clone().sum::<f64>() / own.count() as f64
    };
    let alpha: Vec<f64> = (0..o).map(mean).collect();
    let used = weight
        .iter()
        .enumerate()
        .map(|(at, w)| if w.to_f64() >= 0.0 { alpha[at % o] } else { -alpha[at % o] });
    (used.collect(), alpha)
}

fn check_binary<T: Scalar>([b, i, o]: [usize; 3]) {
    let weight = numbers::<T>(i * o, 1);
    let (x, bias) = (numbers::<T>(b * i, 2), numbers::<T>(o, 3));
    let (mut alpha, mut used) = (vec![T::ZERO; o], vec![T::ZERO; i * o]);
    T::binarize(CpuLevel::Portable, &weight, &mut alpha, &mut used);
    let (expected, scales) = binarized(&weight, o);
    let near = |a: &T, b: &f64| (a.to_f64() - b).abs() < 1e-5;
    assert!(
        used.iter().zip(&expected).all(|(a, b)| near(a, b))
            && alpha.iter().zip(&scales).all(|(a, b)| near(a, b))
    );
    let mut bits = vec![0; i * packed_row_len(o)];
    if o > 0 {
        pack_signs(&used, o, &mut bits);
    }
    for bias in [&bias[..], &[]] {
        let start = if bias.is_empty() { Start::Zero } else { Start::Bias(bias) };
        let mut expected = vec![T::ZERO; b * o];
        naive::product([b, i, o], Matrix::rows(&x, i), Matrix::rows(&used, o), &mut expected, start);
        for level in levels() {
            let mut got = vec![T::from_f64(f64::NAN); b * o];
            T::sign_product(level, &x, &alpha, &bits, bias, &mut got);
            assert!(expected == got, "{b}×{i}×{o} at {}", level.name());
        }
    }
    let gradient = numbers::<T>(i * o, 4);
    let mut sums = vec![T::ZERO; o];
    let mut plain = gradient.clone();
    T::straight_through(CpuLevel::Portable, &weight, &alpha, &mut plain, &mut sums);
    for level in levels() {
        let (mut alpha_here, mut used_here) = (vec![T::ZERO; o], vec![T::ZERO; i * o]);
        T::binarize(level, &weight, &mut alpha_here, &mut used_here);
        assert!((&alpha_here, &used_here) == (&alpha, &used), "{i}×{o} at {}", level.name());
        // What is binary already stays as it is.
        T::binarize(level, &used, &mut alpha_here, &mut used_here);
        assert!((&alpha_here, &used_here) == (&alpha, &used), "{i}×{o} again at {}", level.name());
        let mut dw = gradient.clone();
        T::straight_through(level, &weight, &alpha, &mut dw, &mut sums);
        assert!(dw == plain, "gradient {i}×{o} at {}", level.name());
    }
}

#[test]
fn binary_weights_of_every_size_up_to_67() {
    for n in sizes() {
        for b in [1, 2, 4, 7] {
            check_binary::<f32>([b, 3, n]);
            check_binary::<f64>([b, 5, n]);
        }
        if n > 0 {
            check_binary::<f32>([5, n, 19]);
            check_binary::<f64>([n, 7, 9]);
            check_binary::<f32>([n, 2, 130]);
        }
    }
}

/// Weights (I×O) of which so many of ten are zero, and the same (O×I) in compressed rows.
fn sparse<T: Real>(i: usize, o: usize, zeros_of_ten: u32) -> (Vec<T>, Vec<u32>, Vec<u32>, Vec<T>) {
    let mut dense = numbers::<T>(i * o, 5);
    for (at, w) in dense.iter_mut().enumerate() {
        if statera_kernels::random::philox([at as u32, 6, 0, 0], [1, 2])[0] % 10 < zeros_of_ten {
            *w = T::ZERO;
        }
    }
    let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for unit in 0..o {
        for input in 0..i {
            let w = dense[input * o + unit];
            if w != T::ZERO {
                columns.push(input as u32);
                values.push(w);
            }
        }
        starts.push(values.len() as u32);
    }
    (dense, starts, columns, values)
}

fn check_sparse<T: Scalar>(i: usize, o: usize, zeros_of_ten: u32) {
    let (dense, starts, columns, values) = sparse::<T>(i, o, zeros_of_ten);
    let weight = Compressed { starts: &starts, columns: &columns, values: &values };
    let bias = numbers::<T>(o, 3);
    for g in SPARSE_ROWS {
        let x = numbers::<T>(g * i, 2);
        for bias in [&bias[..], &[]] {
            let start = if bias.is_empty() { Start::Zero } else { Start::Bias(bias) };
            // x is transposed, and so is what comes out.
            let mut expected = vec![T::ZERO; g * o];
            naive::product(
                [g, i, o],
                Matrix::transposed(&x, g),
                Matrix::rows(&dense, o),
                &mut expected,
                start,
            );
            for level in levels() {
                let mut got = vec![T::from_f64(f64::NAN); o * g];
                T::sparse_product(level, g, weight, bias, &x, &mut got);
                let same = (0..g * o).all(|at| expected[at] == got[at % o * g + at / o]);
                assert!(same, "{g}×{i}×{o}, {zeros_of_ten} of ten zero, at {}", level.name());
            }
        }
    }
}

#[test]
fn sparse_weights_of_every_size_up_to_67() {
    for n in sizes() {
        for zeros_of_ten in [0, 5, 8, 10] {
            check_sparse::<f32>(n, 19, zeros_of_ten);
            check_sparse::<f64>(7, n, zeros_of_ten);
            check_sparse::<f32>(33, n, zeros_of_ten);
        }
    }
}
