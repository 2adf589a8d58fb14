//! The linear map from gates to codes: of one architecture, or soft ones of a relaxed one.

use crate::{Choice, Decision};

/// A linear map from gates to the code that predictors read. Being linear it means the same for 0/1 gates of an architecture
/// and for the soft gates of a relaxed one.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoding {
    /// Name kept in predictor files: `one-hot`.
    pub id: &'static str,
    /// Number of gates: choices over all decisions, `none` included.
    pub n_gates: usize,
    /// Per feature its name and the gates it sums.
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

    /// One column per class and choice except `none`: how many decisions of the class take it. `classes` are those of
    /// [`crate::Structure::classes`].
    pub fn counts(decisions: &[Decision], classes: &[usize]) -> Self {
        let classes: Vec<usize> = decisions
            .iter()
            .zip(classes)
            .flat_map(|(d, &class)| d.choices.iter().map(move |_| class))
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
    decisions.iter().map(|d| d.choices.len()).sum()
}

/// Gate number, decision and choice of every gate but those of `none`.
fn columns(decisions: &[Decision]) -> impl Iterator<Item = (usize, &Decision, &Choice)> {
    decisions
        .iter()
        .flat_map(|d| d.choices.iter().map(move |c| (d, c)))
        .enumerate()
        .map(|(gate, (d, c))| (gate, d, c))
        .filter(|(_, _, c)| !c.is_none())
}
