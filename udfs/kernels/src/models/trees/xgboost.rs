//! XGBoost's JSON form (`save_model("….json")`), of versions 1.6 to 3.
//!
//! XGBoost compares `x < threshold` in single precision. With x rounded to single precision that
//! is `x <= the next number below the threshold`, the form of every other tree. A set of categories
//! goes right there, so children change places. The base score is a prediction, not a score.

use serde::Deserialize;

use super::{Child, Error, Forest, Leaf, Missing, Node, Test, Tree};
use crate::models::link::Link;

#[derive(Deserialize)]
struct File {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    feature_names: Vec<String>,
    gradient_booster: Booster,
    learner_model_param: LearnerParameters,
    objective: Named,
}

#[derive(Deserialize, Default)]
struct Attributes {
    best_iteration: Option<String>,
}

#[derive(Deserialize)]
struct LearnerParameters {
    base_score: String,
    num_class: String,
    num_feature: String,
    #[serde(default)]
    num_target: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Trees, or for dart trees in a booster with their weights.
#[derive(Deserialize)]
struct Booster {
    name: String,
    model: Option<serde_json::Value>,
    gbtree: Option<Box<Booster>>,
    #[serde(default)]
    weight_drop: Vec<f32>,
}

#[derive(Deserialize)]
struct Model {
    gbtree_model_param: ModelParameters,
    tree_info: Vec<usize>,
    trees: Vec<FileTree>,
    #[serde(default)]
    iteration_indptr: Vec<usize>,
}

#[derive(Deserialize)]
struct ModelParameters {
    #[serde(default)]
    num_parallel_tree: Option<String>,
}

#[derive(Deserialize)]
struct FileTree {
    left_children: Vec<i32>,
    right_children: Vec<i32>,
    split_indices: Vec<u32>,
    split_conditions: Vec<f32>,
    default_left: Vec<u8>,
    #[serde(default)]
    split_type: Vec<u8>,
    #[serde(default)]
    categories: Vec<u32>,
    #[serde(default)]
    categories_nodes: Vec<usize>,
    #[serde(default)]
    categories_segments: Vec<usize>,
    #[serde(default)]
    categories_sizes: Vec<usize>,
    #[serde(default)]
    loss_changes: Vec<f64>,
    #[serde(default)]
    sum_hessian: Vec<f64>,
    tree_param: TreeParameters,
}

#[derive(Deserialize)]
struct TreeParameters {
    #[serde(default)]
    size_leaf_vector: Option<String>,
}

fn unsupported(what: impl Into<String>) -> Error {
    Error::Unsupported { what: what.into() }
}

fn broken(what: impl Into<String>) -> Error {
    Error::Format { what: what.into() }
}

/// A model that XGBoost saved as JSON; up to its best iteration, if early stopping noted one.
///
/// Refused: linear boosters, leaves that are vectors, objectives whose predictions are classes.
/// `multi:softmax` gives the probabilities that it chooses by.
pub fn read_xgboost(text: &str) -> Result<Forest, Error> {
    let file: File = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
    let Learner { attributes, feature_names, gradient_booster, learner_model_param, objective } =
        file.learner;
    let number = |text: &str, what| text.parse::<usize>().map_err(|_| broken(what));
    let count = number(&learner_model_param.num_feature, "num_feature")?;
    let classes = number(&learner_model_param.num_class, "num_class")?;
    let targets = learner_model_param.num_target.as_deref().unwrap_or("1");
    let outputs = classes.max(number(targets, "num_target")?).max(1);
    // A number beyond that of all trees' nodes would only claim memory.
    if outputs > 1 << 20 || count > 1 << 24 {
        return Err(broken("num_class or num_feature"));
    }
    let link = link(&objective.name)?;
    let Booster { name, model, gbtree, weight_drop } = gradient_booster;
    let (model, weights) = match name.as_str() {
        "gbtree" => (model, Vec::new()),
        "dart" => (gbtree.and_then(|inner| inner.model), weight_drop),
        _ => return Err(unsupported(format!("booster \"{name}\""))),
    };
    let model = model.ok_or_else(|| broken("model"))?;
    let model: Model = serde_json::from_value(model).map_err(|error| broken(error.to_string()))?;
    let used = used(&model, attributes.best_iteration.as_deref(), classes.max(1))?;
    let mut trees = Vec::new();
    for (number, tree) in model.trees.iter().enumerate().take(used) {
        let output = *model.tree_info.get(number).ok_or_else(|| broken("tree_info"))?;
        let weight = weights.get(number).copied().unwrap_or(1.0);
        trees.push(Tree { output, ..read_tree(tree, weight)? });
    }
    let features = match feature_names.len() == count {
        true => feature_names,
        false => (0..count).map(|number| format!("f{number}")).collect(),
    };
    let base = base(&learner_model_param.base_score, outputs, &objective.name)?;
    let forest = Forest { features, trees, base, average: false, link, single: true };
    forest.check()?;
    Ok(forest)
}

fn link(objective: &str) -> Result<Link, Error> {
    Ok(match objective {
        "binary:logistic" | "reg:logistic" => Link::Sigmoid { slope: 1.0 },
        "multi:softprob" | "multi:softmax" => Link::Softmax,
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
            Link::Exp
        }
        "reg:squarederror"
        | "reg:squaredlogerror"
        | "reg:pseudohubererror"
        | "reg:absoluteerror"
        | "reg:quantileerror"
        | "reg:linear"
        | "binary:logitraw"
        | "rank:ndcg"
        | "rank:map"
        | "rank:pairwise" => Link::Identity,
        _ => return Err(unsupported(format!("objective \"{objective}\""))),
    })
}

/// Trees up to the best iteration.
fn used(model: &Model, best: Option<&str>, classes: usize) -> Result<usize, Error> {
    let Some(best) = best else { return Ok(model.trees.len()) };
    let best: usize = best.parse().map_err(|_| broken("best_iteration"))?;
    if let Some(end) = model.iteration_indptr.get(best.saturating_add(1)) {
        return Ok(*end);
    }
    let parallel = model.gbtree_model_param.num_parallel_tree.as_deref().unwrap_or("1");
    let parallel: usize = parallel.parse().map_err(|_| broken("num_parallel_tree"))?;
    Ok(best.saturating_add(1).saturating_mul(classes).saturating_mul(parallel.max(1)))
}

/// The base score as a score: one number, or since 3.1 a list of one or of each output.
fn base(text: &str, outputs: usize, objective: &str) -> Result<Vec<f64>, Error> {
    let score = |word: &str| {
        let base: f32 = word.trim().parse().map_err(|_| broken("base_score"))?;
        Ok(match objective {
            "binary:logistic" | "reg:logistic" => -(1.0 / base - 1.0).ln(),
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
                base.ln()
            }
            _ => base,
        })
    };
    let words = text.trim_matches(['[', ']']).split(',');
    let scores: Vec<f32> = words.map(score).collect::<Result<_, Error>>()?;
    match &scores[..] {
        [one] => Ok(vec![f64::from(*one); outputs]),
        all if all.len() == outputs => Ok(all.iter().map(|x| f64::from(*x)).collect()),
        _ => Err(broken("base_score")),
    }
}

fn read_tree(file: &FileTree, weight: f32) -> Result<Tree, Error> {
    if !matches!(file.tree_param.size_leaf_vector.as_deref(), None | Some("0" | "1")) {
        return Err(unsupported("leaves that are vectors"));
    }
    let count = file.left_children.len();
    let lengths = [
        file.right_children.len(),
        file.split_indices.len(),
        file.split_conditions.len(),
        file.default_left.len(),
    ];
    if count == 0 || lengths.iter().any(|length| *length != count) {
        return Err(broken("arrays of a tree differ in length"));
    }
    let mut tree = Tree::default();
    // Parents before children, whatever the numbers in the file: deleted ones are used again.
    let mut stack: Vec<(usize, Option<(usize, bool)>)> = vec![(0, None)];
    while let Some((number, parent)) = stack.pop() {
        let left = *file.left_children.get(number).ok_or_else(|| broken("left_children"))?;
        let place: Child =
            if left < 0 { !(tree.leaves.len() as Child) } else { tree.nodes.len() as Child };
        if let Some((parent, is_left)) = parent {
            let parent = &mut tree.nodes[parent];
            *(if is_left { &mut parent.left } else { &mut parent.right }) = place;
        }
        let cover = file.sum_hessian.get(number).copied().unwrap_or(0.0);
        if left < 0 {
            let value = f64::from(file.split_conditions[number] * weight);
            tree.leaves.push(Leaf { value, cover });
            continue;
        }
        if tree.nodes.len() >= count {
            return Err(broken("a tree has a circle"));
        }
        let node = read_node(file, number, &mut tree)?;
        let at = tree.nodes.len();
        // Of a set, the left child is where its members go: the right one of the file.
        let is_set = matches!(node.test, Test::In { .. });
        tree.nodes.push(Node { cover, ..node });
        let right = file.right_children[number];
        for (child, is_left) in [(right, is_set), (left, !is_set)] {
            let child = usize::try_from(child).map_err(|_| broken("right_children"))?;
            stack.push((child, Some((at, is_left))));
        }
    }
    Ok(tree)
}

fn read_node(file: &FileTree, number: usize, tree: &mut Tree) -> Result<Node, Error> {
    let default_left = file.default_left[number] != 0;
    let categorical = file.split_type.get(number) == Some(&1);
    let test = match categorical {
        true => set(file, number, tree).ok_or_else(|| broken("categories"))?,
        false => Test::AtMost(f64::from(file.split_conditions[number].next_down())),
    };
    Ok(Node {
        feature: file.split_indices[number],
        test,
        missing: Missing::Nan,
        default_left: default_left != categorical,
        left: 0,
        right: 0,
        gain: file.loss_changes.get(number).copied().unwrap_or(0.0),
        cover: 0.0,
    })
}

/// The categories of a node as bits.
fn set(file: &FileTree, number: usize, tree: &mut Tree) -> Option<Test> {
    let place = file.categories_nodes.iter().position(|node| *node == number)?;
    let start = *file.categories_segments.get(place)?;
    let size = *file.categories_sizes.get(place)?;
    let codes = file.categories.get(start..start.checked_add(size)?)?;
    let first = tree.sets.len();
    for code in codes {
        // XGBoost's own limit of codes.
        if *code >= 1 << 24 {
            return None;
        }
        let word = first + *code as usize / 32;
        tree.sets.resize(tree.sets.len().max(word + 1), 0);
        tree.sets[word] |= 1 << (code % 32);
    }
    Some(Test::In { first: first as u32, words: (tree.sets.len() - first) as u32 })
}
