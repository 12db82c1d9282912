//! Values in Arrow's row form on their way into an array.

use datafusion::arrow::array::{Array, ArrayRef, new_empty_array, new_null_array};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::RowConverter;
use datafusion::common::Result as EngineResult;
use datafusion::execution::memory_pool::MemoryReservation;

/// A value in Arrow's row form.
pub(super) type Value = Box<[u8]>;

/// Values that are put together at once.
const CHUNK: usize = 8192;

/// Values on their way into an array, a chunk at a time.
pub(super) struct Values<'a> {
    converter: &'a RowConverter,
    of: &'a DataType,
    memory: &'a MemoryReservation,
    null: Value,
    waiting: Vec<Value>,
    done: Vec<ArrayRef>,
}

impl<'a> Values<'a> {
    /// Of a type, which is the converter's.
    pub fn new(
        converter: &'a RowConverter,
        of: &'a DataType,
        memory: &'a MemoryReservation,
    ) -> EngineResult<Self> {
        let null = converter.convert_columns(&[new_null_array(of, 1)])?;
        let null = null.row(0).data().into();
        Ok(Self { converter, of, memory, null, waiting: Vec::new(), done: Vec::new() })
    }

    /// Adds one, None: NULL.
    pub fn push(&mut self, value: Option<Value>) -> EngineResult<()> {
        self.waiting.push(value.unwrap_or_else(|| self.null.clone()));
        if self.waiting.len() < CHUNK { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> EngineResult<()> {
        let parser = self.converter.parser();
        let rows = self.waiting.iter().map(|value| parser.parse(value));
        let array = self.converter.convert_rows(rows)?.swap_remove(0);
        // Once here, once when all are put together.
        self.memory.try_grow(2 * array.get_array_memory_size())?;
        self.done.push(array);
        self.waiting.clear();
        Ok(())
    }

    /// All of them.
    pub fn finish(mut self) -> EngineResult<ArrayRef> {
        if !self.waiting.is_empty() {
            self.flush()?;
        }
        let arrays: Vec<&dyn Array> = self.done.iter().map(AsRef::as_ref).collect();
        match arrays.is_empty() {
            true => Ok(new_empty_array(self.of)),
            false => Ok(concat(&arrays)?),
        }
    }
}
