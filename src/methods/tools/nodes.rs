//! Groups edges by the node they end in.

use lat_space::Decision;
use tch::Tensor;

/// Groups of decisions that end in the same node of the same cell type. A decision that is not an edge forms a group of its own.
pub(crate) fn nodes(decisions: &[Decision]) -> Vec<Vec<usize>> {
    let mut nodes: Vec<Vec<usize>> = Vec::new();
    for (d, decision) in decisions.iter().enumerate() {
        let end = |d: &Decision| d.edge.map(|(_, to)| (d.cell_type().to_owned(), to));
        let is_same = |node: &&mut Vec<usize>| {
            decision.edge.is_some() && end(&decisions[node[0]]) == end(decision)
        };
        match nodes.iter_mut().find(is_same) {
            Some(node) => node.push(d),
            None => nodes.push(vec![d]),
        }
    }
    nodes
}

/// Sorts values of edges, `[n]` for the `n` edges of each node, into the order of the decisions; one scalar each.
pub(crate) fn per_edge<'a>(nodes: impl IntoIterator<Item = (&'a [usize], Tensor)>) -> Vec<Tensor> {
    let of_node = |(node, values): (&[usize], Tensor)| {
        node.iter().copied().zip(values.unbind(0)).collect::<Vec<_>>()
    };
    let mut all: Vec<(usize, Tensor)> = nodes.into_iter().flat_map(of_node).collect();
    all.sort_by_key(|(edge, _)| *edge);
    all.into_iter().map(|(_, value)| value).collect()
}
