//! DARTS: Differentiable Architecture Search. Liu, Simonyan, Yang, ICLR 2019, arXiv 1806.09055.
//! Reference: <https://github.com/quark0/darts>.
//!
//! `darts-frc`: the same space with GDAS' hand-made reduction cell (Dong and Yang, CVPR 2019, arXiv 1910.04465; its reference is
//! <https://github.com/D-X-Y/AutoDL-Projects>, `search_model_gdas_frc_nasnet.py`); only the normal cell is searched.
//!
//! Two cell types of 4 nodes and 14 edges, one of 8 operations per edge; a published cell keeps 2 in-edges per node. Deviations:
//! architectures may keep other numbers of in-edges and several operations on an edge, because some methods derive such cells;
//! the ImageNet stem follows the reference, and any resolution is allowed.

mod genotype;
mod network;

use std::sync::OnceLock;

use crate::{
    Architecture, ChoiceSet, Decision, DecisionId, Graph, Group, Reach, SearchSpace, Skeleton,
    SkeletonPreset, Space, SpaceError, Stem, Work, work,
};

/// Intermediate nodes of a cell.
pub(crate) const NODES: usize = 4;
/// Number of edges of a cell: 2 + 3 + 4 + 5.
pub(crate) const EDGES: usize = 14;
/// The operations in the reference's order.
pub(crate) const PRIMITIVES: [&str; 8] = [
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
];
/// In-edges that a published architecture keeps per node.
const KEPT: usize = 2;
/// Cell types in the order of their decisions.
pub(crate) const CELL_TYPES: [&str; 2] = ["normal", "reduce"];

const fn skeleton(channels: u32, layers: u16, resolution: u16, classes: u32) -> Skeleton {
    let stem = if resolution > 64 { Stem::ImageNet } else { Stem::Cifar };
    Skeleton { channels, layers, resolution, classes, stem }
}

const SKELETONS: &[SkeletonPreset] = &[
    SkeletonPreset { name: "quick", skeleton: skeleton(8, 4, 8, 10) },
    SkeletonPreset { name: "cifar", skeleton: skeleton(36, 20, 32, 10) },
    SkeletonPreset { name: "imagenet", skeleton: skeleton(48, 14, 224, 1000) },
    SkeletonPreset { name: "search", skeleton: skeleton(16, 8, 32, 10) },
];

/// Which cells are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Searched {
    /// Normal and reduction cell.
    Both,
    /// The normal cell only; the reduction cell is GDAS' fixed one.
    Normal,
}

impl Searched {
    /// The space's id.
    fn space(self) -> &'static str {
        match self {
            Self::Both => "darts",
            Self::Normal => "darts-frc",
        }
    }

    /// Types of the searched cells in the order of their decisions.
    fn cell_types(self) -> &'static [&'static str] {
        match self {
            Self::Both => &CELL_TYPES,
            Self::Normal => &CELL_TYPES[..1],
        }
    }
}

/// The DARTS space, or the variant in which only the normal cell is searched.
#[derive(Debug)]
pub struct Darts {
    searched: Searched,
    decisions: Vec<Decision>,
    groups: Vec<Group>,
    reach: OnceLock<Reach>,
}

/// Number of the edge from `predecessor` to intermediate node `node` (0..4) within its cell type.
pub(crate) fn edge(node: usize, predecessor: usize) -> usize {
    (0..node).map(|n| n + 2).sum::<usize>() + predecessor
}

/// Number of an edge's decision.
pub(crate) fn decision(cell_type: usize, node: usize, predecessor: usize) -> DecisionId {
    cell_type * EDGES + edge(node, predecessor)
}

impl Darts {
    /// The DARTS space.
    #[expect(clippy::new_without_default, reason = "there is nothing to configure")]
    pub fn new() -> Self {
        Self::of(Searched::Both)
    }

    /// The space whose reduction cell is fixed as in GDAS (FRC).
    pub fn with_fixed_reduction() -> Self {
        Self::of(Searched::Normal)
    }

    fn of(searched: Searched) -> Self {
        let mut decisions = Vec::new();
        let mut groups = Vec::new();
        for cell_type in searched.cell_types() {
            for node in 0..NODES {
                let first = decisions.len();
                decisions.extend((0..node + 2).map(|predecessor| {
                    Decision::edge(cell_type, (predecessor, node + 2), &PRIMITIVES)
                }));
                groups.push(Group { decisions: (first..decisions.len()).collect(), keep: KEPT });
            }
        }
        Self { searched, decisions, groups, reach: OnceLock::new() }
    }
}

impl Space for Darts {
    fn id(&self) -> &str {
        self.searched.space()
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn groups(&self) -> &[Group] {
        &self.groups
    }

    fn work(&self) -> Option<Vec<Vec<Work>>> {
        work::of_sites(self)
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        genotype::check(self.searched, architecture, &self.groups)
    }

    fn format(&self, architecture: &Architecture) -> String {
        genotype::format(self.searched, architecture)
    }

    fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        let architecture = genotype::parse(self.searched, text)?;
        self.check(&architecture)?;
        Ok(architecture)
    }
}

impl SearchSpace for Darts {
    fn summary(&self) -> &'static str {
        match self.searched {
            Searched::Both => {
                "normal and reduction cell, 14 edges of 8 operations each, 2 in-edges kept per node"
            }
            Searched::Normal => {
                "the normal cell of darts alone, the reduction cell fixed (GDAS' FRC)"
            }
        }
    }

    fn paper(&self) -> &'static str {
        match self.searched {
            Searched::Both => "DARTS: Differentiable Architecture Search, 2018, arXiv 1806.09055",
            Searched::Normal => {
                "Searching for a Robust Neural Architecture in Four GPU Hours, 2019, arXiv 1910.04465"
            }
        }
    }

    fn skeletons(&self) -> &'static [SkeletonPreset] {
        SKELETONS
    }

    fn check_skeleton(&self, skeleton: &Skeleton) -> Result<(), SpaceError> {
        network::check(self.searched, skeleton)
    }

    fn graph(&self, skeleton: &Skeleton) -> Graph {
        network::graph(self.searched, skeleton)
    }

    /// 1 * 3 * 6 * 10 * 7^8 per searched cell.
    fn reads_input(&self, architecture: &Architecture) -> bool {
        let reach = || Reach::new(&self.graph(&SKELETONS[0].skeleton));
        self.reach.get_or_init(reach).reads_input(architecture)
    }

    fn size(&self) -> u128 {
        cell_size().pow(self.searched.cell_types().len() as u32)
    }

    fn at(&self, index: u128) -> Architecture {
        assert!(index < self.size(), "index beyond the space");
        let mut rest = index;
        let mut digit = |radix: u128| {
            let digit = rest % radix;
            rest /= radix;
            digit as usize
        };
        let mut choices = vec![ChoiceSet::one(0); self.decisions.len()];
        for cell_type in 0..self.searched.cell_types().len() {
            for node in 0..NODES {
                let pairs = pairs(node);
                let (a, b) = pairs[digit(pairs.len() as u128)];
                for predecessor in [a, b] {
                    let op = 1 + digit(PRIMITIVES.len() as u128 - 1);
                    choices[decision(cell_type, node, predecessor)] = ChoiceSet::one(op);
                }
            }
        }
        Architecture { space: self.id().to_owned(), choices: choices.into() }
    }
}

/// The pairs of distinct predecessors of an intermediate node.
fn pairs(node: usize) -> Vec<(usize, usize)> {
    (0..node + 2).flat_map(|b| (0..b).map(move |a| (a, b))).collect()
}

/// Number of published cells of one type: 1.04e9.
fn cell_size() -> u128 {
    (0..NODES).map(|node| pairs(node).len() as u128 * 7u128.pow(KEPT as u32)).product()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "codes are exactly 0 or 1")]
mod tests;
