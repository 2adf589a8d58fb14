//! Once-for-All: Train One Network and Specialize it for Efficient Deployment. Cai, Gan, Wang, Zhang, Han, ICLR 2020, arXiv 1908.09791.
//! Reference: <https://github.com/mit-han-lab/once-for-all>.
//!
//! Stages of two to four blocks; each block has a kernel of 3, 5 or 7 and an expansion of 3, 4 or 6, cut out of the largest
//! block. Three backbones are public, and there are published networks on each: `MobileNetV3` at widths 1.0 and 1.2, and
//! `ProxylessNAS` at 1.3, whose last stage has one block. Deviations: the size of the image is a decision here, among the 25
//! sizes that training draws from. The skeleton's resolution corresponds to their 224, and the other sizes are scaled by the same
//! factor. For a published network of another size, leave out `r` and use a skeleton of that size. The skeleton's channels scale
//! all widths by the same factor (the paper's are those of the stem), and with the CIFAR stem, which the paper does not have, the
//! first two halvings are left out.

mod backbone;
mod structure;
mod text;

use std::ops::Range;

use backbone::Backbone;

use crate::chain::{Chain, Row, Scale, check_single, digits, divisible, number, sizes};
use crate::{
    Architecture, Cut, Decision, DecisionId, Graph, Interpolation, Measure, Op, SearchSpace,
    Skeleton, SkeletonPreset, Space, SpaceError, Structure, TableForm,
};

const KERNELS: [u32; 3] = [3, 5, 7];
const EXPANSIONS: [u32; 3] = [3, 4, 6];
const DEPTHS: [usize; 3] = [2, 3, 4];
/// The size in the paper that the skeleton's resolution corresponds to.
const LARGEST: u32 = 224;
/// The decision of the image's size, which comes first.
const RESOLUTION: DecisionId = 0;

/// The image sizes of the official training.
fn resolutions() -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator {
    (0..25).map(|i| 128 + 4 * i)
}

fn called() -> Vec<u32> {
    resolutions().collect()
}

/// The space on one backbone.
#[derive(Debug)]
pub struct Ofa {
    backbone: &'static Backbone,
    decisions: Vec<Decision>,
    stages: Vec<Stage>,
}

/// The decisions of a stage.
#[derive(Debug)]
struct Stage {
    /// None if it always has one block.
    depth: Option<DecisionId>,
    /// The decisions of the blocks' kernels and of their expansions (below).
    kernels: Range<DecisionId>,
    expansions: Range<DecisionId>,
}

impl Stage {
    /// The largest number of blocks.
    fn n(&self) -> usize {
        self.kernels.len()
    }

    /// The number of blocks, given the choices.
    fn depth_by(&self, choice: impl Fn(DecisionId) -> usize) -> usize {
        self.depth.map_or(1, |d| DEPTHS[choice(d)])
    }

    /// The depth for each choice.
    fn depths(&self) -> &'static [usize] {
        if self.depth.is_some() { &DEPTHS } else { &[1] }
    }
}

impl Ofa {
    /// The space on `MobileNetV3` at width 1.0.
    pub(crate) fn mobile_net() -> Self {
        Self::on(&backbone::MOBILE_NET)
    }

    /// The space on `MobileNetV3` at width 1.2.
    pub(crate) fn wide_mobile_net() -> Self {
        Self::on(&backbone::WIDE_MOBILE_NET)
    }

    /// The space on `ProxylessNAS`' backbone at width 1.3.
    pub(crate) fn proxyless() -> Self {
        Self::on(&backbone::PROXYLESS)
    }

    fn on(backbone: &'static Backbone) -> Self {
        let rows = backbone.rows();
        let n_blocks: usize = rows.iter().map(|row| row.n).sum();
        let n_depths = rows.iter().filter(|row| row.n > 1).count();
        let resolution = Decision::slot("resolution", resolutions().map(number).collect());
        let (mut decisions, mut stages) = (vec![resolution], Vec::new());
        let numbers = |values: &[u32]| values.iter().map(|&v| number(v)).collect::<Vec<_>>();
        let depths = DEPTHS.map(|depth| depth as u32);
        for s in 1..=n_depths {
            decisions.push(Decision::slot(&format!("stage{s}/depth"), numbers(&depths)));
        }
        for (kind, values) in [("kernel", KERNELS), ("expansion", EXPANSIONS)] {
            for (s, row) in rows.iter().enumerate() {
                let name = |block: usize| format!("stage{}/{kind}{block}", s + 1);
                let slots = (1..=row.n).map(|b| Decision::slot(&name(b), numbers(&values)));
                decisions.extend(slots);
            }
        }
        let mut first = 1 + n_depths;
        for (s, row) in rows.iter().enumerate() {
            let depth = (row.n > 1).then_some(1 + s);
            let kernels = first..first + row.n;
            let expansions = first + n_blocks..first + n_blocks + row.n;
            stages.push(Stage { depth, kernels, expansions });
            first += row.n;
        }
        Self { backbone, decisions, stages }
    }

    fn scale(&self) -> Scale {
        let layers = self.stages.iter().map(Stage::n).sum();
        Scale {
            id: self.backbone.id,
            channels: self.backbone.stem(),
            layers,
            divisor: 1,
            pools: false,
        }
    }

    /// Appends a stage to a chain.
    fn put(&self, chain: &mut Chain, s: usize, row: &Row) {
        let stage = &self.stages[s];
        let mut ends = Vec::new();
        for b in 0..stage.n() {
            let c_in = chain.shape().c;
            let middle = EXPANSIONS.map(|e| divisible(c_in * e, 8));
            let block = self.backbone.block(s, 7, middle[2]);
            let cut = |decision, of, values: [u32; 3]| Cut { decision, of, values: values.into() };
            let cuts = vec![
                cut(stage.kernels.start + b, Measure::TransformedKernel, KERNELS),
                cut(stage.expansions.start + b, Measure::Middle, middle),
            ];
            let stride = if b == 0 { row.stride } else { 1 };
            chain.elastic(Op::InvertedResidual(block), row.width, stride, cuts);
            if stage.depths().contains(&(b + 1)) {
                ends.push(chain.at);
            }
        }
        if let Some(depth) = stage.depth {
            chain.pick(depth, ends);
        }
    }
}

impl Space for Ofa {
    fn id(&self) -> &str {
        self.backbone.id
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn structure(&self) -> Structure {
        structure::of(self)
    }

    /// Blocks that do not exist may have any choice.
    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        check_single(self.backbone.id, &self.decisions, architecture)
    }

    fn format(&self, architecture: &Architecture) -> String {
        text::format(self, architecture)
    }

    fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        text::parse(self, text)
    }
}

impl SearchSpace for Ofa {
    fn summary(&self) -> &'static str {
        self.backbone.summary
    }

    fn paper(&self) -> &'static str {
        "Once-for-All: Train One Network and Specialize it for Efficient Deployment, 2020, arXiv 1908.09791"
    }

    fn skeletons(&self) -> &'static [SkeletonPreset] {
        self.backbone.skeletons
    }

    fn check_skeleton(&self, skeleton: &Skeleton) -> Result<(), SpaceError> {
        self.scale().check(skeleton, &self.backbone.rows())
    }

    fn graph(&self, skeleton: &Skeleton) -> Graph {
        let mut chain = Chain::new(skeleton.resolution);
        let sizes = sizes(skeleton.resolution, &called(), LARGEST);
        chain.resize(RESOLUTION, sizes, Interpolation::Bilinear);
        let (stem, rows) = self.scale().rows(skeleton, &self.backbone.rows());
        self.backbone.begin(&mut chain, |width| self.scale().width(skeleton, width), stem);
        rows.iter().enumerate().for_each(|(s, row)| self.put(&mut chain, s, row));
        self.backbone.end(&mut chain, |width| self.scale().width(skeleton, width));
        chain.finish(skeleton.classes)
    }

    fn reads_input(&self, _: &Architecture) -> bool {
        // Choices of such a chain never cut off the image.
        true
    }

    fn table_form(&self) -> Option<TableForm> {
        Some(self.backbone.table_form())
    }

    fn size(&self) -> u128 {
        let stages = self.stages.iter().map(|stage| of_stage(stage.depths()));
        resolutions().len() as u128 * stages.product::<u128>()
    }

    fn at(&self, index: u128) -> Architecture {
        assert!(index < self.size(), "index beyond the space");
        let mut choices = vec![0; self.decisions.len()];
        let n = resolutions().len() as u128;
        choices[RESOLUTION] = (index % n) as usize;
        let mut rest = index / n;
        for stage in &self.stages {
            let size = of_stage(stage.depths());
            let mut own = rest % size;
            rest /= size;
            let of_depth = |depth: usize| KINDS.pow(depth as u32);
            let mut choice = 0;
            while own >= of_depth(stage.depths()[choice]) {
                own -= of_depth(stage.depths()[choice]);
                choice += 1;
            }
            stage.depth.into_iter().for_each(|d| choices[d] = choice);
            let kinds = digits(own, vec![KINDS as usize; stage.depths()[choice]]);
            for (b, kind) in kinds.into_iter().enumerate() {
                choices[stage.kernels.start + b] = kind % KERNELS.len();
                choices[stage.expansions.start + b] = kind / KERNELS.len();
            }
        }
        Architecture::new(self.backbone.id, choices)
    }
}

/// Number of different blocks.
const KINDS: u128 = (KERNELS.len() * EXPANSIONS.len()) as u128;

/// Number of different stages.
fn of_stage(depths: &[usize]) -> u128 {
    depths.iter().map(|&depth| KINDS.pow(depth as u32)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::golden;
    use crate::find_skeleton;

    #[test]
    fn published_and_drawn_networks_have_their_numbers() {
        assert_eq!(golden::check(include_str!("golden.txt")), 68);
    }

    #[test]
    fn networks_are_counted_without_the_blocks_that_are_not_there() {
        let space = Ofa::mobile_net();
        assert_eq!(space.size(), 543_966_387_314_312_146_275);
        assert_eq!(Ofa::proxyless().size(), 25 * 195_827_899_433_152_372_659);
        for index in [0, 1, 25, 26, space.size() / 3, space.size() - 1] {
            let architecture = space.at(index);
            assert_eq!(space.parse(&space.format(&architecture)), Ok(architecture));
        }
        assert_ne!(space.at(space.size() - 1), space.at(space.size() - 2));
    }

    #[test]
    fn sizes_are_shares_of_the_skeletons() {
        assert!(sizes(224, &called(), LARGEST).into_iter().map(u32::from).eq(resolutions()));
        let space = Ofa::mobile_net();
        let skeleton = find_skeleton(&space, "imagenet").unwrap();
        let first = space.at(0);
        let network = space.graph(&skeleton).derive(&first);
        assert_eq!(network.nodes[1].shape.hw, 128);
    }
}
