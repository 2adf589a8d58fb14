//! Builds graphs node by node.

use crate::{
    Candidate, DecisionId, Graph, Interpolation, Node, Op, OpSpec, Place, Shape, Shortcut, Site,
    Step, ValueId,
};

/// Builds a [`Graph`], computing shapes as it goes.
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
    /// Whether the graph so far contains anything elastic.
    is_elastic: bool,
}

impl GraphBuilder {
    /// Begins an empty graph.
    pub fn new(pools_normalised_in_search: bool) -> Self {
        let graph = Graph { nodes: Vec::new(), pools_normalised_in_search };
        Self { graph, is_elastic: false }
    }

    /// Adds the image batch, with 3 channels.
    pub fn input(&mut self, hw: u16) -> ValueId {
        self.next(Step::Input, Shape { c: 3, hw })
    }

    /// Adds an operation outside the cells that is not searched.
    pub fn outside(&mut self, from: ValueId, op: Op, c_out: u32, stride: u8) -> ValueId {
        self.fixed(from, self.spec(from, op, c_out, stride), Place::Outside)
    }

    /// Adds an operation inside a cell that is not searched.
    pub fn in_cell(&mut self, from: ValueId, op: Op, c_out: u32, stride: u8) -> ValueId {
        self.fixed(from, self.spec(from, op, c_out, stride), Place::Cell)
    }

    /// Adds an operation of a cell that is fixed by hand, in the place of a searched one.
    pub fn branch(&mut self, from: ValueId, op: Op, c_out: u32, stride: u8) -> ValueId {
        self.fixed(from, self.spec(from, op, c_out, stride), Place::Branch)
    }

    fn fixed(&mut self, from: ValueId, op: OpSpec, place: Place) -> ValueId {
        let shape = Shape { c: op.c_out, hw: op.hw_out() };
        let step = Step::Fixed { from, op, place };
        if self.is_elastic {
            self.check_widths(from, &step);
        }
        self.next(step, shape)
    }

    /// Adds a choice among operations with the same largest output shape, which may be cut down too.
    pub fn choice(
        &mut self,
        from: ValueId,
        cell: u16,
        decision: DecisionId,
        candidates: impl IntoIterator<Item = impl Into<Candidate>>,
    ) -> ValueId {
        let candidates: Vec<Candidate> = candidates.into_iter().map(Into::into).collect();
        let shape = Shape { c: candidates[0].c_out, hw: candidates[0].hw_out() };
        let agree = candidates.iter().all(|o| o.c_out == shape.c && o.hw_out() == shape.hw);
        assert!(agree, "candidates of one site have one shape");
        self.site(from, cell, Site::Choice { decision, candidates }, shape)
    }

    /// Adds one operation that decisions cut down.
    pub fn elastic(&mut self, from: ValueId, cell: u16, candidate: Candidate) -> ValueId {
        let shape = Shape { c: candidate.c_out, hw: candidate.hw_out() };
        self.site(from, cell, Site::Elastic(candidate), shape)
    }

    fn site(&mut self, from: ValueId, cell: u16, site: Site, shape: Shape) -> ValueId {
        self.is_elastic |= !site.is_plain();
        if let Some(flaw) = site.candidates().iter().find_map(Candidate::flaw) {
            panic!("cuts fit their operation: {flaw}");
        }
        let node = self.next(Step::Searched { from, cell, site }, shape);
        if self.is_elastic {
            self.check_residuals(node);
            self.check_widths(from, &self.graph.nodes[node].step);
        }
        node
    }

    /// Checks that a step that reads a value of searched width can do so.
    fn check_widths(&self, from: ValueId, step: &Step) {
        let ops = match step {
            Step::Fixed { op, .. } => vec![*op],
            Step::Searched { site, .. } => site.largest(),
            _ => vec![],
        };
        let can = ops.iter().all(|op| op.op.reads_any_width());
        assert!(
            can || !self.graph.varying_widths()[from],
            "what reads a searched width can be cut"
        );
    }

    /// Checks that whether a block adds its input does not depend on how it is cut, because the supernet decides it once.
    fn check_residuals(&self, node: ValueId) {
        let Step::Searched { site, .. } = &self.graph.nodes[node].step else { return };
        let depends = |op: Op| matches!(op, Op::InvertedResidual(block) if block.shortcut == Shortcut::WhereAlike);
        if !site.candidates().iter().any(|candidate| depends(candidate.op)) {
            return;
        }
        let blocks = self.graph.operations_at(node).into_iter().filter(|spec| depends(spec.op));
        let adds: Vec<bool> = blocks.map(|spec| spec.adds_input()).collect();
        assert!(adds.windows(2).all(|w| w[0] == w[1]), "a block adds its input always or never");
    }

    /// Adds a pick: one of several values with the same largest shape.
    pub fn pick(&mut self, from: Vec<ValueId>, decision: DecisionId) -> ValueId {
        let shape = self.shape(from[0]);
        assert!(from.iter().all(|&v| self.shape(v) == shape), "picked values have one shape");
        self.next(Step::Pick { from, decision }, shape)
    }

    /// Adds the map at one of several sizes; its shape is that of the largest.
    pub fn resize(
        &mut self,
        from: ValueId,
        decision: DecisionId,
        hw: Vec<u16>,
        by: Interpolation,
    ) -> ValueId {
        let largest = *hw.iter().max().expect("at least one size");
        let shape = Shape { hw: largest, ..self.shape(from) };
        self.next(Step::Resize { from, decision, hw, by }, shape)
    }

    /// The operation as it would be placed behind `from`.
    pub fn spec(&self, from: ValueId, op: Op, c_out: u32, stride: u8) -> OpSpec {
        let Shape { c, hw } = self.shape(from);
        OpSpec { op, c_in: c, c_out, stride, hw_in: hw }
    }

    /// Adds the sum of at least one value.
    pub fn sum(&mut self, values: Vec<ValueId>) -> ValueId {
        let shape = self.shape(values[0]);
        assert!(values.iter().all(|&v| self.shape(v) == shape), "summands have one shape");
        self.next(Step::Sum(values), shape)
    }

    /// Adds the concatenation of at least one value.
    pub fn concat(&mut self, values: Vec<ValueId>) -> ValueId {
        let c = values.iter().map(|&v| self.shape(v).c).sum();
        let hw = self.shape(values[0]).hw;
        self.next(Step::Concat(values), Shape { c, hw })
    }

    /// Adds the classifier.
    pub fn head(&mut self, from: ValueId, classes: u32) -> ValueId {
        self.next(Step::Head { from, classes }, Shape { c: classes, hw: 1 })
    }

    /// Adds the auxiliary classifier.
    pub fn auxiliary(&mut self, from: ValueId, classes: u32) -> ValueId {
        self.next(Step::Auxiliary { from, classes }, Shape { c: classes, hw: 1 })
    }

    /// Shape of a value.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.graph.nodes[value].shape
    }

    /// The number of nodes so far.
    pub(crate) fn len(&self) -> usize {
        self.graph.nodes.len()
    }

    /// The graph built.
    pub fn finish(self) -> Graph {
        self.graph
    }

    fn next(&mut self, step: Step, shape: Shape) -> ValueId {
        let name = format!("s{}", self.graph.nodes.len());
        self.push(name, step, shape)
    }

    pub(crate) fn push(&mut self, name: String, step: Step, shape: Shape) -> ValueId {
        self.graph.nodes.push(Node { name, step, shape });
        self.graph.nodes.len() - 1
    }
}
