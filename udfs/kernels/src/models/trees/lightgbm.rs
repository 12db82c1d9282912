//! LightGBM's text form (versions 2 to 4), which own models are written in too.
//!
//! ```text
//!   tree                        Tree=0                    sextant_checksum=crc32 of all before
//!   version=v4                  num_leaves=3
//!   objective=binary sigmoid:1  split_feature=4 0
//!   …                           decision_type=10 9        bit 0 categorical, 1 default left,
//!                               left_child=1 -1           2 and 3 missing: never, zero, NaN
//!                               …                         child below zero: leaf !child
//! ```
//!
//! Own models add two lines, a version and a checksum, and escape blanks in names; LightGBM reads
//! them nevertheless. Numbers are written so that they read back as the same bits.

use std::fmt::Write;

use super::{Error, Forest, Leaf, Missing, Node, Test, Tree};
use crate::models::link::Link;
use crate::models::text::{Lines, escape, list, missing, sealed, unescape, unsealed};

/// Of our additions.
const VERSION: u32 = 1;
const VERSION_KEY: &str = "sextant_version=";
/// What LightGBM looks for at the end.
const TAIL: &str = "\npandas_categorical:null\n";

/// A model that LightGBM saved.
///
/// Refused: linear trees, and models of data frames whose categories are not codes.
pub fn read_lightgbm(text: &str) -> Result<Forest, Error> {
    let (head, rest) = text.split_once("\nTree=").unwrap_or((text, ""));
    if head.lines().next().map(str::trim_end) != Some("tree") {
        return Err(missing("it does not begin with the line \"tree\""));
    }
    let lines = Lines::new(head);
    let outputs: usize = lines.number("num_tree_per_iteration")?;
    let last: usize = lines.number("max_feature_idx")?;
    let features: Vec<String> =
        lines.find("feature_names").unwrap_or_default().split(' ').map(str::to_owned).collect();
    if outputs == 0 || features.len() != last.saturating_add(1) {
        return Err(missing("feature_names"));
    }
    let categories = text.lines().rev().find_map(|line| line.strip_prefix("pandas_categorical:"));
    if categories.is_some_and(|value| !matches!(value.trim(), "null" | "[]")) {
        return Err(Error::Unsupported { what: "pandas_categorical".to_owned() });
    }
    let link = link(lines.find("objective").unwrap_or("regression"))?;
    let average = head.lines().any(|line| line.trim_end() == "average_output");
    let (body, _) = rest.split_once("end of trees").ok_or_else(|| missing("end of trees"))?;
    let mut trees = Vec::new();
    if !body.trim().is_empty() {
        for (number, text) in body.split("\nTree=").enumerate() {
            let tree = tree(&Lines::new(text))?;
            trees.push(Tree { output: number % outputs, ..tree });
        }
    }
    let forest = Forest { features, trees, base: vec![0.0; outputs], average, link, single: false };
    forest.check()?;
    Ok(forest)
}

/// What an objective's scores mean.
fn link(objective: &str) -> Result<Link, Error> {
    let mut words = objective.split_ascii_whitespace();
    let name = words.next().unwrap_or_default();
    let options: Vec<&str> = words.collect();
    let slope = || {
        let slope = options.iter().find_map(|word| word.strip_prefix("sigmoid:"));
        slope.map_or(Some(1.0), |slope| slope.parse().ok()).ok_or_else(|| missing("sigmoid"))
    };
    Ok(match name {
        "regression" if options.contains(&"sqrt") => Link::SignedSquare,
        "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" | "lambdarank"
        | "rank_xendcg" | "custom" => Link::Identity,
        "poisson" | "gamma" | "tweedie" => Link::Exp,
        "binary" | "multiclassova" => Link::Sigmoid { slope: slope()? },
        "multiclass" => Link::Softmax,
        "cross_entropy" => Link::Sigmoid { slope: 1.0 },
        "cross_entropy_lambda" => Link::Softplus,
        _ => return Err(Error::Unsupported { what: format!("objective \"{name}\"") }),
    })
}

fn tree(lines: &Lines<'_>) -> Result<Tree, Error> {
    let count: usize = lines.number("num_leaves")?;
    let inner = count.checked_sub(1).ok_or_else(|| missing("num_leaves"))?;
    if !matches!(lines.find("is_linear"), None | Some("0")) {
        return Err(Error::Unsupported { what: "linear_tree".to_owned() });
    }
    let values: Vec<f64> = lines.list("leaf_value", count)?;
    let covers: Vec<f64> = lines.list("leaf_count", count).unwrap_or(vec![0.0; count]);
    let leaves = values.into_iter().zip(covers).map(|(value, cover)| Leaf { value, cover });
    let mut tree = Tree { leaves: leaves.collect(), ..Tree::default() };
    if inner == 0 {
        return Ok(tree);
    }
    let features: Vec<u32> = lines.list("split_feature", inner)?;
    let thresholds: Vec<f64> = lines.list("threshold", inner)?;
    let decisions: Vec<u8> = lines.list("decision_type", inner)?;
    let (left, right): (Vec<i32>, Vec<i32>) =
        (lines.list("left_child", inner)?, lines.list("right_child", inner)?);
    let gains: Vec<f64> = lines.list("split_gain", inner).unwrap_or(vec![0.0; inner]);
    let covers: Vec<f64> = lines.list("internal_count", inner).unwrap_or(vec![0.0; inner]);
    let sets: usize = lines.number("num_cat")?;
    let bounds: Vec<usize> =
        if sets > 0 { lines.list("cat_boundaries", sets + 1)? } else { Vec::new() };
    if let Some(words) = bounds.last() {
        tree.sets = lines.list("cat_threshold", *words)?;
    }
    for node in 0..inner {
        let decision = decisions[node];
        let set = || {
            let set = thresholds[node] as usize;
            let (first, end) = (*bounds.get(set)?, *bounds.get(set + 1)?);
            let words = end.checked_sub(first)?;
            Some(Test::In { first: first.try_into().ok()?, words: words.try_into().ok()? })
        };
        let categorical = decision & 1 == 1;
        tree.nodes.push(Node {
            feature: features[node],
            test: match categorical {
                true => set().ok_or_else(|| missing("cat_boundaries"))?,
                false => Test::AtMost(thresholds[node]),
            },
            missing: match decision >> 2 & 3 {
                0 => Missing::Never,
                1 => Missing::Zero,
                2 => Missing::Nan,
                _ => return Err(missing("decision_type")),
            },
            // A missing category is in no set.
            default_left: decision & 2 == 2 && !categorical,
            left: left[node],
            right: right[node],
            gain: gains[node],
            cover: covers[node],
        });
    }
    Ok(tree)
}

/// The text of a forest: the same for the same forest.
///
/// Refused are forests whose form LightGBM lacks: single precision, scores before any tree, or
/// trees of outputs out of turn.
pub fn write(forest: &Forest) -> Result<String, Error> {
    let outputs = forest.outputs();
    let turns = forest.trees.iter().enumerate().all(|(n, tree)| tree.output == n % outputs);
    if forest.single || forest.base.iter().any(|base| *base != 0.0) || !turns || outputs == 0 {
        return Err(Error::Unsupported { what: "a form that LightGBM lacks".to_owned() });
    }
    forest.check()?;
    let objective = match forest.link {
        Link::Identity => "regression".to_owned(),
        Link::Sigmoid { slope } if outputs > 1 => {
            format!("multiclassova num_class:{outputs} sigmoid:{slope}")
        }
        Link::Sigmoid { slope } => format!("binary sigmoid:{slope}"),
        Link::Softmax => format!("multiclass num_class:{outputs}"),
        Link::Exp => "poisson".to_owned(),
        Link::SignedSquare => "regression sqrt".to_owned(),
        Link::Softplus => "cross_entropy_lambda".to_owned(),
    };
    let names: Vec<String> = forest.features.iter().map(|name| escape(name)).collect();
    let mut text = format!(
        "tree\nversion=v4\n{VERSION_KEY}{VERSION}\nnum_class={outputs}\n\
         num_tree_per_iteration={outputs}\nlabel_index=0\nmax_feature_idx={}\n\
         objective={objective}\n{}feature_names={}\nfeature_infos={}\n\n",
        names.len().saturating_sub(1),
        if forest.average { "average_output\n" } else { "" },
        names.join(" "),
        vec!["none"; names.len()].join(" "),
    );
    for (number, tree) in forest.trees.iter().enumerate() {
        write_tree(&mut text, number, tree);
    }
    text.push_str("end of trees\n\n");
    Ok(sealed(text) + TAIL)
}

fn write_tree(text: &mut String, number: usize, tree: &Tree) {
    let (mut bounds, mut words) = (vec![0], Vec::new());
    let mut thresholds = Vec::new();
    for node in &tree.nodes {
        match node.test {
            Test::AtMost(threshold) => thresholds.push(format!("{threshold:e}")),
            Test::In { first, words: count } => {
                thresholds.push((bounds.len() - 1).to_string());
                words.extend_from_slice(&tree.sets[first as usize..][..count as usize]);
                bounds.push(words.len());
            }
        }
    }
    let decision = |node: &Node| {
        let missing = match node.missing {
            Missing::Never => 0,
            Missing::Zero => 1,
            Missing::Nan => 2,
        };
        let categorical = matches!(node.test, Test::In { .. });
        u8::from(categorical) | u8::from(node.default_left) << 1 | missing << 2
    };
    let sets = bounds.len() - 1;
    let _ = writeln!(text, "Tree={number}\nnum_leaves={}\nnum_cat={sets}", tree.leaves.len());
    let nodes = || tree.nodes.iter();
    list(text, "split_feature", nodes().map(|node| node.feature));
    list(text, "split_gain", nodes().map(|node| format!("{:e}", node.gain)));
    list(text, "threshold", thresholds);
    list(text, "decision_type", nodes().map(decision));
    list(text, "left_child", nodes().map(|node| node.left));
    list(text, "right_child", nodes().map(|node| node.right));
    list(text, "leaf_value", tree.leaves.iter().map(|leaf| format!("{:e}", leaf.value)));
    list(text, "leaf_count", tree.leaves.iter().map(|leaf| leaf.cover));
    list(text, "internal_count", nodes().map(|node| node.cover));
    if sets > 0 {
        list(text, "cat_boundaries", bounds);
        list(text, "cat_threshold", words);
    }
    text.push_str("is_linear=0\nshrinkage=1\n\n\n");
}

/// A forest that `write` wrote; anything else, or a changed letter, is refused.
pub fn read_own(text: &str) -> Result<Forest, Error> {
    let body = text.strip_suffix(TAIL).and_then(unsealed).ok_or(Error::Checksum)?;
    let version = body.lines().find_map(|line| line.strip_prefix(VERSION_KEY));
    match version.and_then(|version| version.parse().ok()) {
        Some(VERSION) => {}
        Some(found) => return Err(Error::Version { found }),
        None => return Err(missing(VERSION_KEY)),
    }
    let mut forest = read_lightgbm(text)?;
    forest.features.iter_mut().for_each(|name| *name = unescape(name));
    Ok(forest)
}
