//! The rows that have won, when all their columns have a fixed width: a cell of words for each
//! place, written over whenever the place is won again. Nothing is gathered while rows stream by.
//!
//! ```text
//!   cell   validity │ a │ b │ c │ c      a bit a column, then each value in one word or two
//! ```

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayData, ArrayRef, RecordBatch, make_array};
use datafusion::arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::Result as EngineResult;
use kernels::asof::Keeper;

use super::keep::{handle, place};

/// Cells that are written column by column while they are near at hand.
const TOGETHER: usize = 1024;
/// Bits of a cell's first word.
const MOST_COLUMNS: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Cells {
    columns: Arc<[Column]>,
    stride: usize,
    /// Those of this stream, and those taken over from others.
    arenas: Vec<Vec<u64>>,
    current: Vec<Values>,
    /// What is not written yet.
    won: Vec<Won>,
}

#[derive(Debug)]
struct Column {
    field: FieldRef,
    form: Form,
    /// Where its words are in a cell.
    at: usize,
}

/// How a value is a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Boolean,
    /// Bytes, and whether negative numbers are among them.
    Whole(u8, bool),
    Single,
    Double,
    /// Two words.
    Wide,
}

/// A row of the current batch, and the cell that it has won.
type Won = (usize, usize);

/// A column of the batch whose rows are offered.
#[derive(Debug)]
struct Values {
    nulls: Option<NullBuffer>,
    words: Words,
}

#[derive(Debug)]
enum Words {
    Boolean(BooleanBuffer),
    One(ScalarBuffer<u8>),
    Two(ScalarBuffer<u16>),
    Four(ScalarBuffer<u32>),
    Eight(ScalarBuffer<u64>),
    Sixteen(ScalarBuffer<i128>),
}

impl Form {
    fn of(data_type: &DataType) -> Option<Self> {
        use DataType::*;
        Some(match data_type {
            Boolean => Self::Boolean,
            Int8 => Self::Whole(1, true),
            Int16 => Self::Whole(2, true),
            Int32 | Date32 | Time32(_) => Self::Whole(4, true),
            Int64 | Date64 | Time64(_) | Timestamp(..) | Duration(_) => Self::Whole(8, true),
            UInt8 => Self::Whole(1, false),
            UInt16 => Self::Whole(2, false),
            UInt32 => Self::Whole(4, false),
            UInt64 => Self::Whole(8, false),
            Float32 => Self::Single,
            Float64 => Self::Double,
            Decimal128(..) => Self::Wide,
            _ => return None,
        })
    }

    fn words(self) -> usize {
        if self == Self::Wide { 2 } else { 1 }
    }

    /// A number that orders values as comparing them does.
    fn rank(self, words: &[u64]) -> i128 {
        match self {
            Self::Boolean | Self::Whole(_, false) => i128::from(words[0]),
            Self::Whole(1, true) => i128::from(words[0] as u8 as i8),
            Self::Whole(2, true) => i128::from(words[0] as u16 as i16),
            Self::Whole(4, true) => i128::from(words[0] as u32 as i32),
            Self::Whole(..) => i128::from(words[0] as i64),
            Self::Single => {
                let bits = words[0] as u32 as i32;
                i128::from(bits ^ (((bits >> 31) as u32) >> 1) as i32)
            }
            Self::Double => {
                let bits = words[0] as i64;
                i128::from(bits ^ (((bits >> 63) as u64) >> 1) as i64)
            }
            Self::Wide => (u128::from(words[1]) << 64 | u128::from(words[0])) as i128,
        }
    }
}

impl Values {
    fn of(array: &ArrayRef, form: Form) -> EngineResult<Self> {
        let data = array.to_data();
        let (start, rows) = (data.offset(), data.len());
        let values = || data.buffers()[0].clone();
        let words = match form {
            Form::Boolean => Words::Boolean(BooleanBuffer::new(values(), start, rows)),
            Form::Whole(1, _) => Words::One(ScalarBuffer::new(values(), start, rows)),
            Form::Whole(2, _) => Words::Two(ScalarBuffer::new(values(), start, rows)),
            Form::Whole(4, _) | Form::Single => {
                Words::Four(ScalarBuffer::new(values(), start, rows))
            }
            Form::Whole(..) | Form::Double => {
                Words::Eight(ScalarBuffer::new(values(), start, rows))
            }
            Form::Wide => Words::Sixteen(ScalarBuffer::new(values(), start, rows)),
        };
        Ok(Self { nulls: array.nulls().cloned(), words })
    }

    /// Writes the values of rows into the words of their cells, the first of them at `at`.
    fn write(&self, won: &[Won], at: usize, stride: usize, arena: &mut [u64]) {
        let words = &mut arena[at..];
        match &self.words {
            Words::Boolean(bits) => put(won, words, stride, |row| u64::from(bits.value(row))),
            Words::One(values) => put(won, words, stride, |row| u64::from(values[row])),
            Words::Two(values) => put(won, words, stride, |row| u64::from(values[row])),
            Words::Four(values) => put(won, words, stride, |row| u64::from(values[row])),
            Words::Eight(values) => put(won, words, stride, |row| values[row]),
            Words::Sixteen(values) => {
                put(won, words, stride, |row| values[row] as u128 as u64);
                put(won, &mut words[1..], stride, |row| (values[row] as u128 >> 64) as u64);
            }
        }
    }
}

/// One word of each row's cell; they are `stride` apart.
fn put(won: &[Won], words: &mut [u64], stride: usize, word: impl Fn(usize) -> u64) {
    won.iter().for_each(|(row, cell)| words[cell * stride] = word(*row));
}

impl Cells {
    /// Bytes of a cell for rows of these columns; None: not all have a fixed width.
    pub fn bytes(schema: &Schema) -> Option<usize> {
        let fields = schema.fields();
        let words: Option<Vec<usize>> =
            fields.iter().map(|field| Some(Form::of(field.data_type())?.words())).collect();
        let words = words.filter(|_| fields.len() <= MOST_COLUMNS)?;
        Some((1 + words.iter().sum::<usize>()) * size_of::<u64>())
    }

    /// Of as many places as a state has; None: not all columns have a fixed width.
    pub fn new(schema: &Schema, cells: usize) -> Option<Self> {
        let stride = Self::bytes(schema)? / size_of::<u64>();
        let mut at = 1;
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let form = Form::of(field.data_type())?;
            columns.push(Column { field: Arc::clone(field), form, at });
            at += form.words();
        }
        let arenas = vec![vec![0; cells * stride]];
        let (current, won) = (Vec::new(), Vec::new());
        Some(Self { columns: columns.into(), stride, arenas, current, won })
    }

    /// Begins with the rows of a batch.
    pub fn begin(&mut self, batch: &RecordBatch) -> EngineResult<()> {
        let pairs = batch.columns().iter().zip(self.columns.iter());
        let values = pairs.map(|(array, column)| Values::of(array, column.form));
        self.current = values.collect::<EngineResult<_>>()?;
        Ok(())
    }

    /// Takes over the cells of another; what to add to its handles.
    pub fn append(&mut self, other: Self) -> u64 {
        let offset = handle(self.arenas.len(), 0);
        self.arenas.extend(other.arenas);
        offset
    }

    fn cell(&self, of: u64) -> &[u64] {
        let (arena, cell) = place(of);
        &self.arenas[arena][cell * self.stride..(cell + 1) * self.stride]
    }

    fn compare(&self, a: &[u64], b: &[u64]) -> Ordering {
        let key = |cell: &[u64], index: usize| {
            let column = &self.columns[index];
            let valid = cell[0] >> index & 1 == 1;
            valid.then(|| column.form.rank(&cell[column.at..]))
        };
        let orders = (0..self.columns.len()).map(|index| key(a, index).cmp(&key(b, index)));
        orders.fold(Ordering::Equal, Ordering::then)
    }

    /// Writes rows of the current batch into cells of an arena, column by column: one value does
    /// not wait for the other then.
    fn write(&self, won: &[Won], arena: &mut [u64]) {
        let all = self.columns.len() as u32;
        let valid = 1_u64.checked_shl(all).unwrap_or_default().wrapping_sub(1);
        won.iter().for_each(|(_, cell)| arena[cell * self.stride] = valid);
        for (index, (values, column)) in self.current.iter().zip(self.columns.iter()).enumerate() {
            values.write(won, column.at, self.stride, arena);
            let Some(nulls) = &values.nulls else { continue };
            for (row, cell) in won {
                let word = &mut arena[cell * self.stride];
                *word = *word & !(1 << index) | u64::from(nulls.is_valid(*row)) << index;
            }
        }
    }

    /// Writes what has won, once all rows of a batch are offered.
    pub fn flush(&mut self) {
        if self.won.is_empty() {
            return;
        }
        let (mut won, mut arena) =
            (std::mem::take(&mut self.won), std::mem::take(&mut self.arenas[0]));
        won.chunks(TOGETHER).for_each(|won| self.write(won, &mut arena));
        won.clear();
        (self.won, self.arenas[0]) = (won, arena);
    }

    /// The columns of the rows of handles; NULLs for none.
    pub fn gather(&self, handles: &[Option<u64>]) -> EngineResult<Vec<ArrayRef>> {
        let cells: Vec<Option<&[u64]>> =
            handles.iter().map(|held| held.map(|held| self.cell(held))).collect();
        let column = |(index, column): (usize, &Column)| {
            let word = |at: usize| cells.iter().map(move |cell| cell.map_or(0, |cell| cell[at]));
            let at = column.at;
            let buffer = match column.form {
                Form::Boolean => {
                    word(at).map(|word| word != 0).collect::<BooleanBuffer>().into_inner()
                }
                Form::Whole(1, _) => {
                    Buffer::from_vec(word(at).map(|w| w as u8).collect::<Vec<_>>())
                }
                Form::Whole(2, _) => {
                    Buffer::from_vec(word(at).map(|w| w as u16).collect::<Vec<_>>())
                }
                Form::Whole(4, _) | Form::Single => {
                    Buffer::from_vec(word(at).map(|w| w as u32).collect::<Vec<_>>())
                }
                Form::Whole(..) | Form::Double => Buffer::from_vec(word(at).collect::<Vec<_>>()),
                Form::Wide => {
                    let pairs = word(at).zip(word(at + 1));
                    let wide =
                        pairs.map(|(low, high)| (u128::from(high) << 64 | u128::from(low)) as i128);
                    Buffer::from_vec(wide.collect::<Vec<_>>())
                }
            };
            let is_valid =
                |cell: &Option<&[u64]>| cell.is_some_and(|cell| cell[0] >> index & 1 == 1);
            let nulls = NullBuffer::new(cells.iter().map(is_valid).collect::<BooleanBuffer>());
            let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
            let data = ArrayData::builder(column.field.data_type().clone())
                .len(cells.len())
                .add_buffer(buffer)
                .nulls(nulls)
                .build()?;
            Ok(make_array(data))
        };
        self.columns.iter().enumerate().map(column).collect()
    }
}

impl Keeper for Cells {
    fn is_later(&mut self, row: usize, held: u64) -> bool {
        // What is held may be of this batch.
        self.flush();
        let mut offered = vec![0; self.stride];
        self.write(&[(row, 0)], &mut offered);
        self.compare(&offered, self.cell(held)) == Ordering::Greater
    }

    fn comes_after(&self, held: u64, other: u64) -> bool {
        self.compare(self.cell(held), self.cell(other)) == Ordering::Greater
    }

    fn keep(&mut self, row: usize, cell: usize, _: Option<u64>) -> u64 {
        self.won.push((row, cell));
        handle(0, cell)
    }
}
