//! Collects features and sorts them into levels.

use std::collections::HashMap;

use super::{Feature, FeatureMap, Level};

/// How a value is computed.
#[derive(Debug, Clone)]
enum Node {
    /// The number 1 or a gate.
    Given,
    Sum(Vec<(u32, f32)>),
    Product(u32, u32),
}

/// Collects values and features in any order. [`Builder::finish`] sorts them into levels and drops values that no feature needs.
#[derive(Debug)]
pub(crate) struct Builder {
    n_gates: usize,
    nodes: Vec<Node>,
    /// Per node the length of the longest way to it from the gates.
    depths: Vec<usize>,
    products: HashMap<(u32, u32), u32>,
    features: Vec<Feature>,
    groups: Vec<String>,
}

impl Builder {
    pub(crate) fn new(n_gates: usize) -> Self {
        Self {
            n_gates,
            nodes: vec![Node::Given; 1 + n_gates],
            depths: vec![0; 1 + n_gates],
            products: HashMap::new(),
            features: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// The value of a gate.
    pub(crate) fn gate(&self, gate: usize) -> u32 {
        assert!(gate < self.n_gates, "a gate of another space");
        1 + gate as u32
    }

    /// A weighted sum. A single value with factor 1 is returned as it is.
    pub(crate) fn sum(&mut self, terms: Vec<(u32, f32)>) -> u32 {
        if let [(value, 1.0)] = terms[..] {
            value
        } else {
            let deepest = terms.iter().map(|&(v, _)| self.depths[v as usize]).max();
            self.push(Node::Sum(terms), deepest.unwrap_or(0))
        }
    }

    /// The sum of some values.
    pub(crate) fn total(&mut self, values: &[u32]) -> u32 {
        self.sum(values.iter().map(|&v| (v, 1.0)).collect())
    }

    /// The product of two values. If it exists already, that value is returned.
    pub(crate) fn product(&mut self, a: u32, b: u32) -> u32 {
        let (a, b) = (a.min(b), a.max(b));
        if a == 0 {
            return b;
        }
        if let Some(&known) = self.products.get(&(a, b)) {
            return known;
        }
        let deepest = self.depths[a as usize].max(self.depths[b as usize]);
        let value = self.push(Node::Product(a, b), deepest);
        self.products.insert((a, b), value);
        value
    }

    fn push(&mut self, node: Node, deepest_input: usize) -> u32 {
        self.nodes.push(node);
        self.depths.push(deepest_input + 1);
        self.nodes.len() as u32 - 1
    }

    /// The number of the group with this name; a new group if there is none.
    pub(crate) fn group(&mut self, name: &str) -> u16 {
        let found = self.groups.iter().position(|group| group == name);
        let group = found.unwrap_or_else(|| {
            self.groups.push(name.to_owned());
            self.groups.len() - 1
        });
        group as u16
    }

    pub(crate) fn feature(&mut self, name: String, value: u32, group: u16, block: Option<u16>) {
        self.features.push(Feature { name, value, group, block });
    }

    /// The features so far.
    pub(crate) fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The names of the groups so far.
    pub(crate) fn groups(&self) -> &[String] {
        &self.groups
    }

    pub(crate) fn finish(self) -> FeatureMap {
        let needed = self.needed();
        let deepest = self.depths.iter().copied().max().unwrap_or(0);
        let mut numbers: Vec<u32> = (0..self.nodes.len() as u32).collect();
        let mut next = 1 + self.n_gates as u32;
        let mut levels = Vec::new();
        for depth in 1..=deepest {
            let here: Vec<usize> =
                (0..self.nodes.len()).filter(|&v| needed[v] && self.depths[v] == depth).collect();
            let (mut sums, mut products) = (Vec::new(), Vec::new());
            for &v in &here {
                if let Node::Sum(terms) = &self.nodes[v] {
                    sums.push(terms.iter().map(|&(t, f)| (numbers[t as usize], f)).collect());
                    numbers[v] = next;
                    next += 1;
                }
            }
            for &v in &here {
                if let Node::Product(a, b) = self.nodes[v] {
                    products.push((numbers[a as usize], numbers[b as usize]));
                    numbers[v] = next;
                    next += 1;
                }
            }
            levels.extend([Level::Sums(sums), Level::Products(products)]);
        }
        levels.retain(|level| !level.is_empty());
        let renumber = |f: Feature| Feature { value: numbers[f.value as usize], ..f };
        let features = self.features.into_iter().map(renumber).collect();
        FeatureMap { n_gates: self.n_gates, levels, features, groups: self.groups }
    }

    /// Per node, whether a feature needs it.
    fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        for feature in &self.features {
            needed[feature.value as usize] = true;
        }
        // A node's inputs come before it, so one pass from the end reaches them all.
        for v in (0..self.nodes.len()).rev().filter(|&v| v > self.n_gates) {
            if !needed[v] {
                continue;
            }
            match &self.nodes[v] {
                Node::Given => {}
                Node::Sum(terms) => terms.iter().for_each(|&(t, _)| needed[t as usize] = true),
                Node::Product(a, b) => {
                    needed[*a as usize] = true;
                    needed[*b as usize] = true;
                }
            }
        }
        needed
    }
}
