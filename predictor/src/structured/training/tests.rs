//! Tests of training.

use super::*;
use crate::folds::Folds;
use crate::model::fused::Fused;

fn recipe(steps: usize) -> Recipe {
    let widths = vec![16, 8];
    Recipe { n_members: 2, widths, batch: 16, steps, lr: 3e-3, weight_decay: 1e-4, seed: 3 }
}

fn learn(x: &Tensor, target: &Tensor, recipe: &Recipe) -> (Members, Vec<Option<f64>>) {
    let folds = Folds::new(200, 4, 0);
    let weight = Tensor::ones([200], (Kind::Float, Device::Cpu));
    train(&Rows { x, target, weight: &weight, folds: &folds }, recipe, &Progress::default())
}

/// Exclusive or of two bits, among six irrelevant ones.
fn problem() -> (Tensor, Tensor) {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let bits: Vec<f32> = (0..200 * 8).map(|_| f32::from(u8::from(rng.r#gen::<bool>()))).collect();
    let xor: Vec<f32> = bits.chunks(8).map(|b| if b[0] == b[1] { -1.0 } else { 1.0 }).collect();
    (Tensor::from_slice(&bits).view([200, 8]), Tensor::from_slice(&xor))
}

#[test]
fn members_learn_what_no_linear_part_can() {
    let (x, target) = problem();
    let (members, held_out) = learn(&x, &target, &recipe(600));
    let right = crate::model::to_vec(&target);
    let seen: Vec<_> = held_out.iter().zip(&right).filter_map(|(h, t)| h.map(|h| (h, t))).collect();
    assert_eq!(seen.len(), 100);
    let error = seen.iter().map(|(h, t)| (h - f64::from(**t)).abs()).sum::<f64>() / 100.0;
    // Without a correction the error is 1.
    assert!(error < 0.3, "{error}");
    assert!(members.layers.iter().all(|(w, b)| !w.requires_grad() && !b.requires_grad()));
    let mean = crate::model::to_vec(&Fused::new(&members).forward(&x));
    let halved = crate::model::to_vec(&Fused::new(&members.scaled(0.5)).forward(&x));
    assert!(mean.iter().zip(halved).all(|(a, b)| (a / 2.0 - b).abs() < 1e-5));
}

#[test]
fn untrained_members_correct_nothing() {
    let (x, target) = problem();
    let (members, held_out) = learn(&x, &target, &recipe(0));
    assert!(crate::model::to_vec(&Fused::new(&members).forward(&x)).iter().all(|&v| v == 0.0));
    assert!(held_out.iter().flatten().all(|&v| v == 0.0));
}

#[test]
fn same_seed_same_members() {
    let (x, target) = problem();
    let outputs = |seed| {
        let recipe = Recipe { seed, ..recipe(60) };
        learn(&x, &target, &recipe).1
    };
    assert_eq!(outputs(1), outputs(1));
    assert_ne!(outputs(1), outputs(2));
}

#[test]
fn batches_go_through_all_rows_before_any_again() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut batches = Batches::new((0..10).collect(), 4);
    let mut drawn: Vec<i64> = (0..5).flat_map(|_| batches.next(&mut rng)).collect();
    drawn.sort_unstable();
    assert_eq!(drawn, (0..10).flat_map(|r| [r, r]).collect::<Vec<_>>());
}
