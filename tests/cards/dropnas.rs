//! `DropNAS`, arXiv 2201.11679.
//!
//! Tested elsewhere: 4 and 5 (alpha-adjust) in `src/methods/dropnas.rs`. 8 is about spaces with fewer operations, whose groups
//! have other sizes; NAS-Bench-201 represents them.

use lat::supernet::{Path, Supernet};
use lat_space::{Darts, NasBench201, SearchSpace};
use tch::{Kind, Tensor};

use super::paths::{assert_computed, built, real_net, refused, steps_on_images};
use crate::toy_net::{N_TRAIN, Pass, ToyNet, Watched, begin_with, parameter, steps};
use crate::{formula, setup};

/// The passes of some steps with these options.
fn passes(space: &dyn SearchSpace, options: &[(&str, toml::Value)], n_steps: usize) -> Vec<Pass> {
    let toy = ToyNet::indifferent(space);
    let net = Watched::new(&toy, space);
    let mut method = built("dropnas", space, options);
    method.begin(&net);
    steps(method.as_mut(), space, &net, None, (n_steps, 0.5));
    net.passes()
}

/// Whether each operation was dropped: then its weight is exactly 0. This also works for `none`, which has no path to look at.
fn dropped(pass: &Pass) -> Vec<Vec<bool>> {
    let rows = Vec::<Vec<f32>>::try_from(&pass.weights).unwrap();
    rows.into_iter().map(|row| row.into_iter().map(|w| w == 0.0).collect()).collect()
}

#[test]
fn dropnas_1_each_group_keeps_an_operation_and_drops_at_its_rate() {
    setup::ready();
    let space = Darts::new();
    let (mut n_dropped, mut n) = (0, 0);
    for pass in passes(&space, &[("drop_rate", 1e-4.into())], 400) {
        for row in dropped(&pass) {
            assert!(row[..4].contains(&false) && row[4..].contains(&false), "{row:?}");
            n_dropped += row.iter().filter(|d| **d).count();
            n += row.len();
        }
    }
    assert!(n > 80_000);
    let rate = n_dropped as f64 / n as f64;
    assert!((rate - 0.1).abs() < 0.01, "{rate}");
    for pass in passes(&space, &[("drop_rate", 0.0.into())], 5) {
        assert!(dropped(&pass).concat().iter().all(|d| !d), "without a rate nothing is dropped");
    }
    // Nearly all would be dropped, but each group keeps one.
    for pass in passes(&space, &[("drop_rate", 0.999_999.into())], 5) {
        for row in dropped(&pass) {
            assert!(row[..4].contains(&false) && row[4..].contains(&false), "{row:?}");
        }
    }
}

#[test]
fn dropnas_2_kept_weights_are_the_renormalised_softmax() {
    setup::ready();
    let space = Darts::new();
    let alpha = formula::tensor("alpha", &[28, 8]) * 2.0;
    let toy = ToyNet::indifferent(&space);
    let net = Watched::new(&toy, &space);
    let mut method = built("dropnas", &space, &[("drop_rate", 0.01.into())]);
    begin_with(method.as_mut(), &net, &[("alpha", alpha.copy())]);
    steps(method.as_mut(), &space, &net, None, (1, 0.5));
    let pass = net.passes().remove(0);
    let mask = pass.weights.gt(0.0);
    let kept = alpha.exp() * &mask;
    let expected = &kept / kept.sum_dim_intlist(1, true, Kind::Float);
    assert!(pass.weights.allclose(&expected, 1e-5, 1e-6, false));
    for (paths, dropped) in pass.paths.iter().zip(dropped(&pass)) {
        for c in 1..8 {
            assert_eq!(paths[c] == Path::Off, dropped[c], "what is dropped is not computed");
        }
    }
}

#[test]
fn dropnas_3_and_6_what_is_dropped_rests_to_the_bit() {
    setup::ready();
    let space = Darts::new();
    let supernet = real_net(&space);
    let net = Watched::new(&supernet, &space);
    let mut method = built("dropnas", &space, &[("drop_rate", 0.05.into())]);
    method.begin(&net);
    for _ in 0..2 {
        let before = formula::values(supernet.weights());
        let alpha = parameter(method.as_ref(), "alpha");
        steps_on_images(method.as_mut(), &space, &net);
        let passes = net.passes();
        assert_eq!(passes.len(), 1);
        // The second round has momentum from the first, which must not move operations that are dropped now.
        assert_computed(&space, &supernet, &before, &passes, &passes);
        let moved = (parameter(method.as_ref(), "alpha") - alpha).ne(0.0);
        let moved = Vec::<Vec<bool>>::try_from(&moved).unwrap();
        for (moved, dropped) in moved.into_iter().zip(dropped(&passes[0])) {
            for c in 0..8 {
                assert!(!(moved[c] && dropped[c]), "alpha of a dropped operation rests");
            }
            assert!(moved.contains(&true));
        }
    }
}

#[test]
fn dropnas_6_the_partial_decay_is_twice_the_rate_times_the_weight() {
    setup::ready();
    let space = NasBench201::new();
    let moved = |decay: f64| {
        let supernet = real_net(&space);
        let options = [
            ("decay", decay.into()),
            ("lr", 0.1.into()),
            ("lr_min", 0.1.into()),
            ("momentum", 0.0.into()),
            ("drop_rate", 0.0.into()),
        ];
        let mut method = built("dropnas", &space, &options);
        method.begin(&supernet);
        steps_on_images(method.as_mut(), &space, &supernet);
        formula::values(supernet.weights())
    };
    let (without, with) = (moved(0.0), moved(0.5));
    let name = "s1.conv.weight";
    // From w after the step for the task: w - 0.1 * 2 * 0.5 * w.
    assert!(with[name].allclose(&(&without[name] * 0.9), 1e-4, 1e-6, false));
}

#[test]
fn dropnas_7_all_images_serve_weights_and_alpha() {
    setup::ready();
    let space = Darts::new();
    assert!(built("dropnas", &space, &[]).is_one_level());
    let found = passes(&space, &[], 3);
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|p| p.n_images == N_TRAIN));
}

#[test]
fn dropnas_8_the_chance_depends_on_the_groups_size_or_not() {
    setup::ready();
    // Groups of 2 convolutions (2, 3) and 3 without weights (0, 1, 4).
    let space = NasBench201::new();
    let rates = |fixed: bool| {
        let options = [("drop_rate", 1e-2.into()), ("fixed_exponent", fixed.into())];
        let all: Vec<Vec<bool>> = passes(&space, &options, 1500).iter().flat_map(dropped).collect();
        let share = |of: &[usize]| {
            let n = all.iter().flat_map(|row| of.iter().map(|&c| row[c])).filter(|d| *d).count();
            n as f64 / (all.len() * of.len()) as f64
        };
        [share(&[2, 3]), share(&[0, 1, 4])]
    };
    // Given that not all are dropped, the probability is p (1 - p^(n-1)) / (1 - p^n).
    let given = |p: f64, n: i32| p * (1.0 - p.powi(n - 1)) / (1.0 - p.powi(n));
    let expected = |p: [f64; 2]| [given(p[0], 2), given(p[1], 3)];
    let general = [1e-2f64.sqrt(), 1e-2f64.cbrt()];
    for (fixed, p) in [(false, general), (true, [1e-2f64.powf(0.25); 2])] {
        for (found, expected) in rates(fixed).into_iter().zip(expected(p)) {
            assert!((found - expected).abs() < 0.01, "{fixed}: {found}, {expected}");
        }
    }
}

#[test]
fn dropnas_derives_by_raw_alpha() {
    setup::ready();
    let space = Darts::new();
    let net = ToyNet::indifferent(&space);
    // Edge 2 has a clear maximum within its row; edges 3 and 4 have larger alphas, but in rows where all are large.
    let alpha = Tensor::zeros([28, 8], tch::kind::FLOAT_CPU);
    let _ = alpha.get(2).get(4).fill_(2.0);
    let _ = alpha.narrow(0, 3, 2).fill_(3.0);
    let mut method = built("dropnas", &space, &[]);
    begin_with(method.as_mut(), &net, &[("alpha", alpha)]);
    let choices = method.derive(&space).choices;
    let kept: Vec<usize> = (2..5).filter(|&e| !choices[e].contains(0)).collect();
    assert_eq!(kept, [3, 4]);
}

#[test]
fn dropnas_refuses_a_rate_of_1() {
    refused("dropnas", ("drop_rate", 1.0.into()), "below 1");
}
