//! Aggregates from their sufficient statistics: a `Statistic` gets both of the engine's
//! accumulators.
//!
//! Between plan stages a state travels as bytes. The state of a group is one value of the
//! `Statistic`, side by side in one vector: no box per group. With few groups the rows of a batch
//! are handed over together, so that a statistic can work on slices; with many, row by row.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray,
};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature,
};

use crate::Error;
use crate::arguments::{Call, Given, field};
use crate::output::{Output, Shape, data_type};

/// Up to this many groups, the rows of a batch are sorted by group first.
const FEW_GROUPS: usize = 64;

/// The sufficient statistics of one group.
pub trait Statistic: Default + Clone + Debug + Send + Sync + 'static {
    /// The constant arguments, understood.
    type Options: Debug + Send + Sync + 'static;
    /// The columns of a batch, of their types.
    type Batch<'a>;

    /// Name, arguments, documentation.
    fn call() -> Call;
    /// The fields of the answer.
    fn shape() -> Shape;
    /// Reads the options; wrong ones fail here.
    fn options(given: &Given) -> EngineResult<Self::Options>;
    /// Looks at the columns of a batch.
    fn batch<'a>(columns: &'a [ArrayRef], options: &Self::Options)
    -> EngineResult<Self::Batch<'a>>;
    /// Takes rows of a batch.
    fn push(&mut self, batch: &Self::Batch<'_>, rows: &[u32]);
    /// Adds the rows of another state.
    fn merge(&mut self, other: Self);
    /// The state as bytes.
    fn encode(&self, bytes: &mut Vec<u8>);
    /// Reads what `encode` wrote.
    fn decode(bytes: &[u8]) -> Option<Self>;
    /// Bytes held outside the value itself.
    fn heap(&self) -> usize {
        0
    }
    /// Writes the answer's fields.
    fn finish(&self, options: &Self::Options, output: &mut Output);
}

/// The function of a statistic.
pub fn aggregate<S: Statistic>() -> crate::Function {
    let call = Arc::new(S::call());
    let signature = call.signature();
    let kind = std::marker::PhantomData::<fn() -> S>;
    let function = Function { call: Arc::clone(&call), signature, kind };
    let engine = crate::Engine::Aggregate(AggregateUDF::from(function));
    crate::Function { call, engine, answer: data_type(&S::shape()) }
}

struct Function<S> {
    call: Arc<Call>,
    signature: Signature,
    kind: std::marker::PhantomData<fn() -> S>,
}

impl<S> Debug for Function<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.call.name)
    }
}

impl<S> PartialEq for Function<S> {
    fn eq(&self, other: &Self) -> bool {
        self.call.name == other.call.name
    }
}

impl<S> Eq for Function<S> {}

impl<S> Hash for Function<S> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.call.name.hash(state);
    }
}

impl<S: Statistic> Function<S> {
    fn groups(&self, arguments: &AccumulatorArgs) -> EngineResult<Groups<S>> {
        if arguments.is_distinct {
            return Err(Error::Distinct { function: self.call.name }.into());
        }
        let options = Arc::new(S::options(&self.call.given(arguments.exprs))?);
        Ok(Groups { options, states: Vec::new(), heap: 0 })
    }
}

impl<S: Statistic> AggregateUDFImpl for Function<S> {
    fn name(&self) -> &str {
        self.call.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(data_type(&S::shape()))
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        Ok(self.call.coerce(given)?)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> EngineResult<Vec<FieldRef>> {
        Ok(vec![field(&format_state_name(arguments.name, "state"), DataType::Binary)])
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> EngineResult<Box<dyn Accumulator>> {
        let mut groups = self.groups(&arguments)?;
        groups.states.push(S::default());
        Ok(Box::new(Single(groups)))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        arguments: AccumulatorArgs,
    ) -> EngineResult<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups(&arguments)?))
    }
}

struct Groups<S: Statistic> {
    options: Arc<S::Options>,
    states: Vec<S>,
    /// Bytes that the states hold outside the vector.
    heap: usize,
}

impl<S: Statistic> Groups<S> {
    fn taken(&mut self, emit_to: EmitTo) -> Vec<S> {
        let taken = emit_to.take_needed(&mut self.states);
        self.heap -= taken.iter().map(S::heap).sum::<usize>().min(self.heap);
        taken
    }

    /// Lets `act` change a state and keeps account of its memory.
    fn change(&mut self, group: usize, act: impl FnOnce(&mut S)) {
        let state = &mut self.states[group];
        let before = state.heap();
        act(state);
        self.heap = (self.heap + state.heap()).saturating_sub(before);
    }

    fn push_sorted(&mut self, batch: &S::Batch<'_>, rows: impl Iterator<Item = (usize, u32)>) {
        let mut sorted = vec![Vec::new(); self.states.len()];
        rows.for_each(|(group, row)| sorted[group].push(row));
        for (group, rows) in sorted.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            self.change(group, |state| state.push(batch, rows));
        }
    }

    fn answers(&self, states: &[S]) -> EngineResult<ArrayRef> {
        let mut output = Output::new(S::shape());
        states.iter().for_each(|state| state.finish(&self.options, &mut output));
        output.finish()
    }

    fn encoded(states: &[S]) -> ArrayRef {
        let mut builder = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for state in states {
            bytes.clear();
            state.encode(&mut bytes);
            builder.append_value(&bytes);
        }
        Arc::new(builder.finish())
    }

    fn merge_one(&mut self, group: usize, states: &BinaryArray, row: usize) -> EngineResult<()> {
        if states.is_null(row) {
            return Ok(());
        }
        let other = S::decode(states.value(row))
            .ok_or_else(|| Error::InvalidState { function: S::call().name })?;
        self.change(group, |state| state.merge(other));
        Ok(())
    }
}

impl<S: Statistic> GroupsAccumulator for Groups<S> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> EngineResult<()> {
        self.states.resize_with(total, S::default);
        let options = Arc::clone(&self.options);
        let batch = S::batch(values, &options)?;
        let passes = |row: usize| filter.is_none_or(|f| f.is_valid(row) && f.value(row));
        let rows = (0u32..).zip(groups).filter(|(row, _)| passes(*row as usize));
        let rows = rows.map(|(row, group)| (*group, row));
        if total <= FEW_GROUPS {
            self.push_sorted(&batch, rows);
        } else {
            rows.for_each(|(group, row)| self.change(group, |state| state.push(&batch, &[row])));
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> EngineResult<ArrayRef> {
        let taken = self.taken(emit_to);
        self.answers(&taken)
    }

    fn state(&mut self, emit_to: EmitTo) -> EngineResult<Vec<ArrayRef>> {
        let taken = self.taken(emit_to);
        Ok(vec![Self::encoded(&taken)])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        total: usize,
    ) -> EngineResult<()> {
        self.states.resize_with(total, S::default);
        let states = values[0].as_binary::<i32>();
        for (row, group) in groups.iter().enumerate() {
            self.merge_one(*group, states, row)?;
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> EngineResult<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |column| column.len());
        let options = Arc::clone(&self.options);
        let mut each = Self { options, states: Vec::new(), heap: 0 };
        each.update_batch(values, &(0..rows).collect::<Vec<_>>(), filter, rows)?;
        Ok(vec![Self::encoded(&each.states)])
    }

    fn size(&self) -> usize {
        self.states.capacity() * size_of::<S>() + self.heap
    }
}

/// The accumulator of a single group: windows, and plans without groups.
struct Single<S: Statistic>(Groups<S>);

impl<S: Statistic> Debug for Single<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Single").field(&self.0.states).finish()
    }
}

impl<S: Statistic> Accumulator for Single<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> EngineResult<()> {
        let rows = values.first().map_or(0, |column| column.len());
        self.0.update_batch(values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> EngineResult<ScalarValue> {
        ScalarValue::try_from_array(&self.0.answers(&self.0.states)?, 0)
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> EngineResult<Vec<ScalarValue>> {
        let states = Groups::encoded(&self.0.states);
        Ok(vec![ScalarValue::try_from_array(&states, 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> EngineResult<()> {
        let rows = states.first().map_or(0, |column| column.len());
        self.0.merge_batch(states, &vec![0; rows], 1)
    }
}
