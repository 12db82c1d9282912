//! What of a file's graph is asked: inputs that are columns, scores, and what lies between.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Length;
use tract_onnx::pb::type_proto::{Tensor as TensorType, Value as Type};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto};
use tract_onnx::prelude::*;

use super::nodes::{texts, wholes};
use super::{Classes, Error, ml, trees};

/// The version of the standard domain for files that name none: that of the nodes made here.
const STANDARD: i64 = 13;
/// Columns that there may be.
const MOST_COLUMNS: usize = 100_000;

/// Columns of one type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Input {
    pub name: String,
    pub of: DatumType,
    pub width: usize,
    /// Whether rows are numbers, not arrays of them.
    flat: bool,
}

impl Input {
    pub fn shape(&self, rows: usize) -> TVec<usize> {
        if self.flat { tvec![rows] } else { tvec![rows, self.width] }
    }
}

/// A file that tract can read.
pub(super) struct Read {
    pub proto: ModelProto,
    pub inputs: Vec<Input>,
    /// The number of rows that the file demands.
    pub block: Option<usize>,
    /// None where nothing tells.
    pub classes: Option<Classes>,
}

fn unsupported<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::Unsupported { what: what.into() })
}

pub(super) fn read(mut proto: ModelProto) -> Result<Read, Error> {
    let Some(mut graph) = proto.graph.take() else {
        return Err(Error::Format { what: "it has no graph".to_owned() });
    };
    let tensors = &graph.initializer;
    if tensors.iter().any(|tensor| tensor.data_location == Some(DataLocation::External as i32)) {
        return unsupported("weights in another file");
    }
    let (scores, classes) = scores(&graph)?;
    keep_what_is_asked(&mut graph, &scores);
    let (inputs, block) = inputs(&mut graph)?;
    ml::rewrite(&mut graph)?;
    let known = tract_onnx::onnx().op_register;
    let unknown = graph.node.iter().find(|node| {
        node.op_type != trees::OPERATOR && !known.0.contains_key(node.op_type.as_str())
    });
    if let Some(node) = unknown {
        return unsupported(format!("operator \"{}\"", node.op_type));
    }
    let is_standard = |set: &OperatorSetIdProto| set.domain.is_empty() || set.domain == "ai.onnx";
    if !proto.opset_import.iter().any(is_standard) {
        let standard = OperatorSetIdProto { domain: String::new(), version: STANDARD };
        proto.opset_import.push(standard);
    }
    proto.graph = Some(graph);
    Ok(Read { proto, inputs, block, classes })
}

/// The nodes by what they give.
fn givers(graph: &GraphProto) -> HashMap<&str, &NodeProto> {
    let of = |node| {
        let node: &NodeProto = node;
        node.output.iter().map(move |name| (name.as_str(), node))
    };
    graph.node.iter().flat_map(of).collect()
}

/// Whether an output holds text or integers, as labels do.
fn is_label(output: &ValueInfoProto, giver: Option<&&NodeProto>) -> bool {
    if giver.is_some_and(|node| node.op_type == "ZipMap") {
        return false;
    }
    match tensor(output).and_then(|tensor| DataType::try_from(tensor.elem_type).ok()) {
        Some(of) => !matches!(of, DataType::Float | DataType::Double | DataType::Float16),
        None => true,
    }
}

/// The name of what holds scores, and their classes.
fn scores(graph: &GraphProto) -> Result<(String, Option<Classes>), Error> {
    let givers = givers(graph);
    let is_label = |output: &&ValueInfoProto| is_label(output, givers.get(output.name.as_str()));
    let found: Vec<&ValueInfoProto> = graph.output.iter().filter(|o| !is_label(o)).collect();
    let [scores] = found.as_slice() else {
        let names: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
        return unsupported(match found.is_empty() {
            true => format!("no output of numbers ({})", names.join(", ")),
            false => format!("several outputs of numbers ({})", names.join(", ")),
        });
    };
    let mut name = scores.name.as_str();
    let mut classes = None;
    // Outputs often only pass on what they are given.
    while let Some(giver) = givers.get(name)
        && matches!(giver.op_type.as_str(), "ZipMap" | "Identity" | "Cast")
        && let Some(input) = giver.input.first()
    {
        classes = classes.or_else(|| labels(giver));
        name = input;
    }
    let label = graph.output.iter().find(is_label);
    let classes = classes
        .or_else(|| label.and_then(|label| labels_of_gatherer(graph, &givers, &label.name)))
        .or_else(|| labels_before(&givers, name))
        .or_else(|| by_last_operator(givers.get(name)));
    Ok((name.to_owned(), classes))
}

/// The classes that a node names.
fn labels(node: &NodeProto) -> Option<Classes> {
    for name in ["classlabels_int64s", "classlabels_ints"] {
        let found = wholes(node, name);
        if !found.is_empty() {
            return Some(Classes::Whole(found.to_vec()));
        }
    }
    let found = texts(node, "classlabels_strings");
    (!found.is_empty()).then_some(Classes::Text(found))
}

/// The classes that labels are picked out of, as networks of scikit-learn do it.
fn labels_of_gatherer(
    graph: &GraphProto,
    givers: &HashMap<&str, &NodeProto>,
    label: &str,
) -> Option<Classes> {
    let mut name = label;
    for _ in 0..graph.node.len() {
        let giver = givers.get(name)?;
        let first = giver.input.first()?;
        if giver.op_type == "ArrayFeatureExtractor" {
            let tensor = graph.initializer.iter().find(|tensor| tensor.name == *first)?;
            let texts = tensor.string_data.iter();
            let texts: Vec<String> =
                texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect();
            let (raw, _) = tensor.raw_data.as_chunks::<8>();
            return match DataType::try_from(tensor.data_type).ok()? {
                DataType::String => Some(Classes::Text(texts)),
                DataType::Int64 if !raw.is_empty() => {
                    Some(Classes::Whole(raw.iter().map(|raw| i64::from_le_bytes(*raw)).collect()))
                }
                DataType::Int64 => Some(Classes::Whole(tensor.int64_data.clone())),
                DataType::Int32 if tensor.raw_data.is_empty() => {
                    Some(Classes::Whole(tensor.int32_data.iter().map(|x| (*x).into()).collect()))
                }
                _ => None,
            };
        }
        name = first;
    }
    None
}

/// The classes of the nearest classifier that scores come from.
fn labels_before(givers: &HashMap<&str, &NodeProto>, name: &str) -> Option<Classes> {
    let mut seen = HashSet::new();
    let mut next = vec![name];
    while let Some(name) = next.pop() {
        let Some(giver) = givers.get(name).filter(|_| seen.insert(name)) else { continue };
        if let Some(found) = labels(giver) {
            return Some(found);
        }
        next.extend(giver.input.iter().map(String::as_str));
    }
    None
}

/// Shares by their function; how many there are is known later.
fn by_last_operator(giver: Option<&&NodeProto>) -> Option<Classes> {
    matches!(giver?.op_type.as_str(), "Softmax" | "Sigmoid").then(|| Classes::Whole(Vec::new()))
}

/// Classes against the number of outputs.
pub(super) fn checked(classes: Option<Classes>, outputs: usize) -> Result<Classes, Error> {
    let found = match &classes {
        None | Some(Classes::None) if outputs == 1 => return Ok(Classes::None),
        None | Some(Classes::None) => return unsupported(format!("{outputs} targets")),
        Some(Classes::Whole(found)) if found.is_empty() => {
            return Ok(Classes::Whole((0..outputs.max(2) as i64).collect()));
        }
        Some(Classes::Whole(found)) => found.len(),
        Some(Classes::Text(found)) => found.len(),
    };
    match (found, outputs) {
        (2.., _) if found == outputs => {}
        (2, 1) => {}
        _ => return unsupported(format!("{outputs} outputs for {found} classes")),
    }
    Ok(classes.unwrap_or(Classes::None))
}

/// Leaves the nodes, constants and inputs that the scores need; the scores are the only output.
fn keep_what_is_asked(graph: &mut GraphProto, scores: &str) {
    let mut needed: HashSet<String> = HashSet::from([scores.to_owned()]);
    let mut nodes = Vec::new();
    // Nodes are in order, as the format demands.
    for node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|name| needed.contains(name)) {
            needed.extend(node.input.iter().cloned());
            needed.extend(closures(&node));
            nodes.push(node);
        }
    }
    nodes.reverse();
    graph.node = nodes;
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
    graph.input.retain(|input| needed.contains(&input.name));
    graph.value_info.clear();
    graph.output = vec![ValueInfoProto { name: scores.to_owned(), ..ValueInfoProto::default() }];
}

/// Names that the graphs within a node take from outside.
fn closures(node: &NodeProto) -> Vec<String> {
    let graphs = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
    let of = |graph: &GraphProto| {
        let within = |node: &NodeProto| [node.input.clone(), closures(node)].concat();
        let outputs = graph.output.iter().map(|output| output.name.clone());
        graph.node.iter().flat_map(within).chain(outputs).collect::<Vec<String>>()
    };
    graphs.flat_map(of).collect()
}

fn tensor(value: &ValueInfoProto) -> Option<&TensorType> {
    match value.r#type.as_ref()?.value.as_ref()? {
        Type::TensorType(tensor) => Some(tensor),
    }
}

/// The columns, and the number of rows if the file has one.
fn inputs(graph: &mut GraphProto) -> Result<(Vec<Input>, Option<usize>), Error> {
    let constants: HashSet<&str> =
        graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut block = None;
    let mut found = Vec::new();
    for input in graph.input.iter().filter(|input| !constants.contains(input.name.as_str())) {
        let (read, rows) = column(input)?;
        if let Some(rows) = rows {
            if block.is_some_and(|block| block != rows) {
                return unsupported("inputs of different numbers of rows");
            }
            block = Some(rows);
        }
        found.push(read);
    }
    let columns: usize = found.iter().map(|input| input.width).sum();
    match columns {
        0 => return unsupported("no inputs"),
        1..=MOST_COLUMNS => {}
        _ => return unsupported(format!("{columns} columns")),
    }
    // Constants among inputs are defaults, not columns.
    let names: HashSet<&str> = found.iter().map(|input: &Input| input.name.as_str()).collect();
    graph.input.retain(|input| names.contains(input.name.as_str()));
    Ok((found, block))
}

fn column(input: &ValueInfoProto) -> Result<(Input, Option<usize>), Error> {
    let name = &input.name;
    let Some(tensor) = tensor(input) else {
        return unsupported(format!("input \"{name}\", which is no tensor"));
    };
    let of = match DataType::try_from(tensor.elem_type) {
        Ok(DataType::Float) => DatumType::F32,
        Ok(DataType::Double) => DatumType::F64,
        Ok(DataType::Int64) => DatumType::I64,
        Ok(DataType::Int32) => DatumType::I32,
        Ok(DataType::Bool) => DatumType::Bool,
        Ok(DataType::String) => return unsupported(format!("input \"{name}\" of text")),
        _ => return unsupported(format!("input \"{name}\" of its type")),
    };
    let lengths: Vec<Option<usize>> = match &tensor.shape {
        None => return unsupported(format!("input \"{name}\" without a shape")),
        Some(shape) => {
            let length = |value: &Option<Length>| match value {
                Some(Length::DimValue(length)) => usize::try_from(*length).ok().filter(|l| *l > 0),
                _ => None,
            };
            shape.dim.iter().map(|dimension| length(&dimension.value)).collect()
        }
    };
    let (rows, width, flat) = match lengths.as_slice() {
        [rows] => (*rows, 1, true),
        [rows, Some(width)] => (*rows, *width, false),
        [_, None] => {
            return unsupported(format!("input \"{name}\" of an unknown number of columns"));
        }
        other => return unsupported(format!("input \"{name}\" of {} dimensions", other.len())),
    };
    Ok((Input { name: name.clone(), of, width, flat }, rows))
}
