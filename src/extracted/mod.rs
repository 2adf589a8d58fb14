//! Networks cut out of supernets: the weights of one architecture, with everything needed to use them.

mod calibration;
mod file;
mod label;
mod torchscript;

use lat_data::Dataset;
use lat_nn::{DropPath, NnError, Phase, StaticNet, WeightInit, recalibrate};
use lat_space::{Architecture, SearchSpace, Skeleton, find_space};
use tch::{Device, Tensor};

use crate::accuracy::accuracy;
use crate::batches::{Batch, Images};
use crate::error::SearchError;
use crate::search::OpenedSupernet;
pub use calibration::Calibration;
pub use label::{NetLabel, Origin, Recalibration};

/// The network of one architecture with its weights from a supernet. Its layers are those of [`Phase::Search`].
#[derive(Debug)]
pub struct ExtractedNet {
    /// Where it comes from, and the input it needs.
    pub label: NetLabel,
    /// The network.
    pub net: StaticNet,
}

impl ExtractedNet {
    /// Cuts the network of an architecture out of a search's supernet; `dataset` is the search's. With a calibration, batch norm's
    /// statistics are recomputed; without one they stay those of the supernet's mixture.
    ///
    /// # Errors
    /// [`SearchError::Space`] and [`SearchError::Settings`] if the supernet does not have the architecture, [`SearchError::Nn`] if
    /// libtorch fails.
    pub fn cut(
        opened: &OpenedSupernet,
        architecture: &Architecture,
        dataset: &Dataset,
        calibration: Option<&Calibration>,
    ) -> Result<Self, SearchError> {
        use crate::supernet::Supernet;
        opened.check(architecture)?;
        let net = opened.net.extract(architecture)?;
        if let Some(calibration) = calibration {
            let pass = |images: &Tensor| drop(net.forward_t(images, true, DropPath::OFF));
            lat_nn::guard(|| recalibrate(calibration.rule, &calibration.batches, pass))?;
        }
        let settings = &opened.settings;
        let label = NetLabel {
            space: settings.space.clone(),
            architecture: opened.space.format(architecture),
            skeleton: opened.skeleton(),
            class_names: dataset.train.class_names.clone(),
            mean: dataset.mean,
            std: dataset.std,
            dataset: settings.dataset.clone(),
            images: dataset.checksum(),
            recalibration: calibration.map(Calibration::record),
            search: Origin {
                method: settings.method.clone(),
                epochs: opened.n_epochs,
                seed: settings.seed,
            },
        };
        Ok(Self { label, net })
    }

    /// Logits `[n, classes]` of normalised images `[n, 3, h, w]` in eval mode.
    ///
    /// # Errors
    /// [`NnError::Torch`] with libtorch's message, if libtorch fails.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor, NnError> {
        self.net.forward(images)
    }

    /// Cross entropy and accuracy (percent) on these images, `batch` at a time.
    ///
    /// # Errors
    /// [`SearchError::Nn`] with libtorch's message, if libtorch fails.
    pub fn test(&self, images: &Images, batch: usize) -> Result<(f64, f64), SearchError> {
        let all: Vec<usize> = (0..images.len()).collect();
        let forward = |batch: &Batch| self.net.forward_t(&batch.images, false, DropPath::OFF).main;
        Ok(lat_nn::guard(|| accuracy(images, &all, batch, forward))?)
    }

    /// Number of weights, not counting statistics.
    pub fn n_weights(&self) -> usize {
        let trained = self.net.weights().trainable_variables();
        trained.iter().map(Tensor::numel).sum()
    }
}

/// The network of an architecture with new weights, as supernets build it.
fn blank(
    space: &dyn SearchSpace,
    skeleton: &Skeleton,
    architecture: &Architecture,
    device: Device,
) -> Result<StaticNet, NnError> {
    let graph = space.graph(skeleton).derive(architecture).pruned(false);
    StaticNet::new(graph, device, Phase::Search, WeightInit::Uniform)
}

/// The space and the architecture that a label names, after checking its skeleton.
fn named(label: &NetLabel) -> Result<(Box<dyn SearchSpace>, Architecture), SearchError> {
    let space = find_space(&label.space)?;
    let architecture = space.parse(&label.architecture)?;
    space.check_skeleton(&label.skeleton)?;
    Ok((space, architecture))
}
