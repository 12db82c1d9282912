//! What of a file's graph is asked: inputs that are columns, scores, and what lies between.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Length;
use tract_onnx::pb::type_proto::{Tensor as TensorType, Value as Type};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto};
use tract_onnx::prelude::*;

use super::nodes::{number, numbers, text, texts, wholes};
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
    /// Whether a missing value is one of the model's own.
    pub takes_missing: bool,
    /// Whether rows are numbers, not arrays of them.
    flat: bool,
}

impl Input {
    /// The shape of a row.
    pub fn shape(&self) -> TVec<usize> {
        if self.flat { tvec![1] } else { tvec![1, self.width] }
    }

    /// Whether a value is one of the input's type.
    pub fn holds(&self, value: f64) -> bool {
        let range = match self.of {
            DatumType::Bool => 0.0..=1.0,
            DatumType::I32 => f64::from(i32::MIN)..=f64::from(i32::MAX),
            DatumType::I64 => -(2f64.powi(63))..=2f64.powi(63).next_down(),
            _ => return true,
        };
        range.contains(&value) && value.fract() == 0.0
    }
}

/// A file that tract can read.
pub(super) struct Read {
    pub proto: ModelProto,
    pub inputs: Vec<Input>,
    pub told: Told,
}

/// What a file says of its outputs.
pub(super) enum Told {
    Classes(Classes),
    /// Shares of classes without names.
    Shares,
    /// The share of the second of two classes.
    Share,
    Nothing,
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
    if let Some(function) = proto.functions.first() {
        return unsupported(format!(
            "function \"{}\"",
            function.name.as_deref().unwrap_or_default()
        ));
    }
    let (scores, told) = scores(&graph)?;
    keep_what_is_asked(&mut graph, &scores);
    if let Some(node) = graph.node.iter().find(|node| !is_known_domain(&node.domain)) {
        return unsupported(format!("operator \"{}\" of \"{}\"", node.op_type, node.domain));
    }
    let inputs = inputs(&mut graph)?;
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
    Ok(Read { proto, inputs, told })
}

fn is_known_domain(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx" | "ai.onnx.ml")
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
fn scores(graph: &GraphProto) -> Result<(String, Told), Error> {
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
    // Outputs often only pass on what they are given; a circle is found later.
    let mut steps = 0..graph.node.len();
    while steps.next().is_some()
        && let Some(giver) = givers.get(name)
        && matches!(giver.op_type.as_str(), "ZipMap" | "Identity" | "Cast")
        && let Some(input) = giver.input.first()
    {
        classes = classes.or_else(|| labels(giver));
        name = input;
    }
    let label = graph.output.iter().find(is_label);
    if label.is_some_and(|label| dimensions(label) > 1) {
        return unsupported("several labels of a row");
    }
    refuse_margins(&givers, name)?;
    let classes = classes
        .or_else(|| label.and_then(|label| labels_of_gatherer(graph, &givers, &label.name)))
        .or_else(|| labels_before(&givers, name));
    let told = match (classes, givers.get(name).map(|giver| giver.op_type.as_str())) {
        (Some(classes), _) => Told::Classes(classes),
        (None, Some("Softmax")) => Told::Shares,
        (None, Some("Sigmoid")) => Told::Share,
        _ => Told::Nothing,
    };
    Ok((name.to_owned(), told))
}

fn dimensions(output: &ValueInfoProto) -> usize {
    tensor(output).and_then(|tensor| tensor.shape.as_ref()).map_or(0, |shape| shape.dim.len())
}

/// Scores on either side of zero, as a classifier gives them or in another form, are no shares.
fn refuse_margins(givers: &HashMap<&str, &NodeProto>, scores: &str) -> Result<(), Error> {
    const KEEP: [&str; 13] = [
        "Identity",
        "Cast",
        "ArrayFeatureExtractor",
        "Gather",
        "Slice",
        "Neg",
        "Concat",
        "Sub",
        "Add",
        "Mul",
        "Reshape",
        "Flatten",
        "Transpose",
    ];
    let (mut next, mut seen) = (vec![scores], HashSet::new());
    while let Some(name) = next.pop() {
        let Some(giver) = givers.get(name).filter(|_| seen.insert(name)) else { continue };
        let plain = text(giver, "post_transform").unwrap_or("NONE") == "NONE";
        let are_margins = match giver.op_type.as_str() {
            "LinearClassifier" => plain,
            "TreeEnsembleClassifier" => {
                plain && numbers(giver, "class_weights")?.iter().any(|weight| *weight < 0.0)
            }
            _ => false,
        };
        if are_margins {
            return unsupported(format!("{} of margins, not of probabilities", giver.op_type));
        }
        if KEEP.contains(&giver.op_type.as_str()) {
            next.extend(giver.input.iter().map(String::as_str));
        }
    }
    Ok(())
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

/// Classes against the number of outputs.
pub(super) fn checked(told: Told, outputs: usize) -> Result<Classes, Error> {
    let classes = match (told, outputs) {
        (Told::Nothing, 1) => return Ok(Classes::None),
        (Told::Nothing, _) => {
            return unsupported(format!("{outputs} targets (of classes a Softmax is the last)"));
        }
        (Told::Share, 1) => Classes::Whole(vec![0, 1]),
        (Told::Share, _) => return unsupported(format!("{outputs} labels of a row")),
        (Told::Shares, _) => Classes::Whole((0..outputs as i64).collect()),
        (Told::Classes(classes), _) => classes,
    };
    let found = match &classes {
        Classes::None => 0,
        Classes::Whole(found) => found.len(),
        Classes::Text(found) => found.len(),
    };
    match (found, outputs) {
        (2.., _) if found == outputs => Ok(classes),
        (2, 1) => Ok(classes),
        _ => unsupported(format!("{outputs} outputs for {found} classes")),
    }
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

/// Whether missing values of an input come to operators that have a place for them, unchanged.
fn takes_missing(graph: &GraphProto, input: &str) -> bool {
    const KNOW: [&str; 4] = ["TreeEnsembleClassifier", "TreeEnsembleRegressor", "Imputer", "IsNaN"];
    const KEEP: [&str; 18] = [
        "Identity",
        "Cast",
        "Concat",
        "FeatureVectorizer",
        "Reshape",
        "Flatten",
        "Unsqueeze",
        "Squeeze",
        "Transpose",
        "Gather",
        "Slice",
        "Split",
        "ArrayFeatureExtractor",
        "Scaler",
        "Add",
        "Sub",
        "Mul",
        "Div",
    ];
    let (mut next, mut seen) = (vec![input], HashSet::new());
    while let Some(name) = next.pop() {
        if !seen.insert(name) {
            continue;
        }
        // `Where` chooses by what IsNaN says.
        let takes = graph.node.iter().filter(|node| node.op_type != "Where");
        for node in takes.filter(|node| node.input.iter().any(|taken| taken == name)) {
            let operator = node.op_type.as_str();
            let keeps = match operator {
                "Imputer" => !number(node, "replaced_value_float").is_some_and(f32::is_nan),
                _ => KEEP.contains(&operator),
            };
            if keeps {
                next.extend(node.output.iter().map(String::as_str));
            } else if !KNOW.contains(&operator) {
                return false;
            }
        }
        if graph.output.iter().any(|output| output.name == name) {
            return false;
        }
    }
    true
}

/// The columns.
fn inputs(graph: &mut GraphProto) -> Result<Vec<Input>, Error> {
    let constants: HashSet<&str> =
        graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut found = Vec::new();
    for input in graph.input.iter().filter(|input| !constants.contains(input.name.as_str())) {
        let (mut read, rows) = column(input)?;
        if let Some(rows) = rows.filter(|rows| *rows > 1) {
            return unsupported(format!("input \"{}\" of {rows} rows at once", read.name));
        }
        read.takes_missing = read.of.is_float() && takes_missing(graph, &read.name);
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
    Ok(found)
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
    let takes_missing = false;
    Ok((Input { name: name.clone(), of, width, takes_missing, flat }, rows))
}
