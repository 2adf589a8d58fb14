//! Tests of properties that all chains have, those in [`VARIANTS`] too.

use crate::{
    SPACES, SearchSpace, Skeleton, Stem, Step, VARIANTS, architecture_at, count, find_skeleton,
};

/// The first chain in the table of spaces.
const FIRST: &str = "fbnet";

fn chains() -> Vec<Box<dyn SearchSpace>> {
    let all = SPACES.iter().chain(VARIANTS).map(|build| build());
    let chains: Vec<_> = all.skip_while(|space| space.id() != FIRST).collect();
    assert!(chains.len() >= 15);
    chains
}

fn paper(space: &dyn SearchSpace) -> Skeleton {
    find_skeleton(space, "imagenet").unwrap()
}

#[test]
fn texts_come_back_and_tell_architectures_apart() {
    for space in chains() {
        let mut texts = std::collections::HashSet::new();
        for i in 0..100 {
            let architecture = architecture_at(&*space, 1, i).unwrap();
            assert_eq!(space.check(&architecture), Ok(()));
            let text = space.format(&architecture);
            assert_eq!(space.parse(&text), Ok(architecture), "{text}");
            assert_eq!(space.parse(&format!(" [{text}]\n")), space.parse(&text), "{text}");
            texts.insert(text);
        }
        assert_eq!(texts.len(), 100, "{}", space.id());
        for wrong in ["", "genotype", "1", "{\"d\":", "[[[", "skip skip", "é", "-1 99999999999"] {
            let error = space.parse(wrong).unwrap_err().to_string();
            assert!(error.contains(&format!("of {}: expected", space.id())), "{error}");
        }
    }
}

#[test]
fn networks_are_consistent_at_any_scale_and_sizes_round_up() {
    for space in chains() {
        for (channels, resolution, stem) in
            [(1, 32, Stem::Cifar), (7, 97, Stem::ImageNet), (100, 33, Stem::Cifar)]
        {
            let skeleton = Skeleton { channels, resolution, stem, ..paper(&*space) };
            assert_eq!(space.check_skeleton(&skeleton), Ok(()), "{} {skeleton}", space.id());
            let graph = space.graph(&skeleton);
            for i in 0..5 {
                let network = graph.derive(&architecture_at(&*space, 2, i).unwrap());
                for node in &network.nodes {
                    let Step::Fixed { from, op, .. } = node.step else { continue };
                    let input = network.nodes[from].shape;
                    assert_eq!((op.c_in, op.hw_in), (input.c, input.hw), "{}", node.name);
                    assert_eq!((op.c_out, op.hw_out()), (node.shape.c, node.shape.hw));
                    assert!(op.c_out > 0, "{}", op.key());
                }
                assert!(count(&network).params > 0);
                let last = network.nodes[network.nodes.len() - 2].shape.hw;
                let stride = if stem == Stem::Cifar { 8 } else { 32 };
                // If image sizes are searched, the image may be smaller than the skeleton's.
                let expected = resolution.div_ceil(stride);
                assert!(last == expected || graph.is_elastic() && last < expected, "{last}");
            }
        }
    }
}

#[test]
fn skeletons_that_cannot_be_built_are_refused() {
    for space in chains() {
        let good = paper(&*space);
        let told = |skeleton: Skeleton| space.check_skeleton(&skeleton).unwrap_err().to_string();
        assert!(told(Skeleton { resolution: 31, ..good }).contains("32, which is the network's"));
        let cifar = Skeleton { stem: Stem::Cifar, resolution: 7, ..good };
        assert!(told(cifar).contains("from 8, which is the network's stride"), "{}", space.id());
        assert!(told(Skeleton { layers: good.layers + 1, ..good }).contains("neither more"));
        assert!(told(Skeleton { channels: 0, ..good }).contains("found 0"));
        assert!(told(Skeleton { classes: 0, ..good }).contains("one class"));
        for preset in space.skeletons() {
            assert_eq!(space.check_skeleton(&preset.skeleton), Ok(()), "{}", preset.name);
        }
    }
}
