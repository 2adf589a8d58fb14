//! The layers of a graph's fixed operations, and the walk that computes its values.

use lat_space::{DecisionId, Graph, Interpolation, Node, Op, Place, Shape, Site, Step, ValueId};
use tch::{Device, Kind, Tensor, nn};

use crate::head::{Auxiliary, Head};
use crate::{ElasticLayer, Extents, Layer, LayerBuilder, resize};

/// Outputs of a network.
#[derive(Debug)]
pub struct Logits {
    /// `[n, classes]`.
    pub main: Tensor,
    /// `[n, classes]` of the auxiliary head, if it was built and requested.
    pub auxiliary: Option<Tensor>,
}

/// Drop path (Larsson 2016, as in DARTS): with this probability per sample the output of a derived operation is set to zero,
/// otherwise it is divided by the probability to keep it. It is not applied to identities, nor to values that no sum reads: in a
/// chain nothing would be left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropPath(pub f64);

/// Computes a searched site: from node, site and input `[n, c, h, w]` to the site's output.
pub type SiteAnswer<'a> = &'a mut dyn FnMut(ValueId, &Site, &Tensor) -> Tensor;

/// The weight of each choice of a decision that picks values or sizes: a scalar, or None if the choice is not taken.
pub type Taken<'a> = &'a dyn Fn(DecisionId) -> Vec<Option<Tensor>>;

/// Functions that decide everything that is searched.
pub struct Answers<'a> {
    /// Computes each searched site.
    pub site: SiteAnswer<'a>,
    /// Gives the weights of each pick and size.
    pub taken: Taken<'a>,
}

impl std::fmt::Debug for Answers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answers")
    }
}

/// Called with each value when it is known.
pub type Observer<'a> = &'a mut dyn FnMut(ValueId, &Tensor);

/// The layers of a graph's fixed operations, and the walk over the graph.
#[derive(Debug)]
pub struct GraphNet {
    graph: Graph,
    pieces: Vec<Piece>,
    /// Whether any value is picked; then some values may not be needed.
    picks: bool,
    /// Whether the pass is recorded as a trace, which must work for any number of images.
    is_traced: bool,
    /// Per value, whether drop path applies to it.
    droppable: Vec<bool>,
    /// Per value the last node that reads it, so that memory is freed as soon as possible.
    last_reader: Vec<ValueId>,
}

#[derive(Debug)]
enum Piece {
    Layer(Box<dyn Layer>),
    /// A layer behind a value whose width is searched.
    Elastic(Box<dyn ElasticLayer>),
    Head(Head),
    Auxiliary(Box<Auxiliary>),
    /// Nothing to store: input, sums, concatenations, searched sites.
    Wire,
}

impl GraphNet {
    /// Builds the layers of the fixed operations, each under its node's name.
    pub fn new(root: &nn::Path, graph: Graph, builder: &LayerBuilder) -> Self {
        let varying = graph.varying_widths();
        let pieces = graph.nodes.iter().map(|node| {
            let path = node.name.split('/').fold(root.clone(), |path, part| path / part);
            let input = |from: ValueId| graph.nodes[from].shape.c;
            match &node.step {
                Step::Fixed { from, op, place } => {
                    let builder = match place {
                        Place::Outside => &builder.affine(),
                        Place::Cell | Place::Branch | Place::Derived => builder,
                    };
                    if varying[*from] {
                        let elastic = builder.elastic_layer(&path, op);
                        Piece::Elastic(elastic.expect("what reads a searched width can be cut"))
                    } else {
                        Piece::Layer(builder.layer(&path, op))
                    }
                }
                Step::Head { from, classes } => {
                    Piece::Head(Head::new(builder, &path, input(*from), *classes))
                }
                Step::Auxiliary { from, classes } => {
                    let head = Auxiliary::new(builder, &path, input(*from), *classes);
                    Piece::Auxiliary(Box::new(head))
                }
                _ => Piece::Wire,
            }
        });
        let pieces = pieces.collect();
        let picks = graph.nodes.iter().any(|node| matches!(node.step, Step::Pick { .. }));
        Self {
            last_reader: last_readers(&graph),
            droppable: droppable(&graph),
            picks,
            is_traced: false,
            pieces,
            graph,
        }
    }

    /// Per node, whether this pass computes it.
    fn needed(&self, taken: Taken<'_>) -> Vec<bool> {
        if !self.picks {
            return vec![true; self.graph.nodes.len()];
        }
        let is_taken = |decision, choice: usize| taken(decision)[choice].is_some();
        self.graph.needed(&is_taken)
    }

    /// Prepares for a trace: afterwards nothing that is computed depends on the current number of images.
    pub(crate) fn prepare_trace(&mut self) {
        self.is_traced = true;
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Applies the classifier to the value it reads: `[n, c, h, w]` to `[n, classes]`.
    ///
    /// # Panics
    /// If the graph has no head.
    pub fn classify(&self, features: &Tensor) -> Tensor {
        match self.pieces.last() {
            Some(Piece::Head(head)) => head.forward(features),
            _ => panic!("a network's head comes last"),
        }
    }

    /// Computes logits from `[n, 3, h, w]`. `answers` decides everything that is searched; values that picks leave out are not
    /// computed. `drop_path` applies while training.
    pub fn forward_t(
        &self,
        images: &Tensor,
        train: bool,
        drop_path: DropPath,
        answers: Answers<'_>,
    ) -> Logits {
        self.observed_t(images, train, drop_path, answers, &mut |_, _| ())
    }

    /// Like [`GraphNet::forward_t`], with `observe` called for each value on the way.
    pub fn observed_t(
        &self,
        images: &Tensor,
        train: bool,
        drop_path: DropPath,
        answers: Answers<'_>,
        observer: Observer<'_>,
    ) -> Logits {
        let Answers { site, taken } = answers;
        let needed = self.needed(taken);
        let mut values: Vec<Option<Tensor>> = vec![];
        let mut logits = Logits { main: Tensor::new(), auxiliary: None };
        for (id, (node, piece)) in self.graph.nodes.iter().zip(&self.pieces).enumerate() {
            let at =
                |v: &ValueId| values[*v].as_ref().expect("values live until their last reader");
            let value = match (&node.step, piece) {
                _ if !needed[id] => None,
                (Step::Input, _) => Some(images.shallow_clone()),
                (Step::Fixed { from, .. }, Piece::Layer(layer)) => {
                    let ys = layer.forward_t(at(from), train);
                    Some(if train && self.droppable[id] { drop_path.apply(ys) } else { ys })
                }
                (Step::Fixed { from, .. }, Piece::Elastic(layer)) => {
                    Some(layer.forward_cut_t(at(from), &Extents::FULL, train))
                }
                (Step::Searched { from, site: s, .. }, _) => Some(site(id, s, at(from))),
                (Step::Pick { from, decision }, _) => {
                    let weighed = taken(*decision).into_iter().zip(from);
                    weighed.filter_map(|(weight, v)| weight.map(|w| at(v) * w)).reduce(|a, b| a + b)
                }
                (Step::Resize { from, decision, hw, by }, _) => {
                    Some(resized(at(from), &taken(*decision), hw, *by))
                }
                (Step::Sum(from), _) if from.is_empty() => {
                    Some(zeros(images, node.shape, self.is_traced))
                }
                (Step::Sum(from), _) => sum(from.iter().map(at)),
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
            if let Some(value) = &value {
                observer(id, value);
            }
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

/// The map at the one size that is taken.
fn resized(xs: &Tensor, taken: &[Option<Tensor>], hw: &[u16], by: Interpolation) -> Tensor {
    let mut open = taken.iter().zip(hw).filter_map(|(weight, &hw)| Some((weight.as_ref()?, hw)));
    let (weight, hw) = open.next().expect("a size is taken");
    assert!(open.next().is_none(), "one size per pass");
    resize(xs, hw, by) * weight
}

/// Sum of the values; None if there are none.
fn sum<'t>(mut values: impl Iterator<Item = &'t Tensor>) -> Option<Tensor> {
    let first = values.next()?;
    Some(values.fold(first.shallow_clone(), |sum, value| sum + value))
}

/// Zeros of this shape, one per image. A trace would record the number of images as a constant if it were asked for, so the zeros
/// are made from one pixel of each image instead.
fn zeros(images: &Tensor, shape: Shape, is_traced: bool) -> Tensor {
    let (c, hw) = (i64::from(shape.c), i64::from(shape.hw));
    if is_traced {
        let pixels = images.narrow(1, 0, 1).narrow(2, 0, 1).narrow(3, 0, 1);
        return pixels.zeros_like().expand([-1, c, hw, hw], false);
    }
    Tensor::zeros([images.size()[0], c, hw, hw], (images.kind(), images.device()))
}

/// Per value, whether drop path applies: it does for operations of cells fixed by hand, and for derived ones that a sum reads.
fn droppable(graph: &Graph) -> Vec<bool> {
    let mut summed = vec![false; graph.nodes.len()];
    for node in &graph.nodes {
        if let Step::Sum(from) = &node.step {
            for &v in from {
                summed[v] = true;
            }
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
    /// No drop path.
    pub const OFF: Self = Self(0.0);

    /// Sets whole samples of `[n, c, h, w]` to zero.
    fn apply(self, ys: Tensor) -> Tensor {
        if self.0 <= 0.0 {
            return ys;
        }
        let keep = 1.0 - self.0;
        ys.multiply(&Self::mask(ys.size()[0], keep, ys.device()))
    }

    /// A mask `[n, 1, 1, 1]` of 0 and 1/keep.
    fn mask(n: i64, keep: f64, device: Device) -> Tensor {
        let ones = Tensor::full([n, 1, 1, 1], keep, (Kind::Float, device));
        ones.bernoulli() / keep
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{Architecture, GraphBuilder};

    use super::*;

    /// Names of the values to which drop path applies, for one choice in a chain and one on an edge.
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
