//! The macro network: a stem, a row of cells with reductions after one and two thirds, a linear classifier.

use super::{CELL_TYPES, NODES, PRIMITIVES, Searched, decision};
use crate::{
    Graph, GraphBuilder, Op, OpSpec, REDUCTION_GROUPS, Skeleton, SpaceError, Stem, ValueId,
};

/// The CIFAR stem is this many times as wide as the first cells.
const STEM_MULTIPLIER: u32 = 3;

pub(super) fn check(searched: Searched, skeleton: &Skeleton) -> Result<(), SpaceError> {
    let wrong = |reason: String| Err(SpaceError::Skeleton { reason });
    let Skeleton { channels, layers, resolution, classes, stem } = *skeleton;
    if channels < 2 || channels % 2 == 1 || channels > 4096 {
        return wrong(format!("channels must be even and from 2 to 4096, found {channels}"));
    }
    // The first reduction cell is twice as wide as the first cells.
    if searched == Searched::Normal && (2 * channels) % REDUCTION_GROUPS != 0 {
        let divisor = REDUCTION_GROUPS / 2;
        return wrong(format!(
            "channels of darts-frc must be a multiple of {divisor}, since its reduction cells compute in {REDUCTION_GROUPS} groups, found {channels}"
        ));
    }
    if !(3..=1000).contains(&layers) {
        let space = searched.space();
        return wrong(format!("{space} needs 3 to 1000 layers (cells), found {layers}"));
    }
    let least = if stem == Stem::ImageNet { 32 } else { 4 };
    if !(least..=4096).contains(&resolution) {
        return wrong(format!(
            "resolution must be from {least} to 4096 pixels, found {resolution}"
        ));
    }
    if classes == 0 {
        return wrong("expected at least one class, found 0".into());
    }
    Ok(())
}

pub(super) fn graph(searched: Searched, skeleton: &Skeleton) -> Graph {
    let mut b = GraphBuilder::new(true);
    let image = b.input(skeleton.resolution);
    let (mut s0, mut s1, mut was_reduction) = stem(&mut b, image, skeleton);
    let mut channels = skeleton.channels;
    let thirds = [skeleton.layers / 3, 2 * skeleton.layers / 3];
    let mut auxiliary = s1;
    for cell in 0..skeleton.layers {
        let is_reduction = thirds.contains(&cell);
        channels *= if is_reduction { 2 } else { 1 };
        let inputs = preprocess(&mut b, s0, s1, channels, was_reduction);
        s0 = s1;
        s1 = if is_reduction && searched == Searched::Normal {
            fixed_reduction(&mut b, inputs)
        } else {
            cell_body(&mut b, inputs, cell, usize::from(is_reduction))
        };
        was_reduction = is_reduction;
        if cell == thirds[1] {
            auxiliary = s1;
        }
    }
    b.auxiliary(auxiliary, skeleton.classes);
    b.head(s1, skeleton.classes);
    b.finish()
}

/// Outputs of the two "cells" before the first one, and whether the second has half the resolution of the first.
fn stem(b: &mut GraphBuilder, image: ValueId, skeleton: &Skeleton) -> (ValueId, ValueId, bool) {
    let c = skeleton.channels;
    match skeleton.stem {
        Stem::Cifar => {
            let s = b.outside(image, Op::ConvBn { k: 3 }, STEM_MULTIPLIER * c, 1);
            (s, s, false)
        }
        Stem::ImageNet => {
            let half = b.outside(image, Op::ConvBn { k: 3 }, c / 2, 2);
            let s0 = b.outside(half, Op::ReluConvBn { k: 3 }, c, 2);
            let s1 = b.outside(s0, Op::ReluConvBn { k: 3 }, c, 2);
            (s0, s1, true)
        }
    }
}

fn preprocess(
    b: &mut GraphBuilder,
    s0: ValueId,
    s1: ValueId,
    channels: u32,
    was_reduction: bool,
) -> [ValueId; 2] {
    let s0 = if was_reduction {
        b.in_cell(s0, Op::FactorizedReduce, channels, 2)
    } else {
        b.in_cell(s0, Op::ReluConvBn { k: 1 }, channels, 1)
    };
    [s0, b.in_cell(s1, Op::ReluConvBn { k: 1 }, channels, 1)]
}

fn cell_body(b: &mut GraphBuilder, inputs: [ValueId; 2], cell: u16, cell_type: usize) -> ValueId {
    let reduces = CELL_TYPES[cell_type] == "reduce";
    let mut values = inputs.to_vec();
    for node in 0..NODES {
        let edges = (0..node + 2).map(|predecessor| {
            let from = values[predecessor];
            let stride = if reduces && predecessor < 2 { 2 } else { 1 };
            let candidates = candidates(b, from, stride);
            b.choice(from, cell, decision(cell_type, node, predecessor), candidates)
        });
        let edges = edges.collect();
        values.push(b.sum(edges));
    }
    b.concat(values[2..].to_vec())
}

/// GDAS' reduction cell: from each input a convolution and a pool that halve the map.
fn fixed_reduction(b: &mut GraphBuilder, inputs: [ValueId; 2]) -> ValueId {
    let channels = b.shape(inputs[0]).c;
    let ops = [Op::ReductionConv, Op::MaxPoolBn { k: 3 }];
    let branches = ops.map(|op| inputs.map(|from| b.branch(from, op, channels, 2)));
    b.concat(branches.concat())
}

fn candidates(b: &GraphBuilder, from: ValueId, stride: u8) -> Vec<OpSpec> {
    let channels = b.shape(from).c;
    let skip = if stride == 1 { Op::Identity } else { Op::FactorizedReduce };
    let ops = [
        Op::None,
        Op::MaxPool { k: 3 },
        Op::AvgPool { k: 3 },
        skip,
        Op::SepConv { k: 3 },
        Op::SepConv { k: 5 },
        Op::DilConv { k: 3 },
        Op::DilConv { k: 5 },
    ];
    debug_assert_eq!(ops.len(), PRIMITIVES.len());
    ops.iter().map(|&op| b.spec(from, op, channels, stride)).collect()
}
