//! Spaces that are a chain of layers and choose one operation per layer.

use super::{Chain, Row, Scale, check_single, digits, quoted, words};
use crate::{
    Architecture, Choice, Decision, DecisionId, Graph, Op, SearchSpace, Skeleton, SkeletonPreset,
    Space, SpaceError, Structure, TableForm, Work, work,
};

/// A searched layer of a chain, at a given skeleton.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer {
    /// Its number; also the number of its decision.
    pub(crate) number: DecisionId,
    /// Whether it is the first layer of its row.
    pub(crate) is_first: bool,
    /// Input channels.
    pub(crate) c_in: u32,
    /// Output channels.
    pub(crate) c_out: u32,
    /// Its stride.
    pub(crate) stride: u8,
}

/// The parts in which such spaces differ.
pub(crate) trait Layers: std::fmt::Debug + Send + Sync {
    /// The space's summary.
    fn summary(&self) -> &'static str;
    /// Title, year and arXiv id.
    fn paper(&self) -> &'static str;
    /// The named skeletons.
    fn skeletons(&self) -> &'static [SkeletonPreset];
    /// How widths and strides follow from a skeleton; contains the space's id.
    fn scale(&self) -> Scale;
    /// The rows of searched layers.
    fn rows(&self) -> Vec<Row>;
    /// The choices of a layer.
    fn choices(&self, is_first: bool) -> Vec<Choice>;
    /// The form of the latency tables published for this space, if there are any.
    fn table_form(&self) -> Option<TableForm> {
        None
    }
    /// Builds everything before the searched layers; `stride` is the stem's.
    fn begin(&self, chain: &mut Chain, skeleton: &Skeleton, stride: u8);
    /// A layer's operations in the order of its choices.
    fn operations(&self, layer: &Layer) -> Vec<Op>;
    /// Appends a layer to the chain.
    fn layer(&self, chain: &mut Chain, layer: &Layer) {
        chain.choice(layer.number, &self.operations(layer), layer.c_out, layer.stride);
    }
    /// Builds everything between the searched layers and the classifier.
    fn end(&self, chain: &mut Chain, skeleton: &Skeleton);
    /// The text form, worded so that it completes "expected ...".
    fn expected(&self) -> &'static str;
    /// The words of a text that describe the searched layers.
    fn layers_of<'a>(&self, words: Vec<&'a str>) -> Vec<&'a str> {
        words
    }
}

/// A space that is a chain and chooses one operation per layer. Its texts are the names of the operations in order.
#[derive(Debug)]
pub struct LayeredSpace {
    parts: Box<dyn Layers>,
    id: &'static str,
    decisions: Vec<Decision>,
}

impl LayeredSpace {
    pub(crate) fn of(parts: impl Layers + 'static) -> Self {
        let decision = |(stage, layer): (usize, usize)| {
            let name = format!("stage{}/layer{}", stage + 1, layer + 1);
            Decision::slot(&name, parts.choices(layer == 0))
        };
        let rows = parts.rows();
        let places = rows.iter().enumerate().flat_map(|(r, row)| (0..row.n).map(move |l| (r, l)));
        let decisions = places.map(decision).collect();
        Self { id: parts.scale().id, decisions, parts: Box::new(parts) }
    }

    /// The choice with this name or number.
    fn read(&self, decision: DecisionId, word: &str) -> Option<usize> {
        let choices = &self.decisions[decision].choices;
        let named = choices.iter().position(|choice| choice.name == word);
        named.or_else(|| word.parse().ok().filter(|&number| number < choices.len()))
    }

    fn unreadable(&self, expected: String, found: &str) -> SpaceError {
        SpaceError::Text { space: self.id.into(), expected, found: quoted(found) }
    }
}

impl Space for LayeredSpace {
    fn id(&self) -> &str {
        self.id
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn structure(&self) -> Structure {
        let mut first = 0;
        let mut stage = |row: Row| {
            first += row.n;
            (first - row.n..first).collect()
        };
        let stages = self.parts.rows().into_iter().map(&mut stage).collect();
        Structure { stages, ..Structure::independent(&self.decisions) }
    }

    fn work(&self) -> Option<Vec<Vec<Work>>> {
        work::of_sites(self)
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        check_single(self.id, &self.decisions, architecture)
    }

    fn format(&self, architecture: &Architecture) -> String {
        let name = |(decision, set): (&Decision, &crate::ChoiceSet)| {
            let choice = set.only().expect("a checked architecture has one operation");
            decision.choices[choice].name.clone()
        };
        let names = self.decisions.iter().zip(&architecture.choices).map(name);
        names.collect::<Vec<_>>().join(" ")
    }

    fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        let found = self.parts.layers_of(words(text));
        if found.len() != self.decisions.len() {
            let expected = format!("{}; {} words stand there", self.parts.expected(), found.len());
            return Err(self.unreadable(expected, text));
        }
        let choice = |(d, word): (usize, &&str)| {
            self.read(d, word).ok_or_else(|| {
                let decision = &self.decisions[d];
                let known = decision.names().join(", ");
                self.unreadable(format!("for {} one of {known}", decision.name), word)
            })
        };
        let choices: Vec<usize> = found.iter().enumerate().map(choice).collect::<Result<_, _>>()?;
        Ok(Architecture::new(self.id, choices))
    }
}

impl SearchSpace for LayeredSpace {
    fn summary(&self) -> &'static str {
        self.parts.summary()
    }

    fn paper(&self) -> &'static str {
        self.parts.paper()
    }

    fn skeletons(&self) -> &'static [SkeletonPreset] {
        self.parts.skeletons()
    }

    fn check_skeleton(&self, skeleton: &Skeleton) -> Result<(), SpaceError> {
        self.parts.scale().check(skeleton, &self.parts.rows())
    }

    fn graph(&self, skeleton: &Skeleton) -> Graph {
        let mut chain = Chain::new(skeleton.resolution);
        let (stem, rows) = self.parts.scale().rows(skeleton, &self.parts.rows());
        self.parts.begin(&mut chain, skeleton, stem);
        let mut number = 0;
        for row in rows {
            for l in 0..row.n {
                let (c_in, c_out) = (chain.shape().c, row.width);
                let stride = if l == 0 { row.stride } else { 1 };
                let layer = Layer { number, is_first: l == 0, c_in, c_out, stride };
                self.parts.layer(&mut chain, &layer);
                number += 1;
            }
        }
        self.parts.end(&mut chain, skeleton);
        chain.finish(skeleton.classes)
    }

    fn reads_input(&self, _: &Architecture) -> bool {
        // Choices of such a chain never cut off the image.
        true
    }

    fn table_form(&self) -> Option<TableForm> {
        self.parts.table_form()
    }

    fn size(&self) -> u128 {
        self.decisions.iter().map(|d| d.choices.len() as u128).product()
    }

    fn at(&self, index: u128) -> Architecture {
        assert!(index < self.size(), "index beyond the space");
        let radices = self.decisions.iter().map(|d| d.choices.len());
        Architecture::new(self.id, digits(index, radices))
    }
}
