//! Plans that stop soon after nobody wants their rows.
//!
//! A stream is dropped between two batches. A join whose filter finds nothing compares all pairs of
//! a batch and the kept side before there is a next one, which may take hours: so its filter looks,
//! each time it is asked about a batch of pairs, whether the plan's stream is still there, and the
//! plan runs in a task of its own, beside the one that drops the stream.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{Stream, StreamExt};

type Plan = Arc<dyn ExecutionPlan>;

/// Batches that may wait for whoever reads the plan's stream.
const AHEAD: usize = 2;

/// The plan, interruptible if it holds a join with a filter, else as it is.
pub(super) fn interruptible(plan: Plan) -> Result<Plan> {
    let stopped = Arc::new(AtomicBool::new(false));
    let checked = plan.transform_up(|node| {
        let checked = checked(&node, &stopped)?;
        Ok(checked.map_or_else(|| Transformed::no(node), Transformed::yes))
    })?;
    Ok(match checked.transformed {
        true => Arc::new(InterruptibleExec { input: checked.data, stopped }),
        false => checked.data,
    })
}

/// The plan as it was made, to be shown.
pub fn uninterruptible(plan: &Plan) -> &Plan {
    plan.downcast_ref::<InterruptibleExec>().map_or(plan, |root| &root.input)
}

/// A join whose filter looks whether it is still wanted; None: no join, or none with a filter.
fn checked(node: &Plan, stopped: &Arc<AtomicBool>) -> Result<Option<Plan>> {
    let checked = |filter: &JoinFilter| {
        let inner = Arc::clone(filter.expression());
        let checked = Checked { inner, stopped: Arc::clone(stopped) };
        let columns = filter.column_indices().to_vec();
        Some(JoinFilter::new(Arc::new(checked), columns, Arc::clone(filter.schema())))
    };
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = join.filter()
    {
        let builder = NestedLoopJoinExecBuilder::from(join).with_filter(checked(filter));
        return Ok(Some(Arc::new(builder.build()?)));
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>()
        && let Some(filter) = join.filter()
    {
        return Ok(Some(join.builder().with_filter(checked(filter)).build_exec()?));
    }
    if let Some(join) = node.downcast_ref::<SortMergeJoinExec>()
        && let Some(filter) = join.filter()
    {
        let join = SortMergeJoinExec::try_new(
            Arc::clone(join.left()),
            Arc::clone(join.right()),
            join.on().to_vec(),
            checked(filter),
            join.join_type(),
            join.sort_options().to_vec(),
            join.null_equality(),
        )?;
        return Ok(Some(Arc::new(join)));
    }
    Ok(None)
}

/// A filter that fails once its plan's stream has been dropped.
#[derive(Debug, Clone)]
struct Checked {
    inner: Arc<dyn PhysicalExpr>,
    stopped: Arc<AtomicBool>,
}

impl PartialEq for Checked {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Checked {}

impl Hash for Checked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Checked {
    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(DataFusionError::Execution("nobody reads the answer any more".into()));
        }
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let [inner] = children.as_slice() else { return Ok(self) };
        Ok(Arc::new(Self { inner: Arc::clone(inner), stopped: Arc::clone(&self.stopped) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

/// The root of a plan with such filters: a task for each partition.
#[derive(Debug)]
struct InterruptibleExec {
    input: Plan,
    stopped: Arc<AtomicBool>,
}

impl DisplayAs for InterruptibleExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for InterruptibleExec {
    fn name(&self) -> &str {
        "InterruptibleExec"
    }

    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Plan> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Plan>) -> Result<Plan> {
        let [input] = children.as_slice() else { return Ok(self) };
        Ok(Arc::new(Self { input: Arc::clone(input), stopped: Arc::clone(&self.stopped) }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let mut rows = self.input.execute(partition, context)?;
        let mut builder = RecordBatchReceiverStream::builder(self.schema(), AHEAD);
        let sender = builder.tx();
        builder.spawn(async move {
            while let Some(batch) = rows.next().await {
                // Fails if the stream is gone.
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        let stopped = Arc::clone(&self.stopped);
        Ok(Box::pin(Wanted { rows: builder.build(), stopped, ended: false }))
    }
}

/// A partition's rows; when they are dropped before their end, the whole plan's are not wanted.
struct Wanted {
    rows: SendableRecordBatchStream,
    stopped: Arc<AtomicBool>,
    ended: bool,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if !self.ended {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }
}

impl Stream for Wanted {
    type Item = Result<RecordBatch>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let polled = self.rows.poll_next_unpin(context);
        self.ended |= matches!(polled, Poll::Ready(None));
        polled
    }
}

impl RecordBatchStream for Wanted {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}
