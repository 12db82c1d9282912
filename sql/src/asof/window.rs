//! Features over windows at label time: what all rows of a window tell, beside the row taken.
//!
//! For each label, what a window of the rows of its key tells: `(t - width, t]`, or
//! `[t - width, t)` when the current instant is left out. It is evaluated at the label's time, not
//! as of the last row; what the join asks of the rows that it takes (delay, age, being known) it
//! asks of those in windows too.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema};
use datafusion::common::{DFSchema, Result as EngineResult, internal_err};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::{Expr, ExprSchemable};
use kernels::asof::{Direction, Frame, NOWHERE, Rule, Windows};

use super::exec::{Side, Terms};
use super::gather::{Cells, Gathered, Placed};
use super::join::{Arranged, evaluated};
use super::times;
use super::tolerance::Tolerance;
use crate::error::Error;
use crate::features::duration_text;

/// A column that a window gives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub struct WindowFeature {
    pub name: String,
    pub function: Gathered,
    /// Over the rows; None: `count(*)`.
    pub argument: Option<Expr>,
    /// Which rows count, over them too.
    pub filter: Option<Expr>,
    /// Microseconds, above 0; None: as far as rows go back.
    pub width_us: Option<i64>,
    pub excludes_current: bool,
}

impl WindowFeature {
    /// The column. Errors: 42883 for an argument that the function has no answer for.
    pub fn field(&self, rows: &DFSchema) -> EngineResult<FieldRef> {
        let of = self.argument.as_ref().map(|argument| argument.to_field(rows)).transpose()?;
        Ok(Arc::new(self.function.field(&self.name, of.as_ref().map(|(_, of)| of.as_ref()))?))
    }

    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.argument.iter().chain(&self.filter)
    }

    /// The same with other expressions, in the same order.
    pub(super) fn with(&self, exprs: &mut impl Iterator<Item = Expr>) -> Self {
        let argument = self.argument.as_ref().and_then(|_| exprs.next());
        let filter = self.filter.as_ref().and_then(|_| exprs.next());
        Self { argument, filter, ..self.clone() }
    }

    /// Which rows are in the windows of labels whose times are of a type.
    pub(super) fn frame(
        &self,
        rule: Rule,
        age: Option<Tolerance>,
        times: &DataType,
    ) -> Result<Frame, Error> {
        let Direction::Backward { delay, known } = rule.direction else {
            return Err(Error::unsupported("a window that looks forward"));
        };
        let Some(tick) = times::tick_nanos(times) else {
            return Err(Error::unsupported("a window over times that are numbers"));
        };
        let ticks = |us: i64| us.saturating_mul(1_000).max(tick) / tick;
        let excludes_end = self.excludes_current;
        // The oldest row that counts is in, wherever the window begins.
        let age = match age {
            None => None,
            Some(Tolerance::Ticks(ticks)) if excludes_end => Some(ticks),
            Some(Tolerance::Ticks(ticks)) => Some(ticks.saturating_add(1)),
            Some(Tolerance::Months { .. }) => {
                return Err(Error::unsupported("a TOLERANCE of months beside windows")
                    .with_hint("Months are of different lengths: write INTERVAL '30 days'."));
            }
        };
        let width = match (self.width_us.map(ticks), age) {
            (Some(width), Some(age)) => Some(width.min(age)),
            (width, age) => width.or(age),
        };
        let late = delay.saturating_add(i64::from(rule.strict));
        let gap = if excludes_end { late.saturating_sub(1).max(0) } else { late };
        Ok(Frame { width, gap, excludes_end, known })
    }
}

impl fmt::Display for WindowFeature {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.argument {
            Some(argument) => write!(f, "{} of {argument}", self.function)?,
            None => write!(f, "{}", self.function)?,
        }
        self.filter.iter().try_for_each(|filter| write!(f, " where {filter}"))?;
        match self.width_us {
            Some(us) => write!(f, " over {}", duration_text(us))?,
            None => f.write_str(" over all")?,
        }
        f.write_str(if self.excludes_current { " before" } else { "" })
    }
}

/// The same for the operator.
#[derive(Debug, Clone)]
pub(super) struct Feature {
    pub field: FieldRef,
    pub function: Gathered,
    pub argument: Option<Side>,
    pub filter: Option<Side>,
    pub frame: Frame,
}

impl Feature {
    /// Of expressions over the rows.
    pub fn new(
        name: &str,
        function: Gathered,
        (argument, filter): (Option<Side>, Option<Side>),
        frame: Frame,
        rows: &Schema,
    ) -> EngineResult<Self> {
        let of = argument.as_ref().map(|argument| argument.return_field(rows)).transpose()?;
        let field = Arc::new(function.field(name, of.as_deref())?);
        Ok(Self { field, function, argument, filter, frame })
    }

    /// What the function is of; that of a count of rows is of no account.
    fn of(&self, rows: &Schema) -> EngineResult<FieldRef> {
        match &self.argument {
            Some(argument) => argument.return_field(rows),
            None => Ok(Arc::new(Field::new("", DataType::Int64, true))),
        }
    }

    pub fn sides(&self) -> impl Iterator<Item = &Side> {
        self.argument.iter().chain(&self.filter)
    }

    /// As EXPLAIN has it, over times of a type.
    pub fn shown(&self, times: &DataType) -> String {
        let of = self.argument.as_ref().map_or(String::new(), |of| format!(" of {of}"));
        let filter = self.filter.as_ref().map_or(String::new(), |f| format!(" where {f}"));
        let Frame { width, gap, excludes_end, known } = self.frame;
        let [open, close] = if excludes_end { ["[", ")"] } else { ["(", "]"] };
        let begin = width
            .map_or("-infinity".to_owned(), |width| format!("t - {}", times::span(width, times)));
        let gap = if gap > 0 { format!(" - {}", times::span(gap, times)) } else { String::new() };
        let known = if known { " if known" } else { "" };
        format!("{}{of}{filter} in {open}{begin}, t{gap}{close}{known}", self.function)
    }
}

/// The windows of each feature over labels; those of one frame are one.
pub(super) fn windows(
    features: &[Feature],
    arranged: &kernels::asof::Labels,
    memory: &MemoryReservation,
) -> EngineResult<Vec<Arc<Windows>>> {
    let mut windows: Vec<Arc<Windows>> = Vec::with_capacity(features.len());
    for (index, feature) in features.iter().enumerate() {
        let same = features[..index].iter().position(|other| other.frame == feature.frame);
        windows.push(match same.and_then(|same| windows.get(same)) {
            Some(same) => Arc::clone(same),
            None => {
                memory.try_grow(arranged.place_count() * Windows::BYTES)?;
                Arc::new(Windows::new(arranged, feature.frame))
            }
        });
    }
    Ok(windows)
}

/// Bytes that the states of one stream of rows may need, about; `value`: those of a value of
/// unknown length.
pub(super) fn bytes(
    features: &[Feature],
    windows: &[Arc<Windows>],
    rows: &Schema,
    value: usize,
) -> EngineResult<usize> {
    let mut bytes = 0_usize;
    for (feature, windows) in features.iter().zip(windows) {
        let of = feature.of(rows)?;
        let value = of.data_type().primitive_width().unwrap_or(value);
        let state = feature.function.cells(&of, 0)?.state_bytes();
        let cell = state + feature.function.value_bytes(value);
        bytes = bytes.saturating_add(windows.cells().saturating_mul(cell));
    }
    Ok(bytes)
}

/// What the rows of a stream have put into the cells, feature by feature.
pub(super) struct States {
    cells: Vec<Cells>,
    /// What the states take without values.
    empty_bytes: usize,
    memory: MemoryReservation,
}

impl States {
    /// Empty ones.
    pub fn new(
        terms: &Terms,
        arranged: &Arranged,
        rows: &Schema,
        memory: MemoryReservation,
    ) -> EngineResult<Self> {
        let mut cells = Vec::with_capacity(terms.features.len());
        for (feature, windows) in terms.features.iter().zip(&arranged.windows) {
            let of = feature.of(rows)?;
            let state_bytes = feature.function.cells(&of, 0)?.state_bytes();
            memory.try_grow(state_bytes * windows.cells())?;
            cells.push(feature.function.cells(&of, windows.cells())?);
        }
        Ok(Self { cells, empty_bytes: memory.size(), memory })
    }

    /// Puts the rows of a batch into their cells; how many are in a window, once for each frame.
    pub fn offer(
        &mut self,
        terms: &Terms,
        arranged: &Arranged,
        rows: &Rows<'_>,
    ) -> EngineResult<usize> {
        let mut placed: Vec<(&Arc<Windows>, Vec<Placed>)> = Vec::new();
        let mut kept = 0;
        for ((feature, windows), cells) in
            terms.features.iter().zip(&arranged.windows).zip(&mut self.cells)
        {
            let known = placed.iter().position(|(other, _)| Arc::ptr_eq(other, windows));
            let known = known.unwrap_or_else(|| {
                placed.push((windows, rows.placed(arranged, windows)));
                placed.len() - 1
            });
            let of = |side: &Option<Side>| {
                side.as_ref().map(|side| evaluated(side, rows.batch)).transpose()
            };
            let (argument, filter) = (of(&feature.argument)?, of(&feature.filter)?);
            let filter = filter.as_ref().map(|filter| filter.as_boolean());
            let rows = placed.get(known).map_or(&[][..], |(_, rows)| rows);
            kept += cells.offer(argument.as_ref(), filter, rows)?;
        }
        match usize::try_from(kept) {
            Ok(more) => self.memory.try_grow(more)?,
            Err(_) => {
                self.memory.shrink(kept.unsigned_abs().min(self.memory.size()));
            }
        }
        Ok(placed.iter().map(|(_, rows)| rows.len()).sum())
    }

    /// Takes over what another stream has gathered.
    pub fn merge(&mut self, other: &Self) -> EngineResult<()> {
        // Values that are merged are copied.
        self.memory.try_grow(other.memory.size().saturating_sub(other.empty_bytes))?;
        self.cells.iter_mut().zip(&other.cells).for_each(|(cells, other)| cells.merge(other));
        Ok(())
    }

    /// The answers of each place, and those of an empty window behind them.
    pub fn answers(&self, arranged: &Arranged) -> EngineResult<Vec<ArrayRef>> {
        // Windows slide over copies of a key's cells.
        let share = |w: &Arc<Windows>| w.largest() as f64 / w.cells().max(1) as f64;
        let share = arranged.windows.iter().map(share).fold(0.0, f64::max);
        let copies = self.memory.new_empty();
        copies.try_grow((self.memory.size() as f64 * share) as usize)?;
        let pairs = self.cells.iter().zip(&arranged.windows);
        pairs.map(|(cells, w)| cells.answers(w, &arranged.labels, &self.memory)).collect()
    }

    /// What is to be held as long as the answers are.
    pub fn into_memory(self) -> MemoryReservation {
        self.memory
    }
}

/// Rows of a batch, and what they go by.
pub(super) struct Rows<'a> {
    pub batch: &'a RecordBatch,
    pub slots: &'a [u32],
    pub times: &'a Int64Array,
    pub created: Option<&'a Int64Array>,
    pub sequence: Option<&'a Int64Array>,
}

impl<'a> Rows<'a> {
    /// Of the columns that the terms name.
    pub fn created_at(&self, row: usize) -> Option<i64> {
        self.created.filter(|created| created.is_valid(row)).map(|created| created.value(row))
    }

    /// The number of a row.
    pub fn number(&self, row: usize) -> i64 {
        self.sequence.map_or(0, |sequence| sequence.value(row))
    }

    fn placed(&self, arranged: &Arranged, windows: &Windows) -> Vec<Placed> {
        let mut placed = Vec::with_capacity(self.slots.len());
        for (row, slot) in self.slots.iter().enumerate() {
            if *slot == NOWHERE || self.times.is_null(row) {
                continue;
            }
            let (ts, created) = (self.times.value(row), self.created_at(row));
            let at = (ts, created, self.number(row));
            windows.place(&arranged.labels, *slot, (ts, created), |cell| {
                placed.push((row, cell, at));
            });
        }
        placed
    }
}

/// The numbers that tell which of several rows was written last.
pub(super) fn sequence(terms: &Terms, batch: &RecordBatch) -> EngineResult<Option<Int64Array>> {
    let Some(side) = &terms.sequence else { return Ok(None) };
    match evaluated(side, batch)?.as_primitive_opt::<Int64Type>() {
        Some(numbers) => Ok(Some(numbers.clone())),
        None => internal_err!("rows are not numbered by bigint"),
    }
}
