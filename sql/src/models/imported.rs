//! Models that were trained elsewhere, by their files.

use kernels::models::link::Link;
use kernels::models::onnx::Classes;
use kernels::models::trees::Forest;

use super::features::{Feature, Kind, Layout};
use super::library::{Tabular, tabular};
use super::manifest::{Body, Form, Manifest};
use super::target::{ClassType, Target};
use super::train::Trained;
use super::transform::{Draft, Input, Stored};
use crate::error::{Error, Result};

/// The formats, for those who ask.
pub(crate) const FORMATS: &str = "The formats are lightgbm (text), xgboost (JSON) and onnx.";

/// A model from a file: its features are its inputs, by its names for them or by those given.
///
/// # Errors
/// 22000 with the reason for a file that is not understood, 0A000 for one that cannot be a model
/// here, 22023 for a format that is not known and for names that do not fit.
pub(crate) fn imported(format: &str, bytes: &[u8], names: Vec<String>) -> Result<Trained> {
    let form = match format.to_ascii_lowercase().as_str() {
        "lightgbm" => Form::LightGbm,
        "xgboost" => Form::XgBoost,
        "onnx" => Form::Onnx,
        _ => {
            return Err(
                Error::new("22023", format!("format \"{format}\" is not known")).with_hint(FORMATS)
            );
        }
    };
    let (own, target) = match tabular(form, bytes)? {
        Tabular::Trees(scorer) => {
            let forest = scorer.forest();
            (forest.features.clone(), of_forest(forest)?)
        }
        Tabular::Onnx(model) => (model.features(), of_classes(model.classes())),
        _ => return Err(Error::new("XX000", "a file of another kind was read")),
    };
    let names = if names.is_empty() { own } else { renamed(&own, names)? };
    check_names(&names)?;
    let features: Vec<Feature> = names
        .iter()
        .map(|name| Feature { name: name.clone(), kind: Kind::Number { mean: None } })
        .collect();
    let input =
        |name: &String| Input { name: name.clone(), data_type: "double precision".to_owned() };
    let transform = Stored {
        inputs: names.iter().map(input).collect(),
        items: Draft::identities(&names),
        fitted: Vec::new(),
    };
    let body = Body::Tabular { form, layout: Layout::Codes, features, target, ranks: false };
    let kind = if form == Form::Onnx { "onnx" } else { "gbdt" };
    Ok(Trained::imported(kind, Manifest::new(transform, body, bytes, Vec::new()), bytes.to_vec()))
}

/// Names in place of the file's.
fn renamed(own: &[String], names: Vec<String>) -> Result<Vec<String>> {
    if names.len() != own.len() {
        let message = format!("option \"features\" has {} names for {}", names.len(), own.len());
        return Err(Error::new("22023", message)
            .with_hint(format!("The file's own names are {}.", own.join(", "))));
    }
    Ok(names)
}

/// Each feature has a name of its own.
fn check_names(names: &[String]) -> Result<()> {
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort();
    let wrong = match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => format!("two features have the name \"{}\"", pair[0]),
        None if names.iter().any(String::is_empty) => "a feature has no name".to_owned(),
        None => return Ok(()),
    };
    Err(Error::new("22023", wrong).with_hint("Write features = ARRAY['a', 'b'], a name for each."))
}

fn of_forest(forest: &Forest) -> Result<Target> {
    let classes = match (forest.outputs(), forest.link) {
        (1, Link::Sigmoid { .. }) => 2,
        (1, _) => return Ok(Target::Number),
        (classes, Link::Softmax | Link::Sigmoid { .. }) => classes,
        (targets, _) => {
            let message = format!("a model of {targets} targets is not supported");
            return Err(Error::new("0A000", message));
        }
    };
    Ok(of_classes(&Classes::Whole((0..classes as i64).collect())))
}

fn of_classes(classes: &Classes) -> Target {
    match classes {
        Classes::None => Target::Number,
        Classes::Whole(values) => Target::Classes {
            values: values.iter().map(i64::to_string).collect(),
            data_type: ClassType::Bigint,
        },
        Classes::Text(values) => {
            Target::Classes { values: values.clone(), data_type: ClassType::Text }
        }
    }
}
