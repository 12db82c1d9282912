//! Operators of the domain ai.onnx.ml as operators of the standard one, by the definitions in
//! ONNX's `docs/Operators-ml.md`; where that is silent, as ONNX Runtime 1.32 computes.

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::nodes::{constant, node, number, numbers, text, texts, whole, wholes, with_whole};
use super::{Error, trees};

/// Nodes and constants in place of one node.
#[derive(Default)]
struct Instead {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Instead {
    fn constant(&mut self, name: String, shape: &[usize], values: Vec<f32>) -> String {
        self.constants.push(constant(&name, shape, values));
        name
    }

    fn node(&mut self, operator: &str, inputs: &[&str], output: String) -> String {
        self.nodes.push(node(operator, inputs, &output));
        output
    }

    /// The same in single precision.
    fn single(&mut self, of: &str, output: String) -> String {
        // 1 is FLOAT.
        self.nodes.push(with_whole(node("Cast", &[of], &output), "to", 1));
        output
    }

    fn concat(&mut self, inputs: &[&str], output: String) -> String {
        self.nodes.push(with_whole(node("Concat", inputs, &output), "axis", 1));
        output
    }

    fn softmax(&mut self, input: &str, output: String) -> String {
        self.nodes.push(with_whole(node("Softmax", &[input], &output), "axis", 1));
        output
    }
}

fn malformed<T>(node: &NodeProto, attribute: &str) -> Result<T, Error> {
    Err(Error::Format { what: format!("{} has an unsound {attribute}", node.op_type) })
}

fn unsupported<T>(node: &NodeProto, what: &str) -> Result<T, Error> {
    Err(Error::Unsupported { what: format!("{} with {what}", node.op_type) })
}

/// Replaces the nodes of the domain that stand for several standard ones.
pub(super) fn rewrite(graph: &mut GraphProto) -> Result<(), Error> {
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        let instead = match node.op_type.as_str() {
            "Sigmoid" => sigmoid(&node)?,
            "LinearClassifier" => linear_classifier(&node)?,
            "LinearRegressor" => linear_regressor(&node)?,
            "Scaler" => scaler(&node)?,
            "Imputer" => imputer(&node)?,
            "FeatureVectorizer" => vectorizer(&node)?,
            "TreeEnsembleClassifier" => tree_classifier(&node)?,
            "TreeEnsembleRegressor" => tree_regressor(&node)?,
            _ => {
                nodes.push(node);
                continue;
            }
        };
        nodes.extend(instead.nodes);
        graph.initializer.extend(instead.constants);
    }
    graph.node = nodes;
    Ok(())
}

fn input(node: &NodeProto) -> Result<&str, Error> {
    match node.input.as_slice() {
        [input] => Ok(input),
        _ => malformed(node, "number of inputs"),
    }
}

/// The scores of a classifier are its second output.
fn scores(node: &NodeProto) -> Result<String, Error> {
    match node.output.as_slice() {
        [_, scores] => Ok(scores.clone()),
        _ => malformed(node, "number of outputs"),
    }
}

fn output(node: &NodeProto) -> Result<String, Error> {
    match node.output.as_slice() {
        [output] => Ok(output.clone()),
        _ => malformed(node, "number of outputs"),
    }
}

fn classes(node: &NodeProto) -> Result<usize, Error> {
    let whole = ["classlabels_ints", "classlabels_int64s"];
    let whole: usize = whole.iter().map(|name| wholes(node, name).len()).sum();
    match whole + texts(node, "classlabels_strings").len() {
        0 => malformed(node, "list of classes"),
        count => Ok(count),
    }
}

/// What is done to scores in the end.
fn transform(node: &NodeProto) -> Result<&str, Error> {
    match text(node, "post_transform").unwrap_or("NONE") {
        known @ ("NONE" | "LOGISTIC" | "SOFTMAX") => Ok(known),
        other => unsupported(node, other),
    }
}

/// `x W + b`, the weights given output by output.
fn product(
    into: &mut Instead,
    node: &NodeProto,
    to: &str,
    outputs: usize,
) -> Result<String, Error> {
    let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    let weights: Vec<f32> = single(numbers(node, "coefficients")?);
    if weights.is_empty() || outputs == 0 || !weights.len().is_multiple_of(outputs) {
        return malformed(node, "coefficients");
    }
    let width = weights.len() / outputs;
    let turned = (0..width).flat_map(|column| weights[column..].iter().step_by(width).copied());
    let turned = into.constant(format!("{to}.weights"), &[width, outputs], turned.collect());
    let x = into.single(input(node)?, format!("{to}.single"));
    let sums = into.node("MatMul", &[&x, &turned], format!("{to}.product"));
    let intercepts: Vec<f32> = single(numbers(node, "intercepts")?);
    match intercepts.len() {
        0 => Ok(sums),
        count if count == outputs => {
            let intercepts = into.constant(format!("{to}.intercepts"), &[1, outputs], intercepts);
            Ok(into.node("Add", &[&sums, &intercepts], format!("{to}.sums")))
        }
        _ => malformed(node, "intercepts"),
    }
}

/// `1 / (1 + e^-x)` as it is written: an approximation has a floor, far above the least shares.
fn logistic(into: &mut Instead, x: &str, to: String) -> String {
    let one = into.constant(format!("{to}.one"), &[], vec![1.0]);
    let one = into.node("CastLike", &[&one, x], format!("{to}.own_one"));
    let turned = into.node("Neg", &[x], format!("{to}.turned"));
    let power = into.node("Exp", &[&turned], format!("{to}.power"));
    let sum = into.node("Add", &[&power, &one], format!("{to}.sum"));
    into.node("Div", &[&one, &sum], to)
}

fn sigmoid(node: &NodeProto) -> Result<Instead, Error> {
    let (mut into, to) = (Instead::default(), output(node)?);
    logistic(&mut into, input(node)?, to);
    Ok(into)
}

fn transformed(into: &mut Instead, transform: &str, scores: &str, to: String) -> String {
    match transform {
        "LOGISTIC" => logistic(into, scores, to),
        "SOFTMAX" => into.softmax(scores, to),
        _ => into.node("Identity", &[scores], to),
    }
}

fn linear_regressor(node: &NodeProto) -> Result<Instead, Error> {
    let (mut into, to) = (Instead::default(), output(node)?);
    let targets = usize::try_from(whole(node, "targets").unwrap_or(1)).unwrap_or(0);
    let sums = product(&mut into, node, &to, targets)?;
    transformed(&mut into, transform(node)?, &sums, to);
    Ok(into)
}

fn linear_classifier(node: &NodeProto) -> Result<Instead, Error> {
    let (mut into, to) = (Instead::default(), scores(node)?);
    let outputs = match numbers(node, "intercepts")?.len() {
        0 => classes(node)?,
        count => count,
    };
    let sums = product(&mut into, node, &to, outputs)?;
    let transform = transform(node)?;
    if outputs > 1 || classes(node)? != 2 {
        transformed(&mut into, transform, &sums, to);
        return Ok(into);
    }
    let share = transformed(&mut into, transform, &sums, format!("{to}.second"));
    complement(&mut into, &share, to);
    Ok(into)
}

/// `1 - share` and the share.
fn complement(into: &mut Instead, share: &str, to: String) {
    let one = into.constant(format!("{to}.one"), &[1, 1], vec![1.0]);
    let other = into.node("Sub", &[&one, share], format!("{to}.first"));
    into.concat(&[&other, share], to);
}

fn scaler(node: &NodeProto) -> Result<Instead, Error> {
    let (mut into, to) = (Instead::default(), output(node)?);
    let mut values = into.single(input(node)?, format!("{to}.single"));
    for (name, operator) in [("offset", "Sub"), ("scale", "Mul")] {
        let by: Vec<f32> = numbers(node, name)?.into_iter().map(|value| value as f32).collect();
        if !by.is_empty() {
            let by = into.constant(format!("{to}.{name}"), &[1, by.len()], by);
            values = into.node(operator, &[&values, &by], format!("{to}.by_{name}"));
        }
    }
    into.node("Identity", &[&values], to);
    Ok(into)
}

fn imputer(node: &NodeProto) -> Result<Instead, Error> {
    let (mut into, to) = (Instead::default(), output(node)?);
    let by: Vec<f32> =
        numbers(node, "imputed_value_floats")?.into_iter().map(|value| value as f32).collect();
    if by.is_empty() {
        return unsupported(node, "values that are no floats");
    }
    let values = input(node)?;
    let by = into.constant(format!("{to}.by"), &[1, by.len()], by);
    // The definition's default is zero.
    let replaced = number(node, "replaced_value_float").unwrap_or(0.0);
    let is_missing = if replaced.is_nan() {
        into.node("IsNaN", &[values], format!("{to}.missing"))
    } else {
        let replaced = into.constant(format!("{to}.replaced"), &[1, 1], vec![replaced]);
        into.node("Equal", &[values, &replaced], format!("{to}.missing"))
    };
    into.node("Where", &[&is_missing, &by, values], to);
    Ok(into)
}

fn vectorizer(node: &NodeProto) -> Result<Instead, Error> {
    let (mut into, to) = (Instead::default(), output(node)?);
    let parts = node.input.iter().enumerate();
    let parts: Vec<String> =
        parts.map(|(place, name)| into.single(name, format!("{to}.{place}"))).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    into.concat(&parts, to);
    Ok(into)
}

/// The sums of trees, with the base values, as the trees' own operator gives them.
fn sums(into: &mut Instead, node: &NodeProto, to: &str) -> Result<String, Error> {
    trees::forest(node)?;
    let name = format!("{to}.trees");
    into.nodes.push(NodeProto {
        op_type: trees::OPERATOR.to_owned(),
        name: name.clone(),
        output: vec![name.clone()],
        ..node.clone()
    });
    Ok(name)
}

fn tree_regressor(node: &NodeProto) -> Result<Instead, Error> {
    let (mut into, to) = (Instead::default(), output(node)?);
    let sums = sums(&mut into, node, &to)?;
    match transform(node)? {
        "NONE" => _ = into.node("Identity", &[&sums], to),
        // ONNX Runtime leaves it out, against the definition.
        other => return unsupported(node, other),
    }
    Ok(into)
}

/// A classifier of two classes may sum one score only: a share if no weight is below zero, else a
/// score on either side of zero.
fn tree_classifier(node: &NodeProto) -> Result<Instead, Error> {
    let (mut into, to) = (Instead::default(), scores(node)?);
    let sums = sums(&mut into, node, &to)?;
    let transform = transform(node)?;
    if !trees::has_one_score(node)? {
        transformed(&mut into, transform, &sums, to);
    } else if numbers(node, "class_weights")?.iter().all(|weight| *weight >= 0.0) {
        // What else is done to a share, ONNX Runtime does from version to version otherwise.
        if transform != "NONE" || !numbers(node, "base_values")?.is_empty() {
            return unsupported(node, "one score, no weight below zero, and more than their sum");
        }
        complement(&mut into, &sums, to);
    } else {
        let other = into.node("Neg", &[&sums], format!("{to}.other"));
        let both = into.concat(&[&other, &sums], format!("{to}.both"));
        transformed(&mut into, if transform == "LOGISTIC" { transform } else { "NONE" }, &both, to);
    }
    Ok(into)
}
