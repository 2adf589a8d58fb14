use lat_space::{Architecture, Decision, SearchSpace};

use crate::relaxed::Relaxed;

/// DARTS' rule: of each group keep the strongest decisions, on each the most probable choice other than `none`; a decision
/// outside groups takes its most probable choice. Ties go to the earlier one.
pub fn derive(space: &dyn SearchSpace, relaxed: &Relaxed) -> Architecture {
    let decisions = space.decisions();
    let mut choices: Vec<usize> = decisions
        .iter()
        .zip(&relaxed.probs)
        .map(|(decision, probs)| best(&values(probs), None.or_else(|| grouped(space, decision))))
        .collect();
    for group in space.groups() {
        let strength = |d: &usize| relaxed.strengths[*d].double_value(&[]);
        let mut order = group.decisions.clone();
        // A stable sort: of equals the earlier stays in front.
        order.sort_by(|a, b| strength(b).total_cmp(&strength(a)));
        for &dropped in &order[group.keep.min(order.len())..] {
            choices[dropped] = decisions[dropped].none().expect("groups compete by `none`");
        }
    }
    Architecture::new(space.id(), choices)
}

/// The `none` that a member of a group never takes by itself.
fn grouped(space: &dyn SearchSpace, decision: &Decision) -> Option<usize> {
    let in_group = space
        .groups()
        .iter()
        .any(|g| g.decisions.iter().any(|&d| &space.decisions()[d] == decision));
    if in_group { decision.none() } else { None }
}

fn best(probs: &[f64], without: Option<usize>) -> usize {
    let candidates = (0..probs.len()).filter(|c| Some(*c) != without);
    candidates.reduce(|a, b| if probs[b] > probs[a] { b } else { a }).unwrap_or(0)
}

fn values(probs: &tch::Tensor) -> Vec<f64> {
    (0..probs.size()[0]).map(|c| probs.double_value(&[c])).collect()
}
