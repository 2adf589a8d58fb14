//! Gates, the interface between method and supernet: for each decision a vector of weights, and which candidates are computed.

use lat_space::{Architecture, Choice, Decision, DecisionId};
use tch::{Device, Tensor};

/// How one candidate is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Not computed.
    Off,
    /// Computed; gradients flow to its weights and its input.
    On,
    /// Computed without gradients for its weights and input: only the gate learns (`ProxylessNAS`' second path).
    Probe,
}

/// The gate of one decision in a forward pass.
#[derive(Debug)]
pub struct Gate {
    /// `[n_choices]`: factor of each candidate's output.
    pub weights: Tensor,
    /// How each choice is computed.
    pub paths: Vec<Path>,
    /// Factor of the whole site's output, if the method also weights edges (scalar; PC-DARTS' normalised beta).
    pub edge: Option<Tensor>,
}

impl Gate {
    /// The gate without the edge factor.
    pub(super) fn without_edge(&self) -> Self {
        Self { edge: None, weights: self.weights.shallow_clone(), paths: self.paths.clone() }
    }

    /// Multiplies a site's output by the edge factor, if there is one.
    pub(super) fn weigh(&self, ys: Tensor) -> Tensor {
        match &self.edge {
            Some(edge) => ys * edge,
            None => ys,
        }
    }
}

/// Gates for all decisions. A method may answer differently per cell.
pub trait Gating {
    /// The gate of a decision in the cell with this number.
    fn gate(&self, decision: DecisionId, cell: u16) -> Gate;
}

/// Gates that are the same in every cell.
#[derive(Debug)]
pub struct SharedGates {
    gates: Vec<Gate>,
}

impl SharedGates {
    /// Candidates weighted by `weights` (`[n_choices]` per decision), each computed as `path(decision, choice)` says. `none` is
    /// always off, because its output is zero.
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

    /// All candidates on, weighted by `weights` (`[n_choices]` per decision). `none` is off, because its output is zero.
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
