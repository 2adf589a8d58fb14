//! A network as data: nodes with steps, and methods that answer questions about it.

use std::collections::BTreeMap;

use crate::{DecisionId, Interpolation, OpSpec, Site};

/// Index of a [`Node`], and of the value that it computes.
pub type ValueId = usize;

/// Shape of a value without the batch: `c` channels of `hw` x `hw` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Channels.
    pub c: u32,
    /// Height and width in pixels.
    pub hw: u16,
}

/// The place of a fixed operation in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the stem, between stages or before the head: its BN has scale and shift in both phases.
    Outside,
    /// Inside a cell, such as the preprocessing of a cell's inputs.
    Cell,
    /// Inside a cell that is fixed by hand in a network whose other cells are searched: drop path applies.
    Branch,
    /// Derived from a searched site: drop path applies if a sum reads it.
    Derived,
}

/// The computation of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The image batch.
    Input,
    /// An operation that is not searched, or not any more.
    Fixed {
        /// Its input.
        from: ValueId,
        /// The operation.
        op: OpSpec,
        /// Its place in the network.
        place: Place,
    },
    /// A searched site.
    Searched {
        /// Its input.
        from: ValueId,
        /// Number of the cell, from 0.
        cell: u16,
        /// The candidates.
        site: Site,
    },
    /// The sum of values of the same shape; with no values, zeros.
    Sum(Vec<ValueId>),
    /// Concatenation along channels.
    Concat(Vec<ValueId>),
    /// One of several values with the same largest shape: elastic depth. Values that are read only by picks of other values are
    /// not computed.
    Pick {
        /// One value per choice of the decision, in its order.
        from: Vec<ValueId>,
        /// The decision that picks.
        decision: DecisionId,
    },
    /// The map at another size: elastic resolution.
    Resize {
        /// Its input.
        from: ValueId,
        /// The decision that sets the size.
        decision: DecisionId,
        /// Height and width in pixels per choice of the decision.
        hw: Vec<u16>,
        /// How the pixels are interpolated.
        by: Interpolation,
    },
    /// Global average pool and linear classifier: the network's output.
    Head {
        /// Its input.
        from: ValueId,
        /// Number of classes.
        classes: u32,
    },
    /// A second classifier that is used in training only (DARTS' auxiliary head).
    Auxiliary {
        /// Its input.
        from: ValueId,
        /// Number of classes.
        classes: u32,
    },
}

impl Step {
    /// The values the step reads.
    pub fn inputs(&self) -> Vec<ValueId> {
        match self {
            Self::Input => vec![],
            Self::Fixed { from, .. }
            | Self::Searched { from, .. }
            | Self::Resize { from, .. }
            | Self::Head { from, .. }
            | Self::Auxiliary { from, .. } => vec![*from],
            Self::Sum(from) | Self::Concat(from) | Self::Pick { from, .. } => from.clone(),
        }
    }

    /// Decision and number of choices of a pick.
    pub(crate) fn pick(&self) -> Option<(DecisionId, usize)> {
        match self {
            Self::Pick { from, decision } => Some((*decision, from.len())),
            _ => None,
        }
    }
}

/// A step with its name and the shape of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Path of its weights: `s12`, or `s12/sep_conv_3x3` once derived. It is the same in the supernet and in the derived network.
    pub name: String,
    /// The computation.
    pub step: Step,
    /// Shape of the value. If it depends on choices, the largest.
    pub shape: Shape,
}

/// A network: nodes in topological order, the [`Step::Head`] last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Whether pools are followed by batch normalisation while searching (DARTS), so that their scale is comparable.
    pub pools_normalised_in_search: bool,
}

impl Graph {
    /// For each cell with searched sites the value that it reads and the value that it computes. If there are several inputs, the
    /// nearest one; the output is the last sum or concatenation.
    pub fn cells(&self) -> Vec<(ValueId, ValueId)> {
        let mut owners: Vec<Option<u16>> = Vec::with_capacity(self.nodes.len());
        let mut cells: BTreeMap<u16, (ValueId, ValueId)> = BTreeMap::new();
        for (id, node) in self.nodes.iter().enumerate() {
            let owner = match &node.step {
                Step::Searched { cell, .. } => Some(*cell),
                Step::Sum(from) | Step::Concat(from) | Step::Pick { from, .. } => {
                    from.iter().filter_map(|&v| owners[v]).max()
                }
                _ => None,
            };
            owners.push(owner);
            let Some(owner) = owner else { continue };
            let outside =
                node.step.inputs().into_iter().filter(|&v| owners[v] != Some(owner)).max();
            let (read, computed) = cells.entry(owner).or_default();
            *read = outside.map_or(*read, |v| v.max(*read));
            *computed = id;
        }
        cells.into_values().collect()
    }

    /// The graph without the auxiliary head. Nodes that do not reach the output stay: `PyTorch` and the papers' code compute them
    /// too, so this is the network that is timed.
    pub fn without_auxiliary(&self) -> Self {
        let live = self.nodes.iter().map(|n| !matches!(n.step, Step::Auxiliary { .. }));
        self.keep(&live.collect::<Vec<_>>())
    }

    /// The graph without nodes that do not reach the output, because their weights could not be trained. `auxiliary` says whether
    /// the auxiliary head counts as an output.
    pub fn pruned(&self, auxiliary: bool) -> Self {
        let mut live = vec![false; self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate().rev() {
            live[id] |= match node.step {
                Step::Input | Step::Head { .. } => true,
                Step::Auxiliary { .. } => auxiliary,
                _ => false,
            };
            if live[id] {
                node.step.inputs().into_iter().for_each(|v| live[v] = true);
            }
        }
        self.keep(&live)
    }

    /// Whether the output depends on the image. It does not if `none` cuts every path.
    pub fn is_connected(&self) -> bool {
        let mut depends = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let is_input = node.step == Step::Input;
            depends.push(is_input || node.step.inputs().iter().any(|&v| depends[v]));
        }
        self.nodes.iter().zip(depends).all(|(n, d)| d || !matches!(n.step, Step::Head { .. }))
    }

    /// The searched sites: node, cell and site.
    pub fn sites(&self) -> impl Iterator<Item = (ValueId, u16, &Site)> {
        self.nodes.iter().enumerate().filter_map(|(id, node)| match &node.step {
            Step::Searched { cell, site, .. } => Some((id, *cell, site)),
            _ => None,
        })
    }

    /// The searched sites that choose among operations: node, cell, decision and candidates, each at its largest.
    pub fn choices(&self) -> impl Iterator<Item = (ValueId, u16, DecisionId, Vec<OpSpec>)> {
        self.sites().filter_map(|(node, cell, site)| match site {
            Site::Choice { decision, .. } => Some((node, cell, *decision, site.largest())),
            Site::Elastic(_) => None,
        })
    }

    /// Whether anything is searched besides plain choices of operations: cuts, picks or sizes.
    pub fn is_elastic(&self) -> bool {
        let stretches = |step: &Step| match step {
            Step::Pick { .. } | Step::Resize { .. } => true,
            Step::Searched { site, .. } => !site.is_plain(),
            _ => false,
        };
        self.nodes.iter().any(|node| stretches(&node.step))
    }

    /// All operations that a supernet holds, each at its largest.
    pub fn operations(&self) -> impl Iterator<Item = OpSpec> {
        self.nodes.iter().flat_map(|node| match &node.step {
            Step::Fixed { op, .. } => vec![*op],
            Step::Searched { site, .. } => site.largest(),
            _ => vec![],
        })
    }
}
