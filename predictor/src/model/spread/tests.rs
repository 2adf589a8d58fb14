//! Tests of the intervals.

use lat_space::{Architecture, NasBench201, Space, architecture_at};
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{RegressorChoice, Samples, TrainOptions, train};

const TRAINING: u64 = 1000;
const FRESH: u64 = 4000;

/// A measurement: a cost per choice, one interaction, and relative noise.
fn measure(gates: &[f32], noise: f64, rng: &mut ChaCha8Rng) -> f64 {
    let price = |i: usize| 0.3 + (i * 7 % 5) as f64;
    let sum: f64 = gates.iter().enumerate().map(|(i, g)| f64::from(*g) * price(i)).sum();
    let normal = (0..12).map(|_| rng.r#gen::<f64>()).sum::<f64>() - 6.0;
    (5.0 + sum + f64::from(4.0 * gates[3] * gates[8])) * (1.0 + noise * normal)
}

#[test]
fn intervals_hold_nine_of_ten_fresh_measurements() {
    let space = NasBench201::new();
    let all: Vec<Architecture> =
        (0..TRAINING + FRESH).map(|i| architecture_at(&space, 4, i).unwrap()).collect();
    let gates: Vec<Vec<f32>> = all.iter().map(|a| a.gates(space.decisions())).collect();
    for noise in [0.005, 0.05] {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let costs: Vec<f64> = gates.iter().map(|g| measure(g, noise, &mut rng)).collect();
        let (seen, fresh) = costs.split_at(TRAINING as usize);
        let rows = Samples::of(&space, all.iter().zip(seen.iter().copied())).unwrap();
        let options = TrainOptions {
            choice: RegressorChoice::Named("structured".into()),
            compare: false,
            seed: 2,
        };
        let report = train(&space, &rows, &rows, &options).unwrap();
        let predictor = report.predictor(&space, "latency_ms", None, None).unwrap();
        let new = Array2::from_shape_vec((fresh.len(), 30), gates[TRAINING as usize..].concat());
        let all = predictor.predict_gates(new.unwrap().view()).unwrap();
        let inside = |i: usize| {
            let (low, high) = all.interval(i);
            (low..=high).contains(&fresh[i])
        };
        let share = 100.0 * (0..fresh.len()).filter(|&i| inside(i)).count() as f64 / FRESH as f64;
        assert!((87.0..=93.0).contains(&share), "noise {noise}: {share:.1} % are inside");
        assert!(all.is_off_data.iter().filter(|&&off| off).count() * 50 < fresh.len());
    }
}
