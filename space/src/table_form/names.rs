//! Names of rows, exactly as published tables spell them.

use super::TableForm;
use crate::{Activation, Grouping, InvertedResidual, Op, OpSpec, Piece, Shape};

/// The rows whose sum is the operation's latency; None if the form has no name for it.
pub(super) fn of_op(
    form: TableForm,
    spec: &OpSpec,
    is_searched: bool,
) -> Option<Vec<(String, Piece)>> {
    let whole = |name: String| Some(vec![(name, Piece::Op(*spec))]);
    match (form, spec.op) {
        (_, Op::Resize { .. }) => Some(vec![]),
        (TableForm::HwNasBench, Op::Identity) => whole(skip(spec)),
        (TableForm::HwNasBench, Op::ConvBnAct { biased: false, .. }) if is_searched => {
            whole(skip(spec))
        }
        (TableForm::HwNasBench, Op::ConvBnAct { k, biased: false, .. }) => {
            whole(format!("ConvNorm_{}_kernel{k}_stride{}_group1", hw_shape(spec), spec.stride))
        }
        (TableForm::HwNasBench, Op::InvertedResidual(block)) => whole(conv_block(spec, &block)?),
        (TableForm::HwNasBench, _) => None,
        (_, Op::Identity) => Some(vec![]),
        (_, Op::ConvBnAct { k, biased: false, .. }) => {
            whole(conv(if k == 1 { "Conv_1" } else { "Conv" }, spec))
        }
        (TableForm::Proxyless, Op::InvertedResidual(block)) => {
            whole(proxyless_block(spec, &block)?)
        }
        (TableForm::Ofa, Op::InvertedResidual(block)) => whole(ofa_block(spec, &block)?),
        (TableForm::Ofa, Op::FeatureMix { .. }) => Some(mix(spec)),
        _ => None,
    }
}

/// The rows whose sum is the classifier's latency.
pub(super) fn of_classifier(form: TableForm, classifier: Piece) -> Vec<(String, Piece)> {
    let Piece::Classifier { from, classes, .. } = classifier else { return vec![] };
    let Shape { c, hw } = from;
    if form == TableForm::HwNasBench {
        let pool = format!("AvgP_H{hw}_W{hw}_Cin{c}_Cout{c}_kernel{hw}_stride1");
        let linear = (format!("FC_Cin{c}_Cout{classes}"), Piece::Linear { c, classes });
        return vec![(pool, Piece::Pool(from)), linear];
    }
    vec![(format!("Logits-input:{hw}x{hw}x{c}-output:{classes}"), classifier)]
}

/// The form that a row's name belongs to, see [`TableForm::of_row`].
pub(super) fn form_of(name: &str) -> Option<TableForm> {
    let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    match name {
        _ if begins(&["ConvNorm_H", "ConvBlock_H", "Skip_H", "AvgP_H", "FC_Cin"]) => {
            Some(TableForm::HwNasBench)
        }
        _ if begins(&["expanded_conv-"]) && name.contains("-se:") => Some(TableForm::Ofa),
        _ if begins(&["expanded_conv-"]) => Some(TableForm::Proxyless),
        _ if begins(&["AvgPool2D-", "Conv_2-"]) => Some(TableForm::Ofa),
        _ => None,
    }
}

/// `input:224x224x3-output:112x112x32`.
fn shapes(spec: &OpSpec) -> String {
    let (from, to) = (spec.hw_in, spec.hw_out());
    format!("input:{from}x{from}x{}-output:{to}x{to}x{}", spec.c_in, spec.c_out)
}

/// `H7_W7_Cin184_Cout352`; the size is that of the input.
fn hw_shape(spec: &OpSpec) -> String {
    let OpSpec { c_in, c_out, hw_in: hw, .. } = spec;
    format!("H{hw}_W{hw}_Cin{c_in}_Cout{c_out}")
}

fn conv(kind: &str, spec: &OpSpec) -> String {
    format!("{kind}-{}", shapes(spec))
}

/// A block's name, without the part that Once-for-All adds.
fn expanded_conv(spec: &OpSpec, block: &InvertedResidual, expand: u32) -> String {
    let adds = u8::from(spec.adds_input());
    format!(
        "expanded_conv-{}-expand:{expand}-kernel:{}-stride:{}-idskip:{adds}",
        shapes(spec),
        block.k,
        spec.stride
    )
}

fn proxyless_block(spec: &OpSpec, block: &InvertedResidual) -> Option<String> {
    let is_plain = block.squeeze_excite.is_none()
        && block.activation == Activation::Relu6
        && !block.biased
        && block.grouping == Grouping::Dense;
    let ratio = ratio(spec, block).filter(|_| is_plain)?;
    Some(expanded_conv(spec, block, ratio))
}

fn ofa_block(spec: &OpSpec, block: &InvertedResidual) -> Option<String> {
    let hs = match block.activation {
        Activation::Relu => 0,
        Activation::HSwish => 1,
        _ => return None,
    };
    if block.biased || block.grouping != Grouping::Dense {
        return None;
    }
    let se = u8::from(block.squeeze_excite.is_some());
    Some(format!("{}-se:{se}-hs:{hs}", expanded_conv(spec, block, block.middle)))
}

/// The pool of a feature mix, and the convolution behind it.
fn mix(spec: &OpSpec) -> Vec<(String, Piece)> {
    let OpSpec { c_in, c_out, hw_in: hw, .. } = spec;
    let pool = format!("AvgPool2D-input:{hw}x{hw}x{c_in}-output:1x1x{c_in}");
    let behind = OpSpec { hw_in: 1, ..*spec };
    vec![
        (pool, Piece::Pool(Shape { c: *c_in, hw: *hw })),
        (format!("Conv_2-input:1x1x{c_in}-output:1x1x{c_out}"), Piece::Op(behind)),
    ]
}

fn conv_block(spec: &OpSpec, block: &InvertedResidual) -> Option<String> {
    let group = match block.grouping {
        Grouping::Dense => 1,
        Grouping::Both => 2,
        Grouping::Projection => return None,
    };
    let is_theirs = !block.unexpanded && !block.biased && block.squeeze_excite.is_none();
    let ratio = ratio(spec, block).filter(|_| is_theirs)?;
    let (shape, k, stride) = (hw_shape(spec), block.k, spec.stride);
    Some(format!("ConvBlock_{shape}_exp{ratio}_kernel{k}_stride{stride}_group{group}"))
}

fn skip(spec: &OpSpec) -> String {
    format!("Skip_{}_stride{}", hw_shape(spec), spec.stride)
}

/// Middle channels per input channel, if that is a whole number.
fn ratio(spec: &OpSpec, block: &InvertedResidual) -> Option<u32> {
    block.middle.is_multiple_of(spec.c_in).then(|| block.middle / spec.c_in)
}
