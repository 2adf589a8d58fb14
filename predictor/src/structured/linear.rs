//! The closed-form part of the predictor: a linear model on structured features with learnt priors.

use ndarray::{Array1, ArrayView1, ArrayView2, Axis};
use tch::Tensor;

use super::averaging::{self, Belief};
use super::evidence::{self, Evidence, NEGLIGIBLE};
use super::one_thread::OneThread;
use super::posterior::{self, Problem};
use crate::PredictError;
use crate::folds::{select, subset};
use crate::metrics::{mean, relative_errors};
use crate::model::Model;
use crate::model::scale::{Scale, Standard};
use crate::regressor::Layout;

/// The most rows from which the scale of the target is chosen, and from which the variances are learnt.
const PILOT_ROWS: usize = 200;
const EVIDENCE_ROWS: usize = 400;
/// With fewer rows, a choice of scale could not be trusted.
const LEAST_PILOT_ROWS: usize = 40;
/// Costs of parts usually add up, so another scale must be clearly better to be preferred.
const BONUS: f64 = 0.95;
/// From this number of rows on, matrices are large enough for several threads to pay off.
const MANY_ROWS: usize = 5000;

/// A linear model, and the results on held-out rows, on the model's standardised scale.
pub(crate) struct Start {
    pub(crate) model: Model,
    /// For each row the prediction of a fit without it.
    pub(crate) held_out: Array1<f64>,
    /// Relative noise variance of each row.
    pub(crate) base: Vec<f64>,
}

/// Targets on one scale.
struct Targets {
    /// Standardised, `[n]`.
    z: Vec<f64>,
    /// Relative noise variance of each row.
    base: Vec<f64>,
}

/// Means of the features, and the factors that bring each group's spread to 1.
struct Scaling {
    means: Vec<f64>,
    scales: Vec<f64>,
    variances: Vec<f64>,
}

/// The prior belief about the weights.
pub(crate) struct Prior {
    pub(crate) standard: Standard,
    /// Numbers of the features that matter.
    pub(crate) kept: Vec<usize>,
    /// For each kept feature its mean, and the factor that makes its weight's prior variance 1.
    pub(crate) means: Vec<f64>,
    pub(crate) scales: Vec<f64>,
    /// Noise variance of a row whose relative noise is 1.
    pub(crate) noise: f64,
}

/// In [`prior`] each group of features keeps this share of its initial variance, whatever a few rows suggest.
const OPEN: f64 = 0.2;

/// The prior that checked rows suggest. Means and spreads of the features come from other, random rows (`others`). A feature that
/// occurs in no row has the variance of its group.
pub(crate) fn prior(
    x: ArrayView2<f32>,
    y: ArrayView1<f64>,
    others: ArrayView2<f32>,
    layout: &Layout,
    seed: u64,
) -> Result<Prior, PredictError> {
    let standard = Standard::of(better_scale(x, y, layout, seed)?, y);
    let (x, y) = select(x, y, &subset(y.len(), EVIDENCE_ROWS, seed));
    let scaling = Scaling::of(others, layout);
    let evidence = learn(x.view(), &Targets::new(y.view(), &standard), layout, &scaling)?;
    let n_groups = layout.groups.iter().max().map_or(0, |g| g + 1) as f64;
    let variance = |j: usize| (1.0 - OPEN) * evidence.variances[j] + OPEN / n_groups;
    let explained = |j: usize| variance(j) * scaling.variances[j] * scaling.scales[j].powi(2);
    let kept: Vec<usize> = (0..x.ncols()).filter(|&j| explained(j) > NEGLIGIBLE).collect();
    let means = kept.iter().map(|&j| scaling.means[j]).collect();
    let scales = kept.iter().map(|&j| variance(j).sqrt() * scaling.scales[j]).collect();
    Ok(Prior { standard, kept, means, scales, noise: evidence.noise })
}

/// Fits to checked rows, on the given scale or else on the one that suits them best.
pub(crate) fn fit(
    scale: Option<Scale>,
    x: ArrayView2<f32>,
    y: ArrayView1<f64>,
    layout: &Layout,
    seed: u64,
) -> Result<Start, PredictError> {
    let scale = match scale {
        Some(scale) => scale,
        None => better_scale(x, y, layout, seed)?,
    };
    fit_on(scale, x, y, layout, seed)
}

/// Fits to checked rows on this scale.
pub(crate) fn fit_on(
    scale: Scale,
    x: ArrayView2<f32>,
    y: ArrayView1<f64>,
    layout: &Layout,
    seed: u64,
) -> Result<Start, PredictError> {
    let _threads = (y.len() < MANY_ROWS).then(OneThread::start);
    let standard = Standard::of(scale, y);
    let floor = y.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
    let targets = Targets::new(y, &standard);
    let (sample_x, sample_y) = select(x, y, &subset(y.len(), EVIDENCE_ROWS, seed));
    let sample = Targets::new(sample_y.view(), &standard);
    let scaling = Scaling::of(sample_x.view(), layout);
    let rows = Fitting {
        x: x.reborrow(),
        targets: &targets,
        sample_x: sample_x.view(),
        sample: &sample,
        seed,
    };
    let all: Vec<usize> = (0..x.ncols()).collect();
    let mut belief = rows.believe(&all, layout, &scaling)?;
    let simple = layout.simple_features();
    // The two models can be compared only if the evidence is that of all rows.
    if y.len() <= EVIDENCE_ROWS && !simple.is_empty() && simple.len() < all.len() {
        belief = averaging::average(belief, rows.believe(&simple, layout, &scaling)?);
    }
    let Belief { kept, posterior, noise, .. } = belief;
    let spread = posterior.spread(&kept, x.ncols(), noise, &standard, y);
    let mut weights = vec![0.0f32; x.ncols()];
    kept.iter().zip(&posterior.weights).for_each(|(&j, w)| weights[j] = *w as f32);
    let held_out = Array1::from(posterior.held_out);
    let errors = relative_errors(y, &held_out, &standard, floor);
    let model = Model {
        weights: Tensor::from_slice(&weights).unsqueeze(-1),
        intercept: posterior.intercept,
        correction: None,
        standard,
        floor,
        validation_error: 100.0 * mean(&errors),
        spread: Some(spread),
    };
    Ok(Start { model, held_out, base: targets.base })
}

/// Rows to fit to, and the subset from which variances are learnt.
struct Fitting<'a> {
    x: ArrayView2<'a, f32>,
    targets: &'a Targets,
    sample_x: ArrayView2<'a, f32>,
    sample: &'a Targets,
    seed: u64,
}

impl Fitting<'_> {
    /// Fits these features (ascending) to all rows.
    fn believe(
        &self,
        features: &[usize],
        layout: &Layout,
        scaling: &Scaling,
    ) -> Result<Belief, PredictError> {
        let (layout, scaling) = (layout.of(features), scaling.of_features(features));
        let sample_x = self.sample_x.select(Axis(1), features);
        let evidence = learn(sample_x.view(), self.sample, &layout, &scaling)?;
        let explained =
            |j: usize| evidence.variances[j] * scaling.variances[j] * scaling.scales[j].powi(2);
        let kept: Vec<usize> = (0..features.len()).filter(|&j| explained(j) > NEGLIGIBLE).collect();
        let means: Vec<f64> = kept.iter().map(|&j| scaling.means[j]).collect();
        let scales: Vec<f64> =
            kept.iter().map(|&j| evidence.variances[j].sqrt() * scaling.scales[j]).collect();
        let kept: Vec<usize> = kept.into_iter().map(|j| features[j]).collect();
        let posterior = posterior::solve(&Problem {
            x: self.x.reborrow(),
            kept: &kept,
            means: &means,
            scales: &scales,
            z: &self.targets.z,
            base: &self.targets.base,
            noise: evidence.noise,
            seed: self.seed,
        })?;
        let Evidence { noise, log_evidence, .. } = evidence;
        Ok(Belief { kept, posterior, noise, log_evidence })
    }
}

/// The scale on which the held-out rows of a small sample are predicted better. Rows must be checked.
pub(crate) fn better_scale(
    x: ArrayView2<f32>,
    y: ArrayView1<f64>,
    layout: &Layout,
    seed: u64,
) -> Result<Scale, PredictError> {
    if y.len() < LEAST_PILOT_ROWS {
        return Ok(Scale::Plain);
    }
    let (x, y) = select(x, y, &subset(y.len(), PILOT_ROWS, seed));
    let floor = y.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
    let error = |scale| -> Result<f64, PredictError> {
        let standard = Standard::of(scale, y.view());
        let scaling = Scaling::of(x.view(), layout);
        let evidence = learn(x.view(), &Targets::new(y.view(), &standard), layout, &scaling)?;
        let held_out = Array1::from(evidence.held_out);
        Ok(mean(&relative_errors(y.view(), &held_out, &standard, floor)))
    };
    let plain = error(Scale::Plain)?;
    let mut best = (Scale::Plain, BONUS * plain);
    for scale in [Scale::Reciprocal, Scale::Log] {
        let error = error(scale)?;
        if error < best.1 {
            best = (scale, error);
        }
    }
    Ok(best.0)
}

impl Targets {
    fn new(y: ArrayView1<f64>, standard: &Standard) -> Self {
        Self { z: standard.apply(y).to_vec(), base: standard.scale.relative_noise(y) }
    }
}

/// The variances that codes `[m, n_features]` and their targets suggest.
fn learn(
    x: ArrayView2<f32>,
    targets: &Targets,
    layout: &Layout,
    scaling: &Scaling,
) -> Result<Evidence, PredictError> {
    let mut features = Vec::with_capacity(x.len());
    for row in x.rows() {
        let scaled = row.iter().zip(&scaling.means).zip(&scaling.scales);
        features.extend(scaled.map(|((v, mean), scale)| (f64::from(*v) - mean) * scale));
    }
    let features = Tensor::from_slice(&features).view([x.nrows() as i64, x.ncols() as i64]);
    evidence::learn(&features, &targets.z, &targets.base, layout)
}

impl Scaling {
    fn of(x: ArrayView2<f32>, layout: &Layout) -> Self {
        let n = x.nrows() as f64;
        let mut means = vec![0.0f64; x.ncols()];
        let mut variances = vec![0.0f64; x.ncols()];
        for row in x.axis_iter(Axis(0)) {
            means.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v) / n);
        }
        for row in x.axis_iter(Axis(0)) {
            let centred = row.iter().zip(&means).map(|(v, m)| (f64::from(*v) - m).powi(2) / n);
            variances.iter_mut().zip(centred).for_each(|(s, v)| *s += v);
        }
        let mut groups = vec![0.0; layout.groups.iter().max().map_or(0, |g| g + 1)];
        for (&group, variance) in layout.groups.iter().zip(&variances) {
            groups[group] += variance;
        }
        // A feature that never varies carries no information.
        let scale = |(&group, variance): (&usize, &f64)| {
            if *variance > 1e-9 { 1.0 / f64::sqrt(groups[group]) } else { 0.0 }
        };
        let scales = layout.groups.iter().zip(&variances).map(scale).collect();
        Self { means, scales, variances }
    }

    fn of_features(&self, features: &[usize]) -> Self {
        let pick = |values: &[f64]| features.iter().map(|&j| values[j]).collect();
        Self {
            means: pick(&self.means),
            scales: pick(&self.scales),
            variances: pick(&self.variances),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Costs of three counts and noise, beside 60 features that carry no information.
    fn rows(n: usize, seed: u64) -> (Array2<f32>, Array1<f64>) {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let x = Array2::from_shape_fn((n, 63), |_| f32::from(rng.gen_range(0u8..4)));
        let mut cost = |r: ndarray::ArrayView1<f32>| {
            let sum: f32 = r.iter().zip([1.0, 2.0, 0.5]).map(|(v, w)| v * w).sum();
            10.0 + f64::from(sum) + rng.gen_range(-1.0..1.0)
        };
        let y = x.rows().into_iter().map(&mut cost).collect();
        (x, y)
    }

    #[test]
    fn of_few_rows_the_simple_groups_are_believed_first() {
        let groups = (0..63).map(|j| usize::from(j >= 3)).collect();
        let plain = Layout { groups, blocks: vec![None; 63], simple: Vec::new() };
        let knowing = Layout { simple: vec![0], ..plain.clone() };
        // The total weight that features without information get.
        let wrong = |layout: &Layout, n: usize, seed: u64| {
            let (x, y) = rows(n, seed);
            let start = fit_on(Scale::Plain, x.view(), y.view(), layout, 0).unwrap();
            crate::model::to_vec(&start.model.weights)[3..].iter().map(|w| w.abs()).sum::<f32>()
        };
        let total = |layout: &Layout| (0..10).map(|seed| wrong(layout, 12, seed)).sum::<f32>();
        let (with, without) = (total(&knowing), total(&plain));
        assert!(with < 0.5 * without, "{with} of {without}");
        let many = EVIDENCE_ROWS + 1;
        assert_eq!(
            wrong(&knowing, many, 0),
            wrong(&plain, many, 0),
            "many rows speak for themselves"
        );
    }
}
