//! A network layer by layer, the cost of each layer, and the conventions by which multiply-adds are counted.

use crate::{Cost, Graph, Shape, Step, count_head, count_op};

/// Which operations count as multiply-adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// Convolutions and linear layers only, without biases: what most papers call FLOPs, and what NAS-Bench-Macro's table
    /// contains.
    ConvLinear,
    /// As ptflops counts the modules of a network: also BN two per element, `ReLU` one per output, pools one per input, and a
    /// linear layer's bias one per output; sums and concatenations count nothing. Taken from `pytorch_ops.py` at commit 022a654
    /// of <https://github.com/sovrasov/flops-counter.pytorch>.
    Ptflops,
}

impl Convention {
    /// All conventions.
    pub const ALL: [Self; 2] = [Self::ConvLinear, Self::Ptflops];

    /// Its name in results: `conv_linear`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConvLinear => "conv_linear",
            Self::Ptflops => "ptflops",
        }
    }

    /// A short description of what it counts.
    pub fn summary(self) -> &'static str {
        match self {
            Self::ConvLinear => "convolutions and linear layers alone",
            Self::Ptflops => "and BN, ReLU, pools and the classifier's bias, as ptflops counts",
        }
    }
}

/// One layer of a network and its cost for one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerCost {
    /// The node's name, under which a built network has its weights.
    pub name: String,
    /// Name of the operation; `classifier` for the pool and linear layer at the end.
    pub op: String,
    /// Shape of its output.
    pub shape: Shape,
    /// Its cost.
    pub cost: Cost,
    /// Number of biases, if it is a linear layer.
    biases: u64,
}

impl LayerCost {
    /// Multiply-adds for one image.
    pub fn multiply_adds(&self, convention: Convention) -> u64 {
        match convention {
            Convention::ConvLinear => self.cost.conv_linear,
            Convention::Ptflops => self.cost.multiply_adds + self.biases,
        }
    }
}

impl Graph {
    /// The layers of a derived network in the order of the walk, the classifier last. Their sum is the cost that [`crate::count`]
    /// gives.
    pub fn layers(&self) -> Vec<LayerCost> {
        let layer = |node: &crate::Node| {
            let (op, cost, biases) = match &node.step {
                Step::Fixed { op, .. } => (op.op.name(), count_op(op), 0),
                Step::Head { classes, .. } => {
                    ("classifier".to_owned(), count_head(self), u64::from(*classes))
                }
                _ => return None,
            };
            Some(LayerCost { name: node.name.clone(), op, shape: node.shape, cost, biases })
        };
        self.nodes.iter().filter_map(layer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GraphBuilder, Op, SPACES, architecture_at, count, find_skeleton};

    #[test]
    fn each_convention_counts_what_it_says() {
        let mut b = GraphBuilder::new(false);
        let image = b.input(8);
        let stem = b.outside(image, Op::ConvBn { k: 3 }, 4, 1);
        let pool = b.outside(stem, Op::MaxPool { k: 3 }, 4, 2);
        let relu = b.outside(pool, Op::Relu, 4, 1);
        b.head(relu, 10);
        let layers = b.finish().layers();
        let by =
            |convention| layers.iter().map(|l| l.multiply_adds(convention)).collect::<Vec<_>>();
        assert_eq!(by(Convention::ConvLinear), [3 * 4 * 9 * 64, 0, 0, 40]);
        // The convolution and BN on 4 maps of 8x8; the pool's input; the ReLU's output; the head's pool, linear layer and bias.
        let expected = [3 * 4 * 9 * 64 + 2 * 4 * 64, 4 * 64, 4 * 16, 4 * 16 + 40 + 10];
        assert_eq!(by(Convention::Ptflops), expected);
        assert_eq!(layers.last().map(|l| (l.op.as_str(), l.cost.params)), Some(("classifier", 50)));
    }

    #[test]
    fn layers_add_up_to_the_network() {
        for space in SPACES.iter().map(|build| build()) {
            let graph = space.graph(&find_skeleton(space.as_ref(), "cifar").unwrap());
            for i in 0..5 {
                let architecture = architecture_at(space.as_ref(), 2, i).unwrap();
                let derived = graph.derive(&architecture).without_auxiliary();
                let sum: Cost = derived.layers().into_iter().map(|layer| layer.cost).sum();
                assert_eq!(sum, count(&derived), "{}", space.format(&architecture));
            }
        }
    }
}
