//! COPY's text form: cells between delimiters, `\N` for NULL, escapes for what would be misread.
//!
//! ```text
//!   \b \f \n \r \t \v   \ooo   \xhh   any other character after a backslash is itself
//! ```
//! A line of `\.` ends the data.

use bytes::{BufMut, BytesMut};
use memchr::{memchr, memchr2};
use sql::copy::{Header, Options};

use super::columns::Builder;
use super::lines::{Newline, Piece, text_rows};
use super::reader::{Failure, Read, RowReader, Wrong};
use super::{check_header, checked};
use crate::Error;

/// The line that ends the data.
pub const END: &[u8] = b"\\.";

/// Reads the rows of a piece.
pub fn read(piece: &Piece, by: &RowReader, out: &mut [Builder], read: &mut Read) -> Failure {
    let options = &by.options;
    let returns = memchr(b'\r', &piece.bytes).is_some();
    let mut header = piece.first && options.header != Header::None;
    for row in text_rows(&piece.bytes, piece.newline) {
        read.begin(read.lines + 1);
        let row = match returns || piece.newline == Newline::CrLf {
            true => without_return(row, piece.newline)?,
            false => row,
        };
        if row == END {
            read.ended = true;
            return Ok(());
        }
        let text = checked(row)?;
        if std::mem::take(&mut header) {
            if options.header == Header::Match {
                let names = cells(text, options).map(|cell| cell.map(Cell::name));
                check_header(names.collect(), by).map_err(|e| Wrong::line(e, Some(row)))?;
            }
            continue;
        }
        line(text, by, out)?;
        read.end();
    }
    no_header(header, by, read)
}

fn line(text: &str, by: &RowReader, out: &mut [Builder]) -> Failure {
    let mut cells = cells(text, &by.options);
    for (index, builder) in out.iter_mut().enumerate() {
        let Some(cell) = cells.next() else {
            return Err(missing(index, by, text));
        };
        let read = |builder: &mut Builder, value: &str| {
            builder.text(value).map_err(|error| Wrong::cell(index, Some(value), error))
        };
        match cell {
            None => builder.null(),
            Some(Cell::Plain(value)) => read(builder, value)?,
            Some(Cell::Escaped(value)) => {
                let value = checked(&value)
                    .map_err(|wrong| Wrong::line(wrong.error, Some(text.as_bytes())))?;
                read(builder, value)?;
            }
        }
    }
    match cells.next() {
        None => Ok(()),
        Some(_) => Err(extra(text)),
    }
}

/// Of no data at all, HEADER MATCH sees an empty line.
pub fn no_header(wanted: bool, by: &RowReader, read: &mut Read) -> Failure {
    match wanted && by.options.header == Header::Match {
        true => {
            read.begin(1);
            check_header(vec![None], by).map_err(|error| Wrong::line(error, Some(b"")))
        }
        false => Ok(()),
    }
}

/// A line that ends too soon.
pub fn missing(index: usize, by: &RowReader, text: &str) -> Wrong {
    let name = by.columns.get(index).map_or("", |column| column.field.name().as_str());
    let message = format!("missing data for column \"{name}\"");
    Wrong::line(Error::new("22P04", message), Some(text.as_bytes()))
}

/// A line that goes on too long.
pub fn extra(text: &str) -> Wrong {
    let error = Error::new("22P04", "extra data after last expected column");
    Wrong::line(error, Some(text.as_bytes()))
}

/// The row without the carriage return of its end; any other must be escaped.
fn without_return(row: &[u8], newline: Newline) -> Result<&[u8], Wrong> {
    let literal = |what: &str, escape: &str| {
        let error = Error::new("22P04", format!("literal {what} found in data"));
        Wrong::line(error.with_hint(format!("Use \"{escape}\" to represent {what}.")), None)
    };
    let row = match (newline, row.strip_suffix(b"\r")) {
        (Newline::CrLf, Some(row)) => row,
        (Newline::CrLf, None) if row == END => row,
        (Newline::CrLf, None) => return Err(literal("newline", "\\n")),
        (Newline::Lf | Newline::Cr, _) => row,
    };
    let byte = if newline == Newline::Cr { b'\n' } else { b'\r' };
    let mut from = 0;
    while let Some(at) = memchr(byte, &row[from..]) {
        if !super::lines::is_escaped(&row[..from + at]) {
            return Err(match newline {
                Newline::Cr => literal("newline", "\\n"),
                Newline::Lf | Newline::CrLf => literal("carriage return", "\\r"),
            });
        }
        from += at + 1;
    }
    Ok(row)
}

enum Cell<'a> {
    Plain(&'a str),
    Escaped(Vec<u8>),
}

impl Cell<'_> {
    /// As a column's name.
    fn name(self) -> String {
        match self {
            Self::Plain(text) => text.to_owned(),
            Self::Escaped(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

/// The cells of a row, None being NULL; there is always one.
fn cells<'a>(row: &'a str, options: &'a Options) -> impl Iterator<Item = Option<Cell<'a>>> {
    let (delimiter, null) = (options.delimiter, options.null.as_str());
    let mut rest = Some(row);
    std::iter::from_fn(move || {
        let all = rest?;
        let bytes = all.as_bytes();
        let (mut end, mut escapes) = (0, false);
        loop {
            match memchr2(delimiter, b'\\', &bytes[end..]) {
                None => {
                    end = bytes.len();
                    break;
                }
                Some(at) if bytes[end + at] == b'\\' => {
                    escapes = true;
                    end = (end + at + 2).min(bytes.len());
                }
                Some(at) => {
                    end += at;
                    break;
                }
            }
        }
        rest = all.get(end + 1..);
        let raw = &bytes[..end];
        Some(match raw == null.as_bytes() {
            true => None,
            false if escapes => Some(Cell::Escaped(unescaped(raw))),
            false => Some(Cell::Plain(&all[..end])),
        })
    })
}

fn unescaped(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let Some((escaped, tail)) = tail.split_first() else {
            out.push(b'\\');
            break;
        };
        rest = tail;
        match escaped {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            b'0'..=b'7' => {
                let (value, used) = digits(tail, 8, 2);
                let first = u32::from(escaped - b'0') << (3 * used);
                out.push((first + value) as u8);
                rest = &tail[used..];
            }
            b'x' => match digits(tail, 16, 2) {
                (_, 0) => out.push(b'x'),
                (value, used) => {
                    out.push(value as u8);
                    rest = &tail[used..];
                }
            },
            other => out.push(*other),
        }
    }
    out
}

/// The number that up to `most` digits make, and how many there are.
fn digits(bytes: &[u8], base: u32, most: usize) -> (u32, usize) {
    let digits = bytes.iter().take(most).map_while(|byte| char::from(*byte).to_digit(base));
    digits.fold((0, 0), |(value, used), digit| (value * base + digit, used + 1))
}

/// Escapes what was written from `from` on.
pub fn escape(out: &mut BytesMut, from: usize, delimiter: u8) {
    let special = |byte: u8| matches!(byte, 8..=13 | b'\\') || byte == delimiter;
    if !out[from..].iter().any(|byte| special(*byte)) {
        return;
    }
    let plain = out.split_off(from);
    out.reserve(plain.len() + 8);
    for byte in plain {
        let letter = match byte {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            byte => byte,
        };
        if special(byte) {
            out.put_u8(b'\\');
        }
        out.put_u8(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options(delimiter: u8) -> Options {
        let parsed = sql::parse::parse("copy t to stdout").unwrap().remove(0);
        let sql::Parsed::Own(own) = parsed.parsed else { panic!() };
        let sql::Own::Copy(copy) = *own else { panic!() };
        Options { delimiter, ..Options::of(&copy).unwrap() }
    }

    fn read_back(row: &[u8], options: &Options) -> Vec<Option<Vec<u8>>> {
        let row = std::str::from_utf8(row).unwrap();
        let owned = |cell| match cell {
            Cell::Plain(text) => text.as_bytes().to_vec(),
            Cell::Escaped(bytes) => bytes,
        };
        cells(row, options).map(|cell| cell.map(owned)).collect()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            row in prop::collection::vec(prop::option::of("[\\PC\\x01-\\x1f\\\\|]{0,6}"), 1..5),
            delimiter in prop::sample::select(vec![b'\t', b'|', b',']),
        ) {
            let options = options(delimiter);
            let mut out = BytesMut::new();
            for (index, cell) in row.iter().enumerate() {
                if index > 0 {
                    out.put_u8(delimiter);
                }
                let from = out.len();
                match cell {
                    None => out.put_slice(b"\\N"),
                    Some(text) => {
                        out.put_slice(text.as_bytes());
                        escape(&mut out, from, delimiter);
                    }
                }
            }
            prop_assert!(!out.contains(&b'\n'));
            let expected: Vec<_> =
                row.into_iter().map(|cell| cell.map(String::into_bytes)).collect();
            prop_assert_eq!(read_back(&out, &options), expected);
        }

        #[test]
        fn any_text_is_cells(row: String) {
            let _ = read_back(row.as_bytes(), &options(b'\t'));
        }
    }

    // Expected: PostgreSQL 15, COPY of these lines into a text column.
    #[test]
    fn escapes() {
        for (text, expected) in [
            ("\\101\\x42\\x4", "AB\u{4}"),
            ("a\\qb\\", "aqb\\"),
            ("\\b\\f\\v", "\u{8}\u{c}\u{b}"),
            ("\\xg", "xg"),
            ("\\08", "\08"),
        ] {
            assert_eq!(unescaped(text.as_bytes()), expected.as_bytes(), "{text}");
        }
        assert_eq!(read_back(b"", &options(b'\t')), [Some(vec![])]);
        assert_eq!(read_back(b"\\N\t\\\\N", &options(b'\t')), [None, Some(b"\\N".to_vec())]);
    }
}
