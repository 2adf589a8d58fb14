//! What an architecture is worth before any training: three measures of the untrained network on a few images.
//!
//! * Activation patterns: Neural Architecture Search without Training. Mellor, Turner, Storkey, Crowley, ICML 2021, arXiv
//!   2006.04647. Log determinant of how alike images are by which activations are above zero: large where it tells images apart.
//! * Correlation of maps: `MeCo`: Zero-Shot NAS with One Data and Single Forward Pass via Minimum Eigenvalue of Correlation. Jiang,
//!   Wang, Bie, `NeurIPS` 2023. Sum over the maps of the least eigenvalue of the correlations of their channels.
//! * Signal of the gradients: `ZiCo`: Zero-shot NAS via Inverse Coefficient of Variation on Gradients. Li, Yang, Bhardwaj, Marculescu,
//!   ICLR 2023, arXiv 2301.11300. Sum over the convolutions of the logarithm of the summed mean magnitudes of a weight's gradient
//!   over its deviation between batches.
//!
//! Deviations: the first two look at the searched operations alone (what they read behind the `ReLU`, what they write), since the rest
//! of the network is the same for all; `MeCo` takes a real image; `ZiCo` takes three batches of 16.

use tch::{Kind, Tensor};

use crate::methods::{Batch, ordered_weights};
use crate::supernet::{CellSupernet, Gating, Supernet};

/// Images that are looked at.
pub(super) const IMAGES: usize = 48;
/// Those of them behind the patterns.
const PATTERN_IMAGES: i64 = 32;
/// Batches behind the gradients' signal.
const BATCHES: i64 = 3;

/// The two measures of one forward pass; larger is better. Minus infinity where there is nothing to measure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signals {
    pub(super) patterns: f64,
    pub(super) correlation: f64,
}

impl Signals {
    /// Those of one architecture in a supernet with untrained weights.
    pub(super) fn of(net: &CellSupernet, gates: &dyn Gating, batch: &Batch) -> Self {
        tch::no_grad(|| {
            let n = batch.images.size()[0].min(PATTERN_IMAGES);
            let images = batch.images.narrow(0, 0, n);
            let maps = net.maps(&images, gates);
            let mut alike = Tensor::zeros([n, n], (Kind::Float, images.device()));
            let mut correlation = 0.0;
            for (read, written) in &maps {
                let above = read.gt(0.0).flatten(1, -1).to_kind(Kind::Float);
                let below: Tensor = 1.0 - &above;
                alike += above.matmul(&above.tr()) + below.matmul(&below.tr());
                correlation += least_correlation(&read.get(0).relu());
                correlation += least_correlation(&written.get(0));
            }
            let (sign, log) = alike.to_kind(Kind::Double).slogdet();
            let log = log.double_value(&[]);
            let is_regular = sign.double_value(&[]) > 0.0 && log.is_finite();
            Self {
                patterns: if is_regular { log } else { f64::NEG_INFINITY },
                correlation: finite(correlation),
            }
        })
    }
}

/// The gradients' signal of one architecture with untrained weights; larger is better. It takes as many passes as batches.
pub(super) fn gradient_signal(net: &CellSupernet, gates: &dyn Gating, batch: &Batch) -> f64 {
    let weights: Vec<Tensor> =
        ordered_weights(net.weights()).into_iter().filter(|w| w.dim() == 4).collect();
    let of: Vec<&Tensor> = weights.iter().collect();
    let images = batch.images.chunk(BATCHES, 0);
    let labels = batch.labels.chunk(BATCHES, 0);
    let per_batch = images.iter().zip(&labels).map(|(images, labels)| {
        let loss = net.forward_t(images, gates, true).cross_entropy_for_logits(labels);
        Tensor::run_backward(&[loss], &of, false, false)
    });
    let per_batch: Vec<Vec<Tensor>> = per_batch.collect();
    let layers = (0..weights.len()).filter(|&i| per_batch.iter().all(|g| g[i].defined()));
    finite(layers.map(|i| signal_of_layer(per_batch.iter().map(|g| &g[i]))).sum())
}

/// Logarithm of the sum over a layer's weights of mean magnitude over deviation; weights whose gradient does not vary are left out.
fn signal_of_layer<'t>(gradients: impl Iterator<Item = &'t Tensor>) -> f64 {
    let gradients: Vec<&Tensor> = gradients.collect();
    let gradients = Tensor::stack(&gradients, 0);
    let mean = gradients.abs().mean_dim([0i64].as_slice(), false, Kind::Float);
    let deviation = gradients.std_dim([0i64].as_slice(), true, false);
    let ratio = (mean / &deviation).where_self(&deviation.gt(0.0), &Tensor::from(0.0f32));
    let sum = ratio.sum(Kind::Double).double_value(&[]);
    if sum > 0.0 { sum.ln() } else { 0.0 }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NEG_INFINITY }
}

/// Least eigenvalue of the correlations of the channels of `[c, h, w]`; a constant channel correlates with none.
fn least_correlation(map: &Tensor) -> f64 {
    let correlations = map.flatten(1, -1).corrcoef().nan_to_num(0.0, 0.0, 0.0);
    let n = correlations.size();
    if n.is_empty() {
        return 0.0;
    }
    correlations.linalg_eigvalsh("L").min().double_value(&[])
}
