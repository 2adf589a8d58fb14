//! Which graphs can be searched by masks over their largest operations.

use crate::{Candidate, Graph, Measure, Op, Shortcut, Step};

impl Graph {
    /// Whether masking channels and kernels of the largest operations gives the same result as cutting the operations down, so
    /// that choices can be mixed (`FBNetV2`). This fails if a searched width in front of an operation decides more than which
    /// channels it reads: the width of a block's middle that follows its input, the result of a shortcut for all widths, or the
    /// place of a channel in a concatenation.
    pub fn is_maskable(&self) -> bool {
        let varying = self.varying_widths();
        self.nodes.iter().all(|node| match &node.step {
            Step::Fixed { from, op, .. } => is_maskable(&(*op).into(), varying[*from]),
            Step::Searched { from, site, .. } => {
                site.candidates().iter().all(|candidate| is_maskable(candidate, varying[*from]))
            }
            Step::Concat(from) => from.iter().all(|&value| !varying[value]),
            _ => true,
        })
    }
}

fn is_maskable(candidate: &Candidate, reads_varying: bool) -> bool {
    let Op::InvertedResidual(block) = candidate.op else { return true };
    let follows = block.unexpanded || block.expansion != 0;
    let is_cut = candidate.cuts.iter().any(|cut| cut.of == Measure::Out);
    let fits = block.shortcut == Shortcut::Always && (reads_varying || is_cut);
    !(fits || (follows && reads_varying))
}

#[cfg(test)]
mod tests {
    use crate::{SPACES, VARIANTS};

    #[test]
    fn blocks_that_follow_a_searched_width_cannot_be_masked() {
        let maskable = |build: &fn() -> Box<dyn crate::SearchSpace>| {
            let space = build();
            let graph = space.graph(&space.skeletons()[0].skeleton);
            (graph.is_elastic() && graph.is_maskable()).then(|| space.id().to_owned())
        };
        let found: Vec<String> = SPACES.iter().chain(VARIANTS).filter_map(maskable).collect();
        for id in ["fbnetv2", "ofa", "ofa-w12", "ofa-proxyless"] {
            assert!(found.iter().any(|f| f == id), "{id} {found:?}");
        }
        for id in ["attentivenas", "bignas"] {
            assert!(!found.iter().any(|f| f == id), "{id}");
        }
    }
}
