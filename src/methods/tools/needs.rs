//! Conditions that a space must meet for a method.

use lat_space::{ChoiceSet, Graph, SPACES, SearchSpace, Site, Step};

use crate::error::SearchError;
use crate::methods::MethodEntry;

/// A condition that a space must meet for a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Decisions that are edges of cells.
    Cells,
    /// Sites that only choose among operations and do not cut them down.
    Plain,
    /// Operations that are cut down in ways that masks over the largest one can represent.
    Masks,
    /// One list of operations for all decisions.
    OneList,
    /// Architectures with several operations on one edge.
    Several,
    /// Independent decisions with at least two choices each, so that two architectures can differ in all of them.
    Disjoint,
    /// Independent decisions: no edges that compete for a node.
    Alone,
    /// Operations that are cut down, or values that are picked: there is a largest network that contains all others.
    Elastic,
}

/// Needs of most methods.
pub(crate) const PLAIN: &[Need] = &[Need::Plain];
/// Needs of a method that has one matrix of logits and treats its rows as a whole.
pub(crate) const ONE_LIST: &[Need] = &[Need::Plain, Need::OneList];
/// Needs of a method that draws two architectures without a common choice.
pub(crate) const PAIRS: &[Need] = &[Need::Plain, Need::Disjoint];
/// Needs of a method that also weights the edges of cells.
pub(crate) const CELLS: &[Need] = &[Need::Cells, Need::Plain, Need::OneList];

/// Needs of a method that trains subnets, each drawn decision by decision.
pub(crate) const SUBNETS: &[Need] = &[Need::Alone];
/// Needs of a method that shrinks one network.
pub(crate) const SHRINKS: &[Need] = &[Need::Alone, Need::Elastic];

impl Need {
    fn is_met_by(self, space: &dyn SearchSpace) -> bool {
        match self {
            Self::Cells => space.decisions().iter().all(|decision| decision.edge.is_some()),
            Self::Plain => graph(space).is_none_or(|graph| !graph.is_elastic()),
            Self::Masks => {
                graph(space).is_some_and(|graph| graph.is_elastic() && graph.is_maskable())
            }
            Self::OneList => {
                let decisions = space.decisions();
                decisions.iter().all(|d| d.choices == decisions[0].choices)
            }
            Self::Several => holds_several(space),
            Self::Disjoint => {
                space.groups().is_empty() && space.decisions().iter().all(|d| d.choices.len() > 1)
            }
            Self::Alone => space.groups().is_empty(),
            Self::Elastic => graph(space).is_some_and(|graph| shrinks(&graph)),
        }
    }

    /// Text that completes "searches spaces ...".
    fn words(self) -> &'static str {
        match self {
            Self::Cells => "whose decisions are the edges of cells",
            Self::Plain => "that choose among operations and cut none down",
            Self::Masks => "that cut operations down in ways that masks can stand for",
            Self::OneList => "whose decisions share one list of operations",
            Self::Several => "that hold several operations on an edge",
            Self::Disjoint => "whose decisions stand alone, each with two choices or more",
            Self::Alone => "whose decisions stand alone",
            Self::Elastic => "whose networks are cut out of one largest network",
        }
    }
}

impl MethodEntry {
    /// Whether the method searches this space.
    pub fn covers(&self, space: &dyn SearchSpace) -> bool {
        self.lacking(space).is_none()
    }

    /// The first need that the space does not meet; None if it meets all.
    fn lacking(&self, space: &dyn SearchSpace) -> Option<Need> {
        self.needs.iter().copied().find(|need| !need.is_met_by(space))
    }

    /// Refuses a space that lacks what the method needs.
    pub(crate) fn check_space(&self, space: &dyn SearchSpace) -> Result<(), SearchError> {
        let Some(need) = self.lacking(space) else { return Ok(()) };
        let all = SPACES.iter().map(|build| build()).filter(|s| self.covers(s.as_ref()));
        let known: Vec<String> = all.map(|s| s.id().to_owned()).collect();
        Err(SearchError::Settings(format!(
            "method {} searches spaces {} ({}); found {}. Choose another --space or --method",
            self.name,
            need.words(),
            known.join(", "),
            space.id()
        )))
    }
}

/// The network of the first preset, if the space has presets.
fn graph(space: &dyn SearchSpace) -> Option<Graph> {
    space.skeletons().first().map(|preset| space.graph(&preset.skeleton))
}

/// Whether any operation is cut down or a value is picked. The image size alone does not count, since it does not shrink a network.
fn shrinks(graph: &Graph) -> bool {
    let is_cut = |site: &Site| site.candidates().iter().any(|c| !c.cuts.is_empty());
    let picks = graph.nodes.iter().any(|node| matches!(node.step, Step::Pick { .. }));
    picks || graph.sites().any(|(.., site)| is_cut(site))
}

/// Whether an architecture may have two operations on one edge.
fn holds_several(space: &dyn SearchSpace) -> bool {
    let mut architecture = space.at(0);
    let is_edge = |d: &usize| {
        let decision = &space.decisions()[*d];
        !decision.none().is_some_and(|none| architecture.choices[*d].contains(none))
    };
    let Some(d) = (0..space.decisions().len()).find(is_edge) else { return false };
    let decision = &space.decisions()[d];
    let ops = (0..decision.choices.len()).filter(|&c| Some(c) != decision.none());
    architecture.choices[d] = ChoiceSet::of(ops.take(2));
    architecture.choices[d].len() == 2 && space.check(&architecture).is_ok()
}
