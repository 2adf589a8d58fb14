//! Chains of blocks: from a table of rows to a graph.

mod choices;
#[cfg(test)]
pub(crate) mod golden;
mod layered;
mod skeletons;
mod stagewise;
#[cfg(test)]
mod tests;
mod texts;
mod widths;

pub(crate) use choices::{check_single, digits, number};
pub use layered::LayeredSpace;
pub(crate) use layered::{Layer, Layers};
pub(crate) use skeletons::{Scale, presets, sizes};
pub use stagewise::StagewiseSpace;
pub(crate) use stagewise::{StageRow, Table};
pub(crate) use texts::{List, named_lists, quoted, words};
pub(crate) use widths::{divisible, nearest_divisible, scaled_divisible};

use crate::{Candidate, Cut, DecisionId, Graph, GraphBuilder, Interpolation, Op, Shape, ValueId};

/// A row of a table: blocks of one width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Output channels of each.
    pub(crate) width: u32,
    /// How many there are, or can be.
    pub(crate) n: usize,
    /// Stride of the first; that of all others is 1.
    pub(crate) stride: u8,
}

/// Rows from `[width, blocks, stride]`.
pub(crate) fn rows(table: &[[u32; 3]]) -> Vec<Row> {
    // Strides are 1 or 2.
    let row = |&[width, n, stride]: &[u32; 3]| Row { width, n: n as usize, stride: stride as u8 };
    table.iter().map(row).collect()
}

/// Builds a chain: each piece reads what the one before computes.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) builder: GraphBuilder,
    /// What the next piece reads.
    pub(crate) at: ValueId,
    cell: u16,
}

impl Chain {
    /// Begins with the image batch.
    pub(crate) fn new(resolution: u16) -> Self {
        let mut builder = GraphBuilder::new(false);
        let at = builder.input(resolution);
        Self { builder, at, cell: 0 }
    }

    /// Shape of what the next piece reads.
    pub(crate) fn shape(&self) -> Shape {
        self.builder.shape(self.at)
    }

    /// The image at one of several sizes in pixels.
    pub(crate) fn resize(&mut self, decision: DecisionId, hw: Vec<u16>, by: Interpolation) {
        self.at = self.builder.resize(self.at, decision, hw, by);
    }

    /// An operation that is not searched.
    pub(crate) fn fixed(&mut self, op: Op, c_out: u32, stride: u8) {
        self.at = self.builder.outside(self.at, op, c_out, stride);
    }

    /// One of these operations.
    pub(crate) fn choice(&mut self, decision: DecisionId, ops: &[Op], c_out: u32, stride: u8) {
        let specs = ops.iter().map(|&op| self.builder.spec(self.at, op, c_out, stride));
        let specs: Vec<_> = specs.collect();
        let cell = self.next_cell();
        self.at = self.builder.choice(self.at, cell, decision, specs);
    }

    /// One of these operations, which are cut down too.
    pub(crate) fn cut_choice<const N: usize>(&mut self, decision: DecisionId, of: [Candidate; N]) {
        let cell = self.next_cell();
        self.at = self.builder.choice(self.at, cell, decision, of);
    }

    /// An operation that decisions cut down; without cuts one that is not searched.
    pub(crate) fn elastic(&mut self, op: Op, c_out: u32, stride: u8, cuts: Vec<Cut>) {
        if cuts.is_empty() {
            return self.fixed(op, c_out, stride);
        }
        let largest = self.builder.spec(self.at, op, c_out, stride);
        let cell = self.next_cell();
        self.at = self.builder.elastic(self.at, cell, Candidate { largest, cuts });
    }

    /// The value after so many blocks as the decision says; `ends` has one per choice.
    pub(crate) fn pick(&mut self, decision: DecisionId, ends: Vec<ValueId>) {
        self.at = self.builder.pick(ends, decision);
    }

    /// Ends with the classifier.
    pub(crate) fn finish(mut self, classes: u32) -> Graph {
        self.builder.head(self.at, classes);
        self.builder.finish()
    }

    fn next_cell(&mut self) -> u16 {
        self.cell += 1;
        self.cell - 1
    }
}
