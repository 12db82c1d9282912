//! The logical node: what is joined, how, and what comes out.
//!
//! Beside the row that a label takes there may be what windows of rows tell at its time, see
//! `window`. Conditions are held as comparisons, as in a join, so that what converts and coerces
//! comparisons does so here: `keys` are `l = r`, `time` is `l.t >= r.t` or one of its like.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use catalog::SEQUENCE_COLUMN;
use datafusion::common::{
    DFSchema, DFSchemaRef, Result as EngineResult, ScalarValue, internal_err,
};
use datafusion::logical_expr::builder::build_join_schema;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, UserDefinedLogicalNodeCore};

use super::window::WindowFeature;
use crate::features::duration_text;

/// What becomes of labels with and without a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub enum Kind {
    /// Those without are dropped.
    Inner,
    /// Those without have NULLs.
    Left,
    /// Those with one, without its columns.
    Semi,
    /// Those without one.
    Anti,
}

impl Kind {
    /// The join that has the same columns.
    pub fn join_type(self) -> JoinType {
        match self {
            Self::Inner => JoinType::Inner,
            Self::Left => JoinType::Left,
            Self::Semi => JoinType::LeftSemi,
            Self::Anti => JoinType::LeftAnti,
        }
    }
}

/// What becomes of rows that were not yet known at the label's time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Known {
    #[default]
    Ignored,
    /// The statement's `Leaks` count them.
    Counted,
    /// They are not taken.
    Required,
}

/// What decides between rows beside their times. All are over the right side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Choice {
    /// When a row became known: of rows of one time the latest counts, NULL before all.
    pub created: Option<Expr>,
    pub known: Known,
    /// A constant: how long after its time a row counts.
    pub delay: Option<Expr>,
    /// Decides last; a column that does not come out.
    pub sequence: Option<Expr>,
    /// Labels keep their order even where nothing is asked of the rows.
    pub keeps_order: bool,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AsOf {
    pub left: LogicalPlan,
    pub right: LogicalPlan,
    pub kind: Kind,
    /// Either side of the label's time; the comparison only says whether equal times match.
    pub nearest: bool,
    /// `l = r` of each key; none: every row is of every label.
    pub keys: Vec<Expr>,
    pub time: Expr,
    pub choice: Choice,
    /// How far the match may be from the label, a constant.
    pub tolerance: Option<Expr>,
    /// What a label must fulfil to have a match.
    pub guard: Option<Expr>,
    /// What windows of rows tell, beside the row that is taken.
    pub features: Vec<WindowFeature>,
    schema: DFSchemaRef,
}

impl AsOf {
    /// The node; `keys` and `time` are over the columns of both sides, `guard` of the left. Errors:
    /// 42883 for a window's argument that its function has no answer for.
    pub fn new(
        (left, right): (LogicalPlan, LogicalPlan),
        (kind, nearest): (Kind, bool),
        keys: Vec<Expr>,
        (time, choice): (Expr, Choice),
        (tolerance, guard): (Option<Expr>, Option<Expr>),
        features: Vec<WindowFeature>,
    ) -> EngineResult<Self> {
        let rows = right.schema();
        let shown = rows.iter().filter(|(_, field)| field.name() != SEQUENCE_COLUMN);
        let shown = shown.map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
        let shown = DFSchema::new_with_metadata(shown.collect(), rows.metadata().clone())?;
        let joined = build_join_schema(left.schema(), &shown, &kind.join_type())?;
        let mut fields: Vec<_> =
            joined.iter().map(|(of, field)| (of.cloned(), Arc::clone(field))).collect();
        for feature in &features {
            fields.push((None, feature.field(rows)?));
        }
        let schema = DFSchema::new_with_metadata(fields, joined.metadata().clone())?.into();
        Ok(Self {
            left,
            right,
            kind,
            nearest,
            keys,
            time,
            choice,
            tolerance,
            guard,
            features,
            schema,
        })
    }
}

/// Whether a node is a join that tells of windows.
pub(crate) fn tells_windows(node: &LogicalPlan) -> bool {
    match node {
        LogicalPlan::Extension(node) => {
            node.node.as_any().downcast_ref::<AsOf>().is_some_and(|of| !of.features.is_empty())
        }
        _ => false,
    }
}

impl PartialOrd for AsOf {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let key =
            |node: &Self| (node.kind, node.nearest, node.expressions(), node.features.clone());
        let order = key(self).partial_cmp(&key(other))?;
        Some(order.then(self.left.partial_cmp(&other.left)?))
            .filter(|order| *order != Ordering::Equal || self == other)
    }
}

/// A distance as a user would write it, if it is a plain interval already.
fn shown(distance: &Expr) -> String {
    match distance {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(by)), _) if by.months == 0 => {
            duration_text(i64::from(by.days) * 86_400_000_000 + by.nanoseconds / 1_000)
        }
        other => other.to_string(),
    }
}

impl UserDefinedLogicalNodeCore for AsOf {
    fn name(&self) -> &str {
        "AsOfJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let conditions = self.keys.iter().chain([&self.time]);
        conditions
            .chain(&self.choice.created)
            .chain(&self.choice.delay)
            .chain(&self.choice.sequence)
            .chain(&self.tolerance)
            .chain(&self.guard)
            .chain(self.features.iter().flat_map(WindowFeature::expressions))
            .cloned()
            .collect()
    }

    /// All of them: the engine would push a predicate below both sides. `push` does it for one.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "AsOfJoin: {:?}, {}", self.kind, self.time)?;
        if self.nearest {
            f.write_str(", nearest")?;
        }
        if let Some(tolerance) = &self.tolerance {
            write!(f, ", tolerance={}", shown(tolerance))?;
        }
        if let Some(delay) = &self.choice.delay {
            write!(f, ", delay={}", shown(delay))?;
        }
        if let Some(created) = &self.choice.created {
            let required = self.choice.known == Known::Required;
            let known = if required { " known" } else { "" };
            write!(f, ", created={created}{known}")?;
        }
        if let Some(guard) = &self.guard {
            write!(f, ", only labels with {guard}")?;
        }
        self.keys.iter().try_for_each(|key| write!(f, ", {key}"))?;
        self.features.iter().try_for_each(|feature| write!(f, ", {feature}"))
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> EngineResult<Self> {
        let mut exprs = exprs.into_iter();
        let keys: Vec<Expr> = exprs.by_ref().take(self.keys.len()).collect();
        let Some(time) = exprs.next() else { return internal_err!("an AS OF join lost its time") };
        let choice = Choice {
            created: self.choice.created.as_ref().and_then(|_| exprs.next()),
            known: self.choice.known,
            delay: self.choice.delay.as_ref().and_then(|_| exprs.next()),
            sequence: self.choice.sequence.as_ref().and_then(|_| exprs.next()),
            keeps_order: self.choice.keeps_order,
        };
        let tolerance = self.tolerance.as_ref().and_then(|_| exprs.next());
        let guard = self.guard.as_ref().and_then(|_| exprs.next());
        let features = self.features.iter().map(|feature| feature.with(&mut exprs)).collect();
        let Ok([left, right]) = <[LogicalPlan; 2]>::try_from(inputs) else {
            return internal_err!("an AS OF join has two inputs");
        };
        let (kind, time) = ((self.kind, self.nearest), (time, choice));
        Self::new((left, right), kind, keys, time, (tolerance, guard), features)
    }

    /// The output is the left side's columns, then the right side's, then those of windows.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.left.schema().fields().len();
        let rows = self.right.schema().fields().iter().enumerate();
        let shown = rows.filter(|(_, field)| field.name() != SEQUENCE_COLUMN);
        let shown: Vec<usize> = shown.map(|(index, _)| index).collect();
        let (left, right): (Vec<usize>, Vec<usize>) =
            output_columns.iter().partition(|column| **column < width);
        let right = right.iter().filter_map(|column| shown.get(column - width).copied());
        Some(vec![left, right.collect()])
    }
}
