//! The work of a choice: what it computes and moves.

use crate::{Op, OpSpec, SearchSpace, count_op, find_skeleton};

/// The skeleton whose sites are counted; every space has it. Another skeleton changes the sizes and their ratio between cell
/// types, but predictors learn factors for both, so that does no harm.
const SKELETON: &str = "cifar";

/// The work of a choice: what it computes and moves, summed over all sites of its decision.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Multiply-adds for one image, as [`crate::count`] counts.
    pub multiply_adds: f64,
    /// Numbers read and written for one image: input, output and weights of each operation.
    pub elements: f64,
}

/// Per decision and choice its work in the space's networks. None if several decisions shape one operation together.
pub(crate) fn of_sites(space: &dyn SearchSpace) -> Option<Vec<Vec<Work>>> {
    let skeleton = find_skeleton(space, SKELETON).expect("every space has this skeleton");
    let choices = |d: &crate::Decision| vec![Work::default(); d.choices.len()];
    let mut work: Vec<Vec<Work>> = space.decisions().iter().map(choices).collect();
    for variant in space.graph(&skeleton).variants().filter(|v| v.op.op != Op::None) {
        match variant.when[..] {
            [] => {}
            [(decision, choice)] => {
                let work = &mut work[decision][choice];
                work.multiply_adds += count_op(&variant.op).multiply_adds as f64;
                work.elements += elements(&variant.op);
            }
            _ => return None,
        }
    }
    Some(work)
}

fn elements(op: &OpSpec) -> f64 {
    let map = |c: u32, hw: u16| f64::from(c) * f64::from(hw).powi(2);
    map(op.c_in, op.hw_in) + map(op.c_out, op.hw_out()) + count_op(op).params as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Darts, SPACES, Space, architecture_at, count};

    #[test]
    fn work_of_chosen_operations_is_what_the_network_has_more_than_an_empty_one() {
        for build in SPACES {
            let space = build();
            // Operations that several decisions shape together have no work of their own.
            let Some(work) = space.work() else { continue };
            let skeleton = find_skeleton(&*space, SKELETON).unwrap();
            let counted = |i| {
                let architecture = architecture_at(&*space, 4, i).unwrap();
                let network = count(&space.graph(&skeleton).derive(&architecture)).multiply_adds;
                let chosen = architecture.choices.iter().zip(&work);
                let chosen = chosen.flat_map(|(set, work)| set.iter().map(|c| work[c]));
                network as f64 - chosen.map(|w| w.multiply_adds).sum::<f64>()
            };
            let fixed = counted(0);
            assert!(fixed > 0.0 && (1..20).all(|i| counted(i) == fixed), "{}", space.id());
        }
    }

    #[test]
    fn elements_are_maps_and_weights() {
        let op = OpSpec { op: Op::ConvBn { k: 3 }, c_in: 4, c_out: 8, stride: 2, hw_in: 16 };
        assert_eq!(elements(&op), f64::from(4 * 256 + 8 * 64 + 9 * 4 * 8 + 16));
        // `none` is never computed; a skip connection of stride 1 computes nothing but is read and written.
        let work = Darts::new().work().unwrap();
        assert_eq!(work[0][Darts::new().decisions()[0].none().unwrap()], Work::default());
    }
}
