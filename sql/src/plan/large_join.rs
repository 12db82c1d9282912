//! Joins of two large sides: a hash join keeps one of them in memory and cannot spill, so where
//! that side would take much of the memory limit both are sorted, which spills, and merged.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

type Plan = Arc<dyn ExecutionPlan>;

/// The part of the limit up to which a side is kept: another join, a sort or a group beside it, and
/// other queries, need some too.
const PART: usize = 3;
/// Bytes that a hash table takes for a row beside the row itself.
const ENTRY: usize = 24;
/// What a value without a fixed width is taken to have, where statistics do not say.
const WIDTH: usize = 32;

/// See the module.
#[derive(Debug)]
pub(super) struct LargeJoins {
    /// Bytes that a side may take.
    limit: usize,
}

impl LargeJoins {
    /// For a server whose queries have `memory_limit` bytes together.
    pub fn new(memory_limit: usize) -> Self {
        Self { limit: memory_limit / PART }
    }

    fn merged(&self, join: &HashJoinExec) -> Result<Option<Plan>> {
        if join.null_aware || join.on.is_empty() {
            return Ok(None);
        }
        for (left, right) in &join.on {
            let of_left = left.data_type(&join.left().schema())?;
            let of_right = right.data_type(&join.right().schema())?;
            if of_left != of_right || !is_merged(&of_left) {
                return Ok(None);
            }
        }
        let statistics =
            StatisticsContext::new().compute(&**join.left(), &StatisticsArgs::new())?;
        if bytes(join.left(), &statistics).is_none_or(|bytes| bytes <= self.limit) {
            return Ok(None);
        }
        let merged: Plan = Arc::new(SortMergeJoinExec::try_new(
            Arc::clone(join.left()),
            Arc::clone(join.right()),
            join.on.clone(),
            join.filter.clone(),
            join.join_type,
            vec![SortOptions::default(); join.on.len()],
            join.null_equality,
        )?);
        let Some(columns) = join.projection.as_ref() else { return Ok(Some(merged)) };
        let schema = merged.schema();
        let column = |index: &usize| {
            let name = schema.field(*index).name();
            (Arc::new(Column::new(name, *index)) as _, name.clone())
        };
        let columns: Vec<_> = columns.iter().map(column).collect();
        Ok(Some(Arc::new(ProjectionExec::try_new(columns, merged)?)))
    }
}

impl PhysicalOptimizerRule for LargeJoins {
    fn optimize(&self, plan: Plan, _: &ConfigOptions) -> Result<Plan> {
        plan.transform_up(|node| {
            let merged = match node.downcast_ref::<HashJoinExec>() {
                Some(join) => self.merged(join)?,
                None => None,
            };
            Ok(merged.map_or_else(|| Transformed::no(node), Transformed::yes))
        })
        .data()
    }

    fn name(&self) -> &str {
        "LargeJoins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether the engine merges by keys of the type, and takes the same of them for equal as it does
/// when it hashes them.
fn is_merged(key: &DataType) -> bool {
    key.is_integer()
        || key.is_string()
        || matches!(
            key,
            DataType::Boolean
                | DataType::Binary
                | DataType::Date32
                | DataType::Decimal128(..)
                | DataType::Timestamp(_, None)
        )
}

/// What a hash join's kept side takes, in bytes, as far as statistics know.
fn bytes(side: &Plan, statistics: &Statistics) -> Option<usize> {
    let rows = *statistics.num_rows.get_value()?;
    let schema = side.schema();
    let widths = schema.fields().iter().map(|field| width(field.data_type()));
    let guessed = rows.saturating_mul(widths.sum());
    let known = statistics.total_byte_size.get_value().copied().unwrap_or(0);
    Some(guessed.max(known).saturating_add(rows.saturating_mul(ENTRY)))
}

fn width(kind: &DataType) -> usize {
    kind.primitive_width().unwrap_or(if *kind == DataType::Boolean { 1 } else { WIDTH })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::super::physical_rules;

    /// The answer, in some order, and the plan.
    async fn plan(memory_limit: usize, query: &str) -> (Vec<String>, String) {
        let numbers = Arc::new(Int64Array::from_iter_values(0..5000));
        let texts = StringArray::from_iter_values((0..5000).map(|i| format!("row {i}")));
        let rows = [("k", numbers as _), ("t", Arc::new(texts) as _)];
        let rows = RecordBatch::try_from_iter(rows).unwrap();
        let config = SessionConfig::new().with_target_partitions(2);
        let builder = datafusion::execution::SessionStateBuilder::new().with_config(config);
        let builder = builder.with_default_features();
        let state = builder.with_physical_optimizer_rules(physical_rules(memory_limit)).build();
        let context = SessionContext::new_with_state(state);
        context.register_batch("a", rows.clone()).unwrap();
        context.register_batch("b", rows).unwrap();
        let frame = context.sql(query).await.unwrap();
        let found = frame.clone().collect().await.unwrap();
        let shown = pretty_format_batches(&found).unwrap().to_string();
        let mut rows: Vec<String> = shown.lines().map(str::to_owned).collect();
        rows.sort();
        let plan = frame.create_physical_plan().await.unwrap();
        (rows, displayable(plan.as_ref()).indent(false).to_string())
    }

    /// What is not a row of the answer: three rules and the head.
    const FRAME: usize = 4;

    #[tokio::test]
    async fn a_large_side_is_sorted_and_a_small_one_hashed() {
        for kind in ["join", "left join", "right join", "full join"] {
            let query = format!("select a.t, b.t from a {kind} b on a.k = b.k + 100");
            let (hashed, small) = plan(1 << 30, &query).await;
            let (merged, large) = plan(3 << 16, &query).await;
            assert!(small.contains("HashJoinExec"), "{small}");
            assert!(large.contains("SortMergeJoin") && !large.contains("HashJoin"), "{large}");
            assert!(hashed.len() >= 4900 + FRAME);
            assert_eq!(hashed, merged);
        }
    }

    #[tokio::test]
    async fn keys_that_are_not_merged_are_hashed() {
        let key = "arrow_cast(k, 'Timestamp(Microsecond, Some(\"UTC\"))')";
        let a = format!("(select {key} as k, t from a) a");
        let b = format!("(select {key} as k, t from b) b");
        let query = format!("select a.t, b.t from {a} join {b} on a.k = b.k");
        let (rows, large) = plan(3 << 16, &query).await;
        assert_eq!(rows.len(), 5000 + FRAME);
        assert!(large.contains("HashJoinExec"), "{large}");
    }

    #[tokio::test]
    async fn not_in_stays_null_aware() {
        let query = "select k from a where k not in (select k from b where t <> 'row 7')";
        let (rows, _) = plan(3 << 16, query).await;
        assert_eq!(rows.len(), 1 + FRAME);
        assert!(rows.contains(&"| 7 |".to_owned()));
    }
}
