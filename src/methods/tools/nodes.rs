//! Which edges end in one node.

use lat_space::Decision;
use tch::Tensor;

/// Decisions that end in the same node of the same cell type, by their names (`normal/0-2`).
pub(crate) fn nodes(decisions: &[Decision]) -> Vec<Vec<usize>> {
    let end = |d: &Decision| {
        let to = d.name.rsplit('-').next().unwrap_or_default().to_owned();
        (d.cell_type().to_owned(), to)
    };
    let mut nodes: Vec<((String, String), Vec<usize>)> = Vec::new();
    for (i, decision) in decisions.iter().enumerate() {
        let key = end(decision);
        match nodes.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(i),
            None => nodes.push((key, vec![i])),
        }
    }
    nodes.into_iter().map(|(_, members)| members).collect()
}

/// Puts values of some edges, `[n]` for the `n` edges of each node, into the order of the decisions: a scalar each.
pub(crate) fn per_edge<'a>(nodes: impl IntoIterator<Item = (&'a [usize], Tensor)>) -> Vec<Tensor> {
    let of_node = |(node, values): (&[usize], Tensor)| {
        node.iter().copied().zip(values.unbind(0)).collect::<Vec<_>>()
    };
    let mut all: Vec<(usize, Tensor)> = nodes.into_iter().flat_map(of_node).collect();
    all.sort_by_key(|(edge, _)| *edge);
    all.into_iter().map(|(_, value)| value).collect()
}
