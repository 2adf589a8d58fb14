//! NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search. Dong, Yang, ICLR 2020, arXiv 2001.00326.
//! Reference: <https://github.com/D-X-Y/NAS-Bench-201>, class `TinyNetwork`.
//!
//! One cell of 4 nodes and 6 edges, one of 5 operations per edge, in 3 stages with residual blocks between them. Deviations:
//! `none` is not computed at all (the reference multiplies by zero). Operations that cannot reach the output are timed and
//! counted, as the benchmark does. They are left out in training, because they would have no gradient.

mod spellings;

use std::sync::OnceLock;

use crate::{
    Architecture, Decision, Edges, Graph, GraphBuilder, Op, Reach, SearchSpace, Skeleton,
    SkeletonPreset, Space, SpaceError, Stem, Structure, Work, work,
};

/// The operations in the benchmark's order.
const OPERATIONS: [&str; 5] =
    ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];
/// The edges in the order of the architecture string.
const EDGES: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)];
const STAGES: u16 = 3;

const fn skeleton(channels: u32, layers: u16, resolution: u16, classes: u32) -> Skeleton {
    Skeleton { channels, layers, resolution, classes, stem: Stem::Cifar }
}

const SKELETONS: &[SkeletonPreset] = &[
    SkeletonPreset { name: "quick", skeleton: skeleton(16, 3, 8, 10) },
    SkeletonPreset { name: "cifar", skeleton: skeleton(16, 15, 32, 10) },
    // The benchmark's own ImageNet: 16x16 pixels, 120 classes.
    SkeletonPreset { name: "imagenet", skeleton: skeleton(16, 15, 16, 120) },
    SkeletonPreset { name: "search", skeleton: skeleton(16, 15, 32, 10) },
];

/// The NAS-Bench-201 space.
#[derive(Debug)]
pub struct NasBench201 {
    decisions: Vec<Decision>,
    reach: OnceLock<Reach>,
}

impl NasBench201 {
    /// Builds the space.
    #[expect(clippy::new_without_default, reason = "there is nothing to configure")]
    pub fn new() -> Self {
        let decision = |ends: &(usize, usize)| Decision::edge("cell", *ends, &OPERATIONS);
        Self { decisions: EDGES.iter().map(decision).collect(), reach: OnceLock::new() }
    }
}

impl Space for NasBench201 {
    fn id(&self) -> &'static str {
        "nasbench201"
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn structure(&self) -> Structure {
        let ends = EDGES.iter().map(|&ends| Some(ends)).collect();
        let edges = Edges { ends, input: 0, output: STAGES as usize };
        Structure { edges: Some(edges), ..Structure::independent(&self.decisions) }
    }

    fn work(&self) -> Option<Vec<Vec<Work>>> {
        work::of_sites(self)
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        let invalid =
            |reason: String| Err(SpaceError::Invalid { space: "nasbench201".into(), reason });
        if architecture.space != self.id() || architecture.choices.len() != EDGES.len() {
            let (space, n) = (&architecture.space, architecture.choices.len());
            return invalid(format!("expected 6 decisions, found {n} of space {space}"));
        }
        let single = |c: &crate::ChoiceSet| c.only().is_some_and(|op| op < OPERATIONS.len());
        match architecture.choices.iter().position(|c| !single(c)) {
            Some(i) => {
                invalid(format!("{} needs exactly one operation of 5", self.decisions[i].name))
            }
            None => Ok(()),
        }
    }

    fn format(&self, architecture: &Architecture) -> String {
        let mut nodes = vec![String::from("|"); STAGES as usize];
        for ((from, to), set) in EDGES.iter().zip(&architecture.choices) {
            let op = OPERATIONS[set.only().expect("a checked architecture has one operation")];
            nodes[to - 1] += &format!("{op}~{from}|");
        }
        nodes.join("+")
    }

    fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        if let Some(architecture) = quick(text) {
            return Ok(architecture);
        }
        spellings::read(text)
    }
}

impl SearchSpace for NasBench201 {
    fn summary(&self) -> &'static str {
        "one cell, 6 edges of 5 operations each, 15,625 architectures"
    }

    fn paper(&self) -> &'static str {
        "NAS-Bench-201, 2020, arXiv 2001.00326"
    }

    fn skeletons(&self) -> &'static [SkeletonPreset] {
        SKELETONS
    }

    fn check_skeleton(&self, skeleton: &Skeleton) -> Result<(), SpaceError> {
        let wrong = |reason: String| Err(SpaceError::Skeleton { reason });
        let Skeleton { channels, layers, resolution, classes, stem } = *skeleton;
        if !(1..=4096).contains(&channels) {
            return wrong(format!("channels must be from 1 to 4096, found {channels}"));
        }
        if layers == 0 || layers % STAGES != 0 || layers > 999 {
            return wrong(format!(
                "nasbench201 has 3 equal stages, so layers must be a multiple of 3; found {layers}"
            ));
        }
        if !(4..=4096).contains(&resolution) {
            return wrong(format!("resolution must be from 4 to 4096 pixels, found {resolution}"));
        }
        if classes == 0 || stem != Stem::Cifar {
            return wrong("nasbench201 needs at least one class and the CIFAR stem".into());
        }
        Ok(())
    }

    fn graph(&self, skeleton: &Skeleton) -> Graph {
        let mut b = GraphBuilder::new(false);
        let image = b.input(skeleton.resolution);
        let mut value = b.outside(image, Op::ConvBn { k: 3 }, skeleton.channels, 1);
        for cell in 0..skeleton.layers {
            if cell > 0 && cell % (skeleton.layers / STAGES) == 0 {
                let channels = 2 * b.shape(value).c;
                value = b.outside(value, Op::ResidualBlock, channels, 2);
            }
            value = add_cell(&mut b, value, cell);
        }
        let channels = b.shape(value).c;
        let value = b.outside(value, Op::BnRelu, channels, 1);
        b.head(value, skeleton.classes);
        b.finish()
    }

    fn reads_input(&self, architecture: &Architecture) -> bool {
        let reach = || Reach::new(&self.graph(&SKELETONS[0].skeleton));
        self.reach.get_or_init(reach).reads_input(architecture)
    }

    fn size(&self) -> u128 {
        (OPERATIONS.len() as u128).pow(EDGES.len() as u32)
    }

    fn at(&self, index: u128) -> Architecture {
        assert!(index < self.size(), "index beyond the space");
        let radix = OPERATIONS.len() as u128;
        let digit = |edge| (index / radix.pow(edge) % radix) as usize;
        Architecture::new(self.id(), (0..EDGES.len() as u32).map(digit))
    }
}

fn add_cell(b: &mut GraphBuilder, input: usize, cell: u16) -> usize {
    let channels = b.shape(input).c;
    let ops = [
        Op::None,
        Op::Identity,
        Op::ReluConvBn { k: 1 },
        Op::ReluConvBn { k: 3 },
        Op::AvgPool { k: 3 },
    ];
    let mut values = vec![input];
    for to in 1..=3 {
        let mut edges = Vec::new();
        for (decision, &(from, _)) in EDGES.iter().enumerate().filter(|(_, e)| e.1 == to) {
            let candidates = ops.map(|op| b.spec(values[from], op, channels, 1));
            edges.push(b.choice(values[from], cell, decision, candidates));
        }
        values.push(b.sum(edges));
    }
    values[3]
}

/// Reads a text that is spelled exactly as the benchmark writes it, in one pass; None if any byte is unexpected.
fn quick(text: &str) -> Option<Architecture> {
    let mut rest = text.as_bytes();
    let mut choices = [crate::ChoiceSet::one(0); EDGES.len()];
    for (edge, &(from, to)) in EDGES.iter().enumerate() {
        let before: &[u8] = if from > 0 || to == 1 { b"|" } else { b"|+|" };
        rest = rest.strip_prefix(before)?;
        let end = rest.iter().position(|&byte| byte == b'~')?;
        let op = OPERATIONS.iter().position(|o| o.as_bytes() == &rest[..end])?;
        choices[edge] = crate::ChoiceSet::one(op);
        rest = match &rest[end + 1..] {
            [digit, rest @ ..] if usize::from(*digit) == usize::from(b'0') + from => rest,
            _ => return None,
        };
    }
    (rest == b"|").then(|| Architecture { space: "nasbench201".into(), choices: Box::new(choices) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{count, find_skeleton};

    #[test]
    fn has_15625_architectures() {
        assert_eq!(NasBench201::new().size(), 15_625);
    }

    #[test]
    fn all_3x3_has_the_benchmarks_parameters() {
        let space = NasBench201::new();
        let text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|";
        let graph = space.graph(&find_skeleton(&space, "cifar").unwrap());
        assert_eq!(count(&graph.derive(&space.parse(text).unwrap())).params, 1_531_546);
    }

    #[test]
    fn parameters_are_the_benchmarks_where_its_own_counter_is_wrong() {
        let space = NasBench201::new();
        let skeleton = crate::find_skeleton(&space, "cifar").unwrap();
        let params = |text: &str| {
            let graph = space.graph(&skeleton).derive(&space.parse(text).unwrap());
            crate::count(&graph).params
        };
        // 73,306 and per operation 243,040 (3x3) or 28,000 (1x1); of the second and third one 3x3 is dead.
        for (text, expected) in [
            (
                "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
                802_426,
            ),
            (
                "|skip_connect~0|+|avg_pool_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|avg_pool_3x3~2|",
                559_386,
            ),
            (
                "|skip_connect~0|+|avg_pool_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|",
                559_386,
            ),
            (
                "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
                129_306,
            ),
            (
                "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
                802_426,
            ),
        ] {
            assert_eq!(params(text), expected, "{text}");
        }
    }

    #[test]
    fn texts_without_a_flaw_are_read_in_one_pass() {
        let space = NasBench201::new();
        for index in (0..15_625).step_by(11) {
            let architecture = space.at(index);
            assert_eq!(quick(&space.format(&architecture)), Some(architecture));
        }
        let good = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";
        for at in 0..good.len() {
            assert_eq!(quick(&good[..at]), None);
            assert_eq!(quick(&format!("{}x{}", &good[..at], &good[at + 1..])), None);
        }
        assert_eq!(space.parse(&format!(" {good}\n")), space.parse(good));
    }

    #[test]
    fn cells_learn_where_a_convolution_lies_between_input_and_output() {
        let space = NasBench201::new();
        let learns = |text: &str| {
            let architecture = space.parse(text).unwrap();
            space.structure().learns(space.decisions(), &architecture)
        };
        assert!(learns("|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"));
        assert!(learns("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"));
        assert!(!learns("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"));
        assert!(!learns("|none~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"));
        assert!(!learns("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"));
    }

    #[test]
    fn errors_quote_what_was_found() {
        let space = NasBench201::new();
        let message = |text: &str| space.parse(text).unwrap_err().to_string();
        assert!(message("abc").contains("found 'abc'"));
        assert!(
            message("|none~0|+|none~0|+|none~0|none~1|none~2|").contains("2 edges into node 2")
        );
        assert!(
            message("|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|").contains("found 'conv'")
        );
    }
}
