//! Trees of a file as a `Forest`, and the operator that asks it.
//!
//! A leaf may add to several outputs; each of them gets a tree of its own. Values are compared as
//! the file's types are: single precision is held exactly by double.

use std::collections::{BTreeSet, HashMap};

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::Error;
use super::nodes::{numbers, text, texts, whole, wholes};
use crate::models::link::Link;
use crate::models::trees::{Child, Forest, Leaf, Missing, Node, Scorer, Test, Tree};

/// The name of the operator: not one of the format.
pub(super) const OPERATOR: &str = "SumsOfTrees";
/// Nodes that there may be, over all outputs.
const MOST_NODES: usize = 50_000_000;
/// Columns that may be asked for.
const MOST_FEATURES: usize = 100_000;
/// Classes or targets that there may be.
const MOST_OUTPUTS: usize = 10_000;

fn malformed<T>(what: &str) -> Result<T, Error> {
    Err(Error::Format { what: format!("its trees have unsound {what}") })
}

fn unsupported<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::Unsupported { what: what.into() })
}

/// What a leaf adds: `(output, weight)`.
type Votes = Vec<(usize, f64)>;

/// The lists of the node's attributes, one entry for each node of a tree.
struct Lists<'a> {
    trees: &'a [i64],
    ids: &'a [i64],
    features: &'a [i64],
    on_true: &'a [i64],
    on_false: &'a [i64],
    modes: Vec<String>,
    values: Vec<f64>,
    missing_is_true: &'a [i64],
}

fn lists(node: &NodeProto) -> Result<Lists<'_>, Error> {
    let lists = Lists {
        trees: wholes(node, "nodes_treeids"),
        ids: wholes(node, "nodes_nodeids"),
        features: wholes(node, "nodes_featureids"),
        on_true: wholes(node, "nodes_truenodeids"),
        on_false: wholes(node, "nodes_falsenodeids"),
        modes: texts(node, "nodes_modes"),
        values: numbers(node, "nodes_values")?,
        missing_is_true: wholes(node, "nodes_missing_value_tracks_true"),
    };
    let count = lists.trees.len();
    let lengths = [
        lists.ids.len(),
        lists.features.len(),
        lists.on_true.len(),
        lists.on_false.len(),
        lists.modes.len(),
        lists.values.len(),
    ];
    let missing = lists.missing_is_true.len();
    if count == 0 || lengths.iter().any(|length| *length != count) {
        return malformed("lists");
    }
    if missing != 0 && missing != count {
        return malformed("nodes_missing_value_tracks_true");
    }
    Ok(lists)
}

fn is_classifier(node: &NodeProto) -> bool {
    !texts(node, "classlabels_strings").is_empty() || !wholes(node, "classlabels_int64s").is_empty()
}

/// What the leaves add, by tree and node.
fn votes(node: &NodeProto) -> Result<HashMap<(i64, i64), Votes>, Error> {
    let of = if is_classifier(node) { "class" } else { "target" };
    let list = |name: &str| wholes(node, &format!("{of}_{name}"));
    let weights = numbers(node, &format!("{of}_weights"))?;
    let (trees, nodes, outputs) = (list("treeids"), list("nodeids"), list("ids"));
    if [trees.len(), nodes.len(), outputs.len()].iter().any(|length| *length != weights.len()) {
        return malformed("lists of leaves");
    }
    let one = has_one_score(node)?;
    let mut all: HashMap<(i64, i64), Votes> = HashMap::new();
    for (place, weight) in weights.iter().enumerate() {
        let output = usize::try_from(if one { 0 } else { outputs[place] });
        let Some(output) = output.ok().filter(|output| *output < MOST_OUTPUTS) else {
            return malformed("outputs");
        };
        all.entry((trees[place], nodes[place])).or_default().push((output, *weight));
    }
    Ok(all)
}

/// Whether a classifier of two classes sums one score only.
pub(super) fn has_one_score(node: &NodeProto) -> Result<bool, Error> {
    let classes =
        texts(node, "classlabels_strings").len() + wholes(node, "classlabels_int64s").len();
    let ids = wholes(node, "class_ids");
    Ok(classes == 2 && ids.iter().all(|id| *id == ids[0]))
}

/// The trees of a node.
///
/// # Errors
/// Lists that are no trees, and what is not supported, by name.
pub(super) fn forest(node: &NodeProto) -> Result<Forest, Error> {
    let lists = lists(node)?;
    let votes = votes(node)?;
    let outputs = match is_classifier(node) {
        true if has_one_score(node)? => 1,
        true => texts(node, "classlabels_strings").len() + wholes(node, "classlabels_int64s").len(),
        false => usize::try_from(whole(node, "n_targets").unwrap_or(1)).unwrap_or(0),
    };
    if outputs > MOST_OUTPUTS {
        return unsupported(format!("trees of {outputs} outputs"));
    }
    let average = match text(node, "aggregate_function").unwrap_or("SUM") {
        "SUM" => false,
        "AVERAGE" => true,
        other => return unsupported(format!("trees with {other} for a sum")),
    };
    let mut base = numbers(node, "base_values")?;
    if base.is_empty() {
        base = vec![0.0; outputs];
    }
    if outputs == 0 || base.len() != outputs || (average && base.iter().any(|base| *base != 0.0)) {
        return malformed("base_values");
    }
    let largest = lists.features.iter().copied().max().unwrap_or(0);
    let Ok(features) = usize::try_from(largest.saturating_add(1)) else {
        return malformed("nodes_featureids");
    };
    if features > MOST_FEATURES {
        return unsupported(format!("trees over {features} columns"));
    }
    let mut trees = Vec::new();
    let mut first = 0;
    for last in 1..=lists.trees.len() {
        if lists.trees.get(last) != Some(&lists.trees[first]) {
            let added = one_tree(&lists, first..last, &votes, average.then_some(outputs))?;
            trees.extend(added);
            first = last;
        }
        if trees.len().saturating_mul(last - first) > MOST_NODES {
            return unsupported("so many trees");
        }
    }
    let features = (0..features).map(|place| place.to_string()).collect();
    let forest = Forest { features, trees, base, average, link: Link::Identity, single: false };
    forest.check()?;
    Ok(forest)
}

/// The tree of some entries, once for each output that its leaves add to, or for all of so many.
fn one_tree(
    lists: &Lists<'_>,
    entries: std::ops::Range<usize>,
    votes: &HashMap<(i64, i64), Votes>,
    all: Option<usize>,
) -> Result<Vec<Tree>, Error> {
    let places: HashMap<i64, usize> =
        entries.clone().map(|entry| (lists.ids[entry], entry)).collect();
    // Parents before children, as a forest demands.
    let mut nodes: Vec<Node> = Vec::new();
    let mut leaves: Vec<&[(usize, f64)]> = Vec::new();
    let mut next = vec![(entries.start, None::<(usize, bool)>)];
    while let Some((entry, parent)) = next.pop() {
        let is_leaf = lists.modes[entry] == "LEAF";
        let own: Child = if is_leaf { !(leaves.len() as Child) } else { nodes.len() as Child };
        if let Some((parent, on_left)) = parent {
            let parent = &mut nodes[parent];
            *(if on_left { &mut parent.left } else { &mut parent.right }) = own;
        }
        if is_leaf {
            let found = votes.get(&(lists.trees[entry], lists.ids[entry]));
            leaves.push(found.map_or(&[], Vec::as_slice));
        } else {
            let (node, [left, right]) = inner(lists, entry)?;
            let own = nodes.len();
            nodes.push(node);
            for (child, on_left) in [(right, false), (left, true)] {
                let Some(child) = places.get(&child) else { return malformed("children") };
                next.push((*child, Some((own, on_left))));
            }
        }
        if nodes.len() + leaves.len() > entries.len() {
            return malformed("children");
        }
    }
    let mut outputs: BTreeSet<usize> = (0..all.unwrap_or(0)).collect();
    outputs.extend(leaves.iter().flat_map(|votes| votes.iter().map(|vote| vote.0)));
    let of = |output: usize| {
        let sum = |votes: &&[(usize, f64)]| {
            let own = votes.iter().filter(|vote| vote.0 == output);
            Leaf { value: own.map(|vote| vote.1).sum(), cover: 0.0 }
        };
        let leaves = leaves.iter().map(sum).collect();
        Tree { nodes: nodes.clone(), leaves, sets: Vec::new(), output }
    };
    Ok(outputs.into_iter().map(of).collect())
}

/// A question, and where yes and no lead. `x < t` is `x <= the next number below t`; the others
/// are these two turned round.
fn inner(lists: &Lists<'_>, entry: usize) -> Result<(Node, [i64; 2]), Error> {
    let threshold = lists.values[entry];
    let (threshold, turned) = match lists.modes[entry].as_str() {
        "BRANCH_LEQ" => (threshold, false),
        "BRANCH_LT" => (threshold.next_down(), false),
        "BRANCH_GT" => (threshold, true),
        "BRANCH_GTE" => (threshold.next_down(), true),
        other => return unsupported(format!("trees with {other}")),
    };
    let missing_is_true = lists.missing_is_true.get(entry).is_some_and(|tracks| *tracks != 0);
    let Ok(feature) = u32::try_from(lists.features[entry]) else {
        return malformed("nodes_featureids");
    };
    let node = Node {
        feature,
        test: Test::AtMost(threshold),
        missing: Missing::Nan,
        default_left: missing_is_true != turned,
        left: 0,
        right: 0,
        gain: 0.0,
        cover: 0.0,
    };
    let (yes, no) = (lists.on_true[entry], lists.on_false[entry]);
    Ok((node, if turned { [no, yes] } else { [yes, no] }))
}

/// See `OPERATOR`.
#[derive(Clone)]
struct Sums(Arc<Scorer>);

impl std::fmt::Debug for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} trees", self.0.forest().trees.len())
    }
}

impl PartialEq for Sums {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Sums {}

/// Makes the operator of a node, for tract's table of them.
pub(super) fn build(
    _: &ParsingContext<'_>,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let scorer = forest(node).and_then(Scorer::new).map_err(|error| format_err!("{error}"))?;
    Ok((expand(Sums(Arc::new(scorer))), Vec::new()))
}

impl Expansion for Sums {
    fn name(&self) -> StaticName {
        OPERATOR.into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        s.equals(&outputs[0].datum_type, DatumType::F32)?;
        s.equals(&outputs[0].rank, 2)?;
        s.equals(&outputs[0].shape[0], &inputs[0].shape[0])?;
        s.equals(&outputs[0].shape[1], (self.0.forest().outputs() as i64).to_dim())?;
        Ok(())
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for Sums {
    fn name(&self) -> StaticName {
        OPERATOR.into()
    }

    op_as_typed_op!();
}

impl EvalOp for Sums {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let forest = self.0.forest();
        let values = inputs[0].cast_to::<f64>()?;
        let values = values.to_plain_array_view::<f64>()?;
        let [rows, width] = *values.shape() else { bail!("trees ask for rows of columns") };
        ensure!(width >= forest.features.len(), "trees ask for more columns than there are");
        let mut columns = vec![Vec::with_capacity(rows); forest.features.len()];
        let flat: Vec<f64> = values.iter().copied().collect();
        for row in flat.chunks_exact(width) {
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(*value));
        }
        let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let mut sums = vec![0.0; rows * forest.outputs()];
        ensure!(self.0.predict(&columns, &mut sums).is_some(), "trees got too few values");
        let sums: Vec<f32> = sums.into_iter().map(|sum| sum as f32).collect();
        Ok(tvec!(Tensor::from_shape(&[rows, forest.outputs()], &sums)?.into_tvalue()))
    }
}

impl TypedOp for Sums {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let rows = inputs[0].shape[0].clone();
        Ok(tvec!(f32::fact([rows, self.0.forest().outputs().into()])))
    }

    as_op!();
}
