//! Soft choices of the image size: one pass per size; the features are put at their positions in the largest feature map and summed.
//!
//! `FBNetV2` runs each operation once per size on a nearest-neighbour subsample of a feature map, and scatters the results back
//! (arXiv 2004.05565, figure 2). Here the whole network runs once per size, on the image as that size's derived network sees it.
//! This computes as much, and only the classifier's input is scattered. So a pass computes what the derived network computes, up to
//! its logits, and no size reads what others wrote. A global pool averages over the largest map, where a smaller map fills only some
//! pixels; these are therefore multiplied by the number of positions that each stands for.

use std::collections::BTreeMap;

use lat_nn::scattered_sum;
use lat_space::{DecisionId, Graph, Step};
use tch::Tensor;

use super::gates::{Gate, Gating, Path};

/// The image sizes that a soft decision weighs.
#[derive(Debug)]
pub(super) struct SoftSizes {
    decision: DecisionId,
    /// For each distinct size one of its choices, and the sum of its choices' weights.
    sizes: Vec<(usize, Tensor)>,
}

impl SoftSizes {
    /// The first image size in the graph with several open choices; None if every size has a single open choice.
    pub(super) fn of(graph: &Graph, gates: &dyn Gating) -> Option<Self> {
        graph.nodes.iter().find_map(|node| {
            let Step::Resize { decision, hw, .. } = &node.step else { return None };
            let gate = gates.gate(*decision, 0);
            let open = || (0..hw.len()).filter(|&c| gate.paths[c] != Path::Off);
            if open().count() < 2 {
                return None;
            }
            // For small images, several choices may have the same number of pixels.
            let mut sizes: BTreeMap<u16, (usize, Tensor)> = BTreeMap::new();
            for choice in open() {
                let weight = gate.weights.get(choice as i64);
                let size = sizes.remove(&hw[choice]);
                let sum = size.map_or_else(|| weight.shallow_clone(), |(_, sum)| sum + &weight);
                sizes.insert(hw[choice], (choice, sum));
            }
            Some(Self { decision: *decision, sizes: sizes.into_values().collect() })
        })
    }

    /// Runs all sizes and returns their features `[n, c, h, w]` as one map; `features` computes those of one pass.
    pub(super) fn mixed(
        &self,
        gates: &dyn Gating,
        features: &mut dyn FnMut(&dyn Gating) -> Tensor,
    ) -> Tensor {
        let mut pass = |(choice, weight): &(usize, Tensor)| {
            let map = features(&OneSize { gates, decision: self.decision, choice: *choice });
            (weight.shallow_clone(), map)
        };
        let maps: Vec<(Tensor, Tensor)> = self.sizes.iter().map(&mut pass).collect();
        let pixels = |map: &Tensor| (map.size()[2] * map.size()[3]) as f64;
        let most = maps.iter().map(|(_, map)| pixels(map)).fold(0.0, f64::max);
        let scaled = maps.into_iter().map(|(weight, map)| (weight * (most / pixels(&map)), map));
        scattered_sum(&scaled.collect::<Vec<_>>())
    }
}

/// Gates in which one decision takes a single choice.
struct OneSize<'a> {
    gates: &'a dyn Gating,
    decision: DecisionId,
    choice: usize,
}

impl Gating for OneSize<'_> {
    fn gate(&self, decision: DecisionId, cell: u16) -> Gate {
        let gate = self.gates.gate(decision, cell);
        if decision != self.decision {
            return gate;
        }
        let path = |c| if c == self.choice { Path::On } else { Path::Off };
        let paths = (0..gate.paths.len()).map(path).collect();
        Gate { weights: gate.weights.detach().ones_like(), paths, ..gate }
    }
}
