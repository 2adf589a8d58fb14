//! Decisions and their choices.

use std::fmt;

use crate::number::{NumberRange, number_of};

/// Index into [`crate::Space::decisions`].
pub type DecisionId = usize;

/// The kind of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Leaves the edge out.
    None,
    /// Passes the input on unchanged. If the map is halved or widened there, weights do it; they belong to the path, not to the
    /// choice.
    Skip,
    /// A pool.
    Pool,
    /// An operation with weights, or any other choice that a space declares by name.
    Op,
    /// A number, such as a width.
    Number,
}

/// One option of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its name as the paper writes it.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
}

impl Choice {
    /// An operation with this name; the name determines its kind.
    pub fn named(name: &str) -> Self {
        let kind = match name {
            "none" => Kind::None,
            "skip_connect" => Kind::Skip,
            pool if pool.contains("_pool_") => Kind::Pool,
            _ => Kind::Op,
        };
        Self { name: name.to_owned(), kind }
    }

    /// Whether the choice leaves the edge out.
    pub fn is_none(&self) -> bool {
        self.kind == Kind::None
    }

    /// Whether the choice is a skip connection.
    pub fn is_skip(&self) -> bool {
        self.kind == Kind::Skip
    }

    /// Whether the choice has no weights that a search would have to train.
    pub fn is_weightless(&self) -> bool {
        matches!(self.kind, Kind::None | Kind::Skip | Kind::Pool)
    }

    /// A number, named as texts write it.
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
    /// The range, if the decision is a plain number.
    pub number: Option<NumberRange>,
    /// The nodes of its cell that it joins (from, to), if it is an edge.
    pub edge: Option<(usize, usize)>,
    cell: String,
}

impl Decision {
    /// The operation on the edge between two nodes (from, to) of a cell.
    pub fn edge(cell: &str, (from, to): (usize, usize), operations: &[&str]) -> Self {
        Self {
            name: format!("{cell}/{from}-{to}"),
            choices: operations.iter().map(|name| Choice::named(name)).collect(),
            number: None,
            edge: Some((from, to)),
            cell: cell.to_owned(),
        }
    }

    /// A decision that is not an edge. Its cell type is the part of the name before a slash, or the whole name.
    pub fn slot(name: &str, choices: Vec<Choice>) -> Self {
        let cell = name.split('/').next().unwrap_or(name).to_owned();
        Self { name: name.to_owned(), choices, number: None, edge: None, cell }
    }

    /// A decision that can take any number of a range.
    pub fn number(name: &str, range: NumberRange) -> Self {
        Self { number: Some(range), ..Self::slot(name, Vec::new()) }
    }

    /// Number of its gates: one per choice; a number has those of [`NumberRange::gate_names`].
    pub fn n_gates(&self) -> usize {
        self.number.map_or(self.choices.len(), |range| range.gate_names().len())
    }

    /// Names of its gates: the choices' names, or those of a number's gates.
    pub fn gate_names(&self) -> Vec<String> {
        let of_number =
            |range: NumberRange| range.gate_names().iter().map(|name| (*name).to_owned()).collect();
        self.number.map_or_else(|| self.names(), of_number)
    }

    /// A choice of this decision as texts write it.
    pub fn text(&self, choice: usize) -> String {
        match number_of(choice) {
            Some(value) => value.to_string(),
            None => self.choices[choice].name.clone(),
        }
    }

    /// The possible choices, for messages.
    pub fn expected(&self) -> String {
        match self.number {
            Some(NumberRange { from, to }) => format!("a number from {from} to {to}"),
            None => format!("one of {}", self.names().join(", ")),
        }
    }

    /// Index of the choice that leaves the edge out, if there is one.
    pub fn none(&self) -> Option<usize> {
        self.choices.iter().position(Choice::is_none)
    }

    /// Whether the choice has no weights that a search would have to train.
    pub fn is_weightless(&self, choice: usize) -> bool {
        self.choices.get(choice).is_some_and(Choice::is_weightless)
    }

    /// Type of its cell.
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
