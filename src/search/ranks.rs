//! Searches by several processes: whether the search allows it, and whether all processes are at the same point.

use std::hash::{DefaultHasher, Hash, Hasher};

use tch::{Device, Tensor};

use super::Search;
use crate::error::SearchError;

impl Search<'_, '_> {
    /// Whether this process writes files and judges: it is the only one, or the first of several.
    pub(super) fn is_first(&self) -> bool {
        self.ranks.as_ref().is_none_or(crate::supernet::Ranks::is_first)
    }

    /// Refuses searches that several processes cannot run together.
    pub(super) fn check_ranks(&self) -> Result<(), SearchError> {
        let Some(ranks) = &self.ranks else { return Ok(()) };
        let (n, batch) = (ranks.size(), self.settings.batch);
        let wrong = |text: String| Err(SearchError::Settings(text));
        if self.device != Device::Cpu {
            return wrong(format!(
                "expected the CPU for a search by {n} processes, whose gradients travel by Gloo, found {:?}; set --device cpu",
                self.device
            ));
        }
        if !batch.is_multiple_of(n) {
            return wrong(format!(
                "expected a batch that {n} processes can share alike, found {batch}; set --batch to a multiple of {n}"
            ));
        }
        if !self.method.is_data_parallel() {
            return wrong(format!(
                "expected a method whose images stand each for itself for a search by {n} processes, found {}; search with one process",
                self.settings.method
            ));
        }
        Ok(())
    }

    /// Refuses if the processes were asked for different searches or found different checkpoints.
    pub(super) fn check_agreement(&self, n_epochs: usize) -> Result<(), SearchError> {
        let Some(ranks) = &self.ranks else { return Ok(()) };
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(&self.settings).expect("settings are plain values").hash(&mut hasher);
        // Only the bits matter, so the hash is sent as a signed number.
        let own = [hasher.finish().cast_signed(), n_epochs as i64];
        let firsts = Tensor::from_slice(&own);
        ranks.settle(std::slice::from_ref(&firsts))?;
        let firsts = Vec::<i64>::try_from(&firsts).expect("one dimension");
        if firsts[0] != own[0] {
            return Err(SearchError::Settings(
                "expected the same flags, files and data set in all processes of a search, found others than those of rank 0; start all by one \
                 command"
                    .to_owned(),
            ));
        }
        if firsts[1] != own[1] {
            return Err(SearchError::Settings(format!(
                "expected a checkpoint of {} epochs in {}, as rank 0 has it, found one of {}; name an --out that all processes see",
                firsts[1],
                self.checkpoint.display(),
                own[1]
            )));
        }
        Ok(())
    }
}
