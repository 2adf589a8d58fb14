//! Turns architecture texts into predictions.

use anyhow::Context;
use lat_data::{AccuracyTable, unit};
use lat_predictor::{Predictions, Predictor};
use lat_space::{Architecture, Space};

use super::answer::Answer;
use super::blocks::Block;
use crate::cli::op_costs::{self, COLUMN};
use crate::cli::output::plain;

/// Gates column by column, and each architecture's accuracies if there is a table of them.
type GatesAndAccuracies<'a> = (Vec<f32>, Vec<Option<&'a [f64]>>);

/// The source of the costs.
pub(super) enum By<'a> {
    /// A worker's own predictor.
    Predictor(Box<Predictor>),
    /// A latency table whose entries are added up.
    Table(&'a op_costs::Pricer<'a>),
}

/// The source of costs, and the output that is wanted.
pub(super) struct Pricer<'a> {
    pub(super) by: By<'a>,
    pub(super) space: &'a dyn Space,
    /// Published accuracies of the space, if they are to be printed.
    pub(super) accuracies: Option<&'a AccuracyTable>,
    /// Print standard deviations.
    pub(super) sd: bool,
    /// Also produce elements of a JSON array, which include deviations.
    pub(super) json: bool,
}

impl<'a> Pricer<'a> {
    /// Prices a block of architectures.
    pub(super) fn price(&self, block: &Block) -> anyhow::Result<Answer> {
        match &self.by {
            By::Predictor(predictor) => self.predict(predictor, block),
            By::Table(table) => self.add_up(table, block),
        }
    }

    fn predict(&self, predictor: &Predictor, block: &Block) -> anyhow::Result<Answer> {
        let n_gates = predictor.feature_map().n_gates;
        let ((gates, accuracies), n) = (self.gates(n_gates, block)?, block.texts().len());
        let label = predictor.label();
        if self.sd || self.json {
            let all = predictor.predict_columns(&gates, n)?;
            return self.answer(block, &all, (&label.column, &label.unit), &accuracies);
        }
        let unit = plain(&label.unit);
        let mut answer = Answer::default();
        let values = predictor.price_columns(&gates, n)?;
        for (i, (text, value)) in block.texts().zip(values).enumerate() {
            answer.line(value, &unit, text);
            answer.end_line(self.accuracies.map(|table| (table, accuracies[i])));
        }
        Ok(answer)
    }

    /// Prices a block by a latency table, which gives no deviations.
    fn add_up(&self, table: &op_costs::Pricer<'_>, block: &Block) -> anyhow::Result<Answer> {
        let (mut values, mut accuracies) = (Vec::new(), Vec::new());
        for (i, text) in block.texts().enumerate() {
            let number = || format!("architecture {}", block.before + i + 1);
            let architecture = self.space.parse(text).with_context(number)?;
            values.push(table.cost(&architecture).with_context(number)?);
            accuracies
                .extend(self.accuracies.map(|table| self.published(table, text, &architecture)));
        }
        let n = values.len();
        let all = Predictions { values, sds: vec![f64::NAN; n], is_off_data: vec![false; n] };
        self.answer(block, &all, (COLUMN, unit(COLUMN)), &accuracies)
    }

    fn answer(
        &self,
        block: &Block,
        all: &Predictions,
        (column, unit): (&str, &str),
        accuracies: &[Option<&'a [f64]>],
    ) -> anyhow::Result<Answer> {
        let published = |i: usize| Some((self.accuracies?, accuracies[i]));
        let unit = plain(unit);
        let mut answer = Answer::default();
        for (i, text) in block.texts().enumerate() {
            if self.sd {
                answer.line_with_sd(all, i, &unit, text);
            } else {
                answer.line(all.values[i], &unit, text);
            }
            answer.end_line(published(i));
            if self.json {
                answer.element(all, i, (column, text), published(i))?;
            }
        }
        Ok(answer)
    }

    fn gates(&self, n_gates: usize, block: &Block) -> anyhow::Result<GatesAndAccuracies<'a>> {
        let n = block.texts().len();
        let mut columns = vec![0.0; n_gates * n];
        let decisions = self.space.decisions();
        let mut accuracies = Vec::new();
        for (i, text) in block.texts().enumerate() {
            let architecture = self
                .space
                .parse(text)
                .with_context(|| format!("architecture {}", block.before + i + 1))?;
            architecture.write_gates(decisions, &mut columns, n, i);
            accuracies
                .extend(self.accuracies.map(|table| self.published(table, text, &architecture)));
        }
        Ok((columns, accuracies))
    }

    /// The published accuracies of an architecture. Nearly all texts are already in the space's own spelling, so most are found
    /// without formatting them again.
    fn published(
        &self,
        table: &'a AccuracyTable,
        text: &str,
        architecture: &Architecture,
    ) -> Option<&'a [f64]> {
        table.accuracies(text).or_else(|| table.accuracies(&self.space.format(architecture)))
    }
}
