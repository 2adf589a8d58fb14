//! The pieces by which a network is priced: operations at their places, and the classifier behind the last one.

use crate::{Condition, DecisionId, Graph, Op, OpSpec, Shape, Step};

/// A piece of a network that is timed by itself. An operation is one piece: a block includes its convolutions, squeeze-and-excite
/// and shortcut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// An operation at its place.
    Op(OpSpec),
    /// Global average pool and linear classifier.
    Classifier {
        /// Shape of its input.
        from: Shape,
        /// Number of classes.
        classes: u32,
        /// Whether its input is the largest that the network's classifier can have.
        is_largest: bool,
    },
    /// Global average pool only, which some published tables price by itself.
    Pool(Shape),
    /// Linear classifier only, behind a pool.
    Linear {
        /// Input channels.
        c: u32,
        /// Number of classes.
        classes: u32,
    },
}

impl Piece {
    /// Key of the classifier behind the last operation at its largest.
    pub const CLASSIFIER: &'static str = "classifier";

    /// Its key in tables: [`OpSpec::key`], `classifier`, `classifier-c320-5` behind a smaller map, `global_pool-c1984-7`,
    /// `linear-c1984-1000`.
    pub fn key(&self) -> String {
        match self {
            Self::Op(spec) => spec.key(),
            Self::Classifier { is_largest: true, .. } => Self::CLASSIFIER.to_owned(),
            Self::Classifier { from, .. } => format!("classifier-c{}-{}", from.c, from.hw),
            Self::Pool(from) => format!("global_pool-c{}-{}", from.c, from.hw),
            Self::Linear { c, classes } => format!("linear-c{c}-{classes}"),
        }
    }

    /// Whether there is anything to time: `none` and skip connections compute nothing.
    pub fn computes(&self) -> bool {
        !matches!(self, Self::Op(OpSpec { op: Op::None | Op::Identity, .. }))
    }
}

impl Graph {
    /// All pieces that a network of this graph can contain, each with the choices under which it does: first [`Graph::variants`]
    /// node by node, then the classifier for each shape that it can read.
    pub fn pieces(&self) -> Vec<(Condition, Piece)> {
        let operations = self.variants().map(|variant| (variant.when, Piece::Op(variant.op)));
        operations.chain(self.classifiers()).collect()
    }

    /// The classifier for each shape that it can read.
    pub(crate) fn classifiers(&self) -> Vec<(Condition, Piece)> {
        let heads = self.nodes.iter().filter_map(|node| match node.step {
            Step::Head { from, classes } => Some((from, classes)),
            _ => None,
        });
        let behind = |(value, classes): (usize, u32)| {
            let largest = self.nodes[value].shape;
            let piece =
                move |from| Piece::Classifier { from, classes, is_largest: from == largest };
            self.shapes_of(value).into_iter().map(move |(when, from)| (when, piece(from)))
        };
        heads.flat_map(behind).collect()
    }

    /// The heights (= widths) in pixels that the image can have, each with the choice that selects it. If the size is not
    /// searched, there is one without a choice.
    pub fn image_sizes(&self) -> Vec<(Option<(DecisionId, usize)>, u16)> {
        let searched = self.nodes.iter().find_map(|node| match &node.step {
            Step::Resize { from, decision, hw, .. } if self.nodes[*from].step == Step::Input => {
                Some((*decision, hw))
            }
            _ => None,
        });
        match searched {
            Some((decision, hw)) => {
                hw.iter().enumerate().map(|(choice, &hw)| (Some((decision, choice)), hw)).collect()
            }
            None => self.nodes.first().map(|input| (None, input.shape.hw)).into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SPACES, VARIANTS, find_skeleton, find_space};

    #[test]
    fn every_piece_of_a_space_has_a_key_of_its_own() {
        for space in SPACES.iter().chain(VARIANTS).map(|build| build()) {
            let graph = space.graph(&find_skeleton(space.as_ref(), "quick").unwrap());
            let mut keys = std::collections::BTreeMap::new();
            for (_, piece) in graph.pieces() {
                let known = *keys.entry(piece.key()).or_insert(piece);
                assert_eq!(known, piece, "{}: {}", space.id(), piece.key());
            }
            assert!(keys.contains_key(Piece::CLASSIFIER), "{}", space.id());
        }
    }

    #[test]
    fn a_classifier_is_priced_behind_each_shape_that_it_reads() {
        let space = find_space("ofa-proxyless").unwrap();
        let graph = space.graph(&find_skeleton(space.as_ref(), "imagenet").unwrap());
        assert_eq!(graph.image_sizes().len(), 25);
        assert_eq!(graph.image_sizes()[24], (Some((0, 24)), 224));
        let mut keys: Vec<String> = graph.classifiers().iter().map(|(_, p)| p.key()).collect();
        keys.sort();
        keys.dedup();
        let behind = [4, 5, 6].map(|hw| format!("classifier-c1664-{hw}"));
        assert_eq!(keys, [&["classifier".to_owned()], &behind[..]].concat());
    }
}
