//! Opens a search's supernet from its checkpoint, for commands that use its weights.

use std::path::Path;

use lat_data::Dataset;
use lat_space::{Architecture, SearchSpace, Skeleton, find_space};
use tch::Device;

use super::saved::{Label, take_weights};
use super::{SearchSettings, supernet};
use crate::checkpoint::Checkpoint;
use crate::error::SearchError;
use crate::methods::{Options, Preset, Stage, find_method};
use crate::supernet::CellSupernet;

/// The supernet of a search with the weights of its last finished epoch.
#[derive(Debug)]
pub struct OpenedSupernet {
    /// The space that was searched.
    pub space: Box<dyn SearchSpace>,
    /// The settings that identify the search.
    pub settings: SearchSettings,
    /// Epochs that the weights were trained for; the search was to run `settings.epochs`.
    pub n_epochs: u32,
    /// The supernet.
    pub net: CellSupernet,
    stage: Stage,
}

impl OpenedSupernet {
    /// Builds the supernet of a search's checkpoint.
    ///
    /// # Errors
    /// [`SearchError::Checkpoint`] if the file is damaged or does not belong to a search, [`SearchError::Settings`] if its method
    /// mixes operations in a way that no network can be cut out of.
    pub fn open(checkpoint: &Path, device: Device) -> Result<Self, SearchError> {
        let wrong =
            |reason: String| SearchError::Checkpoint { path: checkpoint.to_owned(), reason };
        let saved = Checkpoint::load(checkpoint)?;
        let label: Label = serde_json::from_str(&saved.label).map_err(|e| {
            wrong(format!("expected the checkpoint of a search, found another: {e}"))
        })?;
        let Label { settings, epochs, stage, .. } = label;
        let space = find_space(&settings.space)?;
        let (preset, options) = read_options(&settings.options).map_err(wrong)?;
        let entry = find_method(&settings.method)?;
        let mut method = entry.build(preset, &options, space.as_ref(), settings.seed)?;
        let stage = stage.unwrap_or_else(|| method.stage(0));
        method.enter(&stage);
        if let Some(reason) = method.mixed_op().uncuttable() {
            return Err(SearchError::Settings(format!(
                "expected a supernet of whole operations, out of which networks can be cut; found one of method {}, whose {reason}: \
                 choose a search by another method",
                settings.method
            )));
        }
        let net = supernet(space.as_ref(), &settings.skeleton, method.as_ref(), &stage, device)?;
        take_weights(&net, &saved.tensors)
            .map_err(|name| wrong(format!("expected {name}, found none of its shape")))?;
        Ok(Self { space, settings, n_epochs: epochs.len() as u32, net, stage })
    }

    /// The skeleton of the supernet. In a search of several stages it may differ from the search's skeleton.
    pub fn skeleton(&self) -> Skeleton {
        let skeleton = self.settings.skeleton;
        Skeleton { layers: self.stage.cells.unwrap_or(skeleton.layers), ..skeleton }
    }

    /// Checks that the supernet has the architecture's operations.
    ///
    /// # Errors
    /// [`SearchError::Space`] if the architecture is of another space, [`SearchError::Settings`] if it has an operation that the
    /// search had already dropped.
    pub fn check(&self, architecture: &Architecture) -> Result<(), SearchError> {
        self.space.check(architecture)?;
        let Some(live) = &self.stage.live else { return Ok(()) };
        for (d, (chosen, live)) in architecture.choices.iter().zip(live).enumerate() {
            let decision = &self.space.decisions()[d];
            let is_gone = |c: &usize| !live.contains(*c) && Some(*c) != decision.none();
            if let Some(gone) = chosen.iter().find(is_gone) {
                return Err(SearchError::Settings(format!(
                    "expected an architecture of what the search had not given up, found {} at {} in {}; choose another --arch",
                    decision.choices[gone].name,
                    decision.name,
                    self.space.format(architecture)
                )));
            }
        }
        Ok(())
    }

    /// Checks that the search's weights were trained on these images.
    ///
    /// # Errors
    /// [`SearchError::Dataset`] if they were trained on others.
    pub fn check_images(&self, dataset: &Dataset) -> Result<(), SearchError> {
        let (wanted, found) = (&self.settings.images, dataset.checksum());
        // Older versions did not record which images they used.
        if wanted.is_empty() || *wanted == found {
            return Ok(());
        }
        Err(SearchError::Dataset {
            name: dataset.train.name.clone(),
            reason: format!(
                "expected the images that the search was trained on, {} with checksum {wanted}, found others, with checksum {found}; \
                 name those by --dataset, --data-dir and --images",
                self.settings.dataset
            ),
        })
    }
}

/// Parses [`SearchSettings::options`] into preset and options: `Quick lr = 0.1 cells = [3, 4]`.
fn read_options(text: &str) -> Result<(Preset, Options), String> {
    let unreadable = || {
        format!(
            "expected a preset and options of its method, found '{text}', which this program does not read"
        )
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let (first, words) = words.split_first().ok_or_else(unreadable)?;
    let preset = [Preset::Quick, Preset::Paper].into_iter().find(|p| format!("{p:?}") == *first);
    // A new line of TOML begins at every key.
    let lines = words.iter().enumerate().map(|(i, word)| {
        let is_key = words.get(i + 1) == Some(&"=");
        format!("{}{word}", if is_key { "\n" } else { " " })
    });
    let options = lines.collect::<String>().parse().map_err(|_| unreadable())?;
    Ok((preset.ok_or_else(unreadable)?, options))
}

#[cfg(test)]
mod tests {
    use toml::toml;

    use super::*;

    #[test]
    fn options_are_read_as_searches_write_them() {
        let options = toml! {
            alpha_lr = 0.003
            cells = [3, 4, 5]
            name = "a b"
            twice = true
        };
        let text = format!("{:?} {options}", Preset::Paper);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (preset, found) = read_options(&text).unwrap();
        assert_eq!((preset, found), (Preset::Paper, options));
        assert_eq!(read_options("Quick").unwrap(), (Preset::Quick, Options::new()));
        for wrong in ["", "Slow", "Quick lr", "lr = 1"] {
            assert!(read_options(wrong).unwrap_err().contains("a preset and options"), "{wrong}");
        }
    }
}
