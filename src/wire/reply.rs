//! Messages to the client, written into one buffer.

use bytes::{BufMut, BytesMut};

use crate::Error;
use crate::session::{Notice, TransactionStatus};
use datafusion::arrow::datatypes::Schema;
use sql::pg_type::{PgType, shown_name};
use sql::plan::Origin;

/// Writes a message: kind, length, what `body` writes.
pub fn message(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind);
    let start = out.len();
    out.put_i32(0);
    body(out);
    let length = i32::try_from(out.len() - start).unwrap_or(i32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// A zero-terminated string; a zero inside ends it early.
pub fn text(out: &mut BytesMut, text: &str) {
    out.put_slice(text.split('\0').next().unwrap_or_default().as_bytes());
    out.put_u8(0);
}

/// A message without a body: ParseComplete `1`, BindComplete `2`, NoData `n` and the like.
pub fn bare(out: &mut BytesMut, kind: u8) {
    message(out, kind, |_| {});
}

/// CommandComplete.
pub fn complete(out: &mut BytesMut, tag: &str) {
    message(out, b'C', |out| text(out, tag));
}

/// ReadyForQuery.
pub fn ready(out: &mut BytesMut, status: TransactionStatus) {
    let status = match status {
        TransactionStatus::Idle => b'I',
        TransactionStatus::InBlock => b'T',
        TransactionStatus::Failed => b'E',
    };
    message(out, b'Z', |out| out.put_u8(status));
}

/// ParameterStatus.
pub fn parameter(out: &mut BytesMut, name: &str, value: &str) {
    message(out, b'S', |out| {
        text(out, name);
        text(out, value);
    });
}

/// ErrorResponse; `severity` is ERROR, or FATAL when the connection ends.
pub fn error(out: &mut BytesMut, severity: &str, error: &Error) {
    let object = error.object.as_deref();
    message(out, b'E', |out| {
        let fields = [
            (b'S', Some(severity)),
            (b'V', Some(severity)),
            (b'C', Some(error.sqlstate)),
            (b'M', Some(error.message())),
            (b'D', error.detail()),
            (b'H', error.hint()),
            (b'W', error.context()),
            (b's', object.map(|o| o.schema.as_str())),
            (b't', object.map(|o| o.table.as_str())),
            (b'c', object.and_then(|o| o.column.as_deref())),
            (b'n', object.and_then(|o| o.constraint.as_deref())),
            (b'R', error.routine),
        ];
        put_fields(out, &fields);
        if let Some(position) = error.position() {
            out.put_u8(b'P');
            text(out, &position.to_string());
        }
        out.put_u8(0);
    });
}

/// NoticeResponse.
pub fn notice(out: &mut BytesMut, notice: &Notice) {
    message(out, b'N', |out| {
        let fields = [
            (b'S', Some(notice.severity)),
            (b'V', Some(notice.severity)),
            (b'C', Some(notice.code)),
            (b'M', Some(notice.message.as_str())),
            (b'D', notice.detail.as_deref()),
            (b'H', notice.hint.as_deref()),
        ];
        put_fields(out, &fields);
        out.put_u8(0);
    });
}

fn put_fields(out: &mut BytesMut, fields: &[(u8, Option<&str>)]) {
    for (code, value) in fields {
        if let Some(value) = value {
            out.put_u8(*code);
            text(out, value);
        }
    }
}

/// RowDescription; `formats` are the resolved formats, one a column; of `origins` there may be
/// none.
pub fn columns(out: &mut BytesMut, schema: &Schema, formats: &[i16], origins: &[Option<Origin>]) {
    message(out, b'T', |out| {
        out.put_u16(u16::try_from(schema.fields().len()).unwrap_or(u16::MAX));
        for (place, (field, format)) in schema.fields().iter().zip(formats).enumerate() {
            let of = PgType::of(field);
            let origin = origins.get(place).copied().flatten();
            text(out, shown_name(field.name()));
            out.put_u32(origin.map_or(0, |origin| origin.table));
            out.put_i16(origin.map_or(0, |origin| origin.column));
            out.put_u32(of.oid);
            out.put_i16(of.size);
            out.put_i32(of.modifier);
            out.put_i16(*format);
        }
    });
}

/// CopyInResponse `G` or CopyOutResponse `H`: all columns are of one format.
pub fn copy(out: &mut BytesMut, kind: u8, binary: bool, columns: usize) {
    message(out, kind, |out| {
        out.put_u8(u8::from(binary));
        let columns = u16::try_from(columns).unwrap_or(u16::MAX);
        out.put_u16(columns);
        (0..columns).for_each(|_| out.put_u16(u16::from(binary)));
    });
}

/// ParameterDescription.
pub fn parameters(out: &mut BytesMut, oids: &[u32]) {
    message(out, b't', |out| {
        out.put_u16(u16::try_from(oids.len()).unwrap_or(u16::MAX));
        for oid in oids {
            out.put_u32(*oid);
        }
    });
}
