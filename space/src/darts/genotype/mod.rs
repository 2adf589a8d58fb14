//! The genotype text of DARTS: `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], ...)`.
//!
//! If every node keeps two edges, the text is the flat list of the paper. Otherwise it has one list per node. `spellings.rs`
//! reads other spellings too.

mod quick;
mod spellings;

use spellings::Edge;

use super::{EDGES, NODES, PRIMITIVES, Searched, decision};
use crate::{Architecture, ChoiceSet, Group, SpaceError};

/// An example of the text, for messages.
fn expected(searched: Searched) -> &'static str {
    match searched {
        Searched::Both => {
            "Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6))"
        }
        Searched::Normal => {
            "Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6))"
        }
    }
}

pub(super) fn format(searched: Searched, architecture: &Architecture) -> String {
    let cells = searched.cell_types().iter().enumerate().map(|(cell_type, name)| {
        let nodes: Vec<Vec<String>> =
            (0..NODES).map(|n| pairs(architecture, cell_type, n)).collect();
        let list = if nodes.iter().all(|pairs| pairs.len() == 2) {
            nodes.concat().join(", ")
        } else {
            nodes.iter().map(|n| format!("[{}]", n.join(", "))).collect::<Vec<_>>().join(", ")
        };
        format!("{name}=[{list}], {name}_concat=range(2, 6)")
    });
    format!("Genotype({})", cells.collect::<Vec<_>>().join(", "))
}

/// `('op', predecessor)` for every operation kept at this node.
fn pairs(architecture: &Architecture, cell_type: usize, node: usize) -> Vec<String> {
    (0..node + 2)
        .flat_map(|predecessor| {
            let set = architecture.choices[decision(cell_type, node, predecessor)];
            set.iter().filter(|&op| op != 0).map(move |op| (op, predecessor))
        })
        .map(|(op, predecessor)| format!("('{}', {predecessor})", PRIMITIVES[op]))
        .collect()
}

pub(super) fn check(
    searched: Searched,
    architecture: &Architecture,
    groups: &[Group],
) -> Result<(), SpaceError> {
    let space = searched.space();
    let invalid = |reason: String| Err(SpaceError::Invalid { space: space.into(), reason });
    if architecture.space != space {
        return invalid(format!("it is an architecture of {}", architecture.space));
    }
    let n_edges = searched.cell_types().len() * EDGES;
    if architecture.choices.len() != n_edges {
        let found = architecture.choices.len();
        return invalid(format!("expected {n_edges} decisions, found {found}"));
    }
    if let Some(i) = architecture.choices.iter().position(|c| {
        c.is_empty() || c.iter().any(|op| op >= PRIMITIVES.len()) || (c.len() > 1 && c.contains(0))
    }) {
        return invalid(format!("decision {i} needs `none` alone or operations 1 to 7"));
    }
    for (n, group) in groups.iter().enumerate() {
        if group.decisions.iter().all(|&d| architecture.choices[d] == ChoiceSet::one(0)) {
            let (cell, node) = (searched.cell_types()[n / NODES], n % NODES);
            return invalid(format!(
                "node {node} of the {cell} cell has no input; cells of this space concatenate all four nodes"
            ));
        }
    }
    Ok(())
}

pub(super) fn parse(searched: Searched, text: &str) -> Result<Architecture, SpaceError> {
    let quick = if searched == Searched::Both { quick::parse(text) } else { None };
    quick.map_or_else(|| parse_any(searched, text), Ok)
}

/// A fault in a text: the form expected and the piece found.
struct Wrong {
    expected: String,
    found: String,
}

/// Reads any of the spellings. The error says what is wrong with the text.
fn parse_any(searched: Searched, text: &str) -> Result<Architecture, SpaceError> {
    read(searched, text).map_err(|Wrong { expected, found }| SpaceError::Text {
        space: searched.space().into(),
        expected,
        found,
    })
}

fn read(searched: Searched, text: &str) -> Result<Architecture, Wrong> {
    let cells = spellings::cells(searched, text)?;
    let cell_types = searched.cell_types();
    let mut choices = vec![Vec::new(); cell_types.len() * EDGES];
    for (cell_type, (name, edges)) in cell_types.iter().zip(cells).enumerate() {
        for Edge { node, op, predecessor } in edges {
            if predecessor > node + 1 {
                return Err(wrong(
                    &format!("a predecessor of node {node} from 0 to {}", node + 1),
                    &format!("{predecessor} in the {name} cell"),
                ));
            }
            let edge: &mut Vec<usize> = &mut choices[decision(cell_type, node, predecessor)];
            if edge.contains(&op) {
                return Err(wrong(
                    "each operation once per edge",
                    &format!("('{}', {predecessor}) twice at node {node}", PRIMITIVES[op]),
                ));
            }
            edge.push(op);
        }
    }
    let set =
        |edge: Vec<usize>| if edge.is_empty() { ChoiceSet::one(0) } else { ChoiceSet::of(edge) };
    let choices = choices.into_iter().map(set).collect();
    Ok(Architecture { space: searched.space().into(), choices })
}

fn wrong(expected: &str, found: &str) -> Wrong {
    Wrong { expected: expected.to_owned(), found: found.to_owned() }
}
