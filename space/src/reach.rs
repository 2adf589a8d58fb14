//! Whether the output of a network depends on the image. It does not if `none` cuts every path.

use crate::{Architecture, ChoiceSet, DecisionId, Graph, Op, Site, Step};

/// Which values of a network depend on which others. Built once from a space's network, it answers for any architecture without
/// building that architecture's network.
#[derive(Debug, Clone)]
pub struct Reach {
    /// One per value, in topological order.
    links: Vec<Link>,
}

/// The dependence of a value.
#[derive(Debug, Clone)]
enum Link {
    Image,
    /// Depends on the value that the decision's choice picks.
    Pick {
        from: Vec<usize>,
        decision: DecisionId,
    },
    /// Depends on each of these values, by number.
    Values(Vec<usize>),
    /// Depends on a value if the decision takes one of the choices that pass it on.
    Site {
        from: usize,
        decision: DecisionId,
        passing: ChoiceSet,
    },
}

impl Reach {
    /// From a network with its searched sites.
    pub fn new(graph: &Graph) -> Self {
        let link = |step: &Step| match step {
            Step::Input => Link::Image,
            Step::Searched { from, site: Site::Choice { decision, candidates }, .. } => {
                let passing = (0..candidates.len()).filter(|&c| candidates[c].op != Op::None);
                let passing = ChoiceSet::of(passing);
                Link::Site { from: *from, decision: *decision, passing }
            }
            Step::Pick { from, decision } => Link::Pick { from: from.clone(), decision: *decision },
            step => Link::Values(step.inputs()),
        };
        // The head is last.
        Self { links: graph.nodes.iter().map(|node| link(&node.step)).collect() }
    }

    /// Whether the output of this architecture's network depends on the image.
    pub fn reads_input(&self, architecture: &Architecture) -> bool {
        let mut depends: Vec<bool> = Vec::with_capacity(self.links.len());
        for link in &self.links {
            depends.push(match link {
                Link::Image => true,
                Link::Pick { from, decision } => {
                    architecture.choices[*decision].iter().any(|choice| depends[from[choice]])
                }
                Link::Values(from) => from.iter().any(|&v| depends[v]),
                Link::Site { from, decision, passing } => {
                    depends[*from] && architecture.choices[*decision].intersects(*passing)
                }
            });
        }
        depends.last().is_some_and(|&output| output)
    }
}

#[cfg(test)]
mod tests {
    use crate::{SPACES, architecture_at};

    #[test]
    fn it_says_of_every_architecture_what_its_network_says() {
        let (mut n_cut, mut n_whole) = (0, 0);
        for space in SPACES.iter().map(|build| build()) {
            let graph = space.graph(&space.skeletons()[0].skeleton);
            for number in 0..space.size().min(1000) as u64 {
                let architecture = architecture_at(space.as_ref(), 3, number).unwrap();
                let expected = graph.derive(&architecture).is_connected();
                assert_eq!(space.reads_input(&architecture), expected, "{architecture:?}");
                if expected { n_whole += 1 } else { n_cut += 1 }
            }
        }
        assert!(n_cut > 10 && n_whole > 2000, "{n_cut} cut, {n_whole} whole");
    }
}
