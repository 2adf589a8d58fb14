//! The features that a space's structure suggests, in groups from simple to special:
//!
//! - `counts`: how often each choice of a class occurs; `one-hot`: each choice by itself; `value`: numeric choices as numbers;
//! - `joint`, and the smaller `pairs` and `triples`: the choices of one block together, one column per combination, and as
//!   products of numbers (`value-...`); `joint-counts` and `stage` add them up over blocks that are alike and over a stage;
//! - `live`, `live-counts`, `reach`: operations that lie on a path from input to output;
//! - `neighbours`: choices of two blocks that may affect each other;
//! - `multiply-adds`, `elements`: what the choices compute and move, in total and per cell type, for spaces with networks;
//! - `number`, `number-squares`, `number-products`: decisions that are plain numbers, as values and as logarithms; the squares of
//!   the logarithms; the products of the logarithms with one another and with the choices of other decisions;
//! - all of these except `neighbours` and the groups for numbers, times each scale and its square.
//!
//! All columns of a slot that does not exist are zero. `none` has no column: it is the case in which all other columns are zero.

use super::{Builder, FeatureMap, edges};
use crate::{Decision, DecisionId, Group, Space, Structure};

/// A block with more combinations than this gets no column per combination.
const MOST_COMBINATIONS: usize = 256;
/// If there are more products of numbers with one another and with choices than this, they are left out.
const MOST_PRODUCTS: usize = 2000;

pub(super) fn build(space: &dyn Space) -> FeatureMap {
    let (decisions, structure) = (space.decisions(), space.structure());
    let n_gates = decisions.iter().map(Decision::n_gates).sum();
    let builder = Builder::new(n_gates);
    let mut d = Deriver {
        b: builder,
        decisions,
        structure: &structure,
        groups: space.groups(),
        columns: Vec::new(),
        numbers: Vec::new(),
    };
    d.columns();
    d.counts();
    for block in 0..structure.blocks.len() {
        d.block(block);
    }
    d.joint_sums();
    d.liveness();
    if let Some(work) = space.work() {
        d.work(&work);
    }
    d.scaled();
    d.plain_numbers();
    d.neighbours();
    d.b.finish()
}

/// A value with its name.
pub(super) type Column = (String, u32);

pub(super) struct Deriver<'a> {
    pub(super) b: Builder,
    pub(super) decisions: &'a [Decision],
    pub(super) structure: &'a Structure,
    groups: &'a [Group],
    /// Per decision its choices except `none`; zero if the slot does not exist.
    columns: Vec<Vec<Column>>,
    /// Per decision its choice as a number from 0 to 1, if its choices are numbers.
    numbers: Vec<Option<Column>>,
}

impl Deriver<'_> {
    pub(super) fn gate(&self, decision: DecisionId, choice: usize) -> u32 {
        let before: usize = self.decisions[..decision].iter().map(Decision::n_gates).sum();
        self.b.gate(before + choice)
    }

    /// The value of a decision as a number to some power, scaled so that the largest is 1.
    fn number(&mut self, decision: DecisionId, values: &[f64], power: i32) -> u32 {
        let largest = values.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
        let term =
            |(c, v): (usize, &f64)| (self.gate(decision, c), (v / largest).powi(power) as f32);
        let terms = values.iter().enumerate().map(term).collect();
        self.b.sum(terms)
    }

    fn columns(&mut self) {
        for (d, decision) in self.decisions.iter().enumerate() {
            let exists = self.exists(d);
            let none = decision.none();
            let mut columns = Vec::new();
            for (c, choice) in decision.choices.iter().enumerate().filter(|(c, _)| Some(*c) != none)
            {
                let gate = self.gate(d, c);
                columns.push((format!("{}={choice}", decision.name), self.b.product(exists, gate)));
            }
            self.columns.push(columns);
            let number = self.structure.values[d].clone().map(|values| {
                let number = self.number(d, &values, 1);
                (decision.name.clone(), self.b.product(exists, number))
            });
            self.numbers.push(number);
        }
    }

    pub(super) fn add(&mut self, group: &str, block: Option<usize>, columns: Vec<Column>) {
        let group = self.b.group(group);
        for (name, value) in columns {
            self.b.feature(name, value, group, block.map(|b| b as u16));
        }
    }

    fn counts(&mut self) {
        let mut classes: Vec<usize> = self.structure.classes.clone();
        classes.sort_unstable();
        classes.dedup();
        for class in classes {
            let is_scale = |d: &usize| self.structure.scales.contains(d);
            let members: Vec<usize> = (0..self.decisions.len())
                .filter(|d| self.structure.classes[*d] == class && !is_scale(d))
                .collect();
            if members.len() < 2 {
                continue;
            }
            let name = self.decisions[members[0]].cell_type().to_owned();
            let lists: Vec<Vec<Column>> =
                members.iter().map(|&d| self.columns[d].clone()).collect();
            let sums = self.sums_of(&lists);
            let sums =
                sums.into_iter().map(|(choice, v)| (format!("{name}:{choice}"), v)).collect();
            self.add("counts", None, sums);
        }
    }

    /// Adds up lists of columns of one kind, column by column. The names are those of the choices.
    fn sums_of(&mut self, lists: &[Vec<Column>]) -> Vec<Column> {
        let n = lists.iter().map(Vec::len).min().unwrap_or(0);
        let sum = |i: usize| {
            let values: Vec<u32> = lists.iter().map(|list| list[i].1).collect();
            (lists[0][i].0.clone(), values)
        };
        let named: Vec<(String, Vec<u32>)> = (0..n).map(sum).collect();
        named.into_iter().map(|(name, values)| (name, self.b.total(&values))).collect()
    }

    fn block(&mut self, block: usize) {
        let members = &self.structure.blocks[block];
        let one_hot = members.iter().flat_map(|&d| self.columns[d].clone()).collect();
        self.add("one-hot", Some(block), one_hot);
        let numbers: Vec<Column> =
            members.iter().filter_map(|&d| self.numbers[d].clone()).collect();
        self.add("value", Some(block), numbers.clone());
        let lists: Vec<Vec<Column>> = members.iter().map(|&d| self.columns[d].clone()).collect();
        let numbers: Vec<Vec<Column>> = numbers.into_iter().map(|number| vec![number]).collect();
        for (size, name) in [(2, "pairs"), (3, "triples")] {
            if members.len() > size {
                let of_choices = self.combinations(&lists, size);
                self.add(name, Some(block), of_choices);
                let of_numbers = self.combinations(&numbers, size);
                self.add(&format!("value-{name}"), Some(block), of_numbers);
            }
        }
        let joint = self.joint(block);
        self.add("joint", Some(block), joint);
        if numbers.len() > 1 {
            let all = self.combinations(&numbers, numbers.len());
            self.add("value-joint", Some(block), all);
        }
    }

    /// One column per combination of a block's choices. Empty for blocks of one decision and if there are too many combinations.
    fn joint(&mut self, block: usize) -> Vec<Column> {
        let members = &self.structure.blocks[block];
        let lists: Vec<Vec<Column>> = members.iter().map(|&d| self.columns[d].clone()).collect();
        let n: usize = lists.iter().map(Vec::len).product();
        if members.len() < 2 || n > MOST_COMBINATIONS { Vec::new() } else { self.products(&lists) }
    }

    /// The products of all choices of `size` of the lists.
    fn combinations(&mut self, lists: &[Vec<Column>], size: usize) -> Vec<Column> {
        let sets = (0u32..1 << lists.len()).filter(|set| set.count_ones() as usize == size);
        let sets: Vec<u32> = sets.collect();
        let chosen = |set: u32| -> Vec<Vec<Column>> {
            let members = lists.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
            members.map(|(_, list)| list.clone()).collect()
        };
        sets.into_iter().flat_map(|set| self.products(&chosen(set))).collect()
    }

    /// One column per choice of a column from each list: their product.
    fn products(&mut self, lists: &[Vec<Column>]) -> Vec<Column> {
        let Some((first, rest)) = lists.split_first() else { return Vec::new() };
        let mut products = first.clone();
        for list in rest {
            let mut longer = Vec::with_capacity(products.len() * list.len());
            for (name, value) in &products {
                for (other, factor) in list {
                    longer.push((format!("{name}*{other}"), self.b.product(*value, *factor)));
                }
            }
            products = longer;
        }
        products
    }

    /// Adds joint columns up over blocks that are alike, and over the blocks of a stage.
    fn joint_sums(&mut self) {
        let blocks = &self.structure.blocks;
        let shape = |block: usize| -> Vec<usize> {
            blocks[block].iter().map(|&d| self.structure.classes[d]).collect()
        };
        let shapes: Vec<Vec<usize>> = (0..blocks.len()).map(shape).collect();
        for first in 0..blocks.len() {
            let alike: Vec<usize> =
                (0..blocks.len()).filter(|&b| shapes[b] == shapes[first]).collect();
            if alike[0] == first && alike.len() > 1 && blocks[first].len() > 1 {
                let lists: Vec<Vec<Column>> = alike.iter().map(|&b| self.joint(b)).collect();
                let sums = self.sums_of(&lists);
                self.add("joint-counts", None, sums);
            }
        }
        for (stage, members) in self.structure.stages.iter().enumerate() {
            let lists: Vec<Vec<Column>> = members
                .iter()
                .map(|&b| match blocks[b][..] {
                    [only] => self.columns[only].clone(),
                    _ => self.joint(b),
                })
                .collect();
            let sums = self.sums_of(&lists);
            self.add("stage", Some(blocks.len() + stage), sums);
        }
    }

    fn liveness(&mut self) {
        let Some(graph) = &self.structure.edges else { return };
        let members: Vec<usize> =
            (0..self.decisions.len()).filter(|&d| graph.ends[d].is_some()).collect();
        let ends: Vec<(usize, usize)> = members.iter().filter_map(|&d| graph.ends[d]).collect();
        let on: Vec<u32> = members
            .iter()
            .map(|&d| {
                let choices: Vec<u32> = self.columns[d].iter().map(|c| c.1).collect();
                self.b.total(&choices)
            })
            .collect();
        let Some((alive, joined)) = edges::alive(&mut self.b, &ends, graph, &on) else { return };
        let mut all = Vec::new();
        for (&d, &alive) in members.iter().zip(&alive) {
            let live = |(name, v): &Column| (format!("live*{name}"), *v);
            let columns: Vec<Column> = self.columns[d].iter().map(live).collect();
            let columns: Vec<Column> =
                columns.into_iter().map(|(name, v)| (name, self.b.product(v, alive))).collect();
            let block = self.structure.blocks.iter().position(|b| b.contains(&d));
            self.add("live", block, columns.clone());
            all.push(columns);
        }
        let sums = self.sums_of(&all);
        self.add("live-counts", None, sums);
        self.add("reach", None, vec![("reach".to_owned(), joined)]);
    }

    /// Multiplies everything so far by each scale and its square, and adds the scales themselves.
    fn scaled(&mut self) {
        let unscaled = self.b.features().to_vec();
        let groups = self.b.groups().to_vec();
        for &scale in &self.structure.scales {
            let name = self.decisions[scale].name.clone();
            let columns = self.columns[scale].clone();
            self.add("scale-one-hot", None, columns);
            let Some(values) = self.structure.values[scale].clone() else { continue };
            for (power, name) in [(1, name.clone()), (2, format!("{name}^2"))] {
                let factor = self.number(scale, &values, power);
                self.add("scale", None, vec![(name.clone(), factor)]);
                for feature in &unscaled {
                    let group = format!("{}*{}", name, groups[usize::from(feature.group)]);
                    let group = self.b.group(&group);
                    let value = self.b.product(factor, feature.value);
                    self.b.feature(format!("{name}*{}", feature.name), value, group, feature.block);
                }
            }
        }
    }

    /// The features of decisions that are plain numbers.
    fn plain_numbers(&mut self) {
        let ranges = self.decisions.iter().map(|d| d.number).enumerate();
        let ranges: Vec<_> = ranges.filter_map(|(d, range)| Some((d, range?))).collect();
        let mut measures: Vec<Column> = Vec::new();
        for &(d, range) in &ranges {
            let block = self.structure.blocks.iter().position(|b| b.contains(&d));
            let exists = self.exists(d);
            let mut columns = Vec::new();
            for (gate, measure) in range.gate_names().iter().enumerate() {
                let gate = self.gate(d, gate);
                let name = format!("{}={measure}", self.decisions[d].name);
                columns.push((name, self.b.product(exists, gate)));
            }
            let measure = columns[columns.len() - 1].clone();
            self.add("number", block, columns);
            let square = self.b.product(measure.1, measure.1);
            self.add("number-squares", block, vec![(format!("({})^2", measure.0), square)]);
            measures.push(measure);
        }
        let choices: Vec<Column> = self.columns.iter().flatten().cloned().collect();
        let n = measures.len() * (measures.len() + choices.len());
        if n > MOST_PRODUCTS {
            return;
        }
        for (i, measure) in measures.iter().enumerate() {
            let others: Vec<Column> = measures[i + 1..].iter().chain(&choices).cloned().collect();
            let products = self.products(&[vec![measure.clone()], others]);
            self.add("number-products", None, products);
        }
    }

    /// The value that is 1 if a decision's slot exists, else 0.
    fn exists(&mut self, decision: DecisionId) -> u32 {
        let Some(presence) = self.structure.presence[decision].clone() else { return 0 };
        let gates: Vec<u32> =
            presence.choices.iter().map(|&c| self.gate(presence.decision, c)).collect();
        self.b.total(&gates)
    }

    /// Whether decisions of the two blocks belong to one group, and so compete for its places.
    fn compete(&self, a: usize, b: usize) -> bool {
        let blocks = &self.structure.blocks;
        let is_in =
            |block: usize, group: &Group| blocks[block].iter().any(|d| group.decisions.contains(d));
        self.groups.iter().any(|group| is_in(a, group) && is_in(b, group))
    }

    fn neighbours(&mut self) {
        let own = self.structure.blocks.len() + self.structure.stages.len();
        for (i, &(a, b)) in self.structure.pairs.iter().enumerate() {
            // Decisions that compete are not independent: the product at the average gates would not be the average of the
            // products.
            if self.compete(a, b) {
                continue;
            }
            let columns = |block: usize| -> Vec<Column> {
                self.structure.blocks[block].iter().flat_map(|&d| self.columns[d].clone()).collect()
            };
            let lists = [columns(a), columns(b)];
            let products = self.products(&lists);
            self.add("neighbours", Some(own + i), products);
        }
    }
}
