//! A stand-in for the supernet whose loss is a known function of the gates, so that steps take no time and their end is known.

use lat::methods::{Batch, Batches, Context, Method, StepReport};
use lat::objective::Objective;
use lat::supernet::{Gating, Supernet};
use lat_space::SearchSpace;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor, nn};

use crate::setup;

/// Its loss is `ln(1 + e^s)`, where `s` sums the gates' weights times their harms; one weight that does not matter.
#[derive(Debug)]
pub(crate) struct ToyNet {
    weights: nn::VarStore,
    weight: Tensor,
    /// Per decision `[n_choices]`.
    harms: Vec<Tensor>,
}

impl ToyNet {
    /// `harms` has one value per gate of the space.
    pub(crate) fn new(space: &dyn SearchSpace, harms: &[f64]) -> Self {
        setup::ready();
        let weights = nn::VarStore::new(Device::Cpu);
        let weight = weights.root().ones("weight", &[1]);
        let widths: Vec<i64> = space.decisions().iter().map(|d| d.choices.len() as i64).collect();
        let harms = Tensor::from_slice(harms).to_kind(Kind::Float).split_with_sizes(widths, 0);
        Self { weights, weight, harms }
    }

    /// A loss that no gate changes.
    pub(crate) fn indifferent(space: &dyn SearchSpace) -> Self {
        let n_gates = space.decisions().iter().map(|d| d.choices.len()).sum();
        Self::new(space, &vec![0.0; n_gates])
    }
}

impl Supernet for ToyNet {
    fn forward_t(&self, images: &Tensor, gates: &dyn Gating, _train: bool) -> Tensor {
        let mut sum = Tensor::zeros([], tch::kind::FLOAT_CPU);
        for (decision, harm) in self.harms.iter().enumerate() {
            let gate = gates.gate(decision, 0);
            let harm = (gate.weights * harm).sum(Kind::Float);
            sum += match gate.edge {
                Some(edge) => harm * edge,
                None => harm,
            };
        }
        let right = self.weight.sum(Kind::Float) * 0.0;
        Tensor::stack(&[right, sum], 0).unsqueeze(0).repeat([images.size()[0], 1])
    }

    fn weights(&self) -> &nn::VarStore {
        &self.weights
    }
}

/// Two images of the right class.
fn batch() -> Batch {
    Batch {
        images: Tensor::zeros([2, 3, 1, 1], tch::kind::FLOAT_CPU),
        labels: Tensor::zeros([2], tch::kind::INT64_CPU),
    }
}

/// Lets a method that has begun take `n` steps at one point of its schedule.
pub(crate) fn steps(
    method: &mut dyn Method,
    space: &dyn SearchSpace,
    net: &dyn Supernet,
    mut objective: Option<&mut Objective<'_>>,
    (n, progress): (usize, f64),
) -> StepReport {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut report = StepReport::default();
    for _ in 0..n {
        let objective = objective.as_deref_mut();
        let mut cx = Context { space, net, objective, progress, rng: &mut rng };
        let batches = Batches { train: batch(), valid: batch() };
        report = method.step(&mut cx, &batches).unwrap();
    }
    report
}

/// Begins the method on the net and sets parameters of it by their names in its state.
pub(crate) fn begin_with(method: &mut dyn Method, net: &dyn Supernet, values: &[(&str, Tensor)]) {
    method.begin(net).unwrap();
    let mut state: lat::optimizer::StateMap = method.state().into_iter().collect();
    for (name, value) in values {
        let old = state.insert((*name).to_owned(), value.shallow_clone());
        assert_eq!(old.map(|old| old.size()), Some(value.size()), "{name}");
    }
    method.load(&state).unwrap();
}

/// A parameter of the method by its name in its state.
pub(crate) fn parameter(method: &dyn Method, name: &str) -> Tensor {
    let found = method.state().into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name} in the state")).1.copy()
}
