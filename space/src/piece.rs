//! What a network is priced by, piece by piece: operations at their places, and what stands behind the last one.

use crate::{Condition, DecisionId, Graph, Op, OpSpec, Shape, Step};

/// A piece of a network that is timed by itself. An operation is whole: a block is its convolutions, its squeeze-and-excite and its
/// shortcut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// An operation at its place.
    Op(OpSpec),
    /// Global average pool and linear classifier.
    Classifier {
        /// What it reads.
        from: Shape,
        /// Number of classes.
        classes: u32,
        /// Whether it reads the largest shape that the network's classifier can.
        is_largest: bool,
    },
    /// Global average pool alone, which some published tables price by itself.
    Pool(Shape),
    /// Linear classifier alone, behind a pool.
    Linear {
        /// Channels that it reads.
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
    /// All that a network of this graph can be made of, with the choices under which it is: [`Graph::variants`] node by node, then the
    /// classifier behind each shape that it can read.
    pub fn pieces(&self) -> Vec<(Condition, Piece)> {
        let operations = self.variants().map(|variant| (variant.when, Piece::Op(variant.op)));
        operations.chain(self.classifiers()).collect()
    }

    /// The classifier behind each shape that it can read.
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

    /// Height and width in pixels that the image can have, each with the choice that it takes; one without a choice where its size is
    /// not searched.
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
