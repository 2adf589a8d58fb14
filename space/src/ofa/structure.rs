//! How the decisions of Once-for-All act together.

use super::{DEPTHS, Ofa, RESOLUTION};
use crate::structure::neighbours;
use crate::{Decision, DecisionId, Presence, Structure};

pub(super) fn of(space: &Ofa) -> Structure {
    let n = space.decisions.len();
    let kind = |d: &Decision| d.name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let kind = |d: &Decision| kind(d).split('/').next_back().map(str::to_owned);
    let class = |d: &Decision| {
        let alike = |o: &Decision| kind(o) == kind(d);
        space.decisions.iter().position(alike).expect("a decision is like itself")
    };
    let values = |d: &Decision| d.choices.iter().map(|c| c.name.parse().ok()).collect();
    let mut presence = vec![None; n];
    let mut blocks: Vec<Vec<DecisionId>> =
        space.stages.iter().filter_map(|s| s.depth).map(|d| vec![d]).collect();
    let mut stages = Vec::new();
    for stage in &space.stages {
        stages.push((blocks.len()..blocks.len() + stage.n()).collect());
        for (b, (kernel, expansion)) in
            stage.kernels.clone().zip(stage.expansions.clone()).enumerate()
        {
            blocks.push(vec![kernel, expansion]);
            let Some(decision) = stage.depth.filter(|_| b >= DEPTHS[0]) else { continue };
            let choices = (0..DEPTHS.len()).filter(|&c| DEPTHS[c] > b).collect();
            let there = Presence { decision, choices };
            (presence[kernel], presence[expansion]) = (Some(there.clone()), Some(there));
        }
    }
    Structure {
        classes: space.decisions.iter().map(class).collect(),
        values: space.decisions.iter().map(values).collect(),
        presence,
        pairs: neighbours(blocks.len()),
        blocks,
        stages,
        scales: vec![RESOLUTION],
        edges: None,
    }
}
