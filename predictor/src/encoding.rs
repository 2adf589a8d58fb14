//! The codes that regressors read: features of a space, computed from an architecture's gates.

use lat_space::{Decision, FeatureMap, Space};
use ndarray::{Array2, ArrayView2};

use crate::regressor::Layout;
use crate::{PredictError, Progress, Setup};

/// Groups of features that networks read, besides the linear part's subtotals: those of single decisions, counts and work.
const SIMPLE: [&str; 12] = [
    "one-hot",
    "counts",
    "value",
    "live",
    "live-counts",
    "reach",
    "scale",
    "scale-one-hot",
    "multiply-adds",
    "elements",
    "number",
    "number-squares",
];
/// Groups with so few numbers that they make a model by themselves if there are few rows.
const FEW_NUMBERS: [&str; 3] = ["counts", "multiply-adds", "elements"];
/// Gate vectors that are encoded at once.
const CHUNK: usize = 1024;

/// The features of a space by the encoding's id: `one-hot`, `counts` or `structured`.
pub(crate) fn find(space: &dyn Space, id: &str) -> Result<FeatureMap, PredictError> {
    match id {
        "one-hot" => Ok(FeatureMap::of_encoding(&space.encoding())),
        "counts" => Ok(FeatureMap::of_encoding(&space.counts_encoding())),
        "structured" => Ok(FeatureMap::structured(space)),
        _ => Err(PredictError::Mismatch {
            what: "encoding",
            expected: "one-hot, counts or structured".to_owned(),
            found: id.to_owned(),
            advice: "train again with this version of lat",
        }),
    }
}

/// The setup for regressors, which describes the features.
pub(crate) fn setup(map: &FeatureMap, space: &dyn Space, seed: u64) -> Setup {
    let features = map.features.iter();
    let layout = Layout {
        groups: features.clone().map(|f| usize::from(f.group)).collect(),
        blocks: features.clone().map(|f| f.block.map(usize::from)).collect(),
        simple: (0..map.groups.len())
            .filter(|&g| FEW_NUMBERS.contains(&map.groups[g].as_str()))
            .collect(),
    };
    let is_simple =
        |f: &lat_space::Feature| SIMPLE.contains(&map.groups[usize::from(f.group)].as_str());
    let inputs = features.enumerate().filter(|(_, f)| is_simple(f)).map(|(j, _)| j).collect();
    let parts = parts(map, space);
    Setup { seed, layout, inputs, parts, scale: None, progress: Progress::default() }
}

/// The features of each cell type, those of each stage, and all of them.
fn parts(map: &FeatureMap, space: &dyn Space) -> Vec<Vec<usize>> {
    let structure = space.structure();
    let cell_type = |block: usize| {
        let first = structure.blocks[block].first();
        first.map_or("", |&d: &usize| Decision::cell_type(&space.decisions()[d]))
    };
    let mut cell_types: Vec<&str> = (0..structure.blocks.len()).map(cell_type).collect();
    cell_types.sort_unstable();
    cell_types.dedup();
    let of = |is_member: &dyn Fn(usize) -> bool| -> Vec<usize> {
        let features = map.features.iter().enumerate();
        let own = |b: Option<u16>| {
            b.is_some_and(|b| usize::from(b) < structure.blocks.len() && is_member(usize::from(b)))
        };
        features.filter(|(_, f)| own(f.block)).map(|(j, _)| j).collect()
    };
    // If there are many cell types, each is a single decision, and networks read those anyway.
    let cells = cell_types.iter().filter(|_| (2..=4).contains(&cell_types.len()));
    let of_cells = cells.map(|cell| of(&|b| cell_type(b) == *cell));
    let of_stages = structure.stages.iter().map(|stage| of(&|b| stage.contains(&b)));
    let all = std::iter::once((0..map.len()).collect());
    of_cells.chain(of_stages).chain(all).filter(|part| part.len() > 1).collect()
}

/// Features `[n, len]` of gate vectors `[n, n_gates]`.
pub(crate) fn encode(
    map: &FeatureMap,
    gates: ArrayView2<f32>,
) -> Result<Array2<f32>, PredictError> {
    if gates.ncols() != map.n_gates {
        let (expected, found) = (map.n_gates, gates.ncols());
        return Err(PredictError::Width { what: "gates", expected, found });
    }
    let mut codes = Array2::zeros((gates.nrows(), map.len()));
    let chunks = gates.axis_chunks_iter(ndarray::Axis(0), CHUNK);
    for (chunk, mut codes) in chunks.zip(codes.axis_chunks_iter_mut(ndarray::Axis(0), CHUNK)) {
        let n = chunk.nrows();
        let by_gate: Vec<f32> = chunk.t().iter().copied().collect();
        let values = map.values(&by_gate, n);
        for (feature, mut column) in map.features.iter().zip(codes.columns_mut()) {
            let start = feature.value as usize * n;
            column.iter_mut().zip(&values[start..start + n]).for_each(|(c, v)| *c = *v);
        }
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use lat_space::{Darts, architecture_at};

    use super::*;

    #[test]
    fn codes_are_those_of_the_map() {
        let space = Darts::new();
        let gates: Vec<Vec<f32>> = (0..5)
            .map(|i| architecture_at(&space, 3, i).unwrap().gates(space.decisions()))
            .collect();
        let all = Array2::from_shape_vec((5, 224), gates.concat()).unwrap();
        for id in ["one-hot", "counts", "structured"] {
            let map = find(&space, id).unwrap();
            let codes = encode(&map, all.view()).unwrap();
            for (gates, code) in gates.iter().zip(codes.rows()) {
                assert_eq!(map.encode(gates), code.to_vec());
            }
        }
        let map = find(&space, "one-hot").unwrap();
        assert!(encode(&map, Array2::zeros((1, 30)).view()).is_err());
        assert!(find(&space, "paths").unwrap_err().to_string().contains("found paths"));
    }

    #[test]
    fn parts_are_cell_types_and_all() {
        let space = Darts::new();
        let map = FeatureMap::structured(&space);
        let setup = setup(&map, &space, 0);
        assert_eq!(setup.parts.len(), 3);
        assert_eq!(setup.parts[0].len(), 98);
        assert_eq!(setup.parts[2].len(), map.len());
        assert_eq!(setup.inputs.len(), 196 + 14 + 2 * 3);
    }
}
