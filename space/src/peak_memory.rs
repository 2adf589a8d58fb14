//! The memory that a network needs while it runs, counted from the graph.
//!
//! The count follows the walk that runs the network (`lat_nn::GraphNet`): a value lives until its last reader is done, and inside
//! an operation intermediate results live beside it. Workspaces of libraries and the allocator's rounding are not included.

use crate::{Graph, Op, OpSpec, Shape, Shortcut, Step, ValueId, count};

/// Bytes of weights, plus bytes of activations at their peak, for a batch of images with numbers of this size.
pub fn peak_memory_bytes(graph: &Graph, batch: u32, bytes_per_number: u32) -> u64 {
    let holders = holders(graph);
    let mut last_reader = vec![0; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        node.step.inputs().into_iter().for_each(|from| last_reader[holders[from]] = id);
    }
    let (mut live, mut peak) = (0, 0);
    for (id, node) in graph.nodes.iter().enumerate() {
        let output = if holders[id] == id { numbers_of_output(graph, id) } else { 0 };
        peak = peak.max(live + inside(graph, &node.step) + output);
        live += output;
        let mut read: Vec<ValueId> = node.step.inputs().iter().map(|&from| holders[from]).collect();
        read.sort_unstable();
        read.dedup();
        let is_done = |from: &&ValueId| last_reader[**from] == id && holders[id] != **from;
        live -=
            read.iter().filter(is_done).map(|&from| numbers_of_output(graph, from)).sum::<u64>();
    }
    let activations = peak * u64::from(batch);
    (activations + count(graph).params) * u64::from(bytes_per_number)
}

/// For each value, the value whose memory it uses: identities and sums of one value pass their input on.
fn holders(graph: &Graph) -> Vec<ValueId> {
    let mut holders = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        holders.push(match &node.step {
            Step::Fixed { from, op, .. } if op.op == Op::Identity => holders[*from],
            Step::Sum(from) if from.len() == 1 => holders[from[0]],
            _ => id,
        });
    }
    holders
}

/// Numbers per image that a node allocates for its output.
fn numbers_of_output(graph: &Graph, id: ValueId) -> u64 {
    match &graph.nodes[id].step {
        Step::Head { classes, .. } | Step::Auxiliary { classes, .. } => u64::from(*classes),
        _ => map(graph.nodes[id].shape),
    }
}

fn map(shape: Shape) -> u64 {
    u64::from(shape.c) * u64::from(shape.hw).pow(2)
}

/// Numbers per image that live only while the step computes, without its output.
fn inside(graph: &Graph, step: &Step) -> u64 {
    match step {
        Step::Fixed { op, .. } => inside_op(op),
        // The sum so far, while the next one is computed.
        Step::Sum(from) if from.len() > 2 => map(graph.nodes[from[0]].shape),
        _ => 0,
    }
}

fn inside_op(spec: &OpSpec) -> u64 {
    let OpSpec { op, c_in, c_out, hw_in, .. } = *spec;
    let hw = spec.hw_out();
    let (input, output) = (map(Shape { c: c_in, hw: hw_in }), map(Shape { c: c_out, hw }));
    let middle = map(Shape { c: c_in, hw });
    match op {
        Op::None | Op::Identity | Op::AvgPool { .. } | Op::Relu | Op::Resize { .. } => 0,
        // The indices of the maxima, 64 bits each, so they take as much as two numbers of 32 bits. With BN: first the indices
        // beside the pool's output, then the pool's output beside BN's.
        Op::MaxPool { .. } | Op::MaxPoolBn { .. } => 2 * output,
        // An activation's output is beside BN's output, as BN's output is beside the convolution's.
        Op::BnRelu | Op::ConvBn { .. } | Op::ConvBnAct { .. } => output,
        Op::ReluConvBn { .. } | Op::FactorizedReduce => input + output,
        // First `ReLU`'s output and the output of the 1x3 convolution (only its columns are halved) beside that of the second
        // convolution; later two maps beside the last one.
        Op::ReductionConv => {
            let half = u64::from(c_out) * u64::from(hw_in) * u64::from(hw);
            (input + half).max(2 * output)
        }
        // `ReLU`'s and the depthwise convolution's output beside the 1x1's, then the 1x1's beside BN's; the second half beside
        // the output of the first.
        Op::DilConv { .. } => (input + middle).max(output),
        Op::SepConv { .. } => (input + 2 * middle).max(3 * middle).max(middle + output),
        Op::ResidualBlock => input + 2 * output,
        // The output of BN beside that of its convolution, and the map that this convolution read; then the same for the last
        // convolution, or the sum. Without its first convolution a block holds no wide map there; a convolved shortcut waits
        // beside the block's map.
        Op::InvertedResidual(block) => {
            let wide = if block.unexpanded { 0 } else { map(Shape { c: block.middle, hw: hw_in }) };
            let middle = map(Shape { c: block.middle, hw });
            let shortcut = if block.shortcut == Shortcut::Always { output } else { 0 };
            (2 * wide).max(wide + 2 * middle).max(middle + output).max(output + shortcut)
        }
        Op::FeatureMix { .. } => u64::from(c_in) + output,
        // As in an inverted residual, with all splits side by side.
        Op::SplitAttention(block) => {
            let wide = map(Shape { c: block.width, hw: hw_in });
            (wide + 2 * u64::from(block.radix) * wide).max(wide + output)
        }
        Op::PoolConvBn => middle + output,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Architecture, GraphBuilder, SPACES, architecture_at};

    #[test]
    fn a_chain_holds_input_and_output_of_the_widest_place() {
        let mut b = GraphBuilder::new(false);
        let image = b.input(8);
        let stem = b.in_cell(image, Op::ConvBn { k: 1 }, 4, 1);
        let relu = b.in_cell(stem, Op::Relu, 4, 1);
        b.head(relu, 10);
        let graph = b.finish();
        let (image, wide) = (3 * 64, 4 * 64);
        let params = count(&graph).params;
        // In the stem: image, the convolution's output, BN's output.
        assert_eq!(peak_memory_bytes(&graph, 1, 1), image + 2 * wide + params);
        assert_eq!(peak_memory_bytes(&graph, 5, 4), 4 * (5 * (image + 2 * wide) + params));
    }

    #[test]
    fn it_grows_with_the_batch_by_activations_alone_in_every_space() {
        for space in SPACES.iter().map(|build| build()) {
            let graph = space.graph(&space.skeletons()[0].skeleton);
            for i in 0..20 {
                let architecture: Architecture = architecture_at(space.as_ref(), 1, i).unwrap();
                let graph = graph.derive(&architecture).without_auxiliary();
                let bytes = |batch| peak_memory_bytes(&graph, batch, 4);
                assert_eq!(bytes(3) - bytes(2), bytes(2) - bytes(1));
                assert!(bytes(1) > 4 * count(&graph).params);
            }
        }
    }
}
