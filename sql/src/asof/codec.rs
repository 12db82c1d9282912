//! `AsOfExec` as bytes, so that a join by key can be done elsewhere.
//!
//! Inputs travel as plans, expressions as the engine writes them; functions go by name.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::{Result as EngineResult, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::PhysicalExprNode;
use kernels::asof::{Direction, Frame, Rule};
use prost::Message;

use super::exec::{AsOfExec, Side, Terms};
use super::gather::Gathered;
use super::node::Kind;
use super::tolerance::Tolerance;
use super::window::Feature;

/// See the module.
#[derive(Debug, Default, Clone, Copy)]
pub struct AsOfCodec;

#[derive(Clone, PartialEq, prost::Message)]
struct Node {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint32, tag = "2")]
    direction: u32,
    #[prost(bool, tag = "3")]
    strict: bool,
    /// The labels' sides of the keys, then of the time.
    #[prost(message, repeated, tag = "4")]
    labels: Vec<PhysicalExprNode>,
    #[prost(message, repeated, tag = "5")]
    rows: Vec<PhysicalExprNode>,
    #[prost(message, optional, tag = "6")]
    sequence: Option<PhysicalExprNode>,
    #[prost(uint64, repeated, tag = "7")]
    shown: Vec<u64>,
    #[prost(message, optional, tag = "8")]
    tolerance: Option<Distance>,
    #[prost(message, optional, tag = "9")]
    guard: Option<PhysicalExprNode>,
    #[prost(message, optional, tag = "10")]
    filter: Option<PhysicalExprNode>,
    /// A row's delay, and whether it must have been known.
    #[prost(int64, tag = "11")]
    delay: i64,
    #[prost(bool, tag = "12")]
    known: bool,
    #[prost(message, optional, tag = "13")]
    created: Option<PhysicalExprNode>,
    #[prost(bool, tag = "14")]
    counts_unknown: bool,
    #[prost(message, repeated, tag = "15")]
    features: Vec<Window>,
}

/// What a window of rows tells.
#[derive(Clone, PartialEq, prost::Message)]
struct Window {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    function: u32,
    /// Of a list.
    #[prost(uint64, tag = "3")]
    limit: u64,
    #[prost(message, optional, tag = "4")]
    argument: Option<PhysicalExprNode>,
    #[prost(message, optional, tag = "5")]
    filter: Option<PhysicalExprNode>,
    #[prost(int64, optional, tag = "6")]
    width: Option<i64>,
    #[prost(int64, tag = "7")]
    gap: i64,
    #[prost(bool, tag = "8")]
    excludes_end: bool,
}

/// Ticks if there are no months.
#[derive(Clone, PartialEq, prost::Message)]
struct Distance {
    #[prost(uint32, tag = "1")]
    months: u32,
    #[prost(int64, tag = "2")]
    amount: i64,
    #[prost(int64, tag = "3")]
    tick_nanos: i64,
}

const KINDS: [Kind; 4] = [Kind::Inner, Kind::Left, Kind::Semi, Kind::Anti];

impl PhysicalExtensionCodec for AsOfCodec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let [left, right] = inputs else {
            return Err(malformed(&format!("it has {} inputs and not two", inputs.len())));
        };
        let node = Node::decode(bytes).map_err(|error| malformed(&error.to_string()))?;
        let context = PhysicalPlanDecodeContext::new(context, self);
        let read = |node: &PhysicalExprNode, schema: &Schema| {
            converter.proto_to_physical_expr(node, schema, &context)
        };
        let (of_left, of_right) = (left.schema(), right.schema());
        let maybe = |node: &Option<PhysicalExprNode>, schema| {
            node.as_ref().map(|node| read(node, schema)).transpose()
        };
        let mut keys = Vec::with_capacity(node.labels.len());
        for (label, row) in node.labels.iter().zip(&node.rows) {
            keys.push((read(label, &of_left)?, read(row, &of_right)?));
        }
        let Some(time) = keys.pop() else { return Err(malformed("it has no time")) };
        let kind = KINDS.get(node.kind as usize).ok_or_else(|| malformed("it is of no kind"))?;
        let direction = match node.direction {
            0 => Direction::Backward { delay: node.delay, known: node.known },
            1 => Direction::Forward,
            _ => Direction::Nearest,
        };
        let mut features = Vec::with_capacity(node.features.len());
        for of in &node.features {
            let function = Gathered::of_code(of.function, of.limit);
            let function = function.ok_or_else(|| malformed("a window has no function"))?;
            let sides = (maybe(&of.argument, &of_right)?, maybe(&of.filter, &of_right)?);
            let Window { width, gap, excludes_end, .. } = *of;
            let frame = Frame { width, gap, excludes_end, known: node.known };
            features.push(Feature::new(&of.name, function, sides, frame, &of_right)?);
        }
        let (created, seq) = (node.created.is_some(), node.sequence.is_some());
        let terms = Terms {
            kind: *kind,
            rule: Rule { direction, strict: node.strict, created, seq },
            keys,
            time_type: time.0.data_type(&of_left)?,
            time,
            created: maybe(&node.created, &of_right)?,
            counts_unknown: node.counts_unknown,
            sequence: maybe(&node.sequence, &of_right)?,
            shown: node.shown.iter().map(|index| *index as usize).collect(),
            tolerance: node.tolerance.map(tolerance),
            guard: maybe(&node.guard, &of_left)?,
            features,
        };
        let exec = AsOfExec::new(Arc::clone(left), Arc::clone(right), Arc::new(terms))?;
        let filter = maybe(&node.filter, &of_right)?;
        let filter = filter.and_then(|f| Arc::downcast::<DynamicFilterPhysicalExpr>(f).ok());
        Ok(Arc::new(exec.with_filter(filter)))
    }

    fn try_encode(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> EngineResult<()> {
        let Some(exec) = plan.downcast_ref::<AsOfExec>() else {
            let message = format!("{} is no AS OF join", plan.name());
            return Err(DataFusionError::NotImplemented(message));
        };
        let terms = exec.terms.as_ref();
        let write = |side: &Side| converter.physical_expr_to_proto(side, self);
        let maybe = |side: &Option<Side>| side.as_ref().map(write).transpose();
        let pairs = || terms.keys.iter().chain([&terms.time]);
        let (direction, delay, known) = match terms.rule.direction {
            Direction::Backward { delay, known } => (0, delay, known),
            Direction::Forward => (1, 0, false),
            Direction::Nearest => (2, 0, false),
        };
        let Some(kind) = KINDS.iter().position(|kind| *kind == terms.kind) else {
            return internal_err!("a kind of AS OF joins has no number");
        };
        let filter = exec.filter.as_ref().map(|f| Arc::clone(f) as Arc<dyn PhysicalExpr>);
        let mut features = Vec::with_capacity(terms.features.len());
        for of in &terms.features {
            let (function, limit) = of.function.code();
            let Frame { width, gap, excludes_end, .. } = of.frame;
            let (argument, filter) = (maybe(&of.argument)?, maybe(&of.filter)?);
            let name = of.field.name().clone();
            features.push(Window {
                name,
                function,
                limit,
                argument,
                filter,
                width,
                gap,
                excludes_end,
            });
        }
        let node = Node {
            kind: kind as u32,
            direction,
            strict: terms.rule.strict,
            labels: pairs().map(|(label, _)| write(label)).collect::<EngineResult<_>>()?,
            rows: pairs().map(|(_, row)| write(row)).collect::<EngineResult<_>>()?,
            sequence: maybe(&terms.sequence)?,
            shown: terms.shown.iter().map(|index| *index as u64).collect(),
            tolerance: terms.tolerance.map(distance),
            guard: maybe(&terms.guard)?,
            filter: maybe(&filter)?,
            delay,
            known,
            created: maybe(&terms.created)?,
            counts_unknown: terms.counts_unknown,
            features,
        };
        node.encode(bytes).map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

fn distance(tolerance: Tolerance) -> Distance {
    match tolerance {
        Tolerance::Ticks(amount) => Distance { months: 0, amount, tick_nanos: 1 },
        Tolerance::Months { months, nanos, tick_nanos } => {
            Distance { months, amount: nanos, tick_nanos }
        }
    }
}

fn tolerance(distance: Distance) -> Tolerance {
    let Distance { months, amount, tick_nanos } = distance;
    match months {
        0 => Tolerance::Ticks(amount),
        months => Tolerance::Months { months, nanos: amount, tick_nanos },
    }
}

fn malformed(reason: &str) -> DataFusionError {
    DataFusionError::Plan(format!("an AS OF join cannot be read: {reason}"))
}

impl Gathered {
    /// A number of the function, and of a list's the number of its values.
    fn code(self) -> (u32, u64) {
        match self {
            Self::Count => (0, 0),
            Self::Distinct => (1, 0),
            Self::Sum => (2, 0),
            Self::Avg => (3, 0),
            Self::Stddev => (4, 0),
            Self::Min => (5, 0),
            Self::Max => (6, 0),
            Self::Last(limit) => (7, limit as u64),
            Self::First(limit) => (8, limit as u64),
        }
    }

    /// The function of such numbers.
    fn of_code(code: u32, limit: u64) -> Option<Self> {
        let limit = usize::try_from(limit).ok()?;
        let all = [
            Self::Count,
            Self::Distinct,
            Self::Sum,
            Self::Avg,
            Self::Stddev,
            Self::Min,
            Self::Max,
            Self::Last(limit),
            Self::First(limit),
        ];
        all.get(usize::try_from(code).ok()?).copied()
    }
}
