//! The nearest rows of each of many: a LATERAL query `ORDER BY embedding <-> u.embedding LIMIT k`.
//!
//! ```text
//!   row_number() OVER (PARTITION BY u ORDER BY d) <= k        decides by exact distances
//!   └ Projection d = embedding <-> u.embedding
//!     └ CrossJoin (users, items)   ──▶   NearestToEach        at least the k nearest to each
//! ```
//! As a search does to a scan, it only leaves rows out that cannot be among the k, and what stands
//! above does not change. Items are read once, and compared with all users in tiles.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use catalog::types::VectorType;
use datafusion::common::{DFSchemaRef, JoinType, Result as EngineResult, internal_err};
use datafusion::logical_expr::builder::build_join_schema;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Extension, Join, LogicalPlan, SortExpr, UserDefinedLogicalNodeCore,
};
use kernels::vectors::Metric;

use super::recall;
use super::rule::{Order, Wanted};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct NearestToEach {
    pub left: LogicalPlan,
    pub right: LogicalPlan,
    /// Over the left side.
    pub query: Expr,
    /// Of the right side.
    pub column: Expr,
    pub k: Expr,
    /// The distance's name.
    pub function: String,
    schema: DFSchemaRef,
}

/// The metric of a distance.
pub(super) fn metric(function: &str) -> Option<Metric> {
    Some(match function {
        "negative_inner_product" => Metric::InnerProduct,
        "l2_distance" => Metric::L2,
        "cosine_distance" => Metric::Cosine,
        "l1_distance" => Metric::L1,
        _ => return None,
    })
}

/// The plan without the rows that cannot be among the first `k` of each row of the left side of a
/// cross join below it; as it was where that cannot be told. Of rows at the very same distance the
/// keys after the first decide, which only the whole join knows: it stays, but where the order need
/// not be exact.
pub(crate) fn to_each(plan: LogicalPlan, order: &[SortExpr], k: Expr) -> EngineResult<LogicalPlan> {
    let Some(key) = order.first() else { return Ok(plan) };
    let is_exact = recall::parts(&key.expr).is_none_or(|(_, recall)| recall == Some(1.0));
    if !key.asc || key.nulls_first || is_exact && order.len() > 1 {
        return Ok(plan);
    }
    let (filters, order) = (Vec::new(), Ok(()));
    let key = key.expr.clone();
    let wanted = Wanted { key, filters, k, order, ties: false, function: None };
    Ok(descend(&plan, wanted)?.unwrap_or(plan))
}

fn descend(plan: &LogicalPlan, wanted: Wanted) -> EngineResult<Option<LogicalPlan>> {
    if let LogicalPlan::Join(join) = plan {
        return joined(join, wanted);
    }
    let Some((input, wanted)) = wanted.below(plan)? else { return Ok(None) };
    // A filter here is over both sides: it may leave any of the rows of a left one.
    if !wanted.filters.is_empty() {
        return Ok(None);
    }
    let Some(input) = descend(input, wanted)? else { return Ok(None) };
    plan.with_new_exprs(plan.expressions(), vec![input]).map(Some)
}

fn joined(join: &Join, wanted: Wanted) -> EngineResult<Option<LogicalPlan>> {
    let is_cross = join.join_type == JoinType::Inner && join.on.is_empty() && join.filter.is_none();
    let (left, right) = (join.left.schema(), join.right.schema());
    let is_left = |e: &Expr| {
        let columns = e.column_refs();
        !columns.is_empty() && columns.iter().all(|column| left.has_column(column))
    };
    let Some(order) = Order::over(&wanted.key, right, is_left).filter(|_| is_cross) else {
        return Ok(None);
    };
    let column = Expr::Column(order.column.clone());
    let of = column.get_type(right)?;
    if metric(order.function).is_none()
        || VectorType::of(&of).is_none_or(|of| of.dimension.is_none())
        || order.query.get_type(left)? != of
    {
        return Ok(None);
    }
    let (query, function) = (order.query.clone(), order.function.to_owned());
    let sides = (join.left.as_ref().clone(), join.right.as_ref().clone());
    let node = NearestToEach::new(sides, (query, column, wanted.k), function)?;
    Ok(Some(LogicalPlan::Extension(Extension { node: Arc::new(node) })))
}

impl NearestToEach {
    fn new(
        (left, right): (LogicalPlan, LogicalPlan),
        (query, column, k): (Expr, Expr, Expr),
        function: String,
    ) -> EngineResult<Self> {
        let schema = build_join_schema(left.schema(), right.schema(), &JoinType::Inner)?.into();
        Ok(Self { left, right, query, column, k, function, schema })
    }

    /// The same with another right side, of the same columns.
    pub fn over(&self, right: LogicalPlan) -> Self {
        Self { right, ..self.clone() }
    }
}

impl PartialOrd for NearestToEach {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let key = |node: &Self| (node.function.clone(), node.expressions());
        let order = key(self).partial_cmp(&key(other))?;
        let order = order.then(self.left.partial_cmp(&other.left)?);
        Some(order.then(self.right.partial_cmp(&other.right)?))
            .filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for NearestToEach {
    fn name(&self) -> &str {
        "NearestToEach"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.query.clone(), self.column.clone(), self.k.clone()]
    }

    /// All of them: a filter of the right side below would change which rows are nearest.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "NearestToEach: {}({}, {})", self.function, self.column, self.query)?;
        write!(f, ", k={}", self.k)
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> EngineResult<Self> {
        let Ok([query, column, k]) = <[Expr; 3]>::try_from(exprs) else {
            return internal_err!("nearest rows of each lost their query");
        };
        let Ok([left, right]) = <[LogicalPlan; 2]>::try_from(inputs) else {
            return internal_err!("nearest rows of each have two inputs");
        };
        Self::new((left, right), (query, column, k), self.function.clone())
    }

    /// The left side's columns, then the right side's.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.left.schema().fields().len();
        let (left, right): (Vec<usize>, Vec<usize>) =
            output_columns.iter().partition(|column| **column < width);
        Some(vec![left, right.into_iter().map(|column| column - width).collect()])
    }
}

/// Whether a node is such a join, which a plan may keep as long as its inputs.
pub(crate) fn is_each(node: &dyn Any) -> bool {
    node.is::<NearestToEach>()
}
