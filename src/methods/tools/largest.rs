//! The largest network of a space.

use lat_space::{Architecture, SearchSpace};

/// The architecture with most multiply-adds in the skeleton `cifar`, where [`lat_space::Work`] is counted: per decision the choice that
/// computes most, of equals the later one. Where the space does not count what its choices do, all are equals.
pub(crate) fn largest(space: &dyn SearchSpace) -> Architecture {
    let work = space.work();
    let of = |d: usize, c: usize| work.as_ref().map_or(0.0, |work| work[d][c].multiply_adds);
    let most = |d: usize| {
        let choices = 0..space.decisions()[d].choices.len();
        choices.max_by(|&a, &b| of(d, a).total_cmp(&of(d, b))).expect("a decision has choices")
    };
    Architecture::new(space.id(), (0..space.decisions().len()).map(most))
}

#[cfg(test)]
mod tests {
    use lat_space::{NasBench201, Space, architecture_at, count, find_skeleton, find_space};

    use super::*;

    #[test]
    fn no_network_computes_more() {
        let nb201 = largest(&NasBench201::new());
        let conv = "nor_conv_3x3";
        let expected = format!("|{conv}~0|+|{conv}~0|{conv}~1|+|{conv}~0|{conv}~1|{conv}~2|");
        assert_eq!(NasBench201::new().format(&nb201), expected);
        for id in ["nasbench-macro", "fbnet", "proxyless", "pinas"] {
            let space = find_space(id).unwrap();
            let graph = space.graph(&find_skeleton(space.as_ref(), "cifar").unwrap());
            let adds = |a: &Architecture| count(&graph.derive(a)).multiply_adds;
            let most = adds(&largest(space.as_ref()));
            let drawn = (0..50).map(|i| architecture_at(space.as_ref(), 1, i).unwrap());
            assert!(drawn.map(|a| adds(&a)).all(|n| n <= most), "{id}");
        }
    }
}
