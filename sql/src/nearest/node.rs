//! The logical node: a scan that need not give more than the rows nearest to a vector.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use catalog::indexes::TableIndex;
use datafusion::common::{DFSchemaRef, Result as EngineResult, internal_err};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Nearest {
    /// The scan of the whole table.
    pub input: LogicalPlan,
    pub index: Named,
    /// What rows are to be near to; NULL where a join above says it.
    pub query: Expr,
    /// Whether a join does, of whose left side each row is to have its nearest.
    pub each: bool,
    /// How many of those that pass the filters.
    pub k: Expr,
    /// Over the scan's columns; they are asked above too.
    pub filters: Vec<Expr>,
    /// Whether rows without a vector count, as the farthest.
    pub nulls: bool,
    /// Whether all rows at the k-th one's distance are wanted.
    pub ties: bool,
    /// Of this query: bits of a float.
    pub recall: Option<u64>,
}

/// An index, told apart by its uuid.
#[derive(Debug, Clone)]
pub(super) struct Named(pub Arc<TableIndex>);

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.of.uuid == other.0.of.uuid
    }
}

impl Eq for Named {}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.of.uuid.hash(state);
    }
}

impl PartialOrd for Nearest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let key = |node: &Self| (node.index.0.of.uuid.clone(), node.expressions(), node.recall);
        let order = key(self).partial_cmp(&key(other))?;
        Some(order.then(self.input.partial_cmp(&other.input)?))
            .filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for Nearest {
    fn name(&self) -> &str {
        "Nearest"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        [&self.query, &self.k].into_iter().chain(&self.filters).cloned().collect()
    }

    /// All of them: what is pushed down later than this would not be asked by the index.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Nearest: index={}, k={}", self.index.0.name, self.k)
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> EngineResult<Self> {
        let mut exprs = exprs.into_iter();
        let (Some(query), Some(k)) = (exprs.next(), exprs.next()) else {
            return internal_err!("a search of nearest rows lost its query");
        };
        let Ok([input]) = <[LogicalPlan; 1]>::try_from(inputs) else {
            return internal_err!("a search of nearest rows has one input");
        };
        Ok(Self { input, query, k, filters: exprs.collect(), ..self.clone() })
    }
}
