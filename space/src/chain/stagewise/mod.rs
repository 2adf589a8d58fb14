//! Spaces that are a chain of stages. Each stage has a width, a depth, a kernel and an expansion, all cut out of the largest
//! network.

mod text;

use super::{Chain, Row, Scale, check_single, digits, number};
use crate::structure::neighbours;
use crate::{
    Activation, Architecture, Cut, Decision, DecisionId, Graph, Interpolation, InvertedResidual,
    Measure, Norm, Op, SearchSpace, Shortcut, Skeleton, SkeletonPreset, Space, SpaceError,
    SqueezeExcite, Structure,
};

/// The options of one stage. All blocks of a stage share width, kernel and expansion.
#[derive(Debug)]
pub(crate) struct StageRow {
    pub(crate) widths: &'static [u32],
    pub(crate) depths: &'static [u32],
    pub(crate) kernels: &'static [u32],
    /// If the only value is 1, blocks have no first convolution.
    pub(crate) expansions: &'static [u32],
    pub(crate) stride: u8,
    pub(crate) excites: bool,
}

/// The table that defines such a space. Lists are in ascending order.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) paper: &'static str,
    pub(crate) skeletons: &'static [SkeletonPreset],
    /// Image sizes. The largest corresponds to the skeleton's resolution, the others are scaled by the same factor.
    pub(crate) resolutions: &'static [u32],
    pub(crate) first: &'static [u32],
    pub(crate) stages: &'static [StageRow],
    pub(crate) last: &'static [u32],
    /// If given: a convolution to this many times the last stage's width, with BN, comes before the pool, and the last
    /// convolution behind the pool has no BN. If None: the last convolution has BN and comes before the pool.
    pub(crate) final_expansion: Option<u32>,
}

/// A list of the table, and the decision that takes one of its values if there are several.
#[derive(Debug, Clone)]
struct Gene {
    values: &'static [u32],
    decision: Option<DecisionId>,
}

/// The genes of one stage.
#[derive(Debug)]
struct Stage {
    width: Gene,
    depth: Gene,
    kernel: Gene,
    expansion: Gene,
}

/// A space of stages that are cut down. Its texts are official configurations, or the numbers of a configuration in a row.
#[derive(Debug)]
pub struct StagewiseSpace {
    table: &'static Table,
    decisions: Vec<Decision>,
    resolution: Gene,
    first: Gene,
    stages: Vec<Stage>,
    last: Gene,
}

/// Makes genes, and collects the decisions of those that have more than one value.
struct Genes(Vec<Decision>);

impl Genes {
    fn gene(&mut self, name: &str, values: &'static [u32]) -> Gene {
        let decision = (values.len() > 1).then_some(self.0.len());
        if decision.is_some() {
            self.0.push(Decision::slot(name, values.iter().map(|&v| number(v)).collect()));
        }
        Gene { values, decision }
    }
}

impl StagewiseSpace {
    pub(crate) fn of(table: &'static Table) -> Self {
        let mut genes = Genes(Vec::new());
        let resolution = genes.gene("resolution", table.resolutions);
        let first = genes.gene("first/width", table.first);
        let mut of_stages = |kind: &str, values: fn(&StageRow) -> &'static [u32]| {
            let stages = table.stages.iter().enumerate();
            let gene = |(s, row)| genes.gene(&format!("stage{}/{kind}", s + 1), values(row));
            stages.map(gene).collect::<Vec<Gene>>()
        };
        let widths = of_stages("width", |row| row.widths);
        let depths = of_stages("depth", |row| row.depths);
        let kernels = of_stages("kernel", |row| row.kernels);
        let expansions = of_stages("expansion", |row| row.expansions);
        let last = genes.gene("last/width", table.last);
        let pairs = widths.into_iter().zip(depths).zip(kernels.into_iter().zip(expansions));
        let stage =
            |((width, depth), (kernel, expansion))| Stage { width, depth, kernel, expansion };
        let stages = pairs.map(stage).collect();
        Self { table, decisions: genes.0, resolution, first, stages, last }
    }

    /// The genes in the order of the official vectors: resolution, widths, depths, kernels, expansions.
    fn genes(&self) -> Vec<(&'static str, Vec<&Gene>)> {
        let of = |gene: fn(&Stage) -> &Gene| self.stages.iter().map(gene).collect::<Vec<_>>();
        let widths = [vec![&self.first], of(|s| &s.width), vec![&self.last]].concat();
        vec![
            ("resolution", vec![&self.resolution]),
            ("width", widths),
            ("depth", of(|s| &s.depth)),
            ("kernel_size", of(|s| &s.kernel)),
            ("expand_ratio", of(|s| &s.expansion)),
        ]
    }

    fn scale(&self) -> Scale {
        let layers = self.rows().iter().map(|row| row.n).sum();
        let channels = self.table.first[0];
        Scale { id: self.table.id, channels, layers, divisor: 1, pools: false }
    }

    /// The rows of the largest network.
    fn rows(&self) -> Vec<Row> {
        let row = |row: &StageRow| Row {
            width: largest(row.widths),
            n: largest(row.depths) as usize,
            stride: row.stride,
        };
        self.table.stages.iter().map(row).collect()
    }
}

fn largest(values: &[u32]) -> u32 {
    *values.last().expect("a list of the table has a value")
}

impl Gene {
    /// The cut by this gene if it has several values; `left` turns each value into the size that is left.
    fn cut(&self, of: Measure, left: impl Fn(u32) -> u32) -> Option<Cut> {
        let values = self.values.iter().map(|&v| left(v)).collect();
        self.decision.map(|decision| Cut { decision, of, values })
    }

    fn largest(&self) -> u32 {
        largest(self.values)
    }
}

/// Appends the parts of a space to a chain, at one skeleton.
struct Building<'a> {
    space: &'a StagewiseSpace,
    skeleton: &'a Skeleton,
    chain: Chain,
}

impl Building<'_> {
    fn width(&self, width: u32) -> u32 {
        self.space.scale().width(self.skeleton, width)
    }

    /// Appends an operation whose width is that of the gene times a factor.
    fn piece(&mut self, op: Op, gene: &Gene, factor: u32, stride: u8) {
        let width = |value: u32| factor * self.width(value);
        let cuts = gene.cut(Measure::Out, width).into_iter().collect();
        let c_out = width(gene.largest());
        self.chain.elastic(op, c_out, stride, cuts);
    }

    fn stage(&mut self, stage: &Stage, row: &Row, excites: bool) {
        let mut ends = Vec::new();
        for b in 0..row.n {
            let block = block(stage, self.chain.shape().c, excites);
            let cuts = [
                stage.width.cut(Measure::Out, |width| self.width(width)),
                stage.kernel.cut(Measure::Kernel, |k| k),
                stage.expansion.cut(Measure::Expansion, |e| e),
            ];
            let stride = if b == 0 { row.stride } else { 1 };
            let op = Op::InvertedResidual(block);
            self.chain.elastic(op, row.width, stride, cuts.into_iter().flatten().collect());
            if stage.depth.values.contains(&(b as u32 + 1)) {
                ends.push(self.chain.at);
            }
        }
        if let Some(depth) = stage.depth.decision {
            self.chain.pick(depth, ends);
        }
    }

    fn head(&mut self) {
        let StagewiseSpace { last, stages, table, .. } = self.space;
        match (table.final_expansion, stages.last()) {
            (Some(expansion), Some(stage)) => {
                self.piece(conv(1), &stage.width, expansion, 1);
                self.piece(Op::FeatureMix { activation: Activation::Swish }, last, 1, 1);
            }
            _ => self.piece(conv(1), last, 1, 1),
        }
    }
}

/// The largest block of a stage whose input has `c_in` channels.
fn block(stage: &Stage, c_in: u32, excites: bool) -> InvertedResidual {
    let plain = InvertedResidual {
        activation: Activation::Swish,
        squeeze_excite: excites.then_some(SqueezeExcite::Ofa),
        shortcut: Shortcut::Always,
        norm: Norm::Affine,
        // Kernels and expansions fit into u8.
        ..InvertedResidual::new(stage.kernel.largest() as u8, c_in)
    };
    match stage.expansion.values {
        [1] => InvertedResidual { unexpanded: true, ..plain },
        _ => plain.expanded(stage.expansion.largest() as u8, c_in),
    }
}

fn conv(k: u8) -> Op {
    Op::ConvBnAct { k, activation: Activation::Swish, biased: false, norm: Norm::Affine }
}

impl Space for StagewiseSpace {
    fn id(&self) -> &str {
        self.table.id
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn structure(&self) -> Structure {
        let of_stage = |s: &Stage| {
            let genes = [&s.width, &s.depth, &s.kernel, &s.expansion];
            genes.iter().filter_map(|gene| gene.decision).collect::<Vec<_>>()
        };
        let ends = [&self.first, &self.last].map(|gene| gene.decision.into_iter().collect());
        let blocks: Vec<Vec<DecisionId>> = self.stages.iter().map(of_stage).chain(ends).collect();
        let values = |d: &Decision| d.choices.iter().map(|c| c.name.parse().ok()).collect();
        Structure {
            values: self.decisions.iter().map(values).collect(),
            stages: (0..self.stages.len()).map(|s| vec![s]).collect(),
            pairs: neighbours(blocks.len()),
            blocks,
            scales: self.resolution.decision.into_iter().collect(),
            ..Structure::independent(&self.decisions)
        }
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        check_single(self.table.id, &self.decisions, architecture)
    }

    fn format(&self, architecture: &Architecture) -> String {
        text::format(self, architecture)
    }

    fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        text::parse(self, text)
    }
}

impl SearchSpace for StagewiseSpace {
    fn summary(&self) -> &'static str {
        self.table.summary
    }

    fn paper(&self) -> &'static str {
        self.table.paper
    }

    fn skeletons(&self) -> &'static [SkeletonPreset] {
        self.table.skeletons
    }

    fn check_skeleton(&self, skeleton: &Skeleton) -> Result<(), SpaceError> {
        self.scale().check(skeleton, &self.rows())
    }

    fn graph(&self, skeleton: &Skeleton) -> Graph {
        let (stem, rows) = self.scale().rows(skeleton, &self.rows());
        let mut chain = Chain::new(skeleton.resolution);
        if let Some(decision) = self.resolution.decision {
            let (called, largest) = (self.resolution.values, self.resolution.largest());
            let sizes = super::sizes(skeleton.resolution, called, largest);
            chain.resize(decision, sizes, Interpolation::Bicubic);
        }
        let mut building = Building { space: self, skeleton, chain };
        building.piece(conv(3), &self.first, 1, stem);
        for ((stage, row), published) in self.stages.iter().zip(&rows).zip(self.table.stages) {
            building.stage(stage, row, published.excites);
        }
        building.head();
        building.chain.finish(skeleton.classes)
    }

    fn reads_input(&self, _: &Architecture) -> bool {
        // Choices of such a chain never cut off the image.
        true
    }

    fn size(&self) -> u128 {
        self.decisions.iter().map(|d| d.choices.len() as u128).product()
    }

    fn at(&self, index: u128) -> Architecture {
        assert!(index < self.size(), "index beyond the space");
        let radices = self.decisions.iter().map(|d| d.choices.len());
        Architecture::new(self.table.id, digits(index, radices))
    }
}
