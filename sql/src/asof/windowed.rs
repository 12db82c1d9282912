//! Features over windows at label time: the logical node, and from it to the operator.
//!
//! For each label, what a window of the rows of its key tells: `(t - width, t]`, or
//! `[t - width, t)` when the current instant is left out. It is evaluated at the label's time, not
//! as of the last row.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, Result as EngineResult, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use kernels::asof::{Direction, Rule};

use super::exec::Terms;
use super::gather::Gathered;
use super::node::Kind;
use super::physical::across;
use super::tolerance::Tolerance;
use super::windowed_exec::{Feature, WindowedExec};
use super::{sequence, times};
use crate::error::Error;

/// A column that a window gives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub struct WindowFeature {
    pub name: String,
    pub function: Gathered,
    /// Over the rows; None: `count(*)`.
    pub argument: Option<Expr>,
    /// Which rows count, over them too.
    pub filter: Option<Expr>,
    /// A constant: an interval without months, or a number.
    pub width: Expr,
    pub excludes_current: bool,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Windowed {
    left: LogicalPlan,
    right: LogicalPlan,
    /// `l = r` of each key.
    keys: Vec<Expr>,
    /// `l.t >= r.t`, whose operator says nothing.
    time: Expr,
    /// Which of two rows of one time is the last.
    sequence: Option<Expr>,
    features: Vec<WindowFeature>,
    schema: DFSchemaRef,
}

/// `labels` with a column for each of `features` of `rows`. `keys` are `l = r`, `time` is
/// `l.t >= r.t`. Errors: 42883 for an argument that a function has no answer for, 42804 for times.
pub fn windowed(
    (labels, rows): (LogicalPlan, LogicalPlan),
    keys: Vec<Expr>,
    time: Expr,
    features: Vec<WindowFeature>,
) -> EngineResult<LogicalPlan> {
    times::check(&time, &labels.schema().join(rows.schema())?, None)?;
    let (rows, sequence) = match sequence::sequenced(&rows)? {
        Some((rows, sequence)) => (rows, Some(sequence)),
        None => (rows, None),
    };
    let node = Windowed::new((labels, rows), keys, (time, sequence), features)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

impl Windowed {
    fn new(
        (left, right): (LogicalPlan, LogicalPlan),
        keys: Vec<Expr>,
        (time, sequence): (Expr, Option<Expr>),
        features: Vec<WindowFeature>,
    ) -> EngineResult<Self> {
        let labels = left.schema();
        let mut fields: Vec<_> = labels
            .iter()
            .map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)))
            .collect();
        for feature in &features {
            let of = feature.of(right.schema())?;
            let field = Field::new(&feature.name, feature.function.result(&of)?, true);
            fields.push((None, Arc::new(field)));
        }
        let schema = DFSchema::new_with_metadata(fields, labels.metadata().clone())?.into();
        Ok(Self { left, right, keys, time, sequence, features, schema })
    }
}

impl WindowFeature {
    /// The argument's type; that of a count of rows is of no account.
    fn of(&self, rows: &DFSchema) -> EngineResult<DataType> {
        self.argument.as_ref().map_or(Ok(DataType::Int64), |argument| argument.get_type(rows))
    }

    fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.argument.iter().chain(&self.filter).chain([&self.width])
    }

    /// The same with other expressions, in the same order.
    fn with(&self, exprs: &mut impl Iterator<Item = Expr>) -> EngineResult<Self> {
        let argument = self.argument.as_ref().and_then(|_| exprs.next());
        let filter = self.filter.as_ref().and_then(|_| exprs.next());
        let Some(width) = exprs.next() else { return internal_err!("a window lost its width") };
        Ok(Self { argument, filter, width, ..self.clone() })
    }
}

impl PartialOrd for Windowed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let expressions = |node: &Self| UserDefinedLogicalNodeCore::expressions(node);
        let key = |node: &Self| (expressions(node), node.features.clone());
        let order = key(self).partial_cmp(&key(other))?;
        Some(order.then(self.left.partial_cmp(&other.left)?))
            .filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for Windowed {
    fn name(&self) -> &str {
        "AsOfWindows"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let own = self.keys.iter().chain([&self.time]).chain(&self.sequence);
        let of_features = self.features.iter().flat_map(WindowFeature::expressions);
        own.chain(of_features).cloned().collect()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "AsOfWindows: {}", self.time)?;
        self.keys.iter().try_for_each(|key| write!(f, ", {key}"))?;
        for feature in &self.features {
            write!(f, ", {}={:?} over {}", feature.name, feature.function, feature.width)?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> EngineResult<Self> {
        let mut exprs = exprs.into_iter();
        let keys: Vec<Expr> = exprs.by_ref().take(self.keys.len()).collect();
        let Some(time) = exprs.next() else { return internal_err!("windows lost their time") };
        let sequence = self.sequence.as_ref().and_then(|_| exprs.next());
        let features = self.features.iter().map(|feature| feature.with(&mut exprs));
        let features = features.collect::<EngineResult<Vec<_>>>()?;
        let Ok([left, right]) = <[LogicalPlan; 2]>::try_from(inputs) else {
            return internal_err!("windows have two inputs");
        };
        Self::new((left, right), keys, (time, sequence), features)
    }

    /// All features are made; of the rows only what expressions name is read.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.left.schema().fields().len();
        let labels = output_columns.iter().copied().filter(|column| *column < width);
        Some(vec![labels.collect(), Vec::new()])
    }
}

/// Plans the node.
#[derive(Debug)]
pub(super) struct Windows;

#[async_trait]
impl ExtensionPlanner for Windows {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<Windowed>() else { return Ok(None) };
        let [left, right] = inputs else { return internal_err!("windows have two inputs") };
        let over = |expression: &Expr, schema: &DFSchema| {
            planner.create_physical_expr(expression, schema, session, context)
        };
        let (of_left, of_right) = (node.left.schema(), node.right.schema());
        let pair = |condition: &Expr| {
            let (label, _, row) = across(condition, of_left)?;
            Ok::<_, DataFusionError>((over(&label, of_left)?, over(&row, of_right)?))
        };
        let keys = node.keys.iter().map(pair).collect::<EngineResult<Vec<_>>>()?;
        let time = pair(&node.time)?;
        let time_type = time.0.data_type(left.schema().as_ref())?;
        let direction = Direction::Backward { delay: 0, known: false };
        let mut features = Vec::with_capacity(node.features.len());
        for feature in &node.features {
            let maybe = |e: &Option<Expr>| e.as_ref().map(|e| over(e, of_right)).transpose();
            features.push(Feature {
                name: feature.name.clone(),
                function: feature.function,
                of: feature.of(of_right)?,
                argument: maybe(&feature.argument)?,
                filter: maybe(&feature.filter)?,
                width: width(session, &feature.width, &time_type)?,
                excludes_current: feature.excludes_current,
            });
        }
        let sequence = node.sequence.as_ref().map(|s| over(s, of_right)).transpose()?;
        let rule = Rule { direction, strict: false };
        let terms = Terms { keys, time, time_type, sequence, ..Terms::plain(Kind::Left, rule) };
        let (left, right) = (Arc::clone(left), Arc::clone(right));
        let exec = WindowedExec::new(left, right, Arc::new(terms), features.into())?;
        Ok(Some(Arc::new(exec)))
    }
}

/// Ticks of a window, above 0.
fn width(session: &dyn Session, width: &Expr, of: &DataType) -> EngineResult<i64> {
    let Some(state) = session.as_any().downcast_ref::<SessionState>() else {
        return internal_err!("the session has no state");
    };
    if of.is_floating() {
        return Err(Error::unsupported("a window over times that are floats").into());
    }
    match Tolerance::new(&crate::plan::folded(state, width.clone())?, of)? {
        Tolerance::Ticks(ticks) if ticks > 0 => Ok(ticks),
        Tolerance::Ticks(_) => Err(Error::new("22023", "a window must be wider than 0").into()),
        Tolerance::Months { .. } => Err(Error::unsupported("a window of months")
            .with_hint("Months are of different lengths: write INTERVAL '30 days'.")
            .into()),
    }
}
