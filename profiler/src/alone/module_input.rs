//! An argument of a user's module, as people write it: `1x3x224x224`, `1x128:i64<30522`, `int=5`.

use std::str::FromStr;

use lat_device::Argument;
use tch::{Device, Kind, Tensor};

/// The forms that are expected, for messages.
const EXPECTED: &str = "a shape as 1x3x224x224, a shape and a kind as 1x128:i64, with values below a bound as '1x128:i64<30522' or all \
                        equal as 1x128:i64=1, several as [3x8x8,3x8x8], a number as int=5, float=0.5 or bool=true, or None";
/// Whole numbers without a bound are below this, so that they are valid row numbers in any table with two rows.
const BOUND: i64 = 2;
const KINDS: [(&str, Kind); 9] = [
    ("f16", Kind::Half),
    ("bf16", Kind::BFloat16),
    ("f32", Kind::Float),
    ("f64", Kind::Double),
    ("u8", Kind::Uint8),
    ("i16", Kind::Int16),
    ("i32", Kind::Int),
    ("i64", Kind::Int64),
    ("bool", Kind::Bool),
];

/// An argument of a user's module. Its text form is that of the command line's `--input`.
#[derive(Debug, Clone, PartialEq)]
pub enum ModuleInput {
    /// Python's `None`.
    None,
    /// `int=5`
    Int(i64),
    /// `float=0.5`
    Float(f64),
    /// `bool=true`
    Bool(bool),
    /// `1x3x224x224`, `1x128:i64<30522`
    Tensor(TensorInput),
    /// `[3x8x8,3x8x8]`: a list of tensors, or a tuple if that is what the module takes.
    Tensors(Vec<TensorInput>),
}

/// A tensor and the values in it.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInput {
    /// Sizes, each above zero; empty for a tensor of one number.
    shape: Vec<i64>,
    /// If None: floating point at the precision that is timed.
    kind: Option<Kind>,
    values: Values,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Values {
    /// Normally distributed for floating point, else whole numbers below two.
    Usual,
    /// Uniform from 0 to a bound above zero; the bound itself is excluded.
    Below(f64),
    Equal(f64),
}

impl ModuleInput {
    /// The argument on a device. Floating point tensors without a kind of their own get the kind `precision`.
    pub(super) fn argument(
        &self,
        precision: Kind,
        device: Device,
        channels_last: bool,
    ) -> Argument {
        let tensor = |input: &TensorInput| input.tensor(precision, device, channels_last);
        match self {
            Self::None => Argument::None,
            Self::Int(value) => Argument::Int(*value),
            Self::Float(value) => Argument::Float(*value),
            Self::Bool(value) => Argument::Bool(*value),
            Self::Tensor(input) => Argument::Tensor(tensor(input)),
            Self::Tensors(inputs) => Argument::Tensors(inputs.iter().map(tensor).collect()),
        }
    }
}

impl TensorInput {
    /// Panics, as tch does, if there is not enough memory.
    fn tensor(&self, precision: Kind, device: Device, channels_last: bool) -> Tensor {
        let kind = self.kind.unwrap_or(precision);
        let (shape, float) = (self.shape.as_slice(), (Kind::Float, device));
        let is_float = is_float(kind);
        let values = match self.values {
            Values::Usual if is_float => Tensor::randn(shape, float),
            Values::Usual => Tensor::randint(BOUND, shape, (Kind::Int64, device)),
            Values::Below(bound) if is_float => Tensor::rand(shape, float) * bound,
            Values::Below(bound) => Tensor::randint(bound as i64, shape, (Kind::Int64, device)),
            Values::Equal(value) => Tensor::full(shape, value, (Kind::Double, device)),
        };
        let values = values.to_kind(kind);
        match channels_last && shape.len() == 4 && is_float {
            true => lat_nn::channels_last(&values),
            false => values,
        }
    }
}

impl FromStr for ModuleInput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected {EXPECTED}; found '{text}'");
        if text.eq_ignore_ascii_case("None") {
            return Ok(Self::None);
        }
        if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let all: Option<Vec<_>> = inside.split(',').map(|one| tensor(one.trim())).collect();
            return all.map(Self::Tensors).ok_or_else(wrong);
        }
        let found = match text.split_once('=') {
            Some(("int", value)) => value.parse().ok().map(Self::Int),
            Some(("float", value)) => finite(value).map(Self::Float),
            Some(("bool", value)) => value.parse().ok().map(Self::Bool),
            _ => tensor(text).map(Self::Tensor),
        };
        found.ok_or_else(wrong)
    }
}

fn is_float(kind: Kind) -> bool {
    matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double)
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Reads `SHAPE[:KIND][<BOUND|=VALUE]`. The shape may be left out if there is a kind; then it is a tensor of one number.
fn tensor(text: &str) -> Option<TensorInput> {
    let (what, values) = match (text.split_once('<'), text.split_once('=')) {
        (Some((what, bound)), _) => {
            (what, Values::Below(finite(bound).filter(|bound| *bound > 0.0)?))
        }
        (None, Some((what, value))) => (what, Values::Equal(finite(value)?)),
        (None, None) => (text, Values::Usual),
    };
    let (sizes, kind) = match what.split_once(':') {
        Some((sizes, name)) => (sizes, Some(KINDS.iter().find(|(known, _)| *known == name)?.1)),
        None => (what, None),
    };
    let shape = match (sizes, kind) {
        ("", Some(_)) => Vec::new(),
        _ => sizes
            .split('x')
            .map(|size| size.parse().ok().filter(|size| *size > 0))
            .collect::<Option<_>>()?,
    };
    let is_whole = |value: f64| value.fract() == 0.0 && value.abs() < 2f64.powi(53);
    let fits = kind.is_none_or(is_float)
        || match values {
            Values::Usual => true,
            Values::Below(value) | Values::Equal(value) => is_whole(value),
        };
    fits.then_some(TensorInput { shape, kind, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> Tensor {
        let input: ModuleInput = text.parse().unwrap();
        match input.argument(Kind::BFloat16, Device::Cpu, false) {
            Argument::Tensor(tensor) => tensor,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn tensors_have_the_shape_kind_and_values_that_their_text_says() {
        for (text, sizes, kind) in [
            ("2x3x4", vec![2, 3, 4], Kind::BFloat16),
            ("7", vec![7], Kind::BFloat16),
            ("2:f64", vec![2], Kind::Double),
            ("1x128:i64<30522", vec![1, 128], Kind::Int64),
            ("4:bool", vec![4], Kind::Bool),
            (":i32=3", vec![], Kind::Int),
        ] {
            let tensor = made(text);
            assert_eq!((tensor.size(), tensor.kind()), (sizes, kind), "{text}");
        }
        let ends = |text: &str| {
            let tensor = made(text).to_kind(Kind::Double);
            (tensor.min().double_value(&[]), tensor.max().double_value(&[]))
        };
        assert_eq!(ends("9x9:i64=4"), (4.0, 4.0));
        assert_eq!(ends("500:i64<3"), (0.0, 2.0));
        assert_eq!(ends("500:u8"), (0.0, 1.0));
        let (low, high) = ends("500:f32<0.5");
        assert!(low >= 0.0 && high < 0.5 && high > 0.4, "{low} {high}");
    }

    #[test]
    fn arguments_that_are_no_tensors() {
        let parsed = |text: &str| text.parse::<ModuleInput>().unwrap();
        assert_eq!(parsed("int=-5"), ModuleInput::Int(-5));
        assert_eq!(parsed("float=0.5"), ModuleInput::Float(0.5));
        assert_eq!(parsed("bool=true"), ModuleInput::Bool(true));
        assert_eq!(parsed("None"), ModuleInput::None);
        let several = parsed("[3x8x8, 2:i64]").argument(Kind::Float, Device::Cpu, false);
        assert!(matches!(several, Argument::Tensors(all) if all.len() == 2));
    }

    #[test]
    fn what_is_none_of_these_is_named() {
        for wrong in [
            "",
            "1x",
            "axb",
            "1x0",
            "1x-3",
            "1,3",
            "3:i65",
            "3:i64<",
            "3:i64<0",
            "3:i64<x",
            "3:i64=0.5",
            "int=",
            "int=0.5",
            "float=nan",
            "bool=1",
            "[3,x]",
            "[3",
            ":",
        ] {
            let error = wrong.parse::<ModuleInput>().unwrap_err();
            assert!(
                error.contains("as 1x3x224x224") && error.contains(&format!("'{wrong}'")),
                "{error}"
            );
        }
    }
}
