//! Where the planner uses an index: below a sort by distance that keeps a number of rows.
//!
//! The distance may have been computed below the sort and have got another name on its way; filters
//! may stand anywhere between. Everything else between the sort and the scan, a join or a grouping,
//! leaves the plan as it is. `LIMIT $1` is known only when the plan runs, and is above the sort.

use std::collections::HashMap;
use std::sync::Arc;

use catalog::LakeTable;
use catalog::indexes::{LEAST_INDEXED, TableIndex};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, Result as EngineResult, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Expr, Extension, Limit, LogicalPlan, Sort, SortExpr, TableScan, lit,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::each::NearestToEach;
use super::node::{Named, Nearest};
use super::recall;

/// See the module. The last of the rules: filters are where they belong.
#[derive(Debug)]
pub struct NearestRule;

impl OptimizerRule for NearestRule {
    fn name(&self) -> &str {
        "nearest"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> EngineResult<Transformed<LogicalPlan>> {
        let new = match &plan {
            LogicalPlan::Sort(sort) => match sort.fetch {
                Some(k) => sorted(sort, lit(i64::try_from(k).unwrap_or(i64::MAX)))?.ok(),
                None => None,
            },
            LogicalPlan::Limit(limit) => limited(limit)?,
            LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref() {
                Some(each) => of_each(each)?,
                None => None,
            },
            _ => None,
        };
        Ok(new.map_or_else(|| Transformed::no(plan), Transformed::yes))
    }
}

/// Why an index that there is cannot be used.
pub(super) type Unused = String;

pub(super) fn unused(index: &str, reason: &str) -> Unused {
    format!("Index \"{index}\" is not used: {reason}")
}

/// A limit that is not known yet, over a sort that is to give so many rows.
fn limited(limit: &Limit) -> EngineResult<Option<LogicalPlan>> {
    let Some(fetch) = &limit.fetch else { return Ok(None) };
    let k = match &limit.skip {
        Some(skip) => fetch.as_ref().clone() + skip.as_ref().clone(),
        None => fetch.as_ref().clone(),
    };
    let Some(input) = below_projections(&limit.input, &k)? else { return Ok(None) };
    let new = Limit { input: Arc::new(input), ..limit.clone() };
    Ok(Some(LogicalPlan::Limit(new)))
}

/// The join of each row's nearest over a search, where an index has the scan of the right side.
fn of_each(each: &NearestToEach) -> EngineResult<Option<LogicalPlan>> {
    let wanted = Wanted {
        key: each.column.clone(),
        filters: Vec::new(),
        k: each.k.clone(),
        order: Ok(()),
        ties: false,
        function: Some(each.function.clone()),
    };
    let Ok(right) = descend(&each.right, wanted)? else { return Ok(None) };
    let node = Arc::new(each.over(right));
    Ok(Some(LogicalPlan::Extension(Extension { node })))
}

fn below_projections(plan: &LogicalPlan, k: &Expr) -> EngineResult<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let Some(input) = below_projections(&projection.input, k)? else { return Ok(None) };
            plan.with_new_exprs(plan.expressions(), vec![input]).map(Some)
        }
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => Ok(sorted(sort, k.clone())?.ok()),
        _ => Ok(None),
    }
}

/// The sort over a search; or why there is none: empty where no index is concerned.
pub(super) fn sorted(sort: &Sort, k: Expr) -> EngineResult<Result<LogicalPlan, Unused>> {
    let Some(SortExpr { expr, asc, nulls_first }) = sort.expr.first() else {
        return Ok(Err(String::new()));
    };
    let order = match (asc, nulls_first) {
        (true, false) => Ok(()),
        (false, _) => Err("it gives the nearest rows, not the farthest"),
        (true, true) => Err("rows without a vector come first"),
    };
    let ties = sort.expr.len() > 1;
    let wanted = Wanted { key: expr.clone(), filters: Vec::new(), k, order, ties, function: None };
    let input = match descend(&sort.input, wanted)? {
        Ok(input) => Arc::new(input),
        Err(unused) => return Ok(Err(unused)),
    };
    Ok(Ok(LogicalPlan::Sort(Sort { input, ..sort.clone() })))
}

/// What is asked of a plan below the sort, over its columns.
pub(super) struct Wanted {
    pub key: Expr,
    pub filters: Vec<Expr>,
    pub k: Expr,
    /// Whether an index has the order.
    pub order: Result<(), &'static str>,
    /// Whether something decides between rows at one distance.
    pub ties: bool,
    /// The distance, where the key is only the column: each row of a join's left side has a query.
    pub function: Option<String>,
}

impl Wanted {
    /// The same over the columns of the input.
    fn over(self, replace: impl Fn(&Column) -> Option<Expr>) -> EngineResult<Self> {
        let replaced = |expression: Expr| {
            expression
                .transform(|e| {
                    Ok(match &e {
                        Expr::Column(column) => match replace(column) {
                            Some(new) => Transformed::yes(new),
                            None => Transformed::no(e),
                        },
                        _ => Transformed::no(e),
                    })
                })
                .data()
        };
        let key = replaced(self.key)?;
        let filters = self.filters.into_iter().map(replaced).collect::<EngineResult<_>>()?;
        Ok(Self { key, filters, ..self })
    }

    /// The input of a plan that gives its input's rows, or those that pass a filter, and what is
    /// asked of it; None for other plans.
    pub fn below(self, plan: &LogicalPlan) -> EngineResult<Option<(&LogicalPlan, Self)>> {
        Ok(Some(match plan {
            LogicalPlan::Projection(projection) => {
                let items: HashMap<Column, &Expr> =
                    projection.schema.columns().into_iter().zip(&projection.expr).collect();
                let of = |column: &Column| items.get(column).map(|item| (*item).clone().unalias());
                (projection.input.as_ref(), self.over(of)?)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let below = alias.input.schema().columns();
                let items: HashMap<Column, Column> =
                    alias.schema.columns().into_iter().zip(below).collect();
                let of = |column: &Column| items.get(column).cloned().map(Expr::Column);
                (alias.input.as_ref(), self.over(of)?)
            }
            LogicalPlan::Filter(filter) => {
                let mut wanted = self;
                wanted.filters.extend(split_conjunction(&filter.predicate).into_iter().cloned());
                (filter.input.as_ref(), wanted)
            }
            _ => return Ok(None),
        }))
    }
}

fn descend(plan: &LogicalPlan, wanted: Wanted) -> EngineResult<Result<LogicalPlan, Unused>> {
    if let LogicalPlan::TableScan(scan) = plan {
        return searched(scan, wanted);
    }
    let Some((input, wanted)) = wanted.below(plan)? else { return Ok(Err(String::new())) };
    Ok(match descend(input, wanted)? {
        Ok(input) => Ok(plan.with_new_exprs(plan.expressions(), vec![input])?),
        Err(unused) => Err(unused),
    })
}

/// A search in place of a scan.
fn searched(scan: &TableScan, wanted: Wanted) -> EngineResult<Result<LogicalPlan, Unused>> {
    let provider = source_as_provider(&scan.source)?;
    let Some(table) = provider.downcast_ref::<LakeTable>() else { return Ok(Err(String::new())) };
    let schema = &scan.projected_schema;
    let each = wanted.function.as_deref();
    let order = match each {
        Some(function) => Order::of_each(function, &wanted.key, schema),
        None => Order::of(&wanted.key, schema),
    };
    let Some(order) = order else { return Ok(Err(String::new())) };
    let of_column = |index: &&TableIndex| {
        let column = &table.table().columns[index.column];
        column.name == order.column.name
    };
    let indexes: Vec<&TableIndex> = table.indexes().iter().filter(of_column).collect();
    let Some(some) = indexes.first() else { return Ok(Err(String::new())) };
    let unused = |reason: &str| Ok(Err(unused(&some.name, reason)));
    let of_measure = |index: &&&TableIndex| index.of.measure.function() == order.function;
    let Some(index) = indexes.iter().find(of_measure) else {
        let operators = some.operators();
        return unused(&format!("it is for {operators}, not for {}", order.function));
    };
    if let Err(reason) = wanted.order {
        return unused(reason);
    }
    if index.segments.indexed() < LEAST_INDEXED {
        return unused("it has few rows or none yet, and the table is scanned as quickly");
    }
    if scan.fetch.is_some() {
        return unused("the query asks for an exact scan");
    }
    let is_plain = |filter: &Expr| {
        let has_subquery = filter.exists(|e| {
            Ok(matches!(e, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_)))
        });
        !filter.is_volatile() && !has_subquery.unwrap_or(true)
    };
    if !wanted.filters.iter().all(is_plain) {
        return unused("a filter must be asked of each row by itself");
    }
    // Whoever asks for rows with a vector asks for those that an index holds.
    let is_there = |filter: &Expr| {
        matches!(filter, Expr::IsNotNull(of) if matches!(unaliased(of), Expr::Column(column)
            if column == order.column))
    };
    let (there, filters): (Vec<_>, Vec<_>) = wanted.filters.into_iter().partition(is_there);
    let node = Nearest {
        input: LogicalPlan::TableScan(scan.clone()),
        index: Named(Arc::new((**index).clone())),
        query: order.query.clone(),
        each: each.is_some(),
        k: wanted.k,
        filters,
        nulls: there.is_empty(),
        ties: wanted.ties,
        recall: order.recall.map(f64::to_bits),
    };
    Ok(Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) })))
}

/// What a search has in the place of a query where a join gives them.
static NO_QUERY: Expr = Expr::Literal(ScalarValue::Null, None);

/// An order by the distance of a column to a vector.
pub(super) struct Order<'a> {
    pub function: &'a str,
    pub column: &'a Column,
    pub query: &'a Expr,
    pub recall: Option<f64>,
}

impl<'a> Order<'a> {
    /// To a vector that is the same for every row.
    fn of(key: &'a Expr, schema: &DFSchema) -> Option<Self> {
        Self::over(key, schema, is_constant)
    }

    /// To other vectors for each row of a join's left side: all of the nearest are asked for.
    fn of_each(function: &'a str, key: &'a Expr, schema: &DFSchema) -> Option<Self> {
        match unaliased(key) {
            Expr::Column(column) if schema.has_column(column) => {
                Some(Self { function, column, query: &NO_QUERY, recall: Some(1.0) })
            }
            _ => None,
        }
    }

    /// Of a column of `schema` to what is a query.
    pub fn over(
        key: &'a Expr,
        schema: &DFSchema,
        is_query: impl Fn(&Expr) -> bool,
    ) -> Option<Self> {
        let key = unaliased(key);
        let (distance, recall) = recall::parts(key).unwrap_or((key, None));
        let Expr::ScalarFunction(ScalarFunction { func, args }) = unaliased(distance) else {
            return None;
        };
        let [a, b] = args.as_slice() else { return None };
        let (a, b) = (unaliased(a), unaliased(b));
        let of = |column: &'a Expr, query: &'a Expr| match column {
            Expr::Column(column) if schema.has_column(column) && is_query(query) => {
                Some(Self { function: func.name(), column, query, recall })
            }
            _ => None,
        };
        of(a, b).or_else(|| of(b, a))
    }
}

fn unaliased(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// Whether it is the same for every row.
fn is_constant(expression: &Expr) -> bool {
    !expression.any_column_refs() && !expression.is_volatile() && !expression.contains_outer()
}
