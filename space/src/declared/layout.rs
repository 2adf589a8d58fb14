//! Makes a [`Structure`] from declared slots.

use super::condition::presence;
use super::declaration::wrong;
use super::slot::Slot;
use crate::structure::neighbours;
use crate::{DecisionId, Edges, SpaceError, Structure};

/// The most nodes that a declared graph may have.
const MOST_NODES: usize = 64;

/// How the slots act together.
pub(super) fn structure(slots: &[Slot]) -> Result<Structure, SpaceError> {
    let blocks = blocks(slots)?;
    Ok(Structure {
        classes: classes(slots)?,
        values: slots.iter().map(|slot| slot.list.values.clone()).collect(),
        presence: slots.iter().map(|slot| presence(slot, slots)).collect::<Result<_, _>>()?,
        pairs: neighbours(blocks.len()),
        stages: stages(&blocks),
        blocks: blocks.into_iter().map(|block| block.decisions).collect(),
        scales: (0..slots.len()).filter(|&s| slots[s].entry.scale).collect(),
        edges: edges(slots)?,
    })
}

/// The class of each slot. Slots belong to one class if they say so; otherwise if they have the same choices and their names
/// differ in digits only.
fn classes(slots: &[Slot]) -> Result<Vec<usize>, SpaceError> {
    let mut labels: Vec<(bool, String)> = Vec::with_capacity(slots.len());
    for slot in slots {
        labels.push(match slot.filled("class", slot.entry.class.as_ref())? {
            Some(class) => (true, class),
            None => (false, slot.name.chars().filter(|c| !c.is_ascii_digit()).collect()),
        });
    }
    let mut classes = Vec::with_capacity(slots.len());
    for (s, (slot, label)) in slots.iter().zip(&labels).enumerate() {
        let has_choices = |&o: &usize| slots[o].list.names == slot.list.names;
        let mut alike = (0..=s).filter(|&o| labels[o] == *label);
        if label.0 && !alike.clone().all(|o| has_choices(&o)) {
            let expected = "decisions with the same choices in one class";
            let found = format!("other choices than those before it in class '{}'", label.1);
            return Err(wrong(slot.key("class"), expected, found));
        }
        classes.push(alike.find(has_choices).unwrap_or(s));
    }
    Ok(classes)
}

/// The decisions that describe one layer.
struct Block {
    /// The name as declared; None if the decision declares no block and is a block of its own.
    name: Option<String>,
    stage: Option<String>,
    decisions: Vec<DecisionId>,
}

/// The blocks, in the order of their first decisions.
fn blocks(slots: &[Slot]) -> Result<Vec<Block>, SpaceError> {
    let mut blocks: Vec<Block> = Vec::new();
    for (s, slot) in slots.iter().enumerate() {
        let name = slot.filled("block", slot.entry.block.as_ref())?;
        let stage = slot.filled("stage", slot.entry.stage.as_ref())?;
        if slot.entry.scale {
            if name.is_some() || stage.is_some() {
                let expected = "no `block` and no `stage`, since it multiplies the work of all";
                return Err(wrong(slot.key("scale"), expected, "one of them"));
            }
            continue;
        }
        match blocks.iter_mut().find(|block| name.is_some() && block.name == name) {
            Some(block) => block.join(s, slot, stage)?,
            None => blocks.push(Block { name, stage, decisions: vec![s] }),
        }
    }
    Ok(blocks)
}

impl Block {
    fn join(
        &mut self,
        decision: DecisionId,
        slot: &Slot,
        stage: Option<String>,
    ) -> Result<(), SpaceError> {
        self.decisions.push(decision);
        match (&self.stage, stage) {
            (Some(before), Some(now)) if *before != now => {
                let found = format!("'{now}' after '{before}'");
                Err(wrong(slot.key("stage"), "one stage for all of a block", found))
            }
            (None, stage) => {
                self.stage = stage;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The numbers of the blocks of each stage, in the order of the stages' first blocks.
fn stages(blocks: &[Block]) -> Vec<Vec<usize>> {
    let mut stages: Vec<(&String, Vec<usize>)> = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        let Some(stage) = &block.stage else { continue };
        match stages.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, blocks)) => blocks.push(number),
            None => stages.push((stage, vec![number])),
        }
    }
    stages.into_iter().map(|(_, blocks)| blocks).collect()
}

/// The graph whose edges are decisions, if there are such decisions. Edges lead to higher nodes, so there is no cycle. Because
/// exactly one node begins the graph and one ends it, every node lies between these two.
fn edges(slots: &[Slot]) -> Result<Option<Edges>, SpaceError> {
    let ends: Vec<Option<(usize, usize)>> = slots.iter().map(ends).collect::<Result<_, _>>()?;
    let joined: Vec<(usize, usize)> = ends.iter().copied().flatten().collect();
    if joined.is_empty() {
        return Ok(None);
    }
    let sources = joined.iter().map(|e| e.0).filter(|n| joined.iter().all(|e| e.1 != *n));
    let sinks = joined.iter().map(|e| e.1).filter(|n| joined.iter().all(|e| e.0 != *n));
    let input = only("begin at", sources.collect())?;
    let output = only("end at", sinks.collect())?;
    Ok(Some(Edges { ends, input, output }))
}

/// The nodes that a decision joins, if it is an edge.
fn ends(slot: &Slot) -> Result<Option<(usize, usize)>, SpaceError> {
    let Some([from, to]) = slot.entry.edge else { return Ok(None) };
    if from >= to || to >= MOST_NODES {
        let expected = format!("two nodes, the lower first, each below {MOST_NODES}");
        return Err(wrong(slot.key("edge"), expected, format!("[{from}, {to}]")));
    }
    if !slot.list.names.iter().any(|name| name == "none") {
        let expected =
            "a choice named `none` that cuts the edge (what tables write for it goes to `codes`)";
        return Err(wrong(slot.key("edge"), expected, slot.list.names.join(", ")));
    }
    Ok(Some((from, to)))
}

fn only(what: &str, mut nodes: Vec<usize>) -> Result<usize, SpaceError> {
    nodes.sort_unstable();
    nodes.dedup();
    if let [node] = nodes[..] {
        return Ok(node);
    }
    let found = nodes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let expected = format!("one node that all paths {what}");
    Err(wrong("the decisions with `edge`", expected, format!("nodes {found}")))
}
