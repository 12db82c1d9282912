//! `AsOfExec`: the operator as the engine sees it. What it does is in `join`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::common::Result as EngineResult;
use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr, lit};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase,
    FilterPushdownPropagation,
};
use datafusion::physical_plan::joins::utils::build_join_schema;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use kernels::asof::{Direction, Rule};

use super::node::Kind;
use super::tolerance::Tolerance;
use super::window::Feature;
use super::{join, times};

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
    /// What windows of rows tell; they come out behind the rows.
    pub features: Vec<Feature>,
}

impl Terms {
    /// Whether it is of any account which row a label takes.
    pub fn takes_rows(&self) -> bool {
        let is_seen = !self.shown.is_empty() || self.features.is_empty();
        self.kind != Kind::Left || self.counts_unknown || is_seen
    }
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
        let windows = terms.features.iter().map(|feature| Arc::clone(&feature.field));
        let fields = schema.fields().iter().cloned().chain(windows);
        let fields: Vec<FieldRef> = fields.collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
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

    /// The same, telling `filter` what the labels ask of the rows.
    pub(super) fn with_filter(self, filter: Option<Arc<DynamicFilterPhysicalExpr>>) -> Self {
        Self { filter, ..self }
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
        let Terms { kind, rule, keys, time, time_type, created, tolerance, guard, .. } =
            self.terms.as_ref();
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
        if let Some(tolerance) = tolerance {
            write!(f, ", tolerance={}", tolerance.shown(time_type))?;
        }
        if let Direction::Backward { delay, known } = rule.direction {
            if delay != 0 {
                write!(f, ", delay={}", times::span(delay, time_type))?;
            }
            let known = if known { " known" } else { "" };
            created.iter().try_for_each(|created| write!(f, ", created={created}{known}"))?;
        }
        guard.iter().try_for_each(|guard| write!(f, ", only labels with {guard}"))?;
        if !self.terms.takes_rows() {
            f.write_str(", windows only")?;
        }
        let shown = self.terms.features.iter().map(|feature| feature.shown(time_type));
        shown.into_iter().try_for_each(|feature| write!(f, ", {feature}"))
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
        let sides =
            sides.chain(&self.terms.guard).chain(&self.terms.created).chain(&self.terms.sequence);
        for side in sides.chain(self.terms.features.iter().flat_map(Feature::sides)) {
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
        let exec = Self::new(left, right, Arc::clone(&self.terms))?;
        Ok(Arc::new(exec.with_filter(filter)))
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

    /// Columns of rows that are not asked for need not be put together.
    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        let width = self.left.schema().fields().len();
        let mut asked = BTreeSet::new();
        for item in projection.expr() {
            asked.extend(collect_columns(&item.expr).iter().map(Column::index));
        }
        let rows: Vec<usize> = asked.into_iter().filter(|index| *index >= width).collect();
        let has_rows = matches!(self.terms.kind, Kind::Inner | Kind::Left);
        let Terms { shown, features, .. } = self.terms.as_ref();
        if !has_rows || rows.len() == shown.len() + features.len() {
            return Ok(None);
        }
        let wanted = rows.iter().filter_map(|index| shown.get(index - width).copied()).collect();
        let behind = rows.iter().filter_map(|index| index.checked_sub(width + shown.len()));
        let features = behind.filter_map(|index| features.get(index).cloned()).collect();
        let terms = Terms { shown: wanted, features, ..self.terms.as_ref().clone() };
        let (left, right) = (Arc::clone(&self.left), Arc::clone(&self.right));
        let narrow = Self::new(left, right, Arc::new(terms))?.with_filter(self.filter.clone());
        let place = |index: usize| match rows.iter().position(|row| *row == index) {
            Some(place) => width + place,
            None => index,
        };
        let mut items = Vec::with_capacity(projection.expr().len());
        for item in projection.expr() {
            let moved = Arc::clone(&item.expr).transform(|node| {
                Ok(match node.downcast_ref::<Column>() {
                    Some(column) => {
                        let column = Column::new(column.name(), place(column.index()));
                        Transformed::yes(Arc::new(column) as Arc<dyn PhysicalExpr>)
                    }
                    None => Transformed::no(node),
                })
            })?;
            items.push((moved.data, item.alias.clone()));
        }
        Ok(Some(Arc::new(ProjectionExec::try_new(items, Arc::new(narrow))?)))
    }

    fn child_stats_requests(&self, _: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None), ChildStats::Skip]
    }

    /// As many rows as labels, at most.
    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> EngineResult<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        if let Some(labels) = inputs.first() {
            statistics.num_rows = match self.terms.kind {
                Kind::Left => labels.num_rows,
                Kind::Inner | Kind::Semi | Kind::Anti => labels.num_rows.to_inexact(),
            };
        }
        Ok(Arc::new(statistics))
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
                let node = self.clone().with_filter(Some(filter));
                pushed.with_updated_node(Arc::new(node) as Arc<dyn ExecutionPlan>)
            }
            None => pushed,
        })
    }
}
