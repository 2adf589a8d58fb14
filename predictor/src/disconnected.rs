//! The price of networks whose output does not depend on their input. A compiler leaves out all their operations, so they can cost up
//! to a thousand times less than the sum of these. Then they get a price of their own, and the other networks are fitted without them.

use lat_data::median;
use lat_space::{FeatureMap, Space};
use ndarray::{ArrayView2, Axis};

use crate::Samples;
use crate::encoding;
use crate::model::Predictions;

/// The feature that is 1 if a path leads from input to output, and 0 if none does.
const REACH: &str = "reach";
/// The price if no such network was measured, as a share of the least cost of the others. They are faster than all others, but
/// nobody knows by how much.
const UNSEEN: f64 = 0.01;
/// Networks without a path have a price of their own if the median of those measured is below this share of the least cost of all others.
const OWN_PRICE: f64 = 0.5;
/// The standard deviation of the price if fewer than two were measured, as a share of the price.
const UNSEEN_SD: f64 = 0.5;

/// Rows that are processed at once, to bound memory.
const CHUNK: usize = 1024;

/// The cost of networks without a path from input to output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Disconnected {
    /// From gates to [`REACH`].
    pub(crate) map: FeatureMap,
    /// In the predictor's unit.
    pub(crate) cost: f64,
    /// Standard deviation of a measurement around it.
    pub(crate) sd: f64,
}

/// Splits samples: returns those of networks with a path from input to output, and the price of the others.
///
/// The price is None if there is no map (see [`reach`]), and if the others have no price of their own: runtimes that run every operation,
/// as `lat profile` does, make them about as slow as any network, and then they stay among the samples. If none was measured,
/// `is_free_unseen` decides: few samples do not tell which kind of runtime it is.
pub(crate) fn split(
    reach: Option<FeatureMap>,
    samples: &Samples,
    is_free_unseen: bool,
) -> (Samples, Option<Disconnected>) {
    // Gates of another space are rejected by the code that reads them next.
    let fits = |map: &FeatureMap| map.n_gates == samples.gates.ncols();
    let Some(map) = reach.filter(fits) else { return (samples.clone(), None) };
    let cut = is_cut(&map, samples.gates.view());
    let (dead, live): (Vec<usize>, Vec<usize>) = (0..samples.len()).partition(|&row| cut[row]);
    let live = Samples {
        gates: samples.gates.select(Axis(0), &live),
        values: samples.values.select(Axis(0), &live),
    };
    let dead: Vec<f64> = dead.into_iter().map(|row| samples.values[row]).collect();
    let least = live.values.iter().copied().fold(f64::INFINITY, f64::min);
    let measured = median(dead.iter().copied());
    let has_own_price = measured.map_or(is_free_unseen, |cost| cost < OWN_PRICE * least);
    if live.values.is_empty() || !has_own_price {
        return (samples.clone(), None);
    }
    let cost = measured.unwrap_or(UNSEEN * least);
    // 1.4826 times the median of absolute errors is the standard deviation, if errors are normal.
    let spread = median(dead.iter().map(|value| 1.4826 * (value - cost).abs()));
    let sd = spread.filter(|_| dead.len() > 1).unwrap_or(UNSEEN_SD * cost);
    (live, Some(Disconnected { map, cost, sd }))
}

/// The map from gates to whether there is a path; None for spaces in which every network has one.
pub(crate) fn reach(space: &dyn Space) -> Option<FeatureMap> {
    space.structure().edges?;
    let map = encoding::find(space, "structured").ok()?;
    let place = map.features.iter().position(|feature| feature.name == REACH)?;
    Some(map.keep(&[place]))
}

/// For each row of gates `[n, n_gates]`, whether no path leads from input to output.
pub(crate) fn is_cut(map: &FeatureMap, gates: ArrayView2<f32>) -> Vec<bool> {
    let of_chunk = |chunk: ArrayView2<f32>| {
        let columns: Vec<f32> = chunk.t().iter().copied().collect();
        is_cut_in_columns(map, &columns, chunk.nrows())
    };
    gates.axis_chunks_iter(Axis(0), CHUNK).flat_map(of_chunk).collect()
}

fn is_cut_in_columns(map: &FeatureMap, gates: &[f32], n: usize) -> Vec<bool> {
    let values = map.values(gates, n);
    let start = map.features[0].value as usize * n;
    values[start..start + n].iter().map(|reach| *reach < 0.5).collect()
}

impl Disconnected {
    /// Replaces the model's predictions by the price for those rows of gates `[n, n_gates]` that have no path.
    pub(crate) fn put(&self, gates: ArrayView2<f32>, values: &mut [f64]) {
        for (value, is_cut) in values.iter_mut().zip(is_cut(&self.map, gates)) {
            *value = if is_cut { self.cost } else { *value };
        }
    }

    /// [`Self::put`] for gates that lie column by column.
    pub(crate) fn put_in_columns(&self, gates: &[f32], values: &mut [f64]) {
        let cut = is_cut_in_columns(&self.map, gates, values.len());
        for (value, is_cut) in values.iter_mut().zip(cut) {
            *value = if is_cut { self.cost } else { *value };
        }
    }

    /// [`Self::put`] for predictions with standard deviations.
    pub(crate) fn put_all(&self, gates: ArrayView2<f32>, found: &mut Predictions) {
        for (row, is_cut) in is_cut(&self.map, gates).into_iter().enumerate() {
            if is_cut {
                found.values[row] = self.cost;
                found.sds[row] = self.sd;
                found.is_off_data[row] = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{Darts, NasBench201};

    use super::*;

    const DEAD: &str = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|nor_conv_3x3~1|none~2|";
    const LIVE: &str = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|";

    #[test]
    fn a_cut_cell_has_a_price_of_its_own() {
        let space = NasBench201::new();
        let parse = |text| space.parse(text).unwrap();
        let (dead, live) = (parse(DEAD), parse(LIVE));
        let rows = [(&dead, 0.003), (&live, 4.0), (&dead, 0.005), (&dead, 0.004)];
        let samples = Samples::of(&space, rows).unwrap();
        let (kept, found) = split(reach(&space), &samples, false);
        let found = found.unwrap();
        assert_eq!((kept.values.to_vec(), found.cost), (vec![4.0], 0.004));
        assert!((found.sd - 0.001_482_6).abs() < 1e-9, "{}", found.sd);
        let mut values = vec![7.0; 4];
        found.put(samples.gates.view(), &mut values);
        assert_eq!(values, [0.004, 7.0, 0.004, 0.004]);
        let columns: Vec<f32> = samples.gates.t().iter().copied().collect();
        let mut of_columns = vec![7.0; 4];
        found.put_in_columns(&columns, &mut of_columns);
        assert_eq!(of_columns, values);
        let unseen = |is_free| split(reach(&space), &kept, is_free).1.map(|d| d.cost);
        assert_eq!((unseen(true), unseen(false)), (Some(0.04), None));
        // Where all operations run, they are samples like all others.
        let run = Samples::of(&space, [(&dead, 3.0), (&live, 4.0), (&dead, 5.0)]).unwrap();
        assert_eq!(split(reach(&space), &run, true), (run.clone(), None));
    }

    #[test]
    fn spaces_whose_networks_always_have_a_path_are_left_alone() {
        let space = Darts::new();
        let architecture = lat_space::architecture_at(&space, 0, 1).unwrap();
        let samples = Samples::of(&space, [(&architecture, 1.0)]).unwrap();
        assert_eq!(split(reach(&space), &samples, true), (samples.clone(), None));
    }
}
