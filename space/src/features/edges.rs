//! Which edges of a small graph lie on a path from its input to its output, as polynomials in the edges' own gates.

use super::Builder;
use crate::Edges;

/// Graphs with more edges have too many subsets to sum over.
const MOST_EDGES: usize = 12;

/// For each edge the value that is 1 if its start can be reached from the input and its end reaches the output, and the value
/// that is 1 if any path joins input and output. `on[i]` is 1 if edge i is not cut. None for graphs with too many edges.
pub(super) fn alive(
    b: &mut Builder,
    edges: &[(usize, usize)],
    graph: &Edges,
    on: &[u32],
) -> Option<(Vec<u32>, u32)> {
    if edges.len() > MOST_EDGES {
        return None;
    }
    let reaches = |set: usize, from: usize, to: usize| reaches(edges, set, from, to);
    let mut monomials = Monomials::new(on);
    let is_alive = |edge: usize, set: usize| {
        let (start, end) = edges[edge];
        let others = set & !(1 << edge);
        reaches(others, graph.input, start) && reaches(others, end, graph.output)
    };
    let per_edge = (0..edges.len())
        .map(|edge| polynomial(b, &mut monomials, edges.len(), |set| is_alive(edge, set)))
        .collect();
    let joined =
        polynomial(b, &mut monomials, edges.len(), |set| reaches(set, graph.input, graph.output));
    Some((per_edge, joined))
}

/// Whether a path of edges in the set leads from one node to the other.
fn reaches(edges: &[(usize, usize)], set: usize, from: usize, to: usize) -> bool {
    let mut seen = vec![from];
    let mut next = 0;
    while let Some(&node) = seen.get(next) {
        let ends = edges.iter().enumerate().filter(|(i, e)| set >> i & 1 == 1 && e.0 == node);
        let new: Vec<usize> = ends.map(|(_, e)| e.1).filter(|n| !seen.contains(n)).collect();
        seen.extend(new);
        next += 1;
    }
    seen.contains(&to)
}

/// The polynomial, linear in each edge, that equals the function on every set of edges. Its coefficient for a product of edges is
/// the sum of the function's values over that set's subsets, each with the sign of the difference in size (Moebius inversion).
fn polynomial(
    b: &mut Builder,
    monomials: &mut Monomials,
    n: usize,
    f: impl Fn(usize) -> bool,
) -> u32 {
    let mut coefficients: Vec<f32> =
        (0..1usize << n).map(|set| f32::from(u8::from(f(set)))).collect();
    for edge in 0..n {
        for set in (0..coefficients.len()).filter(|set| set >> edge & 1 == 1) {
            coefficients[set] -= coefficients[set & !(1 << edge)];
        }
    }
    let terms = coefficients.iter().enumerate().filter(|(_, c)| **c != 0.0);
    let terms = terms.map(|(set, &c)| (monomials.of(b, set), c)).collect();
    b.sum(terms)
}

/// Products of edges; each is made only once.
struct Monomials<'a> {
    on: &'a [u32],
    made: Vec<Option<u32>>,
}

impl<'a> Monomials<'a> {
    fn new(on: &'a [u32]) -> Self {
        Self { on, made: vec![None; 1 << on.len()] }
    }

    fn of(&mut self, b: &mut Builder, set: usize) -> u32 {
        if set == 0 {
            return 0;
        }
        if let Some(made) = self.made[set] {
            return made;
        }
        let last = set.trailing_zeros() as usize;
        let rest = self.of(b, set & (set - 1));
        let value = b.product(rest, self.on[last]);
        self.made[set] = Some(value);
        value
    }
}
