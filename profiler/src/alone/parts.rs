//! Lists the pieces of a space's network that are timed by themselves.

use std::collections::BTreeMap;

use lat_space::{Condition, Graph, Piece, SearchSpace, Skeleton};

/// A distinct piece.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Its key, see [`Piece::key`].
    pub(super) key: String,
    pub(super) piece: Piece,
    /// How often it occurs in the network with all candidates.
    pub(super) places: usize,
}

/// The distinct pieces: operations by key, then classifiers, then the parts that published tables price by themselves. If `sizes`
/// is not empty, only pieces for these image sizes.
pub(super) fn parts(space: &dyn SearchSpace, skeleton: &Skeleton, sizes: &[u16]) -> Vec<Part> {
    let graph = space.graph(skeleton).without_auxiliary();
    let is_wanted = wanted(&graph, sizes);
    let (mut operations, mut classifiers) = (BTreeMap::new(), BTreeMap::new());
    for (when, piece) in graph.pieces() {
        if piece.computes() && is_wanted(&when) {
            let is_operation = matches!(piece, Piece::Op(_));
            let found = if is_operation { &mut operations } else { &mut classifiers };
            found.entry(piece.key()).or_insert((piece, 0)).1 += 1;
        }
    }
    // A network has one classifier, whichever shapes it may read.
    for (_, places) in classifiers.values_mut() {
        *places = 1;
    }
    let mut further = BTreeMap::new();
    // If the published form has no names for these widths, no such table can be written, and its parts are not needed.
    let rows = space.table_form().and_then(|form| form.rows(&graph).ok()).unwrap_or_default();
    for row in rows.into_iter().filter(|row| row.piece.computes() && is_wanted(&row.when)) {
        let key = row.piece.key();
        if !operations.contains_key(&key) && !classifiers.contains_key(&key) {
            further.insert(key, (row.piece, 0));
        }
    }
    let all = operations.into_iter().chain(classifiers).chain(further);
    all.map(|(key, (piece, places))| Part { key, piece, places }).collect()
}

/// Whether a condition can hold if the image has one of the sizes. Without sizes, any can.
fn wanted(graph: &Graph, sizes: &[u16]) -> impl Fn(&Condition) -> bool {
    let is_out = |size: u16| !sizes.is_empty() && !sizes.contains(&size);
    let all = graph.image_sizes();
    let out: Vec<_> =
        all.into_iter().filter_map(|(choice, size)| choice.filter(|_| is_out(size))).collect();
    move |when| !when.iter().any(|choice| out.contains(choice))
}

#[cfg(test)]
mod tests {
    use lat_space::{Op, SPACES, VARIANTS, find_skeleton, find_space};

    use super::*;

    fn keys(space: &dyn SearchSpace, preset: &str, sizes: &[u16]) -> Vec<String> {
        let skeleton = find_skeleton(space, preset).unwrap();
        parts(space, &skeleton, sizes).into_iter().map(|part| part.key).collect()
    }

    #[test]
    fn every_operation_of_every_space_is_a_part_once() {
        for space in SPACES.iter().chain(VARIANTS).map(|build| build()) {
            let keys = keys(space.as_ref(), "quick", &[]);
            assert!(keys.iter().any(|key| key == Piece::CLASSIFIER), "{}: {keys:?}", space.id());
            let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
            assert_eq!(distinct.len(), keys.len(), "{}", space.id());
            let graph = space.graph(&find_skeleton(space.as_ref(), "quick").unwrap());
            for spec in graph.variants().map(|variant| variant.op) {
                let is_free = matches!(spec.op, Op::None | Op::Identity);
                assert_eq!(keys.contains(&spec.key()), !is_free, "{}", spec.key());
            }
        }
    }

    #[test]
    fn named_sizes_leave_the_others_out() {
        let space = find_space("ofa-w12").unwrap();
        let (all, one) =
            (keys(space.as_ref(), "imagenet", &[]), keys(space.as_ref(), "imagenet", &[160]));
        // The table's 96 rows, plus the feature mix as a whole (it is two rows of the table), plus the resize to this size.
        assert_eq!(one.len(), 96 + 1 + 1);
        assert!(one.iter().all(|key| all.contains(key)) && all.len() > 1000, "{}", all.len());
        assert!(one.iter().any(|key| key == "global_pool-c1152-5"), "{one:?}");
        assert!(one.iter().any(|key| key == "feature_mix_hswish-c1152-c1536-s1-1"), "{one:?}");
    }
}
