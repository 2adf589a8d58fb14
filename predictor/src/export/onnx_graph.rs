//! Builds a graph of ONNX operations, and encodes it as a file.

use prost::Message;
use tch::Tensor;

use super::LABEL;
use super::onnx_proto::{
    ATTRIBUTE_INT, ATTRIBUTE_INTS, AttributeProto, Dimension, DimensionProto, FLOAT, GraphProto,
    INT64, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::model::to_vec;

/// Versions of the operations and of the file format; ONNX 1.12 (2022) and later read both.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;
/// Name of the batch dimension, whose size is left open.
const BATCH: &str = "b";

/// The operations used, by ONNX's names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    Add,
    Concat,
    Exp,
    Gather,
    MatMul,
    Max,
    Mul,
    Pad,
    Reciprocal,
    ReduceMean,
    Sigmoid,
    Sqrt,
    Squeeze,
    Sub,
}

/// A graph of ONNX operations under construction: constants, and operations in the order in which they run.
#[derive(Default)]
pub(super) struct OnnxGraph {
    operations: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

/// A value of the graph, identified by its name.
#[derive(Debug, Clone)]
pub(super) struct Value(String);

impl OnnxGraph {
    /// Adds a tensor of floats as a constant.
    pub(super) fn tensor(&mut self, tensor: &Tensor) -> Value {
        self.floats(tensor.size(), to_vec(tensor))
    }

    /// Adds a number as a constant, which broadcasts.
    pub(super) fn scalar(&mut self, number: f64) -> Value {
        self.floats(vec![], vec![number as f32])
    }

    /// Adds whole numbers `[n]` as a constant.
    pub(super) fn ints(&mut self, numbers: Vec<i64>) -> Value {
        let dims = vec![numbers.len() as i64];
        self.constant(TensorProto {
            dims,
            data_type: INT64,
            int64_data: numbers,
            ..TensorProto::default()
        })
    }

    fn floats(&mut self, dims: Vec<i64>, float_data: Vec<f32>) -> Value {
        self.constant(TensorProto { dims, data_type: FLOAT, float_data, ..TensorProto::default() })
    }

    fn constant(&mut self, tensor: TensorProto) -> Value {
        let name = format!("c{}", self.constants.len());
        self.constants.push(TensorProto { name: name.clone(), ..tensor });
        Value(name)
    }

    /// Adds an operation without attributes.
    pub(super) fn apply(&mut self, op: Op, inputs: &[&Value]) -> Value {
        self.apply_with(op, inputs, vec![])
    }

    fn apply_with(&mut self, op: Op, inputs: &[&Value], attribute: Vec<AttributeProto>) -> Value {
        let name = format!("v{}", self.operations.len());
        self.operations.push(NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: format!("{op:?}"),
            attribute,
        });
        Value(name)
    }

    /// Selects columns: `[b, n]` for `n` column numbers.
    pub(super) fn gather(&mut self, value: &Value, columns: &Tensor) -> Value {
        let columns = Vec::<i64>::try_from(columns).expect("numbers of columns are a vector");
        let columns = self.ints(columns);
        self.apply_with(Op::Gather, &[value, &columns], vec![int("axis", 1)])
    }

    /// Joins values `[b, n]` along the columns.
    pub(super) fn beside(&mut self, values: &[&Value]) -> Value {
        self.apply_with(Op::Concat, values, vec![int("axis", 1)])
    }

    /// The average along a dimension.
    pub(super) fn mean(&mut self, value: &Value, dim: i64, keep: bool) -> Value {
        let axes = AttributeProto {
            name: "axes".to_owned(),
            r#type: ATTRIBUTE_INTS,
            ints: vec![dim],
            ..AttributeProto::default()
        };
        let attributes = vec![axes, int("keepdims", i64::from(keep))];
        self.apply_with(Op::ReduceMean, &[value], attributes)
    }

    /// The input with this name.
    pub(super) fn input(name: &str) -> Value {
        Value(name.to_owned())
    }

    /// Makes a column `[b, 1]` the output `[b]` with this name.
    pub(super) fn output(&mut self, name: &str, column: &Value) {
        let one = self.ints(vec![1]);
        self.apply(Op::Squeeze, &[column, &one]);
        if let Some(last) = self.operations.last_mut() {
            last.output = vec![name.to_owned()];
            name.clone_into(&mut last.name);
        }
    }

    /// Encodes the model with input `probs` `[b, n_gates]` and these outputs `[b]`.
    pub(super) fn encode(self, n_gates: usize, outputs: [&str; 2], label: &str) -> Vec<u8> {
        let batch = || Dimension::Param(BATCH.to_owned());
        let width = Dimension::Value(n_gates as i64);
        let graph = GraphProto {
            name: "predictor".to_owned(),
            node: self.operations,
            initializer: self.constants,
            input: vec![floats("probs", vec![batch(), width])],
            output: outputs.map(|name| floats(name, vec![batch()])).into(),
        };
        let label = StringStringEntryProto { key: LABEL.to_owned(), value: label.to_owned() };
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "lat".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            metadata_props: vec![label],
        };
        model.encode_to_vec()
    }
}

/// A whole number as an attribute.
fn int(name: &str, i: i64) -> AttributeProto {
    let name = name.to_owned();
    AttributeProto { name, r#type: ATTRIBUTE_INT, i, ..AttributeProto::default() }
}

/// The declaration of an input or output of floats.
fn floats(name: &str, size: Vec<Dimension>) -> ValueInfoProto {
    let dim = size.into_iter().map(|value| DimensionProto { value: Some(value) }).collect();
    let tensor = TensorTypeProto { elem_type: FLOAT, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}
