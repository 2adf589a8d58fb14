use lat_space::{Decision, Encoding, Space};
use ndarray::{Array2, ArrayView2};

use crate::PredictError;

/// The space's encoding of this id.
pub(crate) fn find(space: &dyn Space, id: &str) -> Result<Encoding, PredictError> {
    let all = [space.encoding(), space.counts_encoding()];
    let known: Vec<&str> = all.iter().map(|e| e.id).collect();
    let known = known.join(" or ");
    all.into_iter().find(|e| e.id == id).ok_or_else(|| PredictError::Mismatch {
        what: "encoding",
        expected: known,
        found: id.to_owned(),
        advice: "train again with this version of lat",
    })
}

/// Columns of the full encoding that the counts encoding adds up: one operation at different places.
pub(crate) fn ties(full: &Encoding, counts: &Encoding) -> Vec<Vec<usize>> {
    let inside = |sum: &[usize], gates: &[usize]| gates.iter().all(|g| sum.contains(g));
    let tied = |sum: &Vec<usize>| {
        let columns = full.features.iter().enumerate();
        columns.filter(|(_, (_, gates))| inside(sum, gates)).map(|(i, _)| i).collect::<Vec<_>>()
    };
    counts.features.iter().map(|(_, sum)| tied(sum)).filter(|tied| tied.len() > 1).collect()
}

/// Columns of each decision, and of each cell type.
pub(crate) fn parts(full: &Encoding, decisions: &[Decision]) -> Vec<Vec<usize>> {
    let owners: Vec<&Decision> =
        decisions.iter().flat_map(|d| d.choices.iter().map(move |_| d)).collect();
    let columns = |owned: &dyn Fn(&Decision) -> bool| -> Vec<usize> {
        let features = full.features.iter().enumerate();
        let inside = |gates: &[usize]| gates.iter().all(|&gate| owned(owners[gate]));
        features.filter(|(_, (_, gates))| inside(gates)).map(|(i, _)| i).collect()
    };
    let mut cell_types: Vec<&str> = decisions.iter().map(Decision::cell_type).collect();
    cell_types.dedup();
    let of_decisions = decisions.iter().map(|own| columns(&|d| d.name == own.name));
    let of_cells = cell_types.iter().map(|cell| columns(&|d| d.cell_type() == *cell));
    of_decisions.chain(of_cells).filter(|part| part.len() > 1).collect()
}

/// Codes `[n, len]` of gate vectors `[n, n_gates]`.
pub(crate) fn encode(
    encoding: &Encoding,
    gates: ArrayView2<f32>,
) -> Result<Array2<f32>, PredictError> {
    if gates.ncols() != encoding.n_gates {
        let (expected, found) = (encoding.n_gates, gates.ncols());
        return Err(PredictError::Width { what: "gates", expected, found });
    }
    let mut codes = Array2::zeros((gates.nrows(), encoding.len()));
    for (row, mut code) in gates.rows().into_iter().zip(codes.rows_mut()) {
        for ((_, sum), value) in encoding.features.iter().zip(&mut code) {
            *value = sum.iter().map(|&gate| row[gate]).sum();
        }
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use lat_space::{Darts, architecture_at};

    use super::*;

    #[test]
    fn codes_are_those_of_the_encoding() {
        let space = Darts::new();
        let gates: Vec<Vec<f32>> = (0..5)
            .map(|i| architecture_at(&space, 3, i).unwrap().gates(space.decisions()))
            .collect();
        let all = Array2::from_shape_vec((5, 224), gates.concat()).unwrap();
        for encoding in [space.encoding(), space.counts_encoding()] {
            let codes = encode(&encoding, all.view()).unwrap();
            for (gates, code) in gates.iter().zip(codes.rows()) {
                assert_eq!(encoding.encode(gates), code.to_vec());
            }
        }
        assert!(encode(&space.encoding(), Array2::zeros((1, 30)).view()).is_err());
    }

    #[test]
    fn parts_are_decisions_and_cell_types() {
        let space = Darts::new();
        let parts = parts(&space.encoding(), space.decisions());
        assert_eq!(parts.len(), 28 + 2);
        assert_eq!(parts[1], (7..14).collect::<Vec<_>>());
        assert_eq!(parts[29], (98..196).collect::<Vec<_>>());
    }

    #[test]
    fn ties_join_one_operation_of_one_cell_type() {
        let space = Darts::new();
        let ties = ties(&space.encoding(), &space.counts_encoding());
        assert_eq!((ties.len(), ties[0].len()), (14, 14));
        let names: Vec<_> =
            ties[3].iter().map(|&i| space.encoding().features[i].0.clone()).collect();
        assert_eq!(
            (names[0].as_str(), names[13].as_str()),
            ("normal/0-2=sep_conv_3x3", "normal/4-5=sep_conv_3x3")
        );
    }
}
