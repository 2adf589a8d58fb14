//! Work as features: the sum over all decisions, and the sum over those of each cell type. Features per decision would mislead if
//! there are few rows and the device's times have little to do with work.

use std::collections::BTreeMap;

use super::structured::{Column, Deriver};
use crate::Work;

/// A group of sums: its name, and the quantity that it adds up.
type Kind = (&'static str, fn(&Work) -> f64);
const KINDS: [Kind; 2] = [("multiply-adds", |w| w.multiply_adds), ("elements", |w| w.elements)];

impl Deriver<'_> {
    /// Adds nothing if all decisions of a class do the same work, as in NAS-Bench-201: there the counts already contain it.
    pub(super) fn work(&mut self, work: &[Vec<Work>]) {
        let classes = &self.structure.classes;
        let first = |d: usize| classes.iter().position(|c| *c == classes[d]).unwrap_or(d);
        if (0..self.decisions.len()).all(|d| work[d] == work[first(d)]) {
            return;
        }
        for (total, pick) in KINDS {
            let values = self.site_values(work, pick);
            let mut cells: BTreeMap<String, Vec<u32>> = BTreeMap::new();
            for (d, &value) in values.iter().enumerate() {
                let decision = &self.decisions[d];
                cells.entry(decision.cell_type().to_owned()).or_default().push(value);
            }
            let mut columns: Vec<Column> = vec![(total.to_owned(), self.b.total(&values))];
            if cells.len() > 1 {
                for (cell, values) in cells {
                    columns.push((format!("{total}:{cell}"), self.b.total(&values)));
                }
            }
            self.add(total, None, columns);
        }
    }

    /// Per decision the work of its choice, as a fraction of the largest.
    fn site_values(&mut self, work: &[Vec<Work>], pick: fn(&Work) -> f64) -> Vec<u32> {
        let largest = work.iter().flatten().map(pick).fold(f64::MIN_POSITIVE, f64::max);
        let terms = |(d, choices): (usize, &Vec<Work>)| -> Vec<(u32, f32)> {
            let factor = |w| (pick(w) / largest) as f32;
            let all = choices.iter().enumerate().map(|(c, w)| (self.gate(d, c), factor(w)));
            all.filter(|(_, factor)| *factor > 0.0).collect()
        };
        let sums: Vec<Vec<(u32, f32)>> = work.iter().enumerate().map(terms).collect();
        sums.into_iter().map(|terms| self.b.sum(terms)).collect()
    }
}
