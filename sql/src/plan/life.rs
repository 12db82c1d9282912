//! How long a plan holds: what it has read or computed when it was made must still be so.

use catalog::{Lake, LakeTable, ObjectId};
use datafusion::common::Result as EngineResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, Volatility};

use super::once::is_once;
use crate::changes::Held;
use crate::nearest::is_each;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// It holds rows of a system relation, a list of files or the answer of a table function.
    Once,
    /// As long as the snapshot and the settings; optimizing it would fix answers of functions.
    UntilOptimized,
    /// As long as the snapshot and the settings, optimized too.
    Snapshot,
}

/// The life of a plan that is not optimized yet.
pub fn life(plan: &LogicalPlan) -> EngineResult<Life> {
    let mut life = Life::Snapshot;
    plan.apply_with_subqueries(|node| {
        if !node_lasts(node)? {
            life = Life::Once;
            return Ok(TreeNodeRecursion::Stop);
        }
        node.apply_expressions(|expression| {
            if life == Life::Snapshot && has_stable_call(expression)? {
                life = Life::UntilOptimized;
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(life)
}

/// A lake's tables that a plan reads as they are now.
pub fn reads(plan: &LogicalPlan, lake: &Lake) -> EngineResult<Vec<ObjectId>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(TableScan { source, .. }) = node
            && let Some(table) = source_as_provider(source)?.downcast_ref::<LakeTable>()
            && !table.is_past()
            && table.store_url() == lake.store_url()
        {
            found.push(table.table().id);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Whether what a node itself holds lasts: tables of the statement's own snapshot do, and so do
/// rows that are put there anew by each run.
fn node_lasts(node: &LogicalPlan) -> EngineResult<bool> {
    Ok(match node {
        LogicalPlan::TableScan(TableScan { source, .. }) => {
            let provider = source_as_provider(source)?;
            let table = provider.downcast_ref::<LakeTable>();
            table.is_some_and(|table| !table.is_past()) || provider.is::<Held>()
        }
        LogicalPlan::Extension(extension) => {
            extension.node.as_any().is::<crate::asof::AsOf>() || is_each(extension.node.as_any())
        }
        _ => true,
    })
}

/// The optimizer replaces a stable function by its answer now; those that are answered once in a
/// statement become parameters before it.
fn has_stable_call(expression: &Expr) -> EngineResult<bool> {
    expression.exists(|e| {
        let stable = matches!(e, Expr::ScalarFunction(call)
            if call.func.signature().volatility == Volatility::Stable);
        Ok(stable && !is_once(e))
    })
}
