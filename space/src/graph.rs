use std::collections::BTreeMap;

use crate::{Architecture, DecisionId, Op, OpSpec};

/// Index of a [`Node`] and so of the value it computes.
pub type ValueId = usize;

/// Shape of a value without the batch: `c` channels of `hw` x `hw` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Channels.
    pub c: u32,
    /// Height and width in pixels.
    pub hw: u16,
}

/// A place where something is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Site {
    /// One of several operations.
    Choice {
        /// Which decision settles it.
        decision: DecisionId,
        /// One operation per choice of the decision, in its order.
        candidates: Vec<OpSpec>,
    },
}

impl Site {
    /// The decisions that settle it.
    pub fn decisions(&self) -> Vec<DecisionId> {
        match self {
            Self::Choice { decision, .. } => vec![*decision],
        }
    }
}

/// Where a fixed operation stands in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Stem, between stages, before the head: its BN has scale and shift in both phases.
    Outside,
    /// Inside a cell, such as the preprocessing of a cell's inputs.
    Cell,
    /// Inside a cell that is fixed by hand, where others are searched: drop path applies.
    Branch,
    /// Derived from a searched site: drop path applies where a sum reads it.
    Derived,
}

/// What one node computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The image batch.
    Input,
    /// An operation that is not searched, or no longer.
    Fixed {
        /// Its input.
        from: ValueId,
        /// The operation.
        op: OpSpec,
        /// Where it stands.
        place: Place,
    },
    /// A searched site.
    Searched {
        /// Its input.
        from: ValueId,
        /// Number of the cell, from 0.
        cell: u16,
        /// What is searched.
        site: Site,
    },
    /// Sum of values of one shape; of no values: zeros.
    Sum(Vec<ValueId>),
    /// Concatenation along channels.
    Concat(Vec<ValueId>),
    /// Global average pool and linear classifier: the network's output.
    Head {
        /// Its input.
        from: ValueId,
        /// Number of classes.
        classes: u32,
    },
    /// A second classifier that only training reads (DARTS' auxiliary head).
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
            | Self::Head { from, .. }
            | Self::Auxiliary { from, .. } => vec![*from],
            Self::Sum(from) | Self::Concat(from) => from.clone(),
        }
    }
}

/// A step with its place in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Path of its weights: `s12`, or `s12/sep_conv_3x3` once derived. The same in the supernet and in the derived network.
    pub name: String,
    /// What it computes.
    pub step: Step,
    /// Shape of the value.
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
    /// The network of one architecture: each searched site becomes the operations chosen there, `none` becomes nothing. Nodes
    /// that no longer reach the output stay, as they do in the published parameter counts; see [`Graph::pruned`].
    pub fn derive(&self, architecture: &Architecture) -> Self {
        let mut builder = GraphBuilder::new(self.pools_normalised_in_search);
        // Per old value the new one; nothing where all that computed it is gone.
        let mut moved: Vec<Option<ValueId>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let new = match &node.step {
                Step::Searched { from, site: Site::Choice { decision, candidates }, .. } => {
                    let from = builder.or_zeros(moved[*from], self.nodes[*from].shape);
                    let chosen = architecture.choices[*decision].iter().map(|c| candidates[c]);
                    builder.derived(node, from, &chosen.collect::<Vec<_>>())
                }
                Step::Sum(from) => {
                    let from = from.iter().filter_map(|&v| moved[v]).collect();
                    Some(builder.push(node.name.clone(), Step::Sum(from), node.shape))
                }
                step => {
                    let step = builder.moved(step, &moved, self);
                    Some(builder.push(node.name.clone(), step, node.shape))
                }
            };
            moved.push(new);
        }
        builder.finish()
    }

    /// Per cell with searched sites the value that it reads and the one that it computes. Of several inputs it is the nearest, of what it
    /// computes the last sum or concatenation.
    pub fn cells(&self) -> Vec<(ValueId, ValueId)> {
        let mut owners: Vec<Option<u16>> = Vec::with_capacity(self.nodes.len());
        let mut cells: BTreeMap<u16, (ValueId, ValueId)> = BTreeMap::new();
        for (id, node) in self.nodes.iter().enumerate() {
            let owner = match &node.step {
                Step::Searched { cell, .. } => Some(*cell),
                Step::Sum(from) | Step::Concat(from) => {
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

    /// Without the auxiliary head. What does not reach the output stays: `PyTorch` and the papers' code compute it too, so this
    /// is the network that is timed.
    pub fn without_auxiliary(&self) -> Self {
        let live = self.nodes.iter().map(|n| !matches!(n.step, Step::Auxiliary { .. }));
        self.keep(&live.collect::<Vec<_>>())
    }

    /// Without the nodes that do not reach the output, whose weights could not be trained. `auxiliary` tells whether the
    /// auxiliary head counts as an output.
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

    /// These nodes alone; all that they read is among them.
    fn keep(&self, live: &[bool]) -> Self {
        let mut builder = GraphBuilder::new(self.pools_normalised_in_search);
        let mut moved = Vec::with_capacity(self.nodes.len());
        for (node, &live) in self.nodes.iter().zip(live) {
            moved.push(live.then(|| {
                let step = builder.moved(&node.step, &moved, self);
                builder.push(node.name.clone(), step, node.shape)
            }));
        }
        builder.finish()
    }

    /// Whether the output depends on the image: not so where `none` cuts every path.
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
}

/// Builds a [`Graph`], computing shapes as it goes.
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new(pools_normalised_in_search: bool) -> Self {
        Self { graph: Graph { nodes: Vec::new(), pools_normalised_in_search } }
    }

    /// The image batch: 3 channels.
    pub fn input(&mut self, hw: u16) -> ValueId {
        self.next(Step::Input, Shape { c: 3, hw })
    }

    /// An operation outside the cells that is not searched.
    pub fn outside(&mut self, from: ValueId, op: Op, c_out: u32, stride: u8) -> ValueId {
        self.fixed(from, self.spec(from, op, c_out, stride), Place::Outside)
    }

    /// An operation inside a cell that is not searched.
    pub fn in_cell(&mut self, from: ValueId, op: Op, c_out: u32, stride: u8) -> ValueId {
        self.fixed(from, self.spec(from, op, c_out, stride), Place::Cell)
    }

    /// An operation of a cell that is fixed by hand, in the place of a searched one.
    pub fn branch(&mut self, from: ValueId, op: Op, c_out: u32, stride: u8) -> ValueId {
        self.fixed(from, self.spec(from, op, c_out, stride), Place::Branch)
    }

    fn fixed(&mut self, from: ValueId, op: OpSpec, place: Place) -> ValueId {
        let shape = Shape { c: op.c_out, hw: op.hw_out() };
        self.next(Step::Fixed { from, op, place }, shape)
    }

    /// A choice among operations of one output shape.
    pub fn choice(
        &mut self,
        from: ValueId,
        cell: u16,
        decision: DecisionId,
        candidates: Vec<OpSpec>,
    ) -> ValueId {
        let shape = Shape { c: candidates[0].c_out, hw: candidates[0].hw_out() };
        let agree = candidates.iter().all(|o| o.c_out == shape.c && o.hw_out() == shape.hw);
        assert!(agree, "candidates of one site have one shape");
        self.next(Step::Searched { from, cell, site: Site::Choice { decision, candidates } }, shape)
    }

    /// The operation as it stands after `from`.
    pub fn spec(&self, from: ValueId, op: Op, c_out: u32, stride: u8) -> OpSpec {
        let Shape { c, hw } = self.shape(from);
        OpSpec { op, c_in: c, c_out, stride, hw_in: hw }
    }

    /// Sum of at least one value.
    pub fn sum(&mut self, values: Vec<ValueId>) -> ValueId {
        let shape = self.shape(values[0]);
        assert!(values.iter().all(|&v| self.shape(v) == shape), "summands have one shape");
        self.next(Step::Sum(values), shape)
    }

    /// Concatenation of at least one value.
    pub fn concat(&mut self, values: Vec<ValueId>) -> ValueId {
        let c = values.iter().map(|&v| self.shape(v).c).sum();
        let hw = self.shape(values[0]).hw;
        self.next(Step::Concat(values), Shape { c, hw })
    }

    /// The classifier.
    pub fn head(&mut self, from: ValueId, classes: u32) -> ValueId {
        self.next(Step::Head { from, classes }, Shape { c: classes, hw: 1 })
    }

    /// The auxiliary classifier.
    pub fn auxiliary(&mut self, from: ValueId, classes: u32) -> ValueId {
        self.next(Step::Auxiliary { from, classes }, Shape { c: classes, hw: 1 })
    }

    /// Shape of a value.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.graph.nodes[value].shape
    }

    /// The graph built.
    pub fn finish(self) -> Graph {
        self.graph
    }

    fn next(&mut self, step: Step, shape: Shape) -> ValueId {
        let name = format!("s{}", self.graph.nodes.len());
        self.push(name, step, shape)
    }

    fn push(&mut self, name: String, step: Step, shape: Shape) -> ValueId {
        self.graph.nodes.push(Node { name, step, shape });
        self.graph.nodes.len() - 1
    }

    /// The chosen operations of a site, summed where there are several; nothing where there is none.
    fn derived(&mut self, site: &Node, from: ValueId, chosen: &[OpSpec]) -> Option<ValueId> {
        let mut values = Vec::new();
        for &op in chosen.iter().filter(|o| o.op != Op::None) {
            let name = format!("{}/{}", site.name, op.op.name());
            values.push(self.push(
                name,
                Step::Fixed { from, op, place: Place::Derived },
                site.shape,
            ));
        }
        match values.as_slice() {
            [] => None,
            [one] => Some(*one),
            _ => Some(self.push(format!("{}/sum", site.name), Step::Sum(values), site.shape)),
        }
    }

    fn or_zeros(&mut self, value: Option<ValueId>, shape: Shape) -> ValueId {
        // A name of its own: numbers belong to the nodes of the graph that is read.
        value.unwrap_or_else(|| {
            let name = format!("zeros{}", self.graph.nodes.len());
            self.push(name, Step::Sum(vec![]), shape)
        })
    }

    /// The step of another graph on this graph's values.
    fn moved(&mut self, step: &Step, moved: &[Option<ValueId>], old: &Graph) -> Step {
        let mut at = |v: ValueId| self.or_zeros(moved[v], old.nodes[v].shape);
        match step {
            Step::Input => Step::Input,
            Step::Fixed { from, op, place } => {
                Step::Fixed { from: at(*from), op: *op, place: *place }
            }
            Step::Searched { from, cell, site } => {
                Step::Searched { from: at(*from), cell: *cell, site: site.clone() }
            }
            Step::Sum(from) => Step::Sum(from.iter().map(|&v| at(v)).collect()),
            Step::Concat(from) => Step::Concat(from.iter().map(|&v| at(v)).collect()),
            Step::Head { from, classes } => Step::Head { from: at(*from), classes: *classes },
            Step::Auxiliary { from, classes } => {
                Step::Auxiliary { from: at(*from), classes: *classes }
            }
        }
    }
}
