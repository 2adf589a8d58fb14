//! Tests of costs that use predictors.

use lat_space::{NasBench201, SearchSpace, architecture_at};

use super::*;
use crate::model::to_vec;
use crate::predictor::tests::trained;

fn model(space: &NasBench201) -> PredictorCost {
    PredictorCost::new(&trained(space), space, "latency_ms", Device::Cpu).unwrap()
}

/// Gates inside the simplex, not uniform.
fn soft() -> Vec<f32> {
    let raw = Tensor::arange(30, (Kind::Float, Device::Cpu)).cos().view([6, 5]);
    to_vec(&raw.softmax(-1, Kind::Float))
}

#[test]
fn gradient_is_the_slope() {
    let space = NasBench201::new();
    let cost = model(&space);
    let gates = Tensor::from_slice(&soft()).set_requires_grad(true);
    cost.relaxed(&gates).unwrap().backward();
    let gradient = to_vec(&gates.grad());
    let h = 1e-2;
    for (i, slope) in gradient.iter().enumerate() {
        let at = |by: f32| {
            let mut gates = soft();
            gates[i] += by;
            cost.relaxed(&Tensor::from_slice(&gates)).unwrap().double_value(&[])
        };
        let measured = (at(h) - at(-h)) / f64::from(2.0 * h);
        let error = (measured - f64::from(*slope)).abs();
        assert!(error < 1e-2 * measured.abs().max(0.3), "gate {i}: {measured} against {slope}");
        if i % 5 == 0 {
            assert_eq!(*slope, 0.0, "`none` is in no feature");
        }
    }
    assert!(gradient.iter().any(|g| g.abs() > 0.1));
}

#[test]
fn hard_gates_cost_what_the_architecture_costs() {
    let space = NasBench201::new();
    let cost = model(&space);
    // A cell without a path has a price of its own, and searches do not arrive there.
    let reach = crate::disconnected::reach(&space).unwrap();
    let is_connected =
        |a: &lat_space::Architecture| reach.encode(&a.gates(space.decisions()))[0] > 0.5;
    let drawn = (0..).map(|i| architecture_at(&space, 6, i).unwrap());
    let all: Vec<_> = drawn.filter(is_connected).take(40).collect();
    let gates: Vec<f32> = all.iter().flat_map(|a| a.gates(space.decisions())).collect();
    let relaxed = cost.relaxed(&Tensor::from_slice(&gates).view([40, 30])).unwrap();
    for (a, relaxed) in all.iter().zip(to_vec(&relaxed)) {
        let hard = cost.cost(a).unwrap();
        assert!((f64::from(relaxed) / hard - 1.0).abs() < 1e-5);
        let gates = a.gates(space.decisions());
        let gates = ndarray::Array2::from_shape_vec((1, 30), gates).unwrap();
        let predicted = cost.predictor().predict_gates(gates.view()).unwrap();
        assert!((predicted.values[0] / hard - 1.0).abs() < 1e-5);
    }
}

#[test]
fn no_weight_ever_gets_a_gradient() {
    let space = NasBench201::new();
    let cost = model(&space);
    let gates = Tensor::from_slice(&soft()).set_requires_grad(true);
    cost.relaxed(&gates).unwrap().backward();
    assert!(gates.grad().defined());
    let model = &cost.predictor().model;
    let layers = &model.correction.as_ref().unwrap().members.layers;
    let weights = layers.iter().flat_map(|(w, b)| [w, b]).chain([&model.weights]);
    for weight in weights {
        assert!(!weight.requires_grad() && !weight.grad().defined());
    }
}

#[test]
fn shapes_and_units_are_those_documented() {
    let space = NasBench201::new();
    let cost = model(&space);
    assert_eq!((cost.column(), cost.unit()), ("latency_ms", "ms"));
    let one = Tensor::from_slice(&soft());
    assert_eq!(cost.relaxed(&one).unwrap().size(), [] as [i64; 0]);
    assert_eq!(cost.relaxed(&one.repeat([3, 1])).unwrap().size(), [3]);
    let error = cost.relaxed(&one.narrow(0, 0, 24)).unwrap_err().to_string();
    assert!(error.contains("expected 30 gates, found 24"), "{error}");
    let other = architecture_at(&lat_space::Darts::new(), 0, 0).unwrap();
    assert!(cost.cost(&other).is_err());
    let wrong = PredictorCost::new(cost.predictor(), &space, "energy_mj", Device::Cpu);
    assert!(wrong.unwrap_err().to_string().contains("energy_mj"));
}

#[test]
fn cost_models_can_cross_threads() {
    fn crosses(_: &dyn CostModel) {}
    let space = NasBench201::new();
    let cost = model(&space);
    crosses(&cost);
    let architecture = space.at(7);
    let here = cost.cost(&architecture).unwrap();
    let there = std::thread::spawn(move || cost.cost(&architecture).unwrap()).join().unwrap();
    assert!((here - there).abs() < 1e-9);
}

#[test]
fn a_risk_adds_deviations_and_none_changes_nothing() {
    let space = NasBench201::new();
    let gates = Tensor::from_slice(&soft()).set_requires_grad(true);
    let plain = model(&space).relaxed(&gates).unwrap();
    let off = model(&space).with_risk(0.0).unwrap().relaxed(&gates).unwrap();
    assert_eq!(plain.double_value(&[]).to_bits(), off.double_value(&[]).to_bits());
    let cost = model(&space).with_risk(2.0).unwrap();
    let rows = gates.unsqueeze(0);
    let (value, sd) = cost.predictor().forward_with_sd(&rows).unwrap();
    let expected = value.double_value(&[0]) + 2.0 * sd.double_value(&[0]);
    let risky = cost.relaxed(&gates).unwrap();
    assert!(sd.double_value(&[0]) > 0.0);
    assert!((risky.double_value(&[]) / expected - 1.0).abs() < 1e-6);
    risky.backward();
    assert!(to_vec(&gates.grad()).iter().all(|g| g.is_finite()));
    let architecture = space.at(77);
    let (plain, risky) = (model(&space).cost(&architecture), cost.cost(&architecture));
    assert!(risky.unwrap() > plain.unwrap());
    for risk in [-1.0, f64::NAN, f64::INFINITY] {
        let error = model(&space).with_risk(risk).unwrap_err().to_string();
        assert!(error.contains("risk must be a number of at least 0"), "{error}");
    }
}
