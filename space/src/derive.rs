//! From a graph with searched sites to the network of one architecture, and to a part of a graph.

use crate::{
    Architecture, Candidate, DecisionId, Graph, GraphBuilder, Op, OpSpec, Place, Shape, Site, Step,
    ValueId,
};

impl Graph {
    /// The network of one architecture. Each searched site becomes the operations chosen there, cut down as the architecture
    /// says; `none` becomes nothing, and a pick becomes the value that it picks. Shapes are inferred again. Nodes that no longer
    /// reach the output stay, as they do in published parameter counts (see [`Graph::pruned`]), except those that are read only
    /// by picks that pick another value.
    pub fn derive(&self, architecture: &Architecture) -> Self {
        let takes = |d: DecisionId, c| architecture.choices[d].contains(c);
        let builder = GraphBuilder::new(self.pools_normalised_in_search);
        let mut derivation =
            Derivation { graph: self, architecture, moved: vec![], shapes: vec![], builder };
        for (node, is_needed) in self.needed(&takes).into_iter().enumerate() {
            let (value, shape) =
                if is_needed { derivation.step(node) } else { (None, self.nodes[node].shape) };
            derivation.moved.push(value);
            derivation.shapes.push(shape);
        }
        derivation.builder.finish()
    }

    /// The graph with these nodes only. `live` must contain everything that a kept node reads.
    pub(crate) fn keep(&self, live: &[bool]) -> Self {
        let mut builder = GraphBuilder::new(self.pools_normalised_in_search);
        let mut moved: Vec<Option<ValueId>> = Vec::with_capacity(self.nodes.len());
        for (node, &live) in self.nodes.iter().zip(live) {
            moved.push(live.then(|| {
                let at = |v: ValueId| moved[v].expect("what a live node reads is live");
                builder.push(node.name.clone(), node.step.reading(at), node.shape)
            }));
        }
        builder.finish()
    }
}

/// A derivation in progress: per node of the graph its new value (None if everything that computed it is gone) and its shape.
struct Derivation<'a> {
    graph: &'a Graph,
    architecture: &'a Architecture,
    moved: Vec<Option<ValueId>>,
    shapes: Vec<Shape>,
    builder: GraphBuilder,
}

impl Derivation<'_> {
    /// New value and shape of a node.
    fn step(&mut self, id: ValueId) -> (Option<ValueId>, Shape) {
        let node = &self.graph.nodes[id];
        let name = node.name.clone();
        match &node.step {
            Step::Searched { from, site, .. } => {
                let input = self.at(*from);
                let chosen = self.chosen(site, self.shapes[*from]);
                let spec = chosen.first().map(|(_, spec)| spec);
                let shape = spec.map_or(node.shape, |s| Shape { c: s.c_out, hw: s.hw_out() });
                (self.operations(&name, input, shape, &chosen), shape)
            }
            Step::Fixed { from, op, place } => {
                let (from, op) = (self.at(*from), op.behind(self.shapes[*from]));
                let shape = Shape { c: op.c_out, hw: op.hw_out() };
                self.push(name, Step::Fixed { from, op, place: *place }, shape)
            }
            Step::Pick { from, decision } => {
                let picked = from[self.choice(*decision)];
                (self.moved[picked], self.shapes[picked])
            }
            Step::Resize { from, decision, hw, by } => {
                let (hw, shape) = (hw[self.choice(*decision)], self.shapes[*from]);
                if hw == shape.hw {
                    return (self.moved[*from], shape);
                }
                let Shape { c, hw: hw_in } = shape;
                let op = Op::Resize { hw, by: *by };
                let op = OpSpec { op, c_in: c, c_out: c, stride: 1, hw_in };
                let step = Step::Fixed { from: self.at(*from), op, place: Place::Outside };
                self.push(name, step, Shape { hw, ..shape })
            }
            Step::Sum(from) => {
                let shape = from.first().map_or(node.shape, |&v| self.shapes[v]);
                let from = from.iter().filter_map(|&v| self.moved[v]).collect();
                self.push(name, Step::Sum(from), shape)
            }
            Step::Concat(from) => {
                let c = from.iter().map(|&v| self.shapes[v].c).sum();
                let shape = Shape { c, hw: self.shapes[from[0]].hw };
                let from = from.iter().map(|&v| self.at(v)).collect();
                self.push(name, Step::Concat(from), shape)
            }
            step @ (Step::Input | Step::Head { .. } | Step::Auxiliary { .. }) => {
                let step = step.reading(|v| self.at(v));
                self.push(name, step, node.shape)
            }
        }
    }

    fn push(&mut self, name: String, step: Step, shape: Shape) -> (Option<ValueId>, Shape) {
        (Some(self.builder.push(name, step, shape)), shape)
    }

    /// The choice at a decision that takes exactly one.
    fn choice(&self, decision: DecisionId) -> usize {
        self.architecture.choices[decision].only().expect("picks, sizes and cuts take one choice")
    }

    /// The operations chosen at a site, each with the name that its weights have in the supernet.
    fn chosen(&self, site: &Site, input: Shape) -> Vec<(String, OpSpec)> {
        let cut = |candidate: &Candidate| {
            let value = |cut: &crate::Cut| cut.values[self.choice(cut.decision)];
            let behind =
                Candidate { largest: candidate.behind(input), cuts: candidate.cuts.clone() };
            (candidate.op.name(), behind.cut(value))
        };
        match site {
            Site::Elastic(candidate) => vec![cut(candidate)],
            Site::Choice { decision, candidates } => {
                let chosen = self.architecture.choices[*decision].iter();
                chosen.map(|c| cut(&candidates[c])).collect()
            }
        }
    }

    /// The value of a site's chosen operations; several are summed. None if no operation is chosen.
    fn operations(
        &mut self,
        site: &str,
        from: ValueId,
        shape: Shape,
        chosen: &[(String, OpSpec)],
    ) -> Option<ValueId> {
        let mut values = Vec::new();
        for (name, op) in chosen.iter().filter(|(_, op)| op.op != Op::None) {
            let step = Step::Fixed { from, op: *op, place: Place::Derived };
            values.push(self.builder.push(format!("{site}/{name}"), step, shape));
        }
        match values.as_slice() {
            [] => None,
            [one] => Some(*one),
            _ => Some(self.builder.push(format!("{site}/sum"), Step::Sum(values), shape)),
        }
    }

    /// The new value of a node that is read; zeros if nothing computes it any more.
    fn at(&mut self, value: ValueId) -> ValueId {
        self.moved[value].unwrap_or_else(|| {
            // The zeros need a name that no node has: plain numbers belong to the nodes of the original graph.
            let name = format!("zeros{}", self.builder.len());
            self.builder.push(name, Step::Sum(vec![]), self.shapes[value])
        })
    }
}

impl Step {
    /// The step with each value that it reads replaced by `at` of it.
    fn reading(&self, mut at: impl FnMut(ValueId) -> ValueId) -> Self {
        let mut step = self.clone();
        match &mut step {
            Self::Input => {}
            Self::Fixed { from, .. }
            | Self::Searched { from, .. }
            | Self::Resize { from, .. }
            | Self::Head { from, .. }
            | Self::Auxiliary { from, .. } => *from = at(*from),
            Self::Sum(from) | Self::Concat(from) | Self::Pick { from, .. } => {
                for v in from {
                    *v = at(*v);
                }
            }
        }
        step
    }
}
