//! Decisions and what can be chosen.

use std::fmt;

use crate::number::{NumberRange, number_of};

/// Index into [`crate::Space::decisions`].
pub type DecisionId = usize;

/// What a choice stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The edge is left out.
    None,
    /// The input as it is; where the map is halved or widened, by weights of the path, not of the choice.
    Skip,
    /// A pool.
    Pool,
    /// An operation with weights, or whatever else a space declares by name.
    Op,
    /// A number, such as a width.
    Number,
}

/// What can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// As the paper writes it.
    pub name: String,
    /// What it stands for.
    pub kind: Kind,
}

impl Choice {
    /// An operation by its name, which tells its kind.
    pub fn named(name: &str) -> Self {
        let kind = match name {
            "none" => Kind::None,
            "skip_connect" => Kind::Skip,
            pool if pool.contains("_pool_") => Kind::Pool,
            _ => Kind::Op,
        };
        Self { name: name.to_owned(), kind }
    }

    /// Whether it leaves the edge out.
    pub fn is_none(&self) -> bool {
        self.kind == Kind::None
    }

    /// Whether it is a skip connection.
    pub fn is_skip(&self) -> bool {
        self.kind == Kind::Skip
    }

    /// Whether it has no weights that a search would have to train.
    pub fn is_weightless(&self) -> bool {
        matches!(self.kind, Kind::None | Kind::Skip | Kind::Pool)
    }

    /// A number as texts have it.
    pub fn number(name: &str) -> Self {
        Self { name: name.to_owned(), kind: Kind::Number }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// One choice to be made, such as the operation of one edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Cell type and place, as in `normal/0-2` (edge from node 0 to node 2).
    pub name: String,
    /// The choices in the paper's order, at most 32; none if the decision is a number.
    pub choices: Vec<Choice>,
    /// The range of a decision that is a plain number.
    pub number: Option<NumberRange>,
    /// The nodes of its cell that it joins, from and to, where it is an edge.
    pub edge: Option<(usize, usize)>,
    cell: String,
}

impl Decision {
    /// The operation on the edge between two nodes, from and to, of a cell.
    pub fn edge(cell: &str, (from, to): (usize, usize), operations: &[&str]) -> Self {
        Self {
            name: format!("{cell}/{from}-{to}"),
            choices: operations.iter().map(|name| Choice::named(name)).collect(),
            number: None,
            edge: Some((from, to)),
            cell: cell.to_owned(),
        }
    }

    /// A decision that is no edge; what stands before a slash in its name is its cell type, else the whole name.
    pub fn slot(name: &str, choices: Vec<Choice>) -> Self {
        let cell = name.split('/').next().unwrap_or(name).to_owned();
        Self { name: name.to_owned(), choices, number: None, edge: None, cell }
    }

    /// A decision that is any number of a range.
    pub fn number(name: &str, range: NumberRange) -> Self {
        Self { number: Some(range), ..Self::slot(name, Vec::new()) }
    }

    /// How many gates it has: one per choice, or those of a number.
    pub fn n_gates(&self) -> usize {
        self.number.map_or(self.choices.len(), |range| range.gate_names().len())
    }

    /// Names of its gates: those of the choices, or what gates of a number hold.
    pub fn gate_names(&self) -> Vec<String> {
        let of_number =
            |range: NumberRange| range.gate_names().iter().map(|name| (*name).to_owned()).collect();
        self.number.map_or_else(|| self.names(), of_number)
    }

    /// How texts write a choice of this decision.
    pub fn text(&self, choice: usize) -> String {
        match number_of(choice) {
            Some(value) => value.to_string(),
            None => self.choices[choice].name.clone(),
        }
    }

    /// What can be chosen, for messages.
    pub fn expected(&self) -> String {
        match self.number {
            Some(NumberRange { from, to }) => format!("a number from {from} to {to}"),
            None => format!("one of {}", self.names().join(", ")),
        }
    }

    /// Position of the choice that leaves the edge out, where there is one.
    pub fn none(&self) -> Option<usize> {
        self.choices.iter().position(Choice::is_none)
    }

    /// Whether the choice has no weights that a search would have to train.
    pub fn is_weightless(&self, choice: usize) -> bool {
        self.choices.get(choice).is_some_and(Choice::is_weightless)
    }

    /// Type of the cell that it stands in.
    pub fn cell_type(&self) -> &str {
        &self.cell
    }

    /// Names of the choices.
    pub fn names(&self) -> Vec<String> {
        self.choices.iter().map(|choice| choice.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_says_where_it_stands_and_a_choice_what_it_is() {
        let edge = Decision::edge("normal", (0, 2), &["sep_conv_3x3", "none", "max_pool_3x3"]);
        assert_eq!((edge.name.as_str(), edge.cell_type()), ("normal/0-2", "normal"));
        assert_eq!((edge.edge, edge.none()), (Some((0, 2)), Some(1)));
        assert_eq!([0, 1, 2].map(|c| edge.is_weightless(c)), [false, true, true]);
        let slot = Decision::slot("stage1/kernel", vec![Choice::number("3")]);
        assert_eq!((slot.edge, slot.cell_type(), slot.none()), (None, "stage1", None));
        assert!(!slot.is_weightless(0), "a number is no skip");
        assert!(Choice::named("skip_connect").is_skip());
    }
}
