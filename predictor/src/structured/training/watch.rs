//! Ends a training when the error on held-out rows stops falling.

use tch::{Kind, Tensor};

use crate::model::members::{Members, Rows};

/// Training ends after this many checks without an improvement.
const PATIENCE: usize = 12;

/// Keeps a copy of each member as it was at its best on its held-out rows.
pub(crate) struct Watch {
    /// The held-out rows of each member.
    rows: Vec<HeldOut>,
    n_rows: usize,
    best: Members,
    losses: Vec<f64>,
    idle: usize,
}

/// Rows that a member does not learn from, with their inputs, targets and weights.
struct HeldOut {
    rows: Vec<usize>,
    inputs: Tensor,
    target: Tensor,
    weight: Tensor,
}

impl Watch {
    pub(crate) fn new(rows: &Rows<'_>, members: &Members, n: usize) -> Self {
        let Rows { x, target, weight, folds } = *rows;
        let held_out = |k| {
            let rows = folds.held_out(k).to_vec();
            let index = Tensor::from_slice(&rows.iter().map(|&r| r as i64).collect::<Vec<_>>());
            let of = |all: &Tensor| all.index_select(0, &index);
            HeldOut { rows, inputs: of(x), target: of(target), weight: of(weight) }
        };
        let rows: Vec<_> = (0..n).map(held_out).collect();
        let losses = (0..n).map(|k| loss(members, k, &rows[k])).collect();
        let n_rows = x.size()[0] as usize;
        Self { rows, n_rows, best: members.detached_copy(), losses, idle: 0 }
    }

    /// Checks the members; returns whether to continue.
    pub(crate) fn look(&mut self, members: &Members) -> bool {
        self.idle += 1;
        for k in 0..self.losses.len() {
            let loss = loss(members, k, &self.rows[k]);
            if loss < self.losses[k] {
                (self.losses[k], self.idle) = (loss, 0);
                self.best.copy_member(members, k as i64);
            }
        }
        self.idle < PATIENCE
    }

    pub(crate) fn finish(self) -> (Members, Vec<Option<f64>>) {
        let mut outputs = vec![None; self.n_rows];
        for (k, held) in self.rows.iter().enumerate() {
            let output = || crate::model::to_vec(&self.best.run_one(k as i64, &held.inputs));
            for (&row, value) in held.rows.iter().zip(tch::no_grad(output)) {
                outputs[row] = Some(f64::from(value));
            }
        }
        (self.best, outputs)
    }
}

/// Average weighted absolute error of a member on its held-out rows.
fn loss(members: &Members, member: usize, held: &HeldOut) -> f64 {
    tch::no_grad(|| {
        let error = members.run_one(member as i64, &held.inputs) - &held.target;
        (error.abs() * &held.weight).mean(Kind::Double).double_value(&[])
    })
}
