//! Search spaces as data.
//!
//! A space is a list of [`Decision`]s, a [`Graph`] for any [`Skeleton`], and a text form. Nothing here computes with tensors: the
//! crate describes networks, and other crates build, time and search them. What is profiled and what is searched are both built
//! from the same [`Graph`], so they cannot differ.
//!
//! ```
//! # use lat_space::find_space;
//! let space = find_space("nasbench201")?;
//! let text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|skip_connect~2|";
//! let architecture = space.parse(text)?;
//! assert_eq!(space.format(&architecture), text);
//! # Ok::<(), lat_space::SpaceError>(())
//! ```

mod architecture;
mod attentivenas;
mod bignas;
mod block;
mod cases;
mod chain;
mod count;
mod darts;
mod decision;
mod declared;
mod derive;
mod draw;
mod encoding;
mod error;
mod fbnet;
mod fbnetv2;
mod features;
mod graph;
mod graph_builder;
mod layers;
mod literal;
mod masks;
mod nasbench201;
mod nasbench_macro;
mod neighbours;
mod number;
mod ofa;
mod op;
mod peak_memory;
mod piece;
mod pinas;
mod proxyless;
mod reach;
mod site;
mod skeleton;
mod structure;
mod table_form;
mod variants;
mod work;

pub use architecture::{Architecture, ChoiceSet, Group};
pub use block::{
    Activation, GROUPS, Grouping, InvertedResidual, Norm, Shortcut, SplitAttention, SqueezeExcite,
};
pub use chain::{LayeredSpace, StagewiseSpace};
pub use count::{
    Cost, REDUCTION_GROUPS, count, count_classifier, count_classifier_behind, count_head, count_op,
};
pub use darts::Darts;
pub use decision::{Choice, Decision, DecisionId, Kind};
pub use declared::DeclaredSpace;
pub use draw::{architecture_at, sample};
pub use encoding::Encoding;
pub use error::SpaceError;
pub use fbnetv2::FbNetV2;
pub use features::{Feature, FeatureMap, Level};
pub use graph::{Graph, Node, Place, Shape, Step, ValueId};
pub use graph_builder::GraphBuilder;
pub use layers::{Convention, LayerCost};
pub use nasbench_macro::NasBenchMacro;
pub use nasbench201::NasBench201;
pub use neighbours::neighbours;
pub use number::{NumberRange, choice_of, number_of};
pub use ofa::Ofa;
pub use op::{Interpolation, Op, OpSpec};
pub use peak_memory::peak_memory_bytes;
pub use piece::Piece;
pub use reach::Reach;
pub use site::{Candidate, Cut, Measure, Site};
pub use skeleton::{Skeleton, SkeletonPreset, Stem, find_skeleton};
pub use structure::{Edges, Presence, Structure};
pub use table_form::{FormRow, TableForm};
pub use variants::{Condition, Variant};
pub use work::Work;

/// The part of a search space that predictors need: its decisions, and the text form of an architecture.
pub trait Space: Send + Sync {
    /// The paper's name in lower case, such as `darts`.
    fn id(&self) -> &str;

    /// The decisions in their fixed order.
    fn decisions(&self) -> &[Decision];

    /// Decisions that compete: in a published architecture only [`Group::keep`] of each group's members take a choice other than
    /// `none`. Empty if no decisions compete.
    fn groups(&self) -> &[Group] {
        &[]
    }

    /// How decisions act together; predictors derive their features from this.
    fn structure(&self) -> Structure {
        Structure::independent(self.decisions())
    }

    /// Per decision and choice what it computes and moves. None if the space has no networks to count.
    fn work(&self) -> Option<Vec<Vec<Work>>> {
        None
    }

    /// The TOML text that declares the space, from which it can be built again. None if the space is built in.
    fn declaration(&self) -> Option<&str> {
        None
    }

    /// The choice that a table's cell in the decision's column stands for.
    fn find_choice(&self, decision: DecisionId, cell: &str) -> Option<usize> {
        let decision = &self.decisions()[decision];
        match decision.number {
            Some(range) => range.find(cell),
            None => decision.choices.iter().position(|choice| choice.name == cell.trim()),
        }
    }

    /// The architecture with these choices, one per decision. Choices for slots that do not exist are ignored.
    ///
    /// # Errors
    /// The decision whose choice is missing.
    fn architecture(&self, choices: &[Option<usize>]) -> Result<Architecture, DecisionId> {
        let missing = choices.iter().position(Option::is_none);
        missing.map_or_else(
            || Ok(Architecture::new(self.id(), choices.iter().flatten().copied())),
            Err,
        )
    }

    /// Checks that the architecture belongs to this space.
    ///
    /// # Errors
    /// [`SpaceError::Invalid`] says which decision is wrong and how.
    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError>;

    /// The architecture in the paper's text form.
    fn format(&self, architecture: &Architecture) -> String;

    /// Reads the paper's text form.
    ///
    /// # Errors
    /// [`SpaceError::Text`] quotes what was found and says what was expected.
    fn parse(&self, text: &str) -> Result<Architecture, SpaceError>;

    /// One 0/1 column per decision and choice, `none` left out: the code that predictors read.
    fn encoding(&self) -> Encoding {
        Encoding::one_hot(self.decisions())
    }

    /// How often each choice occurs per class of decisions; in built-in spaces, how often each operation occurs per cell type.
    /// These are few numbers, so a linear model of them needs the fewest samples.
    fn counts_encoding(&self) -> Encoding {
        Encoding::counts(self.decisions(), &self.structure().classes)
    }
}

/// A search space whose architectures are networks: adds what profiling and searching need.
pub trait SearchSpace: Space {
    /// One line for `lat list spaces`.
    fn summary(&self) -> &'static str;

    /// Title, year and arXiv id of the paper that defines the space.
    fn paper(&self) -> &'static str;

    /// Named skeletons; `quick`, `cifar`, `imagenet` and `search` are always among them.
    fn skeletons(&self) -> &'static [SkeletonPreset];

    /// Checks that [`SearchSpace::graph`] can build this skeleton.
    ///
    /// # Errors
    /// [`SpaceError::Skeleton`] says which value is out of range.
    fn check_skeleton(&self, skeleton: &Skeleton) -> Result<(), SpaceError>;

    /// The network with all candidates in it. [`SearchSpace::check_skeleton`] must accept the skeleton.
    fn graph(&self, skeleton: &Skeleton) -> Graph;

    /// The form in which latency tables of the space are published; None if there are no such tables.
    fn table_form(&self) -> Option<TableForm> {
        None
    }

    /// The number of architectures of the published form.
    fn size(&self) -> u128;

    /// Whether the output of the architecture's network depends on the image. Spaces that are asked often keep a [`Reach`].
    fn reads_input(&self, architecture: &Architecture) -> bool {
        // All skeletons connect their cells in the same way, so any of them will do.
        Reach::new(&self.graph(&self.skeletons()[0].skeleton)).reads_input(architecture)
    }

    /// The architecture with this number, `0 <= index < size()`. Every published architecture has exactly one number.
    fn at(&self, index: u128) -> Architecture;
}

impl std::fmt::Debug for dyn Space + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Space({})", self.id())
    }
}

impl std::fmt::Debug for dyn SearchSpace + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SearchSpace({})", self.id())
    }
}

/// All spaces, one row each.
pub const SPACES: &[fn() -> Box<dyn SearchSpace>] = &[
    || Box::new(Darts::new()),
    || Box::new(Darts::with_fixed_reduction()),
    || Box::new(NasBench201::new()),
    || Box::new(NasBenchMacro::new()),
    || Box::new(fbnet::fbnet()),
    || Box::new(proxyless::proxyless()),
    || Box::new(Ofa::mobile_net()),
    || Box::new(attentivenas::attentivenas()),
    || Box::new(bignas::bignas()),
    || Box::new(FbNetV2::new()),
    || Box::new(pinas::pinas()),
];

/// Variants of these spaces with other fixed parts (widths, dialects of blocks), for which there are published networks or
/// tables. Whatever holds of a space holds of its variants.
pub const VARIANTS: &[fn() -> Box<dyn SearchSpace>] = &[
    || Box::new(fbnet::fbnet_1504()),
    || Box::new(fbnet::fbnet_hwnas()),
    || Box::new(proxyless::proxyless_mobile()),
    || Box::new(proxyless::proxyless_mobile_14()),
    || Box::new(proxyless::proxyless_cpu()),
    || Box::new(proxyless::proxyless_gpu()),
    || Box::new(Ofa::wide_mobile_net()),
    || Box::new(Ofa::proxyless()),
];

/// The space with this id, one of [`SPACES`] or [`VARIANTS`].
///
/// # Errors
/// [`SpaceError::Unknown`] lists the known spaces, [`SpaceError::NoNetworks`] answers the name of a TOML file.
pub fn find_space(id: &str) -> Result<Box<dyn SearchSpace>, SpaceError> {
    if id.to_lowercase().ends_with(".toml") {
        return Err(SpaceError::NoNetworks(id.to_owned()));
    }
    let all: Vec<_> = SPACES.iter().chain(VARIANTS).map(|build| build()).collect();
    let known = all.iter().map(|s| s.id()).collect::<Vec<_>>().join(", ");
    all.into_iter().find(|space| space.id() == id).ok_or_else(|| SpaceError::Unknown {
        kind: "search space",
        name: id.to_owned(),
        known,
    })
}
