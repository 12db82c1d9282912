//! Features over windows at label time: what all rows of a window tell, beside the row taken.
//!
//! For each label, what a window of the rows of its key tells: `(t - width, t]`, or
//! `[t - width, t)` when the current instant is left out. It is evaluated at the label's time, not
//! as of the last row; what the join asks of the rows that it takes (delay, age, being known) it
//! asks of those in windows too.

use std::fmt;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef};
use datafusion::common::{DFSchema, Result as EngineResult, internal_err};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::{Expr, ExprSchemable};
use kernels::asof::{Cursor, Direction, Frame, Instant, Labels, NOWHERE, Rule, Windows};

use super::direct::Kept;
use super::exec::{Side, Terms};
use super::gather::{Cells, Columns, Gathered, Placed, Told};
use super::join::{Arranged, evaluated};
use super::times;
use super::tolerance::Tolerance;
use crate::error::Error;
use crate::features::duration_text;

/// So many rows are kept of a frame, or so many for each place, before they are put into states:
/// about what the states would take.
const MOST_ROWS: usize = if cfg!(test) { 8 } else { 1 << 16 };
const PLACE_ROWS: usize = 4;

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

    /// The argument and the filter over a batch.
    fn columns(&self, batch: &RecordBatch) -> EngineResult<Columns> {
        let of = |side: &Option<Side>| side.as_ref().map(|side| evaluated(side, batch)).transpose();
        let filter = of(&self.filter)?.map(|filter| filter.as_boolean().clone());
        Ok(Columns { argument: of(&self.argument)?, filter })
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

/// Features of one frame, and their windows once states are gathered.
#[derive(Debug)]
pub(super) struct Group {
    frame: Frame,
    /// By their numbers.
    features: Vec<usize>,
    windows: OnceLock<Windows>,
}

impl Group {
    fn windows(&self, labels: &Labels) -> &Windows {
        self.windows.get_or_init(|| Windows::new(labels, self.frame))
    }
}

/// The features by frame.
pub(super) fn groups(features: &[Feature]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, feature) in features.iter().enumerate() {
        match groups.iter_mut().find(|group| group.frame == feature.frame) {
            Some(group) => group.features.push(index),
            None => groups.push(Group {
                frame: feature.frame,
                features: vec![index],
                windows: OnceLock::new(),
            }),
        }
    }
    groups
}

/// Bytes that windows of so many frames, and the states of one stream of rows, may need, about;
/// `value`: those of a value of unknown length.
pub(super) fn bytes(
    features: &[Feature],
    frames: usize,
    labels: &Labels,
    rows: &Schema,
    value: usize,
) -> EngineResult<(usize, usize)> {
    let (places, mut bytes) = (labels.place_count(), 0_usize);
    for feature in features {
        let of = feature.of(rows)?;
        let value = of.data_type().primitive_width().unwrap_or(value);
        let state = feature.function.cells(&of, 0)?.state_bytes();
        let cell = state + feature.function.value_bytes(value);
        bytes = bytes.saturating_add((2 * places).saturating_mul(cell));
    }
    Ok((frames * places * Windows::BYTES, bytes))
}

/// What the rows of a stream have told of the windows.
pub(super) struct States {
    terms: Arc<Terms>,
    arranged: Arc<Arranged>,
    held: Held,
    schema: SchemaRef,
    memory: MemoryReservation,
}

enum Held {
    /// The rows themselves, frame by frame, while they are few.
    Rows(Vec<Kept>),
    /// States of cells, feature by feature, and the bytes that they take without values.
    Cells(Vec<Cells>, usize),
}

impl States {
    /// Of no rows of a schema.
    pub fn new(
        terms: &Arc<Terms>,
        arranged: &Arc<Arranged>,
        schema: SchemaRef,
        memory: MemoryReservation,
    ) -> EngineResult<Self> {
        let held = Held::Rows(arranged.groups.iter().map(|_| Kept::default()).collect());
        let (terms, arranged) = (Arc::clone(terms), Arc::clone(arranged));
        let mut states = Self { terms, arranged, held, schema, memory };
        // Rows that are to be known are in windows that are no runs of them.
        if states.arranged.groups.iter().any(|group| group.frame.known) {
            states.gather()?;
        }
        Ok(states)
    }

    /// Takes the rows of a batch; how many are in a window, once for each frame.
    pub fn offer(&mut self, rows: &Rows<'_>) -> EngineResult<usize> {
        let (mut count, mut many) = (0, false);
        let arranged = Arc::clone(&self.arranged);
        let most = MOST_ROWS.max(PLACE_ROWS * arranged.labels.place_count());
        for (index, group) in arranged.groups.iter().enumerate() {
            let features = group.features.iter().map(|feature| &self.terms.features[*feature]);
            let columns = features.map(|feature| feature.columns(rows.batch));
            let columns = columns.collect::<EngineResult<Vec<_>>>()?;
            match &mut self.held {
                Held::Rows(kept) => {
                    let covered = rows.covered(&arranged.labels, &group.frame);
                    count += covered.len();
                    self.memory.try_grow(kept[index].push(rows, covered, &columns)?)?;
                    many |= kept[index].rows() > most;
                }
                Held::Cells(cells, _) => {
                    let placed = rows.placed(&arranged.labels, group);
                    count += placed.len();
                    for (feature, columns) in group.features.iter().zip(&columns) {
                        grow(&self.memory, cells[*feature].offer(columns, &placed)?)?;
                    }
                }
            }
        }
        if many {
            self.gather()?;
        }
        Ok(count)
    }

    /// Puts the rows that are kept into states.
    fn gather(&mut self) -> EngineResult<()> {
        let Held::Rows(kept) = &mut self.held else { return Ok(()) };
        let (kept, labels) = (std::mem::take(kept), &self.arranged.labels);
        let of_rows = self.memory.split(self.memory.size());
        let mut cells = Vec::with_capacity(self.terms.features.len());
        for (index, feature) in self.terms.features.iter().enumerate() {
            let of = feature.of(&self.schema)?;
            let group = self.arranged.groups.iter().find(|group| group.features.contains(&index));
            let count = group.map_or(0, |group| group.windows(labels).cells());
            let state_bytes = feature.function.cells(&of, 0)?.state_bytes();
            self.memory.try_grow(state_bytes * count)?;
            cells.push(feature.function.cells(&of, count)?);
        }
        let empty_bytes = self.memory.size();
        for (group, kept) in self.arranged.groups.iter().zip(kept) {
            for chunk in kept.chunks() {
                let rows = 0..chunk.slots.len() as u32;
                let placed = placed(rows, (&chunk.slots, &chunk.instants), labels, group);
                for (feature, columns) in group.features.iter().zip(&chunk.columns) {
                    grow(&self.memory, cells[*feature].offer(columns, &placed)?)?;
                }
            }
        }
        drop(of_rows);
        self.held = Held::Cells(cells, empty_bytes);
        Ok(())
    }

    /// Takes over what another stream has.
    pub fn merge(&mut self, mut other: Self) -> EngineResult<()> {
        if let (Held::Rows(kept), Held::Rows(others)) = (&mut self.held, &mut other.held) {
            kept.iter_mut().zip(others).for_each(|(kept, other)| kept.append(other));
            self.memory.grow(other.memory.size());
            return Ok(());
        }
        self.gather()?;
        other.gather()?;
        if let (Held::Cells(cells, _), Held::Cells(others, empty)) = (&mut self.held, &other.held) {
            // Values that are merged are copied.
            self.memory.try_grow(other.memory.size().saturating_sub(*empty))?;
            cells.iter_mut().zip(others).for_each(|(cells, other)| cells.merge(other));
        }
        Ok(())
    }

    /// The answers of each place, and those of an empty window behind them, feature by feature.
    pub fn answers(&mut self, threads: usize) -> EngineResult<Vec<ArrayRef>> {
        if let Held::Rows(kept) = &self.held
            && let Some(answers) = self.direct(kept, threads)?
        {
            // The rows are not needed any more.
            self.held = Held::Rows(Vec::new());
            let bytes = answers.iter().map(|answers| answers.get_array_memory_size()).sum();
            self.memory.try_resize(bytes)?;
            return Ok(answers);
        }
        self.gather()?;
        let Held::Cells(cells, _) = &self.held else { return internal_err!("rows are kept") };
        let (labels, mut answers) = (&self.arranged.labels, vec![None; cells.len()]);
        for group in &self.arranged.groups {
            let windows = group.windows(labels);
            // Windows slide over copies of a key's cells.
            let share = windows.largest() as f64 / windows.cells().max(1) as f64;
            let copies = self.memory.new_empty();
            copies.try_grow((self.memory.size() as f64 * share) as usize)?;
            for feature in &group.features {
                answers[*feature] = Some(cells[*feature].answers(windows, labels, &self.memory)?);
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// The same from the rows themselves; None if that is too much.
    fn direct(&self, kept: &[Kept], threads: usize) -> EngineResult<Option<Vec<ArrayRef>>> {
        let mut answers = vec![None; self.terms.features.len()];
        for (group, kept) in self.arranged.groups.iter().zip(kept) {
            let of = group.features.iter().map(|feature| {
                let feature = &self.terms.features[*feature];
                Ok((feature, Told::new(feature.function, feature.of(&self.schema)?.as_ref())?))
            });
            let of = of.collect::<EngineResult<Vec<_>>>()?;
            let Some(found) = kept.answers(&of, &self.arranged.labels, &self.memory, threads)?
            else {
                return Ok(None);
            };
            group.features.iter().zip(found).for_each(|(f, of)| answers[*f] = Some(of));
        }
        Ok(Some(answers.into_iter().flatten().collect()))
    }

    /// What is to be held as long as the answers are.
    pub fn into_memory(self) -> MemoryReservation {
        self.memory
    }
}

fn grow(memory: &MemoryReservation, bytes: isize) -> EngineResult<()> {
    match usize::try_from(bytes) {
        Ok(more) => memory.try_grow(more),
        Err(_) => {
            memory.shrink(bytes.unsigned_abs().min(memory.size()));
            Ok(())
        }
    }
}

/// Rows of a batch, and what they go by.
pub(super) struct Rows<'a> {
    pub batch: &'a RecordBatch,
    pub slots: &'a [u32],
    /// Those that have a slot by slot; None: they come by key.
    pub order: Option<&'a [u32]>,
    pub instants: &'a Instants,
}

impl Rows<'_> {
    /// The rows, those of a key together.
    fn ordered(&self) -> Vec<u32> {
        match self.order {
            Some(order) => order.to_vec(),
            None => (0..self.slots.len() as u32).collect(),
        }
    }

    /// The rows that are in a window of a frame.
    fn covered(&self, labels: &Labels, frame: &Frame) -> Vec<u32> {
        let (mut cursor, times) = (Cursor::default(), &self.instants.times);
        let mut rows = self.ordered();
        rows.retain(|row| {
            let row = *row as usize;
            self.slots[row] != NOWHERE
                && times.is_valid(row)
                && frame.covers(labels, &mut cursor, self.slots[row], times.value(row))
        });
        rows
    }

    /// The cells of all rows.
    fn placed(&self, labels: &Labels, group: &Group) -> Vec<Placed> {
        placed(self.ordered().into_iter(), (self.slots, self.instants), labels, group)
    }
}

/// The cells of rows with slots and instants.
fn placed(
    rows: impl Iterator<Item = u32>,
    (slots, instants): (&[u32], &Instants),
    labels: &Labels,
    group: &Group,
) -> Vec<Placed> {
    let windows = group.windows(labels);
    let mut placed = Vec::with_capacity(slots.len());
    for row in rows.map(|row| row as usize) {
        if slots[row] != NOWHERE && instants.times.is_valid(row) {
            let at = instants.at(row);
            windows.place(labels, slots[row], (at.0, at.1), |cell| placed.push((row, cell, at)));
        }
    }
    placed
}

/// What rows go by.
#[derive(Debug)]
pub(super) struct Instants {
    pub times: Int64Array,
    pub created: Option<Int64Array>,
    pub sequence: Option<Int64Array>,
}

impl Instants {
    /// About as many as they take.
    pub fn bytes(&self) -> usize {
        let more = self.created.iter().chain(&self.sequence);
        more.chain([&self.times]).map(|array| array.get_array_memory_size()).sum()
    }

    pub fn at(&self, row: usize) -> Instant {
        let created = self.created.as_ref().filter(|created| created.is_valid(row));
        let created = created.map(|created| created.value(row));
        let number = self.sequence.as_ref().map_or(0, |sequence| sequence.value(row));
        (self.times.value(row), created, number)
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
