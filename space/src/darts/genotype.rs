//! The genotype text of DARTS: `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], ...)`.
//!
//! Two pairs per node make the flat list of the paper. Any other number is written as one list per node, and read so too.

mod quick;

use super::{EDGES, NODES, PRIMITIVES, Searched, decision};
use crate::{Architecture, ChoiceSet, Group, SpaceError};

/// An example of the text.
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

/// `('op', predecessor)` of all that is kept at one node.
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
            return invalid(format!("node {node} of the {cell} cell has no input"));
        }
    }
    Ok(())
}

pub(super) fn parse(searched: Searched, text: &str) -> Result<Architecture, SpaceError> {
    let quick = if searched == Searched::Both { quick::parse(text) } else { None };
    quick.map_or_else(|| parse_any(searched, text), Ok)
}

/// What was expected in a text, and what stands there.
struct Wrong {
    expected: String,
    found: String,
}

/// Reads any spelling, and says what is wrong with a text that is none.
fn parse_any(searched: Searched, text: &str) -> Result<Architecture, SpaceError> {
    read(searched, text).map_err(|Wrong { expected, found }| SpaceError::Text {
        space: searched.space().into(),
        expected,
        found,
    })
}

fn read(searched: Searched, text: &str) -> Result<Architecture, Wrong> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let compact = compact.replace('"', "'");
    let cell_types = searched.cell_types();
    if searched == Searched::Normal && compact.contains("reduce=") {
        return Err(wrong(
            &format!("no reduction cell, which is fixed here: {}", expected(searched)),
            "reduce=[...]",
        ));
    }
    let mut choices = vec![Vec::new(); cell_types.len() * EDGES];
    for (cell_type, name) in cell_types.iter().enumerate() {
        check_concat(&compact, name)?;
        let list = field(&compact, name)
            .unwrap_or_else(|| Err(wrong(expected(searched), &shortened(&compact))))?;
        for (node, op, predecessor) in read_cell(list)? {
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

/// The text between the brackets of `name=[...]`, where there is such a field.
fn field<'t>(text: &'t str, name: &str) -> Option<Result<&'t str, Wrong>> {
    let start = [format!("({name}=["), format!(",{name}=[")]
        .iter()
        .find_map(|key| text.find(key.as_str()).map(|at| at + key.len()))?;
    let mut depth = 1;
    for (at, c) in text[start..].char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(Ok(&text[start..start + at]));
        }
    }
    Some(Err(wrong("a closing bracket", &shortened(&text[start..]))))
}

/// All four nodes are concatenated; other outputs are another space.
fn check_concat(text: &str, name: &str) -> Result<(), Wrong> {
    let key = format!("{name}_concat=");
    let Some(at) = text.find(&key) else { return Ok(()) };
    let value = &text[at + key.len()..];
    if ["range(2,6)", "[2,3,4,5]"].iter().any(|all| value.starts_with(all)) {
        Ok(())
    } else {
        Err(wrong("range(2, 6) or [2, 3, 4, 5]", &format!("{key}{}", shortened(value))))
    }
}

/// Node, operation and predecessor of each pair.
fn read_cell(list: &str) -> Result<Vec<(usize, usize, usize)>, Wrong> {
    if list.starts_with('[') {
        let nodes: Vec<&str> = list.trim_matches(['[', ']']).split("],[").collect();
        if nodes.len() != NODES {
            return Err(wrong("4 lists, one per node", &format!("{} lists", nodes.len())));
        }
        let mut all = Vec::new();
        for (node, pairs) in nodes.into_iter().enumerate() {
            all.extend(read_pairs(pairs)?.into_iter().map(|(op, from)| (node, op, from)));
        }
        return Ok(all);
    }
    let pairs = read_pairs(list)?;
    if pairs.len() != 2 * NODES {
        return Err(wrong("8 pairs, two per node", &format!("{} pairs", pairs.len())));
    }
    for (node, pair) in pairs.chunks(2).enumerate() {
        if pair[0].1 == pair[1].1 {
            let found = format!("predecessor {} twice at node {node}", pair[0].1);
            return Err(wrong("two distinct predecessors per node", &found));
        }
    }
    Ok(pairs.into_iter().enumerate().map(|(i, (op, from))| (i / 2, op, from)).collect())
}

/// Operation and predecessor of each `('op',n)`.
fn read_pairs(list: &str) -> Result<Vec<(usize, usize)>, Wrong> {
    let pieces = list.split("),(").map(|p| p.trim_matches(['(', ')', ',']));
    let read = |piece: &str| {
        let (op, from) = piece
            .split_once("',")
            .ok_or_else(|| wrong("('operation', predecessor)", &shortened(piece)))?;
        let op = op.trim_start_matches('\'');
        let known = PRIMITIVES[1..].join(", ");
        let op = PRIMITIVES[1..]
            .iter()
            .position(|p| *p == op)
            .ok_or_else(|| wrong(&format!("an operation of: {known}"), op))?;
        let from = from.parse().map_err(|_| wrong("a predecessor's number", from))?;
        Ok((op + 1, from))
    };
    pieces.filter(|p| !p.is_empty()).map(read).collect()
}

fn wrong(expected: &str, found: &str) -> Wrong {
    Wrong { expected: expected.to_owned(), found: found.to_owned() }
}

fn shortened(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    if start.len() < text.len() { format!("'{start}...'") } else { format!("'{start}'") }
}
