//! The predictor in ONNX operations. The steps are those of [`crate::model::feature_walk`], [`crate::model::correction`],
//! [`crate::model::members`] and [`crate::model`], whose tensors become constants. Values are columns `[b, n]`, single numbers
//! `[b, 1]`.

use super::onnx_graph::{OnnxGraph, Op, Value};
use crate::Predictor;
use crate::model::Model;
use crate::model::correction::Correction;
use crate::model::feature_walk::{FeatureWalk, Step};
use crate::model::members::Members;
use crate::model::scale::{LEAST_RECIPROCAL, Scale, Standard};
use crate::model::spread::Spread;

/// The bytes of the model.
pub(super) fn file(predictor: &Predictor, label: &str) -> Vec<u8> {
    let mut graph = OnnxGraph::default();
    let features = walk(&mut graph, &predictor.walk);
    let (cost, sd) = forward(&mut graph, &predictor.model, &features);
    graph.output("cost", &cost);
    graph.output("sd", &sd);
    graph.encode(predictor.map.n_gates, ["cost", "sd"], label)
}

/// Gates to features.
fn walk(graph: &mut OnnxGraph, walk: &FeatureWalk) -> Value {
    let gates = OnnxGraph::input("probs");
    // Adds a column of ones on the left.
    let (sides, one) = (graph.ints(vec![0, 1, 0, 0]), graph.scalar(1.0));
    let mut values = graph.apply(Op::Pad, &[&gates, &sides, &one]);
    for step in &walk.levels {
        let new = match step {
            Step::Sums(matrix) => {
                let matrix = graph.tensor(matrix);
                graph.apply(Op::MatMul, &[&values, &matrix])
            }
            Step::Products(a, b) => {
                let (a, b) = (graph.gather(&values, a), graph.gather(&values, b));
                graph.apply(Op::Mul, &[&a, &b])
            }
        };
        values = graph.beside(&[&values, &new]);
    }
    graph.gather(&values, &walk.features)
}

/// Features to cost and standard deviation.
fn forward(graph: &mut OnnxGraph, model: &Model, features: &Value) -> (Value, Value) {
    let weights = graph.tensor(&model.weights);
    let linear = graph.apply(Op::MatMul, &[features, &weights]);
    let linear = plus(graph, &linear, model.intercept);
    let by_weights = model.spread.as_ref().map(|spread| by_weights(graph, spread, features));
    let added = model.correction.as_ref().map(|c| correction(graph, c, features));
    let (z, variance) = match (added, by_weights) {
        (Some((mean, among)), Some(by_weights)) => {
            let z = graph.apply(Op::Add, &[&linear, &mean]);
            (z, Some(graph.apply(Op::Add, &[&by_weights, &among])))
        }
        (Some((mean, _)), None) => (graph.apply(Op::Add, &[&linear, &mean]), None),
        (None, by_weights) => (linear, by_weights),
    };
    let t = times(graph, &z, model.standard.sd);
    let t = plus(graph, &t, model.standard.mu);
    let cost = invert(graph, &model.standard, &t);
    let sd = match (&model.spread, variance) {
        (Some(spread), Some(variance)) => {
            deviation(graph, &model.standard, spread, [&t, &cost, &variance])
        }
        // If the fit gives no deviation, it is 0.
        _ => times(graph, &cost, 0.0),
    };
    (cost, sd)
}

/// Converts from the model's scale to costs.
fn invert(graph: &mut OnnxGraph, standard: &Standard, t: &Value) -> Value {
    match standard.scale {
        Scale::Plain => t.clone(),
        Scale::Reciprocal => {
            let least = graph.scalar(LEAST_RECIPROCAL * standard.mu);
            let t = graph.apply(Op::Max, &[t, &least]);
            graph.apply(Op::Reciprocal, &[&t])
        }
        Scale::Log => graph.apply(Op::Exp, &[t]),
    }
}

/// Variance of the standardised prediction due to the uncertainty of the weights.
fn by_weights(graph: &mut OnnxGraph, spread: &Spread, features: &Value) -> Value {
    let (draws, intercepts) = (graph.tensor(&spread.draws), graph.tensor(&spread.intercepts));
    let departures = graph.apply(Op::MatMul, &[features, &draws]);
    let departures = graph.apply(Op::Add, &[&departures, &intercepts]);
    let squares = square(graph, &departures);
    graph.mean(&squares, 1, true)
}

/// Standard deviation of a measurement around the cost, from the value on the model's scale, the cost and the variance.
fn deviation(
    graph: &mut OnnxGraph,
    standard: &Standard,
    spread: &Spread,
    [t, cost, variance]: [&Value; 3],
) -> Value {
    let noise = if standard.scale == Scale::Log {
        graph.scalar(spread.noise)
    } else {
        let relative = times(graph, t, 1.0 / spread.typical);
        let relative = square(graph, &relative);
        times(graph, &relative, spread.noise)
    };
    let all = graph.apply(Op::Add, &[variance, &noise]);
    let root = graph.apply(Op::Sqrt, &[&all]);
    let sd = times(graph, &root, standard.sd * spread.calibration);
    match standard.scale {
        Scale::Plain => sd,
        Scale::Reciprocal => {
            let slope = square(graph, cost);
            graph.apply(Op::Mul, &[&sd, &slope])
        }
        Scale::Log => graph.apply(Op::Mul, &[&sd, cost]),
    }
}

/// The correction that the networks add, and the variance among them.
fn correction(graph: &mut OnnxGraph, correction: &Correction, features: &Value) -> (Value, Value) {
    let Correction { subtotals, means, members, .. } = correction;
    let (subtotals, means) = (graph.tensor(subtotals), graph.tensor(means));
    let own = graph.gather(features, correction.index());
    let totals = graph.apply(Op::MatMul, &[features, &subtotals]);
    let totals = graph.apply(Op::Sub, &[&totals, &means]);
    let inputs = graph.beside(&[&own, &totals]);
    let outputs = networks(graph, members, &inputs);
    let mean = graph.mean(&outputs, 0, false);
    let departures = graph.apply(Op::Sub, &[&outputs, &mean]);
    let squares = square(graph, &departures);
    (mean, graph.mean(&squares, 0, false))
}

/// The networks' outputs `[k, b, 1]`.
fn networks(graph: &mut OnnxGraph, members: &Members, inputs: &Value) -> Value {
    let mut h = inputs.clone();
    for (i, (weights, biases)) in members.layers.iter().enumerate() {
        if i > 0 {
            let gate = graph.apply(Op::Sigmoid, &[&h]);
            h = graph.apply(Op::Mul, &[&h, &gate]);
        }
        let (weights, biases) = (graph.tensor(weights), graph.tensor(biases));
        h = graph.apply(Op::MatMul, &[&h, &weights]);
        h = graph.apply(Op::Add, &[&h, &biases]);
    }
    h
}

fn square(graph: &mut OnnxGraph, value: &Value) -> Value {
    graph.apply(Op::Mul, &[value, value])
}

fn plus(graph: &mut OnnxGraph, value: &Value, number: f64) -> Value {
    let number = graph.scalar(number);
    graph.apply(Op::Add, &[value, &number])
}

fn times(graph: &mut OnnxGraph, value: &Value, number: f64) -> Value {
    let number = graph.scalar(number);
    graph.apply(Op::Mul, &[value, &number])
}
