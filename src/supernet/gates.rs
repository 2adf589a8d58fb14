//! What a method says to the supernet: per decision one weight vector and which candidates are computed.

use lat_space::{Architecture, Choice, Decision, DecisionId};
use tch::{Device, Tensor};

/// What happens to one candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Not computed.
    Off,
    /// Computed; gradients flow to its weights and its input.
    On,
    /// Computed without gradients for its weights and input: only the gate learns (`ProxylessNAS`' second path).
    Probe,
}

/// How one decision stands in a forward pass.
#[derive(Debug)]
pub struct Gate {
    /// `[n_choices]`: factor of each candidate's output.
    pub weights: Tensor,
    /// One per choice.
    pub paths: Vec<Path>,
    /// Factor of the whole site's output where a method weighs edges too (scalar; PC-DARTS' normalised beta).
    pub edge: Option<Tensor>,
}

impl Gate {
    /// The same without the site's own factor.
    pub(super) fn without_edge(&self) -> Self {
        Self { edge: None, weights: self.weights.shallow_clone(), paths: self.paths.clone() }
    }

    /// A site's output times the site's own factor, where there is one.
    pub(super) fn weigh(&self, ys: Tensor) -> Tensor {
        match &self.edge {
            Some(edge) => ys * edge,
            None => ys,
        }
    }
}

/// Gates for all decisions. A method may answer differently per cell.
pub trait Gating {
    /// The gate of a decision in a cell.
    fn gate(&self, decision: DecisionId, cell: u16) -> Gate;
}

/// The same gate in every cell.
#[derive(Debug)]
pub struct SharedGates {
    gates: Vec<Gate>,
}

impl SharedGates {
    /// Candidates weighted by `weights` (`[n_choices]` per decision), each computed as `path(decision, choice)` says; `none` is
    /// off since its output is zero.
    pub fn with_paths(
        decisions: &[Decision],
        weights: &[Tensor],
        path: impl Fn(DecisionId, usize) -> Path,
    ) -> Self {
        let gates = decisions.iter().zip(weights).enumerate().map(|(d, (decision, weights))| {
            let path = |c| if Some(c) == decision.none() { Path::Off } else { path(d, c) };
            Gate {
                weights: weights.shallow_clone(),
                paths: (0..decision.choices.len()).map(path).collect(),
                edge: None,
            }
        });
        Self { gates: gates.collect() }
    }

    /// All candidates on, weighted by `weights` (`[n_choices]` per decision); `none` is off since its output is zero.
    pub fn soft(decisions: &[Decision], weights: &[Tensor], edges: Option<&[Tensor]>) -> Self {
        let gates = decisions.iter().zip(weights).enumerate().map(|(d, (decision, weights))| {
            let path = |c: &Choice| if c.is_none() { Path::Off } else { Path::On };
            Gate {
                weights: weights.shallow_clone(),
                paths: decision.choices.iter().map(path).collect(),
                edge: edges.map(|e| e[d].shallow_clone()),
            }
        });
        Self { gates: gates.collect() }
    }

    /// Only the architecture's choices on, with weight one.
    pub fn hard(decisions: &[Decision], architecture: &Architecture, device: Device) -> Self {
        let gates = decisions.iter().zip(&architecture.choices).map(|(decision, set)| {
            let on = |c: usize| set.contains(c) && Some(c) != decision.none();
            let n = decision.choices.len();
            let ones: Vec<f32> = (0..n).map(|c| f32::from(u8::from(on(c)))).collect();
            Gate {
                weights: Tensor::from_slice(&ones).to_device(device),
                paths: (0..n).map(|c| if on(c) { Path::On } else { Path::Off }).collect(),
                edge: None,
            }
        });
        Self { gates: gates.collect() }
    }
}

impl Gating for SharedGates {
    fn gate(&self, decision: DecisionId, _cell: u16) -> Gate {
        let Gate { weights, paths, edge } = &self.gates[decision];
        Gate {
            weights: weights.shallow_clone(),
            paths: paths.clone(),
            edge: edge.as_ref().map(Tensor::shallow_clone),
        }
    }
}
