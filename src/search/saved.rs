//! A search's checkpoint: its contents, and how a search continues from it.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{EpochReport, Search, SearchSettings};
use crate::checkpoint::Checkpoint;
use crate::error::SearchError;
use crate::methods::Stage;
use crate::optimizer::StateMap;
use crate::spent::Spent;
use crate::supernet::{CellSupernet, Supernet};

/// The label of a checkpoint: everything except tensors.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Label {
    pub(super) settings: SearchSettings,
    pub(super) epochs: Vec<EpochReport>,
    /// The stage of the last of these epochs; checkpoints of searches without stages may lack it.
    #[serde(default)]
    pub(super) stage: Option<Stage>,
    /// Time and memory spent so far; checkpoints of older versions lack it.
    #[serde(default)]
    pub(super) spent: Option<Spent>,
}

impl Search<'_, '_> {
    pub(super) fn save(
        &self,
        net: &CellSupernet,
        epochs: &[EpochReport],
        stage: &Stage,
    ) -> Result<(), SearchError> {
        if !self.is_first() {
            return Ok(());
        }
        let label = Label {
            settings: self.settings.clone(),
            epochs: epochs.to_vec(),
            stage: Some(stage.clone()),
            spent: Some(self.meter.spent()),
        };
        let label = serde_json::to_string(&label).expect("settings are plain values");
        let mut tensors: Vec<(String, Tensor)> = net
            .weights()
            .variables()
            .into_iter()
            .map(|(name, tensor)| (format!("net.{name}"), tensor))
            .collect();
        tensors.extend(self.method.state().into_iter().map(|(n, t)| (format!("method.{n}"), t)));
        if let Some(objective) = &self.objective {
            tensors.extend(objective.state());
        }
        Checkpoint::save(&self.checkpoint, &label, tensors)
    }

    /// Reads the checkpoint of this search, if there is one.
    pub(super) fn saved(&self) -> Result<Option<(Label, StateMap)>, SearchError> {
        if !self.checkpoint.exists() {
            return Ok(None);
        }
        let saved = Checkpoint::load(&self.checkpoint)?;
        let mut label: Label = serde_json::from_str(&saved.label).map_err(|e| {
            self.wrong(format!("its label cannot be read ({e}); delete it to start over"))
        })?;
        if let Some((what, ours, theirs)) = self.settings.difference(&label.settings) {
            return Err(self.wrong(format!(
                "it belongs to a search with {what} {theirs}, this one has {ours}; name another --out, or repeat the old settings"
            )));
        }
        if let Some((ours, theirs)) = self.settings.other_cost(&label.settings) {
            if self.settings.steps_see_cost() || !self.may_adopt {
                return Err(self.wrong(format!(
                    "it belongs to a search with the cost model {theirs}, this one has {ours}; name another --out, or repeat the \
                     search with the old cost model"
                )));
            }
            self.adopt(&mut label, &saved.tensors)?;
        }
        Ok(Some((label, saved.tensors)))
    }

    /// Makes another search's checkpoint this one's, and saves that at once: from now on the folder belongs to this cost model.
    /// Costs of past epochs, computed by the other model, are deleted, so that no log mixes the two. Nothing else in the label or
    /// the state depends on the cost model.
    fn adopt(&self, label: &mut Label, tensors: &StateMap) -> Result<(), SearchError> {
        label.settings = self.settings.clone();
        for epoch in &mut label.epochs {
            epoch.relaxed_cost = None;
            epoch.derived_cost = None;
            epoch.relaxation_gap_percent = None;
        }
        if !self.is_first() {
            return Ok(());
        }
        let text = serde_json::to_string(label).expect("settings are plain values");
        let same = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        Checkpoint::save(&self.checkpoint, &text, same.collect())
    }

    fn wrong(&self, reason: String) -> SearchError {
        SearchError::Checkpoint { path: self.checkpoint.clone(), reason }
    }

    /// Restores supernet, method and objective to the saved state.
    pub(super) fn restore(
        &mut self,
        net: &CellSupernet,
        tensors: &StateMap,
    ) -> Result<(), SearchError> {
        let checkpoint = self.checkpoint.clone();
        let missing = |name: String| SearchError::Checkpoint {
            path: checkpoint.clone(),
            reason: format!("expected {name}, found none; delete it to start over"),
        };
        take_weights(net, tensors).map_err(missing)?;
        let state = tensors
            .iter()
            .filter_map(|(n, t)| Some((n.strip_prefix("method.")?.to_owned(), t.shallow_clone())))
            .collect();
        self.method.load(&state).map_err(missing)?;
        match &mut self.objective {
            Some(objective) if !objective.is_idle() => objective.load(tensors).map_err(missing),
            _ => Ok(()),
        }
    }
}

/// Loads a checkpoint's weights into its supernet.
///
/// # Errors
/// The name of a tensor that is missing or has another shape.
pub(super) fn take_weights(net: &CellSupernet, tensors: &StateMap) -> Result<(), String> {
    tch::no_grad(|| {
        for (name, mut tensor) in net.weights().variables() {
            let name = format!("net.{name}");
            let old = tensors.get(&name).ok_or_else(|| name.clone())?;
            if old.size() != tensor.size() {
                return Err(name);
            }
            tensor.copy_(old);
        }
        Ok(())
    })
}
