use onnx_rs::ast::{
    Attribute, AttributeType, DataType, Dimension, Graph, Model, Node, OpType, OperatorSetId,
    StringStringEntry, TensorProto, TensorShape, TensorShapeDimension, TensorTypeProto, TypeProto,
    TypeValue, ValueInfo,
};
use tch::Tensor;

use super::LABEL;
use crate::model::to_vec;

/// Versions of the operations and of the file's format; ONNX 1.12 of 2022 and later read both.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;
/// The size of a batch, which is left open.
const BATCH: &str = "b";

/// A graph of ONNX operations as it grows: constants, and operations in the order in which they run.
#[derive(Default)]
pub(super) struct OnnxGraph {
    operations: Vec<Operation>,
    constants: Vec<Constant>,
}

/// A value of the graph, by its name.
#[derive(Debug, Clone)]
pub(super) struct Value(String);

struct Operation {
    op: OpType<'static>,
    inputs: Vec<String>,
    output: String,
    attributes: Vec<Attribute<'static>>,
}

struct Constant {
    name: String,
    size: Vec<i64>,
    numbers: Numbers,
}

enum Numbers {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

impl OnnxGraph {
    /// A tensor of floats.
    pub(super) fn tensor(&mut self, tensor: &Tensor) -> Value {
        self.constant(tensor.size(), Numbers::Floats(to_vec(tensor)))
    }

    /// A number that broadcasts.
    pub(super) fn scalar(&mut self, number: f64) -> Value {
        self.constant(vec![], Numbers::Floats(vec![number as f32]))
    }

    /// Whole numbers `[n]`.
    pub(super) fn ints(&mut self, numbers: Vec<i64>) -> Value {
        self.constant(vec![numbers.len() as i64], Numbers::Ints(numbers))
    }

    fn constant(&mut self, size: Vec<i64>, numbers: Numbers) -> Value {
        let name = format!("c{}", self.constants.len());
        self.constants.push(Constant { name: name.clone(), size, numbers });
        Value(name)
    }

    /// An operation without attributes.
    pub(super) fn apply(&mut self, op: OpType<'static>, inputs: &[&Value]) -> Value {
        self.apply_with(op, inputs, vec![])
    }

    /// An operation.
    pub(super) fn apply_with(
        &mut self,
        op: OpType<'static>,
        inputs: &[&Value],
        attributes: Vec<Attribute<'static>>,
    ) -> Value {
        let output = format!("v{}", self.operations.len());
        let inputs = inputs.iter().map(|value| value.0.clone()).collect();
        self.operations.push(Operation { op, inputs, output: output.clone(), attributes });
        Value(output)
    }

    /// The columns `[b, n]` of these numbers.
    pub(super) fn gather(&mut self, value: &Value, columns: &Tensor) -> Value {
        let columns = Vec::<i64>::try_from(columns).expect("numbers of columns are a vector");
        let columns = self.ints(columns);
        self.apply_with(OpType::Gather, &[value, &columns], vec![int("axis", 1)])
    }

    /// Values `[b, n]` beside one another.
    pub(super) fn beside(&mut self, values: &[&Value]) -> Value {
        self.apply_with(OpType::Concat, values, vec![int("axis", 1)])
    }

    /// The mean along a dimension.
    pub(super) fn mean(&mut self, value: &Value, dim: i64, keep: bool) -> Value {
        let axes = Attribute {
            name: "axes",
            r#type: AttributeType::Ints,
            ints: vec![dim],
            ..Attribute::default()
        };
        let attributes = vec![axes, int("keepdims", i64::from(keep))];
        self.apply_with(OpType::ReduceMean, &[value], attributes)
    }

    /// The input of this name.
    pub(super) fn input(name: &str) -> Value {
        Value(name.to_owned())
    }

    /// Makes a column `[b, 1]` the output `[b]` of this name.
    pub(super) fn output(&mut self, name: &str, column: &Value) {
        let one = self.ints(vec![1]);
        self.apply(OpType::Squeeze, &[column, &one]);
        if let Some(last) = self.operations.last_mut() {
            name.clone_into(&mut last.output);
        }
    }

    /// The bytes of the model with input `probs` `[b, n_gates]` and these outputs `[b]`.
    pub(super) fn encode(&self, n_gates: usize, outputs: [&str; 2], label: &str) -> Vec<u8> {
        let width = Dimension::Value(n_gates as i64);
        let graph = Graph {
            name: "predictor",
            node: self.operations.iter().map(Operation::node).collect(),
            initializer: self.constants.iter().map(Constant::proto).collect(),
            input: vec![floats("probs", vec![Dimension::Param(BATCH), width])],
            output: outputs.map(|name| floats(name, vec![Dimension::Param(BATCH)])).into(),
            ..Graph::default()
        };
        onnx_rs::encode(&Model {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetId { domain: "", version: OPSET }],
            producer_name: "lat",
            producer_version: env!("CARGO_PKG_VERSION"),
            graph: Some(graph),
            metadata_props: vec![StringStringEntry { key: LABEL, value: label }],
            ..Model::default()
        })
    }
}

impl Operation {
    fn node(&self) -> Node<'_> {
        Node {
            op_type: self.op.clone(),
            input: self.inputs.iter().map(String::as_str).collect(),
            output: vec![&self.output],
            name: &self.output,
            attribute: self.attributes.clone(),
            ..Node::default()
        }
    }
}

impl Constant {
    fn proto(&self) -> TensorProto<'_> {
        let size = self.size.clone();
        match &self.numbers {
            Numbers::Floats(numbers) => TensorProto::from_f32(&self.name, size, numbers.clone()),
            Numbers::Ints(numbers) => TensorProto::from_i64(&self.name, size, numbers.clone()),
        }
    }
}

/// A whole number as an attribute.
fn int(name: &'static str, i: i64) -> Attribute<'static> {
    Attribute { name, r#type: AttributeType::Int, i, ..Attribute::default() }
}

/// What is said of an input or output of floats.
fn floats<'a>(name: &'a str, size: Vec<Dimension<'a>>) -> ValueInfo<'a> {
    let dim = |value| TensorShapeDimension { value, ..TensorShapeDimension::default() };
    let shape = Some(TensorShape { dim: size.into_iter().map(dim).collect() });
    let value = Some(TypeValue::Tensor(TensorTypeProto { elem_type: DataType::Float, shape }));
    ValueInfo {
        name,
        r#type: Some(TypeProto { value, ..TypeProto::default() }),
        ..ValueInfo::default()
    }
}
