//! The linear map from gates to codes. Gates are 0/1 for an architecture, soft for a relaxed one.

use crate::Decision;

/// A linear map from gates to the code that predictors read. Because it is linear, it works for the 0/1 gates of an architecture
/// and for the soft gates of a relaxed one.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoding {
    /// The name kept in predictor files, such as `one-hot`.
    pub id: &'static str,
    /// Number of gates: choices over all decisions, `none` included.
    pub n_gates: usize,
    /// For each feature its name and the gates that it sums.
    pub features: Vec<(String, Vec<usize>)>,
}

impl Encoding {
    /// One column per decision and choice except `none`: a dropped edge is an all-zero row.
    pub fn one_hot(decisions: &[Decision]) -> Self {
        let features = columns(decisions)
            .map(|(gate, decision, choice)| (format!("{}={choice}", decision.name), vec![gate]))
            .collect();
        Self { id: "one-hot", n_gates: n_gates(decisions), features }
    }

    /// One column per class and choice except `none`: how many decisions of the class take this choice. `classes` are those of
    /// [`crate::Structure::classes`].
    pub fn counts(decisions: &[Decision], classes: &[usize]) -> Self {
        let classes: Vec<usize> = decisions
            .iter()
            .zip(classes)
            .flat_map(|(d, &class)| std::iter::repeat_n(class, d.n_gates()))
            .collect();
        let mut features: Vec<(usize, String, Vec<usize>)> = Vec::new();
        for (gate, decision, choice) in columns(decisions) {
            let class = classes[gate];
            let known = |(c, name, _): &&mut (usize, String, Vec<usize>)| {
                *c == class && name.ends_with(&format!(":{choice}"))
            };
            match features.iter_mut().find(known) {
                Some((_, _, gates)) => gates.push(gate),
                None => {
                    features.push((
                        class,
                        format!("{}:{choice}", decision.cell_type()),
                        vec![gate],
                    ));
                }
            }
        }
        let features = features.into_iter().map(|(_, name, gates)| (name, gates)).collect();
        Self { id: "counts", n_gates: n_gates(decisions), features }
    }
}

fn n_gates(decisions: &[Decision]) -> usize {
    decisions.iter().map(Decision::n_gates).sum()
}

/// Number, decision and name of every gate except those of `none`.
fn columns(decisions: &[Decision]) -> impl Iterator<Item = (usize, &Decision, String)> {
    decisions
        .iter()
        .flat_map(|d| d.gate_names().into_iter().enumerate().map(move |(c, name)| (d, c, name)))
        .enumerate()
        .filter(|(_, (d, c, _))| d.none() != Some(*c))
        .map(|(gate, (d, _, name))| (gate, d, name))
}
