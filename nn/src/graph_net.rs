//! A graph with its fixed pieces, and the walk that computes its values.

use lat_space::{Graph, Node, Op, Place, Shape, Site, Step, ValueId};
use tch::{Device, Kind, Tensor, nn};

use crate::head::{Auxiliary, Head};
use crate::{Layer, LayerBuilder};

/// Outputs of a network.
#[derive(Debug)]
pub struct Logits {
    /// `[n, classes]`.
    pub main: Tensor,
    /// `[n, classes]` of the auxiliary head, where it was built and asked for.
    pub auxiliary: Option<Tensor>,
}

/// Drop path (Larsson 2016, as DARTS uses it): with this probability per sample the output of a derived operation is zeroed, else
/// divided by the keep probability. Identities are never dropped, nor is what no sum reads: in a chain nothing would be left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropPath(pub f64);

/// Answers a searched site: node, site and input `[n, c, h, w]` to the site's output.
pub type SiteAnswer<'a> = &'a mut dyn FnMut(ValueId, &Site, &Tensor) -> Tensor;

/// Is shown each value once it is known.
pub type Observer<'a> = &'a mut dyn FnMut(ValueId, &Tensor);

/// All fixed pieces of a graph, and the walk over it.
#[derive(Debug)]
pub struct GraphNet {
    graph: Graph,
    pieces: Vec<Piece>,
    /// Per value whether drop path applies to it.
    droppable: Vec<bool>,
    /// Per value the last node that reads it, so that memory is given back as soon as the walk allows.
    last_reader: Vec<ValueId>,
}

#[derive(Debug)]
enum Piece {
    Layer(Box<dyn Layer>),
    Head(Head),
    Auxiliary(Auxiliary),
    /// Nothing to hold: input, sums, concatenations, searched sites.
    Wire,
}

impl GraphNet {
    /// Builds the fixed pieces, each under its node's name.
    pub fn new(root: &nn::Path, graph: Graph, builder: &LayerBuilder) -> Self {
        let pieces = graph.nodes.iter().map(|node| {
            let path = node.name.split('/').fold(root.clone(), |path, part| path / part);
            let input = |from: ValueId| graph.nodes[from].shape.c;
            match &node.step {
                Step::Fixed { op, place, .. } => Piece::Layer(match place {
                    Place::Outside => builder.affine().layer(&path, op),
                    Place::Cell | Place::Branch | Place::Derived => builder.layer(&path, op),
                }),
                Step::Head { from, classes } => {
                    Piece::Head(Head::new(builder, &path, input(*from), *classes))
                }
                Step::Auxiliary { from, classes } => {
                    Piece::Auxiliary(Auxiliary::new(builder, &path, input(*from), *classes))
                }
                _ => Piece::Wire,
            }
        });
        let pieces = pieces.collect();
        Self { last_reader: last_readers(&graph), droppable: droppable(&graph), pieces, graph }
    }

    /// The graph that is walked.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// `[n, 3, h, w]` to logits. `site` answers each searched site; `drop_path` applies while training.
    pub fn forward_t(
        &self,
        images: &Tensor,
        train: bool,
        drop_path: DropPath,
        site: SiteAnswer<'_>,
    ) -> Logits {
        self.observed_t(images, train, drop_path, site, &mut |_, _| ())
    }

    /// [`GraphNet::forward_t`] with a look at each value on the way.
    pub fn observed_t(
        &self,
        images: &Tensor,
        train: bool,
        drop_path: DropPath,
        site: SiteAnswer<'_>,
        observer: Observer<'_>,
    ) -> Logits {
        let mut values: Vec<Option<Tensor>> = vec![];
        let mut logits = Logits { main: Tensor::new(), auxiliary: None };
        for (id, (node, piece)) in self.graph.nodes.iter().zip(&self.pieces).enumerate() {
            let at =
                |v: &ValueId| values[*v].as_ref().expect("values live until their last reader");
            let value = match (&node.step, piece) {
                (Step::Input, _) => Some(images.shallow_clone()),
                (Step::Fixed { from, .. }, Piece::Layer(layer)) => {
                    let ys = layer.forward_t(at(from), train);
                    Some(if train && self.droppable[id] { drop_path.apply(ys) } else { ys })
                }
                (Step::Searched { from, site: s, .. }, _) => Some(site(id, s, at(from))),
                (Step::Sum(from), _) => Some(sum(from.iter().map(at), images, node.shape)),
                (Step::Concat(from), _) => {
                    Some(Tensor::cat(&from.iter().map(at).collect::<Vec<_>>(), 1))
                }
                (Step::Head { from, .. }, Piece::Head(head)) => {
                    logits.main = head.forward(at(from));
                    None
                }
                (Step::Auxiliary { from, .. }, Piece::Auxiliary(head)) => {
                    logits.auxiliary = train.then(|| head.forward_t(at(from), train));
                    None
                }
                (step, piece) => unreachable!("{step:?} was built as {piece:?}"),
            };
            value.iter().for_each(|value| observer(id, value));
            values.push(value);
            for from in node.step.inputs() {
                if self.last_reader[from] == id {
                    values[from] = None;
                }
            }
        }
        logits
    }
}

/// Sum of the values; zeros of `shape` where there are none.
fn sum<'t>(mut values: impl Iterator<Item = &'t Tensor>, images: &Tensor, shape: Shape) -> Tensor {
    let Some(first) = values.next() else {
        let (c, hw) = (i64::from(shape.c), i64::from(shape.hw));
        return Tensor::zeros([images.size()[0], c, hw, hw], (images.kind(), images.device()));
    };
    values.fold(first.shallow_clone(), |sum, value| sum + value)
}

/// Per value whether drop path applies: to operations of cells fixed by hand, and to derived ones that a sum reads.
fn droppable(graph: &Graph) -> Vec<bool> {
    let mut summed = vec![false; graph.nodes.len()];
    for node in &graph.nodes {
        if let Step::Sum(from) = &node.step {
            from.iter().for_each(|&v| summed[v] = true);
        }
    }
    let applies = |(node, is_summed): (&Node, bool)| match node.step {
        Step::Fixed { op, .. } if op.op == Op::Identity => false,
        Step::Fixed { place: Place::Branch, .. } => true,
        Step::Fixed { place: Place::Derived, .. } => is_summed,
        _ => false,
    };
    graph.nodes.iter().zip(summed).map(applies).collect()
}

fn last_readers(graph: &Graph) -> Vec<ValueId> {
    let mut last = vec![0; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        for from in node.step.inputs() {
            last[from] = id;
        }
    }
    last
}

impl DropPath {
    /// No dropping.
    pub const OFF: Self = Self(0.0);

    /// Zeroes whole samples of `[n, c, h, w]`.
    fn apply(self, ys: Tensor) -> Tensor {
        if self.0 <= 0.0 {
            return ys;
        }
        let keep = 1.0 - self.0;
        ys.multiply(&Self::mask(ys.size()[0], keep, ys.device()))
    }

    /// `[n, 1, 1, 1]` of 0 and 1/keep.
    fn mask(n: i64, keep: f64, device: Device) -> Tensor {
        let ones = Tensor::full([n, 1, 1, 1], keep, (Kind::Float, device));
        ones.bernoulli() / keep
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{Architecture, GraphBuilder};

    use super::*;

    /// Names of the values that drop path reaches, where one choice stands in a chain and one on an edge.
    #[test]
    fn drop_path_reaches_what_a_sum_reads() {
        let mut b = GraphBuilder::new(false);
        let image = b.input(4);
        let conv = b.spec(image, Op::ConvBn { k: 3 }, 3, 1);
        let layer = b.choice(image, 0, 0, vec![conv]);
        let edge = b.choice(layer, 1, 0, vec![conv]);
        let skip = b.spec(layer, Op::Identity, 3, 1);
        let skip = b.choice(layer, 1, 0, vec![skip]);
        let node = b.sum(vec![edge, skip]);
        b.head(node, 2);
        let derived = b.finish().derive(&Architecture::new("chain and edges", [0]));
        let reached = droppable(&derived);
        let named = derived.nodes.iter().zip(reached).filter(|(_, reached)| *reached);
        let names: Vec<&str> = named.map(|(node, _)| node.name.as_str()).collect();
        assert_eq!(names, ["s2/conv_bn_3x3"]);
    }
}
