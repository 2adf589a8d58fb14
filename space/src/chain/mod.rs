//! Chains of blocks: builds a graph from a table of rows.

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

/// A row of the table: consecutive blocks of the same width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Output channels of each block.
    pub(crate) width: u32,
    /// Number of blocks, or the largest number if the depth is searched.
    pub(crate) n: usize,
    /// Stride of the first block; the others have stride 1.
    pub(crate) stride: u8,
}

/// Makes rows of `[width, blocks, stride]`.
pub(crate) fn rows(table: &[[u32; 3]]) -> Vec<Row> {
    // Strides are 1 or 2.
    let row = |&[width, n, stride]: &[u32; 3]| Row { width, n: n as usize, stride: stride as u8 };
    table.iter().map(row).collect()
}

/// Builds a chain: each piece reads the output of the previous one.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) builder: GraphBuilder,
    /// The value that the next piece reads.
    pub(crate) at: ValueId,
    cell: u16,
}

impl Chain {
    /// Begins a chain with the image batch.
    pub(crate) fn new(resolution: u16) -> Self {
        let mut builder = GraphBuilder::new(false);
        let at = builder.input(resolution);
        Self { builder, at, cell: 0 }
    }

    /// Shape of the value that the next piece reads.
    pub(crate) fn shape(&self) -> Shape {
        self.builder.shape(self.at)
    }

    /// Resizes the image to one of several sizes in pixels.
    pub(crate) fn resize(&mut self, decision: DecisionId, hw: Vec<u16>, by: Interpolation) {
        self.at = self.builder.resize(self.at, decision, hw, by);
    }

    /// Appends an operation that is not searched.
    pub(crate) fn fixed(&mut self, op: Op, c_out: u32, stride: u8) {
        self.at = self.builder.outside(self.at, op, c_out, stride);
    }

    /// Appends a choice among these operations.
    pub(crate) fn choice(&mut self, decision: DecisionId, ops: &[Op], c_out: u32, stride: u8) {
        let specs = ops.iter().map(|&op| self.builder.spec(self.at, op, c_out, stride));
        let specs: Vec<_> = specs.collect();
        let cell = self.next_cell();
        self.at = self.builder.choice(self.at, cell, decision, specs);
    }

    /// Appends a choice among operations that are themselves cut down by decisions.
    pub(crate) fn cut_choice<const N: usize>(&mut self, decision: DecisionId, of: [Candidate; N]) {
        let cell = self.next_cell();
        self.at = self.builder.choice(self.at, cell, decision, of);
    }

    /// Appends an operation that decisions cut down. Without cuts it is an operation that is not searched.
    pub(crate) fn elastic(&mut self, op: Op, c_out: u32, stride: u8, cuts: Vec<Cut>) {
        if cuts.is_empty() {
            return self.fixed(op, c_out, stride);
        }
        let largest = self.builder.spec(self.at, op, c_out, stride);
        let cell = self.next_cell();
        self.at = self.builder.elastic(self.at, cell, Candidate { largest, cuts });
    }

    /// Elastic depth: takes the output of as many blocks as the decision says. `ends` has one output per choice.
    pub(crate) fn pick(&mut self, decision: DecisionId, ends: Vec<ValueId>) {
        self.at = self.builder.pick(ends, decision);
    }

    /// Ends the chain with the classifier.
    pub(crate) fn finish(mut self, classes: u32) -> Graph {
        self.builder.head(self.at, classes);
        self.builder.finish()
    }

    fn next_cell(&mut self) -> u16 {
        self.cell += 1;
        self.cell - 1
    }
}
