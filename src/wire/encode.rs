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

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::*;
    use datafusion::arrow::datatypes::{DataType, Field, Int32Type, IntervalMonthDayNano, Schema};
    use std::sync::Arc;

    /// The one column's cell of the first row, as sent.
    fn cell(array: ArrayRef, tag: Option<&str>, format: i16) -> Vec<u8> {
        let mut field = Field::new("c", array.data_type().clone(), true);
        if let Some(tag) = tag {
            let entry = (catalog::TYPE_KEY.to_owned(), tag.to_owned());
            field = field.with_metadata([entry].into());
        }
        let schema = Arc::new(Schema::new(vec![field]));
        let batch = RecordBatch::try_new(schema, vec![array]).unwrap();
        let mut out = BytesMut::new();
        Encoder::new(&batch, &[format], "UTC")
            .unwrap()
            .row(0, &mut out)
            .unwrap();
        let length = i32::from_be_bytes(out[1..5].try_into().unwrap());
        assert_eq!(length as usize + 1, out.len());
        out[11..].to_vec()
    }

    fn text(array: ArrayRef) -> String {
        String::from_utf8(cell(array, None, 0)).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn list_of(texts: &[Option<&str>]) -> ArrayRef {
        let mut builder = ListBuilder::new(StringBuilder::new());
        builder.append_value(texts.iter().copied());
        Arc::new(builder.finish())
    }

    // Expected: PostgreSQL 15, SELECT array['a"b', 'c\\d', '', NULL, 'NULL', 'x y'] and
    // SELECT ROW(1, 'a b', NULL, 'x"y\\z', '')::text.
    #[test]
    fn arrays_and_records_are_quoted_as_postgres_does() {
        let texts = [
            Some("a\"b"),
            Some("c\\d"),
            Some(""),
            None,
            Some("NULL"),
            Some("x y"),
        ];
        let expected = r#"{"a\"b","c\\d","",NULL,"NULL","x y"}"#;
        assert_eq!(text(list_of(&texts)), expected);
        let strings = |value: Option<&str>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("f1", Arc::new(Int32Array::from(vec![1]))),
            ("f2", strings(Some("a b"))),
            ("f3", strings(None)),
            ("f4", strings(Some("x\"y\\z"))),
            ("f5", strings(Some(""))),
        ];
        let record = StructArray::try_from(columns).unwrap();
        assert_eq!(text(Arc::new(record)), r#"(1,"a b",,"x""y\\z","")"#);
    }

    // Expected: encode(array_send(array[1, NULL, 3]), 'hex') and
    // encode(interval_send('1 mon 2 days 3 sec'), 'hex') of PostgreSQL 15.
    #[test]
    fn binary_forms() {
        let values = vec![Some(vec![Some(1), None, Some(3)])];
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(values);
        let expected = "00000001000000010000001700000003000000010000000400000001\
                        ffffffff0000000400000003";
        assert_eq!(hex(&cell(Arc::new(list), None, 1)), expected);
        let interval = IntervalMonthDayNano::new(1, 2, 3_000_000_000);
        let interval = IntervalMonthDayNanoArray::from(vec![interval]);
        let interval = cell(Arc::new(interval), None, 1);
        assert_eq!(hex(&interval), "00000000002dc6c00000000200000001");
        let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        let uuid = cell(Arc::new(StringArray::from(vec![uuid])), Some("uuid"), 1);
        assert_eq!(hex(&uuid), "a0eebc999c0b4ef8bb6d6bb9bd380a11");
        let jsonb = cell(Arc::new(StringArray::from(vec!["{}"])), Some("jsonb"), 1);
        assert_eq!(jsonb, b"\x01{}");
    }

    #[test]
    fn vectors_and_rare_types() {
        let mut vector = FixedSizeListBuilder::new(Float32Builder::new(), 3);
        vector.values().append_slice(&[1.0, 2.5, -3.0]);
        vector.append(true);
        assert_eq!(text(Arc::new(vector.finish())), "[1,2.5,-3]");
        assert_eq!(
            text(Arc::new(UInt64Array::from(vec![u64::MAX]))),
            "18446744073709551615"
        );
        let dictionary: DictionaryArray<Int32Type> = ["a b"].into_iter().collect();
        assert_eq!(text(Arc::new(dictionary)), "a b");
        assert_eq!(
            text(Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))),
            "\\x00ff"
        );
        let null = cell(new_null_array(&DataType::Null, 1), None, 0);
        assert!(null.is_empty());
    }
}
