//! From texts to predictions.

use anyhow::Context;
use lat_predictor::Predictor;
use lat_space::Space;

use super::answer::Answer;
use super::blocks::Block;

/// A worker's own predictor, and what is wanted of it.
pub(super) struct Pricer<'a> {
    pub(super) predictor: Predictor,
    pub(super) space: &'a dyn Space,
    /// Print deviations.
    pub(super) sd: bool,
    /// Also give elements of a JSON array, which have deviations too.
    pub(super) json: bool,
}

impl Pricer<'_> {
    /// Prices a block.
    pub(super) fn price(&self, block: &Block) -> anyhow::Result<Answer> {
        let (gates, n) = (self.gates(block)?, block.texts().len());
        let label = self.predictor.label();
        let mut answer = Answer::default();
        if !(self.sd || self.json) {
            let values = self.predictor.price_columns(&gates, n)?;
            for (text, value) in block.texts().zip(values) {
                answer.line(value, &label.unit, text);
            }
            return Ok(answer);
        }
        let all = self.predictor.predict_columns(&gates, n)?;
        for (i, text) in block.texts().enumerate() {
            if self.sd {
                answer.line_with_sd(&all, i, &label.unit, text);
            } else {
                answer.line(all.values[i], &label.unit, text);
            }
            if self.json {
                answer.element(&all, i, &label.column, text)?;
            }
        }
        Ok(answer)
    }

    /// Gates by column.
    fn gates(&self, block: &Block) -> anyhow::Result<Vec<f32>> {
        let n = block.texts().len();
        let mut columns = vec![0.0; self.predictor.feature_map().n_gates * n];
        let decisions = self.space.decisions();
        for (i, text) in block.texts().enumerate() {
            let architecture = self
                .space
                .parse(text)
                .with_context(|| format!("architecture {}", block.before + i + 1))?;
            architecture.write_gates(decisions, &mut columns, n, i);
        }
        Ok(columns)
    }
}
