//! Rates an architecture before any training: four measures of untrained networks on a few images.
//!
//! * Activation patterns: Neural Architecture Search without Training. Mellor, Turner, Storkey, Crowley, ICML 2021, arXiv
//!   2006.04647. Log determinant of the similarity of images by which activations are above zero: large if the network tells images
//!   apart.
//! * Correlation of maps: `MeCo`: Zero-Shot NAS with One Data and Single Forward Pass via Minimum Eigenvalue of Correlation. Jiang,
//!   Wang, Bie, `NeurIPS` 2023. Sum over the maps of the smallest eigenvalue of the correlation matrix of their channels.
//! * Progressivity and trainability: AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search. Lee, Ham, CVPR 2024, arXiv
//!   2403.19232. Whether cells widen the space of their features, and whether they pass gradients back at the same size.
//!
//! Deviations: all measures cover only what is searched, since the rest of the network is the same for all. The first two use what
//! operations read after the `ReLU` and what they write, the last two what cells read and compute. `MeCo` and AZ-NAS use real images
//! here. AZ-NAS' two other measures are left out: its expressivity did not help in our trials, and its complexity is already covered
//! by a budget.

mod cells;
mod maps;

use lat_space::Graph;
use tch::{Device, Kind, Tensor};

use crate::error::SearchError;
use crate::supernet::{AllChannels, CellSupernet, Gating, Supernet};
use cells::{progressivity, trainability};
use maps::patterns_and_correlation;

/// Number of images used.
pub(super) const IMAGES: usize = 32;

/// The measures; larger is better. Minus infinity if there is nothing to measure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signals {
    pub(super) patterns: f64,
    pub(super) correlation: f64,
    pub(super) progressivity: f64,
    /// More expensive than the others, so it is None unless asked for.
    pub(super) trainability: Option<f64>,
}

/// A supernet with random initial weights.
#[derive(Debug)]
pub(super) struct Untrained {
    net: CellSupernet,
    /// Gradients of +-1 at the cells' outputs, the same for all architectures.
    signs: Vec<Tensor>,
}

impl Untrained {
    /// Draws weights and signs with one seed of libtorch's generator.
    ///
    /// # Errors
    /// [`SearchError`] if libtorch cannot build the network.
    pub(super) fn new(graph: Graph, seed: i64, device: Device) -> Result<Self, SearchError> {
        tch::manual_seed(seed);
        let net = CellSupernet::new(graph, &AllChannels, device)?;
        let cells = net.graph().cells().into_iter();
        let shapes = cells.map(|(_, computed)| net.graph().nodes[computed].shape);
        let signs = shapes.map(|shape| {
            let (c, hw) = (i64::from(shape.c), i64::from(shape.hw));
            let coin = Tensor::randint(2, [IMAGES as i64, c, hw, hw], (Kind::Float, Device::Cpu));
            (coin * 2.0 - 1.0).to_device(device)
        });
        Ok(Self { signs: signs.collect(), net })
    }

    /// The measures of one architecture on images `[n, 3, h, w]`, of which the first [`IMAGES`] are used.
    pub(super) fn signals(
        &self,
        gates: &dyn Gating,
        images: &Tensor,
        with_trainability: bool,
    ) -> Signals {
        let n = images.size()[0].min(IMAGES as i64);
        let images = images.narrow(0, 0, n);
        let look = || self.net.look(&images, gates);
        let look = if with_trainability { look() } else { tch::no_grad(look) };
        let trainability = with_trainability.then(|| {
            let signs = look.computed.iter().map(|&cell| self.signs[cell].narrow(0, 0, n));
            let signs: Vec<Tensor> = signs.collect();
            trainability(&look.cells, &signs)
        });
        tch::no_grad(|| {
            let (patterns, correlation) = patterns_and_correlation(&look.maps);
            Signals {
                patterns,
                correlation,
                progressivity: progressivity(&look.cells),
                trainability,
            }
        })
    }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NEG_INFINITY }
}
