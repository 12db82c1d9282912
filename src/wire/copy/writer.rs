//! Rows as COPY's bytes: text, CSV or binary, one row at a time into a buffer.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use sql::copy::{Columns, Format, Header, Options};
use sql::pg_type::shown_name;

use super::{binary, csv, text};
use crate::Error;
use crate::wire::value::{Cells, Zone};
use crate::wire::{binary as cell, text as plain};

/// See the module.
pub struct RowWriter {
    options: Options,
    schema: SchemaRef,
    /// Columns that FORCE_QUOTE names.
    quoted: Vec<bool>,
    zone: Zone,
}

impl RowWriter {
    /// A writer of a query's rows; timestamps are shown in a time zone.
    pub fn new(options: Options, schema: SchemaRef, zone: &str) -> Self {
        let quoted = |name: &String| match &options.force_quote {
            Columns::All => true,
            Columns::Named(names) => names.contains(name),
        };
        let quoted = schema.fields().iter().map(|field| quoted(field.name())).collect();
        Self { options, schema, quoted, zone: Zone::parse(zone) }
    }

    /// Whether the format is binary.
    pub fn is_binary(&self) -> bool {
        self.options.format == Format::Binary
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.schema.fields().len()
    }

    /// What goes before the rows: binary's header.
    pub fn start(&self, out: &mut BytesMut) {
        if self.is_binary() {
            binary::write_header(out);
        }
    }

    /// The line of the columns' names; false: there is none.
    pub fn header(&self, out: &mut BytesMut) -> bool {
        if self.options.header == Header::None || self.is_binary() {
            return false;
        }
        for (index, field) in self.schema.fields().iter().enumerate() {
            let from = self.separated(out, index);
            out.put_slice(shown_name(field.name()).as_bytes());
            self.guarded(out, from, false);
        }
        out.put_u8(b'\n');
        true
    }

    /// A batch's columns, ready to be written.
    pub fn columns(&self, batch: &RecordBatch) -> Result<Vec<Cells>, Error> {
        let fields = batch.schema_ref().fields().iter();
        let columns = batch.columns().iter().zip(fields);
        columns.map(|(array, field)| Cells::new(array, field, self.zone)).collect()
    }

    /// A row.
    pub fn row(&self, columns: &[Cells], row: usize, out: &mut BytesMut) -> Result<(), Error> {
        if self.is_binary() {
            out.put_i16(i16::try_from(columns.len()).unwrap_or(i16::MAX));
            return columns.iter().try_for_each(|cells| cell::sized(out, cells, row));
        }
        for (index, cells) in columns.iter().enumerate() {
            let from = self.separated(out, index);
            if cells.is_null(row) {
                out.put_slice(self.options.null.as_bytes());
            } else {
                plain::write(out, cells, row);
                self.guarded(out, from, self.quoted.get(index).copied().unwrap_or(false));
            }
        }
        out.put_u8(b'\n');
        Ok(())
    }

    /// What goes after the rows: binary's end mark.
    pub fn end(&self, out: &mut BytesMut) {
        if self.is_binary() {
            binary::write_end(out);
        }
    }

    fn separated(&self, out: &mut BytesMut, index: usize) -> usize {
        if index > 0 {
            out.put_u8(self.options.delimiter);
        }
        out.len()
    }

    /// Guards what was written from `from` on against being misread.
    fn guarded(&self, out: &mut BytesMut, from: usize, always: bool) {
        match self.options.format {
            Format::Csv => csv::quote(out, from, &self.options, always, self.width() == 1),
            _ => text::escape(out, from, self.options.delimiter),
        }
    }
}
