//! Two measures of the values that an architecture's operations read and write, before any training.

use tch::{Kind, Tensor};

use super::finite;

/// First, the log determinant of the similarity of images by which activations are above zero (Mellor 2021). Second, the sum over
/// the maps of the smallest eigenvalue of the correlation matrix of their channels (`MeCo`), for the first image.
pub(super) fn patterns_and_correlation(maps: &[(Tensor, Tensor)]) -> (f64, f64) {
    let Some((first, _)) = maps.first() else { return (f64::NEG_INFINITY, 0.0) };
    let n = first.size()[0];
    let mut alike = Tensor::zeros([n, n], (Kind::Float, first.device()));
    let mut correlation = 0.0;
    for (read, written) in maps {
        let above = read.gt(0.0).flatten(1, -1).to_kind(Kind::Float);
        let below: Tensor = 1.0 - &above;
        alike += above.matmul(&above.tr()) + below.matmul(&below.tr());
        correlation += least_correlation(&read.get(0).relu());
        correlation += least_correlation(&written.get(0));
    }
    let (sign, log) = alike.to_kind(Kind::Double).slogdet();
    let is_regular = sign.double_value(&[]) > 0.0;
    let patterns = if is_regular { finite(log.double_value(&[])) } else { f64::NEG_INFINITY };
    (patterns, finite(correlation))
}

/// Smallest eigenvalue of the correlation matrix of the channels of `[c, h, w]`; a constant channel correlates with none.
fn least_correlation(map: &Tensor) -> f64 {
    let rows = map.flatten(1, -1);
    // A single pixel cannot show how channels correlate, and libtorch warns about each such map.
    if rows.size()[1] < 2 {
        return 0.0;
    }
    let correlations = rows.corrcoef().nan_to_num(0.0, 0.0, 0.0);
    let n = correlations.size();
    if n.is_empty() {
        return 0.0;
    }
    correlations.linalg_eigvalsh("L").min().double_value(&[])
}
