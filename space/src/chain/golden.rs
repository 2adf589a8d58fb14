//! Networks whose parameters and multiply-adds were computed by the authors' own code.

use crate::{Convention, Stem, find_skeleton, find_space};

/// Compares every network of a file with our own counts, and returns the number of networks. A line has, separated by tabs:
/// space, stem, resolution, classes, parameters, multiply-adds by both conventions (without the classifier's bias), text. Lines
/// that begin with # say where the numbers come from.
pub(crate) fn check(file: &str) -> usize {
    let networks = file.lines().filter(|line| !line.starts_with('#'));
    networks.map(check_network).count()
}

fn check_network(line: &str) {
    let cells: Vec<&str> = line.split('\t').collect();
    let [space, stem, resolution, classes, params, conv_linear, ptflops, text] = cells[..] else {
        panic!("eight cells: {line}");
    };
    let space = find_space(space).unwrap();
    let paper = find_skeleton(&*space, "imagenet").unwrap();
    let skeleton = crate::Skeleton {
        stem: if stem == "cifar" { Stem::Cifar } else { Stem::ImageNet },
        resolution: resolution.parse().unwrap(),
        classes: classes.parse().unwrap(),
        ..paper
    };
    space.check_skeleton(&skeleton).unwrap();
    let architecture = space.parse(text).unwrap();
    let network = space.graph(&skeleton).derive(&architecture);
    let cost = crate::count(&network);
    let counted = [cost.params, cost.conv_linear, cost.multiply_adds].map(|n| n.to_string());
    assert_eq!(counted, [params, conv_linear, ptflops], "{line}");
    let layers = network.layers();
    let sum: u64 = layers.iter().map(|l| l.multiply_adds(Convention::ConvLinear)).sum();
    assert_eq!(sum, cost.conv_linear, "{line}");
    assert_eq!(space.parse(&space.format(&architecture)), Ok(architecture), "{line}");
}
