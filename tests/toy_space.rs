//! A space small enough to sum over all its architectures by hand: one node, three in-edges of which two are kept, two
//! operations.

use lat_space::{
    Architecture, Decision, Graph, Group, SearchSpace, Skeleton, SkeletonPreset, Space, SpaceError,
};

const OPS: usize = 2;
const PAIRS: [[usize; 2]; 3] = [[0, 1], [0, 2], [1, 2]];

/// The space.
pub(crate) struct ToySpace {
    decisions: Vec<Decision>,
    groups: Vec<Group>,
}

impl ToySpace {
    pub(crate) fn new() -> Self {
        let decision = |e| Decision::edge("cell", (e, 3), &["none", "fast", "slow"]);
        Self {
            decisions: (0..3).map(decision).collect(),
            groups: vec![Group { decisions: vec![0, 1, 2], keep: 2 }],
        }
    }
}

impl Space for ToySpace {
    fn id(&self) -> &'static str {
        "toy"
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn groups(&self) -> &[Group] {
        &self.groups
    }

    fn check(&self, _: &Architecture) -> Result<(), SpaceError> {
        Ok(())
    }

    fn format(&self, architecture: &Architecture) -> String {
        format!("{:?}", architecture.choices)
    }

    fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        let (expected, found) = ("nothing".to_owned(), text.to_owned());
        Err(SpaceError::Text { space: "toy".into(), expected, found })
    }
}

impl SearchSpace for ToySpace {
    fn summary(&self) -> &'static str {
        "one node, three edges, two operations"
    }

    fn paper(&self) -> &'static str {
        "none"
    }

    fn skeletons(&self) -> &'static [SkeletonPreset] {
        &[]
    }

    fn check_skeleton(&self, _: &Skeleton) -> Result<(), SpaceError> {
        Err(SpaceError::Skeleton { reason: "the toy space has no network".into() })
    }

    fn graph(&self, _: &Skeleton) -> Graph {
        unreachable!("no skeleton passes the check")
    }

    fn size(&self) -> u128 {
        (PAIRS.len() * OPS * OPS) as u128
    }

    fn at(&self, index: u128) -> Architecture {
        let index = index as usize;
        let mut choices = [0; 3];
        let [a, b] = PAIRS[index % PAIRS.len()];
        choices[a] = 1 + index / PAIRS.len() % OPS;
        choices[b] = 1 + index / PAIRS.len() / OPS;
        Architecture::new(self.id(), choices)
    }
}
