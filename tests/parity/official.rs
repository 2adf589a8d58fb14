//! Compares one search step of each method with the authors' own PyTorch code, given the same weights, images, architecture
//! parameters and random numbers: losses, the architecture's gradient, and every weight's gradient. `scripts/parity-official`
//! makes the files; `tests/parity/README.md` describes their content.
//!
//! The step is [`lat::methods::Method::step`] as a search calls it. The gradients are read from the optimizers' moments. Alpha's
//! learning rate is 0, so that both halves of a step use the alpha of the file. Decays are 0, and the limit for clipping the
//! weights' gradient is out of reach.
//!
//! Differences by design are left out on one of the sides. GDAS: its code has its own cells (no BN behind pools, biases, BN
//! before the classifier); they are replaced from outside by those of DARTS, and the comparison is about how they are trained.
//! P-DARTS: which entries dropout drops follows from our seed. SNAS: drop path and the cost are off. `DropNAS`: the partial decay
//! is off, because its rule for which weights were used differs, and the exponent 1/4 is on. PC-DARTS: first order. The cost, the
//! derivation and the schedules do not belong to a step's gradient.

use std::collections::VecDeque;

use lat::methods::{
    Batch, Batches, Context, Method, Options, Preset, Stage, StepReport, find_method,
};
use lat::supernet::{CellSupernet, Supernet};
use lat_space::{ChoiceSet, Darts, Decision, SearchSpace};
use rand::RngCore;
use tch::{Device, Kind, Tensor};

use super::{Arrays, compare, names, norm, numbers, read, skeleton};
use crate::formula::{fill, tensor, uniform};
use crate::setup;
use crate::toy_net::{begin_with, parameter};

/// Names of the files; `every_file_is_compared` uses them too.
pub(super) const FILES: [&str; 8] = [
    "official_darts",
    "official_darts_2nd",
    "official_pc_darts",
    "official_p_darts",
    "official_gdas",
    "official_gdas_frc",
    "official_snas",
    "official_dropnas",
];

/// A generator that gives prepared random numbers.
pub(super) struct Scripted(VecDeque<u64>);

impl Scripted {
    /// Gives these numbers unchanged.
    pub(super) fn of(numbers: VecDeque<u64>) -> Self {
        Self(numbers)
    }

    /// Whether all numbers have been drawn.
    pub(super) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes `gen_range(0.0..1.0)` give these numbers.
    fn uniform(values: &Tensor) -> Self {
        let values = Vec::<f64>::try_from(&values.to_kind(Kind::Double)).unwrap();
        // A float drawn from [1, 2) has the upper 52 bits as its mantissa.
        Self(values.into_iter().map(|u| ((u * 2f64.powi(52)) as u64) << 12).collect())
    }
}

impl RngCore for Scripted {
    fn next_u64(&mut self) -> u64 {
        self.0.pop_front().expect("no more numbers are drawn than by the official code")
    }

    fn next_u32(&mut self) -> u32 {
        unreachable!("methods draw 64 bits at a time")
    }

    fn fill_bytes(&mut self, _: &mut [u8]) {
        unreachable!("methods draw 64 bits at a time")
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), rand::Error> {
        unreachable!("methods draw 64 bits at a time")
    }
}

/// The settings of one method's step.
struct Case {
    file: &'static str,
    method: &'static str,
    options: &'static str,
    space: fn() -> Darts,
    channels: u32,
    progress: f64,
    /// Names of the architecture parameters, and their official shapes per cell type.
    parameters: &'static [(&'static str, &'static [i64])],
    /// The optimizers' moments after the step, as multiples of the gradients: for the architecture and for the weights.
    moments: (f64, f64),
}

const ALPHA: (&str, &[i64]) = ("alpha", &[14, 8]);

impl Case {
    const DARTS: Self = Self {
        file: "official_darts",
        method: "darts",
        options: "",
        space: Darts::new,
        channels: 4,
        progress: 0.0,
        parameters: &[ALPHA],
        // Adam's first moment takes half of the gradient; momentum takes all of it.
        moments: (0.5, 1.0),
    };

    fn method(&self) -> Box<dyn Method> {
        let common = "alpha_lr = 0.0\nalpha_decay = 0.0\nclip = 1e9\n";
        let decay = if self.options.contains("decay = ") { "" } else { "decay = 0.0\n" };
        let options: Options = format!("{common}{decay}{}", self.options).parse().unwrap();
        let entry = find_method(self.method).unwrap();
        entry.build(Preset::Paper, &options, &(self.space)(), 1).unwrap()
    }

    /// Makes the step and compares the results. If `has_momentum`, it begins with the weights' momentum of the files.
    fn run(&self, method: &mut dyn Method, stage: &Stage, mut rng: Scripted, has_momentum: bool) {
        let (space, expected) = ((self.space)(), read(self.file));
        let net = {
            let _generator = setup::exclusive();
            let graph = stage.graph(&space, &skeleton(self.channels)).unwrap();
            CellSupernet::new(graph, method.mixed_op().as_ref(), Device::Cpu).unwrap()
        };
        fill(net.weights());
        let (names, variables) = (names(&expected), net.weights().variables());
        let n_trainable = variables.values().filter(|v| v.requires_grad()).count();
        assert_eq!(n_trainable, names.len(), "{}: weights of the network", self.file);
        let at = |name: &String| (name.clone(), variables[name].size());
        let weights: Vec<(String, Vec<i64>)> = names.iter().map(at).collect();
        let mut start: Vec<(String, Tensor)> = self
            .parameters
            .iter()
            .map(|&(n, shape)| (n.to_owned(), initial(&space, n, shape)))
            .collect();
        if has_momentum {
            let momenta = weights.iter().enumerate().map(|(i, w)| (buffer(i), momentum(w)));
            start.extend(momenta);
        }
        let start: Vec<(&str, Tensor)> = start.iter().map(|(n, t)| (&**n, t.copy())).collect();
        begin_with(method, &net, &start);

        let [train, valid] = ["train", "valid"].map(|name| batch(name, &expected));
        let progress = self.progress;
        let mut cx = Context { space: &space, net: &net, objective: None, progress, rng: &mut rng };
        let report = method.step(&mut cx, &Batches { train, valid }).unwrap();
        assert!(rng.is_done(), "{}: the official code draws more numbers", self.file);

        let mut found = self.architecture(method, report);
        found.extend(self.weights(method, &weights, has_momentum));
        compare(self.file, "step/", &expected, &found);
    }

    /// Digests of the weights' gradients, in the form of the file.
    fn weights(
        &self,
        method: &dyn Method,
        of: &[(String, Vec<i64>)],
        has_momentum: bool,
    ) -> Arrays {
        let gradient = |(i, weight): (usize, &(String, Vec<i64>))| {
            let moment = parameter(method, &buffer(i)) / self.moments.1;
            if !has_momentum {
                return moment;
            }
            moment - momentum(weight) * MOMENTUM - tensor(&weight.0, &weight.1) * DECAY
        };
        let gradients: Vec<Tensor> = of.iter().enumerate().map(gradient).collect();
        let dot = |((name, _), g): (&(String, Vec<i64>), &Tensor)| {
            let direction = Tensor::from_slice(&uniform(&format!("r.{name}"), g.numel()));
            g.to_kind(Kind::Double).flatten(0, -1).dot(&direction).double_value(&[])
        };
        Arrays::from([
            ("step/dw_norm".into(), numbers(gradients.iter().map(norm))),
            ("step/dw_dot".into(), numbers(of.iter().zip(&gradients).map(dot))),
        ])
    }

    /// Losses and the gradients of the architecture's parameters.
    fn architecture(&self, method: &dyn Method, report: StepReport) -> Arrays {
        let loss = |value: f64| Tensor::from_slice(&[value]);
        let mut found = Arrays::from([("step/train_loss".into(), loss(report.train_loss.value()))]);
        if !method.is_one_level() {
            let value = report.valid_loss.expect("two levels have both losses").value();
            found.insert("step/valid_loss".into(), loss(value));
        }
        for (i, (name, _)) in self.parameters.iter().enumerate() {
            let moment = parameter(method, &format!("alpha.adam.first.{i}"));
            found.insert(format!("step/d{name}"), moment / self.moments.0);
        }
        found
    }
}

/// DARTS' momentum for the weights, and its decay.
const MOMENTUM: f64 = 0.9;
const DECAY: f64 = 3e-4;

/// Name of a weight's momentum in a method's state.
fn buffer(i: usize) -> String {
    format!("weights.momentum.{i}")
}

/// The momentum with which the second order of the files begins, for a weight with this name and shape.
fn momentum((name, shape): &(String, Vec<i64>)) -> Tensor {
    tensor(&format!("m.{name}"), shape) * 0.1
}

/// The parameters of the cell types set by the formula, one row per decision.
fn initial(space: &dyn SearchSpace, name: &str, shape: &[i64]) -> Tensor {
    let mut cells: Vec<&str> = space.decisions().iter().map(Decision::cell_type).collect();
    cells.dedup();
    let each = cells.iter().map(|cell| tensor(&format!("{name}.{cell}"), shape));
    Tensor::cat(&each.collect::<Vec<_>>(), 0).view([space.decisions().len() as i64, -1])
}

fn batch(name: &str, expected: &Arrays) -> Batch {
    Batch {
        images: tensor(&format!("x.{name}"), &[4, 3, 8, 8]),
        labels: expected[&format!("labels/{name}")].copy(),
    }
}

/// Tests a step of a method that draws nothing, or only the numbers in the file.
fn check(case: &Case, has_momentum: bool) {
    setup::ready();
    let expected = read(case.file);
    let rng = expected.get("random").map_or_else(|| Scripted(VecDeque::new()), Scripted::uniform);
    case.run(case.method().as_mut(), &Stage::of_whole(0), rng, has_momentum);
}

#[test]
fn a_step_of_darts_is_the_official_one() {
    check(&Case::DARTS, false);
}

#[test]
fn a_step_of_darts_2nd_is_the_official_one() {
    let file = "official_darts_2nd";
    // Learning rate, momentum and decay of the weights are part of the virtual step.
    let options = "decay = 3e-4";
    check(&Case { file, method: "darts-2nd", options, ..Case::DARTS }, true);
    // The second order makes a large difference here: without it the test would fail.
    let (first, second) = (&read("official_darts")["step/dalpha"], &read(file)["step/dalpha"]);
    let difference = (first - second).abs().max().double_value(&[]);
    assert!(difference > 0.01 * second.abs().max().double_value(&[]), "{difference}");
}

#[test]
fn a_step_of_pc_darts_is_the_official_one() {
    let parameters: &[(&str, &[i64])] = &[ALPHA, ("beta", &[14])];
    let (file, method) = ("official_pc_darts", "pc-darts");
    // After the warm-up.
    check(&Case { file, method, parameters, channels: 8, progress: 0.5, ..Case::DARTS }, false);
}

/// A step in the second of three stages, in its 12th epoch of 25.
#[test]
fn a_step_of_p_darts_is_the_official_one() {
    setup::ready();
    let case = Case {
        file: "official_p_darts",
        method: "p-darts",
        options: "alpha_clip = 0.01",
        progress: (1.0 + 12.0 / 25.0) / 3.0,
        ..Case::DARTS
    };
    let expected = read(case.file);
    let live = Vec::<Vec<i64>>::try_from(&expected["live"].to_kind(Kind::Int64)).unwrap();
    let sets =
        live.iter().map(|row| ChoiceSet::of((0..row.len()).filter(|&c| row[c] == 1))).collect();
    let stage = Stage { number: 1, cells: Some(3), live: Some(sets), keeps_weights: false };
    let mut method = case.method();
    method.enter(&stage);
    let seed = expected["seed"].int64_value(&[0]) as u64;
    case.run(method.as_mut(), &stage, Scripted(VecDeque::from([seed])), false);
}

#[test]
fn a_step_of_gdas_is_the_official_one() {
    // The weights' step comes first. Their learning rate is 0, so that the second draw uses the weights of the file.
    let (file, method, options) = ("official_gdas", "gdas", "lr = 0.0\nlr_min = 0.0");
    check(&Case { file, method, options, progress: 0.5, ..Case::DARTS }, false);
}

/// The reduction cell is fixed; its layers are the official ones too.
#[test]
fn a_step_of_gdas_with_a_fixed_reduction_cell_is_the_official_one() {
    let (file, method, options) = ("official_gdas_frc", "gdas", "lr = 0.0\nlr_min = 0.0");
    let space = Darts::with_fixed_reduction;
    check(&Case { file, method, options, space, progress: 0.5, ..Case::DARTS }, false);
}

#[test]
fn a_step_of_snas_is_the_official_one() {
    let (file, method, options) = ("official_snas", "snas", "alpha_clip = 1e9");
    check(&Case { file, method, options, progress: 0.5, ..Case::DARTS }, false);
}

#[test]
fn a_step_of_dropnas_is_the_official_one() {
    check(
        &Case {
            file: "official_dropnas",
            method: "dropnas",
            options: "drop_rate = 1e-3\nfixed_exponent = true",
            progress: 0.5,
            // The decay is a second step of both optimizers, here with gradients of zero.
            moments: (0.25, 0.9),
            ..Case::DARTS
        },
        false,
    );
}
