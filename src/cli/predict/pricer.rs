//! From texts to predictions.

use anyhow::Context;
use lat_data::AccuracyTable;
use lat_predictor::Predictor;
use lat_space::{Architecture, Space};

use super::answer::Answer;
use super::blocks::Block;
use crate::cli::output::plain;

/// Gates that lie column by column, and accuracies by architecture where there is a table of them.
type GatesAndAccuracies<'a> = (Vec<f32>, Vec<Option<&'a [f64]>>);

/// A worker's own predictor, and what is wanted of it.
pub(super) struct Pricer<'a> {
    pub(super) predictor: Predictor,
    pub(super) space: &'a dyn Space,
    /// Published accuracies of the space.
    pub(super) accuracies: Option<&'a AccuracyTable>,
    /// Print deviations.
    pub(super) sd: bool,
    /// Also give elements of a JSON array, which have deviations too.
    pub(super) json: bool,
}

impl<'a> Pricer<'a> {
    /// Prices a block.
    pub(super) fn price(&self, block: &Block) -> anyhow::Result<Answer> {
        let ((gates, accuracies), n) = (self.gates(block)?, block.texts().len());
        let published = |i: usize| Some((self.accuracies?, accuracies[i]));
        let label = self.predictor.label();
        let unit = plain(&label.unit);
        let mut answer = Answer::default();
        if !(self.sd || self.json) {
            let values = self.predictor.price_columns(&gates, n)?;
            for (i, (text, value)) in block.texts().zip(values).enumerate() {
                answer.line(value, &unit, text);
                answer.end_line(published(i));
            }
            return Ok(answer);
        }
        let all = self.predictor.predict_columns(&gates, n)?;
        for (i, text) in block.texts().enumerate() {
            if self.sd {
                answer.line_with_sd(&all, i, &unit, text);
            } else {
                answer.line(all.values[i], &unit, text);
            }
            answer.end_line(published(i));
            if self.json {
                answer.element(&all, i, (&label.column, text), published(i))?;
            }
        }
        Ok(answer)
    }

    fn gates(&self, block: &Block) -> anyhow::Result<GatesAndAccuracies<'a>> {
        let n = block.texts().len();
        let mut columns = vec![0.0; self.predictor.feature_map().n_gates * n];
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

    /// Nearly all texts are as the space writes them, so most are found without writing them again.
    fn published(
        &self,
        table: &'a AccuracyTable,
        text: &str,
        architecture: &Architecture,
    ) -> Option<&'a [f64]> {
        table.accuracies(text).or_else(|| table.accuracies(&self.space.format(architecture)))
    }
}
