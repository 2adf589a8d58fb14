//! A search by several processes: whether it can be one, and whether all of them are at the same place.

use std::hash::{DefaultHasher, Hash, Hasher};

use tch::{Device, Tensor};

use super::Search;
use crate::error::SearchError;

impl Search<'_, '_> {
    /// Whether this process writes and judges: where it is alone, and the first of several.
    pub(super) fn is_first(&self) -> bool {
        self.ranks.as_ref().is_none_or(crate::supernet::Ranks::is_first)
    }

    /// Refuses what several processes cannot do together.
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

    /// Refuses processes that were not all asked for the same search, or found other checkpoints.
    pub(super) fn check_agreement(&self, n_epochs: usize) -> Result<(), SearchError> {
        let Some(ranks) = &self.ranks else { return Ok(()) };
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(&self.settings).expect("settings are plain values").hash(&mut hasher);
        // The bits are what matters.
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
