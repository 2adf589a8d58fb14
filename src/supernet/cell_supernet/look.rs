//! Looks into a supernet: the feature maps on the way to its logits, and which choices have weights of their own.

use std::collections::HashMap;

use lat_nn::{Answers, DropPath};
use lat_space::{DecisionId, Site, ValueId};
use tch::Tensor;

use super::{CellSupernet, taken};
use crate::supernet::{Gating, Path};

/// A choice of a site that has weights of its own.
#[derive(Debug)]
pub struct OwnChoice {
    /// Number of its site, in the order of the network.
    pub site: usize,
    /// The site's decision.
    pub decision: DecisionId,
    /// Index of the choice.
    pub choice: usize,
    /// Its path in [`Supernet::weights`](crate::supernet::Supernet::weights).
    pub path: String,
}

/// The values that a supernet computes on the way to its logits.
#[derive(Debug)]
pub struct Look {
    /// Input and output `[n, c, h, w]` of each site that runs an operation with weights, in the order of the network.
    pub maps: Vec<(Tensor, Tensor)>,
    /// Input and output `[n, c, h, w]` of each computed cell, see [`lat_space::Graph::cells`].
    pub cells: Vec<(Tensor, Tensor)>,
    /// The indices of these cells in the graph: cells beyond an elastic depth are not computed.
    pub computed: Vec<usize>,
}

impl CellSupernet {
    /// Computes the values on the way to the logits under these gates. Batch norm uses the batch's own statistics.
    pub fn look(&self, images: &Tensor, gates: &dyn Gating) -> Look {
        let mut maps = Vec::new();
        let mut site = |node: ValueId, site: &Site, xs: &Tensor| {
            let ys = self.answer(node, site, xs, (gates, true), &mut HashMap::new());
            let runs_weights = match site {
                Site::Choice { decision, candidates } => {
                    let gate = gates.gate(*decision, self.sites[&node].cell);
                    let mut candidates = candidates.iter().zip(&gate.paths);
                    candidates.any(|(c, path)| *path == Path::On && !c.op.is_parameter_free())
                }
                Site::Elastic(candidate) => !candidate.op.is_parameter_free(),
            };
            if runs_weights {
                maps.push((xs.shallow_clone(), ys.shallow_clone()));
            }
            ys
        };
        let of_cells = self.net.graph().cells();
        let mut values = HashMap::new();
        let mut observer = |id: ValueId, value: &Tensor| {
            if of_cells.iter().any(|&(read, computed)| id == read || id == computed) {
                values.insert(id, value.shallow_clone());
            }
        };
        let taken = |decision| taken(gates, decision);
        let answers = Answers { site: &mut site, taken: &taken };
        self.net.observed_t(images, true, DropPath::OFF, answers, &mut observer);
        // Cells beyond an elastic depth are not computed.
        let value = |id: ValueId| values.get(&id).map(Tensor::shallow_clone);
        let of_cell = |(cell, &(read, computed)): (usize, &(ValueId, ValueId))| {
            Some((cell, (value(read)?, value(computed)?)))
        };
        let (computed, cells) = of_cells.iter().enumerate().filter_map(of_cell).unzip();
        Look { maps, cells, computed }
    }

    /// The candidates of all sites that own them, site by site; some of them may have no weights.
    pub fn own_choices(&self) -> Vec<OwnChoice> {
        let graph = self.net.graph();
        let owned =
            graph.choices().filter(|(node, ..)| self.sites[node].owner == *node).enumerate();
        let of_site = owned.flat_map(|(site, (node, _, decision, candidates))| {
            let place = &graph.nodes[node].name;
            candidates.into_iter().enumerate().map(move |(choice, spec)| OwnChoice {
                site,
                decision,
                choice,
                path: format!("{}.{}", place, spec.op.name()),
            })
        });
        of_site.collect()
    }
}
