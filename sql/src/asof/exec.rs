//! `AsOfExec`: the operator as the engine sees it. What it does is in `join`.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result as EngineResult;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{DynamicFilterPhysicalExpr, lit};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase,
    FilterPushdownPropagation,
};
use datafusion::physical_plan::joins::utils::build_join_schema;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use kernels::asof::{Direction, Rule};

use super::join;
use super::node::Kind;
use super::tolerance::Tolerance;

/// An expression over one side.
pub(super) type Side = Arc<dyn PhysicalExpr>;

/// What is joined by what, over the columns of either side.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub kind: Kind,
    pub rule: Rule,
    /// Label's and row's; both of one type.
    pub keys: Vec<(Side, Side)>,
    pub time: (Side, Side),
    pub time_type: DataType,
    /// Of a row, in the times' type: of one time, what became known latest counts.
    pub created: Option<Side>,
    /// Matches that were not yet known are counted for the statement.
    pub counts_unknown: bool,
    /// Of a row: decides then. If nothing does, what is in them decides.
    pub sequence: Option<Side>,
    /// Columns of the right side that come out.
    pub shown: Vec<usize>,
    pub tolerance: Option<Tolerance>,
    /// What a label must fulfil to have a match.
    pub guard: Option<Side>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct AsOfExec {
    pub(super) left: Arc<dyn ExecutionPlan>,
    pub(super) right: Arc<dyn ExecutionPlan>,
    pub(super) terms: Arc<Terms>,
    /// What the labels ask of the rows, once they are known.
    pub(super) filter: Option<Arc<DynamicFilterPhysicalExpr>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl AsOfExec {
    pub(super) fn new(
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        terms: Arc<Terms>,
    ) -> EngineResult<Self> {
        let join_type = terms.kind.join_type();
        let shown = right.schema().project(&terms.shown)?;
        let (schema, _) = build_join_schema(&left.schema(), &shown, &join_type);
        let schema = Arc::new(schema);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(Self {
            left,
            right,
            terms,
            filter: None,
            schema,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// Rows that come by key and time need no search.
    fn strategy(&self) -> &'static str {
        let Some(order) = self.right.output_ordering() else { return "stream" };
        let wanted = self.terms.keys.iter().map(|(_, row)| row).chain([&self.terms.time.1]);
        let count = self.terms.keys.len() + 1;
        let same = order.iter().zip(wanted).filter(|(sorted, row)| sorted.expr.eq(row)).count();
        if same == count { "merge" } else { "stream" }
    }
}

impl DisplayAs for AsOfExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let Terms { kind, rule, keys, time, tolerance, guard, .. } = self.terms.as_ref();
        let operator = match (rule.direction, rule.strict) {
            (Direction::Backward { .. }, false) => ">=",
            (Direction::Backward { .. }, true) => ">",
            (Direction::Forward, false) => "<=",
            (Direction::Forward, true) => "<",
            (Direction::Nearest, false) => "nearest",
            (Direction::Nearest, true) => "nearest but not",
        };
        let (label, row) = time;
        write!(f, "AsOfExec: strategy={}, kind={kind:?}", self.strategy())?;
        write!(f, ", time={label} {operator} {row}, keys=[")?;
        for (index, (label, row)) in keys.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{label} = {row}")?;
        }
        f.write_str("]")?;
        tolerance.iter().try_for_each(|tolerance| write!(f, ", tolerance={tolerance:?}"))?;
        guard.iter().try_for_each(|guard| write!(f, ", only labels with {guard}"))
    }
}

impl ExecutionPlan for AsOfExec {
    fn name(&self) -> &str {
        "AsOfExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    /// Labels keep their order; rows are read by all threads.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, true]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        let pairs = self.terms.keys.iter().chain([&self.terms.time]);
        let sides = pairs.flat_map(|(label, row)| [label, row]);
        for side in
            sides.chain(&self.terms.guard).chain(&self.terms.created).chain(&self.terms.sequence)
        {
            if f(side)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        match &self.filter {
            Some(filter) => f(&(Arc::clone(filter) as Arc<dyn PhysicalExpr>)),
            None => Ok(TreeNodeRecursion::Continue),
        }
    }

    fn dynamic_expressions_produced(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.filter.iter().map(|filter| Arc::clone(filter) as Arc<dyn PhysicalExpr>).collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let Ok([left, right]) = <[Arc<dyn ExecutionPlan>; 2]>::try_from(children) else {
            return datafusion::common::internal_err!("an AS OF join has two inputs");
        };
        let filter = self.filter.clone();
        Ok(Arc::new(Self { filter, ..Self::new(left, right, Arc::clone(&self.terms))? }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        if partition != 0 {
            return datafusion::common::internal_err!("an AS OF join has one partition");
        }
        join::stream(self, Arc::clone(&self.schema), context, &self.metrics)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn gather_filters_for_pushdown(
        &self,
        phase: FilterPushdownPhase,
        parents: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> EngineResult<FilterDescription> {
        let left = ChildFilterDescription::all_unsupported(&parents);
        let mut right = ChildFilterDescription::all_unsupported(&parents);
        let enabled = config.optimizer.enable_join_dynamic_filter_pushdown;
        if phase == FilterPushdownPhase::Post && enabled && self.filter.is_none() {
            let keys = self.terms.keys.iter().map(|(_, row)| Arc::clone(row));
            let columns = keys.chain([Arc::clone(&self.terms.time.1)]).collect();
            right = right
                .with_self_filter(Arc::new(DynamicFilterPhysicalExpr::new(columns, lit(true))));
        }
        Ok(FilterDescription::new().with_child(left).with_child(right))
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> EngineResult<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let own = result.self_filters.get(1).and_then(|filters| filters.first());
        let own = own.map(|filter| Arc::clone(&filter.predicate));
        let filter = own.and_then(|own| Arc::downcast::<DynamicFilterPhysicalExpr>(own).ok());
        let pushed = FilterPushdownPropagation::if_any(result);
        Ok(match filter {
            Some(filter) => {
                let node = Self { filter: Some(filter), ..self.clone() };
                pushed.with_updated_node(Arc::new(node) as Arc<dyn ExecutionPlan>)
            }
            None => pushed,
        })
    }
}
