//! Reading and making the nodes of a file.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

use super::Error;

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

pub(super) fn whole(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(|attribute| attribute.i)
}

pub(super) fn number(node: &NodeProto, name: &str) -> Option<f32> {
    attribute(node, name).map(|attribute| attribute.f)
}

/// Empty if there is none.
pub(super) fn wholes<'a>(node: &'a NodeProto, name: &str) -> &'a [i64] {
    attribute(node, name).map_or(&[], |attribute| attribute.ints.as_slice())
}

/// Empty if there is none; `NAME_as_tensor` holds doubles.
pub(super) fn numbers(node: &NodeProto, name: &str) -> Result<Vec<f64>, Error> {
    if let Some(found) = attribute(node, name).filter(|found| !found.floats.is_empty()) {
        return Ok(found.floats.iter().map(|value| f64::from(*value)).collect());
    }
    let Some(tensor) = attribute(node, &format!("{name}_as_tensor")).and_then(|a| a.t.as_ref())
    else {
        return Ok(Vec::new());
    };
    let raw = tensor.raw_data.as_slice();
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Double) if raw.is_empty() => Ok(tensor.double_data.clone()),
        Ok(DataType::Float) if raw.is_empty() => {
            Ok(tensor.float_data.iter().map(|value| f64::from(*value)).collect())
        }
        Ok(DataType::Double) => {
            let (values, _) = raw.as_chunks::<8>();
            Ok(values.iter().map(|value| f64::from_le_bytes(*value)).collect())
        }
        Ok(DataType::Float) => {
            let (values, _) = raw.as_chunks::<4>();
            Ok(values.iter().map(|value| f64::from(f32::from_le_bytes(*value))).collect())
        }
        _ => Err(Error::Unsupported { what: format!("the type of {name}_as_tensor") }),
    }
}

/// None if there is none, or if it is no text.
pub(super) fn text<'a>(node: &'a NodeProto, name: &str) -> Option<&'a str> {
    attribute(node, name).and_then(|found| std::str::from_utf8(&found.s).ok())
}

/// Empty if there is none.
pub(super) fn texts(node: &NodeProto, name: &str) -> Vec<String> {
    let found = attribute(node, name).map_or(&[][..], |found| found.strings.as_slice());
    found.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

/// A node of the standard domain.
pub(super) fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: operator.to_owned(),
        name: output.to_owned(),
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// The node with one more attribute.
pub(super) fn with_whole(mut node: NodeProto, name: &str, value: i64) -> NodeProto {
    node.attribute.push(AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    });
    node
}

/// A constant of single precision.
pub(super) fn constant(name: &str, shape: &[usize], values: Vec<f32>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: shape.iter().map(|length| *length as i64).collect(),
        data_type: DataType::Float as i32,
        float_data: values,
        ..TensorProto::default()
    }
}
