//! Rows of a batch as DataRow messages, appended to one buffer.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::record_batch::RecordBatch;

use crate::Error;
use crate::wire::value::{Cells, Zone};
use crate::wire::{binary, text};

/// The columns of a batch, ready to be written row by row.
pub struct Encoder {
    columns: Vec<(Cells, bool)>,
}

impl Encoder {
    /// `formats`: 0 text, 1 binary, one a column; `zone` shows timestamps with time zone.
    pub fn new(batch: &RecordBatch, formats: &[i16], zone: &str) -> Result<Self, Error> {
        let zone = Zone::parse(zone);
        let schema = batch.schema_ref();
        let columns = batch.columns().iter().zip(schema.fields()).zip(formats);
        let columns = columns
            .map(|((array, field), format)| Ok((Cells::new(array, field, zone)?, *format == 1)))
            .collect::<Result<_, Error>>()?;
        Ok(Self { columns })
    }

    /// Appends a row; on an error the buffer is as before.
    pub fn row(&self, row: usize, out: &mut BytesMut) -> Result<(), Error> {
        let start = out.len();
        let written = self.write(row, out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn write(&self, row: usize, out: &mut BytesMut) -> Result<(), Error> {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        out.put_u16(self.columns.len() as u16);
        for (cells, is_binary) in &self.columns {
            if *is_binary {
                binary::sized(out, cells, row)?;
            } else if cells.is_null(row) {
                out.put_i32(-1);
            } else {
                let start = out.len();
                out.put_i32(0);
                text::write(out, cells, row);
                binary::patch(out, start)?;
            }
        }
        // The length of a message counts itself.
        let length = i32::try_from(out.len() - start)
            .map_err(|_| Error::new("54000", "a row is longer than 2 GB"))?;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }
}
