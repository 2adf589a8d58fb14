//! Tests of the default regressor.

use ndarray::Array2;

use super::*;
use crate::model::scale::Scale;

fn fitted(x: &Array2<f32>, y: &Array1<f64>, seed: u64) -> Structured {
    let mut regressor = Structured { setup: Setup { seed, ..Setup::default() }, model: None };
    regressor.fit(x.view(), y.view()).unwrap();
    regressor
}

/// All 2^8 codes of 8 bits.
fn codes() -> Array2<f32> {
    Array2::from_shape_fn((256, 8), |(i, j)| (i >> j & 1) as f32)
}

#[test]
fn an_exact_sum_needs_no_networks() {
    let x = codes();
    let y = x.rows().into_iter().map(|r| 5.0 + f64::from(r[0]) + 3.0 * f64::from(r[4])).collect();
    let structured = fitted(&x, &y, 0);
    let model = structured.model.as_ref().unwrap();
    assert!(model.validation_error < 0.01, "{}", model.validation_error);
    assert_eq!(model.standard.scale, Scale::Plain);
}

#[test]
fn intervals_of_an_exact_sum_allow_for_rounding() {
    let x = codes();
    let cost = |r: ndarray::ArrayView1<f32>| 5.0 + f64::from(r[0]) / 3.0 + 3.0 * f64::from(r[4]);
    let y: Array1<f64> = x.rows().into_iter().map(cost).collect();
    let structured = fitted(&x, &y, 0);
    let found = structured.model.as_ref().unwrap().predict_with_sd(&to_tensor(x.view()));
    let half_width = |sd: f64| crate::model::spread::NORMAL_90 * sd;
    let is_inside = |(i, y): (usize, &f64)| (found.values[i] - y).abs() <= half_width(found.sds[i]);
    assert!(y.iter().enumerate().all(is_inside), "{found:?}");
    assert!(found.sds.iter().zip(&y).all(|(sd, y)| *sd < 1e-4 * y), "{:?}", found.sds);
}

#[test]
fn a_product_is_a_sum_of_logarithms() {
    let x = codes();
    let product = |r: ndarray::ArrayView1<f32>| {
        (0..8).map(|j| 1.0 + 0.3 * (j + 1) as f64 * f64::from(r[j])).product::<f64>()
    };
    let y = x.rows().into_iter().map(product).collect();
    let structured = fitted(&x, &y, 0);
    let model = structured.model.as_ref().unwrap();
    assert_eq!(model.standard.scale, Scale::Log);
    assert!(model.validation_error < 0.5, "{}", model.validation_error);
}

#[test]
fn noise_is_left_to_the_ridge() {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    let x = codes();
    let y: Array1<f64> = (0..256).map(|_| 10.0 + rng.r#gen::<f64>()).collect();
    let model = fitted(&x, &y, 0).model.unwrap();
    // The best possible error: |u - 1/2| is 1/4 on average.
    assert!((2.2..2.7).contains(&model.validation_error), "{}", model.validation_error);
}

#[test]
fn same_seed_same_predictions() {
    let x = codes();
    let y = x.rows().into_iter().map(|r| 5.0 + f64::from(r[0] * r[1] + r[2])).collect();
    let predict = |seed| fitted(&x, &y, seed).predict(x.view()).unwrap();
    let (first, again) = (predict(1), predict(1));
    assert!(first.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-6));
    assert_ne!(first, predict(2));
}
