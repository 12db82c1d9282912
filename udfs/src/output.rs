//! The answers of a statistic, one struct per group, written field by field in the order they are
//! declared.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder,
    ListArray, ListBuilder, StringBuilder, StructArray, StructBuilder, new_empty_array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::error::Result as EngineResult;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// double precision
    Number,
    /// bigint
    Count,
    /// boolean
    Flag,
    /// text
    Text,
    /// double precision[]
    Numbers,
    /// bigint[]
    Counts,
    /// text[]
    Texts,
    /// bytea
    State,
    /// an array of (item bigint, team text)
    Picks,
    /// an array of rows of this shape
    Rows(fn() -> Shape),
    /// a row of this shape
    Row(fn() -> Shape),
}

impl Type {
    /// The type of the column.
    pub fn arrow(self) -> DataType {
        let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
        match self {
            Self::Number => DataType::Float64,
            Self::Count => DataType::Int64,
            Self::Flag => DataType::Boolean,
            Self::Text => DataType::Utf8,
            Self::Numbers => list(DataType::Float64),
            Self::Counts => list(DataType::Int64),
            Self::Texts => list(DataType::Utf8),
            Self::State => DataType::Binary,
            Self::Picks => list(DataType::Struct(pick_fields())),
            Self::Rows(shape) => list(DataType::Struct(fields(&shape()))),
            Self::Row(shape) => DataType::Struct(fields(&shape())),
        }
    }

    fn builder(self) -> Builder {
        match self {
            Self::Number => Builder::Number(Float64Builder::new()),
            Self::Count => Builder::Count(Int64Builder::new()),
            Self::Flag => Builder::Flag(BooleanBuilder::new()),
            Self::Text => Builder::Text(StringBuilder::new()),
            Self::Numbers => Builder::Numbers(ListBuilder::new(Float64Builder::new())),
            Self::Counts => Builder::Counts(ListBuilder::new(Int64Builder::new())),
            Self::Texts => Builder::Texts(ListBuilder::new(StringBuilder::new())),
            Self::State => Builder::State(BinaryBuilder::new()),
            Self::Picks => {
                Builder::Picks(ListBuilder::new(StructBuilder::from_fields(pick_fields(), 0)))
            }
            Self::Rows(shape) => Builder::Rows { shape, parts: Vec::new() },
            Self::Row(shape) => Builder::Row(Output::new(shape())),
        }
    }
}

/// Names and types of an answer's fields.
pub type Shape = Vec<(&'static str, Type)>;

/// The answer's type: the one type if it has one field without a name, else a struct.
pub fn data_type(shape: &Shape) -> DataType {
    match shape.as_slice() {
        [("", only)] => only.arrow(),
        _ => DataType::Struct(fields(shape)),
    }
}

/// The fields of a struct of this shape.
pub fn fields(shape: &Shape) -> Fields {
    let field =
        |(name, of): &(&str, Type)| -> FieldRef { Arc::new(Field::new(*name, of.arrow(), true)) };
    shape.iter().map(field).collect()
}

enum Builder {
    Number(Float64Builder),
    Count(Int64Builder),
    Flag(BooleanBuilder),
    Text(StringBuilder),
    Numbers(ListBuilder<Float64Builder>),
    Counts(ListBuilder<Int64Builder>),
    Texts(ListBuilder<StringBuilder>),
    State(BinaryBuilder),
    Picks(ListBuilder<StructBuilder>),
    Rows { shape: fn() -> Shape, parts: Vec<EngineResult<ArrayRef>> },
    Row(Output),
}

fn pick_fields() -> Fields {
    let item = Field::new("item", DataType::Int64, true);
    Fields::from(vec![item, Field::new("team", DataType::Utf8, true)])
}

/// Answers being written. A value whose type is not that of the next field becomes NULL; the tests
/// of every function see its fields.
pub struct Output {
    shape: Shape,
    builders: Vec<Builder>,
    next: usize,
}

impl Output {
    /// No answers yet.
    pub fn new(shape: Shape) -> Self {
        let builders = shape.iter().map(|(_, of)| of.builder()).collect();
        Self { shape, builders, next: 0 }
    }

    fn builder(&mut self) -> Option<&mut Builder> {
        let index = self.next;
        self.next = (self.next + 1) % self.builders.len().max(1);
        self.builders.get_mut(index)
    }

    /// The next field is a number.
    pub fn number(&mut self, value: impl Into<Option<f64>>) -> &mut Self {
        if let Some(Builder::Number(builder)) = self.builder() {
            builder.append_option(value.into());
        }
        self
    }

    /// The next field is a count.
    pub fn count(&mut self, value: impl Into<Option<u64>>) -> &mut Self {
        if let Some(Builder::Count(builder)) = self.builder() {
            builder.append_option(value.into().map(|n| i64::try_from(n).unwrap_or(i64::MAX)));
        }
        self
    }

    /// The next field is a boolean.
    pub fn flag(&mut self, value: impl Into<Option<bool>>) -> &mut Self {
        if let Some(Builder::Flag(builder)) = self.builder() {
            builder.append_option(value.into());
        }
        self
    }

    /// The next field is text.
    pub fn text<'a>(&mut self, value: impl Into<Option<&'a str>>) -> &mut Self {
        if let Some(Builder::Text(builder)) = self.builder() {
            builder.append_option(value.into());
        }
        self
    }

    /// The next field is an array of numbers.
    pub fn numbers(&mut self, values: Option<&[f64]>) -> &mut Self {
        if let Some(Builder::Numbers(builder)) = self.builder() {
            values.into_iter().flatten().for_each(|value| builder.values().append_value(*value));
            builder.append(values.is_some());
        }
        self
    }

    /// The next field is an array of counts.
    pub fn counts(&mut self, values: Option<&[u64]>) -> &mut Self {
        if let Some(Builder::Counts(builder)) = self.builder() {
            let counts = values.into_iter().flatten();
            counts.for_each(|n| {
                builder.values().append_value(i64::try_from(*n).unwrap_or(i64::MAX));
            });
            builder.append(values.is_some());
        }
        self
    }

    /// The next field is an array of text.
    pub fn texts(&mut self, values: Option<&[String]>) -> &mut Self {
        if let Some(Builder::Texts(builder)) = self.builder() {
            values.into_iter().flatten().for_each(|text| builder.values().append_value(text));
            builder.append(values.is_some());
        }
        self
    }

    /// The next field is an array of items with their teams.
    pub fn picks(&mut self, picks: Option<&[(i64, &str)]>) -> &mut Self {
        if let Some(Builder::Picks(builder)) = self.builder() {
            for (item, team) in picks.into_iter().flatten() {
                let pick = builder.values();
                if let Some(items) = pick.field_builder::<Int64Builder>(0) {
                    items.append_value(*item);
                }
                if let Some(teams) = pick.field_builder::<StringBuilder>(1) {
                    teams.append_value(team);
                }
                pick.append(true);
            }
            builder.append(picks.is_some());
        }
        self
    }

    /// The next field is an array of rows, given as a column of structs; an error shows in
    /// `finish`.
    pub fn rows(&mut self, rows: EngineResult<ArrayRef>) -> &mut Self {
        if let Some(Builder::Rows { parts, .. }) = self.builder() {
            parts.push(rows);
        }
        self
    }

    /// The next field is a row, whose fields are to be written.
    pub fn row(&mut self, write: impl FnOnce(&mut Self)) -> &mut Self {
        if let Some(Builder::Row(row)) = self.builder() {
            write(row);
        }
        self
    }

    /// The next field is a state.
    pub fn state(&mut self, value: Option<&[u8]>) -> &mut Self {
        if let Some(Builder::State(builder)) = self.builder() {
            builder.append_option(value);
        }
        self
    }

    /// The column of all answers.
    pub fn finish(self) -> EngineResult<ArrayRef> {
        let columns = self.builders.into_iter().map(Builder::finish);
        if let [("", _)] = self.shape.as_slice() {
            let mut columns: Vec<ArrayRef> = columns.collect::<EngineResult<_>>()?;
            return Ok(columns.swap_remove(0));
        }
        let columns = columns.collect::<EngineResult<_>>()?;
        Ok(Arc::new(StructArray::try_new(fields(&self.shape), columns, None)?))
    }
}

impl Builder {
    fn finish(self) -> EngineResult<ArrayRef> {
        Ok(match self {
            Self::Number(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Count(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Flag(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Text(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Numbers(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Counts(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Texts(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::State(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Picks(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Row(row) => return row.finish(),
            Self::Rows { shape, parts } => {
                return rows(&shape(), &parts.into_iter().collect::<EngineResult<Vec<_>>>()?);
            }
        })
    }
}

/// One list per part.
fn rows(shape: &Shape, parts: &[ArrayRef]) -> EngineResult<ArrayRef> {
    let of = DataType::Struct(fields(shape));
    let item = Arc::new(Field::new_list_field(of.clone(), true));
    let offsets = OffsetBuffer::from_lengths(parts.iter().map(|part| part.len()));
    let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
    let values = match parts.is_empty() {
        true => new_empty_array(&of),
        false => concat(&parts)?,
    };
    Ok(Arc::new(ListArray::try_new(item, offsets, values, None)?))
}
