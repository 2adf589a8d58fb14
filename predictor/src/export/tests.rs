//! Tests of the exports: their shapes, their gradients, and the inputs that they reject.

use lat_space::{NasBench201, Space, architecture_at};
use prost::Message;
use tch::{CModule, Kind, Tensor};

use super::onnx_proto::{Dimension, ModelProto};
use super::*;
use crate::model::to_vec;
use crate::predictor::tests::trained;

/// Gates `[n, 30]`; every second row is soft.
fn gates(n: u64) -> Tensor {
    let space = NasBench201::new();
    let of = |i| architecture_at(&space, 4, i).unwrap().gates(space.decisions());
    let hard: Vec<f32> = (0..n).flat_map(of).collect();
    let hard = Tensor::from_slice(&hard).view([n as i64, 30]);
    let mixed = (&hard + hard.flip([0])) / 2.0;
    let is_soft =
        Tensor::arange(n as i64, (Kind::Int64, tch::Device::Cpu)).remainder(2).view([-1, 1]);
    mixed.where_self(&is_soft.ne(0), &hard)
}

fn module(with_sd: bool) -> CModule {
    let bytes = torchscript::file(&trained(&NasBench201::new()), with_sd, "{}").unwrap();
    CModule::load_data(&mut bytes.as_slice()).unwrap()
}

#[test]
fn torchscript_takes_any_number_of_rows_and_has_the_same_slope() {
    let predictor = trained(&NasBench201::new());
    let module = module(false);
    for n in [1, 2, 7, 300] {
        let run = |forward: &dyn Fn(&Tensor) -> Tensor| {
            let probs = gates(n).set_requires_grad(true);
            let cost = forward(&probs);
            cost.sum(Kind::Float).backward();
            [to_vec(&cost), to_vec(&probs.grad())]
        };
        let expected = run(&|probs| predictor.forward(probs).unwrap());
        assert_eq!(expected[0].len() as u64, n);
        let found = run(&|probs| module.forward_ts(&[probs]).unwrap());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.len(), expected.len());
            let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-5 * largest));
        }
    }
}

#[test]
fn torchscript_takes_a_vector_and_doubles_and_refuses_other_widths() {
    let predictor = trained(&NasBench201::new());
    let module = module(true);
    let probs = gates(3);
    let (cost, sd) = predictor.forward_with_sd(&probs).unwrap();
    let expected = [to_vec(&cost), to_vec(&sd)].concat();
    let run = |probs: Tensor| module.forward_ts(&[probs]);
    // The exported networks sum their products in another order.
    let doubles = to_vec(&run(probs.to_kind(Kind::Double)).unwrap());
    assert_eq!(doubles.len(), expected.len());
    assert!(doubles.iter().zip(&expected).all(|(d, e)| (d / e - 1.0).abs() < 1e-5), "{doubles:?}");
    let vector = to_vec(&run(probs.get(1)).unwrap());
    assert!((vector[0] / expected[1] - 1.0).abs() < 1e-6, "{vector:?} {expected:?}");
    assert!((vector[1] / expected[4] - 1.0).abs() < 1e-5, "{vector:?} {expected:?}");
    for width in [1, 29, 60] {
        let error = run(Tensor::zeros([3, width], tch::kind::FLOAT_CPU)).unwrap_err().to_string();
        assert!(error.contains("30"), "{width}: {error}");
    }
}

#[test]
fn the_same_predictor_gives_the_same_bytes() {
    let predictor = trained(&NasBench201::new());
    let torchscript = || torchscript::file(&predictor, true, "label").unwrap();
    assert!(torchscript() == torchscript());
    assert!(onnx::file(&predictor, "label") == onnx::file(&predictor, "label"));
}

#[test]
fn onnx_names_its_ends_leaves_the_batch_open_and_holds_the_label() {
    let bytes = onnx::file(&trained(&NasBench201::new()), "{\"a\":1}");
    let model = ModelProto::decode(bytes.as_slice()).unwrap();
    let label = &model.metadata_props[0];
    assert_eq!((label.key.as_str(), label.value.as_str()), ("lat_label", "{\"a\":1}"));
    let graph = model.graph.unwrap();
    let ends: Vec<_> = graph.input.iter().chain(&graph.output).collect();
    assert_eq!(ends.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["probs", "cost", "sd"]);
    for (end, rank) in ends.iter().zip([2, 1, 1]) {
        let tensor = end.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
        let dim = &tensor.shape.as_ref().unwrap().dim;
        let batch = Some(Dimension::Param("b".to_owned()));
        assert_eq!((&dim[0].value, dim.len()), (&batch, rank));
    }
}

#[test]
fn formats_are_found_by_name() {
    for format in ExportFormat::ALL {
        assert_eq!(format.name().parse::<ExportFormat>().unwrap(), format);
    }
    let error = "tflite".parse::<ExportFormat>().unwrap_err().to_string();
    assert_eq!(error, "unknown format 'tflite'; expected one of: torchscript, onnx");
}
