//! Networks cut out of supernets: the weights of one architecture, with all that it takes to use them.

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

/// The network of one architecture with the weights that a supernet had for it. Its layers are those of [`Phase::Search`].
#[derive(Debug)]
pub struct ExtractedNet {
    /// Where it is from and what it needs.
    pub label: NetLabel,
    /// The network.
    pub net: StaticNet,
}

impl ExtractedNet {
    /// Cuts the network of an architecture out of a search's supernet; `dataset` is the search's. Batch norm's statistics are made anew,
    /// or stay what the supernet's mixture of networks left.
    ///
    /// # Errors
    /// [`SearchError::Space`] and [`SearchError::Settings`] for an architecture that the supernet does not hold, [`SearchError::Nn`]
    /// where libtorch gives up.
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
    /// [`NnError::Torch`] with libtorch's words.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor, NnError> {
        self.net.forward(images)
    }

    /// Cross entropy and share of correct answers in percent on these images, so many at a time.
    ///
    /// # Errors
    /// [`SearchError::Nn`] with libtorch's words.
    pub fn test(&self, images: &Images, batch: usize) -> Result<(f64, f64), SearchError> {
        let all: Vec<usize> = (0..images.len()).collect();
        let forward = |batch: &Batch| self.net.forward_t(&batch.images, false, DropPath::OFF).main;
        Ok(lat_nn::guard(|| accuracy(images, &all, batch, forward))?)
    }

    /// How many weights it has, statistics aside.
    pub fn n_weights(&self) -> usize {
        let trained = self.net.weights().trainable_variables();
        trained.iter().map(Tensor::numel).sum()
    }
}

/// The untrained network of an architecture as supernets build it.
fn blank(
    space: &dyn SearchSpace,
    skeleton: &Skeleton,
    architecture: &Architecture,
    device: Device,
) -> Result<StaticNet, NnError> {
    let graph = space.graph(skeleton).derive(architecture).pruned(false);
    StaticNet::new(graph, device, Phase::Search, WeightInit::Uniform)
}

/// The space and the architecture that a label names, with its skeleton checked.
fn named(label: &NetLabel) -> Result<(Box<dyn SearchSpace>, Architecture), SearchError> {
    let space = find_space(&label.space)?;
    let architecture = space.parse(&label.architecture)?;
    space.check_skeleton(&label.skeleton)?;
    Ok((space, architecture))
}
